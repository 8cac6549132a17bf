//! Entry point: parse, call, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    export_room::cli::main()
}
