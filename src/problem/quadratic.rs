//! Quadratics on a box: minimise x'Qx / 2 - c'x over lower <= x <= upper, Q sparse, symmetric, positive semidefinite.

use sprs::CsMatI;

/// What is wrong with a quadratic.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuadraticError {
    /// Sizes that do not fit.
    #[error("{what}: expected {expected}, got {given}")]
    Size {
        /// What was measured.
        what: &'static str,
        /// What fits.
        expected: usize,
        /// What was given.
        given: usize,
    },
    /// A number that is not finite.
    #[error("{what} {index} is {value}; it must be finite")]
    Value {
        /// Of which vector or matrix.
        what: &'static str,
        /// Entry or row, from 0.
        index: usize,
        /// The number.
        value: f64,
    },
    /// Q differs from its transpose.
    #[error("the matrix is not symmetric: entry ({row}, {column}) is {value}, its mirror image {mirror}")]
    Asymmetric {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The entry.
        value: f64,
        /// The entry at (column, row).
        mirror: f64,
    },
    /// A negative entry on the diagonal.
    #[error("diagonal entry {index} is {value}; a positive semidefinite matrix has none below zero")]
    Diagonal {
        /// Row, from 0.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// An empty interval.
    #[error("the bounds of unknown {index} are [{lower}, {upper}]; lower must not exceed upper")]
    Bounds {
        /// Unknown, from 0.
        index: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
}

/// x'Qx / 2 - c'x on a box.
#[derive(Debug, Clone)]
pub struct BoxQuadratic {
    /// Q, n x n, both triangles stored, by rows.
    pub matrix: CsMatI<f64, u32>,
    /// c.
    pub linear: Vec<f64>,
    /// Bounds, one pair per unknown, infinite for none; no bounds at all where absent.
    pub bounds: Option<(Vec<f64>, Vec<f64>)>,
}

impl BoxQuadratic {
    /// A quadratic without bounds.
    pub fn new(matrix: CsMatI<f64, u32>, linear: Vec<f64>) -> Self {
        Self { matrix: matrix.into_csr(), linear, bounds: None }
    }

    /// Checks sizes, numbers, symmetry (to 1e-12 of the entry) and bounds. O(entries log).
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), QuadraticError> {
        let n = self.linear.len();
        let size = |what, given| {
            if given == n { Ok(()) } else { Err(QuadraticError::Size { what, expected: n, given }) }
        };
        size("rows of the matrix", self.matrix.rows())?;
        size("columns of the matrix", self.matrix.cols())?;
        if let Some(index) = self.linear.iter().position(|value| !value.is_finite()) {
            return Err(QuadraticError::Value { what: "linear term", index, value: self.linear[index] });
        }
        for (&value, (row, column)) in self.matrix.iter() {
            let (row, column) = (row as usize, column as usize);
            if !value.is_finite() {
                return Err(QuadraticError::Value { what: "an entry of row", index: row, value });
            }
            if row == column && value < 0.0 {
                return Err(QuadraticError::Diagonal { index: row, value });
            }
            let mirror = self.matrix.get(column, row).copied().unwrap_or(0.0);
            if (value - mirror).abs() > 1e-12 * value.abs().max(mirror.abs()) {
                return Err(QuadraticError::Asymmetric { row, column, value, mirror });
            }
        }
        let Some((lower, upper)) = &self.bounds else { return Ok(()) };
        size("lower bounds", lower.len())?;
        size("upper bounds", upper.len())?;
        for (index, (&lower, &upper)) in lower.iter().zip(upper).enumerate() {
            // written so that a NaN fails too
            if !(lower <= upper) || lower == f64::INFINITY || upper == f64::NEG_INFINITY {
                return Err(QuadraticError::Bounds { index, lower, upper });
            }
        }
        Ok(())
    }
}
