//! Every room of a workspace, in both formats, from every source: equal bytes, and exactly what is expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use bson::{Bson, Document};
use export_room::store::dump::Dump;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use transcript::names;

use crate::support::cli::{entries, is_page, manifest, run, text};
use crate::support::dump::{DumpBuilder, Form, shared_workspace};
use crate::support::mongo::MongoPlace;

/// A workspace to export, with what is expected of it.
struct Workspace {
    dump: PathBuf,
    files: PathBuf,
    expected: Json,
}

impl Workspace {
    fn demo() -> Self {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        Self::at(demo.join("workspace.archive.gz"), demo.join("files"), &demo)
    }

    fn shared(test: &str) -> Option<Self> {
        let shared = shared_workspace(test)?;
        Some(Self::at(
            shared.join("rocketchat"),
            shared.join("files"),
            &shared,
        ))
    }

    fn at(dump: PathBuf, files: PathBuf, expected: &Path) -> Self {
        let expected = File::open(expected.join("EXPECTED.json")).unwrap();
        Self {
            dump,
            files,
            expected: serde_json::from_reader(BufReader::new(expected)).unwrap(),
        }
    }

    fn rooms(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.expected["rooms"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, room)| (id.as_str(), room))
    }

    /// The addresses of the same workspace as a directory, an archive, as it was given, and as a workspace file; and as a
    /// live database, unless it is large: the server of the tests looks through all messages for those with files.
    fn addresses(&self, directory: &Path) -> Vec<String> {
        let copy = self.copy();
        let database = directory.join("chat.db");
        let imported = run(&[
            "import",
            text(&self.dump),
            "--workspace",
            &format!("sqlite:{}", database.display()),
        ]);
        assert_eq!(imported.code, 0, "{}", imported.stderr);
        let mut addresses = vec![format!("dump:{}", self.dump.display())];
        for form in [Form::Directory, Form::ArchiveGzip] {
            addresses.push(format!("dump:{}", copy.write(form, directory).display()));
        }
        addresses.push(format!("sqlite:{}", database.display()));
        if copy.collections["rocketchat_message"].len() > 10_000 {
            return addresses;
        }
        let place = MongoPlace::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(place.load(&copy));
        addresses.push(place.address);
        addresses
    }

    fn copy(&self) -> DumpBuilder {
        let mut copy = DumpBuilder::of("rocketchat");
        self.each(&mut |collection, doc| {
            copy.add_raw(collection, doc.to_vec());
        });
        copy
    }

    fn each(&self, each: &mut dyn FnMut(&str, &[u8])) {
        Dump::open(&self.dump)
            .unwrap()
            .scan(
                &|_| true,
                &CancellationToken::new(),
                &mut |_| {},
                &mut |found| {
                    each(found.collection, found.doc);
                    Ok(())
                },
            )
            .unwrap();
    }

    /// The messages of the workspace, decoded by the reference implementation, by room and in order.
    fn messages(&self) -> BTreeMap<String, Vec<Document>> {
        let mut rooms: BTreeMap<String, Vec<Document>> = BTreeMap::new();
        self.each(&mut |collection, doc| {
            if collection == "rocketchat_message" {
                let doc = Document::from_reader(doc).unwrap();
                rooms
                    .entry(doc.get_str("rid").unwrap().to_owned())
                    .or_default()
                    .push(doc);
            }
        });
        for messages in rooms.values_mut() {
            messages.sort_by(|a, b| {
                let key = |doc: &Document| {
                    (
                        *doc.get_datetime("ts").unwrap(),
                        doc.get_str("_id").unwrap().to_owned(),
                    )
                };
                key(a).cmp(&key(b))
            });
        }
        rooms
    }

    fn export(
        &self,
        address: &str,
        room: &str,
        format: &str,
        more: &[&str],
        zip: &Path,
    ) -> (i32, String) {
        let mut arguments = vec![
            "export",
            "--workspace",
            address,
            "--room",
            room,
            "--format",
            format,
        ];
        arguments.extend(["--files", text(&self.files), "-o", text(zip), "--force"]);
        arguments.extend(more);
        let ran = run(&arguments);
        (ran.code, ran.stderr)
    }
}

#[test]
fn the_demo_workspace_exports_equally_from_every_source() {
    equal_and_expected(&Workspace::demo());
}

#[test]
fn the_full_workspace_exports_equally_from_every_source() {
    if let Some(workspace) =
        Workspace::shared("the_full_workspace_exports_equally_from_every_source")
    {
        equal_and_expected(&workspace);
    }
}

fn equal_and_expected(workspace: &Workspace) {
    let directory = tempfile::tempdir().unwrap();
    let addresses = workspace.addresses(directory.path());
    let (zip, other) = (
        directory.path().join("first.zip"),
        directory.path().join("other.zip"),
    );
    for (room, expected) in workspace.rooms() {
        for format in ["html", "json"] {
            let (first, rest) = addresses.split_first().unwrap();
            let (code, stderr) = workspace.export(first, room, format, &[], &zip);
            let missing = expected["files"]["unavailable"].as_object().unwrap();
            assert_eq!(
                code,
                i32::from(!missing.is_empty()),
                "{room} {format}: {stderr}"
            );
            for (file, reason) in missing {
                let line = stderr
                    .lines()
                    .find(|line| line.starts_with(&format!("missing: file {file} ")));
                assert!(
                    line.is_some_and(|line| line.ends_with(reason.as_str().unwrap())),
                    "{file}: {stderr}"
                );
            }
            let contents = entries(&zip);
            check_manifest(&manifest(&contents), expected, &contents);
            let uploads = &workspace.expected["uploads"];
            check_files(&contents, expected, uploads.get("byId").unwrap_or(uploads));
            check_rendered(
                &contents,
                format,
                expected["messages"]["visible"].as_u64().unwrap(),
            );
            let verified = run(&["verify", text(&zip)]);
            assert_eq!(verified.code, code, "{}", verified.stderr);
            for address in rest {
                let (other_code, stderr) = workspace.export(address, room, format, &[], &other);
                assert_eq!(other_code, code, "{address}: {stderr}");
                assert!(
                    entries(&other) == contents,
                    "{room} as {format} differs between {first} and {address}"
                );
            }
        }
    }
}

fn check_manifest(manifest: &Json, expected: &Json, contents: &BTreeMap<String, Vec<u8>>) {
    let (messages, files) = (&expected["messages"], &expected["files"]);
    assert_eq!(manifest["messages"]["expected"], messages["total"]);
    assert_eq!(manifest["messages"]["read"], messages["total"]);
    assert_eq!(manifest["messages"]["rendered"], messages["visible"]);
    assert_eq!(manifest["messages"]["history"], messages["historyCopies"]);
    assert_eq!(manifest["messages"]["deleted"], messages["hiddenDeleted"]);
    assert_eq!(manifest["messages"]["byType"], messages["byType"]);
    assert_eq!(manifest["files"]["referenced"], files["references"]);
    assert_eq!(manifest["files"]["packed"], files["available"]);
    assert_eq!(manifest["files"]["bytes"], files["bytes"]);
    let missing: Map<String, Json> = manifest["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|missing| {
            (
                missing["file"].as_str().unwrap().to_owned(),
                missing["reason"].clone(),
            )
        })
        .collect();
    assert_eq!(&Json::Object(missing), &files["unavailable"]);
    assert_eq!(
        manifest["complete"],
        json!(files["unavailable"] == json!({}))
    );
    if !expected["firstTs"].is_null() && messages["hidden"] == json!(0) {
        assert_eq!(manifest["first"]["ts"], expected["firstTs"]);
        assert_eq!(manifest["last"]["ts"], expected["lastTs"]);
    }
    let listed = manifest["entries"].as_array().unwrap();
    assert_eq!(listed.len() + 1, contents.len());
    for entry in listed {
        let bytes = &contents[entry["name"].as_str().unwrap()];
        assert_eq!(entry["size"], bytes.len());
        assert_eq!(entry["sha256"], hex(bytes));
    }
}

fn check_files(contents: &BTreeMap<String, Vec<u8>>, expected: &Json, uploads: &Json) {
    let assets: Vec<_> = contents
        .iter()
        .filter(|(name, _)| name.starts_with("assets/") && !names::is_picture(name))
        .collect();
    assert_eq!(
        assets.len() as u64,
        expected["files"]["available"].as_u64().unwrap()
    );
    for (name, bytes) in assets {
        let id = name
            .strip_prefix("assets/")
            .unwrap()
            .split('-')
            .next()
            .unwrap();
        assert_eq!(uploads[id]["sha256"], hex(bytes), "{name}");
        assert!(name.len() <= "assets/".len() + 120, "{name}");
    }
}

fn check_rendered(contents: &BTreeMap<String, Vec<u8>>, format: &str, visible: u64) {
    let ids = ids_of(contents);
    let count: usize = contents
        .iter()
        .filter(|(name, _)| {
            !name.starts_with("assets/") && !name.starts_with("search/") && *name != "manifest.json"
        })
        .map(|(name, bytes)| {
            let text = std::str::from_utf8(bytes).unwrap();
            if format == "json" {
                return text.lines().filter(|line| !line.is_empty()).count();
            }
            check_page(name, &without_our_own(text), contents, &ids);
            // The page of a thread shows once more what stands in the room.
            text.matches("<article class=\"m").count()
        })
        .sum();
    assert_eq!(count as u64, visible);
}

/// Every `id` of every page.
fn ids_of(contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, BTreeSet<&str>> {
    let pages = contents.iter().filter(|(name, _)| is_page(name));
    pages
        .map(|(name, bytes)| {
            let page = std::str::from_utf8(bytes).unwrap();
            let ids = page.split(" id=\"").skip(1);
            let ids = ids.map(|part| part.split('"').next().unwrap()).collect();
            (name.as_str(), ids)
        })
        .collect()
}

/// The page without the style and the script that stand in its head, the same in every page.
fn without_our_own(page: &str) -> String {
    let mut page = page.to_owned();
    for (start, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
        while let Some(from) = page.find(start) {
            let to = from + page[from..].find(end).unwrap() + end.len();
            page.replace_range(from..to, "");
        }
    }
    page
}

/// Only our own tags, every link leads somewhere, every id is there once.
fn check_page(
    name: &str,
    page: &str,
    contents: &BTreeMap<String, Vec<u8>>,
    all: &BTreeMap<&str, BTreeSet<&str>>,
) {
    const TAGS: &str = "!DOCTYPE html head meta title body header h1 p dl div dt dd nav a main h2 h3 time article section \
                        span b i s u bdi br ul ol li img blockquote details summary footer strong em del code pre kbd \
                        small q table thead tbody tr th td caption hr svg path rect video audio figure figcaption label input";
    for part in page.split('<').skip(1) {
        let tag = part
            .trim_start_matches('/')
            .split([' ', '>'])
            .next()
            .unwrap();
        assert!(TAGS.split(' ').any(|ours| ours == tag), "{name}: <{part}");
        // Our attributes; whatever else stands in a tag broke out of one.
        let tag = part.split('>').next().unwrap();
        for attribute in tag
            .split('"')
            .step_by(2)
            .skip(1)
            .filter(|rest| rest.contains('='))
        {
            let attribute = attribute.trim().trim_end_matches('=');
            let attribute = attribute.rsplit(' ').next().unwrap();
            assert!(
                [
                    "class",
                    "data-calendar",
                    "data-language",
                    "type",
                    "data-search",
                    "id",
                    "title",
                    "rel",
                    "role",
                    "scope",
                    "width",
                    "height",
                    "start",
                    "preload",
                    "aria-current",
                    "aria-labelledby",
                    "href",
                    "datetime",
                    "dir",
                    "lang",
                    "src",
                    "alt",
                    "loading",
                    "content",
                    "name",
                    "charset",
                    "http-equiv",
                    "aria-hidden",
                    "aria-label",
                    "download",
                    "width",
                    "height",
                    "controls",
                    "preload",
                    "rel",
                    "title",
                    "viewBox",
                    "preserveAspectRatio",
                    "d",
                    "fill",
                    "role"
                ]
                .contains(&attribute),
                "{name}: {attribute} in <{tag}>"
            );
        }
    }
    let ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .map(|part| part.split('"').next().unwrap())
        .collect();
    assert_eq!(
        ids.len(),
        ids.iter().collect::<BTreeSet<_>>().len(),
        "{name} has an id twice"
    );
    check_links(name, page, contents, all);
}

/// Every link leads somewhere: into the export, or outside without telling where it comes from.
fn check_links(
    name: &str,
    page: &str,
    contents: &BTreeMap<String, Vec<u8>>,
    all: &BTreeMap<&str, BTreeSet<&str>>,
) {
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let attribute = [" href=\"", " src=\""]
            .into_iter()
            .find_map(|attribute| tag.split_once(attribute));
        let Some((_, target)) = attribute else {
            continue;
        };
        let target = target.split('"').next().unwrap();
        let outside = ["http://", "https://", "mailto:", "tel:"];
        if outside.iter().any(|scheme| target.starts_with(scheme)) {
            assert!(
                tag.contains(" rel=\"noopener noreferrer\""),
                "{name}: {target} tells where it comes from"
            );
            continue;
        }
        let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
        let file = if file.is_empty() {
            name.to_owned()
        } else {
            decoded(file)
        };
        assert!(
            contents.contains_key(&file),
            "{name}: {target} leads nowhere"
        );
        if !fragment.is_empty() {
            let id = decoded(fragment);
            assert!(
                all[file.as_str()].contains(id.as_str()),
                "{name}: {target} leads nowhere"
            );
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    export_room::export::report::hex(&Sha256::digest(bytes))
}

#[test]
fn json_of_the_demo_has_rocket_chats_keys_with_their_meaning() {
    as_rocket_chat_writes(&Workspace::demo());
}

#[test]
fn json_of_the_full_workspace_has_rocket_chats_keys_with_their_meaning() {
    if let Some(workspace) =
        Workspace::shared("json_of_the_full_workspace_has_rocket_chats_keys_with_their_meaning")
    {
        as_rocket_chat_writes(&workspace);
    }
}

/// For each message the keys that Rocket.Chat writes come first, in its order, with its values.
fn as_rocket_chat_writes(workspace: &Workspace) {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let address = format!("dump:{}", workspace.dump.display());
    let messages = workspace.messages();
    for (room, _) in workspace.rooms() {
        workspace.export(&address, room, "json", &[], &zip);
        let contents = entries(&zip);
        let (_, lines) = contents
            .iter()
            .find(|(name, _)| !name.starts_with("assets/") && *name != "manifest.json")
            .unwrap();
        let mut lines = std::str::from_utf8(lines)
            .unwrap()
            .lines()
            .filter(|line| !line.is_empty());
        let visible = messages
            .get(room)
            .into_iter()
            .flatten()
            .filter(|doc| !doc.get_bool("_hidden").unwrap_or(false));
        for doc in visible {
            let line = lines.next().unwrap();
            let expected = upstream(doc);
            let ours: Json = serde_json::from_str(line).unwrap();
            let mut at = 0;
            for (key, value) in &expected {
                let place = line
                    .find(&format!("\"{key}\":"))
                    .unwrap_or_else(|| panic!("{key} is not in {line}"));
                assert!(place >= at, "{key} is out of order in {line}");
                at = place;
                if key == "attachments" {
                    let (ours, theirs) = (ours[key].as_array().unwrap(), value.as_array().unwrap());
                    assert_eq!(ours.len(), theirs.len());
                    for (ours, theirs) in ours.iter().zip(theirs) {
                        for (key, value) in theirs.as_object().unwrap() {
                            assert_eq!(&ours[key], value, "{key} of an attachment of {line}");
                        }
                    }
                } else {
                    assert_eq!(&ours[key], value, "{key} of {line}");
                }
            }
            assert_eq!(ours["_id"], doc.get_str("_id").unwrap());
        }
        assert_eq!(lines.next(), None);
    }
}

/// What Rocket.Chat's `getMessageData` and `getAttachmentData` write (contract §6.4), without the faults 10, 11, 14, 15
/// and 17 of §11.1 and the literal `%s`. Where it writes a system text that a fault touches, the text is left to the
/// tests of sentences.
fn upstream(doc: &Document) -> Vec<(String, Json)> {
    let mut keys = Vec::new();
    let mut put = |key: &str, value: Json| keys.push((key.to_owned(), value));
    let kind = doc.get_str("t").ok();
    let msg = doc.get_str("msg").unwrap_or_default();
    let text = match kind {
        None | Some("e2e" | "discussion-created") => Some(msg.to_owned()),
        Some("uj") => Some("joined the channel".to_owned()),
        Some("ul") => Some("left the channel".to_owned()),
        Some("ui") => Some(format!("invited {msg} to the room")),
        Some("uir") => Some("rejected invitation to room".to_owned()),
        Some("ult") => Some("left this team".to_owned()),
        Some("ujt") => Some("joined this team".to_owned()),
        Some("user-added-room-to-team") => Some(format!("added #{msg} to this team")),
        Some("user-converted-to-team") => Some(format!("converted #{msg} to a team")),
        Some("user-converted-to-channel") => Some(format!("converted #{msg} to channel")),
        Some("user-deleted-room-from-team") => Some(format!("deleted #{msg}")),
        Some("user-removed-room-from-team") => Some(format!("removed #{msg} from this team")),
        Some("au") => Some(format!("added {msg}")),
        Some("added-user-to-team") => Some(format!("added @{msg} to this team")),
        Some("r") => Some(format!("changed room name to {msg}")),
        Some("ru") => Some(format!("removed {msg}")),
        Some("removed-user-from-team") => Some(format!("removed @{msg} from this team")),
        Some("wm") => Some(format!("Welcome {msg}.")),
        Some("livechat-close") => Some("Conversation Finished".to_owned()),
        Some("livechat-started") => Some("Chat started".to_owned()),
        Some("abac-removed-user-from-room") => Some("was removed by ABAC".to_owned()),
        Some(_) => None,
    };
    if let Some(text) = text {
        put("msg", text.into());
    }
    let user = doc.get_document("u").unwrap();
    put("username", user.get_str("username").unwrap().into());
    put("ts", iso(*doc.get_datetime("ts").unwrap()).into());
    if let Ok(attachments) = doc.get_array("attachments") {
        let has_file = doc
            .get_document("file")
            .is_ok_and(|file| file.contains_key("_id"));
        put(
            "attachments",
            attachments
                .iter()
                .map(|attachment| upstream_attachment(attachment, has_file))
                .collect(),
        );
    }
    if let Some(kind) = kind {
        put("type", kind.into());
    }
    keys
}

fn upstream_attachment(attachment: &Bson, has_file: bool) -> Json {
    let attachment = attachment.as_document().unwrap();
    let mut written = Map::new();
    for key in [
        "type",
        "title",
        "title_link",
        "image_url",
        "audio_url",
        "video_url",
        "message_link",
        "image_type",
        "image_size",
        "video_size",
        "video_type",
        "audio_size",
        "audio_type",
    ] {
        if let Some(value) = attachment.get(key) {
            written.insert(key.to_owned(), value.clone().into_relaxed_extjson());
        }
    }
    let url = [
        "title_link",
        "image_url",
        "audio_url",
        "video_url",
        "message_link",
    ]
    .into_iter()
    .find_map(|key| attachment.get_str(key).ok().filter(|url| !url.is_empty()));
    written.insert("url".to_owned(), url.map_or(Json::Null, Into::into));
    written.insert("remote".to_owned(), (!has_file).into());
    Json::Object(written)
}

fn iso(date: bson::DateTime) -> String {
    let text = jiff::Timestamp::from_millisecond(date.timestamp_millis()).unwrap();
    format!("{text:.3}")
}

#[test]
fn messages_of_equal_milliseconds_are_all_there_once_and_in_order() {
    let workspace = Workspace::demo();
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    for (room, messages) in workspace.messages() {
        workspace.export(
            &format!("dump:{}", workspace.dump.display()),
            &room,
            "json",
            &["--history"],
            &zip,
        );
        let contents = entries(&zip);
        let lines = contents
            .iter()
            .find(|(name, _)| !name.starts_with("assets/") && *name != "manifest.json")
            .unwrap()
            .1;
        let mut ids = Vec::new();
        for line in std::str::from_utf8(lines)
            .unwrap()
            .lines()
            .filter(|line| !line.is_empty())
        {
            let message: Json = serde_json::from_str(line).unwrap();
            ids.push(message["_id"].as_str().unwrap().to_owned());
            for version in message["history"].as_array().into_iter().flatten() {
                ids.push(version["_id"].as_str().unwrap().to_owned());
            }
        }
        let placed: BTreeSet<_> = ids.iter().cloned().collect();
        assert_eq!(
            placed.len(),
            ids.len(),
            "a message is there twice in {room}"
        );
        let all: BTreeSet<_> = messages
            .iter()
            .map(|doc| doc.get_str("_id").unwrap().to_owned())
            .collect();
        assert_eq!(
            placed, all,
            "with its history, {room} holds every document once"
        );
        assert_eq!(
            manifest(&contents)["anomalies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|odd| odd["kind"] == "history-without-message")
                .count(),
            0
        );
    }
}
