//! Newton's method on the Lagrangian with inexact steps, globalised by a differentiable exact augmented Lagrangian, for
//! min f(x) subject to equations c(x) = 0 (Hong, Na, Mahoney and Kolar 2023, arXiv 2305.18379).
//!
//! - `merit`: the augmented Lagrangian, its penalties, its line search;
//! - `state`: the iterate and everything evaluated there;
//! - `globalization`, `restoration`: which steps are taken, and what is done where none will do;
//! - `newton`, `inexact`: the linear systems, solved by factors or by iterations;
//! - `options`: all that can be chosen.

mod globalization;
mod inexact;
mod merit;
mod newton;
mod options;
mod restoration;
mod state;

use super::error::Error;
use super::evaluator::Evaluator;
use super::solution::{Finished, Outcome, Solution, Start};
use super::termination::KktError;
use crate::control::{Monitor, Run};
use crate::problem::NonlinearProgram;
use globalization::Globalization;
use merit::Penalties;
use newton::Newton;
use restoration::{Restorations, Restored, restore};
use state::State;

pub use options::{Accuracy, InnerSolver, SketchNewton};

/// Names of the trace's own columns.
pub const COLUMNS: [&str; 8] =
    ["violation", "dual", "residual", "step", "shift", "penalty_c", "penalty_l", "inner"];

impl SketchNewton {
    /// Solves from the problem's start.
    ///
    /// # Errors
    /// A problem that isn't one or has bounds, inequalities, or more equations than variables; an option out of its range.
    pub fn solve<P: NonlinearProgram>(&self, problem: &P) -> Result<Solution, Error> {
        self.solve_with(problem, Start::default(), &mut Monitor::none())
    }

    /// Solves from a given start, watched by a monitor.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); a start of the wrong length or with an entry that isn't finite.
    pub fn solve_with<P: NonlinearProgram>(
        &self,
        problem: &P,
        start: Start,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.check()?;
        let mut evaluator = Evaluator::new(problem)?;
        refuse_unsupported(&evaluator)?;
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        if self.scaling {
            evaluator.scale_by_start();
        }
        let mut newton = Newton::new(self, &evaluator)?;
        let mut state = State::new(&mut evaluator, start, &mut newton)?;
        let outcome = self.iterate(&mut state, &mut newton, &mut run)?;
        // the watchdog may have been on its way when a limit was met
        let stopped = !matches!(
            outcome,
            Outcome::Optimal | Outcome::Diverging | Outcome::LocallyInfeasible | Outcome::EvaluationError
        );
        let (x, multipliers) = state.into_answer(stopped);
        let finished = Finished {
            method: "sketch-newton",
            outcome,
            x,
            multipliers,
            lower_multipliers: Vec::new(),
            upper_multipliers: Vec::new(),
            counts: newton.counts(),
            linear_algebra_seconds: newton.seconds(),
            notes: newton.notes(),
        };
        Solution::close(finished, &mut evaluator, run)
    }

    /// The main loop.
    fn iterate(&self, state: &mut State, newton: &mut Newton, run: &mut Run) -> Result<Outcome, Error> {
        let mut penalties = Penalties::first(self);
        let mut globalization = Globalization::new(self.safeguards);
        let (mut restorations, mut patience) = (Restorations::default(), Patience::default());
        let mut step = 0.0;
        if !state.is_defined() {
            return Ok(Outcome::EvaluationError);
        }
        loop {
            let error = state.kkt_error();
            state.keep_best(error.error);
            let columns = [
                error.scaled.constraint_violation,
                error.scaled.dual_infeasibility,
                state.residual_norm(),
                step,
                newton.shift(),
                penalties.constraints,
                penalties.lagrangian,
                newton.inner_steps() as f64,
            ];
            let certificate = error.certificate(run.limits().tolerance);
            if let Some(status) = run.record(state.objective(), certificate, &columns) {
                return Ok(status.into());
            }
            if state.diverges() {
                return Ok(Outcome::Diverging);
            }
            if state.evaluate_hessian().is_err() {
                return Ok(Outcome::EvaluationError);
            }
            let moved = globalization.advance(state, newton, &mut penalties, run)?;
            if let Some(status) = run.should_stop() {
                return Ok(status.into());
            }
            if patience.is_over(&error, moved) {
                return Ok(Outcome::Acceptable);
            }
            if self.safeguards && !state.at.y.is_empty() && restorations.are_due(moved) {
                if restore(state, newton, run)? == Restored::Stationary {
                    return Ok(Outcome::LocallyInfeasible);
                }
                restorations.ended(state);
                newton.restart(state)?;
                penalties = Penalties::first(self);
                globalization = Globalization::new(true);
                step = 0.0;
                continue;
            }
            match moved {
                Some(accepted) => step = accepted,
                None => return Ok(Outcome::LineSearchFailed),
            }
        }
    }
}

/// Iterations in a row at acceptable points without much progress after which the best of them is kept.
const ACCEPTABLE_ITERATIONS: usize = 15;

/// Watches for iterations that go nowhere near the end.
#[derive(Default)]
struct Patience {
    iterations: usize,
    best: f64,
}

impl Patience {
    /// Whether to stop at an acceptable point, after a step or none at all from it.
    fn is_over(&mut self, error: &KktError, moved: Option<f64>) -> bool {
        if !error.is_acceptable() {
            self.iterations = 0;
            return false;
        }
        if self.iterations == 0 || error.error < 0.5 * self.best {
            (self.iterations, self.best) = (0, error.error);
        }
        self.iterations += 1;
        moved.is_none() || self.iterations >= ACCEPTABLE_ITERATIONS
    }
}

/// Bounds, inequalities and overdetermined systems are beyond this method.
fn refuse_unsupported(evaluator: &Evaluator) -> Result<(), Error> {
    let bounds = evaluator.bounds();
    let (n, m) = (evaluator.variables(), evaluator.rows());
    let refusal = if let Some(j) = bounds.first_bounded_variable() {
        format!("variable {j} has a bound")
    } else if let Some(i) = bounds.first_inequality() {
        format!("constraint {i} is an inequality")
    } else if m > n {
        format!("there are {m} equations for {n} variables")
    } else {
        return Ok(());
    };
    Err(Error::Unsupported(format!(
        "{refusal}; sketch-newton takes equations alone, no more of them than variables: use the interior point"
    )))
}
