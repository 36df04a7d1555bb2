//! `gradus predict`: apply a fitted model to data.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::dataset::{self, Labels, response};
use crate::model_file::ModelFile;
use crate::options::{check_distinct, start_threads};
use crate::output::{self, Failure, Finish};

/// Predict with a model that `gradus fit --model` wrote: one prediction a line, as label or target.
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
    /// Print A x + b instead of labels; one number per class for softmax.
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
    let model = ModelFile::read(&arguments.model)?;
    let data = dataset::read_for_model(&arguments.data, model.columns, arguments.quiet)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let solved = Instant::now();
    let z = model.predictors(&data.matrix);
    let meaning = model.meaning();
    let predictions: Vec<f64> = match &meaning {
        Labels::Many(labels) => {
            z.chunks_exact(labels.len()).map(|z| Labels::most_likely(labels, z)).collect()
        }
        Labels::Two(classes) => z.iter().map(|&z| classes.label(z)).collect(),
        Labels::None => z.iter().map(|&z| response(&model.loss, z)).collect(),
    };
    let score = meaning.score(&model.loss, &z, &data.labels);
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
