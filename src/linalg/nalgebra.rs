//! Data matrices from and to those of the crates nalgebra and nalgebra-sparse (feature `nalgebra`).
//!
//! ```
//! use gradus::linalg::DesignMatrix;
//! use nalgebra::dmatrix;
//!
//! let dense = dmatrix![1.0, 0.0; 2.0, 3.0; 0.0, 4.0];
//! let design = DesignMatrix::from_nalgebra(&dense)?;
//! assert_eq!(design.to_nalgebra(), dense);
//! let sparse = nalgebra_sparse::CsrMatrix::from(&dense);
//! assert_eq!(DesignMatrix::from_nalgebra_sparse(&sparse)?.to_nalgebra(), dense);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use nalgebra::DMatrix;
use nalgebra_sparse::CsrMatrix;
use sprs::CsMatI;

use super::{DesignError, DesignMatrix};

impl DesignMatrix {
    /// A dense matrix, copied.
    ///
    /// # Errors
    /// A NaN or infinite entry.
    pub fn from_nalgebra(matrix: &DMatrix<f64>) -> Result<Self, DesignError> {
        Self::from_dense(matrix.nrows(), matrix.ncols(), matrix.as_slice().to_vec())
    }

    /// A sparse matrix, copied.
    ///
    /// # Errors
    /// A NaN or infinite entry; more than 2^32 - 1 entries or columns.
    pub fn from_nalgebra_sparse(matrix: &CsrMatrix<f64>) -> Result<Self, DesignError> {
        let largest = matrix.nnz().max(matrix.ncols());
        if largest >= u32::MAX as usize {
            return Err(DesignError::TooLarge(largest));
        }
        // every number is at most the number of entries or of columns
        let short = |numbers: &[usize]| numbers.iter().map(|&k| k as u32).collect::<Vec<u32>>();
        let (offsets, indices) = (short(matrix.row_offsets()), short(matrix.col_indices()));
        let shape = (matrix.nrows(), matrix.ncols());
        Self::from_sparse(CsMatI::new(shape, offsets, indices, matrix.values().to_vec()))
    }

    /// The matrix as it acts, centring and scaling included, dense.
    pub fn to_nalgebra(&self) -> DMatrix<f64> {
        let mut out = DMatrix::zeros(self.rows(), self.columns());
        for (j, mut column) in out.column_iter_mut().enumerate() {
            self.column(j).iter().for_each(|(i, value)| column[i] = value);
            if let Some(s) = self.standardization() {
                column.iter_mut().for_each(|value| *value = (*value - s.means[j]) / s.scales[j]);
            }
        }
        out
    }
}
