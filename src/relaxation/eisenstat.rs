//! Conjugate gradients with the SSOR preconditioner, in Eisenstat's form.
//!
//! With E = D / omega + L and s = (2 - omega) / omega, A = E + E' - s D, and SSOR's preconditioner is M = E (s D)^{-1} E'. CG on
//! E^{-1} A E^{-T} needs no product with A, for E^{-1} A E^{-T} p = u + v with u = E^{-T} p and v = E^{-1} (p - s D u)
//! (Eisenstat 1981): two triangular solves an iteration, half the work of the plain form.

use super::attempt::{Attempt, End, Stop, System, Watch};
use crate::linalg::krylov::Workspace;
use crate::linalg::product::dot;
use crate::linalg::tridiagonal;

/// The true residual is computed after every iteration once it is estimated below this many targets.
const NEAR: f64 = 4.0;
/// Iterations after which the estimate is renewed in any case.
const RENEW: usize = 16;

/// The Lanczos matrix of a run, from the coefficients of conjugate gradients.
#[derive(Debug, Default)]
pub(super) struct Lanczos {
    pub diagonal: Vec<f64>,
    pub off_diagonal: Vec<f64>,
}

impl Lanczos {
    /// Its smallest eigenvalue, which approaches that of the operator from above.
    pub fn smallest(&self) -> Option<f64> {
        let value = tridiagonal::smallest_eigenvalue(&self.diagonal, &self.off_diagonal);
        value.is_finite().then_some(value)
    }

    /// Its largest eigenvalue, which approaches that of the operator from below.
    pub fn largest(&self) -> Option<f64> {
        let value = tridiagonal::largest_eigenvalue(&self.diagonal, &self.off_diagonal);
        value.is_finite().then_some(value)
    }

    /// Forgets the run before.
    fn clear(&mut self) {
        self.diagonal.clear();
        self.off_diagonal.clear();
    }
}

/// SSOR-CG from x until the true residual meets the target. With `lanczos` the matrix of the last stretch is kept there.
///
/// The norm of r = E g costs a quarter of an iteration, so it is estimated from the norm that CG itself has, sqrt(g's D g),
/// and computed where the end is near. When it meets the target b - A x is computed; if that does not meet it, CG
/// starts again from there, and gives up as stagnated once that no longer halves the residual.
pub(super) fn run(
    system: System,
    omega: f64,
    x: &mut [f64],
    stop: Stop,
    workspace: &mut Workspace,
    mut lanczos: Option<&mut Lanczos>,
    watch: &mut Watch,
) -> Attempt {
    let System { operator, b } = system;
    let n = b.len();
    let [r, p, u, v] = workspace.vectors(n);
    // a sweep by diagonals reads rows that it has yet to write, times 0: they must be numbers
    u.fill(0.0);
    v.fill(0.0);
    let pass_flops = 2.0 * operator.nonzeros() as f64;
    let mut attempt = Attempt { end: End::Solved, iterations: 0, residual: f64::INFINITY, flops: 0.0 };
    loop {
        let residual = operator.residual(b, x, r);
        attempt.flops += pass_flops;
        let before = std::mem::replace(&mut attempt.residual, residual);
        attempt.end = if residual <= stop.target {
            End::Solved
        } else if !residual.is_finite() {
            End::Diverged
        } else if residual > 0.5 * before {
            End::Stagnated
        } else {
            let end = stretch(system, omega, x, [r, p, u, v], stop, &mut attempt, &mut lanczos, watch);
            let Some(end) = end else { continue };
            end
        };
        break;
    }
    if !matches!(attempt.end, End::Solved | End::Stagnated) {
        attempt.residual = operator.residual(b, x, r);
        if attempt.residual <= stop.target && !matches!(attempt.end, End::Stopped(_)) {
            attempt.end = End::Solved;
        }
    }
    attempt
}

/// Iterations from x, whose residual is r, until the residual that g stands for meets the target (None) or something else
/// ends the run. r becomes g.
#[allow(clippy::too_many_arguments)]
fn stretch(
    system: System,
    omega: f64,
    x: &mut [f64],
    [r, p, u, v]: [&mut [f64]; 4],
    stop: Stop,
    attempt: &mut Attempt,
    lanczos: &mut Option<&mut Lanczos>,
    watch: &mut Watch,
) -> Option<End> {
    let sweeps = system.operator.sweeps();
    let n = r.len();
    let pass_flops = system.operator.nonzeros() as f64;
    // g takes the place of u until p is known
    let mut rho = sweeps.solve_lower(omega, r, u);
    r.copy_from_slice(u);
    let g = r;
    p.fill(0.0);
    let mut ratio = attempt.residual / rho.sqrt();
    let (mut beta, mut carried) = (0.0, 0.0);
    if let Some(lanczos) = lanczos {
        lanczos.clear();
    }
    for k in 1.. {
        if attempt.iterations >= stop.cap {
            return Some(End::Capped);
        }
        sweeps.solve_upper(omega, beta, g, p, u);
        let curvature = sweeps.complete(omega, p, u, v);
        if !curvature.is_finite() {
            return Some(End::Diverged);
        }
        if curvature <= 0.0 {
            let size = dot(u, u);
            // nothing is left of the direction: the true residual tells
            return if size > 0.0 { Some(End::Indefinite(curvature / size)) } else { None };
        }
        let alpha = rho / curvature;
        let next = sweeps.step(omega, alpha, u, v, x, g);
        attempt.iterations += 1;
        attempt.flops += 2.0 * pass_flops + 14.0 * n as f64;
        beta = next / rho;
        rho = next;
        if let Some(lanczos) = lanczos {
            lanczos.diagonal.push(1.0 / alpha + carried);
            lanczos.off_diagonal.push(beta.sqrt() / alpha);
            carried = beta / alpha;
        }
        let mut estimate = ratio * rho.sqrt();
        if !(estimate > NEAR * stop.target) || k % RENEW == 0 {
            estimate = sweeps.lower_norm_squared(omega, g).sqrt();
            attempt.flops += pass_flops;
            ratio = estimate / rho.sqrt();
        }
        if let Some(status) = watch(attempt.iterations, estimate) {
            return Some(End::Stopped(status));
        }
        if !(estimate > stop.target) {
            return None;
        }
    }
    None
}
