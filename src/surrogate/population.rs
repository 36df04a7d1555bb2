//! The surrogate of a batch with its quadratic replaced by the expectation over all samples:
//!
//! theta <- theta - e M^{-1} v,   M = L X'X / n + diag(r),
//!
//! v the batch's gradient or a variance-reduced one: one factorisation for the run, two triangular solves a step, and a
//! rate that does not depend on the condition of X. Variance reduction happens in target space, where one number per
//! sample is all there is to remember.

use serde::{Deserialize, Serialize};

use super::Error;
use super::batch_step::no_smoothness;
use super::metric::Metric;
use super::oracle::Problem;
use super::state::Checkpoint;
use super::step_size::Schedule;
use super::stepper::{At, Scratch};
use crate::linalg::product::axpy;

/// How the noise of the batches is reduced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variance {
    /// Not at all.
    #[default]
    Plain,
    /// Target gradients of all samples at the start of each epoch (SVRG): as many further calls as there are batches.
    Snapshot,
    /// The last target gradient seen of each sample (SAGA): no further call. The first epoch fills the table.
    Table,
}

/// Options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// e = eta L: the step in units of 1/L. Where absent, what the samples' leverage allows: 1 / (1 + width / batch).
    pub relative_step: Option<f64>,
    /// How it shrinks.
    pub schedule: Schedule,
    /// Variance reduction.
    pub variance: Variance,
    /// Rebuild the metric from the second derivatives at the start of each epoch; needs variance reduction.
    pub refresh: bool,
}

/// Second derivatives below this part of L count as this part.
const FLOOR: f64 = 0.02;

impl Population {
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(e) = self.relative_step.filter(|e| !(*e > 0.0 && e.is_finite())) {
            return Err(format!("the relative step is {e}; it must be positive and finite"));
        }
        if self.refresh && self.variance == Variance::Plain {
            return Err("a refreshed metric needs variance reduction: a snapshot or a table".into());
        }
        Ok(())
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
        if at.first_of_epoch || scratch.metric.is_none() {
            self.begin_epoch(problem, state, batch.len(), scratch)?;
        }
        // 1. one call
        problem.forward(&state.theta, batch, &mut scratch.z);
        problem.call(batch, &scratch.z, &mut scratch.g)?;
        // 2. the batch's gradient, less what is remembered of its samples, plus the mean of all that is remembered
        let reduced = !state.mean.is_empty()
            && (self.variance == Variance::Snapshot || state.epoch > state.table_epoch);
        let k = problem.model.outputs();
        scratch.weights.clear();
        scratch.weights.extend_from_slice(&scratch.g);
        if self.variance != Variance::Plain {
            for (row, &i) in batch.iter().enumerate() {
                for c in 0..k {
                    let at = i as usize * k + c;
                    scratch.weights[row * k + c] -= state.table[at];
                    if self.variance == Variance::Table {
                        state.table[at] = scratch.g[row * k + c];
                    }
                }
            }
        }
        problem.pull_back(&state.theta, batch, &scratch.weights, &mut scratch.gradient);
        if reduced {
            axpy(1.0, &state.mean, &mut scratch.gradient);
        }
        if self.variance == Variance::Table {
            // the mean follows the table: (b/n) of the batch's difference, without the ridge
            let share = batch.len() as f64 / problem.model.samples() as f64;
            for (j, mean) in state.mean.iter_mut().enumerate() {
                let ridge = problem.ridge.get(j).map_or(0.0, |r| r * state.theta[j]);
                let before = if reduced { *mean } else { 0.0 };
                *mean += share * (scratch.gradient[j] - ridge - before);
            }
        }
        // 3. two triangular solves
        let Some(metric) = &scratch.metric else { return Ok(()) };
        let step = state.step;
        metric.solve(&mut scratch.gradient).map_err(|message| Error::Oracle { step, message })?;
        let width = problem.model.parameters() / k;
        let e = self.relative_step.unwrap_or(1.0 / (1.0 + width as f64 / batch.len() as f64));
        let e = e * self.schedule.factor(state.step, at.total) * state.shrunk;
        axpy(-e, &scratch.gradient, &mut state.theta);
        problem.work.inner_steps += 1;
        Ok(())
    }

    /// Snapshot, table and metric.
    fn begin_epoch(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        b: usize,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let Some(linear) = problem.model.as_linear() else {
            return Err(Error::Option("the metric of all samples needs a linear map".into()));
        };
        let (d, targets) = (problem.model.parameters(), problem.model.samples() * problem.model.outputs());
        if self.variance == Variance::Snapshot {
            take_snapshot(problem, state, b, scratch)?;
        } else if self.variance == Variance::Table && state.mean.is_empty() {
            state.table = vec![0.0; targets];
            state.mean = vec![0.0; d];
            state.table_epoch = state.epoch;
        }
        let n = problem.model.samples() as f64;
        let l = problem.smoothness.ok_or_else(no_smoothness)?;
        let refresh =
            self.refresh && (self.variance == Variance::Snapshot || state.epoch > state.table_epoch);
        if refresh {
            let all = std::mem::take(&mut problem.all);
            let mut z = Vec::new();
            problem.forward(&state.theta, &all, &mut z);
            state.metric = vec![0.0; targets];
            let known = problem.model.outputs() == 1 && problem.oracle.curvature(&all, &z, &mut state.metric);
            problem.all = all;
            if !known {
                return Err(Error::Option("a refreshed metric needs second derivatives of one target a sample, which this oracle does not know".into()));
            }
            state.metric.iter_mut().for_each(|w| *w = w.max(FLOOR * l) / n);
        }
        if refresh || scratch.metric.is_none() {
            let plain;
            let weights: &[f64] = if state.metric.is_empty() {
                plain = vec![l / n; problem.model.samples()];
                &plain
            } else {
                &state.metric
            };
            let step = state.step;
            scratch.metric = Some(
                Metric::new(linear, weights, &problem.ridge, &mut scratch.columns)
                    .map_err(|message| Error::Oracle { step, message })?,
            );
            problem.work.factorizations += 1;
        }
        Ok(())
    }
}

/// Target gradients of all samples at theta, in as many calls as there are batches, and the mean of J'g.
pub(super) fn take_snapshot(
    problem: &mut Problem,
    state: &mut Checkpoint,
    b: usize,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let all = std::mem::take(&mut problem.all);
    problem.forward(&state.theta, &all, &mut scratch.z);
    let called = problem.uncounted(&all, &scratch.z, &mut state.table);
    problem.work.oracle_calls += (all.len() / b.max(1)).max(1) as u64;
    if called.is_ok() {
        let ridge = std::mem::take(&mut problem.ridge);
        problem.pull_back(&state.theta, &all, &state.table, &mut state.mean);
        problem.ridge = ridge;
        state.snapshot.clone_from(&state.theta);
    }
    problem.all = all;
    called.map(|_| ())
}
