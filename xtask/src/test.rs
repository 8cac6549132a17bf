//! `cargo xtask test`: install, run every test, and prove that the suites over the full workspace ran.
//!
//! The environment of the tests:
//!
//! - `EXPORT_ROOM_PYTHON`: a Python with the packages of `requirements.txt`.
//! - `EXPORT_ROOM_SHARED_RAN`: a file to which each test that read the full workspace appends a line with its name.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{run, tools};

/// The tests that read the full workspace, a dump too large for the repository that lies beside it where it exists.
const FULL_WORKSPACE_TESTS: &[&str] = &[];

/// Where that dump lies, from the root of the repository.
const FULL_WORKSPACE: &str = "../shared/data/workspace";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let installed = tools::for_tests()?;
    let ran = run::fresh_directory("xtask-test")?.join("full-workspace-ran");
    std::fs::write(&ran, "").with_context(|| format!("cannot write {}", ran.display()))?;

    let chosen = arguments
        .strip_prefix(&["--".to_owned()])
        .unwrap_or(arguments);
    run::visibly(
        run::cargo()
            .args(["test", "--locked", "--workspace"])
            .args(chosen)
            .env("EXPORT_ROOM_PYTHON", &installed.python)
            .env("EXPORT_ROOM_SHARED_RAN", &ran),
    )?;

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
    full_workspace_tests_ran(&ran)?;
    println!(
        "All tests passed, with {} over the full workspace.",
        FULL_WORKSPACE_TESTS.len()
    );
    Ok(())
}

fn full_workspace_tests_ran(file: &Path) -> Result<()> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let problems = compare(FULL_WORKSPACE_TESTS, &text);
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(())
}

/// Both directions, so that the list cannot go stale: who did not run, and who ran but is not listed.
fn compare(expected: &[&str], ran: &str) -> Vec<String> {
    let expected: BTreeSet<&str> = expected.iter().copied().collect();
    let ran: BTreeSet<&str> = ran
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let silent = expected
        .difference(&ran)
        .map(|name| format!("`{name}` should have read the full workspace and did not"));
    let unlisted = ran
        .difference(&expected)
        .map(|name| format!("`{name}` reads the full workspace: add it to xtask/src/test.rs"));
    silent.chain(unlisted).collect()
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn a_test_that_did_not_run_is_a_problem() {
        let problems = compare(&["dump", "sqlite"], "sqlite\n");
        assert_eq!(
            problems,
            ["`dump` should have read the full workspace and did not"]
        );
    }

    #[test]
    fn a_test_that_is_not_listed_is_a_problem() {
        assert_eq!(compare(&["dump"], "dump\nverify\n").len(), 1);
    }

    #[test]
    fn a_name_may_be_written_twice() {
        assert!(compare(&["dump"], "dump\ndump\n\n").is_empty());
    }
}
