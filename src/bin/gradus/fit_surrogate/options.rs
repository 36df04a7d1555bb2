//! The options of `--method surrogate`, and the method that they stand for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradus::surrogate::{
    Aggregate, Baseline, BatchSurrogate, FullBatch, Inner, InnerSearch, Method, Population, Schedule,
    StepSize, TargetMetric, TargetSearch, Variance,
};

use crate::output::Failure;

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
    pub(super) fn check(&self) -> Result<(), Failure> {
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

    pub(super) fn method(&self) -> Method {
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
