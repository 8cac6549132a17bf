//! Reading BSON in place (<https://bsonspec.org/spec.html>), nothing copied, nothing trusted.
//!
//! Own code although the reference crate has a raw mode: a message is read once, in one pass that dispatches on the
//! keys, and that pass is what bounds rendering. Tests compare every reading with the reference crate.

use std::borrow::Cow;
use std::fmt;

/// Documents nested deeper than this are not followed; MongoDB itself refuses more than 100 levels.
pub const MAX_DEPTH: usize = 100;

/// The bytes are not BSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(
    /// What is wrong, for a report.
    pub &'static str,
);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// A document or array: the bytes between its length and its final zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Doc<'a>(&'a [u8]);

impl fmt::Debug for Doc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doc({} bytes)", self.0.len())
    }
}

/// Text as stored: it should be UTF-8, and is replaced character by character where it is not.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'a>(pub &'a [u8]);

impl<'a> Text<'a> {
    /// The text, with U+FFFD for what is not UTF-8; borrowed when nothing is wrong.
    pub fn to_str(self) -> Cow<'a, str> {
        // The lossy conversion walks character by character; nearly all text is valid.
        match std::str::from_utf8(self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(self.0),
        }
    }

    /// Whether there is no text.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str(), f)
    }
}

/// A value in a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// 64-bit floating point.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Embedded document.
    Document(Doc<'a>),
    /// Array: a document with the keys `0`, `1`, ….
    Array(Doc<'a>),
    /// Bytes with their subtype.
    Binary(u8, &'a [u8]),
    /// `undefined`, deprecated.
    Undefined,
    /// `ObjectId`, 12 bytes.
    ObjectId(&'a [u8; 12]),
    /// Truth value.
    Bool(bool),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    DateTime(i64),
    /// `null`.
    Null,
    /// Regular expression: pattern and options.
    Regex(Text<'a>, Text<'a>),
    /// Deprecated pointer: namespace and id.
    DbPointer(Text<'a>, &'a [u8; 12]),
    /// JavaScript code.
    JavaScript(Text<'a>),
    /// Deprecated symbol.
    Symbol(Text<'a>),
    /// JavaScript code with its scope.
    JavaScriptWithScope(Text<'a>, Doc<'a>),
    /// 32-bit integer.
    Int32(i32),
    /// Internal timestamp: seconds and increment.
    Timestamp(u32, u32),
    /// 64-bit integer.
    Int64(i64),
    /// 128-bit decimal, its 16 bytes.
    Decimal128(&'a [u8; 16]),
    /// The value after all others.
    MaxKey,
    /// The value before all others.
    MinKey,
}

impl<'a> Value<'a> {
    /// The text of a string or symbol.
    pub fn text(self) -> Option<Text<'a>> {
        match self {
            Self::String(text) | Self::Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// An embedded document (not an array).
    pub fn document(self) -> Option<Doc<'a>> {
        match self {
            Self::Document(doc) => Some(doc),
            _ => None,
        }
    }

    /// An array's values in order, keys ignored.
    pub fn array(self) -> Option<Doc<'a>> {
        match self {
            Self::Array(doc) => Some(doc),
            _ => None,
        }
    }

    /// Truth as JavaScript has it for the types that stand for flags: missing, null, `false`, 0 and "" are false.
    pub fn truthy(self) -> bool {
        match self {
            Self::Undefined | Self::Null | Self::Bool(false) => false,
            Self::Double(number) => number != 0.0,
            Self::Int32(number) => number != 0,
            Self::Int64(number) => number != 0,
            Self::String(text) => !text.is_empty(),
            _ => true,
        }
    }

    /// A whole number from any numeric type; a double only when it is integral and exact.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked before the cast"
    )]
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(number)),
            Self::Int64(number) => Some(number),
            Self::Double(number)
                if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 =>
            {
                Some(number as i64)
            }
            _ => None,
        }
    }

    /// Milliseconds since 1970: a date, or what importers and old versions wrote instead: a number of milliseconds,
    /// an internal timestamp, `{"$date": …}`, an ISO 8601 text.
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::DateTime(millis) => Some(millis),
            Self::Timestamp(seconds, _) => Some(i64::from(seconds) * 1000),
            Self::Document(doc) => match doc.get("$date")? {
                Self::Document(_) => None,
                inner => inner.millis(),
            },
            Self::String(text) => {
                let instant: jiff::Timestamp = std::str::from_utf8(text.0).ok()?.parse().ok()?;
                Some(instant.as_millisecond())
            }
            number => number.integer(),
        }
    }
}

impl<'a> Doc<'a> {
    /// A document without elements.
    pub const EMPTY: Self = Self(&[]);

    /// Opens a whole document: its length field, its elements, its final zero.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (doc, rest) = Self::split(bytes)?;
        if rest.is_empty() {
            Ok(doc)
        } else {
            Err(Malformed("the document is shorter than its bytes"))
        }
    }

    /// Takes one document from the beginning of `bytes`.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (length, _) = bytes
            .split_first_chunk::<4>()
            .ok_or(Malformed("cut off in a length"))?;
        let length = usize::try_from(i32::from_le_bytes(*length))
            .map_err(|_| Malformed("negative length"))?;
        if length < 5 {
            return Err(Malformed("a document cannot be shorter than 5 bytes"));
        }
        let (doc, rest) = bytes
            .split_at_checked(length)
            .ok_or(Malformed("a document is cut off"))?;
        match doc {
            [_, _, _, _, body @ .., 0] => Ok((Self(body), rest)),
            _ => Err(Malformed("a document does not end with zero")),
        }
    }

    /// Appends the whole document, as it was opened.
    pub fn write_to(self, out: &mut Vec<u8>) {
        // It was opened with a length of 32 bits.
        let length = u32::try_from(self.0.len() + 5).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(self.0);
        out.push(0);
    }

    /// The elements in order. Reading stops after the first that is malformed.
    pub fn elements(self) -> Elements<'a> {
        Elements { rest: self.0 }
    }

    /// The values in order, malformed ones and what follows them left out.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        self.elements()
            .map_while(Result::ok)
            .map(|(_, value)| value)
    }

    /// The first value with this key. Scans from the beginning: for one or two keys only.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let key = Key::of(key.as_bytes());
        let mut rest = self.0;
        loop {
            let (&kind, bytes) = rest.split_first()?;
            let (candidate, bytes) = split_key(bytes).ok()?;
            if candidate == key {
                return Elements { rest: bytes }.value(kind).ok();
            }
            rest = skip(kind, bytes).ok()?;
        }
    }

    /// The first value with each of some keys, in one pass that reads no other value. It ends at a malformed element.
    #[inline]
    pub fn find<const N: usize>(self, keys: &Keys<N>) -> [Option<Value<'a>>; N] {
        let mut found = [None; N];
        let mut rest = self.0;
        while let Some((&kind, bytes)) = rest.split_first() {
            let Ok((key, bytes)) = split_key(bytes) else {
                break;
            };
            let Ok(after) = skip(kind, bytes) else { break };
            if let Some(index) = keys.0.iter().position(|wanted| *wanted == key)
                && found[index].is_none()
            {
                found[index] = Elements { rest: bytes }.value(kind).ok();
            }
            rest = after;
        }
        found
    }

    /// The value at a path of keys, `u`, `_id`.
    pub fn at(self, path: &[&str]) -> Option<Value<'a>> {
        let (last, parents) = path.split_last()?;
        let mut doc = self;
        for key in parents {
            doc = doc.get(key)?.document()?;
        }
        doc.get(last)
    }

    /// The text under a key.
    pub fn text(self, key: &str) -> Option<Text<'a>> {
        self.get(key)?.text()
    }

    /// The bytes of the elements: equal documents have equal bytes, and nearly always the other way round.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The value in a slot that [`Elements::next_slot`] gave for this document.
    #[inline]
    pub(crate) fn value_at(self, slot: Slot) -> Option<Value<'a>> {
        self.elements_at(slot)?.value(slot.kind()).ok()
    }

    /// The text in a slot; nothing for values of another type.
    #[inline]
    pub(crate) fn text_at(self, slot: Slot) -> Option<Text<'a>> {
        match slot.kind() {
            0x02 => self.elements_at(slot)?.string().ok(),
            0x0e => self.value_at(slot)?.text(),
            _ => None,
        }
    }

    #[inline]
    fn elements_at(self, slot: Slot) -> Option<Elements<'a>> {
        let start = self.0.len().checked_sub(slot.distance())?;
        let rest = self.0.get(start..)?;
        Some(Elements { rest })
    }

    /// Checks every element down to [`MAX_DEPTH`].
    pub fn validate(self) -> Result<(), Malformed> {
        self.validate_to(MAX_DEPTH)
    }

    fn validate_to(self, depth: usize) -> Result<(), Malformed> {
        let depth = depth
            .checked_sub(1)
            .ok_or(Malformed("documents are nested too deeply"))?;
        for element in self.elements() {
            match element?.1 {
                Value::Document(doc) | Value::Array(doc) | Value::JavaScriptWithScope(_, doc) => {
                    doc.validate_to(depth)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Keys to look for, made ready once; see [`Doc::find`].
#[derive(Debug)]
pub struct Keys<const N: usize>([Key<'static>; N]);

impl<const N: usize> Keys<N> {
    /// Keys without zeros.
    pub const fn new(texts: [&'static str; N]) -> Self {
        let mut keys = [Key { text: b"", word: 0 }; N];
        let mut index = 0;
        while index < N {
            keys[index] = Key::of(texts[index].as_bytes());
            index += 1;
        }
        Self(keys)
    }
}

/// Iterator over the elements of a document: key and value, or the first error.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(Text<'a>, Value<'a>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let element = self.next_keyed()?;
        Some(element.map(|(key, value)| (Text(key.text), value)))
    }
}

/// A key with its first eight bytes as a number, little endian and zeros after its end: most keys are no longer, and
/// two numbers are compared, and looked up, in less time than two texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    /// The key.
    pub(crate) text: &'a [u8],
    /// Its beginning.
    pub(crate) word: u64,
}

impl<'a> Key<'a> {
    /// A key that is not read from a document.
    pub(crate) const fn of(text: &'a [u8]) -> Self {
        if let Some(first) = text.first_chunk::<8>() {
            let word = u64::from_le_bytes(*first);
            return Self { text, word };
        }
        let (mut word, mut at) = (0, text.len());
        while at > 0 {
            at -= 1;
            word = word << 8 | text[at] as u64;
        }
        Self { text, word }
    }
}

impl PartialEq for Key<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
            && self.text.len() == other.text.len()
            && match (self.text, other.text) {
                // Words overlap when there are fewer than sixteen bytes.
                ([_, _, _, _, _, _, _, _, _, ..], _) if self.text.len() <= 16 => {
                    self.text.last_chunk::<8>() == other.text.last_chunk::<8>()
                }
                (a, b) => a.len() <= 8 || a == b,
            }
    }
}

/// Where a value is in its document, in four bytes: its distance from the document's end, and in the lowest five bits
/// its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    /// Documents of which every value has a slot are shorter. MongoDB's are at most 16 MiB.
    pub(crate) const MAX_DOCUMENT: usize = 1 << 27;

    #[inline]
    fn new(distance: usize, kind: u8) -> Self {
        // All types but two have numbers of five bits.
        let kind = if kind == 0xff { 0x1e } else { kind & 0x1f };
        Self(u32::try_from(distance << 5).unwrap_or_default() | u32::from(kind))
    }

    /// Whether it holds no value. No type has the number 0.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The type's number.
    #[inline]
    fn kind(self) -> u8 {
        match self.0.to_le_bytes()[0] & 0x1f {
            0x1e => 0xff,
            0x1f => 0x7f,
            kind => kind,
        }
    }

    #[inline]
    fn distance(self) -> usize {
        // A target with less than 32 bits has no such documents.
        usize::try_from(self.0 >> 5).unwrap_or(usize::MAX)
    }
}

impl<'a> Elements<'a> {
    /// The next element, its value checked but not kept: many values are never looked at.
    #[expect(
        clippy::inline_always,
        reason = "the compiler judges it by its size, not by how often it runs"
    )]
    #[inline(always)]
    pub(crate) fn next_slot(&mut self) -> Option<Result<(Key<'a>, Slot), Malformed>> {
        let (&kind, rest) = self.rest.split_first()?;
        Some(split_key(rest).and_then(|(key, rest)| {
            let slot = Slot::new(rest.len(), kind);
            self.rest = skip(kind, rest)?;
            Ok((key, slot))
        }))
    }

    /// Whether the value that came last is an empty list or object: nothing but its length and its final zero.
    #[inline]
    pub(crate) fn was_empty(&self, last: Slot) -> bool {
        matches!(last.kind(), 0x03 | 0x04) && last.distance() == self.rest.len() + 5
    }

    /// The next element, or the first error and then nothing more.
    #[expect(
        clippy::inline_always,
        reason = "the compiler judges it by its size, not by how often it runs"
    )]
    #[inline(always)]
    pub(crate) fn next_keyed(&mut self) -> Option<Result<(Key<'a>, Value<'a>), Malformed>> {
        let (&kind, rest) = self.rest.split_first()?;
        // After an error there is nothing more.
        self.rest = &[];
        Some(split_key(rest).and_then(|(key, rest)| {
            let mut value = Elements { rest };
            let element = (key, value.value(kind)?);
            self.rest = value.rest;
            Ok(element)
        }))
    }

    #[expect(
        clippy::inline_always,
        reason = "the compiler judges it by its size, not by how often it runs"
    )]
    #[inline(always)]
    fn value(&mut self, kind: u8) -> Result<Value<'a>, Malformed> {
        // What messages are made of; the rest would be too much to have at every use.
        Ok(match kind {
            0x02 => Value::String(self.string()?),
            0x03 => Value::Document(self.document()?),
            0x04 => Value::Array(self.document()?),
            0x09 => Value::DateTime(i64::from_le_bytes(*self.fixed()?)),
            _ => {
                let (value, rest) = Elements { rest: self.rest }.other_value(kind)?;
                self.rest = rest;
                value
            }
        })
    }

    #[inline(never)]
    fn other_value(mut self, kind: u8) -> Result<(Value<'a>, &'a [u8]), Malformed> {
        let value = match kind {
            0x01 => Value::Double(f64::from_le_bytes(*self.fixed()?)),
            0x05 => {
                let length = self.length()?;
                let [subtype] = *self.fixed()?;
                Value::Binary(subtype, self.bytes(length)?)
            }
            0x06 => Value::Undefined,
            0x07 => Value::ObjectId(self.fixed()?),
            0x08 => match *self.fixed()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [_] => return Err(Malformed("a truth value is neither 0 nor 1")),
            },
            0x0a => Value::Null,
            0x0b => Value::Regex(self.c_string()?, self.c_string()?),
            0x0c => Value::DbPointer(self.string()?, self.fixed()?),
            0x0d => Value::JavaScript(self.string()?),
            0x0e => Value::Symbol(self.string()?),
            0x0f => {
                let length = self.length()?;
                let inner = self.bytes(
                    length
                        .checked_sub(4)
                        .ok_or(Malformed("code with scope is too short"))?,
                )?;
                let mut inner = Elements { rest: inner };
                let code = inner.string()?;
                let scope = inner.document()?;
                if !inner.rest.is_empty() {
                    return Err(Malformed("code with scope is longer than its parts"));
                }
                Value::JavaScriptWithScope(code, scope)
            }
            0x10 => Value::Int32(i32::from_le_bytes(*self.fixed()?)),
            0x11 => {
                let increment = u32::from_le_bytes(*self.fixed()?);
                Value::Timestamp(u32::from_le_bytes(*self.fixed()?), increment)
            }
            0x12 => Value::Int64(i64::from_le_bytes(*self.fixed()?)),
            0x13 => Value::Decimal128(self.fixed()?),
            0x7f => Value::MaxKey,
            0xff => Value::MinKey,
            _ => return Err(Malformed("unknown element type")),
        };
        Ok((value, self.rest))
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed("a value is cut off"))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed("a value is cut off"))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(i32::from_le_bytes(*self.fixed()?))
            .map_err(|_| Malformed("negative length"))
    }

    #[inline]
    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let length = self.length()?;
        match self.bytes(length)? {
            [text @ .., 0] => Ok(Text(text)),
            _ => Err(Malformed("a text does not end with zero")),
        }
    }

    #[inline]
    fn c_string(&mut self) -> Result<Text<'a>, Malformed> {
        let (key, rest) = split_key(self.rest)?;
        self.rest = rest;
        Ok(Text(key.text))
    }

    #[inline]
    fn document(&mut self) -> Result<Doc<'a>, Malformed> {
        let (doc, rest) = Doc::split(self.rest)?;
        self.rest = rest;
        Ok(doc)
    }
}

/// Takes a key and its final zero from the beginning of `bytes`. Bytes go in and out by value, here and below, so that
/// they stay in registers.
#[expect(
    clippy::inline_always,
    reason = "the compiler judges it by its size, not by how often it runs"
)]
#[inline(always)]
fn split_key(bytes: &[u8]) -> Result<(Key<'_>, &[u8]), Malformed> {
    // Keys are a few bytes: most end within the first eight, found in one go, and nearly all others in the next.
    let Some(word) = first_word(bytes) else {
        return split_odd_key(bytes);
    };
    let mut marks = zeros(word);
    let (mut end, mut known) = (0, word);
    if marks == 0 {
        match bytes.get(8..).and_then(first_word).map(zeros) {
            Some(second) if second != 0 => (end, marks) = (8, second),
            _ => return split_odd_key(bytes),
        }
    } else {
        // What is below the first mark: the bytes before the zero, and of the zero itself what is nothing.
        known &= (marks & marks.wrapping_neg()) - 1;
    }
    end += marks.trailing_zeros() as usize / 8;
    let (text, rest) = bytes.split_at(end);
    Ok((Key { text, word: known }, &rest[1..]))
}

/// Takes a key of more than fifteen bytes, or one in a document's last bytes.
#[inline(never)]
fn split_odd_key(bytes: &[u8]) -> Result<(Key<'_>, &[u8]), Malformed> {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .ok_or(Malformed("a key is cut off"))?;
    let (text, rest) = bytes.split_at(end);
    Ok((Key::of(text), &rest[1..]))
}

#[inline]
fn first_word(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

/// Checks the value at the beginning of `bytes` and returns what follows it.
#[expect(
    clippy::inline_always,
    reason = "the compiler judges it by its size, not by how often it runs"
)]
#[inline(always)]
fn skip(kind: u8, bytes: &[u8]) -> Result<&[u8], Malformed> {
    let mut value = Elements { rest: bytes };
    match kind {
        0x02 => drop(value.string()?),
        0x03 | 0x04 => drop(value.document()?),
        0x09 => drop(value.fixed::<8>()?),
        _ => return Ok(value.other_value(kind)?.1),
    }
    Ok(value.rest)
}

/// Marks the zero bytes of a word in their highest bits; the lowest mark is exact, those above it may not be. ("Bit
/// Twiddling Hacks", Sean Eron Anderson.)
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

/// An `_id` or a reference to one, as text: strings as they are, `ObjectId`s in hexadecimal, numbers in decimal.
/// Everything in Rocket.Chat has string ids; importers and other tools are not so strict.
pub fn id_text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::String(text) | Value::Symbol(text) => text.to_str(),
        Value::ObjectId(bytes) => hex(bytes).into(),
        Value::Binary(_, bytes) => hex(bytes).into(),
        Value::Int32(number) => number.to_string().into(),
        Value::Int64(number) => number.to_string().into(),
        Value::Double(number) => number.to_string().into(),
        Value::Document(doc) | Value::Array(doc) => hex(doc.0).into(),
        other => format!("{other:?}").into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bson::{doc, oid::ObjectId, spec::BinarySubtype};

    fn bytes(doc: &::bson::Document) -> Vec<u8> {
        doc.to_vec().unwrap()
    }

    #[test]
    fn every_type_is_read_as_the_reference_reads_it() {
        let id = ObjectId::new();
        let original = doc! {
            "double": 1.5, "text": "grüße", "doc": {"a": 1}, "array": ["x", 2_i64],
            "binary": ::bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
            "undefined": ::bson::Bson::Undefined, "id": id, "yes": true, "no": false,
            "date": ::bson::DateTime::from_millis(-5), "null": null,
            "regex": ::bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() },
            "code": ::bson::Bson::JavaScriptCode("f()".into()), "symbol": ::bson::Bson::Symbol("s".into()),
            "scoped": ::bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! {"b": 2} },
            "int": 7_i32, "long": i64::MIN, "stamp": ::bson::Timestamp { time: 3, increment: 4 },
            "min": ::bson::Bson::MinKey, "max": ::bson::Bson::MaxKey,
            "decimal": "1.10".parse::<::bson::Decimal128>().unwrap(),
        };
        let bytes = bytes(&original);
        let doc = Doc::new(&bytes).unwrap();
        doc.validate().unwrap();
        assert_eq!(doc.elements().count(), original.len());
        assert_eq!(doc.get("double"), Some(Value::Double(1.5)));
        assert_eq!(doc.text("text").unwrap().to_str(), "grüße");
        assert_eq!(doc.at(&["doc", "a"]), Some(Value::Int32(1)));
        assert_eq!(
            doc.get("array").unwrap().array().unwrap().values().count(),
            2
        );
        assert_eq!(doc.get("binary"), Some(Value::Binary(0, &[1, 2, 3])));
        assert_eq!(doc.get("undefined"), Some(Value::Undefined));
        assert_eq!(doc.get("id"), Some(Value::ObjectId(&id.bytes())));
        assert_eq!(
            (doc.get("yes"), doc.get("no")),
            (Some(Value::Bool(true)), Some(Value::Bool(false)))
        );
        assert_eq!(doc.get("date"), Some(Value::DateTime(-5)));
        assert_eq!(doc.get("null"), Some(Value::Null));
        assert_eq!(doc.get("regex"), Some(Value::Regex(Text(b"a"), Text(b"i"))));
        assert_eq!(doc.get("code"), Some(Value::JavaScript(Text(b"f()"))));
        assert_eq!(doc.get("symbol"), Some(Value::Symbol(Text(b"s"))));
        assert!(
            matches!(doc.get("scoped"), Some(Value::JavaScriptWithScope(Text(b"g()"), scope)) if scope.get("b") == Some(Value::Int32(2)))
        );
        assert_eq!(
            (doc.get("int"), doc.get("long")),
            (Some(Value::Int32(7)), Some(Value::Int64(i64::MIN)))
        );
        assert_eq!(doc.get("stamp"), Some(Value::Timestamp(3, 4)));
        assert_eq!(
            (doc.get("min"), doc.get("max")),
            (Some(Value::MinKey), Some(Value::MaxKey))
        );
        assert!(matches!(doc.get("decimal"), Some(Value::Decimal128(_))));
    }

    #[test]
    fn several_keys_are_found_in_one_pass() {
        const KEYS: Keys<5> = Keys::new([
            "b",
            "a",
            "none",
            "longer than a word",
            "far longer than two words",
        ]);
        let mut bytes = bytes(
            &doc! {"a": 1, "x": {"b": 2}, "longer than a wort": 3, "longer than a word": 4, "far longer than two words": 5, "b": "six"},
        );
        let found = Doc::new(&bytes).unwrap().find(&KEYS);
        let numbers =
            [None, Some(1), None, Some(4), Some(5)].map(|number| number.map(Value::Int32));
        assert_eq!(found[1..], numbers[1..]);
        assert_eq!(found[0], Some(Value::String(Text(b"six"))));
        // A key twice: the first counts, as for MongoDB.
        let at = bytes.windows(2).rposition(|key| key == b"b\0").unwrap();
        bytes[at] = b'a';
        let found = Doc::new(&bytes).unwrap().find(&KEYS);
        assert_eq!(found[..2], [None, Some(Value::Int32(1))]);
        // What stands before the damage is found.
        bytes[at - 1] = 0x55;
        let found = Doc::new(&bytes).unwrap().find(&KEYS);
        assert_eq!(found[1..], numbers[1..]);
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_survived() {
        let bytes = bytes(
            &doc! {"_id": "m", "u": {"username": "a", "list": [1, {"x": "y"}]}, "ts": ::bson::DateTime::from_millis(1)},
        );
        for end in 0..bytes.len() {
            assert!(Doc::new(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = byte;
                if let Ok(doc) = Doc::new(&damaged) {
                    let _ = doc.validate();
                    let _ = doc.at(&["u", "username"]);
                }
            }
        }
    }

    #[test]
    fn nesting_is_limited() {
        let mut inner = doc! {};
        for _ in 0..=MAX_DEPTH {
            inner = doc! {"d": inner};
        }
        assert_eq!(
            Doc::new(&bytes(&inner)).unwrap().validate(),
            Err(Malformed("documents are nested too deeply"))
        );
    }

    #[test]
    fn instants_are_read_from_what_importers_wrote() {
        let cases = [
            (doc! {"ts": ::bson::DateTime::from_millis(5)}, Some(5)),
            (doc! {"ts": 5_i64}, Some(5)),
            (doc! {"ts": 5.0}, Some(5)),
            (doc! {"ts": "1970-01-01T00:00:00.005Z"}, Some(5)),
            (doc! {"ts": {"$date": 5}}, Some(5)),
            (
                doc! {"ts": ::bson::Timestamp { time: 1, increment: 9 }},
                Some(1000),
            ),
            (doc! {"ts": "yesterday"}, None),
            (doc! {"ts": null}, None),
        ];
        for (doc, expected) in cases {
            let bytes = bytes(&doc);
            assert_eq!(
                Doc::new(&bytes).unwrap().get("ts").unwrap().millis(),
                expected,
                "{doc}"
            );
        }
    }
}
