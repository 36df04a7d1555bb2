//! The linear model: minimise F(x, b) = sum over rows of s_r phi(a_r'x + b + o_r; y_r) + h(x).
//!
//! phi is a [`Loss`], h a [`Penalty`], s_r the row weights divided by their sum (so the loss is a mean and penalties
//! do not depend on the number of rows), o_r offsets, b the intercept, never penalised and zero where it is not asked for.

use std::sync::Arc;

use rayon::prelude::*;

use super::loss::{Logistic, Loss, Squared, SquaredHinge};
use super::penalty::{ElasticNet, Group, Penalty};
use crate::linalg::DesignMatrix;
use crate::linalg::product::{CHUNK, PARALLEL_ENTRIES, norm_inf, sum_chunks};

/// What is wrong with a model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// No rows.
    #[error("the data have no rows")]
    Empty,
    /// A vector whose length is not the number of rows.
    #[error("{what}: {given} entries for {rows} rows")]
    Length {
        /// Which vector.
        what: &'static str,
        /// Its length.
        given: usize,
        /// Rows of the data.
        rows: usize,
    },
    /// A target that is not finite or that the loss does not take.
    #[error("target of row {row} is {value}; {expected}")]
    Target {
        /// Row, from 0.
        row: usize,
        /// The target.
        value: f64,
        /// What the loss takes.
        expected: &'static str,
    },
    /// A weight or an offset that is not allowed.
    #[error("{what} of row {row} is {value}; {expected}")]
    Row {
        /// Which vector.
        what: &'static str,
        /// Row, from 0.
        row: usize,
        /// The entry.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// All weights are zero.
    #[error("the weights sum to zero")]
    NoWeight,
    /// The labels do not make two classes.
    #[error("{found} distinct labels; {expected}")]
    Classes {
        /// Distinct labels found.
        found: usize,
        /// What is needed.
        expected: &'static str,
    },
    /// The penalty's own numbers.
    #[error("{0}")]
    Penalty(String),
}

/// Two classes: which labels stand for -1 and +1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Classes {
    /// The smaller label, mapped to -1.
    pub negative: f64,
    /// The larger label, mapped to +1.
    pub positive: f64,
}

impl Classes {
    /// Maps two distinct labels of any kind to -1 (the smaller) and +1 (the larger).
    ///
    /// # Errors
    /// One class only, more than two, or a NaN.
    pub fn from_labels(labels: &[f64]) -> Result<(Self, Vec<f64>), ModelError> {
        if let Some(row) = labels.iter().position(|label| label.is_nan()) {
            return Err(ModelError::Target { row, value: f64::NAN, expected: "labels must be numbers" });
        }
        let mut distinct: Vec<f64> = labels.to_vec();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        let &[negative, positive] = distinct.as_slice() else {
            let expected = "classification with this loss needs exactly two";
            return Err(ModelError::Classes { found: distinct.len(), expected });
        };
        let classes = Self { negative, positive };
        Ok((classes, labels.iter().map(|&label| if label == positive { 1.0 } else { -1.0 }).collect()))
    }

    /// The label of a predictor: the larger one where z > 0.
    pub fn label(&self, z: f64) -> f64 {
        if z > 0.0 { self.positive } else { self.negative }
    }
}

/// Data, loss and penalty.
#[derive(Debug, Clone)]
pub struct LinearModel {
    /// The data matrix A, n x p.
    pub design: DesignMatrix,
    /// Targets y, one per row; -1 and +1 for classification (see [`Classes`]).
    pub target: Vec<f64>,
    /// The loss phi.
    pub loss: Arc<dyn Loss>,
    /// The penalty h.
    pub penalty: Arc<dyn Penalty>,
    /// Row weights, not negative, any sum but zero; all equal where absent.
    pub weights: Option<Vec<f64>>,
    /// Offsets o added to the predictors; zero where absent.
    pub offsets: Option<Vec<f64>>,
    /// Whether to fit an intercept, which is never penalised.
    pub intercept: bool,
}

impl LinearModel {
    /// A model without weights, offsets and intercept.
    pub fn new(
        design: DesignMatrix,
        target: Vec<f64>,
        loss: impl Loss + 'static,
        penalty: impl Penalty + 'static,
    ) -> Self {
        Self {
            design,
            target,
            loss: Arc::new(loss),
            penalty: Arc::new(penalty),
            weights: None,
            offsets: None,
            intercept: false,
        }
    }

    /// ||y - Ax||^2 / (2n) + l1 ||x||_1.
    pub fn lasso(design: DesignMatrix, target: Vec<f64>, l1: f64) -> Self {
        Self::new(design, target, Squared, ElasticNet { l1, ..ElasticNet::default() })
    }

    /// Mean logistic loss + l1 ||x||_1 + l2 ||x||^2 / 2; targets are -1 and +1.
    pub fn logistic(design: DesignMatrix, target: Vec<f64>, l1: f64, l2: f64) -> Self {
        Self::new(design, target, Logistic, ElasticNet { l1, l2, weights: None })
    }

    /// Mean squared hinge + l2 ||x||^2 / 2; targets are -1 and +1.
    pub fn support_vector_machine(design: DesignMatrix, target: Vec<f64>, l2: f64) -> Self {
        Self::new(design, target, SquaredHinge, ElasticNet { l1: 0.0, l2, weights: None })
    }

    /// Checks every number of the model but the matrix's, which were checked when it was made.
    ///
    /// # Errors
    /// The first thing that is wrong, with its row or column.
    pub fn check(&self) -> Result<(), ModelError> {
        let rows = self.design.rows();
        if rows == 0 {
            return Err(ModelError::Empty);
        }
        let lengths = [
            ("targets", Some(&self.target)),
            ("weights", self.weights.as_ref()),
            ("offsets", self.offsets.as_ref()),
        ];
        for (what, vector) in lengths {
            if let Some(vector) = vector.filter(|vector| vector.len() != rows) {
                return Err(ModelError::Length { what, given: vector.len(), rows });
            }
        }
        for (row, &value) in self.target.iter().enumerate() {
            if !value.is_finite() {
                return Err(ModelError::Target { row, value, expected: "targets must be finite" });
            }
            self.loss.check_target(value).map_err(|expected| ModelError::Target { row, value, expected })?;
        }
        for (what, vector, low, expected) in [
            ("weight", &self.weights, 0.0, "weights must be finite and not negative"),
            ("offset", &self.offsets, f64::MIN, "offsets must be finite"),
        ] {
            let bad = |value: &f64| !(value.is_finite() && *value >= low);
            if let Some(row) = vector.iter().flatten().position(bad) {
                let value = vector.as_ref().map_or(f64::NAN, |v| v[row]);
                return Err(ModelError::Row { what, row, value, expected });
            }
        }
        let total: f64 = self.weights.iter().flatten().sum();
        if self.weights.is_some() && !(total > 0.0 && total.is_finite()) {
            return Err(ModelError::NoWeight);
        }
        self.penalty.check(self.design.columns()).map_err(ModelError::Penalty)
    }

    /// The model on some of the rows; loss, penalty and intercept stay.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let pick = |values: &Vec<f64>| rows.iter().map(|&r| values[r]).collect::<Vec<f64>>();
        Self {
            design: self.design.select_rows(rows),
            target: pick(&self.target),
            weights: self.weights.as_ref().map(pick),
            offsets: self.offsets.as_ref().map(pick),
            ..self.clone()
        }
    }

    /// s: the row weights divided by their sum.
    pub fn row_weights(&self) -> Vec<f64> {
        match &self.weights {
            None => vec![1.0 / self.design.rows() as f64; self.design.rows()],
            Some(weights) => {
                let total: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / total).collect()
            }
        }
    }

    /// sum over rows of s_r a_rj^2 for every column; shared by fits to the same data where all weights are equal.
    pub fn column_squares(&self, s: &[f64]) -> Vec<f64> {
        match (&self.weights, s.first()) {
            (None, Some(&weight)) => self.design.squares().iter().map(|square| weight * square).collect(),
            _ => self.design.weighted_squares(s),
        }
    }

    /// z <- A x + b + o.
    pub fn predictors(&self, x: &[f64], intercept: f64, z: &mut [f64]) {
        self.product(x, z);
        self.shift(intercept, z);
    }

    /// z <- A x + b + o with the b that is best for x, which is returned; the search starts at `intercept`. A model without
    /// an intercept keeps the given one. The predictors are those of (x, b) anew, not what the search was left with: added
    /// step by step they carry the rounding of every step, and a certificate would be that of another point. A x is formed
    /// once.
    pub fn predictors_at_best_intercept(&self, x: &[f64], intercept: f64, s: &[f64], z: &mut [f64]) -> f64 {
        self.product(x, z);
        if !self.intercept {
            self.shift(intercept, z);
            return intercept;
        }
        let product = z.to_vec();
        self.shift(intercept, z);
        let best = intercept + self.best_intercept(z, s);
        z.copy_from_slice(&product);
        self.shift(best, z);
        best
    }

    /// z <- A x.
    fn product(&self, x: &[f64], z: &mut [f64]) {
        let support: Vec<usize> = (0..x.len()).filter(|&j| x[j] != 0.0).collect();
        if 4 * support.len() < x.len() {
            let coefficients: Vec<f64> = support.iter().map(|&j| x[j]).collect();
            z.fill(0.0);
            self.design.add_columns(&support, &coefficients, z);
        } else {
            self.design.multiply(x, z);
        }
    }

    /// z <- z + b + o.
    fn shift(&self, intercept: f64, z: &mut [f64]) {
        match &self.offsets {
            None if intercept == 0.0 => {}
            None => z.iter_mut().for_each(|z| *z += intercept),
            Some(offsets) => z.iter_mut().zip(offsets).for_each(|(z, offset)| *z += intercept + offset),
        }
    }

    /// Sum over rows of s_r phi(z_r; y_r).
    pub fn loss_value(&self, z: &[f64], s: &[f64]) -> f64 {
        sum_chunks(z.len(), 8, |r| self.loss.sum(&z[r.clone()], &self.target[r.clone()], &s[r]))
    }

    /// out_r <- s_r phi'(z_r; y_r).
    pub fn loss_derivatives(&self, z: &[f64], s: &[f64], out: &mut [f64]) {
        by_chunks(out, |r, out| self.loss.derivatives(&z[r.clone()], &self.target[r.clone()], &s[r], out));
    }

    /// out_r <- s_r phi''(z_r; y_r).
    pub fn loss_curvatures(&self, z: &[f64], s: &[f64], out: &mut [f64]) {
        by_chunks(out, |r, out| self.loss.curvatures(&z[r.clone()], &self.target[r.clone()], &s[r], out));
    }

    /// h(x).
    pub fn penalty_value(&self, x: &[f64]) -> f64 {
        x.iter().enumerate().map(|(j, &x)| self.penalty.value(j, x)).sum()
    }

    /// The smallest l1 for which x = 0 solves the model with penalty l1 ||x||_1, whatever its penalty is now:
    /// ||A' phi'(z)||_inf with weights s, at x = 0 and the best intercept.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn l1_max(&self) -> Result<f64, ModelError> {
        Ok(norm_inf(&self.gradient_at_zero()?))
    }

    /// The smallest l1 for which x = 0 solves the model with a penalty on groups, whatever the l1 of that: the largest
    /// ||g_G|| / u_G.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn group_l1_max(&self, group: &Group) -> Result<f64, ModelError> {
        group.check(self.design.columns()).map_err(ModelError::Penalty)?;
        let gradient = self.gradient_at_zero()?;
        let unit = Group { l1: 1.0, ..group.clone() };
        let norm = |g: usize| unit.groups[g].iter().map(|&j| gradient[j] * gradient[j]).sum::<f64>().sqrt();
        let ratio = |g: usize| if unit.threshold(g) > 0.0 { norm(g) / unit.threshold(g) } else { 0.0 };
        Ok((0..unit.groups.len()).map(ratio).fold(0.0, f64::max))
    }

    /// The loss's gradient at x = 0 and the best intercept.
    fn gradient_at_zero(&self) -> Result<Vec<f64>, ModelError> {
        self.check()?;
        let s = self.row_weights();
        let mut z = vec![0.0; self.design.rows()];
        self.predictors_at_best_intercept(&vec![0.0; self.design.columns()], 0.0, &s, &mut z);
        let mut v = vec![0.0; z.len()];
        self.loss_derivatives(&z, &s, &mut v);
        let mut gradient = vec![0.0; self.design.columns()];
        self.design.multiply_transpose(&v, &mut gradient);
        Ok(gradient)
    }

    /// Shifts all predictors by the constant that minimises the loss, and returns the shift: Newton's method,
    /// safeguarded by bisection once the root is bracketed. O(n) per step, a few steps.
    pub fn best_intercept(&self, z: &mut [f64], s: &[f64]) -> f64 {
        let (mut first, mut second) = (vec![0.0; z.len()], vec![0.0; z.len()]);
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        let mut shift = 0.0;
        for _ in 0..100 {
            self.loss_derivatives(z, s, &mut first);
            let slope: f64 = first.iter().sum();
            let size: f64 = first.iter().map(|v| v.abs()).sum();
            if slope.abs() <= 4e-16 * size || size == 0.0 || !size.is_finite() {
                break;
            }
            if slope > 0.0 {
                high = shift
            } else {
                low = shift
            }
            self.loss_curvatures(z, s, &mut second);
            let bend: f64 = second.iter().sum();
            let mut next =
                shift - (slope / bend).clamp(-10.0 * (1.0 + shift.abs()), 10.0 * (1.0 + shift.abs()));
            if !(next > low && next < high) {
                next = if low.is_finite() && high.is_finite() {
                    0.5 * (low + high)
                } else {
                    shift - slope.signum() * (1.0 + shift.abs())
                };
            }
            let step = next - shift;
            if step == 0.0 || step.abs() <= 1e-16 * shift.abs() || !step.is_finite() {
                break;
            }
            z.iter_mut().for_each(|z| *z += step);
            shift = next;
        }
        shift
    }
}

/// Fills `out` chunk by chunk, in parallel where it pays. Every entry depends on its own row alone.
fn by_chunks(out: &mut [f64], fill: impl Fn(std::ops::Range<usize>, &mut [f64]) + Sync) {
    let n = out.len();
    let range = |c: usize| c * CHUNK..n.min((c + 1) * CHUNK);
    if n * 8 < PARALLEL_ENTRIES {
        fill(0..n, out);
    } else {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(c, part)| fill(range(c), part));
    }
}
