//! What answers say of themselves where rounding is all that is left, or the range of doubles ends: certificates are those
//! of the printed point, bounds hold, runs end.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use gradus::control::{Limits, Monitor, Status};
use gradus::coordinate::block::BlockCoordinateDescent;
use gradus::coordinate::graph::LabelPropagation;
use gradus::coordinate::{CoordinateDescent, Measure, certify};
use gradus::linalg::DesignMatrix;
use gradus::problem::penalty::{ElasticNet, Group};
use gradus::problem::{BoxQuadratic, LinearModel, MultinomialModel, loss};
use gradus::relu::robust::{Budget, Norm};
use gradus::relu::{Loss, RobustRelu, Training};
use gradus::surrogate::{Baseline, Method, Start, Surrogate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

/// Numbers of both signs over sixteen powers of ten.
fn graded(random: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| random.random_range(-2.0..2.0) * 10f64.powi(random.random_range(-8..8))).collect()
}

fn limits(tolerance: f64, max_iterations: usize) -> Limits {
    Limits { tolerance, max_iterations, time_limit: None }
}

/// A linear model on graded data, with an intercept.
fn graded_model(random: &mut ChaCha8Rng, case: usize) -> LinearModel {
    let (n, p) = (random.random_range(2..25), random.random_range(1..14));
    let design = DesignMatrix::from_dense(n, p, graded(random, n * p)).unwrap();
    let loss = loss::by_name(["squared", "logistic", "squared-hinge", "huber", "poisson"][case % 5]).unwrap();
    let target = (0..n).map(|_| random.random_range(-2.0f64..2.0));
    let target = match loss.name() {
        _ if loss.is_classification() => target.map(f64::signum).collect(),
        "poisson" => target.map(|y| (2.0 * y.abs()).floor()).collect(),
        _ => target.collect(),
    };
    let offsets = case.is_multiple_of(3).then(|| graded(random, n));
    let penalty = ElasticNet { l1: 0.01, l2: [0.0, 0.01][case % 2], weights: None };
    LinearModel { loss, offsets, intercept: true, ..LinearModel::new(design, target, loss::Squared, penalty) }
}

#[test]
fn objective_and_certificate_are_those_of_the_printed_point_to_the_bit() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for case in 0..150 {
        let model = graded_model(&mut random, case);
        let measure = [Measure::Gap, Measure::Gradient][case / 5 % 2];
        let solver = CoordinateDescent { limits: limits(1e-9, 100), measure, ..Default::default() };
        let fit = solver.solve(&model).unwrap();
        let (objective, certificate) = certify(&model, &fit.coefficients, fit.intercept, measure).unwrap();
        let said = [fit.objective, fit.certificate.value, fit.certificate.relative].map(f64::to_bits);
        let found = [objective, certificate.value, certificate.relative].map(f64::to_bits);
        assert_eq!(said, found, "case {case}: {:?} {certificate:?}", fit.certificate);
    }
}

#[test]
fn objectives_of_groups_and_classes_are_those_of_the_printed_point() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    for case in 0..60 {
        let model = graded_model(&mut random, case);
        let p = model.design.columns();
        let group = Group {
            l1: 0.1,
            groups: (0..p).collect::<Vec<_>>().chunks(3).map(<[usize]>::to_vec).collect(),
            weights: None,
        };
        let solver = CoordinateDescent { limits: limits(1e-9, 20), ..Default::default() };
        let fit = solver.solve_groups(&model, &group, None, &mut Monitor::none()).unwrap();
        let mut z = vec![0.0; model.design.rows()];
        model.predictors(&fit.coefficients, fit.intercept, &mut z);
        let objective = model.loss_value(&z, &model.row_weights()) + group.value(&fit.coefficients);
        assert_eq!(fit.objective.to_bits(), objective.to_bits(), "{case}: {} {objective}", fit.objective);

        let classes = 2;
        let target: Vec<usize> = (0..z.len()).map(|r| r % classes).collect();
        let net = ElasticNet { l1: 0.01, l2: 0.01, weights: None };
        let multinomial =
            MultinomialModel { intercept: true, ..MultinomialModel::new(model.design, target, classes, net) };
        let fit = solver.solve_multinomial(&multinomial, None, &mut Monitor::none()).unwrap();
        let mut z = vec![0.0; multinomial.target.len() * classes];
        multinomial.design.multiply_many(classes, &fit.coefficients, &mut z);
        z.chunks_exact_mut(classes)
            .for_each(|row| row.iter_mut().zip(&fit.intercepts).for_each(|(z, b)| *z += b));
        let mut memory = vec![0.0; z.len()];
        let penalty: f64 =
            fit.coefficients.iter().enumerate().map(|(i, &x)| multinomial.penalty.value(i, x)).sum();
        let objective = multinomial.loss.sum(&z, &multinomial.target, &mut memory)
            / multinomial.target.len() as f64
            + penalty;
        assert!(
            (fit.objective - objective).abs() <= 1e-13 * objective.abs(),
            "{case}: {} {objective}",
            fit.objective
        );
    }
}

fn square(n: usize, entries: &[f64]) -> CsMatI<f64, u32> {
    let mut triplets = TriMatI::new((n, n));
    entries.iter().enumerate().for_each(|(k, &value)| triplets.add_triplet(k / n, k % n, value));
    triplets.to_csr()
}

fn boxed(matrix: CsMatI<f64, u32>, linear: Vec<f64>, width: f64) -> BoxQuadratic {
    let bounds = Some((vec![-width; linear.len()], vec![width; linear.len()]));
    BoxQuadratic { matrix, linear, bounds }
}

#[test]
fn a_quadratic_that_is_indefinite_by_rounding_has_no_bound_above_its_optimum() {
    // x'Qx / 2 = -2 eps w^2 at (w, -w)
    let off = 1.0 + 2.0 * f64::EPSILON;
    let by = |measure| BlockCoordinateDescent { measure, limits: limits(1e-9, 100), ..Default::default() };
    for width in [1.0, 1e4, 1e8] {
        let problem = boxed(square(2, &[1.0, off, off, 1.0]), vec![0.0, 0.0], width);
        let solution = by(Measure::Gap).solve_quadratic(&problem, None, &mut Monitor::none()).unwrap();
        let bound = solution.summary.objective - solution.summary.certificate.value;
        let optimum = -2.0 * f64::EPSILON * width * width;
        assert!(bound <= optimum && bound >= 10.0 * optimum, "{width}: {bound:e} {optimum:e}");
        let auto = by(Measure::Auto).solve_quadratic(&problem, None, &mut Monitor::none()).unwrap();
        assert_eq!(auto.summary.certificate.kind, "gradient");
    }
    // clearly indefinite: no gap at all
    let problem = boxed(square(2, &[1.0, 2.0, 2.0, 1.0]), vec![0.1, 0.3], 1.0);
    assert!(by(Measure::Gap).solve_quadratic(&problem, None, &mut Monitor::none()).is_err());
    let auto = by(Measure::Auto).solve_quadratic(&problem, None, &mut Monitor::none()).unwrap();
    assert_eq!(auto.summary.certificate.kind, "gradient");
}

#[test]
fn semidefinite_quadratics_that_no_diagonal_dominates_keep_their_gap() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    for (n, rank, width) in [(6, 6, 1e6), (20, 20, 1e3), (12, 4, 1.0), (30, 5, 0.1), (300, 300, 1.0)] {
        let factor: Vec<f64> = (0..n * rank).map(|_| random.random_range(-1.0..1.0)).collect();
        let entry = |i: usize, j: usize| {
            let product: f64 = (0..rank).map(|k| factor[i * rank + k] * factor[j * rank + k]).sum();
            product + if i == j && rank == n { 0.1 } else { 0.0 }
        };
        let matrix: Vec<f64> = (0..n * n).map(|k| entry((k / n).max(k % n), (k / n).min(k % n))).collect();
        let linear = (0..n).map(|_| random.random_range(-1.0..1.0)).collect();
        let problem = boxed(square(n, &matrix), linear, width);
        let solver = BlockCoordinateDescent { limits: limits(1e-7, 20_000), ..Default::default() };
        let solution = solver.solve_quadratic(&problem, None, &mut Monitor::none()).unwrap();
        let certificate = solution.summary.certificate;
        assert_eq!(
            (certificate.kind, solution.summary.status),
            ("duality_gap", Status::Solved),
            "{n} {rank} {certificate:?}"
        );
    }
}

#[test]
fn models_of_groups_are_left_where_their_violation_no_longer_falls() {
    let mut random = ChaCha8Rng::seed_from_u64(14);
    for case in 0..40 {
        let model = graded_model(&mut random, case);
        let p = model.design.columns();
        let groups = (0..p).collect::<Vec<_>>().chunks(2).map(<[usize]>::to_vec).collect();
        let group = Group { l1: 0.01, groups, weights: None };
        let solver = CoordinateDescent { limits: limits(1e-11, 20), ..Default::default() };
        let fit = solver.solve_groups(&model, &group, None, &mut Monitor::none()).unwrap();
        let count = |what| fit.counts.get(what).copied().unwrap_or(0);
        // 1000 where it goes on to the limit
        let (factors, models) = (count("factorizations"), count("newton_models"));
        assert!(factors <= 100 * models, "{case}: {factors} factorisations in {models} models");
    }
}

#[test]
fn no_gap_is_finite_where_the_objective_is_not() {
    // two of five losses, whose sum leaves the range of doubles before their mean does
    let design = DesignMatrix::from_dense(5, 1, vec![1e-30; 5]).unwrap();
    let penalty = ElasticNet { l2: 1.0, ..Default::default() };
    let model = LinearModel {
        intercept: true,
        ..LinearModel::new(design, vec![1.0, -1.0, 1.0, 1.0, -1.0], loss::SquaredHinge, penalty)
    };
    let method = Method::Baseline(Baseline::LineSearch { sufficient_decrease: 0.1 });
    let solver = Surrogate { limits: limits(0.0, 0), method, batch: Some(1), ..Default::default() };
    let mut beyond = 0;
    for intercept in [1e154, 1.2e154, 1.4e154, 1.6e154, 1.8e154] {
        let start = Start::Parameters(&[0.0, intercept]);
        let fit = solver.solve_with(&model, start, &mut Monitor::none()).unwrap();
        if fit.objective.is_infinite() {
            beyond += 1;
            let certificate = fit.certificate;
            assert!(certificate.value.is_infinite() && certificate.relative.is_infinite(), "{certificate:?}");
        }
    }
    assert!(beyond > 0);
}

#[test]
fn robust_networks_are_solved_only_where_their_own_gap_says_so() {
    // weights too small to matter are set to zero at the end; here that cost more than there was to the tolerance
    let cases = [(209, 0.01), (296, 1e-3), (324, 0.05), (410, 1e-3), (468, 0.05), (507, 5e-3), (769, 0.1)];
    for (seed, tolerance) in cases {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (n, d) = (random.random_range(1..15), random.random_range(1..6));
        let values = (0..n * d).map(|_| random.random_range(-2.0..2.0)).collect();
        let design = DesignMatrix::from_dense(n, d, values).unwrap();
        let loss = [Loss::Squared, Loss::Logistic, Loss::Hinge][seed as usize % 3];
        let class = |y: f64| if loss == Loss::Squared { y } else { y.signum() };
        let target = (0..n).map(|_| class(random.random_range(-2.0..2.0))).collect();
        let beta = [0.01, 1.0, 100.0, 10.0, 0.1][random.random_range(0..5)];
        let training = Training::new(&design, target, loss, beta).unwrap();
        let norm = [Norm::Infinity, Norm::Euclidean][random.random_range(0..2)];
        let budget = Budget { norm, epsilon: [0.01, 0.1][random.random_range(0..2)], perturbed: d };
        let solver = RobustRelu { limits: limits(tolerance, 120), patterns: 8, ..RobustRelu::new(budget) };
        let solution = solver.solve(&training, &mut Monitor::none()).unwrap();
        assert_eq!(solution.status, Status::Solved, "seed {seed}");
        let relative = solution.certificate.relative;
        assert!(relative <= tolerance, "seed {seed}: {relative:e} at tolerance {tolerance}");
    }
}

#[test]
fn conjugate_gradients_on_a_graph_end_where_only_rounding_is_left() {
    // label - node - node - node - label with labels that cancel in the middle: nothing is left to iterate on, and the outer
    // nodes' own equations hold to rounding alone
    let mut left_at_rounding = 0;
    for case in 1..100 {
        let (first, second) = (0.1 * case as f64, 1.7);
        let mut triplets = TriMatI::<f64, u32>::new((5, 5));
        for (i, weight) in [first, second, second, first].into_iter().enumerate() {
            triplets.add_triplet(i, i + 1, weight);
        }
        let problem = LabelPropagation::new(&triplets.to_csr(), &[(0, 1.1), (4, -1.1)]).unwrap();
        let mut monitor = Monitor::none().with_observer(|record| {
            if record.iteration < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let (_, summary) =
            problem.solve_by_conjugate_gradients(true, &limits(0.0, 100), &mut monitor).unwrap();
        assert_ne!(summary.status, Status::Interrupted, "case {case}");
        left_at_rounding += usize::from(summary.certificate.value > 0.0);
    }
    assert!(left_at_rounding > 0);
}

#[test]
fn a_gradient_counts_an_intercept_that_is_not_the_best() {
    let design = DesignMatrix::from_dense(4, 1, vec![1.0, -1.0, 2.0, -2.0]).unwrap();
    let penalty = ElasticNet { l1: 0.0, l2: 0.1, weights: None };
    let model = LinearModel {
        intercept: true,
        ..LinearModel::new(design, vec![1.0, 2.0, 3.0, 4.0], loss::Squared, penalty)
    };
    let solver = CoordinateDescent { measure: Measure::Gradient, ..Default::default() };
    let fit = solver.solve(&model).unwrap();
    let (_, best) = certify(&model, &fit.coefficients, fit.intercept, Measure::Gradient).unwrap();
    let (_, off) = certify(&model, &fit.coefficients, fit.intercept + 0.5, Measure::Gradient).unwrap();
    // the mean of the residuals moves by as much as the intercept, in means of four rows
    assert!(best.value <= 1e-8 && (off.value - 0.5).abs() <= 1e-8, "{best:?} {off:?}");
}
