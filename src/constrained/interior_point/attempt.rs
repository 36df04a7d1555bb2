//! The forms of a problem, one after the other, until one of them is solved.

use super::super::error::Error;
use super::super::evaluator::Evaluator;
use super::super::kkt::KktMatrix;
use super::super::scaling::Scaling;
use super::super::solution::{Outcome, Start};
use super::answer::Answer;
use super::form::{Form, Kind, Model};
use super::limited_memory::PAIRS;
use super::progress::{Best, Log};
use super::second::SecondDerivatives;
use super::{InteriorPoint, Phase, Tools};
use crate::control::Run;
use crate::linalg::factor::FactorError;

/// Solves one form after the other.
pub(super) struct Attempt<'a, 'e, 'p> {
    pub solver: &'a InteriorPoint,
    pub evaluator: &'e mut Evaluator<'p>,
    /// Where second derivatives come from.
    pub second: SecondDerivatives,
    /// c at the start.
    pub constants: Vec<f64>,
    pub log: &'a mut Log,
    pub work: &'a mut Work,
    /// The best iterate of all forms that are the problem itself.
    pub best: Best,
    /// Whether rows are linear and the Hessian is constant.
    pub quadratic: bool,
    /// Whether the objective is constant.
    pub constant: bool,
    /// Whether slow progress is to be borne.
    pub patient: bool,
    /// Whether the last attempt ended for slow progress.
    pub crawled: bool,
}

impl Attempt<'_, '_, '_> {
    /// Solves the problem or its least-squares form; the answer is that of the last iterate.
    pub fn solve(
        &mut self,
        kind: Kind,
        start: &Start,
        run: &mut Run,
        answer: &mut Answer,
    ) -> Result<Outcome, Error> {
        if kind == Kind::Problem {
            return self.solve_scaled(kind, start, run, answer);
        }
        // a sum of squares of rows scaled each by its own factor would be another one
        let own = self.evaluator.scaling().clone();
        let least = own.constraints.iter().copied().fold(1.0, f64::min);
        let constraints = vec![least; own.constraints.len()];
        self.evaluator.set_scaling(Scaling { objective: own.objective, constraints });
        let outcome = self.solve_scaled(kind, start, run, answer);
        self.evaluator.set_scaling(own);
        outcome
    }

    fn solve_scaled(
        &mut self,
        kind: Kind,
        start: &Start,
        run: &mut Run,
        answer: &mut Answer,
    ) -> Result<Outcome, Error> {
        let relaxation = self.solver.bound_relaxation;
        let limited = self.second == SecondDerivatives::LimitedMemory;
        let form = Form::new(self.evaluator, &self.constants, kind, relaxation, limited);
        if let Some((row, violation)) = form.broken_row {
            self.work.notes.push(format!(
                "constraint {row} depends on no free variable and is violated by {violation:.3e}"
            ));
            answer.x = self.evaluator.bounds().with_fixed(start.x.unwrap_or(self.evaluator.start()));
            return Ok(Outcome::LocallyInfeasible);
        }
        // the answer where time is up before the first iterate
        answer.x.copy_from_slice(start.x.unwrap_or(self.evaluator.start()));
        let mut kkt = KktMatrix::new(&form.hessian.pattern, &form.jacobian.pattern)?;
        kkt.set_deadline(run.deadline());
        let by_differences = self.second == SecondDerivatives::Differences;
        let mut tools = Tools { model: Model::new(self.evaluator, form, by_differences), kkt };
        tools.model.constant_hessian = self.quadratic;
        tools.model.constant_objective = self.constant && kind == Kind::Problem;
        let mut run_phases = || -> Result<Outcome, Error> {
            let given = start.multipliers.is_some();
            let tolerance = self.solver.limits.tolerance;
            let warm = start.lower_multipliers.is_some() && start.upper_multipliers.is_some();
            let Some(mut phase) = Phase::at_start(&mut tools, start, given, tolerance)? else {
                answer.x.copy_from_slice(start.x.unwrap_or(tools.model.evaluator.start()));
                return Ok(Outcome::EvaluationError);
            };
            let notes = &mut self.work.notes;
            if self.quadratic && self.solver.predictor_corrector && kind == Kind::Problem && !warm {
                let outcome = phase.solve_quadratic(&mut tools, run, self.log, answer, &mut self.best)?;
                if let Some(outcome) = outcome {
                    if outcome != Outcome::Optimal {
                        phase.judge(&mut tools, answer);
                    }
                    notes.push(phase.newton.kind_of_quadratic().into());
                    return Ok(outcome);
                }
                let Some(again) = Phase::at_start(&mut tools, start, given, tolerance)? else {
                    return Ok(Outcome::EvaluationError);
                };
                phase = again;
            }
            phase.crawl.patient = kind == Kind::Problem && self.patient || kind == Kind::GaussNewton;
            phase.crawl.hasty = tools.model.constant_objective;
            let outcome = match phase.iterate(&mut tools, run, self.log, answer, &mut self.best) {
                Err(Error::Factorization(FactorError::OutOfTime { .. })) => Outcome::TimeLimit,
                other => other?,
            };
            self.crawled |= kind == Kind::Problem && phase.crawl.is_enough();
            if outcome != Outcome::Optimal {
                phase.judge(&mut tools, answer);
            }
            if self.quadratic && kind == Kind::Problem {
                notes.push(phase.newton.kind_of_quadratic().into());
            }
            if phase.newton.shifts.dependent > 0 {
                notes.push(format!(
                    "the constraints' gradients were linearly dependent in {} iterations",
                    phase.newton.shifts.dependent
                ));
            }
            Ok(outcome)
        };
        let outcome = match run_phases() {
            Err(Error::Factorization(FactorError::OutOfTime { .. })) => Outcome::TimeLimit,
            other => other?,
        };
        self.work.factorizations += tools.kkt.factorizations();
        self.work.seconds += tools.kkt.seconds();
        Ok(outcome)
    }

    /// Which second derivatives were used, where they were not the problem's own.
    pub fn note_second_derivatives(&mut self) {
        let note = match self.second {
            SecondDerivatives::LimitedMemory => format!("second derivatives: BFGS of {PAIRS} pairs"),
            SecondDerivatives::Differences => "second derivatives: differences of gradients".into(),
            SecondDerivatives::Automatic | SecondDerivatives::Exact => return,
        };
        self.work.notes.push(note);
    }

    pub fn may_go_on(&self, outcome: Outcome, run: &Run) -> bool {
        let ended = matches!(
            outcome,
            Outcome::TimeLimit | Outcome::IterationLimit | Outcome::Interrupted | Outcome::EvaluationError
        );
        !ended && run.should_stop().is_none()
    }

    /// Whether a fit that came to no verdict ends close to the equations, but not close enough.
    pub fn nearly_satisfies(&self, fit: Outcome, answer: &Answer) -> bool {
        let violation = answer.error(self.evaluator).scaled.constraint_violation;
        let tolerance = self.solver.limits.tolerance;
        let open = fit == Outcome::Acceptable || !fit.is_a_verdict();
        open && violation > tolerance && violation <= tolerance.sqrt()
    }

    pub fn violates(&self, answer: &Answer) -> bool {
        !(answer.error(self.evaluator).scaled.constraint_violation <= self.solver.limits.tolerance)
    }
}

/// What a run did besides evaluations.
#[derive(Default)]
pub(super) struct Work {
    pub factorizations: u64,
    pub seconds: f64,
    pub notes: Vec<String>,
}
