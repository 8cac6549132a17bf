//! Addresses: whom one of a client stands for, where clients are counted; and those of servers, whose passwords are not
//! shown.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;

/// Beginnings and parts of names of options whose values are secrets.
const SECRET_OPTIONS: [&str; 4] = ["password", "authmechanismproperties", "token", "secret"];

/// The address of a server, which may carry secrets: shown as scheme, hosts and database alone, also in its `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri(String);

/// What an address consists of.
struct Parts<'a> {
    scheme: &'a str,
    /// User, and password when there is one.
    credentials: Option<&'a str>,
    /// Hosts and database.
    place: &'a str,
    options: &'a str,
}

impl Uri {
    /// The whole address, for the one who connects.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `None` for what has no scheme.
    fn parts(&self) -> Option<Parts<'_>> {
        let (scheme, rest) = self.0.split_once("://")?;
        // A password that was not encoded may have any of `/?@`. Options are told from it by their form, and what is taken
        // for a part of a password is not shown.
        let options = rest.match_indices('?').find(|(at, _)| {
            let name = rest[at + 1..].split('=').next().unwrap_or_default();
            name.len() < rest.len() - at - 1
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let (mut head, mut tail) = match options {
            Some((at, _)) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        if !head.contains('@') && tail.contains('@') && !is_place(head) {
            (head, tail) = (rest, "");
        }
        let (credentials, place) = match head.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, head),
        };
        // Whatever else stands behind the database.
        let (place, more) = place.split_once('?').unwrap_or((place, ""));
        Some(Parts {
            scheme,
            credentials,
            place,
            options: if tail.is_empty() { more } else { tail },
        })
    }

    /// A text of somebody who knows the address, without its secrets.
    pub fn censor(&self, text: &str) -> String {
        let Some(parts) = self.parts() else {
            return text.to_owned();
        };
        let mut secrets = Vec::new();
        let password = parts.credentials.and_then(|text| text.split_once(':'));
        secrets.extend(password.map(|(_, password)| password));
        for option in parts.options.split('&') {
            let Some((name, value)) = option.split_once('=') else {
                continue;
            };
            if is_secret(name) {
                secrets.push(value);
                let properties = value.split(',').filter_map(|one| one.split_once(':'));
                secrets.extend(
                    properties
                        .filter(|(name, _)| is_secret(name))
                        .map(|(_, value)| value),
                );
            }
        }
        let mut censored = text.to_owned();
        for secret in secrets {
            let decoded = percent_decode_str(secret).decode_utf8_lossy();
            for secret in [secret, &*decoded] {
                if !secret.is_empty() {
                    censored = censored.replace(secret, "***");
                }
            }
        }
        censored
    }
}

fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    SECRET_OPTIONS.iter().any(|secret| option.contains(secret))
}

/// Whether a text can be hosts with their ports, and a database.
fn is_place(text: &str) -> bool {
    let hosts = text.split('/').next().unwrap_or_default();
    hosts.split(',').all(|host| {
        // An address of IPv6 is in brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => (name, port),
            _ => (host, ""),
        };
        !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl From<String> for Uri {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some(Parts { scheme, place, .. }) => write!(f, "{scheme}://{place}"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Its network, as its first address: of IPv6 the /64, in which one person has as many addresses as he likes; of IPv4 the
/// address alone, also where it is written as IPv6.
pub fn of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_scheme_hosts_and_database_are_shown() {
        for (address, shown) in [
            ("mongodb://h:1,i/db?x=y", "mongodb://h:1,i/db"),
            ("mongodb://u@h/db", "mongodb://h/db"),
            ("mongodb://u:geheim@h/db", "mongodb://h/db"),
            ("mongodb://u:gehe%40im@h,i/db", "mongodb://h,i/db"),
            ("mongodb://u:ge@he/im?@h/db", "mongodb://h/db"),
            ("mongodb://u:ge?im=@h/db", "mongodb://h/db"),
            ("mongodb://u:@h/db", "mongodb://h/db"),
            (
                "mongodb://u:geheim@[::1]:2,h/db?appName=me@home&x=y",
                "mongodb://[::1]:2,h/db",
            ),
            (
                "mongodb://h:1/db?authMechanismProperties=AWS_SESSION_TOKEN:a@b",
                "mongodb://h:1/db",
            ),
            ("mongodb://u:geheim@h?tls=true", "mongodb://h"),
            ("sqlite:chat.db", "sqlite:chat.db"),
        ] {
            let uri = Uri::from(address.to_owned());
            assert_eq!(uri.to_string(), shown, "{address}");
            assert_eq!(format!("{uri:?}"), shown);
        }
    }

    #[test]
    fn secrets_of_an_address_are_in_no_text() {
        let censored = |address: &str, text: &str| Uri::from(address.to_owned()).censor(text);
        assert_eq!(
            censored("mongodb://u:gehe%40im@h/db", "a gehe@im b gehe%40im c"),
            "a *** b *** c"
        );
        assert_eq!(censored("mongodb://u:@h/db", "a"), "a");
        let options = "mongodb://u:geheim@h/db?appName=me@home&tlsCertificateKeyFilePassword=ge%2Fk\
            &authMechanismProperties=SERVICE_NAME:mongodb,AWS_SESSION_TOKEN:t@ken&w=majority";
        assert_eq!(
            censored(
                options,
                "geheim, ge/k, t@ken: SERVICE_NAME:mongodb with majority, me@home"
            ),
            "***, ***, ***: SERVICE_NAME:mongodb with majority, me@home"
        );
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let network = |text: &str| of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::2"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }
}
