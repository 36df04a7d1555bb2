//! The smooth part f of an objective, as block methods see it: values, derivatives and bounds of a few unknowns at a
//! time, at a point that moves along lines.

mod linear;
mod pairwise;
mod quadratic;
mod softmax;
mod sparse;

pub(super) use linear::Linear;
pub(super) use pairwise::Pairwise;
pub(super) use quadratic::Quadratic;
pub(super) use softmax::Multinomial;

use sprs::CsMatViewI;

/// A direction that moves the unknowns of a block, and its image under the data.
#[derive(Debug, Clone)]
pub struct Line {
    /// The unknowns that move, ascending.
    pub block: Vec<usize>,
    /// How far each moves at step 1.
    pub direction: Vec<f64>,
    /// What the function needs along the line: A_b d, or Q_b d.
    pub(super) image: Vec<f64>,
    /// f(x + a d) - f(x) = a slope + a^2 curvature / 2 for a quadratic f.
    pub(super) slope: f64,
    pub(super) curvature: f64,
}

/// A smooth convex function f of p unknowns at a current point x. Blocks are ascending lists of distinct unknowns;
/// matrices of a block are dense, column-major, both triangles.
pub trait Smooth: Sync {
    /// p.
    fn unknowns(&self) -> usize;

    /// Moves to x, and computes everything that is kept about the point afresh.
    fn rebuild(&mut self, x: &[f64]);

    /// f(x).
    fn value(&self) -> f64;

    /// out <- the gradient at x.
    fn gradient(&self, out: &mut [f64]);

    /// The gradient's entries of a block.
    fn gradient_block(&self, block: &[usize]) -> Vec<f64>;

    /// Whether the bounds below hold for every x; otherwise they are the values at the current one.
    fn is_bounded(&self) -> bool {
        true
    }

    /// Whether the Hessian is constant, and the bounds exact.
    fn is_quadratic(&self) -> bool;

    /// L_i, bounds of the second derivatives.
    fn coordinate_bounds(&self) -> Vec<f64>;

    /// sum over j of |H_ij|, H the bound of the Hessian.
    fn row_sums(&self) -> Vec<f64>;

    /// H_b, a matrix above the Hessian's block at every x.
    fn bound(&self, block: &[usize]) -> Vec<f64>;

    /// The Hessian's block at x.
    fn hessian(&self, block: &[usize]) -> Vec<f64>;

    /// H d for a d that is zero outside the block, H the bound of the Hessian.
    fn bound_product(&self, block: &[usize], d: &[f64]) -> Vec<f64>;

    /// The line x + a d. The price of a product with the block's columns.
    fn aim(&self, block: &[usize], d: &[f64]) -> Line;

    /// f(x + step d), without a product.
    fn value_along(&self, line: &Line, step: f64) -> f64;

    /// x <- x + step d.
    fn advance(&mut self, line: &Line, step: f64);

    /// The whole Hessian at x, where it is a sparse matrix that is known; its pattern is the same at every x.
    fn hessian_matrix(&self) -> Option<CsMatViewI<'_, f64, u32>> {
        None
    }
}
