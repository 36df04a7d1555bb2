//! Losses l(z; y) of a network's output, summed over the rows, never averaged.

use crate::problem::loss::{Logistic, Loss as _, Squared, proximal};

/// A convex loss of one output z against one target y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// (z - y)^2 / 2, any y.
    Squared,
    /// ln(1 + exp(-y z)), y in {-1, +1}.
    Logistic,
    /// ln(1 + exp(-2 y z)), y in {-1, +1}: the cross entropy of some published codes, the logistic loss of 2 z.
    CrossEntropy,
    /// max(0, 1 - y z), y in {-1, +1}.
    Hinge,
}

impl Loss {
    /// The name used on the command line and in model files.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Squared => "squared",
            Loss::Logistic => "logistic",
            Loss::CrossEntropy => "cross-entropy",
            Loss::Hinge => "hinge",
        }
    }

    /// The loss of the given name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Loss::Squared, Loss::Logistic, Loss::CrossEntropy, Loss::Hinge]
            .into_iter()
            .find(|l| l.name() == name)
    }

    /// Whether targets must be -1 or +1.
    pub fn needs_classes(self) -> bool {
        self != Loss::Squared
    }

    /// kappa in ln(1 + exp(-kappa y z)).
    fn slope(self) -> f64 {
        if self == Loss::CrossEntropy { 2.0 } else { 1.0 }
    }

    /// l(z; y).
    pub fn value(self, z: f64, y: f64) -> f64 {
        match self {
            Loss::Squared => Squared.value(z, y),
            Loss::Hinge => (1.0 - y * z).max(0.0),
            _ => Logistic.value(self.slope() * z, y),
        }
    }

    /// l'(z; y); at the hinge's kink the subgradient of the flat side, 0.
    pub fn derivative(self, z: f64, y: f64) -> f64 {
        match self {
            Loss::Squared => z - y,
            Loss::Hinge => {
                if y * z < 1.0 {
                    -y
                } else {
                    0.0
                }
            }
            _ => self.slope() * Logistic.derivative(self.slope() * z, y),
        }
    }

    /// l''(z; y); 0 for the hinge.
    pub fn curvature(self, z: f64, y: f64) -> f64 {
        match self {
            Loss::Squared => 1.0,
            Loss::Hinge => 0.0,
            _ => self.slope() * self.slope() * Logistic.curvature(self.slope() * z, y),
        }
    }

    /// l(z) + l*(v) - z v >= 0, zero where v is a (sub)gradient at z; infinite outside the domain of l*.
    pub fn fenchel_young(self, z: f64, y: f64, v: f64) -> f64 {
        match self {
            Loss::Squared => Squared.fenchel_young(z, y, v),
            Loss::Hinge => {
                let a = -y * v;
                if !(-1e-15..=1.0 + 1e-15).contains(&a) {
                    return f64::INFINITY;
                }
                let margin = 1.0 - y * z;
                (margin.max(0.0) - a.clamp(0.0, 1.0) * margin).max(0.0)
            }
            _ => Logistic.fenchel_young(self.slope() * z, y, v / self.slope()),
        }
    }

    /// argmin over p of l(p; y) + rho (p - q)^2 / 2.
    pub fn prox(self, q: f64, y: f64, rho: f64) -> f64 {
        match self {
            Loss::Squared => (y + rho * q) / (1.0 + rho),
            Loss::Hinge => q + y * (1.0 - y * q).clamp(0.0, 1.0 / rho),
            _ => {
                let slopes = |z: f64| (self.derivative(z, y), self.curvature(z, y));
                proximal(slopes, 1.0 / rho, q, q, 0.0).0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prox_minimises_and_leaves_a_subgradient(q in -30.0f64..30.0, raw in -2.0f64..2.0, rho in 0.01f64..10.0, other in -5.0f64..5.0) {
            for loss in [Loss::Squared, Loss::Logistic, Loss::CrossEntropy, Loss::Hinge] {
                let y = if loss.needs_classes() { raw.signum() } else { raw };
                let p = loss.prox(q, y, rho);
                let cost = |z: f64| loss.value(z, y) + rho * (z - q) * (z - q) / 2.0;
                prop_assert!(cost(p) <= cost(other) + 1e-10, "{loss:?}");
                let slope = rho * (q - p);
                // slopes of classes lie between -kappa y and 0, but for rounding
                let limit = loss.slope();
                let slope = if loss.needs_classes() { -y * (-y * slope).clamp(0.0, limit) } else { slope };
                prop_assert!(loss.fenchel_young(p, y, slope) <= 1e-9 * (1.0 + q.abs()), "{loss:?}");
                prop_assert!(loss.fenchel_young(other, y, loss.derivative(other, y)).abs() <= 1e-14 * (1.0 + loss.value(other, y)));
            }
        }
    }
}
