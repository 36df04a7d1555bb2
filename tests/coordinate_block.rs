//! Block coordinate descent: every rule with every update, forests, identification, the published orders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus::control::{Limits, Monitor, Status};
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::{CoordinateDescent, Measure};
use gradus::linalg::DesignMatrix;
use gradus::linalg::factor::{DenseCholesky, SparseCholesky};
use gradus::linalg::forest::{ForestError, ForestSolver, colour_classes, forest_partition, greedy_forest};
use gradus::problem::penalty::{Bounded, ElasticNet, Group};
use gradus::problem::{BoxQuadratic, LinearModel, MultinomialModel, loss};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

#[path = "common/recipes.rs"]
mod recipes;

use recipes::{lattice, least_squares, normal, steps};

#[test]
fn better_rules_blocks_and_updates_multiply_as_published() {
    use Partition::{Average, Order, Sort, Variable};
    use Rule::{GaussSouthwell as Gs, GaussSouthwellDiagonal as Gsd, GaussSouthwellLipschitz as Gsl, Random};
    use UpdateRule::{Gradient, Matrix};
    for seed in [1, 2, 3] {
        let (design, y) = least_squares(1000, 10_000, seed);
        let model = LinearModel::new(design, y, loss::Squared, ElasticNet::default());
        let start = steps(0, Variable, Random, Gradient, 5).solve(&model).unwrap().objective;
        let after = |partition, rule, update, size| {
            let fit = steps(500, partition, rule, update, size).solve(&model).unwrap();
            assert_eq!((fit.status, fit.iterations), (Status::IterationLimit, 500));
            fit.objective
        };
        let gsl = after(Variable, Gsl, Gradient, 5);
        assert!(gsl <= 0.5 * after(Variable, Gs, Gradient, 5));
        assert!(after(Variable, Random, Gradient, 5) >= 100.0 * gsl);
        let gsd_matrix = after(Variable, Gsd, Matrix, 5);
        assert!(gsd_matrix <= 1e-7 * start, "{gsd_matrix:e} of {start:e}");
        assert!(gsd_matrix <= 1e-2 * after(Variable, Gsl, Matrix, 5));
        let (sort, average, order) = (
            after(Sort, Gsl, Gradient, 20),
            after(Average, Gsl, Gradient, 20),
            after(Order, Gsl, Gradient, 20),
        );
        println!("seed {seed}: sort {sort:e}, average {average:e}, order {order:e}");
        assert!(sort <= 0.2 * average && average <= 0.2 * order);
    }
}

#[test]
fn matching_pursuit_takes_fewer_steps_than_hard_thresholding() {
    let (design, y) = least_squares(1000, 10_000, 1);
    let model = LinearModel::new(design, y, loss::Squared, ElasticNet::default());
    // 1e-6 of the published sum of squares is 1e-9 of the mean
    let needed = |rule| {
        let mut solver = steps(160, Partition::Variable, rule, UpdateRule::Matrix, 50);
        solver.check_every = 1;
        let fit = solver.solve(&model).unwrap();
        let reached = fit.history.records.iter().position(|r| r.objective <= 1e-9);
        reached.unwrap_or(usize::MAX)
    };
    let (omp, iht) = (needed(Rule::MatchingPursuit), needed(Rule::GaussSouthwellQuadratic));
    println!("steps to 1e-6: matching pursuit {omp}, hard thresholding {iht}");
    assert!(omp as f64 <= 0.6 * iht as f64);
}

/// A random forest on n nodes as a diagonally dominant matrix, every node joined to an earlier one with probability 0.9.
fn random_forest(n: usize, random: &mut ChaCha8Rng) -> CsMatI<f64, u32> {
    let mut triplets = TriMatI::<f64, u32>::new((n, n));
    let mut diagonal: Vec<f64> = (0..n).map(|_| 0.1 + random.random::<f64>()).collect();
    for i in 1..n {
        if random.random_bool(0.9) {
            let j = random.random_range(0..i);
            let value = normal(random);
            triplets.add_triplet(i, j, value);
            triplets.add_triplet(j, i, value);
            (diagonal[i], diagonal[j]) = (diagonal[i] + value.abs(), diagonal[j] + value.abs());
        }
    }
    diagonal.iter().enumerate().for_each(|(i, &d)| triplets.add_triplet(i, i, d));
    triplets.to_csr()
}

#[test]
fn messages_solve_forests_as_cholesky_does() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for case in 0..100u32 {
        let n = 10f64.powf(f64::from(case) * 5.0 / 99.0) as usize;
        let matrix = random_forest(n, &mut random);
        let rhs: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
        let (mut by_messages, mut by_cholesky) = (rhs.clone(), rhs);
        let all: Vec<usize> = (0..n).collect();
        ForestSolver::new().solve(matrix.view(), &all, &mut by_messages).unwrap();
        let mut cholesky = SparseCholesky::new();
        cholesky.factor(matrix.view()).unwrap();
        cholesky.solve_in_place(&mut by_cholesky).unwrap();
        let size = by_cholesky.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (a, b) in by_messages.iter().zip(&by_cholesky) {
            assert!((a - b).abs() <= 1e-12 * size, "{n} nodes: {a} {b}");
        }
    }
}

#[test]
fn a_cycle_and_an_indefinite_block_are_named() {
    let mut triplets = TriMatI::<f64, u32>::new((4, 4));
    for (i, j) in [(0, 1), (1, 2), (2, 0), (2, 3)] {
        triplets.add_triplet(i, j, -1.0);
        triplets.add_triplet(j, i, -1.0);
    }
    (0..4).for_each(|i| triplets.add_triplet(i, i, 1.0));
    let matrix: CsMatI<f64, u32> = triplets.to_csr();
    let mut solver = ForestSolver::new();
    let Err(ForestError::Cycle { mut cycle }) = solver.solve(matrix.view(), &[0, 1, 2, 3], &mut [1.0; 4])
    else {
        panic!("a cycle was not seen");
    };
    cycle.sort_unstable();
    assert_eq!(cycle, [0, 1, 2]);
    let error = solver.solve(matrix.view(), &[0, 1, 3], &mut [1.0; 3]).unwrap_err();
    assert!(matches!(error, ForestError::NotPositiveDefinite { .. }));
    let partition = forest_partition(matrix.view(), &[0, 1, 2, 3]);
    assert_eq!(partition, [vec![0, 1, 3], vec![2]]);
    assert_eq!(greedy_forest(matrix.view(), [2, 1, 3, 0]), [1, 2, 3]);
    assert_eq!(colour_classes(matrix.view(), &[0, 1, 2, 3]).len(), 3);
}

#[test]
fn forests_order_as_published_on_the_lattice() {
    for seed in [1, 2, 3] {
        let problem = lattice(50, seed);
        let mut exact = problem.linear.clone();
        let mut cholesky = SparseCholesky::new();
        cholesky.factor(problem.matrix.view()).unwrap();
        cholesky.solve_in_place(&mut exact).unwrap();
        // F(x) - F* = (x - x*)'Q(x - x*) / 2, without cancellation
        let error = |x: &[f64]| {
            let e: Vec<f64> = x.iter().zip(&exact).map(|(a, b)| a - b).collect();
            let mut product = vec![0.0; e.len()];
            gradus::linalg::product::multiply(problem.matrix.view(), &e, &mut product);
            0.5 * e.iter().zip(&product).map(|(a, b)| a * b).sum::<f64>()
        };
        let after = |partition, rule, update, size| {
            let solver = steps(500, partition, rule, update, size);
            error(&solver.solve_quadratic(&problem, None, &mut Monitor::none()).unwrap().x)
        };
        let start = error(&vec![0.0; exact.len()]);
        let forest = UpdateRule::Forest;
        let general = after(Partition::Variable, Rule::GaussSouthwell, UpdateRule::Matrix, 13);
        let red_black = after(Partition::Colours, Rule::Cyclic, forest, 0);
        let random_tree = after(Partition::Variable, Rule::RandomForest, forest, 0);
        let partition = after(Partition::Forests, Rule::Cyclic, forest, 0);
        let greedy = after(Partition::Variable, Rule::GreedyForest, forest, 0);
        println!("seed {seed}: {start:e} {general:e} {red_black:e} {random_tree:e} {partition:e} {greedy:e}");
        // how far the labels are from the farthest node decides the last decade
        assert!(greedy <= 1e-11 * start);
        assert!(general > red_black && red_black > random_tree && random_tree > partition.min(greedy));
    }
}

#[test]
fn the_support_is_found_and_one_more_step_ends_it() {
    for seed in [1, 2, 3] {
        let (design, y) = least_squares(1000, 10_000, seed);
        let mut model = LinearModel::lasso(design, y, 0.0);
        let inner = ElasticNet { l1: 0.23 * model.l1_max().unwrap(), ..ElasticNet::default() };
        model.penalty = std::sync::Arc::new(Bounded::non_negative(inner, 10_000));
        let mut solver =
            steps(30, Partition::Variable, Rule::GaussSouthwellDiagonal, UpdateRule::TwoMetric, 100);
        (solver.check_every, solver.measure, solver.limits.tolerance) = (1, Measure::Gap, 1e-12);
        let fit = solver.solve(&model).unwrap();
        let records = &fit.history.records;
        let hash = |k: usize| records[k].extra[4];
        let last = records.len() - 1;
        let found = (0..=last).find(|&k| (k..=last).all(|later| hash(later) == hash(last))).unwrap();
        println!("seed {seed}: {} steps, support of {} found at {found}", fit.iterations, fit.nonzeros());
        assert_eq!(fit.status, Status::Solved);
        assert!(fit.iterations <= 10 && found <= 6 && last <= found + 1);
    }
}

/// A small random design; now and then a zero column, a duplicate column, and wild scales.
fn small(random: &mut ChaCha8Rng) -> (usize, usize, DesignMatrix) {
    let (n, p) = (random.random_range(1..12), random.random_range(1..10));
    let mut values: Vec<f64> = (0..n * p).map(|_| normal(random)).collect();
    let column = random.random_range(0..p);
    match random.random_range(0..4) {
        0 => values[column * n..(column + 1) * n].fill(0.0),
        1 => values.copy_within(0..n, column * n),
        2 => values[column * n..(column + 1) * n].iter_mut().for_each(|v| *v *= 10.0),
        _ => {}
    }
    (n, p, DesignMatrix::from_dense(n, p, values).unwrap())
}

const RULES: [Rule; 10] = [
    Rule::Random,
    Rule::Cyclic,
    Rule::Permuted,
    Rule::Lipschitz,
    Rule::GaussSouthwell,
    Rule::GaussSouthwellLipschitz,
    Rule::GaussSouthwellDiagonal,
    Rule::GaussSouthwellQuadratic,
    Rule::MatchingPursuit,
    Rule::MaximumImprovement,
];

#[test]
fn every_rule_with_every_update_reaches_the_optimum_and_never_rises() {
    use UpdateRule::{Accumulated, Gradient, Matrix, Newton, ProxNewton, TwoMetric};
    let updates = [Gradient, Accumulated, Matrix, Newton, ProxNewton, TwoMetric];
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for case in 0..240 {
        let (n, p, design) = small(&mut random);
        let classification = case % 2 == 1;
        let y: Vec<f64> = (0..n)
            .map(|_| normal(&mut random))
            .map(|y| if classification { y.signum() } else { y })
            .collect();
        let inner = ElasticNet { l1: [0.0, 0.02, 0.3][case % 3], l2: 0.1, weights: None };
        let mut model = if classification {
            LinearModel::new(design, y, loss::Logistic, inner.clone())
        } else {
            LinearModel::new(design, y, loss::Squared, inner.clone())
        };
        if case % 5 == 4 {
            model.penalty = std::sync::Arc::new(Bounded { inner, lower: vec![-0.1; p], upper: vec![0.2; p] });
        }
        let partitions = [Partition::Variable, Partition::Order, Partition::Sort, Partition::Average];
        let (rule, update) = (RULES[case % RULES.len()], updates[(case / RULES.len()) % updates.len()]);
        let mut solver = steps(200_000, partitions[case % 4].clone(), rule, update, 1 + case % 4);
        (solver.check_every, solver.measure, solver.limits.tolerance) = (7, Measure::Gap, 1e-10);
        let limits = Limits { tolerance: 1e-12, ..Limits::default() };
        let reference =
            CoordinateDescent { limits, measure: Measure::Gap, working_set: 20 }.solve(&model).unwrap();
        let fit = solver.solve(&model).unwrap();
        let size = fit.history.records[0].objective.abs();
        let what = format!(
            "case {case}: {rule:?} {update:?} {:?} {} {}",
            solver.partition, fit.objective, reference.objective
        );
        assert!(fit.status == Status::Solved, "{what}: {}", fit.status);
        assert!((fit.objective - reference.objective).abs() <= 1e-9 * size, "{what}");
        for pair in fit.history.records.windows(2) {
            assert!(pair[1].objective <= pair[0].objective + 1e-13 * size, "{what} rises");
        }
        // the certificate is never below the true error
        for record in &fit.history.records {
            assert!(
                record.certificate * size >= record.objective - reference.objective - 1e-12 * size,
                "{what}"
            );
        }
    }
}

#[test]
fn the_matrix_update_is_the_slow_obvious_one() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let (n, p) = (30, 12);
    let values: Vec<f64> = (0..n * p).map(|_| normal(&mut random)).collect();
    let y: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
    let design = DesignMatrix::from_dense(n, p, values.clone()).unwrap();
    let model =
        LinearModel::new(design, y.clone(), loss::Squared, ElasticNet { l2: 0.3, ..ElasticNet::default() });
    let fit = steps(40, Partition::Order, Rule::Cyclic, UpdateRule::Matrix, 5).solve(&model).unwrap();
    // dense normal equations, block by block
    let entry = |i: usize, j: usize| {
        let product: f64 = (0..n).map(|r| values[i * n + r] * values[j * n + r]).sum();
        product / n as f64 + if i == j { 0.3 } else { 0.0 }
    };
    let mut x = vec![0.0; p];
    for step in 0..40 {
        let block: Vec<usize> = (0..p).filter(|i| i / 5 == step % 3).collect();
        let gradient = |i: usize| -> f64 {
            let target: f64 = (0..n).map(|r| values[i * n + r] * y[r]).sum::<f64>() / n as f64;
            (0..p).map(|j| entry(i, j) * x[j]).sum::<f64>() - target
        };
        let mut d: Vec<f64> = block.iter().map(|&i| -gradient(i)).collect();
        let matrix: Vec<f64> = block
            .iter()
            .flat_map(|&j| block.iter().map(move |&i| (i, j)))
            .map(|(i, j)| entry(i, j))
            .collect();
        let mut cholesky = DenseCholesky::new();
        cholesky.factor(block.len(), &matrix).unwrap();
        cholesky.solve_in_place(&mut d).unwrap();
        block.iter().zip(d).for_each(|(&i, d)| x[i] += d);
    }
    for (a, b) in fit.coefficients.iter().zip(&x) {
        assert!((a - b).abs() <= 1e-12, "{a} {b}");
    }
}

#[test]
fn softmax_blocks_reach_the_optimum_under_its_certificate() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let (n, p, k) = (40, 6, 4);
    let values: Vec<f64> = (0..n * p).map(|_| normal(&mut random)).collect();
    let target: Vec<usize> = (0..n).map(|_| random.random_range(0..k)).collect();
    let design = DesignMatrix::from_dense(n, p, values).unwrap();
    for (l1, l2) in [(0.0, 0.05), (0.03, 0.0), (0.02, 0.02)] {
        let model =
            MultinomialModel::new(design.clone(), target.clone(), k, ElasticNet { l1, l2, weights: None });
        let mut objectives = Vec::new();
        for update in [
            UpdateRule::Gradient,
            UpdateRule::Accumulated,
            UpdateRule::Matrix,
            UpdateRule::Newton,
            UpdateRule::TwoMetric,
        ] {
            let mut solver = steps(50_000, Partition::Variable, Rule::GaussSouthwellDiagonal, update, 5);
            (solver.check_every, solver.measure, solver.limits.tolerance) = (10, Measure::Gap, 1e-10);
            let solution = solver.solve_multinomial(&model, None, &mut Monitor::none()).unwrap();
            assert_eq!(solution.summary.status, Status::Solved, "{update:?} {l1} {l2}");
            objectives.push(solution.summary.objective);
        }
        assert!(objectives.iter().all(|f| (f - objectives[0]).abs() <= 3e-10));
    }
}

#[test]
fn groups_are_zero_as_a_whole_and_single_groups_are_the_lasso() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let (n, p) = (30, 12);
    let design = DesignMatrix::from_dense(n, p, (0..n * p).map(|_| normal(&mut random)).collect()).unwrap();
    let y: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
    let model = LinearModel::lasso(design, y, 0.1);
    let mut solver =
        steps(100_000, Partition::Variable, Rule::GaussSouthwellLipschitz, UpdateRule::Gradient, 0);
    (solver.check_every, solver.measure, solver.limits.tolerance) = (10, Measure::Gap, 1e-11);
    let singles = Group { l1: 0.1, groups: (0..p).map(|j| vec![j]).collect(), weights: None };
    let fit = solver.solve_groups(&model, &singles, &mut Monitor::none()).unwrap();
    let lasso = CoordinateDescent::default().solve(&model).unwrap();
    assert!((fit.objective - lasso.objective).abs() <= 2e-6);
    let groups =
        Group { l1: 0.12, groups: (0..4).map(|g| (3 * g..3 * g + 3).collect()).collect(), weights: None };
    for update in [UpdateRule::Gradient, UpdateRule::Accumulated] {
        let fit = BlockCoordinateDescent { update, ..solver.clone() }
            .solve_groups(&model, &groups, &mut Monitor::none())
            .unwrap();
        assert_eq!(fit.status, Status::Solved);
        for g in 0..4 {
            let zeros = (3 * g..3 * g + 3).filter(|&j| fit.coefficients[j] == 0.0).count();
            assert!(zeros == 0 || zeros == 3);
        }
    }
}

#[test]
fn box_quadratics_are_solved_under_their_gap() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    for _ in 0..20 {
        let n = random.random_range(1..40);
        let matrix = random_forest(n, &mut random);
        let linear: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
        let bounds = Some((vec![-0.3; n], vec![0.2; n]));
        let problem = BoxQuadratic { matrix, linear, bounds };
        let limits = Limits { tolerance: 1e-12, max_iterations: 10_000, time_limit: None };
        let solve = |update| {
            let solver = BlockCoordinateDescent {
                limits: limits.clone(),
                update,
                check_every: 1,
                ..Default::default()
            };
            solver.solve_quadratic(&problem, None, &mut Monitor::none()).unwrap()
        };
        let (a, b) = (solve(UpdateRule::TwoMetric), solve(UpdateRule::Gradient));
        assert!(
            (a.summary.objective - b.summary.objective).abs() <= 1e-11 * (1.0 + a.summary.objective.abs())
        );
        assert!(a.x.iter().all(|x| (-0.3..=0.2).contains(x)));
        assert_eq!((a.summary.status, a.summary.certificate.kind), (Status::Solved, "duality_gap"));
    }
}

#[test]
fn scores_in_a_heap_choose_what_scores_worked_out_afresh_do() {
    for (m, seed) in [(1, 1), (7, 2), (30, 3)] {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut triplets = TriMatI::<f64, u32>::new((m * m, m * m));
        let mut diagonal = vec![0.5; m * m];
        for i in 0..m * m {
            for j in
                [(i % m + 1 < m).then_some(i + 1), (i + m < m * m).then_some(i + m)].into_iter().flatten()
            {
                let w = random.random_range(0.1..2.0);
                triplets.add_triplet(i, j, -w);
                triplets.add_triplet(j, i, -w);
                diagonal[i] += w;
                diagonal[j] += w;
            }
        }
        diagonal.iter().enumerate().for_each(|(i, &d)| triplets.add_triplet(i, i, d));
        let linear: Vec<f64> = (0..m * m).map(|_| normal(&mut random)).collect();
        for bounds in [None, Some((vec![0.0; m * m], vec![0.3; m * m]))] {
            let problem = BoxQuadratic { matrix: triplets.to_csr(), linear: linear.clone(), bounds };
            for rule in [Rule::GaussSouthwell, Rule::GaussSouthwellDiagonal, Rule::GaussSouthwellLipschitz] {
                // the gradient update of a single unknown is the same step, chosen by the plain loop
                let [heap, plain] = [UpdateRule::Exact, UpdateRule::Gradient].map(|update| {
                    let mut solver = steps(3 * m * m, Partition::Variable, rule, update, 1);
                    solver.check_every = m * m;
                    solver.solve_quadratic(&problem, None, &mut Monitor::none()).unwrap()
                });
                assert_eq!(heap.summary.iterations, plain.summary.iterations, "{rule:?} {m}");
                assert_eq!(heap.x, plain.x, "{rule:?} {m}");
                assert_eq!(heap.summary.certificate, plain.summary.certificate);
            }
        }
    }
}

#[test]
fn every_number_of_threads_and_every_repetition_gives_the_same_bits() {
    let (design, y) = least_squares(300, 3000, 7);
    let model = LinearModel::lasso(design, y, 50.0);
    let problem = lattice(300, 2);
    for rule in [Rule::Permuted, Rule::Lipschitz, Rule::GaussSouthwellLipschitz, Rule::MatchingPursuit] {
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let fit =
                    steps(40, Partition::Variable, rule, UpdateRule::TwoMetric, 20).solve(&model).unwrap();
                let graph = steps(5, Partition::Variable, Rule::GreedyForest, UpdateRule::Forest, 0);
                let x = graph.solve_quadratic(&problem, None, &mut Monitor::none()).unwrap().x;
                fit.coefficients.iter().chain(&x).map(|x| x.to_bits()).collect::<Vec<u64>>()
            })
        };
        let one = bits(1);
        for threads in [1, 2, 3, 7] {
            assert!(bits(threads) == one, "{rule:?} on {threads} threads");
        }
    }
}

#[test]
fn intercepts_zero_steps_and_contradictions() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (n, p) = (25, 6);
    let design = DesignMatrix::from_dense(n, p, (0..n * p).map(|_| normal(&mut random)).collect()).unwrap();
    let y: Vec<f64> = (0..n).map(|_| 3.0 + normal(&mut random)).collect();
    let mut model = LinearModel::lasso(design, y, 0.2);
    model.intercept = true;
    let limits = Limits { tolerance: 1e-9, ..Limits::default() };
    let exact = CoordinateDescent { limits: limits.clone(), ..Default::default() }.solve(&model).unwrap();
    let fit = BlockCoordinateDescent { limits: limits.clone(), ..Default::default() }.solve(&model).unwrap();
    assert!(fit.status == Status::Solved && (fit.intercept - exact.intercept).abs() < 1e-4);
    let none = steps(0, Partition::Variable, Rule::Random, UpdateRule::Auto, 5).solve(&model).unwrap();
    assert!(none.status == Status::IterationLimit && none.coefficients == vec![0.0; p]);
    assert!(none.certificate.relative > 0.0);
    let refused = [
        (Partition::Colours, Rule::Cyclic, UpdateRule::Auto),
        (Partition::Variable, Rule::GreedyForest, UpdateRule::Auto),
        (Partition::Variable, Rule::Random, UpdateRule::Forest),
        (Partition::Variable, Rule::Random, UpdateRule::Exact),
        (Partition::Groups(vec![vec![0, 1], vec![1]]), Rule::Random, UpdateRule::Auto),
        (Partition::Groups(vec![vec![0, 99]]), Rule::Random, UpdateRule::Auto),
    ];
    for (partition, rule, update) in refused {
        assert!(steps(5, partition, rule, update, 3).solve(&model).is_err());
    }
}
