//! The sentences of system messages (contract §9), with their parameters. What they say is in the language's
//! [`Sentences`].

use std::borrow::Cow;

use crate::bson::{Doc, Text, Value};
use crate::message::{Field, Message};
use crate::texts::{Sentences, fill};

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
pub fn sentence(message: &Message<'_>, says: &Sentences, out: &mut String) -> Sentence {
    let Some(kind) = message.kind() else {
        return Sentence::Ordinary;
    };
    let Ok(kind) = std::str::from_utf8(kind.0) else {
        return Sentence::Unknown;
    };
    if let Some((text, parameter)) = fixed(kind, says) {
        let msg = message.text(Field::Msg).to_str();
        let parameter = match parameter {
            Parameter::None => Cow::Borrowed(""),
            Parameter::MsgOrNone if msg.is_empty() => Cow::Borrowed(says.none),
            Parameter::Msg | Parameter::MsgOrNone => msg,
            Parameter::Room => Cow::Owned(format!("#{msg}")),
        };
        fill(out, text, &[&parameter]);
        return Sentence::Written;
    }
    match kind {
        "subscription-role-added" => role(message, says.role_set, out),
        "subscription-role-removed" => role(message, says.role_removed, out),
        "wm" => {
            let name = non_empty(message.text(Field::Msg)).unwrap_or(message.author().label());
            fill(out, says.welcome, &[&name.to_str()]);
        }
        "livechat-close" => match comment(message) {
            "" => out.push_str(says.closed),
            comment => fill(out, says.closed_with, &[comment]),
        },
        "omnichannel_placed_chat_on_hold" => hold(message, says.on_hold, says, out),
        "omnichannel_on_hold_chat_resumed" => hold(message, says.resumed, says, out),
        "livechat_navigation_history" => navigation(message, says, out),
        "livechat_transfer_history" => transfer(message, says, out),
        "livechat_transfer_history_fallback" => fallback(message, says, out),
        "livechat_transcript_history" => transcript(message, says, out),
        "omnichannel_priority_change_history" => priority(message, says, out),
        "omnichannel_sla_change_history" => service_level(message, says, out),
        "livechat_webrtc_video_call" => call(message, says, out),
        "message_snippeted" => {
            let name =
                non_empty(message.text(Field::SnippetName)).unwrap_or(message.text(Field::Msg));
            fill(out, says.snippet, &[&name.to_str()]);
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
fn fixed(kind: &str, says: &Sentences) -> Option<(&'static str, Parameter)> {
    use Parameter::{Msg, MsgOrNone, None, Room};
    Some(match kind {
        "uj" => (says.joined, None),
        "ul" => (says.left, None),
        "ui" => (says.invited, Msg),
        "uir" => (says.invitation_rejected, None),
        "r" => (says.room_renamed, Msg),
        "au" => (says.added, Msg),
        "ru" => (says.removed, Msg),
        "ut" => (says.joined_conversation, None),
        "rm" => (says.message_removed, None),
        "added-user-to-team" => (says.added_to_team, Msg),
        "removed-user-from-team" => (says.removed_from_team, Msg),
        "ult" => (says.left_team, None),
        "ujt" => (says.joined_team, None),
        "user-converted-to-team" => (says.converted_to_team, Room),
        "user-converted-to-channel" => (says.converted_to_channel, Room),
        "user-removed-room-from-team" => (says.room_removed_from_team, Room),
        "user-deleted-room-from-team" => (says.room_deleted_from_team, Room),
        "user-added-room-to-team" => (says.room_added_to_team, Room),
        "user-muted" => (says.muted, Msg),
        "user-unmuted" => (says.unmuted, Msg),
        "user-banned" => (says.banned, Msg),
        "user-unbanned" => (says.unbanned, Msg),
        "room-archived" => (says.archived, None),
        "room-unarchived" => (says.unarchived, None),
        "room-removed-read-only" => (says.read_only_removed, None),
        "room-set-read-only" => (says.read_only, None),
        "room-allowed-reacting" => (says.reactions_allowed, None),
        "room-disallowed-reacting" => (says.reactions_disallowed, None),
        "room_changed_privacy" => (says.privacy, Msg),
        "room_changed_topic" => (says.topic, MsgOrNone),
        "room_changed_avatar" => (says.avatar, None),
        "room_changed_announcement" => (says.announcement, MsgOrNone),
        "room_changed_description" => (says.description, MsgOrNone),
        "message_pinned" | "message_pinned_e2e" => (says.pinned, None),
        "room_e2e_enabled" => (says.encryption_enabled, None),
        "room_e2e_disabled" => (says.encryption_disabled, None),
        "abac-removed-user-from-room" => (says.removed_by_rules, None),
        "livechat-started" => (says.chat_started, None),
        "livechat_video_call" => (says.call_requested, None),
        "videoconf" => (says.conference, None),
        "jitsi_call_started" => (says.call_started, None),
        "user_joined_otr" => (says.otr_joined, None),
        "user_requested_otr_key_refresh" => (says.otr_refresh_requested, None),
        "user_key_refreshed_successfully" => (says.otr_refreshed, None),
        _ => return Option::None,
    })
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

fn hold(message: &Message<'_>, template: &str, says: &Sentences, out: &mut String) {
    let comment = non_empty(message.text(Field::Comment)).map_or(says.no_comment, as_str);
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

fn navigation(message: &Message<'_>, says: &Sentences, out: &mut String) {
    let page = document(message, Field::Navigation);
    let title = page
        .at(&["page", "title"])
        .and_then(Value::text)
        .and_then(non_empty);
    let href = page
        .at(&["page", "location", "href"])
        .and_then(Value::text)
        .and_then(non_empty);
    if let (Some(title), Some(href)) = (title, href) {
        let parameters = [&*title.to_str(), &*href.to_str()];
        fill(out, says.navigation_titled, &parameters);
    } else {
        let only = title.or(href).unwrap_or(message.text(Field::Msg));
        fill(out, says.navigation, &[&only.to_str()]);
    }
}

fn transfer(message: &Message<'_>, says: &Sentences, out: &mut String) {
    let moved = document(message, Field::TransferData);
    let from = name(moved, "transferredBy");
    let to = name(moved, "transferredTo");
    let comment = moved.text("comment").map_or("", as_str);
    match moved.text("scope").map_or("", as_str) {
        // There the comment is the number of seconds.
        "autoTransferUnansweredChatsToAgent" => {
            return fill(out, says.moved_unanswered, &[from, to, comment]);
        }
        "autoTransferUnansweredChatsToQueue" => {
            return fill(out, says.queued_unanswered, &[from, comment]);
        }
        "agent" => fill(out, says.moved_to_agent, &[from, to]),
        "department" => {
            let to = name(moved, "nextDepartment");
            fill(out, says.moved_to_department, &[from, to]);
        }
        "queue" => fill(out, says.moved_to_queue, &[from]),
        scope => fill(out, says.moved, &[from, scope]),
    }
    if !comment.is_empty() {
        fill(out, says.moved_with, &[comment]);
    }
}

fn fallback(message: &Message<'_>, says: &Sentences, out: &mut String) {
    let moved = document(message, Field::TransferData);
    let departments = [name(moved, "prevDepartment"), name(moved, "department")];
    fill(out, says.moved_to_fallback, &departments);
}

fn transcript(message: &Message<'_>, says: &Sentences, out: &mut String) {
    let request = document(message, Field::RequestData);
    let guest = name(request, "visitor");
    if request.text("type") == Some(Text(b"visitor")) {
        fill(out, says.transcript_requested, &[guest]);
    } else {
        fill(out, says.transcript_sent, &[name(request, "user"), guest]);
    }
}

fn priority(message: &Message<'_>, says: &Sentences, out: &mut String) {
    let (user, priority) = match message.get(Field::PriorityData).and_then(Value::document) {
        None => (says.unknown_user, says.no_priority),
        Some(change) => {
            let priority = change.get("priority").and_then(Value::document);
            let named = priority.and_then(|doc| {
                ["name", "i18n"]
                    .into_iter()
                    .find_map(|key| doc.text(key).and_then(non_empty))
            });
            let named = named.map_or(says.unprioritized, as_str);
            (definer(change, says), named)
        }
    };
    fill(out, says.priority_changed, &[user, priority]);
}

fn service_level(message: &Message<'_>, says: &Sentences, out: &mut String) {
    let change = document(message, Field::SlaData);
    let level = change
        .at(&["sla", "name"])
        .and_then(Value::text)
        .and_then(non_empty);
    let level = level.map_or(says.no_service_level, as_str);
    fill(
        out,
        says.service_level_changed,
        &[definer(change, says), level],
    );
}

fn definer<'a>(change: Doc<'a>, says: &Sentences) -> &'a str {
    change
        .at(&["definedBy", "username"])
        .and_then(Value::text)
        .and_then(non_empty)
        .map_or(says.unknown_user, as_str)
}

fn call(message: &Message<'_>, says: &Sentences, out: &mut String) {
    if message.text(Field::Msg) == Text(b"declined") {
        out.push_str(says.call_declined);
        return;
    }
    let end = message.get(Field::WebRtcCallEndTs).and_then(Value::millis);
    match end.and_then(|end| Some((end, end.checked_sub(message.ts()?)?))) {
        Some((end, lasted)) => {
            let (minute, second) = (end.div_euclid(60_000), lasted / 1000);
            let (hour, minute) = (minute.div_euclid(60).rem_euclid(24), minute.rem_euclid(60));
            let at = format!("{hour:02}:{minute:02}");
            let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
            let lasted = format!("{hours:02}:{minutes:02}:{seconds:02}");
            fill(out, says.call_ended_at, &[&at, &lasted]);
        }
        None => out.push_str(says.call_ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bson::{Document, doc};

    fn check(doc: &Document, kind: Sentence, expected: &str) {
        let bytes = doc.to_vec().unwrap();
        let mut out = String::new();
        let found = sentence(&Message::read(&bytes), &Sentences::ENGLISH, &mut out);
        assert_eq!(found, kind, "{doc}");
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
    fn sentences_are_said_in_every_language() {
        let says = [
            Sentences::ENGLISH,
            Sentences::GERMAN,
            Sentences::FRENCH,
            Sentences::SPANISH,
            Sentences::PORTUGUESE,
            Sentences::RUSSIAN,
            Sentences::JAPANESE,
            Sentences::CHINESE,
        ];
        let calls = doc! {"t": "livechat_webrtc_video_call", "ts": ::bson::DateTime::from_millis(0), "webRtcCallEndTs": ::bson::DateTime::from_millis(3_725_000)};
        let moved = doc! {"t": "livechat_transfer_history", "transferData": {"transferredBy": "{}", "scope": "agent", "transferredTo": "bob", "comment": "c"}};
        let table = [
            (
                doc! {"t": "au", "msg": "{}"},
                [
                    "added {}",
                    "hat {} hinzugefügt",
                    "a ajouté {}",
                    "ha añadido a {}",
                    "adicionou {}",
                    "добавляет {}",
                    "{} さんを追加しました",
                    "添加了 {}",
                ],
            ),
            (
                doc! {"t": "room_changed_topic", "msg": ""},
                [
                    "changed room topic to (none)",
                    "hat das Thema des Raums geändert: (ohne)",
                    "a changé le sujet du salon\u{a0}: (aucun)",
                    "ha cambiado el tema de la sala: (ninguno)",
                    "mudou o tópico da sala para: (nenhum)",
                    "меняет тему комнаты: (нет)",
                    "ルームのトピックを変更しました：（なし）",
                    "将聊天室主题改为：（无）",
                ],
            ),
            (
                doc! {"t": "subscription-role-added", "msg": "bob", "role": "owner"},
                [
                    "set bob as owner",
                    "hat bob diese Rolle gegeben: owner",
                    "a donné à bob le rôle\u{a0}: owner",
                    "ha dado a bob el rol: owner",
                    "definiu bob como owner",
                    "назначает bob роль: owner",
                    "bob さんにロールを付与しました：owner",
                    "将 bob 设为 owner",
                ],
            ),
            (
                calls,
                [
                    "Call ended at 01:02 UTC - Lasted 01:02:05",
                    "Anruf beendet um 01:02 UTC – Dauer 01:02:05",
                    "Appel terminé à 01:02 UTC – Durée 01:02:05",
                    "Llamada finalizada a las 01:02 UTC – Duración: 01:02:05",
                    "Chamada encerrada às 01:02 UTC – Duração: 01:02:05",
                    "Звонок завершён в 01:02 UTC – длительность 01:02:05",
                    "通話終了 01:02 UTC – 通話時間 01:02:05",
                    "通话于 01:02 UTC 结束 – 时长 01:02:05",
                ],
            ),
            (
                moved,
                [
                    "New Chat Transfer: {} transferred the chat to bob with a comment: c",
                    "Chat weitergeleitet: {} hat den Chat an bob übergeben, mit dem Kommentar: c",
                    "Conversation transférée\u{a0}: {} a transféré la conversation à bob, avec le commentaire\u{a0}: c",
                    "Chat transferido: {} ha transferido el chat a bob, con el comentario: c",
                    "Conversa transferida: {} transferiu a conversa para bob, com o comentário: c",
                    "Чат передан: {} передаёт чат bob, с комментарием: c",
                    "チャットの転送：{} さんがチャットを bob さんに転送しました、コメント：c",
                    "聊天转接：{} 将聊天转接给 bob，备注：c",
                ],
            ),
        ];
        for (doc, expected) in table {
            let bytes = doc.to_vec().unwrap();
            for (says, expected) in says.iter().zip(expected) {
                let mut out = String::new();
                let found = sentence(&Message::read(&bytes), says, &mut out);
                assert_eq!(
                    (found, out.as_str()),
                    (Sentence::Written, expected),
                    "{doc}"
                );
            }
        }
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
