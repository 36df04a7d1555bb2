//! The metric of all samples in place of a batch's own: M = X' diag(w) X / n + diag(r), factored once.

use super::inner::by_output;
use super::model::LinearTargets;
use crate::linalg::ColumnBlock;
use crate::linalg::factor::DenseCholesky;

/// Up to this many columns the metric is a full matrix; beyond it, its diagonal.
pub(crate) const MOST_COLUMNS: usize = 4000;
/// Added to the diagonal relative to its mean: keeps columns of zeros and collinear ones.
const DAMPING: f64 = 1e-8;

/// M^{-1}, the same for every output.
#[derive(Debug, Clone)]
pub(crate) enum Metric {
    Full(DenseCholesky, usize),
    Diagonal(Vec<f64>, usize),
}

impl Metric {
    /// `weights` has one entry per sample (w / n included); `ridge` one per parameter or none. `copy` keeps the compact
    /// data for the next metric.
    pub fn new(
        linear: &LinearTargets,
        weights: &[f64],
        ridge: &[f64],
        copy: &mut Option<ColumnBlock>,
    ) -> Result<Self, String> {
        let (p, k) = (linear.width(), linear.outputs);
        let own = |j: usize| ridge.get(j * k).copied().unwrap_or(0.0);
        if p > MOST_COLUMNS {
            let mut diagonal = linear.design.weighted_squares(weights);
            if linear.intercept {
                diagonal.push(weights.iter().sum());
            }
            let mean = diagonal.iter().sum::<f64>() / p as f64;
            let floor = if mean > 0.0 { DAMPING * mean } else { 1.0 };
            let inverse = diagonal.iter().enumerate().map(|(j, d)| 1.0 / (d + own(j) + floor)).collect();
            return Ok(Metric::Diagonal(inverse, k));
        }
        let block = copy.get_or_insert_with(|| {
            let columns: Vec<usize> = (0..linear.design.columns()).collect();
            let block = linear.design.select(&columns);
            if linear.intercept { block.with_ones() } else { block }
        });
        let mut gram = Vec::new();
        block.gram(weights, &mut gram);
        let mean = (0..p).map(|j| gram[j * p + j]).sum::<f64>() / p.max(1) as f64;
        let floor = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        (0..p).for_each(|j| gram[j * p + j] += own(j) + floor);
        let mut cholesky = DenseCholesky::new();
        cholesky.factor_shifted(p, &mut gram).map_err(|error| error.to_string())?;
        Ok(Metric::Full(cholesky, k))
    }

    /// v <- M^{-1} v.
    pub fn solve(&self, v: &mut [f64]) -> Result<(), String> {
        match self {
            Metric::Full(cholesky, k) => {
                by_output(v, *k, |part| cholesky.solve_in_place(part).map_err(|error| error.to_string()))
            }
            Metric::Diagonal(inverse, k) => {
                for (v, inverse) in v.chunks_exact_mut(*k).zip(inverse) {
                    v.iter_mut().for_each(|v| *v *= inverse);
                }
                Ok(())
            }
        }
    }
}
