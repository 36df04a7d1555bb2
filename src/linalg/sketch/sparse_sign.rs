//! A few random signs per column; with one of them, CountSketch.

use faer::{Mat, MatRef};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sprs::CsMatViewI;

use super::{
    Sketch, SketchError, by_rows, check_matrix, check_sparse, check_vector, contiguous, expect_between,
};

/// In each column zeta entries +-1/sqrt(zeta), at different rows, uniformly and independently between columns.
///
/// zeta = 1 is CountSketch (Charikar, Chen, Farach-Colton 2002; Clarkson and Woodruff 2013); zeta = 8 serves as well as a
/// Gaussian sketch in practice (Martinsson and Tropp 2020, section 9.2).
#[derive(Clone, Debug)]
pub struct SparseSign {
    rows: usize,
    columns: usize,
    per_column: usize,
    /// The rows of the entries, `per_column` for each column, ascending.
    positions: Vec<u32>,
    /// The entries.
    values: Vec<f64>,
    /// The same entries by rows: `starts[h]..starts[h + 1]` is row h, columns ascending.
    starts: Vec<usize>,
    by_row: Vec<(u32, f64)>,
}

impl SparseSign {
    /// Draws an s x n sketch with zeta = `per_column` entries in each column.
    ///
    /// # Errors
    /// `Size` for s = 0, zeta = 0, zeta > s, or sizes above 2^32.
    pub fn new(
        rows: usize,
        columns: usize,
        per_column: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, SketchError> {
        expect_between("number of sketch rows", rows, u32::MAX as usize)?;
        expect_between("number of sketch columns", columns.max(1), u32::MAX as usize)?;
        expect_between("number of nonzeros per column", per_column, rows)?;
        let entries = columns * per_column;
        let mut sketch = Self {
            rows,
            columns,
            per_column,
            positions: vec![0; entries],
            values: vec![0.0; entries],
            starts: vec![0; rows + 1],
            by_row: vec![(0, 0.0); entries],
        };
        sketch.redraw(rng);
        Ok(sketch)
    }

    /// Draws an s x n CountSketch: one entry +-1 in each column.
    ///
    /// # Errors
    /// `Size` for s = 0 or sizes above 2^32.
    pub fn count_sketch(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Result<Self, SketchError> {
        Self::new(rows, columns, 1, rng)
    }

    /// (row, value) pairs of column i.
    fn column(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = i * self.per_column..(i + 1) * self.per_column;
        self.positions[range.clone()].iter().zip(&self.values[range]).map(|(&h, &value)| (h as usize, value))
    }

    /// y <- S x.
    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        y.fill(0.0);
        let entries =
            self.positions.chunks_exact(self.per_column).zip(self.values.chunks_exact(self.per_column));
        for (&x, (positions, values)) in x.iter().zip(entries) {
            positions.iter().zip(values).for_each(|(&h, value)| y[h as usize] += value * x);
        }
    }

    /// Distinct rows for one column, ascending (Floyd's method).
    fn draw_positions(positions: &mut [u32], rows: usize, rng: &mut ChaCha8Rng) {
        let count = positions.len();
        for k in 0..count {
            let last = (rows - count + k) as u32;
            let drawn = rng.random_range(0..=last);
            positions[k] = if positions[..k].contains(&drawn) { last } else { drawn };
        }
        positions.sort_unstable();
    }

    /// Sorts the entries by rows (counting sort, columns stay ascending).
    fn sort_by_row(&mut self) {
        self.starts.fill(0);
        for &h in &self.positions {
            self.starts[h as usize + 1] += 1;
        }
        for h in 0..self.rows {
            self.starts[h + 1] += self.starts[h];
        }
        for (k, (&h, &value)) in self.positions.iter().zip(&self.values).enumerate() {
            let next = &mut self.starts[h as usize];
            self.by_row[*next] = ((k / self.per_column) as u32, value);
            *next += 1;
        }
        // each start has moved to the end of its row, which is the start of the next
        self.starts.copy_within(0..self.rows, 1);
        self.starts[0] = 0;
    }
}

impl Sketch for SparseSign {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn redraw(&mut self, rng: &mut ChaCha8Rng) {
        let size = 1.0 / (self.per_column as f64).sqrt();
        for positions in self.positions.chunks_exact_mut(self.per_column) {
            Self::draw_positions(positions, self.rows, rng);
        }
        for value in &mut self.values {
            *value = if rng.random::<bool>() { size } else { -size };
        }
        self.sort_by_row();
    }

    fn apply_vector(&self, x: &[f64], y: &mut [f64]) -> Result<(), SketchError> {
        check_vector(self, x, y)?;
        self.multiply(x, y);
        Ok(())
    }

    fn apply_dense(&self, a: MatRef<f64>, out: &mut [f64]) -> Result<(), SketchError> {
        check_matrix(self, a.shape(), out)?;
        out.par_chunks_mut(self.rows).enumerate().for_each_init(Vec::new, |buffer, (j, out)| {
            self.multiply(contiguous(a, j, buffer), out);
        });
        Ok(())
    }

    fn apply_sparse(&self, a: CsMatViewI<f64, u32>, out: &mut [f64]) -> Result<(), SketchError> {
        check_sparse(self, a, out)?;
        by_rows(self.rows, a.cols(), out, |h, sum| {
            for &(i, factor) in &self.by_row[self.starts[h]..self.starts[h + 1]] {
                let row = a.outer_view(i as usize);
                row.iter().flat_map(|row| row.iter()).for_each(|(j, &value)| sum[j] += factor * value);
            }
        });
        Ok(())
    }

    fn materialize(&self) -> Mat<f64> {
        let mut s = Mat::zeros(self.rows, self.columns);
        for i in 0..self.columns {
            self.column(i).for_each(|(h, value)| s[(h, i)] = value);
        }
        s
    }
}
