//! The limited memory of L-BFGS around any initial matrix (Nocedal 1980).

use serde::{Deserialize, Serialize};

use crate::linalg::product::{axpy, dot};

/// Pairs (s, y) of steps and changes of the gradient, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    most: usize,
    pairs: Vec<(Vec<f64>, Vec<f64>, f64)>,
}

impl Memory {
    pub fn new(most: usize) -> Self {
        Self { most, pairs: Vec::new() }
    }

    /// Whether all vectors have d entries.
    pub fn fits(&self, d: usize) -> bool {
        self.pairs.iter().all(|(s, y, _)| s.len() == d && y.len() == d)
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Keeps a pair if its curvature s'y is positive.
    pub fn push(&mut self, s: Vec<f64>, y: Vec<f64>) {
        let curvature = dot(&s, &y);
        if !(curvature > 1e-300 && curvature.is_finite()) {
            return;
        }
        if self.pairs.len() >= self.most.max(1) {
            self.pairs.remove(0);
        }
        self.pairs.push((s, y, 1.0 / curvature));
    }

    /// s'y / y'y of the newest pair: the usual scalar in place of a matrix.
    pub fn scale(&self) -> Option<f64> {
        self.pairs.last().map(|(_, y, inverse)| 1.0 / (inverse * dot(y, y)))
    }

    /// -H v by the two-loop recursion; `initial` applies the initial matrix in place.
    pub fn direction(&self, v: &[f64], initial: impl FnOnce(&mut [f64])) -> Vec<f64> {
        let mut q = v.to_vec();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for (s, y, inverse) in self.pairs.iter().rev() {
            let alpha = inverse * dot(s, &q);
            axpy(-alpha, y, &mut q);
            alphas.push(alpha);
        }
        initial(&mut q);
        for ((s, y, inverse), alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = inverse * dot(y, &q);
            axpy(alpha - beta, s, &mut q);
        }
        q.iter_mut().for_each(|v| *v = -*v);
        q
    }
}
