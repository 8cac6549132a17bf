//! Logging in and out over a real socket, as the demo workspace's users.

use export_room::clock::Clock;
use export_room::export::report::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::demo::{self, ADMIN, ALICE, credentials_of};
use crate::support::server::{Answer, Server};

const PATH: &str = "/api/v1/login";
const UNAUTHORIZED: &str =
    r#"{"success":false,"error":"Unauthorized","status":"error","message":"Unauthorized"}"#;
const NOT_LOGGED_IN: &str = r#"{"status":"error","message":"You must be logged in to do this."}"#;
/// `services.totp.secret` of the demo's heidi.
const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn log_in(server: &Server, body: &Value) -> Answer {
    server.post(PATH, None, body)
}

fn me(server: &Server, id: &str, token: &str) -> Answer {
    let headers = [("X-User-Id", id), ("X-Auth-Token", token)];
    server.send("GET", "/api/v1/me", &headers, b"")
}

/// The code that heidi's authenticator shows.
fn code() -> String {
    totp_rs::Builder::new()
        .with_secret(totp_rs::Secret::try_from_base32(SECRET).unwrap())
        .build_noncompliant()
        .generate((Clock::System.now() / 1000).unsigned_abs())
        .to_string()
}

#[test]
fn a_password_gives_a_token_in_every_shape_of_the_request() {
    let server = demo::start(&[]);
    let password = "alice-test-password";
    let digest = hex(&Sha256::digest(password));
    let digest = json!({"digest": digest, "algorithm": "sha-256"});
    let email = "ALICE@chat.example.org";
    for body in [
        json!({"user": "alice", "password": password}),
        json!({"user": "Alice", "password": password}),
        json!({"user": email, "password": password}),
        json!({"username": "alice", "password": password}),
        json!({"email": email, "password": password}),
        json!({"user": {"username": "alice"}, "password": password}),
        json!({"user": {"email": email}, "password": password}),
        json!({"user": "alice", "password": digest}),
    ] {
        let answer = log_in(&server, &body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = answer.json();
        assert_eq!(
            (&answer["status"], &answer["success"]),
            (&json!("success"), &json!(true))
        );
        assert_eq!(answer["data"]["userId"], "uAlice0000000000a");
        assert_eq!(answer["data"]["me"]["username"], "alice");
        let token = answer["data"]["authToken"].as_str().unwrap();
        assert_eq!(
            me(&server, "uAlice0000000000a", token).status,
            200,
            "{body}"
        );
        // The token is a proof itself, and stays the same.
        let again = log_in(&server, &json!({"resume": token})).json();
        assert_eq!(again["data"]["authToken"], token);
    }
    let form = "user=alice&password=alice-test-password";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = server.send("POST", PATH, &headers, form.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn who_may_not_log_in_is_told_why_as_far_as_he_may_know() {
    let server = demo::start(&[]);
    let deactivated = r#"{"success":false,"status":"error","error":"error-user-is-not-activated","message":"User is not activated"}"#;
    let expired = credentials_of("alice")["expiredAuthToken"].clone();
    let deactivated_token = credentials_of("erin")["authToken"].clone();
    for (body, expected) in [
        (json!({"user": "alice", "password": "wrong"}), UNAUTHORIZED),
        (json!({"user": "nobody", "password": "wrong"}), UNAUTHORIZED),
        (json!({"user": "erin", "password": "wrong"}), UNAUTHORIZED),
        (
            json!({"user": "erin", "password": "erin-test-password"}),
            deactivated,
        ),
        (json!({"resume": deactivated_token}), deactivated),
        (json!({"resume": expired}), UNAUTHORIZED),
        (json!({"resume": "nothing"}), UNAUTHORIZED),
    ] {
        let answer = log_in(&server, &body);
        assert_eq!((answer.status, answer.text()), (401, expected), "{body}");
    }
    let params = |field: &str, reason: &str| {
        format!(
            r#"{{"success":false,"error":"[error-invalid-params]","errorType":"error-invalid-params","details":{{"field":"{field}","reason":"{reason}"}}}}"#
        )
    };
    for (body, field, reason) in [
        (json!({}), "user", "must have required property 'user'"),
        (
            json!({"user": "alice"}),
            "password",
            "must have required property 'password'",
        ),
        (
            json!({"user": {"username": {"$gt": ""}}, "password": "x"}),
            "username",
            "must be string",
        ),
    ] {
        let answer = log_in(&server, &body);
        assert_eq!(
            (answer.status, answer.text()),
            (400, &*params(field, reason)),
            "{body}"
        );
    }
}

#[test]
fn a_second_factor_is_asked_for() {
    let server = demo::start(&[]);
    let heidi = json!({"user": "heidi", "password": "heidi-test-password"});
    let answer = log_in(&server, &heidi);
    let required = r#"{"success":false,"status":"error","error":"totp-required","details":{"method":"totp","availableMethods":["totp"]},"message":"TOTP Required"}"#;
    assert_eq!((answer.status, answer.text()), (401, required));
    let mut wrong = heidi.clone();
    wrong["code"] = json!("nonsense");
    let invalid =
        r#"{"success":false,"status":"error","error":"totp-invalid","message":"TOTP Invalid"}"#;
    let answer = log_in(&server, &wrong);
    assert_eq!((answer.status, answer.text()), (401, invalid));
    let code = code();
    let headers = [("content-type", "application/json"), ("x-2fa-code", &*code)];
    let answer = server.send("POST", PATH, &headers, heidi.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut again = heidi;
    again["code"] = json!(code);
    let answer = log_in(&server, &again);
    assert_eq!((answer.status, answer.text()), (401, invalid));
}

#[test]
fn tokens_are_accepted_as_long_as_they_live() {
    let server = demo::start(&[]);
    let alice = credentials_of("alice");
    let erin = credentials_of("erin");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (user, token, status) in [
        (&alice, &alice["authToken"], 200),
        (&alice, &alice["personalAccessToken"], 200),
        (&alice, &alice["expiredAuthToken"], 401),
        (&erin, &erin["authToken"], 401),
        (&erin, &alice["authToken"], 401),
    ] {
        let answer = me(&server, &text(&user["userId"]), &text(token));
        assert_eq!(answer.status, status, "{user} {token}");
    }
    let strict = demo::start(&["security.login_expiration_days=1"]);
    assert_eq!(
        me(&strict, ALICE.0, &text(&alice["personalAccessToken"])).status,
        200
    );
}

#[test]
fn after_some_failures_a_user_is_blocked_whatever_the_password() {
    let server = demo::start(&[]);
    for _ in 0..10 {
        let answer = log_in(&server, &json!({"user": "bob", "password": "wrong"}));
        assert_eq!(answer.text(), UNAUTHORIZED);
    }
    for password in ["wrong", "bob-test-password"] {
        let answer = log_in(&server, &json!({"user": "bob", "password": password}));
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"], "error-login-blocked-for-user");
    }
    let alice = json!({"user": "alice", "password": "alice-test-password"});
    assert_eq!(log_in(&server, &alice).status, 200);
}

#[test]
fn who_logs_out_is_logged_out_with_that_token_only() {
    let server = demo::start(&[]);
    let body = json!({"user": "alice", "password": "alice-test-password"});
    for method in ["POST", "GET"] {
        let answer = log_in(&server, &body).json();
        let token = answer["data"]["authToken"].as_str().unwrap();
        let headers = [("X-User-Id", ALICE.0), ("X-Auth-Token", token)];
        let answer = server.send(method, "/api/v1/logout", &headers, b"");
        let out = r#"{"status":"success","data":{"message":"You've been logged out!"}}"#;
        assert_eq!((answer.status, answer.text()), (200, out));
        let after = me(&server, ALICE.0, token);
        assert_eq!((after.status, after.text()), (401, NOT_LOGGED_IN));
        assert_eq!(
            log_in(&server, &json!({"resume": token})).text(),
            UNAUTHORIZED
        );
        assert_eq!(server.get("/api/v1/me", Some(ALICE)).status, 200);
    }
    let answer = server.get("/api/v1/logout", None);
    assert_eq!((answer.status, answer.text()), (401, NOT_LOGGED_IN));
}

#[test]
fn me_tells_who_one_is_and_no_secret() {
    let server = demo::start(&["http.site_url=https://chat.test/"]);
    let answer = server.get("/api/v1/me", Some(ALICE));
    for secret in [
        "bcrypt",
        "$2b$",
        "hashedToken",
        "loginTokens",
        "private_key",
        ALICE.1,
    ] {
        assert!(!answer.text().contains(secret), "{secret}");
    }
    let me = answer.json();
    for (key, expected) in [
        ("_id", json!("uAlice0000000000a")),
        ("username", json!("alice")),
        ("name", json!("Alice Able")),
        ("email", json!("alice@chat.example.org")),
        (
            "emails",
            json!([{"address": "alice@chat.example.org", "verified": true}]),
        ),
        ("roles", json!(["user"])),
        ("utcOffset", json!(1)),
        ("_updatedAt", json!("2024-11-01T09:01:00.000Z")),
        ("avatarUrl", json!("https://chat.test/avatar/alice")),
        ("isOAuthUser", json!(false)),
        (
            "services",
            json!({"password": {"exists": true}, "email2fa": {"enabled": false}}),
        ),
        (
            "settings",
            json!({"profile": {}, "preferences": {"language": "en", "desktopNotifications": "all"}, "calendar": {}}),
        ),
        ("success", json!(true)),
    ] {
        assert_eq!(me[key], expected, "{key}");
    }
}

#[test]
fn clients_learn_what_server_this_is_before_they_log_in() {
    let server = demo::start(&[]);
    for path in ["/api/info", "/api/v1/info"] {
        let answer = server.get(path, None);
        let expected = r#"{"version":"8.3.0","success":true}"#;
        assert_eq!((answer.status, answer.text()), (200, expected), "{path}");
    }
}

#[test]
fn where_users_log_in_elsewhere_only_tokens_work() {
    let server = demo::start(&["security.login=false"]);
    let answer = log_in(
        &server,
        &json!({"user": "alice", "password": "alice-test-password"}),
    );
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("Logging in is switched off here"));
    assert_eq!(server.get("/api/v1/me", Some(ADMIN)).status, 200);
}

#[test]
fn logins_are_rate_limited() {
    let server = demo::start(&["rate_limit.enabled=true", "rate_limit.calls=2"]);
    let body = json!({"resume": "nothing"});
    for (status, remaining) in [(401, "1"), (401, "0"), (429, "0")] {
        let answer = log_in(&server, &body);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
    }
}

#[test]
fn a_login_is_counted_before_its_body_is_read() {
    let server = demo::start(&[
        "rate_limit.enabled=true",
        "rate_limit.calls=1",
        "http.request_timeout=1s",
    ]);
    // Bodies that never come.
    let head = "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    for status in ["408", "429"] {
        let answer = server.raw(head.as_bytes());
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{answer}");
    }
    // The form of the page is counted as well, and is shown again.
    let form = "username=alice&password=x&next=%2Fdata-export%2Fa";
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "text/html"),
    ];
    for status in [401, 429] {
        let answer = server.send("POST", "/data-export-login", &headers, form.as_bytes());
        assert_eq!(answer.status, status);
        assert!(
            answer.text().contains("value=\"alice\""),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn the_log_tells_of_logins_and_not_of_secrets() {
    let server = demo::start(&["log.level=trace"]);
    let body = json!({"user": "alice", "password": "alice-test-password", "code": "314159"});
    let answer = log_in(&server, &body).json();
    let token = answer["data"]["authToken"].as_str().unwrap();
    me(&server, ALICE.0, token);
    log_in(
        &server,
        &json!({"user": "alice", "password": "guessed-password"}),
    );
    let log = server.log();
    for told in [
        r#""message":"logged in""#,
        r#""message":"login refused","#,
        r#""target":"audit""#,
    ] {
        assert!(log.contains(told), "{told}\n{log}");
    }
    let digest = hex(&Sha256::digest("alice-test-password"));
    for secret in [
        token,
        "alice-test-password",
        "guessed-password",
        "314159",
        "$2b$",
        &digest,
    ] {
        assert!(!log.contains(secret), "{secret}\n{log}");
    }
}
