//! The point of a run and what rules and updates may ask of it.

use std::sync::OnceLock;

use faer::{MatRef, Side};

use super::separable::Separable;
use super::smooth::{Line, Smooth};

/// Blocks up to this size get the largest eigenvalue of their bound by an eigen-solve, larger ones by power iteration.
const LARGEST_EIGEN_SOLVE: usize = 64;
/// Power iterations, and the margin that covers their error from below.
const POWER_STEPS: usize = 30;
const POWER_MARGIN: f64 = 1.05;

/// The current point of a run.
pub struct State<'a> {
    pub(super) smooth: Box<dyn Smooth + 'a>,
    pub(super) separable: Separable<'a>,
    pub(super) x: Vec<f64>,
    /// The gradient of f; only entries of the current block are fresh where the rule needs no more.
    pub(super) gradient: Vec<f64>,
    pub(super) objective: f64,
    pub(super) bounds: Vec<f64>,
    row_sums: OnceLock<Vec<f64>>,
    pub(super) step_length: f64,
}

impl<'a> State<'a> {
    pub(super) fn new(smooth: Box<dyn Smooth + 'a>, separable: Separable<'a>, x: Vec<f64>) -> Self {
        let n = smooth.unknowns();
        let mut state = Self {
            smooth,
            separable,
            x,
            gradient: vec![0.0; n],
            objective: f64::NAN,
            bounds: Vec::new(),
            row_sums: OnceLock::new(),
            step_length: 0.0,
        };
        state.rebuild();
        state.bounds = state.smooth.coordinate_bounds();
        state
    }

    /// Computes everything from x alone: what the recurrences have lost to rounding comes back.
    pub(super) fn rebuild(&mut self) {
        self.smooth.rebuild(&self.x);
        self.objective = self.smooth.value() + self.separable.value(&self.x);
        self.smooth.gradient(&mut self.gradient);
        if !self.smooth.is_bounded() {
            self.bounds = self.smooth.coordinate_bounds();
        }
    }

    /// Makes the gradient current, whole or on the block alone.
    pub(super) fn refresh(&mut self, block: Option<&[usize]>) {
        match block {
            None => self.smooth.gradient(&mut self.gradient),
            Some(block) => {
                let entries = self.smooth.gradient_block(block);
                block.iter().zip(entries).for_each(|(&i, g)| self.gradient[i] = g);
            }
        }
    }

    /// p, the number of unknowns.
    pub fn unknowns(&self) -> usize {
        self.x.len()
    }

    /// The current point.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The gradient of the smooth part f.
    pub fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    /// f.
    pub fn smooth(&self) -> &dyn Smooth {
        &*self.smooth
    }

    /// h.
    pub fn separable(&self) -> Separable<'a> {
        self.separable
    }

    /// F(x).
    pub fn objective(&self) -> f64 {
        self.objective
    }

    /// L_i, bounds of the second derivatives of f.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// sum over j of |H_ij|, worked out at the first call.
    pub fn row_sums(&self) -> &[f64] {
        self.row_sums.get_or_init(|| self.smooth.row_sums())
    }

    /// Number of unknowns off the kinks and bounds of h (non-zeros where h is smooth).
    pub fn active(&self) -> usize {
        (0..self.x.len()).filter(|&i| self.separable.is_active(i, self.x[i])).count()
    }

    /// h_i' and h_i'' at x_i where h is smooth.
    pub(super) fn smooth_part(&self, i: usize) -> (f64, f64) {
        match self.separable {
            Separable::Coordinates(..) => {
                self.separable.piece(i, self.x[i]).map_or((0.0, 0.0), |piece| (piece.slope, piece.curvature))
            }
            _ => (0.0, 0.0),
        }
    }

    /// The decrease of gradient_i d + curvature d^2 / 2 + h_i(x_i + d) at its minimiser d, from a given gradient of
    /// f. Zero exactly where x_i is optimal given the others; g_i^2 / (2 curvature) where h = 0.
    pub fn decrease(&self, i: usize, gradient: f64, curvature: f64) -> f64 {
        if self.separable.is_smooth() {
            let (slope, more) = self.smooth_part(i);
            let g = gradient + slope;
            return if g == 0.0 { 0.0 } else { g * g / (2.0 * (curvature + more)) };
        }
        let (from, to) = (self.x[i], self.separable.prox(i, self.x[i], gradient, curvature));
        let d = to - from;
        // the model is taken at half the curvature's slope: g + c d / 2
        (-self.separable.change(i, from, to, gradient + 0.5 * curvature.max(0.0) * d)).max(0.0)
    }

    /// The sum of [`decrease`](Self::decrease) over the block. For groups c ||d||^2 / 2, d the proximal step at the
    /// largest curvature c: at most the decrease, zero with it, and free of cancellation.
    pub fn block_decrease(&self, block: &[usize], curvature: impl Fn(usize) -> f64) -> f64 {
        if !matches!(self.separable, Separable::Groups(_)) {
            return block.iter().map(|&i| self.decrease(i, self.gradient[i], curvature(i))).sum();
        }
        let largest = block.iter().map(|&i| curvature(i)).fold(0.0, f64::max);
        0.5 * largest * self.prox_step(block, largest).iter().map(|d| d * d).sum::<f64>()
    }

    /// Whether some unknown's step promises more than rounding errors of F.
    pub(super) fn promises_decrease(&self) -> bool {
        let all: f64 = (0..self.x.len()).map(|i| self.decrease(i, self.gradient[i], self.bounds[i])).sum();
        all > 8.0 * f64::EPSILON * self.objective.abs() && !matches!(self.separable, Separable::Groups(_))
    }

    fn penalty_change(&self, value: impl Fn(&[f64]) -> f64, block: &[usize], d: &[f64]) -> f64 {
        let mut moved = self.x.clone();
        block.iter().zip(d).for_each(|(&i, d)| moved[i] += d);
        value(&moved) - value(&self.x)
    }

    /// The step to the minimiser of g_b'd + curvature ||d||^2 / 2 + h(x + d) over the block.
    pub fn prox_step(&self, block: &[usize], curvature: f64) -> Vec<f64> {
        if let Separable::Groups(group) = self.separable {
            return self.group_step(group, block, curvature);
        }
        block.iter().map(|&i| self.own_step(i, curvature)).collect()
    }

    /// The same for one unknown, where the penalty is a sum over unknowns.
    pub fn own_step(&self, i: usize, curvature: f64) -> f64 {
        if self.separable.is_smooth() {
            let (slope, more) = self.smooth_part(i);
            let (g, c) = (self.gradient[i] + slope, curvature + more);
            return if g == 0.0 { 0.0 } else { -g / c };
        }
        self.separable.prox(i, self.x[i], self.gradient[i], curvature) - self.x[i]
    }

    fn group_step(
        &self,
        group: &crate::problem::penalty::Group,
        block: &[usize],
        curvature: f64,
    ) -> Vec<f64> {
        let mut moved = self.x.clone();
        if curvature > 0.0 {
            block.iter().for_each(|&i| moved[i] -= self.gradient[i] / curvature);
        }
        let step = if curvature > 0.0 { 1.0 / curvature } else { f64::INFINITY };
        for (g, members) in group.groups.iter().enumerate() {
            if members.first().is_some_and(|first| block.binary_search(first).is_ok()) {
                group.prox(g, step, &mut moved);
            }
        }
        block.iter().map(|&i| moved[i] - self.x[i]).collect()
    }

    /// L_b, at least the largest eigenvalue of the block's bound H_b.
    pub fn block_bound(&self, block: &[usize]) -> f64 {
        match block {
            [] => 0.0,
            &[i] => self.bounds[i],
            _ => largest_eigenvalue(block.len(), &self.smooth.bound(block)),
        }
    }

    /// F(x + d) - F(x) for a move on the block, worked out afresh, and the line that `take` needs.
    pub fn try_step(&self, block: &[usize], d: &[f64]) -> (f64, Line) {
        let line = self.smooth.aim(block, d);
        let change = self.smooth.value_along(&line, 1.0) - self.smooth.value();
        (change + self.separable_change(block, d), line)
    }

    /// h(x + d) - h(x).
    pub fn separable_change(&self, block: &[usize], d: &[f64]) -> f64 {
        match self.separable {
            Separable::Groups(group) => self.penalty_change(group_value(group), block, d),
            separable => {
                block.iter().zip(d).map(|(&i, d)| separable.change(i, self.x[i], self.x[i] + d, 0.0)).sum()
            }
        }
    }

    /// x <- x + step d, the block's unknowns at exactly their goals: exact zeros and bounds stay exact.
    pub(super) fn take(&mut self, chosen: Move) {
        let Move { line, step, goal } = chosen;
        let d: Vec<f64> = line.block.iter().zip(&goal).map(|(&i, goal)| goal - self.x[i]).collect();
        let change = self.separable_change(&line.block, &d);
        let before = self.smooth.value();
        self.smooth.advance(&line, step);
        self.objective += (self.smooth.value() - before) + change;
        line.block.iter().zip(&goal).for_each(|(&i, &goal)| self.x[i] = goal);
        self.step_length = step;
    }
}

/// A step of a block: how far along which line, and where exactly its unknowns end.
#[derive(Debug, Clone)]
pub struct Move {
    /// The direction and its image.
    pub line: Line,
    /// How far along it.
    pub step: f64,
    /// The block's unknowns afterwards.
    pub goal: Vec<f64>,
}

fn group_value(group: &crate::problem::penalty::Group) -> impl Fn(&[f64]) -> f64 {
    |x| group.value(x)
}

/// The largest eigenvalue of a symmetric positive semidefinite matrix, from above: by an eigen-solve where it is
/// small, else the smaller of the power method's with a margin and the largest row sum.
pub(super) fn largest_eigenvalue(k: usize, matrix: &[f64]) -> f64 {
    let rows = matrix.chunks_exact(k.max(1)).map(|column| column.iter().map(|v| v.abs()).sum::<f64>());
    let row_sum = rows.fold(0.0, f64::max);
    if k <= LARGEST_EIGEN_SOLVE {
        let view = MatRef::from_column_major_slice(matrix, k, k);
        return match view.self_adjoint_eigenvalues(Side::Lower) {
            Ok(values) => values.last().map_or(0.0, |v| v * (1.0 + 1e-12)).clamp(0.0, row_sum),
            Err(_) => row_sum,
        };
    }
    let product = |v: &[f64]| -> Vec<f64> {
        matrix.chunks_exact(k).map(|column| crate::linalg::product::dot_serial(column, v)).collect()
    };
    (POWER_MARGIN * power_method(k, product)).min(row_sum)
}

/// The power method's estimate of the largest eigenvalue, from below; the start is fixed and has no zero entry.
pub(super) fn power_method(k: usize, product: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    let mut v: Vec<f64> = (0..k).map(|i| 1.0 + 0.5 * (i as f64 * 0.754_877_666).fract()).collect();
    let mut estimate = 0.0;
    for _ in 0..POWER_STEPS {
        let norm = crate::linalg::product::norm(&v);
        if !(norm > 0.0) {
            break;
        }
        v.iter_mut().for_each(|v| *v /= norm);
        v = product(&v);
        estimate = crate::linalg::product::norm(&v);
    }
    estimate
}
