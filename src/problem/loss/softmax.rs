//! phi(z; c) = ln(sum over k of exp(z_k)) - z_c for a vector of predictors z, one per class, and the class c.

use crate::linalg::elementary::{exp, vectorized};

/// Softmax (multinomial logistic) loss of k >= 2 classes.
///
/// Unlike the scalar losses it couples the predictors of a row: its gradient is P - e_c and its Hessian
/// diag(P) - P P', with P the softmax of z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softmax {
    /// Number of classes.
    pub classes: usize,
}

impl Softmax {
    /// phi(z; class), with P = softmax(z) written to `probabilities`. O(k).
    #[inline(always)]
    pub fn value(&self, z: &[f64], class: usize, probabilities: &mut [f64]) -> f64 {
        debug_assert!(z.len() == self.classes && class < self.classes);
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (p, &value) in probabilities.iter_mut().zip(z) {
            *p = exp(false, value - largest);
        }
        let total: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= total);
        total.ln() + (largest - z[class])
    }

    /// The sum of phi over rows of z, row by row of k numbers, with the rows of P written to `probabilities`. O(n k).
    pub fn sum(&self, z: &[f64], classes: &[usize], probabilities: &mut [f64]) -> f64 {
        let k = self.classes;
        vectorized(
            #[inline(always)]
            || {
                let rows = z.chunks_exact(k).zip(probabilities.chunks_exact_mut(k)).zip(classes);
                rows.map(|((z, p), &class)| self.value(z, class, p)).sum()
            },
        )
    }

    /// out <- (diag(P) - P P') d, the Hessian of one row times a direction. O(k).
    pub fn hessian_product(&self, probabilities: &[f64], d: &[f64], out: &mut [f64]) {
        let mean: f64 = probabilities.iter().zip(d).map(|(p, d)| p * d).sum();
        for ((out, p), d) in out.iter_mut().zip(probabilities).zip(d) {
            *out = p * (d - mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn derivatives_agree_with_differences(z in prop::collection::vec(-5.0f64..5.0, 2..6), pick in 0usize..6) {
            let k = z.len();
            let (loss, class) = (Softmax { classes: k }, pick % k);
            let mut p = vec![0.0; k];
            loss.value(&z, class, &mut p);
            let d: Vec<f64> = (0..k).map(|i| (i as f64 + 1.0).sin()).collect();
            let moved = |h: f64| -> Vec<f64> { z.iter().zip(&d).map(|(z, d)| z + h * d).collect() };
            let (mut up, mut down) = (vec![0.0; k], vec![0.0; k]);
            let h = 1e-5;
            let slope = (loss.value(&moved(h), class, &mut up) - loss.value(&moved(-h), class, &mut down)) / (2.0 * h);
            let gradient: f64 = (0..k).map(|i| (p[i] - f64::from(i == class)) * d[i]).sum();
            prop_assert!((slope - gradient).abs() < 1e-8);
            let mut hd = vec![0.0; k];
            loss.hessian_product(&p, &d, &mut hd);
            for i in 0..k {
                prop_assert!(((up[i] - down[i]) / (2.0 * h) - hd[i]).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn huge_predictors_do_not_overflow() {
        let mut p = [0.0; 2];
        assert_eq!(Softmax { classes: 2 }.value(&[1e300, 0.0], 0, &mut p), 0.0);
        assert_eq!(p, [1.0, 0.0]);
    }
}
