//! The last line of defence against names that leave the directory they are unpacked to (APPNOTE 4.4.17).

use crate::error::{NameFault, ZipError};

/// Bytes of a refused name that are worth showing.
const SHOWN: usize = 200;

pub(crate) fn check(name: &str) -> Result<(), ZipError> {
    match fault(name) {
        None => Ok(()),
        Some(fault) => Err(ZipError::Name {
            name: name[..name.floor_char_boundary(SHOWN)].to_owned(),
            fault,
        }),
    }
}

fn fault(name: &str) -> Option<NameFault> {
    if name.is_empty() {
        Some(NameFault::Empty)
    } else if u16::try_from(name.len()).is_err() {
        Some(NameFault::TooLong)
    } else if name.contains(['\\', '\0']) {
        Some(NameFault::Character)
    } else if name.starts_with('/') || has_drive(name) {
        Some(NameFault::Absolute)
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some(NameFault::Part)
    } else {
        None
    }
}

fn has_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<NameFault>) {
        assert_eq!(fault(name), expected, "{name:?}");
    }

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "room.json",
            "assets/ab12-Käse …photo.jpg",
            "..a/b..",
            "...",
            "1:1.txt",
        ] {
            check(name, None);
        }
        check(&"x".repeat(65_535), None);
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        check("/etc/passwd", Some(NameFault::Absolute));
        check("C:/autoexec.bat", Some(NameFault::Absolute));
        check("c:relative", Some(NameFault::Absolute));
        for name in ["..", "../a", "a/../b", "a/..", ".", "a/./b", "a//b", "a/"] {
            check(name, Some(NameFault::Part));
        }
        check("a\\..\\b", Some(NameFault::Character));
        check("a\0.txt", Some(NameFault::Character));
    }

    #[test]
    fn names_the_format_cannot_say_are_refused() {
        check("", Some(NameFault::Empty));
        check(&"x".repeat(65_536), Some(NameFault::TooLong));
    }

    #[test]
    fn a_refused_name_is_shown_shortened_at_a_character() {
        let error = super::check(&"€".repeat(30_000)).unwrap_err();
        assert!(
            matches!(error, ZipError::Name { name, fault: NameFault::TooLong } if name == "€".repeat(66))
        );
    }
}
