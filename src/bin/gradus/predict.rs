//! `gradus predict`: apply a fitted model to data.

use std::time::Instant;

use clap::Args;
use gradus::read::Source;
use serde_json::json;
use sprs::CsMatI;

use crate::completion_file;
use crate::dataset::{self, Labels, response};
use crate::model_file::ModelFile;
use crate::options::{check_distinct, start_threads};
use crate::output::{self, Failure, Finish};
use crate::predict_completion;
use crate::relu::file::{self, NetworkFile};

/// Predict with a model that `fit`, `relu` or `complete` wrote with `--model`: one prediction a line.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus fit data/a1a --loss logistic --l2 0.001 --model model.json
  gradus predict model.json data/a1a | head
  gradus predict model.json data/a1a --json
  gradus complete ratings.tsv --rank 10 --ridge 0.1 --model ratings.json
  gradus predict ratings.json pairs.csv
  gradus predict ratings.json --top 10 --exclude ratings.tsv --rows anna,ben")]
pub struct Arguments {
    /// The model.
    pub model: String,
    /// LIBSVM text, or lines row,column for a completed matrix; plain or .gz, .xz, .zst; - for standard input.
    pub data: Option<String>,
    /// Print A x + b instead of labels; one number per class for softmax.
    #[arg(long)]
    pub scores: bool,
    /// For a completed matrix: the N columns with the highest values of each row, as lines row,column,value.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// With --top: these rows alone.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "top")]
    pub rows: Vec<String>,
    /// With --top: leave the positions of this file out, such as what was rated.
    #[arg(long, value_name = "FILE", requires = "top")]
    pub exclude: Option<String>,
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
    let inputs = [Some(&arguments.model), arguments.data.as_ref(), arguments.exclude.as_ref()];
    check_distinct(&inputs.into_iter().flatten().map(|input| &**input).collect::<Vec<_>>(), &[])?;
    let started = Instant::now();
    let model = match model_format(&arguments.model).as_deref() {
        Some(completion_file::FORMAT) => return predict_completion::run(arguments, started),
        Some(file::FORMAT) => Model::Network(NetworkFile::read(&arguments.model)?),
        // a file that names no format known is refused as a linear model
        _ => Model::Linear(ModelFile::read(&arguments.model)?),
    };
    if arguments.top.is_some() {
        return Err(Failure::Usage(
            "--top is for models of `complete`; this one predicts rows of data".into(),
        ));
    }
    let Some(data) = &arguments.data else {
        return Err(Failure::Usage("a file of data is needed: its rows are predicted".into()));
    };
    let data = dataset::read_for_model(data, model.columns(), arguments.quiet)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let solved = Instant::now();
    let z = model.predictors(&data.matrix);
    let meaning = model.meaning();
    let predictions: Vec<f64> = match &meaning {
        Labels::Many(labels) => {
            z.chunks_exact(labels.len()).map(|z| Labels::most_likely(labels, z)).collect()
        }
        Labels::Two(classes) => z.iter().map(|&z| classes.label(z)).collect(),
        Labels::None => z.iter().map(|&z| response(model.loss(), z)).collect(),
    };
    let score = meaning.score(model.loss(), &z, &data.labels);
    if arguments.json {
        let own = json!({
            "seconds": solved.elapsed().as_secs_f64(), "rows": predictions.len(), "accuracy": score.accuracy,
            "rmse": score.rmse, "predictions": if arguments.scores { scores(&z, model.width()) } else { json!(predictions) },
        });
        output::print(&output::plain_object("predict", read_seconds, own).to_string())?;
        return Ok(Finish::Done);
    }
    let lines: Vec<String> = if arguments.scores {
        let join = |row: &[f64]| row.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        z.chunks_exact(model.width()).map(join).collect()
    } else {
        predictions.iter().map(f64::to_string).collect()
    };
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

/// Predictors as JSON: a number a row, or a list of one number per class.
fn scores(z: &[f64], width: usize) -> serde_json::Value {
    if width == 1 { json!(z) } else { json!(z.chunks_exact(width).collect::<Vec<_>>()) }
}

/// The format that a model file names; none where it names none or can't be read.
fn model_format(path: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Kind {
        format: String,
    }
    // standard input can be read only once
    let source = Source::open(Some(path).filter(|path| *path != "-")?).ok()?;
    serde_json::from_slice::<Kind>(source.bytes()).ok().map(|kind| kind.format)
}

/// Any model of labelled rows that the program writes.
enum Model {
    Linear(ModelFile),
    Network(NetworkFile),
}

impl Model {
    fn columns(&self) -> usize {
        match self {
            Self::Linear(model) => model.columns,
            Self::Network(model) => model.columns,
        }
    }

    /// Numbers that a row's prediction has.
    fn width(&self) -> usize {
        match self {
            Self::Linear(model) => model.width(),
            Self::Network(_) => 1,
        }
    }

    fn predictors(&self, matrix: &CsMatI<f64, u32>) -> Vec<f64> {
        match self {
            Self::Linear(model) => model.predictors(matrix),
            Self::Network(model) => model.predictors(matrix),
        }
    }

    fn loss(&self) -> &str {
        match self {
            Self::Linear(model) => &model.loss,
            Self::Network(model) => &model.loss,
        }
    }

    fn meaning(&self) -> Labels {
        match self {
            Self::Linear(model) => model.meaning(),
            Self::Network(model) => model.classes.map_or(Labels::None, Labels::Two),
        }
    }
}
