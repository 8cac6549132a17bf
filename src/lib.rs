//! Export Room: a Rocket.Chat room's messages and files as one ZIP.
//!
//! Two doors, the command line in [`cli`] and later HTTP, lead to the same core:
//!
//! - [`export`]: the use cases; a room to a ZIP, with its report.
//! - [`store`]: contracts for rooms and messages, and behind them the embedded workspace and dumps.
//! - [`blob`]: contract for file contents, and behind it GridFS chunks and directories.
//! - [`sort`]: sorting more than fits into memory.
//! - [`mail`]: what is sent by mail, and how it is handed over.
//! - [`telemetry`]: log and figures.
//! - [`tls`]: the one TLS provider.
//! - [`verify`]: proves that a ZIP of ours is whole.
//! - [`app`]: the one place where parts are put together.
//! - [`clock`]: the only place that asks what time it is.
//! - [`network`]: whom an address stands for, where clients are counted.
//! - [`random`]: ids and secrets that nobody can guess.
//!
//! `ARCHITECTURE.md` has the map, the invariants and the walkthroughs.

pub mod access;
pub mod app;
pub mod blob;
pub mod cli;
pub mod clock;
pub mod config;
pub mod export;
pub mod http;
pub mod jobs;
pub mod login;
pub mod mail;
pub mod network;
pub mod random;
pub mod sort;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod verify;
mod words;
