//! Statements of problems that several methods share.
//!
//! - `argmin` (feature `argmin`): adapters from and to argmin's problems;
//! - [`closures`]: a nonlinear program put together from closures;
//! - [`constrained_logistic`], [`poisson_control`]: two nonlinear programs with a lot of structure;
//! - [`nonlinear`]: smooth objective and constraints with sparse derivatives;
//! - [`linear_model`]: a data matrix with a [`loss`] and a [`penalty`];
//! - [`multinomial`]: a data matrix with the softmax loss and a [`penalty`];
//! - [`quadratic`]: a sparse quadratic on a box.

#[cfg(feature = "argmin")]
pub mod argmin;
pub mod closures;
pub mod constrained_logistic;
pub mod linear_model;
pub mod loss;
pub mod multinomial;
pub mod nonlinear;
pub mod penalty;
pub mod poisson_control;
pub mod quadratic;

pub use constrained_logistic::ConstrainedLogistic;
pub use linear_model::{Classes, LinearModel, ModelError};
pub use multinomial::MultinomialModel;
pub use nonlinear::{NonlinearProgram, Pattern, check_derivatives};
pub use poisson_control::PoissonControl;
pub use quadratic::{BoxQuadratic, QuadraticError};
