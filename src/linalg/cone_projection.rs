//! Projection onto a polyhedral cone {v : g_k'v >= 0} by non-negative least squares.

use super::product::{axpy, dot_serial, norm};

/// The projection of c onto K = {v : g_k'v >= 0 for all k}, found through its dual
/// min over gamma >= 0 of |c + sum_k gamma_k g_k|: the minimiser's residual is the projection, and max of c'v over the
/// v in K with |v| <= 1 is its norm.
///
/// An active-set method (Lawson and Hanson 1974, chapter 23) with a Cholesky factor of the active rows' Gram matrix that
/// grows by one row a step; rows with a factor each, g_k = s_k x_k, so that many cones can share one set of rows.
/// O(n d + p^2) a step with p <= d active rows, about as many steps as rows are active at the end.
#[derive(Clone, Debug, Default)]
pub struct ConeProjection {
    /// The rows that are active at the projection.
    pub active: Vec<u32>,
    /// Their multipliers gamma, positive.
    pub multipliers: Vec<f64>,
    /// The projection c + sum of gamma_k g_k.
    pub projection: Vec<f64>,
    /// Lower Cholesky factor of the Gram matrix, by rows.
    factor: Vec<Vec<f64>>,
    trial: Vec<f64>,
}

/// A violation below this share of |g_k| |c| is rounding.
const ROUNDING: f64 = 1e-13;

impl ConeProjection {
    /// Projects c (length d) onto the cone of the rows s_k x_k; `rows` holds the x_k one after the other, `signs` the
    /// s_k, `norms` the |x_k|. Any gamma >= 0 gives a valid bound, so running out of steps (3 n + 10 d) is no error: the
    /// projection is then the best residual so far. Returns whether the projection was reached.
    pub fn project(&mut self, rows: &[f64], signs: &[f64], norms: &[f64], c: &[f64]) -> bool {
        let (d, n) = (c.len(), signs.len());
        self.active.clear();
        self.multipliers.clear();
        self.factor.clear();
        self.projection.clear();
        self.projection.extend_from_slice(c);
        let scale = norm(c);
        if scale == 0.0 || d == 0 {
            return true;
        }
        let row = |k: u32| &rows[k as usize * d..(k as usize + 1) * d];
        for _ in 0..3 * n + 10 * d {
            let mut worst = (-ROUNDING * scale, None);
            for (k, x) in rows.chunks_exact(d).enumerate() {
                if norms[k] > 0.0 {
                    let value = signs[k] * dot_serial(x, &self.projection) / norms[k];
                    if value < worst.0 && !self.active.contains(&(k as u32)) {
                        worst = (value, Some(k as u32));
                    }
                }
            }
            let Some(k) = worst.1 else { return true };
            // a row in the span of the active ones cannot be violated but by rounding
            if self.active.len() >= d || !self.push(k, &row, signs) {
                return true;
            }
            self.settle(&row, signs, c);
        }
        false
    }

    /// Appends a row to the active set and its factor; false where it depends on the others.
    fn push<'a>(&mut self, k: u32, row: &impl Fn(u32) -> &'a [f64], signs: &[f64]) -> bool {
        let own = row(k);
        let mut new: Vec<f64> = Vec::with_capacity(self.active.len() + 1);
        for (i, &other) in self.active.iter().enumerate() {
            let gram = signs[k as usize] * signs[other as usize] * dot_serial(own, row(other));
            let sum: f64 = self.factor[i][..i].iter().zip(&new).map(|(a, b)| a * b).sum();
            new.push((gram - sum) / self.factor[i][i]);
        }
        let square = dot_serial(own, own);
        let rest = square - new.iter().map(|v| v * v).sum::<f64>();
        if !(rest > 1e-14 * square) {
            return false;
        }
        new.push(rest.sqrt());
        self.factor.push(new);
        self.active.push(k);
        self.multipliers.push(0.0);
        true
    }

    /// Moves the multipliers to the least-squares ones of the active rows, dropping rows whose multiplier would turn
    /// negative on the way, and renews the residual.
    fn settle<'a>(&mut self, row: &impl Fn(u32) -> &'a [f64], signs: &[f64], c: &[f64]) {
        loop {
            self.least_squares(row, signs, c);
            let mut step = 1.0f64;
            for (old, new) in self.multipliers.iter().zip(&self.trial) {
                if *new <= 0.0 {
                    step = step.min(old / (old - new));
                }
            }
            let reached = self.trial.iter().all(|&value| value > 0.0);
            for (old, new) in self.multipliers.iter_mut().zip(&self.trial) {
                *old = if reached { *new } else { *old + step * (new - *old) };
            }
            if reached {
                break;
            }
            let smallest = self.multipliers.iter().zip(&self.trial).filter(|(_, new)| **new <= 0.0);
            let least = smallest.map(|(old, _)| *old).fold(f64::INFINITY, f64::min);
            let drop: Vec<bool> = self
                .multipliers
                .iter()
                .zip(&self.trial)
                .map(|(old, new)| *new <= 0.0 && *old <= least)
                .collect();
            let kept: Vec<u32> =
                self.active.iter().zip(&drop).filter(|(_, d)| !**d).map(|(k, _)| *k).collect();
            let values: Vec<f64> =
                self.multipliers.iter().zip(&drop).filter(|(_, d)| !**d).map(|(v, _)| *v).collect();
            self.active.clear();
            self.multipliers.clear();
            self.factor.clear();
            for (k, value) in kept.into_iter().zip(values) {
                if self.push(k, row, signs)
                    && let Some(last) = self.multipliers.last_mut()
                {
                    *last = value.max(0.0);
                }
            }
            if self.active.is_empty() {
                break;
            }
        }
        self.projection.copy_from_slice(c);
        for (&k, &value) in self.active.iter().zip(&self.multipliers) {
            axpy(value * signs[k as usize], row(k), &mut self.projection);
        }
    }

    /// trial <- argmin |c + G_A' gamma| without signs: (G_A G_A') gamma = -G_A c.
    fn least_squares<'a>(&mut self, row: &impl Fn(u32) -> &'a [f64], signs: &[f64], c: &[f64]) {
        self.trial.clear();
        for (i, &k) in self.active.iter().enumerate() {
            let sum: f64 = self.factor[i][..i].iter().zip(&self.trial).map(|(a, b)| a * b).sum();
            self.trial.push((-signs[k as usize] * dot_serial(row(k), c) - sum) / self.factor[i][i]);
        }
        for i in (0..self.trial.len()).rev() {
            let sum: f64 = (i + 1..self.trial.len()).map(|r| self.factor[r][i] * self.trial[r]).sum();
            self.trial[i] = (self.trial[i] - sum) / self.factor[i][i];
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
            prop_assert!(cone.project(&rows, &signs, &norms, &c));
            let p = &cone.projection;
            for (k, x) in rows.chunks(3).enumerate() {
                prop_assert!(signs[k] * dot_serial(x, p) >= -1e-11);
            }
            prop_assert!(cone.multipliers.iter().all(|&v| v >= 0.0));
            // orthogonality of the two parts
            let residual: Vec<f64> = c.iter().zip(p).map(|(c, p)| c - p).collect();
            prop_assert!(dot_serial(&residual, p).abs() < 1e-11);
        }
    }
}
