//! Statements of problems that several methods share.
//!
//! - [`nonlinear`]: smooth objective and constraints with sparse derivatives;
//! - [`linear_model`]: a data matrix with a [`loss`] and a [`penalty`].

pub mod linear_model;
pub mod loss;
pub mod nonlinear;
pub mod penalty;

pub use linear_model::{Classes, LinearModel, ModelError};
pub use nonlinear::{NonlinearProgram, Pattern, check_derivatives};
