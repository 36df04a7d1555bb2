//! Classical optimisation solvers on one sparse linear-algebra layer, each answer with a certificate.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`linalg`] | matrices, products, factorisations, Krylov methods, sketches, line searches |
//! | [`problem`] | statements of problems that several methods share |
//! | [`read`] | files to problems: LIBSVM, Matrix Market, NumPy, ratings |
//! | [`control`] | limits, status, trace, progress and interruption of a run |
//! | [`coordinate`] | losses with separable penalties, by coordinate descent |
#![cfg_attr(feature = "plot", doc = "| [`report`] | convergence plots and the HTML report |")]

pub mod control;
pub mod coordinate;
pub mod linalg;
pub mod problem;
pub mod read;
#[cfg(feature = "plot")]
pub mod report;
