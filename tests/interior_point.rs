//! The interior point: known optima, certificates, verdicts, hostile functions, starts, sensitivities.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gradus::constrained::{
    Error, InteriorPoint, Outcome, SecondDerivatives, Sensitivity, Solution, Start, certify,
};
use gradus::control::{Limits, Monitor, Status};
use gradus::problem::closures::Closures;
use gradus::problem::{NonlinearProgram, check_derivatives};
use gradus::read::sif::SifProblem;
use proptest::prelude::*;

fn bundled(name: &str) -> SifProblem {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sif").join(format!("{name}.SIF"));
    SifProblem::read(path, &Default::default()).unwrap()
}

/// The collection beside the checkout, or where GRADUS_SHARED_DATA says; None, with a note, where it is absent.
fn collection() -> Option<PathBuf> {
    let root = std::env::var_os("GRADUS_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    // a worktree lies one level deeper
    let deeper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = [root.join("sif"), deeper.join("sif")].into_iter().find(|path| path.is_dir());
    if path.is_none() {
        println!("skipped: {} is absent", root.join("sif").display());
    }
    path
}

fn read(folder: &Path, name: &str) -> SifProblem {
    SifProblem::read(folder.join(format!("{name}.SIF")), &Default::default()).unwrap()
}

fn assert_solved<P: NonlinearProgram>(name: &str, problem: &P, solution: &Solution) {
    assert_eq!(solution.status, Status::Solved, "{name}: {solution}");
    let certificate = certify(problem, &solution.answer()).unwrap();
    assert!(certificate.kkt.is_solved(1e-8), "{name}: {certificate:?}");
    assert_eq!(certificate.kkt, solution.kkt, "{name}");
    let (lower, upper) = problem.variable_bounds();
    let inside = solution.x.iter().zip(lower).zip(upper).all(|((x, l), u)| l <= x && x <= u);
    assert!(inside, "{name}: a bound is violated");
}

/// Minimise sum of (x - target)^2 in a box.
fn box_problem(target: Vec<f64>, lower: f64, upper: f64) -> Closures<'static> {
    let (n, other) = (target.len(), target.clone());
    let diagonal: Vec<_> = (0..n).map(|i| (i, i)).collect();
    Closures::new(vec![0.0; n])
        .objective(
            move |x| x.iter().zip(&target).map(|(x, t)| (x - t) * (x - t)).sum(),
            move |x, g| g.iter_mut().zip(x).zip(&other).for_each(|((g, x), t)| *g = 2.0 * (x - t)),
        )
        .bounds(vec![lower; n], vec![upper; n])
        .hessian(&diagonal, |_, sigma, _, w| w.fill(2.0 * sigma))
        .build()
        .unwrap()
}

/// Minimise x + y on the disc of radius p around the origin, the radius squared being the bound of the only row.
fn disc(radius: f64) -> Closures<'static> {
    Closures::new(vec![0.3, -0.2])
        .objective(|x| x[0] + x[1], |_, g| g.fill(1.0))
        .constraints(
            vec![f64::NEG_INFINITY],
            vec![radius * radius],
            &[(0, 0), (0, 1)],
            |x, c| c[0] = x[0] * x[0] + x[1] * x[1],
            |x, j| (j[0], j[1]) = (2.0 * x[0], 2.0 * x[1]),
        )
        .hessian(&[(0, 0), (1, 1)], |_, _, y, w| w.fill(2.0 * y[0]))
        .build()
        .unwrap()
}

#[test]
fn bundled_problems_are_solved() {
    let known = [
        ("HSX7", -1.732050808),
        ("HSX40", -0.25),
        ("HSX42", 13.857864376),
        ("HSX78", -2.919700409),
        ("HSX39", -1.0),
        ("ROSENB", 0.0),
        ("BEALE2", 0.0),
        ("WOODFOUR", 0.0),
        ("MINNORM", 0.005),
    ];
    for (name, optimum) in known {
        let problem = bundled(name);
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_solved(name, &problem, &solution);
        assert!((solution.objective - optimum).abs() <= 1e-6 * (1.0 + optimum.abs()), "{name}: {solution}");
    }
}

#[test]
fn every_bundled_file_ends_with_an_honest_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sif");
    let limits = Limits { max_iterations: 500, ..InteriorPoint::default().limits };
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let Ok(problem) = SifProblem::read(entry.path(), &Default::default()) else { continue };
        let solver = InteriorPoint { limits: limits.clone(), ..Default::default() };
        let solution = solver.solve(&problem).unwrap();
        if solution.status == Status::Solved {
            assert_solved(&entry.path().display().to_string(), &problem, &solution);
        }
    }
}

#[test]
fn active_and_inactive_bounds_are_told_apart() {
    let problem = box_problem(vec![-2.0, 0.5, 3.0], -1.0, 1.0);
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("box", &problem, &solution);
    for (x, known) in solution.x.iter().zip([-1.0, 0.5, 1.0]) {
        assert!((x - known).abs() < 1e-8, "{solution}");
    }
    let (lower, upper) = (&solution.lower_multipliers, &solution.upper_multipliers);
    assert!((lower[0] - 2.0).abs() < 1e-6 && (upper[2] - 4.0).abs() < 1e-6, "{lower:?} {upper:?}");
    assert!(lower[1].abs() < 1e-7 && upper[1].abs() < 1e-7 && upper[0].abs() < 1e-7);
    assert!(solution.notes.iter().any(|note| note.contains("convex")), "{:?}", solution.notes);
}

#[test]
fn an_active_inequality_has_its_multiplier() {
    let problem = disc(2f64.sqrt());
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("disc", &problem, &solution);
    assert!((solution.x[0] + 1.0).abs() < 1e-7 && (solution.multipliers[0] - 0.5).abs() < 1e-6, "{solution}");
}

#[test]
fn fixed_variables_and_free_rows_are_no_obstacle() {
    let problem = Closures::new(vec![5.0, 5.0, 5.0])
        .objective(
            |x| x.iter().map(|x| x * x).sum(),
            |x, g| g.iter_mut().zip(x).for_each(|(g, x)| *g = 2.0 * x),
        )
        .bounds(vec![2.0, f64::NEG_INFINITY, 0.0], vec![2.0, f64::INFINITY, f64::INFINITY])
        .constraints(
            vec![3.0, f64::NEG_INFINITY],
            vec![3.0, f64::INFINITY],
            &[(0, 0), (0, 1), (1, 2)],
            |x, c| (c[0], c[1]) = (x[0] + x[1], x[2]),
            |_, j| j.fill(1.0),
        )
        .hessian(&[(0, 0), (1, 1), (2, 2)], |_, sigma, _, w| w.fill(2.0 * sigma))
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("fixed", &problem, &solution);
    assert_eq!(solution.x[0], 2.0);
    assert!((solution.x[1] - 1.0).abs() < 1e-8 && solution.x[2].abs() < 1e-3, "{solution}");
    // gradient 4 + y = zl - zu with y = -2
    assert!((solution.lower_multipliers[0] - 2.0).abs() < 1e-6, "{:?}", solution.lower_multipliers);
}

#[test]
fn rows_of_fixed_variables_are_judged_where_those_are_fixed() {
    // x is fixed at 0.5, starts elsewhere, and the row has a slope that is scaled down
    let program = |value: f64| {
        Closures::new(vec![-3.0, 0.0])
            .objective(|x| (x[1] - 1.0).powi(2), |x, g| (g[0], g[1]) = (0.0, 2.0 * (x[1] - 1.0)))
            .bounds(vec![0.5, f64::NEG_INFINITY], vec![0.5, f64::INFINITY])
            .equations(1, &[(0, 0)], move |x, c| c[0] = 7000.0 * (x[0] - value), |_, j| j[0] = 7000.0)
            .hessian(&[(1, 1)], |_, sigma, _, w| w[0] = 2.0 * sigma)
            .build()
            .unwrap()
    };
    let solution = InteriorPoint::default().solve(&program(0.5)).unwrap();
    assert_eq!(solution.status, Status::Solved, "{solution}");
    assert!((solution.x[0] - 0.5).abs() + (solution.x[1] - 1.0).abs() < 1e-7);
    let solution = InteriorPoint::default().solve(&program(0.6)).unwrap();
    assert_eq!(solution.status, Status::Infeasible, "{solution}");
    assert_eq!(solution.x[0], 0.5);
}

#[test]
fn all_variables_fixed_leaves_a_check() {
    let fixed = |target: f64| {
        Closures::new(vec![1.0])
            .objective(|x| x[0], |_, g| g.fill(1.0))
            .bounds(vec![1.0], vec![1.0])
            .equations(1, &[(0, 0)], move |x, c| c[0] = x[0] - target, |_, j| j.fill(1.0))
            .hessian(&[(0, 0)], |_, _, _, w| w.fill(0.0))
            .build()
            .unwrap()
    };
    assert_eq!(InteriorPoint::default().solve(&fixed(1.0)).unwrap().status, Status::Solved);
    assert_eq!(InteriorPoint::default().solve(&fixed(2.0)).unwrap().status, Status::Infeasible);
}

#[test]
fn dependent_rows_are_no_obstacle() {
    let problem = Closures::new(vec![3.0, -1.0])
        .objective(|x| x[0] * x[0] + 2.0 * x[1] * x[1], |x, g| (g[0], g[1]) = (2.0 * x[0], 4.0 * x[1]))
        .equations(
            3,
            &[(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)],
            |x, c| {
                let sum = x[0] + x[1] - 3.0;
                (c[0], c[1], c[2]) = (sum, 2.0 * sum, -sum);
            },
            |_, j| j.copy_from_slice(&[1.0, 1.0, 2.0, 2.0, -1.0, -1.0]),
        )
        .hessian(&[(0, 0), (1, 1)], |_, sigma, _, w| w.copy_from_slice(&[2.0 * sigma, 4.0 * sigma]))
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("dependent", &problem, &solution);
    assert!((solution.x[0] - 2.0).abs() < 1e-7 && (solution.objective - 6.0).abs() < 1e-7, "{solution}");
}

#[test]
fn contradictions_are_named_infeasible() {
    // x^2 = -1
    let equation = Closures::new(vec![0.7])
        .objective(|x| x[0], |_, g| g.fill(1.0))
        .equations(1, &[(0, 0)], |x, c| c[0] = x[0] * x[0] + 1.0, |x, j| j[0] = 2.0 * x[0])
        .hessian(&[(0, 0)], |_, _, y, w| w[0] = 2.0 * y[0])
        .build()
        .unwrap();
    // x + y >= 3 in the unit box
    let inequality = Closures::new(vec![0.5, 0.5])
        .objective(|x| x[0], |_, g| g.copy_from_slice(&[1.0, 0.0]))
        .bounds(vec![0.0; 2], vec![1.0; 2])
        .constraints(
            vec![3.0],
            vec![f64::INFINITY],
            &[(0, 0), (0, 1)],
            |x, c| c[0] = x[0] + x[1],
            |_, j| j.fill(1.0),
        )
        .hessian(&[], |_, _, _, _| {})
        .build()
        .unwrap();
    for problem in [equation, inequality] {
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_eq!(solution.status, Status::Infeasible, "{solution}");
        assert!((solution.kkt.unscaled.constraint_violation - 1.0).abs() < 1e-3, "{solution}");
    }
}

#[test]
fn unbounded_objectives_are_named() {
    let linear = Closures::new(vec![0.0, 0.0])
        .objective(|x| -x[0] + 0.5 * x[1] * x[1], |x, g| (g[0], g[1]) = (-1.0, x[1]))
        .bounds(vec![0.0, -1.0], vec![f64::INFINITY, 1.0])
        .hessian(&[(1, 1)], |_, sigma, _, w| w[0] = sigma)
        .build()
        .unwrap();
    let concave = Closures::new(vec![0.5])
        .objective(|x| -x[0] * x[0], |x, g| g[0] = -2.0 * x[0])
        .hessian(&[(0, 0)], |_, sigma, _, w| w[0] = -2.0 * sigma)
        .build()
        .unwrap();
    for problem in [linear, concave] {
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_eq!(
            (solution.status, solution.outcome),
            (Status::Unbounded, Outcome::Diverging),
            "{solution}"
        );
    }
}

#[test]
fn functions_that_end_somewhere_shorten_the_step() {
    // min x - ln x, NaN for x <= 0, from far to the right: the first Newton steps lead out of the domain
    let problem = Closures::new(vec![30.0])
        .objective(|x| x[0] - x[0].ln(), |x, g| g[0] = 1.0 - 1.0 / x[0])
        .hessian(&[(0, 0)], |x, sigma, _, w| w[0] = sigma / (x[0] * x[0]))
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("logarithm", &problem, &solution);
    assert!((solution.x[0] - 1.0).abs() < 1e-7);
    // NaN at the start itself, which is at the bound
    let root = Closures::new(vec![0.0])
        .objective(|x| (x[0] - 2.0).powi(2) + 1.0 / x[0], |x, g| g[0] = 2.0 * (x[0] - 2.0) - x[0].powi(-2))
        .bounds(vec![0.0], vec![10.0])
        .hessian(&[(0, 0)], |x, sigma, _, w| w[0] = sigma * (2.0 + 2.0 * x[0].powi(-3)))
        .build()
        .unwrap();
    assert_solved("reciprocal", &root, &InteriorPoint::default().solve(&root).unwrap());
    // nowhere defined
    let nowhere = Closures::new(vec![0.0])
        .objective(|_| f64::NAN, |_, g| g.fill(f64::NAN))
        .hessian(&[(0, 0)], |_, _, _, w| w.fill(f64::NAN))
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&nowhere).unwrap();
    assert_eq!((solution.status, solution.outcome), (Status::Stalled, Outcome::EvaluationError));
}

#[test]
fn values_that_fail_at_random_are_survived() {
    for period in [3, 5, 7] {
        let calls = AtomicUsize::new(0);
        let fails = || calls.fetch_add(1, Ordering::Relaxed) % period == period - 1;
        let problem = Closures::new(vec![-1.2, 1.0])
            .objective(
                |x| {
                    if fails() {
                        f64::NAN
                    } else {
                        100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)
                    }
                },
                |x, g| {
                    let t = x[1] - x[0] * x[0];
                    (g[0], g[1]) = (-400.0 * x[0] * t - 2.0 * (1.0 - x[0]), 200.0 * t);
                },
            )
            .hessian(&[(0, 0), (1, 0), (1, 1)], |x, sigma, _, w| {
                w[0] = sigma * (1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0);
                (w[1], w[2]) = (sigma * -400.0 * x[0], sigma * 200.0);
            })
            .build()
            .unwrap();
        let solver = InteriorPoint {
            limits: Limits { max_iterations: 500, ..InteriorPoint::default().limits },
            ..Default::default()
        };
        let solution = solver.solve(&problem).unwrap();
        // the point is reached; whether the last evaluation of all, that of the certificate, fails is chance
        assert!((solution.x[0] - 1.0).abs() < 1e-6, "period {period}: {solution}");
    }
}

#[test]
fn more_equations_than_variables_have_a_least_squares_answer() {
    // a line through (0, 0), (1, 1), (2, 1): residuals of least squares are (1, -2, 1) / 6
    let problem = Closures::new(vec![0.0, 0.0])
        .equations(
            3,
            &[(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)],
            |x, c| (0..3).for_each(|i| c[i] = x[0] + i as f64 * x[1] - [0.0, 1.0, 1.0][i]),
            |_, j| j.copy_from_slice(&[1.0, 0.0, 1.0, 1.0, 1.0, 2.0]),
        )
        .hessian(&[], |_, _, _, _| {})
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_eq!(solution.outcome, Outcome::LeastSquaresStationary, "{solution}");
    for (c, residual) in solution.constraints.iter().zip([1.0 / 6.0, -1.0 / 3.0, 1.0 / 6.0]) {
        assert!((c - residual).abs() < 1e-9, "{solution}");
    }
}

#[test]
fn an_earlier_answer_is_a_good_start() {
    let cold = InteriorPoint::default().solve(&disc(2.0)).unwrap();
    let nearby = disc(2.001);
    let start = Start {
        x: Some(&cold.x),
        multipliers: Some(&cold.multipliers),
        lower_multipliers: Some(&cold.lower_multipliers),
        upper_multipliers: Some(&cold.upper_multipliers),
    };
    let warm = InteriorPoint::default().solve_with(&nearby, start, &mut Monitor::none()).unwrap();
    assert_solved("warm", &nearby, &warm);
    let again = InteriorPoint::default().solve(&nearby).unwrap();
    assert!(warm.iterations < again.iterations, "{} {}", warm.iterations, again.iterations);
    let short = Start { x: Some(&[1.0]), ..Start::default() };
    let refused = InteriorPoint::default().solve_with(&nearby, short, &mut Monitor::none());
    assert!(matches!(refused, Err(Error::Length { expected: 2, actual: 1, .. })));
}

#[test]
fn sensitivities_are_the_derivatives_of_solutions() {
    let (radius, h) = (1.5f64, 1e-4);
    let at = |radius: f64| InteriorPoint::default().solve(&disc(radius)).unwrap();
    let mut sensitivity = Sensitivity::at(&disc(radius), &at(radius)).unwrap();
    // c - radius^2 <= 0: the row falls by 2 radius per unit of the radius
    let (dx, dy) = sensitivity.direction(&[0.0, 0.0], &[-2.0 * radius]).unwrap();
    let (plus, minus) = (at(radius + h), at(radius - h));
    for j in 0..2 {
        assert!((dx[j] - (plus.x[j] - minus.x[j]) / (2.0 * h)).abs() < 1e-3, "{dx:?}");
    }
    let difference = (plus.multipliers[0] - minus.multipliers[0]) / (2.0 * h);
    assert!((dy[0] - difference).abs() < 1e-3, "{dy:?} {difference}");
}

#[test]
fn differences_stand_for_second_derivatives() {
    for name in ["HSX7", "HSX78", "WOODFOUR", "ROSENCH"] {
        let problem = bundled(name);
        let exact = InteriorPoint::default().solve(&problem).unwrap();
        let solver =
            InteriorPoint { second_derivatives: SecondDerivatives::Differences, ..Default::default() };
        let solution = solver.solve(&problem).unwrap();
        assert_solved(name, &problem, &solution);
        assert_eq!(solution.counts["hessian"], 0, "{name}");
        assert!(
            (solution.objective - exact.objective).abs() < 1e-6 * (1.0 + exact.objective.abs()),
            "{name}"
        );
    }
}

#[test]
fn wrong_derivatives_are_found_before_they_hurt() {
    let problem = Closures::new(vec![1.0, 2.0])
        .objective(|x| x[0] * x[1], |x, g| (g[0], g[1]) = (x[1], 1.01 * x[0]))
        .hessian(&[(1, 0)], |_, sigma, _, w| w[0] = sigma)
        .build()
        .unwrap();
    let worst = check_derivatives(&problem, &[1.0, 2.0], &[], 1e-3).gradient.unwrap();
    assert_eq!(worst.column, 1);
    assert!((worst.error - 0.01 / 2.0).abs() < 1e-9, "{worst:?}");
}

#[test]
fn limits_and_interruptions_keep_the_answer() {
    let problem = bundled("HSX7");
    let stopped = |limits: Limits| InteriorPoint { limits, ..Default::default() }.solve(&problem).unwrap();
    let limits = InteriorPoint::default().limits;
    assert_eq!(stopped(Limits { max_iterations: 2, ..limits.clone() }).status, Status::IterationLimit);
    let late = Limits { time_limit: Some(Duration::ZERO), ..limits };
    assert_eq!(stopped(late).status, Status::TimeLimit);
    let mut monitor = Monitor::none().with_observer(|record| {
        if record.iteration == 3 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    let solution = InteriorPoint::default().solve_with(&problem, Start::default(), &mut monitor).unwrap();
    assert_eq!((solution.status, solution.iterations), (Status::Interrupted, 3));
    assert!(solution.x.iter().all(|x| x.is_finite()));
    let bad = InteriorPoint { bound_relaxation: -1.0, ..Default::default() };
    assert!(matches!(bad.solve(&problem), Err(Error::Option(_))));
}

#[test]
fn equal_problems_give_equal_bits() {
    for name in ["HSX7", "HSX78", "ROSENCH"] {
        let problem = bundled(name);
        let solve = || InteriorPoint::default().solve(&problem).unwrap();
        let (first, second) = (solve(), solve());
        assert_eq!(first.x, second.x);
        assert_eq!(first.history.records.len(), second.history.records.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// Random convex quadratic programs: solved, certified, and no feasible point nearby is better.
    #[test]
    fn convex_quadratic_programs_are_solved(n in 1usize..12, m in 0usize..8, seed in 0.0f64..1000.0) {
        let value = move |k: usize| (12.9898 * k as f64 + seed).sin();
        // f = |x|^2 / 2 + (a'x)^2 / 2 + b'x, rows between -1 and 1, x >= -2
        let a: Vec<f64> = (0..n).map(value).collect();
        let b: Vec<f64> = (0..n).map(|k| 3.0 * value(k + 100)).collect();
        let rows: Vec<f64> = (0..m * n).map(|k| value(k + 200)).collect();
        let dot = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>();
        let positions: Vec<_> = (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).collect();
        let lower_triangle: Vec<_> = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
        let f = |x: &[f64]| 0.5 * dot(x, x) + 0.5 * dot(&a, x).powi(2) + dot(&b, x);
        let problem = Closures::new(vec![0.5; n])
            .objective(f, |x, g| {
                let ax = dot(&a, x);
                (0..n).for_each(|j| g[j] = x[j] + ax * a[j] + b[j]);
            })
            .bounds(vec![-2.0; n], vec![f64::INFINITY; n])
            .constraints(
                vec![-1.0; m],
                vec![1.0; m],
                &positions,
                |x, c| (0..m).for_each(|i| c[i] = dot(&rows[i * n..(i + 1) * n], x)),
                |_, j| j.copy_from_slice(&rows),
            )
            .hessian(&lower_triangle, |_, sigma, _, w| {
                for (w, &(i, j)) in w.iter_mut().zip(&lower_triangle) {
                    *w = sigma * (a[i] * a[j] + f64::from(u8::from(i == j)));
                }
            })
            .build()
            .unwrap();
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_solved("quadratic", &problem, &solution);
        // the origin is feasible; the objective is strongly convex
        for share in [0.01, 0.3, 1.0] {
            let x: Vec<f64> = solution.x.iter().map(|x| (1.0 - share) * x).collect();
            prop_assert!(f(&x) >= solution.objective - 1e-6);
        }
    }
}

/// Optimal values of problems with equations (Ipopt 3.14.19 agrees on them; systems have zero).
const OPTIMA: &str = "BT1:-1 BT10:-1 BT11:0.8248917783 BT12:6.188118812 BT2:0.03256820039 BT3:4.093023256 BT5:961.7151721 \
    BT6:0.2770447888 BT7:306.5 BT8:1 BT9:-1 BYRDSPHR:-4.683300133 DIXCHLNG:2471.897811 EIGENACO:0 EIGENBCO:0 ELEC:243.8127603 \
    GENHS28:0.9271736938 HS100LNP:680.6300574 HS26:0 HS27:0.04 HS28:0 HS40:-0.25 HS42:13.85786438 HS46:0 HS47:0 HS48:0 HS49:0 \
    HS50:0 HS51:0 HS52:5.326647564 HS56:-3.456 HS6:0 HS61:-143.6461422 HS7:-1.732050808 HS77:0.2415051288 HS78:-2.919700409 \
    HS79:0.07877682096 HS8:-1 HS9:-0.5 LUKVLE1:6.232458632 LUKVLE11:0 LUKVLE12:1.383155954 LUKVLE14:318804.1988 LUKVLE15:0 \
    LUKVLE16:16.15249658 LUKVLE2:159.9605193 LUKVLE3:27.58856381 LUKVLE4:7.987003804 LUKVLE6:377.7031357 LUKVLE9:2.801319093 \
    MWRIGHT:24.97880953 ORTHRDM2:3.980300808 ORTHREGB:0 ORTHREGC:0.3990585112 ORTHREGD:3.412121061 ORTHRGDS:6.210193274 \
    S316m322:334.3145751 SPINOP:0 ARGTRIG:0 BOOTH:0 BROYDN3D:0 CLUSTER:0 COOLHANS:0 CUBENE:0 CYCLIC3:0 DENSCHNFNE:0 GOTTFR:0 \
    HATFLDF:0 HATFLDFLNE:0 HATFLDG:0 HELIXNE:0 HIMMELBA:0 HIMMELBC:0 HYDCAR20:0 HYDCAR6:0 HYPCIR:0 INTEQNE:0 KSS:0 MANCINONE:0 \
    METHANL8:0 POWELLBS:0 PRICE3NE:0 RECIPE:0 RSNBRNE:0 TQUARTICNE:0 WAYSEA1NE:0 WAYSEA2NE:0 YATP2CNE:0 ZANGWIL3:0 n10FOLDTR:0";

#[test]
fn the_collections_equations_reach_their_optimal_values() {
    let Some(folder) = collection() else { return };
    for entry in OPTIMA.split_whitespace() {
        let (name, optimum) = entry.split_once(':').unwrap();
        let (problem, optimum) = (read(&folder, name), optimum.parse::<f64>().unwrap());
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_solved(name, &problem, &solution);
        assert!(solution.objective <= optimum + 1e-6 * (1.0 + optimum.abs()), "{name}: {solution}");
    }
}

/// Systems with more equations than variables, and no common solution.
const FITS: &str = "ARGLALE ARGLBLE BOXBOD CHWIRUT2 DANIWOOD DANWOOD ENSO FREURONE GROWTH HATFLDDNE HATFLDENE LSC1 LUKSAN12 \
    LUKSAN14 LUKSAN22 MISRA1B MUONSINE OSBORNE2 PENLT2NE RAT42 ROSZMAN1 THURBER VIBRBEAMNE WATSONNE YFITNE";

#[test]
fn overdetermined_systems_have_stationary_answers() {
    let Some(folder) = collection() else { return };
    for name in FITS.split_whitespace() {
        let problem = read(&folder, name);
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_eq!(solution.outcome, Outcome::LeastSquaresStationary, "{name}: {solution}");
        let right = problem.constraint_bounds().0;
        let residual: Vec<f64> = solution.constraints.iter().zip(right).map(|(c, r)| c - r).collect();
        let mut workspace = problem.workspace();
        let mut jacobian = vec![0.0; problem.jacobian_pattern().nnz()];
        problem.jacobian(&solution.x, &mut jacobian, &mut workspace);
        let mut gradient = vec![0.0; solution.x.len()];
        problem.jacobian_transpose_product(&solution.x, &residual, &mut gradient, &mut workspace);
        let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let scale = (largest(&residual) * largest(&jacobian)).max(1.0);
        assert!(largest(&gradient) <= 1e-6 * scale, "{name}: {} {scale}", largest(&gradient));
    }
}

/// Optimal values of general problems, from the files' starts, without relaxed bounds.
const GENERAL: &str = "ACOPP14:8081.5263 AVGASA:-4.6319256 BIGGSC4:-24.5 BLOCKQP2:-6.201653 BT13:0 CANTILVR:1.3399564 \
    CHACONN1:1.9522245 CONGIGMZ:28 CSFI1:-49.075201 CVXQP1:181.04005 DITTERT:-1.9616 DTOC2:0.48598254 DUAL2:0.03373368 EIGMAXA:-1 \
    HIMMELP4:-59.013124 HS100MOD:678.67964 HS107:5055.0118 HS117:32.348678 HS21:-99.96 HS30:1 HS66:0.51816327 HS76:-4.6818182 \
    LISWET1:0.12240918 LSNNODOC:123.11245 MAKELA4:0 MOSARQP2:-35.69812 POLAK1:2.7182818 QPCBLEND:-0.007842848 SIMPLLPB:1.1 \
    SYNTHES1:0.7592842 TFI2:0.64903111 TRUSPYR1:11.228741 WACHBIEG:0.5 ZECEVIC2:-4.125 ALLINIT:16.705968 CAMEL6:-1.0316285 \
    HATFLDA:0 HS3MOD:0 JNLBRNG2:-2.8428408 TORSIONB:-0.30864198";

#[test]
fn the_collections_general_problems_reach_their_optimal_values() {
    let Some(folder) = collection() else { return };
    for entry in GENERAL.split_whitespace() {
        let (name, optimum) = entry.split_once(':').unwrap();
        let (problem, optimum) = (read(&folder, name), optimum.parse::<f64>().unwrap());
        let solution = InteriorPoint::default().solve(&problem).unwrap();
        assert_solved(name, &problem, &solution);
        assert!(solution.objective <= optimum + 2e-6 * (1.0 + optimum.abs()), "{name}: {solution}");
    }
}
