//! The fuzz targets' functions, called with every committed seed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

#[expect(
    unreachable_pub,
    reason = "the fuzz targets use this file as a library"
)]
#[path = "../../fuzz/checks.rs"]
mod checks;

/// A seed is the beginning of something, not a corpus.
const LARGEST: u64 = 64 << 10;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn stems(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn every_seed_passes() {
    for (target, check) in checks::ALL {
        let mut seeds = 0;
        for entry in fs::read_dir(fuzz().join("seeds").join(target)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = Vec::new();
            io::copy(
                &mut File::open(&path).unwrap().take(LARGEST + 1),
                &mut bytes,
            )
            .unwrap();
            assert!(bytes.len() as u64 <= LARGEST, "{} is large", path.display());
            println!("{}", path.display());
            check(&bytes);
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seeds");
    }
}

#[test]
fn every_target_is_a_function_with_seeds() {
    let functions: BTreeSet<String> = checks::ALL
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(stems(&fuzz().join("targets")), functions);
    assert_eq!(stems(&fuzz().join("seeds")), functions);
}
