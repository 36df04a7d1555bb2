//! Writing Matrix Market files. Numbers are written with the fewest digits that read back to the same bits.

use std::io::{self, Write};

use sprs::{CsMatViewI, SpIndex};

use super::super::Dense;

/// Writes a matrix or vector in array storage, `real general`.
///
/// # Errors
/// Those of the writer.
pub fn write_dense(out: &mut impl Write, matrix: &Dense) -> io::Result<()> {
    writeln!(out, "%%MatrixMarket matrix array real general")?;
    writeln!(out, "{} {}", matrix.rows, matrix.columns)?;
    for value in &matrix.values {
        writeln!(out, "{value:e}")?;
    }
    Ok(())
}

/// Writes a sparse matrix, CSR or CSC, in coordinate storage, `real general`, in the order in which it is stored.
///
/// # Errors
/// Those of the writer.
pub fn write_sparse<I: SpIndex>(out: &mut impl Write, matrix: CsMatViewI<f64, I>) -> io::Result<()> {
    writeln!(out, "%%MatrixMarket matrix coordinate real general")?;
    writeln!(out, "{} {} {}", matrix.rows(), matrix.cols(), matrix.nnz())?;
    for (value, (row, column)) in matrix.iter() {
        writeln!(out, "{} {} {value:e}", row.index() + 1, column.index() + 1)?;
    }
    Ok(())
}
