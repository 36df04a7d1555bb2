//! SIF, the format of the CUTEst collection of test problems.

pub(crate) mod decoded;
pub(crate) mod function;
mod evaluate;
pub use function::Mode;
