//! Solvers on many random problems with faults in them: no panic, no answer that is better on paper than in truth, the same
//! bits on every number of threads.
//!
//! The default is a short run; a long one:
//!
//!     GRADUS_SOAK_CASES=1000 cargo test --release --test soak
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gradus::completion::{Completion, Duplicates, Observations};
use gradus::constrained::{InteriorPoint, SketchNewton, certify as certify_program};
use gradus::control::{Limits, Monitor, Record, Status};
use gradus::coordinate::{CoordinateDescent, Measure, SupportVectorMachine, certify};
use gradus::linalg::DesignMatrix;
use gradus::problem::closures::Closures;
use gradus::problem::loss::by_name;
use gradus::problem::penalty::{ElasticNet, Group};
use gradus::problem::{LinearModel, MultinomialModel, NonlinearProgram};
use gradus::relaxation::{Method, Relaxation};
use gradus::relu::{self, ConvexRelu};
use gradus::surrogate::Surrogate;
use gradus::transport::{Cost, Transport, TransportProblem};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::TriMatI;

/// Runs a family of problems, each from a seed of its own; a panic names the seed.
fn soak(family: &str, one: impl Fn(&mut ChaCha8Rng)) {
    let cases: u64 = std::env::var("GRADUS_SOAK_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(25);
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

/// A dense matrix of normal numbers.
fn dense(random: &mut ChaCha8Rng, n: usize, p: usize) -> DesignMatrix {
    DesignMatrix::from_dense(n, p, (0..n * p).map(|_| normal(random)).collect()).unwrap()
}

/// Classes -1 and +1, both of them there for two rows and more.
fn signs(random: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    let other = |random: &mut ChaCha8Rng| if random.random_bool(0.5) { 1.0 } else { -1.0 };
    (0..n).map(|i| if i < 2 { 1.0 - 2.0 * i as f64 } else { other(random) }).collect()
}

fn tight(tolerance: f64) -> Limits {
    Limits { tolerance, max_iterations: 2000, time_limit: None }
}

#[test]
fn machines_groups_and_classes() {
    soak("machines, groups and classes", |random| {
        let (n, p) = (random.random_range(2..30), random.random_range(1..12));
        let (design, classes) = (dense(random, n, p), signs(random, n));
        let (l1, l2) = (magnitude(random, -4.0, 0.0), magnitude(random, -3.0, 1.0));
        // (objective, gap, bits) at two tolerances: the error of the first is under its gap
        let check = |name: &str, solve: &(dyn Fn(f64) -> (f64, f64, Vec<u64>) + Sync)| {
            let (objective, gap, _) = on_all_threads(|| solve(1e-6));
            let best = solve(1e-11).0;
            assert!(
                objective - best <= gap + 1e-12 * (1.0 + best.abs()),
                "{name}: {gap:e}, {:e}",
                objective - best
            );
        };
        check("hinge", &|tolerance| {
            let solver = SupportVectorMachine { limits: tight(tolerance), seed: 1 };
            let fit = solver.solve(&design, &classes, None, l2, &mut Monitor::none()).unwrap();
            (fit.objective, fit.certificate.value, bits(&fit.coefficients))
        });
        let model = LinearModel::logistic(design.clone(), classes.clone(), 0.0, 0.0);
        let groups = (0..p).step_by(3).map(|j| (j..p.min(j + 3)).collect()).collect();
        let group = Group { l1, groups, weights: None };
        check("groups", &|tolerance| {
            let solver = CoordinateDescent { limits: tight(tolerance), ..Default::default() };
            let fit = solver.solve_groups(&model, &group, None, &mut Monitor::none()).unwrap();
            (fit.objective, fit.certificate.value, bits(&fit.coefficients))
        });
        let k = random.random_range(2..4);
        let target = (0..n).map(|_| random.random_range(0..k)).collect();
        let model = MultinomialModel::new(design.clone(), target, k, ElasticNet { l1, l2, weights: None });
        check("softmax", &|tolerance| {
            let solver = CoordinateDescent { limits: tight(tolerance), ..Default::default() };
            let fit = solver.solve_multinomial(&model, None, &mut Monitor::none()).unwrap();
            (fit.objective, fit.certificate.value, bits(&fit.coefficients))
        });
    });
}

#[test]
fn low_rank_matrices() {
    soak("completion", |random| {
        let (m, n, k) = (random.random_range(2..20), random.random_range(2..20), random.random_range(1..3));
        let (left, right) = (dense(random, m, k), dense(random, n, k));
        let (mut entries, noise) = (Vec::new(), magnitude(random, -8.0, 0.0));
        for i in 0..m {
            for j in 0..n {
                if random.random_bool(0.7) {
                    let value: f64 =
                        left.row(i).iter().zip(right.row(j).iter()).map(|(a, b)| a.1 * b.1).sum();
                    entries.push((i as u32, j as u32, value + noise * normal(random)));
                }
            }
        }
        if entries.is_empty() || random.random_bool(0.1) {
            entries.push((0, 0, f64::NAN));
            assert!(Observations::new(m, n, &entries, Duplicates::Mean).is_err());
            return;
        }
        let problem = Observations::new(m, n, &entries, Duplicates::Refuse).unwrap();
        let solver = Completion {
            rank: k,
            ridge: magnitude(random, -4.0, 0.0),
            limits: tight(1e-6),
            ..Default::default()
        };
        let Ok(solution) = solver.solve(&problem) else { return };
        assert!(solution.objective.is_finite() && solution.train_rmse.is_finite());
        let again = on_all_threads(|| solver.solve(&problem).unwrap().objective.to_bits());
        assert_eq!(again, solution.objective.to_bits());
    });
}

#[test]
fn networks() {
    soak("networks", |random| {
        let (n, d) = (random.random_range(3..20), random.random_range(1..5));
        let (design, classes) = (dense(random, n, d), signs(random, n));
        let losses = [relu::Loss::Squared, relu::Loss::Logistic, relu::Loss::Hinge];
        let loss = losses[random.random_range(0..3)];
        let training = relu::Training::new(&design, classes, loss, magnitude(random, -2.0, 1.0)).unwrap();
        let solve = |tolerance| {
            let solver = ConvexRelu { patterns: 8, seed: 1, limits: tight(tolerance), ..Default::default() };
            solver.solve(&training).unwrap()
        };
        let (loose, best) = (solve(1e-3), solve(1e-7));
        let slack = 1e-7 * (1.0 + best.convex_objective.abs());
        assert!(loose.lower_bound <= best.convex_objective + slack, "{loss:?}: a bound above the optimum");
        assert!(best.lower_bound <= loose.convex_objective + slack, "{loss:?}: a bound above a value");
        assert!(loose.network_objective.is_finite());
        let again = on_all_threads(|| solve(1e-3).convex_objective.to_bits());
        assert_eq!(again, loose.convex_objective.to_bits());
    });
}

#[test]
fn equations() {
    soak("equations", |random| {
        // the nearest point to c on the sphere's intersection with a plane through its centre
        let n = random.random_range(2..12);
        let c: Vec<f64> = (0..n).map(|_| normal(random)).collect();
        let start: Vec<f64> = (0..n).map(|_| normal(random)).collect();
        let radius = magnitude(random, -2.0, 2.0);
        let positions: Vec<(usize, usize)> = (0..2 * n).map(|k| (k / n, k % n)).collect();
        let program = Closures::new(start)
            .objective(
                |x| x.iter().zip(&c).map(|(x, c)| (x - c) * (x - c) / 2.0).sum(),
                |x, g| g.iter_mut().zip(x).zip(&c).for_each(|((g, x), c)| *g = x - c),
            )
            .equations(
                2,
                &positions,
                |x, r| {
                    r[0] = x.iter().map(|x| x * x).sum::<f64>() - radius * radius;
                    r[1] = x[0] - x[1];
                },
                |x, j| {
                    j.fill(0.0);
                    j[..n].iter_mut().zip(x).for_each(|(j, x)| *j = 2.0 * x);
                    (j[n], j[n + 1]) = (1.0, -1.0);
                },
            )
            .build()
            .unwrap();
        let solver = SketchNewton { limits: tight(1e-8), ..Default::default() };
        let solution = solver.solve(&program).unwrap();
        on_all_threads(|| bits(&solver.solve(&program).unwrap().x));
        assert!(solution.x.iter().all(|x| x.is_finite()));
        if solution.status == Status::Solved {
            let norm = solution.x.iter().map(|x| x * x).sum::<f64>();
            assert!((norm - radius * radius).abs() <= 1e-6 * (1.0 + radius * radius), "off the sphere");
        }
    });
}

#[test]
fn surrogates() {
    soak("surrogates", |random| {
        let (n, p) = (random.random_range(2..40), random.random_range(1..8));
        let (design, classes) = (dense(random, n, p), signs(random, n));
        let mut model = LinearModel::logistic(design, classes, 0.0, magnitude(random, -4.0, 0.0));
        if random.random_bool(0.5) {
            model.loss = by_name("squared").unwrap();
        }
        let batch = if random.random_bool(0.5) { Some(random.random_range(1..=n)) } else { None };
        let solver = Surrogate { limits: tight(1e-8), batch, epochs: 10, seed: 1, ..Surrogate::default() };
        let fit = solver.solve(&model).unwrap();
        let zero = model.loss_value(&vec![0.0; n], &model.row_weights());
        assert!(fit.objective.is_finite());
        // small batches promise nothing about the last point, all samples do
        if batch.is_none() {
            assert!(fit.objective <= zero * (1.0 + 1e-12), "{} {zero}", fit.objective);
        }
        let again = on_all_threads(|| solver.solve(&model).unwrap().objective.to_bits());
        assert_eq!(again, fit.objective.to_bits());
    });
}
