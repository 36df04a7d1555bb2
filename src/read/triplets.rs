//! Triplets `row,column,value` with free string identifiers, such as ratings: CSV, TSV and alike.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use csv::ByteRecord;

use super::error::Flaw;
use super::text::{self, excerpt, line_end};
use super::{ReadError, Source, number};

/// How triplets are read. By default separator and header line are found in the text.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The byte between fields. By default a tab, semicolon, comma or blank: the first of these in the first line.
    pub separator: Option<u8>,
    /// Whether the first line names the columns. By default it does if its third field is no number.
    pub header: Option<bool>,
    /// Whether the value may be absent, as in a list of positions to predict; it is NaN then.
    pub optional_values: bool,
    /// Whether a fourth field is read as a weight.
    pub weights: bool,
}

/// Values of a matrix at positions that are named by strings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Triplets {
    /// Names of the rows.
    pub rows: Identifiers,
    /// Names of the columns.
    pub columns: Identifiers,
    /// Row, column and value, in the text's order. A position may occur more than once.
    pub entries: Vec<(u32, u32, f64)>,
    /// One weight an entry, if they were asked for.
    pub weights: Vec<f64>,
}

/// Strings numbered from 0 in order of their first appearance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identifiers {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Identifiers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a number, if there are so many.
    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number as usize).map(|name| &**name)
    }

    /// The number of a name, if it occurs.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// All names, by number.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The number of a name, new or known; none if u32 is exhausted.
    fn intern(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.number(name) {
            return Some(number);
        }
        let number = u32::try_from(self.names.len()).ok().filter(|&number| number < u32::MAX)?;
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        Some(number)
    }
}

/// Reads a file, or standard input for `-`; compressed files as [`Source::open`] does.
///
/// # Errors
/// Those of [`Source::open`] and of [`parse`].
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Triplets, ReadError> {
    let source = Source::open(path)?;
    parse(source.bytes(), source.name(), options)
}

/// Parses triplets; `name` is used in messages.
///
/// Fields may stand in double quotes, where a doubled quote means one; blanks around fields are dropped; fields
/// behind the third (such as a time) are ignored; blank lines are skipped.
///
/// # Errors
/// With line and column: fewer than three fields, an empty identifier, one that is no UTF-8 or runs over a line end
/// (a quote was not closed), a value that is no finite number. Without position: no triplet at all.
pub fn parse(text: &[u8], name: &str, options: &Options) -> Result<Triplets, ReadError> {
    let triplets = parse_records(text, options).map_err(|flaw| ReadError::at(name, text, flaw))?;
    if triplets.entries.is_empty() {
        return Err(ReadError::whole(name, "no triplet", "lines `row,column,value` are expected"));
    }
    Ok(triplets)
}

fn parse_records(text: &[u8], options: &Options) -> Result<Triplets, Flaw> {
    let start = text::start(text);
    let separator = options.separator.unwrap_or_else(|| detect_separator(&text[start..]));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(&text[start..]);
    let mut triplets = Triplets::default();
    let mut record = ByteRecord::new();
    let mut first = true;
    loop {
        let more = reader.read_byte_record(&mut record).map_err(|e| {
            let at = e.position().map_or(start, |position| start + position.byte() as usize);
            Flaw::new(at, format!("unreadable record ({e})"), "lines `row,column,value` are expected")
        })?;
        if !more {
            return Ok(triplets);
        }
        let place = Place {
            text,
            start: start + record.position().map_or(0, |position| position.byte() as usize),
            separator,
        };
        let is_first = std::mem::replace(&mut first, false);
        if is_first && options.header == Some(true) {
            continue;
        }
        let (needed, expected) = match (options.optional_values, options.weights) {
            (true, false) => (2, "each line has `row` and `column`, or `row`, `column` and `value`"),
            (false, false) => (3, "each line has `row`, `column` and `value`"),
            (_, true) => (4, "each line has `row`, `column`, `value` and `weight`"),
        };
        if record.len() < needed {
            return Err(Flaw::new(place.field(0), format!("{} fields", record.len()), expected));
        }
        let may_be_header = is_first && options.header.is_none();
        let absent =
            options.optional_values && record.get(2).is_none_or(|field| field.trim_ascii().is_empty());
        let value =
            match if absent { Ok(Some(f64::NAN)) } else { field_value(&record, 2, may_be_header, &place) }? {
                Some(value) => value,
                None => continue,
            };
        if options.weights {
            match field_value(&record, 3, may_be_header, &place)? {
                Some(weight) => triplets.weights.push(weight),
                None => continue,
            }
        }
        let row = intern(&mut triplets.rows, &record, 0, &place)?;
        let column = intern(&mut triplets.columns, &record, 1, &place)?;
        triplets.entries.push((row, column, value));
    }
}

/// The number in a field; none where it is no number and may be the name of a column.
fn field_value(
    record: &ByteRecord,
    field: usize,
    may_be_header: bool,
    place: &Place,
) -> Result<Option<f64>, Flaw> {
    let word = record[field].trim_ascii();
    match number::parse(word, 0) {
        Ok((value, end)) if end == word.len() => Ok(Some(value)),
        Err(number::NumberFlaw::Malformed) | Ok(_) if may_be_header => Ok(None),
        Err(flaw) => Err(flaw.at(word, 0).moved_to(place.field(field))),
        Ok(_) => Err(number::NumberFlaw::Malformed.at(word, 0).moved_to(place.field(field))),
    }
}

fn intern(
    identifiers: &mut Identifiers,
    record: &ByteRecord,
    field: usize,
    place: &Place,
) -> Result<u32, Flaw> {
    let word = record[field].trim_ascii();
    let flaw = |problem: String, expected| Err(Flaw::new(place.field(field), problem, expected));
    if word.is_empty() {
        return flaw("an empty identifier".into(), "rows and columns need a name");
    }
    if word.contains(&b'\n') {
        return flaw(
            "an identifier that runs over the end of the line".into(),
            "quotes are closed on the same line",
        );
    }
    let Ok(name) = std::str::from_utf8(word) else {
        return flaw(format!("{} is no UTF-8", excerpt(word, 0)), "identifiers are UTF-8 text");
    };
    match identifiers.intern(name) {
        Some(number) => Ok(number),
        None => flaw("too many identifiers".into(), "fewer than 2^32 - 1 are supported"),
    }
}

/// The first tab, semicolon, comma or blank, tried in this order, that the first line with text contains.
fn detect_separator(text: &[u8]) -> u8 {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let line = &text[start..line_end(text, start)];
    [b'\t', b';', b',', b' '].into_iter().find(|byte| line.trim_ascii().contains(byte)).unwrap_or(b',')
}

/// Where a record stands in the text.
struct Place<'a> {
    text: &'a [u8],
    start: usize,
    separator: u8,
}

impl Place<'_> {
    /// Offset of a field, found by walking over the record again.
    fn field(&self, wanted: usize) -> usize {
        // A record's position may be that of line ends before it.
        let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let mut at = self.start + self.text[self.start..].iter().take_while(blank).count();
        let (mut field, mut quoted) = (0, false);
        while field < wanted && at < self.text.len() {
            match self.text[at] {
                b'"' => quoted = !quoted,
                byte if byte == self.separator && !quoted => field += 1,
                _ => {}
            }
            at += 1;
        }
        at
    }
}
