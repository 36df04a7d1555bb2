//! Convex training of ReLU networks: time per ADMM iteration against the number of patterns, and time to an optimum.
//!
//! `cargo bench --bench relu`

#![allow(clippy::expect_used)]

use std::time::Instant;

use gradus::control::{Limits, Monitor};
use gradus::linalg::DesignMatrix;
use gradus::relu::{ConvexRelu, Loss, Method, Patterns, Training};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// n rows of d - 1 random features and a one; classes by a random two-layer rule.
fn training(n: usize, d: usize) -> Training {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut values: Vec<f64> = (0..n * d).map(|_| random.random_range(-1.7..1.7)).collect();
    values[n * (d - 1)..].fill(1.0);
    let target = (0..n).map(|k| if values[k].abs() + values[n + k] > 1.0 { 1.0 } else { -1.0 }).collect();
    let design = DesignMatrix::from_dense(n, d, values).expect("finite");
    Training::new(&design, target, Loss::Squared, 1.0).expect("a problem")
}

fn main() {
    println!("ADMM: n, d, patterns, set-up and 300 iterations (s), milliseconds per iteration");
    for (n, d, sizes) in [(286, 65, vec![50]), (200, 15, vec![50, 100, 200, 500, 1000, 2000])] {
        let training = training(n, d);
        for size in sizes {
            let patterns = Patterns::sample(&training, size, 1).expect("patterns");
            let limits = Limits { tolerance: 0.0, max_iterations: 24, time_limit: None };
            let solver = ConvexRelu { method: Method::Admm, limits, ..ConvexRelu::default() };
            let solution =
                solver.solve_over(&training, patterns, None, &mut Monitor::none()).expect("an answer");
            let at = |k: usize| solution.history.records[k].seconds;
            let each = (at(24) - at(4)) / 20.0;
            println!("  {n:5} {d:4} {size:6} {:8.3} {:8.3}", at(4) + 296.0 * each, 1e3 * each);
        }
    }
    println!("interior point: n, d, patterns, seconds to a gap of 1e-3 and 1e-6");
    for (n, d, size) in [(216, 14, 20), (281, 35, 50), (456, 31, 50), (286, 65, 50)] {
        let training = training(n, d);
        let patterns = Patterns::sample(&training, size, 1).expect("patterns");
        let seconds = [1e-3, 1e-6].map(|tolerance| {
            let limits = Limits { tolerance, ..Limits::default() };
            let solver = ConvexRelu { method: Method::InteriorPoint, limits, ..ConvexRelu::default() };
            let started = Instant::now();
            solver.solve_over(&training, patterns.clone(), None, &mut Monitor::none()).expect("an answer");
            started.elapsed().as_secs_f64()
        });
        println!("  {n:5} {d:4} {size:6} {:8.3} {:8.3}", seconds[0], seconds[1]);
    }
}
