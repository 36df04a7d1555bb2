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
//! | `iterate` | the main loop that these steps make |
//! | `predictor_corrector` | the main loop of linear and convex quadratic programs |
//! | `central_start` | where that starts |
//! | `attempt` | the forms of a problem, one after the other |
//! | `progress` | what is noted of the iterations |
//! | `answer` | from iterates to answers of the problem itself |
//! | `second`, `limited_memory` | second derivatives that the problem doesn't give |
//! | `sensitivity` | how a solution moves with the problem |

mod answer;
mod attempt;
mod barrier;
mod central_start;
mod filter;
mod form;
mod inertia;
mod iterate;
mod limited_memory;
mod line_search;
mod newton;
mod phase;
mod predictor_corrector;
mod progress;
mod restoration;
mod second;
mod sensitivity;
mod start;

use super::error::Error;
use super::evaluator::Evaluator;
use super::kkt::KktMatrix;
use super::solution::{Finished, Outcome, Solution, Start};
use crate::control::{Counts, Limits, Monitor, Run};
use crate::problem::NonlinearProgram;
use answer::Answer;
use attempt::{Attempt, Work};
use form::{Kind, Model};
use line_search::LineSearch;
use newton::{Newton, Step};
use phase::{Iterate, Shape};
use progress::{Best, Crawl, Log, Stall};
pub use second::SecondDerivatives;
pub use sensitivity::Sensitivity;

/// Names of the trace's own columns.
pub const COLUMNS: [&str; 8] =
    ["violation", "dual", "mu", "step", "dual_step", "shift", "trials", "restoring"];

/// The interior point method.
///
/// Each iteration factors one symmetric indefinite matrix of n + m rows and evaluates W once, f and c once per trial step, and
/// their derivatives once.
#[derive(Clone, Debug, PartialEq)]
pub struct InteriorPoint {
    /// When to stop; the tolerance is compared with the error E, see [`KktError`](super::KktError).
    pub limits: Limits,
    /// Whether functions are scaled by their gradients at the start.
    pub scaling: bool,
    /// Bounds move outwards by this share of their size, at least of one, while the problem is solved.
    pub bound_relaxation: f64,
    /// Where second derivatives come from.
    pub second_derivatives: SecondDerivatives,
    /// Whether linear and convex quadratic programs are solved by Mehrotra's predictor and corrector.
    pub predictor_corrector: bool,
}

impl Default for InteriorPoint {
    fn default() -> Self {
        let limits = Limits { tolerance: 1e-8, max_iterations: 10_000, time_limit: None };
        Self {
            limits,
            scaling: true,
            bound_relaxation: 0.0,
            second_derivatives: SecondDerivatives::Automatic,
            predictor_corrector: true,
        }
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
    /// Dual residual of the iterate before.
    last_dual: Option<f64>,
    stall: Stall,
    /// Whether mu may go lower than the tolerance asks for.
    polishing: bool,
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
        let stored = evaluator.hessian_pattern().is_some();
        let second = self.second_derivatives.resolved(stored);
        if !stored && second != SecondDerivatives::LimitedMemory {
            return Err(Error::Unsupported(
                "no pattern of the Hessian is stored; limited-memory second derivatives need none".into(),
            ));
        }
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let linear = (0..problem.constraint_count()).all(|row| problem.is_linear(row));
        let exact = second == SecondDerivatives::Exact;
        let quadratic = exact && linear && has_constant_hessian(&mut evaluator);
        if self.scaling {
            evaluator.scale_by_start();
        }
        let finished = self.run(&mut evaluator, &start, (second, quadratic), &mut run)?;
        Solution::close(finished, &mut evaluator, run)
    }

    /// Chooses the form, iterates, and unscales the answer.
    fn run(
        &self,
        evaluator: &mut Evaluator,
        start: &Start,
        (second, quadratic): (SecondDerivatives, bool),
        run: &mut Run,
    ) -> Result<Finished, Error> {
        let mut answer = Answer::new(evaluator);
        let mut log = Log::default();
        let mut work = Work::default();
        let start = *start;
        let mut constants = vec![0.0; evaluator.rows()];
        let fixed = evaluator.bounds().with_fixed(start.x.unwrap_or(evaluator.start()));
        // values that aren't finite show again at the start
        let _ = evaluator.unscaled(|evaluator| evaluator.values(&fixed, &mut constants));
        let (equations, free) = count_equations(evaluator);
        let constant = has_constant_objective(evaluator);
        let mut attempt = Attempt {
            solver: self,
            second,
            constants,
            log: &mut log,
            work: &mut work,
            best: Best::new(answer.clone(), self.limits.tolerance),
            evaluator,
            quadratic,
            constant,
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
            // bounds keep a fit as far from the equations as mu, but not the problem itself
            let nearly =
                equations > free && attempt.may_go_on(fit, run) && attempt.nearly_satisfies(fit, &fitted);
            if fit == Outcome::Acceptable {
                // as a fit, not as an answer to the problem
                fit = Outcome::LineSearchFailed;
            }
            if nearly || fit == Outcome::Optimal || !attempt.violates(&fitted) {
                let again = Start { x: Some(&fitted.x), ..Start::default() };
                outcome = attempt.solve(Kind::Problem, &again, run, &mut answer)?;
                if nearly && !outcome.is_a_verdict() {
                    (outcome, answer) = (fit, fitted);
                }
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
        if !outcome.is_a_verdict() {
            attempt.best.replace(&mut answer);
        }
        attempt.note_second_derivatives();
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

/// The start, or for `side` one a point away from it in no particular direction.
fn sample(evaluator: &Evaluator, side: usize) -> Vec<f64> {
    let shift = |(j, x): (usize, &f64)| x + side as f64 * (0.7 + (j as f64).sin()) * (1.0 + x.abs());
    evaluator.start().iter().enumerate().map(shift).collect()
}

/// Whether f has no derivatives at the start nor away from it: the problem asks for any feasible point.
fn has_constant_objective(evaluator: &mut Evaluator) -> bool {
    let mut gradient = vec![0.0; evaluator.variables()];
    let mut jacobian = vec![0.0; evaluator.jacobian_pattern().nnz()];
    (0..2).all(|side| {
        let x = sample(evaluator, side);
        evaluator.derivatives(&x, &mut gradient, &mut jacobian).is_ok() && gradient.iter().all(|g| *g == 0.0)
    })
}

/// Whether the Hessian of f is the same at the start and away from it, as far as rounding shows.
fn has_constant_hessian(evaluator: &mut Evaluator) -> bool {
    let count = evaluator.hessian_pattern().map_or(0, |pattern| pattern.nnz());
    let y = vec![0.0; evaluator.rows()];
    let mut values = [vec![0.0; count], vec![0.0; count]];
    for (side, values) in values.iter_mut().enumerate() {
        let x = sample(evaluator, side);
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
