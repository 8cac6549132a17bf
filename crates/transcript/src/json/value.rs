//! BSON values as JSON, plain or MongoDB Extended JSON v2 (relaxed).

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::bson::{Text, Value};
use crate::scan::{Special, is_plain, plain_prefix};
use crate::time::IsoWriter;

/// How values without a JSON form of their own are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As a consumer expects them: dates as ISO text, ids in hexadecimal, bytes in base64.
    Plain,
    /// MongoDB Extended JSON v2, relaxed: nothing of the type is lost.
    Extended,
}

/// Something was nested too deeply and has been replaced by `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// Writes `,"name":`.
#[expect(
    clippy::inline_always,
    reason = "a name of known length is copied without a call"
)]
#[inline(always)]
pub(super) fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// What ends the part of a string that is copied as it is.
const SPECIALS: [Special; 2] = [
    Special {
        ignore: 0,
        byte: b'"',
    },
    Special {
        ignore: 0,
        byte: b'\\',
    },
];

/// Writes a string as `JSON.stringify` does; what is not UTF-8 becomes U+FFFD.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    // Keys, ids and names are short and plain, and there are many of them: two pieces that may overlap are copied
    // without a call.
    if !(overlapping::<16>(out, text) || overlapping::<8>(out, text)) {
        any_string(out, text);
    }
    out.push(b'"');
}

/// Writes a text of `N` to `2 * N` bytes of which none needs care; `false`, and nothing written, when it is another.
#[inline]
fn overlapping<const N: usize>(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
        return false;
    };
    if text.len() > 2 * N {
        return false;
    }
    for word in first.as_chunks().0.iter().chain(last.as_chunks().0) {
        if !is_plain(*word, SPECIALS) {
            return false;
        }
    }
    out.extend_from_slice(first);
    out.truncate(out.len() + text.len() - 2 * N);
    out.extend_from_slice(last);
    true
}

fn any_string(out: &mut Vec<u8>, text: &[u8]) {
    let (plain, rest) = text.split_at(plain_prefix(text, SPECIALS));
    out.extend_from_slice(plain);
    if !rest.is_empty() {
        // The plain part is ASCII: the rest begins with a whole character.
        match std::str::from_utf8(rest) {
            Ok(_) => escaped(out, rest),
            Err(_) => escaped(out, String::from_utf8_lossy(rest).as_bytes()),
        }
    }
}

fn escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text
        .iter()
        .position(|&byte| ESCAPES[usize::from(byte)] != 0)
    {
        out.extend_from_slice(&text[..at]);
        match ESCAPES[usize::from(text[at])] {
            b'u' => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(text[at] >> 4)]);
                out.push(HEX[usize::from(text[at] & 15)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// For each byte: 0, or the letter after the backslash.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Writes a whole number.
pub(super) fn integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a value, at most `depth` levels of it.
pub(super) fn write(
    out: &mut Vec<u8>,
    value: Value<'_>,
    style: Style,
    iso: &mut IsoWriter,
    depth: usize,
) -> Result<(), TooDeep> {
    match value {
        Value::String(text) => string(out, text.0),
        Value::Bool(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
        Value::Int32(number) => integer(out, i64::from(number)),
        Value::Int64(number) => integer(out, number),
        Value::Double(number) => double(out, number, style),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Document(doc) | Value::Array(doc) => {
            let is_array = matches!(value, Value::Array(_));
            let Some(depth) = depth.checked_sub(1) else {
                out.extend_from_slice(b"null");
                return Err(TooDeep);
            };
            out.push(if is_array { b'[' } else { b'{' });
            let mut result = Ok(());
            for (index, (name, inner)) in doc.elements().map_while(Result::ok).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !is_array {
                    string(out, name.0);
                    out.push(b':');
                }
                result = write(out, inner, style, iso, depth).and(result);
            }
            out.push(if is_array { b']' } else { b'}' });
            return result;
        }
        Value::DateTime(millis) => date(out, millis, style, iso),
        Value::ObjectId(id) => wrapped(out, "$oid", style, |out| hex(out, id)),
        other => return rare(out, other, style, iso, depth),
    }
    Ok(())
}

/// Types that Rocket.Chat does not write.
fn rare(
    out: &mut Vec<u8>,
    value: Value<'_>,
    style: Style,
    iso: &mut IsoWriter,
    depth: usize,
) -> Result<(), TooDeep> {
    let extended = style == Style::Extended;
    match value {
        Value::Binary(subtype, bytes) => {
            let text = Base64Display::new(bytes, &STANDARD).to_string();
            if extended {
                let text = format!(
                    "{{\"$binary\":{{\"base64\":\"{text}\",\"subType\":\"{subtype:02x}\"}}}}"
                );
                out.extend_from_slice(text.as_bytes());
            } else {
                string(out, text.as_bytes());
            }
        }
        Value::Decimal128(bytes) => {
            let text = decimal(*bytes);
            wrapped(out, "$numberDecimal", style, |out| {
                string(out, text.as_bytes());
            });
        }
        Value::Symbol(text) => wrapped(out, "$symbol", style, |out| string(out, text.0)),
        Value::JavaScript(code) => wrapped(out, "$code", style, |out| string(out, code.0)),
        Value::JavaScriptWithScope(code, scope) => {
            out.extend_from_slice(b"{\"$code\":");
            string(out, code.0);
            out.extend_from_slice(b",\"$scope\":");
            let result = write(out, Value::Document(scope), style, iso, depth);
            out.push(b'}');
            return result;
        }
        Value::Regex(pattern, options) if extended => {
            out.extend_from_slice(b"{\"$regularExpression\":{\"pattern\":");
            string(out, pattern.0);
            out.extend_from_slice(b",\"options\":");
            string(out, options.0);
            out.extend_from_slice(b"}}");
        }
        Value::Regex(Text(pattern), Text(options)) => {
            string(out, &[b"/", pattern, b"/", options].concat());
        }
        Value::Timestamp(seconds, increment) if extended => {
            let text = format!("{{\"$timestamp\":{{\"t\":{seconds},\"i\":{increment}}}}}");
            out.extend_from_slice(text.as_bytes());
        }
        Value::Timestamp(seconds, _) => date(out, i64::from(seconds) * 1000, style, iso),
        Value::DbPointer(namespace, id) => {
            out.extend_from_slice(b"{\"$dbPointer\":{\"$ref\":");
            string(out, namespace.0);
            out.extend_from_slice(b",\"$id\":{\"$oid\":");
            hex(out, id);
            out.extend_from_slice(b"}}}");
        }
        Value::Undefined if extended => out.extend_from_slice(b"{\"$undefined\":true}"),
        Value::MinKey if extended => out.extend_from_slice(b"{\"$minKey\":1}"),
        Value::MaxKey if extended => out.extend_from_slice(b"{\"$maxKey\":1}"),
        _ => out.extend_from_slice(b"null"),
    }
    Ok(())
}

/// `{"$tag":…}` in extended style, the value alone in plain style.
fn wrapped(out: &mut Vec<u8>, tag: &str, style: Style, value: impl FnOnce(&mut Vec<u8>)) {
    if style == Style::Plain {
        return value(out);
    }
    out.push(b'{');
    string(out, tag.as_bytes());
    out.push(b':');
    value(out);
    out.push(b'}');
}

/// Relaxed Extended JSON has the ISO form for the years 1970 to 9999 only, and no milliseconds when they are zero.
fn date(out: &mut Vec<u8>, millis: i64, style: Style, iso: &mut IsoWriter) {
    let text = iso
        .text(millis)
        .filter(|_| style == Style::Plain || millis >= 0);
    match (text, style) {
        (Some(text), Style::Plain) => {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        (Some(text), Style::Extended) => {
            let text = text.strip_suffix(".000Z").unwrap_or(text);
            out.extend_from_slice(b"{\"$date\":\"");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(if text.ends_with('Z') { b"\"}" } else { b"Z\"}" });
        }
        (None, Style::Plain) => integer(out, millis),
        (None, Style::Extended) => {
            out.extend_from_slice(b"{\"$date\":{\"$numberLong\":\"");
            integer(out, millis);
            out.extend_from_slice(b"\"}}");
        }
    }
}

/// Plain style writes numbers as JavaScript does: an integral double has no fraction.
fn double(out: &mut Vec<u8>, number: f64, style: Style) {
    match (number.is_finite(), style) {
        (true, Style::Plain) => match Value::Double(number).integer() {
            Some(number) => integer(out, number),
            None => out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes()),
        },
        (true, Style::Extended) => {
            out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
        }
        (false, Style::Plain) => out.extend_from_slice(b"null"),
        (false, Style::Extended) => {
            let text = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            wrapped(out, "$numberDouble", style, |out| {
                string(out, text.as_bytes());
            });
        }
    }
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    out.push(b'"');
}

/// IEEE 754-2008 decimal128, binary integer significand, as the BSON Decimal128 specification writes it.
fn decimal(bytes: [u8; 16]) -> String {
    const MAX_SIGNIFICAND: u128 = 10_u128.pow(34) - 1;
    let bits = u128::from_le_bytes(bytes);
    let sign = if bits >> 127 == 1 { "-" } else { "" };
    let combination = (bits >> 122) & 0x1f;
    if combination == 0x1f {
        return "NaN".to_owned();
    }
    if combination == 0x1e {
        return format!("{sign}Infinity");
    }
    let (biased, significand) = if combination >> 3 == 3 {
        // The form with an implied prefix only holds significands beyond the limit, which count as zero.
        ((bits >> 111) & 0x3fff, 0)
    } else {
        ((bits >> 113) & 0x3fff, bits & ((1 << 113) - 1))
    };
    let significand = if significand > MAX_SIGNIFICAND {
        0
    } else {
        significand
    };
    let exponent = i32::try_from(biased).unwrap_or_default() - 6176;
    let digits = significand.to_string();
    let length = i32::try_from(digits.len()).unwrap_or_default();
    let adjusted = exponent + length - 1;
    if exponent > 0 || adjusted < -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{point}{rest}E{adjusted:+}");
    }
    match usize::try_from(length + exponent) {
        Ok(whole) if exponent < 0 && whole > 0 => {
            format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
        }
        Ok(_) if exponent == 0 => format!("{sign}{digits}"),
        _ => {
            let zeros = usize::try_from(-exponent - length).unwrap_or_default();
            format!("{sign}0.{}{digits}", "0".repeat(zeros))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bson::{Doc, MAX_DEPTH};
    use ::bson::{Bson, Document, doc, oid::ObjectId, spec::BinarySubtype};

    fn text(doc: &Document, style: Style) -> String {
        let bytes = doc.to_vec().unwrap();
        let mut out = Vec::new();
        let value = Value::Document(Doc::new(&bytes).unwrap());
        write(&mut out, value, style, &mut IsoWriter::default(), MAX_DEPTH).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn extended_json_is_that_of_the_reference() {
        let mut all = doc! {
            "double": 1.5, "whole": 2.0, "nan": f64::NAN, "inf": f64::NEG_INFINITY, "tiny": 1e-7,
            "text": "\u{0}\u{1f}\"\\/\u{7f}\u{2028}é", "doc": {"a": [1, {"b": null}]},
            "binary": ::bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] },
            "undefined": Bson::Undefined, "id": ObjectId::new(), "yes": true,
            "date": ::bson::DateTime::from_millis(1_709_647_629_007), "noMillis": ::bson::DateTime::from_millis(5000),
            "old": ::bson::DateTime::from_millis(-5),
            "regex": ::bson::Regex { pattern: "a\"b".try_into().unwrap(), options: "i".try_into().unwrap() },
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
            "scoped": ::bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! {"b": 2} },
            "int": i32::MIN, "long": i64::MAX, "stamp": ::bson::Timestamp { time: 3, increment: 4 },
            "min": Bson::MinKey, "max": Bson::MaxKey,
        };
        for (index, decimal) in [
            "1.10",
            "-0",
            "0E+3",
            "1E-7",
            "0.000001",
            "123456789012345678901234567890.1234",
            "NaN",
            "-Infinity",
            "9.999999999999999999999999999999999E+6144",
            "1E-6176",
        ]
        .into_iter()
        .enumerate()
        {
            all.insert(
                format!("decimal{index}"),
                decimal.parse::<::bson::Decimal128>().unwrap(),
            );
        }
        let ours: serde_json::Value = serde_json::from_str(&text(&all, Style::Extended)).unwrap();
        assert_eq!(ours, Bson::Document(all).into_relaxed_extjson());
    }

    #[test]
    fn plain_values_are_what_javascript_would_write() {
        let date = ::bson::DateTime::from_millis(0);
        let cases = [
            (doc! {"a": 24803.0}, r#"{"a":24803}"#),
            (doc! {"a": 0.5}, r#"{"a":0.5}"#),
            (doc! {"a": f64::NAN}, r#"{"a":null}"#),
            (doc! {"a": date}, r#"{"a":"1970-01-01T00:00:00.000Z"}"#),
            (doc! {"a": [1, "b\n"]}, r#"{"a":[1,"b\n"]}"#),
            (doc! {"a": Bson::Undefined}, r#"{"a":null}"#),
        ];
        for (doc, expected) in cases {
            assert_eq!(text(&doc, Style::Plain), expected);
        }
    }

    #[test]
    fn strings_are_escaped_as_the_json_library_escapes_them() {
        for sample in [
            "",
            "plain",
            "a\"b\\c",
            "\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}",
            "</script>&",
            "漢字😀\u{2028}",
        ] {
            let mut out = Vec::new();
            string(&mut out, sample.as_bytes());
            assert_eq!(
                String::from_utf8(out).unwrap(),
                serde_json::to_string(sample).unwrap()
            );
        }
        let mut out = Vec::new();
        string(&mut out, b"a\xffb");
        assert_eq!(out, "\"a\u{fffd}b\"".as_bytes());
    }

    #[test]
    fn deep_nesting_is_cut_with_a_mark() {
        let mut inner = doc! {"x": 1};
        for _ in 0..10 {
            inner = doc! {"d": inner};
        }
        let bytes = inner.to_vec().unwrap();
        let mut out = Vec::new();
        let value = Value::Document(Doc::new(&bytes).unwrap());
        let result = write(&mut out, value, Style::Plain, &mut IsoWriter::default(), 3);
        assert_eq!(result, Err(TooDeep));
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"d":{"d":{"d":null}}}"#);
    }
}
