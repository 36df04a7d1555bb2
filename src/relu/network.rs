//! Two-layer networks, and the weights of the convex program that they correspond to.

use super::patterns::Patterns;
use super::training::Training;
use super::{Error, Loss};
use crate::linalg::DesignMatrix;
use crate::linalg::product::norm;

/// f(x) = sum over j of (x'u_j)_+ a_j: hidden weights u_j, output weights a_j.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    /// d, the number of inputs.
    pub columns: usize,
    /// The u_j.
    pub hidden: Vec<Vec<f64>>,
    /// The a_j.
    pub output: Vec<f64>,
}

impl Network {
    /// m, the number of neurons.
    pub fn neurons(&self) -> usize {
        self.hidden.len()
    }

    /// f at every row of the data, O(n d m).
    ///
    /// # Panics
    /// If the data have another number of columns than the network has inputs.
    pub fn predict(&self, design: &DesignMatrix) -> Vec<f64> {
        assert_eq!(design.columns(), self.columns, "the network has another number of inputs");
        let mut z = vec![0.0; design.rows()];
        let mut activation = vec![0.0; design.rows()];
        for (u, a) in self.hidden.iter().zip(&self.output) {
            design.multiply(u, &mut activation);
            z.iter_mut().zip(&activation).for_each(|(z, h)| *z += a * h.max(0.0));
        }
        z
    }

    /// f at the training rows.
    pub fn outputs(&self, training: &Training) -> Vec<f64> {
        let x = training.x();
        let mut z = vec![0.0; training.rows()];
        let mut activation = vec![0.0; training.rows()];
        for (u, a) in self.hidden.iter().zip(&self.output) {
            activation.fill(0.0);
            for (j, u) in u.iter().enumerate() {
                activation.iter_mut().zip(x.col(j).iter()).for_each(|(h, x)| *h += u * x);
            }
            z.iter_mut().zip(&activation).for_each(|(z, h)| *z += a * h.max(0.0));
        }
        z
    }

    /// (beta / 2) sum of |u_j|^2 + a_j^2.
    pub fn penalty(&self, beta: f64) -> f64 {
        let squares = |(u, a): (&Vec<f64>, &f64)| u.iter().map(|u| u * u).sum::<f64>() + a * a;
        0.5 * beta * self.hidden.iter().zip(&self.output).map(squares).sum::<f64>()
    }

    /// The objective of the training problem, with true activations.
    pub fn objective(&self, training: &Training) -> f64 {
        training.loss_value(&self.outputs(training)) + self.penalty(training.beta())
    }

    /// The same function with |u_j| = |a_j| for every neuron, which only lowers the regulariser; neurons that
    /// contribute nothing are left out.
    pub fn balanced(&self) -> Self {
        let mut balanced = Self { columns: self.columns, ..Self::default() };
        for (u, &a) in self.hidden.iter().zip(&self.output) {
            let size = norm(u) * a.abs();
            if size > 0.0 && size.is_finite() {
                let factor = (a.abs() / norm(u)).sqrt();
                balanced.hidden.push(u.iter().map(|u| u * factor).collect());
                balanced.output.push(size.sqrt() * a.signum());
            }
        }
        balanced
    }
}

/// One block of the convex program: weights v whose pattern is given, added (sign +1) or subtracted (-1).
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Index of the pattern.
    pub pattern: usize,
    /// +1 or -1.
    pub sign: f64,
    /// The weights, one per column of the data.
    pub weights: Vec<f64>,
}

/// The non-zero blocks of a point of the convex program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Blocks(pub Vec<Block>);

impl Blocks {
    /// The network with u = v / sqrt|v|, a = sign sqrt|v| for every block: its regulariser is beta sum of |v|.
    pub fn network(&self, columns: usize) -> Network {
        let mut network = Network { columns, ..Network::default() };
        for block in &self.0 {
            let root = norm(&block.weights).sqrt();
            if root > 0.0 {
                network.hidden.push(block.weights.iter().map(|v| v / root).collect());
                network.output.push(block.sign * root);
            }
        }
        network
    }

    /// The blocks of a network over its own patterns, which are added where they are not yet there: v = |a| u.
    pub fn of_network(network: &Network, training: &Training, patterns: &mut Patterns) -> Self {
        let mut blocks = Vec::new();
        for (u, &a) in network.hidden.iter().zip(&network.output) {
            let weights: Vec<f64> = u.iter().map(|u| u * a.abs()).collect();
            if norm(&weights) > 0.0 {
                patterns.add(training, u.clone());
                // a neuron that is active nowhere has no pattern here, and does nothing
                if let Some(pattern) = patterns.find(training, u) {
                    blocks.push(Block { pattern, sign: a.signum(), weights });
                }
            }
        }
        Self(blocks)
    }

    /// (outputs, convex objective, largest violation of a cone, largest activation) with the patterns as they are given,
    /// not the true activations.
    pub fn evaluate(&self, training: &Training, patterns: &Patterns) -> Evaluation {
        let x = training.x();
        let n = training.rows();
        let mut outputs = vec![0.0; n];
        let mut z = vec![0.0; n];
        let (mut violation, mut largest, mut penalty) = (0.0f64, 0.0f64, 0.0);
        for block in &self.0 {
            z.fill(0.0);
            for (j, v) in block.weights.iter().enumerate() {
                z.iter_mut().zip(x.col(j).iter()).for_each(|(z, x)| *z += v * x);
            }
            for (k, (&z, out)) in z.iter().zip(&mut outputs).enumerate() {
                largest = largest.max(z.abs());
                if patterns.is_active(block.pattern, k) {
                    *out += block.sign * z;
                    violation = violation.max(-z);
                } else {
                    violation = violation.max(z);
                }
            }
            penalty += norm(&block.weights);
        }
        let objective = training.loss_value(&outputs) + training.beta() * penalty;
        Evaluation { outputs, objective, violation, largest }
    }
}

/// What a point of the convex program is worth.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Sum over blocks of sign D X v, one per row.
    pub outputs: Vec<f64>,
    /// Loss of these plus beta times the sum of the norms.
    pub objective: f64,
    /// How far the worst row is on the wrong side of its pattern.
    pub violation: f64,
    /// The largest |x_k'v|.
    pub largest: f64,
}

/// Share of rows whose class, the sign of the output, is right.
pub fn accuracy(outputs: &[f64], classes: &[f64]) -> f64 {
    let right = outputs.iter().zip(classes).filter(|(z, y)| (**z > 0.0) == (**y > 0.0)).count();
    right as f64 / outputs.len().max(1) as f64
}

/// Refuses a network that doesn't fit the data.
pub(super) fn check(network: &Network, training: &Training) -> Result<(), Error> {
    let fits = network.columns == training.columns()
        && network.hidden.len() == network.output.len()
        && network.hidden.iter().all(|u| u.len() == network.columns);
    if !fits {
        return Err(Error::Start(format!(
            "the starting network has {} inputs, the data {} columns",
            network.columns,
            training.columns()
        )));
    }
    let finite = network.hidden.iter().flatten().chain(&network.output).all(|v| v.is_finite());
    if finite { Ok(()) } else { Err(Error::Start("a weight of the starting network is not finite".into())) }
}

/// Whether a loss and a network's outputs give an accuracy.
pub fn training_accuracy(network: &Network, training: &Training) -> Option<f64> {
    let classes = training.target().iter().all(|y| y.abs() == 1.0);
    (training.loss() != Loss::Squared || classes)
        .then(|| accuracy(&network.outputs(training), training.target()))
}
