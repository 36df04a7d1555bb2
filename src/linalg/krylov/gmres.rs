//! Restarted GMRES, preconditioned from the right.

use super::{KrylovError, LinearOperator, Observer, Outcome, Progress, Status, Stopping, Workspace};
use super::{check, observe, ratio, residual};
use crate::linalg::product::{axpy, dot, norm};

/// Solves A x = b by GMRES(restart) (Saad and Schultz 1986), starting from x: A M^{-1} u = b, x = M^{-1} u, so that the residual
/// it minimises is that of the system itself.
///
/// Per iteration one product with A and one with M^{-1}, and 4 k n flops at the k-th since the last restart (modified
/// Gram-Schmidt). `restart` + 4 vectors of memory. Stagnated once a whole cycle doesn't reduce the residual by a thousandth.
///
/// # Errors
/// Sizes that don't match, entries of b or x that aren't finite, a tolerance that is negative, `restart` = 0.
#[allow(clippy::too_many_arguments)]
pub fn gmres(
    a: &dyn LinearOperator,
    preconditioner: &dyn LinearOperator,
    b: &[f64],
    x: &mut [f64],
    restart: usize,
    stopping: &Stopping,
    workspace: &mut Workspace,
    mut observer: Option<&mut Observer>,
) -> Result<Outcome, KrylovError> {
    let b_norm = check(a, preconditioner, b, x, stopping)?;
    if restart == 0 {
        return Err(KrylovError::Option { name: "restart", value: 0.0, expected: "at least 1" });
    }
    let n = b.len();
    let width = restart.min(n.max(1)).min(stopping.max_iterations.max(1));
    let target = stopping.target(b_norm);
    let need = (width + 3) * n + (width + 1) * (width + 3);
    if workspace.memory.len() < need {
        workspace.memory.resize(need, 0.0);
    }
    let (basis, rest) = workspace.memory.split_at_mut((width + 1) * n);
    let (z, rest) = rest.split_at_mut(n);
    let (u, rest) = rest.split_at_mut(n);
    let (h, rest) = rest.split_at_mut((width + 1) * width);
    let (g, rotations) = rest.split_at_mut(width + 1);
    let mut cycle = Cycle { a, preconditioner, basis, z, u, h, g, rotations, n, width, b_norm, target };
    let mut iterations = 0;
    let mut previous = f64::INFINITY;
    let status = loop {
        let r_norm = residual(a, b, x, &mut cycle.basis[..n]);
        if r_norm <= target {
            break Status::Converged;
        }
        if !r_norm.is_finite() {
            break Status::NotFinite;
        }
        if iterations >= stopping.max_iterations {
            break Status::IterationLimit;
        }
        if r_norm > 0.999 * previous {
            break Status::Stagnated;
        }
        previous = r_norm;
        if let Some(status) = cycle.run(r_norm, x, stopping.max_iterations, &mut iterations, &mut observer) {
            break status;
        }
    };
    let true_residual = residual(a, b, x, &mut cycle.basis[..n]);
    let status =
        if true_residual <= target && status != Status::Stopped { Status::Converged } else { status };
    Ok(Outcome {
        status,
        iterations,
        residual: true_residual,
        relative_residual: ratio(true_residual, b_norm),
    })
}

/// One cycle between restarts: A M^{-1} V_k = V_{k+1} H_k.
struct Cycle<'a> {
    a: &'a dyn LinearOperator,
    preconditioner: &'a dyn LinearOperator,
    /// V, column after column.
    basis: &'a mut [f64],
    z: &'a mut [f64],
    u: &'a mut [f64],
    /// H by columns of `width` + 1, turned into R by the rotations.
    h: &'a mut [f64],
    /// The rotated right-hand side |r| e_1.
    g: &'a mut [f64],
    /// (c, s) pairs.
    rotations: &'a mut [f64],
    n: usize,
    width: usize,
    b_norm: f64,
    target: f64,
}

impl Cycle<'_> {
    /// Runs from the residual in the first basis vector and updates x. None when the cycle came to its end.
    fn run(
        &mut self,
        r_norm: f64,
        x: &mut [f64],
        max_iterations: usize,
        iterations: &mut usize,
        observer: &mut Option<&mut Observer>,
    ) -> Option<Status> {
        self.g.fill(0.0);
        self.g[0] = r_norm;
        self.basis[..self.n].iter_mut().for_each(|v| *v /= r_norm);
        let mut k = 0;
        let mut verdict = None;
        while k < self.width {
            if *iterations >= max_iterations {
                verdict = Some(Status::IterationLimit);
                break;
            }
            let Some(next) = self.arnoldi(k) else {
                verdict = Some(Status::NotFinite);
                break;
            };
            if self.rotate(k) == 0.0 {
                // A is singular on this Krylov space: the new column adds nothing
                *iterations += 1;
                break;
            }
            k += 1;
            *iterations += 1;
            let estimate = self.g[k].abs();
            let progress = Progress {
                iteration: *iterations,
                relative_residual: ratio(estimate, self.b_norm),
                lanczos: None,
            };
            if observe(observer, &progress) {
                verdict = Some(Status::Stopped);
                break;
            }
            if estimate <= self.target || next == 0.0 {
                break;
            }
        }
        self.update(k, x);
        verdict
    }

    /// Column k of H and basis vector k + 1; returns h_{k+1,k}, 0 where the Krylov space is exhausted, or None for numbers that
    /// aren't finite.
    fn arnoldi(&mut self, k: usize) -> Option<f64> {
        let n = self.n;
        let (old, new) = self.basis.split_at_mut((k + 1) * n);
        let next = &mut new[..n];
        self.preconditioner.apply(&old[k * n..], self.z);
        self.a.apply(self.z, next);
        let column = &mut self.h[k * (self.width + 1)..(k + 1) * (self.width + 1)];
        let before = norm(next);
        for (v, h) in old.chunks_exact(n).zip(column.iter_mut()) {
            *h = dot(v, next);
            axpy(-*h, v, next);
        }
        let mut length = norm(next);
        if !length.is_finite() {
            return None;
        }
        if length <= f64::EPSILON * before {
            length = 0.0;
        } else {
            next.iter_mut().for_each(|v| *v /= length);
        }
        column[k + 1] = length;
        Some(length)
    }

    /// Applies the old rotations to column k of H and a new one that clears h_{k+1,k}; returns r_kk, as 0 where it is so to
    /// working precision.
    fn rotate(&mut self, k: usize) -> f64 {
        let column = &mut self.h[k * (self.width + 1)..(k + 1) * (self.width + 1)];
        let size = norm(&column[..k + 2]);
        for (i, rotation) in self.rotations.chunks_exact(2).take(k).enumerate() {
            let (c, s) = (rotation[0], rotation[1]);
            (column[i], column[i + 1]) =
                (c * column[i] + s * column[i + 1], c * column[i + 1] - s * column[i]);
        }
        let length = column[k].hypot(column[k + 1]);
        if length <= f64::EPSILON * size {
            return 0.0;
        }
        let (c, s) = (column[k] / length, column[k + 1] / length);
        self.rotations[2 * k] = c;
        self.rotations[2 * k + 1] = s;
        column[k] = length;
        column[k + 1] = 0.0;
        (self.g[k], self.g[k + 1]) = (c * self.g[k], -s * self.g[k]);
        length
    }

    /// x <- x + M^{-1} V_k y with R y = g.
    fn update(&mut self, k: usize, x: &mut [f64]) {
        let height = self.width + 1;
        for i in (0..k).rev() {
            let tail: f64 = (i + 1..k).map(|j| self.h[j * height + i] * self.g[j]).sum();
            self.g[i] = (self.g[i] - tail) / self.h[i * height + i];
        }
        self.u.fill(0.0);
        for (v, &y) in self.basis.chunks_exact(self.n.max(1)).zip(&self.g[..k]) {
            axpy(y, v, self.u);
        }
        self.preconditioner.apply(self.u, self.z);
        axpy(1.0, self.z, x);
    }
}
