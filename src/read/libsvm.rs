//! LIBSVM text: one row a line, `label index:value index:value ...`, indices from 1, ascending.

use std::path::Path;

use rayon::prelude::*;
use sprs::CsMatI;

use super::error::Flaw;
use super::text::{self, excerpt, line_end, skip_blanks, word_ends};
use super::{ReadError, Source, number};

/// The largest feature index, and number of columns: 2^32 - 2, so that every column fits the index type.
pub const MAX_FEATURES: usize = u32::MAX as usize - 1;

/// How LIBSVM text is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Number of columns of the matrix. By default the largest index in the file; give it for a test file, which may
    /// lack the last features. A larger index is then an error.
    pub features: Option<usize>,
}

/// A data matrix and one label for each of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledData {
    /// Rows x features, in CSR. Zeros that the text writes out are stored entries.
    pub matrix: CsMatI<f64, u32>,
    /// Labels or targets as written: +1 and -1, class numbers, real targets.
    pub labels: Vec<f64>,
}

/// Reads a file, or standard input for `-`; compressed files as [`Source::open`] does.
///
/// # Errors
/// Those of [`Source::open`] and of [`parse`].
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<LabelledData, ReadError> {
    let source = Source::open(path)?;
    parse(source.bytes(), source.name(), options)
}

/// Parses LIBSVM text; `name` is used in messages.
///
/// Accepted besides the plain form: blank lines, comments from `#` to the end of the line, tabs, several blanks,
/// Windows line ends, no newline at the end, a byte-order mark, explicit zeros (kept), `qid:n` after the label
/// (ignored), rows without features.
///
/// Cost: two passes over the text, both parallel over pieces that depend on the text alone; the result has the same
/// bits for every number of threads. Memory beyond the result: nothing proportional to the data, unless comments
/// hold colons.
///
/// # Errors
/// With line and column of the first flaw: no label, several labels, an index that is 0, negative, above
/// [`MAX_FEATURES`] or [`Options::features`], repeated or descending, a feature without a value, a number that is
/// malformed, NaN, infinite or beyond the range of a double. Without a position: no rows, no feature in any row.
pub fn parse(text: &[u8], name: &str, options: &Options) -> Result<LabelledData, ReadError> {
    let largest = options.features.unwrap_or(MAX_FEATURES);
    if largest > MAX_FEATURES {
        let problem = format!("{largest} features were asked for");
        return Err(ReadError::whole(name, problem, format!("at most {MAX_FEATURES} are possible")));
    }
    let pieces = text::chunks(text, text::start(text));
    // Every feature has a colon, every row a line: upper bounds that are exact in nearly all files.
    let bounds: Vec<Extent> = pieces
        .par_iter()
        .map(|piece| {
            let piece = &text[piece.clone()];
            Extent { rows: text::count(piece, b'\n') + 1, entries: text::count(piece, b':'), largest: 0 }
        })
        .collect();
    let mut rows = bounds.iter().map(|bound| bound.rows).sum();
    let mut entries = bounds.iter().map(|bound| bound.entries).sum();
    if entries >= u32::MAX as usize || rows >= u32::MAX as usize {
        let problem = format!("about {rows} rows and {entries} entries");
        return Err(ReadError::whole(name, problem, "fewer than 2^32 - 1 of each are supported"));
    }

    let mut labels = vec![0.0; rows];
    // Entry 0 stays 0; entry i + 1 is the number of features of row i until they are summed.
    let mut row_starts = vec![0u32; rows + 1];
    let mut indices = vec![0u32; entries];
    let mut values = vec![0.0; entries];
    let mut rest = Rows {
        labels: &mut labels,
        lengths: &mut row_starts[1..],
        indices: &mut indices,
        values: &mut values,
    };
    let mut jobs = Vec::with_capacity(pieces.len());
    for (piece, bound) in pieces.iter().zip(&bounds) {
        let (front, back) = rest.split(bound);
        jobs.push((piece.clone(), front));
        rest = back;
    }
    let used: Vec<Result<Extent, Flaw>> = jobs
        .into_par_iter()
        .map(|(piece, rows)| parse_rows(text, piece.start, piece.end, largest, rows))
        .collect();
    let used: Vec<Extent> =
        used.into_iter().collect::<Result<_, _>>().map_err(|flaw| ReadError::at(name, text, flaw))?;

    close_gaps(&mut labels, 0, &bounds, &used, |extent| extent.rows);
    close_gaps(&mut row_starts, 1, &bounds, &used, |extent| extent.rows);
    close_gaps(&mut indices, 0, &bounds, &used, |extent| extent.entries);
    close_gaps(&mut values, 0, &bounds, &used, |extent| extent.entries);
    (rows, entries) = (labels.len(), indices.len());
    for row in 0..rows {
        row_starts[row + 1] += row_starts[row];
    }
    let largest = used.iter().map(|extent| extent.largest).max().unwrap_or(0);
    if rows == 0 {
        return Err(ReadError::whole(name, "no rows", "lines `label index:value ...` are expected"));
    }
    if entries == 0 && options.features.is_none() {
        let problem = format!("none of the {rows} rows has a feature");
        return Err(ReadError::whole(name, problem, "lines `label index:value ...` are expected"));
    }
    let shape = (rows, options.features.unwrap_or(largest));
    let matrix = CsMatI::try_new(shape, row_starts, indices, values).map_err(|(_, _, _, e)| {
        ReadError::whole(name, format!("inconsistent rows ({e})"), "ascending indices")
    })?;
    Ok(LabelledData { matrix, labels })
}

/// How much of the output a piece of the text may use, or has used.
#[derive(Clone, Copy)]
struct Extent {
    rows: usize,
    entries: usize,
    /// The largest feature index.
    largest: usize,
}

/// The part of the output that one piece of the text writes.
struct Rows<'a> {
    labels: &'a mut [f64],
    /// Features of each row.
    lengths: &'a mut [u32],
    indices: &'a mut [u32],
    values: &'a mut [f64],
}

impl<'a> Rows<'a> {
    fn split(self, front: &Extent) -> (Rows<'a>, Rows<'a>) {
        let (labels, more_labels) = self.labels.split_at_mut(front.rows);
        let (lengths, more_lengths) = self.lengths.split_at_mut(front.rows);
        let (indices, more_indices) = self.indices.split_at_mut(front.entries);
        let (values, more_values) = self.values.split_at_mut(front.entries);
        (
            Rows { labels, lengths, indices, values },
            Rows { labels: more_labels, lengths: more_lengths, indices: more_indices, values: more_values },
        )
    }
}

/// Moves the used parts of an array together. Part i starts behind `skip` and the bounds of the parts before it.
fn close_gaps<T: Copy>(
    array: &mut Vec<T>,
    skip: usize,
    bounds: &[Extent],
    used: &[Extent],
    size: impl Fn(&Extent) -> usize,
) {
    let (mut from, mut to) = (skip, skip);
    for (bound, used) in bounds.iter().zip(used) {
        if from != to {
            array.copy_within(from..from + size(used), to);
        }
        from += size(bound);
        to += size(used);
    }
    array.truncate(to);
    // A handful of unused slots (a line bound is one too high per piece) is not worth a move.
    if array.capacity() - to > to / 8 {
        array.shrink_to_fit();
    }
}

/// Parses the lines of `text[start..end]`. Offsets of flaws are those of the whole text.
fn parse_rows(text: &[u8], start: usize, end: usize, largest: usize, out: Rows) -> Result<Extent, Flaw> {
    let text = &text[..end];
    let Rows { labels, lengths, indices, values } = out;
    let (mut rows, mut entries, mut largest_seen) = (0, 0, 0);
    let mut at = start;
    loop {
        at = skip_blanks(text, at);
        match text.get(at) {
            None => return Ok(Extent { rows, entries, largest: largest_seen }),
            Some(b'\n') => {
                at += 1;
                continue;
            }
            Some(b'#') => {
                at = line_end(text, at);
                continue;
            }
            Some(_) => {}
        }
        let label;
        (label, at) = parse_label(text, at)?;
        let first = entries;
        let mut previous = 0;
        loop {
            at = skip_blanks(text, at);
            match text.get(at) {
                None | Some(b'\n') => break,
                Some(b'#') => {
                    at = line_end(text, at);
                    break;
                }
                Some(_) => {}
            }
            let index;
            (index, at) = parse_index(text, at, previous, largest)?;
            let value_start = at;
            let value;
            (value, at) = match number::parse(text, at) {
                Ok(parsed) => parsed,
                Err(flaw) if !word_ends(text, at) => return Err(flaw.at(text, value_start)),
                Err(_) => return Err(no_value(index, value_start)),
            };
            if !word_ends(text, at) && text[at] != b'#' {
                return Err(number::NumberFlaw::Malformed.at(text, value_start));
            }
            // Each feature has consumed one of the colons that were counted, so there is room.
            indices[entries] = (index - 1) as u32;
            values[entries] = value;
            entries += 1;
            previous = index;
        }
        labels[rows] = label;
        lengths[rows] = (entries - first) as u32;
        rows += 1;
        largest_seen = largest_seen.max(previous);
    }
}

/// The label at `at`, and the offset behind it and behind a `qid:n` that follows.
#[inline]
fn parse_label(text: &[u8], at: usize) -> Result<(f64, usize), Flaw> {
    let (label, end) = number::parse(text, at).map_err(|flaw| flaw.at(text, at))?;
    match text.get(end) {
        _ if word_ends(text, end) => {}
        Some(b'#') => return Ok((label, end)),
        Some(b',') => {
            let problem = format!("{} has several labels", excerpt(text, at));
            return Err(Flaw::new(at, problem, "each row has one label; multi-label data are not supported"));
        }
        Some(b':') => {
            let problem = format!("the line starts with the feature {}", excerpt(text, at));
            return Err(Flaw::new(at, problem, "each line starts with a label"));
        }
        _ => return Err(number::NumberFlaw::Malformed.at(text, at)),
    }
    let query = skip_blanks(text, end);
    if !text[query..].starts_with(b"qid:") {
        return Ok((label, query));
    }
    let mut end = query + 4;
    while text.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end == query + 4 || !word_ends(text, end) {
        let problem = format!("{} is no query number", excerpt(text, query));
        return Err(Flaw::new(query, problem, "`qid:` is followed by digits"));
    }
    Ok((label, end))
}

/// The index at `at`, which must exceed `previous`, and the offset behind its colon.
#[inline]
fn parse_index(text: &[u8], at: usize, previous: usize, largest: usize) -> Result<(usize, usize), Flaw> {
    let mut index = 0usize;
    let mut end = at;
    while let Some(byte) = text.get(end) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Far above every allowed index the value no longer matters.
        index = if index > MAX_FEATURES { index } else { 10 * index + usize::from(digit) };
        end += 1;
    }
    if end > at && index > previous && index <= largest && text.get(end) == Some(&b':') {
        return Ok((index, end + 1));
    }
    Err(index_flaw(text, at, end, index, previous, largest))
}

#[cold]
fn index_flaw(text: &[u8], at: usize, end: usize, index: usize, previous: usize, largest: usize) -> Flaw {
    let word = excerpt(text, at);
    if text[at] == b'-' && text.get(at + 1).is_some_and(u8::is_ascii_digit) {
        return Flaw::new(at, format!("negative feature index in {word}"), "indices start at 1");
    }
    if end == at || text.get(end) != Some(&b':') {
        return Flaw::new(at, format!("{word} is no feature"), "features have the form index:value");
    }
    let digits = String::from_utf8_lossy(&text[at..end.min(at + 24)]);
    if index == 0 {
        Flaw::new(at, "feature index 0", "indices start at 1")
    } else if index > MAX_FEATURES {
        Flaw::new(at, format!("feature index {digits} is too large"), "indices go up to 4294967294")
    } else if index > largest {
        let problem = format!("feature index {index} where the data have {largest} features");
        Flaw::new(at, problem, "indices go up to the number of features")
    } else if index == previous {
        Flaw::new(at, format!("feature index {index} is repeated"), "indices ascend along a line")
    } else {
        Flaw::new(at, format!("feature index {index} follows {previous}"), "indices ascend along a line")
    }
}

#[cold]
fn no_value(index: usize, at: usize) -> Flaw {
    Flaw::new(at, format!("feature {index} has no value"), "a number is expected right after the colon")
}
