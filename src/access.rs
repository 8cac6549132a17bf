//! Who may do what: the only place that decides.

/// The permission that exporting needs, in the scope of the room.
pub const MAIL_MESSAGES: &str = "mail-messages";
