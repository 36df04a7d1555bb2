//! What is noted of the iterations: slow progress, acceptable points, the best point, the trace.

use super::super::termination::KktError;
use super::answer::Answer;
use super::line_search::Taken;
use super::{Phase, Tools};
use crate::control::{Run, Status};
use crate::linalg::product::norm_inf;

/// So many acceptable iterations in a row end the run.
const ACCEPTABLE_ITERATIONS: usize = 15;

/// Short steps that hardly lower the violation.
#[derive(Default)]
pub(super) struct Crawl {
    /// Never enough.
    pub patient: bool,
    /// Enough sooner: there is something else to try.
    pub hasty: bool,
    count: usize,
    violation: f64,
}

impl Crawl {
    /// A step below this is short.
    const SHORT: f64 = 0.1;
    /// So many short steps, without the violation halved, are enough.
    const ENOUGH: usize = 60;
    const ENOUGH_IN_HASTE: usize = 20;

    /// A violation of NaN isn't looked at: there any longer step is progress.
    pub fn note(&mut self, step: f64, violation: f64) {
        let progress =
            if violation.is_nan() { step >= Self::SHORT } else { violation <= 0.5 * self.violation };
        if progress || self.count == 0 {
            (self.count, self.violation) = (0, violation);
        }
        self.count += usize::from(step < Self::SHORT);
    }

    pub fn is_enough(&self) -> bool {
        let enough = if self.hasty { Self::ENOUGH_IN_HASTE } else { Self::ENOUGH };
        !self.patient && self.count >= enough
    }
}

/// Full steps that bring nothing.
#[derive(Default)]
pub(super) struct Stall {
    mu: f64,
    least: f64,
    count: usize,
}

impl Stall {
    const ENOUGH: usize = 6;

    /// Notes the error of the barrier problem after a step; whether there were enough full ones.
    pub fn note(&mut self, mu: f64, error: f64, plain: bool) -> bool {
        if mu != self.mu || error < 0.5 * self.least {
            *self = Self { mu, least: error, count: 0 };
        }
        self.count += usize::from(plain);
        let enough = self.count > Self::ENOUGH;
        if enough {
            self.count = 0;
        }
        enough
    }
}

/// Acceptable iterations in a row, and the error when they were last counted.
#[derive(Default)]
pub(super) struct Acceptable {
    count: usize,
    error: f64,
}

impl Acceptable {
    /// Whether there were enough of them, the error hardly falling.
    pub fn is_enough(&mut self, error: &KktError) -> bool {
        if !error.is_acceptable() {
            self.count = 0;
            return false;
        }
        if self.count == 0 {
            self.error = error.error;
        }
        self.count += 1;
        if self.count < ACCEPTABLE_ITERATIONS {
            return false;
        }
        self.count = 0;
        error.error > 0.5 * self.error
    }
}

/// The objective is to be as accurate as this share of 1 + |f|, where iterates can be.
pub(super) const ACCURATE: f64 = 1e-6;
/// Iterations beyond an optimal point for the sake of its objective.
const POLISHING_ITERATIONS: usize = 60;

/// Points that meet the tolerance with an objective that isn't settled: a scaled problem can be solved where the unscaled
/// complementarity, or the last step, is still worth something.
pub(super) struct Polish {
    /// The last point that met the tolerance, and its objective.
    kept: Option<(Answer, f64)>,
    left: usize,
    /// mu and objective of the iterate before.
    last: Option<(f64, f64)>,
}

impl Polish {
    pub fn new() -> Self {
        Self { kept: None, left: POLISHING_ITERATIONS, last: None }
    }

    /// Takes note of an iterate; whether the run is to go on though it is solved. `gap` is the sum of its products of distances
    /// and multipliers, unscaled.
    pub fn goes_on(&mut self, answer: &Answer, solved: bool, objective: f64, gap: f64, mu: f64) -> bool {
        let size = ACCURATE * (1.0 + objective.abs());
        let before = self.last.replace((mu, objective));
        let moves = before.is_some_and(|(last_mu, last)| last_mu == mu && (last - objective).abs() > size);
        if self.kept.is_some() {
            self.left = self.left.saturating_sub(1);
        }
        let rough = solved && self.left > 0 && (gap > size || moves);
        if rough && self.kept.as_ref().is_none_or(|(_, kept)| objective <= *kept) {
            self.kept = Some((answer.clone(), objective));
        }
        rough
    }

    pub fn is_under_way(&self) -> bool {
        self.kept.is_some()
    }

    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// What was kept becomes the answer; false where nothing was.
    pub fn restore(&mut self, answer: &mut Answer) -> bool {
        self.kept.take().map(|(kept, _)| *answer = kept).is_some()
    }
}

/// The best iterate so far: of two the one with less violation in the scaled problem, violations up to the tolerance counting as
/// none; of two equally feasible ones that with the lower objective.
pub(super) struct Best {
    tolerance: f64,
    /// Violation and objective of what is kept.
    rank: Option<(f64, f64)>,
    kept: Answer,
}

impl Best {
    pub fn new(kept: Answer, tolerance: f64) -> Self {
        Self { tolerance, rank: None, kept }
    }

    /// Keeps a copy where it is better than all before.
    pub fn offer(&mut self, answer: &Answer, error: &KktError, objective: f64) {
        let rank = (error.scaled.constraint_violation.max(self.tolerance), objective);
        let comparable = rank.0.is_finite() && rank.1.is_finite();
        if comparable && self.rank.is_none_or(|best| rank < best) {
            self.rank = Some(rank);
            self.kept.clone_from(answer);
        }
    }

    /// Replaces an answer by what is kept, if anything is.
    pub fn replace(&mut self, answer: &mut Answer) {
        if self.rank.is_some() {
            answer.clone_from(&self.kept);
        }
    }
}

/// What the trace says of an iteration besides its certificate.
#[derive(Default)]
pub(super) struct Log {
    last: Taken,
    shift: f64,
    pub restorations: u64,
}

impl Log {
    pub fn taken(&mut self, taken: Taken, phase: &Phase) {
        self.last = taken;
        self.shift = phase.newton.shifts.dw;
    }

    pub fn record(
        &mut self,
        run: &mut Run,
        phase: &Phase,
        tools: &Tools,
        certificate: f64,
    ) -> Option<Status> {
        self.columns(run, phase, phase.objective(tools), certificate, 0.0)
    }

    pub fn record_restoration(
        &mut self,
        run: &mut Run,
        elastic: &Phase,
        tools: &mut Tools,
    ) -> Option<Status> {
        let primal = tools.model.form.primal();
        let mut residual = vec![0.0; elastic.shape.m];
        let objective = tools.model.values(&elastic.at.u[..primal], &mut residual).unwrap_or(f64::NAN);
        let objective = objective / tools.model.evaluator.scaling().objective;
        // a restoration never solves the problem
        let certificate = norm_inf(&residual).max(run.limits().tolerance.next_up());
        self.columns(run, elastic, objective, certificate, 1.0)
    }

    fn columns(
        &mut self,
        run: &mut Run,
        phase: &Phase,
        objective: f64,
        certificate: f64,
        restoring: f64,
    ) -> Option<Status> {
        let Taken { primal, dual, trials } = self.last;
        let columns = [
            norm_inf(&phase.at.residual),
            norm_inf(&phase.at.dual),
            phase.shape.mu,
            primal,
            dual,
            self.shift,
            trials as f64,
            restoring,
        ];
        run.record(objective, certificate, &columns)
    }
}
