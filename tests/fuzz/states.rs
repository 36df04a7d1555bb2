//! Saved states: what a run stores and takes up again, after mutation. Each is refused with a word, or goes on.

use gradus::completion::{Checkpoint, Completion, Duplicates, Observations, Start};
use gradus::control::{Limits, Monitor};
use gradus::linalg::DesignMatrix;
use gradus::problem::LinearModel;
use gradus::relaxation::policy::Named;
use gradus::relaxation::{Method, Operator, Stream, StreamSystem};
use gradus::surrogate::{self, Surrogate};
use sprs::CsMatI;

use super::readers::Answer;

/// What a state holds may be a few times as large as its text.
fn answer(key: String, input: &[u8]) -> Result<Answer, String> {
    Ok(Answer { key, memory: (80 << 20) + 1000 * input.len() })
}

/// The parser of JSON quotes what it met, however long.
fn refused(error: impl std::fmt::Display, input: &[u8]) -> Result<Answer, String> {
    let text = error.to_string();
    if text.trim().len() < 10 { Err(format!("an unclear error: {text}")) } else { answer(text, input) }
}

fn ratings() -> Observations {
    let entries: Vec<(u32, u32, f64)> =
        (0..70u32).map(|k| (k % 10, k * 3 % 7, f64::from(k * k % 13) / 4.0)).collect();
    Observations::new(10, 7, &entries, Duplicates::Mean).unwrap()
}

fn completion_options() -> [Completion; 3] {
    let limits = Limits { max_iterations: 4, tolerance: 0.0, ..Limits::default() };
    let plain = Completion { limits, rank: 2, ridge: 0.1, ..Completion::default() };
    [
        plain.clone(),
        Completion { biases: true, automatic_rank: true, rank: 3, validation: Some(0.2), ..plain.clone() },
        Completion { patience: 2, validation: Some(0.2), single_precision: true, ..plain },
    ]
}

pub fn completion_pool() -> Vec<Vec<u8>> {
    let (mut pool, problem) = (Vec::new(), ratings());
    for options in completion_options() {
        let mut save = |_: usize, checkpoint: &dyn Fn() -> Checkpoint| {
            pool.push(serde_json::to_vec(&checkpoint()).unwrap());
        };
        options.solve_saving(&problem, Start::Cold, &mut Monitor::none(), &mut save).unwrap();
    }
    pool
}

pub fn completion(input: &[u8], _: usize) -> Result<Answer, String> {
    let checkpoint: Checkpoint = match serde_json::from_slice(input) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return refused(error, input),
    };
    let problem = ratings();
    let mut key = String::new();
    for options in completion_options() {
        let limits =
            Limits { max_iterations: checkpoint.sweeps().saturating_add(2), ..options.limits.clone() };
        let options = Completion { limits, ..options };
        match options.solve_with(&problem, Start::Checkpoint(&checkpoint), &mut Monitor::none()) {
            Ok(solution) => key += &format!("{} {:?}", solution.summary.status, solution.summary.notes),
            Err(error) => drop(refused(error, input)?),
        }
    }
    answer(key, input)
}

fn model() -> LinearModel {
    let rows: Vec<Vec<f64>> =
        (0..12).map(|i| vec![f64::from(i % 5) - 2.0, f64::from(i * i % 7) / 3.0, 1.0]).collect();
    let labels = (0..12).map(|i| if i % 3 == 0 { 1.0 } else { -1.0 }).collect();
    let matrix = CsMatI::<f64, u32>::new(
        (12, 3),
        (0..=12).map(|i| 3 * i).collect::<Vec<u32>>(),
        (0..36).map(|k| k % 3).collect(),
        rows.concat(),
    );
    let design = DesignMatrix::from_sparse_or_dense(matrix).unwrap();
    LinearModel::logistic(design, labels, 0.0, 0.1)
}

fn surrogates() -> Vec<Surrogate> {
    let search = surrogate::StepSize::Search(surrogate::TargetSearch::default());
    let methods = [
        surrogate::Method::Automatic,
        surrogate::Method::Surrogate(surrogate::BatchSurrogate::default()),
        surrogate::Method::Surrogate(surrogate::BatchSurrogate {
            step: search,
            metric: surrogate::TargetMetric::Adam,
            ..Default::default()
        }),
        surrogate::Method::Population(surrogate::Population::default()),
        surrogate::Method::Population(surrogate::Population {
            variance: surrogate::Variance::Snapshot,
            ..Default::default()
        }),
        surrogate::Method::Population(surrogate::Population {
            variance: surrogate::Variance::Table,
            refresh: true,
            ..Default::default()
        }),
        surrogate::Method::Aggregate(surrogate::Aggregate::default()),
        surrogate::Method::FullBatch(surrogate::FullBatch::default()),
        surrogate::Method::Baseline(surrogate::Baseline::LineSearch { sufficient_decrease: 0.1 }),
    ];
    let solver = |method| {
        let batch = if matches!(method, surrogate::Method::FullBatch(_)) { None } else { Some(4) };
        let limits = Limits { max_iterations: 3, tolerance: 0.0, ..Limits::default() };
        Surrogate { method, batch, limits, ..Surrogate::default() }
    };
    methods.into_iter().map(solver).collect()
}

pub fn surrogate_pool() -> Vec<Vec<u8>> {
    let fit = |solver: Surrogate| solver.solve(&model()).ok();
    surrogates().into_iter().filter_map(fit).map(|fit| serde_json::to_vec(&fit.checkpoint).unwrap()).collect()
}

pub fn surrogate(input: &[u8], _: usize) -> Result<Answer, String> {
    let checkpoint: surrogate::Checkpoint = match serde_json::from_slice(input) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return refused(error, input),
    };
    let mut key = String::new();
    for solver in surrogates() {
        let start = surrogate::Start::Checkpoint(&checkpoint);
        match solver.solve_with(&model(), start, &mut Monitor::none()) {
            Ok(fit) => key += &format!("{}", fit.summary.status),
            Err(error) => drop(refused(error, input)?),
        }
    }
    answer(key, input)
}

fn names() -> [Named; 9] {
    [
        Named::Auto,
        Named::Fixed(1.5),
        Named::TsallisInf { reduced_variance: false },
        Named::TsallisInf { reduced_variance: true },
        Named::Binned(3),
        Named::ChebCb,
        Named::Hill,
        Named::Zoom,
        Named::Seeded,
    ]
}

/// Solves some systems; what stops that must be an omega that the state brought along.
fn solve_some(stream: &mut Stream, steps: usize) -> Result<(), String> {
    let n = 12;
    let (mut offsets, mut columns, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for i in 0..n {
        for j in (i.max(1) - 1)..=(i + 1).min(n - 1) {
            columns.push(j as u32);
            values.push(if i == j { 2.1 } else { -1.0 });
        }
        offsets.push(columns.len() as u32);
    }
    let matrix = CsMatI::<f64, u32>::new((n, n), offsets, columns, values);
    let operator = Operator::new(matrix.view()).map_err(|error| error.to_string())?;
    for step in 0..steps {
        let rhs: Vec<f64> = (0..n).map(|i| ((i * 7 + step) % 5) as f64 - 2.0).collect();
        let context = 0.1 * step as f64;
        let answer =
            match stream.solve(&StreamSystem { operator: &operator, rhs: &rhs, start: None, context }) {
                Ok(answer) => answer,
                Err(error) if error.to_string().starts_with("omega is ") => return Ok(()),
                Err(error) => return Err(format!("a restored stream does not go on: {error}")),
            };
        if !answer.relative_residual.is_finite() {
            return Err("a restored stream answers nonsense".into());
        }
    }
    Ok(())
}

pub fn stream_pool() -> Vec<Vec<u8>> {
    let mut pool = Vec::new();
    for name in names() {
        let mut stream = Stream::named(Method::SsorCg, &name, (0.0, 1.0), 3);
        solve_some(&mut stream, 6).unwrap();
        pool.push(stream.save().unwrap().into_bytes());
    }
    pool
}

pub fn stream(input: &[u8], option: usize) -> Result<Answer, String> {
    let Ok(text) = std::str::from_utf8(input) else { return answer("no text".into(), input) };
    let mut stream = Stream::named(Method::SsorCg, &names()[option], (0.0, 1.0), 3);
    if let Err(error) = stream.restore(text, None) {
        return refused(error, input);
    }
    solve_some(&mut stream, 4)?;
    answer("goes on".into(), input)
}
