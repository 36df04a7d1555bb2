//! A problem written for argmin, solved here, with a constraint that argmin has no word for; and handed back.
//!
//! `cargo run --release --features argmin --example argmin`

use argmin::core::{CostFunction, Error, Gradient};
use gradus::constrained::certify;
use gradus::prelude::*;
use gradus::problem::argmin::{ForArgmin, from_argmin};

struct Rosenbrock;

impl CostFunction for Rosenbrock {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        Ok((1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2))
    }
}

impl Gradient for Rosenbrock {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let inner = x[1] - x[0] * x[0];
        Ok(vec![-2.0 * (1.0 - x[0]) - 400.0 * x[0] * inner, 200.0 * inner])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // on the disc x^2 + y^2 <= 1
    let program = from_argmin(&Rosenbrock, vec![-1.2, 0.3])
        .constraints(
            vec![f64::NEG_INFINITY],
            vec![1.0],
            &[(0, 0), (0, 1)],
            |x, c| c[0] = x[0] * x[0] + x[1] * x[1],
            |x, j| (j[0], j[1]) = (2.0 * x[0], 2.0 * x[1]),
        )
        .build()?;
    let solution = InteriorPoint::default().solve(&program)?;
    println!("{solution}\nx = ({:.6}, {:.6})", solution.x[0], solution.x[1]);
    println!("second order {}", certify(&program, &solution.answer())?.second_order);
    let back = ForArgmin::new(&program);
    println!("argmin sees the same value: {}", back.cost(&solution.x)? == Rosenbrock.cost(&solution.x)?);
    Ok(())
}
