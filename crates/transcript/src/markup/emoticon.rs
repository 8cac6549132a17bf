//! Emoticons and the short codes that they stand for.

/// In the order in which Rocket.Chat tries them: the first that a text begins with counts.
const EMOTICONS: &[(&str, &[&str])] = &[
    ("heart", &["<3"]),
    ("broken_heart", &["</3"]),
    ("smiley", &[":D", ":-D", "=D"]),
    ("laughing", &[">:)", ">;)", ">:-)", ">=)"]),
    ("sweat_smile", &["':)", "':-)", "'=)", "':D", "':-D", "'=D"]),
    ("joy", &[":')", ":'-)"]),
    (
        "innocent",
        &[
            "O:-)", "0:-3", "0:3", "0:-)", "0:)", "0;^)", "O:)", "O;-)", "O=)", "0;-)", "O:-3",
            "O:3",
        ],
    ),
    ("slight_smile", &[":)", ":-)", "=]", "=)", ":]"]),
    (
        "wink",
        &[";)", ";-)", "*-)", "*)", ";-]", ";]", ";D", ";^)"],
    ),
    ("kissing_heart", &[":*", ":-*", "=*", ":^*"]),
    (
        "stuck_out_tongue",
        &[":P", ":-P", "=P", ":-\u{de}", ":\u{de}", ":-b", ":b"],
    ),
    ("stuck_out_tongue_winking_eye", &[">:P", "X-P"]),
    ("sunglasses", &["B-)", "B)", "8)", "8-)", "B-D", "8-D"]),
    ("disappointed", &[">:[", ":-(", ":(", ":-[", ":[", "=("]),
    (
        "confused",
        &[
            ">:\\", ">:/", ":-/", ":-.", ":/", ":\\", "=/", "=\\", ":L", "=L",
        ],
    ),
    ("persevere", &[">.<"]),
    ("cry", &[":'(", ":'-(", ";(", ";-("]),
    ("angry", &[">:(", ">:-(", ":@"]),
    ("flushed", &[":$", "=$"]),
    ("fearful", &["D:"]),
    ("sweat", &["':(", "':-(", "'=("]),
    ("no_mouth", &[":-X", ":X", ":-#", ":#", "=X", "=#"]),
    ("expressionless", &["-_-", "-__-", "-___-"]),
    ("open_mouth", &[":-O", ":O", "O_O", ">:O"]),
    ("dizzy_face", &["#-)", "#)", "%-)", "%)", "X)", "X-)"]),
    ("thumbsup", &["(y)"]),
    ("person_gesturing_ok", &["*\\0/*", "\\0/", "*\\O/*", "\\O/"]),
];

/// The emoticon that a text begins with: its length in bytes and its short code.
pub(super) fn at_start(text: &[u8]) -> Option<(usize, &'static str)> {
    // No emoticon begins with anything else.
    if !matches!(
        text.first()?,
        b'<' | b':'
            | b'='
            | b'>'
            | b'\''
            | b'O'
            | b'0'
            | b';'
            | b'*'
            | b'X'
            | b'B'
            | b'8'
            | b'D'
            | b'-'
            | b'#'
            | b'%'
            | b'('
            | b'\\'
    ) {
        return None;
    }
    EMOTICONS.iter().find_map(|(code, forms)| {
        let form = forms
            .iter()
            .find(|form| text.starts_with(form.as_bytes()))?;
        Some((form.len(), *code))
    })
}

/// What they can mean.
#[cfg(test)]
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    EMOTICONS.iter().map(|(code, _)| *code)
}
