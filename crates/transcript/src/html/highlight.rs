//! Code in the colours of its language, decided when the page is written.
//!
//! Responsible for telling comments, keywords, texts, numbers and names apart in the languages that people paste into
//! chats. It reads words, not grammars: one pass, nothing kept, no memory of its own, so that neither a room full of code
//! nor a hostile block costs more than its length. (ARCHITECTURE.md says why it is no library.)

use super::escape;

/// How a language writes what is coloured.
struct Language {
    /// What it is called behind the opening marks, in lower case.
    names: &'static [&'static str],
    /// What begins a comment that ends with its line.
    line: &'static [&'static str],
    /// What begins and ends a comment of several lines.
    block: Option<(&'static str, &'static str)>,
    /// What encloses a text; longer marks first. A text in one character's marks ends with its line.
    quotes: &'static [&'static str],
    /// Whether `'` encloses one character only, and is otherwise a mark of its own.
    characters: bool,
    /// Words of the language, each between two spaces.
    keywords: &'static str,
    /// Whether keywords may be written in capitals.
    any_case: bool,
    /// Tags, patches: forms without keywords.
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Words,
    Tags,
    Patch,
}

const C_LIKE: Language = Language {
    names: &[],
    line: &["//"],
    block: Some(("/*", "*/")),
    quotes: &["\""],
    characters: true,
    keywords: "",
    any_case: false,
    form: Form::Words,
};

const SHELL_LIKE: Language = Language {
    names: &[],
    line: &["#"],
    block: None,
    quotes: &["\"", "'"],
    characters: false,
    keywords: "",
    any_case: false,
    form: Form::Words,
};

const LANGUAGES: &[Language] = &[
    Language {
        names: &["rust", "rs"],
        keywords: " as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod \
                   move mut pub ref return self Self static struct super trait true type unsafe use where while ",
        ..C_LIKE
    },
    Language {
        names: &[
            "javascript",
            "js",
            "jsx",
            "mjs",
            "cjs",
            "typescript",
            "ts",
            "tsx",
            "node",
        ],
        quotes: &["\"", "'", "`"],
        characters: false,
        keywords: " abstract any as async await boolean break case catch class const continue debugger declare default delete \
                   do else enum export extends false finally for from function get if implements import in instanceof \
                   interface keyof let namespace new null number of private protected public readonly return set static \
                   string super switch this throw true try type typeof undefined var void while with yield ",
        ..C_LIKE
    },
    Language {
        names: &["python", "py", "python3"],
        quotes: &["\"\"\"", "'''", "\"", "'"],
        keywords: " and as assert async await break case class continue def del elif else except False finally for from global \
                   if import in is lambda match None nonlocal not or pass raise return self True try while with yield ",
        ..SHELL_LIKE
    },
    Language {
        names: &["bash", "sh", "shell", "zsh", "console", "fish"],
        keywords: " case cd do done echo elif else esac eval exec exit export fi for function if in local read readonly return \
                   select set shift source sudo then trap unset until while ",
        ..SHELL_LIKE
    },
    Language {
        names: &["json", "jsonc", "json5"],
        characters: false,
        keywords: " false null true ",
        ..C_LIKE
    },
    Language {
        names: &[
            "yaml",
            "yml",
            "toml",
            "ini",
            "conf",
            "properties",
            "env",
            "nginx",
        ],
        line: &["#", ";"],
        keywords: " false no null off on true yes ",
        ..SHELL_LIKE
    },
    Language {
        names: &["sql", "mysql", "postgres", "postgresql", "plsql", "sqlite"],
        line: &["--", "#"],
        quotes: &["'", "\"", "`"],
        characters: false,
        keywords: " add all alter and as asc begin between by case check column commit constraint create cross database default \
                   delete desc distinct drop else end exists explain false foreign from full group having if in index inner \
                   insert into is join key left like limit not null offset on or order outer primary references right rollback \
                   select set table then true union unique update using values view when where with ",
        any_case: true,
        ..C_LIKE
    },
    Language {
        names: &[
            "c",
            "h",
            "cpp",
            "c++",
            "cc",
            "hpp",
            "cxx",
            "objc",
            "objective-c",
            "arduino",
        ],
        keywords: " auto bool break case catch char class const constexpr continue default define delete do double else endif \
                   enum explicit extern false float for friend goto if ifdef ifndef include inline int long namespace new \
                   noexcept NULL nullptr operator override private protected public return short signed sizeof static struct \
                   switch template this throw true try typedef typename union unsigned using virtual void volatile while ",
        ..C_LIKE
    },
    Language {
        names: &[
            "java", "kotlin", "kt", "scala", "groovy", "gradle", "csharp", "cs", "c#", "dart",
            "swift",
        ],
        quotes: &["\"\"\"", "\""],
        keywords: " abstract actor as async await base boolean break byte case catch char class companion const continue data \
                   decimal def default defer do double else enum explicit export extends extension false final finally fixed \
                   float for foreach fun func get goto guard if implements import in init instanceof int interface internal is \
                   lateinit lazy let lock long match namespace native new nil null object of open operator out override \
                   package params private protected protocol public readonly record ref required return sealed self set short \
                   static string struct super switch synchronized this throw throws trait true try typealias typeof uint ulong \
                   using val var virtual void volatile when where while with yield ",
        ..C_LIKE
    },
    Language {
        names: &["go", "golang"],
        quotes: &["\"", "`"],
        keywords: " any bool break byte case chan const continue default defer else error fallthrough false float64 for func go \
                   goto if import int int64 interface map nil package range return rune select string struct switch true type \
                   uint var ",
        ..C_LIKE
    },
    Language {
        names: &["php"],
        line: &["//", "#"],
        quotes: &["\"", "'"],
        characters: false,
        keywords: " abstract and array as break case catch class clone const continue declare default do echo else elseif empty \
                   extends false final finally fn for foreach function global if implements include instanceof interface isset \
                   match namespace new null or print private protected public readonly require require_once return static \
                   switch this throw trait true try unset use var while yield ",
        ..C_LIKE
    },
    Language {
        names: &["ruby", "rb", "elixir", "ex", "exs", "crystal"],
        keywords: " alias and begin break case class cond def defmodule defp do else elsif end ensure false fn for if in include \
                   module next nil not or private raise redo rescue retry return self super then true undef unless until use \
                   when while with yield ",
        ..SHELL_LIKE
    },
    Language {
        names: &["perl", "pl", "r", "tcl", "awk"],
        keywords: " die do else elsif eval exit FALSE for foreach function if in last library local my next NULL our package \
                   print proc puts repeat require return set sub TRUE unless until use while ",
        ..SHELL_LIKE
    },
    Language {
        names: &["lua", "haskell", "hs", "ada", "vhdl"],
        line: &["--"],
        quotes: &["\"", "'"],
        characters: false,
        block: None,
        keywords: " and break case class data deriving do else elseif end false for function if import in instance let local \
                   module newtype nil not of or repeat return then true type until where while ",
        ..C_LIKE
    },
    Language {
        names: &["powershell", "ps1", "pwsh"],
        block: Some(("<#", "#>")),
        keywords: " begin break catch class continue do else elseif end exit filter finally for foreach function if in param \
                   process return switch throw trap try until while ",
        any_case: true,
        ..SHELL_LIKE
    },
    Language {
        names: &[
            "dockerfile",
            "docker",
            "makefile",
            "make",
            "cmake",
            "hcl",
            "terraform",
            "tf",
        ],
        keywords: " ADD ARG CMD COPY data define else endif ENTRYPOINT ENV EXPOSE export FROM HEALTHCHECK if ifdef ifeq include \
                   LABEL locals module output provider resource RUN SHELL terraform true false USER variable VOLUME WORKDIR ",
        ..SHELL_LIKE
    },
    Language {
        names: &["css", "scss", "less", "sass"],
        quotes: &["\"", "'"],
        characters: false,
        keywords: " auto block flex grid important inherit initial none unset ",
        ..C_LIKE
    },
    Language {
        names: &["html", "xml", "svg", "vue", "xhtml", "rss", "plist"],
        line: &[],
        block: Some(("<!--", "-->")),
        form: Form::Tags,
        ..C_LIKE
    },
    Language {
        names: &["diff", "patch"],
        form: Form::Patch,
        ..C_LIKE
    },
];

/// What a piece of code is. The number is that of its colour in the sheet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Comment = 0x10,
    Keyword,
    Text,
    Number,
    Name,
}

/// Writes code as element content.
pub(super) fn code(out: &mut Vec<u8>, language: &str, code: &str) {
    let language = LANGUAGES.iter().find(|known| {
        known
            .names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(language.trim()))
    });
    let Some(language) = language else {
        return escape::text(out, code.as_bytes());
    };
    let mut lexer = Lexer {
        language,
        code,
        in_tag: false,
    };
    let mut plain = 0;
    let mut at = 0;
    while at < code.len() {
        let (end, kind) = lexer.next(at);
        // Whatever a lexer does, it goes on, and cuts no character.
        let end = code.ceil_char_boundary(end.max(at + 1));
        if kind != Kind::Plain {
            escape::text(out, &code.as_bytes()[plain..at]);
            let class: &[u8] = match kind {
                Kind::Comment => b"<span class=\"s0\">",
                Kind::Keyword => b"<span class=\"s1\">",
                Kind::Text => b"<span class=\"s2\">",
                Kind::Number => b"<span class=\"s3\">",
                Kind::Name | Kind::Plain => b"<span class=\"s4\">",
            };
            out.extend_from_slice(class);
            escape::text(out, &code.as_bytes()[at..end]);
            out.extend_from_slice(b"</span>");
            plain = end;
        }
        at = end;
    }
    escape::text(out, &code.as_bytes()[plain..]);
}

struct Lexer<'a> {
    language: &'a Language,
    code: &'a str,
    in_tag: bool,
}

impl Lexer<'_> {
    /// The end of the piece that begins at a place, and what it is.
    fn next(&mut self, at: usize) -> (usize, Kind) {
        match self.language.form {
            Form::Words => self.word(at),
            Form::Tags => self.tag(at),
            Form::Patch => self.line_of_patch(at),
        }
    }

    fn word(&self, at: usize) -> (usize, Kind) {
        let rest = &self.code.as_bytes()[at..];
        let first = rest[0];
        if first == b' ' || first == b'\n' {
            return (at + 1, Kind::Plain);
        }
        if first.is_ascii_alphabetic() || first == b'_' || !first.is_ascii() {
            return self.identifier(at);
        }
        if first.is_ascii_digit() {
            let length = rest
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
                .count();
            return (at + length, Kind::Number);
        }
        if let Some((open, close)) = self.language.block
            && rest.starts_with(open.as_bytes())
        {
            return (self.behind(at + open.len(), close), Kind::Comment);
        }
        // `$#` and the like begin no comment: one stands at the beginning of a line or behind space.
        let apart = at == 0 || matches!(self.code.as_bytes()[at - 1], b' ' | b'\t' | b'\n' | b';');
        for mark in self.language.line {
            if rest.starts_with(mark.as_bytes()) && (apart || mark.len() > 1) {
                return (self.line_end(at), Kind::Comment);
            }
        }
        for mark in self.language.quotes {
            if rest.starts_with(mark.as_bytes()) {
                return (self.quoted(at, mark), Kind::Text);
            }
        }
        if self.language.characters && first == b'\'' {
            // One character, or an escape of a few.
            let length = match rest.get(1) {
                Some(b'\\') => rest
                    .iter()
                    .skip(3)
                    .take(10)
                    .position(|&byte| byte == b'\'')
                    .map(|end| end + 4),
                Some(_) => self.code[at + 1..]
                    .chars()
                    .next()
                    .map(|character| character.len_utf8() + 2)
                    .filter(|&length| rest.get(length - 1) == Some(&b'\'')),
                None => None,
            };
            if let Some(length) = length {
                return (at + length, Kind::Text);
            }
        }
        (at + 1, Kind::Plain)
    }

    fn identifier(&self, at: usize) -> (usize, Kind) {
        let rest = &self.code[at..];
        let length = rest
            .find(|other: char| !other.is_alphanumeric() && other != '_')
            .unwrap_or(rest.len())
            .max(1);
        let length = rest.ceil_char_boundary(length);
        let word = &rest[..length];
        let kind = if self.is_keyword(word) {
            Kind::Keyword
        } else if rest[length..].starts_with('(') || rest[length..].starts_with("!(") {
            Kind::Name
        } else {
            Kind::Plain
        };
        (at + length, kind)
    }

    fn is_keyword(&self, word: &str) -> bool {
        // The longest keyword is shorter than this; a word of a megabyte is not looked for.
        word.len() < 20
            && self
                .language
                .keywords
                .split_ascii_whitespace()
                .any(|keyword| {
                    keyword == word || self.language.any_case && keyword.eq_ignore_ascii_case(word)
                })
    }

    fn tag(&mut self, at: usize) -> (usize, Kind) {
        let rest = &self.code.as_bytes()[at..];
        if !self.in_tag {
            if rest.starts_with(b"<!--") {
                return (self.behind(at + 4, "-->"), Kind::Comment);
            }
            let length = rest
                .iter()
                .skip(1)
                .take_while(|byte| {
                    byte.is_ascii_alphanumeric()
                        || matches!(byte, b'/' | b'!' | b'?' | b':' | b'-' | b'_')
                })
                .count();
            if rest[0] == b'<' && length > 0 {
                self.in_tag = true;
                return (at + 1 + length, Kind::Keyword);
            }
            return (at + 1, Kind::Plain);
        }
        match rest[0] {
            b'>' => {
                self.in_tag = false;
                (at + 1, Kind::Keyword)
            }
            quote @ (b'"' | b'\'') => {
                let length = rest
                    .iter()
                    .skip(1)
                    .position(|&byte| byte == quote)
                    .map_or(rest.len(), |end| end + 2);
                (at + length, Kind::Text)
            }
            first if first.is_ascii_alphabetic() => {
                let length = rest
                    .iter()
                    .take_while(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'_' | b'.')
                    })
                    .count();
                (at + length, Kind::Name)
            }
            _ => (at + 1, Kind::Plain),
        }
    }

    fn line_of_patch(&self, at: usize) -> (usize, Kind) {
        let end = self.line_end(at);
        let kind = match self.code.as_bytes()[at] {
            b'+' => Kind::Text,
            b'-' => Kind::Keyword,
            b'@' => Kind::Name,
            b' ' | b'\n' => Kind::Plain,
            _ => Kind::Comment,
        };
        ((end + 1).min(self.code.len()), kind)
    }

    fn quoted(&self, at: usize, mark: &str) -> usize {
        let bytes = self.code.as_bytes();
        let one_line = mark.len() == 1 && mark != "`";
        let mut end = at + mark.len();
        while end < bytes.len() {
            match bytes[end] {
                b'\\' => end += 1,
                b'\n' if one_line => return end,
                _ if bytes[end..].starts_with(mark.as_bytes()) => return end + mark.len(),
                _ => {}
            }
            end += 1;
        }
        bytes.len()
    }

    fn behind(&self, at: usize, mark: &str) -> usize {
        self.code[at..]
            .find(mark)
            .map_or(self.code.len(), |end| at + end + mark.len())
    }

    fn line_end(&self, at: usize) -> usize {
        self.code[at..]
            .find('\n')
            .map_or(self.code.len(), |end| at + end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(language: &str, text: &str) -> String {
        let mut out = Vec::new();
        code(&mut out, language, text);
        String::from_utf8(out).unwrap()
    }

    /// The colours as digits over the code: `1fn 4main()`.
    fn shown(language: &str, text: &str) -> String {
        let mut out = written(language, text).replace("</span>", "}");
        for colour in 0..5 {
            out = out.replace(
                &format!("<span class=\"s{colour}\">"),
                &format!("{{{colour}:"),
            );
        }
        out
    }

    #[test]
    fn languages_are_coloured() {
        let cases = [
            (
                "rust",
                "fn f() -> u8 { 'a' // x\n}",
                "{1:fn} {4:f}() -&gt; u8 { {2:&#39;a&#39;} {0:// x}\n}",
            ),
            (
                "RS",
                "&'a str, b'\\n'",
                "&amp;&#39;a str, b{2:&#39;\\n&#39;}",
            ),
            (
                "js",
                "let a = `x\ny`; /* c */ g(1.5)",
                "{1:let} a = {2:`x\ny`}; {0:/* c */} {4:g}({3:1.5})",
            ),
            (
                "py",
                "def f(x): # hi\n \"\"\"d\n\"\"\"",
                "{1:def} {4:f}(x): {0:# hi}\n {2:&quot;&quot;&quot;d\n&quot;&quot;&quot;}",
            ),
            (
                "sh",
                "echo \"$#\" # n",
                "{1:echo} {2:&quot;$#&quot;} {0:# n}",
            ),
            (
                "sql",
                "SELECT 'a' FROM t -- x",
                "{1:SELECT} {2:&#39;a&#39;} {1:FROM} t {0:-- x}",
            ),
            (
                "json",
                "{\"a\": [1, true]}",
                "{{2:&quot;a&quot;}: [{3:1}, {1:true}]}",
            ),
            (
                "html",
                "<a b=\"c\">d</a>",
                "{1:&lt;a} {4:b}={2:&quot;c&quot;}{1:&gt;}d{1:&lt;/a}{1:&gt;}",
            ),
            ("diff", "@@ 1\n-a\n+b\n c", "{4:@@ 1\n}{1:-a\n}{2:+b\n} c"),
            ("none known", "fn f() {}", "fn f() {}"),
            ("", "fn f() {}", "fn f() {}"),
        ];
        for (language, text, expected) in cases {
            assert_eq!(shown(language, text), expected, "{language}");
        }
    }

    #[test]
    fn names_of_languages_are_written_in_lower_case_and_once() {
        let mut names: Vec<_> = LANGUAGES
            .iter()
            .flat_map(|language| language.names)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| **name == name.to_lowercase()));
    }

    proptest! {
        #[test]
        fn colours_change_no_character(text in "[\\PC\n\"'`/*#<>!a-z0-9\\\\ -]{0,60}") {
            let mut plain = Vec::new();
            escape::text(&mut plain, text.as_bytes());
            let plain = String::from_utf8(plain).unwrap();
            for language in LANGUAGES.iter().map(|language| language.names[0]) {
                let mut out = written(language, &text).replace("</span>", "");
                for colour in 0..5 {
                    out = out.replace(&format!("<span class=\"s{colour}\">"), "");
                }
                prop_assert_eq!(&out, &plain, "{}", language);
            }
        }
    }
}
