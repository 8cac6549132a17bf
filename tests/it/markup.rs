//! Texts as typed, read by us and by Rocket.Chat's own parser, the npm package `@rocket.chat/message-parser`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use bson::{Bson, doc};
use export_room::store::dump::Dump;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use transcript::markup::{Markup, Node, Options, Tag, Target};
use transcript::message::{Field, Message};

use crate::support::cli::{entries, run, text};
use crate::support::dump::{DumpBuilder, Form, shared_workspace};

/// Parts of the grammar, and texts that were written to reach its corners.
const CORPUS: &str = include_str!("../markup.json");
/// Texts that are put together from the parts.
const COMBINED: usize = 12_000;
/// More of the texts than this must not differ, whatever the reason: a hundredth.
const DIFFERENT: usize = 100;

/// A day in 2023: what depends on the day of parsing differs for certain.
const SENT: i64 = 1_700_000_000_000;

/// Why a text may differ, as `docs/compatibility.md` lists it.
fn reason(text: &str) -> Option<&'static str> {
    let has = |before: &str, inner: fn(char) -> bool| {
        text.split(before)
            .skip(1)
            .any(|rest| rest.starts_with(inner))
    };
    if has("[](+", |next| next.is_ascii_digit() || next == '(') {
        Some("a phone number's link without a title")
    } else if text.contains("<t:") && has(":", |next| next.is_ascii_digit()) {
        Some("a time of day with an offset")
    } else {
        None
    }
}

struct Job {
    text: String,
    dollar: bool,
}

/// Compares all of them, and gives the reasons of those that differ.
fn compare(jobs: &[Job]) -> BTreeSet<&'static str> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("texts.json");
    let list: Vec<_> = jobs
        .iter()
        .map(|job| json!({"text": job.text, "dollar": job.dollar}))
        .collect();
    std::fs::write(&file, serde_json::to_vec(&list).unwrap()).unwrap();
    let modules = std::env::var_os("EXPORT_ROOM_NODE_MODULES")
        .expect("EXPORT_ROOM_NODE_MODULES is not set: run the tests with `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/message_parser.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(modules)
        .arg(&file)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), jobs.len());

    let mut markup = Markup::default();
    let mut reasons = BTreeSet::new();
    let mut different = 0;
    for (job, theirs) in jobs.iter().zip(theirs.lines()) {
        let theirs: Value = serde_json::from_str(theirs).unwrap();
        let options = Options {
            katex_dollar: job.dollar,
            ..Options::default()
        };
        markup.parse(&job.text, SENT, &options);
        let ours = tree(&markup);
        if ours != theirs {
            let Some(reason) = reason(&job.text) else {
                panic!("{:?}\n  theirs {theirs}\n  ours   {ours}", job.text);
            };
            reasons.insert(reason);
            different += 1;
        }
    }
    assert!(
        different * DIFFERENT < jobs.len(),
        "{different} of {} differ",
        jobs.len()
    );
    reasons
}

/// Our nodes in the form of theirs.
fn tree(markup: &Markup) -> Value {
    let mut open: Vec<Vec<Value>> = vec![Vec::new()];
    for node in markup.nodes() {
        let node = match *node {
            Node::Start(_) => {
                open.push(Vec::new());
                continue;
            }
            Node::End(tag) => container(markup, tag, &Value::Array(open.pop().unwrap())),
            leaf => self::leaf(markup, leaf),
        };
        let siblings = open.last_mut().unwrap();
        match siblings.last_mut() {
            Some(last) if last["type"] == "PLAIN_TEXT" && node["type"] == "PLAIN_TEXT" => {
                let joined = [&last["value"], &node["value"]].map(|text| text.as_str().unwrap());
                last["value"] = joined.concat().into();
            }
            _ => siblings.push(node),
        }
    }
    Value::Array(open.pop().unwrap())
}

fn container(markup: &Markup, tag: Tag, value: &Value) -> Value {
    let target = |target: Target| {
        let mut text = String::new();
        markup.target(target, &mut text);
        text
    };
    match tag {
        Tag::Paragraph => json!({"type": "PARAGRAPH", "value": value}),
        Tag::Heading(level) => json!({"type": "HEADING", "level": level, "value": value}),
        Tag::Quote => json!({"type": "QUOTE", "value": value}),
        Tag::SpoilerBlock => json!({"type": "SPOILER_BLOCK", "value": value}),
        Tag::List => json!({"type": "UNORDERED_LIST", "value": value}),
        Tag::Numbered => json!({"type": "ORDERED_LIST", "value": value}),
        Tag::Tasks => json!({"type": "TASKS", "value": value}),
        Tag::Item(None) => json!({"type": "LIST_ITEM", "value": value}),
        Tag::Item(Some(number)) => {
            json!({"type": "LIST_ITEM", "value": value, "number": number})
        }
        Tag::Task(done) => json!({"type": "TASK", "status": done, "value": value}),
        Tag::BigEmoji => json!({"type": "BIG_EMOJI", "value": value}),
        Tag::Bold => json!({"type": "BOLD", "value": value}),
        Tag::Italic => json!({"type": "ITALIC", "value": value}),
        Tag::Strike => json!({"type": "STRIKE", "value": value}),
        Tag::Spoiler => json!({"type": "SPOILER", "value": value}),
        Tag::Link(to) => json!({"type": "LINK", "src": target(to), "label": value}),
        Tag::Image(to) => json!({"type": "IMAGE", "src": target(to), "label": value}),
    }
}

fn leaf(markup: &Markup, node: Node) -> Value {
    let shown = |span| markup.str(span);
    match node {
        Node::Text(span) => json!({"type": "PLAIN_TEXT", "value": shown(span)}),
        Node::LineBreak => json!({"type": "LINE_BREAK"}),
        Node::Code(span) => json!({"type": "INLINE_CODE", "value": shown(span)}),
        Node::CodeBlock { language, lines } => {
            let language = if language.is_empty() {
                "none"
            } else {
                shown(language)
            };
            json!({"type": "CODE", "language": language, "value": shown(lines)})
        }
        Node::User(span) => json!({"type": "MENTION_USER", "value": shown(span)}),
        Node::Channel(span) => json!({"type": "MENTION_CHANNEL", "value": shown(span)}),
        Node::Emoji { text: span, code } => {
            json!({"type": "EMOJI", "value": shown(span), "shortCode": markup.code(code)})
        }
        Node::Unicode(span) => json!({"type": "EMOJI", "unicode": shown(span)}),
        Node::Color(color) => json!({"type": "COLOR", "value": color}),
        Node::Math(span) => json!({"type": "INLINE_KATEX", "value": shown(span)}),
        Node::MathBlock(span) => json!({"type": "KATEX", "value": shown(span)}),
        Node::Time { seconds, form } => {
            json!({"type": "TIMESTAMP", "timestamp": seconds, "format": form.letter().to_string()})
        }
        Node::Start(_) | Node::End(_) | Node::Cut => json!({"type": "CUT"}),
    }
}

/// The texts of a dump's messages, each once, at most so many.
fn texts_of(dump: &Path, most: usize) -> Vec<Job> {
    let mut texts = BTreeSet::new();
    let mut seen = 0_usize;
    Dump::open(dump)
        .unwrap()
        .scan(
            &|name| name == "rocketchat_message",
            &CancellationToken::new(),
            &mut |_| {},
            &mut |found| {
                let message = Message::read(found.doc);
                let text = message.text(Field::Msg).to_str().into_owned();
                seen += 1;
                // From all of it, not from its beginning.
                if !text.is_empty() && (texts.len() < most || seen.is_multiple_of(7)) {
                    texts.insert(text);
                }
                Ok(())
            },
        )
        .unwrap();
    let step = texts.len().div_ceil(most).max(1);
    texts
        .into_iter()
        .step_by(step)
        .map(|text| Job {
            text,
            dollar: false,
        })
        .collect()
}

#[test]
fn ours_and_rocket_chats_parser_agree_on_the_grammar() {
    let corpus: Value = serde_json::from_str(CORPUS).unwrap();
    let list = |key: &str| -> Vec<&str> {
        let list = corpus[key].as_array().unwrap();
        list.iter().map(|text| text.as_str().unwrap()).collect()
    };
    let mut texts: BTreeSet<String> = list("texts").into_iter().map(str::to_owned).collect();
    let parts = list("parts");
    // A generator of our own, so that the corpus is the same on every machine (Knuth's MMIX constants).
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    while texts.len() < COMBINED {
        let mut text = String::new();
        for _ in 0..=random(8) {
            text.push_str(parts[random(parts.len())]);
            if random(4) == 0 {
                text.push(' ');
            }
        }
        if !text.is_empty() {
            texts.insert(text);
        }
    }
    let jobs: Vec<_> = texts
        .into_iter()
        .enumerate()
        .map(|(number, text)| Job {
            text,
            dollar: number % 5 == 4,
        })
        .collect();
    let reasons = compare(&jobs);
    let expected = [
        "a phone number's link without a title",
        "a time of day with an offset",
    ];
    assert_eq!(reasons, expected.into());
}

#[test]
fn ours_and_rocket_chats_parser_agree_on_the_demo() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/workspace.archive.gz");
    let jobs = texts_of(&demo, 5_000);
    assert!(jobs.len() > 100, "{} texts", jobs.len());
    assert_eq!(compare(&jobs), BTreeSet::new());
}

#[test]
fn ours_and_rocket_chats_parser_agree_on_the_full_workspace() {
    let Some(workspace) =
        shared_workspace("markup::ours_and_rocket_chats_parser_agree_on_the_full_workspace")
    else {
        return;
    };
    let jobs = texts_of(&workspace.join("rocketchat"), 20_000);
    assert!(jobs.len() > 10_000, "{} texts", jobs.len());
    assert_eq!(compare(&jobs), BTreeSet::new());
}

#[test]
fn settings_of_the_workspace_decide_about_texts_as_typed() {
    let place = tempfile::tempdir().unwrap();
    let page = |name: &str, settings: &[(&str, Bson)]| {
        let mut dump = DumpBuilder::new();
        dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"});
        dump.add(
            "rocketchat_message",
            &doc! {
                "_id": "m", "rid": "R", "ts": bson::DateTime::from_millis(SENT), "u": {"_id": "a", "username": "a"},
                "msg": "$x^2$ \\(y\\) color:#ff8800\nhttp://wiki.intranet/start *bold*",
            },
        );
        for (id, value) in settings {
            dump.add("rocketchat_settings", &doc! {"_id": *id, "value": value});
        }
        let directory = place.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let dump = dump.write(Form::ArchiveGzip, &directory);
        let zip = directory.join("out.zip");
        let workspace = format!("dump:{}", text(&dump));
        let ran = run(&[
            "export",
            "--workspace",
            &workspace,
            "--room",
            "R",
            "--format",
            "html",
            "--output",
            text(&zip),
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        String::from_utf8(entries(&zip)["R.html"].clone()).unwrap()
    };
    let (dollar, parenthesis) = (">x^2</code>", ">y</code>");
    let (color, link) = ("fill=\"#ff8800\"", "href=\"http://wiki.intranet/start\"");

    let usual = page("usual", &[]);
    assert!(
        usual.contains("<strong>bold</strong>")
            && usual.contains(parenthesis)
            && usual.contains(color)
    );
    assert!(!usual.contains(dollar) && !usual.contains(link));

    let other = page(
        "other",
        &[
            ("HexColorPreview_Enabled", false.into()),
            ("Katex_Dollar_Syntax", true.into()),
            ("Katex_Parenthesis_Syntax", false.into()),
            ("Message_CustomDomain_AutoLink", "example, Intranet".into()),
        ],
    );
    assert!(
        other.contains("<strong>bold</strong>") && other.contains(dollar) && other.contains(link)
    );
    assert!(!other.contains(parenthesis) && !other.contains(color));

    let none = page(
        "none",
        &[
            ("Katex_Enabled", false.into()),
            ("Katex_Dollar_Syntax", true.into()),
        ],
    );
    assert!(!none.contains(dollar) && !none.contains(parenthesis) && none.contains(color));
}
