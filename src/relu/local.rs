//! Local optimisers of the network itself: starts for the refinement, and what the convex program is measured against.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::network::Network;
use super::training::Training;
use crate::control::Run;
use crate::linalg::line_search::{LineSearchError, StrongWolfe};
use crate::linalg::panel;
use crate::linalg::product::{axpy, dot_serial, norm_inf};

/// Objective and gradient of sum l(f(x_k); y_k) + (beta/2) sum (|u_j|^2 + a_j^2) at (u_1, .., u_m, a), d m + m numbers.
pub struct NetworkObjective<'a> {
    training: &'a Training,
    /// m.
    neurons: usize,
    z: Vec<f64>,
    outputs: Vec<f64>,
    /// Gradients computed so far.
    pub evaluations: u64,
}

impl<'a> NetworkObjective<'a> {
    /// For m neurons.
    pub fn new(training: &'a Training, neurons: usize) -> Self {
        let z = vec![0.0; training.rows() * neurons];
        Self { training, neurons, z, outputs: vec![0.0; training.rows()], evaluations: 0 }
    }

    /// The objective at w; its gradient is written over `gradient`. 4 n d m flops.
    pub fn evaluate(&mut self, w: &[f64], gradient: &mut [f64]) -> f64 {
        self.evaluations += 1;
        let (n, d, m) = (self.training.rows(), self.training.columns(), self.neurons);
        let (beta, loss) = (self.training.beta(), self.training.loss());
        let (hidden, output) = w.split_at(d * m);
        panel::multiply(self.training.x(), hidden, &mut self.z);
        self.outputs.fill(0.0);
        for (z, &a) in self.z.chunks_exact(n).zip(output) {
            self.outputs.iter_mut().zip(z).for_each(|(f, z)| *f += a * z.max(0.0));
        }
        let value = self.training.loss_value(&self.outputs) + 0.5 * beta * dot_serial(w, w);
        let pairs = self.outputs.iter_mut().zip(self.training.target());
        pairs.for_each(|(f, &y)| *f = loss.derivative(*f, y));
        let (by_hidden, by_output) = gradient.split_at_mut(d * m);
        for ((z, &a), g) in self.z.chunks_exact_mut(n).zip(output).zip(by_output) {
            let mut sum = 0.0;
            for (z, e) in z.iter_mut().zip(&self.outputs) {
                sum += z.max(0.0) * e;
                *z = if *z > 0.0 { a * e } else { 0.0 };
            }
            *g = sum;
        }
        panel::multiply(self.training.x().transpose(), &self.z, by_hidden);
        axpy(beta, w, gradient);
        value
    }
}

/// Random weights: u with variance 2 / d, a with variance 1 / m.
pub fn initial_weights(training: &Training, neurons: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let d = training.columns();
    let (hidden, output) = ((2.0 / d as f64).sqrt(), (1.0 / neurons.max(1) as f64).sqrt());
    let mut draw = |scale: f64| {
        let value: f64 = StandardNormal.sample(&mut random);
        scale * value
    };
    (0..d * neurons + neurons).map(|i| draw(if i < d * neurons { hidden } else { output })).collect()
}

/// The network of a vector of weights.
pub fn network_of(training: &Training, weights: &[f64]) -> Network {
    let d = training.columns();
    let m = weights.len() / (d + 1);
    let hidden = weights[..d * m].chunks_exact(d).map(<[f64]>::to_vec).collect();
    Network { columns: d, hidden, output: weights[d * m..].to_vec() }
}

/// The vector of weights of a network.
pub fn weights_of(network: &Network) -> Vec<f64> {
    network.hidden.iter().flatten().chain(&network.output).copied().collect()
}

/// Full-batch Adam (Kingma and Ba 2015) with a cosine schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// The largest step.
    pub rate: f64,
    /// Steps.
    pub steps: usize,
}

impl Default for Adam {
    fn default() -> Self {
        Self { rate: 0.03, steps: 4000 }
    }
}

impl Adam {
    /// Minimises from the given weights, in place; `observe` sees the step and the objective, and may stop.
    pub fn minimise(
        &self,
        objective: &mut NetworkObjective,
        weights: &mut [f64],
        mut observe: impl FnMut(usize, f64) -> bool,
    ) {
        let mut gradient = vec![0.0; weights.len()];
        let (mut first, mut second) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
        for k in 0..self.steps {
            let value = objective.evaluate(weights, &mut gradient);
            if !observe(k, value) {
                return;
            }
            self.update(k, &gradient, (&mut first, &mut second), weights);
        }
    }

    /// Step k (from 0) along a gradient, with its running moments.
    pub fn update(
        &self,
        k: usize,
        gradient: &[f64],
        (first, second): (&mut [f64], &mut [f64]),
        weights: &mut [f64],
    ) {
        let rate = 0.5 * self.rate * (1.0 + (std::f64::consts::PI * k as f64 / self.steps as f64).cos());
        let (c1, c2) = (1.0 - 0.9f64.powi(k as i32 + 1), 1.0 - 0.999f64.powi(k as i32 + 1));
        for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *w -= rate * (*m / c1) / ((*v / c2).sqrt() + 1e-8);
        }
    }
}

/// Limited-memory BFGS (Nocedal 1980) with strong Wolfe steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Lbfgs {
    /// Pairs of steps and gradient changes that are kept.
    pub memory: usize,
    /// Iterations at most.
    pub iterations: usize,
    /// Stop once 20 iterations together lower the objective by less than this share.
    pub progress: f64,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self { memory: 20, iterations: 1000, progress: 1e-7 }
    }
}

impl Lbfgs {
    /// Minimises from the given weights, in place; `observe` sees the iteration and the objective, and may stop. Returns
    /// the objective. The objective has kinks: a failed line search ends the run where it stands.
    pub fn minimise(
        &self,
        objective: &mut NetworkObjective,
        weights: &mut [f64],
        mut observe: impl FnMut(usize, f64) -> bool,
    ) -> f64 {
        let size = weights.len();
        let mut gradient = vec![0.0; size];
        let mut value = objective.evaluate(weights, &mut gradient);
        let mut pairs: std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)> = Default::default();
        let mut milestone = value;
        let (mut trial, mut slopes) = (vec![0.0; size], vec![0.0; size]);
        for k in 0..self.iterations {
            if !observe(k, value) || norm_inf(&gradient) == 0.0 {
                break;
            }
            if k % 20 == 19 {
                if milestone - value <= self.progress * value.abs() {
                    break;
                }
                milestone = value;
            }
            let mut direction = two_loops(&pairs, &gradient);
            let mut slope = dot_serial(&direction, &gradient);
            if !(slope < 0.0) {
                pairs.clear();
                direction = gradient.iter().map(|g| -g).collect();
                slope = -dot_serial(&gradient, &gradient);
            }
            let initial_step = if pairs.is_empty() { (1.0 / norm_inf(&gradient)).min(1.0) } else { 1.0 };
            let search = StrongWolfe { initial_step, max_evaluations: 25, ..StrongWolfe::default() };
            let found = search.search(value, slope, |step| {
                trial.iter_mut().zip(&*weights).zip(&direction).for_each(|((t, w), p)| *t = w + step * p);
                let value = objective.evaluate(&trial, &mut slopes);
                (value, dot_serial(&slopes, &direction))
            });
            let step = match found {
                Ok(accepted) => accepted.step,
                Err(LineSearchError::Unbounded { best }) => best.step,
                Err(LineSearchError::TooShort { best: Some(best), .. })
                | Err(LineSearchError::Evaluations { best: Some(best), .. })
                    if best.step > 0.0 =>
                {
                    best.step
                }
                Err(_) => break,
            };
            trial.iter_mut().zip(&*weights).zip(&direction).for_each(|((t, w), p)| *t = w + step * p);
            let new = objective.evaluate(&trial, &mut slopes);
            let change: Vec<f64> = slopes.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            let moved: Vec<f64> = direction.iter().map(|p| step * p).collect();
            let curvature = dot_serial(&moved, &change);
            if curvature > 1e-12 * dot_serial(&change, &change) {
                pairs.push_back((moved, change, curvature));
                if pairs.len() > self.memory {
                    pairs.pop_front();
                }
            }
            weights.copy_from_slice(&trial);
            gradient.copy_from_slice(&slopes);
            value = new;
        }
        value
    }
}

/// -H g by the two loops over the kept pairs.
fn two_loops(pairs: &std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(pairs.len());
    for (s, y, curvature) in pairs.iter().rev() {
        let factor = dot_serial(s, &q) / curvature;
        axpy(-factor, y, &mut q);
        factors.push(factor);
    }
    if let Some((_, y, curvature)) = pairs.back() {
        let scale = curvature / dot_serial(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, curvature), factor) in pairs.iter().zip(factors.iter().rev()) {
        let other = dot_serial(y, &q) / curvature;
        axpy(factor - other, s, &mut q);
    }
    q
}

/// A network from random weights by L-BFGS, balanced; ends early when the run does.
pub(super) fn start(training: &Training, neurons: usize, seed: u64, iterations: usize, run: &Run) -> Network {
    let mut weights = initial_weights(training, neurons, seed);
    descend(training, &mut weights, neurons, iterations, run)
}

/// The network that L-BFGS reaches from given weights.
pub(super) fn descend(
    training: &Training,
    weights: &mut [f64],
    neurons: usize,
    iterations: usize,
    run: &Run,
) -> Network {
    let mut objective = NetworkObjective::new(training, neurons);
    let solver = Lbfgs { iterations, ..Lbfgs::default() };
    solver.minimise(&mut objective, weights, |_, _| run.should_stop().is_none());
    network_of(training, weights).balanced()
}
