//! f(x) = sum of s_r phi(a_r'x + o_r; y_r): the loss of a linear model. An intercept is one more unknown, the last.

use rayon::prelude::*;

use super::{Line, Smooth};
use crate::linalg::ColumnBlock;
use crate::problem::LinearModel;

pub(in crate::coordinate::block) struct Linear<'a> {
    model: &'a LinearModel,
    s: Vec<f64>,
    /// M s, or s phi'' where phi'' has no bound M.
    weights: Vec<f64>,
    z: Vec<f64>,
    /// s phi'(z).
    v: Vec<f64>,
    value: f64,
}

impl<'a> Linear<'a> {
    /// At x = 0.
    pub fn new(model: &'a LinearModel) -> Self {
        let s = model.row_weights();
        let n = s.len();
        let mut linear = Self { model, weights: s.clone(), s, z: vec![0.0; n], v: vec![0.0; n], value: 0.0 };
        linear.rebuild(&vec![0.0; linear.unknowns()]);
        linear
    }

    /// The columns of a block; the intercept's is one of ones.
    fn select(&self, block: &[usize]) -> ColumnBlock {
        let p = self.model.design.columns();
        match block.split_last() {
            Some((&last, rest)) if last == p => self.model.design.select(rest).with_ones(),
            _ => self.model.design.select(block),
        }
    }

    fn moved(&mut self) {
        self.model.loss_derivatives(&self.z, &self.s, &mut self.v);
        self.value = self.model.loss_value(&self.z, &self.s);
    }

    fn along(&self, line: &Line, step: f64) -> Vec<f64> {
        self.z.iter().zip(&line.image).map(|(z, w)| z + step * w).collect()
    }

    /// A'v, with the sum of v last where there is an intercept.
    fn transpose(&self, v: &[f64], out: &mut [f64]) {
        let p = self.model.design.columns();
        self.model.design.multiply_transpose(v, &mut out[..p]);
        if self.model.intercept {
            out[p] = v.iter().sum();
        }
    }
}

impl Smooth for Linear<'_> {
    fn unknowns(&self) -> usize {
        self.model.design.columns() + usize::from(self.model.intercept)
    }

    fn rebuild(&mut self, x: &[f64]) {
        let p = self.model.design.columns();
        let intercept = if self.model.intercept { x[p] } else { 0.0 };
        self.model.predictors(&x[..p], intercept, &mut self.z);
        match self.model.loss.curvature_bound() {
            Some(bound) => self.weights.iter_mut().zip(&self.s).for_each(|(w, s)| *w = bound * s),
            None => self.model.loss_curvatures(&self.z, &self.s, &mut self.weights),
        }
        self.moved();
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn gradient(&self, out: &mut [f64]) {
        self.transpose(&self.v, out);
    }

    fn gradient_block(&self, block: &[usize]) -> Vec<f64> {
        let mut out = vec![0.0; block.len()];
        self.select(block).multiply_transpose(&self.v, &mut out);
        out
    }

    fn is_bounded(&self) -> bool {
        self.model.loss.curvature_bound().is_some()
    }

    fn is_quadratic(&self) -> bool {
        self.model.loss.name() == "squared"
    }

    fn coordinate_bounds(&self) -> Vec<f64> {
        let mut bounds = self.model.design.weighted_squares(&self.weights);
        if self.model.intercept {
            bounds.push(self.weights.iter().sum());
        }
        bounds
    }

    /// O(sum over rows of the square of their entries), parallel over unknowns.
    fn row_sums(&self) -> Vec<f64> {
        let design = &self.model.design;
        let p = design.columns();
        let total: f64 = self.weights.iter().sum();
        // weighted sums of the stored columns, and of the columns as they count
        let mut stored = vec![0.0; p];
        stored.iter_mut().enumerate().for_each(|(j, sum)| *sum = design.column(j).dot(&self.weights));
        let shape = design.standardization();
        let (mean, scale) =
            (|j: usize| shape.map_or(0.0, |s| s.means[j]), |j: usize| shape.map_or(1.0, |s| s.scales[j]));
        let counted = |j: usize| (stored[j] - mean(j) * total) / scale(j);
        let one = |products: &mut Vec<f64>, i: usize| -> f64 {
            products.clear();
            products.resize(p, 0.0);
            for (row, value) in design.column(i).iter() {
                design.row(row).add_to(self.weights[row] * value, products);
            }
            let entry = |j: usize| {
                let centred =
                    products[j] - mean(i) * stored[j] - mean(j) * stored[i] + mean(i) * mean(j) * total;
                (centred / (scale(i) * scale(j))).abs()
            };
            (0..p).map(entry).sum::<f64>() + if self.model.intercept { counted(i).abs() } else { 0.0 }
        };
        let mut sums: Vec<f64> = (0..p).into_par_iter().with_min_len(16).map_init(Vec::new, one).collect();
        if self.model.intercept {
            sums.push(total + (0..p).map(|j| counted(j).abs()).sum::<f64>());
        }
        sums
    }

    fn bound(&self, block: &[usize]) -> Vec<f64> {
        let mut gram = Vec::new();
        self.select(block).gram(&self.weights, &mut gram);
        gram
    }

    fn hessian(&self, block: &[usize]) -> Vec<f64> {
        let mut weights = vec![0.0; self.z.len()];
        self.model.loss_curvatures(&self.z, &self.s, &mut weights);
        let mut gram = Vec::new();
        self.select(block).gram(&weights, &mut gram);
        gram
    }

    fn bound_product(&self, block: &[usize], d: &[f64]) -> Vec<f64> {
        let mut w = vec![0.0; self.z.len()];
        self.select(block).add_product(d, &mut w);
        w.iter_mut().zip(&self.weights).for_each(|(w, weight)| *w *= weight);
        let mut out = vec![0.0; self.unknowns()];
        self.transpose(&w, &mut out);
        out
    }

    fn aim(&self, block: &[usize], d: &[f64]) -> Line {
        let mut image = vec![0.0; self.z.len()];
        self.select(block).add_product(d, &mut image);
        Line { block: block.to_vec(), direction: d.to_vec(), image, slope: 0.0, curvature: 0.0 }
    }

    fn value_along(&self, line: &Line, step: f64) -> f64 {
        self.model.loss_value(&self.along(line, step), &self.s)
    }

    fn advance(&mut self, line: &Line, step: f64) {
        self.z.iter_mut().zip(&line.image).for_each(|(z, w)| *z += step * w);
        self.moved();
    }
}
