//! Rows that don't depend on each other at once.
//!
//! Row i waits for the rows j < i with a_ij != 0; its level is one more than the highest of theirs. Rows of one level can be
//! worked on together, and each computes what it computes in the natural order: the same bits, for every number of
//! threads. A backward sweep takes the levels from the last to the first.

use rayon::prelude::*;

use super::Sweeps;
use super::lanes;
use super::rows::{RowPass, Split};
use crate::linalg::exponential::{Wide, widest};
use crate::linalg::product::{CHUNK, PARALLEL_ENTRIES};

/// Rows of a level that one thread takes at a time; smaller levels stay on the calling thread.
const ROWS_A_TASK: usize = 1024;

/// The natural order, scheduled by levels.
pub struct Levels {
    a: Split,
    /// Rows, level after level, ascending in each.
    rows: Vec<u32>,
    /// Level k is `rows[starts[k]..starts[k + 1]]`.
    starts: Vec<usize>,
    fused: bool,
}

/// Tells whether the sweeps of the natural order fuse multiplication and addition on this machine.
struct IsFused;

impl Wide for IsFused {
    type Output = bool;

    #[inline(always)]
    fn run(self, fused: bool) -> bool {
        fused
    }
}

/// A vector that the rows of a level write, each its own entry.
#[derive(Clone, Copy)]
struct Shared(*mut f64);

// SAFETY: see `Levels::each_row`, the only place where threads hold one
unsafe impl Send for Shared {}
// SAFETY: the same
unsafe impl Sync for Shared {}

impl Shared {
    /// The pointer itself; a method, so that closures capture the whole.
    fn pointer(self) -> *mut f64 {
        self.0
    }
}

impl Levels {
    pub fn new(a: Split) -> Self {
        let n = a.n();
        let mut level = vec![0u32; n];
        for i in 0..n {
            let link = (i > 0 && a.link[i] != 0.0).then(|| level[i - 1] + 1);
            let others = a.lower.columns_of(i).iter().map(|&j| level[j as usize] + 1);
            level[i] = others.chain(link).max().unwrap_or(0);
        }
        let count = level.iter().max().map_or(0, |&last| last as usize + 1);
        let mut starts = vec![0usize; count + 1];
        level.iter().for_each(|&l| starts[l as usize + 1] += 1);
        (0..count).for_each(|l| starts[l + 1] += starts[l]);
        let mut next = starts.clone();
        let mut rows = vec![0u32; n];
        for (i, &l) in level.iter().enumerate() {
            rows[next[l as usize]] = i as u32;
            next[l as usize] += 1;
        }
        Self { a, rows, starts, fused: widest(IsFused) }
    }

    fn pass(&self, omega: f64) -> RowPass {
        RowPass { omega, fused: self.fused }
    }

    /// Refuses vectors of another length than the matrix: what the unchecked reads of the sweeps rest on.
    fn check(&self, vectors: &[&[f64]]) {
        let n = self.a.n();
        assert!(vectors.iter().all(|v| v.len() == n), "a vector of another length than the matrix");
    }

    /// Number of levels: the steps that a sweep takes one after the other.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Calls `row` for every row, the rows of a level in any order and on any thread.
    ///
    /// What makes the rows' reads and writes safe: `rows` holds each row once, so no two write one entry; a row reads the
    /// written vector only at its own entry and at its columns in one triangle, which are rows of levels that are done (or,
    /// in SOR, at both triangles, whose rows of levels to come aren't written yet). Levels follow one another.
    fn each_row(&self, level: usize, row: impl Fn(usize) + Sync) {
        let rows = &self.rows[self.starts[level]..self.starts[level + 1]];
        if rows.len() < 2 * ROWS_A_TASK {
            rows.iter().for_each(|&i| row(i as usize));
        } else {
            rows.par_chunks(ROWS_A_TASK).for_each(|rows| rows.iter().for_each(|&i| row(i as usize)));
        }
    }

    /// y_{i-1} if row i has a link to it, which is then done; else 0, which the link's 0 makes of no account.
    ///
    /// # Safety
    /// i is a row, y has n entries.
    unsafe fn before(&self, i: usize, y: *const f64) -> f64 {
        // SAFETY: link[0] is 0
        if self.a.link[i] != 0.0 { unsafe { *y.add(i - 1) } } else { 0.0 }
    }

    /// y_{i+1}, likewise.
    ///
    /// # Safety
    /// i is a row, y has n entries.
    unsafe fn after(&self, i: usize, y: *const f64) -> f64 {
        // SAFETY: link[n] is 0
        if self.a.link[i + 1] != 0.0 { unsafe { *y.add(i + 1) } } else { 0.0 }
    }
}

impl Sweeps for Levels {
    fn set_shift(&mut self, shift: f64) {
        self.a.diagonal.set_shift(shift);
    }

    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        self.check(&[x, y]);
        if self.a.n() < PARALLEL_ENTRIES {
            y.iter_mut().enumerate().for_each(|(i, y)| *y = self.a.product_row(i, x));
        } else {
            let rows = y.par_iter_mut().with_min_len(CHUNK).enumerate();
            rows.for_each(|(i, y)| *y = self.a.product_row(i, x));
        }
    }

    fn sor_forward(&self, omega: f64, b: &[f64], x: &mut [f64], scratch: &mut [f64]) -> f64 {
        self.check(&[b, x, scratch]);
        let pass = self.pass(omega);
        let (x, squares) = (Shared(x.as_mut_ptr()), Shared(scratch.as_mut_ptr()));
        for level in 0..self.count() {
            // SAFETY: see `each_row`; the vectors have n entries
            self.each_row(level, |i| unsafe {
                let beside = [self.before(i, x.pointer()), self.after(i, x.pointer())];
                let (new, square) = self.a.sor_forward_row(i, pass, b[i], x.pointer(), beside);
                *x.pointer().add(i) = new;
                *squares.pointer().add(i) = square;
            });
        }
        lanes::sum(self.a.n(), |i| scratch[i]) / (omega * omega)
    }

    fn sor_backward(&self, omega: f64, b: &[f64], x: &mut [f64], scratch: &mut [f64]) -> f64 {
        self.check(&[b, x, scratch]);
        let pass = self.pass(omega);
        let (x, squares) = (Shared(x.as_mut_ptr()), Shared(scratch.as_mut_ptr()));
        for level in (0..self.count()).rev() {
            // SAFETY: see `each_row`; the vectors have n entries
            self.each_row(level, |i| unsafe {
                let beside = [self.before(i, x.pointer()), self.after(i, x.pointer())];
                let (new, square) = self.a.sor_backward_row(i, pass, b[i], x.pointer(), beside);
                *x.pointer().add(i) = new;
                *squares.pointer().add(i) = square;
            });
        }
        lanes::sum(self.a.n(), |i| scratch[i]) / (omega * omega)
    }

    fn solve_lower(&self, omega: f64, r: &[f64], g: &mut [f64]) -> f64 {
        self.check(&[r, g]);
        let (pass, s) = (self.pass(omega), (2.0 - omega) / omega);
        let shared = Shared(g.as_mut_ptr());
        for level in 0..self.count() {
            // SAFETY: see `each_row`; the vectors have n entries
            self.each_row(level, |i| unsafe {
                let before = self.before(i, shared.pointer());
                *shared.pointer().add(i) = self.a.lower_row(i, pass, r[i], shared.pointer(), before);
            });
        }
        lanes::sum(g.len(), |i| (s * self.a.diagonal.value(i) * g[i]) * g[i])
    }

    fn solve_upper(&self, omega: f64, beta: f64, g: &[f64], p: &mut [f64], u: &mut [f64]) {
        self.check(&[g, p, u]);
        let (pass, s) = (self.pass(omega), (2.0 - omega) / omega);
        let (p, u) = (Shared(p.as_mut_ptr()), Shared(u.as_mut_ptr()));
        for level in (0..self.count()).rev() {
            // SAFETY: see `each_row`; the vectors have n entries, and p is used at the row's own entry alone
            self.each_row(level, |i| unsafe {
                let right = s * self.a.diagonal.value(i) * g[i] + beta * *p.pointer().add(i);
                *p.pointer().add(i) = right;
                let after = self.after(i, u.pointer());
                *u.pointer().add(i) = self.a.upper_row(i, pass, right, u.pointer(), after);
            });
        }
    }

    fn complete(&self, omega: f64, p: &[f64], u: &[f64], v: &mut [f64]) -> f64 {
        self.check(&[p, u, v]);
        let (pass, s) = (self.pass(omega), (2.0 - omega) / omega);
        let shared = Shared(v.as_mut_ptr());
        for level in 0..self.count() {
            // SAFETY: see `each_row`; the vectors have n entries
            self.each_row(level, |i| unsafe {
                let right = p[i] - s * self.a.diagonal.value(i) * u[i];
                let before = self.before(i, shared.pointer());
                *shared.pointer().add(i) = self.a.lower_row(i, pass, right, shared.pointer(), before);
            });
        }
        lanes::sum(v.len(), |i| p[i] * (u[i] + v[i]))
    }

    fn step(&self, omega: f64, alpha: f64, u: &[f64], v: &[f64], x: &mut [f64], g: &mut [f64]) -> f64 {
        lanes::step(&self.a.diagonal, omega, alpha, u, v, x, g)
    }

    fn lower_norm_squared(&self, omega: f64, g: &[f64]) -> f64 {
        self.check(&[g]);
        lanes::sum(g.len(), |i| {
            let value: f64 = self.a.lower_product_row(i, omega, g);
            value * value
        })
    }

    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        self.a.row(i, entry);
    }
}
