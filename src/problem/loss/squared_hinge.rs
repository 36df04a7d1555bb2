//! phi(z; y) = max(0, 1 - y z)^2, y in {-1, +1}.

use super::Loss;

/// Squared hinge (L2-loss support vector machine). Conjugate at v = -y a: a^2/4 - a for a >= 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SquaredHinge;

impl Loss for SquaredHinge {
    fn name(&self) -> &'static str {
        "squared-hinge"
    }

    fn check_target(&self, y: f64) -> Result<(), &'static str> {
        if y.abs() == 1.0 { Ok(()) } else { Err("squared hinge takes the classes -1 and +1") }
    }

    fn is_classification(&self) -> bool {
        true
    }

    fn value(&self, z: f64, y: f64) -> f64 {
        let margin = (1.0 - y * z).max(0.0);
        margin * margin
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        -2.0 * y * (1.0 - y * z).max(0.0)
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        if y * z < 1.0 { 2.0 } else { 0.0 }
    }

    fn curvature_bound(&self) -> Option<f64> {
        Some(2.0)
    }

    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64 {
        let (slack, half) = (1.0 - y * z, -0.5 * y * v);
        if half < 0.0 {
            f64::INFINITY
        } else if slack >= 0.0 {
            (slack - half) * (slack - half)
        } else {
            half * (half - 2.0 * slack)
        }
    }
}
