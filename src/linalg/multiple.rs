//! Products of a data matrix with several vectors at once, stored row by row (k numbers per feature or per sample), as
//! models of several classes need them; and the matrix of some of the rows.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use sprs::CsMatI;

use super::design::{DesignMatrix, VectorView};
use super::elementary::vectorized;
use super::product::PARALLEL_ENTRIES;

/// out <- sum over the entries (i, a) of a times row i of `rows`, each k long.
#[inline(always)]
fn gather(view: VectorView, rows: &[f64], out: &mut [f64]) {
    let k = out.len();
    out.fill(0.0);
    let mut add = |i: usize, a: f64| {
        for (out, value) in out.iter_mut().zip(&rows[i * k..(i + 1) * k]) {
            *out += a * value;
        }
    };
    match view {
        VectorView::Sparse { indices, values } => {
            indices.iter().zip(values).for_each(|(&i, &a)| add(i as usize, a));
        }
        VectorView::Dense { .. } => view.iter().for_each(|(i, a)| add(i, a)),
    }
}

/// out[g] <- the gathered sums of vector g, k long each, in parallel where it pays. Every sum has its own fixed order.
fn gather_all<'a>(
    stored: usize,
    vector: impl Fn(usize) -> VectorView<'a> + Sync,
    k: usize,
    rows: &[f64],
    out: &mut [f64],
) {
    const VECTORS: usize = 16;
    let some = |first: usize, out: &mut [f64]| {
        vectorized(
            #[inline(always)]
            || {
                for (g, out) in out.chunks_exact_mut(k).enumerate() {
                    gather(vector(first + g), rows, out);
                }
            },
        );
    };
    if stored * k < PARALLEL_ENTRIES {
        some(0, out)
    } else {
        let parts = out.par_chunks_mut(VECTORS * k).enumerate();
        parts.for_each(|(part, out)| some(part * VECTORS, out));
    }
}

impl DesignMatrix {
    /// out <- A X with X p x k and out n x k, both row by row. O(nnz k).
    pub fn multiply_many(&self, k: usize, x: &[f64], out: &mut [f64]) {
        let (n, p) = (self.rows(), self.columns());
        assert_eq!((x.len(), out.len()), (p * k, n * k), "A X: wrong lengths");
        if k == 0 || n == 0 {
            return;
        }
        let Some(s) = self.standardization() else { return self.multiply_many_stored(k, x, out) };
        let mut scaled = x.to_vec();
        let mut shift = vec![0.0; k];
        for ((x, scale), mean) in scaled.chunks_exact_mut(k).zip(&s.scales).zip(&s.means) {
            for (x, shift) in x.iter_mut().zip(&mut shift) {
                *x /= scale;
                *shift += *x * mean;
            }
        }
        self.multiply_many_stored(k, &scaled, out);
        for row in out.chunks_exact_mut(k) {
            row.iter_mut().zip(&shift).for_each(|(value, shift)| *value -= shift);
        }
    }

    fn multiply_many_stored(&self, k: usize, x: &[f64], out: &mut [f64]) {
        let (n, p) = (self.rows(), self.columns());
        match self.dense_values() {
            None => gather_all(self.stored(), |i| self.row(i), k, x, out),
            Some(values) => {
                let a = MatRef::from_column_major_slice(values, n, p);
                let x = MatRef::from_row_major_slice(x, p, k);
                matmul(MatMut::from_row_major_slice_mut(out, n, k), Accum::Replace, a, x, 1.0, Par::Seq);
            }
        }
    }

    /// out <- A'V with V n x k and out p x k, both row by row. O(nnz k).
    pub fn multiply_transpose_many(&self, k: usize, v: &[f64], out: &mut [f64]) {
        let (n, p) = (self.rows(), self.columns());
        assert_eq!((v.len(), out.len()), (n * k, p * k), "A'V: wrong lengths");
        if k == 0 || p == 0 {
            return;
        }
        match self.dense_values() {
            None => gather_all(self.stored(), |j| self.column(j), k, v, out),
            Some(values) => {
                let a = MatRef::from_column_major_slice(values, n, p).transpose();
                let v = MatRef::from_row_major_slice(v, n, k);
                matmul(MatMut::from_row_major_slice_mut(out, p, k), Accum::Replace, a, v, 1.0, Par::Seq);
            }
        }
        if let Some(s) = self.standardization() {
            let mut totals = vec![0.0; k];
            for row in v.chunks_exact(k) {
                totals.iter_mut().zip(row).for_each(|(total, v)| *total += v);
            }
            for ((out, scale), mean) in out.chunks_exact_mut(k).zip(&s.scales).zip(&s.means) {
                out.iter_mut().zip(&totals).for_each(|(out, total)| *out = (*out - mean * total) / scale);
            }
        }
    }

    /// The matrix of the given rows, in their order; centring and scaling stay what they are. O(entries taken).
    pub fn select_rows(&self, chosen: &[usize]) -> DesignMatrix {
        let (n, p) = (self.rows(), self.columns());
        let picked = if let Some(values) = self.dense_values() {
            let column = |j: usize| chosen.iter().map(move |&i| values[j * n + i]);
            DesignMatrix::from_dense(chosen.len(), p, (0..p).flat_map(column).collect())
        } else {
            let (mut offsets, mut indices, mut entries) = (vec![0u32], Vec::new(), Vec::new());
            for &i in chosen {
                if let VectorView::Sparse { indices: columns, values } = self.row(i) {
                    indices.extend_from_slice(columns);
                    entries.extend_from_slice(values);
                }
                offsets.push(indices.len() as u32);
            }
            DesignMatrix::from_sparse(CsMatI::new((chosen.len(), p), offsets, indices, entries))
        };
        // every entry was checked when this matrix was made
        let mut picked = picked.unwrap_or_else(|_| self.clone());
        if let (Some(s), false) = (self.standardization(), picked.is_dense()) {
            picked.set_standardization(s.clone());
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::design::Standardization;
    use proptest::prelude::*;

    fn matrix(n: usize, p: usize, dense: bool, standard: bool) -> DesignMatrix {
        let entry = |i: usize, j: usize| ((i * 31 + j * 17) as f64).sin();
        let matrix = if dense {
            let values = (0..p).flat_map(|j| (0..n).map(move |i| entry(i, j))).collect();
            DesignMatrix::from_dense(n, p, values).unwrap()
        } else {
            let mut triplets = sprs::TriMatI::<f64, u32>::new((n, p));
            for i in 0..n {
                for j in (0..p).filter(|j| (i + 2 * j) % 3 != 0) {
                    triplets.add_triplet(i, j, entry(i, j));
                }
            }
            DesignMatrix::from_sparse(triplets.to_csr()).unwrap()
        };
        if !standard {
            return matrix;
        }
        let by = Standardization {
            means: (0..p).map(|j| 0.1 * j as f64).collect(),
            scales: (0..p).map(|j| 1.0 + j as f64).collect(),
        };
        matrix.standardized(by).unwrap()
    }

    proptest! {
        #[test]
        fn many_vectors_are_one_by_one(n in 1usize..9, p in 1usize..9, k in 1usize..5, dense: bool, standard: bool) {
            let a = matrix(n, p, dense, standard);
            let x: Vec<f64> = (0..p * k).map(|i| (i as f64).cos()).collect();
            let v: Vec<f64> = (0..n * k).map(|i| (i as f64 * 0.7).cos()).collect();
            let (mut ax, mut atv) = (vec![f64::NAN; n * k], vec![f64::NAN; p * k]);
            a.multiply_many(k, &x, &mut ax);
            a.multiply_transpose_many(k, &v, &mut atv);
            let rows: Vec<usize> = (0..n).rev().step_by(2).collect();
            let some = a.select_rows(&rows);
            for c in 0..k {
                let strided = |m: &[f64]| -> Vec<f64> { m.iter().skip(c).step_by(k).copied().collect() };
                let (mut z, mut g, mut part) = (vec![0.0; n], vec![0.0; p], vec![0.0; rows.len()]);
                a.multiply(&strided(&x), &mut z);
                a.multiply_transpose(&strided(&v), &mut g);
                some.multiply(&strided(&x), &mut part);
                for (a, b) in strided(&ax).iter().zip(&z).chain(strided(&atv).iter().zip(&g)) {
                    prop_assert!((a - b).abs() <= 1e-12, "{a} {b}");
                }
                for (a, &i) in part.iter().zip(&rows) {
                    prop_assert!((a - z[i]).abs() <= 1e-12);
                }
            }
        }
    }
}
