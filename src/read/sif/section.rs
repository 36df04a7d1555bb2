//! The sections of the problem part: their headers, their order, and what the cards of each hold.

use super::card::{Card, Field};
use super::error::{SifError, SifErrorKind};
use super::names::{Name, Reference};
use super::number::real;
use super::parameters::{Operand, Parameters};

/// A section of the problem part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Name,
    Groups,
    Variables,
    Constants,
    Ranges,
    Bounds,
    StartPoint,
    Quadratic,
    ElementType,
    ElementUses,
    GroupType,
    GroupUses,
    ObjectBound,
}

impl Section {
    /// The section that a header opens.
    pub(super) fn of_keyword(keyword: &[u8]) -> Option<Self> {
        Some(match keyword {
            b"NAME" => Self::Name,
            b"GROUPS" | b"ROWS" | b"CONSTRAINTS" => Self::Groups,
            b"VARIABLES" | b"COLUMNS" => Self::Variables,
            b"CONSTANTS" | b"RHS" | b"RHS'" => Self::Constants,
            b"RANGES" => Self::Ranges,
            b"BOUNDS" => Self::Bounds,
            b"START POINT" => Self::StartPoint,
            b"QUADRATIC" | b"HESSIAN" | b"QUADS" | b"QUADOBJ" | b"QSECTION" | b"QMATRIX" => Self::Quadratic,
            b"ELEMENT TYPE" => Self::ElementType,
            b"ELEMENT USES" => Self::ElementUses,
            b"GROUP TYPE" => Self::GroupType,
            b"GROUP USES" => Self::GroupUses,
            b"OBJECT BOUND" => Self::ObjectBound,
            _ => return None,
        })
    }

    /// The header, for messages.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Groups => "GROUPS",
            Self::Variables => "VARIABLES",
            Self::Constants => "CONSTANTS",
            Self::Ranges => "RANGES",
            Self::Bounds => "BOUNDS",
            Self::StartPoint => "START POINT",
            Self::Quadratic => "QUADRATIC",
            Self::ElementType => "ELEMENT TYPE",
            Self::ElementUses => "ELEMENT USES",
            Self::GroupType => "GROUP TYPE",
            Self::GroupUses => "GROUP USES",
            Self::ObjectBound => "OBJECT BOUND",
        }
    }
}

/// Where the first number of a card comes from.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// Field 4.
    Written(Option<f64>),
    /// The real parameter that field 5 of a Z card names.
    Parameter(Operand),
}

/// A data card, ready to be executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataCard {
    pub section: Section,
    line: u32,
    columns: [u32; 5],
    letter: u8,
    names: [Reference; 3],
    value: Value,
    number6: Option<f64>,
}

/// A data card with its names expanded and its numbers looked up: what the sections see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub line: u32,
    /// Columns of fields 2 to 6.
    pub columns: [u32; 5],
    /// What the code says, without the X or Z of array cards.
    pub letter: u8,
    pub name2: Name,
    pub name3: Name,
    pub name5: Name,
    /// None for a blank field.
    pub number4: Option<f64>,
    pub number6: Option<f64>,
}

impl Item {
    /// An error in field 2 to 6.
    #[cold]
    pub(super) fn error(&self, field: usize, kind: SifErrorKind) -> SifError {
        SifError::at(self.line, self.columns[field - 2], kind)
    }

    /// The error of a name in a field that nothing defines.
    #[cold]
    pub(super) fn undefined(&self, field: usize, what: &'static str) -> SifError {
        let name = match field {
            2 => self.name2,
            3 => self.name3,
            _ => self.name5,
        };
        self.error(field, SifErrorKind::Undefined { what, name: name.to_string() })
    }

    /// The two pairs of a name and a number with the field where the name stands; a blank name ends the card.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, Name, Option<f64>)> {
        [(3, self.name3, self.number4), (5, self.name5, self.number6)]
            .into_iter()
            .take_while(|(_, name, _)| !name.is_blank())
    }
}

/// What a code says: whether it is that of an array card, whether the value is a parameter, and the letter.
struct Code {
    array: bool,
    from_parameter: bool,
    letter: u8,
}

impl Code {
    fn parse(section: Section, card: &Card) -> Option<Self> {
        let [first, second] = card.code;
        let array = matches!(first, b'X' | b'Z');
        let allowed: &[u8] = match section {
            Section::Name => b"",
            Section::Groups => b"NELG",
            Section::Variables => b" ",
            Section::Constants | Section::Ranges if array => b" NELG",
            Section::Constants | Section::Ranges => b" ",
            Section::Bounds => b"RLUXMP",
            Section::StartPoint => b" VM",
            Section::Quadratic => b" ",
            Section::ElementType => b"VIP",
            Section::ElementUses => b"TVP",
            Section::GroupType => b"VP",
            Section::GroupUses => b"TEP",
            Section::ObjectBound => b"LU",
        };
        let declares = matches!(section, Section::ElementType | Section::GroupType);
        let letter = match (section, card.code) {
            _ if array && declares => return None,
            _ if array => second,
            (Section::Bounds, code) => match &code {
                b"FR" => b'R',
                b"LO" => b'L',
                b"UP" => b'U',
                b"FX" => b'X',
                b"MI" => b'M',
                b"PL" => b'P',
                _ => return None,
            },
            (Section::ObjectBound, code) => match &code {
                b"LO" => b'L',
                b"UP" => b'U',
                _ => return None,
            },
            // The reference decoder reads a blank code as T here, and files rely on it.
            (Section::GroupUses, [b' ', b' ']) => b'T',
            (Section::ElementType, [b'I', b'V']) => b'I',
            (Section::ElementType, [b'E', letter]) | (Section::GroupType, [b'G', letter]) => letter,
            (_, [letter, b' ']) if !declares => letter,
            _ => return None,
        };
        allowed.contains(&letter).then_some(Self { array, from_parameter: first == b'Z', letter })
    }
}

impl DataCard {
    /// Line of the card.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Splits a card of a section into what is executed. `in_loop`: only array cards may stand there.
    pub(super) fn compile(
        section: Section,
        card: &Card,
        in_loop: bool,
        parameters: &mut Parameters,
    ) -> Result<Self, SifError> {
        let at = |field: &Field<'_>, kind| SifError::at(card.line, field.column, kind);
        let Some(code) = Code::parse(section, card) else {
            let kind = SifErrorKind::UnknownCode { code: card.code_text(), section: section.title() };
            return Err(SifError::at(card.line, 2, kind));
        };
        if in_loop && !code.array {
            return Err(SifError::at(card.line, 2, SifErrorKind::ScalarCardInLoop));
        }
        // Elemental variables are named in field 5, all other values of Z cards too.
        let takes_number = match section {
            Section::ElementType | Section::GroupType => false,
            Section::ElementUses => code.letter == b'P',
            Section::GroupUses => code.letter != b'T',
            Section::Bounds => !matches!(code.letter, b'R' | b'M' | b'P'),
            Section::ObjectBound => true,
            _ => !card.name3.is_blank(),
        };
        let value_is_parameter = code.from_parameter && takes_number;
        let (expand2, expand3, expand5) = match section {
            _ if !code.array => (false, false, false),
            Section::Groups | Section::Variables | Section::Quadratic => (true, true, true),
            Section::Constants | Section::Ranges | Section::Bounds | Section::StartPoint => {
                (false, true, true)
            }
            Section::ElementUses => (true, false, code.letter == b'V'),
            Section::GroupUses => (true, code.letter == b'E', code.letter == b'E'),
            _ => (false, false, false),
        };
        let mut reference = |field: &Field<'_>, expand: bool| {
            let name = field.name();
            if expand {
                parameters.reference(&name).map_err(|kind| at(field, kind))
            } else {
                Ok(Reference::Plain(name))
            }
        };
        let names = [
            reference(&card.name2, expand2)?,
            reference(&card.name3, expand3)?,
            if value_is_parameter { Reference::Plain(Name::BLANK) } else { reference(&card.name5, expand5)? },
        ];
        let value = if value_is_parameter {
            let name = card.name5.name();
            Value::Parameter(parameters.operand(&name, true).map_err(|kind| at(&card.name5, kind))?)
        } else if takes_number {
            Value::Written(real(card.number4.text).map_err(|kind| at(&card.number4, kind))?)
        } else {
            Value::Written(None)
        };
        let number6 =
            if takes_number && !value_is_parameter && !card.name5.is_blank() && section != Section::Bounds {
                real(card.number6.text).map_err(|kind| at(&card.number6, kind))?
            } else {
                None
            };
        let fields = [&card.name2, &card.name3, &card.number4, &card.name5, &card.number6];
        let columns = fields.map(|field| field.column);
        Ok(Self { section, line: card.line, columns, letter: code.letter, names, value, number6 })
    }

    /// Expands the names and looks up the value.
    #[inline]
    pub(super) fn resolve(&self, parameters: &Parameters) -> Result<Item, SifError> {
        let error = |field: usize| move |kind| SifError::at(self.line, self.columns[field - 2], kind);
        Ok(Item {
            line: self.line,
            columns: self.columns,
            letter: self.letter,
            name2: parameters.expand(&self.names[0]).map_err(error(2))?,
            name3: parameters.expand(&self.names[1]).map_err(error(3))?,
            name5: parameters.expand(&self.names[2]).map_err(error(5))?,
            number4: match &self.value {
                Value::Written(number) => *number,
                Value::Parameter(operand) => Some(parameters.value(operand).map_err(error(5))?),
            },
            number6: self.number6,
        })
    }
}
