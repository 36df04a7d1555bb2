//! Costs held as a matrix, row by row.

use std::borrow::Cow;
use std::ops::Range;

use super::{Costs, FORBIDDEN, Margins};
use crate::linalg::exponential;

/// A matrix of costs; forbidden arcs cost [`FORBIDDEN`].
#[derive(Clone, Debug)]
pub(crate) struct DenseCosts<'a> {
    pub rows: usize,
    pub columns: usize,
    pub values: Cow<'a, [f64]>,
}

impl DenseCosts<'_> {
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }

    /// Least and largest cost of the arcs that are allowed.
    pub fn range(&self) -> (f64, f64) {
        self.values
            .iter()
            .filter(|&&c| c < FORBIDDEN)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &c| (low.min(c), high.max(c)))
    }
}

impl Costs for DenseCosts<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn cost(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.columns + j]
    }

    fn fill(&self, i: usize, columns: Range<usize>, g: &[f64], z: &mut [f64]) -> f64 {
        exponential::difference(&g[columns.clone()], &self.row(i)[columns], z)
    }

    fn live(&self, _rows: Range<usize>, _g: &[f64], _margins: &Margins, live: &mut Vec<Range<usize>>) {
        live.clear();
        live.push(0..self.columns);
    }
}
