//! Optimal transport with entropy: how to move masses a onto masses b at least cost.
//!
//! min over P >= 0 of <C, P> + eps sum of P_ij (log P_ij - 1) subject to P 1 = a, P'1 = b. The plan has the form
//! P_ij = exp((f_i + g_j - C_ij)/eps) with one potential per point; the smaller eps, the nearer it is to a cheapest
//! plan without entropy and the harder for Sinkhorn's alternating scaling.
//!
//! | file | what |
//! | --- | --- |
//! | `problem` | the statement: masses, costs as a matrix, between points, or between pixels |
//! | `path` | the default: Newton's method on the semi-dual along a path of falling eps |
//! | `sinkhorn` | Sinkhorn's iterations: kernel form, stabilised, log domain |
//! | `newton_sparse`, `safe_newton`, `low_rank` | the published Newton methods, on `full_dual` |
//! | `certificate` | rounding to a feasible plan, the duality gap, an interval for unregularised transport |
//! | `coarse` | a start for many points from the problem of their clusters |
//! | `divergence`, `unbalanced`, `plan` | Sinkhorn's divergence; marginals by a penalty; plans and maps |
//! | `kernel/` | the passes over all entries, dense, streamed with far tiles skipped, or axis by axis |
//! | `sparse_plan` | the large entries of a plan and their Laplacian |
//!
//! ```
//! use gradus::transport::{Cost, Transport, TransportProblem};
//!
//! let problem = TransportProblem {
//!     cost: Cost::Dense { rows: 2, columns: 3, values: vec![0.0, 1.0, 4.0, 4.0, 1.0, 0.0] },
//!     source: vec![0.5, 0.5],
//!     target: vec![0.25, 0.5, 0.25],
//!     regularization: 0.05,
//! };
//! let solution = Transport::default().solve(&problem)?;
//! assert!(solution.marginal_error <= 1e-6 && solution.certificate.value <= 1e-6);
//! // without entropy the cheapest plan costs 0.5
//! assert!(solution.exact_cost.0 <= 0.5 && 0.5 <= solution.exact_cost.1);
//! # Ok::<(), gradus::transport::Error>(())
//! ```

mod certificate;
mod coarse;
mod divergence;
mod full_dual;
pub mod instances;
mod kernel;
mod low_rank;
mod newton_sparse;
mod path;
mod plan;
mod problem;
mod reduced;
mod safe_newton;
mod sinkhorn;
mod solution;
mod sparse_plan;
mod state;
mod unbalanced;

pub use certificate::Rounding;
pub use divergence::{Divergence, divergence};
pub use newton_sparse::Kept;
pub use plan::Plan;
pub use problem::{Cost, Metric, ProblemError, TransportProblem};
pub use sinkhorn::SinkhornForm;
pub use solution::Solution;
pub use unbalanced::{UnbalancedSolution, UnbalancedTransport};

use crate::control::{Limits, Monitor, Run, Status};
use newton_sparse::NewtonSparse;
use path::Schedule;
use reduced::Reduced;
use sinkhorn::Sinkhorn;
use state::State;

/// Which algorithm runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Newton's method on the semi-dual with a certified sparse Hessian, along a path of falling eps; Sinkhorn alone
    /// where eps is so large that it needs few iterations.
    Auto,
    /// Sinkhorn's iterations (Cuturi 2013; stabilised: Schmitzer 2019).
    Sinkhorn,
    /// Sinkhorn-Newton-Sparse (Tang et al. 2024).
    NewtonSparse,
    /// Safe and sparse Newton (Tang and Qiu 2024).
    SafeNewton,
    /// Sparse-plus-low-rank quasi-Newton (Wang and Qiu 2025).
    LowRank,
}

/// A solver of [`TransportProblem`]s.
#[derive(Clone, Debug)]
pub struct Transport {
    /// When to stop; the tolerance is compared with the L1 error of the marginals, |P1 - a| + |P'1 - b|, over the mass.
    pub limits: Limits,
    /// The algorithm.
    pub method: Method,
    /// How [`Method::Sinkhorn`] computes.
    pub sinkhorn_form: SinkhornForm,
    /// Whether [`Method::Sinkhorn`] starts at a large eps and halves it.
    pub scaling: bool,
    /// Power of Sinkhorn's column update, in [1, 2): above 1 over-relaxation.
    pub relaxation: f64,
    /// Sinkhorn iterations before the first Newton step of [`Method::NewtonSparse`].
    pub warm_up: usize,
    /// Entries of the plan that [`Method::NewtonSparse`] keeps.
    pub kept: Kept,
    /// Factor of eps from one stage of the path to the next, in [0.1, 0.95].
    pub stage_factor: f64,
    /// L1 error at which a stage of the path ends, but the last.
    pub stage_tolerance: f64,
    /// Costs between points or pixels are held as a matrix up to this many entries, else computed when needed.
    pub matrix_entries: usize,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            method: Method::Auto,
            sinkhorn_form: SinkhornForm::Stabilized,
            scaling: false,
            relaxation: 1.0,
            warm_up: 20,
            kept: Kept::Mass,
            stage_factor: 0.5,
            stage_tolerance: 0.01,
            matrix_entries: 1 << 20,
        }
    }
}

/// What keeps a solve from starting.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The problem is not one.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// An option is out of range, or two contradict each other.
    #[error("{0}")]
    Option(String),
    /// Starting potentials that don't fit.
    #[error("the start has {given} target potentials, the problem {expected} targets; all must be finite")]
    Start {
        /// Potentials given.
        given: usize,
        /// Targets.
        expected: usize,
    },
}

/// Most entries of a matrix that a method may hold beside the costs.
const MATRIX_LIMIT: usize = 1 << 26;

impl Transport {
    /// Solves from zero potentials.
    ///
    /// # Errors
    /// A problem or an option that is not allowed. Not reaching the tolerance is a status.
    pub fn solve(&self, problem: &TransportProblem) -> Result<Solution, Error> {
        self.solve_with(problem, None, &mut Monitor::none())
    }

    /// Solves from given target potentials g (those of a neighbouring problem, say), watched by a monitor.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); potentials of the wrong number, or not finite.
    pub fn solve_with(
        &self,
        problem: &TransportProblem,
        start: Option<&[f64]>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.check()?;
        let expected = problem.cost.shape().1;
        if let Some(g) = start.filter(|g| g.len() != expected || !g.iter().all(|g| g.is_finite())) {
            return Err(Error::Start { given: g.len(), expected });
        }
        let mut run = Run::start(&self.limits, monitor, &state::COLUMNS);
        let reduced = Reduced::new(problem, self.matrix_entries)?;
        let tolerance = self.limits.tolerance;
        let start = start.and_then(|g| reduced.columns_of(g));
        let is_warm = start.is_some();
        let mut state = State::new(&reduced, tolerance, start);
        let status = if reduced.a.len() == 1 || reduced.b.len() == 1 {
            // a P is determined by its one row or column
            state.evaluate(reduced.eps, None);
            state.sinkhorn_step(reduced.eps, 1.0);
            state.evaluate(reduced.eps, None);
            let stopped = state.record(&mut run, reduced.eps);
            let solved = if state.current.error <= tolerance { Status::Solved } else { Status::Stalled };
            stopped.unwrap_or(solved)
        } else {
            match self.method {
                Method::Auto => {
                    let schedule = Schedule { factor: self.stage_factor, tolerance: self.stage_tolerance };
                    path::solve(&mut state, &mut run, schedule, tolerance, is_warm)
                }
                Method::NewtonSparse => {
                    self.check_matrix(&reduced)?;
                    let method = NewtonSparse { warm_up: self.warm_up, kept: self.kept };
                    method.solve(&mut state, &mut run, tolerance)
                }
                Method::SafeNewton => {
                    self.check_matrix(&reduced)?;
                    safe_newton::solve(&mut state, &mut run)
                }
                Method::LowRank => {
                    self.check_matrix(&reduced)?;
                    low_rank::solve(&mut state, &mut run)
                }
                Method::Sinkhorn => self.sinkhorn(&reduced)?.solve(&mut state, &mut run, tolerance),
            }
        };
        Ok(solution::close(self, problem, state, status, run))
    }

    fn sinkhorn(&self, reduced: &Reduced) -> Result<Sinkhorn, Error> {
        let entries = reduced.a.len().saturating_mul(reduced.b.len());
        // a large problem has no room for the kernel's matrix
        let form = if entries > MATRIX_LIMIT { SinkhornForm::Log } else { self.sinkhorn_form };
        Ok(Sinkhorn { form, scaling: self.scaling, relaxation: self.relaxation })
    }

    /// Refuses a method that holds the plan as a matrix where that would be too large.
    fn check_matrix(&self, reduced: &Reduced) -> Result<(), Error> {
        let (n, m) = (reduced.a.len(), reduced.b.len());
        if n.saturating_mul(m) <= MATRIX_LIMIT {
            return Ok(());
        }
        Err(Error::Option(format!(
            "this method holds the {n} x {m} plan as a matrix, of at most 2^26 entries; use Auto"
        )))
    }

    fn check(&self) -> Result<(), Error> {
        self.limits.check().map_err(Error::Option)?;
        let ranges = [
            ("relaxation", self.relaxation, 1.0, 1.99),
            ("stage_factor", self.stage_factor, 0.1, 0.95),
            ("stage_tolerance", self.stage_tolerance, 1e-12, 1.0),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(Error::Option(format!(
                    "{name} is {value}; it must lie between {low} and {high}"
                )));
            }
        }
        match self.kept {
            Kept::Entries(0) => Err(Error::Option("kept is 0 entries; at least 1 is needed".into())),
            Kept::Share(share) if !(share > 0.0 && share <= 1.0) => {
                Err(Error::Option(format!("kept is a share of {share}; it must lie in (0, 1]")))
            }
            _ => Ok(()),
        }
    }
}
