//! Singular values and eigenvalues of dense matrices through faer, on one thread.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, MatRef, Par};

use super::FactorError;

/// U, the singular values in descending order, V.
pub type Svd = (Mat<f64>, Vec<f64>, Mat<f64>);

/// A = U diag(s) V' with s descending; U is m x p, V is n x p, p = min(m, n). O(m n p).
///
/// # Errors
/// `NonFinite`; `Backend` where memory runs out or the iteration doesn't converge.
pub fn dense_svd(a: MatRef<f64>) -> Result<Svd, FactorError> {
    check_finite(a)?;
    let (m, n) = a.shape();
    let p = m.min(n);
    let (mut u, mut s, mut v) = (Mat::zeros(m, p), Diag::zeros(p), Mat::zeros(n, p));
    let thin = ComputeSvdVectors::Thin;
    let mut memory = scratch(svd_scratch::<f64>(m, n, thin, thin, Par::Seq, Default::default()))?;
    let stack = MemStack::new(&mut memory);
    svd(a, s.as_mut(), Some(u.as_mut()), Some(v.as_mut()), Par::Seq, stack, Default::default())
        .map_err(|error| FactorError::Backend(format!("{error:?}")))?;
    Ok((u, s.column_vector().iter().copied().collect(), v))
}

/// The singular values of A alone, descending.
///
/// # Errors
/// As [`dense_svd`].
pub fn dense_singular_values(a: MatRef<f64>) -> Result<Vec<f64>, FactorError> {
    check_finite(a)?;
    let (m, n) = a.shape();
    let mut s = Diag::zeros(m.min(n));
    let none = ComputeSvdVectors::No;
    let mut memory = scratch(svd_scratch::<f64>(m, n, none, none, Par::Seq, Default::default()))?;
    svd(a, s.as_mut(), None, None, Par::Seq, MemStack::new(&mut memory), Default::default())
        .map_err(|error| FactorError::Backend(format!("{error:?}")))?;
    Ok(s.column_vector().iter().copied().collect())
}

/// A = W diag(d) W' of a symmetric A, of which the lower triangle is read; d ascending, the columns of W orthonormal.
///
/// # Errors
/// As [`dense_svd`]; `Dimension` unless A is square.
pub fn dense_symmetric_eigen(a: MatRef<f64>) -> Result<(Vec<f64>, Mat<f64>), FactorError> {
    check_finite(a)?;
    let n = a.nrows();
    super::expect_size("columns of a square matrix", n, a.ncols())?;
    let (mut d, mut w) = (Diag::zeros(n), Mat::zeros(n, n));
    let vectors = ComputeEigenvectors::Yes;
    let mut memory = scratch(self_adjoint_evd_scratch::<f64>(n, vectors, Par::Seq, Default::default()))?;
    let stack = MemStack::new(&mut memory);
    self_adjoint_evd(a, d.as_mut(), Some(w.as_mut()), Par::Seq, stack, Default::default())
        .map_err(|error| FactorError::Backend(format!("{error:?}")))?;
    Ok((d.column_vector().iter().copied().collect(), w))
}

fn check_finite(a: MatRef<f64>) -> Result<(), FactorError> {
    for column in 0..a.ncols() {
        for row in 0..a.nrows() {
            let value = a[(row, column)];
            if !value.is_finite() {
                return Err(FactorError::NonFinite { row, column, value });
            }
        }
    }
    Ok(())
}

fn scratch(need: faer::dyn_stack::StackReq) -> Result<MemBuffer, FactorError> {
    MemBuffer::try_new(need).map_err(|_| FactorError::Backend("out of memory".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_multiply_to_the_matrix() {
        let a = Mat::from_fn(7, 4, |i, j| ((3 * i + 5 * j) as f64).sin());
        let (u, s, v) = dense_svd(a.as_ref()).unwrap();
        let product = Mat::from_fn(7, 4, |i, j| (0..4).map(|c| u[(i, c)] * s[c] * v[(j, c)]).sum::<f64>());
        assert!((&product - &a).norm_max() < 1e-14);
        assert!(s.windows(2).all(|pair| pair[0] >= pair[1]));
        let values = dense_singular_values(a.as_ref()).unwrap();
        assert!(values.iter().zip(&s).all(|(p, q)| (p - q).abs() < 1e-14));
        let gram = a.transpose() * &a;
        let (d, w) = dense_symmetric_eigen(gram.as_ref()).unwrap();
        assert!(d.iter().rev().zip(&s).all(|(d, s)| (d - s * s).abs() < 1e-12));
        assert!((w.transpose() * &w - Mat::<f64>::identity(4, 4)).norm_max() < 1e-14);
        assert!(dense_svd(Mat::from_fn(1, 1, |_, _| f64::NAN).as_ref()).is_err());
    }
}
