//! Which steps are taken: the line search on the merit function, and what helps where it crawls.
//!
//! Beyond the published method: a second-order correction where the full step leaves the constraints, the watchdog (Chamberlain,
//! Powell, Lemarechal and Pedersen 1982) after several shortened steps, and least-squares multipliers where they lower the
//! merit function.

use super::super::error::Error;
use super::merit::{ARMIJO, Penalties};
use super::newton::Newton;
use super::state::{State, Values};
use crate::control::Run;
use crate::linalg::product::norm;

/// The line search gives up below this step.
const SMALLEST_STEP: f64 = 1e-12;
/// Below this other steps are tried first.
const SHORT_STEP: f64 = 1e-3;
/// Shortened steps in a row after which the watchdog lets full ones pass.
const PATIENCE: usize = 3;
/// Full steps that the watchdog lets pass before the merit function must have fallen.
const UNSEEN: usize = 4;
/// A residual that grows by this under the watchdog's eyes calls it back.
const LOST: f64 = 1e10;

/// What the last steps were like.
#[derive(Default)]
pub(super) struct Globalization {
    safeguards: bool,
    shortened: usize,
    patience: usize,
    watched: Option<Watched>,
}

/// The point that the watchdog goes back to.
struct Watched {
    at: Values,
    d: Vec<f64>,
    penalties: Penalties,
    slope: f64,
    residual: f64,
    unseen: usize,
}

impl Watched {
    fn new(state: &State, penalties: &Penalties, slope: f64) -> Self {
        Self {
            at: state.at.clone(),
            d: state.d.clone(),
            penalties: *penalties,
            slope,
            residual: state.residual_norm(),
            unseen: 0,
        }
    }
}

impl Globalization {
    /// With the additions to the published method, or without.
    pub fn new(safeguards: bool) -> Self {
        Self { safeguards, patience: if safeguards { PATIENCE } else { usize::MAX }, ..Self::default() }
    }

    /// Computes a step and moves the state along it; the length of the step, or None.
    pub fn advance(
        &mut self,
        state: &mut State,
        newton: &mut Newton,
        penalties: &mut Penalties,
        run: &Run,
    ) -> Result<Option<f64>, Error> {
        let kept = *penalties;
        let mut slope = newton.direction(state, penalties, run)?;
        if self.watched.is_none()
            && self.shortened >= self.patience
            && let Some(slope) = slope
        {
            self.watched = Some(Watched::new(state, penalties, slope));
        }
        if self.watched.is_some() {
            return Ok(self.pass(state, newton, penalties, slope.is_some()));
        }
        let first = *penalties;
        let step = state.d.clone();
        let first_slope = slope;
        while let Some(along) = slope {
            if let Some(alpha) = self.search(state, newton, penalties, along, SHORT_STEP) {
                if self.safeguards && newton.shift() > 0.0 {
                    newton.refresh_multipliers(state, penalties)?;
                }
                return Ok(Some(alpha));
            }
            *penalties = kept;
            slope = newton.soften(state, penalties)?;
        }
        let Some(slope) = first_slope else { return Ok(None) };
        *penalties = first;
        state.d.copy_from_slice(&step);
        Ok(self.backtrack(state, penalties, slope, SHORT_STEP, SMALLEST_STEP))
    }

    /// A full step that isn't looked at, or the way back to the watched point.
    fn pass(
        &mut self,
        state: &mut State,
        newton: &mut Newton,
        penalties: &mut Penalties,
        usable: bool,
    ) -> Option<f64> {
        let mut watched = self.watched.take()?;
        if usable && watched.unseen < UNSEEN && state.try_step(1.0).is_ok() {
            state.accept();
            watched.unseen += 1;
            let target = watched.penalties.merit(&watched.at) + ARMIJO * watched.slope;
            if watched.penalties.merit(&state.at) <= target {
                self.shortened = 0;
                self.patience = PATIENCE;
                return Some(1.0);
            }
            if state.residual_norm() <= LOST * watched.residual {
                self.watched = Some(watched);
                return Some(1.0);
            }
        }
        state.at = watched.at;
        state.d = watched.d;
        *penalties = watched.penalties;
        self.shortened = 0;
        self.patience *= 2;
        // the factors belong to another point: no correction
        newton.forget_factors();
        self.backtrack(state, penalties, watched.slope, 1.0, SMALLEST_STEP)
    }

    fn search(
        &mut self,
        state: &mut State,
        newton: &mut Newton,
        penalties: &Penalties,
        slope: f64,
        smallest: f64,
    ) -> Option<f64> {
        if self.first_trial(state, newton, penalties, slope) {
            self.shortened = 0;
            return Some(1.0);
        }
        self.shortened += 1;
        self.backtrack(state, penalties, slope, 0.5, smallest)
    }

    /// The full step, then with its second-order correction; true if one of them is taken.
    fn first_trial(&self, state: &mut State, newton: &mut Newton, penalties: &Penalties, slope: f64) -> bool {
        if state.try_step(1.0).is_err() {
            return false;
        }
        if penalties.accepts(state, slope, 1.0) {
            state.accept();
            return true;
        }
        if !self.safeguards || norm(&state.trial.c) < norm(&state.at.c) || !newton.correct(state) {
            return false;
        }
        let taken = state.try_corrected().is_ok() && penalties.accepts(state, slope, 1.0);
        if taken {
            state.accept();
        }
        taken
    }

    /// Halves the step until the merit function decreases enough, and takes it.
    fn backtrack(
        &self,
        state: &mut State,
        penalties: &Penalties,
        slope: f64,
        first: f64,
        smallest: f64,
    ) -> Option<f64> {
        let mut alpha = first;
        while alpha >= smallest {
            if state.try_step(alpha).is_ok() && penalties.accepts(state, slope, alpha) {
                state.accept();
                return Some(alpha);
            }
            alpha *= 0.5;
        }
        None
    }
}
