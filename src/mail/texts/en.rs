//! English.

use transcript::mail::Labels;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "en",
    default_subject: "Here's a selected portion of {} messages",
    messages_title: "Messages from {}",
    sent_by_user: "{} sends you these messages.",
    colon: ": ",
    full_stop: ".",
    facts_messages: "Messages",
    facts_times: "Times",
    some_too_large: "Files that are too large for this mail are named, but not attached.",
    zip_attached: "Everything, with all files, is attached as {}.",
    zip_too_large: "The export with all files ({}) is too large for this mail.",
    room: "Room",
    time: "Time",
    from_to: "from {} to {}",
    beginning: "the beginning",
    format: "Format",
    messages: "Messages",
    files: "Files",
    files_missing: "{} missing, named with their reasons in manifest.json",
    incomplete: "Incomplete",
    kept_until: "Kept until",
    ready_subject: "Export of {} is ready",
    ready_title: "Your export of {} is ready",
    download: "Download the ZIP ({})",
    link_note: "The link works for you only, after you have logged in:",
    failed_subject: "Export of {} failed",
    failed_title: "Your export of {} failed",
    failed_reason: "Reason",
    failed_again: "Nothing of it was kept. You can ask for the export again.",
    failures: &[],
    sent_by: "Sent by Export Room for {}",
    labels: Labels::ENGLISH,
};
