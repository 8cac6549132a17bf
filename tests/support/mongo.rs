//! A real server that speaks MongoDB's protocol, and databases on it.
//!
//! The suites that keep a contract run on one server, each test in a database of its own, or on the server of
//! `EXPORT_ROOM_TEST_MONGODB_URI`. Tests that make a server fail start one for themselves.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bson::{Document, RawDocumentBuf, doc};
use export_room::network::Uri;
use mongodb::{Client, Database};
use tempfile::TempDir;

use super::dump::DumpBuilder;
use super::mail::python;

/// A server that is stopped when it is dropped.
pub(crate) struct MongoServer {
    process: Option<Process>,
    storage: TempDir,
    arguments: Vec<&'static str>,
    port: u16,
}

struct Process {
    child: Child,
    /// When it ends, the server does.
    input: ChildStdin,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl MongoServer {
    /// Starts one with the arguments of `mongo_server.py`.
    pub(crate) fn start(arguments: &[&'static str]) -> Self {
        let mut server = Self {
            process: None,
            storage: tempfile::tempdir().unwrap(),
            arguments: arguments.to_vec(),
            port: 0,
        };
        server.resume();
        server
    }

    /// Starts it again, on the same port and storage.
    pub(crate) fn resume(&mut self) {
        let mut command = python("tests/support/mongo_server.py");
        command
            .arg(self.storage.path())
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if self.port != 0 {
            command.args(["--port", &self.port.to_string()]);
        }
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        self.port = port.trim().parse().expect("the server's port");
        self.process = Some(Process {
            input: child.stdin.take().unwrap(),
            child,
        });
    }

    /// Kills it, as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// From now on only users may do anything, each what he may.
    pub(crate) fn control_access(&mut self) {
        let process = self.process.as_mut().unwrap();
        writeln!(process.input, "access control").unwrap();
    }

    /// A database of it that nobody else has.
    pub(crate) fn place(&self) -> MongoPlace {
        // A driver that was told of another primary asks for it once in ten seconds, and here it is the same one.
        let options = "heartbeatFrequencyMS=500";
        MongoPlace::on(&format!("mongodb://127.0.0.1:{}/?{options}", self.port))
    }
}

/// A database of a server.
#[derive(Clone)]
pub(crate) struct MongoPlace {
    pub(crate) address: String,
    pub(crate) name: String,
}

impl MongoPlace {
    /// A new database on the server that the suites share.
    pub(crate) fn new() -> Self {
        static SERVER: OnceLock<(Option<MongoServer>, String)> = OnceLock::new();
        let (_, address) = SERVER.get_or_init(|| {
            if let Ok(address) = std::env::var("EXPORT_ROOM_TEST_MONGODB_URI") {
                return (None, address);
            }
            let server = MongoServer::start(&[]);
            let address = format!("mongodb://127.0.0.1:{}", server.port);
            (Some(server), address)
        });
        Self::on(address)
    }

    fn on(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("export_room_test_{}_{number}", std::process::id());
        let (rest, options) = server.split_once('?').unwrap_or((server, ""));
        let rest = rest.trim_end_matches('/');
        Self {
            address: format!("{rest}/{name}?{options}"),
            name,
        }
    }

    /// The address, as our program takes it.
    pub(crate) fn uri(&self) -> Uri {
        self.address.clone().into()
    }

    /// The database, through a client that lives in the runtime of the caller.
    pub(crate) async fn database(&self) -> Database {
        let client = Client::with_uri_str(&self.address).await.unwrap();
        client.database(&self.name)
    }

    /// Makes commands fail, as MongoDB's test command `failCommand` says; `mode` is how often.
    pub(crate) async fn fail(&self, mode: Document, how: Document) {
        let order = doc! {"configureFailPoint": "failCommand", "mode": mode, "data": how};
        let database = self.database().await;
        let admin = database.client().database("admin");
        admin.run_command(order).await.unwrap();
    }

    /// Lets commands succeed again.
    pub(crate) async fn heal(&self) {
        let order = doc! {"configureFailPoint": "failCommand", "mode": "off"};
        let database = self.database().await;
        let admin = database.client().database("admin");
        admin.run_command(order).await.unwrap();
    }

    /// Fills the database with the documents of a dump, with the indexes that Rocket.Chat makes. Of documents with one
    /// `_id` the later one stays, as a server has it.
    pub(crate) async fn load(&self, dump: &DumpBuilder) {
        let database = self.database().await;
        for (name, keys) in [
            (
                "rocketchat_message",
                doc! {"rid": 1, "ts": 1, "_updatedAt": 1},
            ),
            ("rocketchat_uploads.chunks", doc! {"files_id": 1, "n": 1}),
            ("rocketchat_subscription", doc! {"rid": 1, "u._id": 1}),
        ] {
            let index = mongodb::IndexModel::builder().keys(keys).build();
            let collection = database.collection::<Document>(name);
            collection.create_index(index).await.unwrap();
        }
        // Every workspace has settings.
        let unique = doc! {"_id": "Test", "value": "test"};
        let settings = database.collection::<Document>("rocketchat_settings");
        settings.insert_one(unique).await.unwrap();
        for (name, documents) in &dump.collections {
            let collection = database.collection::<RawDocumentBuf>(name);
            let mut last = std::collections::HashMap::new();
            for (number, bytes) in documents.iter().enumerate() {
                let document = Document::from_reader(bytes.as_slice()).unwrap();
                let mut id = document
                    .get("_id")
                    .map_or_else(|| format!("#{number}"), |id| format!("{id:?}"));
                if name.ends_with(".chunks") {
                    let n = bson::RawBson::try_from(document.get("n").unwrap().clone());
                    id = format!("{:?} {:?}", document.get("files_id"), n.unwrap());
                }
                last.insert(id, (number, bytes));
            }
            let mut kept: Vec<_> = last.into_values().collect();
            kept.sort_unstable();
            let documents: Vec<_> = kept
                .into_iter()
                .map(|(_, bytes)| RawDocumentBuf::from_bytes(bytes.clone()).unwrap())
                .collect();
            for some in documents.chunks(2000) {
                collection.insert_many(some).await.unwrap();
            }
        }
    }
}
