//! Every sample keeps the surrogate of its last call: with targets z_i, derivatives g_i and curvatures c_i from there,
//!
//! Q(theta) = (1/n) sum of [ g_i (f_i(theta) - z_i) + c_i (f_i(theta) - z_i)^2 / 2 ] + ridge,
//!
//! a least-squares problem A theta = r with A = sum of c_i x_i x_i', r = sum of (c_i z_i - g_i) x_i, which a batch changes by
//! its own rows alone. A step goes to its minimiser. No gradient is thrown away, so the noise of the batches vanishes
//! without further calls; with c_i = L this is incremental majorisation (Mairal 2015), with second derivatives an
//! incremental Newton method (Rodomanov and Kropotov 2016). A first epoch of Adagrad fills the memory.

use serde::{Deserialize, Serialize};

use super::Error;
use super::batch_step::no_smoothness;
use super::oracle::Problem;
use super::state::Checkpoint;
use super::stepper::Scratch;
use crate::linalg::factor::DenseCholesky;
use crate::linalg::product::{axpy, dot_serial};

/// Options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Adagrad's step in the first epoch. Where absent, from the size of targets' gradients, L and the data.
    pub rate: Option<f64>,
    /// Curvatures L in place of second derivatives: safer, slower.
    pub bound: bool,
}

/// Second derivatives below this part of L count as this part; halved with each epoch after the second, as the points of
/// the surrogates draw together, down to the last.
const FLOOR: f64 = 0.1;
const LAST_FLOOR: f64 = 1e-3;
/// Factorisations in an epoch: the matrix changes little from batch to batch, its own residual corrects that.
const FACTORIZATIONS: usize = 8;
/// Added to the diagonal relative to its mean.
const DAMPING: f64 = 1e-6;
/// Columns beyond which p x p matrices are too large.
const MOST_COLUMNS: usize = super::metric::MOST_COLUMNS;

impl Aggregate {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.rate {
            Some(rate) if !(rate > 0.0 && rate.is_finite()) => {
                Err(format!("the rate is {rate}; it must be positive and finite"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a problem can be solved so: a linear map, one target a sample, known L, not too many columns.
    pub(super) fn able(problem: &Problem) -> bool {
        let width = problem.model.as_linear().map_or(usize::MAX, |linear| linear.width());
        problem.model.outputs() == 1 && width <= MOST_COLUMNS && problem.smoothness.is_some()
    }

    /// One step on one batch: call, memory, minimiser.
    pub(super) fn step(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        per_epoch: usize,
        batch: &[u32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        problem.forward(&state.theta, batch, &mut scratch.z);
        problem.call(batch, &scratch.z, &mut scratch.g)?;
        self.remember(problem, state, batch, scratch)?;
        if state.epoch == state.table_epoch {
            self.warm_up(problem, state, batch, scratch);
            return Ok(());
        }
        minimize(problem, state, per_epoch, scratch)
    }

    /// Replaces the surrogates of the batch's samples.
    pub(super) fn remember(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        batch: &[u32],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        if !Self::able(problem) {
            let message =
                "aggregated surrogates need a linear map of one target a sample, a known L, and at most";
            return Err(Error::Option(format!("{message} {MOST_COLUMNS} columns")));
        }
        let (Some(linear), Some(l)) = (problem.model.as_linear(), problem.smoothness) else {
            return Err(no_smoothness());
        };
        let p = linear.width();
        if state.matrix.is_empty() {
            state.matrix = vec![0.0; p * p];
            state.mean = vec![0.0; p];
            state.table = vec![0.0; problem.model.samples()];
            state.metric = vec![0.0; problem.model.samples()];
            state.table_epoch = state.epoch;
        }
        let halvings = (state.epoch - state.table_epoch).saturating_sub(2).min(30);
        let floor = (FLOOR * 0.5f64.powi(halvings as i32)).max(LAST_FLOOR) * l;
        scratch.weights.clear();
        scratch.weights.resize(batch.len(), l);
        if !self.bound && problem.oracle.curvature(batch, &scratch.z, &mut scratch.weights) {
            scratch.weights.iter_mut().for_each(|c| *c = c.max(floor));
        }
        let rows = &mut scratch.inner.rows;
        linear.gather(batch, rows);
        let offset = |i: u32| linear.offsets.map_or(0.0, |offsets| offsets[i as usize]);
        scratch.old.clear();
        for (k, &i) in batch.iter().enumerate() {
            let (curvature, i_at) = (scratch.weights[k], i as usize);
            let pull = curvature * (scratch.z[k] - offset(i)) - scratch.g[k];
            scratch.weights[k] = curvature - state.metric[i_at];
            scratch.old.push(pull - state.table[i_at]);
            state.seen += u64::from(state.metric[i_at] == 0.0);
            (state.metric[i_at], state.table[i_at]) = (curvature, pull);
        }
        rows.add_column_gram(&scratch.weights, &mut state.matrix);
        scratch.gradient.resize(p, 0.0);
        rows.multiply_transpose(&scratch.old, 1, &mut scratch.gradient);
        axpy(1.0, &scratch.gradient, &mut state.mean);
        problem.work.products += 1;
        Ok(())
    }

    /// A step of Adagrad on the batch just called.
    pub(super) fn warm_up(
        &self,
        problem: &mut Problem,
        state: &mut Checkpoint,
        batch: &[u32],
        scratch: &mut Scratch,
    ) {
        let l = problem.smoothness.unwrap_or(1.0);
        if state.rate == 0.0 {
            let size = (dot_serial(&scratch.g, &scratch.g) / scratch.g.len() as f64).sqrt() / (2.0 * l);
            let fallback = if size > 0.0 { size / scratch.inner.rows.entry_size().max(1e-300) } else { 0.1 };
            state.rate = self.rate.unwrap_or(fallback);
        }
        problem.pull_back(&state.theta, batch, &scratch.g, &mut scratch.gradient);
        state.second.resize(scratch.gradient.len(), 0.0);
        for ((theta, sum), v) in state.theta.iter_mut().zip(&mut state.second).zip(&scratch.gradient) {
            *sum += v * v;
            *theta -= state.rate * v / (sum.sqrt() + 1e-10);
        }
    }
}

/// theta <- theta - (A/m + ridge)^-1 (A theta/m - r/m + ridge theta), with an A that may be some batches old in the inverse.
fn minimize(
    problem: &mut Problem,
    state: &mut Checkpoint,
    per_epoch: usize,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let p = state.mean.len();
    let seen = state.seen.max(1) as f64;
    let step = state.step;
    let failed =
        |error: crate::linalg::factor::FactorError| Error::Oracle { step, message: error.to_string() };
    let stride = (per_epoch / FACTORIZATIONS).max(1) as u64;
    if state.position.is_multiple_of(stride) || scratch.aggregate.is_none() {
        let mut gram: Vec<f64> = state.matrix.iter().map(|a| a / seen).collect();
        let mean = (0..p).map(|j| gram[j * p + j]).sum::<f64>() / p as f64;
        for j in 0..p {
            let ridge = problem.ridge.get(j).copied().unwrap_or(0.0);
            gram[j * p + j] += ridge + if mean > 0.0 { DAMPING * mean } else { 1.0 };
        }
        let cholesky = scratch.aggregate.get_or_insert_with(DenseCholesky::new);
        cholesky.factor_shifted(p, &mut gram).map_err(failed)?;
        problem.work.factorizations += 1;
    }
    scratch.gradient.clear();
    for (row, r) in state.matrix.chunks_exact(p).zip(&state.mean) {
        scratch.gradient.push((dot_serial(row, &state.theta) - r) / seen);
    }
    problem.add_ridge(&state.theta, &mut scratch.gradient);
    if let Some(cholesky) = &scratch.aggregate {
        cholesky.solve_in_place(&mut scratch.gradient).map_err(failed)?;
    }
    axpy(-1.0, &scratch.gradient, &mut state.theta);
    problem.work.inner_steps += 1;
    Ok(())
}
