//! Proximal maps of worst-case losses and projections onto robust cones.
//!
//! A budget allows perturbations |delta| <= eps of the first columns, so the worst case of x'p is x'p +- eps size(p), size the
//! dual norm: l1 for an l-infinity budget, l2 for l2. Everything reduces to one decreasing function of one number, since
//! the proximal map of a multiple of the size is a shrinkage.

use crate::linalg::product::dot_serial;
use crate::relu::Loss;

/// Which perturbations of the features are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Every feature by at most eps.
    Infinity,
    /// The vector of features by at most eps in length.
    Euclidean,
}

/// The perturbations |delta|_norm <= eps of the first `perturbed` columns; a bias column comes last and is never perturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// The norm.
    pub norm: Norm,
    /// Its bound, not negative.
    pub epsilon: f64,
    /// Columns, from the first, that are perturbed.
    pub perturbed: usize,
}

impl Budget {
    /// The dual norm of the perturbed part: max of delta'v over the budget is eps times this.
    pub fn size(&self, v: &[f64]) -> f64 {
        let v = &v[..self.perturbed];
        match self.norm {
            Norm::Infinity => v.iter().map(|v| v.abs()).sum(),
            Norm::Euclidean => dot_serial(v, v).sqrt(),
        }
    }

    /// out <- argmin of |out - q|^2 / 2 + level size(out).
    pub(super) fn shrink(&self, q: &[f64], level: f64, out: &mut [f64]) {
        out.copy_from_slice(q);
        let part = &mut out[..self.perturbed];
        match self.norm {
            Norm::Infinity => part.iter_mut().for_each(|v| *v = v.signum() * (v.abs() - level).max(0.0)),
            Norm::Euclidean => {
                let length = dot_serial(part, part).sqrt();
                let keep = if length > level { 1.0 - level / length } else { 0.0 };
                part.iter_mut().for_each(|v| *v *= keep);
            }
        }
    }

    /// Projects onto the dual ball {size* <= radius}, zero on the columns that aren't perturbed. Without a radius, where
    /// rounding has left none, nothing is a number.
    pub(super) fn clip(&self, v: &mut [f64], radius: f64) {
        if !(radius >= 0.0) {
            return v.fill(f64::NAN);
        }
        let (part, rest) = v.split_at_mut(self.perturbed);
        rest.fill(0.0);
        match self.norm {
            Norm::Infinity => part.iter_mut().for_each(|v| *v = v.clamp(-radius, radius)),
            Norm::Euclidean => {
                let length = dot_serial(part, part).sqrt();
                if length > radius {
                    part.iter_mut().for_each(|v| *v *= radius / length);
                }
            }
        }
    }

    /// The perturbation within the budget that raises delta'g most.
    pub fn worst(&self, g: &[f64], delta: &mut [f64]) {
        delta.fill(0.0);
        let length = self.size(g);
        for (d, g) in delta.iter_mut().zip(&g[..self.perturbed]) {
            *d = match self.norm {
                Norm::Infinity if *g != 0.0 => self.epsilon * g.signum(),
                Norm::Euclidean if length > 0.0 => self.epsilon * g / length,
                _ => 0.0,
            };
        }
    }
}

/// The worst loss of a row over the budget, for an output that is linear there: x'p at the row, `size` of p.
pub(super) fn worst_loss(loss: Loss, output: f64, y: f64, reach: f64) -> f64 {
    match loss {
        Loss::Squared => 0.5 * ((output - y).abs() + reach).powi(2),
        _ => loss.value(output - y * reach, y),
    }
}

/// What the proximal map of a row gives: the subgradient is `along` x + a vector in the dual ball of radius eps `alpha`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowDual {
    pub alpha: f64,
    pub along: f64,
}

impl RowDual {
    /// -f*(c subgradient), the row's part of the dual value.
    pub fn value(&self, loss: Loss, y: f64, c: f64) -> f64 {
        let entropy = |a: f64| {
            let term = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
            term(a) + term(1.0 - a)
        };
        match loss {
            Loss::Squared => -c * self.along * y - 0.5 * (c * self.alpha).powi(2),
            Loss::Hinge => c * self.alpha,
            Loss::Logistic => entropy((c * self.alpha).clamp(0.0, 1.0)),
            Loss::CrossEntropy => entropy((0.5 * c * self.alpha).clamp(0.0, 1.0)),
        }
    }
}

/// p <- argmin of f(p) + rho |p - q|^2 / 2 for the worst-case loss f of the row (x, y). `scratch` has the length of p.
pub(super) fn row(
    (loss, budget): (Loss, &Budget),
    (x, y): (&[f64], f64),
    (q, rho): (&[f64], f64),
    p: &mut [f64],
    scratch: &mut [f64],
) -> RowDual {
    let eps = budget.epsilon;
    // p(tau, alpha) and the pair x'p, eps size(p)
    let mut at = |along: f64, alpha: f64, p: &mut [f64]| {
        scratch.iter_mut().zip(q.iter().zip(x)).for_each(|(s, (q, x))| *s = q - along * x / rho);
        budget.shrink(scratch, alpha * eps / rho, p);
        (dot_serial(x, p), eps * budget.size(p))
    };
    match loss {
        Loss::Hinge => {
            let mut excess = |alpha: f64| {
                let (output, reach) = at(-alpha * y, alpha, p);
                1.0 - y * output + reach
            };
            let alpha = decreasing_root(&mut excess, 0.0, 1.0);
            at(-alpha * y, alpha, p);
            RowDual { alpha, along: -alpha * y }
        }
        Loss::Logistic | Loss::CrossEntropy => {
            let slope = if loss == Loss::CrossEntropy { 2.0 } else { 1.0 };
            let mut excess = |share: f64| {
                let alpha = slope * share;
                let (output, reach) = at(-alpha * y, alpha, p);
                slope * (reach - y * output) - (share / (1.0 - share)).ln()
            };
            let alpha = slope * decreasing_root(&mut excess, 1e-15, 1.0 - 1e-15);
            at(-alpha * y, alpha, p);
            RowDual { alpha, along: -alpha * y }
        }
        Loss::Squared => {
            for sign in [1.0, -1.0] {
                let mut excess = |alpha: f64| {
                    let (output, reach) = at(sign * alpha, alpha, p);
                    sign * (output - y) + reach - alpha
                };
                let top = excess(0.0);
                if top >= 0.0 {
                    let alpha = decreasing_root(&mut excess, 0.0, top);
                    let (output, _) = at(sign * alpha, alpha, p);
                    if sign * (output - y) >= 0.0 {
                        return RowDual { alpha, along: sign * alpha };
                    }
                }
            }
            // the residual is zero: the slope along x lies anywhere between -alpha and alpha, and alpha maximises what is
            // left, a concave function whose derivative is |residual| + reach - alpha
            let mut excess = |alpha: f64| {
                let along = decreasing_root(&mut |along| at(along, alpha, p).0 - y, -alpha, alpha);
                let (output, reach) = at(along, alpha, p);
                (output - y).abs() + reach - alpha
            };
            let mut top = 1.0;
            while excess(top) > 0.0 && top < 1e100 {
                top *= 2.0;
            }
            let alpha = decreasing_root(&mut excess, 0.0, top);
            let along = decreasing_root(&mut |along| at(along, alpha, p).0 - y, -alpha, alpha);
            at(along, alpha, p);
            RowDual { alpha, along }
        }
    }
}

/// (s, w) <- the nearest point with every s_k >= eps size(w); s and w hold the point to project.
pub(super) fn robust_cone(budget: &Budget, s: &mut [f64], w: &mut [f64], scratch: &mut [f64]) {
    let eps = budget.epsilon;
    let lack = |s: &[f64], size: f64| s.iter().map(|s| (eps * size - s).max(0.0)).sum::<f64>();
    let start = eps * lack(s, budget.size(w));
    if start > 0.0 {
        scratch.copy_from_slice(w);
        let q = scratch.to_vec();
        let mut excess = |level: f64| {
            budget.shrink(&q, level, scratch);
            eps * lack(s, budget.size(scratch)) - level
        };
        let level = decreasing_root(&mut excess, 0.0, start);
        budget.shrink(&q, level, w);
    }
    let floor = eps * budget.size(w);
    s.iter_mut().for_each(|s| *s = s.max(floor));
}

/// The root of a decreasing function on \[low, high\], or the end nearest to it: regula falsi with the Illinois rule,
/// bisected where that is slow.
fn decreasing_root(f: &mut dyn FnMut(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let mut at_low = f(low);
    if !(at_low > 0.0) {
        return low;
    }
    let mut at_high = f(high);
    if at_high >= 0.0 {
        return high;
    }
    let (width, mut side) = (high - low, 0);
    for k in 0..100 {
        if high - low <= 1e-14 * width {
            break;
        }
        let mut middle = low + (high - low) * (at_low / (at_low - at_high)).clamp(0.0, 1.0);
        if k % 4 == 3 || !(middle > low && middle < high) {
            middle = 0.5 * (low + high);
        }
        let value = f(middle);
        if value == 0.0 {
            return middle;
        }
        if value > 0.0 {
            (low, at_low) = (middle, value);
            if side == 1 {
                at_high *= 0.5;
            }
            side = 1;
        } else {
            (high, at_high) = (middle, value);
            if side == -1 {
                at_low *= 0.5;
            }
            side = -1;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn maps_minimise(q in prop::collection::vec(-2.0f64..2.0, 4), x in prop::collection::vec(-2.0f64..2.0, 4), raw in -1.5f64..1.5,
            rho in 0.1f64..3.0, eps in 0.01f64..0.6, other in prop::collection::vec(-0.3f64..0.3, 4), euclidean in any::<bool>()) {
            let norm = if euclidean { Norm::Euclidean } else { Norm::Infinity };
            let budget = Budget { norm, epsilon: eps, perturbed: 3 };
            for loss in [Loss::Hinge, Loss::Logistic, Loss::CrossEntropy, Loss::Squared] {
                let y = if loss.needs_classes() { raw.signum() } else { raw };
                let (mut p, mut scratch) = (vec![0.0; 4], vec![0.0; 4]);
                let dual = row((loss, &budget), (&x, y), (&q, rho), &mut p, &mut scratch);
                let cost = |p: &[f64]| {
                    let square: f64 = p.iter().zip(&q).map(|(p, q)| (p - q) * (p - q)).sum();
                    worst_loss(loss, dot_serial(&x, p), y, eps * budget.size(p)) + rho * square / 2.0
                };
                let moved: Vec<f64> = p.iter().zip(&other).map(|(p, o)| p + o).collect();
                prop_assert!(cost(&p) <= cost(&moved) + 1e-8, "{loss:?} {} {}", cost(&p), cost(&moved));
                // strong duality of the row: f(p) + f*(g) = p'g for g = rho (q - p)
                let inner: f64 = p.iter().zip(&q).map(|(p, q)| p * rho * (q - p)).sum();
                let f = worst_loss(loss, dot_serial(&x, &p), y, eps * budget.size(&p));
                prop_assert!((f - dual.value(loss, y, 1.0) - inner).abs() <= 1e-5 * (1.0 + f), "{loss:?} {f} {} {inner}", dual.value(loss, y, 1.0));
            }
            let (mut s, mut w, mut scratch) = (vec![raw, 0.1, -0.2], q.clone(), vec![0.0; 4]);
            robust_cone(&budget, &mut s, &mut w, &mut scratch);
            let floor = eps * budget.size(&w);
            prop_assert!(s.iter().all(|s| *s >= floor));
            // the nearest: no feasible point on the segment to another feasible point is nearer
            let target = [vec![raw, 0.1, -0.2], q.clone()].concat();
            let here = [s, w].concat();
            let (mut t, mut v) = (vec![0.5, 0.2, 0.3], other.clone());
            robust_cone(&budget, &mut t, &mut v, &mut scratch);
            let there = [t, v].concat();
            let product: f64 = (0..7).map(|k| (target[k] - here[k]) * (there[k] - here[k])).sum();
            prop_assert!(product <= 1e-8);
        }
    }
}
