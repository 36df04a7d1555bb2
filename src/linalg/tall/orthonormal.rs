//! Orthonormal bases of the columns of a tall matrix.

use faer::MatRef;

use super::{Element, TallMatrix};
use crate::linalg::factor::{DenseCholesky, DenseQr, FactorError};

impl<T: Element> TallMatrix<T> {
    /// A = Q R with Q'Q = I and R upper triangular, k x k; A is replaced by Q.
    ///
    /// By the Cholesky factor of A'A, twice (Yamamoto, Nakatsukasa, Yanagisawa, Fukaya 2015): 4 n k^2 flops in
    /// parallel and orthonormal to rounding while the condition of A is below about 10^7. Where a pivot says that it
    /// isn't, and where A has fewer rows than columns would need, by Householder reflections on one thread.
    ///
    /// # Errors
    /// `Dimension` if n < k, `NonFinite`.
    pub fn orthonormalize(&mut self) -> Result<TallMatrix, FactorError> {
        let (n, k) = self.shape();
        if k == 0 {
            return Ok(TallMatrix::zeros(0, 0));
        }
        if n >= 4 * k
            && let Some((q, first)) = cholesky_pass(self)
            && let Some((q, second)) = cholesky_pass(&q)
        {
            *self = q;
            return Ok(second.times(&first));
        }
        let wide: TallMatrix = self.convert();
        let view = MatRef::from_row_major_slice_with_stride(wide.as_slice(), n, k, wide.stride());
        let qr = DenseQr::factor(view)?;
        let (q, r) = (qr.orthonormal_factor()?, qr.r());
        *self = Self::from_fn(n, k, |i, j| q[(i, j)]);
        Ok(TallMatrix::from_fn(k, k, |i, j| r[(i, j)]))
    }
}

/// A R^{-1} and R with R'R = A'A, unless A is too ill conditioned for it.
fn cholesky_pass<T: Element>(a: &TallMatrix<T>) -> Option<(TallMatrix<T>, TallMatrix)> {
    let k = a.columns();
    let gram = a.gram();
    let flat: Vec<f64> = (0..k).flat_map(|i| gram.row(i).to_vec()).collect();
    let mut cholesky = DenseCholesky::new();
    cholesky.factor(k, &flat).ok()?;
    let diagonal = |j: usize| cholesky.column(j).map_or(0.0, |column| column[0]);
    let (least, largest) =
        (0..k).map(diagonal).fold((f64::INFINITY, 0.0f64), |(low, high), d| (low.min(d), high.max(d)));
    if !(least > 1e-6 * largest) {
        return None;
    }
    let mut r = TallMatrix::zeros(k, k);
    for j in 0..k {
        r.row_mut(j)[j..].copy_from_slice(cholesky.column(j)?);
    }
    // the rows of R^{-T}, which are the columns of R^{-1}
    let mut columns = Vec::with_capacity(k);
    for j in 0..k {
        let mut unit = vec![0.0; k];
        unit[j] = 1.0;
        cholesky.solve_upper_in_place(&mut unit).ok()?;
        columns.push(unit);
    }
    let inverse = TallMatrix::from_fn(k, k, |i, j| columns[j][i]);
    Some((a.times(&inverse), r))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_orthonormal_whatever_the_condition() {
        for (n, k, power) in [(1, 1, 0), (50, 7, 1), (3000, 12, 3), (3000, 12, 20), (9, 8, 2), (64, 5, 300)] {
            let entry = |i: usize, j: usize| {
                ((i * (j + 3) + j + 1) as f64 * 0.7).sin() * 10f64.powi(-((power * j / k) as i32))
            };
            let a: TallMatrix = TallMatrix::from_fn(n, k, entry);
            let mut q = a.clone();
            let r = q.orthonormalize().unwrap();
            let (gram, product) = (q.gram(), q.times(&r));
            for i in 0..k {
                for j in 0..k {
                    let unit = if i == j { 1.0 } else { 0.0 };
                    assert!((gram.row(i)[j] - unit).abs() < 1e-13, "{n} {k} {power}");
                }
            }
            for i in 0..n {
                for j in 0..k {
                    let error = (product.row(i)[j] - a.row(i)[j]).abs() / a.norm();
                    assert!(error < 1e-13, "{n} {k} {power}: {error:e}");
                }
            }
        }
        let mut wide: TallMatrix = TallMatrix::from_fn(2, 3, |i, j| (i + j) as f64);
        assert!(wide.orthonormalize().is_err());
    }
}
