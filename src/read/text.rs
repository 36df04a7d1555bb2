//! Small pieces of text that several readers need.

use std::ops::Range;

/// Offset of the text behind a UTF-8 byte-order mark, if there is one.
pub(crate) fn start(text: &[u8]) -> usize {
    if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// Cuts `text[from..]` into pieces that end at line ends (or at the end of the text).
///
/// The pieces depend on the text alone, never on the number of threads: about 64 of them, each of 256 KiB to 16 MiB
/// unless a line is longer.
pub(crate) fn chunks(text: &[u8], from: usize) -> Vec<Range<usize>> {
    let size = (text.len() / 64).clamp(256 << 10, 16 << 20);
    let mut pieces = Vec::new();
    let mut at = from;
    while at < text.len() {
        let end = if text.len() - at <= size {
            text.len()
        } else {
            (line_end(text, at + size) + 1).min(text.len())
        };
        pieces.push(at..end);
        at = end;
    }
    pieces
}

/// Offset of the first newline at or after `at`, or the length of the text.
pub(crate) fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |length| at + length)
}

/// Offset of the first byte at or after `at` that is no blank, tab or carriage return.
#[inline]
pub(crate) fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Whether a word ends at `at`: a blank, a line end, or the end of the text.
#[inline]
pub(crate) fn word_ends(text: &[u8], at: usize) -> bool {
    matches!(text.get(at), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
}

/// How often `byte` occurs.
pub(crate) fn count(text: &[u8], byte: u8) -> usize {
    // Eight-bit counters over at most 255 bytes each: the compiler makes wide vector compares of it.
    text.chunks(255).map(|run| run.iter().map(|&b| u8::from(b == byte)).sum::<u8>() as usize).sum()
}

/// The word at `at`, cut to 24 bytes and escaped, for a message.
pub(crate) fn excerpt(text: &[u8], at: usize) -> String {
    let word = text.get(at..).unwrap_or_default();
    let length = (0..word.len()).find(|&i| word_ends(word, i)).unwrap_or(word.len());
    match length {
        0 => "the end of the line".into(),
        1..=24 => format!("`{}`", word[..length].escape_ascii()),
        _ => format!("`{}...`", word[..24].escape_ascii()),
    }
}
