//! Attacks on a trained network: the fast gradient sign method and projected gradient ascent.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::prox::{Budget, Norm};
use crate::linalg::product::{axpy, dot_serial};
use crate::relu::local::{Adam, NetworkObjective, initial_weights, network_of};
use crate::relu::network::Network;
use crate::relu::{Loss, Training};

/// An attack on every row of the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attack {
    /// Steps of gradient ascent; 1 without a random start is the fast gradient sign method.
    pub steps: usize,
    /// Length of a step as a share of eps.
    pub step: f64,
    /// Whether each row starts from a random point of the budget.
    pub random_start: bool,
    /// Seed of the starts.
    pub seed: u64,
}

impl Attack {
    /// x + eps sign(gradient).
    pub fn fast_gradient_sign() -> Self {
        Self { steps: 1, step: 1.0, random_start: false, seed: 0 }
    }

    /// Projected gradient ascent in steps of eps / 4 from a random start.
    pub fn projected_gradient(steps: usize, seed: u64) -> Self {
        Self { steps, step: 0.25, random_start: true, seed }
    }
}

/// What an attack reached: for every row the largest loss met, and the perturbed row that has it.
#[derive(Debug, Clone)]
pub struct Attacked {
    /// Largest loss of each row.
    pub losses: Vec<f64>,
    /// The perturbed rows, one after the other.
    pub rows: Vec<f64>,
    /// The network's outputs there.
    pub outputs: Vec<f64>,
}

impl Attacked {
    /// Share of the rows whose class is still right.
    pub fn accuracy(&self, target: &[f64]) -> f64 {
        crate::relu::network::accuracy(&self.outputs, target)
    }
}

/// f(x) and its gradient in x.
fn output(network: &Network, x: &[f64], gradient: &mut [f64]) -> f64 {
    gradient.fill(0.0);
    let mut sum = 0.0;
    for (u, &a) in network.hidden.iter().zip(&network.output) {
        let z = dot_serial(u, x);
        if z > 0.0 {
            sum += a * z;
            axpy(a, u, gradient);
        }
    }
    sum
}

/// The loss to ascend: the hinge's slope vanishes on its flat side, where the margin is ascended instead.
fn slope(loss: Loss, z: f64, y: f64) -> f64 {
    let own = loss.derivative(z, y);
    if own == 0.0 && loss == Loss::Hinge { -y } else { own }
}

/// Attacks every row of the training data (or of any data with targets).
pub fn attack(network: &Network, training: &Training, budget: &Budget, attack: &Attack) -> Attacked {
    let (n, d) = (training.rows(), training.columns());
    let x = training.x();
    let mut random = ChaCha8Rng::seed_from_u64(attack.seed);
    let mut attacked = Attacked {
        losses: Vec::with_capacity(n),
        rows: Vec::with_capacity(n * d),
        outputs: Vec::with_capacity(n),
    };
    let (mut gradient, mut delta, mut moved) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let mut uphill = vec![0.0; d];
    for k in 0..n {
        let y = training.target()[k];
        let row: Vec<f64> = (0..d).map(|j| x[(k, j)]).collect();
        let clean = output(network, &row, &mut gradient);
        let mut best = (training.loss().value(clean, y), clean, row.clone());
        delta.fill(0.0);
        if attack.random_start {
            delta[..budget.perturbed].iter_mut().for_each(|d| *d = random.random_range(-1.0..=1.0));
            scale_into(budget, &mut delta, true);
        }
        for _ in 0..attack.steps {
            moved.iter_mut().zip(row.iter().zip(&delta)).for_each(|(m, (x, d))| *m = x + d);
            let z = output(network, &moved, &mut gradient);
            let factor = slope(training.loss(), z, y);
            gradient.iter_mut().for_each(|g| *g *= factor);
            budget.worst(&gradient, &mut uphill);
            axpy(attack.step, &uphill, &mut delta);
            scale_into(budget, &mut delta, false);
            moved.iter_mut().zip(row.iter().zip(&delta)).for_each(|(m, (x, d))| *m = x + d);
            let z = output(network, &moved, &mut gradient);
            let loss = training.loss().value(z, y);
            if loss > best.0 || (loss == best.0 && y * z < y * best.1) {
                best = (loss, z, moved.clone());
            }
        }
        attacked.losses.push(best.0);
        attacked.outputs.push(best.1);
        attacked.rows.extend(best.2);
    }
    attacked
}

/// Brings a perturbation into the budget; a random direction in the unit cube becomes a point of it.
fn scale_into(budget: &Budget, delta: &mut [f64], from_cube: bool) {
    let eps = budget.epsilon;
    let part = &mut delta[..budget.perturbed];
    match budget.norm {
        Norm::Infinity if from_cube => part.iter_mut().for_each(|d| *d *= eps),
        Norm::Infinity => part.iter_mut().for_each(|d| *d = d.clamp(-eps, eps)),
        Norm::Euclidean => {
            let length = dot_serial(part, part).sqrt();
            if from_cube && length > 0.0 {
                part.iter_mut().for_each(|d| *d *= 0.5 * eps / length);
            } else if length > eps {
                part.iter_mut().for_each(|d| *d *= eps / length);
            }
        }
    }
}

/// The usual remedy, a baseline: Adam on rows that are attacked anew at every step. Proves nothing.
pub fn train_adversarially(
    training: &Training,
    budget: &Budget,
    neurons: usize,
    adam: &Adam,
    method: &Attack,
    seed: u64,
) -> Network {
    let mut weights = initial_weights(training, neurons, seed);
    let mut gradient = vec![0.0; weights.len()];
    let (mut first, mut second) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
    for k in 0..adam.steps {
        let network = network_of(training, &weights);
        let own = Attack { seed: method.seed.wrapping_add(k as u64), ..*method };
        let attacked = training.with_rows(&attack(&network, training, budget, &own).rows);
        NetworkObjective::new(&attacked, neurons).evaluate(&weights, &mut gradient);
        adam.update(k, &gradient, (&mut first, &mut second), &mut weights);
    }
    network_of(training, &weights)
}
