//! Steps of SOR.

use super::{Pattern, at, chain, chain_back};
use crate::linalg::elementary::multiply_add;
use crate::linalg::exponential::Wide;
use crate::relaxation::sweep::lanes::{LANES, Lanes, load, store};

/// A step of SOR over ascending rows; gives the sum of squares of the residuals as they were met.
pub(super) struct SorForward<'a, P> {
    pub pattern: &'a P,
    pub omega: f64,
    pub b: &'a [f64],
    pub x: &'a mut [f64],
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

/// The same over descending rows.
pub(super) struct SorBackward<'a, P> {
    pub pattern: &'a P,
    pub omega: f64,
    pub b: &'a [f64],
    pub x: &'a mut [f64],
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
