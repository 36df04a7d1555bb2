//! Matrices of nalgebra and nalgebra-sparse in, a fit out.
//!
//! `cargo run --release --features nalgebra --example nalgebra`

use gradus::prelude::*;
use nalgebra::{DMatrix, DVector};
use nalgebra_sparse::CsrMatrix;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a = DMatrix::from_fn(
        40,
        6,
        |i, j| if (i + 2 * j) % 3 == 0 { 0.0 } else { ((3 * i + 7 * j) as f64).sin() },
    );
    let wanted = DVector::from_vec(vec![1.0, 0.0, -2.0, 0.0, 0.0, 0.5]);
    let y: Vec<f64> = (&a * &wanted).iter().copied().collect();

    let dense = LinearModel::lasso(DesignMatrix::from_nalgebra(&a)?, y.clone(), 0.01);
    let sparse = LinearModel::lasso(DesignMatrix::from_nalgebra_sparse(&CsrMatrix::from(&a))?, y, 0.01);
    let fits = [CoordinateDescent::default().solve(&dense)?, CoordinateDescent::default().solve(&sparse)?];
    for fit in &fits {
        println!("{} non-zeros, gap {:.1e}, {}", fit.nonzeros(), fit.certificate.relative, fit.status);
    }
    // and back: the residual with nalgebra's own product
    let x = DVector::from_vec(fits[0].coefficients.clone());
    let back = dense.design.to_nalgebra();
    println!("residual {:.4}", (back * x - &a * wanted).norm());
    Ok(())
}
