//! Spanish.

use transcript::mail::Labels;
use transcript::texts::Sentences;

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "es",
    default_subject: "Mensajes elegidos de {}",
    messages_title: "Mensajes de {}",
    sent_by_user: "{} le envía estos mensajes.",
    colon: ": ",
    full_stop: ".",
    facts_messages: "Mensajes",
    facts_times: "Horas",
    some_too_large: "Los archivos demasiado grandes para este correo se nombran, pero no se adjuntan.",
    zip_attached: "Todo, con todos los archivos, se adjunta como {}.",
    zip_too_large: "La exportación con todos los archivos ({}) es demasiado grande para este correo.",
    room: "Sala",
    time: "Periodo",
    from_to: "de {} a {}",
    beginning: "el principio",
    format: "Formato",
    messages: "Mensajes",
    files: "Archivos",
    files_missing: "faltan {}, nombrados con sus motivos en manifest.json",
    incomplete: "Incompleto",
    kept_until: "Se conserva hasta",
    ready_subject: "La exportación de {} está lista",
    ready_title: "Su exportación de {} está lista",
    download: "Descargar el ZIP ({})",
    link_note: "El enlace solo funciona para usted, después de iniciar sesión:",
    failed_subject: "La exportación de {} ha fallado",
    failed_title: "Su exportación de {} ha fallado",
    failed_reason: "Motivo",
    failed_again: "No se ha conservado nada. Puede pedir la exportación de nuevo.",
    failures: &[
        (
            "not-allowed",
            "Ya no puede exportar esta sala. Pregunte al administrador si cree que debería poder.",
        ),
        ("room-gone", "La sala ya no existe."),
        (
            "no-space",
            "No hay espacio suficiente en el servidor para esta exportación. Pida al administrador que libere espacio.",
        ),
        (
            "store-unwritable",
            "La exportación no se pudo guardar en el servidor. Si vuelve a ocurrir, pregunte al administrador.",
        ),
        (
            "workspace-damaged",
            "Lo que el servidor guarda de esta sala está dañado. Pregunte al administrador.",
        ),
        (
            "workspace-unreadable",
            "La sala no se pudo leer. Si vuelve a ocurrir, pregunte al administrador.",
        ),
        (
            "interrupted",
            "El trabajo se interrumpió una y otra vez, así que se abandonó.",
        ),
        (
            "internal",
            "Algo ha fallado en el servidor. Si vuelve a ocurrir, pregunte al administrador.",
        ),
    ],
    sent_by: "Enviado por Export Room para {}",
    labels: Labels {
        edited: "editado",
        deleted: "eliminado",
        pinned: "fijado",
        bot: "bot",
        imported: "importado",
        private: "mostrado a una sola persona",
        unknown_author: "autor desconocido",
        no_time: "sin fecha",
        reply: "Respuesta en el hilo de {}: {}",
        reply_elsewhere: "Respuesta en un hilo cuyo primer mensaje no está aquí",
        encrypted: "Cifrado de extremo a extremo: el texto solo se puede leer con la clave de un participante.",
        discussion: "Discusión",
        nested_too_deep: "Hay más citas, anidadas a demasiada profundidad.",
        location: "Lugar: latitud {}, longitud {}",
        thread: "Respuestas en el hilo: {}",
        discussion_of: "Mensajes en la discusión: {}",
        earlier: "Versión anterior:",
        attached: "adjunto",
        too_large: "no adjunto, demasiado grande para un correo",
        not_attached: "no adjunto",
        missing: "falta: {}",
        sentences: &Sentences::SPANISH,
    },
};
