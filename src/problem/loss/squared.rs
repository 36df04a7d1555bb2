//! phi(z; y) = (z - y)^2 / 2.

use super::Loss;

/// Half the squared residual; any real target. Conjugate phi*(v) = v^2/2 + v y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squared;

impl Loss for Squared {
    fn name(&self) -> &'static str {
        "squared"
    }

    fn check_target(&self, _: f64) -> Result<(), &'static str> {
        Ok(())
    }

    fn value(&self, z: f64, y: f64) -> f64 {
        0.5 * (z - y) * (z - y)
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        z - y
    }

    fn curvature(&self, _: f64, _: f64) -> f64 {
        1.0
    }

    fn curvature_bound(&self) -> Option<f64> {
        Some(1.0)
    }

    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64 {
        0.5 * (z - y - v) * (z - y - v)
    }
}
