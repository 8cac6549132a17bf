//! Who may do what: the only place that decides. Everything here is by contract §4, and what it does not say is denied.

use std::sync::Arc;

use crate::store::directory::{Directory, RoomAccess, Subscription, TeamKind, User};
use crate::store::{RawDoc, RoomId, StoreError};

/// The permission that exporting needs, in the scope of the room.
pub const MAIL_MESSAGES: &str = "mail-messages";

/// The role that [`Access`]' override is for.
const ADMIN: &str = "admin";
/// Types of rooms whose rules are known: public, private, direct, omnichannel (contract §4.3).
const KNOWN_KINDS: [&str; 4] = ["c", "p", "d", "l"];
/// How far discussions of discussions are followed; a loop of them ends here. Rocket.Chat's clients make one level.
const DEPTH: usize = 16;
/// Rooms that are looked at together for [`Access::visible_rooms`].
const PAGE: usize = 64;

/// Decides by what a directory knows.
#[derive(Clone)]
pub struct Access {
    directory: Arc<dyn Directory>,
    admin_override: bool,
}

/// Whether a room may be exported. The first reason in the order of endpoint.md, decision 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed {
        /// The room's document.
        room: RawDoc,
        /// Whether only the operator's switch for administrators allowed it: to be written to the audit log.
        by_override: bool,
    },
    /// The permission is missing; whether there is such a room is not said.
    NoPermission,
    /// There is no such room.
    NoRoom,
    /// The user cannot open it.
    NoAccess,
}

impl Access {
    /// `admin_override`: whether users with the role `admin` may export rooms that they cannot open.
    pub fn new(directory: Arc<dyn Directory>, admin_override: bool) -> Self {
        Self {
            directory,
            admin_override,
        }
    }

    /// Whether one of the user's roles has a permission; with a room, also the roles of the user's subscription of it
    /// (contract §4.1).
    ///
    /// Guests are no exception: Rocket.Chat's white list for them comes from its licence and is not in the workspace. Who
    /// gives `guest` the permission to export has said so.
    pub async fn has_permission(
        &self,
        user: &User,
        permission: &str,
        room: Option<&RoomId>,
    ) -> Result<bool, StoreError> {
        if !user.active {
            return Ok(false);
        }
        let allowed = self.directory.permission_roles(permission).await?;
        let among = |roles: &[String]| roles.iter().any(|role| allowed.contains(role));
        if among(&user.roles) {
            return Ok(true);
        }
        match room {
            Some(room) if !allowed.is_empty() => Ok(self
                .directory
                .subscription(room, &user.id)
                .await?
                .is_some_and(|subscription| among(&subscription.roles))),
            _ => Ok(false),
        }
    }

    /// Whether a user may open a room (contract §4.3, rules 1 to 5). Rooms with attributes are denied, as long as nobody
    /// here understands attributes, and so are rooms of types that nobody here knows.
    pub async fn may_open(&self, user: &User, room: &RoomAccess) -> Result<bool, StoreError> {
        if !user.active {
            return Ok(false);
        }
        let mut room = room.clone();
        for _ in 0..DEPTH {
            if room.has_attributes || !KNOWN_KINDS.contains(&room.kind.as_str()) {
                return Ok(false);
            }
            if self.opens(user, &room).await? {
                return Ok(true);
            }
            // Rule 4: who may open the room that a discussion belongs to may open the discussion.
            let Some(parent) = room.parent else {
                return Ok(false);
            };
            let Some(parent) = self.directory.room(&RoomId(parent)).await? else {
                return Ok(false);
            };
            room = RoomAccess::read(&parent.0)?;
        }
        Ok(false)
    }

    /// Whether a user may export a room: permission, room, access, in this order.
    pub async fn may_export(&self, user: &User, rid: &RoomId) -> Result<Decision, StoreError> {
        if !self.has_permission(user, MAIL_MESSAGES, Some(rid)).await? {
            return Ok(Decision::NoPermission);
        }
        let Some(room) = self.directory.room(rid).await? else {
            return Ok(Decision::NoRoom);
        };
        if self.may_open(user, &RoomAccess::read(&room.0)?).await? {
            return Ok(Decision::Allowed {
                room,
                by_override: false,
            });
        }
        if self.admin_override && user.roles.iter().any(|role| role == ADMIN) {
            return Ok(Decision::Allowed {
                room,
                by_override: true,
            });
        }
        Ok(Decision::NoAccess)
    }

    /// At most `limit` rooms that a user is in and may open, by `_id` after the one given; fewer than `limit` are the last.
    pub async fn visible_rooms(
        &self,
        user: &User,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RawDoc>, StoreError> {
        let mut visible = Vec::new();
        let mut after = after.cloned();
        loop {
            let page = self
                .directory
                .subscribed_rooms(&user.id, after.as_ref(), PAGE)
                .await?;
            let last = page.len() < PAGE;
            for room in page {
                if visible.len() == limit {
                    return Ok(visible);
                }
                let access = RoomAccess::read(&room.0)?;
                let id = RoomId(access.id.clone());
                let subscription = self.directory.subscription(&id, &user.id).await?;
                if subscription.is_some_and(|subscription| !subscription.pending)
                    && self.may_open(user, &access).await?
                {
                    visible.push(room);
                }
                after = Some(id);
            }
            if last {
                return Ok(visible);
            }
        }
    }

    /// Rules 1, 2, 3 and 5, about a room by itself.
    async fn opens(&self, user: &User, room: &RoomAccess) -> Result<bool, StoreError> {
        Ok(self.opens_public(user, room).await?
            || self.has_joined(user, room).await?
            || room.kind == "l" && self.serves(user, room).await?)
    }

    /// Rules 1 and 2: public rooms, in a team and not.
    async fn opens_public(&self, user: &User, room: &RoomAccess) -> Result<bool, StoreError> {
        if room.kind != "c" {
            return Ok(false);
        }
        if let Some(team) = &room.team
            && self.directory.team(team).await? != Some(TeamKind::Public)
        {
            return self.directory.is_team_member(team, &user.id).await;
        }
        self.has_permission(user, "view-c-room", None).await
    }

    /// Rule 3: a member, not somebody who is only invited.
    async fn has_joined(&self, user: &User, room: &RoomAccess) -> Result<bool, StoreError> {
        let subscription = self
            .directory
            .subscription(&RoomId(room.id.clone()), &user.id)
            .await?;
        if !matches!(subscription, Some(Subscription { pending: false, .. })) {
            return Ok(false);
        }
        Ok(self.has_permission(user, "view-joined-room", None).await?
            || self
                .has_permission(user, &format!("view-{}-room", room.kind), None)
                .await?)
    }

    /// Rule 5, omnichannel, without the preview of waiting rooms, which depends on a routing that is not in the workspace.
    async fn serves(&self, user: &User, room: &RoomAccess) -> Result<bool, StoreError> {
        if room.served_by.as_ref() == Some(&user.id)
            || self
                .has_permission(user, "view-livechat-rooms", None)
                .await?
        {
            return Ok(true);
        }
        if room.open {
            return Ok(false);
        }
        if self
            .has_permission(user, "view-livechat-room-closed-by-another-agent", None)
            .await?
        {
            return Ok(true);
        }
        let Some(department) = &room.department else {
            return Ok(false);
        };
        Ok(self
            .directory
            .is_department_agent(department, &user.id)
            .await?
            && self
                .has_permission(user, "view-livechat-room-closed-same-department", None)
                .await?)
    }
}
