//! What somebody who logs in sends, in all its shapes (contract §3.2).

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::export::report::hex;
use crate::store::directory::LoginName;

/// A login as it was asked for. Holds secrets: has no `Debug` form.
pub struct LoginRequest {
    pub(super) proof: Proof,
    /// A code of the second factor.
    pub(super) code: Option<String>,
}

/// What proves who somebody is.
pub(super) enum Proof {
    /// A name and the password that belongs to it.
    Password(LoginName, PasswordDigest),
    /// A token that was given out before.
    Token(String),
}

/// Lowercase hexadecimal SHA-256 of a password: what bcrypt is applied to.
pub(super) struct PasswordDigest(String);

impl PasswordDigest {
    pub(super) fn of(password: &str) -> Self {
        Self(hex(&Sha256::digest(password.as_bytes())))
    }

    pub(super) fn hex(&self) -> &str {
        &self.0
    }
}

/// A request that is no login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it, in the validator's words (endpoint specification, decision 3).
    pub reason: String,
}

impl Malformed {
    fn new(field: &'static str, reason: &str) -> Self {
        Self {
            field,
            reason: reason.to_owned(),
        }
    }

    fn missing(field: &'static str) -> Self {
        Self::new(field, &format!("must have required property '{field}'"))
    }
}

impl LoginRequest {
    /// Reads the body of `POST /api/v1/login`; `header` is `x-2fa-code`. Keys that mean nothing here are ignored, as
    /// clients send them for other ways to log in.
    pub fn read(body: &Map<String, Value>, header: Option<&str>) -> Result<Self, Malformed> {
        let code = text(body, "code")?
            .or(header)
            .filter(|code| !code.is_empty())
            .map(str::to_owned);
        let proof = match text(body, "resume")? {
            Some(token) => Proof::Token(token.to_owned()),
            None => Proof::Password(name(body)?, password(body)?),
        };
        Ok(Self { proof, code })
    }

    /// A login with what a person typed: a username or an address, and a clear password.
    pub fn typed(name: &str, password: &str, code: &str) -> Self {
        Self {
            proof: Proof::Password(either(name.trim()), PasswordDigest::of(password)),
            code: Some(code.trim().to_owned()).filter(|code| !code.is_empty()),
        }
    }
}

/// What has an @ is an address.
fn either(name: &str) -> LoginName {
    let name = name.to_owned();
    if name.contains('@') {
        LoginName::Email(name)
    } else {
        LoginName::Username(name)
    }
}

fn text<'a>(
    body: &'a Map<String, Value>,
    field: &'static str,
) -> Result<Option<&'a str>, Malformed> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed::new(field, "must be string")),
    }
}

fn name(body: &Map<String, Value>) -> Result<LoginName, Malformed> {
    if let Some(Value::Object(user)) = body.get("user") {
        return named(user)?.ok_or_else(|| Malformed::missing("user"));
    }
    let user = text(body, "user")?.filter(|user| !user.is_empty());
    match user {
        Some(user) => Ok(either(user)),
        None => named(body)?.ok_or_else(|| Malformed::missing("user")),
    }
}

fn named(of: &Map<String, Value>) -> Result<Option<LoginName>, Malformed> {
    let username = text(of, "username")?.filter(|name| !name.is_empty());
    let email = text(of, "email")?.filter(|email| !email.is_empty());
    Ok(username
        .map(|name| LoginName::Username(name.to_owned()))
        .or(email.map(|email| LoginName::Email(email.to_owned()))))
}

fn password(body: &Map<String, Value>) -> Result<PasswordDigest, Malformed> {
    match body.get("password") {
        None | Some(Value::Null) => Err(Malformed::missing("password")),
        Some(Value::String(password)) => Ok(PasswordDigest::of(password)),
        Some(Value::Object(digest)) => {
            if digest.get("algorithm").and_then(Value::as_str) != Some("sha-256") {
                return Err(Malformed::new("password", "algorithm must be 'sha-256'"));
            }
            let hex = digest.get("digest").and_then(Value::as_str);
            hex.filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .map(|hex| PasswordDigest(hex.to_lowercase()))
                .ok_or_else(|| {
                    Malformed::new("password", "digest must be a SHA-256 in hexadecimal")
                })
        }
        Some(_) => Err(Malformed::new("password", "must be string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// SHA-256 of `abc` (contract, Appendix A).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// What a body is read as: the proof and the code, or the field and what is wrong with it.
    fn read(body: &Value, header: Option<&str>) -> (String, String) {
        match LoginRequest::read(body.as_object().unwrap(), header) {
            Ok(request) => {
                let proof = match request.proof {
                    Proof::Token(token) => format!("token {token}"),
                    Proof::Password(name, digest) => {
                        assert_eq!(digest.hex(), ABC);
                        format!("{name:?}")
                    }
                };
                (proof, request.code.unwrap_or_default())
            }
            Err(malformed) => (malformed.field.to_owned(), malformed.reason),
        }
    }

    #[test]
    fn every_shape_of_a_login_is_read() {
        let digest = json!({"digest": ABC, "algorithm": "sha-256"});
        let upper = json!({"digest": ABC.to_uppercase(), "algorithm": "sha-256"});
        let username = r#"Username("alice")"#;
        let email = r#"Email("alice@x.test")"#;
        let cases = [
            (
                json!({"user": "alice", "password": "abc"}),
                None,
                username,
                "",
            ),
            (
                json!({"user": "alice@x.test", "password": "abc"}),
                None,
                email,
                "",
            ),
            (
                json!({"username": "alice", "password": "abc"}),
                None,
                username,
                "",
            ),
            (
                json!({"email": "alice@x.test", "password": "abc"}),
                None,
                email,
                "",
            ),
            (
                json!({"user": {"username": "alice"}, "password": "abc"}),
                None,
                username,
                "",
            ),
            (
                json!({"user": {"email": "alice@x.test"}, "password": "abc"}),
                None,
                email,
                "",
            ),
            (
                json!({"user": "alice", "password": digest}),
                None,
                username,
                "",
            ),
            (
                json!({"user": "alice", "password": upper}),
                None,
                username,
                "",
            ),
            (
                json!({"user": "alice", "password": "abc", "code": "123456"}),
                None,
                username,
                "123456",
            ),
            (
                json!({"user": "alice", "password": "abc"}),
                Some("654321"),
                username,
                "654321",
            ),
            (
                json!({"user": "alice", "password": "abc", "code": ""}),
                None,
                username,
                "",
            ),
            (
                json!({"user": "alice", "password": "abc", "ldapOptions": {}}),
                None,
                username,
                "",
            ),
            (json!({"resume": "abc"}), None, "token abc", ""),
        ];
        for (body, header, proof, code) in cases {
            let expected = (proof.to_owned(), code.to_owned());
            assert_eq!(read(&body, header), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_login_is_told() {
        let cases = [
            (json!({}), "user", "must have required property 'user'"),
            (
                json!({"user": {}, "password": "abc"}),
                "user",
                "must have required property 'user'",
            ),
            (
                json!({"user": "", "password": "abc"}),
                "user",
                "must have required property 'user'",
            ),
            (
                json!({"user": 1, "password": "abc"}),
                "user",
                "must be string",
            ),
            (
                json!({"user": "a"}),
                "password",
                "must have required property 'password'",
            ),
            (
                json!({"user": "a", "password": null}),
                "password",
                "must have required property 'password'",
            ),
            (
                json!({"user": "a", "password": 1}),
                "password",
                "must be string",
            ),
            (
                json!({"user": {"username": {"$ne": ""}}, "password": "abc"}),
                "username",
                "must be string",
            ),
            (json!({"resume": 1}), "resume", "must be string"),
            (
                json!({"user": "a", "password": "abc", "code": 1}),
                "code",
                "must be string",
            ),
            (
                json!({"user": "a", "password": {"digest": ABC, "algorithm": "md5"}}),
                "password",
                "algorithm must be 'sha-256'",
            ),
            (
                json!({"user": "a", "password": {"digest": "ba78", "algorithm": "sha-256"}}),
                "password",
                "digest must be a SHA-256 in hexadecimal",
            ),
        ];
        for (body, field, reason) in cases {
            let expected = (field.to_owned(), reason.to_owned());
            assert_eq!(read(&body, None), expected, "{body}");
        }
    }
}
