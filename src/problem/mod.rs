//! Statements of problems that several methods share.
//!
//! - [`linear_model`]: a data matrix with a [`loss`] and a [`penalty`].

pub mod linear_model;
pub mod loss;
pub mod penalty;

pub use linear_model::{Classes, LinearModel, ModelError};
