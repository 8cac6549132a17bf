//! The command line as a contract: what each run says, leaves behind, and exits with.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bson::doc;

use crate::support::cli::{Ran, command, entries, manifest, ran, run, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::generate;

/// The demo workspace as an address.
fn demo() -> String {
    format!(
        "dump:{}/demo/workspace.archive.gz",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn export(arguments: &[&str]) -> Ran {
    let mut all = vec!["export", "--workspace"];
    let demo = demo();
    all.push(&demo);
    all.extend(arguments);
    run(&all)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_input_is_one_line_that_says_what_to_do_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let zip = text(&zip);
    let cases: &[(&[&str], &str)] = &[
        (
            &["--room", "nowhere", "--format", "json", "-o", zip],
            "there is no room `nowhere`",
        ),
        (
            &["--room", "@alice", "--format", "json", "-o", zip],
            "several rooms are called @alice; name one by its id; cMwsDuhyhbYbvMsop",
        ),
        (
            &[
                "--room",
                "general",
                "--format",
                "json",
                "-o",
                zip,
                "--date-from",
                "2024-02-30",
            ],
            "--date-from 2024-02-30: say a day like",
        ),
        (
            &[
                "--room",
                "general",
                "--format",
                "json",
                "-o",
                zip,
                "--date-from",
                "2024-02-02",
                "--date-to",
                "2024-02-01",
            ],
            "--date-from is after --date-to",
        ),
        (
            &[
                "--room",
                "general",
                "--format",
                "html",
                "-o",
                zip,
                "--timezone",
                "Mars/Olympus",
            ],
            "there is no such zone",
        ),
        (
            &["--room", "general", "--format", "html", "-o", zip, "--raw"],
            "say --format json",
        ),
        (
            &[
                "--room", "general", "--format", "json", "-o", zip, "--files", "/nowhere",
            ],
            "/nowhere",
        ),
        (
            &[
                "--room",
                "general",
                "--format",
                "json",
                "-o",
                "/nowhere/out.zip",
            ],
            "/nowhere",
        ),
        (
            &["--room", "general", "--format", "json", "-o", "/dev/full"],
            "the disk is full",
        ),
        (
            &[
                "--room",
                "general",
                "--format",
                "json",
                "-o",
                text(directory.path()),
            ],
            "is a directory",
        ),
    ];
    for (arguments, expected) in cases {
        let ran = export(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert_eq!(
            ran.stderr
                .lines()
                .filter(|line| line.starts_with("export-room: "))
                .count(),
            1,
            "{}",
            ran.stderr
        );
        assert!(
            names(directory.path()).is_empty(),
            "{arguments:?} left {:?}",
            names(directory.path())
        );
    }
}

#[test]
fn a_workspace_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("letter.txt"), "Dear database").unwrap();
    fs::create_dir(path("empty")).unwrap();
    let letter = text(&path("letter.txt")).to_owned();
    let cases = [
        (format!("sqlite:{letter}"), "letter.txt"),
        (format!("dump:{letter}"), "letter.txt"),
        (format!("dump:{}", path("empty").display()), "empty"),
        (format!("dump:{}", path("nothing").display()), "nothing"),
        (
            format!("sqlite:{}", path("nothing.db").display()),
            "nothing.db",
        ),
        (
            "mysql://localhost".to_owned(),
            "say mongodb://HOST/DATABASE",
        ),
        ("mongodb://localhost".to_owned(), "names no database"),
    ];
    for (address, expected) in cases {
        let ran = run(&["rooms", "--workspace", &address]);
        assert_eq!(ran.code, 2, "{address}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{address}: {}", ran.stderr);
    }
    assert_eq!(
        names(directory.path()),
        ["empty", "letter.txt"],
        "looking makes nothing"
    );
}

#[test]
fn a_room_is_named_by_id_name_or_username() {
    let directory = tempfile::tempdir().unwrap();
    for (name, id) in [
        ("GENERAL", "GENERAL"),
        ("general", "GENERAL"),
        ("#general", "GENERAL"),
        ("@bob", "cMwsDuhyhbYbvMsop"),
        ("Empty Hall", "PaCo6hparaczRcixZ"),
        ("Platform Team", "4Zadpq8Qgv9REJgTT"),
    ] {
        let zip = directory.path().join("out.zip");
        let ran = export(&[
            "--room",
            name,
            "--format",
            "json",
            "-o",
            text(&zip),
            "--force",
            "--no-attachments",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(manifest(&entries(&zip))["room"]["_id"], id);
    }
}

#[test]
fn an_existing_file_is_replaced_only_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    fs::write(&zip, "PK\x03\x04mine").unwrap();
    let arguments = ["--room", "empty-hall", "--format", "json", "-o", text(&zip)];
    let ran = export(&arguments);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&zip).unwrap(), "PK\x03\x04mine");
    let ran = export(&[&arguments[..], &["--force"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        entries(&zip)["empty-hall.json"],
        b"\n",
        "an empty room is one newline, as Rocket.Chat writes it"
    );
    assert_eq!(names(directory.path()), ["out.zip"]);
}

#[test]
fn the_default_name_is_made_of_room_and_format() {
    let directory = tempfile::tempdir().unwrap();
    let demo = demo();
    let ran = ran(
        command(&["export", "--room", "empty-hall", "--format", "html"])
            .env("EXPORT_ROOM_WORKSPACE", &demo)
            .current_dir(directory.path()),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(names(directory.path()), ["empty-hall.html.zip"]);
    let entries = entries(&directory.path().join("empty-hall.html.zip"));
    let page = std::str::from_utf8(&entries["PaCo6hparaczRcixZ.html"]).unwrap();
    assert!(page.contains("There are no messages"), "{page}");
}

#[test]
fn standard_output_carries_the_same_bytes_whatever_the_threads() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let files = format!("{}/demo/files", env!("CARGO_MANIFEST_DIR"));
    for format in ["html", "json"] {
        let arguments = [
            "--room", "general", "--format", format, "--files", &files, "--force", "-o",
        ];
        let to_file = export(&[&arguments[..], &[text(&zip), "--threads", "1"]].concat());
        assert_eq!(to_file.code, 0, "{}", to_file.stderr);
        let to_stdout = export(&[&arguments[..], &["-", "--threads", "3"]].concat());
        assert_eq!(to_stdout.code, 0, "{}", to_stdout.stderr);
        #[expect(clippy::disallowed_methods, reason = "a small file of the test's own")]
        let written = fs::read(&zip).unwrap();
        assert!(written == to_stdout.stdout, "{format}");
    }
}

#[test]
fn the_window_takes_whole_days_and_its_last_millisecond() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let count = |from: &str, to: &str| {
        let ran = export(&[
            "--room",
            "general",
            "--format",
            "json",
            "--no-attachments",
            "--force",
            "-o",
            text(&zip),
            "--date-from",
            from,
            "--date-to",
            to,
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        manifest(&entries(&zip))["messages"]["rendered"]
            .as_u64()
            .unwrap()
    };
    let expected: serde_json::Value = serde_json::from_str(
        &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/EXPECTED.json"))
            .unwrap(),
    )
    .unwrap();
    let days = expected["rooms"]["GENERAL"]["perDay"].as_object().unwrap();
    let mut sum = 0;
    for (day, messages) in days.iter().take(6) {
        assert_eq!(count(day, day), messages.as_u64().unwrap(), "{day}");
        sum += messages.as_u64().unwrap();
    }
    let (first, last) = (days.keys().next().unwrap(), days.keys().nth(5).unwrap());
    assert_eq!(count(first, last), sum);
    assert_eq!(
        count("2004-12-25T15:21:02.525Z", "2004-12-25T15:21:02.525Z"),
        1,
        "an instant is inclusive at both ends"
    );
    assert_eq!(count("1999-01-01", "1999-12-31"), 0);
}

#[test]
fn rooms_are_listed_for_people_and_programs() {
    let demo = demo();
    let ran = run(&["rooms", "--workspace", &demo]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let table = String::from_utf8(ran.stdout).unwrap();
    assert!(
        table.lines().any(|line| line.starts_with("GENERAL ")
            && line.contains("1,647")
            && line.ends_with("general")),
        "{table}"
    );
    let ran = run(&["rooms", "--workspace", &demo, "--json"]);
    let lines: Vec<serde_json::Value> = std::str::from_utf8(&ran.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 11);
    let general = lines.iter().find(|room| room["_id"] == "GENERAL").unwrap();
    assert_eq!(general["messages"], 1647);
    assert_eq!(general["first"], "2004-12-25T15:21:02.525Z");
}

#[test]
fn progress_for_programs_is_json_and_ends_with_the_result() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let ran = export(&[
        "--room",
        "helpdesk",
        "--format",
        "json",
        "--progress",
        "json",
        "-o",
        text(&zip),
    ]);
    assert_eq!(ran.code, 1, "files are missing");
    let lines: Vec<serde_json::Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.last().unwrap();
    assert_eq!(last["phase"], "done");
    assert_eq!(last["complete"], false);
    assert_eq!(last["messages"], 419);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line
                .get("missing")
                .is_some_and(serde_json::Value::is_object))
            .count(),
        usize::try_from(last["missing"].as_u64().unwrap()).unwrap()
    );
    let written = fs::metadata(&zip).unwrap().len();
    assert_eq!(last["bytes"], written);
}

#[test]
fn files_can_be_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let ran = export(&[
        "--room",
        "helpdesk",
        "--format",
        "html",
        "--no-attachments",
        "-o",
        text(&zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let entries = entries(&zip);
    assert!(entries.keys().all(|name| !name.starts_with("assets/")));
    let page = std::str::from_utf8(&entries["PJhBvQzXC8ixJZhMG.html"]).unwrap();
    assert!(page.contains("File not exported: "), "the page says so");
}

#[test]
fn history_stands_under_its_message() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let ran = export(&[
        "--room",
        "general",
        "--format",
        "html",
        "--history",
        "--no-attachments",
        "-o",
        text(&zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let entries = entries(&zip);
    let manifest = manifest(&entries);
    assert_eq!(
        manifest["messages"]["rendered"],
        1633 + 6,
        "hidden deleted messages have a place of their own"
    );
    assert_eq!(manifest["messages"]["history"], 8);
    let page = std::str::from_utf8(&entries["GENERAL.html"]).unwrap();
    assert!(page.contains("Earlier versions: 1"));
    assert_eq!(run(&["verify", text(&zip)]).code, 0);
}

#[test]
fn an_interrupt_leaves_no_file_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (dump, out) = (directory.path().join("dump"), directory.path().join("out"));
    generate::dump(&dump, 60_000).unwrap();
    fs::create_dir(&out).unwrap();
    for signal in ["INT", "TERM"] {
        let zip = out.join("big.zip");
        let address = format!("dump:{}", dump.display());
        let mut child = command(&[
            "export",
            "--workspace",
            &address,
            "--room",
            "big",
            "--format",
            "json",
            "--level",
            "9",
            "--threads",
            "1",
            "-o",
            text(&zip),
        ])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
        // The export has begun when its file is there under its temporary name, and holds something.
        let deadline = Instant::now() + Duration::from_mins(1);
        let begun = || {
            fs::read_dir(&out)
                .unwrap()
                .any(|entry| entry.unwrap().metadata().is_ok_and(|meta| meta.len() > 0))
        };
        while !begun() {
            assert!(
                Instant::now() < deadline && child.try_wait().unwrap().is_none(),
                "it never began"
            );
            std::thread::yield_now();
        }
        assert!(
            !zip.exists(),
            "an unfinished export has no name that looks finished"
        );
        let killed = std::process::Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(130),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(names(&out).is_empty(), "{:?}", names(&out));
    }
}

#[test]
fn the_demo_works_twice_in_an_empty_directory() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let ran = ran(command(&["demo", "--no-serve"]).current_dir(directory.path()));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("unzip -d export-room-demo/general"),
            "{}",
            ran.stderr
        );
        for zip in ["general.html.zip", "general.json.zip"] {
            let zip = directory.path().join("export-room-demo").join(zip);
            assert_eq!(run(&["verify", text(&zip)]).code, 0);
        }
    }
}

#[test]
fn a_workspace_is_never_replaced_by_its_own_export() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("chat.db");
    let address = format!("sqlite:{}", database.display());
    let dump = format!("{}/demo/workspace.archive.gz", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(run(&["import", &dump, "--workspace", &address]).code, 0);
    let before = fs::metadata(&database).unwrap().len();
    let ran = run(&[
        "export",
        "--workspace",
        &address,
        "--room",
        "vault",
        "--format",
        "html",
        "--force",
        "-o",
        text(&database),
    ]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("--force replaces only ZIPs"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::metadata(&database).unwrap().len(), before);
}

#[test]
fn a_damaged_message_makes_the_export_incomplete_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = DumpBuilder::new();
    dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"});
    let message = |id: &str| doc! {"_id": id, "rid": "R", "ts": bson::DateTime::from_millis(1), "u": {"_id": "u"}, "msg": "text", "alias": "x"};
    dump.add("rocketchat_message", &message("whole"));
    let mut bytes = message("broken").to_vec().unwrap();
    let at = bytes
        .windows(5)
        .position(|window| window == b"alias")
        .unwrap();
    bytes[at - 1] = 0x55;
    dump.add_raw("rocketchat_message", bytes);
    let address = format!(
        "dump:{}",
        dump.write(Form::Directory, directory.path()).display()
    );
    let zip = directory.path().join("out.zip");
    let ran = run(&[
        "export",
        "--workspace",
        &address,
        "--room",
        "r",
        "--format",
        "json",
        "-o",
        text(&zip),
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("damaged: only a part of message broken could be read"),
        "{}",
        ran.stderr
    );
    let manifest = manifest(&entries(&zip));
    assert_eq!(manifest["complete"], false);
    assert_eq!(manifest["messages"]["damaged"], 1);
    assert_eq!(manifest["anomalies"][0]["messages"][0], "broken");
    assert_eq!(
        run(&["verify", text(&zip)]).code,
        1,
        "whole, but not complete"
    );
}

#[test]
fn waiting_for_the_reader_of_a_pipe_can_be_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let demo = demo();
    let mut child = command(&[
        "export",
        "--workspace",
        &demo,
        "--room",
        "vault",
        "--format",
        "json",
        "--progress",
        "none",
        "-o",
        text(&pipe),
    ])
    .spawn()
    .unwrap();
    // From the moment that it catches the signal (`SigCgt` of proc(5)), one is enough.
    let deadline = Instant::now() + Duration::from_mins(1);
    let catches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0b10 != 0
    };
    while !catches() {
        assert!(Instant::now() < deadline, "it never listened");
        std::thread::yield_now();
    }
    let killed = std::process::Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "still waiting");
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(130));
}
