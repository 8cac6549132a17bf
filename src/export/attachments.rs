//! Packs the files of the messages, each once, before any message is rendered.
//!
//! Files come first so that a message's place in the export always tells the truth about its files; the ledger knows
//! what became of each.

use std::io::Write;

use transcript::bson::{Doc, Value, id_text};
use transcript::message::{FileRef, Message};
use transcript::names;
use transcript::output::{Absence, FilePlace, Missing};
use zipstream::{EntryOptions, Method};

use super::archive::Archive;
use super::ledger::MissingFile;
use super::report::FileCounts;
use super::{ExportError, Job};
use crate::blob::{BlobError, BlobKey, BlobReader, BlobStore};
use crate::store::{MessageSource, StoreError, UploadId};

/// An entry that was not announced as large ends before this size (4 GiB, less the ZIP64 mark).
const SMALL_LIMIT: u64 = 0xffff_fffe;

/// Packs every file of the message that has not been packed before, and reports those that are missing.
pub(super) fn pack<W: Write>(
    job: &Job<'_>,
    message: &Message<'_>,
    archive: &mut Archive<W>,
    counts: &mut FileCounts,
) -> Result<(), ExportError> {
    for file in message.files() {
        let id = id_text(file.id);
        counts.referenced += 1;
        let place = if let Some(place) = archive.ledger.file(&id)? {
            place
        } else {
            let place = pack_file(job, &file, &id, archive)?;
            if let FilePlace::Packed { size, .. } = &place {
                counts.packed += 1;
                counts.bytes += size;
            }
            archive.ledger.remember_file(&id, &place)?;
            place
        };
        if let FilePlace::Missing(missing) = place {
            counts.missing += 1;
            let missing = MissingFile::new(message, &file, missing.reason);
            archive.ledger.add_missing(&missing)?;
            (job.on_missing)(&missing);
        }
    }
    Ok(())
}

/// The record of an upload, as far as packing needs it.
struct Upload {
    key: BlobKey,
    name: Option<String>,
    mime: String,
    size: Option<u64>,
}

impl Upload {
    fn read(id: &str, record: &[u8]) -> Self {
        let doc = Doc::new(record).unwrap_or(Doc::EMPTY);
        let text = |key: &str| {
            let text = doc.text(key).filter(|text| !text.is_empty());
            text.map(|text| text.to_str().into_owned())
        };
        Self {
            key: BlobKey::read(id, doc),
            name: text("name"),
            mime: text("type").unwrap_or_default(),
            size: doc
                .get("size")
                .and_then(Value::integer)
                .and_then(|size| u64::try_from(size).ok()),
        }
    }
}

/// A file that can be read.
pub(crate) struct Opened {
    /// Its bytes.
    pub(crate) reader: Box<dyn BlobReader>,
    /// Its name: as the message says, else as its record does.
    pub(crate) name: String,
    /// Its type, as the record says.
    pub(crate) mime: String,
    /// Its size, as the record says: fewer bytes are not the whole file.
    pub(crate) size: Option<u64>,
    /// Its size, as its place says.
    pub(crate) length: Option<u64>,
}

/// What becomes of the wish to read a file.
pub(crate) enum Opening {
    /// Here it is.
    Open(Opened),
    /// It is not there, or not whole, and why.
    Missing(Missing),
}

/// The reason for a file that a message gained after the files had been packed.
pub(super) fn late() -> Missing {
    Missing::new(Absence::Late, "attached while the export was running")
}

/// The reason for a file that has fewer bytes than its record says.
pub(crate) fn incomplete(there: u64, recorded: u64) -> Missing {
    Missing::new(
        Absence::Incomplete,
        format!("only {there} of {recorded} bytes are there"),
    )
}

/// Looks for a file of a message.
pub(crate) async fn open(
    source: &dyn MessageSource,
    blobs: &dyn BlobStore,
    file: &FileRef<'_>,
    id: &str,
) -> Result<Opening, StoreError> {
    let Some(record) = source.upload(&UploadId(id.to_owned())).await? else {
        return Ok(Opening::Missing(Missing::new(
            Absence::NoRecord,
            "record missing",
        )));
    };
    let upload = Upload::read(id, &record.0);
    let reader = match blobs.open(&upload.key).await {
        Ok(reader) => reader,
        Err(BlobError::Missing(missing)) => return Ok(Opening::Missing(missing)),
        Err(BlobError::Store(error)) => return Err(error),
    };
    let length = reader.length();
    if let (Some(length), Some(size)) = (length, upload.size)
        && length < size
    {
        return Ok(Opening::Missing(incomplete(length, size)));
    }
    let name = if file.name.is_empty() {
        upload.name.unwrap_or_default()
    } else {
        file.name.to_str().into_owned()
    };
    Ok(Opening::Open(Opened {
        reader,
        name,
        mime: upload.mime,
        size: upload.size,
        length,
    }))
}

fn pack_file<W: Write>(
    job: &Job<'_>,
    file: &FileRef<'_>,
    id: &str,
    archive: &mut Archive<W>,
) -> Result<FilePlace, ExportError> {
    let Opened {
        mut reader,
        name,
        mime,
        size: recorded,
        length,
    } = match job.wait(open(job.source, job.blobs, file, id))?? {
        Opening::Open(opened) => opened,
        Opening::Missing(missing) => return Ok(FilePlace::Missing(missing)),
    };
    let entry = archive.ledger.reserve_name(&names::asset(id, &name))?;
    let large = length.is_none_or(|length| length > SMALL_LIMIT);
    archive.zip.start_entry(EntryOptions {
        name: &entry,
        method: method(&mime, &name),
        large,
    })?;
    let mut size = 0;
    let cut = loop {
        job.check_cancelled()?;
        match job.wait(reader.next_chunk())? {
            Ok(Some(chunk)) => {
                if !large && size + chunk.len() as u64 > SMALL_LIMIT {
                    break Some("longer than its store says".to_owned());
                }
                size += chunk.len() as u64;
                archive.zip.append(&chunk)?;
            }
            Ok(None) => match recorded {
                Some(expected) if size < expected => {
                    break Some(incomplete(size, expected).reason);
                }
                _ => break None,
            },
            Err(BlobError::Missing(missing)) => break Some(missing.reason),
            Err(BlobError::Store(error)) => return Err(error.into()),
        }
    };
    archive.zip.finish_entry()?;
    Ok(match cut {
        None => FilePlace::Packed { entry, size },
        Some(reason) => FilePlace::Missing(Missing {
            absence: Absence::Incomplete,
            reason: format!("{reason}; what could be read is in {entry}"),
            part: Some(entry),
        }),
    })
}

/// Kinds that are packed already gain nothing from deflate.
fn method(mime: &str, name: &str) -> Method {
    let mime = mime.to_ascii_lowercase();
    let packed = match mime.split_once('/') {
        Some(("image", kind)) => !matches!(
            kind,
            "svg+xml" | "bmp" | "tiff" | "x-icon" | "vnd.adobe.photoshop"
        ),
        Some(("video", _)) => true,
        Some(("audio", kind)) => !matches!(kind, "wav" | "x-wav" | "aiff" | "basic" | "midi"),
        _ => false,
    };
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let packed_extension = matches!(
        extension.as_deref(),
        Some(
            "zip"
                | "gz"
                | "tgz"
                | "bz2"
                | "xz"
                | "zst"
                | "7z"
                | "rar"
                | "jar"
                | "apk"
                | "docx"
                | "xlsx"
                | "pptx"
                | "odt"
                | "ods"
                | "odp"
                | "epub"
                | "png"
                | "jpg"
                | "jpeg"
                | "gif"
                | "webp"
                | "avif"
                | "heic"
                | "mp3"
                | "m4a"
                | "ogg"
                | "opus"
                | "flac"
                | "mp4"
                | "m4v"
                | "mov"
                | "mkv"
                | "webm"
                | "avi"
        )
    );
    if packed || packed_extension {
        Method::Store
    } else {
        Method::Deflate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_kinds_are_stored() {
        let cases = [
            ("image/png", "a.png", Method::Store),
            ("image/svg+xml", "a.svg", Method::Deflate),
            ("text/plain", "a.txt", Method::Deflate),
            ("application/octet-stream", "a.ZIP", Method::Store),
            ("application/pdf", "a.pdf", Method::Deflate),
            ("video/mp4", "clip", Method::Store),
            ("audio/x-wav", "a.wav", Method::Deflate),
            ("", "", Method::Deflate),
        ];
        for (mime, name, expected) in cases {
            assert_eq!(method(mime, name), expected, "{mime} {name}");
        }
    }
}
