//! Spanish.

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "es",
    not_logged_in: [
        "Inicie sesión para descargar",
        "Solo quien pidió una exportación puede descargarla. Inicie sesión en el chat con este navegador y vuelva a abrir este enlace.",
    ],
    wrong_password: [
        "No ha funcionado",
        "El nombre de usuario o la contraseña no son correctos. Son los que usa en el chat.",
    ],
    code_required: [
        "Un paso más",
        "Su cuenta tiene un segundo factor. Escriba de nuevo su contraseña y el código que muestra su aplicación de autenticación.",
    ],
    code_invalid: [
        "No ha funcionado",
        "El código no es correcto o ya se usó. Espere al siguiente.",
    ],
    login_off: [
        "Aquí no puede iniciar sesión",
        "Inicie sesión en el chat con este navegador y vuelva a abrir el enlace de su exportación.",
    ],
    no_permission: [
        "Esta exportación no es suya",
        "Pertenece a otra persona, y solo quien la pidió puede descargarla. Si fue usted, inicie sesión con esa cuenta.",
    ],
    download_off: [
        "Las descargas están desactivadas",
        "La administración ha desactivado las descargas de exportaciones en este espacio de trabajo. Pídale que le envíe el archivo o que las active.",
    ],
    not_found: [
        "Esta exportación no está aquí",
        "Se eliminó, o ya pasó el tiempo que se conservan las exportaciones. Exporte la sala de nuevo para obtener otra.",
    ],
    no_username: [
        "Elija primero un nombre de usuario",
        "Su cuenta aún no tiene nombre de usuario. Elija uno en el chat y vuelva a abrir este enlace.",
    ],
    too_many: [
        "Demasiados intentos",
        "Espere un minuto e inténtelo de nuevo.",
    ],
    failed: [
        "Algo ha fallado",
        "El servidor no pudo enviar la exportación. Inténtelo de nuevo en un momento; si sigue así, avise a la administración.",
    ],
    refused: "Aquí no puede iniciar sesión",
    address_blocked: "Hubo demasiados intentos desde su dirección de red. Inténtelo de nuevo en unos minutos.",
    user_blocked: "Hubo demasiados intentos con esta cuenta. Inténtelo de nuevo en unos minutos.",
    app: "Esta cuenta es de una aplicación, y las aplicaciones no pueden iniciar sesión aquí.",
    not_activated: "Su cuenta está desactivada. Pida a la administración que la active.",
    no_roles: "Su cuenta no tiene roles. Pida a la administración que le dé uno.",
    email_not_verified: "Ninguna de sus direcciones de correo está verificada. Verifique antes una en el chat.",
    mailed_code: "Su segundo factor es un código por correo, que no se puede enviar desde aquí. Inicie sesión en el chat con este navegador y vuelva a abrir este enlace.",
    ldap: "Este espacio de trabajo comprueba las contraseñas con LDAP, lo que aquí no es posible. Inicie sesión en el chat con este navegador y vuelva a abrir este enlace.",
    username: "Nombre de usuario o correo",
    password: "Contraseña",
    second_factor: "Código",
    second_factor_note: "si usa un segundo factor",
    log_in: "Iniciar sesión y descargar",
};
