//! Streaming ZIP writer.
