//! The mails that say how an export ended, in every language that they speak, from the request to the file.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, DateTime, doc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::dump::DumpBuilder;
use crate::support::mail::read;
use crate::support::server::{Server, changed_home, wait_for};

/// What a language says.
struct Says {
    language: &'static str,
    ready: &'static str,
    in_ready: [&'static str; 4],
    failed: &'static str,
    in_failed: [&'static str; 3],
}

const ALL: [Says; 8] = [
    Says {
        language: "en",
        ready: "Export of #general is ready",
        in_ready: [
            "Your export of #general is ready",
            "Download the ZIP (",
            "The link works for you only, after you have logged in",
            "Kept until",
        ],
        failed: "Export of #general failed",
        in_failed: [
            "Your export of #general failed",
            "Nothing of it was kept. You can ask for the export again.",
            "You may not export this room any more",
        ],
    },
    Says {
        language: "de",
        ready: "Export von #general ist fertig",
        in_ready: [
            "Ihr Export von #general ist fertig",
            "ZIP herunterladen (",
            "Der Link funktioniert nur für Sie, nachdem Sie sich angemeldet haben",
            "Aufbewahrt bis",
        ],
        failed: "Export von #general ist fehlgeschlagen",
        in_failed: [
            "Ihr Export von #general ist fehlgeschlagen",
            "Nichts davon wurde behalten. Sie können den Export erneut anfordern.",
            "Sie dürfen diesen Raum nicht mehr exportieren. Fragen Sie die Administration, wenn Sie es dürfen sollten.",
        ],
    },
    Says {
        language: "fr",
        ready: "L’export de #general est prêt",
        in_ready: [
            "Votre export de #general est prêt",
            "Télécharger le ZIP (",
            "Le lien ne fonctionne que pour vous, une fois connecté",
            "Conservé jusqu’au",
        ],
        failed: "L’export de #general a échoué",
        in_failed: [
            "Votre export de #general a échoué",
            "Rien n’a été conservé. Vous pouvez demander l’export de nouveau.",
            "Vous n’avez plus le droit d’exporter ce salon. Adressez-vous à l’administrateur si vous devriez l’avoir.",
        ],
    },
    Says {
        language: "es",
        ready: "La exportación de #general está lista",
        in_ready: [
            "Su exportación de #general está lista",
            "Descargar el ZIP (",
            "El enlace solo funciona para usted, después de iniciar sesión",
            "Se conserva hasta",
        ],
        failed: "La exportación de #general ha fallado",
        in_failed: [
            "Su exportación de #general ha fallado",
            "No se ha conservado nada. Puede pedir la exportación de nuevo.",
            "Ya no puede exportar esta sala. Pregunte al administrador si cree que debería poder.",
        ],
    },
    Says {
        language: "pt-BR",
        ready: "A exportação de #general está pronta",
        in_ready: [
            "Sua exportação de #general está pronta",
            "Baixar o ZIP (",
            "O link funciona só para você, depois de entrar na sua conta",
            "Guardado até",
        ],
        failed: "A exportação de #general falhou",
        in_failed: [
            "Sua exportação de #general falhou",
            "Nada foi guardado. Você pode pedir a exportação de novo.",
            "Você não pode mais exportar esta sala. Fale com o administrador se acha que deveria poder.",
        ],
    },
    Says {
        language: "ru",
        ready: "Экспорт #general готов",
        in_ready: [
            "Ваш экспорт #general готов",
            "Скачать ZIP (",
            "Ссылка работает только для вас, после входа",
            "Хранится до",
        ],
        failed: "Экспорт #general не удался",
        in_failed: [
            "Ваш экспорт #general не удался",
            "Ничего не сохранено. Вы можете запросить экспорт ещё раз.",
            "Вам больше нельзя экспортировать эту комнату. Обратитесь к администратору, если это неверно.",
        ],
    },
    Says {
        language: "ja",
        ready: "#general のエクスポートが完了しました",
        in_ready: [
            "#general のエクスポートが完了しました",
            "ZIP をダウンロード（",
            "このリンクは、ログイン後、ご本人のみが利用できます",
            "保存期限",
        ],
        failed: "#general のエクスポートに失敗しました",
        in_failed: [
            "#general のエクスポートに失敗しました",
            "何も保存されていません。もう一度エクスポートを依頼できます。",
            "このルームをエクスポートする権限がなくなりました。権限があるはずの場合は管理者にお問い合わせください。",
        ],
    },
    Says {
        language: "zh",
        ready: "#general 的导出已完成",
        in_ready: [
            "您对 #general 的导出已完成",
            "下载 ZIP（",
            "此链接仅供您本人登录后使用",
            "保留至",
        ],
        failed: "#general 的导出失败",
        in_failed: [
            "您对 #general 的导出失败",
            "没有保留任何内容。您可以再次请求导出。",
            "您已无权导出此聊天室。如认为有误，请联系管理员。",
        ],
    },
];

/// A user for each language, who may export `general`.
fn people(dump: &mut DumpBuilder) {
    for (number, says) in ALL.iter().enumerate() {
        let token = STANDARD.encode(Sha256::digest(format!("token-{number}")));
        dump.add("users", &doc! {
            "_id": format!("u{number}"), "username": format!("user{number}"), "active": true, "type": "user", "roles": ["admin", "user"],
            "language": says.language, "utcOffset": Bson::Double(1.0), "emails": [{"address": "a@example.org", "verified": true}],
            "services": {"resume": {"loginTokens": [{"hashedToken": token, "when": DateTime::from_millis(4_070_908_800_000)}]}},
        });
        dump.add("rocketchat_subscription", &doc! {"_id": format!("s{number}"), "rid": "GENERAL", "t": "c", "u": {"_id": format!("u{number}")}, "open": true});
    }
}

/// Everybody asks for the room as a file. The ids of the exports.
fn everybody_asks(server: &Server) -> Vec<String> {
    let body = json!({"rid": "GENERAL", "type": "file", "format": "json"}).to_string();
    (0..ALL.len())
        .map(|number| {
            let (id, token) = (format!("u{number}"), format!("token-{number}"));
            let headers = [
                ("X-User-Id", &*id),
                ("X-Auth-Token", &token),
                ("content-type", "application/json"),
            ];
            let answer = server.send("POST", "/api/v1/rooms.export", &headers, body.as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            let location = answer.header("location").unwrap();
            location.rsplit('=').next().unwrap().to_owned()
        })
        .collect()
}

/// The notice about an export; waits for it.
fn notice(directory: &Path, export: &str) -> Value {
    read(&wait_for("the notice", || -> Option<PathBuf> {
        let mut paths = fs::read_dir(directory)
            .ok()?
            .map(|entry| entry.unwrap().path());
        paths.find(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.contains(export) && name.ends_with(".eml")
        })
    }))
}

fn check(mail: &Value, language: &str, subject: &str, words: &[&str]) {
    assert_eq!(mail["headers"]["subject"], subject, "{language}");
    assert_eq!(mail["defects"], json!([]), "{language}: {mail}");
    for part in ["text/plain", "text/html"] {
        let part = mail["parts"][part].as_str().unwrap();
        for expected in words {
            assert!(part.contains(expected), "{language}: {expected}\n{part}");
        }
        assert!(!part.contains("{}"), "{language}: {part}");
    }
    let html = mail["parts"]["text/html"].as_str().unwrap();
    assert!(
        html.contains(&format!("<html lang=\"{language}\">")),
        "{html}"
    );
}

#[test]
fn the_end_of_an_export_is_told_in_the_requesters_language() {
    let settings = [
        "mail.transport=directory",
        "jobs.poll=50ms",
        "http.site_url=https://chat.example.org",
        "store.keep=30d",
    ];
    let server = Server::start_in(changed_home(people), &settings);
    let directory = server.home.path().join("files/export-room-mails");
    for (says, export) in ALL.iter().zip(everybody_asks(&server)) {
        let mail = notice(&directory, &export);
        check(&mail, says.language, says.ready, &says.in_ready);
        let link = format!("https://chat.example.org/data-export/{export}");
        check(
            &mail,
            says.language,
            says.ready,
            &[&link, "UTC+01:00", "SHA-256"],
        );
    }
    drop(server);

    let mut idle = settings.to_vec();
    idle.push("jobs.workers=0");
    let server = Server::start_in(changed_home(people), &idle);
    let exports = everybody_asks(&server);
    let home = server.killed();
    let database = rusqlite::Connection::open(home.path().join("chat.db")).unwrap();
    let removed = database.execute(
        "DELETE FROM document WHERE collection = 'rocketchat_permissions' AND id = 'mail-messages'",
        [],
    );
    assert_eq!(removed.unwrap(), 1);
    drop(database);
    let server = Server::start_in(home, &settings);
    let directory = server.home.path().join("files/export-room-mails");
    for (says, export) in ALL.iter().zip(exports) {
        let mail = notice(&directory, &export);
        check(&mail, says.language, says.failed, &says.in_failed);
    }
}
