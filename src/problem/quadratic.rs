//! Quadratics on a box: minimise x'Qx / 2 - c'x over lower <= x <= upper, Q sparse, symmetric, positive semidefinite.

use sprs::{CsMatI, CsVecViewI};

use crate::linalg::factor::{DenseCholesky, power_of_two_scale};
use crate::linalg::product::summation_error;

/// No larger matrix is factored to prove that it is positive semidefinite: its factor would take over 32 MB.
const LARGEST_PROOF: usize = 2000;
/// Rows whose diagonal falls short by no more than this share of it are rounding.
const ROUNDING: f64 = 1e-12;

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
    /// e >= 0 such that Q + diag(e) is positive semidefinite: proved, whatever the rounding of the proof. Zero for a Q that
    /// is so itself; small shares of the diagonal for one that is singular, or that rounding of its entries has made
    /// indefinite; `None` where Q could not be proved to be near one that is. O(entries) where the diagonal outweighs
    /// the rest of every row (Gershgorin), else a Cholesky factorisation, n^3 / 3, for n up to 2000.
    pub(crate) fn concavity(&self) -> Option<Vec<f64>> {
        let rows = self.matrix.outer_iterator().enumerate();
        let (diagonal, excess): (Vec<f64>, Vec<f64>) = rows.map(|(i, row)| excess(i, row)).unzip();
        if diagonal.iter().zip(&excess).all(|(own, excess)| *excess <= ROUNDING * own) {
            return Some(excess);
        }
        self.concavity_by_cholesky(&diagonal)
    }

    /// If the factorisation of an M runs to its end, L L' = M + E with |E_ij| <= c sqrt(m_ii m_jj), c the rounding of sums of
    /// n products (Higham 2002, theorem 10.3; Demmel 1989), so that M + c n diag(M) is positive semidefinite. M is Q with
    /// that much less on its diagonal, which proves Q, or with that much more. Rows are scaled by powers of two, so that
    /// the range of doubles plays no part.
    fn concavity_by_cholesky(&self, diagonal: &[f64]) -> Option<Vec<f64>> {
        let n = diagonal.len();
        if n > LARGEST_PROOF {
            return None;
        }
        let share = 1.1 * n as f64 * summation_error(n);
        let scale: Vec<f64> = diagonal.iter().map(|&own| power_of_two_scale(own)).collect();
        let (mut matrix, mut cholesky) = (vec![0.0; n * n], DenseCholesky::new());
        for (i, row) in self.matrix.outer_iterator().enumerate() {
            if diagonal[i] == 0.0 {
                // an unknown that Q leaves out; not one, if the row has other entries
                if row.iter().any(|(_, &value)| value != 0.0) {
                    return None;
                }
                matrix[i * n + i] = 1.0;
                continue;
            }
            for (j, &value) in row.iter().filter(|entry| entry.0 <= i) {
                matrix[j * n + i] = value * scale[i] * scale[j];
            }
        }
        let own: Vec<f64> = (0..n).map(|i| matrix[i * n + i]).collect();
        let mut has_factor = |share: f64| {
            own.iter().enumerate().for_each(|(i, own)| matrix[i * n + i] = own * (1.0 + share));
            cholesky.factor(n, &matrix).is_ok()
        };
        if has_factor(-share) {
            return Some(vec![0.0; n]);
        }
        has_factor(share).then(|| diagonal.iter().map(|own| 2.2 * share * own).collect())
    }
}

/// The diagonal entry of row i, and by how much the sizes of the others exceed it, at least: their sum is carried with what
/// each addition loses (Neumaier 1974), so that a row whose entries cancel exactly is seen to.
fn excess(i: usize, row: CsVecViewI<f64, u32>) -> (f64, f64) {
    let (mut own, mut sum, mut lost, mut uncertain) = (0.0, 0.0f64, 0.0, 0.0);
    for (j, &value) in row.iter() {
        if i == j {
            own = value;
            continue;
        }
        let (size, total) = (value.abs(), sum + value.abs());
        let loss = if sum >= size { (sum - total) + size } else { (size - total) + sum };
        lost += loss;
        uncertain += loss.abs();
        sum = total;
    }
    let excess = (sum - own) + lost + summation_error(row.nnz()) * uncertain;
    // beyond the range of doubles nothing is seen
    (own, if excess.is_finite() { excess.max(0.0) * (1.0 + 4.0 * f64::EPSILON) } else { f64::INFINITY })
}
