//! All samples at once, for linear maps: the surrogate's own minimiser, accelerated.
//!
//! The surrogate at theta has the minimiser theta - M^{-1} grad h, M = L X'X / n + diag(r): one cached Cholesky makes a
//! step two triangular solves (the fixed-bound Newton step of Bohning and Lindsay 1988). L-BFGS with M^{-1} as its initial
//! matrix accelerates it; where second derivatives are known at no cost, M is rebuilt from them at a few calls.

use serde::{Deserialize, Serialize};

use super::Error;
use super::batch_step::no_smoothness;
use super::certificate::{Certifier, Point, realised_share};
use super::metric::Metric;
use super::oracle::Problem;
use super::quasi_newton::Memory;
use super::state::Checkpoint;
use crate::control::{Run, Status};
use crate::linalg::ColumnBlock;
use crate::linalg::line_search::{Accepted, Armijo, LineSearchError, StrongWolfe};
use crate::linalg::product::{axpy, dot};

/// Options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullBatch {
    /// Pairs of L-BFGS; 0 for the surrogate's own steps, which need a known L and no line search.
    pub memory: usize,
    /// Whether to rebuild the metric from second derivatives.
    pub refresh: bool,
}

impl Default for FullBatch {
    fn default() -> Self {
        Self { memory: 10, refresh: true }
    }
}

/// Calls at which the metric is rebuilt: the later, the less it changes.
const REBUILDS: [u64; 6] = [3, 6, 10, 16, 26, 42];
/// Second derivatives below this part of L count as this part.
const FLOOR: f64 = 1e-3;

/// What the loop holds beside the checkpoint.
struct State<'s> {
    saved: &'s mut Checkpoint,
    g: Vec<f64>,
    gradient: Vec<f64>,
    /// J d of the direction d.
    image: Vec<f64>,
    metric: Option<Metric>,
    columns: Option<ColumnBlock>,
    value: f64,
    /// The gradient at the point before, and the step from there.
    before: Option<(Vec<f64>, Vec<f64>)>,
}

impl FullBatch {
    /// Runs until a limit or the tolerance. One iteration is one call.
    pub(super) fn run(
        &self,
        problem: &mut Problem,
        saved: &mut Checkpoint,
        run: &mut Run,
        certifier: &Certifier,
        calls: usize,
    ) -> Result<Status, Error> {
        let all = std::mem::take(&mut problem.all);
        let before = (!saved.first.is_empty())
            .then(|| (std::mem::take(&mut saved.first), std::mem::take(&mut saved.second)));
        let mut state = State {
            saved,
            g: Vec::new(),
            gradient: Vec::new(),
            image: Vec::new(),
            metric: None,
            columns: None,
            value: f64::NAN,
            before,
        };
        let ended = self.iterate(problem, &mut state, &all, run, certifier, calls);
        if let Some((before, step)) = state.before.take() {
            (state.saved.first, state.saved.second) = (before, step);
        }
        problem.all = all;
        ended
    }

    fn iterate(
        &self,
        problem: &mut Problem,
        state: &mut State,
        all: &[u32],
        run: &mut Run,
        certifier: &Certifier,
        calls: usize,
    ) -> Result<Status, Error> {
        if state.saved.z.is_empty() {
            let mut z = Vec::new();
            problem.forward(&state.saved.theta, all, &mut z);
            state.saved.z = z;
        }
        state.value = match state.saved.value {
            Some(value) => value,
            None => problem.value(all, &state.saved.z).unwrap_or(f64::NAN),
        };
        loop {
            // 1. one call: the gradient at the targets, and at the parameters
            problem.step = state.saved.step;
            let value = problem.call(all, &state.saved.z, &mut state.g)?;
            state.value = value.unwrap_or(state.value);
            problem.pull_back(&state.saved.theta, all, &state.g, &mut state.gradient);
            let objective = state.value + problem.ridge_value(&state.saved.theta);
            let point = Point {
                theta: &state.saved.theta,
                z: &state.saved.z,
                g: &state.g,
                gradient: &state.gradient,
            };
            let certificate = certifier.at(problem, objective, &point);
            // the record is of the point that the calls before this one led to
            problem.work.oracle_calls -= 1;
            if let Some(status) = run.record(
                objective,
                certificate.relative,
                &super::driver::columns(&problem.work, run.seconds(), state.saved.share),
            ) {
                problem.work.checks += 1;
                return Ok(status);
            }
            if state.saved.step >= calls as u64 {
                problem.work.checks += 1;
                return Ok(Status::IterationLimit);
            }
            problem.work.oracle_calls += 1;
            state.saved.step += 1;
            // 2. the memory of L-BFGS, and its initial matrix
            self.remember(state);
            self.rebuild(problem, state, all)?;
            // 3. a direction, and a step along it
            let direction = self.direction(state)?;
            match self.advance(problem, state, all, direction)? {
                Some(()) => {}
                None => {
                    problem.work.checks += 1;
                    problem.work.oracle_calls -= 1;
                    state.saved.step -= 1;
                    return Ok(Status::Stalled);
                }
            }
        }
    }

    fn remember(&self, state: &mut State) {
        let Some((before, step)) = state.before.take() else { return };
        if self.memory > 0 {
            let change = state.gradient.iter().zip(&before).map(|(new, old)| new - old).collect();
            state.saved.memory.push(step, change);
        }
    }

    /// Makes the metric at the first call and rebuilds it at the chosen ones.
    fn rebuild(&self, problem: &mut Problem, state: &mut State, all: &[u32]) -> Result<(), Error> {
        let n = all.len() as f64;
        let unknown = problem.smoothness.is_none();
        let due = self.refresh && problem.model.outputs() == 1 && REBUILDS.contains(&state.saved.step);
        if state.saved.step == 1 {
            state.saved.memory = Memory::new(self.memory);
        }
        if due || (unknown && state.saved.metric.is_empty()) {
            let mut weights = vec![0.0; state.saved.z.len()];
            if !problem.oracle.curvature(all, &state.saved.z, &mut weights) {
                return Err(no_smoothness());
            }
            let reference = problem.smoothness.unwrap_or_else(|| weights.iter().sum::<f64>() / n);
            weights.iter_mut().for_each(|w| *w = w.max(FLOOR * reference) / n);
            state.saved.metric = weights;
            state.saved.memory.clear();
            state.metric = None;
        }
        if state.metric.is_none() {
            let linear = problem
                .model
                .as_linear()
                .ok_or_else(|| Error::Option("the full-batch metric needs a linear map".into()))?;
            let plain;
            let weights: &[f64] = if state.saved.metric.is_empty() {
                plain = vec![problem.smoothness.ok_or_else(no_smoothness)? / n; all.len()];
                &plain
            } else {
                &state.saved.metric
            };
            let step = state.saved.step;
            state.metric = Some(
                Metric::new(linear, weights, &problem.ridge, &mut state.columns)
                    .map_err(|message| Error::Oracle { step, message })?,
            );
            problem.work.factorizations += 1;
        }
        Ok(())
    }

    fn direction(&self, state: &State) -> Result<Vec<f64>, Error> {
        let mut failed = Ok(());
        let direction = state.saved.memory.direction(&state.gradient, |v| {
            if let Some(metric) = &state.metric {
                failed = metric.solve(v);
            }
        });
        let step = state.saved.step;
        failed.map(|()| direction).map_err(|message| Error::Oracle { step, message })
    }

    /// Moves along the direction; none where no step makes progress in floating point.
    fn advance(
        &self,
        problem: &mut Problem,
        state: &mut State,
        all: &[u32],
        direction: Vec<f64>,
    ) -> Result<Option<()>, Error> {
        state.image.resize(state.g.len(), 0.0);
        problem.work.products += 1;
        problem.model.push_forward(&state.saved.theta, all, &direction, &mut state.image);
        let step = if self.memory == 0 {
            Some((1.0, f64::NAN))
        } else {
            self.search(problem, state, all, &direction)
        };
        let Some((a, value)) = step else {
            if state.saved.memory.is_empty() {
                return Ok(None);
            }
            // what is remembered may have misled: once more with the metric alone
            state.saved.memory.clear();
            let direction = self.direction(state)?;
            return self.advance(problem, state, all, direction);
        };
        if let Some(l) = problem.smoothness {
            let moved: Vec<f64> = state.image.iter().map(|x| a * x).collect();
            state.saved.share = realised_share(1.0 / l, &state.g, &moved);
        }
        axpy(a, &direction, &mut state.saved.theta);
        axpy(a, &state.image, &mut state.saved.z);
        state.value = value;
        if self.memory == 0 {
            state.value = problem.value(all, &state.saved.z).unwrap_or(f64::NAN);
        }
        state.saved.value = (!state.value.is_nan()).then_some(state.value);
        problem.work.inner_steps += 1;
        let step = direction.iter().map(|v| a * v).collect();
        state.before = Some((state.gradient.clone(), step));
        Ok(Some(()))
    }

    /// A Wolfe step on the stored targets z + a J d where slopes are free, Armijo's on values otherwise.
    fn search(
        &self,
        problem: &mut Problem,
        state: &State,
        all: &[u32],
        direction: &[f64],
    ) -> Option<(f64, f64)> {
        let slope = dot(&state.gradient, direction);
        let objective = state.value + problem.ridge_value(&state.saved.theta);
        let free = problem.oracle.free_gradient(all, &state.saved.z, &mut vec![0.0; state.g.len()]);
        // ridge part along the line: r0 + a r1 + a^2 r2
        let (mut r1, mut r2) = (0.0, 0.0);
        for ((r, theta), d) in problem.ridge.iter().zip(&state.saved.theta).zip(direction) {
            r1 += r * theta * d;
            r2 += 0.5 * r * d * d;
        }
        let r0 = problem.ridge_value(&state.saved.theta);
        let ridge = |a: f64| (r0 + a * (r1 + a * r2), r1 + 2.0 * a * r2);
        let n = all.len() as f64;
        let (mut moved, mut g) = (vec![0.0; state.g.len()], vec![0.0; state.g.len()]);
        let mut trial = |a: f64, slopes: bool| {
            moved
                .iter_mut()
                .zip(&state.saved.z)
                .zip(&state.image)
                .for_each(|((moved, z), x)| *moved = z + a * x);
            let value = problem.value(all, &moved).unwrap_or(f64::NAN) + ridge(a).0;
            if slopes {
                problem.oracle.free_gradient(all, &moved, &mut g);
            }
            (value, if slopes { dot(&g, &state.image) / n + ridge(a).1 } else { 0.0 })
        };
        let found = if free {
            StrongWolfe { rounding: 8.0, ..StrongWolfe::default() }
                .search(objective, slope, |a| trial(a, true))
        } else {
            Armijo { rounding: 8.0, ..Armijo::default() }.search(objective, slope, |a| trial(a, false).0)
        };
        let accepted: Accepted = match found {
            Ok(accepted) => accepted,
            Err(
                LineSearchError::TooShort { best: Some(best), .. }
                | LineSearchError::Evaluations { best: Some(best), .. }
                | LineSearchError::Unbounded { best },
            ) => best,
            Err(_) => {
                problem.work.failed_searches += 1;
                return None;
            }
        };
        Some((accepted.step, accepted.value - ridge(accepted.step).0))
    }
}
