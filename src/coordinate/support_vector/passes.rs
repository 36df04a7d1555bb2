//! Dual coordinate descent: passes over the rows in random order, each u_r to the minimum of its parabola, x kept up to
//! date (Hsieh et al. 2008), rows at a bound that they are pushed against left out; then a Newton step on the rows
//! inside the box by conjugate gradients, projected, with an exact search. The passes find the rows at the margin.

use std::cell::RefCell;
use std::ops::ControlFlow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Dual;
use crate::control::{Run, Status};
use crate::coordinate::standing::Progress;
use crate::linalg::krylov::{FromFn, Identity, Stopping, Workspace, conjugate_gradient};
use crate::linalg::product::dot;

/// Passes between two Newton steps.
const PASSES: usize = 5;
/// Products of a Newton step at most.
const PRODUCTS: usize = 200;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut Dual, run: &mut Run, seed: u64) -> Status {
    // ||a_r||^2 / l2, the curvatures of the dual
    let curvatures: Vec<f64> = state.design.row_squares().iter().map(|square| square / state.l2).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut progress = Progress::new(f64::INFINITY);
    loop {
        if let Some(status) = state.record(run) {
            return status;
        }
        // -D falls with every step, P need not
        if progress.has_stalled(state.gap - state.objective, state.gap) {
            return Status::Stalled;
        }
        for _ in 0..PASSES {
            if run.should_stop().is_none() {
                state.pass(&curvatures, &mut random);
            }
        }
        state.newton(run);
    }
}

impl Dual<'_> {
    /// Whether a row sits at a bound that its last margin pushed it against, by more than rounding or a step's error.
    fn is_settled(&self, r: usize) -> bool {
        let slack = 1.0 - self.margins[r];
        let clear = self.gap.sqrt().min(0.5);
        (self.u[r] == 0.0 && slack < -clear) || (self.u[r] == self.s[r] && slack > clear)
    }

    /// One pass over the rows that are not settled, in random order.
    fn pass(&mut self, curvatures: &[f64], random: &mut ChaCha8Rng) {
        let mut order: Vec<usize> = (0..self.u.len()).filter(|&r| !self.is_settled(r)).collect();
        order.shuffle(random);
        for &r in &order {
            let slack = 1.0 - self.y[r] * self.design.row_dot(r, &self.x);
            self.margins[r] = 1.0 - slack;
            let goal = if curvatures[r] > 0.0 {
                (self.u[r] + slack / curvatures[r]).clamp(0.0, self.s[r])
            } else {
                // a row of zeros: its slack is 1
                self.s[r]
            };
            if goal != self.u[r] {
                self.design.add_row(r, (goal - self.u[r]) * self.y[r] / self.l2, &mut self.x);
                self.u[r] = goal;
            }
        }
        *self.counts.entry("coordinate_updates").or_default() += order.len() as u64;
    }

    /// A Newton step on the rows inside the box, projected, by the exact search along its clipped path's chord.
    fn newton(&mut self, run: &Run) {
        self.certify();
        let inside = self.inside();
        if inside.is_empty() {
            return;
        }
        let (n, l2) = (self.u.len(), self.l2);
        let memory = RefCell::new((vec![0.0; n], vec![0.0; self.x.len()], vec![0.0; n]));
        let operator = FromFn::new(inside.len(), |d: &[f64], out: &mut [f64]| {
            let (v, w, z) = &mut *memory.borrow_mut();
            v.fill(0.0);
            inside.iter().zip(d).for_each(|(&r, d)| v[r] = d * self.y[r]);
            self.design.multiply_transpose(v, w);
            self.design.multiply(w, z);
            inside.iter().zip(out).for_each(|(&r, out)| *out = self.y[r] * z[r] / l2);
        });
        let rhs: Vec<f64> = inside.iter().map(|&r| 1.0 - self.margins[r]).collect();
        let mut d = vec![0.0; rhs.len()];
        let stopping = Stopping { tolerance: 1e-3, absolute: 0.0, max_iterations: PRODUCTS };
        let mut watch =
            |_: &_| run.should_stop().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()));
        let mut workspace = Workspace::new();
        let identity = Identity(rhs.len());
        let solved = conjugate_gradient(
            &operator,
            &identity,
            &rhs,
            &mut d,
            &stopping,
            &mut workspace,
            Some(&mut watch),
        );
        if let Ok(outcome) = solved {
            *self.counts.entry("products").or_default() += outcome.iterations as u64;
        }
        self.take(&inside, &d);
    }

    /// u <- u + t (clip(u + d) - u), t the maximiser of D in [0, 1].
    fn take(&mut self, inside: &[usize], d: &[f64]) {
        let mut step = vec![0.0; self.u.len()];
        for (&r, d) in inside.iter().zip(d) {
            step[r] = (self.u[r] + d).clamp(0.0, self.s[r]) - self.u[r];
        }
        let slope: f64 = inside.iter().map(|&r| step[r] * (1.0 - self.margins[r])).sum();
        let v: Vec<f64> = step.iter().zip(self.y).map(|(d, y)| d * y / self.l2).collect();
        let mut w = vec![0.0; self.x.len()];
        self.design.multiply_transpose(&v, &mut w);
        let curvature = self.l2 * dot(&w, &w);
        // written so that a NaN is refused too
        if !(slope > 0.0) {
            return;
        }
        let t = if curvature > slope { slope / curvature } else { 1.0 };
        for &r in inside {
            self.u[r] = (self.u[r] + t * step[r]).clamp(0.0, self.s[r]);
        }
        self.x.iter_mut().zip(&w).for_each(|(x, w)| *x += t * w);
    }
}
