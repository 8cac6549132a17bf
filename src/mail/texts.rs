//! The words of mails, by language: a file for each, complete because the compiler asks for every text.
//!
//! To add a language, copy `texts/en.rs`, translate it and name it in [`ALL`]. What a workspace holds and what is kept in a
//! report stays as it is.

mod de;
mod en;
mod es;
mod fr;
mod ja;
mod pt_br;
mod ru;
mod zh;

use transcript::locale::Locale;
use transcript::mail::Labels;
use transcript::output::Absence;
use transcript::room::RoomInfo;
use transcript::texts::filled;

use crate::jobs::JobError;

/// The texts of one language. `{}` stands for what is filled in, in this order.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "English is the documentation of the texts")]
pub struct Texts {
    /// Language tag (BCP 47).
    pub code: &'static str,
    /// Around messages.
    pub labels: Labels,
    /// The room.
    pub default_subject: &'static str,
    /// The room.
    pub messages_title: &'static str,
    /// Who.
    pub sent_by_user: &'static str,
    /// Between a name and its value, with the blanks that the language wants.
    pub colon: &'static str,
    pub full_stop: &'static str,
    pub facts_messages: &'static str,
    pub facts_times: &'static str,
    pub some_too_large: &'static str,
    /// The file's name.
    pub zip_attached: &'static str,
    /// The file's size.
    pub zip_too_large: &'static str,
    pub room: &'static str,
    pub time: &'static str,
    /// Two instants.
    pub from_to: &'static str,
    pub beginning: &'static str,
    pub format: &'static str,
    pub messages: &'static str,
    pub files: &'static str,
    /// How many.
    pub files_missing: &'static str,
    pub incomplete: &'static str,
    pub kept_until: &'static str,
    /// The room.
    pub ready_subject: &'static str,
    /// The room.
    pub ready_title: &'static str,
    /// The size.
    pub download: &'static str,
    pub link_note: &'static str,
    /// The room.
    pub failed_subject: &'static str,
    /// The room.
    pub failed_title: &'static str,
    pub failed_reason: &'static str,
    pub failed_again: &'static str,
    /// Sentences for codes of [`JobError`]; the error's own sentence is the English one.
    pub failures: &'static [(&'static str, &'static str)],
    /// The workspace.
    pub sent_by: &'static str,
}

/// All languages; the first is for everybody else.
pub const ALL: [&Texts; 8] = [
    &en::TEXTS,
    &de::TEXTS,
    &fr::TEXTS,
    &es::TEXTS,
    &pt_br::TEXTS,
    &ru::TEXTS,
    &ja::TEXTS,
    &zh::TEXTS,
];

impl Texts {
    /// English.
    pub const ENGLISH: Self = en::TEXTS;

    /// The texts for a language tag: of the language itself, else of another variety of it, else English.
    pub fn of(language: &str) -> &'static Self {
        let base = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_owned();
        ALL.into_iter()
            .find(|texts| texts.code.eq_ignore_ascii_case(language))
            .or_else(|| {
                let wanted = base(language);
                ALL.into_iter()
                    .find(|texts| base(texts.code).eq_ignore_ascii_case(&wanted))
            })
            .unwrap_or(ALL[0])
    }

    /// The kind of a room.
    pub fn kind<'a>(&self, room: &'a RoomInfo) -> &'a str {
        let locale = Locale::of(self.code).unwrap_or_default();
        locale.texts().kind(room)
    }

    /// Why a file is not there.
    pub fn absence(&self, absence: Absence) -> &'static str {
        let locale = Locale::of(self.code).unwrap_or_default();
        locale.texts().absence(absence)
    }

    /// Why a job failed.
    pub fn failure<'a>(&self, error: &'a JobError) -> &'a str {
        let own = self.failures.iter().find(|(code, _)| *code == error.code);
        own.map_or(&error.message, |(_, sentence)| sentence)
    }

    /// The subject of messages that have none (endpoint specification, decision 8).
    pub fn subject_of(&self, room: &str) -> String {
        filled(self.default_subject, &[room])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn languages_are_found_by_tag_and_by_family() {
        for (tag, code) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("DE_ch", "de"),
            ("pt-BR", "pt-BR"),
            ("pt", "pt-BR"),
            ("zh-TW", "zh"),
            ("it", "en"),
            ("", "en"),
            ("english", "en"),
        ] {
            assert_eq!(Texts::of(tag).code, code, "{tag}");
        }
        assert_eq!(
            Texts::of("en").subject_of("general"),
            "Here's a selected portion of general messages"
        );
    }

    #[test]
    fn every_language_fills_in_the_same_things() {
        let gaps = |texts: &Texts| {
            [
                texts.default_subject,
                texts.messages_title,
                texts.sent_by_user,
                texts.zip_attached,
                texts.zip_too_large,
                texts.from_to,
                texts.files_missing,
                texts.ready_subject,
                texts.ready_title,
                texts.download,
                texts.failed_subject,
                texts.failed_title,
                texts.sent_by,
                texts.labels.reply,
                texts.labels.location,
                texts.labels.missing,
                texts.labels.thread,
                texts.labels.discussion_of,
            ]
            .map(|text| text.matches("{}").count())
        };
        let codes = |texts: &Texts| -> BTreeSet<_> {
            texts.failures.iter().map(|(code, _)| *code).collect()
        };
        for texts in ALL {
            assert_eq!(gaps(texts), gaps(ALL[0]), "{}", texts.code);
            if texts.code != "en" {
                assert_eq!(codes(texts), codes(ALL[1]), "{}", texts.code);
            }
        }
    }
}
