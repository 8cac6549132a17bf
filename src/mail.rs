//! Mail: what is sent, to whom, and through which server.
//!
//! Responsible for the settings behind it and for the reasons why no mail is sent; `smtp` talks to the server.

pub mod ready;
mod smtp;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::config;
use crate::store::StoreError;
use crate::store::directory::{Directory, Settings, User};

/// A mail, ready to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Recipient: an address, and the name that belongs to it.
    pub to: Address,
    /// `Subject`, not encoded.
    pub subject: String,
    /// The part for everybody.
    pub text: String,
    /// The part with markup.
    pub html: Option<String>,
    /// `Message-ID` without angle brackets; the same whenever the mail is sent again.
    pub message_id: String,
    /// `Date`, milliseconds since 1970.
    pub date: i64,
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
    /// Nobody has said how to send mail.
    #[error("sending mail is not set up")]
    Off,
    /// The address, or something else in the mail, cannot be used; trying again does not help.
    #[error("{0}")]
    Unusable(String),
    /// The server refused this mail for good: its sender, its recipient or its content (5xx).
    #[error("the mail server refused: {0}")]
    Refused(String),
    /// The server is not there, refused for now (4xx), or lets nobody in as things are set up: a wrong password, no TLS.
    /// The operator can repair that.
    #[error("the mail server cannot take it now: {0}")]
    Later(String),
    /// What the mail is about, or how to send it, could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sends mail as the configuration, and where it says nothing the workspace, says.
pub struct Mailer {
    config: config::Mail,
    directory: Arc<dyn Directory>,
}

/// How mail goes out.
struct Route {
    server: smtp::Server,
    sender: String,
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
    "From_Email",
    "email_plain_text_only",
];

impl Mailer {
    /// A mailer. Nothing is looked up before the first mail.
    pub fn new(config: config::Mail, directory: Arc<dyn Directory>) -> Self {
        Self { config, directory }
    }

    /// Hands a mail to the server.
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let settings = self.directory.settings(&SETTINGS).await?;
        let route = self.route(&settings).map_err(|_| MailError::Off)?;
        let plain = settings.truth("email_plain_text_only").unwrap_or(false);
        smtp::send(&route.server, &route.sender, mail, plain).await
    }

    /// A sentence that says why no mail is sent to a user when an export is ready, when none is.
    pub async fn obstacle(&self, user: &User) -> Result<Option<String>, StoreError> {
        if !self.config.ready {
            return Ok(Some("Mails are switched off (mail.ready).".to_owned()));
        }
        if let Err(reason) = self.route(&self.directory.settings(&SETTINGS).await?) {
            return Ok(Some(reason));
        }
        if recipient(user).is_none() {
            return Ok(Some(
                "You have no e-mail address in this workspace that mail can be sent to.".to_owned(),
            ));
        }
        Ok(None)
    }

    /// Greets the server, and logs in where that is set up; sends nothing. What was found, in words; for `doctor`.
    pub async fn check(&self) -> Result<String, MailError> {
        let settings = self.directory.settings(&SETTINGS).await?;
        let route = self.route(&settings).map_err(MailError::Unusable)?;
        smtp::check(&route.server).await
    }

    /// How mail goes out, or a sentence why it does not.
    fn route(&self, settings: &Settings) -> Result<Route, String> {
        let config = &self.config;
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
        let sender = config
            .from
            .as_deref()
            .or(settings.text("From_Email"))
            .ok_or("No sender is set up (mail.from, or From_Email of the workspace).")?;
        if !smtp::is_mailbox(sender) {
            return Err(format!(
                "The sender `{sender}` is no mail address (mail.from, or From_Email of the workspace)."
            ));
        }
        Ok(Route {
            server: smtp::Server {
                host: host.to_owned(),
                port,
                tls,
                login: username
                    .zip(password)
                    .map(|(user, password)| (user.to_owned(), password.to_owned())),
                accept_invalid_certificates: config.accept_invalid_certificates,
                timeout: config.timeout,
            },
            sender: sender.to_owned(),
        })
    }
}

/// Where mail for a user goes: the first address that its owner has confirmed, else the first one; what is no address is
/// passed over.
fn recipient(user: &User) -> Option<Address> {
    let usable = || {
        user.emails
            .iter()
            .filter(|email| smtp::is_address(&email.address))
    };
    let email = usable()
        .find(|email| email.verified)
        .or_else(|| usable().next())?;
    Some(Address {
        name: user.name.clone().or_else(|| user.username.clone()),
        address: email.address.clone(),
    })
}

/// Whether a text is an address that mail can be sent to.
pub fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}
