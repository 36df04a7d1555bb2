//! Sequences of sparse symmetric positive definite systems: SOR and SSOR-CG whose omega is known, computed or learned.
//!
//! [`Relaxation`] solves one system A x = b; [`Stream`] solves one after the other and lets a [`policy`] choose omega, or the
//! whole method, from what the systems before cost. Every answer is judged by the residual b - A x, recomputed from x.
//!
//! | file | what is there |
//! | --- | --- |
//! | `operator` | the matrix, checked once; its order, its shift |
//! | `sweep/` | passes over the rows: natural order, by levels, on grids |
//! | `sor`, `eisenstat`, `krylov` | the iterations: SOR, SSOR-CG in Eisenstat's form, CG with other preconditioners, the probe |
//! | `engine` | runs a method; finishes what it left undone |
//! | `explain` | what theory predicts |
//! | [`formula`] | omegas that need no learning |
//! | [`policy`] | omegas chosen by formula, by probing, or learned |
//! | `stream` | a policy and a solver on one system after the other |
//! | [`heat`] | a built-in simulation: the heat equation with a coefficient that changes |
//! | [`shifted`] | another: shifted Laplacians with random right-hand sides |
//!
//! ```
//! use gradus::control::Status;
//! use gradus::relaxation::{Relaxation, heat};
//!
//! let a = heat::laplacian(20, 20);
//! let solution = Relaxation::default().solve(a.view(), &vec![1.0; 400])?;
//! assert_eq!(solution.status, Status::Solved);
//! assert!(solution.relative_residual <= 1e-8);
//! # Ok::<(), gradus::relaxation::Error>(())
//! ```

mod attempt;
mod eisenstat;
mod engine;
mod explain;
pub mod formula;
pub mod heat;
mod krylov;
mod operator;
pub mod policy;
pub mod shifted;
mod solution;
mod sor;
mod stream;
mod sweep;

use std::time::Instant;

use sprs::CsMatViewI;

use crate::control::{Limits, Monitor, Run, Status};
use crate::linalg::product::norm;
pub use attempt::End;
use attempt::{Attempt, Stop, System};
use eisenstat::Lanczos;
use engine::Engine;
pub use explain::Explanation;
pub use operator::{Operator, Ordering};
pub use solution::Solution;
pub use stream::{Answer, BestArm, Configuration, Cost, Stream, System as StreamSystem, Totals};

/// What keeps a system from being solved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The matrix isn't square.
    #[error("the matrix is {rows} x {columns}; a square one is needed")]
    NotSquare {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// An entry of the matrix that isn't finite.
    #[error("the entry in row {}, column {} (from 1) is {value}; it must be finite", row + 1, column + 1)]
    NonFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// Two mirrored entries differ.
    #[error(
        "the matrix is not symmetric: the entry in row {}, column {} (from 1) is {value}, its mirror image {mirrored}",
        row + 1,
        column + 1
    )]
    Asymmetric {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The entry.
        value: f64,
        /// The entry in row `column`, column `row`; 0 where none is stored.
        mirrored: f64,
    },
    /// A diagonal entry that isn't positive.
    #[error("the diagonal entry of row {} (from 1) is {value}; a positive definite matrix has positive ones", row + 1)]
    Diagonal {
        /// Row, from 0.
        row: usize,
        /// The entry; 0 where none is stored.
        value: f64,
    },
    /// A vector of the wrong length.
    #[error("{what} has {given} entries, the matrix {rows} rows")]
    Length {
        /// Which vector.
        what: &'static str,
        /// Its length.
        given: usize,
        /// Rows of the matrix.
        rows: usize,
    },
    /// An entry of a vector that isn't finite.
    #[error("entry {} (from 1) of {what} is {value}; it must be finite", index + 1)]
    Vector {
        /// Which vector.
        what: &'static str,
        /// Index, from 0.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// The matrix has a direction of negative or zero curvature.
    #[error(
        "the matrix is not positive definite{}",
        if rayleigh.is_nan() { String::new() } else { format!(": a direction p was met with p'Ap / p'p = {rayleigh:.3e}") }
    )]
    NotPositiveDefinite {
        /// p'A p / p'p of the direction that was met; NaN where a factorisation found it.
        rayleigh: f64,
    },
    /// An option out of its range.
    #[error("{0}")]
    Option(String),
    /// The name of no policy.
    #[error("no policy '{name}'; there are {known}")]
    UnknownPolicy {
        /// The name.
        name: String,
        /// The names that there are.
        known: &'static str,
    },
    /// The direct solver failed for another reason.
    #[error("{0}")]
    Factorisation(String),
    /// A saved learner that can't be used.
    #[error("{0}")]
    State(String),
}

/// The algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Successive over-relaxation.
    Sor,
    /// Symmetric successive over-relaxation: a forward and a backward sweep an iteration.
    Ssor,
    /// Conjugate gradients with SSOR's preconditioner, in Eisenstat's form.
    #[default]
    SsorCg,
    /// Conjugate gradients with Jacobi's preconditioner.
    Cg,
    /// Conjugate gradients with incomplete Cholesky's preconditioner without fill.
    IncompleteCholeskyCg,
    /// Conjugate gradients with a cycle of algebraic multigrid as preconditioner; its levels are kept while the matrix stays the same.
    MultigridCg,
    /// Sparse Cholesky, kept as long as the matrix stays the same.
    Direct,
}

impl Method {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Sor => "sor",
            Method::Ssor => "ssor",
            Method::SsorCg => "ssor-cg",
            Method::Cg => "cg",
            Method::IncompleteCholeskyCg => "ic-cg",
            Method::MultigridCg => "amg-cg",
            Method::Direct => "direct",
        }
    }

    /// Whether omega has a meaning.
    pub fn has_omega(self) -> bool {
        matches!(self, Method::Sor | Method::Ssor | Method::SsorCg)
    }
}

/// How omega is chosen for one system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Omega {
    /// This value, in (0, 2).
    Fixed(f64),
    /// By formula from the diagonal dominance where that is clear, else from a probe by Jacobi-CG, whose x is kept: at most 50 steps, for
    /// SOR as many as it takes for the estimate to settle.
    #[default]
    Auto,
}

/// Solves one symmetric positive definite system.
#[derive(Clone, Debug)]
pub struct Relaxation {
    /// Solved at |b - A x| <= tolerance |b|. Iterations are sweeps or CG steps, those of a probe included.
    pub limits: Limits,
    /// Solved at |b - A x| <= this, too; whichever comes first.
    pub absolute_tolerance: f64,
    /// The algorithm.
    pub method: Method,
    /// Its omega, for SOR, SSOR and SSOR-CG.
    pub omega: Omega,
    /// The order of the rows.
    pub ordering: Ordering,
    /// Finish a system that the method left undone (iteration limit, divergence, stagnation) by Jacobi-CG, then directly.
    pub fallback: bool,
    /// Estimate the error in the energy norm; SSOR-CG only.
    pub estimate_error: bool,
}

impl Default for Relaxation {
    fn default() -> Self {
        Self {
            limits: Limits { tolerance: 1e-8, ..Limits::default() },
            absolute_tolerance: 0.0,
            method: Method::SsorCg,
            omega: Omega::Auto,
            ordering: Ordering::Natural,
            fallback: true,
            estimate_error: false,
        }
    }
}

/// Above this 1 - beta is taken from the diagonal dominance, without a probe.
const CLEAR_DOMINANCE: f64 = 1e-3;

impl Relaxation {
    /// Solves A x = b from zero.
    ///
    /// # Errors
    /// A matrix that [`Operator::new`] refuses, a right-hand side of the wrong length or with entries that aren't finite, an option
    /// out of range, a matrix that turns out not to be positive definite. Not reaching the tolerance is a status.
    pub fn solve(&self, a: CsMatViewI<f64, u32>, b: &[f64]) -> Result<Solution, Error> {
        self.solve_with(&Operator::with_ordering(a, self.ordering)?, b, None, &mut Monitor::none())
    }

    /// Solves with a matrix made before (whose own order counts), from a starting point, watched.
    ///
    /// # Errors
    /// See [`solve`](Self::solve).
    pub fn solve_with(
        &self,
        operator: &Operator,
        b: &[f64],
        start: Option<&[f64]>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.check()?;
        check_vector("the right-hand side", b, operator.dimension())?;
        start.map_or(Ok(()), |start| check_vector("the starting point", start, operator.dimension()))?;
        let started = Instant::now();
        let limits = Limits { tolerance: 0.0, max_iterations: usize::MAX, ..self.limits.clone() };
        let mut run = Run::start(&limits, monitor, &[]);
        let b_norm = norm(b);
        let scale = if b_norm > 0.0 { b_norm } else { 1.0 };
        let mut watch = |_: usize, residual: f64| {
            // the estimate itself solves nothing
            run.record(f64::NAN, residual / scale, &[]).filter(|status| *status != Status::Solved)
        };
        let inner_b = operator.enter(b);
        let system = System { operator, b: inner_b.as_deref().unwrap_or(b) };
        let mut x = match start {
            // nothing but zero solves A x = 0
            Some(start) if b_norm > 0.0 => operator.enter(start).unwrap_or_else(|| start.to_vec()),
            _ => vec![0.0; b.len()],
        };
        let stop = Stop {
            target: (self.limits.tolerance * b_norm).max(self.absolute_tolerance),
            cap: self.limits.max_iterations,
        };
        let mut r = vec![0.0; b.len()];
        let first = operator.residual(system.b, &x, &mut r);
        let mut course = Course::new(first);
        match watch(0, first) {
            Some(status) if first > stop.target => course.attempt.end = End::Stopped(status),
            _ => self.follow(system, &mut x, stop, &mut course, &mut watch)?,
        }
        let history = run.into_history();
        solution::finish(self, system, x, b, course, history, started.elapsed().as_secs_f64())
    }

    /// Probe, method, fallback, as far as each is needed.
    fn follow(
        &self,
        system: System,
        x: &mut [f64],
        stop: Stop,
        course: &mut Course,
        watch: &mut attempt::Watch,
    ) -> Result<(), Error> {
        let mut engine = Engine::default();
        if course.attempt.residual <= stop.target {
            course.omega = match self.omega {
                Omega::Fixed(omega) => Some(omega),
                Omega::Auto => None,
            };
            return Ok(());
        }
        if self.method.has_omega() {
            match self.omega {
                Omega::Fixed(omega) => course.omega = Some(omega),
                Omega::Auto => {
                    let gap = self.gap(&mut engine, system, x, stop, course, watch)?;
                    course.omega = gap.map(|gap| formula_for(self.method, system.operator, gap));
                }
            }
        }
        if course.is_open(stop) {
            let rest = Stop { cap: stop.cap - course.attempt.iterations, ..stop };
            let omega = course.omega.unwrap_or(1.0);
            let lanczos = self.estimate_error.then_some(&mut course.lanczos);
            let done = engine.attempt(self.method, omega, system, x, rest, lanczos, watch)?;
            course.add(done);
        }
        self.fall_back(engine, system, x, stop, course, watch)
    }

    /// Finishes what the method left undone, if that is wanted.
    fn fall_back(
        &self,
        mut engine: Engine,
        system: System,
        x: &mut [f64],
        stop: Stop,
        course: &mut Course,
        watch: &mut attempt::Watch,
    ) -> Result<(), Error> {
        if self.fallback && matches!(course.attempt.end, End::Capped | End::Diverged | End::Stagnated) {
            let rest = Stop { cap: stop.cap.max(10 * system.b.len()), ..stop };
            let (done, method) = engine.finish(system, x, rest, watch)?;
            course.fallback = Some(method);
            course.add(done);
        }
        match course.attempt.end {
            // positive definite by Gershgorin's theorem: the direction was one of rounding errors
            End::Indefinite(_) if system.operator.dominance() > 0.0 => course.attempt.end = End::Stagnated,
            End::Indefinite(rayleigh) => return Err(Error::NotPositiveDefinite { rayleigh }),
            _ => {}
        }
        Ok(())
    }

    /// 1 - beta, from the dominance or a probe; None if the probe ended the solve.
    fn gap(
        &self,
        engine: &mut Engine,
        system: System,
        x: &mut [f64],
        stop: Stop,
        course: &mut Course,
        watch: &mut attempt::Watch,
    ) -> Result<Option<f64>, Error> {
        let dominance = system.operator.dominance();
        if self.method != Method::Sor && dominance >= CLEAR_DOMINANCE {
            return Ok(Some(dominance));
        }
        let (done, gap) = engine.probe(self.method, system, x, stop, watch)?;
        course.probe_steps = done.iterations;
        course.add(done);
        Ok(gap)
    }

    fn check(&self) -> Result<(), Error> {
        self.limits.check().map_err(Error::Option)?;
        if !(self.absolute_tolerance >= 0.0 && self.absolute_tolerance.is_finite()) {
            let value = self.absolute_tolerance;
            return Err(Error::Option(format!(
                "absolute_tolerance is {value}; it must be finite and not negative"
            )));
        }
        match self.omega {
            Omega::Fixed(omega) => check_omega(omega),
            Omega::Auto => Ok(()),
        }
    }
}

/// The formula that belongs to a method and an order of the rows, at 1 - beta = `gap`.
fn formula_for(method: Method, operator: &Operator, gap: f64) -> f64 {
    match method {
        Method::Sor if operator.is_consistently_ordered() => formula::young(gap),
        // over-relaxation makes SSOR's preconditioner worse when rows are sorted by colour
        Method::Ssor | Method::SsorCg if operator.ordering() == Ordering::Multicolour => 1.0,
        _ => formula::ssor(gap),
    }
}

/// Refuses an omega outside (0, 2): SOR diverges there (Kahan 1958).
pub(crate) fn check_omega(omega: f64) -> Result<(), Error> {
    if omega > 0.0 && omega < 2.0 {
        return Ok(());
    }
    Err(Error::Option(format!("omega is {omega}; relaxation converges only for omega in (0, 2)")))
}

fn check_vector(what: &'static str, vector: &[f64], rows: usize) -> Result<(), Error> {
    if vector.len() != rows {
        return Err(Error::Length { what, given: vector.len(), rows });
    }
    match vector.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::Vector { what, index, value: vector[index] }),
    }
}

/// What has happened to a system so far.
struct Course {
    /// The sum of all runs; end and residual are the last one's.
    attempt: Attempt,
    omega: Option<f64>,
    probe_steps: usize,
    fallback: Option<Method>,
    lanczos: Lanczos,
}

impl Course {
    fn new(residual: f64) -> Self {
        let attempt = Attempt { end: End::Solved, iterations: 0, residual, flops: 0.0 };
        Self { attempt, omega: None, probe_steps: 0, fallback: None, lanczos: Lanczos::default() }
    }

    fn add(&mut self, done: Attempt) {
        let (iterations, flops) =
            (self.attempt.iterations + done.iterations, self.attempt.flops + done.flops);
        self.attempt = Attempt { iterations, flops, ..done };
    }

    /// Whether a probe that went as far as it was to go left the method something to do.
    fn is_open(&self, stop: Stop) -> bool {
        let open = matches!(self.attempt.end, End::Solved | End::Capped);
        open && self.attempt.residual > stop.target
    }
}
