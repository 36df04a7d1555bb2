//! Two hundred random problems with every edge case, against optima by enumeration and by a slow obvious solver: the
//! answers are optimal, and no certificate of any iterate is below its true error.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use gradus::control::{Limits, Status};
use gradus::coordinate::block::{BlockCoordinateDescent, Rule, UpdateRule};
use gradus::coordinate::{CoordinateDescent, Fit, Measure};
use gradus::linalg::DesignMatrix;
use gradus::linalg::factor::DenseIndefinite;
use gradus::problem::LinearModel;
use gradus::problem::loss::{self, Squared};
use gradus::problem::penalty::{Bounded, ElasticNet, Penalty};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[path = "common/coordinate.rs"]
mod common;
#[path = "common/recipes.rs"]
mod recipes;

use recipes::normal;

/// A small design with the edge case of the given number: zero, duplicate, proportional and wildly scaled columns, a
/// single row, more columns than rows, a column of ones.
fn edge(case: usize, random: &mut ChaCha8Rng) -> (usize, usize, Vec<f64>) {
    let (n, p) = match case % 10 {
        0 => (1, 3),
        1 => (3, 4),
        _ => (random.random_range(4..12), random.random_range(1..5)),
    };
    let mut values: Vec<f64> = (0..n * p).map(|_| normal(random)).collect();
    let last = (p - 1) * n;
    match case % 10 {
        2 => values[last..].fill(0.0),
        3 => values.copy_within(0..n, last),
        4 => (0..n).for_each(|i| values[last + i] = -3.0 * values[i]),
        5 => values[last..].iter_mut().for_each(|v| *v *= 1e6),
        6 => values[last..].iter_mut().for_each(|v| *v *= 1e-6),
        7 => values[last..].fill(1.0),
        8 => values.iter_mut().for_each(|v| *v = if *v > 0.0 { 1.0 } else { 0.0 }),
        _ => {}
    }
    (n, p, values)
}

/// The least objective over all assignments of coefficients to a bound, to zero or to one side of it, each solved as a
/// linear system: exact, exponential, and sharing nothing with the solver.
fn by_enumeration(model: &LinearModel, net: &ElasticNet, bounds: (f64, f64)) -> f64 {
    let (n, p) = (model.design.rows(), model.design.columns());
    let column = |j: usize| {
        let mut x = vec![0.0; p];
        x[j] = 1.0;
        let mut z = vec![0.0; n];
        model.design.multiply(&x, &mut z);
        z
    };
    let columns: Vec<Vec<f64>> = (0..p).map(column).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n as f64;
    let weight = |j: usize| net.weights.as_ref().map_or(1.0, |u| u[j]);
    let mut best = f64::INFINITY;
    // 0: at zero, 1: at lower, 2: at upper, 3: positive, 4: negative
    for mut code in 0..5usize.pow(p as u32) {
        let kinds: Vec<usize> = (0..p)
            .map(|_| {
                let kind = code % 5;
                code /= 5;
                kind
            })
            .collect();
        let fixed = |kind: usize| [0.0, bounds.0, bounds.1][kind];
        if kinds.iter().any(|&kind| kind < 3 && !fixed(kind).is_finite()) {
            continue;
        }
        let mut x: Vec<f64> = kinds.iter().map(|&kind| if kind < 3 { fixed(kind) } else { 0.0 }).collect();
        let free: Vec<usize> = (0..p).filter(|&j| kinds[j] > 2).collect();
        let k = free.len();
        if k > 0 {
            let mut residual = model.target.clone();
            for (j, column) in columns.iter().enumerate() {
                residual.iter_mut().zip(column).for_each(|(r, a)| *r -= x[j] * a);
            }
            let mut matrix: Vec<f64> = free
                .iter()
                .flat_map(|&a| free.iter().map(move |&b| (a, b)))
                .map(|(a, b)| dot(&columns[a], &columns[b]))
                .collect();
            let mut rhs = Vec::new();
            for (position, &j) in free.iter().enumerate() {
                matrix[position * k + position] += net.l2 * weight(j);
                let sign = if kinds[j] == 3 { 1.0 } else { -1.0 };
                rhs.push(dot(&columns[j], &residual) - sign * net.l1 * weight(j));
            }
            let mut solver = DenseIndefinite::new();
            // singular: a smaller support does as well
            if solver.factor(k, &matrix).is_err() || solver.solve_in_place(&mut rhs).is_err() {
                continue;
            }
            free.iter().zip(&rhs).for_each(|(&j, value)| x[j] = *value);
        }
        if x.iter().all(|x| x.is_finite() && *x >= bounds.0 && *x <= bounds.1) {
            best = best.min(common::objective(model, &x, 0.0));
        }
    }
    best
}

/// Optimal, and no certificate below the true error.
fn check(fit: &Fit, optimum: f64, what: &str) {
    // the scale of the gap is that of the objective at zero
    let size = fit.history.records[0].objective.abs().max(1e-300);
    assert!(fit.objective.is_finite() && fit.coefficients.iter().all(|x| x.is_finite()), "{what}");
    assert!((fit.objective - optimum).abs() <= 1e-9 * size + 1e-13, "{what}: {} {optimum}", fit.objective);
    if fit.certificate.kind != "duality_gap" {
        return;
    }
    assert!(fit.certificate.value >= fit.objective - optimum - 1e-13 * size, "{what} {:?}", fit.certificate);
    let scale =
        if fit.certificate.relative > 0.0 { fit.certificate.value / fit.certificate.relative } else { size };
    for record in &fit.history.records {
        let (gap, error) = (record.certificate * scale, record.objective - optimum);
        assert!(gap >= -1e-12 * size, "{what}: gap {gap}");
        assert!(gap >= error - 1e-11 * size, "{what}: gap {gap} below error {error}");
    }
    for pair in fit.history.records.windows(2) {
        assert!(pair[1].objective <= pair[0].objective + 1e-12 * size, "{what} rises");
    }
}

#[test]
fn squares_reach_the_enumerated_optimum_and_no_certificate_is_below_the_error() {
    let mut random = ChaCha8Rng::seed_from_u64(20);
    let limits = Limits { tolerance: 1e-12, max_iterations: 1000, time_limit: None };
    for case in 0..140usize {
        let (n, p, values) = edge(case, &mut random);
        let constant = case % 11 == 10;
        let y: Vec<f64> = (0..n).map(|_| if constant { 2.0 } else { 3.0 * normal(&mut random) }).collect();
        let design = DesignMatrix::from_dense(n, p, values).unwrap();
        let mut model = LinearModel::new(design, y, Squared, ElasticNet::default());
        let l1_max = model.l1_max().unwrap();
        let weights = (case % 7 == 3).then(|| (0..p).map(|j| 0.5 + j as f64).collect());
        let ridge = model.design.squares().iter().copied().fold(0.0, f64::max) / n as f64;
        // l1 of nothing, some, much, all
        let l1 = [0.0, 0.05, 0.4, 1.1][case % 4] * l1_max;
        let l2 = if l1 == 0.0 || case % 3 == 0 { 0.03 * ridge.min(10.0) } else { 0.0 };
        let net = ElasticNet { l1, l2, weights };
        let bounds = [(f64::NEG_INFINITY, f64::INFINITY), (0.0, f64::INFINITY), (-0.1, 0.3)][case % 3];
        model.penalty = match case % 3 {
            0 => Arc::new(net.clone()),
            _ => Arc::new(Bounded { inner: net.clone(), lower: vec![bounds.0; p], upper: vec![bounds.1; p] }),
        };
        let optimum = by_enumeration(&model, &net, bounds);
        let what = format!("case {case}: n {n} p {p} l1 {l1} l2 {l2} {bounds:?}");
        let fit = CoordinateDescent { limits: limits.clone(), ..Default::default() }.solve(&model).unwrap();
        assert!(matches!(fit.status, Status::Solved | Status::Stalled), "{what}");
        check(&fit, optimum, &what);
        let blocks = BlockCoordinateDescent {
            limits: Limits { max_iterations: 20_000, ..limits.clone() },
            rule: Rule::GaussSouthwellDiagonal,
            update: UpdateRule::Auto,
            block_size: 1 + case % 4,
            check_every: 1,
            ..Default::default()
        };
        check(&blocks.solve(&model).unwrap(), optimum, &format!("{what}, blocks"));
    }
}

#[test]
fn other_losses_reach_the_reference_and_no_certificate_is_below_the_error() {
    let mut random = ChaCha8Rng::seed_from_u64(21);
    for case in 0..60usize {
        let loss = loss::by_name(["logistic", "squared-hinge", "huber", "poisson"][case % 4]).unwrap();
        let (n, p, mut values) = edge(case, &mut random);
        // the slow solver cannot do with wild scales
        values.iter_mut().for_each(|v| *v = v.clamp(-3.0, 3.0));
        let target = common::targets(&*loss, n, case as u64);
        let design = DesignMatrix::from_dense(n, p, values).unwrap();
        let mut model = LinearModel::new(design, target, Squared, ElasticNet::default());
        (model.loss, model.intercept) = (loss, case % 3 == 1 && n > 2);
        let net = ElasticNet { l1: [0.0, 0.05, 0.2][case % 3], l2: 0.05, weights: None };
        let penalty: Arc<dyn Penalty> =
            if case % 5 == 0 { Arc::new(Bounded::non_negative(net, p)) } else { Arc::new(net) };
        model.penalty = penalty;
        let limits = Limits { tolerance: 1e-12, max_iterations: 1000, time_limit: None };
        let fit = CoordinateDescent { limits, measure: Measure::Gap, working_set: 3 }.solve(&model).unwrap();
        check(
            &fit,
            common::reference(&model).min(fit.objective),
            &format!("case {case}: {}", model.loss.name()),
        );
        assert!(fit.objective <= common::reference(&model) + 1e-9, "case {case}");
    }
}
