//! `gradus plot`: traces to a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradus::report::{Plot, Scale, Series, Trace};

use crate::options::{check_distinct, check_writable};
use crate::output::{self, Failure, Finish};

/// Plot the traces of one or more runs.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus fit data/a1a --loss logistic --l1-ratio 0.1 --trace sparse.csv
  gradus fit data/a1a --loss logistic --l2 0.001 --trace dense.csv
  gradus plot sparse.csv --out gap.svg
  gradus plot sparse.csv dense.csv --x seconds --y objective --out objective.png")]
pub struct Arguments {
    /// Traces, as written by --trace.
    #[arg(required = true, value_name = "TRACE.csv")]
    pub traces: Vec<String>,
    /// The picture.
    #[arg(long, default_value = "plot.svg", value_name = "FILE.svg|.png")]
    pub out: PathBuf,
    /// Horizontal axis.
    #[arg(long, value_enum, default_value_t = X::Iterations)]
    pub x: X,
    /// Vertical axis.
    #[arg(long, value_enum, default_value_t = Y::Certificate)]
    pub y: Y,
    /// Title above the plot.
    #[arg(long, default_value = "")]
    pub title: String,
    /// Print one JSON object: the picture's name and what it was made from.
    #[arg(long)]
    pub json: bool,
    /// Accepted for uniformity: this command prints nothing.
    #[arg(long, hide = true)]
    pub quiet: bool,
}

/// Horizontal axes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum X {
    Iterations,
    Seconds,
    /// The trace's column `evaluations`
    Evaluations,
}

/// Vertical axes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Y {
    Objective,
    /// Relative certificate, logarithmic
    Certificate,
    /// Objective minus the best objective of all traces, logarithmic
    Gap,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    Plot::check_ending(&arguments.out).map_err(|error| Failure::Usage(format!("--out {error}")))?;
    let inputs: Vec<&str> = arguments.traces.iter().map(|trace| &**trace).collect();
    check_distinct(&inputs, &[("--out", &arguments.out)])?;
    let traces = arguments.traces.iter().map(Trace::read).collect::<Result<Vec<_>, _>>()?;
    check_writable(&arguments.out)?;
    let best = traces.iter().flat_map(|trace| &trace.objective).copied().fold(f64::INFINITY, f64::min);
    let series = traces.into_iter().zip(&arguments.traces).map(|(trace, file)| {
        let x = match arguments.x {
            X::Iterations => trace.iterations,
            X::Seconds => trace.seconds,
            X::Evaluations => trace.evaluations.ok_or_else(|| no_evaluations(file))?,
        };
        let y: Vec<f64> = match arguments.y {
            Y::Objective => trace.objective,
            Y::Certificate => trace.certificate,
            Y::Gap => trace.objective.iter().map(|f| f - best).collect(),
        };
        Ok(Series { name: trace.name, points: x.into_iter().zip(y).collect() })
    });
    let plot = Plot {
        title: arguments.title.clone(),
        x_label: match arguments.x {
            X::Iterations => "iterations",
            X::Seconds => "time (s)",
            X::Evaluations => "evaluations",
        }
        .into(),
        y_label: match arguments.y {
            Y::Objective => "objective",
            Y::Certificate => "relative certificate",
            Y::Gap => "objective above the best",
        }
        .into(),
        y_scale: if arguments.y == Y::Objective { Scale::Linear } else { Scale::Log },
        series: series.collect::<Result<_, Failure>>()?,
        // small, so that the labels stay legible at half a column's width
        width: 480,
        height: 320,
        ..Plot::default()
    };
    plot.write(&arguments.out)?;
    if arguments.json {
        let own = serde_json::json!({ "out": arguments.out, "traces": arguments.traces });
        output::print(&output::plain_object("plot", 0.0, own).to_string())?;
    }
    Ok(Finish::Done)
}

fn no_evaluations(file: &str) -> Failure {
    Failure::Input(anyhow::anyhow!(
        "{file}: no column 'evaluations'; --x iterations and --x seconds always work"
    ))
}
