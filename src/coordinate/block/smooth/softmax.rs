//! f(X) = (1/n) sum of logsumexp(a_r'X) - (a_r'X)_c: the softmax loss. Feature j and class c are unknown j k + c.
//!
//! The Hessian is A'A / n coupled by diag(P_r) - P_r P_r' in every row. Above it at every X lies the same with
//! (I - 1 1'/m) / 2 in their place (Bohning 1992), m = min(k, classes in the block + 1): classes that do not move
//! count as one.

use rayon::prelude::*;

use super::{Line, Smooth};
use crate::linalg::product::sum_chunks;
use crate::problem::MultinomialModel;

pub(in crate::coordinate::block) struct Multinomial<'a> {
    model: &'a MultinomialModel,
    /// Predictors, row by row, n x k.
    z: Vec<f64>,
    /// Their softmax.
    p: Vec<f64>,
    value: f64,
}

impl<'a> Multinomial<'a> {
    /// At X = 0.
    pub fn new(model: &'a MultinomialModel) -> Self {
        let entries = model.design.rows() * model.loss.classes;
        let mut multinomial = Self { model, z: vec![0.0; entries], p: vec![0.0; entries], value: 0.0 };
        multinomial.moved();
        multinomial
    }

    fn classes(&self) -> usize {
        self.model.loss.classes
    }

    fn moved(&mut self) {
        let mut p = std::mem::take(&mut self.p);
        self.value = self.model.mean_loss(&self.z, &mut p);
        self.p = p;
    }

    /// Column j of the data, centred and scaled, as (row, value) pairs.
    fn column(&self, j: usize) -> Vec<(usize, f64)> {
        let column = self.model.design.column(j);
        match self.model.design.standardization() {
            None => column.iter().collect(),
            Some(s) => {
                let mut dense = vec![-s.means[j] / s.scales[j]; self.model.design.rows()];
                column.iter().for_each(|(row, value)| dense[row] += value / s.scales[j]);
                dense.into_iter().enumerate().collect()
            }
        }
    }

    /// The block's matrix whose entry couples unknowns (j, c), (j', c') by the sum over rows of a_rj a_rj' w(r, c, c') / n.
    fn coupled(&self, block: &[usize], weight: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
        let (k, n, b) = (self.classes(), self.model.target.len(), block.len());
        let mut entries: Vec<Vec<(usize, f64)>> = vec![Vec::new(); n];
        for (position, &unknown) in block.iter().enumerate() {
            for (row, value) in self.column(unknown / k) {
                entries[row].push((position, value));
            }
        }
        let mut matrix = vec![0.0; b * b];
        for (row, entries) in entries.iter().enumerate() {
            for &(left, a) in entries {
                for &(right, value) in entries {
                    matrix[left * b + right] += a * value * weight(row, block[left] % k, block[right] % k);
                }
            }
        }
        matrix.iter_mut().for_each(|value| *value /= n as f64);
        matrix
    }

    /// m of the bound.
    fn effective_classes(&self, block: &[usize]) -> f64 {
        let k = self.classes();
        let mut classes: Vec<usize> = block.iter().map(|unknown| unknown % k).collect();
        classes.sort_unstable();
        classes.dedup();
        k.min(classes.len() + 1) as f64
    }

    /// A' times an n x k matrix of row values.
    fn transpose(&self, values: &(dyn Fn(usize, usize) -> f64 + Sync), out: &mut [f64]) {
        let k = self.classes();
        out.par_chunks_mut(k).with_min_len(16).enumerate().for_each(|(j, out)| {
            out.fill(0.0);
            for (row, value) in self.column(j) {
                for (c, out) in out.iter_mut().enumerate() {
                    *out += value * values(row, c);
                }
            }
        });
    }

    /// (P - Y) / n.
    fn residual(&self, row: usize, class: usize) -> f64 {
        let own = f64::from(self.model.target[row] == class);
        (self.p[row * self.classes() + class] - own) / self.model.target.len() as f64
    }

    /// A_b d, n x k.
    fn product(&self, block: &[usize], d: &[f64]) -> Vec<f64> {
        let k = self.classes();
        let mut image = vec![0.0; self.z.len()];
        for (&unknown, &d) in block.iter().zip(d) {
            for (row, value) in self.column(unknown / k) {
                image[row * k + unknown % k] += value * d;
            }
        }
        image
    }
}

impl Smooth for Multinomial<'_> {
    fn unknowns(&self) -> usize {
        self.model.unknowns()
    }

    fn rebuild(&mut self, x: &[f64]) {
        let moved: Vec<usize> = (0..x.len()).filter(|&i| x[i] != 0.0).collect();
        let d: Vec<f64> = moved.iter().map(|&i| x[i]).collect();
        self.z = self.product(&moved, &d);
        self.moved();
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn gradient(&self, out: &mut [f64]) {
        self.transpose(&|row, class| self.residual(row, class), out);
    }

    fn gradient_block(&self, block: &[usize]) -> Vec<f64> {
        let k = self.classes();
        let one = |&i: &usize| self.column(i / k).iter().map(|&(row, a)| a * self.residual(row, i % k)).sum();
        block.iter().map(one).collect()
    }

    fn is_quadratic(&self) -> bool {
        false
    }

    fn coordinate_bounds(&self) -> Vec<f64> {
        let (k, n) = (self.classes(), self.model.target.len());
        let squares = self.model.design.weighted_squares(&vec![0.25 / n as f64; n]);
        squares.into_iter().flat_map(|square| std::iter::repeat_n(square, k)).collect()
    }

    /// With B = (I - 1 1'/k) / 2 the row of (j, c) sums to (1 - 1/k) times the row sum of |A'A| / n.
    fn row_sums(&self) -> Vec<f64> {
        let (k, p, n) = (self.classes(), self.model.design.columns(), self.model.target.len());
        let factor = (1.0 - 1.0 / k as f64) / n as f64;
        let one = |j: usize| {
            let mut products = vec![0.0; p];
            let mut image = vec![0.0; n];
            self.column(j).into_iter().for_each(|(row, value)| image[row] = value);
            self.model.design.multiply_transpose(&image, &mut products);
            factor * products.iter().map(|v| v.abs()).sum::<f64>()
        };
        let sums: Vec<f64> = (0..p).map(one).collect();
        sums.into_iter().flat_map(|sum| std::iter::repeat_n(sum, k)).collect()
    }

    fn bound(&self, block: &[usize]) -> Vec<f64> {
        let m = self.effective_classes(block);
        self.coupled(block, |_, c, other| 0.5 * (f64::from(c == other) - 1.0 / m))
    }

    fn hessian(&self, block: &[usize]) -> Vec<f64> {
        let k = self.classes();
        self.coupled(block, |row, c, other| {
            self.p[row * k + c] * (f64::from(c == other) - self.p[row * k + other])
        })
    }

    fn bound_product(&self, block: &[usize], d: &[f64]) -> Vec<f64> {
        let (k, n) = (self.classes(), self.model.target.len() as f64);
        let mut image = self.product(block, d);
        for row in image.chunks_exact_mut(k) {
            let mean = row.iter().sum::<f64>() / k as f64;
            row.iter_mut().for_each(|value| *value = 0.5 * (*value - mean) / n);
        }
        let mut out = vec![0.0; self.unknowns()];
        self.transpose(&|row, class| image[row * k + class], &mut out);
        out
    }

    fn aim(&self, block: &[usize], d: &[f64]) -> Line {
        let image = self.product(block, d);
        Line { block: block.to_vec(), direction: d.to_vec(), image, slope: 0.0, curvature: 0.0 }
    }

    fn value_along(&self, line: &Line, step: f64) -> f64 {
        let k = self.classes();
        let n = self.model.target.len();
        let total = sum_chunks(n, 8 * k, |rows| {
            let (mut z, mut p) = (vec![0.0; k], vec![0.0; k]);
            rows.map(|row| {
                let range = row * k..(row + 1) * k;
                let pair = self.z[range.clone()].iter().zip(&line.image[range]);
                z.iter_mut().zip(pair).for_each(|(out, (z, w))| *out = z + step * w);
                self.model.loss.value(&z, self.model.target[row], &mut p)
            })
            .sum()
        });
        total / n as f64
    }

    fn advance(&mut self, line: &Line, step: f64) {
        self.z.iter_mut().zip(&line.image).for_each(|(z, w)| *z += step * w);
        self.moved();
    }
}
