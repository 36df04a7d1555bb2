//! Imitation learning at laptop scale: a cart with a pole, an expert that balances it, a learner that asks the expert.
//!
//! The state is (x, x', phi, phi'), the action a force. The expert is the linear-quadratic regulator of the dynamics
//! linearised at the upright pole. Each round the learner collects states, asks the expert for its actions there (the
//! costly oracle), and takes one step of some method on the squared error of its own actions. With mixing 0 the states
//! are those that the learner runs into (Ross, Gordon and Bagnell 2011), with mixing 1 the expert's.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Activation, Error, GradientFn, Method, Network, Stepper, TargetModel, Work};

/// Seconds of a step, masses, half the pole's length, gravity.
const TIME: f64 = 0.02;
const CART: f64 = 1.0;
const POLE: f64 = 0.1;
const LENGTH: f64 = 0.5;
const GRAVITY: f64 = 9.8;
/// Force at most.
const STRONGEST: f64 = 10.0;
/// Steps of an episode, and where it ends before.
const EPISODE: usize = 200;

/// A cart with a pole, and its expert's gains.
#[derive(Debug, Clone)]
pub struct CartPole {
    gains: [f64; 4],
}

impl Default for CartPole {
    fn default() -> Self {
        Self { gains: regulator() }
    }
}

impl CartPole {
    /// The expert's force: -K state, within bounds.
    pub fn expert(&self, state: &[f64]) -> f64 {
        let force: f64 = -self.gains.iter().zip(state).map(|(gain, s)| gain * s).sum::<f64>();
        force.clamp(-STRONGEST, STRONGEST)
    }

    /// The state one step later (Barto, Sutton and Anderson 1983).
    pub fn next(&self, state: [f64; 4], force: f64) -> [f64; 4] {
        let [x, v, angle, spin] = state;
        let (sin, cos) = angle.sin_cos();
        let total = CART + POLE;
        let push = (force.clamp(-STRONGEST, STRONGEST) + POLE * LENGTH * spin * spin * sin) / total;
        let turn = (GRAVITY * sin - cos * push) / (LENGTH * (4.0 / 3.0 - POLE * cos * cos / total));
        let run = push - POLE * LENGTH * turn * cos / total;
        [x + TIME * v, v + TIME * run, angle + TIME * spin, spin + TIME * turn]
    }

    fn fallen(state: &[f64; 4]) -> bool {
        state[0].abs() > 2.4 || state[2].abs() > 0.6
    }
}

/// Gains of the discrete Riccati recursion for the linearised dynamics, weights 1, 0.1, 10, 0.1 on the state and 0.01 on the
/// force.
fn regulator() -> [f64; 4] {
    let total = CART + POLE;
    let inertia = LENGTH * (4.0 / 3.0 - POLE / total);
    let (turn_angle, turn_force) = (GRAVITY / inertia, -1.0 / (total * inertia));
    let share = POLE * LENGTH / total;
    let a = [
        [1.0, TIME, 0.0, 0.0],
        [0.0, 1.0, -TIME * share * turn_angle, 0.0],
        [0.0, 0.0, 1.0, TIME],
        [0.0, 0.0, TIME * turn_angle, 1.0],
    ];
    let b = [0.0, TIME * (1.0 / total - share * turn_force), 0.0, TIME * turn_force];
    let (q, r) = ([1.0, 0.1, 10.0, 0.1], 0.01);
    let mut p = [[0.0; 4]; 4];
    (0..4).for_each(|i| p[i][i] = q[i]);
    let mut gains = [0.0; 4];
    for _ in 0..2000 {
        // gains = (r + b'P b)^-1 b'P A;  P <- Q + A'P (A - b gains)
        let pb: Vec<f64> = p.iter().map(|row| row.iter().zip(&b).map(|(p, b)| p * b).sum()).collect();
        let scale = r + pb.iter().zip(&b).map(|(p, b)| p * b).sum::<f64>();
        for (j, gain) in gains.iter_mut().enumerate() {
            *gain = (0..4).map(|i| pb[i] * a[i][j]).sum::<f64>() / scale;
        }
        let mut next = [[0.0; 4]; 4];
        for i in 0..4 {
            for j in 0..4 {
                let closed = |k: usize| a[k][j] - b[k] * gains[j];
                next[i][j] = (0..4).map(|k| (0..4).map(|l| a[l][i] * p[l][k]).sum::<f64>() * closed(k)).sum();
            }
            next[i][i] += q[i];
        }
        p = next;
    }
    gains
}

/// The learning loop.
#[derive(Debug, Clone)]
pub struct Imitation {
    /// Widths of the hidden layers; none for a linear policy.
    pub hidden: Vec<usize>,
    /// Rounds: each collects, asks and steps once.
    pub rounds: usize,
    /// States of a round, one question each.
    pub samples: usize,
    /// Probability that the expert acts while states are collected.
    pub mixing: f64,
    /// Seed of starts, noise and initial weights.
    pub seed: u64,
}

impl Default for Imitation {
    fn default() -> Self {
        Self { hidden: vec![32], rounds: 60, samples: 400, mixing: 0.0, seed: 0 }
    }
}

/// What a learner became.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Mean squared error of its actions over two, on states of the expert's own episodes, after each round.
    pub losses: Vec<f64>,
    /// Steps for which its last policy keeps the pole up, of 200, a mean over ten starts.
    pub balanced: f64,
    /// Parameters.
    pub parameters: Vec<f64>,
    /// What it cost.
    pub work: Work,
}

impl Imitation {
    /// Learns with one method.
    ///
    /// # Errors
    /// A method that does not run step by step, or that diverges.
    pub fn learn(&self, method: Method) -> Result<Learned, Error> {
        let cart = CartPole::default();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut widths = vec![4];
        widths.extend(&self.hidden);
        widths.push(1);
        let judges = collect(&cart, 1000, &mut ChaCha8Rng::seed_from_u64(1 << 40), |_, _| None);
        let policy = Network::new(&widths, Activation::Relu, judges.clone())?;
        let judged: Vec<f64> = judges.chunks_exact(4).map(|state| cart.expert(state)).collect();
        let everyone: Vec<u32> = (0..policy.samples() as u32).collect();
        let mut stepper = Stepper::new(method, policy.initial(self.seed), self.rounds as u64)?;
        let mut losses = Vec::with_capacity(self.rounds);
        let batch: Vec<u32> = (0..self.samples as u32).collect();
        for _ in 0..self.rounds {
            // 1. states under the mixture of expert and learner
            let theta = stepper.parameters().to_vec();
            let states = collect(&cart, self.samples, &mut rng, |state, rng| {
                (!rng.random_bool(self.mixing.clamp(0.0, 1.0))).then(|| act(&policy, &theta, state))
            });
            // 2. one question to the expert for each, and 3. one step
            let round = policy.with_inputs(states.clone())?;
            let gradient = |batch: &[u32], z: &[f64]| -> Vec<f64> {
                let ask = |&i: &u32| cart.expert(&states[4 * i as usize..4 * i as usize + 4]);
                z.iter().zip(batch).map(|(z, i)| z - ask(i)).collect()
            };
            let mut oracle = GradientFn { gradient, smoothness: Some(1.0) };
            stepper.step(&round, &mut oracle, &batch)?;
            // the judgement asks nobody and teaches nothing
            let mut z = vec![0.0; judged.len()];
            policy.forward(stepper.parameters(), &everyone, &mut z);
            losses.push(
                z.iter().zip(&judged).map(|(z, a)| 0.5 * (z - a) * (z - a)).sum::<f64>() / z.len() as f64,
            );
        }
        let parameters = stepper.parameters().to_vec();
        let balanced = balance(&cart, |state| act(&policy, &parameters, state));
        Ok(Learned { losses, balanced, parameters, work: stepper.work() })
    }
}

/// The learner's force.
fn act(policy: &Network, theta: &[f64], state: &[f64; 4]) -> f64 {
    let one = policy.with_inputs(state.to_vec());
    let mut z = [0.0];
    if let Ok(one) = one {
        one.forward(theta, &[0], &mut z);
    }
    z[0]
}

/// States of episodes from random starts; `learner` may act in the expert's place.
fn collect(
    cart: &CartPole,
    samples: usize,
    rng: &mut ChaCha8Rng,
    mut learner: impl FnMut(&[f64; 4], &mut ChaCha8Rng) -> Option<f64>,
) -> Vec<f64> {
    let mut states = Vec::with_capacity(4 * samples);
    while states.len() < 4 * samples {
        let mut state: [f64; 4] = std::array::from_fn(|_| rng.random_range(-0.3..0.3));
        for _ in 0..EPISODE {
            if states.len() >= 4 * samples || CartPole::fallen(&state) {
                break;
            }
            states.extend(state);
            let force = learner(&state, rng).unwrap_or_else(|| cart.expert(&state));
            state = cart.next(state, force + rng.random_range(-1.0..1.0));
        }
    }
    states
}

/// Mean length of ten episodes.
fn balance(cart: &CartPole, policy: impl Fn(&[f64; 4]) -> f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1 << 41);
    let lengths = (0..10).map(|_| {
        let mut state: [f64; 4] = std::array::from_fn(|_| rng.random_range(-0.2..0.2));
        (0..EPISODE)
            .take_while(|_| {
                state = cart.next(state, policy(&state));
                !CartPole::fallen(&state)
            })
            .count()
    });
    lengths.sum::<usize>() as f64 / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expert_balances_the_pole() {
        let cart = CartPole::default();
        assert_eq!(balance(&cart, |state| cart.expert(state)), EPISODE as f64);
        assert!(balance(&cart, |_| 0.0) < 150.0);
    }
}
