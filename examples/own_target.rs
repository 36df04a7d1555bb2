//! A target model of your own: the surrogate solver needs the map from parameters to targets, and its products.
//!
//! `cargo run --release --example own_target`
//!
//! Each effect multiplies the outcome instead of adding to it: z_i = exp(x_i'w + b), under squared errors.

use gradus::control::Monitor;
use gradus::prelude::*;
use gradus::problem::loss::Squared;
use gradus::surrogate::{LossOracle, Start, TargetModel};

struct LogLinear {
    design: DesignMatrix,
}

impl TargetModel for LogLinear {
    fn samples(&self) -> usize {
        self.design.rows()
    }

    fn parameters(&self) -> usize {
        self.design.columns() + 1
    }

    fn forward(&self, theta: &[f64], batch: &[u32], z: &mut [f64]) {
        let (w, b) = theta.split_at(self.design.columns());
        for (&i, z) in batch.iter().zip(z) {
            *z = (self.design.row(i as usize).dot(w) + b[0]).exp();
        }
    }

    // the row of sample i in the Jacobian is z_i (x_i, 1)
    fn pull_back(&self, theta: &[f64], batch: &[u32], u: &[f64], out: &mut [f64]) {
        let mut z = vec![0.0; batch.len()];
        self.forward(theta, batch, &mut z);
        out.fill(0.0);
        let (w, b) = out.split_at_mut(self.design.columns());
        for ((&i, z), u) in batch.iter().zip(z).zip(u) {
            self.design.row(i as usize).add_to(z * u, w);
            b[0] += z * u;
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = gradus::read::libsvm::read("data/sk-diabetes-regression", &Default::default())?;
    let design = DesignMatrix::from_sparse_or_dense(data.matrix)?;
    let mean = data.labels.iter().sum::<f64>() / data.labels.len() as f64;
    let target: Vec<f64> = data.labels.iter().map(|y| y / mean).collect();
    let model = LogLinear { design };
    let mut oracle = LossOracle::new(&Squared, &target, None);

    let limits = Limits { tolerance: 1e-6, ..Limits::default() };
    let solver = Surrogate { limits, ..Surrogate::default() };
    let solution = solver.minimize(&model, &mut oracle, Start::Zero, &mut Monitor::none())?;
    println!("{solution}");
    let (w, b) = solution.parameters.split_at(model.design.columns());
    let scales = model.design.column_moments().scales;
    let factors: Vec<f64> = w.iter().zip(scales).map(|(w, scale)| (w * scale).exp()).collect();
    println!("factors {factors:.3?} for a standard deviation more, constant {:.3}", b[0].exp());
    Ok(())
}
