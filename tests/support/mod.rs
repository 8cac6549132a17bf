//! What several behaviour tests need.

pub(crate) mod attacks;
pub(crate) mod browser;
pub(crate) mod cli;
pub(crate) mod demo;
pub(crate) mod dump;
pub(crate) mod exported;
pub(crate) mod faults;
pub(crate) mod fill;
pub(crate) mod gallery;
pub(crate) mod generate;
pub(crate) mod mail;
pub(crate) mod mongo;
pub(crate) mod server;
pub(crate) mod stores;
