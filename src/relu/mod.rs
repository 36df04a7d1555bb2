//! Two-layer ReLU networks to a certified optimum.
//!
//! [`Training`] states min sum_k l(f(x_k); y_k) + (beta/2) sum_j (|u_j|^2 + a_j^2) for f(x) = sum_j (x'u_j)_+ a_j. For fixed
//! activation [`Patterns`] D_i this is convex (Pilanci and Ergen 2020): min l(sum_i D_i X (v_i - w_i)) + beta sum |v_i| + |w_i| with
//! v_i, w_i in the cones (2 D_i - I) X v >= 0, and its optimum is a [`Network`] of the same objective.
//!
//! | file | what is there |
//! | --- | --- |
//! | `training`, [`patterns`], [`network`], [`loss`] | the problem, its patterns, its answers |
//! | `solve`, `interior/`, `admm`, `woodbury`, `rbcd` | solving over given patterns: [`ConvexRelu`] |
//! | `certificate` | the duality gap of any feasible point |
//! | [`refine`], `pricing`, [`local`] | better patterns: [`ConvexRelu::refine`] |
//! | [`path`] | the path over beta |
//! | [`robust`] | worst-case training: [`RobustRelu`], attacks |
//! | [`gated`], [`sampled`] | gated units; random hidden neurons with a lasso |
//!
//! ```
//! use gradus::linalg::DesignMatrix;
//! use gradus::relu::{ConvexRelu, Level, Loss, Training};
//!
//! // |x| on nine points, and a column of ones: two neurons do it
//! let x: Vec<f64> = (-4..=4).map(f64::from).collect();
//! let y: Vec<f64> = x.iter().map(|x| x.abs()).collect();
//! let design = DesignMatrix::from_dense(9, 2, [x, vec![1.0; 9]].concat())?;
//! let training = Training::new(&design, y, Loss::Squared, 0.01)?;
//! let solution = ConvexRelu { patterns: 30, ..ConvexRelu::default() }.solve(&training)?;
//! assert_eq!(solution.level, Level::OptimalForPatterns);
//! // the optimum over these patterns is bounded from both sides, and the network has the program's objective
//! assert!(solution.lower_bound <= solution.objective && solution.certificate.relative <= 1e-6);
//! assert!((solution.convex_objective - solution.network_objective).abs() < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admm;
mod certificate;
pub mod gated;
mod interior;
pub mod local;
pub mod loss;
pub mod network;
pub mod path;
pub mod patterns;
mod pricing;
mod rbcd;
pub mod refine;
pub mod robust;
pub mod sampled;
mod solve;
mod training;
mod woodbury;

use std::fmt;
use std::ops::Deref;

pub use admm::Admm;
pub use gated::GatedRelu;
pub use loss::Loss;
pub use network::{Block, Blocks, Network};
pub use patterns::Patterns;
pub use rbcd::Rbcd;
pub use refine::Refinement;
pub use robust::RobustRelu;
pub use sampled::SampledProgram;
pub use training::Training;

use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::factor::FactorError;
use crate::problem::ModelError;

/// What keeps a training from starting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// No rows or no columns.
    #[error("the data have {rows} rows and {columns} columns; at least one of each is needed")]
    Empty {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// More numbers than memory can hold.
    #[error("the data have {rows} rows and {columns} columns: too many to hold densely")]
    TooLarge {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// Targets or labels.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The regulariser's weight.
    #[error("beta is {0}; it must be positive and finite (with 0 nothing bounds the dual)")]
    Beta(f64),
    /// An option.
    #[error("{0}")]
    Option(String),
    /// A start that does not fit.
    #[error("{0}")]
    Start(String),
    /// A factorisation that failed.
    #[error(transparent)]
    Factor(#[from] FactorError),
}

/// How the program over given patterns is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// ADMM to find the blocks that matter, the interior-point method to finish.
    Auto,
    /// The interior-point method over all blocks.
    InteriorPoint,
    /// The published splitting method, repaired and certified.
    Admm,
    /// The same with its first step by randomised block coordinate descent.
    Rbcd,
}

/// What the answer is proved to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The gap is larger than the tolerance.
    Unproved,
    /// Optimal for its patterns: no weights with these patterns do better by more than the gap.
    OptimalForPatterns,
    /// Optimal for its patterns, and a search over random and known directions found no pattern that would lower the
    /// objective. The search proves nothing.
    Priced,
    /// Optimal among all two-layer networks: the patterns are all there are.
    Global,
}

impl Level {
    /// A sentence for a reader.
    pub fn sentence(self) -> &'static str {
        match self {
            Level::Unproved => "not proved optimal",
            Level::OptimalForPatterns => "optimal for its patterns",
            Level::Priced => "optimal for its patterns; a search (no proof) found no better pattern",
            Level::Global => "globally optimal: all patterns of the data are in",
        }
    }
}

/// Trains over sampled patterns.
#[derive(Debug, Clone)]
pub struct ConvexRelu {
    /// When to stop; the tolerance is compared with the duality gap over the objective.
    pub limits: Limits,
    /// How the program is solved.
    pub method: Method,
    /// P, the number of weights whose patterns are sampled.
    pub patterns: usize,
    /// Seed of the sample.
    pub seed: u64,
    /// Options of the splitting method.
    pub admm: Admm,
    /// Options of the block coordinate steps.
    pub rbcd: Rbcd,
}

impl Default for ConvexRelu {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            limits,
            method: Method::Auto,
            patterns: 50,
            seed: 0,
            admm: Admm::default(),
            rbcd: Rbcd::default(),
        }
    }
}

/// A trained network. Everything about the run is in [`Summary`], which this dereferences to.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The network.
    pub network: Network,
    /// The blocks of the convex program that it comes from.
    pub blocks: Blocks,
    /// The patterns of the program.
    pub patterns: Patterns,
    /// Objective of the convex program at the blocks.
    pub convex_objective: f64,
    /// Objective of the network with true activations.
    pub network_objective: f64,
    /// The largest violation of a cone, max of (-E X v)_+.
    pub cone_violation: f64,
    /// The largest |x_k'v|: the scale of the violation.
    pub largest_activation: f64,
    /// The optimum over the patterns lies between this and the convex objective.
    pub lower_bound: f64,
    /// What is proved.
    pub level: Level,
    /// Largest correlation that a search for further patterns found, over beta; above 1 proves that a better network
    /// exists.
    pub pricing_ratio: Option<f64>,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

impl Deref for Solution {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for Solution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        writeln!(f, "level        {}", self.level.sentence())?;
        write!(f, "network      {} neurons over {} patterns", self.network.neurons(), self.patterns.len())
    }
}

/// Names of the method's own trace columns.
const COLUMNS: [&str; 2] = ["primal_residual", "dual_residual"];

impl ConvexRelu {
    /// Samples patterns and trains over them.
    ///
    /// # Errors
    /// An option out of range. Not reaching the tolerance is a status.
    pub fn solve(&self, training: &Training) -> Result<Solution, Error> {
        let patterns = Patterns::sample(training, self.patterns, self.seed)?;
        self.solve_over(training, patterns, None, &mut Monitor::none())
    }

    /// Trains over given patterns, from a given network (whose own patterns are added), watched by a monitor.
    ///
    /// # Errors
    /// No patterns, an option out of range, a start that doesn't fit the data.
    pub fn solve_over(
        &self,
        training: &Training,
        mut patterns: Patterns,
        start: Option<&Network>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.limits.check().map_err(Error::Option)?;
        self.admm.check()?;
        if patterns.rows() != training.rows() {
            return Err(Error::Option("the patterns were made for other data".into()));
        }
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let start = match start {
            None => None,
            Some(network) => {
                network::check(network, training)?;
                Some(Blocks::of_network(&network.balanced(), training, &mut patterns))
            }
        };
        if patterns.is_empty() && !patterns.is_exhaustive() {
            return Err(Error::Option("there are no patterns: every sampled neuron is inactive".into()));
        }
        let instance = solve::Instance::new(training, &patterns)?;
        let start = start.map(|blocks| instance.point(&blocks));
        let mut work = solve::Work::default();
        let (status, feasible) =
            solve::solve(&instance, self.method, (&self.admm, &self.rbcd), start, &mut run, &mut work)?;
        Ok(instance.into_solution(self, status, feasible, run, work))
    }
}

impl solve::Instance<'_> {
    /// Closes the run: everything is recomputed from the blocks in the data's own variables.
    fn into_solution(
        self,
        solver: &ConvexRelu,
        status: Status,
        feasible: solve::Feasible,
        run: Run,
        work: solve::Work,
    ) -> Solution {
        let blocks = self.blocks(&feasible.v);
        let (network, network_objective) = self.network(&feasible.v);
        let evaluation = blocks.evaluate(self.training, self.patterns);
        let gap = feasible.gap.gap;
        let relative = if evaluation.objective > 0.0 { gap / evaluation.objective } else { gap };
        let exhaustive = self.patterns.is_exhaustive();
        let proved = relative <= run.limits().tolerance;
        let level = match (proved, exhaustive) {
            (false, _) => Level::Unproved,
            (true, false) => Level::OptimalForPatterns,
            (true, true) => Level::Global,
        };
        let kind = if exhaustive { "global_gap" } else { "gap_over_patterns" };
        let mut notes: Vec<String> = patterns::sampling_note(self.patterns).into_iter().collect();
        if blocks.0.is_empty() && proved {
            notes.push(
                "the answer is the zero network: beta is at or above the value that makes it optimal".into(),
            );
        }
        let counts = Counts::from([
            ("admm_iterations", work.admm),
            ("cone_projections", work.projections),
            ("factorizations", work.factorizations),
            ("interior_iterations", work.interior),
        ]);
        let method = match solver.method {
            Method::Auto => "ADMM and interior point",
            Method::InteriorPoint => "interior point",
            Method::Admm => "ADMM",
            Method::Rbcd => "ADMM with block coordinate steps",
        };
        let seconds = run.seconds();
        let history = run.into_history();
        let summary = Summary {
            method,
            status,
            objective: network_objective,
            certificate: Certificate { kind, value: gap, relative },
            iterations: history.records.len().saturating_sub(1),
            counts,
            seconds,
            history,
            notes,
        };
        Solution {
            network,
            blocks,
            convex_objective: evaluation.objective,
            network_objective,
            cone_violation: evaluation.violation,
            largest_activation: evaluation.largest,
            lower_bound: feasible.gap.bound,
            level,
            pricing_ratio: None,
            patterns: self.patterns.clone(),
            summary,
        }
    }
}
