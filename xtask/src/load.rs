//! `cargo xtask load`: many clients at once on a server in release mode, with the sample workspace.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::{run, tools};

/// The sample's administrator, who may export everything; `demo/EXPECTED.json` lists all users.
const USERS: &str = r#"[{"id": "uAdmin0000000000a", "token": "jofQCjBG4Bvoid20yAC7qewZcfEkLfRLZxP1_ES_wnx", "room": "GENERAL"}]"#;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let seconds = arguments.first().map_or("30", String::as_str);
    let python = tools::for_tests()?.python;
    run::visibly(run::cargo().args([
        "build",
        "--locked",
        "--release",
        "--package",
        "export-room",
    ]))?;
    let program = run::root().join("target/release/export-room");
    let place = run::fresh_directory("xtask-load")?;
    let workspace = format!("sqlite:{}", place.join("chat.db").display());
    run::visibly(
        Command::new(&program)
            .arg("import")
            .arg(run::root().join("demo/workspace.archive.gz"))
            .args(["--workspace", &workspace]),
    )?;
    let users = place.join("users.json");
    std::fs::write(&users, USERS).with_context(|| format!("cannot write {}", users.display()))?;
    let mut server = serve(&program, &workspace, &place)?;
    let result = measure(&mut server, &python, &users, seconds);
    // It has nothing that anybody needs; both fail only when it has ended already.
    let _ = server.kill();
    let _ = server.wait();
    result
}

fn serve(program: &Path, workspace: &str, place: &Path) -> Result<Child> {
    let mut command = Command::new(program);
    command.args(["serve", "--config", "/dev/null", "--listen", "127.0.0.1:0"]);
    command.args(["--workspace", workspace]);
    for setting in [
        &format!("store.directory={}", place.join("exports").display()),
        "rate_limit.enabled=false",
        "mail.ready=false",
        "jobs.workers=4",
        "jobs.per_user_running=4",
        "log.level=warn",
    ] {
        command.args(["--set", setting]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the server")
}

fn measure(server: &mut Child, python: &Path, users: &Path, seconds: &str) -> Result<()> {
    let mut line = String::new();
    let stdout = server.stdout.take().context("the server has no output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let site = line
        .trim()
        .strip_prefix("Export Room answers on ")
        .with_context(|| format!("the server said {line:?}"))?;
    run::visibly(
        Command::new(python)
            .arg(run::root().join("tests/clients/load.py"))
            .args([site, &server.id().to_string(), "200", seconds, "4"])
            .arg(users),
    )
}
