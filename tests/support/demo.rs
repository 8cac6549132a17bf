//! The demo workspace as a server has it: with the users, passwords and files that `demo/EXPECTED.json` tells of.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::cli::{run, text};
use super::server::{Server, Who};

/// Administrates, and is in general only.
pub(crate) const ADMIN: Who = (
    "uAdmin0000000000a",
    "jofQCjBG4Bvoid20yAC7qewZcfEkLfRLZxP1_ES_wnx",
);
/// Owns helpdesk and the rooms of the team.
pub(crate) const ALICE: Who = (
    "uAlice0000000000a",
    "DerOstx12v5qhlV38TctD0MgrvPYkeEVy6m46qgPXJs",
);
/// Has no rights.
pub(crate) const BOB: Who = (
    "uBob000000000000a",
    "3F6E49Dq7ug1HxuoDiNF-7t7mXmd6qWwtE28DM2gbD2",
);
/// A room of Alice's.
pub(crate) const ROOM: &str = "eXNGEqwWB6oB5K7Qs";

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

/// What the demo workspace says of a user who can log in.
pub(crate) fn credentials_of(username: &str) -> Value {
    let expected = fs::read_to_string(directory().join("EXPECTED.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let all = expected["credentials"].as_array().unwrap();
    let found = all.iter().find(|user| user["username"] == username);
    found.unwrap().clone()
}

/// Starts a server on a copy of the demo workspace.
pub(crate) fn start(settings: &[&str]) -> Server {
    static MADE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, workspace) = MADE.get_or_init(|| {
        let made = tempfile::tempdir().unwrap();
        let path = made.path().join("chat.db");
        let archive = directory().join("workspace.archive.gz");
        let address = format!("sqlite:{}", text(&path));
        let ran = run(&["import", text(&archive), "--workspace", &address]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (made, path)
    });
    let home = tempfile::tempdir().unwrap();
    fs::copy(workspace, home.path().join("chat.db")).unwrap();
    let files = format!("workspace.files={}", text(&directory().join("files")));
    let mut all = vec![files.as_str()];
    all.extend(settings);
    Server::start_in(home, &all)
}
