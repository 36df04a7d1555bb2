//! Krylov methods on linear operators, and preconditioners.
//!
//! | function | A | preconditioner M^{-1} |
//! | --- | --- | --- |
//! | [`conjugate_gradient`] | symmetric positive definite | symmetric positive definite |
//! | [`minres`] | symmetric, also indefinite or singular | symmetric positive definite |
//! | [`gmres`] | any square matrix | any, applied from the right |
//!
//! All three start from the given x, write the answer over it, stop by a [`Stopping`] rule and return an [`Outcome`] whose
//! residual is recomputed from x at the end. Memory comes from a [`Workspace`], which may be kept for the next
//! solve: nothing is allocated inside an iteration.
//!
//! ```
//! use gradus::linalg::krylov::{FromFn, Identity, Status, Stopping, Workspace, conjugate_gradient};
//! let a = FromFn::new(2, |x: &[f64], y: &mut [f64]| {
//!     y[0] = 4.0 * x[0] + x[1];
//!     y[1] = x[0] + 3.0 * x[1];
//! });
//! let mut x = [0.0; 2];
//! let stopping = Stopping { tolerance: 1e-12, ..Stopping::default() };
//! let outcome = conjugate_gradient(&a, &Identity(2), &[1.0, 2.0], &mut x, &stopping, &mut Workspace::new(), None)?;
//! assert_eq!(outcome.status, Status::Converged);
//! assert!((x[0] - 1.0 / 11.0).abs() < 1e-12 && (x[1] - 7.0 / 11.0).abs() < 1e-12);
//! # Ok::<(), gradus::linalg::krylov::KrylovError>(())
//! ```

mod conjugate_gradient;
mod gmres;
mod incomplete_cholesky;
mod minres;
mod multigrid;
mod preconditioner;

pub use conjugate_gradient::conjugate_gradient;
pub use gmres::gmres;
pub use incomplete_cholesky::IncompleteCholesky;
pub use minres::minres;
pub use multigrid::Multigrid;
pub use preconditioner::{Identity, Jacobi, Ssor};

use std::ops::ControlFlow;

use sprs::{CsMatI, CsMatViewI};

use super::product;

/// A square linear map that can be applied to a vector.
pub trait LinearOperator {
    /// Number of rows and of columns.
    fn dimension(&self) -> usize;

    /// y <- A x, both of length [`dimension`](Self::dimension). Overwrites all of y, whatever it held.
    fn apply(&self, x: &[f64], y: &mut [f64]);

    /// Whether the operator is one at all; asked once per solve, before any product.
    ///
    /// # Errors
    /// `Dimension` for a matrix that isn't square.
    fn check(&self) -> Result<(), KrylovError> {
        Ok(())
    }
}

/// A linear operator given by a function that computes y <- A x.
pub struct FromFn<F> {
    dimension: usize,
    apply: F,
}

impl<F: Fn(&[f64], &mut [f64])> FromFn<F> {
    /// The operator on vectors of length `dimension` that `apply(x, y)` computes.
    pub fn new(dimension: usize, apply: F) -> Self {
        Self { dimension, apply }
    }
}

impl<F: Fn(&[f64], &mut [f64])> LinearOperator for FromFn<F> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        (self.apply)(x, y);
    }
}

/// A square matrix; rows are worked on in parallel where it is stored by rows.
impl LinearOperator for CsMatViewI<'_, f64, u32> {
    fn dimension(&self) -> usize {
        self.rows()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        if self.is_csr() {
            product::multiply(*self, x, y);
        } else {
            y.fill(0.0);
            for (column, &x) in self.outer_iterator().zip(x) {
                column.iter().for_each(|(i, &value)| y[i] += value * x);
            }
        }
    }

    fn check(&self) -> Result<(), KrylovError> {
        let (expected, actual) = (self.rows(), self.cols());
        let what = "columns of a square matrix";
        if expected == actual { Ok(()) } else { Err(KrylovError::Dimension { what, expected, actual }) }
    }
}

impl LinearOperator for CsMatI<f64, u32> {
    fn dimension(&self) -> usize {
        self.rows()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        self.view().apply(x, y);
    }

    fn check(&self) -> Result<(), KrylovError> {
        self.view().check()
    }
}

/// When a Krylov method stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// Converged at |b - A x| <= tolerance |b| (Euclidean norms).
    pub tolerance: f64,
    /// Converged at |b - A x| <= `absolute`, too; whichever comes first.
    pub absolute: f64,
    /// Iterations after which the method gives up, products with A apart from those that check the residual.
    pub max_iterations: usize,
}

impl Default for Stopping {
    fn default() -> Self {
        Self { tolerance: 1e-8, absolute: 0.0, max_iterations: 10_000 }
    }
}

impl Stopping {
    /// The norm of the residual at which to stop.
    fn target(&self, rhs_norm: f64) -> f64 {
        (self.tolerance * rhs_norm).max(self.absolute)
    }
}

/// Why a Krylov method stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The recomputed residual meets the tolerance.
    Converged,
    /// The iteration limit was reached first.
    IterationLimit,
    /// The observer asked to stop.
    Stopped,
    /// CG met a direction p with p'A p <= 0, or a preconditioner that isn't positive definite.
    Indefinite,
    /// The residual no longer falls: rounding, or a singular A with no solution in reach.
    Stagnated,
    /// A number that isn't finite came up: the operator returned one, or the iteration overflowed.
    NotFinite,
}

/// What a Krylov method returns beside x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Why it stopped.
    pub status: Status,
    /// Iterations taken.
    pub iterations: usize,
    /// |b - A x|, recomputed from the returned x.
    pub residual: f64,
    /// |b - A x| / |b|, recomputed from the returned x; 0 where both are 0.
    pub relative_residual: f64,
}

/// The state after an iteration, for an [`Observer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Iterations so far, from 1.
    pub iteration: usize,
    /// The method's own running estimate of |b - A x| / |b|. MINRES with a preconditioner measures both in the norm of M^{-1}.
    pub relative_residual: f64,
    /// (t_kk, t_{k+1,k}): the diagonal entry and the one below it that this iteration adds to the Lanczos tridiagonal matrix of
    /// M^{-1/2} A M^{-1/2}, whose eigenvalues approach those of the operator from within. None for GMRES.
    pub lanczos: Option<(f64, f64)>,
}

/// Sees every iteration and may stop the method.
pub type Observer<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// Vectors of a Krylov method, kept between solves.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    memory: Vec<f64>,
}

impl Workspace {
    /// An empty workspace; the first solve fills it.
    pub fn new() -> Self {
        Self::default()
    }

    /// `N` vectors of length n, their contents unspecified.
    pub(crate) fn vectors<const N: usize>(&mut self, n: usize) -> [&mut [f64]; N] {
        if self.memory.len() < N * n {
            self.memory.resize(N * n, 0.0);
        }
        let mut rest = &mut self.memory[..];
        std::array::from_fn(|_| {
            let (vector, tail) = std::mem::take(&mut rest).split_at_mut(n);
            rest = tail;
            vector
        })
    }
}

/// Input that a Krylov method or a preconditioner can't work with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KrylovError {
    /// Sizes that don't fit.
    #[error("{what}: expected {expected}, got {actual}")]
    Dimension {
        /// What was measured.
        what: &'static str,
        /// The size that fits.
        expected: usize,
        /// The size that was given.
        actual: usize,
    },
    /// An entry of a vector that isn't finite.
    #[error("entry {index} of {what} is {value}; it must be finite")]
    NonFinite {
        /// Which vector.
        what: &'static str,
        /// Index, from 0.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// A diagonal entry that isn't positive.
    #[error("diagonal entry {row} is {value}; the preconditioner needs positive ones")]
    Diagonal {
        /// Row, from 0.
        row: usize,
        /// The entry, 0 where none is stored.
        value: f64,
    },
    /// Incomplete Cholesky broke down for every shift.
    #[error(
        "incomplete Cholesky breaks down even with the diagonal enlarged {largest:e} times: the matrix is far from positive definite"
    )]
    Shift {
        /// The largest shift that was tried.
        largest: f64,
    },
    /// An option out of its range.
    #[error("{name} is {value}; it must be {expected}")]
    Option {
        /// The option's name.
        name: &'static str,
        /// The value that was given.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
}

/// Checks what all methods need. Returns |b|.
fn check(
    a: &dyn LinearOperator,
    preconditioner: &dyn LinearOperator,
    b: &[f64],
    x: &[f64],
    stopping: &Stopping,
) -> Result<f64, KrylovError> {
    a.check()?;
    preconditioner.check()?;
    let expected = a.dimension();
    let sizes = [
        ("dimension of the preconditioner", preconditioner.dimension()),
        ("entries of the right-hand side", b.len()),
        ("entries of the starting point", x.len()),
    ];
    for (what, actual) in sizes {
        if actual != expected {
            return Err(KrylovError::Dimension { what, expected, actual });
        }
    }
    check_finite("the right-hand side", b)?;
    check_finite("the starting point", x)?;
    for (name, value) in [("tolerance", stopping.tolerance), ("absolute", stopping.absolute)] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(KrylovError::Option { name, value, expected: "finite and not negative" });
        }
    }
    Ok(product::norm(b))
}

fn check_finite(what: &'static str, values: &[f64]) -> Result<(), KrylovError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(KrylovError::NonFinite { what, index, value: values[index] }),
    }
}

/// r <- b - A x; returns |r|. Starting from zero costs no product.
fn residual(a: &dyn LinearOperator, b: &[f64], x: &[f64], r: &mut [f64]) -> f64 {
    if x.iter().all(|&x| x == 0.0) {
        r.copy_from_slice(b);
    } else {
        a.apply(x, r);
        r.iter_mut().zip(b).for_each(|(r, b)| *r = b - *r);
    }
    product::norm(r)
}

/// part / whole, with 0 / 0 = 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

/// Reports an iteration; true if the observer asks to stop.
fn observe(observer: &mut Option<&mut Observer>, progress: &Progress) -> bool {
    observer.as_mut().is_some_and(|observe| observe(progress).is_break())
}
