//! NumPy `.npy` arrays of one or two dimensions.
//!
//! A file is the magic `\x93NUMPY`, a version, the length of the header, the header (a Python dictionary literal with
//! the keys `descr`, `fortran_order`, `shape`), and the entries without padding.

use std::io::{self, Write};
use std::path::Path;

use super::{Dense, ReadError, Source};

/// How NumPy arrays are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keep NaN and infinities instead of refusing them.
    pub allow_non_finite: bool,
}

/// Reads a file, or standard input for `-`; compressed files as [`Source::open`] does.
///
/// # Errors
/// Those of [`Source::open`] and of [`parse`].
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Dense, ReadError> {
    let source = Source::open(path)?;
    parse(source.bytes(), source.name(), options)
}

/// Parses an array of booleans, integers of 1 to 8 bytes or floats of 4 or 8 bytes, of either byte order, in C or
/// Fortran order. An array of one dimension becomes one column, one of none a 1 x 1 matrix. Integers beyond 2^53 are
/// rounded to the nearest double.
///
/// # Errors
/// No `.npy` file, a malformed header, another type or more dimensions, fewer or more bytes than the shape says, NaN
/// or infinities unless [`Options::allow_non_finite`].
pub fn parse(bytes: &[u8], name: &str, options: &Options) -> Result<Dense, ReadError> {
    let fail = |problem: String, expected: &str| ReadError::whole(name, problem, expected);
    let (text, data) =
        split(bytes).map_err(|problem| fail(problem.into(), "a NumPy .npy file is expected"))?;
    let header = Header::parse(text)
        .map_err(|problem| fail(problem, "a header with 'descr', 'fortran_order' and 'shape' is expected"))?;
    let (decode, size) = decoder(&header.descr).ok_or_else(|| {
        fail(
            format!("entries of type '{}'", header.descr.escape_debug()),
            "floats of 4 or 8 bytes, integers and booleans are supported",
        )
    })?;
    let (rows, columns) = match header.shape[..] {
        [] => (1, 1),
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        _ => return Err(fail(format!("{} dimensions", header.shape.len()), "one or two are supported")),
    };
    let expected = rows.checked_mul(columns).and_then(|count| count.checked_mul(size));
    if expected != Some(data.len()) {
        let problem =
            format!("{} bytes of entries for shape {:?} of '{}'", data.len(), header.shape, header.descr);
        return Err(fail(problem, "rows x columns x bytes of an entry are expected"));
    }
    if rows == 0 || columns == 0 {
        return Err(fail(format!("an array of shape {:?}", header.shape), "at least one entry is expected"));
    }
    let values: Vec<f64> = data.chunks_exact(size).map(decode).collect();
    if !options.allow_non_finite
        && let Some(k) = values.iter().position(|value| !value.is_finite())
    {
        let (i, j) = if header.fortran_order { (k % rows, k / rows) } else { (k / columns, k % columns) };
        return Err(fail(
            format!("entry ({i}, {j}), counted from 0, is {}", values[k]),
            "finite entries are expected",
        ));
    }
    // One column or row has the same order either way.
    if header.fortran_order || rows == 1 || columns == 1 {
        return Ok(Dense { rows, columns, values });
    }
    Ok(Dense::from_row_major(rows, columns, &values))
}

/// Writes a matrix as float64, little endian, Fortran order, version 1.0; one column becomes an array of one
/// dimension.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut impl Write, matrix: &Dense) -> io::Result<()> {
    let shape = match matrix.columns {
        1 => format!("({},)", matrix.rows),
        columns => format!("({}, {columns})", matrix.rows),
    };
    let mut header = format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}");
    // The entries start at a multiple of 64 bytes; 10 bytes stand before the header, a newline ends it.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    // Two shape numbers of at most 20 digits: the header stays below 65536 bytes.
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for value in &matrix.values {
        out.write_all(&value.to_le_bytes())?;
    }
    Ok(())
}

/// The header's text and the entries.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("the file does not start with \\x93NUMPY")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err("the version is none of 1, 2 and 3, or the file is truncated"),
    };
    rest.split_at_checked(length).ok_or("the header runs over the end of the file")
}

struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }`, keys in any order.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "the header is no text")?;
        let mut rest = Cursor(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.expect('{')?;
        while !rest.accept('}') {
            let key = rest.string()?;
            rest.expect(':')?;
            match key {
                "descr" => descr = Some(rest.string()?.to_string()),
                "fortran_order" => fortran_order = Some(rest.boolean()?),
                "shape" => shape = Some(rest.tuple()?),
                other => return Err(format!("unknown key '{}' in the header", other.escape_debug())),
            }
            if !rest.accept(',') {
                rest.expect('}')?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self { descr, fortran_order, shape }),
            _ => Err("the header lacks a key".into()),
        }
    }
}

/// What is left of the header's text.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn accept(&mut self, symbol: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(symbol);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, symbol: char) -> Result<(), String> {
        if self.accept(symbol) { Ok(()) } else { Err(self.flaw(&format!("'{symbol}'"))) }
    }

    fn flaw(&self, wanted: &str) -> String {
        let found: String = self.0.trim_start().chars().take(16).collect();
        format!("the header has '{}' in place of {wanted}", found.escape_debug())
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.accept('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (word, rest) = self.0.split_once(quote).ok_or_else(|| self.flaw("a quoted word"))?;
        self.0 = rest;
        Ok(word)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.trim_start().strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(self.flaw("True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let mut sizes = Vec::new();
        while !self.accept(')') {
            let text = self.0.trim_start();
            let length = text.bytes().take_while(u8::is_ascii_digit).count();
            sizes.push(text[..length].parse().map_err(|_| self.flaw("a size"))?);
            // Python 2 wrote long integers with an L.
            self.0 = text[length..].trim_start_matches('L');
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }
}

/// The bytes of one entry as a double.
type Decode = fn(&[u8]) -> f64;

/// How to turn the bytes of an entry into a double, and how many there are.
fn decoder(descr: &str) -> Option<(Decode, usize)> {
    /// Bytes in little-endian order, zero-extended.
    fn little(b: &[u8]) -> u64 {
        b.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }
    fn big(b: &[u8]) -> u64 {
        b.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }
    let native_is_big = cfg!(target_endian = "big");
    let (order, kind) = descr.split_at_checked(1)?;
    let big_endian = match order {
        "<" | "|" => false,
        ">" => true,
        "=" => native_is_big,
        _ => return None,
    };
    Some(match (kind, big_endian) {
        ("f8", false) => (|b| f64::from_bits(little(b)), 8),
        ("f8", true) => (|b| f64::from_bits(big(b)), 8),
        ("f4", false) => (|b| f64::from(f32::from_bits(little(b) as u32)), 4),
        ("f4", true) => (|b| f64::from(f32::from_bits(big(b) as u32)), 4),
        ("i8", false) => (|b| little(b) as i64 as f64, 8),
        ("i8", true) => (|b| big(b) as i64 as f64, 8),
        ("i4", false) => (|b| f64::from(little(b) as i32), 4),
        ("i4", true) => (|b| f64::from(big(b) as i32), 4),
        ("i2", false) => (|b| f64::from(little(b) as i16), 2),
        ("i2", true) => (|b| f64::from(big(b) as i16), 2),
        ("i1", _) => (|b| f64::from(little(b) as i8), 1),
        ("u8", false) => (|b| little(b) as f64, 8),
        ("u8", true) => (|b| big(b) as f64, 8),
        ("u4", false) => (|b| little(b) as f64, 4),
        ("u4", true) => (|b| big(b) as f64, 4),
        ("u2", false) => (|b| little(b) as f64, 2),
        ("u2", true) => (|b| big(b) as f64, 2),
        ("u1", _) => (|b| little(b) as f64, 1),
        ("b1", _) => (|b| f64::from(u8::from(little(b) != 0)), 1),
        _ => return None,
    })
}
