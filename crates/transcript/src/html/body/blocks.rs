//! UI-Kit blocks of apps (contract §5.6): what they say. What can be pressed is shown and does nothing.

use super::{Body, DEPTH, SHOWN};
use crate::bson::{Doc, Text, Value};
use crate::output::Output;

impl<O: Output> Body<'_, O> {
    pub(super) fn blocks(&mut self, blocks: Doc<'_>) -> Result<(), O::Error> {
        if blocks.is_empty() {
            return Ok(());
        }
        self.markup("<div class=\"card kit\">\n");
        self.blocks_within(blocks, DEPTH)?;
        self.markup("</div>\n");
        Ok(())
    }

    fn blocks_within(&mut self, blocks: Doc<'_>, depth: usize) -> Result<(), O::Error> {
        let Some(depth) = depth.checked_sub(1) else {
            self.too_deep();
            return Ok(());
        };
        let mut rest = 0;
        for (number, block) in blocks.values().enumerate() {
            if number >= SHOWN {
                rest += 1;
                continue;
            }
            match block.document() {
                Some(block) => self.block(block, depth)?,
                None => self.other_value(self.html.words.block, block),
            }
        }
        self.more(rest);
        Ok(())
    }

    fn block(&mut self, block: Doc<'_>, depth: usize) -> Result<(), O::Error> {
        let kind = block.text("type").unwrap_or_default();
        match kind.0 {
            b"section" => {
                self.text_object(block.get("text"))?;
                if let Some(fields) = block.get("fields").and_then(Value::array) {
                    self.markup("<div class=\"fields\">");
                    for field in fields.values().take(SHOWN) {
                        self.markup("<div class=\"short\">");
                        self.text_object(Some(field))?;
                        self.markup("</div>");
                    }
                    self.markup("</div>\n");
                    self.more(fields.values().count().saturating_sub(SHOWN));
                }
                if let Some(accessory) = block.get("accessory").and_then(Value::document) {
                    self.elements_list([accessory].into_iter(), 0);
                }
            }
            b"divider" => self.markup("<hr>\n"),
            b"image" => {
                self.text_object(block.get("title"))?;
                self.block_image(block);
            }
            b"actions" => {
                if let Some(elements) = block.get("elements").and_then(Value::array) {
                    let all = elements.values().filter_map(Value::document);
                    let rest = all.count().saturating_sub(SHOWN);
                    let all = elements.values().filter_map(Value::document);
                    self.elements_list(all.take(SHOWN), rest);
                }
            }
            b"context" => {
                self.markup("<div class=\"note\">");
                let elements = block.get("elements").and_then(Value::array);
                for element in elements.unwrap_or(Doc::EMPTY).values().take(SHOWN) {
                    match element.document() {
                        Some(image) if image.text("type") == Some(Text(b"image")) => {
                            self.block_image(image);
                        }
                        _ => self.text_object(Some(element))?,
                    }
                }
                self.markup("</div>\n");
            }
            b"input" => {
                self.text_object(block.get("label"))?;
                if let Some(element) = block.get("element").and_then(Value::document) {
                    self.elements_list([element].into_iter(), 0);
                }
                self.text_object(block.get("hint"))?;
            }
            b"conditional" => {
                if let Some(inner) = block.get("render").and_then(Value::array) {
                    self.blocks_within(inner, depth)?;
                }
            }
            b"callout" => {
                self.text_object(block.get("title"))?;
                self.text_object(block.get("text"))?;
                if let Some(accessory) = block.get("accessory").and_then(Value::document) {
                    self.elements_list([accessory].into_iter(), 0);
                }
            }
            b"preview" => self.preview_block(block, depth)?,
            b"info_card" => self.info_card(block)?,
            b"video_conf" => {
                self.markup("<div class=\"note\">");
                self.say(self.html.words.conference);
                if let Some(call) = block.text("callId") {
                    self.markup(" <bdi>");
                    self.name(call);
                    self.markup("</bdi>");
                }
                self.markup("</div>\n");
            }
            b"tab_navigation" => {
                let tabs = block.get("tabs").and_then(Value::array);
                for tab in tabs.unwrap_or(Doc::EMPTY).values().take(SHOWN) {
                    let tab = tab.document().unwrap_or(Doc::EMPTY);
                    self.text_object(tab.get("title"))?;
                }
            }
            _ => self.other_value(self.html.words.unknown_block, Value::Document(block)),
        }
        Ok(())
    }

    fn preview_block(&mut self, block: Doc<'_>, depth: usize) -> Result<(), O::Error> {
        for part in ["title", "description"] {
            match block.get(part) {
                Some(Value::Array(texts)) => {
                    for text in texts.values().take(SHOWN) {
                        self.text_object(Some(text))?;
                    }
                }
                other => self.text_object(other)?,
            }
        }
        self.address_of(block, "externalUrl");
        if let Some(footer) = block.get("footer").and_then(Value::document) {
            self.block(footer, depth.saturating_sub(1))?;
        }
        Ok(())
    }

    fn info_card(&mut self, block: Doc<'_>) -> Result<(), O::Error> {
        let rows = block.get("rows").and_then(Value::array);
        for row in rows.unwrap_or(Doc::EMPTY).values().take(SHOWN) {
            let row = row.document().unwrap_or(Doc::EMPTY);
            let elements = row.get("elements").and_then(Value::array);
            for element in elements.unwrap_or(Doc::EMPTY).values().take(SHOWN) {
                self.text_object(Some(element))?;
            }
        }
        Ok(())
    }

    /// `{type, text}`, or a bare text as old apps wrote it.
    fn text_object(&mut self, object: Option<Value<'_>>) -> Result<(), O::Error> {
        match object {
            None | Some(Value::Null | Value::Undefined) => Ok(()),
            Some(Value::String(text)) => {
                self.part("<div class=\"text\" dir=\"auto\">", Some(text), "</div>\n");
                Ok(())
            }
            Some(Value::Document(doc)) => {
                let text = doc.text("text").or(doc.text("value")).unwrap_or_default();
                if doc.text("type") == Some(Text(b"mrkdwn")) {
                    self.rich(None, text)
                } else if text.is_empty() {
                    // Only the key of a translation, which the client would have looked up.
                    let key = doc.at(&["i18n", "key"]).and_then(Value::text);
                    self.part("<div class=\"note\">", key, "</div>\n");
                    Ok(())
                } else {
                    self.part("<div class=\"text\" dir=\"auto\">", Some(text), "</div>\n");
                    Ok(())
                }
            }
            Some(other) => {
                self.other_value(self.html.words.block_text, other);
                Ok(())
            }
        }
    }

    /// Buttons, menus and fields: what they say.
    fn elements_list<'a>(&mut self, elements: impl Iterator<Item = Doc<'a>>, rest: usize) {
        self.markup("<ul class=\"acts\">");
        for element in elements {
            if element.text("type") == Some(Text(b"image")) {
                self.markup("<li>");
                self.block_image(element);
                self.markup("</li>");
                continue;
            }
            self.markup("<li>");
            let says = ["text", "label", "placeholder", "title"]
                .into_iter()
                .find_map(|key| label(element.get(key)?));
            let kind = element.text("type").unwrap_or(Text(b"element"));
            self.linked(
                element.text("url").filter(|url| !url.is_empty()),
                says.unwrap_or(if kind.0 == b"overflow" {
                    Text(self.html.words.menu.as_bytes())
                } else {
                    kind
                }),
            );
            let initial = ["initialValue", "initialDate", "initialTime"]
                .into_iter()
                .find_map(|key| element.text(key));
            self.part(" <span class=\"size\">", initial, "</span>");
            let options = element.get("options").and_then(Value::array);
            for option in options.unwrap_or(Doc::EMPTY).values().take(SHOWN) {
                let option = option
                    .document()
                    .and_then(|option| label(option.get("text")?));
                self.part(" <span class=\"size\">", option, "</span>");
            }
            self.markup("</li>");
        }
        self.markup("</ul>\n");
        self.more(rest);
    }

    /// A picture of an app: its description and address, nothing is loaded.
    fn block_image(&mut self, image: Doc<'_>) {
        let alt = image.text("altText").filter(|text| !text.is_empty());
        let words = self.html.words;
        self.markup("<div class=\"note\">");
        self.say(words.picture);
        self.markup(" ");
        let address = image.text("imageUrl").filter(|text| !text.is_empty());
        self.linked(
            address,
            alt.or(address)
                .unwrap_or(Text(words.no_description.as_bytes())),
        );
        self.markup("</div>\n");
    }

    fn address_of(&mut self, block: Doc<'_>, key: &str) {
        if let Some(address) = block.text(key).filter(|text| !text.is_empty()) {
            self.markup("<div class=\"note\">");
            self.linked(Some(address), address);
            self.markup("</div>\n");
        }
    }
}

/// The text of a label: a text object or a bare text.
fn label(value: Value<'_>) -> Option<Text<'_>> {
    let text = match value {
        Value::Document(doc) => doc.text("text")?,
        other => other.text()?,
    };
    (!text.is_empty()).then_some(text)
}
