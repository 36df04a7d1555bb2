//! Low-rank matrix completion: observed entries of a matrix to the whole of it.
//!
//! [`Completion`] fits v_ij ~ mean + b_i + c_j + x_i'y_j to observed entries by alternating minimisation: with one factor
//! fixed, every row of the other is a small least-squares problem. As Gu, Song, Yin and Zhang (2024) show, those may be
//! solved approximately, to an accuracy relative to the current error, without losing the guarantee of recovery; a sweep
//! then costs about |Omega| k instead of |Omega| k^2.
//!
//! - [`Observations`]: the entries, by rows and by columns;
//! - `row`, `half_step`: the rows' problems, exactly, by conjugate gradients with one preconditioner for all rows, or by
//!   conjugate gradients with a sketch of each row's own matrix as published;
//! - `start`: spectral and staged starts;
//! - `alternate`: the sweeps, and what watches over them;
//! - `certificate`: gradient and, for a uniform ridge, the gap to the global optimum of the convex problem;
//! - [`LowRankModel`]: the answer: predictions, best columns of a row, new rows.
//!
//! ```
//! use gradus::completion::{Completion, Duplicates, Observations};
//! use gradus::control::Status;
//!
//! // 40 x 30 of rank one, two entries of three observed
//! let value = |i: u32, j: u32| (1.0 + f64::from(i)) * (2.0 + f64::from(j % 7)) / 10.0;
//! let entries: Vec<(u32, u32, f64)> = (0..40)
//!     .flat_map(|i| (0..30).map(move |j| (i, j)))
//!     .filter(|(i, j)| (i * 7 + j * 11) % 3 > 0)
//!     .map(|(i, j)| (i, j, value(i, j)))
//!     .collect();
//! let problem = Observations::new(40, 30, &entries, Duplicates::Refuse)?;
//! let answer = Completion { rank: 1, ..Completion::default() }.solve(&problem)?;
//! assert_eq!(answer.status, Status::Solved);
//! assert!((answer.model.predict(0, 2) - value(0, 2)).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alternate;
mod certificate;
mod checkpoint;
mod half_step;
mod model;
mod observations;
mod options;
mod phase;
mod robust;
mod row;
mod row_problem;
mod start;
mod state;
mod tune;

use std::fmt;
use std::ops::Deref;

pub use alternate::{Saver, Start};
pub use certificate::{GlobalGap, certify, global_gap};
pub use checkpoint::Checkpoint;
pub use model::LowRankModel;
pub use observations::{Duplicates, Entry, Observations};
pub use options::{Completion, HalfStep, Loss, RidgeKind, StartRule};
pub use tune::{Trial, choose_ridge};

use crate::control::Summary;
use crate::linalg::factor::FactorError;

/// What keeps a completion from starting.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No entry, or none with a weight.
    #[error("there is no observed entry")]
    Empty,
    /// Too many entries, rows or columns.
    #[error("{size} {what}; at most 2^32 - 2 are supported")]
    Size {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        size: usize,
    },
    /// A position outside of the matrix.
    #[error("entry ({row}, {column}) lies outside of the {rows} x {columns} matrix (counted from 0)")]
    Index {
        /// Row, from 0.
        row: u32,
        /// Column, from 0.
        column: u32,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// A value that is NaN or infinite.
    #[error("the value at ({row}, {column}) is {value}; it must be finite")]
    Value {
        /// Row, from 0.
        row: u32,
        /// Column, from 0.
        column: u32,
        /// The value.
        value: f64,
    },
    /// Two values at one position.
    #[error("position ({row}, {column}) occurs twice; choose the mean, the last or the sum of its values")]
    Duplicate {
        /// Row, from 0.
        row: u32,
        /// Column, from 0.
        column: u32,
    },
    /// A weight that is negative or not finite.
    #[error("the weight at ({row}, {column}) is {weight}; it must be finite and not negative")]
    Weight {
        /// Row, from 0.
        row: u32,
        /// Column, from 0.
        column: u32,
        /// The weight.
        weight: f64,
    },
    /// Weights and entries that don't pair up.
    #[error("{given} weights for {entries} entries")]
    WeightCount {
        /// Weights given.
        given: usize,
        /// Entries given.
        entries: usize,
    },
    /// A rank that the matrix can't have.
    #[error("rank {rank} of a {rows} x {columns} matrix; it must lie between 1 and {}", rows.min(columns))]
    Rank {
        /// The rank asked for.
        rank: usize,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// Fewer entries than unknowns, and no ridge to choose among the solutions.
    #[error(
        "{entries} entries cannot determine the {unknowns} unknowns of rank {rank}; choose a smaller rank or a ridge"
    )]
    TooFew {
        /// Observed entries.
        entries: usize,
        /// k (m + n - k), for the rows and columns with entries.
        unknowns: usize,
        /// The rank asked for.
        rank: usize,
    },
    /// An option out of range, or two that contradict each other.
    #[error("{0}")]
    Option(String),
    /// A value that implicit feedback can't use.
    #[error(
        "implicit feedback counts how often: the value at ({row}, {column}) is {value}; it must be positive"
    )]
    Implicit {
        /// Row, from 0.
        row: u32,
        /// Column, from 0.
        column: u32,
        /// The value.
        value: f64,
    },
    /// A start or checkpoint of another problem.
    #[error("the start does not fit: {0}")]
    Start(String),
    /// A dense factorisation failed.
    #[error(transparent)]
    Factor(#[from] FactorError),
}

/// A completed matrix. Everything about the run is in [`Summary`], which this dereferences to.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The factors and biases.
    pub model: LowRankModel,
    /// Root mean square error over the observed entries that were fitted, as weighted.
    pub train_rmse: f64,
    /// The same over the entries that the solver held out for itself, if it did.
    pub validation_rmse: Option<f64>,
    /// |P(XY' - V)| / |P(V)| over the fitted entries; V without its mean where there are biases.
    pub relative_residual: f64,
    /// Number of singular values of XY' above 1e-10 of the largest.
    pub effective_rank: usize,
    /// Connected components of the observed positions.
    pub components: usize,
    /// For a uniform ridge without biases, weights or other losses: how far from the global optimum at most.
    pub global_gap: Option<GlobalGap>,
    /// Status, objective, certificate, sweeps, counts, time and trace.
    pub summary: Summary,
}

impl Deref for Solution {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for Solution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nrank         {}", self.summary, self.model.rank())?;
        if self.effective_rank < self.model.rank() {
            write!(f, " (effective {})", self.effective_rank)?;
        }
        write!(
            f,
            "\nfit          rmse {:.6e}, relative residual {:.3e}",
            self.train_rmse, self.relative_residual
        )?;
        if let Some(error) = self.validation_rmse {
            write!(f, ", held out {error:.6e}")?;
        }
        if let Some(gap) = &self.global_gap {
            write!(
                f,
                "\nglobal gap   {:.3e}, relative {:.3e}; |E|/ridge - 1 = {:.3e}",
                gap.value, gap.relative, gap.excess
            )?;
        }
        Ok(())
    }
}
