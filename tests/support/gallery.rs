//! A room with every kind of message that Rocket.Chat has, once, with files, pictures and people: what the pages of an
//! export are looked at with, and where attacks are put into.

use std::io::Write;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::dump::DumpBuilder;

/// The room's id.
pub(crate) const ROOM: &str = "GALLERY";

/// 2024-03-15T09:00:00Z.
const START: i64 = 1_710_493_200_000;

/// Builds the messages, a minute after each other.
struct Gallery {
    dump: DumpBuilder,
    minute: i64,
    number: u32,
}

/// The whole workspace.
pub(crate) fn workspace() -> DumpBuilder {
    let mut gallery = Gallery {
        dump: DumpBuilder::new(),
        minute: 0,
        number: 0,
    };
    gallery.people();
    gallery.texts();
    gallery.files();
    gallery.attached();
    gallery.apps();
    gallery.threads_and_edits();
    gallery.systems();
    gallery.oddities();
    gallery.marks();
    gallery.dump
}

fn user(name: &str) -> Document {
    let full = match name {
        "alice" => "Alice Anders",
        "bob" => "Bob Bakker",
        "carol" => "Carol Çelik",
        "dave" => "דוד לוי",
        _ => "",
    };
    if full.is_empty() {
        doc! {"_id": format!("u-{name}"), "username": name}
    } else {
        doc! {"_id": format!("u-{name}"), "username": name, "name": full}
    }
}

impl Gallery {
    fn people(&mut self) {
        let dump = &mut self.dump;
        dump.add(
            "rocketchat_room",
            &doc! {"_id": ROOM, "t": "c", "name": "gallery", "fname": "Gallery", "topic": "Every kind of message, once"},
        );
        for (name, roles) in [
            ("alice", vec!["user"]),
            ("bob", vec!["user"]),
            ("carol", vec!["user", "admin"]),
            ("dave", vec!["guest"]),
            ("rocket.cat", vec!["bot"]),
        ] {
            let mut document = user(name);
            document.insert("roles", roles);
            dump.add("users", &document);
        }
        for (name, roles) in [
            ("alice", vec!["owner", "leader"]),
            ("bob", vec!["moderator"]),
            ("carol", vec![]),
        ] {
            dump.add(
                "rocketchat_subscription",
                &doc! {"_id": format!("s-{name}"), "rid": ROOM, "u": user(name), "roles": roles},
            );
        }
        self.picture(
            "rocketchat_avatars",
            "AV-alice",
            &png(96, 96, [214, 120, 60], [94, 50, 120]),
        );
        self.picture(
            "rocketchat_avatars",
            "AV-cat",
            &png(96, 96, [40, 60, 90], [240, 200, 60]),
        );
        // Names a PNG and holds a drawing: not shown.
        self.picture(
            "rocketchat_avatars",
            "AV-bob",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        );
        for (id, name) in [
            ("AV-alice", "alice"),
            ("AV-cat", "rocket.cat"),
            ("AV-bob", "bob"),
        ] {
            self.dump.add(
                "rocketchat_avatars",
                &doc! {"_id": id, "name": name, "store": "GridFS:Avatars", "type": "image/png", "extension": "png"},
            );
        }
        self.picture(
            "custom_emoji",
            "party_otter.png",
            &png(64, 64, [90, 160, 120], [250, 240, 200]),
        );
        self.dump.add(
            "rocketchat_custom_emoji",
            &doc! {"_id": "E1", "name": "party_otter", "aliases": ["otter"], "extension": "png"},
        );
    }

    fn picture(&mut self, bucket: &str, id: &str, bytes: &[u8]) {
        picture(&mut self.dump, bucket, id, bytes);
    }

    /// An upload; the entry of a message's `files`.
    fn upload(&mut self, id: &str, name: &str, mime: &str, bytes: &[u8]) -> Document {
        let size = i64::try_from(bytes.len()).unwrap();
        self.picture("rocketchat_uploads", id, bytes);
        self.dump.add(
            "rocketchat_uploads",
            &doc! {"_id": id, "name": name, "type": mime, "size": size, "rid": ROOM, "store": "GridFS:Uploads", "complete": true},
        );
        doc! {"_id": id, "name": name, "type": mime, "size": size}
    }

    /// A message of a user; `more` has everything beside text, author and time.
    fn say(&mut self, who: &str, text: &str, more: Document) -> String {
        self.number += 1;
        self.minute += 1;
        let id = format!("g{:03}", self.number);
        let ts = at(self.minute);
        let mut message = doc! {"_id": &id, "rid": ROOM, "msg": text, "ts": &ts, "u": user(who), "_updatedAt": ts};
        message.extend(more);
        self.dump.add("rocketchat_message", &message);
        id
    }

    /// Time passes, so that a new group begins.
    fn pause(&mut self) {
        self.minute += 20;
    }

    fn texts(&mut self) {
        self.say(
            "alice",
            "Good morning! This room has one of everything.",
            doc! {},
        );
        self.say(
            "alice",
            "A second message of the same author stands in the same group.",
            doc! {},
        );
        self.say(
            "alice",
            "Line one\nLine two\n\nLine four, after an empty one",
            doc! {},
        );
        self.say(
            "bob",
            "*bold*, _italic_, ~struck~, `code`, a [link](https://example.org/path?a=1&b=2) and :party_otter:",
            doc! {"md": [
                {"type": "PARAGRAPH", "value": [
                    {"type": "BOLD", "value": [{"type": "PLAIN_TEXT", "value": "bold"}]},
                    {"type": "PLAIN_TEXT", "value": ", "},
                    {"type": "ITALIC", "value": [{"type": "PLAIN_TEXT", "value": "italic"}]},
                    {"type": "PLAIN_TEXT", "value": ", "},
                    {"type": "STRIKE", "value": [{"type": "PLAIN_TEXT", "value": "struck"}]},
                    {"type": "PLAIN_TEXT", "value": ", "},
                    {"type": "INLINE_CODE", "value": {"type": "PLAIN_TEXT", "value": "code"}},
                    {"type": "PLAIN_TEXT", "value": ", a "},
                    {"type": "LINK", "value": {"src": {"type": "PLAIN_TEXT", "value": "https://example.org/path?a=1&b=2"}, "label": [{"type": "PLAIN_TEXT", "value": "link"}]}},
                    {"type": "PLAIN_TEXT", "value": " and "},
                    {"type": "EMOJI", "value": {"type": "PLAIN_TEXT", "value": "party_otter"}, "shortCode": "party_otter"},
                ]},
            ]},
        );
        self.say(
            "bob",
            "```rust\nfn main() {\n    println!(\"<hello> & good bye\"); // no markup here\n}\n```",
            doc! {},
        );
        self.say(
            "dave",
            "שלום לכולם, זו הודעה מימין לשמאל (with English inside).",
            doc! {},
        );
        self.say("carol", "日本語のメッセージです。改行なしで長く続く文章がどのように折り返されるかを確認するためのものです。", doc! {});
        self.say(
            "carol",
            "@alice @bob @all have a look at #gallery",
            doc! {"mentions": [{"_id": "u-alice", "username": "alice", "name": "Alice Anders"}, {"_id": "u-bob", "username": "bob"}, {"_id": "all", "username": "all"}],
                  "channels": [{"_id": ROOM, "name": "gallery"}]},
        );
        self.say(
            "bob",
            "Guten Morgen",
            doc! {"translations": {"en": "Good morning", "fr": "Bonjour", "original": "Guten Morgen"}, "translationProvider": "deepl-translate"},
        );
        self.say(
            "alice",
            "Loved by some",
            doc! {"reactions": {
                ":+1:": {"usernames": ["bob", "carol"], "names": ["Bob Bakker", "Carol Çelik"]},
                ":party_otter:": {"usernames": ["dave"]},
                ":heart:": {"usernames": ["alice", "bob", "carol", "dave", "erin", "frank"], "names": ["Alice Anders", "Bob Bakker", "Carol Çelik", "דוד לוי", "Erin", "Frank"]},
            }, "starred": [{"_id": "u-bob"}]},
        );
    }

    fn files(&mut self) {
        self.pause();
        let image = self.upload(
            "IMG1",
            "sunset over the sea.png",
            "image/png",
            &png(640, 360, [250, 150, 60], [60, 30, 110]),
        );
        self.say(
            "alice",
            "",
            doc! {"file": &image, "files": [&image], "attachments": [{
                "type": "file", "title": "sunset over the sea.png", "title_link": "/file-upload/IMG1/sunset%20over%20the%20sea.png",
                "image_url": "/file-upload/IMG1/sunset%20over%20the%20sea.png", "image_type": "image/png",
                "image_dimensions": {"width": 640, "height": 360}, "description": "The view from the *office*", "fileId": "IMG1",
            }]},
        );
        let large = self.upload("IMG2", "noise.png", "image/png", &noise(420, 300));
        let mut thumb = self.upload(
            "IMG2T",
            "thumb-noise.png",
            "image/png",
            &png(420, 300, [90, 90, 90], [200, 200, 200]),
        );
        thumb.insert("typeGroup", "thumb");
        self.say(
            "alice",
            "",
            doc! {"files": [&large, &thumb], "attachments": [{
                "type": "file", "title": "noise.png", "title_link": "/file-upload/IMG2/noise.png", "image_url": "/file-upload/IMG2T/thumb-noise.png",
                "image_dimensions": {"width": 420, "height": 300}, "fileId": "IMG2",
            }]},
        );
        let sound = self.upload("AUD1", "voice message.wav", "audio/wav", &wav());
        let film = self.upload(
            "VID1",
            "demo.mp4",
            "video/mp4",
            b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        );
        self.say("bob", "", doc! {"files": [&sound], "attachments": [{"type": "file", "title": "voice message.wav", "audio_url": "/file-upload/AUD1/x", "title_link": "/file-upload/AUD1/x"}]});
        self.say(
            "bob",
            "",
            doc! {"files": [&film], "attachments": [{"type": "file", "title": "demo.mp4", "video_url": "/file-upload/VID1/x", "title_link": "/file-upload/VID1/x", "image_dimensions": {"width": 320, "height": 180}}]},
        );
        let several = [
            self.upload(
                "DOC1",
                "Report 2024 – final.pdf",
                "application/pdf",
                &vec![b'p'; 48_211],
            ),
            self.upload("DOC2", "figures.csv", "text/csv", b"a,b\n1,2\n"),
            self.upload(
                "DOC3",
                "page.html",
                "text/html",
                b"<script>alert(1)</script>",
            ),
            self.upload(
                "DOC4",
                "drawing.svg",
                "image/svg+xml",
                b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            ),
            self.upload(
                "DOC5",
                "everything.tar.gz",
                "application/gzip",
                &vec![0x1f; 1_300_000],
            ),
        ];
        self.say(
            "carol",
            "Several files at once",
            doc! {"files": several.to_vec()},
        );
        self.say(
            "carol",
            "One that is gone",
            doc! {"file": {"_id": "GONE", "name": "lost.docx", "type": "application/msword", "size": 10}},
        );
        self.say("carol", "", doc! {"attachments": [{"type": "removed-file", "color": "#FD745E", "text": "_File removed by prune_"}]});
        self.say(
            "dave",
            "From another system",
            doc! {"imported": "slackimporter", "_importFile": {"downloadUrl": "https://files.example.org/F1/plan.pdf", "name": "plan.pdf", "size": 1234, "external": true}},
        );
    }

    fn attached(&mut self) {
        self.pause();
        self.say(
            "bob",
            "I agree with this",
            doc! {"attachments": [{
                "text": "Good morning! This room has one of everything.", "author_name": "alice", "author_icon": "/avatar/alice",
                "message_link": "https://chat.example.org/channel/gallery?msg=g001", "ts": at(1),
                "attachments": [{"text": "and this is what it quoted", "author_name": "carol", "message_link": "https://chat.example.org/channel/other?msg=elsewhere", "ts": at(-1000)}],
            }], "urls": [{"url": "https://chat.example.org/channel/gallery?msg=g001", "meta": {}, "ignoreParse": true}]},
        );
        self.say(
            "rocket.cat",
            "",
            doc! {"alias": "Build Bot", "emoji": ":party_otter:", "bot": {"i": "hook1"}, "attachments": [{
                "color": "danger", "author_name": "deploy", "author_link": "https://build.example.org/", "title": "Build #42 failed", "title_link": "https://build.example.org/42",
                "pretext": "Something needs *attention*:", "text": "2 of 148 tests failed", "footer": "build.example.org", "ts": at(70),
                "fields": [{"title": "Branch", "value": "main", "short": true}, {"title": "Commit", "value": "`abc123`", "short": true}, {"title": "Log", "value": "line 1\nline 2"}],
                "thumb_url": "https://build.example.org/thumb.png",
                "actions": [{"type": "button", "text": "Retry", "msg": "!retry 42", "msg_in_chat_window": true}, {"type": "button", "text": "Log", "url": "https://build.example.org/42/log"}],
            }]},
        );
        self.say(
            "rocket.cat",
            "",
            doc! {"alias": "Monitor", "avatar": "https://chat.example.org/avatar/rocket.cat", "bot": {"i": "hook2"}, "attachments": [
                {"color": "#36a64f", "text": "web1 is up", "image_url": "https://images.example.org/chart.png", "image_dimensions": {"width": 320, "height": 200}},
                {"color": "warning", "text": "web2 is slow", "collapsed": true, "zz_new": {"a": 1}},
            ]},
        );
        self.say(
            "alice",
            "https://www.rust-lang.org/ and https://example.org/nothing",
            doc! {"urls": [
                {"url": "https://www.rust-lang.org/", "meta": {"pageTitle": "Rust", "ogTitle": "Rust Programming Language", "ogSiteName": "rust-lang.org", "ogDescription": "A language empowering everyone to build reliable and efficient software.", "ogImage": "https://www.rust-lang.org/static/images/x.png"}, "headers": {"contentType": "text/html"}},
                {"url": "https://example.org/nothing", "meta": {}},
            ]},
        );
        self.say(
            "carol",
            "",
            doc! {"location": {"type": "Point", "coordinates": [13.404_954, 52.520_008]}},
        );
    }

    fn apps(&mut self) {
        self.pause();
        self.say(
            "rocket.cat",
            "",
            doc! {"blocks": [
                {"type": "section", "text": {"type": "mrkdwn", "text": "*Which release?*"}, "accessory": {"type": "overflow", "options": [{"text": {"type": "plain_text", "text": "Finish poll"}, "value": "f"}]}},
                {"type": "divider"},
                {"type": "section", "fields": [{"type": "plain_text", "text": "Dapper"}, {"type": "plain_text", "text": "3 votes"}]},
                {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Vote"}}, {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://poll.example.org/1"}]},
                {"type": "context", "elements": [{"type": "mrkdwn", "text": "Created by alice"}, {"type": "image", "imageUrl": "https://poll.example.org/i.png", "altText": "a bar chart"}]},
                {"type": "image", "title": {"type": "plain_text", "text": "Results"}, "imageUrl": "https://poll.example.org/r.png", "altText": "results"},
                {"type": "input", "label": {"type": "plain_text", "text": "Your name"}, "element": {"type": "plain_text_input", "placeholder": {"type": "plain_text", "text": "type here"}}, "hint": {"type": "plain_text", "text": "as in your passport"}},
                {"type": "callout", "title": {"type": "plain_text", "text": "Attention"}, "text": {"type": "plain_text", "text": "Voting ends today"}},
                {"type": "preview", "title": [{"type": "plain_text", "text": "A preview"}], "description": [{"type": "plain_text", "text": "of a page"}], "externalUrl": "https://example.org/p"},
                {"type": "info_card", "rows": [{"elements": [{"type": "plain_text", "text": "A row of a card"}]}]},
                {"type": "conditional", "when": {"engine": ["rocket.chat"]}, "render": [{"type": "section", "text": {"type": "plain_text", "text": "Shown here only"}}]},
                {"type": "from_the_future", "says": "hello"},
            ]},
        );
        self.say("alice", "", doc! {"t": "videoconf", "groupable": false, "blocks": [{"type": "video_conf", "callId": "call-1", "blockId": "call-1"}]});
        self.say(
            "alice",
            "Plans for the summer",
            doc! {"t": "discussion-created", "drid": "D1", "dcount": 12, "dlm": at(500)},
        );
        self.say("bob", "", doc! {"t": "e2e", "e2e": "pending", "content": {"algorithm": "rc.v2.aes-sha2", "ciphertext": "AAECAwQFBgcICQ==", "kid": "k", "iv": "i"}});
        self.say("carol", "Only you can see this", doc! {"private": true});
        self.say("dave", "I have a question", doc! {"token": "secret-token", "sentByEmail": true, "fileUpload": {"publicFilePath": "/file-upload/X/invoice%207.pdf", "type": "application/pdf"}});
    }

    fn threads_and_edits(&mut self) {
        self.pause();
        let root = self.say(
            "alice",
            "Shall we meet on Friday?",
            doc! {"tcount": 2, "tlm": at(200), "replies": ["u-bob"]},
        );
        self.say("bob", "Friday is fine", doc! {"tmid": &root});
        self.say(
            "carol",
            "For me as well",
            doc! {"tmid": &root, "tshow": true},
        );
        let edited = self.say(
            "bob",
            "We meet at noon",
            doc! {"editedAt": at(300), "editedBy": user("alice"), "pinned": true, "pinnedAt": at(301), "pinnedBy": user("carol")},
        );
        let minute = self.minute;
        for (number, text) in ["We meet at ten", "We meet at eleven"]
            .into_iter()
            .enumerate()
        {
            let number = i64::try_from(number).unwrap();
            self.dump.add(
                "rocketchat_message",
                &doc! {"_id": format!("{edited}-v{number}"), "rid": ROOM, "msg": text, "ts": at(minute), "u": user("bob"), "_hidden": true, "parent": &edited, "editedAt": at(250 + number), "editedBy": user("bob")},
            );
        }
        self.say(
            "bob",
            "",
            doc! {"t": "rm", "editedAt": at(310), "editedBy": user("bob")},
        );
        self.say("alice", "", doc! {"t": "message_pinned", "attachments": [{"text": "We meet at noon", "author_name": "bob", "ts": at(299)}]});
    }

    fn systems(&mut self) {
        self.pause();
        for (kind, text) in [
            ("uj", "dave"),
            ("au", "carol"),
            ("r", "gallery-2"),
            ("room_changed_topic", "Every kind of message, <b>once</b>"),
            ("user-muted", "bob"),
            ("room-set-read-only", ""),
            ("room_e2e_enabled", ""),
            ("livechat-close", "solved & closed"),
        ] {
            self.say("alice", text, doc! {"t": kind, "groupable": false});
        }
        self.say(
            "alice",
            "bob",
            doc! {"t": "subscription-role-added", "role": "moderator"},
        );
        self.say("frank", "", doc! {"t": "livechat_transfer_history", "transferData": {"scope": "agent", "comment": "please help", "transferredBy": {"name": "Frank"}, "transferredTo": {"username": "grace"}}});
        self.say("alice", "what it says", doc! {"t": "zz-from-the-future"});
    }

    fn oddities(&mut self) {
        self.pause();
        self.say("bob", "With fields of its own", doc! {"customFields": {"ticket": 4711, "tags": ["a", "b"]}, "zzUnknown": {"deep": [1, 2, {"x": true}]}});
        let mut quote = doc! {"text": "the innermost", "author_name": "alice", "message_link": "https://chat.example.org/x?msg=a"};
        for level in 0..12 {
            quote = doc! {"text": format!("level {level}"), "author_name": "bob", "message_link": "https://chat.example.org/x?msg=b", "attachments": [quote]};
        }
        self.say(
            "alice",
            "Quotes in quotes in quotes",
            doc! {"attachments": [quote]},
        );
        self.say(
            "carol",
            &format!("A long word: {}", "loooooong".repeat(30)),
            doc! {},
        );
    }

    /// Every mark of a text that is stored as typed.
    fn marks(&mut self) {
        self.pause();
        for text in [
            "# A heading\n## and one below it\nand what stands under them",
            "- one\n- two with *bold*\n\n1. first\n2. second\n\n- [x] written\n- [ ] to be read",
            "> somebody said\n> this before\nand this is the answer",
            "The end is ||a surprise|| that nobody sees at once",
            "<t:1710493200:F> was a good moment",
            "A circle has \\(A = \\pi r^2\\), and a normal distribution\n\\[f(x) = \\frac{1}{\\sigma\\sqrt{2\\pi}} e^{-\\frac{1}{2}\\left(\\frac{x-\\mu}{\\sigma}\\right)^2}\\]",
            ":tada: :heart:",
            "Well done :) and :party_otter: to all, mail ada@example.org or call +49 30 1234567",
            "![a chart](https://images.example.org/chart.png) by [its author](https://example.org/ada)",
        ] {
            self.say("bob", text, doc! {});
        }
        let stored = |kind: &str, value: Bson| doc! {"type": kind, "value": value};
        let blue = doc! {"r": 29, "g": 90, "b": 143, "a": 255};
        self.say(
            "bob",
            "color:#1d5a8f is the blue of links",
            doc! {"md": [stored("PARAGRAPH", vec![
                stored("COLOR", blue.into()), stored("PLAIN_TEXT", " is the blue of links".into()),
            ].into())]},
        );
        let link = "https://chat.example.org/channel/gallery?msg=g001";
        self.say("carol", &format!("[ ]({link})"), doc! {"attachments": [{
            "text": "Good morning! This room has one of everything.", "author_name": "alice", "message_link": link, "ts": at(1),
        }]});
    }
}

fn at(minute: i64) -> Bson {
    DateTime::from_millis(START + minute * 60_000).into()
}

/// Adds a file to a bucket.
pub(crate) fn picture(dump: &mut DumpBuilder, bucket: &str, id: &str, bytes: &[u8]) {
    dump.add(
        &format!("{bucket}.files"),
        &doc! {"_id": id, "length": i64::try_from(bytes.len()).unwrap(), "chunkSize": 261_120, "filename": id},
    );
    for (n, piece) in (0_i32..).zip(bytes.chunks(261_120)) {
        let data = Binary {
            subtype: BinarySubtype::Generic,
            bytes: piece.to_vec(),
        };
        dump.add(
            &format!("{bucket}.chunks"),
            &doc! {"_id": format!("{id}-{n}"), "files_id": id, "n": n, "data": data},
        );
    }
}

/// A picture that runs from one colour to another, with a disc in the middle.
pub(crate) fn png(width: u32, height: u32, from: [u8; 3], to: [u8; 3]) -> Vec<u8> {
    let radius = i64::from(width.min(height)) / 4;
    encode(width, height, |x, y| {
        let (dx, dy) = (
            i64::from(x) - i64::from(width / 2),
            i64::from(y) - i64::from(height / 2),
        );
        if dx * dx + dy * dy < radius * radius {
            return to;
        }
        let part = u32::from(u8::try_from(255 * y / height).unwrap());
        [0, 1, 2].map(|channel: usize| {
            let mixed =
                (u32::from(from[channel]) * (255 - part) + u32::from(to[channel]) * part) / 255;
            u8::try_from(mixed).unwrap()
        })
    })
}

/// A picture that does not compress.
fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1_u32;
    encode(width, height, |_, _| {
        [0; 3].map(|_: u8| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
    })
}

/// PNG of eight-bit colours (<https://www.w3.org/TR/png-3/>).
fn encode(width: u32, height: u32, mut colour: impl FnMut(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut lines = ZlibEncoder::new(Vec::new(), Compression::default());
    for y in 0..height {
        lines.write_all(&[0]).unwrap();
        for x in 0..width {
            lines.write_all(&colour(x, y)).unwrap();
        }
    }
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    head.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", head),
        (b"IDAT", lines.finish().unwrap()),
        (b"IEND", Vec::new()),
    ] {
        png.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(&data);
        png.extend_from_slice(kind);
        png.extend_from_slice(&data);
        png.extend(crc.sum().to_be_bytes());
    }
    png
}

/// A second of silence.
fn wav() -> Vec<u8> {
    let samples = [0x80; 8_000];
    let mut wav = b"RIFF".to_vec();
    wav.extend(8_036_u32.to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend([1, 0, 8, 0]);
    wav.extend_from_slice(b"data");
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend(samples);
    wav
}
