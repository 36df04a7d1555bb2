//! What keeps a solve from starting.

use crate::linalg::factor::FactorError;

/// What keeps a solve from starting. Not reaching the tolerance is no error but a status.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A vector of the wrong length.
    #[error("{what} has {actual} entries; {expected} are expected")]
    Length {
        /// Which vector.
        what: &'static str,
        /// The length that fits.
        expected: usize,
        /// The length that was given.
        actual: usize,
    },
    /// A sparsity pattern of the wrong shape.
    #[error("the pattern of the {what} is {} x {}; {} x {} is expected", actual.0, actual.1, expected.0, expected.1)]
    Shape {
        /// Jacobian or Hessian.
        what: &'static str,
        /// Rows and columns that fit.
        expected: (usize, usize),
        /// Rows and columns that were given.
        actual: (usize, usize),
    },
    /// An entry of the Hessian's pattern above the diagonal.
    #[error(
        "entry ({row}, {column}) of the Hessian's pattern lies above the diagonal; only the lower triangle is stored"
    )]
    UpperTriangle {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
    },
    /// A number that must be finite and isn't.
    #[error("entry {index} of {what} is {value}; it must be finite")]
    NotFinite {
        /// Which vector.
        what: &'static str,
        /// Index, from 0.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// Bounds that leave nothing between them, or that are no bounds.
    #[error(
        "{what} {index} has lower bound {lower} and upper bound {upper}; the lower one must be below infinity, the upper one above minus infinity, lower <= upper"
    )]
    Bounds {
        /// Variable or constraint.
        what: &'static str,
        /// Index, from 0.
        index: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A problem of a kind that the solver doesn't take.
    #[error("{0}")]
    Unsupported(String),
    /// An option out of its range, or two that contradict each other.
    #[error("{0}")]
    Option(String),
    /// The linear algebra gave up: out of memory, index overflow.
    #[error(transparent)]
    Factorization(#[from] FactorError),
}

/// A value of the problem's functions that isn't finite: the point lies outside their domain.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("entry {index} of the {what} is {value}: the point lies outside the domain of the functions")]
pub struct EvaluationError {
    /// Objective, constraints, gradient, Jacobian or Hessian.
    pub what: &'static str,
    /// Index of the first such value, in the order of the pattern.
    pub index: usize,
    /// The value.
    pub value: f64,
}
