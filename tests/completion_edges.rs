//! Bad and odd inputs of a completion: each is refused by name or has a documented answer.

#![allow(clippy::unwrap_used)]

#[path = "common/low_rank.rs"]
mod low_rank;

use std::time::Duration;

use gradus::completion::{
    Completion, Duplicates, Error, HalfStep, Loss, LowRankModel, Observations, RidgeKind, Start, StartRule,
};
use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::TallMatrix;
use low_rank::instance;

fn observe(rows: usize, columns: usize, entries: &[(u32, u32, f64)]) -> Result<Observations, Error> {
    Observations::new(rows, columns, entries, Duplicates::Refuse)
}

#[test]
fn bad_entries_are_named() {
    assert_eq!(observe(2, 2, &[]).unwrap_err(), Error::Empty);
    let error = observe(2, 2, &[(0, 0, 1.0), (1, 1, f64::NAN)]).unwrap_err();
    assert!(matches!(error, Error::Value { row: 1, column: 1, .. }));
    assert!(matches!(observe(2, 2, &[(0, 1, f64::INFINITY)]), Err(Error::Value { .. })));
    assert!(matches!(observe(2, 2, &[(2, 0, 1.0)]), Err(Error::Index { row: 2, .. })));
    let twice = [(0, 1, 1.0), (1, 0, 5.0), (0, 1, 3.0)];
    assert_eq!(observe(2, 2, &twice).unwrap_err(), Error::Duplicate { row: 0, column: 1 });
    for (rule, expected) in [(Duplicates::Mean, 2.0), (Duplicates::Last, 3.0), (Duplicates::Sum, 4.0)] {
        let problem = Observations::new(2, 2, &twice, rule).unwrap();
        assert_eq!(problem.entries().collect::<Vec<_>>(), [(0, 1, expected), (1, 0, 5.0)]);
    }
    let entries = [(0, 0, 1.0), (0, 1, 2.0)];
    let weighed =
        |weights: &[f64]| Observations::with_weights(1, 2, &entries, Some(weights), Duplicates::Refuse);
    assert!(matches!(weighed(&[1.0, -1.0]), Err(Error::Weight { column: 1, .. })));
    assert!(matches!(weighed(&[1.0]), Err(Error::WeightCount { .. })));
    assert_eq!(weighed(&[0.0, 1.0]).unwrap().entries().collect::<Vec<_>>(), [(0, 1, 2.0)]);
    assert_eq!(weighed(&[0.0, 0.0]).unwrap_err(), Error::Empty);
}

#[test]
fn bad_options_are_named() {
    let matrix = instance(12, 10, 2, 0.9, 1.0, 0.0, 1);
    let problem = matrix.problem();
    let fails = |solver: Completion, words: &str| {
        let message = solver.solve(&problem).unwrap_err().to_string();
        assert!(message.contains(words), "wanted '{words}': {message}");
    };
    let base = Completion { rank: 2, ..Completion::default() };
    fails(Completion { rank: 0, ..base.clone() }, "rank 0");
    fails(Completion { rank: 11, ..base.clone() }, "between 1 and 10");
    fails(Completion { rank: 9, ..base.clone() }, "smaller rank or a ridge");
    fails(Completion { ridge: -1.0, ..base.clone() }, "ridge is -1");
    fails(Completion { ridge: f64::NAN, ..base.clone() }, "ridge is NaN");
    fails(Completion { inner_tolerance: Some(0.0), ..base.clone() }, "inner tolerance");
    fails(Completion { half_step: HalfStep::Sketched { ratio: 1 }, ..base.clone() }, "sketch");
    fails(Completion { validation: Some(1.0), ..base.clone() }, "validation share");
    fails(Completion { patience: 3, validation: Some(0.0), ..base.clone() }, "patience");
    fails(Completion { implicit: Some(1.0), ..base.clone() }, "needs a ridge");
    fails(Completion { implicit: Some(-1.0), ridge: 1.0, ..base.clone() }, "alpha");
    fails(Completion { implicit: Some(1.0), ridge: 1.0, biases: true, ..base.clone() }, "no biases");
    let wrong = Limits { tolerance: f64::NAN, ..Limits::default() };
    fails(Completion { limits: wrong, ..base.clone() }, "tolerance");
    let negative = observe(2, 2, &[(0, 0, 1.0), (1, 1, -2.0)]).unwrap();
    let solver = Completion { rank: 1, implicit: Some(1.0), ridge: 1.0, ..base.clone() };
    assert!(matches!(solver.solve(&negative), Err(Error::Implicit { row: 1, .. })));
    // starts that don't fit
    let model = |rows, columns, rank| {
        LowRankModel::new(0.0, TallMatrix::zeros(rows, rank), TallMatrix::zeros(columns, rank), false)
    };
    for (model, words) in [(model(11, 10, 2), "the matrix"), (model(12, 10, 3), "above the 2")] {
        let error = base.solve_with(&problem, Start::Model(&model), &mut Monitor::none()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn rows_and_columns_without_entries_predict_what_is_known() {
    let mut matrix = instance(40, 30, 2, 0.8, 1.0, 0.0, 2);
    matrix.entries.retain(|&(i, j, _)| i != 5 && j != 7);
    let problem = matrix.problem();
    let plain = Completion { rank: 2, ..Completion::default() }.solve(&problem).unwrap();
    assert_eq!(plain.status, Status::Solved);
    assert_eq!((plain.model.predict(5, 3), plain.model.predict(2, 7)), (0.0, 0.0));
    let biased = Completion { rank: 2, ridge: 0.1, biases: true, ..Completion::default() };
    let model = biased.solve(&problem).unwrap().model;
    let bias = model.column_factors().row(3)[2];
    assert!((model.predict(5, 3) - model.mean() - bias).abs() < 1e-12);
    // beyond the matrix: the same
    assert!((model.predict(99, 3) - model.mean() - bias).abs() < 1e-12);
    assert_eq!(model.predict(99, 99), model.mean());
}

#[test]
fn constant_and_zero_values_divide_by_nothing() {
    for value in [0.0, 3.0, -7.25] {
        let entries: Vec<(u32, u32, f64)> =
            (0..8).flat_map(|i| (0..6).map(move |j| (i, j, value))).filter(|e| (e.0 + e.1) % 3 > 0).collect();
        let problem = observe(8, 6, &entries).unwrap();
        for (ridge, biases) in [(0.0, false), (0.1, true), (0.0, true)] {
            let solver = Completion { rank: 1, ridge, biases, ..Completion::default() };
            let answer = solver.solve(&problem).unwrap();
            let found = answer.model.predict(0, 0);
            assert!((found - value).abs() < 1e-6 * (1.0 + value.abs()), "{value} {ridge} {biases}: {found}");
            assert!(answer.certificate.relative.is_finite() && answer.objective.is_finite());
        }
    }
}

#[test]
fn the_scale_of_the_values_does_not_matter() {
    let matrix = instance(60, 50, 3, 0.6, 2.0, 0.0, 3);
    for scale in [1e-300, 1e-150, 1.0, 1e150, 1e300] {
        let entries: Vec<_> = matrix.entries.iter().map(|&(i, j, v)| (i, j, v * scale)).collect();
        let problem = observe(60, 50, &entries).unwrap();
        let answer = Completion { rank: 3, ..Completion::default() }.solve(&problem).unwrap();
        assert_eq!(answer.status, Status::Solved, "{scale:e}");
        let exact: f64 = matrix.left.row(1).iter().zip(matrix.right.row(2)).map(|(a, b)| a * b).sum();
        assert!((answer.model.predict(1, 2) / scale - exact).abs() < 1e-4, "{scale:e}");
    }
    // below the normal numbers a value has few digits, and nothing is divided by its scale
    let entries: Vec<_> = matrix.entries.iter().map(|&(i, j, v)| (i, j, v * 1e-320)).collect();
    let problem = observe(60, 50, &entries).unwrap();
    for single_precision in [false, true] {
        let options = Completion { rank: 3, ridge: 0.1, single_precision, ..Completion::default() };
        let answer = options.solve(&problem).unwrap();
        assert!(answer.objective.is_finite() && answer.train_rmse.is_finite(), "{single_precision}");
        assert!(answer.model.predict(1, 2).is_finite());
    }
}

#[test]
fn components_that_do_not_touch_are_counted_and_told() {
    let mut matrix = instance(40, 30, 1, 0.9, 1.0, 0.0, 4);
    matrix.entries.retain(|&(i, j, _)| (i < 20) == (j < 15));
    let problem = matrix.problem();
    assert_eq!(problem.components(), 2);
    let answer = Completion { rank: 1, ..Completion::default() }.solve(&problem).unwrap();
    assert_eq!(answer.components, 2);
    assert!(answer.notes.iter().any(|note| note.contains("2 components")), "{:?}", answer.notes);
    assert!(answer.relative_residual < 1e-5, "each component is fitted");
}

#[test]
fn a_rank_that_is_too_large_is_told() {
    // more columns than the matrix has directions fit what is observed and spoil the rest: the held-out entries show it
    let matrix = instance(200, 150, 3, 0.5, 1.0, 0.0, 5);
    let problem = matrix.problem();
    for half_step in [HalfStep::Exact, HalfStep::Preconditioned] {
        let solver = Completion { rank: 6, half_step, ..Completion::default() };
        let answer = solver.solve(&problem).unwrap();
        let told = answer
            .notes
            .iter()
            .any(|note| note.contains("rank 6 is not needed") || note.contains("the held-out error rose"));
        let shown = answer.validation_rmse.unwrap() > 10.0 * answer.train_rmse;
        assert!(told || shown || matrix.error(&answer.model) < 1e-5, "{:?}", answer.notes);
    }
    // the rank that the held-out entries choose is the right one
    let solver = Completion { rank: 6, automatic_rank: true, ..Completion::default() };
    let answer = solver.solve(&problem).unwrap();
    assert_eq!(answer.model.rank(), 3);
    assert!(matrix.error(&answer.model) < 1e-5, "{:e}", matrix.error(&answer.model));
}

#[test]
fn one_row_with_very_many_entries_is_solved_in_segments() {
    // one row of 100 000 entries beside 30 short ones
    let n = 100_000u32;
    let column = |j: u32| 1.0 + f64::from(j % 13) / 7.0;
    let mut entries: Vec<(u32, u32, f64)> = (0..n).map(|j| (0, j, 2.0 * column(j))).collect();
    entries.extend(
        (1..31)
            .flat_map(|i| (0..40).map(move |t| (i, (i * 977 + t * 2311) % n)))
            .map(|(i, j)| (i, j, f64::from(i) * column(j))),
    );
    entries.sort_unstable_by_key(|e| (e.0, e.1));
    entries.dedup_by_key(|e| (e.0, e.1));
    let problem = observe(31, n as usize, &entries).unwrap();
    // the long row hardly moves, since most columns depend on it alone: convergence is slow
    let limits = Limits { tolerance: 1e-9, max_iterations: 6, time_limit: None };
    let solver = Completion { rank: 1, start: StartRule::Spectral, limits, ..Completion::default() };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| solver.solve(&problem).unwrap())
    };
    let answer = on(2);
    assert!(answer.relative_residual < 0.1, "{:e}", answer.relative_residual);
    let objectives: Vec<f64> = answer.history.records.iter().map(|r| r.objective).collect();
    assert!(objectives.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)), "{objectives:?}");
    assert!((answer.history.records.last().unwrap().objective / answer.objective - 1.0).abs() < 1e-9);
    assert!(on(1).model == answer.model);
}

#[test]
fn held_out_entries_leave_something_in_every_row_and_column() {
    let entries: Vec<(u32, u32, f64)> = (0..30).map(|i| (i, i % 10, 1.0 + f64::from(i))).collect();
    let problem = observe(30, 10, &entries).unwrap();
    assert!(matches!(problem.split(0.5, 1, |i, j| (i.into(), j.into())), Err(Error::Option(_))));
    let dense: Vec<(u32, u32, f64)> = (0..20).flat_map(|i| (0..10).map(move |j| (i, j, 1.0))).collect();
    let (kept, held_out) =
        observe(20, 10, &dense).unwrap().split(0.95, 1, |i, j| (i.into(), j.into())).unwrap();
    assert_eq!(kept.len() + held_out.len(), 200);
    for i in 0..20 {
        assert!(kept.entries().any(|e| e.0 == i));
    }
    for j in 0..10 {
        assert!(kept.entries().any(|e| e.1 == j));
    }
}

#[test]
fn limits_and_interruptions_return_the_best_so_far() {
    let matrix = instance(300, 200, 5, 0.3, 1.0, 0.1, 6);
    let problem = matrix.problem();
    let limited = |limits| Completion { rank: 5, limits, ..Completion::default() }.solve(&problem).unwrap();
    let none = Limits { tolerance: 0.0, max_iterations: 1000, time_limit: Some(Duration::ZERO) };
    assert_eq!(limited(none).status, Status::TimeLimit);
    let three = limited(Limits { tolerance: 0.0, max_iterations: 3, time_limit: None });
    assert_eq!((three.status, three.iterations), (Status::IterationLimit, 3));
    let stalled = limited(Limits { tolerance: 0.0, max_iterations: 5000, time_limit: None });
    assert_eq!(stalled.status, Status::Stalled);
    assert!(stalled.certificate.relative < 1e-10);
    let mut monitor = Monitor::none().with_observer(|record| {
        if record.iteration == 2 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    let solver = Completion { rank: 5, ..Completion::default() };
    let answer = solver.solve_with(&problem, Start::Cold, &mut monitor).unwrap();
    assert_eq!((answer.status, answer.iterations), (Status::Interrupted, 2));
}

#[test]
fn a_patience_returns_the_best_held_out_factors() {
    let matrix = instance(200, 150, 3, 0.2, 1.0, 1.0, 7);
    let solver = Completion {
        rank: 20,
        ridge: 1e-3,
        ridge_kind: RidgeKind::ByCount,
        patience: 3,
        ..Completion::default()
    };
    let answer = solver.solve(&matrix.problem()).unwrap();
    assert_eq!(answer.status, Status::Stalled);
    let column = answer.history.columns.iter().position(|name| *name == "validation_rmse").unwrap();
    let errors: Vec<f64> = answer.history.records.iter().map(|r| r.extra[column]).collect();
    let least = errors[1..].iter().copied().fold(f64::INFINITY, f64::min);
    assert!((answer.validation_rmse.unwrap() / least - 1.0).abs() < 1e-3);
    assert!(answer.notes.iter().any(|note| note.contains("has not fallen since sweep")));
}

#[test]
fn walking_away_from_the_matrix_is_noticed() {
    // loose half-steps from the plain spectral start at a bad condition
    let matrix = instance(1000, 1000, 10, 0.15, 100.0, 0.0, 1);
    let solver = Completion {
        rank: 10,
        half_step: HalfStep::Preconditioned,
        inner_tolerance: Some(0.1),
        start: StartRule::Spectral,
        limits: Limits { tolerance: 1e-9, max_iterations: 80, time_limit: None },
        ..Completion::default()
    };
    let answer = solver.solve(&matrix.problem()).unwrap();
    assert!(
        answer.notes.iter().any(|note| note.contains("rose twice while the objective fell")),
        "{:?}",
        answer.notes
    );
    // and cured: by exact sweeps, or by a staged start
    assert!(matrix.error(&answer.model) < 1e-6, "{:e}\n{:?}", matrix.error(&answer.model), answer.notes);
}

#[test]
fn every_loss_storage_and_start_recovers_a_clean_matrix() {
    let matrix = instance(150, 120, 4, 0.5, 2.0, 0.0, 8);
    let problem = matrix.problem();
    let base = Completion { rank: 4, ..Completion::default() };
    for start in [StartRule::Auto, StartRule::Spectral, StartRule::Staged, StartRule::Random] {
        let answer = Completion { start, ..base.clone() }.solve(&problem).unwrap();
        assert!(matrix.error(&answer.model) < 1e-5, "{start:?}");
    }
    for loss in [Loss::Huber, Loss::Absolute] {
        let answer = Completion { loss, ..base.clone() }.solve(&problem).unwrap();
        assert!(matrix.error(&answer.model) < 1e-4, "{loss:?}: {:e}", matrix.error(&answer.model));
    }
    let single = Completion { single_precision: true, ..base.clone() };
    let answer = single.solve(&problem).unwrap();
    assert!(matrix.error(&answer.model) < 3e-6);
    let trimmed = Completion { trim: true, ..base }.solve(&problem).unwrap();
    assert!(matrix.error(&trimmed.model) < 1e-5);
}

#[test]
fn new_rows_fold_in_and_the_best_columns_come_first() {
    let matrix = instance(150, 120, 4, 0.5, 2.0, 0.0, 9);
    let model = Completion { rank: 4, ..Completion::default() }.solve(&matrix.problem()).unwrap().model;
    let value = |i: usize, j: usize| -> f64 {
        matrix.left.row(i).iter().zip(matrix.right.row(j)).map(|(a, b)| a * b).sum()
    };
    let seen: Vec<(u32, f64)> = (0..20).map(|j| (j, value(3, j as usize))).collect();
    let x = model.fold_in(&seen, 0.0, false).unwrap();
    assert!((model.score(&x, 77) - value(3, 77)).abs() < 1e-4);
    let exclude: Vec<u32> = (0..60).collect();
    let top = model.top(&x, 5, &exclude);
    assert_eq!(top.len(), 5);
    assert!(top.windows(2).all(|pair| pair[0].1 >= pair[1].1) && top.iter().all(|(j, _)| *j >= 60));
    let best = (60..120).map(|j| model.score(&x, j)).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(top[0].1, best);
    assert_eq!(model.top(&x, 1000, &[]).len(), 120);
    assert!(matches!(model.fold_in(&[(120, 1.0)], 0.1, true), Err(Error::Index { .. })));
    assert!(matches!(model.fold_in(&[(0, f64::NAN)], 0.1, true), Err(Error::Value { .. })));
    assert!(model.fold_in(&[(0, 1.0)], -1.0, true).is_err());
    // stored and read back: the same bits
    let text = serde_json::to_string(&model).unwrap();
    assert!(serde_json::from_str::<LowRankModel>(&text).unwrap() == model);
    assert!(serde_json::from_str::<LowRankModel>(&text.replacen("\"rows\":150", "\"rows\":151", 1)).is_err());
}
