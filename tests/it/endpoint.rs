//! `POST /api/v1/rooms.export` and what stands beside it, through a real socket: status, headers and bodies exactly.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bson::{Bson, doc};
use serde_json::{Value, json};

use crate::support::generate::ROOM;
use crate::support::server::{
    ADMIN, ALICE, Answer, BOB, ROBOT, Server, Who, changed_home, credentials, large_home, signal,
    small_home, wait_for,
};

const PATH: &str = "/api/v1/rooms.export";
const ACCEPTED: &str = r#"{"success":true}"#;
const NOT_LOGGED_IN: &str = r#"{"status":"error","message":"You must be logged in to do this."}"#;
const NO_PERMISSION: &str = r#"{"success":false,"error":"User does not have the permissions required for this action [error-unauthorized]"}"#;
const TOO_LARGE: &str =
    r#"{"success":false,"error":"[error-invalid-params]","errorType":"error-invalid-params"}"#;
const NOT_ALLOWED: &str = r#"{"success":false,"error":"Not Allowed [error-not-allowed]","errorType":"error-not-allowed"}"#;
const DATES: &str = r#"{"success":false,"error":"From date cannot be after To date [error-invalid-dates]","errorType":"error-invalid-dates"}"#;
/// By mail.
const MAILED: &str = r#"{"missing":[],"success":true}"#;
const NO_EXPORT: &str =
    r#"{"success":false,"error":"[error-invalid-export]","errorType":"error-invalid-export"}"#;

/// A refusal with a code only.
fn code(code: &str) -> String {
    format!(r#"{{"success":false,"error":"[{code}]","errorType":"{code}"}}"#)
}

/// A refusal with details.
fn detailed(code: &str, details: &Value) -> String {
    format!(r#"{{"success":false,"error":"[{code}]","errorType":"{code}","details":{details}}}"#)
}

fn params(field: &str, reason: &str) -> String {
    detailed(
        "error-invalid-params",
        &json!({"field": field, "reason": reason}),
    )
}

/// The object with some fields set to other values; `"-"` takes a field away.
fn with(base: &Value, changes: &Value) -> Value {
    let mut body = base.clone();
    for (key, value) in changes.as_object().unwrap() {
        if value == "-" {
            body.as_object_mut().unwrap().remove(key);
        } else {
            body[key] = value.clone();
        }
    }
    body
}

fn file(changes: &Value) -> Value {
    let base = json!({"rid": "GENERAL", "type": "file", "format": "html"});
    with(&base, changes)
}

fn email(changes: &Value) -> Value {
    let base = json!({"rid": "GENERAL", "type": "email", "toUsers": ["admin"], "toEmails": ["a@example.org"],
        "messages": ["GENERAL-1"], "subject": "About"});
    with(&base, changes)
}

/// Nothing runs, nothing is counted.
fn quiet() -> Server {
    Server::start(&[
        "jobs.workers=0",
        "jobs.per_user_waiting=1000",
        "mail.transport=directory",
    ])
}

/// What every answer of the API has.
fn check_headers(answer: &Answer, what: &str) {
    for (name, expected) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("pragma", "no-cache"),
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-headers",
            "Origin, X-Requested-With, Content-Type, Accept, X-User-Id, X-Auth-Token, x-visitor-token, Authorization",
        ),
    ] {
        assert_eq!(answer.header(name), Some(expected), "{what}: {name}");
    }
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(id.len(), 17, "{what}: {id}");
}

fn check(answer: &Answer, status: u16, body: &str, what: &str) {
    assert_eq!((answer.status, answer.text()), (status, body), "{what}");
    check_headers(answer, what);
}

#[test]
fn the_published_example_is_accepted() {
    let server = quiet();
    // The example with a room that is here; every field of both types at once.
    let body = r#"{"rid":"GENERAL","type":"file","dateFrom":"2000-01-01","dateTo":"2021-11-25","format":"html",
         "toUsers":["test.user"],"toEmails":["test@test.com"],
         "messages":["yd6NBgNoiWATgDoFt","BoCjicj9DdYoMHHeo","tajMB3aX3sawFWe8W"],"subject":"Test Subject "}"#;
    let mut headers = credentials(Some(ADMIN));
    headers.push(("content-type", "application/json"));
    let answer = server.send("POST", PATH, &headers, body.as_bytes());
    check(&answer, 200, ACCEPTED, body);
    let location = answer.header("location").unwrap();
    let export = server.get(location, Some(ADMIN)).json();
    assert_eq!(export["export"]["dateFrom"], "2000-01-01");
    assert_eq!(export["export"]["from"], "2000-01-01T00:00:00.000Z");
    assert_eq!(export["export"]["to"], "2021-11-25T23:59:59.999Z");
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one table, read against the specification"
)]
fn every_request_has_its_documented_answer() {
    let server = quiet();
    let yes = || (200, ACCEPTED.to_owned());
    let bad = |body: String| (400, body);
    let wrong = |field: &str, reason: &str| (400, params(field, reason));
    let required = |field: &str| wrong(field, &format!("must have required property '{field}'"));
    let allowed = "must be equal to one of the allowed values";
    let date = r#"must match format "date""#;
    let string = "must be string";
    let room = || bad(code("error-invalid-room"));
    let format = || bad(code("error-invalid-format"));
    let nobody = || bad(code("error-invalid-recipient"));
    let mailed = || (200, MAILED.to_owned());
    let inverted = json!({"dateFrom": "2024-03-22", "dateTo": "2024-03-15"});
    let long: Vec<_> = (0..501).map(|n| format!("{n}@example.org")).collect();
    let cases: Vec<(Who, Value, (u16, String))> = vec![
        // The documented rows.
        (ADMIN, file(&json!({})), yes()),
        (ADMIN, file(&json!({"format": "json"})), yes()),
        (ADMIN, file(&json!({"rid": "nowhere"})), room()),
        (ADMIN, file(&json!({"format": "pdf"})), format()),
        (BOB, file(&json!({})), (403, NO_PERMISSION.to_owned())),
        // Decision 1: the order of the checks.
        (
            BOB,
            file(&json!({"rid": "nowhere"})),
            (403, NO_PERMISSION.to_owned()),
        ),
        (BOB, file(&json!({"rid": "-"})), required("rid")),
        (
            ADMIN,
            with(&file(&json!({"rid": "nowhere"})), &inverted),
            room(),
        ),
        (
            ADMIN,
            with(&file(&json!({"rid": "helpdesk0000000001"})), &inverted),
            bad(NOT_ALLOWED.to_owned()),
        ),
        (
            ADMIN,
            email(&json!({"rid": "nowhere", "toUsers": [], "toEmails": []})),
            room(),
        ),
        // The permission is held in the room only.
        (ALICE, file(&json!({"rid": "helpdesk0000000001"})), yes()),
        (ALICE, file(&json!({})), (403, NO_PERMISSION.to_owned())),
        // Decision 2: fields of the other type, and of none.
        (
            ADMIN,
            file(&json!({"toUsers": 5, "messages": {}, "subject": null, "additionalEmails": []})),
            yes(),
        ),
        (
            ADMIN,
            email(&json!({"dateFrom": "never", "dateTo": 7, "format": "pdf"})),
            mailed(),
        ),
        (
            ADMIN,
            file(&json!({"dateForm": "2024-01-01"})),
            wrong("dateForm", "must NOT have additional properties"),
        ),
        (ADMIN, file(&json!({"additionalEmails": "x"})), yes()),
        // Decision 3: the first problem in the order of the table.
        (ADMIN, json!({}), required("rid")),
        (ADMIN, json!({"unknown": 1, "type": 1}), required("rid")),
        (
            ADMIN,
            file(&json!({"rid": 5, "type": 5})),
            wrong("rid", string),
        ),
        (
            ADMIN,
            file(&json!({"dateTo": 1, "format": "x", "extra": 1})),
            wrong("dateTo", string),
        ),
        (
            ADMIN,
            file(&json!({"dateTo": "x", "dateFrom": "y"})),
            wrong("dateFrom", date),
        ),
        // Decision 4: nothing is coerced.
        (ADMIN, file(&json!({"type": "-"})), required("type")),
        (ADMIN, file(&json!({"type": "csv"})), wrong("type", allowed)),
        (
            ADMIN,
            file(&json!({"type": ["file"]})),
            wrong("type", string),
        ),
        (ADMIN, file(&json!({"rid": null})), wrong("rid", string)),
        (
            ADMIN,
            file(&json!({"rid": {"$ne": 1}})),
            wrong("rid", string),
        ),
        (ADMIN, json!([]), wrong("", "must be object")),
        (ADMIN, json!("GENERAL"), wrong("", "must be object")),
        // Decision 5.
        (ADMIN, file(&json!({"format": "-"})), format()),
        (ADMIN, file(&json!({"format": null})), format()),
        (ADMIN, file(&json!({"format": ["html"]})), format()),
        (ADMIN, file(&json!({"format": "HTML"})), format()),
        // Decision 6: dates.
        (
            ADMIN,
            file(&json!({"dateFrom": null, "dateTo": null})),
            yes(),
        ),
        (
            ADMIN,
            file(&json!({"dateFrom": "2024-03-15", "dateTo": "2024-03-15"})),
            yes(),
        ),
        (
            ADMIN,
            file(&json!({"dateFrom": "2024-03-15T23:59:59.999Z", "dateTo": "2024-03-15"})),
            yes(),
        ),
        (
            ADMIN,
            file(&json!({"dateFrom": "2020-12-03T05:07:50.000"})),
            yes(),
        ),
        (
            ADMIN,
            file(&json!({"dateFrom": "2024-02-30"})),
            wrong("dateFrom", date),
        ),
        (ADMIN, file(&json!({"dateTo": ""})), wrong("dateTo", date)),
        (
            ADMIN,
            file(&json!({"dateTo": 20_240_315})),
            wrong("dateTo", string),
        ),
        (ADMIN, file(&inverted), bad(DATES.to_owned())),
        (
            ADMIN,
            file(&json!({"dateFrom": "9999-12-31"})),
            bad(DATES.to_owned()),
        ),
        // Decision 7: the permission, but no access; there is no override.
        (
            ADMIN,
            file(&json!({"rid": "helpdesk0000000001"})),
            bad(NOT_ALLOWED.to_owned()),
        ),
        // Decision 8: mail.
        (ADMIN, email(&json!({})), mailed()),
        (ADMIN, email(&json!({"toEmails": "-"})), mailed()),
        (ADMIN, email(&json!({"toUsers": null})), mailed()),
        (
            ADMIN,
            email(&json!({"toUsers": ["uAdmin"], "toEmails": []})),
            mailed(),
        ),
        (
            ADMIN,
            email(&json!({"toUsers": [""], "toEmails": [" "]})),
            nobody(),
        ),
        (
            ADMIN,
            email(&json!({"toUsers": "-", "toEmails": "-"})),
            nobody(),
        ),
        (
            ADMIN,
            email(&json!({"toUsers": [], "toEmails": [], "additionalEmails": "b@example.org, "})),
            mailed(),
        ),
        (
            ADMIN,
            email(&json!({"toEmails": ["a@example.org", "not an address"]})),
            bad(detailed(
                "error-invalid-email",
                &json!({"address": "not an address"}),
            )),
        ),
        (
            ADMIN,
            email(&json!({"toEmails": [], "additionalEmails": "x@"})),
            bad(detailed("error-invalid-email", &json!({"address": "x@"}))),
        ),
        (
            ADMIN,
            email(&json!({"messages": "-"})),
            required("messages"),
        ),
        (
            ADMIN,
            email(&json!({"messages": []})),
            wrong("messages", "must NOT have fewer than 1 items"),
        ),
        (
            ADMIN,
            email(&json!({"messages": "m"})),
            wrong("messages", "must be array"),
        ),
        (
            ADMIN,
            email(&json!({"messages": [1]})),
            wrong("messages", string),
        ),
        (ADMIN, email(&json!({"subject": "-"})), required("subject")),
        (
            ADMIN,
            email(&json!({"subject": 1})),
            wrong("subject", string),
        ),
        (ADMIN, email(&json!({"subject": ""})), mailed()),
        (
            ADMIN,
            email(&json!({"toUsers": "admin"})),
            wrong("toUsers", "must be array"),
        ),
        (
            ADMIN,
            email(&json!({"toEmails": long})),
            wrong("toEmails", "must NOT have more than 500 items"),
        ),
        (
            BOB,
            email(&json!({"toUsers": [], "toEmails": []})),
            (403, NO_PERMISSION.to_owned()),
        ),
        // Decision 9: nobody can be reached.
        (
            ADMIN,
            email(&json!({"toUsers": ["ghost", "carol"], "toEmails": []})),
            bad(detailed(
                "error-invalid-recipient",
                &json!({"missing": ["ghost", "carol"]}),
            )),
        ),
        (
            ADMIN,
            email(&json!({"toUsers": ["ghost", "admin"], "toEmails": []})),
            (200, r#"{"missing":["ghost"],"success":true}"#.to_owned()),
        ),
        // Decision 10: one of the messages in the room is enough; those of other rooms are none.
        (
            ADMIN,
            email(&json!({"messages": ["nothing", "GENERAL-1"]})),
            (
                200,
                r#"{"missing":[],"missingMessages":["nothing"],"success":true}"#.to_owned(),
            ),
        ),
        (
            ADMIN,
            email(&json!({"messages": ["nothing", "", "helpdesk0000000001-0"]})),
            bad(code("error-invalid-messages")),
        ),
    ];
    for (who, body, (status, expected)) in cases {
        let answer = server.post(PATH, Some(who), &body);
        check(&answer, status, &expected, &format!("{} {body}", who.0));
        assert_eq!(answer.header("location").is_some(), status == 200);
    }
}

#[test]
fn rocket_chats_own_cases_have_the_pages_answers() {
    let server = quiet();
    let dates = json!({"dateFrom": "2024-03-15", "dateTo": "2024-03-22"});
    let inverted = json!({"dateFrom": "2024-03-22", "dateTo": "2024-03-15"});
    let to = |changes: &Value| {
        let base = json!({"rid": "GENERAL", "type": "email", "subject": "Test Subject", "messages": ["GENERAL-1"]});
        with(&base, changes)
    };
    // Contract §2.1, with the page's codes where they differ; the numbers are that table's.
    for (number, body, status, kind) in [
        (
            1,
            file(&json!({"dateFrom": "test-date", "dateTo": "test-date"})),
            400,
            "error-invalid-params",
        ),
        (
            2,
            with(&file(&dates), &json!({"rid": "-"})),
            400,
            "error-invalid-params",
        ),
        (
            3,
            with(&file(&dates), &json!({"type": "-"})),
            400,
            "error-invalid-params",
        ),
        (4, file(&inverted), 400, "error-invalid-dates"),
        (
            5,
            with(&file(&inverted), &json!({"rid": "invalid-rid"})),
            400,
            "error-invalid-room",
        ),
        (
            6,
            with(&file(&dates), &json!({"format": "-"})),
            400,
            "error-invalid-format",
        ),
        (
            7,
            with(&file(&dates), &json!({"format": "invalid-format"})),
            400,
            "error-invalid-format",
        ),
        (
            8,
            with(&file(&dates), &json!({"type": "invalid-type"})),
            400,
            "error-invalid-params",
        ),
        (9, file(&dates), 200, ""),
        (10, file(&json!({})), 200, ""),
        (
            11,
            to(&json!({"toUsers": []})),
            400,
            "error-invalid-recipient",
        ),
        (
            12,
            to(&json!({"toEmails": []})),
            400,
            "error-invalid-recipient",
        ),
        (13, to(&json!({})), 400, "error-invalid-recipient"),
        (
            14,
            to(&json!({"toUsers": ["admin"], "messages": []})),
            400,
            "error-invalid-params",
        ),
        (15, to(&json!({"toUsers": ["uAdmin"]})), 200, ""),
    ] {
        let answer = server.post(PATH, Some(ADMIN), &body);
        assert_eq!(answer.status, status, "{number}: {}", answer.text());
        assert_eq!(answer.json()["success"], status == 200, "{number}");
        let found = answer.json()["errorType"].as_str().unwrap_or("").to_owned();
        assert_eq!(found, kind, "{number}");
        check_headers(&answer, &number.to_string());
    }
}

#[test]
fn only_credentials_that_are_valid_now_are_accepted() {
    let server = quiet();
    let unnamed = r#"{"success":false,"error":"Users must have a username [error-unauthorized]"}"#;
    let cases: &[(Option<Who>, u16, &str)] = &[
        (None, 401, NOT_LOGGED_IN),
        (Some(("uAlice", "alice-token")), 200, ACCEPTED),
        (Some(("uAlice", "alice-personal")), 200, ACCEPTED),
        (Some(("uAlice", "alice-expired")), 401, NOT_LOGGED_IN),
        (Some(("uAlice", "admin-token")), 401, NOT_LOGGED_IN),
        (Some(("alice", "alice-token")), 401, NOT_LOGGED_IN),
        (Some(("uAlice", "")), 401, NOT_LOGGED_IN),
        (Some(("", "alice-token")), 401, NOT_LOGGED_IN),
        (Some(("uGhost", "alice-token")), 401, NOT_LOGGED_IN),
        (Some(("uErin", "erin-token")), 401, NOT_LOGGED_IN),
        (Some(("uNobody", "nobody-token")), 403, unnamed),
    ];
    let body = file(&json!({"rid": "helpdesk0000000001"}));
    for (who, status, expected) in cases {
        let answer = server.post(PATH, *who, &body);
        check(&answer, *status, expected, &format!("{who:?}"));
    }
    // Authentication comes before the body.
    check(
        &server.post(PATH, None, &json!([])),
        401,
        NOT_LOGGED_IN,
        "[]",
    );
    // Cookies and queries are for downloads.
    let cookie = [("cookie", "rc_uid=uAdmin; rc_token=admin-token")];
    let path = format!("{PATH}?rc_uid=uAdmin&rc_token=admin-token");
    check(
        &server.send("POST", &path, &cookie, b"{}"),
        401,
        NOT_LOGGED_IN,
        "cookie",
    );
    let one = [("x-user-id", "uAdmin")];
    check(
        &server.send("POST", PATH, &one, b"{}"),
        401,
        NOT_LOGGED_IN,
        "no token",
    );
    let log = server.log();
    for token in ["alice-token", "alice-expired", "admin-token"] {
        assert!(!log.contains(token), "{token} is in the log");
    }
}

#[test]
fn login_tokens_live_as_long_as_the_operator_says() {
    // What the workspace says makes no sense, so that 90 days count; the operator says more.
    let server = Server::start(&["jobs.workers=0", "security.login_expiration_days=36500"]);
    let body = file(&json!({"rid": "helpdesk0000000001"}));
    let answer = server.post(PATH, Some(("uAlice", "alice-expired")), &body);
    check(&answer, 200, ACCEPTED, "a token of 2017");
}

#[test]
fn bodies_are_read_by_their_content_type() {
    let server = quiet();
    let json = file(&json!({})).to_string();
    let form = "rid=GENERAL&type=file&format=html&dateFrom=2024-03-15";
    let no_rid = params("rid", "must have required property 'rid'");
    let yes = ACCEPTED;
    for (kind, body, status, expected) in [
        (Some("application/json"), json.as_str(), 200, yes),
        (Some("application/json; charset=utf-8"), &json, 200, yes),
        (Some("Application/JSON"), &json, 200, yes),
        (Some("application/x-www-form-urlencoded"), form, 200, yes),
        (
            Some("application/x-www-form-urlencoded; charset=UTF-8"),
            form,
            200,
            yes,
        ),
        (
            Some("application/x-www-form-urlencoded"),
            "rid=GENERAL&type=email&messages=m&subject=s",
            400,
            &params("messages", "must be array"),
        ),
        (
            Some("application/json"),
            r#"{"rid":"GENERAL","#,
            400,
            &no_rid,
        ),
        (Some("application/json"), "", 400, &no_rid),
        (Some("application/json"), "\u{feff}{}", 400, &no_rid),
        (Some("application/json"), form, 400, &no_rid),
        (
            Some("application/x-www-form-urlencoded"),
            &json,
            400,
            &no_rid,
        ),
        (Some("text/plain"), &json, 400, &no_rid),
        (
            Some("multipart/form-data; boundary=x"),
            "--x--",
            400,
            &no_rid,
        ),
        (None, &json, 400, &no_rid),
        // The last of two fields counts, as in JavaScript.
        (
            Some("application/json"),
            r#"{"rid":5,"rid":"GENERAL","type":"file","format":"json"}"#,
            200,
            yes,
        ),
    ] {
        let mut headers = credentials(Some(ADMIN));
        headers.extend(kind.map(|kind| ("content-type", kind)));
        let answer = server.send("POST", PATH, &headers, body.as_bytes());
        check(&answer, status, expected, &format!("{kind:?} {body}"));
    }
    let deep = "[".repeat(100_000);
    let mut headers = credentials(Some(ADMIN));
    headers.push(("content-type", "application/json"));
    let answer = server.send("POST", PATH, &headers, deep.as_bytes());
    check(&answer, 400, &no_rid, "a hundred thousand brackets");
}

#[test]
fn a_body_of_more_than_a_mebibyte_is_refused() {
    let server = quiet();
    let mut headers = credentials(Some(ADMIN));
    headers.push(("content-type", "application/json"));
    let body = |length: usize| {
        let start = r#"{"rid":"GENERAL","type":"file","format":"html","subject":""#;
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    for (length, status, expected) in [
        (1 << 20, 200, ACCEPTED),
        ((1 << 20) + 1, 413, TOO_LARGE),
        (5 << 20, 413, TOO_LARGE),
    ] {
        let answer = server.send("POST", PATH, &headers, body(length).as_bytes());
        check(&answer, status, expected, &length.to_string());
    }
}

#[test]
fn a_body_of_more_than_16_kib_is_refused_where_a_few_texts_are_asked_for() {
    let server = quiet();
    let mut headers = credentials(Some(ADMIN));
    headers.push(("content-type", "application/json"));
    for path in [
        "/api/v1/login",
        "/api/v1/rooms.export.cancel",
        "/api/v1/rooms.export.delete",
        "/data-export-login",
    ] {
        // Anything but 413 shows that the body was read.
        for (length, refused) in [(16 << 10, false), ((16 << 10) + 1, true)] {
            let body = format!(r#"{{"{}":""}}"#, "x".repeat(length - 7));
            assert_eq!(body.len(), length);
            let answer = server.send("POST", path, &headers, body.as_bytes());
            assert_eq!(answer.status == 413, refused, "{path} {length}");
            if refused {
                assert_eq!(answer.text(), TOO_LARGE, "{path}");
            }
        }
    }
}

#[test]
fn one_client_cannot_have_all_connections_unless_it_is_the_proxy() {
    let begun = b"GET /api/info HTTP/1.1\r\nHost: x\r\n";
    let direct = Server::start(&["jobs.workers=0", "http.max_connections=4"]);
    let proxied = Server::start(&[
        "jobs.workers=0",
        "http.max_connections=4",
        "http.forwarded_count=1",
    ]);
    for (server, closed) in [(&direct, true), (&proxied, false)] {
        // One of four is a client's share, and this one has not been answered yet.
        let mut held = TcpStream::connect(server.address()).unwrap();
        held.write_all(begun).unwrap();
        let answer = server.raw(b"GET /api/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.is_empty(), closed, "{answer}");
        // The first goes on.
        held.write_all(b"Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        held.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn other_methods_and_paths_are_told_so() {
    let server = quiet();
    let not_allowed = r#"{"success":false,"error":"Method not allowed"}"#;
    let not_found = r#"{"success":false,"error":"Resource not found"}"#;
    for (method, path, status, allow, body) in [
        ("GET", PATH, 405, Some("POST"), not_allowed),
        ("PUT", PATH, 405, Some("POST"), not_allowed),
        ("DELETE", PATH, 405, Some("POST"), not_allowed),
        ("HEAD", PATH, 405, Some("POST"), ""),
        (
            "POST",
            "/api/v1/rooms.export.status",
            405,
            Some("GET,HEAD"),
            not_allowed,
        ),
        ("GET", "/api/v1/rooms.exports", 404, None, not_found),
        ("POST", "/api/v1/rooms.export/", 404, None, not_found),
    ] {
        let answer = server.send(method, path, &credentials(Some(ADMIN)), b"");
        check(&answer, status, body, &format!("{method} {path}"));
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    let list = "/api/v1/rooms.export.list";
    let whole = server.get(list, Some(ADMIN));
    let head = server.send("HEAD", list, &credentials(Some(ADMIN)), b"");
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(
        head.header("content-length"),
        Some(&*whole.body.len().to_string())
    );
}

/// Settings; the origin that asks; status, body and allowed origin of the answer.
type Preflight<'a> = (
    &'a [&'a str],
    Option<&'a str>,
    u16,
    &'a str,
    Option<&'a str>,
);

#[test]
fn pages_of_other_origins_may_call_when_the_operator_says_so() {
    let wanted = "CORS not enabled. Go to \"Admin > General > REST Api\" to enable it.";
    let headers = "Origin, X-Requested-With, Content-Type, Accept, X-User-Id, X-Auth-Token, x-visitor-token, Authorization";
    let (one, other) = ("https://one.example", "https://other.example");
    let listed = "http.cors_origin=https://One.example, https://two.example";
    let cases: [Preflight; 6] = [
        (&[], None, 200, "OK", None),
        (&[], Some(one), 405, wanted, None),
        (&["http.cors=true"], Some(one), 200, "OK", Some("*")),
        (&["http.cors=true", listed], Some(one), 200, "OK", Some(one)),
        (
            &["http.cors=true", listed],
            Some(other),
            403,
            "Invalid origin",
            None,
        ),
        (&["http.cors=false"], Some(one), 405, wanted, None),
    ];
    for (settings, origin, status, body, allowed) in cases {
        let server = Server::start(&[&["jobs.workers=0"], settings].concat());
        let mut request = vec![];
        if let Some(origin) = origin {
            request.extend([
                ("origin", origin),
                ("access-control-request-method", "POST"),
            ]);
        }
        let answer = server.send("OPTIONS", PATH, &request, b"");
        let what = format!("{settings:?} {origin:?}");
        assert_eq!((answer.status, answer.text()), (status, body), "{what}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            allowed,
            "{what}"
        );
        let granted = allowed.is_some();
        assert_eq!(
            answer.header("access-control-allow-methods"),
            granted.then_some("GET, POST, PUT, DELETE, HEAD, PATCH"),
            "{what}"
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            granted.then_some(headers),
            "{what}"
        );
        assert_eq!(
            answer.header("vary"),
            (allowed == Some(one)).then_some("Origin"),
            "{what}"
        );
    }
}

#[test]
fn too_many_calls_are_told_when_to_come_again() {
    let server = Server::start(&[
        "jobs.workers=0",
        "rate_limit.enabled=true",
        "rate_limit.calls=3",
        "rate_limit.interval_ms=3600000",
        "http.forwarded_count=1",
    ]);
    let call = |who: Who, from: &str, body: &Value| {
        let mut headers = credentials(Some(who));
        headers.extend([
            ("content-type", "application/json"),
            ("x-forwarded-for", from),
        ]);
        server.send("POST", PATH, &headers, body.to_string().as_bytes())
    };
    // Nothing is counted before credentials and parameters are good.
    assert_eq!(
        server
            .post(PATH, None, &json!({}))
            .header("x-ratelimit-limit"),
        None
    );
    let answer = call(ADMIN, "192.0.2.1", &json!({}));
    assert_eq!(answer.header("x-ratelimit-limit"), None);
    for (body, remaining, status) in [
        (file(&json!({})), "2", 200),
        (file(&json!({"rid": "nowhere"})), "1", 400),
        (file(&json!({})), "0", 200),
        (file(&json!({})), "0", 429),
    ] {
        let answer = call(ADMIN, "192.0.2.1", &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        // Milliseconds.
        assert_eq!(answer.header("x-ratelimit-reset").unwrap().len(), 13);
        check_headers(&answer, remaining);
    }
    // The limit comes before the permission, so that nobody can probe for free.
    let answer = call(BOB, "192.0.2.1", &file(&json!({})));
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    let (before, after) = (
        "Error, too many requests. Please slow down. You must wait ",
        " seconds before trying this endpoint again. [error-too-many-requests]",
    );
    let seconds = error
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    let seconds: u32 = seconds.unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    assert_eq!(
        answer.text(),
        json!({"success": false, "error": error}).to_string()
    );
    // Another address, another route and a user with the permission are not held up.
    assert_eq!(call(ADMIN, "192.0.2.2", &file(&json!({}))).status, 200);
    assert_eq!(
        server.get("/api/v1/rooms.export.list", Some(ADMIN)).status,
        200
    );
    let robot = call(ROBOT, "192.0.2.1", &file(&json!({})));
    assert_eq!(
        (robot.status, robot.header("x-ratelimit-limit")),
        (200, None)
    );
    // Asking for a state may be done more often.
    let status = server.get("/api/v1/rooms.export.status?id=x", Some(ADMIN));
    assert_eq!(status.header("x-ratelimit-limit"), Some("30"));
}

#[test]
fn headers_about_proxies_are_not_believed_unless_there_are_some() {
    let server = Server::start(&[
        "jobs.workers=0",
        "rate_limit.enabled=true",
        "rate_limit.calls=1",
    ]);
    let statuses = ["192.0.2.1", "192.0.2.2"].map(|from| {
        let mut headers = credentials(Some(ADMIN));
        headers.extend([("x-forwarded-for", from), ("x-real-ip", from)]);
        server
            .send("GET", "/api/v1/rooms.get", &headers, b"")
            .status
    });
    assert_eq!(statuses, [200, 429]);
}

#[test]
fn a_network_of_ipv6_is_counted_as_one_client() {
    let server = Server::start(&[
        "jobs.workers=0",
        "http.forwarded_count=1",
        "rate_limit.enabled=true",
        "rate_limit.calls=1",
    ]);
    let statuses = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"].map(|from| {
        let mut headers = credentials(Some(ADMIN));
        headers.push(("x-forwarded-for", from));
        let answer = server.send("GET", "/api/v1/rooms.get", &headers, b"");
        answer.status
    });
    assert_eq!(statuses, [200, 429, 200]);
}

#[test]
fn the_same_request_gets_the_same_export() {
    let server = quiet();
    let body = file(&json!({"dateFrom": "2024-03-01"}));
    let first = server.export(ADMIN, &body);
    let again = server.export(
        ADMIN,
        &file(&json!({"dateFrom": "2024-03-01T00:00:00Z", "subject": "x"})),
    );
    assert_eq!(first, again);
    assert_ne!(first, server.export(ADMIN, &file(&json!({}))));
    assert_ne!(first, server.export(ROBOT, &body));
    // Once it has ended it is made again.
    let cancelled = server.post(
        "/api/v1/rooms.export.cancel",
        Some(ADMIN),
        &json!({"id": first}),
    );
    check(&cancelled, 200, ACCEPTED, "cancel");
    assert_ne!(first, server.export(ADMIN, &body));
}

#[test]
fn a_user_cannot_have_more_exports_waiting_than_the_operator_allows() {
    let server = Server::start(&["jobs.workers=0", "jobs.per_user_waiting=1"]);
    server.export(ADMIN, &file(&json!({})));
    let expected = r#"{"success":false,"error":"1 of your exports are waiting already. Wait until one has ended, or cancel one. [error-too-many-requests]"}"#;
    let answer = server.post(PATH, Some(ADMIN), &file(&json!({"format": "json"})));
    check(&answer, 429, expected, "the second");
    // The same one is no further one, and others have their own.
    server.export(ADMIN, &file(&json!({})));
    server.export(ROBOT, &file(&json!({})));
}

#[test]
fn an_export_is_accepted_carried_out_told_and_removed() {
    let server = Server::start(&["http.site_url=https://export.example.org/"]);
    let body = file(
        &json!({"dateFrom": "2024-03-01", "dateTo": "2024-03-01T12:00:00Z", "format": "json"}),
    );
    let id = server.export(ADMIN, &body);
    let export = server.ended(ADMIN, &id);
    for (key, expected) in [
        ("id", json!(id)),
        ("rid", json!("GENERAL")),
        ("state", json!("done")),
        ("format", json!("json")),
        ("dateFrom", json!("2024-03-01")),
        ("dateTo", json!("2024-03-01T12:00:00Z")),
        ("from", json!("2024-03-01T00:00:00.000Z")),
        ("to", json!("2024-03-01T12:00:00.000Z")),
        ("attempt", json!(1)),
        (
            "fileUrl",
            json!(format!("https://export.example.org/data-export/{id}")),
        ),
        ("error", Value::Null),
        ("etaSeconds", Value::Null),
    ] {
        assert_eq!(export[key], expected, "{key} of {export}");
    }
    for key in ["createdAt", "startedAt", "endedAt"] {
        let text = export[key].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{key}: {text}");
    }
    assert!(export["size"].as_u64().unwrap() > 0);
    assert_eq!(export["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        export["fileName"]
            .as_str()
            .unwrap()
            .rsplit_once('.')
            .unwrap()
            .1,
        "zip"
    );
    assert!(export["report"].is_object());
    let files = || server.home.path().join("files").read_dir().unwrap().count();
    assert_eq!(files(), 1);

    // Too late to stop it.
    let ended = r#"{"success":false,"error":"The export has ended already [error-export-ended]","errorType":"error-export-ended"}"#;
    let cancel = server.post(
        "/api/v1/rooms.export.cancel",
        Some(ADMIN),
        &json!({"id": id}),
    );
    check(&cancel, 400, ended, "cancel");
    let delete = || {
        server.post(
            "/api/v1/rooms.export.delete",
            Some(ADMIN),
            &json!({"id": id}),
        )
    };
    check(&delete(), 200, ACCEPTED, "delete");
    assert_eq!(files(), 0);
    check(&delete(), 400, NO_EXPORT, "delete again");
    let status = server.get(&format!("/api/v1/rooms.export.status?id={id}"), Some(ADMIN));
    check(&status, 400, NO_EXPORT, "status");
}

#[test]
fn an_export_is_shown_to_its_owner_only() {
    let server = quiet();
    let id = server.export(ADMIN, &file(&json!({})));
    for id in [id.as_str(), "nothing", "' OR 1=1", "x-mail"] {
        let status = format!("/api/v1/rooms.export.status?id={}", id.replace(' ', "+"));
        check(&server.get(&status, Some(ROBOT)), 400, NO_EXPORT, id);
        for action in ["cancel", "delete"] {
            let path = format!("/api/v1/rooms.export.{action}");
            let answer = server.post(&path, Some(ROBOT), &json!({"id": id}));
            check(&answer, 400, NO_EXPORT, id);
        }
    }
    let export = server.status(ADMIN, &id);
    assert_eq!(export["state"], "queued");
    let list = server.get("/api/v1/rooms.export.list", Some(ROBOT));
    let empty = r#"{"exports":[],"count":0,"offset":0,"total":0,"success":true}"#;
    check(&list, 200, empty, "list");
    for path in ["status?id=x", "list"] {
        let answer = server.get(&format!("/api/v1/rooms.export.{path}"), None);
        check(&answer, 401, NOT_LOGGED_IN, path);
    }
    // Queued is not ended: it must be cancelled before it is removed.
    let running = r#"{"success":false,"error":"The export has not ended; cancel it first [error-export-running]","errorType":"error-export-running"}"#;
    let post = |action: &str| {
        server.post(
            &format!("/api/v1/rooms.export.{action}"),
            Some(ADMIN),
            &json!({"id": id}),
        )
    };
    check(&post("delete"), 400, running, "delete");
    check(&post("cancel"), 200, ACCEPTED, "cancel");
    check(&post("cancel"), 200, ACCEPTED, "cancel again");
    assert_eq!(server.status(ADMIN, &id)["state"], "cancelled");
    check(&post("delete"), 200, ACCEPTED, "delete");
    check(&post("cancel"), 400, NO_EXPORT, "cancel what is gone");
    for (action, body, field, reason) in [
        (
            "cancel",
            json!({}),
            "id",
            "must have required property 'id'",
        ),
        ("delete", json!({"id": 5}), "id", "must be string"),
    ] {
        let answer = server.post(
            &format!("/api/v1/rooms.export.{action}"),
            Some(ADMIN),
            &body,
        );
        check(&answer, 400, &params(field, reason), action);
    }
}

#[test]
fn exports_are_listed_in_pages() {
    let server = quiet();
    let mut ids: Vec<_> = (0..4)
        .map(|day| {
            let id = server.export(ADMIN, &file(&json!({"dateTo": format!("2024-03-1{day}")})));
            // Their order is by the millisecond: the next one must not share it.
            let created = server.status(ADMIN, &id)["createdAt"].clone();
            wait_for("the next millisecond", || {
                (now().as_str() > created.as_str().unwrap()).then_some(())
            });
            id
        })
        .collect();
    ids.push(server.export(ALICE, &file(&json!({"rid": "helpdesk0000000001"}))));
    let page = |query: &str, who: Who| {
        let answer = server.get(&format!("/api/v1/rooms.export.list{query}"), Some(who));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let page = answer.json();
        let found: Vec<_> = page["exports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|export| ids.iter().position(|id| export["id"] == **id).unwrap())
            .collect();
        assert_eq!(page["count"], found.len());
        assert_eq!(page["success"], true);
        (
            found,
            page["offset"].as_u64().unwrap(),
            page["total"].as_u64().unwrap(),
        )
    };
    for (query, expected) in [
        ("", (vec![3, 2, 1, 0], 0, 4)),
        ("?count=0", (vec![3, 2, 1, 0], 0, 4)),
        ("?count=1000", (vec![3, 2, 1, 0], 0, 4)),
        ("?count=2", (vec![3, 2], 0, 4)),
        ("?count=2&offset=3", (vec![0], 3, 4)),
        ("?offset=9", (vec![], 9, 4)),
        (
            "?sort=%7B%22createdAt%22%3A1%7D&count=2",
            (vec![0, 1], 0, 4),
        ),
        ("?rid=GENERAL&count=1", (vec![3], 0, 4)),
        ("?rid=elsewhere", (vec![], 0, 0)),
    ] {
        assert_eq!(page(query, ADMIN), expected, "{query}");
    }
    assert_eq!(page("", ALICE), (vec![4], 0, 1));
    for (query, field, reason) in [
        ("?count=-1", "count", "must be a whole number"),
        ("?offset=x", "offset", "must be a whole number"),
        (
            "?sort=createdAt",
            "sort",
            r#"must be {"createdAt":1} or {"createdAt":-1}"#,
        ),
    ] {
        let answer = server.get(&format!("/api/v1/rooms.export.list{query}"), Some(ADMIN));
        check(&answer, 400, &params(field, reason), query);
    }
}

/// Now as the server writes it.
fn now() -> String {
    let millis = export_room::clock::Clock::System.now();
    transcript::time::IsoWriter::default()
        .text(millis)
        .unwrap()
        .to_owned()
}

#[test]
fn callers_see_their_rooms_and_nothing_secret_of_them() {
    let server = quiet();
    let general = r#"{"_id":"GENERAL","t":"c","name":"general","topic":"All & everything","msgs":40,"usersCount":3,"u":{"_id":"uAdmin","username":"admin"},"ts":"2024-02-27T02:13:20.000Z"}"#;
    let direct = r#"{"_id":"uAdminuBob","t":"d","msgs":0,"usernames":["admin","bob"]}"#;
    let desk = r#"{"_id":"helpdesk0000000001","t":"p","name":"helpdesk","fname":"Help Desk","msgs":1,"usersCount":1}"#;
    for (who, rooms) in [
        (ADMIN, format!("{general},{direct}")),
        (BOB, format!("{general},{direct}")),
        (ALICE, desk.to_owned()),
        (ROBOT, String::new()),
    ] {
        let expected = format!(r#"{{"update":[{rooms}],"remove":[],"success":true}}"#);
        let answer = server.get("/api/v1/rooms.get", Some(who));
        check(&answer, 200, &expected, who.0);
    }
    let hidden = r#"{"success":false,"error":"The required \"roomId\" or \"roomName\" param provided does not match any channel [error-room-not-found]","errorType":"error-room-not-found"}"#;
    let missing = r#"{"success":false,"error":"The parameter \"roomId\" or \"roomName\" is required [error-roomid-param-not-provided]","errorType":"error-roomid-param-not-provided"}"#;
    let room = |room: &str| format!(r#"{{"room":{room},"success":true}}"#);
    for (who, query, status, expected) in [
        (ADMIN, "?roomId=GENERAL", 200, room(general)),
        (ADMIN, "?roomName=general", 200, room(general)),
        (ALICE, "?roomId=helpdesk0000000001", 200, room(desk)),
        (ALICE, "?roomName=helpdesk", 200, room(desk)),
        // A display name is no name.
        (ALICE, "?roomName=Help+Desk", 400, hidden.to_owned()),
        (ADMIN, "?roomName=helpdesk", 400, hidden.to_owned()),
        (ADMIN, "?roomId=helpdesk0000000001", 400, hidden.to_owned()),
        (ADMIN, "?roomId=nowhere", 400, hidden.to_owned()),
        (ADMIN, "", 400, missing.to_owned()),
        (ADMIN, "?roomId=", 400, missing.to_owned()),
    ] {
        let answer = server.get(&format!("/api/v1/rooms.info{query}"), Some(who));
        check(&answer, status, &expected, &format!("{} {query}", who.0));
    }
    check(
        &server.get("/api/v1/rooms.get", None),
        401,
        NOT_LOGGED_IN,
        "rooms.get",
    );
}

#[test]
fn the_operators_override_is_written_to_the_audit_log() {
    let server = Server::start(&["jobs.workers=0", "security.admin_override=true"]);
    let id = server.export(ADMIN, &file(&json!({"rid": "helpdesk0000000001"})));
    let refused = server.post(
        PATH,
        Some(BOB),
        &file(&json!({"rid": "helpdesk0000000001"})),
    );
    check(&refused, 403, NO_PERMISSION, "bob");
    let stranger = server.post(PATH, None, &file(&json!({})));
    check(&stranger, 401, NOT_LOGGED_IN, "a stranger");
    let log = server.log();
    let audit: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"] == "audit")
        .collect();
    assert_eq!(audit.len(), 3, "{log}");
    for (line, fields) in audit.iter().zip([
        json!({"message": "export requested", "user": "uAdmin", "username": "admin", "rid": "helpdesk0000000001",
               "ip": "127.0.0.1", "job": id, "by_override": true}),
        json!({"message": "export refused", "user": "uBob", "username": "bob", "rid": "helpdesk0000000001",
               "ip": "127.0.0.1", "reason": "error-unauthorized"}),
        json!({"message": "export refused", "ip": "127.0.0.1", "reason": "not-logged-in"}),
    ]) {
        for (field, expected) in fields.as_object().unwrap() {
            assert_eq!(line[field], *expected, "{field} of {line}");
        }
    }
    // Each line of a request has its id.
    let request = refused.header("x-request-id").unwrap();
    assert!(audit[1].to_string().contains(request), "{}", audit[1]);
    let answered = log
        .lines()
        .filter(|line| line.contains("answered") && line.contains(request));
    assert_eq!(answered.count(), 1);
}

#[test]
fn the_workspaces_settings_count_where_the_operator_says_nothing() {
    let home = changed_home(|dump| {
        for (id, value) in [
            (
                "API_Enable_Rate_Limiter_Limit_Calls_Default",
                Bson::Int32(2),
            ),
            (
                "API_Enable_Rate_Limiter_Limit_Time_Default",
                Bson::Double(90_000.0),
            ),
            ("API_Enable_CORS", Bson::Boolean(true)),
            (
                "API_CORS_Origin",
                "https://a.example, https://b.example".into(),
            ),
            ("UserData_EnableDownload", Bson::Boolean(false)),
        ] {
            dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
        }
    });
    let server = Server::start_in(home, &["jobs.workers=0", "rate_limit.enabled="]);
    let request = file(&json!({"rid": "helpdesk0000000001"}));
    for (status, remaining) in [(200, "1"), (200, "0"), (429, "0")] {
        let answer = server.post(PATH, Some(ALICE), &request);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-ratelimit-limit"), Some("2"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
    }
    let asked = [
        ("Origin", "https://b.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = server.send("OPTIONS", PATH, &asked, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://b.example")
    );
    assert_eq!(server.get("/data-export/anything", Some(ALICE)).status, 403);
}

#[test]
fn a_failure_of_ours_is_told_in_the_log_only() {
    let home = small_home();
    let database = rusqlite::Connection::open(home.path().join("chat.db")).unwrap();
    // A length, a type that does not exist, a name, an end.
    let damaged = [9, 0, 0, 0, 0x55, b'a', 0, 1, 0];
    let changed = database.execute("UPDATE user SET doc = ?1 WHERE id = 'uAdmin'", [damaged]);
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    let server = Server::start_in(home, &["jobs.workers=0"]);
    let answer = server.post(PATH, Some(ADMIN), &file(&json!({})));
    check(
        &answer,
        500,
        r#"{"success":false,"error":"Internal server error"}"#,
        "damaged user",
    );
    let request = answer.header("x-request-id").unwrap();
    let log = server.log();
    let told = log
        .lines()
        .filter(|line| line.contains("\"level\":\"ERROR\"") && line.contains(request));
    assert_eq!(told.count(), 1, "{log}");
}

#[tokio::test]
async fn one_worker_runs_one_export_which_can_be_stopped() {
    const MANY: u64 = 100_000;
    let server = Server::start_in(
        large_home(MANY),
        &[
            "jobs.workers=1",
            "jobs.heartbeat=20ms",
            "jobs.poll=20ms",
            "mail.ready=false",
        ],
    );
    let first = server.export(ADMIN, &file(&json!({"rid": ROOM})));
    let second = server.export(ALICE, &file(&json!({"rid": "helpdesk0000000001"})));
    let running = wait_for("messages to be written", || {
        let export = server.status(ADMIN, &first);
        assert_ne!(export["state"], "done", "{export}");
        (export["phase"] == "messages" && export["done"] != 0).then_some(export)
    });
    assert_eq!(running["state"], "running");
    assert_eq!(running["total"], MANY);
    for number in ["done", "bytes", "rate"] {
        assert!(running[number].is_u64(), "{number} of {running}");
    }
    assert_eq!(server.status(ALICE, &second)["state"], "queued");
    let stop = server.post(
        "/api/v1/rooms.export.cancel",
        Some(ADMIN),
        &json!({"id": first}),
    );
    check(&stop, 200, ACCEPTED, "cancel");
    assert_eq!(server.ended(ADMIN, &first)["state"], "cancelled");
    assert_eq!(server.ended(ALICE, &second)["state"], "done");
    let removed = server.post(
        "/api/v1/rooms.export.delete",
        Some(ALICE),
        &json!({"id": second}),
    );
    check(&removed, 200, ACCEPTED, "delete");
    server.exported().assert_none().await;
}

#[test]
fn a_slow_client_does_not_hold_the_server() {
    let server = Server::start(&[
        "jobs.workers=0",
        "http.request_timeout=1s",
        "http.max_connections=1",
    ]);
    // A head that never ends is cut off, and the only connection is free again.
    let cut = server.raw(b"POST /api/v1/rooms.export HTTP/1.1\r\nHost: x\r\n");
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 408 "), "{cut}");
    check(
        &server.post(PATH, Some(ADMIN), &file(&json!({}))),
        200,
        ACCEPTED,
        "after a slow head",
    );
    // So is a body that never ends; it is told why.
    let head = "POST /api/v1/rooms.export HTTP/1.1\r\nHost: x\r\nX-User-Id: uAdmin\r\nX-Auth-Token: admin-token\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let told = server.raw(head.as_bytes());
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(
        told.ends_with(r#"{"success":false,"error":"Request timeout"}"#),
        "{told}"
    );
    check(
        &server.post(PATH, Some(ADMIN), &file(&json!({}))),
        200,
        ACCEPTED,
        "after a slow body",
    );
    // A connection that nothing more is said on is closed.
    let idle = server.raw(b"GET /api/v1/rooms.get HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(idle.starts_with("HTTP/1.1 401 "), "{idle}");
    // What is no HTTP, or far too much of it, is refused without an answer of the API.
    for (bytes, status) in [
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            "HTTP/1.1 400 ",
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
            "HTTP/1.1 431 ",
        ),
    ] {
        let answer = server.raw(&bytes);
        assert!(answer.is_empty() || answer.starts_with(status), "{answer}");
    }
    check(
        &server.post(PATH, Some(ADMIN), &file(&json!({}))),
        200,
        ACCEPTED,
        "after nonsense",
    );
}

#[test]
fn a_signal_ends_the_server_after_what_it_has_begun() {
    let mut server = quiet();
    let id = server.export(ADMIN, &file(&json!({})));
    assert_eq!(server.stop(), Some(0));
    // What was accepted is there for the next one.
    let home = std::mem::replace(&mut server.home, tempfile::tempdir().unwrap());
    let next = Server::start_in(home, &["jobs.workers=0"]);
    assert_eq!(next.status(ADMIN, &id)["state"], "queued");
    signal(&next.child, "KILL");
}

#[test]
fn an_accepted_export_is_made_although_the_process_is_killed_right_after() {
    let server = quiet();
    let id = server.export(ADMIN, &file(&json!({"dateTo": "9999-12-31"})));
    let next = Server::start_in(server.killed(), &[]);
    assert_eq!(next.ended(ADMIN, &id)["state"], "done");
}
