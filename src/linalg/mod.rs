//! Matrices and kernels. Knows nothing of optimisation.
//!
//! - [`product`]: dots, norms and sparse products with a fixed order of summation;
//! - [`factor`]: Cholesky, QR and symmetric indefinite factorisations, symbolic analysis kept;
//! - [`krylov`]: CG, MINRES and GMRES on a [`krylov::LinearOperator`], and preconditioners;
//! - [`sketch`]: random matrices that shorten tall ones;
//! - [`line_search`]: Armijo and strong Wolfe steps along a line.

pub mod factor;
pub mod krylov;
pub mod line_search;
pub mod product;
pub mod sketch;
