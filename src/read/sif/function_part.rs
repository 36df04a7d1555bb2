//! The parts with the element functions and the group functions: cards are split and joined, expressions stay text.

use super::Mode;
use super::card::{Card, Field, Line, LineKind, Lines};
use super::decoded::{FunctionPart, FunctionSource, Statement, StatementKind, Temporary, TemporaryKind};
use super::error::{SifError, SifErrorKind};
use super::model::Types;
use super::names::{Name, Table, latin1};
use super::number::real;

/// Sections of a function part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Temporaries,
    Globals,
    Individuals,
}

/// Reads one of the two parts.
struct Reader<'t> {
    types: &'t Types,
    mode: Mode,
    what: &'static str,
    part: FunctionPart,
    section: Option<Section>,
    /// Index of the type whose block is read.
    current: Option<usize>,
}

/// The part of a type without code: what its declaration says.
pub(super) fn declared(types: &Types) -> FunctionPart {
    let strings = |table: &Table| table.names().iter().map(Name::to_string).collect();
    let sources = types.types.iter().enumerate().map(|(index, declared)| FunctionSource {
        name: types.names.name(index as u32).to_string(),
        arguments: strings(&declared.arguments),
        internal: strings(&declared.internal),
        parameters: strings(&declared.parameters),
        line: 0,
        ..FunctionSource::default()
    });
    FunctionPart { types: sources.collect(), ..FunctionPart::default() }
}

/// Reads a part from behind its first line up to and including its ENDATA line. `what` is `element type` or
/// `group type`.
pub(super) fn read(
    lines: &mut Lines,
    types: &Types,
    what: &'static str,
    mode: Mode,
) -> Result<FunctionPart, SifError> {
    let mut reader = Reader { types, mode, what, part: declared(types), section: None, current: None };
    for line in lines.by_ref() {
        match line.kind() {
            LineKind::Comment | LineKind::Ignored => {}
            LineKind::Header if line.keyword() == b"ENDATA" => return Ok(reader.part),
            LineKind::Header => reader.header(&line)?,
            LineKind::Data => reader.card(&line.card(true))?,
        }
    }
    let kind = SifErrorKind::Missing("the line ENDATA of its function part");
    Err(SifError::at(lines.number().max(1), 1, kind))
}

impl Reader<'_> {
    fn header(&mut self, line: &Line) -> Result<(), SifError> {
        let error = |kind| Err(SifError::at(line.number, 1, kind));
        let (section, title) = match line.keyword() {
            b"TEMPORARIES" => (Section::Temporaries, "TEMPORARIES"),
            b"GLOBALS" => (Section::Globals, "GLOBALS"),
            b"INDIVIDUALS" => (Section::Individuals, "INDIVIDUALS"),
            other => return error(SifErrorKind::UnknownHeader(latin1(other))),
        };
        if self.section.is_some_and(|before| before >= section) {
            let reason = "the order is TEMPORARIES, GLOBALS, INDIVIDUALS, each once";
            return error(SifErrorKind::SectionOrder { section: title, reason });
        }
        self.section = Some(section);
        Ok(())
    }

    fn card(&mut self, card: &Card) -> Result<(), SifError> {
        let unknown = |section| {
            Err(SifError::at(card.line, 2, SifErrorKind::UnknownCode { code: card.code_text(), section }))
        };
        match self.section {
            // Some files repeat the declarations of the problem part here.
            None if matches!(&card.code, b"EV" | b"IV" | b"EP" | b"GV" | b"GP") => Ok(()),
            None => unknown("before TEMPORARIES, GLOBALS or INDIVIDUALS"),
            Some(Section::Temporaries) => match temporary_kind(card.code) {
                Some(kind) => self.temporary(card, kind),
                None => unknown("TEMPORARIES"),
            },
            Some(Section::Globals) => match card.code {
                [b'A' | b'I' | b'E', b' ' | b'+'] => add(&mut self.part.globals, card, false),
                _ => unknown("GLOBALS"),
            },
            Some(Section::Individuals) => match card.code {
                [b'T', b' '] => self.open(card),
                [b'R', b' '] => self.transformation(card),
                [b'A' | b'I' | b'E' | b'F' | b'G' | b'H', b' ' | b'+'] => {
                    let in_group = self.what == "group type";
                    add(&mut self.current(card)?.statements, card, in_group)
                }
                _ => unknown("INDIVIDUALS"),
            },
        }
    }

    /// A card of TEMPORARIES, where a real may be an array of constant extents.
    fn temporary(&mut self, card: &Card, kind: TemporaryKind) -> Result<(), SifError> {
        let text = latin1(card.name2.text.trim_ascii());
        let bad = |text: &str| {
            let message = format!("`{text}` is no name of a temporary, with or without a size such as Y(8)");
            SifError::at(card.line, card.name2.column, SifErrorKind::Declaration(message))
        };
        let (name, dimensions) = match text.split_once('(') {
            Some((name, rest)) if kind == TemporaryKind::Real => {
                let digits = rest.strip_suffix(')').ok_or_else(|| bad(&text))?;
                let mut dimensions = Vec::new();
                for extent in digits.split(',') {
                    let extent: Option<usize> =
                        extent.trim().parse().ok().filter(|extent| (1..=1000).contains(extent));
                    dimensions.push(extent.ok_or_else(|| bad(&text))?);
                }
                (name.trim_end(), dimensions)
            }
            Some(_) => return Err(bad(&text)),
            None => (text.as_str(), Vec::new()),
        };
        if name.is_empty() {
            return Err(bad(&text));
        }
        self.part.temporaries.push(Temporary { kind, name: name.into(), dimensions, line: card.line });
        Ok(())
    }

    /// A T card opens the block of a type.
    fn open(&mut self, card: &Card) -> Result<(), SifError> {
        let name = card.name2.name();
        let at = |kind| SifError::at(card.line, card.name2.column, kind);
        let Some(index) = self.types.names.get(&name) else {
            return Err(at(SifErrorKind::Undefined { what: self.what, name: name.to_string() }));
        };
        let source = &mut self.part.types[index as usize];
        if source.line != 0 {
            return Err(at(SifErrorKind::Duplicate { what: "the code of type", name: name.to_string() }));
        }
        source.line = card.line;
        self.current = Some(index as usize);
        Ok(())
    }

    fn current(&mut self, card: &Card) -> Result<&mut FunctionSource, SifError> {
        match self.current {
            Some(index) => Ok(&mut self.part.types[index]),
            None => {
                let message = "a card T with the name of the type must come first".to_string();
                Err(SifError::at(card.line, 2, SifErrorKind::Declaration(message)))
            }
        }
    }

    /// An R card: an internal variable in terms of one or two elemental ones.
    fn transformation(&mut self, card: &Card) -> Result<(), SifError> {
        let mode = self.mode;
        self.current(card)?;
        let Some(index) = self.current else { return Ok(()) };
        let declared = &self.types.types[index];
        let undefined = |field: &Field<'_>, what| {
            let name = latin1(field.text.trim_ascii_end());
            SifError::at(card.line, field.column, SifErrorKind::Undefined { what, name })
        };
        let internal = declared
            .internal
            .get(&card.name2.name())
            .ok_or_else(|| undefined(&card.name2, "internal variable"))?;
        for (variable, number) in [(&card.name3, &card.number4), (&card.name5, &card.number6)] {
            // These two fields are eight columns wide.
            let name = Name::new(&variable.text[..variable.text.len().min(8)]);
            if name.is_blank() {
                break;
            }
            let elemental =
                declared.arguments.get(&name).ok_or_else(|| undefined(variable, "elemental variable"))?;
            let coefficient = real(number.text)
                .map_err(|kind| SifError::at(card.line, number.column, kind))?
                .unwrap_or(0.0);
            if coefficient != 0.0 {
                let coefficient = if mode == Mode::Cutest { five_decimals(coefficient) } else { coefficient };
                self.part.types[index].transformation.push((internal, elemental, coefficient));
            }
        }
        Ok(())
    }
}

/// The reference decoder writes five decimals without exponent letter: a number of single precision.
fn five_decimals(coefficient: f64) -> f64 {
    format!("{coefficient:.5}").parse::<f32>().map_or(coefficient, f64::from)
}

fn temporary_kind(code: [u8; 2]) -> Option<TemporaryKind> {
    Some(match &code {
        b"R " => TemporaryKind::Real,
        b"I " => TemporaryKind::Integer,
        b"L " => TemporaryKind::Logical,
        b"M " => TemporaryKind::Intrinsic,
        b"F " => TemporaryKind::External,
        _ => return None,
    })
}

/// Adds a statement, or the continuation of the last one.
fn add(statements: &mut Vec<Statement>, card: &Card, in_group: bool) -> Result<(), SifError> {
    let text = latin1(card.expression.text);
    if card.code[1] == b'+' {
        return match statements.last_mut().filter(|last| letter(&last.kind) == card.code[0]) {
            Some(last) => {
                last.cards.push((last.text.len(), card.line));
                last.text.push_str(&text);
                Ok(())
            }
            None => {
                let message = "a continuation card must follow a card with the same letter".to_string();
                Err(SifError::at(card.line, 2, SifErrorKind::Declaration(message)))
            }
        };
    }
    let name = |field: &Field<'_>, what| {
        let name = latin1(field.text.trim_ascii());
        if name.is_empty() {
            let kind = SifErrorKind::NotSet { what, name: "of this card".into() };
            return Err(SifError::at(card.line, field.column, kind));
        }
        Ok(name)
    };
    let kind = match card.code[0] {
        b'A' => StatementKind::Assign { target: name(&card.name2, "the target")? },
        b'I' => StatementKind::AssignIf {
            condition: name(&card.name2, "the logical")?,
            target: name(&card.name3, "the target")?,
        },
        b'E' => StatementKind::AssignUnless {
            condition: name(&card.name2, "the logical")?,
            target: name(&card.name3, "the target")?,
        },
        b'F' => StatementKind::Value,
        b'G' if in_group => StatementKind::First { variable: None },
        b'G' => StatementKind::First { variable: Some(name(&card.name2, "the variable")?) },
        _ if in_group => StatementKind::Second { variables: None },
        _ => StatementKind::Second {
            variables: Some((
                name(&card.name2, "the first variable")?,
                name(&card.name3, "the second variable")?,
            )),
        },
    };
    statements.push(Statement { kind, text, cards: vec![(0, card.line)] });
    Ok(())
}

fn letter(kind: &StatementKind) -> u8 {
    match kind {
        StatementKind::Assign { .. } => b'A',
        StatementKind::AssignIf { .. } => b'I',
        StatementKind::AssignUnless { .. } => b'E',
        StatementKind::Value => b'F',
        StatementKind::First { .. } => b'G',
        StatementKind::Second { .. } => b'H',
    }
}
