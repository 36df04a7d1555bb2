//! A nonlinear program of your own as a type: derivatives checked, solved, certified.
//!
//! `cargo run --release --example own_program`
//!
//! Jaynes' die: of all dice whose mean is 4.5 (a fair one has 3.5), the one that assumes the least. It has the largest entropy.

use gradus::constrained::certify;
use gradus::prelude::*;
use gradus::problem::nonlinear::{Pattern, check_derivatives};

/// min sum of x_i ln x_i subject to sum of x_i = 1, sum of i x_i = mean, x >= 0.
struct Die {
    moments: [f64; 2],
    jacobian: Pattern,
    hessian: Pattern,
}

impl Die {
    fn new(mean: f64) -> Self {
        // compressed rows: both constraints see all faces; the Hessian is diagonal
        let columns = (0..6).chain(0..6).collect();
        let jacobian = Pattern::new((2, 6), vec![0, 6, 12], columns, vec![(); 12]);
        let hessian = Pattern::new((6, 6), (0..=6).collect(), (0..6).collect(), vec![(); 6]);
        Self { moments: [1.0, mean], jacobian, hessian }
    }
}

#[rustfmt::skip] // one line for each fact
impl NonlinearProgram for Die {
    type Workspace = ();
    fn workspace(&self) {}
    fn variable_count(&self) -> usize { 6 }
    fn constraint_count(&self) -> usize { 2 }
    fn variable_bounds(&self) -> (&[f64], &[f64]) { (&[0.0; 6], &[f64::INFINITY; 6]) }
    fn constraint_bounds(&self) -> (&[f64], &[f64]) { (&self.moments, &self.moments) }
    fn start(&self) -> &[f64] { &[1.0 / 6.0; 6] }
    fn start_multipliers(&self) -> &[f64] { &[0.0; 2] }
    fn is_linear(&self, _: usize) -> bool { true }
    fn jacobian_pattern(&self) -> &Pattern { &self.jacobian }
    fn hessian_pattern(&self) -> Option<&Pattern> { Some(&self.hessian) }

    fn objective(&self, x: &[f64], (): &mut ()) -> f64 {
        x.iter().map(|x| x * x.ln()).sum()
    }
    fn gradient(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
        values.iter_mut().zip(x).for_each(|(value, x)| *value = x.ln() + 1.0);
    }
    fn constraints(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
        values[0] = x.iter().sum();
        values[1] = x.iter().zip(1..).map(|(x, face)| x * f64::from(face)).sum();
    }
    fn jacobian(&self, _: &[f64], values: &mut [f64], (): &mut ()) {
        values.copy_from_slice(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
    fn hessian(&self, x: &[f64], sigma: f64, _: &[f64], values: &mut [f64], (): &mut ()) {
        values.iter_mut().zip(x).for_each(|(value, x)| *value = sigma / x);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let die = Die::new(4.5);
    let check = check_derivatives(&die, die.start(), &[0.3, -0.7], 1e-3);
    println!("derivatives agree with differences: {}", check.worst() < 1e-6);
    let solution = InteriorPoint::default().solve(&die)?;
    println!("{solution}");
    println!("chances {:.4?}", solution.x);
    // what the answer must look like: each face as many times likelier as the one before
    let ratios: Vec<f64> = solution.x.windows(2).map(|pair| pair[1] / pair[0]).collect();
    println!("ratios {ratios:.6?}");
    println!("second order {}", certify(&die, &solution.answer())?.second_order);
    Ok(())
}
