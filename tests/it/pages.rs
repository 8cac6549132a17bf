//! Pages of a room, threads across them, the calendar, and what stands around the messages.

use std::collections::BTreeMap;
use std::path::Path;

use bson::{Bson, DateTime, Document, doc};

use crate::support::cli::{command, entries, is_page, ran, run, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::server::{ADMIN, Server, changed_home};

const ROOM: &str = "pagedRoom00000001";
/// 2024-03-01T00:00:00Z.
const START: i64 = 1_709_251_200_000;
const HOUR: i64 = 3_600_000;

/// The pages of an export, by name.
type Pages = BTreeMap<String, String>;

fn message(id: &str, ts: i64, msg: &str) -> Document {
    doc! {"_id": id, "rid": ROOM, "msg": msg, "ts": DateTime::from_millis(ts), "u": {"_id": "u1", "username": "ada", "name": "Ada L."}}
}

/// A message that answers another.
fn reply(id: &str, ts: i64, msg: &str, to: &str, by: &str) -> Document {
    let mut reply = message(id, ts, msg);
    reply.insert("tmid", to);
    reply.insert("u", doc! {"_id": by, "username": by});
    reply
}

/// Exports these messages from a dump and from a workspace file, which must be the same; the pages.
fn pages(messages: &[Document], options: &[&str]) -> Pages {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &doc! {"_id": ROOM, "t": "c", "name": "paged", "topic": "<b>topic</b>", "announcement": "Mind *the* gap"},
    );
    for message in messages {
        dump.add("rocketchat_message", message);
    }
    let path = dump.write(Form::Directory, directory.path());
    let database = format!("sqlite:{}", text(&directory.path().join("chat.db")));
    let imported = run(&["import", text(&path), "--workspace", &database]);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let mut found: Option<Pages> = None;
    for address in [format!("dump:{}", text(&path)), database] {
        let zip = directory.path().join("out.zip");
        let pages = export(&address, &zip, options);
        if let Some(before) = found.replace(pages) {
            assert!(found.as_ref() == Some(&before), "{address} differs");
        }
    }
    found.unwrap()
}

fn export(address: &str, zip: &Path, options: &[&str]) -> Pages {
    let arguments = [
        "export",
        "--workspace",
        address,
        "--room",
        ROOM,
        "--format",
        "html",
        "--no-search",
        "--force",
        "--by",
        "Grace <H.>",
        "-o",
        text(zip),
    ];
    let ran = run(&[&arguments[..], options].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let verified = run(&["verify", text(zip)]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    entries(zip)
        .into_iter()
        .filter(|(name, _)| is_page(name))
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect()
}

fn names(pages: &Pages) -> Vec<&str> {
    pages
        .keys()
        .map(|name| name.strip_prefix(ROOM).unwrap())
        .collect()
}

/// The page of the room that a message stands on.
fn page_of<'a>(pages: &'a Pages, id: &str) -> &'a str {
    let anchor = format!(" id=\"m-{id}\"");
    let mut found = pages
        .iter()
        .filter(|(name, page)| !name.contains("-thread-") && page.contains(&anchor));
    let (name, _) = found.next().unwrap_or_else(|| panic!("{id} is nowhere"));
    assert!(found.next().is_none(), "{id} is on two pages");
    name
}

/// The article of a message in a page.
fn article<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!(" id=\"m-{id}\"")).unwrap();
    let rest = &page[start..];
    &rest[..rest.find("</article>").unwrap()]
}

/// The link to a message from a page.
fn link(pages: &Pages, from: &str, to: &str) -> String {
    let page = page_of(pages, to);
    let page = if page == from { "" } else { page };
    format!("href=\"{page}#m-{to}\"")
}

#[test]
fn threads_are_linked_both_ways_across_pages() {
    let mut messages: Vec<_> = (0..2_500_i64)
        .map(|number| {
            message(
                &format!("m{number:05}"),
                START + number * 60_000,
                "ordinary",
            )
        })
        .collect();
    messages[10].insert("tcount", 4);
    messages[10].insert("msg", "Who has the key?");
    for (at, id) in [(20, "m00020"), (1_500, "m01500"), (2_400, "m02400")] {
        messages[at] = reply(
            id,
            START + i64::try_from(at).unwrap() * 60_000,
            "I\nhave",
            "m00010",
            id,
        );
    }
    // A reply whose clock was behind: it comes long before what it answers, which carries no count.
    messages[5] = reply(
        "m00005",
        START + 5 * 60_000,
        "early bird",
        "m02300",
        "early",
    );
    messages[30] = reply("m00030", START + 30 * 60_000, "lost", "not-here", "lost");
    messages[40].insert("tcount", 7);
    let pages = pages(&messages, &[]);
    assert_eq!(
        names(&pages),
        ["-2.html", "-3.html", "-calendar.html", ".html"]
    );

    let entry = format!("{ROOM}.html");
    let parent = article(&pages[&entry], "m00010");
    assert!(
        parent.contains("<details class=\"thread\"><summary>3 replies"),
        "{parent}"
    );
    assert!(parent.contains("The workspace counts 1 more"), "{parent}");
    for id in ["m00020", "m01500", "m02400"] {
        assert!(parent.contains(&link(&pages, &entry, id)), "{id}: {parent}");
        let page = page_of(&pages, id);
        let reply = article(&pages[page], id);
        assert!(reply.contains(&link(&pages, page, "m00010")), "{reply}");
        assert!(
            reply.contains("Ada L.") && reply.contains("Who has the key?"),
            "{reply}"
        );
        assert!(
            parent.contains("<span dir=\"auto\">I have</span>"),
            "{parent}"
        );
    }
    assert!(parent.contains("<summary>3 replies <span><bdi>m00020</bdi>, <bdi>m01500</bdi>"));
    let early = article(&pages[&entry], "m00005");
    assert!(early.contains(&link(&pages, &entry, "m02300")), "{early}");
    let answered = page_of(&pages, "m02300");
    assert!(article(&pages[answered], "m02300").contains(&link(&pages, answered, "m00005")));
    let lost = article(&pages[&entry], "m00030");
    assert!(
        lost.contains("whose first message is not in this export") && !lost.contains("not-here")
    );
    let alone = article(&pages[&entry], "m00040");
    assert!(
        alone.contains("Thread with 7 replies, none of them in this export"),
        "{alone}"
    );

    // A window that holds the replies and not what they answer, and the other way round.
    let late = self::pages(&messages, &["--date-from", "2024-03-02T00:00:00Z"]);
    let page = page_of(&late, "m01500");
    assert!(article(&late[page], "m01500").contains("not in this export"));
    let early = self::pages(&messages, &["--date-to", "2024-03-01T00:15:00Z"]);
    let parent = article(&early[&entry], "m00010");
    assert!(
        parent.contains("Thread with 4 replies, none of them"),
        "{parent}"
    );
}

#[test]
fn a_long_thread_has_a_page_of_its_own() {
    let mut messages = vec![message("root", START, "Long story")];
    for number in 0..1_200_i64 {
        let (id, by) = (format!("r{number:04}"), format!("user{}", number % 20));
        messages.push(reply(
            &id,
            START + number * HOUR,
            &format!("part {number}"),
            "root",
            &by,
        ));
    }
    let pages = pages(&messages, &[]);
    assert_eq!(
        names(&pages),
        [
            "-2.html",
            "-calendar.html",
            "-thread-1-2.html",
            "-thread-1.html",
            ".html"
        ]
    );
    let entry = &pages[&format!("{ROOM}.html")];
    let parent = article(entry, "root");
    assert!(
        parent.contains("1,200 replies <span>") && parent.contains(" and others"),
        "{parent}"
    );
    assert!(parent.contains(&format!("href=\"{ROOM}-thread-1.html\">All 1,200 replies")));
    let (first, second) = (
        &pages[&format!("{ROOM}-thread-1.html")],
        &pages[&format!("{ROOM}-thread-1-2.html")],
    );
    assert!(first.contains("<h1 dir=\"auto\">Long story</h1>") && first.contains("part 998<"));
    assert!(second.contains("part 999<") && second.contains("part 1199<"));
    assert_eq!(
        first.matches("<article ").count() + second.matches("<article ").count(),
        1_201
    );
    // From each reply there, to its place in the room, and back.
    let there = article(second, "r1100");
    assert!(
        there.contains(&format!("href=\"{ROOM}-2.html#m-r1100\">In the room")),
        "{there}"
    );
    let here = article(&pages[&format!("{ROOM}-2.html")], "r1100");
    assert!(
        here.contains(&format!("href=\"{ROOM}-thread-1.html\">whole thread")),
        "{here}"
    );
}

#[test]
fn every_message_on_the_page_of_a_thread_leads_to_its_place_in_the_room_before_it_says_anything() {
    let mut messages = vec![message("root", START, "begun")];
    messages.extend((0..60_i64).map(|number| {
        let id = format!("r{number:04}");
        reply(&id, START + number * HOUR, "replied", "root", "bob")
    }));
    let pages = pages(&messages, &[]);
    let thread = &pages[&format!("{ROOM}-thread-1.html")];
    for message in &messages {
        let id = message.get_str("_id").unwrap();
        let article = article(thread, id);
        let place = format!("href=\"{ROOM}.html#m-{id}\">In the room");
        let (before, after) = article.split_once(&place).unwrap();
        assert!(
            !before.contains("class=\"text") && !after.contains("In the room"),
            "{article}"
        );
    }
}

#[test]
fn spoilers_are_covered_wherever_a_message_is_shown_in_short() {
    let mut messages = vec![
        message("short", START, "it was ||the gardener||"),
        message("root", START, "it was ||the butler||"),
    ];
    for number in 0..60_i64 {
        let id = format!("r{number:04}");
        messages.push(reply(
            &id,
            START + number * HOUR,
            "no, ||the cook||!",
            "root",
            "bob",
        ));
    }
    messages.push(reply("s", START + HOUR, "||the maid||", "short", "bob"));
    let pages = pages(&messages, &[]);
    for (name, page) in &pages {
        // Where it was said it is there, until somebody asks for it hidden.
        let mut rest = page.clone();
        for who in ["gardener", "butler", "cook", "maid"] {
            rest = rest.replace(&format!("\"><span>the {who}</span></label>"), "");
            assert!(!rest.contains(who), "{name}: {who}");
        }
    }
    let thread = &pages[&format!("{ROOM}-thread-1.html")];
    assert!(thread.contains("<title>Thread: it was ███ · paged</title>"));
    assert!(thread.contains("<h1 dir=\"auto\">it was ███</h1>"));
    let entry = &pages[&format!("{ROOM}.html")];
    assert!(article(entry, "root").contains("<span dir=\"auto\">no, ███!</span>"));
    assert!(article(entry, "s").contains("<q dir=\"auto\">it was ███</q>"));
}

#[test]
fn what_people_typed_is_shown_where_a_list_or_a_link_would_hide_it() {
    let blank = "\u{200b}\u{202e}\u{3164}";
    let cases = [
        (
            "9. a\n99. b",
            "<ol><li value=\"9\">a</li><li value=\"99\">b</li></ol>",
        ),
        (
            "2024. a\n1. b",
            "<ol class=\"typed\"><li>2024. a</li><li>1. b</li></ol>",
        ),
        (
            &format!("[{blank}](https://evil.test/a)"),
            "noreferrer\">https://evil.test/a</a>",
        ),
        (
            &format!("[*{blank}*](https://evil.test/b)"),
            "noreferrer\">https://evil.test/b</a>",
        ),
        (
            "[*seen*](https://x.org/c)",
            "noreferrer\"><strong>seen</strong></a>",
        ),
        (
            &format!("```{}\ncode\n```", "l".repeat(41)),
            &format!("data-language=\"{}…\">", "l".repeat(40)),
        ),
    ];
    let mut messages: Vec<_> = (0..)
        .zip(&cases)
        .map(|(number, (typed, _))| message(&format!("m{number}"), START + number, typed))
        .collect();
    let attached = doc! {"title": blank, "title_link": "https://evil.test/d", "text": "x"};
    messages.push(message("attached", START + HOUR, ""));
    messages
        .last_mut()
        .unwrap()
        .insert("attachments", [attached]);
    let pages = pages(&messages, &[]);
    let entry = &pages[&format!("{ROOM}.html")];
    for (number, (typed, expected)) in cases.iter().enumerate() {
        let article = article(entry, &format!("m{number}"));
        assert!(article.contains(expected), "{typed:?}: {article}");
    }
    assert!(article(entry, "attached").contains("\">https://evil.test/d</a>"));
}

#[test]
fn instants_that_no_calendar_has_stand_under_no_day() {
    let messages = [
        message("forty-four", -63_549_360_000_000, "before the year 0"),
        message("today", START, "hello"),
        message("far", 6_248_223_600_000_000, "in the year 200000"),
    ];
    let pages = pages(&messages, &[]);
    let entry = &pages[&format!("{ROOM}.html")];
    let (first, rest) = entry
        .split_once("<h2 class=\"day\" id=\"d-2024-03-01\">")
        .unwrap();
    assert!(
        !first.contains("<h2")
            && article(first, "forty-four")
                .contains("<span title=\"-63549360000000 ms\">no time</span></a>")
    );
    let (today, last) = rest.split_once("<h2 class=\"day\">no time</h2>").unwrap();
    assert!(today.contains("id=\"m-today\"") && !last.contains("<h2"));
    assert!(
        article(last, "far").contains("<span title=\"6248223600000000 ms\">no time</span></a>")
    );
    let calendar = &pages[&format!("{ROOM}-calendar.html")];
    assert_eq!(calendar.matches("<h2 class=\"year\">").count(), 1);
}

#[test]
fn a_page_may_end_within_a_millisecond() {
    for (messages, per_instant) in [(2_500_i64, 3_i64), (2_500, 1_000_000)] {
        let mut all: Vec<_> = (0..messages)
            .map(|number| message(&format!("m{number:05}"), START + number / per_instant, "x"))
            .collect();
        all[2_100] = reply("m02100", START + 2_100 / per_instant, "y", "m00999", "bob");
        let pages = pages(&all, &[]);
        assert_eq!(
            names(&pages),
            ["-2.html", "-3.html", "-calendar.html", ".html"]
        );
        for (name, first) in [("", 0), ("-2", 1_000), ("-3", 2_000)] {
            let page = &pages[&format!("{ROOM}{name}.html")];
            assert!(page.contains(&format!("id=\"m-m{first:05}\"")), "{name}");
            assert_eq!(
                page.matches("<article ").count(),
                if first < 2_000 { 1_000 } else { 500 }
            );
        }
        let root = article(&pages[&format!("{ROOM}.html")], "m00999");
        assert!(
            root.contains(&format!("href=\"{ROOM}-3.html#m-m02100\"")),
            "{root}"
        );
    }
}

#[test]
fn messages_without_an_instant_come_first_and_have_no_day() {
    let mut all: Vec<_> = (0..1_500_i64)
        .map(|number| message(&format!("m{number:05}"), START + number, "x"))
        .collect();
    for message in &mut all[..1_200] {
        message.insert("ts", Bson::Null);
    }
    let pages = pages(&all, &[]);
    let entry = &pages[&format!("{ROOM}.html")];
    assert!(!entry.contains("<h2 class=\"day\"") && entry.contains("no time"));
    let second = &pages[&format!("{ROOM}-2.html")];
    assert_eq!(second.matches("<h2 class=\"day\"").count(), 1);
    let calendar = &pages[&format!("{ROOM}-calendar.html")];
    assert!(calendar.contains(&format!(
        "href=\"{ROOM}-2.html#d-2024-03-01\" title=\"300 messages\">1</a>"
    )));
}

#[test]
fn a_room_without_messages_and_one_with_a_single_message_have_an_entry_page() {
    let none = pages(&[], &[]);
    assert_eq!(names(&none), [".html"]);
    let entry = &none[&format!("{ROOM}.html")];
    assert!(
        entry.contains("There are no messages in this room and window.") && !entry.contains("<nav")
    );
    let one = pages(&[message("m", START, "hello")], &[]);
    assert_eq!(names(&one), ["-calendar.html", ".html"]);
    let entry = &one[&format!("{ROOM}.html")];
    assert!(
        entry.contains("href=\"#d-2024-03-01\">March</a>"),
        "{entry}"
    );
    assert!(
        entry.contains("<dt>Messages</dt><dd dir=\"auto\">1 on 1 page</dd>"),
        "{entry}"
    );
}

#[test]
fn hidden_messages_fill_no_page_unless_they_are_asked_for() {
    let mut all = vec![message("first", START, "x")];
    for number in 0..1_500_i64 {
        let mut hidden = message(&format!("h{number:05}"), START + number, "x");
        hidden.insert("_hidden", true);
        all.push(hidden);
    }
    all.push(message("last", START + HOUR, "x"));
    assert_eq!(names(&pages(&all, &[])), ["-calendar.html", ".html"]);
    let with_history = pages(&all, &["--history"]);
    assert_eq!(names(&with_history), ["-2.html", "-calendar.html", ".html"]);
    assert_eq!(page_of(&with_history, "last"), format!("{ROOM}-2.html"));
}

#[test]
fn pages_lead_to_each_other_and_the_calendar_to_every_day() {
    let all: Vec<_> = (0..3_200_i64)
        .map(|number| message(&format!("m{number:05}"), START + number * HOUR, "x"))
        .collect();
    let pages = pages(&all, &["--timezone", "America/New_York", "--locale", "de"]);
    let second = &pages[&format!("{ROOM}-2.html")];
    for part in [
        format!("<li><a href=\"{ROOM}.html\">Erste Seite"),
        format!("<li><a href=\"{ROOM}.html\">Vorige Seite"),
        format!("<li><a href=\"{ROOM}-3.html\">Nächste Seite"),
        format!("<li><a href=\"{ROOM}-4.html\">Letzte Seite"),
        format!("<a href=\"{ROOM}-calendar.html\">Kalender"),
        "<li class=\"here\">Seite 2 von 4</li>".to_owned(),
        "11. April 2024".to_owned(),
        "UTC−04:00</span></h2>".to_owned(),
        "<time datetime=\"2024-04-15\">Montag, 15. April 2024</time>".to_owned(),
    ] {
        assert!(
            second.contains(&part),
            "{part}\n{}",
            &second[..second.len().min(40_000)]
        );
    }
    assert!(!second.contains("class=\"facts\""));
    // Every link of the calendar leads to a day's heading, and their counts are all messages.
    let calendar = &pages[&format!("{ROOM}-calendar.html")];
    let mut total = 0;
    for day in calendar.split("<a href=\"").skip(1) {
        let Some((target, rest)) = day.split_once("\" title=\"") else {
            continue;
        };
        let (page, fragment) = target.split_once('#').unwrap();
        assert!(
            pages[page].contains(&format!(" id=\"{fragment}\"")),
            "{target}"
        );
        let count = rest.split(' ').next().unwrap();
        total += count.parse::<usize>().unwrap();
    }
    assert_eq!(total, 3_200);
    assert!(
        calendar.contains("<caption>März <span>") && calendar.contains("<th scope=\"col\">Mo</th>")
    );
}

#[test]
fn the_entry_page_says_what_the_export_is() {
    let directory = tempfile::tempdir().unwrap();
    let sheet = directory.path().join("style.css");
    std::fs::write(&sheet, "body { color: rebeccapurple }").unwrap();
    let pages = pages(
        &[message("m", START, "hello")],
        &[
            "--timezone",
            "Asia/Kolkata",
            "--date-from",
            "2024-03-01",
            "--style",
            text(&sheet),
        ],
    );
    let entry = &pages[&format!("{ROOM}.html")];
    for part in [
        "<div class=\"topic\"><div class=\"text md\" dir=\"auto\">&lt;b&gt;topic&lt;/b&gt;</div>",
        "<div class=\"announcement\"><div class=\"text md\" dir=\"auto\">Mind <strong>the</strong> gap</div>",
        "<p class=\"where\">channel</p>",
        "<dt>By</dt><dd dir=\"auto\">Grace &lt;H.&gt;</dd>",
        "<dt>Window</dt><dd dir=\"auto\">1 March 2024, 05:30:00 UTC+05:30 to the last message</dd>",
        "<dt>Times in</dt><dd dir=\"auto\">Asia/Kolkata (UTC+05:30 when exported)</dd>",
        "<dt>Exported</dt><dd dir=\"auto\">15 November 2023, 03:43:20 UTC+05:30</dd>",
        "<style>body { color: rebeccapurple }</style>",
        "<html lang=\"en\"",
        "<a class=\"skip\" href=\"#messages\">",
        "<main id=\"messages\">",
    ] {
        assert!(entry.contains(part), "{part}");
    }
    let policy = entry
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .unwrap();
    let policy = policy.split('"').next().unwrap();
    assert_eq!(policy.matches("'sha256-").count(), 3, "{policy}");
    assert!(
        !policy.contains("unsafe") && policy.starts_with("default-src 'none';"),
        "{policy}"
    );

    // Where nobody says who exports, the machine does.
    let account = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    let account = String::from_utf8(account.stdout).unwrap();
    let dump = DumpBuilder::new()
        .add(
            "rocketchat_room",
            &doc! {"_id": ROOM, "t": "c", "name": "r"},
        )
        .write(Form::Directory, directory.path());
    let zip = directory.path().join("by.zip");
    let workspace = format!("dump:{}", text(&dump));
    let ran = ran(
        command(&["export", "--workspace", &workspace, "--room", ROOM])
            .args(["--format", "html", "-o", text(&zip)])
            .env_remove("USER")
            .env_remove("LOGNAME"),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let entry = String::from_utf8(entries(&zip)[&format!("{ROOM}.html")].clone()).unwrap();
    let by = format!("<dt>By</dt><dd dir=\"auto\">{}</dd>", account.trim());
    assert!(entry.contains(&by), "{by}");

    std::fs::write(&sheet, "</style><script>alert(1)</script>").unwrap();
    for (option, value, reason) in [
        ("--style", text(&sheet), "would end it"),
        ("--style", "/nowhere.css", "cannot be read"),
        ("--locale", "tlh", "say one of en, en-US, de"),
    ] {
        let ran = run(&[
            "export",
            "--workspace",
            "dump:/nowhere",
            "--room",
            ROOM,
            "--format",
            "html",
            option,
            value,
        ]);
        assert!(
            ran.code == 2 && ran.stderr.contains(reason),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn an_export_of_the_server_is_in_the_requesters_zone_and_language_and_wears_the_servers_style() {
    let home = changed_home(|dump| {
        let users = &dump.collections["users"];
        let mut all = users
            .iter()
            .map(|bytes| Document::from_reader(bytes.as_slice()).unwrap());
        let mut admin = all
            .find(|user| user.get_str("_id").is_ok_and(|id| id == ADMIN.0))
            .unwrap();
        admin.insert("language", "de");
        admin.insert("utcOffset", 5.5);
        // Of two documents with one id the later counts.
        dump.add("users", &admin);
        dump.add(
            "rocketchat_message",
            &doc! {"_id": "late", "rid": "GENERAL", "msg": "late", "ts": DateTime::from_millis(START + 20 * HOUR),
            "u": {"_id": "u1", "username": "ada"}},
        );
    });
    let sheet = home.path().join("own.css");
    std::fs::write(&sheet, "b { color: rebeccapurple }").unwrap();
    let style = format!("export.style={}", text(&sheet));
    let server = Server::start_in(home, &[&style]);
    let id = server.export(
        ADMIN,
        &serde_json::json!({"rid": "GENERAL", "type": "file", "format": "html", "dateFrom": "2000-01-01"}),
    );
    assert_eq!(server.ended(ADMIN, &id)["state"], "done");
    let zip = server.exported().store.join(format!("{id}.zip"));
    let entry = String::from_utf8(entries(&zip)["GENERAL.html"].clone()).unwrap();
    for part in [
        "id=\"d-2024-03-02\"><time datetime=\"2024-03-02\">Samstag, 2. März 2024</time>",
        "UTC+05:30</span></h2>",
        "<dt>Zeiten in</dt><dd dir=\"auto\">UTC+05:30</dd>",
        "<style>b { color: rebeccapurple }</style>",
        "<dt>Von</dt>",
    ] {
        assert!(entry.contains(part), "{part}");
    }
}

#[test]
fn zone_and_language_are_the_workspaces_where_nobody_asks_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = |reports: &str, name: &str| {
        let mut dump = DumpBuilder::new();
        dump.add(
            "rocketchat_room",
            &doc! {"_id": ROOM, "t": "c", "name": "paged"},
        );
        dump.add("rocketchat_message", &message("m", START, "hello"));
        for (id, value) in [
            ("Default_Timezone_For_Reporting", reports),
            ("Default_Custom_Timezone", "Asia/Kolkata"),
            ("Language", "pt_BR"),
        ] {
            dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
        }
        let home = directory.path().join(name);
        std::fs::create_dir(&home).unwrap();
        format!("dump:{}", text(&dump.write(Form::Directory, &home)))
    };
    let (custom, user) = (workspace("custom", "custom"), workspace("user", "user"));
    let of = |address: &str, format: &str, options: &[&str]| {
        let zip = directory.path().join("out.zip");
        let usual = [
            "export",
            "--workspace",
            address,
            "--room",
            ROOM,
            "--format",
            format,
            "--force",
            "-o",
            text(&zip),
        ];
        let ran = run(&[&usual[..], options].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let verified = run(&["verify", text(&zip)]);
        assert_eq!(verified.code, 0, "{}", verified.stderr);
        let entries = entries(&zip);
        let manifest: serde_json::Value =
            serde_json::from_slice(&entries["manifest.json"]).unwrap();
        let query = &manifest["query"];
        let said = [&query["timezone"], &query["locale"]].map(|said| said.as_str().unwrap());
        (said.map(str::to_owned), entries)
    };
    let (said, html) = of(&custom, "html", &[]);
    assert_eq!(said, ["Asia/Kolkata", "pt-BR"]);
    let entry = std::str::from_utf8(&html[&format!("{ROOM}.html")]).unwrap();
    assert!(
        entry.contains("UTC+05:30</span></h2>") && entry.contains("sexta-feira, 1 de março"),
        "{entry}"
    );
    // Zone and language are of pages: the messages as JSON know neither.
    let (said, json) = of(&custom, "json", &[]);
    assert_eq!(said, ["Asia/Kolkata", "pt-BR"]);
    let asked = ["--timezone", "America/New_York", "--locale", "fr"];
    let (said, other) = of(&custom, "json", &asked);
    assert_eq!(said, ["America/New_York", "fr"]);
    assert_eq!(json["paged.json"], other["paged.json"]);
    // What the operator has configured comes between the two.
    let configuration = directory.path().join("own.toml");
    std::fs::write(&configuration, "[export]\ntimezone = \"Asia/Tokyo\"\n").unwrap();
    let (said, _) = of(&custom, "html", &["--config", text(&configuration)]);
    assert_eq!(said, ["Asia/Tokyo", "pt-BR"]);
    // Each user's own zone, or the server's, is no zone of the workspace.
    let (said, _) = of(&user, "html", &["--locale", "en"]);
    assert_eq!(said, ["UTC", "en"]);
}

#[test]
fn a_requester_without_zone_and_language_gets_the_workspaces() {
    let home = changed_home(|dump| {
        for (id, value) in [
            ("Default_Timezone_For_Reporting", "custom"),
            ("Default_Custom_Timezone", "Asia/Kolkata"),
            ("Language", "de"),
        ] {
            dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
        }
    });
    let server = Server::start_in(home, &[]);
    let id = server.export(
        ADMIN,
        &serde_json::json!({"rid": "GENERAL", "type": "file", "format": "html", "dateFrom": "2000-01-01"}),
    );
    assert_eq!(server.ended(ADMIN, &id)["state"], "done");
    let zip = server.exported().store.join(format!("{id}.zip"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&entries(&zip)["manifest.json"]).unwrap();
    let query = &manifest["query"];
    assert_eq!(
        (&query["timezone"], &query["locale"]),
        (&"Asia/Kolkata".into(), &"de".into())
    );
}
