//! The gallery room, which has every kind of message: its articles are compared with those that somebody has looked at.
//!
//! `EXPORT_ROOM_UPDATE_SNAPSHOTS=1` writes them anew; the difference is then read like any other change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::browser::{browsed, unpack};
use crate::support::cli::{entries, manifest, run, text};
use crate::support::dump::Form;
use crate::support::gallery;

/// Exports the gallery; the ZIP stays in `target/gallery` for those who want to look at it.
fn exported(options: &[&str], name: &str) -> (PathBuf, BTreeMap<String, Vec<u8>>) {
    let directory = tempfile::tempdir().unwrap();
    let dump = gallery::workspace().write(Form::ArchiveGzip, directory.path());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gallery");
    fs::create_dir_all(&target).unwrap();
    let zip = target.join(name);
    let workspace = format!("dump:{}", text(&dump));
    let mut arguments = vec!["export", "--workspace", &workspace, "--room", "gallery"];
    arguments.extend(["--format", "html", "--timezone", "Europe/Berlin", "--force"]);
    arguments.extend(["--output", text(&zip)]);
    arguments.extend(options);
    let ran = run(&arguments);
    // A file is missing.
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let verified = run(&["verify", text(&zip)]);
    assert_eq!(
        verified.code,
        1,
        "{}{}",
        String::from_utf8_lossy(&verified.stdout),
        verified.stderr
    );
    let contents = entries(&zip);
    (zip, contents)
}

/// The articles of a page: what this test is about; the frame around them has tests of its own.
fn articles(page: &[u8]) -> String {
    let page = std::str::from_utf8(page).unwrap();
    let mut all = String::new();
    for part in page.split("<article ").skip(1) {
        let (article, _) = part.split_once("</article>").unwrap();
        all.push_str("<article ");
        all.push_str(article);
        all.push_str("</article>\n");
    }
    all
}

#[test]
fn every_kind_of_message_looks_as_it_did_when_somebody_looked() {
    let (_, contents) = exported(&["--history"], "gallery.zip");
    let found = articles(&contents["GALLERY.html"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/gallery.html");
    if std::env::var_os("EXPORT_ROOM_UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (found, expected))) = found
        .lines()
        .zip(expected.lines())
        .enumerate()
        .find(|(_, (found, expected))| found != expected)
    {
        panic!(
            "line {}:\n  found    {found}\n  expected {expected}\nset EXPORT_ROOM_UPDATE_SNAPSHOTS=1 when it should be so",
            number + 1
        );
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[test]
fn pictures_are_packed_once_and_only_what_can_be_shown() {
    let (_, contents) = exported(&[], "gallery-pictures.zip");
    let pictures: Vec<&str> = contents
        .keys()
        .map(String::as_str)
        .filter(|name| transcript::names::is_picture(name))
        .collect();
    assert_eq!(
        pictures,
        [
            "assets/avatars/alice.png",
            "assets/avatars/rocket.cat.png",
            "assets/emoji/party_otter.png",
            "assets/thumbnails/IMG2T-thumb-noise.png",
        ]
    );
    let counts = &manifest(&contents)["pictures"];
    // What is named a PNG and is a drawing is not shown.
    assert_eq!(
        (
            &counts["avatars"],
            &counts["emoji"],
            &counts["thumbnails"],
            &counts["unusable"]
        ),
        (&2.into(), &1.into(), &1.into(), &1.into())
    );

    let (_, contents) = exported_without_files();
    assert!(contents.keys().all(|name| !name.starts_with("assets/")));
    let page = String::from_utf8_lossy(&contents["GALLERY.html"]).into_owned();
    assert!(!page.contains("<img"), "a picture that is not there");
}

#[test]
fn pictures_come_out_of_a_file_system_store_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("files");
    fs::create_dir(&files).unwrap();
    let (old, new) = (
        gallery::png(8, 8, [1; 3], [2; 3]),
        gallery::png(9, 9, [3; 3], [4; 3]),
    );
    for (name, bytes) in [
        ("AV1.png", &new),
        ("wave%20hi.png", &new),
        ("only.gif", &old),
    ] {
        fs::write(files.join(name), bytes).unwrap();
    }
    let mut dump = crate::support::dump::DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &bson::doc! {"_id": "R", "t": "c", "name": "r"},
    );
    dump.add(
        "rocketchat_message",
        &bson::doc! {
            "_id": "m", "rid": "R", "ts": bson::DateTime::from_millis(1), "u": {"_id": "a", "username": "ann"},
            "msg": "x", "reactions": {":wave hi:": {"usernames": ["b"]}, ":alone:": {"usernames": ["b"]}},
        },
    );
    dump.add(
        "rocketchat_avatars",
        &bson::doc! {"_id": "AV1", "name": "ann", "store": "FileSystem:Avatars", "extension": "png"},
    );
    for (id, name, extension) in [("E1", "wave hi", "png"), ("E2", "alone", "gif")] {
        dump.add(
            "rocketchat_custom_emoji",
            &bson::doc! {"_id": id, "name": name, "aliases": [], "extension": extension},
        );
    }
    fs::rename(files.join("only.gif"), files.join("alone.gif")).unwrap();
    // The one in GridFS is from before the setting was changed.
    gallery::picture(&mut dump, "custom_emoji", "wave%20hi.png", &old);
    dump.add(
        "rocketchat_settings",
        &bson::doc! {"_id": "EmojiUpload_Storage_Type", "value": "FileSystem"},
    );
    let path = dump.write(Form::Directory, directory.path());
    let exported = |options: &[&str]| {
        let zip = directory.path().join("out.zip");
        let workspace = format!("dump:{}", text(&path));
        let usual = [
            "export",
            "--workspace",
            &workspace,
            "--room",
            "r",
            "--format",
            "html",
            "--force",
        ];
        let ran = run(&[&usual[..], &["-o", text(&zip)], options].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let contents = entries(&zip);
        let page = String::from_utf8(contents["R.html"].clone()).unwrap();
        (contents, page)
    };
    let (contents, page) = exported(&["--files", text(&files)]);
    assert!(contents["assets/avatars/ann.png"] == new);
    assert!(contents["assets/emoji/wave hi.png"] == new, "the older one");
    // It is what its bytes say.
    assert!(contents["assets/emoji/alone.png"] == old);
    assert!(page.contains("assets/emoji/wave%20hi.png") && page.contains("assets/avatars/ann.png"));
    // Without the directory there is what GridFS has, and the short code.
    let (contents, page) = exported(&[]);
    assert!(contents["assets/emoji/wave hi.png"] == old);
    assert!(
        page.contains(":alone:") && !page.contains("assets/avatars"),
        "{page}"
    );
}

fn exported_without_files() -> (tempfile::TempDir, BTreeMap<String, Vec<u8>>) {
    let directory = tempfile::tempdir().unwrap();
    let dump = gallery::workspace().write(Form::Directory, directory.path());
    let zip = directory.path().join("out.zip");
    let ran = run(&[
        "export",
        "--workspace",
        &format!("dump:{}", text(&dump)),
        "--room",
        "gallery",
        "--format",
        "html",
        "--no-attachments",
        "--output",
        text(&zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let contents = entries(&zip);
    (directory, contents)
}

#[test]
fn pages_speak_the_language_that_is_asked_for() {
    for (locale, lang, parts) in [
        (
            "de",
            "de",
            [
                "bearbeitet von <bdi>alice</bdi> <time datetime=\"2024-03-15T14:00:00.000Z\">15.03.2024 15:00",
                "Antwort an <a",
                "Datei fehlt: <bdi>",
                "Zu den Nachrichten",
                "1,",
            ],
        ),
        (
            "ja",
            "ja",
            [
                "<bdi>alice</bdi> が編集",
                "</a> への返信",
                "ファイルがありません：<bdi>",
                "メッセージへ移動",
                "search:\"すべてのメッセージを検索\"",
            ],
        ),
        (
            "en-US",
            "en-US",
            [
                "\">10:01:00 AM</time></a>",
                "\">1:10:00 PM</time></a>",
                "03/15/2024 3:00 PM</time>",
                "Friday, March 15, 2024</time>",
                "Skip to the messages",
            ],
        ),
        (
            "en-GB",
            "en",
            [
                "edited by <bdi>",
                "Reply to <a",
                "File missing: <bdi>",
                "Skip to the messages",
                "search:\"Search all messages\"",
            ],
        ),
    ] {
        let (_, contents) = exported(&["--locale", locale], "gallery-language.zip");
        let page = String::from_utf8_lossy(&contents["GALLERY.html"]).into_owned();
        assert!(page.contains(&format!("<html lang=\"{lang}\"")), "{lang}");
        for part in parts {
            assert!(page.contains(part), "{lang}: {part}");
        }
        let sentence = match lang {
            "de" => "ist dem Channel beigetreten",
            "ja" => "チャンネルに参加しました",
            _ => "joined the channel",
        };
        assert!(page.contains(&format!("dir=\"auto\">{sentence}")), "{lang}");
        // What is found is what the page says.
        let found = contents
            .iter()
            .filter(|(name, _)| name.starts_with("search/"));
        let found: Vec<_> = found
            .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(sentence))
            .collect();
        assert!(!found.is_empty(), "{lang}");
        if !lang.starts_with("en") {
            // Of the workspace's own translation a page says so.
            let ours = page.replace(" lang=\"en\">Good morning</dd>", "");
            assert!(!ours.contains("lang=\"en\""), "{lang}");
            for english in [
                "Reply to",
                "edited by",
                "File missing",
                "no record of it",
                ">Discussion<",
                "Skip to",
            ] {
                assert!(!page.contains(english), "{lang}: {english}");
            }
        }
    }
}

#[test]
fn texts_that_nobody_may_see_are_not_there() {
    let (_, contents) = exported(&[], "gallery-private.zip");
    let page = String::from_utf8_lossy(&contents["GALLERY.html"]).into_owned();
    for secret in ["secret-token", "starred", "AAECAwQFBgcICQ=="] {
        assert!(!page.contains(secret), "{secret}");
    }
    // Without history, old versions are left out.
    assert!(!page.contains("We meet at eleven") && page.contains("We meet at noon"));
}

#[test]
fn what_is_too_much_for_a_page_is_cut_with_a_mark() {
    let long = "word ".repeat(400_000);
    let attachment = bson::doc! {"text": "one of many", "author_name": "somebody"};
    let mut reactions = bson::Document::new();
    for number in 0..250 {
        reactions.insert(format!(":r{number}:"), bson::doc! {"usernames": ["alice"]});
    }
    let crowd: Vec<String> = (0..3_000).map(|number| format!("user{number}")).collect();
    let mut dump = crate::support::dump::DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &bson::doc! {"_id": "BIG", "t": "c", "name": "big", "fname": "r".repeat(20_000), "topic": "t".repeat(20_000)},
    );
    // A thread with a page of its own, by somebody with a long name.
    for number in 0..60 {
        let mut message = bson::doc! {
            "_id": format!("t{number}"), "rid": "BIG", "ts": bson::DateTime::from_millis(number), "msg": "x",
            "u": {"_id": "b", "username": "b", "name": "n".repeat(1_000)},
        };
        if number > 0 {
            message.insert("tmid", "t0");
        }
        dump.add("rocketchat_message", &message);
    }
    for (number, more) in [
        bson::doc! {"msg": &long, "alias": "n".repeat(1_000)},
        bson::doc! {"msg": "", "attachments": vec![attachment; 250]},
        bson::doc! {"msg": "", "reactions": reactions},
        bson::doc! {"msg": "", "reactions": {":+1:": {"usernames": crowd}}},
        bson::doc! {"msg": "", "attachments": [{"text": "x", "fields": vec![bson::doc! {"title": "t", "value": "v"}; 250]}]},
        bson::doc! {"msg": "", "blocks": vec![bson::doc! {"type": "divider"}; 250]},
    ]
    .into_iter()
    .enumerate()
    {
        let mut message = bson::doc! {"_id": format!("m{number}"), "rid": "BIG", "ts": bson::DateTime::from_millis(1), "u": {"_id": "a", "username": "a"}};
        message.extend(more);
        dump.add("rocketchat_message", &message);
    }
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let workspace = format!(
        "dump:{}",
        text(&dump.write(Form::Directory, directory.path()))
    );
    let ran = run(&[
        "export",
        "--workspace",
        &workspace,
        "--room",
        "big",
        "--format",
        "html",
        "--output",
        text(&zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let contents = entries(&zip);
    let pages: String = contents
        .iter()
        .filter(|(name, _)| name.contains(".html"))
        .map(|(_, page)| String::from_utf8_lossy(page))
        .collect();
    // Attachments, reactions, fields and blocks; people.
    assert_eq!(pages.matches("Cut here: 50 more, which").count(), 4);
    assert_eq!(pages.matches("Cut here: 1000 more, which").count(), 1);
    let (_, long) = pages.split_once("id=\"m-m0\"").unwrap();
    let (long, _) = long.split_once("</article>").unwrap();
    assert!(
        long.contains("ut here: ") && long.len() < 1_200_000,
        "{}",
        long.len()
    );
    for letter in ["n", "r"] {
        let (shown, too_long) = (letter.repeat(200) + "…", letter.repeat(201));
        assert!(pages.contains(&shown) && !pages.contains(&too_long));
    }
    assert!(pages.contains("tt…</div>") && !pages.contains(&"t".repeat(2_049)));
    assert!(
        contents.contains_key("BIG-thread-1.html") && contents.contains_key("BIG-calendar.html")
    );
    let anomalies = manifest(&contents)["anomalies"].to_string();
    assert!(anomalies.contains("too-much-for-a-page"), "{anomalies}");
}

#[test]
fn everybody_can_use_every_kind_of_message() {
    let directory = tempfile::tempdir().unwrap();
    let (_, contents) = exported(&[], "gallery-accessible.zip");
    unpack(&contents, directory.path());
    let found = browsed("accessible.mjs", directory.path());
    assert_eq!(found["faults"], serde_json::json!([]), "{found:#}");
    let pages = fs::read_dir(directory.path()).unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension()
            .is_some_and(|extension| extension == "html")
    });
    assert_eq!(found["pages"], pages.count());
    assert!(found["searches"].as_u64() > Some(4), "{found:#}");
}
