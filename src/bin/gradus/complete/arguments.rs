//! The options of `gradus complete`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradus::completion::Duplicates;

use crate::options::Common;

/// Complete a matrix of low rank from some of its entries: v_ij ~ x_i'y_j, or mean + b_i + c_j + x_i'y_j.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus complete entries.csv --rank 10 --holdout 0.01
  gradus complete ratings.tsv --rank 10 --ridge 0.1 --test later.tsv --model model.json
  gradus complete ratings.tsv --rank auto --ridge auto --holdout 0.1 --json
  gradus complete plays.csv --rank 20 --ridge 5 --implicit --alpha 10 --model model.json
  gradus predict model.json pairs.csv
  gradus predict model.json --top 10 --exclude ratings.tsv

Lines are row,column,value; rows and columns have any names; a first line of names is skipped. Without --ridge the \
entries count as exact and the matrix itself is recovered; with one, biases are fitted too and predictions stay within \
the range of the values.")]
pub struct Arguments {
    /// Lines row,column,value, or Matrix Market coordinates (.mtx); plain or .gz, .xz, .zst; - for standard input.
    pub ratings: String,
    /// The rank k, or auto: as large as lowers the error on held-out entries.
    #[arg(long, value_name = "K", default_value = "10")]
    pub rank: String,
    /// The largest rank that auto tries.
    #[arg(long, value_name = "K", default_value_t = 50)]
    pub max_rank: usize,
    /// Weight of the squares of the factors in the objective, or auto: chosen on entries held out of the training part.
    #[arg(long, value_name = "X", default_value = "0")]
    pub ridge: String,
    /// Whether the ridge counts once for each entry of a row or column, or once for all.
    #[arg(long, value_enum, default_value_t = RidgeName::ByCount)]
    pub ridge_kind: RidgeName,
    /// A mean, and a bias for each row and column; auto: where there is a ridge.
    #[arg(long, value_enum, default_value_t = BiasName::Auto)]
    pub bias: BiasName,
    /// Weight of the squares of the biases; by default the ridge over the values' deviation.
    #[arg(long, value_name = "X")]
    pub bias_ridge: Option<f64>,
    /// The loss.
    #[arg(long, value_enum, default_value_t = LossName::Squares)]
    pub loss: LossName,
    /// Values count events; all cells matter, with confidence 1 + alpha v where there is an entry and 1 elsewhere.
    #[arg(long)]
    pub implicit: bool,
    /// Confidence that one event adds.
    #[arg(long, value_name = "A", default_value_t = 1.0, requires = "implicit")]
    pub alpha: f64,
    /// Keep both factors at or above zero.
    #[arg(long)]
    pub nonnegative: bool,
    /// How half-steps are solved.
    #[arg(long, value_enum, default_value_t = Method::Als)]
    pub method: Method,
    /// Rows of a sketch for each unknown (als-sketch).
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub sketch_ratio: usize,
    /// How far conjugate gradients reduce each row's gradient; chosen from the factors' condition by default.
    #[arg(long, value_name = "X")]
    pub inner_tolerance: Option<f64>,
    /// Where the sweeps start.
    #[arg(long, value_enum, default_value_t = StartName::Auto)]
    pub start: StartName,
    /// Leave rows and columns with more than twice the mean number of entries out of the spectral start.
    #[arg(long)]
    pub trim: bool,
    /// Start from the factors of this model, whose rows and columns go by name.
    #[arg(long, value_name = "MODEL.json", conflicts_with = "resume")]
    pub init: Option<String>,
    /// Report on these entries too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["holdout", "test_every"])]
    pub test: Option<String>,
    /// Hold out this share of the entries, chosen by a hash of their names, and report on it.
    #[arg(long, value_name = "SHARE", conflicts_with = "test_every")]
    pub holdout: Option<f64>,
    /// Hold out every K-th entry and report on those.
    #[arg(long, value_name = "K")]
    pub test_every: Option<usize>,
    /// Share of the training entries that watches over the sweeps; by default 0.01 without a ridge, 0.1 with --patience
    /// or --rank auto.
    #[arg(long, value_name = "SHARE")]
    pub validation: Option<f64>,
    /// Stop once the error on the watching entries has not fallen for N sweeps, and return the best factors.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub patience: usize,
    /// A fourth field of each line is a weight; weight 0 drops the entry.
    #[arg(long)]
    pub weights: bool,
    /// What is done with several values at one position.
    #[arg(long, value_enum, default_value_t = DuplicatesName::Error)]
    pub duplicates: DuplicatesName,
    /// Store factors in single precision.
    #[arg(long)]
    pub single: bool,
    /// Write the state of the run to this file now and then.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Seconds between checkpoints at least.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, requires = "checkpoint")]
    pub checkpoint_seconds: f64,
    /// Go on where the checkpoint stands, if there is one.
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,
    /// Write the model as JSON.
    #[arg(long, value_name = "OUT.json")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

/// What the ridge multiplies.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum RidgeName {
    /// The squares of a row as often as it has entries
    ByCount,
    /// The squares once: a ridge times the nuclear norm
    Uniform,
}

/// Whether biases are fitted.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum BiasName {
    /// Where there is a ridge
    Auto,
    /// Never
    None,
    /// Of rows and of columns
    Both,
}

/// Names of the losses.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum LossName {
    /// e^2 / 2
    Squares,
    /// Quadratic near zero, linear beyond 1.345 robust deviations
    Huber,
    /// Absolute value, rounded off at zero
    Absolute,
}

/// Names of the methods.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Alternating minimisation: Cholesky for small ranks, conjugate gradients beyond
    Als,
    /// Half-steps by Cholesky
    AlsExact,
    /// Half-steps by conjugate gradients with one preconditioner for all rows
    AlsCg,
    /// Half-steps by conjugate gradients with a sketch of each row's matrix, as published
    AlsSketch,
}

/// Names of the starts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum StartName {
    /// Spectral, staged where the singular values ask for it
    Auto,
    /// Leading singular vectors of the zero-filled entries
    Spectral,
    /// A few directions at a time: for ill-conditioned matrices
    Staged,
    /// Small random factors
    Random,
}

/// What is done with several values at one position.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum DuplicatesName {
    /// Refuse them
    Error,
    /// Take their mean
    Mean,
    /// Take the last
    Last,
    /// Take their sum
    Sum,
}

impl DuplicatesName {
    /// What the library calls it.
    pub(super) fn rule(self) -> Duplicates {
        match self {
            DuplicatesName::Error => Duplicates::Refuse,
            DuplicatesName::Mean => Duplicates::Mean,
            DuplicatesName::Last => Duplicates::Last,
            DuplicatesName::Sum => Duplicates::Sum,
        }
    }
}
