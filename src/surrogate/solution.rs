//! What a run returns.

use std::fmt;
use std::ops::Deref;

use super::{Checkpoint, Choice, Method, Surrogate};
use crate::control::{Certificate, Run, Status, Summary};

/// The answer for any map.
#[derive(Debug, Clone)]
pub struct Solution {
    /// theta.
    pub parameters: Vec<f64>,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
    /// From where the run can go on.
    pub checkpoint: Checkpoint,
}

/// A fitted linear model.
#[derive(Debug, Clone)]
pub struct Fit {
    /// One coefficient per column; with k classes p x k, row-major.
    pub coefficients: Vec<f64>,
    /// One intercept per output; 0 for a model without.
    pub intercepts: Vec<f64>,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
    /// From where the run can go on.
    pub checkpoint: Checkpoint,
}

impl Deref for Solution {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl Deref for Fit {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for Solution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary.fmt(f)
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary.fmt(f)
    }
}

impl Fit {
    pub(super) fn new(solution: Solution, columns: usize, outputs: usize, intercept: bool) -> Self {
        let Solution { mut parameters, summary, checkpoint } = solution;
        let intercepts = if intercept { parameters.split_off(columns * outputs) } else { vec![0.0; outputs] };
        Self { coefficients: parameters, intercepts, summary, checkpoint }
    }
}

/// A mean loss below this with predictors that still grow tells separable classes.
const SEPARATED: f64 = 1e-8;

impl Solution {
    pub(super) fn new(
        solver: &Surrogate,
        parameters: Vec<f64>,
        (status, objective, certificate): (Status, f64, Certificate),
        checkpoint: Checkpoint,
        run: Run,
    ) -> Self {
        // the record before the last step met the tolerance: the answer that is returned decides
        let status = if certificate.relative <= run.limits().tolerance && status != Status::Interrupted {
            Status::Solved
        } else if status == Status::Solved {
            Status::Stalled
        } else {
            status
        };
        let mut notes = Vec::new();
        let work = checkpoint.work;
        match checkpoint.choice {
            Some(Choice::Interpolating) if solver.method == Method::Automatic => notes.push(format!(
                "automatic: the batches look interpolating ({:.2} of the steps would raise the next batch's loss)",
                checkpoint.trial.share()
            )),
            Some(Choice::Aggregate) if solver.method == Method::Automatic => notes.push(format!(
                "automatic: the batches disagree ({:.2} of the steps would raise the next batch's loss); surrogates are added up",
                checkpoint.trial.share()
            )),
            _ => {}
        }
        if work.failed_searches > 0 {
            notes.push(format!("{} line searches ended without an accepted step", work.failed_searches));
        }
        if (0.0..SEPARATED).contains(&objective) && parameters.iter().any(|v| v.abs() > 10.0) {
            notes.push("the loss tends to zero while the parameters grow: separable, no finite optimum; a ridge gives one".into());
        }
        let seconds = run.seconds();
        let history = run.into_history();
        let iterations = history.records.len().saturating_sub(1);
        let counts = work.counts();
        let method = solver.method.name();
        let summary =
            Summary { method, status, objective, certificate, iterations, counts, seconds, history, notes };
        Self { parameters, summary, checkpoint }
    }
}
