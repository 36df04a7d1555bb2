//! The published step: surrogate of one batch, m inner steps.

use serde::{Deserialize, Serialize};

use super::Error;
use super::certificate::realised_share;
use super::inner::{Inner, Surrogate};
use super::oracle::Problem;
use super::state::Checkpoint;
use super::step_size::StepSize;
use super::stepper::{At, Scratch};

/// The target-space metric W of the surrogate's square.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetMetric {
    /// The identity.
    #[default]
    Identity,
    /// eta over the root of the sum of ||g||^2 so far.
    Scalar,
    /// A sample's weight is the root of the sum of its g^2 so far, within 1e-5 and 1e5.
    Diagonal,
    /// A sample's weight is its second derivative + 1e-5; eta is 1 unless given.
    Newton,
    /// Per sample: first moments (0.9) in place of g, roots of second moments (0.999) as weights.
    Adam,
}

/// Options of the published algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchSurrogate {
    /// eta.
    pub step: StepSize,
    /// The inner solver.
    pub inner: Inner,
    /// W.
    pub metric: TargetMetric,
}

impl Default for BatchSurrogate {
    fn default() -> Self {
        Self {
            step: StepSize::default(),
            inner: Inner::ConjugateGradient { steps: 10 },
            metric: TargetMetric::Identity,
        }
    }
}

impl BatchSurrogate {
    pub(super) fn check(&self) -> Result<(), String> {
        self.step.check()?;
        self.inner.check()
    }

    /// One step on one batch.
    pub(super) fn step(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        at: At,
        batch: &[u32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let failed = |step: u64| move |message: String| Error::Oracle { step, message };
        // 1. targets and their gradient: the one costly call
        problem.forward(&state.theta, batch, &mut scratch.z);
        let value = problem.call(batch, &scratch.z, &mut scratch.g)?;
        if scratch.g.iter().all(|&g| g == 0.0) && problem.ridge.is_empty() {
            problem.work.skipped += 1;
            return Ok(());
        }
        // 2. eta, by schedule or by backtracking in target space
        let mut eta = match self.step {
            StepSize::Fixed { eta, schedule } => {
                let eta = match eta {
                    Some(eta) => eta,
                    None if self.metric == TargetMetric::Newton => 1.0,
                    None => 1.0 / problem.smoothness.ok_or_else(no_smoothness)?,
                };
                eta * schedule.factor(state.step, at.total) * state.shrunk
            }
            StepSize::Search(search) => {
                let last = if state.searched > 0.0 {
                    state.searched
                } else {
                    1.0 / problem.smoothness.unwrap_or(1.0)
                };
                state.searched = search.search(problem, batch, &scratch.z, &scratch.g, value, last)?;
                state.searched
            }
        };
        // 3. the metric of the square
        self.weigh(problem, state, batch, scratch, &mut eta)?;
        // 4. m inner steps on the surrogate
        let bounded = self.guards_bound(problem, batch, eta);
        let start = state.theta.clone();
        loop {
            let surrogate = Surrogate {
                model: problem.model,
                batch,
                theta: &start,
                z: &scratch.z,
                g: &scratch.g,
                eta,
                weights: if self.metric.weighs() { Some(&scratch.weights) } else { None },
                ridge: &problem.ridge,
            };
            let mut work = problem.work;
            self.inner
                .minimize(&surrogate, &mut state.theta, &mut scratch.inner, &mut work)
                .map_err(failed(state.step))?;
            problem.work = work;
            if state.position + 1 == at.per_epoch as u64 && !self.metric.weighs() {
                state.share = share(problem, &state.theta, batch, scratch, eta);
            }
            if !bounded || state.shrunk < 1e-12 || bound_holds(problem, &start, state, batch, scratch, eta) {
                return Ok(());
            }
            // 5. L was larger than 1/eta: go back and halve
            problem.work.halvings += 1;
            state.theta.copy_from_slice(&start);
            state.shrunk *= 0.5;
            eta *= 0.5;
        }
    }

    /// Whether h <= h(theta_t) + q_t has to be checked: on all samples, with a given eta that no known L vouches for.
    fn guards_bound(&self, problem: &Problem, batch: &[u32], eta: f64) -> bool {
        let known = problem.oracle.smoothness().is_some_and(|l| eta * l <= 1.0 + 1e-12);
        batch.len() == problem.model.samples()
            && !known
            && !self.metric.weighs()
            && matches!(self.step, StepSize::Fixed { .. })
    }

    /// Fills the weights of the batch and updates the moments they come from.
    fn weigh(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        batch: &[u32],
        scratch: &mut Scratch,
        eta: &mut f64,
    ) -> Result<(), Error> {
        let k = problem.model.outputs();
        let all = problem.model.samples() * k;
        match self.metric {
            TargetMetric::Identity => {}
            TargetMetric::Scalar => {
                state.squares += scratch.g.iter().map(|g| g * g).sum::<f64>();
                *eta /= state.squares.sqrt();
            }
            TargetMetric::Newton => {
                scratch.weights.resize(scratch.g.len(), 0.0);
                if !problem.oracle.curvature(batch, &scratch.z, &mut scratch.weights) {
                    return Err(Error::Option(
                        "the Newton metric needs second derivatives, which this oracle does not know".into(),
                    ));
                }
                scratch.weights.iter_mut().for_each(|w| *w += 1e-5);
            }
            TargetMetric::Diagonal | TargetMetric::Adam => {
                state.first.resize(all, 0.0);
                state.second.resize(all, 0.0);
                scratch.weights.clear();
                let visits = state.epoch as i32 + 1;
                for (row, &i) in batch.iter().enumerate() {
                    for c in 0..k {
                        let (g, at) = (&mut scratch.g[row * k + c], i as usize * k + c);
                        let weight = if self.metric == TargetMetric::Diagonal {
                            state.second[at] += *g * *g;
                            (state.second[at].sqrt() / *eta).clamp(1e-5, 1e5)
                        } else {
                            state.first[at] = 0.9 * state.first[at] + 0.1 * *g;
                            state.second[at] = 0.999 * state.second[at] + 0.001 * *g * *g;
                            *g = state.first[at] / (1.0 - 0.9f64.powi(visits));
                            let second = state.second[at] / (1.0 - 0.999f64.powi(visits));
                            ((second.sqrt() + 1e-8) / *eta).clamp(1e-5, 1e5)
                        };
                        scratch.weights.push(weight);
                    }
                }
                // eta is inside the weights
                *eta = 1.0;
            }
        }
        Ok(())
    }
}

impl TargetMetric {
    fn weighs(self) -> bool {
        matches!(self, TargetMetric::Diagonal | TargetMetric::Newton | TargetMetric::Adam)
    }
}

pub(super) fn no_smoothness() -> Error {
    Error::Option("the oracle knows no bound L of its second derivatives: give eta, or search for it".into())
}

/// h(theta) <= h(theta_t) + q_t(theta), up to rounding, on all samples; true for an oracle without values.
fn bound_holds(
    problem: &mut Problem,
    start: &[f64],
    state: &Checkpoint,
    batch: &[u32],
    scratch: &mut Scratch,
    eta: f64,
) -> bool {
    let mut moved = Vec::new();
    let Some(before) = problem.value(batch, &scratch.z) else { return true };
    problem.forward(&state.theta, batch, &mut moved);
    let Some(after) = problem.value(batch, &moved) else { return true };
    let (mut linear, mut square) = (0.0, 0.0);
    for ((new, old), g) in moved.iter().zip(&scratch.z).zip(&scratch.g) {
        linear += g * (new - old);
        square += (new - old) * (new - old);
    }
    let q = (linear + square / (2.0 * eta)) / batch.len() as f64;
    let moved_at_all = start.iter().zip(&state.theta).any(|(a, b)| a != b);
    after <= before + q + 1e-12 * before.abs() || !moved_at_all
}

/// The realised share of a surrogate whose minimisation led to theta; uncounted.
fn share(problem: &Problem, theta: &[f64], batch: &[u32], scratch: &mut Scratch, eta: f64) -> Option<f64> {
    scratch.weights.resize(scratch.z.len(), 0.0);
    problem.model.forward(theta, batch, &mut scratch.weights);
    scratch.weights.iter_mut().zip(&scratch.z).for_each(|(moved, z)| *moved -= z);
    realised_share(eta, &scratch.g, &scratch.weights)
}
