//! The bundled problems: each reads without warnings, and its derivatives agree with differences.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use gradus::problem::nonlinear::entries;
use gradus::problem::{NonlinearProgram, check_derivatives};
use gradus::read::sif::{Options, SifProblem};

fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sif");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "SIF"))
        .collect();
    files.sort();
    files
}

#[test]
fn derivatives_agree_with_differences() {
    assert!(files().len() >= 25);
    for file in files() {
        let problem = SifProblem::read(&file, &Options::default()).unwrap();
        let metadata = problem.metadata();
        assert!(metadata.warnings.is_empty(), "{}: {:?}", metadata.name, metadata.warnings);
        assert!(metadata.classification.is_some(), "{} has no class", metadata.name);
        // a little off the start, where symmetry hides fewer mistakes, and inside the bounds of logarithms
        let moved = |(i, &x): (i32, &f64)| {
            let wave = 0.1 * f64::from(i).sin();
            if x == 0.0 { wave } else { x * (1.0 + wave) }
        };
        let x: Vec<f64> = (1..).zip(problem.start()).map(moved).collect();
        let multipliers: Vec<f64> = (0..problem.constraint_count()).map(|i| f64::cos(i as f64)).collect();
        let check = check_derivatives(&problem, &x, &multipliers, 1e-5);
        // Powell's badly scaled function has second derivatives of 10^8, beyond what one step serves
        let tolerance = if metadata.name == "BADSCALE" { 1e-3 } else { 1e-6 };
        assert!(check.worst() <= tolerance, "{}: {check:?}", metadata.name);
    }
}

#[test]
fn the_objective_is_the_sum_of_its_groups() {
    let mut with_several = 0;
    for file in files() {
        let problem = SifProblem::read(&file, &Options::default()).unwrap();
        // files with a QUADRATIC section have a part of the objective outside the groups
        if std::fs::read_to_string(&file).unwrap().contains("\nQUADRATIC") {
            continue;
        }
        let mut workspace = problem.workspace();
        let (x, pattern) = (problem.start(), problem.objective_groups_pattern());
        let mut values = vec![0.0; pattern.rows()];
        problem.objective_groups(x, &mut values, &mut workspace);
        let mut derivatives = vec![0.0; pattern.nnz()];
        problem.objective_group_gradients(x, &mut derivatives, &mut workspace);
        let mut summed = vec![0.0; x.len()];
        for ((_, column), derivative) in entries(pattern).zip(derivatives) {
            summed[column] += derivative;
        }
        let mut gradient = vec![0.0; x.len()];
        problem.gradient(x, &mut gradient, &mut workspace);
        let objective = problem.objective(x, &mut workspace);
        let name = &problem.metadata().name;
        let sum: f64 = values.iter().sum();
        assert!((sum - objective).abs() <= 1e-12 * objective.abs().max(1.0), "{name}: {sum} for {objective}");
        let scale = gradient.iter().fold(1.0f64, |most, g| most.max(g.abs()));
        let error = summed.iter().zip(&gradient).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(error <= 1e-12 * scale, "{name}: {error}");
        with_several += usize::from(pattern.rows() > 1);
    }
    assert!(with_several >= 10, "{with_several}");
}
