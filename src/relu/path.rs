//! The regularisation path, and the choice of beta by rows held out.

use super::solve::Instance;
use super::{ConvexRelu, Error, Patterns, Solution, Training, certificate};
use crate::control::{Monitor, Status};

/// The smallest beta for which zero weights are optimal over the patterns: the largest |Pi_K(+-X'D l'(0))|.
///
/// # Errors
/// A factorisation of the data that fails.
pub fn beta_max(training: &Training, patterns: &Patterns) -> Result<f64, Error> {
    // with a beta of almost nothing no norm is cut short
    let tiny = training.with_beta(f64::MIN_POSITIVE * 1e20)?;
    let instance = Instance::new(&tiny, patterns)?;
    let program = &instance.program;
    let slope: Vec<f64> = program.y.iter().map(|&y| program.loss.derivative(0.0, y)).collect();
    let norms = certificate::norms(program, &instance.signs, &slope, &[], &mut certificate::Active::new());
    Ok(program.scale * norms.iter().fold(0.0f64, |m, v| m.max(*v)))
}

/// n values from `first` down to `last`, spaced logarithmically, ends included.
pub fn path_values(first: f64, last: f64, n: usize) -> Vec<f64> {
    let first = if first > last { first } else { last };
    let step = |k: usize| first * (last / first).powf(k as f64 / (n - 1).max(1) as f64);
    (0..n).map(|k| if k + 1 == n { last } else { step(k) }).collect()
}

impl ConvexRelu {
    /// Solves for each beta over the same patterns, each from the network before. Ends early where the run is
    /// interrupted or out of time.
    ///
    /// # Errors
    /// As [`solve_over`](Self::solve_over); a beta that isn't positive.
    pub fn path(
        &self,
        training: &Training,
        patterns: &Patterns,
        betas: &[f64],
        monitor: &mut Monitor,
    ) -> Result<Vec<Solution>, Error> {
        let mut solutions: Vec<Solution> = Vec::with_capacity(betas.len());
        for &beta in betas {
            let training = training.with_beta(beta)?;
            let start = solutions.last().map(|before| before.network.clone()).filter(|n| n.neurons() > 0);
            let solution = self.solve_over(&training, patterns.clone(), start.as_ref(), monitor)?;
            let ended = matches!(solution.status, Status::Interrupted | Status::TimeLimit);
            solutions.push(solution);
            if ended {
                break;
            }
        }
        Ok(solutions)
    }
}
