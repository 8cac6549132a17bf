//! Fields of documents that decide something: a type that is not the expected one is no value.

use transcript::bson::{Doc, Value, id_text};

use super::StoreError;

/// Opens a document of which all must be readable: what its damage hides may be what forbids. `what` names it.
pub(super) fn whole<'a>(bytes: &'a [u8], what: &str) -> Result<Doc<'a>, StoreError> {
    Doc::new(bytes)
        .and_then(|doc| doc.validate().map(|()| doc))
        .map_err(|error| StoreError::Corrupt(format!("the document of {what} is damaged: {error}")))
}

/// A text that is not empty.
pub(super) fn text_at(doc: Doc<'_>, path: &[&str]) -> Option<String> {
    let text = doc.at(path)?.text()?;
    (!text.is_empty()).then(|| text.to_str().into_owned())
}

/// A reference to a document, whatever type an importer gave it.
pub(super) fn id_at(doc: Doc<'_>, path: &[&str]) -> Option<String> {
    doc.at(path)
        .filter(|id| id.truthy())
        .map(|id| id_text(id).into_owned())
}

/// A flag; only `true` sets it.
pub(super) fn is_true(doc: Doc<'_>, key: &str) -> bool {
    doc.get(key) == Some(Value::Bool(true))
}

/// The texts in an array.
pub(crate) fn texts_at(doc: Doc<'_>, path: &[&str]) -> Vec<String> {
    values_at(doc, path)
        .filter_map(|value| Some(value.text()?.to_str().into_owned()))
        .collect()
}

/// The documents in an array.
pub(super) fn documents_at<'a>(
    doc: Doc<'a>,
    path: &[&str],
) -> impl Iterator<Item = Doc<'a>> + use<'a> {
    values_at(doc, path).filter_map(Value::document)
}

fn values_at<'a>(doc: Doc<'a>, path: &[&str]) -> impl Iterator<Item = Value<'a>> + use<'a> {
    doc.at(path)
        .and_then(Value::array)
        .unwrap_or(Doc::EMPTY)
        .values()
}
