//! Preconditioned MINRES.

use super::{KrylovError, LinearOperator, Observer, Outcome, Progress, Status, Stopping, Workspace};
use super::{check, observe, ratio, residual};
use crate::linalg::product::dot;

/// Solves A x = b for symmetric A, definite or not, by the minimal residual method (Paige and Saunders 1975), starting from x.
/// M^{-1} must be symmetric positive definite.
///
/// One product with A and one with M^{-1} per iteration, eight vectors. The recurrence measures the residual in the norm of
/// M^{-1}; when it claims convergence the Euclidean residual is recomputed, and the method goes on with a sharper
/// claim if that doesn't meet the tolerance. Where the recurrence is at the end of its accuracy the method starts again
/// from x, and gives up as stagnated once that no longer halves the true residual (as it is for a singular A and a b out of
/// its range, where x is then a least-squares solution).
///
/// # Errors
/// Sizes that don't match, entries of b or x that aren't finite, a tolerance that is negative.
pub fn minres(
    a: &dyn LinearOperator,
    preconditioner: &dyn LinearOperator,
    b: &[f64],
    x: &mut [f64],
    stopping: &Stopping,
    workspace: &mut Workspace,
    mut observer: Option<&mut Observer>,
) -> Result<Outcome, KrylovError> {
    let b_norm = check(a, preconditioner, b, x, stopping)?;
    let target = stopping.target(b_norm);
    let [r_old, r, z, v, q, w_older, w_old, w] = workspace.vectors(b.len());
    let vectors = [r_old, r, z, v, q, w_older, w_old, w];
    let mut lanczos = Lanczos { a, preconditioner, b, x, vectors, b_norm, target };
    let mut iterations = 0;
    let mut previous = f64::INFINITY;
    let status = loop {
        let r_norm = lanczos.true_residual();
        if r_norm <= target {
            break Status::Converged;
        }
        if !r_norm.is_finite() {
            break Status::NotFinite;
        }
        if r_norm > 0.5 * previous {
            break Status::Stagnated;
        }
        previous = r_norm;
        if let Some(status) = lanczos.run(r_norm, stopping.max_iterations, &mut iterations, &mut observer) {
            break status;
        }
    };
    let true_residual = lanczos.true_residual();
    let status =
        if true_residual <= target && status != Status::Stopped { Status::Converged } else { status };
    Ok(Outcome {
        status,
        iterations,
        residual: true_residual,
        relative_residual: ratio(true_residual, b_norm),
    })
}

struct Lanczos<'a> {
    a: &'a dyn LinearOperator,
    preconditioner: &'a dyn LinearOperator,
    b: &'a [f64],
    x: &'a mut [f64],
    vectors: [&'a mut [f64]; 8],
    b_norm: f64,
    target: f64,
}

impl Lanczos<'_> {
    /// |b - A x|, with b - A x left in the second vector.
    fn true_residual(&mut self) -> f64 {
        residual(self.a, self.b, self.x, self.vectors[1])
    }

    /// Iterates from the residual of norm `start` in the second vector. None when the recurrence has no more to give.
    fn run(
        &mut self,
        start: f64,
        max_iterations: usize,
        iterations: &mut usize,
        observer: &mut Option<&mut Observer>,
    ) -> Option<Status> {
        let [r_old, r, z, v, q, w_older, w_old, w] = &mut self.vectors;
        r_old.fill(0.0);
        w_old.fill(0.0);
        w.fill(0.0);
        self.preconditioner.apply(r, z);
        let first = dot(r, z);
        if first.is_nan() || first <= 0.0 {
            return Some(if first.is_finite() { Status::Indefinite } else { Status::NotFinite });
        }
        // names of Paige and Saunders: QR of the tridiagonal matrix by rotations (c, s)
        let mut beta = first.sqrt();
        let (mut beta_old, mut delta_bar, mut epsilon, mut phi_bar) = (0.0, 0.0, 0.0, beta);
        let (mut c, mut s) = (-1.0, 0.0);
        // claim convergence at this phi_bar; sharpened where the true residual disagrees
        let mut claim = beta * (self.target / start);
        let mut size: f64 = 0.0;
        loop {
            if *iterations >= max_iterations {
                return Some(Status::IterationLimit);
            }
            v.iter_mut().zip(&**z).for_each(|(v, z)| *v = z / beta);
            self.a.apply(v, q);
            if beta_old > 0.0 {
                let factor = beta / beta_old;
                q.iter_mut().zip(&**r_old).for_each(|(q, r)| *q -= factor * r);
            }
            let alpha = dot(v, q);
            let factor = alpha / beta;
            q.iter_mut().zip(&**r).for_each(|(q, r)| *q -= factor * r);
            std::mem::swap(r_old, r);
            std::mem::swap(r, q);
            self.preconditioner.apply(r, z);
            beta_old = beta;
            let squared = dot(r, z);
            if !squared.is_finite() || !alpha.is_finite() {
                return Some(Status::NotFinite);
            }
            // by rounding alone, the last beta of an exhausted Krylov space may come out slightly below zero
            size = size.max(alpha.abs()).max(beta_old);
            if squared < -(f64::EPSILON * size).powi(2) {
                return Some(Status::Indefinite);
            }
            beta = squared.max(0.0).sqrt();
            let epsilon_old = epsilon;
            let delta = c * delta_bar + s * alpha;
            let gamma_bar = s * delta_bar - c * alpha;
            epsilon = s * beta;
            delta_bar = -c * beta;
            let gamma = gamma_bar.hypot(beta);
            if gamma <= f64::EPSILON * size {
                // A is singular on this Krylov space and the residual is as small as it gets
                return None;
            }
            c = gamma_bar / gamma;
            s = beta / gamma;
            let phi = c * phi_bar;
            phi_bar *= s;
            std::mem::swap(w_older, w_old);
            std::mem::swap(w_old, w);
            for i in 0..w.len() {
                w[i] = (v[i] - epsilon_old * w_older[i] - delta * w_old[i]) / gamma;
                self.x[i] += phi * w[i];
            }
            *iterations += 1;
            let progress = Progress {
                iteration: *iterations,
                relative_residual: ratio(phi_bar * (start / first.sqrt()), self.b_norm),
                lanczos: Some((alpha, beta)),
            };
            if observe(observer, &progress) {
                return Some(Status::Stopped);
            }
            let exhausted = beta <= f64::EPSILON * size;
            if phi_bar <= claim || exhausted {
                let actual = residual(self.a, self.b, self.x, q);
                if actual <= self.target || exhausted || !actual.is_finite() {
                    return None;
                }
                claim *= 0.5 * (self.target / actual).min(1.0);
                if claim <= f64::EPSILON * first.sqrt() {
                    return None;
                }
            }
        }
    }
}
