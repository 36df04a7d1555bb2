//! Penalties with kinks: small sets of columns, each solved to second order.
//!
//! repeat: gradient and certificate over all columns; the set = the support and the columns whose proximal step would
//! lower the objective most, twice the support in size; the problem restricted to the set, solved by
//! [`Quadratic`] on its Gram matrix: once for the squared loss, as a short sequence of Newton models for others.

use rayon::prelude::*;

use super::quadratic::{Quadratic, Workspace};
use super::standing::Progress;
use super::state::State;
use crate::control::{Run, Status};
use crate::linalg::ColumnBlock;
use crate::linalg::line_search::Armijo;
use crate::linalg::product::CHUNK;
use crate::problem::penalty::Penalty;

/// No set is larger: its Gram matrix would take over 32 MB. Larger supports are solved block by block.
const LARGEST_SET: usize = 2000;
/// Newton models per set, for losses that are not quadratic.
pub(super) const MODELS: usize = 6;
/// Rows whose loss is flat count with this part of the largest curvature, so that no model is unbounded.
pub(super) const CURVATURE_FLOOR: f64 = 1e-6;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut State, run: &mut Run, first_size: usize) -> Status {
    let curvature = state.model.loss.curvature_bound().unwrap_or(1.0);
    let squares = state.model.column_squares(&state.s);
    let lipschitz: Vec<f64> = squares.iter().map(|square| curvature * square).collect();
    let mut workspace = Workspace::default();
    let mut progress = Progress::new(state.standing.objective);
    let mut set: Vec<usize> = Vec::new();
    loop {
        let (support, size) = (state.support_size(), set.len());
        if let Some(status) = progress.record(run, &state.standing, support, size) {
            return status;
        }
        let penalty = &*state.model.penalty;
        set = Candidates { penalty, x: &state.x, gradient: &state.gradient, lipschitz: &lipschitz }
            .choose(first_size);
        if set.is_empty() && !state.model.intercept {
            return Status::Stalled;
        }
        solve_on(state, run, &set, &mut workspace);
        state.refresh();
    }
}

/// The columns that a working set is chosen from.
pub(super) struct Candidates<'a> {
    pub penalty: &'a dyn Penalty,
    pub x: &'a [f64],
    pub gradient: &'a [f64],
    /// Bounds of the second derivatives.
    pub lipschitz: &'a [f64],
}

impl Candidates<'_> {
    fn score(&self, j: usize) -> f64 {
        let violation = self.penalty.violation(j, self.x[j], self.gradient[j]);
        if self.lipschitz[j] > 0.0 { violation * violation / self.lipschitz[j] } else { violation }
    }

    /// The support and the columns that promise the largest decrease, ascending.
    pub fn choose(&self, first_size: usize) -> Vec<usize> {
        // chunk by chunk, in order: the same lists on every number of threads
        let chunk = |start: usize| {
            let (mut free, mut candidates) = (Vec::new(), Vec::new());
            for j in start..self.x.len().min(start + CHUNK) {
                if self.penalty.piece(j, self.x[j]).is_some() {
                    free.push(j);
                } else if self.score(j) > 0.0 {
                    candidates.push((self.score(j), j));
                }
            }
            (free, candidates)
        };
        let starts: Vec<usize> = (0..self.x.len()).step_by(CHUNK).collect();
        let lists: Vec<(Vec<usize>, Vec<(f64, usize)>)> = starts.into_par_iter().map(chunk).collect();
        let (mut set, mut candidates) = (Vec::new(), Vec::new());
        for (free, scored) in lists {
            set.extend(free);
            candidates.extend(scored);
        }
        let size = first_size.max(2 * set.len()).min(LARGEST_SET);
        if set.len() > LARGEST_SET / 2 {
            // keep the worst half of the support's columns and leave room for new ones
            let mut worst: Vec<(f64, usize)> = set.iter().map(|&j| (self.score(j), j)).collect();
            keep_largest(&mut worst, (LARGEST_SET - candidates.len().min(LARGEST_SET / 2)).min(set.len()));
            set = worst.into_iter().map(|(_, j)| j).collect();
        }
        keep_largest(&mut candidates, size.saturating_sub(set.len()).max(1));
        set.extend(candidates.into_iter().map(|(_, j)| j));
        set.sort_unstable();
        set
    }
}

/// Keeps the entries with the largest scores; ties go to the smaller index.
fn keep_largest(scored: &mut Vec<(f64, usize)>, count: usize) {
    if count < scored.len() {
        scored.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate(count);
    }
}

/// Solves the model restricted to the columns of the set.
fn solve_on(state: &mut State, run: &Run, set: &[usize], workspace: &mut Workspace) {
    let model = state.model;
    let mut block = model.design.select(set);
    if model.intercept {
        block = block.with_ones();
    }
    let quadratic_loss = model.loss.name() == "squared";
    let largest = state.gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    let target = largest * (1e-5 * state.standing.certificate.relative.min(1.0)).max(1e-15);
    let mut x: Vec<f64> = set.iter().map(|&j| state.x[j]).collect();
    let mut gradient: Vec<f64> = set.iter().map(|&j| state.gradient[j]).collect();
    if model.intercept {
        x.push(state.intercept);
        gradient.push(state.v.iter().sum());
    }
    let (mut weights, mut gram) = (state.s.clone(), Vec::new());
    for _ in 0..MODELS {
        if !quadratic_loss {
            model.loss_curvatures(&state.z, &state.s, &mut weights);
            if let Some(bound) = model.loss.curvature_bound() {
                weights.iter_mut().zip(&state.s).for_each(|(w, s)| *w = w.max(CURVATURE_FLOOR * bound * s));
            }
        }
        block.gram(&weights, &mut gram);
        let mut inner = Quadratic {
            penalty: &*model.penalty,
            columns: set,
            hessian: &gram,
            gradient: gradient.clone(),
            x: x.clone(),
        };
        let goal = if quadratic_loss { target } else { target.max(1e-3 * inner.violation()) };
        let work = inner.solve(goal, 1000, workspace, &|| run.should_stop().is_some());
        state.standing.count("newton_models", 1);
        state.standing.count("coordinate_updates", work.updates);
        state.standing.count("factorizations", work.factorizations);
        if quadratic_loss {
            x = inner.x;
            break;
        }
        let slope = inner.predicted_change(&x, &gradient);
        if !(slope < 0.0) || !step(state, &block, &inner.x, &mut x, slope, set) {
            break;
        }
        model.loss_derivatives(&state.z, &state.s, &mut state.v);
        block.multiply_transpose(&state.v, &mut gradient);
        let at = Quadratic { penalty: &*model.penalty, columns: set, hessian: &[], gradient, x };
        let violation = at.violation();
        (gradient, x) = (at.gradient, at.x);
        if violation <= target || run.should_stop().is_some() {
            break;
        }
    }
    for (&j, &value) in set.iter().zip(&x) {
        state.x[j] = value;
    }
    if model.intercept {
        state.intercept = x[set.len()];
    }
}

/// Moves x towards `goal` as far as Armijo's rule on F allows; z follows. Says whether it moved.
fn step(
    state: &mut State,
    block: &ColumnBlock,
    goal: &[f64],
    x: &mut [f64],
    slope: f64,
    set: &[usize],
) -> bool {
    let model = state.model;
    let d: Vec<f64> = goal.iter().zip(x.iter()).map(|(new, old)| new - old).collect();
    let mut dz = vec![0.0; state.z.len()];
    block.add_product(&d, &mut dz);
    let mut moved = state.z.clone();
    let at = |x: &[f64], length: f64, k: usize| if length == 1.0 { goal[k] } else { x[k] + length * d[k] };
    let mut value = |length: f64, x: &[f64]| {
        for ((moved, z), dz) in moved.iter_mut().zip(&state.z).zip(&dz) {
            *moved = z + length * dz;
        }
        let penalty: f64 =
            set.iter().enumerate().map(|(k, &j)| model.penalty.value(j, at(x, length, k))).sum();
        model.loss_value(&moved, &state.s) + penalty
    };
    let start = value(0.0, x);
    let armijo = Armijo { rounding: 8.0, max_evaluations: 40, ..Armijo::default() };
    let search = armijo.search(start, slope, |length| value(length, x));
    let Ok(accepted) = search else { return false };
    // the last evaluation is the accepted one
    state.z = moved;
    for k in 0..x.len() {
        x[k] = at(x, accepted.step, k);
    }
    true
}
