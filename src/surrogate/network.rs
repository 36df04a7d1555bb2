//! A small fully connected network as a map from parameters to targets.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::StandardNormal;

use super::{Error, TargetModel};
use crate::linalg::product::{axpy, dot_serial};

/// What stands between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(0, a).
    Relu,
    /// tanh(a).
    Tanh,
    /// Nothing: a linear network.
    Identity,
}

impl Activation {
    fn value(self, a: f64) -> f64 {
        match self {
            Activation::Relu => a.max(0.0),
            Activation::Tanh => a.tanh(),
            Activation::Identity => a,
        }
    }

    /// The derivative where the value is v.
    fn slope(self, v: f64) -> f64 {
        match self {
            Activation::Relu => f64::from(v > 0.0),
            Activation::Tanh => 1.0 - v * v,
            Activation::Identity => 1.0,
        }
    }
}

/// z_i = W_L s(... s(W_1 x_i + b_1) ...) + b_L for inputs x_i.
///
/// Parameters, layer after layer: W_l (outputs x inputs, row-major), then b_l. One forward pass costs the number of
/// parameters per sample, a pull-back and a push-forward two of them.
#[derive(Debug, Clone)]
pub struct Network {
    widths: Vec<usize>,
    activation: Activation,
    /// n x widths[0], row-major.
    inputs: Vec<f64>,
}

impl Network {
    /// `widths` from the inputs to the targets; `inputs` has one row of widths\[0\] numbers for each sample.
    ///
    /// # Errors
    /// Fewer than two widths, one that is zero, inputs that are not whole rows or not finite.
    pub fn new(widths: &[usize], activation: Activation, inputs: Vec<f64>) -> Result<Self, Error> {
        if widths.len() < 2 || widths.contains(&0) {
            return Err(Error::Option(format!(
                "widths {widths:?}: a network needs two or more, none of them zero"
            )));
        }
        if !inputs.len().is_multiple_of(widths[0]) {
            return Err(Error::Option(format!(
                "{} input values are no whole rows of {}",
                inputs.len(),
                widths[0]
            )));
        }
        if let Some(k) = inputs.iter().position(|value| !value.is_finite()) {
            let (row, column) = (k / widths[0], k % widths[0]);
            return Err(Error::Option(format!(
                "input {column} of sample {row} is {}; it must be finite",
                inputs[k]
            )));
        }
        Ok(Self { widths: widths.to_vec(), activation, inputs })
    }

    /// The same network on other samples.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_inputs(&self, inputs: Vec<f64>) -> Result<Self, Error> {
        Self::new(&self.widths, self.activation, inputs)
    }

    /// Random weights of variance 1 / inputs (2 / inputs for ReLU), biases zero.
    pub fn initial(&self, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let gain = if self.activation == Activation::Relu { 2.0 } else { 1.0 };
        let mut theta = Vec::with_capacity(self.parameters());
        for pair in self.widths.windows(2) {
            let size = (gain / pair[0] as f64).sqrt();
            theta.extend((0..pair[0] * pair[1]).map(|_| size * rng.sample::<f64, _>(StandardNormal)));
            theta.extend(std::iter::repeat_n(0.0, pair[1]));
        }
        theta
    }

    /// Layers as (weights, biases).
    fn layers<'t>(&self, theta: &'t [f64]) -> Vec<(&'t [f64], &'t [f64])> {
        let mut rest = theta;
        let split = |pair: &[usize]| {
            let (weights, tail) = rest.split_at(pair[0] * pair[1]);
            let (biases, tail) = tail.split_at(pair[1]);
            rest = tail;
            (weights, biases)
        };
        self.widths.windows(2).map(split).collect()
    }

    fn input(&self, i: u32) -> &[f64] {
        let width = self.widths[0];
        &self.inputs[i as usize * width..(i as usize + 1) * width]
    }

    /// Values of every layer for one sample; the first is the input, the last the targets.
    fn pass(&self, layers: &[(&[f64], &[f64])], i: u32, values: &mut [Vec<f64>]) {
        values[0].copy_from_slice(self.input(i));
        for (l, (weights, biases)) in layers.iter().enumerate() {
            let last = l + 1 == layers.len();
            let (before, after) = values.split_at_mut(l + 1);
            let input = &before[l];
            for ((out, row), bias) in after[0].iter_mut().zip(weights.chunks_exact(input.len())).zip(*biases)
            {
                let a = dot_serial(row, input) + bias;
                *out = if last { a } else { self.activation.value(a) };
            }
        }
    }

    fn buffers(&self) -> Vec<Vec<f64>> {
        self.widths.iter().map(|&width| vec![0.0; width]).collect()
    }
}

impl TargetModel for Network {
    fn samples(&self) -> usize {
        self.inputs.len() / self.widths[0]
    }

    fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    fn parameters(&self) -> usize {
        self.widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    fn forward(&self, theta: &[f64], batch: &[u32], z: &mut [f64]) {
        let (layers, mut values) = (self.layers(theta), self.buffers());
        for (&i, z) in batch.iter().zip(z.chunks_exact_mut(self.outputs())) {
            self.pass(&layers, i, &mut values);
            z.copy_from_slice(&values[layers.len()]);
        }
    }

    fn pull_back(&self, theta: &[f64], batch: &[u32], u: &[f64], out: &mut [f64]) {
        let (layers, mut values, mut deltas) = (self.layers(theta), self.buffers(), self.buffers());
        out.fill(0.0);
        let depth = layers.len();
        for (&i, u) in batch.iter().zip(u.chunks_exact(self.outputs())) {
            self.pass(&layers, i, &mut values);
            deltas[depth].copy_from_slice(u);
            let mut end = out.len();
            for l in (0..depth).rev() {
                let (inputs, outputs) = (self.widths[l], self.widths[l + 1]);
                let start = end - (inputs + 1) * outputs;
                let (weights, biases) = out[start..end].split_at_mut(inputs * outputs);
                let (below, above) = deltas.split_at_mut(l + 1);
                let (delta, above) = (&mut below[l], &above[0]);
                delta.fill(0.0);
                for (k, &slope) in above.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
                    axpy(slope, &values[l], &mut weights[k * inputs..(k + 1) * inputs]);
                    biases[k] += slope;
                    axpy(slope, &layers[l].0[k * inputs..(k + 1) * inputs], delta);
                }
                if l > 0 {
                    delta.iter_mut().zip(&values[l]).for_each(|(d, &v)| *d *= self.activation.slope(v));
                }
                end = start;
            }
        }
    }

    fn push_forward(&self, theta: &[f64], batch: &[u32], v: &[f64], out: &mut [f64]) -> bool {
        let (layers, changes) = (self.layers(theta), self.layers(v));
        let (mut values, mut moved) = (self.buffers(), self.buffers());
        for (&i, out) in batch.iter().zip(out.chunks_exact_mut(self.outputs())) {
            self.pass(&layers, i, &mut values);
            moved[0].fill(0.0);
            for l in 0..layers.len() {
                let inputs = self.widths[l];
                let (below, above) = moved.split_at_mut(l + 1);
                for (k, change) in above[0].iter_mut().enumerate() {
                    let row = k * inputs..(k + 1) * inputs;
                    *change = dot_serial(&layers[l].0[row.clone()], &below[l])
                        + dot_serial(&changes[l].0[row], &values[l])
                        + changes[l].1[k];
                    if l + 1 < layers.len() {
                        *change *= self.activation.slope(values[l + 1][k]);
                    }
                }
            }
            out.copy_from_slice(&moved[layers.len()]);
        }
        true
    }
}
