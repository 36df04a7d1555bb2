//! Files to problems.
//!
//! | module | reads |
//! | --- | --- |
//! | [`source`] | any input: a path or standard input, plain, gzip, xz or zstd |
//! | [`image`] | PNG images as numbers, and writes them |
//! | [`libsvm`] | labelled sparse rows |
//! | [`matrix_market`] | sparse and dense matrices, and writes them |
//! | [`npy`] | NumPy arrays of one or two dimensions, and writes them |
//! | [`sif`] | nonlinear programs in the Standard Input Format of CUTEst |
//! | [`triplets`] | `row,column,value` with free string identifiers, such as ratings |
//! | [`table`] | plain tables of numbers, such as point clouds |
//!
//! Every input is hostile until checked: each reader returns a [`ReadError`] that names the file, the place and what
//! was expected, and allocates no more than the bytes present can justify.

pub mod image;
pub mod libsvm;
pub mod matrix_market;
pub mod npy;
pub mod sif;
pub mod source;
pub mod table;
pub mod triplets;

mod dense;
mod error;
mod number;
mod text;

use std::path::Path;

pub use dense::Dense;
pub use error::ReadError;
pub use source::Source;

/// Reads a dense matrix or vector by the ending of its name, behind which `.gz`, `.xz` or `.zst` may stand: `.npy` by
/// [`npy`], `.mtx` by [`matrix_market`] (array storage), all else by [`table`].
///
/// # Errors
/// Those of the reader; Matrix Market coordinate storage.
pub fn dense(path: impl AsRef<Path>) -> Result<Dense, ReadError> {
    let source = Source::open(path)?;
    let (bytes, name) = (source.bytes(), source.name());
    let plain = source::without_compression(name).to_ascii_lowercase();
    if plain.ends_with(".npy") {
        return npy::parse(bytes, name, &npy::Options::default());
    }
    if !plain.ends_with(".mtx") {
        return table::parse(bytes, name);
    }
    match matrix_market::parse(bytes, name)?.matrix {
        matrix_market::Matrix::Dense(dense) => Ok(dense),
        matrix_market::Matrix::Sparse(_) => Err(ReadError::whole(
            name,
            "the matrix is stored by coordinates",
            "`array` storage is expected here",
        )),
    }
}
