//! Nonlinear programs: minimise f(x) subject to cl <= c(x) <= cu and xl <= x <= xu, stated as a
//! [`NonlinearProgram`](crate::problem::NonlinearProgram).
//!
//! - [`InteriorPoint`] takes everything: bounds, inequalities, more equations than variables.
//! - [`SketchNewton`] takes equations alone: Newton steps on the Lagrangian, solved exactly or only as well as needed, by
//!   factorisation, MINRES or randomised sketch-and-project, and globalised by a line search on an exact augmented Lagrangian.
//!
//! Every answer carries the optimality error E of its point and multipliers, recomputed from those alone ([`certify`]); the
//! Lagrangian is f + y'c, multipliers of bounds are not negative.
//!
//! | file | what |
//! | --- | --- |
//! | `evaluator`, `scaling` | a problem's functions: checked, scaled, counted, values that aren't finite caught |
//! | `termination`, `certificate` | the error E, and all that is known of an answer |
//! | `kkt`, `kkt_factors`, `condensed` | the matrix of a Newton step and its factors |
//! | `regularization` | the shifts that make it go downhill |
//! | `interior_point` | the interior point method, and sensitivities of solutions |
//! | `sketch_newton` | the exact augmented Lagrangian method |
//! | `solution`, `log`, `error` | what comes out: answer, iteration log, refusals |

mod certificate;
mod condensed;
mod error;
pub mod evaluator;
pub mod interior_point;
pub mod kkt;
mod kkt_factors;
pub mod log;
mod regularization;
mod scaling;
pub mod sketch_newton;
mod solution;
mod termination;

pub use certificate::{Answer, Certificate, SecondOrder, certify};
pub use error::{Error, EvaluationError};
pub use evaluator::{Bounds, Evaluator};
pub use interior_point::{InteriorPoint, SecondDerivatives, Sensitivity};
pub use scaling::Scaling;
pub use sketch_newton::{Accuracy, InnerSolver, SketchNewton};
pub use solution::{Outcome, Seconds, Solution, Start};
pub use termination::{KktError, Parts, Point};
