//! Decimal text to f64, exactly rounded.

use super::error::Flaw;
use super::text::excerpt;

/// Why a word is no number that a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberFlaw {
    /// Not of the form `[+-]digits[.digits][e[+-]digits]`.
    Malformed,
    /// `nan`, `inf` or `infinity`.
    NotFinite,
    /// Beyond the largest double.
    Overflow,
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Parses the number that starts at `text[at]`; returns it and the offset behind it.
///
/// Correctly rounded. Up to 19 digits are gathered in an integer m; where m <= 2^53 and the decimal exponent e has
/// |e| <= 22, both m and 10^|e| are exact doubles and one multiplication or division rounds once (Clinger 1990). All
/// other numbers go to the standard library. What follows the number is the caller's to check.
#[inline]
pub(crate) fn parse(text: &[u8], at: usize) -> Result<(f64, usize), NumberFlaw> {
    let mut end = at;
    let negative = match text.get(end) {
        Some(b'-') => {
            end += 1;
            true
        }
        Some(b'+') => {
            end += 1;
            false
        }
        _ => false,
    };
    let whole_start = end;
    let mut mantissa = digits(text, &mut end, 0);
    let mut count = end - whole_start;
    let mut exponent = 0i64;
    if let Some(b'.') = text.get(end) {
        end += 1;
        let fraction_start = end;
        mantissa = digits(text, &mut end, mantissa);
        exponent = -((end - fraction_start) as i64);
        count += end - fraction_start;
    }
    if count == 0 {
        return Err(word_flaw(text, whole_start));
    }
    if let Some(b'e' | b'E') = text.get(end) {
        end += 1;
        let sign = text.get(end).copied();
        if let Some(b'+' | b'-') = sign {
            end += 1;
        }
        let exponent_start = end;
        let magnitude = digits(text, &mut end, 0);
        if end == exponent_start {
            return Err(NumberFlaw::Malformed);
        }
        // An exponent of more than nine digits is left to the exact path.
        let magnitude = if end - exponent_start <= 9 { magnitude as i64 } else { i64::from(u32::MAX) };
        exponent += if sign == Some(b'-') { -magnitude } else { magnitude };
    }
    if count <= 19 && mantissa <= 1 << 53 && exponent.unsigned_abs() <= 22 {
        let power = EXACT_POWERS[exponent.unsigned_abs() as usize];
        let magnitude = if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
        return Ok((if negative { -magnitude } else { magnitude }, end));
    }
    exact(&text[at..end]).map(|value| (value, end))
}

/// Appends the digits at `*end` to `value` (wrapping: the caller counts them) and moves `*end` behind them.
#[inline]
fn digits(text: &[u8], end: &mut usize, mut value: u64) -> u64 {
    while let Some(byte) = text.get(*end) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        *end += 1;
    }
    value
}

#[cold]
fn exact(word: &[u8]) -> Result<f64, NumberFlaw> {
    let value: Option<f64> = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    match value {
        Some(value) if value.is_finite() => Ok(value),
        Some(_) => Err(NumberFlaw::Overflow),
        None => Err(NumberFlaw::Malformed),
    }
}

#[cold]
fn word_flaw(text: &[u8], at: usize) -> NumberFlaw {
    let word = text.get(at..at + 3).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"nan") || word.eq_ignore_ascii_case(b"inf") {
        NumberFlaw::NotFinite
    } else {
        NumberFlaw::Malformed
    }
}

impl NumberFlaw {
    /// The flaw with its place and the word that has it.
    #[cold]
    pub(crate) fn at(self, text: &[u8], at: usize) -> Flaw {
        let word = excerpt(text, at);
        match self {
            NumberFlaw::Malformed => {
                Flaw::new(at, format!("{word} is no number"), "a decimal number is expected")
            }
            NumberFlaw::NotFinite => {
                Flaw::new(at, format!("{word} is not finite"), "a finite number is expected")
            }
            NumberFlaw::Overflow => Flaw::new(
                at,
                format!("{word} is beyond the range of a double"),
                "magnitudes go up to 1.797e308",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(word: &str) {
        let expected: f64 = word.parse().unwrap();
        let (value, end) = parse(word.as_bytes(), 0).unwrap();
        assert_eq!((value.to_bits(), end), (expected.to_bits(), word.len()), "{word}");
    }

    #[test]
    fn known_hard_words_round_as_the_standard_library() {
        for word in [
            "0",
            "-0",
            "+1",
            "1.",
            ".5",
            "-.5e1",
            "1e22",
            "1e23",
            "9007199254740993",
            "9007199254740992",
            "123456789012345678901234567890",
            "2.2250738585072011e-308",
            "4.9e-324",
            "1e-400",
            "1.7976931348623157e308",
            "0.000000000000000000000000000001",
            "8.5e-23",
            "00000000000000000000000000012.5",
            "1e-0000000000000000001",
            "179769313486231580793728971405301199e-300",
        ] {
            agrees(word);
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for word in ["", "+", "-", ".", "e5", "1e", "1e+", "abc", "-x", "--1"] {
            assert_eq!(parse(word.as_bytes(), 0), Err(NumberFlaw::Malformed), "{word}");
        }
        for word in ["nan", "NaN", "-inf", "Infinity", "+INF"] {
            assert_eq!(parse(word.as_bytes(), 0), Err(NumberFlaw::NotFinite), "{word}");
        }
        for word in ["1e400", "-1e309", "1e99999999999999999999"] {
            assert_eq!(parse(word.as_bytes(), 0), Err(NumberFlaw::Overflow), "{word}");
        }
    }

    proptest! {
        #[test]
        fn every_double_survives_every_way_of_writing_it(bits: u64, places in 0usize..20) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            agrees(&format!("{value:e}"));
            agrees(&format!("{value:?}"));
            agrees(&format!("{value:.places$e}"));
        }

        #[test]
        fn short_decimals_round_as_the_standard_library(m in 0u64..u64::MAX, shift in 0u32..64, e in -30i32..30, cut in 0usize..20) {
            let digits = (m >> shift).to_string();
            let cut = cut.min(digits.len());
            agrees(&format!("{}.{}e{e}", &digits[..cut], &digits[cut..]));
        }
    }
}
