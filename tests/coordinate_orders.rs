//! The published orders of rules, partitions and updates, beyond least squares: logistic regression, softmax, trees on
//! two moons, active sets; three draws each, at a scale that runs in seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use gradus::control::{Limits, Monitor, Status};
use gradus::coordinate::CoordinateDescent;
use gradus::coordinate::block::{Partition, Rule, UpdateRule};
use gradus::linalg::factor::SparseCholesky;
use gradus::linalg::product::multiply;
use gradus::problem::penalty::{Bounded, ElasticNet};
use gradus::problem::{BoxQuadratic, LinearModel};

#[path = "common/recipes.rs"]
mod recipes;

use Partition::{Colours, Forests, Sort, Variable};
use Rule::{
    Cyclic, GaussSouthwell as Gs, GaussSouthwellDiagonal as Gsd, GaussSouthwellLipschitz as Gsl,
    GaussSouthwellQuadratic as Gsq, GreedyForest, MatchingPursuit as Omp, Random, RandomForest,
};
use UpdateRule::{Forest, Gradient, Matrix, Newton, ProxNewton, TwoMetric};
use recipes::steps;

#[test]
fn logistic_regression_by_newton_steps() {
    for seed in [1, 2, 3] {
        let model = recipes::logistic(300, 1500, seed);
        let after = |partition, rule, count| {
            steps(count, partition, rule, Newton, 20).solve(&model).unwrap().objective
        };
        let (gs, fixed, gsd) = (after(Variable, Gs, 60), after(Sort, Gsd, 60), after(Variable, Gsd, 60));
        let (gsq, omp) = (after(Variable, Gsq, 60), after(Variable, Omp, 60));
        println!("seed {seed}: gs {gs:e}, gsd fixed {fixed:e}, gsd {gsd:e}, gsq {gsq:e}, omp {omp:e}");
        assert!(gs > 2.0 * fixed && fixed > gsd && gsd > 2.0 * gsq && gsq > 2.0 * omp);
    }
}

#[test]
fn softmax_by_gradient_and_by_matrix_steps() {
    for seed in [1, 2, 3] {
        let model = recipes::softmax(200, 100, 10, seed);
        let after = |partition, rule, update| {
            let solver = steps(300, partition, rule, update, 5);
            solver.solve_multinomial(&model, None, &mut Monitor::none()).unwrap().summary.objective
        };
        let (random, fixed) = (after(Variable, Random, Gradient), after(Sort, Gs, Gradient));
        let (gs, gsl) = (after(Variable, Gs, Gradient), after(Variable, Gsl, Gradient));
        let (gs_matrix, gsd_matrix) = (after(Variable, Gs, Matrix), after(Variable, Gsd, Matrix));
        println!("seed {seed}: {random} {fixed} {gs} {gsl} | {gs_matrix} {gsd_matrix}");
        assert!(random > fixed && fixed > gs && gs > gsl && gsl > gs_matrix && gs_matrix > gsd_matrix);
    }
}

/// (x - x*)'Q(x - x*) / 2 for every point: F(x) - F* without cancellation.
fn error_of(problem: &BoxQuadratic) -> impl Fn(&[f64]) -> f64 + '_ {
    let mut exact = problem.linear.clone();
    let mut cholesky = SparseCholesky::new();
    cholesky.factor(problem.matrix.view()).unwrap();
    cholesky.solve_in_place(&mut exact).unwrap();
    move |x| {
        let e: Vec<f64> = x.iter().zip(&exact).map(|(a, b)| a - b).collect();
        let mut product = vec![0.0; e.len()];
        multiply(problem.matrix.view(), &e, &mut product);
        0.5 * e.iter().zip(&product).map(|(a, b)| a * b).sum::<f64>()
    }
}

#[test]
fn trees_on_two_moons_and_a_negative_control() {
    for seed in [1, 2, 3] {
        let problem = recipes::moons(2000, 100, seed);
        let error = error_of(&problem);
        let after = |partition, rule, update, size| {
            let solver = steps(500, partition, rule, update, size);
            error(&solver.solve_quadratic(&problem, None, &mut Monitor::none()).unwrap().x)
        };
        let general = after(Variable, Gs, Matrix, 12);
        let red_black = after(Colours, Cyclic, Forest, 0);
        let random = after(Variable, RandomForest, Forest, 0);
        let partition = after(Forests, Cyclic, Forest, 0);
        let greedy = after(Variable, GreedyForest, Forest, 0);
        println!("seed {seed}: {general:e} {red_black:e} {random:e} {partition:e} {greedy:e}");
        assert!(general > red_black && red_black > random && random > partition.min(greedy));
        assert!(greedy <= partition);
        // curvatures are nearly equal: rules that know them gain nothing
        let gs = after(Variable, Gs, Gradient, 5);
        for rule in [Gsl, Gsd] {
            let ratio = after(Variable, rule, Gradient, 5) / gs;
            assert!((0.7..1.5).contains(&ratio), "{rule:?} {ratio}");
        }
    }
}

#[test]
fn second_order_steps_end_a_run_whose_block_covers_the_support() {
    for seed in [1, 2, 3] {
        let (design, y) = recipes::least_squares(300, 1500, seed);
        let mut model = LinearModel::lasso(design, y, 0.0);
        let inner = ElasticNet { l1: 0.23 * model.l1_max().unwrap(), ..ElasticNet::default() };
        model.penalty = Arc::new(Bounded::non_negative(inner, 1500));
        let limits = Limits { tolerance: 1e-15, max_iterations: 100, time_limit: None };
        let best = CoordinateDescent { limits, ..Default::default() }.solve(&model).unwrap();
        let start = steps(0, Variable, Random, Gradient, 1).solve(&model).unwrap().objective;
        // steps to 1e-10 of the start's error; twice the support in a block, and two unknowns
        let needed = |partition, rule, update, size| {
            let mut solver = steps(200, partition, rule, update, size);
            (solver.check_every, solver.limits.tolerance) = (1, 1e-14);
            let fit = solver.solve(&model).unwrap();
            let near = |objective: f64| objective - best.objective <= 1e-10 * (start - best.objective);
            fit.history.records.iter().position(|r| near(r.objective)).unwrap_or(201)
        };
        let cover = 2 * best.nonzeros();
        let (tmp, pn) = (needed(Variable, Gsd, TwoMetric, cover), needed(Variable, Gsd, ProxNewton, cover));
        let gradient = needed(Variable, Gsd, Gradient, cover);
        let small = needed(Variable, Gsd, TwoMetric, 2);
        let fixed = needed(Sort, Gsd, TwoMetric, cover);
        let random = needed(Variable, Random, TwoMetric, cover);
        println!(
            "seed {seed}: {tmp} {pn} {gradient} | {small} | {fixed} {random}, {} non-zeros",
            best.nonzeros()
        );
        assert!(best.status != Status::IterationLimit && tmp <= 15 && pn <= 15);
        assert!(gradient > 3 * tmp && small > tmp && fixed > 2 * tmp && random > 200);
    }
}
