//! phi(z; y) = ln(1 + exp(-y z)), y in {-1, +1}.

use super::{Loss, relative_entropy};
use crate::linalg::elementary::{exp, ln_1p_unit, vectorized};

/// Logistic loss. Conjugate at v = -y a: a ln a + (1 - a) ln(1 - a) on 0 <= a <= 1.
///
/// Exponentials are only taken of arguments that are not positive, so nothing overflows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logistic;

/// (e, 1/(1 + e)) for e = exp(-|t|).
#[inline(always)]
fn tail(t: f64) -> (f64, f64) {
    let e = exp(false, -t.abs());
    (e, 1.0 / (1.0 + e))
}

#[inline(always)]
fn value(t: f64) -> f64 {
    (-t).max(0.0) + ln_1p_unit(exp(false, -t.abs()))
}

/// 1/(1 + exp(t)).
#[inline(always)]
fn other_class(t: f64) -> f64 {
    let (e, inverse) = tail(t);
    inverse * if t >= 0.0 { e } else { 1.0 }
}

#[inline(always)]
fn curvature(t: f64) -> f64 {
    let (e, inverse) = tail(t);
    e * inverse * inverse
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
        value(y * z)
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        -y * other_class(y * z)
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        curvature(y * z)
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

    fn sum(&self, z: &[f64], y: &[f64], s: &[f64]) -> f64 {
        vectorized(
            #[inline(always)]
            || {
                // one accumulator per lane: the order of summation is the same on every machine
                let mut lanes = [0.0; 8];
                let (z8, y8, s8) = (z.chunks_exact(8), y.chunks_exact(8), s.chunks_exact(8));
                let tail = z8.remainder().iter().zip(y8.remainder()).zip(s8.remainder());
                let rest: f64 = tail.map(|((z, y), s)| s * value(y * z)).sum();
                for ((z, y), s) in z8.zip(y8).zip(s8) {
                    for k in 0..8 {
                        lanes[k] += s[k] * value(y[k] * z[k]);
                    }
                }
                lanes.iter().sum::<f64>() + rest
            },
        )
    }

    fn derivatives(&self, z: &[f64], y: &[f64], s: &[f64], out: &mut [f64]) {
        vectorized(
            #[inline(always)]
            || {
                for (((out, z), y), s) in out.iter_mut().zip(z).zip(y).zip(s) {
                    *out = -s * y * other_class(y * z);
                }
            },
        );
    }

    fn curvatures(&self, z: &[f64], y: &[f64], s: &[f64], out: &mut [f64]) {
        vectorized(
            #[inline(always)]
            || {
                for (((out, z), y), s) in out.iter_mut().zip(z).zip(y).zip(s) {
                    *out = s * curvature(y * z);
                }
            },
        );
    }
}
