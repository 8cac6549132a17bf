//! Previews of links, from what the workspace has stored of them (`urls`, contract §5.4). Nothing is loaded.

use super::{Body, escape, link};
use crate::bson::{Doc, Text, Value};
use crate::output::Output;

/// Previews of one message; further links are in its text.
const PREVIEWS: usize = 20;
/// Bytes of a page's description that are shown.
const DESCRIPTION: usize = 800;

impl<O: Output> Body<'_, O> {
    pub(super) fn previews(&mut self, urls: Doc<'_>) {
        let urls = urls.values().filter_map(Value::document);
        for url in urls.take(PREVIEWS) {
            if !url.get("ignoreParse").is_some_and(Value::truthy) {
                self.preview(url);
            }
        }
    }

    fn preview(&mut self, url: Doc<'_>) {
        let meta = url
            .get("meta")
            .and_then(Value::document)
            .unwrap_or(Doc::EMPTY);
        let first = |keys: &[&str]| {
            keys.iter()
                .filter_map(|key| meta.text(key))
                .find(|text| !text.is_empty())
        };
        let title = first(&[
            "ogTitle",
            "twitterTitle",
            "oembedTitle",
            "pageTitle",
            "title",
        ]);
        let description = first(&[
            "ogDescription",
            "twitterDescription",
            "description",
            "oembedAuthorName",
        ]);
        let Some(heading) = title.or(description) else {
            return;
        };
        let address = url.text("url").unwrap_or_default();
        let link = link::address(address.0);
        self.markup("<div class=\"card preview\"><div class=\"label\"><bdi>");
        match first(&["ogSiteName", "oembedProviderName", "twitterSite"]) {
            Some(site) => self.name(site),
            None => self.name(Text(
                link.map_or(address.0, |link| link::host(link).as_bytes()),
            )),
        }
        self.markup("</bdi></div><div class=\"title\" dir=\"auto\">");
        self.linked(
            Some(address).filter(|address| !address.is_empty()),
            clipped(heading),
        );
        self.markup("</div>");
        if let Some(description) = description.filter(|_| title.is_some()) {
            self.markup("<div class=\"about\" dir=\"auto\">");
            let shown = clipped(description);
            escape::text(&mut self.html.out, shown.0);
            if shown != description {
                self.markup("…");
            }
            self.markup("</div>");
        }
        self.markup("</div>\n");
    }
}

fn clipped(text: Text<'_>) -> Text<'_> {
    Text(escape::cut(text.0, DESCRIPTION).0)
}
