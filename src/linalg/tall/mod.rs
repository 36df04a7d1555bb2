//! Tall matrices of few columns, row-major, in the manner that low-rank factors are used.
//!
//! - [`TallMatrix`]: the storage, products with small matrices, orthonormalisation;
//! - `kernel`: the vectorised loops over rows: Gram matrices, A'(A x), sums of scaled rows.

mod kernel;
mod matrix;
mod orthonormal;

pub use kernel::{LANES, RowKernels, Rows};
pub use matrix::{Element, TallMatrix};
