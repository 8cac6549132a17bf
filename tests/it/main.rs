//! All behaviour tests of the application.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails by panicking, in its helpers as well"
)]

mod access;
mod attacks;
mod browser;
mod cli;
mod clients;
mod crash;
mod directory;
mod doctor;
mod download;
mod drop_in;
mod email;
mod endpoint;
mod exports;
mod fuzz_seeds;
mod gallery;
mod hostile_dumps;
mod import;
mod jobs;
mod live;
mod live_faults;
mod live_places;
mod live_queue;
mod live_rights;
mod login;
mod mail;
mod mailbox;
mod markup;
mod memory;
mod nothing_lost;
mod notices;
mod operation;
mod pages;
mod queue_contract;
mod search;
mod sources;
mod sources_shared;
mod stored_exports;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod tidy;
mod verify;
