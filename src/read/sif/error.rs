//! What can be wrong with a SIF file.

use std::fmt;

use super::super::ReadError;

/// Why a SIF file could not be decoded, and where.
///
/// Displays as `12:25: integer parameter M is not defined`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct SifError {
    /// Line, from 1; None where an option, not the file, is at fault.
    pub line: Option<usize>,
    /// Column within the line, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    #[source]
    pub kind: SifErrorKind,
}

/// The flaws of a SIF file, and of the options it is read with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SifErrorKind {
    /// Column 1 starts a line that is no section header, or a header that this part of a file does not have.
    #[error("`{0}` is no section header that may stand here")]
    UnknownHeader(String),
    /// A section that stands too late, twice, or before the sections it needs.
    #[error("section {section} is out of order: {reason}")]
    SectionOrder {
        /// The section.
        section: &'static str,
        /// Which order is expected.
        reason: &'static str,
    },
    /// The file ends before something that must be there.
    #[error("the file ends without {0}")]
    Missing(&'static str),
    /// A data card whose code (columns 2 and 3) its section does not have.
    #[error("code `{code}` is not one of section {section}")]
    UnknownCode {
        /// The two characters.
        code: String,
        /// The section.
        section: &'static str,
    },
    /// Text where a number must stand.
    #[error("`{0}` is no number; a decimal number such as -1.5D+3 is expected")]
    BadNumber(String),
    /// Text where an integer must stand.
    #[error("`{0}` is no integer")]
    BadInteger(String),
    /// A name that is used before it is defined.
    #[error("{what} {name} is not defined")]
    Undefined {
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that is defined or set a second time.
    #[error("{what} {name} is set twice")]
    Duplicate {
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Something that must be given is not.
    #[error("{what} {name} is missing")]
    NotSet {
        /// What is missing.
        what: &'static str,
        /// Whose, or its name.
        name: String,
    },
    /// A name where another one must stand.
    #[error("{what} is `{found}` here but `{expected}` before")]
    Mismatch {
        /// What the name is.
        what: &'static str,
        /// The name that stands here.
        found: String,
        /// The name that should.
        expected: String,
    },
    /// An expanded array name of more than ten characters.
    #[error("the expanded name {0} has more than 10 characters")]
    NameTooLong(String),
    /// An array name that is not `base(i)`, `base(i,j)` or `base(i,j,k)`.
    #[error("`{0}` is no array name; base(i), base(i,j) or base(i,j,k) is expected")]
    BadArrayName(String),
    /// DO, DI, OD or ND where they cannot stand, or a loop that stays open.
    #[error("{0}")]
    Loop(&'static str),
    /// A card that must not stand within a loop.
    #[error("only parameter cards and array cards (code X, Z or A) may stand in a loop")]
    ScalarCardInLoop,
    /// Integer arithmetic beyond 2^53, from where real numbers skip integers.
    #[error("integer overflow: {0} is beyond 2^53")]
    IntegerOverflow(String),
    /// Division by zero in parameter arithmetic.
    #[error("division by zero")]
    DivisionByZero,
    /// A function of parameter arithmetic at an argument where it has no value.
    #[error("{function} has no value at {argument}")]
    Domain {
        /// The function.
        function: &'static str,
        /// The argument.
        argument: f64,
    },
    /// A result beyond the range of a double.
    #[error("the result is beyond the range of a double")]
    NotFinite,
    /// A function name that parameter arithmetic does not know.
    #[error("`{0}` is no function of parameter arithmetic")]
    UnknownFunction(String),
    /// More than [`super::Limits`] allow.
    #[error("more than {limit} {what}; raise the limit if that is meant")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A declaration of the function parts that says something impossible.
    #[error("{0}")]
    Declaration(String),
    /// A statement of the function parts that is no Fortran expression, or of the wrong type.
    #[error("{0}")]
    Expression(String),
    /// A parameter of the options that the file does not offer.
    #[error("the file offers no parameter {name}; it offers {offered}")]
    UnknownParameter {
        /// The name asked for.
        name: String,
        /// The names there are.
        offered: String,
    },
    /// A value of the options that its parameter cannot take.
    #[error("parameter {name} cannot be {value}; {expected}")]
    BadParameter {
        /// The name.
        name: String,
        /// The value asked for.
        value: f64,
        /// What is expected.
        expected: &'static str,
    },
}

impl fmt::Display for SifError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for position in [self.line, self.column].into_iter().flatten() {
            write!(f, "{position}:")?;
        }
        if self.line.is_some() {
            f.write_str(" ")?;
        }
        f.write_str(&self.message())
    }
}

impl SifError {
    /// An error at a place of the file.
    pub(crate) fn at(line: u32, column: u32, kind: SifErrorKind) -> Self {
        Self { line: Some(line as usize), column: Some(column as usize), kind }
    }

    /// An error of the options.
    pub(crate) fn of_options(kind: SifErrorKind) -> Self {
        Self { line: None, column: None, kind }
    }

    /// What is wrong, on one line: names and words of the file may hold any byte, and reach a terminal.
    fn message(&self) -> String {
        let message = self.kind.to_string();
        if !message.contains(char::is_control) {
            return message;
        }
        let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        message.chars().map(escaped).collect()
    }

    /// The same as the error of the reading layer, with the name of the file.
    pub fn in_file(&self, file: &str) -> ReadError {
        let message = self.message();
        // some messages say themselves what is expected
        let (problem, expected) = message
            .split_once("; ")
            .unwrap_or((&message, "a problem in the Standard Input Format is expected"));
        ReadError {
            file: file.into(),
            line: self.line,
            column: self.column,
            problem: problem.into(),
            expected: expected.into(),
        }
    }
}
