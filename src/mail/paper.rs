//! What mails are written on: the operator's header, footer and style sheet of the workspace, or a frame of our own.
//!
//! Placeholders are filled in the operator's texts only, once: what is filled in is not looked at again, and what users
//! wrote is never looked at.

use transcript::html::escaped;
use transcript::mail::html::DARK;

use super::Address;
use super::frame::{without_remote, without_urls, words_of};
use super::texts::Texts;
use crate::config;
use crate::store::directory::Settings;
use crate::words;

/// Settings of the workspace that matter here (contract §8.3).
pub(super) const SETTINGS: [&str; 5] = [
    "email_plain_text_only",
    "email_style",
    "Email_Header",
    "Email_Footer",
    "Site_Name",
];

/// Fonts that are there without loading one.
const FONT: &str = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Noto Sans','Noto Sans CJK SC',sans-serif";

/// Our own style sheet: what cannot stand on an element itself.
const STYLE: &str = "\
body{margin:0;padding:0}img{max-width:100%}\
.er-text pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0;padding:6px 8px;border-radius:4px;background:#f1f2f4}\
.er-text code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px}\
.er-text p{margin:0 0 4px}.er-text ul,.er-text ol{margin:0 0 4px;padding-inline-start:22px}\
@media (max-width:480px){.er-outer{padding:0!important}.er-card{border-left:0!important;border-right:0!important;border-radius:0!important}.er-inner{padding:16px 14px!important}}";

/// The dark mode of the frame; that of messages is beside them.
const DARK_FRAME: &str = ".er-page{background:#17191d!important}.er-card{background:#1f2329!important;border-color:#3d424a!important}\
     .er-button{background:#1d74f5!important;color:#ffffff!important}";

/// Paper for mails.
#[derive(Clone, Debug, Default)]
pub struct Paper {
    /// Whether mails have no HTML.
    pub plain: bool,
    header: Option<String>,
    footer: Option<String>,
    style: Option<String>,
    /// Whether the operator's frame may load something.
    remote: bool,
    site_name: String,
    site_url: String,
}

impl Paper {
    pub(super) fn new(settings: &Settings, config: &config::Mail, site_url: &str) -> Self {
        let frame = config.workspace_frame;
        let text = |id| settings.text(id).filter(|_| frame).map(str::to_owned);
        Self {
            plain: settings.truth("email_plain_text_only").unwrap_or(false),
            header: text("Email_Header"),
            footer: text("Email_Footer"),
            style: text("email_style"),
            remote: config.remote_images,
            site_name: settings
                .text("Site_Name")
                .map_or_else(|| "Rocket.Chat".to_owned(), words::one_line),
            site_url: site_url.to_owned(),
        }
    }

    /// Name of the workspace.
    pub fn site_name(&self) -> &str {
        &self.site_name
    }

    /// A whole HTML document around `content`, which is HTML.
    pub fn html(
        &self,
        texts: &Texts,
        title: &str,
        content: &[u8],
        recipient: Option<&Address>,
    ) -> String {
        let content = String::from_utf8_lossy(content);
        // A style sheet that ends its element would be more than one.
        let mut operators = self.style.as_deref().unwrap_or_default().replace("</", "");
        if !self.remote {
            operators = without_urls(&operators);
        }
        if self.header.is_some() || self.footer.is_some() {
            // Without the dark mode: the operator's frame may have none.
            let style = format!("<style>{operators}{STYLE}</style>\n");
            return self.framed(&style, &content, recipient);
        }
        let style = format!(
            "<style>{operators}{STYLE}@media (prefers-color-scheme:dark){{{DARK_FRAME}{DARK}}}</style>\n"
        );
        let footer = escaped(&transcript::texts::filled(
            texts.sent_by,
            &[&self.site_name],
        ));
        format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"supported-color-schemes\" content=\"light dark\">\n\
             <title>{}</title>\n{style}</head>\n\
             <body class=\"er-page\" style=\"margin:0;padding:0;background:#f7f8fa;font-family:{FONT}\">\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr><td align=\"center\" class=\"er-outer\" style=\"padding:24px 12px\">\n\
             <table role=\"presentation\" class=\"er-card\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"max-width:640px;background:#ffffff;border:1px solid #e4e7ea;border-radius:8px\"><tr>\
             <td class=\"er-inner\" align=\"left\" style=\"padding:20px 24px;font-family:{FONT}\">\n{content}</td></tr></table>\n\
             <div class=\"er-dim\" style=\"max-width:640px;padding:12px 24px;color:#6c727a;font-size:12px;line-height:18px;font-family:{FONT}\">{footer}</div>\n\
             </td></tr></table>\n</body>\n</html>\n",
            texts.code,
            escaped(title),
        )
    }

    /// The operator's header and footer around the content.
    fn framed(&self, style: &str, content: &str, recipient: Option<&Address>) -> String {
        let part = |part: &Option<String>| {
            let text = part.as_deref().unwrap_or_default();
            if self.remote {
                self.filled(text, recipient, escaped)
            } else {
                self.filled(&without_remote(text), recipient, escaped)
            }
        };
        let (mut header, footer) = (part(&self.header), part(&self.footer));
        match header.find("</head>") {
            Some(at) => header.insert_str(at, style),
            None => header.insert_str(0, style),
        }
        format!("{header} {content} {footer}")
    }

    /// The operator's header and footer as plain text, for the part of a mail that has no HTML.
    pub fn text_frame(&self, recipient: Option<&Address>) -> [String; 2] {
        [&self.header, &self.footer].map(|part| {
            let text = words_of(part.as_deref().unwrap_or_default());
            let filled = self.filled(&text, recipient, words::one_line);
            // A placeholder without a value leaves blanks, or nothing.
            let lines = filled
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty());
            lines.flat_map(|line| [line, "\n"]).collect()
        })
    }

    /// One of the operator's texts with its placeholders filled.
    fn filled(&self, text: &str, recipient: Option<&Address>, write: fn(&str) -> String) -> String {
        let name = recipient.and_then(|to| to.name.as_deref()).unwrap_or("");
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        let slash = format!("{}/", self.site_url);
        let address = recipient.map_or("", |to| &*to.address);
        let values = [
            ("Site_Name", &*self.site_name),
            ("Site_URL", &*self.site_url),
            ("Site_URL_Slash", &*slash),
            ("name", name),
            ("fname", first),
            ("lname", last),
            ("email", address),
        ]
        .map(|(key, value)| (key, write(value)));
        let values: Vec<_> = values
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        fill(text, &values)
    }
}

/// Replaces `[key]` and `__key__`, in any case, by the key's value: once, from front to back.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['[', '_']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = [("[", "]"), ("__", "__")]
            .into_iter()
            .find_map(|(open, close)| {
                let inner = rest.strip_prefix(open)?;
                values.iter().find_map(|(key, value)| {
                    let (name, tail) = inner.split_at_checked(key.len())?;
                    let tail = tail.strip_prefix(close)?;
                    name.eq_ignore_ascii_case(key).then_some((*value, tail))
                })
            });
        if let Some((value, tail)) = found {
            out.push_str(value);
            rest = tail;
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::Bson;

    #[test]
    fn placeholders_are_filled_once() {
        let values = [("Site_Name", "[fname] & __Site_Name__"), ("fname", "Ann")];
        for (template, expected) in [
            ("", ""),
            ("a [Site_Name] b", "a [fname] & __Site_Name__ b"),
            (
                "[SITE_name]__site_name__",
                "[fname] & __Site_Name__[fname] & __Site_Name__",
            ),
            ("[[fname]]", "[Ann]"),
            ("[fname", "[fname"),
            ("[lname] __x__ _", "[lname] __x__ _"),
            ("ü__fname__ü", "üAnnü"),
        ] {
            assert_eq!(fill(template, &values), expected, "{template}");
        }
    }

    #[test]
    fn the_operators_frame_stands_around_what_users_wrote() {
        let setting = |id: &str, value: &str| (id.to_owned(), Bson::from(value));
        let settings = Settings(
            [
                setting(
                    "Email_Header",
                    "<html><head></head><body>[Site_Name] __fname__<hr>",
                ),
                setting("Email_Footer", "<i>[Site_URL_Slash]</i></body></html>"),
                setting("email_style", "p{color:red}</style><script>"),
                setting("Site_Name", "A & B"),
            ]
            .into(),
        );
        let content = b"<p>[Site_Name] __fname__ {Send}</p>";
        let to = Address {
            name: Some("Ann <b> Adams".to_owned()),
            address: "a@b".to_owned(),
        };
        let config = |flag: &str| {
            let flags = [("mail.workspace_frame", flag.to_owned())];
            let nothing = Some(std::path::Path::new("/dev/null"));
            let config = crate::config::Config::load(nothing, std::iter::empty(), &flags);
            config.unwrap().mail
        };
        let paper = Paper::new(&settings, &config("true"), "https://chat.test");
        let html = paper.html(&Texts::ENGLISH, "t", content, Some(&to));
        assert!(
            html.starts_with("<html><head><style>p{color:red}style><script>"),
            "{html}"
        );
        assert!(html.contains("<body>A &amp; B Ann<hr> <p>[Site_Name] __fname__ {Send}</p> <i>https://chat.test/</i></body>"), "{html}");
        let own = Paper::new(&settings, &config("false"), "https://chat.test");
        let html = own.html(&Texts::ENGLISH, "t", content, Some(&to));
        assert!(
            !html.contains("color:red") && html.contains("A &amp; B"),
            "{html}"
        );
    }
}
