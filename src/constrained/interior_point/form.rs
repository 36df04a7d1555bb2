//! The problem as the interior point sees it.
//!
//! minimise f(x) over v = (x, s) subject to c_i(x) - b_i = 0 in equations, c_i(x) - s_k = 0 in inequalities and
//! lower <= v <= upper. Fixed variables are constants, rows without a finite side are dropped. In the least-squares form
//! equations have a free s too, and the objective is |s|^2 / 2 over those: what is left of equations that have no
//! common solution.

use super::super::EvaluationError;
use super::super::evaluator::Evaluator;
use super::second::Differences;
use crate::problem::nonlinear::Pattern;

/// Marks a variable or row that isn't kept.
const DROPPED: u32 = u32::MAX;

/// Bounds move outwards by at most this.
const LARGEST_RELAXATION: f64 = 1e-4;

/// A part of a pattern, and where each of its entries lies in the whole.
pub(super) struct Selected {
    pub pattern: Pattern,
    /// Empty where the whole is kept.
    source: Vec<u32>,
}

impl Selected {
    fn new(whole: &Pattern, rows: &[u32], columns: &[u32], shape: (usize, usize)) -> Self {
        if shape == whole.shape() {
            return Self { pattern: whole.clone(), source: Vec::new() };
        }
        let (mut offsets, mut indices, mut source) = (vec![0], Vec::new(), Vec::new());
        let whole_offsets = whole.proper_indptr();
        for (row, pair) in whole_offsets.windows(2).enumerate() {
            if rows[row] == DROPPED {
                continue;
            }
            for k in pair[0]..pair[1] {
                let column = columns[whole.indices()[k] as usize];
                if column != DROPPED {
                    indices.push(column);
                    source.push(k as u32);
                }
            }
            offsets.push(indices.len());
        }
        let count = indices.len();
        Self { pattern: Pattern::new(shape, offsets, indices, vec![(); count]), source }
    }

    /// Picks the kept values out of `whole`, or swaps the two where all are kept.
    fn take(&self, whole: &mut Vec<f64>, kept: &mut Vec<f64>) {
        if self.source.is_empty() && whole.len() == kept.len() {
            std::mem::swap(whole, kept);
        } else {
            kept.iter_mut().zip(&self.source).for_each(|(value, &k)| *value = whole[k as usize]);
        }
    }
}

/// Which problem stands for the one that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// That itself.
    Problem,
    /// The least sum of squares of its equations.
    LeastSquares,
    /// The same, without the rows' second derivatives where those make it nonconvex.
    GaussNewton,
}

/// What the solver works on instead of the problem's own variables and rows.
pub(super) struct Form {
    /// Kept variables, by their numbers in the problem.
    pub free: Vec<u32>,
    /// Kept rows, by their numbers in the problem.
    pub rows: Vec<u32>,
    /// The row of each slack.
    pub slack_rows: Vec<u32>,
    /// b of equations without a slack, zero elsewhere; scaled.
    target: Vec<f64>,
    /// Bounds of v = (x, s), infinite where there is none; scaled.
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    /// Whether the objective is half the sum of squares of the slacks of equations.
    pub least_squares: bool,
    pub gauss_newton: bool,
    /// Whether W is never evaluated: its pattern is empty then.
    pub limited_memory: bool,
    /// Second derivative of the objective with respect to each slack: one in the least-squares form for equations.
    pub slack_curvature: Vec<f64>,
    pub hessian: Selected,
    pub jacobian: Selected,
    /// The problem's x with the fixed variables at their bounds.
    template: Vec<f64>,
    /// A row that no variable touches and that is violated: its number and the violation.
    pub broken_row: Option<(usize, f64)>,
}

impl Form {
    /// Lays out the form. `constant_rows` holds c, unscaled, where the fixed variables are, for rows that no free variable
    /// touches.
    pub fn new(
        evaluator: &Evaluator,
        constant_rows: &[f64],
        kind: Kind,
        relaxation: f64,
        limited_memory: bool,
    ) -> Self {
        let least_squares = kind != Kind::Problem;
        let bounds = evaluator.bounds();
        let scaling = evaluator.scaling();
        let (n, m) = (evaluator.variables(), evaluator.rows());
        let template = bounds.with_fixed(evaluator.start());
        let (mut free, mut column_of) = (Vec::new(), vec![DROPPED; n]);
        for (j, column) in column_of.iter_mut().enumerate() {
            if bounds.lower[j] != bounds.upper[j] {
                *column = free.len() as u32;
                free.push(j as u32);
            }
        }
        let (mut rows, mut row_of, mut broken_row) = (Vec::new(), vec![DROPPED; m], None);
        let offsets = evaluator.jacobian_pattern().proper_indptr();
        for i in 0..m {
            let columns = &evaluator.jacobian_pattern().indices()[offsets[i]..offsets[i + 1]];
            let touched = columns.iter().any(|&j| column_of[j as usize] != DROPPED);
            let (lower, upper) = (bounds.row_lower[i], bounds.row_upper[i]);
            if !touched {
                let violation = (lower - constant_rows[i]).max(constant_rows[i] - upper);
                if violation > 1e-8 * (1.0 + constant_rows[i].abs()) && broken_row.is_none() {
                    broken_row = Some((i, violation));
                }
            } else if lower.is_finite() || upper.is_finite() {
                row_of[i] = rows.len() as u32;
                rows.push(i as u32);
            }
        }
        let mut lower: Vec<f64> = free.iter().map(|&j| bounds.lower[j as usize]).collect();
        let mut upper: Vec<f64> = free.iter().map(|&j| bounds.upper[j as usize]).collect();
        let (mut slack_rows, mut slack_curvature) = (Vec::new(), Vec::new());
        let mut target = vec![0.0; rows.len()];
        for (k, &i) in rows.iter().enumerate() {
            let factor = scaling.constraints[i as usize];
            let (row_lower, row_upper) =
                (factor * bounds.row_lower[i as usize], factor * bounds.row_upper[i as usize]);
            if bounds.is_equation(i as usize) {
                target[k] = row_lower;
                if !least_squares {
                    continue;
                }
            }
            let equation = bounds.is_equation(i as usize);
            slack_rows.push(k as u32);
            slack_curvature.push(if equation { 1.0 } else { 0.0 });
            lower.push(if equation { f64::NEG_INFINITY } else { row_lower });
            upper.push(if equation { f64::INFINITY } else { row_upper });
        }
        let room = |bound: f64| (relaxation * bound.abs().max(1.0)).min(LARGEST_RELAXATION);
        lower.iter_mut().filter(|bound| bound.is_finite()).for_each(|bound| *bound -= room(*bound));
        upper.iter_mut().filter(|bound| bound.is_finite()).for_each(|bound| *bound += room(*bound));
        let none = Pattern::zero((n, n));
        let hessian = evaluator.hessian_pattern().filter(|_| !limited_memory).unwrap_or(&none);
        let shape = (free.len(), free.len());
        let hessian = Selected::new(hessian, &column_of, &column_of, shape);
        let shape = (rows.len(), free.len());
        let jacobian = Selected::new(evaluator.jacobian_pattern(), &row_of, &column_of, shape);
        Self {
            free,
            rows,
            slack_rows,
            target,
            lower,
            upper,
            least_squares,
            gauss_newton: kind == Kind::GaussNewton,
            limited_memory,
            slack_curvature,
            hessian,
            jacobian,
            template,
            broken_row,
        }
    }

    /// Number of kept variables.
    pub fn variables(&self) -> usize {
        self.free.len()
    }

    /// Number of x and s together.
    pub fn primal(&self) -> usize {
        self.lower.len()
    }

    /// Number of kept rows.
    pub fn constraints(&self) -> usize {
        self.rows.len()
    }
}

/// The functions of the form: those of the problem, gathered.
pub(super) struct Model<'e, 'p> {
    pub evaluator: &'e mut Evaluator<'p>,
    pub form: Form,
    x: Vec<f64>,
    c: Vec<f64>,
    g: Vec<f64>,
    j: Vec<f64>,
    w: Vec<f64>,
    y: Vec<f64>,
    differences: Option<Differences>,
    /// Whether W depends on neither x nor y; then whether it is known already.
    pub constant_hessian: bool,
    hessian_known: bool,
    /// Whether the objective depends on nothing: every feasible point is a solution then.
    pub constant_objective: bool,
}

impl<'e, 'p> Model<'e, 'p> {
    pub fn new(evaluator: &'e mut Evaluator<'p>, form: Form, by_differences: bool) -> Self {
        let (n, m) = (evaluator.variables(), evaluator.rows());
        let nonzeros = evaluator.jacobian_pattern().nnz();
        let second = evaluator.hessian_pattern().filter(|_| !form.limited_memory).map_or(0, Pattern::nnz);
        let differences = by_differences.then(|| Differences::new(&form.hessian, evaluator));
        let x = form.template.clone();
        Self {
            evaluator,
            form,
            x,
            c: vec![0.0; m],
            g: vec![0.0; n],
            j: vec![0.0; nonzeros],
            w: vec![0.0; second],
            y: vec![0.0; m],
            differences,
            constant_hessian: false,
            hessian_known: false,
            constant_objective: false,
        }
    }

    /// Lets the Hessian be evaluated again, for a caller who doesn't have its values.
    pub fn forget_hessian(&mut self) {
        self.hessian_known = false;
    }

    fn place(&mut self, v: &[f64]) {
        for (&j, &value) in self.form.free.iter().zip(v) {
            self.x[j as usize] = value;
        }
    }

    /// The objective, and the residual of each row into `residual`. The slacks' curvature is part of the objective.
    pub fn values(&mut self, v: &[f64], residual: &mut [f64]) -> Result<f64, EvaluationError> {
        self.place(v);
        let f = self.evaluator.values(&self.x, &mut self.c)?;
        let form = &self.form;
        for ((residual, &i), target) in residual.iter_mut().zip(&form.rows).zip(&form.target) {
            *residual = self.c[i as usize] - target;
        }
        let slacks = &v[form.free.len()..];
        for (&row, s) in form.slack_rows.iter().zip(slacks) {
            residual[row as usize] -= s;
        }
        if !form.least_squares {
            return Ok(f);
        }
        Ok(form.slack_curvature.iter().zip(slacks).map(|(weight, s)| 0.5 * weight * s * s).sum())
    }

    /// Gradient of the objective with respect to v, and the Jacobian of the kept rows and variables.
    pub fn derivatives(
        &mut self,
        v: &[f64],
        gradient: &mut [f64],
        jacobian: &mut Vec<f64>,
    ) -> Result<(), EvaluationError> {
        self.place(v);
        self.evaluator.derivatives(&self.x, &mut self.g, &mut self.j)?;
        let form = &self.form;
        form.jacobian.take(&mut self.j, jacobian);
        let n = form.free.len();
        for (value, &j) in gradient.iter_mut().zip(&form.free) {
            *value = if form.least_squares { 0.0 } else { self.g[j as usize] };
        }
        for (k, value) in gradient[n..form.primal()].iter_mut().enumerate() {
            *value = form.slack_curvature[k] * v[n + k];
        }
        Ok(())
    }

    /// Lower triangle of the Hessian of sigma f + y'c with respect to the kept variables.
    pub fn hessian(
        &mut self,
        v: &[f64],
        sigma: f64,
        y: &[f64],
        hessian: &mut Vec<f64>,
    ) -> Result<(), EvaluationError> {
        if self.hessian_known {
            return Ok(());
        }
        self.place(v);
        self.y.fill(0.0);
        for (&i, &value) in self.form.rows.iter().zip(y) {
            self.y[i as usize] = value;
        }
        let sigma = if self.form.least_squares { 0.0 } else { sigma };
        // restorations change sigma, least squares never has one
        self.hessian_known = self.constant_hessian && sigma == 1.0;
        if let Some(differences) = &mut self.differences {
            let point = (&self.x[..], sigma, &self.y[..]);
            return differences.hessian(self.evaluator, &self.form.hessian, &self.form.free, point, hessian);
        }
        self.evaluator.hessian(&self.x, sigma, &self.y, &mut self.w)?;
        self.form.hessian.take(&mut self.w, hessian);
        Ok(())
    }

    /// The problem's x that belongs to v.
    pub fn full_x(&mut self, v: &[f64]) -> &[f64] {
        self.place(v);
        &self.x
    }
}
