//! Label propagation: given values at some nodes of a weighted graph, the values of the others minimise the sum over
//! edges of w_ij (x_i - x_j)^2 / 2: each is the weighted mean of its neighbours.

mod reduced;

use std::ops::ControlFlow;

use sprs::{CsMatI, TriMatI};

use self::reduced::Reduced;
use super::Error;
use super::block::BlockCoordinateDescent;
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::krylov::{
    Identity, Observer, Status as KrylovStatus, Stopping, Workspace, conjugate_gradient,
};
use crate::linalg::product::{dot, multiply, norm_inf};
use crate::problem::BoxQuadratic;

fn goes_on(status: KrylovStatus) -> bool {
    matches!(status, KrylovStatus::Converged | KrylovStatus::IterationLimit | KrylovStatus::Stopped)
}

/// What keeps labels from spreading.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// The weights are not a square matrix.
    #[error("the weights are a {0} x {1} matrix; a square one is expected")]
    Shape(usize, usize),
    /// A weight that is not allowed, behind the edge's nodes from 0.
    #[error("the weight of edge ({}, {}) (from 1) is {}; it must be finite and not negative", .0 + 1, .1 + 1, .2)]
    Weight(usize, usize, f64),
    /// A label that is not allowed, behind its node from 0.
    #[error("label {} of node {} (from 1): the node must be there, its value finite and given once", .1, .0 + 1)]
    Label(usize, f64),
    /// A part of the graph without a label: one of its nodes, from 0.
    #[error("node {} (from 1) is connected to no labelled node: its value is not determined", .0 + 1)]
    Unlabelled(usize),
    /// Sums that are too large or too small.
    #[error(
        "the products of weights and labels leave the range of doubles; multiply either by a power of ten"
    )]
    Range,
}

/// A graph with labels, as the quadratic x'Qx / 2 - c'x of its free nodes.
#[derive(Debug, Clone)]
pub struct LabelPropagation {
    problem: BoxQuadratic,
    /// The free nodes in order.
    free: Vec<usize>,
    /// Every node's label; not a number where free.
    values: Vec<f64>,
    /// The edges between labelled nodes and the labels' own part of the objective.
    constant: f64,
}

impl LabelPropagation {
    /// From weights, both triangles added up and halved, and (node, value) pairs. The diagonal is ignored.
    ///
    /// # Errors
    /// A matrix that is not square, a negative weight, a wrong label, a component without one; labels and weights whose
    /// products leave the range of doubles.
    pub fn new(weights: &CsMatI<f64, u32>, labels: &[(usize, f64)]) -> Result<Self, GraphError> {
        let n = weights.rows();
        if weights.cols() != n {
            return Err(GraphError::Shape(n, weights.cols()));
        }
        let mut values = vec![f64::NAN; n];
        for &(node, value) in labels {
            match values.get_mut(node) {
                Some(slot) if slot.is_nan() && value.is_finite() => *slot = value,
                _ => return Err(GraphError::Label(node, value)),
            }
        }
        let free: Vec<usize> = (0..n).filter(|&i| values[i].is_nan()).collect();
        let mut position = vec![usize::MAX; n];
        free.iter().enumerate().for_each(|(k, &i)| position[i] = k);
        let mut triplets =
            TriMatI::<f64, u32>::with_capacity((free.len(), free.len()), 2 * weights.nnz() + free.len());
        let (mut diagonal, mut linear, mut constant) = (vec![0.0; free.len()], vec![0.0; free.len()], 0.0);
        let mut neighbours: Vec<Vec<u32>> = vec![Vec::new(); n];
        // the largest pull of a label, and whether one is lost to underflow
        let (mut pull, mut lost): (f64, bool) = (0.0, false);
        for (&weight, (i, j)) in weights.iter() {
            let (i, j) = (i as usize, j as usize);
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(GraphError::Weight(i, j, weight));
            }
            if i == j || weight == 0.0 {
                continue;
            }
            let half = 0.5 * weight;
            neighbours[i].push(j as u32);
            neighbours[j].push(i as u32);
            for (a, b) in [(i, j), (j, i)] {
                match (position[a], values[b]) {
                    (usize::MAX, _) => {}
                    (k, value) if value.is_nan() => {
                        diagonal[k] += half;
                        triplets.add_triplet(k, position[b], -half);
                    }
                    (k, value) => {
                        diagonal[k] += half;
                        linear[k] += half * value;
                        pull = pull.max((half * value).abs());
                        lost |= value != 0.0 && (half * value).abs() < f64::MIN_POSITIVE / f64::EPSILON;
                        constant += 0.5 * half * value * value;
                    }
                }
            }
            if position[i] == usize::MAX && position[j] == usize::MAX {
                constant += 0.5 * half * (values[i] - values[j]) * (values[i] - values[j]);
            }
        }
        let finite = constant.is_finite() && diagonal.iter().chain(&linear).all(|value| value.is_finite());
        if !finite || (lost && pull < f64::MIN_POSITIVE / f64::EPSILON) {
            return Err(GraphError::Range);
        }
        diagonal.iter().enumerate().for_each(|(k, &d)| triplets.add_triplet(k, k, d));
        // every free node must reach a label
        let mut reached: Vec<bool> = values.iter().map(|v| !v.is_nan()).collect();
        let mut waiting: Vec<usize> = (0..n).filter(|&i| reached[i]).collect();
        while let Some(i) = waiting.pop() {
            for &j in &neighbours[i] {
                if !std::mem::replace(&mut reached[j as usize], true) {
                    waiting.push(j as usize);
                }
            }
        }
        if let Some(node) = reached.iter().position(|reached| !reached) {
            return Err(GraphError::Unlabelled(node));
        }
        Ok(Self { problem: BoxQuadratic::new(triplets.to_csr(), linear), free, values, constant })
    }

    /// The free nodes' quadratic.
    pub fn quadratic(&self) -> &BoxQuadratic {
        &self.problem
    }

    /// Solves from zero; returns every node's value, and a summary whose objective is the sum over edges.
    ///
    /// # Errors
    /// Those of [`BlockCoordinateDescent::solve_quadratic`].
    pub fn solve(
        &self,
        solver: &BlockCoordinateDescent,
        monitor: &mut Monitor,
    ) -> Result<(Vec<f64>, Summary), Error> {
        let solution = solver.solve_quadratic(&self.problem, None, monitor)?;
        let mut values = self.values.clone();
        self.free.iter().zip(&solution.x).for_each(|(&i, &x)| values[i] = x);
        let mut summary = solution.summary;
        summary.objective += self.constant;
        summary.history.records.iter_mut().for_each(|record| record.objective += self.constant);
        Ok((values, summary))
    }

    /// Solves from zero by conjugate gradients: without preconditioner, the yardstick for the forests, or on what is left
    /// where a block without edges inside is eliminated exactly (`reduced.rs`), the fastest way for large graphs. The
    /// tolerance is that of the largest gradient entry relative to the same at zero; iterations are products.
    ///
    /// # Errors
    /// Limits that are not allowed.
    pub fn solve_by_conjugate_gradients(
        &self,
        reduced: bool,
        limits: &Limits,
        monitor: &mut Monitor,
    ) -> Result<(Vec<f64>, Summary), Error> {
        limits.check().map_err(Error::Option)?;
        self.problem.check()?;
        let (n, c) = (self.free.len(), &self.problem.linear);
        let reduced = reduced.then(|| Reduced::new(&self.problem.matrix));
        let mut run =
            Run::start(&Limits { max_iterations: usize::MAX, ..limits.clone() }, monitor, &["products"]);
        let (mut x, mut gradient) = (vec![0.0; n], vec![0.0; n]);
        let scale = norm_inf(c);
        let (mut products, mut accuracy, mut workspace) = (0, limits.tolerance, Workspace::new());
        let mut idle = 0;
        let (status, certificate) = loop {
            multiply(self.problem.matrix.view(), &x, &mut gradient);
            let half: f64 = 0.5 * dot(&x, &gradient);
            let objective = half - dot(&x, c) + self.constant;
            gradient.iter_mut().zip(c).for_each(|(g, c)| *g -= c);
            let value = norm_inf(&gradient);
            let certificate = Certificate::over("gradient", value, scale);
            if let Some(status) = run.record(objective, certificate.relative, &[products as f64]) {
                break (status, certificate);
            }
            if products >= limits.max_iterations {
                break (Status::IterationLimit, certificate);
            }
            // the method stops by the Euclidean norm: ask for less until the largest entry is small enough
            accuracy *= 0.3;
            let max_iterations = limits.max_iterations - products;
            let stopping = Stopping { tolerance: accuracy, absolute: 0.0, max_iterations };
            let mut watch =
                |_: &_| run.should_stop().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()));
            let watch = Some(&mut watch as &mut Observer);
            let outcome = match &reduced {
                None => {
                    let (q, identity) = (&self.problem.matrix, Identity(n));
                    conjugate_gradient(q, &identity, c, &mut x, &stopping, &mut workspace, watch)
                }
                Some(reduced) => reduced.conjugate_gradient(c, &mut x, &stopping, &mut workspace, watch),
            };
            match outcome {
                // another call of a run that cannot go on would end where this one did
                Ok(outcome) if goes_on(outcome.status) => {
                    products += outcome.iterations;
                    idle = if outcome.iterations > 0 { 0 } else { idle + 1 };
                }
                _ => break (Status::Stalled, certificate),
            }
            // a second call without an iteration leaves x where it is, whatever is asked for: the gradient left is rounding
            if idle >= 2 && accuracy < f64::EPSILON {
                break (Status::Stalled, certificate);
            }
        };
        let (seconds, history) = (run.seconds(), run.into_history());
        let mut values = self.values.clone();
        self.free.iter().zip(&x).for_each(|(&i, &x)| values[i] = x);
        let objective = history.records.last().map_or(f64::NAN, |record| record.objective);
        let method = if reduced.is_some() { "reduced conjugate gradients" } else { "conjugate gradients" };
        let counts = Counts::from([("products", products as u64)]);
        let (iterations, notes) = (products, Vec::new());
        let summary =
            Summary { method, status, objective, certificate, iterations, counts, seconds, history, notes };
        Ok((values, summary))
    }
}
