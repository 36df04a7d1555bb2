//! The weighted normal operator x -> A' W (A x + shift): Hessian products of linear models.

use rayon::prelude::*;

use super::DesignMatrix;
use super::product::{PARALLEL_ENTRIES, normal_rows};

/// Stored entries per column and per piece below which private sums of all columns cost more than they save.
const ENTRIES_PER_COLUMN: usize = 6;
/// Most pieces the rows are cut into.
const MOST_PIECES: usize = 16;

/// Memory of [`DesignMatrix::multiply_normal`], kept between products.
#[derive(Debug, Clone, Default)]
pub struct NormalWorkspace {
    /// One entry per row, or one vector of column sums per piece.
    values: Vec<f64>,
    totals: Vec<f64>,
}

impl DesignMatrix {
    /// out <- A' W (A x + shift 1), with W the diagonal of `weights`; returns the sum of W (A x + shift 1), the entry of
    /// an intercept.
    ///
    /// Sparse matrices that are not standardised are read once, row by row: each row is loaded for its inner product
    /// and still in cache when it is added to the sums. Pieces of rows have sums of their own, added in order; their
    /// number depends on the matrix alone, so the bits don't depend on the number of threads. O(nnz + pieces p).
    pub fn multiply_normal(
        &self,
        weights: &[f64],
        x: &[f64],
        shift: f64,
        out: &mut [f64],
        workspace: &mut NormalWorkspace,
    ) -> f64 {
        let (n, p) = (self.rows(), self.columns());
        assert_eq!((weights.len(), x.len(), out.len()), (n, p, p), "A' W A x: wrong lengths");
        let pieces = (self.stored() / (ENTRIES_PER_COLUMN * p).max(1)).min(MOST_PIECES);
        let small = self.stored() < PARALLEL_ENTRIES;
        let matrix = self.sparse_rows().filter(|_| self.standardization().is_none() && (small || pieces > 1));
        let Some(matrix) = matrix else {
            return self.multiply_twice(weights, x, shift, out, &mut workspace.values);
        };
        let rows = |range: std::ops::Range<usize>, sums: &mut [f64]| {
            sums.fill(0.0);
            normal_rows(matrix, range, weights, x, shift, sums)
        };
        if small {
            return rows(0..n, out);
        }
        let ranges = self.row_ranges();
        let pieces: Vec<_> = ranges
            .chunks(ranges.len().div_ceil(pieces))
            .filter_map(|piece| Some(piece.first()?.start..piece.last()?.end))
            .collect();
        let NormalWorkspace { values, totals } = workspace;
        values.resize(pieces.len() * p, 0.0);
        totals.resize(pieces.len(), 0.0);
        values
            .par_chunks_exact_mut(p)
            .zip(&pieces)
            .zip(totals.par_iter_mut())
            .for_each(|((values, piece), total)| *total = rows(piece.clone(), values));
        let (first, rest) = values.split_at(p);
        out.copy_from_slice(first);
        for piece in rest.chunks_exact(p) {
            out.iter_mut().zip(piece).for_each(|(out, value)| *out += value);
        }
        totals.iter().sum()
    }

    /// The same with one pass over the rows and one over the columns.
    fn multiply_twice(
        &self,
        weights: &[f64],
        x: &[f64],
        shift: f64,
        out: &mut [f64],
        z: &mut Vec<f64>,
    ) -> f64 {
        z.resize(self.rows(), 0.0);
        self.multiply(x, z);
        z.iter_mut().zip(weights).for_each(|(z, w)| *z = w * (*z + shift));
        self.multiply_transpose(z, out);
        z.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::design::Standardization;
    use proptest::prelude::*;
    use sprs::TriMatI;

    fn sparse(rows: usize, columns: usize, entries: usize) -> DesignMatrix {
        let mut triplets = TriMatI::<f64, u32>::new((rows, columns));
        for k in 0..entries {
            // a full period generator over the positions
            let position = (k * 7919 + 13) % (rows * columns);
            triplets.add_triplet(position / columns, position % columns, (k as f64).sin());
        }
        DesignMatrix::from_sparse(triplets.to_csr()).unwrap()
    }

    fn agrees(matrix: &DesignMatrix, shift: f64) {
        let (n, p) = (matrix.rows(), matrix.columns());
        let weights: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64).cos()).collect();
        let x: Vec<f64> = (0..p).map(|j| (j as f64).sin()).collect();
        let mut expected = vec![0.0; p];
        let total = matrix.multiply_twice(&weights, &x, shift, &mut expected, &mut Vec::new());
        let mut workspace = NormalWorkspace::default();
        let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        let mut first: Option<Vec<f64>> = None;
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![f64::NAN; p];
            let sum = pool.install(|| matrix.multiply_normal(&weights, &x, shift, &mut out, &mut workspace));
            assert!((sum - total).abs() <= 1e-12 * (1.0 + total.abs()) * n as f64);
            for (a, b) in out.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-12 * scale, "{a} {b}");
            }
            assert_eq!(first.get_or_insert_with(|| out.clone()), &out);
        }
    }

    #[test]
    fn one_pass_agrees_with_two_on_every_number_of_threads() {
        agrees(&sparse(3000, 70, 90_000), 0.5);
        agrees(&sparse(3000, 5000, 90_000), 0.0);
        agrees(&sparse(1, 3, 2), 1.0);
        let matrix = sparse(3000, 70, 90_000);
        let standardized = Standardization { means: vec![0.1; 70], scales: vec![2.0; 70] };
        agrees(&matrix.standardized(standardized).unwrap(), 0.5);
    }

    proptest! {
        #[test]
        fn small_matrices_agree(rows in 1usize..9, columns in 1usize..9, shift in -1.0f64..1.0) {
            agrees(&sparse(rows, columns, rows * columns / 2), shift);
        }
    }
}
