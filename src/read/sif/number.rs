//! The numbers of data cards, and the digits that the reference decoder keeps of them.

use super::super::number;
use super::error::SifErrorKind;
use super::names::latin1;

/// Widest number that is looked at.
const WIDTH: usize = 41;

/// A real number: blanks anywhere, exponent letters E and D in either case, or a signed exponent without letter.
/// None for a blank field.
pub(super) fn real(field: &[u8]) -> Result<Option<f64>, SifErrorKind> {
    let mut word = [0u8; WIDTH + 1];
    let mut length = 0;
    for &byte in field.iter().take(WIDTH).filter(|&&byte| byte != b' ') {
        let byte = if matches!(byte, b'D' | b'd' | b'E') { b'e' } else { byte };
        let bare_exponent = matches!(byte, b'+' | b'-')
            && length > 0
            && word[length - 1] != b'e'
            && !word[..length].contains(&b'e');
        if bare_exponent {
            word[length] = b'e';
            length += 1;
        }
        word[length] = byte;
        length += 1;
    }
    if length == 0 {
        return Ok(None);
    }
    match number::parse(&word[..length], 0) {
        Ok((value, end)) if end == length => Ok(Some(value)),
        _ => Err(SifErrorKind::BadNumber(latin1(field.trim_ascii()))),
    }
}

/// An integer with blanks anywhere; 0 for a blank field.
pub(super) fn integer(field: &[u8]) -> Result<i64, SifErrorKind> {
    let bad = || SifErrorKind::BadInteger(latin1(field.trim_ascii()));
    let word: Vec<u8> = field.iter().copied().filter(|&byte| byte != b' ').collect();
    if word.is_empty() {
        return Ok(0);
    }
    let value: i64 = std::str::from_utf8(&word).ok().and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    within_range(value)
}

/// Largest integer of the language here: every one up to it is exact as a real number too. The reference's have 32 bits and wrap
/// around silently, which some files do at their larger sizes (a b / b for the larger of a and b, in LUKVLE6).
const LARGEST_INTEGER: u64 = 1 << 53;

/// Refuses integers beyond that.
pub(super) fn within_range(value: i64) -> Result<i64, SifErrorKind> {
    if value.unsigned_abs() > LARGEST_INTEGER {
        return Err(SifErrorKind::IntegerOverflow(value.to_string()));
    }
    Ok(value)
}

/// Rounds to the eleven significant digits that the reference decoder writes.
///
/// Decimal formatting costs some 300 ns, so values seen lately are remembered.
#[derive(Debug)]
pub(super) struct ElevenDigits {
    seen: Vec<(u64, f64)>,
}

impl ElevenDigits {
    pub(super) fn new() -> Self {
        Self { seen: vec![(0, 0.0); 512] }
    }

    pub(super) fn round(&mut self, value: f64) -> f64 {
        // Such integers have no digit to lose.
        if value.abs() < 1e11 && value.fract() == 0.0 {
            return value;
        }
        let bits = value.to_bits();
        let place = &mut self.seen[(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize];
        if place.0 != bits {
            *place = (bits, format!("{value:.10e}").parse().unwrap_or(value));
        }
        place.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_real_field() {
        let cases = [
            ("1.5", 1.5),
            (" -1 . 5 D+ 2", -150.0),
            ("1.0-5", 1e-5),
            ("2E3", 2000.0),
            ("+.5d0", 0.5),
            ("7", 7.0),
            ("1.", 1.0),
            ("-1.0+2", -100.0),
        ];
        for (text, value) in cases {
            assert_eq!(real(text.as_bytes()), Ok(Some(value)), "{text}");
        }
        assert_eq!(real(b"     "), Ok(None));
        for text in ["x", "1.0.0", "1e", "1.0-5-5", "--1", "1e400", "nan", "+"] {
            assert!(matches!(real(text.as_bytes()), Err(SifErrorKind::BadNumber(_))), "{text}");
        }
    }

    #[test]
    fn integers_end_where_real_numbers_skip_some() {
        assert_eq!(integer(b" - 1 2 "), Ok(-12));
        assert_eq!(integer(b"   "), Ok(0));
        assert!(matches!(integer(b"1.0"), Err(SifErrorKind::BadInteger(_))));
        assert!(matches!(integer(b"10000000000000000"), Err(SifErrorKind::IntegerOverflow(_))));
    }

    #[test]
    fn eleven_digits_are_kept() {
        let mut digits = ElevenDigits::new();
        for (value, kept) in [
            (1.0 / 3.0, 0.33333333333),
            (-2e-7 / 3.0, -6.6666666667e-8),
            (0.1, 0.1),
            (123456789012.6, 123456789010.0),
        ] {
            assert_eq!(digits.round(value), kept);
            assert_eq!(digits.round(value), kept);
        }
    }
}
