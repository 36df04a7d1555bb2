//! How good an answer is, from the answer alone.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use sprs::CsMatViewI;

use super::state::{Setup, State};
use super::{Completion, Error, Loss, LowRankModel, Observations, RidgeKind};
use crate::control::Certificate;
use crate::linalg::factor::dense_singular_values;
use crate::linalg::product::dot;
use crate::linalg::tall::Element;
use crate::linalg::truncated_svd::spectral_norm;

/// Cells up to which the norm of the residual is taken from the dense matrix.
const DENSE_CELLS: usize = 250_000;

/// Distance from the global optimum of min over Z of |P(V - Z)|^2 / 2 + ridge |Z|_*, whose minimisers are those of the
/// factored problem with a uniform ridge where its rank suffices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GlobalGap {
    /// Primal objective less dual objective.
    pub value: f64,
    /// The same over the primal objective.
    pub relative: f64,
    /// max(0, |E|_2 / ridge - 1), E the residual over the observed entries: zero at the optimum, and large where the
    /// rank is too small. |E|_2 is exact up to 250 000 cells and Lanczos's lower bound, converged to 1e-10, above.
    pub excess: f64,
}

/// Objective and certificate of a model for the entries and options that it was fitted to.
///
/// The certificate is the scaled gradient (|G_X| |X| + |G_Y| |Y|) / |P(V)|^2. 8 |Omega| k flops.
///
/// # Errors
/// Options that are not allowed, or a model of another size.
pub fn certify(
    options: &Completion,
    problem: &Observations,
    model: &LowRankModel,
) -> Result<(f64, Certificate), Error> {
    let mut options = options.clone();
    (options.rank, options.biases, options.automatic_rank) = (model.rank().max(1), model.has_biases(), false);
    options.check(problem)?;
    if model.shape() != (problem.rows(), problem.columns()) {
        return Err(Error::Start(format!(
            "the model is {:?}, the matrix {:?}",
            model.shape(),
            (problem.rows(), problem.columns())
        )));
    }
    let plain = Setup::new(&options, problem, &[]);
    let setup = Setup::with_center(&options, problem, &[], model.mean(), plain.scale);
    let mut state: State<f64> = State::from_model(&setup, model);
    state.update_delta(&setup);
    let measured = state.measure(&setup);
    Ok(scaled(&setup, measured.objective, measured.gradient))
}

/// Objective and certificate in the values' units.
pub(super) fn scaled(setup: &Setup, objective: f64, gradient: f64) -> (f64, Certificate) {
    let size = setup.scale * setup.scale;
    let value = gradient * setup.norm * setup.norm * size;
    (objective * size, Certificate { kind: "scaled_gradient", value, relative: gradient })
}

/// The gap to the global optimum, where the problem is the factored form of a convex one.
///
/// # Errors
/// A decomposition that fails.
pub fn global_gap(
    options: &Completion,
    problem: &Observations,
    model: &LowRankModel,
) -> Result<Option<GlobalGap>, Error> {
    let mut options = options.clone();
    options.rank = model.rank();
    let setup = Setup::new(&options, problem, &[]);
    let state: State<f64> = State::from_model(&setup, model);
    gap_of_state(&setup, &state)
}

/// As [`global_gap`], in the middle of a run.
pub(super) fn gap_of_state<T: Element>(setup: &Setup, state: &State<T>) -> Result<Option<GlobalGap>, Error> {
    let options = setup.options;
    let convex = options.ridge > 0.0
        && options.ridge_kind == RidgeKind::Uniform
        && !options.biases
        && !options.nonnegative
        && options.implicit.is_none()
        && options.loss == Loss::Squares
        && !setup.problem.is_weighted();
    if !convex {
        return Ok(None);
    }
    let ridge = options.ridge / setup.scale;
    let (m, n) = (setup.problem.rows(), setup.problem.columns());
    let (rows, columns) = (setup.rows.side, setup.columns.side);
    let residual = state.residuals(setup, false);
    let norm = if m * n <= DENSE_CELLS {
        let mut dense = faer::Mat::zeros(m, n);
        for i in 0..m {
            for t in rows.entries(i) {
                dense[(i, rows.indices[t] as usize)] = residual[t];
            }
        }
        dense_singular_values(dense.as_ref())?.first().copied().unwrap_or(0.0)
    } else {
        let by_column = state.residuals(setup, true);
        let by_row = CsMatViewI::new((m, n), rows.offsets, rows.indices, &residual);
        let by_column = CsMatViewI::new_csc((m, n), columns.offsets, columns.indices, &by_column);
        spectral_norm(by_row, by_column, 1e-10, &mut ChaCha8Rng::seed_from_u64(options.seed))?
    };
    let values: Vec<f64> = rows.values.iter().map(|v| (v - setup.mean) / setup.scale).collect();
    let primal = 0.5 * dot(&residual, &residual) + setup.penalty(&state.x, &state.y);
    let shrink = if norm > ridge { ridge / norm } else { 1.0 };
    // |V|^2 - |V - a E|^2 = 2 a V'E - a^2 |E|^2, without the cancellation
    let dual = shrink * dot(&values, &residual) - 0.5 * shrink * shrink * dot(&residual, &residual);
    let size = setup.scale * setup.scale;
    let gap = (primal - dual).max(0.0);
    Ok(Some(GlobalGap {
        value: gap * size,
        relative: if primal > 0.0 { gap / primal } else { 0.0 },
        excess: (norm / ridge - 1.0).max(0.0),
    }))
}
