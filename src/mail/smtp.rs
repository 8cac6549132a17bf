//! Hands mails to an SMTP server: the only file that knows the protocol's library.
//!
//! One connection for each mail: mails are few, and a server that was restarted is not noticed by a kept connection.

use std::fmt::Display;
use std::future::Future;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use lettre::message::header::{self, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use super::{Mail, MailError};
use crate::words;

/// Answers to a mail that say that it came without the login or the encryption that the server wants (RFC 4954 §6,
/// RFC 3207 §4): about the set-up, not about the mail.
const NOT_LET_IN: u16 = 530;

/// A mail server and how to talk to it. Has no `Debug` form, because of the password.
pub(super) struct Server {
    /// Name or address.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// TLS from the start, instead of STARTTLS when it is offered.
    pub(super) tls: bool,
    /// User and password.
    pub(super) login: Option<(String, String)>,
    /// Whether the password may be sent to a server whose certificate cannot be verified.
    pub(super) accept_invalid_certificates: bool,
    /// For each step of the conversation.
    pub(super) timeout: Duration,
}

impl Server {
    /// Whether nobody can listen on the way to it.
    fn is_local(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Whether its certificate must be valid. STARTTLS without a password to protect takes any: who can show a wrong
    /// certificate can as well hide the offer, and what is encrypted for the wrong one is still not in the clear
    /// (RFC 7435 §3).
    fn verifies(&self) -> bool {
        let protects = self.tls || self.login.is_some();
        protects && !self.accept_invalid_certificates && !self.is_local()
    }

    /// Waits for a step of the conversation, but not for ever. Whatever goes wrong with it is about the server, not about
    /// the mail.
    async fn step<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, MailError> {
        match self.in_time(step).await? {
            Ok(done) => Ok(done),
            Err(error) => Err(MailError::Later(self.told(&error))),
        }
    }

    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Result<T, MailError> {
        match tokio::time::timeout(self.timeout, step).await {
            Ok(result) => Ok(result),
            Err(_) => Err(MailError::Later(format!(
                "{}:{} did not answer within {} s",
                self.host,
                self.port,
                self.timeout.as_secs_f32()
            ))),
        }
    }

    /// What an error of the library means for the mail that was being handed over.
    fn failed(&self, error: &Error) -> MailError {
        let text = self.told(error);
        let is_let_in = error
            .status()
            .is_none_or(|code| u16::from(code) != NOT_LET_IN);
        if error.is_permanent() && is_let_in {
            MailError::Refused(text)
        } else if error.is_client() {
            // What this server cannot carry, such as an address beyond ASCII.
            MailError::Unusable(text)
        } else {
            MailError::Later(text)
        }
    }

    fn told(&self, error: &Error) -> String {
        words::one_line(&format!("{}:{}: {error}", self.host, self.port))
    }

    /// Connects, encrypts, logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let hello = ClientId::default();
        let tls = TlsParameters::builder(self.host.clone())
            .dangerous_accept_invalid_certs(!self.verifies())
            .dangerous_accept_invalid_hostnames(!self.verifies())
            .build()
            .map_err(|error| MailError::Later(self.told(&error)))?;
        let from_start = self.tls.then(|| tls.clone());
        let mut connection = self
            .step(AsyncSmtpConnection::connect_tokio1(
                (self.host.as_str(), self.port),
                Some(self.timeout),
                &hello,
                from_start,
                None,
            ))
            .await?;
        if connection.can_starttls() {
            self.step(connection.starttls(tls, &hello)).await?;
        }
        if let Some((user, password)) = &self.login {
            if !connection.is_encrypted() && !self.is_local() {
                connection.abort().await;
                return Err(MailError::Later(
                    "it offers no TLS, and the password is not sent without; let it offer STARTTLS, or set mail.protocol to smtps".to_owned(),
                ));
            }
            self.login(&mut connection, user, password).await?;
        }
        Ok(connection)
    }

    /// Logs in. What the server says to a wrong password is not repeated: it may repeat the password.
    async fn login(
        &self,
        connection: &mut AsyncSmtpConnection,
        user: &str,
        password: &str,
    ) -> Result<(), MailError> {
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let answer = self.in_time(connection.auth(&mechanisms, &credentials));
        let Err(error) = answer.await? else {
            return Ok(());
        };
        Err(match error.status() {
            Some(code) if error.is_permanent() => MailError::Later(format!(
                "{code} to the login; check user name and password (mail.username and mail.password, or SMTP_Username and SMTP_Password of the workspace)"
            )),
            Some(code) => MailError::Later(format!("{code} to the login")),
            None if error.is_client() => MailError::Later(
                "it offers no way to log in that is known here (PLAIN, LOGIN); leave user and password empty if it wants none".to_owned(),
            ),
            None => MailError::Later("the connection failed during the login".to_owned()),
        })
    }
}

/// Whether this is a mail address.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

/// Whether this is a mail address, alone or as `Name <address>`.
pub(super) fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// Sends a mail, only its text when `plain`.
pub(super) async fn send(
    server: &Server,
    sender: &str,
    mail: &Mail,
    plain: bool,
) -> Result<(), MailError> {
    let message = message(sender, mail, plain)?;
    let mut connection = server.connect().await?;
    let formatted = message.formatted();
    server
        .in_time(connection.send(message.envelope(), &formatted))
        .await?
        .map_err(|error| server.failed(&error))?;
    // The mail is the server's now; how the conversation ends does not matter any more.
    let _ = server.step(connection.quit()).await;
    Ok(())
}

/// Connects and logs in, and says what was found.
pub(super) async fn check(server: &Server) -> Result<String, MailError> {
    let mut connection = server.connect().await?;
    let found = format!(
        "{}:{} answers, {}{}",
        server.host,
        server.port,
        match (connection.is_encrypted(), server.verifies()) {
            (true, true) => "encrypted with a valid certificate",
            (true, false) => "encrypted, certificate not verified",
            (false, _) => "not encrypted",
        },
        if server.login.is_some() {
            ", logged in"
        } else {
            ""
        },
    );
    let _ = server.step(connection.quit()).await;
    Ok(found)
}

/// The mail as it is sent. Texts are put on one line before they become headers, so that none can add a header.
fn message(sender: &str, mail: &Mail, plain: bool) -> Result<Message, MailError> {
    let unusable = |what: &str, error: &dyn Display| {
        MailError::Unusable(words::one_line(&format!("{what}: {error}")))
    };
    let from: Mailbox = sender
        .parse()
        .map_err(|error| unusable(&format!("the sender `{sender}`"), &error))?;
    let address = mail
        .to
        .address
        .parse()
        .map_err(|error| unusable(&format!("the address `{}`", mail.to.address), &error))?;
    let name = mail.to.name.as_deref().map(words::one_line);
    let id = &mail.message_id;
    if !id
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte))
    {
        return Err(MailError::Unusable(format!(
            "the Message-ID {id:?} cannot be sent"
        )));
    }
    let date = SystemTime::UNIX_EPOCH
        + Duration::from_millis(u64::try_from(mail.date).unwrap_or_default());
    // Keeps holiday notices and mailing lists from answering (RFC 3834 §5).
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let builder = Message::builder()
        .from(from)
        .to(Mailbox::new(name, address))
        .subject(words::one_line(&mail.subject))
        .message_id(Some(format!("<{id}>")))
        .header(header::Date::new(date))
        .raw_header(automatic);
    let text = SinglePart::plain(mail.text.clone());
    let message = match mail.html.as_ref().filter(|_| !plain) {
        Some(html) => builder.multipart(
            MultiPart::alternative()
                .singlepart(text)
                .singlepart(SinglePart::html(html.clone())),
        ),
        None => builder.singlepart(text),
    };
    message.map_err(|error| unusable("the mail", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;

    fn mail(name: &str, subject: &str) -> Mail {
        Mail {
            to: Address {
                name: Some(name.to_owned()),
                address: "to@example.org".to_owned(),
            },
            subject: subject.to_owned(),
            text: "text".to_owned(),
            html: None,
            message_id: "a@b".to_owned(),
            date: 1_700_000_000_000,
        }
    }

    #[test]
    fn no_text_adds_a_header() {
        for evil in [
            "x\r\nBcc: evil@example.org",
            "x\nBcc: evil@example.org",
            "x\rBcc: evil@example.org",
            "x\r\n\r\nbody",
            "ü\r\nBcc: evil@example.org",
            "\u{2028}Bcc: evil@example.org\0",
        ] {
            for mail in [mail(evil, "subject"), mail("name", evil)] {
                let formatted = message("from@example.org", &mail, true)
                    .unwrap()
                    .formatted();
                let text = String::from_utf8(formatted).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert_eq!(body.trim_end(), "text", "{evil:?}: {text}");
                assert!(
                    !head.replace("\r\n", "\n").contains('\r')
                        && !head
                            .lines()
                            .any(|line| line.to_lowercase().starts_with("bcc")),
                    "{evil:?}: {text}"
                );
            }
            let mut id = mail("name", "subject");
            id.message_id = evil.to_owned();
            assert!(matches!(
                message("from@example.org", &id, true),
                Err(MailError::Unusable(_))
            ));
            assert!(!is_address(&format!("to@example.org{evil}")), "{evil:?}");
        }
    }

    #[test]
    fn a_password_needs_a_server_that_can_be_trusted() {
        let cases = [
            // host, TLS from the start, password, any certificate: must it be valid?
            ("mail.example.org", false, false, false, false),
            ("mail.example.org", false, true, false, true),
            ("mail.example.org", true, false, false, true),
            ("mail.example.org", true, true, true, false),
            ("LOCALHOST", true, true, false, false),
            ("127.0.0.1", false, true, false, false),
            ("::1", false, true, false, false),
            ("127.0.0.1.example.org", false, true, false, true),
        ];
        for (host, tls, login, accept_invalid_certificates, expected) in cases {
            let server = Server {
                host: host.to_owned(),
                port: 25,
                tls,
                login: login.then(|| ("user".to_owned(), "password".to_owned())),
                accept_invalid_certificates,
                timeout: Duration::from_secs(1),
            };
            assert_eq!(server.verifies(), expected, "{host} {tls} {login}");
        }
    }
}
