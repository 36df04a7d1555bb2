//! One row of a half-step: a small least-squares problem, solved exactly or by preconditioned conjugate gradients.
//!
//! With A the rows of the fixed factor that the row's entries pick, b its values, W its weights, the problem is
//!
//! min over x of |W^(1/2) (A x - b)|^2 / 2 + x'(C + diag(ridge)) x / 2,
//!
//! C a matrix common to all rows (zero but for implicit feedback). The rows of A are gathered once, scaled by the
//! roots of their weights, with b as one more column; products with x extended by -1 there are the residuals.
//!
//! Here rows are gathered and judged; `normal` solves their normal equations, `conjugate` iterates on them.

// several vectors are walked by one index
#![allow(clippy::needless_range_loop)]

mod conjugate;
mod normal;

use super::row_problem::{Entries, Inner, Objective, Preconditioner, Report};
use crate::linalg::factor::DenseCholesky;
use crate::linalg::tall::{Element, LANES, RowKernels};

/// Entries of a gathered tile at most: 512 kB stay in the second-level cache.
const TILE_ENTRIES: usize = 1 << 16;

/// Memory for the solution of rows, one after the other.
pub(super) struct RowSolver {
    kernels: RowKernels,
    unknowns: usize,
    /// Width of gathered rows: unknowns and right-hand side, padded.
    width: usize,
    tile_rows: usize,
    /// Gathered rows of the tile that starts at this entry.
    tile: Vec<f64>,
    loaded: usize,
    /// Sum of the squares of the right-hand side.
    target_squares: f64,
    products: Vec<f64>,
    gram: Vec<f64>,
    matrix: Vec<f64>,
    cholesky: DenseCholesky,
    ridge: Vec<f64>,
    start: Vec<f64>,
    extended: Vec<f64>,
    sum: Vec<f64>,
    gradient: Vec<f64>,
    direction: Vec<f64>,
    scaled: Vec<f64>,
}

const NOTHING: usize = usize::MAX;

impl RowSolver {
    pub fn new(unknowns: usize) -> Self {
        let width = (unknowns + 1).next_multiple_of(LANES);
        let tile_rows = (TILE_ENTRIES / width).max(64);
        let zeros = || vec![0.0; width];
        Self {
            kernels: RowKernels::new(),
            unknowns,
            width,
            tile_rows,
            tile: Vec::new(),
            loaded: NOTHING,
            target_squares: 0.0,
            products: Vec::new(),
            gram: vec![0.0; width * width],
            matrix: vec![0.0; unknowns * unknowns],
            cholesky: DenseCholesky::new(),
            ridge: vec![0.0; unknowns],
            start: zeros(),
            extended: zeros(),
            sum: zeros(),
            gradient: zeros(),
            direction: zeros(),
            scaled: zeros(),
        }
    }

    /// Solves one row: x holds the last solution and becomes the new one. With `evaluate` the loss is reported.
    pub fn solve<T: Element>(
        &mut self,
        entries: &Entries<T>,
        inner: &Inner,
        evaluate: bool,
        x: &mut [f64],
    ) -> Report {
        self.begin(entries, x);
        let count = entries.count();
        let mut report = Report { rows: 1, ..Report::default() };
        let deficient =
            count < self.unknowns && entries.objective.common.is_none() && self.ridge.contains(&0.0);
        report.deficient = u64::from(deficient);
        match inner {
            Inner::Measure => {
                self.negative_gradient(entries, x);
                report.gradient = self.gradient[..self.unknowns].iter().map(|g| g * g).sum();
            }
            Inner::Nonnegative => {
                self.clear_gram();
                self.add_gram(entries, entries.side.entries(entries.row));
                self.project_gram(entries, x, &mut report);
            }
            Inner::Conjugate { tolerance, steps, preconditioner }
                if !self.small(count, inner) || deficient =>
            {
                self.descend(entries, *preconditioner, *tolerance, *steps, x, &mut report);
            }
            _ if deficient => {
                // the step of least norm from the last x
                let flat = vec![0.0; self.unknowns];
                let shared = Preconditioner::Shared { diagonal: &flat, by_count: true };
                self.descend(entries, shared, 1e-13, 2 * self.unknowns, x, &mut report);
            }
            _ => self.factor(entries, x, &mut report),
        }
        if evaluate {
            report.loss = self.loss(entries, entries.side.entries(entries.row), x);
        }
        report
    }

    /// A row whose factorisation costs no more than its iteration.
    fn small(&self, count: usize, inner: &Inner) -> bool {
        match inner {
            Inner::Conjugate { preconditioner: Preconditioner::Shared { .. }, .. } => {
                count <= 2 * self.unknowns
            }
            Inner::Conjugate { preconditioner: Preconditioner::Sketch { rows, .. }, .. } => count <= *rows,
            _ => true,
        }
    }

    /// Forgets the last row.
    pub fn begin<T: Element>(&mut self, entries: &Entries<T>, x: &[f64]) {
        self.loaded = NOTHING;
        self.target_squares = 0.0;
        self.start[..self.unknowns].copy_from_slice(x);
        let factor = if entries.objective.by_count { entries.count() as f64 } else { 1.0 };
        self.ridge.iter_mut().zip(entries.objective.ridge).for_each(|(to, &ridge)| *to = factor * ridge);
    }

    /// Gathers the tile that starts at the given entry, unless it is there; returns its number of rows.
    fn load<T: Element>(&mut self, entries: &Entries<T>, start: usize, end: usize) -> usize {
        let rows = (end - start).min(self.tile_rows);
        if self.loaded == start {
            return rows;
        }
        self.loaded = start;
        let (width, d) = (self.width, self.unknowns);
        if self.tile.len() < rows * width {
            self.tile.resize(rows.next_power_of_two().min(self.tile_rows) * width, 0.0);
        }
        let Entries { side, fixed, objective, .. } = entries;
        let tile = &mut self.tile[..rows * width];
        let (all, stride) = (fixed.rows.as_slice(), fixed.rows.stride());
        self.kernels.gather(all, stride, &side.indices[start..start + rows], width, tile);
        for (row, t) in tile.chunks_exact_mut(width).zip(start..) {
            let value = (side.values[t] - objective.mean) * objective.inverse_scale;
            row[d] = value - fixed.offsets.map_or(0.0, |offsets| offsets[side.indices[t] as usize]);
        }
        if side.weights.is_some() || objective.alpha.is_some() || objective.robust.is_some() {
            self.weigh(entries, start, rows);
        }
        let tile = &self.tile[..rows * width];
        if start == entries.side.offsets[entries.row] as usize {
            self.target_squares = tile.chunks_exact(width).map(|row| row[d] * row[d]).sum();
        }
        rows
    }

    /// Scales gathered rows by the roots of their weights.
    fn weigh<T: Element>(&mut self, entries: &Entries<T>, start: usize, rows: usize) {
        let (width, d) = (self.width, self.unknowns);
        let Entries { side, objective, .. } = entries;
        if objective.robust.is_some() {
            // residuals at the last x decide the weights
            self.start[d] = -1.0;
            self.products.resize(self.products.len().max(rows), 0.0);
            let tile = &self.tile[..rows * width];
            self.kernels.product(tile, width, &self.start, &mut self.products[..rows]);
        }
        for (r, row) in self.tile[..rows * width].chunks_exact_mut(width).enumerate() {
            let mut weight = side.weights.map_or(1.0, |weights| weights[start + r]);
            if let Some(delta) = objective.robust {
                weight *= (delta / self.products[r].abs()).min(1.0);
            }
            if let Some(alpha) = objective.alpha {
                let surplus = alpha * side.values[start + r];
                weight *= surplus;
                row[d] = (1.0 + surplus) / surplus;
            }
            let root = weight.sqrt();
            row.iter_mut().for_each(|value| *value *= root);
        }
    }

    /// Adds the weighted [A b]'[A b] of the given entries to the Gram matrix.
    pub fn add_gram<T: Element>(&mut self, entries: &Entries<T>, range: std::ops::Range<usize>) {
        for start in range.clone().step_by(self.tile_rows) {
            let rows = self.load(entries, start, range.end);
            let tile = &self.tile[..rows * self.width];
            self.kernels.add_gram(tile, self.width, self.unknowns, &mut self.gram);
        }
    }

    /// Clears the Gram matrix.
    pub fn clear_gram(&mut self) {
        self.gram.fill(0.0);
    }

    /// The Gram matrix, on and above the diagonal.
    pub fn gram_mut(&mut self) -> &mut [f64] {
        &mut self.gram
    }

    /// Half the sum of the weighted squares of the residuals of the given entries at x.
    pub fn loss<T: Element>(
        &mut self,
        entries: &Entries<T>,
        range: std::ops::Range<usize>,
        x: &[f64],
    ) -> f64 {
        let d = self.unknowns;
        let mut loss = 0.0;
        for start in range.clone().step_by(self.tile_rows) {
            let rows = self.load(entries, start, range.end);
            self.products.resize(self.products.len().max(rows), 0.0);
            self.extended.fill(0.0);
            self.extended[..d].copy_from_slice(x);
            self.extended[d] = -1.0;
            let tile = &self.tile[..rows * self.width];
            let products = &mut self.products[..rows];
            self.kernels.product(tile, self.width, &self.extended, products);
            loss += loss_of(entries, start, &self.products[..rows]);
        }
        // the part of implicit feedback that all cells share
        let range_is_row = range == entries.side.entries(entries.row);
        if range_is_row && entries.objective.common.is_some() {
            let quadratic: f64 = (0..d).map(|i| x[i] * common_product(&entries.objective, i, x)).sum();
            loss += 0.5 * quadratic;
        }
        loss
    }
}

/// The loss of entries from `start` on, given their residuals times the roots of their weights.
fn loss_of<T: Element>(entries: &Entries<T>, start: usize, products: &[f64]) -> f64 {
    let Entries { side, objective, .. } = entries;
    let squares = || products.iter().map(|e| e * e);
    if let Some(delta) = objective.robust {
        // where the loss is linear, w e^2 = delta |e|
        let weight = |t: usize| side.weights.map_or(1.0, |weights| weights[t]);
        let one = |(square, t): (f64, usize)| {
            let reduced = square / weight(t);
            let half = delta * delta / 2.0;
            weight(t) * if reduced <= 2.0 * half { reduced / 2.0 } else { reduced - half }
        };
        return squares().zip(start..).map(one).sum();
    }
    if let Some(alpha) = objective.alpha {
        // c (1 - s)^2 - s^2 = (c - 1) (s - c / (c - 1))^2 - c / (c - 1)
        let constant = |t: usize| (1.0 + alpha * side.values[t]) / (alpha * side.values[t]);
        return squares().zip(start..).map(|(square, t)| 0.5 * (square - constant(t))).sum();
    }
    0.5 * squares().sum::<f64>()
}

/// (C x)_i.
fn common_product(objective: &Objective, i: usize, x: &[f64]) -> f64 {
    objective.common.map_or(0.0, |common| common.row(i).iter().zip(x).map(|(c, x)| c * x).sum())
}
