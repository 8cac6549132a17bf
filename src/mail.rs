//! Mail: what is sent, to whom, and by which way.
//!
//! Responsible for the settings behind it and for the reasons why no mail is sent. `messages` and `notice` say what is in a
//! mail, `recipients` who gets it, `paper`, `frame` and `texts` how it looks and speaks, `mime` makes bytes of it, `smtp` and
//! `outbox` hand them over.

pub mod dates;
mod frame;
pub mod messages;
pub mod mime;
pub mod notice;
mod outbox;
pub mod paper;
pub mod recipients;
mod smtp;
pub mod texts;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lettre::message::Mailbox;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::timeout;

use self::mime::Head;
use self::paper::Paper;
pub use self::smtp::NotTaken;
use crate::config::{self, Transport};
use crate::store::StoreError;
use crate::store::directory::{Directory, Settings, User};
use crate::words;

/// A mail, ready to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Recipients, who all see each other.
    pub to: Vec<Address>,
    /// Where answers go, when not to the sender.
    pub reply_to: Option<Address>,
    /// `Subject`, not encoded.
    pub subject: String,
    /// `Message-ID` without angle brackets; the same whenever the mail is sent again.
    pub message_id: String,
    /// Where the mail comes from when no sender is set up: nobody answers at this host.
    pub host: String,
    /// `Date`, milliseconds since 1970.
    pub date: i64,
    /// Headers and body of the content, as [`mime::content`] writes them.
    pub content: Vec<u8>,
}

/// What became of a mail that was handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// Recipients that the server did not take while it took others.
    pub refused: Vec<NotTaken>,
    /// The file, when there is no server.
    pub file: Option<PathBuf>,
}

/// An address with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The person's name.
    pub name: Option<String>,
    /// `local@domain`.
    pub address: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Why a mail was not handed over.
#[derive(Debug, Error)]
pub enum MailError {
    /// It is not said how to send mail, or not so that it can be; why, for the operator.
    #[error("sending mail is not set up: {0}")]
    Off(String),
    /// The address, or something else in the mail, cannot be used; trying again does not help.
    #[error("{0}")]
    Unusable(String),
    /// The server refused this mail for good: its sender, its recipient or its content (5xx).
    #[error("the mail server refused: {0}")]
    Refused(String),
    /// The mail is larger than the server takes. It has this many bytes.
    #[error("the mail of {size} is larger than the mail server takes ({said}); choose fewer messages, or let mail.attachments or mail.max_bytes keep files out of it", size = words::bytes(*.bytes))]
    TooLarge {
        /// The whole mail, as it is sent.
        bytes: u64,
        /// The server's words.
        said: String,
    },
    /// The server is not there, refused for now (4xx), or lets nobody in as things are set up: a wrong password, no TLS.
    /// The operator can repair that.
    #[error("the mail server cannot take it now: {0}")]
    Later(String),
    /// What the mail is about, or how to send it, could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a user gets a mail about an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It is ready.
    Ready,
    /// It failed.
    Failed,
}

/// How long a server is given to answer a goodbye before the process ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Sends mail as the configuration, and where it says nothing the workspace, says.
pub struct Mailer {
    config: config::Mail,
    directory: Arc<dyn Directory>,
    /// Where mails go that no server takes.
    outbox: PathBuf,
    /// A connection that has just sent a mail, for the next one.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    server: smtp::Server,
    connection: smtp::Connection,
    since: Instant,
}

impl Kept {
    async fn quit(self) {
        smtp::quit(&self.server, self.connection).await;
    }
}

/// How mail goes out.
struct Route {
    way: Way,
    sender: Option<Mailbox>,
    /// Whether connections are kept for the next mail.
    pool: bool,
}

enum Way {
    Smtp(smtp::Server),
    Outbox,
}

/// Settings of the workspace that matter here (contract §5.8).
///
/// `SMTP_IgnoreTLS` is not among them: it is true unless somebody changed it, which would send passwords in the clear.
const SETTINGS: [&str; 7] = [
    "SMTP_Protocol",
    "SMTP_Host",
    "SMTP_Port",
    "SMTP_Username",
    "SMTP_Password",
    "SMTP_Pool",
    "From_Email",
];

impl Mailer {
    /// A mailer, with the directory that mails are put in when there is no server. Nothing is looked up before the first
    /// mail.
    pub fn new(config: config::Mail, outbox: PathBuf, directory: Arc<dyn Directory>) -> Self {
        Self {
            outbox: config.directory.clone().unwrap_or(outbox),
            config,
            directory,
            kept: Mutex::default(),
        }
    }

    /// What mails are written on. `site_url` as [`crate::app::Service::site_url`] says.
    pub async fn paper(&self, site_url: &str) -> Result<Paper, StoreError> {
        let settings = self.directory.settings(&paper::SETTINGS).await?;
        Ok(Paper::new(&settings, &self.config, site_url))
    }

    /// The mail as it would be sent, without sending it.
    pub async fn write(&self, mail: &Mail) -> Result<Vec<u8>, MailError> {
        let settings = self.directory.settings(&SETTINGS).await?;
        let sender = self.route(&settings).ok().and_then(|route| route.sender);
        let from = sender.unwrap_or_else(|| nobody(&mail.host));
        let mut bytes = head(mail, &from)?.into_bytes();
        bytes.extend_from_slice(&mail.content);
        Ok(bytes)
    }

    /// Hands a mail over.
    pub async fn send(&self, mail: &Mail) -> Result<Handed, MailError> {
        let settings = self.directory.settings(&SETTINGS).await?;
        let route = self.route(&settings).map_err(MailError::Off)?;
        let from = match route.sender {
            Some(sender) => sender,
            None => nobody(&mail.host),
        };
        let mut headers = head(mail, &from)?;
        let server = match route.way {
            Way::Outbox => {
                let name = format!("{}.eml", mime::word(&mail.message_id));
                let pieces = [headers.into_bytes(), mail.content.clone()];
                let file = outbox::put(self.outbox.clone(), name, pieces).await?;
                return Ok(Handed {
                    file: Some(file),
                    ..Handed::default()
                });
            }
            Way::Smtp(server) => server,
        };
        let mut to = Vec::with_capacity(mail.to.len());
        for recipient in &mail.to {
            to.push(address(&recipient.address).ok_or_else(|| {
                MailError::Unusable(format!("`{}` is no mail address", recipient.address))
            })?);
        }
        let kept = self.kept.lock().await.take();
        let mut connection = match kept {
            Some(Kept {
                server: its,
                mut connection,
                since,
            }) if route.pool && its == server && since.elapsed() < smtp::KEPT => {
                if smtp::is_alive(&server, &mut connection).await {
                    connection
                } else {
                    smtp::connect(&server).await?
                }
            }
            Some(other) => {
                // The mail does not wait for the goodbye to another connection.
                tokio::spawn(other.quit());
                smtp::connect(&server).await?
            }
            None => smtp::connect(&server).await?,
        };
        let mut refused = Vec::new();
        if !smtp::takes_any_script(&connection) {
            let is_plain = |address: &&Address| address.address.is_ascii();
            let (plain, foreign): (Vec<_>, Vec<_>) = mail.to.iter().partition(is_plain);
            // Answers can wait for a better server, and so can some of several; the mail cannot.
            let reply_to = mail.reply_to.as_ref().filter(is_plain);
            let is_changed = !foreign.is_empty() || reply_to != mail.reply_to.as_ref();
            if is_changed && !plain.is_empty() {
                let mail = Mail {
                    to: plain.into_iter().cloned().collect(),
                    reply_to: reply_to.cloned(),
                    subject: mail.subject.clone(),
                    message_id: mail.message_id.clone(),
                    host: mail.host.clone(),
                    date: mail.date,
                    content: Vec::new(),
                };
                headers = head(&mail, &from)?;
                to.retain(|address| AsRef::<str>::as_ref(address).is_ascii());
                refused.extend(foreign.into_iter().map(|address| NotTaken {
                    address: address.address.clone(),
                    words: smtp::needs_any_script(&server, &address.address),
                    later: false,
                }));
            }
        }
        let pieces = [headers.as_bytes(), &mail.content];
        refused.extend(smtp::send(&server, &mut connection, &from.email, &to, &pieces).await?);
        if route.pool {
            let now = Kept {
                server,
                connection,
                since: Instant::now(),
            };
            // Of several that end together one is kept.
            if let Some(other) = self.kept.lock().await.replace(now) {
                tokio::spawn(other.quit());
            }
        } else {
            smtp::quit(&server, connection).await;
        }
        Ok(Handed {
            refused,
            file: None,
        })
    }

    /// Says goodbye to the mail server, when a connection is kept: before the process ends. A server that says nothing is
    /// not waited for.
    pub async fn close(&self) {
        if let Some(kept) = self.kept.lock().await.take() {
            // Nothing is lost without it.
            let _ = timeout(GOODBYE, kept.quit()).await;
        }
    }

    /// A sentence that says why no mail is sent to a user when an export has ended so, when none is.
    pub async fn obstacle(
        &self,
        user: &User,
        occasion: Occasion,
    ) -> Result<Option<String>, StoreError> {
        let (wanted, key) = match occasion {
            Occasion::Ready => (self.config.ready, "mail.ready"),
            Occasion::Failed => (self.config.failed, "mail.failed"),
        };
        if !wanted {
            return Ok(Some(format!("Mails are switched off ({key}).")));
        }
        if let Some(reason) = self.closed().await? {
            return Ok(Some(reason));
        }
        if recipient(user).is_none() {
            return Ok(Some(
                "You have no e-mail address in this workspace that mail can be sent to.".to_owned(),
            ));
        }
        Ok(None)
    }

    /// A sentence that says why no mail goes out at all, when none does.
    pub async fn closed(&self) -> Result<Option<String>, StoreError> {
        Ok(self.route(&self.directory.settings(&SETTINGS).await?).err())
    }

    /// Greets the server, and logs in where that is set up; sends nothing. What was found, in words; for `doctor`.
    pub async fn check(&self) -> Result<String, MailError> {
        let settings = self.directory.settings(&SETTINGS).await?;
        let route = self.route(&settings).map_err(MailError::Unusable)?;
        match route.way {
            Way::Smtp(server) => Box::pin(smtp::check(&server)).await,
            Way::Outbox => {
                let place = self.outbox.clone();
                outbox::check(place.clone()).await?;
                Ok(format!(
                    "no mail server is set up: mails become files in {}",
                    place.display()
                ))
            }
        }
    }

    /// How mail goes out, or a sentence why it does not.
    fn route(&self, settings: &Settings) -> Result<Route, String> {
        let config = &self.config;
        let sender = match config.from.as_deref().or(settings.text("From_Email")) {
            Some(text) => Some(sender(text).ok_or_else(|| {
                format!(
                    "The sender `{text}` is no mail address (mail.from, or From_Email of the workspace)."
                )
            })?),
            None => None,
        };
        let pool = config.pool.or(settings.truth("SMTP_Pool")).unwrap_or(true);
        let is_named = config.host.is_some() || settings.text("SMTP_Host").is_some();
        let transport = match config.transport {
            Some(transport) => transport,
            None if is_named => Transport::Smtp,
            None => Transport::Directory,
        };
        if transport == Transport::Directory {
            return Ok(Route {
                way: Way::Outbox,
                sender,
                pool,
            });
        }
        // A password of the workspace's server is never sent to another one.
        let nothing = Settings::default();
        let (host, its) = match (&config.host, settings.text("SMTP_Host")) {
            (Some(host), _) => (host.as_str(), &nothing),
            (None, Some(host)) => (host, settings),
            (None, None) => {
                return Err(
                    "No mail server is set up (mail.host, or SMTP_Host of the workspace)."
                        .to_owned(),
                );
            }
        };
        let tls = match config.protocol.as_deref().or(its.text("SMTP_Protocol")) {
            None | Some("smtp") => false,
            Some("smtps") => true,
            Some(other) => {
                return Err(format!(
                    "The mail protocol is `{other}`; smtp and smtps are known (mail.protocol)."
                ));
            }
        };
        let port = config
            .port
            .or_else(|| u16::try_from(its.integer("SMTP_Port")?).ok())
            .filter(|&port| port > 0)
            .unwrap_or(if tls { 465 } else { 587 });
        let username = config.username.as_deref().or(its.text("SMTP_Username"));
        let password = Some(config.password.reveal())
            .filter(|password| !password.is_empty())
            .or(its.text("SMTP_Password"));
        if sender.is_none() {
            return Err(
                "No sender is set up (mail.from, or From_Email of the workspace).".to_owned(),
            );
        }
        Ok(Route {
            way: Way::Smtp(smtp::Server {
                host: host.to_owned(),
                port,
                tls,
                login: username
                    .zip(password)
                    .map(|(user, password)| (user.to_owned(), password.to_owned())),
                accept_invalid_certificates: config.accept_invalid_certificates,
                timeout: config.timeout,
            }),
            sender,
            pool,
        })
    }
}

/// The headers above the content.
fn head(mail: &Mail, from: &Mailbox) -> Result<String, MailError> {
    let head = Head {
        from,
        to: &mail.to,
        reply_to: mail.reply_to.as_ref(),
        subject: &mail.subject,
        message_id: &mail.message_id,
        date: mail.date,
    };
    Ok(head.headers()?.to_string())
}

/// Where mail for a user goes: the first address that its owner has confirmed, else the first one; what is no address is
/// passed over.
pub fn recipient(user: &User) -> Option<Address> {
    let usable = || {
        user.emails
            .iter()
            .filter_map(|email| Some((email.verified, address(&email.address)?)))
    };
    let (_, address) = usable()
        .find(|(verified, _)| *verified)
        .or_else(|| usable().next())?;
    Some(Address {
        name: user.name.clone().or_else(|| user.username.clone()),
        address: address.to_string(),
    })
}

/// The address that a text is, its domain in ASCII (RFC 5890) and lower case. The local part may be of any script
/// (RFC 6531).
pub fn address(text: &str) -> Option<lettre::Address> {
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        return None;
    }
    let parsed: lettre::Address = text.trim().parse().ok()?;
    let domain = parsed.domain();
    let is_literal = domain.starts_with('[') || domain.parse::<IpAddr>().is_ok();
    let domain = if is_literal {
        domain.to_owned()
    } else {
        idna::domain_to_ascii(domain).ok()?
    };
    lettre::Address::new(parsed.user(), domain).ok()
}

/// Whether a text is an address that mail can be sent to.
pub fn is_address(text: &str) -> bool {
    address(text).is_some()
}

/// A sender, alone or as `Name <address>`.
fn sender(text: &str) -> Option<Mailbox> {
    let parsed: Mailbox = text.parse().ok()?;
    let email = address(parsed.email.as_ref())?;
    Some(Mailbox::new(parsed.name, email))
}

/// The sender of mails that nobody has said one for: nobody answers at the host that the mail comes from.
fn nobody(host: &str) -> Mailbox {
    let address = address(&format!("no-reply@{host}"));
    let address =
        address.unwrap_or_else(|| lettre::Address::new_dangerous("no-reply", "localhost"));
    Mailbox::new(Some("Export Room".to_owned()), address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_by_their_mailbox() {
        for (text, expected) in [
            ("Ann@Example.ORG", Some("Ann@example.org")),
            (" a@b.example ", Some("a@b.example")),
            ("ann@Bücher.example", Some("ann@xn--bcher-kva.example")),
            (
                "dörte@sörensen.example",
                Some("dörte@xn--srensen-90a.example"),
            ),
            ("用户@例子.广告", Some("用户@xn--fsqu00a.xn--4rr70v")),
            ("a+b=c@localhost", Some("a+b=c@localhost")),
            ("a@[192.0.2.1]", Some("a@[192.0.2.1]")),
            ("x@", None),
            ("@x", None),
            ("x", None),
            ("", None),
            ("a b@c", None),
            ("a@b, c@d", None),
            ("a@b\r\nBcc: c@d", None),
            ("a\u{85}@b", None),
            ("\"a\r\nb\"@c", None),
            ("Ann <a@b>", None),
        ] {
            let found = address(text).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }
}
