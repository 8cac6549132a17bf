//! A style sheet of the user's own: read once, and refused when it cannot stand in a page.

use std::fs;
use std::io;
use std::path::Path;

use transcript::html::check_style;

/// Largest style sheet in bytes: it stands in every page.
const MAX_SIZE: u64 = 256 << 10;

/// Why a style sheet is refused.
#[derive(Debug, thiserror::Error)]
pub enum StyleError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is too large.
    #[error("it has more than {} KiB, and would stand in every page", MAX_SIZE >> 10)]
    TooLarge,
    /// It is not text.
    #[error("it is not UTF-8")]
    NotText,
    /// It would break the page.
    #[error("{0}")]
    Unsafe(&'static str),
}

/// Reads a style sheet.
pub fn read(path: &Path) -> Result<String, StyleError> {
    if fs::metadata(path)?.len() > MAX_SIZE {
        return Err(StyleError::TooLarge);
    }
    let sheet = fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => StyleError::NotText,
        _ => error.into(),
    })?;
    // Editors of one system begin a text with its byte order; a page's text has one already.
    let sheet = sheet.strip_prefix('\u{feff}').unwrap_or(&sheet);
    // The parser of the page does the same, and the digest is of what it sees (HTML Living Standard §13.2.3.5).
    let sheet = sheet.replace("\r\n", "\n").replace('\r', "\n");
    match check_style(&sheet) {
        Some(reason) => Err(StyleError::Unsafe(reason)),
        None => Ok(sheet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn sheets_that_cannot_stand_in_a_page_are_refused() {
        let of = |content: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content).unwrap();
            read(file.path()).map_err(|error| error.to_string())
        };
        assert_eq!(of(b"\xef\xbb\xbfa{}\r\nb{}").unwrap(), "a{}\nb{}");
        let large = vec![b' '; (256 << 10) + 1];
        for (content, reason) in [
            (&b"a{}</StYle><script>"[..], "closing tag"),
            (b"\xff", "UTF-8"),
            (&large, "256 KiB"),
        ] {
            assert!(of(content).unwrap_err().contains(reason));
        }
        assert!(matches!(
            read(Path::new("/nowhere.css")),
            Err(StyleError::Read(_))
        ));
    }
}
