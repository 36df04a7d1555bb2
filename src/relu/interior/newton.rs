//! The Newton system, in the increments of the weights and of the slopes of the loss:
//!
//! M_j dv_j + s_j X' D_j dslope = b_j, sum_j s_j D_j X dv_j - compliance dslope = -c,
//!
//! M_j = X'diag(gamma_j / slack_j)X + C_j. Eliminating dv leaves S = diag(compliance) + sum_j D_j X M_j^{-1} X' D_j (n x n). With
//! R_j R_j' = M_j the sum is that of Y_j Y_j', Y_j = D_j X R_j^{-T}, which is zero but on the a rows that are active: n d^2
//! flops a block for M_j, a d^2 for Y_j, a^2 d for the product, n^3 / 3 for the factor of S, taken after scaling to a unit
//! diagonal. Blocks of one pattern share their active rows.

use rayon::prelude::*;

use super::{Blocks, Direction, State};
use crate::linalg::factor::{DenseCholesky, FactorError};
use crate::linalg::panel;
use crate::relu::training::Program;

/// Numbers that Y may hold at a time; more groups are taken in turns.
const MOST_ENTRIES: usize = 8_000_000;

pub(super) struct Newton {
    /// gamma / slack, n x groups.
    ratio: Vec<f64>,
    /// The groups, those of one pattern together.
    parts: Vec<Part>,
    /// S and its factor, after scaling by 1 / sqrt(S_kk).
    system: Vec<f64>,
    large: DenseCholesky,
    scale: Vec<f64>,
    y: Vec<f64>,
}

/// Neighbouring groups with the same pattern.
struct Part {
    first: usize,
    /// The pattern's active rows.
    rows: Vec<u32>,
    /// Factors of the groups' M_j.
    factors: Vec<DenseCholesky>,
}

impl Part {
    fn new(blocks: &Blocks, first: usize) -> Self {
        let rows = (0..).zip(blocks.signs(first)).filter(|(_, e)| **e > 0.0).map(|(k, _)| k).collect();
        Self { first, rows, factors: vec![DenseCholesky::new()] }
    }

    /// The parts of all groups, in their order.
    fn of(blocks: &Blocks) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for (j, group) in blocks.groups.iter().enumerate() {
            match parts.last_mut() {
                Some(part) if blocks.groups[part.first].pattern == group.pattern => {
                    part.factors.push(DenseCholesky::new());
                }
                _ => parts.push(Self::new(blocks, j)),
            }
        }
        parts
    }

    /// Numbers of the part's Y.
    fn entries(&self, d: usize) -> usize {
        self.rows.len() * d * self.factors.len()
    }

    /// Factors M_j of the part's groups and fills in their Y.
    fn factor(
        &mut self,
        blocks: &Blocks,
        state: &State,
        ratio: &[f64],
        y: &mut [f64],
        (matrix, scaled): &mut (Vec<f64>, Vec<f64>),
    ) -> Result<(), FactorError> {
        let Program { n, d, .. } = *blocks.program;
        let (x, height) = (blocks.program.x(), self.rows.len());
        for (offset, cholesky) in self.factors.iter_mut().enumerate() {
            let j = self.first + offset;
            panel::weighted_gram(x, &ratio[j * n..(j + 1) * n], scaled, matrix);
            state.scalings[j].add_curvature(matrix);
            cholesky.factor_shifted(d, matrix)?;
            let y = &mut y[offset * height * d..(offset + 1) * height * d];
            for c in 0..d {
                let source = x.col(c);
                let own = y[c * height..(c + 1) * height].iter_mut().zip(&self.rows);
                own.for_each(|(y, &k)| *y = source[k as usize]);
                if let Some(column) = cholesky.column(c) {
                    matrix[c * d + c..(c + 1) * d].copy_from_slice(column);
                }
            }
            panel::solve_rows(matrix, d, y);
        }
        Ok(())
    }
}

/// A solution of the system, with E X dv (n x groups) and the increments of the outputs.
struct Increments {
    v: Vec<f64>,
    slope: Vec<f64>,
    slack: Vec<f64>,
    outputs: Vec<f64>,
}

impl Newton {
    pub fn new(blocks: &Blocks) -> Self {
        let Program { n, .. } = *blocks.program;
        Self {
            ratio: vec![0.0; n * blocks.len()],
            parts: Part::of(blocks),
            system: vec![0.0; n * n],
            large: DenseCholesky::new(),
            scale: vec![0.0; n],
            y: Vec::new(),
        }
    }

    /// Factors all M_j and S.
    pub fn factor(&mut self, blocks: &Blocks, state: &State) -> Result<(), FactorError> {
        let Program { n, d, .. } = *blocks.program;
        for ((q, g), s) in self.ratio.iter_mut().zip(&state.gamma).zip(&state.slack) {
            *q = g / s;
        }
        self.system.fill(0.0);
        let mut left = &mut self.parts[..];
        while !left.is_empty() {
            let mut entries = 0;
            let fits = |part: &&Part| {
                entries += part.entries(d);
                entries <= MOST_ENTRIES
            };
            let batch;
            (batch, left) = left.split_at_mut(left.iter().take_while(fits).count().max(1));
            self.y.resize(batch.iter().map(|part| part.entries(d)).sum(), 0.0);
            let mut rest = &mut self.y[..];
            let mut ys: Vec<&mut [f64]> = Vec::with_capacity(batch.len());
            for part in &*batch {
                let own;
                (own, rest) = rest.split_at_mut(part.entries(d));
                ys.push(own);
            }
            batch.par_iter_mut().zip(&mut ys).try_for_each_init(
                || (vec![0.0; d * d], Vec::new()),
                |scratch, (part, y)| part.factor(blocks, state, &self.ratio, y, scratch),
            )?;
            let filled: Vec<(&[u32], &[f64])> =
                batch.iter().zip(&ys).map(|(part, y)| (&part.rows[..], &**y)).collect();
            panel::add_outer_lower(&filled, n, &mut self.system);
        }
        for (k, compliance) in state.loss.compliance.iter().enumerate() {
            self.system[k * n + k] += compliance;
            self.scale[k] = 1.0 / self.system[k * n + k].sqrt();
        }
        for (column, &own) in self.system.chunks_exact_mut(n).zip(&self.scale) {
            column.iter_mut().zip(&self.scale).for_each(|(s, other)| *s *= own * other);
        }
        self.large.factor_shifted(n, &mut self.system).map(|_| ())
    }

    /// The step towards products mu, with the second-order terms of an earlier step.
    pub fn direction(
        &self,
        blocks: &Blocks,
        state: &State,
        mu: f64,
        affine: Option<&Direction>,
    ) -> Direction {
        let Program { n, d, .. } = *blocks.program;
        let count = blocks.len();
        let mut constant = vec![0.0; n];
        state.loss.constant(mu, affine.map(|a| &a.loss), &mut constant);
        // rows: E (mu - slack gamma - dslack dgamma - gamma (E X v - slack)) / slack
        let mut asked = vec![0.0; n * count];
        let mut rows = vec![0.0; n * count];
        if blocks.cones {
            for j in 0..count {
                let signs = blocks.signs(j);
                for (k, sign) in signs.iter().enumerate() {
                    let i = j * n + k;
                    let second = affine.map_or(0.0, |a| a.slack[i] * a.gamma[i]);
                    // the slacks also make up for what they lack to E X v
                    let lack = state.product[i] - state.slack[i];
                    asked[i] = (mu - second) / state.slack[i] - state.gamma[i] - self.ratio[i] * lack;
                    rows[i] = sign * asked[i];
                }
            }
        }
        let mut b = vec![0.0; d * count];
        panel::multiply(blocks.program.x().transpose(), &rows, &mut b);
        b.iter_mut().zip(&state.residual).for_each(|(b, r)| *b -= r);
        let (mut z, mut e0) = (vec![0.0; d * count], vec![0.0; count]);
        for (j, e0) in e0.iter_mut().enumerate() {
            let part = j * d..(j + 1) * d;
            let earlier = affine.map(|a| (a.t[j], &a.v[part.clone()], &a.z[part.clone()]));
            *e0 = state.scalings[j].target(mu, earlier, &mut z[part.clone()]);
            state.scalings[j].add_reduced(*e0, &z[part.clone()], &mut b[part]);
        }
        let Increments { v, slope, mut slack, outputs } =
            self.solve_refined(blocks, state, &b, &constant, &mut rows);
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
        let loss = state.loss.recover(mu, affine.map(|a| &a.loss), &slope, &outputs);
        Direction { v, t, z, slack, gamma, loss }
    }

    /// Solves and corrects once by the residuals of both equations.
    fn solve_refined(
        &self,
        blocks: &Blocks,
        state: &State,
        b: &[f64],
        c: &[f64],
        rows: &mut [f64],
    ) -> Increments {
        let Program { n, d, .. } = *blocks.program;
        let x = blocks.program.x();
        let (mut v, mut slope) = self.solve(blocks, b, c, rows);
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
            for (j, (rows, slack)) in rows.chunks_exact_mut(n).zip(slack.chunks_exact(n)).enumerate() {
                let sign = blocks.groups[j].sign();
                for (k, (row, &slack)) in rows.iter_mut().zip(slack).enumerate() {
                    let e = blocks.signs(j)[k];
                    let own = if e > 0.0 { sign * slope[k] } else { 0.0 };
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
            let missing: Vec<f64> =
                (0..n).map(|k| c[k] + outputs[k] - state.loss.compliance[k] * slope[k]).collect();
            let (dv, dslope) = self.solve(blocks, &residual, &missing, rows);
            v.iter_mut().zip(&dv).for_each(|(v, d)| *v += d);
            slope.iter_mut().zip(&dslope).for_each(|(s, d)| *s += d);
        }
        Increments { v, slope, slack, outputs }
    }

    /// dslope = S^{-1} (F M^{-1} b + c), dv = M^{-1} (b - F' dslope).
    fn solve(&self, blocks: &Blocks, b: &[f64], c: &[f64], rows: &mut [f64]) -> (Vec<f64>, Vec<f64>) {
        let Program { n, d, .. } = *blocks.program;
        let x = blocks.program.x();
        let mut v = b.to_vec();
        let small = |v: &mut Vec<f64>| {
            let factors = self.parts.iter().flat_map(|part| &part.factors);
            for (v, cholesky) in v.chunks_exact_mut(d).zip(factors) {
                // sizes fit and every factorisation succeeded
                let _ = cholesky.solve_in_place(v);
            }
        };
        small(&mut v);
        panel::multiply(x, &v, rows);
        let mut slope = c.to_vec();
        for (j, rows) in rows.chunks_exact(n).enumerate() {
            let sign = blocks.groups[j].sign();
            for ((f, &row), &e) in slope.iter_mut().zip(rows).zip(blocks.signs(j)) {
                *f += if e > 0.0 { sign * row } else { 0.0 };
            }
        }
        slope.iter_mut().zip(&self.scale).for_each(|(f, r)| *f *= r);
        let _ = self.large.solve_in_place(&mut slope);
        slope.iter_mut().zip(&self.scale).for_each(|(f, r)| *f *= r);
        for (j, rows) in rows.chunks_exact_mut(n).enumerate() {
            let sign = blocks.groups[j].sign();
            for ((row, &f), &e) in rows.iter_mut().zip(&slope).zip(blocks.signs(j)) {
                *row = if e > 0.0 { -sign * f } else { 0.0 };
            }
        }
        panel::multiply(x.transpose(), rows, &mut v);
        v.iter_mut().zip(b).for_each(|(v, b)| *v += b);
        small(&mut v);
        (v, slope)
    }
}
