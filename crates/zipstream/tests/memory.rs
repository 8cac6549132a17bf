//! How much memory an archive takes. A program of its own, because every allocation in it is counted, and one test, because
//! tests next to it would be counted as well.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in what its tests share as well"
)]

use std::{
    alloc::System,
    fs::File,
    io::{self, BufWriter},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use zipstream::{EntryOptions, Method, Options, ZipStream};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that waiting for other threads may take, once per thread and channel, and keep.
const WAITING: usize = 10_000;

type Zip = ZipStream<BufWriter<io::Sink>, File>;

const MEGABYTE: usize = 1 << 20;

/// Memory that everything together may take with two threads.
const BOUND: usize = 5 * MEGABYTE;

fn start(zip: &mut Zip, name: &str, method: Method) {
    zip.start_entry(EntryOptions {
        name,
        method,
        large: true,
    })
    .unwrap();
}

fn write(zip: &mut Zip, data: &[u8], times: usize) {
    for _ in 0..times {
        zip.append(data).unwrap();
    }
}

#[test]
fn memory_is_bounded_and_reused() {
    let data: Vec<u8> = (0..100_000_u32)
        .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
        .collect();
    let whole = Region::new(COUNTING);
    let options = Options {
        threads: 2,
        level: 6,
    };
    let spool = tempfile::tempfile().unwrap();
    let mut zip = ZipStream::new(BufWriter::new(io::sink()), spool, options).unwrap();

    for method in [Method::Deflate, Method::Store] {
        start(&mut zip, "large", method);
        write(&mut zip, &data, 50);
        let steady = Region::new(COUNTING);
        write(&mut zip, &data, 50);
        let change = steady.change();
        // 50 writes and 76 blocks. A thread that waits for the first time makes a note of itself.
        let allocations = change.allocations + change.reallocations;
        assert!(allocations < 10, "{method:?}: {change:?}");
        zip.finish_entry().unwrap();
    }

    let held = |region: &Region<'_, System>| {
        let change = region.change();
        change.bytes_allocated - change.bytes_deallocated
    };
    // Every allocation so far is counted, also those given back: the peak is not higher.
    assert!(
        whole.change().bytes_allocated < BOUND,
        "{:?}",
        whole.change()
    );

    let mut entries = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            let name = format!("assets/{number:05}.txt");
            start(&mut zip, &name, Method::Deflate);
            write(&mut zip, b"small", 1);
            zip.finish_entry().unwrap();
        }
        zip.drain().unwrap();
        held(&whole)
    };
    let before = entries(0..1000);
    let after = entries(1000..50_000);
    assert!(after < before + WAITING, "{before} bytes, then {after}");
    println!("an archive with two threads holds {before} bytes");
    zip.finish().unwrap();
    assert!(held(&whole) < WAITING, "{} bytes", held(&whole));
}
