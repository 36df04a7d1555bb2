//! `gradus fit`: losses with penalties on LIBSVM data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::control::Status;
use gradus::coordinate::{Fit, Measure, Start};
use gradus::problem::loss::{self, Huber, Loss};
use gradus::problem::penalty::{Bounded, ElasticNet, Penalty};
use gradus::problem::{Classes, LinearModel, ModelError};
use gradus::read::libsvm::LabelledData;
use serde_json::json;

use crate::dataset::{self, Preparation, Score};
use crate::fit_surrogate::{self, SurrogateOptions};
use crate::model_file::ModelFile;
use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::solver::{BlockOptions, Solver};
use crate::watch;

/// Fit a linear model: mean loss + l1 ||x||_1 + l2 ||x||^2 / 2.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus fit data/heart_scale --loss logistic --l1-ratio 0.1
  gradus fit data/sk-diabetes-regression --loss squared --center --l1-ratio 0.05 --plot gap.svg
  gradus fit data/a1a --loss logistic --l2 0.001 --intercept --model model.json --test-every 5
  gradus fit data/sonar_scale --loss logistic --path 50 --json

The loss is a mean over the rows, so l1 and l2 do not depend on their number. For LIBLINEAR's C: l1 = 1 / (C n).
For classification the smaller label becomes -1, the larger +1.")]
pub struct Arguments {
    /// LIBSVM text, plain or .gz, .xz, .zst; - for standard input.
    pub data: String,
    /// The loss.
    #[arg(long, value_enum)]
    pub loss: LossName,
    /// Where Huber's loss turns linear.
    #[arg(long, default_value_t = 1.0, value_name = "DELTA")]
    pub huber_delta: f64,
    /// Weight of the absolute values.
    #[arg(long, value_name = "X", conflicts_with = "l1_ratio", allow_negative_numbers = true)]
    pub l1: Option<f64>,
    /// The same as a fraction of l1_max, the smallest l1 for which every coefficient is zero.
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub l1_ratio: Option<f64>,
    /// Weight of the half squares.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub l2: f64,
    /// Fit an intercept, which is never penalised.
    #[arg(long)]
    pub intercept: bool,
    /// Keep every coefficient at or above zero.
    #[arg(long)]
    pub nonnegative: bool,
    /// The method.
    #[arg(long, value_enum, default_value_t = Method::Coordinate)]
    pub method: Method,
    /// What the tolerance is compared with.
    #[arg(long, value_enum, default_value_t = CertificateName::Auto)]
    pub certificate: CertificateName,
    /// Fit a path of N values of l1 from l1_max down to --l1, --l1-ratio, or 0.01 l1_max, each from the one
    /// before. Iterations are limited for each value, the time for the whole path.
    #[arg(long, value_name = "N")]
    pub path: Option<usize>,
    /// Centre and scale each feature by the training rows' mean and deviation.
    #[arg(long)]
    pub standardize: bool,
    /// Append a column of ones, penalised like any other.
    #[arg(long)]
    pub bias: bool,
    /// Subtract the mean of the targets (regression).
    #[arg(long)]
    pub center: bool,
    /// Write the model as JSON.
    #[arg(long, value_name = "OUT.json")]
    pub model: Option<PathBuf>,
    /// Report on these rows too.
    #[arg(long, value_name = "FILE", conflicts_with = "test_every")]
    pub test: Option<String>,
    /// Hold out every K-th row and report on those.
    #[arg(long, value_name = "K")]
    pub test_every: Option<usize>,
    #[command(flatten)]
    pub surrogate: SurrogateOptions,
    #[command(flatten)]
    pub blocks: BlockOptions,
    #[command(flatten)]
    pub common: Common,
}

/// Names of the losses.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum LossName {
    /// (z - y)^2 / 2
    Squared,
    /// ln(1 + exp(-y z))
    Logistic,
    /// max(0, 1 - y z)^2
    SquaredHinge,
    /// Quadratic near the target, linear far from it
    Huber,
    /// exp(z) - y z
    Poisson,
}

/// Names of the methods.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Block coordinate descent with working sets
    Coordinate,
    /// Target-space surrogates of a costly gradient oracle
    Surrogate,
}

/// Names of the certificates.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum CertificateName {
    /// The gap where there is one, else the gradient
    Auto,
    /// Duality gap over the objective at zero
    Gap,
    /// Largest violation of optimality over that at zero
    Gradient,
}

/// Values in a path at most.
const LONGEST_PATH: usize = 100_000;

/// One value of a path.
#[derive(serde::Serialize)]
struct PathPoint {
    l1: f64,
    objective: f64,
    certificate: f64,
    nonzeros: usize,
}

/// A fit and what there is to say of it.
struct Report {
    fit: Fit,
    model: LinearModel,
    l1: f64,
    l1_max: f64,
    path: Vec<PathPoint>,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let common = &arguments.common;
    arguments.check()?;
    if arguments.method == Method::Surrogate {
        return fit_surrogate::run(arguments);
    }
    if let Some(option) = arguments.surrogate.given() {
        return Err(Failure::Usage(format!("{option} needs --method surrogate")));
    }
    let limits = common.prepare()?;
    if let Some(path) = &arguments.model {
        check_writable(path)?;
    }
    let started = Instant::now();
    let data = dataset::read(&arguments.data)?;
    let (data, test) = arguments.split(data)?;
    let read_seconds = started.elapsed().as_secs_f64();

    let loss = arguments.loss();
    let (mut target, classes) = dataset::targets(&arguments.data, &*loss, &data.labels)?;
    let shift = if arguments.center { target.iter().sum::<f64>() / target.len().max(1) as f64 } else { 0.0 };
    target.iter_mut().for_each(|y| *y -= shift);
    if let Some((file, rows)) = &test {
        dataset::check_classes(file, classes, &rows.labels)?;
    }
    let columns = data.matrix.cols();
    let (matrix, used) = dataset::without_empty_columns(data.matrix.clone());
    let (preparation, design) = Preparation::fit(matrix, arguments.standardize, arguments.bias)?;
    let mut model = LinearModel::new(design, target, loss::Squared, ElasticNet::default());
    (model.loss, model.intercept) = (loss, arguments.intercept);
    let solver = arguments.blocks.solver(limits, arguments.certificate.measure(), common.seed);
    let report = solve(arguments, &solver, model)?;

    let (coefficients, intercept) =
        preparation.unfold(&report.fit.coefficients, report.fit.intercept + shift);
    let loss_name = report.model.loss.name();
    let column = |k: usize| used.as_ref().map_or(k, |used| used[k] as usize);
    let coefficients = coefficients.iter().enumerate().map(|(k, &value)| (column(k), value));
    let penalty = (report.l1, arguments.l2);
    let file = ModelFile::new(loss_name, columns, coefficients, intercept, classes, penalty);
    let scored = |rows: &LabelledData| {
        dataset::score(loss_name, classes, &file.predictors(&rows.matrix), &rows.labels)
    };
    let train_score = scored(&data);
    let test_score = test.as_ref().map(|(_, rows)| scored(rows));
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec_pretty(&file)?)?;
    }
    output::write_trace_and_plot(common, &arguments.data, &report.fit.history)?;
    let shape = (data.labels.len(), columns, data.matrix.nnz());
    report.print(arguments, shape, classes, train_score, test_score, read_seconds)?;
    Ok(Finish::of(report.fit.status))
}

impl Arguments {
    /// Contradictions that the parser cannot see.
    fn check(&self) -> Result<(), Failure> {
        let usage = |message: String| Err(Failure::Usage(message));
        let numbers = [("--l1", self.l1), ("--l1-ratio", self.l1_ratio), ("--l2", Some(self.l2))];
        for (name, value) in numbers {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return usage(format!("{name} is {value}; it must be finite and not negative"));
            }
        }
        if let Some(ratio) = self.l1_ratio.filter(|ratio| *ratio > 1.0) {
            return usage(format!("--l1-ratio is {ratio}; it must lie between 0 and 1, where all is zero"));
        }
        if !(self.huber_delta > 0.0 && self.huber_delta.is_finite()) {
            return usage(format!("--huber-delta is {}; it must be positive and finite", self.huber_delta));
        }
        if self.center && !matches!(self.loss, LossName::Squared | LossName::Huber) {
            return usage(
                "--center is for the squared and the Huber loss, which a shift does not change".into(),
            );
        }
        if self.test_every.is_some_and(|k| k < 2) {
            return usage("--test-every needs at least 2: with less no training rows are left".into());
        }
        if let Some(n) = self.path.filter(|n| !(1..=LONGEST_PATH).contains(n)) {
            return usage(format!("--path is {n}; it must lie between 1 and {LONGEST_PATH}"));
        }
        if self.path.is_some() && (self.l1 == Some(0.0) || self.l1_ratio == Some(0.0)) {
            return usage("a path is spaced logarithmically and cannot end at l1 = 0".into());
        }
        let inputs: Vec<&str> =
            [Some(&self.data), self.test.as_ref()].into_iter().flatten().map(|s| &**s).collect();
        let outputs =
            [("--model", &self.model), ("--trace", &self.common.trace), ("--plot", &self.common.plot)];
        let outputs: Vec<(&str, &Path)> =
            outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect();
        check_distinct(&inputs, &outputs)
    }

    fn loss(&self) -> Arc<dyn Loss> {
        match self.loss {
            LossName::Squared => Arc::new(loss::Squared),
            LossName::Logistic => Arc::new(loss::Logistic),
            LossName::SquaredHinge => Arc::new(loss::SquaredHinge),
            LossName::Huber => Arc::new(Huber { delta: self.huber_delta }),
            LossName::Poisson => Arc::new(loss::Poisson),
        }
    }

    /// Training rows, and test rows with the name of their file.
    #[allow(clippy::type_complexity)]
    pub fn split(
        &self,
        data: LabelledData,
    ) -> Result<(LabelledData, Option<(String, LabelledData)>), Failure> {
        if let Some(file) = &self.test {
            let test = dataset::read_for_model(file, data.matrix.cols(), self.common.quiet)?;
            return Ok((data, Some((file.clone(), test))));
        }
        match self.test_every {
            None => Ok((data, None)),
            Some(k) => {
                let rows = data.labels.len();
                if k > rows {
                    return Err(Failure::Input(anyhow::anyhow!(
                        "{}: {rows} rows, so that --test-every {k} would hold out none",
                        self.data
                    )));
                }
                let (train, test) = dataset::split_every(data, k);
                Ok((train, Some((self.data.clone(), test))))
            }
        }
    }

    fn penalty(&self, l1: f64, columns: usize) -> Arc<dyn Penalty> {
        let net = ElasticNet { l1, l2: self.l2, weights: None };
        if self.nonnegative { Arc::new(Bounded::non_negative(net, columns)) } else { Arc::new(net) }
    }
}

impl CertificateName {
    fn measure(self) -> Measure {
        match self {
            CertificateName::Auto => Measure::Auto,
            CertificateName::Gap => Measure::Gap,
            CertificateName::Gradient => Measure::Gradient,
        }
    }
}

/// Solves for one l1, or for a path of them.
fn solve(arguments: &Arguments, solver: &Solver, mut model: LinearModel) -> Result<Report, Failure> {
    let in_data = |error: gradus::coordinate::Error| match error {
        gradus::coordinate::Error::Option(message) => Failure::Usage(message),
        // rows are counted from 1 in files
        gradus::coordinate::Error::Model(ModelError::Target { row, value, expected }) => {
            let place = format!("{}: the target of data row {} is {value}", arguments.data, row + 1);
            Failure::Input(anyhow::anyhow!("{place}; {expected}"))
        }
        other => Failure::Input(anyhow::Error::new(other).context(arguments.data.clone())),
    };
    let l1_max = model.l1_max().map_err(|error| in_data(error.into()))?;
    let last = match (arguments.l1, arguments.l1_ratio) {
        (Some(l1), _) => l1,
        (None, Some(ratio)) => ratio * l1_max,
        (None, None) if arguments.path.is_some() => 0.01 * l1_max,
        (None, None) => 0.0,
    };
    if arguments.path.is_some() && l1_max > 0.0 && last >= l1_max {
        let message = format!("a path runs down from l1_max = {l1_max}; it cannot end at l1 = {last}");
        return Err(Failure::Usage(message));
    }
    let columns = model.design.columns();
    let mut monitor = watch::monitor(&arguments.common, arguments.path.unwrap_or(1));
    let Some(n) = arguments.path else {
        model.penalty = arguments.penalty(last, columns);
        let fit = solver.solve_with(&model, None, &mut monitor).map_err(in_data)?;
        return Ok(Report { fit, model, l1: last, l1_max, path: Vec::new() });
    };
    let started = Instant::now();
    let mut path = Vec::new();
    let mut whole: Option<Fit> = None;
    for l1 in path_values(l1_max, last, n) {
        model.penalty = arguments.penalty(l1, columns);
        let mut solver = solver.clone();
        // the time limit is that of the whole path
        let time_limit = solver.time_limit();
        *time_limit = time_limit.map(|limit| limit.saturating_sub(started.elapsed()));
        let start =
            whole.as_ref().map(|fit| Start { coefficients: &fit.coefficients, intercept: fit.intercept });
        let fit = solver.solve_with(&model, start, &mut monitor).map_err(in_data)?;
        let (objective, certificate) = (fit.objective, fit.certificate.relative);
        path.push(PathPoint { l1, objective, certificate, nonzeros: fit.nonzeros() });
        let limited = fit.status == Status::TimeLimit;
        let mut fit = join(whole.take(), fit, l1);
        fit.summary.seconds = started.elapsed().as_secs_f64();
        if monitor.interrupted() && path.len() < n {
            fit.summary.status = Status::Interrupted;
        }
        let over = limited || fit.status == Status::Interrupted;
        whole = Some(fit);
        if over {
            break;
        }
    }
    let Some(fit) = whole else { return Err(Failure::Usage("--path needs at least 1 value".into())) };
    let l1 = path.last().map_or(last, |point| point.l1);
    Ok(Report { fit, model, l1, l1_max, path })
}

/// Appends a fit to those before it on a path: the answer is the last one's, the work and the trace are those of all,
/// and a value that was not solved makes the whole path unsolved.
fn join(before: Option<Fit>, mut fit: Fit, l1: f64) -> Fit {
    let summary = &mut fit.summary;
    summary.history.columns.push("l1");
    summary.history.records.iter_mut().for_each(|record| record.extra.push(l1));
    let Some(before) = before else { return fit };
    let before = before.summary;
    for record in &mut summary.history.records {
        record.iteration += before.history.records.len();
        record.seconds += before.seconds;
    }
    let mut records = before.history.records;
    records.append(&mut summary.history.records);
    summary.history.records = records;
    summary.iterations += before.iterations;
    for (name, count) in before.counts {
        *summary.counts.entry(name).or_default() += count;
    }
    if summary.status == Status::Solved {
        summary.status = before.status;
    }
    fit
}

/// n values from `first` to `last`, spaced logarithmically, ends included.
fn path_values(first: f64, last: f64, n: usize) -> Vec<f64> {
    // constant targets: zero solves for every l1
    let first = if first > 0.0 { first } else { last.max(1.0) };
    let last = if last > 0.0 { last } else { 0.01 * first };
    (0..n)
        .map(|k| if k + 1 == n { last } else { first * (last / first).powf(k as f64 / (n - 1) as f64) })
        .collect()
}

impl Report {
    fn print(
        &self,
        arguments: &Arguments,
        (rows, columns, stored): (usize, usize, usize),
        classes: Option<Classes>,
        train: Score,
        test: Option<Score>,
        read_seconds: f64,
    ) -> Result<(), Failure> {
        let fit = &self.fit;
        if arguments.common.json {
            let own = json!({
                "rows": rows, "columns": columns, "stored": stored, "nonzeros": fit.nonzeros(),
                "l1": self.l1, "l1_max": self.l1_max, "l2": arguments.l2,
                "accuracy": train.accuracy, "rmse": train.rmse,
                "test_accuracy": test.and_then(|t| t.accuracy), "test_rmse": test.and_then(|t| t.rmse),
                "loss": self.model.loss.name(), "intercept": fit.intercept, "classes": classes,
                "path": if self.path.is_empty() { None } else { Some(&self.path) },
            });
            let object = output::json_object("fit", "coordinate", &arguments.common, read_seconds, fit, own);
            return output::print(&object.to_string());
        }
        let mut lines =
            vec![format!("data         {rows} rows, {columns} features, {stored} stored entries")];
        lines.push(fit.summary.to_string());
        lines.push(format!("non-zeros    {} of {columns}", fit.nonzeros()));
        lines.push(format!(
            "penalty      l1 {:.6e} (l1_max {:.6e}), l2 {:.6e}",
            self.l1, self.l1_max, arguments.l2
        ));
        if arguments.intercept {
            lines.push(format!("intercept    {:.10e}", fit.intercept));
        }
        if let Some(classes) = classes {
            lines.push(format!("labels       {} -> -1, {} -> +1", classes.negative, classes.positive));
        }
        for (name, score) in [("training", Some(train)), ("test", test)] {
            if let Some(score) = score {
                let parts = [
                    score.accuracy.map(|a| format!("accuracy {a:.4}")),
                    score.rmse.map(|r| format!("rmse {r:.6e}")),
                ];
                lines.push(format!(
                    "{name:12} {}",
                    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
                ));
            }
        }
        if !self.path.is_empty() {
            lines.push(format!("{:>14} {:>20} {:>12} {:>9}", "l1", "objective", "certificate", "non-zeros"));
            for p in &self.path {
                lines.push(format!(
                    "{:14.6e} {:20.12e} {:12.2e} {:9}",
                    p.l1, p.objective, p.certificate, p.nonzeros
                ));
            }
        }
        output::print(&lines.join("\n"))
    }
}
