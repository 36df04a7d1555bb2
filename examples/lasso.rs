//! Reads a LIBSVM file and fits the lasso for three penalties.
//!
//! `cargo run --release --example lasso -- data/sk-diabetes-regression`

use gradus::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "data/sk-diabetes-regression".into());
    let data = gradus::read::libsvm::read(&path, &Default::default())?;
    let design = DesignMatrix::from_sparse_or_dense(data.matrix)?;
    let mean = data.labels.iter().sum::<f64>() / data.labels.len() as f64;
    let target: Vec<f64> = data.labels.iter().map(|y| y - mean).collect();
    let l1_max = LinearModel::lasso(design.clone(), target.clone(), 1.0).l1_max()?;

    let solver = CoordinateDescent {
        limits: Limits { tolerance: 1e-10, ..Limits::default() },
        ..CoordinateDescent::default()
    };
    for ratio in [0.5, 0.1, 0.01] {
        let model = LinearModel::lasso(design.clone(), target.clone(), ratio * l1_max);
        let fit = solver.solve(&model)?;
        let support = fit.coefficients.iter().filter(|c| **c != 0.0).count();
        println!("l1 = {ratio} l1_max: {support} coefficients are not zero\n{fit}\n");
    }
    Ok(())
}
