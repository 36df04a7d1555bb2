//! A costly oracle of your own: few calls of a slow simulator.
//!
//! `cargo run --release --example surrogate`
//!
//! The model is a line through inputs; the loss is known only through a function that takes two milliseconds a call.

use std::time::{Duration, Instant};

use gradus::control::Monitor;
use gradus::linalg::DesignMatrix;
use gradus::surrogate::{Baseline, GradientFn, LinearTargets, Method, Schedule, Start, Surrogate, Watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (n, p) = (2000, 20);
    // columns of very different sizes: hard for gradient descent, of no matter in target space
    let entry = |k: usize| ((k * 7919 % 1000) as f64 / 500.0 - 1.0) * 10f64.powf(-((k / n) as f64) / 10.0);
    let design = DesignMatrix::from_dense(n, p, (0..n * p).map(entry).collect())?;
    let model = LinearTargets::new(&design);
    let mut wanted = vec![0.0; n];
    design.multiply(&(0..p).map(|j| 1.0 + j as f64).collect::<Vec<_>>(), &mut wanted);

    let solve = |name: &str, method: Method, epochs: usize| -> Result<(), Box<dyn std::error::Error>> {
        let mut oracle = GradientFn {
            gradient: |batch: &[u32], z: &[f64]| {
                std::thread::sleep(Duration::from_millis(2));
                // bounded pull toward the wanted outcome: second derivatives at most 1
                batch.iter().zip(z).map(|(&i, z)| (z - wanted[i as usize]).atan()).collect()
            },
            smoothness: Some(1.0),
        };
        let solver = Surrogate { method, epochs, watch: Watch::Nothing, ..Surrogate::default() };
        let started = Instant::now();
        let solution = solver.minimize(&model, &mut oracle, Start::Zero, &mut Monitor::none())?;
        println!(
            "{name:18} {:4} calls, {:.2} s, gradient {:.1e}",
            solution.counts["oracle_calls"],
            started.elapsed().as_secs_f64(),
            solution.certificate.value
        );
        Ok(())
    };
    solve("surrogate", Method::Automatic, 60)?;
    let descent = Baseline::Sgd { rate: 1.0, schedule: Schedule::Constant };
    solve("gradient descent", Method::Baseline(descent), 60)?;
    solve("gradient descent", Method::Baseline(descent), 600)
}
