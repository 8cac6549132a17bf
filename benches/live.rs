//! What a live database gives, and how much of it arrives: a plain loop of the driver that only counts bytes, our reader of
//! messages, the driver's count, and whole exports as JSON and HTML by the real binary, one after the other so that a machine that changes its pace does so for
//! all.
//!
//! `cargo xtask bench --live [--messages N,N] [--runs N]`, on the server of `EXPORT_ROOM_TEST_MONGODB_URI`, else on the one of
//! the tests. Medians are printed: of seconds, and of this process's processor seconds.

#![expect(clippy::print_stdout, reason = "prints a table")]
#![expect(
    clippy::unwrap_used,
    reason = "a bench that fails has nothing to clean up"
)]
#![expect(clippy::cast_precision_loss, reason = "rates for people")]

#[path = "../tests/support/fill.rs"]
mod fill;
#[path = "../tests/support/generate.rs"]
mod generate;
#[path = "shared/measure.rs"]
mod measure;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bson::{RawDocumentBuf, doc};
use export_room::store::mongo::{Load, MongoDatabase, MongoSource};
use export_room::store::{MessageQuery, MessageSource, RoomId, Selection, Window};
use futures_util::StreamExt;
use measure::{Whose, median, processor_seconds};
use mongodb::{Client, Collection};

/// Documents of one reply, as the product asks for them.
const BATCH: u32 = 1000;

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    processor: f64,
    documents: u64,
    bytes: u64,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let sizes = option("--messages").unwrap_or_else(|| "100000,1000000".to_owned());
    let runs: usize = option("--runs").map_or(3, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let mut process = None;
    let server = std::env::var("EXPORT_ROOM_TEST_MONGODB_URI").unwrap_or_else(|_| {
        let (address, started) = started(temporary.path());
        process = Some(started);
        address
    });
    println!(
        "messages  what              messages/s    MB/s  seconds  processor seconds  of the loop"
    );
    for messages in sizes.split(',').map(|text| text.parse::<u64>().unwrap()) {
        let name = format!("export_room_bench_{}_{messages}", std::process::id());
        let (rest, options) = server.split_once('?').unwrap_or((&server, ""));
        let address = format!("{}/{name}?{options}", rest.trim_end_matches('/'));
        let client = Client::with_uri_str(&address).await.unwrap();
        let database = client.database(&name);
        let seconds = written(&database, messages, temporary.path()).await;
        println!(
            "{messages:>8}  filled by us      {:>10.0}",
            messages as f64 / seconds
        );
        let collection = database.collection("rocketchat_message");
        let uri = address.clone().into();
        let live = MongoDatabase::connect(&uri, Load::default()).await.unwrap();
        let source = MongoSource::new(live);
        let zip = temporary.path().join("out.zip");
        let mut costs: [Vec<Cost>; 5] = Default::default();
        for _ in 0..runs {
            costs[0].push(plain(&collection).await);
            costs[1].push(ours(&source).await);
            costs[2].push(counted(&collection).await);
            costs[3].push(export(&address, &zip, "json"));
            costs[4].push(export(&address, &zip, "html"));
        }
        let names = [
            "a plain loop",
            "our reader",
            "a plain count",
            "export as JSON",
            "export as HTML",
        ];
        let mut of_loop = None;
        for (name, costs) in names.into_iter().zip(costs) {
            let median = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure));
            let seconds = median(|cost| cost.seconds);
            assert!(
                costs.iter().all(|cost| cost.documents == messages),
                "{name}"
            );
            println!(
                "{messages:>8}  {name:<16}  {:>10.0}  {:>6.1}  {seconds:>7.2}  {:>17.2}  {:>11.2}",
                messages as f64 / seconds,
                costs[0].bytes as f64 / 1e6 / seconds,
                median(|cost| cost.processor),
                of_loop.get_or_insert(seconds).to_owned() / seconds,
            );
        }
        database.drop().await.unwrap();
    }
}

/// The server of the tests; it ends with this program.
fn started(directory: &Path) -> (String, Child) {
    let python = std::env::var_os("EXPORT_ROOM_PYTHON").expect("run it with `cargo xtask bench`");
    let mut process = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/mongo_server.py"
        ))
        .arg(directory.join("storage"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    said.read_line(&mut port).unwrap();
    (format!("mongodb://127.0.0.1:{}", port.trim()), process)
}

/// Writes the generated room; seconds.
async fn written(database: &mongodb::Database, messages: u64, directory: &Path) -> f64 {
    let dump = directory.join(format!("dump-{messages}"));
    generate::dump(&dump, messages).unwrap();
    let begun = Instant::now();
    fill::fill(database, &dump.join("rocketchat")).await;
    begun.elapsed().as_secs_f64()
}

/// The driver alone: the same question, whole replies, and the bytes of their documents.
async fn plain(collection: &Collection<RawDocumentBuf>) -> Cost {
    let meter = Meter::start();
    let question = collection
        .find(doc! {"rid": generate::ROOM})
        .sort(doc! {"ts": 1})
        .batch_size(BATCH);
    let mut cursor = question.batch().await.unwrap();
    let (mut documents, mut bytes) = (0, 0);
    while let Some(reply) = cursor.next().await {
        for document in reply.unwrap().doc_slices().unwrap() {
            let bson::RawBsonRef::Document(document) = document.unwrap() else {
                panic!("no document");
            };
            documents += 1;
            bytes += document.as_bytes().len() as u64;
        }
    }
    meter.stop(documents, bytes)
}

/// Our reader: in order, each message once, and able to go on after a lost cursor.
async fn ours(source: &MongoSource) -> Cost {
    let meter = Meter::start();
    let query = MessageQuery {
        room: RoomId(generate::ROOM.to_owned()),
        window: Window::default(),
        selection: Selection::All,
    };
    let mut cursor = source.messages(&query).await.unwrap();
    let (mut documents, mut bytes) = (0, 0);
    while let Some(batch) = cursor.next_batch().await.unwrap() {
        for document in batch.docs() {
            documents += 1;
            bytes += document.len() as u64;
        }
    }
    meter.stop(documents, bytes)
}

/// What every export asks for beside the messages, so that it is not only itself that says how many there are.
async fn counted(collection: &Collection<RawDocumentBuf>) -> Cost {
    let meter = Meter::start();
    let count = collection.count_documents(doc! {"rid": generate::ROOM});
    let documents = count.await.unwrap();
    meter.stop(documents, 0)
}

/// A whole export by the real binary, without files.
fn export(address: &str, zip: &Path, format: &str) -> Cost {
    let meter = Meter::start();
    let output = Command::new(env!("CARGO_BIN_EXE_export-room"))
        .args(["export", "--workspace", address, "--room", generate::NAME])
        .args(["--format", format, "--force", "--no-attachments"])
        .args(["--progress", "json", "-o"])
        .arg(zip)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let number = |key: &str| line[key].as_u64().unwrap();
    Cost {
        seconds: line["seconds"].as_f64().unwrap(),
        ..meter.stop(number("messages"), number("bytes"))
    }
}

/// Measures what is done until it is stopped, by this process and those that it has waited for.
struct Meter {
    started: Instant,
    processor: f64,
}

impl Meter {
    fn start() -> Self {
        Self {
            processor: processor(),
            started: Instant::now(),
        }
    }

    fn stop(&self, documents: u64, bytes: u64) -> Cost {
        Cost {
            seconds: self.started.elapsed().as_secs_f64(),
            processor: processor() - self.processor,
            documents,
            bytes,
        }
    }
}

/// Of this program and of those it has waited for.
fn processor() -> f64 {
    processor_seconds(Whose::Mine) + processor_seconds(Whose::Children)
}
