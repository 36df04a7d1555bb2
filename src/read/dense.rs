//! The dense matrix that readers return.

use faer::MatRef;

/// A dense matrix, column by column: entry (i, j) is `values[i + j * rows]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// `rows * columns` entries, column by column.
    pub values: Vec<f64>,
}

impl Dense {
    /// A view for faer. Panics if `values` was given another length than `rows * columns`.
    pub fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.values, self.rows, self.columns)
    }

    /// The entries as a vector, if the matrix is one row or one column.
    pub fn as_vector(&self) -> Option<&[f64]> {
        (self.rows == 1 || self.columns == 1).then_some(&self.values)
    }

    /// From entries row by row, of which there must be `rows * columns`.
    pub(crate) fn from_row_major(rows: usize, columns: usize, by_row: &[f64]) -> Self {
        let mut values = Vec::with_capacity(by_row.len());
        for j in 0..columns {
            values.extend(by_row.iter().skip(j).step_by(columns.max(1)));
        }
        Self { rows, columns, values }
    }
}
