//! phi(z; y) = ln(1 + exp(-y z)), y in {-1, +1}.

use super::{Loss, relative_entropy};

/// Logistic loss. Conjugate at v = -y a: a ln a + (1 - a) ln(1 - a) on 0 <= a <= 1.
///
/// Exponentials are only taken of arguments that are not positive, so nothing overflows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logistic;

/// (e, 1/(1 + e)) for e = exp(-|t|).
fn tail(t: f64) -> (f64, f64) {
    let e = (-t.abs()).exp();
    (e, 1.0 / (1.0 + e))
}

impl Loss for Logistic {
    fn name(&self) -> &'static str {
        "logistic"
    }

    fn check_target(&self, y: f64) -> Result<(), &'static str> {
        if y.abs() == 1.0 { Ok(()) } else { Err("logistic takes the classes -1 and +1") }
    }

    fn is_classification(&self) -> bool {
        true
    }

    fn value(&self, z: f64, y: f64) -> f64 {
        let t = y * z;
        (-t).max(0.0) + (-t.abs()).exp().ln_1p()
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        let t = y * z;
        let (e, inverse) = tail(t);
        -y * if t >= 0.0 { e * inverse } else { inverse }
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        let (e, inverse) = tail(y * z);
        e * inverse * inverse
    }

    fn curvature_bound(&self) -> Option<f64> {
        Some(0.25)
    }

    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64 {
        let t = y * z;
        let (e, inverse) = tail(t);
        // p = 1/(1 + exp(t)), the probability that the class is the other one, and 1 - p
        let (p, rest) = if t >= 0.0 { (e * inverse, inverse) } else { (inverse, e * inverse) };
        let a = -y * v;
        if !(-1e-15..=1.0 + 1e-15).contains(&a) {
            return f64::INFINITY;
        }
        // the relative entropy of (a, 1 - a) against (p, 1 - p); 1 - a is formed from the smaller difference
        let a = a.clamp(0.0, 1.0);
        relative_entropy(a, p) + relative_entropy((rest - (a - p)).max(0.0), rest)
    }
}
