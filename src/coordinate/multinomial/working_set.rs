//! Penalties with kinks: as for scalar losses, Newton models on small sets of unknowns, all intercepts among them.

use super::State;
use super::block::Block;
use crate::control::{Run, Status};
use crate::coordinate::quadratic::{Quadratic, Workspace};
use crate::coordinate::standing::Progress;
use crate::coordinate::working_set::{CURVATURE_FLOOR, Candidates, MODELS};
use crate::linalg::line_search::Armijo;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut State, run: &mut Run, first_size: usize) -> Status {
    let (n, k) = (state.model.target.len(), state.b.len());
    // phi'' of one predictor is p (1 - p) <= 1/4
    let bounds = state.model.design.squares().iter().map(|square| 0.25 * square / n as f64);
    let lipschitz: Vec<f64> = bounds.flat_map(|bound| std::iter::repeat_n(bound, k)).collect();
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
        solve_on(state, run, &set, &lipschitz, &mut workspace);
        state.refresh();
    }
}

/// Solves the model restricted to the set, and the intercepts, by a few Newton models.
fn solve_on(state: &mut State, run: &Run, set: &[usize], lipschitz: &[f64], workspace: &mut Workspace) {
    let model = state.model;
    let block = Block::new(state, set);
    let largest = state.gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    let target = largest * (1e-5 * state.standing.certificate.relative.min(1.0)).max(1e-15);
    let mut x: Vec<f64> = set.iter().map(|&i| state.x[i]).collect();
    if model.intercept {
        x.extend_from_slice(&state.b);
    }
    let mut hessian = Vec::new();
    for _ in 0..MODELS {
        let gradient = block.gradient(&state.probabilities, &model.target);
        block.hessian(&state.probabilities, &mut hessian);
        let size = x.len();
        for position in 0..size {
            let bound = set.get(position).map_or(0.25, |&i| lipschitz[i]);
            hessian[position * size + position] += CURVATURE_FLOOR * bound;
        }
        let mut inner = Quadratic {
            penalty: &*model.penalty,
            columns: set,
            hessian: &hessian,
            gradient: gradient.clone(),
            x: x.clone(),
        };
        let violation = inner.violation();
        if violation <= target {
            break;
        }
        let work =
            inner.solve(target.max(1e-3 * violation), 1000, workspace, &|| run.should_stop().is_some());
        state.standing.count("newton_models", 1);
        state.standing.count("coordinate_updates", work.updates);
        state.standing.count("factorizations", work.factorizations);
        let slope = inner.predicted_change(&x, &gradient);
        if !(slope < 0.0) || !step(state, &block, &inner.x, &mut x, slope, set) {
            break;
        }
        if run.should_stop().is_some() {
            break;
        }
    }
    set.iter().zip(&x).for_each(|(&i, &value)| state.x[i] = value);
    if model.intercept {
        state.b.copy_from_slice(&x[set.len()..]);
    }
}

/// Moves x towards `goal` as far as Armijo's rule on F allows; predictors and probabilities follow.
fn step(state: &mut State, block: &Block, goal: &[f64], x: &mut [f64], slope: f64, set: &[usize]) -> bool {
    let model = state.model;
    let d: Vec<f64> = goal.iter().zip(x.iter()).map(|(new, old)| new - old).collect();
    let image = block.product(&d);
    let before = state.z.clone();
    let at = |length: f64, k: usize, x: &[f64]| if length == 1.0 { goal[k] } else { x[k] + length * d[k] };
    let mut value = |length: f64, x: &[f64]| {
        for ((z, before), image) in state.z.iter_mut().zip(&before).zip(&image) {
            *z = before + length * image;
        }
        let penalty: f64 =
            set.iter().enumerate().map(|(k, &i)| model.penalty.value(i, at(length, k, x))).sum();
        state.loss() + penalty
    };
    let start = value(0.0, x);
    let armijo = Armijo { rounding: 8.0, max_evaluations: 40, ..Armijo::default() };
    let accepted = armijo.search(start, slope, |length| value(length, x));
    let Ok(accepted) = accepted else {
        value(0.0, x);
        return false;
    };
    // the last evaluation is the accepted one
    for k in 0..x.len() {
        x[k] = at(accepted.step, k, x);
    }
    true
}
