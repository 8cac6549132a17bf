//! Which texts that look like hosts are linked: those that the public suffix list knows, numbers, and those that the
//! workspace's settings name.

use super::Options;

/// Whether a text that looks like an address of the web leads somewhere.
pub(super) fn is_linked(text: &str, options: &Options, host: &mut String) -> bool {
    let Some(text) = host_of(text) else {
        return false;
    };
    lower(text, host);
    if is_number(host) {
        return true;
    }
    is_valid(host)
        && (is_listed(host)
            || std::iter::once("localhost")
                .chain(options.custom_domains.iter().map(String::as_str))
                .any(|known| is_within(host, known)))
}

/// Whether the host of an e-mail address is one of the public internet.
pub(super) fn is_mail_host(address: &str, host: &mut String) -> bool {
    // What stands before a `#`, `/` or `?` would be taken for the host.
    let Some((local, name)) = address.rsplit_once('@') else {
        return false;
    };
    if local.contains(['#', '/', '?']) {
        return false;
    }
    lower(name.trim_end_matches('.'), host);
    is_valid(host) && is_listed(host)
}

/// Whether a text without `//` before it is a whole address for a browser: something before a colon that can be a
/// scheme, and, where it is one of the web's, a host that can be one.
pub(super) fn is_absolute(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme {
        return false;
    }
    let special = ["http", "https", "ws", "wss", "ftp"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    let Some(authority) = rest.strip_prefix("//").or(special.then_some(rest)) else {
        return true;
    };
    let authority = authority.trim_start_matches('/');
    let authority = authority
        .split(['/', '?', '#', '\\'])
        .next()
        .unwrap_or_default();
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let (name, port) = place.split_once(':').unwrap_or((place, ""));
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port_fits = port.is_empty() || is_digits && port.parse::<u16>().is_ok();
    port_fits && (!special || !name.is_empty() && !is_odd_number(name))
}

/// A host whose last part is a number is an IPv4 address or nothing (URL Standard, "ends in a number checker").
fn is_odd_number(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.is_empty() || !last.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let parts = name.split('.').count();
    let fits = |index: usize, part: &str| {
        let most = if index + 1 == parts {
            256_u64.pow(u32::try_from(5 - parts.min(4)).unwrap_or(1)) - 1
        } else {
            255
        };
        part.parse::<u64>().is_ok_and(|number| number <= most)
    };
    parts > 4
        || !name
            .split('.')
            .enumerate()
            .all(|(index, part)| fits(index, part))
}

/// The host in a text, as the library `tldts` takes it out.
fn host_of(text: &str) -> Option<&str> {
    if is_valid(text) {
        return Some(text.trim_end_matches('.'));
    }
    if text.starts_with("data:") {
        return None;
    }
    let mut rest = text;
    if let Some(after) = rest.strip_prefix("//") {
        rest = after;
    } else if let Some((scheme, after)) = rest.split_once(":/") {
        if !scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'))
        {
            return None;
        }
        rest = after.trim_start_matches('/');
    }
    rest = rest.split(['#', '/', '?']).next().unwrap_or_default();
    if let Some((before, after)) = rest.rsplit_once('@')
        && !before.is_empty()
    {
        rest = after;
    }
    if let Some((before, _)) = rest.rsplit_once(':')
        && !before.is_empty()
    {
        rest = before;
    }
    Some(rest.trim_end_matches('.'))
}

fn lower(text: &str, host: &mut String) {
    host.clear();
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.extend(text.chars().flat_map(char::to_lowercase));
    } else {
        host.push_str(text);
    }
}

fn is_number(host: &str) -> bool {
    let v4 = (7..=15).contains(&host.len())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && host.bytes().filter(|&byte| byte == b'.').count() == 3
        && !host.starts_with('.')
        && !host.ends_with('.');
    let v6 = (3..=39).contains(&host.len())
        && host.contains(':')
        && host.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() && byte.to_ascii_lowercase() <= b'f' || byte == b':'
        });
    v4 || v6
}

/// Whether a host is made of labels as names on the internet are.
fn is_valid(host: &str) -> bool {
    let is_plain = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || character as u32 > 127
    };
    let length = |label: &str| label.chars().map(char::len_utf16).sum::<usize>();
    let Some(first) = host.chars().next() else {
        return false;
    };
    if length(host) > 255 || !(is_plain(first) || matches!(first, '.' | '_')) {
        return false;
    }
    let labels = host.split('.').count();
    host.split('.').enumerate().all(|(index, label)| {
        let last = index + 1 == labels;
        let inner = label
            .chars()
            .all(|character| is_plain(character) || matches!(character, '-' | '_'));
        // An empty label is allowed at the very beginning only.
        let ends = if last {
            !label.ends_with('-') && length(label) <= 63
        } else {
            !label.ends_with(['-', '_']) && length(label) <= 63 && (index == 0 || !label.is_empty())
        };
        inner && ends
    })
}

fn is_listed(host: &str) -> bool {
    psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}
