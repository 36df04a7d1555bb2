//! The linear systems of the Newton steps.

use super::super::error::Error;
use super::super::evaluator::Evaluator;
use super::super::kkt::{KktMatrix, Regularization};
use super::merit::{Penalties, Slope};
use super::state::State;
use crate::control::{Counts, Run};
use crate::linalg::factor::FactorError;
use crate::problem::nonlinear::Pattern;

/// dc where constraints are dependent.
const DEPENDENT_SHIFT: f64 = 1e-8;

/// The KKT systems of a run.
pub(super) struct Newton {
    kkt: KktMatrix,
    shifts: Regularization,
    right_hand_side: Vec<f64>,
}

impl Newton {
    pub fn new(evaluator: &Evaluator) -> Result<Self, Error> {
        let n = evaluator.variables();
        let none = Pattern::zero((n, n));
        let hessian = evaluator.hessian_pattern().unwrap_or(&none);
        let kkt = KktMatrix::new(hessian, evaluator.jacobian_pattern())?;
        let right_hand_side = vec![0.0; kkt.size()];
        Ok(Self { kkt, shifts: Regularization::default(), right_hand_side })
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
        loop {
            if !found || run.should_stop().is_some() {
                return Ok(None);
            }
            match self.kkt.solve(&self.right_hand_side, &mut state.d) {
                Ok(_) => break,
                Err(FactorError::Singular { .. }) => {
                    if !self.kkt.increase_pivot_threshold() {
                        found = self.shifts.factor_larger(&mut self.kkt, DEPENDENT_SHIFT)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        state.multiply_step();
        let slope = Slope::along(state);
        while !slope.descends(penalties) && penalties.sharpen() {}
        Ok(Some(slope.value(penalties)))
    }

    pub fn shift(&self) -> f64 {
        self.shifts.dw
    }

    pub fn inner_steps(&self) -> u64 {
        0
    }

    pub fn seconds(&self) -> f64 {
        self.kkt.seconds()
    }

    pub fn counts(&self) -> Counts {
        Counts::from([("factorizations", self.kkt.factorizations())])
    }

    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.shifts.dependent > 0 {
            notes.push(format!(
                "the constraints' gradients were linearly dependent in {} iterations",
                self.shifts.dependent
            ));
        }
        notes
    }
}
