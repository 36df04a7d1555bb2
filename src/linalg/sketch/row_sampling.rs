//! Rows drawn at random, with replacement.

use faer::{Mat, MatRef};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sprs::CsMatViewI;

use super::{Sketch, SketchError, by_rows, check_matrix, check_sparse, check_vector, expect_between};

/// Row h of S is e_i / sqrt(s p_i), i drawn with probability p_i (Drineas, Kannan, Mahoney 2006).
///
/// E\[S'S\] = I on the rows of positive probability; rows of weight zero are never drawn.
#[derive(Clone, Debug)]
pub struct RowSampling {
    columns: usize,
    /// w_0 + ... + w_i; empty where all rows have the same weight.
    cumulative: Vec<f64>,
    /// (i, 1/sqrt(s p_i)) for each row of S.
    drawn: Vec<(usize, f64)>,
}

impl RowSampling {
    /// Draws s of n rows with equal probabilities.
    ///
    /// # Errors
    /// `Size` for s = 0; `NoWeight` for n = 0.
    pub fn uniform(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Result<Self, SketchError> {
        expect_between("number of sketch rows", rows, 1 << 48)?;
        if columns == 0 {
            return Err(SketchError::NoWeight);
        }
        let mut sketch = Self { columns, cumulative: Vec::new(), drawn: vec![(0, 0.0); rows] };
        sketch.redraw(rng);
        Ok(sketch)
    }

    /// Draws s rows with probabilities in proportion to the weights: [`squared_row_norms`] of the matrix to be sketched, its
    /// leverage scores, ...
    ///
    /// # Errors
    /// `Size` for s = 0; `Weight` for one that is negative or not finite; `NoWeight` if none is positive.
    pub fn weighted(rows: usize, weights: &[f64], rng: &mut ChaCha8Rng) -> Result<Self, SketchError> {
        expect_between("number of sketch rows", rows, 1 << 48)?;
        if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(SketchError::Weight { index, value: weights[index] });
        }
        // the largest becomes 1, so that neither the sum nor a probability overflows
        let largest = weights.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(SketchError::NoWeight);
        }
        let mut total = 0.0;
        let add = |w: &f64| {
            total += w / largest;
            total
        };
        let cumulative = weights.iter().map(add).collect();
        let mut sketch = Self { columns: weights.len(), cumulative, drawn: vec![(0, 0.0); rows] };
        sketch.redraw(rng);
        Ok(sketch)
    }

    /// The indices that were drawn and their factors 1/sqrt(s p_i), in the order of the rows of S.
    pub fn drawn(&self) -> &[(usize, f64)] {
        &self.drawn
    }
}

impl Sketch for RowSampling {
    fn rows(&self) -> usize {
        self.drawn.len()
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn redraw(&mut self, rng: &mut ChaCha8Rng) {
        let s = self.drawn.len() as f64;
        let (n, cumulative) = (self.columns, &self.cumulative);
        let Some(&total) = cumulative.last() else {
            let factor = (n as f64 / s).sqrt();
            self.drawn.iter_mut().for_each(|drawn| *drawn = (rng.random_range(0..n), factor));
            return;
        };
        for drawn in &mut self.drawn {
            // a row without weight has the same sum as its predecessor and is never the first above the target
            let target = rng.random::<f64>() * total;
            let mut i = cumulative.partition_point(|&sum| sum <= target);
            if i == n {
                // the product was rounded up to the total: the last row with a weight is meant
                i = cumulative.partition_point(|&sum| sum < total);
            }
            let weight = if i == 0 { cumulative[0] } else { cumulative[i] - cumulative[i - 1] };
            *drawn = (i, (total / (s * weight)).sqrt());
        }
    }

    fn apply_vector(&self, x: &[f64], y: &mut [f64]) -> Result<(), SketchError> {
        check_vector(self, x, y)?;
        y.iter_mut().zip(&self.drawn).for_each(|(y, &(i, factor))| *y = factor * x[i]);
        Ok(())
    }

    fn apply_dense(&self, a: MatRef<f64>, out: &mut [f64]) -> Result<(), SketchError> {
        check_matrix(self, a.shape(), out)?;
        out.par_chunks_mut(self.rows()).enumerate().for_each(|(j, out)| {
            let column = a.col(j);
            out.iter_mut().zip(&self.drawn).for_each(|(out, &(i, factor))| *out = factor * column[i]);
        });
        Ok(())
    }

    fn apply_sparse(&self, a: CsMatViewI<f64, u32>, out: &mut [f64]) -> Result<(), SketchError> {
        check_sparse(self, a, out)?;
        by_rows(self.rows(), a.cols(), out, |h, sum| {
            let (i, factor) = self.drawn[h];
            let row = a.outer_view(i);
            row.iter().flat_map(|row| row.iter()).for_each(|(j, &value)| sum[j] = factor * value);
        });
        Ok(())
    }

    fn materialize(&self) -> Mat<f64> {
        let mut s = Mat::zeros(self.rows(), self.columns);
        self.drawn.iter().enumerate().for_each(|(h, &(i, factor))| s[(h, i)] = factor);
        s
    }
}

/// |a_i|^2 of each row of a dense matrix: the weights of norm-weighted sampling.
pub fn squared_row_norms(a: MatRef<f64>) -> Vec<f64> {
    let mut sums = vec![0.0; a.nrows()];
    for column in a.col_iter() {
        sums.iter_mut().zip(column.iter()).for_each(|(sum, value)| *sum += value * value);
    }
    sums
}

/// |a_i|^2 of each row of a sparse matrix, stored by rows or by columns.
pub fn squared_row_norms_sparse(a: CsMatViewI<f64, u32>) -> Vec<f64> {
    let mut sums = vec![0.0; a.rows()];
    for (&value, (i, _)) in a.iter() {
        sums[i as usize] += value * value;
    }
    sums
}
