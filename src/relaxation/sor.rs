//! Successive over-relaxation.

use super::attempt::{Attempt, End, Stop, System, Watch};
use crate::linalg::krylov::Workspace;

/// Sweeps between two looks at the true residual while the end is far.
const LOOK: usize = 100;
/// Sweeps within which the residual must fall by one per cent.
const PATIENCE: usize = 1000;
/// Growth of the residual that counts as divergence.
const DIVERGED: f64 = 1e4;
/// The end is near once the estimated residual is below this many targets, or so many sweeps away at the present rate: then every
/// sweep is looked at.
const NEAR: f64 = 1.5;
const NEAR_SWEEPS: i32 = 3;
/// Below this an entry of x is set to 0, lest it becomes a denormal number, which slows every sweep.
const TINY: f64 = 1e-290;

/// SOR (Young 1971) from x: sweeps x_i <- x_i + omega (b_i - a_i'x) / a_ii until the true residual meets the target.
///
/// The residuals that the rows meet during a sweep cost nothing and tell, up to a factor that hardly changes, how large
/// the true residual is; that is computed every hundred sweeps, and after every sweep near the end.
pub(super) fn run(
    system: System,
    kind: Kind,
    x: &mut [f64],
    stop: Stop,
    workspace: &mut Workspace,
    watch: &mut Watch,
) -> Attempt {
    let System { operator, b } = system;
    let sweeps = operator.sweeps();
    let [r, scratch] = workspace.vectors(b.len());
    let first = operator.residual(b, x, r);
    let sweep_flops = 2.0 * operator.nonzeros() as f64;
    let (Kind::Forward(omega) | Kind::Symmetric(omega)) = kind;
    let symmetric = kind == Kind::Symmetric(omega);
    let mut attempt = Attempt { end: End::Solved, iterations: 0, residual: first, flops: 0.0 };
    if first <= stop.target {
        return attempt;
    }
    // |true residual| / |residual as met|; and where the last stretch of patience began
    let (mut ratio, mut stretch) = (f64::INFINITY, first);
    let mut before = f64::INFINITY;
    loop {
        if attempt.iterations >= stop.cap {
            attempt.end = End::Capped;
            break;
        }
        let mut met = sweeps.sor_forward(omega, b, x, scratch);
        if symmetric {
            met = sweeps.sor_backward(omega, b, x, scratch);
        }
        let met = met.sqrt();
        attempt.iterations += 1;
        attempt.flops += if symmetric { 2.0 * sweep_flops } else { sweep_flops };
        let k = attempt.iterations;
        let estimate = ratio * met;
        let near = (before / met).powi(NEAR_SWEEPS).clamp(NEAR, 1e3);
        before = met;
        let look =
            k.is_multiple_of(LOOK) || estimate <= near * stop.target || !met.is_finite() || k == stop.cap;
        if !(look || ratio.is_infinite()) {
            if let Some(status) = watch(k, estimate) {
                attempt.end = End::Stopped(status);
                break;
            }
            continue;
        }
        attempt.residual = operator.residual(b, x, r);
        attempt.flops += sweep_flops;
        ratio = if met > 0.0 { attempt.residual / met } else { 1.0 };
        if let Some(end) = verdict(k, first, &mut stretch, attempt.residual, stop.target) {
            attempt.end = end;
            break;
        }
        if let Some(status) = watch(k, attempt.residual) {
            attempt.end = End::Stopped(status);
            break;
        }
        if k.is_multiple_of(LOOK) {
            x.iter_mut().filter(|x| x.abs() < TINY).for_each(|x| *x = 0.0);
        }
    }
    attempt.residual = operator.residual(b, x, r);
    attempt
}

/// What a sweep is, and its omega.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Forward.
    Forward(f64),
    /// Forward, then backward: SSOR.
    Symmetric(f64),
}

/// Whether the residual after sweep k ends the run.
fn verdict(k: usize, first: f64, stretch: &mut f64, residual: f64, target: f64) -> Option<End> {
    if residual <= target {
        return Some(End::Solved);
    }
    if !(residual <= DIVERGED * first) {
        return Some(End::Diverged);
    }
    if k.is_multiple_of(PATIENCE) {
        if residual > 0.99 * *stretch {
            return Some(End::Stagnated);
        }
        *stretch = residual;
    }
    None
}
