//! The Newton system (blockdiag(M_j) + F' L F) dv = b, M_j = X'diag(gamma_j / slack_j)X + C_j, F = \[s_j D_j X\].
//!
//! F has n rows, so with L = l'' the matrix inverts by S = I + L^{1/2} (sum_j D_j X M_j^{-1} X' D_j) L^{1/2} (n x n). With
//! R_j R_j' = M_j the sum is Y Y', Y_j = D_j X R_j^{-T}: P n d^2 flops for the Y, n^2 d P for the product, n^3 / 3 for its factor.

use rayon::prelude::*;

use super::{Blocks, Direction, State};
use crate::linalg::factor::{DenseCholesky, FactorError};
use crate::linalg::panel;
use crate::relu::training::Program;
use faer::MatRef;

/// Numbers that Y may hold at a time; more groups are taken in turns.
const MOST_ENTRIES: usize = 8_000_000;

pub(super) struct Newton {
    /// gamma / slack, n x groups.
    ratio: Vec<f64>,
    /// Factors of the M_j.
    small: Vec<DenseCholesky>,
    /// S and its factor.
    system: Vec<f64>,
    large: DenseCholesky,
    root: Vec<f64>,
    y: Vec<f64>,
}

impl Newton {
    pub fn new(blocks: &Blocks) -> Self {
        let Program { n, .. } = *blocks.program;
        Self {
            ratio: vec![0.0; n * blocks.len()],
            small: (0..blocks.len()).map(|_| DenseCholesky::new()).collect(),
            system: vec![0.0; n * n],
            large: DenseCholesky::new(),
            root: vec![0.0; n],
            y: Vec::new(),
        }
    }

    /// Factors all M_j and S.
    pub fn factor(&mut self, blocks: &Blocks, state: &State) -> Result<(), FactorError> {
        let Program { n, d, .. } = *blocks.program;
        let x = blocks.program.x();
        for ((q, g), s) in self.ratio.iter_mut().zip(&state.gamma).zip(&state.slack) {
            *q = g / s;
        }
        for (root, l) in self.root.iter_mut().zip(&state.loss.curvature) {
            *root = l.sqrt();
        }
        self.system.fill(0.0);
        (0..n).for_each(|k| self.system[k * n + k] = 1.0);
        let root = &self.root;
        let batch = (MOST_ENTRIES / (n * d).max(1)).clamp(1, blocks.len().max(1));
        for first in (0..blocks.len()).step_by(batch) {
            let count = batch.min(blocks.len() - first);
            self.y.resize(count * n * d, 0.0);
            let parts = self.y.par_chunks_exact_mut(n * d).zip(&mut self.small[first..first + count]);
            parts.enumerate().try_for_each_init(
                || (vec![0.0; d * d], Vec::new()),
                |(matrix, scaled), (offset, (y, cholesky))| {
                    let j = first + offset;
                    panel::weighted_gram(x, &self.ratio[j * n..(j + 1) * n], scaled, matrix);
                    state.scalings[j].add_curvature(matrix);
                    cholesky.factor_shifted(d, matrix)?;
                    for c in 0..d {
                        let source = x.col(c).iter().zip(blocks.signs(j)).zip(root);
                        for (y, ((x, &e), r)) in y[c * n..(c + 1) * n].iter_mut().zip(source) {
                            *y = if e > 0.0 { r * x } else { 0.0 };
                        }
                        if let Some(column) = cholesky.column(c) {
                            matrix[c * d + c..(c + 1) * d].copy_from_slice(column);
                        }
                    }
                    panel::solve_rows(matrix, d, y);
                    Ok::<(), FactorError>(())
                },
            )?;
            panel::add_outer_lower(MatRef::from_column_major_slice(&self.y, n, count * d), &mut self.system);
        }
        self.large.factor_shifted(n, &mut self.system).map(|_| ())
    }

    /// The step towards products mu, with the second-order terms of an earlier step.
    pub fn direction(&self, blocks: &Blocks, state: &State, mu: f64, affine: Option<&Direction>) -> Direction {
        let Program { n, d, .. } = *blocks.program;
        let x = blocks.program.x();
        let count = blocks.len();
        let mut shift = vec![0.0; n];
        state.loss.shift(mu, affine.map(|a| &a.loss), &mut shift);
        // rows: E (mu - slack gamma - dslack dgamma) / slack - s D shift
        let mut asked = vec![0.0; n * count];
        let mut rows = vec![0.0; n * count];
        for j in 0..count {
            let sign = blocks.groups[j].sign();
            let signs = blocks.signs(j);
            for k in 0..n {
                let i = j * n + k;
                let second = affine.map_or(0.0, |a| a.slack[i] * a.gamma[i]);
                // the slacks also make up for what they lack to E X v
                let lack = state.product[i] - state.slack[i];
                if blocks.cones {
                    asked[i] = (mu - second) / state.slack[i] - state.gamma[i] - self.ratio[i] * lack;
                }
                rows[i] = signs[k] * asked[i] - if signs[k] > 0.0 { sign * shift[k] } else { 0.0 };
            }
        }
        let mut b = vec![0.0; d * count];
        panel::multiply(x.transpose(), &rows, &mut b);
        b.iter_mut().zip(&state.residual).for_each(|(b, r)| *b -= r);
        let (mut z, mut e0) = (vec![0.0; d * count], vec![0.0; count]);
        for j in 0..count {
            let part = j * d..(j + 1) * d;
            let earlier = affine.map(|a| (a.t[j], &a.v[part.clone()], &a.z[part.clone()]));
            e0[j] = state.scalings[j].target(mu, earlier, &mut z[part.clone()]);
            state.scalings[j].add_reduced(e0[j], &z[part.clone()], &mut b[part]);
        }
        let (v, mut slack, outputs) = self.solve_refined(blocks, state, &b, &mut rows);
        let gamma = (0..n * count).map(|i| asked[i] - self.ratio[i] * slack[i]).collect();
        if blocks.cones {
            for ((slack, product), old) in slack.iter_mut().zip(&state.product).zip(&state.slack) {
                *slack += product - old;
            }
        } else {
            slack.fill(0.0);
        }
        let mut t = vec![0.0; count];
        for j in 0..count {
            let part = j * d..(j + 1) * d;
            t[j] = state.scalings[j].recover(e0[j], &mut z[part.clone()], &v[part]);
        }
        let loss = state.loss.recover(mu, affine.map(|a| &a.loss), &outputs);
        Direction { v, t, z, slack, gamma, loss }
    }

    /// Solves and corrects once by the residual. Returns dv, E X dv, and the outputs' increments.
    fn solve_refined(
        &self,
        blocks: &Blocks,
        state: &State,
        b: &[f64],
        rows: &mut [f64],
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let Program { n, d, .. } = *blocks.program;
        let x = blocks.program.x();
        let mut v = self.solve(blocks, b, rows);
        let mut slack = vec![0.0; rows.len()];
        let mut outputs = vec![0.0; n];
        for round in 0..2 {
            panel::multiply(x, &v, &mut slack);
            outputs.fill(0.0);
            for (j, slack) in slack.chunks_exact_mut(n).enumerate() {
                let sign = blocks.groups[j].sign();
                for ((slack, &e), out) in slack.iter_mut().zip(blocks.signs(j)).zip(&mut outputs) {
                    *out += if e > 0.0 { sign * *slack } else { 0.0 };
                    *slack *= e;
                }
            }
            if round == 1 {
                break;
            }
            // residual b - (M + F'LF) v
            for (j, (rows, slack)) in rows.chunks_exact_mut(n).zip(slack.chunks_exact(n)).enumerate() {
                let sign = blocks.groups[j].sign();
                for (k, (row, &slack)) in rows.iter_mut().zip(slack).enumerate() {
                    let e = blocks.signs(j)[k];
                    let own = if e > 0.0 { sign * state.loss.curvature[k] * outputs[k] } else { 0.0 };
                    *row = -e * self.ratio[j * n + k] * slack - own;
                }
            }
            let mut residual = vec![0.0; b.len()];
            panel::multiply(x.transpose(), rows, &mut residual);
            for j in 0..blocks.len() {
                let part = j * d..(j + 1) * d;
                let minus: Vec<f64> = v[part.clone()].iter().map(|v| -v).collect();
                state.scalings[j].add_product(&minus, &mut residual[part]);
            }
            residual.iter_mut().zip(b).for_each(|(r, b)| *r += b);
            let correction = self.solve(blocks, &residual, rows);
            v.iter_mut().zip(&correction).for_each(|(v, c)| *v += c);
        }
        (v, slack, outputs)
    }

    /// (blockdiag(M) + F'LF)^{-1} b = M^{-1} (b - F' L^{1/2} S^{-1} L^{1/2} F M^{-1} b).
    fn solve(&self, blocks: &Blocks, b: &[f64], rows: &mut [f64]) -> Vec<f64> {
        let Program { n, d, .. } = *blocks.program;
        let x = blocks.program.x();
        let mut v = b.to_vec();
        let small = |v: &mut Vec<f64>| {
            for (v, cholesky) in v.chunks_exact_mut(d).zip(&self.small) {
                // sizes fit and every factorisation succeeded
                let _ = cholesky.solve_in_place(v);
            }
        };
        small(&mut v);
        panel::multiply(x, &v, rows);
        let mut f = vec![0.0; n];
        for (j, rows) in rows.chunks_exact(n).enumerate() {
            let sign = blocks.groups[j].sign();
            for ((f, &row), &e) in f.iter_mut().zip(rows).zip(blocks.signs(j)) {
                *f += if e > 0.0 { sign * row } else { 0.0 };
            }
        }
        f.iter_mut().zip(&self.root).for_each(|(f, r)| *f *= r);
        let _ = self.large.solve_in_place(&mut f);
        f.iter_mut().zip(&self.root).for_each(|(f, r)| *f *= r);
        for (j, rows) in rows.chunks_exact_mut(n).enumerate() {
            let sign = blocks.groups[j].sign();
            for ((row, &f), &e) in rows.iter_mut().zip(&f).zip(blocks.signs(j)) {
                *row = if e > 0.0 { -sign * f } else { 0.0 };
            }
        }
        panel::multiply(x.transpose(), rows, &mut v);
        v.iter_mut().zip(b).for_each(|(v, b)| *v += b);
        small(&mut v);
        v
    }
}
