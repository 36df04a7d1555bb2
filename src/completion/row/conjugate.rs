//! Preconditioned conjugate gradients on a row's normal equations, which are not formed.

use rand_chacha::ChaCha8Rng;

use super::{RowSolver, common_product};
use crate::completion::observations;
use crate::completion::row_problem::{Entries, Preconditioner, Report};
use crate::linalg::sketch::count_sketch_rows;
use crate::linalg::tall::Element;

impl RowSolver {
    /// q <- A'(A p) over all tiles, and the squared norm of A p.
    fn normal<T: Element>(&mut self, entries: &Entries<T>) -> f64 {
        self.sum.fill(0.0);
        let range = entries.side.entries(entries.row);
        let mut squares = 0.0;
        for start in range.clone().step_by(self.tile_rows) {
            let rows = self.load(entries, start, range.end);
            self.products.resize(self.products.len().max(rows), 0.0);
            let tile = &self.tile[..rows * self.width];
            squares += self.kernels.normal_product(
                tile,
                self.width,
                &self.extended,
                &mut self.products[..rows],
                &mut self.sum,
            );
        }
        squares
    }

    /// g <- A'(b - A x) - (C + ridge) x.
    pub(super) fn negative_gradient<T: Element>(&mut self, entries: &Entries<T>, x: &[f64]) {
        let d = self.unknowns;
        self.extended.fill(0.0);
        self.extended[..d].copy_from_slice(x);
        self.extended[d] = -1.0;
        self.normal(entries);
        for i in 0..d {
            self.gradient[i] = -self.sum[i] - self.ridge[i] * x[i] - common_product(&entries.objective, i, x);
        }
    }

    /// Preconditioned conjugate gradients on the normal equations.
    pub(super) fn descend<T: Element>(
        &mut self,
        entries: &Entries<T>,
        preconditioner: Preconditioner,
        tolerance: f64,
        steps: usize,
        x: &mut [f64],
        report: &mut Report,
    ) {
        let d = self.unknowns;
        self.negative_gradient(entries, x);
        report.gradient = self.gradient[..d].iter().map(|g| g * g).sum();
        if !self.prepare(entries, preconditioner) {
            return self.factor(entries, x, report);
        }
        self.precondition(preconditioner, entries.count());
        let mut squares = inner(&self.gradient, &self.scaled, d);
        let first = squares;
        // |A'b| in the preconditioned norm is at most about |b|
        let stop = (tolerance * tolerance * squares).max(1e-32 * self.target_squares);
        self.direction[..d].copy_from_slice(&self.scaled[..d]);
        let mut taken = 0;
        while taken < steps && squares > stop {
            self.extended.fill(0.0);
            self.extended[..d].copy_from_slice(&self.direction[..d]);
            self.normal(entries);
            let mut curvature = 0.0;
            for i in 0..d {
                let p = self.direction[i];
                self.sum[i] +=
                    self.ridge[i] * p + common_product(&entries.objective, i, &self.direction[..d]);
                curvature += p * self.sum[i];
            }
            if !(curvature > 0.0) {
                break;
            }
            let step = squares / curvature;
            for i in 0..d {
                x[i] += step * self.direction[i];
                self.gradient[i] -= step * self.sum[i];
            }
            taken += 1;
            self.precondition(preconditioner, entries.count());
            let next = inner(&self.gradient, &self.scaled, d);
            let ratio = next / squares;
            squares = next;
            for i in 0..d {
                self.direction[i] = self.scaled[i] + ratio * self.direction[i];
            }
        }
        report.steps += taken as u64;
        // an iteration that hardly moved the gradient gives way to a factorisation
        if squares > stop.max(0.01 * first) && report.deficient == 0 && tolerance < 1.0 {
            let gradient = report.gradient;
            self.factor(entries, x, report);
            report.gradient = gradient;
        }
    }

    /// Makes a preconditioner of the row's own, where one is asked for; false if that fails.
    fn prepare<T: Element>(&mut self, entries: &Entries<T>, preconditioner: Preconditioner) -> bool {
        let Preconditioner::Sketch { rows: buckets, seed, tries } = preconditioner else { return true };
        let range = entries.side.entries(entries.row);
        let mut rng =
            <ChaCha8Rng as rand::SeedableRng>::seed_from_u64(observations::hash(seed, entries.row as u64));
        let mut sketched = vec![0.0; buckets * self.width];
        for _ in 0..tries {
            sketched.fill(0.0);
            for start in range.clone().step_by(self.tile_rows) {
                let rows = self.load(entries, start, range.end);
                count_sketch_rows(&self.tile[..rows * self.width], self.width, &mut rng, &mut sketched);
            }
            self.clear_gram();
            self.kernels.add_gram(&sketched, self.width, self.unknowns, &mut self.gram);
            let kept = self.sum.clone();
            self.complete(&entries.objective);
            self.sum.copy_from_slice(&kept);
            if self.cholesky.factor(self.unknowns, &self.matrix).is_ok() {
                return true;
            }
        }
        false
    }

    /// scaled <- P^{-1} gradient.
    fn precondition(&mut self, preconditioner: Preconditioner, count: usize) {
        let d = self.unknowns;
        match preconditioner {
            Preconditioner::Shared { diagonal, by_count } => {
                let count = if by_count { count as f64 } else { 1.0 };
                for i in 0..d {
                    let size = count * diagonal[i] + self.ridge[i];
                    self.scaled[i] = self.gradient[i] / if size > 0.0 { size } else { 1.0 };
                }
            }
            Preconditioner::Sketch { .. } => {
                self.scaled[..d].copy_from_slice(&self.gradient[..d]);
                // there is a factorisation, or the row was solved otherwise
                let _ = self.cholesky.solve_in_place(&mut self.scaled[..d]);
            }
        }
    }
}

fn inner(x: &[f64], y: &[f64], d: usize) -> f64 {
    x[..d].iter().zip(&y[..d]).map(|(x, y)| x * y).sum()
}
