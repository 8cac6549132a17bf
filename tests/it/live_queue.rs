//! The queue of a live database when the database is slow, or refuses a part of what is asked for.

use std::sync::Arc;

use bson::{Document, doc};
use export_room::jobs::{
    Claim, Enqueued, Fence, JobQueue, JobState, NewJob, Outcome, ReadyMailWork, Settlement, Work,
};

use crate::live::{CLAIM, RECORDS, SETTINGS, all, fill, home, job, queue, request};
use crate::queue_contract::record;
use crate::support::mongo::{MongoPlace, MongoServer};
use crate::support::server::{ADMIN, Server, wait_for, world};

async fn place(server: &MongoServer) -> MongoPlace {
    let place = server.place();
    place.load(&world()).await;
    place
}

/// How a job ends whose record is written, and then a mail.
fn done(fence: &Fence) -> Settlement {
    let name = &fence.id.0;
    Settlement::Done {
        outcome: Outcome::default(),
        file: Some(record(name, "S")),
        then: vec![NewJob {
            work: Work::ReadyMail(ReadyMailWork {
                export: fence.id.clone(),
            }),
            ..job(&format!("{name}-mail"))
        }],
    }
}

/// A job that has ended, and what it leaves is not written.
async fn ended_without_its_record(place: &MongoPlace, queue: &impl JobQueue, name: &str) -> Fence {
    queue.enqueue(&job(name), 1, 100).await.unwrap();
    let (_, fence) = queue.claim(&CLAIM).await.unwrap().job.unwrap();
    let how = doc! {"failCommands": ["insert"], "errorCode": 13};
    place.fail(doc! {"times": 1}, how).await;
    let settled = queue.settle(&fence, done(&fence), 20).await;
    settled.unwrap_err();
    let jobs = place.database().await;
    let jobs = jobs.collection::<Document>("export_room_jobs");
    let ended = jobs.find_one(doc! {"_id": name}).await.unwrap().unwrap();
    assert_eq!(ended.get_str("state").unwrap(), "done");
    assert!(ended.get_document("pending").is_ok());
    fence
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_that_an_export_is_done_finds_it() {
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let queue = queue(&place).await;
    let fence = ended_without_its_record(&place, &queue, "first").await;
    let database = place.database().await;
    assert_eq!(all(&database, RECORDS).await, []);
    let told = queue.job(&fence.id).await.unwrap().unwrap();
    assert_eq!(told.state, JobState::Done);
    assert_eq!(all(&database, RECORDS).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_leaves_nothing_that_was_still_to_be_written() {
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let queue = queue(&place).await;
    let fence = ended_without_its_record(&place, &queue, "first").await;
    assert!(queue.remove(&fence.id).await.unwrap());
    // As whoever looks for work finds it.
    assert_eq!(queue.claim(&CLAIM).await.unwrap().job, None);
    let database = place.database().await;
    assert_eq!(all(&database, RECORDS).await, []);
    assert_eq!(all(&database, "export_room_jobs").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_while_its_record_is_written_leaves_none() {
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let queue = Arc::new(queue(&place).await);
    queue.enqueue(&job("first"), 1, 100).await.unwrap();
    let (_, fence) = queue.claim(&CLAIM).await.unwrap().job.unwrap();
    // Long enough to remove the job before the record comes.
    let how = doc! {"failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 4000};
    place.fail(doc! {"times": 1}, how).await;
    let settled = tokio::spawn({
        let (queue, fence) = (Arc::clone(&queue), fence.clone());
        async move { queue.settle(&fence, done(&fence), 20).await }
    });
    while !queue.remove(&fence.id).await.unwrap() {
        tokio::task::yield_now().await;
    }
    assert_eq!(settled.await.unwrap().unwrap(), JobState::Done);
    let database = place.database().await;
    assert_eq!(all(&database, RECORDS).await, []);
    assert_eq!(all(&database, "export_room_jobs").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_its_owner_removes_is_gone_although_its_record_was_not_written() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    fill(&place, &[]).await;
    let settings = [&SETTINGS[..], &["jobs.workers=0"]].concat();
    let api = Server::start_at(home(), &place.address, &settings);
    let id = api.export(ADMIN, &request());
    let queue = queue(&place).await;
    let now = 4_000_000_000_000;
    let claim = Claim {
        now,
        until: now + 1000,
        ..CLAIM
    };
    let (_, fence) = queue.claim(&claim).await.unwrap().job.unwrap();
    let how = doc! {"failCommands": ["insert"], "errorCode": 13};
    place.fail(doc! {"times": 1000}, how).await;
    queue.settle(&fence, done(&fence), now).await.unwrap_err();
    let removed = api.post(
        "/api/v1/rooms.export.delete",
        Some(ADMIN),
        &serde_json::json!({"id": id}),
    );
    assert_eq!(removed.text(), r#"{"success":true}"#, "{}", api.log());
    place.heal().await;
    assert_eq!(queue.claim(&claim).await.unwrap().job, None);
    let database = place.database().await;
    assert_eq!(all(&database, RECORDS).await, []);
    let jobs = database.collection::<Document>("export_room_jobs");
    let left = jobs.find_one(doc! {"owner": ADMIN.0}).await.unwrap();
    assert_eq!(left, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_keeps_nobody_from_other_work() {
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let queue = queue(&place).await;
    ended_without_its_record(&place, &queue, "first").await;
    queue.enqueue(&job("second"), 1, 100).await.unwrap();
    let how = doc! {"failCommands": ["insert"], "errorCode": 13};
    place.fail(doc! {"times": 1000}, how).await;
    let (claimed, _) = queue.claim(&CLAIM).await.unwrap().job.unwrap();
    assert_eq!(claimed.id.0, "second");
    place.heal().await;
    let records = place.database().await.collection::<Document>(RECORDS);
    let found = async || records.find_one(doc! {"_id": "first"}).await.unwrap();
    // Not at once, but after a while.
    queue.claim(&CLAIM).await.unwrap();
    assert_eq!(found().await, None);
    let later = Claim {
        now: CLAIM.now + 60_000,
        ..CLAIM
    };
    queue.claim(&later).await.unwrap();
    assert!(found().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_begins_when_the_job_is_taken() {
    const SLOW: i64 = 1500;
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let queue = queue(&place).await;
    queue.enqueue(&job("first"), 1, 100).await.unwrap();
    let how = doc! {"failCommands": ["find"], "blockConnection": true, "blockTimeMS": SLOW};
    place.fail(doc! {"times": 1}, how).await;
    let (claimed, _) = queue.claim(&CLAIM).await.unwrap().job.unwrap();
    let until = claimed.lease_until.unwrap();
    assert!(until >= CLAIM.until + SLOW, "{until}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_job_that_may_be_taken_back() {
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let queue = queue(&place).await;
    let asked = NewJob {
        same: Some("the same".to_owned()),
        ..job("first")
    };
    let again = NewJob {
        id: job("second").id,
        ..asked.clone()
    };
    queue.enqueue(&asked, 1, 100).await.unwrap();
    // The majority does not have it yet, as far as the server can say.
    let unconfirmed = doc! {"code": 64, "errmsg": "waiting for replication timed out"};
    for command in ["insert", "findAndModify"] {
        let how = doc! {"failCommands": [command], "writeConcernError": &unconfirmed};
        place.fail(doc! {"times": 1000}, how).await;
        let job = if command == "insert" {
            &job("third")
        } else {
            &again
        };
        let told = queue.enqueue(job, 1, 100).await;
        assert!(told.is_err(), "{command}: {told:?}");
        place.heal().await;
    }
    let told = queue.enqueue(&again, 1, 100).await.unwrap();
    let first = Enqueued {
        id: asked.id,
        existing: true,
    };
    assert_eq!(told, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_server_is_ready_is_asked_without_counting_jobs() {
    let server = MongoServer::start(&[]);
    let place = place(&server).await;
    let api = Server::start_at(home(), &place.address, &["jobs.workers=0"]);
    let how = doc! {"failCommands": ["aggregate"], "errorCode": 13};
    place.fail(doc! {"times": 1000}, how).await;
    assert_eq!(api.get("/metrics", None).status, 500);
    assert_eq!(api.get("/health/ready", None).status, 200);
    place.heal().await;
    // A count that failed is not kept.
    assert_eq!(api.get("/metrics", None).status, 200);
    let how = doc! {"failCommands": ["find"], "errorCode": 13};
    place.fail(doc! {"times": 1000}, how).await;
    wait_for("readiness to be looked at again", || {
        (api.get("/health/ready", None).status == 503).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_before_rocket_chat_waits_for_it() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    let home = home();
    let mut command = crate::support::server::work_at(home.path(), &place.address, &SETTINGS);
    let mut worker = command.spawn().unwrap();
    let log = || std::fs::read_to_string(home.path().join("log")).unwrap();
    let said = |words: &str| log().contains(words).then_some(());
    wait_for("it to wait", || said("the workspace is not there yet"));
    assert!(log().contains("is it the database of its MONGO_URL?"));
    fill(&place, &[]).await;
    wait_for("it to work", || said("worker started"));
    crate::support::server::signal(&worker, "TERM");
    let ended = wait_for("it to stop", || worker.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0), "{}", log());
    // Who is asked to stop waits no longer.
    let elsewhere = server.place();
    let home = self::home();
    let mut command = crate::support::server::work_at(home.path(), &elsewhere.address, &SETTINGS);
    let mut worker = command.spawn().unwrap();
    let log = || std::fs::read_to_string(home.path().join("log")).unwrap();
    wait_for("it to wait", || {
        log()
            .contains("the workspace is not there yet")
            .then_some(())
    });
    crate::support::server::signal(&worker, "TERM");
    let ended = wait_for("it to stop", || worker.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0), "{}", log());
}
