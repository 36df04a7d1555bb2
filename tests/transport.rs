//! Optimal transport through its public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::splitmix::SplitMix;
use gradus::transport::instances::{digit, instance};
use gradus::transport::{
    Cost, Error, Kept, Method, Metric, SinkhornForm, Solution, Transport, TransportProblem,
    UnbalancedTransport, divergence,
};
use proptest::prelude::*;

const FAMILIES: [&str; 6] =
    ["assignment-500", "points-500", "cloud8-500", "digits2-22", "digits1-22", "expnorm-500"];

/// Objectives at eps 1e-2, 1e-3, 1e-4 and the exact cost of each family, computed by independent programs.
const REFERENCE: [([f64; 3], f64); 6] = [
    ([-0.08706061362, -0.004427919273, 0.002607055609], 0.003341815826),
    ([-0.07597738852, 0.02215687327, 0.0302661596], 0.03104935719),
    ([-0.01665671745, 0.06227003818, 0.06907480762], 0.06980613032),
    ([-0.09066333452, -0.001523374656, 0.005610935121], 0.006348717554),
    ([-0.02991615264, 0.04933534784, 0.05713987247], 0.05800704169),
    ([0.01072520314, 0.1103388211, 0.1193625478], 0.1202413864),
];

fn solver(method: Method, tolerance: f64) -> Transport {
    Transport {
        method,
        limits: Limits { tolerance, max_iterations: 20_000, time_limit: None },
        ..Transport::default()
    }
}

/// Marginal errors and value of the plan of the potentials, by plain loops.
fn plan_of(problem: &TransportProblem, solution: &Solution) -> (Vec<f64>, f64, f64) {
    let (n, m) = problem.cost.shape();
    let eps = problem.regularization;
    let mut plan = vec![0.0; n * m];
    let mut value = 0.0;
    for i in 0..n {
        for j in 0..m {
            let c = problem.cost.at(i, j);
            let p = ((solution.source_potential[i] + solution.target_potential[j] - c) / eps).exp();
            plan[i * m + j] = p;
            value += if p > 0.0 { p * c + eps * p * (p.ln() - 1.0) } else { 0.0 };
        }
    }
    (plan.clone(), error_of(problem, &plan), value)
}

fn error_of(problem: &TransportProblem, plan: &[f64]) -> f64 {
    let m = problem.target.len();
    let rows: f64 =
        plan.chunks(m).zip(&problem.source).map(|(row, a)| (row.iter().sum::<f64>() - a).abs()).sum();
    let column = |j: usize| plan.iter().skip(j).step_by(m).sum::<f64>();
    rows + problem.target.iter().enumerate().map(|(j, b)| (column(j) - b).abs()).sum::<f64>()
}

#[test]
fn instances_have_their_published_sums() {
    let facts = [
        ("assignment-500", 125316.2820976786, Some(0.7457841775331148)),
        ("points-500", 40177.54153818762, Some(0.011282095159779806)),
        ("cloud8-500", 58058.151687042395, Some(0.08247644569275717)),
        ("digits2-22", 42761.01587301587, None),
        ("digits1-22", 81634.66666666666, None),
        ("expnorm-500", 41833.66733466934, None),
    ];
    for (name, sum, second) in facts {
        let problem = instance(name, 1e-2).unwrap();
        let Cost::Dense { values, .. } = &problem.cost else { panic!() };
        assert!((values.iter().sum::<f64>() / sum - 1.0).abs() < 1e-12, "{name}");
        assert!(second.is_none_or(|c| (values[1] / c - 1.0).abs() < 1e-12), "{name}");
    }
    assert!((instance("digits2-22", 1.0).unwrap().source[0] / 2.5826446280991737e-06 - 1.0).abs() < 1e-12);
    let expnorm = instance("expnorm-500", 1.0).unwrap();
    assert!((expnorm.source[0] / 0.010036960984494076 - 1.0).abs() < 1e-12);
    assert!((expnorm.target[250] / 0.003918254840609692 - 1.0).abs() < 1e-12);
    assert!(instance("points", 1.0).is_none() && instance("points-x", 1.0).is_none());
}

#[test]
fn the_path_solves_all_families_and_certifies_them() {
    for (k, eps) in [1e-2, 1e-3, 1e-4].into_iter().enumerate() {
        for (name, (objectives, exact)) in FAMILIES.iter().zip(REFERENCE) {
            let problem = instance(name, eps).unwrap();
            let loose = solver(Method::Auto, 1e-6).solve(&problem).unwrap();
            assert!(loose.status == Status::Solved && loose.marginal_error <= 1e-6, "{name} {eps}");
            let solution = solver(Method::Auto, 1e-10).solve(&problem).unwrap();
            assert_eq!(solution.status, Status::Solved, "{name} {eps}");
            let (_, error, value) = plan_of(&problem, &solution);
            assert!(error <= 1.001e-10 + 1e-13, "{name} {eps}: {error:e}");
            assert!((solution.marginal_error - error).abs() <= 2e-13);
            for objective in [solution.dual_objective, solution.objective, value] {
                assert!((objective - objectives[k]).abs() <= 1e-8, "{name} {eps}: {objective}");
            }
            assert_eq!(solution.certificate.kind, "duality_gap");
            assert!(
                (-1e-13..=1e-9).contains(&solution.certificate.value),
                "{:e}",
                solution.certificate.value
            );
            let (low, high) = solution.exact_cost;
            assert!(
                low <= exact * (1.0 + 1e-9) && exact <= high * (1.0 + 1e-9),
                "{name} {low} {exact} {high}"
            );
            assert!(solution.counts["evaluations"] <= 60, "{name} {eps}: {:?}", solution.counts);
        }
    }
}

#[test]
fn methods_agree_on_value_and_plan() {
    for name in ["assignment-120", "points-120", "cloud8-120", "digits2-11", "digits1-11", "expnorm-120"] {
        for eps in [1e-2, 3e-3] {
            let problem = instance(name, eps).unwrap();
            let auto = solver(Method::Auto, 1e-10).solve(&problem).unwrap();
            let (plan, _, _) = plan_of(&problem, &auto);
            // plain Sinkhorn needs far over ten thousand iterations on two families at the smaller eps
            let is_slow = eps < 5e-3 && (name.starts_with("cloud8") || name.starts_with("digits1"));
            for method in [Method::Sinkhorn, Method::SafeNewton] {
                if is_slow && method == Method::Sinkhorn {
                    continue;
                }
                let other = solver(method, 1e-10).solve(&problem).unwrap();
                assert_eq!(other.status, Status::Solved, "{name} {eps} {method:?}");
                assert!((other.dual_objective - auto.dual_objective).abs() <= 1e-9, "{name} {method:?}");
                let (theirs, _, _) = plan_of(&problem, &other);
                let distance: f64 = plan.iter().zip(&theirs).map(|(p, q)| (p - q).abs()).sum();
                assert!(distance <= 1e-7, "{name} {method:?}: {distance:e}");
            }
        }
    }
}

#[test]
fn every_form_of_sinkhorn_finds_the_same_potentials() {
    let problem = instance("points-150", 5e-3).unwrap();
    let auto = solver(Method::Auto, 1e-11).solve(&problem).unwrap();
    for form in [SinkhornForm::Kernel, SinkhornForm::Stabilized, SinkhornForm::Log] {
        for (scaling, relaxation) in [(false, 1.0), (true, 1.0), (false, 1.6)] {
            let solver =
                Transport { sinkhorn_form: form, scaling, relaxation, ..solver(Method::Sinkhorn, 1e-9) };
            let solution = solver.solve(&problem).unwrap();
            assert_eq!(solution.status, Status::Solved, "{form:?} {scaling} {relaxation}");
            assert!((solution.dual_objective - auto.dual_objective).abs() < 1e-10);
        }
    }
    // over-relaxation saves iterations
    let plain = solver(Method::Sinkhorn, 1e-9).solve(&problem).unwrap();
    let relaxed = Transport { relaxation: 1.6, ..solver(Method::Sinkhorn, 1e-9) }.solve(&problem).unwrap();
    assert!(relaxed.iterations < plain.iterations, "{} {}", relaxed.iterations, plain.iterations);
    // where the kernel underflows the plain form says that it failed, the stabilised one goes on
    let hard = instance("points-60", 2e-4).unwrap();
    let limits = Limits { tolerance: 1e-2, max_iterations: 3000, time_limit: None };
    let with =
        |form| Transport { sinkhorn_form: form, limits: limits.clone(), ..solver(Method::Sinkhorn, 1e-2) };
    let kernel = with(SinkhornForm::Kernel).solve(&hard).unwrap();
    assert!(kernel.status != Status::Solved || kernel.marginal_error <= 1e-2);
    let stabilized = with(SinkhornForm::Stabilized).solve(&hard).unwrap();
    assert_eq!(stabilized.status, Status::Solved, "{}", stabilized.marginal_error);
}

#[test]
fn the_published_newton_methods_reach_the_objective_or_say_that_they_stalled() {
    for (name, reference) in
        [("assignment-500", -0.004427919273), ("points-500", 0.02215687327), ("digits2-22", -0.001523374656)]
    {
        let problem = instance(name, 1e-3).unwrap();
        for method in [Method::NewtonSparse, Method::LowRank] {
            let mut solver = solver(method, 1e-6);
            solver.limits.max_iterations = 700;
            solver.kept = Kept::Entries(40 * 500);
            let solution = solver.solve(&problem).unwrap();
            if solution.status == Status::Solved {
                assert!((solution.dual_objective - reference).abs() <= 1e-6, "{name} {method:?}");
                assert!(solution.marginal_error <= 1e-6);
            } else {
                assert!(
                    matches!(solution.status, Status::Stalled | Status::IterationLimit),
                    "{name} {method:?}"
                );
                // what they return is certified all the same
                assert!(solution.certificate.value + 1e-13 >= reference - solution.dual_objective);
            }
        }
    }
}

#[test]
fn sinkhorn_newton_sparse_has_the_published_pattern() {
    for seed in 1..=5 {
        let problem = instance(&format!("assignment-500-{seed}"), 1.0 / 1200.0).unwrap();
        let newton_steps = |kept: usize, limit: u64| {
            let mut solver = solver(Method::NewtonSparse, 1e-12);
            solver.kept = Kept::Entries(kept);
            solver.limits.max_iterations = 20 + limit as usize;
            let solution = solver.solve(&problem).unwrap();
            (solution.status == Status::Solved, solution.counts["newton"])
        };
        let (solved, steps) = newton_steps(5 * 500, 30);
        assert!(solved && steps <= 12, "seed {seed}: {steps} steps with 5n entries");
        if seed <= 2 {
            let (solved, steps) = newton_steps(2 * 500, 45);
            assert!(!solved && steps > 40, "seed {seed}: {steps} steps with 2n entries");
        }
    }
}

#[test]
fn the_laws_of_translation_scale_and_transposition_hold() {
    let problem = instance("points-80", 5e-3).unwrap();
    let Cost::Dense { rows, columns, values } = problem.cost.clone() else { panic!() };
    let base = solver(Method::Auto, 1e-11).solve(&problem).unwrap();
    let (plan, _, _) = plan_of(&problem, &base);
    let close = |other: &[f64]| plan.iter().zip(other).all(|(p, q)| (p - q).abs() < 1e-11);
    let with = |values: Vec<f64>, eps: f64| TransportProblem {
        cost: Cost::Dense { rows, columns, values },
        source: problem.source.clone(),
        target: problem.target.clone(),
        regularization: eps,
    };
    // C + r_i + s_j
    let shifted =
        (0..rows * columns).map(|k| values[k] + (k / columns) as f64 * 0.1 - (k % columns) as f64 * 0.05);
    let shifted = with(shifted.collect(), 5e-3);
    let solution = solver(Method::Auto, 1e-11).solve(&shifted).unwrap();
    assert!(close(&plan_of(&shifted, &solution).0));
    // a huge offset
    let offset = with(values.iter().map(|c| c + 1e6).collect(), 5e-3);
    let solution = solver(Method::Auto, 1e-9).solve(&offset).unwrap();
    assert_eq!(solution.status, Status::Solved);
    assert!((solution.transport_cost - 1e6 - base.transport_cost).abs() < 1e-6);
    // (k C, k eps)
    let scaled = with(values.iter().map(|c| 1000.0 * c).collect(), 5.0);
    let solution = solver(Method::Auto, 1e-11).solve(&scaled).unwrap();
    assert!(close(&plan_of(&scaled, &solution).0));
    // masses of another sum
    let heavy = TransportProblem {
        source: problem.source.iter().map(|a| 7.0 * a).collect(),
        target: problem.target.iter().map(|b| 7.0 * b).collect(),
        ..problem.clone()
    };
    let solution = solver(Method::Auto, 1e-11).solve(&heavy).unwrap();
    let (heavy_plan, error, value) = plan_of(&heavy, &solution);
    assert!(error < 1e-10 && plan.iter().zip(&heavy_plan).all(|(p, q)| (7.0 * p - q).abs() < 1e-10));
    assert!((value - solution.dual_objective).abs() < 1e-10 && (solution.objective - value).abs() < 1e-9);
    // wide in place of tall
    let wide: Vec<usize> = (0..50).collect();
    let narrow = |transposed: bool| {
        let (n, m) = if transposed { (wide.len(), rows) } else { (rows, wide.len()) };
        let entry = |i: usize, j: usize| values[i * columns + wide[j]];
        let values =
            (0..n * m).map(|k| if transposed { entry(k % m, k / m) } else { entry(k / m, k % m) }).collect();
        let uniform = |k: usize| vec![1.0 / k as f64; k];
        TransportProblem {
            cost: Cost::Dense { rows: n, columns: m, values },
            source: uniform(n),
            target: uniform(m),
            regularization: 5e-3,
        }
    };
    let (tall, flat) = (narrow(false), narrow(true));
    let (p, q) = (
        solver(Method::Auto, 1e-11).solve(&tall).unwrap(),
        solver(Method::Auto, 1e-11).solve(&flat).unwrap(),
    );
    let (p, q) = (p.plan(&tall).unwrap().to_dense(), q.plan(&flat).unwrap().to_dense());
    assert!((0..rows).all(|i| (0..50).all(|j| (p[i * 50 + j] - q[j * rows + i]).abs() < 1e-12)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rounded_plans_are_feasible_and_near(
        n in 2usize..12, m in 2usize..12, seed in 0u64..1000, exponent in -3.0f64..0.0, iterations in 0usize..6,
    ) {
        let mut random = SplitMix(seed);
        let share = |mut w: Vec<f64>| {
            // some masses are zero, some tiny
            w.iter_mut().enumerate().for_each(|(k, w)| *w = if k % 5 == 3 { 0.0 } else { w.powi(4) + 1e-9 });
            let sum: f64 = w.iter().sum();
            w.into_iter().map(|w| w / sum).collect::<Vec<f64>>()
        };
        let problem = TransportProblem {
            cost: Cost::Dense { rows: n, columns: m, values: random.uniforms(n * m) },
            source: share(random.uniforms(n)),
            target: share(random.uniforms(m)),
            regularization: 10f64.powf(exponent),
        };
        // stopped early: a plan with an error
        let mut solver = solver(Method::Sinkhorn, 1e-14);
        solver.sinkhorn_form = SinkhornForm::Log;
        solver.limits.max_iterations = iterations;
        let solution = solver.solve(&problem).unwrap();
        let plan = solution.plan(&problem).unwrap().to_dense();
        prop_assert!(plan.iter().all(|p| *p >= 0.0));
        prop_assert!(error_of(&problem, &plan) <= 4e-15 * (n + m) as f64, "{}", error_of(&problem, &plan));
        let (raw, error, _) = plan_of(&problem, &solution);
        let raw: Vec<f64> = raw.iter().enumerate()
            .map(|(k, p)| if problem.source[k / m] > 0.0 && problem.target[k % m] > 0.0 { *p } else { 0.0 }).collect();
        let distance: f64 = plan.iter().zip(&raw).map(|(p, q)| (p - q).abs()).sum();
        prop_assert!((error_of(&problem, &raw) - solution.marginal_error).abs() < 1e-12);
        prop_assert!(distance <= 2.0 * solution.marginal_error + 1e-13, "{distance} {error}");
        // the primal value is an upper bound of that of the rounded plan, and the gap closes with the error
        let value: f64 = plan.iter().enumerate().filter(|(_, p)| **p > 0.0)
            .map(|(k, p)| p * problem.cost.at(k / m, k % m) + problem.regularization * p * (p.ln() - 1.0)).sum();
        prop_assert!(value <= solution.objective + 1e-12, "{value} {}", solution.objective);
        prop_assert!(solution.dual_objective <= value + 1e-12);
        let cost: f64 = plan.iter().enumerate().map(|(k, p)| p * problem.cost.at(k / m, k % m)).sum();
        prop_assert!((cost - solution.transport_cost).abs() < 1e-12);
    }

    #[test]
    fn random_small_problems_are_solved(
        n in 2usize..40, m in 2usize..40, seed in 0u64..10_000, exponent in -3.5f64..0.0, kind in 0u8..4,
    ) {
        let mut random = SplitMix(seed);
        let values: Vec<f64> = random.uniforms(n * m).into_iter().enumerate().map(|(k, u)| match kind {
            0 => u,
            1 => (8.0 * u).floor() / 8.0,
            2 => ((k / m) as f64 / n as f64 - (k % m) as f64 / m as f64).powi(2),
            _ => 1e-9 * u + ((k / m) as f64 / n as f64 - (k % m) as f64 / m as f64).abs(),
        }).collect();
        let share = |w: Vec<f64>| {
            let raw: Vec<f64> = w.iter().map(|w| w.powi(6) + 1e-20).collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(|w| w / sum).collect::<Vec<f64>>()
        };
        let problem = TransportProblem {
            cost: Cost::Dense { rows: n, columns: m, values },
            source: share(random.uniforms(n)),
            target: share(random.uniforms(m)),
            regularization: 10f64.powf(exponent),
        };
        let solution = solver(Method::Auto, 1e-9).solve(&problem).unwrap();
        prop_assert_eq!(solution.status, Status::Solved, "error {:e}", solution.marginal_error);
        prop_assert!(solution.certificate.value >= -1e-12 && solution.certificate.value <= 1e-7);
    }
}

#[test]
fn points_streamed_and_as_a_matrix_have_one_answer() {
    let mut random = SplitMix(11);
    let (source, target) =
        (random.uniforms(2 * 900), random.normals(2 * 700).iter().map(|g| 0.5 + 0.2 * g).collect());
    for metric in [Metric::SquaredEuclidean, Metric::Euclidean] {
        let cost = Cost::Points { dimension: 2, source: source.clone(), target: Vec::clone(&target), metric };
        let regularization = 2e-3 * cost.largest();
        let problem = TransportProblem {
            cost,
            source: vec![1.0 / 900.0; 900],
            target: vec![1.0 / 700.0; 700],
            regularization,
        };
        let with = |matrix_entries| {
            Transport { matrix_entries, ..solver(Method::Auto, 1e-10) }.solve(&problem).unwrap()
        };
        let (streamed, whole) = (with(0), with(1 << 20));
        assert_eq!((streamed.status, whole.status), (Status::Solved, Status::Solved));
        assert!((streamed.dual_objective - whole.dual_objective).abs() < 1e-11);
        assert!((streamed.transport_cost - whole.transport_cost).abs() < 1e-9);
        let sparse = streamed.plan(&problem).unwrap().to_sparse(1e-12);
        assert!((sparse.data().iter().sum::<f64>() - 1.0).abs() < 1e-8 && sparse.nnz() < 900 * 700 / 2);
        // the map of a plan keeps the mean
        let moved = whole.plan(&problem).unwrap().map(&target, 2);
        let mean = |points: &[f64]| points.iter().step_by(2).sum::<f64>() / (points.len() / 2) as f64;
        assert!((mean(&moved) - mean(&target)).abs() < 1e-9);
    }
}

#[test]
fn many_points_are_solved_through_their_clusters() {
    let mut random = SplitMix(5);
    let n = 6000;
    let source = random.uniforms(3 * n);
    let target: Vec<f64> = random.normals(3 * n).iter().map(|g| 0.5 + 0.15 * g).collect();
    let cost = Cost::Points { dimension: 3, source, target, metric: Metric::SquaredEuclidean };
    let regularization = 2e-3 * cost.largest();
    let uniform = vec![1.0 / n as f64; n];
    let problem = TransportProblem { cost, source: uniform.clone(), target: uniform, regularization };
    let solution = solver(Method::Auto, 1e-7).solve(&problem).unwrap();
    assert_eq!(solution.status, Status::Solved);
    assert!(solution.counts["coarse_evaluations"] > 0 && solution.counts["evaluations"] < 60);
    assert!((0.0..1e-6).contains(&solution.certificate.value));
}

#[test]
fn images_are_solved_with_black_pixels_and_different_sizes() {
    let mut a = digit(0, 20);
    a.iter_mut().for_each(|v| *v = if *v < 2e-4 { 0.0 } else { *v });
    let b = digit(1, 30);
    let share = |w: &[f64]| w.iter().map(|v| v / w.iter().sum::<f64>()).collect::<Vec<f64>>();
    for metric in [Metric::SquaredEuclidean, Metric::Manhattan, Metric::Euclidean] {
        let cost = Cost::Grid { source: [20, 20], target: [30, 30], metric };
        let regularization = 2e-3 * cost.largest();
        let problem = TransportProblem { cost, source: share(&a), target: share(&b), regularization };
        let with = |matrix_entries| {
            Transport { matrix_entries, ..solver(Method::Auto, 1e-9) }.solve(&problem).unwrap()
        };
        let (grid, dense) = (with(0), with(1 << 20));
        assert_eq!((grid.status, dense.status), (Status::Solved, Status::Solved), "{metric:?}");
        assert!((grid.dual_objective / dense.dual_objective - 1.0).abs() < 1e-10);
        assert!(grid.source_potential.iter().all(|f| f.is_finite()));
        let log = Transport {
            matrix_entries: 0,
            sinkhorn_form: SinkhornForm::Log,
            ..solver(Method::Sinkhorn, 1e-3)
        };
        assert_eq!(log.solve(&problem).unwrap().status, Status::Solved);
    }
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let mut random = SplitMix(2);
    let (source, target) = (random.uniforms(2 * 1500), random.uniforms(2 * 1400));
    let cost = Cost::Points { dimension: 2, source, target, metric: Metric::SquaredEuclidean };
    let uniform = |n: usize| vec![1.0 / n as f64; n];
    let points =
        TransportProblem { cost, source: uniform(1500), target: uniform(1400), regularization: 1e-3 };
    let matrix = instance("cloud8-500", 1e-3).unwrap();
    for (problem, matrix_entries) in [(&points, 0), (&matrix, 1 << 20)] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let solver = Transport { matrix_entries, ..solver(Method::Auto, 1e-8) };
            pool.install(|| solver.solve(problem).unwrap())
        };
        let one = run(1);
        for threads in [2, 3] {
            let other = run(threads);
            assert_eq!(one.target_potential, other.target_potential);
            assert_eq!(one.certificate.value.to_bits(), other.certificate.value.to_bits());
            assert_eq!(one.counts, other.counts);
        }
    }
}

#[test]
fn unbalanced_transport_tends_to_balanced_and_closes_its_gap() {
    let mut problem = instance("points-60", 1e-2).unwrap();
    let balanced = solver(Method::Auto, 1e-10).solve(&problem).unwrap();
    let stiff = UnbalancedTransport {
        limits: Limits { tolerance: 1e-9, ..Limits::default() },
        source_penalty: 1e6,
        target_penalty: 1e6,
        ..Default::default()
    };
    let solution = stiff.solve(&problem, &mut Monitor::none()).unwrap();
    assert!((solution.transport_cost - balanced.transport_cost).abs() < 1e-5);
    // masses that differ: the plan lies between them
    problem.source.iter_mut().for_each(|a| *a *= 3.0);
    for (tau_a, tau_b) in [(1.0, 1.0), (0.05, 2.0), (10.0, 0.1)] {
        let solver = UnbalancedTransport {
            limits: Limits { tolerance: 1e-10, ..Limits::default() },
            source_penalty: tau_a,
            target_penalty: tau_b,
            ..Default::default()
        };
        let solution = solver.solve(&problem, &mut Monitor::none()).unwrap();
        assert_eq!(solution.summary.status, Status::Solved);
        let mass: f64 = solution.row_sums.iter().sum();
        assert!(mass > 0.5 && mass < 3.0);
        assert!((-1e-12..1e-9).contains(&solution.summary.certificate.value));
        // stationarity: tau log(P1/a) = -f
        for ((r, a), f) in solution.row_sums.iter().zip(&problem.source).zip(&solution.source_potential) {
            assert!((tau_a * (r / a).ln() + f).abs() < 1e-3, "{r} {a} {f}");
        }
    }
    let wrong = UnbalancedTransport { source_penalty: -1.0, ..Default::default() };
    assert!(matches!(wrong.solve(&problem, &mut Monitor::none()), Err(Error::Option(_))));
}

#[test]
fn the_divergence_is_zero_for_equal_sides_and_positive_otherwise() {
    let mut random = SplitMix(9);
    let x = random.uniforms(2 * 70);
    let y = random.uniforms(2 * 50);
    let uniform = |n: usize| vec![1.0 / n as f64; n];
    let problem = |target: &[f64]| TransportProblem {
        cost: Cost::Points {
            dimension: 2,
            source: x.clone(),
            target: target.to_vec(),
            metric: Metric::SquaredEuclidean,
        },
        source: uniform(70),
        target: uniform(target.len() / 2),
        regularization: 0.02,
    };
    let solver = solver(Method::Auto, 1e-10);
    let same = divergence(&solver, &problem(&x), &mut Monitor::none()).unwrap();
    assert!(same.value.abs() < 1e-12 && same.status == Status::Solved);
    let other = divergence(&solver, &problem(&y), &mut Monitor::none()).unwrap();
    assert!(other.value > 1e-4 && other.gap < 1e-8);
    assert!(divergence(&solver, &instance("points-20", 0.1).unwrap(), &mut Monitor::none()).is_err());
}
