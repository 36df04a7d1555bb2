//! Newton's method on the Lagrangian with inexact steps, globalised by a differentiable exact augmented Lagrangian, for
//! min f(x) subject to equations c(x) = 0 (Hong, Na, Mahoney and Kolar 2023, arXiv 2305.18379).
//!
//! - `merit`: the augmented Lagrangian, its penalties, its line search;
//! - `state`: the iterate and everything evaluated there;
//! - `newton`: the linear systems and how well they are solved.

mod globalization;
mod merit;
mod newton;
mod restoration;
mod state;

use super::error::Error;
use super::evaluator::Evaluator;
use super::solution::{Finished, Outcome, Solution, Start};
use crate::control::{Limits, Monitor, Run};
use crate::problem::NonlinearProgram;
use globalization::Globalization;
use merit::Penalties;
use newton::Newton;
use restoration::{Restorations, Restored, restore};
use state::State;

/// Names of the trace's own columns.
pub const COLUMNS: [&str; 8] =
    ["violation", "dual", "residual", "step", "shift", "penalty_c", "penalty_l", "inner"];

/// Newton on the exact augmented Lagrangian, for problems with equations alone and no more of them than variables.
///
/// Each iteration solves [W + dw I, J'; J, -dc I] d = -(grad L; c) for the step in x and multipliers together and
/// searches along it on f + y'c + eta1 |c|^2 / 2 + eta2 |grad L|^2 / 2, whose penalties adapt until d is a descent
/// direction. Cost of an iteration: one evaluation of W, one factorisation or many products, and one evaluation of f, c, g, J
/// per trial step.
#[derive(Clone, Debug, PartialEq)]
pub struct SketchNewton {
    /// When to stop; the tolerance is compared with the error E, see [`KktError`](super::KktError).
    pub limits: Limits,
    /// Whether functions are scaled by their gradients at the start.
    pub scaling: bool,
}

impl Default for SketchNewton {
    fn default() -> Self {
        let limits = Limits { tolerance: 1e-8, max_iterations: 3000, time_limit: None };
        Self { limits, scaling: true }
    }
}

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
        self.limits.check().map_err(Error::Option)?;
        let mut evaluator = Evaluator::new(problem)?;
        refuse_unsupported(&evaluator)?;
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        if self.scaling {
            evaluator.scale_by_start();
        }
        let mut newton = Newton::new(&evaluator)?;
        let mut state = State::new(&mut evaluator, start, &mut newton)?;
        let mut penalties = Penalties::default();
        let outcome = iterate(&mut state, &mut newton, &mut penalties, &mut run)?;
        let (x, multipliers) = state.into_answer();
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
}

/// The main loop.
fn iterate(
    state: &mut State,
    newton: &mut Newton,
    penalties: &mut Penalties,
    run: &mut Run,
) -> Result<Outcome, Error> {
    if !state.is_defined() {
        return Ok(Outcome::EvaluationError);
    }
    let (mut globalization, mut restorations) = (Globalization::new(), Restorations::default());
    let mut step = 0.0;
    loop {
        let error = state.kkt_error();
        let tolerance = run.limits().tolerance;
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
        if let Some(status) = run.record(state.objective(), error.certificate(tolerance), &columns) {
            return Ok(status.into());
        }
        if state.diverges() {
            return Ok(Outcome::Diverging);
        }
        if state.evaluate_hessian().is_err() {
            return Ok(Outcome::EvaluationError);
        }
        let moved = globalization.advance(state, newton, penalties, run)?;
        if moved.is_none() && error.is_acceptable() {
            return Ok(Outcome::Acceptable);
        }
        if restorations.are_due(moved) {
            let restored = restore(state, newton, run)?;
            if restored == Restored::Stationary {
                return Ok(Outcome::LocallyInfeasible);
            }
            newton.restart(state)?;
            (*penalties, globalization) = (Penalties::default(), Globalization::new());
            step = 0.0;
            continue;
        }
        match moved {
            Some(accepted) => step = accepted,
            None => return Ok(Outcome::LineSearchFailed),
        }
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
