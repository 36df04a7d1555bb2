//! Matrix Market exchange format (Boisvert, Pozo, Remington, NISTIR 5935, 1996): reading and writing.

mod header;
mod write;

use std::path::Path;

use rayon::prelude::*;
use sprs::CsMatI;

pub use header::{Field, Symmetry};
pub use write::{write_dense, write_sparse};

use super::error::Flaw;
use super::text::{self, excerpt, line_end, skip_blanks, word_ends};
use super::{Dense, ReadError, Source, number};
use header::Header;

/// A matrix and what its header says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixMarket {
    /// The whole matrix: where the file holds one triangle, the other is filled in.
    pub matrix: Matrix,
    /// The symmetry that the header states.
    pub symmetry: Symmetry,
    /// The kind of entries that the header states.
    pub field: Field,
}

/// Storage of a matrix: by coordinates or in full.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// From `coordinate` files, in CSR, columns ascending, repeated coordinates added up in the file's order.
    Sparse(CsMatI<f64, u32>),
    /// From `array` files.
    Dense(Dense),
}

/// Reads a file, or standard input for `-`; compressed files as [`Source::open`] does.
///
/// # Errors
/// Those of [`Source::open`] and of [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<MatrixMarket, ReadError> {
    let source = Source::open(path)?;
    parse(source.bytes(), source.name())
}

/// Parses a Matrix Market matrix; `name` is used in messages.
///
/// Fields real, integer and pattern (entries 1), symmetries general, symmetric and skew-symmetric, storages coordinate
/// and array. A symmetric coordinate file may hold either triangle, but not both. Explicit zeros are kept.
///
/// Cost: one pass over the text, parallel over pieces that depend on the text alone, then a stable sort by rows; the
/// result has the same bits for every number of threads. The header's sizes are not trusted: memory is proportional to
/// the text, besides one row pointer per row, of which there may be 2^24 or 64 per entry, whichever is more.
///
/// # Errors
/// With line and column: a malformed header, complex or hermitian matrices, an entry that is no finite number or
/// outside the matrix, a nonzero on the diagonal of a skew-symmetric matrix, more or fewer entries than announced.
pub fn parse(text: &[u8], name: &str) -> Result<MatrixMarket, ReadError> {
    let (header, body) = Header::parse(text).map_err(|flaw| ReadError::at(name, text, flaw))?;
    let matrix = if header.coordinate {
        coordinates(text, body, &header).map(Matrix::Sparse)
    } else {
        array(text, body, &header).map(Matrix::Dense)
    };
    let matrix = matrix.map_err(|flaw| ReadError::at(name, text, flaw))?;
    Ok(MatrixMarket { matrix, symmetry: header.symmetry, field: header.field })
}

/// One stored entry, indices from 0.
#[derive(Clone, Copy)]
struct Entry {
    row: u32,
    column: u32,
    value: f64,
}

/// What one piece of the text holds.
#[derive(Default)]
struct Piece {
    entries: Vec<Entry>,
    /// Offset of the first entry strictly above, and strictly below, the diagonal.
    above: Option<usize>,
    below: Option<usize>,
}

fn coordinates(text: &[u8], body: usize, header: &Header) -> Result<CsMatI<f64, u32>, Flaw> {
    let pieces = text::chunks(text, body);
    let pieces: Vec<Result<Piece, Flaw>> =
        pieces.into_par_iter().map(|range| parse_entries(text, range.start, range.end, header)).collect();
    let pieces: Vec<Piece> = pieces.into_iter().collect::<Result<_, _>>()?;

    let count: usize = pieces.iter().map(|piece| piece.entries.len()).sum();
    if count != header.entries {
        let problem = format!("{count} entries where the header announces {}", header.entries);
        return Err(Flaw::new(header.size_line, problem, "as many entries as announced"));
    }
    if header.rows > (1 << 24) && header.rows / 64 > count {
        let problem = format!("{} rows for {count} entries", header.rows);
        return Err(Flaw::new(header.size_line, problem, "more than 2^24 rows need an entry per 64 rows"));
    }
    let mirrored = header.symmetry != Symmetry::General;
    if mirrored
        && pieces.iter().any(|piece| piece.below.is_some())
        && let Some(offset) = pieces.iter().find_map(|piece| piece.above)
    {
        let problem =
            format!("an entry above the diagonal of a {} matrix that has others below", header.symmetry);
        return Err(Flaw::new(offset, problem, "only the lower triangle is stored"));
    }
    let sign = if header.symmetry == Symmetry::SkewSymmetric { -1.0 } else { 1.0 };
    let stored = || pieces.iter().flat_map(|piece| &piece.entries).copied();
    let all = || {
        stored().flat_map(move |entry| {
            let twin = Entry { row: entry.column, column: entry.row, value: sign * entry.value };
            [Some(entry), (mirrored && entry.row != entry.column).then_some(twin)].into_iter().flatten()
        })
    };
    compress(header.rows, header.columns, all).ok_or_else(|| {
        Flaw::new(
            header.size_line,
            "too many entries",
            "fewer than 2^32 - 1 are supported, both triangles counted",
        )
    })
}

/// Sorts entries into CSR and adds up repeated ones in their order. Cost: two passes over the entries, then a sort of
/// each row that isn't ascending yet.
fn compress<I: Iterator<Item = Entry>>(
    rows: usize,
    columns: usize,
    entries: impl Fn() -> I,
) -> Option<CsMatI<f64, u32>> {
    let mut next = vec![0u32; rows + 1];
    let mut count = 0u32;
    for entry in entries() {
        count = count.checked_add(1).filter(|&count| count < u32::MAX)?;
        next[entry.row as usize + 1] += 1;
    }
    for row in 0..rows {
        next[row + 1] += next[row];
    }
    // next[row] is where the next entry of the row goes; afterwards it is where the row ends.
    let mut indices = vec![0u32; count as usize];
    let mut values = vec![0.0; count as usize];
    for entry in entries() {
        let slot = &mut next[entry.row as usize];
        indices[*slot as usize] = entry.column;
        values[*slot as usize] = entry.value;
        *slot += 1;
    }
    let mut row_starts = vec![0u32; rows + 1];
    let (mut start, mut kept) = (0, 0);
    let mut sorted: Vec<(u32, f64)> = Vec::new();
    for row in 0..rows {
        let end = next[row] as usize;
        sorted.clear();
        sorted.extend(indices[start..end].iter().copied().zip(values[start..end].iter().copied()));
        if !sorted.is_sorted_by_key(|&(column, _)| column) {
            sorted.sort_by_key(|&(column, _)| column);
        }
        let first = kept;
        for &(column, value) in &sorted {
            if kept > first && indices[kept - 1] == column {
                values[kept - 1] += value;
            } else {
                indices[kept] = column;
                values[kept] = value;
                kept += 1;
            }
        }
        row_starts[row + 1] = kept as u32;
        start = end;
    }
    indices.truncate(kept);
    values.truncate(kept);
    CsMatI::try_new((rows, columns), row_starts, indices, values).ok()
}

fn parse_entries(text: &[u8], start: usize, end: usize, header: &Header) -> Result<Piece, Flaw> {
    let text = &text[..end];
    let mut piece = Piece::default();
    piece.entries.reserve_exact(text::count(&text[start..], b'\n') + 1);
    let mut at = start;
    while let Some(entry_start) = next_word(text, at) {
        let (row, behind) = parse_index(text, entry_start, header.rows, "row")?;
        let (column, behind) = parse_index(text, skip_blanks(text, behind), header.columns, "column")?;
        let mut value = 1.0;
        at = behind;
        if header.field != Field::Pattern {
            (value, at) = parse_value(text, skip_blanks(text, behind), header.field)?;
        }
        at = skip_blanks(text, at);
        if !matches!(text.get(at), None | Some(b'\n')) {
            let problem = format!("{} behind an entry", excerpt(text, at));
            return Err(Flaw::new(
                at,
                problem,
                "one entry a line, `row column value`, or `row column` for patterns",
            ));
        }
        if row > column {
            piece.below = piece.below.or(Some(entry_start));
        } else if row < column {
            piece.above = piece.above.or(Some(entry_start));
        } else if header.symmetry == Symmetry::SkewSymmetric && value != 0.0 {
            let problem = "a nonzero on the diagonal of a skew-symmetric matrix";
            return Err(Flaw::new(entry_start, problem, "its diagonal is zero"));
        }
        piece.entries.push(Entry { row, column, value });
    }
    Ok(piece)
}

fn array(text: &[u8], body: usize, header: &Header) -> Result<Dense, Flaw> {
    let (rows, columns) = (header.rows, header.columns);
    // The first stored row of column j.
    let first = |j: usize| match header.symmetry {
        Symmetry::General => 0,
        Symmetry::Symmetric => j,
        Symmetry::SkewSymmetric => j + 1,
    };
    // Every entry takes a digit and a line end (the last may lack it).
    let possible = (text.len() - body).div_ceil(2);
    if header.entries > possible {
        let problem = format!("{} entries announced, at most {possible} in the file", header.entries);
        return Err(Flaw::new(header.size_line, problem, "as many entries as announced"));
    }
    let sign = if header.symmetry == Symmetry::SkewSymmetric { -1.0 } else { 1.0 };
    let mut values = vec![0.0; rows * columns];
    let mut at = body;
    let mut count = 0;
    for j in 0..columns {
        for i in first(j)..rows {
            let Some(start) = next_word(text, at) else {
                let problem = format!("{count} entries where the header announces {}", header.entries);
                return Err(Flaw::new(text.len(), problem, "as many entries as announced"));
            };
            let value;
            (value, at) = parse_value(text, start, header.field)?;
            count += 1;
            values[i + j * rows] = value;
            if header.symmetry != Symmetry::General && i != j {
                values[j + i * rows] = sign * value;
            }
        }
    }
    match next_word(text, at) {
        Some(extra) => {
            let problem = format!("{} behind the last of {} entries", excerpt(text, extra), header.entries);
            Err(Flaw::new(extra, problem, "as many entries as announced"))
        }
        None => Ok(Dense { rows, columns, values }),
    }
}

/// Offset of the next word at or after `at`, comment lines skipped.
fn next_word(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = skip_blanks(text, at);
        match text.get(at)? {
            b'\n' => at += 1,
            b'%' => at = line_end(text, at),
            _ => return Some(at),
        }
    }
}

/// An index from 1 to `size`; returns it counted from 0, and the offset behind it.
fn parse_index(text: &[u8], at: usize, size: usize, kind: &str) -> Result<(u32, usize), Flaw> {
    let (index, behind) = header::parse_size(text, at)?;
    if index == 0 || index > size {
        let problem = format!("{kind} {index} of a matrix with {size} {kind}s");
        return Err(Flaw::new(at, problem, "indices run from 1 to the size"));
    }
    Ok(((index - 1) as u32, behind))
}

fn parse_value(text: &[u8], at: usize, field: Field) -> Result<(f64, usize), Flaw> {
    if matches!(text.get(at), None | Some(b'\n')) {
        return Err(Flaw::new(at, "the entry has no value", "a number is expected"));
    }
    let (value, behind) = number::parse(text, at).map_err(|flaw| flaw.at(text, at))?;
    if !word_ends(text, behind) {
        return Err(number::NumberFlaw::Malformed.at(text, at));
    }
    if field == Field::Integer && value.fract() != 0.0 {
        let problem = format!("{} in a matrix of integers", excerpt(text, at));
        return Err(Flaw::new(at, problem, "an integer is expected"));
    }
    Ok((value, behind))
}
