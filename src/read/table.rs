//! Plain tables of numbers: one row a line, separated by commas, semicolons, tabs or blanks.

use std::path::Path;

use super::error::Flaw;
use super::text::{self, excerpt, line_end, skip_blanks};
use super::{Dense, ReadError, Source, number};

/// Reads a file, or standard input for `-`; compressed files as [`Source::open`] does.
///
/// # Errors
/// Those of [`Source::open`] and of [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<Dense, ReadError> {
    let source = Source::open(path)?;
    parse(source.bytes(), source.name())
}

/// Parses a table of numbers; `name` is used in messages.
///
/// Between two numbers stands one comma or semicolon with blanks around it, or blanks alone. Blank lines and lines
/// that start with `#` or `%` are skipped. The first other line may hold column names: it is skipped if its first word
/// is no number.
///
/// # Errors
/// With line and column: a word that is no finite number, a row with more or fewer numbers than the first. Without
/// position: no numbers at all.
pub fn parse(text: &[u8], name: &str) -> Result<Dense, ReadError> {
    let (rows, columns, by_row) = parse_rows(text).map_err(|flaw| ReadError::at(name, text, flaw))?;
    if rows == 0 {
        return Err(ReadError::whole(name, "no row of numbers", "a table of numbers is expected"));
    }
    Ok(Dense::from_row_major(rows, columns, &by_row))
}

/// Number of rows, number of columns, and the numbers row by row.
fn parse_rows(text: &[u8]) -> Result<(usize, usize, Vec<f64>), Flaw> {
    let mut by_row = Vec::new();
    let (mut rows, mut columns) = (0, 0);
    let mut header_allowed = true;
    let mut start = text::start(text);
    while start < text.len() {
        let end = line_end(text, start);
        let line = &text[..end];
        let mut at = skip_blanks(line, start);
        start = end + 1;
        if matches!(line.get(at), None | Some(b'#' | b'%')) {
            continue;
        }
        if std::mem::take(&mut header_allowed)
            && number::parse(line, at) == Err(number::NumberFlaw::Malformed)
        {
            continue;
        }
        let first = by_row.len();
        loop {
            // a message shows the field, not what stands behind it
            let field_end = (at..line.len()).find(|&k| matches!(line[k], b',' | b';')).unwrap_or(line.len());
            let field = &line[..field_end];
            let (value, behind) = number::parse(line, at).map_err(|flaw| flaw.at(field, at))?;
            if rows > 0 && by_row.len() - first == columns {
                let problem = format!("more than {columns} numbers in a row");
                return Err(Flaw::new(at, problem, "every row has as many as the first"));
            }
            by_row.push(value);
            let next = skip_blanks(line, behind);
            at = match line.get(next) {
                None => break,
                Some(b',' | b';') => skip_blanks(line, next + 1),
                Some(_) if next > behind => next,
                Some(_) => return Err(number::NumberFlaw::Malformed.at(field, at)),
            };
        }
        if rows == 0 {
            columns = by_row.len();
        } else if by_row.len() - first < columns {
            let problem = format!(
                "{} numbers in a row of {columns}, then {}",
                by_row.len() - first,
                excerpt(line, end)
            );
            return Err(Flaw::new(end, problem, "every row has as many as the first"));
        }
        rows += 1;
    }
    Ok((rows, columns, by_row))
}
