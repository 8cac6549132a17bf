//! Entry point: parse, call, exit code.

use std::process::ExitCode;

/// The system's allocator keeps what each thread freed, so that a server under load never gets smaller again; this one
/// gives it back. `docs/performance.md` has the figures.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    export_room::cli::main()
}
