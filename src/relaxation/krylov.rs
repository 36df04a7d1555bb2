//! Conjugate gradients with the preconditioners of `linalg`, and what they tell about the spectrum.

use std::ops::ControlFlow;

use super::attempt::{Attempt, End, Stop, System, Watch};
use super::eisenstat::Lanczos;
use super::operator::Inner;
use crate::control::Status;
use crate::linalg::krylov::{
    self, Jacobi, LinearOperator, Progress, Stopping, Workspace, conjugate_gradient,
};
use crate::linalg::product::norm;
use crate::linalg::tridiagonal;

/// CG with the given preconditioner from x. `observe` sees the Lanczos coefficients of every iteration and may stop it.
fn preconditioned(
    system: System,
    preconditioner: &dyn LinearOperator,
    x: &mut [f64],
    stop: Stop,
    workspace: &mut Workspace,
    observe: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> (krylov::Status, Attempt) {
    let stopping = Stopping { tolerance: 0.0, absolute: stop.target, max_iterations: stop.cap };
    let operator = Inner(system.operator);
    let done = conjugate_gradient(
        &operator,
        preconditioner,
        system.b,
        x,
        &stopping,
        workspace,
        Some(&mut |progress: &Progress| observe(progress)),
    );
    let (n, nonzeros) = (system.b.len() as f64, system.operator.nonzeros() as f64);
    match done {
        Ok(outcome) => {
            let iterations = outcome.iterations;
            let flops = iterations as f64 * (2.0 * nonzeros + 11.0 * n);
            let end = End::Capped;
            (outcome.status, Attempt { end, iterations, residual: outcome.residual, flops })
        }
        // sizes and finiteness were checked before: only a start that overflowed comes here
        Err(_) => {
            let attempt = Attempt { end: End::Diverged, iterations: 0, residual: f64::INFINITY, flops: 0.0 };
            (krylov::Status::NotFinite, attempt)
        }
    }
}

/// CG with the given preconditioner, whose application costs `extra_flops`.
pub(super) fn run(
    system: System,
    preconditioner: &dyn LinearOperator,
    extra_flops: f64,
    x: &mut [f64],
    stop: Stop,
    workspace: &mut Workspace,
    watch: &mut Watch,
) -> Attempt {
    let mut stopped = None;
    let mut last = f64::NAN;
    let b_norm = norm(system.b);
    let (status, mut attempt) = preconditioned(system, preconditioner, x, stop, workspace, &mut |progress| {
        last = progress.lanczos.map_or(f64::NAN, |(diagonal, _)| diagonal);
        stopped = watch(progress.iteration, progress.relative_residual * b_norm);
        if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    attempt.flops += attempt.iterations as f64 * extra_flops;
    attempt.end = match status {
        krylov::Status::Converged => End::Solved,
        krylov::Status::IterationLimit => End::Capped,
        krylov::Status::Stopped => End::Stopped(stopped.unwrap_or(Status::Interrupted)),
        krylov::Status::Indefinite => End::Indefinite(negative_curvature(system, preconditioner, workspace)),
        krylov::Status::Stagnated => End::Stagnated,
        krylov::Status::NotFinite => End::Diverged,
    };
    attempt
}

/// The Rayleigh quotient of the direction in which CG from zero meets no positive curvature; NaN where it meets none.
fn negative_curvature(system: System, preconditioner: &dyn LinearOperator, workspace: &mut Workspace) -> f64 {
    let n = system.b.len();
    let operator = system.operator.sweeps();
    let [r, z, p, q] = workspace.vectors(n);
    r.copy_from_slice(system.b);
    p.fill(0.0);
    let mut rz = 1.0;
    for k in 0..10_000 {
        preconditioner.apply(r, z);
        let next = crate::linalg::product::dot(r, z);
        let beta = if k == 0 { 0.0 } else { next / rz };
        rz = next;
        p.iter_mut().zip(&*z).for_each(|(p, z)| *p = z + beta * *p);
        operator.multiply(p, q);
        let curvature = crate::linalg::product::dot(p, q);
        if !(curvature > 0.0) {
            return curvature / crate::linalg::product::dot(p, p);
        }
        crate::linalg::product::axpy(-rz / curvature, q, r);
    }
    f64::NAN
}

/// Jacobi's preconditioner of the operator.
pub(super) fn jacobi(system: System) -> Result<Jacobi, super::Error> {
    let diagonal: Vec<f64> = system.operator.shifted_diagonal().collect();
    Jacobi::new(&diagonal).map_err(|error| super::Error::Option(error.to_string()))
}

/// How far a probe goes; see [`Looks`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    /// 50 steps at most: for CG, which forgives an omega that is too small.
    Short,
    /// Until the estimate is about right: for stationary methods, whose rate depends on it.
    Settled,
    /// Until three digits are.
    Exact,
}

/// The most steps of a short probe, and those between two looks at its estimate.
const SHORT: usize = 50;
const LOOK: usize = 5;
/// A short probe's estimate has settled once it moves by less than this part between two looks.
const STILL: f64 = 1e-3;
/// The other one's, once it has moved by less than this part over the last quarter of all steps.
const SETTLED: f64 = 0.1;

/// The estimates that a probe has seen.
struct Looks {
    probe: Probe,
    next: usize,
    seen: Vec<(usize, f64)>,
}

impl Looks {
    /// Whether the probe may end after this step.
    fn settled(&mut self, step: usize, lanczos: &Lanczos) -> bool {
        if step < self.next {
            return false;
        }
        let now = tridiagonal::smallest_eigenvalue(&lanczos.diagonal, &lanczos.off_diagonal);
        let before = |last: usize| self.seen.iter().rev().find(|(step, _)| *step <= last);
        let (since, part) = match self.probe {
            Probe::Short => (step, STILL),
            Probe::Settled => (step - step / 4, SETTLED),
            Probe::Exact => (step - step / 4, STILL),
        };
        let settled = before(since).is_some_and(|(_, before)| (before - now).abs() <= part * now.abs());
        self.seen.push((step, now));
        // a look costs as much as fifty steps without a matrix: ever more steps apart
        self.next = step + LOOK.max(if self.probe == Probe::Short { 0 } else { step / 20 });
        settled
    }
}

/// Steps of Jacobi-CG from x, which advance x and estimate 1 - beta by the smallest eigenvalue of their Lanczos matrix: it
/// is approached from above. Returns the run and the estimate, None where no step was taken.
pub(super) fn probe(
    probe: Probe,
    system: System,
    x: &mut [f64],
    stop: Stop,
    workspace: &mut Workspace,
    lanczos: &mut Lanczos,
    watch: &mut Watch,
) -> Result<(Attempt, Option<f64>), super::Error> {
    let preconditioner = jacobi(system)?;
    let mut looks = Looks { probe, next: LOOK, seen: Vec::new() };
    let mut stopped = None;
    let b_norm = norm(system.b);
    let stop = if probe == Probe::Short { Stop { cap: stop.cap.min(SHORT), ..stop } } else { stop };
    let (status, mut attempt) =
        preconditioned(system, &preconditioner, x, stop, workspace, &mut |progress| {
            if let Some((diagonal, below)) = progress.lanczos {
                lanczos.diagonal.push(diagonal);
                lanczos.off_diagonal.push(below);
            }
            stopped = watch(progress.iteration, progress.relative_residual * b_norm);
            let settled = looks.settled(progress.iteration, lanczos);
            if settled || stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    attempt.end = match status {
        krylov::Status::Converged => End::Solved,
        krylov::Status::Indefinite => End::Indefinite(negative_curvature(system, &preconditioner, workspace)),
        krylov::Status::Stagnated => End::Stagnated,
        krylov::Status::NotFinite => End::Diverged,
        _ => stopped.map_or(End::Capped, End::Stopped),
    };
    Ok((attempt, lanczos.smallest()))
}
