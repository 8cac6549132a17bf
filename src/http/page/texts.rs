//! The words of the pages for people whose download did not begin, by language: a file for each, complete because the
//! compiler asks for every text.

mod de;
mod en;
mod es;
mod fr;
mod ja;
mod pt_br;
mod ru;
mod zh;

use axum::http::{HeaderMap, header};
use transcript::locale::Locale;

use crate::http::error::ApiError;
use crate::login::Refusal;

/// The texts of one language. Two belong together: a title, and what to do.
#[derive(Debug)]
pub(super) struct Texts {
    /// Language tag (BCP 47).
    pub(super) code: &'static str,
    not_logged_in: [&'static str; 2],
    wrong_password: [&'static str; 2],
    code_required: [&'static str; 2],
    code_invalid: [&'static str; 2],
    login_off: [&'static str; 2],
    no_permission: [&'static str; 2],
    download_off: [&'static str; 2],
    not_found: [&'static str; 2],
    no_username: [&'static str; 2],
    too_many: [&'static str; 2],
    failed: [&'static str; 2],
    /// Title of whatever keeps somebody from logging in, down to LDAP.
    refused: &'static str,
    address_blocked: &'static str,
    user_blocked: &'static str,
    app: &'static str,
    not_activated: &'static str,
    no_roles: &'static str,
    email_not_verified: &'static str,
    mailed_code: &'static str,
    ldap: &'static str,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) second_factor: &'static str,
    pub(super) second_factor_note: &'static str,
    pub(super) log_in: &'static str,
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
    /// Those in the language that a browser likes best of those that are here (RFC 9110 §12.5.4), else English.
    pub(super) fn preferred(headers: &HeaderMap) -> &'static Self {
        let values = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        let ranges = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let (mut best, mut chosen) = (0.0, &ALL[0]);
        for range in ranges {
            let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
            let weight = match weight.trim().strip_prefix("q=") {
                Some(weight) => weight.parse().unwrap_or(0.0),
                None => 1.0,
            };
            let locale = Locale::of(tag.trim());
            let found = locale
                .and_then(|locale| ALL.iter().find(|texts| texts.code == locale.texts().code));
            if let Some(texts) = found
                && weight > best
            {
                (best, chosen) = (weight, texts);
            }
        }
        chosen
    }

    /// Title and text for an error.
    pub(super) fn error(&self, error: &ApiError) -> [&'static str; 2] {
        match error {
            ApiError::NotLoggedIn => self.not_logged_in,
            ApiError::LoginFailed(None) => self.wrong_password,
            ApiError::LoginFailed(Some(refusal)) => self.refusal(*refusal),
            ApiError::LoginOff => self.login_off,
            ApiError::NoPermission => self.no_permission,
            ApiError::DownloadOff => self.download_off,
            ApiError::NotFound => self.not_found,
            ApiError::NoUsername => self.no_username,
            ApiError::TooManyRequests { .. } => self.too_many,
            _ => self.failed,
        }
    }

    fn refusal(&self, refusal: Refusal) -> [&'static str; 2] {
        let text = match refusal {
            Refusal::CodeRequired => return self.code_required,
            Refusal::CodeInvalid => return self.code_invalid,
            Refusal::AddressBlocked => self.address_blocked,
            Refusal::UserBlocked => self.user_blocked,
            Refusal::App => self.app,
            Refusal::NotActivated => self.not_activated,
            Refusal::NoRoles => self.no_roles,
            Refusal::EmailNotVerified => self.email_not_verified,
            Refusal::MailedCodeRequired => self.mailed_code,
            Refusal::Ldap => self.ldap,
        };
        [self.refused, text]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_language_that_the_browser_likes_best() {
        for (accepted, code) in [
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("en;q=0.5, fr", "fr"),
            ("it, PT;q=0.7, en;q=0.3", "pt-BR"),
            ("ja;q=0, en;q=0.1", "en"),
            ("zh-Hant-TW", "zh"),
            ("*", "en"),
            ("it", "en"),
            ("ru;q=much, es;q=0.1", "es"),
            (";q=1,,", "en"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, accepted.parse().unwrap());
            assert_eq!(Texts::preferred(&headers).code, code, "{accepted}");
        }
        assert_eq!(Texts::preferred(&HeaderMap::new()).code, "en");
    }

    #[test]
    fn every_language_has_every_text_of_its_own() {
        // A text by its place among those of a language.
        let all = |texts: &Texts| -> Vec<String> {
            let shown = format!("{texts:#?}");
            let quoted = shown.split('"').skip(1).step_by(2);
            quoted.map(str::to_owned).collect()
        };
        let english = all(&ALL[0]);
        assert_eq!(english.len(), 37);
        for texts in &ALL[1..] {
            let own = all(texts);
            assert_eq!(own.len(), english.len(), "{}", texts.code);
            for (text, english) in own.iter().zip(&english) {
                let same = text == english && text != "Code";
                assert!(!same && !text.trim().is_empty(), "{}: {text}", texts.code);
            }
        }
    }
}
