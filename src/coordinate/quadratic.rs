//! The inner problem: minimise g'd + d'H d / 2 + h(x + d) over a few coefficients, H dense.
//!
//! Cyclic proximal passes settle which coefficients sit on a kink; a Newton step on the others, clipped to their smooth
//! pieces, ends the job. Passes before each Newton step matter: second-order steps alone let too many coefficients in
//! where the support nearly equals the number of rows.

use crate::linalg::factor::DenseCholesky;
use crate::linalg::product::axpy;
use crate::problem::penalty::{Penalty, Piece};

/// Proximal passes before each Newton step.
const PASSES: usize = 3;
/// Rounds without a violation that is clearly smaller than all before: the rest is rounding, or slow enough to look at
/// all columns again.
pub(super) const PATIENCE: usize = 30;

/// The inner problem and its current point. Position k of a block stands for column `columns[k]`; one position more
/// than there are columns is the intercept.
pub(super) struct Quadratic<'a> {
    pub penalty: &'a dyn Penalty,
    pub columns: &'a [usize],
    /// H, column-major, both triangles.
    pub hessian: &'a [f64],
    /// Gradient of the smooth part at the current x.
    pub gradient: Vec<f64>,
    pub x: Vec<f64>,
}

/// Memory of the Newton steps, kept between problems.
#[derive(Default)]
pub(super) struct Workspace {
    cholesky: DenseCholesky,
    matrix: Vec<f64>,
    trial: Vec<f64>,
}

/// A coefficient inside a smooth piece of the penalty: its position and that piece.
type Free = (usize, Piece);

/// What [`Quadratic::solve`] did.
#[derive(Default)]
pub(super) struct Work {
    pub updates: u64,
    pub factorizations: u64,
}

impl Quadratic<'_> {
    /// Lowers the largest violation to `target`, or gives up after `rounds` rounds, where it no longer falls, or once
    /// asked to stop.
    pub fn solve(
        &mut self,
        target: f64,
        rounds: usize,
        workspace: &mut Workspace,
        should_stop: &dyn Fn() -> bool,
    ) -> Work {
        let mut work = Work::default();
        let (mut best, mut idle) = (f64::INFINITY, 0);
        for _ in 0..rounds {
            if idle >= PATIENCE || should_stop() {
                break;
            }
            for _ in 0..PASSES {
                work.updates += self.pass();
            }
            if self.violation() <= target {
                break;
            }
            work.factorizations += 1;
            self.newton(workspace);
            let violation = self.violation();
            if violation <= target {
                break;
            }
            idle = if violation < 0.9 * best { 0 } else { idle + 1 };
            best = best.min(violation);
        }
        work
    }

    /// Largest distance to optimality of a coefficient.
    pub fn violation(&self) -> f64 {
        let one = |(k, (&x, &g)): (usize, (&f64, &f64))| match self.columns.get(k) {
            Some(&j) => self.penalty.violation(j, x, g),
            None => g.abs(),
        };
        self.x.iter().zip(&self.gradient).enumerate().map(one).fold(0.0, f64::max)
    }

    /// One cyclic pass of exact coordinate minimisation; returns how many coefficients moved.
    fn pass(&mut self) -> u64 {
        let k = self.x.len();
        let mut moved = 0;
        for i in 0..k {
            let curvature = self.hessian[i * k + i];
            let (old, g) = (self.x[i], self.gradient[i]);
            let new = match self.columns.get(i) {
                Some(&j) if curvature > 0.0 => self.penalty.prox(j, old - g / curvature, 1.0 / curvature),
                // a column of zeros: only the penalty speaks
                Some(&j) => self.penalty.prox(j, old, f64::INFINITY),
                None if curvature > 0.0 => old - g / curvature,
                None => old,
            };
            if new != old && new.is_finite() {
                axpy(new - old, &self.hessian[i * k..(i + 1) * k], &mut self.gradient);
                self.x[i] = new;
                moved += 1;
            }
        }
        moved
    }

    /// A Newton step on the coefficients inside a smooth piece, clipped to it, shortened until it lowers the objective;
    /// dropped if it doesn't.
    fn newton(&mut self, workspace: &mut Workspace) {
        let k = self.x.len();
        let everywhere = Piece { lower: f64::NEG_INFINITY, upper: f64::INFINITY, slope: 0.0, curvature: 0.0 };
        let piece =
            |i: usize| self.columns.get(i).map_or(Some(everywhere), |&j| self.penalty.piece(j, self.x[i]));
        let free: Vec<Free> = (0..k).filter_map(|i| piece(i).map(|piece| (i, piece))).collect();
        let m = free.len();
        if m == 0 {
            return;
        }
        workspace.matrix.clear();
        for &(i, Piece { curvature, .. }) in &free {
            workspace.matrix.extend(free.iter().map(|&(row, _)| self.hessian[i * k + row]));
            let diagonal = workspace.matrix.len() - m + (workspace.matrix.len() / m - 1);
            workspace.matrix[diagonal] += curvature;
        }
        if workspace.cholesky.factor_shifted(m, &mut workspace.matrix).is_err() {
            return;
        }
        let mut step: Vec<f64> = free.iter().map(|&(i, piece)| -(self.gradient[i] + piece.slope)).collect();
        if workspace.cholesky.solve_in_place(&mut step).is_err() || step.iter().any(|d| !d.is_finite()) {
            return;
        }
        let mut length = 1.0;
        for _ in 0..7 {
            if self.take(&free, &step, length, &mut workspace.trial) {
                return;
            }
            length *= 0.3;
        }
    }

    /// Moves by `length * step`, clipped to the pieces, if that does not raise the objective.
    fn take(&mut self, free: &[Free], step: &[f64], length: f64, trial: &mut Vec<f64>) -> bool {
        let k = self.x.len();
        trial.clear();
        trial.extend_from_slice(&self.gradient);
        let mut moves = Vec::with_capacity(free.len());
        for (&(i, Piece { lower, upper, .. }), &d) in free.iter().zip(step) {
            let new = (self.x[i] + length * d).clamp(lower, upper);
            if new != self.x[i] {
                axpy(new - self.x[i], &self.hessian[i * k..(i + 1) * k], trial);
                moves.push((i, new));
            }
        }
        // g'd + d'H d / 2 = d'(g + g_new) / 2
        let change: f64 = moves
            .iter()
            .map(|&(i, new)| self.change(i, self.x[i], new, 0.5 * (self.gradient[i] + trial[i])))
            .sum();
        // written so that a NaN is refused too
        if !(change <= 0.0) {
            return false;
        }
        for (i, new) in moves {
            self.x[i] = new;
        }
        std::mem::swap(&mut self.gradient, trial);
        true
    }

    /// The predicted change against the start (x0, gradient0) to first order in the smooth part: g'd + h(x) - h(x0),
    /// summed coefficient by coefficient so that it keeps its sign down to rounding.
    pub fn predicted_change(&self, x0: &[f64], gradient0: &[f64]) -> f64 {
        (0..self.x.len()).map(|i| self.change(i, x0[i], self.x[i], gradient0[i])).sum()
    }

    /// slope * (to - from) + h(to) - h(from) for the coefficient at position i. Within one smooth piece of h both
    /// slopes are added first: near a solution they cancel.
    fn change(&self, i: usize, from: f64, to: f64, slope: f64) -> f64 {
        let d = to - from;
        let Some(&j) = self.columns.get(i) else { return slope * d };
        match self.penalty.piece(j, from) {
            Some(piece) if piece.lower <= to && to <= piece.upper => {
                d * (slope + piece.slope + 0.5 * piece.curvature * d)
            }
            _ => slope * d + (self.penalty.value(j, to) - self.penalty.value(j, from)),
        }
    }
}
