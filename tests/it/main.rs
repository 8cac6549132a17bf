//! All behaviour tests of the application.

mod sources;
mod sources_shared;
#[path = "../support/mod.rs"]
mod support;
