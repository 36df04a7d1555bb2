//! `gradus fit --method surrogate`: linear models by target-space surrogates, and the methods they are compared with.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::linalg::DesignMatrix;
use gradus::problem::loss;
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{Classes, LinearModel, ModelError};
use gradus::read::Source;
use gradus::read::libsvm::LabelledData;
use gradus::surrogate::{
    Aggregate, Baseline, BatchSurrogate, Checkpoint, Error, Fit, FullBatch, Inner, InnerSearch, Measure,
    Method, Order, Population, Schedule, Start, StepSize, Surrogate, TargetMetric, TargetSearch, Variance,
};
use serde_json::json;

use crate::dataset::{self, Preparation, Score};
use crate::fit::{Arguments, CertificateName};
use crate::model_file::ModelFile;
use crate::options::{check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::watch;

/// Options of `--method surrogate`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of --method surrogate")]
pub struct SurrogateOptions {
    /// Which steps are taken: surrogates, or a method in parameter space for comparison.
    #[arg(long, value_enum, value_name = "NAME")]
    pub algorithm: Option<Algorithm>,
    /// Samples in a batch, one oracle call each; all samples by default.
    #[arg(long, value_name = "B")]
    pub batch: Option<usize>,
    /// Epochs (with all samples: calls) after which the run ends; shrinking steps reckon with it. 100 by default.
    #[arg(long, value_name = "E")]
    pub epochs: Option<usize>,
    /// The step in target space; 1/L by default, L being the loss's largest second derivative.
    #[arg(long, value_name = "X", conflicts_with = "eta_search")]
    pub eta: Option<f64>,
    /// Find the step in target space by backtracking, with this sufficient decrease.
    #[arg(long, value_name = "C", num_args = 0..=1, default_missing_value = "0.5")]
    pub eta_search: Option<f64>,
    /// How the step shrinks.
    #[arg(long, value_enum, value_name = "NAME")]
    pub schedule: Option<ScheduleName>,
    /// How the surrogate of a batch is minimised.
    #[arg(long, value_enum, value_name = "NAME")]
    pub inner: Option<InnerName>,
    /// Inner steps for each call; 10 by default.
    #[arg(long, value_name = "M")]
    pub inner_steps: Option<usize>,
    /// The metric of the surrogate's square.
    #[arg(long, value_enum, value_name = "NAME")]
    pub target_metric: Option<MetricName>,
    /// Step of sgd, adagrad, adam, svrg; sufficient decrease of sls; step of the population methods in units of 1/L.
    #[arg(long, value_name = "X")]
    pub rate: Option<f64>,
    /// How the order of the samples is drawn.
    #[arg(long, value_enum, value_name = "NAME")]
    pub order: Option<OrderName>,
    /// Also report the time if each oracle call took so many seconds more.
    #[arg(long, value_name = "SECONDS")]
    pub oracle_price: Option<f64>,
    /// Write where the run stands, to go on from there.
    #[arg(long, value_name = "OUT.json")]
    pub checkpoint: Option<PathBuf>,
    /// Go on from a checkpoint of a run with the same options.
    #[arg(long, value_name = "FILE.json")]
    pub resume: Option<String>,
}

/// Names of the algorithms.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// All samples: refreshed; batches: what the first epoch says
    Auto,
    /// The published method: a surrogate of each batch, inner steps
    Surrogate,
    /// One metric of all samples, factored once
    Population,
    /// The same with a snapshot's gradients each epoch
    PopulationSvrg,
    /// The same with the last gradient of each sample
    PopulationSaga,
    /// Every sample's last surrogate, added up
    Aggregated,
    /// population-svrg with a metric rebuilt each epoch
    RefreshedSvrg,
    /// All samples: the surrogate's own minimiser
    Exact,
    /// All samples: exact, accelerated by L-BFGS
    Accelerated,
    /// All samples: accelerated, the metric rebuilt at a few calls
    Refreshed,
    /// Stochastic gradient descent
    Sgd,
    /// The same with Armijo's rule on each batch
    Sls,
    /// Adagrad
    Adagrad,
    /// Adam
    Adam,
    /// Variance-reduced gradient descent
    Svrg,
}

/// Names of the schedules.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum ScheduleName {
    /// Not at all
    Constant,
    /// As 1/sqrt(t)
    Sqrt,
    /// As (1/T)^(t/T)
    Exponential,
}

/// Names of the inner solvers.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum InnerName {
    /// Gradient steps with backtracking, as published
    Gradient,
    /// Gradient steps of the best length
    Steepest,
    /// Conjugate gradients
    Cg,
    /// The minimiser, by Cholesky
    Exact,
    /// L-BFGS
    Lbfgs,
}

/// Names of the target metrics.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum MetricName {
    /// The plain square
    Identity,
    /// Scaled by all gradients so far
    Scalar,
    /// Scaled by each sample's gradients so far
    Diagonal,
    /// Second derivatives
    Newton,
    /// Moments per sample
    Adam,
}

/// Names of the orders.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum OrderName {
    /// A ChaCha stream for each epoch
    Chacha,
    /// One splitmix64 stream, as in published reference figures
    Splitmix,
}

impl SurrogateOptions {
    /// An option that was given, for the methods that take none of them.
    pub fn given(&self) -> Option<&'static str> {
        [
            ("--algorithm", self.algorithm.is_some()),
            ("--batch", self.batch.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--eta", self.eta.is_some()),
            ("--eta-search", self.eta_search.is_some()),
            ("--schedule", self.schedule.is_some()),
            ("--inner", self.inner.is_some()),
            ("--inner-steps", self.inner_steps.is_some()),
            ("--target-metric", self.target_metric.is_some()),
            ("--rate", self.rate.is_some()),
            ("--order", self.order.is_some()),
            ("--oracle-price", self.oracle_price.is_some()),
            ("--checkpoint", self.checkpoint.is_some()),
            ("--resume", self.resume.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    /// Refuses options that the algorithm does not look at.
    fn check(&self) -> Result<(), Failure> {
        let algorithm = self.algorithm.unwrap_or(Algorithm::Auto);
        use Algorithm::*;
        let steps = algorithm == Surrogate;
        let rated = matches!(
            algorithm,
            Population
                | PopulationSvrg
                | PopulationSaga
                | Aggregated
                | RefreshedSvrg
                | Sgd
                | Sls
                | Adagrad
                | Adam
                | Svrg
        );
        let scheduled = steps || matches!(algorithm, Population | PopulationSvrg | PopulationSaga | Sgd);
        let needs = [
            ("--eta", self.eta.is_some(), steps, "--algorithm surrogate"),
            ("--eta-search", self.eta_search.is_some(), steps, "--algorithm surrogate"),
            ("--inner", self.inner.is_some(), steps, "--algorithm surrogate"),
            ("--inner-steps", self.inner_steps.is_some(), steps, "--algorithm surrogate"),
            ("--target-metric", self.target_metric.is_some(), steps, "--algorithm surrogate"),
            ("--rate", self.rate.is_some(), rated, "an algorithm that has one: sgd, adam, population, ..."),
            ("--schedule", self.schedule.is_some(), scheduled, "an algorithm with a step that can shrink"),
        ];
        if let Some((name, _, _, what)) = needs.into_iter().find(|need| need.1 && !need.2) {
            return Err(Failure::Usage(format!("{name} needs {what}")));
        }
        if self.schedule.is_some() && self.eta_search.is_some() {
            return Err(Failure::Usage("--schedule is for a step that is not searched for".into()));
        }
        if let Some(price) = self.oracle_price.filter(|price| !(*price >= 0.0 && price.is_finite())) {
            return Err(Failure::Usage(format!(
                "--oracle-price is {price}; it must be finite and not negative"
            )));
        }
        Ok(())
    }

    fn method(&self) -> Method {
        let schedule = match self.schedule {
            None | Some(ScheduleName::Constant) => Schedule::Constant,
            Some(ScheduleName::Sqrt) => Schedule::Sqrt,
            Some(ScheduleName::Exponential) => Schedule::Exponential,
        };
        let population = |variance, refresh| {
            Method::Population(Population { relative_step: self.rate, schedule, variance, refresh })
        };
        let full = |memory, refresh| Method::FullBatch(FullBatch { memory, refresh });
        let rate = |default: f64| self.rate.unwrap_or(default);
        match self.algorithm.unwrap_or(Algorithm::Auto) {
            Algorithm::Auto => Method::Automatic,
            Algorithm::Surrogate => Method::Surrogate(self.surrogate(schedule)),
            Algorithm::Population => population(Variance::Plain, false),
            Algorithm::PopulationSvrg => population(Variance::Snapshot, false),
            Algorithm::PopulationSaga => population(Variance::Table, false),
            Algorithm::Aggregated => Method::Aggregate(Aggregate { rate: self.rate, bound: false }),
            Algorithm::RefreshedSvrg => population(Variance::Snapshot, true),
            Algorithm::Exact => full(0, false),
            Algorithm::Accelerated => full(FullBatch::default().memory, false),
            Algorithm::Refreshed => full(FullBatch::default().memory, true),
            Algorithm::Sgd => Method::Baseline(Baseline::Sgd { rate: rate(0.1), schedule }),
            Algorithm::Sls => Method::Baseline(Baseline::LineSearch { sufficient_decrease: rate(0.1) }),
            Algorithm::Adagrad => Method::Baseline(Baseline::Adagrad { rate: rate(0.1) }),
            Algorithm::Adam => Method::Baseline(Baseline::Adam { rate: rate(0.01) }),
            Algorithm::Svrg => Method::Baseline(Baseline::Svrg { rate: rate(0.1) }),
        }
    }

    fn surrogate(&self, schedule: Schedule) -> BatchSurrogate {
        let steps = self.inner_steps.unwrap_or(10);
        let inner = match self.inner {
            None | Some(InnerName::Cg) => Inner::ConjugateGradient { steps },
            Some(InnerName::Gradient) => Inner::Gradient { steps, search: InnerSearch::default() },
            Some(InnerName::Steepest) => Inner::Steepest { steps },
            Some(InnerName::Exact) => Inner::Exact { damping: 1e-6 },
            Some(InnerName::Lbfgs) => Inner::Lbfgs { steps },
        };
        let step = match self.eta_search {
            Some(c) => StepSize::Search(TargetSearch { sufficient_decrease: c, ..TargetSearch::default() }),
            None => StepSize::Fixed { eta: self.eta, schedule },
        };
        let metric = match self.target_metric {
            None | Some(MetricName::Identity) => TargetMetric::Identity,
            Some(MetricName::Scalar) => TargetMetric::Scalar,
            Some(MetricName::Diagonal) => TargetMetric::Diagonal,
            Some(MetricName::Newton) => TargetMetric::Newton,
            Some(MetricName::Adam) => TargetMetric::Adam,
        };
        BatchSurrogate { step, inner, metric }
    }
}

/// What there is to say of a fit.
struct Report<'a> {
    fit: &'a Fit,
    loss: &'a str,
    shape: (usize, usize, usize),
    classes: Option<Classes>,
    intercept: f64,
    nonzeros: usize,
    l1_max: f64,
    train: Score,
    test: Option<Score>,
    read_seconds: f64,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let (common, options) = (&arguments.common, &arguments.surrogate);
    check(arguments)?;
    let limits = common.prepare()?;
    for path in arguments.model.iter().chain(&options.checkpoint) {
        check_writable(path)?;
    }
    let resumed = options.resume.as_deref().map(read_checkpoint).transpose()?;
    let started = Instant::now();
    let (data, test) = arguments.split(dataset::read(&arguments.data)?)?;
    let read_seconds = started.elapsed().as_secs_f64();

    let name = loss_name(arguments);
    let Some(loss) = loss::by_name(&name).filter(|_| name != "huber").or_else(|| huber(arguments, &name))
    else {
        let message =
            format!("--method surrogate takes losses of one smooth predictor; {name} is not among them here");
        return Err(Failure::Usage(message));
    };
    let (mut target, classes) = dataset::targets(&arguments.data, &*loss, &data.labels)?;
    let shift = if arguments.center { target.iter().sum::<f64>() / target.len().max(1) as f64 } else { 0.0 };
    target.iter_mut().for_each(|y| *y -= shift);
    if let Some((file, rows)) = &test {
        dataset::check_classes(file, classes, &rows.labels)?;
    }
    let columns = data.matrix.cols();
    let (matrix, used) = dataset::without_empty_columns(data.matrix.clone());
    let (preparation, design) = Preparation::fit(matrix, arguments.standardize, arguments.bias)?;
    let model = model(arguments, design, target, loss);
    let l1_max = model.l1_max().map_err(|error| in_data(arguments, Error::Model(error)))?;
    let solver = solver(arguments, limits);
    let mut monitor = watch::monitor(common, 1);
    let start = resumed.as_ref().map_or(Start::Zero, Start::Checkpoint);
    let fit = solver.solve_with(&model, start, &mut monitor).map_err(|error| in_data(arguments, error))?;

    let (coefficients, intercept) = preparation.unfold(&fit.coefficients, fit.intercepts[0] + shift);
    let nonzeros = coefficients.iter().filter(|&&value| value != 0.0).count();
    let column = |k: usize| used.as_ref().map_or(k, |used| used[k] as usize);
    let coefficients = coefficients.iter().enumerate().map(|(k, &value)| (column(k), value));
    let file = ModelFile::new(&name, columns, coefficients, intercept, classes, (0.0, arguments.l2));
    let scored =
        |rows: &LabelledData| dataset::score(&name, classes, &file.predictors(&rows.matrix), &rows.labels);
    let report = Report {
        fit: &fit,
        loss: &name,
        shape: (data.labels.len(), columns, data.matrix.nnz()),
        classes,
        intercept,
        nonzeros,
        l1_max,
        train: scored(&data),
        test: test.as_ref().map(|(_, rows)| scored(rows)),
        read_seconds,
    };
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec_pretty(&file)?)?;
    }
    if let Some(path) = &options.checkpoint {
        output::write_file(path, &serde_json::to_vec(&fit.checkpoint)?)?;
    }
    output::write_trace_and_plot(common, &arguments.data, &fit.history)?;
    report.print(arguments)?;
    Ok(Finish::of(fit.status))
}

/// Contradictions that the parser cannot see.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.surrogate;
    let usage = |message: &str| Err(Failure::Usage(message.into()));
    if arguments.l1.is_some_and(|l1| l1 > 0.0) || arguments.l1_ratio.is_some_and(|ratio| ratio > 0.0) {
        return usage("--method surrogate takes --l2 or no penalty; --l1 needs --method coordinate");
    }
    if arguments.nonnegative || arguments.path.is_some() {
        return usage("--nonnegative and --path need --method coordinate");
    }
    let blocks = &arguments.blocks;
    if blocks.rule.is_some()
        || blocks.update.is_some()
        || blocks.blocks.is_some()
        || blocks.block_size.is_some()
    {
        return usage("--rule, --update, --blocks and --block-size need --method coordinate");
    }
    options.check()?;
    let inputs: Vec<&str> = [Some(&arguments.data), arguments.test.as_ref(), options.resume.as_ref()]
        .into_iter()
        .flatten()
        .map(|s| &**s)
        .collect();
    let outputs = [
        ("--model", &arguments.model),
        ("--trace", &arguments.common.trace),
        ("--plot", &arguments.common.plot),
        ("--checkpoint", &options.checkpoint),
    ];
    let outputs: Vec<(&str, &Path)> =
        outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect();
    // a run may go on and leave its new state in the file that it came from
    let resumes_in_place =
        |option: &str, path: &Path| option == "--checkpoint" && options.resume.as_deref() == path.to_str();
    let outputs: Vec<(&str, &Path)> =
        outputs.into_iter().filter(|(option, path)| !resumes_in_place(option, path)).collect();
    check_distinct(&inputs, &outputs)
}

fn loss_name(arguments: &Arguments) -> String {
    arguments.loss.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn huber(arguments: &Arguments, name: &str) -> Option<std::sync::Arc<dyn loss::Loss>> {
    (name == "huber").then(|| std::sync::Arc::new(loss::Huber { delta: arguments.huber_delta }) as _)
}

fn model(
    arguments: &Arguments,
    design: DesignMatrix,
    target: Vec<f64>,
    loss: std::sync::Arc<dyn loss::Loss>,
) -> LinearModel {
    let penalty = ElasticNet { l1: 0.0, l2: arguments.l2, weights: None };
    let mut model = LinearModel::new(design, target, loss::Squared, penalty);
    (model.loss, model.intercept) = (loss, arguments.intercept);
    model
}

fn solver(arguments: &Arguments, limits: gradus::control::Limits) -> Surrogate {
    let options = &arguments.surrogate;
    let defaults = Surrogate::default();
    Surrogate {
        limits,
        method: options.method(),
        batch: options.batch,
        epochs: options.epochs.unwrap_or(defaults.epochs),
        order: match options.order {
            None | Some(OrderName::Chacha) => Order::ChaCha,
            Some(OrderName::Splitmix) => Order::SplitMix,
        },
        seed: arguments.common.seed,
        measure: match arguments.certificate {
            CertificateName::Auto => Measure::Auto,
            CertificateName::Gap => Measure::Gap,
            CertificateName::Gradient => Measure::Gradient,
        },
        ..defaults
    }
}

fn read_checkpoint(path: &str) -> Result<Checkpoint, Failure> {
    use anyhow::Context;
    let source = Source::open(path)?;
    Ok(serde_json::from_slice(source.bytes()).with_context(|| format!("{path}: not a checkpoint"))?)
}

/// The failure that an error of the solver stands for.
fn in_data(arguments: &Arguments, error: Error) -> Failure {
    match error {
        Error::Option(message) => Failure::Usage(message),
        // rows are counted from 1 in files
        Error::Model(ModelError::Target { row, value, expected }) => {
            let place = format!("{}: the target of data row {} is {value}", arguments.data, row + 1);
            Failure::Input(anyhow::anyhow!("{place}; {expected}"))
        }
        other => Failure::Input(anyhow::Error::new(other).context(arguments.data.clone())),
    }
}

impl Report<'_> {
    fn print(&self, arguments: &Arguments) -> Result<(), Failure> {
        let (fit, options) = (self.fit, &arguments.surrogate);
        let (rows, columns, stored) = self.shape;
        let calls = fit.counts.get("oracle_calls").copied().unwrap_or(0);
        let priced = options.oracle_price.map(|price| fit.seconds + price * calls as f64);
        if arguments.common.json {
            let own = json!({
                "rows": rows, "columns": columns, "stored": stored, "nonzeros": self.nonzeros,
                "l1": 0.0, "l1_max": self.l1_max, "l2": arguments.l2,
                "accuracy": self.train.accuracy, "rmse": self.train.rmse,
                "test_accuracy": self.test.and_then(|t| t.accuracy), "test_rmse": self.test.and_then(|t| t.rmse),
                "loss": self.loss, "intercept": self.intercept, "classes": self.classes, "path": null,
                "algorithm": fit.method, "batch": options.batch, "priced_seconds": priced,
            });
            let object =
                output::json_object("fit", "surrogate", &arguments.common, self.read_seconds, fit, own);
            return output::print(&object.to_string());
        }
        let mut lines =
            vec![format!("data         {rows} rows, {columns} features, {stored} stored entries")];
        lines.push(fit.summary.to_string());
        lines.push(format!("penalty      l2 {:.6e}", arguments.l2));
        if let Some(priced) = priced {
            lines.push(format!(
                "priced       {priced:.3} s with {} s for each of {calls} oracle calls",
                options.oracle_price.unwrap_or(0.0)
            ));
        }
        if arguments.intercept {
            lines.push(format!("intercept    {:.10e}", self.intercept));
        }
        if let Some(classes) = self.classes {
            lines.push(format!("labels       {} -> -1, {} -> +1", classes.negative, classes.positive));
        }
        for (name, score) in [("training", Some(self.train)), ("test", self.test)] {
            let Some(score) = score else { continue };
            let parts = [
                score.accuracy.map(|a| format!("accuracy {a:.4}")),
                score.rmse.map(|r| format!("rmse {r:.6e}")),
            ];
            lines.push(format!("{name:12} {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
        }
        output::print(&lines.join("\n"))
    }
}
