//! `gradus relu`: two-layer ReLU networks on LIBSVM data.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use gradus::problem::Classes;
use gradus::read::libsvm::LabelledData;
use gradus::relu::{ConvexRelu, Error, Loss, Method, Patterns, Refinement, Solution, Training};
use serde_json::json;

use crate::dataset::{self, Preparation, Score};
use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::relu_file::NetworkFile;
use crate::watch;

/// Train a two-layer ReLU network by its convex program: sum of losses + (beta / 2) sum (|u_j|^2 + a_j^2).
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus relu data/heart_scale --patterns 20 --beta 1 --standardize --bias --test-every 5
  gradus relu data/ionosphere_scale --beta 0.1 --loss logistic --standardize --bias --model net.json
  gradus predict net.json data/ionosphere_scale

The loss is a sum over the rows (--average: a mean), squared loss with the factor 1/2. Two labels become -1 (the smaller)
and +1. The certificate bounds the distance to the optimum over the sampled patterns, not over all networks, unless it says
'global'.")]
pub struct Arguments {
    /// LIBSVM text, plain or .gz, .xz, .zst; - for standard input.
    pub data: String,
    /// Neurons whose activation patterns are sampled.
    #[arg(long, default_value_t = 50, value_name = "P")]
    pub patterns: usize,
    /// Weight of the regulariser.
    #[arg(long, value_name = "B", allow_negative_numbers = true)]
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
}

impl MethodName {
    fn method(self) -> Method {
        match self {
            MethodName::Auto => Method::Auto,
            MethodName::InteriorPoint => Method::InteriorPoint,
            MethodName::Admm => Method::Admm,
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

    let loss = arguments.loss.loss();
    let (target, classes) = arguments.targets(&data.labels)?;
    if let Some((file, rows)) = &test {
        dataset::check_classes(file, classes, &rows.labels)?;
    }
    let rows = target.len();
    let (preparation, design) =
        Preparation::fit(data.matrix.clone(), arguments.standardize, arguments.bias)?;
    let in_data = |error: Error| match error {
        Error::Option(message) => Failure::Usage(message),
        Error::Beta(_) => Failure::Usage(format!("--{error}")),
        other => Failure::Input(anyhow::Error::new(other).context(arguments.data.clone())),
    };
    let scale = if arguments.average { rows.max(1) as f64 } else { 1.0 };
    let training = Training::new(&design, target, loss, arguments.beta * scale).map_err(in_data)?;
    let solver = ConvexRelu {
        limits,
        method: arguments.method.method(),
        patterns: arguments.patterns,
        seed: common.seed,
        ..ConvexRelu::default()
    };
    let mut monitor = watch::monitor(common, 1);
    let solution = if arguments.refine {
        let (starts, rounds) = (arguments.starts, arguments.rounds);
        let refinement = Refinement { starts, rounds, ..Refinement::default() };
        solver.refine(&training, &refinement, None, &mut monitor).map_err(in_data)?
    } else {
        let patterns = arguments.pattern_set(&training, &solver).map_err(in_data)?;
        solver.solve_over(&training, patterns, None, &mut monitor).map_err(in_data)?
    };

    let file =
        NetworkFile::new(loss.name(), &solution.network, &[], &preparation, classes, arguments.beta);
    let scored = |rows: &LabelledData| {
        dataset::score(loss.name(), classes, &file.predictors(&rows.matrix), &rows.labels)
    };
    let train_score = scored(&data);
    let test_score = test.as_ref().map(|(_, rows)| scored(rows));
    if let Some(path) = &arguments.model {
        output::write_file(path, &serde_json::to_vec_pretty(&file)?)?;
    }
    output::write_trace_and_plot(common, &arguments.data, &solution.history)?;
    let report = Report { solution: &solution, arguments, classes, scale, train_score, test_score };
    report.print((rows, preparation.bias, training.columns()), read_seconds)?;
    Ok(Finish::of(solution.status))
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

    fn pattern_set(&self, training: &Training, solver: &ConvexRelu) -> Result<Patterns, Error> {
        if !self.all_patterns {
            return Patterns::sample(training, solver.patterns, solver.seed);
        }
        let none = "--all-patterns needs data of rank one or two; others have too many patterns to list";
        Patterns::enumerate(training).ok_or(Error::Option(none.into()))
    }
}

/// What is printed of a run.
struct Report<'a> {
    solution: &'a Solution,
    arguments: &'a Arguments,
    classes: Option<Classes>,
    /// Rows where the loss is a mean, else 1.
    scale: f64,
    train_score: Score,
    test_score: Option<Score>,
}

impl Report<'_> {
    fn print(&self, (rows, bias, width): (usize, bool, usize), read_seconds: f64) -> Result<(), Failure> {
        let solution = self.solution;
        let columns = width - usize::from(bias);
        if self.arguments.common.json {
            let per = |value: f64| value / self.scale;
            let own = json!({
                "rows": rows, "columns": columns, "patterns": solution.patterns.len(),
                "neurons": solution.network.neurons(), "beta": self.arguments.beta,
                "loss": self.arguments.loss.loss().name(), "objective": per(solution.network_objective),
                "network_objective": per(solution.network_objective),
                "convex_objective": per(solution.convex_objective),
                "lower_bound": per(solution.lower_bound), "cone_violation": solution.cone_violation,
                "largest_activation": solution.largest_activation, "level": solution.level,
                "pricing_ratio": solution.pricing_ratio, "classes": self.classes,
                "train_accuracy": self.train_score.accuracy, "train_rmse": self.train_score.rmse,
                "test_accuracy": self.test_score.and_then(|s| s.accuracy),
                "test_rmse": self.test_score.and_then(|s| s.rmse),
            });
            let method = if self.arguments.refine { "refine".into() } else { self.arguments.method.name() };
            let common = &self.arguments.common;
            let object =
                output::json_object("relu", &method, common, read_seconds, &solution.summary, own);
            return output::print(&object.to_string());
        }
        let mut lines = vec![
            format!("data         {rows} rows, {columns} features{}", if bias { " and a bias" } else { "" }),
            solution.to_string(),
            format!(
                "optimum      over these patterns between {:.10e} and {:.10e}",
                solution.lower_bound / self.scale,
                solution.convex_objective / self.scale
            ),
            format!(
                "cones        worst violation {:.1e}, largest activation {:.1e}",
                solution.cone_violation, solution.largest_activation
            ),
        ];
        if let Some(ratio) = solution.pricing_ratio {
            lines.push(format!("pricing      largest ratio found {ratio:.4} (no bound)"));
        }
        if let Some(classes) = self.classes {
            lines.push(format!("labels       {} -> -1, {} -> +1", classes.negative, classes.positive));
        }
        for (name, score) in [("training", Some(self.train_score)), ("test", self.test_score)] {
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
