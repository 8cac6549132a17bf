//! What a client wants of a file that it may have already: conditions and ranges (RFC 9110 §13, §14).

use std::time::SystemTime;

use axum::http::{HeaderMap, Method, header};

/// A part of a file, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub(super) from: u64,
    /// How many.
    pub(super) length: u64,
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// 200.
    Whole(Span),
    /// 206.
    Part(Span),
    /// 304.
    NotModified,
    /// 416.
    Unsatisfiable,
}

/// What conditions are about.
pub(super) struct Conditions<'a> {
    /// The strong validator, with its quotes.
    pub(super) tag: &'a str,
    /// To the second.
    pub(super) modified: Option<SystemTime>,
    /// In bytes.
    pub(super) size: u64,
}

impl Conditions<'_> {
    /// In the order of RFC 9110 §13.2.2.
    pub(super) fn evaluate(&self, method: &Method, headers: &HeaderMap) -> Wanted {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let known = match text(header::IF_NONE_MATCH) {
            // Weak comparison: §13.1.2.
            Some(tags) => {
                let mut tags = tags.split(',').map(str::trim);
                tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag)
            }
            None => text(header::IF_MODIFIED_SINCE)
                .and_then(|since| httpdate::parse_http_date(since).ok())
                .zip(self.modified)
                .is_some_and(|(since, modified)| modified <= since),
        };
        if known {
            return Wanted::NotModified;
        }
        let whole = Wanted::Whole(Span {
            from: 0,
            length: self.size,
        });
        let same = text(header::IF_RANGE).is_none_or(|validator| self.is(validator));
        // Ranges are for GET only: §14.2.
        match text(header::RANGE).filter(|_| *method == Method::GET && same) {
            Some(range) => self.part(range).unwrap_or(whole),
            None => whole,
        }
    }

    /// Strong comparison: a weak tag is never the same, a date only exactly (§13.1.5).
    fn is(&self, validator: &str) -> bool {
        if validator.starts_with('"') || validator.starts_with("W/") {
            return validator == self.tag;
        }
        let date = httpdate::parse_http_date(validator).ok();
        date.is_some() && date == self.modified
    }

    /// `None` for what is to be ignored: other units, several ranges, and what is no range.
    fn part(&self, range: &str) -> Option<Wanted> {
        let (unit, range) = range.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        let span = if first.is_empty() {
            let length = number(last)?.min(self.size);
            Span {
                from: self.size - length,
                length,
            }
        } else {
            let from = number(first)?;
            let end = match last {
                "" => self.size,
                last => {
                    let last = number(last)?;
                    if last < from {
                        return None;
                    }
                    last.saturating_add(1).min(self.size)
                }
            };
            Span {
                from,
                length: end.saturating_sub(from),
            }
        };
        Some(match span.length {
            0 => Wanted::Unsatisfiable,
            _ => Wanted::Part(span),
        })
    }
}

/// Digits only; more than fit are as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";
    const STORED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn wanted(size: u64, method: &Method, given: &[(header::HeaderName, &str)]) -> Wanted {
        let headers = given
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        let conditions = Conditions {
            tag: TAG,
            modified: httpdate::parse_http_date(STORED).ok(),
            size,
        };
        conditions.evaluate(method, &headers)
    }

    fn part(from: u64, length: u64) -> Wanted {
        Wanted::Part(Span { from, length })
    }

    fn whole(length: u64) -> Wanted {
        Wanted::Whole(Span { from: 0, length })
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 10)),
            ("Bytes=10-19", part(10, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=0-99999999999999999999", part(0, 100)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=20-10", whole(100)),
            ("bytes=0-0,5-6", whole(100)),
            ("bytes=", whole(100)),
            ("bytes=-", whole(100)),
            ("bytes=+1-2", whole(100)),
            ("bytes=a-b", whole(100)),
            ("lines=1-2", whole(100)),
            ("nonsense", whole(100)),
        ] {
            let given = [(header::RANGE, range)];
            assert_eq!(wanted(100, &Method::GET, &given), expected, "{range}");
            assert_eq!(wanted(100, &Method::HEAD, &given), whole(100), "{range}");
        }
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            let given = [(header::RANGE, range)];
            assert_eq!(
                wanted(0, &Method::GET, &given),
                Wanted::Unsatisfiable,
                "{range}"
            );
        }
        assert_eq!(wanted(0, &Method::GET, &[]), whole(0));
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so() {
        use header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
        let cases: &[(&[(header::HeaderName, &str)], bool)] = &[
            (&[(IF_NONE_MATCH, TAG)], true),
            (&[(IF_NONE_MATCH, "W/\"abc\"")], true),
            (&[(IF_NONE_MATCH, "\"x\", \"abc\"")], true),
            (&[(IF_NONE_MATCH, "*")], true),
            (&[(IF_NONE_MATCH, "\"x\"")], false),
            (&[(IF_NONE_MATCH, "abc")], false),
            (&[(IF_MODIFIED_SINCE, STORED)], true),
            (&[(IF_MODIFIED_SINCE, LATER)], true),
            (&[(IF_MODIFIED_SINCE, EARLIER)], false),
            (&[(IF_MODIFIED_SINCE, "yesterday")], false),
            // The tag decides when there is one.
            (
                &[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, LATER)],
                false,
            ),
        ];
        for (given, expected) in cases {
            let found = wanted(100, &Method::GET, given);
            let answer = if *expected {
                Wanted::NotModified
            } else {
                whole(100)
            };
            assert_eq!(found, answer, "{given:?}");
        }
    }

    #[test]
    fn a_range_of_another_file_is_the_whole_of_this_one() {
        for (validator, same) in [
            (TAG, true),
            ("W/\"abc\"", false),
            ("\"x\"", false),
            (STORED, true),
            (LATER, false),
            (EARLIER, false),
            ("nonsense", false),
        ] {
            let given = [(header::RANGE, "bytes=1-2"), (header::IF_RANGE, validator)];
            let expected = if same { part(1, 2) } else { whole(100) };
            assert_eq!(wanted(100, &Method::GET, &given), expected, "{validator}");
        }
    }
}
