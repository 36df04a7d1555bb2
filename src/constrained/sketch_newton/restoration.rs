//! The way on where no step along a Newton direction will do: the violation |c|^2 / 2 is lowered by the method of Levenberg
//! and Marquardt, and the main iteration starts afresh from there. An addition to the published method.
//!
//! A step solves [lambda I, J'; J, -I](dx; w) = (0; -c), dx = -(J'J + lambda I)^{-1} J'c.

use super::newton::Newton;
use super::state::{State, Values};
use crate::constrained::error::Error;
use crate::control::Run;
use crate::linalg::product::{dot, norm, norm_inf};

/// Share of the violation that is left when it is done.
const REDUCTION: f64 = 0.1;
/// Steps after which it gives up.
const MOST_STEPS: usize = 200;
/// A gradient of |c|^2 / 2 this small, relative to |c| and J, is stationary; the same after the last step.
const STATIONARY: f64 = 1e-10;
const STATIONARY_AT_LAST: f64 = 1e-7;
/// A violation at which a stationary point is called infeasible.
const FAR_FROM_FEASIBLE: f64 = 1e-4;
/// Damping at the start relative to |J'J|, and where it ends.
const FIRST_DAMPING: f64 = 1e-3;
const LARGEST_DAMPING: f64 = 1e12;

/// How a restoration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// The violation is a tenth of what it was, or less.
    Reduced,
    /// It fell, but not as far.
    Some,
    /// It is stationary and not zero.
    Stationary,
    /// It didn't fall at all.
    Nothing,
}

/// Lowers the violation from the state's iterate.
pub(super) fn restore(state: &mut State, newton: &mut Newton, run: &Run) -> Result<Restored, Error> {
    let start = norm(&state.at.c);
    let target = REDUCTION * start;
    let mut damping = FIRST_DAMPING;
    for _ in 0..MOST_STEPS {
        let violation = norm(&state.at.c);
        let feasible = norm_inf(&state.at.c) <= run.limits().tolerance;
        if violation <= target || feasible || run.should_stop().is_some() {
            break;
        }
        let scale = dot(&state.at.j, &state.at.j);
        if is_stationary(state, STATIONARY) {
            return Ok(Restored::Stationary);
        }
        let gradient = state.violation_gradient();
        if !newton.damped_step(state, damping * scale.max(f64::MIN_POSITIVE))? {
            damping *= 10.0;
            continue;
        }
        // the decrease of the linear model, -J'c'dx / 2 and more
        let predicted = -0.5 * dot(&gradient, &state.d[..gradient.len()]);
        let tried = state.try_step(1.0).is_ok();
        let decrease = 0.5 * (violation * violation - dot(&state.trial.c, &state.trial.c));
        if tried && decrease > 1e-4 * predicted {
            state.accept();
            damping = (damping * if decrease > 0.75 * predicted { 0.1 } else { 1.0 }).max(1e-16);
        } else {
            damping *= 10.0;
        }
        if damping > LARGEST_DAMPING {
            break;
        }
    }
    let violation = norm(&state.at.c);
    let stuck = violation > target && norm_inf(&state.at.c) > FAR_FROM_FEASIBLE;
    Ok(if violation <= target {
        Restored::Reduced
    } else if stuck && is_stationary(state, STATIONARY_AT_LAST) {
        Restored::Stationary
    } else if violation < start {
        Restored::Some
    } else {
        Restored::Nothing
    })
}

/// |J'c| against |c| times |J|, which is bounded from below where all gradients vanish together.
fn is_stationary(state: &State, relative: f64) -> bool {
    let violation = norm(&state.at.c);
    let scale = norm(&state.at.j).max(violation.min(1.0));
    norm_inf(&state.violation_gradient()) <= relative * violation * scale
}

/// Restorations of a run, and when one is due.
pub(super) struct Restorations {
    /// Short steps in a row.
    crawled: usize,
    /// How many there were that did not halve the lowest violation.
    in_vain: usize,
    /// The lowest violation that one ended at.
    lowest: f64,
}

impl Default for Restorations {
    fn default() -> Self {
        Self { crawled: 0, in_vain: 0, lowest: f64::INFINITY }
    }
}

/// Short steps in a row that call for a restoration, and what a short step is.
const CRAWLED: usize = 10;
const SHORT: f64 = 0.02;
/// Restorations in vain.
const MOST: usize = 10;

impl Restorations {
    /// Whether one is due after a step of this length; None is no step at all.
    pub fn are_due(&mut self, step: Option<f64>) -> bool {
        let short = step.is_none_or(|step| step < SHORT);
        self.crawled = if short { self.crawled + 1 } else { 0 };
        let due = self.in_vain < MOST && (step.is_none() || self.crawled >= CRAWLED);
        if due {
            self.crawled = 0;
        }
        due
    }

    /// Notes where one ended.
    pub fn ended(&mut self, state: &State) {
        let violation = norm(&state.at.c);
        if violation <= 0.5 * self.lowest {
            self.lowest = violation;
        } else {
            self.in_vain += 1;
        }
    }
}

impl Values {
    /// J'c into a vector of its own.
    pub fn violation_gradient(&self, pattern: &crate::problem::nonlinear::Pattern) -> Vec<f64> {
        let mut gradient = vec![0.0; self.x.len()];
        crate::constrained::evaluator::add_transpose_product(pattern, &self.j, &self.c, &mut gradient);
        gradient
    }
}
