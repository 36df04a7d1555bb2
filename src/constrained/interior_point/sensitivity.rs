//! How a solution moves with the problem.

use super::super::error::{Error, EvaluationError};
use super::super::evaluator::{Evaluator, check_vector};
use super::super::kkt::KktMatrix;
use super::super::solution::Solution;
use crate::linalg::factor::Inertia;
use crate::problem::NonlinearProgram;

/// A distance from a bound below this counts as this.
const LEAST_DISTANCE: f64 = 1e-12;
/// Stands for an infinite weight: the variable does not move, the row is not there.
const HUGE: f64 = 1e20;

/// The factored first-order conditions at a solution, ready for any number of parameters.
///
/// With z / distance on the diagonal, bounds and inequalities that are active stay so, the others don't count; the answer is
/// the derivative of the solution where it has one (strict complementarity, second-order sufficiency).
/// Cost: one factorisation, and two triangular solves per parameter.
pub struct Sensitivity {
    kkt: KktMatrix,
    n: usize,
}

impl Sensitivity {
    /// Factors the conditions at a solution.
    ///
    /// # Errors
    /// `Unsupported` where no Hessian is stored, a function isn't finite, or the matrix has the wrong inertia: then the solution
    /// is no strict minimum with independent active constraints.
    ///
    /// # Examples
    /// ```
    /// use gradus::constrained::{InteriorPoint, Sensitivity};
    /// use gradus::problem::closures::Closures;
    ///
    /// // min (x - p)^2 + y^2 subject to x + y = 1, at p = 1: x = 1 + (p - 1) / 2
    /// let problem = Closures::new(vec![0.0, 0.0])
    ///     .objective(|x| (x[0] - 1.0).powi(2) + x[1] * x[1], |x, g| { g[0] = 2.0 * (x[0] - 1.0); g[1] = 2.0 * x[1]; })
    ///     .equations(1, &[(0, 0), (0, 1)], |x, c| c[0] = x[0] + x[1] - 1.0, |_, j| j.fill(1.0))
    ///     .hessian(&[(0, 0), (1, 1)], |_, sigma, _, w| w.fill(2.0 * sigma))
    ///     .build()?;
    /// let solution = InteriorPoint::default().solve(&problem)?;
    /// // the gradient of the Lagrangian changes by (-2, 0) per unit of p, the row by nothing
    /// let (dx, dy) = Sensitivity::at(&problem, &solution)?.direction(&[-2.0, 0.0], &[0.0])?;
    /// assert!((dx[0] - 0.5).abs() < 1e-9 && (dx[1] + 0.5).abs() < 1e-9 && (dy[0] - 1.0).abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at<P: NonlinearProgram>(problem: &P, solution: &Solution) -> Result<Self, Error> {
        let mut evaluator = Evaluator::new(problem)?;
        let Some(pattern) = evaluator.hessian_pattern() else {
            return Err(Error::Unsupported("sensitivities take a stored Hessian".into()));
        };
        let (n, m) = (evaluator.variables(), evaluator.rows());
        check_vector("the solution", n, &solution.x)?;
        check_vector("the multipliers", m, &solution.multipliers)?;
        let (mut w, mut g) = (vec![0.0; pattern.nnz()], vec![0.0; n]);
        let mut j = vec![0.0; evaluator.jacobian_pattern().nnz()];
        let mut c = vec![0.0; m];
        let evaluated = (|| {
            evaluator.values(&solution.x, &mut c)?;
            evaluator.derivatives(&solution.x, &mut g, &mut j)?;
            evaluator.hessian(&solution.x, 1.0, &solution.multipliers, &mut w)
        })();
        evaluated.map_err(|error: EvaluationError| Error::Unsupported(error.to_string()))?;
        let (d_x, d_y) = weights(&evaluator, solution, &c);
        let mut kkt = KktMatrix::new(pattern, evaluator.jacobian_pattern())?;
        kkt.set(&w, &j, &d_x, &d_y);
        if kkt.factor(0.0, 0.0)? != (Inertia { positive: n, negative: m, zero: 0 }) {
            return Err(Error::Unsupported(
                "the solution has no derivative: it is no strict minimum, or its active constraints are dependent".into(),
            ));
        }
        Ok(Self { kkt, n })
    }

    /// (dx, dy): derivatives of x and y by a parameter, from those of the Lagrangian's gradient (length n) and of c (length m) at
    /// fixed x and y.
    ///
    /// # Errors
    /// `Length`, `NotFinite`; those of the solve.
    pub fn direction(&mut self, gradient: &[f64], rows: &[f64]) -> Result<(Vec<f64>, Vec<f64>), Error> {
        check_vector("the change of the gradient", self.n, gradient)?;
        check_vector("the change of the constraints", self.kkt.size() - self.n, rows)?;
        let right: Vec<f64> = gradient.iter().chain(rows).map(|value| -value).collect();
        let mut solution = vec![0.0; right.len()];
        self.kkt.solve(&right, &mut solution)?;
        let dy = solution.split_off(self.n);
        Ok((solution, dy))
    }
}

/// z over distance of variables, and its inverse of rows.
fn weights(evaluator: &Evaluator, solution: &Solution, c: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let bounds = evaluator.bounds();
    let side = |z: f64, distance: f64| {
        if distance.is_finite() { z.max(0.0) / distance.max(LEAST_DISTANCE) } else { 0.0 }
    };
    let variable = |j: usize| {
        if bounds.lower[j] == bounds.upper[j] {
            return HUGE;
        }
        side(solution.lower_multipliers[j], solution.x[j] - bounds.lower[j])
            + side(solution.upper_multipliers[j], bounds.upper[j] - solution.x[j])
    };
    let row = |i: usize| {
        if bounds.is_equation(i) {
            return 0.0;
        }
        let y = solution.multipliers[i];
        let weight = side(-y, c[i] - bounds.row_lower[i]) + side(y, bounds.row_upper[i] - c[i]);
        if weight > 1.0 / HUGE { 1.0 / weight } else { HUGE }
    };
    ((0..solution.x.len()).map(variable).collect(), (0..c.len()).map(row).collect())
}
