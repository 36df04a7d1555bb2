//! The natural order on one thread, in strips of consecutive rows.
//!
//! Where the storage allows, eight rows are worked on at once: first all that doesn't wait for the eight themselves, in vector
//! instructions, then the chain x_i = t_i + c_i x_{i-1} along the links from row to row, one fused operation each. While a chain
//! runs, the processor is already at work on the next eight rows.

use std::ops::Range;

use rayon::prelude::*;

use super::Sweeps;
use super::lanes::{self, Eight, LANES, Lanes, load, store};
use super::rows::Diagonal;
use crate::linalg::elementary::multiply_add;
use crate::linalg::exponential::{Wide, widest};
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

struct SorForward<'a, P> {
    pattern: &'a P,
    omega: f64,
    b: &'a [f64],
    x: &'a mut [f64],
}

impl<P: Pattern> Wide for SorForward<'_, P> {
    type Output = f64;

    #[inline(always)]
    fn run(self, fused: bool) -> f64 {
        let Self { pattern, omega, b, x } = self;
        let diagonal = pattern.diagonal();
        let mut lanes = Lanes::default();
        let mut last = 0.0;
        for strip in 0..pattern.count() {
            let rows = pattern.rows(strip);
            lanes.enter(rows.start);
            if pattern.by_eights(strip) {
                for i in rows.step_by(LANES) {
                    let (value, weight) = diagonal.eight(omega, i);
                    let sums = pattern.add_lower_eight(strip, i, x, [0.0; LANES]);
                    let sums = pattern.add_upper_eight(strip, i, x, sums);
                    let (before, after) = (pattern.links(i), pattern.links(i + 1));
                    let (b, old, next) = (load(b, i), load(x, i), load(x, i + 1));
                    let (mut t, mut c) = ([0.0; LANES], [0.0; LANES]);
                    for k in 0..LANES {
                        let rest = b[k] - (sums[k] + after[k] * next[k]);
                        t[k] = rest * weight[k] + (1.0 - omega) * old[k];
                        c[k] = -(before[k] * weight[k]);
                    }
                    let new = chain(fused, c, t, &mut last);
                    store(x, i, new);
                    for k in 0..LANES {
                        let residual = (new[k] - old[k]) * value[k];
                        lanes.lanes[k] += residual * residual;
                    }
                }
                continue;
            }
            for i in rows {
                let sum = pattern.add_upper(strip, i, x, pattern.add_lower(strip, i, x, 0.0));
                let weight = omega * diagonal.inverse(i);
                let rest = b[i] - (sum + pattern.link(i + 1) * at(x, i + 1));
                let t = rest * weight + (1.0 - omega) * x[i];
                last = multiply_add(fused, -(pattern.link(i) * weight), last, t);
                let residual = (last - x[i]) * diagonal.value(i);
                x[i] = last;
                lanes.lanes[i % LANES] += residual * residual;
            }
        }
        lanes.total() / (omega * omega)
    }
}

struct SorBackward<'a, P> {
    pattern: &'a P,
    omega: f64,
    b: &'a [f64],
    x: &'a mut [f64],
}

impl<P: Pattern> Wide for SorBackward<'_, P> {
    type Output = f64;

    #[inline(always)]
    fn run(self, fused: bool) -> f64 {
        let Self { pattern, omega, b, x } = self;
        let diagonal = pattern.diagonal();
        let mut lanes = Lanes::default();
        let mut last = 0.0;
        for strip in (0..pattern.count()).rev() {
            let rows = pattern.rows(strip);
            lanes.enter(rows.start);
            // the first row of all has none before it
            if pattern.by_eights(strip) && rows.start > 0 {
                for i in rows.step_by(LANES).rev() {
                    let (value, weight) = diagonal.eight(omega, i);
                    let sums = pattern.add_lower_eight(strip, i, x, [0.0; LANES]);
                    let sums = pattern.add_upper_eight(strip, i, x, sums);
                    let (before, after) = (pattern.links(i), pattern.links(i + 1));
                    let (b, old, previous) = (load(b, i), load(x, i), load(x, i - 1));
                    let (mut t, mut c) = ([0.0; LANES], [0.0; LANES]);
                    for k in 0..LANES {
                        let rest = b[k] - (sums[k] + before[k] * previous[k]);
                        t[k] = rest * weight[k] + (1.0 - omega) * old[k];
                        c[k] = -(after[k] * weight[k]);
                    }
                    let new = chain_back(fused, c, t, &mut last);
                    store(x, i, new);
                    for k in 0..LANES {
                        let residual = (new[k] - old[k]) * value[k];
                        lanes.lanes[k] += residual * residual;
                    }
                }
                continue;
            }
            for i in rows.rev() {
                let sum = pattern.add_upper(strip, i, x, pattern.add_lower(strip, i, x, 0.0));
                let weight = omega * diagonal.inverse(i);
                let rest = b[i] - (sum + pattern.link(i) * at(x, i.wrapping_sub(1)));
                let t = rest * weight + (1.0 - omega) * x[i];
                last = multiply_add(fused, -(pattern.link(i + 1) * weight), last, t);
                let residual = (last - x[i]) * diagonal.value(i);
                x[i] = last;
                lanes.lanes[i % LANES] += residual * residual;
            }
        }
        lanes.total() / (omega * omega)
    }
}

/// What a solve with the lower triangle is given, and the terms of the sum that it returns.
trait LowerSolve {
    /// The right-hand sides of eight rows, whose entries of D are `value`.
    fn right(&self, value: Eight, i: usize) -> Eight;

    /// Their terms, y being their solution.
    fn terms(&self, value: Eight, i: usize, y: Eight) -> Eight;

    /// The same for one row.
    fn right_of_row(&self, value: f64, i: usize) -> f64;

    /// The same for one row.
    fn term_of_row(&self, value: f64, i: usize, y: f64) -> f64;
}

/// y <- E^{-1} right; returns the sum.
#[inline(always)]
fn solve_lower<P: Pattern>(
    pattern: &P,
    fused: bool,
    omega: f64,
    y: &mut [f64],
    solve: &impl LowerSolve,
) -> f64 {
    let diagonal = pattern.diagonal();
    let mut lanes = Lanes::default();
    let mut last = 0.0;
    for strip in 0..pattern.count() {
        let rows = pattern.rows(strip);
        lanes.enter(rows.start);
        if pattern.by_eights(strip) {
            for i in rows.step_by(LANES) {
                let (value, weight) = diagonal.eight(omega, i);
                let sums = pattern.add_lower_eight(strip, i, y, [0.0; LANES]);
                let (links, right) = (pattern.links(i), solve.right(value, i));
                let (mut t, mut c) = ([0.0; LANES], [0.0; LANES]);
                for k in 0..LANES {
                    t[k] = (right[k] - sums[k]) * weight[k];
                    c[k] = -(links[k] * weight[k]);
                }
                let new = chain(fused, c, t, &mut last);
                store(y, i, new);
                let terms = solve.terms(value, i, new);
                for (lane, term) in lanes.lanes.iter_mut().zip(terms) {
                    *lane += term;
                }
            }
            continue;
        }
        for i in rows {
            let (value, weight) = (diagonal.value(i), omega * diagonal.inverse(i));
            let t = (solve.right_of_row(value, i) - pattern.add_lower(strip, i, y, 0.0)) * weight;
            last = multiply_add(fused, -(pattern.link(i) * weight), last, t);
            y[i] = last;
            lanes.lanes[i % LANES] += solve.term_of_row(value, i, last);
        }
    }
    lanes.total()
}

struct SolveLower<'a, P> {
    pattern: &'a P,
    omega: f64,
    r: &'a [f64],
    g: &'a mut [f64],
}

impl<P: Pattern> Wide for SolveLower<'_, P> {
    type Output = f64;

    #[inline(always)]
    fn run(self, fused: bool) -> f64 {
        let solve = Norm { s: (2.0 - self.omega) / self.omega, r: self.r };
        solve_lower(self.pattern, fused, self.omega, self.g, &solve)
    }
}

/// Right-hand side r, sum g's D g.
struct Norm<'a> {
    s: f64,
    r: &'a [f64],
}

impl LowerSolve for Norm<'_> {
    #[inline(always)]
    fn right(&self, _: Eight, i: usize) -> Eight {
        load(self.r, i)
    }

    #[inline(always)]
    fn terms(&self, value: Eight, i: usize, g: Eight) -> Eight {
        std::array::from_fn(|k| self.term_of_row(value[k], i, g[k]))
    }

    #[inline(always)]
    fn right_of_row(&self, _: f64, i: usize) -> f64 {
        self.r[i]
    }

    #[inline(always)]
    fn term_of_row(&self, value: f64, _: usize, g: f64) -> f64 {
        (self.s * value * g) * g
    }
}

struct Complete<'a, P> {
    pattern: &'a P,
    omega: f64,
    p: &'a [f64],
    u: &'a [f64],
    v: &'a mut [f64],
}

impl<P: Pattern> Wide for Complete<'_, P> {
    type Output = f64;

    #[inline(always)]
    fn run(self, fused: bool) -> f64 {
        let solve = Curvature { s: (2.0 - self.omega) / self.omega, p: self.p, u: self.u };
        solve_lower(self.pattern, fused, self.omega, self.v, &solve)
    }
}

/// Right-hand side p - s D u, sum p'(u + v).
struct Curvature<'a> {
    s: f64,
    p: &'a [f64],
    u: &'a [f64],
}

impl LowerSolve for Curvature<'_> {
    #[inline(always)]
    fn right(&self, value: Eight, i: usize) -> Eight {
        let (p, u) = (load(self.p, i), load(self.u, i));
        std::array::from_fn(|k| p[k] - self.s * value[k] * u[k])
    }

    #[inline(always)]
    fn terms(&self, _: Eight, i: usize, v: Eight) -> Eight {
        let (p, u) = (load(self.p, i), load(self.u, i));
        std::array::from_fn(|k| p[k] * (u[k] + v[k]))
    }

    #[inline(always)]
    fn right_of_row(&self, value: f64, i: usize) -> f64 {
        self.p[i] - self.s * value * self.u[i]
    }

    #[inline(always)]
    fn term_of_row(&self, _: f64, i: usize, v: f64) -> f64 {
        self.p[i] * (self.u[i] + v)
    }
}

struct SolveUpper<'a, P> {
    pattern: &'a P,
    omega: f64,
    beta: f64,
    g: &'a [f64],
    p: &'a mut [f64],
    u: &'a mut [f64],
}

impl<P: Pattern> Wide for SolveUpper<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self, fused: bool) {
        let Self { pattern, omega, beta, g, p, u } = self;
        let (s, diagonal) = ((2.0 - omega) / omega, pattern.diagonal());
        let mut last = 0.0;
        for strip in (0..pattern.count()).rev() {
            let rows = pattern.rows(strip);
            if pattern.by_eights(strip) {
                for i in rows.step_by(LANES).rev() {
                    let (value, weight) = diagonal.eight(omega, i);
                    let sums = pattern.add_upper_eight(strip, i, u, [0.0; LANES]);
                    let (links, g, old) = (pattern.links(i + 1), load(g, i), load(p, i));
                    let mut right = [0.0; LANES];
                    let (mut t, mut c) = ([0.0; LANES], [0.0; LANES]);
                    for k in 0..LANES {
                        right[k] = s * value[k] * g[k] + beta * old[k];
                        t[k] = (right[k] - sums[k]) * weight[k];
                        c[k] = -(links[k] * weight[k]);
                    }
                    store(p, i, right);
                    store(u, i, chain_back(fused, c, t, &mut last));
                }
                continue;
            }
            for i in rows.rev() {
                let weight = omega * diagonal.inverse(i);
                p[i] = s * diagonal.value(i) * g[i] + beta * p[i];
                let t = (p[i] - pattern.add_upper(strip, i, u, 0.0)) * weight;
                last = multiply_add(fused, -(pattern.link(i + 1) * weight), last, t);
                u[i] = last;
            }
        }
    }
}

struct LowerNorm<'a, P> {
    pattern: &'a P,
    omega: f64,
    g: &'a [f64],
}

impl<P: Pattern> Wide for LowerNorm<'_, P> {
    type Output = f64;

    #[inline(always)]
    fn run(self, _: bool) -> f64 {
        let Self { pattern, omega, g } = self;
        let diagonal = pattern.diagonal();
        let mut lanes = Lanes::default();
        for strip in 0..pattern.count() {
            let rows = pattern.rows(strip);
            lanes.enter(rows.start);
            if pattern.by_eights(strip) && rows.start > 0 {
                for i in rows.step_by(LANES) {
                    let (value, _) = diagonal.eight(omega, i);
                    let sums = pattern.add_lower_eight(strip, i, g, [0.0; LANES]);
                    let (links, g, previous) = (pattern.links(i), load(g, i), load(g, i - 1));
                    for k in 0..LANES {
                        let value = sums[k] + links[k] * previous[k] + value[k] / omega * g[k];
                        lanes.lanes[k] += value * value;
                    }
                }
                continue;
            }
            for i in rows {
                let sum = pattern.add_lower(strip, i, g, 0.0);
                let value =
                    sum + pattern.link(i) * at(g, i.wrapping_sub(1)) + diagonal.value(i) / omega * g[i];
                lanes.lanes[i % LANES] += value * value;
            }
        }
        lanes.total()
    }
}

/// The product with the rows of some strips.
struct Multiply<'a, P> {
    pattern: &'a P,
    strips: Range<usize>,
    x: &'a [f64],
    y: &'a mut [f64],
}

impl<P: Pattern> Wide for Multiply<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self, _: bool) {
        let Self { pattern, strips, x, y } = self;
        let diagonal = pattern.diagonal();
        let first = if strips.is_empty() { 0 } else { pattern.rows(strips.start).start };
        for strip in strips {
            let rows = pattern.rows(strip);
            if pattern.by_eights(strip) && rows.start > 0 {
                for i in rows.step_by(LANES) {
                    let (value, _) = diagonal.eight(1.0, i);
                    let sums = pattern.add_lower_eight(strip, i, x, [0.0; LANES]);
                    let sums = pattern.add_upper_eight(strip, i, x, sums);
                    let (before, after) = (pattern.links(i), pattern.links(i + 1));
                    let (previous, x, next) = (load(x, i - 1), load(x, i), load(x, i + 1));
                    let mut product = [0.0; LANES];
                    for k in 0..LANES {
                        product[k] = sums[k] + before[k] * previous[k] + after[k] * next[k] + value[k] * x[k];
                    }
                    store(y, i - first, product);
                }
                continue;
            }
            for i in rows {
                let sum = pattern.add_upper(strip, i, x, pattern.add_lower(strip, i, x, 0.0));
                let (before, after) = (at(x, i.wrapping_sub(1)), at(x, i + 1));
                y[i - first] =
                    sum + pattern.link(i) * before + pattern.link(i + 1) * after + diagonal.value(i) * x[i];
            }
        }
    }
}
