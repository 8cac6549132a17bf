//! Mail: what is sent, and how it is handed over.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::config;
use crate::store::directory::Directory;

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
    #[error("no SMTP server is configured")]
    Off,
    /// The address, or something else in the mail, cannot be used; trying again does not help.
    #[error("{0}")]
    Unusable(String),
    /// The server refused for good (5xx).
    #[error("the mail server refused: {0}")]
    Refused(String),
    /// The server is not there or refused for now (4xx).
    #[error("the mail server cannot take it now: {0}")]
    Later(String),
}

/// Sends mail as the configuration, and where it says nothing the workspace, says.
pub struct Mailer {
    /// What the operator set.
    pub(crate) config: config::Mail,
    /// For the settings of the workspace.
    pub(crate) directory: Arc<dyn Directory>,
}

impl Mailer {
    /// A mailer. Nothing is looked up before the first mail.
    pub fn new(config: config::Mail, directory: Arc<dyn Directory>) -> Self {
        Self { config, directory }
    }
}

/// Whether a text is an address that mail can be sent to.
pub fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}
