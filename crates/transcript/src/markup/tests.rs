use super::*;
use proptest::prelude::*;

/// The nodes in one line, text in quotes: `P[B['bold'] ' text']`.
pub(super) fn shown(markup: &Markup) -> String {
    let mut out = String::new();
    for node in markup.nodes() {
        let text = |span| markup.str(span);
        let mut target = String::new();
        if let Node::Start(Tag::Link(to) | Tag::Image(to)) = *node {
            markup.target(to, &mut target);
        }
        let part = match *node {
            Node::Start(tag) => match tag {
                Tag::Link(_) => format!("Link {target}["),
                Tag::Image(_) => format!("Image {target}["),
                tag => format!("{tag:?}["),
            },
            Node::End(_) => {
                out.truncate(out.trim_end().len());
                "]".into()
            }
            Node::Text(span) => format!("{:?}", text(span)),
            Node::LineBreak => "br".into(),
            Node::Code(span) => format!("`{}`", text(span)),
            Node::CodeBlock { language, lines } => {
                format!("Code {}{:?}", text(language), text(lines))
            }
            Node::User(span) => format!("@{}", text(span)),
            Node::Channel(span) => format!("#{}", text(span)),
            Node::Emoji { code, .. } => format!(":{}:", markup.code(code)),
            Node::Unicode(span) => text(span).into(),
            Node::Color(color) => format!("{color:?}"),
            Node::Math(span) => format!("Math {:?}", text(span)),
            Node::MathBlock(span) => format!("MathBlock {:?}", text(span)),
            Node::Time { seconds, form } => format!("{seconds}{}", form.letter()),
            Node::Cut => "Cut".into(),
        };
        out.push_str(&part);
        if !part.ends_with('[') {
            out.push(' ');
        }
    }
    out.trim_end().to_owned()
}

fn parsed(text: &str) -> String {
    let mut markup = Markup::default();
    markup.parse(text, 0, &Options::default());
    shown(&markup)
}

#[test]
fn each_construct_is_read() {
    let cases = [
        ("plain", r#"Paragraph["plain"]"#),
        (
            "*b* _i_ ~s~",
            r#"Paragraph[Bold["b"] " " Italic["i"] " " Strike["s"]]"#,
        ),
        (
            "**b** __i__ ~~s~~",
            r#"Paragraph[Bold["b"] " " Italic["i"] " " Strike["s"]]"#,
        ),
        ("*_~n~_*", r#"Paragraph[Bold[Italic[Strike["n"]]]]"#),
        (
            "snake_case_name 2 * 3",
            r#"Paragraph["snake_case_name 2 * 3"]"#,
        ),
        ("\\*no\\*", r#"Paragraph["*no" "*"]"#),
        ("a `c*d*` b", r#"Paragraph["a " `c*d*` " b"]"#),
        ("# H\ntext", r#"Heading(1)["H"] br Paragraph["text"]"#),
        ("#### H", r#"Heading(4)["H"]"#),
        ("##### H", "Paragraph[\"##### H\"]"),
        (
            "> q\n>\n> r\nx",
            r#"Quote[Paragraph["q"] Paragraph[] Paragraph["r"]] Paragraph["x"]"#,
        ),
        ("- a\n- b", r#"List[Item(None)["a"] Item(None)["b"]]"#),
        ("* a\n* b", r#"List[Item(None)["a"] Item(None)["b"]]"#),
        (
            "3. a\n1. b",
            r#"Numbered[Item(Some(3))["a"] Item(Some(1))["b"]]"#,
        ),
        (
            "- [ ] a\n- [x] b",
            r#"Tasks[Task(false)["a"] Task(true)["b"]]"#,
        ),
        ("```rust\na\n\n b\n```", r#"Code rust"a\n\n b""#),
        (
            "||\na\nb\n||",
            r#"SpoilerBlock[Paragraph["a"] Paragraph["b"]]"#,
        ),
        ("x ||s *b*||", r#"Paragraph["x " Spoiler["s " Bold["b"]]]"#),
        ("\\[x^2\\]", r#"MathBlock "x^2""#),
        ("a \\(x\\)", r#"Paragraph["a " Math "x"]"#),
        (
            "@bob @all #general",
            "Paragraph[@bob \" \" @all \" \" #general]",
        ),
        ("a@bob", r#"Paragraph["a@bob"]"#),
        ("@bob:matrix.org", "Paragraph[@bob:matrix.org]"),
        (":smile: :)", "BigEmoji[:smile: :slight_smile:]"),
        (
            "x :smile: 👍 y",
            "Paragraph[\"x \" :smile: \" \" 👍 \" y\"]",
        ),
        ("x:smile:y", r#"Paragraph["x:smile:y"]"#),
        ("👩‍👩‍👧‍👦", "BigEmoji[👩‍👩‍👧‍👦]"),
        ("color:#f80", "Paragraph[[255, 136, 0, 255]]"),
        ("color:#ff880080", "Paragraph[[255, 136, 0, 128]]"),
        ("<t:1630360800:R>", "Paragraph[1630360800R]"),
        ("<t:2025-07-22T10:00:00+02:00>", "Paragraph[1753171200t]"),
        (
            "[t *b*](https://x.org/a(b))",
            r#"Paragraph[Link https://x.org/a(b)["t " Bold["b"]]]"#,
        ),
        ("<https://x.org|t>", r#"Paragraph[Link https://x.org["t"]]"#),
        (
            "![a b](https://x.org/p.png)",
            r#"Paragraph[Image https://x.org/p.png["a b"]]"#,
        ),
        (
            "see x.org/y.",
            r#"Paragraph["see " Link //x.org/y["x.org/y"] "."]"#,
        ),
        (
            "read.me foo.notatld",
            r#"Paragraph[Link //read.me["read.me"] " foo.notatld"]"#,
        ),
        (
            "http://localhost:3000/x",
            r#"Paragraph[Link http://localhost:3000/x["http://localhost:3000/x"]]"#,
        ),
        ("a@x.org", r#"Paragraph[Link mailto:a@x.org["a@x.org"]]"#),
        (
            "+1-5550100 +12",
            r#"Paragraph[Link tel:15550100["+1-5550100"] " +12"]"#,
        ),
        ("a\n\nb", r#"Paragraph["a"] br Paragraph["b"]"#),
        (
            "a\r\nb\rc",
            r#"Paragraph["a"] Paragraph["b"] Paragraph["c"]"#,
        ),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(text), expected, "{text:?}");
    }
}

#[test]
fn settings_decide_about_colours_formulas_emoticons_and_domains() {
    let mut markup = Markup::default();
    let mut check = |text: &str, options: &Options, expected: &str| {
        markup.parse(text, 0, options);
        assert_eq!(shown(&markup), expected, "{text:?}");
    };
    let options = Options {
        colors: false,
        emoticons: false,
        katex_dollar: true,
        katex_parenthesis: false,
        custom_domains: vec!["intranet".into()],
    };
    check("color:#f80", &options, r#"Paragraph["color:#f80"]"#);
    check(":)", &options, r#"Paragraph[":)"]"#);
    check("$x$ \\(y\\)", &options, r#"Paragraph[Math "x" " \\(y\\)"]"#);
    check("$$x$$", &options, r#"MathBlock "x""#);
    check(
        "http://wiki.intranet",
        &options,
        r#"Paragraph[Link http://wiki.intranet["http://wiki.intranet"]]"#,
    );
    check(
        "http://wiki.intranet",
        &Options::default(),
        r#"Paragraph["http://wiki.intranet"]"#,
    );
}

#[test]
fn hostile_texts_take_time_in_proportion_to_their_length() {
    // Steps are counted, not seconds: what is too much ends as plain text, with nothing lost.
    let units = [
        "*_~",
        "[",
        "](",
        "[[]",
        "*",
        "_",
        "~",
        "`",
        "||",
        "||:)",
        "<a.b",
        "![",
        ":)",
        "a_",
        "*a _b ~c ",
        "\\(",
        "\\[",
        "$a",
        "@",
        "#",
        "a.b-",
        "a-_",
        "a@b",
        "http://",
        "((",
        "<t:",
        "+(1)",
        ":a",
        "> ",
        "- [x",
        "```\n",
        "* *a",
        "_a_b",
        "**a*",
        "~*_`[",
        "x\u{1f600}",
        "a!",
        "[a](b(c",
        "||\n",
        "mailto:",
        "localhost",
    ];
    let mut markup = Markup::default();
    let options = Options {
        katex_dollar: true,
        ..Options::default()
    };
    for unit in units {
        let text = unit.repeat(65_536 / unit.len());
        markup.parse(&text, 0, &options);
        let mut letters = String::new();
        plain(&markup, Spoilers::Told, &mut letters);
        assert!(
            letters.len() + 2 >= text.len() / 16,
            "{unit:?}: {} of {}",
            letters.len(),
            text.len()
        );
        balanced(&markup);
    }
}

#[test]
fn too_long_a_text_is_cut_with_a_mark() {
    let mut markup = Markup::default();
    markup.parse(&"ä".repeat(MAX_TEXT), 0, &Options::default());
    assert!(markup.deep());
    assert_eq!(markup.nodes().last(), Some(&Node::Cut));
    markup.parse("short", 0, &Options::default());
    assert!(!markup.deep());
}

fn balanced(markup: &Markup) {
    let mut open = Vec::new();
    for node in markup.nodes() {
        match *node {
            Node::Start(tag) => open.push(tag),
            Node::End(tag) => assert_eq!(open.pop(), Some(tag)),
            _ => {}
        }
        assert!(open.len() <= MAX_DEPTH + 2);
    }
    assert!(open.is_empty());
}

fn typed() -> impl Strategy<Value = String> {
    let marks = prop::sample::select(vec![
        "*",
        "_",
        "~",
        "`",
        "```",
        "||",
        "[",
        "](",
        ")",
        "<",
        ">",
        "|",
        "@",
        "#",
        ":",
        ":)",
        "\\",
        "$a",
        "\n",
        "\r",
        " ",
        "- ",
        "1. ",
        "a",
        "é",
        "日",
        "😀",
        "http://x.org",
        "a@b.org",
        "<t:",
        "color:#fff",
        "!",
        "+123456",
    ]);
    prop::collection::vec(
        prop_oneof![9 => marks.prop_map(str::to_owned), 1 => any::<String>()],
        0..40,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_and_none_of_its_letters_is_lost(text in typed()) {
        let mut markup = Markup::default();
        markup.parse(&text, 0, &Options::default());
        balanced(&markup);
        let mut out = String::new();
        plain(&markup, Spoilers::Told, &mut out);
        // No mark is a letter; of a link with another label the target is shown as well.
        let letters = |text: &str| text.matches(['日', 'é']).count();
        prop_assert!(letters(&out) >= letters(&text), "{text:?} became {out:?}");
    }
}

mod stored {
    use super::*;
    use ::bson::{Bson, doc};

    fn read(md: impl Into<Bson>) -> (String, bool) {
        let bytes = doc! {"md": md.into()}.to_vec().unwrap();
        let doc = crate::bson::Doc::new(&bytes).unwrap();
        let mut markup = Markup::default();
        markup.read(doc.get("md"), Text(b"typed"), 0, &Options::default());
        super::balanced(&markup);
        (shown(&markup), markup.deep())
    }

    fn check(md: impl Into<Bson>, expected: &str) {
        let md = md.into();
        assert_eq!(read(md.clone()), (expected.into(), false), "{md}");
    }

    fn plain(text: &str) -> Bson {
        doc! {"type": "PLAIN_TEXT", "value": text}.into()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a line for each node")]
    fn every_node_is_read_in_old_and_new_shapes() {
        let inline = |node: Bson| {
            Bson::from(vec![Bson::from(
                doc! {"type": "PARAGRAPH", "value": [node]},
            )])
        };
        let node = |kind: &str, value: Bson| Bson::from(doc! {"type": kind, "value": value});
        for (kind, shown) in [
            ("BOLD", "Bold"),
            ("ITALIC", "Italic"),
            ("STRIKE", "Strike"),
            ("SPOILER", "Spoiler"),
        ] {
            check(
                inline(node(kind, vec![plain("x")].into())),
                &format!("Paragraph[{shown}[\"x\"]]"),
            );
        }
        for (kind, shown) in [
            ("QUOTE", "Quote"),
            ("BLOCKQUOTE", "Quote"),
            ("SPOILER_BLOCK", "SpoilerBlock"),
        ] {
            let line = node("PARAGRAPH", vec![plain("x")].into());
            check(
                vec![node(kind, vec![line].into())],
                &format!("{shown}[Paragraph[\"x\"]]"),
            );
        }
        check(inline(node("INLINE_CODE", plain("x"))), "Paragraph[`x`]");
        check(inline(node("MENTION_USER", plain("x"))), "Paragraph[@x]");
        check(inline(node("MENTION_CHANNEL", plain("x"))), "Paragraph[#x]");
        check(
            inline(node("INLINE_KATEX", "x".into())),
            "Paragraph[Math \"x\"]",
        );
        check(vec![node("KATEX", "x".into())], "MathBlock \"x\"");
        check(vec![doc! {"type": "LINE_BREAK"}], "br");
        check(vec![doc! {"type": "LINE_BREAK", "value": Bson::Null}], "br");
        check(
            vec![doc! {"type": "HEADING", "level": 3, "value": [plain("x")]}],
            "Heading(3)[\"x\"]",
        );
        check(
            vec![doc! {"type": "HEADING", "level": 9.0, "value": [plain("x")]}],
            "Heading(4)[\"x\"]",
        );
        let code_line = |text| doc! {"type": "CODE_LINE", "value": plain(text)};
        check(
            vec![
                doc! {"type": "CODE", "language": "rust", "value": [code_line("a"), code_line(""), code_line("b")]},
            ],
            "Code rust\"a\\n\\nb\"",
        );
        check(
            vec![doc! {"type": "CODE", "language": "none", "value": [code_line("a")]}],
            "Code \"a\"",
        );
        let item = doc! {"type": "LIST_ITEM", "value": [plain("x")]};
        check(
            vec![doc! {"type": "UNORDERED_LIST", "value": [&item]}],
            "List[Item(None)[\"x\"]]",
        );
        let item = doc! {"type": "LIST_ITEM", "value": [plain("x")], "number": 7};
        check(
            vec![doc! {"type": "ORDERED_LIST", "value": [&item]}],
            "Numbered[Item(Some(7))[\"x\"]]",
        );
        let task = doc! {"type": "TASK", "status": true, "value": [plain("x")]};
        check(
            vec![doc! {"type": "TASKS", "value": [&task]}],
            "Tasks[Task(true)[\"x\"]]",
        );
        let labelled = |label: Bson| {
            inline(node(
                "LINK",
                doc! {"src": plain("//x.org"), "label": label}.into(),
            ))
        };
        check(labelled(plain("x")), "Paragraph[Link //x.org[\"x\"]]");
        check(
            labelled(vec![plain("x"), plain("y")].into()),
            "Paragraph[Link //x.org[\"x\" \"y\"]]",
        );
        check(labelled(Bson::Null), "Paragraph[Link //x.org[\"//x.org\"]]");
        check(
            inline(node(
                "IMAGE",
                doc! {"src": plain("//x.org"), "label": plain("x")}.into(),
            )),
            "Paragraph[Image //x.org[\"x\"]]",
        );
        check(
            inline(
                doc! {"type": "EMOJI", "value": plain(":)"), "shortCode": "slight_smile"}.into(),
            ),
            "Paragraph[:slight_smile:]",
        );
        check(
            inline(doc! {"type": "EMOJI", "unicode": "👍"}.into()),
            "Paragraph[👍]",
        );
        check(
            vec![
                doc! {"type": "BIG_EMOJI", "value": [{"type": "EMOJI", "value": plain("x"), "shortCode": "x"}]},
            ],
            "BigEmoji[:x:]",
        );
        check(
            inline(node(
                "COLOR",
                doc! {"r": 1, "g": 2.0, "b": 300, "a": 255}.into(),
            )),
            "Paragraph[[1, 2, 255, 255]]",
        );
        check(
            inline(node(
                "TIMESTAMP",
                doc! {"timestamp": "12", "format": "F"}.into(),
            )),
            "Paragraph[12F]",
        );
    }

    #[test]
    fn what_has_an_odd_shape_shows_what_it_holds() {
        check(
            vec![doc! {"type": "NEW", "value": [plain("kept")]}],
            "\"kept\"",
        );
        check(
            vec![
                Bson::from("bare"),
                Bson::Int32(5),
                Bson::from(vec![plain("nested")]),
            ],
            "\"bare\" \"nested\"",
        );
        check(vec![doc! {"value": "untyped"}], "\"untyped\"");
        check(
            vec![doc! {"type": "PARAGRAPH", "value": "text"}],
            "Paragraph[\"text\"]",
        );
        check(
            vec![doc! {"type": "LINK", "value": 5}, doc! {"type": "CODE"}],
            "Code \"\"",
        );
        check(
            vec![
                doc! {"type": "TIMESTAMP", "value": {"timestamp": "x"}, "fallback": plain("then")},
            ],
            "\"then\"",
        );
        // What is no list, or an empty one, leaves the text as typed.
        for md in [
            Bson::Null,
            Bson::from(Vec::<Bson>::new()),
            "x".into(),
            doc! {"0": plain("x")}.into(),
        ] {
            check(md, "Paragraph[\"typed\"]");
        }
    }

    #[test]
    fn what_is_too_deep_or_too_much_is_cut_with_a_mark() {
        let mut md = plain("deep");
        for _ in 0..45 {
            md = doc! {"type": "BOLD", "value": [md]}.into();
        }
        let (shown, deep) = read(vec![md]);
        assert!(
            deep && shown.contains("Cut") && !shown.contains("deep"),
            "{shown}"
        );
        let many = vec![plain(""); MAX_NODES + 5];
        let (shown, deep) = read(many);
        assert!(deep && shown.ends_with("Cut"));
        let (_, deep) = read(vec![plain(&"x".repeat(MAX_TEXT + 1))]);
        assert!(deep);
    }
}

#[test]
fn plain_text_reads_without_its_marks() {
    let cases = [
        ("*b* _i_ `c` @bob #room", "b i c @bob #room"),
        (
            "[site](https://x.org) x.org https://x.org",
            "site (https://x.org) x.org https://x.org",
        ),
        ("a@x.org +1-5550100", "a@x.org +1-5550100"),
        ("> q\n- a\n- b\n\nend", "q\n- a\n- b\n\nend"),
        ("2. a\n3. b", "2. a\n3. b"),
        ("- [x] a\n- [ ] b", "[x] a\n[ ] b"),
        ("```\nx\ny\n```\nz", "x\ny\n\nz"),
        ("x :smile: :) :nothing_known:", "x 😄 :) :nothing_known:"),
        ("color:#ff8800", "#ff8800"),
        ("<t:1630360800:R>", "2021-08-30 22:00 UTC"),
        (
            "||s|| ![p](https://x.org/p.png)",
            "s p (https://x.org/p.png)",
        ),
        ("[\u{200b}](https://x.org)", "https://x.org"),
    ];
    let mut markup = Markup::default();
    for (text, expected) in cases {
        markup.parse(text, 0, &Options::default());
        let mut out = String::new();
        plain(&markup, Spoilers::Told, &mut out);
        assert_eq!(out, expected, "{text:?}");
    }
}

#[test]
fn nothing_of_a_covered_spoiler_is_told() {
    let mut markup = Markup::default();
    for (text, expected) in [
        ("||a|| b ||*c* [d](https://x.org) :smile: @e||", "███ b ███"),
        ("||\na\nb\n||", "███"),
        ("1. ||a||\n2. b", "1. ███\n2. b"),
        ("no ||spoiler", "no ||spoiler"),
    ] {
        markup.parse(text, 0, &Options::default());
        let mut out = String::from("before ");
        plain(&markup, Spoilers::Covered, &mut out);
        assert_eq!(out, format!("before {expected}"), "{text:?}");
    }
}

#[test]
fn what_nobody_sees_is_known() {
    let blank = "\0\t\n \u{85}\u{a0}\u{ad}\u{34f}\u{200b}\u{200e}\u{202e}\u{2066}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{e0061}";
    assert!(!blank.contains(is_seen));
    assert!("a~.é日😀\u{301}\u{fffd}".chars().all(is_seen));
}
