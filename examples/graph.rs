//! Cleans a noisy picture of two regions, and keeps the edge between them: a pairwise problem on a lattice, squared
//! losses at the pixels and Huber losses of the differences, solved by message passing on trees.
//!
//! `cargo run --release --example graph`

use std::sync::Arc;

use gradus::control::{Limits, Monitor};
use gradus::coordinate::block::{BlockCoordinateDescent, Rule, UpdateRule};
use gradus::problem::PairwiseModel;
use gradus::problem::loss::{Huber, Squared};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let m = 40;
    // a disc of ones on zeros, with noise from a fixed sequence
    let inside = |i: usize| ((i / m) as f64 - 20.0).hypot((i % m) as f64 - 20.0) < 12.0;
    let noise = |i: usize| 0.8 * ((i * 7919 % 1000) as f64 / 1000.0 - 0.5);
    let target: Vec<f64> = (0..m * m).map(|i| f64::from(inside(i)) + noise(i)).collect();
    let across = (0..m * m).filter(|i| i % m + 1 < m).map(|i| (i as u32, i as u32 + 1, 1.0));
    let down = (0..m * m - m).map(|i| (i as u32, (i + m) as u32, 1.0));
    let model = PairwiseModel {
        target,
        node_weights: vec![1.0; m * m],
        node_loss: Arc::new(Squared),
        edges: across.chain(down).collect(),
        edge_loss: Arc::new(Huber { delta: 0.05 }),
    };
    let solver = BlockCoordinateDescent {
        limits: Limits { tolerance: 1e-8, max_iterations: 10_000, ..Limits::default() },
        rule: Rule::GreedyForest,
        update: UpdateRule::Forest,
        ..Default::default()
    };
    let solution = solver.solve_pairwise(&model, None, &mut Monitor::none())?;
    let wrong = (0..m * m).filter(|&i| (solution.x[i] > 0.5) != inside(i)).count();
    println!("{}\npixels on the wrong side of one half: {wrong} of {}", solution.summary, m * m);
    Ok(())
}
