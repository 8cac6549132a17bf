//! One suite for every directory: the same workspace gives the same users, memberships and records, whatever keeps it.

use std::path::Path;
use std::sync::Arc;

use bson::{Bson, DateTime, Document, doc};
use export_room::store::directory::{Directory, LoginName, Subscription, TeamKind, User, UserId};
use export_room::store::mongo::{Load, MongoDatabase, MongoDirectory};
use export_room::store::sqlite::{SqliteDirectory, SqliteSource};
use export_room::store::user_data::{UserDataFile, UserDataFiles};
use export_room::store::{RawDoc, RoomId};
use rusqlite::Connection;

use crate::sources::{id_of, import_quietly};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::mongo::MongoPlace;

/// A directory under test, and what it lives in.
pub(crate) struct Subject {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) files: Arc<dyn UserDataFiles>,
    _place: Option<tempfile::TempDir>,
}

/// The workspace file.
pub(crate) fn sqlite(dump: &DumpBuilder) -> Subject {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("chat.db");
    import_quietly(&dump.write(Form::Directory, place.path()), &workspace);
    let directory = Arc::new(SqliteDirectory::open(&workspace).unwrap());
    Subject {
        directory: Arc::clone(&directory) as _,
        files: directory,
        _place: Some(place),
    }
}

/// A live database.
async fn live(dump: &DumpBuilder) -> Subject {
    let place = MongoPlace::new();
    place.load(dump).await;
    let database = MongoDatabase::connect(&place.uri(), Load::default())
        .await
        .unwrap();
    let directory = Arc::new(MongoDirectory::new(database));
    Subject {
        directory: Arc::clone(&directory) as _,
        files: directory,
        _place: None,
    }
}

async fn directory_contract(make: impl AsyncFn(&DumpBuilder) -> Subject) {
    users_are_found(&make).await;
    login_tokens_come_and_go(&make).await;
    rooms_and_places_in_them_are_found(&make).await;
    teams_departments_and_permissions_are_found(&make).await;
    settings_are_found(&make).await;
    records_are_found_and_removed(&make).await;
}

#[tokio::test]
async fn a_workspace_file_keeps_the_contract() {
    directory_contract(async |dump| sqlite(dump)).await;
}

#[tokio::test]
async fn a_live_database_keeps_the_contract() {
    directory_contract(async |dump| live(dump).await).await;
}

#[tokio::test]
async fn what_others_write_into_a_live_database_is_seen() {
    let mut dump = DumpBuilder::new();
    dump.add("users", &doc! {"_id": "u1", "username": "ann"});
    let place = MongoPlace::new();
    place.load(&dump).await;
    let database = MongoDatabase::connect(&place.uri(), Load::default())
        .await
        .unwrap();
    let directory = MongoDirectory::new(database);
    let tokens = |user: Option<User>| user.map(|user| user.tokens.len());
    assert_eq!(
        tokens(directory.user(&user_id("u1")).await.unwrap()),
        Some(0)
    );
    assert_eq!(tokens(directory.user(&user_id("u2")).await.unwrap()), None);
    // As another server does when they log in.
    let users = place.database().await.collection::<Document>("users");
    let token = doc! {"services": {"resume": {"loginTokens": [{"hashedToken": "h"}]}}};
    users
        .update_one(doc! {"_id": "u1"}, doc! {"$set": &token})
        .await
        .unwrap();
    users.insert_one(doc! {"_id": "u2"}).await.unwrap();
    let now = directory.user_now(&user_id("u1")).await.unwrap();
    assert_eq!(tokens(now), Some(1));
    assert_eq!(
        tokens(directory.user(&user_id("u1")).await.unwrap()),
        Some(1)
    );
    assert_eq!(
        tokens(directory.user(&user_id("u2")).await.unwrap()),
        Some(0)
    );
}

fn user_id(id: &str) -> UserId {
    UserId(id.to_owned())
}

fn room_id(id: &str) -> RoomId {
    RoomId(id.to_owned())
}

async fn user(subject: &Subject, id: &str) -> User {
    subject.directory.user(&user_id(id)).await.unwrap().unwrap()
}

async fn users_are_found(make: &impl AsyncFn(&DumpBuilder) -> Subject) {
    let mut dump = DumpBuilder::new();
    for (id, name, emails) in [
        ("u1", "Ann", vec!["Ann@X.test", "ann@home.test"]),
        ("u2", "ann", vec!["shared@x.test"]),
        ("u3", "ÉLODIE", vec!["shared@x.test"]),
        ("u4", "ben", vec!["ben@x.test", "BEN@x.test"]),
        ("u5", "ANN", vec![]),
    ] {
        let emails: Vec<Bson> = emails
            .into_iter()
            .map(|address| doc! {"address": address}.into())
            .collect();
        dump.add(
            "users",
            &doc! {"_id": id, "username": name, "emails": emails},
        );
    }
    dump.add("users", &doc! {"_id": "u6", "emails": null});
    let subject = make(&dump).await;
    let cases = [
        (LoginName::Username("Ann".to_owned()), Some("u1")),
        (LoginName::Username("ann".to_owned()), Some("u2")),
        // Several are meant, so nobody is.
        (LoginName::Username("aNN".to_owned()), None),
        (LoginName::Username("BEN".to_owned()), Some("u4")),
        (LoginName::Username("élodie".to_owned()), Some("u3")),
        (LoginName::Username("carl".to_owned()), None),
        (LoginName::Username(String::new()), None),
        (LoginName::Email("ann@x.TEST".to_owned()), Some("u1")),
        (LoginName::Email("ann@home.test".to_owned()), Some("u1")),
        (LoginName::Email("ben@x.test".to_owned()), Some("u4")),
        (LoginName::Email("shared@x.test".to_owned()), None),
        (LoginName::Email("nobody@x.test".to_owned()), None),
        (LoginName::Email("Ann".to_owned()), None),
    ];
    for (name, expected) in cases {
        let found = subject.directory.find_user(&name).await.unwrap();
        let found = found.map(|user| user.id.0);
        assert_eq!(found.as_deref(), expected, "{name:?}");
    }
    assert_eq!(user(&subject, "u6").await.username, None);
    let nobody = subject.directory.user(&user_id("u7")).await.unwrap();
    assert!(nobody.is_none());
}

fn token(hashed: &str, when: i64) -> Document {
    doc! {"when": DateTime::from_millis(when), "hashedToken": hashed}
}

async fn login_tokens_come_and_go(make: &impl AsyncFn(&DumpBuilder) -> Subject) {
    let personal = doc! {"type": "personalAccessToken", "createdAt": DateTime::from_millis(1), "hashedToken": "p"};
    let ann = |tokens: Vec<Document>, login: i64| {
        doc! {
            "_id": "ann", "username": "ann", "odd": [1, {"b": 2.5}], "lastLogin": DateTime::from_millis(login),
            "services": {"password": {"bcrypt": "x"}, "resume": {"loginTokens": tokens, "other": true}, "z": null},
            "last": 1_i64,
        }
    };
    let before = ann(
        vec![
            token("t10", 10),
            personal.clone(),
            token("t5", 5),
            token("t7", 7),
        ],
        0,
    );
    let mut dump = DumpBuilder::new();
    dump.add("users", &before);
    dump.add("users", &doc! {"_id": "new", "services": null});
    let subject = make(&dump).await;
    let stored = async |id| user(&subject, id).await.doc;
    let expected = |doc: Document| RawDoc(doc.to_vec().unwrap());
    let add = async |id, hashed, now, keep| {
        subject
            .directory
            .add_login_token(&user_id(id), hashed, now, keep)
            .await
            .unwrap();
    };
    let remove = async |id, hashed| {
        subject
            .directory
            .remove_login_token(&user_id(id), hashed)
            .await
            .unwrap();
    };

    let owner = async |hashed| {
        let owner = subject.directory.token_owner(hashed).await.unwrap();
        owner.map(|user| user.id.0)
    };

    remove("ann", "unknown").await;
    assert_eq!(stored("ann").await, expected(before));
    assert_eq!(owner("t20").await, None);
    add("ann", "t20", 20, 3).await;
    assert_eq!(owner("t20").await.as_deref(), Some("ann"));
    assert_eq!(owner("t10").await.as_deref(), Some("ann"));
    let left = vec![
        token("t10", 10),
        personal.clone(),
        token("t7", 7),
        token("t20", 20),
    ];
    assert_eq!(stored("ann").await, expected(ann(left, 20)));
    remove("ann", "t10").await;
    assert_eq!(owner("t10").await, None);
    let left = vec![personal.clone(), token("t7", 7), token("t20", 20)];
    assert_eq!(stored("ann").await, expected(ann(left, 20)));
    add("ann", "t21", 21, 1).await;
    let left = vec![personal, token("t21", 21)];
    assert_eq!(stored("ann").await, expected(ann(left, 21)));

    add("new", "t", 5, 50).await;
    let newcomer = user(&subject, "new").await;
    assert_eq!(newcomer.tokens.len(), 1);
    assert_eq!(
        (newcomer.tokens[0].hashed.as_str(), newcomer.tokens[0].when),
        ("t", Some(5))
    );
    // Somebody who is not there any more is nobody's error.
    add("gone", "t", 5, 50).await;
    remove("gone", "t").await;
}

async fn rooms_and_places_in_them_are_found(make: &impl AsyncFn(&DumpBuilder) -> Subject) {
    let mut dump = DumpBuilder::new();
    for id in ["b", "a", "d", "c"] {
        dump.add("rocketchat_room", &doc! {"_id": id, "t": "c"});
        let mut place =
            doc! {"_id": format!("s-{id}"), "rid": id, "u": {"_id": "ann"}, "roles": ["owner"]};
        if id == "c" {
            place.insert("status", "INVITED");
        }
        dump.add("rocketchat_subscription", &place);
    }
    // A room that is gone, and somebody else's place.
    dump.add(
        "rocketchat_subscription",
        &doc! {"_id": "s-gone", "rid": "gone", "u": {"_id": "ann"}},
    );
    dump.add(
        "rocketchat_subscription",
        &doc! {"_id": "s-ben", "rid": "a", "u": {"_id": "ben"}},
    );
    let subject = make(&dump).await;
    let directory = &subject.directory;
    let rooms = async |user: &str, after: Option<&str>, limit| {
        let after = after.map(room_id);
        directory
            .subscribed_rooms(&user_id(user), after.as_ref(), limit)
            .await
            .unwrap()
            .iter()
            .map(|room| id_of(&room.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(rooms("ann", None, 10).await, ["a", "b", "c", "d"]);
    assert_eq!(rooms("ann", None, 2).await, ["a", "b"]);
    assert_eq!(rooms("ann", Some("b"), 10).await, ["c", "d"]);
    assert_eq!(rooms("ben", None, 10).await, ["a"]);
    assert!(rooms("carl", None, 10).await.is_empty());

    let room = directory.room(&room_id("a")).await.unwrap().unwrap();
    assert_eq!(room.0, doc! {"_id": "a", "t": "c"}.to_vec().unwrap());
    assert_eq!(directory.room(&room_id("gone")).await.unwrap(), None);

    let place = async |room, user| {
        directory
            .subscription(&room_id(room), &user_id(user))
            .await
            .unwrap()
    };
    let roles = vec!["owner".to_owned()];
    let accepted = Subscription {
        roles: roles.clone(),
        pending: false,
    };
    let invited = Subscription {
        roles,
        pending: true,
    };
    assert_eq!(place("a", "ann").await, Some(accepted));
    assert_eq!(place("c", "ann").await, Some(invited));
    assert_eq!(place("a", "ben").await, Some(Subscription::default()));
    assert_eq!(place("b", "ben").await, None);
}

async fn teams_departments_and_permissions_are_found(make: &impl AsyncFn(&DumpBuilder) -> Subject) {
    let mut dump = DumpBuilder::new();
    dump.add("rocketchat_team", &doc! {"_id": "open", "type": 0});
    dump.add("rocketchat_team", &doc! {"_id": "closed", "type": 1});
    dump.add(
        "rocketchat_team_member",
        &doc! {"_id": "m", "teamId": "ab", "userId": "c"},
    );
    dump.add("rocketchat_team_member", &doc! {"_id": "odd", "teamId": 5});
    dump.add(
        "rocketchat_livechat_department_agents",
        &doc! {"_id": "a", "departmentId": "dep", "agentId": "ann"},
    );
    dump.add(
        "rocketchat_permissions",
        &doc! {"_id": "mail-messages", "roles": ["admin", "owner"]},
    );
    dump.add("rocketchat_permissions", &doc! {"_id": "odd", "roles": 5});
    let subject = make(&dump).await;
    let directory = &subject.directory;
    assert_eq!(
        directory.team("open").await.unwrap(),
        Some(TeamKind::Public)
    );
    assert_eq!(
        directory.team("closed").await.unwrap(),
        Some(TeamKind::Private)
    );
    assert_eq!(directory.team("gone").await.unwrap(), None);
    for (team, user, expected) in [("ab", "c", true), ("a", "bc", false), ("ab", "d", false)] {
        let found = directory.is_team_member(team, &user_id(user)).await;
        assert_eq!(found.unwrap(), expected, "{team} {user}");
    }
    for (department, user, expected) in [
        ("dep", "ann", true),
        ("dep", "ben", false),
        ("x", "ann", false),
    ] {
        let found = directory
            .is_department_agent(department, &user_id(user))
            .await;
        assert_eq!(found.unwrap(), expected, "{department} {user}");
    }
    let roles = async |permission| directory.permission_roles(permission).await.unwrap();
    assert_eq!(roles("mail-messages").await, ["admin", "owner"]);
    assert!(roles("odd").await.is_empty());
    assert!(roles("unknown").await.is_empty());
}

async fn settings_are_found(make: &impl AsyncFn(&DumpBuilder) -> Subject) {
    let mut dump = DumpBuilder::new();
    for setting in [
        doc! {"_id": "Site_Url", "value": "https://chat.example.org"},
        doc! {"_id": "Language", "value": ""},
        doc! {"_id": "Accounts_LoginExpiration", "value": 30.0},
        doc! {"_id": "UserData_EnableDownload", "value": false},
        doc! {"_id": "Unset", "value": null, "packageValue": "x"},
    ] {
        dump.add("rocketchat_settings", &setting);
    }
    let subject = make(&dump).await;
    let settings = subject
        .directory
        .settings(&[
            "Site_Url",
            "Language",
            "Accounts_LoginExpiration",
            "Unset",
            "Unknown",
            "UserData_EnableDownload",
        ])
        .await
        .unwrap();
    assert_eq!(settings.text("Site_Url"), Some("https://chat.example.org"));
    assert_eq!(settings.text("Language"), None);
    assert_eq!(settings.integer("Accounts_LoginExpiration"), Some(30));
    assert_eq!(settings.truth("UserData_EnableDownload"), Some(false));
    assert!(!settings.0.contains_key("Unset") && !settings.0.contains_key("Unknown"));
}

fn record(id: &str, created: i64) -> Document {
    doc! {
        "_id": id, "userId": "ann", "name": "x.zip", "size": 5, "store": "FileSystem:UserDataFiles", "complete": true,
        "createdAt": DateTime::from_millis(created), "exportRoom": {"job": id, "sha256": "ab"},
    }
}

fn ids(files: &[UserDataFile]) -> Vec<&str> {
    files.iter().map(|file| file.id.as_str()).collect()
}

async fn records_are_found_and_removed(make: &impl AsyncFn(&DumpBuilder) -> Subject) {
    let mut dump = DumpBuilder::new();
    for (id, created) in [("e3", 3), ("e1", 1), ("e2b", 2), ("e2", 2), ("e-1", -1)] {
        dump.add("rocketchat_user_data_files", &record(id, created));
    }
    let mut personal = record("personal", 0);
    personal.remove("exportRoom");
    dump.add("rocketchat_user_data_files", &personal);
    let subject = make(&dump).await;
    let files = &subject.files;
    let file = files.file("e1").await.unwrap().unwrap();
    assert_eq!(file.doc.0, record("e1", 1).to_vec().unwrap());
    assert_eq!(
        (file.owner, file.sha256.as_deref()),
        (user_id("ann"), Some("ab"))
    );
    assert!(files.file("personal").await.unwrap().is_some());
    assert_eq!(files.file("gone").await.unwrap(), None);
    let before = async |instant, limit| files.created_before(instant, None, limit).await.unwrap();
    assert_eq!(ids(&before(3, 10).await), ["e-1", "e1", "e2", "e2b"]);
    assert_eq!(ids(&before(100, 2).await), ["e-1", "e1"]);
    assert!(before(-1, 10).await.is_empty());
    // From page to page, also of those of one instant, although nothing of a page was removed.
    let (mut seen, mut last) = (Vec::new(), None);
    while let Some(file) = {
        let after = last.as_ref().map(|(at, id): &(i64, String)| (*at, &**id));
        files.created_before(4, after, 1).await.unwrap().pop()
    } {
        last = Some((file.created_at.unwrap(), file.id.clone()));
        seen.push(file.id);
    }
    assert_eq!(seen, ["e-1", "e1", "e2", "e2b", "e3"]);
    files.remove("e2b").await.unwrap();
    files.remove("e1").await.unwrap();
    files.remove("gone").await.unwrap();
    assert_eq!(files.file("e1").await.unwrap(), None);
    assert_eq!(ids(&before(3, 10).await), ["e-1", "e2"]);
}

#[tokio::test]
async fn another_import_keeps_records_and_replaces_what_it_has() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("chat.db");
    let mut first = DumpBuilder::new();
    first.add(
        "users",
        &doc! {"_id": "ann", "username": "ann", "emails": [{"address": "old@x.test"}]},
    );
    first.add("rocketchat_user_data_files", &record("ours", 1));
    let directory = place.path().join("first");
    import_quietly(&first.write(Form::Directory, &directory), &workspace);
    let served = SqliteDirectory::open(&workspace).unwrap();
    let mut second = DumpBuilder::new();
    second.add(
        "users",
        &doc! {"_id": "ann", "username": "anna", "emails": [{"address": "new@x.test"}]},
    );
    let directory = place.path().join("second");
    // Also beside a server that has the file open.
    import_quietly(&second.write(Form::Directory, &directory), &workspace);
    assert!(served.file("ours").await.unwrap().is_some());
    assert_eq!(
        ids(&served.created_before(2, None, 10).await.unwrap()),
        ["ours"]
    );
    for (name, found) in [
        (LoginName::Email("old@x.test".to_owned()), false),
        (LoginName::Email("new@x.test".to_owned()), true),
        (LoginName::Username("ANN".to_owned()), false),
        (LoginName::Username("ANNA".to_owned()), true),
    ] {
        let user = served.find_user(&name).await.unwrap();
        assert_eq!(user.is_some(), found, "{name:?}");
    }
}

#[tokio::test]
async fn a_file_of_an_older_program_is_served_as_well() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("chat.db");
    let mut dump = DumpBuilder::new();
    dump.add(
        "users",
        &doc! {"_id": "ann", "username": "ann", "emails": [{"address": "a@x.test"}]},
    );
    dump.add(
        "rocketchat_team_member",
        &doc! {"_id": "m", "teamId": "t", "userId": "ann"},
    );
    dump.add(
        "rocketchat_livechat_department_agents",
        &doc! {"_id": "a", "departmentId": "d", "agentId": "ann"},
    );
    dump.add("rocketchat_user_data_files", &record("e", 1));
    import_quietly(&dump.write(Form::Directory, place.path()), &workspace);
    Connection::open(&workspace)
        .unwrap()
        .execute_batch("DROP TABLE found_by")
        .unwrap();
    let served = SqliteDirectory::open(&workspace).unwrap();
    let ann = user_id("ann");
    let email = LoginName::Email("A@x.test".to_owned());
    assert!(served.find_user(&email).await.unwrap().is_some());
    assert!(served.is_team_member("t", &ann).await.unwrap());
    assert!(served.is_department_agent("d", &ann).await.unwrap());
    assert_eq!(
        ids(&served.created_before(2, None, 10).await.unwrap()),
        ["e"]
    );
}

#[test]
fn what_cannot_be_read_is_refused_in_the_same_words() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let sql = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    let dump = DumpBuilder::new().write(Form::Directory, place.path());
    sql(&path("other.db"), "CREATE TABLE x(y)");
    std::fs::write(path("text.db"), "no database").unwrap();
    import_quietly(&dump, &path("unfinished.db"));
    sql(&path("unfinished.db"), "UPDATE import SET finished = 0");
    import_quietly(&dump, &path("newer.db"));
    sql(&path("newer.db"), "PRAGMA user_version = 99");
    import_quietly(&dump, &path("older.db"));
    sql(&path("older.db"), "PRAGMA user_version = 1");
    for (name, part) in [
        ("gone.db", "there is no"),
        ("text.db", "no SQLite database"),
        ("other.db", "another program's SQLite database"),
        ("unfinished.db", "is not finished; run `export-room import`"),
        ("newer.db", "made by a newer Export Room"),
        ("older.db", "import the dump again into a new file"),
    ] {
        let read = SqliteSource::open(&path(name)).unwrap_err().to_string();
        let served = SqliteDirectory::open(&path(name)).unwrap_err().to_string();
        assert!(read.contains(part), "{name}: {read}");
        assert_eq!(served, read, "{name}");
    }
    // Nobody has touched what is not ours.
    assert!(!path("gone.db").exists());
    assert!(!path("other.db-wal").exists());
}
