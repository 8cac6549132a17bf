//! A live Rocket.Chat database, read with the official driver.
//!
//! Responsible for the connection: which server answers, how long it may take, what is asked again, and that neither errors
//! nor logs carry the secrets of the address. What is asked is in the files below; no value of others is ever part of a query but as a text.

mod brief;
pub(crate) mod directory;
pub mod fetch;
mod messages;
mod source;
mod tries;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures_util::{StreamExt, TryStreamExt};
use mongodb::action::Find;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{
    ClientOptions, CollectionOptions, ConnectionString, DatabaseOptions, FindOneOptions,
    FindOptions, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, ClientSession, Collection, Database};
use transcript::bson::Doc;

pub use self::directory::MongoDirectory;
pub use self::source::MongoSource;
use self::tries::{Lost, Tries};
use super::directory::setting_value;
use super::{RawDoc, StoreError};
use crate::clock::Clock;
use crate::network::Uri;
use crate::tls;

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// For a server that may answer to be found: longer than a replica set takes to elect another primary (its default is
/// about 10 seconds).
const SELECT: Duration = Duration::from_secs(20);
/// For one answer, however busy the server is, unless the address says `socketTimeoutMS`. The driver itself waits for ever
/// for a server that says nothing.
const ANSWER: Duration = Duration::from_mins(1);
/// How long questions are asked again for which an export waits.
const PERSIST: Duration = Duration::from_mins(3);
/// The same for those that walk through a whole room, whose answer may take long by itself.
const PERSIST_WALKING: Duration = Duration::from_mins(30);
/// How many times as long as before an answer to such a question is waited for when there was none.
const LONGER: u32 = 4;
/// So long the primary is asked for everything when another member has not answered.
const PRIMARY_FOR: Duration = Duration::from_mins(10);
/// Name of this program in the server's log and in its list of operations.
const APP_NAME: &str = "export-room";
/// The server's numbers for what went wrong (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
pub(crate) mod code {
    /// The user may not do this.
    pub(crate) const UNAUTHORIZED: i32 = 13;
    /// There is no such user, or the password is another one.
    pub(crate) const AUTHENTICATION_FAILED: i32 = 18;
    /// A unique index has such a key already.
    pub(crate) const DUPLICATE_KEY: i32 = 11000;
    /// The server's disk is full.
    pub(crate) const OUT_OF_DISK_SPACE: i32 = 14031;
}
/// Errors after which the same question may be answered: a server that steps down, restarts, was too busy or has forgotten
/// a cursor.
const PASSING: &[i32] = &[
    6,     // HostUnreachable
    7,     // HostNotFound
    43,    // CursorNotFound
    50,    // MaxTimeMSExpired
    63,    // StaleShardVersion
    64,    // WriteConcernFailed
    89,    // NetworkTimeout
    91,    // ShutdownInProgress
    112,   // WriteConflict
    133,   // FailedToSatisfyReadPreference
    134,   // ReadConcernMajorityNotAvailableYet
    136,   // CappedPositionLost
    150,   // StaleEpoch
    175,   // QueryPlanKilled
    189,   // PrimarySteppedDown
    202,   // NetworkInterfaceExceededTimeLimit
    237,   // CursorKilled
    262,   // ExceededTimeLimit
    9001,  // SocketException
    10107, // NotWritablePrimary
    11600, // InterruptedAtShutdown
    11601, // Interrupted
    11602, // InterruptedDueToReplStateChange
    13388, // StaleConfig
    13435, // NotPrimaryNoSecondaryOk
    13436, // NotPrimaryOrSecondary
];

/// How much of a live server a read of messages takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Documents that are asked for at a time.
    pub batch: u32,
    /// Wait between two batches.
    pub pause: Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            batch: 1000,
            pause: Duration::ZERO,
        }
    }
}

/// A connected Rocket.Chat database.
#[derive(Clone)]
pub struct MongoDatabase {
    /// Answers of any member, for what may be some seconds old: as the address says, else secondaries first.
    relaxed: Database,
    /// Answers of the primary while there is one, for what decides.
    current: Database,
    uri: Uri,
    load: Load,
    /// How long is waited for an answer, and for a server that may give it.
    patience: Duration,
    client: Client,
    /// What relaxed reads must have seen, in the replica set's own time; see [`MongoDatabase::look`].
    seen: Arc<Mutex<Option<Timestamp>>>,
    /// When that was, in milliseconds.
    looked_at: Arc<AtomicI64>,
    /// Until when the primary is asked for everything.
    primary_until: Arc<Mutex<Option<Instant>>>,
    /// Whether the address wants secondaries and nothing else.
    never_primary: bool,
    /// How long questions are asked again that change nothing.
    persist: Duration,
}

impl fmt::Debug for MongoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoDatabase({})", self.uri)
    }
}

impl MongoDatabase {
    /// Connects and looks whether it is a Rocket.Chat's database.
    ///
    /// [`StoreError::NotOurs`] when the address is none or names no database, [`StoreError::NotFilled`] when that is
    /// Rocket.Chat's not yet, or something else's.
    pub async fn connect(uri: &Uri, load: Load) -> Result<Self, StoreError> {
        tls::install();
        let strange = |error: Error| {
            StoreError::NotOurs(
                uri.censor(&format!("{uri} is no usable address: {}", said(&error))),
            )
        };
        let mut address = ConnectionString::parse(uri.reveal()).map_err(strange)?;
        #[expect(
            deprecated,
            reason = "the driver knows it and refuses it; what it asks for is kept here"
        )]
        let answer = address.socket_timeout.take().unwrap_or(ANSWER);
        let mut options = ClientOptions::parse(address).await.map_err(strange)?;
        options.app_name.get_or_insert_with(|| APP_NAME.to_owned());
        options.connect_timeout.get_or_insert(CONNECT);
        let select = *options.server_selection_timeout.get_or_insert(SELECT);
        let Some(name) = options.default_database.clone() else {
            return Err(StoreError::NotOurs(format!(
                "{uri} names no database; say it after the host, for example mongodb://HOST/rocketchat, as in Rocket.Chat's MONGO_URL"
            )));
        };
        let relaxed = options.selection_criteria.take().unwrap_or_else(|| {
            ReadPreference::SecondaryPreferred {
                options: Option::default(),
            }
            .into()
        });
        let never_primary = matches!(
            relaxed,
            SelectionCriteria::ReadPreference(ReadPreference::Secondary { .. })
        );
        let client = Client::with_options(options).map_err(strange)?;
        let database = |criteria: SelectionCriteria| {
            let options = DatabaseOptions::builder()
                .selection_criteria(criteria)
                .build();
            client.database_with_options(&name, options)
        };
        let connected = Self {
            relaxed: database(relaxed),
            current: database(
                ReadPreference::PrimaryPreferred {
                    options: Option::default(),
                }
                .into(),
            ),
            uri: uri.clone(),
            load,
            patience: answer.saturating_add(select),
            client: client.clone(),
            seen: Arc::default(),
            looked_at: Arc::new(AtomicI64::new(i64::MAX)),
            primary_until: Arc::default(),
            never_primary,
            persist: Duration::ZERO,
        };
        for collection in ["rocketchat_room", "rocketchat_settings"] {
            let found = connected.one(collection, doc! {}).await?;
            if found.is_some() {
                return Ok(connected);
            }
        }
        Err(StoreError::NotFilled(format!(
            "{uri} has no rooms and no settings of Rocket.Chat; is it the database of its MONGO_URL?"
        )))
    }

    /// The address, without its password.
    pub fn describe(&self) -> String {
        self.uri.to_string()
    }

    /// The same database for what an export waits for: look-ups survive elections and restarts as reads of messages do.
    /// Without it they fail after what the driver does by itself, so that a request is answered soon.
    pub(crate) fn persistent(&self) -> Self {
        Self {
            persist: PERSIST,
            ..self.clone()
        }
    }

    /// How much of the server reads of messages may take.
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    /// How long is waited for one answer, elections included.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Asks how far the primary is, and what time it has, in milliseconds. Whatever is read with
    /// [`MongoDatabase::session`] afterwards is at least as new, on whichever member: one that lags behind waits until it is.
    pub(crate) async fn look(&self) -> Result<i64, StoreError> {
        let primary: SelectionCriteria = ReadPreference::PrimaryPreferred {
            options: Option::default(),
        }
        .into();
        let question = self
            .current
            .run_command(doc! {"hello": 1})
            .selection_criteria(primary);
        let answer = self.ask("hello", async { question.await }).await?;
        // A server alone has none, and needs none.
        if let Ok(now) = answer.get_timestamp("operationTime") {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen = (*seen).max(Some(now));
        }
        let time = answer.get_datetime("localTime");
        let time = time.map_err(|error| odd("hello", &error.to_string()))?;
        let time = time.timestamp_millis();
        self.looked_at.store(time, Ordering::Relaxed);
        Ok(time)
    }

    /// Whether what is later than an instant has come since [`MongoDatabase::look`], so that it is not much.
    pub(crate) fn is_recent(&self, instant: i64) -> bool {
        instant >= self.looked_at.load(Ordering::Relaxed)
    }

    /// A session whose reads wait for what was looked for; `None` where nothing was, or the server is alone.
    pub(crate) async fn session(&self) -> Result<Option<ClientSession>, Error> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = seen else { return Ok(None) };
        let mut session = self.client.start_session().causal_consistency(true).await?;
        session.advance_operation_time(seen);
        Ok(Some(session))
    }

    /// A collection, read from whichever member the address prefers; for a while from the primary, when another member has
    /// not answered: one that lags behind for longer than an answer may take would never do.
    pub(crate) fn relaxed(&self, name: &str) -> Collection<RawDocumentBuf> {
        let until = *self.primary_until();
        match until {
            Some(until) if Instant::now() < until => self.current(name),
            _ => self.relaxed.collection(name),
        }
    }

    fn primary_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        let until = &self.primary_until;
        until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member has not answered: from now on the primary is asked.
    fn prefer_primary(&self, collection: &str) {
        if self.never_primary {
            return;
        }
        let now = Instant::now();
        let mut until = self.primary_until();
        let is_news = until.is_none_or(|until| until <= now);
        *until = Some(now + PRIMARY_FOR);
        if is_news {
            crate::telemetry::primary_asked();
            tracing::warn!(
                collection,
                minutes = PRIMARY_FOR.as_secs() / 60,
                "a member of the replica set does not answer; the primary is asked for a while"
            );
        }
    }

    /// A collection, read from the primary while there is one; writes always go there.
    pub(crate) fn current(&self, name: &str) -> Collection<RawDocumentBuf> {
        self.current.collection(name)
    }

    /// A collection of documents that decide: read from the primary, and written so that no election takes it back.
    pub(crate) fn durable(&self, name: &str) -> Collection<Document> {
        let options = CollectionOptions::builder()
            .selection_criteria(SelectionCriteria::from(ReadPreference::Primary))
            .write_concern(WriteConcern::majority())
            .build();
        self.current.collection_with_options(name, options)
    }

    /// How far the server's clock is ahead of ours, in milliseconds. All processes of a queue share that one.
    pub(crate) async fn clock_ahead(&self, clock: Clock) -> Result<i64, StoreError> {
        let asked = clock.now();
        let question = self.current.run_command(doc! {"hello": 1});
        let answer = self.ask("hello", async { question.await }).await?;
        let middle = asked + (clock.now() - asked) / 2;
        let time = answer.get_datetime("localTime");
        Ok(time.map_or(0, |time| time.timestamp_millis() - middle))
    }

    /// The same as [`MongoDatabase::ask`]; `None` when a unique index refuses what is to be written.
    pub(crate) async fn ask_unless_taken<T>(
        &self,
        what: &str,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, StoreError> {
        match tokio::time::timeout(self.patience, question).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) if code_of(&error) == Some(code::DUPLICATE_KEY) => Ok(None),
            Ok(Err(error)) => Err(self.failed(what, &error)),
            Err(_) => Err(self.silent(what)),
        }
    }

    /// Waits for an answer of the server, but not for ever, and says what went wrong.
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.patience, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(what, &error)),
            Err(_) => Err(self.silent(what)),
        }
    }

    /// The same for a question that changes nothing: it is asked again while that may help, see
    /// [`MongoDatabase::persistent`].
    pub(crate) async fn read<T, F>(
        &self,
        what: &str,
        question: impl Fn() -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        self.read_within(what, Tries::during(self.persist), 1, question)
            .await
    }

    /// The same for a question that walks through a whole room: where there was no answer, a longer time is given for it.
    pub(crate) async fn walk<T, F>(
        &self,
        what: &str,
        question: impl Fn() -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let persist = if self.persist.is_zero() {
            self.persist
        } else {
            PERSIST_WALKING
        };
        self.read_within(what, Tries::during(persist), LONGER, question)
            .await
    }

    async fn read_within<T, F>(
        &self,
        what: &str,
        mut tries: Tries,
        longer: u32,
        question: impl Fn() -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut patience = self.patience;
        loop {
            let lost = match tokio::time::timeout(patience, question()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => Lost::of(self, what, &error),
                Err(_) => {
                    patience = patience.saturating_mul(longer);
                    Lost::silent(self, what)
                }
            };
            if self.persist.is_zero() {
                return Err(lost.error);
            }
            let wait = tries.lost(what, lost)?;
            tokio::time::sleep(wait).await;
        }
    }

    /// The first document that matches, from the primary while there is one.
    pub(crate) async fn one(
        &self,
        collection: &str,
        filter: Document,
    ) -> Result<Option<RawDoc>, StoreError> {
        let documents = &self.current(collection);
        let filter = &filter;
        let question = || async move { documents.find_one(filter.clone()).await };
        let found = self.read(collection, question).await?;
        Ok(found.map(|doc| RawDoc(doc.into_bytes())))
    }

    /// The first document that matches in an order, from whichever member the address prefers.
    pub(crate) async fn first(
        &self,
        collection: &str,
        filter: Document,
        options: FindOneOptions,
    ) -> Result<Option<RawDoc>, StoreError> {
        let (filter, options) = (&filter, &options);
        let question = || async move {
            let documents = self.relaxed(collection);
            let question = documents
                .find_one(filter.clone())
                .with_options(options.clone());
            match &mut self.session().await? {
                Some(session) => question.session(session).await,
                None => question.await,
            }
        };
        let found = self.read(collection, question).await?;
        Ok(found.map(|doc| RawDoc(doc.into_bytes())))
    }

    /// The document with this `_id`.
    pub(crate) async fn by_id(
        &self,
        collection: &str,
        id: &str,
    ) -> Result<Option<RawDoc>, StoreError> {
        self.one(collection, doc! {"_id": id}).await
    }

    /// Calls `visit` with every document that is found, until it answers `false`; documents are small and asked for in
    /// batches. What is lost before the first of them came is asked again.
    pub(crate) async fn each(
        &self,
        collection: &Collection<RawDocumentBuf>,
        filter: Document,
        options: FindOptions,
        visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let rest = |last: Option<&[u8]>| last.is_none().then(|| filter.clone());
        self.each_of_rest(collection, options, rest, visit).await
    }

    /// The same where `rest` tells, by the last document that was visited, the filter of those that were not.
    pub(crate) async fn each_of_rest(
        &self,
        collection: &Collection<RawDocumentBuf>,
        options: FindOptions,
        rest: impl Fn(Option<&[u8]>) -> Option<Document>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut last: Option<Vec<u8>> = None;
        let mut tries = Tries::during(self.persist);
        let mut filter = rest(None);
        while let Some(asked) = filter {
            let question = collection.find(asked).with_options(options.clone());
            let before = last.clone();
            let Err(broken) = self
                .visit_all(question, collection.name(), &mut last, &mut visit)
                .await
            else {
                return Ok(());
            };
            if last != before {
                tries = Tries::during(self.persist);
            }
            filter = rest(last.as_deref());
            if self.persist.is_zero() || filter.is_none() {
                return Err(broken.error);
            }
            let wait = tries.lost(collection.name(), broken)?;
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    async fn visit_all(
        &self,
        question: Find<'_, RawDocumentBuf>,
        name: &str,
        last: &mut Option<Vec<u8>>,
        visit: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Lost> {
        let broken = |error: &Error| Lost::of(self, name, error);
        let silent = |_| Lost::silent(self, name);
        let opened = async { question.batch().await };
        let mut cursor = tokio::time::timeout(self.patience, opened)
            .await
            .map_err(silent)?
            .map_err(|error| broken(&error))?;
        while let Some(batch) = tokio::time::timeout(self.patience, cursor.next())
            .await
            .map_err(silent)?
        {
            let batch = batch.map_err(|error| broken(&error))?;
            let mut newest = None;
            for doc in batch.doc_slices().map_err(|error| broken(&error))? {
                let doc = document(doc).map_err(|reason| odd(name, &reason))?;
                if !visit(doc) {
                    return Ok(());
                }
                newest = Some(doc);
            }
            if let Some(newest) = newest {
                *last = Some(newest.to_vec());
            }
        }
        Ok(())
    }

    /// All documents that are found; for questions with a small answer.
    pub(crate) async fn all(
        &self,
        collection: &Collection<RawDocumentBuf>,
        filter: Document,
        options: FindOptions,
    ) -> Result<Vec<RawDoc>, StoreError> {
        let mut found = Vec::new();
        self.each(collection, filter, options, |doc| {
            found.push(RawDoc(doc.to_vec()));
            true
        })
        .await?;
        Ok(found)
    }

    /// The settings with these ids, those that have a value.
    pub(crate) async fn settings(&self, ids: &[&str]) -> Result<HashMap<String, Bson>, StoreError> {
        let collection = self.current("rocketchat_settings");
        let filter = doc! {"_id": {"$in": ids}};
        let mut settings = HashMap::new();
        self.each(&collection, filter, FindOptions::default(), |setting| {
            let id = Doc::new(setting).ok().and_then(|doc| doc.text("_id"));
            if let (Some(id), Some(value)) = (id, setting_value(setting)) {
                settings.insert(id.to_str().into_owned(), value);
            }
            true
        })
        .await?;
        Ok(settings)
    }

    /// How many documents a filter finds.
    pub(crate) async fn count(
        &self,
        collection: &str,
        filter: Document,
    ) -> Result<u64, StoreError> {
        let filter = &filter;
        self.walk(collection, || async move {
            let documents = self.relaxed(collection);
            let question = documents.count_documents(filter.clone());
            match &mut self.session().await? {
                Some(session) => question.session(session).await,
                None => question.await,
            }
        })
        .await
    }

    /// The groups that an aggregation makes; for those that make few.
    pub(crate) async fn groups(
        &self,
        collection: &str,
        stages: &[Document],
    ) -> Result<Vec<Document>, StoreError> {
        self.walk(collection, || async move {
            let documents = self.relaxed(collection);
            let question = documents.aggregate(stages.iter().cloned());
            match &mut self.session().await? {
                Some(session) => {
                    let mut cursor = question.session(&mut *session).await?;
                    cursor.stream(session).try_collect().await
                }
                None => question.await?.try_collect().await,
            }
        })
        .await
    }

    /// What went wrong, without the password.
    pub(crate) fn failed(&self, what: &str, error: &Error) -> StoreError {
        let hint = match code_of(error) {
            Some(code::UNAUTHORIZED) => {
                "; the database's user may not do this: grant it what docs/operating.md lists"
            }
            Some(code::AUTHENTICATION_FAILED) => "; correct user and password in the address",
            None if matches!(*error.kind, ErrorKind::ServerSelection { .. }) => {
                "; is the server running, and may this machine reach it?"
            }
            _ => "",
        };
        StoreError::Server(self.uri.censor(&format!("{what}: {}{hint}", said(error))))
    }

    /// The server does not say anything.
    pub(crate) fn silent(&self, what: &str) -> StoreError {
        StoreError::Server(format!(
            "{what}: {} has not answered for {} seconds",
            self.uri,
            self.patience.as_secs()
        ))
    }
}

/// An answer of the server that no server gives.
pub(crate) fn odd(what: &str, reason: &str) -> StoreError {
    StoreError::Server(format!("{what}: the answer cannot be read: {reason}"))
}

/// The bytes of a document in a batch.
fn document(value: Result<bson::RawBsonRef<'_>, bson::error::Error>) -> Result<&[u8], String> {
    match value {
        Ok(bson::RawBsonRef::Document(doc)) => Ok(doc.as_bytes()),
        Ok(_) => Err("what should be a document is none".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What the server or the driver says, without the driver's own frame.
fn said(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(refusal) => format!("{} ({})", refusal.message, refusal.code_name),
        ErrorKind::Authentication { message, .. }
        | ErrorKind::ServerSelection { message, .. }
        | ErrorKind::InvalidArgument { message, .. } => message.clone(),
        kind => kind.to_string(),
    }
}

/// The server's number for what went wrong, of the operation or of a write in it.
pub(crate) fn code_of(error: &Error) -> Option<i32> {
    use mongodb::error::WriteFailure;
    match &*error.kind {
        ErrorKind::Command(refusal) => Some(refusal.code),
        ErrorKind::Write(WriteFailure::WriteError(refusal)) => Some(refusal.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(refusal)) => Some(refusal.code),
        ErrorKind::InsertMany(refusals) => {
            let first = refusals.write_errors.as_ref().and_then(|all| all.first());
            let unconfirmed = refusals.write_concern_error.as_ref();
            first
                .map(|refusal| refusal.code)
                .or(unconfirmed.map(|refusal| refusal.code))
        }
        _ => None,
    }
}

/// Whether asking again may help.
pub(crate) fn is_passing(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. } => true,
        _ => code_of(error).is_some_and(|code| PASSING.contains(&code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_no_majority_has_yet_may_be_made_again() {
        let of = |refusals: Document| {
            let refusals = bson::deserialize_from_document(refusals).unwrap();
            Error::from(ErrorKind::InsertMany(refusals))
        };
        let unconfirmed = doc! {"writeConcernError": {"code": 91, "errmsg": "shutting down"}};
        let taken = doc! {"writeErrors": [{"index": 0, "code": 11000, "errmsg": "taken"}]};
        let mut both = taken.clone();
        both.extend(unconfirmed.clone());
        for (refusals, code, passing) in [
            (unconfirmed, Some(91), true),
            (taken, Some(code::DUPLICATE_KEY), false),
            (both, Some(code::DUPLICATE_KEY), false),
        ] {
            let error = of(refusals);
            assert_eq!((code_of(&error), is_passing(&error)), (code, passing));
        }
    }
}
