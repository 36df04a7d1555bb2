//! The restoration: a point with smaller violation that the filter accepts.
//!
//! minimise 1000 (sum p + q) + sqrt(mu)/2 |D (x - x_R)|^2 subject to c - b - s - p + q = 0, p, q >= 0 and the bounds, by the same
//! interior point (Waechter and Biegler 2006, section 3.3). At every x and mu the best p and q are known:
//! q = a + sqrt(a^2 + mu c / 2000) with a = (mu - 1000 c) / 2000, p = c + q.

use super::super::Error;
use super::form::Form;
use super::newton::{Newton, Step};
use super::phase::{Iterate, Shape};
use super::progress::{Log, Stall};
use super::{Phase, Tools};
use crate::control::{Run, Status};
use crate::linalg::product::norm_inf;

const PENALTY: f64 = 1000.0;
/// Share of the violation that must be gone.
const REMAINING: f64 = 0.9;
/// Multipliers of bounds above this are all set to one afterwards.
const LARGEST_MULTIPLIER: f64 = 1e3;
/// A violation below this many tolerances is none: the problem isn't infeasible.
const FEASIBLE: f64 = 1e2;

/// How a restoration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// At a point that the filter accepts; the iterate has moved there.
    Back,
    /// At a stationary point of the violation, which isn't zero; the iterate has moved there.
    Infeasible,
    /// At no such point.
    Failed,
    /// At a limit of the run.
    Stopped(Status),
}

impl Phase {
    /// Restores feasibility.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn restore(&mut self, tools: &mut Tools, run: &mut Run, log: &mut Log) -> Result<Restored, Error> {
        // as many equations as variables leave no choice: there the restoration may as well solve them
        let square = self.shape.nx == self.shape.m && self.shape.attached.is_empty();
        let entry = if square { 0.0 } else { norm_inf(&self.at.residual) };
        let mut elastic = self.elastic(&tools.model.form);
        if !elastic.prepare(tools) {
            return Ok(Restored::Failed);
        }
        let mut resets = 0;
        for iteration in 0.. {
            if iteration > 0 {
                if let Some(status) = log.record_restoration(run, &elastic, tools) {
                    self.take_over(&elastic, tools);
                    return Ok(Restored::Stopped(status));
                }
                if self.may_return(&elastic, tools, entry) {
                    return Ok(if self.return_from(tools) { Restored::Back } else { Restored::Failed });
                }
                let error = elastic.shape.error(&elastic.at, 0.0);
                if error.total() <= self.tolerance {
                    let violation = self.take_over(&elastic, tools);
                    let feasible = violation <= FEASIBLE * self.tolerance;
                    return Ok(if feasible { Restored::Failed } else { Restored::Infeasible });
                }
                if !elastic.update_barrier(tools) {
                    return Ok(self.verdict_at_rounding(&elastic, tools));
                }
            }
            let found = elastic.newton.evaluate(&elastic.shape, &mut tools.model, &elastic.at).is_ok()
                && elastic.find_direction(tools)?;
            let moved = elastic.search(tools, found)?;
            match moved {
                Some(taken) => {
                    log.taken(taken, &elastic);
                    resets = 0;
                }
                None if resets < 2 => {
                    // the same x with the best p and q
                    resets += 1;
                    elastic.search.filter.clear();
                    if !elastic.set_elastic_variables(tools) {
                        return Ok(Restored::Failed);
                    }
                }
                None => return Ok(self.verdict_at_rounding(&elastic, tools)),
            }
            elastic.settle(tools);
        }
        Ok(Restored::Failed)
    }

    fn elastic(&self, form: &Form) -> Phase {
        let mu = self.shape.mu.max(norm_inf(&self.at.residual));
        let shape = Shape::elastic(form, &self.shape, PENALTY, &self.at.u, mu);
        let (count, m) = (shape.count(), shape.m);
        let nonzeros = self.at.jacobian.len();
        let (mut at, trial) = (Iterate::new(count, m, nonzeros), Iterate::new(count, m, nonzeros));
        at.u[..self.at.u.len()].copy_from_slice(&self.at.u);
        for (z, own) in [(&mut at.zl, &self.at.zl), (&mut at.zu, &self.at.zu)] {
            z.iter_mut().zip(own).for_each(|(z, own)| *z = own.min(PENALTY));
        }
        let newton = Newton::new(form, &shape);
        let (step, tolerance) = (Step::new(count, m), self.tolerance);
        let (search, crawl) = (Default::default(), Default::default());
        Phase {
            shape,
            at,
            trial,
            step,
            newton,
            search,
            tolerance,
            dual_is_stale: true,
            crawl,
            settled: 0,
            last_dual: None,
            polishing: false,
            stall: Stall::default(),
        }
    }

    /// Sets p and q with their multipliers and evaluates; false where that isn't possible.
    fn prepare(&mut self, tools: &mut Tools) -> bool {
        let m = self.shape.m;
        let split = self.shape.count() - 2 * m;
        if !self.set_elastic_variables(tools) {
            return false;
        }
        for k in split..self.shape.count() {
            self.at.zl[k] = self.shape.mu / self.at.u[k];
        }
        self.shape.set_dual(&tools.model.form, &mut self.at);
        true
    }

    fn set_elastic_variables(&mut self, tools: &mut Tools) -> bool {
        let (m, mu) = (self.shape.m, self.shape.mu);
        let split = self.shape.count() - 2 * m;
        let primal = tools.model.form.primal();
        if tools.model.values(&self.at.u[..primal], &mut self.at.residual).is_err() {
            return false;
        }
        for i in 0..m {
            let c = self.at.residual[i];
            let a = (mu - PENALTY * c) / (2.0 * PENALTY);
            let root = (a * a + mu * c / (2.0 * PENALTY)).max(0.0).sqrt();
            // of the two forms the one without cancellation
            let q = if a >= 0.0 { a + root } else { mu * c / (2.0 * PENALTY) / (root - a) };
            let least = mu / (2.0 * PENALTY) * 1e-6;
            let q = q.max(least);
            (self.at.u[split + i], self.at.u[split + m + i]) = ((c + q).max(least), q);
        }
        self.shape.evaluate(&mut tools.model, &mut self.at).is_ok()
            && self.shape.differentiate(&mut tools.model, &mut self.at).is_ok()
    }

    /// Whether the elastic iterate is good enough for the problem itself; its values are in `trial` then.
    fn may_return(&mut self, elastic: &Phase, tools: &mut Tools, entry: f64) -> bool {
        let primal = self.shape.count();
        self.trial.u.copy_from_slice(&elastic.at.u[..primal]);
        self.trial.zl.copy_from_slice(&self.at.zl);
        self.trial.zu.copy_from_slice(&self.at.zu);
        if self.shape.evaluate(&mut tools.model, &mut self.trial).is_err() {
            return false;
        }
        let violation = norm_inf(&self.trial.residual);
        let solved = tools.model.constant_objective && violation <= self.tolerance;
        solved
            || violation <= (REMAINING * entry).max(self.tolerance)
                && self.search.accepts_restored(self.trial.pair)
    }

    /// Goes on from `trial`, with the multipliers that a Newton step of the same primal part would give.
    fn return_from(&mut self, tools: &mut Tools) -> bool {
        if self.shape.differentiate(&mut tools.model, &mut self.trial).is_err() {
            return false;
        }
        let Phase { shape, at, trial, step, .. } = self;
        step.zl.fill(0.0);
        step.zu.fill(0.0);
        for &k in &shape.lower_set {
            let k = k as usize;
            step.zl[k] = ((at.below[k] - trial.below[k]) * at.zl[k] + shape.mu) / at.below[k] - at.zl[k];
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            step.zu[k] = ((at.above[k] - trial.above[k]) * at.zu[k] + shape.mu) / at.above[k] - at.zu[k];
        }
        let alpha = shape.dual_limit(at, &step.zl, &step.zu);
        let mut largest: f64 = 0.0;
        for (z, own, dz) in [(&mut trial.zl, &at.zl, &step.zl), (&mut trial.zu, &at.zu, &step.zu)] {
            for ((z, own), d) in z.iter_mut().zip(own).zip(dz) {
                *z = own + alpha * d;
                largest = largest.max(*z);
            }
        }
        if largest > LARGEST_MULTIPLIER {
            shape.lower_set.iter().for_each(|&k| trial.zl[k as usize] = 1.0);
            shape.upper_set.iter().for_each(|&k| trial.zu[k as usize] = 1.0);
        }
        trial.y.fill(0.0);
        shape.clamp_multipliers(trial);
        std::mem::swap(&mut self.at, &mut self.trial);
        self.shape.set_dual(&tools.model.form, &mut self.at);
        true
    }

    /// Moves the iterate to the elastic one where it can be evaluated there; returns the violation.
    fn take_over(&mut self, elastic: &Phase, tools: &mut Tools) -> f64 {
        let primal = self.shape.count();
        self.trial.copy_from(&self.at);
        self.trial.u.copy_from_slice(&elastic.at.u[..primal]);
        let moved = self.shape.evaluate(&mut tools.model, &mut self.trial).is_ok()
            && self.shape.differentiate(&mut tools.model, &mut self.trial).is_ok();
        if moved {
            // what the elastic problem says of the rows is what makes them contradict each other
            self.trial.y.copy_from_slice(&elastic.at.y);
            std::mem::swap(&mut self.at, &mut self.trial);
            self.shape.set_dual(&tools.model.form, &mut self.at);
        }
        norm_inf(&self.at.residual)
    }

    /// Where the elastic problem makes no more progress: infeasible if it is solved to a looser tolerance.
    fn verdict_at_rounding(&mut self, elastic: &Phase, tools: &mut Tools) -> Restored {
        let solved = elastic.shape.error(&elastic.at, 0.0).total() <= 1e3 * self.tolerance;
        let before = norm_inf(&self.at.residual);
        if norm_inf(&elastic_violation(elastic)) <= before {
            self.take_over(elastic, tools);
        }
        let violation = norm_inf(&self.at.residual);
        if solved && violation > FEASIBLE * self.tolerance { Restored::Infeasible } else { Restored::Failed }
    }
}

/// p - q of each row: what the rows lack.
fn elastic_violation(elastic: &Phase) -> Vec<f64> {
    let m = elastic.shape.m;
    let split = elastic.shape.count() - 2 * m;
    (0..m).map(|i| elastic.at.u[split + i] - elastic.at.u[split + m + i]).collect()
}
