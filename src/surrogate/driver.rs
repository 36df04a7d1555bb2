//! The loop over epochs and batches.

use std::time::Instant;

use super::automatic;
use super::batches::Batches;
use super::certificate::{Certifier, Point};
use super::oracle::{Problem, Work};
use super::state::Checkpoint;
use super::stepper::{self, At, Scratch};
use super::{Error, Method, Surrogate, Watch};
use crate::control::{Certificate, Run, Status};

/// Names of the trace's own columns. `evaluations` are oracle calls; `method_seconds` leaves out what watching costs;
/// `realised_share` is that of an epoch's last surrogate, NaN for methods without one.
pub(crate) const COLUMNS: [&str; 5] =
    ["evaluations", "value_calls", "inner_steps", "products", "method_seconds"];

/// Their values.
pub(crate) fn columns(work: &Work, seconds: f64, share: Option<f64>) -> [f64; 6] {
    let [calls, values, inner, products] =
        [work.oracle_calls, work.value_calls, work.inner_steps, work.products].map(|count| count as f64);
    [calls, values, inner, products, seconds, share.unwrap_or(f64::NAN)]
}

/// Runs epochs until a limit or the tolerance. One iteration is one epoch.
pub(crate) fn run(
    options: &Surrogate,
    problem: &mut Problem,
    state: &mut Checkpoint,
    run: &mut Run,
    certifier: &Certifier,
) -> Result<(Status, Vec<f64>), Error> {
    let b = options.batch.unwrap_or(usize::MAX);
    let mut batches = Batches::new(problem.model.samples(), b, options.order, options.seed);
    batches.skip(state.epoch);
    let total = options.epochs as u64 * batches.per_epoch() as u64;
    let mut scratch = Scratch::default();
    let mut seconds = 0.0;
    let mut live = state.clone();
    loop {
        let (objective, relative) = look(options, problem, &live, certifier)?;
        if let Some(status) = run.record(objective, relative, &columns(&problem.work, seconds, live.share)) {
            return Ok((status, live.theta));
        }
        if live.epoch >= options.epochs as u64 {
            return Ok((Status::IterationLimit, live.theta));
        }
        batches.advance();
        for k in 0..batches.per_epoch() {
            let started = Instant::now();
            live.position = k as u64;
            let at = At { total, per_epoch: batches.per_epoch(), first_of_epoch: k == 0 };
            stepper::step(&options.method, problem, &mut live, at, batches.batch(k), &mut scratch)?;
            seconds += started.elapsed().as_secs_f64();
            if let Some(status) = run.should_stop() {
                // the answer is the newest point, though a resumed run goes back to the epoch's start
                return Ok((status, live.theta));
            }
        }
        if options.method == Method::Automatic {
            automatic::judge(problem, &mut live);
        }
        live.position = 0;
        live.epoch += 1;
        live.work = problem.work;
        state.clone_from(&live);
    }
}

/// Objective and relative certificate, as far as the run may look.
fn look(
    options: &Surrogate,
    problem: &mut Problem,
    state: &Checkpoint,
    certifier: &Certifier,
) -> Result<(f64, f64), Error> {
    match options.watch {
        Watch::Everything => {
            certify(problem, &state.theta, certifier).map(|(objective, c)| (objective, c.relative))
        }
        Watch::Nothing => Ok((f64::NAN, f64::NAN)),
    }
}

/// Objective and certificate of any point, from all samples.
pub(crate) fn certify(
    problem: &mut Problem,
    theta: &[f64],
    certifier: &Certifier,
) -> Result<(f64, Certificate), Error> {
    let mut gradient = Vec::new();
    let (value, z, g) = problem.check_all(theta, &mut gradient)?;
    let point = Point { theta, z: &z, g: &g, gradient: &gradient };
    Ok((value, certifier.at(problem, value, &point)))
}
