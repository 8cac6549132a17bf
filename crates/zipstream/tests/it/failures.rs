//! What fails says so, once and for all, and nothing hangs.

use std::{
    error::Error,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use zipstream::{EntryOptions, Method, Options, ZipError, ZipStream, deflate_alone};

use crate::support::{BLOCK, LEVEL_1, add, in_memory, mixed, noise, spool, text};

const PLAIN: EntryOptions<'_> = EntryOptions {
    name: "a",
    method: Method::Deflate,
    large: false,
};

/// Accepts some bytes and then none, as a full disk.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = data.len().min(self.room);
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(zip: &mut ZipStream<impl Write, impl Read + Write + Seek>) -> Result<(), ZipError> {
    for entry in mixed() {
        zip.start_entry(entry.options())?;
        zip.append(&entry.content)?;
        zip.finish_entry()?;
    }
    zip.drain()
}

/// Whatever is called after a failure fails.
fn check_failed(mut zip: ZipStream<impl Write, impl Read + Write + Seek>) {
    let failed = |result: Result<(), ZipError>| assert!(matches!(result, Err(ZipError::Failed)));
    failed(zip.append(b"more"));
    failed(zip.finish_entry());
    failed(zip.start_entry(PLAIN));
    failed(zip.drain());
    failed(zip.records().map(drop));
    zip.flush().unwrap_err();
    zip.write_all(b"more").unwrap_err();
    assert!(zip.finish().is_err());
}

#[test]
fn a_full_disk_surfaces_wherever_it_fills_up() {
    let mut whole = in_memory(LEVEL_1);
    write_all(&mut whole).unwrap();
    let data = usize::try_from(whole.totals().archive_bytes).unwrap();
    let length = whole.finish().unwrap().0.len();
    for room in (0..data).step_by(data / 25).chain(data - 5..data) {
        let mut zip = ZipStream::new(Full { room }, spool(), LEVEL_1).unwrap();
        let error = write_all(&mut zip).unwrap_err();
        assert!(
            matches!(&error, ZipError::Output(cause) if cause.kind() == io::ErrorKind::StorageFull)
        );
        check_failed(zip);
    }
    for room in (data..length).step_by(10) {
        let mut zip = ZipStream::new(Full { room }, spool(), LEVEL_1).unwrap();
        write_all(&mut zip).unwrap();
        assert!(matches!(zip.finish().map(drop), Err(ZipError::Output(_))));
    }
}

#[test]
fn a_failed_flush_surfaces() {
    struct NoFlush;
    impl Write for NoFlush {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let zip = ZipStream::new(NoFlush, spool(), LEVEL_1).unwrap();
    assert!(matches!(zip.finish().map(drop), Err(ZipError::Output(_))));
}

/// A spool that fails from some call on, or forgets what was written.
struct BadSpool {
    inner: Cursor<Vec<u8>>,
    calls_left: usize,
    forgets: bool,
}

impl BadSpool {
    fn call(&mut self) -> io::Result<()> {
        self.calls_left = self
            .calls_left
            .checked_sub(1)
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }
}

impl Read for BadSpool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        if self.forgets {
            buffer.fill(0xAA);
            return Ok(buffer.len());
        }
        self.inner.read(buffer)
    }
}

impl Write for BadSpool {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.call()?;
        self.inner.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for BadSpool {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.call()?;
        self.inner.seek(to)
    }
}

#[test]
fn a_bad_spool_surfaces() {
    let finish = |calls_left, forgets| {
        let inner = spool();
        let bad = BadSpool {
            inner,
            calls_left,
            forgets,
        };
        let mut zip = ZipStream::new(io::sink(), bad, LEVEL_1).unwrap();
        write_all(&mut zip)?;
        zip.finish().map(drop)
    };
    finish(1000, false).unwrap();
    for calls in 0..4 {
        assert!(
            matches!(finish(calls, false), Err(ZipError::Spool(_))),
            "{calls} calls"
        );
    }
    assert!(matches!(finish(1000, true), Err(ZipError::SpoolDamaged)));
}

#[test]
fn calls_in_the_wrong_order_change_nothing() {
    let mut zip = in_memory(LEVEL_1);
    assert!(matches!(zip.append(b"a"), Err(ZipError::NoEntry)));
    assert!(matches!(zip.finish_entry(), Err(ZipError::NoEntry)));
    let entries = mixed();
    zip.start_entry(entries[3].options()).unwrap();
    assert!(
        matches!(zip.start_entry(PLAIN), Err(ZipError::EntryOpen { name }) if name == "room.json")
    );
    zip.append(&entries[3].content).unwrap();
    zip.drain().unwrap();
    zip.finish_entry().unwrap();
    let bad = EntryOptions {
        name: "../a",
        ..PLAIN
    };
    assert!(matches!(zip.start_entry(bad), Err(ZipError::Name { .. })));
    add(&mut zip, &entries[4], 1000);
    let expected = crate::support::archive(&entries[3..5], LEVEL_1, 1000);
    assert!(zip.finish().unwrap().0 == expected);
}

#[test]
fn an_archive_is_not_finished_while_an_entry_is_open() {
    let mut zip = in_memory(LEVEL_1);
    zip.start_entry(PLAIN).unwrap();
    assert!(matches!(
        zip.finish().map(drop),
        Err(ZipError::EntryOpen { .. })
    ));
}

#[test]
fn a_level_above_nine_is_refused() {
    let options = Options {
        threads: 1,
        level: 10,
    };
    assert!(matches!(
        ZipStream::new(io::sink(), spool(), options).map(drop),
        Err(ZipError::Level { level: 10 })
    ));
    assert!(matches!(
        deflate_alone(io::empty(), options),
        Err(ZipError::Level { level: 10 })
    ));
}

#[test]
fn the_cause_of_an_error_of_write_is_typed() {
    let mut zip = in_memory(LEVEL_1);
    let error = zip.write_all(b"a").unwrap_err();
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    assert!(matches!(cause, Some(ZipError::NoEntry)));
}

#[test]
fn an_unreadable_input_of_deflate_alone_surfaces() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let error = deflate_alone(Broken, LEVEL_1).unwrap_err();
    assert!(matches!(error, ZipError::Input(_)));
    assert!(error.source().is_some());
}

#[test]
fn dropping_an_unfinished_archive_ends_its_threads() {
    let (done, ended) = sync_channel(1);
    // In a thread of its own, so that hanging is a failure and not a hanging test.
    thread::spawn(move || {
        for blocks in 0..12 {
            for threads in [1, 2, 4] {
                let mut zip = in_memory(Options { threads, level: 9 });
                zip.start_entry(PLAIN).unwrap();
                zip.append(&text(blocks * BLOCK / 2)).unwrap();
                if blocks % 2 == 0 {
                    zip.finish_entry().unwrap();
                }
                drop(zip);
                let mut zip =
                    ZipStream::new(Full { room: 10 }, spool(), Options { threads, level: 1 })
                        .unwrap();
                zip.start_entry(PLAIN).unwrap();
                let _full_or_not_written_yet = zip.append(&noise(blocks * BLOCK));
                drop(zip);
            }
        }
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_mins(1)).unwrap();
}
