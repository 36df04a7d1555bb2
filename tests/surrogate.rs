//! Target-space surrogates: exact inner solves, monotone losses, counters, published orders, resumption, refusals.

#![allow(clippy::unwrap_used)]

use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::DesignMatrix;
use gradus::linalg::factor::DenseCholesky;
use gradus::problem::loss::{self, Loss};
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{LinearModel, MultinomialModel};
use gradus::surrogate::*;
use proptest::prelude::*;
use sprs::TriMatI;

fn hash(a: u64, b: u64) -> f64 {
    let mut h = a.wrapping_mul(0x9E3779B97F4A7C15) ^ b.wrapping_mul(0xD1B54A32D192ED03);
    h = (h ^ (h >> 29)).wrapping_mul(0xBF58476D1CE4E5B9);
    h ^= h >> 32;
    (h % 20001) as f64 / 10000.0 - 1.0
}

/// n x p, about half the entries zero, sparse or dense.
fn design(n: usize, p: usize, seed: u64, sparse: bool) -> DesignMatrix {
    let entry = |i: usize, j: usize| {
        let value = hash((i * p + j) as u64, seed);
        if value > -0.2 { 2.0 * value } else { 0.0 }
    };
    if !sparse {
        return DesignMatrix::from_dense(n, p, (0..n * p).map(|k| entry(k % n, k / n)).collect()).unwrap();
    }
    let mut triplets = TriMatI::<f64, u32>::new((n, p));
    for k in (0..n * p).filter(|k| entry(k % n, k / n) != 0.0) {
        triplets.add_triplet(k % n, k / n, entry(k % n, k / n));
    }
    DesignMatrix::from_sparse(triplets.to_csr()).unwrap()
}

fn targets(loss: &dyn Loss, n: usize, seed: u64) -> Vec<f64> {
    let raw = (0..n).map(|i| hash(i as u64 + 9_000_000, seed));
    raw.map(|y| {
        if loss.is_classification() {
            y.signum()
        } else if loss.name() == "poisson" {
            (3.0 * y.abs()).floor()
        } else {
            y
        }
    })
    .collect()
}

fn model(n: usize, p: usize, loss: impl Loss + 'static, l2: f64, seed: u64, sparse: bool) -> LinearModel {
    let target = targets(&loss, n, seed);
    LinearModel::new(design(n, p, seed, sparse), target, loss, ElasticNet { l1: 0.0, l2, weights: None })
}

fn published(inner: Inner) -> Method {
    Method::Surrogate(BatchSurrogate { inner, ..BatchSurrogate::default() })
}

fn gradient(steps: usize) -> Inner {
    Inner::Gradient { steps, search: InnerSearch::default() }
}

/// Tolerance 0: every run goes to its limits.
fn solver(method: Method, batch: Option<usize>, epochs: usize) -> Surrogate {
    let limits = Limits { tolerance: 0.0, ..Limits::default() };
    Surrogate { limits, method, batch, epochs, order: Order::SplitMix, seed: 1, ..Surrogate::default() }
}

/// Rows of a batch, dense, and X'diag(c)X / b + diag(s).
fn normal_matrix(rows: &[Vec<f64>], c: &[f64], s: &[f64]) -> Vec<f64> {
    let p = s.len();
    let mut a = vec![0.0; p * p];
    for (row, c) in rows.iter().zip(c) {
        for i in 0..p {
            for j in 0..p {
                a[i * p + j] += c * row[i] * row[j] / rows.len() as f64;
            }
        }
    }
    (0..p).for_each(|i| a[i * p + i] += s[i]);
    a
}

fn dense_rows(matrix: &DesignMatrix, batch: &[u32], intercept: bool) -> Vec<Vec<f64>> {
    let row = |&i: &u32| {
        let mut row = vec![0.0; matrix.columns()];
        matrix.row(i as usize).iter().for_each(|(j, value)| row[j] = value);
        row.extend(intercept.then_some(1.0));
        row
    };
    batch.iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both exact forms solve the normal equations of the surrogate, with weights and ridge, for few and for many rows.
    #[test]
    fn exact_inner_solves_agree_with_a_dense_one(
        b in 1usize..20, p in 1usize..14, seed in 0u64..1000, weighted: bool, intercept: bool, eta in 0.1f64..8.0, lambda in 1e-3f64..2.0,
    ) {
        let matrix = design(25, p, seed, seed % 2 == 0);
        let linear = LinearTargets { intercept, ..LinearTargets::new(&matrix) };
        let d = linear.width();
        let batch: Vec<u32> = (0..b as u32).map(|i| (3 * i) % 25).collect();
        let g: Vec<f64> = (0..b).map(|i| hash(i as u64, seed + 5)).collect();
        let theta: Vec<f64> = (0..d).map(|j| hash(j as u64, seed + 7)).collect();
        let w: Vec<f64> = (0..b).map(|i| 1.5 + hash(i as u64, seed + 9)).collect();
        let mut z = vec![0.0; b];
        linear.forward(&theta, &batch, &mut z);
        let ridge = vec![lambda; d];
        let q = BatchQuadratic { model: &linear, batch: &batch, theta: &theta, z: &z, g: &g, eta, weights: weighted.then_some(&w[..]), ridge: &ridge };
        let rows = dense_rows(&matrix, &batch, intercept);
        let ones = vec![1.0; b];
        let a = normal_matrix(&rows, if weighted { &w } else { &ones }, &vec![eta * lambda; d]);
        let mut expected: Vec<f64> = (0..d).map(|j| {
            -eta * (rows.iter().zip(&g).map(|(row, g)| row[j] * g).sum::<f64>() / b as f64 + lambda * theta[j])
        }).collect();
        let mut cholesky = DenseCholesky::new();
        cholesky.factor(d, &a).unwrap();
        cholesky.solve_in_place(&mut expected).unwrap();
        let size = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        for form in [Form::Columns, Form::Rows] {
            let step = exact_step(&q, 0.0, form).unwrap();
            for (a, b) in step.iter().zip(&expected) {
                prop_assert!((a - b).abs() <= 1e-11 * size, "{form:?}: {a} {b}");
            }
        }
    }

    /// The surrogate bounds the loss from above: with eta = 1/L no step raises it, whatever the inner solver.
    #[test]
    fn the_full_batch_loss_never_rises(seed in 0u64..10_000, n in 5usize..40, p in 1usize..8, kind in 0usize..3, which in 0usize..7) {
        let loss: std::sync::Arc<dyn Loss> = [loss::by_name("logistic"), loss::by_name("squared"), loss::by_name("huber")][kind].clone().unwrap();
        let mut model = model(n, p, loss::Squared, if seed % 2 == 0 { 0.0 } else { 0.05 }, seed, true);
        model.target = targets(&*loss, n, seed);
        model.loss = loss;
        model.intercept = seed % 3 == 0;
        let inner = [
            gradient(1), gradient(7), Inner::Steepest { steps: 3 }, Inner::ConjugateGradient { steps: 5 },
            Inner::Exact { damping: 1e-10 }, Inner::Lbfgs { steps: 5 }, Inner::GaussNewton { steps: 2, products: 8 },
        ][which];
        let fit = solver(published(inner), None, 15).solve(&model).unwrap();
        for pair in fit.history.records.windows(2) {
            prop_assert!(pair[1].objective <= pair[0].objective * (1.0 + 1e-12) + 1e-14, "{} then {}", pair[0].objective, pair[1].objective);
        }
    }

    /// Sparse and dense storage lead to one answer.
    #[test]
    fn sparse_and_dense_data_agree(seed in 0u64..1000, which in 0usize..9) {
        let methods = all_methods();
        let (method, batch) = methods[which % methods.len()];
        let fits: Vec<Fit> = [true, false].iter().map(|&sparse| {
            solver(method, batch, 3).solve(&model(40, 5, loss::Logistic, 0.01, seed, sparse)).unwrap()
        }).collect();
        let size = fits[0].coefficients.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        for (a, b) in fits[0].coefficients.iter().zip(&fits[1].coefficients) {
            prop_assert!((a - b).abs() <= 1e-10 * size, "{a} {b}");
        }
    }
}

fn all_methods() -> Vec<(Method, Option<usize>)> {
    let population = |variance, refresh| {
        Method::Population(Population {
            relative_step: Some(0.1),
            variance,
            refresh,
            ..Population::default()
        })
    };
    vec![
        (published(gradient(3)), Some(8)),
        (published(Inner::ConjugateGradient { steps: 4 }), Some(8)),
        (population(Variance::Plain, false), Some(8)),
        (population(Variance::Snapshot, true), Some(8)),
        (population(Variance::Table, false), Some(8)),
        (Method::Aggregate(Aggregate::default()), Some(8)),
        (Method::FullBatch(FullBatch::default()), None),
        (Method::FullBatch(FullBatch { memory: 0, refresh: false }), None),
        (Method::Baseline(Baseline::Adam { rate: 0.1 }), Some(8)),
        (Method::Baseline(Baseline::Adagrad { rate: 0.1 }), Some(8)),
        (Method::Baseline(Baseline::Svrg { rate: 0.1 }), Some(8)),
        (Method::Automatic, Some(8)),
        (Method::Automatic, None),
    ]
}

/// Orthogonal columns with singular values from 1 to 10: condition 100 of the normal matrix.
fn conditioned() -> (DesignMatrix, usize) {
    let (n, p) = (8, 4);
    let hadamard = |i: usize, j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
    let size = |j: usize| 10f64.powf(j as f64 / (p - 1) as f64);
    let values = (0..n * p).map(|k| hadamard(k % n, k / n + 1) * size(k / n)).collect();
    (DesignMatrix::from_dense(n, p, values).unwrap(), n)
}

#[test]
fn many_gradient_steps_tend_to_the_exact_one() {
    let (matrix, n) = conditioned();
    let linear = LinearTargets::new(&matrix);
    let target: Vec<f64> = (0..n).map(|i| hash(i as u64, 3)).collect();
    let mut oracle = LossOracle::new(&loss::Squared, &target, None);
    let all: Vec<u32> = (0..n as u32).collect();
    let (z, theta) = (vec![0.0; n], vec![0.0; 4]);
    let mut g = vec![0.0; n];
    oracle.gradient(&all, &z, &mut g).unwrap();
    let q = BatchQuadratic {
        model: &linear,
        batch: &all,
        theta: &theta,
        z: &z,
        g: &g,
        eta: 1.0,
        weights: None,
        ridge: &[],
    };
    let exact = exact_step(&q, 0.0, Form::Columns).unwrap();
    // fixed steps of 1 over the largest eigenvalue of X'X / n
    let method = published(Inner::Fixed { steps: 10_000, length: 0.01 });
    let fit =
        solver(method, None, 1).minimize(&linear, &mut oracle, Start::Zero, &mut Monitor::none()).unwrap();
    for (a, b) in fit.parameters.iter().zip(&exact) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn least_squares_is_solved_by_one_call() {
    for seed in 0..10 {
        let model = model(60, 9, loss::Squared, 0.0, seed, true);
        let fit = solver(Method::FullBatch(FullBatch { memory: 0, refresh: false }), None, 1)
            .solve(&model)
            .unwrap();
        let best = solver(Method::FullBatch(FullBatch::default()), None, 20).solve(&model).unwrap();
        assert_eq!(fit.counts["oracle_calls"], 1);
        assert!((fit.objective - best.objective).abs() <= 1e-10 * best.objective);
        assert!(fit.certificate.relative < 1e-6);
    }
}

#[test]
fn one_inner_step_of_fixed_length_is_stochastic_gradient_descent() {
    // powers of two, so that a eta v is the same number in either order
    let (eta, length) = (4.0, 0.125);
    let model = model(64, 6, loss::Logistic, 0.0, 5, true);
    let step = StepSize::Fixed { eta: Some(eta), schedule: Schedule::Constant };
    let surrogate =
        BatchSurrogate { step, inner: Inner::Fixed { steps: 1, length }, metric: TargetMetric::Identity };
    let ours = solver(Method::Surrogate(surrogate), Some(8), 4).solve(&model).unwrap();
    let sgd = Baseline::Sgd { rate: eta * length, schedule: Schedule::Constant };
    let theirs = solver(Method::Baseline(sgd), Some(8), 4).solve(&model).unwrap();
    assert_eq!(ours.coefficients, theirs.coefficients);
}

#[test]
fn counters_are_exact() {
    let model = model(83, 5, loss::Logistic, 0.0, 2, true);
    let (b, epochs, per_epoch) = (10, 3, 8);
    let steps = epochs * per_epoch;
    let calls = |method: Method| {
        let fit = solver(method, Some(b), epochs as usize).solve(&model).unwrap();
        let last = fit.history.records.last().unwrap().extra[0];
        assert_eq!(last as u64, fit.counts["oracle_calls"]);
        (fit.counts["oracle_calls"], fit.counts["value_calls"], fit.counts["inner_steps"])
    };
    assert_eq!(calls(published(gradient(4))).0, steps);
    assert_eq!(calls(Method::Baseline(Baseline::Sgd { rate: 0.1, schedule: Schedule::Sqrt })), (steps, 0, 0));
    assert_eq!(calls(Method::Baseline(Baseline::Svrg { rate: 0.1 })).0, 2 * steps + epochs * per_epoch);
    let population = |variance| Method::Population(Population { variance, ..Population::default() });
    assert_eq!(calls(population(Variance::Plain)).0, steps);
    // target gradients are remembered, so that a snapshot costs its own calls and no more
    assert_eq!(calls(population(Variance::Snapshot)).0, steps + epochs * per_epoch);
    assert_eq!(calls(population(Variance::Table)).0, steps);
    assert_eq!(calls(Method::Aggregate(Aggregate::default())).0, steps);
    assert_eq!(calls(Method::Automatic).0, steps);
    // a search costs values, one at the start and one a trial, and no call
    let step = StepSize::Search(TargetSearch::default());
    let (searched, values, _) =
        calls(Method::Surrogate(BatchSurrogate { step, ..BatchSurrogate::default() }));
    assert_eq!(searched, steps);
    assert!(values >= 2 * steps);
    let fit = solver(Method::FullBatch(FullBatch::default()), None, 7).solve(&model).unwrap();
    assert_eq!(fit.counts["oracle_calls"], fit.iterations as u64);
}

/// An oracle that counts for itself: what is reported is what happened.
#[test]
fn reported_calls_are_those_the_oracle_saw() {
    let matrix = design(40, 4, 3, true);
    let linear = LinearTargets::new(&matrix);
    let target = targets(&loss::Squared, 40, 3);
    let (mut calls, mut rows) = (0u64, 0usize);
    let mut oracle = GradientFn {
        gradient: |batch: &[u32], z: &[f64]| {
            calls += 1;
            rows += batch.len();
            batch.iter().zip(z).map(|(&i, z)| z - target[i as usize]).collect()
        },
        smoothness: Some(1.0),
    };
    let quiet = Surrogate { watch: Watch::Nothing, ..solver(published(gradient(5)), Some(8), 6) };
    let solution = quiet.minimize(&linear, &mut oracle, Start::Zero, &mut Monitor::none()).unwrap();
    assert_eq!(solution.counts["oracle_calls"], 30);
    // one evaluation of all samples certifies the answer
    assert_eq!((calls, rows), (31, 30 * 8 + 40));
    assert_eq!(solution.counts["checks"], 1);
    assert!(solution.certificate.value.is_finite() && solution.objective.is_nan());
}

#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    let mut model = model(90, 6, loss::Logistic, 0.02, 4, true);
    model.intercept = true;
    for (method, batch) in all_methods() {
        let straight = solver(method, batch, 12).solve(&model).unwrap();
        let mut short = solver(method, batch, 12);
        short.limits.max_iterations = 5;
        let half = short.solve(&model).unwrap();
        assert_eq!(half.status, Status::IterationLimit);
        // through text, as a file would
        let text = serde_json::to_string(&half.checkpoint).unwrap();
        let saved: Checkpoint = serde_json::from_str(&text).unwrap();
        let resumed = solver(method, batch, 12)
            .solve_with(&model, Start::Checkpoint(&saved), &mut Monitor::none())
            .unwrap();
        assert_eq!(resumed.coefficients, straight.coefficients, "{method:?}");
        assert_eq!(resumed.intercepts, straight.intercepts);
        let work = |fit: &Fit| Work {
            checks: 0,
            factorizations: 0,
            value_calls: 0,
            products: 0,
            ..fit.checkpoint.work()
        };
        assert_eq!(work(&resumed), work(&straight), "{method:?}");
        let other =
            solver(method, batch, 11).solve_with(&model, Start::Checkpoint(&saved), &mut Monitor::none());
        assert!(matches!(other, Err(Error::Checkpoint { .. })));
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let model = model(6000, 12, loss::Logistic, 0.0, 8, true);
    for (method, batch) in all_methods() {
        let batch = batch.map(|_| 500);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| solver(method, batch, 3).solve(&model).unwrap().coefficients)
        };
        assert_eq!(run(1), run(4), "{method:?}");
        let shuffled = |seed| Surrogate { order: Order::ChaCha, seed, ..solver(method, batch, 2) };
        assert_eq!(
            shuffled(3).solve(&model).unwrap().coefficients,
            shuffled(3).solve(&model).unwrap().coefficients
        );
        if batch.is_some() {
            assert_ne!(
                shuffled(3).solve(&model).unwrap().coefficients,
                shuffled(4).solve(&model).unwrap().coefficients
            );
        }
    }
}

#[test]
fn every_schedule_metric_and_inner_solver_lowers_the_loss() {
    // labels that a plane explains up to a tenth of them
    let mut model = model(400, 6, loss::Logistic, 0.0, 6, true);
    let plane: Vec<f64> = (0..6).map(|j| 1.0 + hash(j, 40)).collect();
    model.design.multiply(&plane, &mut model.target);
    let mean = model.target.iter().sum::<f64>() / 400.0;
    let side = |(i, y): (usize, &mut f64)| *y = (*y - mean).signum() * if i % 10 == 0 { -1.0 } else { 1.0 };
    model.target.iter_mut().enumerate().for_each(side);
    model.intercept = true;
    let start = std::f64::consts::LN_2;
    let mut tried = 0;
    for schedule in [Schedule::Constant, Schedule::Sqrt, Schedule::Exponential] {
        for metric in [
            TargetMetric::Identity,
            TargetMetric::Scalar,
            TargetMetric::Diagonal,
            TargetMetric::Newton,
            TargetMetric::Adam,
        ] {
            for inner in [
                gradient(2),
                Inner::Steepest { steps: 2 },
                Inner::ConjugateGradient { steps: 3 },
                Inner::Exact { damping: 1e-3 },
                Inner::Lbfgs { steps: 3 },
            ] {
                let step = StepSize::Fixed { eta: None, schedule };
                let method = Method::Surrogate(BatchSurrogate { step, inner, metric });
                let fit = solver(method, Some(100), 4).solve(&model).unwrap();
                assert!(fit.objective < start, "{method:?}: {}", fit.objective);
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 75);
}

#[test]
fn losses_without_a_bound_are_searched_for() {
    let model = model(200, 4, loss::Poisson, 0.0, 7, true);
    let refused = solver(published(gradient(3)), Some(20), 3).solve(&model).unwrap_err();
    assert!(refused.to_string().contains("give eta, or search"), "{refused}");
    let step = StepSize::Search(TargetSearch::default());
    let searched = solver(
        Method::Surrogate(BatchSurrogate { step, inner: gradient(3), metric: TargetMetric::Identity }),
        Some(50),
        10,
    )
    .solve(&model)
    .unwrap();
    assert!(searched.objective < searched.history.records[0].objective);
    let fit = Surrogate { limits: Limits { tolerance: 1e-10, ..Limits::default() }, ..Surrogate::default() }
        .solve(&model)
        .unwrap();
    assert_eq!(fit.status, Status::Solved);
}

#[test]
fn a_given_eta_that_is_too_long_is_halved_on_all_samples() {
    let model = model(60, 5, loss::Squared, 0.0, 1, false);
    let step = StepSize::Fixed { eta: Some(1000.0), schedule: Schedule::Constant };
    let fit = solver(
        Method::Surrogate(BatchSurrogate {
            step,
            inner: Inner::Exact { damping: 0.0 },
            metric: TargetMetric::Identity,
        }),
        None,
        10,
    )
    .solve(&model)
    .unwrap();
    assert!(fit.counts["halvings"] >= 9);
    for pair in fit.history.records.windows(2) {
        assert!(pair[1].objective <= pair[0].objective + 1e-12);
    }
}

#[test]
fn gaps_bound_the_distance_to_the_optimum() {
    for (intercept, which) in [(false, 0), (true, 0), (false, 1), (true, 1)] {
        let mut model = model(120, 6, loss::Logistic, 0.05, 9, true);
        if which == 1 {
            (model.loss, model.target) =
                (std::sync::Arc::new(loss::Squared), targets(&loss::Squared, 120, 9));
        }
        model.intercept = intercept;
        let best =
            Surrogate { limits: Limits { tolerance: 1e-14, ..Limits::default() }, ..Surrogate::default() }
                .solve(&model)
                .unwrap();
        for epochs in [0, 1, 2, 5] {
            let early = solver(Method::Baseline(Baseline::Adam { rate: 0.05 }), Some(30), epochs)
                .solve(&model)
                .unwrap();
            assert_eq!(early.certificate.kind, "duality_gap");
            let distance = early.objective - best.objective;
            assert!(early.certificate.value >= distance - 1e-12, "{} < {distance}", early.certificate.value);
        }
        assert!(best.certificate.value < 1e-12);
    }
}

#[test]
fn odd_data_are_handled() {
    // labels all alike, a column of zeros, duplicate rows: the bound step still falls, the zero column keeps its zero
    let values = vec![1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0];
    let matrix = DesignMatrix::from_dense(3, 3, values).unwrap();
    let model = LinearModel::logistic(matrix, vec![1.0; 3], 0.0, 0.0);
    for method in [Method::Automatic, published(gradient(3)), published(Inner::Exact { damping: 1e-8 })] {
        let fit = solver(method, None, 30).solve(&model).unwrap();
        assert_eq!(fit.coefficients[1], 0.0);
        assert!(fit.objective < 0.2 && fit.coefficients.iter().all(|v| v.is_finite()));
    }
    // one column a row, one target that is not met: three batches of four have no gradient, twice
    let mut triplets = TriMatI::<f64, u32>::new((20, 20));
    (0..20).for_each(|i| triplets.add_triplet(i, i, 1.0));
    let mut target = vec![0.0; 20];
    target[7] = 1.0;
    let still = LinearModel::lasso(DesignMatrix::from_sparse(triplets.to_csr()).unwrap(), target, 0.0);
    let step = StepSize::Fixed { eta: Some(0.5), schedule: Schedule::Constant };
    let half = BatchSurrogate { step, inner: gradient(1), metric: TargetMetric::Identity };
    let fit = solver(Method::Surrogate(half), Some(5), 2).solve(&still).unwrap();
    assert_eq!((fit.counts["skipped"], fit.coefficients.iter().filter(|&&v| v != 0.0).count()), (6, 1));
    // a batch larger than the data is all of them
    let model = self::model(20, 3, loss::Logistic, 0.1, 1, true);
    let fit = solver(Method::Automatic, Some(1000), 30).solve(&model).unwrap();
    assert!(fit.certificate.relative < 1e-8);
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    let good = model(20, 3, loss::Logistic, 0.0, 1, true);
    let refuse = |solver: Surrogate, words: &str| {
        let error = solver.solve(&good).unwrap_err().to_string();
        assert!(error.contains(words), "wanted '{words}': {error}");
    };
    refuse(solver(Method::Automatic, Some(0), 1), "0 samples");
    refuse(solver(published(gradient(0)), Some(5), 1), "at least 1 inner step");
    let eta = |eta| {
        Method::Surrogate(BatchSurrogate {
            step: StepSize::Fixed { eta: Some(eta), schedule: Schedule::Constant },
            ..BatchSurrogate::default()
        })
    };
    refuse(solver(eta(0.0), Some(5), 1), "eta is 0");
    refuse(solver(eta(f64::NAN), Some(5), 1), "eta is NaN");
    refuse(solver(Method::FullBatch(FullBatch::default()), Some(5), 1), "all samples at once");
    refuse(solver(Method::Baseline(Baseline::Adam { rate: -1.0 }), Some(5), 1), "rate is -1");
    refuse(Surrogate { measure: Measure::Gap, ..solver(Method::Automatic, None, 1) }, "l2 > 0");
    let lasso = LinearModel::logistic(design(20, 3, 1, true), targets(&loss::Logistic, 20, 1), 0.1, 0.0);
    assert!(Surrogate::default().solve(&lasso).unwrap_err().to_string().contains("neither l1 nor bounds"));
    let start = Surrogate::default().solve_with(
        &good,
        Start::Parameters(&[0.0, f64::NAN, 0.0]),
        &mut Monitor::none(),
    );
    assert!(matches!(start, Err(Error::StartValue { index: 1, .. })));
    let empty = DesignMatrix::from_dense(5, 0, vec![]).unwrap();
    assert!(Surrogate::default().solve(&LinearModel::lasso(empty, vec![1.0; 5], 0.0)).is_err());
}

#[test]
fn a_broken_oracle_is_named_with_its_step() {
    let matrix = design(40, 4, 3, true);
    let linear = LinearTargets::new(&matrix);
    type Broken<'a> = &'a mut dyn FnMut(&[u32], &[f64]) -> Vec<f64>;
    let run = |gradient: Broken| {
        let mut oracle = GradientFn { gradient, smoothness: Some(1.0) };
        let solver = Surrogate { watch: Watch::Nothing, ..solver(published(self::gradient(2)), Some(10), 3) };
        solver.minimize(&linear, &mut oracle, Start::Zero, &mut Monitor::none()).unwrap_err()
    };
    let mut calls = 0;
    let error = run(&mut |_, z: &[f64]| {
        calls += 1;
        if calls == 3 { vec![f64::NAN; z.len()] } else { vec![0.5; z.len()] }
    });
    assert!(matches!(error, Error::Oracle { step: 3, .. }) && error.to_string().contains("NaN"), "{error}");
    let error = run(&mut |_, _| vec![0.0; 2]);
    assert!(
        matches!(error, Error::Oracle { step: 1, .. }) && error.to_string().contains("2 derivatives for 10"),
        "{error}"
    );
}

#[test]
fn softmax_falls_to_its_optimum() {
    let n = 90;
    let target: Vec<usize> = (0..n).map(|i| (hash(i as u64, 77).abs() * 3.0) as usize % 3).collect();
    let ridge = ElasticNet { l1: 0.0, l2: 0.1, weights: None };
    let model = MultinomialModel::new(design(n, 4, 7, true), target, 3, ridge);
    let tight = Surrogate {
        limits: Limits { tolerance: 1e-9, ..Limits::default() },
        epochs: 500,
        ..Surrogate::default()
    };
    let fit = tight.solve_multinomial(&model, Start::Zero, &mut Monitor::none()).unwrap();
    assert_eq!((fit.status, fit.coefficients.len()), (Status::Solved, 12));
    for pair in fit.history.records.windows(2) {
        assert!(pair[1].objective <= pair[0].objective + 1e-12);
    }
    let batches = Surrogate { batch: Some(15), epochs: 60, ..tight };
    let other = batches.solve_multinomial(&model, Start::Zero, &mut Monitor::none()).unwrap();
    assert!(other.objective - fit.objective < 2e-2 * fit.objective, "{} {}", other.objective, fit.objective);
}

/// With fewer samples than parameters the exact step is taken in the rows, which know one ridge weight only.
#[test]
fn an_intercept_without_ridge_does_not_disturb_the_exact_step() {
    let mut model = model(5, 7, loss::Squared, 0.05, 2637, true);
    model.loss = loss::by_name("logistic").unwrap();
    model.target = targets(&*model.loss, 5, 2637);
    model.intercept = true;
    let last = |inner: Inner| {
        let fit = solver(published(inner), None, 400).solve(&model).unwrap();
        fit.history.records.last().unwrap().objective
    };
    let (exact, other) = (last(Inner::Exact { damping: 0.0 }), last(Inner::Lbfgs { steps: 5 }));
    assert!((exact - other).abs() < 1e-8, "{exact} {other}");
}
