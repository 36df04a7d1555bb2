//! Smooth penalties (ridge or none): Newton's method on all coefficients at once.
//!
//! repeat: gradient and certificate; (A' W A + Lambda) d = -g with W = diag(s phi''), Lambda = diag(h''); Armijo search
//! along d. The system is solved by the cheapest of three ways (estimated multiplications):
//! - a dense Gram matrix and Cholesky, where there are few columns;
//! - the kernel matrix K = A Lambda^{-1} A' of the rows, where there are few rows and every column has a ridge:
//!   (Lambda + A'WA)^{-1} g = Lambda^{-1} (g - A' U (I + U K U)^{-1} U A Lambda^{-1} g), U = W^{1/2};
//! - conjugate gradients with Jacobi's preconditioner, to an accuracy that tightens with the gradient. From x = 0 a few
//!   passes over the dual variables come first (`dual.rs`): they save most of the steps.

use std::cell::RefCell;
use std::ops::ControlFlow;

use super::dual::Dual;
use super::standing::Progress;
use super::state::State;
use crate::control::{Certificate, Run, Status};
use crate::linalg::factor::DenseCholesky;
use crate::linalg::krylov::{FromFn, Jacobi, Stopping, Workspace, conjugate_gradient};
use crate::linalg::line_search::Armijo;
use crate::linalg::product::{axpy, dot, norm};
use crate::linalg::{ColumnBlock, DesignMatrix, NormalWorkspace};
use crate::problem::LinearModel;

/// Products with the Hessian that conjugate gradients are expected to take per Newton step.
pub(super) const EXPECTED_PRODUCTS: f64 = 50.0;
/// No dense matrix of the Newton system is larger than this squared.
const LARGEST_DENSE: usize = 4000;

/// Runs until a limit is met; the state holds the answer.
pub(super) fn solve(state: &mut State, run: &mut Run) -> Status {
    let mut progress = Progress::new(state.standing.objective);
    let mut record = |state: &State, run: &mut Run| {
        progress.record(run, &state.standing, state.support_size(), state.x.len())
    };
    if let Some(status) = record(state, run) {
        return status;
    }
    let mut system = System::cheapest(state, &ridge(state));
    let mut dual =
        if let System::Iterative { .. } = system { Dual::start(state, &ridge(state)) } else { None };
    let mut weights = vec![0.0; state.z.len()];
    loop {
        if let Some(passes) = &mut dual {
            let more = passes.improve(state, run);
            dual = dual.filter(|_| more);
        } else {
            let ridge = ridge(state);
            state.model.loss_curvatures(&state.z, &state.s, &mut weights);
            let gradient = full_gradient(state);
            let quadratic = state.model.loss.name() == "squared";
            let accuracy = accuracy(state.standing.certificate, quadratic, run.limits().tolerance);
            let d = system.direction(state.model, &weights, &ridge, &gradient, accuracy, run);
            state.standing.count("newton_models", 1);
            if !step(state, &gradient, &d) {
                return Status::Stalled;
            }
            state.refresh();
        }
        if let Some(status) = record(state, run) {
            return status;
        }
    }
}

/// h_j''(x_j).
fn ridge(state: &State) -> Vec<f64> {
    let penalty = &state.model.penalty;
    state
        .x
        .iter()
        .enumerate()
        .map(|(j, &x)| penalty.piece(j, x).map_or(0.0, |piece| piece.curvature))
        .collect()
}

/// The gradient of F in x, then, with an intercept, in b.
fn full_gradient(state: &State) -> Vec<f64> {
    let penalty = &state.model.penalty;
    let slope = |(j, &x): (usize, &f64)| penalty.piece(j, x).map_or(0.0, |piece| piece.slope);
    let mut gradient: Vec<f64> =
        state.x.iter().enumerate().map(slope).zip(&state.gradient).map(|(slope, g)| slope + g).collect();
    if state.model.intercept {
        gradient.push(state.v.iter().sum());
    }
    gradient
}

/// Relative accuracy of an iterative Newton system: loose at first, tightening as the square root of the certificate
/// does, never tighter than the rest of the way to the tolerance. A quadratic needs only the latter.
pub(super) fn accuracy(certificate: Certificate, quadratic: bool, tolerance: f64) -> f64 {
    // the gap falls as the square of the gradient
    let power = if certificate.kind == "duality_gap" { 0.5 } else { 1.0 };
    let rest = 0.2 * (tolerance / certificate.relative).powf(power);
    let loose = if quadratic { 0.0 } else { certificate.relative.powf(0.3 * power) };
    rest.max(loose).clamp(1e-13, 0.5)
}

/// How the Newton system is solved.
enum System {
    Gram { block: ColumnBlock, gram: Vec<f64>, cholesky: DenseCholesky },
    Kernel { kernel: Vec<f64>, matrix: Vec<f64>, cholesky: DenseCholesky },
    Iterative { workspace: Workspace },
}

impl System {
    fn cheapest(state: &State, ridge: &[f64]) -> Self {
        let design = &state.model.design;
        let (n, p) = (design.rows() as f64, design.columns() as f64);
        let mut cheapest = (
            EXPECTED_PRODUCTS * 2.0 * design.stored() as f64,
            System::Iterative { workspace: Workspace::new() },
        );
        // the matrix of the rows is made once, the others at every step: count ten steps
        let once = if design.is_dense() { n * n * p } else { 0.5 * design.stored() as f64 * n };
        let cost = 0.1 * once + n * n * n / 3.0;
        if design.rows() <= LARGEST_DENSE && ridge.iter().all(|&r| r > 0.0) && cost < cheapest.0 {
            let inverse: Vec<f64> = ridge.iter().map(|r| 1.0 / r).collect();
            let kernel = Vec::new();
            cheapest = (cost, System::Kernel { kernel, matrix: Vec::new(), cholesky: DenseCholesky::new() });
            if let System::Kernel { kernel, .. } = &mut cheapest.1 {
                *kernel = design.row_gram(&inverse);
            }
        }
        if design.columns() <= LARGEST_DENSE && p * p * p / 3.0 < cheapest.0 {
            let all: Vec<usize> = (0..design.columns()).collect();
            let mut block = design.select(&all);
            if state.model.intercept {
                block = block.with_ones();
            }
            if p * p * p / 3.0 + (block.gram_cost() as f64) < cheapest.0 {
                return System::Gram { block, gram: Vec::new(), cholesky: DenseCholesky::new() };
            }
        }
        cheapest.1
    }

    /// d with (A'WA + Lambda) d = -gradient; the intercept, if any, is the last unknown.
    fn direction(
        &mut self,
        model: &LinearModel,
        weights: &[f64],
        ridge: &[f64],
        gradient: &[f64],
        accuracy: f64,
        run: &Run,
    ) -> Vec<f64> {
        let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
        match self {
            System::Gram { block, gram, cholesky } => {
                block.gram(weights, gram);
                let k = block.columns();
                ridge.iter().enumerate().for_each(|(j, r)| gram[j * k + j] += r);
                if cholesky.factor_shifted(k, gram).is_ok() && cholesky.solve_in_place(&mut d).is_ok() {
                    return d;
                }
                gradient.iter().map(|g| -g).collect()
            }
            System::Kernel { kernel, matrix, cholesky } => {
                let roots: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
                let n = roots.len();
                matrix.clear();
                for j in 0..n {
                    matrix.extend(
                        kernel[j * n..(j + 1) * n].iter().zip(&roots).map(|(k, root)| k * root * roots[j]),
                    );
                    matrix[j * n + j] += 1.0;
                }
                if cholesky.factor_shifted(n, matrix).is_ok() {
                    through_kernel(&model.design, cholesky, &roots, ridge, &mut d);
                }
                d
            }
            System::Iterative { workspace } => iterative(model, weights, ridge, &d, accuracy, workspace, run),
        }
    }
}

/// d <- H^{-1} d through the kernel matrix; with an intercept (one entry more) by its Schur complement.
fn through_kernel(
    design: &DesignMatrix,
    cholesky: &DenseCholesky,
    roots: &[f64],
    ridge: &[f64],
    d: &mut Vec<f64>,
) {
    let (n, p) = (design.rows(), design.columns());
    let solve = |r: &[f64]| -> Vec<f64> {
        let scaled: Vec<f64> = r.iter().zip(ridge).map(|(r, ridge)| r / ridge).collect();
        let mut u = vec![0.0; n];
        design.multiply(&scaled, &mut u);
        u.iter_mut().zip(roots).for_each(|(u, root)| *u *= root);
        if cholesky.solve_in_place(&mut u).is_err() {
            return scaled;
        }
        u.iter_mut().zip(roots).for_each(|(u, root)| *u *= root);
        let mut back = vec![0.0; p];
        design.multiply_transpose(&u, &mut back);
        scaled.iter().zip(&back).zip(ridge).map(|((t, back), ridge)| t - back / ridge).collect()
    };
    if d.len() == p {
        *d = solve(d);
        return;
    }
    let weights: Vec<f64> = roots.iter().map(|root| root * root).collect();
    let mut coupling = vec![0.0; p];
    design.multiply_transpose(&weights, &mut coupling);
    let (first, second) = (solve(&d[..p]), solve(&coupling));
    let schur = weights.iter().sum::<f64>() - dot(&coupling, &second);
    let b = if schur > 0.0 { (d[p] - dot(&coupling, &first)) / schur } else { 0.0 };
    d[..p].copy_from_slice(&first);
    axpy(-b, &second, &mut d[..p]);
    d[p] = b;
}

/// Conjugate gradients on the Hessian, preconditioned by its diagonal.
fn iterative(
    model: &LinearModel,
    weights: &[f64],
    ridge: &[f64],
    rhs: &[f64],
    accuracy: f64,
    workspace: &mut Workspace,
    run: &Run,
) -> Vec<f64> {
    let p = model.design.columns();
    let memory = RefCell::new(NormalWorkspace::default());
    let operator = FromFn::new(rhs.len(), |x: &[f64], y: &mut [f64]| {
        let shift = x.get(p).copied().unwrap_or(0.0);
        let sum =
            model.design.multiply_normal(weights, &x[..p], shift, &mut y[..p], &mut memory.borrow_mut());
        y.iter_mut().zip(x).zip(ridge).for_each(|((y, x), ridge)| *y += ridge * x);
        if let Some(last) = y.get_mut(p) {
            *last = sum;
        }
    });
    let mut diagonal: Vec<f64> =
        model.design.weighted_squares(weights).iter().zip(ridge).map(|(a, b)| a + b).collect();
    if rhs.len() > p {
        diagonal.push(weights.iter().sum());
    }
    diagonal.iter_mut().filter(|value| !(**value > 0.0)).for_each(|value| *value = 1.0);
    let stopping = Stopping { tolerance: accuracy, absolute: 0.0, max_iterations: 2000 };
    let mut d = vec![0.0; rhs.len()];
    let mut watch = |_: &_| run.should_stop().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()));
    let solved = Jacobi::new(&diagonal).and_then(|jacobi| {
        conjugate_gradient(&operator, &jacobi, rhs, &mut d, &stopping, workspace, Some(&mut watch))
    });
    // a direction that is not one: fall back on steepest descent, scaled by the diagonal
    if solved.is_err() || norm(&d) == 0.0 || d.iter().any(|d| !d.is_finite()) {
        d = rhs.iter().zip(&diagonal).map(|(r, diagonal)| r / diagonal).collect();
    }
    d
}

/// Moves along d as far as Armijo's rule on F allows; says whether it moved. z is left to the next refresh.
fn step(state: &mut State, gradient: &[f64], d: &[f64]) -> bool {
    let model = state.model;
    let p = state.x.len();
    let slope = dot(gradient, d);
    if !(slope < 0.0) || d.iter().any(|d| !d.is_finite()) {
        return false;
    }
    let mut dz = vec![0.0; state.z.len()];
    model.design.multiply(&d[..p], &mut dz);
    let shift = d.get(p).copied().unwrap_or(0.0);
    dz.iter_mut().for_each(|dz| *dz += shift);
    let mut moved = state.z.clone();
    let mut trial = state.x.clone();
    let armijo = Armijo { rounding: 8.0, max_evaluations: 40, ..Armijo::default() };
    let accepted = armijo.search(state.standing.objective, slope, |length| {
        for ((moved, z), dz) in moved.iter_mut().zip(&state.z).zip(&dz) {
            *moved = z + length * dz;
        }
        for ((trial, x), d) in trial.iter_mut().zip(&state.x).zip(d) {
            *trial = x + length * d;
        }
        model.loss_value(&moved, &state.s) + model.penalty_value(&trial)
    });
    let Ok(accepted) = accepted else { return false };
    // the last evaluation is the accepted one
    state.x = trial;
    state.intercept += accepted.step * shift;
    true
}
