//! Threads: a reply names the message it answers, the first message lists its replies, and a long thread has a page of
//! its own.

use super::{Here, LISTED, PagedHtml, escape, page};
use crate::bson::{Text, Value, id_text};
use crate::markup::{Plain, Spoilers};
use crate::message::{Field, Message};
use crate::output::{Output, SEPARATOR, Thread};
use crate::system::{self, Sentence};
use crate::texts::{self, Texts, counted, filled, gap};
use crate::time::civil_date;

/// Characters of a message that others show of it.
const EXCERPT: usize = 120;
/// Bytes of the buffer for them that stay after a long message.
const KEPT: usize = 64 * 1024;
/// Replies that the first message lists of a thread that has a page of its own.
const SOME: u64 = 5;

/// Writes the beginning of what a message says to `text`, without marks, on one line and with its spoilers covered; the
/// name of its file when it says nothing.
pub fn excerpt(message: &Message<'_>, words: &Texts, plain: &mut Plain, text: &mut String) {
    text.clear();
    match system::sentence(message, &words.sentences, text) {
        Sentence::Written => {}
        Sentence::Own if message.kind() == Some(Text(b"e2e")) => {
            text.push_str(words.sealed);
        }
        // The name of a discussion has no marks.
        Sentence::Own => text.push_str(&message.text(Field::Msg).to_str()),
        Sentence::Ordinary | Sentence::Bare | Sentence::Unknown => {
            plain.message(message, Spoilers::Covered, text);
        }
    }
    if text.is_empty()
        && let Some(file) = message.files().next()
    {
        text.push_str(&file.name.to_str());
    }
    // Behind the whole text, which then goes.
    let whole = text.len();
    text.reserve(EXCERPT);
    cut(whole, text);
    text.drain(..whole);
    text.shrink_to(KEPT);
}

/// Appends the first characters of the first `whole` bytes, with every run of white space as one space.
fn cut(whole: usize, text: &mut String) {
    let mut left = EXCERPT;
    let mut at = 0;
    let mut space = false;
    while at < whole
        && let Some(character) = text[at..].chars().next()
    {
        at += character.len_utf8();
        if character.is_whitespace() {
            space = text.len() > whole;
            continue;
        }
        if left <= usize::from(space) {
            text.push('…');
            return;
        }
        if std::mem::take(&mut space) {
            text.push(' ');
            left -= 1;
        }
        text.push(character);
        left -= 1;
    }
}

/// Who a message is by, as others name its author.
pub fn author_of<'a>(message: &Message<'a>, words: &Texts) -> Text<'a> {
    let author = message.author();
    [message.text(Field::Alias), author.name, author.label()]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or(Text(words.unknown_author.as_bytes()))
}

/// In a reply: what it answers, and where that is. On the page of a thread, in every message: where it stands in the room.
pub(super) fn reply<O: Output>(
    html: &mut PagedHtml,
    message: &Message<'_>,
    output: &mut O,
) -> Result<(), O::Error> {
    if let Here::Thread(..) = html.here {
        return in_room(html, message, output);
    }
    let Some(first) = message.get(Field::Tmid).filter(|first| first.truthy()) else {
        return Ok(());
    };
    let first = id_text(first);
    let words = html.words;
    html.out.extend_from_slice(b"<p class=\"reply\">");
    let thread = output.thread(&first)?;
    match thread.and_then(|thread| Some((thread.page?, thread))) {
        Some((page, thread)) => {
            let (before, after) = gap(words.reply_to);
            html.say(before);
            html.out.extend_from_slice(b"<a href=\"");
            html.message_link(page, &first);
            html.out.extend_from_slice(b"\"><bdi>");
            let author = match thread.author.as_str() {
                "" => words.later_message,
                author => author,
            };
            escape::name(&mut html.out, author.as_bytes());
            html.out.extend_from_slice(b"</bdi></a>");
            escape::text(&mut html.out, after.as_bytes());
            if !thread.excerpt.is_empty() {
                html.out.extend_from_slice(b" <q dir=\"auto\">");
                escape::text(&mut html.out, thread.excerpt.as_bytes());
                html.out.extend_from_slice(b"</q>");
            }
        }
        None => html.say(words.reply_elsewhere),
    }
    let number = thread.and_then(|thread| thread.number);
    if let Some(number) = number {
        html.out.extend_from_slice(" · ".as_bytes());
        html.open_link(Here::Thread(number, 0));
        html.say(words.whole_thread);
        html.out.extend_from_slice(b"</a>");
        output.keep_for_thread(number, false, message)?;
    }
    html.out.extend_from_slice(b"</p>\n");
    Ok(())
}

/// On the page of a thread: where the message stands in the room.
fn in_room<O: Output>(
    html: &mut PagedHtml,
    message: &Message<'_>,
    output: &mut O,
) -> Result<(), O::Error> {
    let id = message.id();
    if let Some(page) = output.find(message.ts().unwrap_or(i64::MIN), &id)? {
        html.out.extend_from_slice(b"<p class=\"reply\"><a href=\"");
        html.message_link(page, &id);
        html.out.extend_from_slice(b"\">");
        html.say(html.words.in_room);
        html.out.extend_from_slice(b"</a></p>\n");
    }
    Ok(())
}

/// In the first message of a thread: how many replied, who, and what they said.
pub(super) fn replies<O: Output>(
    html: &mut PagedHtml,
    message: &Message<'_>,
    output: &mut O,
) -> Result<(), O::Error> {
    let counted = message.get(Field::Tcount).and_then(Value::integer);
    let counted = counted.and_then(|count| u64::try_from(count).ok());
    let id = message.id();
    if let Here::Thread(..) = html.here {
        return Ok(());
    }
    if !output.starts_thread(message.ts().unwrap_or(i64::MIN), &id)? {
        none_here(html, counted);
        return Ok(());
    }
    excerpt(message, html.words, &mut html.plain, &mut html.text);
    let author = author_of(message, html.words).to_str();
    output.remember_thread(&id, &author, &html.text)?;
    let Some(thread) = output.thread(&id)? else {
        none_here(html, counted);
        return Ok(());
    };
    let (total, number) = (thread.replies, thread.number);
    summary(html, thread);
    let shown = match number {
        Some(_) => SOME,
        None => LISTED,
    };
    let started = message.ts().and_then(|ts| html.clock.local(ts));
    let mut left = shown;
    html.out.extend_from_slice(b"<ol>\n");
    output.replies(&id, &mut |reply| {
        if left == 0 {
            return;
        }
        left -= 1;
        html.out.extend_from_slice(b"<li><b><bdi>");
        escape::name(&mut html.out, reply.author.as_bytes());
        html.out.extend_from_slice(b"</bdi></b> <a href=\"");
        html.message_link(reply.page, reply.id);
        html.out.extend_from_slice(b"\">");
        let day = started.map(|started| started.day);
        page::moment(html, reply.ts, day);
        html.out.extend_from_slice(b"</a> <span dir=\"auto\">");
        escape::text(&mut html.out, reply.excerpt.as_bytes());
        html.out.extend_from_slice(b"</span></li>\n");
    })?;
    html.out.extend_from_slice(b"</ol>\n");
    if let Some(number) = number {
        output.keep_for_thread(number, true, message)?;
        html.out.extend_from_slice(b"<p>");
        html.open_link(Here::Thread(number, 0));
        let all = html.info.locale.number(total);
        escape::filled(&mut html.out, html.words.all_replies, &[&all]);
        html.out.extend_from_slice(b"</a></p>\n");
    }
    if let Some(counted) = counted
        && counted > total
    {
        let elsewhere = html.info.locale.number(counted - total);
        html.out.extend_from_slice(b"<p class=\"note\">");
        let template = html.words.replies_elsewhere;
        escape::filled(&mut html.out, template, &[&elsewhere]);
        html.out.extend_from_slice(b"</p>\n");
    }
    html.out.extend_from_slice(b"</details>\n");
    Ok(())
}

fn summary(html: &mut PagedHtml, thread: &Thread) {
    let count = html.info.locale.number(thread.replies);
    html.out
        .extend_from_slice(b"<details class=\"thread\"><summary>");
    let template = counted(html.words.replies, thread.replies);
    escape::filled(&mut html.out, template, &[&count]);
    html.out.extend_from_slice(b" <span>");
    for (index, name) in thread.repliers.split(SEPARATOR).enumerate() {
        if index > 0 {
            html.out.extend_from_slice(b", ");
        }
        html.out.extend_from_slice(b"<bdi>");
        escape::name(&mut html.out, name.as_bytes());
        html.out.extend_from_slice(b"</bdi>");
    }
    if thread.more_repliers {
        html.out.push(b' ');
        html.say(html.words.and_others);
    }
    html.out.extend_from_slice(b"</span></summary>\n");
}

/// A thread all of whose replies are elsewhere.
fn none_here(html: &mut PagedHtml, counted: Option<u64>) {
    if let Some(counted) = counted.filter(|&counted| counted > 0) {
        html.out.extend_from_slice(b"<p class=\"note\">");
        let template = texts::counted(html.words.no_replies, counted);
        let count = html.info.locale.number(counted);
        escape::filled(&mut html.out, template, &[&count]);
        html.out.extend_from_slice(b"</p>\n");
    }
}

/// The head of a thread's page.
pub(super) fn head<O: Output>(
    html: &mut PagedHtml,
    number: u32,
    page: u32,
    message: &Message<'_>,
    output: &mut O,
) -> Result<(), O::Error> {
    let first = match message.get(Field::Tmid) {
        Some(first) if first.truthy() => id_text(first),
        _ => message.id(),
    };
    let thread = output.thread(&first)?.cloned().unwrap_or_default();
    let title = if thread.excerpt.is_empty() {
        number.to_string()
    } else {
        thread.excerpt.clone()
    };
    let words = html.words;
    page::opening(html, &filled(words.thread_titled, &[&title]), page);
    html.out
        .extend_from_slice(b"<header class=\"head\">\n<p class=\"where\">");
    html.open_link(Here::Room(0));
    html.out.extend_from_slice(b"<bdi>");
    html.room();
    html.out
        .extend_from_slice(b"</bdi></a></p>\n<h1 dir=\"auto\">");
    if thread.excerpt.is_empty() {
        escape::filled(&mut html.out, words.thread_titled, &[&number]);
    } else {
        html.say(&title);
    }
    html.out.extend_from_slice(b"</h1>\n<p class=\"sub\">");
    if let (false, Some(date)) = (
        thread.author.is_empty(),
        html.clock
            .local(thread.ts)
            .and_then(|local| civil_date(local.day)),
    ) {
        let (before, after) = gap(words.thread_begun);
        html.say(before);
        html.out.extend_from_slice(b"<bdi>");
        escape::name(&mut html.out, thread.author.as_bytes());
        html.out.extend_from_slice(b"</bdi>");
        escape::filled(&mut html.out, after, &[&html.info.locale.date(date)]);
    } else {
        html.say(words.thread);
    }
    html.out.extend_from_slice(" · ".as_bytes());
    let count = html.info.locale.number(thread.replies);
    let template = counted(words.replies, thread.replies);
    escape::filled(&mut html.out, template, &[&count]);
    html.out.extend_from_slice(b"</p>\n");
    html.out.extend_from_slice(b"</header>\n");
    links(html, number, page, page > 0, false);
    html.out.extend_from_slice(b"<main id=\"messages\">\n");
    Ok(())
}

/// The foot of a thread's page.
pub(super) fn foot(html: &mut PagedHtml, number: u32, page: u32, more: bool) {
    html.out.extend_from_slice(b"</main>\n");
    links(html, number, page, page > 0, more);
    page::closing(html);
}

fn links(html: &mut PagedHtml, number: u32, page: u32, before: bool, after: bool) {
    if !before && !after {
        return;
    }
    let words = html.words;
    html.out
        .extend_from_slice(b"<nav class=\"pages\" aria-label=\"");
    html.say(words.thread_pages);
    html.out.extend_from_slice(b"\"><ul>");
    for (there, to, text) in [
        (before, 0, words.first_page),
        (before, page.saturating_sub(1), words.previous_page),
        (after, page + 1, words.next_page),
    ] {
        if there {
            html.out.extend_from_slice(b"<li>");
            html.open_link(Here::Thread(number, to));
            html.say(text);
            html.out.extend_from_slice(b"</a></li>");
        }
    }
    html.out.extend_from_slice(b"</ul></nav>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locale::Locale;
    use ::bson::doc;

    #[test]
    fn an_excerpt_is_one_line_of_bounded_length() {
        let of = |doc: ::bson::Document| {
            let bytes = doc.to_vec().unwrap();
            let mut text = String::from("left over");
            excerpt(
                &Message::read(&bytes),
                Locale::default().texts(),
                &mut Plain::default(),
                &mut text,
            );
            text
        };
        assert_eq!(of(doc! {"msg": "a\n\n b\tc "}), "a b c");
        assert_eq!(
            of(doc! {"msg": "*bold* [site](https://x.org) :smile:"}),
            "bold site (https://x.org) 😄"
        );
        assert_eq!(
            of(doc! {
                "msg": "[ ](https://x.org/c?msg=a) I *agree*", "attachments": [{"message_link": "https://x.org/c?msg=a"}],
            }),
            "I agree"
        );
        assert_eq!(
            of(doc! {"t": "discussion-created", "msg": "*Lunch*"}),
            "*Lunch*"
        );
        assert_eq!(
            of(doc! {"t": "e2e", "msg": "aGVsbG8="}),
            "end-to-end encrypted"
        );
        assert_eq!(of(doc! {"msg": ""}), "");
        assert_eq!(
            of(doc! {"msg": "||so||: ||*he* [did](https://x.org)|| it\n||all||"}),
            "███: ███ it ███"
        );
        assert_eq!(
            of(doc! {"msg": "||all||", "md": [
                {"type": "SPOILER_BLOCK", "value": [{"type": "PARAGRAPH", "value": [
                    {"type": "SPOILER", "value": [{"type": "PLAIN_TEXT", "value": "all"}]},
                ]}]},
                {"type": "PARAGRAPH", "value": [{"type": "PLAIN_TEXT", "value": "of it"}]},
            ]}),
            "███ of it"
        );
        assert_eq!(
            of(doc! {"t": "uj", "u": {"username": "a"}}),
            "joined the channel"
        );
        assert_eq!(
            of(doc! {"msg": "", "files": [{"_id": "f", "name": "plan.pdf"}]}),
            "plan.pdf"
        );
        let long = of(doc! {"msg": "ü".repeat(500)});
        assert_eq!(long.chars().count(), EXCERPT + 1);
        assert!(long.ends_with('…'));
        let words = of(doc! {"msg": "word ".repeat(100)});
        assert!(
            words.chars().count() <= EXCERPT + 2 && words.ends_with('…'),
            "{words}"
        );
    }
}
