//! That rendering allocates nothing per message. A program of its own, because every allocation in it is counted, and one
//! test, because tests next to it would be counted as well.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in what its tests share as well"
)]

use std::alloc::System;
use std::convert::Infallible;

use bson::{DateTime, Document, doc};
use jiff::tz::TimeZone;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use transcript::html::{ExportInfo, PagedHtml};
use transcript::json::JsonLines;
use transcript::locale::Locale;
use transcript::message::Message;
use transcript::output::{Output, PageBounds};
use transcript::room::RoomInfo;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// 2024-03-01T00:00:00Z.
const START: i64 = 1_709_251_200_000;
/// Messages that are rendered before those that are counted, and those that are.
const MESSAGES: i64 = 2_000;
/// Allocations of all the messages that are counted together.
const BOUND: usize = 10;

/// Throws away what is written, and has all messages on the second page: the first waits in memory until the end.
struct Sink;

impl Output for Sink {
    type Error = Infallible;

    fn start_entry(&mut self, _: &str) -> Result<(), Infallible> {
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn finish_entry(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn page(&mut self, number: u32) -> Result<Option<PageBounds>, Infallible> {
        Ok((number == 1).then(|| PageBounds {
            ts: START,
            ..PageBounds::default()
        }))
    }
}

/// Ordinary messages, five seconds apart on one day: with markup as typed and as stored, by a few authors.
fn messages(begin: i64) -> Vec<Vec<u8>> {
    const TEXTS: [&str; 10] = [
        "Good morning, everyone",
        "the *kernel* driver is _broken_ again, see `dmesg`",
        "https://example.org/a/path?with=query and [a label](https://example.org)",
        "ok :thumbsup: :) 🎉",
        "@user3 look at #general please",
        "a list:\n- one\n- two\n\n1. three\n2. four",
        "```\nlet x = 1 < 2 && \"quoted\";\n```",
        "> quoted\nand answered, ~not~ today",
        "日本語のテキスト, עברית, accents: crème brûlée",
        "mail me at someone@example.org or call +1-5550100, example.com has it",
    ];
    (begin..begin + MESSAGES)
        .map(|number| {
            let author = format!("user{}", number / 3 % 7);
            let at = DateTime::from_millis(START + number * 5_000);
            let text = TEXTS[usize::try_from(number % 10).unwrap()];
            let mut message: Document = doc! {
                "_id": format!("message{number:010}"), "rid": "GENERAL", "msg": text, "ts": at,
                "u": {"_id": &author, "username": &author, "name": format!("Name of {author}")},
                "_updatedAt": at, "urls": [], "mentions": [], "channels": [],
            };
            if number % 2 == 0 {
                let plain = |text: &str| doc! {"type": "PLAIN_TEXT", "value": text};
                message.insert(
                    "md",
                    vec![doc! {"type": "PARAGRAPH", "value": [
                        plain("stored "), {"type": "BOLD", "value": [plain(text)]},
                        {"type": "LINK", "value": {"src": plain("https://example.org"), "label": [plain("there")]}},
                    ]}],
                );
            }
            if number % 13 == 0 {
                message.insert("editedAt", at);
                message.insert("editedBy", doc! {"_id": "user1", "username": "user1"});
            }
            if number % 17 == 0 {
                message.insert("reactions", doc! {":thumbsup:": {"usernames": ["user1", "user2"]}});
            }
            message.to_vec().unwrap()
        })
        .collect()
}

fn room(search: bool) -> ExportInfo {
    ExportInfo {
        room: RoomInfo {
            id: "GENERAL".into(),
            title: "general".into(),
            ..RoomInfo::default()
        },
        tool: "test".into(),
        from: None,
        to: None,
        exported_at: START,
        exported_by: None,
        files: 0,
        missing: 0,
        zone: TimeZone::get("America/New_York").unwrap(),
        search,
        locale: Locale::default(),
        style: None,
        pages: 2,
    }
}

/// Allocations while the second of two lists of messages is rendered, each by `render`.
fn allocations(
    [before, counted]: &[Vec<Vec<u8>>; 2],
    mut render: impl FnMut(&Message<'_>),
) -> usize {
    for bytes in before {
        render(&Message::read(bytes));
    }
    let region = Region::new(COUNTING);
    for bytes in counted {
        render(&Message::read(bytes));
    }
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn ordinary_messages_are_rendered_without_allocating() {
    let all = [messages(0), messages(MESSAGES)];
    let one_each = allocations(&all, |message| drop(message.id().into_owned()));
    assert_eq!(
        one_each,
        usize::try_from(MESSAGES).unwrap(),
        "nothing is counted"
    );
    let mut counts = Vec::new();
    for raw in [false, true] {
        let mut lines = JsonLines::new("general.json".into(), raw);
        let Ok(()) = lines.begin(&mut Sink);
        let count = allocations(&all, |message| {
            let Ok(_) = lines.message(message, &[], &mut Sink);
        });
        counts.push((if raw { "JSON with raw" } else { "JSON" }, count));
    }
    for search in [false, true] {
        let mut pages = PagedHtml::new(room(search));
        let Ok(()) = pages.begin(&mut Sink);
        let count = allocations(&all, |message| {
            let Ok(_) = pages.message(message, &[], &mut Sink);
        });
        counts.push((if search { "HTML with search" } else { "HTML" }, count));
    }
    let many: Vec<_> = counts.iter().filter(|(_, count)| *count > BOUND).collect();
    assert!(many.is_empty(), "of {MESSAGES} messages: {many:?}");
}
