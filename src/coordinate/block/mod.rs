//! Block coordinate descent in its three building blocks, in every combination (Nutini, Laradji and Schmidt 2022).
//!
//! - [`partition`](Partition): how unknowns are cut into blocks, fixed or variable;
//! - [`rule`](Rule): which block is selected; one file per rule, each an `impl Select`;
//! - [`update`](UpdateRule): how the block is updated; one file per update, each an `impl Update`;
//! - [`smooth`](Smooth): the smooth part f: losses of linear models, softmax, quadratics, pairwise problems;
//! - `heap`: greedy rules with single unknowns of a sparse quadratic, in O(deg log p) a step;
//! - `separable`: the part h with kinks and bounds; `state`: the current point; `certify`: how good it is.
//!
//! ```
//! use gradus::coordinate::block::{BlockCoordinateDescent, Rule, UpdateRule};
//! use gradus::linalg::DesignMatrix;
//! use gradus::problem::LinearModel;
//!
//! let design = DesignMatrix::from_dense(3, 2, vec![1.0, 2.0, 3.0, 1.0, -1.0, 0.5])?;
//! let model = LinearModel::lasso(design, vec![2.0, 4.0, 6.0], 0.1);
//! let solver = BlockCoordinateDescent {
//!     rule: Rule::GaussSouthwellDiagonal,
//!     update: UpdateRule::TwoMetric,
//!     block_size: 2,
//!     ..Default::default()
//! };
//! let fit = solver.solve(&model)?;
//! assert!(fit.certificate.relative <= 1e-6 && fit.coefficients[1] == 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod certify;
mod heap;
mod partition;
mod rule;
mod separable;
mod smooth;
mod state;
mod update;

pub use partition::{Blocks, Partition};
pub use rule::{Rule, Select};
pub use separable::Separable;
pub use smooth::{Line, Smooth};
pub use state::{Move, State};
pub use update::{Update, UpdateRule};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Error, Fit, Measure, Start, check_point};
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::problem::penalty::{Bounded, ElasticNet, Group};
use crate::problem::{BoxQuadratic, LinearModel, MultinomialModel, PairwiseModel};

/// No block of automatic size is larger: its factor would take over 32 MB.
const LARGEST_BLOCK: usize = 2000;
/// Smallest block of automatic size.
const SMALLEST_BLOCK: usize = 10;

/// Block coordinate descent.
#[derive(Debug, Clone)]
pub struct BlockCoordinateDescent {
    /// When to stop; the tolerance is compared with the relative certificate. Iterations are block updates.
    pub limits: Limits,
    /// What is certified.
    pub measure: Measure,
    /// How unknowns are cut into blocks.
    pub partition: Partition,
    /// Which block is selected.
    pub rule: Rule,
    /// How the block is updated.
    pub update: UpdateRule,
    /// Unknowns in a block; 0 for twice the support, at least 10 and at most 2000.
    pub block_size: usize,
    /// Block updates between two certificates (and rows of the trace); 0 for one pass, at least 10.
    pub check_every: usize,
    /// Seed of the random rules.
    pub seed: u64,
}

impl Default for BlockCoordinateDescent {
    fn default() -> Self {
        Self {
            limits: Limits { max_iterations: 1_000_000, ..Limits::default() },
            measure: Measure::Auto,
            partition: Partition::Variable,
            rule: Rule::GaussSouthwellDiagonal,
            update: UpdateRule::Auto,
            block_size: 0,
            check_every: 0,
            seed: 0,
        }
    }
}

/// An answer that is a vector. Everything about the run is in the summary.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The unknowns.
    pub x: Vec<f64>,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

/// Objective and certificate of a point, from the problem and the point alone.
type Certify<'a> = Box<dyn Fn(&[f64]) -> (f64, Certificate) + 'a>;

/// The trace's own columns. The support's hash tells supports apart; `support_changed` is 1 where it is not that of
/// the record before.
const COLUMNS: [&str; 6] =
    ["steps", "active", "block_size", "step_length", "support_hash", "support_changed"];

impl BlockCoordinateDescent {
    /// Fits a linear model from zero.
    ///
    /// # Errors
    /// A model or an option that is not allowed. Not reaching the tolerance is a status.
    pub fn solve(&self, model: &LinearModel) -> Result<Fit, Error> {
        self.solve_with(model, None, &mut Monitor::none())
    }

    /// Fits a linear model from a given start, watched by a monitor.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); a start that does not fit.
    pub fn solve_with(
        &self,
        model: &LinearModel,
        start: Option<Start>,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        model.check()?;
        super::certificate::check(model, self.measure)?;
        let p = model.design.columns();
        let mut x: Vec<f64> = (0..p).map(|j| model.penalty.prox(j, 0.0, 0.0)).collect();
        let mut intercept = 0.0;
        if let Some(start) = start {
            check_point(start.coefficients, start.intercept, p)?;
            x = start.coefficients.iter().enumerate().map(|(j, &x)| model.penalty.prox(j, x, 0.0)).collect();
            intercept = start.intercept;
        }
        if model.intercept {
            x.push(intercept);
        }
        let separable = Separable::Coordinates(&*model.penalty, p);
        let solution =
            self.minimise(smooth_linear(model), separable, x, certify::linear(model, self.measure), monitor)?;
        Ok(split_intercept(solution, p))
    }

    /// Fits a linear model whose own penalty is replaced by one on groups of columns. Blocks are the groups, then one
    /// block of all columns outside of them, unless [`Partition::Groups`] says otherwise.
    ///
    /// # Errors
    /// A model, a penalty or an option that is not allowed.
    pub fn solve_groups(
        &self,
        model: &LinearModel,
        group: &Group,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        let model = LinearModel { penalty: std::sync::Arc::new(ElasticNet::default()), ..model.clone() };
        model.check()?;
        let p = model.design.columns();
        group.check(p).map_err(Error::Option)?;
        let unknowns = p + usize::from(model.intercept);
        let mut outside = vec![true; unknowns];
        group.groups.iter().flatten().for_each(|&j| outside[j] = false);
        let rest: Vec<usize> = (0..unknowns).filter(|&i| outside[i]).collect();
        let own = matches!(self.partition, Partition::Groups(_));
        let groups = group.groups.iter().cloned().chain([rest]).filter(|g| !g.is_empty()).collect();
        let partition = if own { self.partition.clone() } else { Partition::Groups(groups) };
        let solver = Self { partition, ..self.clone() };
        let certify = certify::groups(&model, group, self.measure)?;
        let separable = Separable::Groups(group);
        let solution =
            solver.minimise(smooth_linear(&model), separable, vec![0.0; unknowns], certify, monitor)?;
        Ok(split_intercept(solution, p))
    }

    /// Fits a multinomial model without intercepts, from zero or a given start; the answer is p x k, feature by feature.
    ///
    /// # Errors
    /// A model, an option or a start that is not allowed.
    pub fn solve_multinomial(
        &self,
        model: &MultinomialModel,
        start: Option<&[f64]>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        model.check()?;
        if model.intercept {
            let why = "blocks fit softmax without intercepts: append a column of ones";
            return Err(Error::Option(why.into()));
        }
        let unknowns = model.unknowns();
        if let Some(start) = start {
            check_point(start, 0.0, unknowns)?;
        }
        let from = |i: usize| start.map_or(0.0, |start| start[i]);
        let x = (0..unknowns).map(|i| model.penalty.prox(i, from(i), 0.0)).collect();
        let separable = Separable::Coordinates(&*model.penalty, unknowns);
        let smooth = Box::new(smooth::Multinomial::new(model));
        self.minimise(smooth, separable, x, certify::multinomial(model, self.measure)?, monitor)
    }

    /// Minimises a quadratic on a box from a given start, or from the box's point nearest to zero. With finite bounds the
    /// certificate is a duality gap if the matrix is proved positive semidefinite: every row's diagonal entry outweighs
    /// the others, or there are at most 2000 unknowns and a Cholesky factorisation shows it. Else it is the gradient.
    ///
    /// # Errors
    /// A problem, a start or an option that is not allowed, a gap without that proof among them; a pivot that is not
    /// positive in a forest.
    pub fn solve_quadratic(
        &self,
        problem: &BoxQuadratic,
        start: Option<&[f64]>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        problem.check()?;
        let n = problem.linear.len();
        let mut x = vec![0.0; n];
        if let Some(start) = start {
            check_point(start, 0.0, n)?;
            x.copy_from_slice(start);
        }
        let bounded = problem.bounds.as_ref().map(|(lower, upper)| {
            x.iter_mut()
                .zip(lower.iter().zip(upper))
                .for_each(|(x, (lower, upper))| *x = x.clamp(*lower, *upper));
            Bounded { inner: ElasticNet::default(), lower: lower.clone(), upper: upper.clone() }
        });
        let separable = bounded.as_ref().map_or(Separable::Free, |b| Separable::Coordinates(b, n));
        let smooth = Box::new(smooth::Quadratic::new(problem));
        self.minimise(smooth, separable, x, certify::quadratic(problem, self.measure)?, monitor)
    }

    /// Minimises a pairwise problem on a graph, from zero or a given start. The update `Forest` passes messages on the
    /// Hessian at the current point and searches along the step.
    ///
    /// # Errors
    /// A problem, a start or an option that is not allowed; a pivot that is not positive in a forest.
    pub fn solve_pairwise(
        &self,
        model: &PairwiseModel,
        start: Option<&[f64]>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        model.check()?;
        let n = model.target.len();
        let mut x = vec![0.0; n];
        if let Some(start) = start {
            check_point(start, 0.0, n)?;
            x.copy_from_slice(start);
        }
        let smooth = Box::new(smooth::Pairwise::new(model));
        self.minimise(smooth, Separable::Free, x, certify::pairwise(model, self.measure)?, monitor)
    }

    /// Starts rule and update by name, and runs.
    fn minimise<'a>(
        &self,
        smooth: Box<dyn Smooth + 'a>,
        separable: Separable<'a>,
        x: Vec<f64>,
        certify: Certify<'a>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.limits.check().map_err(Error::Option)?;
        let mut state = State::new(smooth, separable, x);
        let blocks = self.partition.blocks(&state, self.size(&state))?;
        let mut rule = self.rule.start(&state, &blocks)?;
        let mut update = self.update.start(&state, &blocks)?;
        if let Some(curvatures) = self.single_unknowns(&state, &blocks) {
            let mut run = Run::start(&self.limits, monitor, &COLUMNS);
            let mut progress = Progress::new(self, &state, &blocks, &*rule);
            let (status, certificate) =
                heap::run(&mut state, &curvatures, &self.limits, &mut progress, &mut run, &certify);
            return Ok(progress.solution(state, run, status, certificate));
        }
        self.run(state, blocks, &mut *rule, &mut *update, &certify, monitor)
    }

    /// The curvatures of a greedy rule that takes single unknowns of a sparse quadratic to their minimisers, whichever of
    /// the updates does it: such a run keeps its scores in a heap.
    fn single_unknowns(&self, state: &State, blocks: &Blocks) -> Option<Vec<f64>> {
        let single = matches!(blocks, Blocks::Variable(1)) && self.block_size == 1;
        let sparse = state.smooth().is_quadratic() && state.smooth().hessian_matrix().is_some();
        let exact = matches!(self.update, UpdateRule::Auto | UpdateRule::Exact);
        (single && sparse && exact).then(|| heap::curvatures(self.rule, state)).flatten()
    }

    /// The method itself: choose a block, compute its update, take it, repeat.
    fn run(
        &self,
        mut state: State,
        mut blocks: Blocks,
        rule: &mut dyn Select,
        update: &mut dyn Update,
        certify: &Certify,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut progress = Progress::new(self, &state, &blocks, rule);
        let (status, certificate) = loop {
            if progress.is_due(&self.limits, &run) {
                state.rebuild();
                let (objective, certificate) = certify(&state.x);
                if let Some(status) = progress.record(&state, &mut run, objective, certificate.relative) {
                    state.objective = objective;
                    break (status, certificate);
                }
                self.resize(&state, &mut blocks);
            }
            let block = rule.select(&state, &blocks, &mut random);
            if !rule.needs_gradient() {
                state.refresh(Some(&block));
            }
            let step = update.step(&state, &block)?;
            progress.count(&block, step.is_some());
            if let Some(step) = step {
                state.take(step);
                if rule.needs_gradient() {
                    state.refresh(None);
                }
            }
        };
        Ok(progress.solution(state, run, status, certificate))
    }

    /// The block size to start with.
    fn size(&self, state: &State) -> usize {
        let automatic = || (2 * state.active()).clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        if self.block_size > 0 { self.block_size } else { automatic() }.min(state.unknowns().max(1))
    }

    /// Variable blocks of automatic size follow the support.
    fn resize(&self, state: &State, blocks: &mut Blocks) {
        if let (Blocks::Variable(size), 0) = (blocks, self.block_size) {
            *size = self.size(state);
        }
    }
}

/// What is counted between two records.
struct Progress {
    every: usize,
    steps: usize,
    /// Unknowns updated.
    updates: u64,
    since_check: usize,
    /// Steps in a row that did not move, and how many mean that nothing will.
    idle: usize,
    patience: usize,
    /// Whether the rule chooses without looking at the gradient.
    blind: bool,
    block_size: usize,
    support: Option<u64>,
}

impl Progress {
    fn new(solver: &BlockCoordinateDescent, state: &State, blocks: &Blocks, rule: &dyn Select) -> Self {
        let pass = match blocks {
            // a forest is about half of the unknowns, whatever the size asked for
            Blocks::Variable(_) if matches!(solver.rule, Rule::GreedyForest | Rule::RandomForest) => 2,
            Blocks::Variable(size) => state.unknowns().div_ceil(*size),
            Blocks::Fixed(blocks) => blocks.len(),
        };
        let every = if solver.check_every > 0 { solver.check_every } else { pass.max(10) };
        // a rule that sees all of the gradient repeats itself at once; others need passes
        let blind = !rule.needs_gradient();
        let patience = if blind { 4 * pass + 10 } else { 2 };
        Self {
            every,
            steps: 0,
            updates: 0,
            since_check: every,
            idle: 0,
            patience,
            blind,
            block_size: 0,
            support: None,
        }
    }

    /// Whether a certificate is due: at the start, regularly, and before the run ends.
    fn is_due(&self, limits: &Limits, run: &Run) -> bool {
        self.since_check >= self.every
            || self.steps >= limits.max_iterations
            || self.idle >= self.patience
            || run.should_stop().is_some()
    }

    /// A row of the trace, and whether to stop there.
    fn record(&mut self, state: &State, run: &mut Run, objective: f64, certificate: f64) -> Option<Status> {
        let hash = support_hash(state);
        let changed = self.support.is_some_and(|before| before != hash);
        self.support = Some(hash);
        self.since_check = 0;
        let row = [
            self.steps as f64,
            state.active() as f64,
            self.block_size as f64,
            state.step_length,
            hash as f64,
            f64::from(changed),
        ];
        let status = run.record(objective, certificate, &row);
        if status.is_some() {
            return status;
        }
        if self.steps >= run.limits().max_iterations {
            return Some(Status::IterationLimit);
        }
        let unbounded = objective == f64::NEG_INFINITY || objective.is_nan();
        if self.idle >= self.patience && self.blind && state.promises_decrease() {
            // a rule that does not look has not come by yet
            self.idle = 0;
        }
        (self.idle >= self.patience || state.unknowns() == 0 || unbounded).then_some(Status::Stalled)
    }

    fn count(&mut self, block: &[usize], moved: bool) {
        self.steps += 1;
        self.since_check += 1;
        self.updates += block.len() as u64;
        self.block_size = block.len();
        self.idle = if moved { 0 } else { self.idle + 1 };
    }

    fn solution(self, state: State, run: Run, status: Status, certificate: Certificate) -> Solution {
        let mut counts = Counts::new();
        counts.insert("coordinate_updates", self.updates);
        let summary = Summary {
            method: "block coordinate descent",
            status,
            objective: state.objective,
            certificate,
            iterations: self.steps,
            counts,
            seconds: run.seconds(),
            history: run.into_history(),
            notes: Vec::new(),
        };
        Solution { x: state.x, summary }
    }
}

/// A number below 2^53 that tells supports apart (FNV-1a over the active unknowns).
fn support_hash(state: &State) -> u64 {
    let active = (0..state.x.len()).filter(|&i| state.separable.is_active(i, state.x[i]));
    let hash =
        active.fold(0xcbf2_9ce4_8422_2325u64, |hash, i| (hash ^ i as u64).wrapping_mul(0x0100_0000_01b3));
    hash >> 11
}

fn smooth_linear(model: &LinearModel) -> Box<dyn Smooth + '_> {
    Box::new(smooth::Linear::new(model))
}

/// Cuts the intercept off the end of the unknowns.
fn split_intercept(solution: Solution, columns: usize) -> Fit {
    let Solution { x: mut coefficients, summary } = solution;
    let intercept = coefficients.get(columns).copied().unwrap_or(0.0);
    coefficients.truncate(columns);
    Fit { coefficients, intercept, summary }
}
