//! What the operator sees of a server: its health, its figures, the description of its API, and its log.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::cli::run;
use crate::support::demo::{self, ALICE, ROOM};
use crate::support::server::Server;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn health_says_which_part_does_not_work() {
    let server = demo::start(&[]);
    let answer = server.get("/health", None);
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ok"}"#));
    let answer = server.get("/health/ready", None);
    let ready = r#"{"status":"ok","workspace":"ok","store":"ok"}"#;
    assert_eq!((answer.status, answer.text()), (200, ready));
    let broken = demo::start(&[]);
    fs::remove_dir_all(broken.home.path().join("files")).unwrap();
    let answer = broken.get("/health/ready", None);
    let failed = r#"{"status":"failed","workspace":"ok","store":"failed"}"#;
    assert_eq!((answer.status, answer.text()), (503, failed));
    assert_eq!(broken.get("/health", None).status, 200);
    assert!(broken.log().contains("exports cannot be stored"));
}

#[test]
fn figures_tell_of_requests_jobs_and_exports() {
    let server = demo::start(&["mail.ready=false"]);
    let id = server.export(
        ALICE,
        &json!({"rid": ROOM, "type": "file", "format": "json"}),
    );
    assert_eq!(server.ended(ALICE, &id)["state"], "done");
    let size = server
        .get(&format!("/data-export/{id}"), Some(ALICE))
        .body
        .len();
    server.get("/no/such/route/of/mine", None);
    let answer = server.get("/metrics", None);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some(kind))
    );
    let text = answer.text();
    for line in [
        r#"export_room_http_requests_total{route="/api/v1/rooms.export",method="POST",status="200"} 1"#.to_owned(),
        r#"export_room_http_requests_total{route="none",method="GET",status="404"} 1"#.to_owned(),
        r#"export_room_jobs{kind="file_export",state="done"} 1"#.to_owned(),
        r#"export_room_jobs{kind="file_export",state="failed"} 0"#.to_owned(),
        "export_room_exported_messages_total 55".to_owned(),
        format!("export_room_downloaded_bytes_total {size}"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("no/such") && !text.contains(&id), "{text}");
}

#[test]
fn the_api_is_described_as_the_file_beside_the_sources_says() {
    let kept = fs::read_to_string(root().join("openapi.json")).unwrap();
    let ran = run(&["openapi"]);
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(
        printed == kept,
        "openapi.json is stale: run `cargo run -- openapi > openapi.json`"
    );
    let server = demo::start(&[]);
    let answer = server.get("/openapi.json", None);
    assert_eq!((answer.status, answer.text() == kept), (200, true));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document: Value = serde_json::from_str(&kept).unwrap();
    let mut said = String::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let answers = &operation["responses"];
            let has = |status: &str| answers.get(status).is_some();
            let reads = operation.get("requestBody").is_some();
            let protected = path.starts_with("/api/v1/") && operation.get("security").is_some();
            let wanted = [
                (reads, &["400", "408", "413", "429", "500"][..]),
                (protected, &["401", "403", "429", "500"]),
            ];
            for (applies, statuses) in wanted {
                for status in statuses.iter().filter(|status| applies && !has(status)) {
                    writeln!(said, "{method} {path} does not document {status}").unwrap();
                }
            }
        }
    }
    assert!(said.is_empty(), "\n{said}");
    for scheme in ["userId", "authToken"] {
        assert_eq!(
            document["components"]["securitySchemes"][scheme]["in"],
            "header"
        );
    }
}

/// The addresses that a page asks for by itself.
fn asked_for(page: &str) -> Vec<String> {
    let attributes = ["src=\"", "href=\""];
    let parts = attributes
        .iter()
        .flat_map(|start| page.split(start).skip(1));
    parts
        .map(|part| part.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_page_of_the_api_needs_nothing_from_elsewhere() {
    let server = demo::start(&[]);
    let redirect = server.get("/docs", None);
    assert_eq!(redirect.header("location"), Some("/docs/"));
    let page = server.get("/docs/", None);
    assert_eq!(page.status, 200);
    let asked = asked_for(page.text());
    assert!(asked.len() > 3, "{asked:?}");
    for address in asked {
        let file = address.strip_prefix("./").unwrap_or(&address);
        assert!(!file.contains(':') && !file.starts_with('/'), "{address}");
        let answer = server.get(&format!("/docs/{file}"), None);
        assert_eq!(answer.status, 200, "{address}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("http"),
            "{policy}"
        );
    }
    let start = server.get("/docs/swagger-initializer.js", None);
    assert!(start.text().contains("/openapi.json"), "{}", start.text());
    assert!(
        start.text().contains("\"validatorUrl\": \"none\""),
        "{}",
        start.text()
    );
    assert_eq!(server.get("/docs/nothing.js", None).status, 404);
}

#[test]
fn the_log_can_be_for_people() {
    let server: Server = demo::start(&["log.format=text"]);
    server.get("/health", None);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("answered"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("route=\"/health\"") && line.contains("status=200"),
        "{line}"
    );
}

/// The names of the fields in the calls of `tracing` in a source.
fn fields(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let kinds = ["trace", "debug", "info", "warn", "error"];
    let spans = kinds.map(|kind| format!("tracing::{kind}_span!("));
    let events = kinds.map(|kind| format!("tracing::{kind}!("));
    for start in spans.iter().chain(&events) {
        for (at, _) in text.match_indices(start.as_str()) {
            for argument in arguments(&text[at + start.len()..]) {
                let argument = argument.trim();
                let is_target = ["target:", "parent:"]
                    .iter()
                    .any(|name| argument.starts_with(name));
                if argument.starts_with('"') {
                    // A span's name comes first; behind an event's message are its arguments.
                    if start.contains("_span") {
                        continue;
                    }
                    break;
                }
                if argument.is_empty() || is_target {
                    continue;
                }
                let name = argument.split('=').next().unwrap().trim();
                found.insert(name.trim_start_matches(['%', '?']).to_owned());
            }
        }
    }
    found
}

/// The arguments of a call, from behind its opening parenthesis.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut found = vec![String::new()];
    for character in text.chars() {
        let last = found.last_mut().unwrap();
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => return found,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        last.push(character);
    }
    found
}

#[test]
fn every_field_of_the_log_is_documented_and_every_documented_one_exists() {
    let mut used = BTreeSet::new();
    let mut open = vec![root().join("src")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                used.extend(fields(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(used.len() > 10, "{used:?}");
    let page = fs::read_to_string(root().join("docs/logging.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<String> = rows
        .map(|row| row.split('`').next().unwrap().to_owned())
        .filter(|name| !name.starts_with("export_room"))
        .collect();
    assert_eq!(used, documented);
}

#[test]
fn fields_of_a_call_are_found() {
    let text = r#"
        tracing::info!(target: "audit", user = caller.user.id.0, ip = %call.client, job, "said, so");
        tracing::warn!(%error, ?other, "text {}", argument(1, 2));
        let span = tracing::info_span!("request", request = call.id, method = %call.method);
        tracing::error!(error = format!("{error:#}, \" x"), file.name = 1, "request failed");
        info!(ignored = 1);
    "#;
    let expected = [
        "error",
        "file.name",
        "ip",
        "job",
        "method",
        "other",
        "request",
        "user",
    ];
    assert_eq!(fields(text), expected.map(str::to_owned).into());
}
