//! A primal-dual interior-point method on the dual: minimise u'Qu / 2 - 1'u over 0 <= u <= s, Q = Y A A' Y / l2.
//!
//! With multipliers lower, upper >= 0 of the bounds, Qu - 1 = lower - upper, kept exactly throughout, and
//! lower_r u_r = upper_r (s_r - u_r) = mu, mu falling to zero. A Newton step solves (Q + 1/w) du = r with
//! 1/w = lower / u + upper / (s - u), through the p x p matrix l2 I + A' diag(w) A.

use super::Dual;
use crate::control::{Run, Status};
use crate::coordinate::standing::Progress;
use crate::linalg::ColumnBlock;
use crate::linalg::factor::DenseCholesky;
use crate::linalg::product::axpy;

/// How far a step goes towards the boundary.
const TO_THE_BOUNDARY: f64 = 0.995;
/// Steps of iterative refinement of each linear system.
const REFINEMENTS: usize = 2;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut Dual, run: &mut Run) -> Status {
    let all: Vec<usize> = (0..state.design.columns()).collect();
    let mut interior = Interior::new(state, state.design.select(&all));
    let mut progress = Progress::new(f64::INFINITY);
    loop {
        if let Some(status) = state.record(run) {
            return status;
        }
        if progress.has_stalled(interior.mu, state.gap) || !interior.step(state) {
            return Status::Stalled;
        }
    }
}

struct Interior {
    block: ColumnBlock,
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// The mean of lower u and upper (s - u).
    mu: f64,
    matrix: Vec<f64>,
    cholesky: DenseCholesky,
}

/// A direction of u and of both multipliers, row by row.
type Direction = Vec<(f64, f64, f64)>;

impl Interior {
    /// Inside the box where margins are of size one; multipliers that meet Qu - 1 = lower - upper.
    fn new(state: &mut Dual, block: ColumnBlock) -> Self {
        state.u = state.s.clone();
        state.certify();
        let mean = state.margins.iter().map(|m| m.abs()).sum::<f64>() / state.s.len() as f64;
        let part = 0.5 / mean.max(1.0);
        state.u.iter_mut().for_each(|u| *u *= part);
        state.certify();
        let slope: Vec<f64> = state.margins.iter().map(|m| m - 1.0).collect();
        let size = slope.iter().map(|g| g.abs()).sum::<f64>() / slope.len() as f64;
        let room = size.max(0.1);
        let lower: Vec<f64> = slope.iter().map(|g| g.max(0.0) + room).collect();
        let upper = lower.iter().zip(&slope).map(|(lower, g)| lower - g).collect();
        Self { block, lower, upper, mu: f64::MAX, matrix: Vec::new(), cholesky: DenseCholesky::new() }
    }

    /// One step of Mehrotra's predictor and corrector; says whether it moved.
    fn step(&mut self, state: &mut Dual) -> bool {
        let (n, p) = (state.u.len(), state.x.len());
        // what rounding has put on its bound stays there
        let rows: Vec<usize> = (0..n).filter(|&r| state.u[r] > 0.0 && state.u[r] < state.s[r]).collect();
        self.mu = self.mean_product(state, &rows, &[], 0.0);
        let mut w = vec![0.0; n];
        for &r in &rows {
            w[r] = 1.0 / (self.lower[r] / state.u[r] + self.upper[r] / (state.s[r] - state.u[r]));
        }
        self.block.gram(&w, &mut self.matrix);
        (0..p).for_each(|j| self.matrix[j * p + j] += state.l2);
        if self.cholesky.factor_shifted(p, &mut self.matrix).is_err() {
            return false;
        }
        let still = vec![(0.0, 0.0, 0.0); n];
        let Some(predictor) = self.direction(state, &rows, &w, 0.0, &still) else { return false };
        let length = self.longest(state, &rows, &predictor).min(1.0);
        let ahead = self.mean_product(state, &rows, &predictor, length);
        let centre = (ahead / self.mu).powi(3) * self.mu;
        let Some(d) = self.direction(state, &rows, &w, centre, &predictor) else { return false };
        let length = (TO_THE_BOUNDARY * self.longest(state, &rows, &d)).min(1.0);
        for &r in &rows {
            state.u[r] = (state.u[r] + length * d[r].0).clamp(0.0, state.s[r]);
            self.lower[r] += length * d[r].1;
            self.upper[r] += length * d[r].2;
        }
        length > 0.0
    }

    /// The mean of lower u and upper (s - u) so far along a direction.
    fn mean_product(&self, state: &Dual, rows: &[usize], d: &[(f64, f64, f64)], length: f64) -> f64 {
        let one = |&r: &usize| {
            let (du, dl, dh) = d.get(r).copied().unwrap_or((0.0, 0.0, 0.0));
            let u = state.u[r] + length * du;
            (self.lower[r] + length * dl) * u + (self.upper[r] + length * dh) * (state.s[r] - u)
        };
        rows.iter().map(one).sum::<f64>() / (2 * rows.len().max(1)) as f64
    }

    /// Newton's direction towards products equal to `centre`, the second-order terms of another direction left out.
    fn direction(
        &self,
        state: &Dual,
        rows: &[usize],
        w: &[f64],
        centre: f64,
        other: &[(f64, f64, f64)],
    ) -> Option<Direction> {
        let n = state.u.len();
        // the products aimed at: lower u = first, upper (s - u) = second
        let aims = |r: usize| (centre - other[r].0 * other[r].1, centre + other[r].0 * other[r].2);
        let (mut rhs, mut v) = (vec![0.0; n], vec![0.0; n]);
        for &r in rows {
            let (first, second) = aims(r);
            rhs[r] = 1.0 - state.margins[r] + first / state.u[r] - second / (state.s[r] - state.u[r]);
            v[r] = state.y[r] * w[r] * rhs[r];
        }
        let (mut x, mut z) = (vec![0.0; state.x.len()], vec![0.0; n]);
        self.block.multiply_transpose(&v, &mut x);
        let target = x.clone();
        self.cholesky.solve_in_place(&mut x).ok()?;
        self.block.add_product(&x, &mut z);
        // refinement: near the end the weights span many orders of magnitude
        for _ in 0..REFINEMENTS {
            let weighted: Vec<f64> = z.iter().zip(w).map(|(z, w)| z * w).collect();
            let mut rest = vec![0.0; x.len()];
            self.block.multiply_transpose(&weighted, &mut rest);
            for ((rest, target), x) in rest.iter_mut().zip(&target).zip(&x) {
                *rest = target - *rest - state.l2 * x;
            }
            self.cholesky.solve_in_place(&mut rest).ok()?;
            axpy(1.0, &rest, &mut x);
            z.fill(0.0);
            self.block.add_product(&x, &mut z);
        }
        let mut d = vec![(0.0, 0.0, 0.0); n];
        for &r in rows {
            let (first, second) = aims(r);
            let du = w[r] * (rhs[r] - state.y[r] * z[r]);
            let dl = (first - self.lower[r] * du) / state.u[r] - self.lower[r];
            let dh = (second + self.upper[r] * du) / (state.s[r] - state.u[r]) - self.upper[r];
            d[r] = (du, dl, dh);
        }
        d.iter().all(|d| d.0.is_finite() && d.1.is_finite() && d.2.is_finite()).then_some(d)
    }

    /// How far it is to the boundary along a direction; a little beyond 1 where that is farther.
    fn longest(&self, state: &Dual, rows: &[usize], d: &Direction) -> f64 {
        let mut longest = 1.0 / TO_THE_BOUNDARY;
        for &r in rows {
            let (du, dl, dh) = d[r];
            let above = state.s[r] - state.u[r];
            for (value, change) in [(state.u[r], du), (above, -du), (self.lower[r], dl), (self.upper[r], dh)]
            {
                if value + longest * change < 0.0 {
                    longest = -value / change;
                }
            }
        }
        longest
    }
}
