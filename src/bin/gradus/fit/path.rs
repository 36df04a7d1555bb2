//! One fit, a path of them, or a path and the l1 that cross-validation chooses.

use std::time::Instant;

use gradus::control::Status;
use gradus::coordinate::path::{self, CrossValidation, Family};
use gradus::problem::ModelError;

use super::Arguments;
use super::problem::{Fitted, Problem};
use crate::output::Failure;
use crate::watch;

/// Values of a path where cross-validation is asked for and no number of them given.
const DEFAULT_VALUES: usize = 100;

/// One value of a path.
#[derive(serde::Serialize)]
pub struct PathPoint {
    pub l1: f64,
    pub objective: f64,
    pub certificate: f64,
    pub nonzeros: usize,
    /// Mean held-out loss and its standard error, with cross-validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_error: Option<f64>,
}

/// A fit and the path that led to it.
pub struct Solved {
    pub fit: Fitted,
    pub l1: f64,
    pub l1_max: Option<f64>,
    pub path: Vec<PathPoint>,
    /// The largest l1 within one standard error of the least held-out loss.
    pub l1_one_error: Option<f64>,
}

/// Solves for one l1, or for a path of them.
pub fn solve(arguments: &Arguments, problem: &mut Problem) -> Result<Solved, Failure> {
    let in_data = |error| in_data(&arguments.data, error);
    let l1_max = problem.l1_max().map_err(|error| in_data(error.into()))?;
    let largest = l1_max.unwrap_or(0.0);
    let values = arguments.path.or(arguments.cv.map(|_| DEFAULT_VALUES));
    let last = match (arguments.l1, arguments.l1_ratio) {
        (Some(l1), _) => l1,
        (None, Some(ratio)) => ratio * largest,
        (None, None) if values.is_some() => 0.01 * largest,
        (None, None) => 0.0,
    };
    if values.is_some() && largest > 0.0 && last >= largest {
        let message = format!("a path runs down from l1_max = {largest}; it cannot end at l1 = {last}");
        return Err(Failure::Usage(message));
    }
    let mut monitor = watch::monitor(&arguments.common, values.unwrap_or(1));
    let Some(n) = values else {
        let fit = problem.fit(last, None, &mut monitor).map_err(in_data)?;
        return Ok(Solved { fit, l1: last, l1_max, path: Vec::new(), l1_one_error: None });
    };
    problem.start_clock();
    let started = Instant::now();
    let values = path::values(largest, last, n);
    let chosen = match arguments.cv {
        None => None,
        Some(folds) => {
            let seed = arguments.common.seed;
            Some(path::cross_validate(problem, &values, folds, seed, &monitor).map_err(in_data)?)
        }
    };
    let mut points = Vec::new();
    let mut whole: Option<Fitted> = None;
    let mut answer: Option<(f64, Fitted)> = None;
    for (k, &l1) in values.iter().enumerate() {
        let fit = problem.fit(l1, whole.as_ref(), &mut monitor).map_err(in_data)?;
        let (objective, certificate) = (fit.summary.objective, fit.summary.certificate.relative);
        let of = |values: &dyn Fn(&CrossValidation) -> Vec<f64>| {
            chosen.as_ref().and_then(|chosen| values(chosen).get(k).copied())
        };
        points.push(PathPoint {
            l1,
            objective,
            certificate,
            nonzeros: fit.nonzeros(),
            held_out_loss: of(&|c| c.mean.clone()),
            held_out_error: of(&|c| c.error.clone()),
        });
        let over = path::is_over(fit.summary.status) || (monitor.interrupted() && k + 1 < n);
        let own = fit.clone();
        let mut fit = join(whole.take(), fit, l1);
        if monitor.interrupted() && k + 1 < n {
            fit.summary.status = Status::Interrupted;
        }
        fit.summary.seconds = started.elapsed().as_secs_f64();
        if chosen.as_ref().is_none_or(|chosen| k <= chosen.best) {
            answer = Some((l1, own));
        }
        whole = Some(fit);
        if over {
            break;
        }
    }
    let (Some(whole), Some((l1, mut fit))) = (whole, answer) else {
        return Err(Failure::Usage("--path needs at least 1 value".into()));
    };
    // the answer is one of the path's, the run is all of it
    let (objective, certificate) = (fit.summary.objective, fit.summary.certificate);
    fit.summary = whole.summary;
    (fit.summary.objective, fit.summary.certificate) = (objective, certificate);
    let l1_one_error = chosen.and_then(|chosen| values.get(chosen.sparsest).copied());
    Ok(Solved { fit, l1, l1_max, path: points, l1_one_error })
}

/// What is wrong with the data is said with the file's name.
fn in_data(file: &str, error: gradus::coordinate::Error) -> Failure {
    match error {
        gradus::coordinate::Error::Option(message) => Failure::Usage(message),
        // rows are counted from 1 in files
        gradus::coordinate::Error::Model(ModelError::Target { row, value, expected }) => {
            let place = format!("{file}: the target of data row {} is {value}", row + 1);
            Failure::Input(anyhow::anyhow!("{place}; {expected}"))
        }
        other => Failure::Input(anyhow::Error::new(other).context(file.to_string())),
    }
}

/// Appends a fit to those before it on a path: the answer is the last one's, the work and the trace are those of all,
/// and a value that was not solved makes the whole path unsolved.
fn join(before: Option<Fitted>, mut fit: Fitted, l1: f64) -> Fitted {
    let summary = &mut fit.summary;
    summary.history.columns.push("l1");
    summary.history.records.iter_mut().for_each(|record| record.extra.push(l1));
    let Some(before) = before else { return fit };
    let before = before.summary;
    for record in &mut summary.history.records {
        record.iteration += before.history.records.len();
        record.seconds += before.seconds;
    }
    let mut records = before.history.records;
    records.append(&mut summary.history.records);
    summary.history.records = records;
    summary.iterations += before.iterations;
    for (name, count) in before.counts {
        *summary.counts.entry(name).or_default() += count;
    }
    if summary.status == Status::Solved {
        summary.status = before.status;
    }
    fit
}
