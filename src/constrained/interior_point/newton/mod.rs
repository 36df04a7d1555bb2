//! The primal-dual Newton system.
//!
//! [H + dw I, A', -I, I; A, -dc I, 0, 0; Zl, 0, U - L, 0; -Zu, 0, 0, U' - L'] (du, dy, dzl, dzu) = b, with A = [J, E] where each
//! variable after x stands in one row with sign +-1. The bounds' multipliers and those variables are eliminated; what is
//! left, [W + D_x + dw I, J'; J, -D_y - dc I], is factored. The solution is refined on the residual of the full system.

mod least_squares;
mod solve;
mod step;

use super::super::kkt::KktMatrix;
use super::super::{Error, EvaluationError};
use super::form::{Form, Model};
use super::inertia::{LIFT, Shifts};
use super::limited_memory::LimitedMemory;
use super::phase::{Iterate, Shape};
use crate::linalg::factor::Inertia;
pub(super) use solve::{Accuracy, FULL};
pub(super) use step::Step;

/// A ratio of residual to solution above which the factors are useless.
pub(super) const USELESS_RATIO: f64 = 1e-5;

/// Shifts of Hessian and rows of a linear program.
const LINEAR_SHIFTS: [(f64, f64); 5] =
    [(0.0, 0.0), (LIFT, 1e-12), (1e-12, 1e-11), (1e-10, 1e-10), (1e-8, 1e-9)];

/// The factored matrix of one phase with its scratch memory; the matrix itself is shared by the phases.
pub(super) struct Newton {
    /// Values of W, lower triangle.
    pub hessian: Vec<f64>,
    /// What stands for W where it isn't evaluated.
    limited_memory: Option<LimitedMemory>,
    /// H + Sigma without W and dw: diagonal of each primal variable.
    diagonal: Vec<f64>,
    /// Second derivatives of the objective apart from W.
    curvature: Vec<f64>,
    pub shifts: Shifts,
    pub right_hand_side: Step,
    residual: Step,
    correction: Step,
    d_x: Vec<f64>,
    d_y: Vec<f64>,
    reduced: Vec<f64>,
    solution: Vec<f64>,
}

/// A multiplier that underflows leaves a slack without curvature, whose inverse is no number.
const LEAST_SLACK_CURVATURE: f64 = 1e-100;

impl Newton {
    pub fn new(form: &Form, shape: &Shape) -> Self {
        let (count, m) = (shape.count(), shape.m);
        Self {
            hessian: vec![0.0; form.hessian.pattern.nnz()],
            limited_memory: form.limited_memory.then(|| LimitedMemory::new(shape.nx, m)),
            diagonal: vec![0.0; count],
            curvature: vec![0.0; count],
            shifts: Shifts::default(),
            right_hand_side: Step::new(count, m),
            residual: Step::new(count, m),
            correction: Step::new(count, m),
            d_x: vec![0.0; shape.nx],
            d_y: vec![0.0; m],
            reduced: vec![0.0; shape.nx + m],
            solution: vec![0.0; shape.nx + m],
        }
    }

    /// Evaluates W at the iterate, or takes in what the iterate says of it.
    ///
    /// # Errors
    /// Values that aren't finite.
    pub fn evaluate(
        &mut self,
        shape: &Shape,
        model: &mut Model,
        at: &Iterate,
    ) -> Result<(), EvaluationError> {
        if let Some(memory) = &mut self.limited_memory {
            memory.observe(shape, &model.form, at);
            return Ok(());
        }
        let sigma = if shape.elastic.is_some() { 0.0 } else { 1.0 };
        model.hessian(&at.u[..model.form.primal()], sigma, &at.y, &mut self.hessian)
    }

    /// What a problem with linear rows and a constant Hessian is, once it is solved.
    pub fn kind_of_quadratic(&self) -> &'static str {
        if self.hessian.iter().all(|w| *w == 0.0) {
            "a linear program"
        } else if self.shifts.shifted == 0 {
            "a quadratic program, convex on its constraints"
        } else {
            "a nonconvex quadratic program"
        }
    }

    /// Goes on without second derivatives, where they aren't finite: the shifts stand for them. Always true.
    pub fn forget_hessian(&mut self) -> bool {
        self.hessian.fill(0.0);
        true
    }

    /// Factors the system at the iterate with the smallest shifts that give the right inertia, and solves it for the Newton step.
    /// False where no shift helps.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn direction(
        &mut self,
        shape: &Shape,
        form: &Form,
        kkt: &mut KktMatrix,
        at: &Iterate,
        step: &mut Step,
    ) -> Result<bool, Error> {
        self.set_right_hand_side(shape, at);
        let gauss_newton = form.gauss_newton && shape.elastic.is_none();
        let mut factored = self.factor_at(shape, form, kkt, at)?;
        while factored {
            if self.solve(shape, form, kkt, at, step)? <= USELESS_RATIO {
                return Ok(true);
            }
            if kkt.increase_pivot_threshold() {
                factored = self.factor(shape, kkt, at)? == kkt.right_inertia();
                if factored {
                    continue;
                }
            }
            factored = self.shifts.after_singular(shape.mu)
                && self.factor_with_right_inertia(shape, kkt, at, gauss_newton)?;
        }
        Ok(false)
    }

    /// Factors the system at the iterate with the smallest shifts that give the right inertia; false where no shift does.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn factor_at(
        &mut self,
        shape: &Shape,
        form: &Form,
        kkt: &mut KktMatrix,
        at: &Iterate,
    ) -> Result<bool, Error> {
        self.set_diagonal(shape, form, at);
        self.shifts.start(shape.mu);
        let gauss_newton = form.gauss_newton && shape.elastic.is_none();
        self.factor_with_right_inertia(shape, kkt, at, gauss_newton)
    }

    /// Factors the system of a linear program: shifts are for rounding alone, which near the solution is all that is left of some
    /// entries of Sigma. False where none of them helps.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn factor_linear(
        &mut self,
        shape: &Shape,
        form: &Form,
        kkt: &mut KktMatrix,
        at: &Iterate,
    ) -> Result<bool, Error> {
        self.set_diagonal(shape, form, at);
        for (dw, dc) in LINEAR_SHIFTS {
            (self.shifts.dw, self.shifts.dc) = (dw, dc);
            if self.factor(shape, kkt, at)? == kkt.right_inertia() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Diagonals of the primal variables: Sigma and the curvature of the objective apart from W.
    fn set_diagonal(&mut self, shape: &Shape, form: &Form, at: &Iterate) {
        self.curvature.fill(0.0);
        if let Some(elastic) = &shape.elastic {
            let proximity = shape.proximity();
            for (d, weight) in self.curvature.iter_mut().zip(&elastic.weights) {
                *d = proximity * weight;
            }
        } else if form.least_squares {
            self.curvature[shape.nx..].copy_from_slice(&form.slack_curvature);
        }
        if let Some(memory) = &self.limited_memory {
            self.curvature[..shape.nx].iter_mut().for_each(|d| *d += memory.sigma());
        }
        self.diagonal.copy_from_slice(&self.curvature);
        for &k in &shape.lower_set {
            self.diagonal[k as usize] += at.zl[k as usize] / at.below[k as usize];
        }
        for &k in &shape.upper_set {
            self.diagonal[k as usize] += at.zu[k as usize] / at.above[k as usize];
        }
    }

    fn set_right_hand_side(&mut self, shape: &Shape, at: &Iterate) {
        let b = &mut self.right_hand_side;
        b.u.iter_mut().zip(&at.dual).for_each(|(b, d)| *b = -d);
        shape.add_damping(-1.0, &mut b.u);
        b.y.iter_mut().zip(&at.residual).for_each(|(b, r)| *b = -r);
        for &k in &shape.lower_set {
            let k = k as usize;
            b.zl[k] = shape.mu - at.zl[k] * at.below[k];
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            b.zu[k] = shape.mu - at.zu[k] * at.above[k];
        }
    }

    fn factor_with_right_inertia(
        &mut self,
        shape: &Shape,
        kkt: &mut KktMatrix,
        at: &Iterate,
        gauss_newton: bool,
    ) -> Result<bool, Error> {
        loop {
            let inertia = self.factor(shape, kkt, at)?;
            if inertia == kkt.right_inertia() {
                return Ok(true);
            }
            if gauss_newton && self.hessian.iter().any(|w| *w != 0.0) {
                // Gauss and Newton: what is left without the rows' second derivatives is never indefinite
                self.hessian.fill(0.0);
                continue;
            }
            let flat = inertia.negative == shape.m && inertia.positive + inertia.zero == shape.nx;
            if self.shifts.dw == 0.0
                && (flat || kkt.has_flat_variable(0.1 * LIFT))
                && self.shifts.lift_flat_directions()
            {
                if self.factor(shape, kkt, at)? == kkt.right_inertia() {
                    return Ok(true);
                }
                self.shifts.drop_lift();
            }
            // too few negative eigenvalues come from dependent rows, which dw cannot cure
            let singular = shape.m > 0 && (inertia.zero > 0 || inertia.negative < shape.m);
            let more = if singular {
                self.shifts.after_singular(shape.mu)
            } else {
                self.shifts.after_wrong_inertia(shape.mu)
            };
            if !more {
                return Ok(false);
            }
        }
    }

    fn factor(&mut self, shape: &Shape, kkt: &mut KktMatrix, at: &Iterate) -> Result<Inertia, Error> {
        let dw = self.shifts.dw;
        self.d_x.copy_from_slice(&self.diagonal[..shape.nx]);
        self.d_y.fill(0.0);
        for (&(row, _), d) in shape.attached.iter().zip(&self.diagonal[shape.nx..]) {
            self.d_y[row as usize] += 1.0 / (d + dw).max(LEAST_SLACK_CURVATURE);
        }
        kkt.set(&self.hessian, &at.jacobian, &self.d_x, &self.d_y);
        let inertia = kkt.factor(dw, self.shifts.dc)?;
        match &mut self.limited_memory {
            Some(memory) if inertia == kkt.right_inertia() => {
                let capacitance = memory.factor(kkt)?;
                Ok(memory.inertia_of(inertia, capacitance))
            }
            _ => Ok(inertia),
        }
    }
}
