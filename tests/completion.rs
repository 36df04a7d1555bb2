//! Completion of low-rank matrices: recovery, half-steps against independent solutions, certificates, determinism.

#![allow(clippy::unwrap_used, clippy::needless_range_loop)]

#[path = "common/low_rank.rs"]
mod low_rank;

use faer::Mat;
use gradus::completion::{
    Checkpoint, Completion, Duplicates, Entry, HalfStep, LowRankModel, Observations, RidgeKind, Start,
    StartRule, certify, choose_ridge,
};
use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::TallMatrix;
use gradus::linalg::factor::{DenseQr, dense_svd};
use low_rank::instance;

fn limits(tolerance: f64, max_iterations: usize) -> Limits {
    Limits { tolerance, max_iterations, time_limit: None }
}

#[test]
fn exact_data_are_recovered_in_few_sweeps() {
    let matrix = instance(5000, 5000, 10, 0.05, 1.0, 0.0, 1);
    let problem = matrix.problem();
    for (sweeps, target) in [(8, 1e-6), (14, 1e-10)] {
        let solver = Completion { limits: limits(1e-15, sweeps), ..Completion::default() };
        let answer = solver.solve(&problem).unwrap();
        assert!(matrix.error(&answer.model) <= target, "{sweeps}: {:e}", matrix.error(&answer.model));
    }
    // the certificate stops in time, and the held-out entries know the error over the whole matrix
    let solver = Completion { limits: limits(1e-6, 50), ..Completion::default() };
    let answer = solver.solve(&problem).unwrap();
    assert_eq!(answer.status, Status::Solved);
    assert!(answer.certificate.relative <= 1e-6 && answer.iterations <= 9);
    let scale = (matrix.entries.iter().map(|(.., v)| v * v).sum::<f64>() / problem.len() as f64).sqrt();
    let held_out = answer.validation_rmse.unwrap() / scale;
    assert!((held_out / matrix.error(&answer.model) - 1.0).abs() < 0.1);
}

#[test]
fn every_condition_is_recovered() {
    for condition in [1.0, 10.0, 30.0, 100.0, 1000.0] {
        for seed in 1..4 {
            let matrix = instance(1000, 1000, 10, 0.15, condition, 0.0, seed);
            let solver = Completion { limits: limits(1e-15, 20), ..Completion::default() };
            let answer = solver.solve(&matrix.problem()).unwrap();
            let error = matrix.error(&answer.model);
            assert!(error <= 1e-6, "condition {condition}, seed {seed}: {error:e}");
        }
    }
}

/// Uniform numbers in [-1, 1).
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 * 2f64.powi(-52) - 1.0
    }
}

/// Observations with rows of every kind: none, fewer than k, many; weights; and factors to start from.
fn odd_problem(weighted: bool, k: usize, biases: bool) -> (Observations, Vec<f64>, LowRankModel) {
    let (m, n) = (25, 40);
    let mut draw = noise(7);
    let mut entries = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let share = if i == 3 {
                -1.0
            } else if i == 4 {
                -0.95
            } else {
                0.3
            };
            if draw() < share || (i == 4 && j == 5) {
                entries.push((i, j, 3.0 * draw() + 1.0));
            }
        }
    }
    let weights: Vec<f64> = entries.iter().map(|_| if weighted { 1.5 + draw() } else { 1.0 }).collect();
    let problem = Observations::with_weights(
        m as usize,
        n as usize,
        &entries,
        weighted.then_some(&weights[..]),
        Duplicates::Refuse,
    )
    .unwrap();
    let width = k + usize::from(biases);
    let factor =
        |rows: u32, draw: &mut dyn FnMut() -> f64| TallMatrix::from_fn(rows as usize, width, |_, _| draw());
    let (rows, columns) = (factor(m, &mut draw), factor(n, &mut draw));
    let mean = if biases { entries.iter().map(|(.., v)| v / entries.len() as f64).sum() } else { 0.0 };
    (problem, weights, LowRankModel::new(mean, rows, columns, biases))
}

/// The least-squares solution of every row by QR of its stacked system: entries, and the ridge below them.
fn oracle_rows(
    entries: &[(u32, u32, f64)],
    weights: &[f64],
    fixed: &TallMatrix,
    rows: usize,
    mean: f64,
    biases: bool,
    ridge: impl Fn(usize, usize) -> f64,
) -> Vec<Vec<f64>> {
    let d = fixed.columns();
    (0..rows)
        .map(|i| {
            let of_row: Vec<_> =
                entries.iter().zip(weights).filter(|((r, ..), _)| *r as usize == i).collect();
            if of_row.is_empty() {
                return vec![0.0; d];
            }
            let count = of_row.len();
            let mut a = Mat::zeros(count + d, d);
            let mut b = vec![0.0; count + d];
            for (t, ((_, j, value), weight)) in of_row.iter().enumerate() {
                let y = fixed.row(*j as usize);
                for c in 0..d {
                    let coefficient = if biases && c == d - 1 { 1.0 } else { y[c] };
                    a[(t, c)] = weight.sqrt() * coefficient;
                }
                b[t] = weight.sqrt() * (value - mean - if biases { y[d - 1] } else { 0.0 });
            }
            for c in 0..d {
                a[(count + c, c)] = ridge(count, c).sqrt();
            }
            DenseQr::factor(a.as_ref()).unwrap().solve_least_squares(&b).unwrap()
        })
        .collect()
}

#[test]
fn half_steps_agree_with_dense_least_squares() {
    let k = 4;
    for (biases, weighted, kind) in [
        (false, false, RidgeKind::Uniform),
        (false, true, RidgeKind::ByCount),
        (true, false, RidgeKind::ByCount),
        (true, true, RidgeKind::Uniform),
    ] {
        let (problem, weights, model) = odd_problem(weighted, k, biases);
        let (ridge, bias_ridge) = (0.7, 0.2);
        let lambda = |count: usize, c: usize| {
            let base = if biases && c == k { bias_ridge } else { ridge };
            base * if kind == RidgeKind::ByCount { count as f64 } else { 1.0 }
        };
        let entries: Vec<_> = problem.entries().collect();
        let by_row =
            oracle_rows(&entries, &weights, model.column_factors(), 25, model.mean(), biases, lambda);
        let d = by_row[0].len();
        let rows = TallMatrix::from_fn(25, d, |i, c| by_row[i][c]);
        let flipped: Vec<_> = entries.iter().map(|&(i, j, v)| (j, i, v)).collect();
        let by_column = oracle_rows(&flipped, &weights, &rows, 40, model.mean(), biases, lambda);
        for half_step in
            [HalfStep::Exact, HalfStep::Preconditioned, HalfStep::Sketched { ratio: 2 }, HalfStep::Auto]
        {
            let solver = Completion {
                limits: limits(0.0, 1),
                rank: k,
                ridge,
                bias_ridge: Some(bias_ridge),
                ridge_kind: kind,
                biases,
                half_step,
                inner_tolerance: Some(1e-12),
                ..Completion::default()
            };
            let answer = solver.solve_with(&problem, Start::Model(&model), &mut Monitor::none()).unwrap();
            for i in 0..25 {
                for c in 0..d {
                    let found = answer.model.row_factors().row(i)[c];
                    assert!((found - by_row[i][c]).abs() < 1e-9, "{half_step:?} {i} {c}: {found}");
                }
            }
            for j in 0..40 {
                for c in 0..d {
                    let found = answer.model.column_factors().row(j)[c];
                    assert!((found - by_column[j][c]).abs() < 1e-9, "{half_step:?} {j} {c}: {found}");
                }
            }
        }
    }
}

#[test]
fn without_a_ridge_short_rows_take_the_least_step() {
    // 30 x 20 of rank 2; row 0 has one entry
    let mut matrix = instance(30, 20, 2, 0.7, 1.0, 0.0, 3);
    matrix.entries.retain(|&(i, j, _)| i != 0 || j == 4);
    if !matrix.entries.iter().any(|&(i, ..)| i == 0) {
        matrix.entries.insert(0, (0, 4, 1.5));
    }
    let problem = matrix.problem();
    for half_step in [HalfStep::Exact, HalfStep::Preconditioned] {
        let solver = Completion { limits: limits(1e-10, 200), rank: 2, half_step, ..Completion::default() };
        let answer = solver.solve(&problem).unwrap();
        let (_, _, value) = matrix.entries[0];
        assert!((answer.model.predict(0, 4) - value).abs() < 1e-6 * value.abs(), "the entry itself fits");
        assert!(
            answer.notes.iter().any(|note| note.contains("fewer entries than unknowns")),
            "{:?}",
            answer.notes
        );
        // all other rows are recovered
        let exact: f64 = matrix.left.row(7).iter().zip(matrix.right.row(3)).map(|(a, b)| a * b).sum();
        assert!((answer.model.predict(7, 3) - exact).abs() < 1e-6);
    }
}

#[test]
fn the_objective_never_rises() {
    let matrix = instance(200, 150, 18, 0.4, 3.0, 0.3, 2);
    let problem = matrix.problem();
    for half_step in [HalfStep::Exact, HalfStep::Preconditioned, HalfStep::Sketched { ratio: 4 }] {
        for (ridge, biases, nonnegative) in [(0.0, false, false), (0.1, true, false), (0.05, false, true)] {
            let solver = Completion {
                limits: limits(1e-9, 40),
                rank: 18,
                ridge,
                biases,
                nonnegative,
                half_step,
                start: StartRule::Spectral,
                validation: Some(0.0),
                ..Completion::default()
            };
            let answer = solver.solve(&problem).unwrap();
            let objectives: Vec<f64> = answer.history.records.iter().map(|r| r.objective).collect();
            for pair in objectives.windows(2) {
                assert!(pair[1] <= pair[0] * (1.0 + 1e-12), "{half_step:?} {ridge}: {pair:?}");
            }
            // the last record is that of the answer, which is recomputed from scratch
            let last = *objectives.last().unwrap();
            assert!((last - answer.objective).abs() <= 1e-9 * last, "{last} {}", answer.objective);
            if nonnegative {
                let (rows, columns) = (answer.model.row_factors(), answer.model.column_factors());
                assert!(rows.as_slice().iter().chain(columns.as_slice()).all(|&value| value >= 0.0));
            }
        }
    }
}

#[test]
fn the_gradient_agrees_with_differences() {
    for (biases, implicit, kind) in [
        (false, None, RidgeKind::Uniform),
        (true, None, RidgeKind::ByCount),
        (false, Some(2.0), RidgeKind::Uniform),
    ] {
        let mut draw = noise(11);
        let entries: Vec<(u32, u32, f64)> = (0..9)
            .flat_map(|i| (0..7).map(move |j| (i, j)))
            .filter(|(i, j)| (i * 5 + j * 3) % 4 > 0)
            .map(|(i, j)| (i, j, 1.5 + draw()))
            .collect();
        let problem = Observations::new(9, 7, &entries, Duplicates::Refuse).unwrap();
        let width = 2 + usize::from(biases);
        let rows = TallMatrix::from_fn(9, width, |_, _| draw());
        let columns = TallMatrix::from_fn(7, width, |_, _| draw());
        let mean = if biases { 1.4 } else { 0.0 };
        let options =
            Completion { rank: 2, ridge: 0.3, ridge_kind: kind, biases, implicit, ..Completion::default() };
        let objective = |rows: &TallMatrix, columns: &TallMatrix| {
            let model = LowRankModel::new(mean, rows.clone(), columns.clone(), biases);
            certify(&options, &problem, &model).unwrap().0
        };
        let h = 1e-5;
        // biases and factors have different units; the certificate takes both in those of the scaled problem
        let scale = if implicit.is_some() {
            1.0
        } else {
            let m =
                if biases { entries.iter().map(|e| e.2 / entries.len() as f64).sum::<f64>() } else { 0.0 };
            (entries.iter().map(|e| (e.2 - m) * (e.2 - m)).sum::<f64>() / entries.len() as f64).sqrt()
        };
        let unit = |c: usize| if biases && c == 2 { scale } else { scale.sqrt() };
        let (mut gx, mut gy, mut nx, mut ny) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..9 {
            for c in 0..width {
                let (mut up, mut down) = (rows.clone(), rows.clone());
                up.row_mut(i)[c] += h;
                down.row_mut(i)[c] -= h;
                let slope = (objective(&up, &columns) - objective(&down, &columns)) / (2.0 * h);
                gx += (slope * unit(c)).powi(2);
                nx += (rows.row(i)[c] / unit(c)).powi(2);
            }
        }
        for j in 0..7 {
            for c in 0..width {
                let (mut up, mut down) = (columns.clone(), columns.clone());
                up.row_mut(j)[c] += h;
                down.row_mut(j)[c] -= h;
                let slope = (objective(&rows, &up) - objective(&rows, &down)) / (2.0 * h);
                gy += (slope * unit(c)).powi(2);
                ny += (columns.row(j)[c] / unit(c)).powi(2);
            }
        }
        // the start's mean differs from the data's by a shift that the certificate moves into the row biases
        let model = LowRankModel::new(mean, rows.clone(), columns.clone(), biases);
        let value = certify(&options, &problem, &model).unwrap().1.value;
        let expected = gx.sqrt() * nx.sqrt() + gy.sqrt() * ny.sqrt();
        assert!((value / expected - 1.0).abs() < 1e-6, "{biases} {implicit:?}: {value} {expected}");
    }
}

#[test]
fn implicit_feedback_counts_every_cell() {
    let mut draw = noise(5);
    let entries: Vec<(u32, u32, f64)> = (0..30)
        .flat_map(|i| (0..20).map(move |j| (i, j)))
        .filter(|(i, j)| (i * 3 + j * 7) % 5 == 0)
        .map(|(i, j)| (i, j, 3.0 + 2.5 * draw()))
        .collect();
    let problem = Observations::new(30, 20, &entries, Duplicates::Refuse).unwrap();
    let (alpha, ridge) = (4.0, 0.8);
    let mut answers = Vec::new();
    for half_step in [HalfStep::Exact, HalfStep::Preconditioned] {
        let solver = Completion {
            limits: limits(1e-10, 2000),
            rank: 3,
            ridge,
            ridge_kind: RidgeKind::Uniform,
            implicit: Some(alpha),
            half_step,
            ..Completion::default()
        };
        let answer = solver.solve(&problem).unwrap();
        assert_eq!(answer.status, Status::Solved);
        let mut dense = 0.0;
        for i in 0..30u32 {
            for j in 0..20u32 {
                let seen = entries.iter().find(|e| (e.0, e.1) == (i, j)).map(|e| e.2);
                let confidence = 1.0 + alpha * seen.unwrap_or(0.0);
                let preference = if seen.is_some() { 1.0 } else { 0.0 };
                let error = preference - answer.model.predict(i as usize, j as usize);
                dense += 0.5 * confidence * error * error;
            }
        }
        let (rows, columns) = (answer.model.row_factors(), answer.model.column_factors());
        let squares: f64 = rows.as_slice().iter().chain(columns.as_slice()).map(|v| v * v).sum();
        dense += 0.5 * ridge * squares;
        assert!((answer.objective / dense - 1.0).abs() < 1e-10, "{} {dense}", answer.objective);
        let last = answer.history.records.last().unwrap().objective;
        assert!((last / dense - 1.0).abs() < 1e-10);
        answers.push(answer.objective);
    }
    assert!((answers[0] / answers[1] - 1.0).abs() < 1e-8, "{answers:?}");
}

/// min |P(V - Z)|^2 / 2 + ridge |Z|_* by proximal gradient steps on the dense matrix.
fn soft_impute(m: usize, n: usize, entries: &[(u32, u32, f64)], ridge: f64) -> f64 {
    let mut z = Mat::<f64>::zeros(m, n);
    let mut objective = f64::INFINITY;
    for _ in 0..3000 {
        let mut filled = z.clone();
        for &(i, j, v) in entries {
            filled[(i as usize, j as usize)] = v;
        }
        let (u, s, v) = dense_svd(filled.as_ref()).unwrap();
        let shrunk: Vec<f64> = s.iter().map(|s| (s - ridge).max(0.0)).collect();
        z = Mat::from_fn(m, n, |i, j| (0..s.len()).map(|c| u[(i, c)] * shrunk[c] * v[(j, c)]).sum());
        let loss: f64 = entries.iter().map(|&(i, j, v)| (v - z[(i as usize, j as usize)]).powi(2)).sum();
        let next = 0.5 * loss + ridge * shrunk.iter().sum::<f64>();
        if objective - next < 1e-13 * next {
            return next;
        }
        objective = next;
    }
    objective
}

#[test]
fn a_uniform_ridge_is_certified_globally() {
    let matrix = instance(60, 50, 3, 0.5, 1.0, 0.3, 4);
    let problem = matrix.problem();
    let ridge = 6.0;
    let convex = soft_impute(60, 50, &matrix.entries, ridge);
    let solve = |rank| {
        let solver = Completion {
            limits: limits(1e-12, 20_000),
            rank,
            ridge,
            ridge_kind: RidgeKind::Uniform,
            ..Completion::default()
        };
        solver.solve(&problem).unwrap()
    };
    let enough = solve(6);
    let gap = enough.global_gap.unwrap();
    assert!((enough.objective / convex - 1.0).abs() < 1e-9, "{} {convex}", enough.objective);
    assert!(gap.excess < 1e-6 && gap.relative < 1e-9, "{gap:?}");
    // the dual bound holds for any factors
    let few = solve(1);
    let gap = few.global_gap.unwrap();
    assert!(gap.excess > 0.5 && gap.relative > 0.01, "{gap:?}");
    assert!(few.objective - gap.value <= convex * (1.0 + 1e-9));
}

#[test]
fn noise_costs_what_its_degrees_of_freedom_say() {
    for deviation in [1e-3, 1e-2, 1e-1, 3e-1] {
        let matrix = instance(1000, 1000, 5, 0.15, 1.0, deviation, 6);
        let solver = Completion { limits: limits(1e-6, 100), rank: 5, ..Completion::default() };
        let answer = solver.solve(&matrix.problem()).unwrap();
        let ratio = matrix.error(&answer.model) / matrix.oracle();
        assert!(ratio < 1.1, "{deviation}: {ratio}");
    }
}

#[test]
fn outliers_hardly_matter_to_hubers_loss() {
    use gradus::completion::Loss;
    for (share, bound) in [(0.05, 1.2), (0.1, 1.35), (0.2, 1.8)] {
        let mut matrix = instance(1000, 1000, 5, 0.15, 1.0, 0.01, 8);
        let mut draw = noise(21);
        let size = 100.0 * matrix.deviation;
        let half = 0.5 + share / 2.0;
        for (.., value) in &mut matrix.entries {
            if draw() > 2.0 * half - 2.0 * share {
                // normal of ten times the values' size: the sum of twelve uniforms
                *value += 10.0 * size * (0..12).map(|_| draw()).sum::<f64>() / 2.0;
            }
        }
        let ratio = |loss| {
            let solver = Completion { limits: limits(1e-5, 60), rank: 5, loss, ..Completion::default() };
            let answer = solver.solve(&matrix.problem()).unwrap();
            matrix.error(&answer.model) / matrix.oracle()
        };
        let huber = ratio(Loss::Huber);
        assert!(huber < bound, "{share}: {huber}");
        if share == 0.05 {
            let squares = ratio(Loss::Squares);
            assert!(squares > 50.0, "least squares is lost: {squares}");
        }
    }
}

#[test]
fn bits_depend_neither_on_threads_nor_on_interruptions() {
    let matrix = instance(400, 300, 20, 0.5, 20.0, 0.0, 9);
    let problem = matrix.problem();
    for solver in [
        Completion { rank: 20, ..Completion::default() },
        Completion { rank: 6, ridge: 0.1, biases: true, patience: 3, ..Completion::default() },
        Completion { rank: 25, automatic_rank: true, ..Completion::default() },
        Completion {
            rank: 8,
            half_step: HalfStep::Sketched { ratio: 4 },
            single_precision: true,
            ..Completion::default()
        },
    ] {
        let solver = Completion { limits: limits(1e-9, 25), ..solver };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| solver.solve(&problem).unwrap())
        };
        let mut checkpoints: Vec<String> = Vec::new();
        let whole = solver
            .solve_saving(&problem, Start::Cold, &mut Monitor::none(), &mut |_, make| {
                checkpoints.push(serde_json::to_string(&make()).unwrap());
            })
            .unwrap();
        for threads in [1, 2, 4] {
            assert!(on(threads).model == whole.model, "{threads} threads");
        }
        assert_eq!(checkpoints.len(), whole.iterations);
        for text in checkpoints.iter().step_by(3) {
            let checkpoint: Checkpoint = serde_json::from_str(text).unwrap();
            let resumed =
                solver.solve_with(&problem, Start::Checkpoint(&checkpoint), &mut Monitor::none()).unwrap();
            assert!(resumed.model == whole.model, "resumed after sweep {}", checkpoint.sweeps());
            assert_eq!(resumed.iterations, whole.iterations);
            assert_eq!(resumed.history.records.len(), whole.history.records.len());
            assert_eq!(resumed.status, whole.status);
        }
        let other = Completion { seed: 1, ..solver.clone() };
        let checkpoint: Checkpoint = serde_json::from_str(&checkpoints[0]).unwrap();
        assert!(other.solve_with(&problem, Start::Checkpoint(&checkpoint), &mut Monitor::none()).is_err());
    }
}

#[test]
fn the_rank_is_found() {
    let matrix = instance(2000, 2000, 10, 0.1, 1.0, 0.0, 1);
    let solver =
        Completion { rank: 30, automatic_rank: true, limits: limits(1e-8, 300), ..Completion::default() };
    let answer = solver.solve(&matrix.problem()).unwrap();
    assert_eq!((answer.model.rank(), answer.status), (10, Status::Solved));
    assert!(matrix.error(&answer.model) < 1e-6);
    let matrix = instance(2000, 2000, 10, 0.1, 1.0, 0.01, 1);
    let answer = Completion { limits: limits(1e-6, 300), ..solver }.solve(&matrix.problem()).unwrap();
    assert!((10..=12).contains(&answer.model.rank()), "{}", answer.model.rank());
    assert!(matrix.error(&answer.model) < 1.3 * matrix.oracle());
}

/// The ratings of the shared collection, a tenth of them held out.
fn ratings(file: &str) -> Option<(Observations, Vec<Entry>)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if !path.is_file() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    let read = gradus::read::triplets::read(&path, &Default::default()).unwrap();
    let all =
        Observations::new(read.rows.len(), read.columns.len(), &read.entries, Duplicates::Refuse).unwrap();
    Some(all.split(0.1, 1, |i, j| (u64::from(i), u64::from(j))).unwrap())
}

#[test]
fn ratings_are_predicted_with_a_ridge_chosen_on_an_inner_split() {
    for (file, bound) in [("ratings-jester5k/jester5k.tsv.xz", 4.06), ("movielens/u.data.xz", 0.92)] {
        let Some((training, test)) = ratings(file) else { continue };
        let mut solver = Completion {
            rank: 10,
            biases: true,
            ridge: 1.0,
            limits: limits(1e-5, 60),
            ..Completion::default()
        };
        let (ridge, trials) = choose_ridge(&solver, &training, &mut Monitor::none()).unwrap();
        assert!(
            trials.iter().all(|trial| trial.rmse >= trials.iter().find(|t| t.ridge == ridge).unwrap().rmse)
        );
        solver.ridge = ridge;
        let answer = solver.solve(&training).unwrap();
        let rmse = answer.model.rmse(&test);
        println!("{file}: ridge {ridge:.4}, rmse {rmse:.4}, {} sweeps", answer.iterations);
        assert!(rmse < bound, "{file}: {rmse}");
    }
}
