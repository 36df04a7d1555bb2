//! Preconditioners that need nothing but the matrix itself.

use sprs::CsMatViewI;

use super::{KrylovError, LinearOperator};

/// No preconditioner: y <- x on vectors of this length.
#[derive(Clone, Copy, Debug)]
pub struct Identity(pub usize);

impl LinearOperator for Identity {
    fn dimension(&self) -> usize {
        self.0
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        y.copy_from_slice(x);
    }
}

/// M = diag(A): y_i <- x_i / a_ii.
#[derive(Clone, Debug)]
pub struct Jacobi {
    inverse: Vec<f64>,
}

impl Jacobi {
    /// From the diagonal.
    ///
    /// # Errors
    /// `Diagonal` at the first entry that isn't positive and finite.
    pub fn new(diagonal: &[f64]) -> Result<Self, KrylovError> {
        check_diagonal(diagonal)?;
        Ok(Self { inverse: diagonal.iter().map(|d| 1.0 / d).collect() })
    }

    /// From the diagonal of a square matrix.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `Diagonal` at the first entry that isn't positive and finite.
    pub fn of(a: CsMatViewI<f64, u32>) -> Result<Self, KrylovError> {
        Self::new(&diagonal_of(a)?)
    }
}

impl LinearOperator for Jacobi {
    fn dimension(&self) -> usize {
        self.inverse.len()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        for ((y, x), inverse) in y.iter_mut().zip(x).zip(&self.inverse) {
            *y = x * inverse;
        }
    }
}

/// Symmetric successive over-relaxation of a symmetric A = L + D + L':
/// M = (D + omega L) D^{-1} (D + omega L)' / (omega (2 - omega)) (Young 1971), positive definite for omega in (0, 2).
///
/// Two triangular solves per application, together one pass over the stored entries of A. One thread.
#[derive(Clone, Debug)]
pub struct Ssor<'a> {
    a: CsMatViewI<'a, f64, u32>,
    diagonal: Vec<f64>,
    omega: f64,
}

impl<'a> Ssor<'a> {
    /// For symmetric A with all its entries stored, by rows or by columns alike.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `Diagonal` at the first entry that isn't positive; `Option` for omega outside (0, 2).
    pub fn new(a: CsMatViewI<'a, f64, u32>, omega: f64) -> Result<Self, KrylovError> {
        if !(omega > 0.0 && omega < 2.0) {
            return Err(KrylovError::Option { name: "omega", value: omega, expected: "in (0, 2)" });
        }
        Ok(Self { a, diagonal: diagonal_of(a)?, omega })
    }
}

impl LinearOperator for Ssor<'_> {
    fn dimension(&self) -> usize {
        self.diagonal.len()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        let omega = self.omega;
        // (D + omega L) y = omega (2 - omega) x
        for (i, row) in self.a.outer_iterator().enumerate() {
            let below = row.indices().partition_point(|&j| (j as usize) < i);
            let sum: f64 = row.indices()[..below]
                .iter()
                .zip(&row.data()[..below])
                .map(|(&j, v)| v * y[j as usize])
                .sum();
            y[i] = (omega * (2.0 - omega) * x[i] - omega * sum) / self.diagonal[i];
        }
        // (D + omega L)' y = D y
        for i in (0..y.len()).rev() {
            let Some(row) = self.a.outer_view(i) else { continue };
            let above = row.indices().partition_point(|&j| (j as usize) <= i);
            let sum: f64 = row.indices()[above..]
                .iter()
                .zip(&row.data()[above..])
                .map(|(&j, v)| v * y[j as usize])
                .sum();
            y[i] -= omega * sum / self.diagonal[i];
        }
    }
}

/// The diagonal of a square matrix, all its entries positive.
pub(super) fn diagonal_of(a: CsMatViewI<f64, u32>) -> Result<Vec<f64>, KrylovError> {
    if a.rows() != a.cols() {
        let what = "columns of a square matrix";
        return Err(KrylovError::Dimension { what, expected: a.rows(), actual: a.cols() });
    }
    let diagonal: Vec<f64> =
        (0..a.rows()).map(|i| a.outer_view(i).and_then(|row| row.get(i).copied()).unwrap_or(0.0)).collect();
    check_diagonal(&diagonal)?;
    Ok(diagonal)
}

fn check_diagonal(diagonal: &[f64]) -> Result<(), KrylovError> {
    match diagonal.iter().position(|d| !(*d > 0.0 && d.is_finite())) {
        None => Ok(()),
        Some(row) => Err(KrylovError::Diagonal { row, value: diagonal[row] }),
    }
}
