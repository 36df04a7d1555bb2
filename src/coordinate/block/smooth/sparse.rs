//! Blocks of a sparse symmetric matrix, stored by rows.

use sprs::CsMatI;

use crate::linalg::product::{PARALLEL_ENTRIES, multiply};

/// The entries of row i.
pub(super) fn row(matrix: &CsMatI<f64, u32>, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
    let offsets = matrix.indptr();
    let range = offsets.raw_storage()[i] as usize..offsets.raw_storage()[i + 1] as usize;
    let (indices, values) = (&matrix.indices()[range.clone()], &matrix.data()[range]);
    indices.iter().zip(values).map(|(&j, &value)| (j as usize, value))
}

/// The block as a dense matrix.
pub(super) fn dense_block(matrix: &CsMatI<f64, u32>, block: &[usize]) -> Vec<f64> {
    let k = block.len();
    let mut dense = vec![0.0; k * k];
    for (column, &i) in block.iter().enumerate() {
        for (j, value) in row(matrix, i) {
            if let Ok(row) = block.binary_search(&j) {
                dense[column * k + row] = value;
            }
        }
    }
    dense
}

/// The matrix times a vector that is zero outside the block.
pub(super) fn product(matrix: &CsMatI<f64, u32>, block: &[usize], d: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; matrix.rows()];
    if block.len() * 8 > out.len() && matrix.nnz() >= PARALLEL_ENTRIES {
        // a large part of the unknowns: one parallel product by rows
        let mut full = vec![0.0; out.len()];
        block.iter().zip(d).for_each(|(&i, &d)| full[i] = d);
        multiply(matrix.view(), &full, &mut out);
    } else {
        for (&i, &d) in block.iter().zip(d) {
            row(matrix, i).for_each(|(j, value)| out[j] += value * d);
        }
    }
    out
}

/// The diagonal.
pub(super) fn diagonal(matrix: &CsMatI<f64, u32>) -> Vec<f64> {
    (0..matrix.rows())
        .map(|i| row(matrix, i).find(|entry| entry.0 == i).map_or(0.0, |entry| entry.1))
        .collect()
}

/// Row sums of absolute values.
pub(super) fn row_sums(matrix: &CsMatI<f64, u32>) -> Vec<f64> {
    (0..matrix.rows()).map(|i| row(matrix, i).map(|entry| entry.1.abs()).sum()).collect()
}
