//! f(x) = sum of w_i phi(x_i; y_i) + sum over edges of w_ij psi(x_i - x_j). The Hessian is a sparse matrix with the
//! graph's pattern at every x; forests of it are solved by message passing, then searched along.

use sprs::{CsMatI, CsMatViewI, TriMatI};

use super::{Line, Smooth, sparse};
use crate::linalg::product::sum_chunks;
use crate::problem::PairwiseModel;
use crate::problem::loss::Loss;

/// Where a loss is flat its curvature counts with this part of its bound, so that every pivot is positive.
const CURVATURE_FLOOR: f64 = 1e-8;

pub(in crate::coordinate::block) struct Pairwise<'a> {
    model: &'a PairwiseModel,
    x: Vec<f64>,
    value: f64,
    /// The Hessian at x, and the bound of it at every x.
    hessian: CsMatI<f64, u32>,
    bound: CsMatI<f64, u32>,
    /// Where in the matrices' entries each node's diagonal and each edge's two entries are.
    diagonals: Vec<usize>,
    entries: Vec<(usize, usize)>,
}

/// Position of entry (i, j) in the stored entries.
fn position(matrix: &CsMatI<f64, u32>, i: usize, j: usize) -> usize {
    matrix.nnz_index(i, j).map_or(0, |index| index.0)
}

fn curvature(loss: &dyn Loss, z: f64, y: f64) -> f64 {
    loss.curvature(z, y).max(CURVATURE_FLOOR * loss.curvature_bound().unwrap_or(1.0))
}

impl<'a> Pairwise<'a> {
    /// At x = 0.
    pub fn new(model: &'a PairwiseModel) -> Self {
        let n = model.target.len();
        let mut pattern = TriMatI::<f64, u32>::with_capacity((n, n), n + 2 * model.edges.len());
        (0..n).for_each(|i| pattern.add_triplet(i, i, 0.0));
        for &(i, j, _) in &model.edges {
            pattern.add_triplet(i as usize, j as usize, 0.0);
            pattern.add_triplet(j as usize, i as usize, 0.0);
        }
        let hessian: CsMatI<f64, u32> = pattern.to_csr();
        let diagonals = (0..n).map(|i| position(&hessian, i, i)).collect();
        let place = |&(i, j, _): &(u32, u32, f64)| {
            (position(&hessian, i as usize, j as usize), position(&hessian, j as usize, i as usize))
        };
        let entries = model.edges.iter().map(place).collect();
        let bound = hessian.clone();
        let mut pairwise = Self { model, x: vec![0.0; n], value: 0.0, hessian, bound, diagonals, entries };
        pairwise.rebuild(&vec![0.0; n]);
        pairwise
    }

    /// Fills a matrix from curvatures of nodes and edges.
    fn fill(&self, matrix: &mut CsMatI<f64, u32>, node: impl Fn(usize) -> f64, edge: impl Fn(usize) -> f64) {
        let values = matrix.data_mut();
        values.fill(0.0);
        for (i, &place) in self.diagonals.iter().enumerate() {
            values[place] += self.model.node_weights[i] * node(i);
        }
        for (e, (&(i, j, weight), &(upper, lower))) in self.model.edges.iter().zip(&self.entries).enumerate()
        {
            let value = weight * edge(e);
            values[self.diagonals[i as usize]] += value;
            values[self.diagonals[j as usize]] += value;
            values[upper] -= value;
            values[lower] -= value;
        }
    }

    fn moved(&mut self) {
        let model = self.model;
        self.value = self.value_at(&self.x);
        let mut hessian = std::mem::replace(&mut self.hessian, CsMatI::zero((0, 0)));
        let difference = |e: usize| self.x[model.edges[e].0 as usize] - self.x[model.edges[e].1 as usize];
        let node = |i: usize| curvature(&*model.node_loss, self.x[i], model.target[i]);
        self.fill(&mut hessian, node, |e| curvature(&*model.edge_loss, difference(e), 0.0));
        self.hessian = hessian;
        if !self.is_bounded() {
            self.bound = self.hessian.clone();
        }
    }

    fn value_at(&self, x: &[f64]) -> f64 {
        let model = self.model;
        let node = |i: usize| match model.node_weights[i] {
            0.0 => 0.0,
            weight => weight * model.node_loss.value(x[i], model.target[i]),
        };
        let edge = |e: usize| {
            let (i, j, weight) = model.edges[e];
            weight * model.edge_loss.value(x[i as usize] - x[j as usize], 0.0)
        };
        sum_chunks(x.len(), 8, |nodes| nodes.map(node).sum())
            + sum_chunks(model.edges.len(), 8, |edges| edges.map(edge).sum())
    }
}

impl Smooth for Pairwise<'_> {
    fn unknowns(&self) -> usize {
        self.x.len()
    }

    fn rebuild(&mut self, x: &[f64]) {
        self.x.copy_from_slice(x);
        let (node, edge) = (self.model.node_loss.curvature_bound(), self.model.edge_loss.curvature_bound());
        if let (Some(node), Some(edge)) = (node, edge) {
            let mut bound = std::mem::replace(&mut self.bound, CsMatI::zero((0, 0)));
            self.fill(&mut bound, |_| node, |_| edge);
            self.bound = bound;
        }
        self.moved();
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn gradient(&self, out: &mut [f64]) {
        let model = self.model;
        for (i, out) in out.iter_mut().enumerate() {
            *out = match model.node_weights[i] {
                0.0 => 0.0,
                weight => weight * model.node_loss.derivative(self.x[i], model.target[i]),
            };
        }
        for &(i, j, weight) in &model.edges {
            let (i, j) = (i as usize, j as usize);
            let slope = weight * model.edge_loss.derivative(self.x[i] - self.x[j], 0.0);
            out[i] += slope;
            out[j] -= slope;
        }
    }

    fn gradient_block(&self, block: &[usize]) -> Vec<f64> {
        let mut all = vec![0.0; self.x.len()];
        self.gradient(&mut all);
        block.iter().map(|&i| all[i]).collect()
    }

    fn is_bounded(&self) -> bool {
        self.model.node_loss.curvature_bound().is_some() && self.model.edge_loss.curvature_bound().is_some()
    }

    fn is_quadratic(&self) -> bool {
        self.model.node_loss.name() == "squared" && self.model.edge_loss.name() == "squared"
    }

    fn coordinate_bounds(&self) -> Vec<f64> {
        sparse::diagonal(&self.bound)
    }

    fn row_sums(&self) -> Vec<f64> {
        sparse::row_sums(&self.bound)
    }

    fn bound(&self, block: &[usize]) -> Vec<f64> {
        sparse::dense_block(&self.bound, block)
    }

    fn hessian(&self, block: &[usize]) -> Vec<f64> {
        sparse::dense_block(&self.hessian, block)
    }

    fn bound_product(&self, block: &[usize], d: &[f64]) -> Vec<f64> {
        sparse::product(&self.bound, block, d)
    }

    fn aim(&self, block: &[usize], d: &[f64]) -> Line {
        Line { block: block.to_vec(), direction: d.to_vec(), image: Vec::new(), slope: 0.0, curvature: 0.0 }
    }

    fn value_along(&self, line: &Line, step: f64) -> f64 {
        let mut x = self.x.clone();
        line.block.iter().zip(&line.direction).for_each(|(&i, d)| x[i] += step * d);
        self.value_at(&x)
    }

    fn advance(&mut self, line: &Line, step: f64) {
        line.block.iter().zip(&line.direction).for_each(|(&i, d)| self.x[i] += step * d);
        self.moved();
    }

    fn hessian_matrix(&self) -> Option<CsMatViewI<'_, f64, u32>> {
        Some(self.hessian.view())
    }
}
