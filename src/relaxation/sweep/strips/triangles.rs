//! Solves with E = D / omega + L and its transpose.

use super::{Pattern, chain, chain_back};
use crate::linalg::elementary::multiply_add;
use crate::linalg::exponential::Wide;
use crate::relaxation::sweep::lanes::{Eight, LANES, Lanes, load, store};

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

/// g <- E^{-1} r; gives g's D g.
pub(super) struct SolveLower<'a, P> {
    pub pattern: &'a P,
    pub omega: f64,
    pub r: &'a [f64],
    pub g: &'a mut [f64],
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

/// v <- E^{-1} (p - s D u); gives p'(u + v).
pub(super) struct Complete<'a, P> {
    pub pattern: &'a P,
    pub omega: f64,
    pub p: &'a [f64],
    pub u: &'a [f64],
    pub v: &'a mut [f64],
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

/// p <- s D g + beta p, then u <- E^{-T} p.
pub(super) struct SolveUpper<'a, P> {
    pub pattern: &'a P,
    pub omega: f64,
    pub beta: f64,
    pub g: &'a [f64],
    pub p: &'a mut [f64],
    pub u: &'a mut [f64],
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
