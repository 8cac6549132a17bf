//! The fuzz targets' functions, called with every committed seed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::support::{attacks, gallery};

#[expect(
    unreachable_pub,
    reason = "the fuzz targets use this file as a library"
)]
#[path = "../../fuzz/checks.rs"]
mod checks;

/// Changed copies of each message that are tried.
const CHANGED: usize = 8;
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
fn every_kind_of_message_and_every_attack_stays_within_its_markup() {
    let messages = gallery::workspace().collections["rocketchat_message"].clone();
    assert!(messages.len() > 50, "{}", messages.len());
    // Each as it is, and with a few of its bytes changed: what changes are made does not change from run to run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let specials = b"<>&\"'/\\ :;=\0\xff\xe2`$*_#!";
    for message in &messages {
        checks::html(message);
        for _ in 0..CHANGED {
            let mut changed = message.clone();
            for _ in 0..=next(8) {
                let at = next(changed.len());
                changed[at] = specials[next(specials.len())];
            }
            checks::html(&changed);
        }
    }
    for attack in attacks::all() {
        checks::html(attack.as_bytes());
    }
}

#[test]
fn a_page_that_something_broke_out_of_is_caught() {
    for page in [
        "<p>x",
        "</p>",
        "<p><b>x</p></b>",
        "<iframe></iframe>",
        "<p onclick=\"x\"></p>",
        "<p class=\"a\" style=\"b\"></p>",
        "<a href=\"javascript:alert(1)\"></a>",
        "<img src=\"https://evil.test/x.png\">",
        "<p>a & b</p>",
        "<p>\"</p>",
        "<p>\u{1b}</p>",
    ] {
        let caught = std::panic::catch_unwind(|| checks::page(page));
        assert!(caught.is_err(), "{page}");
    }
    checks::page("<p class=\"a\">a &amp; b<br><img src=\"assets/a.png\" alt=\"\"></p>\n");
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
