//! The real server as a process of its own, and a client that tells everything about an answer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, DateTime, Document, doc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::cli::{command, text};
use super::dump::{DumpBuilder, Form};
use super::exported::Exported;

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A user's credentials: id and token.
pub(crate) type Who = (&'static str, &'static str);
/// May export everywhere, and is in general only.
pub(crate) const ADMIN: Who = ("uAdmin", "admin-token");
/// Owns `helpdesk`, so that she may export it and nothing else.
pub(crate) const ALICE: Who = ("uAlice", "alice-token");
/// May export nothing.
pub(crate) const BOB: Who = ("uBob", "bob-token");
/// As `ADMIN`, and not counted.
pub(crate) const ROBOT: Who = ("uRobot", "robot-token");

/// A server that is stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) base: String,
    pub(crate) home: TempDir,
}

/// An answer, exactly.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The only value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.get(name)?;
        assert_eq!(values.len(), 1, "{name}");
        Some(&values[0])
    }
}

/// The workspace of these tests as a file, made once.
fn workspace() -> &'static Path {
    static MADE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let dump = world().write(Form::Directory, directory.path());
        let path = import(&dump, directory.path());
        (directory, path)
    });
    path
}

/// A directory with the workspace of these tests.
pub(crate) fn small_home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::copy(workspace(), home.path().join("chat.db")).unwrap();
    home
}

/// A directory with the workspace of these tests, changed before it is imported.
pub(crate) fn changed_home(change: impl FnOnce(&mut DumpBuilder)) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut dump = world();
    change(&mut dump);
    import(&dump.write(Form::Directory, home.path()), home.path());
    home
}

/// A directory with the workspace of these tests and, in addition, [`super::generate::ROOM`] with so many messages.
pub(crate) fn large_home(messages: u64) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let dump = world().write_with_large_room(home.path(), messages);
    import(&dump, home.path());
    home
}

/// Imports a dump as the workspace of a directory.
fn import(dump: &Path, home: &Path) -> PathBuf {
    let path = home.join("chat.db");
    let workspace = format!("sqlite:{}", text(&path));
    let ran = super::cli::run(&["import", text(dump), "--workspace", &workspace]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    path
}

fn hash(token: &str) -> String {
    STANDARD.encode(Sha256::digest(token))
}

/// A login token made at some instant.
fn login(token: &str, when: DateTime) -> Document {
    doc! {"hashedToken": hash(token), "when": when}
}

fn user(id: &str, name: Option<&str>, roles: &[&str], tokens: Vec<Document>) -> Document {
    let mut user = doc! {
        "_id": id, "type": "user", "active": true, "roles": roles,
        "services": {"resume": {"loginTokens": tokens}},
    };
    if let Some(name) = name {
        user.insert("username", name);
        user.insert(
            "emails",
            vec![doc! {"address": format!("{name}@example.org"), "verified": true}],
        );
    }
    user
}

/// Users with and without rights, rooms of each kind, and messages from 2024-03-01 on.
pub(crate) fn world() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    let never = DateTime::from_millis(4_070_908_800_000);
    let long_ago = DateTime::from_millis(1_500_000_000_000);
    let valid = |token: &str| vec![login(token, never)];
    let personal = doc! {"type": "personalAccessToken", "hashedToken": hash("alice-personal"), "name": "script", "createdAt": long_ago};
    let alice = vec![
        login("alice-expired", long_ago),
        login("alice-token", never),
        personal,
    ];
    let mut erin = user(
        "uErin",
        Some("erin"),
        &["user", "admin"],
        valid("erin-token"),
    );
    erin.insert("active", false);
    let mut carol = user("uCarol", Some("carol"), &["user"], valid("carol-token"));
    carol.remove("emails");
    for user in [
        user(
            "uAdmin",
            Some("admin"),
            &["admin", "user"],
            valid("admin-token"),
        ),
        user("uAlice", Some("alice"), &["user"], alice),
        user("uBob", Some("bob"), &["user"], valid("bob-token")),
        user(
            "uRobot",
            Some("robot"),
            &["admin", "bot"],
            valid("robot-token"),
        ),
        user("uNobody", None, &["admin"], valid("nobody-token")),
        carol,
        erin,
    ] {
        dump.add("users", &user);
    }
    for (permission, roles) in [
        ("mail-messages", vec!["admin", "owner"]),
        ("view-c-room", vec!["admin", "user"]),
        ("view-p-room", vec!["admin", "user"]),
        ("view-d-room", vec!["admin", "user"]),
        ("api-bypass-rate-limit", vec!["bot"]),
    ] {
        dump.add(
            "rocketchat_permissions",
            &doc! {"_id": permission, "roles": roles},
        );
    }
    for (role, scope) in [
        ("admin", "Users"),
        ("user", "Users"),
        ("bot", "Users"),
        ("owner", "Subscriptions"),
    ] {
        dump.add(
            "rocketchat_roles",
            &doc! {"_id": role, "name": role, "scope": scope},
        );
    }
    let made = DateTime::from_millis(1_709_000_000_000);
    for room in [
        doc! {"_id": "GENERAL", "t": "c", "name": "general", "topic": "All & everything", "msgs": 40, "usersCount": 3, "ts": made,
        "u": {"_id": "uAdmin", "username": "admin"}, "joinCode": "geheim", "lastMessage": {"msg": "not for lists"}},
        doc! {"_id": "helpdesk0000000001", "t": "p", "name": "helpdesk", "fname": "Help Desk", "msgs": 1, "usersCount": 1},
        doc! {"_id": "uAdminuBob", "t": "d", "usernames": ["admin", "bob"], "uids": ["uAdmin", "uBob"], "msgs": 0},
    ] {
        dump.add("rocketchat_room", &room);
    }
    for (rid, kind, user, roles) in [
        ("GENERAL", "c", "uAdmin", vec![]),
        ("GENERAL", "c", "uBob", vec![]),
        ("helpdesk0000000001", "p", "uAlice", vec!["owner"]),
        ("uAdminuBob", "d", "uAdmin", vec![]),
        ("uAdminuBob", "d", "uBob", vec![]),
    ] {
        dump.add(
            "rocketchat_subscription",
            &doc! {"_id": format!("{rid}{user}"), "rid": rid, "t": kind, "u": {"_id": user}, "roles": roles, "open": true},
        );
    }
    let message = |rid: &str, number: i64| {
        doc! {
            "_id": format!("{rid}-{number}"), "rid": rid, "msg": format!("message {number}"), "ts": DateTime::from_millis(1_709_251_200_000 + number * 3_600_000),
            "u": {"_id": "uBob", "username": "bob"},
        }
    };
    for number in 0..40 {
        dump.add("rocketchat_message", &message("GENERAL", number));
    }
    dump.add("rocketchat_message", &message("helpdesk0000000001", 0));
    dump.add(
        "rocketchat_settings",
        &doc! {"_id": "Accounts_LoginExpiration", "value": Bson::Int32(0)},
    );
    dump
}

impl Server {
    /// Starts one on a workspace of its own, with these settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_in(small_home(), settings)
    }

    /// Starts one on the workspace in a directory.
    pub(crate) fn start_in(home: TempDir, settings: &[&str]) -> Self {
        let command = serve(home.path(), settings);
        Self::spawn(home, command)
    }

    /// Starts one on the workspace at an address; `home` has its log and, where that is its place, its exports.
    pub(crate) fn start_at(home: TempDir, workspace: &str, settings: &[&str]) -> Self {
        let command = serve_at(home.path(), workspace, settings);
        Self::spawn(home, command)
    }

    /// Starts one that is killed at a step; see `jobs/steps.rs`.
    pub(crate) fn doomed(home: TempDir, step: &str, settings: &[&str]) -> Self {
        let command = serve_until(home.path(), step, settings);
        Self::spawn(home, command)
    }

    fn spawn(home: TempDir, mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let base = line.trim_end().strip_prefix("Export Room answers on ");
        let Some(base) = base else {
            let log = fs::read_to_string(home.path().join("log")).unwrap();
            panic!("the server said {line:?}\n{log}");
        };
        Self {
            child,
            base: base.to_owned(),
            home,
        }
    }

    /// What there is of exports.
    pub(crate) fn exported(&self) -> Exported {
        Exported {
            database: self.home.path().join("chat.db"),
            store: files(self.home.path()),
        }
    }

    /// Kills the process; what it leaves.
    pub(crate) fn killed(self) -> TempDir {
        signal(&self.child, "KILL");
        self.fallen()
    }

    /// Waits until the process has been killed; what it leaves.
    pub(crate) fn fallen(mut self) -> TempDir {
        assert_killed(&mut self.child);
        std::mem::replace(&mut self.home, tempfile::tempdir().unwrap())
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    /// Asks the server to stop, and waits until it has; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        signal(&self.child, "TERM");
        let child = &mut self.child;
        wait_for("the server to stop", || child.try_wait().unwrap()).code()
    }

    pub(crate) fn get(&self, path: &str, who: Option<Who>) -> Answer {
        self.send("GET", path, &credentials(who), b"")
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, who: Option<Who>, body: &Value) -> Answer {
        let mut headers = credentials(who);
        headers.push(("content-type", "application/json"));
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Posts JSON to a server that dies over it.
    pub(crate) fn post_in_vain(&self, path: &str, who: Who, body: &Value) {
        let mut headers = credentials(Some(who));
        headers.push(("content-type", "application/json"));
        let answer = self.try_send("POST", path, &headers, body.to_string().as_bytes());
        assert!(answer.is_err(), "{answer:?}");
    }

    /// Sends exactly this, over a connection of its own.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_send(method, path, headers, body).unwrap()
    }

    fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let mut answer = agent.run(request)?;
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in answer.headers() {
            let values = names.entry(name.to_string()).or_default();
            values.push(value.to_str().unwrap().to_owned());
        }
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: names,
            body: answer
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_vec()?,
        })
    }

    /// Sends bytes as they are, as many as the server takes, and reads until it closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that has seen enough resets the connection; what it said before counts.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the server keeps the connection")
                }
                Ok(_) | Err(_) => break,
            }
        }
        String::from_utf8(answer).unwrap()
    }

    /// The id of an accepted export.
    pub(crate) fn export(&self, who: Who, body: &Value) -> String {
        let answer = self.post("/api/v1/rooms.export", Some(who), body);
        assert_eq!(answer.text(), r#"{"success":true}"#);
        let location = answer.header("location").unwrap();
        let id = location.strip_prefix("/api/v1/rooms.export.status?id=");
        id.unwrap().to_owned()
    }

    /// What is told of an export.
    pub(crate) fn status(&self, who: Who, id: &str) -> Value {
        let path = format!("/api/v1/rooms.export.status?id={id}");
        let answer = self.get(&path, Some(who));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["export"].take()
    }

    /// Waits until an export has ended, and tells about it.
    pub(crate) fn ended(&self, who: Who, id: &str) -> Value {
        wait_for("the export to end", || {
            let export = self.status(who, id);
            let state = export["state"].as_str().unwrap();
            (!["queued", "running"].contains(&state)).then_some(export)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the exports of the workspace in a directory are.
fn files(home: &Path) -> PathBuf {
    home.join("files")
}

/// The command that serves the workspace in a directory, its log beside it.
pub(crate) fn serve(home: &Path, settings: &[&str]) -> Command {
    let workspace = format!("sqlite:{}", text(&home.join("chat.db")));
    serve_at(home, &workspace, settings)
}

/// The command that serves the workspace at an address.
pub(crate) fn serve_at(home: &Path, workspace: &str, settings: &[&str]) -> Command {
    let serve = command(&["serve", "--listen", "127.0.0.1:0"]);
    service(serve, home, workspace, settings)
}

/// The command that only works for the workspace at an address.
pub(crate) fn work_at(home: &Path, workspace: &str, settings: &[&str]) -> Command {
    service(command(&["work"]), home, workspace, settings)
}

fn service(mut command: Command, home: &Path, workspace: &str, settings: &[&str]) -> Command {
    let files = files(home);
    fs::create_dir_all(&files).unwrap();
    command.args(["--config", "/dev/null", "--workspace", workspace]);
    let store = format!("store.directory={}", text(&files));
    let usual = [
        store.as_str(),
        "log.format=json",
        "rate_limit.enabled=false",
        // Without a server there are no mails, and the store holds exports only.
        "mail.transport=smtp",
    ];
    for setting in usual.iter().chain(settings) {
        command.args(["--set", setting]);
    }
    let log = File::options()
        .create(true)
        .append(true)
        .open(home.join("log"))
        .unwrap();
    // Leases and rates need a time that passes.
    command
        .env_remove("SOURCE_DATE_EPOCH")
        .stdout(Stdio::piped())
        .stderr(log);
    command
}

/// The same, killed at a step; see `jobs/steps.rs`.
pub(crate) fn serve_until(home: &Path, step: &str, settings: &[&str]) -> Command {
    let mut command = serve(home, settings);
    command.env("EXPORT_ROOM_STOP_AT", format!("{step}:kill"));
    command
}

/// Waits until a process has been killed.
pub(crate) fn assert_killed(child: &mut Child) {
    let status = wait_for("the process to be killed", || child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(9), "{status}");
}

/// Headers that say who asks.
pub(crate) fn credentials(who: Option<Who>) -> Vec<(&'static str, &'static str)> {
    who.into_iter()
        .flat_map(|(id, token)| [("X-User-Id", id), ("X-Auth-Token", token)])
        .collect()
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name}");
}

/// Asks again until there is something, as long as it may take.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
