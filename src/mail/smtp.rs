//! Hands mails to an SMTP server: the only file that knows the protocol's library.
//!
//! A connection that has sent a mail may be kept for the next one; it is asked whether it still lives before it is used.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};

use super::MailError;
use crate::words;

/// A connection to a server that is ready for a mail.
pub(super) struct Connection {
    inner: AsyncSmtpConnection,
    /// What the server says of sizes (RFC 1870); `None` when it says nothing.
    sizes: Option<Sizes>,
}

/// The largest mail that a server takes; `None` when it says that it knows sizes, but no largest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes(Option<u64>);

impl Sizes {
    /// Reads the lines of an answer to EHLO.
    fn read<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        lines.find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let is_size = words.next()?.eq_ignore_ascii_case("SIZE");
            let largest = words.next().and_then(|number| number.parse().ok());
            // 0 is no limit.
            is_size.then(|| Self(largest.filter(|largest| *largest > 0)))
        })
    }
}

/// How long a connection is kept without being used; servers close theirs after some minutes (RFC 5321 §4.5.3.2).
pub(super) const KEPT: Duration = Duration::from_secs(30);
/// A mail is handed on in pieces of this size: the library copies each.
const PIECE: usize = 64 << 10;
/// Bytes per second that a server takes at least; a slower one has failed.
const SLOWEST: u64 = 16 << 10;

/// How long a server may take to say that it has a whole mail: it looks for viruses first, and to give up means that the
/// mail is sent twice (RFC 5321 §4.5.3.2.6).
const ACCEPTING: Duration = Duration::from_mins(10);

/// Answers to a mail that say that it came without the login or the encryption that the server wants (RFC 4954 §6,
/// RFC 3207 §4): about the set-up, not about the mail.
const NOT_LET_IN: u16 = 530;
/// The answer to a mail that is too large (RFC 1870 §6.1), and to a mailbox that is full, which its words then say with an
/// enhanced code (RFC 3463 §3.3).
const TOO_LARGE: u16 = 552;
const MAILBOX_FULL: &str = "5.2.2";

/// A mail server and how to talk to it. Has no `Debug` form, because of the password.
#[derive(Clone, PartialEq, Eq)]
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
        self.within(self.timeout, step).await
    }

    async fn within<T>(
        &self,
        time: Duration,
        step: impl Future<Output = T>,
    ) -> Result<T, MailError> {
        match tokio::time::timeout(time, step).await {
            Ok(result) => Ok(result),
            Err(_) => Err(MailError::Later(format!(
                "{}:{} did not answer within {} s",
                self.host,
                self.port,
                time.as_secs_f32()
            ))),
        }
    }

    /// What an error of the library means for the mail, of so many bytes, that was being handed over.
    fn failed(&self, error: &Error, bytes: u64) -> MailError {
        let text = self.told(error);
        let code = error.status().map(u16::from);
        if code == Some(TOO_LARGE) && !text.contains(MAILBOX_FULL) {
            return MailError::TooLarge { bytes, said: text };
        }
        let is_let_in = code.is_none_or(|code| code != NOT_LET_IN);
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
    async fn connect(&self) -> Result<Connection, MailError> {
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
        // The library keeps no sizes of the answer that it asked for itself.
        let answer = self.step(connection.command(Ehlo::new(hello))).await?;
        Ok(Connection {
            sizes: Sizes::read(answer.message()),
            inner: connection,
        })
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

/// Connects, encrypts, logs in.
pub(super) async fn connect(server: &Server) -> Result<Connection, MailError> {
    // The library's futures are large.
    Box::pin(server.connect()).await
}

/// Whether a kept connection still answers.
pub(super) async fn is_alive(server: &Server, connection: &mut Connection) -> bool {
    let connection = &mut connection.inner;
    !connection.has_broken()
        && matches!(server.in_time(connection.test_connected()).await, Ok(true))
}

/// Ends a conversation. How does not matter any more: what was sent is the server's.
pub(super) async fn quit(server: &Server, mut connection: Connection) {
    let _ = Box::pin(server.step(connection.inner.quit())).await;
}

/// Why an address beyond ASCII gets no mail by this server (RFC 6531).
pub(super) fn needs_any_script(server: &Server, address: &str) -> String {
    let (host, port) = (&server.host, server.port);
    format!("the address `{address}` needs a mail server with SMTPUTF8, which {host}:{port} is not")
}

/// Whether the server takes addresses beyond ASCII (RFC 6531).
pub(super) fn takes_any_script(connection: &Connection) -> bool {
    connection
        .inner
        .server_info()
        .supports_feature(Extension::SmtpUtfEight)
}

/// A recipient that the server did not take while it took others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// The address.
    pub address: String,
    /// The server's words.
    pub words: String,
    /// Whether it may take the recipient later (4xx).
    pub later: bool,
}

/// Sends a mail that is in several pieces. Recipients that the server did not take while it took others are told. After an
/// error the connection is of no use any more.
pub(super) async fn send(
    server: &Server,
    connection: &mut Connection,
    from: &Address,
    to: &[Address],
    pieces: &[&[u8]],
) -> Result<Vec<NotTaken>, MailError> {
    let sent = Box::pin(converse(server, connection, from, to, pieces)).await;
    if sent.is_err() {
        let _ = server.in_time(connection.inner.abort()).await;
    }
    sent
}

async fn converse(
    server: &Server,
    connection: &mut Connection,
    from: &Address,
    to: &[Address],
    pieces: &[&[u8]],
) -> Result<Vec<NotTaken>, MailError> {
    let mut parameters = Vec::new();
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let bytes = length as u64;
    if let Some(Sizes(largest)) = connection.sizes {
        if let Some(largest) = largest.filter(|largest| bytes > *largest) {
            return Err(MailError::TooLarge {
                bytes,
                said: format!(
                    "{}:{} takes at most {}",
                    server.host,
                    server.port,
                    words::bytes(largest)
                ),
            });
        }
        parameters.push(MailParameter::Size(length));
    }
    let beyond_ascii = to
        .iter()
        .chain([from])
        .find(|address| !AsRef::<str>::as_ref(*address).is_ascii());
    if let Some(address) = beyond_ascii
        && !takes_any_script(connection)
    {
        let said = needs_any_script(server, address.as_ref());
        return Err(MailError::Unusable(said));
    }
    // Other headers than those of the recipients may have such addresses as well.
    if beyond_ascii.is_some() || !pieces.first().is_some_and(|head| head.is_ascii()) {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let connection = &mut connection.inner;
    let answer = server.in_time(connection.command(Mail::new(Some(from.clone()), parameters)));
    answer
        .await?
        .map_err(|error| server.failed(&error, bytes))?;
    let mut refused = Vec::new();
    let mut decides: Option<Error> = None;
    for address in to {
        let answer = server.in_time(connection.command(Rcpt::new(address.clone(), Vec::new())));
        if let Err(error) = answer.await? {
            // Without an answer there is no conversation to go on with.
            if error.status().is_none() {
                return Err(server.failed(&error, bytes));
            }
            let later = !error.is_permanent();
            refused.push(NotTaken {
                address: address.to_string(),
                words: words::one_line(&error.to_string()),
                later,
            });
            // As long as one may be taken later, nothing is final.
            if later || decides.is_none() {
                decides = Some(error);
            }
        }
    }
    if let Some(error) = decides.filter(|_| refused.len() == to.len()) {
        return Err(server.failed(&error, bytes));
    }
    let answer = server.in_time(connection.command(Data));
    answer
        .await?
        .map_err(|error| server.failed(&error, bytes))?;
    let time = ACCEPTING.max(server.timeout) + Duration::from_secs(bytes / SLOWEST);
    let pieces = pieces.iter().flat_map(|piece| piece.chunks(PIECE));
    let answer = server.within(time, connection.message_iter(pieces));
    answer
        .await?
        .map_err(|error| server.failed(&error, bytes))?;
    Ok(refused)
}

/// Connects and logs in, and says what was found.
pub(super) async fn check(server: &Server) -> Result<String, MailError> {
    let connection = connect(server).await?;
    let found = format!(
        "{}:{} answers, {}{}",
        server.host,
        server.port,
        match (connection.inner.is_encrypted(), server.verifies()) {
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
    quit(server, connection).await;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_mail_is_what_the_server_says() {
        for (answer, expected) in [
            (
                &["mail.example.org", "PIPELINING", "SIZE 35882577"][..],
                Some(Sizes(Some(35_882_577))),
            ),
            (
                &["mail.example.org", "size 7", "SIZE 9"],
                Some(Sizes(Some(7))),
            ),
            (&["mail.example.org", "SIZE"], Some(Sizes(None))),
            (&["mail.example.org", "SIZE 0"], Some(Sizes(None))),
            (&["mail.example.org", "SIZES 5", "8BITMIME"], None),
        ] {
            assert_eq!(Sizes::read(answer.iter().copied()), expected, "{answer:?}");
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
