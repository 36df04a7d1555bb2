//! Matrices and kernels. Knows nothing of optimisation.
//!
//! - [`design`]: [`DesignMatrix`], the rows and columns of one data matrix, sparse or dense;
//! - [`block`]: [`ColumnBlock`], a few columns of it, compact, with their weighted Gram matrix;
//! - [`product`]: dots, norms and sparse products with a fixed order of summation;
//! - [`elementary`]: exponential and logarithm for vector loops;
//! - [`factor`]: Cholesky, QR and symmetric indefinite factorisations, symbolic analysis kept;
//! - [`forest`]: systems without cycles in linear time, and cuts of a graph into such;
//! - [`krylov`]: CG, MINRES and GMRES on a [`krylov::LinearOperator`], and preconditioners;
//! - [`sketch`]: random matrices that shorten tall ones;
//! - [`sketch_project`]: sketch-and-project solvers of symmetric systems;
//! - [`line_search`]: Armijo and strong Wolfe steps along a line.

pub mod block;
pub mod design;
pub mod elementary;
pub mod factor;
pub mod forest;
mod gram;
pub mod krylov;
pub mod line_search;
mod normal;
pub mod product;
pub mod sketch;
pub mod sketch_project;

pub use block::ColumnBlock;
pub use design::{DesignError, DesignMatrix, Standardization, VectorView};
pub use normal::NormalWorkspace;
