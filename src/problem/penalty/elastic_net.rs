//! h_j(x) = l1 u_j |x| + l2 u_j x^2 / 2: no penalty, lasso, ridge, elastic net.

use super::{Penalty, Piece};

/// Elastic net. With l1 = 0 ridge, with l2 = 0 lasso, with both 0 no penalty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ElasticNet {
    /// Weight of the absolute values, not negative.
    pub l1: f64,
    /// Weight of the half squares, not negative.
    pub l2: f64,
    /// Factors u_j of both parts, one per column, not negative; all 1 where absent. 0 leaves a column unpenalised.
    pub weights: Option<Vec<f64>>,
}

impl ElasticNet {
    /// l1 u_j and l2 u_j.
    fn at(&self, j: usize) -> (f64, f64) {
        match &self.weights {
            None => (self.l1, self.l2),
            Some(u) => (self.l1 * u[j], self.l2 * u[j]),
        }
    }
}

/// sign(v) max(|v| - threshold, 0).
fn soft_threshold(v: f64, threshold: f64) -> f64 {
    if v > threshold {
        v - threshold
    } else if v < -threshold {
        v + threshold
    } else {
        0.0
    }
}

impl Penalty for ElasticNet {
    fn check(&self, columns: usize) -> Result<(), String> {
        for (name, value) in [("l1", self.l1), ("l2", self.l2)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("{name} is {value}; it must be finite and not negative"));
            }
        }
        let Some(weights) = &self.weights else { return Ok(()) };
        if weights.len() != columns {
            return Err(format!("{} penalty weights for {columns} columns", weights.len()));
        }
        match weights.iter().position(|&u| !(u >= 0.0 && u.is_finite())) {
            Some(j) => {
                Err(format!("penalty weight {j} is {}; it must be finite and not negative", weights[j]))
            }
            None => Ok(()),
        }
    }

    fn value(&self, j: usize, x: f64) -> f64 {
        let (l1, l2) = self.at(j);
        l1 * x.abs() + 0.5 * l2 * x * x
    }

    fn prox(&self, j: usize, v: f64, step: f64) -> f64 {
        let (l1, l2) = self.at(j);
        if step == f64::INFINITY {
            return if l1 > 0.0 || l2 > 0.0 { 0.0 } else { v };
        }
        soft_threshold(v, step * l1) / (1.0 + step * l2)
    }

    fn piece(&self, j: usize, x: f64) -> Option<Piece> {
        let (l1, l2) = self.at(j);
        let (lower, upper, sign) = if l1 == 0.0 {
            (f64::NEG_INFINITY, f64::INFINITY, 0.0)
        } else if x > 0.0 {
            (0.0, f64::INFINITY, 1.0)
        } else if x < 0.0 {
            (f64::NEG_INFINITY, 0.0, -1.0)
        } else {
            return None;
        };
        Some(Piece { lower, upper, slope: l1 * sign + l2 * x, curvature: l2 })
    }

    fn violation(&self, j: usize, x: f64, gradient: f64) -> f64 {
        let (l1, l2) = self.at(j);
        if x == 0.0 { (gradient.abs() - l1).max(0.0) } else { (gradient + l1 * x.signum() + l2 * x).abs() }
    }

    fn dual_scale(&self, j: usize, q: f64) -> f64 {
        let (l1, l2) = self.at(j);
        if l2 > 0.0 || q.abs() <= l1 { 1.0 } else { l1 / q.abs() }
    }

    fn fenchel_young(&self, j: usize, x: f64, q: f64) -> f64 {
        let (l1, l2) = self.at(j);
        // l1 |x| - x clip(q, -l1, l1), and the excess e = q - clip(q): l2 x^2/2 - x e + e^2/(2 l2) = (l2 x - e)^2/(2 l2)
        let inside = q.clamp(-l1, l1);
        let linear = (l1 * x.abs() - x * inside).max(0.0);
        if l2 == 0.0 {
            return linear;
        }
        let rest = l2 * x - (q - inside);
        linear + rest * rest / (2.0 * l2)
    }

    fn has_dual(&self, j: usize) -> bool {
        let (l1, l2) = self.at(j);
        l1 > 0.0 || l2 > 0.0
    }

    fn is_smooth(&self) -> bool {
        self.l1 == 0.0
    }
}
