//! Lines and the fields of data cards.

use super::free_form;
use super::names::{Name, latin1};

/// Columns from here on are ignored.
pub(super) const WIDTH: usize = 65;

/// A field with the column where it starts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field<'a> {
    pub text: &'a [u8],
    pub column: u32,
}

impl Field<'_> {
    pub(super) fn name(&self) -> Name {
        Name::new(self.text)
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.iter().all(|&byte| byte == b' ')
    }
}

/// A data card, split.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Card<'a> {
    pub line: u32,
    /// Columns 2 and 3, shifted to the left if column 2 is blank.
    pub code: [u8; 2],
    pub name2: Field<'a>,
    pub name3: Field<'a>,
    pub number4: Field<'a>,
    pub name5: Field<'a>,
    pub number6: Field<'a>,
    /// Field 7 of the function parts: it covers fields 4 to 6.
    pub expression: Field<'a>,
    /// Whether the card is marked as a parameter that the user may change.
    pub marked: bool,
}

impl<'a> Card<'a> {
    /// Cuts a line at the fixed columns. `wide` fields of R cards are eight columns in place of ten.
    pub(super) fn fixed(line: u32, text: &'a [u8]) -> Self {
        let visible = &text[..text.len().min(WIDTH)];
        let field = |from: usize, to: usize| {
            let end = to.min(visible.len());
            Field { text: visible.get(from - 1..end).unwrap_or_default(), column: from as u32 }
        };
        let mut card = Card {
            line,
            code: code(field(2, 3).text),
            name2: field(5, 14),
            name3: field(15, 24),
            number4: field(25, 36),
            name5: field(40, 49),
            number6: field(50, 61),
            expression: field(25, WIDTH),
            marked: is_marked(text),
        };
        card.drop_comment();
        card
    }

    /// A `$` that starts field 3 or field 5 makes a comment of the rest.
    fn drop_comment(&mut self) {
        let nothing = |field: &mut Field<'_>| field.text = &[];
        if self.name3.text.first() == Some(&b'$') {
            nothing(&mut self.name3);
            nothing(&mut self.number4);
            nothing(&mut self.name5);
            nothing(&mut self.number6);
            nothing(&mut self.expression);
        } else if self.name5.text.first() == Some(&b'$') {
            nothing(&mut self.name5);
            nothing(&mut self.number6);
        }
    }

    /// The code for messages.
    pub(super) fn code_text(&self) -> String {
        latin1(&self.code)
    }
}

/// Two characters, shifted to the left if the first is blank.
pub(super) fn code(text: &[u8]) -> [u8; 2] {
    let first = text.first().copied().unwrap_or(b' ');
    let second = text.get(1).copied().unwrap_or(b' ');
    if first == b' ' { [second, b' '] } else { [first, second] }
}

/// Whether a line carries the mark `$-PARAMETER`.
pub(super) fn is_marked(text: &[u8]) -> bool {
    find(text, b"$-PARAMETER").is_some()
}

/// Offset of the first occurrence of a word.
pub(super) fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(offset) = text.get(from..)?.iter().position(|&byte| byte == word[0]) {
        if text[from + offset..].starts_with(word) {
            return Some(from + offset);
        }
        from += offset + 1;
    }
    None
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    Comment,
    /// Column 1 is not blank: a section header, in general.
    Header,
    Data,
    /// Nothing that counts: columns 1-14, 15-24 and 40-49 are blank.
    Ignored,
}

/// A line without its end, numbered from 1; in free form, a part of a line that holds one card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub number: u32,
    pub text: &'a [u8],
    /// Column where the text starts, in free form.
    free: Option<u32>,
}

impl<'a> Line<'a> {
    pub(super) fn kind(&self) -> LineKind {
        if self.text.first() == Some(&b'*') {
            return LineKind::Comment;
        }
        if self.free.is_some() {
            return match free_form::header(self.text) {
                _ if free_form::is_blank(self.text) => LineKind::Ignored,
                Some(_) => LineKind::Header,
                None => LineKind::Data,
            };
        }
        let visible = &self.text[..self.text.len().min(WIDTH)];
        if visible.first().is_some_and(|&byte| byte != b' ') {
            return LineKind::Header;
        }
        let blank = |from: usize, to: usize| {
            visible.get(from..to.min(visible.len())).unwrap_or_default().iter().all(|&byte| byte == b' ')
        };
        if blank(0, 24) && blank(39, 49) { LineKind::Ignored } else { LineKind::Data }
    }

    /// The fields of a data card.
    pub(super) fn card(&self, in_functions: bool) -> Card<'a> {
        match self.free {
            Some(column) => free_form::card(self.number, self.text, column, in_functions),
            None => Card::fixed(self.number, self.text),
        }
    }

    /// The first twelve characters: the keyword of a header.
    pub(super) fn keyword(&self) -> &'a [u8] {
        match free_form::header(self.text) {
            Some((keyword, _)) if self.free.is_some() => keyword,
            _ => self.text[..self.text.len().min(12)].trim_ascii_end(),
        }
    }

    /// Columns 15 to 24 of a header: the name.
    pub(super) fn header_name(&self) -> Name {
        match free_form::header(self.text) {
            Some((_, name)) if self.free.is_some() => Name::new(name),
            _ => Name::new(self.text.get(14..self.text.len().min(24)).unwrap_or_default()),
        }
    }
}

/// The lines of a file; from `FREE FORMAT` to `FIXED FORMAT` or `ENDATA`, its cards.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    rest: Option<&'a [u8]>,
    number: u32,
    free: bool,
    /// What is left of a line in free form, and its column.
    pending: Option<(&'a [u8], u32)>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: Some(text), number: 0, free: false, pending: None }
    }

    /// Number of the line that came last.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    fn next_line(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take_if(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|&byte| byte == b'\n');
        let mut text = &rest[..end.unwrap_or(rest.len())];
        while let [before @ .., b'\r'] = text {
            text = before;
        }
        self.rest = end.map(|end| &rest[end + 1..]);
        self.number = self.number.saturating_add(1);
        Some(text)
    }

    /// The next card in free form.
    fn next_card(&mut self) -> Option<Line<'a>> {
        let (text, column) = match self.pending.take() {
            Some(pending) => pending,
            None => {
                let line = self.next_line()?;
                (&line[..line.len().min(free_form::WIDTH)], 1)
            }
        };
        let length = if text.first() == Some(&b'*') { text.len() } else { free_form::card_length(text) };
        self.pending = text.get(length + 1..).map(|rest| (rest, column + length as u32 + 1));
        Some(Line { number: self.number, text: &text[..length], free: Some(column) })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let line = if self.free {
                self.next_card()?
            } else {
                let text = self.next_line()?;
                Line { number: self.number, text, free: None }
            };
            // Most lines are data, of which a blank in column 1 tells in fixed form.
            if !self.free && !matches!(line.text.first(), Some(b'F')) || line.kind() != LineKind::Header {
                return Some(line);
            }
            match line.keyword() {
                b"FREE FORMAT" => self.free = true,
                b"FIXED FORMAT" => {
                    self.free = false;
                    self.pending = None;
                }
                keyword => {
                    if keyword == b"ENDATA" {
                        self.free = false;
                        self.pending = None;
                    }
                    return Some(line);
                }
            }
        }
    }
}
