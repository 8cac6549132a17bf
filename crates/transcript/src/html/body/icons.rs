//! Small drawings of our own, a path each, drawn with the pen of the style sheet.

/// What a drawing stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Icon {
    File,
    Text,
    Table,
    Slides,
    Archive,
    Code,
    Audio,
    Video,
    Image,
    Place,
    Lock,
    Talk,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Self::File => "M4 1.5h5l3.5 3.5v9.5H4zM9 1.5V5h3.5",
            Self::Text => "M4 1.5h5l3.5 3.5v9.5H4zM9 1.5V5h3.5M6 8h4.5M6 10.5h4.5",
            Self::Table => "M2 3h12v10H2zM2 6.3h12M2 9.6h12M6 3v10",
            Self::Slides => "M2 3h12v8H2zM8 11v2.5M5 13.5h6",
            Self::Archive => "M2.5 3h11v3h-11zM3.5 6v7.5h9V6M6.5 8.5h3",
            Self::Code => "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
            Self::Audio => {
                "M6 12V3.5L13 2v8.5M6 12a1.8 1.8 0 1 1-1.8-1.8A1.8 1.8 0 0 1 6 12zM13 10.5a1.8 1.8 0 1 1-1.8-1.8 1.8 1.8 0 0 1 1.8 1.8z"
            }
            Self::Video => "M2 4h8.5v8H2zM10.5 7 14 5v6l-3.5-2z",
            Self::Image => "M2 3h12v10H2zM2 11l3.5-3.5L8 10l2.5-3 3.5 4M5.5 6h.01",
            Self::Place => {
                "M8 14.5s4.5-4.4 4.5-8a4.5 4.5 0 0 0-9 0c0 3.6 4.5 8 4.5 8zM8 8a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z"
            }
            Self::Lock => "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
            Self::Talk => "M2 3h12v8H7l-3 2.5V11H2z",
        }
    }

    /// Writes the drawing; text beside it says the same.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"<svg class=\"ic\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"",
        );
        out.extend_from_slice(self.path().as_bytes());
        out.extend_from_slice(b"\"/></svg>");
    }

    /// The drawing for a file, by what its sender said it is.
    pub(super) fn of_file(mime: &[u8], extension: &[u8]) -> Self {
        let mime = mime.split(|&byte| byte == b'/').next().unwrap_or_default();
        match mime {
            b"image" => return Self::Image,
            b"audio" => return Self::Audio,
            b"video" => return Self::Video,
            _ => {}
        }
        let is = |known: &[&str]| {
            known
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known.as_bytes()))
        };
        if is(&["csv", "tsv", "xls", "xlsx", "ods", "numbers"]) {
            Self::Table
        } else if is(&["ppt", "pptx", "odp", "key"]) {
            Self::Slides
        } else if is(&[
            "zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "tar", "jar", "iso", "deb", "rpm",
        ]) {
            Self::Archive
        } else if is(&[
            "c", "cc", "cpp", "h", "rs", "go", "py", "js", "ts", "java", "rb", "php", "sh", "html",
            "htm", "css", "json", "xml", "yml", "yaml", "toml", "sql", "diff", "patch", "svg",
        ]) {
            Self::Code
        } else if is(&[
            "txt", "log", "md", "pdf", "doc", "docx", "odt", "rtf", "pages", "epub",
        ]) || mime == b"text"
        {
            Self::Text
        } else {
            Self::File
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_drawn_by_type_and_extension() {
        for (mime, extension, expected) in [
            ("image/png", "png", Icon::Image),
            ("application/pdf", "PDF", Icon::Text),
            ("text/csv", "csv", Icon::Table),
            ("text/plain", "", Icon::Text),
            ("application/octet-stream", "zip", Icon::Archive),
            ("", "", Icon::File),
        ] {
            assert_eq!(
                Icon::of_file(mime.as_bytes(), extension.as_bytes()),
                expected,
                "{mime} {extension}"
            );
        }
    }
}
