//! Portuguese of Brazil.

use transcript::mail::Labels;
use transcript::texts::Sentences;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "pt-BR",
    default_subject: "Mensagens escolhidas de {}",
    messages_title: "Mensagens de {}",
    sent_by_user: "{} envia estas mensagens para você.",
    colon: ": ",
    full_stop: ".",
    facts_messages: "Mensagens",
    facts_times: "Horários",
    some_too_large: "Arquivos grandes demais para este e-mail são citados, mas não anexados.",
    zip_attached: "Tudo, com todos os arquivos, está anexado como {}.",
    zip_too_large: "A exportação com todos os arquivos ({}) é grande demais para este e-mail.",
    room: "Sala",
    time: "Período",
    from_to: "de {} a {}",
    beginning: "o início",
    format: "Formato",
    messages: "Mensagens",
    files: "Arquivos",
    files_missing: "{} ausentes, citados com os motivos em manifest.json",
    incomplete: "Incompleto",
    kept_until: "Guardado até",
    ready_subject: "A exportação de {} está pronta",
    ready_title: "Sua exportação de {} está pronta",
    download: "Baixar o ZIP ({})",
    link_note: "O link funciona só para você, depois de entrar na sua conta:",
    failed_subject: "A exportação de {} falhou",
    failed_title: "Sua exportação de {} falhou",
    failed_reason: "Motivo",
    failed_again: "Nada foi guardado. Você pode pedir a exportação de novo.",
    failures: &[
        (
            "not-allowed",
            "Você não pode mais exportar esta sala. Fale com o administrador se acha que deveria poder.",
        ),
        ("room-gone", "A sala não existe mais."),
        (
            "no-space",
            "Não há espaço suficiente no servidor para esta exportação. Peça ao administrador que libere espaço.",
        ),
        (
            "store-unwritable",
            "A exportação não pôde ser gravada no servidor. Se acontecer de novo, fale com o administrador.",
        ),
        (
            "workspace-damaged",
            "O que o servidor guarda desta sala está danificado. Fale com o administrador.",
        ),
        (
            "workspace-unreadable",
            "A sala não pôde ser lida. Se acontecer de novo, fale com o administrador.",
        ),
        (
            "interrupted",
            "O trabalho foi interrompido repetidas vezes e por isso foi abandonado.",
        ),
        (
            "internal",
            "Algo deu errado no servidor. Se acontecer de novo, fale com o administrador.",
        ),
    ],
    sent_by: "Enviado pelo Export Room para {}",
    labels: Labels {
        edited: "editada",
        deleted: "excluída",
        pinned: "fixada",
        bot: "bot",
        imported: "importada",
        private: "mostrada a uma só pessoa",
        unknown_author: "autor desconhecido",
        no_time: "sem data",
        reply: "Resposta na conversa de {}: {}",
        reply_elsewhere: "Resposta em uma conversa cuja primeira mensagem não está aqui",
        encrypted: "Criptografada de ponta a ponta: o texto só pode ser lido com a chave de um participante.",
        discussion: "Discussão",
        nested_too_deep: "Outras citações estão aninhadas fundo demais.",
        location: "Local: latitude {}, longitude {}",
        thread: "Respostas na conversa: {}",
        discussion_of: "Mensagens na discussão: {}",
        earlier: "Versão anterior:",
        attached: "anexado",
        too_large: "não anexado, grande demais para um e-mail",
        not_attached: "não anexado",
        missing: "ausente: {}",
        sentences: &Sentences::PORTUGUESE,
    },
};
