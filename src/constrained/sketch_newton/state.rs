//! The iterate and everything evaluated there.

use super::super::error::{Error, EvaluationError};
use super::super::evaluator::{
    Evaluator, add_transpose_product, check_vector, row_product, symmetric_product,
};
use super::super::solution::Start;
use super::super::termination::{KktError, Point};
use super::newton::{LARGEST_MULTIPLIER, Newton};
use crate::linalg::product::norm;
use crate::problem::nonlinear::Pattern;

/// An entry of x above this in size counts as divergence.
const DIVERGED: f64 = 1e20;

/// A point with its first derivatives, in the scaled problem.
#[derive(Clone, Default)]
pub(super) struct Values {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub f: f64,
    /// c(x) - cl.
    pub c: Vec<f64>,
    pub g: Vec<f64>,
    pub j: Vec<f64>,
    /// g + J'y.
    pub lagrangian_gradient: Vec<f64>,
}

/// The iterate, the trial point, and the step between them.
pub(super) struct State<'e, 'p> {
    pub evaluator: &'e mut Evaluator<'p>,
    pub at: Values,
    pub trial: Values,
    /// cl, scaled.
    right: Vec<f64>,
    /// Hessian of the Lagrangian at `at`.
    pub w: Vec<f64>,
    /// The step (dx; dy).
    pub d: Vec<f64>,
    /// The step with its second-order correction.
    pub corrected: Vec<f64>,
    /// W dx + J'dy, then J dx.
    pub product: Vec<f64>,
    defined: bool,
    /// The least error E so far, with its x and y.
    best: (f64, Vec<f64>, Vec<f64>),
}

impl Values {
    fn new(n: usize, m: usize, nonzeros: usize) -> Self {
        Self {
            x: vec![0.0; n],
            y: vec![0.0; m],
            f: f64::NAN,
            c: vec![0.0; m],
            g: vec![0.0; n],
            j: vec![0.0; nonzeros],
            lagrangian_gradient: vec![0.0; n],
        }
    }

    /// Evaluates everything at x and y; `right` is cl, scaled.
    pub fn evaluate(&mut self, evaluator: &mut Evaluator, right: &[f64]) -> Result<(), EvaluationError> {
        self.f = evaluator.values(&self.x, &mut self.c)?;
        self.c.iter_mut().zip(right).for_each(|(c, right)| *c -= right);
        evaluator.derivatives(&self.x, &mut self.g, &mut self.j)?;
        self.set_lagrangian_gradient(evaluator.jacobian_pattern());
        Ok(())
    }

    /// Sets x and y to those of `from` plus alpha d.
    fn move_from(&mut self, from: &Values, alpha: f64, d: &[f64]) {
        let (dx, dy) = d.split_at(from.x.len());
        for (to, (x, d)) in self.x.iter_mut().zip(from.x.iter().zip(dx)) {
            *to = x + alpha * d;
        }
        for (to, (y, d)) in self.y.iter_mut().zip(from.y.iter().zip(dy)) {
            *to = y + alpha * d;
        }
    }

    pub fn set_lagrangian_gradient(&mut self, pattern: &Pattern) {
        self.lagrangian_gradient.copy_from_slice(&self.g);
        add_transpose_product(pattern, &self.j, &self.y, &mut self.lagrangian_gradient);
    }
}

impl<'e, 'p> State<'e, 'p> {
    /// Evaluates at the start; multipliers that aren't given are those of least squares.
    pub fn new(evaluator: &'e mut Evaluator<'p>, start: Start, newton: &mut Newton) -> Result<Self, Error> {
        let (n, m) = (evaluator.variables(), evaluator.rows());
        let x = start.x.unwrap_or(evaluator.start());
        check_vector("the start", n, x)?;
        if let Some(y) = start.multipliers {
            check_vector("the starting multipliers", m, y)?;
        }
        let nonzeros = evaluator.jacobian_pattern().nnz();
        let right = evaluator
            .bounds()
            .row_lower
            .iter()
            .zip(&evaluator.scaling().constraints)
            .map(|(c, s)| c * s)
            .collect();
        let mut state = Self {
            at: Values { x: x.to_vec(), ..Values::new(n, m, nonzeros) },
            trial: Values::new(n, m, nonzeros),
            right,
            w: vec![0.0; evaluator.hessian_pattern().map_or(0, |pattern| pattern.nnz())],
            d: vec![0.0; n + m],
            corrected: vec![0.0; n + m],
            product: vec![0.0; n + m],
            defined: false,
            best: (f64::INFINITY, x.to_vec(), vec![0.0; m]),
            evaluator,
        };
        state.defined = state.at.evaluate(state.evaluator, &state.right).is_ok();
        if !state.defined {
            return Ok(state);
        }
        match start.multipliers {
            Some(y) => {
                state.at.y.copy_from_slice(y);
                state.evaluator.scaling().scale_multipliers(&mut state.at.y);
            }
            None => newton.least_squares_multipliers(
                &state.at.g,
                &state.at.j,
                &mut state.at.y,
                LARGEST_MULTIPLIER,
            )?,
        }
        state.at.set_lagrangian_gradient(state.evaluator.jacobian_pattern());
        Ok(state)
    }

    /// Whether the functions are finite at the start.
    pub fn is_defined(&self) -> bool {
        self.defined
    }

    /// The error E of the iterate.
    pub fn kkt_error(&self) -> KktError {
        // the functions are scaled here, the error wants them as they are
        let scaling = self.evaluator.scaling();
        let unscaled = |values: &[f64], by: &dyn Fn(usize) -> f64| -> Vec<f64> {
            values.iter().enumerate().map(|(i, value)| value * by(i)).collect()
        };
        let rows = &self.evaluator.bounds().row_lower;
        let mut constraints = unscaled(&self.at.c, &|i| 1.0 / scaling.constraints[i]);
        constraints.iter_mut().zip(rows).for_each(|(c, right)| *c += right);
        let multipliers = unscaled(&self.at.y, &|i| scaling.constraints[i] / scaling.objective);
        let gradient = unscaled(&self.at.lagrangian_gradient, &|_| 1.0 / scaling.objective);
        let point = Point {
            x: &self.at.x,
            constraints: &constraints,
            lagrangian_gradient: &gradient,
            multipliers: &multipliers,
            lower_multipliers: &[],
            upper_multipliers: &[],
        };
        KktError::at(&point, self.evaluator.bounds(), scaling)
    }

    /// Remembers the iterate where its error is the least so far.
    pub fn keep_best(&mut self, error: f64) {
        if error < self.best.0 {
            self.best.0 = error;
            self.best.1.copy_from_slice(&self.at.x);
            self.best.2.copy_from_slice(&self.at.y);
        }
    }

    /// f of the problem itself.
    pub fn objective(&self) -> f64 {
        self.at.f / self.evaluator.scaling().objective
    }

    /// |(grad L; c)|_2 in the scaled problem.
    pub fn residual_norm(&self) -> f64 {
        norm(&self.at.lagrangian_gradient).hypot(norm(&self.at.c))
    }

    /// J'c.
    pub fn violation_gradient(&self) -> Vec<f64> {
        self.at.violation_gradient(self.evaluator.jacobian_pattern())
    }

    pub fn diverges(&self) -> bool {
        self.at.x.iter().any(|x| x.abs() > DIVERGED)
    }

    pub fn evaluate_hessian(&mut self) -> Result<(), EvaluationError> {
        self.evaluator.hessian(&self.at.x, 1.0, &self.at.y, &mut self.w)
    }

    /// b = -(grad L; c).
    pub fn set_right_hand_side(&self, b: &mut [f64]) {
        let (upper, lower) = b.split_at_mut(self.at.x.len());
        upper.iter_mut().zip(&self.at.lagrangian_gradient).for_each(|(b, g)| *b = -g);
        lower.iter_mut().zip(&self.at.c).for_each(|(b, c)| *b = -c);
    }

    /// product <- (W dx + J'dy; J dx), with the true W.
    pub fn multiply_step(&mut self) {
        let n = self.at.x.len();
        let (dx, dy) = self.d.split_at(n);
        let (upper, lower) = self.product.split_at_mut(n);
        if let Some(pattern) = self.evaluator.hessian_pattern() {
            symmetric_product(pattern, &self.w, dx, upper);
        }
        let pattern = self.evaluator.jacobian_pattern();
        add_transpose_product(pattern, &self.at.j, dy, upper);
        row_product(pattern, &self.at.j, dx, lower);
    }

    /// Evaluates at the iterate plus alpha times the step.
    pub fn try_step(&mut self, alpha: f64) -> Result<(), EvaluationError> {
        self.trial.move_from(&self.at, alpha, &self.d);
        self.trial.evaluate(self.evaluator, &self.right)
    }

    /// Evaluates at the iterate plus the corrected step.
    pub fn try_corrected(&mut self) -> Result<(), EvaluationError> {
        self.trial.move_from(&self.at, 1.0, &self.corrected);
        self.trial.evaluate(self.evaluator, &self.right)
    }

    /// Puts other multipliers into the trial point, at the iterate's x.
    pub fn try_multipliers(&mut self, fill: impl FnOnce(&[f64], &[f64], &mut [f64])) {
        self.trial.clone_from(&self.at);
        fill(&self.at.g, &self.at.j, &mut self.trial.y);
        self.trial.set_lagrangian_gradient(self.evaluator.jacobian_pattern());
    }

    /// Makes the trial point the iterate.
    pub fn accept(&mut self) {
        std::mem::swap(&mut self.at, &mut self.trial);
    }

    /// x and the multipliers of the problem itself: of the iterate, or of the best one.
    pub fn into_answer(self, best: bool) -> (Vec<f64>, Vec<f64>) {
        let (_, x, y) = self.best;
        let (x, mut y) = if best { (x, y) } else { (self.at.x, self.at.y) };
        self.evaluator.scaling().unscale_multipliers(&mut y);
        (x, y)
    }
}
