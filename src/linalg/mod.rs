//! Matrices and kernels. Knows nothing of optimisation.
//!
//! - [`design`]: [`DesignMatrix`], the rows and columns of one data matrix, sparse or dense;
//! - [`block`]: [`ColumnBlock`], a few columns of it, compact, with their weighted Gram matrix;
//! - [`product`]: vector and sparse kernels, parallel with a fixed reduction order.

pub mod block;
pub mod design;
pub mod product;

pub use block::ColumnBlock;
pub use design::{DesignError, DesignMatrix, Standardization, VectorView};
