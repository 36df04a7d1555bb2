//! A few columns of a [`DesignMatrix`], copied into a compact matrix, for many products with the same few columns:
//! z + B d, B'v, and the weighted Gram matrix B' W B.

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::design::{DesignMatrix, VectorView};
use super::product::{PARALLEL_ENTRIES, axpy, dot, piece_count, split_by_ranges, sum_pieces};

#[derive(Debug, Clone)]
enum Storage {
    /// Compressed rows; rows without an entry are left out. `rows[k]` is the row that the k-th range belongs to.
    Sparse { rows: Vec<u32>, offsets: Vec<u32>, positions: Vec<u32>, values: Vec<f64> },
    /// Column-major, n x k.
    Dense { values: Vec<f64> },
}

/// Columns B = A[:, columns] of a data matrix, with an optional last column of ones (the intercept).
#[derive(Debug, Clone)]
pub struct ColumnBlock {
    storage: Storage,
    rows: usize,
    columns: usize,
    ones: bool,
    /// Mean and scale of each column where the matrix is centred and scaled on the fly.
    standardization: Option<(Vec<f64>, Vec<f64>)>,
}

impl ColumnBlock {
    pub(super) fn new(design: &DesignMatrix, columns: &[usize]) -> Self {
        let rows = design.rows();
        let storage = if design.is_dense() {
            let mut values = Vec::with_capacity(rows * columns.len());
            for &j in columns {
                values.extend(design.column(j).iter().map(|(_, value)| value));
            }
            Storage::Dense { values }
        } else {
            sparse_storage(design, columns)
        };
        let standardization = design.standardization().map(|s| {
            (columns.iter().map(|&j| s.means[j]).collect(), columns.iter().map(|&j| s.scales[j]).collect())
        });
        Self { storage, rows, columns: columns.len(), ones: false, standardization }
    }

    /// Appends a column of ones, the last one.
    pub fn with_ones(mut self) -> Self {
        self.ones = true;
        self
    }

    /// k, the number of columns, the column of ones included.
    pub fn columns(&self) -> usize {
        self.columns + usize::from(self.ones)
    }

    /// Multiplications that a Gram matrix takes: the sum over rows of half the square of the row's entries.
    pub fn gram_cost(&self) -> usize {
        match &self.storage {
            Storage::Sparse { offsets, .. } => offsets
                .windows(2)
                .map(|pair| {
                    let entries = (pair[1] - pair[0]) as usize;
                    entries * (entries + 1) / 2
                })
                .sum(),
            Storage::Dense { .. } => self.rows * self.columns * (self.columns + 1) / 2,
        }
    }

    /// z <- z + B d.
    pub fn add_product(&self, d: &[f64], z: &mut [f64]) {
        assert_eq!((d.len(), z.len()), (self.columns(), self.rows), "z + B d: wrong lengths");
        let mut constant = if self.ones { d[self.columns] } else { 0.0 };
        let scaled: Vec<f64>;
        let coefficients = match &self.standardization {
            None => &d[..self.columns],
            Some((means, scales)) => {
                scaled = d.iter().zip(scales).map(|(value, scale)| value / scale).collect();
                constant -= scaled.iter().zip(means).map(|(value, mean)| value * mean).sum::<f64>();
                &scaled
            }
        };
        match &self.storage {
            Storage::Sparse { .. } => self.add_product_sparse(coefficients, z),
            Storage::Dense { values } => {
                for (column, &coefficient) in values.chunks_exact(self.rows.max(1)).zip(coefficients) {
                    if coefficient != 0.0 {
                        axpy(coefficient, column, z);
                    }
                }
            }
        }
        if constant != 0.0 {
            z.iter_mut().for_each(|value| *value += constant);
        }
    }

    fn add_product_sparse(&self, coefficients: &[f64], z: &mut [f64]) {
        let Storage::Sparse { rows, offsets, positions, values } = &self.storage else { return };
        let piece = |range: std::ops::Range<usize>, first: usize, z: &mut [f64]| {
            for (row, ends) in rows[range.clone()].iter().zip(offsets[range.start..=range.end].windows(2)) {
                let entries = ends[0] as usize..ends[1] as usize;
                let terms = positions[entries.clone()].iter().zip(&values[entries]);
                let product: f64 = terms.map(|(&c, value)| value * coefficients[c as usize]).sum();
                z[*row as usize - first] += product;
            }
        };
        if positions.len() < PARALLEL_ENTRIES {
            return piece(0..rows.len(), 0, z);
        }
        const ROWS: usize = 2048;
        let starts: Vec<usize> = (0..rows.len()).step_by(ROWS).collect();
        let end = |k: usize| rows.get(k + ROWS).map_or(self.rows, |&row| row as usize);
        let begin = |k: usize| if k == 0 { 0 } else { rows[k] as usize };
        let ranges: Vec<_> = starts.iter().map(|&k| begin(k)..end(k)).collect();
        let parts = split_by_ranges(z, &ranges);
        starts
            .into_par_iter()
            .zip(parts)
            .for_each(|(k, part)| piece(k..rows.len().min(k + ROWS), begin(k), part));
    }

    /// out <- B'v.
    pub fn multiply_transpose(&self, v: &[f64], out: &mut [f64]) {
        assert_eq!((v.len(), out.len()), (self.rows, self.columns()), "B'v: wrong lengths");
        self.multiply_transpose_stored(v, out);
        if self.ones || self.standardization.is_some() {
            let total: f64 = v.iter().sum();
            if let Some((means, scales)) = &self.standardization {
                for ((value, mean), scale) in out.iter_mut().zip(means).zip(scales) {
                    *value = (*value - mean * total) / scale;
                }
            }
            if self.ones {
                out[self.columns] = total;
            }
        }
    }

    fn multiply_transpose_stored(&self, v: &[f64], out: &mut [f64]) {
        match &self.storage {
            Storage::Sparse { rows, offsets, positions, values } => {
                let pieces = piece_count(positions.len(), out.len());
                sum_pieces(rows.len(), pieces, out, |range, sums| {
                    let ends = offsets[range.start..=range.end].windows(2);
                    for (row, ends) in rows[range].iter().zip(ends) {
                        let weight = v[*row as usize];
                        let entries = ends[0] as usize..ends[1] as usize;
                        for (&c, value) in positions[entries.clone()].iter().zip(&values[entries]) {
                            sums[c as usize] += weight * value;
                        }
                    }
                });
            }
            Storage::Dense { values } => {
                for (column, value) in values.chunks_exact(self.rows.max(1)).zip(out.iter_mut()) {
                    *value = dot(column, v);
                }
            }
        }
    }

    /// gram <- B' diag(weights) B, k x k column-major, both triangles. Parallel over fixed pieces of the rows.
    pub fn gram(&self, weights: &[f64], gram: &mut Vec<f64>) {
        assert_eq!(weights.len(), self.rows, "one weight per row");
        let k = self.columns();
        gram.clear();
        gram.resize(k * k, 0.0);
        match &self.storage {
            Storage::Sparse { .. } => self.gram_sparse(weights, gram),
            Storage::Dense { values } => self.gram_dense(values, weights, gram),
        }
        if self.ones || self.standardization.is_some() {
            self.gram_corrections(weights, gram);
        }
        for j in 0..k {
            for i in 0..j {
                gram[i * k + j] = gram[j * k + i];
            }
        }
    }

    /// The upper triangle of the stored columns' Gram matrix, row by row.
    fn gram_sparse(&self, weights: &[f64], gram: &mut [f64]) {
        let Storage::Sparse { rows, .. } = &self.storage else { return };
        let k = self.columns();
        let pieces = piece_count(self.gram_cost(), k * k);
        sum_pieces(rows.len(), pieces, gram, |range, part| self.gram_sparse_piece(weights, range, part));
    }

    fn gram_sparse_piece(&self, weights: &[f64], range: std::ops::Range<usize>, gram: &mut [f64]) {
        let Storage::Sparse { rows, offsets, positions, values } = &self.storage else { return };
        let k = self.columns();
        for r in range {
            let weight = weights[rows[r] as usize];
            let entries = offsets[r] as usize..offsets[r + 1] as usize;
            let (positions, values) = (&positions[entries.clone()], &values[entries]);
            for (last, (&c, &value)) in positions.iter().zip(values).enumerate() {
                let scaled = weight * value;
                let column = &mut gram[c as usize * k..c as usize * k + k];
                for (&other, &other_value) in positions[..=last].iter().zip(&values[..=last]) {
                    column[other as usize] += scaled * other_value;
                }
            }
        }
    }

    fn gram_dense(&self, values: &[f64], weights: &[f64], gram: &mut [f64]) {
        let (n, m, k) = (self.rows, self.columns, self.columns());
        if n == 0 || m == 0 {
            return;
        }
        let mut weighted = values.to_vec();
        for column in weighted.chunks_exact_mut(n) {
            column.iter_mut().zip(weights).for_each(|(value, weight)| *value *= weight);
        }
        let b = MatRef::from_column_major_slice(values, n, m);
        let wb = MatRef::from_column_major_slice(&weighted, n, m);
        let out = MatMut::from_column_major_slice_mut(gram, k, k).submatrix_mut(0, 0, m, m);
        let (upper, full) = (BlockStructure::TriangularUpper, BlockStructure::Rectangular);
        matmul(out, upper, Accum::Replace, b.transpose(), full, wb, full, 1.0, Par::Seq);
    }

    /// Turns the Gram matrix of the stored columns into that of the centred, scaled ones, and adds the ones' column.
    fn gram_corrections(&self, weights: &[f64], gram: &mut [f64]) {
        let (m, k) = (self.columns, self.columns());
        let total: f64 = weights.iter().sum();
        let mut sums = vec![0.0; self.columns()];
        self.multiply_transpose_stored(weights, &mut sums);
        if let Some((means, scales)) = &self.standardization {
            for j in 0..m {
                for i in 0..=j {
                    let centred = gram[j * k + i] - means[i] * sums[j] - sums[i] * means[j]
                        + means[i] * means[j] * total;
                    gram[j * k + i] = centred / (scales[i] * scales[j]);
                }
            }
            for j in 0..m {
                sums[j] = (sums[j] - means[j] * total) / scales[j];
            }
        }
        if self.ones {
            gram[m * k..m * k + m].copy_from_slice(&sums[..m]);
            gram[m * k + m] = total;
        }
    }
}

/// Gathers the columns (compressed) into compressed rows. O(n + entries).
fn sparse_storage(design: &DesignMatrix, columns: &[usize]) -> Storage {
    let mut counts = vec![0u32; design.rows() + 1];
    for &j in columns {
        if let VectorView::Sparse { indices, .. } = design.column(j) {
            indices.iter().for_each(|&i| counts[i as usize] += 1);
        }
    }
    let (mut rows, mut offsets) = (Vec::new(), vec![0u32]);
    let mut next = counts;
    let mut total = 0u32;
    for (i, slot) in next.iter_mut().enumerate() {
        if *slot > 0 {
            rows.push(i as u32);
            let start = total;
            total += *slot;
            offsets.push(total);
            *slot = start;
        }
    }
    let (mut positions, mut values) = (vec![0u32; total as usize], vec![0.0; total as usize]);
    for (c, &j) in columns.iter().enumerate() {
        for (i, value) in design.column(j).iter() {
            let slot = &mut next[i];
            positions[*slot as usize] = c as u32;
            values[*slot as usize] = value;
            *slot += 1;
        }
    }
    Storage::Sparse { rows, offsets, positions, values }
}
