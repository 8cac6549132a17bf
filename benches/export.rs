//! The figures of the README and of `docs/performance.md`: a room of a million messages, exported by the real binary,
//! beside deflate alone over the same bytes with the same threads and level.
//!
//! `cargo xtask bench [-- --messages N] [--runs N] [--levels 1,3,6] [--formats json,html,html-no-search] [--sources sqlite,dump]
//! [--room DIR]`. The level is the product's default when none is said; `--room` keeps the generated room for the next
//! call. Runs alternate, so that a machine that changes its pace does so for both, and medians are printed: of seconds,
//! which other work on the machine lengthens, and of the processor's seconds, which it does not.

#![expect(clippy::print_stdout, reason = "prints a table")]
#![expect(
    clippy::unwrap_used,
    reason = "a bench that fails has nothing to clean up"
)]
#![expect(clippy::cast_precision_loss, reason = "rates for people")]

#[path = "../tests/support/generate.rs"]
mod generate;
#[path = "shared/measure.rs"]
mod measure;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use export_room::export::request::DEFAULT_LEVEL;
use measure::{Whose, median, processor_seconds};

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    /// Of all threads, in the program and in the system.
    processor: f64,
}

struct Run {
    cost: Cost,
    peak: f64,
    bytes: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let list = |name: &str, otherwise: &str| -> Vec<String> {
        let text = option(name).unwrap_or_else(|| otherwise.to_owned());
        text.split(',').map(str::to_owned).collect()
    };
    let messages: u64 = option("--messages").map_or(1_000_000, |text| text.parse().unwrap());
    let runs: usize = option("--runs").map_or(3, |text| text.parse().unwrap());
    let threads = std::thread::available_parallelism().unwrap().get();
    let temporary = tempfile::tempdir().unwrap();
    let room = option("--room").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    println!("{messages} messages, {threads} threads");
    let sources = workspaces(&room, messages);
    println!(
        "format source level  messages/s  MB/s rendered  ZIP MB  peak MiB  seconds: export alone ratio  processor seconds: export alone ratio"
    );
    let zip = temporary.path().join("out.zip");
    for level in list("--levels", &DEFAULT_LEVEL.to_string()) {
        let level = level.parse().unwrap();
        for format in list("--formats", "json,html") {
            for name in list("--sources", "sqlite,dump") {
                let source = sources.iter().find(|source| source.starts_with(&name));
                let source = source.expect("sources are sqlite and dump");
                // Once to warm the caches and to have the bytes.
                export(source, &format, level, threads, &zip);
                let rendered = contents(&zip);
                let (mut exports, mut alone) = (Vec::new(), Vec::new());
                for _ in 0..runs {
                    exports.push(export(source, &format, level, threads, &zip));
                    let options = zipstream::Options { threads, level };
                    alone.push(cost(Whose::Mine, || {
                        zipstream::deflate_alone(rendered.as_slice(), options).unwrap();
                    }));
                }
                let [seconds, processor] = [|cost: Cost| cost.seconds, |cost: Cost| cost.processor]
                    .map(|figure| {
                        let export = median(exports.iter().map(|run| figure(run.cost)));
                        (export, median(alone.iter().map(|&cost| figure(cost))))
                    });
                println!(
                    "{format:<6} {name:<6} {level:>5}  {:>10.0}  {:>13.0}  {:>6.1}  {:>8.1}           {:>6.2} {:>5.2}  {:.2}                     {:>6.2} {:>5.2}  {:.2}",
                    messages as f64 / seconds.0,
                    rendered.len() as f64 / 1e6 / seconds.0,
                    exports[0].bytes / 1e6,
                    median(exports.iter().map(|run| run.peak)),
                    seconds.0,
                    seconds.1,
                    seconds.1 / seconds.0,
                    processor.0,
                    processor.1,
                    processor.1 / processor.0,
                );
            }
        }
    }
}

/// The addresses of the room as a workspace file and as a dump, both made when they are not there.
fn workspaces(directory: &Path, messages: u64) -> [String; 2] {
    let dump = directory.join(format!("dump-{messages}"));
    let database = directory.join(format!("chat-{messages}.db"));
    let sqlite = format!("sqlite:{}", database.display());
    if !database.exists() {
        generate::dump(&dump, messages).unwrap();
        let import = cost(Whose::Children, || {
            let status = Command::new(env!("CARGO_BIN_EXE_export-room"))
                .args(["import", dump.to_str().unwrap(), "--workspace", &sqlite])
                .status()
                .unwrap();
            assert!(status.success());
        });
        println!(
            "import: {:.0} messages/s, {:.1} processor seconds",
            messages as f64 / import.seconds,
            import.processor
        );
    }
    [sqlite, format!("dump:{}", dump.display())]
}

/// Runs something and tells what it took.
fn cost(whose: Whose, work: impl FnOnce()) -> Cost {
    let before = processor_seconds(whose);
    let started = Instant::now();
    work();
    Cost {
        seconds: started.elapsed().as_secs_f64(),
        processor: processor_seconds(whose) - before,
    }
}

/// Runs the binary; seconds, bytes and memory are its own figures, of its last progress line.
fn export(source: &str, format: &str, level: u8, threads: usize, zip: &Path) -> Run {
    let pages = format.strip_suffix("-no-search");
    let mut command = Command::new(env!("CARGO_BIN_EXE_export-room"));
    command
        .args(["export", "--workspace", source, "--room", generate::NAME])
        .args(["--format", pages.unwrap_or(format), "--force", "--level"])
        .args([
            level.to_string(),
            "--threads".to_owned(),
            threads.to_string(),
        ])
        .args(["--progress", "json"])
        .args(pages.map(|_| "--no-search"))
        .arg("-o")
        .arg(zip);
    let mut text = String::new();
    let whole = cost(Whose::Children, || {
        let output = command.output().unwrap();
        text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
    });
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let number = |key: &str| line[key].as_f64().unwrap();
    Run {
        cost: Cost {
            seconds: number("seconds"),
            ..whole
        },
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
