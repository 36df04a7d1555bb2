//! `gradus predict`: apply a fitted model to data.

use std::time::Instant;

use clap::Args;
use gradus::problem::Classes;
use serde_json::json;
use sprs::CsMatI;

use crate::dataset::{self, response, score};
use crate::model_file::ModelFile;
use crate::options::{check_distinct, start_threads};
use crate::output::{self, Failure, Finish};
use crate::relu::file::{self, NetworkFile};

/// Predict with a model that `gradus fit --model` or `gradus relu --model` wrote: one prediction a line, as label or target.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus fit data/a1a --loss logistic --l2 0.001 --model model.json
  gradus predict model.json data/a1a | head
  gradus predict model.json data/a1a --json")]
pub struct Arguments {
    /// The model.
    pub model: String,
    /// LIBSVM text, plain or .gz, .xz, .zst; - for standard input.
    pub data: String,
    /// Print A x + b instead of labels.
    #[arg(long)]
    pub scores: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Threads to use; all cores by default.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// No notes on standard error.
    #[arg(long)]
    pub quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    start_threads(arguments.threads)?;
    check_distinct(&[&arguments.model, &arguments.data], &[])?;
    let started = Instant::now();
    let model = Model::read(&arguments.model)?;
    let data = dataset::read_for_model(&arguments.data, model.columns(), arguments.quiet)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let solved = Instant::now();
    let z = model.predictors(&data.matrix);
    let (loss, classes) = model.response();
    let predictions: Vec<f64> = z
        .iter()
        .map(|&z| match classes {
            _ if arguments.scores => z,
            Some(classes) => classes.label(z),
            None => response(loss, z),
        })
        .collect();
    let score = score(loss, classes, &z, &data.labels);
    if arguments.json {
        let own = json!({
            "seconds": solved.elapsed().as_secs_f64(), "rows": predictions.len(), "accuracy": score.accuracy,
            "rmse": score.rmse, "predictions": predictions,
        });
        output::print(&output::plain_object("predict", read_seconds, own).to_string())?;
        return Ok(Finish::Done);
    }
    let lines: Vec<String> = predictions.iter().map(|value| value.to_string()).collect();
    output::print(&lines.join("\n"))?;
    if !arguments.quiet {
        let parts =
            [score.accuracy.map(|a| format!("accuracy {a:.4}")), score.rmse.map(|r| format!("rmse {r:.6e}"))];
        eprintln!(
            "{} rows, {}",
            predictions.len(),
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(Finish::Done)
}

/// Any model that the program writes.
enum Model {
    Linear(ModelFile),
    Network(NetworkFile),
}

impl Model {
    /// Reads the file as what it says it is; as a linear model where it says nothing.
    fn read(path: &str) -> Result<Self, Failure> {
        #[derive(serde::Deserialize)]
        struct Kind {
            format: String,
        }
        let source = gradus::read::Source::open(path)?;
        let network =
            serde_json::from_slice::<Kind>(source.bytes()).is_ok_and(|kind| kind.format == file::FORMAT);
        if network {
            NetworkFile::read(path).map(Self::Network)
        } else {
            ModelFile::read(path).map(Self::Linear)
        }
    }

    fn columns(&self) -> usize {
        match self {
            Self::Linear(model) => model.columns,
            Self::Network(model) => model.columns,
        }
    }

    fn predictors(&self, matrix: &CsMatI<f64, u32>) -> Vec<f64> {
        match self {
            Self::Linear(model) => model.predictors(matrix),
            Self::Network(model) => model.predictors(matrix),
        }
    }

    /// Name of the loss and the labels of the classes.
    fn response(&self) -> (&str, Option<Classes>) {
        match self {
            Self::Linear(model) => (&model.loss, model.classes),
            Self::Network(model) => (&model.loss, model.classes),
        }
    }
}
