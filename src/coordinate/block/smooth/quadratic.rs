//! f(x) = x'Qx / 2 - c'x with a sparse Q. A step costs the entries of the block's rows.

use rayon::prelude::*;
use sprs::{CsMatI, CsMatViewI};

use super::{Line, Smooth, sparse};
use crate::linalg::product::{PARALLEL_ENTRIES, dot, multiply};
use crate::problem::BoxQuadratic;

pub(in crate::coordinate::block) struct Quadratic<'a> {
    matrix: &'a CsMatI<f64, u32>,
    linear: &'a [f64],
    /// Q x - c.
    gradient: Vec<f64>,
    value: f64,
}

impl<'a> Quadratic<'a> {
    /// At x = 0.
    pub fn new(problem: &'a BoxQuadratic) -> Self {
        let gradient = problem.linear.iter().map(|c| -c).collect();
        Self { matrix: &problem.matrix, linear: &problem.linear, gradient, value: 0.0 }
    }
}

impl Smooth for Quadratic<'_> {
    fn unknowns(&self) -> usize {
        self.linear.len()
    }

    fn rebuild(&mut self, x: &[f64]) {
        multiply(self.matrix.view(), x, &mut self.gradient);
        self.value = 0.5 * dot(x, &self.gradient) - dot(x, self.linear);
        self.gradient.iter_mut().zip(self.linear).for_each(|(g, c)| *g -= c);
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn gradient(&self, out: &mut [f64]) {
        out.copy_from_slice(&self.gradient);
    }

    fn gradient_block(&self, block: &[usize]) -> Vec<f64> {
        block.iter().map(|&i| self.gradient[i]).collect()
    }

    fn is_quadratic(&self) -> bool {
        true
    }

    fn coordinate_bounds(&self) -> Vec<f64> {
        sparse::diagonal(self.matrix)
    }

    fn row_sums(&self) -> Vec<f64> {
        sparse::row_sums(self.matrix)
    }

    fn bound(&self, block: &[usize]) -> Vec<f64> {
        sparse::dense_block(self.matrix, block)
    }

    fn hessian(&self, block: &[usize]) -> Vec<f64> {
        self.bound(block)
    }

    fn bound_product(&self, block: &[usize], d: &[f64]) -> Vec<f64> {
        sparse::product(self.matrix, block, d)
    }

    fn aim(&self, block: &[usize], d: &[f64]) -> Line {
        let image = self.bound_product(block, d);
        let slope = block.iter().zip(d).map(|(&i, d)| self.gradient[i] * d).sum();
        let curvature = block.iter().zip(d).map(|(&i, d)| image[i] * d).sum();
        Line { block: block.to_vec(), direction: d.to_vec(), image, slope, curvature }
    }

    fn value_along(&self, line: &Line, step: f64) -> f64 {
        self.value + step * (line.slope + 0.5 * step * line.curvature)
    }

    fn advance(&mut self, line: &Line, step: f64) {
        self.value = self.value_along(line, step);
        let add = |(g, w): (&mut f64, &f64)| *g += step * w;
        if self.gradient.len() < PARALLEL_ENTRIES {
            self.gradient.iter_mut().zip(&line.image).for_each(add);
        } else {
            self.gradient.par_iter_mut().with_min_len(8192).zip(&line.image).for_each(add);
        }
    }

    fn hessian_matrix(&self) -> Option<CsMatViewI<'_, f64, u32>> {
        Some(self.matrix.view())
    }
}
