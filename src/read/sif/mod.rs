//! The Standard Input Format (SIF) of the CUTEst collection of test problems.
//!
//! A file states: minimise f(x) over l <= x <= u, c_lower <= c(x) <= c_upper, with partially separable functions
//!
//! ```text
//! f(x)   = sum over objective groups i of g_i(t_i(x)) / s_i  (+ x'Hx / 2)
//! c_i(x) = g_i(t_i(x)) / s_i  for every constraint group i
//! t_i(x) = sum_j w_ij F_j(x_j) + a_i'x - b_i
//! ```
//!
//! The language has parameters with arithmetic, loops, and array names; the functions F_j and g_i are Fortran
//! expressions with their derivatives (Conn, Gould and Toint, LANCELOT, Springer 1992, chapters 2 and 7).
//!
//! | file | what |
//! | --- | --- |
//! | `card`, `free_form`, `names`, `number` | lines, fields, names of ten characters, numbers |
//! | `parameters`, `program`, `section` | parameter arithmetic, loops, compiled data cards |
//! | `decoder` | the problem part, card by card |
//! | `model`, `rows`, `vectors`, `types` | what the cards of each section say |
//! | `function_part` | the parts with the functions; expressions stay text |
//! | `function` | expressions compiled to programs |
//! | `evaluate` | values, derivatives, patterns, products |
//! | `problem` | [`SifProblem`], all of it together |
//! | `assemble`, `decoded`, `metadata` | the flat description of the problem |

mod assemble;
mod card;
// A description may say more than evaluation asks: the scale beside its inverse, lines of declarations.
#[allow(dead_code)]
pub(crate) mod decoded;
mod decoder;
mod error;
mod evaluate;
mod free_form;
mod function;
mod function_part;
mod metadata;
mod model;
mod names;
mod number;
mod parameters;
mod problem;
mod program;
mod rows;
mod section;
#[cfg(test)]
mod tests;
mod types;
mod vectors;

use std::borrow::Cow;
use std::path::Path;

pub use error::{SifError, SifErrorKind};
pub use evaluate::SifWorkspace;
pub use function::{ExternalFunction, ExternalFunctions};
pub use metadata::{KnownValue, Metadata, Parameter, ParameterKind, VariableType, Warning};
pub use problem::SifProblem;

use super::{ReadError, Source};
use card::{Line, LineKind, Lines};
use decoded::{Decoded, FunctionPart};
use decoder::Decoder;

/// Which arithmetic the numbers of a problem have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Double precision throughout.
    #[default]
    Exact,
    /// As the reference decoder SIFDecode with CUTEst: data of eleven significant digits, literals without the exponent
    /// letter D in single precision.
    Cutest,
}

/// How much a file may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Cards that are executed, those in loops once per turn.
    pub executed_cards: u64,
    /// Bytes of memory for the problem, roughly.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { executed_cards: 50_000_000, memory: 256 << 20 }
    }
}

/// How to read a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Values for parameters that the file marks as `$-PARAMETER`; of two for one name the later counts.
    pub parameters: Vec<(String, f64)>,
    /// Which arithmetic the numbers have.
    pub mode: Mode,
    /// Reads a line that starts with `%` as a comment, and function parts under another name, with warnings.
    pub lenient: bool,
    /// How much the file may ask for.
    pub limits: Limits,
    /// Functions that files call and do not define.
    pub externals: ExternalFunctions,
}

/// Decodes the text of a SIF file and returns all but its functions: names, bounds, starting point, flags.
///
/// Cost: one pass over the text, and one step per executed card.
///
/// # Errors
/// The first flaw of the file with its line and column, a parameter that the file does not offer, more than the limits
/// allow.
///
/// # Examples
/// ```
/// let text = b"\
/// NAME          SMALL
/// VARIABLES
///     X
/// GROUPS
///  N  OBJ       X         2.0
///  G  ROW       X         1.0
/// ENDATA
/// ";
/// let problem = gradus::read::sif::describe(text, &Default::default())?;
/// assert_eq!((problem.variable_names.len(), problem.constraint_names.len()), (1, 1));
/// assert_eq!((problem.lower[0], problem.c_lower[0]), (0.0, 0.0));
/// # Ok::<(), gradus::read::sif::SifError>(())
/// ```
pub fn describe(text: &[u8], options: &Options) -> Result<Metadata, SifError> {
    decode(text, options).map(|(metadata, _)| metadata)
}

/// As [`describe`], of a file: a path, or `-` for standard input; plain, gzip, xz or zstd.
///
/// # Errors
/// As [`describe`], with the name of the file; an input that cannot be read.
pub fn describe_file(path: impl AsRef<Path>, options: &Options) -> Result<Metadata, ReadError> {
    let source = Source::open(path)?;
    describe(source.bytes(), options).map_err(|error| error.in_file(source.name()))
}

/// Decodes the text of a SIF file: the metadata, and what the evaluation of the functions starts from.
///
/// # Errors
/// As [`describe`].
pub(crate) fn decode(text: &[u8], options: &Options) -> Result<(Metadata, Decoded), SifError> {
    let mut decoder = Decoder::new(options);
    let text = without_tabs(text, &mut decoder);
    let mut lines = Lines::new(&text);
    decoder.problem_part(&mut lines)?;
    let (element_part, group_part) = function_parts(&mut lines, &mut decoder, options.mode)?;
    let mut metadata = Metadata {
        name: decoder.name.to_string(),
        parameters: decoder.offered,
        warnings: decoder.warnings,
        ..Metadata::default()
    };
    decoder.comments.give_to(&mut metadata);
    let decoded = assemble::assemble(decoder.model, element_part, group_part, options.mode, &mut metadata)?;
    Ok((metadata, decoded))
}

/// Makes a blank of every tab, with a warning where it stands in a card.
fn without_tabs<'t>(text: &'t [u8], decoder: &mut Decoder) -> Cow<'t, [u8]> {
    if !text.contains(&b'\t') {
        return Cow::Borrowed(text);
    }
    for line in Lines::new(text) {
        let visible = &line.text[..line.text.len().min(card::WIDTH)];
        if visible.contains(&b'\t') && line.kind() != LineKind::Comment {
            decoder.warn(line.number, "a tab is read as one blank");
        }
    }
    Cow::Owned(text.iter().map(|&byte| if byte == b'\t' { b' ' } else { byte }).collect())
}

/// The element functions and the group functions. What follows them is no part of the language.
fn function_parts(
    lines: &mut Lines,
    decoder: &mut Decoder,
    mode: Mode,
) -> Result<(FunctionPart, FunctionPart), SifError> {
    let mut element_part = None;
    let mut group_part = None;
    while group_part.is_none() {
        let Some(line) = lines.find(|line| matches!(line.kind(), LineKind::Header | LineKind::Data)) else {
            break;
        };
        match line.keyword() {
            b"ELEMENTS" if element_part.is_none() => {
                check_name(&line, decoder)?;
                element_part =
                    Some(function_part::read(lines, &decoder.model.element_types, "element type", mode)?);
            }
            b"GROUPS" => {
                check_name(&line, decoder)?;
                group_part =
                    Some(function_part::read(lines, &decoder.model.group_types, "group type", mode)?);
            }
            _ => break,
        }
    }
    Ok((
        element_part.unwrap_or_else(|| function_part::declared(&decoder.model.element_types)),
        group_part.unwrap_or_else(|| function_part::declared(&decoder.model.group_types)),
    ))
}

/// The name of a function part must be that of the problem.
fn check_name(line: &Line, decoder: &mut Decoder) -> Result<(), SifError> {
    let found = line.header_name();
    if found == decoder.name {
        return Ok(());
    }
    if decoder.is_lenient() {
        decoder.warn(line.number, "the name of the problem differs from that behind NAME");
        return Ok(());
    }
    let (found, expected) = (found.to_string(), decoder.name.to_string());
    Err(SifError::at(
        line.number,
        15,
        SifErrorKind::Mismatch { what: "the name of the problem", found, expected },
    ))
}
