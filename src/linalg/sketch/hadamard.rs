//! Subsampled randomised Hadamard transform.

use faer::{Mat, MatRef};
use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sprs::CsMatViewI;

use super::{
    Sketch, SketchError, by_rows, check_matrix, check_sparse, check_vector, contiguous, expect_between,
};

/// S = sqrt(N/s) R H D on vectors padded by zeros to N = 2^k: D random signs, H the orthonormal Walsh-Hadamard matrix, R s
/// different rows of N drawn uniformly (Ailon and Chazelle 2009; Tropp 2011). Every entry of S is +-1/sqrt(s).
#[derive(Clone, Debug)]
pub struct Hadamard {
    columns: usize,
    /// N.
    padded: usize,
    signs: Vec<f64>,
    /// The rows of H that are kept, ascending.
    kept: Vec<usize>,
}

impl Hadamard {
    /// Draws an s x n sketch, 1 <= s <= N.
    ///
    /// # Errors
    /// `Size` for s = 0 or s > N.
    pub fn new(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Result<Self, SketchError> {
        expect_between("number of sketch columns", columns.max(1), 1 << 48)?;
        let padded = columns.max(1).next_power_of_two();
        expect_between("number of sketch rows", rows, padded)?;
        let mut sketch = Self { columns, padded, signs: vec![0.0; columns], kept: vec![0; rows] };
        sketch.redraw(rng);
        Ok(sketch)
    }

    /// y <- S x, with N entries of scratch.
    fn multiply(&self, x: &[f64], work: &mut [f64], y: &mut [f64]) {
        for ((work, x), sign) in work.iter_mut().zip(x).zip(&self.signs) {
            *work = sign * x;
        }
        work[self.columns..].fill(0.0);
        walsh_hadamard(work);
        let scale = self.entry_size();
        y.iter_mut().zip(&self.kept).for_each(|(y, &h)| *y = scale * work[h]);
    }

    fn entry_size(&self) -> f64 {
        1.0 / (self.kept.len() as f64).sqrt()
    }

    /// Entry (r, i) of S: (-1)^(number of ones that the h-th kept row and i have in common) d_i / sqrt(s).
    fn entry(&self, h: usize, i: usize) -> f64 {
        let odd = (self.kept[h] & i).count_ones() % 2 == 1;
        if odd { -self.signs[i] * self.entry_size() } else { self.signs[i] * self.entry_size() }
    }
}

/// x <- H x with entries +-1, x of length a power of two: N log2 N additions, two levels of the recursion per pass over x.
fn walsh_hadamard(x: &mut [f64]) {
    let mut quarter = 1;
    while 4 * quarter <= x.len() {
        for four in x.chunks_exact_mut(4 * quarter) {
            let (first, second) = four.split_at_mut(2 * quarter);
            let ((a, b), (c, d)) = (first.split_at_mut(quarter), second.split_at_mut(quarter));
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (ab, a_b, cd, c_d) = (*a + *b, *a - *b, *c + *d, *c - *d);
                (*a, *b, *c, *d) = (ab + cd, a_b + c_d, ab - cd, a_b - c_d);
            }
        }
        quarter *= 4;
    }
    if quarter < x.len() {
        let (upper, lower) = x.split_at_mut(quarter);
        for (a, b) in upper.iter_mut().zip(lower) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

impl Sketch for Hadamard {
    fn rows(&self) -> usize {
        self.kept.len()
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn redraw(&mut self, rng: &mut ChaCha8Rng) {
        for sign in &mut self.signs {
            *sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
        }
        let drawn = index::sample(rng, self.padded, self.kept.len());
        self.kept.iter_mut().zip(drawn.iter()).for_each(|(kept, drawn)| *kept = drawn);
        self.kept.sort_unstable();
    }

    fn apply_vector(&self, x: &[f64], y: &mut [f64]) -> Result<(), SketchError> {
        check_vector(self, x, y)?;
        self.multiply(x, &mut vec![0.0; self.padded], y);
        Ok(())
    }

    fn apply_dense(&self, a: MatRef<f64>, out: &mut [f64]) -> Result<(), SketchError> {
        check_matrix(self, a.shape(), out)?;
        let scratch = || (Vec::new(), vec![0.0; self.padded]);
        out.par_chunks_mut(self.rows()).enumerate().for_each_init(scratch, |(buffer, work), (j, out)| {
            self.multiply(contiguous(a, j, buffer), work, out);
        });
        Ok(())
    }

    /// Entry by entry where A is sparse enough, s nnz(A) operations; else by transforms of its columns, d N log2 N.
    fn apply_sparse(&self, a: CsMatViewI<f64, u32>, out: &mut [f64]) -> Result<(), SketchError> {
        check_sparse(self, a, out)?;
        let transform = a.cols() as f64 * self.padded as f64 * f64::from(self.padded.trailing_zeros() + 1);
        if (self.rows() as f64) * (a.nnz() as f64) <= transform {
            by_rows(self.rows(), a.cols(), out, |h, sum| {
                for (i, row) in a.outer_iterator().enumerate() {
                    let factor = self.entry(h, i);
                    row.iter().for_each(|(j, &value)| sum[j] += factor * value);
                }
            });
            return Ok(());
        }
        let by_columns = a.to_other_storage();
        let scratch = || (vec![0.0; self.columns], vec![0.0; self.padded]);
        out.par_chunks_mut(self.rows()).enumerate().for_each_init(scratch, |(dense, work), (j, out)| {
            dense.fill(0.0);
            let column = by_columns.outer_view(j);
            column.iter().flat_map(|column| column.iter()).for_each(|(i, &value)| dense[i] = value);
            self.multiply(dense, work, out);
        });
        Ok(())
    }

    fn materialize(&self) -> Mat<f64> {
        Mat::from_fn(self.rows(), self.columns, |h, i| self.entry(h, i))
    }
}
