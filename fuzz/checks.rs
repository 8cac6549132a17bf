//! What has to hold for any bytes: one function for each fuzz target.
//!
//! The targets call these under the fuzzer, and the tests call them with every seed. A new target is a function here, a
//! file of three lines in `targets`, its entry in `Cargo.toml`, and a directory of seeds.

use std::convert::Infallible;
use std::io::Write;

use export_room::store::StoreError;
use export_room::store::dump::Dump;
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, Text, Value, id_text};
use transcript::json::JsonLines;
use transcript::markup::{self, Markup, Node, Options};
use transcript::message::Message;
use transcript::names;
use transcript::output::{AuthorCard, FilePlace, Output, Reply, Thread};
use transcript::{search, system};

/// A function that takes any bytes and panics when something is wrong.
pub type Check = fn(&[u8]);

/// All of them, by the name of the target.
pub const ALL: &[(&str, Check)] = &[
    ("archive", archive),
    ("bson", bson),
    ("entry_names", entry_names),
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
    markup::plain(markup, &mut out);
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
    let _ = system::sentence(&message, &mut sentence);

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

/// The search of a message: words are short and have no separators, and what results show is a line of script that holds
/// no markup.
fn searched(message: &Message<'_>) {
    let mut text = String::new();
    let (mut plain, mut said) = (markup::Plain::default(), String::new());
    plain.message(message, &mut said);
    search::visible(message, &said, &mut plain, &mut text);
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

    fn file(&mut self, _: &str) -> Result<FilePlace, Infallible> {
        Ok(FilePlace::LeftOut)
    }

    fn author(&mut self, _: &str, _: &str) -> Result<AuthorCard, Infallible> {
        Ok(AuthorCard::default())
    }

    fn room_avatar(&mut self) -> Result<Option<String>, Infallible> {
        Ok(None)
    }

    fn thumbnail(&mut self, _: &str) -> Result<Option<String>, Infallible> {
        Ok(None)
    }

    fn find(&mut self, _: i64, _: &str) -> Result<Option<u32>, Infallible> {
        Ok(Some(0))
    }

    fn may_start_thread(&self, _: &str) -> bool {
        true
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
