//! Patterns that hold on the whole budget.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::prox::Budget;
use super::{RobustRelu, Training};
use crate::linalg::product::{dot_serial, norm};
use crate::relu::{Error, Patterns};

/// Patterns, weights inside their robust cones, and how many patterns had none.
pub(super) struct Robust {
    pub patterns: Patterns,
    pub interior: Vec<Vec<f64>>,
    pub empty: usize,
}

impl RobustRelu {
    /// The candidates of a run.
    pub(super) fn sample(&self, training: &Training) -> Result<Patterns, Error> {
        if self.budget.epsilon == 0.0 {
            return Patterns::sample(training, self.patterns, self.seed);
        }
        Ok(self.candidates(training))
    }

    /// Those patterns that some weight keeps on the whole budget.
    pub(super) fn hold(&self, training: &Training, sampled: &Patterns) -> Robust {
        let x = training.x();
        let d = training.columns();
        let rows: Vec<f64> = (0..training.rows()).flat_map(|k| (0..d).map(move |j| x[(k, j)])).collect();
        let found: Vec<Option<Vec<f64>>> = (0..sampled.len())
            .into_par_iter()
            .map(|i| {
                let sign = |k: usize| if sampled.is_active(i, k) { 1.0 } else { -1.0 };
                let signs: Vec<f64> = (0..training.rows()).map(sign).collect();
                interior_weight(&rows, &signs, sampled.gate(i), &self.budget)
            })
            .collect();
        let mut kept = sampled.clone();
        kept.retain(|i| found[i].is_some());
        let interior: Vec<Vec<f64>> = found.into_iter().flatten().collect();
        let empty = sampled.len() - kept.len();
        Robust { patterns: kept, interior, empty }
    }

    /// Patterns on the data, on perturbed data, with larger constant terms; all rows, and each class.
    fn candidates(&self, training: &Training) -> Patterns {
        let d = training.columns();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut patterns = Patterns::new(training.rows());
        let has_bias = self.budget.perturbed < d;
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        // a least-squares separator: rows of the one class and of the other; a constant: all rows
        let mut separator = vec![0.0; d];
        for (k, y) in training.target().iter().enumerate() {
            separator.iter_mut().enumerate().for_each(|(j, s)| *s += y * training.x()[(k, j)]);
        }
        for sign in [1.0, -1.0] {
            patterns.add(training, separator.iter().map(|s| sign * s).collect());
        }
        if has_bias {
            patterns.add(training, (0..d).map(|j| if j + 1 == d { 1.0 } else { 0.0 }).collect());
        }
        for i in 0..self.patterns {
            let mut gate: Vec<f64> = (0..d).map(|_| normal()).collect();
            match i % 3 {
                1 => {
                    // perturbed rows
                    let mut delta = vec![0.0; d];
                    let shifted: Vec<f64> = (0..training.rows())
                        .flat_map(|k| {
                            let raw: Vec<f64> = (0..d).map(|_| normal()).collect();
                            self.budget.worst(&raw, &mut delta);
                            (0..d).map(|j| training.x()[(k, j)] + delta[j]).collect::<Vec<f64>>()
                        })
                        .collect();
                    patterns.add_mask_of(&training.with_rows(&shifted), gate);
                    continue;
                }
                2 if has_bias => gate[d - 1] *= 4.0 * (d as f64).sqrt(),
                _ => {}
            }
            patterns.add(training, gate);
        }
        patterns
    }
}

/// A weight with sign_k x_k'g > eps |g|* for all rows, by the perceptron with a margin; none if no margin is met.
fn interior_weight(rows: &[f64], signs: &[f64], gate: &[f64], budget: &Budget) -> Option<Vec<f64>> {
    let d = gate.len();
    let scale = rows.chunks_exact(d).map(norm).fold(0.0, f64::max);
    let mut delta = vec![0.0; d];
    for margin in [0.1, 0.01, 0.001, 1e-5] {
        let mut g = gate.to_vec();
        for _ in 0..300 {
            let length = norm(&g).max(1e-300);
            g.iter_mut().for_each(|g| *g /= length);
            let reach = budget.epsilon * budget.size(&g);
            let value = |(row, sign): (&[f64], &f64)| sign * dot_serial(row, &g) - reach;
            let worst = rows
                .chunks_exact(d)
                .zip(signs)
                .enumerate()
                .map(|(k, pair)| (value(pair), k))
                .fold((f64::INFINITY, 0), |a, b| if b.0 < a.0 { b } else { a });
            if worst.0 >= margin * scale || (worst.0 > 0.0 && margin <= 1e-5) {
                return Some(g);
            }
            budget.worst(&g, &mut delta);
            let row = &rows[worst.1 * d..(worst.1 + 1) * d];
            for ((g, x), delta) in g.iter_mut().zip(row).zip(&delta) {
                *g += (signs[worst.1] * x - delta) / scale * 0.5;
            }
        }
    }
    None
}
