//! `gradus relu`: two-layer ReLU networks on LIBSVM data.
//!
//! - `outcome`: from the options to a trained network;
//! - `report`: what is printed of it;
//! - `file`: networks as JSON.

pub mod file;
mod outcome;
mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use gradus::problem::Classes;
use gradus::read::libsvm::LabelledData;
use gradus::relu::{Loss, Method};

use crate::dataset;
use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use file::NetworkFile;

/// Train a two-layer ReLU network by its convex program: sum of losses + (beta / 2) sum (|u_j|^2 + a_j^2).
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus relu data/heart_scale --patterns 20 --beta 1 --standardize --bias --test-every 5
  gradus relu data/ionosphere_scale --beta 0.1 --loss logistic --standardize --bias --model net.json
  gradus predict net.json data/ionosphere_scale
  gradus relu data/heart_scale --beta 1 --standardize --bias --refine
  gradus relu data/heart_scale --beta 0.1 --standardize --bias --path 8 --validation-every 5
  gradus relu data/heart_scale --beta 1 --standardize --bias --robust 0.02 --tolerance 1e-3

The loss is a sum over the rows (--average: a mean), squared loss with the factor 1/2. Two labels become -1 (the smaller) \
and +1. The certificate bounds the distance to the optimum over the sampled patterns, not over all networks, unless it says \
'global'.")]
pub struct Arguments {
    /// LIBSVM text, plain or .gz, .xz, .zst; - for standard input.
    pub data: String,
    /// Neurons whose activation patterns are sampled.
    #[arg(long, default_value_t = 50, value_name = "P")]
    pub patterns: usize,
    /// Weight of the regulariser.
    #[arg(long, value_name = "B")]
    pub beta: f64,
    /// The loss.
    #[arg(long, value_enum, default_value_t = LossName::Squared)]
    pub loss: LossName,
    /// Take the mean of the losses in place of their sum.
    #[arg(long)]
    pub average: bool,
    /// How the program is solved.
    #[arg(long, value_enum, default_value_t = MethodName::Auto)]
    pub method: MethodName,
    /// Train against perturbations of every feature by at most EPS (after standardisation), the bias excepted.
    #[arg(long, value_name = "EPS", conflicts_with_all = ["refine", "all_patterns", "method"])]
    pub robust: Option<f64>,
    /// The norm of the perturbations.
    #[arg(long, value_enum, default_value_t = NormName::Linf, requires = "robust")]
    pub robust_norm: NormName,
    /// Solve for N values of beta from the one where all is zero down to --beta, each from the one before.
    #[arg(long, value_name = "N", conflicts_with = "robust")]
    pub path: Option<usize>,
    /// Hold out every K-th training row on the path, and take the beta that does best there.
    #[arg(long, value_name = "K", requires = "path")]
    pub validation_every: Option<usize>,
    /// Look for better patterns: local runs are pooled, then solving, pricing and descent take turns.
    #[arg(long, conflicts_with_all = ["all_patterns", "method"])]
    pub refine: bool,
    /// Seeds of the local runs of a refinement.
    #[arg(long, default_value_t = 5, value_name = "N", requires = "refine")]
    pub starts: usize,
    /// Rounds of a refinement at most.
    #[arg(long, default_value_t = 20, value_name = "N", requires = "refine")]
    pub rounds: usize,
    /// Take all activation patterns of the data, where they have rank one or two, in place of a sample.
    #[arg(long, conflicts_with = "patterns")]
    pub all_patterns: bool,
    /// Keep two-valued labels as numbers, for regression with the squared loss.
    #[arg(long)]
    pub regression: bool,
    /// Centre and scale each feature by the training rows' mean and deviation.
    #[arg(long)]
    pub standardize: bool,
    /// Append a column of ones, regularised like any other.
    #[arg(long)]
    pub bias: bool,
    /// Write the network as JSON.
    #[arg(long, value_name = "OUT.json")]
    pub model: Option<PathBuf>,
    /// Report on these rows too.
    #[arg(long, value_name = "FILE", conflicts_with = "test_every")]
    pub test: Option<String>,
    /// Hold out every K-th row and report on those.
    #[arg(long, value_name = "K")]
    pub test_every: Option<usize>,
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
    /// max(0, 1 - y z)
    Hinge,
    /// ln(1 + exp(-2 y z)), the cross entropy of some published codes
    CrossEntropy,
}

impl LossName {
    fn loss(self) -> Loss {
        match self {
            LossName::Squared => Loss::Squared,
            LossName::Logistic => Loss::Logistic,
            LossName::Hinge => Loss::Hinge,
            LossName::CrossEntropy => Loss::CrossEntropy,
        }
    }
}

/// Names of the methods.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum MethodName {
    /// ADMM finds the neurons that matter, the interior-point method finishes
    Auto,
    /// Structured interior-point method over all patterns
    InteriorPoint,
    /// Alternating direction method of multipliers, as published
    Admm,
    /// The same, its linear system replaced by randomised block coordinate steps
    Rbcd,
    /// Random hidden neurons, output weights by the lasso
    Sampled,
    /// Gated units: another model, the program without its cones
    Gated,
}

/// Names of the perturbations' norms.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum NormName {
    /// Every feature by at most eps
    Linf,
    /// The features together by at most eps in length
    L2,
}

impl MethodName {
    fn method(self) -> Method {
        match self {
            MethodName::Auto => Method::Auto,
            MethodName::InteriorPoint => Method::InteriorPoint,
            MethodName::Admm => Method::Admm,
            MethodName::Rbcd => Method::Rbcd,
            MethodName::Sampled | MethodName::Gated => Method::Auto,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_string())
    }
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let common = &arguments.common;
    arguments.check()?;
    let limits = common.prepare()?;
    if let Some(path) = &arguments.model {
        check_writable(path)?;
    }
    let started = Instant::now();
    let data = dataset::read(&arguments.data)?;
    let (data, test) = arguments.split(data)?;
    let read_seconds = started.elapsed().as_secs_f64();

    let (target, classes) = arguments.targets(&data.labels)?;
    if let Some((file, rows)) = &test {
        dataset::check_classes(file, classes, &rows.labels)?;
    }
    let mut job = outcome::Job { arguments, limits, data: &data, target, beta: arguments.beta };
    let path = job.path()?;
    if let Some(chosen) = path.chosen {
        job.beta = chosen;
    }
    let (preparation, training) = job.training()?;
    let answer = job.solve(&training)?;
    let loss = arguments.loss.loss().name();
    let file = NetworkFile::new(loss, &answer.network, &answer.gates, &preparation, classes, job.beta);
    let scored =
        |rows: &LabelledData| dataset::score(loss, classes, &file.predictors(&rows.matrix), &rows.labels);
    let scores = (scored(&data), test.as_ref().map(|(_, rows)| scored(rows)));
    let attacked = match arguments.robust {
        None => None,
        Some(_) => {
            Some(job.attack(&training, &answer, &preparation, test.as_ref().map(|t| &t.1), classes)?)
        }
    };
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec_pretty(&file)?)?;
    }
    output::write_trace_and_plot(common, &arguments.data, &answer.summary.history)?;
    let shape = (data.labels.len(), data.matrix.cols());
    let report =
        report::Report { answer: &answer, arguments, classes, beta: job.beta, shape, scores, attacked, path };
    report.print(read_seconds)?;
    Ok(Finish::of(answer.summary.status))
}

impl Arguments {
    /// Contradictions that the parser cannot see.
    fn check(&self) -> Result<(), Failure> {
        let usage = |message: String| Err(Failure::Usage(message));
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            return usage(format!("--beta is {}; it must be positive and finite", self.beta));
        }
        if self.patterns == 0 {
            return usage("--patterns is 0; at least one pattern is needed".into());
        }
        if let Some(eps) = self.robust.filter(|eps| !(eps.is_finite() && *eps >= 0.0)) {
            return usage(format!("--robust is {eps}; it must be finite and not negative"));
        }
        if let Some(n) = self.path.filter(|n| !(2..=1000).contains(n)) {
            return usage(format!("--path is {n}; it must lie between 2 and 1000"));
        }
        if self.path.is_some() && matches!(self.method, MethodName::Sampled | MethodName::Gated) {
            return usage("--path goes with the methods that train ReLU networks over patterns".into());
        }
        if self.validation_every.is_some_and(|k| k < 2) {
            return usage("--validation-every needs at least 2: with less no training rows are left".into());
        }
        if self.test_every.is_some_and(|k| k < 2) {
            return usage("--test-every needs at least 2: with less no training rows are left".into());
        }
        if self.regression && self.loss != LossName::Squared {
            return usage("--regression goes with the squared loss".into());
        }
        let inputs: Vec<&str> =
            [Some(&self.data), self.test.as_ref()].into_iter().flatten().map(|s| &**s).collect();
        let outputs =
            [("--model", &self.model), ("--trace", &self.common.trace), ("--plot", &self.common.plot)];
        let outputs: Vec<(&str, &Path)> =
            outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect();
        check_distinct(&inputs, &outputs)
    }

    /// Training rows, and test rows with the name of their file.
    #[allow(clippy::type_complexity)]
    fn split(&self, data: LabelledData) -> Result<(LabelledData, Option<(String, LabelledData)>), Failure> {
        if let Some(file) = &self.test {
            let test = dataset::read_for_model(file, data.matrix.cols(), self.common.quiet)?;
            return Ok((data, Some((file.clone(), test))));
        }
        let Some(k) = self.test_every else { return Ok((data, None)) };
        let rows = data.labels.len();
        if k > rows {
            let message = format!("{}: {rows} rows, so that --test-every {k} would hold out none", self.data);
            return Err(Failure::Input(anyhow!(message)));
        }
        let (train, test) = dataset::split_every(data, k);
        Ok((train, Some((self.data.clone(), test))))
    }

    /// Two labels are classes, unless regression is asked for; more are targets of the squared loss.
    fn targets(&self, labels: &[f64]) -> Result<(Vec<f64>, Option<Classes>), Failure> {
        let two = Classes::from_labels(labels);
        match two {
            Ok((classes, target)) if !self.regression => Ok((target, Some(classes))),
            Err(error) if self.loss != LossName::Squared => {
                Err(Failure::Input(anyhow::Error::new(error).context(self.data.clone())))
            }
            _ => Ok((labels.to_vec(), None)),
        }
    }
}
