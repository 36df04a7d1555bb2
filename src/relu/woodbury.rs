//! The linear solve of the splitting method: A = I + G'G + F'F / kappa, never formed.
//!
//! F = \[D_1 X .. D_P X, -D_1 X .. -D_P X\] (n x 2 d P), G = blockdiag(E_i X), E_i = 2 D_i - I. Since E_i^2 = I, every block of
//! I + G'G is B = I + X'X: one d x d factor. F has n rows, so with H = X B^{-1} X' and N_kl the number of patterns active on
//! both rows k and l, F B^{-1} F' = 2 H o N (entry by entry), and one n x n factor of K = kappa I + 2 H o N does the rest:
//!
//! argmin over u of |u - r|^2 + |G u - s|^2 + |F u - y|^2 / kappa is a + B^{-1} F'e with a = B^{-1} (r + G's), K e = y - F a.
//!
//! Set up: n d^2 + n^2 (d + P / 64) + n^3 / 3; a solve: n d P + n^2. Above [`DENSE_ROWS`] rows K is not formed but
//! applied, and the system solved by conjugate gradients.

use std::cell::RefCell;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::training::Program;
use crate::linalg::factor::{DenseCholesky, FactorError};
use crate::linalg::krylov::{FromFn, Jacobi, Stopping, Workspace, conjugate_gradient};
use crate::linalg::panel;

/// Up to so many rows K is formed and factored.
pub(super) const DENSE_ROWS: usize = 6000;

/// B, K and what is needed to apply their inverses.
pub(super) struct Woodbury {
    /// B^{-1}, d x d.
    pub inverse: Mat<f64>,
    /// X B^{-1}, n x d: its transpose times rows gives B^{-1} X' rows.
    pub hat: Mat<f64>,
    /// 2 H o N, lower triangle, where K is formed.
    coupling: Vec<f64>,
    /// Diagonal of 2 H o N.
    diagonal: Vec<f64>,
    factor: DenseCholesky,
    kappa: f64,
    workspace: RefCell<Workspace>,
}

impl Woodbury {
    /// Sets up for `counts` = N (lower triangle; its diagonal alone above [`DENSE_ROWS`] rows).
    pub fn new(program: &Program, counts: &[f64], kappa: f64) -> Result<Self, FactorError> {
        let Program { n, d, .. } = *program;
        let x = program.x();
        let mut b = vec![0.0; d * d];
        panel::weighted_gram(x, &vec![1.0; n], &mut Vec::new(), &mut b);
        (0..d).for_each(|j| b[j * d + j] += 1.0);
        let mut cholesky = DenseCholesky::new();
        cholesky.factor(d, &b)?;
        let mut inverse = Mat::<f64>::identity(d, d);
        for j in 0..d {
            let mut column: Vec<f64> = inverse.col(j).iter().copied().collect();
            cholesky.solve_in_place(&mut column)?;
            (0..d).for_each(|i| inverse[(i, j)] = column[i]);
        }
        let mut hat = Mat::zeros(n, d);
        matmul(hat.as_mut(), Accum::Replace, x, inverse.as_ref(), 1.0, Par::Seq);
        let row_product = |k: usize| (0..d).map(|j| hat[(k, j)] * x[(k, j)]).sum::<f64>();
        let dense = counts.len() == n * n;
        let diagonal =
            (0..n).map(|k| 2.0 * row_product(k) * counts[if dense { k * n + k } else { k }]).collect();
        let mut coupling = Vec::new();
        if dense {
            let xt: Vec<f64> = program.rows.clone();
            coupling = vec![0.0; n * n];
            panel::multiply(hat.as_ref(), &xt, &mut coupling);
            coupling.iter_mut().zip(counts).for_each(|(h, count)| *h *= 2.0 * count);
        }
        let factor = DenseCholesky::new();
        let workspace = RefCell::new(Workspace::new());
        let mut own = Self { inverse, hat, coupling, diagonal, factor, kappa, workspace };
        own.set_kappa(kappa)?;
        Ok(own)
    }

    /// Factors K for another kappa; kept at or above 1e-10 of the largest entry of 2 H o N, below which K loses
    /// definiteness to rounding.
    pub fn set_kappa(&mut self, kappa: f64) -> Result<(), FactorError> {
        let largest = self.diagonal.iter().fold(0.0f64, |m, v| m.max(*v));
        self.kappa = kappa.max(1e-10 * largest);
        if self.coupling.is_empty() {
            return Ok(());
        }
        let n = self.diagonal.len();
        (0..n).for_each(|k| self.coupling[k * n + k] = self.diagonal[k] + self.kappa);
        self.factor.factor(n, &self.coupling)
    }

    /// kappa as it is used.
    pub fn kappa(&self) -> f64 {
        self.kappa
    }

    /// e <- K^{-1} e. `signs` are those of the patterns, for the product with K where it is not formed.
    pub fn solve(&self, program: &Program, signs: &[Vec<f64>], e: &mut Vec<f64>) -> Result<(), FactorError> {
        if !self.coupling.is_empty() {
            return self.factor.solve_in_place(e);
        }
        let apply = |q: &[f64], out: &mut [f64]| self.apply(program, signs, q, out);
        let operator = FromFn::new(program.n, apply);
        let diagonal: Vec<f64> = self.diagonal.iter().map(|v| v + self.kappa).collect();
        let failed = |error: crate::linalg::krylov::KrylovError| FactorError::Backend(error.to_string());
        let jacobi = Jacobi::new(&diagonal).map_err(failed)?;
        let rhs = std::mem::replace(e, vec![0.0; program.n]);
        let stopping = Stopping { tolerance: 1e-10, max_iterations: 200, ..Stopping::default() };
        let mut workspace = self.workspace.borrow_mut();
        conjugate_gradient(&operator, &jacobi, &rhs, e, &stopping, &mut workspace, None).map_err(failed)?;
        Ok(())
    }

    /// out <- K q = kappa q + 2 sum_i D_i X B^{-1} X' D_i q.
    fn apply(&self, program: &Program, signs: &[Vec<f64>], q: &[f64], out: &mut [f64]) {
        let Program { n, d, .. } = *program;
        out.iter_mut().zip(q).for_each(|(out, q)| *out = self.kappa * q);
        // patterns in turns, so that memory stays at n numbers for each of a few
        for signs in signs.chunks(64) {
            let masked: Vec<f64> = signs
                .iter()
                .flat_map(|signs| signs.iter().zip(q).map(|(&e, &q)| if e > 0.0 { q } else { 0.0 }))
                .collect();
            let mut small = vec![0.0; d * signs.len()];
            panel::multiply(self.hat.transpose(), &masked, &mut small);
            let mut rows = vec![0.0; n * signs.len()];
            panel::multiply(program.x(), &small, &mut rows);
            for (rows, signs) in rows.chunks_exact(n).zip(signs) {
                for ((out, &row), &e) in out.iter_mut().zip(rows).zip(signs) {
                    *out += if e > 0.0 { 2.0 * row } else { 0.0 };
                }
            }
        }
    }

    /// X B^{-1} as a view.
    pub fn hat(&self) -> MatRef<'_, f64> {
        self.hat.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::DesignMatrix;
    use crate::relu::{Loss, Patterns, Training};
    use sprs::TriMatI;

    /// |A u - (r + G's + F'y / kappa)| with A formed entry by entry, relative to the right-hand side.
    fn residual(n: usize, d: usize, count: usize, sparse: bool, applied: bool) -> f64 {
        let number = |k: usize| ((k * 7919 + 13) as f64 * 0.618).sin();
        let mut triplets = TriMatI::<f64, u32>::new((n, d));
        for k in 0..n {
            for j in 0..d {
                if !sparse || (k + 2 * j).is_multiple_of(3) {
                    triplets.add_triplet(k, j, number(k * d + j));
                }
            }
        }
        let design = DesignMatrix::from_sparse(triplets.to_csr()).unwrap();
        let training = Training::new(&design, vec![1.0; n], Loss::Squared, 1.0).unwrap();
        let program = Program::new(&training).unwrap();
        let (n, d) = (program.n, program.d);
        let patterns = Patterns::sample(&training, count, 3).unwrap();
        assert!(!patterns.is_empty());
        let sign = |i: usize, k: usize| if patterns.is_active(i, program.kept[k]) { 1.0 } else { -1.0 };
        let signs: Vec<Vec<f64>> =
            (0..patterns.len()).map(|i| (0..n).map(|k| sign(i, k)).collect()).collect();
        let mut counts = patterns.coactivation(&program.kept);
        if applied {
            counts = (0..n).map(|k| counts[k * n + k]).collect();
        }
        let kappa = 0.1;
        let woodbury = Woodbury::new(&program, &counts, kappa).unwrap();
        let columns = 2 * signs.len();
        let x = |k: usize, j: usize| program.x[(k, j)];
        let r: Vec<f64> = (0..d * columns).map(|i| number(i + 5)).collect();
        let s: Vec<f64> = (0..n * columns).map(|i| number(i + 77)).collect();
        let y: Vec<f64> = (0..n).map(|i| number(i + 999)).collect();
        let side = |c: usize| if c < signs.len() { 1.0 } else { -1.0 };
        let own = |c: usize| &signs[c % signs.len()];
        let mask = |c: usize, k: usize| if own(c)[k] > 0.0 { side(c) } else { 0.0 };
        // b = r + G's, a = B^{-1} b, K e = y - F a, u = a + B^{-1} F'e
        let gs = |c: usize, j: usize| (0..n).map(|k| own(c)[k] * x(k, j) * s[c * n + k]).sum::<f64>();
        let b: Vec<f64> = (0..columns * d).map(|i| r[i] + gs(i / d, i % d)).collect();
        let inverse = |v: &[f64]| -> Vec<f64> {
            (0..d).map(|i| (0..d).map(|j| woodbury.inverse[(i, j)] * v[j]).sum()).collect()
        };
        let a: Vec<f64> = b.chunks(d).flat_map(inverse).collect();
        let forward = |u: &[f64], k: usize| -> f64 {
            (0..columns).map(|c| mask(c, k) * (0..d).map(|j| x(k, j) * u[c * d + j]).sum::<f64>()).sum()
        };
        let mut e: Vec<f64> = (0..n).map(|k| y[k] - forward(&a, k)).collect();
        woodbury.solve(&program, &signs, &mut e).unwrap();
        let back = |c: usize| -> Vec<f64> {
            inverse(&(0..d).map(|j| (0..n).map(|k| mask(c, k) * x(k, j) * e[k]).sum()).collect::<Vec<f64>>())
        };
        let u: Vec<f64> = (0..columns)
            .flat_map(|c| {
                let t = back(c);
                (0..d).map(|j| a[c * d + j] + t[j]).collect::<Vec<f64>>()
            })
            .collect();
        // A u = u + G'G u + F'F u / kappa
        let missing: Vec<f64> = (0..n).map(|k| y[k] - forward(&u, k)).collect();
        let (mut error, mut size) = (0.0f64, 0.0f64);
        for c in 0..columns {
            let xu: Vec<f64> = (0..n).map(|k| (0..d).map(|j| x(k, j) * u[c * d + j]).sum()).collect();
            for j in 0..d {
                let normal: f64 = (0..n).map(|k| x(k, j) * xu[k]).sum();
                let loss: f64 = (0..n).map(|k| mask(c, k) * x(k, j) * missing[k]).sum::<f64>() / kappa;
                error = error.max((u[c * d + j] + normal - b[c * d + j] - loss).abs());
                size = size.max(b[c * d + j].abs());
            }
        }
        error / size
    }

    #[test]
    fn the_structured_solve_is_the_dense_one() {
        for (n, d, count) in [(20, 4, 5), (5, 9, 12), (60, 2, 3), (12, 12, 20), (1, 1, 6)] {
            for sparse in [false, true] {
                for applied in [false, true] {
                    let error = residual(n, d, count, sparse, applied);
                    let allowed = if applied { 1e-8 } else { 1e-10 };
                    assert!(error <= allowed, "{n} {d} {count} {sparse} {applied}: {error:e}");
                }
            }
        }
    }
}
