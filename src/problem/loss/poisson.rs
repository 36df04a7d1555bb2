//! phi(z; y) = exp(z) - y z, y >= 0: Poisson regression with the log link, up to a constant.

use super::{Loss, relative_entropy};

/// Poisson deviance. With w = v + y >= 0 the conjugate is w ln w - w. No bound on the curvature: line search only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poisson;

impl Loss for Poisson {
    fn name(&self) -> &'static str {
        "poisson"
    }

    fn check_target(&self, y: f64) -> Result<(), &'static str> {
        if y >= 0.0 { Ok(()) } else { Err("poisson takes targets that are not negative") }
    }

    fn value(&self, z: f64, y: f64) -> f64 {
        z.exp() - y * z
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        z.exp() - y
    }

    fn curvature(&self, z: f64, _: f64) -> f64 {
        z.exp()
    }

    fn curvature_bound(&self) -> Option<f64> {
        None
    }

    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64 {
        let w = v + y;
        if w < -1e-15 * y { f64::INFINITY } else { relative_entropy(w.max(0.0), z.exp()) }
    }
}
