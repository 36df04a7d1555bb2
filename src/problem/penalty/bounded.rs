//! An elastic net with bounds: h_j(x) = l1 u_j |x| + l2 u_j x^2 / 2 on lower_j <= x <= upper_j, infinite elsewhere.

use super::{ElasticNet, Penalty, Piece};

/// Elastic net on a box. Non-negative coefficients are lower = 0, upper = infinity.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded {
    /// The penalty inside the box.
    pub inner: ElasticNet,
    /// Lower bounds, one per column; minus infinity for none.
    pub lower: Vec<f64>,
    /// Upper bounds, one per column; infinity for none.
    pub upper: Vec<f64>,
}

impl Bounded {
    /// Non-negative coefficients under the given penalty.
    pub fn non_negative(inner: ElasticNet, columns: usize) -> Self {
        Self { inner, lower: vec![0.0; columns], upper: vec![f64::INFINITY; columns] }
    }

    /// argmax over the box of q u - h(u): the inner maximiser, clipped; a linear h is followed to its end.
    fn maximiser(&self, j: usize, q: f64) -> f64 {
        let (lower, upper) = (self.lower[j], self.upper[j]);
        let l1 = self.inner.l1 * self.inner.weights.as_ref().map_or(1.0, |u| u[j]);
        let l2 = self.inner.l2 * self.inner.weights.as_ref().map_or(1.0, |u| u[j]);
        let excess = if q > l1 {
            q - l1
        } else if q < -l1 {
            q + l1
        } else {
            0.0
        };
        let free = if excess == 0.0 {
            0.0
        } else if l2 > 0.0 {
            excess / l2
        } else {
            excess.signum() * f64::INFINITY
        };
        free.clamp(lower, upper)
    }
}

impl Penalty for Bounded {
    fn check(&self, columns: usize) -> Result<(), String> {
        self.inner.check(columns)?;
        if self.lower.len() != columns || self.upper.len() != columns {
            return Err(format!(
                "{} lower and {} upper bounds for {columns} columns",
                self.lower.len(),
                self.upper.len()
            ));
        }
        for (j, (lower, upper)) in self.lower.iter().zip(&self.upper).enumerate() {
            // written so that a NaN fails too
            if !(lower <= upper) || *lower == f64::INFINITY || *upper == f64::NEG_INFINITY {
                return Err(format!(
                    "the bounds of column {j} are [{lower}, {upper}]; lower must not exceed upper"
                ));
            }
        }
        Ok(())
    }

    fn value(&self, j: usize, x: f64) -> f64 {
        if x < self.lower[j] || x > self.upper[j] { f64::INFINITY } else { self.inner.value(j, x) }
    }

    fn prox(&self, j: usize, v: f64, step: f64) -> f64 {
        self.inner.prox(j, v, step).clamp(self.lower[j], self.upper[j])
    }

    fn piece(&self, j: usize, x: f64) -> Option<Piece> {
        let (lower, upper) = (self.lower[j], self.upper[j]);
        if x <= lower || x >= upper {
            return None;
        }
        let piece = self.inner.piece(j, x)?;
        Some(Piece { lower: piece.lower.max(lower), upper: piece.upper.min(upper), ..piece })
    }

    fn violation(&self, j: usize, x: f64, gradient: f64) -> f64 {
        let (lower, upper) = (self.lower[j], self.upper[j]);
        if lower == upper {
            return 0.0;
        }
        // one-sided slopes of gradient u + h(u) at x: optimal exactly when left <= 0 <= right
        let slope = |toward: f64| {
            let l1 = self.inner.l1 * self.inner.weights.as_ref().map_or(1.0, |u| u[j]);
            let l2 = self.inner.l2 * self.inner.weights.as_ref().map_or(1.0, |u| u[j]);
            gradient + l2 * x + l1 * if x == 0.0 { toward } else { x.signum() }
        };
        let left = if x <= lower { 0.0 } else { slope(-1.0).max(0.0) };
        let right = if x >= upper { 0.0 } else { (-slope(1.0)).max(0.0) };
        left.max(right)
    }

    fn dual_scale(&self, j: usize, q: f64) -> f64 {
        let bound = if q > 0.0 { self.upper[j] } else { self.lower[j] };
        if bound.is_finite() { 1.0 } else { self.inner.dual_scale(j, q) }
    }

    fn fenchel_young(&self, j: usize, x: f64, q: f64) -> f64 {
        // h(x) - h(best) - q (x - best), with best the maximiser of q u - h(u)
        let best = self.maximiser(j, q);
        if best.is_infinite() {
            return f64::INFINITY;
        }
        ((self.inner.value(j, x) - self.inner.value(j, best)) - q * (x - best)).max(0.0)
    }

    fn has_dual(&self, j: usize) -> bool {
        self.inner.has_dual(j) || (self.lower[j].is_finite() && self.upper[j].is_finite())
    }

    fn is_smooth(&self) -> bool {
        let free = |l: &f64, u: &f64| *l == f64::NEG_INFINITY && *u == f64::INFINITY;
        self.inner.is_smooth() && self.lower.iter().zip(&self.upper).all(|(l, u)| free(l, u))
    }
}
