//! The method that chooses for itself. Batches: the first epoch tells interpolating data from others.
//!
//! On data that the model can fit exactly, every batch's own surrogate may be followed all the way (many inner steps, eta
//! by search). On others that throws away what other batches taught, and the metric of all samples is right. The first
//! epoch runs the former and counts how often a step raises the loss of the batch that comes next.

use serde::{Deserialize, Serialize};

use super::Error;
use super::batch_step::{BatchSurrogate, TargetMetric};
use super::inner::{Inner, InnerSearch};
use super::oracle::Problem;
use super::population::{Population, Variance};
use super::state::Checkpoint;
use super::step_size::{Schedule, StepSize, TargetSearch};
use super::stepper::Scratch;

/// What the first epoch led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// Surrogates of batches, ten inner steps, eta by search.
    Interpolating,
    /// The metric of all samples.
    Population,
}

/// The evidence so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    steps: u64,
    raised: u64,
    /// theta before the last step.
    before: Vec<f64>,
}

/// Share of steps that raise the next batch's loss, below which data count as interpolating.
const SHARE: f64 = 0.3;
/// The verdict falls after so many steps or after an epoch.
const ENOUGH: u64 = 200;

/// The method of interpolating data.
pub(crate) fn interpolating() -> BatchSurrogate {
    BatchSurrogate {
        step: StepSize::Search(TargetSearch { sufficient_decrease: 0.1, ..TargetSearch::default() }),
        inner: Inner::Gradient { steps: 10, search: InnerSearch::default() },
        metric: TargetMetric::Identity,
    }
}

/// The method of all other data.
pub(crate) fn population() -> Population {
    Population {
        relative_step: None,
        schedule: Schedule::Constant,
        variance: Variance::Table,
        refresh: false,
    }
}

/// One step on one batch.
pub(super) fn step(
    problem: &mut Problem,
    state: &mut Checkpoint,
    (total, first_of_epoch): (u64, bool),
    batch: &[u32],
    scratch: &mut Scratch,
) -> Result<(), Error> {
    match state.choice {
        Some(Choice::Interpolating) => interpolating().step(problem, state, total, batch, scratch),
        Some(Choice::Population) => {
            population().step(problem, state, (total, first_of_epoch), batch, scratch)
        }
        None => {
            if !state.trial.before.is_empty() {
                compare(problem, state, batch, scratch);
            }
            state.trial.before.clone_from(&state.theta);
            interpolating().step(problem, state, total, batch, scratch)?;
            judge(problem, state, false);
            Ok(())
        }
    }
}

/// Whether the last step raised the loss of this batch.
fn compare(problem: &mut Problem, state: &mut Checkpoint, batch: &[u32], scratch: &mut Scratch) {
    let before = std::mem::take(&mut state.trial.before);
    problem.forward(&before, batch, &mut scratch.z);
    let old = problem.value(batch, &scratch.z).unwrap_or(f64::NAN);
    problem.forward(&state.theta, batch, &mut scratch.z);
    let new = problem.value(batch, &scratch.z).unwrap_or(f64::NAN);
    state.trial.before = before;
    state.trial.steps += 1;
    state.trial.raised += u64::from(new > old);
}

/// The verdict, once there is enough evidence.
pub(super) fn judge(problem: &Problem, state: &mut Checkpoint, epoch_ends: bool) {
    if state.choice.is_some() || state.trial.steps == 0 || !(epoch_ends || state.trial.steps >= ENOUGH) {
        return;
    }
    let able = problem.model.as_linear().is_some() && problem.smoothness.is_some();
    let choice =
        if state.trial.share() < SHARE || !able { Choice::Interpolating } else { Choice::Population };
    state.choice = Some(choice);
}

impl Trial {
    /// Share of the steps that raised the next batch's loss.
    pub fn share(&self) -> f64 {
        self.raised as f64 / self.steps.max(1) as f64
    }
}
