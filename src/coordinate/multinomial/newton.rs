//! Smooth penalties: Newton's method on all coefficients and intercepts at once. Small systems by Cholesky, others by
//! conjugate gradients on products V -> A'[(diag(P) - P P')(A V)] / n, preconditioned by the diagonal.

use std::cell::RefCell;
use std::ops::ControlFlow;

use super::State;
use super::block::Block;
use crate::control::{Run, Status};
use crate::coordinate::newton::{EXPECTED_PRODUCTS, accuracy};
use crate::coordinate::standing::Progress;
use crate::linalg::factor::DenseCholesky;
use crate::linalg::krylov::{FromFn, Jacobi, Stopping, Workspace, conjugate_gradient};
use crate::linalg::line_search::Armijo;
use crate::linalg::product::{dot, norm};

/// No dense Hessian is larger than this squared.
const LARGEST_DENSE: usize = 1500;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut State, run: &mut Run) -> Status {
    let mut progress = Progress::new(state.standing.objective);
    let dense = dense_block(state);
    let mut workspace = Workspace::new();
    loop {
        let (support, size) = (state.support_size(), state.x.len());
        if let Some(status) = progress.record(run, &state.standing, support, size) {
            return status;
        }
        let gradient = full_gradient(state);
        let d = match &dense {
            Some(block) => by_cholesky(state, block, &gradient),
            None => {
                let accuracy = accuracy(state.standing.certificate, false, run.limits().tolerance);
                by_conjugate_gradients(state, run, &gradient, accuracy, &mut workspace)
            }
        };
        state.standing.count("newton_models", 1);
        if !step(state, &gradient, &d) {
            return Status::Stalled;
        }
        state.refresh();
    }
}

/// All unknowns as a block, where a Cholesky factorisation is cheaper than conjugate gradients.
fn dense_block(state: &State) -> Option<Block> {
    let unknowns = state.x.len() + if state.model.intercept { state.b.len() } else { 0 };
    if unknowns > LARGEST_DENSE {
        return None;
    }
    let all: Vec<usize> = (0..state.x.len()).collect();
    let block = Block::new(state, &all);
    let dense = block.hessian_cost() + (unknowns as f64).powi(3) / 3.0;
    let iterative = EXPECTED_PRODUCTS * 2.0 * (state.model.design.stored() * state.b.len()) as f64;
    (dense < iterative).then_some(block)
}

/// h''(x) and h'(x) of every coefficient.
fn ridge(state: &State) -> (Vec<f64>, Vec<f64>) {
    let piece = |(i, &x): (usize, &f64)| state.model.penalty.piece(i, x);
    let pieces = state.x.iter().enumerate().map(piece);
    pieces.map(|piece| piece.map_or((0.0, 0.0), |piece| (piece.curvature, piece.slope))).unzip()
}

/// The gradient of F in X, then in the intercepts.
fn full_gradient(state: &State) -> Vec<f64> {
    let slopes = ridge(state).1;
    let mut gradient: Vec<f64> = slopes.iter().zip(&state.gradient).map(|(slope, g)| slope + g).collect();
    if state.model.intercept {
        gradient.extend(state.intercept_gradient());
    }
    gradient
}

fn by_cholesky(state: &State, block: &Block, gradient: &[f64]) -> Vec<f64> {
    let mut hessian = Vec::new();
    block.hessian(&state.probabilities, &mut hessian);
    let size = gradient.len();
    ridge(state).0.iter().enumerate().for_each(|(i, r)| hessian[i * size + i] += r);
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut cholesky = DenseCholesky::new();
    if cholesky.factor_shifted(size, &mut hessian).is_err() || cholesky.solve_in_place(&mut d).is_err() {
        d = gradient.iter().map(|g| -g).collect();
    }
    d
}

fn by_conjugate_gradients(
    state: &State,
    run: &Run,
    gradient: &[f64],
    accuracy: f64,
    workspace: &mut Workspace,
) -> Vec<f64> {
    let (model, k, n) = (state.model, state.b.len(), state.model.target.len());
    let unknowns = state.x.len();
    let ridge = ridge(state).0;
    let image = RefCell::new(vec![0.0; n * k]);
    let operator = FromFn::new(gradient.len(), |v: &[f64], out: &mut [f64]| {
        let image = &mut *image.borrow_mut();
        model.design.multiply_many(k, &v[..unknowns], image);
        let (head, tail) = out.split_at_mut(unknowns);
        tail.fill(0.0);
        for (row, p) in image.chunks_exact_mut(k).zip(state.probabilities.chunks_exact(k)) {
            row.iter_mut().zip(&v[unknowns..]).for_each(|(w, b)| *w += b);
            let mean: f64 = row.iter().zip(p).map(|(w, p)| w * p).sum();
            row.iter_mut().zip(p).for_each(|(w, p)| *w = p * (*w - mean) / n as f64);
            tail.iter_mut().zip(&*row).for_each(|(out, w)| *out += w);
        }
        model.design.multiply_transpose_many(k, image, head);
        head.iter_mut().zip(v).zip(&ridge).for_each(|((out, v), r)| *out += r * v);
    });
    let mut diagonal = ridge.clone();
    diagonal.resize(gradient.len(), 0.0);
    for c in 0..k {
        let weight = |p: &[f64]| p[c] * (1.0 - p[c]) / n as f64;
        let weights: Vec<f64> = state.probabilities.chunks_exact(k).map(weight).collect();
        let squares = model.design.weighted_squares(&weights);
        squares.iter().enumerate().for_each(|(j, square)| diagonal[j * k + c] += square);
        if let Some(own) = diagonal.get_mut(unknowns + c) {
            *own = weights.iter().sum();
        }
    }
    diagonal.iter_mut().filter(|value| !(**value > 0.0)).for_each(|value| *value = 1.0);
    let rhs: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let stopping = Stopping { tolerance: accuracy, absolute: 0.0, max_iterations: 2000 };
    let mut d = vec![0.0; rhs.len()];
    let mut watch = |_: &_| run.should_stop().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()));
    let solved = Jacobi::new(&diagonal).and_then(|jacobi| {
        conjugate_gradient(&operator, &jacobi, &rhs, &mut d, &stopping, workspace, Some(&mut watch))
    });
    // a direction that is not one: fall back on steepest descent, scaled by the diagonal
    if solved.is_err() || norm(&d) == 0.0 || d.iter().any(|d| !d.is_finite()) {
        d = rhs.iter().zip(&diagonal).map(|(r, diagonal)| r / diagonal).collect();
    }
    d
}

/// Moves along d as far as Armijo's rule on F allows; says whether it moved. Predictors are left to the next refresh.
fn step(state: &mut State, gradient: &[f64], d: &[f64]) -> bool {
    let (model, k, unknowns) = (state.model, state.b.len(), state.x.len());
    let slope = dot(gradient, d);
    if !(slope < 0.0) || d.iter().any(|d| !d.is_finite()) {
        return false;
    }
    let mut image = vec![0.0; state.z.len()];
    model.design.multiply_many(k, &d[..unknowns], &mut image);
    for row in image.chunks_exact_mut(k) {
        row.iter_mut().zip(&d[unknowns..]).for_each(|(w, b)| *w += b);
    }
    let before = state.z.clone();
    let start = state.standing.objective;
    let armijo = Armijo { rounding: 8.0, max_evaluations: 40, ..Armijo::default() };
    let accepted = armijo.search(start, slope, |length| {
        for ((z, before), image) in state.z.iter_mut().zip(&before).zip(&image) {
            *z = before + length * image;
        }
        let moved = state.x.iter().zip(d).enumerate();
        let penalty: f64 = moved.map(|(i, (x, d))| model.penalty.value(i, x + length * d)).sum();
        state.loss() + penalty
    });
    let Ok(accepted) = accepted else { return false };
    state.x.iter_mut().zip(d).for_each(|(x, d)| *x += accepted.step * d);
    if model.intercept {
        state.b.iter_mut().zip(&d[unknowns..]).for_each(|(b, d)| *b += accepted.step * d);
    }
    true
}
