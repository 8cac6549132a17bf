//! Jobs are carried out, whatever happens to the processes that do so: with the real binary, killed, stopped and asked to
//! stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use bson::doc;
use export_room::app::{App, Service};
use export_room::clock::Clock;
use export_room::config::Config;
use export_room::jobs::sqlite::SqliteQueue;
use export_room::jobs::sweeper::{Swept, sweep};
use export_room::jobs::{
    CancelOutcome, Claim, FileExportWork, Job, JobError, JobId, JobQueue, JobState, NewJob,
    Settlement, SweepTurn, Work,
};
use export_room::store::directory::UserId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::cli::{command, run, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::exported::Exported;
use crate::support::generate;

/// Longer than anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);
const JOB: &str = "abcdefghijk234567";
const OWNER: &str = "owner000000000001";
/// May export, and is deactivated.
const FORMER: &str = "former00000000001";
/// May export nothing.
const GUEST: &str = "guest000000000001";
/// May export what he can open, which is nothing.
const ADMIN: &str = "admin000000000001";
/// Messages that take a while.
const MANY: u64 = 60_000;
const FEW: u64 = 2_000;

/// A workspace with a queue and a place for exports.
struct Bed {
    directory: TempDir,
    exported: Exported,
    queue: SqliteQueue,
}

/// A process of `export-room work`; killed when the test is over.
struct Worker {
    child: Child,
    log: PathBuf,
}

/// Who may export the large room.
fn world() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    dump.add(
        "users",
        &doc! {"_id": OWNER, "username": "owner", "type": "user", "active": true, "roles": ["user"],
        "emails": [{"address": "owner@example.org", "verified": true}]},
    );
    for (id, role, active) in [
        (FORMER, "user", false),
        (GUEST, "guest", true),
        (ADMIN, "admin", true),
    ] {
        dump.add(
            "users",
            &doc! {"_id": id, "username": id, "type": "user", "active": active, "roles": [role]},
        );
    }
    let permissions = [
        ("mail-messages", &["user", "admin"][..]),
        ("view-c-room", &["user"]),
    ];
    for (permission, roles) in permissions {
        dump.add(
            "rocketchat_permissions",
            &doc! {"_id": permission, "roles": roles},
        );
    }
    dump
}

impl Bed {
    fn new(messages: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dump = world().write_with_large_room(directory.path(), messages);
        Self::of(directory, &dump)
    }

    fn of(directory: TempDir, dump: &Path) -> Self {
        let database = directory.path().join("chat.db");
        let address = format!("sqlite:{}", database.display());
        let ran = run(&["import", text(dump), "--workspace", &address]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        Self {
            queue: SqliteQueue::open(&database).unwrap(),
            exported: Exported {
                store: directory.path().join("store"),
                database,
            },
            directory,
        }
    }

    /// Enqueues an export of the room, as a request does.
    async fn enqueue(&self, id: &str, rid: &str) {
        self.enqueue_for(OWNER, id, rid).await;
    }

    async fn enqueue_for(&self, owner: &str, id: &str, rid: &str) {
        let job = NewJob {
            id: JobId(id.to_owned()),
            owner: UserId(owner.to_owned()),
            rid: Some(rid.to_owned()),
            work: Work::FileExport(FileExportWork {
                rid: rid.to_owned(),
                format: "html".to_owned(),
                date_from: None,
                date_to: None,
                from: None,
                to: Clock::System.now(),
            }),
            same: None,
            run_at: Clock::System.now(),
        };
        self.queue.enqueue(&job, job.run_at, 100).await.unwrap();
    }

    /// Starts a worker with a short lease; `order` is what it is to do at a step.
    fn worker(&self, name: &str, order: Option<&str>, settings: &[&str]) -> Worker {
        let log = self.directory.path().join(name);
        let mut command = command(&["work"]);
        command
            .env_remove("SOURCE_DATE_EPOCH")
            .args([
                "--workspace",
                &format!("sqlite:{}", self.exported.database.display()),
            ])
            .args([
                "--set",
                &format!("store.directory={}", self.exported.store.display()),
            ])
            .stderr(File::create(&log).unwrap());
        let usual = [
            "jobs.lease=2s",
            "jobs.heartbeat=200ms",
            "jobs.poll=100ms",
            "jobs.backoff=10ms",
            // Without a server there are no mails, and the store holds exports only.
            "mail.transport=smtp",
        ];
        for setting in usual.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        if let Some(order) = order {
            command.env("EXPORT_ROOM_STOP_AT", order);
        }
        let child = command.spawn().unwrap();
        Worker { child, log }
    }

    /// A worker with the job that is stopped at a step.
    ///
    /// `None` when it was stopped in the middle of a transaction of another thread: nobody can write before it goes on,
    /// so that there is no second worker.
    async fn stopped_worker(&self, step: &str, settings: &[&str]) -> Option<Worker> {
        self.enqueue(JOB, generate::ROOM).await;
        // One job at a time: who is busy does not look for more.
        let settings = [settings, &["jobs.workers=1"]].concat();
        let worker = self.worker("first", Some(&format!("{step}:stop")), &settings);
        worker.stopped().await;
        let probe = rusqlite::Connection::open(&self.exported.database).unwrap();
        probe.busy_timeout(Duration::from_millis(200)).unwrap();
        let free = probe.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        free.is_ok().then_some(worker)
    }

    async fn job(&self, id: &str) -> Job {
        self.queue
            .job(&JobId(id.to_owned()))
            .await
            .unwrap()
            .unwrap()
    }

    async fn until(&self, id: &str, state: JobState, worker: &Worker) -> Job {
        let begun = Instant::now();
        loop {
            let job = self.job(id).await;
            if job.state == state {
                return job;
            }
            assert!(begun.elapsed() < PATIENCE, "{job:#?}\n{}", worker.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The job is done, and there is exactly one record and one file, whole, made by the claim `epoch`.
    async fn assert_exported(&self, epoch: u64) {
        let job = self.job(JOB).await;
        assert_eq!((job.state, job.epoch), (JobState::Done, epoch));
        let file = self.exported.assert_one(JOB, epoch).await;
        let outcome = job.outcome.unwrap();
        assert_eq!(
            (outcome.bytes, outcome.sha256.as_deref()),
            (Some(file.bytes), Some(&*file.digest))
        );
        assert!(
            outcome.no_mail.is_some(),
            "nobody has said how to send mail"
        );
    }
}

impl Worker {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the process is stopped (`T` in `proc_pid_stat(5)`).
    async fn stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_stopped = || {
            let stat = fs::read_to_string(&stat).unwrap();
            stat.rsplit(')')
                .next()
                .unwrap()
                .trim_start()
                .starts_with('T')
        };
        self.wait_for("it is stopped", is_stopped).await;
    }

    async fn wait_for(&self, what: &str, happened: impl Fn() -> bool) {
        let begun = Instant::now();
        while !happened() {
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for: {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not end\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to stop and waits for its end.
    async fn stop(&mut self) {
        self.wait_for("it works", || self.log().contains("worker started"))
            .await;
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A workspace, and a worker that is stopped at a step of the job.
async fn stopped(messages: u64, step: &str, settings: &[&str]) -> (Bed, Worker) {
    loop {
        let bed = Bed::new(messages);
        if let Some(worker) = bed.stopped_worker(step, settings).await {
            return (bed, worker);
        }
    }
}

#[tokio::test]
async fn what_was_accepted_is_carried_out() {
    let bed = Bed::new(FEW);
    bed.enqueue(JOB, generate::ROOM).await;
    let mut worker = bed.worker("worker", None, &[]);
    let job = bed.until(JOB, JobState::Done, &worker).await;
    worker.stop().await;
    bed.assert_exported(1).await;
    assert_eq!((job.attempt, job.error, job.progress), (1, None, None));
    let report = job.outcome.unwrap().report.unwrap();
    assert_eq!(report["messages"]["rendered"], FEW);
    for part in [
        "job begun",
        "job ended",
        "export finished",
        JOB,
        generate::ROOM,
    ] {
        assert!(
            worker.log().contains(part),
            "{part} is not in\n{}",
            worker.log()
        );
    }
}

#[tokio::test]
async fn a_process_may_be_killed_at_any_step() {
    let bed = Bed::new(FEW);
    for (step, epoch) in [
        ("begin", 2),
        ("write", 2),
        ("publish", 2),
        ("record", 2),
        ("settled", 1),
    ] {
        bed.enqueue(JOB, generate::ROOM).await;
        let mut first = bed.worker("first", Some(&format!("{step}:kill")), &[]);
        let status = first.ended().await;
        assert_eq!(status.code(), None, "{step}: {}", first.log());
        let mut second = bed.worker("second", None, &[]);
        bed.until(JOB, JobState::Done, &second).await;
        second.stop().await;
        bed.assert_exported(epoch).await;
        // The next step begins anew.
        let service = service(&bed, Clock::System, &[]).await;
        let record = bed.exported.records().await.remove(0);
        service.exports.delete(&record).await.unwrap();
        service.user_data.remove(JOB).await.unwrap();
        assert!(service.queue.remove(&JobId(JOB.to_owned())).await.unwrap());
    }
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up() {
    let bed = Bed::new(FEW);
    bed.enqueue(JOB, generate::ROOM).await;
    let settings = ["jobs.attempts=1", "log.format=json"];
    let mut first = bed.worker("first", Some("write:kill"), &settings);
    assert_eq!(first.ended().await.code(), None, "{}", first.log());
    assert_eq!(bed.exported.stored().len(), 1);
    let mut second = bed.worker("second", None, &settings);
    let job = bed.until(JOB, JobState::Failed, &second).await;
    second.stop().await;
    assert_eq!(job.error.unwrap().code, "interrupted");
    bed.exported.assert_none().await;
    for message in ["job ended", "export failed"] {
        let lines: Vec<Value> = second
            .log()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["message"] == message && line["job"] == JOB)
            .collect();
        let [line] = lines.as_slice() else {
            panic!("{message}: {lines:?}");
        };
        assert_eq!(line["code"], "interrupted");
    }
}

#[tokio::test]
async fn who_sleeps_through_the_lease_is_fenced_off() {
    for step in ["write", "publish", "record"] {
        let (bed, mut first) = stopped(FEW, step, &[]).await;
        let mut second = bed.worker("second", None, &[]);
        bed.until(JOB, JobState::Done, &second).await;
        first.signal(Signal::CONT);
        first
            .wait_for("it knows", || {
                first.log().contains("another worker took the job over")
            })
            .await;
        first.stop().await;
        second.stop().await;
        bed.assert_exported(2).await;
    }
}

#[tokio::test]
async fn a_cancelled_export_leaves_nothing() {
    // While it is written; and when all that is missing is its record, which no heartbeat comes before.
    for (messages, step, name) in [(MANY, "write", ".part"), (FEW, "record", ".zip")] {
        let (bed, mut worker) = stopped(messages, step, &[]).await;
        assert!(bed.exported.stored()[0].contains(name));
        let asked = bed
            .queue
            .cancel(&JobId(JOB.to_owned()), Clock::System.now())
            .await
            .unwrap();
        assert_eq!(asked, Some(CancelOutcome::Requested));
        worker.signal(Signal::CONT);
        let job = bed.until(JOB, JobState::Cancelled, &worker).await;
        assert_eq!(job.outcome, None);
        worker.stop().await;
        bed.exported.assert_none().await;
    }
}

#[tokio::test]
async fn a_running_job_may_finish_or_is_handed_over() {
    // Asked once, with time; asked once, without; asked twice.
    for (signals, grace, finishes) in [
        (&[Signal::TERM][..], "60s", true),
        (&[Signal::TERM][..], "1ms", false),
        (&[Signal::TERM, Signal::INT][..], "60s", false),
    ] {
        let (bed, mut worker) = stopped(MANY, "write", &[&format!("jobs.grace={grace}")]).await;
        for signal in signals {
            worker.signal(*signal);
        }
        worker.signal(Signal::CONT);
        assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
        if !finishes {
            let job = bed.job(JOB).await;
            assert_eq!(
                (job.state, job.attempt, job.error),
                (JobState::Queued, 0, None)
            );
            bed.exported.assert_none().await;
            let mut other = bed.worker("other", None, &[]);
            bed.until(JOB, JobState::Done, &other).await;
            other.stop().await;
        }
        bed.assert_exported(if finishes { 1 } else { 2 }).await;
    }
}

#[tokio::test]
async fn what_cannot_be_done_says_so_to_the_one_who_asked() {
    let bed = Bed::new(FEW);
    // Nothing fits onto /proc.
    for (rid, settings, code, part, attempts) in [
        ("no-such-room", &[][..], "room-gone", "does not exist", 1),
        (
            generate::ROOM,
            &["store.directory=/proc", "jobs.attempts=2"],
            "no-space",
            "not enough space",
            2,
        ),
    ] {
        bed.enqueue(JOB, rid).await;
        let mut worker = bed.worker("worker", None, settings);
        let job = bed.until(JOB, JobState::Failed, &worker).await;
        worker.stop().await;
        let JobError {
            code: found,
            message,
        } = job.error.unwrap();
        assert_eq!((&*found, job.attempt), (code, attempts), "{message}");
        assert!(
            message.contains(part) && !message.contains('/'),
            "{message}"
        );
        assert!(worker.log().contains("export failed"), "{}", worker.log());
        bed.exported.assert_none().await;
        assert!(bed.queue.remove(&JobId(JOB.to_owned())).await.unwrap());
    }
}

#[tokio::test]
async fn who_lost_the_right_while_the_export_waited_gets_none() {
    let bed = Bed::new(FEW);
    for (owner, id) in [
        (FORMER, "bbbbbbbbbbbbbbbbb"),
        (GUEST, "ccccccccccccccccc"),
        (ADMIN, "ddddddddddddddddd"),
        ("gone0000000000001", "eeeeeeeeeeeeeeeee"),
    ] {
        bed.enqueue_for(owner, id, generate::ROOM).await;
        let mut worker = bed.worker("worker", None, &[]);
        let job = bed.until(id, JobState::Failed, &worker).await;
        worker.stop().await;
        let error = job.error.unwrap();
        assert_eq!((&*error.code, job.attempt), ("not-allowed", 1), "{owner}");
        assert!(error.message.ends_with('.'), "{}", error.message);
        bed.exported.assert_none().await;
    }
    bed.enqueue_for(ADMIN, JOB, generate::ROOM).await;
    let mut worker = bed.worker("worker", None, &["security.admin_override=true"]);
    bed.until(JOB, JobState::Done, &worker).await;
    worker.stop().await;
    bed.assert_exported(1).await;
    let log = worker.log();
    let audit = log.lines().find(|line| line.contains("by_override"));
    assert!(audit.is_some_and(|line| line.contains(JOB)), "{log}");
}

#[tokio::test]
async fn exports_do_not_wait_for_a_silent_mail_server() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("mail.port={}", silent.local_addr().unwrap().port());
    let settings = [
        "jobs.workers=1",
        "mail.host=127.0.0.1",
        &port,
        "mail.from=chat@example.org",
        "mail.timeout=1h",
        // Nothing is written at most heartbeats, and yet they see who asks to stop.
        "jobs.lease=1h",
        "jobs.heartbeat=20ms",
    ];
    let bed = Bed::new(FEW);
    bed.enqueue(JOB, generate::ROOM).await;
    let mut worker = bed.worker("worker", None, &settings);
    bed.until(JOB, JobState::Done, &worker).await;
    let mail = format!("{JOB}-mail");
    bed.until(&mail, JobState::Running, &worker).await;
    let next = "bbbbbbbbbbbbbbbbb";
    bed.enqueue(next, generate::ROOM).await;
    bed.until(next, JobState::Done, &worker).await;
    assert_eq!(bed.job(&mail).await.state, JobState::Running);
    let waiting = format!("{next}-mail");
    assert_eq!(
        bed.job(&waiting).await.state,
        JobState::Queued,
        "one mail at a time"
    );
    bed.queue
        .cancel(&JobId(mail.clone()), Clock::System.now())
        .await
        .unwrap();
    bed.until(&mail, JobState::Cancelled, &worker).await;
    bed.until(&waiting, JobState::Running, &worker).await;
    worker.signal(Signal::TERM);
    worker.signal(Signal::INT);
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
}

#[test]
fn a_dump_is_not_worked_on() {
    let directory = tempfile::tempdir().unwrap();
    for (address, part) in [
        (
            format!("dump:{}", directory.path().display()),
            "export-room import",
        ),
        (String::new(), "names no file"),
        (
            format!("sqlite:{}/none.db", directory.path().display()),
            "export-room import",
        ),
    ] {
        let ran = run(&["work", "--workspace", &address]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(part), "{address}: {}", ran.stderr);
    }
}

async fn service(bed: &Bed, clock: Clock, settings: &[(&str, &str)]) -> Service {
    let mut flags = vec![
        (
            "workspace.address",
            format!("sqlite:{}", bed.exported.database.display()),
        ),
        ("store.directory", bed.exported.store.display().to_string()),
        ("mail.transport", "smtp".to_owned()),
    ];
    flags.extend(
        settings
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned())),
    );
    let file = PathBuf::from("/dev/null");
    let config = Config::load(Some(&file), std::iter::empty(), &flags).unwrap();
    let app = App {
        clock,
        cancel: CancellationToken::new(),
    };
    app.service(config).await.unwrap()
}

#[tokio::test]
async fn the_sweeper_removes_what_nobody_needs_and_nothing_else() {
    const DAY: i64 = 86_400_000;
    let ids = [
        "aaaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbbbbbbb",
        "ccccccccccccccccc",
    ];
    let [waits, runs, failed] = ids;
    let bed = Bed::new(FEW);
    bed.enqueue(JOB, generate::ROOM).await;
    // Its first worker dies.
    let now = Clock::System.now();
    let dead = Claim {
        worker: "dead",
        kinds: &Work::KINDS,
        now,
        until: now,
        per_owner: 9,
        attempts: 9,
        except: &[],
    };
    assert!(bed.queue.claim(&dead).await.unwrap().job.is_some());
    let mut worker = bed.worker("worker", None, &[]);
    bed.until(JOB, JobState::Done, &worker).await;
    worker.stop().await;
    // The three in their states.
    for (id, run_at) in [(waits, now + DAY), (runs, now), (failed, now)] {
        bed.enqueue(id, generate::ROOM).await;
        let claim = Claim {
            worker: "test",
            kinds: &Work::KINDS,
            now: Clock::System.now(),
            until: now + 100 * DAY,
            per_owner: 9,
            attempts: 9,
            except: &[],
        };
        let (_, fence) = bed.queue.claim(&claim).await.unwrap().job.unwrap();
        let settlement = match id {
            _ if id == waits => Settlement::Retry {
                at: run_at,
                error: JobError::internal(),
            },
            _ if id == failed => Settlement::Failed(JobError::internal()),
            _ => continue,
        };
        bed.queue.settle(&fence, settlement, now).await.unwrap();
    }
    // What dead workers left of each, and what is somebody else's.
    let left: Vec<String> = ids
        .iter()
        .chain(&[JOB, "ddddddddddddddddd"])
        .map(|id| format!(".export-room-{id}-1.part"))
        .collect();
    for name in &left {
        fs::write(bed.exported.store.join(name), b"PK").unwrap();
    }
    fs::write(bed.exported.store.join("notes.txt"), b"mine").unwrap();
    // What cannot be removed, of the job that comes first, keeps nothing else from being removed.
    let stuck = format!("{JOB}.zip");
    fs::create_dir(bed.exported.store.join(&stuck)).unwrap();

    let settings = [("store.keep", "30d"), ("jobs.forget", "60d")];
    let now_service = service(&bed, Clock::System, &settings).await;
    let turn = |since| SweepTurn { began: now, since };
    let long_since = sweep(&now_service, turn(now + 2 * DAY)).await;
    assert_eq!(long_since, Swept::default(), "they ended a day before that");
    let turn = turn(i64::MIN);
    let swept = sweep(&now_service, turn).await;
    assert_eq!(
        swept,
        Swept {
            expired: 0,
            leftovers: 2,
            forgotten: 0
        }
    );
    let kept = |whole: bool| {
        let mut names: Vec<String> = [waits, runs, "ddddddddddddddddd"]
            .map(|id| format!(".export-room-{id}-1.part"))
            .to_vec();
        names.extend(whole.then(|| format!("{JOB}.2.zip")));
        names.extend(["notes.txt".to_owned(), stuck.clone()]);
        names.sort();
        names
    };
    assert_eq!(bed.exported.stored(), kept(true));
    assert_eq!(
        sweep(&now_service, turn).await,
        Swept::default(),
        "again changes nothing"
    );

    // What other claims left goes with the export: its job is forgotten.
    let late = format!(".export-room-{JOB}-1.part");
    fs::write(bed.exported.store.join(late), b"PK").unwrap();
    let month = service(&bed, Clock::Fixed(now + 31 * DAY), &settings).await;
    assert_eq!(sweep(&month, turn).await.expired, 1);
    assert_eq!(bed.exported.stored(), kept(false));
    assert!(bed.exported.records().await.is_empty());
    let gone = |id: &str| {
        let (queue, id) = (&bed.queue, JobId(id.to_owned()));
        async move { queue.job(&id).await.unwrap().is_none() }
    };
    assert!(gone(JOB).await && !gone(failed).await);
    let season = service(&bed, Clock::Fixed(now + 61 * DAY), &settings).await;
    assert_eq!(sweep(&season, turn).await.forgotten, 1);
    assert!(gone(failed).await && !gone(waits).await && !gone(runs).await);
}

/// A record of an export that is as old as time.
fn record(id: &str, store: &str, at: Option<&str>) -> bson::Document {
    let created = bson::DateTime::from_millis(1);
    doc! {
        "_id": id, "userId": OWNER, "store": store, "extension": "zip", "createdAt": created,
        "exportRoom": {"job": id, "at": at},
    }
}

#[tokio::test]
async fn a_store_that_is_gone_keeps_no_export_of_another_from_expiring() {
    const MOVED: &str = "zmoved00000000001";
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("store"));
    let mut dump = world();
    for number in 0..250 {
        let record = record(&format!("gone{number:013}"), "AmazonS3:UserDataFiles", None);
        dump.add("rocketchat_user_data_files", &record);
    }
    // Behind all of those: one in its place, and one in the directory that was configured before.
    let store = "FileSystem:UserDataFiles";
    dump.add("rocketchat_user_data_files", &record(JOB, store, None));
    let moved = record(MOVED, store, Some(text(&old)));
    dump.add("rocketchat_user_data_files", &moved);
    for (directory, id) in [(&old, MOVED), (&new, JOB)] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join(format!("{id}.zip")), b"PK").unwrap();
    }
    let path = dump.write(Form::Directory, directory.path());
    let bed = Bed::of(directory, &path);
    let turn = SweepTurn {
        began: 0,
        since: i64::MIN,
    };
    let settings = [("store.keep", "1d"), ("blobs.attempts", "1")];
    let here = service(&bed, Clock::System, &settings).await;
    assert_eq!(sweep(&here, turn).await.expired, 1);
    assert!(bed.exported.stored().is_empty());
    let found = async |id| here.user_data.file(id).await.unwrap().is_some();
    assert!(!found(JOB).await && found(MOVED).await && old.join(format!("{MOVED}.zip")).exists());
    let settings = [&settings[..], &[("store.directory", text(&old))]].concat();
    let there = service(&bed, Clock::System, &settings).await;
    assert_eq!(sweep(&there, turn).await.expired, 1);
    assert!(!found(MOVED).await && !old.join(format!("{MOVED}.zip")).exists());
}
