//! A few rows of a [`DesignMatrix`], copied into compact rows, for many products with the same few rows: the batches
//! of stochastic methods.

use super::design::DesignMatrix;
use super::product::{sparse_axpy, sparse_dot};

/// Rows B = A[rows, :], with an optional last column of ones (the intercept). Memory is kept between batches.
#[derive(Debug, Clone, Default)]
pub struct RowBlock {
    columns: usize,
    offsets: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f64>,
    /// One row in full length, zero between uses.
    row: Vec<f64>,
}

impl RowBlock {
    /// Copies the rows, with centring and scaling applied; O(entries), or O(rows p) for centred data.
    pub fn gather(&mut self, design: &DesignMatrix, rows: &[u32], ones: bool) {
        let p = design.columns();
        self.columns = p + usize::from(ones);
        self.row.clear();
        self.row.resize(self.columns, 0.0);
        self.offsets.clear();
        self.offsets.push(0);
        self.indices.clear();
        self.values.clear();
        for &i in rows {
            let stored = design.row(i as usize);
            match design.standardization() {
                None => {
                    for (j, value) in stored.iter().take(p) {
                        self.indices.push(j as u32);
                        self.values.push(value);
                    }
                }
                Some(s) => {
                    let start = self.values.len();
                    self.indices.extend(0..p as u32);
                    self.values.extend(s.means.iter().zip(&s.scales).map(|(mean, scale)| -mean / scale));
                    for (j, value) in stored.iter().take(p) {
                        self.values[start + j] += value / s.scales[j];
                    }
                }
            }
            if ones {
                self.indices.push(p as u32);
                self.values.push(1.0);
            }
            self.offsets.push(self.values.len());
        }
    }

    /// b, the number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The number of columns, the column of ones included.
    pub fn columns(&self) -> usize {
        self.columns
    }

    fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.offsets[i]..self.offsets[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// out <- B X for X with k columns, both row-major. O(k entries).
    pub fn multiply(&self, x: &[f64], k: usize, out: &mut [f64]) {
        assert_eq!((x.len(), out.len()), (k * self.columns, k * self.rows()), "B X: wrong lengths");
        for i in 0..self.rows() {
            let (indices, values) = self.row(i);
            if k == 1 {
                out[i] = sparse_dot(indices, values, x);
            } else {
                let out = &mut out[i * k..(i + 1) * k];
                out.fill(0.0);
                for (&j, &value) in indices.iter().zip(values) {
                    let x = &x[j as usize * k..(j as usize + 1) * k];
                    out.iter_mut().zip(x).for_each(|(out, x)| *out += value * x);
                }
            }
        }
    }

    /// out <- B'V for V with k columns, both row-major. O(k entries + k p).
    pub fn multiply_transpose(&self, v: &[f64], k: usize, out: &mut [f64]) {
        assert_eq!((v.len(), out.len()), (k * self.rows(), k * self.columns), "B'V: wrong lengths");
        out.fill(0.0);
        for i in 0..self.rows() {
            let (indices, values) = self.row(i);
            if k == 1 {
                sparse_axpy(v[i], indices, values, out);
            } else {
                let v = &v[i * k..(i + 1) * k];
                for (&j, &value) in indices.iter().zip(values) {
                    let out = &mut out[j as usize * k..(j as usize + 1) * k];
                    out.iter_mut().zip(v).for_each(|(out, v)| *out += value * v);
                }
            }
        }
    }

    /// Root of the mean square of the entries that are not zero; 0 where there are none.
    pub fn entry_size(&self) -> f64 {
        let squares: f64 = self.values.iter().map(|v| v * v).sum();
        let count = self.values.iter().filter(|&&v| v != 0.0).count();
        (squares / count.max(1) as f64).sqrt()
    }

    /// Squared norms of the columns under row weights (1 where absent). O(entries).
    pub fn column_squares(&self, weights: Option<&[f64]>) -> Vec<f64> {
        let mut squares = vec![0.0; self.columns];
        for i in 0..self.rows() {
            let weight = weights.map_or(1.0, |weights| weights[i]);
            let (indices, values) = self.row(i);
            indices.iter().zip(values).for_each(|(&j, &value)| squares[j as usize] += weight * value * value);
        }
        squares
    }

    /// gram <- B B', b x b, both triangles. O(b entries).
    pub fn row_gram(&mut self, gram: &mut Vec<f64>) {
        let b = self.rows();
        gram.clear();
        gram.resize(b * b, 0.0);
        let mut row = std::mem::take(&mut self.row);
        for i in 0..b {
            let (indices, values) = self.row(i);
            indices.iter().zip(values).for_each(|(&j, &value)| row[j as usize] = value);
            for other in 0..=i {
                let (indices, values) = self.row(other);
                let product = sparse_dot(indices, values, &row);
                gram[i * b + other] = product;
                gram[other * b + i] = product;
            }
            let (indices, _) = self.row(i);
            indices.iter().for_each(|&j| row[j as usize] = 0.0);
        }
        self.row = row;
    }

    /// gram <- B' diag(weights) B, p x p, both triangles. O(sum of the squares of the rows' entries + p^2).
    pub fn column_gram(&self, weights: &[f64], gram: &mut Vec<f64>) {
        gram.clear();
        gram.resize(self.columns * self.columns, 0.0);
        self.add_column_gram(weights, gram);
    }

    /// gram <- gram + B' diag(weights) B, p x p, both triangles. O(sum of the squares of the rows' entries).
    pub fn add_column_gram(&self, weights: &[f64], gram: &mut [f64]) {
        let p = self.columns;
        assert_eq!((weights.len(), gram.len()), (self.rows(), p * p), "B' W B: wrong lengths");
        for (i, &weight) in weights.iter().enumerate() {
            let (indices, values) = self.row(i);
            for (&j, &value) in indices.iter().zip(values) {
                sparse_axpy(weight * value, indices, values, &mut gram[j as usize * p..(j as usize + 1) * p]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn design(n: usize, p: usize, dense: bool, standardize: bool) -> DesignMatrix {
        let entry =
            |i: usize, j: usize| if (i + 2 * j).is_multiple_of(3) { 0.0 } else { ((i * p + j) as f64).sin() };
        let full = DesignMatrix::from_dense(n, p, (0..n * p).map(|k| entry(k % n, k / n)).collect()).unwrap();
        let matrix = if dense {
            full
        } else {
            let mut triplets = sprs::TriMatI::<f64, u32>::new((n, p));
            (0..n * p)
                .filter(|k| entry(k % n, k / n) != 0.0)
                .for_each(|k| triplets.add_triplet(k % n, k / n, entry(k % n, k / n)));
            DesignMatrix::from_sparse(triplets.to_csr()).unwrap()
        };
        if !standardize {
            return matrix;
        }
        let moments = matrix.column_moments();
        matrix.standardized(moments).unwrap()
    }

    proptest! {
        #[test]
        fn products_and_grams_are_those_of_the_rows(n in 2usize..9, p in 1usize..6, form in 0usize..4, ones: bool, k in 1usize..4) {
            let matrix = design(n, p, form % 2 == 0, form / 2 == 0);
            let rows: Vec<u32> = (0..n as u32).rev().step_by(2).collect();
            let width = p + usize::from(ones);
            // the rows one by one, from products with unit vectors
            let mut whole = vec![vec![1.0; width]; n];
            for j in 0..p {
                let mut unit = vec![0.0; p];
                unit[j] = 1.0;
                let mut column = vec![0.0; n];
                matrix.multiply(&unit, &mut column);
                (0..n).for_each(|i| whole[i][j] = column[i]);
            }
            let expected: Vec<&Vec<f64>> = rows.iter().map(|&i| &whole[i as usize]).collect();
            let mut block = RowBlock::default();
            block.gather(&matrix, &rows, ones);
            let b = rows.len();
            let x: Vec<f64> = (0..width * k).map(|j| (j as f64 + 0.5).cos()).collect();
            let v: Vec<f64> = (0..b * k).map(|j| (j as f64 + 0.25).sin()).collect();
            let weights: Vec<f64> = (0..b).map(|i| 1.0 + i as f64).collect();
            let (mut z, mut g) = (vec![f64::NAN; b * k], vec![f64::NAN; width * k]);
            block.multiply(&x, k, &mut z);
            block.multiply_transpose(&v, k, &mut g);
            let (mut small, mut large) = (Vec::new(), Vec::new());
            block.row_gram(&mut small);
            block.column_gram(&weights, &mut large);
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + b.abs());
            for c in 0..k {
                for i in 0..b {
                    prop_assert!(close(z[i * k + c], (0..width).map(|j| expected[i][j] * x[j * k + c]).sum()));
                }
                for j in 0..width {
                    prop_assert!(close(g[j * k + c], (0..b).map(|i| expected[i][j] * v[i * k + c]).sum()));
                }
            }
            for i in 0..b {
                for other in 0..b {
                    prop_assert!(close(small[i * b + other], (0..width).map(|j| expected[i][j] * expected[other][j]).sum()));
                }
            }
            for i in 0..width {
                for j in 0..width {
                    prop_assert!(close(large[i * width + j], (0..b).map(|r| weights[r] * expected[r][i] * expected[r][j]).sum()));
                }
            }
        }
    }
}
