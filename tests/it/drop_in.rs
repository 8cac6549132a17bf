//! nginx and Caddy, as `deploy/` configures them, before the real server: exports go to Export Room, everything else to
//! Rocket.Chat, for which a real web server stands.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::support::cli::{command, ran, text};
use crate::support::mail::python;
use crate::support::server::{ADMIN, Server, wait_for};

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    fs::read_to_string(path).unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A web server that says which request reached it, and takes an upgrade.
fn everything_else() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                if head.to_ascii_lowercase().contains("upgrade: websocket") {
                    let _ = client.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
                    let mut sent = [0; 5];
                    // What came is sent back.
                    let _ = client
                        .read_exact(&mut sent)
                        .and_then(|()| client.write_all(&sent));
                    return;
                }
                let first = head.lines().next().unwrap_or_default();
                let body = format!("Rocket.Chat got {first}");
                let _ = write!(
                    client,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    port
}

/// A proxy that is stopped when it is dropped.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The answer to a request, sent over a connection of its own.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{request}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(port: u16, path: &str, headers: &str) -> String {
    ask(
        port,
        &format!(
            "GET {path} HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n{headers}\r\n"
        ),
    )
}

/// That requests go where they belong.
fn check(name: &str, port: u16, server: &Server) {
    wait_for(name, || TcpStream::connect(("127.0.0.1", port)).ok());
    let (user, token) = ADMIN;
    let who = format!("X-User-Id: {user}\r\nX-Auth-Token: {token}\r\n");
    for path in [
        "/",
        "/api/v1/me",
        "/api/v1/rooms.get",
        "/api/v1/rooms.exports",
        "/file-upload/x/y",
        "/health",
    ] {
        let answer = get(port, path, &who);
        assert!(
            answer.contains(&format!("Rocket.Chat got GET {path} ")),
            "{name} {path}: {answer}"
        );
    }
    // The specification's refusal of somebody who is not logged in.
    let body = json!({"rid": "GENERAL", "type": "file", "format": "json"}).to_string();
    let request = |headers: &str| {
        ask(
            port,
            &format!(
                "POST /api/v1/rooms.export HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len()
            ),
        )
    };
    let refused = request("");
    assert!(refused.starts_with("HTTP/1.1 401"), "{name}: {refused}");
    assert!(
        refused.contains("You must be logged in to do this."),
        "{name}: {refused}"
    );
    let accepted = request(&who);
    assert!(
        accepted.contains(r#"{"success":true}"#),
        "{name}: {accepted}"
    );
    let id = accepted.split("rooms.export.status?id=").nth(1).unwrap();
    let id = id.split(['\r', '\n']).next().unwrap();
    assert_eq!(server.ended(ADMIN, id)["state"], "done");
    let status = get(port, &format!("/api/v1/rooms.export.status?id={id}"), &who);
    assert!(status.contains(r#""state":"done""#), "{name}: {status}");
    let download = ask(
        port,
        &format!(
            "HEAD /data-export/{id} HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n{who}\r\n"
        ),
    );
    assert!(download.starts_with("HTTP/1.1 200"), "{name}: {download}");
    assert!(
        download
            .to_ascii_lowercase()
            .contains("content-type: application/zip"),
        "{name}: {download}"
    );
    // What Export Room does not have, Rocket.Chat may.
    let other = get(port, "/data-export/66a000000000000000000000", &who);
    assert!(
        other.contains("Rocket.Chat got GET /data-export/66a"),
        "{name}: {other}"
    );
    // Nobody else's: that is no question for Rocket.Chat.
    let stranger = get(port, &format!("/data-export/{id}"), "");
    assert!(!stranger.contains("Rocket.Chat got"), "{name}: {stranger}");
    // Websockets.
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(socket, "GET /websocket HTTP/1.1\r\nHost: chat.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{name}: {}",
        String::from_utf8_lossy(&head)
    );
    socket.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    socket.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello", "{name}");
}

fn server() -> (Server, String) {
    let server = Server::start(&["http.forwarded_count=1", "mail.ready=false"]);
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    (server, port)
}

#[test]
fn nginx_sends_exports_here_and_everything_else_there() {
    let directory = tempfile::tempdir().unwrap();
    let (server, ours) = server();
    let (port, theirs) = (free_port(), everything_else());
    let site = deployed("nginx.conf")
        .replace("127.0.0.1:3000", &format!("127.0.0.1:{theirs}"))
        .replace("127.0.0.1:3100", &format!("127.0.0.1:{ours}"))
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
    let site: String = site
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_certificate"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let place = text(directory.path());
    let whole = format!(
        "daemon off; pid {place}/pid; error_log {place}/log; events {{}} http {{ access_log off; \
         client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c; \
         uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;\n{site}\n}}"
    );
    let path = directory.path().join("nginx.conf");
    fs::write(&path, whole).unwrap();
    // One process, so that none stays when it is killed.
    let child = Command::new("nginx")
        .args([
            "-p",
            place,
            "-e",
            &format!("{place}/log"),
            "-c",
            text(&path),
        ])
        .args(["-g", "master_process off;"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let _proxy = Proxy(child);
    check("nginx", port, &server);
}

#[test]
fn caddy_sends_exports_here_and_everything_else_there() {
    caddy(
        &deployed("Caddyfile"),
        "chat.example.org {",
        "127.0.0.1",
        "127.0.0.1",
    );
}

#[test]
fn caddy_in_the_compose_file_does_the_same() {
    let compose = compose();
    let site = compose["configs"]["caddyfile"]["content"].as_str().unwrap();
    caddy(site, ":80 {", "rocketchat", "export-room");
}

/// That Caddy with a site of this name, before the two hosts, sends requests where they belong.
fn caddy(site: &str, name: &str, rocket_chat: &str, export_room: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (server, ours) = server();
    let (port, theirs) = (free_port(), everything_else());
    let site = site
        .replace(
            &format!("{rocket_chat}:3000"),
            &format!("127.0.0.1:{theirs}"),
        )
        .replace(&format!("{export_room}:3100"), &format!("127.0.0.1:{ours}"))
        .replace(name, &format!("http://chat.example.org:{port} {{"));
    let path = directory.path().join("Caddyfile");
    fs::write(&path, format!("{{\n\tadmin off\n}}\n{site}")).unwrap();
    let child = Command::new("caddy")
        .args(["run", "--adapter", "caddyfile", "--config", text(&path)])
        .env("HOME", directory.path())
        .env("XDG_DATA_HOME", directory.path())
        .env("XDG_CONFIG_HOME", directory.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _proxy = Proxy(child);
    check("Caddy", port, &server);
}

/// The compose file, as a reader of YAML has it.
fn compose() -> Value {
    let read = python("tests/support/read_yaml.py")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose.yaml"))
        .output()
        .unwrap();
    assert!(read.status.success(), "{read:?}");
    serde_json::from_slice(&read.stdout).unwrap()
}

#[test]
fn the_compose_file_has_what_it_names_and_starts_again_what_ends() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let made = service["image"].is_string() || service["build"].is_object();
        assert!(made, "{name}");
        let needed: Vec<&str> = match &service["depends_on"] {
            Value::Object(needed) => needed.keys().map(String::as_str).collect(),
            Value::Array(needed) => needed.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for needed in needed {
            assert!(services.contains_key(needed), "{name}: {needed}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let volume = volume.as_str().unwrap().split(':').next().unwrap();
            assert!(compose["volumes"].get(volume).is_some(), "{name}: {volume}");
        }
        for config in service["configs"].as_array().into_iter().flatten() {
            let source = config["source"].as_str().unwrap();
            assert!(compose["configs"].get(source).is_some(), "{name}: {source}");
        }
    }
    let variables = services["export-room"]["environment"].as_object().unwrap();
    let mut shown = command(&["config", "show", "--config", "/dev/null"]);
    for (name, value) in variables {
        shown.env(name, value.as_str().unwrap());
    }
    let shown = ran(&mut shown);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for name in variables.keys().filter(|name| name.contains("__")) {
        assert!(shown.contains(&format!("# {name}")), "{name}: {shown}");
    }
}

#[test]
fn a_container_is_built_from_sources_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(root.join(name)).unwrap();
        text.lines()
            .map(|line| line.trim_start_matches('/').to_owned())
            .collect()
    };
    let left_out = lines(".dockerignore");
    // What is made here and not kept is not sent to whoever builds the container.
    for made in lines(".gitignore")
        .iter()
        .filter(|line| !line.contains('*'))
    {
        assert!(left_out.contains(made), "{made}");
    }
    assert!(left_out.contains(&".git".to_owned()));
}

#[test]
fn the_units_are_valid_and_hand_the_configuration_over() {
    let directory = tempfile::tempdir().unwrap();
    for (name, command) in [
        ("export-room.service", "serve"),
        ("export-room-work@.service", "work"),
    ] {
        let unit = deployed(name);
        // No file can belong to a user who is made when the unit starts.
        for line in [
            "DynamicUser=yes",
            "LoadCredential=config:/etc/export-room.toml",
            &format!("ExecStart=/usr/bin/export-room {command} --config %d/config"),
        ] {
            assert!(unit.lines().any(|found| found == line), "{name}: {line}");
        }
        let path = directory.path().join(name.replace('@', "@1"));
        let here = unit.replace("/usr/bin/export-room", env!("CARGO_BIN_EXE_export-room"));
        fs::write(&path, here).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", text(&path)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(
            verified.status.success() && said.is_empty(),
            "{name}: {said}"
        );
    }
}
