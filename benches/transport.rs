//! Passes and solves of optimal transport on one thread, least of five.
//!
//! `cargo bench --bench transport`

#![allow(clippy::expect_used)]

use std::hint::black_box;
use std::time::Instant;

use gradus::control::Limits;
use gradus::linalg::splitmix::SplitMix;
use gradus::linalg::{elementary, exponential};
use gradus::transport::instances::instance;
use gradus::transport::{Cost, Metric, Transport, TransportProblem};

fn least(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    pool.install(|| {
        let z: Vec<f64> = (0..1000).map(|k| -0.04 * k as f64).collect();
        let mut out = z.clone();
        let seconds = least(|| {
            for _ in 0..10_000 {
                out.copy_from_slice(&z);
                black_box(exponential::exp_in_place(&mut out, 1.0, 0.0));
            }
        });
        println!("exp over rows of 1000, summed: {:.3} ns each", 100.0 * seconds);
        let worst = z.iter().map(|x| (elementary::exp(true, *x) / x.exp() - 1.0).abs()).fold(0.0, f64::max);
        println!("largest relative difference from the standard library there: {worst:.1e}");

        println!("| instance, eps | ms | passes |\n|---|---|---|");
        for eps in [1e-2, 1e-3, 1e-4] {
            for name in
                ["assignment-500", "points-500", "cloud8-500", "digits2-22", "digits1-22", "expnorm-500"]
            {
                let problem = instance(name, eps).expect("a known name");
                let limits = Limits { tolerance: 1e-10, ..Limits::default() };
                let solver = Transport { limits, ..Transport::default() };
                let mut passes = 0;
                let seconds =
                    least(|| passes = solver.solve(&problem).expect("a problem").counts["evaluations"]);
                println!("| {name}, {eps:e} | {:.1} | {passes} |", 1e3 * seconds);
            }
        }

        println!("| streamed points, eps 1e-3 of the largest cost | s | passes |\n|---|---|---|");
        for (n, dimension) in [(1000, 2), (4000, 2), (10_000, 2), (10_000, 3)] {
            let mut random = SplitMix(1);
            let source = random.uniforms(dimension * n);
            let target = random.normals(dimension * n).iter().map(|g| 0.5 + 0.15 * g).collect();
            let cost = Cost::Points { dimension, source, target, metric: Metric::SquaredEuclidean };
            let uniform = vec![1.0 / n as f64; n];
            let regularization = 1e-3 * cost.largest();
            let problem = TransportProblem { cost, source: uniform.clone(), target: uniform, regularization };
            let start = Instant::now();
            let solution =
                Transport { matrix_entries: 0, ..Transport::default() }.solve(&problem).expect("a problem");
            println!(
                "| n = {n}, d = {dimension} | {:.2} | {} |",
                start.elapsed().as_secs_f64(),
                solution.counts["evaluations"]
            );
        }
    });
}
