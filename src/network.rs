//! Addresses: whom one of a client stands for, where clients are counted; and those of servers, whose passwords are not
//! shown.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;

/// The address of a server, which may carry a password: shown without it, also in its `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// The whole address, for the one who connects.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What stands before the host: user, and password when there is one.
    fn credentials(&self) -> Option<(&str, Option<&str>)> {
        let (_, rest) = self.0.split_once("://")?;
        // A password that was not encoded may have any of `/?@`; what is taken for a part of it is not shown either.
        let (credentials, _) = rest.rsplit_once('@')?;
        Some(match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        })
    }

    /// A text of somebody who knows the address, without its password.
    pub fn censor(&self, text: &str) -> String {
        let Some((_, Some(password))) = self.credentials() else {
            return text.to_owned();
        };
        let decoded = percent_decode_str(password).decode_utf8_lossy();
        [password, &decoded]
            .into_iter()
            .filter(|password| !password.is_empty())
            .fold(text.to_owned(), |text, password| {
                text.replace(password, "***")
            })
    }
}

impl From<String> for Uri {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (
            self.credentials(),
            self.0.split_once("://"),
            self.0.rsplit_once('@'),
        ) {
            (Some((user, Some(_))), Some((scheme, _)), Some((_, host))) => {
                write!(f, "{scheme}://{user}:***@{host}")
            }
            _ => f.write_str(&self.0),
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
    fn passwords_of_addresses_are_not_shown() {
        for (address, shown) in [
            ("mongodb://h:1,i/db?x=y", "mongodb://h:1,i/db?x=y"),
            ("mongodb://u@h/db", "mongodb://u@h/db"),
            ("mongodb://u:geheim@h/db", "mongodb://u:***@h/db"),
            ("mongodb://u:gehe%40im@h,i/db", "mongodb://u:***@h,i/db"),
            ("mongodb://u:ge@he/im?@h/db", "mongodb://u:***@h/db"),
            ("mongodb://u:@h/db", "mongodb://u:***@h/db"),
            ("sqlite:chat.db", "sqlite:chat.db"),
        ] {
            let uri = Uri::from(address.to_owned());
            assert_eq!(uri.to_string(), shown);
            assert_eq!(format!("{uri:?}"), shown);
        }
        let uri = Uri::from("mongodb://u:gehe%40im@h/db".to_owned());
        assert_eq!(uri.censor("a gehe@im b gehe%40im c"), "a *** b *** c");
        let open = Uri::from("mongodb://u:@h/db".to_owned());
        assert_eq!(open.censor("a"), "a");
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
