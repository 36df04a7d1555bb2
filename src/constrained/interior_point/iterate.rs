//! The main loop: one barrier problem after the other.

use super::super::error::Error;
use super::super::solution::Outcome;
use super::super::termination::KktError;
use super::answer::{Answer, LeastSquares};
use super::inertia::LIFT;
use super::progress::{Acceptable, Best, Log, Polish};
use super::restoration::Restored;
use super::{Phase, Tools};
use crate::control::Run;
use crate::linalg::factor::FactorError;
use crate::linalg::product::norm_inf;

/// Iterates this large have no limit.
const DIVERGING: f64 = 1e20;
/// In the least-squares form, a step shortened so often shows that the slacks have strayed from the equations.
const MANY_TRIALS: usize = 16;
/// A dual residual that keeps more than this share of itself falls slowly.
const SLOW_DUAL: f64 = 0.3;
/// A step of this length is as good as a full one.
const PLAIN_STEP: f64 = 0.9;
/// Violation up to which an iterate is next to feasible.
const NEXT_TO_FEASIBLE: f64 = 1e-6;
/// Iterations of the least-squares form that may go on after its tolerance is met, for the sake of consistent equations.
const SETTLED_ITERATIONS: usize = 30;

impl Phase {
    /// Goes on until the iterate is a solution, or can't become one.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn iterate(
        &mut self,
        tools: &mut Tools,
        run: &mut Run,
        log: &mut Log,
        answer: &mut Answer,
        best: &mut Best,
    ) -> Result<Outcome, Error> {
        let mut polish = Polish::new();
        match self.follow_barrier(tools, run, log, answer, best, &mut polish) {
            Ok(Outcome::Optimal) => Ok(Outcome::Optimal),
            Err(Error::Factorization(FactorError::OutOfTime { .. })) if polish.restore(answer) => {
                Ok(Outcome::Optimal)
            }
            Ok(_) if polish.restore(answer) => Ok(Outcome::Optimal),
            other => other,
        }
    }

    fn follow_barrier(
        &mut self,
        tools: &mut Tools,
        run: &mut Run,
        log: &mut Log,
        answer: &mut Answer,
        best: &mut Best,
        polish: &mut Polish,
    ) -> Result<Outcome, Error> {
        let mut acceptable = Acceptable::default();
        loop {
            // 1. how far from a solution?
            let error = self.judge(tools, answer);
            if !tools.model.form.least_squares {
                best.offer(answer, &error, self.objective(tools));
            }
            let certificate = self.certificate(tools, answer, &error, polish);
            if let Some(status) = log.record(run, self, tools, certificate) {
                return Ok(status.into());
            }
            if polish.is_over() {
                return Ok(Outcome::Acceptable);
            }
            if acceptable.is_enough(&error) {
                return Ok(Outcome::Acceptable);
            }
            if let Some(outcome) = self.verdict(tools) {
                return Ok(outcome);
            }
            // 2. the barrier parameter
            if !self.update_barrier(tools) {
                return Ok(if error.is_acceptable() {
                    Outcome::Acceptable
                } else {
                    Outcome::LineSearchFailed
                });
            }
            // 3. the Newton direction
            let found = match self.newton.evaluate(&self.shape, &mut tools.model, &self.at) {
                Ok(()) => self.find_direction(tools)?,
                Err(_) => self.newton.forget_hessian() && self.find_direction(tools)?,
            };
            // 4. the step along it
            let taken = self.search(tools, found)?;
            // 5. or the way back to feasibility
            match taken {
                Some(taken) => {
                    log.taken(taken, self);
                    let fitting = tools.model.form.least_squares;
                    self.crawl.note(taken.primal, if fitting { f64::NAN } else { self.at.pair.theta });
                    if fitting {
                        self.follow_equations(tools, taken.trials >= MANY_TRIALS);
                    } else {
                        self.settle(tools);
                        self.shift_rows_where_stalled(taken.primal);
                    }
                }
                None => {
                    if let Some(outcome) = self.return_to_feasibility(tools, run, log, answer)? {
                        return Ok(outcome);
                    }
                }
            }
            self.settle(tools);
            self.renew_multipliers(tools)?;
        }
    }

    /// Where full steps next to feasibility bring nothing, gradients of rows are so nearly dependent that their multipliers jump to and
    /// fro: from there on the rows are shifted.
    fn shift_rows_where_stalled(&mut self, step: f64) {
        let Phase { shape, at, newton, stall, .. } = self;
        let newton_step = step >= PLAIN_STEP && newton.shifts.dw <= LIFT;
        let plain = shape.m > 0 && newton_step && norm_inf(&at.residual) <= NEXT_TO_FEASIBLE;
        let error = shape.error(at, shape.mu).total();
        if stall.note(shape.mu, error, plain) {
            newton.shifts.shift_rows();
        }
    }

    /// Where gradients of rows depend on each other, Newton's method leaves their multipliers to drift, and with them W: those of
    /// least squares are taken where they are better and the iterate is next to feasible.
    fn renew_multipliers(&mut self, tools: &mut Tools) -> Result<(), Error> {
        let dual = norm_inf(&self.at.dual);
        let slow = dual > SLOW_DUAL * self.last_dual.replace(dual).unwrap_or(f64::INFINITY);
        let drifts = self.newton.shifts.dc > 0.0 && slow && norm_inf(&self.at.residual) <= NEXT_TO_FEASIBLE;
        if !drifts || tools.model.form.least_squares || dual <= self.tolerance {
            return Ok(());
        }
        let Phase { shape, at, trial, newton, .. } = self;
        trial.y.clone_from(&at.y);
        newton.least_squares_multipliers(shape, &tools.model.form, &mut tools.kkt, at, f64::MAX)?;
        shape.set_dual(&tools.model.form, at);
        if norm_inf(&at.dual) > SLOW_DUAL * dual {
            at.y.clone_from(&trial.y);
            shape.set_dual(&tools.model.form, at);
        }
        Ok(())
    }

    /// What is compared with the tolerance: the error, or more where the objective isn't settled yet.
    pub fn certificate(
        &mut self,
        tools: &Tools,
        answer: &Answer,
        error: &KktError,
        polish: &mut Polish,
    ) -> f64 {
        let model = &tools.model;
        let solved = error.is_solved(self.tolerance) && !model.constant_objective;
        let gap = self.shape.total_complementarity(&self.at) / model.evaluator.scaling().objective;
        let rough = polish.goes_on(answer, solved, self.objective(tools), gap, self.shape.mu);
        self.polishing = polish.is_under_way();
        let certificate = error.certificate(self.tolerance);
        if rough { certificate.max(self.tolerance.next_up()) } else { certificate }
    }

    /// The error of the problem at the iterate.
    pub fn judge(&mut self, tools: &mut Tools, answer: &mut Answer) -> KktError {
        answer.take(&self.shape, &mut tools.model, &self.at);
        let mut error = answer.error(tools.model.evaluator);
        if tools.model.form.least_squares {
            // the first-order conditions say nothing here; only the residual and its derivative do
            let fit = LeastSquares::at(&self.shape, &tools.model, &self.at);
            error.error = fit.violation.max(self.tolerance.next_up());
        } else if tools.model.constant_objective
            && error.scaled.constraint_violation <= self.tolerance
            && !error.is_solved(self.tolerance)
        {
            answer.forget_multipliers();
            error = answer.error(tools.model.evaluator);
        }
        error
    }

    /// Whether the iterates end the run for another reason than being solved.
    fn verdict(&mut self, tools: &Tools) -> Option<Outcome> {
        if tools.model.form.least_squares {
            let fit = LeastSquares::at(&self.shape, &tools.model, &self.at);
            if fit.violation <= 1e-2 * self.tolerance {
                return Some(Outcome::Optimal);
            }
            self.settled += usize::from(fit.error <= self.tolerance);
            let stationary = fit.is_stationary(self.tolerance) || self.settled > SETTLED_ITERATIONS;
            if !stationary && self.crawl.is_enough() {
                return Some(Outcome::LineSearchFailed);
            }
            return stationary.then_some(Outcome::LeastSquaresStationary);
        }
        if self.crawl.is_enough() && norm_inf(&self.at.residual) > self.tolerance {
            return Some(Outcome::LineSearchFailed);
        }
        let unbounded = self.at.objective < -DIVERGING && norm_inf(&self.at.residual) <= self.tolerance;
        (unbounded || norm_inf(&self.at.u) > DIVERGING).then_some(Outcome::Diverging)
    }

    /// Restores feasibility, unless there is nothing to restore; the outcome where that ends the run.
    fn return_to_feasibility(
        &mut self,
        tools: &mut Tools,
        run: &mut Run,
        log: &mut Log,
        answer: &mut Answer,
    ) -> Result<Option<Outcome>, Error> {
        let stuck = |phase: &mut Self, tools: &mut Tools, answer: &mut Answer, outcome| {
            let error = phase.judge(tools, answer);
            Ok(Some(if error.is_acceptable() { Outcome::Acceptable } else { outcome }))
        };
        if tools.model.form.least_squares {
            if self.reset_slacks(tools) {
                return Ok(None);
            }
            let fit = LeastSquares::at(&self.shape, &tools.model, &self.at);
            let stationary = fit.error <= self.tolerance;
            return Ok(Some(if stationary {
                Outcome::LeastSquaresStationary
            } else {
                Outcome::LineSearchFailed
            }));
        }
        if self.at.pair.theta <= 1e-2 * self.tolerance || self.shape.m == 0 {
            return stuck(self, tools, answer, Outcome::LineSearchFailed);
        }
        log.restorations += 1;
        match self.restore(tools, run, log)? {
            Restored::Back => Ok(None),
            Restored::Infeasible => Ok(Some(Outcome::LocallyInfeasible)),
            Restored::Failed => stuck(self, tools, answer, Outcome::RestorationFailed),
            Restored::Stopped(status) => Ok(Some(status.into())),
        }
    }

    /// f at the iterate, unscaled; in the least-squares form half the sum of squares.
    pub fn objective(&self, tools: &Tools) -> f64 {
        let least_squares = tools.model.form.least_squares;
        self.at.objective / if least_squares { 1.0 } else { tools.model.evaluator.scaling().objective }
    }

    /// The Newton direction at the iterate; false where no shift makes the system usable.
    pub fn find_direction(&mut self, tools: &mut Tools) -> Result<bool, Error> {
        let Tools { model, kkt } = tools;
        self.newton.direction(&self.shape, &model.form, kkt, &self.at, &mut self.step)
    }

    /// In the least-squares form: shorter steps where the slacks have strayed from the equations, and slacks that fit.
    fn follow_equations(&mut self, tools: &mut Tools, strayed: bool) {
        self.newton.shifts.restrain(strayed);
        if strayed {
            self.reset_slacks(tools);
        }
    }

    /// In the least-squares form: the slacks of equations become what is left of them, and so do their multipliers. False where
    /// they already are, or can't be evaluated.
    fn reset_slacks(&mut self, tools: &mut Tools) -> bool {
        let Phase { shape, at, trial, search, .. } = self;
        trial.copy_from(at);
        let mut change = 0.0f64;
        let form = &tools.model.form;
        for (k, (&row, &weight)) in form.slack_rows.iter().zip(&form.slack_curvature).enumerate() {
            if weight > 0.0 {
                let (row, s) = (row as usize, shape.nx + k);
                trial.u[s] += trial.residual[row];
                let size = 1.0 + trial.u[s].abs();
                change = change.max(trial.residual[row].abs() / size);
                change = change.max((trial.y[row] - trial.u[s]).abs() / size);
                trial.y[row] = trial.u[s];
            }
        }
        let evaluated = change > 1e-8
            && shape.evaluate(&mut tools.model, trial).is_ok()
            && shape.differentiate(&mut tools.model, trial).is_ok();
        if evaluated {
            std::mem::swap(at, trial);
            search.reset();
        }
        evaluated
    }

    /// Brings the iterate's dual residual up to date.
    pub fn settle(&mut self, tools: &mut Tools) {
        if std::mem::take(&mut self.dual_is_stale) {
            self.shape.set_dual(&tools.model.form, &mut self.at);
        }
    }
}
