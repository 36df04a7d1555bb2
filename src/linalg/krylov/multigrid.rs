//! Algebraic multigrid by smoothed aggregation.

use std::cell::RefCell;

use sprs::{CsMatI, CsMatViewI};

use super::preconditioner::diagonal_of;
use super::{KrylovError, LinearOperator};
use crate::linalg::factor::SparseCholesky;
use crate::linalg::product::norm;
use crate::linalg::splitmix::SplitMix;

/// A level of at most so many rows is factored.
const COARSEST: usize = 400;
/// Levels at most, and the part of its rows to which a level must shrink at least.
const LEVELS: usize = 25;
const SHRINKS: f64 = 0.7;
/// a_ij is strong where its size exceeds this part of sqrt(a_ii a_jj); half of it on each coarser level.
const STRENGTH: f64 = 0.08;
/// Power steps that estimate the largest eigenvalue of D^{-1} A where the row sums don't tell it.
const POWER_STEPS: usize = 8;

/// A cycle of algebraic multigrid by smoothed aggregation (Vanek, Mandel, Brezina 1996) as a preconditioner.
///
/// Rows that are strongly coupled are gathered in aggregates; a coarse unknown stands for one of them. The prolongation is constant on each,
/// then smoothed once by Jacobi: P = (I - 4 / (3 lambda) D^{-1} A) T with lambda the largest eigenvalue of D^{-1} A; the coarse matrix is
/// P'A P. One application is a V-cycle with one forward sweep of Gauss-Seidel before and one backward sweep after the coarse
/// correction: symmetric positive definite if A is. For elliptic problems the iterations of conjugate gradients hardly grow with their
/// size.
///
/// Cost of an application: about three products with A for all levels together. Cost of making one: about twenty. Memory: about
/// three times A. One thread, no random numbers: the same bits every time.
pub struct Multigrid {
    levels: Vec<Level>,
    work: RefCell<Work>,
    flops: f64,
}

/// Everything that a cycle writes.
struct Work {
    /// Right-hand side and solution of each level, the coarsest last.
    vectors: Vec<[Vec<f64>; 2]>,
    /// The coarsest matrix; None where it isn't positive definite or too large, and is smoothed alone.
    coarsest: Option<SparseCholesky>,
}

/// Compressed rows.
#[derive(Default)]
struct Rows {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Rows {
    fn with_capacity(rows: usize, entries: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self { starts, columns: Vec::with_capacity(entries), values: Vec::with_capacity(entries) }
    }

    fn n(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        self.columns[range.clone()].iter().map(|&j| j as usize).zip(self.values[range].iter().copied())
    }

    /// Ends a row whose entries are those of `sums`, cleared after it.
    fn push_row(&mut self, sums: &mut Accumulator) {
        sums.touched.sort_unstable();
        for &j in &sums.touched {
            self.columns.push(j);
            self.values.push(std::mem::take(&mut sums.values[j as usize]));
            sums.present[j as usize] = false;
        }
        sums.touched.clear();
        self.starts.push(self.columns.len());
    }

    fn transposed(&self, columns: usize) -> Self {
        let mut starts = vec![0; columns + 1];
        self.columns.iter().for_each(|&j| starts[j as usize + 1] += 1);
        (0..columns).for_each(|j| starts[j + 1] += starts[j]);
        let mut next = starts.clone();
        let (mut rows, mut values) = (vec![0; self.columns.len()], vec![0.0; self.columns.len()]);
        for i in 0..self.n() {
            for (j, value) in self.row(i) {
                (rows[next[j]], values[next[j]]) = (i as u32, value);
                next[j] += 1;
            }
        }
        Self { starts, columns: rows, values }
    }

    /// The product with B of so many columns.
    fn times(&self, b: &Self, columns: usize) -> Self {
        let mut product = Self::with_capacity(self.n(), 2 * self.columns.len());
        let mut sums = Accumulator::new(columns);
        for i in 0..self.n() {
            for (k, a) in self.row(i) {
                b.row(k).for_each(|(j, value)| sums.add(j, a * value));
            }
            product.push_row(&mut sums);
        }
        product
    }
}

/// One row of a product while it is added up.
struct Accumulator {
    values: Vec<f64>,
    present: Vec<bool>,
    touched: Vec<u32>,
}

impl Accumulator {
    fn new(columns: usize) -> Self {
        Self { values: vec![0.0; columns], present: vec![false; columns], touched: Vec::new() }
    }

    fn add(&mut self, j: usize, value: f64) {
        if !self.present[j] {
            self.present[j] = true;
            self.touched.push(j as u32);
        }
        self.values[j] += value;
    }
}

/// A with what a cycle needs of it.
struct Level {
    a: Rows,
    /// Where each row has its diagonal entry.
    diagonal_at: Vec<usize>,
    inverse: Vec<f64>,
    /// From the next coarser level; empty on the coarsest.
    prolongation: Rows,
}

impl Level {
    /// None if a diagonal entry isn't positive.
    fn new(a: Rows) -> Option<Self> {
        let n = a.n();
        let (mut diagonal_at, mut inverse) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for i in 0..n {
            let range = a.starts[i]..a.starts[i + 1];
            let at = range.start + a.columns[range].binary_search(&(i as u32)).ok()?;
            if !(a.values[at] > 0.0 && a.values[at].is_finite()) {
                return None;
            }
            diagonal_at.push(at);
            inverse.push(1.0 / a.values[at]);
        }
        Some(Self { a, diagonal_at, inverse, prolongation: Rows::default() })
    }

    fn n(&self) -> usize {
        self.inverse.len()
    }

    /// Multiplications and additions of a cycle on this level.
    fn flops(&self) -> f64 {
        (4 * self.a.values.len() + 4 * self.prolongation.values.len()) as f64
    }

    fn is_strong(&self, i: usize, j: usize, value: f64, strength: f64) -> bool {
        j != i && value * value * self.inverse[i] * self.inverse[j] > strength * strength
    }

    /// The aggregate of each row, from 0, `ALONE` for rows without strong couplings; and how many there are.
    fn aggregate(&self, strength: f64) -> (Vec<u32>, usize) {
        const OPEN: u32 = u32::MAX - 1;
        let n = self.n();
        let strong =
            |i: usize| self.a.row(i).filter(move |&(j, value)| self.is_strong(i, j, value, strength));
        let mut aggregates: Vec<u32> =
            (0..n).map(|i| if strong(i).next().is_some() { OPEN } else { ALONE }).collect();
        let mut count = 0u32;
        // rows whose neighbours are all free, with them
        for i in 0..n {
            if aggregates[i] == OPEN && strong(i).all(|(j, _)| aggregates[j] == OPEN) {
                aggregates[i] = count;
                strong(i).for_each(|(j, _)| aggregates[j] = count);
                count += 1;
            }
        }
        // what is left joins the neighbour that it is coupled with most
        let cores = aggregates.clone();
        for i in 0..n {
            if cores[i] == OPEN {
                let joined = strong(i).filter(|&(j, _)| cores[j] < OPEN);
                let most = joined.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
                if let Some((j, _)) = most {
                    aggregates[i] = cores[j];
                }
            }
        }
        for i in 0..n {
            if aggregates[i] == OPEN {
                aggregates[i] = count;
                for (j, _) in strong(i) {
                    if aggregates[j] == OPEN {
                        aggregates[j] = count;
                    }
                }
                count += 1;
            }
        }
        (aggregates, count as usize)
    }

    /// An estimate of the largest eigenvalue of D^{-1} A from above: the largest row sum where that is no more than the 2 of a diagonally
    /// dominant matrix, else by the power method.
    fn largest_eigenvalue(&self) -> f64 {
        let sum = |i: usize| self.a.row(i).map(|(_, value)| value.abs()).sum::<f64>() * self.inverse[i];
        let bound = (0..self.n()).map(sum).fold(0.0, f64::max);
        if bound <= 2.0 + 1e-9 {
            return bound;
        }
        // all directions in one
        let mut x = SplitMix(1).normals(self.n());
        let mut y = vec![0.0; x.len()];
        let mut estimate = 0.0;
        for _ in 0..POWER_STEPS {
            let scale = 1.0 / norm(&x);
            x.iter_mut().for_each(|x| *x *= scale);
            for (i, y) in y.iter_mut().enumerate() {
                *y = self.a.row(i).map(|(j, value)| value * x[j]).sum::<f64>() * self.inverse[i];
            }
            estimate = norm(&y);
            std::mem::swap(&mut x, &mut y);
        }
        // the power method comes from below
        (1.1 * estimate).min(bound)
    }

    /// P = (I - 4 / (3 lambda) D^{-1} A) T; weak entries of A count towards its diagonal.
    fn prolongation(&self, aggregates: &[u32], count: usize, strength: f64) -> Rows {
        let weight = 4.0 / (3.0 * self.largest_eigenvalue());
        let mut p = Rows::with_capacity(self.n(), 2 * self.n());
        let mut sums = Accumulator::new(count);
        for i in 0..self.n() {
            let scale = weight * self.inverse[i];
            let mut own = 1.0;
            for (j, value) in self.a.row(i) {
                if !self.is_strong(i, j, value, strength) {
                    own -= scale * value;
                } else if aggregates[j] != ALONE {
                    sums.add(aggregates[j] as usize, -scale * value);
                }
            }
            if aggregates[i] != ALONE {
                sums.add(aggregates[i] as usize, own);
            }
            p.push_row(&mut sums);
        }
        p
    }

    /// Adds the prolongation; the coarse matrix P'A P, None where that would hardly be smaller.
    fn coarsen(&mut self, strength: f64) -> Option<Rows> {
        let (aggregates, count) = self.aggregate(strength);
        if count == 0 || count as f64 > SHRINKS * self.n() as f64 {
            return None;
        }
        let p = self.prolongation(&aggregates, count, strength);
        let coarse = p.transposed(count).times(&self.a.times(&p, count), count);
        self.prolongation = p;
        Some(coarse)
    }

    /// z <- (D + L)^{-1} r: a forward sweep of Gauss-Seidel from zero.
    fn smooth_forward(&self, r: &[f64], z: &mut [f64]) {
        for i in 0..r.len() {
            let range = self.a.starts[i]..self.diagonal_at[i];
            let below = self.a.columns[range.clone()].iter().zip(&self.a.values[range]);
            let sum: f64 = below.map(|(&j, value)| value * z[j as usize]).sum();
            z[i] = (r[i] - sum) * self.inverse[i];
        }
    }

    /// coarse <- P'(r - A z) after [`smooth_forward`](Self::smooth_forward): r - A z = -L'z.
    fn restrict(&self, z: &[f64], coarse: &mut [f64]) {
        coarse.fill(0.0);
        for i in 0..z.len() {
            let range = self.diagonal_at[i] + 1..self.a.starts[i + 1];
            let above = self.a.columns[range.clone()].iter().zip(&self.a.values[range]);
            let residual: f64 = above.map(|(&j, value)| value * z[j as usize]).sum();
            self.prolongation.row(i).for_each(|(j, value)| coarse[j] -= value * residual);
        }
    }

    /// z <- z + P coarse, then a backward sweep of Gauss-Seidel.
    fn correct_and_smooth(&self, r: &[f64], coarse: &[f64], z: &mut [f64]) {
        if !self.prolongation.starts.is_empty() {
            for (i, z) in z.iter_mut().enumerate() {
                *z += self.prolongation.row(i).map(|(j, value)| value * coarse[j]).sum::<f64>();
            }
        }
        for i in (0..r.len()).rev() {
            let range = self.a.starts[i]..self.a.starts[i + 1];
            let entries = self.a.columns[range.clone()].iter().zip(&self.a.values[range]);
            let sum: f64 = entries.map(|(&j, value)| value * z[j as usize]).sum();
            z[i] += (r[i] - sum) * self.inverse[i];
        }
    }
}

/// The aggregate of rows that have none: smoothing alone settles them.
const ALONE: u32 = u32::MAX;

impl Multigrid {
    /// From a symmetric matrix with all its entries stored.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `Diagonal` at the first entry that isn't positive and finite.
    pub fn new(a: CsMatViewI<f64, u32>) -> Result<Self, KrylovError> {
        diagonal_of(a)?;
        let starts = a.proper_indptr().iter().map(|&start| start as usize).collect();
        let mut rows = Rows { starts, columns: a.indices().to_vec(), values: a.data().to_vec() };
        let mut levels: Vec<Level> = Vec::new();
        let mut strength = STRENGTH;
        while let Some(mut level) = Level::new(rows) {
            let coarser = level.n() > COARSEST && levels.len() < LEVELS;
            let coarse = if coarser { level.coarsen(strength) } else { None };
            levels.push(level);
            strength *= 0.5;
            match coarse {
                Some(coarse) => rows = coarse,
                None => break,
            }
        }
        if let Some(last) = levels.last_mut() {
            // where the next matrix turned out not to be positive definite
            last.prolongation = Rows::default();
        }
        let coarsest = levels.last().filter(|last| last.n() <= COARSEST).and_then(|last| factor(&last.a));
        let vectors = levels.iter().map(|level| [vec![0.0; level.n()], vec![0.0; level.n()]]).collect();
        let flops = levels.iter().map(Level::flops).sum();
        Ok(Self { levels, work: RefCell::new(Work { vectors, coarsest }), flops })
    }

    /// Rows of each level.
    pub fn sizes(&self) -> Vec<usize> {
        self.levels.iter().map(Level::n).collect()
    }

    /// Entries of the matrices of all levels over those of A.
    pub fn complexity(&self) -> f64 {
        let entries: usize = self.levels.iter().map(|level| level.a.values.len()).sum();
        entries as f64 / self.levels.first().map_or(1, |level| level.a.values.len().max(1)) as f64
    }

    /// Floating-point operations of an application, the coarsest solve apart.
    pub fn flops(&self) -> f64 {
        self.flops
    }
}

/// The factorisation of a small matrix; None where it isn't positive definite.
fn factor(a: &Rows) -> Option<SparseCholesky> {
    let starts: Vec<u32> = a.starts.iter().map(|&start| start as u32).collect();
    let matrix = CsMatI::new((a.n(), a.n()), starts, a.columns.clone(), a.values.clone());
    let mut cholesky = SparseCholesky::new();
    cholesky.factor(matrix.view()).ok()?;
    Some(cholesky)
}

impl LinearOperator for Multigrid {
    fn dimension(&self) -> usize {
        self.levels.first().map_or(0, Level::n)
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        let mut work = self.work.borrow_mut();
        let Work { vectors, coarsest } = &mut *work;
        let Some(last) = self.levels.len().checked_sub(1) else { return };
        vectors[0][0].copy_from_slice(x);
        for (k, level) in self.levels[..last].iter().enumerate() {
            let (fine, coarse) = vectors.split_at_mut(k + 1);
            let [r, z] = &mut fine[k];
            level.smooth_forward(r, z);
            level.restrict(z, &mut coarse[0][0]);
        }
        let [r, z] = &mut vectors[last];
        z.copy_from_slice(r);
        let solved = coarsest.as_mut().is_some_and(|coarsest| coarsest.solve_in_place(z).is_ok());
        if !solved {
            self.levels[last].smooth_forward(r, z);
            self.levels[last].correct_and_smooth(r, &[], z);
        }
        for (k, level) in self.levels[..last].iter().enumerate().rev() {
            let (fine, coarse) = vectors.split_at_mut(k + 1);
            let [r, z] = &mut fine[k];
            level.correct_and_smooth(r, &coarse[0][1], z);
        }
        y.copy_from_slice(&vectors[0][1]);
    }
}
