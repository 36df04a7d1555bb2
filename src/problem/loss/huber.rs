//! phi(z; y) = r^2/2 for |r| <= delta, delta (|r| - delta/2) beyond; r = z - y.

use super::Loss;

/// Huber's loss: quadratic near the target, linear far from it. Conjugate v^2/2 + v y on |v| <= delta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Huber {
    /// Where the loss turns linear, positive, in units of the target.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

impl Loss for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn check_target(&self, _: f64) -> Result<(), &'static str> {
        if self.delta > 0.0 && self.delta.is_finite() {
            Ok(())
        } else {
            Err("huber takes a positive, finite delta")
        }
    }

    fn value(&self, z: f64, y: f64) -> f64 {
        let r = (z - y).abs();
        if r <= self.delta { 0.5 * r * r } else { self.delta * (r - 0.5 * self.delta) }
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        (z - y).clamp(-self.delta, self.delta)
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        if (z - y).abs() <= self.delta { 1.0 } else { 0.0 }
    }

    fn curvature_bound(&self) -> Option<f64> {
        Some(1.0)
    }

    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64 {
        let r = z - y;
        let inside = r.clamp(-self.delta, self.delta);
        if v.abs() > self.delta * (1.0 + 1e-15) {
            return f64::INFINITY;
        }
        // phi(r) - v r + v^2/2 = (inside - v)^2/2 + (delta sign(r) - v)(r - inside): both terms are not negative
        0.5 * (inside - v) * (inside - v) + ((inside - v) * (r - inside)).max(0.0)
    }
}
