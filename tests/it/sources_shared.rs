//! The sources on the public workspace data, against the facts that come with it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use export_room::blob::filesystem::FileSystem;
use export_room::blob::{BlobKey, Blobs};
use export_room::store::dump::Dump;
use export_room::store::{RoomId, Selection, UploadId, Window};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, Value, id_text};

use crate::sources::{
    Subject, id_of, import_quietly, messages, read_blob, subjects_of, whole_room,
};
use crate::support::dump::{DumpBuilder, Form, shared_workspace};

fn expected(workspace: &Path) -> Json {
    let file = std::fs::File::open(workspace.join("EXPECTED.json")).unwrap();
    serde_json::from_reader(std::io::BufReader::new(file)).unwrap()
}

fn millis(text: &Json) -> Option<i64> {
    Some(
        text.as_str()?
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_millisecond(),
    )
}

/// The same dump in all forms that mongodump has, and each of them imported.
fn subjects(workspace: &Path, directory: &Path) -> Vec<Subject> {
    let given = workspace.join("rocketchat");
    let dump = Dump::open(&given).unwrap();
    let mut copy = DumpBuilder::of("rocketchat");
    for collection in dump.collections() {
        copy.collections.insert(collection.to_owned(), Vec::new());
    }
    dump.scan(
        &|_| true,
        &CancellationToken::new(),
        &mut |_| {},
        &mut |found| {
            copy.add_raw(found.collection, found.doc.to_vec());
            Ok(())
        },
    )
    .unwrap();
    let mut subjects: Vec<Subject> =
        subjects_of("as given", &given, &directory.join("given.db")).into();
    for form in [Form::Directory, Form::Archive] {
        let path = copy.write(form, directory);
        subjects.extend(subjects_of(
            &format!("{form:?}"),
            &path,
            &directory.join(format!("{form:?}.db")),
        ));
    }
    subjects
}

#[tokio::test]
async fn every_form_of_the_public_workspace_has_the_rooms_messages_and_files_that_it_should() {
    let Some(workspace) = shared_workspace("sources_shared::every_form") else {
        return;
    };
    let facts = expected(&workspace);
    let directory = tempfile::tempdir().unwrap();
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    for subject in subjects(&workspace, directory.path()) {
        let mut digests = BTreeMap::new();
        let rooms = subject.source.rooms(None, 1000).await.unwrap();
        assert_eq!(rooms.len(), facts["rooms"].as_object().unwrap().len());
        for summary in rooms {
            let id = id_of(&summary.room.0);
            let room = &facts["rooms"][&id];
            let name = format!("{}: {id}", subject.name);
            assert_eq!(
                Some(summary.messages),
                room["messages"]["total"].as_u64(),
                "{name}"
            );
            if first.is_some() && !["PJhBvQzXC8ixJZhMG", "GENERAL"].contains(&id.as_str()) {
                // Every room of a dump costs a pass over all messages: the two that hold all oddities are enough.
                continue;
            }
            // The facts leave out hidden messages, which may be first.
            let visible = (millis(&room["firstTs"]), millis(&room["lastTs"]));
            assert!(
                summary.first <= visible.0 && summary.last >= visible.1,
                "{name}"
            );
            let documents = messages(&subject, &whole_room(&id)).await;
            let keys: Vec<(i64, String)> = documents
                .iter()
                .map(|bytes| {
                    let doc = Doc::new(bytes).unwrap();
                    (
                        doc.get("ts").unwrap().millis().unwrap(),
                        id_text(doc.get("_id").unwrap()).into_owned(),
                    )
                })
                .collect();
            assert!(keys.is_sorted(), "{name}");
            let mut query = whole_room(&id);
            query.selection = Selection::WithFiles;
            let with_files = messages(&subject, &query).await;
            let carrying: Vec<&Vec<u8>> = documents
                .iter()
                .filter(|bytes| {
                    let doc = Doc::new(bytes).unwrap();
                    doc.get("file")
                        .and_then(Value::document)
                        .is_some_and(|file| !file.is_empty())
                        || doc
                            .get("files")
                            .and_then(Value::array)
                            .is_some_and(|files| !files.is_empty())
                })
                .collect();
            assert!(with_files.iter().eq(carrying), "{name}");
            digests.insert(id, Sha256::digest(documents.concat()).to_vec());
        }
        // The day around which messages stand on both sides of midnight.
        let mut query = whole_room("PJhBvQzXC8ixJZhMG");
        let midnight = millis(&Json::from("2014-06-19T00:00:00Z")).unwrap();
        for (from, to, count) in [
            (midnight, midnight, 2),
            (midnight - 1, midnight + 1, 4),
            (midnight, midnight + 1, 3),
            (midnight - 1, midnight - 1, 1),
        ] {
            query.window = Window {
                from: Some(from),
                to: Some(to),
            };
            assert_eq!(
                messages(&subject, &query).await.len(),
                count,
                "{}",
                subject.name
            );
        }
        match &first {
            Some(first) => {
                for (room, digest) in &digests {
                    assert_eq!(Some(digest), first.get(room), "{}: {room}", subject.name);
                }
            }
            None => first = Some(digests),
        }
        check_files(&subject, &workspace, &facts).await;
    }
}

/// Every upload: its bytes, or the reason why they are not there.
async fn check_files(subject: &Subject, workspace: &Path, facts: &Json) {
    let blobs = Blobs::new(
        std::sync::Arc::clone(&subject.blobs),
        Some(FileSystem::new(&workspace.join("files")).unwrap()),
        None,
    );
    for (id, file) in facts["uploads"]["byId"].as_object().unwrap() {
        let record = subject.source.upload(&UploadId(id.clone())).await.unwrap();
        let name = format!("{}: {id}", subject.name);
        let Some(record) = record else {
            assert_eq!(file["state"], "record missing", "{name}");
            continue;
        };
        let doc = Doc::new(&record.0).unwrap();
        let key = BlobKey::read(id, doc);
        match read_blob(&blobs, &key).await {
            Ok(bytes) => {
                assert!(
                    ["ok", "thumbnail"].contains(&file["state"].as_str().unwrap()),
                    "{name}: {}",
                    file["state"]
                );
                let mut digest = String::new();
                for byte in Sha256::digest(&bytes) {
                    write!(digest, "{byte:02x}").unwrap();
                }
                assert_eq!(Json::from(digest), file["sha256"], "{name}");
            }
            Err(reason) => assert_eq!(Json::from(reason), file["state"], "{name}"),
        }
    }
}

#[tokio::test]
async fn rooms_of_the_public_workspace_are_found_by_name() {
    let Some(workspace) = shared_workspace("sources_shared::rooms_are_found") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let path = workspace.join("rocketchat");
    for subject in subjects_of("as given", &path, &directory.path().join("x.db")) {
        for (name, id) in [
            ("general", "GENERAL"),
            ("#helpdesk", "PJhBvQzXC8ixJZhMG"),
            (
                "Upgrade plan: <dist-upgrade> now & later?",
                "cgNXmzAnEPHqdHjiD",
            ),
            ("platform team", "4Zadpq8Qgv9REJgTT"),
            ("@bob", "cMwsDuhyhbYbvMsop"),
            ("@admin", "uAdmin0000000000auAlice0000000000a"),
            ("tZ6PjyK42ZwMFbi7j", "tZ6PjyK42ZwMFbi7j"),
        ] {
            let found = subject.source.find_rooms(name, 10).await.unwrap();
            let ids: Vec<String> = found.iter().map(|room| id_of(&room.0)).collect();
            assert_eq!(ids, [id], "{}: {name}", subject.name);
        }
        assert_eq!(
            subject.source.find_rooms("@alice", 10).await.unwrap().len(),
            2
        );
        let page = subject
            .source
            .rooms(Some(&RoomId("z".to_owned())), 10)
            .await
            .unwrap();
        assert!(page.is_empty());
    }
}

#[test]
fn an_import_keeps_every_document_of_the_public_workspace() {
    let Some(workspace) = shared_workspace("sources_shared::an_import_keeps_every_document") else {
        return;
    };
    let facts = expected(&workspace);
    let directory = tempfile::tempdir().unwrap();
    let outcome = import_quietly(&workspace, &directory.path().join("x.db"));
    let counts: BTreeMap<String, u64> = facts["collections"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, facts)| (name.clone(), facts["documents"].as_u64().unwrap()))
        .collect();
    assert_eq!(outcome.collections, counts);
}
