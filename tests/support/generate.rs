//! Rooms of any size with the shape of real chat, always the same for the same number.
//!
//! Texts are drawn from a vocabulary with the frequencies of language (a few words make up most of it), so that they
//! compress about as chat does.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use bson::{Bson, DateTime, Document, doc};

/// The room that holds the generated messages.
pub(crate) const ROOM: &str = "bigroom0000000001";
/// Its name.
pub(crate) const NAME: &str = "big";

const WORDS: &str = "the to i a it you is in and of that on for have not with this can be if my but do just so what \
    get like are was me how no use there or from at your an all then work know want its should now try when install \
    out run think file up need one would as see error good problem system package about any does still some where which \
    by here had time using ubuntu boot disk kernel driver version update server desktop command terminal sudo config \
    network screen window user password partition grub mount folder directory reinstall download upgrade printer sound \
    card wireless laptop keyboard repository apache python script output paste channel question answer thanks sorry \
    maybe probably actually anyone someone really better before after again first second other same different between \
    without because however although usually sometimes already working broken fixed please explain details hardware \
    memory processor graphics resolution monitor external internal backup restore recovery encrypted password123 \
    release candidate distribution alternative firewall connection interface address gateway resolver timeout";

/// A small deterministic source of numbers (Knuth's MMIX multiplier).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn id(&mut self) -> String {
        const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";
        (0..17)
            .map(|_| {
                char::from(LETTERS[usize::try_from(self.below(LETTERS.len() as u64)).unwrap()])
            })
            .collect()
    }
}

/// Writes a dump of a workspace with one room of `messages` messages into `directory`, as mongodump lays it out.
pub(crate) fn dump(directory: &Path, messages: u64) -> io::Result<()> {
    let database = directory.join("rocketchat");
    fs::create_dir_all(&database)?;
    let room = doc! {"_id": ROOM, "t": "c", "name": NAME, "fname": NAME, "msgs": i64::try_from(messages).unwrap(), "usersCount": 300};
    write(&database, "rocketchat_room", [room])?;
    write(
        &database,
        "users",
        (0..300).map(|number| doc! {"_id": user_id(number), "username": user_name(number)}),
    )?;
    let mut numbers = Numbers(2026);
    let words: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    let mut thread = numbers.id();
    let mut ts = 1_500_000_000_000;
    let all = (0..messages).map(|_| {
        ts += i64::try_from(numbers.below(20_000)).unwrap();
        message(&mut numbers, &words, ts, &mut thread)
    });
    write(&database, "rocketchat_message", all)
}

fn write(
    database: &Path,
    collection: &str,
    docs: impl IntoIterator<Item = Document>,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(database.join(format!("{collection}.bson")))?);
    for doc in docs {
        file.write_all(&doc.to_vec().map_err(io::Error::other)?)?;
    }
    file.flush()
}

fn user_id(number: u64) -> String {
    format!("user{number:013}")
}

fn user_name(number: u64) -> String {
    format!(
        "{}.{}",
        ["quiet", "amber", "brisk", "lucid", "merry"][usize::try_from(number % 5).unwrap()],
        number
    )
}

fn text(numbers: &mut Numbers, words: &[&str]) -> String {
    let count = 3 + numbers.below(9) + numbers.below(9);
    let mut text = String::new();
    for index in 0..count {
        // Squaring favours the front of the list: the frequencies of words fall off like that.
        let uniform = numbers.below(1000);
        let at = usize::try_from(uniform * uniform * words.len() as u64 / 1_000_000).unwrap();
        if index > 0 {
            text.push(' ');
        }
        text.push_str(words[at]);
    }
    if numbers.one_in(4) {
        text.push(' ');
        text.push_str(&numbers.below(100_000).to_string());
    }
    text
}

fn message(numbers: &mut Numbers, words: &[&str], ts: i64, thread: &mut String) -> Document {
    let number = numbers.below(300);
    let (id, text) = (numbers.id(), text(numbers, words));
    let mut message = doc! {
        "_id": &id,
        "rid": ROOM,
        "msg": &text,
        "ts": DateTime::from_millis(ts),
        "u": {"_id": user_id(number), "username": user_name(number), "name": format!("Person {number}")},
        "_updatedAt": DateTime::from_millis(ts + 7),
        "urls": [],
        "mentions": [],
        "channels": [],
        "md": [{"type": "PARAGRAPH", "value": [{"type": "PLAIN_TEXT", "value": &text}]}],
    };
    if numbers.one_in(4) {
        let other = numbers.below(300);
        message.insert("mentions", vec![doc! {"_id": user_id(other), "username": user_name(other), "name": format!("Person {other}"), "type": "user"}]);
    }
    if numbers.one_in(20) {
        let names: Vec<Bson> = (0..=numbers.below(4))
            .map(|_| user_name(numbers.below(300)).into())
            .collect();
        message.insert("reactions", doc! {":+1:": {"usernames": names}});
    }
    if numbers.one_in(50) {
        message.insert("tcount", 5);
        message.insert("tlm", DateTime::from_millis(ts + 60_000));
        message.insert("replies", vec![user_id(numbers.below(300))]);
        thread.clone_from(&id);
    } else if numbers.one_in(7) {
        message.insert("tmid", thread.as_str());
    }
    if numbers.one_in(20) {
        message.insert("editedAt", DateTime::from_millis(ts + 5_000));
        message.insert(
            "editedBy",
            doc! {"_id": user_id(number), "username": user_name(number)},
        );
    }
    if numbers.one_in(30) {
        let quoted = self::text(numbers, words);
        message.insert("attachments", vec![doc! {
            "text": &quoted, "author_name": user_name(numbers.below(300)), "author_icon": "/avatar/quoted",
            "message_link": format!("https://chat.example.org/channel/big?msg={}", numbers.id()),
            "md": [{"type": "PARAGRAPH", "value": [{"type": "PLAIN_TEXT", "value": &quoted}]}],
            "ts": DateTime::from_millis(ts - 100_000),
        }]);
    }
    message
}
