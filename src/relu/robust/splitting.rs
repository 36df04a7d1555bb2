//! The alternating direction method of multipliers on the robust program.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rayon::prelude::*;

use super::prox::{RowDual, robust_cone, row};
use super::scaled::{Multipliers, Scaled};
use super::{Block, RobustRelu};
use crate::linalg::factor::FactorError;
use crate::linalg::panel;
use crate::linalg::product::norm;
use crate::relu::{Error, Patterns, Training};

/// The iterate; columns are those of the patterns with sign +, then those with sign -.
pub(super) struct Splitting {
    data: Scaled,
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
        let data = Scaled::new(training, patterns, &options.budget);
        let Scaled { n, d, ref x, ref active, .. } = data;
        let count = data.signs.len();
        let columns = 2 * count;
        let mut gram = Mat::<f64>::identity(d, d);
        gram.as_mut().diagonal_mut().column_vector_mut().fill(2.0);
        matmul(gram.as_mut(), Accum::Add, x.transpose(), x.as_ref(), 1.0, Par::Seq);
        let half = MatRef::from_column_major_slice(&active[..n * count], n, count);
        let mut counts = Mat::zeros(count, count);
        matmul(counts.as_mut(), Accum::Replace, half.transpose(), half, 1.0, Par::Seq);
        let (left, right) = (eigen(gram.as_ref())?, eigen(counts.as_ref())?);
        let zeros = |size: usize| vec![0.0; size];
        Ok(Self {
            data,
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
        panel::multiply(self.data.x.as_ref(), &self.u, &mut xu);
        let mut du = vec![0.0; self.p.len()];
        let u = MatRef::from_column_major_slice(&self.u, self.data.d, self.data.signs.len() * 2);
        panel::multiply(u, &self.data.active_transposed, &mut du);
        self.columns_step(&xu);
        self.rows_step(&du);
        let change = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let primal = change(&self.u, &self.v) + change(&self.u, &self.w) + change(&du, &self.p);
        let dual = change(&self.v, &before.0) + change(&self.p, &before.1);
        self.residuals = (primal.sqrt(), self.rho * dual.sqrt());
    }

    /// u <- the solution of (2 I + X'X) U + U D'D = R.
    fn solve_for_u(&mut self) {
        let Scaled { n, d, .. } = self.data;
        let count = self.data.signs.len();
        let mut rows: Vec<f64> = vec![0.0; self.s.len()];
        rows.par_chunks_exact_mut(n).enumerate().for_each(|(j, rows)| {
            let pair = self.s[j * n..(j + 1) * n].iter().zip(&self.nu[j * n..(j + 1) * n]);
            let signs = &self.data.signs[j % count];
            rows.iter_mut().zip(signs).zip(pair).for_each(|((r, e), (s, nu))| *r = e * (s - nu));
        });
        let mut r = vec![0.0; self.u.len()];
        panel::multiply(self.data.x.transpose(), &rows, &mut r);
        let drawn: Vec<f64> = self.p.iter().zip(&self.pi).map(|(p, pi)| p - pi).collect();
        let mut own = vec![0.0; self.u.len()];
        panel::multiply(MatRef::from_column_major_slice(&drawn, d, n), &self.data.active, &mut own);
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
        let Scaled { n, d, .. } = self.data;
        let alpha = self.relaxation;
        let threshold = self.data.beta / self.rho;
        let count = self.data.signs.len();
        let (budget, signs) = (&self.data.budget, &self.data.signs);
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
        let Scaled { d, loss, .. } = self.data;
        let (alpha, rho) = (self.relaxation, self.rho);
        let (budget, rows, y) = (&self.data.budget, &self.data.rows, &self.data.y);
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
        self.data.blocks(&self.v)
    }

    /// The lower bound that the scaled multipliers prove.
    pub fn lower_bound(&self) -> f64 {
        let times_rho = |v: &[f64]| v.iter().map(|v| self.rho * v).collect::<Vec<f64>>();
        let Scaled { d, .. } = self.data;
        let mut ball = times_rho(&self.pi);
        for ((g, x), dual) in ball.chunks_exact_mut(d).zip(self.data.rows.chunks_exact(d)).zip(&self.duals) {
            g.iter_mut().zip(x).for_each(|(g, x)| *g -= dual.along * x);
        }
        let gamma = self.nu.iter().map(|nu| self.rho * (-nu).max(0.0)).collect();
        self.data.lower_bound(Multipliers { duals: &self.duals, ball, gamma, omega: times_rho(&self.omega) })
    }
}
