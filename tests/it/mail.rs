//! Mails, sent to a real server: what arrives, and what is said when none does.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use bson::{Bson, doc};
use export_room::config::Config;
use export_room::mail::{Address, Mail, MailError, Mailer, Occasion, mime};
use export_room::store::directory::{Directory, UserId};
use export_room::store::sqlite::SqliteDirectory;

use crate::sources::import_quietly;
use crate::support::dump::{DumpBuilder, Form};
use crate::support::mail::MailServer;

/// A workspace with these settings, and a user with these addresses.
struct World {
    place: tempfile::TempDir,
    directory: Arc<dyn Directory>,
}

impl World {
    fn new(settings: &[(&str, Bson)], emails: &Bson) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut dump = DumpBuilder::new();
        dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"});
        for (id, value) in settings {
            dump.add(
                "rocketchat_settings",
                &doc! {"_id": id, "value": value.clone()},
            );
        }
        dump.add(
            "users",
            &doc! {"_id": "U", "username": "u", "active": true, "type": "user", "emails": emails.clone()},
        );
        let workspace = place.path().join("workspace.db");
        import_quietly(&dump.write(Form::Directory, place.path()), &workspace);
        let directory = Arc::new(SqliteDirectory::open(&workspace).unwrap());
        Self { place, directory }
    }

    fn mailer(&self, flags: &[(&str, &str)]) -> Mailer {
        let flags: Vec<_> = flags
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        let nothing = Some(Path::new("/dev/null"));
        let config = Config::load(nothing, std::iter::empty(), &flags).unwrap();
        Mailer::new(
            config.mail,
            self.place.path().join("outbox"),
            Arc::clone(&self.directory),
        )
    }
}

const TEXT: &str = "Grüße,\n.\nhttps://chat.example.org/data-export/x\n";

fn mail() -> Mail {
    Mail {
        to: vec![Address {
            name: Some("Zoë \"Z\" 🚀, Zimmer".to_owned()),
            address: "zoe@example.org".to_owned(),
        }],
        reply_to: None,
        subject: "Export of #größe is ready — and this subject is so long that it needs more than one line of a header".to_owned(),
        content: mime::content("job", TEXT, Some("<p>Grüße</p>"), Vec::new()),
        message_id: "job@chat.example.org".to_owned(),
        host: "chat.example.org".to_owned(),
        date: 1_700_000_000_000,
    }
}

/// The settings of a workspace whose mail server is on this port.
fn settings(port: u16) -> Vec<(&'static str, Bson)> {
    vec![
        ("SMTP_Host", "localhost".into()),
        // Rocket.Chat keeps the port as a text.
        ("SMTP_Port", port.to_string().into()),
        ("SMTP_IgnoreTLS", true.into()),
        ("From_Email", "Chat <no-reply@chat.example.org>".into()),
    ]
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_meant() {
    let server = MailServer::start(&[]);
    let world = World::new(&settings(server.port), &Bson::Null);
    world.mailer(&[]).send(&mail()).await.unwrap();
    let arrived = server.mail(1);
    for (name, expected) in [
        ("subject", &*mail().subject),
        ("from", "Chat <no-reply@chat.example.org>"),
        ("to", "\"Zoë \\\"Z\\\" 🚀, Zimmer\" <zoe@example.org>"),
        ("message-id", "<job@chat.example.org>"),
        ("date", "Tue, 14 Nov 2023 22:13:20 +0000"),
        ("auto-submitted", "auto-generated"),
        ("mime-version", "1.0"),
        ("x-envelope-from", "no-reply@chat.example.org"),
        ("x-envelope-to", "zoe@example.org"),
    ] {
        assert_eq!(arrived["headers"][name], expected, "{name}");
    }
    assert_eq!(
        arrived["names"].as_array().unwrap().len(),
        6 + 8,
        "{arrived}"
    );
    assert_eq!(arrived["parts"]["text/plain"], TEXT);
    assert_eq!(
        arrived["parts"]["text/html"].as_str().unwrap().trim(),
        "<p>Grüße</p>"
    );
    assert_eq!(arrived["defects"].as_array().unwrap().len(), 0, "{arrived}");
}

#[tokio::test]
async fn mail_is_encrypted_and_logged_in_where_the_server_has_it() {
    let login = ["--user", "chat", "--password", "ge:heim"];
    let flags = [("mail.username", "chat"), ("mail.password", "ge:heim")];
    for (server, protocol, encrypted) in [
        (&[][..], "smtp", "no"),
        (&["--starttls"], "smtp", "yes"),
        (&["--tls"], "smtps", "yes"),
    ] {
        for login in [&[][..], &login] {
            let server = MailServer::start(&[server, login].concat());
            let world = World::new(&settings(server.port), &Bson::Null);
            let mut flags = flags.to_vec();
            flags.push(("mail.protocol", protocol));
            let flags = if login.is_empty() {
                &flags[2..]
            } else {
                &flags
            };
            let mailer = world.mailer(flags);
            let found = mailer.check().await.unwrap();
            assert_eq!(
                found.contains("not encrypted"),
                encrypted == "no",
                "{found}"
            );
            assert_eq!(found.contains("logged in"), !login.is_empty(), "{found}");
            assert_eq!(server.count(), 0, "a check sends nothing");
            mailer.send(&mail()).await.unwrap();
            let headers = &server.mail(1)["headers"];
            assert_eq!(headers["x-encrypted"], encrypted, "{protocol}");
            assert_eq!(
                headers["x-user"],
                if login.is_empty() { "" } else { "chat" }
            );
        }
    }
}

#[tokio::test]
async fn what_the_server_says_decides_whether_to_try_again() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port_of_nobody = nobody.local_addr().unwrap().port();
    drop(nobody);
    let wrong = [("mail.username", "chat"), ("mail.password", "falsch!")];
    let impatient = [("mail.timeout", "200ms")];
    let cases = [
        (&["--later", "1"][..], &[][..], "later", "451"),
        (&["--refuse"], &[], "refused", "550"),
        (
            &["--user", "chat", "--password", "geheim"],
            &wrong,
            "later",
            "535",
        ),
        (
            &["--user", "chat", "--password", "geheim"],
            &[],
            "later",
            "530",
        ),
        (
            &["--silent"],
            &impatient,
            "later",
            "did not answer within 0.2 s",
        ),
        (&["nobody"], &[], "later", "127.0.0.1"),
    ];
    for (arguments, flags, expected, part) in cases {
        let server = (arguments != ["nobody"]).then(|| MailServer::start(arguments));
        let port = server.as_ref().map_or(port_of_nobody, |server| server.port);
        let mut settings = settings(port);
        settings[0].1 = "127.0.0.1".into();
        let world = World::new(&settings, &Bson::Null);
        let mailer = world.mailer(flags);
        let error = mailer.send(&mail()).await.unwrap_err();
        let kind = match &error {
            MailError::Later(_) => "later",
            MailError::Refused(_) => "refused",
            _ => "other",
        };
        assert_eq!(kind, expected, "{arguments:?}: {error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(!text.contains("falsch"), "{text}");
        if arguments.contains(&"--later") {
            mailer.send(&mail()).await.unwrap();
        }
        if let Some(server) = server {
            assert_eq!(server.count(), usize::from(arguments.contains(&"--later")));
        }
    }
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_told_with_its_size() {
    let whole = mail();
    for (arguments, expected, part) in [
        (&["--size", "1000"][..], "too large", "takes at most 1.0 kB"),
        (&["--too-large"], "too large", "552"),
        // Said of the recipient's mailbox, not of the mail.
        (&["--full"], "refused", "5.2.2"),
        (&["--size", "100000"], "sent", ""),
    ] {
        let server = MailServer::start(arguments);
        let world = World::new(&settings(server.port), &Bson::Null);
        let mut mail = whole.clone();
        mail.content = mime::content("job", &"line\n".repeat(2000), None, Vec::new());
        let sent = world.mailer(&[]).send(&mail).await;
        let (kind, text) = match &sent {
            Ok(_) => ("sent", String::new()),
            Err(error @ MailError::TooLarge { bytes, .. }) => {
                assert!(*bytes > mail.content.len() as u64, "{bytes}");
                ("too large", error.to_string())
            }
            Err(error @ MailError::Refused(_)) => ("refused", error.to_string()),
            Err(error) => ("other", error.to_string()),
        };
        assert_eq!(kind, expected, "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        if kind == "too large" {
            assert!(text.contains("the mail of 12."), "{text}");
            assert!(text.contains("choose fewer messages"), "{text}");
        }
        if kind == "sent" {
            let said = &server.mail(1)["headers"]["x-size"];
            let said: usize = said.as_str().unwrap().parse().unwrap();
            let whole = world.mailer(&[]).write(&mail).await.unwrap().len();
            assert_eq!(said, whole);
        }
    }
}

#[tokio::test]
async fn a_password_does_not_go_in_the_clear() {
    // It leads to this machine, and is not known as its name.
    let flags = [
        ("mail.host", "0.0.0.0"),
        ("mail.username", "chat"),
        ("mail.password", "geheim"),
        ("mail.accept_invalid_certificates", "true"),
    ];
    for (more, is_sent) in [(&[][..], false), (&["--starttls"], true)] {
        let arguments = [&["--user", "chat", "--password", "geheim"][..], more].concat();
        let server = MailServer::start(&arguments);
        let world = World::new(&settings(server.port), &Bson::Null);
        let port = server.port.to_string();
        let mailer = world.mailer(&[&flags[..], &[("mail.port", &port)]].concat());
        for result in [
            mailer.check().await.map(drop),
            mailer.send(&mail()).await.map(drop),
        ] {
            match result {
                Ok(()) => assert!(is_sent),
                Err(MailError::Later(text)) => {
                    assert!(!is_sent && text.contains("offers no TLS"), "{text}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(server.was_asked_to_log_in(), is_sent);
        assert_eq!(server.count(), usize::from(is_sent));
    }
}

#[tokio::test]
async fn a_password_belongs_to_its_server() {
    let server = MailServer::start(&["--user", "chat", "--password", "geheim"]);
    let mut settings = settings(server.port);
    settings[0].1 = "mail.example.org".into();
    settings.extend([
        ("SMTP_Username", "chat".into()),
        ("SMTP_Password", "geheim".into()),
    ]);
    let world = World::new(&settings, &Bson::Null);
    let port = server.port.to_string();
    let mailer = world.mailer(&[("mail.host", "localhost"), ("mail.port", &port)]);
    let found = mailer.check().await.unwrap();
    assert!(!found.contains("logged in"), "{found}");
}

#[tokio::test]
async fn an_address_that_is_none_is_not_tried() {
    let server = MailServer::start(&[]);
    let world = World::new(&settings(server.port), &Bson::Null);
    for address in ["", "nobody", "a@b\r\nBcc: c@d", "a b@c", "a@b, c@d"] {
        let mut mail = mail();
        mail.to[0].address = address.to_owned();
        let error = world.mailer(&[]).send(&mail).await.unwrap_err();
        assert!(
            matches!(error, MailError::Unusable(_)),
            "{address}: {error}"
        );
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn why_no_mail_is_sent_is_said() {
    let address = |verified| {
        Bson::from(vec![
            doc! {"address": "a@example.org", "verified": verified},
        ])
    };
    let all = settings(1);
    let cases: [(&[_], _, &[_], Option<&str>); 9] = [
        (&all, address(true), &[], None),
        (&all, address(false), &[], None),
        (
            &all,
            address(true),
            &[("mail.ready", "false")],
            Some("mail.ready"),
        ),
        (&all[3..], address(true), &[], None),
        (
            &all[3..],
            address(true),
            &[("mail.transport", "smtp")],
            Some("mail.host"),
        ),
        (&all[..3], address(true), &[], Some("mail.from")),
        (
            &all,
            address(true),
            &[("mail.from", "nobody")],
            Some("`nobody` is no mail address"),
        ),
        (&all, Bson::Null, &[], Some("no e-mail address")),
        (
            &all,
            vec![doc! {"address": "nonsense"}].into(),
            &[],
            Some("no e-mail address"),
        ),
    ];
    for (settings, emails, flags, expected) in cases {
        let world = World::new(settings, &emails);
        let user = world
            .directory
            .user(&UserId("U".to_owned()))
            .await
            .unwrap()
            .unwrap();
        let obstacle = world
            .mailer(flags)
            .obstacle(&user, Occasion::Ready)
            .await
            .unwrap();
        match (&obstacle, expected) {
            (None, None) => {}
            (Some(obstacle), Some(part)) => assert!(obstacle.contains(part), "{obstacle}"),
            _ => panic!("{obstacle:?}, not {expected:?}"),
        }
    }
}
