//! French.

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "fr",
    not_logged_in: [
        "Connectez-vous pour télécharger",
        "Seule la personne qui a demandé un export peut le télécharger. Connectez-vous au chat dans ce navigateur, puis ouvrez de nouveau ce lien.",
    ],
    wrong_password: [
        "Cela n’a pas fonctionné",
        "Le nom d’utilisateur ou le mot de passe est incorrect. Ce sont ceux que vous utilisez dans le chat.",
    ],
    code_required: [
        "Encore une étape",
        "Votre compte a un second facteur. Saisissez de nouveau votre mot de passe, et le code affiché par votre application d’authentification.",
    ],
    code_invalid: [
        "Cela n’a pas fonctionné",
        "Le code est incorrect ou a déjà servi. Attendez le suivant.",
    ],
    login_off: [
        "Vous ne pouvez pas vous connecter ici",
        "Connectez-vous au chat dans ce navigateur, puis ouvrez de nouveau le lien de votre export.",
    ],
    no_permission: [
        "Cet export n’est pas le vôtre",
        "Il appartient à quelqu’un d’autre, et seule la personne qui l’a demandé peut le télécharger. Si c’est vous, connectez-vous avec ce compte.",
    ],
    download_off: [
        "Les téléchargements sont désactivés",
        "L’administration a désactivé le téléchargement des exports dans cet espace de travail. Demandez-lui de vous envoyer le fichier, ou de les activer.",
    ],
    not_found: [
        "Cet export n’est pas ici",
        "Il a été supprimé, ou la durée de conservation des exports est passée. Exportez de nouveau le salon pour en obtenir un autre.",
    ],
    no_username: [
        "Choisissez d’abord un nom d’utilisateur",
        "Votre compte n’a pas encore de nom d’utilisateur. Choisissez-en un dans le chat, puis ouvrez de nouveau ce lien.",
    ],
    too_many: ["Trop de tentatives", "Attendez une minute, puis réessayez."],
    failed: [
        "Une erreur est survenue",
        "Le serveur n’a pas pu envoyer l’export. Réessayez dans un instant ; si cela continue, prévenez l’administration.",
    ],
    refused: "Vous ne pouvez pas vous connecter ici",
    address_blocked: "Il y a eu trop de tentatives depuis votre adresse réseau. Réessayez dans quelques minutes.",
    user_blocked: "Il y a eu trop de tentatives pour ce compte. Réessayez dans quelques minutes.",
    app: "Ce compte est celui d’une application, et les applications ne peuvent pas se connecter ici.",
    not_activated: "Votre compte est désactivé. Demandez à l’administration de l’activer.",
    no_roles: "Votre compte n’a aucun rôle. Demandez à l’administration de lui en donner un.",
    email_not_verified: "Aucune de vos adresses e-mail n’est vérifiée. Vérifiez-en d’abord une dans le chat.",
    mailed_code: "Votre second facteur est un code par e-mail, qui ne peut pas être envoyé d’ici. Connectez-vous au chat dans ce navigateur, puis ouvrez de nouveau ce lien.",
    ldap: "Cet espace de travail vérifie les mots de passe avec LDAP, ce qui n’est pas possible ici. Connectez-vous au chat dans ce navigateur, puis ouvrez de nouveau ce lien.",
    username: "Nom d’utilisateur ou e-mail",
    password: "Mot de passe",
    second_factor: "Code",
    second_factor_note: "si vous utilisez un second facteur",
    log_in: "Se connecter et télécharger",
};
