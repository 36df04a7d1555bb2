//! Free form: strings separated by blanks in place of fixed columns.
//!
//! `;` ends a card, so that several may stand on a line; `_` ends a string and is an empty field; `$` starts a comment.

use super::card::{Card, Field, code, is_marked};

/// Longest line that is looked at.
pub(super) const WIDTH: usize = 160;

/// Widths of fields 2 to 7.
const WIDTHS: [usize; 6] = [10, 10, 12, 10, 12, 41];

/// Second words of section headers.
const SECOND_WORDS: [&[u8]; 5] = [b"POINT", b"TYPE", b"USES", b"BOUND", b"FORMAT"];

/// Length of the first card of a text, without its `;`; a comment belongs to the card it follows.
pub(super) fn card_length(text: &[u8]) -> usize {
    let end = text.iter().position(|&byte| matches!(byte, b';' | b'$'));
    match end {
        Some(end) if text[end] == b';' => end,
        _ => text.len(),
    }
}

/// The text before a `$`.
fn without_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte == b'$').unwrap_or(text.len());
    &text[..end]
}

/// The string that starts at or behind `at`, and the offset behind it; None at the end.
fn string(text: &[u8], at: usize) -> Option<(&[u8], usize, usize)> {
    let start = at + text.get(at..)?.iter().position(|&byte| byte != b' ')?;
    if text[start] == b'_' {
        return Some((&[], start, start + 1));
    }
    let length =
        text[start..].iter().position(|&byte| matches!(byte, b' ' | b'_')).unwrap_or(text.len() - start);
    Some((&text[start..start + length], start, start + length))
}

/// The keyword of a header and the name behind it, or None if this is a card: its first string has at most two
/// characters.
pub(super) fn header(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = without_comment(text);
    let (first, start, end) = string(text, 0)?;
    if first.len() <= 2 {
        return None;
    }
    let second = string(text, end);
    match second {
        Some((word, _, behind)) if SECOND_WORDS.contains(&word) => Some((&text[start..behind], &[])),
        Some((name, _, _)) => Some((first, name)),
        None => Some((first, &[])),
    }
}

/// Whether nothing but blanks and a comment stands there.
pub(super) fn is_blank(text: &[u8]) -> bool {
    string(without_comment(text), 0).is_none()
}

/// Splits a card whose text starts at `column`. In function parts all but R cards have an expression behind field 3.
pub(super) fn card(line: u32, text: &[u8], column: u32, in_functions: bool) -> Card<'_> {
    let mut card = Card { line, marked: is_marked(text), ..Card::default() };
    let text = without_comment(text);
    let place = |at: usize| column + at as u32;
    let mut at = 0;
    if let Some((first, _, behind)) = string(text, at) {
        card.code = code(first);
        at = behind;
    }
    let with_expression = in_functions && card.code[0] != b'R';
    let fields = [&mut card.name2, &mut card.name3, &mut card.number4, &mut card.name5, &mut card.number6];
    for (number, field) in fields.into_iter().enumerate() {
        field.column = place(at);
        if with_expression && number == 2 {
            break;
        }
        if let Some((word, start, behind)) = string(text, at) {
            *field = Field { text: &word[..word.len().min(WIDTHS[number])], column: place(start) };
            at = behind;
        }
    }
    let rest = text.get(at..).unwrap_or_default();
    card.expression = Field { text: &rest[..rest.len().min(WIDTHS[5])], column: place(at) };
    card
}
