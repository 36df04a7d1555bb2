//! The banner, `%%MatrixMarket matrix coordinate real general`, and the line of sizes.

use std::fmt;

use super::super::error::Flaw;
use super::super::libsvm::MAX_FEATURES;
use super::super::text::{self, excerpt, line_end, skip_blanks, word_ends};
use super::next_word;

/// The kind of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Decimal numbers.
    Real,
    /// Integers.
    Integer,
    /// Positions only; every entry is 1.
    Pattern,
}

/// The symmetry that a header states. For all but `General` the file holds one triangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// None stated.
    General,
    /// A = A'.
    Symmetric,
    /// A = -A'.
    SkewSymmetric,
}

impl fmt::Display for Symmetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Symmetry::General => "general",
            Symmetry::Symmetric => "symmetric",
            Symmetry::SkewSymmetric => "skew-symmetric",
        })
    }
}

pub(super) struct Header {
    pub(super) coordinate: bool,
    pub(super) field: Field,
    pub(super) symmetry: Symmetry,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Entries that the file stores, according to the header.
    pub(super) entries: usize,
    /// Offset of the line of sizes.
    pub(super) size_line: usize,
}

const BANNER: &str = "the first line reads `%%MatrixMarket matrix coordinate real general` or alike";

impl Header {
    /// The header, and the offset behind it.
    pub(super) fn parse(text: &[u8]) -> Result<(Self, usize), Flaw> {
        let start = text::start(text);
        let banner_end = line_end(text, start);
        let mut words = Words { text: &text[..banner_end], at: start };
        words.one_of(&[("%%matrixmarket", ())], BANNER)?;
        words.one_of(&[("matrix", ())], "only the object `matrix` is supported")?;
        let coordinate = words
            .one_of(&[("coordinate", true), ("array", false)], "the storage is `coordinate` or `array`")?;
        let field = words.one_of(
            &[
                ("real", Field::Real),
                ("double", Field::Real),
                ("integer", Field::Integer),
                ("pattern", Field::Pattern),
            ],
            "the field is `real`, `integer` or `pattern`; complex matrices are not supported",
        )?;
        let symmetry_at = skip_blanks(words.text, words.at);
        let symmetry = words.one_of(
            &[
                ("general", Symmetry::General),
                ("symmetric", Symmetry::Symmetric),
                ("skew-symmetric", Symmetry::SkewSymmetric),
            ],
            "the symmetry is `general`, `symmetric` or `skew-symmetric`; hermitian matrices are not supported",
        )?;
        let extra = skip_blanks(words.text, words.at);
        if extra < banner_end {
            return Err(Flaw::new(extra, format!("{} behind the banner", excerpt(text, extra)), BANNER));
        }
        if field == Field::Pattern && !coordinate {
            return Err(Flaw::new(start, "a pattern in array storage", "patterns have coordinate storage"));
        }
        if field == Field::Pattern && symmetry == Symmetry::SkewSymmetric {
            return Err(Flaw::new(
                symmetry_at,
                "a skew-symmetric pattern",
                "patterns are general or symmetric",
            ));
        }

        let end_of_text =
            || Flaw::new(text.len(), "the text ends before the sizes", "a line of sizes is expected");
        let size_line = next_word(text, banner_end).ok_or_else(end_of_text)?;
        let (rows, at) = parse_size(text, size_line)?;
        let (columns, mut at) = parse_size(text, skip_blanks(text, at))?;
        let mut entries = stored_entries(rows, columns, symmetry).unwrap_or(usize::MAX);
        if coordinate {
            (entries, at) = parse_size(text, skip_blanks(text, at))?;
        }
        at = skip_blanks(text, at);
        if !matches!(text.get(at), None | Some(b'\n')) {
            let expected = "sizes are `rows columns entries` for coordinates, `rows columns` for arrays";
            return Err(Flaw::new(at, format!("{} behind the sizes", excerpt(text, at)), expected));
        }
        let flaw = |problem: String, expected| Err(Flaw::new(size_line, problem, expected));
        if rows == 0 || columns == 0 {
            return flaw(
                format!("a matrix of {rows} x {columns}"),
                "at least one row and column are expected",
            );
        }
        if rows.max(columns) > MAX_FEATURES {
            return flaw(format!("a matrix of {rows} x {columns}"), "sizes go up to 4294967294");
        }
        if symmetry != Symmetry::General && rows != columns {
            return flaw(format!("a {symmetry} matrix of {rows} x {columns}"), "such a matrix is square");
        }
        Ok((Self { coordinate, field, symmetry, rows, columns, entries, size_line }, at))
    }
}

/// Entries of a matrix in array storage.
fn stored_entries(rows: usize, columns: usize, symmetry: Symmetry) -> Option<usize> {
    let square = rows.checked_mul(columns)?;
    Some(match symmetry {
        Symmetry::General => square,
        Symmetry::Symmetric => (square - rows.min(square)) / 2 + rows,
        Symmetry::SkewSymmetric => (square - rows.min(square)) / 2,
    })
}

/// The non-negative integer at `at`, and the offset behind it.
pub(super) fn parse_size(text: &[u8], at: usize) -> Result<(usize, usize), Flaw> {
    let mut value = 0usize;
    let mut end = at;
    while let Some(digit) = text.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9) {
        value = value.saturating_mul(10).saturating_add(usize::from(digit));
        end += 1;
    }
    if end == at || !word_ends(text, end) {
        let problem = format!("{} is no size or index", excerpt(text, at));
        return Err(Flaw::new(at, problem, "a positive integer is expected"));
    }
    Ok((value, end))
}

/// The words of the banner.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// The meaning of the next word, in any case, if it is one of those known.
    fn one_of<T: Copy>(&mut self, known: &[(&str, T)], expected: &'static str) -> Result<T, Flaw> {
        let start = skip_blanks(self.text, self.at);
        let end = (start..self.text.len()).find(|&at| word_ends(self.text, at)).unwrap_or(self.text.len());
        let word = &self.text[start..end];
        self.at = end;
        match known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())) {
            Some(&(_, meaning)) => Ok(meaning),
            None => Err(Flaw::new(start, format!("{} in the banner", excerpt(self.text, start)), expected)),
        }
    }
}
