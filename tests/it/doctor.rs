//! `doctor` and `config`: what is looked at, what is said about it, and what is kept secret.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use bson::doc;
use serde_json::Value;

use crate::sources::import_quietly;
use crate::support::cli::{Ran, command, ran, run, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::mail::MailServer;

/// A small workspace in a directory of its own, with a mail server in its settings.
struct World {
    place: tempfile::TempDir,
    mail: MailServer,
}

impl World {
    fn new(change: impl FnOnce(&mut DumpBuilder)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mail = MailServer::start(&[]);
        let mut dump = DumpBuilder::new();
        dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"})
            .add(
                "rocketchat_message",
                &doc! {"_id": "M", "rid": "R", "ts": bson::DateTime::from_millis(1_600_000_000_000), "msg": "x", "u": {"_id": "U", "username": "u"}},
            )
            .add("users", &doc! {"_id": "U", "username": "u", "active": true, "type": "user"})
            .add(
                "rocketchat_permissions",
                &doc! {"_id": "mail-messages", "roles": ["admin", "owner"]},
            );
        for (id, value) in [
            ("SMTP_Host", "127.0.0.1"),
            ("SMTP_Port", &mail.port.to_string()),
            ("From_Email", "chat@example.org"),
            ("Site_Url", "https://chat.example.org/"),
        ] {
            dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
        }
        change(&mut dump);
        let world = Self { place, mail };
        import_quietly(
            &dump.write(Form::Directory, world.place.path()),
            &world.path("workspace.db"),
        );
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn doctor(&self, settings: &[&str]) -> (Ran, Value) {
        let workspace = format!("sqlite:{}", self.path("workspace.db").display());
        let store = format!("store.directory={}", self.path("exports").display());
        let mut arguments = vec!["doctor", "--json", "--workspace", &workspace];
        for setting in ["http.listen=127.0.0.1:0", &store].iter().chain(settings) {
            arguments.extend(["--set", setting]);
        }
        // Of its own, because the doctor warns of exports among temporary files.
        let temporary = self.path("temporary");
        fs::create_dir_all(&temporary).unwrap();
        // A fixed time is for exports by command line: a server whose time stands still would never give up a lease.
        let ran = ran(command(&arguments)
            .env("TMPDIR", temporary)
            .env("SOURCE_DATE_EPOCH", "1"));
        let found =
            serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        (ran, found)
    }
}

/// What was found about a part.
fn about<'a>(found: &'a Value, part: &str) -> &'a Value {
    let checks = found["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["part"] == part)
        .unwrap_or_else(|| panic!("nothing about {part}: {found}"))
}

#[test]
fn a_server_that_will_work_gets_a_clean_bill() {
    let world = World::new(|_| {});
    let (ran, found) = world.doctor(&[]);
    let parts: Vec<_> = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            assert_eq!(check["verdict"], "ok", "{check}");
            check["part"].as_str().unwrap()
        })
        .collect();
    assert_eq!(
        parts,
        [
            "configuration",
            "listen",
            "workspace",
            "users",
            "clock",
            "permissions",
            "files",
            "queue",
            "logins",
            "exports",
            "mail",
            "site URL"
        ]
    );
    assert_eq!(ran.code, 0);
    assert_eq!(
        about(&found, "permissions")["found"],
        "mail-messages: admin, owner"
    );
    assert_eq!(
        fs::read_dir(world.path("exports")).unwrap().count(),
        0,
        "it cleans up"
    );
    assert_eq!(world.mail.count(), 0, "it sends nothing");
}

#[test]
fn what_is_wrong_is_named_with_its_repair() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("http.listen={}", taken.local_addr().unwrap());
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = format!("http.listen={}", busy.local_addr().unwrap());
    drop(taken);
    let world = World::new(|_| {});
    let file = format!("store.directory={}", world.path("workspace.db").display());
    let nowhere = format!("workspace.files={}", world.path("nowhere").display());
    let password = "mail.password=geheim";
    let cases: &[(&[&str], &str, &str, &str)] = &[
        (&["http.lisen=x"], "configuration", "fail", "is it listen?"),
        (&[&busy], "listen", "warn", "already"),
        (
            &["http.listen=192.0.2.1:80"],
            "listen",
            "fail",
            "192.0.2.1:80",
        ),
        (
            &["workspace.address=dump:x"],
            "workspace",
            "fail",
            "export-room import",
        ),
        (
            &["workspace.address=sqlite:/nowhere.db"],
            "workspace",
            "fail",
            "/nowhere.db",
        ),
        (
            &["store.directory="],
            "exports",
            "warn",
            "removes old files",
        ),
        (&[&file], "exports", "fail", "workspace.db"),
        (&[&nowhere], "files", "fail", "nowhere"),
        (
            &[
                "mail.ready=false",
                "mail.failed=false",
                "mail.messages=false",
            ],
            "mail",
            "ok",
            "switched off",
        ),
        (&["mail.ready=false"], "mail", "ok", "answers"),
        (&["mail.from=nobody"], "mail", "warn", "no mail address"),
        (
            &["mail.host=127.0.0.1", "mail.port=1"],
            "mail",
            "fail",
            "127.0.0.1:1",
        ),
        (&["mail.username=u", password], "mail", "fail", "535"),
        (&["http.site_url=chat"], "site URL", "fail", "`chat`"),
        (
            &["http.site_url=http://chat.example.org"],
            "site URL",
            "warn",
            "without encryption",
        ),
        (
            &["http.site_url=http://localhost:3000"],
            "site URL",
            "warn",
            "this machine only",
        ),
    ];
    for (settings, part, verdict, words) in cases {
        let (ran, found) = world.doctor(settings);
        let check = about(&found, part);
        assert_eq!(check["verdict"], *verdict, "{settings:?}: {check}");
        let said = check.to_string();
        assert!(said.contains(words), "{settings:?}: {check}");
        assert_eq!(check["repair"].is_string(), *verdict != "ok", "{check}");
        let code = match *verdict {
            "ok" => 0,
            "warn" => 1,
            _ => 2,
        };
        assert_eq!(ran.code, code, "{settings:?}: {found}");
        assert!(!found.to_string().contains("geheim"), "{found}");
    }
}

#[test]
fn what_a_workspace_lacks_is_named() {
    type Change = fn(&mut DumpBuilder);
    let cases: [(Change, &str, &str, &str); 6] = [
        (
            |dump| drop(dump.collections.remove("users")),
            "users",
            "warn",
            "collection users",
        ),
        (
            |dump| drop(dump.collections.remove("rocketchat_permissions")),
            "permissions",
            "fail",
            "nobody may export",
        ),
        (
            |dump| {
                dump.collections
                    .get_mut("rocketchat_message")
                    .unwrap()
                    .clear();
            },
            "workspace",
            "warn",
            "no messages",
        ),
        (
            |dump| {
                dump.add(
                    "rocketchat_uploads",
                    &doc! {"_id": "F", "store": "FileSystem:Uploads"},
                );
            },
            "files",
            "warn",
            "workspace.files",
        ),
        (
            |dump| {
                dump.add(
                    "rocketchat_uploads",
                    &doc! {"_id": "S", "store": "AmazonS3:Uploads"},
                );
            },
            "files",
            "warn",
            "1 in AmazonS3",
        ),
        (
            |dump| {
                dump.add(
                    "rocketchat_message",
                    &doc! {"_id": "N", "rid": "R", "ts": bson::DateTime::from_millis(32_503_680_000_000), "u": {"_id": "U"}},
                );
            },
            "clock",
            "fail",
            "set the machine's clock",
        ),
    ];
    for (change, part, verdict, words) in cases {
        let (_, found) = World::new(change).doctor(&[]);
        let check = about(&found, part);
        assert_eq!(check["verdict"], verdict, "{check}");
        assert!(check.to_string().contains(words), "{check}");
    }
}

#[test]
fn people_get_a_line_for_each_part() {
    let world = World::new(|_| {});
    let workspace = format!("sqlite:{}", world.path("workspace.db").display());
    let ran = run(&[
        "doctor",
        "--workspace",
        &workspace,
        "--set",
        "http.site_url=chat",
    ]);
    let text = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.code, 2, "{text}");
    for beginning in ["ok    workspace ", "warn  exports ", "FAIL  site URL "] {
        let line = text.lines().find(|line| line.starts_with(beginning));
        let line = line.unwrap_or_else(|| panic!("no line begins with {beginning:?}:\n{text}"));
        assert_eq!(
            line.contains("Repair: "),
            !beginning.starts_with("ok"),
            "{line}"
        );
    }
}

#[test]
fn the_default_configuration_is_the_file_in_the_repository() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.default.toml");
    let ran = run(&["config", "default"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        String::from_utf8(ran.stdout).unwrap(),
        fs::read_to_string(file).unwrap()
    );
}

#[test]
fn the_configuration_in_force_is_shown_without_secrets() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("settings.toml");
    fs::write(
        &file,
        "[mail]\npassword = \"geheim\"\n[http]\nlisten = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let ran = ran(command(&["config", "show", "--set", "jobs.workers=7"])
        .env("EXPORT_ROOM_CONFIG", &file)
        .env("EXPORT_ROOM_HTTP__LISTEN", "127.0.0.1:2"));
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for line in [
        format!("password = \"***\"  # {}", text(&file)),
        "listen = \"127.0.0.1:2\"  # EXPORT_ROOM_HTTP__LISTEN".to_owned(),
        "workers = 7  # the command line".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("geheim"));
}
