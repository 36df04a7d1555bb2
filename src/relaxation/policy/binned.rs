//! One bandit for each range of the context.

use serde::{Deserialize, Serialize};

use super::{Choice, Policy, Saved, Situation, TsallisInf, check_range, check_state, to_json};
use crate::relaxation::Error;

/// Tsallis-INF with binned contexts: [low, high] is cut into equal ranges, and each has a [`TsallisInf`] of its own. A context
/// outside counts for the nearest range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Binned {
    low: f64,
    high: f64,
    learners: Vec<TsallisInf>,
    bin: usize,
}

impl Binned {
    /// With `bins` ranges.
    ///
    /// # Errors
    /// `Option` for no bins, no values, or an empty range.
    pub fn new(values: Vec<f64>, bins: usize, low: f64, high: f64, seed: u64) -> Result<Self, Error> {
        check_range(low, high)?;
        if bins == 0 {
            return Err(Error::Option("the number of bins is 0; at least 1 is needed".into()));
        }
        let learner = |bin| TsallisInf::with_stream(values.clone(), false, seed, bin as u64);
        Ok(Self { low, high, learners: (0..bins).map(learner).collect::<Result<_, _>>()?, bin: 0 })
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_range(self.low, self.high)?;
        check_state(self.bin < self.learners.len())?;
        let learners = self.learners.into_iter().map(TsallisInf::checked).collect::<Result<_, _>>()?;
        Ok(Self { learners, ..self })
    }
}

/// The range in which a context lies, of `bins` equal ones between low and high.
pub(super) fn bin_of(context: f64, low: f64, high: f64, bins: usize) -> usize {
    let place = (context - low) / (high - low) * bins as f64;
    // a NaN counts as 0
    (place.max(0.0) as usize).min(bins - 1)
}

impl Policy for Binned {
    fn name(&self) -> String {
        format!("tsallis-inf-cb:{}", self.learners.len())
    }

    fn choose(&mut self, situation: &Situation) -> Choice {
        self.bin = bin_of(situation.context, self.low, self.high, self.learners.len());
        self.learners[self.bin].choose(situation)
    }

    fn update(&mut self, cost: f64) {
        self.learners[self.bin].update(cost);
    }

    fn values(&self) -> &[f64] {
        self.learners[0].values()
    }

    fn save(&self) -> Result<serde_json::Value, Error> {
        to_json(&Saved::Binned(self))
    }
}
