//! Training against the worst perturbation of every row within a budget.
//!
//! Patterns must hold on the whole box (or ball) around every row, E_i X v >= eps |v|* for all rows; then a network is linear
//! there, and with p_k = sum_i d_ik (v_i - w_i) its worst loss at row k is known in closed form: the hinge at margin
//! y_k x_k'p_k - eps |p_k|*, the logistic loss at that margin, (|x_k'p_k - y_k| + eps |p_k|*)^2 / 2 for the squared loss, |.|* the
//! dual norm. [`RobustRelu`] minimises their sum plus beta sum |v_i| + |w_i|: a convex program, whose value is the exact
//! worst-case training loss of its network, and an upper bound on what the best robust network could reach, since
//! neurons that switch inside the boxes are excluded.
//!
//! An interior-point method (`interior.rs`) ends with small gaps; for many patterns and columns ADMM with splits u = v (norms),
//! (E X u, u) = (s, w) (robust cones), D u' = p (rows), whose linear system (2 I + X'X) U + U (D'D) = R is solved by two symmetric
//! eigendecompositions. Both gaps come from multipliers (`scaled.rs`).

pub mod attack;
mod epigraph;
mod interior;
mod newton;
mod prox;
mod row_loss;
mod sampling;
mod scaled;
mod slacks;
mod splitting;

use std::fmt;
use std::ops::Deref;

use rayon::prelude::*;

pub use attack::{Attack, Attacked, attack, train_adversarially};
pub use prox::{Budget, Norm};

use super::network::{Block, Blocks, Network};
use super::{COLUMNS, ConvexRelu, Error, Method, Patterns, Training};
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::cone_projection::{Cone, ConeProjection};
use crate::linalg::product::{axpy, dot_serial, norm};
use sampling::Robust;
use scaled::Scaled;
use splitting::Splitting;

/// Up to so many numbers P d the interior-point method solves its Newton systems, of that size.
const MOST_UNKNOWNS: usize = 4000;

/// Trains against a budget of perturbations.
#[derive(Debug, Clone)]
pub struct RobustRelu {
    /// When to stop; the tolerance is compared with the duality gap over the objective.
    pub limits: Limits,
    /// The perturbations.
    pub budget: Budget,
    /// The interior-point method, or ADMM; `Auto` is the former where patterns times columns are at most 4000.
    pub method: Method,
    /// Weights whose patterns are sampled: a third on the data, a third on perturbed data, a third with a larger constant
    /// term. Patterns that no weight keeps on all boxes are left out.
    pub patterns: usize,
    /// Seed of the sample.
    pub seed: u64,
    /// Penalty of the splitting, for data scaled to norm 10.
    pub rho: f64,
    /// Over-relaxation, in \[1, 2).
    pub relaxation: f64,
}

impl RobustRelu {
    /// The defaults for a budget.
    pub fn new(budget: Budget) -> Self {
        let limits = Limits { tolerance: 1e-3, max_iterations: 4000, time_limit: None };
        Self { limits, budget, method: Method::Auto, patterns: 50, seed: 0, rho: 0.1, relaxation: 1.6 }
    }
}

/// A robustly trained network.
#[derive(Debug, Clone)]
pub struct RobustSolution {
    /// The network.
    pub network: Network,
    /// Its blocks.
    pub blocks: Blocks,
    /// The patterns with a robust cone.
    pub patterns: Patterns,
    /// Exact worst-case loss of every training row over the budget.
    pub worst_losses: Vec<f64>,
    /// Their sum plus the regulariser.
    pub robust_objective: f64,
    /// The optimum of the program lies between this and `robust_objective`.
    pub lower_bound: f64,
    /// Sampled patterns that were left out because their robust cone is empty (as far as a search could tell).
    pub empty_cones: usize,
    /// Status, objective, certificate, iterations, counts, time and trace.
    pub summary: Summary,
}

impl Deref for RobustSolution {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Display for RobustSolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (neurons, patterns) = (self.network.neurons(), self.patterns.len());
        write!(
            f,
            "{}\nnetwork      {neurons} neurons over {patterns} patterns ({} robust cones empty)",
            self.summary, self.empty_cones
        )
    }
}

impl RobustRelu {
    /// Samples patterns and trains.
    ///
    /// # Errors
    /// A budget or an option out of range; no pattern with a robust cone.
    pub fn solve(&self, training: &Training, monitor: &mut Monitor) -> Result<RobustSolution, Error> {
        self.check(training)?;
        let patterns = self.sample(training)?;
        self.solve_over(training, &patterns, monitor)
    }

    /// Trains over those of the given patterns that have a robust cone.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    pub fn solve_over(
        &self,
        training: &Training,
        patterns: &Patterns,
        monitor: &mut Monitor,
    ) -> Result<RobustSolution, Error> {
        self.check(training)?;
        if self.budget.epsilon == 0.0 || self.budget.perturbed == 0 {
            return self.plain(training, patterns, monitor);
        }
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let robust = self.hold(training, patterns);
        if robust.patterns.is_empty() {
            let message =
                "no sampled pattern holds on all perturbed rows: the budget is too large for these data";
            return Err(Error::Option(message.into()));
        }
        let by_interior_point = match self.method {
            Method::InteriorPoint => true,
            Method::Auto => robust.patterns.len() * training.columns() <= MOST_UNKNOWNS,
            _ => false,
        };
        let (answer, status, counts) = if by_interior_point {
            self.by_interior_point(training, &robust, &mut run)
        } else {
            self.by_splitting(training, &robust, &mut run)?
        };
        let status = match status {
            _ if answer.relative() <= self.limits.tolerance => Status::Solved,
            // the method's own last point was solved, the answer made of it is not
            Status::Solved => Status::Stalled,
            status => status,
        };
        let method = if by_interior_point { "interior point" } else { "ADMM" };
        Ok(close(training, robust, answer, (method, status, counts), run))
    }

    /// No budget, or nothing to perturb: the plain program.
    fn plain(
        &self,
        training: &Training,
        patterns: &Patterns,
        monitor: &mut Monitor,
    ) -> Result<RobustSolution, Error> {
        let method = self.method;
        let solver = ConvexRelu { limits: self.limits.clone(), method, ..ConvexRelu::default() };
        let solution = solver.solve_over(training, patterns.clone(), None, monitor)?;
        let mut summary = solution.summary;
        summary.certificate.kind = KIND;
        let losses = solution.network.outputs(training);
        let loss = |(z, y): (&f64, &f64)| training.loss().value(*z, *y);
        Ok(RobustSolution {
            worst_losses: losses.iter().zip(training.target()).map(loss).collect(),
            network: solution.network,
            blocks: solution.blocks,
            patterns: solution.patterns,
            robust_objective: solution.network_objective,
            lower_bound: solution.lower_bound,
            empty_cones: 0,
            summary,
        })
    }

    /// The interior-point method; weights too small to matter are set to zero.
    fn by_interior_point(
        &self,
        training: &Training,
        robust: &Robust,
        run: &mut Run,
    ) -> (Answer, Status, Counts) {
        let data = Scaled::new(training, &robust.patterns, &self.budget);
        let found = interior::solve(&data, &robust.interior, run);
        let counts = Counts::from([("interior_iterations", found.steps)]);
        let zero = Answer { bound: found.bound.max(0.0), ..Answer::zero(training) };
        let all = self.answer(training, robust, Blocks(data.blocks(&found.v)), found.bound);
        let largest = all.blocks.0.iter().map(|b| norm(&b.weights)).fold(0.0, f64::max);
        // thinning may cost a little where there is no tolerance to keep
        let solved = all.relative() <= self.limits.tolerance;
        let goal = if solved { self.limits.tolerance } else { 1.2 * all.relative() };
        let mut answer = if zero.objective <= all.objective { zero } else { all };
        for share in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8] {
            let kept = answer.blocks.0.iter().filter(|b| norm(&b.weights) > share * largest);
            let thinned = self.answer(training, robust, Blocks(kept.cloned().collect()), found.bound);
            if thinned.relative() <= goal {
                answer = thinned;
                break;
            }
        }
        (answer, found.status, counts)
    }

    /// A feasible point with a bound from elsewhere.
    fn answer(&self, training: &Training, robust: &Robust, blocks: Blocks, bound: f64) -> Answer {
        let worst = self.worst(training, &robust.patterns, &blocks);
        let penalty: f64 = blocks.0.iter().map(|b| norm(&b.weights)).sum();
        let objective = worst.iter().sum::<f64>() + training.beta() * penalty;
        Answer { objective, bound, blocks, worst }
    }

    /// ADMM, its iterates repaired and certified at growing intervals.
    fn by_splitting(
        &self,
        training: &Training,
        robust: &Robust,
        run: &mut Run,
    ) -> Result<(Answer, Status, Counts), Error> {
        let mut state = Splitting::new(training, &robust.patterns, self)?;
        let mut best = Answer::zero(training);
        let (mut iterations, mut next_check) = (0u64, 25);
        let status = loop {
            let extra = [state.residuals.0, state.residuals.1];
            if let Some(status) = run.record(best.objective, best.relative(), &extra) {
                break status;
            }
            state.step();
            iterations += 1;
            if iterations >= next_check {
                next_check = iterations + 25.max(iterations / 10);
                best = self.improve(training, robust, &state, best);
            }
        };
        let best = self.improve(training, robust, &state, best);
        Ok((best, status, Counts::from([("admm_iterations", iterations)])))
    }

    fn check(&self, training: &Training) -> Result<(), Error> {
        self.limits.check().map_err(Error::Option)?;
        let Budget { epsilon, perturbed, .. } = self.budget;
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(Error::Option(format!(
                "the budget is {epsilon}; it must be finite and not negative"
            )));
        }
        if perturbed > training.columns() {
            return Err(Error::Option(format!(
                "{perturbed} columns are to be perturbed; the data have {}",
                training.columns()
            )));
        }
        if self.method == Method::Rbcd {
            return Err(Error::Option("robust training goes by the interior-point method or by ADMM".into()));
        }
        if self.patterns == 0 {
            return Err(Error::Option("patterns is 0; at least one pattern is needed".into()));
        }
        if !(self.rho > 0.0 && self.rho.is_finite() && (1.0..2.0).contains(&self.relaxation)) {
            return Err(Error::Option("rho must be positive and the relaxation in [1, 2)".into()));
        }
        Ok(())
    }

    /// Repairs and certifies the current iterate: the better of it and the best so far.
    fn improve(&self, training: &Training, robust: &Robust, state: &Splitting, old: Answer) -> Answer {
        let blocks = self.repaired(training, &robust.patterns, &robust.interior, &state.blocks());
        let bound = old.bound.max(state.lower_bound());
        let new = self.answer(training, robust, blocks, bound);
        if new.objective < old.objective { new } else { Answer { bound, ..old } }
    }

    /// Every non-zero block brought near its robust cone by projections, then moved along its pattern's interior weight
    /// until it keeps the pattern on the whole budget.
    fn repaired(
        &self,
        training: &Training,
        patterns: &Patterns,
        interior: &[Vec<f64>],
        blocks: &[Block],
    ) -> Blocks {
        let (n, d) = (training.rows(), training.columns());
        let (x, eps) = (training.x(), self.budget.epsilon);
        let repair = |block: &Block| {
            let sign = |k: usize| if patterns.is_active(block.pattern, k) { 1.0 } else { -1.0 };
            let rows: Vec<f64> = (0..n).flat_map(|k| (0..d).map(move |j| sign(k) * x[(k, j)])).collect();
            let mut weights = self.projected(&rows, &block.weights);
            let inside = &interior[block.pattern];
            let (reach, spare) = (eps * self.budget.size(&weights), eps * self.budget.size(inside));
            let mut step = 0.0f64;
            for row in rows.chunks_exact(d) {
                let (own, help) = (dot_serial(row, &weights), dot_serial(row, inside));
                if own < reach && help > spare {
                    step = step.max((reach - own) / (help - spare));
                }
            }
            // a hair further, for rounding
            axpy(step * (1.0 + 1e-12), inside, &mut weights);
            Block { weights, ..block.clone() }
        };
        Blocks(blocks.par_iter().map(repair).collect())
    }

    /// Projections onto \{rows (v) >= eps size(v)\} with the size replaced by its tangent at the last point: outer
    /// approximations of the robust cone, whose own projection they approach. `rows` holds the signs already.
    fn projected(&self, rows: &[f64], weights: &[f64]) -> Vec<f64> {
        let d = weights.len();
        let ones = vec![1.0; rows.len() / d];
        let (mut tangent, mut point) = (vec![0.0; d], weights.to_vec());
        let mut cone = ConeProjection::default();
        let rounds = if self.budget.epsilon == 0.0 { 1 } else { 5 };
        for _ in 0..rounds {
            self.budget.worst(&point, &mut tangent);
            let mut tilted = rows.to_vec();
            for row in tilted.chunks_exact_mut(d) {
                row.iter_mut().zip(&tangent).for_each(|(x, t)| *x -= t);
            }
            let norms: Vec<f64> = tilted.chunks_exact(d).map(norm).collect();
            let start = cone.active.clone();
            cone.project(&Cone { rows: &tilted, signs: &ones, norms: &norms }, weights, &start, 0.0);
            point.copy_from_slice(&cone.projection);
        }
        point
    }

    /// The worst loss of every row, for blocks that keep their patterns.
    fn worst(&self, training: &Training, patterns: &Patterns, blocks: &Blocks) -> Vec<f64> {
        let d = training.columns();
        let x = training.x();
        let mut p = vec![0.0; d];
        (0..training.rows())
            .map(|k| {
                p.fill(0.0);
                for block in blocks.0.iter().filter(|b| patterns.is_active(b.pattern, k)) {
                    axpy(block.sign, &block.weights, &mut p);
                }
                let output: f64 = (0..d).map(|j| x[(k, j)] * p[j]).sum();
                let reach = self.budget.epsilon * self.budget.size(&p);
                prox::worst_loss(training.loss(), output, training.target()[k], reach)
            })
            .collect()
    }
}

/// The certificate's name.
const KIND: &str = "gap_over_robust_patterns";

fn close(
    training: &Training,
    robust: Robust,
    answer: Answer,
    (method, status, counts): (&'static str, Status, Counts),
    run: Run,
) -> RobustSolution {
    let certificate =
        Certificate { kind: KIND, value: answer.objective - answer.bound, relative: answer.relative() };
    let seconds = run.seconds();
    let history = run.into_history();
    let summary = Summary {
        method,
        status,
        objective: answer.objective,
        certificate,
        iterations: history.records.len().saturating_sub(1),
        counts,
        seconds,
        history,
        notes: vec![
            "the objective is the exact worst case; the optimum over networks that switch inside the budget may be lower"
                .into(),
        ],
    };
    RobustSolution {
        network: answer.blocks.network(training.columns()),
        worst_losses: answer.worst,
        robust_objective: answer.objective,
        lower_bound: answer.bound,
        blocks: answer.blocks,
        patterns: robust.patterns,
        empty_cones: robust.empty,
        summary,
    }
}

/// The best feasible point and the best bound so far.
struct Answer {
    objective: f64,
    bound: f64,
    blocks: Blocks,
    worst: Vec<f64>,
}

impl Answer {
    fn zero(training: &Training) -> Self {
        let loss = |&y: &f64| training.loss().value(0.0, y);
        let worst: Vec<f64> = training.target().iter().map(loss).collect();
        Self { objective: worst.iter().sum(), bound: 0.0, blocks: Blocks::default(), worst }
    }

    fn relative(&self) -> f64 {
        if !self.objective.is_finite() {
            return f64::INFINITY;
        }
        let gap = (self.objective - self.bound).max(0.0);
        if self.objective > 0.0 { gap / self.objective } else { gap }
    }
}
