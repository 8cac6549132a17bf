//! Messages as HTML that mail programs show alike: tables and styles of their own on every element, because many programs
//! drop style sheets; classes beside them, which a sheet uses for the dark mode of those that do not.

use super::{Head, MailFile, MailFilePlace, Sheet};
use crate::bson::Text;
use crate::html::escape;

/// HTML under construction.
#[derive(Debug, Default)]
pub struct MailHtml {
    /// What has been written.
    pub out: Vec<u8>,
}

/// Colours of the dark mode, by the classes that [`MailHtml`] gives.
pub const DARK: &str = "\
.er-text{color:#e4e7ea!important}.er-dim{color:#9ea2a8!important}.er-line{border-color:#3d424a!important}\
.er-quote{border-color:#6c727a!important}.er-tag{background:#333842!important;color:#cbced1!important}\
.er-code,.er-text pre,.er-text code{background:#2a2e35!important;color:#e4e7ea!important}\
.er-link,.er-text a{color:#6cb1ff!important}";

impl MailHtml {
    /// The title of the mail.
    pub fn heading(&mut self, text: &str) {
        self.tagged(
            "<h1 class=\"er-text\" dir=\"auto\" style=\"margin:0 0 4px;color:#2f343d;font-size:20px;line-height:26px\">",
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
}

impl Sheet for MailHtml {
    fn begin(&mut self, head: &Head<'_>) {
        self.raw(
            "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>\
             <td class=\"er-line\" style=\"padding:12px 0;border-top:1px solid #e4e7ea\">\n<div style=\"font-size:14px;line-height:20px\">",
        );
        self.tagged(
            "<b class=\"er-text\" style=\"color:#2f343d\"><bdi>",
            head.name.0,
            "</bdi></b>",
        );
        self.raw(" <span class=\"er-dim\" style=\"color:#6c727a;font-size:12px\">");
        if !head.username.is_empty() {
            self.tagged("@<bdi>", head.username.0, "</bdi> · ");
        }
        self.tagged("", head.when.as_bytes(), "</span>");
        for tag in &head.tags {
            self.tagged(
                " <span class=\"er-tag\" style=\"background:#eeeff1;color:#4d5259;border-radius:4px;padding:1px 6px;font-size:11px\"><bdi>",
                tag.as_bytes(),
                "</bdi></span>",
            );
        }
        self.raw("</div>\n");
    }

    fn note(&mut self, text: &str) {
        self.tagged(
            "<div class=\"er-dim\" dir=\"auto\" style=\"color:#6c727a;font-size:12px;line-height:18px;overflow-wrap:anywhere\">",
            text.as_bytes(),
            "</div>\n",
        );
    }

    fn body(&mut self, text: Text<'_>) {
        self.tagged(
            "<div class=\"er-text\" dir=\"auto\" style=\"color:#2f343d;font-size:14px;line-height:20px;overflow-wrap:anywhere\">",
            text.0,
            "</div>\n",
        );
    }

    fn strong(&mut self, text: Text<'_>) {
        self.tagged(
            "<div class=\"er-text\" dir=\"auto\" style=\"color:#2f343d;font-size:13px;line-height:20px;font-weight:bold\">",
            text.0,
            "</div>\n",
        );
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
        self.tagged(
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
            self.tagged(
                "<span class=\"er-tag\" style=\"background:#eeeff1;color:#4d5259;border-radius:10px;padding:2px 8px\"><bdi>",
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
