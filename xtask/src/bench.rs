//! `cargo xtask bench`: the measurements, in release mode.

use anyhow::Result;

use crate::run;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let chosen = arguments
        .strip_prefix(&["--".to_owned()])
        .unwrap_or(arguments);
    run::visibly(
        run::cargo()
            .args([
                "bench",
                "--locked",
                "--package",
                "export-room",
                "--bench",
                "export",
                "--",
            ])
            .args(chosen),
    )
}
