//! The search index of an HTML export holds every word of every message, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use bson::{DateTime, doc};
use transcript::search::{Folder, code};

use crate::support::cli::{entries, manifest, run, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::generate;

type Entries = BTreeMap<String, Vec<u8>>;

/// The texts that a file hands to the page's program.
fn texts(entries: &Entries, name: &str) -> Vec<String> {
    let file = &entries[&format!("search/{name}.js")];
    let file = std::str::from_utf8(file).unwrap();
    let list = file.strip_prefix("exportRoom(").unwrap();
    let list = list.strip_suffix(");\n").unwrap();
    // Tabs part what is in a text; a script's string may hold them as they are, one of JSON may not.
    let list = list.replace('\t', "\\t").replace("\\x", "\\u00");
    let mut all: Vec<String> = serde_json::from_str(&format!("[{list}]")).unwrap();
    assert_eq!(all.remove(0), name);
    all
}

fn numbers(list: &str) -> Vec<u64> {
    let mut rest = list.as_bytes();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (number, length) = code::get(rest).unwrap();
        all.push(number);
        rest = &rest[length..];
    }
    all
}

/// An index, read back by its description in `docs/formats.md`.
struct Index {
    messages: u64,
    pages: u64,
    positions: u64,
    /// Positions of every term.
    terms: BTreeMap<String, Vec<u64>>,
    /// Terms that have several files.
    parts: usize,
}

impl Index {
    fn read(entries: &Entries) -> Self {
        let [head, firsts] = <[String; 2]>::try_from(texts(entries, "index")).unwrap();
        let [messages, pages, positions] = <[u64; 3]>::try_from(numbers(&head)).unwrap();
        let mut terms = BTreeMap::<String, Vec<u64>>::new();
        let mut parts = 0;
        let mut before = String::new();
        let firsts: Vec<&str> = firsts
            .split('\t')
            .filter(|first| !first.is_empty())
            .collect();
        for (number, first) in firsts.iter().enumerate() {
            let [text] = <[String; 1]>::try_from(texts(entries, &format!("t{number}"))).unwrap();
            let fields: Vec<&str> = text.split('\t').collect();
            assert_eq!(fields[0], *first);
            assert!(fields.len().is_multiple_of(2));
            for pair in fields.chunks(2) {
                assert!(*before <= *pair[0], "{before:?} before {:?}", pair[0]);
                parts += usize::from(before == pair[0]);
                pair[0].clone_into(&mut before);
                let list = terms.entry(before.clone()).or_default();
                let mut position = 0;
                for distance in numbers(pair[1]) {
                    position += distance;
                    list.push(position);
                }
                assert!(list.is_sorted());
            }
        }
        assert!(!entries.contains_key(&format!("search/t{}.js", firsts.len())));
        Self {
            messages,
            pages,
            positions,
            terms,
            parts,
        }
    }

    /// The words of every message, as the positions say.
    fn words(&self) -> Vec<Vec<String>> {
        let mut at = BTreeMap::new();
        for (term, positions) in &self.terms {
            if term.starts_with(|first: char| !first.is_ascii() || first.is_ascii_alphanumeric()) {
                for &position in positions {
                    assert!(at.insert(position, term.clone()).is_none());
                }
            }
        }
        let none = Vec::new();
        let starts = self.terms.get("!").unwrap_or(&none);
        assert_eq!(starts.len() as u64, self.messages);
        let ends = starts.iter().skip(1).chain([&self.positions]);
        let words = starts.iter().zip(ends).map(|(&start, &end)| {
            let words = at.range(start..end).map(|(_, word)| word.clone());
            let words: Vec<String> = words.collect();
            // Every position but the first is a word's.
            assert_eq!(words.len() as u64, end - start - 1);
            words
        });
        words.collect()
    }
}

/// Author and text of every message, page by page, as results show them.
fn shown(entries: &Entries, pages: u64) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for page in 0..pages {
        let [name, authors, records] =
            <[String; 3]>::try_from(texts(entries, &format!("p{page}"))).unwrap();
        let html = String::from_utf8(entries[&name].clone()).unwrap();
        let authors: Vec<&str> = authors.split('\t').collect();
        let records: Vec<&str> = records.split('\t').collect();
        for record in records.chunks(2) {
            let author = usize::try_from(numbers(record[0])[0] >> 1).unwrap();
            all.push((authors[author].to_owned(), record[1].to_owned()));
        }
        assert_eq!(
            html.matches("<article class=\"m").count() * 2,
            records.len(),
            "{name}"
        );
    }
    assert!(!entries.contains_key(&format!("search/p{pages}.js")));
    all
}

fn folded(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let each = |word: &[u8]| {
        words.push(String::from_utf8(word.to_vec()).unwrap());
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(()) = Folder::default().words(text, each);
    words
}

fn export(workspace: &Path, room: &str, zip: &Path, more: &[&str]) -> Entries {
    let address = format!("dump:{}", text(workspace));
    let mut arguments = vec![
        "export",
        "--workspace",
        &address,
        "--room",
        room,
        "--format",
        "html",
        "--force",
        "-o",
        text(zip),
    ];
    arguments.extend(more);
    let ran = run(&arguments);
    assert!(ran.code < 2, "{}", ran.stderr);
    let verified = run(&["verify", text(zip)]);
    assert!(verified.code < 2, "{}", verified.stderr);
    entries(zip)
}

#[test]
fn every_word_has_its_place_in_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let large = directory.path().join("large");
    generate::dump(&large, 12_000).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/workspace.archive.gz");
    for (workspace, room) in [(&*demo, "general"), (&large, generate::NAME)] {
        let entries = export(workspace, room, &zip, &[]);
        let index = Index::read(&entries);
        let words = index.words();
        let shown = shown(&entries, index.pages);
        assert_eq!(manifest(&entries)["messages"]["rendered"], index.messages);
        assert_eq!(words.len(), shown.len());
        for (words, (_, text)) in words.iter().zip(&shown) {
            // The shown text may be cut; what there is of it is in the index.
            match text.strip_suffix('…') {
                Some(beginning) => {
                    let expected = folded(beginning);
                    let whole = expected.len().saturating_sub(1);
                    assert_eq!(words[..whole], expected[..whole]);
                }
                None => assert_eq!(*words, folded(text)),
            }
        }
        let authors = index.terms.iter().filter(|(term, _)| term.starts_with('@'));
        let authored: usize = authors.map(|(_, list)| list.len()).sum();
        assert!(authored as u64 >= index.messages);
        if room == generate::NAME {
            assert!(index.terms.contains_key("@amber.1\u{1f}Person 1"));
        }
        assert!(index.terms.keys().any(|term| term.starts_with('%')));
        assert_eq!(index.terms["#"].len() as u64, index.pages);
        if room == generate::NAME {
            assert_eq!(index.pages, 12);
        }
    }
}

#[test]
fn what_is_hidden_is_found_and_marked_for_results() {
    let mut dump = DumpBuilder::new();
    dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"});
    let attached =
        doc! {"text": "see ||the maid||", "fields": [{"title": "who", "value": "||the cook||"}]};
    for (number, more) in (0..).zip([
        doc! {"msg": "it was ||the butler|| again"},
        doc! {"msg": "plain"},
        doc! {"msg": "", "attachments": [attached]},
    ]) {
        let mut message = doc! {
            "_id": format!("m{number}"), "rid": "R", "ts": DateTime::from_millis(number), "u": {"_id": "a", "username": "a"},
        };
        message.extend(more);
        dump.add("rocketchat_message", &message);
    }
    let directory = tempfile::tempdir().unwrap();
    let workspace = dump.write(Form::Directory, directory.path());
    let entries = export(&workspace, "r", &directory.path().join("out.zip"), &[]);
    let index = Index::read(&entries);
    for word in ["butler", "again", "plain", "maid", "cook"] {
        assert!(index.terms.contains_key(word), "{word}");
    }
    let shown = shown(&entries, index.pages);
    let shown: Vec<&str> = shown.iter().map(|(_, text)| text.as_str()).collect();
    // Between these characters; the page covers what is there.
    let expected = [
        "it was \u{fdd0}the butler\u{fdd1} again",
        "plain",
        "see \u{fdd0}the maid\u{fdd1} who \u{fdd0}the cook\u{fdd1}",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_room_without_messages_and_one_without_search() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/workspace.archive.gz");
    let empty = export(&demo, "general", &zip, &["--date-to", "1999-01-01"]);
    let index = Index::read(&empty);
    assert_eq!((index.messages, index.pages, index.positions), (0, 0, 0));
    assert!(index.terms.is_empty());
    assert_eq!(manifest(&empty)["query"]["search"], true);

    let plain = export(&demo, "general", &zip, &["--no-search"]);
    assert!(plain.keys().all(|name| !name.starts_with("search/")));
    assert!(
        !String::from_utf8(plain["GENERAL.html"].clone())
            .unwrap()
            .contains("data-search")
    );
    assert_eq!(manifest(&plain)["query"]["search"], false);
}

#[test]
fn a_word_that_fills_files_has_files_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = DumpBuilder::new();
    dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"});
    let count = 50_000;
    for number in 0..40 {
        dump.add(
            "rocketchat_message",
            &doc! {
                "_id": format!("m{number:02}"), "rid": "R", "ts": DateTime::from_millis(number * 86_400_000),
                "u": {"_id": "u", "username": "bob"}, "msg": "the ".repeat(count) + "rare" + &number.to_string(),
            },
        );
    }
    let dump = dump.write(Form::Directory, directory.path());
    let entries = export(&dump, "r", &directory.path().join("out.zip"), &[]);
    let index = Index::read(&entries);
    assert!(index.parts > 0);
    assert_eq!(index.terms["the"].len(), 40 * count);
    assert_eq!(index.terms["rare7"].len(), 1);
    assert_eq!(index.terms["@bob"].len(), 40);
    assert_eq!(index.terms["%1970-02-09"], [39 * (count as u64 + 2)]);
    let rare = texts(&entries, "t0");
    assert!(rare[0].contains("rare7\t") && !rare[0].contains("the\t"));
    for words in index.words() {
        assert_eq!(words.len(), count + 1);
    }
}
