//! Solutions with the factors, refined on the residual of the full system.

use super::super::super::Error;
use super::super::super::evaluator::{row_product, symmetric_product};
use super::super::super::kkt::KktMatrix;
use super::super::form::Form;
use super::super::phase::{Iterate, Shape};
use super::{Newton, Step};
use crate::linalg::factor::FactorError;

/// Refinement steps at most.
const REFINEMENT_STEPS: usize = 10;

/// How well a system is to be solved: the ratio of residual to solution that is enough, after that many refinements at least.
pub struct Accuracy {
    pub ratio: f64,
    pub least: usize,
}

/// What a step that is taken needs.
pub const FULL: Accuracy = Accuracy { ratio: 1e-10, least: 1 };

impl Newton {
    /// Solves with the last factors for `right_hand_side`; returns the ratio of residual to solution.
    ///
    /// # Errors
    /// Those of the factorisation, apart from singular matrices, whose ratio is infinite.
    pub fn solve(
        &mut self,
        shape: &Shape,
        form: &Form,
        kkt: &mut KktMatrix,
        at: &Iterate,
        step: &mut Step,
    ) -> Result<f64, Error> {
        let b = std::mem::take(&mut self.right_hand_side);
        let solved = self.solve_once(shape, kkt, at, &b, step);
        self.right_hand_side = b;
        match solved {
            Ok(()) => self.refine(shape, form, kkt, at, step, &FULL),
            Err(error) => useful(Err(error)),
        }
    }

    /// Refines a step as a solution for `right_hand_side`; returns the ratio of residual to solution.
    ///
    /// # Errors
    /// As `solve`.
    pub fn refine(
        &mut self,
        shape: &Shape,
        form: &Form,
        kkt: &mut KktMatrix,
        at: &Iterate,
        step: &mut Step,
        accuracy: &Accuracy,
    ) -> Result<f64, Error> {
        let b = std::mem::take(&mut self.right_hand_side);
        let mut residual = std::mem::take(&mut self.residual);
        let mut correction = std::mem::take(&mut self.correction);
        let mut solved = Ok(());
        let size = b.largest();
        let mut ratio = f64::INFINITY;
        for steps in 0..=REFINEMENT_STEPS {
            if solved.is_err() {
                break;
            }
            self.set_residual(shape, form, at, &b, step, &mut residual);
            let last = ratio;
            ratio = residual.largest() / (step.largest().min(1e6 * size) + size);
            if size == 0.0 {
                ratio = 0.0;
            }
            let enough = ratio <= accuracy.ratio && steps >= accuracy.least;
            let hopeless = steps > 1 && ratio > (1.0 - 1e-9) * last;
            if enough || hopeless || !ratio.is_finite() || steps == REFINEMENT_STEPS || ratio <= 1e-15 {
                break;
            }
            solved = self.solve_once(shape, kkt, at, &residual, &mut correction);
            if solved.is_ok() {
                step.add(&correction);
            }
        }
        (self.right_hand_side, self.residual, self.correction) = (b, residual, correction);
        useful(solved.map(|()| ratio))
    }

    /// Solves once for b: eliminates, solves with the factors, and computes the eliminated parts.
    ///
    /// # Errors
    /// Those of the factors.
    pub fn solve_once(
        &mut self,
        shape: &Shape,
        kkt: &mut KktMatrix,
        at: &Iterate,
        b: &Step,
        step: &mut Step,
    ) -> Result<(), FactorError> {
        let (nx, dw) = (shape.nx, self.shifts.dw);
        step.u.copy_from_slice(&b.u);
        for &k in &shape.lower_set {
            step.u[k as usize] += b.zl[k as usize] / at.below[k as usize];
        }
        for &k in &shape.upper_set {
            step.u[k as usize] -= b.zu[k as usize] / at.above[k as usize];
        }
        self.reduced[..nx].copy_from_slice(&step.u[..nx]);
        self.reduced[nx..].copy_from_slice(&b.y);
        for (k, &(row, sign)) in shape.attached.iter().enumerate() {
            self.reduced[nx + row as usize] -= sign * step.u[nx + k] / (self.diagonal[nx + k] + dw);
        }
        kkt.solve_once(&self.reduced, &mut self.solution)?;
        if let Some(memory) = &mut self.limited_memory {
            memory.correct(&mut self.solution)?;
        }
        step.u[..nx].copy_from_slice(&self.solution[..nx]);
        step.y.copy_from_slice(&self.solution[nx..]);
        for (k, &(row, sign)) in shape.attached.iter().enumerate() {
            let d = self.diagonal[nx + k] + dw;
            step.u[nx + k] = (step.u[nx + k] - sign * step.y[row as usize]) / d;
        }
        for &k in &shape.lower_set {
            let k = k as usize;
            step.zl[k] = (b.zl[k] - at.zl[k] * step.u[k]) / at.below[k];
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            step.zu[k] = (b.zu[k] + at.zu[k] * step.u[k]) / at.above[k];
        }
        Ok(())
    }

    /// residual <- b - (full matrix) step.
    fn set_residual(
        &mut self,
        shape: &Shape,
        form: &Form,
        at: &Iterate,
        b: &Step,
        step: &Step,
        residual: &mut Step,
    ) {
        let (nx, dw, dc) = (shape.nx, self.shifts.dw, self.shifts.dc);
        let r = residual;
        symmetric_product(&form.hessian.pattern, &self.hessian, &step.u[..nx], &mut r.u[..nx]);
        if let Some(memory) = &mut self.limited_memory {
            memory.add_product(&step.u[..nx], &mut r.u[..nx]);
        }
        r.u[nx..].fill(0.0);
        for (k, r) in r.u.iter_mut().enumerate() {
            *r += (self.curvature[k] + dw) * step.u[k];
        }
        shape.add_transpose(form, &at.jacobian, &step.y, &mut r.u);
        row_product(&form.jacobian.pattern, &at.jacobian, &step.u[..nx], &mut r.y);
        for (&(row, sign), u) in shape.attached.iter().zip(&step.u[nx..]) {
            r.y[row as usize] += sign * u;
        }
        for (i, r) in r.y.iter_mut().enumerate() {
            *r = b.y[i] + dc * step.y[i] - *r;
        }
        for &k in &shape.lower_set {
            let k = k as usize;
            r.u[k] -= step.zl[k];
            r.zl[k] = b.zl[k] - at.zl[k] * step.u[k] - at.below[k] * step.zl[k];
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            r.u[k] += step.zu[k];
            r.zu[k] = b.zu[k] + at.zu[k] * step.u[k] - at.above[k] * step.zu[k];
        }
        r.u.iter_mut().zip(&b.u).for_each(|(r, b)| *r = b - *r);
    }
}

/// The ratio of a solution, infinite where it is none.
fn useful(ratio: Result<f64, FactorError>) -> Result<f64, Error> {
    match ratio {
        Ok(ratio) if !ratio.is_nan() => Ok(ratio),
        Ok(_) | Err(FactorError::Singular { .. }) => Ok(f64::INFINITY),
        Err(error) => Err(error.into()),
    }
}
