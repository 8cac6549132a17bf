//! German.

use transcript::mail::Labels;
use transcript::texts::Sentences;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "de",
    default_subject: "Ausgewählte Nachrichten aus {}",
    messages_title: "Nachrichten aus {}",
    sent_by_user: "{} schickt Ihnen diese Nachrichten.",
    colon: ": ",
    full_stop: ".",
    facts_messages: "Nachrichten",
    facts_times: "Zeiten",
    some_too_large: "Dateien, die für diese E-Mail zu groß sind, sind genannt, aber nicht angehängt.",
    zip_attached: "Alles, mit allen Dateien, ist angehängt als {}.",
    zip_too_large: "Der Export mit allen Dateien ({}) ist für diese E-Mail zu groß.",
    room: "Raum",
    time: "Zeitraum",
    from_to: "von {} bis {}",
    beginning: "Anfang",
    format: "Format",
    messages: "Nachrichten",
    files: "Dateien",
    files_missing: "{} fehlen, mit Gründen genannt in manifest.json",
    incomplete: "Unvollständig",
    kept_until: "Aufbewahrt bis",
    ready_subject: "Export von {} ist fertig",
    ready_title: "Ihr Export von {} ist fertig",
    download: "ZIP herunterladen ({})",
    link_note: "Der Link funktioniert nur für Sie, nachdem Sie sich angemeldet haben:",
    failed_subject: "Export von {} ist fehlgeschlagen",
    failed_title: "Ihr Export von {} ist fehlgeschlagen",
    failed_reason: "Grund",
    failed_again: "Nichts davon wurde behalten. Sie können den Export erneut anfordern.",
    failures: &[
        (
            "not-allowed",
            "Sie dürfen diesen Raum nicht mehr exportieren. Fragen Sie die Administration, wenn Sie es dürfen sollten.",
        ),
        ("room-gone", "Den Raum gibt es nicht mehr."),
        (
            "no-space",
            "Auf dem Server ist nicht genug Platz für diesen Export. Bitten Sie die Administration, Platz zu schaffen.",
        ),
        (
            "store-unwritable",
            "Der Export konnte auf dem Server nicht gespeichert werden. Wenn das wieder geschieht, fragen Sie die Administration.",
        ),
        (
            "workspace-damaged",
            "Was der Server von diesem Raum aufbewahrt, ist beschädigt. Fragen Sie die Administration.",
        ),
        (
            "workspace-unreadable",
            "Der Raum konnte nicht gelesen werden. Wenn das wieder geschieht, fragen Sie die Administration.",
        ),
        (
            "interrupted",
            "Die Arbeit wurde immer wieder unterbrochen und deshalb aufgegeben.",
        ),
        (
            "internal",
            "Auf dem Server ist etwas schiefgegangen. Wenn das wieder geschieht, fragen Sie die Administration.",
        ),
    ],
    sent_by: "Gesendet von Export Room für {}",
    labels: Labels {
        edited: "bearbeitet",
        deleted: "gelöscht",
        pinned: "angeheftet",
        bot: "Bot",
        imported: "importiert",
        private: "nur einer Person gezeigt",
        unknown_author: "unbekannt",
        no_time: "ohne Zeit",
        reply: "Antwort im Thread von {}: {}",
        reply_elsewhere: "Antwort in einem Thread, dessen erste Nachricht hier nicht steht",
        encrypted: "Ende-zu-Ende-verschlüsselt: der Text ist nur mit dem Schlüssel eines Teilnehmers lesbar.",
        discussion: "Diskussion",
        nested_too_deep: "Weitere Zitate sind zu tief verschachtelt.",
        location: "Ort: Breite {}, Länge {}",
        thread: "Antworten im Thread: {}",
        discussion_of: "Nachrichten in der Diskussion: {}",
        earlier: "Frühere Fassung:",
        attached: "angehängt",
        too_large: "nicht angehängt, zu groß für eine E-Mail",
        not_attached: "nicht angehängt",
        missing: "fehlt: {}",
        sentences: &Sentences::GERMAN,
    },
};
