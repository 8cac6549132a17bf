//! The archive: what was promised to be written waits in order, and is written when its block is needed again.

use std::{
    collections::VecDeque,
    io::{self, Read, Seek, Write},
};

use crate::{
    EntryOptions, EntryRecord, Method, Options, Records,
    block::Digests,
    cutter::Cutter,
    digest::Digester,
    error::ZipError,
    format::{self, MARK_32},
    name,
    record::Spool,
};

/// Bytes of the central directory that are written at a time.
const DIRECTORY_CHUNK: usize = 16 * 1024;

/// Writes a ZIP archive to `W`, front to back, compressing on several threads.
///
/// `W` is asked for each header on its own; wrap it into a [`std::io::BufWriter`] when a call is dear, as for a file. `S` keeps a
/// record of about 60 bytes and the name of each entry until the archive ends; it must be empty, such as a temporary file, and is
/// left to the caller to remove (it is dropped).
///
/// Entries are given one after the other: [`start_entry`](Self::start_entry), then [`append`](Self::append) or
/// [`std::io::Write`], then [`finish_entry`](Self::finish_entry). Dropping the archive before [`finish`](Self::finish) stops the
/// threads and leaves an incomplete file behind.
pub struct ZipStream<W, S> {
    output: Output<W>,
    spool: Spool<S>,
    cutter: Cutter,
    /// What is still to be written, oldest first. Every entry has at least one block in it, so the number of blocks bounds it.
    queue: VecDeque<Step>,
    /// The entry that takes bytes.
    open: Option<OpenEntry>,
    /// The entry that is being written, often an earlier one. Sizes and digests are set when it ends.
    writing: Option<EntryRecord>,
    /// Those of the block that was written last.
    digests: Digests,
    totals: Totals,
    failed: bool,
}

/// Sums over an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries.
    pub entries: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of all entries before they were packed.
    pub uncompressed_bytes: u64,
}

struct OpenEntry {
    name: String,
    method: Method,
    large: bool,
    size: u64,
}

/// Something to write.
enum Step {
    Header {
        name: String,
        method: Method,
        large: bool,
    },
    /// The oldest block of the pool.
    Block,
    /// The end of an entry of this many bytes.
    Descriptor { size: u64 },
}

struct Output<W> {
    to: W,
    offset: u64,
    /// Reused for headers.
    header: Vec<u8>,
}

impl<W: Write, S: Read + Write + Seek> ZipStream<W, S> {
    /// Starts an archive and its threads. Nothing is written yet.
    ///
    /// Fails for a level above 9 and when a thread cannot be started.
    pub fn new(output: W, spool: S, options: Options) -> Result<Self, ZipError> {
        let mut digester = Digester::default();
        let in_order = move |block: &mut _| digester.add(block);
        Ok(Self {
            output: Output {
                to: output,
                offset: 0,
                header: Vec::new(),
            },
            spool: Spool::new(spool),
            cutter: Cutter::start(options, in_order)?,
            queue: VecDeque::new(),
            open: None,
            writing: None,
            digests: Digests::default(),
            totals: Totals::default(),
            failed: false,
        })
    }

    /// Starts the next entry.
    ///
    /// Refuses a name that is not safe ([`ZipError::Name`]) and to start before the last entry is finished
    /// ([`ZipError::EntryOpen`]).
    pub fn start_entry(&mut self, options: EntryOptions<'_>) -> Result<(), ZipError> {
        self.guard(|zip| {
            zip.refuse_open()?;
            name::check(options.name)?;
            let EntryOptions { method, large, .. } = options;
            zip.queue.push_back(Step::Header {
                name: options.name.to_owned(),
                method,
                large,
            });
            zip.open = Some(OpenEntry {
                name: options.name.to_owned(),
                method,
                large,
                size: 0,
            });
            Ok(())
        })
    }

    /// Adds bytes to the open entry. Errors of the output and of the workers belong to bytes given earlier.
    pub fn append(&mut self, mut data: &[u8]) -> Result<(), ZipError> {
        self.guard(|zip| {
            let open = zip.open.as_mut().ok_or(ZipError::NoEntry)?;
            open.size += data.len() as u64;
            if !open.large && open.size >= MARK_32 {
                let name = open.name.clone();
                return Err(ZipError::TooLarge { name });
            }
            while !data.is_empty() {
                if zip.cutter.is_full() {
                    zip.hand_over(false)?;
                }
                zip.free_a_block()?;
                data = zip.cutter.fill(data)?;
            }
            Ok(())
        })
    }

    /// Ends the open entry, without waiting for its bytes to be compressed or written.
    pub fn finish_entry(&mut self) -> Result<(), ZipError> {
        self.guard(|zip| {
            if zip.open.is_none() {
                return Err(ZipError::NoEntry);
            }
            zip.free_a_block()?;
            zip.hand_over(true)?;
            let open = zip.open.take().ok_or(ZipError::NoEntry)?;
            zip.totals.entries += 1;
            zip.totals.uncompressed_bytes += open.size;
            zip.queue.push_back(Step::Descriptor { size: open.size });
            Ok(())
        })
    }

    /// Waits until everything given so far has been written, but for the rest of an open entry that is less than a block.
    pub fn drain(&mut self) -> Result<(), ZipError> {
        self.guard(|zip| {
            while zip.write_next()? {}
            Ok(())
        })
    }

    /// Starts a walk over the entries finished so far, oldest first. Waits for them to be written, as [`drain`](Self::drain).
    ///
    /// The walk goes on with [`next_record`](Self::next_record), and does not see entries that are finished later. It may go on
    /// while another entry is being written.
    pub fn records(&mut self) -> Result<Records, ZipError> {
        self.drain()?;
        self.guard(|zip| zip.spool.records())
    }

    /// The next record of a walk, `None` after the last.
    pub fn next_record(&mut self, records: &mut Records) -> Result<Option<EntryRecord>, ZipError> {
        self.guard(|zip| zip.spool.next(records))
    }

    /// Writes the central directory, flushes the output and gives it back.
    ///
    /// Refuses to while an entry is open, in which case the archive is given up.
    pub fn finish(mut self) -> Result<(W, Totals), ZipError> {
        self.refuse_open()?;
        let mut records = self.records()?;
        let start = self.output.offset;
        let mut chunk = Vec::with_capacity(DIRECTORY_CHUNK);
        while let Some(record) = self.next_record(&mut records)? {
            format::central_header(&mut chunk, &record);
            if chunk.len() >= DIRECTORY_CHUNK {
                self.output.write(&chunk)?;
                chunk.clear();
            }
        }
        let size = self.output.offset + chunk.len() as u64 - start;
        format::end(&mut chunk, self.totals.entries, size, start);
        self.output.write(&chunk)?;
        self.output.to.flush().map_err(ZipError::Output)?;
        self.totals.archive_bytes = self.output.offset;
        Ok((self.output.to, self.totals))
    }

    /// Sums so far; the bytes of the archive are those already written.
    pub fn totals(&self) -> Totals {
        Totals {
            archive_bytes: self.output.offset,
            ..self.totals
        }
    }

    /// Runs `call` unless an earlier one failed, and remembers whether it did.
    fn guard<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, ZipError>,
    ) -> Result<T, ZipError> {
        if self.failed {
            return Err(ZipError::Failed);
        }
        let result = call(self);
        self.failed = result.as_ref().is_err_and(|error| !error.changed_nothing());
        result
    }

    fn refuse_open(&self) -> Result<(), ZipError> {
        match &self.open {
            None => Ok(()),
            Some(open) => Err(ZipError::EntryOpen {
                name: open.name.clone(),
            }),
        }
    }

    /// Hands the current block to the workers.
    fn hand_over(&mut self, last: bool) -> Result<(), ZipError> {
        let open = self.open.as_ref().ok_or(ZipError::NoEntry)?;
        let mut block = self.cutter.cut(last)?;
        block.stored = open.method == Method::Store;
        self.cutter.pool.submit(block)?;
        self.queue.push_back(Step::Block);
        Ok(())
    }

    /// Writes from the front of the queue until there is a block to fill.
    fn free_a_block(&mut self) -> Result<(), ZipError> {
        while self.cutter.is_starved() && self.write_next()? {}
        Ok(())
    }

    /// Writes the oldest step; `false` when there is none.
    fn write_next(&mut self) -> Result<bool, ZipError> {
        let Some(step) = self.queue.pop_front() else {
            return Ok(false);
        };
        match step {
            Step::Header {
                name,
                method,
                large,
            } => {
                let record = EntryRecord {
                    name,
                    method,
                    large,
                    offset: self.output.offset,
                    size: 0,
                    compressed_size: 0,
                    crc32: 0,
                    sha256: [0; 32],
                };
                self.output.write_header(|out| {
                    format::local_header(out, &record.name, method, large);
                })?;
                self.writing = Some(record);
            }
            Step::Block => {
                let block = self.cutter.pool.next()?.ok_or(ZipError::WorkerLost)?;
                self.write_data(block.packed())?;
                self.digests = block.digests;
                self.cutter.recycle(block);
            }
            Step::Descriptor { size } => {
                let Digests { crc32, sha256 } = self.digests;
                let record = EntryRecord {
                    size,
                    crc32,
                    sha256,
                    ..self.writing.take().ok_or(ZipError::Failed)?
                };
                self.output
                    .write_header(|out| format::data_descriptor(out, &record))?;
                self.spool.append(&record)?;
            }
        }
        Ok(true)
    }

    fn write_data(&mut self, data: &[u8]) -> Result<(), ZipError> {
        let record = self.writing.as_mut().ok_or(ZipError::Failed)?;
        record.compressed_size += data.len() as u64;
        if !record.large && record.compressed_size >= MARK_32 {
            let name = record.name.clone();
            return Err(ZipError::TooLarge { name });
        }
        self.output.write(data)
    }
}

impl<W: Write, S: Read + Write + Seek> Write for ZipStream<W, S> {
    /// Adds all of `data` to the open entry. The source of the error is a [`ZipError`].
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.append(data)?;
        Ok(data.len())
    }

    /// Drains, then flushes the output.
    fn flush(&mut self) -> io::Result<()> {
        self.drain()?;
        Ok(self.guard(|zip| zip.output.to.flush().map_err(ZipError::Output))?)
    }
}

impl<W: Write> Output<W> {
    fn write(&mut self, data: &[u8]) -> Result<(), ZipError> {
        self.to.write_all(data).map_err(ZipError::Output)?;
        self.offset += data.len() as u64;
        Ok(())
    }

    fn write_header(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), ZipError> {
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        encode(&mut header);
        let result = self.write(&header);
        self.header = header;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn with_open_entry(method: Method) -> ZipStream<io::Sink, Cursor<Vec<u8>>> {
        let options = Options {
            threads: 1,
            level: 0,
        };
        let mut zip = ZipStream::new(io::sink(), Cursor::new(Vec::new()), options).unwrap();
        zip.start_entry(EntryOptions {
            name: "a",
            method,
            large: false,
        })
        .unwrap();
        zip.append(b"something").unwrap();
        zip.drain().unwrap();
        zip
    }

    fn check_too_large(error: &ZipError) {
        assert!(matches!(error, ZipError::TooLarge { name } if name == "a"));
    }

    // Writing 4 GiB would show the same, slowly.
    #[test]
    fn an_entry_not_announced_as_large_ends_at_4_gib_minus_2() {
        let mut zip = with_open_entry(Method::Store);
        zip.open.as_mut().unwrap().size = MARK_32 - 2;
        zip.append(b"x").unwrap();
        zip.append(b"").unwrap();
        check_too_large(&zip.append(b"x").unwrap_err());
        assert!(matches!(zip.finish_entry(), Err(ZipError::Failed)));
    }

    #[test]
    fn packed_bytes_count_as_well() {
        // Nine bytes and the header of the stored block that holds them.
        for (before, fits) in [(MARK_32 - 15, true), (MARK_32 - 14, false)] {
            let mut zip = with_open_entry(Method::Deflate);
            zip.writing.as_mut().unwrap().compressed_size = before;
            zip.finish_entry().unwrap();
            match zip.drain() {
                Ok(()) => assert!(fits),
                Err(error) => {
                    assert!(!fits);
                    check_too_large(&error);
                }
            }
        }
    }
}
