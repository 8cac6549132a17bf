//! `cargo xtask test`: install, run every test, and prove that the suites over the full workspace ran.
//!
//! The environment of the tests:
//!
//! - `EXPORT_ROOM_PYTHON`: a Python with the packages of `requirements.txt`.
//! - `EXPORT_ROOM_NODE_MODULES`: a directory with the modules of `node/package.json`.
//! - `EXPORT_ROOM_SHARED_RAN`: a file to which each test that read the full workspace appends a line with its name.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{run, tools};

/// How a test asks for the full workspace, a dump too large for the repository that lies beside it where it exists;
/// the test's name follows.
const ASKS: &str = "shared_workspace(";

/// Where that dump lies, from the root of the repository.
const FULL_WORKSPACE: &str = "../shared/data/workspace";

/// Measures the peak of whole exports, to a megabyte: beside others, how far threads run ahead of each other is chance.
const MEMORY: &str = "memory::";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let installed = tools::for_tests()?;
    let ran = run::fresh_directory("xtask-test")?.join("full-workspace-ran");
    std::fs::write(&ran, "").with_context(|| format!("cannot write {}", ran.display()))?;

    let chosen = arguments
        .strip_prefix(&["--".to_owned()])
        .unwrap_or(arguments);
    let pass = |flags: &[&str], chosen: &[String]| {
        run::visibly(
            run::cargo()
                .args(["test", "--locked"])
                .args(flags)
                .args(chosen)
                .env("EXPORT_ROOM_PYTHON", &installed.python)
                .env("EXPORT_ROOM_NODE_MODULES", &installed.node_modules)
                .env("EXPORT_ROOM_SHARED_RAN", &ran),
        )
    };
    if chosen.is_empty() {
        pass(&["--workspace", "--", "--skip", MEMORY], chosen)?;
        pass(
            &["--package", "export-room", "--test", "it", MEMORY],
            chosen,
        )?;
    } else {
        pass(&["--workspace"], chosen)?;
    }

    if !chosen.is_empty() {
        println!("Only a part of the tests ran.");
        return Ok(());
    }
    if !run::root().join(FULL_WORKSPACE).is_dir() {
        println!(
            "All tests passed. Those over the full workspace did not run: there is no {FULL_WORKSPACE}."
        );
        return Ok(());
    }
    let expected = askers(&run::root().join("tests"))?;
    let text =
        std::fs::read_to_string(&ran).with_context(|| format!("cannot read {}", ran.display()))?;
    let silent = silent(&expected, &text);
    if !silent.is_empty() {
        bail!(
            "these should have read the full workspace and did not: {}",
            silent.join(", ")
        );
    }
    println!(
        "All tests passed, with {} over the full workspace.",
        expected.len()
    );
    Ok(())
}

/// The names that the sources under a directory ask with: a list by hand would miss the test that was never wired in.
fn askers(directory: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory)
        .with_context(|| format!("cannot list {}", directory.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            names.extend(askers(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            names.extend(names_in(&text));
        }
    }
    Ok(names)
}

fn names_in(source: &str) -> impl Iterator<Item = String> {
    source
        .split(ASKS)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
}

fn silent(expected: &BTreeSet<String>, ran: &str) -> Vec<String> {
    let ran: BTreeSet<&str> = ran.lines().map(str::trim).collect();
    expected
        .iter()
        .filter(|name| !ran.contains(name.as_str()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{names_in, silent};

    #[test]
    fn names_are_found_in_sources() {
        let source = "fn shared_workspace(test: &str) {}\n\
                      let Some(dump) = shared_workspace(\"dump::rooms\") else { return };\n\
                      shared_workspace(\n    \"verify\",\n)";
        assert_eq!(
            names_in(source).collect::<Vec<_>>(),
            ["dump::rooms", "verify"]
        );
    }

    #[test]
    fn a_test_that_did_not_run_is_named() {
        let expected = ["dump", "verify"].map(str::to_owned).into();
        assert_eq!(silent(&expected, "verify\nverify\n"), ["dump"]);
        assert!(silent(&expected, "dump\nother\nverify\n").is_empty());
    }
}
