use super::*;
use crate::output::{Absence, Missing};
use ::bson::{DateTime, Document, doc};
use std::convert::Infallible;

/// An archive with one packed and one missing file.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Output for Memory {
    type Error = Infallible;

    fn start_entry(&mut self, _: &str) -> Result<(), Infallible> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish_entry(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn file(&mut self, upload: &str) -> Result<FilePlace, Infallible> {
        Ok(match upload {
            "F" => FilePlace::Packed {
                entry: "assets/F-f.txt".into(),
                size: 3,
            },
            _ => FilePlace::Missing(Missing::new(Absence::Gone, "chunks missing")),
        })
    }
}

fn render(docs: &[Document], raw: bool) -> String {
    let bytes: Vec<Vec<u8>> = docs.iter().map(|doc| doc.to_vec().unwrap()).collect();
    let messages: Vec<Message<'_>> = bytes.iter().map(|bytes| Message::read(bytes)).collect();
    let mut out = Memory::default();
    let mut json = JsonLines::new("general.json".into(), raw);
    let Ok(()) = json.begin(&mut out);
    if let Some((message, history)) = messages.split_first() {
        let Ok(_) = json.message(message, history, &mut out);
    }
    let Ok(()) = json.finish(&mut out);
    String::from_utf8(out.0).unwrap()
}

fn check(doc: Document, expected: &str) {
    assert_eq!(render(&[doc], false), format!("{expected}\n"));
}

fn base() -> Document {
    doc! {"_id": "m1", "rid": "R", "ts": DateTime::from_millis(1_709_647_629_000), "u": {"_id": "u1", "username": "alice", "name": "Alice A"}}
}

fn with(rest: Document) -> Document {
    let mut doc = base();
    doc.extend(rest);
    doc
}

const TAIL: &str = r#""_id":"m1","uid":"u1","name":"Alice A""#;

#[test]
fn an_ordinary_message_has_the_keys_of_rocket_chat_first() {
    check(
        with(
            doc! {"msg": "hi <b> & \"q\"", "md": [], "urls": [], "mentions": [], "channels": [], "starred": [{"_id": "x"}]},
        ),
        &format!(
            r#"{{"msg":"hi <b> & \"q\"","username":"alice","ts":"2024-03-05T14:07:09.000Z",{TAIL}}}"#
        ),
    );
}

#[test]
fn a_system_message_has_its_sentence_and_its_parameter() {
    check(
        with(doc! {"t": "au", "msg": "bob"}),
        &format!(
            r#"{{"msg":"added bob","username":"alice","ts":"2024-03-05T14:07:09.000Z","type":"au",{TAIL},"parameter":"bob"}}"#
        ),
    );
    check(
        with(doc! {"t": "livechat-close", "msg": "bye"}),
        &format!(
            r#"{{"msg":"Conversation Finished","username":"alice","ts":"2024-03-05T14:07:09.000Z","type":"livechat-close",{TAIL},"parameter":"bye"}}"#
        ),
    );
}

#[test]
fn a_deleted_message_says_by_whom() {
    check(
        with(
            doc! {"t": "rm", "msg": "", "attachments": [], "editedAt": DateTime::from_millis(0), "editedBy": {"_id": "u2", "username": "bob"}},
        ),
        &format!(
            r#"{{"msg":"message removed","username":"alice","ts":"2024-03-05T14:07:09.000Z","attachments":[],"type":"rm",{TAIL},"deleted":{{"at":"1970-01-01T00:00:00.000Z","by":"bob"}}}}"#
        ),
    );
}

#[test]
fn each_attachment_has_its_own_file() {
    let doc = with(doc! {
        "msg": "",
        "file": {"_id": "F", "name": "f.txt"},
        "files": [{"_id": "F", "name": "f.txt", "type": "text/plain", "size": 3.0}, {"_id": "G", "name": "g"}, {"_id": "T", "typeGroup": "thumb"}],
        "attachments": [
            {"title": "f.txt", "type": "file", "title_link": "/file-upload/F/f.txt", "format": "TXT", "md": [1]},
            {"title": "g", "type": "file", "fileId": "G"},
            {"text": "quoted", "message_link": "https://x.test/channel/general?msg=q", "attachments": [{"text": "inner"}]},
        ],
    });
    check(
        doc,
        &format!(
            concat!(
                r#"{{"msg":"","username":"alice","ts":"2024-03-05T14:07:09.000Z","attachments":["#,
                r#"{{"type":"file","title":"f.txt","title_link":"/file-upload/F/f.txt","url":"/file-upload/F/f.txt","remote":false,"fileId":"F","fileName":"f.txt","path":"assets/F-f.txt","format":"TXT"}},"#,
                r#"{{"type":"file","title":"g","url":null,"remote":false,"fileId":"G","fileName":"g","missing":"chunks missing"}},"#,
                r#"{{"message_link":"https://x.test/channel/general?msg=q","url":"https://x.test/channel/general?msg=q","remote":false,"text":"quoted","attachments":[{{"url":null,"remote":false,"text":"inner"}}]}}],"#,
                r#"{TAIL},"files":[{{"_id":"F","name":"f.txt","type":"text/plain","size":3,"path":"assets/F-f.txt"}},{{"_id":"G","name":"g","missing":"chunks missing"}}]}}"#,
            ),
            TAIL = TAIL
        ),
    );
}

#[test]
fn an_attachment_keeps_the_id_of_a_file_that_the_message_has_lost() {
    let doc = with(
        doc! {"msg": "", "attachments": [{"type": "removed-file", "fileId": "X", "text": "_File removed_"}]},
    );
    let text = render(&[doc], false);
    assert!(
        text.contains(r#""remote":true,"fileId":"X","text":"_File removed_""#),
        "{text}"
    );
}

#[test]
fn a_workspace_cannot_put_its_own_path_beside_ours() {
    let doc = with(
        doc! {"msg": "", "file": {"_id": "F", "name": "f.txt"}, "attachments": [{"type": "file", "path": "../../etc"}]},
    );
    let text = render(&[doc], false);
    assert_eq!(
        text.matches(r#""path":"#).count(),
        2,
        "one in the attachment, one in files: {text}"
    );
    assert!(!text.contains("etc"), "{text}");
}

#[test]
fn old_versions_stand_under_their_message() {
    let old = with(doc! {"_id": "h1", "msg": "old", "_hidden": true, "parent": "m1"});
    let text = render(&[with(doc! {"msg": "new"}), old], false);
    assert!(
        text.contains(r#""history":[{"msg":"old","username":"alice","#),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn raw_adds_the_whole_document_and_the_visitors_token_stays_inside_otherwise() {
    let doc = with(doc! {"msg": "x", "token": "secret", "zz": 1});
    let text = render(std::slice::from_ref(&doc), false);
    assert!(
        text.contains(r#""other":{"zz":1}"#) && !text.contains("secret"),
        "{text}"
    );
    let text = render(&[doc], true);
    assert!(
        text.contains(r#""raw":{"_id":"m1","rid":"R","ts":{"$date":"2024-03-05T14:07:09Z"}"#),
        "{text}"
    );
}

#[test]
fn an_export_without_messages_is_one_newline() {
    assert_eq!(render(&[], false), "\n");
}

#[test]
fn odd_documents_are_lines_of_valid_json() {
    for doc in [
        doc! {},
        doc! {"_id": 5, "ts": "never", "u": null, "msg": {"a": 1}, "t": 7, "attachments": "x", "reactions": [1]},
        doc! {"msg": 5, "attachments": [1, null, {"attachments": {"0": 1}}], "files": {"a": 1}, "editedBy": "x"},
    ] {
        let text = render(&[doc], true);
        serde_json::from_str::<serde_json::Value>(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}"));
    }
}
