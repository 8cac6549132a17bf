//! Avatars, custom emoji and thumbnails: asked for when a page first shows one, packed behind the pages, each once.
//!
//! A page names a picture's entry before the entry can be written, because the page's own entry is open. So the bytes are
//! read when the picture is first met: whether it can be shown is known then, and what can be shown waits in an unnamed
//! file until the pages are done. A picture that cannot be shown is counted and never makes an export incomplete: pages
//! show initials or the short code in its place.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, id_text};
use transcript::names;
use transcript::output::{AuthorCard, Role};
use zipstream::{EntryOptions, Method, ZipStream};

use super::ExportError;
use super::ledger::{Ledger, Pictured};
use crate::blob::{BlobError, BlobKey, BlobStore, CUSTOM_EMOJI, CUSTOM_EMOJI_FILES, StoreKind};
use crate::store::{AvatarOf, MessageSource, RoomId, UploadId};

/// Largest picture that is packed, in bytes: Rocket.Chat makes avatars of 200 × 200 pixels, and emoji are smaller.
const MAX_SIZE: u64 = 1 << 20;
/// Bytes moved at once from the spool into the ZIP.
const PIECE: usize = 64 << 10;

/// Pictures of the pages, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureCounts {
    /// Avatars of users and of the room in the archive.
    pub avatars: u64,
    /// Custom emoji in the archive.
    pub emoji: u64,
    /// Thumbnails of large pictures in the archive.
    pub thumbnails: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Those that the workspace has a record of and that cannot be shown: their bytes are missing, too many, or no PNG,
    /// JPEG, GIF or WebP.
    pub unusable: u64,
}

/// Where pictures come from, and those that wait to be packed.
pub(super) struct Pictures {
    source: Arc<dyn MessageSource>,
    blobs: Arc<dyn BlobStore>,
    cancel: CancellationToken,
    room: RoomId,
    spool: Option<File>,
    spooled: u64,
    emoji_stores: Option<[&'static str; 2]>,
    pub(super) counts: PictureCounts,
}

/// What a picture is of.
#[derive(Clone, Copy)]
enum Kind {
    Avatar,
    Emoji,
    Thumbnail,
}

impl Kind {
    fn directory(self) -> &'static str {
        match self {
            Self::Avatar => names::AVATARS,
            Self::Emoji => names::EMOJI,
            Self::Thumbnail => names::THUMBNAILS,
        }
    }
}

impl Pictures {
    pub(super) fn new(
        source: Arc<dyn MessageSource>,
        blobs: Arc<dyn BlobStore>,
        cancel: CancellationToken,
        room: RoomId,
    ) -> Self {
        Self {
            source,
            blobs,
            cancel,
            room,
            spool: None,
            spooled: 0,
            emoji_stores: None,
            counts: PictureCounts::default(),
        }
    }

    /// What pages show of an author: looked up once for each id and username.
    pub(super) fn author(
        &mut self,
        ledger: &Ledger,
        id: &str,
        username: &str,
    ) -> Result<AuthorCard, ExportError> {
        if let Some(card) = ledger.author(id, username)? {
            return Ok(card);
        }
        let mut card = AuthorCard::default();
        if !id.is_empty() {
            let roles = Handle::current().block_on(self.source.roles(&self.room, id))?;
            for role in roles.iter().filter_map(|role| Role::of(role)) {
                card.roles.add(role);
            }
        }
        if !username.is_empty() {
            card.avatar = self.avatar(ledger, &AvatarOf::User(username.to_owned()), username)?;
        }
        ledger.remember_author(id, username, &card)?;
        Ok(card)
    }

    /// The entry of the room's own avatar.
    pub(super) fn room(&mut self, ledger: &Ledger) -> Result<Option<String>, ExportError> {
        let room = self.room.clone();
        let name = format!("room-{}", room.0);
        self.avatar(ledger, &AvatarOf::Room(room), &name)
    }

    fn avatar(
        &mut self,
        ledger: &Ledger,
        of: &AvatarOf,
        name: &str,
    ) -> Result<Option<String>, ExportError> {
        let Some(record) = Handle::current().block_on(self.source.avatar(of))? else {
            return Ok(None);
        };
        let doc = Doc::new(&record.0).unwrap_or(Doc::EMPTY);
        let id = doc.get("_id").map(id_text).unwrap_or_default();
        let key = BlobKey::read(&id, doc);
        self.entry(ledger, Kind::Avatar, &id, name, &[key])
    }

    /// The entry of a custom emoji by its name or an alias.
    pub(super) fn emoji(
        &mut self,
        ledger: &Ledger,
        name: &str,
    ) -> Result<Option<String>, ExportError> {
        if let Some(found) = ledger.emoji(name)? {
            return Ok(found);
        }
        let record = Handle::current().block_on(self.source.custom_emoji(name))?;
        let found = match &record {
            None => None,
            Some(record) => {
                let doc = Doc::new(&record.0).unwrap_or(Doc::EMPTY);
                let id = doc.get("_id").map(id_text).unwrap_or_default();
                let text = |key| doc.text(key).unwrap_or_default().to_str().into_owned();
                let (own, extension) = (text("name"), text("extension"));
                let stores = self.emoji_stores()?;
                let keys = stores.map(|store| BlobKey::of_custom_emoji(store, &own, &extension));
                self.entry(ledger, Kind::Emoji, &id, &own, &keys)?
            }
        };
        ledger.remember_emoji(name, found.as_deref())?;
        Ok(found)
    }

    /// The entry of a thumbnail by the id of its upload.
    pub(super) fn thumbnail(
        &mut self,
        ledger: &Ledger,
        upload: &str,
    ) -> Result<Option<String>, ExportError> {
        let id = UploadId(upload.to_owned());
        let Some(record) = Handle::current().block_on(self.source.upload(&id))? else {
            return Ok(None);
        };
        let doc = Doc::new(&record.0).unwrap_or(Doc::EMPTY);
        let name = doc.text("name").unwrap_or_default().to_str();
        // The extension is that of what it is.
        let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
        let name = format!("{upload}-{stem}");
        self.entry(
            ledger,
            Kind::Thumbnail,
            upload,
            &name,
            &[BlobKey::read(upload, doc)],
        )
    }

    /// Where images of custom emoji are looked for, in this order: new ones go where the workspace's setting says, and
    /// older ones may have stayed where they were.
    fn emoji_stores(&mut self) -> Result<[&'static str; 2], ExportError> {
        const SETTING: &str = "EmojiUpload_Storage_Type";
        if let Some(stores) = self.emoji_stores {
            return Ok(stores);
        }
        let settings = Handle::current().block_on(self.source.settings(&[SETTING]))?;
        let stores = match settings.text(SETTING).map(StoreKind::of) {
            Some(StoreKind::FileSystem) => [CUSTOM_EMOJI_FILES, CUSTOM_EMOJI],
            _ => [CUSTOM_EMOJI, CUSTOM_EMOJI_FILES],
        };
        self.emoji_stores = Some(stores);
        Ok(stores)
    }

    /// The entry of a picture by the `_id` of its record, read and named when it is met for the first time: from the first
    /// of the places in which there is one.
    fn entry(
        &mut self,
        ledger: &Ledger,
        kind: Kind,
        id: &str,
        name: &str,
        keys: &[BlobKey],
    ) -> Result<Option<String>, ExportError> {
        if let Some(found) = ledger.picture(kind.directory(), id)? {
            return Ok(found);
        }
        let start = self.spooled;
        let mut extension = None;
        for key in keys {
            extension = self.read(key)?;
            if extension.is_some() {
                break;
            }
            self.spooled = start;
        }
        let entry = if let Some(extension) = extension {
            let wanted = names::picture(kind.directory(), name, extension);
            Some(ledger.reserve_name(&wanted)?)
        } else {
            self.counts.unusable += 1;
            None
        };
        let size = self.spooled - start;
        if entry.is_some() {
            self.counts.bytes += size;
            match kind {
                Kind::Avatar => self.counts.avatars += 1,
                Kind::Emoji => self.counts.emoji += 1,
                Kind::Thumbnail => self.counts.thumbnails += 1,
            }
        }
        ledger.remember_picture(kind.directory(), id, entry.as_deref(), start, size)?;
        Ok(entry)
    }

    /// Reads a picture to the end of the spool; the extension of what it is, `None` when it cannot be shown.
    fn read(&mut self, key: &BlobKey) -> Result<Option<&'static str>, ExportError> {
        let runtime = Handle::current();
        if self.cancel.is_cancelled() {
            return Err(ExportError::Cancelled);
        }
        let mut reader = match runtime.block_on(self.blobs.open(key)) {
            Ok(reader) => reader,
            Err(BlobError::Missing(_)) => return Ok(None),
            Err(BlobError::Store(error)) => return Err(error.into()),
        };
        if reader.length().is_some_and(|length| length > MAX_SIZE) {
            return Ok(None);
        }
        let spool = match &mut self.spool {
            Some(spool) => spool,
            empty => empty.insert(tempfile::tempfile().map_err(ExportError::Spool)?),
        };
        let start = self.spooled;
        let mut beginning = Vec::with_capacity(SIGNATURE);
        loop {
            match runtime.block_on(reader.next_chunk()) {
                Ok(Some(chunk)) => {
                    if self.spooled - start + chunk.len() as u64 > MAX_SIZE {
                        return Ok(None);
                    }
                    let more = SIGNATURE - beginning.len();
                    beginning.extend_from_slice(&chunk[..chunk.len().min(more)]);
                    spool
                        .write_all_at(&chunk, self.spooled)
                        .map_err(ExportError::Spool)?;
                    self.spooled += chunk.len() as u64;
                }
                Ok(None) => return Ok(kind_of(&beginning)),
                Err(BlobError::Missing(_)) => return Ok(None),
                Err(BlobError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Writes what waits into the ZIP, in the order in which it was met.
    pub(super) fn pack<W: Write>(
        &self,
        ledger: &Ledger,
        zip: &mut ZipStream<W, File>,
    ) -> Result<(), ExportError> {
        let Some(spool) = &self.spool else {
            return Ok(());
        };
        let mut piece = vec![0; PIECE];
        ledger.each_picture(
            |Pictured {
                 entry,
                 offset,
                 size,
             }| {
                if self.cancel.is_cancelled() {
                    return Err(ExportError::Cancelled);
                }
                zip.start_entry(EntryOptions {
                    name: &entry,
                    method: Method::Store,
                    large: false,
                })?;
                let (mut at, end) = (offset, offset + size);
                while at < end {
                    let length = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
                    spool
                        .read_exact_at(&mut piece[..length], at)
                        .map_err(ExportError::Spool)?;
                    zip.append(&piece[..length])?;
                    at += length as u64;
                }
                Ok::<_, ExportError>(zip.finish_entry()?)
            },
        )
    }
}

/// Bytes by which [`kind_of`] knows a picture.
const SIGNATURE: usize = 12;

/// The extension of a kind that browsers draw and that carries no script, by the signature of its bytes: what a record
/// or a name says about them is said by whoever uploaded them (WHATWG MIME Sniffing §6.1).
fn kind_of(beginning: &[u8]) -> Option<&'static str> {
    match beginning {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_bytes() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\r"[..], Some("png")),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01", Some("jpg")),
            (b"GIF89a\x01\0\x01\0\0\0", Some("gif")),
            (b"RIFF\x10\0\0\0WEBP", Some("webp")),
            (b"RIFF\x10\0\0\0WAVE", None),
            (b"<svg xmlns=\"", None),
            (b"<!DOCTYPE ht", None),
            (b"BM", None),
            (b"", None),
        ] {
            assert_eq!(kind_of(bytes), expected, "{bytes:?}");
        }
    }
}
