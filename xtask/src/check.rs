//! `cargo xtask check`: what has to hold before anything is tested; the cheap checks first.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{licence, run};

/// Packages that must stay free of these crates: they compute, and neither wait nor talk to anybody.
const PURE: &[&str] = &["transcript", "zipstream"];
const IMPURE: &[&str] = &[
    "tokio", "rusqlite", "mongodb", "reqwest", "axum", "hyper", "opendal", "lettre",
];

/// Crates that must not be in any build. One TLS provider only, and none that needs the system's OpenSSL.
const BANNED: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-rs",
    "aws-lc-sys",
    "aws-lc-fips-sys",
];

pub(crate) fn run() -> Result<()> {
    run::visibly(run::cargo().args(["fmt", "--all", "--", "--check"]))?;
    if run::root().join("fuzz/Cargo.toml").exists() {
        // Not a member of the workspace, so `--all` does not reach it.
        run::visibly(run::cargo().args([
            "fmt",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--",
            "--check",
        ]))?;
    }
    dependencies()?;
    run::visibly(run::cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run::visibly(
        run::cargo()
            .args([
                "doc",
                "--locked",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    println!("All checks passed.");
    Ok(())
}

/// Direction of dependencies, banned crates, licences. `--locked` fails when Cargo.lock is stale.
fn dependencies() -> Result<()> {
    println!("==> dependencies and licences");
    let mut problems = Vec::new();
    for package in PURE {
        let tree = run::output_of(run::cargo().args([
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--target",
            "all",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]))?;
        problems.extend(impure(package, &tree));
    }
    let metadata =
        run::output_of(run::cargo().args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).context("cannot read cargo's metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo's metadata has no packages")?;
    for package in packages {
        problems.extend(problems_of(package));
    }
    if !problems.is_empty() {
        bail!("dependencies:\n  {}", problems.join("\n  "));
    }
    println!("    {} packages", packages.len());
    Ok(())
}

/// What a listing of `cargo tree`, one package per line, has that a pure package must not depend on.
fn impure(package: &str, tree: &str) -> Vec<String> {
    let mut found: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| IMPURE.contains(name))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|name| format!("{package} must not depend on {name}"))
        .collect()
}

fn problems_of(package: &Value) -> Option<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let version = package["version"].as_str().unwrap_or_default();
    if BANNED.contains(&name) {
        return Some(format!("{name} {version} must not be in any build"));
    }
    let Some(expression) = package["license"].as_str() else {
        return Some(format!("{name} {version} names no licence"));
    };
    match licence::is_allowed(expression) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} {version} has the licence {expression}")),
        Err(error) => Some(format!("{name} {version}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{impure, problems_of};

    #[test]
    fn a_pure_package_with_a_runtime_is_found() {
        let tree =
            "transcript v0.1.0 (/x)\nsha2 v0.11.0\ntokio v1.54.0\nmio v1.0.0\ntokio v1.54.0 (*)\n";
        assert_eq!(
            impure("transcript", tree),
            ["transcript must not depend on tokio"]
        );
        assert!(impure("transcript", "transcript v0.1.0\ntokio-util-like v1.0.0\n").is_empty());
    }

    #[test]
    fn banned_crates_and_licences_are_found() {
        let problem = |name, licence| {
            problems_of(&json!({"name": name, "version": "1.0.0", "license": licence}))
        };
        assert_eq!(problem("serde", Some("MIT OR Apache-2.0")), None);
        assert!(problem("native-tls", Some("MIT")).is_some());
        assert!(problem("readline", Some("GPL-3.0-only")).is_some());
        assert!(problem("unknown", None).is_some());
        assert!(problem("odd", Some("MIT OR")).is_some());
    }
}
