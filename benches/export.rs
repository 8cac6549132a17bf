//! The figures of the README and of `docs/performance.md`: a room of a million messages, exported by the real binary,
//! beside deflate alone over the same bytes with the same threads and level.
//!
//! `cargo xtask bench [-- --messages N] [--runs N] [--levels 1,3,6]`. Runs alternate, so that a machine that changes
//! its pace does so for both; medians are printed.

#![expect(clippy::print_stdout, reason = "prints a table")]
#![expect(
    clippy::unwrap_used,
    reason = "a bench that fails has nothing to clean up"
)]
#![expect(clippy::cast_precision_loss, reason = "rates for people")]

#[path = "../tests/support/generate.rs"]
mod generate;

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

struct Run {
    seconds: f64,
    peak: f64,
    bytes: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let messages: u64 = option("--messages").map_or(1_000_000, |text| text.parse().unwrap());
    let runs: usize = option("--runs").map_or(3, |text| text.parse().unwrap());
    let levels = option("--levels").unwrap_or_else(|| "3".to_owned());
    let threads = std::thread::available_parallelism().unwrap().get();
    let directory = tempfile::tempdir().unwrap();
    let (dump, database) = (
        directory.path().join("dump"),
        directory.path().join("chat.db"),
    );
    println!("{messages} messages, {threads} threads");
    generate::dump(&dump, messages).unwrap();
    let started = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_export-room"))
        .args([
            "import",
            dump.to_str().unwrap(),
            "--workspace",
            &format!("sqlite:{}", database.display()),
        ])
        .status()
        .unwrap();
    assert!(status.success());
    println!(
        "import: {:.0} messages/s",
        messages as f64 / started.elapsed().as_secs_f64()
    );
    println!(
        "format source level  messages/s  MB/s rendered  ZIP MB  peak MiB  ratio to deflate alone"
    );
    for level in levels.split(',').map(|level| level.parse::<u8>().unwrap()) {
        for format in ["json", "html"] {
            for source in [
                format!("sqlite:{}", database.display()),
                format!("dump:{}", dump.display()),
            ] {
                let zip = directory.path().join("out.zip");
                // Once to warm the caches and to have the bytes.
                export(&source, format, level, threads, &zip);
                let rendered = contents(&zip);
                let (mut exports, mut alone) = (Vec::new(), Vec::new());
                for _ in 0..runs {
                    exports.push(export(&source, format, level, threads, &zip));
                    let started = Instant::now();
                    zipstream::deflate_alone(
                        rendered.as_slice(),
                        zipstream::Options { threads, level },
                    )
                    .unwrap();
                    alone.push(started.elapsed().as_secs_f64());
                }
                let seconds = median(exports.iter().map(|run| run.seconds));
                println!(
                    "{format:<6} {:<6} {level:>5}  {:>10.0}  {:>13.0}  {:>6.1}  {:>8.1}  {:.2}",
                    source.split(':').next().unwrap(),
                    messages as f64 / seconds,
                    rendered.len() as f64 / 1e6 / seconds,
                    exports[0].bytes / 1e6,
                    median(exports.iter().map(|run| run.peak)),
                    median(alone.into_iter()) / seconds,
                );
            }
        }
    }
}

/// Runs the binary; figures are its own, by its last progress line.
fn export(source: &str, format: &str, level: u8, threads: usize, zip: &Path) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_export-room"))
        .args([
            "export",
            "--workspace",
            source,
            "--room",
            generate::NAME,
            "--format",
            format,
            "--force",
        ])
        .args([
            "--level",
            &level.to_string(),
            "--threads",
            &threads.to_string(),
            "--progress",
            "json",
            "-o",
        ])
        .arg(zip)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let number = |key: &str| line[key].as_f64().unwrap();
    Run {
        seconds: number("seconds"),
        peak: number("peakBytes") / 1024.0 / 1024.0,
        bytes: number("bytes"),
    }
}

/// The uncompressed bytes of all entries.
fn contents(zip: &Path) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let mut bytes = Vec::new();
    for index in 0..archive.len() {
        std::io::copy(&mut archive.by_index(index).unwrap(), &mut bytes).unwrap();
    }
    bytes
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
