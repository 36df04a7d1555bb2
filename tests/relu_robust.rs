//! Training against perturbations by the barrier method: optima known from elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::DesignMatrix;
use gradus::problem::Classes;
use gradus::read::libsvm;
use gradus::relu::robust::{Budget, Norm};
use gradus::relu::{Loss, Method, Patterns, RobustRelu, Training};

/// The first `most` rows that aren't held out (every fifth is), z-scored by all of those, with a column of ones.
fn bundled(name: &str, most: usize, loss: Loss, beta: f64) -> Training {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    let data = libsvm::read(path.to_str().unwrap(), &libsvm::Options::default()).unwrap();
    let (_, classes) = Classes::from_labels(&data.labels).unwrap();
    let kept: Vec<usize> = (0..data.labels.len()).filter(|i| i % 5 != 4).collect();
    let rows = most.min(kept.len());
    let mut values = Vec::new();
    for j in 0..data.matrix.cols() {
        let column: Vec<f64> = kept.iter().map(|&i| data.matrix.get(i, j).copied().unwrap_or(0.0)).collect();
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        let deviation = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / column.len() as f64).sqrt();
        let scale = if deviation > 0.0 { deviation } else { 1.0 };
        values.extend(column[..rows].iter().map(|v| (v - mean) / scale));
    }
    values.extend(std::iter::repeat_n(1.0, rows));
    let design = DesignMatrix::from_dense(rows, values.len() / rows, values).unwrap();
    let target = kept[..rows].iter().map(|&i| classes[i]).collect();
    Training::new(&design, target, loss, beta).unwrap()
}

/// Optima over eight patterns of the first 80 rows of heart_scale, beta 1, by a general conic solver (Clarabel 0.11, 1e-9), and how
/// close the method comes: hinges stall first.
const CONIC: [(Norm, Loss, f64, f64); 6] = [
    (Norm::Infinity, Loss::Hinge, 17.470991658, 1e-3),
    (Norm::Infinity, Loss::Squared, 14.811850543, 1e-4),
    (Norm::Infinity, Loss::Logistic, 27.050313287, 1e-5),
    (Norm::Euclidean, Loss::Hinge, 17.533295071, 1e-3),
    (Norm::Euclidean, Loss::Squared, 14.841286678, 1e-5),
    (Norm::Euclidean, Loss::Logistic, 27.152138985, 1e-5),
];

#[test]
fn robust_optima_agree_with_a_general_conic_solver() {
    for (norm, loss, optimum, tolerance) in CONIC {
        let training = bundled("heart_scale", 80, loss, 1.0);
        let (x, y, d) = (training.x(), training.target(), training.columns());
        let mut patterns = Patterns::sample(&training, 8, 1).unwrap();
        patterns.retain(|i| [1, 2, 3, 4, 7].contains(&i));
        let separator: Vec<f64> = (0..d).map(|j| (0..80).map(|k| y[k] * x[(k, j)]).sum()).collect();
        patterns.add(&training, separator.clone());
        patterns.add(&training, separator.iter().map(|s| -s).collect());
        patterns.add(&training, (0..d).map(|j| f64::from(j + 1 == d)).collect());
        let epsilon = if norm == Norm::Infinity { 0.01 } else { 0.03 };
        let mut solver = RobustRelu::new(Budget { norm, epsilon, perturbed: d - 1 });
        solver.method = Method::InteriorPoint;
        solver.limits = Limits { tolerance, max_iterations: 200, time_limit: None };
        let solution = solver.solve_over(&training, &patterns, &mut Monitor::none()).unwrap();
        assert_eq!(solution.patterns.len(), 8, "{norm:?} {loss:?}");
        assert_eq!(solution.status, Status::Solved, "{norm:?} {loss:?} {}", solution.certificate.relative);
        let excess = solution.robust_objective / optimum - 1.0;
        assert!((-1e-8..=tolerance).contains(&excess), "{norm:?} {loss:?}: {excess:e}");
        assert!(solution.lower_bound <= optimum * (1.0 + 1e-8), "{norm:?} {loss:?}");
    }
}

#[test]
fn the_splitting_method_bounds_the_same_optimum() {
    let training = bundled("heart_scale", 80, Loss::Logistic, 1.0);
    let mut solver = RobustRelu::new(Budget { norm: Norm::Infinity, epsilon: 0.01, perturbed: 13 });
    (solver.patterns, solver.limits.tolerance) = (8, 1e-4);
    let fine = solver.solve(&training, &mut Monitor::none()).unwrap();
    assert_eq!(fine.status, Status::Solved);
    solver.method = Method::Admm;
    solver.limits.max_iterations = 300;
    let coarse = solver.solve(&training, &mut Monitor::none()).unwrap();
    assert!(coarse.lower_bound <= fine.robust_objective * (1.0 + 1e-9));
    assert!(fine.lower_bound <= coarse.robust_objective * (1.0 + 1e-9));
    solver.method = Method::Rbcd;
    assert!(solver.solve(&training, &mut Monitor::none()).is_err());
}
