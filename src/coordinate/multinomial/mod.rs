//! Multinomial regression, solved as scalar losses are: with kinks by working sets and Newton models
//! (`working_set.rs`), smooth by Newton's method (`newton.rs`). `state.rs` holds the point and its certificate,
//! `block.rs` a few unknowns and their Hessian.

mod block;
mod newton;
mod state;
mod working_set;

use std::fmt;
use std::ops::Deref;

use super::{CoordinateDescent, Error, check_point};
use crate::control::{Monitor, Run, Status, Summary};
use crate::linalg::DesignMatrix;
use crate::problem::MultinomialModel;
pub(super) use state::State;

/// A fitted multinomial model. Everything about the run is in [`Summary`], which this dereferences to.
#[derive(Debug, Clone)]
pub struct MultinomialFit {
    /// X, p x k, feature by feature: feature j and class c have the index j k + c.
    pub coefficients: Vec<f64>,
    /// b, one per class; zeros for a model without intercept.
    pub intercepts: Vec<f64>,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

impl Deref for MultinomialFit {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for MultinomialFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nnon-zeros    {} of {}", self.summary, self.nonzeros(), self.coefficients.len())
    }
}

impl MultinomialFit {
    /// Number of coefficients that are not exactly zero.
    pub fn nonzeros(&self) -> usize {
        self.coefficients.iter().filter(|&&x| x != 0.0).count()
    }

    /// A X + b for the rows of a data matrix with the same columns, n x k row by row.
    pub fn predictors(&self, design: &DesignMatrix) -> Vec<f64> {
        let k = self.intercepts.len();
        let mut z = vec![0.0; design.rows() * k];
        design.multiply_many(k, &self.coefficients, &mut z);
        for row in z.chunks_exact_mut(k) {
            row.iter_mut().zip(&self.intercepts).for_each(|(z, b)| *z += b);
        }
        z
    }
}

/// Where a multinomial fit starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultinomialStart<'a> {
    /// X, feature by feature.
    pub coefficients: &'a [f64],
    /// One intercept per class; zeros for a model without.
    pub intercepts: &'a [f64],
}

impl CoordinateDescent {
    /// Fits a multinomial model, from zero or from a given start, watched by a monitor. With l1 the duality gap is
    /// certified from rows of a dual point whose entries are probabilities, as for the scalar losses.
    ///
    /// ```
    /// use gradus::control::{Monitor, Status};
    /// use gradus::coordinate::CoordinateDescent;
    /// use gradus::linalg::DesignMatrix;
    /// use gradus::problem::{MultinomialModel, penalty::ElasticNet};
    ///
    /// let design = DesignMatrix::from_dense(4, 2, vec![1.0, 0.8, -1.0, 0.0, 0.1, 0.0, 0.2, 1.0])?;
    /// let penalty = ElasticNet { l1: 0.01, l2: 0.01, weights: None };
    /// let model = MultinomialModel::new(design, vec![0, 0, 1, 2], 3, penalty);
    /// let fit = CoordinateDescent::default().solve_multinomial(&model, None, &mut Monitor::none())?;
    /// assert_eq!((fit.status, fit.certificate.kind), (Status::Solved, "duality_gap"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A model, an option or a start that is not allowed. Not reaching the tolerance is a status.
    pub fn solve_multinomial(
        &self,
        model: &MultinomialModel,
        start: Option<MultinomialStart>,
        monitor: &mut Monitor,
    ) -> Result<MultinomialFit, Error> {
        self.check()?;
        model.check()?;
        State::check_measure(model, self.measure)?;
        let mut run = Run::start(&self.limits, monitor, &super::COLUMNS);
        let mut state = State::origin(model, self.measure);
        if let Some(start) = start {
            check_point(start.coefficients, 0.0, model.unknowns())?;
            check_point(start.intercepts, 0.0, model.loss.classes)?;
            state.start_from(start.coefficients, start.intercepts);
        }
        let smooth = model.penalty.is_smooth();
        let status = if smooth {
            newton::solve(&mut state, &mut run)
        } else {
            working_set::solve(&mut state, &mut run, self.working_set)
        };
        Ok(finish(state, smooth, status, run))
    }
}

/// Closes the run.
fn finish(state: State, smooth: bool, status: Status, run: Run) -> MultinomialFit {
    let mut notes = Vec::new();
    let solved = state.standing.certificate.relative <= run.limits().tolerance;
    if solved && !state.x.is_empty() && state.support_size() == 0 {
        notes.push("every coefficient is zero: the penalty is at or above l1_max".into());
    }
    if status != Status::Solved && state.z.iter().any(|z| z.abs() > 30.0) {
        notes.push(
            "predictors grow without bound: the classes look separable and the penalty is too weak".into(),
        );
    }
    let (seconds, history) = (run.seconds(), run.into_history());
    let summary = Summary {
        method: if smooth { "newton" } else { "working-set coordinate descent" },
        status,
        objective: state.standing.objective,
        certificate: state.standing.certificate,
        iterations: history.records.len().saturating_sub(1),
        counts: state.standing.counts,
        seconds,
        history,
        notes,
    };
    MultinomialFit { coefficients: state.x, intercepts: state.b, summary }
}
