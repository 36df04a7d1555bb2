//! All that a run carries from one step to the next: enough to go on from, bit for bit.

use serde::{Deserialize, Serialize};

use super::oracle::Work;
use super::quasi_newton::Memory;

/// Where a run stands. Written between epochs (full batch: between calls); a run resumed from it equals one that never
/// stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The options and the problem's size, which must be the same on resuming.
    pub(crate) options: String,
    /// theta.
    pub(crate) theta: Vec<f64>,
    /// Epochs done.
    pub(crate) epoch: u64,
    /// Steps done.
    pub(crate) step: u64,
    /// The last accepted eta of a target search, the last step of a parameter search; 0 before the first.
    pub(crate) searched: f64,
    /// Factor of eta: halved whenever the surrogate's bound breaks.
    pub(crate) shrunk: f64,
    /// Sum of the squares of all target gradients.
    pub(crate) squares: f64,
    /// First and second moments: of the target gradients per sample, or of the gradient per parameter.
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
    /// Variance reduction: target gradients that are remembered, and the mean of J'g over them.
    pub(crate) table: Vec<f64>,
    pub(crate) mean: Vec<f64>,
    /// The epoch that began to fill the table.
    pub(crate) table_epoch: u64,
    /// Targets and parameters at the last snapshot.
    pub(crate) snapshot: Vec<f64>,
    /// Aggregated surrogates: A and the number of samples in it (r is in `mean`, curvatures in `metric`); Adagrad's step.
    pub(crate) matrix: Vec<f64>,
    pub(crate) seen: u64,
    pub(crate) rate: f64,
    /// Share of the targets' possible decrease that the last surrogate watched has realised.
    pub(crate) share: Option<f64>,
    /// Batches of this epoch before the step.
    pub(crate) position: u64,
    /// Weights of the metric in force; empty for the plain one.
    pub(crate) metric: Vec<f64>,
    /// Full batch: targets at theta, the loss there if known, pairs of L-BFGS.
    pub(crate) z: Vec<f64>,
    pub(crate) value: Option<f64>,
    pub(crate) memory: Memory,
    /// What the automatic mode has settled on, and its evidence.
    pub(crate) choice: Option<super::automatic::Choice>,
    pub(crate) trial: super::automatic::Trial,
    pub(crate) work: Work,
}

impl Checkpoint {
    /// The parameters.
    pub fn parameters(&self) -> &[f64] {
        &self.theta
    }

    /// Whether every vector has a length that a run with d parameters and so many targets writes, and finite entries.
    pub(crate) fn fits(&self, d: usize, targets: usize) -> bool {
        let sizes: [(&[f64], &[usize]); 10] = [
            (&self.theta, &[d]),
            (&self.first, &[0, d, targets]),
            (&self.second, &[0, d, targets]),
            (&self.table, &[0, targets]),
            (&self.mean, &[0, d]),
            (&self.snapshot, &[0, d]),
            (&self.matrix, &[0, d * d]),
            (&self.metric, &[0, targets]),
            (&self.z, &[0, targets]),
            (&self.trial.before, &[0, d]),
        ];
        let sound = |(vector, lengths): &(&[f64], &[usize])| {
            lengths.contains(&vector.len()) && vector.iter().all(|value| value.is_finite())
        };
        let together = self.first.is_empty() || self.first.len() == self.second.len();
        let after = [0, d].contains(&self.trial.after.len());
        sizes.iter().all(sound) && together && after && self.memory.fits(d) && self.position == 0
    }

    /// The counters so far.
    pub fn work(&self) -> Work {
        self.work
    }
}
