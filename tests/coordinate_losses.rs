//! Softmax, groups, the hinge loss, paths and pairwise problems against independent references.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gradus::control::{Limits, Monitor, Status};
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::graph::{GraphError, LabelPropagation};
use gradus::coordinate::{CoordinateDescent, Measure, MultinomialStart, SupportVectorMachine, path};
use gradus::linalg::DesignMatrix;
use gradus::linalg::factor::SparseCholesky;
use gradus::problem::loss::{Huber, Logistic, Loss, Squared};
use gradus::problem::penalty::{Bounded, ElasticNet, Group};
use gradus::problem::{BoxQuadratic, Classes, LinearModel, MultinomialModel, PairwiseModel};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::TriMatI;

#[path = "common/coordinate.rs"]
mod common;
#[path = "common/recipes.rs"]
mod recipes;

use recipes::normal;

fn solver(tolerance: f64) -> CoordinateDescent {
    CoordinateDescent {
        limits: Limits { tolerance, max_iterations: 500, ..Limits::default() },
        ..Default::default()
    }
}

fn quiet() -> Monitor<'static> {
    Monitor::none()
}

/// n x p, about half of the entries there, sparse or dense, standardised or not.
fn design(n: usize, p: usize, dense: bool, standard: bool, seed: u64) -> DesignMatrix {
    let csr = common::data(n, p, seed);
    let mut design = DesignMatrix::from_sparse(csr.clone()).unwrap();
    if dense {
        let mut values = vec![0.0; n * p];
        csr.iter().for_each(|(v, (i, j))| values[j as usize * n + i as usize] = *v);
        design = DesignMatrix::from_dense(n, p, values).unwrap();
    }
    if standard {
        let moments = design.column_moments();
        design = design.standardized(moments).unwrap();
    }
    design
}

/// F by its definition.
fn multinomial_objective(model: &MultinomialModel, x: &[f64], b: &[f64]) -> f64 {
    let (n, k) = (model.target.len(), b.len());
    let mut z = vec![0.0; n * k];
    model.design.multiply_many(k, x, &mut z);
    let loss = |(row, &class): (&[f64], &usize)| {
        let row: Vec<f64> = row.iter().zip(b).map(|(z, b)| z + b).collect();
        row.iter().map(|z| (z - row[class]).exp()).sum::<f64>().ln()
    };
    let total: f64 = z.chunks_exact(k).zip(&model.target).map(loss).sum();
    total / n as f64 + x.iter().enumerate().map(|(i, &x)| model.penalty.value(i, x)).sum::<f64>()
}

/// Accelerated proximal gradient with a fixed step: slow, obvious, and sharing nothing with the solver.
fn multinomial_reference(model: &MultinomialModel) -> f64 {
    let (n, p, k) = (model.target.len(), model.design.columns(), model.loss.classes);
    let squares: f64 =
        model.design.squares().iter().sum::<f64>() + if model.intercept { n as f64 } else { 0.0 };
    let step = 2.0 * n as f64 / squares.max(1e-12);
    let (mut x, mut b) = (vec![0.0; p * k], vec![0.0; k]);
    let (mut y, mut c, mut t, mut best) = (x.clone(), b.clone(), 1.0f64, f64::INFINITY);
    for _ in 0..30_000 {
        let mut z = vec![0.0; n * k];
        model.design.multiply_many(k, &y, &mut z);
        for (row, &class) in z.chunks_exact_mut(k).zip(&model.target) {
            row.iter_mut().zip(&c).for_each(|(z, b)| *z += b);
            let largest = row.iter().copied().fold(f64::MIN, f64::max);
            row.iter_mut().for_each(|z| *z = (*z - largest).exp());
            let total: f64 = row.iter().sum();
            row.iter_mut().for_each(|z| *z /= total * n as f64);
            row[class] -= 1.0 / n as f64;
        }
        let mut gradient = vec![0.0; p * k];
        model.design.multiply_transpose_many(k, &z, &mut gradient);
        let new: Vec<f64> =
            (0..p * k).map(|i| model.penalty.prox(i, y[i] - step * gradient[i], step)).collect();
        let mut nb = c.clone();
        if model.intercept {
            z.chunks_exact(k).for_each(|row| nb.iter_mut().zip(row).for_each(|(b, g)| *b -= step * g));
        }
        let value = multinomial_objective(model, &new, &nb);
        let next = 0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt());
        let momentum = if value > best { 0.0 } else { (t - 1.0) / next };
        t = if value > best { 1.0 } else { next };
        y = new.iter().zip(&x).map(|(new, old)| new + momentum * (new - old)).collect();
        c = nb.iter().zip(&b).map(|(new, old)| new + momentum * (new - old)).collect();
        (x, b) = (new, nb);
        best = best.min(value);
    }
    best
}

#[test]
fn softmax_reaches_the_reference_under_its_certificate() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for case in 0..24u64 {
        let (n, p, k) = (random.random_range(6..16), random.random_range(1..5), random.random_range(2..5));
        let design = design(n, p, case % 2 == 0, case % 3 == 0, case);
        let target: Vec<usize> = (0..n).map(|r| if r < k { r } else { random.random_range(0..k) }).collect();
        let (l1, l2) = [(0.0, 0.05), (0.02, 0.0), (0.02, 0.03)][case as usize % 3];
        let net = ElasticNet { l1, l2, weights: None };
        let mut model = MultinomialModel::new(design, target, k, net.clone());
        model.intercept = case % 4 < 2;
        if case % 5 == 4 {
            model.penalty =
                Arc::new(Bounded { inner: net, lower: vec![-0.2; p * k], upper: vec![0.3; p * k] });
        }
        let fit = solver(1e-11).solve_multinomial(&model, None, &mut quiet()).unwrap();
        let expected = multinomial_reference(&model);
        let what = format!("case {case}: {} {} {expected}", fit.status, fit.objective);
        assert_eq!(fit.status, Status::Solved, "{what}");
        assert_eq!(fit.certificate.kind, "duality_gap");
        assert!((fit.objective - expected).abs() <= 1e-8, "{what}");
        let own = multinomial_objective(&model, &fit.coefficients, &fit.intercepts);
        assert!((own - fit.objective).abs() <= 1e-13, "{what} {own}");
        let size = fit.history.records[0].objective;
        for record in &fit.history.records {
            let error = record.objective - fit.objective.min(expected);
            assert!(record.certificate * size >= error - 1e-12, "{what}: {} {error}", record.certificate);
        }
        for pair in fit.history.records.windows(2) {
            assert!(pair[1].objective <= pair[0].objective + 1e-13, "{what} rises");
        }
        // a warm start ends at once
        let start = MultinomialStart { coefficients: &fit.coefficients, intercepts: &fit.intercepts };
        let again = solver(1e-10).solve_multinomial(&model, Some(start), &mut quiet()).unwrap();
        assert_eq!((again.status, again.iterations), (Status::Solved, 0), "{what}");
    }
}

#[test]
fn softmax_of_two_classes_is_logistic_regression() {
    let (n, p) = (60, 8);
    let target: Vec<usize> = (0..n).map(|r| usize::from(common::hash(r as u64, 3) > 0.2)).collect();
    let signs: Vec<f64> = target.iter().map(|&class| 2.0 * class as f64 - 1.0).collect();
    for intercept in [false, true] {
        let mut linear = LinearModel::logistic(design(n, p, true, false, 5), signs.clone(), 0.0, 0.01);
        linear.intercept = intercept;
        // x splits evenly: ||X||^2 = ||x||^2 / 2
        let net = ElasticNet { l1: 0.0, l2: 0.02, weights: None };
        let mut model = MultinomialModel::new(design(n, p, true, false, 5), target.clone(), 2, net);
        model.intercept = intercept;
        let two = solver(1e-13).solve(&linear).unwrap();
        let many = solver(1e-13).solve_multinomial(&model, None, &mut quiet()).unwrap();
        assert!((two.objective - many.objective).abs() < 1e-12);
        for (j, x) in two.coefficients.iter().enumerate() {
            assert!((many.coefficients[2 * j + 1] - many.coefficients[2 * j] - x).abs() < 1e-6);
        }
    }
}

#[test]
fn softmax_edges_and_limits() {
    let (n, p, k) = (30, 6, 3);
    let target: Vec<usize> = (0..n).map(|r| r % k).collect();
    let mut model = MultinomialModel::new(design(n, p, false, false, 2), target, k, ElasticNet::default());
    for intercept in [false, true] {
        model.intercept = intercept;
        let l1_max = model.l1_max().unwrap();
        for (factor, zero) in [(1.0 + 1e-12, true), (0.99, false)] {
            model.penalty = Arc::new(ElasticNet { l1: factor * l1_max, ..Default::default() });
            let fit = solver(1e-10).solve_multinomial(&model, None, &mut quiet()).unwrap();
            assert_eq!((fit.nonzeros() == 0, fit.status), (zero, Status::Solved));
        }
    }
    // separable without a penalty: no minimiser, a note
    model.penalty = Arc::new(ElasticNet::default());
    model.design = DesignMatrix::from_dense(n, 1, (0..n).map(|r| (r % k) as f64 - 1.0).collect()).unwrap();
    model.intercept = true;
    let limits = Limits { tolerance: 0.0, max_iterations: 60, time_limit: None };
    let fit = CoordinateDescent { limits, ..Default::default() };
    let fit = fit.solve_multinomial(&model, None, &mut quiet()).unwrap();
    assert!(fit.status != Status::Solved && fit.notes[0].contains("separable"));
    assert!(fit.coefficients.iter().all(|x| x.is_finite()));
    // a class that does not occur has no intercept
    model.loss.classes = 4;
    assert!(solver(1e-6).solve_multinomial(&model, None, &mut quiet()).is_err());
    // many columns: conjugate gradients in place of Cholesky
    let wide = design(20, 700, false, false, 9);
    let net = ElasticNet { l1: 0.0, l2: 0.1, weights: None };
    let model = MultinomialModel::new(wide, (0..20).map(|r| r % k).collect(), k, net);
    let fit = solver(1e-10).solve_multinomial(&model, None, &mut quiet()).unwrap();
    assert_eq!(fit.status, Status::Solved);
    let flag = Arc::new(AtomicBool::new(true));
    let mut stopped = Monitor::none().with_interrupt(flag);
    let fit = solver(1e-10).solve_multinomial(&model, None, &mut stopped).unwrap();
    assert_eq!(fit.status, Status::Interrupted);
}

#[test]
fn groups_agree_with_the_lasso_and_with_plain_blocks() {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for case in 0..30u64 {
        let (n, p) = (random.random_range(4..20), random.random_range(2..12));
        let loss: Arc<dyn Loss> = if case % 2 == 0 { Arc::new(Squared) } else { Arc::new(Logistic) };
        let target: Vec<f64> = if case % 2 == 0 {
            (0..n).map(|_| normal(&mut random)).collect()
        } else {
            (0..n).map(|r| if r % 3 == 0 { 1.0 } else { -1.0 }).collect()
        };
        let mut model = LinearModel::lasso(design(n, p, case % 3 == 0, false, case), target, 0.05);
        (model.loss, model.intercept) = (loss, case % 4 > 1);
        let singles = Group { l1: 0.05, groups: (0..p).map(|j| vec![j]).collect(), weights: None };
        let (lasso, single) = (
            solver(1e-12).solve(&model).unwrap(),
            solver(1e-12).solve_groups(&model, &singles, None, &mut quiet()).unwrap(),
        );
        assert!((lasso.objective - single.objective).abs() <= 1e-10, "case {case}");
        // groups of three; one column may be left out and is then free
        let covered = p - usize::from(case % 5 == 0);
        let groups: Vec<Vec<usize>> =
            (0..covered).collect::<Vec<_>>().chunks(3).map(<[usize]>::to_vec).collect();
        let group = Group { l1: 0.04, groups: groups.clone(), weights: None };
        let fit = solver(1e-11).solve_groups(&model, &group, None, &mut quiet()).unwrap();
        assert!(fit.certificate.relative <= 1e-8, "case {case} {:?} {}", fit.certificate, fit.status);
        let blocks = BlockCoordinateDescent {
            limits: Limits { tolerance: 1e-9, max_iterations: 2_000_000, time_limit: None },
            rule: Rule::Cyclic,
            update: UpdateRule::Gradient,
            ..Default::default()
        };
        let plain = blocks.solve_groups(&model, &group, &mut quiet()).unwrap();
        assert!(
            (fit.objective - plain.objective).abs() <= 1e-7,
            "case {case} {} {}",
            fit.objective,
            plain.objective
        );
        for members in &groups {
            // a column of zeros stays at zero in any group
            let seen: Vec<usize> =
                members.iter().copied().filter(|&j| model.design.squares()[j] > 0.0).collect();
            let zeros = seen.iter().filter(|&&j| fit.coefficients[j] == 0.0).count();
            assert!(zeros == 0 || zeros == seen.len(), "case {case}");
        }
        if covered == p {
            let l1 = model.group_l1_max(&group).unwrap() * (1.0 + 1e-12);
            let nothing = Group { l1, ..group.clone() };
            let fit = solver(1e-10).solve_groups(&model, &nothing, None, &mut quiet()).unwrap();
            assert_eq!((fit.nonzeros(), fit.status), (0, Status::Solved), "case {case}");
            for pair in fit.history.records.windows(2) {
                assert!(pair[1].objective <= pair[0].objective + 1e-13);
            }
        }
    }
}

/// The dual of a support vector machine as a quadratic on a box, Q = Y A A' Y / l2.
fn dual(design: &DesignMatrix, y: &[f64], l2: f64) -> BoxQuadratic {
    let n = y.len();
    let kernel = design.row_gram(&vec![1.0; design.columns()]);
    let mut triplets = TriMatI::<f64, u32>::new((n, n));
    for i in 0..n {
        for j in 0..n {
            triplets.add_triplet(i, j, y[i] * y[j] * kernel[i.max(j) + i.min(j) * n] / l2);
        }
    }
    let bounds = Some((vec![0.0; n], vec![1.0 / n as f64; n]));
    BoxQuadratic { matrix: triplets.to_csr(), linear: vec![1.0; n], bounds }
}

#[test]
fn support_vector_machines_agree_with_their_dual_on_a_box() {
    // few columns: interior point; many: dual coordinate descent
    let mut compared = 0;
    for (n, p, seed) in [(40, 5, 1), (25, 30, 2), (60, 3, 3), (30, 1100, 4)] {
        let design = design(n, p, p < 10, p == 5, seed);
        let y: Vec<f64> =
            (0..n).map(|r| if common::hash(r as u64, seed) > 0.1 { 1.0 } else { -1.0 }).collect();
        for l2 in [0.003, 0.1] {
            let limits = Limits { tolerance: 1e-9, max_iterations: 5000, time_limit: None };
            let machine = SupportVectorMachine { limits: limits.clone(), seed: 1 };
            let fit = machine.solve(&design, &y, None, l2, &mut quiet()).unwrap();
            assert_eq!(fit.status, Status::Solved, "{n} {p} {l2}: {:?}", fit.certificate);
            let blocks = BlockCoordinateDescent { limits, measure: Measure::Gap, ..Default::default() };
            let solution = blocks.solve_quadratic(&dual(&design, &y, l2), None, &mut quiet()).unwrap();
            // blocks creep where the rank is low; what they do solve is the same number
            let gap = fit.objective + solution.summary.objective;
            assert!(gap >= -1e-7, "{n} {p} {l2}: {} {}", fit.objective, solution.summary.objective);
            if solution.summary.status == Status::Solved {
                compared += 1;
                assert!(gap <= 1e-7, "{n} {p} {l2}: {} {}", fit.objective, solution.summary.objective);
            }
            // the hinge objective by its definition
            let mut z = vec![0.0; n];
            design.multiply(&fit.coefficients, &mut z);
            let hinge: f64 = z.iter().zip(&y).map(|(z, y)| (1.0 - y * z).max(0.0)).sum::<f64>() / n as f64;
            let square: f64 = fit.coefficients.iter().map(|x| x * x).sum();
            assert!((hinge + 0.5 * l2 * square - fit.objective).abs() <= 1e-12);
            assert!(fit.history.records.iter().all(|r| r.certificate >= -1e-14));
        }
    }
    assert!(compared >= 4, "{compared}");
    let design = design(10, 3, true, false, 1);
    let y = vec![1.0; 10];
    assert!(SupportVectorMachine::default().solve(&design, &y, None, 0.0, &mut quiet()).is_err());
    assert!(SupportVectorMachine::default().solve(&design, &[0.5; 10], None, 0.1, &mut quiet()).is_err());
}

#[test]
fn a_path_is_its_fits_and_folds_are_held_out() {
    let (n, p) = (24, 6);
    let y: Vec<f64> = (0..n).map(|r| common::hash(r as u64, 8)).collect();
    let model = LinearModel::lasso(design(n, p, true, false, 3), y, 0.0);
    let values = path::values(model.l1_max().unwrap(), 0.01 * model.l1_max().unwrap(), 12);
    let family = path::Linear::lasso(solver(1e-12), model.clone());
    let fits = path::fit(&family, &values, &mut quiet()).unwrap();
    assert_eq!((fits.len(), fits[0].nonzeros()), (12, 0));
    for (fit, &l1) in fits.iter().zip(&values) {
        let cold =
            LinearModel { penalty: Arc::new(ElasticNet { l1, ..Default::default() }), ..model.clone() };
        let cold = solver(1e-12).solve(&cold).unwrap();
        assert!(fit.status == Status::Solved && (fit.objective - cold.objective).abs() < 1e-12);
    }
    // leave one out, by hand
    let chosen = path::cross_validate(&family, &values, n, 7, &quiet()).unwrap();
    for (k, &l1) in values.iter().enumerate().step_by(5) {
        let held_out = |r: usize| {
            let rows: Vec<usize> = (0..n).filter(|&i| i != r).collect();
            let mut part = model.select_rows(&rows);
            part.penalty = Arc::new(ElasticNet { l1, ..Default::default() });
            let fit = solver(1e-12).solve(&part).unwrap();
            0.5 * (model.design.row_dot(r, &fit.coefficients) - model.target[r]).powi(2)
        };
        let mean = (0..n).map(held_out).sum::<f64>() / n as f64;
        assert!((mean - chosen.mean[k]).abs() < 1e-9, "{mean} {}", chosen.mean[k]);
    }
    assert!(chosen.mean.iter().all(|mean| *mean >= chosen.mean[chosen.best]));
    assert!(chosen.sparsest <= chosen.best);
    let bits = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| path::cross_validate(&family, &values, 5, 7, &quiet()).unwrap())
    };
    assert_eq!(bits(1), bits(3));
    assert!(path::cross_validate(&family, &values, 1, 0, &quiet()).is_err());
    // the same for several classes
    let target = (0..n).map(|r| r % 3).collect();
    let model = MultinomialModel::new(design(n, p, true, false, 3), target, 3, ElasticNet::default());
    let values = path::values(model.l1_max().unwrap(), 0.1 * model.l1_max().unwrap(), 5);
    let family = path::Multinomial::lasso(solver(1e-9), model);
    let chosen = path::cross_validate(&family, &values, 4, 0, &quiet()).unwrap();
    // at l1_max a fit without intercepts predicts every class alike
    assert!((chosen.mean[0] - 3f64.ln()).abs() < 0.1);
}

#[test]
fn pairwise_problems_are_solved_by_messages() {
    let m = 12;
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut edges = Vec::new();
    for i in 0..m * m {
        (i % m + 1 < m).then(|| edges.push((i as u32, i as u32 + 1, 0.5 + random.random::<f64>())));
        (i + m < m * m).then(|| edges.push((i as u32, (i + m) as u32, 0.5 + random.random::<f64>())));
    }
    let target: Vec<f64> = (0..m * m).map(|_| normal(&mut random)).collect();
    let squared = PairwiseModel {
        target: target.clone(),
        node_weights: vec![0.7; m * m],
        node_loss: Arc::new(Squared),
        edges: edges.clone(),
        edge_loss: Arc::new(Squared),
    };
    // squares: one sparse system
    let mut triplets = TriMatI::<f64, u32>::new((m * m, m * m));
    (0..m * m).for_each(|i| triplets.add_triplet(i, i, 0.7));
    for &(i, j, w) in &edges {
        let (i, j) = (i as usize, j as usize);
        for (a, b, v) in [(i, i, w), (j, j, w), (i, j, -w), (j, i, -w)] {
            triplets.add_triplet(a, b, v);
        }
    }
    let mut exact: Vec<f64> = target.iter().map(|y| 0.7 * y).collect();
    let mut cholesky = SparseCholesky::new();
    cholesky.factor(triplets.to_csr::<u32>().view()).unwrap();
    cholesky.solve_in_place(&mut exact).unwrap();
    let blocks = |partition, rule, update| BlockCoordinateDescent {
        limits: Limits { tolerance: 1e-10, max_iterations: 100_000, time_limit: None },
        partition,
        rule,
        update,
        block_size: 20,
        ..Default::default()
    };
    let forest = blocks(Partition::Variable, Rule::GreedyForest, UpdateRule::Forest);
    let solution = forest.solve_pairwise(&squared, None, &mut quiet()).unwrap();
    assert_eq!(solution.summary.status, Status::Solved);
    assert!(solution.x.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-8));
    // jumps kept (Huber differences), and classes for labels (logistic nodes, two thirds of them unlabelled)
    let huber = PairwiseModel { edge_loss: Arc::new(Huber { delta: 0.1 }), ..squared.clone() };
    let classes = PairwiseModel {
        target: target.iter().map(|y| y.signum()).collect(),
        node_weights: (0..m * m).map(|i| if i % 3 == 0 { 1.0 } else { 0.0 }).collect(),
        node_loss: Arc::new(Logistic),
        ..squared.clone()
    };
    for model in [huber, classes] {
        let runs = [
            blocks(Partition::Variable, Rule::GreedyForest, UpdateRule::Forest),
            blocks(Partition::Forests, Rule::Cyclic, UpdateRule::Forest),
            blocks(Partition::Colours, Rule::Cyclic, UpdateRule::Forest),
            blocks(Partition::Variable, Rule::GaussSouthwellDiagonal, UpdateRule::Newton),
        ];
        let objectives: Vec<f64> = runs
            .iter()
            .map(|run| {
                let solution = run.solve_pairwise(&model, None, &mut quiet()).unwrap();
                assert_eq!(solution.summary.status, Status::Solved, "{:?}", run.partition);
                for pair in solution.summary.history.records.windows(2) {
                    assert!(pair[1].objective <= pair[0].objective + 1e-12 * pair[0].objective.abs());
                }
                solution.summary.objective
            })
            .collect();
        assert!(objectives.iter().all(|f| (f - objectives[0]).abs() <= 1e-9 * objectives[0].abs()));
    }
    let bad = PairwiseModel { edges: vec![(0, 0, 1.0)], ..squared.clone() };
    assert!(forest.solve_pairwise(&bad, None, &mut quiet()).is_err());
    let bad = PairwiseModel { node_weights: vec![-1.0; m * m], ..squared };
    assert!(forest.solve_pairwise(&bad, None, &mut quiet()).is_err());
}

#[test]
fn graphs_whose_energies_leave_the_range_of_doubles_are_refused() {
    let path =
        |weight: f64| TriMatI::<f64, u32>::from_triplets((3, 3), vec![0, 1], vec![1, 2], vec![weight; 2]);
    let spread =
        |weight: f64, label: f64| LabelPropagation::new(&path(weight).to_csr(), &[(0, label), (2, label)]);
    for (weight, label) in [(1.0, 1e160), (1e160, 1e160), (1e-160, 1e-160), (1e-300, 1e-300)] {
        assert_eq!(spread(weight, label).unwrap_err(), GraphError::Range, "{weight:e} {label:e}");
    }
    for (weight, label, within) in
        [(1.0, 1e150, true), (1e-60, 1e-60, true), (1e-300, 0.0, true), (1e-140, 1e10, false)]
    {
        let problem = spread(weight, label).unwrap();
        let (values, summary) =
            problem.solve_by_conjugate_gradients(false, &Limits::default(), &mut quiet()).unwrap();
        // a product of weights that is lost to underflow ends the run, and nothing is claimed
        assert_eq!(summary.status == Status::Solved, within, "{weight:e} {label:e}");
        assert!(!within || (values[1] - label).abs() <= 1e-6 * label, "{weight:e} {label:e}: {}", values[1]);
    }
}

#[test]
fn conjugate_gradients_agree_with_forests_on_a_graph() {
    let m = 15;
    let mut triplets = TriMatI::<f64, u32>::new((m * m, m * m));
    for i in 0..m * m {
        for j in [(i % m + 1 < m).then_some(i + 1), (i + m < m * m).then_some(i + m)].into_iter().flatten() {
            triplets.add_triplet(i, j, 1.0 + (i % 3) as f64);
        }
    }
    let problem =
        LabelPropagation::new(&triplets.to_csr(), &[(0, 1.0), (m * m - 1, -2.0), (7, 0.5)]).unwrap();
    let limits = Limits { tolerance: 1e-11, max_iterations: 100_000, time_limit: None };
    let (by_cg, summary) = problem.solve_by_conjugate_gradients(false, &limits, &mut quiet()).unwrap();
    assert_eq!(summary.status, Status::Solved);
    let (reduced, half) = problem.solve_by_conjugate_gradients(true, &limits, &mut quiet()).unwrap();
    assert_eq!(half.status, Status::Solved);
    assert!(by_cg.iter().zip(&reduced).all(|(a, b)| (a - b).abs() < 1e-7));
    // a quarter of the condition number
    assert!(
        half.iterations as f64 <= 0.6 * summary.iterations as f64,
        "{} {}",
        half.iterations,
        summary.iterations
    );
    let trees = BlockCoordinateDescent {
        limits,
        rule: Rule::GreedyForest,
        update: UpdateRule::Forest,
        ..Default::default()
    };
    let (by_trees, other) = problem.solve(&trees, &mut quiet()).unwrap();
    assert!(by_cg.iter().zip(&by_trees).all(|(a, b)| (a - b).abs() < 1e-7));
    assert!((summary.objective - other.objective).abs() <= 1e-12 * other.objective.abs());
}

#[test]
fn labels_of_any_kind_become_classes() {
    let (labels, target) = MultinomialModel::classes_from_labels(&[7.0, -1.0, 7.0, 2.5]).unwrap();
    assert_eq!((labels, target), (vec![-1.0, 2.5, 7.0], vec![2, 0, 2, 1]));
    assert!(MultinomialModel::classes_from_labels(&[1.0, 1.0]).is_err());
    assert!(MultinomialModel::classes_from_labels(&[1.0, f64::NAN]).is_err());
    assert!(Classes::from_labels(&[1.0, 2.0, 3.0]).is_err());
}
