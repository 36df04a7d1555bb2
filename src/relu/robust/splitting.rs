//! The alternating direction method of multipliers on the robust program.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rayon::prelude::*;

use super::prox::{Budget, RowDual, robust_cone, row};
use super::{Block, RobustRelu};
use crate::linalg::factor::FactorError;
use crate::linalg::panel;
use crate::linalg::product::norm;
use crate::relu::{Error, Loss, Patterns, Training};

/// The iterate; columns are those of the patterns with sign +, then those with sign -.
pub(super) struct Splitting {
    n: usize,
    d: usize,
    loss: Loss,
    y: Vec<f64>,
    /// X and the budget divided by `scale`, weights multiplied by it.
    x: Mat<f64>,
    rows: Vec<f64>,
    budget: Budget,
    beta: f64,
    scale: f64,
    signs: Vec<Vec<f64>>,
    /// Sign times activity of every column on every row, n x columns and its transpose.
    active: Vec<f64>,
    active_transposed: Vec<f64>,
    /// 2 I + X'X = U diag(theta) U' and D'D = Q diag(mu) Q' over the patterns.
    left: (Vec<f64>, Mat<f64>),
    right: (Vec<f64>, Mat<f64>),
    rho: f64,
    relaxation: f64,
    u: Vec<f64>,
    v: Vec<f64>,
    lambda: Vec<f64>,
    w: Vec<f64>,
    omega: Vec<f64>,
    s: Vec<f64>,
    nu: Vec<f64>,
    /// d x n.
    p: Vec<f64>,
    pi: Vec<f64>,
    duals: Vec<RowDual>,
    pub residuals: (f64, f64),
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
fn eigen(a: MatRef<f64>) -> Result<(Vec<f64>, Mat<f64>), FactorError> {
    let failed = |error| FactorError::Backend(format!("{error:?}"));
    let eigen = a.self_adjoint_eigen(Side::Lower).map_err(failed)?;
    let values = eigen.S().column_vector().iter().copied().collect();
    Ok((values, eigen.U().to_owned()))
}

impl Splitting {
    pub fn new(training: &Training, patterns: &Patterns, options: &RobustRelu) -> Result<Self, Error> {
        let (n, d) = (training.rows(), training.columns());
        let count = patterns.len();
        let raw = training.x();
        let size = (0..d).map(|j| raw.col(j).iter().map(|v| v * v).sum::<f64>()).sum::<f64>().sqrt();
        let scale = if size > 0.0 { size / (d.min(n) as f64).sqrt().min(10.0) / 3.0 } else { 1.0 };
        let x = Mat::from_fn(n, d, |i, j| raw[(i, j)] / scale);
        let rows: Vec<f64> = (0..n).flat_map(|k| (0..d).map(move |j| (k, j))).map(|i| x[i]).collect();
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
        let mut gram = Mat::<f64>::identity(d, d);
        gram.as_mut().diagonal_mut().column_vector_mut().fill(2.0);
        matmul(gram.as_mut(), Accum::Add, x.transpose(), x.as_ref(), 1.0, Par::Seq);
        let half = MatRef::from_column_major_slice(&active[..n * count], n, count);
        let mut counts = Mat::zeros(count, count);
        matmul(counts.as_mut(), Accum::Replace, half.transpose(), half, 1.0, Par::Seq);
        let (left, right) = (eigen(gram.as_ref())?, eigen(counts.as_ref())?);
        let budget = Budget { epsilon: options.budget.epsilon / scale, ..options.budget };
        let zeros = |size: usize| vec![0.0; size];
        Ok(Self {
            n,
            d,
            loss: training.loss(),
            y: training.target().to_vec(),
            x,
            rows,
            budget,
            beta: training.beta() / scale,
            scale,
            signs,
            active,
            active_transposed,
            left,
            right,
            rho: options.rho,
            relaxation: options.relaxation,
            u: zeros(d * columns),
            v: zeros(d * columns),
            lambda: zeros(d * columns),
            w: zeros(d * columns),
            omega: zeros(d * columns),
            s: zeros(n * columns),
            nu: zeros(n * columns),
            p: zeros(d * n),
            pi: zeros(d * n),
            duals: vec![RowDual::default(); n],
            residuals: (f64::INFINITY, f64::INFINITY),
        })
    }

    /// One iteration.
    pub fn step(&mut self) {
        self.solve_for_u();
        let before = (self.v.clone(), self.p.clone());
        let mut xu = vec![0.0; self.s.len()];
        panel::multiply(self.x.as_ref(), &self.u, &mut xu);
        let mut du = vec![0.0; self.p.len()];
        let u = MatRef::from_column_major_slice(&self.u, self.d, self.signs.len() * 2);
        panel::multiply(u, &self.active_transposed, &mut du);
        self.columns_step(&xu);
        self.rows_step(&du);
        let change = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let primal = change(&self.u, &self.v) + change(&self.u, &self.w) + change(&du, &self.p);
        let dual = change(&self.v, &before.0) + change(&self.p, &before.1);
        self.residuals = (primal.sqrt(), self.rho * dual.sqrt());
    }

    /// u <- the solution of (2 I + X'X) U + U D'D = R.
    fn solve_for_u(&mut self) {
        let Self { n, d, .. } = *self;
        let count = self.signs.len();
        let mut rows: Vec<f64> = vec![0.0; self.s.len()];
        rows.par_chunks_exact_mut(n).enumerate().for_each(|(j, rows)| {
            let pair = self.s[j * n..(j + 1) * n].iter().zip(&self.nu[j * n..(j + 1) * n]);
            let signs = &self.signs[j % count];
            rows.iter_mut().zip(signs).zip(pair).for_each(|((r, e), (s, nu))| *r = e * (s - nu));
        });
        let mut r = vec![0.0; self.u.len()];
        panel::multiply(self.x.transpose(), &rows, &mut r);
        let drawn: Vec<f64> = self.p.iter().zip(&self.pi).map(|(p, pi)| p - pi).collect();
        let mut own = vec![0.0; self.u.len()];
        panel::multiply(MatRef::from_column_major_slice(&drawn, d, n), &self.active, &mut own);
        for (k, r) in r.iter_mut().enumerate() {
            *r += own[k] + self.v[k] - self.lambda[k] + self.w[k] - self.omega[k];
        }
        // into the eigenvectors of the left factor; sums and differences of the two signs decouple the right one
        let mut t = vec![0.0; r.len()];
        panel::multiply(self.left.1.transpose(), &r, &mut t);
        let (plus, minus) = t.split_at_mut(d * count);
        for (a, b) in plus.iter_mut().zip(&mut *minus) {
            (*a, *b) = (*a + *b, *a - *b);
        }
        for column in plus.chunks_exact_mut(d) {
            column.iter_mut().zip(&self.left.0).for_each(|(v, theta)| *v /= theta);
        }
        let q = &self.right.1;
        let difference = MatRef::from_column_major_slice(minus, d, count);
        let mut rotated = Mat::zeros(d, count);
        matmul(rotated.as_mut(), Accum::Replace, difference, q.as_ref(), 1.0, Par::Seq);
        for b in 0..count {
            for a in 0..d {
                rotated[(a, b)] /= self.left.0[a] + 2.0 * self.right.0[b].max(0.0);
            }
        }
        let mut back = Mat::zeros(d, count);
        matmul(back.as_mut(), Accum::Replace, rotated.as_ref(), q.transpose(), 1.0, Par::Seq);
        for b in 0..count {
            for a in 0..d {
                let (sum, difference) = (plus[b * d + a], back[(a, b)]);
                plus[b * d + a] = 0.5 * (sum + difference);
                minus[b * d + a] = 0.5 * (sum - difference);
            }
        }
        panel::multiply(self.left.1.as_ref(), &t, &mut self.u);
    }

    /// The splits of every column: norms, and robust cones.
    fn columns_step(&mut self, xu: &[f64]) {
        let Self { n, d, relaxation: alpha, .. } = *self;
        let threshold = self.beta / self.rho;
        let count = self.signs.len();
        let (budget, signs) = (&self.budget, &self.signs);
        let norms = self.v.par_chunks_exact_mut(d).zip(self.lambda.par_chunks_exact_mut(d));
        let copies = self.w.par_chunks_exact_mut(d).zip(self.omega.par_chunks_exact_mut(d));
        let slacks = self.s.par_chunks_exact_mut(n).zip(self.nu.par_chunks_exact_mut(n));
        let solved = self.u.par_chunks_exact(d).zip(xu.par_chunks_exact(n));
        norms.zip(copies).zip(slacks).zip(solved).enumerate().for_each_init(
            || vec![0.0; d],
            |scratch, (j, ((((v, lambda), (w, omega)), (s, nu)), (u, xu)))| {
                for ((l, u), v) in lambda.iter_mut().zip(u).zip(&*v) {
                    *l += alpha * u + (1.0 - alpha) * v;
                }
                let keep = (1.0 - threshold / norm(lambda).max(1e-300)).max(0.0);
                for (v, l) in v.iter_mut().zip(lambda) {
                    *v = keep * *l;
                    *l -= *v;
                }
                for ((o, u), w) in omega.iter_mut().zip(u).zip(&*w) {
                    *o += alpha * u + (1.0 - alpha) * w;
                }
                for (((nu, xu), s), e) in nu.iter_mut().zip(xu).zip(&*s).zip(&signs[j % count]) {
                    *nu += alpha * e * xu + (1.0 - alpha) * s;
                }
                w.copy_from_slice(omega);
                s.copy_from_slice(nu);
                robust_cone(budget, s, w, scratch);
                omega.iter_mut().zip(&*w).for_each(|(o, w)| *o -= w);
                nu.iter_mut().zip(&*s).for_each(|(nu, s)| *nu -= s);
            },
        );
    }

    /// The split of every row: the worst-case loss.
    fn rows_step(&mut self, du: &[f64]) {
        let Self { d, loss, relaxation: alpha, rho, .. } = *self;
        let (budget, rows, y) = (&self.budget, &self.rows, &self.y);
        let parts = self.p.par_chunks_exact_mut(d).zip(self.pi.par_chunks_exact_mut(d));
        parts.zip(du.par_chunks_exact(d)).zip(&mut self.duals).enumerate().for_each_init(
            || vec![0.0; d],
            |scratch, (k, (((p, pi), du), dual))| {
                for ((pi, du), p) in pi.iter_mut().zip(du).zip(&*p) {
                    *pi += alpha * du + (1.0 - alpha) * p;
                }
                let data = (&rows[k * d..(k + 1) * d], y[k]);
                *dual = row((loss, budget), data, (pi, rho), p, scratch);
                pi.iter_mut().zip(&*p).for_each(|(pi, p)| *pi -= p);
            },
        );
    }

    /// The non-zero blocks in the data's own scale.
    pub fn blocks(&self) -> Vec<Block> {
        let count = self.signs.len();
        let columns = self.v.chunks_exact(self.d).enumerate();
        columns
            .filter(|(_, v)| norm(v) > 0.0)
            .map(|(j, v)| Block {
                pattern: j % count,
                sign: if j < count { 1.0 } else { -1.0 },
                weights: v.iter().map(|v| v / self.scale).collect(),
            })
            .collect()
    }

    /// A lower bound of the program's optimum from the multipliers: rows give subgradients g_k = along x_k + r_k, |r_k|* <= eps
    /// alpha; every column's sum of them, made smaller by an element of the robust cone's dual, must have norm at most beta
    /// after one common scaling c, and the bound is the sum of -f*(c g_k).
    pub fn lower_bound(&self) -> f64 {
        let Self { n, d, .. } = *self;
        let count = self.signs.len();
        let mut gradients = vec![0.0; d * n];
        for (k, g) in gradients.chunks_exact_mut(d).enumerate() {
            let x = &self.rows[k * d..(k + 1) * d];
            let dual = self.duals[k];
            for (j, g) in g.iter_mut().enumerate() {
                *g = self.rho * self.pi[k * d + j] - dual.along * x[j];
            }
            self.budget.clip(g, dual.alpha * self.budget.epsilon);
            g.iter_mut().zip(x).for_each(|(g, x)| *g += dual.along * x);
        }
        let mut sums = vec![0.0; self.u.len()];
        panel::multiply(MatRef::from_column_major_slice(&gradients, d, n), &self.active, &mut sums);
        let theta = sums
            .par_chunks_exact(d)
            .enumerate()
            .map(|(j, sum)| {
                let nu = &self.nu[j * n..(j + 1) * n];
                let mut vector = self.omega[j * d..(j + 1) * d].to_vec();
                let total: f64 = nu.iter().map(|nu| (-nu).max(0.0)).sum();
                self.budget.clip(&mut vector, self.budget.epsilon * total);
                for ((row, nu), e) in self.rows.chunks_exact(d).zip(nu).zip(&self.signs[j % count]) {
                    let factor = nu.min(0.0) * e;
                    vector.iter_mut().zip(row).for_each(|(v, x)| *v += factor * x);
                }
                // maximise -sum'u over the cone: sum + rho (G'nu + omega) is what the multipliers leave
                let left: Vec<f64> = sum.iter().zip(&vector).map(|(s, v)| s + self.rho * v).collect();
                norm(&left)
            })
            .reduce(|| 0.0, f64::max);
        let c = if theta > self.beta { self.beta / theta * (1.0 - 4.0 * f64::EPSILON) } else { 1.0 };
        self.duals.iter().zip(&self.y).map(|(dual, &y)| dual.value(self.loss, y, c)).sum()
    }
}
