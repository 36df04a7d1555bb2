//! The Gram matrix of the rows, A C A', for data with few rows.

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};

use super::design::{DesignMatrix, VectorView};

impl DesignMatrix {
    /// A diag(c) A', n x n column-major, both triangles; c must not be negative. O(n^2 p) for dense data, the sum of
    /// the squares of the columns' entries for sparse ones.
    pub fn row_gram(&self, c: &[f64]) -> Vec<f64> {
        assert_eq!(c.len(), self.columns(), "one weight per column");
        let n = self.rows();
        // with A = (S - 1 mu') D, the weights of the stored columns are c / scale^2
        let weights: Vec<f64> = match self.standardization() {
            None => c.to_vec(),
            Some(s) => c.iter().zip(&s.scales).map(|(c, scale)| c / (scale * scale)).collect(),
        };
        let mut gram = vec![0.0; n * n];
        if self.is_dense() {
            self.row_gram_dense(&weights, &mut gram)
        } else {
            self.row_gram_sparse(&weights, &mut gram)
        }
        if let Some(s) = self.standardization() {
            let weighted: Vec<f64> = weights.iter().zip(&s.means).map(|(w, mean)| w * mean).collect();
            let shift: f64 = weighted.iter().zip(&s.means).map(|(w, mean)| w * mean).sum();
            let mut product = vec![0.0; n];
            for (j, &w) in weighted.iter().enumerate() {
                self.column(j).add_to(w, &mut product);
            }
            for j in 0..n {
                for i in j..n {
                    gram[j * n + i] += shift - product[i] - product[j];
                }
            }
        }
        for j in 0..n {
            for i in 0..j {
                gram[j * n + i] = gram[i * n + j];
            }
        }
        gram
    }

    fn row_gram_dense(&self, weights: &[f64], gram: &mut [f64]) {
        let (n, p) = (self.rows(), self.columns());
        if n == 0 || p == 0 {
            return;
        }
        let mut scaled = Vec::with_capacity(n * p);
        for (j, weight) in weights.iter().enumerate() {
            let root = weight.sqrt();
            scaled.extend(self.column(j).iter().map(|(_, value)| root * value));
        }
        let a = MatRef::from_column_major_slice(&scaled, n, p);
        let out = MatMut::from_column_major_slice_mut(gram, n, n);
        let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        matmul(out, lower, Accum::Replace, a, full, a.transpose(), full, 1.0, Par::Seq);
    }

    fn row_gram_sparse(&self, weights: &[f64], gram: &mut [f64]) {
        let n = self.rows();
        for (j, &weight) in weights.iter().enumerate() {
            let VectorView::Sparse { indices, values } = self.column(j) else { continue };
            for (k, (&column, &value)) in indices.iter().zip(values).enumerate() {
                let scaled = weight * value;
                let out = &mut gram[column as usize * n..(column as usize + 1) * n];
                for (&row, &other) in indices[k..].iter().zip(&values[k..]) {
                    out[row as usize] += scaled * other;
                }
            }
        }
    }
}
