//! A primal-dual interior point with a filter line search, for every smooth nonlinear program
//! (Waechter and Biegler, Mathematical Programming 106, 2006).
//!
//! Bounds are kept by logarithms: for mu -> 0 Newton's method follows the solutions of
//! min f(x) - mu sum ln(distances to bounds) subject to c(x) = 0, inequalities having slacks. A step is accepted if it lowers the
//! violation or the barrier function and no earlier iterate was better in both (the filter); where no step along the Newton
//! direction is, the restoration looks for a less infeasible point.
//!
//! | file | what |
//! | --- | --- |
//! | `form` | the problem with slacks, without fixed variables |
//! | `phase` | the barrier problem, its iterates, its error |
//! | `start` | the first iterate |
//! | `barrier` | the rule for mu |
//! | `newton`, `inertia` | the linear systems and the shifts that give them the right inertia |
//! | `filter`, `line_search` | which steps are taken |
//! | `restoration` | the way back to feasibility |
//! | `answer` | from iterates to answers of the problem itself |
//! | `second` | second derivatives by differences |
//! | `sensitivity` | how a solution moves with the problem |

mod answer;
mod barrier;
mod filter;
mod form;
mod inertia;
mod line_search;
mod newton;
mod phase;
mod restoration;
mod second;
mod sensitivity;
mod start;

use super::error::Error;
use super::evaluator::Evaluator;
use super::kkt::KktMatrix;
use super::scaling::Scaling;
use super::solution::{Finished, Outcome, Solution, Start};
use super::termination::KktError;
use crate::control::{Counts, Limits, Monitor, Run, Status};
use crate::linalg::product::norm_inf;
use crate::problem::NonlinearProgram;
use answer::{Answer, LeastSquares};
use form::{Form, Kind, Model};
use line_search::{LineSearch, Taken};
use newton::{Newton, Step};
use phase::{Iterate, Shape};
use restoration::Restored;
pub use second::SecondDerivatives;
pub use sensitivity::Sensitivity;

/// Names of the trace's own columns.
pub const COLUMNS: [&str; 8] =
    ["violation", "dual", "mu", "step", "dual_step", "shift", "trials", "restoring"];

/// Iterates this large have no limit.
const DIVERGING: f64 = 1e20;
/// So many acceptable iterations in a row end the run.
const ACCEPTABLE_ITERATIONS: usize = 15;
/// In the least-squares form, a step shortened so often shows that the slacks have strayed from the equations.
const MANY_TRIALS: usize = 16;
/// Iterations of the least-squares form that may go on after its tolerance is met, for the sake of consistent equations.
const SETTLED_ITERATIONS: usize = 30;

/// The interior point method.
///
/// Each iteration factors one symmetric indefinite matrix of n + m rows and evaluates W once, f and c once per trial step, and
/// their derivatives once.
#[derive(Clone, Debug, PartialEq)]
pub struct InteriorPoint {
    /// When to stop; the tolerance is compared with the error E, see [`KktError`].
    pub limits: Limits,
    /// Whether functions are scaled by their gradients at the start.
    pub scaling: bool,
    /// Bounds move outwards by this share of their size, at least of one, while the problem is solved.
    pub bound_relaxation: f64,
    /// Where second derivatives come from.
    pub second_derivatives: SecondDerivatives,
}

impl Default for InteriorPoint {
    fn default() -> Self {
        let limits = Limits { tolerance: 1e-8, max_iterations: 10_000, time_limit: None };
        Self { limits, scaling: true, bound_relaxation: 0.0, second_derivatives: SecondDerivatives::Exact }
    }
}

/// What the phases of a run share.
struct Tools<'e, 'p> {
    model: Model<'e, 'p>,
    kkt: KktMatrix,
}

/// A barrier problem in the course of its solution.
struct Phase {
    shape: Shape,
    at: Iterate,
    trial: Iterate,
    step: Step,
    newton: Newton,
    search: LineSearch,
    tolerance: f64,
    /// Whether the iterate has moved since its dual residual was computed.
    dual_is_stale: bool,
    crawl: Crawl,
    /// In the least-squares form, how many iterates met the tolerance already.
    settled: usize,
}

impl InteriorPoint {
    /// Solves from the problem's start.
    ///
    /// # Errors
    /// A problem that isn't one; an option out of its range.
    pub fn solve<P: NonlinearProgram>(&self, problem: &P) -> Result<Solution, Error> {
        self.solve_with(problem, Start::default(), &mut Monitor::none())
    }

    /// Solves from a given start, watched by a monitor. A start with multipliers of bounds is taken as the answer to a similar
    /// problem: it is moved inside its bounds by next to nothing, and mu starts where it ended.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); a start of the wrong length or with an entry that isn't finite.
    pub fn solve_with<P: NonlinearProgram>(
        &self,
        problem: &P,
        start: Start,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.limits.check().map_err(Error::Option)?;
        let mut evaluator = Evaluator::new(problem)?;
        start::check(&start, evaluator.variables(), evaluator.rows())?;
        if !(self.bound_relaxation >= 0.0 && self.bound_relaxation < 1.0) {
            let value = self.bound_relaxation;
            return Err(Error::Option(format!("bound_relaxation is {value}; it must lie in [0, 1)")));
        }
        if evaluator.hessian_pattern().is_none() {
            return Err(Error::Unsupported("the Hessian has too many entries to be stored".into()));
        }
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let linear = (0..problem.constraint_count()).all(|row| problem.is_linear(row));
        let exact = self.second_derivatives == SecondDerivatives::Exact;
        let quadratic = exact && linear && has_constant_hessian(&mut evaluator);
        if self.scaling {
            evaluator.scale_by_start();
        }
        let finished = self.run(&mut evaluator, &start, quadratic, &mut run)?;
        Solution::close(finished, &mut evaluator, run)
    }

    /// Chooses the form, iterates, and unscales the answer.
    fn run(
        &self,
        evaluator: &mut Evaluator,
        start: &Start,
        quadratic: bool,
        run: &mut Run,
    ) -> Result<Finished, Error> {
        let mut answer = Answer::new(evaluator);
        let mut log = Log::default();
        let mut work = Work::default();
        let start = *start;
        let mut constants = vec![0.0; evaluator.rows()];
        // values that aren't finite show again at the start
        let _ = evaluator.values(start.x.unwrap_or(evaluator.start()), &mut constants);
        let (equations, free) = count_equations(evaluator);
        let mut attempt = Attempt {
            solver: self,
            evaluator,
            constants,
            log: &mut log,
            work: &mut work,
            quadratic,
            patient: equations == 0,
            crawled: false,
        };
        let mut outcome = Outcome::RestorationFailed;
        if equations <= free {
            outcome = attempt.solve(Kind::Problem, &start, run, &mut answer)?;
        }
        // more equations than variables, or a failure to satisfy them: the least sum of squares decides what is possible
        let least_squares = equations > 0 && !matches!(outcome, Outcome::Optimal | Outcome::Acceptable);
        if least_squares && attempt.may_go_on(outcome, run) && (equations > free || attempt.violates(&answer))
        {
            let mut fitted = Answer::new(attempt.evaluator);
            let first = Start { x: start.x, ..Start::default() };
            let mut fit = attempt.solve(Kind::LeastSquares, &first, run, &mut fitted)?;
            if attempt.may_go_on(fit, run)
                && !matches!(fit, Outcome::Optimal | Outcome::LeastSquaresStationary)
            {
                fit = attempt.solve(Kind::GaussNewton, &first, run, &mut fitted)?;
            }
            if fit == Outcome::Optimal {
                let again = Start { x: Some(&fitted.x), ..Start::default() };
                outcome = attempt.solve(Kind::Problem, &again, run, &mut answer)?;
            } else if equations > free {
                (outcome, answer) = (fit, fitted);
            } else if attempt.may_go_on(fit, run) && attempt.crawled {
                let from = answer.x.clone();
                attempt.patient = true;
                outcome = attempt.solve(
                    Kind::Problem,
                    &Start { x: Some(&from), ..Start::default() },
                    run,
                    &mut answer,
                )?;
            } else if matches!(fit, Outcome::TimeLimit | Outcome::Interrupted | Outcome::IterationLimit) {
                outcome = fit;
            }
        }
        answer.complete(evaluator);
        let Answer { x, multipliers, lower_multipliers, upper_multipliers, .. } = answer;
        Ok(Finished {
            method: "interior-point",
            outcome,
            x,
            multipliers,
            lower_multipliers,
            upper_multipliers,
            counts: Counts::from([
                ("factorizations", work.factorizations),
                ("restorations", log.restorations),
            ]),
            linear_algebra_seconds: work.seconds,
            notes: work.notes,
        })
    }
}

/// Solves one form after the other.
struct Attempt<'a, 'e, 'p> {
    solver: &'a InteriorPoint,
    evaluator: &'e mut Evaluator<'p>,
    /// c at the start.
    constants: Vec<f64>,
    log: &'a mut Log,
    work: &'a mut Work,
    /// Whether rows are linear and the Hessian is constant.
    quadratic: bool,
    /// Whether slow progress is to be borne.
    patient: bool,
    /// Whether the last attempt ended for slow progress.
    crawled: bool,
}

impl Attempt<'_, '_, '_> {
    /// Solves the problem or its least-squares form; the answer is that of the last iterate.
    fn solve(
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
        let form = Form::new(self.evaluator, &self.constants, kind, relaxation);
        let work = &mut *self.work;
        if let Some((row, violation)) = form.broken_row {
            work.notes.push(format!(
                "constraint {row} depends on no free variable and is violated by {violation:.3e}"
            ));
            answer.x.copy_from_slice(start.x.unwrap_or(self.evaluator.start()));
            return Ok(Outcome::LocallyInfeasible);
        }
        let kkt = KktMatrix::new(&form.hessian.pattern, &form.jacobian.pattern)?;
        let by_differences = self.solver.second_derivatives == SecondDerivatives::Differences;
        let mut tools = Tools { model: Model::new(self.evaluator, form, by_differences), kkt };
        tools.model.constant_hessian = self.quadratic;
        let given = start.multipliers.is_some();
        let outcome = match Phase::at_start(&mut tools, start, given, self.solver.limits.tolerance)? {
            Some(mut phase) => {
                phase.crawl.patient = kind == Kind::Problem && self.patient || kind == Kind::GaussNewton;
                let outcome = phase.iterate(&mut tools, run, self.log, answer)?;
                self.crawled |= kind == Kind::Problem && phase.crawl.is_enough();
                answer.take(&phase.shape, &mut tools.model, &phase.at);
                if self.quadratic && kind == Kind::Problem {
                    work.notes.push(phase.newton.kind_of_quadratic().into());
                }
                if phase.newton.shifts.dependent > 0 {
                    work.notes.push(format!(
                        "the constraints' gradients were linearly dependent in {} iterations",
                        phase.newton.shifts.dependent
                    ));
                }
                outcome
            }
            None => {
                answer.x.copy_from_slice(start.x.unwrap_or(tools.model.evaluator.start()));
                Outcome::EvaluationError
            }
        };
        work.factorizations += tools.kkt.factorizations();
        work.seconds += tools.kkt.seconds();
        Ok(outcome)
    }

    fn may_go_on(&self, outcome: Outcome, run: &Run) -> bool {
        let ended = matches!(outcome, Outcome::TimeLimit | Outcome::Interrupted | Outcome::EvaluationError);
        !ended && run.should_stop().is_none()
    }

    fn violates(&self, answer: &Answer) -> bool {
        !(answer.error(self.evaluator).scaled.constraint_violation <= self.solver.limits.tolerance)
    }
}

/// What a run did besides evaluations.
#[derive(Default)]
struct Work {
    factorizations: u64,
    seconds: f64,
    notes: Vec<String>,
}

/// Whether the Hessian of f is the same at the start and away from it, as far as rounding shows.
fn has_constant_hessian(evaluator: &mut Evaluator) -> bool {
    let count = evaluator.hessian_pattern().map_or(0, |pattern| pattern.nnz());
    let y = vec![0.0; evaluator.rows()];
    let mut values = [vec![0.0; count], vec![0.0; count]];
    for (side, values) in values.iter_mut().enumerate() {
        let shift = |(j, x): (usize, &f64)| x + side as f64 * (0.7 + (j as f64).sin()) * (1.0 + x.abs());
        let x: Vec<f64> = evaluator.start().iter().enumerate().map(shift).collect();
        if evaluator.hessian(&x, 1.0, &y, values).is_err() {
            return false;
        }
    }
    let [here, there] = &values;
    here.iter().zip(there).all(|(a, b)| (a - b).abs() <= 1e-12 * a.abs().max(b.abs()))
}

/// Numbers of equations and of free variables.
fn count_equations(evaluator: &Evaluator) -> (usize, usize) {
    let bounds = evaluator.bounds();
    let free = (0..evaluator.variables()).filter(|&j| bounds.lower[j] < bounds.upper[j]).count();
    let equations = (0..evaluator.rows()).filter(|&i| bounds.is_equation(i)).count();
    (equations, free)
}

impl Phase {
    /// The main loop.
    fn iterate(
        &mut self,
        tools: &mut Tools,
        run: &mut Run,
        log: &mut Log,
        answer: &mut Answer,
    ) -> Result<Outcome, Error> {
        let mut acceptable = Acceptable::default();
        loop {
            // 1. how far from a solution?
            let error = self.judge(tools, answer);
            if let Some(status) = log.record(run, self, tools, error.certificate(self.tolerance)) {
                return Ok(status.into());
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
                    if tools.model.form.least_squares {
                        let strayed = taken.trials >= MANY_TRIALS;
                        self.newton.shifts.restrain(strayed);
                        if strayed {
                            self.reset_slacks(tools);
                        }
                    }
                }
                None => {
                    if let Some(outcome) = self.return_to_feasibility(tools, run, log, answer)? {
                        return Ok(outcome);
                    }
                }
            }
            self.settle(tools);
        }
    }

    /// The error of the problem at the iterate.
    fn judge(&mut self, tools: &mut Tools, answer: &mut Answer) -> KktError {
        answer.take(&self.shape, &mut tools.model, &self.at);
        let mut error = answer.error(tools.model.evaluator);
        if tools.model.form.least_squares {
            // the first-order conditions say nothing here; only the residual and its derivative do
            let fit = LeastSquares::at(&self.shape, &tools.model, &self.at);
            error.error = fit.violation.max(self.tolerance.next_up());
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

    /// The Newton direction at the iterate; false where no shift makes the system usable.
    fn find_direction(&mut self, tools: &mut Tools) -> Result<bool, Error> {
        let Tools { model, kkt } = tools;
        self.newton.direction(&self.shape, &model.form, kkt, &self.at, &mut self.step)
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
    fn settle(&mut self, tools: &mut Tools) {
        if std::mem::take(&mut self.dual_is_stale) {
            self.shape.set_dual(&tools.model.form, &mut self.at);
        }
    }
}

/// Short steps that hardly lower the violation.
#[derive(Default)]
struct Crawl {
    /// Never enough.
    patient: bool,
    count: usize,
    violation: f64,
}

impl Crawl {
    /// A step below this is short.
    const SHORT: f64 = 0.1;
    /// So many short steps, without the violation halved, are enough.
    const ENOUGH: usize = 60;

    /// A violation of NaN isn't looked at: there any longer step is progress.
    fn note(&mut self, step: f64, violation: f64) {
        let progress =
            if violation.is_nan() { step >= Self::SHORT } else { violation <= 0.5 * self.violation };
        if progress || self.count == 0 {
            (self.count, self.violation) = (0, violation);
        }
        self.count += usize::from(step < Self::SHORT);
    }

    fn is_enough(&self) -> bool {
        !self.patient && self.count >= Self::ENOUGH
    }
}

/// Acceptable iterations in a row, and the error when they were last counted.
#[derive(Default)]
struct Acceptable {
    count: usize,
    error: f64,
}

impl Acceptable {
    /// Whether there were enough of them, the error hardly falling.
    fn is_enough(&mut self, error: &KktError) -> bool {
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

/// What the trace says of an iteration besides its certificate.
#[derive(Default)]
struct Log {
    last: Taken,
    shift: f64,
    restorations: u64,
}

impl Log {
    fn taken(&mut self, taken: Taken, phase: &Phase) {
        self.last = taken;
        self.shift = phase.newton.shifts.dw;
    }

    fn record(&mut self, run: &mut Run, phase: &Phase, tools: &Tools, certificate: f64) -> Option<Status> {
        let objective = phase.at.objective
            / if tools.model.form.least_squares { 1.0 } else { tools.model.evaluator.scaling().objective };
        self.columns(run, phase, objective, certificate, 0.0)
    }

    fn record_restoration(&mut self, run: &mut Run, elastic: &Phase, tools: &mut Tools) -> Option<Status> {
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
