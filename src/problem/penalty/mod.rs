//! Penalties h(x) = sum of h_j(x_j) on the coefficients, one file each.
//!
//! A new separable penalty is one file with an `impl Penalty`: the value, the proximal map, the conjugate, and how
//! its graph is cut into smooth pieces. [`Group`] couples the coefficients of a group and stands apart.

mod bounded;
mod elastic_net;
mod group;

use std::fmt::Debug;

pub use bounded::Bounded;
pub use elastic_net::ElasticNet;
pub use group::Group;

/// One smooth piece of a penalty's graph: the open interval around x on which h_j is twice differentiable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Where the piece begins; may be minus infinity.
    pub lower: f64,
    /// Where it ends; may be infinity.
    pub upper: f64,
    /// h_j'(x).
    pub slope: f64,
    /// h_j''(x).
    pub curvature: f64,
}

/// A convex penalty that is a sum of functions of one coefficient each.
pub trait Penalty: Debug + Send + Sync {
    /// Checks the penalty's own numbers against p coefficients.
    ///
    /// # Errors
    /// A sentence naming the option that is wrong, its value and what would be right.
    fn check(&self, columns: usize) -> Result<(), String>;

    /// h_j(x); infinite outside the domain.
    fn value(&self, j: usize, x: f64) -> f64;

    /// argmin over u of (u - v)^2 / (2 step) + h_j(u). A step of infinity gives the minimiser of h_j nearest to v.
    fn prox(&self, j: usize, v: f64, step: f64) -> f64;

    /// The smooth piece that contains x, or none where x sits on a kink or a bound.
    fn piece(&self, j: usize, x: f64) -> Option<Piece>;

    /// Distance from -gradient to the subdifferential of h_j at x: zero exactly where x is optimal given the others.
    fn violation(&self, j: usize, x: f64, gradient: f64) -> f64;

    /// The largest c in [0, 1] for which the conjugate h_j*(c q) is finite.
    fn dual_scale(&self, j: usize, q: f64) -> f64;

    /// h_j(x) + h_j*(q) - x q >= 0 for a q in the conjugate's domain: the penalty's part of the duality gap, written
    /// so that nothing cancels.
    fn fenchel_young(&self, j: usize, x: f64, q: f64) -> f64;

    /// Whether the conjugate is finite in a neighbourhood of zero, so that scaling a dual point makes it feasible.
    fn has_dual(&self, j: usize) -> bool;

    /// Whether every coefficient has one smooth piece only: no kink, no bound.
    fn is_smooth(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(l1: f64, l2: f64) -> Vec<Box<dyn Penalty>> {
        let net = ElasticNet { l1, l2, weights: Some(vec![0.5, 2.0]) };
        let boxed = |lower: f64, upper: f64| Bounded {
            inner: net.clone(),
            lower: vec![lower; 2],
            upper: vec![upper; 2],
        };
        vec![
            Box::new(net.clone()),
            Box::new(boxed(0.0, f64::INFINITY)),
            Box::new(boxed(-0.7, 1.3)),
            Box::new(boxed(0.4, 1.3)),
        ]
    }

    proptest! {
        #[test]
        fn prox_is_the_minimiser(l1 in 0.0f64..2.0, l2 in 0.0f64..2.0, v in -4.0f64..4.0, step in 0.01f64..5.0, other in -4.0f64..4.0) {
            for penalty in all(l1, l2) {
                for j in 0..2 {
                    let best = penalty.prox(j, v, step);
                    let cost = |u: f64| (u - v) * (u - v) / (2.0 * step) + penalty.value(j, u);
                    prop_assert!(cost(best).is_finite());
                    prop_assert!(cost(best) <= cost(other) + 1e-12);
                    // the proximal point's own gradient leaves no violation
                    prop_assert!(penalty.violation(j, best, (best - v) / step) <= 1e-9 * (1.0 + v.abs() / step));
                }
            }
        }

        #[test]
        fn fenchel_young_is_the_supremum(l1 in 0.01f64..2.0, l2 in 0.0f64..2.0, x in -4.0f64..4.0, q in -4.0f64..4.0, other in -9.0f64..9.0) {
            for penalty in all(l1, l2) {
                for j in 0..2 {
                    if !penalty.has_dual(j) || !penalty.value(j, x).is_finite() { continue; }
                    let c = penalty.dual_scale(j, q);
                    prop_assert!((0.0..=1.0).contains(&c));
                    let q = c * q;
                    let gap = penalty.fenchel_young(j, x, q);
                    prop_assert!(gap >= 0.0 && gap.is_finite());
                    // h*(q) = gap - h(x) + x q bounds q u - h(u) for every u
                    let conjugate = gap - penalty.value(j, x) + x * q;
                    prop_assert!(q * other - penalty.value(j, other) <= conjugate + 1e-9);
                    // and is reached where q is a subgradient
                    let u = penalty.prox(j, x + q, 1.0);
                    let own = x + q - u;
                    prop_assert!(penalty.fenchel_young(j, u, own).abs() <= 1e-12 * (1.0 + own * own), "{penalty:?} {u} {own}");
                }
            }
        }

        #[test]
        fn pieces_carry_the_derivatives(l1 in 0.0f64..2.0, l2 in 0.0f64..2.0, x in -2.0f64..2.0) {
            for penalty in all(l1, l2) {
                if let Some(piece) = penalty.piece(1, x) {
                    let h = 1e-6;
                    if piece.lower + 2.0 * h < x && x < piece.upper - 2.0 * h {
                        let slope = (penalty.value(1, x + h) - penalty.value(1, x - h)) / (2.0 * h);
                        prop_assert!((slope - piece.slope).abs() < 1e-7);
                        prop_assert!(penalty.violation(1, x, -piece.slope) < 1e-14);
                    }
                }
            }
        }
    }
}
