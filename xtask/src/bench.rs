//! `cargo xtask bench`: the measurements, in release mode; with `--live` those of a live database.

use anyhow::Result;

use crate::{run, tools};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let chosen = arguments
        .strip_prefix(&["--".to_owned()])
        .unwrap_or(arguments);
    let live = chosen.iter().any(|argument| argument == "--live");
    let python = tools::for_tests()?.python;
    run::visibly(
        run::cargo()
            .env("EXPORT_ROOM_PYTHON", python)
            .args([
                "bench",
                "--locked",
                "--package",
                "export-room",
                "--bench",
                if live { "live" } else { "export" },
                "--",
            ])
            .args(chosen),
    )
}
