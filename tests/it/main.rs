//! All behaviour tests of the application.

mod fuzz_seeds;
mod sources;
mod sources_shared;
#[path = "../support/mod.rs"]
mod support;
mod tidy;
