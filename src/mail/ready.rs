//! The mail that says that an export is ready (contract §8.1; the link is in both parts).

use jiff::SignedDuration;
use serde_json::{Value, json};
use transcript::html::escaped;
use transcript::room::RoomInfo;

use super::{Mail, MailError, recipient};
use crate::app::{Service, host};
use crate::jobs::{FileExportWork, Job, Outcome, QueueError, ReadyMailWork, Work};
use crate::store::RoomId;
use crate::words;

/// Characters of a room's title in the subject.
const LONGEST_TITLE: usize = 100;

/// Tells the requester that an export is ready. An outcome with [`Outcome::no_mail`] says why nothing was sent and
/// nothing is to be tried again.
pub async fn send_ready(
    service: &Service,
    job: &Job,
    work: &ReadyMailWork,
) -> Result<Outcome, MailError> {
    let not_sent = |reason: &str| Outcome {
        no_mail: Some(reason.to_owned()),
        ..Outcome::default()
    };
    let export = match service.queue.job(&work.export).await {
        Ok(export) => export,
        Err(QueueError::Store(error)) => return Err(error.into()),
        Err(error) => return Err(MailError::Later(error.to_string())),
    };
    let file = service.user_data.file(&work.export.0).await?;
    let (Some(export), Some(file)) = (export, file) else {
        return Ok(not_sent("The export was deleted before its mail was sent."));
    };
    let Some(Work::FileExport(request)) = &export.work else {
        return Ok(not_sent("The export was made by another version."));
    };
    let user = match service.directory.user(&job.owner).await? {
        Some(user) if user.active => user,
        _ => {
            return Ok(not_sent(
                "The user who asked for the export is gone or deactivated.",
            ));
        }
    };
    if let Some(reason) = service.mailer.obstacle(&user).await? {
        return Ok(not_sent(&reason));
    }
    let Some(to) = recipient(&user) else {
        return Ok(not_sent("The user has no e-mail address."));
    };
    let room = match service.directory.room(&RoomId(request.rid.clone())).await? {
        Some(doc) => RoomInfo::read(&doc.0).ok(),
        None => None,
    };
    let site = service.site_url().await?;
    let ended = export.ended_at.unwrap_or(export.created_at);
    let letter = Letter {
        room: room.as_ref().map_or_else(|| request.rid.clone(), title),
        link: format!("{site}/data-export/{}", work.export),
        facts: facts(
            request,
            export.outcome.as_ref(),
            room.as_ref(),
            service
                .config
                .store
                .keep
                .and_then(|keep| SignedDuration::try_from(keep).ok())
                .and_then(|keep| ended.checked_add(i64::try_from(keep.as_millis()).ok()?)),
        ),
        size: file.size,
    };
    let mail = Mail {
        to,
        subject: letter.subject(),
        text: letter.text(),
        html: Some(letter.html()),
        message_id: format!("{}@{}", word(&job.id.0), word(host(&site))),
        date: service.clock.now(),
    };
    service.mailer.send(&mail).await?;
    Ok(Outcome {
        report: Some(json!({"messageId": mail.message_id})),
        ..Outcome::default()
    })
}

/// What the mail says.
struct Letter {
    room: String,
    link: String,
    size: u64,
    facts: Vec<(&'static str, String)>,
}

impl Letter {
    fn subject(&self) -> String {
        format!("Export of {} is ready", self.room)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "Your export of {} is ready. Download it ({}):\n\n{}\n\nThe link works for you only, after you have logged in.\n\n",
            self.room,
            words::bytes(self.size),
            self.link,
        );
        for (name, value) in &self.facts {
            text += name;
            text += ": ";
            text += value;
            text += "\n";
        }
        text
    }

    /// Colours are left to the mail program, light or dark; nothing is loaded from anywhere.
    fn html(&self) -> String {
        let room = escaped(&self.room);
        let link = escaped(&self.link);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n</head>\n\
             <body style=\"margin:0 auto;max-width:36rem;padding:1.5rem;font:1rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif\">\n\
             <h1 style=\"margin:0 0 1rem;font-size:1.375rem;line-height:1.25\">Your export of {room} is ready</h1>\n\
             <p style=\"margin:0 0 1rem\"><a href=\"{link}\" style=\"display:inline-block;padding:.6rem 1.1rem;border:2px solid;border-radius:6px;font-weight:600;text-decoration:none\">Download the ZIP ({})</a></p>\n\
             <p style=\"margin:0 0 1.5rem;font-size:.875rem\">The link works for you only, after you have logged in:<br>\n\
             <a href=\"{link}\" style=\"overflow-wrap:anywhere\">{link}</a></p>\n\
             <dl style=\"margin:0;font-size:.875rem\">\n",
            escaped(&self.subject()),
            escaped(&words::bytes(self.size)),
        );
        for (name, value) in &self.facts {
            html += "<dt style=\"font-weight:600\">";
            html += name;
            html += "</dt>\n<dd style=\"margin:0 0 .5rem;overflow-wrap:anywhere\">";
            html += &escaped(value);
            html += "</dd>\n";
        }
        html += "</dl>\n</body>\n</html>\n";
        html
    }
}

/// What people call a room, on one line.
fn title(room: &RoomInfo) -> String {
    let mark = match room.kind.as_str() {
        "c" | "p" if room.parent.is_none() && !room.team => "#",
        _ => "",
    };
    let mut title: String = room.title.chars().take(LONGEST_TITLE).collect();
    if title.len() < room.title.len() {
        title.push('…');
    }
    format!("{mark}{}", words::one_line(&title))
}

fn facts(
    request: &FileExportWork,
    outcome: Option<&Outcome>,
    room: Option<&RoomInfo>,
    expires: Option<i64>,
) -> Vec<(&'static str, String)> {
    let report = outcome.and_then(|outcome| outcome.report.as_ref());
    let count = |path: &str| report.and_then(|report| report.pointer(path)?.as_u64());
    let mut facts = Vec::new();
    if let Some(room) = room {
        facts.push((
            "Room",
            format!("{} ({})", title(room), room.kind_in_words()),
        ));
    }
    facts.push((
        "Time",
        format!(
            "from {} to {}",
            request.date_from.as_deref().unwrap_or("the beginning"),
            request
                .date_to
                .clone()
                .unwrap_or_else(|| words::instant(request.to)),
        ),
    ));
    facts.push(("Format", request.format.to_uppercase()));
    if let Some(messages) = count("/messages/rendered") {
        facts.push(("Messages", words::number(messages)));
    }
    if let (Some(packed), Some(bytes)) = (count("/files/packed"), count("/files/bytes")) {
        let missing = match count("/files/missing") {
            None | Some(0) => String::new(),
            Some(missing) => format!(
                "; {} missing, named with their reasons in manifest.json",
                words::number(missing)
            ),
        };
        facts.push((
            "Files",
            format!(
                "{} ({}){missing}",
                words::number(packed),
                words::bytes(bytes)
            ),
        ));
    }
    let problems = report.and_then(|report| report.get("problems")?.as_array());
    facts.extend(
        problems
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|problem| ("Incomplete", words::one_line(problem))),
    );
    if let Some(digest) = outcome.and_then(|outcome| outcome.sha256.clone()) {
        facts.push(("SHA-256", digest));
    }
    if let Some(expires) = expires {
        facts.push(("Kept until", words::instant(expires)));
    }
    facts
}

/// Only what may stand on either side of a Message-ID's `@` (RFC 5322 §3.6.4).
fn word(text: &str) -> String {
    let word: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let word = word.trim_matches('.').replace("..", ".");
    if word.is_empty() {
        "export-room".to_owned()
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_a_word_at_the_host() {
        for (site, expected) in [
            ("https://chat.example.org", "chat.example.org"),
            ("http://chat.example.org:3000/base", "chat.example.org"),
            ("http://[::1]:3100", "--1"),
            ("https://user@bücher.example", "b-cher.example"),
            ("", "export-room"),
        ] {
            assert_eq!(word(host(site)), expected, "{site}");
        }
    }
}
