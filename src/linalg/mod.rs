//! Matrices and kernels. Knows nothing of optimisation.
//!
//! - [`design`]: [`DesignMatrix`], the rows and columns of one data matrix, sparse or dense;
//! - [`block`]: [`ColumnBlock`], a few columns of it, compact, with their weighted Gram matrix;
//! - [`row_block`]: [`RowBlock`], a few rows of it, compact, with their Gram matrices;
//! - [`product`]: dots, norms and sparse products with a fixed order of summation;
//! - [`elementary`]: exponential and logarithm for vector loops;
//! - [`exponential`]: sums of exponentials over rows, at the machine's full width;
//! - [`factor`]: Cholesky, QR and symmetric indefinite factorisations, symbolic analysis kept;
//! - [`forest`]: systems without cycles in linear time, and cuts of a graph into such;
//! - [`krylov`]: CG, MINRES and GMRES on a [`krylov::LinearOperator`], and preconditioners;
//! - [`panel`]: products of dense matrices in panels of columns;
//! - [`cone_projection`]: projection onto {v : g_k'v >= 0};
//! - [`compact_bfgs`]: limited-memory BFGS matrices;
//! - [`sketch`]: random matrices that shorten tall ones;
//! - [`line_search`]: Armijo and strong Wolfe steps along a line;
//! - [`tall`]: row-major matrices of few columns, such as low-rank factors;
//! - [`truncated_svd`]: the largest singular values of sparse matrices, and their vectors;
//! - [`tridiagonal`]: extreme eigenvalues, such as those of Lanczos matrices;
//! - [`sketch_project`]: sketch-and-project solvers of symmetric systems;
//! - [`splitmix`]: random numbers that other programs can draw too.

pub mod block;
pub mod compact_bfgs;
pub mod cone_projection;
pub mod design;
pub mod elementary;
pub mod exponential;
pub mod factor;
pub mod forest;
mod gram;
pub mod krylov;
pub mod line_search;
mod multiple;
#[cfg(feature = "nalgebra")]
mod nalgebra;
mod normal;
pub mod panel;
pub mod product;
mod row;
pub mod row_block;
pub mod sketch;
pub mod sketch_project;
pub mod splitmix;
pub mod tall;
pub mod tridiagonal;
pub mod truncated_svd;

pub use block::ColumnBlock;
pub use design::{DesignError, DesignMatrix, Standardization, VectorView};
pub use normal::NormalWorkspace;
pub use row_block::RowBlock;
pub use tall::TallMatrix;
