//! Attacks in every text that an export shows do nothing, in a real browser.

use std::fs;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};

use crate::support::attacks;
use crate::support::browser::{browsed, unpack};
use crate::support::cli::{entries, manifest, run, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::gallery;

/// The room's id, an attack of its own: pages are named after it.
const ROOM: &str = "..\"><img src=x onerror=window.pwned=1>";

/// Keys whose values say what a document is: an attack there makes it something unknown, which other messages are.
const FORM: [&str; 6] = ["rid", "type", "t", "typeGroup", "store", "parent"];

/// Every text of a document, and names of its fields where people choose them, replaced by the attack.
fn poisoned(document: &Document, attack: &str, keep_form: bool) -> Document {
    let mut poisoned = Document::new();
    for (key, value) in document {
        let value = if keep_form && FORM.contains(&key.as_str()) || key == "rid" {
            value.clone()
        } else {
            poisoned_value(value, attack, keep_form)
        };
        let key = match key.as_str() {
            // Short codes, languages, fields of operators.
            key if key.starts_with(':') || key.starts_with("zz") || key == "en" => {
                attack.replace('\0', "")
            }
            key => key.to_owned(),
        };
        poisoned.insert(key, value);
    }
    poisoned
}

fn poisoned_value(value: &Bson, attack: &str, keep_form: bool) -> Bson {
    match value {
        Bson::String(_) => Bson::String(attack.to_owned()),
        Bson::Document(inner) => poisoned(inner, attack, keep_form).into(),
        Bson::Array(values) => values
            .iter()
            .map(|value| poisoned_value(value, attack, keep_form))
            .collect::<Vec<_>>()
            .into(),
        other => other.clone(),
    }
}

/// A room in which every message of the gallery stands once for every attack.
fn workspace(attacks: &[String]) -> (DumpBuilder, u64) {
    let gallery = gallery::workspace();
    let templates: Vec<Document> = gallery.collections["rocketchat_message"]
        .iter()
        .map(|bytes| Document::from_reader(bytes.as_slice()).unwrap())
        .collect();
    let mut dump = DumpBuilder::new();
    let all = attacks.join(" ");
    dump.add(
        "rocketchat_room",
        &doc! {"_id": ROOM, "t": "c", "name": "attacked", "fname": &all, "topic": &all, "description": &all, "announcement": &all},
    );
    let picture = gallery::png(8, 8, [1, 2, 3], [4, 5, 6]);
    let mut messages = 0;
    for (number, attack) in attacks.iter().enumerate() {
        let user = doc! {"_id": format!("{attack}{number}"), "username": attack, "name": attack};
        let id = format!("f{number}");
        for (bucket, record) in [
            (
                "rocketchat_uploads",
                doc! {"_id": &id, "name": attack, "type": "image/png", "rid": ROOM, "store": "GridFS:Uploads", "size": i64::try_from(picture.len()).unwrap()},
            ),
            (
                "rocketchat_avatars",
                doc! {"_id": &id, "name": attack, "store": "GridFS:Avatars", "extension": attack},
            ),
            (
                "rocketchat_custom_emoji",
                doc! {"_id": &id, "name": attack, "extension": attack, "aliases": [attack]},
            ),
        ] {
            dump.add(bucket, &record);
        }
        for (bucket, files_id) in [
            ("rocketchat_uploads", id.clone()),
            ("rocketchat_avatars", id.clone()),
            (
                "custom_emoji",
                export_room::blob::BlobKey::of_custom_emoji(
                    export_room::blob::CUSTOM_EMOJI,
                    attack,
                    attack,
                )
                .id,
            ),
        ] {
            let data = Binary {
                subtype: BinarySubtype::Generic,
                bytes: picture.clone(),
            };
            dump.add(
                &format!("{bucket}.chunks"),
                &doc! {"_id": &files_id, "files_id": &files_id, "n": 0, "data": data},
            );
        }
        dump.add("users", &doc! {"_id": format!("{attack}{number}"), "username": attack, "roles": [attack, "owner"]});
        for (place, template) in templates.iter().enumerate() {
            // What a message is, is an attack in every fourth.
            let mut message = poisoned(template, attack, (place + number) % 4 != 0);
            message.insert("_id", format!("{attack} {number}-{place}"));
            message.insert("rid", ROOM);
            message.insert("u", &user);
            if message.contains_key("_hidden") {
                message.insert("_hidden", false);
            }
            if message.contains_key("tmid") {
                message.insert("tmid", format!("{attack} {number}-0"));
            }
            if message.contains_key("files") || message.contains_key("file") {
                message.insert(
                    "files",
                    [
                        doc! {"_id": &id, "name": attack, "type": "image/png"},
                        doc! {"_id": format!("{attack}gone"), "name": attack, "type": attack},
                    ],
                );
            }
            dump.add("rocketchat_message", &message);
            messages += 1;
        }
    }
    (dump, messages)
}

#[test]
fn attacks_in_every_text_do_nothing() {
    let attacks = attacks::all();
    assert!(attacks.len() >= 300, "only {} attacks", attacks.len());
    let directory = tempfile::tempdir().unwrap();
    let (dump, messages) = workspace(&attacks);
    let dump = dump.write(Form::Directory, directory.path());
    let zip = directory.path().join("out.zip");
    let ran = run(&[
        "export",
        "--workspace",
        &format!("dump:{}", text(&dump)),
        "--room",
        ROOM,
        "--format",
        "html",
        "--output",
        text(&zip),
    ]);
    // Every message with files names one that is gone.
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let contents = entries(&zip);
    assert_eq!(manifest(&contents)["messages"]["rendered"], messages);
    let unpacked = directory.path().join("unpacked");
    unpack(&contents, &unpacked);
    let found = browsed("attacks.mjs", &unpacked);
    assert_eq!(found["faults"], serde_json::json!([]), "{found:#}");
    assert_eq!(found["articles"], messages);
}

#[test]
fn nothing_is_painted_over_another_message_or_out_of_the_page() {
    let quote = |inner: Document, number: i32| {
        doc! {
            "text": format!("level {number} in a few words"), "author_name": "somebody",
            "message_link": format!("https://chat.example.org/channel/x?msg=q{number}"),
            "ts": DateTime::from_millis(0), "attachments": [inner],
        }
    };
    let quotes = (0..9).fold(doc! {"text": "the last words of all"}, quote);
    let words =
        doc! {"type": "PARAGRAPH", "value": [{"type": "PLAIN_TEXT", "value": "some words"}]};
    let within = |kind: &str, item: Option<Document>| {
        (0..30).fold(words.clone(), |inner, _| {
            let parts: Vec<Document> = item.iter().cloned().chain([inner]).collect();
            doc! {"type": kind, "value": parts}
        })
    };
    let item = doc! {"type": "LIST_ITEM", "value": [{"type": "PLAIN_TEXT", "value": "item"}]};
    let marks = format!("Z{} y{}", "\u{301}".repeat(400), "\u{316}".repeat(400));
    let mut dump = DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &doc! {"_id": "BOUNDS", "t": "c", "name": "bounds", "fname": "x".repeat(20_000), "topic": &marks},
    );
    for (number, (id, message)) in (0..).zip([
        ("numbers", doc! {"msg": "98. a\n99. b"}),
        ("years", doc! {"msg": "2024. a\n2025. b"}),
        ("quotes", doc! {"msg": "x", "attachments": [quotes]}),
        ("quoted", doc! {"msg": "x", "md": [within("QUOTE", None)]}),
        (
            "listed",
            doc! {"msg": "x", "md": [within("UNORDERED_LIST", Some(item))]},
        ),
        (
            "code",
            doc! {"msg": format!("```{}\n{}\n```", "l".repeat(2_000), "x".repeat(2_000))},
        ),
        ("above", doc! {"msg": "what is above"}),
        ("stacked", doc! {"msg": marks}),
        ("below", doc! {"msg": "what is below"}),
    ]) {
        let mut all = doc! {
            "_id": id, "rid": "BOUNDS", "ts": DateTime::from_millis(number),
            "u": {"_id": id, "username": id},
        };
        all.extend(message);
        dump.add("rocketchat_message", &all);
    }
    let directory = tempfile::tempdir().unwrap();
    let dump = dump.write(Form::Directory, directory.path());
    let zip = directory.path().join("out.zip");
    let workspace = format!("dump:{}", text(&dump));
    let ran = run(&[
        "export",
        "--workspace",
        &workspace,
        "--room",
        "BOUNDS",
        "--format",
        "html",
        "--no-search",
        "-o",
        text(&zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = directory.path().join("BOUNDS.html");
    fs::write(&page, &entries(&zip)["BOUNDS.html"]).unwrap();
    let found = browsed("bounds.mjs", &page);
    assert_eq!(found, serde_json::json!({"faults": [], "measured": 6}));
}

#[test]
fn the_browser_sees_what_gets_out() {
    let directory = tempfile::tempdir().unwrap();
    let page = |name: &str, content: &str| {
        let page = format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>t</title></head><body><main>\
             <article class=\"m\" id=\"m-1\">{content}</article></main></body></html>"
        );
        fs::write(directory.path().join(name), page).unwrap();
    };
    let cases = [
        (
            "a.html",
            "<img src=\"assets/x.png\" onerror=\"window.pwned=1\">",
            "an attack ran",
        ),
        (
            "b.html",
            "<img src=\"https://evil.test/x.png\">",
            "request: https://evil.test/x.png",
        ),
        (
            "c.html",
            "<a href=\"javascript:x\">x</a>",
            "a link that leads elsewhere",
        ),
        ("d.html", "<script>alert(1)</script>", "dialog: 1"),
        ("e.html", "<iframe></iframe>", "an element that is not ours"),
        (
            "f.html",
            "<p id=\"location\"></p>",
            "an id that is not ours",
        ),
        (
            "g.html",
            "</article><p>outside</p>",
            "something between the messages",
        ),
        (
            "h.html",
            "<p style=\"color:red\"></p>",
            "the attribute style",
        ),
    ];
    for (name, content, _) in cases {
        page(name, content);
    }
    let found = browsed("attacks.mjs", directory.path());
    let faults: Vec<&str> = found["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault.as_str().unwrap())
        .collect();
    for (name, _, expected) in cases {
        assert!(
            faults
                .iter()
                .any(|fault| fault.starts_with(name) && fault.contains(expected)),
            "{name}: {expected} is not among {faults:#?}"
        );
    }
}

/// A page, and a drawing, that do what no file of a stranger may.
const RUNS: [&str; 2] = [
    "<!DOCTYPE html><title>x</title><script>window.pwned = 1; alert('ran')</script><img src='http://127.0.0.1:9/x'>",
    "<svg xmlns='http://www.w3.org/2000/svg'><script>window.pwned = 1; alert('ran')</script></svg>",
];

/// How they are called,
const NAMES: [&str; 25] = [
    "page.html",
    "page.HTM",
    "page.html.",
    "page.html ",
    "page.shtm",
    "page.ehtml",
    "page.xhtml",
    "page.xht",
    "page.mht",
    "page.mhtml",
    "page.eml",
    "drawing.svg",
    "drawing.svgz",
    "page.xml",
    "page.xsl",
    "page",
    "page.html.txt",
    "page.txt",
    "page.pdf",
    "page.png",
    "page.html\u{202e}gnp.",
    "page.json",
    "page.js",
    "page.php",
    "page.unknown",
];

/// and what their senders say that they are.
const TYPES: [&str; 7] = [
    "text/html",
    "image/svg+xml",
    "image/png",
    "video/mp4",
    "audio/mpeg",
    "application/pdf",
    "",
];

/// A room with every such file under every name and type, also in a quote.
fn room_of_files() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &doc! {"_id": "R", "t": "c", "name": "files"},
    );
    let mut messages = 0;
    for (name, kind, content) in NAMES.iter().flat_map(|name| {
        TYPES
            .iter()
            .enumerate()
            .map(move |(number, kind)| (name, kind, RUNS[number % RUNS.len()]))
    }) {
        messages += 1;
        let id = format!("f{messages}");
        let size = i64::try_from(content.len()).unwrap();
        dump.add(
            "rocketchat_uploads",
            &doc! {"_id": &id, "name": name, "type": kind, "rid": "R", "store": "GridFS:Uploads", "size": size},
        );
        let data = Binary {
            subtype: BinarySubtype::Generic,
            bytes: content.into(),
        };
        dump.add(
            "rocketchat_uploads.chunks",
            &doc! {"_id": &id, "files_id": &id, "n": 0, "data": data},
        );
        let address = format!("/file-upload/{id}/{name}");
        dump.add(
            "rocketchat_message",
            &doc! {
                "_id": format!("m{messages}"), "rid": "R", "msg": "", "u": {"_id": "u", "username": "eve"},
                "ts": bson::DateTime::from_millis(1_700_000_000_000 + messages),
                "files": [{"_id": &id, "name": name, "type": kind}],
                "attachments": [
                    {"type": "file", "title": name, "title_link": &address, "image_url": &address},
                    {"text": "quoted", "message_link": "https://chat.test/channel/files?msg=m1",
                     "attachments": [{"type": "file", "title": name, "title_link": &address, "image_url": &address}]},
                ],
            },
        );
    }
    dump
}

#[test]
fn files_of_strangers_do_not_run_when_their_links_are_clicked() {
    let directory = tempfile::tempdir().unwrap();
    let dump = room_of_files();
    let dump = dump.write(Form::Directory, directory.path());
    let zip = directory.path().join("out.zip");
    let ran = run(&[
        "export",
        "--workspace",
        &format!("dump:{}", text(&dump)),
        "--room",
        "files",
        "--format",
        "html",
        "--output",
        text(&zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let contents = entries(&zip);
    let unpacked = directory.path().join("unpacked");
    unpack(&contents, &unpacked);
    let found = browsed("clicks.mjs", &unpacked);
    assert_eq!(found["faults"], serde_json::json!([]), "{found:#}");
    // Harmless endings have their links, whatever the type says.
    let harmless = [".txt", ".pdf", ".png", ".json"].map(|ending| {
        let entries = contents.keys().filter(|name| name.ends_with(ending));
        entries.filter(|name| name.starts_with("assets/")).count()
    });
    assert_eq!(harmless, [2, 1, 1, 1].map(|names| names * TYPES.len()));
    assert_eq!(found["links"], harmless.iter().sum::<usize>(), "{found:#}");
    // What has none is found by its path.
    let page = String::from_utf8_lossy(&contents["R.html"]);
    let paths: Vec<&String> = contents
        .keys()
        .filter(|name| name.ends_with("page.html"))
        .collect();
    assert!(paths.len() >= TYPES.len(), "{paths:?}");
    for path in paths {
        assert!(
            page.contains(&format!("<code class=\"path\" dir=\"ltr\">{path}</code>")),
            "{path}"
        );
    }
}

#[test]
fn the_browser_sees_a_file_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("assets")).unwrap();
    for (name, content) in ["x.html", "x.svg"].iter().zip(RUNS) {
        fs::write(directory.path().join("assets").join(name), content).unwrap();
        let link = format!("<a href=\"assets/{name}\" download>x</a>");
        fs::write(directory.path().join(format!("to-{name}.html")), link).unwrap();
    }
    let found = browsed("clicks.mjs", directory.path());
    for expected in [
        "assets/x.html: dialog: ran",
        "assets/x.html: request: http://127.0.0.1:9/x",
        "assets/x.html: an attack ran",
        "assets/x.svg: an attack ran",
    ] {
        let faults = found["faults"].as_array().unwrap();
        assert!(
            faults.iter().any(|fault| fault == expected),
            "{expected} is not in {found:#}"
        );
    }
}
