//! Storage of tall matrices.

use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kernel::{LANES, RowKernels, Rows};
use crate::linalg::product::PARALLEL_ENTRIES;

/// What a tall matrix stores: f64, or f32 at half the memory. All arithmetic is in f64.
pub trait Element: Copy + Default + PartialEq + Send + Sync + std::fmt::Debug + 'static {
    /// The value, exactly.
    fn widen(self) -> f64;
    /// The nearest value that can be stored.
    fn narrow(value: f64) -> Self;
}

impl Element for f64 {
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }

    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value
    }
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value as f32
    }
}

/// An n x k matrix by rows, each row padded with zeros to whole cache lines of eight entries.
///
/// The padding always holds zeros, so that kernels may run over it.
#[derive(Debug)]
pub struct TallMatrix<T = f64> {
    rows: usize,
    columns: usize,
    stride: usize,
    values: Vec<T>,
    /// Entries skipped so that rows start at cache lines.
    skipped: usize,
}

impl<T: Element> Clone for TallMatrix<T> {
    fn clone(&self) -> Self {
        // another allocation has another alignment
        let mut copy = Self::zeros(self.rows, self.columns);
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}

impl<T: Element> PartialEq for TallMatrix<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape() == other.shape() && self.as_slice() == other.as_slice()
    }
}

impl<T: Element> Default for TallMatrix<T> {
    fn default() -> Self {
        Self::zeros(0, 0)
    }
}

impl<T: Element> TallMatrix<T> {
    /// The n x k matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let stride = columns.next_multiple_of(LANES);
        let values = vec![T::default(); rows * stride + LANES];
        let skipped = values.as_ptr().align_offset(64).min(LANES);
        Self { rows, columns, stride, values, skipped }
    }

    /// The n x k matrix with entries `value(i, j)`.
    pub fn from_fn(rows: usize, columns: usize, mut value: impl FnMut(usize, usize) -> f64) -> Self {
        let mut matrix = Self::zeros(rows, columns);
        for i in 0..rows {
            for j in 0..columns {
                matrix.row_mut(i)[j] = T::narrow(value(i, j));
            }
        }
        matrix
    }

    /// (n, k).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// n.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// k.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Distance between rows: k rounded up to a multiple of eight.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Row i without its padding.
    pub fn row(&self, i: usize) -> &[T] {
        &self.padded_row(i)[..self.columns]
    }

    /// Row i with its padding.
    #[inline]
    pub fn padded_row(&self, i: usize) -> &[T] {
        let start = self.skipped + i * self.stride;
        &self.values[start..start + self.stride]
    }

    /// Row i without its padding.
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        let start = self.skipped + i * self.stride;
        &mut self.values[start..start + self.columns]
    }

    /// All rows with their padding, one after the other.
    pub fn as_slice(&self) -> &[T] {
        &self.values[self.skipped..self.skipped + self.rows * self.stride]
    }

    /// All rows with their padding. What is written into the padding must be zero.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let end = self.skipped + self.rows * self.stride;
        &mut self.values[self.skipped..end]
    }

    /// The same matrix stored in another type.
    pub fn convert<U: Element>(&self) -> TallMatrix<U> {
        let mut other = TallMatrix::zeros(self.rows, self.columns);
        for (to, from) in other.as_mut_slice().iter_mut().zip(self.as_slice()) {
            *to = U::narrow(from.widen());
        }
        other
    }

    /// The first columns, up to the given number.
    pub fn leading_columns(&self, columns: usize) -> Self {
        let columns = columns.min(self.columns);
        let mut part = Self::zeros(self.rows, columns);
        for i in 0..self.rows {
            part.row_mut(i).copy_from_slice(&self.row(i)[..columns]);
        }
        part
    }

    /// [A B], side by side. Both have the same number of rows.
    pub fn beside(&self, other: &Self) -> Self {
        assert_eq!(self.rows, other.rows, "matrices side by side have the same rows");
        let mut joined = Self::zeros(self.rows, self.columns + other.columns);
        for i in 0..self.rows {
            let row = joined.row_mut(i);
            row[..self.columns].copy_from_slice(self.row(i));
            row[self.columns..].copy_from_slice(other.row(i));
        }
        joined
    }

    /// A <- A + factor (A - B), B of the same shape.
    pub fn extrapolate(&mut self, factor: f64, before: &Self) {
        assert_eq!(self.shape(), before.shape(), "extrapolation needs matrices of one shape");
        for (value, before) in self.as_mut_slice().iter_mut().zip(before.as_slice()) {
            let now = value.widen();
            *value = T::narrow(now + factor * (now - before.widen()));
        }
    }

    /// A M for a k x l matrix M. 2 n k l flops, parallel over the rows.
    pub fn times(&self, m: &TallMatrix) -> Self {
        assert_eq!(self.columns, m.rows(), "inner sizes of a product agree");
        let mut product = Self::zeros(self.rows, m.columns());
        if self.rows == 0 || m.columns() == 0 {
            return product;
        }
        let (stride, kernels, all) = (product.stride, RowKernels::new(), Rows::of(m));
        let indices: Vec<u32> = (0..self.columns as u32).collect();
        let multiply = |(i, out): (usize, &mut [T]), buffers: &mut (Vec<f64>, Vec<f64>)| {
            let (weights, sums) = buffers;
            weights.clear();
            weights.extend(self.row(i).iter().map(|value| value.widen()));
            sums.clear();
            sums.resize(stride, 0.0);
            kernels.add_rows(&indices, weights, all, sums);
            out.iter_mut().zip(&*sums).for_each(|(to, &from)| *to = T::narrow(from));
        };
        let out = product.as_mut_slice();
        if self.rows * self.columns < PARALLEL_ENTRIES {
            let mut buffers = Default::default();
            out.chunks_exact_mut(stride).enumerate().for_each(|item| multiply(item, &mut buffers));
        } else {
            out.par_chunks_exact_mut(stride)
                .enumerate()
                .with_min_len(256)
                .for_each_init(Default::default, |buffers, item| multiply(item, buffers));
        }
        product
    }

    /// A'A, k x k, both triangles. Chunks of rows are summed in order, whatever the number of threads.
    pub fn gram(&self) -> TallMatrix {
        const CHUNK: usize = 1024;
        let (k, stride) = (self.columns, self.stride);
        if self.rows == 0 || k == 0 {
            return TallMatrix::zeros(k, k);
        }
        let kernels = RowKernels::new();
        let partial = |rows: &[T]| {
            let rows: Vec<f64> = rows.iter().map(|value| value.widen()).collect();
            let mut gram = vec![0.0; stride * stride];
            kernels.add_gram(&rows, stride, k, &mut gram);
            gram
        };
        let chunks: Vec<Vec<f64>> = if self.rows * k < PARALLEL_ENTRIES {
            self.as_slice().chunks(CHUNK * stride).map(partial).collect()
        } else {
            self.as_slice().par_chunks(CHUNK * stride).map(partial).collect()
        };
        TallMatrix::from_fn(k, k, |i, j| {
            let (low, high) = (i.min(j), i.max(j));
            chunks.iter().map(|gram| gram[low * stride + high]).sum()
        })
    }

    /// Square root of the sum of all squares.
    pub fn norm(&self) -> f64 {
        let squares = |rows: &[T]| rows.iter().map(|value| value.widen() * value.widen()).sum::<f64>();
        self.as_slice().chunks(4096).map(squares).sum::<f64>().sqrt()
    }
}

/// The stored form: sizes, and the rows without padding.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl<T: Element> Serialize for TallMatrix<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = (0..self.rows).flat_map(|i| self.row(i)).map(|value| value.widen()).collect();
        Stored { rows: self.rows, columns: self.columns, values }.serialize(serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for TallMatrix<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { rows, columns, values } = Stored::deserialize(deserializer)?;
        if rows.checked_mul(columns) != Some(values.len()) {
            let message = format!("{} values for a {rows} x {columns} matrix", values.len());
            return Err(serde::de::Error::custom(message));
        }
        // a matrix without columns has no values that could vouch for its number of rows
        if columns == 0 && rows > u32::MAX as usize {
            return Err(serde::de::Error::custom(format!("{rows} rows are too many")));
        }
        Ok(Self::from_fn(rows, columns, |i, j| values[i * columns + j]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize) -> TallMatrix {
        TallMatrix::from_fn(rows, columns, |i, j| ((i * 7 + j * 13) as f64 * 0.37).sin())
    }

    #[test]
    fn products_and_gram_matrices_agree_with_sums() {
        for (n, k, l) in [(1, 1, 1), (5, 3, 9), (3000, 10, 4), (40, 17, 33), (7, 88, 80)] {
            let (a, m) = (matrix(n, k), matrix(k, l));
            let product = a.times(&m);
            for i in [0, n / 2, n - 1] {
                for j in 0..l {
                    let expected: f64 = (0..k).map(|c| a.row(i)[c] * m.row(c)[j]).sum();
                    assert!((product.row(i)[j] - expected).abs() < 1e-13 * k as f64);
                }
            }
            let gram = a.gram();
            for i in 0..k {
                for j in 0..k {
                    let expected: f64 = (0..n).map(|t| a.row(t)[i] * a.row(t)[j]).sum();
                    assert!((gram.row(i)[j] - expected).abs() < 1e-13 * n as f64);
                }
            }
            assert!((a.norm() - (0..k).map(|i| gram.row(i)[i]).sum::<f64>().sqrt()).abs() < 1e-10);
        }
    }

    #[test]
    fn copies_keep_their_values_and_alignment() {
        let a = matrix(11, 5);
        let b = a.clone();
        assert_eq!(a, b);
        assert_eq!(b.as_slice().as_ptr().align_offset(64), 0);
        let single: TallMatrix<f32> = a.convert();
        assert_eq!(single.row(3)[2], a.row(3)[2] as f32);
        assert_eq!(a.beside(&a).leading_columns(5), a);
    }
}
