//! Pages for people whose browser was to download an export and did not: what is the matter, and what to do, in the
//! language that the browser asks for.

mod texts;

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use transcript::html::escaped;

use self::texts::Texts;
use super::error::ApiError;

const STYLE: &str = include_str!("page.css");

/// No script, no picture, no address but ours; the one style sheet is named by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    policy.try_into().expect("base64 in a constant")
});

/// What a page offers.
pub(super) enum Offer<'a> {
    /// To log in, and go on to an export.
    Form {
        /// Address of the export.
        next: &'a str,
        /// What was typed as name before.
        name: &'a str,
    },
    /// To log in elsewhere: address of the chat.
    Chat(&'a str),
    /// Nothing.
    Nothing,
}

/// Whether an answer is for a person: a browser that goes somewhere asks for a page (RFC 9110 §12.5.1).
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}

/// The page of an error, for a request with these headers.
pub(super) fn of(asked: &HeaderMap, error: &ApiError, offer: &Offer<'_>) -> Response {
    let texts = Texts::preferred(asked);
    let [title, text] = texts.error(error);
    let mut body = format!("<h1>{}</h1>\n<p>{}</p>\n", escaped(title), escaped(text));
    match offer {
        Offer::Form { next, name } => body += &form(next, name, texts),
        Offer::Chat(address) if address.starts_with("http") => {
            let address = escaped(address);
            for part in ["<p><a href=\"", &address, "\">", &address, "</a></p>\n"] {
                body += part;
            }
        }
        Offer::Chat(_) | Offer::Nothing => {}
    }
    let page = format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Export Room</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        language = texts.code,
        title = escaped(title),
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With none at all the form would come without an origin; other sites still learn nothing.
        (header::REFERRER_POLICY, "same-origin"),
        (header::VARY, "accept, accept-language, cookie"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn form(next: &str, name: &str, texts: &Texts) -> String {
    let Texts {
        username,
        password,
        second_factor,
        second_factor_note,
        log_in,
        ..
    } = texts;
    format!(
        "<form method=\"post\" action=\"/data-export-login\">\n\
         <input type=\"hidden\" name=\"next\" value=\"{}\">\n\
         <label>{username}<input name=\"username\" value=\"{}\" autocomplete=\"username\" required></label>\n\
         <label>{password}<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\n\
         <label>{second_factor} <small>{second_factor_note}</small><input name=\"code\" inputmode=\"numeric\" \
         autocomplete=\"one-time-code\"></label>\n<button>{log_in}</button>\n</form>\n",
        escaped(next),
        escaped(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_ask_for_a_page_get_one() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, expected) in [(browser, true), ("*/*", false), ("application/json", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wanted(&headers), expected, "{accept}");
        }
        assert!(!wanted(&HeaderMap::new()));
    }

    #[test]
    fn what_was_typed_is_text_on_the_page() {
        let typed = ("/data-export/\"><script>", "<b>&\"'");
        let form = form(typed.0, typed.1, Texts::preferred(&HeaderMap::new()));
        assert!(!form.contains("<script") && !form.contains("<b>"), "{form}");
        assert!(form.contains("&lt;b&gt;&amp;&quot;&#39;"), "{form}");
    }
}
