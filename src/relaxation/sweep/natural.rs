//! Rows in their own order on one thread.

use std::ops::Range;

use rayon::prelude::*;

use super::Sweeps;
use super::rows::Split;
use crate::linalg::product::{CHUNK, PARALLEL_ENTRIES, sum_chunks};

/// The natural order, or any other that the matrix was permuted to.
pub struct Natural(pub Split);

/// Consecutive ranges of [`CHUNK`] rows: sums are taken chunk by chunk, in every storage alike.
pub fn chunks(n: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    (0..n.div_ceil(CHUNK)).map(move |c| c * CHUNK..n.min((c + 1) * CHUNK))
}

impl Sweeps for Natural {
    fn set_shift(&mut self, shift: f64) {
        self.0.diagonal.set_shift(shift);
    }

    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        multiply(&self.0, x, y);
    }

    fn sor_forward(&self, omega: f64, b: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        let a = check(&self.0, &[b, x]);
        let (mut total, mut before) = (0.0, 0.0);
        for range in chunks(a.n()) {
            let mut sum = 0.0;
            for i in range {
                let beside = [before, x.get(i + 1).copied().unwrap_or(0.0)];
                // SAFETY: the vectors have n entries and only this thread uses them
                let (new, square) = unsafe { a.sor_forward_row(i, omega, b[i], x.as_ptr(), beside) };
                x[i] = new;
                before = new;
                sum += square;
            }
            total += sum;
        }
        total / (omega * omega)
    }

    fn sor_backward(&self, omega: f64, b: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        let a = check(&self.0, &[b, x]);
        let (mut total, mut after) = (0.0, 0.0);
        for range in chunks(a.n()).rev() {
            let mut sum = 0.0;
            for i in range.rev() {
                let beside = [if i > 0 { x[i - 1] } else { 0.0 }, after];
                // SAFETY: as above
                let (new, square) = unsafe { a.sor_backward_row(i, omega, b[i], x.as_ptr(), beside) };
                x[i] = new;
                after = new;
                sum += square;
            }
            total += sum;
        }
        total / (omega * omega)
    }

    fn solve_lower(&self, omega: f64, r: &[f64], g: &mut [f64]) -> f64 {
        let a = check(&self.0, &[r, g]);
        let s = (2.0 - omega) / omega;
        let (mut total, mut before) = (0.0, 0.0);
        for range in chunks(a.n()) {
            let mut sum = 0.0;
            for i in range {
                // SAFETY: as above
                before = unsafe { a.lower_row(i, omega, r[i], g.as_ptr(), before) };
                g[i] = before;
                sum += (s * a.diagonal.value(i) * before) * before;
            }
            total += sum;
        }
        total
    }

    fn solve_upper(&self, omega: f64, beta: f64, g: &[f64], p: &mut [f64], u: &mut [f64]) {
        let a = check(&self.0, &[g, p, u]);
        let s = (2.0 - omega) / omega;
        let mut after = 0.0;
        for i in (0..a.n()).rev() {
            let right = s * a.diagonal.value(i) * g[i] + beta * p[i];
            p[i] = right;
            // SAFETY: as above
            after = unsafe { a.upper_row(i, omega, right, u.as_ptr(), after) };
            u[i] = after;
        }
    }

    fn complete(&self, omega: f64, p: &[f64], u: &[f64], v: &mut [f64]) -> f64 {
        let a = check(&self.0, &[p, u, v]);
        let s = (2.0 - omega) / omega;
        let (mut total, mut before) = (0.0, 0.0);
        for range in chunks(a.n()) {
            let mut sum = 0.0;
            for i in range {
                let right = p[i] - s * a.diagonal.value(i) * u[i];
                // SAFETY: as above
                before = unsafe { a.lower_row(i, omega, right, v.as_ptr(), before) };
                v[i] = before;
                sum += p[i] * (u[i] + before);
            }
            total += sum;
        }
        total
    }

    fn step(&self, omega: f64, alpha: f64, u: &[f64], v: &[f64], x: &mut [f64], g: &mut [f64]) -> f64 {
        step(&self.0, omega, alpha, u, v, x, g)
    }

    fn lower_norm_squared(&self, omega: f64, g: &[f64]) -> f64 {
        lower_norm_squared(&self.0, omega, g)
    }

    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        self.0.row(i, entry);
    }
}

/// Refuses vectors of another length than the matrix: what the unchecked reads of the sweeps rest on.
pub fn check<'a>(a: &'a Split, vectors: &[&[f64]]) -> &'a Split {
    assert!(vectors.iter().all(|vector| vector.len() == a.n()), "a vector of another length than the matrix");
    a
}

/// y <- (A + c I) x, rows in parallel where there are many.
pub fn multiply(a: &Split, x: &[f64], y: &mut [f64]) {
    check(a, &[x, y]);
    if a.n() < PARALLEL_ENTRIES {
        y.iter_mut().enumerate().for_each(|(i, y)| *y = a.product_row(i, x));
    } else {
        y.par_iter_mut().with_min_len(CHUNK).enumerate().for_each(|(i, y)| *y = a.product_row(i, x));
    }
}

/// See [`Sweeps::step`].
pub fn step(a: &Split, omega: f64, alpha: f64, u: &[f64], v: &[f64], x: &mut [f64], g: &mut [f64]) -> f64 {
    check(a, &[u, v, x, g]);
    let s = (2.0 - omega) / omega;
    let mut total = 0.0;
    for range in chunks(a.n()) {
        // four sums: one alone would wait for itself
        let mut sums = [0.0; 4];
        for i in range {
            x[i] += alpha * u[i];
            g[i] -= alpha * (u[i] + v[i]);
            sums[i & 3] += (s * a.diagonal.value(i) * g[i]) * g[i];
        }
        total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    total
}

/// See [`Sweeps::lower_norm_squared`].
pub fn lower_norm_squared(a: &Split, omega: f64, g: &[f64]) -> f64 {
    check(a, &[g]);
    sum_chunks(a.n(), 1, |range| {
        let square = |i| {
            let value: f64 = a.lower_product_row(i, omega, g);
            value * value
        };
        range.map(square).sum()
    })
}
