//! Matrices of low rank with some observed entries, made from a seed.

#![allow(dead_code, clippy::unwrap_used)]

use gradus::completion::{Duplicates, LowRankModel, Observations};
use gradus::linalg::TallMatrix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// M = L diag(s) R', its observed entries, and what is needed to judge a completion.
pub struct Instance {
    pub left: TallMatrix,
    pub right: TallMatrix,
    pub entries: Vec<(u32, u32, f64)>,
    pub deviation: f64,
}

/// m x n of rank k with orthonormal factors, singular values from `condition` to 1 in equal ratios, each entry observed
/// with probability p, and normal noise of `noise` root mean squares.
pub fn instance(m: usize, n: usize, k: usize, p: f64, condition: f64, noise: f64, seed: u64) -> Instance {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut left = TallMatrix::from_fn(m, k, |_, _| rng.sample(StandardNormal));
    let mut right = TallMatrix::from_fn(n, k, |_, _| rng.sample(StandardNormal));
    left.orthonormalize().unwrap();
    right.orthonormalize().unwrap();
    let size = ((m * n) as f64 / k as f64).sqrt();
    for i in 0..m {
        for (c, value) in left.row_mut(i).iter_mut().enumerate() {
            let share = if k > 1 { 1.0 - c as f64 / (k - 1) as f64 } else { 0.0 };
            *value *= size * condition.powf(share);
        }
    }
    let value = |i: usize, j: usize| -> f64 {
        left.row(i).iter().zip(right.row(j)).map(|(a, b): (&f64, &f64)| a * b).sum()
    };
    let mut entries = Vec::new();
    for i in 0..m {
        for j in 0..n {
            if rng.random::<f64>() < p {
                entries.push((i as u32, j as u32, value(i, j)));
            }
        }
    }
    let squares: f64 = entries.iter().map(|(.., v)| v * v).sum();
    let deviation = noise * (squares / entries.len() as f64).sqrt();
    for (.., v) in &mut entries {
        *v += deviation * rng.sample::<f64, _>(StandardNormal);
    }
    Instance { left, right, entries, deviation }
}

impl Instance {
    pub fn problem(&self) -> Observations {
        Observations::new(self.left.rows(), self.right.rows(), &self.entries, Duplicates::Refuse).unwrap()
    }

    /// |model - M| / |M| over the whole matrix.
    pub fn error(&self, model: &LowRankModel) -> f64 {
        let (mut squares, mut whole) = (0.0, 0.0);
        for i in 0..self.left.rows() {
            for j in 0..self.right.rows() {
                let value: f64 = self.left.row(i).iter().zip(self.right.row(j)).map(|(a, b)| a * b).sum();
                let error = value - model.predict(i, j);
                squares += error * error;
                whole += value * value;
            }
        }
        (squares / whole).sqrt()
    }

    /// Noise spread evenly over the degrees of freedom: what an oracle that knows the factors' spaces would be left with,
    /// relative to |M|.
    pub fn oracle(&self) -> f64 {
        let (m, n, k) = (self.left.rows(), self.right.rows(), self.left.columns());
        let freedom = (k * (m + n - k)) as f64;
        let mut whole = 0.0;
        for i in 0..m {
            for j in 0..n {
                let value: f64 = self.left.row(i).iter().zip(self.right.row(j)).map(|(a, b)| a * b).sum();
                whole += value * value;
            }
        }
        self.deviation * (freedom / self.entries.len() as f64).sqrt() * ((m * n) as f64 / whole).sqrt()
    }
}
