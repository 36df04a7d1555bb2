//! Products with A, and with E for the norm of a residual.

use std::ops::Range;

use super::{Pattern, at};
use crate::linalg::exponential::Wide;
use crate::relaxation::sweep::lanes::{LANES, Lanes, load, store};

/// |E g|^2.
pub(super) struct LowerNorm<'a, P> {
    pub pattern: &'a P,
    pub omega: f64,
    pub g: &'a [f64],
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

/// The product of A with the rows of some strips.
pub(super) struct Multiply<'a, P> {
    pub pattern: &'a P,
    pub strips: Range<usize>,
    pub x: &'a [f64],
    pub y: &'a mut [f64],
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
