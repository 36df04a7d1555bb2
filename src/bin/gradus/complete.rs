//! `gradus complete`: low-rank completion of a matrix from some of its entries.

mod arguments;

use std::path::Path;
use std::time::{Duration, Instant};

use gradus::completion::{
    self, Checkpoint, Completion, HalfStep, Loss, Observations, RidgeKind, Solution, Start, StartRule, Trial,
    choose_ridge,
};
use gradus::read::Source;
use serde_json::json;

pub use arguments::Arguments;
use arguments::{BiasName, LossName, Method, RidgeName, StartName};

use crate::completion_file::{CompletionFile, FORMAT};
use crate::options::{check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::ratings::Ratings;
use crate::watch;

/// Entries to report on, and where they come from.
struct Test {
    entries: Vec<(u32, u32, f64)>,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let common = &arguments.common;
    arguments.check()?;
    let limits = common.prepare()?;
    for path in arguments.model.iter().chain(&arguments.checkpoint) {
        check_writable(path)?;
    }
    let started = Instant::now();
    let mut ratings = Ratings::read(&arguments.ratings, arguments.weights)?;
    let mut test = arguments.test(&mut ratings)?;
    let mut problem = ratings.observations(arguments.duplicates.rule())?;
    if let Some(share) = arguments.holdout {
        let (rows, columns) = (Ratings::keys(&ratings.rows), Ratings::keys(&ratings.columns));
        let keys = |i: u32, j: u32| (rows[i as usize], columns[j as usize]);
        let (training, entries) =
            problem.split(share, common.seed, keys).map_err(|error| ratings.failure(error))?;
        (problem, test) = (training, Some(Test { entries }));
    }
    let read_seconds = started.elapsed().as_secs_f64();

    let mut solver = arguments.solver(&ratings, &problem)?;
    solver.limits = limits;
    let mut monitor = watch::monitor(common, 1);
    let mut trials = Vec::new();
    if arguments.ridge == "auto" {
        let (ridge, tried) =
            choose_ridge(&solver, &problem, &mut monitor).map_err(|error| ratings.failure(error))?;
        (solver.ridge, trials) = (ridge, tried);
    }
    let solution = arguments.solve(&solver, &problem, &ratings, &mut monitor)?;

    let clip = solver.biases.then(|| {
        let values = || problem.entries().map(|(.., value)| value);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    });
    let shape = (ratings.rows.len(), ratings.columns.len());
    let file = CompletionFile {
        format: FORMAT.into(),
        version: 1,
        rows: ratings.rows,
        columns: ratings.columns,
        clip,
        ridge: solver.ridge,
        by_count: solver.ridge_kind == RidgeKind::ByCount,
        model: solution.model.clone(),
    };
    let test_rmse = test.as_ref().and_then(|test| file.rmse(&test.entries));
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec(&file)?)?;
    }
    output::write_trace_and_plot(common, &arguments.ratings, &solution.history)?;
    let report = Report { arguments, solver: &solver, solution: &solution, shape, trials };
    report.print(problem.len(), test.map(|test| test.entries.len()), test_rmse, read_seconds)?;
    Ok(Finish::of(solution.status))
}

impl Arguments {
    /// Contradictions that the parser cannot see.
    fn check(&self) -> Result<(), Failure> {
        let usage = |message: String| Err(Failure::Usage(message));
        self.rank()?;
        self.ridge_value()?;
        if let Some(share) = self.holdout.filter(|share| !(*share > 0.0 && *share < 1.0)) {
            return usage(format!("--holdout is {share}; it must lie between 0 and 1"));
        }
        if self.test_every.is_some_and(|k| k < 2) {
            return usage("--test-every needs at least 2: with less no training entries are left".into());
        }
        if !(self.checkpoint_seconds >= 0.0 && self.checkpoint_seconds.is_finite()) {
            return usage(format!("--checkpoint-seconds is {}", self.checkpoint_seconds));
        }
        if self.ridge == "auto" && self.implicit {
            return usage(
                "--ridge auto compares errors of explicit values; give implicit feedback a number".into(),
            );
        }
        let inputs: Vec<&str> = [Some(&self.ratings), self.test.as_ref(), self.init.as_ref()]
            .into_iter()
            .flatten()
            .map(|s| &**s)
            .collect();
        let outputs = [
            ("--model", &self.model),
            ("--checkpoint", &self.checkpoint),
            ("--trace", &self.common.trace),
            ("--plot", &self.common.plot),
        ];
        let outputs: Vec<(&str, &Path)> =
            outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect();
        check_distinct(&inputs, &outputs)
    }

    /// The rank; none for auto.
    fn rank(&self) -> Result<Option<usize>, Failure> {
        match &*self.rank {
            "auto" => Ok(None),
            text => match text.parse() {
                Ok(rank) if rank > 0 => Ok(Some(rank)),
                _ => Err(Failure::Usage(format!(
                    "--rank is {text}; a positive whole number or auto is expected"
                ))),
            },
        }
    }

    /// The ridge; none for auto.
    fn ridge_value(&self) -> Result<Option<f64>, Failure> {
        match &*self.ridge {
            "auto" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(ridge) if ridge.is_finite() && ridge >= 0.0 => Ok(Some(ridge)),
                _ => Err(Failure::Usage(format!(
                    "--ridge is {text}; a finite number that is not negative, or auto, is expected"
                ))),
            },
        }
    }

    /// Entries to report on, from a file or taken out of the ratings.
    fn test(&self, ratings: &mut Ratings) -> Result<Option<Test>, Failure> {
        if let Some(file) = &self.test {
            let other = Ratings::read(file, false)?;
            return Ok(Some(Test { entries: ratings.translate(&other) }));
        }
        let Some(every) = self.test_every else { return Ok(None) };
        let entries = ratings.take_every(every);
        if entries.is_empty() {
            return Err(Failure::Input(anyhow::anyhow!(
                "{}: {} entries, so that --test-every {every} would hold out none",
                self.ratings,
                ratings.entries.len()
            )));
        }
        Ok(Some(Test { entries }))
    }

    fn solver(&self, ratings: &Ratings, problem: &Observations) -> Result<Completion, Failure> {
        let (rank, ridge) = (self.rank()?, self.ridge_value()?);
        let largest = problem.rows().min(problem.columns());
        let solver = Completion {
            rank: rank.unwrap_or(self.max_rank.min(largest)),
            automatic_rank: rank.is_none(),
            // auto is replaced before the solve
            ridge: ridge.unwrap_or(1.0),
            ridge_kind: match self.ridge_kind {
                RidgeName::ByCount if !self.implicit => RidgeKind::ByCount,
                _ => RidgeKind::Uniform,
            },
            biases: match self.bias {
                BiasName::Auto => ridge != Some(0.0) && !self.implicit && !self.nonnegative,
                BiasName::None => false,
                BiasName::Both => true,
            },
            bias_ridge: self.bias_ridge,
            loss: match self.loss {
                LossName::Squares => Loss::Squares,
                LossName::Huber => Loss::Huber,
                LossName::Absolute => Loss::Absolute,
            },
            implicit: self.implicit.then_some(self.alpha),
            nonnegative: self.nonnegative,
            half_step: match self.method {
                Method::Als => HalfStep::Auto,
                Method::AlsExact => HalfStep::Exact,
                Method::AlsCg => HalfStep::Preconditioned,
                Method::AlsSketch => HalfStep::Sketched { ratio: self.sketch_ratio },
            },
            inner_tolerance: self.inner_tolerance,
            start: match self.start {
                StartName::Auto => StartRule::Auto,
                StartName::Spectral => StartRule::Spectral,
                StartName::Staged => StartRule::Staged,
                StartName::Random => StartRule::Random,
            },
            trim: self.trim,
            validation: self.validation,
            patience: self.patience,
            single_precision: self.single,
            seed: self.common.seed,
            ..Completion::default()
        };
        solver.validate(problem).map_err(|error| ratings.failure(error))?;
        Ok(solver)
    }

    fn solve(
        &self,
        solver: &Completion,
        problem: &Observations,
        ratings: &Ratings,
        monitor: &mut gradus::control::Monitor,
    ) -> Result<Solution, Failure> {
        let init = self.init.as_ref().map(|path| self.initial_model(path, solver, ratings)).transpose()?;
        let resumed = match &self.checkpoint {
            Some(path) if self.resume && path.exists() => Some(read_checkpoint(path)?),
            _ => None,
        };
        let start = match (&init, &resumed) {
            (Some(model), _) => Start::Model(model),
            (_, Some(checkpoint)) => Start::Checkpoint(checkpoint),
            _ => Start::Cold,
        };
        let mut last = Instant::now();
        let interval = Duration::from_secs_f64(self.checkpoint_seconds);
        let mut failed = None;
        let mut save = |_: usize, make: &dyn Fn() -> Checkpoint| {
            if let Some(path) = &self.checkpoint
                && failed.is_none()
                && last.elapsed() >= interval
            {
                let written = serde_json::to_vec(&make())
                    .map_err(Failure::from)
                    .and_then(|bytes| output::write_file(path, &bytes));
                failed = written.err();
                last = Instant::now();
            }
        };
        let solution = solver
            .solve_saving(problem, start, monitor, &mut save)
            .map_err(|error| self.start_failure(error, ratings))?;
        // a run whose checkpoints could not be written still has its answer; the next one will say so at its start
        if let Some(Failure::Input(error)) = failed
            && !self.common.quiet
        {
            eprintln!("note: checkpoint: {error:#}");
        }
        Ok(solution)
    }

    fn start_failure(&self, error: completion::Error, ratings: &Ratings) -> Failure {
        let file = match (&self.init, &self.checkpoint) {
            (Some(file), _) => file.clone(),
            (None, Some(path)) => path.display().to_string(),
            _ => self.ratings.clone(),
        };
        match error {
            completion::Error::Start(message) => Failure::Input(anyhow::anyhow!("{file}: {message}")),
            other => ratings.failure(other),
        }
    }

    /// A model's factors for the rows and columns of the ratings; zeros for those that it lacks.
    fn initial_model(
        &self,
        path: &str,
        solver: &Completion,
        ratings: &Ratings,
    ) -> Result<completion::LowRankModel, Failure> {
        use gradus::linalg::TallMatrix;
        let file = CompletionFile::read(path)?;
        let model = &file.model;
        if model.has_biases() && !solver.biases {
            return Err(Failure::Input(anyhow::anyhow!(
                "{path}: the model has biases; --bias both continues it"
            )));
        }
        let pick = |names: &[String], known: &[String], factor: &TallMatrix| {
            let numbers = CompletionFile::numbers(known);
            let places: Vec<Option<u32>> = names.iter().map(|name| numbers.get(&**name).copied()).collect();
            TallMatrix::from_fn(names.len(), factor.columns(), |i, c| {
                places[i].map_or(0.0, |place| factor.row(place as usize)[c])
            })
        };
        let rows = pick(&ratings.rows, &file.rows, model.row_factors());
        let columns = pick(&ratings.columns, &file.columns, model.column_factors());
        Ok(completion::LowRankModel::new(model.mean(), rows, columns, model.has_biases()))
    }
}

fn read_checkpoint(path: &Path) -> Result<Checkpoint, Failure> {
    let source = Source::open(path)?;
    serde_json::from_slice(source.bytes())
        .map_err(|error| Failure::Input(anyhow::anyhow!("{}: not a checkpoint: {error}", path.display())))
}

/// What there is to say of a run.
struct Report<'a> {
    arguments: &'a Arguments,
    solver: &'a Completion,
    solution: &'a Solution,
    shape: (usize, usize),
    trials: Vec<Trial>,
}

impl Report<'_> {
    fn print(
        &self,
        observed: usize,
        tested: Option<usize>,
        test_rmse: Option<f64>,
        read_seconds: f64,
    ) -> Result<(), Failure> {
        let (rows, columns) = self.shape;
        let solution = self.solution;
        if self.arguments.common.json {
            let trials = if self.trials.is_empty() { None } else { Some(&self.trials) };
            let own = json!({
                "rows": rows, "columns": columns, "observed": observed, "rank": solution.model.rank(),
                "effective_rank": solution.effective_rank, "ridge": self.solver.ridge,
                "biases": self.solver.biases, "train_rmse": solution.train_rmse, "test_rmse": test_rmse,
                "tested": tested, "validation_rmse": solution.validation_rmse,
                "relative_residual": solution.relative_residual, "components": solution.components,
                "global_gap": solution.global_gap, "ridge_trials": trials,
            });
            let object = output::json_object(
                "complete",
                solution.method,
                &self.arguments.common,
                read_seconds,
                solution,
                own,
            );
            return output::print(&object.to_string());
        }
        let mut lines = vec![format!("data         {rows} rows, {columns} columns, {observed} entries")];
        lines.push(solution.to_string());
        if self.solver.ridge > 0.0 {
            lines.push(format!("ridge        {:.6e}", self.solver.ridge));
        }
        for trial in &self.trials {
            lines.push(format!("tried        ridge {:.6e}: held out {:.6e}", trial.ridge, trial.rmse));
        }
        if let (Some(rmse), Some(tested)) = (test_rmse, tested) {
            lines.push(format!("test         rmse {rmse:.6e} on {tested} entries"));
        }
        output::print(&lines.join("\n"))
    }
}
