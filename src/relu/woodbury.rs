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
