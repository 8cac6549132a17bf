//! German.

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "de",
    not_logged_in: [
        "Zum Herunterladen anmelden",
        "Einen Export kann nur herunterladen, wer ihn angefordert hat. Melden Sie sich in diesem Browser im Chat an, und öffnen Sie diesen Link noch einmal.",
    ],
    wrong_password: [
        "Das hat nicht geklappt",
        "Benutzername oder Passwort sind falsch. Es sind die, mit denen Sie sich im Chat anmelden.",
    ],
    code_required: [
        "Noch ein Schritt",
        "Ihr Konto hat einen zweiten Faktor. Geben Sie Ihr Passwort noch einmal ein, und den Code, den Ihr Authenticator zeigt.",
    ],
    code_invalid: [
        "Das hat nicht geklappt",
        "Der Code ist falsch oder wurde schon benutzt. Warten Sie auf den nächsten.",
    ],
    login_off: [
        "Hier können Sie sich nicht anmelden",
        "Melden Sie sich in diesem Browser im Chat an, und öffnen Sie den Link Ihres Exports noch einmal.",
    ],
    no_permission: [
        "Das ist nicht Ihr Export",
        "Er gehört jemand anderem, und nur wer ihn angefordert hat, kann ihn herunterladen. Wenn Sie das sind, melden Sie sich mit diesem Konto an.",
    ],
    download_off: [
        "Downloads sind abgeschaltet",
        "In diesem Workspace hat die Administration das Herunterladen von Exporten abgeschaltet. Bitten Sie sie, Ihnen die Datei zu schicken oder Downloads einzuschalten.",
    ],
    not_found: [
        "Diesen Export gibt es hier nicht",
        "Er wurde gelöscht, oder die Zeit ist um, für die Exporte aufbewahrt werden. Exportieren Sie den Raum noch einmal, um einen neuen zu erhalten.",
    ],
    no_username: [
        "Wählen Sie zuerst einen Benutzernamen",
        "Ihr Konto hat noch keinen Benutzernamen. Wählen Sie einen im Chat, und öffnen Sie diesen Link noch einmal.",
    ],
    too_many: [
        "Zu viele Versuche",
        "Warten Sie eine Minute, und versuchen Sie es noch einmal.",
    ],
    failed: [
        "Etwas ist schiefgegangen",
        "Der Server konnte den Export nicht senden. Versuchen Sie es gleich noch einmal; wenn es so bleibt, sagen Sie der Administration Bescheid.",
    ],
    refused: "Hier können Sie sich nicht anmelden",
    address_blocked: "Von Ihrer Netzwerkadresse kamen zu viele Versuche. Versuchen Sie es in einigen Minuten noch einmal.",
    user_blocked: "Für dieses Konto gab es zu viele Versuche. Versuchen Sie es in einigen Minuten noch einmal.",
    app: "Dieses Konto gehört einer App, und Apps können sich hier nicht anmelden.",
    not_activated: "Ihr Konto ist deaktiviert. Bitten Sie die Administration, es zu aktivieren.",
    no_roles: "Ihr Konto hat keine Rollen. Bitten Sie die Administration, ihm eine zu geben.",
    email_not_verified: "Keine Ihrer E-Mail-Adressen ist bestätigt. Bestätigen Sie zuerst eine im Chat.",
    mailed_code: "Ihr zweiter Faktor ist ein Code per E-Mail, der von hier nicht gesendet werden kann. Melden Sie sich in diesem Browser im Chat an, und öffnen Sie diesen Link noch einmal.",
    ldap: "Dieser Workspace prüft Passwörter mit LDAP, was hier nicht möglich ist. Melden Sie sich in diesem Browser im Chat an, und öffnen Sie diesen Link noch einmal.",
    username: "Benutzername oder E-Mail",
    password: "Passwort",
    second_factor: "Code",
    second_factor_note: "wenn Sie einen zweiten Faktor benutzen",
    log_in: "Anmelden und herunterladen",
};
