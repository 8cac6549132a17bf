//! French.

use transcript::mail::Labels;
use transcript::texts::Sentences;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "fr",
    default_subject: "Messages choisis de {}",
    messages_title: "Messages de {}",
    sent_by_user: "{} vous envoie ces messages.",
    colon: "\u{a0}: ",
    full_stop: ".",
    facts_messages: "Messages",
    facts_times: "Heures",
    some_too_large: "Les fichiers trop volumineux pour ce courriel sont nommés, mais pas joints.",
    zip_attached: "L’ensemble, avec tous les fichiers, est joint sous le nom {}.",
    zip_too_large: "L’export avec tous les fichiers ({}) est trop volumineux pour ce courriel.",
    room: "Salon",
    time: "Période",
    from_to: "de {} à {}",
    beginning: "le début",
    format: "Format",
    messages: "Messages",
    files: "Fichiers",
    files_missing: "{} manquants, nommés avec leurs raisons dans manifest.json",
    incomplete: "Incomplet",
    kept_until: "Conservé jusqu’au",
    ready_subject: "L’export de {} est prêt",
    ready_title: "Votre export de {} est prêt",
    download: "Télécharger le ZIP ({})",
    link_note: "Le lien ne fonctionne que pour vous, une fois connecté :",
    failed_subject: "L’export de {} a échoué",
    failed_title: "Votre export de {} a échoué",
    failed_reason: "Raison",
    failed_again: "Rien n’a été conservé. Vous pouvez demander l’export de nouveau.",
    failures: &[
        (
            "not-allowed",
            "Vous n’avez plus le droit d’exporter ce salon. Adressez-vous à l’administrateur si vous devriez l’avoir.",
        ),
        ("room-gone", "Le salon n’existe plus."),
        (
            "no-space",
            "Il n’y a pas assez de place sur le serveur pour cet export. Demandez à l’administrateur d’en faire.",
        ),
        (
            "store-unwritable",
            "L’export n’a pas pu être enregistré sur le serveur. Si cela se reproduit, adressez-vous à l’administrateur.",
        ),
        (
            "workspace-damaged",
            "Ce que le serveur conserve de ce salon est endommagé. Adressez-vous à l’administrateur.",
        ),
        (
            "workspace-unreadable",
            "Le salon n’a pas pu être lu. Si cela se reproduit, adressez-vous à l’administrateur.",
        ),
        (
            "interrupted",
            "Le travail a été interrompu sans cesse et a donc été abandonné.",
        ),
        (
            "internal",
            "Une erreur est survenue sur le serveur. Si cela se reproduit, adressez-vous à l’administrateur.",
        ),
    ],
    sent_by: "Envoyé par Export Room pour {}",
    labels: Labels {
        edited: "modifié",
        deleted: "supprimé",
        pinned: "épinglé",
        bot: "bot",
        imported: "importé",
        private: "montré à une seule personne",
        unknown_author: "auteur inconnu",
        no_time: "sans date",
        reply: "Réponse dans le fil de {} : {}",
        reply_elsewhere: "Réponse dans un fil dont le premier message n’est pas ici",
        encrypted: "Chiffré de bout en bout : le texte n’est lisible qu’avec la clé d’un participant.",
        discussion: "Discussion",
        nested_too_deep: "D’autres citations sont imbriquées trop profondément.",
        location: "Lieu : latitude {}, longitude {}",
        thread: "Réponses dans le fil : {}",
        discussion_of: "Messages dans la discussion : {}",
        earlier: "Version antérieure :",
        attached: "joint",
        too_large: "non joint, trop volumineux pour un courriel",
        not_attached: "non joint",
        missing: "manquant : {}",
        sentences: &Sentences::FRENCH,
    },
};
