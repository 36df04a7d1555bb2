//! The natural order on one thread, in strips of consecutive rows.
//!
//! Where the storage allows, eight rows are worked on at once: first all that doesn't wait for the eight themselves, in vector
//! instructions, then the chain x_i = t_i + c_i x_{i-1} along the links from row to row, one fused operation each. While a chain
//! runs, the processor is already at work on the next eight rows.
//!
//! Here is what a storage must offer, and the chains; the passes themselves are in `sor` (steps of SOR), `triangles` (solves
//! with E and its transpose) and `products` (with A and with E).

mod products;
mod sor;
mod triangles;

use std::ops::Range;

use rayon::prelude::*;

use self::products::{LowerNorm, Multiply};
use self::sor::{SorBackward, SorForward};
use self::triangles::{Complete, SolveLower, SolveUpper};
use super::Sweeps;
use super::lanes::{self, Eight, LANES};
use super::rows::Diagonal;
use crate::linalg::elementary::multiply_add;
use crate::linalg::exponential::widest;
use crate::linalg::product::{PARALLEL_ENTRIES, split_by_ranges};

/// Rows of a strip at most.
pub const STRIP: usize = 64;
/// Strips of one task of a product.
const TASK: usize = 64;

/// Where the entries of A are. Sums add up the terms of each row in the order of its columns, the same in every storage.
pub trait Pattern: Send + Sync {
    /// Number of rows.
    fn n(&self) -> usize;

    /// Number of strips.
    fn count(&self) -> usize;

    /// The rows of a strip, at most [`STRIP`].
    fn rows(&self, strip: usize) -> Range<usize>;

    /// Whether the strip's rows can be worked on by eights: their number is a multiple of eight, there are rows after the last one, and no
    /// two of eight are coupled but neighbours.
    fn by_eights(&self, strip: usize) -> bool;

    /// D.
    fn diagonal(&self) -> &Diagonal;

    /// D, to change its shift.
    fn diagonal_mut(&mut self) -> &mut Diagonal;

    /// a_{i,i-1}, 0 where there is no such entry; i from 0 to n.
    fn link(&self, i: usize) -> f64;

    /// The same for i and the seven after it.
    fn links(&self, i: usize) -> Eight;

    /// `sum` and the sum of a_ij x_j over j < i - 1.
    fn add_lower(&self, strip: usize, i: usize, x: &[f64], sum: f64) -> f64;

    /// `sum` and the sum of a_ij x_j over j > i + 1.
    fn add_upper(&self, strip: usize, i: usize, x: &[f64], sum: f64) -> f64;

    /// [`add_lower`](Self::add_lower) for i and the seven rows after it, in a strip that goes by eights.
    fn add_lower_eight(&self, strip: usize, i: usize, x: &[f64], sums: Eight) -> Eight;

    /// [`add_upper`](Self::add_upper) for i and the seven rows after it, in a strip that goes by eights.
    fn add_upper_eight(&self, strip: usize, i: usize, x: &[f64], sums: Eight) -> Eight;

    /// Calls `entry(column, value)` for the entries of row i, columns ascending.
    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64));
}

/// Sweeps over the strips of a pattern.
pub struct Strips<P>(pub P);

impl<P: Pattern> Sweeps for Strips<P> {
    fn set_shift(&mut self, shift: f64) {
        self.0.diagonal_mut().set_shift(shift);
    }

    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        let pattern = &self.0;
        check(pattern, &[x, y]);
        if pattern.n() < PARALLEL_ENTRIES {
            return widest(Multiply { pattern, strips: 0..pattern.count(), x, y });
        }
        let tasks = (0..pattern.count()).step_by(TASK).map(|first| first..pattern.count().min(first + TASK));
        let tasks: Vec<Range<usize>> = tasks.collect();
        let rows = |task: &Range<usize>| pattern.rows(task.start).start..pattern.rows(task.end - 1).end;
        let parts = split_by_ranges(y, &tasks.iter().map(rows).collect::<Vec<_>>());
        let work = tasks.into_par_iter().zip(parts);
        work.for_each(|(strips, y)| widest(Multiply { pattern, strips, x, y }));
    }

    fn sor_forward(&self, omega: f64, b: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        check(&self.0, &[b, x]);
        widest(SorForward { pattern: &self.0, omega, b, x })
    }

    fn sor_backward(&self, omega: f64, b: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        check(&self.0, &[b, x]);
        widest(SorBackward { pattern: &self.0, omega, b, x })
    }

    fn solve_lower(&self, omega: f64, r: &[f64], g: &mut [f64]) -> f64 {
        check(&self.0, &[r, g]);
        widest(SolveLower { pattern: &self.0, omega, r, g })
    }

    fn solve_upper(&self, omega: f64, beta: f64, g: &[f64], p: &mut [f64], u: &mut [f64]) {
        check(&self.0, &[g, p, u]);
        widest(SolveUpper { pattern: &self.0, omega, beta, g, p, u });
    }

    fn complete(&self, omega: f64, p: &[f64], u: &[f64], v: &mut [f64]) -> f64 {
        check(&self.0, &[p, u, v]);
        widest(Complete { pattern: &self.0, omega, p, u, v })
    }

    fn step(&self, omega: f64, alpha: f64, u: &[f64], v: &[f64], x: &mut [f64], g: &mut [f64]) -> f64 {
        lanes::step(self.0.diagonal(), omega, alpha, u, v, x, g)
    }

    fn lower_norm_squared(&self, omega: f64, g: &[f64]) -> f64 {
        check(&self.0, &[g]);
        widest(LowerNorm { pattern: &self.0, omega, g })
    }

    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        self.0.row(i, entry);
    }
}

/// Refuses vectors of another length than the matrix.
fn check<P: Pattern>(pattern: &P, vectors: &[&[f64]]) {
    let n = pattern.n();
    assert!(vectors.iter().all(|vector| vector.len() == n), "a vector of another length than the matrix");
}

/// y_k = t_k + c_k y_{k-1}, `last` before the first.
#[inline(always)]
fn chain(fused: bool, c: Eight, t: Eight, last: &mut f64) -> Eight {
    let mut y = [0.0; LANES];
    for k in 0..LANES {
        *last = multiply_add(fused, c[k], *last, t[k]);
        y[k] = *last;
    }
    y
}

/// y_k = t_k + c_k y_{k+1}, `last` after the eighth.
#[inline(always)]
fn chain_back(fused: bool, c: Eight, t: Eight, last: &mut f64) -> Eight {
    let mut y = [0.0; LANES];
    for k in (0..LANES).rev() {
        *last = multiply_add(fused, c[k], *last, t[k]);
        y[k] = *last;
    }
    y
}

/// x_i, 0 beyond the ends.
#[inline(always)]
fn at(x: &[f64], i: usize) -> f64 {
    x.get(i).copied().unwrap_or(0.0)
}
