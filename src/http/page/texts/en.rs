//! English.

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "en",
    not_logged_in: [
        "Log in to download",
        "An export can be downloaded by the person who asked for it. Log in to the chat in this browser, and open this link again.",
    ],
    wrong_password: [
        "That did not work",
        "Username or password are wrong. They are the ones that you use in the chat.",
    ],
    code_required: [
        "One more step",
        "Your account has a second factor. Type your password again, and the code that your authenticator shows.",
    ],
    code_invalid: [
        "That did not work",
        "The code is wrong or was used already. Wait for the next one.",
    ],
    login_off: [
        "You cannot log in here",
        "Log in to the chat in this browser, and open the link of your export again.",
    ],
    no_permission: [
        "This is not your export",
        "It belongs to somebody else, and only the person who asked for it can download it. If that is you, log in as that user.",
    ],
    download_off: [
        "Downloads are switched off",
        "An administrator has switched off downloads of exports in this workspace. Ask one to send you the file, or to switch them on.",
    ],
    not_found: [
        "This export is not here",
        "It may have been deleted, or it was kept for as long as exports are kept. Export the room again to get a new one.",
    ],
    no_username: [
        "Choose a username first",
        "Your account has no username yet. Choose one in the chat, and open this link again.",
    ],
    too_many: ["Too many attempts", "Wait a minute, and try again."],
    failed: [
        "Something went wrong",
        "The server could not send the export. Try again in a moment; if it stays like this, tell an administrator.",
    ],
    refused: "You cannot log in here",
    address_blocked: "There were too many attempts from your network address. Try again in some minutes.",
    user_blocked: "There were too many attempts for this user. Try again in some minutes.",
    app: "This is the account of an app, and apps cannot log in here.",
    not_activated: "Your account is deactivated. Ask an administrator to activate it.",
    no_roles: "Your account has no roles. Ask an administrator to give it one.",
    email_not_verified: "None of your e-mail addresses is verified. Verify one in the chat first.",
    mailed_code: "Your second factor is a code by e-mail, which cannot be sent from here. Log in to the chat in this browser, and open this link again.",
    ldap: "This workspace checks passwords with LDAP, which is not possible here. Log in to the chat in this browser, and open this link again.",
    username: "Username or e-mail",
    password: "Password",
    second_factor: "Code",
    second_factor_note: "if you use a second factor",
    log_in: "Log in and download",
};
