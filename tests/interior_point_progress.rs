//! What keeps the interior point from wandering: watchdog, acceptable level, multipliers of dependent rows, feasibility problems, the
//! start of linear programs, objectives that scaling hides. Each test fails where its device is switched off.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gradus::constrained::{InteriorPoint, Outcome, Solution, certify};
use gradus::control::Limits;
use gradus::problem::NonlinearProgram;
use gradus::problem::closures::Closures;

fn solve<P: NonlinearProgram>(problem: &P) -> Solution {
    InteriorPoint::default().solve(problem).unwrap()
}

fn assert_solved<P: NonlinearProgram>(problem: &P, solution: &Solution) {
    assert_eq!(solution.outcome, Outcome::Optimal, "{solution}");
    assert!(certify(problem, &solution.answer()).unwrap().kkt.is_solved(1e-8), "{solution}");
}

/// x + y z^t = b_t for t = 1, 2, 3: a curved valley in which steps that lower the violation are short.
#[test]
fn the_watchdog_crosses_curved_valleys() {
    let b = vec![0.032, 0.056, 0.099];
    let positions: Vec<_> = (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).collect();
    let problem = Closures::new(vec![1.2, -1.2, 0.98])
        .objective(|_| 0.0, |_, g| g.fill(0.0))
        .constraints(
            b.clone(),
            b,
            &positions,
            |x, c| (0..3).for_each(|t| c[t] = x[0] + x[1] * x[2].powi(t as i32 + 1)),
            |x, j| {
                for t in 0..3 {
                    let power = t as i32 + 1;
                    let (own, less) = (x[2].powi(power), x[2].powi(power - 1));
                    j[3 * t..3 * t + 3].copy_from_slice(&[1.0, own, power as f64 * x[1] * less]);
                }
            },
        )
        .hessian(&[(2, 1), (2, 2)], |x, _, y, w| {
            w.fill(0.0);
            for (t, y) in y.iter().enumerate() {
                let p = t as f64 + 1.0;
                w[0] += y * p * x[2].powi(t as i32);
                w[1] += if t == 0 { 0.0 } else { y * p * (p - 1.0) * x[1] * x[2].powi(t as i32 - 1) };
            }
        })
        .build()
        .unwrap();
    let solution = solve(&problem);
    assert_solved(&problem, &solution);
    assert!(solution.iterations <= 30, "{solution}");
}

/// A gradient with an error of about 1e-7 never meets 1e-8: the run ends where it is acceptable, long before its limit.
#[test]
fn errors_of_the_functions_end_at_the_acceptable_level() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let problem = Closures::new(vec![3.0, -2.0, 0.0, 2.5])
        .objective(
            |x| 1e6 + x.iter().map(|x| (x - 1.0).powi(2) + (x - 1.0).powi(4)).sum::<f64>(),
            move |x, g| {
                let call = counter.fetch_add(1, Ordering::Relaxed) as f64;
                for (i, (g, x)) in g.iter_mut().zip(x).enumerate() {
                    let error = 2e-7 * (7.0 * call + 2.3 * i as f64).sin();
                    *g = 2.0 * (x - 1.0) + 4.0 * (x - 1.0).powi(3) + error;
                }
            },
        )
        .hessian(&[(0, 0), (1, 1), (2, 2), (3, 3)], |x, sigma, _, w| {
            w.iter_mut().zip(x).for_each(|(w, x)| *w = sigma * (2.0 + 12.0 * (x - 1.0).powi(2)));
        })
        .build()
        .unwrap();
    let limits = Limits { max_iterations: 200, ..InteriorPoint::default().limits };
    let solution = InteriorPoint { limits, ..Default::default() }.solve(&problem).unwrap();
    assert_eq!(solution.outcome, Outcome::Acceptable, "{solution}");
    assert!(solution.kkt.error > 1e-8 && solution.kkt.error <= 1e-6, "{solution}");
    assert!((15..60).contains(&solution.iterations), "{solution}");
    assert!(solution.x.iter().all(|x| (x - 1.0).abs() < 1e-6), "{solution}");
}

/// Both gradients are multiples of each other at the solution (1, 0, 0, 0, 0): Newton's method lets the multipliers drift.
#[test]
fn multipliers_of_dependent_rows_do_not_drift() {
    let positions = [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1), (1, 4)];
    let problem = Closures::new(vec![1.0, 1.0, 1.0, 0.0, 0.0])
        .objective(
            |x| x[..3].iter().map(|x| x * x).sum(),
            |x, g| g.iter_mut().enumerate().for_each(|(i, g)| *g = if i < 3 { 2.0 * x[i] } else { 0.0 }),
        )
        .constraints(
            vec![1.0, 1.0],
            vec![1.0, 1.0],
            &positions,
            |x, c| {
                c[0] = x[0] + x[1] * x[1] - x[3] * x[3];
                c[1] = x[0] * x[0] + x[1] * x[1] - x[4] * x[4];
            },
            |x, j| {
                j.copy_from_slice(&[1.0, 2.0 * x[1], -2.0 * x[3], 2.0 * x[0], 2.0 * x[1], -2.0 * x[4]]);
            },
        )
        .hessian(&[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)], |_, sigma, y, w| {
            w.fill(2.0 * sigma);
            w[0] += 2.0 * y[1];
            w[1] += 2.0 * (y[0] + y[1]);
            (w[3], w[4]) = (-2.0 * y[0], -2.0 * y[1]);
        })
        .build()
        .unwrap();
    let solution = solve(&problem);
    assert_solved(&problem, &solution);
    assert!((solution.objective - 1.0).abs() < 1e-7, "{solution}");
    assert!(solution.iterations <= 40, "{solution}");
}

/// x_1 = 1 and x_i = x_(i-1)^2, every other x at least 1: bounds and rows contradict each other but for one point, where multipliers
/// grow without limit. A constant objective needs none.
#[test]
fn feasibility_is_all_that_a_constant_objective_asks_for() {
    let n = 25;
    let positions: Vec<_> =
        std::iter::once((0, 0)).chain((1..n).flat_map(|i| [(i, i - 1), (i, i)])).collect();
    let lower = (0..n).map(|i| if i % 2 == 0 { 1.0 } else { -100.0 }).collect();
    let curved: Vec<_> = (0..n - 1).map(|i| (i, i)).collect();
    let problem = Closures::new(vec![3.0; n])
        .objective(|_| 0.0, |_, g| g.fill(0.0))
        .constraints(
            vec![0.0; n],
            vec![0.0; n],
            &positions,
            move |x, c| {
                c[0] = x[0] - 1.0;
                (1..n).for_each(|i| c[i] = 2.0 * (x[i] - x[i - 1] * x[i - 1]));
            },
            move |x, j| {
                j[0] = 1.0;
                (1..n).for_each(|i| (j[2 * i - 1], j[2 * i]) = (-4.0 * x[i - 1], 2.0));
            },
        )
        .bounds(lower, vec![100.0; n])
        .hessian(&curved, |_, _, y, w| w.iter_mut().zip(&y[1..]).for_each(|(w, y)| *w = -4.0 * y))
        .build()
        .unwrap();
    let solution = solve(&problem);
    assert_solved(&problem, &solution);
    assert!(solution.iterations <= 80, "{solution}");
}

/// x^2 z = 4 and y^2 + z = 0 have no common point, but points as near to both as one likes: they are found, not only approached.
#[test]
fn equations_that_are_nearly_met_far_away_are_solved_to_the_tolerance() {
    let problem = Closures::new(vec![1.0; 3])
        .objective(|_| 0.0, |_, g| g.fill(0.0))
        .constraints(
            vec![4.0, 0.0],
            vec![4.0, 0.0],
            &[(0, 0), (0, 2), (1, 1), (1, 2)],
            |x, c| (c[0], c[1]) = (x[0] * x[0] * x[2], x[1] * x[1] + x[2]),
            |x, j| j.copy_from_slice(&[2.0 * x[0] * x[2], x[0] * x[0], 2.0 * x[1], 1.0]),
        )
        .hessian(&[(0, 0), (1, 1), (2, 0)], |x, _, y, w| {
            w.copy_from_slice(&[2.0 * y[0] * x[2], 2.0 * y[1], 2.0 * y[0] * x[0]]);
        })
        .build()
        .unwrap();
    let solution = solve(&problem);
    assert_solved(&problem, &solution);
    assert!(solution.iterations <= 400, "{solution}");
}

/// min sum i x_i with sum x_i = 1e5 and a row above 3e4, x >= 0, from the origin.
#[test]
fn linear_programs_start_next_to_their_rows() {
    let n = 20;
    let positions: Vec<_> = (0..n).map(|j| (0, j)).chain((n / 2..n).map(|j| (1, j))).collect();
    let problem = Closures::new(vec![0.0; n])
        .objective(
            move |x| x.iter().enumerate().map(|(i, x)| (i + 1) as f64 * x).sum(),
            |_, g| g.iter_mut().enumerate().for_each(|(i, g)| *g = (i + 1) as f64),
        )
        .constraints(
            vec![1e5, 3e4],
            vec![1e5, f64::INFINITY],
            &positions,
            move |x, c| (c[0], c[1]) = (x.iter().sum(), x[n / 2..].iter().sum()),
            |_, j| j.fill(1.0),
        )
        .bounds(vec![0.0; n], vec![f64::INFINITY; n])
        .affine_constraints()
        .hessian(&[], |_, _, _, _| {})
        .build()
        .unwrap();
    let solution = solve(&problem);
    assert_solved(&problem, &solution);
    assert!((solution.objective - (7e4 + 11.0 * 3e4)).abs() < 1e-2, "{solution}");
    assert!(solution.iterations <= 12, "{solution}");
}

/// The objective is scaled by 1e-4 or so at the start; the tolerance alone would leave 1e-4 of it.
#[test]
fn what_scaling_hides_of_the_objective_is_found_too() {
    let n = 4;
    let problem = Closures::new(vec![0.5; n])
        .objective(
            |x| x.iter().map(|x| 1e6 * (x + x * x + x * x * x)).sum(),
            |x, g| g.iter_mut().zip(x).for_each(|(g, x)| *g = 1e6 * (1.0 + 2.0 * x + 3.0 * x * x)),
        )
        .bounds(vec![0.0; n], vec![1.0; n])
        .hessian(&[(0, 0), (1, 1), (2, 2), (3, 3)], |x, sigma, _, w| {
            w.iter_mut().zip(x).for_each(|(w, x)| *w = 1e6 * sigma * (2.0 + 6.0 * x));
        })
        .build()
        .unwrap();
    let solution = solve(&problem);
    assert_solved(&problem, &solution);
    assert!(solution.objective <= 2e-6, "{solution}");
}

#[test]
fn equations_that_agree_are_met_though_a_bound_is_near() {
    // more equations than variables, all of them met at x = 0.5, beside inequalities that are met there too: the fit of the
    // equations alone ends as far from them as the bounds push it
    let rows = [-0.5, 1.5, -1.25, 1.5];
    let problem = Closures::new(vec![1.9])
        .objective(|x| 0.8 * x[0] * x[0] - 2.4 * x[0], |x, g| g[0] = 1.6 * x[0] - 2.4)
        .hessian(&[(0, 0)], |_, sigma, _, w| w[0] = 1.6 * sigma)
        .constraints(
            vec![-0.25, 0.65, -0.625, 0.65],
            vec![-0.25, 1.75, -0.625, f64::INFINITY],
            &[(0, 0), (1, 0), (2, 0), (3, 0)],
            move |x, c| c.iter_mut().zip(rows).for_each(|(c, row)| *c = row * x[0]),
            move |_, values| values.copy_from_slice(&rows),
        )
        .build()
        .unwrap();
    let solution = InteriorPoint::default().solve(&problem).unwrap();
    assert_eq!(solution.outcome, Outcome::Optimal);
    assert!((solution.x[0] - 0.5).abs() <= 1e-8);
    assert!(certify(&problem, &solution.answer()).unwrap().kkt.error <= 1e-8);
}
