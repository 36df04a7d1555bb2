//! Independent normal entries.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use sprs::CsMatViewI;

use super::{Sketch, SketchError, by_rows, check_matrix, check_sparse, check_vector, expect_between};
use crate::linalg::product::dot;

/// Entries N(0, 1/s), independent. Keeps all s n of them.
#[derive(Clone, Debug)]
pub struct Gaussian {
    rows: usize,
    columns: usize,
    /// Row-major.
    entries: Vec<f64>,
}

/// Columns of A that are multiplied at a time: a fixed number, so that the bits don't depend on the threads.
const BLOCK: usize = 8;

impl Gaussian {
    /// Draws an s x n sketch.
    ///
    /// # Errors
    /// `Size` for s = 0 or more than 2^48 entries.
    pub fn new(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Result<Self, SketchError> {
        expect_between("number of sketch rows", rows, (1 << 48) / columns.max(1))?;
        let mut sketch = Self { rows, columns, entries: vec![0.0; rows * columns] };
        sketch.redraw(rng);
        Ok(sketch)
    }

    fn row(&self, h: usize) -> &[f64] {
        &self.entries[h * self.columns..(h + 1) * self.columns]
    }
}

impl Sketch for Gaussian {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn redraw(&mut self, rng: &mut ChaCha8Rng) {
        let scale = 1.0 / (self.rows as f64).sqrt();
        for entry in &mut self.entries {
            let normal: f64 = StandardNormal.sample(rng);
            *entry = scale * normal;
        }
    }

    fn apply_vector(&self, x: &[f64], y: &mut [f64]) -> Result<(), SketchError> {
        check_vector(self, x, y)?;
        y.par_iter_mut().with_min_len(1 + (1 << 15) / self.columns.max(1)).enumerate().for_each(|(h, y)| {
            *y = dot(self.row(h), x);
        });
        Ok(())
    }

    fn apply_dense(&self, a: MatRef<f64>, out: &mut [f64]) -> Result<(), SketchError> {
        check_matrix(self, a.shape(), out)?;
        let s = MatRef::from_row_major_slice(&self.entries, self.rows, self.columns);
        out.par_chunks_mut(self.rows * BLOCK).enumerate().for_each(|(k, out)| {
            let width = out.len() / self.rows;
            let out = MatMut::from_column_major_slice_mut(out, self.rows, width);
            matmul(out, Accum::Replace, s, a.subcols(k * BLOCK, width), 1.0, Par::Seq);
        });
        Ok(())
    }

    fn apply_sparse(&self, a: CsMatViewI<f64, u32>, out: &mut [f64]) -> Result<(), SketchError> {
        check_sparse(self, a, out)?;
        by_rows(self.rows, a.cols(), out, |h, sum| {
            for (row, &factor) in a.outer_iterator().zip(self.row(h)) {
                row.iter().for_each(|(j, &value)| sum[j] += factor * value);
            }
        });
        Ok(())
    }

    fn materialize(&self) -> Mat<f64> {
        MatRef::from_row_major_slice(&self.entries, self.rows, self.columns).to_owned()
    }
}
