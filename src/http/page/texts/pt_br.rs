//! Brazilian Portuguese.

use super::Texts;

/// The texts.
pub(super) const TEXTS: Texts = Texts {
    code: "pt-BR",
    not_logged_in: [
        "Entre para baixar",
        "Só quem pediu uma exportação pode baixá-la. Entre no chat neste navegador e abra este link de novo.",
    ],
    wrong_password: [
        "Não funcionou",
        "O nome de usuário ou a senha estão incorretos. São os que você usa no chat.",
    ],
    code_required: [
        "Mais um passo",
        "Sua conta tem um segundo fator. Digite sua senha de novo e o código que seu autenticador mostra.",
    ],
    code_invalid: [
        "Não funcionou",
        "O código está incorreto ou já foi usado. Espere o próximo.",
    ],
    login_off: [
        "Aqui não é possível entrar",
        "Entre no chat neste navegador e abra de novo o link da sua exportação.",
    ],
    no_permission: [
        "Esta exportação não é sua",
        "Ela pertence a outra pessoa, e só quem a pediu pode baixá-la. Se foi você, entre com essa conta.",
    ],
    download_off: [
        "Os downloads estão desativados",
        "A administração desativou os downloads de exportações neste workspace. Peça que ela envie o arquivo a você ou que ative os downloads.",
    ],
    not_found: [
        "Esta exportação não está aqui",
        "Ela foi excluída, ou o tempo de guarda das exportações passou. Exporte a sala de novo para obter outra.",
    ],
    no_username: [
        "Escolha primeiro um nome de usuário",
        "Sua conta ainda não tem nome de usuário. Escolha um no chat e abra este link de novo.",
    ],
    too_many: ["Tentativas demais", "Espere um minuto e tente de novo."],
    failed: [
        "Algo deu errado",
        "O servidor não conseguiu enviar a exportação. Tente de novo daqui a pouco; se continuar assim, avise a administração.",
    ],
    refused: "Aqui não é possível entrar",
    address_blocked: "Houve tentativas demais do seu endereço de rede. Tente de novo em alguns minutos.",
    user_blocked: "Houve tentativas demais para esta conta. Tente de novo em alguns minutos.",
    app: "Esta conta é de um aplicativo, e aplicativos não podem entrar aqui.",
    not_activated: "Sua conta está desativada. Peça à administração que a ative.",
    no_roles: "Sua conta não tem papéis. Peça à administração que lhe dê um.",
    email_not_verified: "Nenhum dos seus endereços de e-mail está verificado. Verifique um no chat primeiro.",
    mailed_code: "Seu segundo fator é um código por e-mail, que não pode ser enviado daqui. Entre no chat neste navegador e abra este link de novo.",
    ldap: "Este workspace verifica senhas com LDAP, o que não é possível aqui. Entre no chat neste navegador e abra este link de novo.",
    username: "Nome de usuário ou e-mail",
    password: "Senha",
    second_factor: "Código",
    second_factor_note: "se você usa um segundo fator",
    log_in: "Entrar e baixar",
};
