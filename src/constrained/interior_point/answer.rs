//! From iterates to answers of the problem itself, and how good they are.

use super::super::evaluator::{Evaluator, add_transpose_product};
use super::super::termination::{KktError, Point};
use super::form::Model;
use super::phase::{Iterate, Shape};
use crate::linalg::product::norm_inf;

/// x and the multipliers of the problem itself, and what its error is computed from.
pub(super) struct Answer {
    pub x: Vec<f64>,
    pub multipliers: Vec<f64>,
    pub lower_multipliers: Vec<f64>,
    pub upper_multipliers: Vec<f64>,
    constraints: Vec<f64>,
    gradient: Vec<f64>,
}

impl Clone for Answer {
    fn clone(&self) -> Self {
        Self {
            x: self.x.clone(),
            multipliers: self.multipliers.clone(),
            lower_multipliers: self.lower_multipliers.clone(),
            upper_multipliers: self.upper_multipliers.clone(),
            constraints: self.constraints.clone(),
            gradient: self.gradient.clone(),
        }
    }

    /// Without allocating where the sizes agree.
    fn clone_from(&mut self, other: &Self) {
        self.x.clone_from(&other.x);
        self.multipliers.clone_from(&other.multipliers);
        self.lower_multipliers.clone_from(&other.lower_multipliers);
        self.upper_multipliers.clone_from(&other.upper_multipliers);
        self.constraints.clone_from(&other.constraints);
        self.gradient.clone_from(&other.gradient);
    }
}

impl Answer {
    pub fn new(evaluator: &Evaluator) -> Self {
        let (n, m) = (evaluator.variables(), evaluator.rows());
        // rows that are dropped hold a value within their sides
        let bounds = evaluator.bounds();
        let inside = |i: usize| 0f64.max(bounds.row_lower[i]).min(bounds.row_upper[i]);
        Self {
            x: vec![0.0; n],
            multipliers: vec![0.0; m],
            lower_multipliers: vec![0.0; n],
            upper_multipliers: vec![0.0; n],
            constraints: (0..m).map(inside).collect(),
            gradient: vec![0.0; n],
        }
    }

    /// Takes over an iterate: unscaled, within the bounds, multipliers of inequalities from those of their slacks.
    ///
    /// Fixed variables have no dual infeasibility: their multipliers are whatever is left there.
    pub fn take(&mut self, shape: &Shape, model: &mut Model, at: &Iterate) {
        let nx = shape.nx;
        self.x.copy_from_slice(model.full_x(&at.u));
        let form = &model.form;
        let (bounds, scaling) = (model.evaluator.bounds(), model.evaluator.scaling());
        let objective = scaling.objective;
        for (k, &j) in form.free.iter().enumerate() {
            let j = j as usize;
            self.x[j] = self.x[j].clamp(bounds.lower[j], bounds.upper[j]);
            (self.lower_multipliers[j], self.upper_multipliers[j]) =
                (at.zl[k] / objective, at.zu[k] / objective);
            self.gradient[j] = (at.dual[k] + at.zl[k] - at.zu[k]) / objective;
        }
        for (k, &i) in form.rows.iter().enumerate() {
            let (i, factor) = (i as usize, scaling.constraints[i as usize]);
            self.multipliers[i] = at.y[k] / scaling.multiplier(i);
            let side = if bounds.is_equation(i) { bounds.row_lower[i] } else { 0.0 };
            self.constraints[i] = side + at.residual[k] / factor;
        }
        for (k, &row) in form.slack_rows.iter().enumerate() {
            let (row, i) = (row as usize, form.rows[row as usize] as usize);
            self.constraints[i] += at.u[nx + k] / scaling.constraints[i];
            if form.least_squares && bounds.is_equation(i) {
                continue;
            }
            // exactly complementary; the difference goes to the dual infeasibility
            let multiplier = at.zu[nx + k] - at.zl[nx + k];
            self.add_row(model, at, row, (multiplier - at.y[row]) / objective);
            self.multipliers[i] = multiplier / scaling.multiplier(i);
        }
    }

    /// All multipliers become zero, where the gradient of the objective is.
    pub fn forget_multipliers(&mut self) {
        self.multipliers.fill(0.0);
        self.lower_multipliers.fill(0.0);
        self.upper_multipliers.fill(0.0);
        self.gradient.fill(0.0);
    }

    /// gradient <- gradient + change (row of the Jacobian).
    fn add_row(&mut self, model: &Model, at: &Iterate, row: usize, change: f64) {
        if change == 0.0 {
            return;
        }
        let pattern = &model.form.jacobian.pattern;
        let range = pattern.indptr().outer_inds_sz(row);
        for k in range {
            let column = model.form.free[pattern.indices()[k] as usize] as usize;
            self.gradient[column] += change * at.jacobian[k];
        }
    }

    /// The error of the problem at this answer.
    pub fn error(&self, evaluator: &Evaluator) -> KktError {
        let point = Point {
            x: &self.x,
            constraints: &self.constraints,
            lagrangian_gradient: &self.gradient,
            multipliers: &self.multipliers,
            lower_multipliers: &self.lower_multipliers,
            upper_multipliers: &self.upper_multipliers,
        };
        KktError::at(&point, evaluator.bounds(), evaluator.scaling())
    }

    /// Multipliers of fixed variables: what makes their dual infeasibility vanish.
    pub fn complete(&mut self, evaluator: &mut Evaluator) {
        let bounds = evaluator.bounds();
        let fixed: Vec<usize> = (0..self.x.len()).filter(|&j| bounds.lower[j] == bounds.upper[j]).collect();
        if fixed.is_empty() {
            return;
        }
        let mut gradient = vec![0.0; self.x.len()];
        let mut jacobian = vec![0.0; evaluator.jacobian_pattern().nnz()];
        let evaluated =
            evaluator.unscaled(|evaluator| evaluator.derivatives(&self.x, &mut gradient, &mut jacobian));
        if evaluated.is_err() {
            return;
        }
        add_transpose_product(evaluator.jacobian_pattern(), &jacobian, &self.multipliers, &mut gradient);
        for j in fixed {
            self.gradient[j] = gradient[j];
            (self.lower_multipliers[j], self.upper_multipliers[j]) =
                (gradient[j].max(0.0), (-gradient[j]).max(0.0));
        }
    }
}

/// How well an iterate of the least-squares form solves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeastSquares {
    /// Largest violation of the problem's own rows, scaled.
    pub violation: f64,
    /// Error of the least-squares problem.
    pub error: f64,
    /// Dual residual over the sizes of Jacobian and residual.
    pub relative: f64,
}

impl LeastSquares {
    pub fn at(shape: &Shape, model: &Model, at: &Iterate) -> Self {
        let form = &model.form;
        let mut violation = norm_inf(&at.residual);
        for (k, (&row, &weight)) in form.slack_rows.iter().zip(&form.slack_curvature).enumerate() {
            if weight > 0.0 {
                violation = violation.max((at.residual[row as usize] + at.u[shape.nx + k]).abs());
            }
        }
        let error = shape.error(at, 0.0);
        let size = norm_inf(&at.jacobian) * violation;
        let relative = if size > 0.0 { error.dual / size } else { 0.0 };
        Self { violation, error: error.total(), relative }
    }

    /// Whether no step can lower the sum of squares any more. Where little of it is left it must vanish relative to what is:
    /// equations with a common solution are to be solved.
    pub fn is_stationary(&self, tolerance: f64) -> bool {
        self.error <= tolerance && (self.relative <= 1e-10 || self.violation >= 1e-2)
    }
}
