//! A few unknowns of a multinomial model, with all intercepts behind them: their entries row by row, products and the
//! Hessian H = sum over rows of (a a' [same class] P_c - u u') / n, u the entries times their classes' probabilities.

use std::ops::Range;

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::State;
use crate::linalg::VectorView;
use crate::linalg::product::{piece_count, sum_pieces};

/// Rows in one dense product.
const ROWS: usize = 256;

/// Compressed rows of the unknowns' entries; every row has all intercepts at its end.
pub(super) struct Block {
    /// Unknowns and intercepts together.
    size: usize,
    classes: usize,
    offsets: Vec<usize>,
    positions: Vec<u32>,
    /// The class of each position.
    class: Vec<u32>,
    values: Vec<f64>,
}

impl Block {
    /// The unknowns of a set; O(n + entries of their columns).
    pub fn new(state: &State, set: &[usize]) -> Self {
        let (design, k) = (&state.model.design, state.b.len());
        let intercepts = if state.model.intercept { k } else { 0 };
        let n = design.rows();
        let size = set.len() + intercepts;
        let class = set.iter().map(|i| i % k).chain(0..intercepts).map(|c| c as u32).collect();
        let shape = design.standardization();
        let every_row = shape.is_some() || design.is_dense();
        let mut counts = vec![intercepts + if every_row { set.len() } else { 0 }; n];
        if !every_row {
            for &i in set {
                if let VectorView::Sparse { indices, .. } = design.column(i / k) {
                    indices.iter().for_each(|&row| counts[row as usize] += 1);
                }
            }
        }
        let mut offsets = vec![0];
        counts.iter().for_each(|count| offsets.push(offsets[offsets.len() - 1] + count));
        let entries = offsets[n];
        let (mut positions, mut values) = (vec![0u32; entries], vec![0.0; entries]);
        let mut next = offsets.clone();
        for (position, &i) in set.iter().enumerate() {
            let j = i / k;
            let (mean, scale) = shape.map_or((0.0, 1.0), |s| (s.means[j], s.scales[j]));
            if every_row {
                for slot in &next[..n] {
                    (positions[*slot], values[*slot]) = (position as u32, -mean / scale);
                }
                design.column(j).iter().for_each(|(row, value)| values[next[row]] += value / scale);
                next.iter_mut().for_each(|slot| *slot += 1);
            } else {
                for (row, value) in design.column(j).iter() {
                    (positions[next[row]], values[next[row]]) = (position as u32, value);
                    next[row] += 1;
                }
            }
        }
        for row in 0..n {
            for c in 0..intercepts {
                (positions[next[row] + c], values[next[row] + c]) = ((set.len() + c) as u32, 1.0);
            }
        }
        Self { size, classes: k, offsets, positions, class, values }
    }

    /// The entries of a row: (position, class, value).
    fn row(&self, r: usize) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let range = self.offsets[r]..self.offsets[r + 1];
        self.positions[range.clone()]
            .iter()
            .zip(&self.values[range])
            .map(|(&position, &value)| (position as usize, self.class[position as usize] as usize, value))
    }

    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The image of a direction, n x k.
    pub fn product(&self, d: &[f64]) -> Vec<f64> {
        let k = self.classes;
        let mut image = vec![0.0; self.rows() * k];
        image.par_chunks_exact_mut(k).with_min_len(ROWS).enumerate().for_each(|(r, out)| {
            self.row(r).for_each(|(position, class, value)| out[class] += value * d[position]);
        });
        image
    }

    /// The gradient of the mean loss at probabilities P.
    pub fn gradient(&self, probabilities: &[f64], target: &[usize]) -> Vec<f64> {
        let k = self.classes;
        let mut out = vec![0.0; self.size];
        let pieces = piece_count(self.positions.len(), self.size);
        sum_pieces(self.rows(), pieces, &mut out, |rows, sums| {
            for r in rows {
                let (p, own) = (&probabilities[r * k..(r + 1) * k], target[r]);
                for (position, class, value) in self.row(r) {
                    sums[position] += value * (p[class] - f64::from(class == own));
                }
            }
        });
        out.iter_mut().for_each(|g| *g /= target.len() as f64);
        out
    }

    /// The Hessian of the mean loss at probabilities P, column-major, both triangles. O(sum of the rows' squares).
    pub fn hessian(&self, probabilities: &[f64], matrix: &mut Vec<f64>) {
        let size = self.size;
        matrix.clear();
        matrix.resize(size * size, 0.0);
        let full = 4 * self.positions.len() >= self.rows() * size;
        let pieces = piece_count(self.hessian_cost() as usize, size * size);
        sum_pieces(self.rows(), pieces, matrix, |rows, part| {
            if full {
                self.outer_products_dense(rows.clone(), probabilities, part);
            } else {
                self.outer_products(rows.clone(), probabilities, part);
            }
            self.same_class_products(rows, probabilities, part);
        });
        let n = self.rows() as f64;
        for j in 0..size {
            for i in 0..=j {
                matrix[j * size + i] /= n;
                matrix[i * size + j] = matrix[j * size + i];
            }
        }
    }

    /// matrix <- matrix - sum of u u', upper triangle, entry by entry.
    fn outer_products(&self, rows: Range<usize>, probabilities: &[f64], matrix: &mut [f64]) {
        let (k, size) = (self.classes, self.size);
        let mut weighted: Vec<(usize, f64)> = Vec::new();
        for r in rows {
            let p = &probabilities[r * k..(r + 1) * k];
            weighted.clear();
            weighted.extend(self.row(r).map(|(position, class, a)| (position, a * p[class])));
            for (last, &(position, u)) in weighted.iter().enumerate() {
                let column = &mut matrix[position * size..(position + 1) * size];
                weighted[..=last].iter().for_each(|&(other, v)| column[other] -= u * v);
            }
        }
    }

    /// The same for rows that are nearly full, as dense products of so many rows at a time.
    fn outer_products_dense(&self, rows: Range<usize>, probabilities: &[f64], matrix: &mut [f64]) {
        let (k, size) = (self.classes, self.size);
        let mut u = vec![0.0; ROWS * size];
        for start in rows.clone().step_by(ROWS) {
            u.fill(0.0);
            for r in start..rows.end.min(start + ROWS) {
                let p = &probabilities[r * k..(r + 1) * k];
                self.row(r).for_each(|(position, class, a)| u[position * ROWS + r - start] = a * p[class]);
            }
            let u = MatRef::from_column_major_slice(&u, ROWS, size);
            let out = MatMut::from_column_major_slice_mut(matrix, size, size);
            let (upper, full) = (BlockStructure::TriangularUpper, BlockStructure::Rectangular);
            matmul(out, upper, Accum::Add, u.transpose(), full, u, full, -1.0, Par::Seq);
        }
    }

    /// matrix <- matrix + sum of a a' P_c over pairs of one class, upper triangle.
    fn same_class_products(&self, rows: Range<usize>, probabilities: &[f64], matrix: &mut [f64]) {
        let (k, size) = (self.classes, self.size);
        let mut by_class: Vec<Vec<(usize, f64)>> = vec![Vec::new(); k];
        for r in rows {
            let p = &probabilities[r * k..(r + 1) * k];
            by_class.iter_mut().for_each(Vec::clear);
            self.row(r).for_each(|(position, class, a)| by_class[class].push((position, a)));
            for (entries, p) in by_class.iter().zip(p) {
                for (last, &(position, a)) in entries.iter().enumerate() {
                    let column = &mut matrix[position * size..(position + 1) * size];
                    entries[..=last].iter().for_each(|&(other, value)| column[other] += p * a * value);
                }
            }
        }
    }

    /// Multiplications that the Hessian takes.
    pub fn hessian_cost(&self) -> f64 {
        self.offsets.windows(2).map(|pair| ((pair[1] - pair[0]) as f64).powi(2) / 2.0).sum()
    }
}
