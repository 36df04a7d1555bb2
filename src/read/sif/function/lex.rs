//! Tokens of a Fortran expression in fixed form: blanks and letter case mean nothing.

use super::Flaw;

/// A token and where in the statement's text it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub offset: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Integer(f64),
    /// With a point or an E exponent: single precision in Fortran.
    Single(String),
    /// With a D exponent.
    Double(f64),
    /// Upper case.
    Name(String),
    Symbol(Symbol),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    Plus,
    Minus,
    Times,
    Divide,
    Power,
    Open,
    Close,
    Comma,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Not,
    Equivalent,
    NotEquivalent,
    True,
    False,
}

/// The words that stand between two points.
const WORDS: [(&[u8], Symbol); 13] = [
    (b"EQ", Symbol::Equal),
    (b"NE", Symbol::NotEqual),
    (b"LT", Symbol::Less),
    (b"LE", Symbol::LessEqual),
    (b"GT", Symbol::Greater),
    (b"GE", Symbol::GreaterEqual),
    (b"AND", Symbol::And),
    (b"OR", Symbol::Or),
    (b"NOT", Symbol::Not),
    (b"EQV", Symbol::Equivalent),
    (b"NEQV", Symbol::NotEquivalent),
    (b"TRUE", Symbol::True),
    (b"FALSE", Symbol::False),
];

/// Longer signs before their beginnings.
const SIGNS: [(&[u8], Symbol); 14] = [
    (b"**", Symbol::Power),
    (b"==", Symbol::Equal),
    (b"/=", Symbol::NotEqual),
    (b"<=", Symbol::LessEqual),
    (b">=", Symbol::GreaterEqual),
    (b"<", Symbol::Less),
    (b">", Symbol::Greater),
    (b"+", Symbol::Plus),
    (b"-", Symbol::Minus),
    (b"*", Symbol::Times),
    (b"/", Symbol::Divide),
    (b"(", Symbol::Open),
    (b")", Symbol::Close),
    (b",", Symbol::Comma),
];

/// Cuts the text into tokens, the last of which is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Flaw> {
    let (bytes, offsets): (Vec<u8>, Vec<usize>) = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| !byte.is_ascii_whitespace())
        .map(|(offset, byte)| (byte.to_ascii_uppercase(), offset))
        .unzip();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let offset = offsets[at];
        let rest = &bytes[at..];
        let (kind, length) = token(rest).map_err(|message| Flaw { offset, message })?;
        found.push(Token { kind, offset });
        at += length;
    }
    let offset = offsets.last().map_or(0, |last| last + 1);
    found.push(Token { kind: TokenKind::End, offset });
    Ok(found)
}

/// The token that `rest` begins with, and its length.
fn token(rest: &[u8]) -> Result<(TokenKind, usize), String> {
    let first = rest[0];
    if first.is_ascii_digit() || first == b'.' && rest.get(1).is_some_and(u8::is_ascii_digit) {
        return number(rest);
    }
    if first.is_ascii_alphabetic() {
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        return Ok((TokenKind::Name(ascii(&rest[..length])), length));
    }
    if let Some((symbol, length)) = word(rest) {
        return Ok((TokenKind::Symbol(symbol), length));
    }
    match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        Some((sign, symbol)) => Ok((TokenKind::Symbol(*symbol), sign.len())),
        None => Err(format!("unexpected character `{}`", first.escape_ascii())),
    }
}

/// `.EQ.` and its kin at the start of `rest`.
fn word(rest: &[u8]) -> Option<(Symbol, usize)> {
    let letters = rest.strip_prefix(b".")?;
    let length = letters.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    if letters.get(length) != Some(&b'.') {
        return None;
    }
    let (_, symbol) = WORDS.iter().find(|(word, _)| *word == &letters[..length])?;
    Some((*symbol, length + 2))
}

/// A literal. The point of `1.EQ.X` belongs to the operator.
fn number(rest: &[u8]) -> Result<(TokenKind, usize), String> {
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    let mut point = false;
    if rest.get(end) == Some(&b'.') && word(&rest[end..]).is_none() {
        point = true;
        end += 1;
        end += digits(end);
    }
    let mantissa = end;
    let mut exponent = None;
    if let Some(letter @ (b'E' | b'D')) = rest.get(end) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let length = digits((end + 1 + sign).min(rest.len()));
        if length > 0 {
            end += 1 + sign + length;
            exponent = Some(*letter);
        }
    }
    let text = ascii(&rest[..mantissa]);
    if !point && exponent.is_none() {
        return match text.parse::<i32>() {
            Ok(value) => Ok((TokenKind::Integer(f64::from(value)), end)),
            Err(_) => Err(format!("the integer {text} is too large")),
        };
    }
    let text = if exponent.is_some() { text + "E" + &ascii(&rest[mantissa + 1..end]) } else { text };
    if exponent != Some(b'D') {
        return Ok((TokenKind::Single(text), end));
    }
    match text.parse() {
        Ok(value) => Ok((TokenKind::Double(value), end)),
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let mut kinds: Vec<_> = tokens(text).unwrap().into_iter().map(|token| token.kind).collect();
        assert_eq!(kinds.pop(), Some(TokenKind::End));
        kinds
    }

    #[test]
    fn a_point_before_an_operator_is_the_operators() {
        use TokenKind::*;
        assert_eq!(
            kinds("1.EQ.X"),
            [Integer(1.0), TokenKind::Symbol(super::Symbol::Equal), Name("X".into())]
        );
        assert_eq!(
            kinds("1..LT.2."),
            [Single("1.".into()), TokenKind::Symbol(super::Symbol::Less), Single("2.".into())]
        );
        assert_eq!(kinds("1.E5"), [Single("1.E5".into())]);
        assert_eq!(kinds("3.D-2.GE.1")[0], Double(0.03));
    }

    #[test]
    fn literals_of_three_types() {
        use TokenKind::*;
        assert_eq!(kinds("2.D0"), [Double(2.0)]);
        assert_eq!(kinds(".5"), [Single(".5".into())]);
        assert_eq!(kinds("1E-3"), [Single("1E-3".into())]);
        assert_eq!(kinds("4.0D+0"), [Double(4.0)]);
        assert_eq!(kinds("1. 0 d 0"), [Double(1.0)]);
        assert_eq!(kinds("x 1"), [Name("X1".into())]);
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(tokens("A + #").unwrap_err().offset, 4);
        assert!(tokens("99999999999").is_err());
        assert!(tokens(".FOO. 1").is_err());
    }
}
