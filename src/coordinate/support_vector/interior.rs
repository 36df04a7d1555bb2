//! A primal-dual interior-point method on the dual: minimise u'Qu / 2 - 1'u over 0 <= u <= s, Q = Y A A' Y / l2.
//!
//! With multipliers lower, upper >= 0 of the bounds, Qu - 1 = lower - upper, kept exactly throughout, and
//! lower_r u_r = upper_r (s_r - u_r) = mu, mu falling to zero. A Newton step solves (Q + 1/w) du = r with
//! 1/w = lower / u + upper / (s - u), through the p x p matrix l2 I + A' diag(w) A.

use super::Dual;
use crate::control::{Run, Status};
use crate::coordinate::state::Progress;
use crate::linalg::ColumnBlock;
use crate::linalg::factor::DenseCholesky;

/// How far a step goes towards the boundary.
const TO_THE_BOUNDARY: f64 = 0.995;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut Dual, run: &mut Run) -> Status {
    let all: Vec<usize> = (0..state.design.columns()).collect();
    let mut interior = Interior::new(state, state.design.select(&all));
    let mut progress = Progress::new(f64::INFINITY);
    loop {
        if let Some(status) = state.record(run) {
            return status;
        }
        if progress.has_stalled(f64::INFINITY, state.gap) || !interior.step(state) {
            return Status::Stalled;
        }
    }
}

struct Interior {
    block: ColumnBlock,
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// The part of mu that the next step aims at.
    centring: f64,
    matrix: Vec<f64>,
    cholesky: DenseCholesky,
}

impl Interior {
    /// The middle of the box; multipliers that meet Qu - 1 = lower - upper.
    fn new(state: &mut Dual, block: ColumnBlock) -> Self {
        state.u = state.s.iter().map(|s| 0.5 * s).collect();
        state.certify();
        let slope: Vec<f64> = state.margins.iter().map(|m| m - 1.0).collect();
        let size = slope.iter().map(|g| g.abs()).sum::<f64>() / slope.len() as f64;
        let room = size.max(0.1);
        let lower: Vec<f64> = slope.iter().map(|g| g.max(0.0) + room).collect();
        let upper = lower.iter().zip(&slope).map(|(lower, g)| lower - g).collect();
        let (matrix, cholesky) = (Vec::new(), DenseCholesky::new());
        Self { block, lower, upper, centring: 0.3, matrix, cholesky }
    }

    /// One Newton step towards the centre's path; says whether it moved.
    fn step(&mut self, state: &mut Dual) -> bool {
        let (n, p) = (state.u.len(), state.x.len());
        // what rounding has put on its bound stays there
        let rows: Vec<usize> = (0..n).filter(|&r| state.u[r] > 0.0 && state.u[r] < state.s[r]).collect();
        let product = |r: usize| self.lower[r] * state.u[r] + self.upper[r] * (state.s[r] - state.u[r]);
        let mu = rows.iter().map(|&r| product(r)).sum::<f64>() / (2 * rows.len().max(1)) as f64;
        let target = self.centring * mu;
        let (mut w, mut rhs, mut v) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for &r in &rows {
            let (below, above) = (state.u[r], state.s[r] - state.u[r]);
            w[r] = 1.0 / (self.lower[r] / below + self.upper[r] / above);
            rhs[r] = 1.0 - state.margins[r] + target / below - target / above;
            v[r] = state.y[r] * w[r] * rhs[r];
        }
        self.block.gram(&w, &mut self.matrix);
        (0..p).for_each(|j| self.matrix[j * p + j] += state.l2);
        let (mut d, mut z) = (vec![0.0; p], vec![0.0; n]);
        self.block.multiply_transpose(&v, &mut d);
        if self.cholesky.factor_shifted(p, &mut self.matrix).is_err()
            || self.cholesky.solve_in_place(&mut d).is_err()
        {
            return false;
        }
        self.block.add_product(&d, &mut z);
        let mut longest = 1.0 / TO_THE_BOUNDARY;
        let mut steps = vec![(0.0, 0.0, 0.0); n];
        for &r in &rows {
            let (below, above) = (state.u[r], state.s[r] - state.u[r]);
            let du = w[r] * (rhs[r] - state.y[r] * z[r]);
            let dl = (target - self.lower[r] * du) / below - self.lower[r];
            let dh = (target + self.upper[r] * du) / above - self.upper[r];
            let pairs = [(below, du), (above, -du), (self.lower[r], dl), (self.upper[r], dh)];
            for (value, change) in pairs {
                if value + longest * change < 0.0 {
                    longest = -value / change;
                }
            }
            steps[r] = (du, dl, dh);
        }
        let length = (TO_THE_BOUNDARY * longest).min(1.0);
        if !(length > 0.0 && steps.iter().all(|step| step.0.is_finite())) {
            return false;
        }
        for &r in &rows {
            let (du, dl, dh) = steps[r];
            state.u[r] = (state.u[r] + length * du).clamp(0.0, state.s[r]);
            self.lower[r] += length * dl;
            self.upper[r] += length * dh;
        }
        self.centring = if length > 0.9 {
            0.03
        } else if length > 0.5 {
            0.2
        } else {
            0.5
        };
        true
    }
}
