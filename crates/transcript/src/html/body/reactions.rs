//! Reactions, each with those who gave it.

use super::{Body, SHOWN, escape};
use crate::bson::{Doc, Text, Value};
use crate::markup::emoji::unicode;
use crate::output::Output;

/// People who stand beside an emoji; more are folded away.
const BESIDE: usize = 4;
/// People who are named at all; the others are counted.
const NAMED: usize = 2_000;

impl<O: Output> Body<'_, O> {
    pub(super) fn reactions(&mut self, reactions: Doc<'_>) -> Result<(), O::Error> {
        let mut count = 0;
        for (emoji, reaction) in reactions.elements().map_while(Result::ok) {
            let reaction = reaction.document().unwrap_or(Doc::EMPTY);
            let Some(users) = reaction.get("usernames").and_then(Value::array) else {
                continue;
            };
            if count < SHOWN {
                self.markup(if count == 0 { "<ul class=\"re\">" } else { "" });
                self.reaction(emoji, users, reaction)?;
            }
            count += 1;
        }
        if count > 0 {
            self.markup("</ul>\n");
        }
        self.more(count.saturating_sub(SHOWN));
        Ok(())
    }

    fn reaction(
        &mut self,
        emoji: Text<'_>,
        users: Doc<'_>,
        reaction: Doc<'_>,
    ) -> Result<(), O::Error> {
        let total = users.values().count();
        let is_folded = total > BESIDE;
        self.markup(if is_folded {
            "<li><details><summary>"
        } else {
            "<li>"
        });
        self.emoji(emoji)?;
        if is_folded {
            escape::ours_tagged(
                &mut self.html.out,
                " <b>",
                format_args!("{total}"),
                "</b></summary>",
            );
        }
        self.markup(" <span class=\"who\">");
        let names = reaction.get("names").and_then(Value::array);
        let mut names = names.unwrap_or(Doc::EMPTY).values();
        for (number, user) in users.values().take(NAMED).enumerate() {
            let name = names.next().and_then(Value::text).unwrap_or_default();
            let user = user.text().unwrap_or_default();
            self.markup(if number == 0 { "<bdi>" } else { ", <bdi>" });
            self.name(user);
            self.markup("</bdi>");
            // Real names are for those who look closely.
            if is_folded && !name.is_empty() && name != user {
                self.markup(" (<bdi>");
                self.name(name);
                self.markup("</bdi>)");
            }
        }
        self.markup("</span>");
        self.more(total.saturating_sub(NAMED));
        self.markup(if is_folded {
            "</details></li>"
        } else {
            "</li>"
        });
        Ok(())
    }

    /// An emoji by its short code with or without colons: as text, or as the picture that the workspace has of it.
    pub(super) fn emoji(&mut self, code: Text<'_>) -> Result<(), O::Error> {
        let text = code.to_str();
        let name = text.trim_matches(':');
        let entry = if name.is_empty() || name.len() > escape::NAME {
            None
        } else {
            self.output.emoji(name)?
        };
        if let Some(entry) = entry {
            self.markup("<img class=\"emoji\" loading=\"lazy\" width=\"22\" height=\"22\" alt=\"");
            self.name(code);
            self.markup("\" title=\"");
            self.name(code);
            self.markup("\" src=\"");
            escape::link(&mut self.html.out, &entry);
            self.markup("\">");
        } else if let Some(emoji) = unicode(name) {
            escape::text(&mut self.html.out, emoji.as_bytes());
        } else {
            self.name(code);
        }
        Ok(())
    }
}
