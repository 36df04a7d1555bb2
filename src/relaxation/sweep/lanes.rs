//! Sums over the rows in eight lanes, and the one pass that needs nothing of the matrix but its diagonal.
//!
//! Row i counts in lane i mod 8; the lanes are added up at the end of every [`CHUNK`] rows. The order depends on the number of rows
//! alone, whichever storage sums.

use std::ops::Range;

use super::rows::Diagonal;
use crate::linalg::exponential::{Wide, widest};
use crate::linalg::product::CHUNK;

/// Lanes of a sum.
pub const LANES: usize = 8;

/// Numbers of eight consecutive rows.
pub type Eight = [f64; LANES];

/// x_i and the seven after it.
#[inline(always)]
pub fn load(x: &[f64], i: usize) -> Eight {
    let eight = &x[i..i + LANES];
    std::array::from_fn(|k| eight[k])
}

/// Writes eight numbers from x_i on.
#[inline(always)]
pub fn store(x: &mut [f64], i: usize, eight: Eight) {
    x[i..i + LANES].copy_from_slice(&eight);
}

/// A sum over rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lanes {
    pub lanes: Eight,
    total: f64,
    chunk: usize,
}

impl Lanes {
    /// Terms of the rows from `start` on come next.
    #[inline(always)]
    pub fn enter(&mut self, start: usize) {
        if start / CHUNK != self.chunk {
            self.fold();
            self.chunk = start / CHUNK;
        }
    }

    #[inline(always)]
    fn fold(&mut self) {
        let [a, b, c, d, e, f, g, h] = self.lanes;
        self.total += ((a + e) + (b + f)) + ((c + g) + (d + h));
        self.lanes = [0.0; LANES];
    }

    /// The sum.
    #[inline(always)]
    pub fn total(mut self) -> f64 {
        self.fold();
        self.total
    }
}

/// The sum of term(i) over the rows 0..n.
pub fn sum(n: usize, mut term: impl FnMut(usize) -> f64) -> f64 {
    let mut lanes = Lanes::default();
    for range in chunks(n) {
        lanes.enter(range.start);
        range.for_each(|i| lanes.lanes[i % LANES] += term(i));
    }
    lanes.total()
}

/// Consecutive ranges of [`CHUNK`] rows.
fn chunks(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n.div_ceil(CHUNK)).map(move |c| c * CHUNK..n.min((c + 1) * CHUNK))
}

/// See [`Sweeps::step`](super::Sweeps::step).
pub fn step(
    diagonal: &Diagonal,
    omega: f64,
    alpha: f64,
    u: &[f64],
    v: &[f64],
    x: &mut [f64],
    g: &mut [f64],
) -> f64 {
    let n = x.len();
    assert!(u.len() == n && v.len() == n && g.len() == n, "vectors of one length");
    widest(Step { diagonal, s: (2.0 - omega) / omega, alpha, u, v, x, g })
}

struct Step<'a> {
    diagonal: &'a Diagonal,
    s: f64,
    alpha: f64,
    u: &'a [f64],
    v: &'a [f64],
    x: &'a mut [f64],
    g: &'a mut [f64],
}

impl Wide for Step<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self, _: bool) -> f64 {
        let Self { diagonal, s, alpha, u, v, x, g } = self;
        let mut lanes = Lanes::default();
        for range in chunks(x.len()) {
            lanes.enter(range.start);
            let whole = range.start + range.len() / LANES * LANES;
            for i in (range.start..whole).step_by(LANES) {
                let (value, _) = diagonal.eight(1.0, i);
                let (u, v, mut new_x, mut new_g) = (load(u, i), load(v, i), load(x, i), load(g, i));
                for k in 0..LANES {
                    new_x[k] += alpha * u[k];
                    new_g[k] -= alpha * (u[k] + v[k]);
                    lanes.lanes[k] += (s * value[k] * new_g[k]) * new_g[k];
                }
                store(x, i, new_x);
                store(g, i, new_g);
            }
            for i in whole..range.end {
                x[i] += alpha * u[i];
                g[i] -= alpha * (u[i] + v[i]);
                lanes.lanes[i % LANES] += (s * diagonal.value(i) * g[i]) * g[i];
            }
        }
        lanes.total()
    }
}
