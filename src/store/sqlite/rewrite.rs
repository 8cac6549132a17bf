//! Changes single values in stored documents: everything else stays as it is, byte for byte and in its order.

use bson::RawDocument;
use bson::spec::ElementType;

use crate::store::StoreError;

/// An empty document.
pub(super) const EMPTY: &[u8] = &[5, 0, 0, 0, 0];

/// A value of a document: its type and its bytes.
pub(super) type RawValue = (ElementType, Vec<u8>);
/// A value where it stands in its document.
pub(super) type RawValueRef<'a> = (ElementType, &'a [u8]);

/// A date, milliseconds since 1970.
pub(super) fn date(millis: i64) -> RawValue {
    (ElementType::DateTime, millis.to_le_bytes().to_vec())
}

/// The document with what `change` makes of the value at `path`. Documents on the way are made where there are none.
pub(super) fn with(
    doc: &[u8],
    path: &[&str],
    change: &mut dyn FnMut(Option<RawValueRef<'_>>) -> Result<RawValue, StoreError>,
) -> Result<Vec<u8>, StoreError> {
    let Some((key, below)) = path.split_first() else {
        return Ok(doc.to_vec());
    };
    let mut changed = |found: Option<RawValueRef<'_>>| {
        if below.is_empty() {
            return change(found);
        }
        let inner = match found {
            Some((ElementType::EmbeddedDocument, bytes)) => bytes,
            _ => EMPTY,
        };
        Ok((
            ElementType::EmbeddedDocument,
            with(inner, below, &mut *change)?,
        ))
    };
    let mut writer = Writer::new();
    let mut found = false;
    each(doc, |name, kind, value| {
        if name == *key && !found {
            found = true;
            let (kind, value) = changed(Some((kind, value)))?;
            writer.push(name, kind, &value);
        } else {
            writer.push(name, kind, value);
        }
        Ok(())
    })?;
    if !found {
        let (kind, value) = changed(None)?;
        writer.push(key, kind, &value);
    }
    writer.finish()
}

/// An array of the elements that `keep` keeps, in their order, and of more documents behind them.
pub(super) fn array(
    array: &[u8],
    mut keep: impl FnMut(ElementType, &[u8]) -> bool,
    more: &[&[u8]],
) -> Result<RawValue, StoreError> {
    let mut writer = Writer::new();
    let mut length = 0_usize;
    let mut push = |kind, value: &[u8]| {
        writer.push(&length.to_string(), kind, value);
        length += 1;
    };
    each(array, |_, kind, value| {
        if keep(kind, value) {
            push(kind, value);
        }
        Ok(())
    })?;
    for document in more {
        push(ElementType::EmbeddedDocument, document);
    }
    Ok((ElementType::Array, writer.finish()?))
}

/// Visits key, type and bytes of each element.
pub(super) fn each(
    doc: &[u8],
    mut visit: impl FnMut(&str, ElementType, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let damaged = || StoreError::Corrupt("a document that is to be changed is damaged".to_owned());
    let raw = RawDocument::from_bytes(doc).map_err(|_| damaged())?;
    // Behind the length.
    let mut at = 4;
    for element in raw.iter_elements() {
        let element = element.map_err(|_| damaged())?;
        let key = element.key().as_str();
        // A byte for the type, and the zero behind the key.
        let start = at + 1 + key.len() + 1;
        at = start + element.size();
        let value = doc.get(start..at).ok_or_else(damaged)?;
        visit(key, element.element_type(), value)?;
    }
    Ok(())
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(vec![0; 4])
    }

    fn push(&mut self, key: &str, kind: ElementType, value: &[u8]) {
        self.0.push(kind as u8);
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(0);
        self.0.extend_from_slice(value);
    }

    fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        self.0.push(0);
        let length = i32::try_from(self.0.len())
            .map_err(|_| StoreError::Corrupt("a document has become too large".to_owned()))?;
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Document, doc};

    use super::*;

    fn every_type() -> Document {
        doc! {
            "double": 1.5, "text": "grüße", "doc": {"a": {"b": 1}}, "array": ["x", 2_i64],
            "binary": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
            "old": bson::Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
            "undefined": bson::Bson::Undefined, "id": bson::oid::ObjectId::from_bytes([7; 12]), "yes": true,
            "date": bson::DateTime::from_millis(-5), "null": null,
            "regex": bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() },
            "code": bson::Bson::JavaScriptCode("f()".into()), "symbol": bson::Bson::Symbol("s".into()),
            "scoped": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! {"b": 2} },
            "int": 7_i32, "long": i64::MIN, "stamp": bson::Timestamp { time: 3, increment: 4 },
            "min": bson::Bson::MinKey, "max": bson::Bson::MaxKey,
            "decimal": "1.10".parse::<bson::Decimal128>().unwrap(),
        }
    }

    fn with_date(before: &Document, path: &[&str]) -> Vec<u8> {
        with(&before.to_vec().unwrap(), path, &mut |_| Ok(date(9))).unwrap()
    }

    #[test]
    fn one_value_changes_and_every_other_byte_stays() {
        let date = bson::DateTime::from_millis(9);
        for key in every_type().keys() {
            let mut expected = every_type();
            expected.insert(key, date);
            assert_eq!(
                with_date(&every_type(), &[key]),
                expected.to_vec().unwrap(),
                "{key}"
            );
        }
        let mut expected = every_type();
        expected.insert("doc", doc! {"a": {"b": 1, "c": date}});
        assert_eq!(
            with_date(&every_type(), &["doc", "a", "c"]),
            expected.to_vec().unwrap()
        );
    }

    #[test]
    fn documents_on_the_way_are_made() {
        let date = bson::DateTime::from_millis(9);
        for (before, expected) in [
            (doc! {}, doc! {"a": {"b": date}}),
            (doc! {"a": null, "z": 1}, doc! {"a": {"b": date}, "z": 1}),
            (doc! {"a": [1]}, doc! {"a": {"b": date}}),
        ] {
            assert_eq!(with_date(&before, &["a", "b"]), expected.to_vec().unwrap());
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_stay() {
        let mut bytes = doc! {"a": "xyz", "b": 1}.to_vec().unwrap();
        let at = bytes.iter().position(|&byte| byte == b'y').unwrap();
        bytes[at] = 0xff;
        let changed = with(&bytes, &["c"], &mut |_| Ok(date(9))).unwrap();
        assert_eq!(changed[4..bytes.len() - 1], bytes[4..bytes.len() - 1]);
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = every_type().to_vec().unwrap();
        for end in 0..bytes.len() {
            assert!(with(&bytes[..end], &["x"], &mut |_| Ok(date(9))).is_err());
        }
    }
}
