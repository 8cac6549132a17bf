//! The writer from outside: what it writes is read back by other implementations.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in what its tests share as well"
)]

mod failures;
mod headers;
mod layout;
mod records;
mod round_trip;
mod same_bytes;
mod support;
mod tools;
mod zip64;
