//! The ridge from entries held out of the training part.

use super::{Completion, Error, LowRankModel, Observations, Start};
use crate::control::{Monitor, Status};

/// One ridge that was tried.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Trial {
    /// The ridge, in the values' units.
    pub ridge: f64,
    /// Root mean square error over the entries held out for the choice.
    pub rmse: f64,
    /// Sweeps taken.
    pub sweeps: usize,
}

/// Relative ridges that are tried, descending: each from the answer of the one before.
const GRID: [f64; 8] = [0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.035, 0.02];

/// Chooses the ridge: of multiples of the values' deviation, the one whose model, fitted to 90 % of the entries, has the
/// least error on the other 10 %. The grid is left once the error has risen for two steps. Returns the ridge and the trials.
///
/// # Errors
/// Those of the solver; entries that can't be split.
pub fn choose_ridge(
    options: &Completion,
    problem: &Observations,
    monitor: &mut Monitor,
) -> Result<(f64, Vec<Trial>), Error> {
    let (training, held_out) =
        problem.split(0.1, options.seed ^ 0x0072_6964_6765, |i, j| (u64::from(i), u64::from(j)))?;
    let deviation = super::state::Setup::new(options, &training, &[]).scale;
    let mut trials: Vec<Trial> = Vec::new();
    let mut model: Option<LowRankModel> = None;
    let (mut best, mut since) = (Trial { ridge: GRID[0] * deviation, rmse: f64::INFINITY, sweeps: 0 }, 0);
    for relative in GRID {
        let mut solver = options.clone();
        solver.ridge = relative * deviation;
        // a choice among neighbours needs no more
        solver.limits.tolerance = solver.limits.tolerance.max(1e-4);
        solver.limits.max_iterations = solver.limits.max_iterations.min(30);
        let start = model.as_ref().map_or(Start::Cold, Start::Model);
        let answer = solver.solve_with(&training, start, monitor)?;
        let rmse = answer.model.rmse(&held_out);
        let trial = Trial { ridge: solver.ridge, rmse, sweeps: answer.iterations };
        trials.push(trial);
        since += 1;
        if rmse < best.rmse {
            (best, since) = (trial, 0);
        }
        if since >= 2 || matches!(answer.status, Status::Interrupted | Status::TimeLimit) {
            break;
        }
        model = Some(answer.model);
    }
    Ok((best.ridge, trials))
}
