//! The words of pages, by language: a file for each, complete because the compiler asks for every text.
//!
//! To add a language, copy `texts/en.rs`, translate it, name it in `ALL` and give it a [`Locale`](crate::locale::Locale).
//! What a workspace holds stays as it is.

mod de;
mod en;
mod es;
mod fr;
mod ja;
mod pt_br;
mod ru;
mod sentences;
mod zh;

pub use sentences::Sentences;

use crate::output::Absence;
use crate::room::RoomInfo;

/// The texts of one language. `{}` stands for what is filled in, in this order.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "English is the documentation of the texts")]
pub struct Texts {
    /// Language tag (BCP 47).
    pub code: &'static str,
    pub skip: &'static str,
    /// When, and name and version of the program.
    pub exported_with: &'static str,
    /// The manifest's name.
    pub digests: &'static str,
    /// Channel, private group, direct messages, team, discussion, omnichannel.
    pub kinds: [&'static str; 6],
    pub pages: &'static str,
    pub pages_at_end: &'static str,
    pub empty: &'static str,
    /// The number.
    pub page_number: &'static str,
    /// The number, and how many there are.
    pub page_of: &'static str,
    pub first_page: &'static str,
    pub previous_page: &'static str,
    pub next_page: &'static str,
    pub last_page: &'static str,
    pub room: &'static str,
    pub window: &'static str,
    pub all_messages: &'static str,
    /// Two instants.
    pub from_to: &'static str,
    pub first_message: &'static str,
    pub last_message: &'static str,
    pub messages: &'static str,
    /// Of one page, of several: messages, pages.
    pub on_pages: [&'static str; 2],
    pub files: &'static str,
    /// Files that are there, and how many are not.
    pub some_missing: &'static str,
    pub times_in: &'static str,
    /// A zone, and its offset from UTC.
    pub when_exported: &'static str,
    pub exported: &'static str,
    pub by: &'static str,
    pub with: &'static str,
    pub no_time: &'static str,
    pub calendar: &'static str,
    /// The zone.
    pub calendar_about: &'static str,
    pub calendar_pages: &'static str,
    /// One message, several: how many.
    pub count: [&'static str; 2],
    pub months: &'static str,
    pub jump: &'static str,
    pub all_days: &'static str,
    pub all_months: &'static str,
    pub thread: &'static str,
    /// Its number, or what its first message says.
    pub thread_titled: &'static str,
    /// By whom, and the day.
    pub thread_begun: &'static str,
    pub thread_pages: &'static str,
    /// Whom.
    pub reply_to: &'static str,
    pub later_message: &'static str,
    pub reply_elsewhere: &'static str,
    pub whole_thread: &'static str,
    pub in_room: &'static str,
    /// One reply, several: how many.
    pub replies: [&'static str; 2],
    pub and_others: &'static str,
    /// How many.
    pub all_replies: &'static str,
    /// How many.
    pub replies_elsewhere: &'static str,
    /// One reply, several: how many.
    pub no_replies: [&'static str; 2],
    pub sealed: &'static str,
    pub encrypted: &'static str,
    /// How many.
    pub characters_sealed: &'static str,
    /// Without and with whom.
    pub edited: [&'static str; 2],
    /// Without and with whom.
    pub deleted: [&'static str; 2],
    /// Without and with whom.
    pub pinned: [&'static str; 2],
    pub integration: &'static str,
    pub imported: &'static str,
    pub from_slack: &'static str,
    pub by_email: &'static str,
    pub private: &'static str,
    /// Owner, leader, moderator, administrator, bot, guest, agent.
    pub roles: [&'static str; 7],
    pub unknown_author: &'static str,
    /// How many.
    pub earlier: &'static str,
    /// How many things.
    pub cut: &'static str,
    /// How many.
    pub cut_bytes: &'static str,
    pub cut_text: &'static str,
    pub too_deep: &'static str,
    pub odd_text: &'static str,
    pub discussion: &'static str,
    /// An instant.
    pub last: &'static str,
    /// The id of its room.
    pub discussion_elsewhere: &'static str,
    pub custom_fields: &'static str,
    pub comment: &'static str,
    pub transfer: &'static str,
    pub request: &'static str,
    pub service_level: &'static str,
    pub priority: &'static str,
    pub buttons: &'static str,
    pub mentioned: &'static str,
    pub location: &'static str,
    /// Latitude, longitude.
    pub coordinates: &'static str,
    pub translations: &'static str,
    pub other_fields: &'static str,
    pub attachment: &'static str,
    pub file_removed: &'static str,
    pub quoted_message: &'static str,
    pub picture: &'static str,
    pub thumbnail: &'static str,
    pub sound: &'static str,
    pub film: &'static str,
    pub button: &'static str,
    /// What a button writes.
    pub says: &'static str,
    pub block: &'static str,
    pub block_text: &'static str,
    pub unknown_block: &'static str,
    pub conference: &'static str,
    pub menu: &'static str,
    pub no_description: &'static str,
    /// Its name.
    pub file_missing: &'static str,
    /// Why: no record, not in its store, only a part, not read, too late.
    pub absences: [&'static str; 5],
    /// Its name.
    pub file_left_out: &'static str,
    /// Its name.
    pub visitor_file: &'static str,
    /// Its name.
    pub import_file: &'static str,
    /// How many.
    pub bytes: &'static str,
    pub spoiler: &'static str,
    pub show_spoiler: &'static str,
    pub done: &'static str,
    pub to_do: &'static str,
    /// Those of system messages.
    pub sentences: Sentences,
    /// Those of the script and of the search.
    pub script: ScriptTexts,
}

/// The texts of the script and of the search.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "English is the documentation of the texts")]
pub struct ScriptTexts {
    pub search: &'static str,
    pub colours: &'static str,
    pub system: &'static str,
    pub light: &'static str,
    pub dark: &'static str,
    pub author: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    pub order: &'static str,
    pub newest: &'static str,
    pub oldest: &'static str,
    pub jump: &'static str,
    pub more: &'static str,
    pub results: &'static str,
    pub none: &'static str,
    pub wordless: &'static str,
    pub one: &'static str,
    pub several: &'static str,
    pub timeless: &'static str,
    pub unreadable: &'static str,
}

impl ScriptTexts {
    /// Each by the name that the script knows it by.
    pub(crate) fn named(&self) -> [(&'static str, &'static str); 20] {
        [
            ("search", self.search),
            ("colours", self.colours),
            ("system", self.system),
            ("light", self.light),
            ("dark", self.dark),
            ("author", self.author),
            ("from", self.from),
            ("to", self.to),
            ("order", self.order),
            ("newest", self.newest),
            ("oldest", self.oldest),
            ("jump", self.jump),
            ("more", self.more),
            ("results", self.results),
            ("none", self.none),
            ("wordless", self.wordless),
            ("one", self.one),
            ("several", self.several),
            ("timeless", self.timeless),
            ("unreadable", self.unreadable),
        ]
    }
}

/// All languages; the first is for everybody else.
static ALL: [Texts; 8] = [
    en::TEXTS,
    de::TEXTS,
    fr::TEXTS,
    es::TEXTS,
    pt_br::TEXTS,
    ru::TEXTS,
    ja::TEXTS,
    zh::TEXTS,
];

impl Texts {
    /// The texts in the language of a tag, else English.
    pub(crate) fn of(tag: &str) -> &'static Self {
        let base = |tag: &'static str| tag.split('-').next().unwrap_or_default();
        let wanted = tag.split('-').next().unwrap_or_default();
        ALL.iter()
            .find(|texts| base(texts.code) == wanted)
            .unwrap_or(&ALL[0])
    }

    /// The kind of a room.
    pub fn kind<'a>(&self, room: &'a RoomInfo) -> &'a str {
        let [channel, group, direct, team, discussion, omnichannel] = self.kinds;
        match room.kind.as_str() {
            _ if room.team => team,
            _ if room.parent.is_some() => discussion,
            "c" => channel,
            "p" => group,
            "d" => direct,
            "l" => omnichannel,
            _ => &room.kind,
        }
    }

    /// Why a file is not there.
    pub fn absence(&self, absence: Absence) -> &'static str {
        let [no_record, gone, incomplete, unread, late] = self.absences;
        match absence {
            Absence::NoRecord => no_record,
            Absence::Gone => gone,
            Absence::Incomplete => incomplete,
            Absence::Unread => unread,
            Absence::Late => late,
        }
    }
}

/// What stands before the first `{}` of a text, and what after it.
pub(crate) fn gap(text: &'static str) -> (&'static str, &'static str) {
    text.split_once("{}").unwrap_or((text, ""))
}

/// `template` with its `{}` replaced, once, by texts in order.
pub fn filled(template: &str, texts: &[&str]) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    fill(&mut out, template, texts);
    out
}

/// Appends what [`filled`] makes. What is filled in is looked at no more: a `{}` in it stays.
pub(crate) fn fill(out: &mut String, template: &str, texts: &[&str]) {
    let mut texts = texts.iter();
    for (index, piece) in template.split("{}").enumerate() {
        if index > 0 {
            out.push_str(texts.next().copied().unwrap_or_default());
        }
        out.push_str(piece);
    }
}

/// One of two forms: the first for exactly one.
pub(crate) fn counted(forms: [&'static str; 2], count: u64) -> &'static str {
    let [one, several] = forms;
    if count == 1 { one } else { several }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locale::Locale;

    /// All texts of a language by name, from what the compiler knows of them.
    fn all(texts: &Texts) -> Vec<(String, String)> {
        let shown = format!("{texts:#?}");
        let mut field = String::new();
        let mut found = Vec::new();
        for line in shown.lines().map(str::trim) {
            let value = match line.split_once(": ") {
                Some((name, value)) if !name.starts_with('"') => {
                    field = name.to_owned();
                    value
                }
                _ => line,
            };
            if let Some(value) = value.strip_prefix('"') {
                found.push((field.clone(), value.trim_end_matches(['"', ',']).to_owned()));
            }
        }
        found
    }

    #[test]
    fn every_language_fills_in_the_same_things() {
        let english = all(&ALL[0]);
        assert!(english.len() > 200, "{english:?}");
        for texts in &ALL[1..] {
            let own = all(texts);
            assert_eq!(own.len(), english.len(), "{}", texts.code);
            for ((name, text), (other, english)) in own.iter().zip(&english) {
                assert_eq!(name, other);
                let gaps = |text: &str| text.matches("{}").count();
                assert_eq!(gaps(text), gaps(english), "{} {name}", texts.code);
                assert!(!text.trim().is_empty(), "{} {name}", texts.code);
            }
        }
    }

    #[test]
    fn every_locale_has_the_texts_of_its_language() {
        for tag in Locale::tags() {
            let texts = Locale::of(tag).unwrap_or_default().texts();
            assert_eq!(texts.code.split('-').next(), tag.split('-').next(), "{tag}");
        }
        assert_eq!(Texts::of("tlh").code, "en");
    }
}
