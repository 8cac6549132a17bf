//! A real SMTP server, in Python, and its mails as Python's own package reads them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::cli::text;
use super::server::wait_for;

/// A program of ours in Python, with the packages of `xtask/requirements.txt`.
pub(crate) fn python(script: &str) -> Command {
    let python = std::env::var_os("EXPORT_ROOM_PYTHON")
        .expect("EXPORT_ROOM_PYTHON is not set: run the tests with `cargo xtask test`");
    let mut command = Command::new(python);
    command
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script))
        .stdin(Stdio::null());
    command
}

/// A server that is stopped when it is dropped.
pub(crate) struct MailServer {
    child: Child,
    directory: TempDir,
    pub(crate) port: u16,
}

impl MailServer {
    /// Starts one with the arguments of `mail_server.py`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = python("tests/support/mail_server.py")
            .arg(directory.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            child,
            directory,
            port: port.trim().parse().expect("the mail server's port"),
        }
    }

    /// How many mails were accepted.
    pub(crate) fn count(&self) -> usize {
        fs::read_dir(self.directory.path())
            .unwrap()
            .filter(|entry| {
                let path = entry.as_ref().unwrap().path();
                path.extension().is_some_and(|kind| kind == "eml")
            })
            .count()
    }

    /// Lets a server go on that holds mails back.
    pub(crate) fn release(&self) {
        fs::write(self.directory.path().join("released"), "").unwrap();
    }

    /// How many connections were ended as they should be (RFC 5321 §4.1.1.10).
    pub(crate) fn goodbyes(&self) -> usize {
        let said = fs::read_to_string(self.directory.path().join("goodbyes"));
        said.unwrap_or_default().lines().count()
    }

    /// Whether a client has begun to log in.
    pub(crate) fn was_asked_to_log_in(&self) -> bool {
        self.directory.path().join("login").exists()
    }

    /// The `number`th mail that is accepted, from 1; waits for it.
    pub(crate) fn mail(&self, number: usize) -> Value {
        let path = self.directory.path().join(format!("{number}.eml"));
        wait_for("a mail", || path.exists().then_some(()));
        read(&path)
    }

    /// The mails accepted so far, when they are so many; waits for them.
    pub(crate) fn mails(&self, count: usize) -> Vec<Value> {
        (1..=count).map(|number| self.mail(number)).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It has nothing to clean up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A mail in a file, as Python reads it.
pub(crate) fn read(path: &Path) -> Value {
    let output = python("tests/support/read_mail.py")
        .arg(text(path))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
