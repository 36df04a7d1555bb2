//! `gradus predict`: apply a fitted model to data.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::dataset::{self, response, score};
use crate::model_file::ModelFile;
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
    /// Print A x + b instead of labels.
    #[arg(long)]
    pub scores: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// No notes on standard error.
    #[arg(long)]
    pub quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let started = Instant::now();
    let model = ModelFile::read(&arguments.model)?;
    let data = dataset::read(&arguments.data, Some(model.columns))?;
    let read_seconds = started.elapsed().as_secs_f64();
    let solved = Instant::now();
    let z: Vec<f64> =
        data.matrix.outer_iterator().map(|row| model.predictor(row.indices(), row.data())).collect();
    let predictions: Vec<f64> = z
        .iter()
        .map(|&z| match model.classes {
            _ if arguments.scores => z,
            Some(classes) => classes.label(z),
            None => response(&model.loss, z),
        })
        .collect();
    let score = score(&model.loss, model.classes, &z, &data.labels);
    if arguments.json {
        let object = json!({
            "command": "predict", "method": null, "status": "solved", "iterations": 0,
            "seconds": solved.elapsed().as_secs_f64(), "read_seconds": read_seconds, "objective": null,
            "certificate": null, "counts": {}, "seed": null, "threads": rayon::current_num_threads(),
            "version": env!("CARGO_PKG_VERSION"), "rows": predictions.len(), "accuracy": score.accuracy,
            "rmse": score.rmse, "predictions": predictions,
        });
        output::print(&object.to_string())?;
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
