//! Where a ZIP or a mail goes: a file that appears only when it is whole, or a stream.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::fs::statvfs;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use thiserror::Error;

use super::progress::Progress;
use super::report::hex;

/// Free space is looked at again after this many bytes.
const LOOK: u64 = 32 * 1024 * 1024;
/// This much is left free: a full disk harms others.
const RESERVE: u64 = 16 * 1024 * 1024;
/// The disk is told to begin after this many bytes, so that the end does not have to wait for all of them.
const WRITE_BACK: u64 = 8 * 1024 * 1024;
/// Bytes handed to the system at a time.
const BUFFER: usize = 128 * 1024;

/// Why a target could not be used.
#[derive(Debug, Error)]
pub enum TargetError {
    /// There is a file, and it was not said that it may go.
    #[error("{} exists; choose another name with -o, or say --force to replace it", .0.display())]
    Exists(PathBuf),
    /// What would be replaced is something else: a workspace, a dump, anybody's file.
    #[error("{} is not a {wanted}; --force replaces only {wanted}s, so choose another name with -o", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: Content,
    },
    /// The disk has too little room.
    #[error("{}: about {} MB are needed and {} MB are free; free some space, or choose another place",
        .directory.display(), .needed.div_ceil(1_000_000), .free / 1_000_000)]
    NoSpace {
        /// Where the file was to be.
        directory: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The system refused.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What a file must be that may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// An export.
    Zip,
    /// A mail of ours.
    Mail,
}

impl Content {
    /// Whether a file that is not empty begins so.
    fn is_in(self, path: &Path) -> io::Result<bool> {
        // A ZIP with an entry or, when it is empty, with its end (APPNOTE 4.3.7, 4.3.16).
        let begins: &[[u8; 4]] = match self {
            Self::Zip => &[*b"PK\x03\x04", *b"PK\x05\x06"],
            Self::Mail => &[*b"From"],
        };
        let mut begin = [0; 4];
        match File::open(path)?.read_exact(&mut begin) {
            Ok(()) => Ok(begins.contains(&begin)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zip => "ZIP",
            Self::Mail => "mail",
        })
    }
}

/// Who may read a file beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Nobody.
    Owner,
    /// Its group.
    Group,
}

/// A file that is being written. Dropped before [`Target::commit`], it leaves nothing behind.
pub struct Target {
    out: BufWriter<Sink>,
}

struct Sink {
    kind: Kind,
    digest: Sha256,
    written: u64,
    looked: u64,
    /// How much there was when the disk was told to begin.
    told: u64,
    progress: Arc<Progress>,
}

enum Kind {
    /// Written under another name in the same directory, renamed when whole.
    File {
        file: NamedTempFile,
        directory: PathBuf,
        path: PathBuf,
        replace: bool,
        /// Who may read it, when that is not as with any new file.
        rights: Option<Rights>,
        /// There once there is enough to write.
        write_back: Option<WriteBack>,
    },
    /// A pipe, a device, the standard output.
    Stream(Box<dyn Write + Send>),
}

/// A file that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the whole file, hexadecimal.
    pub sha256: String,
}

impl Target {
    /// A target for `path`; about `needed` bytes are expected. A file there is replaced only when it is what `replace` says.
    pub fn file(
        path: &Path,
        replace: Option<Content>,
        needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Self, TargetError> {
        let io = |source| TargetError::Io {
            path: path.to_owned(),
            source,
        };
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.file_name().is_none() {
            return Err(io(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let under_another_name = |replace| {
            let directory = match path.parent() {
                Some(parent) if parent != Path::new("") => parent.to_owned(),
                _ => PathBuf::from("."),
            };
            let mut temporary = tempfile::Builder::new();
            temporary.prefix(".export-room-").suffix(".part");
            Ok(Kind::File {
                file: create(&temporary, &directory, needed)?,
                directory,
                path: path.to_owned(),
                replace,
                rights: None,
                write_back: None,
            })
        };
        let kind = match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Err(io(io::Error::from(io::ErrorKind::IsADirectory)));
            }
            // A device or pipe is written to as it is.
            Ok(found) if !found.is_file() => Kind::Stream(Box::new(
                File::options().write(true).open(path).map_err(io)?,
            )),
            Ok(found) => match replace {
                None => return Err(TargetError::Exists(path.to_owned())),
                Some(wanted) if found.len() > 0 && !wanted.is_in(path).map_err(io)? => {
                    let path = path.to_owned();
                    return Err(TargetError::Other { path, wanted });
                }
                Some(_) => under_another_name(true)?,
            },
            Err(_) => under_another_name(replace.is_some())?,
        };
        Ok(Self::new(kind, progress))
    }

    /// A target for the file `name` in a directory, written under the name `temporary` until it is whole, which only those
    /// with `rights` may read. What has `name` is replaced; what has `temporary` is not.
    pub fn private(
        directory: &Path,
        temporary: &str,
        name: &str,
        rights: Rights,
        needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Self, TargetError> {
        let mut exactly = tempfile::Builder::new();
        exactly.prefix(temporary).rand_bytes(0);
        let kind = Kind::File {
            file: create(&exactly, directory, needed)?,
            directory: directory.to_owned(),
            path: directory.join(name),
            replace: true,
            rights: Some(rights),
            write_back: None,
        };
        Ok(Self::new(kind, progress))
    }

    /// A target that writes to a stream.
    pub fn stream(out: Box<dyn Write + Send>, progress: Arc<Progress>) -> Self {
        Self::new(Kind::Stream(out), progress)
    }

    fn new(kind: Kind, progress: Arc<Progress>) -> Self {
        Self {
            out: BufWriter::with_capacity(
                BUFFER,
                Sink {
                    kind,
                    digest: Sha256::new(),
                    written: 0,
                    looked: 0,
                    told: 0,
                    progress,
                },
            ),
        }
    }

    /// Makes the file durable and gives it its name.
    pub fn commit(self) -> Result<Written, TargetError> {
        let sink = self.out.into_inner().map_err(|error| TargetError::Io {
            path: PathBuf::from("the export"),
            source: error.into_error(),
        })?;
        let digest = sink.digest.finalize();
        let written = Written {
            bytes: sink.written,
            sha256: hex(&digest),
        };
        match sink.kind {
            Kind::Stream(mut out) => out.flush().map_err(|source| TargetError::Io {
                path: PathBuf::from("the output"),
                source,
            })?,
            Kind::File {
                file,
                directory,
                path,
                replace,
                rights,
                write_back,
            } => {
                let io = |source| TargetError::Io {
                    path: path.clone(),
                    source,
                };
                write_back.map_or(Ok(()), WriteBack::end).map_err(io)?;
                if rights == Some(Rights::Group) {
                    // Whatever the process's mask is: this was asked for.
                    let readable = fs::Permissions::from_mode(0o640);
                    file.as_file().set_permissions(readable).map_err(io)?;
                }
                file.as_file().sync_all().map_err(io)?;
                let persisted = if replace {
                    file.persist(&path)
                } else {
                    file.persist_noclobber(&path)
                };
                persisted.map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => TargetError::Exists(path.clone()),
                    _ => io(error.error),
                })?;
                if rights.is_none() {
                    make_readable(&path).map_err(io)?;
                }
                // The name is durable when its directory is.
                File::open(&directory)
                    .and_then(|directory| directory.sync_all())
                    .map_err(io)?;
            }
        }
        Ok(written)
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.kind {
            Kind::File {
                file,
                directory,
                write_back,
                ..
            } => {
                if self.written >= self.told + WRITE_BACK {
                    self.told = self.written;
                    match write_back {
                        Some(write_back) => write_back.go_on(),
                        none => *none = Some(WriteBack::start(file.as_file())?),
                    }
                }
                if self.written >= self.looked + LOOK {
                    self.looked = self.written;
                    check_space(directory, 0)
                        .map_err(|error| io::Error::new(io::ErrorKind::StorageFull, error))?;
                }
                file.as_file_mut().write(bytes)?
            }
            Kind::Stream(out) => out.write(bytes)?,
        };
        self.digest.update(&bytes[..count]);
        self.written += count as u64;
        self.progress.wrote(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::File { file, .. } => file.flush(),
            Kind::Stream(out) => out.flush(),
        }
    }
}

/// A thread that has the disk write what the system holds back, while the export goes on.
struct WriteBack {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl WriteBack {
    /// Begins with what was written so far.
    fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("write-back".to_owned())
            .spawn(move || {
                loop {
                    file.sync_data()?;
                    if woken.recv().is_err() {
                        return Ok(());
                    }
                }
            })?;
        Ok(Self { wake, thread })
    }

    /// Continues with what was written since. A disk that is not done yet is not waited for.
    fn go_on(&self) {
        // Full: it will look again anyway. Ended: `end` says why.
        let _ = self.wake.try_send(());
    }

    /// Waits for the thread. A failure is told by the system only once, here, and not again by the file's own sync.
    fn end(self) -> io::Result<()> {
        drop(self.wake);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("writing to the disk stopped")))
    }
}

/// Makes a temporary file where there is room for what is to be written. It is new, its maker's alone, and no link.
fn create(
    temporary: &tempfile::Builder<'_, '_>,
    directory: &Path,
    needed: u64,
) -> Result<NamedTempFile, TargetError> {
    check_space(directory, needed)?;
    temporary
        .tempfile_in(directory)
        .map_err(|source| TargetError::Io {
            path: directory.to_owned(),
            source: source_of(&source),
        })
}

/// Whether `needed` bytes and the reserve are free on the disk of a directory.
pub fn check_space(directory: &Path, needed: u64) -> Result<(), TargetError> {
    let disk = statvfs(directory).map_err(|error| TargetError::Io {
        path: directory.to_owned(),
        source: error.into(),
    })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = needed.saturating_add(RESERVE);
    if free < needed {
        return Err(TargetError::NoSpace {
            directory: directory.to_owned(),
            needed,
            free,
        });
    }
    Ok(())
}

/// `tempfile` wraps the path into the error's text; we name it ourselves.
fn source_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

/// Temporary files are private; the finished export has the rights that any new file has.
fn make_readable(path: &Path) -> io::Result<()> {
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    fs::set_permissions(path, fs::Permissions::from_mode(0o666 & !mask.bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.zip");
        let mut target = Target::file(&path, None, 0, Arc::default()).unwrap();
        target.write_all(b"abc").unwrap();
        assert!(!path.exists());
        drop(target);
        assert!(names(directory.path()).is_empty());

        let mut target = Target::file(&path, None, 0, Arc::default()).unwrap();
        target.write_all(b"abc").unwrap();
        let written = target.commit().unwrap();
        assert_eq!(written.bytes, 3);
        assert_eq!(
            written.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(names(directory.path()), ["out.zip"]);
    }

    #[test]
    fn a_file_is_replaced_only_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.zip");
        let early = Target::file(&path, None, 0, Arc::default()).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(
            matches!(early.commit(), Err(TargetError::Exists(_))),
            "made while we wrote"
        );
        assert!(matches!(
            Target::file(&path, None, 0, Arc::default()),
            Err(TargetError::Exists(_))
        ));
        assert!(
            matches!(
                Target::file(&path, Some(Content::Zip), 0, Arc::default()),
                Err(TargetError::Other { .. })
            ),
            "a workspace, say"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::write(&path, "PK\x03\x04").unwrap();
        Target::file(&path, Some(Content::Zip), 0, Arc::default())
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(names(directory.path()), ["out.zip"]);
    }

    #[test]
    fn too_little_space_is_told_before_writing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.zip");
        let error = Target::file(&path, None, u64::MAX / 2, Arc::default())
            .err()
            .unwrap();
        assert!(error.to_string().contains("are needed and"), "{error}");
        assert!(names(directory.path()).is_empty());
    }

    /// The write-back of a target that is a file.
    fn write_back(target: &mut Target) -> &mut Option<WriteBack> {
        match &mut target.out.get_mut().kind {
            Kind::File { write_back, .. } => write_back,
            Kind::Stream(_) => panic!("a stream"),
        }
    }

    /// Writes so many bytes; the file's digest.
    fn fill(target: &mut Target, bytes: u64) -> String {
        let mut digest = Sha256::new();
        let mut piece = vec![0; BUFFER];
        for number in 0..bytes / BUFFER as u64 {
            piece.fill(number.to_le_bytes()[0]);
            target.write_all(&piece).unwrap();
            digest.update(&piece);
        }
        hex(&digest.finalize())
    }

    #[test]
    fn the_disk_begins_to_write_before_a_large_export_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.zip");
        let mut target = Target::file(&path, None, 0, Arc::default()).unwrap();
        fill(&mut target, WRITE_BACK);
        assert!(write_back(&mut target).is_none(), "there is little yet");
        drop(target);
        let mut target = Target::file(&path, None, 0, Arc::default()).unwrap();
        // The thread is told again and again, whether it has ended its last round or not.
        let digest = fill(&mut target, 5 * WRITE_BACK);
        assert!(write_back(&mut target).is_some());
        let written = target.commit().unwrap();
        assert_eq!((written.bytes, &written.sha256), (5 * WRITE_BACK, &digest));
        let mut stored = Vec::new();
        io::copy(&mut File::open(&path).unwrap(), &mut stored).unwrap();
        assert_eq!(hex(&Sha256::digest(&stored)), digest);
    }

    #[test]
    fn what_the_disk_refuses_early_is_told_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.zip");
        let mut target = Target::file(&path, None, 0, Arc::default()).unwrap();
        // No pipe can be written to a disk: the first round fails, and the thread has ended when it is told to go on.
        let (_reader, writer) = io::pipe().unwrap();
        let refused = File::from(std::os::fd::OwnedFd::from(writer));
        *write_back(&mut target) = Some(WriteBack::start(&refused).unwrap());
        fill(&mut target, 3 * WRITE_BACK);
        let error = target.commit().unwrap_err();
        assert!(matches!(error, TargetError::Io { .. }), "{error}");
        assert!(names(directory.path()).is_empty(), "it is not whole");
    }

    #[test]
    fn a_full_device_is_an_error() {
        let mut target = Target::file(Path::new("/dev/full"), None, 0, Arc::default()).unwrap();
        let result = target.write_all(&vec![0; 2 * BUFFER]);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
