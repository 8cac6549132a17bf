//! Messages as HTML that mail programs show alike: tables and styles of their own on every element, because many programs
//! drop style sheets; classes beside them, which a sheet uses for the dark mode of those that do not.

use super::{Head, MailFile, MailFilePlace, Sheet, Words};
use crate::bson::Text;
use crate::html::body::link;
use crate::html::escape;
use crate::markup::{Markup, Node, Options, Tag, emoji, is_seen};

/// HTML under construction.
#[derive(Debug, Default)]
pub struct MailHtml {
    /// What has been written.
    pub out: Vec<u8>,
    options: Options,
    /// The text that was read last.
    markup: Markup,
}

/// Colours of the dark mode, by the classes that [`MailHtml`] gives.
pub const DARK: &str = "\
.er-text{color:#e4e7ea!important}.er-dim{color:#9ea2a8!important}.er-line{border-color:#3d424a!important}\
.er-quote{border-color:#6c727a!important}.er-tag{background:#333842!important;color:#cbced1!important}\
.er-code,.er-text pre,.er-text code{background:#2a2e35!important;color:#e4e7ea!important}\
.er-link,.er-text a{color:#6cb1ff!important}";

impl MailHtml {
    /// For a workspace with these settings for texts that are stored as typed.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The title of the mail.
    pub fn heading(&mut self, text: &str) {
        self.tagged(
            "<h1 class=\"er-text\" dir=\"auto\" style=\"margin:0 0 4px;color:#2f343d;font-size:20px;line-height:26px;overflow-wrap:anywhere\">",
            text.as_bytes(),
            "</h1>\n",
        );
    }

    /// What stands under it: who sends it, and figures.
    pub fn facts(&mut self, by: Option<&str>, facts: &str) {
        self.raw("<div class=\"er-dim\" dir=\"auto\" style=\"margin:0 0 12px;color:#6c727a;font-size:13px;line-height:19px\">");
        if let Some(by) = by {
            self.tagged("", by.as_bytes(), "<br>\n");
        }
        self.tagged("", facts.as_bytes(), "</div>\n");
    }

    /// What stands under all messages.
    pub fn remarks(&mut self, remarks: &[&str]) {
        for remark in remarks {
            self.tagged(
                "<p class=\"er-line er-dim\" style=\"margin:0;padding:12px 0 0;border-top:1px solid #e4e7ea;color:#6c727a;font-size:13px;line-height:19px\">",
                remark.as_bytes(),
                "</p>\n",
            );
        }
    }

    fn raw(&mut self, markup: &str) {
        self.out.extend_from_slice(markup.as_bytes());
    }

    fn tagged(&mut self, before: &str, text: &[u8], after: &str) {
        self.raw(before);
        escape::lines(&mut self.out, text);
        self.raw(after);
    }

    /// An address that somebody is to see as it is, whatever is in it and before it.
    fn told(&mut self, address: &str) {
        let shown: String = address
            .chars()
            .map(|sign| if is_seen(sign) { sign } else { '\u{fffd}' })
            .collect();
        self.tagged("<bdi dir=\"ltr\">", shown.as_bytes(), "</bdi>");
    }

    /// A name: one line, whatever is in it, so that none looks like another message.
    fn named(&mut self, before: &str, name: &[u8], after: &str) {
        self.raw(before);
        escape::text(&mut self.out, name);
        self.raw(after);
    }
}

/// What is read of HTML that was written here.
fn read(html: &[u8]) -> String {
    let mut text = Vec::with_capacity(html.len());
    let mut in_tag = false;
    for &byte in html {
        match byte {
            b'<' => in_tag = true,
            b'>' => in_tag = false,
            _ if in_tag => {}
            _ => text.push(byte),
        }
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Whether a link's label passes for another address than that which the link goes to. Both escaped.
fn misleads(label: &str, target: &str) -> bool {
    let is_target = ["", "http://", "https://", "mailto:", "tel:"]
        .iter()
        .filter_map(|scheme| target.strip_prefix(scheme))
        .any(|rest| rest == label || rest.strip_suffix('/') == Some(label));
    !is_target && label.split_whitespace().any(is_like_address)
}

/// Whether a word looks like an address: it has a scheme, or what may be a domain.
fn is_like_address(word: &str) -> bool {
    // What browsers take as dots of a domain (the mapping table of UTS #46).
    let dots = ['.', '。', '．', '｡', '․', '﹒'];
    // Signs that nobody sees hide no letter.
    let mut names = word
        .split(dots)
        .skip(1)
        .filter_map(|part| part.chars().find(|sign| sign.is_alphanumeric()));
    word.contains("://") || names.clone().any(char::is_alphabetic) || names.nth(2).is_some()
}

/// Begins what people wrote.
const TEXT: &str = "<div class=\"er-text\" dir=\"auto\" style=\"color:#2f343d;font-size:14px;line-height:20px;overflow-wrap:anywhere\">";
/// Begins code in a line, and lines of code.
const CODE: &str = "<code class=\"er-code\" style=\"background:#f1f2f4;border-radius:3px;padding:0 3px;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px\">";
const PRE: &str = "<pre class=\"er-code\" style=\"margin:4px 0;padding:6px 8px;background:#f1f2f4;border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px\">";

impl MailHtml {
    /// A parsed text. Nothing is hidden, because nothing can be clicked: a spoiler is shown.
    fn marked(&mut self, markup: &Markup, words: &Words<'_>) {
        let (mut links, mut label) = (0_u32, 0);
        for &node in markup.nodes() {
            match node {
                Node::Start(Tag::Link(target) | Tag::Image(target)) => {
                    links += 1;
                    if let Some(to) = address(markup, target).filter(|_| links == 1) {
                        self.raw(
                            "<a class=\"er-link\" dir=\"auto\" style=\"color:#095ad2\" href=\"",
                        );
                        escape::text(&mut self.out, to.as_bytes());
                        self.raw("\">");
                    }
                    if links == 1 {
                        label = self.out.len();
                    }
                }
                Node::End(Tag::Link(target) | Tag::Image(target)) => {
                    links = links.saturating_sub(1);
                    if links == 0 {
                        if let Some(to) = address(markup, target) {
                            let label = read(&self.out[label..]);
                            // Nobody can see or follow a link without a label.
                            if !label.chars().any(is_seen) {
                                self.told(&to);
                            }
                            self.raw("</a>");
                            let mut target = Vec::with_capacity(to.len());
                            escape::text(&mut target, to.as_bytes());
                            if misleads(&label, &String::from_utf8_lossy(&target)) {
                                self.raw(" (");
                                self.told(&to);
                                self.raw(")");
                            }
                        } else {
                            let mut text = String::new();
                            markup.target(target, &mut text);
                            self.tagged(" (", text.as_bytes(), ")");
                        }
                    }
                }
                Node::Start(tag) => self.start(tag),
                Node::End(tag) => self.raw(ending(tag)),
                Node::Time { seconds, form } => {
                    self.tagged("", words.instant(seconds, form).as_bytes(), "");
                }
                leaf => self.leaf(markup, leaf),
            }
        }
    }

    fn start(&mut self, tag: Tag) {
        let begin = match tag {
            Tag::Paragraph | Tag::SpoilerBlock => "<div>",
            Tag::Heading(_) => "<div style=\"font-size:17px;line-height:24px;font-weight:bold\">",
            Tag::Quote => {
                "<div class=\"er-quote\" style=\"border-left:3px solid #cbced1;padding:0 0 0 10px;margin:4px 0\">"
            }
            Tag::List | Tag::Tasks => "<ul style=\"margin:0 0 4px\">",
            Tag::Numbered => "<ol style=\"margin:0 0 4px\">",
            Tag::Item(Some(number)) => {
                let item = format!("<li value=\"{number}\">");
                return self.raw(&item);
            }
            Tag::Item(None) => "<li>",
            Tag::Task(true) => "<li>☑ ",
            Tag::Task(false) => "<li>☐ ",
            Tag::BigEmoji => "<div style=\"font-size:32px;line-height:40px\">",
            Tag::Bold => "<strong>",
            Tag::Italic => "<em>",
            Tag::Strike => "<s>",
            Tag::Spoiler | Tag::Link(_) | Tag::Image(_) => "",
        };
        self.raw(begin);
    }

    fn leaf(&mut self, markup: &Markup, node: Node) {
        match node {
            Node::Text(span) | Node::Unicode(span) => {
                self.tagged("", markup.str(span).as_bytes(), "");
            }
            Node::LineBreak => self.raw("<br>\n"),
            Node::Code(span) | Node::Math(span) => {
                self.tagged(CODE, markup.str(span).as_bytes(), "</code>");
            }
            Node::CodeBlock { lines, .. } | Node::MathBlock(lines) => {
                self.raw(PRE);
                escape::text(&mut self.out, markup.str(lines).as_bytes());
                self.raw("</pre>\n");
            }
            Node::User(span) => self.tagged("<b>@", markup.str(span).as_bytes(), "</b>"),
            Node::Channel(span) => self.tagged("<b>#", markup.str(span).as_bytes(), "</b>"),
            Node::Emoji { text, code } => {
                let (text, code) = (markup.str(text), markup.code(code));
                match emoji::unicode(code) {
                    Some(known) => self.tagged("", known.as_bytes(), ""),
                    None if text == code => self.tagged(":", code.as_bytes(), ":"),
                    None => self.tagged("", text.as_bytes(), ""),
                }
            }
            Node::Color([red, green, blue, opacity]) => {
                let color = format!("#{red:02x}{green:02x}{blue:02x}");
                self.tagged("", color.as_bytes(), "");
                if opacity != 255 {
                    let opacity = format!("{opacity:02x}");
                    self.tagged("", opacity.as_bytes(), "");
                }
            }
            Node::Cut => self.raw("…"),
            Node::Start(_) | Node::End(_) | Node::Time { .. } => {}
        }
    }
}

/// Where a link leads, when that is a place that may be led to.
fn address(markup: &Markup, target: crate::markup::Target) -> Option<String> {
    let mut text = String::new();
    markup.target(target, &mut text);
    if text.starts_with("//") {
        text.insert_str(0, "https:");
    }
    link::address(text.as_bytes()).is_some().then_some(text)
}

fn ending(tag: Tag) -> &'static str {
    match tag {
        Tag::Paragraph | Tag::Heading(_) | Tag::Quote | Tag::SpoilerBlock | Tag::BigEmoji => {
            "</div>\n"
        }
        Tag::List | Tag::Tasks => "</ul>\n",
        Tag::Numbered => "</ol>\n",
        Tag::Item(_) | Tag::Task(_) => "</li>\n",
        Tag::Bold => "</strong>",
        Tag::Italic => "</em>",
        Tag::Strike => "</s>",
        Tag::Spoiler | Tag::Link(_) | Tag::Image(_) => "",
    }
}

impl Sheet for MailHtml {
    fn begin(&mut self, head: &Head<'_>) {
        self.raw(
            "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>\
             <td class=\"er-line\" style=\"padding:12px 0;border-top:1px solid #e4e7ea\">\n<div style=\"font-size:14px;line-height:20px\">",
        );
        self.named(
            "<b class=\"er-text\" style=\"color:#2f343d;overflow-wrap:anywhere\"><bdi>",
            head.name.0,
            "</bdi></b>",
        );
        self.raw(" <span class=\"er-dim\" style=\"color:#6c727a;font-size:12px;overflow-wrap:anywhere\">");
        if !head.username.is_empty() {
            self.named("@<bdi>", head.username.0, "</bdi> · ");
        }
        self.tagged("", head.when.as_bytes(), "</span>");
        for tag in &head.tags {
            self.named(
                " <span class=\"er-tag\" style=\"background:#eeeff1;color:#4d5259;border-radius:4px;padding:1px 6px;font-size:11px\"><bdi>",
                tag.as_bytes(),
                "</bdi></span>",
            );
        }
        self.raw("</div>\n");
    }

    fn note(&mut self, text: &str) {
        self.named(
            "<div class=\"er-dim\" dir=\"auto\" style=\"color:#6c727a;font-size:12px;line-height:18px;overflow-wrap:anywhere\">",
            text.as_bytes(),
            "</div>\n",
        );
    }

    fn body(&mut self, text: Text<'_>) {
        self.tagged(TEXT, text.0, "</div>\n");
    }

    fn words(&mut self, words: &Words<'_>) {
        let mut markup = std::mem::take(&mut self.markup);
        words.read(&mut markup, &self.options);
        // What is not parsed as a whole is shown as it was typed.
        if markup.deep() {
            self.body(words.typed());
        } else if !markup.nodes().is_empty() {
            self.raw(TEXT);
            self.marked(&markup, words);
            self.raw("</div>\n");
        }
        self.markup = markup;
    }

    fn strong(&mut self, text: Text<'_>) {
        self.named(
            "<div class=\"er-text\" dir=\"auto\" style=\"color:#2f343d;font-size:13px;line-height:20px;font-weight:bold;overflow-wrap:anywhere\">",
            text.0,
            "</div>\n",
        );
    }

    fn link(&mut self, address: Text<'_>) {
        let Some(to) = link::address(address.0) else {
            return self.note(&address.to_str());
        };
        self.raw("<div class=\"er-dim\" style=\"font-size:12px;line-height:18px;overflow-wrap:anywhere\"><a class=\"er-link\" style=\"color:#095ad2\" href=\"");
        escape::text(&mut self.out, to.as_bytes());
        self.tagged("\">", to.as_bytes(), "</a></div>\n");
    }

    fn open(&mut self) {
        self.raw(
            "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:4px 0\"><tr>\
             <td class=\"er-quote\" style=\"border-left:3px solid #cbced1;padding:2px 0 2px 10px\">\n",
        );
    }

    fn close(&mut self) {
        self.raw("</td></tr></table>\n");
    }

    fn file(&mut self, file: &MailFile, remark: &str) {
        if let MailFilePlace::Inline(id) = &file.place {
            self.raw("<div style=\"margin:6px 0 2px\"><img src=\"cid:");
            escape::text(&mut self.out, id.as_bytes());
            self.raw("\" alt=\"");
            escape::text(&mut self.out, file.name.as_bytes());
            self.raw("\" style=\"max-width:100%;max-height:480px;height:auto;border:0;border-radius:4px\"></div>\n");
        }
        self.named(
            "<div class=\"er-text\" style=\"color:#2f343d;font-size:13px;line-height:20px;overflow-wrap:anywhere\"><bdi>",
            file.name.as_bytes(),
            "</bdi>",
        );
        self.raw(" <span class=\"er-dim\" style=\"color:#6c727a;font-size:12px\">");
        if !file.size.is_empty() {
            self.tagged("", file.size.as_bytes(), " · ");
        }
        self.tagged("", remark.as_bytes(), "</span></div>\n");
    }

    fn reactions(&mut self, reactions: &[String]) {
        self.raw("<div style=\"font-size:12px;line-height:22px\">");
        for reaction in reactions {
            self.named(
                "<span class=\"er-tag\" style=\"display:inline-block;max-width:100%;box-sizing:border-box;background:#eeeff1;color:#4d5259;border-radius:10px;padding:0 8px;line-height:20px;margin:1px 0;overflow-wrap:anywhere\"><bdi>",
                reaction.as_bytes(),
                "</bdi></span> ",
            );
        }
        self.raw("</div>\n");
    }

    fn end(&mut self) {
        self.raw("</td></tr></table>\n");
    }
}
