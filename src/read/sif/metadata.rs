//! What a file says besides the functions: names, bounds, starting point, and what its comments tell.

use super::card::{Line, find, is_marked};
use super::names::{Name, latin1};
use super::number::{integer, real};

/// Type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableType {
    /// Any real number.
    Continuous,
    /// An integer.
    Integer,
    /// 0 or 1.
    ZeroOne,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A 32-bit integer.
    Integer,
    /// A real number.
    Real,
}

/// A value that the user may change: a card marked `$-PARAMETER`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Integer or real.
    pub kind: ParameterKind,
    /// The value that was used.
    pub value: f64,
    /// The value that stands in the file.
    pub default: f64,
    /// Values that the file lists as comments, in its order.
    pub alternatives: Vec<f64>,
    /// Line of the card.
    pub line: usize,
}

/// A solution value that a comment of the file states; none is guaranteed to belong to the size at hand.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownValue {
    /// What stands in brackets, most often the size: `SOLTN(10)` has the label `10`.
    pub label: Option<String>,
    /// Objective value at the solution.
    pub value: f64,
}

/// Something odd that does not keep the problem from being understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line, from 1; None for the problem as a whole.
    pub line: Option<usize>,
    /// What is odd.
    pub text: String,
}

/// Everything but the functions: n variables, m constraints c_lower <= c(x) <= c_upper.
///
/// Constants and scales are inside of c(x). Absent bounds are infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Name of the problem.
    pub name: String,
    /// Classification string, such as `OOR2-AN-2-1`: the kinds of objective and constraints, smoothness, degree of the
    /// derivatives given, origin, internal variables, and sizes (Bongartz, Conn, Gould and Toint 1995).
    pub classification: Option<String>,
    /// The values that the user may change.
    pub parameters: Vec<Parameter>,
    /// Objective values at solutions as comments state them.
    pub known_values: Vec<KnownValue>,
    /// Known lower bound of the objective.
    pub objective_lower: Option<f64>,
    /// Known upper bound of the objective.
    pub objective_upper: Option<f64>,
    /// n names.
    pub variable_names: Vec<String>,
    /// n types.
    pub variable_types: Vec<VariableType>,
    /// n lower bounds.
    pub lower: Vec<f64>,
    /// n upper bounds; one below the lower bound makes the problem infeasible and is kept as it stands.
    pub upper: Vec<f64>,
    /// The n components of the starting point.
    pub x0: Vec<f64>,
    /// m names.
    pub constraint_names: Vec<String>,
    /// m lower bounds.
    pub c_lower: Vec<f64>,
    /// m upper bounds.
    pub c_upper: Vec<f64>,
    /// m starting multipliers.
    pub v0: Vec<f64>,
    /// Which of the m constraints are equations.
    pub equation: Vec<bool>,
    /// Which of the m constraints are linear by the way they are written: no group function and no elements.
    pub linear: Vec<bool>,
    /// What is odd about the file.
    pub warnings: Vec<Warning>,
}

/// What comments say, gathered line by line.
#[derive(Debug, Default)]
pub(super) struct Comments {
    classification: Option<String>,
    known_values: Vec<KnownValue>,
    alternatives: Vec<(ParameterKind, Name, f64)>,
}

impl Comments {
    /// Looks at one comment line.
    pub(super) fn note(&mut self, line: &Line) {
        let text = line.text;
        if self.classification.is_none() {
            self.classification = classification(text);
        }
        if text.len() < 10 {
            return;
        }
        if text[1..].trim_ascii_start().starts_with(b"LO SOLTN") {
            self.known_values.extend(known_value(text));
        }
        if matches!(&text[1..3], b"IE" | b"RE") && is_marked(text) {
            self.alternatives.extend(alternative(text));
        }
    }

    /// Hands what was gathered to the metadata.
    pub(super) fn give_to(self, metadata: &mut Metadata) {
        metadata.classification = self.classification;
        metadata.known_values = self.known_values;
        for parameter in &mut metadata.parameters {
            let name = Name::new(parameter.name.as_bytes());
            let same =
                self.alternatives.iter().filter(|(kind, other, _)| *kind == parameter.kind && *other == name);
            parameter.alternatives = same.map(|(_, _, value)| *value).collect();
        }
    }
}

/// The word behind `classification`, up to a blank.
fn classification(text: &[u8]) -> Option<String> {
    let at = find(text, b"classification").or_else(|| find(text, b"CLASSIFICATION"))?;
    let rest = text[at + b"classification".len()..].trim_ascii_start();
    let end = rest.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(rest.len());
    Some(latin1(&rest[..end])).filter(|word| !word.is_empty())
}

/// `*LO SOLTN(10)   1.5D+3`.
fn known_value(text: &[u8]) -> Option<KnownValue> {
    let at = find(text, b"SOLTN")?;
    let mut rest = text[at + b"SOLTN".len()..].trim_ascii_start();
    let mut label = None;
    if rest.first() == Some(&b'(') {
        let close = rest.iter().position(|&byte| byte == b')')?;
        label = Some(latin1(rest[1..close].trim_ascii()));
        rest = rest[close + 1..].trim_ascii_start();
    }
    let end = rest.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(rest.len());
    let value = real(&rest[..end]).ok()??;
    Some(KnownValue { label, value })
}

/// `*IE N   100   $-PARAMETER`: a card made a comment.
fn alternative(text: &[u8]) -> Option<(ParameterKind, Name, f64)> {
    let name = Name::new(text.get(4..14)?);
    let number = text.get(24..text.len().min(36))?;
    if text[1] == b'I' {
        Some((ParameterKind::Integer, name, integer(number).ok()? as f64))
    } else {
        Some((ParameterKind::Real, name, real(number).ok()??))
    }
}
