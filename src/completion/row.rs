//! One row of a half-step: a small least-squares problem, solved exactly or by preconditioned conjugate gradients.
//!
//! With A the rows of the fixed factor that the row's entries pick, b its values, W its weights, the problem is
//!
//! min over x of |W^(1/2) (A x - b)|^2 / 2 + x'(C + diag(ridge)) x / 2,
//!
//! C a matrix common to all rows (zero but for implicit feedback). The rows of A are gathered once, scaled by the
//! roots of their weights, with b as one more column; products with x extended by -1 there are the residuals.

// several vectors are walked by one index
#![allow(clippy::needless_range_loop)]

use rand_chacha::ChaCha8Rng;

use super::row_problem::{Entries, Inner, Objective, Preconditioner, Report};
use crate::linalg::factor::DenseCholesky;
use crate::linalg::sketch::count_sketch_rows;
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

    /// The normal matrix (column-major, lower triangle and upper) and right-hand side from the Gram matrix.
    fn complete(&mut self, objective: &Objective) {
        let (d, width) = (self.unknowns, self.width);
        for i in 0..d {
            for j in i..d {
                let mut value = self.gram[i * width + j];
                value += objective.common.map_or(0.0, |common| common.row(i)[j]);
                value += if i == j { self.ridge[i] } else { 0.0 };
                self.matrix[i * d + j] = value;
                self.matrix[j * d + i] = value;
            }
            self.sum[i] = self.gram[i * width + d];
        }
    }

    /// M x - h, and its squared norm.
    fn residual_of_normal_equations(&mut self, x: &[f64]) -> f64 {
        let d = self.unknowns;
        let mut squares = 0.0;
        for i in 0..d {
            let row = &self.matrix[i * d..(i + 1) * d];
            let value = row.iter().zip(x).map(|(m, x)| m * x).sum::<f64>() - self.sum[i];
            self.gradient[i] = value;
            squares += value * value;
        }
        squares
    }

    fn factor<T: Element>(&mut self, entries: &Entries<T>, x: &mut [f64], report: &mut Report) {
        self.clear_gram();
        self.add_gram(entries, entries.side.entries(entries.row));
        self.solve_gram(&entries.objective, x, report);
    }

    /// Solves the row whose Gram matrix is complete.
    pub fn solve_gram(&mut self, objective: &Objective, x: &mut [f64], report: &mut Report) {
        self.complete(objective);
        self.solve_assembled(x, report);
    }

    /// Solves the row whose Gram matrix is complete with x >= 0.
    pub fn project_gram<T: Element>(&mut self, entries: &Entries<T>, x: &mut [f64], report: &mut Report) {
        self.complete(&entries.objective);
        let free = entries.fixed.offsets.map(|_| self.unknowns - 1);
        report.gradient = self.project(free, x);
        report.factored = 1;
    }

    fn solve_assembled(&mut self, x: &mut [f64], report: &mut Report) {
        let d = self.unknowns;
        report.gradient = self.residual_of_normal_equations(x);
        report.factored = 1;
        if self.cholesky.factor_shifted(d, &mut self.matrix).is_err() {
            // no direction is determined: the last x is as good as any
            return;
        }
        // as a correction of the last x, which stands where a shift was needed
        self.scaled[..d].copy_from_slice(&self.gradient[..d]);
        if self.cholesky.solve_in_place(&mut self.scaled[..d]).is_ok() {
            x.iter_mut().zip(&self.scaled).for_each(|(x, step)| *x -= step);
        }
    }

    /// Cyclic coordinate descent on the normal equations with all but the bias, `free`, at or above zero. Returns the
    /// squared norm of the projected gradient at the start.
    fn project(&mut self, free: Option<usize>, x: &mut [f64]) -> f64 {
        let d = self.unknowns;
        let mut squares = 0.0;
        self.residual_of_normal_equations(x);
        for a in 0..d {
            // at the bound only a negative gradient counts
            let g = self.gradient[a];
            let counted = if x[a] > 0.0 || free == Some(a) { g } else { g.min(0.0) };
            squares += counted * counted;
        }
        for _ in 0..20 {
            let mut largest = 0.0f64;
            for a in 0..d {
                let curvature = self.matrix[a * d + a];
                if !(curvature > 0.0) {
                    continue;
                }
                let wanted = x[a] - self.gradient[a] / curvature;
                let wanted = if free == Some(a) { wanted } else { wanted.max(0.0) };
                let step = wanted - x[a];
                if step != 0.0 {
                    x[a] = wanted;
                    let column = &self.matrix[a * d..(a + 1) * d];
                    self.gradient.iter_mut().zip(column).for_each(|(g, m)| *g += step * m);
                    largest = largest.max(curvature * step * step);
                }
            }
            if largest <= 1e-20 * squares {
                break;
            }
        }
        squares
    }

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
    fn negative_gradient<T: Element>(&mut self, entries: &Entries<T>, x: &[f64]) {
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
    fn descend<T: Element>(
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
        let mut rng = <ChaCha8Rng as rand::SeedableRng>::seed_from_u64(super::observations::hash(
            seed,
            entries.row as u64,
        ));
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

fn inner(x: &[f64], y: &[f64], d: usize) -> f64 {
    x[..d].iter().zip(&y[..d]).map(|(x, y)| x * y).sum()
}
