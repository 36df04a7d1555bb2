//! Moves one cloud of points onto another and prints where each point goes on average.
//!
//! `cargo run --release --example transport`

use gradus::linalg::splitmix::SplitMix;
use gradus::prelude::*;
use gradus::transport::{Cost, Metric, Transport, TransportProblem};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n = 400;
    let mut random = SplitMix(1);
    let source = random.uniforms(2 * n);
    let target: Vec<f64> = random.normals(2 * n).iter().map(|g| 3.0 + 0.5 * g).collect();
    let cost = Cost::Points {
        dimension: 2,
        source: source.clone(),
        target: target.clone(),
        metric: Metric::SquaredEuclidean,
    };
    let uniform = vec![1.0 / n as f64; n];

    for share in [1e-1, 1e-2, 1e-3, 1e-4] {
        let problem = TransportProblem {
            regularization: share * cost.largest(),
            cost: cost.clone(),
            source: uniform.clone(),
            target: uniform.clone(),
        };
        let limits = Limits { tolerance: 1e-9, ..Limits::default() };
        let solution = Transport { limits, ..Transport::default() }.solve(&problem)?;
        println!("eps = {share:e} of the largest cost\n{solution}");

        let moved = solution.plan(&problem)?.map(&target, 2);
        println!(
            "the first point, ({:.3}, {:.3}), goes to ({:.3}, {:.3})\n",
            source[0], source[1], moved[0], moved[1]
        );
    }
    Ok(())
}
