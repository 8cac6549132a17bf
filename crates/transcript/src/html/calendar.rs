//! The calendar: every day that has messages, with how many, and a link to where it begins.

use jiff::civil::Date;

use super::{Here, PagedHtml, escape, page};
use crate::output::{Day, Output};
use crate::texts::{counted, gap};
use crate::time::civil_date;

/// Days on one page of the calendar: more than fifty years of talk every day.
const DAYS_PER_PAGE: usize = 20_000;
/// Days asked for at once.
const BATCH: usize = 512;
/// Months that the entry page lists; a room with more has them in its calendar.
const MONTHS_LISTED: usize = 600;

/// Days as they come out of the output, a batch at a time.
struct Days {
    batch: std::vec::IntoIter<Day>,
    after: i64,
    ended: bool,
}

impl Days {
    fn new() -> Self {
        Self {
            batch: Vec::new().into_iter(),
            after: i64::MIN,
            ended: false,
        }
    }

    /// The next day and its date. Days that no calendar has are passed over: their messages have no heading either.
    fn next<O: Output>(&mut self, output: &mut O) -> Result<Option<(Day, Date)>, O::Error> {
        loop {
            for day in self.batch.by_ref() {
                if let Some(date) = civil_date(day.day) {
                    return Ok(Some((day, date)));
                }
            }
            if self.ended {
                return Ok(None);
            }
            let days = output.days(self.after, BATCH)?;
            self.ended = days.len() < BATCH;
            if let Some(last) = days.last() {
                self.after = last.day;
            }
            self.batch = days.into_iter();
        }
    }
}

/// Writes the pages of the calendar; none when no message has a day.
pub(super) fn write<O: Output>(html: &mut PagedHtml, output: &mut O) -> Result<(), O::Error> {
    let mut days = Days::new();
    let mut next = days.next(output)?;
    let mut number = 0;
    while next.is_some() {
        html.here = Here::Calendar(number);
        html.start_page(output)?;
        head(html, number);
        let mut written = 0;
        while let Some((_, date)) = next
            && written < DAYS_PER_PAGE
        {
            let year = date.year();
            escape::ours_tagged(
                &mut html.out,
                "<section><h2 class=\"year\">",
                format_args!("{year}"),
                "</h2>\n<div class=\"grid\">\n",
            );
            // A month is whole on its page.
            while let Some((_, date)) = next
                && date.year() == year
                && written < DAYS_PER_PAGE
            {
                let mut month = Vec::with_capacity(31);
                while let Some((day, other)) = next
                    && (other.year(), other.month()) == (year, date.month())
                {
                    month.push((day, other));
                    next = days.next(output)?;
                }
                written += month.len();
                self::month(html, &month);
            }
            html.out.extend_from_slice(b"</div></section>\n");
            html.flush(output)?;
        }
        html.out.extend_from_slice(b"</main>\n");
        links(html, number, next.is_some());
        page::closing(html);
        html.close(output)?;
        number += 1;
    }
    Ok(())
}

fn head(html: &mut PagedHtml, number: u32) {
    page::opening(html, html.words.calendar, number);
    html.out
        .extend_from_slice(b"<header class=\"head\">\n<p class=\"where\">");
    html.open_link(Here::Room(0));
    html.out.extend_from_slice(b"<bdi>");
    html.room();
    html.out.extend_from_slice(b"</bdi></a></p>\n<h1>");
    html.say(html.words.calendar);
    html.out.extend_from_slice(b"</h1>\n<p class=\"sub\">");
    let (before, after) = gap(html.words.calendar_about);
    html.say(before);
    page::zone(html);
    html.say(after);
    html.out.extend_from_slice(b"</p>\n");
    html.out.extend_from_slice(b"</header>\n");
    links(html, number, false);
    html.out
        .extend_from_slice(b"<main id=\"messages\" class=\"calendar\">\n");
}

fn links(html: &mut PagedHtml, number: u32, after: bool) {
    if number == 0 && !after {
        return;
    }
    let words = html.words;
    html.out
        .extend_from_slice(b"<nav class=\"pages\" aria-label=\"");
    html.say(words.calendar_pages);
    html.out.extend_from_slice(b"\"><ul>");
    for (there, to, text) in [
        (number > 0, 0, words.first_page),
        (number > 0, number.saturating_sub(1), words.previous_page),
        (after, number.saturating_add(1), words.next_page),
    ] {
        if there {
            html.out.extend_from_slice(b"<li>");
            html.open_link(Here::Calendar(to));
            html.say(text);
            html.out.extend_from_slice(b"</a></li>");
        }
    }
    html.out.extend_from_slice(b"</ul></nav>\n");
}

/// A month as a table of weeks; `days` are those that have messages, at least one.
fn month(html: &mut PagedHtml, days: &[(Day, Date)]) {
    let Some((_, some)) = days.first() else {
        return;
    };
    let locale = html.info.locale;
    let total: u64 = days.iter().map(|(day, _)| day.messages).sum();
    let most = days.iter().map(|(day, _)| day.messages).max().unwrap_or(1);
    let words = html.words;
    html.out.extend_from_slice(b"<table><caption>");
    escape::text(&mut html.out, locale.month_name(*some).as_bytes());
    html.out.extend_from_slice(b" <span>");
    // The number is seen, the words around it are heard only.
    let (before, after) = gap(counted(words.count, total));
    for (spoken, what) in [
        (true, before),
        (false, &locale.number(total)),
        (true, after),
    ] {
        if what.is_empty() {
            continue;
        }
        html.out
            .extend_from_slice(if spoken { b"<span class=\"vh\">" } else { b"" });
        html.say(what);
        html.out
            .extend_from_slice(if spoken { b"</span>" } else { b"" });
    }
    html.out
        .extend_from_slice(b"</span></caption>\n<thead><tr>");
    for (_, weekday) in locale.week() {
        html.out.extend_from_slice(b"<th scope=\"col\">");
        escape::text(&mut html.out, weekday.as_bytes());
        html.out.extend_from_slice(b"</th>");
    }
    html.out.extend_from_slice(b"</tr></thead>\n<tbody>\n<tr>");
    let first = some.first_of_month();
    let before = locale.first_weekday().until(first.weekday());
    for _ in 0..before {
        html.out.extend_from_slice(b"<td></td>");
    }
    let mut days = days.iter().peekable();
    for number in 1..=first.days_in_month() {
        let column = (i16::from(before) + i16::from(number) - 1) % 7;
        if column == 0 && number > 1 {
            html.out.extend_from_slice(b"</tr>\n<tr>");
        }
        match days.next_if(|(_, date)| date.day() == number) {
            Some((day, _)) => {
                // Four steps of the month's busiest day.
                let heat = (day.messages * 4).div_ceil(most.max(1)).clamp(1, 4);
                escape::ours_tagged(
                    &mut html.out,
                    "<td class=\"h",
                    format_args!("{heat}"),
                    "\"><a href=\"",
                );
                let page = html.name(Here::Room(day.page));
                escape::link(&mut html.out, &page);
                let count = locale.number(day.messages);
                escape::ours(
                    &mut html.out,
                    format_args!("#d-{}", some.strftime("%Y-%m-")),
                );
                escape::ours_tagged(
                    &mut html.out,
                    "",
                    format_args!("{number:02}"),
                    "\" title=\"",
                );
                let template = counted(words.count, day.messages);
                escape::filled(&mut html.out, template, &[&count]);
                html.out.extend_from_slice(b"\">");
                escape::ours_tagged(&mut html.out, "", format_args!("{number}"), "</a></td>");
            }
            None => escape::ours_tagged(&mut html.out, "<td>", format_args!("{number}"), "</td>"),
        }
    }
    html.out.extend_from_slice(b"</tr>\n</tbody></table>\n");
}

/// On the entry page: a link for every month.
pub(super) fn months<O: Output>(html: &mut PagedHtml, output: &mut O) -> Result<(), O::Error> {
    let mut days = Days::new();
    let Some(mut next) = days.next(output)? else {
        return Ok(());
    };
    let locale = html.info.locale;
    let mut listed = 0;
    let mut year = None;
    let words = html.words;
    html.out
        .extend_from_slice(b"<nav class=\"months\" aria-label=\"");
    html.say(words.months);
    html.out.extend_from_slice(b"\">\n<details><summary>");
    html.say(words.jump);
    html.out.extend_from_slice(b"</summary>\n<dl>\n");
    let more = loop {
        let (day, date) = next;
        if listed == MONTHS_LISTED {
            break true;
        }
        listed += 1;
        if year != Some(date.year()) {
            if year.is_some() {
                html.out.extend_from_slice(b"</dd></div>\n");
            }
            year = Some(date.year());
            escape::ours_tagged(
                &mut html.out,
                "<div><dt>",
                format_args!("{}", date.year()),
                "</dt><dd>",
            );
        }
        html.out.extend_from_slice(b"<a href=\"");
        if day.page > 0 {
            let page = html.name(Here::Room(day.page));
            escape::link(&mut html.out, &page);
        }
        escape::ours_tagged(
            &mut html.out,
            "#d-",
            format_args!("{}", date.strftime("%Y-%m-%d")),
            "\">",
        );
        escape::text(&mut html.out, locale.month_name(date).as_bytes());
        html.out.extend_from_slice(b"</a> ");
        let following = loop {
            match days.next(output)? {
                Some((_, other))
                    if (other.year(), other.month()) == (date.year(), date.month()) => {}
                other => break other,
            }
        };
        match following {
            Some(following) => next = following,
            None => break false,
        }
    };
    html.out.extend_from_slice(b"</dd></div>\n</dl>\n<p>");
    html.open_link(Here::Calendar(0));
    html.say(if more {
        words.all_months
    } else {
        words.all_days
    });
    html.out
        .extend_from_slice(b"</a></p>\n</details>\n</nav>\n");
    Ok(())
}
