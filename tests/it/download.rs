//! Downloading an export over a real socket: whose it is, how much of it, and what a person sees who gets nothing.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use bson::Document;
use export_room::export::report::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::demo::{self, ADMIN, ALICE, BOB, ROOM};
use crate::support::server::{Answer, PATIENCE, Server, Who, credentials, wait_for};

const NOT_LOGGED_IN: &str = r#"{"status":"error","message":"You must be logged in to do this."}"#;
const NO_PERMISSION: &str = r#"{"success":false,"error":"User does not have the permissions required for this action [error-unauthorized]"}"#;
const NOT_FOUND: &str = r#"{"success":false,"error":"Resource not found"}"#;
const BROWSER: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

/// A finished export of Alice's.
struct Finished {
    server: Server,
    id: String,
    path: String,
    bytes: Vec<u8>,
}

fn finished(settings: &[&str]) -> Finished {
    let server = demo::start(settings);
    let id = server.export(
        ALICE,
        &json!({"rid": ROOM, "type": "file", "format": "json"}),
    );
    let export = server.ended(ALICE, &id);
    assert_eq!(export["state"], "done", "{export}");
    let mut bytes = Vec::new();
    let stored = server.home.path().join("files").join(format!("{id}.zip"));
    io::copy(&mut File::open(stored).unwrap(), &mut bytes).unwrap();
    Finished {
        path: format!("/data-export/{id}"),
        server,
        id,
        bytes,
    }
}

impl Finished {
    fn get(&self, headers: &[(&str, &str)]) -> Answer {
        let mut all = credentials(Some(ALICE));
        all.extend(headers);
        self.server.send("GET", &self.path, &all, b"")
    }

    fn get_as(&self, who: Option<Who>, headers: &[(&str, &str)]) -> Answer {
        let mut all = credentials(who);
        all.extend(headers);
        self.server.send("GET", &self.path, &all, b"")
    }

    fn stored(&self) -> PathBuf {
        self.server
            .home
            .path()
            .join("files")
            .join(format!("{}.zip", self.id))
    }

    /// Changes the export's record behind the server's back.
    fn change_record(&self, change: impl FnOnce(&mut Document)) {
        let database = rusqlite::Connection::open(self.server.home.path().join("chat.db")).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        let select = "SELECT doc FROM user_data_file WHERE id = ?1";
        let raw: Vec<u8> = database
            .query_row(select, [&self.id], |row| row.get(0))
            .unwrap();
        let mut doc = Document::from_reader(raw.as_slice()).unwrap();
        change(&mut doc);
        let update = "UPDATE user_data_file SET doc = ?2 WHERE id = ?1";
        let changed = rusqlite::params![self.id, doc.to_vec().unwrap()];
        assert_eq!(database.execute(update, changed).unwrap(), 1);
    }

    /// Makes the export as large as this, of zeros, on disk and in its record.
    fn enlarge(&self, size: u64) {
        File::options()
            .write(true)
            .open(self.stored())
            .unwrap()
            .set_len(size)
            .unwrap();
        self.change_record(|doc| {
            doc.insert("size", i64::try_from(size).unwrap());
        });
    }

    /// Begins a download on a connection of its own and reads its head.
    fn begin(&self) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (id, token) = ALICE;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nHost: x\r\nX-User-Id: {id}\r\nX-Auth-Token: {token}\r\n\r\n",
            self.path
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        (stream, String::from_utf8(head).unwrap())
    }
}

#[test]
fn the_owner_gets_the_zip_and_nobody_else_does() {
    let export = finished(&[]);
    let (id, token) = ALICE;
    let query = format!("{}?rc_uid={id}&rc_token={token}", export.path);
    let cookie = format!("other=1; rc_uid={id}; rc_token={token}");
    let of_bob = format!("rc_uid={}; rc_token={}", BOB.0, BOB.1);
    for (way, answer) in [
        ("query", export.server.get(&query, None)),
        ("cookies", export.get_as(None, &[("cookie", &cookie)])),
        ("headers", export.get_as(Some(ALICE), &[])),
        // Whoever the browser's cookies belong to.
        (
            "headers beside cookies",
            export.get_as(Some(ALICE), &[("cookie", &of_bob)]),
        ),
    ] {
        assert_eq!(
            answer.status,
            200,
            "{way}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        assert!(answer.body == export.bytes, "{way}");
    }
    let broken = format!("{}?rc_uid={id}&rc_token=wrong", export.path);
    let nowhere = "/data-export/nowhere0000000000";
    for (what, answer, status, body) in [
        ("nobody", export.get_as(None, &[]), 401, NOT_LOGGED_IN),
        (
            "a wrong token",
            export.server.get(&broken, None),
            401,
            NOT_LOGGED_IN,
        ),
        (
            "somebody else",
            export.get_as(Some(BOB), &[]),
            403,
            NO_PERMISSION,
        ),
        (
            "an administrator",
            export.get_as(Some(ADMIN), &[]),
            403,
            NO_PERMISSION,
        ),
        (
            "no export",
            export.server.get(nowhere, Some(ALICE)),
            404,
            NOT_FOUND,
        ),
        (
            "no id",
            export.server.get("/data-export/%FF", Some(ALICE)),
            404,
            NOT_FOUND,
        ),
        (
            "nobody, no id",
            export.server.get("/data-export/%ff", None),
            401,
            NOT_LOGGED_IN,
        ),
        (
            "nobody, no export",
            export.server.get(nowhere, None),
            401,
            NOT_LOGGED_IN,
        ),
    ] {
        assert_eq!((answer.status, answer.text()), (status, body), "{what}");
    }
    let log = export.server.log();
    let audit = |message: &str| {
        let message = format!(r#""message":"{message}""#);
        log.lines().filter(|line| line.contains(&message)).count()
    };
    assert_eq!(
        (audit("download started"), audit("download refused")),
        (4, 8),
        "{log}"
    );
    assert!(!log.contains(token));
}

#[test]
fn what_is_sent_is_described_exactly() {
    let export = finished(&[]);
    let answer = export.get(&[]);
    let digest = hex(&Sha256::digest(&export.bytes));
    let size = export.bytes.len().to_string();
    let tag = format!("\"{digest}\"");
    let told = export.server.status(ALICE, &export.id);
    let name = told["fileName"].as_str().unwrap();
    assert!(name.is_ascii(), "{name}");
    assert_eq!(Path::new(name).extension().unwrap(), "zip");
    let extended = name.replace(' ', "%20");
    let disposition = format!("attachment; filename=\"{name}\"; filename*=UTF-8''{extended}");
    for (header, expected) in [
        ("content-type", "application/zip"),
        ("content-length", &*size),
        ("content-disposition", &*disposition),
        ("etag", &*tag),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-cache"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(header), Some(expected), "{header}");
    }
    let head = export
        .server
        .send("HEAD", &export.path, &credentials(Some(ALICE)), b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    for header in [
        "content-length",
        "content-disposition",
        "etag",
        "last-modified",
    ] {
        assert_eq!(head.header(header), answer.header(header), "{header}");
    }
    export.change_record(|doc| {
        doc.insert("name", "%C3%9Cberblick%20%22so%22.zip");
    });
    let disposition =
        "attachment; filename=\"_berblick -so-.zip\"; filename*=UTF-8''%C3%9Cberblick%20-so-.zip";
    assert_eq!(
        export.get(&[]).header("content-disposition"),
        Some(disposition)
    );
}

#[test]
fn a_part_of_the_zip_can_be_asked_for() {
    let export = finished(&[]);
    let size = export.bytes.len();
    let tag = export.get(&[]).header("etag").unwrap().to_owned();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, size),
        ("bytes=-7", size - 7, size),
    ] {
        let answer = export.get(&[("range", range), ("if-range", &tag)]);
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == export.bytes[from..to], "{range}");
        let described = format!("bytes {from}-{}/{size}", to - 1);
        assert_eq!(answer.header("content-range"), Some(&*described));
    }
    for whole in [
        &[("range", "bytes=0-1,5-6")][..],
        &[("range", "bytes=10-19"), ("if-range", "\"another\"")],
    ] {
        let answer = export.get(whole);
        assert_eq!((answer.status, answer.body.len()), (200, size), "{whole:?}");
    }
    let answer = export.get(&[("range", &format!("bytes={size}-"))]);
    assert_eq!((answer.status, answer.body.len()), (416, 0));
    assert_eq!(
        answer.header("content-range"),
        Some(&*format!("bytes */{size}"))
    );
}

#[test]
fn who_has_the_zip_already_is_told_so() {
    let export = finished(&[]);
    let answer = export.get(&[]);
    let (tag, modified) = (
        answer.header("etag").unwrap(),
        answer.header("last-modified").unwrap(),
    );
    for given in [("if-none-match", tag), ("if-modified-since", modified)] {
        let answer = export.get(&[given]);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{given:?}");
        assert_eq!(answer.header("etag"), Some(tag));
    }
    // Only to its owner.
    assert_eq!(
        export.get_as(Some(BOB), &[("if-none-match", tag)]).status,
        403
    );
}

#[test]
fn a_file_that_is_gone_or_cut_is_an_error_before_anything_is_sent() {
    let export = finished(&[]);
    let file = File::options().write(true).open(export.stored()).unwrap();
    file.set_len(10).unwrap();
    let answer = export.get(&[]);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert_eq!(
        answer.text(),
        r#"{"success":false,"error":"Internal server error"}"#
    );
    fs::remove_file(export.stored()).unwrap();
    let answer = export.get(&[]);
    assert_eq!((answer.status, answer.text()), (404, NOT_FOUND));
    let page = export.get(&[BROWSER]);
    assert_eq!(page.status, 404);
    assert!(page.text().contains("This export is not here"));
    let log = export.server.log();
    assert!(log.contains("has 10 bytes instead of"), "{log}");
    assert!(log.contains("the file of an export is missing"), "{log}");
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_ends_the_connection() {
    const SIZE: u64 = 256 << 20;
    let export = finished(&[]);
    export.enlarge(SIZE);
    let (mut stream, head) = export.begin();
    assert!(
        head.contains(&format!("content-length: {SIZE}\r\n")),
        "{head}"
    );
    File::options()
        .write(true)
        .open(export.stored())
        .unwrap()
        .set_len(10)
        .unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        received += read as u64;
    }
    assert!(received < SIZE, "{received}");
    wait_for("the log to tell", || {
        let log = export.server.log();
        let told = [
            "a download was cut off",
            "the file of an export is too short",
        ];
        told.iter().any(|told| log.contains(told)).then_some(())
    });
}

#[test]
fn a_client_that_leaves_frees_what_it_had() {
    let export = finished(&[]);
    export.enlarge(256 << 20);
    let (stream, head) = export.begin();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let open_files = || {
        let listed = fs::read_dir(format!("/proc/{}/fd", export.server.child.id())).unwrap();
        let links = listed.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|target| *target == export.stored()).count()
    };
    assert_eq!(open_files(), 1);
    drop(stream);
    wait_for("the file to be closed", || {
        (open_files() == 0).then_some(())
    });
    assert!(export.server.log().contains("the client left a download"));
}

#[test]
fn downloads_can_be_switched_off() {
    let export = finished(&["security.download=false"]);
    let answer = export.get(&[]);
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .text()
            .contains("Downloads of exports are switched off")
    );
    assert_eq!(export.get(&[BROWSER]).status, 403);
}

/// The value of a field in a page's form.
fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap();
    rest.split_once('"').unwrap().0
}

fn is_page(answer: &Answer, status: u16, title: &str) -> String {
    let page = answer.text().to_owned();
    assert_eq!(answer.status, status, "{page}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
    assert!(!page.contains("<script"), "{page}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    page
}

#[test]
fn a_browser_without_rights_is_shown_what_to_do_and_can_log_in() {
    let export = finished(&[]);
    let page = is_page(&export.get_as(None, &[BROWSER]), 401, "Log in to download");
    assert_eq!(field(&page, "next"), export.path);
    is_page(
        &export.get_as(Some(BOB), &[BROWSER]),
        403,
        "This is not your export",
    );
    let post = |form: &str, more: &[(&str, &str)]| {
        let mut headers = vec![
            BROWSER,
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(more);
        export
            .server
            .send("POST", "/data-export-login", &headers, form.as_bytes())
    };
    let next = export.path.replace('/', "%2F");
    let wrong = post(
        &format!("username=%3Cb%3Ealice&password=no&code=&next={next}"),
        &[],
    );
    let page = is_page(&wrong, 401, "That did not work");
    assert_eq!(field(&page, "username"), "&lt;b&gt;alice");
    assert_eq!(field(&page, "next"), export.path);
    let right = format!("username=alice&password=alice-test-password&code=&next={next}");
    let foreign = post(&right, &[("sec-fetch-site", "cross-site")]);
    is_page(&foreign, 401, "Log in to download");
    assert_eq!(foreign.header("set-cookie"), None);
    let away = right.replace(&next, "https%3A%2F%2Fevil.test%2F");
    assert_eq!(post(&away, &[]).header("location"), None);
    let answer = post(&right, &[("sec-fetch-site", "same-origin")]);
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some(&*export.path))
    );
    let cookies = &answer.headers["set-cookie"];
    assert_eq!(cookies.len(), 2);
    let site = "; Path=/; HttpOnly; SameSite=Lax";
    let values: Vec<&str> = cookies
        .iter()
        .map(|cookie| cookie.strip_suffix(site).unwrap())
        .collect();
    let answer = export.get_as(None, &[BROWSER, ("cookie", &values.join("; "))]);
    assert_eq!(answer.status, 200);
    assert!(answer.body == export.bytes);
}

#[test]
fn the_page_speaks_the_language_of_the_browser() {
    let export = finished(&[]);
    for (accepted, language, title, button) in [
        (
            "de-AT,de;q=0.9,en;q=0.8",
            "de",
            "Zum Herunterladen anmelden",
            "Anmelden und herunterladen",
        ),
        (
            "it, ja;q=0.5",
            "ja",
            "ダウンロードするにはログインしてください",
            "ログインしてダウンロード",
        ),
        ("it", "en", "Log in to download", "Log in and download"),
    ] {
        let answer = export.get_as(None, &[BROWSER, ("accept-language", accepted)]);
        let page = is_page(&answer, 401, title);
        assert!(
            page.contains(&format!("<html lang=\"{language}\">")),
            "{page}"
        );
        assert!(
            page.contains(&format!("<button>{button}</button>")),
            "{page}"
        );
        assert_eq!(
            answer.header("vary"),
            Some("accept, accept-language, cookie")
        );
    }
    // What is refused after the form was sent as well.
    let wrong = export.server.send(
        "POST",
        "/data-export-login",
        &[
            BROWSER,
            ("accept-language", "fr"),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        b"username=alice&password=no&code=&next=%2Fdata-export%2Fx",
    );
    is_page(&wrong, 401, "Cela n’a pas fonctionné");
}

#[test]
fn where_users_log_in_elsewhere_the_page_leads_there() {
    let export = finished(&["security.login=false", "http.site_url=https://chat.test"]);
    let answer = export.get_as(None, &[BROWSER]);
    let page = is_page(&answer, 401, "Log in to download");
    assert!(page.contains("<a href=\"https://chat.test\">"), "{page}");
    assert!(!page.contains("<form"), "{page}");
    let form = [
        BROWSER,
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let body = format!(
        "username=alice&password=alice-test-password&next={}",
        export.path
    );
    let answer = export
        .server
        .send("POST", "/data-export-login", &form, body.as_bytes());
    is_page(&answer, 404, "You cannot log in here");
}

#[test]
fn cookies_are_for_encrypted_connections_where_the_site_has_them() {
    let server = demo::start(&["http.site_url=https://chat.test"]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = b"username=alice&password=alice-test-password&next=/data-export/x";
    let answer = server.send("POST", "/data-export-login", &form, body);
    assert_eq!(answer.status, 303);
    for cookie in &answer.headers["set-cookie"] {
        assert!(cookie.ends_with("; SameSite=Lax; Secure"), "{cookie}");
    }
    let wrong = server.send(
        "POST",
        "/data-export-login",
        &form,
        b"username=alice&password=x&next=/data-export/x",
    );
    let refused: Value = wrong.json();
    assert_eq!(
        (wrong.status, &refused["error"]),
        (401, &json!("Unauthorized"))
    );
}
