//! `cargo xtask`: everything that a developer or CI runs, in one program.
//!
//! Responsible for installing what tests need and for the order of checks; not for what is tested. It has few
//! dependencies on purpose: it is built before anything else, on every fresh machine.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program for developers: its output is for the terminal"
)]

mod bench;
mod check;
mod fuzz;
mod licence;
mod load;
mod picture;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  test [-- <arguments of cargo test>]   install what the tests need, then run all tests
  check                                 format, lints, documentation, dependency rules, licences
  fuzz [seconds] [target]               fuzz every target (or one) for so long; 30 seconds each by default
  bench [arguments]                     measure in release mode
  load [seconds]                        200 clients at once on a server in release mode; 30 seconds by default
  picture <export.zip | page.html> <picture.png> [--dark] [--size WIDTHxHEIGHT]
                                        photograph an exported page with a headless browser
  tools                                 only install what the tests need
";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        eprint!("{USAGE}");
        return ExitCode::FAILURE;
    }
    let command = arguments.remove(0);
    let result = match command.as_str() {
        "test" => test::run(&arguments),
        "check" => check::run(),
        "fuzz" => fuzz::run(&arguments),
        "bench" => bench::run(&arguments),
        "load" => load::run(&arguments),
        "picture" => picture::run(&arguments),
        "tools" => tools::for_tests().map(|_| ()),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(anyhow::anyhow!(
            "there is no command `{other}`; `cargo xtask help` lists them"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
