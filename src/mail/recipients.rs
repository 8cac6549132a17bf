//! Who gets a mail: usernames and addresses that somebody asked for, checked against what the operator allows.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Address, recipient};
use crate::config;
use crate::store::StoreError;
use crate::store::directory::{Directory, LoginName, User, UserId};

/// Where a mail goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recipient {
    /// What the requester asked for, a username or an address: users' addresses are not told to others.
    pub asked: String,
    /// The address, its domain in ASCII.
    pub address: String,
    /// The person's name, when it is a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl From<&Recipient> for Address {
    fn from(recipient: &Recipient) -> Self {
        Self {
            name: recipient.name.clone(),
            address: recipient.address.clone(),
        }
    }
}

/// The recipients, and those users who cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients {
    /// Each address once.
    pub to: Vec<Recipient>,
    /// As they were asked for.
    pub missing: Vec<String>,
}

/// Why a mail is sent to nobody.
#[derive(Debug, Error)]
pub enum RecipientError {
    /// Nobody was named, or nobody of those who were can be reached.
    #[error("nobody of these can be reached by mail: {} (no user, or no address)", .missing.join(", "))]
    Nobody {
        /// Those who were named and cannot be reached.
        missing: Vec<String>,
    },
    /// This is no address.
    #[error("`{0}` is no mail address")]
    Malformed(String),
    /// The operator does not allow mail to this one; as it was asked for.
    #[error("mail to `{0}` is not allowed here (mail.domains, mail.self_only)")]
    NotAllowed(String),
    /// More than the operator allows.
    #[error("{count} recipients are more than {limit} (mail.max_recipients)")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// The workspace cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks up and checks recipients (endpoint specification, decisions 8 and 9). `requester` is who asks, if it is a user.
pub async fn resolve(
    directory: &dyn Directory,
    config: &config::Mail,
    requester: Option<&User>,
    users: &[&str],
    addresses: &[&str],
) -> Result<Recipients, RecipientError> {
    let named = |list: &[&str]| -> Vec<String> {
        let list = list.iter().map(|name| name.trim());
        list.filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (users, addresses) = (named(users), named(addresses));
    if users.is_empty() && addresses.is_empty() {
        return Err(RecipientError::Nobody {
            missing: Vec::new(),
        });
    }
    let mut seen = HashSet::new();
    let (mut to, mut missing) = (Vec::new(), Vec::new());
    // Malformed addresses are told before users are looked for.
    let mut typed = Vec::new();
    for asked in addresses {
        match super::address(&asked) {
            Some(address) => typed.push(Recipient {
                address: address.to_string(),
                asked,
                name: None,
            }),
            None => return Err(RecipientError::Malformed(asked)),
        }
    }
    for asked in users {
        let found = find(directory, &asked).await?.filter(|user| user.active);
        let found = found.and_then(|user| recipient(&user));
        match found {
            Some(found) => to.push(Recipient {
                asked,
                address: found.address,
                name: found.name,
            }),
            None if missing.contains(&asked) => {}
            None => missing.push(asked),
        }
    }
    to.extend(typed);
    to.retain(|recipient| seen.insert(mailbox(&recipient.address)));
    if to.is_empty() {
        return Err(RecipientError::Nobody { missing });
    }
    if to.len() > config.max_recipients {
        return Err(RecipientError::TooMany {
            count: to.len(),
            limit: config.max_recipients,
        });
    }
    let forbidden = to
        .iter()
        .find(|recipient| !is_allowed(config, requester, &recipient.address));
    if let Some(forbidden) = forbidden {
        return Err(RecipientError::NotAllowed(forbidden.asked.clone()));
    }
    Ok(Recipients { to, missing })
}

/// What two addresses of one mailbox have in common: no mail server that people use tells users apart by case.
fn mailbox(address: &str) -> String {
    address.to_lowercase()
}

/// The user with this username, or with this id.
async fn find(directory: &dyn Directory, name: &str) -> Result<Option<User>, StoreError> {
    let by_name = LoginName::Username(name.to_owned());
    match directory.find_user(&by_name).await? {
        Some(user) => Ok(Some(user)),
        None => directory.user(&UserId(name.to_owned())).await,
    }
}

/// Whether the operator allows mail to this address.
pub(super) fn is_allowed(config: &config::Mail, requester: Option<&User>, address: &str) -> bool {
    if config.self_only {
        let own = requester.into_iter().flat_map(|user| &user.emails);
        return own
            .filter(|email| email.verified)
            .filter_map(|email| super::address(&email.address))
            .any(|own| mailbox(own.as_ref()) == mailbox(address));
    }
    if config.domains.trim().is_empty() {
        return true;
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    // By these some servers send on to another domain.
    if local.contains(['@', '%', '!']) {
        return false;
    }
    config
        .domains()
        .iter()
        .any(|allowed| match allowed.strip_prefix('.') {
            Some(parent) => domain
                .strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.')),
            None => domain == allowed,
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn config(flags: &[(&str, &str)]) -> config::Mail {
        let flags: Vec<_> = flags
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        let nothing = Some(Path::new("/dev/null"));
        Config::load(nothing, std::iter::empty(), &flags)
            .unwrap()
            .mail
    }

    #[test]
    fn domains_are_allowed_by_name_or_with_what_is_below() {
        let config = config(&[("mail.domains", "Example.org, .bücher.example,")]);
        for (address, allowed) in [
            ("a@example.org", true),
            ("a@sub.example.org", false),
            ("a@notexample.org", false),
            ("a@xn--bcher-kva.example", false),
            ("a@www.xn--bcher-kva.example", true),
            ("a@example.com", false),
            ("\"a@example.org\"@example.com", false),
            ("\"a@example.com\"@example.org", false),
            ("a%example.com@example.org", false),
            ("example.com!a@example.org", false),
        ] {
            assert_eq!(is_allowed(&config, None, address), allowed, "{address}");
        }
        for (domains, allowed) in [("", true), (" ", true), (",", false), ("no domain", false)] {
            let config = self::config(&[("mail.domains", domains)]);
            assert_eq!(
                is_allowed(&config, None, "a@example.org"),
                allowed,
                "{domains:?}"
            );
        }
    }
}
