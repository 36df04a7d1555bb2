//! Factorisations of symmetric and rectangular matrices.
//!
//! | type | matrix | gives |
//! | --- | --- | --- |
//! | [`DenseCholesky`] | dense, positive definite | L L' = A, made for many small factorisations |
//! | [`SparseCholesky`] | sparse, positive definite | P A P' = L L' |
//! | [`DenseIndefinite`] | dense, symmetric | Bunch-Kaufman L B L', inertia |
//! | [`SparseIndefinite`] | sparse, symmetric (KKT systems) | L B L', inertia, refined solves |
//! | [`SparseLdl`] | sparse, quasidefinite, little fill-in | P A P' = L D L' without pivoting, inertia |
//! | [`DenseQr`] | dense, at least as many rows as columns | Q R, least squares, orthonormal basis |
//! | [`dense_svd`], [`dense_symmetric_eigen`] | dense | singular values, eigenvalues and their vectors |
//!
//! The square ones share one shape: make an empty object once, call `factor` as often as the values change, and solve
//! after each. Memory is kept between calls, and the sparse ones keep the symbolic analysis for as long as the
//! pattern stays the same. All of them run on one thread, so that their bits don't depend on the number of threads.

mod dense_cholesky;
mod dense_indefinite;
mod dense_qr;
mod dense_spectral;
mod sparse_cholesky;
mod sparse_indefinite;
mod sparse_ldl;

pub use dense_cholesky::DenseCholesky;
pub use dense_indefinite::DenseIndefinite;
pub use dense_qr::DenseQr;
pub use dense_spectral::{Svd, dense_singular_values, dense_svd, dense_symmetric_eigen};
pub use sparse_cholesky::SparseCholesky;
pub use sparse_indefinite::{Refined, SparseIndefinite};
pub use sparse_ldl::SparseLdl;

use sprs::CsMatViewI;

/// Why a factorisation or a solve with it failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FactorError {
    /// A pivot isn't positive.
    #[error("the matrix is not positive definite: pivot {pivot} is not positive")]
    NotPositiveDefinite {
        /// Row of the matrix (from 0) whose pivot failed.
        pivot: usize,
    },
    /// The matrix has (numerically) zero pivots.
    #[error("the matrix is singular to working precision: {zero} zero pivots")]
    Singular {
        /// How many pivots count as zero.
        zero: usize,
    },
    /// Sizes that don't fit.
    #[error("{what}: expected {expected}, got {actual}")]
    Dimension {
        /// What was measured.
        what: &'static str,
        /// The size that fits.
        expected: usize,
        /// The size that was given.
        actual: usize,
    },
    /// An entry that is NaN or infinite.
    #[error("entry ({row}, {column}) is {value}; it must be finite")]
    NonFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// A solve before any successful factorisation.
    #[error("there is no factorisation yet: call `factor` first")]
    NotFactored,
    /// The factorisation was not begun, since it would go on beyond the caller's deadline.
    #[error("the next factorisation would take about {seconds:.1} s, more than there is left")]
    OutOfTime {
        /// What it is expected to take.
        seconds: f64,
    },
    /// The factorisation library gave up (out of memory, index overflow).
    #[error("factorisation failed: {0}")]
    Backend(String),
}

/// Numbers of positive, negative and zero eigenvalues, by Sylvester's law of inertia those of the block diagonal factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inertia {
    /// Positive eigenvalues.
    pub positive: usize,
    /// Negative eigenvalues.
    pub negative: usize,
    /// Eigenvalues that are zero to working precision.
    pub zero: usize,
}

impl Inertia {
    /// Adds the signs of the eigenvalues of a block diagonal matrix with blocks of one row, or of two where the subdiagonal
    /// isn't zero. An eigenvalue of at most `zero` in size counts as zero.
    fn add_blocks(&mut self, diagonal: &[f64], subdiagonal: &[f64], zero: f64) {
        let mut j = 0;
        while j < diagonal.len() {
            let off_diagonal = subdiagonal.get(j).copied().unwrap_or(0.0);
            if off_diagonal == 0.0 || j + 1 == diagonal.len() {
                self.add(diagonal[j], zero);
                j += 1;
            } else {
                let (p, q) = (diagonal[j], diagonal[j + 1]);
                let (mean, radius) = (0.5 * (p + q), (0.5 * (p - q)).hypot(off_diagonal));
                // the eigenvalue of larger size is free of cancellation, the other follows from the determinant
                let larger = if mean < 0.0 { mean - radius } else { mean + radius };
                self.add(larger, zero);
                self.add((p * q - off_diagonal * off_diagonal) / larger, zero);
                j += 2;
            }
        }
    }

    fn add(&mut self, eigenvalue: f64, zero: f64) {
        if eigenvalue.abs() <= zero {
            self.zero += 1;
        } else if eigenvalue > 0.0 {
            self.positive += 1;
        } else {
            self.negative += 1;
        }
    }
}

/// The size at which a pivot of an n x n matrix with entries near one counts as zero: rounding errors of the elimination
/// grow about like sqrt(n) eps.
fn zero_pivot(n: usize) -> f64 {
    64.0 * (n as f64).sqrt() * f64::EPSILON
}

/// The power of two next to 1 / sqrt(largest), for scaling a row and column whose largest entry this is (Ruiz 2001).
pub(crate) fn power_of_two_scale(largest: f64) -> f64 {
    if largest > 0.0 { (-0.5 * largest.log2()).round().exp2() } else { 1.0 }
}

/// Passes of scaling. After three the largest entries of all rows are within a small factor of one.
const SCALING_PASSES: usize = 3;

/// Refuses a size that isn't the expected one.
fn expect_size(what: &'static str, expected: usize, actual: usize) -> Result<(), FactorError> {
    if expected == actual { Ok(()) } else { Err(FactorError::Dimension { what, expected, actual }) }
}

/// Refuses a matrix that isn't square or holds an entry that isn't finite.
fn check_square(a: CsMatViewI<f64, u32>) -> Result<(), FactorError> {
    expect_size("columns of a square matrix", a.rows(), a.cols())?;
    if a.data().iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let bad = a.iter().find(|(value, _)| !value.is_finite());
    bad.map_or(Ok(()), |(&value, (row, column))| {
        Err(FactorError::NonFinite { row: row as usize, column: column as usize, value })
    })
}

/// The pattern of the last analysed matrix, to tell whether its symbolic analysis still holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pattern {
    by_columns: bool,
    pointers: Vec<u32>,
    indices: Vec<u32>,
}

impl Pattern {
    fn matches(&self, a: CsMatViewI<f64, u32>) -> bool {
        self.by_columns == a.is_csc()
            && self.pointers[..] == a.proper_indptr()[..]
            && self.indices[..] == *a.indices()
    }

    fn of(a: CsMatViewI<f64, u32>) -> Self {
        Self { by_columns: a.is_csc(), pointers: a.proper_indptr().to_vec(), indices: a.indices().to_vec() }
    }
}
