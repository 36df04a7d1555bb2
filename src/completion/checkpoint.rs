//! A run between two sweeps, to be stored and resumed with the same bits.

use serde::{Deserialize, Serialize};

use super::observations::hash;
use super::phase::{Kept, Progress};
use super::state::Setup;
use super::{Completion, Error, Observations};
use crate::linalg::tall::{Element, TallMatrix};

/// All that the rest of a run depends on. Its stored form is JSON, whose numbers keep their bits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Options and data that the run belongs to.
    fingerprint: u64,
    pub(super) progress: Progress<f64>,
    /// Objective, certificate and own columns of the records so far.
    pub(super) records: Vec<(f64, f64, Vec<Option<f64>>)>,
}

impl Checkpoint {
    pub(super) fn new<T: Element>(
        fingerprint: u64,
        progress: &Progress<T>,
        records: Vec<(f64, f64, Vec<Option<f64>>)>,
    ) -> Self {
        Self { fingerprint, progress: convert(progress), records }
    }

    /// Sweeps done.
    pub fn sweeps(&self) -> usize {
        self.progress.sweeps
    }

    /// Refuses what belongs to another run, and what no run writes: sizes that don't fit, factors that aren't finite.
    pub(super) fn check(&self, fingerprint: u64, setup: &Setup, columns: usize) -> Result<(), Error> {
        if self.fingerprint != fingerprint {
            return Err(Error::Start("the checkpoint belongs to other data or other options".into()));
        }
        let progress = &self.progress;
        let widths = setup.unknowns(0)..=setup.unknowns(setup.options.rank);
        let factor = |x: &TallMatrix, rows: usize| {
            x.rows() == rows && widths.contains(&x.columns()) && x.as_slice().iter().all(|v| v.is_finite())
        };
        let pair = |x: &TallMatrix, y: &TallMatrix| {
            let (m, n) = (setup.problem.rows(), setup.problem.columns());
            factor(x, m) && factor(y, n) && x.columns() == y.columns()
        };
        let kept = |kept: &Option<Kept<f64>>| kept.as_ref().is_none_or(|kept| pair(&kept.x, &kept.y));
        let same = |y: &TallMatrix| factor(y, setup.problem.columns());
        let fits = pair(&progress.x, &progress.y)
            && kept(&progress.best)
            && kept(&progress.fallback)
            && progress.previous.as_ref().is_none_or(same)
            && (progress.sweeps..=progress.sweeps.saturating_add(1)).contains(&self.records.len())
            && self.records.iter().all(|(_, _, extra)| extra.len() == columns);
        if fits { Ok(()) } else { Err(Error::Start("the checkpoint is damaged: its parts don't fit".into())) }
    }
}

/// The same progress stored in another type.
pub(super) fn convert<T: Element, U: Element>(progress: &Progress<T>) -> Progress<U> {
    let kept = |kept: &Kept<T>| Kept {
        x: kept.x.convert(),
        y: kept.y.convert(),
        error: kept.error,
        sweep: kept.sweep,
    };
    Progress {
        x: progress.x.convert(),
        y: progress.y.convert(),
        best: progress.best.as_ref().map(kept),
        fallback: progress.fallback.as_ref().map(kept),
        previous: progress.previous.as_ref().map(TallMatrix::convert),
        momentum: progress.momentum,
        notes: progress.notes.clone(),
        condition: progress.condition,
        phase: progress.phase,
        sweeps: progress.sweeps,
        exact_left: progress.exact_left,
        caution: progress.caution,
        alarms: progress.alarms,
        rises: progress.rises,
        error: progress.error,
        least_error: progress.least_error,
        residual_before: progress.residual_before,
        objective: progress.objective,
        gradient: progress.gradient,
        residual: progress.residual,
        least_gradient: progress.least_gradient,
        idle: progress.idle,
        steps: progress.steps,
        rows: progress.rows,
        factored: progress.factored,
        deficient: progress.deficient,
        last_rows: progress.last_rows,
        last_steps: progress.last_steps,
        last_factored: progress.last_factored,
    }
}

/// A hash of all that decides the course of a run: options but for the limits, and data.
pub(super) fn fingerprint(options: &Completion, problem: &Observations) -> u64 {
    let mut options = options.clone();
    options.limits = Default::default();
    let mut h = hash(problem.rows() as u64, problem.columns() as u64);
    for byte in format!("{options:?}").bytes() {
        h = hash(h, u64::from(byte));
    }
    let side = problem.row_side();
    for (&j, &value) in side.indices.iter().zip(side.values) {
        h = hash(h ^ u64::from(j), value.to_bits());
    }
    side.weights.into_iter().flatten().fold(h, |h, weight| hash(h, weight.to_bits()))
}
