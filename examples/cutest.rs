//! Reads a CUTEst problem, evaluates it at its start, and checks its derivatives by differences.
//!
//! `cargo run --release --example cutest -- data/sif/HSX71.SIF`

use gradus::prelude::*;
use gradus::problem::nonlinear::check_derivatives;
use gradus::read::sif::SifProblem;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "data/sif/HSX71.SIF".into());
    let problem = SifProblem::read(&path, &Default::default())?;
    let mut workspace = problem.workspace();
    let mut c = vec![0.0; problem.constraint_count()];
    let f = problem.objective_and_constraints(problem.start(), &mut c, &mut workspace);
    println!("{}: f = {f}, c = {c:?}", problem.metadata().name);

    let multipliers = vec![1.0; c.len()];
    let check = check_derivatives(&problem, problem.start(), &multipliers, 1e-6);
    println!("largest disagreement of a derivative with a difference: {:e}", check.worst());
    Ok(())
}
