//! One step of any method on one batch: what the batch loop calls, and what online use calls itself.

use super::automatic;
use super::inner;
use super::metric::Metric;
use super::oracle::{Oracle, Problem, Work};
use super::state::Checkpoint;
use super::{Error, Method, TargetModel};

/// Memory of the steps, kept between batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    pub z: Vec<f64>,
    pub g: Vec<f64>,
    pub weights: Vec<f64>,
    pub gradient: Vec<f64>,
    pub old: Vec<f64>,
    pub inner: inner::Scratch,
    pub metric: Option<Metric>,
    pub columns: Option<crate::linalg::ColumnBlock>,
    pub aggregate: Option<crate::linalg::factor::DenseCholesky>,
}

/// Where in a run a step is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// T of the step-size schedules.
    pub total: u64,
    /// Batches of an epoch.
    pub per_epoch: usize,
    /// Whether the step is the first of its epoch.
    pub first_of_epoch: bool,
}

/// One step on a batch.
pub(super) fn step(
    method: &Method,
    problem: &mut Problem,
    state: &mut Checkpoint,
    at: At,
    batch: &[u32],
    scratch: &mut Scratch,
) -> Result<(), Error> {
    state.step += 1;
    problem.step = state.step;
    match method {
        Method::Surrogate(options) => options.step(problem, state, at, batch, scratch),
        Method::Population(options) => options.step(problem, state, at, batch, scratch),
        Method::Aggregate(options) => options.step(problem, state, at.per_epoch, batch, scratch),
        Method::Baseline(options) => options.step(problem, state, at, batch, scratch),
        Method::Automatic | Method::FullBatch(_) => automatic::step(problem, state, at, batch, scratch),
    }
}

/// A method step by step, for samples that arrive over time (online and imitation learning): the caller owns the data,
/// the map may have other samples at every step.
#[derive(Debug, Clone)]
pub struct Stepper {
    method: Method,
    state: Checkpoint,
    scratch: Scratch,
    total: u64,
}

impl Stepper {
    /// From the parameters `start`; `total` is the number of steps that shrinking step sizes reckon with.
    ///
    /// # Errors
    /// An option out of range; a method that needs a fixed set of samples.
    pub fn new(method: Method, start: Vec<f64>, total: u64) -> Result<Self, Error> {
        method.check().map_err(Error::Option)?;
        if !matches!(method, Method::Surrogate(_) | Method::Baseline(_))
            || matches!(method, Method::Baseline(super::Baseline::Svrg { .. }))
        {
            return Err(Error::Option("step by step only the surrogate of a batch and SGD-like methods run; the others need a fixed set of samples".into()));
        }
        let state = Checkpoint { theta: start, shrunk: 1.0, ..Checkpoint::default() };
        Ok(Self { method, state, scratch: Scratch::default(), total })
    }

    /// One step: one call of the oracle on the batch.
    ///
    /// # Errors
    /// A map whose number of parameters is another; what the oracle reports.
    pub fn step(
        &mut self,
        model: &dyn TargetModel,
        oracle: &mut dyn Oracle,
        batch: &[u32],
    ) -> Result<(), Error> {
        if model.parameters() != self.state.theta.len() {
            return Err(Error::Start { given: self.state.theta.len(), parameters: model.parameters() });
        }
        if batch.is_empty() {
            return Err(Error::Option("the batch is empty".into()));
        }
        let mut problem = Problem::new(model, oracle, Vec::new());
        problem.work = self.state.work;
        let ended = step(
            &self.method,
            &mut problem,
            &mut self.state,
            At { total: self.total, per_epoch: 0, first_of_epoch: false },
            batch,
            &mut self.scratch,
        );
        self.state.work = problem.work;
        ended
    }

    /// theta.
    pub fn parameters(&self) -> &[f64] {
        &self.state.theta
    }

    /// What it cost so far.
    pub fn work(&self) -> Work {
        self.state.work
    }
}
