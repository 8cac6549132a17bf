//! What is asked for, understood once.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use transcript::room::RoomInfo;

use crate::store::Window;

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Pages to read.
    Html,
    /// One JSON object per message and line.
    Json,
}

impl Format {
    /// The name in requests and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
        }
    }

    /// The form with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Html, Self::Json]
            .into_iter()
            .find(|format| format.name() == name)
    }
}

/// A file export, ready to run.
#[derive(Clone, Debug)]
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
    /// Zone of the times on pages.
    pub zone: TimeZone,
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

/// Reads a date of a request: `YYYY-MM-DD`, a real day, in UTC; or an RFC 3339 date-time; or a date-time without zone,
/// which is UTC (endpoint specification, decision 6). Milliseconds since 1970, inclusive; `None` for anything else.
pub fn parse_date(text: &str, edge: Edge) -> Option<i64> {
    if text.len() == 10 {
        let day: civil::Date = text.parse().ok()?;
        // Not by way of an instant: the calendar's last day, which stands for ever in some requests, has none.
        let start = i64::from((day - civil::date(1970, 1, 1)).get_days()) * 86_400_000;
        return Some(match edge {
            Edge::From => start,
            Edge::To => start + 86_399_999,
        });
    }
    // A date-time has its `T`; the calendar library would take other forms as well.
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_millisecond());
    }
    if text.contains(['[', 'Z', 'z']) {
        return None;
    }
    let local: civil::DateTime = text.parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(local).ok()?.as_millisecond())
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
}
