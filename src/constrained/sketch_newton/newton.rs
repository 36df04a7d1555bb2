//! The linear systems of the Newton steps.

use super::super::error::Error;
use super::super::evaluator::Evaluator;
use super::super::kkt::KktMatrix;
use super::super::regularization::Regularization;
use super::inexact::Inexact;
use super::merit::{Penalties, Slope};
use super::options::SketchNewton;
use super::state::State;
use crate::control::{Counts, Run};
use crate::linalg::factor::FactorError;
use crate::linalg::product::norm_inf;

/// dc where constraints are dependent.
const DEPENDENT_SHIFT: f64 = 1e-8;
/// Where it ends.
const LARGEST_DEPENDENT_SHIFT: f64 = 1.0;
/// Multipliers that a step makes larger than this times those before are wild.
const WILD: f64 = 1e3;
/// Least-squares multipliers above this are dropped at a start: they come from nearly dependent constraints.
pub(super) const LARGEST_MULTIPLIER: f64 = 1e3;

/// The KKT systems of a run.
pub(super) struct Newton {
    kkt: KktMatrix,
    shifts: Regularization,
    right_hand_side: Vec<f64>,
    has_factors: bool,
    /// None for direct solves.
    inexact: Option<Inexact>,
    softens: bool,
}

impl Newton {
    pub fn new(options: &SketchNewton, evaluator: &Evaluator) -> Result<Self, Error> {
        let hessian = evaluator.hessian_pattern().ok_or_else(|| {
            Error::Unsupported("the problem stores no Hessian; sketch-newton needs its entries".into())
        })?;
        let kkt = KktMatrix::new(hessian, evaluator.jacobian_pattern())?;
        let right_hand_side = vec![0.0; kkt.size()];
        let inexact = Inexact::new(options, kkt.lower());
        let softens = options.safeguards && inexact.is_none();
        let shifts = Regularization::default();
        Ok(Self { kkt, shifts, right_hand_side, has_factors: false, inexact, softens })
    }

    /// The y that minimises |g + J'y|_2; zeros where one is above `largest`.
    pub fn least_squares_multipliers(
        &mut self,
        g: &[f64],
        j: &[f64],
        y: &mut [f64],
        largest: f64,
    ) -> Result<(), Error> {
        if y.is_empty() {
            return Ok(());
        }
        let n = g.len();
        self.kkt.set(&[], j, &vec![1.0; n], &[]);
        let mut shifts = Regularization::default();
        let mut b = vec![0.0; self.kkt.size()];
        b.iter_mut().zip(g).for_each(|(b, g)| *b = -g);
        let mut solution = vec![0.0; b.len()];
        let solved =
            shifts.factor(&mut self.kkt, 0.0, DEPENDENT_SHIFT)? && self.kkt.solve(&b, &mut solution).is_ok();
        let multipliers = &solution[n..];
        if solved && multipliers.iter().all(|y| y.abs() <= largest) {
            y.copy_from_slice(multipliers);
        }
        Ok(())
    }

    /// The step into `state.d` and the slope of the merit function along it; None where the system stays singular.
    pub fn direction(
        &mut self,
        state: &mut State,
        penalties: &mut Penalties,
        run: &Run,
    ) -> Result<Option<f64>, Error> {
        state.set_right_hand_side(&mut self.right_hand_side);
        self.kkt.set(&state.w, &state.at.j, &[], &[]);
        let mut found = self.shifts.factor(&mut self.kkt, 0.0, DEPENDENT_SHIFT)?;
        if let (Some(inexact), true) = (&mut self.inexact, found) {
            let lower = self.kkt.lower();
            return inexact.direction(state, lower, &self.right_hand_side, penalties, run).map(Some);
        }
        loop {
            if !found || run.should_stop().is_some() {
                return Ok(None);
            }
            match self.kkt.solve(&self.right_hand_side, &mut state.d) {
                // multipliers of dependent rows are as large as dc is small
                Ok(_)
                    if self.shifts.dc > 0.0 && self.shifts.dc < LARGEST_DEPENDENT_SHIFT && is_wild(state) =>
                {
                    let (dw, dc) = (self.shifts.dw, 100.0 * self.shifts.dc);
                    found = self.shifts.refactor(&mut self.kkt, dw, dc)?;
                }
                Ok(_) => break,
                Err(FactorError::Singular { .. }) => {
                    if !self.kkt.increase_pivot_threshold() {
                        found = self.shifts.factor_larger(&mut self.kkt, DEPENDENT_SHIFT)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.has_factors = true;
        Ok(Some(slope(state, penalties)))
    }

    /// The step with dc 100 times larger, for where the last one was of no use: it follows nearly dependent constraints less
    /// closely and has smaller multipliers. None where dc is at its end.
    pub fn soften(&mut self, state: &mut State, penalties: &mut Penalties) -> Result<Option<f64>, Error> {
        let dc = DEPENDENT_SHIFT.max(100.0 * self.shifts.dc);
        if !self.softens || dc > LARGEST_DEPENDENT_SHIFT || state.at.y.is_empty() {
            return Ok(None);
        }
        let found = self.shifts.refactor(&mut self.kkt, self.shifts.dw, dc)?;
        if !found || self.kkt.solve(&self.right_hand_side, &mut state.d).is_err() {
            return Ok(None);
        }
        Ok(Some(slope(state, penalties)))
    }

    /// The step dx = -(J'J + lambda I)^{-1} J'c, dy = 0; false where the system can't be solved.
    pub fn damped_step(&mut self, state: &mut State, lambda: f64) -> Result<bool, Error> {
        let n = state.at.x.len();
        self.has_factors = false;
        self.kkt.set(&[], &state.at.j, &vec![lambda; n], &vec![1.0; state.at.y.len()]);
        self.kkt.factor(0.0, 0.0)?;
        state.set_right_hand_side(&mut self.right_hand_side);
        self.right_hand_side[..n].fill(0.0);
        let solved = self.kkt.solve(&self.right_hand_side, &mut state.d).is_ok();
        state.d[n..].fill(0.0);
        Ok(solved)
    }

    /// Starts afresh with the multipliers of least squares.
    pub fn restart(&mut self, state: &mut State) -> Result<(), Error> {
        let dependent = self.shifts.dependent;
        self.shifts = Regularization::default();
        self.shifts.dependent = dependent;
        let State { at, .. } = state;
        at.y.fill(0.0);
        self.least_squares_multipliers(&at.g, &at.j, &mut at.y, LARGEST_MULTIPLIER)?;
        at.set_lagrangian_gradient(state.evaluator.jacobian_pattern());
        Ok(())
    }

    /// Takes the multipliers of least squares where they lower the merit function.
    pub fn refresh_multipliers(&mut self, state: &mut State, penalties: &Penalties) -> Result<(), Error> {
        let mut outcome = Ok(());
        state.try_multipliers(|g, j, y| outcome = self.least_squares_multipliers(g, j, y, f64::INFINITY));
        if penalties.merit(&state.trial) < penalties.merit(&state.at) {
            state.accept();
        }
        outcome
    }

    /// The corrected step: the same system with c of the full step added to c; false without factors.
    pub fn correct(&mut self, state: &mut State) -> bool {
        if !self.has_factors {
            return false;
        }
        state.set_right_hand_side(&mut self.right_hand_side);
        let n = state.at.x.len();
        for (b, c) in self.right_hand_side[n..].iter_mut().zip(&state.trial.c) {
            *b -= c;
        }
        self.kkt.solve(&self.right_hand_side, &mut state.corrected).is_ok()
    }

    /// The factors no longer belong to the iterate.
    pub fn forget_factors(&mut self) {
        self.has_factors = false;
    }

    pub fn shift(&self) -> f64 {
        self.shifts.dw
    }

    pub fn inner_steps(&self) -> u64 {
        self.inexact.as_ref().map_or(0, |inexact| inexact.last_steps)
    }

    pub fn seconds(&self) -> f64 {
        self.kkt.seconds() + self.inexact.as_ref().map_or(0.0, |inexact| inexact.seconds)
    }

    pub fn counts(&self) -> Counts {
        let inner = self.inexact.as_ref().map_or(0, |inexact| inexact.steps);
        Counts::from([("factorizations", self.kkt.factorizations()), ("inner_steps", inner)])
    }

    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.shifts.dependent > 0 {
            notes.push(format!(
                "the constraints' gradients were linearly dependent in {} iterations",
                self.shifts.dependent
            ));
        }
        let doubtful = self.inexact.as_ref().map_or(0, |inexact| inexact.doubtful);
        if doubtful > 0 {
            notes.push(format!(
                "{doubtful} steps were taken with the penalties at their ends, without the descent that the theory asks for"
            ));
        }
        notes
    }
}

/// The slope of the merit function along the state's step, the penalties sharpened until it descends.
fn slope(state: &mut State, penalties: &mut Penalties) -> f64 {
    state.multiply_step();
    let slope = Slope::along(state);
    while !slope.descends(penalties) && penalties.sharpen() {}
    slope.value(penalties)
}

/// Whether the step in the multipliers is out of all proportion.
fn is_wild(state: &State) -> bool {
    let n = state.at.x.len();
    norm_inf(&state.d[n..]) > WILD * (1.0 + norm_inf(&state.at.y))
}
