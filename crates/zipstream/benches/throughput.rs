//! `cargo bench -p zipstream`: MB/s of generated chat JSON by level and threads, of deflate alone and of the whole archive.
//!
//! Best of several runs, taken in turns: on a shared machine only ratios within one run mean something.

#![expect(clippy::print_stdout, reason = "a table for people is the purpose")]
#![expect(clippy::cast_precision_loss, reason = "three digits are shown")]

use std::{
    fmt::Write,
    io::{self, Cursor},
    time::{Duration, Instant},
};

use zipstream::{EntryOptions, Method, Options, ZipError, ZipStream, deflate_alone};

const MEGABYTES: usize = 48;
const ROUNDS: usize = 5;
/// As a renderer hands its bytes on.
const WRITE: usize = 16 * 1024;
/// As paged HTML is cut.
const PAGE: usize = 1024 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let input = chat_json(MEGABYTES * 1_000_000)?;
    println!("{MEGABYTES} MB of chat JSON, MB/s, best of {ROUNDS}; ratio: archive / deflate alone");
    println!("level threads  output  alone  archive  1 MB entries  stored  ratio");
    for level in [1, 3, 6] {
        for threads in [1, 2] {
            let options = Options { threads, level };
            let mut best = [Duration::MAX; 4];
            let mut packed = 0;
            for _ in 0..ROUNDS {
                let timed = [
                    timed(|| {
                        packed = deflate_alone(&input[..], options)?.compressed_bytes;
                        Ok(())
                    })?,
                    timed(|| archive(&input, input.len(), Method::Deflate, options))?,
                    timed(|| archive(&input, PAGE, Method::Deflate, options))?,
                    timed(|| archive(&input, input.len(), Method::Store, options))?,
                ];
                for (best, time) in best.iter_mut().zip(timed) {
                    *best = time.min(*best);
                }
            }
            let [alone, archive, pages, stored] =
                best.map(|time| input.len() as f64 / 1e6 / time.as_secs_f64());
            println!(
                "{level:5} {threads:7} {:6.1}% {alone:6.0} {archive:8.0} {pages:13.0} {stored:7.0} {:6.2}",
                packed as f64 * 100.0 / input.len() as f64,
                archive / alone,
            );
        }
    }
    Ok(())
}

fn timed(run: impl FnOnce() -> Result<(), ZipError>) -> Result<Duration, ZipError> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn archive(input: &[u8], entry: usize, method: Method, options: Options) -> Result<(), ZipError> {
    let mut zip = ZipStream::new(io::sink(), Cursor::new(Vec::new()), options)?;
    for (number, entry) in input.chunks(entry).enumerate() {
        zip.start_entry(EntryOptions {
            name: &format!("{number}.json"),
            method,
            large: true,
        })?;
        for write in entry.chunks(WRITE) {
            zip.append(write)?;
        }
        zip.finish_entry()?;
    }
    zip.finish()?;
    Ok(())
}

/// As in the ids of the database.
const ID_LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// One message a line, in the shape of an export, with words in about the frequency of a language.
fn chat_json(size: usize) -> Result<Vec<u8>, std::fmt::Error> {
    let mut random = Random(42);
    let words: Vec<String> = (0..8000)
        .map(|_| {
            let letters = 2 + random.below(9);
            (0..letters)
                .map(|_| char::from(b"etaoinshrdlucmfwypvbgk"[random.skewed(22)]))
                .collect()
        })
        .collect();
    let users = ["anna.keller", "b.okafor", "chen", "élodie", "farid"];
    let mut out = String::with_capacity(size + 1024);
    let mut time = 1_700_000_000_000_usize;
    while out.len() < size {
        time += random.below(90_000);
        out.push_str("{\"msg\":\"");
        for _ in 0..=random.skewed(60) {
            out.push_str(&words[random.skewed(words.len())]);
            out.push(' ');
        }
        let user = users[random.skewed(users.len())];
        let id = random.id();
        write!(
            out,
            r#"","username":"{user}","ts":{{"$date":{time}}},"attachments":[]"#
        )?;
        write!(out, r#","type":"","_id":"{id}","name":"{user}""#)?;
        if random.below(6) == 0 {
            write!(out, r#","tmid":"{}""#, random.id())?;
        }
        if random.below(5) == 0 {
            write!(out, r#","reactions":{{":+1:":{{"usernames":["{user}"]}}}}"#)?;
        }
        out.push_str("}\n");
    }
    let mut out = out.into_bytes();
    out.truncate(size);
    Ok(out)
}

/// xorshift64: the same text in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }

    /// Small numbers often, large ones seldom.
    fn skewed(&mut self, limit: usize) -> usize {
        let limit = 1 + self.below(limit);
        let limit = 1 + self.below(limit);
        self.below(limit)
    }

    fn id(&mut self) -> String {
        (0..17)
            .map(|_| {
                let letter = self.below(ID_LETTERS.len());
                char::from(ID_LETTERS[letter])
            })
            .collect()
    }
}
