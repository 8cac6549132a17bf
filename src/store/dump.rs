//! What mongodump wrote: a directory with one file per collection, or one archive with all of them; plain or gzip.
//!
//! Reads one after the other, in bounded memory and without trust: a document's length is checked before anything is
//! allocated for it, and damage is an error that says where.

mod archive;
mod chunks;
mod reader;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use self::archive::Archive;
use self::reader::{Input, Reader};
pub use self::source::DumpSource;
use super::StoreError;

/// The collections without which a dump is not one of Rocket.Chat.
const REQUIRED: [&str; 2] = ["rocketchat_room", "rocketchat_message"];

/// A dump of one Rocket.Chat database.
#[derive(Debug)]
pub struct Dump {
    path: PathBuf,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    /// Files by collection.
    Directory(BTreeMap<String, PathBuf>),
    Archive(Archive),
}

/// A document met in a scan.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its collection.
    pub collection: &'a str,
    /// The whole document: its length field and its final zero are right, nothing more is known.
    pub doc: &'a [u8],
    /// Its first byte in the file of [`Dump::plain_file`]; in what is unpacked when there is none.
    pub offset: u64,
}

impl Dump {
    /// Recognises a dump: a directory that holds one Rocket.Chat database, that database's directory, or an archive.
    ///
    /// [`StoreError::NotOurs`] when there is something else, [`StoreError::Corrupt`] when an archive's beginning is
    /// damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let kind = fs::metadata(path).map_err(StoreError::io("open", path))?;
        let layout = if kind.is_dir() {
            Layout::Directory(find_database(path)?)
        } else if !kind.is_file() {
            // Opening a pipe would wait for someone who writes into it; and a dump is read more than once.
            return Err(StoreError::NotOurs(format!(
                "{} is no dump: it is neither a directory nor a regular file; write what it gives into a file first",
                path.display()
            )));
        } else {
            Layout::Archive(Archive::open(path)?)
        };
        Ok(Self {
            path: path.to_owned(),
            layout,
        })
    }

    /// The path it was opened with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The collections, sorted.
    pub fn collections(&self) -> Vec<&str> {
        match &self.layout {
            Layout::Directory(files) => files.keys().map(String::as_str).collect(),
            Layout::Archive(archive) => archive.collections(),
        }
    }

    /// The files that make up the dump, with their sizes in bytes and times of change in seconds.
    pub fn files(&self) -> Result<Vec<DumpFile>, StoreError> {
        let paths: Vec<&Path> = match &self.layout {
            Layout::Directory(files) => files.values().map(PathBuf::as_path).collect(),
            Layout::Archive(_) => vec![&self.path],
        };
        paths
            .into_iter()
            .map(|path| {
                use std::os::unix::fs::MetadataExt;
                let found = fs::metadata(path).map_err(StoreError::io("open", path))?;
                Ok(DumpFile {
                    path: path.to_owned(),
                    size: found.len(),
                    changed: found.mtime(),
                })
            })
            .collect()
    }

    /// Whether all collections are in one stream, so that reading one costs as much as reading all.
    pub fn is_archive(&self) -> bool {
        matches!(self.layout, Layout::Archive(_))
    }

    /// Size of one collection's file in bytes, as it is on disk; of the whole archive for an archive.
    pub fn size_of(&self, collection: &str) -> Result<u64, StoreError> {
        let path = match &self.layout {
            Layout::Directory(files) => match files.get(collection) {
                Some(path) => path,
                None => return Ok(0),
            },
            Layout::Archive(_) => &self.path,
        };
        Ok(fs::metadata(path)
            .map_err(StoreError::io("open", path))?
            .len())
    }

    /// The uncompressed file in which the documents of a collection stand at their [`Found::offset`]; `None` when the
    /// dump is compressed or lacks the collection.
    pub fn plain_file(&self, collection: &str) -> Result<Option<PathBuf>, StoreError> {
        let path = match &self.layout {
            Layout::Directory(files) => match files.get(collection) {
                Some(path) => path,
                None => return Ok(None),
            },
            Layout::Archive(_) => &self.path,
        };
        Ok((!Input::open(path)?.is_compressed()).then(|| path.clone()))
    }

    /// Reads the wanted collections once, in the order of the dump.
    ///
    /// `progress` is told how many bytes of the dump's files are read. Ends with the first error of `visit`, and with
    /// [`StoreError::Cancelled`] soon after `cancel`.
    pub fn scan(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        cancel: &CancellationToken,
        progress: &mut dyn FnMut(u64),
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match &self.layout {
            Layout::Archive(archive) => archive.scan(wanted, cancel, progress, visit),
            Layout::Directory(files) => {
                let mut before = 0;
                for (collection, path) in files.iter().filter(|(name, _)| wanted(name)) {
                    let mut reader = Reader::new(Input::open(path)?);
                    let mut seen = 0;
                    while let Some((offset, doc)) = reader.document()? {
                        visit(Found {
                            collection,
                            doc,
                            offset,
                        })?;
                        let read = reader.bytes_read();
                        if read != seen {
                            seen = read;
                            check(cancel)?;
                            progress(before + read);
                        }
                    }
                    check(cancel)?;
                    before += reader.bytes_read();
                    progress(before);
                }
                Ok(())
            }
        }
    }
}

/// A file of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpFile {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes on disk.
    pub size: u64,
    /// Seconds since 1970 of the last change.
    pub changed: i64,
}

/// [`StoreError::Cancelled`] once the token is cancelled.
pub(crate) fn check(cancel: &CancellationToken) -> Result<(), StoreError> {
    if cancel.is_cancelled() {
        Err(StoreError::Cancelled)
    } else {
        Ok(())
    }
}

/// Finds the directory of the Rocket.Chat database: `path` itself or the only one of its directories.
fn find_database(path: &Path) -> Result<BTreeMap<String, PathBuf>, StoreError> {
    let files = collection_files(path)?;
    if is_rocketchat(&files) {
        return Ok(files);
    }
    let mut others = Vec::new();
    let mut databases = Vec::new();
    for entry in fs::read_dir(path).map_err(StoreError::io("read", path))? {
        let entry = entry.map_err(StoreError::io("read", path))?.path();
        if !entry.is_dir() {
            continue;
        }
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let files = collection_files(&entry)?;
        if is_rocketchat(&files) {
            databases.push((name, files));
        } else if !files.is_empty() {
            others.push(name);
        }
    }
    databases.sort();
    others.sort();
    if databases.len() == 1
        && let Some((_, files)) = databases.pop()
    {
        return Ok(files);
    }
    let shown = path.display();
    Err(StoreError::NotOurs(if !databases.is_empty() {
        let names: Vec<String> = databases.into_iter().map(|(name, _)| name).collect();
        format!(
            "{shown} holds several Rocket.Chat databases ({}): name the directory of one",
            listed(&names)
        )
    } else if !files.is_empty() {
        let names: Vec<String> = files.into_keys().collect();
        format!(
            "{shown} is no dump of Rocket.Chat: it lacks {} (it holds {}); dump the whole database that Rocket.Chat uses",
            missing(&names),
            listed(&names)
        )
    } else if !others.is_empty() {
        format!(
            "{shown} is no dump of Rocket.Chat: none of its databases ({}) has {}; dump the database that Rocket.Chat uses",
            listed(&others),
            REQUIRED.join(" and ")
        )
    } else {
        format!(
            "{shown} is no dump: there are no .bson or .bson.gz files in it; name the directory or the archive that mongodump wrote"
        )
    }))
}

fn is_rocketchat(files: &BTreeMap<String, PathBuf>) -> bool {
    REQUIRED.iter().all(|name| files.contains_key(*name))
}

/// The required collections that are not there.
fn missing(names: &[String]) -> String {
    let missing: Vec<&str> = REQUIRED
        .into_iter()
        .filter(|required| !names.iter().any(|name| name == required))
        .collect();
    missing.join(" and ")
}

/// The first few names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

/// The `.bson` and `.bson.gz` files directly in a directory, by collection.
fn collection_files(dir: &Path) -> Result<BTreeMap<String, PathBuf>, StoreError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("read", dir))? {
        let path = entry.map_err(StoreError::io("read", dir))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let Some(stem) = name
            .strip_suffix(".bson")
            .or_else(|| name.strip_suffix(".bson.gz"))
        else {
            continue;
        };
        if !path.is_file() {
            continue;
        }
        if let Some(other) = files.insert(unescape(stem), path.clone()) {
            return Err(StoreError::NotOurs(format!(
                "{} and {} are the same collection twice: keep the newer one and move the other away",
                other.display(),
                path.display()
            )));
        }
    }
    Ok(files)
}

/// mongodump writes characters that a file name cannot have as `%` and two hexadecimal digits.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_collection_names_are_read() {
        for (file, collection) in [
            ("rocketchat_uploads.chunks", "rocketchat_uploads.chunks"),
            ("a%2Fb", "a/b"),
            ("100%", "100%"),
            ("%zz%41", "%zzA"),
            ("%ff", "%ff"),
        ] {
            assert_eq!(unescape(file), collection);
        }
    }
}
