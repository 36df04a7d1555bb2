//! Losses phi(z; y) of a linear predictor z against a target y, one file each.
//!
//! A new loss is one file with an `impl Loss`: value, two derivatives, a bound of the second one, and the
//! Fenchel-Young term that the duality gap is summed from. Everything else follows.

mod huber;
mod logistic;
mod poisson;
mod proximal;
mod softmax;
mod squared;
mod squared_hinge;

use std::fmt::Debug;
use std::sync::Arc;

pub use huber::Huber;
pub use logistic::Logistic;
pub use poisson::Poisson;
pub(crate) use proximal::proximal;
pub use softmax::Softmax;
pub use squared::Squared;
pub use squared_hinge::SquaredHinge;

/// A convex, differentiable loss phi(z; y) of one predictor.
///
/// The methods over slices have defaults that loop over the scalar ones; a loss with a faster way overrides them.
/// In those, s holds the weights of the rows and all slices have one length.
pub trait Loss: Debug + Send + Sync {
    /// The name used on the command line and in model files.
    fn name(&self) -> &'static str;

    /// What a target must be.
    ///
    /// # Errors
    /// A sentence saying which values the loss takes, if y is not one of them.
    fn check_target(&self, y: f64) -> Result<(), &'static str>;

    /// Whether the target is a class, -1 or +1.
    fn is_classification(&self) -> bool {
        false
    }

    /// phi(z; y).
    fn value(&self, z: f64, y: f64) -> f64;

    /// phi'(z; y), the derivative in z.
    fn derivative(&self, z: f64, y: f64) -> f64;

    /// phi''(z; y); for a piecewise quadratic loss the generalised second derivative.
    fn curvature(&self, z: f64, y: f64) -> f64;

    /// An upper bound of phi'' over all z, if there is one.
    fn curvature_bound(&self) -> Option<f64>;

    /// phi(z) + phi*(v) - z v >= 0, where phi* is the convex conjugate; zero exactly at v = phi'(z). Summed over
    /// the rows this is the loss's part of the duality gap; written so that nothing cancels near v = phi'(z).
    /// Infinite where v is outside the conjugate's domain. The domain must contain, with v, all of [0, v].
    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64;

    /// Sum of s_r phi(z_r; y_r).
    fn sum(&self, z: &[f64], y: &[f64], s: &[f64]) -> f64 {
        z.iter().zip(y).zip(s).map(|((&z, &y), s)| s * self.value(z, y)).sum()
    }

    /// out_r <- s_r phi'(z_r; y_r).
    fn derivatives(&self, z: &[f64], y: &[f64], s: &[f64], out: &mut [f64]) {
        for (((out, &z), &y), s) in out.iter_mut().zip(z).zip(y).zip(s) {
            *out = s * self.derivative(z, y);
        }
    }

    /// out_r <- s_r phi''(z_r; y_r).
    fn curvatures(&self, z: &[f64], y: &[f64], s: &[f64], out: &mut [f64]) {
        for (((out, &z), &y), s) in out.iter_mut().zip(z).zip(y).zip(s) {
            *out = s * self.curvature(z, y);
        }
    }
}

/// The loss of the given name: `squared`, `logistic`, `squared-hinge`, `huber` (delta = 1) or `poisson`.
pub fn by_name(name: &str) -> Option<Arc<dyn Loss>> {
    Some(match name {
        "squared" => Arc::new(Squared),
        "logistic" => Arc::new(Logistic),
        "squared-hinge" => Arc::new(SquaredHinge),
        "huber" => Arc::new(Huber::default()),
        "poisson" => Arc::new(Poisson),
        _ => return None,
    })
}

/// x ln(x / y) - x + y >= 0, with 0 ln 0 = 0: the Kullback-Leibler term, without cancellation near x = y.
pub(crate) fn relative_entropy(x: f64, y: f64) -> f64 {
    if x == 0.0 {
        y
    } else if y == 0.0 {
        f64::INFINITY
    } else {
        let delta = (y - x) / x;
        // x (delta - ln(1 + delta)); the series where the difference of the two would cancel
        if delta.abs() < 1e-3 {
            let (d2, d3) = (delta * delta, delta * delta * delta);
            x * (d2 / 2.0 - d3 / 3.0 + d2 * d2 / 4.0 - d2 * d3 / 5.0)
        } else {
            (x * (delta - delta.ln_1p())).max(0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Arc<dyn Loss>> {
        ["squared", "logistic", "squared-hinge", "huber", "poisson"]
            .iter()
            .map(|n| by_name(n).unwrap())
            .collect()
    }

    fn target(loss: &dyn Loss, raw: f64) -> f64 {
        if loss.is_classification() {
            if raw < 0.0 { -1.0 } else { 1.0 }
        } else if loss.name() == "poisson" {
            raw.abs().floor()
        } else {
            raw
        }
    }

    proptest! {
        #[test]
        fn derivatives_agree_with_differences(z in -4.0f64..4.0, raw in -3.0f64..3.0) {
            for loss in all() {
                let y = target(&*loss, raw);
                let h = 1e-5;
                let slope = (loss.value(z + h, y) - loss.value(z - h, y)) / (2.0 * h);
                prop_assert!((slope - loss.derivative(z, y)).abs() < 2e-4 * (1.0 + slope.abs()), "{}", loss.name());
                let near_kink = match loss.name() {
                    "huber" => ((z - y).abs() - 1.0).abs() < 1e-3,
                    "squared-hinge" => (1.0 - y * z).abs() < 1e-3,
                    _ => false,
                };
                if !near_kink {
                    let bend = (loss.derivative(z + h, y) - loss.derivative(z - h, y)) / (2.0 * h);
                    prop_assert!((bend - loss.curvature(z, y)).abs() < 1e-4 * (1.0 + bend.abs()), "{}", loss.name());
                    if let Some(bound) = loss.curvature_bound() {
                        prop_assert!(loss.curvature(z, y) <= bound * (1.0 + 1e-12));
                    }
                }
            }
        }

        #[test]
        fn fenchel_young_bounds_every_predictor(z in -4.0f64..4.0, raw in -3.0f64..3.0, other in -4.0f64..4.0, c in 0.0f64..1.0) {
            for loss in all() {
                let y = target(&*loss, raw);
                // zero at the loss's own derivative
                let own = loss.derivative(z, y);
                prop_assert!(loss.fenchel_young(z, y, own).abs() <= 1e-14 * (1.0 + loss.value(z, y).abs()), "{}", loss.name());
                // never negative, and phi*(v) = FY(z) - phi(z) + z v is the same number from every z
                let v = c * own;
                let here = loss.fenchel_young(z, y, v);
                prop_assert!(here >= 0.0);
                let from = |z: f64| loss.fenchel_young(z, y, v) - loss.value(z, y) + z * v;
                prop_assert!((from(z) - from(other)).abs() <= 1e-11 * (1.0 + from(z).abs() + loss.value(other, y)), "{}", loss.name());
            }
        }

        #[test]
        fn slice_methods_are_the_scalar_ones(z in prop::collection::vec(-40.0f64..40.0, 1..70), raw in -3.0f64..3.0) {
            for loss in all() {
                let n = z.len();
                let y: Vec<f64> = (0..n).map(|i| target(&*loss, raw + i as f64 * 0.3 - 2.0)).collect();
                let s: Vec<f64> = (0..n).map(|i| 0.5 + (i as f64).sin().abs()).collect();
                let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
                loss.derivatives(&z, &y, &s, &mut first);
                loss.curvatures(&z, &y, &s, &mut second);
                for i in 0..n {
                    let (d, c) = (s[i] * loss.derivative(z[i], y[i]), s[i] * loss.curvature(z[i], y[i]));
                    prop_assert!((first[i] - d).abs() <= 1e-13 * d.abs() + 1e-300, "{} {} {d}", loss.name(), first[i]);
                    prop_assert!((second[i] - c).abs() <= 1e-13 * c.abs() + 1e-300, "{}", loss.name());
                }
                let plain: f64 = (0..n).map(|i| s[i] * loss.value(z[i], y[i])).sum();
                prop_assert!((loss.sum(&z, &y, &s) - plain).abs() <= 1e-13 * plain.abs() + 1e-300);
            }
        }
    }
}
