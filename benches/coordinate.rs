//! Steps of block coordinate descent and whole fits on instances made here: `cargo bench --bench coordinate`.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use gradus::control::{Limits, Monitor};
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::{CoordinateDescent, Measure, path};
use gradus::linalg::DesignMatrix;
use gradus::problem::{BoxQuadratic, LinearModel};
use sprs::TriMatI;

fn main() {
    divan::main();
}

/// A number in [-1, 1] that depends on its argument alone.
fn noise(i: usize) -> f64 {
    let h = (i as u64 ^ 0x9E37).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((h ^ (h >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn wide() -> LinearModel {
    let (n, p) = (200, 5000);
    let values: Vec<f64> = (0..n * p).map(noise).collect();
    let target =
        (0..n).map(|i| (0..20).map(|j| values[j * 37 * n + i]).sum::<f64>() + noise(i + 7)).collect();
    LinearModel::lasso(DesignMatrix::from_dense(n, p, values).unwrap(), target, 0.0)
}

/// A hundred values of l1 on 200 x 5000 dense data, gaps of 1e-8.
#[divan::bench(sample_count = 5)]
fn lasso_path(bencher: Bencher) {
    let model = wide();
    let l1_max = model.l1_max().unwrap();
    let values = path::values(l1_max, 0.01 * l1_max, 100);
    let limits = Limits { tolerance: 1e-8, ..Limits::default() };
    let family = path::Linear::lasso(CoordinateDescent { limits, ..Default::default() }, model);
    bencher.bench_local(|| path::fit(&family, &values, &mut Monitor::none()).unwrap().len());
}

/// An m x m lattice, one node in 25 with a label.
fn lattice(m: usize) -> BoxQuadratic {
    let n = m * m;
    let mut triplets = TriMatI::<f64, u32>::with_capacity((n, n), 5 * n);
    for i in 0..n {
        let near = [(i % m > 0).then(|| i - 1), (i % m + 1 < m).then(|| i + 1)];
        let more = [(i >= m).then(|| i - m), (i + m < n).then(|| i + m)];
        let near: Vec<usize> = near.into_iter().chain(more).flatten().collect();
        triplets.add_triplet(i, i, near.len() as f64 + if i % 25 == 0 { 1.0 } else { 0.0 });
        near.iter().for_each(|&j| triplets.add_triplet(i, j, -1.0));
    }
    BoxQuadratic::new(triplets.to_csr(), (0..n).map(|i| if i % 25 == 0 { noise(i) } else { 0.0 }).collect())
}

/// Eleven steps less one on a lattice of 10^6 nodes would be ten: divide the difference of the two arguments by ten.
#[divan::bench(args = [1, 11], sample_count = 3)]
fn lattice_greedy_tree(bencher: Bencher, steps: usize) {
    let problem = lattice(1000);
    bencher.bench_local(|| run(&problem, Partition::Variable, Rule::GreedyForest, steps));
}

/// The same for the two colour classes in turn.
#[divan::bench(args = [1, 11], sample_count = 3)]
fn lattice_red_black(bencher: Bencher, steps: usize) {
    let problem = lattice(1000);
    bencher.bench_local(|| run(&problem, Partition::Colours, Rule::Cyclic, steps));
}

fn run(problem: &BoxQuadratic, partition: Partition, rule: Rule, steps: usize) -> f64 {
    let solver = BlockCoordinateDescent {
        limits: Limits { tolerance: 0.0, max_iterations: steps, time_limit: None },
        measure: Measure::Gradient,
        partition,
        rule,
        update: UpdateRule::Forest,
        check_every: steps,
        ..Default::default()
    };
    solver.solve_quadratic(problem, None, &mut Monitor::none()).unwrap().summary.objective
}
