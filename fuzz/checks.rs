//! What has to hold for any bytes: one function for each fuzz target.
//!
//! The targets call these under the fuzzer, and the tests call them with every seed. A new target is a function here, a
//! file of three lines in `targets`, its entry in `Cargo.toml`, and a directory of seeds.

use std::convert::Infallible;
use std::io::Write;

use export_room::store::StoreError;
use export_room::store::dump::Dump;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, Text, Value, id_text};
use transcript::html::{ExportInfo, PagedHtml};
use transcript::json::JsonLines;
use transcript::locale::Locale;
use transcript::markup::{self, Markup, Node, Options, Spoilers};
use transcript::message::{Field, Message};
use transcript::names;
use transcript::output::{Absence, FilePlace, Missing, Output, Reply, Thread};
use transcript::room::RoomInfo;
use transcript::texts::Sentences;
use transcript::{search, system};

/// A function that takes any bytes and panics when something is wrong.
pub type Check = fn(&[u8]);

/// All of them, by the name of the target.
pub const ALL: &[(&str, Check)] = &[
    ("archive", archive),
    ("bson", bson),
    ("entry_names", entry_names),
    ("html", html),
    ("markup", markup),
    ("message", message),
];

/// Reading a mongodump archive: never panics, hands out only whole documents, gives the same every time, and says in one
/// line what is wrong.
pub fn archive(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(input).expect("a temporary file is written");
    let read = || -> Result<usize, StoreError> {
        let mut bytes = 0;
        let dump = Dump::open(file.path())?;
        let cancel = CancellationToken::new();
        dump.scan(&|_| true, &cancel, &mut |_| {}, &mut |found| {
            Doc::new(found.doc).expect("a whole document");
            bytes += found.doc.len();
            Ok(())
        })?;
        Ok(bytes)
    };
    match (read(), read()) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (Err(first), Err(second)) => {
            let first = first.to_string();
            assert_eq!(first, second.to_string());
            assert!(!first.contains('\n'), "{first}");
        }
        (first, second) => panic!("{first:?}, then {second:?}"),
    }
}

/// Reading a document: never panics, and a document that was found valid has no malformed element anywhere.
pub fn bson(input: &[u8]) {
    let Ok(doc) = Doc::new(input) else { return };
    let valid = doc.validate().is_ok();
    // Below the depth that `validate` allows, a damaged document may still be deep enough to exhaust the stack here.
    read_all(doc, valid, 200);
    let _ = (doc.text("_id"), doc.at(&["u", "_id"]), doc.is_empty());
}

fn read_all(doc: Doc<'_>, valid: bool, depth: u32) {
    let Some(depth) = depth.checked_sub(1) else {
        assert!(!valid, "a valid document is nested too deeply");
        return;
    };
    let mut values = 0;
    for element in doc.elements() {
        let Ok((key, value)) = element else {
            assert!(!valid, "a valid document has a malformed element");
            return;
        };
        values += 1;
        let _ = (key.to_str(), key.is_empty(), value.truthy(), value.millis());
        let _ = (value.integer(), value.text(), id_text(value));
        if let Ok(key) = std::str::from_utf8(key.0) {
            assert!(doc.get(key).is_some(), "an element is not found by its key");
        }
        if let Value::Document(inner) | Value::Array(inner) | Value::JavaScriptWithScope(_, inner) =
            value
        {
            read_all(inner, valid, depth);
        }
    }
    assert_eq!(doc.values().count(), values);
}

/// Names of entries: the promises of [`names::safe`], for any text.
pub fn entry_names(input: &[u8]) {
    let wanted = String::from_utf8_lossy(input);
    let name = names::safe(&wanted);
    check_name(&name, names::MAX_NAME);

    let asset = names::asset("kA6rmnRYzQm4BwcQe", &wanted);
    let file = asset
        .strip_prefix("assets/")
        .expect("assets have a directory");
    check_name(file, names::MAX_NAME);
    for number in [2, u32::MAX] {
        let numbered = names::numbered(&asset, number);
        let file = numbered
            .strip_prefix("assets/")
            .expect("assets have a directory");
        check_name(file, names::MAX_NAME);
    }
    let folded = |number| names::folded(&names::numbered(&asset, number));
    assert_ne!(folded(2), folded(3), "numbers do not tell names apart");
}

fn check_name(name: &str, longest: usize) {
    assert!(!name.is_empty(), "an empty name");
    assert!(name.len() <= longest, "{} bytes: {name:?}", name.len());
    assert!(
        !name.contains(['/', '\\', '<', '>', ':', '"', '|', '?', '*'])
            && !name.contains(char::is_control),
        "an unsafe character: {name:?}"
    );
    assert!(
        !name.starts_with(['.', ' ', '-']) && !name.ends_with(['.', ' ']),
        "an unsafe end: {name:?}"
    );
}

/// A text of a message, as typed and, where the bytes are a document, as stored: what is started ends in order, a second
/// reading gives the same, and the plain text is made.
pub fn markup(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut markup = Markup::default();
    let every = Options {
        katex_dollar: true,
        custom_domains: vec!["intranet".into()],
        ..Options::default()
    };
    for options in [Options::default(), every] {
        markup.parse(&text, 0, &options);
        check_nodes(&markup);
        let first = markup.nodes().to_vec();
        markup.parse(&text, 0, &options);
        assert_eq!(first, markup.nodes(), "a second reading differs");
    }
    if let Ok(doc) = Doc::new(input) {
        let md = Some(Value::Array(doc));
        markup.read(md, Text(input), 0, &Options::default());
        check_nodes(&markup);
    }
}

fn check_nodes(markup: &Markup) {
    let mut open = Vec::new();
    for node in markup.nodes() {
        match *node {
            Node::Start(tag) => open.push(tag),
            Node::End(tag) => assert_eq!(open.pop(), Some(tag), "an end without its start"),
            _ => {}
        }
        assert!(
            open.len() <= markup::MAX_DEPTH + 2,
            "nested deeper than is allowed"
        );
    }
    assert!(open.is_empty(), "{open:?} does not end");
    let mut out = String::new();
    markup::plain(markup, Spoilers::Told, &mut out);
}

/// A message: reading and rendering never panic, and what is rendered is one line of text.
pub fn message(input: &[u8]) {
    let message = Message::read(input);
    let _ = (
        message.id(),
        message.ts(),
        message.kind(),
        message.visibility(),
    );
    let _ = (message.author().label().to_str(), message.files().count());
    let mut sentence = String::new();
    let _ = system::sentence(&message, &Sentences::ENGLISH, &mut sentence);

    for raw in [false, true] {
        let mut out = Memory::default();
        let mut lines = JsonLines::new("room.json".into(), raw);
        let Ok(()) = lines.begin(&mut out);
        let Ok(_) = lines.message(&message, &[], &mut out);
        let Ok(()) = lines.finish(&mut out);
        let text = std::str::from_utf8(&out.bytes).expect("JSON is UTF-8");
        assert!(
            text.ends_with('\n') && text.lines().count() == 1,
            "{text:?}"
        );
        assert!(text.starts_with('{') && text.ends_with("}\n"), "{text:?}");
    }
    searched(&message);
}

/// A message on a page: nothing of it ends up as markup. Every tag is one of ours with attributes of ours, what is opened
/// is closed in order, text holds no special character, and no address leads anywhere but into the export or by a scheme
/// that is allowed. The input is read as a message, and as what somebody has typed.
pub fn html(input: &[u8]) {
    page_of(&Message::read(input));
    let text = String::from_utf8_lossy(input);
    let typed = typed(&text);
    page_of(&Message::read(&typed));
}

/// A message with this text, as BSON.
fn typed(text: &str) -> Vec<u8> {
    let mut doc = vec![0; 4];
    for (name, value) in [("_id", "typed"), ("msg", text), ("alias", text)] {
        doc.push(2);
        doc.extend_from_slice(name.as_bytes());
        doc.push(0);
        let length = u32::try_from(value.len() + 1).expect("an input is short");
        doc.extend_from_slice(&length.to_le_bytes());
        doc.extend_from_slice(value.as_bytes());
        doc.push(0);
    }
    doc.push(0);
    let length = u32::try_from(doc.len()).expect("an input is short");
    doc[..4].copy_from_slice(&length.to_le_bytes());
    doc
}

fn page_of(message: &Message<'_>) {
    for locale in ["en", "ja"] {
        let room = RoomInfo {
            id: "ROOM".into(),
            title: message.text(Field::Msg).to_str().into_owned(),
            topic: Some(message.text(Field::Alias).to_str().into_owned()),
            ..RoomInfo::default()
        };
        let mut html = PagedHtml::new(ExportInfo {
            room,
            tool: "a test".into(),
            from: None,
            to: message.ts(),
            exported_at: 0,
            exported_by: Some(message.author().label().to_str().into_owned()),
            files: 1,
            missing: 1,
            zone: TimeZone::UTC,
            search: false,
            locale: Locale::of(locale).expect("it is one of ours"),
            style: None,
            pages: 1,
        });
        let mut out = Memory::default();
        let Ok(()) = html.begin(&mut out);
        let Ok(_) = html.message(message, &[Message::read(message.doc().bytes())], &mut out);
        let Ok(()) = html.end_messages(&mut out);
        let Ok(()) = html.thread_message(1, message, &mut out);
        let Ok(()) = html.finish(&mut out);
        let pages = std::str::from_utf8(&out.bytes).expect("pages are UTF-8");
        let mut count = 0;
        for page in pages.split("<!DOCTYPE html>\n").skip(1) {
            self::page(page);
            count += 1;
        }
        assert!(count >= 2, "the page of the room, and that of a thread");
    }
}

/// Elements without an end.
const VOID: [&str; 6] = ["br", "hr", "img", "input", "link", "meta"];
/// Every other element of pages.
const ELEMENTS: &str = "html head title style script body header footer main nav section article div p h1 h2 ul ol li dl dt dd \
    table caption thead tbody tr th td a b bdi blockquote code del details em figcaption figure label pre q s small span \
    strong summary svg path rect time audio video";
/// Every attribute of pages.
const ATTRIBUTES: &str = "alt aria-hidden aria-label charset checked class content controls d data-calendar data-language \
    datetime dir download fill fill-opacity height href http-equiv id lang loading name preload preserveAspectRatio rel role \
    scope src title type value viewBox width";

/// Goes through a page as a browser does, and stops at what we would not have written.
pub fn page(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    loop {
        let (text, after) = rest.split_once('<').unwrap_or((rest, ""));
        check_text(text);
        if after.is_empty() {
            break;
        }
        let (tag, after) = after.split_once('>').expect("a tag has an end");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "an end without its start");
            continue;
        }
        let closed = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let name = tag.split(' ').next().unwrap_or_default();
        check_attributes(tag[name.len()..].trim_start());
        if VOID.contains(&name) {
            continue;
        }
        assert!(
            ELEMENTS.split_whitespace().any(|known| known == name),
            "<{tag}>"
        );
        if closed {
            continue;
        }
        open.push(name);
        // What stands in these is ours, and no markup.
        if matches!(name, "style" | "script") {
            let end = rest.find("</").expect("it ends");
            rest = &rest[end..];
        }
    }
    assert!(open.is_empty(), "{open:?} does not end");
}

fn check_text(text: &str) {
    assert!(
        !text.contains(['<', '>', '"', '\'']),
        "not escaped: {text:?}"
    );
    for part in text.split('&').skip(1) {
        let entity = part.split_once(';').map_or("", |(entity, _)| entity);
        assert!(
            ["amp", "lt", "gt", "quot", "#39"].contains(&entity),
            "&{part:?}"
        );
    }
    let hidden = text
        .chars()
        .find(|c| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t'));
    assert_eq!(hidden, None, "{text:?}");
}

fn check_attributes(mut rest: &str) {
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        assert!(
            ATTRIBUTES.split_whitespace().any(|known| known == name),
            "{rest:?}"
        );
        let value;
        (value, rest) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').expect("a value has an end"),
            None => ("", after),
        };
        // The page's own policy has quotes, single ones.
        if name != "content" {
            check_text(value);
        }
        if matches!(name, "href" | "src") {
            let inside = !value.contains(':') && !value.starts_with('/');
            let outside = ["http://", "https://", "mailto:", "tel:"]
                .iter()
                .any(|scheme| {
                    let start = value.get(..scheme.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
                });
            assert!(inside || name == "href" && outside, "{name}={value:?}");
        }
        rest = rest.trim_start();
    }
}

/// The search of a message: words are short and have no separators, and what results show is a line of script that holds
/// no markup.
fn searched(message: &Message<'_>) {
    let mut text = String::new();
    let (mut plain, mut said) = (markup::Plain::default(), String::new());
    plain.message(message, Spoilers::Told, &mut said);
    search::visible(message, &said, &Sentences::ENGLISH, &mut plain, &mut text);
    let Ok(()) = search::Folder::default().words(&text, |word| {
        let word = std::str::from_utf8(word).expect("words are UTF-8");
        let length = word.chars().count();
        assert!((1..=search::WORD).contains(&length), "{word:?}");
        assert!(
            !word.contains(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()),
            "{word:?}"
        );
        Ok::<_, Infallible>(())
    });
    let author = message.author();
    let mut page = search::files::PageFile::default();
    page.push(&search::Indexed {
        author: &author.label().to_str(),
        name: &author.name.to_str(),
        alias: "",
        local: None,
        text: &text,
    });
    let mut out = Vec::new();
    page.write(0, "room.html", &mut out);
    let script = std::str::from_utf8(&out).expect("scripts are UTF-8");
    assert!(
        script.lines().count() == 1 && !script.contains('<'),
        "{script:?}"
    );
}

/// An archive that is only remembered.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    thread: Thread,
}

impl Output for Memory {
    type Error = Infallible;

    fn start_entry(&mut self, _: &str) -> Result<(), Infallible> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish_entry(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn file(&mut self, upload: &str) -> Result<FilePlace, Infallible> {
        Ok(match upload.len() % 3 {
            0 => FilePlace::LeftOut,
            1 => FilePlace::Missing(Missing::new(Absence::Gone, upload)),
            _ => FilePlace::Packed {
                entry: names::asset(upload, upload),
                size: 1 << 20,
            },
        })
    }

    fn emoji(&mut self, name: &str) -> Result<Option<String>, Infallible> {
        Ok(name
            .len()
            .is_multiple_of(2)
            .then(|| names::picture(names::EMOJI, name, "png")))
    }

    fn thumbnail(&mut self, upload: &str) -> Result<Option<String>, Infallible> {
        Ok(upload
            .len()
            .is_multiple_of(2)
            .then(|| names::picture(names::THUMBNAILS, upload, "png")))
    }

    fn find(&mut self, _: i64, _: &str) -> Result<Option<u32>, Infallible> {
        Ok(Some(0))
    }

    fn starts_thread(&mut self, _: i64, _: &str) -> Result<bool, Infallible> {
        Ok(true)
    }

    fn thread(&mut self, _: &str) -> Result<Option<&Thread>, Infallible> {
        Ok(Some(&self.thread))
    }

    fn remember_thread(&mut self, _: &str, author: &str, excerpt: &str) -> Result<(), Infallible> {
        self.thread.author = author.into();
        self.thread.excerpt = excerpt.into();
        Ok(())
    }

    fn replies(&mut self, id: &str, each: &mut dyn FnMut(&Reply<'_>)) -> Result<(), Infallible> {
        each(&Reply {
            id,
            ts: 0,
            page: 1,
            author: &self.thread.author,
            excerpt: &self.thread.excerpt,
        });
        Ok(())
    }
}
