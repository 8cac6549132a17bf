//! What an export did: for its manifest, the log and the exit code.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use transcript::message::{Anomalies, Anomaly, Message};
use transcript::time::{IsoWriter, zone_in_words};

use super::ExportError;
use super::archive::{Archive, MANIFEST};
use super::pictures::PictureCounts;
use super::request::{ExportRequest, Format};

/// Version of the manifest's form; readers refuse what they do not know.
pub const MANIFEST_FORMAT: &str = "export-room/manifest/1";
/// Ids listed for each kind of oddity; all of them are counted.
const ODDITIES_LISTED: u64 = 1_000;
/// Kinds of messages counted each; further ones, which only a hostile workspace has, are counted together.
const KINDS_COUNTED: usize = 256;
/// Name and version of this program.
pub const TOOL: &str = concat!("Export Room ", env!("CARGO_PKG_VERSION"));

/// The counts of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// Messages, by what became of them.
    pub messages: MessageCounts,
    /// Files, by what became of them.
    pub files: FileCounts,
    /// Avatars and custom emoji that pages show, by what became of them.
    pub pictures: PictureCounts,
    /// First message of the export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<MessagePlace>,
    /// Last message of the export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<MessagePlace>,
    /// Why the export is not complete; empty when it is.
    pub problems: Vec<String>,
    /// What others have changed in a live workspace while it was read; it is no reason not to be complete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// Messages of the query, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// Counted by the source, apart from reading them.
    pub expected: u64,
    /// Read.
    pub read: u64,
    /// Rendered, each in its own place.
    pub rendered: u64,
    /// Old versions, rendered under their message or left out.
    pub history: u64,
    /// Hidden deleted messages that were left out.
    pub deleted: u64,
    /// Those of which only a part could be read, because their document is damaged.
    pub damaged: u64,
    /// Those rendered that have no type: what people wrote.
    pub ordinary: u64,
    /// Those rendered that have a type, by type.
    pub by_type: BTreeMap<String, u64>,
}

/// Files of the messages, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileCounts {
    /// Named by messages.
    pub referenced: u64,
    /// In the archive; a file that two messages name is there once.
    pub packed: u64,
    /// Named by messages and not in the archive.
    pub missing: u64,
    /// Bytes of those packed.
    pub bytes: u64,
}

/// A message by id and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessagePlace {
    /// `_id`.
    #[serde(rename = "_id")]
    pub id: String,
    /// Sent at, ISO 8601 in UTC.
    pub ts: Option<String>,
}

impl MessagePlace {
    /// The place of a message with this `_id`, sent at this instant in milliseconds.
    pub fn new(id: String, ts: Option<i64>) -> Self {
        Self {
            id,
            ts: ts.and_then(iso),
        }
    }
}

impl ExportReport {
    /// Whether everything that was asked for is in the archive.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty() && self.files.missing == 0
    }

    /// Counts a rendered message by its type.
    pub fn count_type(&mut self, message: &Message<'_>) {
        let Some(kind) = message.kind() else {
            self.messages.ordinary += 1;
            return;
        };
        let kind = kind.to_str();
        let by_type = &mut self.messages.by_type;
        if let Some(count) = by_type.get_mut(kind.as_ref()) {
            *count += 1;
        } else {
            let kind = if by_type.len() < KINDS_COUNTED {
                kind.as_ref()
            } else {
                "(others)"
            };
            *by_type.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// Compares what was counted with what was read: a difference means that the export is not complete, unless it lies
    /// between what was there before and what was there `after`, in a workspace that others write to.
    pub fn reconcile(&mut self, after: Option<u64>) {
        if self.messages.damaged > 0 {
            self.problems.push(format!(
                "{} messages are damaged in the workspace; what could be read of them is exported",
                self.messages.damaged
            ));
        }
        let MessageCounts {
            expected,
            read,
            rendered,
            history,
            deleted,
            ..
        } = self.messages;
        let told = match after {
            None => format!("the workspace counts {expected} messages, {read} were read"),
            Some(after) => format!(
                "the workspace counted {expected} messages before the export and {after} after it, {read} were read"
            ),
        };
        let explained =
            after.is_some_and(|after| (expected.min(after)..=expected.max(after)).contains(&read));
        if expected != read {
            if explained {
                self.changes.push(told);
            } else {
                self.problems.push(told);
            }
        }
        if read != rendered + history + deleted {
            self.problems.push(format!(
                "{read} messages were read, {} were placed",
                rendered + history + deleted
            ));
        }
    }
}

/// Oddities by kind; their messages' ids wait in the ledger.
#[derive(Clone, Debug, Default)]
pub struct Oddities([u64; Anomaly::ALL.len()]);

impl Oddities {
    /// Counts the anomalies of a message and keeps its id.
    pub(super) fn add<W: Write>(
        &mut self,
        anomalies: Anomalies,
        message: &Message<'_>,
        archive: &Archive<W>,
    ) -> Result<(), ExportError> {
        for anomaly in anomalies.iter() {
            let count = &mut self.0[anomaly as usize];
            *count += 1;
            if *count <= ODDITIES_LISTED {
                archive.ledger.add_oddity(anomaly.name(), &message.id())?;
            }
        }
        Ok(())
    }

    fn counted(&self) -> impl Iterator<Item = (Anomaly, u64)> {
        Anomaly::ALL
            .into_iter()
            .zip(self.0)
            .filter(|&(_, count)| count > 0)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    format: &'a str,
    tool: &'a str,
    exported_at: Option<String>,
    complete: bool,
    query: Query<'a>,
    room: Room<'a>,
    #[serde(flatten)]
    report: &'a ExportReport,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
struct Query<'a> {
    room: &'a str,
    from: Option<String>,
    to: Option<String>,
    format: &'a str,
    attachments: bool,
    history: bool,
    raw: bool,
    search: bool,
    timezone: String,
    locale: &'a str,
    level: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Room<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "t")]
    kind: &'a str,
    name: Option<&'a str>,
    title: &'a str,
    topic: Option<&'a str>,
}

/// Writes `manifest.json`, the last entry: the head, then oddities, missing files and the digest of every entry before
/// it, a line each, streamed.
pub(super) fn write_manifest<W: Write>(
    archive: &mut Archive<W>,
    request: &ExportRequest,
    report: &ExportReport,
    oddities: &Oddities,
) -> Result<(), ExportError> {
    let head = Head {
        format: MANIFEST_FORMAT,
        tool: TOOL,
        exported_at: iso(request.exported_at),
        complete: report.is_complete(),
        query: Query {
            room: &request.room.id,
            from: request.window.from.and_then(iso),
            to: request.window.to.and_then(iso),
            format: request.format.name(),
            attachments: request.attachments,
            history: request.history,
            raw: request.raw,
            search: request.search && request.format == Format::Html,
            timezone: zone_in_words(&request.zone),
            locale: request.locale.tag(),
            level: request.level,
        },
        room: Room {
            id: &request.room.id,
            kind: &request.room.kind,
            name: request.room.name.as_deref(),
            title: &request.room.title,
            topic: request.room.topic.as_deref(),
        },
        report,
    };
    let mut records = archive.zip.records()?;
    archive.zip.start_entry(zipstream::EntryOptions {
        name: MANIFEST,
        method: zipstream::Method::Deflate,
        large: true,
    })?;
    let mut text = serde_json::to_string_pretty(&head)?;
    // The head's closing brace makes room for what is streamed.
    text.truncate(text.trim_end_matches(['}', '\n']).len());
    text.push_str(",\n  \"anomalies\": [");
    archive.zip.append(text.as_bytes())?;
    for (index, (anomaly, count)) in oddities.counted().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let line = format!(
            "{comma}\n    {{\"kind\":\"{}\",\"count\":{count},\"messages\":[",
            anomaly.name()
        );
        archive.zip.append(line.as_bytes())?;
        let mut first = true;
        let Archive { ledger, zip, .. } = archive;
        ledger.each_oddity(anomaly.name(), |message| {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            zip.append(comma.as_bytes())?;
            Ok::<_, ExportError>(zip.append(serde_json::to_string(message)?.as_bytes())?)
        })?;
        archive.zip.append(b"]}")?;
    }
    archive.zip.append(b"\n  ],\n  \"missing\": [")?;
    let mut first = true;
    let Archive { ledger, zip, .. } = archive;
    ledger.each_missing(|missing| {
        let line = serde_json::json!({
            "message": missing.message, "file": missing.file, "name": missing.name, "reason": missing.reason,
        });
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        Ok::<_, ExportError>(zip.append(format!("{comma}\n    {line}").as_bytes())?)
    })?;
    zip.append(b"\n  ],\n  \"entries\": [")?;
    let mut first = true;
    while let Some(record) = zip.next_record(&mut records)? {
        let line = serde_json::json!({"name": record.name, "size": record.size, "sha256": hex(&record.sha256)});
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        zip.append(format!("{comma}\n    {line}").as_bytes())?;
    }
    zip.append(b"\n  ]\n}\n")?;
    Ok(zip.finish_entry()?)
}

/// Lower-case hexadecimal, as digests are written.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// ISO 8601 text of an instant in milliseconds.
fn iso(millis: i64) -> Option<String> {
    IsoWriter::default().text(millis).map(str::to_owned)
}
