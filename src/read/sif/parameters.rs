//! Integer and real parameters, and the cards that compute them.

use super::card::Card;
use super::error::{SifError, SifErrorKind};
use super::names::{ArrayName, Decimal, Name, Reference, Table};
use super::number::{integer, real, within_range};

/// The integers' mark of "no value yet"; their range ends at 2^53.
const NO_INTEGER: i64 = i64::MIN;

/// The parameters and their values; one name may stand for an integer and a real.
#[derive(Debug)]
pub(super) struct Parameters {
    integers: Table,
    integer_values: Vec<i64>,
    /// The values as text, for array names.
    integer_texts: Vec<Decimal>,
    reals: Table,
    /// NaN where there is no value yet.
    real_values: Vec<f64>,
    /// Whether integers become reals by way of binary32.
    pub(super) narrow_conversion: bool,
}

/// A function of one real.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    name: &'static str,
    apply: fn(f64) -> f64,
}

const FUNCTIONS: [Function; 14] = [
    Function { name: "ABS", apply: f64::abs },
    Function { name: "SQRT", apply: f64::sqrt },
    Function { name: "EXP", apply: f64::exp },
    Function { name: "LOG", apply: f64::ln },
    Function { name: "LOG10", apply: f64::log10 },
    Function { name: "SIN", apply: f64::sin },
    Function { name: "COS", apply: f64::cos },
    Function { name: "TAN", apply: f64::tan },
    Function { name: "ARCSIN", apply: f64::asin },
    Function { name: "ARCCOS", apply: f64::acos },
    Function { name: "ARCTAN", apply: f64::atan },
    Function { name: "HYPSIN", apply: f64::sinh },
    Function { name: "HYPCOS", apply: f64::cosh },
    Function { name: "HYPTAN", apply: f64::tanh },
];

/// What a parameter card does. "3" and "5" are the parameters named in these fields, "4" is the number.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// 4.
    Number,
    /// 3, of the other type.
    Convert,
    /// 3 + 4.
    AddNumber,
    /// 4 - 3.
    SubtractFromNumber,
    /// 3 * 4.
    MultiplyNumber,
    /// 4 / 3.
    DivideNumber,
    /// 3.
    Copy,
    /// 3 + 5.
    Add,
    /// 3 - 5.
    Subtract,
    /// 3 * 5.
    Multiply,
    /// 3 / 5.
    Divide,
    /// The function at 4.
    ApplyToNumber(Function),
    /// The function at 5.
    Apply(Function),
}

/// Where an operand of real arithmetic is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    /// Its number in its table.
    Slot(u32),
    /// An array name, looked up when the card is executed.
    Array(ArrayName),
}

/// A parameter card, ready to be executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParameterCard {
    line: u32,
    columns: [u32; 3],
    operation: Operation,
    arithmetic: Arithmetic,
}

#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    Integer { result: u32, left: u32, right: u32, number: i64 },
    Real { result: Operand, left: Operand, right: Operand, number: f64 },
}

/// What kind of parameter card a code announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Real,
    RealArray,
}

/// The kind of a parameter card, or None if the code is that of a data card.
pub(super) fn kind(code: [u8; 2]) -> Option<Kind> {
    let kind = match code[0] {
        b'I' => Kind::Integer,
        b'R' => Kind::Real,
        b'A' => Kind::RealArray,
        _ => return None,
    };
    let letter = match kind {
        Kind::Integer => b"ERASMD=+-*/".contains(&code[1]),
        Kind::Real | Kind::RealArray => b"EIASMD=+-*/F(".contains(&code[1]),
    };
    letter.then_some(kind)
}

impl Parameters {
    pub(super) fn new(narrow_conversion: bool) -> Self {
        Self {
            integers: Table::new(),
            integer_values: Vec::new(),
            integer_texts: Vec::new(),
            reals: Table::new(),
            real_values: Vec::new(),
            narrow_conversion,
        }
    }

    /// Number of names, for the limit of memory.
    pub(super) fn len(&self) -> usize {
        self.integers.len() + self.reals.len()
    }

    /// Number of an integer parameter, which need not have a value yet.
    pub(super) fn integer_slot(&mut self, name: Name) -> u32 {
        let (slot, new) = self.integers.insert(name);
        if new {
            self.integer_values.push(NO_INTEGER);
            self.integer_texts.push(Decimal::new(0));
        }
        slot
    }

    fn real_slot(&mut self, name: Name) -> u32 {
        let (slot, new) = self.reals.insert(name);
        if new {
            self.real_values.push(f64::NAN);
        }
        slot
    }

    /// Value of an integer parameter; None if it has none.
    pub(super) fn integer(&self, slot: u32) -> Option<i64> {
        Some(self.integer_values[slot as usize]).filter(|&value| value != NO_INTEGER)
    }

    pub(super) fn set_integer(&mut self, slot: u32, value: i64) {
        self.integer_values[slot as usize] = value;
        self.integer_texts[slot as usize] = Decimal::new(value);
    }

    /// The error of an integer parameter without a value.
    #[cold]
    pub(super) fn no_integer(&self, slot: u32) -> SifErrorKind {
        let name = self.integers.name(slot).to_string();
        SifErrorKind::Undefined { what: "integer parameter", name }
    }

    /// Expands a reference to a name.
    #[inline]
    pub(super) fn expand(&self, reference: &Reference) -> Result<Name, SifErrorKind> {
        match reference {
            Reference::Plain(name) => Ok(*name),
            Reference::Array(array) => self.expand_array(array),
        }
    }

    #[inline]
    fn expand_array(&self, array: &ArrayName) -> Result<Name, SifErrorKind> {
        for &index in array.used_indices() {
            if self.integer_values[index as usize] == NO_INTEGER {
                return Err(self.no_integer(index));
            }
        }
        array.expand(|index| &self.integer_texts[index as usize]).map_err(SifErrorKind::NameTooLong)
    }

    /// A field as an array name or a plain one.
    pub(super) fn reference(&mut self, name: &Name) -> Result<Reference, SifErrorKind> {
        Reference::split(name, |index| self.integer_slot(index))
            .ok_or_else(|| SifErrorKind::BadArrayName(name.to_string()))
    }

    /// A field that names a real parameter, as an array name if `array`.
    pub(super) fn operand(&mut self, name: &Name, array: bool) -> Result<Operand, SifErrorKind> {
        if array && let Reference::Array(array) = self.reference(name)? {
            return Ok(Operand::Array(array));
        }
        Ok(Operand::Slot(self.real_slot(*name)))
    }

    /// Value of a real parameter.
    #[inline]
    pub(super) fn value(&self, operand: &Operand) -> Result<f64, SifErrorKind> {
        let value = match operand {
            Operand::Slot(slot) => self.real_values[*slot as usize],
            Operand::Array(array) => {
                let name = self.expand_array(array)?;
                self.reals.get(&name).map_or(f64::NAN, |slot| self.real_values[slot as usize])
            }
        };
        if value.is_nan() { Err(self.no_real(operand)) } else { Ok(value) }
    }

    #[cold]
    fn no_real(&self, operand: &Operand) -> SifErrorKind {
        let name = match operand {
            Operand::Slot(slot) => self.reals.name(*slot).to_string(),
            Operand::Array(array) => {
                self.expand_array(array).map_or_else(|_| "?".into(), |name| name.to_string())
            }
        };
        SifErrorKind::Undefined { what: "real parameter", name }
    }

    /// Makes a parameter card ready for execution. `number` replaces its field 4.
    pub(super) fn compile(
        &mut self,
        kind: Kind,
        card: &Card,
        number: Option<f64>,
    ) -> Result<ParameterCard, SifError> {
        let at = |field: &super::card::Field| {
            let column = field.column;
            move |kind| SifError::at(card.line, column, kind)
        };
        let operation = operation(card).map_err(at(&card.name3))?;
        let needs_number = !matches!(
            operation,
            Operation::Convert
                | Operation::Copy
                | Operation::Add
                | Operation::Subtract
                | Operation::Multiply
                | Operation::Divide
                | Operation::Apply(_)
        );
        let (name2, name3, name5) = (card.name2.name(), card.name3.name(), card.name5.name());
        let arithmetic = if kind == Kind::Integer {
            let written =
                if needs_number { integer(card.number4.text).map_err(at(&card.number4))? } else { 0 };
            Arithmetic::Integer {
                result: self.integer_slot(name2),
                left: if matches!(operation, Operation::Convert) {
                    self.real_slot(name3)
                } else {
                    self.integer_slot(name3)
                },
                right: self.integer_slot(name5),
                number: number.map_or(written, |value| value as i64),
            }
        } else {
            let array = kind == Kind::RealArray;
            let written = if needs_number {
                real(card.number4.text).map_err(at(&card.number4))?.unwrap_or(0.0)
            } else {
                0.0
            };
            let left_is_real = !matches!(
                operation,
                Operation::Convert | Operation::Number | Operation::Apply(_) | Operation::ApplyToNumber(_)
            );
            Arithmetic::Real {
                result: self.operand(&name2, array).map_err(at(&card.name2))?,
                left: if left_is_real {
                    self.operand(&name3, array).map_err(at(&card.name3))?
                } else {
                    Operand::Slot(self.integer_slot(name3))
                },
                right: self.operand(&name5, array && !needs_number).map_err(at(&card.name5))?,
                number: number.unwrap_or(written),
            }
        };
        let columns = [card.name2.column, card.name3.column, card.name5.column];
        Ok(ParameterCard { line: card.line, columns, operation, arithmetic })
    }

    /// Executes a parameter card.
    pub(super) fn execute(&mut self, card: &ParameterCard) -> Result<(), SifError> {
        match &card.arithmetic {
            Arithmetic::Integer { result, left, right, number } => {
                self.execute_integer(card, *result, *left, *right, *number)
            }
            Arithmetic::Real { result, left, right, number } => {
                let value = self.real_result(card, left, right, *number)?;
                if !value.is_finite() {
                    return Err(card.error(0, SifErrorKind::NotFinite));
                }
                let slot = match result {
                    Operand::Slot(slot) => *slot,
                    Operand::Array(array) => {
                        let name = self.expand_array(array).map_err(|kind| card.error(0, kind))?;
                        self.real_slot(name)
                    }
                };
                self.real_values[slot as usize] = value;
                Ok(())
            }
        }
    }

    fn execute_integer(
        &mut self,
        card: &ParameterCard,
        result: u32,
        left: u32,
        right: u32,
        number: i64,
    ) -> Result<(), SifError> {
        let left = || self.integer(left).ok_or_else(|| card.error(1, self.no_integer(left)));
        let right = || self.integer(right).ok_or_else(|| card.error(2, self.no_integer(right)));
        let divide = |numerator: i64, denominator: i64| {
            numerator.checked_div(denominator).ok_or_else(|| card.error(1, SifErrorKind::DivisionByZero))
        };
        // Sums of two numbers of 54 bits fit in 64, products are cut off there and refused all the same.
        let value = match card.operation {
            Operation::Number => number,
            Operation::Convert => {
                let Arithmetic::Integer { left, .. } = card.arithmetic else { return Ok(()) };
                let value = self.value(&Operand::Slot(left)).map_err(|kind| card.error(1, kind))?;
                value.trunc().clamp(-1e18, 1e18) as i64
            }
            Operation::AddNumber => left()? + number,
            Operation::SubtractFromNumber => number - left()?,
            Operation::MultiplyNumber => left()?.saturating_mul(number),
            Operation::DivideNumber => divide(number, left()?)?,
            Operation::Copy => left()?,
            Operation::Add => left()? + right()?,
            Operation::Subtract => left()? - right()?,
            Operation::Multiply => left()?.saturating_mul(right()?),
            Operation::Divide => divide(left()?, right()?)?,
            Operation::ApplyToNumber(_) | Operation::Apply(_) => return Ok(()),
        };
        self.set_integer(result, within_range(value).map_err(|kind| card.error(0, kind))?);
        Ok(())
    }

    fn real_result(
        &self,
        card: &ParameterCard,
        left: &Operand,
        right: &Operand,
        number: f64,
    ) -> Result<f64, SifError> {
        let left_value = || self.value(left).map_err(|kind| card.error(1, kind));
        let right_value = || self.value(right).map_err(|kind| card.error(2, kind));
        let divide = |numerator: f64, denominator: f64| {
            if denominator == 0.0 {
                return Err(card.error(1, SifErrorKind::DivisionByZero));
            }
            Ok(numerator / denominator)
        };
        Ok(match card.operation {
            Operation::Number => number,
            Operation::Convert => {
                let Operand::Slot(slot) = left else { return Ok(f64::NAN) };
                let value = self.integer(*slot).ok_or_else(|| card.error(1, self.no_integer(*slot)))?;
                if self.narrow_conversion { f64::from(value as f32) } else { value as f64 }
            }
            Operation::AddNumber => left_value()? + number,
            Operation::SubtractFromNumber => number - left_value()?,
            Operation::MultiplyNumber => left_value()? * number,
            Operation::DivideNumber => divide(number, left_value()?)?,
            Operation::Copy => left_value()?,
            Operation::Add => left_value()? + right_value()?,
            Operation::Subtract => left_value()? - right_value()?,
            Operation::Multiply => left_value()? * right_value()?,
            Operation::Divide => divide(left_value()?, right_value()?)?,
            Operation::ApplyToNumber(function) => function.at(number).map_err(|kind| card.error(1, kind))?,
            Operation::Apply(function) => function.at(right_value()?).map_err(|kind| card.error(2, kind))?,
        })
    }
}

impl Function {
    fn at(&self, argument: f64) -> Result<f64, SifErrorKind> {
        let value = (self.apply)(argument);
        let pole = value.is_infinite() && argument == 0.0;
        if value.is_nan() || pole {
            return Err(SifErrorKind::Domain { function: self.name, argument });
        }
        Ok(value)
    }
}

impl ParameterCard {
    /// Line of the card.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The error in field 2, 3 or 5 (`field` 0, 1, 2).
    #[cold]
    fn error(&self, field: usize, kind: SifErrorKind) -> SifError {
        SifError::at(self.line, self.columns[field], kind)
    }
}

fn operation(card: &Card) -> Result<Operation, SifErrorKind> {
    let function = || {
        let name = card.name3.name();
        FUNCTIONS
            .into_iter()
            .find(|function| Name::new(function.name.as_bytes()) == name)
            .ok_or_else(|| SifErrorKind::UnknownFunction(name.to_string()))
    };
    Ok(match card.code[1] {
        b'E' => Operation::Number,
        b'A' => Operation::AddNumber,
        b'S' => Operation::SubtractFromNumber,
        b'M' => Operation::MultiplyNumber,
        b'D' => Operation::DivideNumber,
        b'=' => Operation::Copy,
        b'+' => Operation::Add,
        b'-' => Operation::Subtract,
        b'*' => Operation::Multiply,
        b'/' => Operation::Divide,
        b'F' => Operation::ApplyToNumber(function()?),
        b'(' => Operation::Apply(function()?),
        _ => Operation::Convert,
    })
}
