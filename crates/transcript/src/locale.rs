//! Dates, times and numbers as readers of a language write them.
//!
//! The forms are those of CLDR 45 (cldr.unicode.org) for `dateSkeletons` full, long and `yMMMM`. They are kept by hand:
//! a library with the data of eight languages is larger than all of the renderer.

use jiff::civil::{Date, Weekday};

use crate::texts::Texts;
use crate::time::digits;

/// A language and region that dates are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locale(&'static Table);

/// What differs between locales.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    tag: &'static str,
    /// Names of months as they stand in a date.
    months: [&'static str; 12],
    /// Names of months without a day, where that is another form.
    alone: Option<[&'static str; 12]>,
    /// Names of weekdays, Monday first, and their short forms.
    weekdays: [&'static str; 7],
    short: [&'static str; 7],
    /// Forms: `W` weekday, `D` day, `M` month's name, `N` month's number, `Y` year.
    full: &'static str,
    long: &'static str,
    month: &'static str,
    /// The day in figures, of two digits or four; in English as ISO 8601 has it, which no reader takes for another day.
    numeric: &'static str,
    first: Weekday,
    /// Whether the clock has twelve hours.
    twelve: bool,
    /// Between groups of three digits, and how many digits the first group needs.
    grouping: (&'static str, usize),
}

/// The numbers of months, where they have no other names.
const NUMBERED: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];
const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const ENGLISH_DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const ENGLISH_SHORT: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

static ENGLISH: Table = Table {
    tag: "en",
    months: ENGLISH_MONTHS,
    alone: None,
    weekdays: ENGLISH_DAYS,
    short: ENGLISH_SHORT,
    full: "W, D M Y",
    long: "D M Y",
    month: "M Y",
    numeric: "Y-N-D",
    first: Weekday::Monday,
    twelve: false,
    grouping: (",", 1),
};

static OTHERS: [Table; 8] = [
    Table {
        tag: "en-US",
        months: ENGLISH_MONTHS,
        alone: None,
        weekdays: ENGLISH_DAYS,
        short: ENGLISH_SHORT,
        full: "W, M D, Y",
        long: "M D, Y",
        month: "M Y",
        numeric: "N/D/Y",
        first: Weekday::Sunday,
        twelve: true,
        grouping: (",", 1),
    },
    Table {
        tag: "de",
        months: [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        alone: None,
        weekdays: [
            "Montag",
            "Dienstag",
            "Mittwoch",
            "Donnerstag",
            "Freitag",
            "Samstag",
            "Sonntag",
        ],
        short: ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"],
        full: "W, D. M Y",
        long: "D. M Y",
        month: "M Y",
        numeric: "D.N.Y",
        first: Weekday::Monday,
        twelve: false,
        grouping: (".", 1),
    },
    Table {
        tag: "fr",
        months: [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        alone: None,
        weekdays: [
            "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche",
        ],
        short: ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
        full: "W D M Y",
        long: "D M Y",
        month: "M Y",
        numeric: "D/N/Y",
        first: Weekday::Monday,
        twelve: false,
        grouping: ("\u{202f}", 1),
    },
    Table {
        tag: "es",
        months: [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
        alone: None,
        weekdays: [
            "lunes",
            "martes",
            "miércoles",
            "jueves",
            "viernes",
            "sábado",
            "domingo",
        ],
        short: ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
        full: "W, D de M de Y",
        long: "D de M de Y",
        month: "M de Y",
        numeric: "D/N/Y",
        first: Weekday::Monday,
        twelve: false,
        grouping: (".", 2),
    },
    Table {
        tag: "pt-BR",
        months: [
            "janeiro",
            "fevereiro",
            "março",
            "abril",
            "maio",
            "junho",
            "julho",
            "agosto",
            "setembro",
            "outubro",
            "novembro",
            "dezembro",
        ],
        alone: None,
        weekdays: [
            "segunda-feira",
            "terça-feira",
            "quarta-feira",
            "quinta-feira",
            "sexta-feira",
            "sábado",
            "domingo",
        ],
        short: ["seg.", "ter.", "qua.", "qui.", "sex.", "sáb.", "dom."],
        full: "W, D de M de Y",
        long: "D de M de Y",
        month: "M de Y",
        numeric: "D/N/Y",
        first: Weekday::Sunday,
        twelve: false,
        grouping: (".", 1),
    },
    Table {
        tag: "ru",
        months: [
            "января",
            "февраля",
            "марта",
            "апреля",
            "мая",
            "июня",
            "июля",
            "августа",
            "сентября",
            "октября",
            "ноября",
            "декабря",
        ],
        alone: Some([
            "январь",
            "февраль",
            "март",
            "апрель",
            "май",
            "июнь",
            "июль",
            "август",
            "сентябрь",
            "октябрь",
            "ноябрь",
            "декабрь",
        ]),
        weekdays: [
            "понедельник",
            "вторник",
            "среда",
            "четверг",
            "пятница",
            "суббота",
            "воскресенье",
        ],
        short: ["пн", "вт", "ср", "чт", "пт", "сб", "вс"],
        full: "W, D M Y г.",
        long: "D M Y г.",
        month: "M Y г.",
        numeric: "D.N.Y",
        first: Weekday::Monday,
        twelve: false,
        grouping: ("\u{a0}", 1),
    },
    Table {
        tag: "ja",
        months: NUMBERED,
        alone: None,
        weekdays: [
            "月曜日",
            "火曜日",
            "水曜日",
            "木曜日",
            "金曜日",
            "土曜日",
            "日曜日",
        ],
        short: ["月", "火", "水", "木", "金", "土", "日"],
        full: "Y年M月D日W",
        long: "Y年M月D日",
        month: "Y年M月",
        numeric: "Y/N/D",
        first: Weekday::Sunday,
        twelve: false,
        grouping: (",", 1),
    },
    Table {
        tag: "zh",
        months: NUMBERED,
        alone: None,
        weekdays: [
            "星期一",
            "星期二",
            "星期三",
            "星期四",
            "星期五",
            "星期六",
            "星期日",
        ],
        short: ["一", "二", "三", "四", "五", "六", "日"],
        full: "Y年M月D日W",
        long: "Y年M月D日",
        month: "Y年M月",
        numeric: "Y/N/D",
        first: Weekday::Monday,
        twelve: false,
        grouping: (",", 1),
    },
];

impl Default for Locale {
    fn default() -> Self {
        Self(&ENGLISH)
    }
}

impl Locale {
    /// The locale of a language tag (BCP 47) as browsers and Rocket.Chat write it, in any case: the one of its region,
    /// else of its language; `None` when there is neither.
    pub fn of(tag: &str) -> Option<Self> {
        let tag = tag.replace('_', "-");
        let named = |wanted: &str| {
            let mut all = std::iter::once(&ENGLISH).chain(&OTHERS);
            all.find(|table| table.tag.eq_ignore_ascii_case(wanted))
        };
        let language = tag.split('-').next().unwrap_or_default();
        let of_language = || {
            let mut all = std::iter::once(&ENGLISH).chain(&OTHERS);
            all.find(|table| {
                let own = table.tag.split('-').next().unwrap_or_default();
                own.eq_ignore_ascii_case(language)
            })
        };
        named(&tag).or_else(of_language).map(Self)
    }

    /// Tags of all locales.
    pub fn tags() -> impl Iterator<Item = &'static str> {
        std::iter::once(&ENGLISH)
            .chain(&OTHERS)
            .map(|table| table.tag)
    }

    /// The words of pages in its language.
    pub fn texts(self) -> &'static Texts {
        Texts::of(self.0.tag)
    }

    /// What parts the whole of a number from its fraction.
    pub(crate) fn decimal(self) -> &'static str {
        // Where commas part groups, a point parts the fraction, and the other way around.
        if self.0.grouping.0 == "," { "." } else { "," }
    }

    /// Its language tag.
    pub fn tag(self) -> &'static str {
        self.0.tag
    }

    /// The day with its weekday: `Friday, 4 July 2008`.
    pub fn full_date(self, date: Date) -> String {
        self.write(self.0.full, date, &self.0.months)
    }

    /// The day: `4 July 2008`.
    pub fn date(self, date: Date) -> String {
        self.write(self.0.long, date, &self.0.months)
    }

    /// The day in figures: `2008-07-04`, `07/04/2008`, `04.07.2008`.
    pub fn numeric(self, date: Date, out: &mut Vec<u8>) {
        for letter in self.0.numeric.bytes() {
            let mut text = [0; 4];
            let (length, value) = match letter {
                b'Y' => (4, u32::from(date.year().unsigned_abs())),
                b'N' => (2, u32::from(date.month().unsigned_abs())),
                b'D' => (2, u32::from(date.day().unsigned_abs())),
                other => {
                    out.push(other);
                    continue;
                }
            };
            digits(&mut text[..length], value);
            out.extend_from_slice(&text[..length]);
        }
    }

    /// How the script of the pages writes days and times of day, each by the name that the script knows it by.
    pub(crate) fn named(self) -> [(&'static str, &'static str); 2] {
        let twelve = if self.0.twelve { "yes" } else { "" };
        [("date", self.0.numeric), ("twelve", twelve)]
    }

    /// Month and year: `July 2008`.
    pub fn month(self, date: Date) -> String {
        self.write(self.0.month, date, self.alone())
    }

    /// The month alone: `July`.
    pub fn month_name(self, date: Date) -> String {
        let form = if self.0.month.contains('月') {
            "M月"
        } else {
            "M"
        };
        self.write(form, date, self.alone())
    }

    /// The days of a week in order, with their short names.
    pub fn week(self) -> impl Iterator<Item = (Weekday, &'static str)> {
        let mut day = self.0.first;
        (0..7).map(move |_| {
            let now = day;
            day = day.next();
            (now, self.0.short[index(now)])
        })
    }

    /// The first day of a week.
    pub fn first_weekday(self) -> Weekday {
        self.0.first
    }

    /// The time of day to the second, from milliseconds since midnight: `14:07:09`, `2:07:09 PM`.
    pub fn clock(self, of_day: u32, out: &mut Vec<u8>) {
        self.time_of_day(of_day, true, out);
    }

    /// The time of day to the second or to the minute.
    pub(crate) fn time_of_day(self, of_day: u32, to_second: bool, out: &mut Vec<u8>) {
        let seconds = of_day / 1000;
        let hour = seconds / 3600;
        let mut rest = *b":00:00";
        digits(&mut rest[1..3], seconds / 60 % 60);
        digits(&mut rest[4..6], seconds % 60);
        let rest = if to_second { &rest[..] } else { &rest[..3] };
        if self.0.twelve {
            let hour = match hour % 12 {
                0 => 12,
                hour => hour,
            };
            if hour >= 10 {
                out.push(b'1');
            }
            let mut last = [0];
            digits(&mut last, hour);
            out.extend_from_slice(&last);
            out.extend_from_slice(rest);
            out.extend_from_slice(if seconds < 12 * 3600 { b" AM" } else { b" PM" });
        } else {
            let mut first = [0; 2];
            digits(&mut first, hour);
            out.extend_from_slice(&first);
            out.extend_from_slice(rest);
        }
    }

    /// A number with its digits in groups: `1,647`.
    pub fn number(self, number: u64) -> String {
        let plain = number.to_string();
        let (between, least) = self.0.grouping;
        if plain.len() < 3 + least {
            return plain;
        }
        let mut grouped = String::with_capacity(plain.len() * 4 / 3 + 4);
        for (at, digit) in plain.char_indices() {
            if at > 0 && (plain.len() - at).is_multiple_of(3) {
                grouped.push_str(between);
            }
            grouped.push(digit);
        }
        grouped
    }

    fn alone(self) -> &'static [&'static str; 12] {
        self.0.alone.as_ref().unwrap_or(&self.0.months)
    }

    fn write(self, form: &str, date: Date, months: &[&str; 12]) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(32);
        for letter in form.chars() {
            // Writing to a string cannot fail.
            let _ = match letter {
                'W' => text.write_str(self.0.weekdays[index(date.weekday())]),
                'D' => write!(text, "{}", date.day()),
                'M' => text.write_str(months[usize::from(date.month().unsigned_abs()) - 1]),
                'Y' => write!(text, "{}", date.year()),
                other => text.write_char(other),
            };
        }
        text
    }
}

fn index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn dates_are_written_as_readers_of_the_language_write_them() {
        let day = date(2008, 7, 4);
        for (tag, full, month, number) in [
            ("en", "Friday, 4 July 2008", "July 2008", "1,647"),
            ("en-US", "Friday, July 4, 2008", "July 2008", "1,647"),
            ("de", "Freitag, 4. Juli 2008", "Juli 2008", "1.647"),
            (
                "fr",
                "vendredi 4 juillet 2008",
                "juillet 2008",
                "1\u{202f}647",
            ),
            ("es", "viernes, 4 de julio de 2008", "julio de 2008", "1647"),
            (
                "pt-BR",
                "sexta-feira, 4 de julho de 2008",
                "julho de 2008",
                "1.647",
            ),
            (
                "ru",
                "пятница, 4 июля 2008 г.",
                "июль 2008 г.",
                "1\u{a0}647",
            ),
            ("ja", "2008年7月4日金曜日", "2008年7月", "1,647"),
            ("zh", "2008年7月4日星期五", "2008年7月", "1,647"),
        ] {
            let locale = Locale::of(tag).unwrap();
            assert_eq!(locale.tag(), tag);
            assert_eq!(locale.full_date(day), full);
            assert_eq!(locale.month(day), month);
            assert_eq!(locale.number(1647), number);
        }
        assert_eq!(Locale::tags().count(), 9);
        assert_eq!(Locale::of("es").unwrap().number(1_234_567), "1.234.567");
        assert_eq!(Locale::default().number(7), "7");
    }

    #[test]
    fn days_and_times_in_figures_are_those_of_the_language() {
        for (tag, expected) in [
            ("en", "2008-07-04 09:05 21:05:07"),
            ("en-US", "07/04/2008 9:05 AM 9:05:07 PM"),
            ("de", "04.07.2008 09:05 21:05:07"),
            ("fr", "04/07/2008 09:05 21:05:07"),
            ("zh", "2008/07/04 09:05 21:05:07"),
        ] {
            let (locale, mut out) = (Locale::of(tag).unwrap(), Vec::new());
            locale.numeric(date(2008, 7, 4), &mut out);
            out.push(b' ');
            locale.time_of_day((9 * 60 + 5) * 60_000, false, &mut out);
            out.push(b' ');
            locale.clock(((21 * 60 + 5) * 60 + 7) * 1000, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{tag}");
        }
    }

    #[test]
    fn tags_are_those_of_browsers_and_of_rocket_chat() {
        for (tag, found) in [
            ("EN", Some("en")),
            ("en_US", Some("en-US")),
            ("en-AU", Some("en")),
            ("de-AT", Some("de")),
            ("pt", Some("pt-BR")),
            ("pt-PT", Some("pt-BR")),
            ("zh-TW", Some("zh")),
            ("tlh", None),
            ("", None),
        ] {
            assert_eq!(Locale::of(tag).map(Locale::tag), found, "{tag}");
        }
    }

    #[test]
    fn clocks_have_twelve_or_twenty_four_hours() {
        for (of_day, plain, twelve) in [
            (0, "00:00:00", "12:00:00 AM"),
            (9 * 3_600_000 + 61_000, "09:01:01", "9:01:01 AM"),
            (43_200_000, "12:00:00", "12:00:00 PM"),
            (86_399_999, "23:59:59", "11:59:59 PM"),
        ] {
            for (tag, expected) in [("de", plain), ("en-US", twelve)] {
                let mut out = Vec::new();
                Locale::of(tag).unwrap().clock(of_day, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }
}
