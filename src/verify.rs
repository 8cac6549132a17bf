//! Proves that a ZIP of ours is whole and unchanged: structure, every digest, every count against its manifest.
//!
//! Reads with another implementation than the one that wrote, and keeps nothing that grows with the archive: the
//! manifest lists entries in the order of the central directory, so both are walked side by side.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, FileReader, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use zipstream::{EntryRecord, Frame, Method, directory_end};

use crate::export::archive::MANIFEST;
use crate::export::mails::FILE_HEADER;
use crate::export::report::{MANIFEST_FORMAT, hex};

/// Findings told one by one; further ones are counted.
const FINDINGS: u64 = 100;
/// What stands once for every message of a page.
const ARTICLE: &[u8] = b"<article class=\"m";

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Things that are wrong with the ZIP.
    pub wrong: u64,
    /// Entries checked, without the manifest.
    pub entries: u64,
    /// Messages found in them.
    pub messages: u64,
    /// Files of messages found in them.
    pub files: u64,
    /// Avatars and emoji found in them.
    pub pictures: u64,
    /// Whether the export held everything when it was made.
    pub complete: bool,
    /// Files that were missing then.
    pub missing: u64,
    /// Why it was not complete then.
    pub problems: Vec<String>,
}

/// Why a ZIP could not be checked at all.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It could not be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It is no ZIP, or is cut off.
    #[error("not a whole ZIP archive")]
    Zip(#[from] rawzip::Error),
    /// It is another program's ZIP.
    #[error("there is no {MANIFEST} in it, so it was not made by Export Room, or not whole")]
    NoManifest,
    /// Its manifest is damaged or of another version.
    #[error("its {MANIFEST} cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// The user stopped it.
    #[error(transparent)]
    Cancelled(#[from] crate::store::StoreError),
}

/// Checks the ZIP at `path`; `tell` hears what is wrong, in words. Blocks.
pub fn verify(
    path: &Path,
    cancel: &CancellationToken,
    tell: &mut dyn FnMut(&str),
) -> Result<Verdict, VerifyError> {
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(File::open(path)?, &mut buffer)?;
    let mut check = Check {
        verdict: Verdict::default(),
        tell,
        cancel,
    };
    let manifest = check.structure(&archive, &mut buffer)?;
    let entry = archive.get_entry(manifest.0)?;
    let reader = entry.verifying_reader(inflate(manifest.1, entry.reader())?);
    let mut walk = Walk {
        archive: &archive,
        entries: archive.entries(&mut buffer),
        held: None,
        check: &mut check,
        failure: None,
    };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(reader));
    let parsed = ManifestSeed(&mut walk).deserialize(&mut json);
    let failure = walk.failure.take();
    let manifest = match (
        parsed.and_then(|manifest| json.end().map(|()| manifest)),
        failure,
    ) {
        (_, Some(failure)) => return Err(failure),
        (Ok(manifest), None) => manifest,
        (Err(error), None) => return Err(VerifyError::Manifest(error)),
    };
    walk.rest()?;
    check.counts(&manifest);
    Ok(check.verdict)
}

struct Check<'a> {
    verdict: Verdict,
    tell: &'a mut dyn FnMut(&str),
    cancel: &'a CancellationToken,
}

impl Check<'_> {
    fn wrong(&mut self, finding: &str) {
        self.verdict.wrong += 1;
        if self.verdict.wrong <= FINDINGS {
            (self.tell)(finding);
        }
    }

    /// Walks the central directory once: safe names, one manifest, and every byte that is not an entry's data exactly
    /// as Export Room writes it, from the first byte of the file to the last.
    fn structure(
        &mut self,
        archive: &ZipArchive<FileReader>,
        buffer: &mut [u8],
    ) -> Result<(ZipArchiveEntryWayfinder, CompressionMethod), VerifyError> {
        let mut manifest = None;
        let mut previous_end = 0;
        let mut listing_at = archive.directory_offset();
        let mut count = 0_u64;
        let mut entries = archive.entries(buffer);
        while let Some(entry) = entries.next_entry()? {
            count += 1;
            let path = entry.file_path();
            let name = String::from_utf8_lossy(path.as_ref()).into_owned();
            let normal = path
                .try_normalize()
                .is_ok_and(|normal| normal.as_ref() == name);
            if !normal || entry.is_dir() {
                self.wrong(&format!("entry {name}: not a name that Export Room gives"));
            }
            let wayfinder = entry.wayfinder();
            let method = entry.compression_method();
            let record = EntryRecord {
                name: name.clone(),
                method: if method == CompressionMethod::STORE {
                    Method::Store
                } else {
                    Method::Deflate
                },
                large: is_large(&archive.get_entry(wayfinder)?)?,
                offset: entry.local_header_offset(),
                size: entry.uncompressed_size_hint(),
                compressed_size: entry.compressed_size_hint(),
                crc32: entry.crc32(),
                sha256: [0; 32],
            };
            let frame = Frame::of(&record);
            let data = record.offset + frame.header.len() as u64;
            let after = data.saturating_add(record.compressed_size);
            let file = archive.get_ref();
            if record.offset != previous_end
                || !stands(file, record.offset, &frame.header)?
                || !stands(file, after, &frame.descriptor)?
                || !stands(file, listing_at, &frame.listing)?
            {
                self.wrong(&format!(
                    "entry {name}: its headers are not those that Export Room writes"
                ));
            }
            previous_end = after.saturating_add(frame.descriptor.len() as u64);
            listing_at += frame.listing.len() as u64;
            if name == MANIFEST && manifest.replace((wayfinder, method)).is_some() {
                self.wrong(&format!("there are several {MANIFEST}"));
            }
        }
        let directory = archive.directory_offset();
        let end = directory_end(count, listing_at - directory, directory);
        let file = archive.get_ref();
        if previous_end != directory
            || !stands(file, listing_at, &end)?
            || file.read_at(&mut [0], listing_at + end.len() as u64)? != 0
        {
            self.wrong("the central directory is not the one that Export Room writes");
        }
        manifest.ok_or(VerifyError::NoManifest)
    }

    fn counts(&mut self, manifest: &Manifest) {
        let Manifest {
            messages,
            files,
            pictures,
            missing,
            problems,
            changes,
            complete,
        } = manifest;
        if messages.expected != messages.read && problems.is_empty() && changes.is_empty() {
            self.wrong(&format!(
                "{} messages were expected and {} read",
                messages.expected, messages.read
            ));
        }
        if messages.read != messages.rendered + messages.history + messages.deleted {
            self.wrong(&format!(
                "{} messages were read and not all placed",
                messages.read
            ));
        }
        let (found, packed) = (self.verdict.messages, self.verdict.files);
        if found != messages.rendered {
            self.wrong(&format!(
                "{} messages were exported and {found} are there",
                messages.rendered
            ));
        }
        // A file that broke off while it was read is there, and counts as missing.
        if packed < files.packed || packed > files.packed + files.missing {
            self.wrong(&format!(
                "{} files were packed and {packed} are there",
                files.packed
            ));
        }
        if self.verdict.pictures != pictures.all() {
            self.wrong(&format!(
                "{} avatars, emoji and thumbnails were packed and {} are there",
                pictures.all(),
                self.verdict.pictures
            ));
        }
        if *missing != files.missing {
            self.wrong(&format!(
                "{} files were missing and {missing} are listed",
                files.missing
            ));
        }
        if *complete != (files.missing == 0 && problems.is_empty()) {
            self.wrong("the manifest contradicts itself about being complete");
        }
        self.verdict.complete = *complete;
        self.verdict.missing = files.missing;
        self.verdict.problems.clone_from(problems);
    }
}

/// Whether the header before an entry's data announces ZIP64.
fn is_large(entry: &rawzip::ZipEntry<'_, FileReader>) -> Result<bool, VerifyError> {
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let header = entry.local_header(&mut buffer)?;
    let mut fields = header.extra_fields();
    Ok(fields.any(|(id, _)| id == rawzip::extra_fields::ExtraFieldId::ZIP64))
}

/// Whether exactly these bytes stand at this place of the file.
fn stands(file: &FileReader, at: u64, expected: &[u8]) -> io::Result<bool> {
    let mut found = vec![0; expected.len()];
    let mut filled = 0;
    while filled < found.len() {
        match file.read_at(&mut found[filled..], at.saturating_add(filled as u64))? {
            0 => return Ok(false),
            read => filled += read,
        }
    }
    Ok(found == expected)
}

fn inflate<'a>(
    method: CompressionMethod,
    data: impl Read + 'a,
) -> Result<Box<dyn Read + 'a>, VerifyError> {
    if method == CompressionMethod::DEFLATE {
        Ok(Box::new(DeflateDecoder::new(data)))
    } else if method == CompressionMethod::STORE {
        Ok(Box::new(data))
    } else {
        Err(io::Error::other("an entry is packed in a way that Export Room does not use").into())
    }
}

/// The central directory beside the manifest's list.
struct Walk<'a, 'b, 'c> {
    archive: &'a ZipArchive<FileReader>,
    entries: rawzip::ZipEntries<'a, 'a, FileReader>,
    /// An entry of the archive that the manifest has not come to.
    held: Option<Found>,
    check: &'b mut Check<'c>,
    /// An error that is not the manifest's, on its way through the JSON reader.
    failure: Option<VerifyError>,
}

struct Found {
    name: String,
    wayfinder: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

/// An entry as the manifest lists it.
#[derive(Deserialize)]
struct Listed {
    name: String,
    size: u64,
    sha256: String,
}

impl Walk<'_, '_, '_> {
    fn next(&mut self) -> Result<Option<Found>, VerifyError> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        while let Some(entry) = self.entries.next_entry()? {
            let found = Found {
                name: String::from_utf8_lossy(entry.file_path().as_ref()).into_owned(),
                wayfinder: entry.wayfinder(),
                method: entry.compression_method(),
            };
            if found.name != MANIFEST {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn compare(&mut self, listed: &Listed) -> Result<(), VerifyError> {
        if self.check.cancel.is_cancelled() {
            return Err(crate::store::StoreError::Cancelled.into());
        }
        match self.next()? {
            Some(found) if found.name == listed.name => self.content(&found, listed),
            other => {
                self.held = other;
                self.check.wrong(&format!(
                    "entry {}: listed in {MANIFEST}, but not in its place in the ZIP",
                    listed.name
                ));
                Ok(())
            }
        }
    }

    fn content(&mut self, found: &Found, listed: &Listed) -> Result<(), VerifyError> {
        self.check.verdict.entries += 1;
        let name = &found.name;
        let entry = self.archive.get_entry(found.wayfinder)?;
        let mut reader = entry.verifying_reader(inflate(found.method, entry.reader())?);
        let mut digest = Sha256::new();
        let mut count = Counter::of(name);
        let mut size = 0_u64;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    digest.update(&buffer[..read]);
                    count.read(&buffer[..read]);
                    size += read as u64;
                }
                Err(error) => {
                    self.check.wrong(&format!("entry {name}: damaged: {error}"));
                    return Ok(());
                }
            }
            if size > listed.size {
                break;
            }
        }
        if size == listed.size {
            if hex(&digest.finalize()) != listed.sha256 {
                self.check.wrong(&format!(
                    "entry {name}: its SHA-256 is not the one in {MANIFEST}: it has been changed"
                ));
            }
        } else {
            self.check.wrong(&format!(
                "entry {name}: not the {} bytes that {MANIFEST} lists",
                listed.size
            ));
        }
        match count {
            Counter::File => self.check.verdict.files += 1,
            Counter::Picture => self.check.verdict.pictures += 1,
            Counter::Index => {}
            Counter::Mails(mails) => {
                self.check.verdict.messages += mails.messages;
                self.check.verdict.files += mails.files;
            }
            Counter::Lines { count, .. } | Counter::Articles { count, .. } => {
                self.check.verdict.messages += count;
            }
        }
        Ok(())
    }

    /// What the manifest has not listed.
    fn rest(&mut self) -> Result<(), VerifyError> {
        while let Some(found) = self.next()? {
            self.check.wrong(&format!(
                "entry {}: in the ZIP, but not in {MANIFEST}",
                found.name
            ));
        }
        Ok(())
    }
}

/// Counts messages while bytes flow by.
enum Counter {
    /// A file of a message.
    File,
    /// An avatar or an emoji.
    Picture,
    /// A file of the search, which tells of messages again.
    Index,
    /// JSON: a message a line; `filled` is whether the line has begun.
    Lines { count: u64, filled: bool },
    /// A mail, or a mailbox of them, with their files.
    Mails(Mails),
    /// HTML: an article a message; `matched` bytes of its tag have been seen.
    Articles { count: u64, matched: usize },
}

/// Counts mails and the parts that hold files of messages.
struct Mails {
    messages: u64,
    files: u64,
    mailbox: bool,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// Whether the lines are headers of a part: only there names of headers mean what they say.
    head: bool,
}

impl Mails {
    /// As much of a line as tells what it is.
    const BEGINNING: usize = 32;

    fn of(name: &str) -> Option<Self> {
        let kind = Path::new(name).extension()?;
        let mailbox = kind == "mbox";
        (mailbox || kind == "eml").then(|| Self {
            messages: u64::from(!mailbox),
            files: 0,
            mailbox,
            line: Vec::with_capacity(Self::BEGINNING),
            head: false,
        })
    }

    fn read(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let space = Self::BEGINNING - self.line.len();
            self.line
                .extend_from_slice(&piece[..piece.len().min(space)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.trim_ascii_end();
        if line.is_empty() {
            self.head = false;
        } else if line.starts_with(b"--=_") {
            self.head = true;
        } else if self.head && line.starts_with(FILE_HEADER.as_bytes()) {
            self.files += 1;
        } else if self.mailbox && line.starts_with(b"From ") {
            self.messages += 1;
        }
        self.line.clear();
    }
}

impl Counter {
    fn of(name: &str) -> Self {
        if transcript::names::is_picture(name) {
            Self::Picture
        } else if name.starts_with("assets/") {
            Self::File
        } else if name.starts_with("search/") {
            Self::Index
        } else if let Some(mails) = Mails::of(name) {
            Self::Mails(mails)
        } else if Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "json")
        {
            Self::Lines {
                count: 0,
                filled: false,
            }
        } else {
            Self::Articles {
                count: 0,
                matched: 0,
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        match self {
            Self::File | Self::Picture | Self::Index => {}
            Self::Mails(mails) => mails.read(bytes),
            Self::Lines { count, filled } => {
                for &byte in bytes {
                    if byte == b'\n' {
                        *count += u64::from(std::mem::take(filled));
                    } else {
                        *filled = true;
                    }
                }
            }
            Self::Articles { count, matched } => {
                for &byte in bytes {
                    // `<` occurs only at the tag's beginning, so a mismatch can only begin there again.
                    *matched = match byte {
                        byte if byte == ARTICLE[*matched] => *matched + 1,
                        b'<' => 1,
                        _ => 0,
                    };
                    if *matched == ARTICLE.len() {
                        *count += 1;
                        *matched = 0;
                    }
                }
            }
        }
    }
}

/// The parts of a manifest that are checked.
#[derive(Default)]
struct Manifest {
    complete: bool,
    messages: Messages,
    files: Files,
    pictures: Pictures,
    missing: u64,
    problems: Vec<String>,
    changes: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Messages {
    expected: u64,
    read: u64,
    rendered: u64,
    history: u64,
    deleted: u64,
}

#[derive(Default, Deserialize)]
struct Files {
    packed: u64,
    missing: u64,
}

#[derive(Default, Deserialize)]
struct Pictures {
    avatars: u64,
    emoji: u64,
    thumbnails: u64,
}

impl Pictures {
    fn all(&self) -> u64 {
        self.avatars + self.emoji + self.thumbnails
    }
}

/// Reads a manifest and walks the archive along its list, entry by entry.
struct ManifestSeed<'m, 'a, 'b, 'c>(&'m mut Walk<'a, 'b, 'c>);

impl<'de> DeserializeSeed<'de> for ManifestSeed<'_, '_, '_, '_> {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Manifest, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ManifestSeed<'_, '_, '_, '_> {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest of Export Room")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
        let mut manifest = Manifest::default();
        let (mut known, mut listed) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "format" => {
                    let format: String = map.next_value()?;
                    if format != MANIFEST_FORMAT {
                        return Err(de::Error::custom(format!(
                            "its form is {format}, this program knows {MANIFEST_FORMAT}"
                        )));
                    }
                    known = true;
                }
                "complete" => manifest.complete = map.next_value()?,
                "messages" => manifest.messages = map.next_value()?,
                "files" => manifest.files = map.next_value()?,
                "pictures" => manifest.pictures = map.next_value()?,
                "problems" => manifest.problems = map.next_value()?,
                "changes" => manifest.changes = map.next_value()?,
                "missing" => {
                    manifest.missing = map.next_value_seed(Each(&mut |_: IgnoredAny| Ok(())))?;
                }
                "entries" => {
                    let walk = &mut *self.0;
                    map.next_value_seed(Each(&mut |entry: Listed| {
                        walk.compare(&entry).map_err(|failure| {
                            walk.failure = Some(failure);
                            "stopped"
                        })
                    }))?;
                    listed = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if known && listed {
            Ok(manifest)
        } else {
            Err(de::Error::custom("it lacks its format or its entries"))
        }
    }
}

/// Calls a function for each element of a list, one in memory at a time; the value is how many there were.
struct Each<'f, T>(&'f mut dyn FnMut(T) -> Result<(), &'static str>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Each<'_, T> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<'_, T> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(element) = seq.next_element()? {
            (self.0)(element).map_err(de::Error::custom)?;
            count += 1;
        }
        Ok(count)
    }
}
