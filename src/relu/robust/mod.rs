//! Training against the worst perturbation of every row within a budget.
//!
//! Patterns must hold on the whole box (or ball) around every row, E_i X v >= eps |v|* for all rows; then a network is linear
//! there, and with p_k = sum_i d_ik (v_i - w_i) its worst loss at row k is known in closed form: the hinge at margin
//! y_k x_k'p_k - eps |p_k|*, the logistic loss at that margin, (|x_k'p_k - y_k| + eps |p_k|*)^2 / 2 for the squared loss, |.|* the
//! dual norm. [`RobustRelu`] minimises their sum plus beta sum |v_i| + |w_i|: a convex program, whose value is the exact
//! worst-case training loss of its network, and an upper bound on what the best robust network could reach, since
//! neurons that switch inside the boxes are excluded.
//!
//! ADMM with splits u = v (norms), (E X u, u) = (s, w) (robust cones), D u' = p (rows); the linear system is
//! (2 I + X'X) U + U (D'D) = R, solved by two symmetric eigendecompositions. The gap comes from the multipliers.

pub mod attack;
mod prox;
mod splitting;

use std::fmt;
use std::ops::Deref;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

pub use attack::{Attack, Attacked, attack, train_adversarially};
pub use prox::{Budget, Norm};

use super::network::{Block, Blocks, Network};
use super::{COLUMNS, Error, Patterns, Training};
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::cone_projection::ConeProjection;
use crate::linalg::product::{axpy, dot_serial, norm};
use splitting::Splitting;

/// Trains against a budget of perturbations.
#[derive(Debug, Clone)]
pub struct RobustRelu {
    /// When to stop; the tolerance is compared with the duality gap over the objective.
    pub limits: Limits,
    /// The perturbations.
    pub budget: Budget,
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
        Self { limits, budget, patterns: 50, seed: 0, rho: 0.1, relaxation: 1.6 }
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
        let mut run = Run::start(&self.limits, monitor, &COLUMNS);
        let (patterns, interior, empty_cones) = self.sample(training)?;
        if patterns.is_empty() {
            let message =
                "no sampled pattern holds on all perturbed rows: the budget is too large for these data";
            return Err(Error::Option(message.into()));
        }
        let mut state = Splitting::new(training, &patterns, self)?;
        let mut best: Option<Answer> = None;
        let (mut iterations, mut next_check) = (0u64, 25);
        let status = loop {
            let (objective, gap) = best.as_ref().map_or((f64::NAN, 1.0), |b| (b.objective, b.relative()));
            if let Some(status) = run.record(objective, gap, &[state.residuals.0, state.residuals.1]) {
                break status;
            }
            state.step();
            iterations += 1;
            if iterations >= next_check {
                next_check = iterations + 25.max(iterations / 10);
                self.improve(training, &patterns, &interior, &state, &mut best);
            }
        };
        self.improve(training, &patterns, &interior, &state, &mut best);
        let answer = best.unwrap_or_else(|| Answer::zero(training));
        let status = if answer.relative() <= self.limits.tolerance { Status::Solved } else { status };
        Ok(self.close(training, patterns, empty_cones, answer, status, run, iterations))
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
        if self.patterns == 0 {
            return Err(Error::Option("patterns is 0; at least one pattern is needed".into()));
        }
        if !(self.rho > 0.0 && self.rho.is_finite() && (1.0..2.0).contains(&self.relaxation)) {
            return Err(Error::Option("rho must be positive and the relaxation in [1, 2)".into()));
        }
        Ok(())
    }

    /// Patterns with a weight that keeps them on the whole budget, those weights, and how many had none.
    fn sample(&self, training: &Training) -> Result<(Patterns, Vec<Vec<f64>>, usize), Error> {
        let sampled = if self.budget.epsilon == 0.0 {
            Patterns::sample(training, self.patterns, self.seed)?
        } else {
            self.candidates(training)
        };
        let x = training.x();
        let d = training.columns();
        let rows: Vec<f64> = (0..training.rows()).flat_map(|k| (0..d).map(move |j| x[(k, j)])).collect();
        let found: Vec<Option<Vec<f64>>> = (0..sampled.len())
            .into_par_iter()
            .map(|i| {
                let sign = |k: usize| if sampled.is_active(i, k) { 1.0 } else { -1.0 };
                let signs: Vec<f64> = (0..training.rows()).map(sign).collect();
                interior_weight(&rows, &signs, sampled.gate(i), &self.budget)
            })
            .collect();
        let mut kept = sampled.clone();
        kept.retain(|i| found[i].is_some());
        let interior: Vec<Vec<f64>> = found.into_iter().flatten().collect();
        let empty = sampled.len() - kept.len();
        Ok((kept, interior, empty))
    }

    /// Patterns on the data, on perturbed data, with larger constant terms; all rows, and each class.
    fn candidates(&self, training: &Training) -> Patterns {
        let d = training.columns();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut patterns = Patterns::new(training.rows());
        let has_bias = self.budget.perturbed < d;
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        // a least-squares separator: rows of the one class and of the other; a constant: all rows
        let mut separator = vec![0.0; d];
        for (k, y) in training.target().iter().enumerate() {
            separator.iter_mut().enumerate().for_each(|(j, s)| *s += y * training.x()[(k, j)]);
        }
        for sign in [1.0, -1.0] {
            patterns.add(training, separator.iter().map(|s| sign * s).collect());
        }
        if has_bias {
            patterns.add(training, (0..d).map(|j| if j + 1 == d { 1.0 } else { 0.0 }).collect());
        }
        for i in 0..self.patterns {
            let mut gate: Vec<f64> = (0..d).map(|_| normal()).collect();
            match i % 3 {
                1 => {
                    // perturbed rows
                    let mut delta = vec![0.0; d];
                    let shifted: Vec<f64> = (0..training.rows())
                        .flat_map(|k| {
                            let raw: Vec<f64> = (0..d).map(|_| normal()).collect();
                            self.budget.worst(&raw, &mut delta);
                            (0..d).map(|j| training.x()[(k, j)] + delta[j]).collect::<Vec<f64>>()
                        })
                        .collect();
                    patterns.add_mask_of(&training.with_rows(&shifted), gate);
                    continue;
                }
                2 if has_bias => gate[d - 1] *= 4.0 * (d as f64).sqrt(),
                _ => {}
            }
            patterns.add(training, gate);
        }
        patterns
    }

    /// Repairs and certifies the current iterate, and keeps the better of it and the best so far.
    fn improve(
        &self,
        training: &Training,
        patterns: &Patterns,
        interior: &[Vec<f64>],
        state: &Splitting,
        best: &mut Option<Answer>,
    ) {
        let blocks = self.repaired(training, patterns, interior, &state.blocks());
        let worst = self.worst(training, patterns, &blocks);
        let penalty: f64 = blocks.0.iter().map(|b| norm(&b.weights)).sum();
        let objective = worst.iter().sum::<f64>() + training.beta() * penalty;
        let bound = state.lower_bound();
        let old = best.take().unwrap_or_else(|| Answer::zero(training));
        let (objective, blocks, worst) = if objective < old.objective {
            (objective, blocks, worst)
        } else {
            (old.objective, old.blocks, old.worst)
        };
        *best = Some(Answer { objective, bound: old.bound.max(bound), blocks, worst });
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
            cone.project(&tilted, &ones, &norms, weights);
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

    #[allow(clippy::too_many_arguments)]
    fn close(
        &self,
        training: &Training,
        patterns: Patterns,
        empty_cones: usize,
        answer: Answer,
        status: Status,
        run: Run,
        iterations: u64,
    ) -> RobustSolution {
        let certificate = Certificate {
            kind: "gap_over_robust_patterns",
            value: answer.objective - answer.bound,
            relative: answer.relative(),
        };
        let seconds = run.seconds();
        let history = run.into_history();
        let summary = Summary {
            method: "ADMM on the robust program",
            status,
            objective: answer.objective,
            certificate,
            iterations: history.records.len().saturating_sub(1),
            counts: Counts::from([("admm_iterations", iterations)]),
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
            patterns,
            empty_cones,
            summary,
        }
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
        let gap = (self.objective - self.bound).max(0.0);
        if self.objective > 0.0 { gap / self.objective } else { gap }
    }
}

/// A weight with sign_k x_k'g > eps |g|* for all rows, by the perceptron with a margin; none if no margin is met.
fn interior_weight(rows: &[f64], signs: &[f64], gate: &[f64], budget: &Budget) -> Option<Vec<f64>> {
    let d = gate.len();
    let scale = rows.chunks_exact(d).map(norm).fold(0.0, f64::max);
    let mut delta = vec![0.0; d];
    for margin in [0.1, 0.01, 0.001, 1e-5] {
        let mut g = gate.to_vec();
        for _ in 0..300 {
            let length = norm(&g).max(1e-300);
            g.iter_mut().for_each(|g| *g /= length);
            let reach = budget.epsilon * budget.size(&g);
            let value = |(row, sign): (&[f64], &f64)| sign * dot_serial(row, &g) - reach;
            let worst = rows
                .chunks_exact(d)
                .zip(signs)
                .enumerate()
                .map(|(k, pair)| (value(pair), k))
                .fold((f64::INFINITY, 0), |a, b| if b.0 < a.0 { b } else { a });
            if worst.0 >= margin * scale || (worst.0 > 0.0 && margin <= 1e-5) {
                return Some(g);
            }
            budget.worst(&g, &mut delta);
            let row = &rows[worst.1 * d..(worst.1 + 1) * d];
            for ((g, x), delta) in g.iter_mut().zip(row).zip(&delta) {
                *g += (signs[worst.1] * x - delta) / scale * 0.5;
            }
        }
    }
    None
}
