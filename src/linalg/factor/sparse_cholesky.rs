//! Sparse Cholesky factorisation through faer, symbolic analysis kept.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::LltError;
use faer::sparse::linalg::cholesky::{
    CholeskySymbolicParams, LltRef, SymbolicCholesky, SymbolicCholeskyRaw, SymmetricOrdering,
    factorize_symbolic_cholesky,
};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Side};
use sprs::CsMatViewI;

use super::{FactorError, Pattern, check_square, expect_size};

/// P A P' = L L' of a sparse symmetric positive definite matrix, P an approximate minimum degree ordering.
///
/// The ordering and the pattern of L are worked out once per pattern and kept; factoring a matrix with the same
/// pattern again only computes numbers, in memory that is kept too. One thread.
#[derive(Default)]
pub struct SparseCholesky {
    pattern: Pattern,
    symbolic: Option<SymbolicCholesky<u32>>,
    values: Vec<f64>,
    scratch: Option<MemBuffer>,
    analyses: usize,
    factored: bool,
}

impl SparseCholesky {
    /// An empty factorisation.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often a pattern was analysed so far.
    pub fn analyses(&self) -> usize {
        self.analyses
    }

    /// Stored entries of L.
    pub fn factor_entries(&self) -> usize {
        self.values.len()
    }

    /// Factors A, of which only the lower triangle is read: rows i >= columns j, whether stored by rows or columns.
    /// The pattern is analysed again only if it differs from the last one.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `NonFinite`; `NotPositiveDefinite` with the row of the pivot that failed.
    pub fn factor(&mut self, a: CsMatViewI<f64, u32>) -> Result<(), FactorError> {
        self.factored = false;
        check_square(a)?;
        // the lower triangle by rows is the upper triangle by columns
        let side = if a.is_csc() { Side::Lower } else { Side::Upper };
        if self.symbolic.is_none() || !self.pattern.matches(a) {
            self.analyse(a, side)?;
        }
        let Some(symbolic) = &self.symbolic else { return Err(FactorError::NotFactored) };
        let scratch = self.scratch.get_or_insert_with(|| MemBuffer::new(faer::dyn_stack::StackReq::EMPTY));
        let pointers = a.proper_indptr();
        let outcome = symbolic.factorize_numeric_llt(
            &mut self.values,
            SparseColMatRef::new(columns_of(a, &pointers), a.data()),
            side,
            Default::default(),
            Par::Seq,
            MemStack::new(scratch),
            Default::default(),
        );
        match outcome {
            Ok(_) => {
                self.factored = true;
                Ok(())
            }
            Err(LltError::NonPositivePivot { index }) => {
                // faer counts the pivots of its simplicial method from 1, those of its supernodal method from 0
                let counted_from_one = matches!(symbolic.raw(), SymbolicCholeskyRaw::Simplicial(_));
                let pivot = index - usize::from(counted_from_one);
                let row = symbolic.perm().map_or(pivot, |perm| perm.arrays().0[pivot] as usize);
                Err(FactorError::NotPositiveDefinite { pivot: row })
            }
        }
    }

    fn analyse(&mut self, a: CsMatViewI<f64, u32>, side: Side) -> Result<(), FactorError> {
        self.symbolic = None;
        let pointers = a.proper_indptr();
        let symbolic = factorize_symbolic_cholesky(
            columns_of(a, &pointers),
            side,
            SymmetricOrdering::Amd,
            CholeskySymbolicParams::default(),
        )
        .map_err(|error| FactorError::Backend(error.to_string()))?;
        let need =
            symbolic
                .factorize_numeric_llt_scratch::<f64>(Par::Seq, Default::default())
                .or(symbolic.solve_in_place_scratch::<f64>(1, Par::Seq));
        let scratch = MemBuffer::try_new(need).map_err(|_| FactorError::Backend("out of memory".into()))?;
        self.scratch = Some(scratch);
        self.values.clear();
        self.values.resize(symbolic.len_val(), 0.0);
        self.pattern = Pattern::of(a);
        self.symbolic = Some(symbolic);
        self.analyses += 1;
        Ok(())
    }

    /// x <- A^{-1} x. Cost: 4 flops per stored entry of L.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension` unless x has n entries.
    pub fn solve_in_place(&mut self, x: &mut [f64]) -> Result<(), FactorError> {
        let (Some(symbolic), Some(scratch), true) = (&self.symbolic, &mut self.scratch, self.factored) else {
            return Err(FactorError::NotFactored);
        };
        expect_size("entries of the right-hand side", symbolic.nrows(), x.len())?;
        let n = x.len();
        LltRef::new(symbolic, &self.values).solve_in_place_with_conj(
            Conj::No,
            MatMut::from_column_major_slice_mut(x, n, 1),
            Par::Seq,
            MemStack::new(scratch),
        );
        Ok(())
    }
}

/// The storage of a seen as columns: A itself by columns, A' by rows.
fn columns_of<'a>(a: CsMatViewI<'a, f64, u32>, pointers: &'a [u32]) -> SymbolicSparseColMatRef<'a, u32> {
    SymbolicSparseColMatRef::new_checked(a.rows(), a.cols(), pointers, None, a.into_raw_storage().1)
}
