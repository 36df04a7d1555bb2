//! Preconditioned conjugate gradients.

use super::{KrylovError, LinearOperator, Observer, Outcome, Progress, Status, Stopping, Workspace};
use super::{check, observe, ratio, residual};
use crate::linalg::product::{axpy, dot, norm};

/// Solves A x = b for symmetric positive definite A by preconditioned conjugate gradients (Hestenes and Stiefel 1952),
/// starting from x.
///
/// One product with A and one with M^{-1} per iteration, four vectors. When the recurrence claims convergence, the residual is
/// recomputed; if it doesn't meet the tolerance, the method starts again from x, and gives up as stagnated once that no
/// longer halves the true residual.
///
/// # Errors
/// Sizes that don't match, entries of b or x that aren't finite, a tolerance that is negative.
pub fn conjugate_gradient(
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
    let [r, z, p, q] = workspace.vectors(b.len());
    let mut iterations = 0;
    let mut previous = f64::INFINITY;
    let (status, true_residual) = loop {
        let r_norm = residual(a, b, x, r);
        if r_norm <= target {
            break (Status::Converged, r_norm);
        }
        if !r_norm.is_finite() {
            break (Status::NotFinite, r_norm);
        }
        if r_norm > 0.5 * previous {
            break (Status::Stagnated, r_norm);
        }
        previous = r_norm;
        let mut stretch = Stretch { a, preconditioner, x, r, z, p, q, b_norm, target };
        if let Some(status) = stretch.run(stopping.max_iterations, &mut iterations, &mut observer) {
            break (status, residual(a, b, x, r));
        }
    };
    let status =
        if true_residual <= target && status != Status::Stopped { Status::Converged } else { status };
    Ok(Outcome {
        status,
        iterations,
        residual: true_residual,
        relative_residual: ratio(true_residual, b_norm),
    })
}

/// Iterations between two computations of the true residual.
struct Stretch<'a> {
    a: &'a dyn LinearOperator,
    preconditioner: &'a dyn LinearOperator,
    x: &'a mut [f64],
    r: &'a mut [f64],
    z: &'a mut [f64],
    p: &'a mut [f64],
    q: &'a mut [f64],
    b_norm: f64,
    target: f64,
}

impl Stretch<'_> {
    /// Iterates until the recurrence's residual meets the target (None) or something else ends the method.
    fn run(
        &mut self,
        max_iterations: usize,
        iterations: &mut usize,
        observer: &mut Option<&mut Observer>,
    ) -> Option<Status> {
        self.preconditioner.apply(self.r, self.z);
        self.p.copy_from_slice(self.z);
        let mut rz = dot(self.r, self.z);
        // the Lanczos matrix in terms of CG's coefficients: t_kk = 1/alpha_k + beta_{k-1}/alpha_{k-1}, t_{k+1,k} = sqrt(beta_k)/alpha_k
        let mut carried = 0.0;
        loop {
            if *iterations >= max_iterations {
                return Some(Status::IterationLimit);
            }
            if rz == 0.0 {
                // underflow, or a preconditioner that is singular: the true residual tells
                return None;
            }
            if rz.is_nan() || rz < 0.0 {
                return Some(if rz.is_finite() { Status::Indefinite } else { Status::NotFinite });
            }
            self.a.apply(self.p, self.q);
            let curvature = dot(self.p, self.q);
            if !curvature.is_finite() {
                return Some(Status::NotFinite);
            }
            if curvature <= 0.0 {
                return Some(Status::Indefinite);
            }
            let alpha = rz / curvature;
            axpy(alpha, self.p, self.x);
            axpy(-alpha, self.q, self.r);
            *iterations += 1;
            self.preconditioner.apply(self.r, self.z);
            let next = dot(self.r, self.z);
            let beta = next / rz;
            let r_norm = norm(self.r);
            let lanczos = (1.0 / alpha + carried, beta.max(0.0).sqrt() / alpha);
            let progress = Progress {
                iteration: *iterations,
                relative_residual: ratio(r_norm, self.b_norm),
                lanczos: Some(lanczos),
            };
            if observe(observer, &progress) {
                return Some(Status::Stopped);
            }
            if r_norm <= self.target {
                return None;
            }
            self.p.iter_mut().zip(&*self.z).for_each(|(p, z)| *p = z + beta * *p);
            carried = beta / alpha;
            rz = next;
        }
    }
}
