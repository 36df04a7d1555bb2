//! Costs between pixels that are sums over the axes: C = h(r, r') + h(c, c').
//!
//! The soft minimum over all pixels is one over the columns of each row, then one over the rows: O(S^3) exponentials
//! for S x S pixels in place of S^4, and no array of n m numbers. Pixels of mass zero stand in the full grid with a
//! value so low that their exponentials vanish.

use rayon::prelude::*;

use super::super::problem::Metric;
use super::{Evaluation, FORBIDDEN, Masses, PointCosts};
use crate::linalg::exponential::{add_exp, raise};

/// Pixels of positive mass as points, and their places in the grids.
#[derive(Clone, Debug)]
pub(crate) struct GridCosts {
    pub points: PointCosts,
    /// Pixel of each row, pixel of each column.
    pub pixels: [Vec<u32>; 2],
    /// Rows and columns of the images.
    pub shapes: [[usize; 2]; 2],
}

/// h(x, y) of one axis.
fn axis_cost(metric: Metric, x: usize, y: usize) -> f64 {
    let d = x as f64 - y as f64;
    if metric == Metric::SquaredEuclidean { d * d } else { d.abs() }
}

impl GridCosts {
    /// eps LSE_i((f_i - C_ij)/eps) for every j of the side `1 - from`, where f lives on the side `from`.
    pub fn soft_maximum(&self, from: usize, f: &[f64], eps: f64) -> Vec<f64> {
        let ([rows, columns], [new_rows, new_columns]) = (self.shapes[from], self.shapes[1 - from]);
        // all arrays are negated, so that the kernels can subtract them
        let mut full = vec![FORBIDDEN; rows * columns];
        for (&pixel, f) in self.pixels[from].iter().zip(f) {
            full[pixel as usize] = -f;
        }
        let by_columns = transpose(&full, columns);
        let across = self.along_axis(&by_columns, columns, new_columns, eps);
        let by_rows = transpose(&across, rows);
        let whole = self.along_axis(&by_rows, rows, new_rows, eps);
        self.pixels[1 - from].iter().map(|&pixel| -whole[pixel as usize]).collect()
    }

    /// out[y][w] = -eps LSE_x((-input[x][w] - h(x, y))/eps) for the lengths x < `length`, y < `new_length`.
    fn along_axis(&self, input: &[f64], length: usize, new_length: usize, eps: f64) -> Vec<f64> {
        let width = input.len() / length;
        let line = |y: usize| -> Vec<f64> {
            let mut most = vec![f64::NEG_INFINITY; width];
            let mut sum = vec![0.0; width];
            let lines = || input.chunks_exact(width).enumerate();
            let cost = |x| axis_cost(self.points.metric, x, y);
            lines().for_each(|(x, line)| raise(-cost(x), line, &mut most));
            lines().for_each(|(x, line)| add_exp(-cost(x), line, 1.0 / eps, &most, &mut sum));
            most.iter().zip(&sum).map(|(most, sum)| -(most + eps * sum.ln())).collect()
        };
        (0..new_length).into_par_iter().map(line).collect::<Vec<_>>().concat()
    }

    /// The semi-dual at `evaluation.g`, without a pass over pairs and without a plan.
    pub fn evaluate(&self, evaluation: &mut Evaluation, masses: &Masses) {
        let eps = masses.eps;
        let reach = self.soft_maximum(1, &evaluation.g, eps);
        evaluation.f = reach.iter().zip(masses.log_a).map(|(reach, log_a)| eps * log_a - reach).collect();
        let back = self.soft_maximum(0, &evaluation.f, eps);
        evaluation.c = back.iter().zip(&evaluation.g).map(|(back, g)| ((back + g) / eps).exp()).collect();
        evaluation.plan.gathered = false;
        let shapes: usize = self.shapes.iter().map(|s| s[0] * s[1]).sum();
        evaluation.live = shapes as u64;
        evaluation.conclude(masses);
    }
}

/// Columns of a row-major array of rows of length `columns`.
fn transpose(array: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|c| array.iter().skip(c).step_by(columns)).copied().collect()
}
