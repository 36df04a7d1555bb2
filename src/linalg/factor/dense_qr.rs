//! Dense QR factorisation through faer.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::qr::no_pivoting::solve::{solve_lstsq_in_place, solve_lstsq_in_place_scratch};
use faer::{Conj, Mat, MatMut, MatRef, Par};

use super::{FactorError, expect_size};

/// A = Q R by Householder reflections, A with at least as many rows as columns. 2 m n^2 flops, one thread.
#[derive(Clone, Debug)]
pub struct DenseQr {
    /// R on and above the diagonal, the reflections below it.
    factors: Mat<f64>,
    coefficients: Mat<f64>,
}

impl DenseQr {
    /// Factors a copy of the m x n matrix A, m >= n.
    ///
    /// # Errors
    /// `Dimension` if m < n, `NonFinite`.
    pub fn factor(a: MatRef<f64>) -> Result<Self, FactorError> {
        let (m, n) = a.shape();
        if m < n {
            let what = "rows of a matrix with at least as many rows as columns";
            return Err(FactorError::Dimension { what, expected: n, actual: m });
        }
        for column in 0..n {
            for row in 0..m {
                let value = a[(row, column)];
                if !value.is_finite() {
                    return Err(FactorError::NonFinite { row, column, value });
                }
            }
        }
        let mut factors = a.to_owned();
        let block = recommended_block_size::<f64>(m, n);
        let mut coefficients = Mat::zeros(block, n);
        if n > 0 {
            let mut memory = scratch(qr_in_place_scratch::<f64>(m, n, block, Par::Seq, Default::default()))?;
            qr_in_place(
                factors.as_mut(),
                coefficients.as_mut(),
                Par::Seq,
                MemStack::new(&mut memory),
                Default::default(),
            );
        }
        Ok(Self { factors, coefficients })
    }

    /// The n x n upper triangular factor R. Signs of its diagonal are as they come.
    pub fn r(&self) -> Mat<f64> {
        let n = self.factors.ncols();
        Mat::from_fn(n, n, |i, j| if i <= j { self.factors[(i, j)] } else { 0.0 })
    }

    /// The m x n factor Q, whose columns are orthonormal; they span the columns of A where A has full rank.
    ///
    /// # Errors
    /// `Backend` when memory runs out.
    pub fn orthonormal_factor(&self) -> Result<Mat<f64>, FactorError> {
        let (m, n) = self.factors.shape();
        let mut q = Mat::identity(m, n);
        if n > 0 {
            let block = self.coefficients.nrows();
            let need = apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(m, block, n);
            apply_block_householder_sequence_on_the_left_in_place_with_conj(
                self.factors.as_ref(),
                self.coefficients.as_ref(),
                Conj::No,
                q.as_mut(),
                Par::Seq,
                MemStack::new(&mut scratch(need)?),
            );
        }
        Ok(q)
    }

    /// How many diagonal entries of R are zero to working precision, |r_jj| <= max(m, n) eps max |r_ii|. Without column
    /// exchanges none at all is no proof of a well-conditioned A.
    pub fn zero_pivots(&self) -> usize {
        let (m, n) = self.factors.shape();
        let largest = (0..n).map(|j| self.factors[(j, j)].abs()).fold(0.0, f64::max);
        let threshold = m.max(n) as f64 * f64::EPSILON * largest;
        (0..n).filter(|&j| self.factors[(j, j)].abs() <= threshold).count()
    }

    /// The x that minimises |A x - b|_2.
    ///
    /// # Errors
    /// `Dimension` unless b has m entries; `Singular` where [`zero_pivots`](Self::zero_pivots) finds any.
    pub fn solve_least_squares(&self, b: &[f64]) -> Result<Vec<f64>, FactorError> {
        let (m, n) = self.factors.shape();
        expect_size("entries of the right-hand side", m, b.len())?;
        let zero = self.zero_pivots();
        if zero > 0 {
            return Err(FactorError::Singular { zero });
        }
        let mut x = b.to_vec();
        if n > 0 {
            let block = self.coefficients.nrows();
            let mut memory = scratch(solve_lstsq_in_place_scratch::<f64>(m, n, block, 1, Par::Seq))?;
            solve_lstsq_in_place(
                self.factors.as_ref(),
                self.coefficients.as_ref(),
                self.factors.as_ref(),
                MatMut::from_column_major_slice_mut(&mut x, m, 1),
                Par::Seq,
                MemStack::new(&mut memory),
            );
        }
        x.truncate(n);
        Ok(x)
    }
}

fn scratch(need: faer::dyn_stack::StackReq) -> Result<MemBuffer, FactorError> {
    MemBuffer::try_new(need).map_err(|_| FactorError::Backend("out of memory".into()))
}
