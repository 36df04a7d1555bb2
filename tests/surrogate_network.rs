//! Surrogates of maps that are not linear, and imitation of an expert.

#![allow(clippy::unwrap_used)]

use gradus::control::{Limits, Monitor};
use gradus::surrogate::*;

fn hash(a: u64, b: u64) -> f64 {
    let mut h = a.wrapping_mul(0x9E3779B97F4A7C15) ^ b.wrapping_mul(0xD1B54A32D192ED03);
    h = (h ^ (h >> 29)).wrapping_mul(0xBF58476D1CE4E5B9);
    h ^= h >> 32;
    (h % 20001) as f64 / 10000.0 - 1.0
}

fn published(inner: Inner) -> Method {
    Method::Surrogate(BatchSurrogate { inner, ..BatchSurrogate::default() })
}

fn gradient(steps: usize) -> Inner {
    Inner::Gradient { steps, search: InnerSearch::default() }
}

/// Tolerance 0: every run goes to its limits.
fn solver(method: Method, batch: Option<usize>, epochs: usize) -> Surrogate {
    let limits = Limits { tolerance: 0.0, ..Limits::default() };
    Surrogate { limits, method, batch, epochs, order: Order::SplitMix, seed: 1, ..Surrogate::default() }
}

/// Inputs of n samples and targets from a network of the same shape.
fn taught(widths: &[usize], activation: Activation, n: usize, seed: u64) -> (Network, Vec<f64>) {
    let inputs: Vec<f64> = (0..n * widths[0]).map(|k| hash(k as u64, seed)).collect();
    let network = Network::new(widths, activation, inputs).unwrap();
    let all: Vec<u32> = (0..n as u32).collect();
    let mut z = vec![0.0; n * network.outputs()];
    network.forward(&network.initial(seed + 100), &all, &mut z);
    (network, z)
}

/// Squared error of every target of a network.
fn errors(truth: &[f64], outputs: usize) -> GradientFn<impl FnMut(&[u32], &[f64]) -> Vec<f64>> {
    let gradient = move |batch: &[u32], z: &[f64]| -> Vec<f64> {
        let at = |k: usize| batch[k / outputs] as usize * outputs + k % outputs;
        z.iter().enumerate().map(|(k, z)| z - truth[at(k)]).collect()
    };
    GradientFn { gradient, smoothness: Some(1.0) }
}

#[test]
fn products_with_the_jacobian_of_a_network_are_its_differences() {
    for activation in [Activation::Relu, Activation::Tanh, Activation::Identity] {
        let (network, _) = taught(&[3, 5, 4, 2], activation, 6, 11);
        let theta = network.initial(1);
        let batch = [4, 1, 2];
        let d = network.parameters();
        assert_eq!(theta.len(), d);
        let v: Vec<f64> = (0..d).map(|j| hash(j as u64, 21)).collect();
        let u: Vec<f64> = (0..6).map(|j| hash(j as u64, 22)).collect();
        let moved = |h: f64| {
            let theta: Vec<f64> = theta.iter().zip(&v).map(|(t, v)| t + h * v).collect();
            let mut z = vec![0.0; 6];
            network.forward(&theta, &batch, &mut z);
            z
        };
        let (up, down) = (moved(1e-6), moved(-1e-6));
        let mut pushed = vec![0.0; 6];
        assert!(network.push_forward(&theta, &batch, &v, &mut pushed));
        for k in 0..6 {
            assert!(((up[k] - down[k]) / 2e-6 - pushed[k]).abs() < 1e-7, "{activation:?}");
        }
        // <u, J v> = <J'u, v>
        let mut pulled = vec![0.0; d];
        network.pull_back(&theta, &batch, &u, &mut pulled);
        let left: f64 = u.iter().zip(&pushed).map(|(a, b)| a * b).sum();
        let right: f64 = pulled.iter().zip(&v).map(|(a, b)| a * b).sum();
        assert!((left - right).abs() < 1e-12 * (1.0 + left.abs()));
    }
}

#[test]
fn the_loss_of_a_network_never_rises_either() {
    for seed in 0..30 {
        let (network, truth) =
            taught(&[3, 4, 2], if seed % 2 == 0 { Activation::Identity } else { Activation::Tanh }, 20, seed);
        for inner in [
            gradient(1),
            gradient(10),
            Inner::Lbfgs { steps: 10 },
            Inner::GaussNewton { steps: 2, products: 20 },
            Inner::ConjugateGradient { steps: 10 },
        ] {
            let mut oracle = errors(&truth, 2);
            let mut value = f64::INFINITY;
            let mut theta = network.initial(seed);
            for _ in 0..8 {
                let run = Surrogate { watch: Watch::Nothing, ..solver(published(inner), None, 1) };
                theta = run
                    .minimize(&network, &mut oracle, Start::Parameters(&theta), &mut Monitor::none())
                    .unwrap()
                    .parameters;
                let all: Vec<u32> = (0..20).collect();
                let mut z = vec![0.0; 40];
                network.forward(&theta, &all, &mut z);
                let next: f64 = z.iter().zip(&truth).map(|(a, b)| (a - b) * (a - b)).sum();
                assert!(next <= value * (1.0 + 1e-12), "{inner:?}: {value} then {next}");
                value = next;
            }
        }
    }
}

#[test]
fn the_automatic_method_trains_a_network_with_few_calls() {
    let (network, truth) = taught(&[4, 8, 1], Activation::Tanh, 60, 5);
    let mut oracle = errors(&truth, 1);
    let start = network.initial(3);
    let automatic = solver(Method::Automatic, None, 60);
    let solution = Surrogate { watch: Watch::Nothing, ..automatic }
        .minimize(&network, &mut oracle, Start::Parameters(&start), &mut Monitor::none())
        .unwrap();
    let loss = |theta: &[f64]| {
        let all: Vec<u32> = (0..60).collect();
        let mut z = vec![0.0; 60];
        network.forward(theta, &all, &mut z);
        z.iter().zip(&truth).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
    };
    assert_eq!(solution.counts["oracle_calls"], 60);
    assert!(
        loss(&solution.parameters) < 0.02 * loss(&start),
        "{} of {}",
        loss(&solution.parameters),
        loss(&start)
    );
    let linear_only = solver(Method::FullBatch(FullBatch::default()), None, 1).minimize(
        &network,
        &mut oracle,
        Start::Zero,
        &mut Monitor::none(),
    );
    assert!(linear_only.unwrap_err().to_string().contains("linear maps"));
}

/// At equal numbers of questions to the expert a surrogate with a hundred inner steps is ahead of gradient descent with
/// the best step of a grid, for every seed.
#[test]
fn imitation_learns_more_from_each_question() {
    for seed in 0..5 {
        let imitation = Imitation { seed, rounds: 40, ..Imitation::default() };
        let last = |method| {
            imitation.learn(method).map_or(f64::INFINITY, |learned| learned.losses.last().copied().unwrap())
        };
        let step = StepSize::Fixed { eta: Some(0.3), schedule: Schedule::Constant };
        let surrogate = last(Method::Surrogate(BatchSurrogate {
            step,
            inner: gradient(100),
            metric: TargetMetric::Identity,
        }));
        let descent = [1e-3, 1e-2, 1e-1, 1.0]
            .map(|rate| last(Method::Baseline(Baseline::Sgd { rate, schedule: Schedule::Constant })));
        let best = descent.into_iter().filter(|loss| loss.is_finite()).fold(f64::INFINITY, f64::min);
        assert!(surrogate < best, "seed {seed}: {surrogate} against {best}");
    }
}
