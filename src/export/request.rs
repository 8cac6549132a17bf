//! What is asked for, understood once.

use jiff::civil;
use jiff::tz::TimeZone;
use transcript::locale::Locale;
use transcript::room::RoomInfo;

use crate::store::Window;

/// The deflate level when nobody says another: `docs/performance.md` has the figures behind it.
pub const DEFAULT_LEVEL: u8 = 5;

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Pages to read.
    Html,
    /// One JSON object per message and line.
    Json,
    /// A mail for each message, each a file.
    Eml,
    /// A mail for each message, in one mailbox.
    Mbox,
}

impl Format {
    /// The name in requests and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Eml => "eml",
            Self::Mbox => "mbox",
        }
    }

    /// The form with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Html, Self::Json, Self::Eml, Self::Mbox]
            .into_iter()
            .find(|format| format.name() == name)
    }
}

/// A file export, ready to run.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct ExportRequest {
    /// The room.
    pub room: RoomInfo,
    /// The time window.
    pub window: Window,
    /// The form.
    pub format: Format,
    /// Whether files are packed.
    pub attachments: bool,
    /// Whether old versions and deleted messages that the workspace kept are shown.
    pub history: bool,
    /// Whether each JSON line holds the whole document.
    pub raw: bool,
    /// Whether pages can be searched.
    pub search: bool,
    /// Zone of the times on pages.
    pub zone: TimeZone,
    /// How dates and numbers on pages are written.
    pub locale: Locale,
    /// A style sheet of the user's own for the pages.
    pub style: Option<String>,
    /// Who exports, as pages and manifest name them.
    pub exported_by: Option<String>,
    /// Deflate level, 0 to 9.
    pub level: u8,
    /// Deflate threads.
    pub threads: usize,
    /// When the export is made, milliseconds since 1970.
    pub exported_at: i64,
}

/// Deflate threads when nobody says how many: one per core.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Which end of a window a date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// `dateFrom`: a day begins at its first millisecond.
    From,
    /// `dateTo`: a day counts to its last millisecond.
    To,
}

const MILLIS_PER_MINUTE: i64 = 60_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// Reads a date of a request: `YYYY-MM-DD`, a real day, in UTC; or an RFC 3339 date-time, also with a space for its `T`;
/// or such a date-time without zone, which is UTC (endpoint specification, decision 6). Milliseconds since 1970,
/// inclusive; what is finer is cut off, and what an offset moves out of the years that days have is their first or last
/// instant. `None` for anything else: the calendar library reads more forms than the standard has.
pub fn parse_date(text: &str, edge: Edge) -> Option<i64> {
    let (date, time) = text.split_at_checked("0000-00-00".len())?;
    let day = day(date)?;
    if time.is_empty() {
        return Some(match edge {
            Edge::From => day,
            Edge::To => day + MILLIS_PER_DAY - 1,
        });
    }
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked("00:00:00".len())?;
    let [hour, minute, second] = numbers(clock, "00:00:00")?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            let (digits, zone) = rest.split_at(end.unwrap_or(rest.len()));
            (thousandths(digits)?, zone)
        }
        None => (0, rest),
    };
    let minute =
        day + minutes(hour, minute)? * MILLIS_PER_MINUTE - offset(zone)? * MILLIS_PER_MINUTE;
    let millis = match second {
        0..=59 => second * 1000 + fraction,
        // A leap second, which clocks of computers do not have: it ends the minute that it is in (RFC 3339 §5.7).
        60 if (minute + MILLIS_PER_MINUTE) % MILLIS_PER_DAY == 0 => MILLIS_PER_MINUTE - 1,
        _ => return None,
    };
    Some((minute + millis).clamp(day_of(0, 1, 1)?, day_of(9999, 12, 31)? + MILLIS_PER_DAY - 1))
}

/// The first instant of a day.
fn day(text: &str) -> Option<i64> {
    let [year, month, day] = numbers(text, "0000-00-00")?;
    day_of(year, month, day)
}

fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let (year, month, day) = (
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
    );
    // Not by way of an instant: the calendar's last day, which stands for ever in some requests, has none.
    let day = civil::Date::new(year, month, day).ok()?;
    Some(i64::from((day - civil::date(1970, 1, 1)).get_days()) * MILLIS_PER_DAY)
}

/// Minutes that a zone is ahead of UTC. Whether its sign is that of an unknown zone (`-00:00`) makes no difference.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, text) = match zone.strip_prefix('+') {
        Some(text) => (1, text),
        None => (-1, zone.strip_prefix('-')?),
    };
    let [hour, minute] = numbers(text, "00:00")?;
    Some(sign * minutes(hour, minute)?)
}

fn minutes(hour: i64, minute: i64) -> Option<i64> {
    (hour <= 23 && minute <= 59).then_some(hour * 60 + minute)
}

/// The first three decimals of a fraction, which has at least one.
fn thousandths(digits: &str) -> Option<i64> {
    let first = digits.bytes().chain(*b"00").take(3);
    let value = first.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    (!digits.is_empty()).then_some(value)
}

/// The numbers of a text of exactly this form, in which `0` stands for a digit.
fn numbers<const N: usize>(text: &str, form: &str) -> Option<[i64; N]> {
    let fits = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    if text.len() != form.len() || !text.bytes().zip(form.bytes()).all(fits) {
        return None;
    }
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<i64> = numbers.map_while(|number| number.parse().ok()).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_in_utc_or_instants() {
        let day = 1_710_460_800_000;
        let cases = [
            ("2024-03-15", Edge::From, Some(day)),
            ("2024-03-15", Edge::To, Some(day + 86_399_999)),
            ("2024-03-15T01:00:00Z", Edge::To, Some(day + 3_600_000)),
            ("2024-03-15T01:00:00.250+01:00", Edge::From, Some(day + 250)),
            ("2024-03-15T01:00:00.000", Edge::From, Some(day + 3_600_000)),
            ("2024-02-29", Edge::From, Some(1_709_164_800_000)),
            ("1969-12-31", Edge::To, Some(-1)),
            ("9999-12-31", Edge::To, Some(253_402_300_799_999)),
            ("2023-02-29", Edge::From, None),
            ("2024-02-30", Edge::From, None),
            ("", Edge::From, None),
            ("test-date", Edge::From, None),
            ("2024-3-15", Edge::From, None),
            ("20240315", Edge::From, None),
            ("2024-03-15T25:00:00Z", Edge::From, None),
            ("yesterday", Edge::To, None),
        ];
        for (text, edge, expected) in cases {
            assert_eq!(parse_date(text, edge), expected, "{text}");
        }
    }

    #[test]
    fn date_times_have_the_form_of_rfc_3339() {
        let second = 1_577_836_800_000;
        let last = 253_402_300_799_999;
        let cases = [
            ("2020-01-01T00:00:00Z", Some(second)),
            ("2020-01-01t00:00:00z", Some(second)),
            ("2020-01-01 00:00:00Z", Some(second)),
            ("2020-01-01T00:00:00", Some(second)),
            ("2020-01-01T00:00:00-00:00", Some(second)),
            ("2020-01-01T23:59:00+23:59", Some(second)),
            ("2019-12-31T18:30:00-05:30", Some(second)),
            ("2020-01-01T00:00:00.5Z", Some(second + 500)),
            ("2020-01-01T00:00:00.0019Z", Some(second + 1)),
            ("2020-01-01T00:00:00.123456789012Z", Some(second + 123)),
            ("1969-12-31T23:59:59.9999Z", Some(-1)),
            // The leap second before 2017, and what is none.
            ("2016-12-31T23:59:60Z", Some(1_483_228_799_999)),
            ("2017-01-01T00:59:60.5+01:00", Some(1_483_228_799_999)),
            ("1969-12-31T23:59:60Z", Some(-1)),
            ("2016-12-31T23:58:60Z", None),
            ("2016-12-31T23:59:60+01:00", None),
            ("2016-12-31T23:59:61Z", None),
            // Beyond the years that days have.
            ("9999-12-31T23:59:59-23:59", Some(last)),
            ("0000-01-01T00:00:00+23:59", Some(-62_167_219_200_000)),
            ("2020-01-01T00Z", None),
            ("2020-01-01T00:00Z", None),
            ("2020-01-01T00:00", None),
            ("2020-01-01T000000Z", None),
            ("2020-01-01T00:00:00+02", None),
            ("2020-01-01T00:00:00+0200", None),
            ("2020-01-01T00:00:00+24:00", None),
            ("2020-01-01T00:00:00+23:60", None),
            ("2020-01-01T00:00:00+02:00:00", None),
            ("2020-01-01T00:00:00,5Z", None),
            ("2020-01-01T00:00:00.Z", None),
            ("2020-01-01T00:00:00.", None),
            ("2020-01-01T24:00:00Z", None),
            ("2020-01-01T00:60:00Z", None),
            ("2020-01-01T", None),
            ("2020-01-01T00:00:00Z ", None),
            ("2020-01-01T00:00:00Z[UTC]", None),
            ("2020-01-01_00:00:00Z", None),
            ("2020-01-01T+1:00:00Z", None),
            ("+2020-1-01T00:00:00Z", None),
            ("2020-W01-1", None),
            ("2020-01-0١", None),
        ];
        for (text, expected) in cases {
            for edge in [Edge::From, Edge::To] {
                assert_eq!(parse_date(text, edge), expected, "{text}");
            }
        }
    }
}
