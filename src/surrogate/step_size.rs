//! eta, the step in target space, and how it changes over a run.

use serde::{Deserialize, Serialize};

use super::Error;
use super::oracle::Problem;

/// How a step shrinks over T steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// By 1 / sqrt(t).
    Sqrt,
    /// By (1/T)^(t/T): to 1/T at the end.
    Exponential,
}

impl Schedule {
    /// The factor of step t = 1, 2, ..., T.
    pub fn factor(self, t: u64, total: u64) -> f64 {
        let (t, total) = (t as f64, total.max(1) as f64);
        match self {
            Schedule::Constant => 1.0,
            Schedule::Sqrt => 1.0 / t.sqrt(),
            Schedule::Exponential => (1.0 / total).powf(t / total),
        }
    }
}

/// The step size rule of the surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum StepSize {
    /// A given eta; 1/L where absent, which makes the full-batch surrogate an upper bound.
    Fixed {
        /// eta.
        eta: Option<f64>,
        /// How it shrinks.
        schedule: Schedule,
    },
    /// Backtracking along -g in target space: no product with the model, values of the loss only.
    Search(TargetSearch),
}

impl Default for StepSize {
    fn default() -> Self {
        StepSize::Fixed { eta: None, schedule: Schedule::Constant }
    }
}

/// Armijo's rule in target space: sum of l(z - eta g) <= sum of l(z) - c eta ||g||^2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TargetSearch {
    /// c, in (0, 1).
    pub sufficient_decrease: f64,
    /// Factor after a refusal, in (0, 1).
    pub shrink: f64,
    /// Growth of the first trial over the last accepted eta, at least 1.
    pub expand: f64,
}

impl Default for TargetSearch {
    fn default() -> Self {
        Self { sufficient_decrease: 0.5, shrink: 0.9, expand: 1.8 }
    }
}

/// Bounds of a first trial. The upper one keeps batches whose loss is flat from raising eta for those to come.
const SMALLEST: f64 = 1e-4;
const LARGEST: f64 = 1e4;
/// Refusals after which a trial is taken as it is.
const TRIALS: usize = 100;

impl StepSize {
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            StepSize::Fixed { eta: Some(eta), .. } if !(*eta > 0.0 && eta.is_finite()) => {
                Err(format!("eta is {eta}; it must be positive and finite"))
            }
            StepSize::Search(s) => {
                let inside = |v: f64| v > 0.0 && v < 1.0;
                if inside(s.sufficient_decrease)
                    && inside(s.shrink)
                    && s.expand >= 1.0
                    && s.expand.is_finite()
                {
                    Ok(())
                } else {
                    Err("the target search's decrease and shrink must lie between 0 and 1, its growth must be at least 1".into())
                }
            }
            StepSize::Fixed { .. } => Ok(()),
        }
    }
}

impl TargetSearch {
    /// The accepted eta; `last` is the one before, `value` the mean loss at z if it is known.
    pub(crate) fn search(
        &self,
        problem: &mut Problem,
        batch: &[u32],
        z: &[f64],
        g: &[f64],
        value: Option<f64>,
        last: f64,
    ) -> Result<f64, Error> {
        let mut eta = (self.expand * last).clamp(SMALLEST, LARGEST);
        let none = || {
            Error::Option("this oracle has no values, so that eta cannot be searched for: give one".into())
        };
        let value = match value {
            Some(value) => value,
            None => problem.value(batch, z).ok_or_else(none)?,
        };
        let square = g.iter().map(|g| g * g).sum::<f64>() / batch.len() as f64;
        let mut moved = vec![0.0; z.len()];
        for _ in 0..TRIALS {
            moved.iter_mut().zip(z).zip(g).for_each(|((moved, z), g)| *moved = z - eta * g);
            let trial = problem.value(batch, &moved).ok_or_else(none)?;
            if trial <= value - self.sufficient_decrease * eta * square {
                return Ok(eta);
            }
            eta *= self.shrink;
        }
        problem.work.failed_searches += 1;
        Ok(eta)
    }
}
