//! The inner problem: minimise g'd + d'H d / 2 + sum of t_G ||x_G + d_G|| over a few groups, H dense.

use std::ops::Range;

use crate::coordinate::quadratic::PATIENCE;
use crate::linalg::factor::DenseCholesky;
use crate::linalg::product::{axpy, norm};

/// Proximal passes before each Newton step.
const PASSES: usize = 3;

/// The inner problem and its current point.
pub(super) struct GroupQuadratic<'a> {
    /// Positions of each group and its threshold t_G; 0 for what is not penalised.
    pub parts: &'a [(Range<usize>, f64)],
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
}

/// What [`GroupQuadratic::solve`] did.
#[derive(Default)]
pub(super) struct Work {
    pub updates: u64,
    pub factorizations: u64,
}

impl GroupQuadratic<'_> {
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
        let bounds: Vec<f64> = self.parts.iter().map(|(range, _)| self.largest_row_sum(range)).collect();
        let (mut best, mut idle) = (f64::INFINITY, 0);
        for _ in 0..rounds {
            if idle >= PATIENCE || should_stop() {
                break;
            }
            for _ in 0..PASSES {
                work.updates += self.pass(&bounds);
            }
            if self.violation() <= target {
                break;
            }
            work.factorizations += 1;
            let moved = self.newton(workspace);
            let violation = self.violation();
            if violation <= target {
                break;
            }
            if !moved && work.updates == 0 {
                break;
            }
            idle = if violation < 0.9 * best { 0 } else { idle + 1 };
            best = best.min(violation);
        }
        work
    }

    /// The largest row sum of |H_GG|, above its largest eigenvalue.
    fn largest_row_sum(&self, range: &Range<usize>) -> f64 {
        let k = self.x.len();
        let sum = |i: usize| self.hessian[i * k..][range.clone()].iter().map(|h| h.abs()).sum::<f64>();
        range.clone().map(sum).fold(0.0, f64::max)
    }

    /// Largest distance to optimality of a group.
    pub fn violation(&self) -> f64 {
        self.parts.iter().map(|(range, t)| self.violation_of(range, *t)).fold(0.0, f64::max)
    }

    fn violation_of(&self, range: &Range<usize>, t: f64) -> f64 {
        let (x, g) = (&self.x[range.clone()], &self.gradient[range.clone()]);
        let size = norm(x);
        if t == 0.0 {
            norm(g)
        } else if size > 0.0 {
            x.iter().zip(g).map(|(x, g)| (g + t * x / size).powi(2)).sum::<f64>().sqrt()
        } else {
            (norm(g) - t).max(0.0)
        }
    }

    /// One cyclic pass of proximal steps with the groups' curvature bounds; returns how many groups moved.
    fn pass(&mut self, bounds: &[f64]) -> u64 {
        let k = self.x.len();
        let mut moved = 0;
        for ((range, t), &bound) in self.parts.iter().zip(bounds) {
            if bound == 0.0 {
                // columns of zeros: only the penalty speaks
                if *t > 0.0 {
                    self.x[range.clone()].fill(0.0);
                }
                continue;
            }
            let forward: Vec<f64> = range.clone().map(|i| self.x[i] - self.gradient[i] / bound).collect();
            let (size, threshold) = (norm(&forward), t / bound);
            let factor = if *t == 0.0 {
                1.0
            } else if size > threshold {
                1.0 - threshold / size
            } else {
                0.0
            };
            let mut any = false;
            for (i, forward) in range.clone().zip(forward) {
                let new = factor * forward;
                if new != self.x[i] && new.is_finite() {
                    axpy(new - self.x[i], &self.hessian[i * k..(i + 1) * k], &mut self.gradient);
                    self.x[i] = new;
                    any = true;
                }
            }
            moved += u64::from(any);
        }
        moved
    }

    /// A Newton step on the groups that are not zero, shortened until it lowers the objective; says whether it did.
    fn newton(&mut self, workspace: &mut Workspace) -> bool {
        let k = self.x.len();
        let free = |part: &&(Range<usize>, f64)| part.1 == 0.0 || norm(&self.x[part.0.clone()]) > 0.0;
        let active: Vec<&(Range<usize>, f64)> = self.parts.iter().filter(free).collect();
        let positions: Vec<usize> = active.iter().flat_map(|part| part.0.clone()).collect();
        let m = positions.len();
        if m == 0 {
            return false;
        }
        workspace.matrix.clear();
        for &i in &positions {
            workspace.matrix.extend(positions.iter().map(|&row| self.hessian[i * k + row]));
        }
        let mut step: Vec<f64> = positions.iter().map(|&i| -self.gradient[i]).collect();
        let mut first = 0;
        for (range, t) in active {
            if *t > 0.0 {
                // the Hessian of t ||x||: t (I - x x' / ||x||^2) / ||x||
                let x = &self.x[range.clone()];
                let size = norm(x);
                for (a, xa) in x.iter().enumerate() {
                    step[first + a] -= t * xa / size;
                    for (b, xb) in x.iter().enumerate() {
                        let own = f64::from(a == b) - (xa / size) * (xb / size);
                        workspace.matrix[(first + a) * m + first + b] += t * own / size;
                    }
                }
            }
            first += range.len();
        }
        let cholesky = &mut workspace.cholesky;
        if cholesky.factor_shifted(m, &mut workspace.matrix).is_err()
            || cholesky.solve_in_place(&mut step).is_err()
            || step.iter().any(|d| !d.is_finite())
        {
            return false;
        }
        (0..7).any(|trial| self.take(&positions, &step, 0.3f64.powi(trial)))
    }

    /// Moves by `length * step` if that does not raise the objective.
    fn take(&mut self, positions: &[usize], step: &[f64], length: f64) -> bool {
        let k = self.x.len();
        let (mut moved, mut gradient) = (self.x.clone(), self.gradient.clone());
        for (&i, d) in positions.iter().zip(step) {
            moved[i] += length * d;
            axpy(length * d, &self.hessian[i * k..(i + 1) * k], &mut gradient);
        }
        // g'd + d'H d / 2 = d'(g + g_new) / 2
        let halves: Vec<f64> =
            self.gradient.iter().zip(&gradient).map(|(old, new)| 0.5 * (old + new)).collect();
        let change = self.change(&self.x, &moved, &halves);
        // written so that a NaN is refused too
        if !(change <= 0.0) {
            return false;
        }
        (self.x, self.gradient) = (moved, gradient);
        true
    }

    /// Sum of t_G ||x_G||.
    pub fn penalty_value(&self, x: &[f64]) -> f64 {
        self.parts.iter().map(|(range, t)| t * norm(&x[range.clone()])).sum()
    }

    /// The predicted change against the start to first order in the smooth part.
    pub fn predicted_change(&self, x0: &[f64], gradient0: &[f64]) -> f64 {
        self.change(x0, &self.x, gradient0)
    }

    /// slope'(to - from) + h(to) - h(from), group by group; norms are subtracted without cancellation.
    fn change(&self, from: &[f64], to: &[f64], slope: &[f64]) -> f64 {
        let one = |(range, t): &(Range<usize>, f64)| {
            let (x, y) = (&from[range.clone()], &to[range.clone()]);
            let (a, b) = (norm(x), norm(y));
            let pairs = || x.iter().zip(y);
            let linear: f64 = pairs().zip(&slope[range.clone()]).map(|((x, y), g)| g * (y - x)).sum();
            // ||y|| - ||x|| = (y - x)'(y + x) / (||y|| + ||x||)
            let difference = if a + b > 0.0 {
                pairs().map(|(x, y)| (y - x) * (y + x)).sum::<f64>() / (a + b)
            } else {
                0.0
            };
            linear + t * difference
        };
        self.parts.iter().map(one).sum()
    }
}
