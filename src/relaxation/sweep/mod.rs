//! The sweeps: passes over the rows of A = D + L + L' that relaxation methods are made of.
//!
//! - `strips`: the natural order, in strips of rows, for every storage of the matrix:
//! - `grid`: constant coefficients on a grid of lines, nothing stored;
//! - `diagonals`: few diagonals in every strip, no index array;
//! - `rows`: compressed rows, and the arithmetic of one row;
//! - `levels`: rows that don't depend on each other at once, on several threads, the same bits as in the natural order;
//! - `lanes`: sums over the rows.
//!
//! With E = D / omega + L and s = (2 - omega) / omega, A = E + E' - s D. D includes the shift c of A + c I.

pub(super) mod diagonals;
pub(super) mod grid;
mod lanes;
pub(super) mod levels;
pub(super) mod rows;
pub(super) mod strips;

/// One storage of A + c I with its sweeps. All vectors have n entries; all sums are taken in an order that depends on A alone.
pub(super) trait Sweeps: Send + Sync {
    /// Replaces the shift c. Diagonal entries must stay positive: the caller checks.
    fn set_shift(&mut self, shift: f64);

    /// y <- (A + c I) x.
    fn multiply(&self, x: &[f64], y: &mut [f64]);

    /// x_i <- x_i + omega (b_i - a_i'x) / a_ii for ascending i, each with the newest x. Returns the sum of squares of the
    /// row residuals b_i - a_i'x as they were met.
    fn sor_forward(&self, omega: f64, b: &[f64], x: &mut [f64], scratch: &mut [f64]) -> f64;

    /// The same for descending i.
    fn sor_backward(&self, omega: f64, b: &[f64], x: &mut [f64], scratch: &mut [f64]) -> f64;

    /// g <- E^{-1} r. Returns g's D g.
    fn solve_lower(&self, omega: f64, r: &[f64], g: &mut [f64]) -> f64;

    /// p <- s D g + beta p, then u <- E^{-T} p.
    fn solve_upper(&self, omega: f64, beta: f64, g: &[f64], p: &mut [f64], u: &mut [f64]);

    /// v <- E^{-1} (p - s D u). Returns p'(u + v), which is u'A u.
    fn complete(&self, omega: f64, p: &[f64], u: &[f64], v: &mut [f64]) -> f64;

    /// x <- x + alpha u, g <- g - alpha (u + v). Returns g's D g.
    fn step(&self, omega: f64, alpha: f64, u: &[f64], v: &[f64], x: &mut [f64], g: &mut [f64]) -> f64;

    /// |E g|^2: the residual that g stands for.
    fn lower_norm_squared(&self, omega: f64, g: &[f64]) -> f64;

    /// Calls `entry(column, value)` for the stored entries of row i of A + c I, columns ascending.
    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64));
}
