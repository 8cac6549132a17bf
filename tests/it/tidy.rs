//! The house rules, as text searches over the sources.
//!
//! A rule is a function from one file's path and text to its complaints, so that each is shown to catch something, also
//! where the code that it is about does not exist yet.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories that are not ours or not sources.
const SKIPPED: &[&str] = &[
    ".git",
    ".tools",
    "artifacts",
    "corpus",
    "node_modules",
    "target",
];

/// Which places may use a crate; a path that begins like one of these.
const CRATE_USERS: &[(&str, &[&str])] = &[
    (
        "mongodb::",
        &[
            "src/store/mongo",
            "src/blob/gridfs",
            "src/blob/user_data/gridfs",
            "src/jobs/mongo",
        ],
    ),
    (
        "rusqlite::",
        &[
            "src/store/sqlite",
            "src/store/dump",
            // Its error type carries SQLite's.
            "src/store.rs",
            "src/jobs/sqlite",
            "src/export/ledger",
        ],
    ),
    ("axum::", &["src/http"]),
    ("lettre::", &["src/mail"]),
    ("opendal::", &["src/blob"]),
    ("opendal_http_transport_reqwest::", &["src/blob"]),
    ("reqwest::", &["src/blob"]),
];

/// Concrete backends and their homes. Everybody else gets them as contracts, from `src/app.rs`.
const BACKENDS: &[(&str, &str)] = &[
    ("SqliteSource", "src/store/sqlite"),
    ("SqliteDirectory", "src/store/sqlite"),
    ("DumpSource", "src/store/dump"),
    ("SqliteQueue", "src/jobs/sqlite"),
    ("UserDataDirectory", "src/blob"),
    ("RemoteExports", "src/blob"),
    ("MongoQueue", "src/jobs/mongo"),
    ("MongoSource", "src/store/mongo"),
    ("MongoDirectory", "src/store/mongo"),
    ("GridFsFiles", "src/blob"),
    ("GridFsExports", "src/blob"),
    // Its type has the name of a store of Rocket.Chat, which others may say.
    // `src/blob.rs` asks the store that an upload's record names.
    ("filesystem::", "src/blob"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common",
    "data",
    "helper",
    "helpers",
    "info",
    "manager",
    "misc",
    "processor",
    "util",
    "utils",
];

type Rule = fn(&str, &str) -> Vec<String>;

const RULES: &[Rule] = &[
    crates_in_their_places,
    backends_in_app,
    nothing_left_open,
    no_hidden_unwrap,
    words_of_pages_in_texts,
    module_documentation,
    telling_names,
    dependencies_with_reasons,
];

#[test]
fn the_sources_keep_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = String::new();
    let mut seen = 0;
    for path in files(root) {
        let name = relative(root, &path);
        // This file has to name what it forbids.
        if name == "tests/it/tidy.rs" || !(is_rust(&name) || name.ends_with("Cargo.toml")) {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        for rule in RULES {
            for complaint in rule(&name, &text) {
                writeln!(complaints, "{name}: {complaint}").unwrap();
            }
        }
    }
    assert!(seen > 30, "only {seen} sources were found");
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn local_links_in_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dead = String::new();
    for path in files(root) {
        let name = relative(root, &path);
        if !has_extension(&name, "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let directory = path.parent().unwrap();
        for link in local_links(&text) {
            if !directory.join(&link).exists() {
                writeln!(dead, "{name}: there is no {link}").unwrap();
            }
        }
    }
    assert!(dead.is_empty(), "\n{dead}");
}

#[test]
fn listed_backends_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (_, home) in BACKENDS {
        assert!(
            root.join(format!("{home}.rs")).exists() || root.join(home).exists(),
            "{home} is gone: take it off the list"
        );
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn is_rust(path: &str) -> bool {
    has_extension(path, "rs")
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|kind| kind == extension)
}

fn is_product(path: &str) -> bool {
    is_rust(path)
        && (path.starts_with("src/") || path.starts_with("crates/") && path.contains("/src/"))
}

/// The lines with their numbers, without those that are only a comment.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether a line has this word, not merely as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |found: Option<char>| found.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !part_of_word(before) && (word.ends_with(':') || !part_of_word(after))
    })
}

fn crates_in_their_places(path: &str, text: &str) -> Vec<String> {
    if !is_product(path) {
        return Vec::new();
    }
    let strange: Vec<_> = CRATE_USERS
        .iter()
        .filter(|(_, homes)| !homes.iter().any(|home| path.starts_with(home)))
        .collect();
    code(text)
        .flat_map(|(number, line)| {
            strange
                .iter()
                .filter(move |(used, _)| has_word(line, used))
                .map(move |(used, homes)| format!("line {number}: `{used}` belongs to {homes:?}"))
        })
        .collect()
}

fn backends_in_app(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/") || path == "src/app.rs" {
        return Vec::new();
    }
    code(text)
        .flat_map(|(number, line)| {
            BACKENDS
                .iter()
                .filter(move |(name, home)| !path.starts_with(home) && has_word(line, name))
                .map(move |(name, _)| format!("line {number}: only src/app.rs names `{name}`"))
        })
        .collect()
}

fn nothing_left_open(path: &str, text: &str) -> Vec<String> {
    if !is_rust(path) {
        return Vec::new();
    }
    code(text)
        .flat_map(|(number, line)| {
            ["#[ignore", "todo!", "unimplemented!"]
                .into_iter()
                .filter(move |open| line.contains(open))
                .map(move |open| format!("line {number}: `{open}`"))
        })
        .collect()
}

/// What people read or hear of a page stands in `texts/`, where each language has it.
fn words_of_pages_in_texts(path: &str, text: &str) -> Vec<String> {
    // The escaper writes no words.
    if !path.starts_with("crates/transcript/src/html") || path.ends_with("html/escape.rs") {
        return Vec::new();
    }
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    code(product)
        .filter(|(_, line)| {
            // Quotation marks within a literal do not end it.
            let line = line.replace("\\\"", "'").replace("\\n", " ");
            line.split('"').skip(1).step_by(2).any(has_own_words)
        })
        .map(|(number, line)| format!("line {number} has words of its own: {}", line.trim()))
        .collect()
}

/// Whether a piece of markup has words between its tags, or in attributes that are read aloud or shown.
fn has_own_words(markup: &str) -> bool {
    let spoken = ["title='", "aria-label='", "placeholder='", "alt='"];
    let spoken = spoken.iter().any(|attribute| {
        let value = markup.split_once(attribute).map_or("", |(_, value)| value);
        value.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    // A piece may begin within a tag.
    let begins = markup.find('<').unwrap_or(markup.len());
    let mut inside = markup.find('>').is_some_and(|ends| ends < begins);
    let mut outside = String::new();
    for character in markup.chars() {
        match character {
            '<' | '{' => inside = true,
            '>' | '}' => inside = false,
            other if !inside => outside.push(other),
            _ => {}
        }
    }
    // Names that are the same in every language.
    let outside = outside.replace("manifest.json", "").replace("UTC", "");
    let mut words = outside.split(|c: char| !c.is_ascii_alphabetic());
    spoken || markup.contains(['<', '>']) && words.any(|word| word.len() > 1)
}

/// Clippy sees `unwrap`; these are the ways around it.
fn no_hidden_unwrap(path: &str, text: &str) -> Vec<String> {
    if !is_product(path) && !path.starts_with("xtask/") {
        return Vec::new();
    }
    code(text)
        .flat_map(|(number, line)| {
            [
                "clippy::unwrap_used",
                "unwrap_unchecked",
                ".expect(\"\")",
                "unwrap_or_else(|_| panic!",
                "unwrap_or_else(|_| unreachable!",
            ]
            .into_iter()
            .filter(move |hidden| line.contains(hidden))
            .map(move |hidden| format!("line {number}: `{hidden}` hides an unwrap"))
        })
        .collect()
}

fn module_documentation(path: &str, text: &str) -> Vec<String> {
    // A module of tests says what it is by its name.
    let exempt = path.ends_with("/tests.rs");
    if exempt || !(is_product(path) || path.starts_with("xtask/src/")) || text.starts_with("//!") {
        return Vec::new();
    }
    vec!["begins without a `//!` that says what it is responsible for".into()]
}

fn telling_names(path: &str, _: &str) -> Vec<String> {
    if !is_rust(path) {
        return Vec::new();
    }
    Path::new(path)
        .components()
        .filter_map(|part| Path::new(part.as_os_str()).file_stem()?.to_str())
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| format!("`{name}` says nothing about what is inside"))
        .collect()
}

/// A dependency has a comment above it, or stands in a block of lines that begins with one. What the workspace's table
/// already explains needs no second comment.
fn dependencies_with_reasons(path: &str, text: &str) -> Vec<String> {
    if !path.ends_with("Cargo.toml") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let mut in_dependencies = false;
    let mut explained = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
            explained = false;
        } else if line.is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if in_dependencies && !explained && !line.contains("workspace = true") {
            complaints.push(format!(
                "line {}: say above it why `{}` is needed",
                index + 1,
                line.split(['=', '.']).next().unwrap_or(line).trim()
            ));
        }
    }
    complaints
}

/// The targets of links and pictures that are files beside the document, without what stands in code blocks.
fn local_links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (start, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for part in line.split(start).skip(1) {
                let target = part.split(end).next().unwrap_or_default();
                let file = target.split('#').next().unwrap_or_default().trim();
                if !file.is_empty() && !file.contains(':') {
                    links.push(file.replace("%20", " "));
                }
            }
        }
    }
    links
}

#[test]
fn a_crate_outside_its_place_is_caught() {
    let catches = |path, text| !crates_in_their_places(path, text).is_empty();
    assert!(catches("src/export/file.rs", "use mongodb::Client;\n"));
    assert!(catches(
        "src/cli/serve.rs",
        "let app = axum::Router::new();\n"
    ));
    assert!(catches(
        "crates/transcript/src/lib.rs",
        "    rusqlite::Connection::open(path)\n"
    ));
    assert!(!catches("src/store/mongo.rs", "use mongodb::Client;\n"));
    assert!(!catches(
        "src/store/mongo/find.rs",
        "use mongodb::Client;\n"
    ));
    assert!(!catches("src/export/file.rs", "// not mongodb::Client\n"));
    assert!(!catches("src/config.rs", "\"mongodb://localhost\"\n"));
    assert!(!catches("tests/it/store.rs", "use mongodb::Client;\n"));
    assert!(!catches("src/x.rs", "use not_mongodb::Client;\n"));
}

#[test]
fn a_backend_outside_app_is_caught() {
    let catches = |path, text| !backends_in_app(path, text).is_empty();
    assert!(catches(
        "src/export/file.rs",
        "let source = SqliteSource::open(path)?;\n"
    ));
    assert!(catches(
        "src/cli/export.rs",
        "use crate::blob::filesystem::FileSystem;\n"
    ));
    assert!(!catches(
        "src/app.rs",
        "let source = SqliteSource::open(path)?;\n"
    ));
    assert!(!catches(
        "src/store/sqlite.rs",
        "pub struct SqliteSource;\n"
    ));
    assert!(!catches("src/export/file.rs", "\"FileSystem:Uploads\"\n"));
    assert!(!catches("src/export/file.rs", "struct NotSqliteSource;\n"));
}

#[test]
fn what_is_left_open_is_caught() {
    let catches = |text| !nothing_left_open("tests/it/x.rs", text).is_empty();
    assert!(catches("    #[ignore]\n"));
    assert!(catches("#[ignore = \"slow\"]\n"));
    assert!(catches("    todo!()\n"));
    assert!(catches("unimplemented!(\"later\")\n"));
    assert!(!catches("// todo!\nfn ignore() {}\n"));
}

#[test]
fn a_hidden_unwrap_is_caught() {
    let catches = |path, text| !no_hidden_unwrap(path, text).is_empty();
    assert!(catches(
        "src/x.rs",
        "#[expect(clippy::unwrap_used, reason = \"\")]\n"
    ));
    assert!(catches("src/x.rs", "value.expect(\"\");\n"));
    assert!(catches(
        "xtask/src/x.rs",
        "value.unwrap_or_else(|_| panic!(\"no\"));\n"
    ));
    assert!(!catches(
        "src/x.rs",
        "value.expect(\"a vector just filled\");\n"
    ));
    assert!(!catches("tests/it/x.rs", "value.expect(\"\");\n"));
}

#[test]
fn words_in_markup_are_caught() {
    let catches =
        |text| !words_of_pages_in_texts("crates/transcript/src/html/x.rs", text).is_empty();
    assert!(catches(
        "out.extend_from_slice(b\"<b>Reply to <a href=\\\"\");"
    ));
    assert!(catches("self.markup(\"<input aria-label=\\\"Show\\\">\");"));
    assert!(catches("self.markup(\"</bdi> by whom\");"));
    assert!(!catches(
        "self.markup(\"\\\" class=\\\"file gone\\\"><bdi>\");"
    ));
    assert!(!catches(
        "self.markup(\"<p class=\\\"note\\\">\"); // <p>Words"
    ));
    assert!(!catches("#[cfg(test)]\nlet html = \"<p>Words</p>\";"));
}

#[test]
fn a_module_without_documentation_is_caught() {
    let catches = |path, text| !module_documentation(path, text).is_empty();
    assert!(catches("src/mail.rs", "use std::fmt;\n"));
    assert!(catches(
        "crates/zipstream/src/pool.rs",
        "// Not a document.\n"
    ));
    assert!(!catches("src/mail.rs", "//! Sends mail.\n"));
    assert!(!catches(
        "crates/zipstream/src/pool/tests.rs",
        "use super::*;\n"
    ));
}

#[test]
fn an_empty_name_is_caught() {
    let catches = |path| !telling_names(path, "").is_empty();
    assert!(catches("src/export/utils.rs"));
    assert!(catches("crates/transcript/src/info.rs"));
    assert!(catches("src/common/mod.rs"));
    assert!(!catches("src/export/report.rs"));
    assert!(!catches("src/database.rs"));
}

#[test]
fn a_dependency_without_a_reason_is_caught() {
    let complaints = |text| dependencies_with_reasons("crates/x/Cargo.toml", text);
    let caught =
        complaints("[dependencies]\n# Runs.\na = \"1\"\nb = \"1\"\n\nc = { version = \"1\" }\n");
    assert_eq!(caught, ["line 6: say above it why `c` is needed"]);
    assert_eq!(complaints("[dev-dependencies]\nx = \"1\"\n").len(), 1);
    assert_eq!(
        complaints("[target.'cfg(unix)'.dependencies]\nx = \"1\"\n").len(),
        1
    );
    assert_eq!(
        complaints("[build-dependencies]\nx.version = \"1\"\n").len(),
        1
    );
    assert!(complaints("[dependencies]\nx.workspace = true\n").is_empty());
    assert!(complaints("[package]\nname = \"x\"\n").is_empty());
}

#[test]
fn links_are_found() {
    let text = "See [the map](ARCHITECTURE.md#map), ![a](docs/export%20page.png) and [out](https://example.org/x).\n\
                <img src=\"docs/b.png\"> [here](#below)\n```\n[not](this.md)\n```\n";
    assert_eq!(
        local_links(text),
        ["ARCHITECTURE.md", "docs/export page.png", "docs/b.png"]
    );
}
