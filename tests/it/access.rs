//! Who may do what: every rule of access with those who are let in, and everybody else who is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bson::{Document, doc};
use export_room::access::{Access, Decision};
use export_room::store::RoomId;
use export_room::store::directory::{Directory, RoomAccess, User, UserId};
use export_room::store::dump::Dump;
use tokio_util::sync::CancellationToken;

use crate::directory::sqlite;
use crate::sources::id_of;
use crate::support::dump::{DumpBuilder, shared_workspace};

async fn user(directory: &Arc<dyn Directory>, id: &str) -> User {
    directory
        .user(&UserId(id.to_owned()))
        .await
        .unwrap()
        .unwrap()
}

fn room(id: &str) -> RoomId {
    RoomId(id.to_owned())
}

/// Checks for each room that these and only these of all users may open it.
async fn assert_open(
    directory: &Arc<dyn Directory>,
    users: &[(&str, &str)],
    rooms: &[(&str, &[&str])],
) {
    let access = Access::new(Arc::clone(directory), false);
    for (id, expected) in rooms {
        let doc = directory.room(&room(id)).await.unwrap().unwrap();
        let subject = RoomAccess::read(&doc.0).unwrap();
        let mut opened = Vec::new();
        for (name, user_id) in users {
            let user = user(directory, user_id).await;
            if access.may_open(&user, &subject).await.unwrap() {
                opened.push(*name);
            }
        }
        assert_eq!(opened, *expected, "who may open {id}");
    }
}

/// What a decision is, without the room's document.
async fn decision(access: &Access, user: &User, id: &str) -> &'static str {
    match access.may_export(user, &room(id)).await.unwrap() {
        Decision::Allowed { room, by_override } => {
            assert_eq!(id_of(&room.0), id);
            if by_override { "override" } else { "allowed" }
        }
        Decision::NoPermission => "no permission",
        Decision::NoRoom => "no room",
        Decision::NoAccess => "no access",
    }
}

fn permissions(dump: &mut DumpBuilder) {
    for (id, roles) in [
        ("mail-messages", vec!["admin", "owner"]),
        ("view-c-room", vec!["admin", "user"]),
        ("view-joined-room", vec!["guest"]),
        ("view-p-room", vec!["admin", "user"]),
        ("view-d-room", vec!["user"]),
        ("view-v-room", vec!["admin", "user"]),
        ("view-l-room", vec!["livechat-agent"]),
        ("view-livechat-rooms", vec!["livechat-manager"]),
        ("view-livechat-room-closed-by-another-agent", vec!["closer"]),
        (
            "view-livechat-room-closed-same-department",
            vec!["livechat-agent"],
        ),
    ] {
        dump.add("rocketchat_permissions", &doc! {"_id": id, "roles": roles});
    }
}

const USERS: &[(&str, &[&str])] = &[
    ("adm", &["admin"]),
    ("agent", &["user", "livechat-agent"]),
    ("ann", &["user"]),
    ("ben", &["user"]),
    ("closer", &["closer"]),
    ("guest", &["guest"]),
    ("manager", &["livechat-manager"]),
    // Deactivated.
    ("ina", &["admin", "user", "livechat-manager"]),
];

/// A workspace with a room for each rule and each exception.
fn workspace() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    permissions(&mut dump);
    for (name, roles) in USERS {
        dump.add(
            "users",
            &doc! {"_id": *name, "username": *name, "active": *name != "ina", "roles": roles.to_vec()},
        );
    }
    dump.add("rocketchat_team", &doc! {"_id": "open", "type": 0});
    dump.add("rocketchat_team", &doc! {"_id": "closed", "type": 1});
    for user in ["ben", "ina"] {
        dump.add(
            "rocketchat_team_member",
            &doc! {"_id": user, "teamId": "closed", "userId": user},
        );
    }
    dump.add(
        "rocketchat_livechat_department_agents",
        &doc! {"_id": "a", "departmentId": "dep", "agentId": "agent"},
    );
    let attributes = vec![doc! {"key": "level", "values": ["secret"]}];
    let rooms: [(&str, Document); 22] = [
        ("public", doc! {"t": "c"}),
        ("archived", doc! {"t": "c", "archived": true}),
        ("team-open", doc! {"t": "c", "teamId": "open"}),
        ("team-closed", doc! {"t": "c", "teamId": "closed"}),
        ("team-gone", doc! {"t": "c", "teamId": "gone"}),
        ("team-joined", doc! {"t": "c", "teamId": "closed"}),
        ("private", doc! {"t": "p"}),
        ("direct", doc! {"t": "d", "uids": ["ann", "ben"]}),
        ("of-public", doc! {"t": "p", "prid": "public"}),
        ("of-private", doc! {"t": "p", "prid": "private"}),
        ("of-of-private", doc! {"t": "p", "prid": "of-private"}),
        ("of-gone", doc! {"t": "p", "prid": "gone"}),
        ("loop-1", doc! {"t": "p", "prid": "loop-2"}),
        ("loop-2", doc! {"t": "p", "prid": "loop-1"}),
        ("attributes", doc! {"t": "c", "abacAttributes": attributes}),
        ("of-attributes", doc! {"t": "p", "prid": "attributes"}),
        ("voip", doc! {"t": "v"}),
        ("no-type", doc! {"prid": "public"}),
        (
            "served",
            doc! {"t": "l", "open": true, "servedBy": {"_id": "agent"}},
        ),
        (
            "open-chat",
            doc! {"t": "l", "open": true, "servedBy": {"_id": "x"}, "departmentId": "dep"},
        ),
        (
            "closed-chat",
            doc! {"t": "l", "servedBy": {"_id": "x"}, "departmentId": "dep"},
        ),
        (
            "closed-elsewhere",
            doc! {"t": "l", "open": false, "departmentId": "other"},
        ),
    ];
    for (id, mut document) in rooms {
        document.insert("_id", id);
        dump.add("rocketchat_room", &document);
        join(&mut dump, id, "ina", &doc! {"roles": ["owner"]});
    }
    for (room, user, more) in [
        ("public", "guest", doc! {}),
        ("team-joined", "ann", doc! {}),
        ("private", "ann", doc! {"roles": ["owner"]}),
        ("private", "guest", doc! {}),
        (
            "private",
            "ben",
            doc! {"status": "INVITED", "roles": ["owner"]},
        ),
        ("direct", "ann", doc! {}),
        ("direct", "ben", doc! {}),
        // No role of a guest lets it see direct rooms by their type, but it may see what it has joined.
        ("direct", "guest", doc! {}),
        // Whoever may not see private rooms at all does not see the one that it is in.
        ("private", "manager", doc! {}),
        ("attributes", "ann", doc! {"roles": ["owner"]}),
        ("voip", "ann", doc! {"roles": ["owner"]}),
        // A place in a chat is nothing without the permission for chats.
        ("open-chat", "ann", doc! {}),
    ] {
        join(&mut dump, room, user, &more);
    }
    dump
}

fn join(dump: &mut DumpBuilder, room: &str, user: &str, more: &Document) {
    let mut place = doc! {"_id": format!("{room} {user}"), "rid": room, "u": {"_id": user}};
    place.extend(more.clone());
    dump.add("rocketchat_subscription", &place);
}

#[tokio::test]
async fn each_rule_lets_in_whom_it_should_and_nobody_else() {
    let subject = sqlite(&workspace());
    let users: Vec<(&str, &str)> = USERS.iter().map(|(name, _)| (*name, *name)).collect();
    assert_open(
        &subject.directory,
        &users,
        &[
            ("public", &["adm", "agent", "ann", "ben", "guest"]),
            ("archived", &["adm", "agent", "ann", "ben"]),
            ("team-open", &["adm", "agent", "ann", "ben"]),
            ("team-closed", &["ben"]),
            ("team-gone", &[]),
            ("team-joined", &["ann", "ben"]),
            ("private", &["ann", "guest"]),
            ("direct", &["ann", "ben", "guest"]),
            ("of-public", &["adm", "agent", "ann", "ben", "guest"]),
            ("of-private", &["ann", "guest"]),
            ("of-of-private", &["ann", "guest"]),
            ("of-gone", &[]),
            ("loop-1", &[]),
            ("loop-2", &[]),
            ("attributes", &[]),
            ("of-attributes", &[]),
            ("voip", &[]),
            ("no-type", &[]),
            ("served", &["agent", "manager"]),
            ("open-chat", &["manager"]),
            ("closed-chat", &["agent", "closer", "manager"]),
            ("closed-elsewhere", &["closer", "manager"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_export_needs_permission_then_a_room_then_access() {
    let subject = sqlite(&workspace());
    let strict = Access::new(Arc::clone(&subject.directory), false);
    let lenient = Access::new(Arc::clone(&subject.directory), true);
    for (name, room, expected, with_override) in [
        ("ann", "private", "allowed", "allowed"),
        // The role of one room is none in another.
        ("ann", "public", "no permission", "no permission"),
        ("ann", "gone", "no permission", "no permission"),
        ("adm", "gone", "no room", "no room"),
        ("adm", "public", "allowed", "allowed"),
        ("adm", "private", "no access", "override"),
        ("adm", "direct", "no access", "override"),
        // The override is for the role, not for whoever has the permission.
        ("ann", "attributes", "no access", "no access"),
        ("ann", "voip", "no access", "no access"),
        ("ben", "private", "no access", "no access"),
        ("guest", "private", "no permission", "no permission"),
        ("ina", "public", "no permission", "no permission"),
        ("ina", "gone", "no permission", "no permission"),
    ] {
        let user = user(&subject.directory, name).await;
        assert_eq!(
            decision(&strict, &user, room).await,
            expected,
            "{name} {room}"
        );
        assert_eq!(
            decision(&lenient, &user, room).await,
            with_override,
            "{name} {room} with the override"
        );
    }
}

#[tokio::test]
async fn a_permission_comes_from_the_users_roles_and_those_in_the_room() {
    let mut dump = workspace();
    dump.add(
        "rocketchat_permissions",
        &doc! {"_id": "for-guests", "roles": ["guest"]},
    );
    let subject = sqlite(&dump);
    let access = Access::new(Arc::clone(&subject.directory), true);
    for (name, permission, id, expected) in [
        ("ann", "view-c-room", None, true),
        ("ann", "mail-messages", None, false),
        ("ann", "mail-messages", Some("private"), true),
        ("ann", "mail-messages", Some("direct"), false),
        ("ann", "unknown", Some("private"), false),
        ("adm", "unknown", None, false),
        ("guest", "for-guests", None, true),
        ("guest", "mail-messages", Some("private"), false),
        ("ina", "view-c-room", None, false),
    ] {
        let user = user(&subject.directory, name).await;
        let id = id.map(room);
        let found = access.has_permission(&user, permission, id.as_ref()).await;
        assert_eq!(found.unwrap(), expected, "{name} {permission} {id:?}");
    }
}

#[tokio::test]
async fn visible_rooms_are_those_that_the_user_is_in_and_may_open_page_by_page() {
    let mut dump = DumpBuilder::new();
    permissions(&mut dump);
    dump.add(
        "users",
        &doc! {"_id": "ann", "active": true, "roles": ["user"]},
    );
    let mut expected = Vec::new();
    for n in 0..200 {
        let id = format!("r{n:03}");
        let hidden = n % 3 == 1 || (60..140).contains(&n);
        let kind = if hidden && n % 2 == 0 { "v" } else { "p" };
        dump.add("rocketchat_room", &doc! {"_id": &id, "t": kind});
        let more = if hidden && kind == "p" {
            doc! {"status": "INVITED"}
        } else {
            doc! {}
        };
        join(&mut dump, &id, "ann", &more);
        if !hidden {
            expected.push(id);
        }
    }
    // Public rooms that the user could open but is not in are not listed.
    dump.add("rocketchat_room", &doc! {"_id": "r000a", "t": "c"});
    let subject = sqlite(&dump);
    let access = Access::new(Arc::clone(&subject.directory), false);
    let ann = user(&subject.directory, "ann").await;
    for limit in [1, 7, expected.len(), 1000] {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let after = seen.last().map(|id| room(id));
            let page = access
                .visible_rooms(&ann, after.as_ref(), limit)
                .await
                .unwrap();
            assert!(page.len() <= limit);
            seen.extend(page.iter().map(|room| id_of(&room.0)));
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

/// The users that the description of the public workspace speaks of.
const NAMED: &[(&str, &str)] = &[
    ("admin", "uAdmin0000000000a"),
    ("alice", "uAlice0000000000a"),
    ("bob", "uBob000000000000a"),
    ("carol", "pZYJCweMfW8dsQnxL"),
    ("dave", "GX2HKYk7dJC7AhixP"),
    ("erin", "QBkdjW7AjEQc9cHST"),
    ("frank", "5z9fKChgmcH7tDhLs"),
    ("grace", "DqMJhkgMpix2MRr4F"),
    ("guest1", "tcGndFrukktQ4gaW4"),
    ("karl", "2vW8EWESCWpzmJ5Su"),
    ("monitor", "3sK3R6a29E38myLfR"),
];

/// Its rooms, those of the users who may open them, and those who may export them.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    // general: public, a guest has joined it.
    (
        "GENERAL",
        &[
            "admin", "alice", "bob", "carol", "dave", "frank", "grace", "guest1", "karl", "monitor",
        ],
        &["admin", "grace"],
    ),
    // helpdesk: private; dave is invited, admin is no member.
    (
        "PJhBvQzXC8ixJZhMG",
        &["alice", "bob", "frank", "grace", "karl"],
        &["alice", "grace"],
    ),
    // Direct rooms.
    (
        "uAdmin0000000000auAlice0000000000a",
        &["admin", "alice"],
        &["admin"],
    ),
    ("cMwsDuhyhbYbvMsop", &["alice", "bob"], &[]),
    // A public discussion of general, and a private one of helpdesk.
    (
        "cgNXmzAnEPHqdHjiD",
        &[
            "admin", "alice", "bob", "carol", "dave", "frank", "grace", "guest1", "karl", "monitor",
        ],
        &["admin", "alice"],
    ),
    (
        "qj3zcFWbXGynN6wSp",
        &["alice", "bob", "frank", "grace", "karl"],
        &["alice"],
    ),
    // vault.
    ("WX3onQ347hoKCKnh8", &["alice", "bob"], &["alice"]),
    // Empty Hall: public, no guest has joined it.
    (
        "PaCo6hparaczRcixZ",
        &[
            "admin", "alice", "bob", "carol", "dave", "frank", "grace", "karl", "monitor",
        ],
        &["admin", "carol"],
    ),
    // Omnichannel: its agent, and the roles that see all chats.
    (
        "tZ6PjyK42ZwMFbi7j",
        &["admin", "frank", "monitor"],
        &["admin"],
    ),
    // The private team, and its public channel, which others have joined.
    ("4Zadpq8Qgv9REJgTT", &["alice", "frank", "karl"], &["alice"]),
    (
        "eXNGEqwWB6oB5K7Qs",
        &["alice", "bob", "carol", "frank", "karl"],
        &["alice"],
    ),
];

/// Checks the facts of the public workspace, of which the demo is a part.
async fn assert_facts(dump: &Path) {
    let subject = sqlite(&without_messages(dump));
    let opens: Vec<(&str, &[&str])> = ROOMS.iter().map(|(id, open, _)| (*id, *open)).collect();
    assert_open(&subject.directory, NAMED, &opens).await;
    let access = Access::new(Arc::clone(&subject.directory), false);
    for (id, _, expected) in ROOMS {
        let mut exported = Vec::new();
        for (name, user_id) in NAMED {
            let user = user(&subject.directory, user_id).await;
            if decision(&access, &user, id).await == "allowed" {
                exported.push(*name);
            }
        }
        assert_eq!(exported, *expected, "who may export {id}");
    }
    let lenient = Access::new(Arc::clone(&subject.directory), true);
    for (name, id, expected, with_override) in [
        ("admin", "PJhBvQzXC8ixJZhMG", "no access", "override"),
        ("admin", "GENERAL", "allowed", "allowed"),
        ("admin", "gone", "no room", "no room"),
        ("bob", "PJhBvQzXC8ixJZhMG", "no permission", "no permission"),
        ("bob", "gone", "no permission", "no permission"),
        (
            "dave",
            "PJhBvQzXC8ixJZhMG",
            "no permission",
            "no permission",
        ),
        (
            "frank",
            "tZ6PjyK42ZwMFbi7j",
            "no permission",
            "no permission",
        ),
        ("guest1", "GENERAL", "no permission", "no permission"),
        ("erin", "GENERAL", "no permission", "no permission"),
    ] {
        let (_, user_id) = NAMED.iter().find(|(named, _)| *named == name).unwrap();
        let user = user(&subject.directory, user_id).await;
        assert_eq!(decision(&access, &user, id).await, expected, "{name} {id}");
        assert_eq!(
            decision(&lenient, &user, id).await,
            with_override,
            "{name} {id} with the override"
        );
    }
}

/// The small collections of a dump: messages and files decide nothing.
fn without_messages(dump: &Path) -> DumpBuilder {
    let mut copy = DumpBuilder::new();
    Dump::open(dump)
        .unwrap()
        .scan(
            &|collection| collection != "rocketchat_message" && !collection.ends_with(".chunks"),
            &CancellationToken::new(),
            &mut |_| {},
            &mut |found| {
                copy.add_raw(found.collection, found.doc.to_vec());
                Ok(())
            },
        )
        .unwrap();
    copy
}

#[tokio::test]
async fn the_demo_lets_in_whom_its_description_says() {
    let demo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("demo/workspace.archive.gz");
    assert_facts(&demo).await;
}

#[tokio::test]
async fn the_public_workspace_lets_in_whom_its_description_says() {
    let Some(workspace) = shared_workspace("access::the_public_workspace") else {
        return;
    };
    assert_facts(&workspace.join("rocketchat")).await;
}
