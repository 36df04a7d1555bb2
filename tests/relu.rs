//! Two-layer ReLU networks: optima known from elsewhere, identities of the convex program, certificates, edge cases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::DesignMatrix;
use gradus::problem::Classes;
use gradus::read::libsvm;
use gradus::relu::gated::{GatedMethod, GatedRelu};
use gradus::relu::local::{Adam, Lbfgs, NetworkObjective, initial_weights, network_of};
use gradus::relu::path::{beta_max, path_values};
use gradus::relu::patterns::Normals;
use gradus::relu::refine::pricing_ratio;
use gradus::relu::robust::{Attack, Budget, Norm, attack};
use gradus::relu::{
    Admm, Blocks, ConvexRelu, Error, Level, Loss, Method, Network, Patterns, Rbcd, Refinement, RobustRelu,
    SampledProgram, Training,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that aren't held out (every fifth is), z-scored, with a column of ones; classes as -1 and +1.
fn bundled(name: &str, columns: Option<&[usize]>, loss: Loss, beta: f64) -> Training {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    let data = libsvm::read(path.to_str().unwrap(), &libsvm::Options::default()).unwrap();
    let (_, classes) = Classes::from_labels(&data.labels).unwrap();
    let kept: Vec<usize> = (0..data.labels.len()).filter(|i| i % 5 != 4).collect();
    let all: Vec<usize> = (0..data.matrix.cols()).collect();
    let mut values = Vec::new();
    for &j in columns.unwrap_or(&all) {
        let column: Vec<f64> = kept.iter().map(|&i| data.matrix.get(i, j).copied().unwrap_or(0.0)).collect();
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        let deviation = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / column.len() as f64).sqrt();
        let scale = if deviation > 0.0 { deviation } else { 1.0 };
        values.extend(column.iter().map(|v| (v - mean) / scale));
    }
    values.extend(std::iter::repeat_n(1.0, kept.len()));
    let width = values.len() / kept.len();
    let design = DesignMatrix::from_dense(kept.len(), width, values).unwrap();
    let target = kept.iter().map(|&i| classes[i]).collect();
    Training::new(&design, target, loss, beta).unwrap()
}

fn random(n: usize, d: usize, loss: Loss, beta: f64, seed: u64) -> Training {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut values: Vec<f64> = (0..n * d).map(|_| random.random_range(-1.0..1.0)).collect();
    values[n * (d - 1)..].fill(1.0);
    let target = (0..n)
        .map(|i| {
            let raw: f64 = random.random_range(-1.0..1.0);
            match loss {
                Loss::Squared => raw,
                _ if i < 2 => 2.0 * i as f64 - 1.0,
                _ => raw.signum(),
            }
        })
        .collect();
    Training::new(&DesignMatrix::from_dense(n, d, values).unwrap(), target, loss, beta).unwrap()
}

fn solver(tolerance: f64, patterns: usize) -> ConvexRelu {
    let limits = Limits { tolerance, max_iterations: 5000, time_limit: None };
    ConvexRelu { limits, patterns, seed: 1, ..ConvexRelu::default() }
}

const CONIC_HEART: f64 = 41.156869293;

/// The sampled optimum of each training set by a general conic solver (Clarabel 0.11, tolerance 1e-10).
const CONIC: [(&str, usize, f64, Loss, f64); 4] = [
    ("heart_scale", 20, 1.0, Loss::Squared, CONIC_HEART),
    ("ionosphere_scale", 50, 0.1, Loss::Squared, 2.3838018946),
    ("heart_scale", 8, 1.0, Loss::Hinge, 65.5621848406),
    ("heart_scale", 8, 1.0, Loss::Logistic, 77.0949131612),
];

#[test]
fn optima_agree_with_a_general_conic_solver() {
    for (name, patterns, beta, loss, optimum) in CONIC {
        let training = bundled(name, None, loss, beta);
        let solution = solver(1e-7, patterns).solve(&training).unwrap();
        assert_eq!(solution.status, Status::Solved, "{name} {loss:?}");
        assert_eq!((solution.patterns.len(), solution.level), (patterns, Level::OptimalForPatterns));
        let error = (solution.objective - optimum).abs() / optimum;
        assert!(error <= 1e-6, "{name} {loss:?}: {} {error:e}", solution.objective);
        assert!(solution.certificate.relative <= 1e-5);
        assert!(solution.lower_bound <= optimum * (1.0 + 1e-8));
        assert!(solution.cone_violation <= 1e-8 * solution.largest_activation);
        // the network is the convex point: its true activations are those of the patterns
        let difference = (solution.convex_objective - solution.network_objective).abs();
        assert!(difference <= 1e-9 * solution.network_objective, "{difference:e}");
        let recomputed = solution.network.objective(&training);
        assert!((recomputed - solution.network_objective).abs() <= 1e-12 * recomputed);
    }
}

#[test]
fn one_feature_is_solved_to_global_optimality() {
    for (beta, optimum) in [(0.1, 87.04981873), (1.0, 88.64497721), (5.0, 91.27265905)] {
        let training = bundled("heart_scale", Some(&[7]), Loss::Squared, beta);
        let patterns = Patterns::enumerate(&training).unwrap();
        assert_eq!(patterns.len(), 163);
        assert!(patterns.is_exhaustive());
        let solver = solver(1e-7, 1);
        let solution = solver.solve_over(&training, patterns, None, &mut Monitor::none()).unwrap();
        assert_eq!((solution.status, solution.level), (Status::Solved, Level::Global));
        assert_eq!(solution.certificate.kind, "global_gap");
        assert!((solution.objective - optimum).abs() <= 2e-7 * optimum, "{} {optimum}", solution.objective);
        // no local run goes below
        for seed in 0..3 {
            let mut weights = initial_weights(&training, 20, seed);
            let mut objective = NetworkObjective::new(&training, 20);
            let reached = Lbfgs::default().minimise(&mut objective, &mut weights, |_, _| true);
            assert!(reached >= solution.lower_bound, "{reached}");
        }
    }
    // three features have too many patterns to list
    assert!(Patterns::enumerate(&bundled("heart_scale", Some(&[0, 7]), Loss::Squared, 1.0)).is_none());
    assert_eq!(Patterns::enumerate(&bundled("heart_scale", Some(&[]), Loss::Squared, 1.0)).unwrap().len(), 1);
}

#[test]
fn data_in_general_position_have_twice_as_many_patterns_as_rows() {
    let training = random(37, 2, Loss::Squared, 1.0, 5);
    let patterns = Patterns::enumerate(&training).unwrap();
    // 2 n cells, one of which is inactive everywhere
    let all_inactive = 1;
    assert_eq!(patterns.len() + all_inactive, 2 * 37);
    let sampled = Patterns::sample(&training, 2000, 3).unwrap();
    assert!((0..sampled.len()).all(|i| patterns.find(&training, sampled.gate(i)).is_some()));
}

#[test]
fn the_sample_is_the_documented_one() {
    // splitmix64(1) and the transform of Box and Muller, computed elsewhere
    let mut normals = Normals::new(1);
    let expected: [f64; 4] =
        [-0.028249746095854695, -1.065617648414326, -0.2279195228676347, 0.0830941684715009];
    for value in expected {
        assert!((normals.draw() - value).abs() < 1e-14);
    }
    let training = bundled("heart_scale", None, Loss::Squared, 1.0);
    let patterns = Patterns::sample(&training, 20, 1).unwrap();
    let row = |k: usize| (0..20).map(|i| u8::from(patterns.is_active(i, k)).to_string()).collect::<String>();
    assert_eq!(
        [row(0), row(1), row(2)],
        ["01001100000110111000", "01011000000111011010", "10100001101011101011"]
    );
}

#[test]
fn a_network_mapped_in_is_a_feasible_point_of_the_same_objective() {
    let training = random(60, 5, Loss::Squared, 0.3, 2);
    let mut weights = initial_weights(&training, 12, 1);
    let mut objective = NetworkObjective::new(&training, 12);
    Adam { rate: 0.05, steps: 400 }.minimise(&mut objective, &mut weights, |_, _| true);
    let network = network_of(&training, &weights);
    let reached = network.objective(&training);
    let balanced = network.balanced();
    assert!(balanced.objective(&training) <= reached * (1.0 + 1e-14));
    let mut patterns = Patterns::new(training.rows());
    let blocks = Blocks::of_network(&balanced, &training, &mut patterns);
    let evaluation = blocks.evaluate(&training, &patterns);
    assert!((evaluation.objective - balanced.objective(&training)).abs() <= 1e-10 * reached);
    assert!(evaluation.violation <= 1e-12 * evaluation.largest);
    // solving over its own patterns can only lower it
    let solution =
        solver(1e-6, 1).solve_over(&training, patterns, Some(&network), &mut Monitor::none()).unwrap();
    assert!(solution.objective <= reached * (1.0 + 1e-6), "{} {reached}", solution.objective);
}

#[test]
fn gradients_of_the_network_agree_with_differences() {
    for loss in [Loss::Squared, Loss::Logistic, Loss::CrossEntropy] {
        let training = random(20, 3, loss, 0.4, 8);
        let weights = initial_weights(&training, 4, 6);
        let mut objective = NetworkObjective::new(&training, 4);
        let mut gradient = vec![0.0; weights.len()];
        objective.evaluate(&weights, &mut gradient);
        let mut scratch = gradient.clone();
        for i in 0..weights.len() {
            let mut at = |shift: f64| {
                let mut moved = weights.clone();
                moved[i] += shift;
                objective.evaluate(&moved, &mut scratch)
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((slope - gradient[i]).abs() < 1e-6 * (1.0 + slope.abs()), "{loss:?} {i}");
        }
    }
}

#[test]
fn all_methods_find_the_same_optimum() {
    for loss in [Loss::Squared, Loss::Logistic, Loss::CrossEntropy, Loss::Hinge] {
        let training = random(40, 4, loss, 0.5, 11);
        let reference =
            ConvexRelu { method: Method::InteriorPoint, ..solver(1e-7, 8) }.solve(&training).unwrap();
        assert_eq!(reference.status, Status::Solved, "{loss:?}");
        let methods = if loss == Loss::Hinge { vec![Method::Admm] } else { vec![Method::Admm, Method::Rbcd] };
        for method in methods {
            let slow = ConvexRelu { method, rbcd: Rbcd { sweeps: 10.0, seed: 3 }, ..solver(1e-3, 8) };
            let solution = slow.solve(&training).unwrap();
            let excess = (solution.objective - reference.objective) / reference.objective;
            assert!((-1e-6..=3e-3).contains(&excess), "{loss:?} {method:?} {excess:e}");
            // bounds of one program never cross values of the other
            assert!(solution.lower_bound <= reference.objective * (1.0 + 1e-9));
            assert!(reference.lower_bound <= solution.objective * (1.0 + 1e-9));
        }
    }
}

#[test]
fn more_columns_than_rows_and_rows_of_zeros_change_nothing() {
    // the same rows in a wider space: an orthogonal embedding leaves every optimum
    let narrow = random(12, 3, Loss::Squared, 0.2, 4);
    let (n, wide) = (12, 20);
    let x = narrow.x();
    let mut values = vec![0.0; n * wide];
    for k in 0..n {
        for j in 0..3 {
            // columns 5 j and 5 j + 1 share the entry: an isometry scaled by 1 / sqrt 2 each
            values[5 * j * n + k] = x[(k, j)] / 2f64.sqrt();
            values[(5 * j + 1) * n + k] = x[(k, j)] / 2f64.sqrt();
        }
    }
    let design = DesignMatrix::from_dense(n, wide, values).unwrap();
    let embedded = Training::new(&design, narrow.target().to_vec(), Loss::Squared, 0.2).unwrap();
    let patterns = Patterns::sample(&narrow, 6, 2).unwrap();
    let mut lifted = Patterns::new(n);
    for i in 0..patterns.len() {
        let mut gate = vec![0.0; wide];
        for j in 0..3 {
            gate[5 * j] = patterns.gate(i)[j] / 2f64.sqrt();
            gate[5 * j + 1] = gate[5 * j];
        }
        lifted.add(&embedded, gate);
    }
    let solver = solver(1e-8, 1);
    let a = solver.solve_over(&narrow, patterns, None, &mut Monitor::none()).unwrap();
    let b = solver.solve_over(&embedded, lifted, None, &mut Monitor::none()).unwrap();
    assert!((a.objective - b.objective).abs() <= 1e-7 * a.objective, "{} {}", a.objective, b.objective);
    assert!((b.convex_objective - b.network_objective).abs() <= 1e-9 * b.objective);
    // a row of zeros only adds its loss at zero
    let mut values: Vec<f64> = Vec::new();
    for j in 0..3 {
        values.extend((0..n).map(|k| x[(k, j)]));
        values.push(0.0);
    }
    let mut target = narrow.target().to_vec();
    target.push(3.0);
    let design = DesignMatrix::from_dense(n + 1, 3, values).unwrap();
    let longer = Training::new(&design, target, Loss::Squared, 0.2).unwrap();
    let patterns = Patterns::sample(&longer, 6, 2).unwrap();
    let c = solver.solve_over(&longer, patterns, None, &mut Monitor::none()).unwrap();
    assert!((c.objective - a.objective - 4.5).abs() <= 1e-6 * c.objective);
}

#[test]
fn zero_is_the_answer_from_beta_max_on() {
    for loss in [Loss::Squared, Loss::Logistic, Loss::Hinge] {
        let training = random(30, 3, loss, 1.0, 21);
        let patterns = Patterns::sample(&training, 10, 1).unwrap();
        let largest = beta_max(&training, &patterns).unwrap();
        let at = |beta: f64| {
            let training = training.with_beta(beta).unwrap();
            solver(1e-8, 1).solve_over(&training, patterns.clone(), None, &mut Monitor::none()).unwrap()
        };
        let above = at(largest * 1.001);
        assert_eq!((above.network.neurons(), above.status), (0, Status::Solved), "{loss:?}");
        assert!(above.notes.iter().any(|note| note.contains("zero network")));
        assert_eq!(above.certificate.value, 0.0);
        let below = at(largest * 0.98);
        assert!(below.network.neurons() > 0 && below.objective < above.objective, "{loss:?}");
    }
}

#[test]
fn paths_are_monotone_and_warm_starts_agree() {
    let training = bundled("heart_scale", None, Loss::Squared, 1.0);
    let patterns = Patterns::sample(&training, 10, 1).unwrap();
    let betas = path_values(beta_max(&training, &patterns).unwrap(), 2.0, 5);
    assert!((betas[4] - 2.0).abs() < 1e-15 && betas.windows(2).all(|w| w[0] > w[1]));
    let solver = solver(1e-6, 1);
    let path = solver.path(&training, &patterns, &betas, &mut Monitor::none()).unwrap();
    assert!(path.windows(2).all(|w| w[0].objective >= w[1].objective));
    for (solution, &beta) in path.iter().zip(&betas) {
        let cold = training.with_beta(beta).unwrap();
        let cold = solver.solve_over(&cold, patterns.clone(), None, &mut Monitor::none()).unwrap();
        assert!((cold.objective - solution.objective).abs() <= 2e-6 * cold.objective, "{beta}");
    }
}

#[test]
fn refinement_is_at_least_as_good_as_every_local_run_and_says_what_it_found() {
    let training = random(50, 4, Loss::Squared, 0.3, 31);
    let refinement = Refinement { starts: 2, rounds: 8, local_iterations: 200, ..Refinement::default() };
    let solver = solver(1e-5, 5);
    let refined = solver.refine(&training, &refinement, None, &mut Monitor::none()).unwrap();
    assert_eq!(refined.status, Status::Solved);
    let plain = solver.solve(&training).unwrap();
    assert!(refined.objective < plain.objective);
    for seed in 0..4 {
        let mut weights = initial_weights(&training, 10, seed);
        let mut objective = NetworkObjective::new(&training, 10);
        let local = Lbfgs::default().minimise(&mut objective, &mut weights, |_, _| true);
        assert!(refined.objective <= local * (1.0 + 1e-3), "{} {local}", refined.objective);
    }
    let ratio = refined.pricing_ratio.unwrap();
    assert!(ratio >= 0.99, "active neurons have ratio one: {ratio}");
    assert_eq!(refined.level == Level::Priced, ratio <= 1.001);
    // a sampled optimum is far from priced out
    assert!(pricing_ratio(&training, &plain.network, 100, 1).unwrap() > 1.01);
    assert_eq!(plain.level, Level::OptimalForPatterns);
}

#[test]
fn gated_units_are_solved_alike_by_both_methods() {
    for loss in [Loss::Squared, Loss::Logistic] {
        let training = random(40, 4, loss, 0.8, 3);
        let patterns = Patterns::sample(&training, 12, 1).unwrap();
        let solve = |method, tolerance| {
            let limits = Limits { tolerance, max_iterations: 3000, time_limit: None };
            GatedRelu { limits, method }.solve(&training, &patterns, &mut Monitor::none()).unwrap()
        };
        let a = solve(GatedMethod::InteriorPoint, 1e-8);
        let b = solve(GatedMethod::ProximalGradient, 1e-5);
        assert_eq!((a.summary.status, b.summary.status), (Status::Solved, Status::Solved), "{loss:?}");
        assert!((a.summary.objective - b.summary.objective).abs() <= 2e-5 * a.summary.objective);
        // without the cones the optimum can only be lower
        let relu =
            solver(1e-6, 1).solve_over(&training, patterns.clone(), None, &mut Monitor::none()).unwrap();
        assert!(a.lower_bound <= relu.objective);
        let design =
            DesignMatrix::from_dense(40, 4, (0..160).map(|i| training.x()[(i % 40, i / 40)]).collect());
        let z = a.predict(&design.unwrap());
        let norms: f64 = a.network.hidden.iter().map(|w| w.iter().map(|v| v * v).sum::<f64>().sqrt()).sum();
        let own = training.loss_value(&z) + 0.8 * norms;
        assert!((own - a.summary.objective).abs() <= 1e-9 * own, "{own} {}", a.summary.objective);
    }
}

#[test]
fn the_sampled_program_is_a_network_of_its_own_objective() {
    let training = random(60, 4, Loss::Logistic, 0.4, 6);
    let few = SampledProgram { neurons: 20, seed: 1, ..SampledProgram::default() };
    let many = SampledProgram { neurons: 400, ..few.clone() };
    let few = few.solve(&training, &mut Monitor::none()).unwrap();
    let many = many.solve(&training, &mut Monitor::none()).unwrap();
    for solution in [&few, &many] {
        let own = solution.network.objective(&training);
        assert!((own - solution.summary.objective).abs() <= 1e-10 * own);
    }
    assert!(many.summary.objective < few.summary.objective);
    let hinge = random(20, 3, Loss::Hinge, 0.4, 6);
    assert!(SampledProgram::default().solve(&hinge, &mut Monitor::none()).is_err());
}

fn budget(norm: Norm, epsilon: f64, perturbed: usize) -> Budget {
    Budget { norm, epsilon, perturbed }
}

#[test]
fn a_budget_of_zero_is_plain_training() {
    for loss in [Loss::Squared, Loss::Hinge, Loss::Logistic] {
        let training = random(30, 4, loss, 0.5, 12);
        let plain = solver(1e-7, 6).solve(&training).unwrap();
        let mut robust = RobustRelu::new(budget(Norm::Infinity, 0.0, 3));
        (robust.patterns, robust.seed, robust.limits) =
            (6, 1, Limits { tolerance: 2e-3, max_iterations: 3000, time_limit: None });
        let solution = robust.solve(&training, &mut Monitor::none()).unwrap();
        let excess = (solution.robust_objective - plain.objective) / plain.objective;
        assert!((-1e-6..=5e-3).contains(&excess), "{loss:?}: {excess:e}");
        assert!(solution.lower_bound <= plain.objective * (1.0 + 1e-7), "{loss:?}");
    }
}

#[test]
fn no_attack_exceeds_the_reported_worst_case() {
    // two clusters far enough apart that patterns hold on the boxes
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let n = 40;
    let mut values = vec![0.0; n * 4];
    let target: Vec<f64> = (0..n).map(|k| if k % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for k in 0..n {
        for j in 0..3 {
            values[j * n + k] = target[k] * (1.0 + 0.5 * j as f64) + random.random_range(-0.8..0.8);
        }
        values[3 * n + k] = 1.0;
    }
    let design = DesignMatrix::from_dense(n, 4, values).unwrap();
    for loss in [Loss::Hinge, Loss::Squared, Loss::Logistic] {
        let training = Training::new(&design, target.clone(), loss, 0.05).unwrap();
        for norm in [Norm::Infinity, Norm::Euclidean] {
            let budget = budget(norm, 0.15, 3);
            let mut robust = RobustRelu::new(budget);
            (robust.patterns, robust.seed) = (30, 2);
            robust.limits.max_iterations = 800;
            let solution = robust.solve(&training, &mut Monitor::none()).unwrap();
            assert!(solution.network.neurons() > 0, "{loss:?} {norm:?}");
            assert!(solution.lower_bound <= solution.robust_objective * (1.0 + 1e-12));
            assert!(
                solution.certificate.relative < 0.2,
                "{loss:?} {norm:?} {}",
                solution.certificate.relative
            );
            let total = solution.worst_losses.iter().sum::<f64>() + solution.network.penalty(0.05);
            assert!((total - solution.robust_objective).abs() <= 1e-9 * total);
            for seed in 0..20 {
                let attacked =
                    attack(&solution.network, &training, &budget, &Attack::projected_gradient(40, seed));
                for (worst, reached) in solution.worst_losses.iter().zip(&attacked.losses) {
                    assert!(*reached <= worst + 1e-9 * (1.0 + worst), "{loss:?} {norm:?}: {reached} {worst}");
                }
            }
            // corners of the box: the worst case is attained by one of the eight
            if norm == Norm::Infinity {
                let clean = attack(&solution.network, &training, &budget, &Attack::fast_gradient_sign());
                for (worst, reached) in solution.worst_losses.iter().zip(&clean.losses) {
                    assert!(
                        (worst - reached).abs() <= 1e-6 * (1.0 + worst),
                        "linear on the box: {worst} {reached}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_budget_that_no_pattern_survives_is_named() {
    let training = random(30, 3, Loss::Hinge, 0.5, 2);
    // without a constant column that escapes, nothing holds on huge boxes
    let robust = RobustRelu::new(budget(Norm::Infinity, 1e6, 3));
    let error = robust.solve(&training, &mut Monitor::none()).unwrap_err();
    assert!(error.to_string().contains("budget"), "{error}");
    for epsilon in [-1.0, f64::NAN, f64::INFINITY] {
        let robust = RobustRelu::new(budget(Norm::Infinity, epsilon, 3));
        assert!(robust.solve(&training, &mut Monitor::none()).is_err());
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_every_number_of_threads() {
    let training = random(70, 6, Loss::Logistic, 0.3, 9);
    let squared = random(70, 6, Loss::Squared, 0.3, 9);
    let refinement = Refinement { starts: 1, rounds: 2, local_iterations: 50, ..Refinement::default() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let a = solver(1e-6, 30).solve(&training).unwrap();
            let admm = ConvexRelu { method: Method::Admm, ..solver(1e-3, 30) };
            let admm = ConvexRelu { limits: Limits { max_iterations: 60, ..admm.limits.clone() }, ..admm };
            let b = admm.solve(&squared).unwrap();
            let c = solver(1e-5, 4).refine(&squared, &refinement, None, &mut Monitor::none()).unwrap();
            [a, b, c].map(|s| (s.objective.to_bits(), s.certificate.value.to_bits(), s.network))
        })
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(5), one);
}

#[test]
fn interruption_and_limits_return_the_best_network_with_its_gap() {
    let training = bundled("heart_scale", None, Loss::Squared, 1.0);
    let patterns = Patterns::sample(&training, 20, 1).unwrap();
    for method in [Method::InteriorPoint, Method::Admm] {
        let solver = ConvexRelu { method, ..solver(1e-9, 20) };
        let mut seen = 0;
        let mut monitor = Monitor::none().with_observer(|_| {
            seen += 1;
            if seen > 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let solution = solver.solve_over(&training, patterns.clone(), None, &mut monitor).unwrap();
        drop(monitor);
        if solution.status != Status::Solved {
            assert_eq!(solution.status, Status::Interrupted, "{method:?}");
        }
        // feasible, so that its network has its objective, and above the optimum
        assert!((solution.convex_objective - solution.network_objective).abs() <= 1e-9 * solution.objective);
        assert!(solution.objective >= CONIC_HEART * (1.0 - 1e-8));
        assert!(solution.lower_bound <= CONIC_HEART * (1.0 + 1e-8));
    }
    let flag = Arc::new(AtomicBool::new(false));
    flag.store(true, Ordering::Relaxed);
    let mut monitor = Monitor::none().with_interrupt(flag);
    let stopped = solver(1e-9, 20).refine(&training, &Refinement::default(), None, &mut monitor).unwrap();
    assert_eq!(stopped.status, Status::Interrupted);
    let limits = Limits { tolerance: 1e-9, max_iterations: 3, time_limit: None };
    let short = ConvexRelu { limits, patterns: 20, ..ConvexRelu::default() }.solve(&training).unwrap();
    assert_eq!(short.status, Status::IterationLimit);
    assert!(short.objective.is_finite() && short.certificate.relative.is_finite());
}

#[test]
fn bad_input_is_named() {
    let design = |n: usize, d: usize| DesignMatrix::from_dense(n, d, vec![1.0; n * d]).unwrap();
    let training =
        |n: usize, d: usize, y: &[f64], loss, beta| Training::new(&design(n, d), y.to_vec(), loss, beta);
    assert!(matches!(training(0, 2, &[], Loss::Squared, 1.0), Err(Error::Empty { rows: 0, columns: 2 })));
    assert!(matches!(
        training(2, 0, &[1.0, 2.0], Loss::Squared, 1.0),
        Err(Error::Empty { rows: 2, columns: 0 })
    ));
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(training(2, 1, &[1.0, 2.0], Loss::Squared, beta), Err(Error::Beta(_))));
    }
    let message = |result: Result<Training, Error>| result.unwrap_err().to_string();
    assert!(message(training(2, 1, &[1.0, f64::NAN], Loss::Squared, 1.0)).contains("row 1"));
    assert!(message(training(2, 1, &[1.0], Loss::Squared, 1.0)).contains("1 entries for 2 rows"));
    assert!(message(training(2, 1, &[1.0, 2.0], Loss::Hinge, 1.0)).contains("-1 and +1"));
    assert!(message(training(2, 1, &[1.0, 1.0], Loss::Logistic, 1.0)).contains("1 distinct labels"));
    let fine = training(3, 2, &[1.0, -1.0, 1.0], Loss::Squared, 1.0).unwrap();
    let options = |solver: ConvexRelu| solver.solve(&fine).unwrap_err().to_string();
    assert!(options(ConvexRelu { patterns: 0, ..ConvexRelu::default() }).contains("patterns is 0"));
    let admm = |admm: Admm| options(ConvexRelu { admm, ..ConvexRelu::default() });
    assert!(admm(Admm { rho: 0.0, ..Admm::default() }).contains("rho is 0"));
    assert!(admm(Admm { dual_step: 2.0, ..Admm::default() }).contains("dual_step is 2"));
    assert!(admm(Admm { relaxation: 2.0, ..Admm::default() }).contains("relaxation is 2"));
    let long =
        training(20_001, 1, &(0..20_001).map(f64::from).collect::<Vec<_>>(), Loss::Squared, 1.0).unwrap();
    let interior = ConvexRelu { method: Method::InteriorPoint, patterns: 3, ..ConvexRelu::default() };
    assert!(interior.solve(&long).unwrap_err().to_string().contains("20001 rows"));
    let other = Network { columns: 5, ..Network::default() };
    let patterns = Patterns::sample(&fine, 3, 1).unwrap();
    let error =
        ConvexRelu::default().solve_over(&fine, patterns, Some(&other), &mut Monitor::none()).unwrap_err();
    assert!(error.to_string().contains("5 inputs"));
}

#[test]
fn odd_data_are_solved_all_the_same() {
    // constant targets, equal rows, a single row, a column that dwarfs the others
    for (n, d, values, target) in [
        (4, 2, vec![1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0], vec![2.0; 4]),
        (3, 2, vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0], vec![1.0, -1.0, 0.5]),
        (1, 1, vec![2.0], vec![1.0]),
        (4, 2, vec![1e6, 2e6, 3e6, 4e6, 1.0, -1.0, 1.0, -1.0], vec![1.0, -1.0, 1.0, -1.0]),
        (3, 2, vec![0.0; 6], vec![1.0, 2.0, 3.0]),
    ] {
        let design = DesignMatrix::from_dense(n, d, values).unwrap();
        let training = Training::new(&design, target, Loss::Squared, 0.01).unwrap();
        let solution = solver(1e-6, 30).solve(&training).unwrap();
        assert!(solution.certificate.relative <= 1e-5, "{n} {d}: {solution}");
        assert!(solution.objective.is_finite());
    }
    // nearly all samples alike: a note says why
    let mut values = vec![1e6, 2e6, 3e6, 4e6];
    values.extend([1.0, -1.0, 1.0, -1.0]);
    let design = DesignMatrix::from_dense(4, 2, values).unwrap();
    let training = Training::new(&design, vec![1.0, -1.0, 1.0, -1.0], Loss::Squared, 0.01).unwrap();
    let solution = solver(1e-5, 50).solve(&training).unwrap();
    assert!(solution.notes.iter().any(|note| note.contains("standardise")), "{:?}", solution.notes);
}

#[test]
fn many_rows_go_by_admm_and_too_many_are_refused_by_the_interior_point_method() {
    let training = random(6100, 2, Loss::Squared, 5.0, 3);
    let limits = Limits { tolerance: 1e-6, max_iterations: 30, time_limit: None };
    let solution = ConvexRelu { limits, patterns: 3, ..ConvexRelu::default() }.solve(&training).unwrap();
    assert!(solution.counts["admm_iterations"] > 0 && solution.counts["interior_iterations"] == 0);
    assert!(solution.lower_bound <= solution.objective && solution.lower_bound > 0.0);
    let training = random(20_001, 2, Loss::Squared, 5.0, 3);
    let solver = ConvexRelu { method: Method::InteriorPoint, patterns: 2, ..ConvexRelu::default() };
    let error = solver.solve(&training).unwrap_err().to_string();
    assert!(error.contains("20001 rows") && error.contains("admm"), "{error}");
}

#[test]
fn bounds_of_short_runs_hold_at_extreme_scales() {
    // data of 1e8 and more: objectives of 1e20 and their gaps differ by nothing but rounding at first
    for (scale, loss) in
        [(1e8, Loss::Squared), (1e12, Loss::Squared), (1e8, Loss::Logistic), (1e-8, Loss::Squared)]
    {
        let plain = random(30, 4, loss, 1.0, 11);
        let x = plain.x();
        let values: Vec<f64> =
            (0..4).flat_map(|j| x.col(j).iter().map(|v| scale * v).collect::<Vec<_>>()).collect();
        let design = DesignMatrix::from_dense(30, 4, values).unwrap();
        let training = Training::new(&design, plain.target().to_vec(), loss, 1.0).unwrap();
        let patterns = Patterns::sample(&training, 10, 1).unwrap();
        for method in [Method::InteriorPoint, Method::Admm] {
            let run = |most: usize| {
                let limits = Limits { tolerance: 1e-10, max_iterations: most, time_limit: None };
                let solver = ConvexRelu { limits, method, ..ConvexRelu::default() };
                solver.solve_over(&training, patterns.clone(), None, &mut Monitor::none()).unwrap()
            };
            let long = run(300);
            for most in [0, 1, 2, 5, 10, 20] {
                let short = run(most);
                assert!(
                    short.lower_bound <= long.convex_objective * (1.0 + 1e-12),
                    "{method:?} {loss:?} {scale:e}: after {most} iterations at least {:e}, in truth at most {:e}",
                    short.lower_bound,
                    long.convex_objective
                );
            }
        }
    }
}
