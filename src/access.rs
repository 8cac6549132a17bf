//! Who may do what: the only place that decides.

use std::sync::Arc;

use crate::store::directory::{Directory, RoomAccess, User};
use crate::store::{RawDoc, RoomId, StoreError};

/// The permission that exporting needs, in the scope of the room.
pub const MAIL_MESSAGES: &str = "mail-messages";

/// Decides.
pub struct Access {
    directory: Arc<dyn Directory>,
}

/// Whether a room may be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed {
        /// The room's document.
        room: RawDoc,
        /// Whether only the operator's switch allowed it.
        by_override: bool,
    },
    /// The permission is missing.
    NoPermission,
    /// There is no such room.
    NoRoom,
    /// The user cannot open it.
    NoAccess,
}

impl Access {
    /// Decides by a directory.
    pub fn new(directory: Arc<dyn Directory>, _admin_override: bool) -> Self {
        Self { directory }
    }

    /// Whether a user has a permission.
    pub async fn has_permission(
        &self,
        user: &User,
        permission: &str,
        _room: Option<&RoomId>,
    ) -> Result<bool, StoreError> {
        let roles = self.directory.permission_roles(permission).await?;
        Ok(user.roles.iter().any(|role| roles.contains(role)))
    }

    /// Whether a user may open a room.
    pub async fn may_open(&self, _user: &User, _room: &RoomAccess) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Whether a user may export a room.
    pub async fn may_export(&self, _user: &User, _rid: &RoomId) -> Result<Decision, StoreError> {
        Ok(Decision::NoPermission)
    }

    /// Rooms that a user can see.
    pub async fn visible_rooms(
        &self,
        _user: &User,
        _after: Option<&RoomId>,
        _limit: usize,
    ) -> Result<Vec<RawDoc>, StoreError> {
        Ok(Vec::new())
    }
}

impl RoomAccess {
    /// Reads a room.
    pub fn read(_room: &[u8]) -> Result<Self, StoreError> {
        Ok(Self::default())
    }
}
