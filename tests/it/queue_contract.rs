//! What every queue has to keep, whatever it is kept in: a line for each at the end.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use export_room::app::App;
use export_room::clock::Clock;
use export_room::jobs::mongo::MongoQueue;
use export_room::jobs::sqlite::SqliteQueue;
use export_room::jobs::{
    CancelOutcome, Claim, Enqueued, Fence, FileExportWork, Job, JobError, JobFilter, JobId,
    JobProgress, JobQueue, JobState, NewJob, Outcome, QueueError, ReadyMailWork, Settlement,
    SweepTurn, Work,
};
use export_room::store::directory::UserId;
use export_room::store::mongo::{Load, MongoDatabase, MongoDirectory};
use export_room::store::sqlite::SqliteDirectory;
use export_room::store::user_data::{FinishedExport, UserDataFile, UserDataFiles};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::dump::{DumpBuilder, Form};
use crate::support::mongo::MongoPlace;

const MAIL: &str = Work::KINDS[1];

/// A fresh place for a queue, that several processes could open.
trait Place: Sized {
    async fn new() -> Self;
    /// The queue, opened once more.
    async fn queue(&self) -> Arc<dyn JobQueue>;
    async fn user_data(&self) -> Arc<dyn UserDataFiles>;
}

struct Embedded(TempDir);

impl Embedded {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("chat.db")
    }
}

impl Place for Embedded {
    async fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let dump = DumpBuilder::new().write(Form::Directory, place.0.path());
        let app = App {
            clock: Clock::System,
            cancel: CancellationToken::new(),
        };
        app.import(&dump, &place.path(), &mut |_| {}).unwrap();
        place
    }

    async fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(SqliteQueue::open(&self.path()).unwrap())
    }

    async fn user_data(&self) -> Arc<dyn UserDataFiles> {
        Arc::new(SqliteDirectory::open(&self.path()).unwrap())
    }
}

/// A live database.
struct Live(MongoPlace);

impl Live {
    async fn database(&self) -> MongoDatabase {
        MongoDatabase::connect(&self.0.uri(), Load::default())
            .await
            .unwrap()
    }
}

impl Place for Live {
    async fn new() -> Self {
        let place = MongoPlace::new();
        place.load(&DumpBuilder::new()).await;
        Self(place)
    }

    async fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(MongoQueue::open(self.database().await).await.unwrap())
    }

    async fn user_data(&self) -> Arc<dyn UserDataFiles> {
        Arc::new(MongoDirectory::new(self.database().await))
    }
}

fn id(text: &str) -> JobId {
    JobId(text.to_owned())
}

fn user(text: &str) -> UserId {
    UserId(text.to_owned())
}

fn export(name: &str, owner: &str, run_at: i64) -> NewJob {
    NewJob {
        id: id(name),
        owner: user(owner),
        rid: Some(format!("room of {name}")),
        work: Work::FileExport(FileExportWork {
            rid: format!("room of {name}"),
            format: "html".to_owned(),
            date_from: Some("2020-01-01".to_owned()),
            date_to: None,
            from: Some(1),
            to: 2,
        }),
        same: None,
        run_at,
    }
}

fn mail(name: &str, owner: &str, run_at: i64) -> NewJob {
    NewJob {
        work: Work::ReadyMail(ReadyMailWork { export: id("e") }),
        ..export(name, owner, run_at)
    }
}

fn claim(now: i64) -> Claim<'static> {
    Claim {
        worker: "test",
        kinds: &Work::KINDS,
        now,
        until: now + 100,
        per_owner: 100,
        attempts: 3,
        except: &[],
    }
}

fn error(code: &str) -> JobError {
    JobError::new(code, "A sentence.")
}

fn done() -> Settlement {
    Settlement::Done {
        outcome: Outcome::default(),
        file: None,
        then: Vec::new(),
    }
}

pub(crate) fn record(job: &str, store: &str) -> UserDataFile {
    UserDataFile::of_export(&FinishedExport {
        id: job,
        owner: &user("u"),
        owner_name: "u",
        rid: "r",
        format: "html",
        date_from: None,
        date_to: None,
        from: None,
        to: 2,
        size: 3,
        sha256: "abc",
        store,
        extension: Some("zip"),
        path: None,
        at: None,
        site_url: "http://localhost",
        tool: "test",
        now: 5,
    })
    .unwrap()
}

async fn add(queue: &dyn JobQueue, job: NewJob) -> JobId {
    let id = job.id.clone();
    let now = job.run_at;
    let enqueued = queue.enqueue(&job, now, 1000).await.unwrap();
    assert_eq!(enqueued.id, id);
    id
}

/// The job that is claimed at an instant.
async fn take(queue: &dyn JobQueue, claim: &Claim<'_>) -> Option<(String, Fence)> {
    let (job, fence) = queue.claim(claim).await.unwrap().job?;
    assert_eq!(
        (job.state, &job.id, job.epoch),
        (JobState::Running, &fence.id, fence.epoch)
    );
    Some((job.id.0, fence))
}

async fn get(queue: &dyn JobQueue, name: &str) -> Job {
    queue.job(&id(name)).await.unwrap().unwrap()
}

async fn what_is_enqueued_is_what_is_claimed(place: impl Place) {
    let queue = place.queue().await;
    let new = export("a", "u", 7);
    add(&*queue, new.clone()).await;
    // As another process sees it.
    let job = get(&*place.queue().await, "a").await;
    assert_eq!((job.owner, job.rid), (new.owner, new.rid));
    assert_eq!(
        (job.work.as_ref(), job.state),
        (Some(&new.work), JobState::Queued)
    );
    assert_eq!(
        (job.attempt, job.epoch, job.created_at, job.run_at),
        (0, 0, 7, 7)
    );
    assert_eq!(
        (job.started_at, job.ended_at, job.lease_until),
        (None, None, None)
    );
    let (claimed, fence) = queue.claim(&claim(8)).await.unwrap().job.unwrap();
    assert_eq!(
        fence,
        Fence {
            id: id("a"),
            epoch: 1
        }
    );
    assert_eq!(claimed.work, Some(new.work));
    assert_eq!(
        (claimed.attempt, claimed.started_at, claimed.lease_until),
        (1, Some(8), Some(108))
    );
    assert_eq!(claimed, get(&*queue, "a").await);
    assert!(queue.job(&id("b")).await.unwrap().is_none());
}

async fn the_same_request_is_one_job_until_it_ends(place: impl Place) {
    let queue = place.queue().await;
    let asked = |name: &str, owner: &str, same: &str| NewJob {
        same: Some(same.to_owned()),
        ..export(name, owner, 1)
    };
    let ask = async |name: &str, owner: &str, same: &str| {
        let Enqueued { id, existing } = queue
            .enqueue(&asked(name, owner, same), 1, 100)
            .await
            .unwrap();
        (id.0, existing)
    };
    assert_eq!(ask("a", "u", "x").await, ("a".to_owned(), false));
    assert_eq!(ask("b", "u", "x").await, ("a".to_owned(), true));
    assert_eq!(
        ask("c", "u", "y").await,
        ("c".to_owned(), false),
        "another request"
    );
    assert_eq!(
        ask("d", "v", "x").await,
        ("d".to_owned(), false),
        "another user"
    );
    add(&*queue, export("e", "u", 1)).await;
    add(&*queue, export("f", "u", 1)).await;
    let (_, fence) = take(&*queue, &claim(1)).await.unwrap();
    assert_eq!(fence.id, id("a"));
    assert_eq!(
        ask("g", "u", "x").await,
        ("a".to_owned(), true),
        "while it runs"
    );
    queue.cancel(&id("a"), 2).await.unwrap();
    assert_eq!(
        ask("h", "u", "x").await,
        ("h".to_owned(), false),
        "one that is to stop will not do it"
    );
    queue
        .settle(&fence, Settlement::Cancelled, 3)
        .await
        .unwrap();
    assert_eq!(ask("i", "u", "x").await, ("h".to_owned(), true));
    queue.cancel(&id("h"), 4).await.unwrap();
    assert_eq!(
        ask("j", "u", "x").await,
        ("j".to_owned(), false),
        "one that ended is history"
    );
}

async fn a_user_has_so_many_jobs_waiting(place: impl Place) {
    let queue = place.queue().await;
    let ask = async |job: NewJob| queue.enqueue(&job, 1, 2).await;
    ask(export("a", "u", 1)).await.unwrap();
    ask(export("b", "u", 1)).await.unwrap();
    let (_, fence) = take(&*queue, &claim(1)).await.unwrap();
    let refused = ask(export("c", "u", 1)).await;
    assert!(
        matches!(refused, Err(QueueError::TooMany(2))),
        "{refused:?}"
    );
    assert!(queue.job(&id("c")).await.unwrap().is_none());
    ask(export("d", "v", 1)).await.unwrap();
    ask(mail("m", "u", 1)).await.unwrap();
    queue.settle(&fence, done(), 2).await.unwrap();
    ask(export("e", "u", 1)).await.unwrap();
}

async fn the_longest_due_is_claimed_first(place: impl Place) {
    let queue = place.queue().await;
    for (name, run_at) in [("c", 30), ("a", 10), ("b", 20), ("late", 99)] {
        add(&*queue, export(name, "u", run_at)).await;
    }
    add(&*queue, mail("m", "u", 5)).await;
    let exports = |now| Claim {
        kinds: &Work::KINDS[..1],
        ..claim(now)
    };
    assert!(take(&*queue, &exports(9)).await.is_none(), "nothing is due");
    let none = Claim {
        kinds: &["file_export/99"],
        ..claim(50)
    };
    assert!(take(&*queue, &none).await.is_none(), "not of this kind");
    let mut order = Vec::new();
    while let Some((name, _)) = take(&*queue, &exports(50)).await {
        order.push(name);
    }
    assert_eq!(order, ["a", "b", "c"]);
    assert_eq!(take(&*queue, &claim(50)).await.unwrap().0, "m");
    // One whose worker died waits since it was to begin.
    add(&*queue, export("d", "u", 15)).await;
    assert_eq!(take(&*queue, &exports(200)).await.unwrap().0, "a");
    assert_eq!(take(&*queue, &exports(200)).await.unwrap().0, "d");
}

async fn a_user_at_the_limit_does_not_block_others(place: impl Place) {
    let queue = place.queue().await;
    for name in ["a", "b", "c", "d"] {
        add(&*queue, export(name, "u", 1)).await;
    }
    add(&*queue, export("v", "v", 2)).await;
    add(&*queue, mail("m", "u", 3)).await;
    let limited = |now| Claim {
        per_owner: 2,
        ..claim(now)
    };
    let mut fences = Vec::new();
    // Two queues: the limit is of all workers together.
    for (number, expected) in ["a", "b", "v", "m"].into_iter().enumerate() {
        let other = place.queue().await;
        let taker = if number % 2 == 0 { &queue } else { &other };
        let (name, fence) = take(&**taker, &limited(10)).await.unwrap();
        assert_eq!(name, expected);
        fences.push(fence);
    }
    assert!(take(&*queue, &limited(10)).await.is_none());
    queue.settle(&fences[0], done(), 11).await.unwrap();
    assert_eq!(take(&*queue, &limited(11)).await.unwrap().0, "c");
    assert!(take(&*queue, &limited(11)).await.is_none());
    // Both of the dead worker are taken over, and no third is begun meanwhile.
    let (first, second) = (
        take(&*queue, &limited(500)).await,
        take(&*queue, &limited(500)).await,
    );
    let names: Vec<_> = [first, second]
        .into_iter()
        .map(|taken| taken.unwrap().0)
        .collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(get(&*queue, "d").await.state, JobState::Queued);
}

async fn who_slept_through_his_lease_is_refused(place: impl Place) {
    let queue = place.queue().await;
    add(&*queue, export("a", "u", 1)).await;
    let (_, first) = take(&*queue, &claim(1)).await.unwrap();
    let progress = JobProgress {
        phase: "messages".to_owned(),
        done: 5,
        total: 10,
        bytes: 99,
        rate: 3,
        eta_seconds: Some(2),
    };
    let renewal = queue.renew(&first, 150, Some(&progress)).await.unwrap();
    assert!(!renewal.cancel);
    assert_eq!(get(&*queue, "a").await.progress, Some(progress.clone()));
    queue.renew(&first, 160, None).await.unwrap();
    assert_eq!(
        get(&*queue, "a").await.progress,
        Some(progress),
        "nothing new is no news"
    );
    assert!(take(&*queue, &claim(159)).await.is_none());
    // Late, but nobody has taken it.
    queue.renew(&first, 200, None).await.unwrap();
    let (_, second) = take(&*queue, &claim(200)).await.unwrap();
    assert_eq!(second.epoch, 2);
    let job = get(&*queue, "a").await;
    assert_eq!((job.attempt, &job.progress), (2, &None));
    let lost = |result: Result<(), QueueError>| {
        assert!(
            matches!(&result, Err(QueueError::LeaseLost(job)) if job.0 == "a"),
            "{result:?}"
        );
    };
    lost(queue.renew(&first, 999, None).await.map(drop));
    for settlement in [
        Settlement::Done {
            outcome: Outcome::default(),
            file: Some(record("a", "first")),
            then: vec![mail("first", "u", 1)],
        },
        Settlement::Failed(error("x")),
        Settlement::Retry {
            at: 1,
            error: error("x"),
        },
        Settlement::Cancelled,
        Settlement::Released,
    ] {
        lost(queue.settle(&first, settlement, 201).await.map(drop));
        assert_eq!(get(&*queue, "a").await, job, "nothing was written");
        assert!(queue.job(&id("first")).await.unwrap().is_none());
        assert!(place.user_data().await.file("a").await.unwrap().is_none());
    }
    let state = queue.settle(&second, done(), 202).await.unwrap();
    assert_eq!(state, JobState::Done);
    lost(queue.settle(&second, done(), 203).await.map(drop));
    lost(queue.renew(&second, 999, None).await.map(drop));
}

async fn record_end_and_what_follows_are_written_together(place: impl Place) {
    let queue = place.queue().await;
    add(&*queue, export("a", "u", 1)).await;
    add(&*queue, mail("there", "u", 999)).await;
    let (_, fence) = take(&*queue, &claim(1)).await.unwrap();
    queue
        .renew(&fence, 100, Some(&JobProgress::default()))
        .await
        .unwrap();
    let outcome = Outcome {
        report: Some(serde_json::json!({"messages": {"rendered": 3}})),
        bytes: Some(3),
        sha256: Some("abc".to_owned()),
        no_mail: None,
    };
    let settlement = Settlement::Done {
        outcome: outcome.clone(),
        file: Some(record("a", "S")),
        then: vec![mail("a-mail", "u", 5), mail("there", "u", 5)],
    };
    queue.settle(&fence, settlement, 5).await.unwrap();
    let job = get(&*place.queue().await, "a").await;
    assert_eq!(
        (job.state, job.ended_at, job.outcome),
        (JobState::Done, Some(5), Some(outcome))
    );
    assert_eq!(
        (job.progress, job.error, job.lease_until),
        (None, None, None)
    );
    let file = place.user_data().await.file("a").await.unwrap().unwrap();
    assert_eq!(
        (file.store.as_str(), file.size, file.complete),
        ("S", 3, true)
    );
    assert_eq!(get(&*queue, "a-mail").await.state, JobState::Queued);
    assert_eq!(
        get(&*queue, "there").await.run_at,
        999,
        "what was there stays as it was"
    );
}

async fn a_dead_worker_has_so_many_successors(place: impl Place) {
    let queue = place.queue().await;
    add(&*queue, export("a", "u", 1)).await;
    for (attempt, now) in [(1, 1000), (2, 2000), (3, 3000)] {
        let claimed = queue.claim(&claim(now)).await.unwrap();
        let (job, _) = claimed.job.unwrap();
        assert_eq!((job.attempt, claimed.ended), (attempt, Vec::new()));
    }
    // Whoever ends it is told, whether there is something else to do or not, and nobody else is.
    add(&*queue, export("b", "u", 3500)).await;
    let claimed = queue.claim(&claim(4000)).await.unwrap();
    assert_eq!(claimed.job.unwrap().0.id, id("b"));
    let job = get(&*queue, "a").await;
    assert_eq!(claimed.ended, std::slice::from_ref(&job));
    assert!(queue.claim(&claim(4001)).await.unwrap().ended.is_empty());
    assert_eq!((job.state, job.ended_at), (JobState::Failed, Some(4000)));
    let error = job.error.unwrap();
    assert_eq!(error.code, "interrupted");
    assert!(error.message.contains("interrupted") && error.message.ends_with('.'));
    // The mail about it was written down with its end, by whoever ended it or by the next to look.
    let mail = get(&*queue, &id("a").of_mail().0).await;
    assert_eq!(mail.work, Some(told_of("a")));
}

fn told_of(export: &str) -> Work {
    Work::ReadyMail(ReadyMailWork { export: id(export) })
}

async fn a_failed_export_leaves_the_mail_about_it(place: impl Place) {
    let queue = place.queue().await;
    let failed = Settlement::Failed(error("x"));
    for (job, settlement, left) in [
        (export("a", "u", 1), failed.clone(), true),
        (export("b", "u", 1), Settlement::Cancelled, false),
        (mail("m", "u", 1), failed, false),
    ] {
        add(&*queue, job.clone()).await;
        let (_, fence) = take(&*queue, &claim(10)).await.unwrap();
        queue.settle(&fence, settlement, 20).await.unwrap();
        let notice = queue.job(&job.id.of_mail()).await.unwrap();
        assert_eq!(notice.is_some(), left, "{}", job.id);
        let Some(notice) = notice else { continue };
        assert_eq!((notice.state, notice.run_at), (JobState::Queued, 20));
        assert_eq!((notice.work, notice.owner), (Some(told_of("a")), user("u")));
        // It is there once.
        let (taken, fence) = take(&*queue, &claim(21)).await.unwrap();
        assert_eq!(taken, job.id.of_mail().0);
        let sent = Settlement::Done {
            outcome: Outcome::default(),
            file: None,
            then: Vec::new(),
        };
        queue.settle(&fence, sent, 22).await.unwrap();
        assert!(take(&*queue, &claim(23)).await.is_none());
    }
}

async fn users_who_have_their_turn_leave_others_theirs(place: impl Place) {
    let queue = place.queue().await;
    for (name, owner, run_at) in [("a", "u", 1), ("b", "u", 2), ("c", "v", 3), ("d", "w", 4)] {
        add(&*queue, mail(name, owner, run_at)).await;
    }
    let mut except = Vec::new();
    for expected in [Some("a"), Some("c"), Some("d"), None] {
        let turn = Claim {
            except: &except,
            ..claim(10)
        };
        let taken = queue.claim(&turn).await.unwrap().job.map(|(job, _)| job);
        assert_eq!(taken.as_ref().map(|job| job.id.0.as_str()), expected);
        except.extend(taken.map(|job| job.owner));
    }
    assert_eq!(take(&*queue, &claim(10)).await.unwrap().0, "b");
}

async fn jobs_are_cancelled_in_every_state(place: impl Place) {
    let queue = place.queue().await;
    assert_eq!(queue.cancel(&id("none"), 1).await.unwrap(), None);
    // Waiting.
    add(&*queue, export("a", "u", 1)).await;
    assert_eq!(
        queue.cancel(&id("a"), 5).await.unwrap(),
        Some(CancelOutcome::Cancelled)
    );
    let job = get(&*queue, "a").await;
    assert_eq!((job.state, job.ended_at), (JobState::Cancelled, Some(5)));
    assert!(take(&*queue, &claim(10)).await.is_none());
    // Running; then however its attempt ends.
    for (name, settlement) in [
        ("b", Settlement::Cancelled),
        (
            "done",
            Settlement::Done {
                outcome: Outcome {
                    bytes: Some(3),
                    ..Outcome::default()
                },
                file: Some(record("done", "S")),
                then: vec![mail("done-mail", "u", 5)],
            },
        ),
        ("failed", Settlement::Failed(error("x"))),
        (
            "c",
            Settlement::Retry {
                at: 1,
                error: error("x"),
            },
        ),
        ("d", Settlement::Released),
    ] {
        add(&*queue, export(name, "u", 1)).await;
        let (_, fence) = take(&*queue, &claim(10)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(
                queue.cancel(&id(name), 11).await.unwrap(),
                Some(CancelOutcome::Requested)
            );
        }
        assert!(get(&*queue, name).await.cancel_requested);
        assert!(queue.renew(&fence, 20, None).await.unwrap().cancel);
        assert_eq!(
            queue.settle(&fence, settlement, 12).await.unwrap(),
            JobState::Cancelled,
            "{name}"
        );
        let job = get(&*queue, name).await;
        assert_eq!(
            (job.state, job.ended_at, job.outcome, job.error),
            (JobState::Cancelled, Some(12), None, None),
            "{name}"
        );
        assert!(place.user_data().await.file(name).await.unwrap().is_none());
    }
    assert!(queue.job(&id("done-mail")).await.unwrap().is_none());
    // Running, and its worker is dead.
    add(&*queue, export("e", "u", 1)).await;
    take(&*queue, &claim(10)).await.unwrap();
    queue.cancel(&id("e"), 11).await.unwrap();
    let claimed = queue.claim(&claim(999)).await.unwrap();
    let job = get(&*queue, "e").await;
    assert_eq!((claimed.job, claimed.ended), (None, vec![job.clone()]));
    assert_eq!(
        (job.state, job.ended_at, job.error),
        (JobState::Cancelled, Some(999), None)
    );
    // Ended.
    assert_eq!(
        queue.cancel(&id("e"), 1000).await.unwrap(),
        Some(CancelOutcome::Ended(JobState::Cancelled))
    );
    for (name, settlement, state) in [
        ("f", done(), JobState::Done),
        ("g", Settlement::Failed(error("x")), JobState::Failed),
    ] {
        add(&*queue, export(name, "u", 1)).await;
        let (_, fence) = take(&*queue, &claim(10)).await.unwrap();
        queue.settle(&fence, settlement, 12).await.unwrap();
        assert_eq!(
            queue.cancel(&id(name), 13).await.unwrap(),
            Some(CancelOutcome::Ended(state))
        );
        assert_eq!(get(&*queue, name).await.state, state);
    }
}

async fn what_failed_is_tried_again_when_it_is_time(place: impl Place) {
    let queue = place.queue().await;
    add(&*queue, export("a", "u", 1)).await;
    let (_, fence) = take(&*queue, &claim(10)).await.unwrap();
    let retry = Settlement::Retry {
        at: 500,
        error: error("no-space"),
    };
    queue.settle(&fence, retry, 11).await.unwrap();
    let job = get(&*queue, "a").await;
    assert_eq!(
        (job.state, job.run_at, job.ended_at),
        (JobState::Queued, 500, None)
    );
    assert_eq!(job.error, Some(error("no-space")));
    assert!(take(&*queue, &claim(499)).await.is_none());
    let (_, fence) = take(&*queue, &claim(500)).await.unwrap();
    assert_eq!((fence.epoch, get(&*queue, "a").await.attempt), (2, 2));
    // What is handed back is there at once, and the attempt did not count.
    queue
        .settle(&fence, Settlement::Released, 501)
        .await
        .unwrap();
    let job = get(&*queue, "a").await;
    assert_eq!(
        (job.state, job.attempt, job.epoch),
        (JobState::Queued, 1, 2)
    );
    let (_, fence) = take(&*queue, &claim(501)).await.unwrap();
    assert_eq!((fence.epoch, get(&*queue, "a").await.attempt), (3, 2));
    queue.settle(&fence, done(), 502).await.unwrap();
    assert_eq!(
        get(&*queue, "a").await.error,
        None,
        "what ended well has no error"
    );
}

async fn a_users_jobs_are_listed_in_pages(place: impl Place) {
    let queue = place.queue().await;
    for (name, owner, at) in [("a", "u", 1), ("b", "u", 2), ("c", "u", 2), ("d", "v", 3)] {
        add(&*queue, export(name, owner, at)).await;
    }
    add(&*queue, mail("m", "u", 4)).await;
    let (one, other) = (user("u"), user("v"));
    let page = |owner, offset, count| JobFilter {
        owner,
        kind: Work::FILE_EXPORT,
        rid: None,
        offset,
        count,
        oldest_first: false,
    };
    let oldest_first = JobFilter {
        oldest_first: true,
        ..page(&one, 0, 2)
    };
    let of_room = JobFilter {
        rid: Some("room of b"),
        ..page(&one, 0, 9)
    };
    let mails = JobFilter {
        kind: MAIL,
        ..page(&one, 0, 9)
    };
    for (filter, expected, total) in [
        (page(&one, 0, 10), "cba", 3),
        (page(&one, 1, 1), "b", 3),
        (page(&one, 9, 1), "", 3),
        (page(&one, 0, 0), "", 3),
        (page(&one, u64::MAX, u64::MAX), "", 3),
        (page(&other, 0, 10), "d", 1),
        (oldest_first, "ab", 3),
        (of_room, "b", 1),
        (mails, "m", 1),
    ] {
        let (jobs, found) = queue.jobs(&filter).await.unwrap();
        let names: String = jobs.into_iter().map(|job| job.id.0).collect();
        assert_eq!((names.as_str(), found), (expected, total), "{filter:?}");
    }
}

/// a: done, with a file; b: failed; c: cancelled; d: runs; m: a mail that was sent.
async fn in_every_state(queue: &dyn JobQueue) {
    for name in ["a", "b", "c", "d"] {
        add(queue, export(name, "u", 1)).await;
    }
    add(queue, mail("m", "u", 4)).await;
    queue.cancel(&id("c"), 20).await.unwrap();
    for name in ["a", "b", "d", "m"] {
        let (taken, fence) = take(queue, &claim(10)).await.unwrap();
        assert_eq!(taken, name);
        let settlement = match name {
            "a" => Settlement::Done {
                outcome: Outcome::default(),
                file: Some(record("a", "S")),
                then: Vec::new(),
            },
            "b" => Settlement::Failed(error("x")),
            "m" => done(),
            _ => continue,
        };
        queue.settle(&fence, settlement, 20).await.unwrap();
    }
}

async fn jobs_are_counted_by_kind_and_state(place: impl Place) {
    let queue = place.queue().await;
    in_every_state(&*queue).await;
    add(&*queue, export("e", "u", 1)).await;
    add(&*queue, export("f", "v", 1)).await;
    let counts = queue.counts().await.unwrap();
    let counts: BTreeMap<_, _> = counts
        .into_iter()
        .map(|(kind, state, count)| ((kind, state.name()), count))
        .collect();
    let of = |kind: &str, state| ((kind.to_owned(), state), 1);
    let mut expected = BTreeMap::from([of(MAIL, "done")]);
    expected.extend(
        ["running", "done", "failed", "cancelled"].map(|state| of(Work::FILE_EXPORT, state)),
    );
    expected.insert((Work::FILE_EXPORT.to_owned(), "queued"), 2);
    // The one about what failed.
    expected.extend([of(MAIL, "queued")]);
    assert_eq!(counts, expected);
}

async fn what_ended_without_a_file_is_forgotten(place: impl Place) {
    let queue = place.queue().await;
    in_every_state(&*queue).await;
    assert_eq!(queue.forget(20, 10).await.unwrap(), 0, "not old enough");
    assert_eq!(
        queue.forget(21, 2).await.unwrap(),
        2,
        "not more than asked for"
    );
    assert_eq!(queue.forget(21, 10).await.unwrap(), 1);
    assert_eq!(queue.forget(21, 10).await.unwrap(), 0);
    for (name, there) in [
        ("a", true),
        ("b", false),
        ("c", false),
        ("d", true),
        ("m", false),
    ] {
        let found = queue.job(&id(name)).await.unwrap();
        assert_eq!(found.is_some(), there, "{name}");
    }
    assert!(queue.remove(&id("a")).await.unwrap());
    assert!(!queue.remove(&id("a")).await.unwrap());
    assert!(!queue.remove(&id("d")).await.unwrap(), "it runs");
}

async fn sweeps_are_made_in_turns(place: impl Place) {
    const MINUTE: Duration = Duration::from_mins(1);
    const NEVER: i64 = i64::MIN;
    let (one, other) = (place.queue().await, place.queue().await);
    let turn = |began, since| Some(SweepTurn { began, since });
    let begin = async |queue: &dyn JobQueue, now| queue.begin_sweep(now, MINUTE).await.unwrap();
    let first = begin(&*one, 1_000_000).await;
    assert_eq!(first, turn(1_000_000, NEVER));
    for (queue, now) in [(&other, 1_000_000), (&other, 1_059_999), (&one, 1_059_999)] {
        assert_eq!(begin(&**queue, now).await, None, "{now}");
    }
    // The first has died: what it was to look at is looked at by the next.
    let second = begin(&*other, 1_060_000).await;
    assert_eq!(second, turn(1_060_000, NEVER));
    other.end_sweep(second.unwrap()).await.unwrap();
    assert_eq!(begin(&*one, 1_120_000).await, turn(1_120_000, 1_060_000));
    // The first was only slow: that is no step back.
    one.end_sweep(first.unwrap()).await.unwrap();
    assert_eq!(begin(&*one, 1_180_000).await, turn(1_180_000, 1_060_000));
    // Somebody has set the clock back.
    assert_eq!(begin(&*one, 500_000).await, turn(500_000, 1_060_000));
}

async fn what_may_have_left_something_is_found(place: impl Place) {
    let queue = place.queue().await;
    // Begun once, and made: nothing. Begun again: the first claim may have. Failed or cancelled: the last one may have.
    // Cancelled before it was begun, a mail, and what has not ended: nothing.
    for name in ["again", "failed", "made", "waits"] {
        add(&*queue, export(name, "u", 1)).await;
    }
    add(&*queue, mail("mail", "u", 1)).await;
    let mut now = 10;
    for name in ["again", "failed", "made", "mail", "waits"] {
        let (taken, mut fence) = take(&*queue, &claim(now)).await.unwrap();
        assert_eq!(taken, name);
        if name == "again" {
            now += 200;
            fence = take(&*queue, &claim(now)).await.unwrap().1;
            assert_eq!(fence.epoch, 2);
        }
        now += 10;
        let file = |name: &str| Settlement::Done {
            outcome: Outcome::default(),
            file: Some(record(name, "S")),
            then: Vec::new(),
        };
        let settlement = match name {
            "again" | "made" => file(name),
            "waits" => Settlement::Retry {
                at: 1_000_000,
                error: error("x"),
            },
            _ => Settlement::Failed(error("x")),
        };
        queue.settle(&fence, settlement, now).await.unwrap();
    }
    let names = |jobs: &[Job]| -> Vec<_> {
        let mut names: Vec<_> = jobs.iter().map(|job| job.id.0.clone()).collect();
        names.sort();
        names
    };
    let found = async |since| queue.untidy(since, None, 10).await.unwrap();
    assert_eq!(names(&found(i64::MIN).await), ["again", "failed"]);
    add(&*queue, export("fresh", "u", 2_000_000)).await;
    for name in ["fresh", "waits"] {
        queue.cancel(&id(name), now).await.unwrap();
    }
    let all = found(i64::MIN).await;
    assert_eq!(names(&all), ["again", "failed", "waits"]);
    // In pages, also of those of one instant; and only what has ended since.
    let (mut paged, mut last) = (Vec::new(), None);
    while let Some(job) = queue
        .untidy(i64::MIN, last.as_ref(), 1)
        .await
        .unwrap()
        .pop()
    {
        last = Some(job.clone());
        paged.push(job);
    }
    assert_eq!(paged, all);
    let ended = all.last().unwrap().ended_at.unwrap();
    assert_eq!(names(&found(ended).await), ["waits"]);
    assert!(found(ended + 1).await.is_empty());
}

async fn racing_workers_never_share_a_claim(place: impl Place) {
    const JOBS: usize = 40;
    let queue = place.queue().await;
    for number in 0..JOBS {
        add(
            &*queue,
            export(&format!("j{number:02}"), &format!("u{}", number % 5), 1),
        )
        .await;
    }
    // Each claim is an instant later and each lease three instants long: leases run out all the time.
    let clock = Arc::new((AtomicUsize::new(10), AtomicUsize::new(0)));
    let mut workers = Vec::new();
    for number in 0..4 {
        // Two of them share a connection, as two slots of a process do.
        let queue = if number < 2 {
            Arc::clone(&queue)
        } else {
            place.queue().await
        };
        let clock = Arc::clone(&clock);
        workers.push(tokio::spawn(async move {
            let (clock, ended) = &*clock;
            let mut claims = Vec::new();
            while ended.load(Ordering::SeqCst) < JOBS {
                let now = i64::try_from(clock.fetch_add(1, Ordering::SeqCst)).unwrap();
                let claim = Claim {
                    until: now + 3,
                    attempts: u32::MAX,
                    except: &[],
                    per_owner: 3,
                    ..claim(now)
                };
                let Some((job, fence)) = queue.claim(&claim).await.unwrap().job else {
                    continue;
                };
                // Every third claim dies.
                if now % 3 > 0 && queue.settle(&fence, done(), now).await.is_ok() {
                    ended.fetch_add(1, Ordering::SeqCst);
                }
                assert_eq!(job.epoch, fence.epoch);
                claims.push(fence);
            }
            claims
        }));
    }
    let mut claims = Vec::new();
    for worker in workers {
        claims.extend(worker.await.unwrap());
    }
    let different: HashSet<_> = claims.iter().collect();
    assert_eq!(different.len(), claims.len(), "each claim is one worker's");
    assert!(claims.len() > JOBS, "some were taken over");
    for number in 0..JOBS {
        let job = get(&*queue, &format!("j{number:02}")).await;
        let epochs = claims.iter().filter(|fence| fence.id == job.id).count() as u64;
        assert_eq!(
            (job.state, job.epoch),
            (JobState::Done, epochs),
            "{}",
            job.id
        );
    }
}

macro_rules! keeps_the_contract {
    ($name:ident: $place:ty) => {
        keeps_the_contract! { $name: $place:
            what_is_enqueued_is_what_is_claimed
            the_same_request_is_one_job_until_it_ends
            a_user_has_so_many_jobs_waiting
            the_longest_due_is_claimed_first
            a_user_at_the_limit_does_not_block_others
            who_slept_through_his_lease_is_refused
            record_end_and_what_follows_are_written_together
            a_dead_worker_has_so_many_successors
            a_failed_export_leaves_the_mail_about_it
            users_who_have_their_turn_leave_others_theirs
            jobs_are_cancelled_in_every_state
            what_failed_is_tried_again_when_it_is_time
            a_users_jobs_are_listed_in_pages
            jobs_are_counted_by_kind_and_state
            what_ended_without_a_file_is_forgotten
            sweeps_are_made_in_turns
            what_may_have_left_something_is_found
            racing_workers_never_share_a_claim
        }
    };
    ($name:ident: $place:ty: $($case:ident)*) => {
        mod $name {
            use super::Place;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(<$place>::new().await).await;
                }
            )*
        }
    };
}

keeps_the_contract!(embedded: super::Embedded);
keeps_the_contract!(live: super::Live);
