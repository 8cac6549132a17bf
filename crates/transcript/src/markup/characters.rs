//! Classes of characters, as Rocket.Chat's grammar names them. They cover the Basic Multilingual Plane: the grammar sees
//! UTF-16, and to it a character beyond is two halves that belong to no class but "not ASCII".

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Letters.
pub(super) fn is_letter(character: char) -> bool {
    character.is_ascii_alphabetic()
        || is_far(character) && character.general_category_group() == GeneralCategoryGroup::Letter
}

/// Decimal digits of any script.
pub(super) fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
        || is_far(character) && character.general_category() == GeneralCategory::DecimalNumber
}

/// Letters and digits.
pub(super) fn is_alphanumeric(character: char) -> bool {
    is_letter(character) || is_digit(character)
}

/// What user and channel names are made of.
pub(super) fn is_name(character: char) -> bool {
    matches!(character, '-' | '_' | '.') || is_alphanumeric(character)
}

/// What the part of an address before the `@` may hold beside its special characters: letters, digits, marks, emoji.
pub(super) fn is_local(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    !is_basic(character)
        || is_alphanumeric(character)
        || character.general_category_group() == GeneralCategoryGroup::Mark
        || is_symbol(character)
}

fn is_symbol(character: char) -> bool {
    matches!(
        character,
        '\u{2700}'..='\u{27bf}'
            | '\u{2600}'..='\u{26ff}'
            | '\u{2190}'..='\u{21ff}'
            | '\u{200d}'
            | '\u{3299}'
            | '\u{3297}'
            | '\u{303d}'
            | '\u{3030}'
            | '\u{24c2}'
            | '\u{203c}'
            | '\u{2049}'
            | '\u{25aa}'
            | '\u{25ab}'
            | '\u{25b6}'
            | '\u{25c0}'
            | '\u{25fb}'..='\u{25fe}'
            | '\u{a9}'
            | '\u{ae}'
            | '\u{2122}'
            | '\u{2139}'
            | '\u{2b05}'..='\u{2b07}'
            | '\u{2b1b}'
            | '\u{2b1c}'
            | '\u{2b50}'
            | '\u{2b55}'
            | '\u{231a}'
            | '\u{231b}'
            | '\u{2328}'
            | '\u{23cf}'
            | '\u{23e9}'..='\u{23f3}'
            | '\u{23f8}'..='\u{23fa}'
            | '\u{2934}'
            | '\u{2935}'
    )
}

fn is_basic(character: char) -> bool {
    character <= '\u{ffff}'
}

fn is_far(character: char) -> bool {
    !character.is_ascii() && is_basic(character)
}

/// Whether a person sees anything where the character stands: white space, controls, formats and the characters that are
/// blank by their nature show nothing (Unicode's `Default_Ignorable_Code_Point`, and the blank Braille pattern).
pub(crate) fn is_seen(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_graphic();
    }
    let is_blank = character.is_whitespace()
        || matches!(
            character,
            '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        );
    !is_blank
        && !matches!(
            character.general_category(),
            GeneralCategory::Control | GeneralCategory::Format
        )
}

/// What JavaScript's `trim` takes away.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|character| {
        character != '\u{85}' && character.is_whitespace() || character == '\u{feff}'
    })
}
