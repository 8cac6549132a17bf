//! The sentences of system messages (contract §9), in English, with their parameters.

use std::borrow::Cow;

use crate::bson::{Doc, Text, Value};
use crate::message::{Field, Message};

/// What a message's `t` makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentence {
    /// An ordinary message: its text is `msg`.
    Ordinary,
    /// A message of a registered type whose text is its own, not a sentence: a discussion, an encrypted message.
    Own,
    /// A system message: the sentence has been written.
    Written,
    /// A type without a registered sentence, known from settings or old versions: the parameter is the text.
    Bare,
    /// A type that no known version writes: the parameter is the text.
    Unknown,
}

/// Where the sentence's `{}` comes from.
enum Parameter {
    None,
    Msg,
    MsgOrNone,
    Room,
}

/// Writes the sentence of a system message to `out`, unescaped, without the author who precedes it in the interface
/// ("bob" *joined the channel*).
pub fn sentence(message: &Message<'_>, out: &mut String) -> Sentence {
    let Some(kind) = message.kind() else {
        return Sentence::Ordinary;
    };
    let Ok(kind) = std::str::from_utf8(kind.0) else {
        return Sentence::Unknown;
    };
    if let Some((text, parameter)) = fixed(kind) {
        let msg = message.text(Field::Msg).to_str();
        let parameter = match parameter {
            Parameter::None => Cow::Borrowed(""),
            Parameter::MsgOrNone if msg.is_empty() => Cow::Borrowed("(none)"),
            Parameter::Msg | Parameter::MsgOrNone => msg,
            Parameter::Room => Cow::Owned(format!("#{msg}")),
        };
        fill(out, text, &[&parameter]);
        return Sentence::Written;
    }
    match kind {
        "subscription-role-added" => role(message, "set {} as {}", out),
        "subscription-role-removed" => role(message, "removed {} as {}", out),
        "wm" => {
            let name = non_empty(message.text(Field::Msg)).unwrap_or(message.author().label());
            fill(out, "Welcome {}.", &[&name.to_str()]);
        }
        "livechat-close" => match comment(message) {
            "" => out.push_str("Conversation closed."),
            comment => fill(out, "Conversation closed: {}.", &[comment]),
        },
        "omnichannel_placed_chat_on_hold" => hold(message, "Chat On Hold: {}", out),
        "omnichannel_on_hold_chat_resumed" => hold(message, "On Hold Chat Resumed: {}", out),
        "livechat_navigation_history" => navigation(message, out),
        "livechat_transfer_history" => transfer(message, out),
        "livechat_transfer_history_fallback" => fallback(message, out),
        "livechat_transcript_history" => transcript(message, out),
        "omnichannel_priority_change_history" => priority(message, out),
        "omnichannel_sla_change_history" => service_level(message, out),
        "livechat_webrtc_video_call" => call(message, out),
        "message_snippeted" => {
            let name =
                non_empty(message.text(Field::SnippetName)).unwrap_or(message.text(Field::Msg));
            fill(out, "created a snippet: {}", &[&name.to_str()]);
        }
        "e2e" | "discussion-created" => return Sentence::Own,
        "command" | "mute_unmute" | "new-moderator" | "moderator-removed" | "new-owner"
        | "owner-removed" | "new-leader" | "leader-removed" | "rtc" | "otr" | "otr-ack" => {
            return Sentence::Bare;
        }
        _ => return Sentence::Unknown,
    }
    Sentence::Written
}

/// Sentences with at most one parameter.
fn fixed(kind: &str) -> Option<(&'static str, Parameter)> {
    use Parameter::{Msg, MsgOrNone, None, Room};
    Some(match kind {
        "uj" => ("joined the channel", None),
        "ul" => ("left the channel", None),
        "ui" => ("invited {} to the room", Msg),
        "uir" => ("rejected invitation to room", None),
        "r" => ("changed room name to {}", Msg),
        "au" => ("added {}", Msg),
        "ru" => ("removed {}", Msg),
        "ut" => ("joined the conversation", None),
        "rm" => ("message removed", None),
        "added-user-to-team" => ("added @{} to this team", Msg),
        "removed-user-from-team" => ("removed @{} from this team", Msg),
        "ult" => ("left this team", None),
        "ujt" => ("joined this team", None),
        "user-converted-to-team" => ("converted {} to a team", Room),
        "user-converted-to-channel" => ("converted {} to channel", Room),
        "user-removed-room-from-team" => ("removed {} from this team", Room),
        "user-deleted-room-from-team" => ("deleted {}", Room),
        "user-added-room-to-team" => ("added {} to this team", Room),
        "user-muted" => ("muted {}", Msg),
        "user-unmuted" => ("unmuted {}", Msg),
        "user-banned" => ("banned {}", Msg),
        "user-unbanned" => ("unbanned {}", Msg),
        "room-archived" => ("archived room", None),
        "room-unarchived" => ("unarchived room", None),
        "room-removed-read-only" => ("removed read only permission", None),
        "room-set-read-only" => ("set room to read only", None),
        "room-allowed-reacting" => ("allowed reactions", None),
        "room-disallowed-reacting" => ("disallowed reactions", None),
        "room_changed_privacy" => ("changed room to {}", Msg),
        "room_changed_topic" => ("changed room topic to {}", MsgOrNone),
        "room_changed_avatar" => ("changed room avatar", None),
        "room_changed_announcement" => ("changed room announcement to: {}", MsgOrNone),
        "room_changed_description" => ("changed room description to: {}", MsgOrNone),
        "message_pinned" | "message_pinned_e2e" => ("Pinned a message:", None),
        "room_e2e_enabled" => ("enabled E2E encryption for this room", None),
        "room_e2e_disabled" => ("disabled E2E encryption for this room", None),
        "abac-removed-user-from-room" => ("was removed by ABAC", None),
        "livechat-started" => ("Chat started", None),
        "livechat_video_call" => ("New Video Call Request", None),
        "videoconf" => ("Conference Call", None),
        "jitsi_call_started" => ("Started a Video Call", None),
        "user_joined_otr" => ("Has joined OTR chat.", None),
        "user_requested_otr_key_refresh" => ("Has requested key refresh.", None),
        "user_key_refreshed_successfully" => ("key refreshed successfully", None),
        _ => return Option::None,
    })
}

/// Writes `template` with each `{}` replaced by the next parameter. Parameters are data: a `{}` in one stays.
fn fill(out: &mut String, template: &str, parameters: &[&str]) {
    let mut parameters = parameters.iter();
    let mut parts = template.split("{}");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(parameters.next().copied().unwrap_or_default());
        out.push_str(part);
    }
}

fn non_empty(text: Text<'_>) -> Option<Text<'_>> {
    (!text.is_empty()).then_some(text)
}

fn as_str(text: Text<'_>) -> &str {
    std::str::from_utf8(text.0).unwrap_or("?")
}

fn role(message: &Message<'_>, template: &str, out: &mut String) {
    let msg = message.text(Field::Msg).to_str();
    fill(out, template, &[&msg, &message.text(Field::Role).to_str()]);
}

fn comment<'a>(message: &Message<'a>) -> &'a str {
    as_str(non_empty(message.text(Field::Comment)).unwrap_or(message.text(Field::Msg)))
}

fn hold(message: &Message<'_>, template: &str, out: &mut String) {
    let comment = non_empty(message.text(Field::Comment)).map_or("No comment provided", as_str);
    fill(out, template, &[comment]);
}

fn document<'a>(message: &Message<'a>, field: Field) -> Doc<'a> {
    message
        .get(field)
        .and_then(Value::document)
        .unwrap_or(Doc::EMPTY)
}

/// Real name, else username, of the person or department under `key`, which old versions wrote as plain text.
fn name<'a>(doc: Doc<'a>, key: &str) -> &'a str {
    match doc.get(key) {
        Some(Value::Document(inner)) => ["name", "username"]
            .into_iter()
            .filter_map(|key| inner.text(key).and_then(non_empty))
            .map(as_str)
            .next()
            .unwrap_or("?"),
        Some(Value::String(text)) => as_str(text),
        _ => "?",
    }
}

fn navigation(message: &Message<'_>, out: &mut String) {
    let page = document(message, Field::Navigation);
    let title = page
        .at(&["page", "title"])
        .and_then(Value::text)
        .and_then(non_empty);
    let href = page
        .at(&["page", "location", "href"])
        .and_then(Value::text)
        .and_then(non_empty);
    match (title, href) {
        (Some(title), Some(href)) => fill(
            out,
            "New Navigation: {} - {}",
            &[&title.to_str(), &href.to_str()],
        ),
        (Some(only), None) | (None, Some(only)) => {
            fill(out, "New Navigation: {}", &[&only.to_str()]);
        }
        (None, None) => fill(
            out,
            "New Navigation: {}",
            &[&message.text(Field::Msg).to_str()],
        ),
    }
}

fn transfer(message: &Message<'_>, out: &mut String) {
    let moved = document(message, Field::TransferData);
    let from = name(moved, "transferredBy");
    let comment = moved.text("comment").map_or("", as_str);
    out.push_str("New Chat Transfer: ");
    let commented = match moved.text("scope").map_or("", as_str) {
        "agent" => {
            fill(
                out,
                "{} transferred the chat to {}",
                &[from, name(moved, "transferredTo")],
            );
            true
        }
        "department" => {
            let to = name(moved, "nextDepartment");
            fill(
                out,
                "{} transferred the chat to the department {}",
                &[from, to],
            );
            true
        }
        "queue" => {
            fill(out, "{} returned the chat to the queue", &[from]);
            true
        }
        "autoTransferUnansweredChatsToAgent" => {
            let to = name(moved, "transferredTo");
            let text = "{} transferred the chat to {} since it was unanswered for {} seconds";
            fill(out, text, &[from, to, comment]);
            false
        }
        "autoTransferUnansweredChatsToQueue" => {
            let text = "{} returned the chat to the queue since it was unanswered for {} seconds";
            fill(out, text, &[from, comment]);
            false
        }
        scope => {
            fill(out, "{} transferred the chat ({})", &[from, scope]);
            true
        }
    };
    if commented && !comment.is_empty() {
        fill(out, " with a comment: {}", &[comment]);
    }
}

fn fallback(message: &Message<'_>, out: &mut String) {
    let moved = document(message, Field::TransferData);
    fill(
        out,
        "Transferred to fallback department: The original department ( {} ) doesn't have online agents. \
         Chat succesfully transferred to {}",
        &[name(moved, "prevDepartment"), name(moved, "department")],
    );
}

fn transcript(message: &Message<'_>, out: &mut String) {
    let request = document(message, Field::RequestData);
    out.push_str("Chat transcript sent: ");
    let guest = name(request, "visitor");
    if request.text("type") == Some(Text(b"visitor")) {
        fill(out, "{} requested the chat transcript", &[guest]);
    } else {
        let agent = name(request, "user");
        fill(out, "{} sent the chat transcript to {}", &[agent, guest]);
    }
}

fn priority(message: &Message<'_>, out: &mut String) {
    let (user, priority) = match message.get(Field::PriorityData).and_then(Value::document) {
        None => ("Unknown User", "Without priority"),
        Some(change) => {
            let priority = change.get("priority").and_then(Value::document);
            let named = priority.and_then(|doc| {
                ["name", "i18n"]
                    .into_iter()
                    .find_map(|key| doc.text(key).and_then(non_empty))
            });
            (definer(change), named.map_or("Unprioritized", as_str))
        }
    };
    let text = "Priority changed: {} changed the priority to {}";
    fill(out, text, &[user, priority]);
}

fn service_level(message: &Message<'_>, out: &mut String) {
    let change = document(message, Field::SlaData);
    let sla = change
        .at(&["sla", "name"])
        .and_then(Value::text)
        .and_then(non_empty);
    let text = "SLA Policy changed: {} changed the SLA Policy to {}";
    fill(
        out,
        text,
        &[definer(change), sla.map_or("Without SLA", as_str)],
    );
}

fn definer(change: Doc<'_>) -> &str {
    change
        .at(&["definedBy", "username"])
        .and_then(Value::text)
        .and_then(non_empty)
        .map_or("Unknown User", as_str)
}

fn call(message: &Message<'_>, out: &mut String) {
    use std::fmt::Write;
    if message.text(Field::Msg) == Text(b"declined") {
        out.push_str("Call Declined by Contact.");
        return;
    }
    let end = message.get(Field::WebRtcCallEndTs).and_then(Value::millis);
    match end.and_then(|end| Some((end, end.checked_sub(message.ts()?)?))) {
        Some((end, lasted)) => {
            let (minute, second) = (end.div_euclid(60_000), lasted / 1000);
            let (hour, minute) = (minute.div_euclid(60).rem_euclid(24), minute.rem_euclid(60));
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "Call ended at {hour:02}:{minute:02} UTC - Lasted {:02}:{:02}:{:02}",
                second / 3600,
                second / 60 % 60,
                second % 60
            );
        }
        None => out.push_str("Call ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bson::{Document, doc};

    fn check(doc: &Document, kind: Sentence, expected: &str) {
        let bytes = doc.to_vec().unwrap();
        let mut out = String::new();
        assert_eq!(sentence(&Message::read(&bytes), &mut out), kind, "{doc}");
        assert_eq!(out, expected, "{doc}");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_registered_type_has_its_sentence() {
        let by_msg = [
            ("uj", "x", "joined the channel"),
            ("ul", "x", "left the channel"),
            ("ui", "dave", "invited dave to the room"),
            ("uir", "x", "rejected invitation to room"),
            ("r", "a&b", "changed room name to a&b"),
            ("au", "bob", "added bob"),
            ("ru", "bob", "removed bob"),
            ("ut", "x", "joined the conversation"),
            ("wm", "carol", "Welcome carol."),
            ("rm", "", "message removed"),
            ("added-user-to-team", "frank", "added @frank to this team"),
            (
                "removed-user-from-team",
                "frank",
                "removed @frank from this team",
            ),
            ("ult", "x", "left this team"),
            ("ujt", "x", "joined this team"),
            ("user-converted-to-team", "p", "converted #p to a team"),
            ("user-converted-to-channel", "p", "converted #p to channel"),
            (
                "user-removed-room-from-team",
                "p",
                "removed #p from this team",
            ),
            ("user-deleted-room-from-team", "p", "deleted #p"),
            ("user-added-room-to-team", "p", "added #p to this team"),
            ("user-muted", "m", "muted m"),
            ("user-unmuted", "m", "unmuted m"),
            ("user-banned", "m", "banned m"),
            ("user-unbanned", "m", "unbanned m"),
            ("room-archived", "", "archived room"),
            ("room-unarchived", "", "unarchived room"),
            ("room-removed-read-only", "", "removed read only permission"),
            ("room-set-read-only", "", "set room to read only"),
            ("room-allowed-reacting", "", "allowed reactions"),
            ("room-disallowed-reacting", "", "disallowed reactions"),
            ("room_changed_privacy", "private", "changed room to private"),
            ("room_changed_topic", "<b>&", "changed room topic to <b>&"),
            ("room_changed_topic", "", "changed room topic to (none)"),
            ("room_changed_avatar", "", "changed room avatar"),
            (
                "room_changed_announcement",
                "",
                "changed room announcement to: (none)",
            ),
            (
                "room_changed_description",
                "d",
                "changed room description to: d",
            ),
            ("message_pinned", "", "Pinned a message:"),
            ("message_pinned_e2e", "", "Pinned a message:"),
            (
                "room_e2e_enabled",
                "alice",
                "enabled E2E encryption for this room",
            ),
            (
                "room_e2e_disabled",
                "alice",
                "disabled E2E encryption for this room",
            ),
            ("abac-removed-user-from-room", "x", "was removed by ABAC"),
            ("livechat-started", "", "Chat started"),
            ("livechat-close", "bye", "Conversation closed: bye."),
            ("livechat-close", "", "Conversation closed."),
            ("livechat_video_call", "", "New Video Call Request"),
            ("videoconf", "", "Conference Call"),
            ("jitsi_call_started", "", "Started a Video Call"),
            (
                "message_snippeted",
                "apt.conf",
                "created a snippet: apt.conf",
            ),
            (
                "livechat_webrtc_video_call",
                "declined",
                "Call Declined by Contact.",
            ),
            ("user_joined_otr", "", "Has joined OTR chat."),
            (
                "omnichannel_placed_chat_on_hold",
                "",
                "Chat On Hold: No comment provided",
            ),
            (
                "omnichannel_sla_change_history",
                "",
                "SLA Policy changed: Unknown User changed the SLA Policy to Without SLA",
            ),
            (
                "omnichannel_priority_change_history",
                "",
                "Priority changed: Unknown User changed the priority to Without priority",
            ),
        ];
        for (kind, msg, expected) in by_msg {
            check(&doc! {"t": kind, "msg": msg}, Sentence::Written, expected);
        }
        check(&doc! {"msg": "x"}, Sentence::Ordinary, "");
        check(&doc! {"t": "e2e", "msg": "x"}, Sentence::Own, "");
        check(&doc! {"t": "command", "msg": "shrug"}, Sentence::Bare, "");
        check(&doc! {"t": "zz", "msg": "x"}, Sentence::Unknown, "");
        check(
            &doc! {"t": "subscription-role-added", "msg": "{}", "role": "owner"},
            Sentence::Written,
            "set {} as owner",
        );
        check(
            &doc! {"t": "subscription-role-removed", "msg": "bob", "role": "owner"},
            Sentence::Written,
            "removed bob as owner",
        );
    }

    #[test]
    fn omnichannel_sentences_name_their_people() {
        let by = doc! {"_id": "f", "username": "frank", "name": "Frank Farrow"};
        let transfer = |rest: Document, expected: &str| {
            let mut moved = doc! {"transferredBy": by.clone()};
            moved.extend(rest);
            check(
                &doc! {"t": "livechat_transfer_history", "transferData": moved},
                Sentence::Written,
                &format!("New Chat Transfer: Frank Farrow {expected}"),
            );
        };
        transfer(
            doc! {"scope": "agent", "transferredTo": {"username": "bob"}},
            "transferred the chat to bob",
        );
        transfer(
            doc! {"scope": "department", "nextDepartment": {"name": "Billing"}, "comment": "c"},
            "transferred the chat to the department Billing with a comment: c",
        );
        transfer(doc! {"scope": "queue"}, "returned the chat to the queue");
        transfer(
            doc! {"scope": "autoTransferUnansweredChatsToAgent", "comment": "120", "transferredTo": {"username": "bob"}},
            "transferred the chat to bob since it was unanswered for 120 seconds",
        );
        transfer(
            doc! {"scope": "autoTransferUnansweredChatsToQueue", "comment": "120"},
            "returned the chat to the queue since it was unanswered for 120 seconds",
        );
        check(
            &doc! {"t": "livechat_transfer_history_fallback", "transferData": {"prevDepartment": "Sales", "department": {"name": "Billing"}}},
            Sentence::Written,
            "Transferred to fallback department: The original department ( Sales ) doesn't have online agents. Chat succesfully transferred to Billing",
        );
        check(
            &doc! {"t": "livechat_transcript_history", "requestData": {"type": "visitor", "visitor": {"name": "Vera"}}},
            Sentence::Written,
            "Chat transcript sent: Vera requested the chat transcript",
        );
        check(
            &doc! {"t": "livechat_transcript_history", "requestData": {"type": "user", "user": by, "visitor": {"name": "Vera"}}},
            Sentence::Written,
            "Chat transcript sent: Frank Farrow sent the chat transcript to Vera",
        );
        check(
            &doc! {"t": "livechat_navigation_history", "navigation": {"page": {"title": "Home", "location": {"href": "https://x.test/"}}}},
            Sentence::Written,
            "New Navigation: Home - https://x.test/",
        );
        check(
            &doc! {"t": "omnichannel_priority_change_history", "priorityData": {"definedBy": {"username": "m"}, "priority": {"i18n": "Lowest"}}},
            Sentence::Written,
            "Priority changed: m changed the priority to Lowest",
        );
        check(
            &doc! {"t": "omnichannel_sla_change_history", "slaData": {"definedBy": {"username": "m"}, "sla": {"name": "Gold"}}},
            Sentence::Written,
            "SLA Policy changed: m changed the SLA Policy to Gold",
        );
        check(
            &doc! {"t": "livechat_webrtc_video_call", "msg": "ended", "ts": ::bson::DateTime::from_millis(0), "webRtcCallEndTs": ::bson::DateTime::from_millis(3_725_000)},
            Sentence::Written,
            "Call ended at 01:02 UTC - Lasted 01:02:05",
        );
    }
}
