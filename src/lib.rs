//! Classical optimisation solvers on one sparse linear-algebra layer, each answer with a certificate.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`linalg`] | matrices, products, factorisations, Krylov methods, sketches, line searches |
//! | [`problem`] | statements of problems that several methods share |
//! | [`read`] | files to problems: LIBSVM, Matrix Market, NumPy, ratings |
//! | [`control`] | limits, status, trace, progress and interruption of a run |
//! | [`coordinate`] | losses with separable penalties, by coordinate descent |
//! | [`constrained`] | nonlinear programs: interior point for all, exact augmented Lagrangian for equations |
//! | [`transport`] | optimal transport with entropy, by sparse Newton methods and Sinkhorn's |
//! | [`completion`] | low-rank matrix completion by robust alternating minimisation |
//! | [`relaxation`] | sequences of sparse linear systems: SOR and SSOR-CG, omega by formula, probe or learning |
//! | [`relu`] | two-layer ReLU networks to a certified optimum, by convex programs |
//! | [`surrogate`] | models whose gradient oracle is costly, by target-space surrogates |
#![cfg_attr(feature = "plot", doc = "| [`report`] | convergence plots and the HTML report |")]
//!
//! ```
//! use gradus::prelude::*;
//!
//! let data = gradus::read::libsvm::parse(b"1.5 1:1 2:0.5\n-0.5 1:-1\n2 1:1 2:1\n", "three rows", &Default::default())?;
//! let design = DesignMatrix::from_sparse_or_dense(data.matrix)?;
//! let model = LinearModel::lasso(design, data.labels, 0.1);
//! let fit = CoordinateDescent::default().solve(&model)?;
//! assert_eq!(fit.status, Status::Solved);
//! println!("{fit}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod completion;
pub mod constrained;
pub mod control;
pub mod coordinate;
pub mod linalg;
pub mod problem;
pub mod read;
pub mod relaxation;
pub mod relu;
#[cfg(feature = "plot")]
pub mod report;
pub mod surrogate;
pub mod transport;

/// What most programs need.
pub mod prelude {
    pub use crate::completion::Completion;
    pub use crate::constrained::{InteriorPoint, SketchNewton};
    pub use crate::control::{Limits, Status};
    pub use crate::coordinate::CoordinateDescent;
    pub use crate::linalg::DesignMatrix;
    pub use crate::problem::{LinearModel, NonlinearProgram};
    pub use crate::relaxation::Relaxation;
    pub use crate::relu::ConvexRelu;
    pub use crate::surrogate::Surrogate;
    pub use crate::transport::Transport;
}
