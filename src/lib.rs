//! Export Room.
