//! What a solver of nonlinear programs returns.

use std::fmt;
use std::ops::Deref;

use super::certificate::{Answer, Certificate, first_order, summary};
use super::error::Error;
use super::evaluator::Evaluator;
use super::termination::KktError;
use crate::control::{Counts, Run, Status, Summary};

/// Why a solver ended, in its own words; [`Outcome::status`] is what it means to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// E is at most the tolerance, and the unscaled parts are within their limits.
    Optimal,
    /// No further progress, at a point with E <= 1e-6.
    Acceptable,
    /// The iteration limit was reached first.
    IterationLimit,
    /// The time limit was reached first.
    TimeLimit,
    /// The observer or the interrupt flag asked to stop.
    Interrupted,
    /// An entry of x grew beyond 1e20, or the objective fell without bound.
    Diverging,
    /// A stationary point of the constraint violation that is not feasible.
    LocallyInfeasible,
    /// A least-squares solution of equations that have no common solution.
    LeastSquaresStationary,
    /// The step was shortened to nothing without sufficient decrease.
    LineSearchFailed,
    /// The way back to feasibility was not found.
    RestorationFailed,
    /// The functions are not finite at the start or anywhere along the step.
    EvaluationError,
    /// No regularisation makes the linear system usable.
    SingularSystem,
}

impl Outcome {
    /// The status that every solver's outcome is put into.
    pub fn status(self) -> Status {
        match self {
            Self::Optimal => Status::Solved,
            Self::IterationLimit => Status::IterationLimit,
            Self::TimeLimit => Status::TimeLimit,
            Self::Interrupted => Status::Interrupted,
            Self::Diverging => Status::Unbounded,
            Self::LocallyInfeasible | Self::LeastSquaresStationary => Status::Infeasible,
            Self::Acceptable
            | Self::LineSearchFailed
            | Self::RestorationFailed
            | Self::EvaluationError
            | Self::SingularSystem => Status::Stalled,
        }
    }

    /// Whether it says something of the last point: that it is a solution, or why there is none. Otherwise the best point is
    /// the answer.
    pub(super) fn is_a_verdict(self) -> bool {
        matches!(
            self,
            Self::Optimal
                | Self::Acceptable
                | Self::Diverging
                | Self::LocallyInfeasible
                | Self::LeastSquaresStationary
        )
    }

    /// One sentence for a reader.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Acceptable => "no further progress in floating point; the point is acceptable, not optimal",
            Self::Diverging => "the iterates or the objective diverge: the problem appears to be unbounded",
            Self::LocallyInfeasible => {
                "the constraint violation has a stationary point here that is not feasible"
            }
            Self::LeastSquaresStationary => {
                "the equations have no common solution near here; this is a least-squares one"
            }
            Self::LineSearchFailed => "no step along the direction decreases the merit function",
            Self::RestorationFailed => "the way back to feasibility was not found",
            Self::EvaluationError => "the functions are not finite at the start or along the step",
            Self::SingularSystem => "the linear system stays singular however it is regularised",
            other => other.status().sentence(),
        }
    }
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        match status {
            Status::Solved => Self::Optimal,
            Status::IterationLimit => Self::IterationLimit,
            Status::TimeLimit => Self::TimeLimit,
            Status::Interrupted => Self::Interrupted,
            Status::Unbounded => Self::Diverging,
            Status::Infeasible => Self::LocallyInfeasible,
            Status::Stalled => Self::LineSearchFailed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Where the time of a solve went, wall-clock seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds {
    /// Inside the problem's functions.
    pub evaluation: f64,
    /// Factorisations, solves and products with the KKT matrix.
    pub linear_algebra: f64,
    /// Everything else.
    pub rest: f64,
}

/// Where to start instead of the problem's own start, all unscaled; an absent part is the solver's choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// x, length n.
    pub x: Option<&'a [f64]>,
    /// y, length m.
    pub multipliers: Option<&'a [f64]>,
    /// zl, length n.
    pub lower_multipliers: Option<&'a [f64]>,
    /// zu, length n.
    pub upper_multipliers: Option<&'a [f64]>,
}

/// An answer with all that is known of it. Everything about the run is in [`Summary`], which this dereferences to.
#[derive(Clone, Debug)]
pub struct Solution {
    /// x.
    pub x: Vec<f64>,
    /// y, of the Lagrangian f + y'c.
    pub multipliers: Vec<f64>,
    /// zl >= 0.
    pub lower_multipliers: Vec<f64>,
    /// zu >= 0.
    pub upper_multipliers: Vec<f64>,
    /// c(x).
    pub constraints: Vec<f64>,
    /// Why the solver ended.
    pub outcome: Outcome,
    /// The optimality error, recomputed from x, y and z alone.
    pub kkt: KktError,
    /// |(grad f + J'y - zl + zu; violation)|_2, unscaled.
    pub residual_norm: f64,
    /// Where the time went.
    pub time: Seconds,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

impl Deref for Solution {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

/// What a solver hands over at its end; x and multipliers unscaled.
pub(super) struct Finished {
    pub method: &'static str,
    pub outcome: Outcome,
    pub x: Vec<f64>,
    pub multipliers: Vec<f64>,
    pub lower_multipliers: Vec<f64>,
    pub upper_multipliers: Vec<f64>,
    /// The solver's own counts, without evaluations.
    pub counts: Counts,
    pub linear_algebra_seconds: f64,
    pub notes: Vec<String>,
}

impl Solution {
    /// Recomputes the error from the answer and closes the run; a solver that says optimal where that disagrees is corrected.
    ///
    /// # Errors
    /// Those of the certificate.
    pub(super) fn close(finished: Finished, evaluator: &mut Evaluator, run: Run) -> Result<Self, Error> {
        let Finished { method, mut outcome, x, multipliers, lower_multipliers, upper_multipliers, .. } =
            finished;
        let (mut counts, mut notes) = (finished.counts, finished.notes);
        let answer = Answer {
            x: &x,
            multipliers: &multipliers,
            lower_multipliers: &lower_multipliers,
            upper_multipliers: &upper_multipliers,
        };
        let Certificate { objective, kkt, residual_norm, .. } = first_order(evaluator, &answer)?;
        let tolerance = run.limits().tolerance;
        if outcome == Outcome::Optimal && !kkt.is_solved(tolerance) {
            outcome = if kkt.is_acceptable() { Outcome::Acceptable } else { Outcome::LineSearchFailed };
            notes.push(format!(
                "the error recomputed from the answer is {:.3e}, above the tolerance",
                kkt.error
            ));
        }
        let mut constraints = vec![0.0; evaluator.rows()];
        // outside the domain the values are unspecified
        if evaluator.unscaled(|evaluator| evaluator.values(&x, &mut constraints)).is_err() {
            constraints.fill(f64::NAN);
        }
        evaluator.counts().add_to(&mut counts);
        counts.entry("factorizations").or_default();
        let seconds = run.seconds();
        let (evaluation, linear_algebra) = (evaluator.seconds(), finished.linear_algebra_seconds);
        let time =
            Seconds { evaluation, linear_algebra, rest: (seconds - evaluation - linear_algebra).max(0.0) };
        let history = run.into_history();
        let summary = Summary {
            method,
            status: outcome.status(),
            objective,
            certificate: summary(&kkt),
            iterations: history.records.len().saturating_sub(1),
            counts,
            seconds,
            history,
            notes,
        };
        Ok(Self {
            x,
            multipliers,
            lower_multipliers,
            upper_multipliers,
            constraints,
            outcome,
            kkt,
            residual_norm,
            time,
            summary,
        })
    }

    /// The answer alone, for [`certify`](super::certify).
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            x: &self.x,
            multipliers: &self.multipliers,
            lower_multipliers: &self.lower_multipliers,
            upper_multipliers: &self.upper_multipliers,
        }
    }

    /// This answer as the start of another solve.
    pub fn as_start(&self) -> Start<'_> {
        Start {
            x: Some(&self.x),
            multipliers: Some(&self.multipliers),
            lower_multipliers: Some(&self.lower_multipliers),
            upper_multipliers: Some(&self.upper_multipliers),
        }
    }
}

impl fmt::Display for Solution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { method, objective, iterations, counts, seconds, notes, .. } = &self.summary;
        let (scaled, unscaled) = (&self.kkt.scaled, &self.kkt.unscaled);
        writeln!(f, "method       {method}")?;
        writeln!(f, "status       {}", self.outcome)?;
        writeln!(f, "objective    {objective:.14e}")?;
        writeln!(
            f,
            "KKT error    {:.3e} scaled (dual {:.2e}, violation {:.2e}, complementarity {:.2e}); unscaled {:.2e}, {:.2e}, {:.2e}",
            self.kkt.error,
            scaled.dual_infeasibility,
            scaled.constraint_violation,
            scaled.complementarity,
            unscaled.dual_infeasibility,
            unscaled.constraint_violation,
            unscaled.complementarity
        )?;
        let counts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        writeln!(f, "work         {iterations} iterations; {}", counts.join(", "))?;
        write!(
            f,
            "time         {seconds:.4} s: evaluation {:.4}, linear algebra {:.4}, rest {:.4}",
            self.time.evaluation, self.time.linear_algebra, self.time.rest
        )?;
        for note in notes {
            write!(f, "\nnote         {note}")?;
        }
        Ok(())
    }
}
