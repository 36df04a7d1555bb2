//! Block coordinate descent for linear models: squared, logistic and other losses with l1, l2 and bounds.
//!
//! [`CoordinateDescent`] minimises F(x, b) = sum of s_r phi(a_r'x + b + o_r; y_r) + h(x), stated as a
//! [`LinearModel`]. Where h has kinks it works on small sets of columns: cyclic proximal passes find the signs,
//! second-order steps on the support finish (`working_set.rs`, `quadratic.rs`). Where h is smooth it is Newton's
//! method with the cheapest of three linear solvers (`newton.rs`). Every answer carries a duality gap, or, where no
//! dual point is known, a relative gradient (`certificate.rs`), computed from the answer alone.
//!
//! [`block`] holds the published method in its building blocks: every partition, selection rule and update.
//!
//! ```
//! use gradus::control::{Limits, Status};
//! use gradus::coordinate::CoordinateDescent;
//! use gradus::linalg::DesignMatrix;
//! use gradus::problem::LinearModel;
//!
//! // two columns, three rows, column-major; y = 2 * first column
//! let design = DesignMatrix::from_dense(3, 2, vec![1.0, 2.0, 3.0, 1.0, -1.0, 0.5])?;
//! let model = LinearModel::lasso(design, vec![2.0, 4.0, 6.0], 0.1);
//! let solver = CoordinateDescent { limits: Limits { tolerance: 1e-10, ..Limits::default() } , ..Default::default() };
//! let fit = solver.solve(&model)?;
//! assert_eq!(fit.status, Status::Solved);
//! // the soft-thresholded least-squares slope: (28/3 - 0.1) / (14/3)
//! assert!((fit.coefficients[0] - (28.0 / 3.0 - 0.1) / (14.0 / 3.0)).abs() < 1e-9);
//! assert_eq!(fit.coefficients[1], 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod block;
mod certificate;
mod dual;
pub mod graph;
mod group;
mod multinomial;
mod newton;
pub mod path;
mod quadratic;
mod standing;
mod state;
mod support_vector;
mod working_set;

use std::fmt;
use std::ops::Deref;

pub use certificate::{Measure, certify};
pub use multinomial::{MultinomialFit, MultinomialStart};
pub use support_vector::SupportVectorMachine;

use crate::control::{Certificate, Limits, Monitor, Run, Status, Summary};
use crate::linalg::DesignMatrix;
use crate::problem::{LinearModel, ModelError, QuadraticError};
use state::{State, check_point};

/// What keeps a fit from starting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The model is not one.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The quadratic is not one.
    #[error(transparent)]
    Quadratic(#[from] QuadraticError),
    /// An option of the solver is out of range, or two contradict each other.
    #[error("{0}")]
    Option(String),
    /// The starting point does not fit the model.
    #[error("the start has {given} coefficients, the data {columns} columns")]
    Start {
        /// Coefficients given.
        given: usize,
        /// Columns of the data.
        columns: usize,
    },
    /// An entry of the starting point is not finite.
    #[error("coefficient {index} of the start is {value}; it must be finite")]
    StartValue {
        /// Its index; the number of columns stands for the intercept.
        index: usize,
        /// The entry.
        value: f64,
    },
}

/// Coordinate descent with working sets and second-order steps on the support.
#[derive(Debug, Clone)]
pub struct CoordinateDescent {
    /// When to stop; the tolerance is compared with the relative certificate.
    pub limits: Limits,
    /// What is certified.
    pub measure: Measure,
    /// Columns in the first working set, at least 1.
    pub working_set: usize,
}

impl Default for CoordinateDescent {
    fn default() -> Self {
        Self { limits: Limits::default(), measure: Measure::Auto, working_set: 20 }
    }
}

/// Where a fit starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start<'a> {
    /// One coefficient per column.
    pub coefficients: &'a [f64],
    /// The intercept; must be 0 for a model without one.
    pub intercept: f64,
}

/// A fitted linear model. Everything about the run is in [`Summary`], which this dereferences to.
#[derive(Debug, Clone)]
pub struct Fit {
    /// x, one coefficient per column of the data matrix.
    pub coefficients: Vec<f64>,
    /// b; 0 for a model without intercept.
    pub intercept: f64,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

impl Deref for Fit {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nnon-zeros    {} of {}", self.summary, self.nonzeros(), self.coefficients.len())
    }
}

impl Fit {
    /// Number of coefficients that are not exactly zero.
    pub fn nonzeros(&self) -> usize {
        self.coefficients.iter().filter(|&&x| x != 0.0).count()
    }

    /// A x + b for the rows of a data matrix with the same columns.
    pub fn predictors(&self, design: &DesignMatrix) -> Vec<f64> {
        let mut z = vec![0.0; design.rows()];
        design.multiply(&self.coefficients, &mut z);
        z.iter_mut().for_each(|z| *z += self.intercept);
        z
    }
}

/// The trace's own columns.
const COLUMNS: [&str; 3] = ["nonzeros", "working_set", "models"];

impl CoordinateDescent {
    fn check(&self) -> Result<(), Error> {
        self.limits.check().map_err(Error::Option)?;
        if self.working_set == 0 {
            return Err(Error::Option("working_set is 0; it must be at least 1".into()));
        }
        Ok(())
    }

    /// Fits the model from zero.
    ///
    /// # Errors
    /// A model or an option that is not allowed. Not reaching the tolerance is a status.
    pub fn solve(&self, model: &LinearModel) -> Result<Fit, Error> {
        self.solve_with(model, None, &mut Monitor::none())
    }

    /// Fits the model from a given start, watched by a monitor.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); a start of the wrong length or with an entry that is not finite.
    pub fn solve_with(
        &self,
        model: &LinearModel,
        start: Option<Start>,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        self.check()?;
        model.check()?;
        certificate::check(model, self.measure)?;
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let mut state = State::new(model, self.measure, start)?;
        let status = if model.penalty.is_smooth() {
            newton::solve(&mut state, &mut run)
        } else {
            working_set::solve(&mut state, &mut run, self.working_set)
        };
        Ok(state.into_fit(status, run))
    }
}

impl State<'_> {
    /// Closes the run.
    fn into_fit(self, status: Status, run: Run) -> Fit {
        let Certificate { relative, .. } = self.standing.certificate;
        let method = if self.model.penalty.is_smooth() { "newton" } else { "working-set coordinate descent" };
        let mut notes = Vec::new();
        if self.model.design.columns() > 0 && self.support_size() == 0 && relative <= run.limits().tolerance {
            notes.push(
                "every coefficient is zero: the penalty is at or above l1_max, or the target is constant"
                    .into(),
            );
        }
        let largest = self.z.iter().fold(0.0f64, |m, z| m.max(z.abs()));
        if self.model.loss.is_classification() && status != Status::Solved && largest > 30.0 {
            notes.push(
                "predictors grow without bound: the classes look separable and the penalty is too weak"
                    .into(),
            );
        }
        let seconds = run.seconds();
        let history = run.into_history();
        let iterations = history.records.len().saturating_sub(1);
        let (objective, certificate, counts) =
            (self.standing.objective, self.standing.certificate, self.standing.counts);
        let summary =
            Summary { method, status, objective, certificate, iterations, counts, seconds, history, notes };
        Fit { coefficients: self.x, intercept: self.intercept, summary }
    }
}
