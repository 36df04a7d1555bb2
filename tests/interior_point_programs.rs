//! The interior point on special ground: no second derivatives, linear and quadratic programs, tall systems, early ends.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use gradus::constrained::{InteriorPoint, Outcome, SecondDerivatives, Solution, Start, certify};
use gradus::control::{Limits, Monitor, Status};
use gradus::problem::NonlinearProgram;
use gradus::problem::closures::Closures;
use gradus::read::sif::SifProblem;
use proptest::prelude::*;

fn bundled(name: &str) -> SifProblem {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sif").join(format!("{name}.SIF"));
    SifProblem::read(path, &Default::default()).unwrap()
}

fn assert_solved<P: NonlinearProgram>(name: &str, problem: &P, solution: &Solution) {
    assert_eq!(solution.status, Status::Solved, "{name}: {solution}");
    assert!(certify(problem, &solution.answer()).unwrap().kkt.is_solved(1e-8), "{name}");
}

fn has_note(solution: &Solution, text: &str) -> bool {
    solution.notes.iter().any(|note| note.contains(text))
}

/// min c'x subject to lower <= A x <= upper, x >= 0, A dense by rows.
fn linear(c: Vec<f64>, a: Vec<f64>, lower: Vec<f64>, upper: Vec<f64>, start: Vec<f64>) -> Closures<'static> {
    let (n, m) = (c.len(), lower.len());
    let positions: Vec<_> = (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).collect();
    let (costs, rows) = (c.clone(), a.clone());
    Closures::new(start)
        .objective(move |x| dot(&c, x), move |_, g| g.copy_from_slice(&costs))
        .constraints(
            lower,
            upper,
            &positions,
            move |x, values| {
                values.iter_mut().enumerate().for_each(|(i, v)| *v = dot(&rows[i * n..(i + 1) * n], x))
            },
            move |_, j| j.copy_from_slice(&a),
        )
        .bounds(vec![0.0; n], vec![f64::INFINITY; n])
        .affine_constraints()
        .hessian(&[], |_, _, _, _| {})
        .build()
        .unwrap()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn limited_memory_finds_the_optima_of_exact_derivatives() {
    for name in ["HSX7", "HSX39", "HSX40", "HSX42", "HSX78", "ROSENB", "BEALE2", "WOODFOUR", "MINNORM"] {
        let problem = bundled(name);
        let exact = InteriorPoint::default().solve(&problem).unwrap();
        let solver =
            InteriorPoint { second_derivatives: SecondDerivatives::LimitedMemory, ..Default::default() };
        let solution = solver.solve(&problem).unwrap();
        assert_solved(name, &problem, &solution);
        assert_eq!(solution.counts["hessian"], 0, "{name}");
        assert!(has_note(&solution, "BFGS"), "{name}: {:?}", solution.notes);
        let close = (solution.objective - exact.objective).abs() < 1e-6 * (1.0 + exact.objective.abs());
        assert!(close, "{name}: {solution}");
    }
}

#[test]
fn a_thousand_variables_need_no_second_derivatives() {
    // sum of x^4 / 4 - b x plus (a'x)^2 / 2, whose Hessian is dense, with one row and bounds
    let n = 1000;
    let a: Vec<f64> = (0..n).map(|k| 0.1 * (k as f64).sin()).collect();
    let b: Vec<f64> = (0..n).map(|k| 1.0 + (0.7 * k as f64).cos()).collect();
    let positions: Vec<_> = (0..n).map(|j| (0, j)).collect();
    let problem = Closures::new(vec![0.5; n])
        .objective(
            |x| {
                let own: f64 = x.iter().zip(&b).map(|(x, b)| 0.25 * x.powi(4) - b * x).sum();
                own + 0.5 * dot(&a, x).powi(2)
            },
            |x, g| {
                let ax = dot(&a, x);
                (0..n).for_each(|j| g[j] = x[j].powi(3) - b[j] + ax * a[j]);
            },
        )
        .equations(1, &positions, |x, c| c[0] = x.iter().sum::<f64>() - 800.0, |_, j| j.fill(1.0))
        .bounds(vec![0.2; n], vec![f64::INFINITY; n])
        .build()
        .unwrap();
    assert!(problem.hessian_pattern().is_none());
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("dense", &problem, &solution);
    assert!(has_note(&solution, "BFGS") && solution.counts["hessian"] == 0, "{solution}");
    // the conditions themselves: x^3 - b + (a'x) a + y = 0 away from the bounds
    let (ax, y) = (dot(&a, &solution.x), solution.multipliers[0]);
    for (j, &x) in solution.x.iter().enumerate() {
        let gradient = x.powi(3) - b[j] + ax * a[j] + y;
        assert!(if x > 0.2001 { gradient.abs() < 1e-5 } else { gradient > -1e-5 }, "{j}: {x} {gradient}");
    }
    let exact = InteriorPoint { second_derivatives: SecondDerivatives::Exact, ..Default::default() };
    assert!(exact.solve(&problem).unwrap_err().to_string().contains("limited-memory"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
    #[test]
    fn linear_programs_reach_their_known_value(n in 2usize..20, share in 0.1f64..0.9, seed in 0.0f64..1000.0) {
        linear_with_known_value(n, share, seed);
    }
}

/// A linear program made from its solution: both paths find the optimal value. Returns the iterations of predictor and
/// corrector.
fn linear_with_known_value(n: usize, share: f64, seed: f64) -> usize {
    let m = ((n as f64 * share) as usize).max(1);
    let value = |k: usize| (12.9898 * k as f64 + seed).sin() * 43.758 % 1.0;
    let a: Vec<f64> = (0..m * n).map(|k| value(k) + 0.1).collect();
    let y: Vec<f64> = (0..m).map(|k| value(k + 5000)).collect();
    // complementary x and z
    let x: Vec<f64> = (0..n).map(|k| if k < m { 1.0 + value(k + 7000).abs() } else { 0.0 }).collect();
    let z = |k: usize| if k < m { 0.0 } else { 0.5 + value(k + 9000).abs() };
    let b: Vec<f64> = (0..m).map(|i| dot(&a[i * n..(i + 1) * n], &x)).collect();
    let c: Vec<f64> = (0..n).map(|j| z(j) - (0..m).map(|i| y[i] * a[i * n + j]).sum::<f64>()).collect();
    let optimum = dot(&c, &x);
    let problem = linear(c, a, b.clone(), b, vec![1.0; n]);
    let [_, iterations] = [false, true].map(|predictor_corrector| {
        let solver = InteriorPoint { predictor_corrector, ..Default::default() };
        let solution = solver.solve(&problem).unwrap();
        assert_solved("linear", &problem, &solution);
        assert!(has_note(&solution, "a linear program"));
        assert!((solution.objective - optimum).abs() < 1e-5 * (1.0 + optimum.abs()), "{solution} {optimum}");
        solution.iterations
    });
    iterations
}

/// A few programs are nearly degenerate and end on the general path: the count is of all of them together.
#[test]
fn predictor_and_corrector_take_few_iterations() {
    let number = |k: usize| (k as f64 * 0.618_033_988_7).fract();
    let count =
        |k: usize| linear_with_known_value(2 + k % 18, 0.1 + 0.8 * number(k), 1000.0 * number(3 * k + 1));
    let counts: Vec<usize> = (0..100).map(count).collect();
    assert!(counts.iter().sum::<usize>() <= 12 * counts.len(), "{counts:?}");
}

#[test]
fn infeasible_and_unbounded_linear_programs_are_named() {
    // x + y <= 1 and x + y >= 2
    let infeasible = linear(
        vec![1.0, 1.0],
        vec![1.0, 1.0, 1.0, 1.0],
        vec![f64::NEG_INFINITY, 2.0],
        vec![1.0, f64::INFINITY],
        vec![0.0; 2],
    );
    assert_eq!(InteriorPoint::default().solve(&infeasible).unwrap().status, Status::Infeasible);
    // -x with x - y <= 1
    let unbounded =
        linear(vec![-1.0, 0.0], vec![1.0, -1.0], vec![f64::NEG_INFINITY], vec![1.0], vec![0.0; 2]);
    assert_eq!(InteriorPoint::default().solve(&unbounded).unwrap().status, Status::Unbounded);
}

#[test]
fn quadratic_programs_that_are_not_convex_go_to_the_general_method() {
    // x y on x + y = 2 in a box: concave along the row, least at a corner
    let problem = Closures::new(vec![0.9, 1.0])
        .objective(|x| x[0] * x[1], |x, g| (g[0], g[1]) = (x[1], x[0]))
        .equations(1, &[(0, 0), (0, 1)], |x, c| c[0] = x[0] + x[1] - 2.0, |_, j| j.fill(1.0))
        .bounds(vec![0.0; 2], vec![3.0; 2])
        .affine_constraints()
        .hessian(&[(1, 0)], |_, sigma, _, w| w[0] = sigma)
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("corner", &problem, &solution);
    assert!(solution.objective.abs() < 1e-6 && has_note(&solution, "nonconvex"), "{solution}");
}

#[test]
fn a_convex_program_has_one_value_on_both_paths() {
    // nearest point of a simplex
    let (n, target) = (30, |k: usize| (k as f64).sin());
    let positions: Vec<_> = (0..n).map(|j| (0, j)).collect();
    let diagonal: Vec<_> = (0..n).map(|j| (j, j)).collect();
    let problem = Closures::new(vec![0.0; n])
        .objective(
            |x| x.iter().enumerate().map(|(k, x)| (x - target(k)).powi(2)).sum(),
            |x, g| (0..n).for_each(|k| g[k] = 2.0 * (x[k] - target(k))),
        )
        .equations(1, &positions, |x, c| c[0] = x.iter().sum::<f64>() - 1.0, |_, j| j.fill(1.0))
        .bounds(vec![0.0; n], vec![f64::INFINITY; n])
        .affine_constraints()
        .hessian(&diagonal, |_, sigma, _, w| w.fill(2.0 * sigma))
        .build()
        .unwrap();
    let both: Vec<Solution> = [true, false]
        .map(|predictor_corrector| {
            let solution =
                InteriorPoint { predictor_corrector, ..Default::default() }.solve(&problem).unwrap();
            assert_solved("simplex", &problem, &solution);
            assert!(has_note(&solution, "convex on its constraints"), "{:?}", solution.notes);
            solution
        })
        .into();
    assert!((both[0].objective - both[1].objective).abs() < 1e-6);
    assert!(both[0].iterations <= both[1].iterations, "{} {}", both[0].iterations, both[1].iterations);
    // the projection is max(target - t, 0)
    let t = both[0].multipliers[0] / 2.0;
    assert!(both[0].x.iter().enumerate().all(|(k, x)| (x - (target(k) - t).max(0.0)).abs() < 1e-4));
}

#[test]
fn thousands_of_equations_for_a_few_variables_are_fitted() {
    // a cubic through noisy points: the normal equations say what its coefficients are
    let (rows, n) = (4000, 4);
    let at = |i: usize| -1.0 + 2.0 * i as f64 / (rows - 1) as f64;
    let seen = |i: usize| at(i).exp() + 0.1 * (37.0 * i as f64).sin();
    let positions: Vec<_> = (0..rows).flat_map(|i| (0..n).map(move |j| (i, j))).collect();
    let power = |i: usize, j: usize| at(i).powi(j as i32);
    let problem = Closures::new(vec![0.0; n])
        .equations(
            rows,
            &positions,
            |x, c| {
                for (i, c) in c.iter_mut().enumerate() {
                    *c = (0..n).map(|j| x[j] * power(i, j)).sum::<f64>() - seen(i);
                }
            },
            |_, values| {
                values
                    .chunks_mut(n)
                    .enumerate()
                    .for_each(|(i, row)| (0..n).for_each(|j| row[j] = power(i, j)))
            },
        )
        .hessian(&[], |_, _, _, _| {})
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_eq!(solution.outcome, Outcome::LeastSquaresStationary, "{solution}");
    for j in 0..n {
        let gradient: f64 = (0..rows).map(|i| solution.constraints[i] * power(i, j)).sum();
        assert!(gradient.abs() < 1e-7, "{j}: {gradient}");
    }
}

#[test]
fn a_run_that_is_cut_short_returns_its_best_point() {
    for name in ["HSX7", "HSX39", "HSX78", "ROSENCH"] {
        let problem = bundled(name);
        for count in 1..12 {
            let limits = Limits { max_iterations: count, ..InteriorPoint::default().limits };
            let solution = InteriorPoint { limits, ..Default::default() }.solve(&problem).unwrap();
            if solution.status != Status::IterationLimit {
                continue;
            }
            let violation = solution.kkt.scaled.constraint_violation.max(1e-8);
            for record in &solution.history.records {
                // equations alone: the violation of the trace is that of the problem
                let other = record.extra[0].max(1e-8);
                let restoring = record.extra[7] != 0.0;
                let no_worse = violation < other * (1.0 + 1e-9) + 1e-12
                    && (violation < other * (1.0 - 1e-9) || solution.objective <= record.objective + 1e-9);
                assert!(restoring || no_worse, "{name}, {count}: {violation} {other} {record:?}");
            }
        }
    }
}

#[test]
fn a_warm_start_skips_the_predictor() {
    let problem = linear(vec![1.0, 2.0, 0.0], vec![1.0, 1.0, -1.0], vec![1.0], vec![1.0], vec![1.0; 3]);
    let cold = InteriorPoint::default().solve(&problem).unwrap();
    assert_solved("cold", &problem, &cold);
    let start = Start { ..cold.as_start() };
    let warm = InteriorPoint::default().solve_with(&problem, start, &mut Monitor::none()).unwrap();
    assert_solved("warm", &problem, &warm);
    assert!(warm.iterations <= cold.iterations, "{} {}", warm.iterations, cold.iterations);
}
