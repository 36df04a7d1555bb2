//! A greedy rule with single unknowns on a sparse quadratic, at the price of a step's neighbours: gradient and scores
//! are kept up to date in a heap.
//!
//! A step on x_i changes the gradient at the neighbours of i alone, so it costs O(deg(i) log p) where rescoring all
//! unknowns costs O(p). Steps, ties and bits are those of the plain loop.

use super::state::State;
use super::update::slack;
use super::{Certify, Progress, Rule};
use crate::control::{Certificate, Limits, Run, Status};

/// A greedy rule's curvature of each unknown, as in the score g_i^2 / (2 c_i).
pub(super) fn curvatures(rule: Rule, state: &State) -> Option<Vec<f64>> {
    Some(match rule {
        Rule::GaussSouthwell => {
            vec![state.bounds().iter().fold(0.0f64, |m, &bound| m.max(bound)); state.unknowns()]
        }
        Rule::GaussSouthwellDiagonal => state.bounds().to_vec(),
        Rule::GaussSouthwellLipschitz => state.row_sums().to_vec(),
        _ => return None,
    })
}

/// Runs until a limit is met. The quadratic's matrix must be at hand (`Smooth::hessian_matrix`).
pub(super) fn run(
    state: &mut State,
    curvatures: &[f64],
    limits: &Limits,
    progress: &mut Progress,
    run: &mut Run,
    certify: &Certify,
) -> (Status, Certificate) {
    let mut heap = Heap::new(Vec::new());
    loop {
        if progress.is_due(limits, run) {
            state.rebuild();
            let (objective, certificate) = certify(&state.x);
            if let Some(status) = progress.record(state, run, objective, certificate.relative) {
                state.objective = objective;
                return (status, certificate);
            }
            heap = Heap::new(scores(state, curvatures));
        }
        let Some(i) = heap.top() else { return (Status::Stalled, certify(&state.x).1) };
        let moved = step(state, i, curvatures, &mut heap);
        progress.count(&[i], moved);
    }
}

fn scores(state: &State, curvatures: &[f64]) -> Vec<f64> {
    (0..state.unknowns()).map(|i| state.decrease(i, state.gradient[i], curvatures[i])).collect()
}

/// The exact minimiser over x_i; gradient and scores of the neighbours follow. Says whether it moved.
fn step(state: &mut State, i: usize, curvatures: &[f64], heap: &mut Heap) -> bool {
    let (g, q) = (state.gradient[i], state.bounds[i]);
    let d = state.own_step(i, q);
    let goal = state.x[i] + d;
    let change = state.separable.change(i, state.x[i], goal, g + 0.5 * q * d);
    // written so that a NaN is refused too
    if d == 0.0 || !d.is_finite() || !(change <= slack(state)) {
        return false;
    }
    state.objective += change;
    state.x[i] = goal;
    state.step_length = 1.0;
    // the matrix is borrowed from the smooth part, which the loop does not touch
    let State { smooth, gradient, .. } = state;
    let Some(matrix) = smooth.hessian_matrix() else { return false };
    for (j, value) in matrix.outer_view(i).iter().flat_map(|row| row.iter()) {
        gradient[j] += value * d;
    }
    let Some(matrix) = state.smooth.hessian_matrix() else { return false };
    for (j, _) in matrix.outer_view(i).iter().flat_map(|row| row.iter()) {
        heap.set(j, state.decrease(j, state.gradient[j], curvatures[j]));
    }
    true
}

/// A binary heap of all indices by their scores, the largest on top, ties to the smaller index.
struct Heap {
    scores: Vec<f64>,
    /// Indices in heap order.
    order: Vec<u32>,
    /// Where each index stands in `order`.
    place: Vec<u32>,
}

impl Heap {
    /// O(p).
    fn new(scores: Vec<f64>) -> Self {
        let order: Vec<u32> = (0..scores.len() as u32).collect();
        let mut heap = Self { place: order.clone(), order, scores };
        for slot in (0..heap.order.len() / 2).rev() {
            heap.sink(slot);
        }
        heap
    }

    fn top(&self) -> Option<usize> {
        self.order.first().map(|&i| i as usize)
    }

    /// O(log p).
    fn set(&mut self, i: usize, score: f64) {
        self.scores[i] = score;
        let slot = self.place[i] as usize;
        self.rise(slot);
        self.sink(self.place[i] as usize);
    }

    /// Whether the index at slot a belongs above the one at slot b. A NaN belongs on top, where it ends the run.
    fn above(&self, a: usize, b: usize) -> bool {
        let (i, j) = (self.order[a], self.order[b]);
        let (x, y) = (self.scores[i as usize], self.scores[j as usize]);
        y.total_cmp(&x).then(i.cmp(&j)).is_lt()
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.order.swap(a, b);
        self.place[self.order[a] as usize] = a as u32;
        self.place[self.order[b] as usize] = b as u32;
    }

    fn rise(&mut self, mut slot: usize) {
        while slot > 0 && self.above(slot, (slot - 1) / 2) {
            self.swap(slot, (slot - 1) / 2);
            slot = (slot - 1) / 2;
        }
    }

    fn sink(&mut self, mut slot: usize) {
        loop {
            let mut best = slot;
            for child in [2 * slot + 1, 2 * slot + 2] {
                if child < self.order.len() && self.above(child, best) {
                    best = child;
                }
            }
            if best == slot {
                return;
            }
            self.swap(slot, best);
            slot = best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_top_is_the_first_of_the_largest(
            scores in prop::collection::vec(0u8..20, 1..40),
            changes in prop::collection::vec((0usize..40, 0u8..20), 0..60),
        ) {
            let mut plain: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
            let mut heap = Heap::new(plain.clone());
            for (i, score) in changes {
                let i = i % plain.len();
                plain[i] = f64::from(score);
                heap.set(i, plain[i]);
                prop_assert_eq!(heap.top(), super::super::rule::argmax(plain.iter().copied()));
            }
        }
    }
}
