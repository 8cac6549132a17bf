//! Dates as Rocket.Chat's mails write them, by language (contract §8.4), in the reader's zone.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use transcript::mail::Instants;
use transcript::markup::TimeForm;
use transcript::time::zone_in_words;

/// Languages, how each writes date and time, and its digit zero. `A` is the half of the day.
///
/// The languages of which the contract names words for many parts of the day have 24 hours here.
const FORMATS: &[(&str, &str, char)] = &[
    ("af", "DD/MM/YYYY HH:mm", '0'),
    ("ar", "D/\u{200f}M/\u{200f}YYYY HH:mm", '٠'),
    ("az", "DD.MM.YYYY HH:mm", '0'),
    ("be", "DD.MM.YYYY HH:mm", '0'),
    ("bg", "D.MM.YYYY H:mm", '0'),
    ("bn", "DD/MM/YYYY HH:mm", '০'),
    ("bs", "DD.MM.YYYY H:mm", '0'),
    ("ca", "DD/MM/YYYY H:mm", '0'),
    ("cs", "DD.MM.YYYY H:mm", '0'),
    ("cy", "DD/MM/YYYY HH:mm", '0'),
    ("da", "DD.MM.YYYY HH:mm", '0'),
    ("de", "DD.MM.YYYY HH:mm", '0'),
    ("el", "DD/MM/YYYY h:mm A", '0'),
    ("en", "MM/DD/YYYY h:mm A", '0'),
    ("eo", "YYYY-MM-DD HH:mm", '0'),
    ("es", "DD/MM/YYYY H:mm", '0'),
    ("et", "DD.MM.YYYY H:mm", '0'),
    ("eu", "YYYY-MM-DD HH:mm", '0'),
    ("fa", "DD/MM/YYYY HH:mm", '۰'),
    ("fi", "DD.MM.YYYY HH.mm", '0'),
    ("fr", "DD/MM/YYYY HH:mm", '0'),
    ("gl", "DD/MM/YYYY H:mm", '0'),
    ("he", "DD/MM/YYYY HH:mm", '0'),
    ("hi", "DD/MM/YYYY HH:mm", '०'),
    ("hr", "DD.MM.YYYY H:mm", '0'),
    ("hu", "YYYY.MM.DD. H:mm", '0'),
    ("id", "DD/MM/YYYY HH.mm", '0'),
    ("it", "DD/MM/YYYY HH:mm", '0'),
    ("ja", "YYYY/MM/DD HH:mm", '0'),
    ("ka", "DD/MM/YYYY HH:mm", '0'),
    ("km", "DD/MM/YYYY HH:mm", '០'),
    ("ko", "YYYY.MM.DD. A h:mm", '0'),
    ("ku", "DD/MM/YYYY HH:mm", '٠'),
    ("lo", "DD/MM/YYYY HH:mm", '0'),
    ("lt", "YYYY-MM-DD HH:mm", '0'),
    ("lv", "DD.MM.YYYY. HH:mm", '0'),
    ("mn", "YYYY-MM-DD HH:mm", '0'),
    ("ms", "DD/MM/YYYY HH.mm", '0'),
    ("nb", "DD.MM.YYYY HH:mm", '0'),
    ("nl", "DD-MM-YYYY HH:mm", '0'),
    ("nn", "DD.MM.YYYY HH:mm", '0'),
    ("pa", "DD/MM/YYYY HH:mm", '੦'),
    ("pl", "DD.MM.YYYY HH:mm", '0'),
    ("pt", "DD/MM/YYYY HH:mm", '0'),
    ("ro", "DD.MM.YYYY H:mm", '0'),
    ("ru", "DD.MM.YYYY H:mm", '0'),
    ("se", "DD.MM.YYYY HH:mm", '0'),
    ("si", "YYYY/MM/DD HH:mm", '0'),
    ("sk", "DD.MM.YYYY H:mm", '0'),
    ("sl", "DD. MM. YYYY H:mm", '0'),
    ("sq", "DD/MM/YYYY HH:mm", '0'),
    ("sr", "D. M. YYYY. H:mm", '0'),
    ("sv", "YYYY-MM-DD HH:mm", '0'),
    ("ta", "DD/MM/YYYY HH:mm", '௦'),
    ("th", "DD/MM/YYYY H:mm", '0'),
    ("tr", "DD.MM.YYYY HH:mm", '0'),
    ("uk", "DD.MM.YYYY HH:mm", '0'),
    ("vi", "DD/MM/YYYY HH:mm", '0'),
    // Rocket.Chat asks for `zh`, which its calendar library has under other names only, and so writes English dates.
    ("zh", "YYYY/MM/DD HH:mm", '0'),
];

/// Writes instants for one reader.
#[derive(Clone, Debug)]
pub struct Dates {
    format: &'static str,
    zero: char,
    halves: [&'static str; 2],
    zone: TimeZone,
}

impl Dates {
    /// For a language, `de` or `pt-BR`, and a zone. A language that is not known has English dates.
    pub fn new(language: &str, zone: TimeZone) -> Self {
        let language = language.to_ascii_lowercase();
        let base = language.split(['-', '_']).next().unwrap_or_default();
        let format = FORMATS.iter().find(|(code, ..)| *code == base);
        let (code, format, zero) = format.copied().unwrap_or(("en", "MM/DD/YYYY h:mm A", '0'));
        Self {
            format,
            zero,
            halves: match code {
                "el" => ["ΠΜ", "ΜΜ"],
                "ko" => ["오전", "오후"],
                _ => ["AM", "PM"],
            },
            zone,
        }
    }

    /// The instant, milliseconds since 1970; empty when no calendar has it.
    pub fn text(&self, millis: i64) -> String {
        self.written(millis, self.format).unwrap_or_default()
    }

    /// The instant in a form of its own; none when no calendar has it.
    fn written(&self, millis: i64, format: &str) -> Option<String> {
        let instant = Timestamp::from_millisecond(millis).ok()?;
        let local = self.zone.to_datetime(instant);
        let mut out = String::with_capacity(20);
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            let length = rest.len() - rest.trim_start_matches(first).len();
            let (field, after) = rest.split_at(length);
            rest = after;
            let hour = local.hour();
            match field {
                "YYYY" => self.digits(&mut out, i32::from(local.year()), 4),
                "MM" => self.digits(&mut out, local.month().into(), 2),
                "M" => self.digits(&mut out, local.month().into(), 1),
                "DD" => self.digits(&mut out, local.day().into(), 2),
                "D" => self.digits(&mut out, local.day().into(), 1),
                "HH" => self.digits(&mut out, hour.into(), 2),
                "H" => self.digits(&mut out, hour.into(), 1),
                "h" => self.digits(&mut out, ((hour + 11) % 12 + 1).into(), 1),
                "mm" => self.digits(&mut out, local.minute().into(), 2),
                "ss" => self.digits(&mut out, local.second().into(), 2),
                "A" => out.push_str(self.halves[usize::from(hour >= 12)]),
                between => out.push_str(between),
            }
        }
        Some(out)
    }

    fn digits(&self, out: &mut String, number: i32, least: usize) {
        let plain = format!("{number:0least$}");
        out.extend(plain.chars().map(|digit| {
            let place = digit.to_digit(10);
            place
                .and_then(|place| char::from_u32(u32::from(self.zero) + place))
                .unwrap_or(digit)
        }));
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The zone in words: its name, or how far it is from UTC.
    pub fn zone_in_words(&self) -> String {
        zone_in_words(&self.zone)
    }
}

impl Instants for Dates {
    /// Days are in figures, as they are above each message. "How long ago" would be untrue when the mail is read.
    fn instant(&self, millis: i64, form: TimeForm) -> Option<String> {
        let clock = self.format.find(['H', 'h', 'A'])?;
        let format = match form {
            TimeForm::ShortDate | TimeForm::LongDate => self.format[..clock].trim_end(),
            TimeForm::ShortTime | TimeForm::LongTime => &self.format[clock..],
            TimeForm::Full | TimeForm::FullLong | TimeForm::Relative => self.format,
        };
        if !matches!(form, TimeForm::LongTime | TimeForm::FullLong) {
            return self.written(millis, format);
        }
        let (hours, rest) = format.split_once("mm")?;
        let between = hours.chars().next_back()?;
        self.written(millis, &format!("{hours}mm{between}ss{rest}"))
    }
}

/// The zone of a user with this `utcOffset`, of whom nothing else is known, when `zone` is that of everybody without one.
/// Who has the offset that `zone` has at this instant, in milliseconds, is taken to be in it, for it knows summer time.
pub fn zone_of_user(offset: Option<f64>, zone: &TimeZone, now: i64) -> TimeZone {
    let own = offset.and_then(zone_of_offset).filter(|own| {
        let now = Timestamp::from_millisecond(now);
        now.is_ok_and(|now| own.to_offset(now) != zone.to_offset(now))
    });
    own.unwrap_or_else(|| zone.clone())
}

/// The zone of a user's `utcOffset` (contract §5.1): hours, as the user's program last said. The time of the year is not
/// known, so it is the same all year.
pub fn zone_of_offset(hours: f64) -> Option<TimeZone> {
    if !(-26.0..=26.0).contains(&hours) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "hours of a day, in minutes"
    )]
    let minutes = (hours * 60.0).round() as i32;
    let offset = Offset::from_seconds(minutes * 60).ok()?;
    Some(TimeZone::fixed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_the_offset_of_everybodys_zone_has_its_summer_time() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        // 2024-01-15 and 2024-07-15.
        for (now, offset, expected) in [
            (1_705_320_000_000, Some(1.0), "Europe/Berlin"),
            (1_721_044_800_000, Some(2.0), "Europe/Berlin"),
            (1_721_044_800_000, Some(1.0), "UTC+01:00"),
            (1_721_044_800_000, Some(5.5), "UTC+05:30"),
            (1_721_044_800_000, None, "Europe/Berlin"),
            (1_721_044_800_000, Some(99.0), "Europe/Berlin"),
        ] {
            let zone = zone_of_user(offset, &berlin, now);
            assert_eq!(zone_in_words(&zone), expected, "{offset:?}");
        }
    }

    #[test]
    fn dates_are_those_of_the_contract() {
        // 2024-03-05 14:07 UTC, contract §8.4.
        let instant = 1_709_647_620_000;
        for (language, expected) in [
            ("en", "03/05/2024 2:07 PM"),
            ("de", "05.03.2024 14:07"),
            ("de-AT", "05.03.2024 14:07"),
            ("fr", "05/03/2024 14:07"),
            ("es", "05/03/2024 14:07"),
            ("pt-BR", "05/03/2024 14:07"),
            ("ru", "05.03.2024 14:07"),
            ("ja", "2024/03/05 14:07"),
            ("zh", "2024/03/05 14:07"),
            ("zh-TW", "2024/03/05 14:07"),
            ("ko", "2024.03.05. 오후 2:07"),
            ("el", "05/03/2024 2:07 ΜΜ"),
            ("fi", "05.03.2024 14.07"),
            ("bg", "5.03.2024 14:07"),
            ("sr", "5. 3. 2024. 14:07"),
            ("sl-SI", "05. 03. 2024 14:07"),
            ("lv", "05.03.2024. 14:07"),
            ("fa", "۰۵/۰۳/۲۰۲۴ ۱۴:۰۷"),
            ("ar", "٥/\u{200f}٣/\u{200f}٢٠٢٤ ١٤:٠٧"),
            ("ta-IN", "௦௫/௦௩/௨௦௨௪ ௧௪:௦௭"),
            ("tlh", "03/05/2024 2:07 PM"),
            ("", "03/05/2024 2:07 PM"),
        ] {
            assert_eq!(
                Dates::new(language, TimeZone::UTC).text(instant),
                expected,
                "{language}"
            );
        }
    }

    #[test]
    fn instants_in_texts_are_those_of_the_language_and_zone() {
        // 2024-03-05 23:07:09 UTC, the next day in Berlin.
        let instant = 1_709_680_029_000;
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let forms = [
            TimeForm::ShortTime,
            TimeForm::LongTime,
            TimeForm::ShortDate,
            TimeForm::LongDate,
            TimeForm::Full,
            TimeForm::FullLong,
            TimeForm::Relative,
        ];
        for (language, expected) in [
            (
                "de",
                "00:07 | 00:07:09 | 06.03.2024 | 06.03.2024 | 06.03.2024 00:07 | 06.03.2024 00:07:09 | 06.03.2024 00:07",
            ),
            (
                "en",
                "12:07 AM | 12:07:09 AM | 03/06/2024 | 03/06/2024 | 03/06/2024 12:07 AM | 03/06/2024 12:07:09 AM | 03/06/2024 12:07 AM",
            ),
            (
                "fi",
                "00.07 | 00.07.09 | 06.03.2024 | 06.03.2024 | 06.03.2024 00.07 | 06.03.2024 00.07.09 | 06.03.2024 00.07",
            ),
            (
                "ko",
                "오전 12:07 | 오전 12:07:09 | 2024.03.06. | 2024.03.06. | 2024.03.06. 오전 12:07 | 2024.03.06. 오전 12:07:09 | 2024.03.06. 오전 12:07",
            ),
        ] {
            let dates = Dates::new(language, berlin.clone());
            let told = forms.map(|form| dates.instant(instant, form).unwrap());
            assert_eq!(told.join(" | "), expected, "{language}");
        }
        // Every language's form has a day, a clock and minutes.
        for (language, ..) in FORMATS {
            let dates = Dates::new(language, TimeZone::UTC);
            let [time, long, day, _, full, full_long, _] =
                forms.map(|form| dates.instant(instant, form).unwrap());
            assert_eq!(full, dates.text(instant), "{language}");
            assert_eq!(format!("{day} {time}"), full, "{language}");
            assert_eq!(format!("{day} {long}"), full_long, "{language}");
            assert!(long.chars().count() > time.chars().count(), "{language}");
        }
        assert_eq!(
            Dates::new("en", berlin).instant(i64::MAX, TimeForm::Full),
            None
        );
    }

    #[test]
    fn times_are_those_of_the_readers_zone() {
        let instant = 1_709_647_620_000;
        for (hours, text, zone) in [
            (1.0, "2024-03-05 15:07", "UTC+01:00"),
            (-9.5, "2024-03-05 04:37", "UTC-09:30"),
            (5.75, "2024-03-05 19:52", "UTC+05:45"),
            (14.0, "2024-03-06 04:07", "UTC+14:00"),
        ] {
            let dates = Dates::new("sv", zone_of_offset(hours).unwrap());
            assert_eq!(
                (&*dates.text(instant), &*dates.zone_in_words()),
                (text, zone)
            );
        }
        for odd in [f64::NAN, f64::INFINITY, 99.0] {
            assert!(zone_of_offset(odd).is_none());
        }
        let berlin = Dates::new("en", TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(berlin.zone_in_words(), "Europe/Berlin");
        assert_eq!(berlin.text(0), "01/01/1970 1:00 AM");
        assert_eq!(berlin.text(i64::MAX), "");
    }
}
