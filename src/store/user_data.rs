//! Contract of the records in `rocketchat_user_data_files`: which exports exist, and where their bytes are.

use async_trait::async_trait;
use bson::{Bson, DateTime, Document, doc};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use transcript::bson::Value;

use super::directory::UserId;
use super::fields::{id_at, text_at, whole};
use super::{RawDoc, StoreError};
use crate::random;

/// What JavaScript's `encodeURIComponent` escapes (ECMA-262, 19.2.6.4).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What JavaScript's `encodeURI` escapes (ECMA-262, 19.2.6.3).
const WHOLE_URI: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');

/// A record of an export's file (contract §6.7, with `rid`, `createdAt` and `exportRoom` of ours).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDataFile {
    /// `_id`; for ours the id of the job.
    pub id: String,
    /// `userId`: the only one who may download it.
    pub owner: UserId,
    /// `name`, percent-encoded once, as Rocket.Chat keeps it.
    pub name: String,
    /// `size` in bytes.
    pub size: u64,
    /// `store`, for example `FileSystem:UserDataFiles`.
    pub store: String,
    /// `extension`; the file's suffix in FileSystem stores.
    pub extension: Option<String>,
    /// `type`.
    pub content_type: String,
    /// `uploadedAt`, milliseconds since 1970.
    pub uploaded_at: Option<i64>,
    /// `exportRoom.sha256`: of the whole ZIP, hexadecimal.
    pub sha256: Option<String>,
    /// `exportRoom.at` ([`Place::at`](crate::blob::user_data::Place::at)).
    pub at: Option<String>,
    /// `createdAt`, milliseconds since 1970.
    pub created_at: Option<i64>,
    /// Whether all of its bytes are there (`complete`).
    pub complete: bool,
    /// The whole document, as it is or will be stored.
    pub doc: RawDoc,
}

/// An export whose file is stored, as its record tells of it.
#[derive(Clone, Debug)]
pub struct FinishedExport<'a> {
    /// Id of the job, and of record and file.
    pub id: &'a str,
    /// Who asked for it.
    pub owner: &'a UserId,
    /// What its owner is called in the file's name; see [`User::display_name`](super::directory::User::display_name).
    pub owner_name: &'a str,
    /// The room.
    pub rid: &'a str,
    /// `html` or `json`.
    pub format: &'a str,
    /// `dateFrom` as it was asked for.
    pub date_from: Option<&'a str>,
    /// `dateTo` as it was asked for.
    pub date_to: Option<&'a str>,
    /// First instant, milliseconds since 1970.
    pub from: Option<i64>,
    /// Last instant.
    pub to: i64,
    /// Bytes of the ZIP.
    pub size: u64,
    /// SHA-256 of the ZIP, hexadecimal.
    pub sha256: &'a str,
    /// Where it is stored ([`Place::store`](crate::blob::user_data::Place::store)).
    pub store: &'a str,
    /// Its suffix there ([`Place::extension`](crate::blob::user_data::Place::extension)).
    pub extension: Option<&'a str>,
    /// Its path there ([`Place::path`](crate::blob::user_data::Place::path)).
    pub path: Option<(&'a str, &'a str)>,
    /// Which place of the store's kind it is ([`Place::at`](crate::blob::user_data::Place::at)).
    pub at: Option<&'a str>,
    /// How users reach the server, for example `https://chat.example.org/sub`.
    pub site_url: &'a str,
    /// What made it ([`TOOL`](crate::export::report::TOOL)).
    pub tool: &'a str,
    /// Now, milliseconds since 1970.
    pub now: i64,
}

impl UserDataFile {
    /// Reads a record (contract §6.7), whoever wrote it. [`StoreError::Corrupt`] when its bytes are damaged.
    pub fn read(raw: RawDoc) -> Result<Self, StoreError> {
        let doc = whole(&raw.0, "an export's file")?;
        Ok(Self {
            id: id_at(doc, &["_id"]).unwrap_or_default(),
            owner: UserId(id_at(doc, &["userId"]).unwrap_or_default()),
            name: text_at(doc, &["name"]).unwrap_or_default(),
            size: doc
                .get("size")
                .and_then(Value::integer)
                .and_then(|size| size.try_into().ok())
                .unwrap_or(0),
            store: text_at(doc, &["store"]).unwrap_or_default(),
            extension: text_at(doc, &["extension"]),
            content_type: text_at(doc, &["type"]).unwrap_or_default(),
            uploaded_at: doc.get("uploadedAt").and_then(Value::millis),
            sha256: text_at(doc, &["exportRoom", "sha256"]),
            at: text_at(doc, &["exportRoom", "at"]),
            created_at: doc.get("createdAt").and_then(Value::millis),
            complete: doc.get("complete").is_some_and(Value::truthy),
            doc: raw,
        })
    }

    /// The record of a finished export: every field of contract §6.7, so that Rocket.Chat can serve the file as well, and
    /// `rid`, `createdAt` and `exportRoom` of ours.
    pub fn of_export(export: &FinishedExport<'_>) -> Result<Self, StoreError> {
        let FinishedExport { id, store, .. } = *export;
        let name = file_name(export);
        let root = export.site_url.trim_end_matches('/');
        let place =
            utf8_percent_encode(&format!("/ufs/{store}/{id}/{name}"), WHOLE_URI).to_string();
        let now = DateTime::from_millis(export.now);
        let size = number(export.size);
        let mut details = doc! {"job": id, "format": export.format};
        set(&mut details, "from", export.from.map(DateTime::from_millis));
        details.insert("to", DateTime::from_millis(export.to));
        set(&mut details, "dateFrom", export.date_from);
        set(&mut details, "dateTo", export.date_to);
        details.insert("sha256", export.sha256);
        details.insert("tool", export.tool);
        set(&mut details, "at", export.at);
        let mut record = doc! {
            "_id": id,
            "userId": &export.owner.0,
            "type": "application/zip",
            "size": size,
            "name": name,
            "store": store,
        };
        set(&mut record, "extension", export.extension);
        if let Some((field, path)) = export.path {
            record.insert(field, doc! {"path": path});
        }
        record.extend(doc! {
            "complete": true,
            "uploading": false,
            "progress": 1,
            "uploadedAt": now,
            "etag": random::id(),
            "token": random::file_token(),
            "path": format!("{}{place}", root_path(root)),
            "url": format!("{root}{place}"),
            "_updatedAt": now,
            "rid": export.rid,
            "createdAt": now,
            "exportRoom": details,
        });
        let bytes = record.to_vec().map_err(|error| {
            StoreError::Corrupt(format!(
                "the record of an export cannot be written: {error}"
            ))
        })?;
        Self::read(RawDoc(bytes))
    }
}

/// `name` of the record (contract §6.3).
fn file_name(export: &FinishedExport<'_>) -> String {
    let day = Timestamp::from_millisecond(export.now)
        .unwrap_or_default()
        .strftime("%Y-%m-%d");
    let data = if export.format == "json" { "-data" } else { "" };
    let name = format!("{day}-{}{data}-{}.zip", export.owner_name, export.id);
    utf8_percent_encode(&name, COMPONENT).to_string()
}

/// A number as Node writes it: 32 bits when it fits.
fn number(size: u64) -> Bson {
    match i32::try_from(size) {
        Ok(small) => small.into(),
        Err(_) => i64::try_from(size).unwrap_or(i64::MAX).into(),
    }
}

fn set(document: &mut Document, key: &str, value: Option<impl Into<Bson>>) {
    if let Some(value) = value {
        document.insert(key, value);
    }
}

/// The path in a site's URL: where Rocket.Chat is, when it is not at the root of its domain.
fn root_path(site: &str) -> &str {
    let authority = site.split_once("://").map_or(site, |(_, rest)| rest);
    authority.find('/').map_or("", |at| &authority[at..])
}

/// Knows the records of exports' files. Records are written by [`crate::jobs::JobQueue::settle`], together with the end
/// of their job.
#[async_trait]
pub trait UserDataFiles: Send + Sync {
    /// The record with this `_id`, of whoever wrote it.
    async fn file(&self, id: &str) -> Result<Option<UserDataFile>, StoreError>;

    /// Takes a record away, if it is there.
    async fn remove(&self, id: &str) -> Result<(), StoreError>;

    /// At most `limit` records of exports of ours (they have `exportRoom`) with `createdAt` before an instant, in its order
    /// and that of their ids; after that of such an instant and id.
    async fn created_before(
        &self,
        instant: i64,
        after: Option<(i64, &str)>,
        limit: usize,
    ) -> Result<Vec<UserDataFile>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export<'a>(owner: &'a UserId, owner_name: &'a str) -> FinishedExport<'a> {
        FinishedExport {
            id: "tJob5678901234567",
            owner,
            owner_name,
            rid: "GENERAL",
            format: "html",
            date_from: Some("2024-03-01"),
            date_to: None,
            from: Some(1_709_251_200_000),
            to: 1_709_650_000_000,
            size: 1234,
            sha256: "abcd",
            store: "FileSystem:UserDataFiles",
            extension: Some("zip"),
            path: None,
            at: Some("/srv/exports"),
            site_url: "https://chat.example.org/sub/",
            tool: "Export Room 1",
            now: 1_709_647_629_000,
        }
    }

    fn written(file: &UserDataFile) -> Document {
        Document::from_reader(file.doc.0.as_slice()).unwrap()
    }

    #[test]
    fn a_record_has_every_field_that_rocket_chat_writes_and_ours() {
        let owner = UserId("u1".to_owned());
        let file = UserDataFile::of_export(&export(&owner, "Ann & Bö")).unwrap();
        let mut record = written(&file);
        let etag = record.insert("etag", "").unwrap();
        let token = record.insert("token", "").unwrap();
        assert_eq!(etag.as_str().unwrap().len(), 17);
        assert_eq!(token.as_str().unwrap().len(), 10);
        let now = DateTime::from_millis(1_709_647_629_000);
        let name = "2024-03-05-Ann%20%26%20B%C3%B6-tJob5678901234567.zip";
        let place = "/ufs/FileSystem:UserDataFiles/tJob5678901234567/2024-03-05-Ann%2520%2526%2520B%25C3%25B6-tJob5678901234567.zip";
        assert_eq!(
            record,
            doc! {
                "_id": "tJob5678901234567", "userId": "u1", "type": "application/zip", "size": 1234, "name": name,
                "store": "FileSystem:UserDataFiles", "extension": "zip", "complete": true, "uploading": false, "progress": 1,
                "uploadedAt": now, "etag": "", "token": "", "path": format!("/sub{place}"),
                "url": format!("https://chat.example.org/sub{place}"), "_updatedAt": now, "rid": "GENERAL", "createdAt": now,
                "exportRoom": {
                    "job": "tJob5678901234567", "format": "html", "from": DateTime::from_millis(1_709_251_200_000),
                    "to": DateTime::from_millis(1_709_650_000_000), "dateFrom": "2024-03-01", "sha256": "abcd",
                    "tool": "Export Room 1", "at": "/srv/exports",
                },
            }
        );
        assert_eq!(
            (file.id.as_str(), &file.owner),
            ("tJob5678901234567", &owner)
        );
        assert_eq!((file.name.as_str(), file.size), (name, 1234));
        assert_eq!(file.uploaded_at, Some(1_709_647_629_000));
        assert_eq!(file.sha256.as_deref(), Some("abcd"));
        assert_eq!(file.at.as_deref(), Some("/srv/exports"));
        assert_eq!(file.created_at, Some(1_709_647_629_000));
        assert!(file.complete);
    }

    #[test]
    fn a_record_says_what_differs_between_exports() {
        let owner = UserId("u1".to_owned());
        let mut json = export(&owner, "(it's) ~ann!*");
        json.format = "json";
        json.from = None;
        json.date_from = None;
        json.date_to = Some("2024-03-04");
        json.extension = None;
        json.size = 5_000_000_000;
        json.site_url = "http://localhost:3000";
        let record = written(&UserDataFile::of_export(&json).unwrap());
        let name = "2024-03-05-(it's)%20~ann!*-data-tJob5678901234567.zip";
        assert_eq!(record.get_str("name").unwrap(), name);
        assert_eq!(record.get_i64("size").unwrap(), 5_000_000_000);
        let path = record.get_str("path").unwrap();
        assert!(path.starts_with("/ufs/FileSystem:UserDataFiles/"), "{path}");
        assert_eq!(
            record.get_str("url").unwrap(),
            format!("http://localhost:3000{path}")
        );
        let details = record.get_document("exportRoom").unwrap();
        assert!(!record.contains_key("extension"));
        assert!(!details.contains_key("from") && !details.contains_key("dateFrom"));
        assert_eq!(details.get_str("dateTo").unwrap(), "2024-03-04");
    }

    #[test]
    fn records_of_others_are_read_as_far_as_they_go() {
        let read = |doc: Document| UserDataFile::read(RawDoc(doc.to_vec().unwrap())).unwrap();
        let file = read(doc! {
            "_id": "f", "userId": "u", "name": "a%20b.zip", "size": 12.0, "store": "GridFS:UserDataFiles",
            "type": "application/zip", "complete": true, "uploadedAt": DateTime::from_millis(5), "extension": "",
        });
        assert_eq!((file.size, file.uploaded_at), (12, Some(5)));
        assert_eq!((file.extension, file.sha256), (None, None));
        let odd = read(doc! {"_id": 5, "size": -1, "name": 7, "complete": "", "exportRoom": "x"});
        assert_eq!((odd.id.as_str(), odd.owner.0.as_str()), ("5", ""));
        assert_eq!((odd.size, odd.name.as_str(), odd.complete), (0, "", false));
        assert!(UserDataFile::read(RawDoc(vec![5, 0, 0, 0])).is_err());
    }
}
