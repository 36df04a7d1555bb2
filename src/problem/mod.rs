//! Statements of problems that several methods share.
//!
//! - [`nonlinear`]: smooth objective and constraints with sparse derivatives;
//! - [`linear_model`]: a data matrix with a [`loss`] and a [`penalty`];
//! - [`multinomial`]: a data matrix with the softmax loss and a [`penalty`];
//! - [`pairwise`]: losses of nodes and of differences along the edges of a graph;
//! - [`quadratic`]: a sparse quadratic on a box.

pub mod linear_model;
pub mod loss;
pub mod multinomial;
pub mod nonlinear;
pub mod pairwise;
pub mod penalty;
pub mod quadratic;

pub use linear_model::{Classes, LinearModel, ModelError};
pub use multinomial::MultinomialModel;
pub use nonlinear::{NonlinearProgram, Pattern, check_derivatives};
pub use pairwise::PairwiseModel;
pub use quadratic::{BoxQuadratic, QuadraticError};
