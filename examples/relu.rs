//! Trains two-layer ReLU networks and says how far from optimal each can be.
//!
//! `cargo run --release --example relu -- data/heart_scale`

use gradus::prelude::*;
use gradus::problem::Classes;
use gradus::relu::{ConvexRelu, Loss, Refinement, Training};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "data/heart_scale".into());
    let data = gradus::read::libsvm::read(&path, &Default::default())?;
    let (_, classes) = Classes::from_labels(&data.labels)?;
    let design = DesignMatrix::from_sparse_or_dense(data.matrix)?;
    let moments = design.column_moments();
    let design = design.standardized(moments)?;
    let training = Training::new(&design, classes, Loss::Logistic, 1.0)?;

    // the optimum over twenty random activation patterns, with a bound that proves it
    let limits = Limits { tolerance: 1e-6, ..Limits::default() };
    let solver = ConvexRelu { patterns: 20, seed: 1, limits, ..ConvexRelu::default() };
    let sampled = solver.solve(&training)?;
    println!("{sampled}\n");

    // better patterns, found by local runs, pricing and descent
    let refinement = Refinement { starts: 2, ..Refinement::default() };
    let refined = solver.refine(&training, &refinement, None, &mut gradus::control::Monitor::none())?;
    println!("{refined}\n");

    let outputs = refined.network.predict(&design);
    let right = outputs.iter().zip(training.target()).filter(|(z, y)| **z * **y > 0.0).count();
    println!(
        "{right} of {} rows right; objective {:.4} after {:.4}",
        outputs.len(),
        refined.objective,
        sampled.objective
    );
    Ok(())
}
