//! What the workspace's settings say about marks in texts that are stored as typed.

use transcript::markup::Options;

use crate::store::{MessageSource, StoreError};

/// Reads the settings; what is not set is as Rocket.Chat has it by default.
pub(crate) async fn options(source: &dyn MessageSource) -> Result<Options, StoreError> {
    let settings = source
        .settings(&[
            "HexColorPreview_Enabled",
            "Katex_Enabled",
            "Katex_Dollar_Syntax",
            "Katex_Parenthesis_Syntax",
            "Message_CustomDomain_AutoLink",
        ])
        .await?;
    let katex = settings.truth("Katex_Enabled").unwrap_or(true);
    let domains = settings.text("Message_CustomDomain_AutoLink").unwrap_or("");
    Ok(Options {
        colors: settings.truth("HexColorPreview_Enabled").unwrap_or(true),
        katex_dollar: katex && settings.truth("Katex_Dollar_Syntax").unwrap_or(false),
        katex_parenthesis: katex && settings.truth("Katex_Parenthesis_Syntax").unwrap_or(true),
        custom_domains: domains
            .split(',')
            .map(|domain| domain.trim().to_lowercase())
            .filter(|domain| !domain.is_empty())
            .collect(),
        ..Options::default()
    })
}
