//! A regularisation path, each fit from the one before, and the penalty chosen by cross-validation.
//!
//! `cargo run --release --example path`

use gradus::control::Monitor;
use gradus::coordinate::{Start, path};
use gradus::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = gradus::read::libsvm::read("data/sk-diabetes-regression", &Default::default())?;
    let design = DesignMatrix::from_sparse_or_dense(data.matrix)?;
    let mean = data.labels.iter().sum::<f64>() / data.labels.len() as f64;
    let target: Vec<f64> = data.labels.iter().map(|y| y - mean).collect();
    let model = LinearModel::lasso(design, target, 0.0);
    let l1_max = model.l1_max()?;

    let values = path::values(l1_max, 1e-3 * l1_max, 30);
    let solver =
        CoordinateDescent { limits: Limits { tolerance: 1e-10, ..Limits::default() }, ..Default::default() };
    let family = path::Linear::lasso(solver.clone(), model.clone());
    let fits = path::fit(&family, &values, &mut Monitor::none())?;
    for (l1, fit) in values.iter().zip(&fits).step_by(6) {
        println!("l1 {l1:.4}: {} non-zeros, gap {:.1e}", fit.nonzeros(), fit.certificate.relative);
    }
    let chosen = path::cross_validate(&family, &values, 5, 1, &Monitor::none())?;
    println!(
        "chosen l1 {:.4} with {} non-zeros; within one standard error {:.4} with {}",
        values[chosen.best],
        fits[chosen.best].nonzeros(),
        values[chosen.sparsest],
        fits[chosen.sparsest].nonzeros()
    );

    // a warm start by hand: the neighbour's answer saves work, and the certificate is as good
    let next = LinearModel::lasso(model.design.clone(), model.target.clone(), 0.9 * values[chosen.best]);
    let near = &fits[chosen.best];
    let start = Start { coefficients: &near.coefficients, intercept: near.intercept };
    let warm = solver.solve_with(&next, Some(start), &mut Monitor::none())?;
    let cold = solver.solve(&next)?;
    let (warm, cold) = (warm.counts["coordinate_updates"], cold.counts["coordinate_updates"]);
    println!("warm {warm} coordinate updates, cold {cold}");
    Ok(())
}
