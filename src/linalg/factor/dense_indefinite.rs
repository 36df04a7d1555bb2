//! Dense symmetric indefinite factorisation (Bunch-Kaufman) through faer, with inertia.

use faer::diag::{DiagMut, DiagRef};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::lblt::factor::{
    LbltParams, PivotingStrategy, cholesky_in_place, cholesky_in_place_scratch,
};
use faer::linalg::cholesky::lblt::solve::{solve_in_place, solve_in_place_scratch};
use faer::perm::PermRef;
use faer::{Auto, MatMut, MatRef, Par, Spec};

use super::{FactorError, Inertia, SCALING_PASSES, expect_size, power_of_two_scale, zero_pivot};

/// Rook pivoting up to this many rows.
const LARGEST_ROOK: usize = 32;

/// P S A S P' = L B L' of a dense symmetric matrix, B with blocks of one and two rows, S a diagonal of powers of two.
///
/// Rook pivoting (Ashcraft, Grimes and Lewis 1998), which bounds the entries of L, after scaling rows and columns to a largest entry near
/// one; partial pivoting (Bunch and Kaufman 1977) above 32 rows. There updates are delayed by blocks, an entry and its mirror
/// image may differ by rounding, and where only that is left of a singular matrix a rook's search can go round in circles. By Sylvester's law A has as many positive, negative and zero eigenvalues as B. n^3/3 flops.
/// Memory is kept between calls. One thread.
#[derive(Default)]
pub struct DenseIndefinite {
    n: usize,
    /// L below the diagonal, the diagonal of B on it; column-major.
    factors: Vec<f64>,
    diagonal: Vec<f64>,
    subdiagonal: Vec<f64>,
    /// S.
    scale: Vec<f64>,
    forward: Vec<u32>,
    inverse: Vec<u32>,
    scratch: Option<MemBuffer>,
    inertia: Inertia,
    factored: bool,
}

impl DenseIndefinite {
    /// An empty factorisation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Factors the n x n matrix A, column-major in `a`, of which only the lower triangle is read.
    ///
    /// An eigenvalue of a block of B counts as zero at 64 sqrt(n) eps or below, in the scaled matrix, whose
    /// largest entries are about one.
    ///
    /// # Errors
    /// `Dimension` unless `a` has n^2 entries; `NonFinite` with the first bad entry of the lower triangle.
    pub fn factor(&mut self, n: usize, a: &[f64]) -> Result<Inertia, FactorError> {
        self.factored = false;
        let entries = n.checked_mul(n).ok_or(FactorError::Backend(format!("n = {n} is too large")))?;
        expect_size("entries of a square matrix", entries, a.len())?;
        self.load(n, a)?;
        let pivoting = if n <= LARGEST_ROOK { PivotingStrategy::Rook } else { PivotingStrategy::Partial };
        let params = Spec::new(LbltParams { pivoting, ..Auto::<f64>::auto() });
        self.reserve_scratch(n, params)?;
        let Some(scratch) = &mut self.scratch else { return Err(FactorError::NotFactored) };
        if n > 0 {
            cholesky_in_place::<u32, f64>(
                MatMut::from_column_major_slice_mut(&mut self.factors, n, n),
                DiagMut::from_slice_mut(&mut self.subdiagonal),
                &mut self.forward,
                &mut self.inverse,
                Par::Seq,
                MemStack::new(scratch),
                params,
            );
        }
        for j in 0..n {
            self.diagonal[j] = self.factors[j * n + j];
        }
        self.inertia = Inertia::default();
        self.inertia.add_blocks(&self.diagonal, &self.subdiagonal, zero_pivot(n));
        self.factored = true;
        Ok(self.inertia)
    }

    /// Copies S A S into the factor's storage.
    fn load(&mut self, n: usize, a: &[f64]) -> Result<(), FactorError> {
        self.n = n;
        for vector in [&mut self.diagonal, &mut self.subdiagonal, &mut self.scale] {
            vector.clear();
            vector.resize(n, 0.0);
        }
        self.scale.fill(1.0);
        for permutation in [&mut self.forward, &mut self.inverse] {
            permutation.clear();
            permutation.resize(n, 0);
        }
        self.factors.clear();
        self.factors.extend_from_slice(a);
        for column in 0..n {
            for row in column..n {
                let value = a[column * n + row];
                if !value.is_finite() {
                    return Err(FactorError::NonFinite { row, column, value });
                }
            }
        }
        for _ in 0..SCALING_PASSES {
            self.equilibrate();
        }
        Ok(())
    }

    /// One pass of scaling row and column i by the power of two next to 1 / sqrt(max_j |a_ij|) (Ruiz 2001).
    fn equilibrate(&mut self) {
        let n = self.n;
        // the diagonal of B isn't known yet: its place serves for the largest entry of each row
        self.diagonal.fill(0.0);
        for j in 0..n {
            for i in j..n {
                let size = self.factors[j * n + i].abs();
                self.diagonal[i] = self.diagonal[i].max(size);
                self.diagonal[j] = self.diagonal[j].max(size);
            }
        }
        for largest in &mut self.diagonal {
            *largest = power_of_two_scale(*largest);
        }
        for j in 0..n {
            for i in j..n {
                self.factors[j * n + i] *= self.diagonal[i] * self.diagonal[j];
            }
            self.scale[j] *= self.diagonal[j];
        }
    }

    fn reserve_scratch(&mut self, n: usize, params: Spec<LbltParams, f64>) -> Result<(), FactorError> {
        let need = cholesky_in_place_scratch::<u32, f64>(n, Par::Seq, params)
            .or(solve_in_place_scratch::<u32, f64>(n, 1, Par::Seq));
        if self.scratch.as_ref().is_none_or(|memory| memory.len() < need.unaligned_bytes_required()) {
            let memory = MemBuffer::try_new(need);
            self.scratch = Some(memory.map_err(|_| FactorError::Backend("out of memory".into()))?);
        }
        Ok(())
    }

    /// The inertia of the last factored matrix.
    pub fn inertia(&self) -> Option<Inertia> {
        self.factored.then_some(self.inertia)
    }

    /// x <- A^{-1} x.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension` unless x has n entries; `Singular` if the inertia counts a zero.
    pub fn solve_in_place(&mut self, x: &mut [f64]) -> Result<(), FactorError> {
        let (Some(scratch), true) = (&mut self.scratch, self.factored) else {
            return Err(FactorError::NotFactored);
        };
        let n = self.n;
        expect_size("entries of the right-hand side", n, x.len())?;
        if self.inertia.zero > 0 {
            return Err(FactorError::Singular { zero: self.inertia.zero });
        }
        if n == 0 {
            return Ok(());
        }
        x.iter_mut().zip(&self.scale).for_each(|(x, s)| *x *= s);
        solve_in_place(
            MatRef::from_column_major_slice(&self.factors, n, n),
            DiagRef::from_slice(&self.diagonal),
            DiagRef::from_slice(&self.subdiagonal),
            PermRef::new_checked(&self.forward, &self.inverse, n),
            MatMut::from_column_major_slice_mut(x, n, 1),
            Par::Seq,
            MemStack::new(scratch),
        );
        x.iter_mut().zip(&self.scale).for_each(|(x, s)| *x *= s);
        Ok(())
    }
}
