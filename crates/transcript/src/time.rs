//! Instants as text, without allocating and without asking the calendar for every message.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

const DAY: i64 = 86_400_000;
/// Offsets from UTC change on quarters of an hour only.
const QUARTER: i64 = 900_000;
/// The beginning of the year 0, in milliseconds since 1970.
const YEAR_0: i64 = -62_167_219_200_000;

/// Writes instants as JavaScript's `toISOString` does: `2024-03-05T14:07:09.000Z`.
///
/// Remembers the last day's text: messages come in order of time.
#[derive(Clone, Debug)]
pub struct IsoWriter {
    day: i64,
    text: [u8; 24],
}

impl Default for IsoWriter {
    fn default() -> Self {
        Self {
            day: i64::MIN,
            text: *b"0000-00-00T00:00:00.000Z",
        }
    }
}

impl IsoWriter {
    /// The text of an instant in milliseconds since 1970. `None` outside the years 0 to 9999, which no chat has and
    /// the format cannot carry.
    pub fn text(&mut self, millis: i64) -> Option<&str> {
        std::str::from_utf8(self.ascii(millis)?).ok()
    }

    /// The bytes of [`IsoWriter::text`].
    #[inline]
    pub(crate) fn ascii(&mut self, millis: i64) -> Option<&[u8; 24]> {
        let (day, of_day) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
        if day != self.day {
            self.turn_to(day)?;
        }
        let of_day = u32::try_from(of_day).ok()?;
        let (minutes, millis) = (of_day / 60_000, of_day % 60_000);
        let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            hour @ ..,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = &mut self.text;
        *hour = two_digits(minutes / 60);
        let [
            ..,
            minute_tens,
            minute_ones,
            _,
            second_tens,
            second_ones,
            _,
            hundreds,
            tens,
            ones,
            _,
        ] = &mut self.text;
        [*minute_tens, *minute_ones] = two_digits(minutes % 60);
        [*second_tens, *second_ones] = two_digits(millis / 1000);
        [*hundreds, *tens] = two_digits(millis % 1000 / 10);
        [_, *ones] = two_digits(millis % 10);
        Some(&self.text)
    }

    fn turn_to(&mut self, day: i64) -> Option<()> {
        let date = civil_date(day)?;
        let year = u16::try_from(date.year()).ok()?;
        digits(&mut self.text[0..4], u32::from(year));
        digits(&mut self.text[5..7], u32::from(date.month().unsigned_abs()));
        digits(&mut self.text[8..10], u32::from(date.day().unsigned_abs()));
        self.day = day;
        Some(())
    }
}

/// A number below a hundred in two digits.
#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    // One decimal digit fits a byte.
    let digit = |number: u32| b'0' + number.to_le_bytes()[0];
    [digit(number / 10), digit(number % 10)]
}

/// Instants in a time zone: local days and times of day.
#[derive(Clone, Debug)]
pub struct LocalClock {
    zone: TimeZone,
    quarter: i64,
    offset: i64,
}

/// An instant in a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970-01-01 on the zone's calendar.
    pub day: i64,
    /// Milliseconds since the day's midnight.
    pub of_day: u32,
    /// Seconds east of UTC.
    pub offset: i64,
}

impl LocalClock {
    /// A clock for a zone.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            quarter: i64::MIN,
            offset: 0,
        }
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The instant, in milliseconds since 1970, in the zone. `None` where it is outside the years 0 to 9999, there or in
    /// UTC, and in the last two days of them: no chat has such days, and nothing that shows one could also write it down.
    pub fn local(&mut self, millis: i64) -> Option<Local> {
        let quarter = millis.div_euclid(QUARTER);
        if quarter != self.quarter {
            let instant = Timestamp::from_millisecond(millis).ok()?;
            self.offset = i64::from(self.zone.to_offset(instant).seconds());
            self.quarter = quarter;
        }
        let local = millis.checked_add(self.offset * 1000)?;
        if millis < YEAR_0 || local < YEAR_0 {
            return None;
        }
        Some(Local {
            day: local.div_euclid(DAY),
            of_day: u32::try_from(local.rem_euclid(DAY)).ok()?,
            offset: self.offset,
        })
    }
}

/// The zone in words: its name, or how far it is from UTC, the same all year.
pub fn zone_in_words(zone: &TimeZone) -> String {
    if let Some(name) = zone.iana_name() {
        return name.to_owned();
    }
    let minutes = zone
        .to_fixed_offset()
        .map_or(0, |offset| offset.seconds() / 60);
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The date of a day counted from 1970-01-01.
pub fn civil_date(day: i64) -> Option<civil::Date> {
    civil::date(1970, 1, 1)
        .checked_add(SignedDuration::from_secs(day.checked_mul(86_400)?))
        .ok()
}

/// Writes `value` in decimal with leading zeros over all of `out`.
pub(crate) fn digits(out: &mut [u8], mut value: u32) {
    for place in out.iter_mut().rev() {
        // One decimal digit fits a byte.
        *place = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_written_as_javascript_writes_them() {
        let cases = [
            (0, Some("1970-01-01T00:00:00.000Z")),
            (1_709_647_629_007, Some("2024-03-05T14:07:09.007Z")),
            (-1, Some("1969-12-31T23:59:59.999Z")),
            (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
            (i64::MAX, None),
            (i64::MIN, None),
            (253_402_300_800_000, None),
        ];
        let mut iso = IsoWriter::default();
        for (millis, expected) in cases {
            assert_eq!(iso.text(millis), expected, "{millis}");
        }
    }

    #[test]
    fn days_are_those_that_can_be_written_down() {
        // 9999-12-30T00:00:00Z.
        const LAST: i64 = 253_402_128_000_000;
        for (zone, millis, is_one) in [
            ("UTC", YEAR_0, true),
            ("UTC", YEAR_0 - 1, false),
            ("America/New_York", YEAR_0, false),
            ("Asia/Tokyo", YEAR_0 - 1, false),
            ("UTC", LAST, true),
            ("Pacific/Kiritimati", LAST, true),
            ("UTC", LAST + 2 * DAY, false),
            ("UTC", i64::MIN, false),
            ("UTC", i64::MAX, false),
        ] {
            let local = LocalClock::new(TimeZone::get(zone).unwrap()).local(millis);
            assert_eq!(local.is_some(), is_one, "{zone} {millis}");
            if let Some(local) = local {
                assert!(civil_date(local.day).is_some());
                assert!(IsoWriter::default().text(millis).is_some());
            }
        }
    }

    #[test]
    fn summer_time_begins_and_ends_on_time() {
        let mut clock = LocalClock::new(TimeZone::get("Europe/Berlin").unwrap());
        let mut hour = |text: &str| {
            let millis = text.parse::<Timestamp>().unwrap().as_millisecond();
            clock.local(millis).unwrap().of_day / 3_600_000
        };
        assert_eq!(hour("2024-03-31T00:59:59Z"), 1);
        assert_eq!(hour("2024-03-31T01:00:00Z"), 3);
        assert_eq!(hour("2024-10-27T00:59:59Z"), 2);
        assert_eq!(hour("2024-10-27T01:00:00Z"), 2);
        assert_eq!(hour("2024-10-27T02:00:00Z"), 3);
    }

    proptest! {
        #[test]
        fn the_calendar_library_agrees(millis in -62_000_000_000_000_i64..250_000_000_000_000) {
            let instant = Timestamp::from_millisecond(millis).unwrap();
            let expected = format!("{instant:.3}");
            let mut iso = IsoWriter::default();
            prop_assert_eq!(iso.text(millis).unwrap(), expected);
        }
    }
}
