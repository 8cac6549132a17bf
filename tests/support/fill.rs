//! A generated dump into a live database, for tests and benches of many messages.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use bson::{Document, RawDocumentBuf, doc};
use mongodb::{Database, IndexModel};

/// Documents that are sent together.
const TOGETHER: usize = 5000;

/// Inserts the documents of a dump of one database, with the index of messages that Rocket.Chat makes.
pub(crate) async fn fill(database: &Database, dump: &Path) {
    let keys = doc! {"rid": 1, "ts": 1, "_updatedAt": 1};
    let index = IndexModel::builder().keys(keys).build();
    let messages = database.collection::<Document>("rocketchat_message");
    messages.create_index(index).await.unwrap();
    for file in std::fs::read_dir(dump).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".bson") else {
            continue;
        };
        let collection = database.collection::<RawDocumentBuf>(name);
        let mut file = BufReader::new(File::open(&path).unwrap());
        let mut some = Vec::new();
        loop {
            let mut length = [0; 4];
            let more = file.read_exact(&mut length).is_ok();
            if more {
                let size = usize::try_from(u32::from_le_bytes(length)).unwrap();
                let mut document = vec![0; size];
                document[..4].copy_from_slice(&length);
                file.read_exact(&mut document[4..]).unwrap();
                some.push(RawDocumentBuf::from_bytes(document).unwrap());
            }
            if some.len() == TOGETHER || !more && !some.is_empty() {
                collection.insert_many(&some).await.unwrap();
                some.clear();
            }
            if !more {
                break;
            }
        }
    }
}
