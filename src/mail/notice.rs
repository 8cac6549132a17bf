//! The mail that tells a requester how an export has ended: ready, with the link in both parts, or failed, and why.

use jiff::SignedDuration;
use serde_json::{Value, json};
use transcript::html::escaped;
use transcript::room::RoomInfo;
use transcript::texts::filled;

use super::messages::{Reader, title};
use super::{Mail, MailError, Occasion, mime, recipient};
use crate::app::{Service, host};
use crate::jobs::{
    FileExportWork, Job, JobError, JobState, Outcome, QueueError, ReadyMailWork, Work,
};
use crate::store::RoomId;
use crate::words;

/// Tells the requester how an export has ended. An outcome with [`Outcome::no_mail`] says why nothing was sent and
/// nothing is to be tried again.
pub async fn send_notice(
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
    let Some(export) = export else {
        return Ok(not_sent("The export was deleted before its mail was sent."));
    };
    let Some(Work::FileExport(request)) = &export.work else {
        return Ok(not_sent("The export was made by another version."));
    };
    let occasion = match export.state {
        JobState::Done => Occasion::Ready,
        JobState::Failed => Occasion::Failed,
        JobState::Cancelled => return Ok(not_sent("The export was cancelled.")),
        JobState::Queued | JobState::Running => {
            return Err(MailError::Later("the export has not ended".to_owned()));
        }
    };
    let user = match service.directory.user(&job.owner).await? {
        Some(user) if user.active => user,
        _ => {
            return Ok(not_sent(
                "The user who asked for the export is gone or deactivated.",
            ));
        }
    };
    if let Some(reason) = service.mailer.obstacle(&user, occasion).await? {
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
    let reader = service.reader(Some(&user)).await?;
    let mut letter = Letter {
        reader: &reader,
        room: room.as_ref().map_or_else(|| request.rid.clone(), title),
        facts: Vec::new(),
        ended: Ended::Failed,
    };
    letter.about(request, room.as_ref());
    if occasion == Occasion::Ready {
        let Some(file) = service.user_data.file(&work.export.0).await? else {
            return Ok(not_sent("The export was deleted before its mail was sent."));
        };
        let ended = export.ended_at.unwrap_or(export.created_at);
        let keep = service.config.store.keep;
        let expires = keep
            .and_then(|keep| SignedDuration::try_from(keep).ok())
            .and_then(|keep| ended.checked_add(i64::try_from(keep.as_millis()).ok()?));
        letter.ended = Ended::Ready {
            link: format!("{site}/data-export/{}", work.export),
            size: file.size,
        };
        letter.made(export.outcome.as_ref(), expires);
    } else {
        letter.why(export.error.as_ref());
    }
    let paper = service.mailer.paper(&site).await?;
    let subject = letter.subject();
    let html = (!paper.plain)
        .then(|| paper.html(reader.texts, &subject, letter.html().as_bytes(), Some(&to)));
    let frame = paper.text_frame(Some(&to));
    let mail = Mail {
        to: vec![to],
        reply_to: None,
        message_id: mime::id_of_job(&job.id.0),
        host: mime::word(host(&site)),
        date: service.clock.now(),
        content: mime::content(&job.id.0, &letter.text(frame), html.as_deref(), Vec::new()),
        subject,
    };
    service.mailer.send(&mail).await?;
    Ok(Outcome {
        report: Some(json!({"messageId": mail.message_id})),
        ..Outcome::default()
    })
}

/// How the export ended.
enum Ended {
    Ready { link: String, size: u64 },
    Failed,
}

/// What the mail says.
struct Letter<'a> {
    reader: &'a Reader,
    room: String,
    facts: Vec<(&'static str, String)>,
    ended: Ended,
}

impl Letter<'_> {
    /// What was asked for.
    fn about(&mut self, request: &FileExportWork, room: Option<&RoomInfo>) {
        let texts = self.reader.texts;
        if let Some(room) = room {
            self.facts.push((
                texts.room,
                format!("{} ({})", title(room), texts.kind(room)),
            ));
        }
        let from = request.date_from.as_deref().unwrap_or(texts.beginning);
        let to = match &request.date_to {
            Some(to) => to.clone(),
            None => self.instant(request.to),
        };
        self.facts
            .push((texts.time, filled(texts.from_to, &[from, &to])));
        self.facts
            .push((texts.format, request.format.to_uppercase()));
    }

    /// What was made.
    fn made(&mut self, outcome: Option<&Outcome>, expires: Option<i64>) {
        let texts = self.reader.texts;
        let report = outcome.and_then(|outcome| outcome.report.as_ref());
        let count = |path: &str| report.and_then(|report| report.pointer(path)?.as_u64());
        if let Some(messages) = count("/messages/rendered") {
            self.facts.push((texts.messages, words::number(messages)));
        }
        if let (Some(packed), Some(bytes)) = (count("/files/packed"), count("/files/bytes")) {
            let missing = match count("/files/missing") {
                None | Some(0) => String::new(),
                Some(missing) => format!(
                    "; {}",
                    filled(texts.files_missing, &[&words::number(missing)])
                ),
            };
            self.facts.push((
                texts.files,
                format!(
                    "{} ({}){missing}",
                    words::number(packed),
                    words::bytes(bytes)
                ),
            ));
        }
        let problems = report.and_then(|report| report.get("problems")?.as_array());
        self.facts.extend(
            problems
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(|problem| (texts.incomplete, words::one_line(problem))),
        );
        if let Some(digest) = outcome.and_then(|outcome| outcome.sha256.clone()) {
            self.facts.push(("SHA-256", digest));
        }
        if let Some(expires) = expires {
            let expires = self.instant(expires);
            self.facts.push((texts.kept_until, expires));
        }
    }

    /// Why nothing was made.
    fn why(&mut self, error: Option<&JobError>) {
        let texts = self.reader.texts;
        let internal = JobError::internal();
        let reason = texts.failure(error.unwrap_or(&internal)).to_owned();
        self.facts.push((texts.failed_reason, reason));
    }

    fn instant(&self, millis: i64) -> String {
        let dates = &self.reader.dates;
        format!("{} ({})", dates.text(millis), dates.zone_in_words())
    }

    fn subject(&self) -> String {
        let texts = self.reader.texts;
        let template = match self.ended {
            Ended::Ready { .. } => texts.ready_subject,
            Ended::Failed => texts.failed_subject,
        };
        filled(template, &[&self.room])
    }

    fn title(&self) -> String {
        let texts = self.reader.texts;
        let template = match self.ended {
            Ended::Ready { .. } => texts.ready_title,
            Ended::Failed => texts.failed_title,
        };
        filled(template, &[&self.room])
    }

    fn text(&self, [header, footer]: [String; 2]) -> String {
        let texts = self.reader.texts;
        let mut text = header;
        text.extend(if text.is_empty() { [""] } else { ["\n"] });
        text.extend([&*self.title(), "\n\n"]);
        match &self.ended {
            Ended::Ready { link, size } => {
                text.extend([
                    &*filled(texts.download, &[&words::bytes(*size)]),
                    texts.colon.trim_end(),
                    "\n\n",
                    link,
                    "\n\n",
                    texts.link_note.trim_end_matches([':', '：', ' ', '\u{a0}']),
                    texts.full_stop,
                    "\n\n",
                ]);
            }
            Ended::Failed => text.extend([texts.failed_again, "\n\n"]),
        }
        for (name, value) in &self.facts {
            text.extend([name, texts.colon, value, "\n"]);
        }
        if !footer.is_empty() {
            text.extend(["\n-- \n", &footer]);
        }
        text
    }

    fn html(&self) -> String {
        let texts = self.reader.texts;
        let mut html = format!(
            "<h1 class=\"er-text\" style=\"margin:0 0 16px;color:#2f343d;font-size:20px;line-height:26px;overflow-wrap:anywhere\"><bdi>{}</bdi></h1>\n",
            escaped(&self.title()),
        );
        match &self.ended {
            Ended::Ready { link, size } => {
                let link = escaped(link);
                html.extend([format!(
                    "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr><td class=\"er-button\" style=\"background:#156ff5;border-radius:6px\">\
                     <a href=\"{link}\" style=\"display:inline-block;padding:10px 18px;color:#ffffff;font-size:15px;font-weight:bold;text-decoration:none\">{}</a></td></tr></table>\n\
                     <p class=\"er-dim\" style=\"margin:16px 0 20px;color:#6c727a;font-size:13px;line-height:19px\">{}<br>\n\
                     <a href=\"{link}\" class=\"er-link\" style=\"color:#095ad2;overflow-wrap:anywhere\">{link}</a></p>\n",
                    escaped(&filled(texts.download, &[&words::bytes(*size)])),
                    escaped(texts.link_note),
                )]);
            }
            Ended::Failed => {
                html.extend([format!(
                    "<p class=\"er-text\" style=\"margin:0 0 20px;color:#2f343d;font-size:14px;line-height:20px\">{}</p>\n",
                    escaped(texts.failed_again),
                )]);
            }
        }
        html += "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\">\n";
        for (name, value) in &self.facts {
            html.extend([format!(
                "<tr><td class=\"er-line\" style=\"padding:8px 0;border-top:1px solid #e4e7ea;font-size:13px;line-height:19px\">\
                 <div class=\"er-dim\" style=\"color:#6c727a\">{}</div>\
                 <div class=\"er-text\" dir=\"auto\" style=\"color:#2f343d;overflow-wrap:anywhere\">{}</div></td></tr>\n",
                escaped(name),
                escaped(value),
            )]);
        }
        html += "</table>\n";
        html
    }
}
