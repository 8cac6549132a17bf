//! Reads concatenated BSON documents from a plain or gzip file.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::GzDecoder;

use crate::store::StoreError;

/// MongoDB's limit of 16 MiB, and the 16 KiB that the server allows itself above it.
const MAX_DOCUMENT: usize = (16 << 20) + (16 << 10);
/// Bytes read at once.
const BUFFER: usize = 256 << 10;
/// What can be done about a damaged dump.
const ADVICE: &str =
    "dump again, or load what is readable with mongorestore into an empty server and dump that";

/// The bytes of a file, unpacked when they are gzip.
pub(super) struct Input {
    path: PathBuf,
    bytes: Box<dyn Read>,
    compressed: bool,
    read: Rc<Cell<u64>>,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Input {
    /// Opens a file. Its first bytes say whether it is gzip, not its name.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        let mut magic = Vec::with_capacity(3);
        #[expect(clippy::disallowed_methods, reason = "three bytes at most")]
        (&mut file)
            .take(3)
            .read_to_end(&mut magic)
            .map_err(StoreError::io("read", path))?;
        let compressed = magic == [0x1f, 0x8b, 8];
        if !compressed && path.extension().is_some_and(|extension| extension == "gz") {
            return Err(StoreError::Corrupt(format!(
                "{} is damaged: it does not begin as gzip data; {ADVICE}",
                path.display()
            )));
        }
        let read = Rc::new(Cell::new(0));
        let counted = Counted {
            inner: io::Cursor::new(magic).chain(file),
            read: Rc::clone(&read),
        };
        Ok(Self {
            path: path.to_owned(),
            bytes: if compressed {
                Box::new(Members::new(io::BufReader::with_capacity(
                    64 << 10,
                    counted,
                )))
            } else {
                Box::new(counted)
            },
            compressed,
            read,
        })
    }

    /// Whether the file is gzip.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }
}

struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// Unpacks gzip data of one or more members.
struct Members<R> {
    /// `None` after a failure.
    current: Option<GzDecoder<R>>,
    first: bool,
    /// Whether the current member's beginning was right.
    begun: bool,
}

/// Behind a member is something else than another one.
#[derive(Debug, thiserror::Error)]
#[error("something follows the end of the gzip data")]
struct Follows;

impl<R: BufRead> Members<R> {
    fn new(packed: R) -> Self {
        Self {
            current: Some(GzDecoder::new(packed)),
            first: true,
            begun: false,
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let follows = || io::Error::new(io::ErrorKind::InvalidData, Follows);
        while let Some(decoder) = &mut self.current {
            match decoder.read(buffer) {
                Ok(0) if !buffer.is_empty() => {}
                Err(error)
                    if error.kind() == io::ErrorKind::InvalidInput
                        && !self.first
                        && !self.begun =>
                {
                    return Err(follows());
                }
                other => {
                    self.begun |= other.is_ok();
                    return other;
                }
            }
            match decoder.get_mut().fill_buf()?.first() {
                None => return Ok(0),
                Some(0x1f) => {}
                Some(_) => return Err(follows()),
            }
            self.current = self
                .current
                .take()
                .map(|decoder| GzDecoder::new(decoder.into_inner()));
            (self.first, self.begun) = (false, false);
        }
        Ok(0)
    }
}

/// Hands out documents one by one.
#[derive(Debug)]
pub(super) struct Reader {
    input: Input,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that are not handed out yet.
    at: usize,
    filled: usize,
    /// Position of `buffer` in the unpacked bytes.
    offset: u64,
}

impl Reader {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER],
            at: 0,
            filled: 0,
            offset: 0,
        }
    }

    /// Bytes read of the file, packed ones when it is packed.
    pub(super) fn bytes_read(&self) -> u64 {
        self.input.read.get()
    }

    /// Position of the next byte in the unpacked bytes.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// The next document with its position; `None` at the end of the file.
    pub(super) fn document(&mut self) -> Result<Option<(u64, &[u8])>, StoreError> {
        match self.length()? {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    /// The next four bytes as a length, without taking them; `None` at the end of the file.
    pub(super) fn length(&mut self) -> Result<Option<i32>, StoreError> {
        let available = self.fill(4)?;
        if available == 0 {
            return Ok(None);
        }
        let mut length = [0; 4];
        if available < 4 {
            return Err(self.damaged("it is cut off"));
        }
        length.copy_from_slice(&self.buffer[self.at..self.at + 4]);
        Ok(Some(i32::from_le_bytes(length)))
    }

    /// Passes over four bytes that [`Reader::length`] gave.
    pub(super) fn skip_length(&mut self) {
        self.at += 4;
    }

    /// Takes the document that begins here and has this length.
    pub(super) fn take(&mut self, length: i32) -> Result<(u64, &[u8]), StoreError> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (5..=MAX_DOCUMENT).contains(length))
            .ok_or_else(|| self.damaged(&format!("a document cannot be {length} bytes long")))?;
        if self.fill(length)? < length {
            return Err(self.damaged("it is cut off in a document"));
        }
        let start = self.at;
        if self.buffer[start + length - 1] != 0 {
            return Err(self.damaged("a document does not end where its length says"));
        }
        let position = self.position();
        self.at += length;
        Ok((position, &self.buffer[start..start + length]))
    }

    /// Makes up to `need` bytes available; gives how many there are.
    fn fill(&mut self, need: usize) -> Result<usize, StoreError> {
        if self.filled - self.at >= need {
            return Ok(need);
        }
        self.buffer.copy_within(self.at..self.filled, 0);
        self.offset += self.at as u64;
        self.filled -= self.at;
        self.at = 0;
        if self.buffer.len() > BUFFER && need <= BUFFER && self.filled <= BUFFER {
            // One giant document must not keep its memory.
            self.buffer.truncate(BUFFER);
            self.buffer.shrink_to_fit();
        }
        while self.filled < need {
            if self.filled == self.buffer.len() {
                // Grows with what is really there, not with what a length promises.
                let size = (self.buffer.len() * 2).min(need.max(BUFFER));
                self.buffer.resize(size, 0);
            }
            match self.input.bytes.read(&mut self.buffer[self.filled..]) {
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
        Ok((self.filled - self.at).min(need))
    }

    fn read_error(&self, error: io::Error) -> StoreError {
        if !self.input.compressed {
            return StoreError::io("read", &self.input.path)(error);
        }
        match error.kind() {
            _ if error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Follows>) =>
            {
                self.damaged(&Follows.to_string())
            }
            io::ErrorKind::UnexpectedEof => self.damaged("its gzip data is cut off"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                self.damaged("its gzip data is damaged")
            }
            _ => StoreError::io("read", &self.input.path)(error),
        }
    }

    /// The error for damage at the current position.
    pub(super) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!(
            "{} is damaged at byte {}{}: {what}; {ADVICE}",
            self.input.path.display(),
            self.position(),
            if self.input.compressed {
                " of its unpacked data"
            } else {
                ""
            },
        ))
    }
}
