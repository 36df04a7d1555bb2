//! Optimal transport at the edges: forbidden arcs, trivial problems, bad input, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus::control::{Limits, Monitor, Status};
use gradus::transport::instances::instance;
use gradus::transport::{
    Cost, Error, Kept, Method, Metric, ProblemError, Transport, TransportProblem, UnbalancedTransport,
};

fn solver(method: Method, tolerance: f64) -> Transport {
    let limits = Limits { tolerance, max_iterations: 20_000, time_limit: None };
    Transport { method, limits, ..Transport::default() }
}

#[test]
fn forbidden_arcs_are_kept_out_and_infeasible_problems_are_named() {
    let n = 30;
    let banded = |width: usize| TransportProblem {
        cost: Cost::Dense {
            rows: n,
            columns: n,
            values: (0..n * n)
                .map(|k| {
                    let d = (k / n).abs_diff(k % n);
                    if d <= width { 0.1 * d as f64 } else { f64::INFINITY }
                })
                .collect(),
        },
        source: (0..n).map(|i| (i + 1) as f64 / 465.0).collect(),
        target: (0..n).map(|i| (n - i) as f64 / 465.0).collect(),
        regularization: 0.05,
    };
    let allowed = banded(20);
    let solution = solver(Method::Auto, 1e-9).solve(&allowed).unwrap();
    assert_eq!(solution.status, Status::Solved);
    let plan = solution.plan(&allowed).unwrap().to_sparse(0.0);
    assert!(plan.iter().all(|(_, (i, j))| (i as usize).abs_diff(j as usize) <= 20));
    // too narrow a band cannot carry the masses
    let limited = Transport {
        limits: Limits { tolerance: 1e-9, max_iterations: 5000, time_limit: None },
        ..Default::default()
    };
    assert_eq!(limited.solve(&banded(1)).unwrap().status, Status::Infeasible);
    let mut isolated = banded(20);
    let Cost::Dense { values, .. } = &mut isolated.cost else { panic!() };
    values[3 * n..4 * n].fill(f64::INFINITY);
    let error = solver(Method::Auto, 1e-9).solve(&isolated).unwrap_err();
    assert!(matches!(error, Error::Problem(ProblemError::NoArc { side: "source", index: 3, .. })));
}

#[test]
fn trivial_and_degenerate_problems_have_answers() {
    let dense = |rows: usize, columns: usize, values: Vec<f64>| Cost::Dense { rows, columns, values };
    let one = TransportProblem {
        cost: dense(1, 1, vec![3.0]),
        source: vec![2.0],
        target: vec![2.0],
        regularization: 0.1,
    };
    let solution = solver(Method::Auto, 1e-12).solve(&one).unwrap();
    assert!((solution.transport_cost - 6.0).abs() < 1e-12 && solution.status == Status::Solved);
    let row = TransportProblem {
        cost: dense(1, 3, vec![1.0, 2.0, 3.0]),
        source: vec![1.0],
        target: vec![0.5, 0.0, 0.5],
        regularization: 1e-3,
    };
    let solution = solver(Method::Auto, 1e-12).solve(&row).unwrap();
    assert!((solution.transport_cost - 2.0).abs() < 1e-12 && solution.target_potential[1].is_finite());
    let constant = TransportProblem {
        cost: dense(3, 2, vec![4.0; 6]),
        source: vec![0.2, 0.3, 0.5],
        target: vec![0.6, 0.4],
        regularization: 1e-2,
    };
    let solution = solver(Method::Auto, 1e-12).solve(&constant).unwrap();
    let plan = solution.plan(&constant).unwrap().to_dense();
    assert!((0..6).all(|k| (plan[k] - constant.source[k / 2] * constant.target[k % 2]).abs() < 1e-14));
    for method in [Method::Sinkhorn, Method::NewtonSparse, Method::SafeNewton, Method::LowRank] {
        assert_eq!(solver(method, 1e-10).solve(&constant).unwrap().status, Status::Solved, "{method:?}");
    }
    // equal points: the diagonal is free
    let x: Vec<f64> = (0..40).map(|k| (k % 20) as f64).collect();
    let points = Cost::Points { dimension: 1, source: x.clone(), target: x, metric: Metric::Euclidean };
    let uniform = vec![1.0 / 40.0; 40];
    let twins =
        TransportProblem { cost: points, source: uniform.clone(), target: uniform, regularization: 0.05 };
    let solution = solver(Method::Auto, 1e-10).solve(&twins).unwrap();
    assert!(solution.status == Status::Solved && solution.transport_cost < 1e-3);
}

#[test]
fn a_run_down_to_rounding_keeps_its_potentials_and_its_gap() {
    // tolerance 0: Newton's system no longer determines a common shift of the potentials
    let grid = TransportProblem {
        cost: Cost::Grid { source: [3, 1], target: [3, 2], metric: Metric::Euclidean },
        source: vec![1.0 / 3.0; 3],
        target: vec![1.0 / 6.0; 6],
        regularization: 0.1,
    };
    let solution = solver(Method::Auto, 0.0).solve(&grid).unwrap();
    assert!(solution.target_potential.iter().all(|g| g.abs() < 10.0), "{:?}", solution.target_potential);
    assert!(solution.certificate.value.abs() < 1e-12 && solution.marginal_error < 1e-12);
    // without balance the gap is a sum of terms that are nowhere negative: 0 is not reached by cancellation
    for regularization in [1e-4, 1e-2, 1.0] {
        let problem = TransportProblem { regularization, ..grid.clone() };
        let limits = Limits { tolerance: 0.0, max_iterations: 50, time_limit: None };
        let unbalanced = UnbalancedTransport {
            limits,
            source_penalty: 100.0,
            target_penalty: 1.0,
            ..UnbalancedTransport::default()
        };
        let solution = unbalanced.solve(&problem, &mut Monitor::none()).unwrap();
        let history = &solution.summary.history.records;
        assert!(history.iter().all(|record| record.certificate >= 0.0), "{regularization}");
    }
}

#[test]
fn bad_input_is_named() {
    let good = TransportProblem {
        cost: Cost::Dense { rows: 2, columns: 2, values: vec![0.0, 1.0, 1.0, 0.0] },
        source: vec![0.5, 0.5],
        target: vec![0.5, 0.5],
        regularization: 0.1,
    };
    let refused = |change: &dyn Fn(&mut TransportProblem)| {
        let mut bad = good.clone();
        change(&mut bad);
        match Transport::default().solve(&bad) {
            Err(Error::Problem(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(&|p| p.source[1] = -0.5),
        ProblemError::Mass { side: "source", index: 1, value: -0.5 }
    );
    assert!(matches!(
        refused(&|p| p.target[0] = f64::NAN),
        ProblemError::Mass { side: "target", index: 0, .. }
    ));
    assert!(matches!(refused(&|p| p.source[0] = f64::INFINITY), ProblemError::Mass { .. }));
    assert!(matches!(refused(&|p| p.source = vec![0.0, 0.0]), ProblemError::NoMass("source")));
    assert!(matches!(refused(&|p| p.source[0] = 0.6), ProblemError::Sums { .. }));
    assert!(matches!(refused(&|p| p.source.push(0.0)), ProblemError::Size { given: 3, expected: 2, .. }));
    for eps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(refused(&|p| p.regularization = eps), ProblemError::Regularization(_)));
    }
    let cost = |k: usize, value: f64| {
        refused(&|p| {
            if let Cost::Dense { values, .. } = &mut p.cost {
                values[k] = value;
            }
        })
    };
    assert!(matches!(cost(2, f64::NAN), ProblemError::Cost { row: 1, column: 0, .. }));
    assert!(matches!(cost(1, f64::NEG_INFINITY), ProblemError::Cost { row: 0, column: 1, .. }));
    assert!(matches!(
        refused(&|p| p.cost = Cost::Grid { source: [0, 3], target: [1, 2], metric: Metric::Euclidean }),
        ProblemError::Empty("source")
    ));
    let points = |source: Vec<f64>| Cost::Points {
        dimension: 1,
        source,
        target: vec![0.0, 1.0],
        metric: Metric::Euclidean,
    };
    assert!(matches!(
        refused(&|p| p.cost = points(vec![0.0, f64::NAN])),
        ProblemError::Coordinate { index: 1, .. }
    ));
    for solver in [
        Transport { relaxation: 2.5, ..Default::default() },
        Transport { stage_factor: 1.0, ..Default::default() },
        Transport { kept: Kept::Entries(0), ..Default::default() },
        Transport { limits: Limits { tolerance: f64::NAN, ..Default::default() }, ..Default::default() },
    ] {
        assert!(matches!(solver.solve(&good), Err(Error::Option(_))));
    }
    let start = Transport::default().solve_with(&good, Some(&[0.0]), &mut Monitor::none());
    assert!(matches!(start, Err(Error::Start { given: 1, expected: 2 })));
}

#[test]
fn runs_can_be_warm_started_limited_and_interrupted() {
    let problem = instance("points-300", 1e-3).unwrap();
    let cold = solver(Method::Auto, 1e-9).solve(&problem).unwrap();
    let warm = solver(Method::Auto, 1e-9)
        .solve_with(&problem, Some(&cold.target_potential), &mut Monitor::none())
        .unwrap();
    assert!(warm.status == Status::Solved && warm.counts["evaluations"] <= 3);
    for method in [Method::Auto, Method::Sinkhorn, Method::NewtonSparse, Method::SafeNewton, Method::LowRank]
    {
        let mut short = solver(method, 1e-12);
        short.limits.max_iterations = 3;
        let solution = short.solve(&problem).unwrap();
        assert_eq!(solution.status, Status::IterationLimit, "{method:?}");
        assert!(solution.marginal_error.is_finite() && solution.certificate.value >= 0.0);
        let mut seen = 0;
        let mut monitor = Monitor::none().with_observer(|_| {
            seen += 1;
            if seen == 2 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        });
        let stopped = solver(method, 1e-12).solve_with(&problem, None, &mut monitor).unwrap();
        assert_eq!(stopped.status, Status::Interrupted, "{method:?}");
    }
}
