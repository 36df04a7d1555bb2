//! `gradus fit`: losses with penalties on LIBSVM data.

mod columns;
mod path;
mod print;
mod problem;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use gradus::coordinate::Measure;
use gradus::linalg::DesignMatrix;
use gradus::problem::loss::{self, Huber, Loss};
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{Classes, LinearModel, MultinomialModel};
use gradus::read::libsvm::LabelledData;

use crate::dataset::{self, Labels, Preparation};
use crate::fit_surrogate::{self, SurrogateOptions};
use crate::model_file::ModelFile;
use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::solver::BlockOptions;
use columns::RowData;
use path::Solved;
use print::Report;
use problem::{Data, Problem, Shape};

/// Fit a linear model: mean loss + l1 ||x||_1 + l2 ||x||^2 / 2.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus fit data/heart_scale --loss logistic --l1-ratio 0.1
  gradus fit data/sk-diabetes-regression --loss squared --center --l1-ratio 0.05 --plot gap.svg
  gradus fit data/a1a --loss logistic --l2 0.001 --intercept --model model.json --test-every 5
  gradus fit data/sonar_scale --loss logistic --path 50 --cv 5
  gradus fit DATA --loss softmax --l2 0.001 --intercept --model model.json
  gradus fit data/heart_scale --loss hinge --c 1 --bias

The loss is a mean over the rows, so l1 and l2 do not depend on their number. For LIBLINEAR's C: l1 = 1 / (C n), \
l2 = 1 / (C n). With two classes the smaller label becomes -1, the larger +1; softmax takes any number of them.")]
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
    #[arg(long, value_name = "X", conflicts_with = "l1_ratio")]
    pub l1: Option<f64>,
    /// The same as a fraction of l1_max, the smallest l1 for which every coefficient is zero.
    #[arg(long, value_name = "R")]
    pub l1_ratio: Option<f64>,
    /// Weight of the half squares.
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    pub l2: f64,
    /// The same as LIBLINEAR's C: l2 = 1 / (C n), n the number of training rows.
    #[arg(long, value_name = "C", conflicts_with = "l2")]
    pub c: Option<f64>,
    /// Fit an intercept, which is never penalised.
    #[arg(long)]
    pub intercept: bool,
    /// Keep every coefficient at or above zero.
    #[arg(long)]
    pub nonnegative: bool,
    /// Keep every coefficient between two bounds; inf and -inf for none.
    #[arg(
        long = "box",
        value_name = "LOWER,UPPER",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        conflicts_with = "nonnegative"
    )]
    pub bounds: Vec<f64>,
    /// Group lasso: l1 times the sum of sqrt(size) ||x_G|| over groups. One number a line, the group of each feature.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nonnegative", "bounds", "penalty_weights"])]
    pub groups: Option<String>,
    /// Factors of the penalty, one a line for each feature; 0 leaves a feature unpenalised.
    #[arg(long, value_name = "FILE")]
    pub penalty_weights: Option<String>,
    /// Weights of the rows, one a line.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
    /// Offsets added to the predictors of the rows, one a line.
    #[arg(long, value_name = "FILE")]
    pub offsets: Option<String>,
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
    /// Choose l1 from a path (of 100 values by default) by K-fold cross-validation: the least mean held-out loss.
    #[arg(long, value_name = "K")]
    pub cv: Option<usize>,
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
    pub blocks: BlockOptions,
    #[command(flatten)]
    pub common: Common,
    // last: its heading would stand over all that follows
    #[command(flatten)]
    pub surrogate: SurrogateOptions,
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
    /// ln(sum of exp(z)) - z_y over any number of classes
    Softmax,
    /// max(0, 1 - y z), needs --l2 or --c
    Hinge,
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
    let row_data = arguments.row_data(data.labels.len())?;
    let (data, test) = arguments.split(data)?;
    let columns = data.matrix.cols();
    let (matrix, used) = dataset::without_empty_columns(data.matrix.clone());
    let shape = arguments.shape(columns, used.as_deref(), data.labels.len())?;
    let read_seconds = started.elapsed().as_secs_f64();

    let (preparation, design) = Preparation::fit(matrix, arguments.standardize, arguments.bias)?;
    let (data_of_loss, labels, shift) = arguments.data(design, &data.labels, row_data)?;
    if let Some((file, rows)) = &test {
        labels.check(file, &rows.labels)?;
    }
    let solver = arguments.blocks.solver(limits, arguments.certificate.measure(), common.seed);
    let mut problem = Problem { data: data_of_loss, shape, solver, seed: common.seed, deadline: None };
    let solved = path::solve(arguments, &mut problem)?;

    let file = model_file(&problem, &solved, &preparation, &labels, (columns, used.as_deref()), shift);
    let scored = |rows: &LabelledData| labels.score(&file.loss, &file.predictors(&rows.matrix), &rows.labels);
    let report = Report {
        solved: &solved,
        loss: problem.loss_name(),
        l2: problem.shape.l2,
        shape: (data.labels.len(), columns, data.matrix.nnz()),
        intercepts: &solved.fit.intercepts,
        labels: &labels,
        train: scored(&data),
        test: test.as_ref().map(|(_, rows)| scored(rows)),
        read_seconds,
    };
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec_pretty(&file)?)?;
    }
    output::write_trace_and_plot(common, &arguments.data, &solved.fit.summary.history)?;
    report.print(arguments)?;
    Ok(Finish::of(solved.fit.summary.status))
}

/// The model for features as they stand in the file.
fn model_file(
    problem: &Problem,
    solved: &Solved,
    preparation: &Preparation,
    labels: &Labels,
    (columns, used): (usize, Option<&[u32]>),
    shift: f64,
) -> ModelFile {
    let fit = &solved.fit;
    let k = fit.intercepts.len();
    let unfolded: Vec<(Vec<f64>, f64)> = (0..k)
        .map(|c| {
            let own: Vec<f64> = fit.coefficients.iter().skip(c).step_by(k).copied().collect();
            preparation.unfold(&own, fit.intercepts[c] + shift)
        })
        .collect();
    let column = |j: usize| used.map_or(j, |used| used[j] as usize);
    let features = unfolded.first().map_or(0, |class| class.0.len());
    let unfolded = &unfolded;
    let coefficients = (0..features).flat_map(|j| (0..k).map(move |c| (column(j) * k + c, unfolded[c].0[j])));
    let penalty = (solved.l1, problem.shape.l2);
    match labels {
        Labels::Many(labels) => {
            let intercepts = unfolded.iter().map(|class| class.1).collect();
            ModelFile::softmax(columns, coefficients, intercepts, labels.clone(), penalty)
        }
        labels => {
            let intercept = unfolded.first().map_or(0.0, |class| class.1);
            let loss = problem.loss_name();
            ModelFile::new(loss, columns, coefficients, intercept, labels.two(), penalty)
        }
    }
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
        if let Some(c) = self.c.filter(|c| !(c.is_finite() && *c > 0.0)) {
            return usage(format!("--c is {c}; it must be positive and finite"));
        }
        match self.bounds.as_slice() {
            [] => {}
            &[lower, upper] if lower <= upper && lower < f64::INFINITY && upper > f64::NEG_INFINITY => {}
            bounds => {
                let given = bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
                return usage(format!(
                    "--box is {given}; two numbers LOWER,UPPER are expected, in this order"
                ));
            }
        }
        self.check_loss()?;
        if self.test_every.is_some_and(|k| k < 2) {
            return usage("--test-every needs at least 2: with less no training rows are left".into());
        }
        if let Some(n) = self.path.filter(|n| !(1..=LONGEST_PATH).contains(n)) {
            return usage(format!("--path is {n}; it must lie between 1 and {LONGEST_PATH}"));
        }
        if self.cv.is_some_and(|folds| folds < 2) {
            return usage("--cv needs at least 2 folds".into());
        }
        if (self.path.is_some() || self.cv.is_some()) && (self.l1 == Some(0.0) || self.l1_ratio == Some(0.0))
        {
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

    /// What does not go with the loss.
    fn check_loss(&self) -> Result<(), Failure> {
        let blocks = self.blocks.any();
        let several = self.loss == LossName::Softmax;
        let hinge = self.loss == LossName::Hinge;
        let rules = [
            (several && blocks && self.intercept, "blocks fit softmax without intercepts; use --bias"),
            (
                several && (self.weights.is_some() || self.offsets.is_some()),
                "softmax takes no weights or offsets",
            ),
            (several && self.groups.is_some(), "--groups is for losses of one predictor"),
            (hinge && self.l2 == 0.0 && self.c.is_none(), "the hinge loss needs --l2 or --c above zero"),
            (hinge && self.intercept, "the hinge loss is fitted without an intercept; use --bias"),
            (hinge && (self.l1.is_some() || self.l1_ratio.is_some()), "the hinge loss takes no l1 penalty"),
            (hinge && (self.path.is_some() || self.cv.is_some()), "the hinge loss has no path of l1"),
            (hinge && blocks, "the hinge loss has a solver of its own; blocks and rules do not go with it"),
            (hinge && self.offsets.is_some(), "the hinge loss takes no offsets"),
            (
                hinge && (self.nonnegative || !self.bounds.is_empty() || self.groups.is_some()),
                "the hinge loss takes no bounds and no groups",
            ),
            (hinge && self.penalty_weights.is_some(), "the hinge loss takes no penalty weights"),
            (
                self.groups.is_some() && (self.l2 > 0.0 || self.c.is_some()),
                "--groups and an l2 penalty do not go together",
            ),
        ];
        match rules.iter().find(|rule| rule.0) {
            Some((_, why)) => Err(Failure::Usage((*why).into())),
            None => Ok(()),
        }
    }

    /// A smooth loss of one predictor.
    fn loss(&self) -> Arc<dyn Loss> {
        match self.loss {
            LossName::Squared => Arc::new(loss::Squared),
            LossName::Logistic => Arc::new(loss::Logistic),
            LossName::SquaredHinge => Arc::new(loss::SquaredHinge),
            LossName::Huber => Arc::new(Huber { delta: self.huber_delta }),
            LossName::Poisson => Arc::new(loss::Poisson),
            // neither is a smooth loss of one predictor: they are problems of their own
            LossName::Softmax | LossName::Hinge => Arc::new(loss::Logistic),
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

    /// Data and loss of the training rows, what their labels stand for, and the shift of the targets.
    fn data(
        &self,
        design: DesignMatrix,
        labels: &[f64],
        (weights, offsets): RowData,
    ) -> Result<(Data, Labels, f64), Failure> {
        if self.loss == LossName::Softmax {
            let classes = MultinomialModel::classes_from_labels(labels);
            let (labels, target) = classes.with_context(|| self.data.clone())?;
            let mut model = MultinomialModel::new(design, target, labels.len(), ElasticNet::default());
            model.intercept = self.intercept;
            return Ok((Data::Softmax(model), Labels::Many(labels), 0.0));
        }
        if self.loss == LossName::Hinge {
            let (classes, target) = Classes::from_labels(labels).with_context(|| self.data.clone())?;
            return Ok((Data::Hinge { design, target, weights }, Labels::Two(classes), 0.0));
        }
        let loss = self.loss();
        let (mut target, classes) = dataset::targets(&self.data, &*loss, labels)?;
        let shift = if self.center { target.iter().sum::<f64>() / target.len().max(1) as f64 } else { 0.0 };
        target.iter_mut().for_each(|y| *y -= shift);
        let mut model = LinearModel::new(design, target, loss::Squared, ElasticNet::default());
        (model.loss, model.intercept) = (loss, self.intercept);
        (model.weights, model.offsets) = (weights, offsets);
        Ok((Data::Linear(model), classes.map_or(Labels::None, Labels::Two), shift))
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
