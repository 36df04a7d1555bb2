//! Random matrices S with few rows that shorten tall ones: S A keeps the geometry of the columns of A.
//!
//! | sketch | cost of S A, A n x d | rows for a subspace embedding of d columns |
//! | --- | --- | --- |
//! | [`Gaussian`] | s nnz(A) | O(d / eps^2) |
//! | [`SparseSign`], zeta entries per column | zeta nnz(A) | O(d log d / eps^2) for zeta = O(log d / eps) |
//! | [`SparseSign::count_sketch`] | nnz(A) | O(d^2 / eps^2) |
//! | [`Hadamard`] (SRHT) | d n log n | O((d + log n) log d / eps^2) |
//! | [`RowSampling`] | s d | depends on the coherence of A |
//!
//! All are scaled so that E\[S'S\] = I, and |S x|^2 is |x|^2 on average. (Woodruff 2014; Martinsson and Tropp 2020, sections
//! 8 and 9.) The random numbers are drawn by one thread from the caller's generator, and the products are summed in an order that
//! doesn't depend on the number of threads.

mod gaussian;
mod hadamard;
mod row_sampling;
mod rows;
mod sparse_sign;

pub use gaussian::Gaussian;
pub use hadamard::Hadamard;
pub use row_sampling::{RowSampling, squared_row_norms, squared_row_norms_sparse};
pub use rows::count_sketch_rows;
pub use sparse_sign::SparseSign;

use faer::{Mat, MatRef};
use rand_chacha::ChaCha8Rng;
use sprs::CsMatViewI;

/// A random s x n matrix S.
///
/// Outputs are column-major slices, so that one buffer may serve many sketches.
pub trait Sketch {
    /// s, the number of rows of S.
    fn rows(&self) -> usize;

    /// n, the number of columns of S.
    fn columns(&self) -> usize;

    /// Draws a new S of the same kind and size, in the memory of the old one.
    fn redraw(&mut self, rng: &mut ChaCha8Rng);

    /// y <- S x. x has n entries, y has s.
    ///
    /// # Errors
    /// `Dimension` where a length differs.
    fn apply_vector(&self, x: &[f64], y: &mut [f64]) -> Result<(), SketchError>;

    /// Column-major s x d slice `out` <- S A for a dense n x d matrix A.
    ///
    /// # Errors
    /// `Dimension` where a size differs.
    fn apply_dense(&self, a: MatRef<f64>, out: &mut [f64]) -> Result<(), SketchError>;

    /// Column-major s x d slice `out` <- S A for a sparse n x d matrix A in CSR.
    ///
    /// # Errors
    /// `Dimension` where a size differs; `NotByRows` for a matrix in CSC.
    fn apply_sparse(&self, a: CsMatViewI<f64, u32>, out: &mut [f64]) -> Result<(), SketchError>;

    /// S itself, s x n: for tests and for looking at.
    fn materialize(&self) -> Mat<f64>;
}

/// A sketch that can't be drawn or applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SketchError {
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
    /// A sketch without rows, or with more nonzeros per column, or more rows, than there is room for.
    #[error("{what} is {actual}; it must be between 1 and {largest}")]
    Size {
        /// Which size.
        what: &'static str,
        /// The size that was given.
        actual: usize,
        /// The largest possible.
        largest: usize,
    },
    /// A sampling weight that is negative or not finite.
    #[error("weight {index} is {value}; weights must be finite and not negative")]
    Weight {
        /// Index of the weight, from 0.
        index: usize,
        /// The weight.
        value: f64,
    },
    /// Sampling weights without a positive one.
    #[error("all weights are zero: there is no row to sample")]
    NoWeight,
    /// A sparse matrix stored by columns.
    #[error("the sparse matrix is stored by columns; sketches read it by rows (CSR)")]
    NotByRows,
}

fn expect_size(what: &'static str, expected: usize, actual: usize) -> Result<(), SketchError> {
    if expected == actual { Ok(()) } else { Err(SketchError::Dimension { what, expected, actual }) }
}

fn expect_between(what: &'static str, actual: usize, largest: usize) -> Result<(), SketchError> {
    if (1..=largest).contains(&actual) { Ok(()) } else { Err(SketchError::Size { what, actual, largest }) }
}

fn check_vector(sketch: &dyn Sketch, x: &[f64], y: &[f64]) -> Result<(), SketchError> {
    expect_size("entries of the vector", sketch.columns(), x.len())?;
    expect_size("entries of the sketched vector", sketch.rows(), y.len())
}

fn check_matrix(sketch: &dyn Sketch, shape: (usize, usize), out: &[f64]) -> Result<(), SketchError> {
    expect_size("rows of the matrix", sketch.columns(), shape.0)?;
    expect_size("entries of the sketched matrix", sketch.rows() * shape.1, out.len())
}

fn check_sparse(sketch: &dyn Sketch, a: CsMatViewI<f64, u32>, out: &[f64]) -> Result<(), SketchError> {
    if a.is_csr() { check_matrix(sketch, a.shape(), out) } else { Err(SketchError::NotByRows) }
}

/// Column j of A as a slice, copied into `buffer` where its entries don't lie side by side.
fn contiguous<'a>(a: MatRef<'a, f64>, j: usize, buffer: &'a mut Vec<f64>) -> &'a [f64] {
    let column = a.col(j);
    match column.try_as_col_major() {
        Some(column) => column.as_slice(),
        None => {
            buffer.clear();
            buffer.extend(column.iter());
            buffer
        }
    }
}

/// Fills the rows of S A for sparse A, each by `fill(h, row)` on d zeros and in parallel, and writes them column-major.
fn by_rows(rows: usize, columns: usize, out: &mut [f64], fill: impl Fn(usize, &mut [f64]) + Sync) {
    use rayon::prelude::*;
    if columns == 0 {
        return;
    }
    let mut row_major = vec![0.0; rows * columns];
    row_major.par_chunks_mut(columns).enumerate().for_each(|(h, row)| fill(h, row));
    for (j, column) in out.chunks_exact_mut(rows).enumerate() {
        column.iter_mut().enumerate().for_each(|(h, value)| *value = row_major[h * columns + j]);
    }
}
