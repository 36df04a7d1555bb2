//! Least squares with the same matrix: the way to linear rows, and multipliers.

use super::super::super::Error;
use super::super::super::kkt::KktMatrix;
use super::super::form::Form;
use super::super::phase::{Iterate, Shape};
use super::Newton;
use crate::linalg::factor::FactorError;

/// Shift of dependent rows where their multipliers are estimated.
const DEPENDENT_SHIFT: f64 = 1e-8;

impl Newton {
    /// The shortest step to where linear rows hold; false where rows contradict each other.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn least_norm_step(
        &mut self,
        shape: &Shape,
        kkt: &mut KktMatrix,
        at: &Iterate,
        du: &mut [f64],
    ) -> Result<bool, Error> {
        self.d_x.fill(1.0);
        self.d_y.fill(0.0);
        shape.attached.iter().for_each(|&(row, _)| self.d_y[row as usize] += 1.0);
        self.reduced[..shape.nx].fill(0.0);
        for (r, residual) in self.reduced[shape.nx..].iter_mut().zip(&at.residual) {
            *r = -residual;
        }
        kkt.set(&[], &at.jacobian, &self.d_x, &self.d_y);
        let mut inertia = kkt.factor(0.0, 0.0)?;
        if inertia != kkt.right_inertia() {
            inertia = kkt.factor(0.0, DEPENDENT_SHIFT)?;
        }
        if inertia != kkt.right_inertia() || kkt.solve(&self.reduced, &mut self.solution).is_err() {
            return Ok(false);
        }
        du[..shape.nx].copy_from_slice(&self.solution[..shape.nx]);
        for (d, &(row, sign)) in du[shape.nx..].iter_mut().zip(&shape.attached) {
            *d = -sign * self.solution[shape.nx + row as usize];
        }
        Ok(true)
    }

    /// The y that minimises the dual residual, zeros where one is above `largest` in size.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn least_squares_multipliers(
        &mut self,
        shape: &Shape,
        form: &Form,
        kkt: &mut KktMatrix,
        at: &mut Iterate,
        largest: f64,
    ) -> Result<(), Error> {
        at.y.fill(0.0);
        if shape.m == 0 || shape.nx == shape.m && shape.attached.is_empty() {
            return Ok(());
        }
        shape.set_dual(form, at);
        self.d_x.fill(1.0);
        self.d_y.fill(0.0);
        self.reduced.fill(0.0);
        for (r, dual) in self.reduced.iter_mut().zip(&at.dual[..shape.nx]) {
            *r = -dual;
        }
        for (&(row, sign), dual) in shape.attached.iter().zip(&at.dual[shape.nx..]) {
            self.d_y[row as usize] += 1.0;
            self.reduced[shape.nx + row as usize] += sign * dual;
        }
        kkt.set(&[], &at.jacobian, &self.d_x, &self.d_y);
        let mut inertia = match kkt.factor(0.0, 0.0) {
            // the first record will see that time is up
            Err(FactorError::OutOfTime { .. }) => return Ok(()),
            inertia => inertia?,
        };
        if inertia != kkt.right_inertia() {
            // dependent rows: of all multipliers that fit the shortest ones
            inertia = kkt.factor(0.0, DEPENDENT_SHIFT)?;
        }
        if inertia == kkt.right_inertia() && kkt.solve(&self.reduced, &mut self.solution).is_ok() {
            let y = &self.solution[shape.nx..];
            if y.iter().all(|y| y.abs() <= largest) {
                at.y.copy_from_slice(y);
            }
        }
        Ok(())
    }
}
