//! Projection onto a polyhedral cone {v : g_k'v >= 0} by non-negative least squares.

use super::exponential::dot;
use super::panel;
use super::product::{axpy, dot_serial, norm};

/// The cone {v : s_k x_k'v >= 0 for all k}; many cones can share one set of rows.
#[derive(Clone, Copy, Debug)]
pub struct Cone<'a> {
    /// The x_k one after the other.
    pub rows: &'a [f64],
    /// The s_k, -1 or +1.
    pub signs: &'a [f64],
    /// The |x_k|.
    pub norms: &'a [f64],
}

impl Cone<'_> {
    fn row(&self, k: u32, d: usize) -> &[f64] {
        &self.rows[k as usize * d..(k as usize + 1) * d]
    }
}

/// The projection of c onto a cone of rows g_k = s_k x_k, found through its dual
/// min over gamma >= 0 of |c + sum_k gamma_k g_k|: the minimiser's residual is the projection, and max of c'v over the
/// v in the cone with |v| <= 1 is its norm.
///
/// An active-set method (Lawson and Hanson 1974, chapter 23) that takes in a few of the most violated rows at a time, with a
/// Cholesky factor of the active rows' Gram matrix that grows row by row. O(n d + p (d + p)) a step with p <= d active rows.
#[derive(Clone, Debug, Default)]
pub struct ConeProjection {
    /// The rows that are active at the projection.
    pub active: Vec<u32>,
    /// Their multipliers gamma, positive.
    pub multipliers: Vec<f64>,
    /// The projection c + sum of gamma_k g_k.
    pub projection: Vec<f64>,
    /// The active rows' Gram matrix and its lower Cholesky factor, d numbers a row.
    gram: Vec<f64>,
    factor: Vec<f64>,
    /// -g_k'c of the active rows.
    wanted: Vec<f64>,
    trial: Vec<f64>,
    /// x_k'projection for every row.
    products: Vec<f64>,
    violated: Vec<(f64, u32)>,
}

/// A violation below this share of |g_k| |c| is rounding.
const ROUNDING: f64 = 1e-13;
/// Rows that join in one step: so many at most, violated by at least this share of the largest violation.
const JOINING: usize = 6;
const SHARE: f64 = 0.5;

impl ConeProjection {
    /// Projects c (length d). `start` names rows that may be active, such as those at a projection nearby; the method ends
    /// early where the norm of the residual is at most `enough`, which any gamma >= 0 bounds from above. For the same
    /// reason running out of steps (3 n + 10 d) is no error: the projection is then the best residual so far. Returns
    /// whether the projection was reached, or enough.
    pub fn project(&mut self, cone: &Cone, c: &[f64], start: &[u32], enough: f64) -> bool {
        let (d, n) = (c.len(), cone.signs.len());
        self.active.clear();
        self.multipliers.clear();
        self.wanted.clear();
        self.projection.clear();
        self.projection.extend_from_slice(c);
        self.gram.resize(d * d, 0.0);
        self.factor.resize(d * d, 0.0);
        let scale = norm(c);
        if scale == 0.0 || d == 0 {
            return true;
        }
        start.iter().for_each(|&k| self.push(k, cone, c));
        if !self.active.is_empty() {
            self.settle(cone, c);
        }
        for step in 0..3 * n + 10 * d {
            if norm(&self.projection) <= enough {
                return true;
            }
            // one row at a time is what the method's convergence is proved for
            let most = if step < 2 * d { JOINING } else { 1 };
            self.find_violated(cone, scale, most);
            let before = self.active.len();
            for i in 0..self.violated.len() {
                self.push(self.violated[i].1, cone, c);
            }
            // no row is violated but by rounding: a row in the span of the active ones cannot be
            if self.active.len() == before {
                return true;
            }
            self.settle(cone, c);
        }
        false
    }

    /// The most violated rows, the worst one first.
    fn find_violated(&mut self, cone: &Cone, scale: f64, most: usize) {
        self.violated.clear();
        self.products.resize(cone.signs.len(), 0.0);
        panel::multiply_rows(cone.rows, &self.projection, &mut self.products);
        let mut bar = -ROUNDING * scale;
        for (k, (product, &size)) in (0..).zip(self.products.iter().zip(cone.norms)) {
            if size > 0.0 {
                let value = cone.signs[k as usize] * product / size;
                if value < bar && !self.active.contains(&k) {
                    bar = bar.min(SHARE * value);
                    self.violated.push((value, k));
                }
            }
        }
        self.violated.retain(|(value, _)| *value <= bar);
        self.violated.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.violated.truncate(most);
    }

    /// Appends a row to the active set and its factor, unless it depends on those there.
    fn push(&mut self, k: u32, cone: &Cone, c: &[f64]) {
        let (d, p) = (c.len(), self.active.len());
        if p == d {
            return;
        }
        let (own, sign) = (cone.row(k, d), cone.signs[k as usize]);
        for (gram, &other) in self.gram[p * d..].iter_mut().zip(&self.active) {
            *gram = sign * cone.signs[other as usize] * dot(own, cone.row(other, d));
        }
        self.gram[p * d + p] = dot(own, own);
        if self.extend_factor(p, d) {
            self.active.push(k);
            self.multipliers.push(0.0);
            self.wanted.push(-sign * dot(own, c));
        }
    }

    /// Row p of the factor from row p of the Gram matrix; false where it depends on the rows before.
    fn extend_factor(&mut self, p: usize, d: usize) -> bool {
        let (done, new) = self.factor.split_at_mut(p * d);
        for i in 0..p {
            let sum = dot_serial(&done[i * d..i * d + i], &new[..i]);
            new[i] = (self.gram[p * d + i] - sum) / done[i * d + i];
        }
        let square = self.gram[p * d + p];
        let rest = square - dot_serial(&new[..p], &new[..p]);
        new[p] = rest.max(0.0).sqrt();
        rest > 1e-14 * square
    }

    /// Moves the multipliers to the least-squares ones of the active rows, dropping rows whose multiplier would turn
    /// negative on the way, and renews the residual.
    fn settle(&mut self, cone: &Cone, c: &[f64]) {
        let d = c.len();
        loop {
            self.least_squares(d);
            if self.trial.iter().all(|&value| value > 0.0) {
                self.multipliers.copy_from_slice(&self.trial);
                break;
            }
            let pairs = self.multipliers.iter().zip(&self.trial).filter(|(_, new)| !(**new > 0.0));
            let step = pairs.map(|(old, new)| old / (old - new)).fold(1.0f64, f64::min);
            self.drop_rows(step, d);
            if self.active.is_empty() {
                break;
            }
        }
        self.projection.copy_from_slice(c);
        for (&k, &value) in self.active.iter().zip(&self.multipliers) {
            axpy(value * cone.signs[k as usize], cone.row(k, d), &mut self.projection);
        }
    }

    /// Goes a step towards the trial multipliers and drops the rows whose own reach zero.
    fn drop_rows(&mut self, step: f64, d: usize) {
        let (mut kept, mut first) = (Vec::with_capacity(self.active.len()), self.active.len());
        for (i, (old, new)) in self.multipliers.iter_mut().zip(&self.trial).enumerate() {
            // at least one row goes, or a row that is no number any more
            if !(*new > 0.0 || *old > step * (*old - new) * (1.0 + 1e-12)) {
                first = first.min(i);
            } else {
                *old = (*old + step * (new - *old)).max(0.0);
                kept.push(i);
            }
        }
        for (to, &from) in kept.iter().enumerate().skip(first) {
            self.active[to] = self.active[from];
            self.multipliers[to] = self.multipliers[from];
            self.wanted[to] = self.wanted[from];
            for (j, &column) in kept[..=to].iter().enumerate() {
                self.gram[to * d + j] = self.gram[from * d + column];
            }
            self.extend_factor(to, d);
        }
        self.active.truncate(kept.len());
        self.multipliers.truncate(kept.len());
        self.wanted.truncate(kept.len());
    }

    /// trial <- argmin |c + G_A' gamma| without signs: (G_A G_A') gamma = -G_A c.
    fn least_squares(&mut self, d: usize) {
        self.trial.clear();
        let rows = self.factor.chunks_exact(d).take(self.wanted.len());
        for (i, (row, wanted)) in rows.clone().zip(&self.wanted).enumerate() {
            self.trial.push((wanted - dot_serial(&row[..i], &self.trial)) / row[i]);
        }
        for (i, row) in rows.enumerate().rev() {
            self.trial[i] /= row[i];
            let value = self.trial[i];
            axpy(-value, &row[..i], &mut self.trial[..i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_projection_is_in_the_cone_and_its_residual_in_the_polar(
            rows in prop::collection::vec(-1.0f64..1.0, 3 * 12), c in prop::collection::vec(-1.0f64..1.0, 3), inside in prop::collection::vec(-1.0f64..1.0, 3),
        ) {
            // the signs make `inside` an interior point
            let signs: Vec<f64> = rows.chunks(3).map(|x| if dot_serial(x, &inside) >= 0.0 { 1.0 } else { -1.0 }).collect();
            let norms: Vec<f64> = rows.chunks(3).map(norm).collect();
            let mut cone = ConeProjection::default();
            let whole = Cone { rows: &rows, signs: &signs, norms: &norms };
            prop_assert!(cone.project(&whole, &c, &[], 0.0));
            let p = &cone.projection;
            for (k, x) in rows.chunks(3).enumerate() {
                prop_assert!(signs[k] * dot_serial(x, p) >= -1e-11);
            }
            prop_assert!(cone.multipliers.iter().all(|&v| v >= 0.0));
            // orthogonality of the two parts
            let residual: Vec<f64> = c.iter().zip(p).map(|(c, p)| c - p).collect();
            prop_assert!(dot_serial(&residual, p).abs() < 1e-11);
            // the same from any rows, and no more than is asked for
            let mut other = ConeProjection::default();
            prop_assert!(other.project(&whole, &c, &[0, 3, 7, 11], 0.0));
            for (a, b) in other.projection.iter().zip(p) {
                prop_assert!((a - b).abs() < 1e-11);
            }
            let enough = 0.5 * (norm(&c) + norm(p));
            prop_assert!(other.project(&whole, &c, &[], enough) && norm(&other.projection) <= enough);
        }
    }
}
