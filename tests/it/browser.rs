//! Exported pages in a real browser, over `file://`, as a reader opens them; `tests/browser` says what is done there.

use std::fs;
use std::path::Path;
use std::process::Command;

use bson::{DateTime, Document, doc};

use crate::support::cli::{run, text};
use crate::support::dump::DumpBuilder;
use crate::support::generate;

/// Days before the generated messages, which begin in July 2017, and after them.
const BEFORE: i64 = 1_451_606_400_000;
const AFTER: i64 = 1_577_836_800_000;
const DAY: i64 = 86_400_000;

fn said(id: &str, ts: i64, said: &str) -> Document {
    doc! {
        "_id": id, "rid": generate::ROOM, "ts": DateTime::from_millis(ts), "msg": said,
        "u": {"_id": "ada", "username": "ada", "name": "Ada Lovelace"},
    }
}

fn messages() -> Vec<Document> {
    let mut all: Vec<Document> = [
        ("zebra", "Zebra crossing at the station"),
        ("accents", "Crème brûlée à la Straße"),
        ("japanese", "今日は漢字テストです"),
        ("chinese", "中文搜索引擎很好用"),
        ("korean", "한국어 검색 기능"),
        ("arabic", "مُحَمَّد يكتب رسالة عربية"),
        ("hebrew", "שָׁלוֹם עולם"),
        ("emoji", "look: 🦓!"),
        ("jam", "printer jam"),
        ("link", "see https://example.org/path?q=1"),
        (
            "hostile",
            "<img src=x onerror=alert(1)> </script><script>alert(2)</script> \"q\\\" <b>hostileword</b>\u{2028}",
        ),
        ("spoiler", "in the end it was ||the mustardword|| again"),
    ]
    .into_iter()
    .zip(0..)
    .map(|((id, text), day)| said(id, BEFORE + day * DAY, text))
    .collect();
    let mut root = said("threadRoot", BEFORE + 20 * DAY, "who likes pineapple?");
    root.insert("tcount", 1);
    root.insert("tlm", DateTime::from_millis(AFTER));
    root.insert("replies", ["ada"].as_slice());
    let mut reply = said("threadReply", AFTER, "I like pineapple");
    reply.insert("tmid", "threadRoot");
    let mut encrypted = said("encrypted", AFTER + DAY, "ciphertext");
    encrypted.insert("t", "e2e");
    encrypted.insert("u", doc! {"_id": "eve", "username": "eve"});
    all.extend([root, reply, encrypted]);
    all.extend(long_thread());
    all.extend(quotes());
    all
}

/// More replies than the first message of a thread lists, all of them on the room's last page.
fn long_thread() -> Vec<Document> {
    let by_grace = |id: &str, ts, text: &str| {
        let mut message = said(id, ts, text);
        message.insert("u", doc! {"_id": "grace", "username": "grace"});
        message
    };
    let mut all = vec![by_grace(
        "longRoot",
        BEFORE + 30 * DAY,
        "a **novel** in parts",
    )];
    for number in 0..60_i64 {
        let mut reply = by_grace(
            &format!("longReply{number:02}"),
            AFTER + 2 * DAY + number * 60_000,
            &format!("chapter {number}"),
        );
        reply.insert("tmid", "longRoot");
        all.push(reply);
    }
    all
}

/// A quote of a message on another page, one of a message on the same page, and one of a message elsewhere.
fn quotes() -> Vec<Document> {
    [
        ("quoteFar", "zebra", BEFORE),
        ("quoteNear", "longReply05", AFTER + 2 * DAY + 5 * 60_000),
        ("quoteElsewhere", "notHere", BEFORE),
    ]
    .into_iter()
    .zip(1..)
    .map(|((id, of, ts), number)| {
        let link = format!("https://chat.example.org/channel/big?msg={of}");
        let mut quote = said(
            id,
            AFTER + 3 * DAY + number * 60_000,
            &format!("[ ]({link}) quoting{number}"),
        );
        quote.insert("u", doc! {"_id": "grace", "username": "grace"});
        quote.insert(
            "attachments",
            [doc! {
                "author_name": "ada", "text": "as it was said", "message_link": link,
                "ts": DateTime::from_millis(ts),
            }]
            .as_slice(),
        );
        quote
    })
    .collect()
}

fn export(dump: &Path, format: &str, zip: &Path) {
    let ran = run(&[
        "export",
        "--workspace",
        &format!("dump:{}", text(dump)),
        "--room",
        generate::ROOM,
        "--format",
        format,
        "-o",
        text(zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

fn unpack(zip: &Path, directory: &Path) {
    let status = Command::new("unzip")
        .args(["-q", text(zip), "-d", text(directory)])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn pages_do_what_readers_expect() {
    let home = tempfile::tempdir().unwrap();
    let mut builder = DumpBuilder::new();
    for message in messages() {
        builder.add("rocketchat_message", &message);
    }
    let dump = builder.write_with_large_room(home.path(), 4_500);
    // A place whose address needs care.
    let pages = home.path().join("an export, 100% #1");
    let lines = home.path().join("json");
    for (format, directory) in [("html", &pages), ("json", &lines)] {
        let zip = home.path().join(format).with_extension("zip");
        export(&dump, format, &zip);
        unpack(&zip, directory);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("node")
        .arg(root.join("tests/browser/pages.mjs"))
        .arg(&pages)
        .arg(format!("{}.html", generate::ROOM))
        .arg(lines.join(format!("{}.json", generate::NAME)))
        .arg(root.join("crates/transcript/src/search/fold.json"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    let checks = fs::read_to_string(root.join("tests/browser/pages.mjs"))
        .unwrap()
        .matches("\ncheck(\"")
        .count();
    assert!(
        said.contains(&format!("{checks} of {checks} checks passed")),
        "{said}"
    );
}
