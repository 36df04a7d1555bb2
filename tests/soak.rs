//! Solvers on many random problems with faults in them: no panic, no answer that is better on paper than in truth, the same
//! bits on every number of threads.
//!
//! The default is a short run; a long one:
//!
//!     GRADUS_SOAK_CASES=1000 cargo test --release --test soak
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gradus::constrained::{InteriorPoint, certify as certify_program};
use gradus::control::{Limits, Monitor, Record, Status};
use gradus::coordinate::{CoordinateDescent, Measure, certify};
use gradus::linalg::DesignMatrix;
use gradus::problem::closures::Closures;
use gradus::problem::loss::by_name;
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{LinearModel, NonlinearProgram};
use gradus::relaxation::{Method, Relaxation};
use gradus::transport::{Cost, Transport, TransportProblem};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::TriMatI;

/// Runs a family of problems, each from a seed of its own; a panic names the seed.
fn soak(family: &str, one: impl Fn(&mut ChaCha8Rng)) {
    let cases: u64 = std::env::var("GRADUS_SOAK_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(60);
    for seed in 0..cases {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let run = catch_unwind(AssertUnwindSafe(|| one(&mut random)));
        assert!(run.is_ok(), "{family}, seed {seed}: see the message above");
    }
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// 10^k with k uniform in a range.
fn magnitude(random: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    10f64.powf(random.random_range(low..high))
}

/// The same bits from 1, 2 and 4 threads; returns what they are.
fn on_all_threads<T: PartialEq + Send>(solve: impl Fn() -> T + Sync) -> T {
    let [one, two, four] = [1, 2, 4].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&solve)
    });
    assert!(one == two && two == four, "the number of threads shows");
    one
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn linear_models() {
    soak("linear models", |random| {
        let (n, p) = (random.random_range(1..30), random.random_range(1..20));
        let mut values: Vec<f64> = Vec::with_capacity(n * p);
        for j in 0..p {
            let scale = if random.random_bool(0.2) { magnitude(random, -4.0, 4.0) } else { 1.0 };
            match random.random_range(0..10) {
                0 => values.extend(vec![0.0; n]),
                1 if j > 0 => values.extend_from_within((j - 1) * n..),
                _ => values.extend((0..n).map(|_| scale * normal(random))),
            }
        }
        if random.random_bool(0.1) {
            values[random.random_range(0..n * p)] = [f64::NAN, f64::INFINITY][random.random_range(0..2)];
            let refused = DesignMatrix::from_dense(n, p, values).unwrap_err();
            assert!(refused.to_string().contains("finite"), "{refused}");
            return;
        }
        let mut design = DesignMatrix::from_dense(n, p, values.clone()).unwrap();
        if random.random_bool(0.5) {
            let mut triplets = TriMatI::<f64, u32>::new((n, p));
            for (k, &value) in values.iter().enumerate().filter(|(k, _)| k % 3 != 0) {
                triplets.add_triplet(k % n, k / n, value);
            }
            design = DesignMatrix::from_sparse(triplets.to_csr()).unwrap();
        }
        let name = ["squared", "logistic", "squared-hinge", "huber", "poisson"][random.random_range(0..5)];
        let loss = by_name(name).unwrap();
        let target = (0..n)
            .map(|_| match name {
                "logistic" | "squared-hinge" => {
                    if random.random_bool(0.5) {
                        1.0
                    } else {
                        -1.0
                    }
                }
                "poisson" => f64::from(random.random_range(0..5)),
                _ => normal(random),
            })
            .collect();
        let l1 = if random.random_bool(0.7) { magnitude(random, -6.0, 1.0) } else { 0.0 };
        let l2 = if l1 == 0.0 || random.random_bool(0.3) { magnitude(random, -4.0, 1.0) } else { 0.0 };
        let mut model = LinearModel::lasso(design, target, 0.0);
        model.loss = loss;
        model.penalty = std::sync::Arc::new(ElasticNet { l1, l2, weights: None });
        model.intercept = random.random_bool(0.3);

        let limits = |tolerance, max_iterations| Limits { tolerance, max_iterations, time_limit: None };
        let solver = CoordinateDescent { limits: limits(1e-7, 300), ..Default::default() };
        let stop_at = if random.random_bool(0.3) { random.random_range(0..5) } else { usize::MAX };
        let mut statuses = std::sync::Mutex::new(None);
        on_all_threads(|| {
            let mut seen = 0;
            let mut monitor = Monitor::none().with_observer(|_: &Record| {
                seen += 1;
                if seen > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let fit = solver.solve_with(&model, None, &mut monitor).unwrap();
            let answer = (bits(&fit.coefficients), fit.intercept.to_bits(), fit.status);
            *statuses.lock().unwrap() = Some(fit);
            answer
        });
        let fit = statuses.get_mut().unwrap().take().unwrap();
        assert!(fit.objective.is_finite() && fit.coefficients.iter().all(|x| x.is_finite()), "{name}");
        let (objective, certificate) =
            certify(&model, &fit.coefficients, fit.intercept, Measure::Auto).unwrap();
        assert!((objective - fit.objective).abs() <= 1e-12 * (1.0 + objective.abs()), "{name}");
        if fit.status == Status::Solved {
            assert!(certificate.relative <= 1e-7 * (1.0 + 1e-6) + 1e-14, "{name}: {}", certificate.relative);
        }
        // no certificate below the true error
        let best =
            CoordinateDescent { limits: limits(1e-13, 3000), ..Default::default() }.solve(&model).unwrap();
        if certificate.kind == "duality_gap" {
            let error = fit.objective - best.objective;
            assert!(
                error <= certificate.value + 1e-12 * (1.0 + best.objective.abs()),
                "{name}: gap {:e}, error {error:e}",
                certificate.value
            );
        }
    });
}

#[test]
fn linear_systems() {
    soak("linear systems", |random| {
        let n = random.random_range(1..40);
        let mut triplets = TriMatI::<f64, u32>::new((n, n));
        let scale = magnitude(random, -8.0, 8.0);
        let mut sums = vec![0.1 * scale; n];
        for i in 0..n {
            for j in 0..i {
                if random.random_bool(0.2) {
                    let value = scale * normal(random);
                    triplets.add_triplet(i, j, value);
                    triplets.add_triplet(j, i, value);
                    sums[i] += value.abs();
                    sums[j] += value.abs();
                }
            }
        }
        sums.iter().enumerate().for_each(|(i, sum)| triplets.add_triplet(i, i, *sum));
        let matrix = triplets.to_csr();
        let mut b: Vec<f64> = (0..n).map(|_| normal(random)).collect();
        let methods = [
            Method::Sor,
            Method::Ssor,
            Method::SsorCg,
            Method::Cg,
            Method::IncompleteCholeskyCg,
            Method::MultigridCg,
            Method::Direct,
        ];
        let limits = Limits { tolerance: 1e-9, max_iterations: 5000, time_limit: None };
        let method = methods[random.random_range(0..methods.len())];
        let solver = Relaxation { limits, method, ..Relaxation::default() };
        if random.random_bool(0.1) {
            b[random.random_range(0..n)] = f64::NAN;
            assert!(solver.solve(matrix.view(), &b).is_err(), "{method:?} takes NaN");
            return;
        }
        let solution = solver.solve(matrix.view(), &b).unwrap();
        on_all_threads(|| bits(&solver.solve(matrix.view(), &b).unwrap().x));
        assert_eq!(solution.status, Status::Solved, "{method:?}: a dominant matrix");
        let product =
            &matrix * &sprs::CsVecI::<f64, u32>::new(n, (0..n as u32).collect(), solution.x.clone());
        let rest = |i: usize| b[i] - product.get(i).copied().unwrap_or(0.0);
        let norm = |f: &dyn Fn(usize) -> f64| (0..n).map(|i| f(i) * f(i)).sum::<f64>().sqrt();
        assert!(norm(&rest) <= 1.001e-9 * norm(&|i| b[i]), "{method:?}: {:e}", norm(&rest));
    });
}

#[test]
fn transport_plans() {
    soak("transport", |random| {
        let (n, m) = (random.random_range(1..25), random.random_range(1..25));
        let values: Vec<f64> = (0..n * m).map(|_| normal(random).abs()).collect();
        let mut masses = |count: usize| -> Vec<f64> {
            let raw: Vec<f64> = (0..count).map(|_| magnitude(random, -3.0, 0.0)).collect();
            let total: f64 = raw.iter().sum();
            raw.iter().map(|mass| mass / total).collect()
        };
        let (source, target) = (masses(n), masses(m));
        let mut problem = TransportProblem {
            cost: Cost::Dense { rows: n, columns: m, values },
            source,
            target,
            regularization: magnitude(random, -3.0, 0.0),
        };
        let limits = Limits { tolerance: 1e-9, ..Limits::default() };
        let solver = Transport { limits, ..Transport::default() };
        if random.random_bool(0.1) {
            problem.source[0] = [f64::NAN, -1.0][random.random_range(0..2)];
            assert!(solver.solve(&problem).is_err(), "a mass that is none");
            return;
        }
        let solution = solver.solve(&problem).unwrap();
        assert_eq!(solution.status, Status::Solved);
        assert!(solution.objective.is_finite());
        let objective = on_all_threads(|| solver.solve(&problem).unwrap().objective.to_bits());
        assert_eq!(objective, solution.objective.to_bits());
    });
}

#[test]
fn nonlinear_programs() {
    soak("nonlinear programs", |random| {
        // minimise sum of d_i (x_i - c_i)^4 / 4 + (x_i - c_i)^2 / 2 with bounds and sum of x = s
        let n = random.random_range(1..15);
        let draws = |random: &mut ChaCha8Rng| (0..n).map(|_| normal(random)).collect::<Vec<f64>>();
        let (c, d) = (draws(random), magnitude(random, -2.0, 2.0));
        let lower: Vec<f64> = draws(random).iter().map(|x| x.abs().mul_add(-1.0, -0.1)).collect();
        let upper: Vec<f64> = draws(random).iter().map(|x| x.abs() + 0.1).collect();
        let share = if random.random_bool(0.2) { 1.5 } else { random.random_range(0.1..0.9) };
        let sum: f64 = lower.iter().zip(&upper).map(|(l, u)| l + share * (u - l)).sum();
        let start: Vec<f64> = draws(random).iter().map(|x| 10.0 * x).collect();
        let positions: Vec<(usize, usize)> = (0..n).map(|j| (0, j)).collect();
        let broken = random.random_bool(0.1);
        let program = Closures::new(start)
            .objective(
                |x| {
                    let value: f64 = x
                        .iter()
                        .zip(&c)
                        .map(|(x, c)| d * (x - c).powi(4) / 4.0 + (x - c).powi(2) / 2.0)
                        .sum();
                    if broken { f64::NAN } else { value }
                },
                |x, g| {
                    for ((g, x), c) in g.iter_mut().zip(x).zip(&c) {
                        *g = d * (x - c).powi(3) + (x - c);
                    }
                },
            )
            .bounds(lower, upper)
            .equations(1, &positions, |x, r| r[0] = x.iter().sum::<f64>() - sum, |_, j| j.fill(1.0))
            .build()
            .unwrap();
        let limits = Limits { tolerance: 1e-8, max_iterations: 500, time_limit: None };
        let solver = InteriorPoint { limits, ..InteriorPoint::default() };
        let Ok(solution) = solver.solve(&program) else {
            assert!(broken, "a program that can be evaluated is refused");
            return;
        };
        on_all_threads(|| bits(&solver.solve(&program).unwrap().x));
        assert_eq!(solution.x.len(), program.variable_count());
        if broken || share > 1.0 {
            assert_ne!(solution.status, Status::Solved, "nothing there to be solved");
        } else {
            assert_eq!(solution.status, Status::Solved);
            assert!(certify_program(&program, &solution.answer()).unwrap().kkt.error <= 1e-8);
        }
    });
}
