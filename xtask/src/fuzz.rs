//! `cargo xtask fuzz`: each target of `fuzz/` for a while, from its seeds.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

const VERSION: &str = "0.13.1";
const SECONDS: u32 = 30;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut seconds = SECONDS;
    let mut wanted = None;
    for argument in arguments {
        match argument.parse() {
            Ok(number) => seconds = number,
            Err(_) => wanted = Some(argument.as_str()),
        }
    }
    let targets: Vec<String> = targets()?
        .into_iter()
        .filter(|target| wanted.is_none_or(|wanted| wanted == target))
        .collect();
    if targets.is_empty() {
        bail!("there is no such target in fuzz/targets");
    }

    let fuzz = run::root().join("fuzz");
    let program = run::tools_directory().join("bin/cargo-fuzz");
    if !program.exists() {
        run::visibly(
            run::cargo()
                .args([
                    "install",
                    "cargo-fuzz",
                    "--locked",
                    "--version",
                    VERSION,
                    "--root",
                ])
                .arg(run::tools_directory()),
        )?;
    }
    for target in &targets {
        let corpus = fuzz.join("corpus").join(target);
        run::make_directory(&corpus)?;
        // Sanitisers need a nightly compiler; the toolchain of this process must not leak into it.
        run::visibly(
            Command::new("rustup")
                .args(["run", "nightly"])
                .arg(&program)
                .args(["run", "--fuzz-dir"])
                .arg(&fuzz)
                .arg(target)
                .arg(&corpus)
                .arg(fuzz.join("seeds").join(target))
                .arg("--")
                .arg(format!("-max_total_time={seconds}"))
                .env_remove("CARGO")
                .env_remove("RUSTUP_TOOLCHAIN")
                .current_dir(run::root()),
        )?;
    }
    Ok(())
}

/// The file names in `fuzz/targets`, sorted.
fn targets() -> Result<Vec<String>> {
    let directory = run::root().join("fuzz/targets");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
