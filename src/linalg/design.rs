//! The data matrix of a linear model: n rows (samples) by p columns (features), sparse or dense, read by rows or by
//! columns, optionally centred and scaled without losing sparsity.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use sprs::CsMatI;

use super::block::ColumnBlock;
use super::product::{
    PARALLEL_ENTRIES, axpy, balanced_ranges, dot_serial, multiply_outer, sparse_axpy, sparse_dot,
    split_by_ranges, sum_chunks,
};

/// What is wrong with a matrix.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DesignError {
    /// A stored entry is NaN or infinite.
    #[error(
        "entry ({row}, {column}) of the data matrix is {value}; every entry must be finite (indices from 0)"
    )]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// The number of values does not fit the shape.
    #[error("a dense {rows} x {columns} matrix needs {} values, got {values}", rows * columns)]
    Shape {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// Values given.
        values: usize,
    },
    /// More stored entries than the index type counts.
    #[error("the matrix has {0} stored entries; at most 2^32 - 1 are supported")]
    TooLarge(usize),
    /// A standardisation made for another number of columns.
    #[error("the standardisation has {given} columns, the matrix {columns}")]
    Standardization {
        /// Columns of the standardisation.
        given: usize,
        /// Columns of the matrix.
        columns: usize,
    },
}

/// Column means and scales: column j becomes (a_j - mean_j) / scale_j.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standardization {
    /// Column means.
    pub means: Vec<f64>,
    /// Column scales, positive.
    pub scales: Vec<f64>,
}

#[derive(Debug, Clone)]
enum Storage {
    /// Both orders of the same matrix, and ranges of rows and of columns with about equal numbers of entries.
    Sparse { rows: CsMatI<f64, u32>, columns: CsMatI<f64, u32> },
    /// Column-major.
    Dense { values: Vec<f64>, rows: usize, columns: usize },
}

/// A data matrix A (n x p) that is cheap to read by rows and by columns.
///
/// Sparse data are kept in both orders (CSR and CSC, 24 bytes an entry together); dense data column-major. Centring
/// and scaling ([`standardized`](Self::standardized)) are applied on the fly for sparse data. Clones share the entries.
#[derive(Debug, Clone)]
pub struct DesignMatrix {
    storage: Arc<Storage>,
    standardization: Option<Standardization>,
    /// Squared norms of the columns, once they were asked for.
    squares: Arc<OnceLock<Vec<f64>>>,
    row_ranges: Vec<std::ops::Range<usize>>,
    column_ranges: Vec<std::ops::Range<usize>>,
}

/// One stored column or row (before standardisation).
#[derive(Debug, Clone, Copy)]
pub enum VectorView<'a> {
    /// Ascending indices and their values. Only this crate makes these: the products rely on the order.
    #[non_exhaustive]
    Sparse {
        /// Positions of the stored entries.
        indices: &'a [u32],
        /// Their values.
        values: &'a [f64],
    },
    /// Every entry, `stride` apart.
    Dense {
        /// The entries, from the first on.
        values: &'a [f64],
        /// Distance between two entries.
        stride: usize,
    },
}

impl<'a> VectorView<'a> {
    /// Inner product with a dense vector of full length.
    pub fn dot(&self, dense: &[f64]) -> f64 {
        match *self {
            VectorView::Sparse { indices, values } => sparse_dot(indices, values, dense),
            VectorView::Dense { values, stride: 1 } => dot_serial(values, dense),
            VectorView::Dense { values, stride } => {
                values.iter().step_by(stride).zip(dense).map(|(a, b)| a * b).sum()
            }
        }
    }

    /// dense <- dense + alpha * self.
    pub fn add_to(&self, alpha: f64, dense: &mut [f64]) {
        match *self {
            VectorView::Sparse { indices, values } => sparse_axpy(alpha, indices, values, dense),
            VectorView::Dense { values, stride: 1 } => axpy(alpha, values, dense),
            VectorView::Dense { values, stride } => {
                for (target, value) in dense.iter_mut().zip(values.iter().step_by(stride)) {
                    *target += alpha * value;
                }
            }
        }
    }

    /// Stored entries as (index, value), ascending.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f64)> + 'a {
        let (indices, values, stride): (&[u32], &[f64], usize) = match *self {
            VectorView::Sparse { indices, values } => (indices, values, 1),
            VectorView::Dense { values, stride } => (&[], values, stride),
        };
        let sparse = matches!(self, VectorView::Sparse { .. });
        values
            .iter()
            .step_by(stride.max(1))
            .enumerate()
            .map(move |(k, &value)| (if sparse { indices[k] as usize } else { k }, value))
    }
}

impl DesignMatrix {
    /// From a sparse matrix, rows or columns compressed; the other order is made here. O(nnz).
    ///
    /// # Errors
    /// A NaN or infinite entry; more than 2^32 - 1 entries.
    pub fn from_sparse(matrix: CsMatI<f64, u32>) -> Result<Self, DesignError> {
        if matrix.nnz() >= u32::MAX as usize {
            return Err(DesignError::TooLarge(matrix.nnz()));
        }
        if matrix.data().iter().any(|value| !value.is_finite()) {
            for (&value, (row, column)) in matrix.iter() {
                if !value.is_finite() {
                    return Err(DesignError::NotFinite { row: row as usize, column: column as usize, value });
                }
            }
        }
        let (rows, columns) = if matrix.is_csr() {
            let columns = matrix.to_csc();
            (matrix, columns)
        } else {
            (matrix.to_csr(), matrix)
        };
        let row_ranges = balanced_ranges(rows.indptr().raw_storage(), 64);
        let column_ranges = balanced_ranges(columns.indptr().raw_storage(), 64);
        Ok(Self {
            storage: Arc::new(Storage::Sparse { rows, columns }),
            standardization: None,
            squares: Arc::default(),
            row_ranges,
            column_ranges,
        })
    }

    /// From dense values, column-major: entry (i, j) is `values[j * rows + i]`.
    ///
    /// # Errors
    /// A wrong number of values; a NaN or infinite entry.
    pub fn from_dense(rows: usize, columns: usize, values: Vec<f64>) -> Result<Self, DesignError> {
        if rows.checked_mul(columns) != Some(values.len()) {
            return Err(DesignError::Shape { rows, columns, values: values.len() });
        }
        if let Some(k) = values.iter().position(|value| !value.is_finite()) {
            return Err(DesignError::NotFinite { row: k % rows, column: k / rows, value: values[k] });
        }
        let pieces = |n: usize| {
            let step = n.div_ceil(64).max(1);
            (0..n).step_by(step).map(|s| s..n.min(s + step)).collect::<Vec<_>>()
        };
        let (row_ranges, column_ranges) = (pieces(rows), pieces(columns));
        Ok(Self {
            storage: Arc::new(Storage::Dense { values, rows, columns }),
            standardization: None,
            squares: Arc::default(),
            row_ranges,
            column_ranges,
        })
    }

    /// Stores a sparse matrix densely where that is the faster form: more than 40 % of the entries are there.
    ///
    /// # Errors
    /// As [`from_sparse`](Self::from_sparse).
    pub fn from_sparse_or_dense(matrix: CsMatI<f64, u32>) -> Result<Self, DesignError> {
        let (rows, columns) = matrix.shape();
        let dense_entries = rows.checked_mul(columns).filter(|&d| (matrix.nnz() as f64) > 0.4 * d as f64);
        let Some(entries) = dense_entries else { return Self::from_sparse(matrix) };
        let mut values = vec![0.0; entries];
        for (&value, (row, column)) in matrix.iter() {
            values[column as usize * rows + row as usize] += value;
        }
        Self::from_dense(rows, columns, values)
    }

    /// n, the number of rows.
    pub fn rows(&self) -> usize {
        match &*self.storage {
            Storage::Sparse { rows, .. } => rows.rows(),
            Storage::Dense { rows, .. } => *rows,
        }
    }

    /// p, the number of columns.
    pub fn columns(&self) -> usize {
        match &*self.storage {
            Storage::Sparse { rows, .. } => rows.cols(),
            Storage::Dense { columns, .. } => *columns,
        }
    }

    /// Stored entries: the unit of cost of a product.
    pub fn stored(&self) -> usize {
        match &*self.storage {
            Storage::Sparse { rows, .. } => rows.nnz(),
            Storage::Dense { values, .. } => values.len(),
        }
    }

    /// Whether the matrix is stored densely.
    pub fn is_dense(&self) -> bool {
        matches!(*self.storage, Storage::Dense { .. })
    }

    /// The centring and scaling in force, if any.
    pub fn standardization(&self) -> Option<&Standardization> {
        self.standardization.as_ref()
    }

    /// The entries, column-major, where the matrix is stored densely (standardisation is then part of them).
    pub(super) fn dense_values(&self) -> Option<&[f64]> {
        match &*self.storage {
            Storage::Dense { values, .. } => Some(values),
            Storage::Sparse { .. } => None,
        }
    }

    /// Puts a centring and scaling in force on a sparse matrix whose columns it was made for.
    pub(super) fn set_standardization(&mut self, by: Standardization) {
        self.standardization = Some(by);
        self.squares = Arc::default();
    }

    /// Means and population standard deviations of the columns as stored; a deviation of 0 counts as 1. O(nnz).
    pub fn column_moments(&self) -> Standardization {
        let n = self.rows().max(1) as f64;
        let mut means = Vec::with_capacity(self.columns());
        let mut scales = Vec::with_capacity(self.columns());
        for j in 0..self.columns() {
            let mean = self.column(j).iter().map(|(_, v)| v).sum::<f64>() / n;
            let (mut squares, mut stored) = (0.0, 0usize);
            for (_, value) in self.column(j).iter() {
                squares += (value - mean) * (value - mean);
                stored += 1;
            }
            squares += (self.rows() - stored) as f64 * mean * mean;
            let deviation = (squares / n).sqrt();
            // a column that is constant up to rounding has no scale of its own
            let constant = deviation <= 1e-14 * mean.abs();
            means.push(mean);
            scales.push(if constant || deviation == 0.0 { 1.0 } else { deviation });
        }
        Standardization { means, scales }
    }

    /// The matrix with columns (a_j - mean_j) / scale_j. Sparse data stay sparse: the shift is applied in the products.
    ///
    /// # Errors
    /// A standardisation of another size, or one that makes an entry overflow.
    pub fn standardized(mut self, by: Standardization) -> Result<Self, DesignError> {
        if by.means.len() != self.columns() || by.scales.len() != self.columns() {
            return Err(DesignError::Standardization { given: by.means.len(), columns: self.columns() });
        }
        self.squares = Arc::default();
        match Arc::make_mut(&mut self.storage) {
            Storage::Dense { values, rows, .. } => {
                for (j, column) in values.chunks_exact_mut((*rows).max(1)).enumerate() {
                    for (i, value) in column.iter_mut().enumerate() {
                        *value = (*value - by.means[j]) / by.scales[j];
                        if !value.is_finite() {
                            return Err(DesignError::NotFinite { row: i, column: j, value: *value });
                        }
                    }
                }
            }
            Storage::Sparse { .. } => self.standardization = Some(by),
        }
        Ok(self)
    }

    /// Column j as stored.
    pub fn column(&self, j: usize) -> VectorView<'_> {
        match &*self.storage {
            Storage::Sparse { columns, .. } => compressed(columns, j),
            Storage::Dense { values, rows, .. } => {
                VectorView::Dense { values: &values[j * rows..(j + 1) * rows], stride: 1 }
            }
        }
    }

    /// Row i as stored.
    pub fn row(&self, i: usize) -> VectorView<'_> {
        match &*self.storage {
            Storage::Sparse { rows, .. } => compressed(rows, i),
            Storage::Dense { values, rows, .. } => {
                // without columns there are no values behind the first row
                VectorView::Dense { values: values.get(i..).unwrap_or_default(), stride: *rows }
            }
        }
    }

    /// out <- A x. Parallel over rows; O(nnz).
    pub fn multiply(&self, x: &[f64], out: &mut [f64]) {
        assert_eq!((x.len(), out.len()), (self.columns(), self.rows()), "A x: wrong lengths");
        match &self.standardization {
            None => self.multiply_stored(x, out),
            Some(s) => {
                let scaled: Vec<f64> = x.iter().zip(&s.scales).map(|(v, scale)| v / scale).collect();
                self.multiply_stored(&scaled, out);
                let shift: f64 = scaled.iter().zip(&s.means).map(|(v, mean)| v * mean).sum();
                out.iter_mut().for_each(|value| *value -= shift);
            }
        }
    }

    /// out <- out + sum over k of `coefficients[k] * (column columns[k])`: A x for an x with few non-zeros.
    pub fn add_columns(&self, columns: &[usize], coefficients: &[f64], out: &mut [f64]) {
        let mut shift = 0.0;
        for (&j, &coefficient) in columns.iter().zip(coefficients) {
            let mut scaled = coefficient;
            if let Some(s) = &self.standardization {
                scaled /= s.scales[j];
                shift += scaled * s.means[j];
            }
            self.column(j).add_to(scaled, out);
        }
        if shift != 0.0 {
            out.iter_mut().for_each(|value| *value -= shift);
        }
    }

    /// out <- A'v. Parallel over columns; O(nnz).
    pub fn multiply_transpose(&self, v: &[f64], out: &mut [f64]) {
        assert_eq!((v.len(), out.len()), (self.rows(), self.columns()), "A'v: wrong lengths");
        let fill = |part: &mut [f64], range: std::ops::Range<usize>| match &*self.storage {
            Storage::Sparse { columns, .. } => multiply_outer(columns.view(), range, v, part),
            Storage::Dense { .. } => {
                part.iter_mut().zip(range).for_each(|(value, j)| *value = self.column(j).dot(v))
            }
        };
        if self.stored() < PARALLEL_ENTRIES {
            fill(out, 0..out.len());
        } else {
            split_by_ranges(out, &self.column_ranges)
                .into_par_iter()
                .zip(&self.column_ranges)
                .for_each(|(part, range)| fill(part, range.clone()));
        }
        if let Some(s) = &self.standardization {
            let total = sum_chunks(v.len(), 1, |range| v[range].iter().sum());
            for (j, value) in out.iter_mut().enumerate() {
                *value = (*value - s.means[j] * total) / s.scales[j];
            }
        }
    }

    /// Squared norms of the columns; worked out at the first call and shared by clones. O(nnz).
    pub fn squares(&self) -> &[f64] {
        self.squares.get_or_init(|| self.weighted_squares(&vec![1.0; self.rows()]))
    }

    /// Squared norms of the columns under row weights s: sum over rows of s_r a_rj^2. O(nnz).
    pub fn weighted_squares(&self, s: &[f64]) -> Vec<f64> {
        let total: f64 = if self.standardization.is_some() { s.iter().sum() } else { 0.0 };
        let one = |j: usize| {
            let column = self.column(j);
            let squares: f64 = match column {
                VectorView::Dense { values, stride: 1 } => values.iter().zip(s).map(|(a, w)| w * a * a).sum(),
                VectorView::Sparse { indices, values } => {
                    let mut lanes = [0.0; 4];
                    for (k, (&i, a)) in indices.iter().zip(values).enumerate() {
                        lanes[k % 4] += s[i as usize] * a * a;
                    }
                    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
                }
                VectorView::Dense { .. } => column.iter().map(|(i, a)| s[i] * a * a).sum(),
            };
            match &self.standardization {
                None => squares,
                Some(m) => {
                    let mean = m.means[j];
                    ((squares - 2.0 * mean * column.dot(s) + mean * mean * total)
                        / (m.scales[j] * m.scales[j]))
                        .max(0.0)
                }
            }
        };
        if self.stored() < PARALLEL_ENTRIES {
            (0..self.columns()).map(one).collect()
        } else {
            (0..self.columns()).into_par_iter().with_min_len(16).map(one).collect()
        }
    }

    /// The chosen columns as a compact matrix of their own, for many products with the same few columns.
    pub fn select(&self, columns: &[usize]) -> ColumnBlock {
        ColumnBlock::new(self, columns)
    }

    /// Consecutive ranges of rows with about equal numbers of stored entries, whatever the number of threads.
    pub(super) fn row_ranges(&self) -> &[std::ops::Range<usize>] {
        &self.row_ranges
    }

    /// The rows of sparse storage.
    pub(super) fn sparse_rows(&self) -> Option<sprs::CsMatViewI<'_, f64, u32>> {
        match &*self.storage {
            Storage::Sparse { rows, .. } => Some(rows.view()),
            Storage::Dense { .. } => None,
        }
    }

    fn multiply_stored(&self, x: &[f64], out: &mut [f64]) {
        match &*self.storage {
            Storage::Sparse { rows, .. } => {
                if self.stored() < PARALLEL_ENTRIES {
                    multiply_outer(rows.view(), 0..out.len(), x, out);
                } else {
                    split_by_ranges(out, &self.row_ranges)
                        .into_par_iter()
                        .zip(&self.row_ranges)
                        .for_each(|(part, range)| multiply_outer(rows.view(), range.clone(), x, part));
                }
            }
            Storage::Dense { values, rows, .. } => {
                // column by column within a range of rows: unit stride, and the same order on every thread count
                let fill = |part: &mut [f64], range: &std::ops::Range<usize>| {
                    part.fill(0.0);
                    for (column, &coefficient) in values.chunks_exact((*rows).max(1)).zip(x) {
                        if coefficient != 0.0 {
                            axpy(coefficient, &column[range.clone()], part);
                        }
                    }
                };
                if self.stored() < PARALLEL_ENTRIES || *rows < 1024 {
                    fill(out, &(0..*rows));
                } else {
                    split_by_ranges(out, &self.row_ranges)
                        .into_par_iter()
                        .zip(&self.row_ranges)
                        .for_each(|(part, range)| fill(part, range));
                }
            }
        }
    }
}

/// Outer vector k of a compressed matrix.
fn compressed(matrix: &CsMatI<f64, u32>, k: usize) -> VectorView<'_> {
    let offsets = matrix.indptr();
    let offsets = offsets.raw_storage();
    let range = offsets[k] as usize..offsets[k + 1] as usize;
    VectorView::Sparse { indices: &matrix.indices()[range.clone()], values: &matrix.data()[range] }
}
