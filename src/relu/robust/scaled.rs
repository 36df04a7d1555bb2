//! The robust program in the variables that its solvers work in, and the bound that multipliers prove.

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::Block;
use super::prox::{Budget, RowDual};
use crate::linalg::panel;
use crate::linalg::product::{dot_serial, norm, summation_error};
use crate::relu::{Loss, Patterns, Training};

/// X, beta and the budget divided by `scale`, weights multiplied by it: the same problem. Columns of weights are those of
/// the patterns with sign +, then those with sign -.
pub(super) struct Scaled {
    pub n: usize,
    pub d: usize,
    pub loss: Loss,
    pub y: Vec<f64>,
    pub x: Mat<f64>,
    /// Rows of X one after the other.
    pub rows: Vec<f64>,
    /// Their norms.
    pub norms: Vec<f64>,
    pub budget: Budget,
    pub beta: f64,
    pub scale: f64,
    /// +1 (active) and -1 for every row, one vector a pattern.
    pub signs: Vec<Vec<f64>>,
    /// Sign times activity of every column on every row, n x columns.
    pub active: Vec<f64>,
    /// Its transpose.
    pub active_transposed: Vec<f64>,
}

/// Multipliers of the robust program; any values with `gamma` >= 0 prove a bound.
pub(super) struct Multipliers<'a> {
    /// Subgradients of the rows: `along` x_k + a vector of the dual ball, d x n.
    pub duals: &'a [RowDual],
    pub ball: Vec<f64>,
    /// Of the rows of the robust cones, n x columns, and of their sizes, d x columns.
    pub gamma: Vec<f64>,
    pub omega: Vec<f64>,
}

impl Scaled {
    pub fn new(training: &Training, patterns: &Patterns, budget: &Budget) -> Self {
        let (n, d, count) = (training.rows(), training.columns(), patterns.len());
        let raw = training.x();
        let size = (0..d).map(|j| raw.col(j).iter().map(|v| v * v).sum::<f64>()).sum::<f64>().sqrt();
        let scale = if size > 0.0 { size / (d.min(n) as f64).sqrt().min(10.0) / 3.0 } else { 1.0 };
        let x = Mat::from_fn(n, d, |i, j| raw[(i, j)] / scale);
        let rows: Vec<f64> = (0..n).flat_map(|k| (0..d).map(move |j| (k, j))).map(|i| x[i]).collect();
        let norms = rows.chunks_exact(d).map(norm).collect();
        let sign = |i: usize, k: usize| if patterns.is_active(i, k) { 1.0 } else { -1.0 };
        let signs: Vec<Vec<f64>> = (0..count).map(|i| (0..n).map(|k| sign(i, k)).collect()).collect();
        let mut active = vec![0.0; n * 2 * count];
        for (j, column) in active.chunks_exact_mut(n).enumerate() {
            let side = if j < count { 1.0 } else { -1.0 };
            let signs = &signs[j % count];
            column.iter_mut().zip(signs).for_each(|(a, e)| *a = if *e > 0.0 { side } else { 0.0 });
        }
        let columns = 2 * count;
        let active_transposed =
            (0..n).flat_map(|k| (0..columns).map(move |j| (k, j))).map(|(k, j)| active[j * n + k]).collect();
        let budget = Budget { epsilon: budget.epsilon / scale, ..*budget };
        let (loss, beta, y) = (training.loss(), training.beta() / scale, training.target().to_vec());
        Self { n, d, loss, y, x, rows, norms, budget, beta, scale, signs, active, active_transposed }
    }

    /// Columns of weights: two a pattern.
    pub fn columns(&self) -> usize {
        2 * self.signs.len()
    }

    /// The signs of the rows for a column.
    pub fn signs(&self, j: usize) -> &[f64] {
        &self.signs[j % self.signs.len()]
    }

    /// The non-zero columns in the data's own scale.
    pub fn blocks(&self, v: &[f64]) -> Vec<Block> {
        let count = self.signs.len();
        let columns = v.chunks_exact(self.d).enumerate();
        columns
            .filter(|(_, v)| norm(v) > 0.0)
            .map(|(j, v)| Block {
                pattern: j % count,
                sign: if j < count { 1.0 } else { -1.0 },
                weights: v.iter().map(|v| v / self.scale).collect(),
            })
            .collect()
    }

    /// A lower bound of the program's optimum from multipliers: rows give subgradients g_k = along x_k + r_k, |r_k|* <= eps
    /// alpha; every column's sum of them, made smaller by an element of the robust cone's dual, must have norm at most beta
    /// after one common scaling c, and the bound is the sum of -f*(c g_k).
    pub fn lower_bound(&self, multipliers: Multipliers) -> f64 {
        let Self { n, d, .. } = *self;
        let Multipliers { duals, mut ball, gamma, omega } = multipliers;
        for (k, g) in ball.chunks_exact_mut(d).enumerate() {
            self.budget.clip(g, duals[k].alpha * self.budget.epsilon);
            let x = &self.rows[k * d..(k + 1) * d];
            g.iter_mut().zip(x).for_each(|(g, x)| *g += duals[k].along * x);
        }
        let rounding = summation_error(n);
        let sizes: Vec<f64> = ball.chunks_exact(d).map(norm).collect();
        let mut sums = vec![0.0; d * self.columns()];
        panel::multiply(MatRef::from_column_major_slice(&ball, d, n), &self.active, &mut sums);
        let theta = sums
            .par_chunks_exact(d)
            .enumerate()
            .map(|(j, sum)| {
                let gamma = &gamma[j * n..(j + 1) * n];
                let mut left = omega[j * d..(j + 1) * d].to_vec();
                self.budget.clip(&mut left, self.budget.epsilon * gamma.iter().sum::<f64>());
                for ((row, gamma), e) in self.rows.chunks_exact(d).zip(gamma).zip(self.signs(j)) {
                    left.iter_mut().zip(row).for_each(|(v, x)| *v -= gamma * e * x);
                }
                left.iter_mut().zip(sum).for_each(|(v, s)| *v += s);
                // what rounding can have taken from the norm
                let own = &self.active[j * n..(j + 1) * n];
                let terms = own.iter().zip(&sizes).map(|(a, g)| a.abs() * g).sum::<f64>();
                let size = terms + dot_serial(gamma, &self.norms) + norm(&omega[j * d..(j + 1) * d]);
                norm(&left) + rounding * size
            })
            .reduce(|| 0.0, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) });
        let c = if theta > self.beta { self.beta / theta * (1.0 - 4.0 * f64::EPSILON) } else { 1.0 };
        let values = duals.iter().zip(&self.y).map(|(dual, &y)| dual.value(self.loss, y, c));
        let bound: f64 = values.map(|value| value - rounding * value.abs()).sum();
        // no loss is negative
        if theta.is_nan() || bound.is_nan() { 0.0 } else { bound }
    }
}
