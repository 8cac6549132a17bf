//! The sentences of system messages, as texts of a language.
//!
//! In English they are those of Rocket.Chat's own interface (contract §9), letter by letter; the author stands before them
//! ("bob" *joined the channel*). The translations are ours.

use super::{de, en, es, fr, ja, pt_br, ru, zh};

/// The sentences of one language. `{}` stands for what is filled in, in this order.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "English is the documentation of the texts")]
pub struct Sentences {
    pub joined: &'static str,
    pub left: &'static str,
    /// Whom.
    pub invited: &'static str,
    pub invitation_rejected: &'static str,
    /// The new name.
    pub room_renamed: &'static str,
    /// Whom.
    pub added: &'static str,
    /// Whom.
    pub removed: &'static str,
    pub joined_conversation: &'static str,
    pub message_removed: &'static str,
    /// Whom.
    pub added_to_team: &'static str,
    /// Whom.
    pub removed_from_team: &'static str,
    pub left_team: &'static str,
    pub joined_team: &'static str,
    /// The room.
    pub converted_to_team: &'static str,
    /// The room.
    pub converted_to_channel: &'static str,
    /// The room.
    pub room_removed_from_team: &'static str,
    /// The room.
    pub room_deleted_from_team: &'static str,
    /// The room.
    pub room_added_to_team: &'static str,
    /// Whom.
    pub muted: &'static str,
    /// Whom.
    pub unmuted: &'static str,
    /// Whom.
    pub banned: &'static str,
    /// Whom.
    pub unbanned: &'static str,
    pub archived: &'static str,
    pub unarchived: &'static str,
    pub read_only_removed: &'static str,
    pub read_only: &'static str,
    pub reactions_allowed: &'static str,
    pub reactions_disallowed: &'static str,
    /// Which, as the server wrote it.
    pub privacy: &'static str,
    /// The topic.
    pub topic: &'static str,
    pub avatar: &'static str,
    /// The announcement.
    pub announcement: &'static str,
    /// The description.
    pub description: &'static str,
    /// In the place of a topic, an announcement or a description that was taken away.
    pub none: &'static str,
    pub pinned: &'static str,
    pub encryption_enabled: &'static str,
    pub encryption_disabled: &'static str,
    pub removed_by_rules: &'static str,
    pub chat_started: &'static str,
    pub call_requested: &'static str,
    pub conference: &'static str,
    pub call_started: &'static str,
    pub otr_joined: &'static str,
    pub otr_refresh_requested: &'static str,
    pub otr_refreshed: &'static str,
    /// Whom, and which role.
    pub role_set: &'static str,
    /// Whom, and which role.
    pub role_removed: &'static str,
    /// Whom.
    pub welcome: &'static str,
    pub closed: &'static str,
    /// The comment.
    pub closed_with: &'static str,
    /// The comment.
    pub on_hold: &'static str,
    /// The comment.
    pub resumed: &'static str,
    pub no_comment: &'static str,
    /// A page.
    pub navigation: &'static str,
    /// A page's title and address.
    pub navigation_titled: &'static str,
    /// By whom, to whom.
    pub moved_to_agent: &'static str,
    /// By whom, to which department.
    pub moved_to_department: &'static str,
    /// By whom.
    pub moved_to_queue: &'static str,
    /// By whom, to whom, after how many seconds.
    pub moved_unanswered: &'static str,
    /// By whom, after how many seconds.
    pub queued_unanswered: &'static str,
    /// By whom, and the kind as the server wrote it.
    pub moved: &'static str,
    /// The comment, behind those before.
    pub moved_with: &'static str,
    /// From which department, to which.
    pub moved_to_fallback: &'static str,
    /// By whom.
    pub transcript_requested: &'static str,
    /// By whom, to whom.
    pub transcript_sent: &'static str,
    /// By whom, to which.
    pub priority_changed: &'static str,
    /// By whom, to which.
    pub service_level_changed: &'static str,
    pub unknown_user: &'static str,
    /// In the place of a priority, where nothing is known of it.
    pub no_priority: &'static str,
    /// In the place of a priority that was taken away.
    pub unprioritized: &'static str,
    pub no_service_level: &'static str,
    pub call_declined: &'static str,
    pub call_ended: &'static str,
    /// When, in UTC, and how long it was.
    pub call_ended_at: &'static str,
    /// Its name.
    pub snippet: &'static str,
}

impl Sentences {
    /// In English.
    pub const ENGLISH: Self = en::SENTENCES;
    /// In German.
    pub const GERMAN: Self = de::SENTENCES;
    /// In French.
    pub const FRENCH: Self = fr::SENTENCES;
    /// In Spanish.
    pub const SPANISH: Self = es::SENTENCES;
    /// In Brazilian Portuguese.
    pub const PORTUGUESE: Self = pt_br::SENTENCES;
    /// In Russian.
    pub const RUSSIAN: Self = ru::SENTENCES;
    /// In Japanese.
    pub const JAPANESE: Self = ja::SENTENCES;
    /// In simplified Chinese.
    pub const CHINESE: Self = zh::SENTENCES;
}
