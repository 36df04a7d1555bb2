//! Refinement: better patterns than chance finds.
//!
//! Random patterns give optima several times worse than a local optimiser of the network reaches. So: 1. run L-BFGS on the
//! network from several seeds and widths and pool the patterns of its neurons: the convex optimum over the pool is at most
//! every one of those runs. 2. Solve over the working patterns. 3. Descend locally from the solution, and price: patterns
//! that would lower the optimum join, at most 80 a round. 4. Patterns unused for three rounds leave. 5. Stop when neither
//! finds anything, or at a limit. The objective never rises; the last solve is to the full tolerance.

use std::collections::HashMap;

use super::network::{Blocks, Network};
use super::pricing::{self, Candidate};
use super::solve::{self, Instance, Work};
use super::{COLUMNS, ConvexRelu, Error, Level, Method, Patterns, Solution, Training, local};
use crate::control::{Limits, Monitor, Run, Status};
use crate::linalg::product::norm;

/// Options of the refinement.
#[derive(Debug, Clone, PartialEq)]
pub struct Refinement {
    /// Seeds of the local runs.
    pub starts: usize,
    /// Their numbers of neurons, as multiples of the sampled patterns.
    pub widths: Vec<usize>,
    /// L-BFGS iterations of each.
    pub local_iterations: usize,
    /// Rounds at most.
    pub rounds: usize,
    /// Patterns that join in one round at most.
    pub most_new: usize,
    /// Random directions from which each round prices; the neurons of all runs come besides.
    pub random_directions: usize,
    /// Steps of each ascent.
    pub ascent_steps: usize,
    /// A pricing ratio up to this ends the refinement.
    pub ratio: f64,
}

impl Default for Refinement {
    fn default() -> Self {
        Self {
            starts: 5,
            widths: vec![2, 10],
            local_iterations: 500,
            rounds: 20,
            most_new: 80,
            random_directions: 200,
            ascent_steps: 60,
            ratio: 1.001,
        }
    }
}

/// Random directions of the last pricing.
const LAST_DIRECTIONS: usize = 2000;
/// Gap of the rounds before the last.
const COARSE: f64 = 1e-4;

impl ConvexRelu {
    /// Trains with refinement of the patterns. The iteration limit counts rounds' inner iterations together.
    ///
    /// # Errors
    /// As [`solve_over`](Self::solve_over); options of the refinement out of range.
    pub fn refine(
        &self,
        training: &Training,
        refinement: &Refinement,
        start: Option<&Network>,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.limits.check().map_err(Error::Option)?;
        if refinement.rounds == 0 || !(refinement.ratio >= 1.0) {
            return Err(Error::Option(
                "a refinement needs at least one round and a ratio of at least 1".into(),
            ));
        }
        // rounds are bounded by their own number; the tolerance of a round is its own too
        let limits = Limits { tolerance: 0.0, ..self.limits.clone() };
        let mut run = Run::start(&limits, monitor, &COLUMNS);
        let mut search = Search::new(self, training, refinement)?;
        if let Some(network) = start {
            super::network::check(network, training)?;
            search.offer(network.balanced());
        }
        let stopped = match search.pool(&mut run)? {
            None => search.rounds(&mut run)?,
            stopped => stopped,
        };
        search.finish(run, stopped)
    }
}

/// A refinement in progress.
struct Search<'a> {
    solver: &'a ConvexRelu,
    training: &'a Training,
    options: &'a Refinement,
    /// The patterns of the program.
    working: Patterns,
    /// Rounds since each of them was last used, by its packed bits.
    idle: HashMap<Vec<u64>, usize>,
    /// The best network so far and its objective.
    best: (f64, Network),
    /// Directions of the neurons of all runs.
    directions: Vec<Vec<f64>>,
    work: Work,
    local_runs: u64,
    rounds: u64,
}

impl<'a> Search<'a> {
    fn new(solver: &'a ConvexRelu, training: &'a Training, options: &'a Refinement) -> Result<Self, Error> {
        let working = Patterns::sample(training, solver.patterns, solver.seed)?;
        let zero = Network { columns: training.columns(), ..Network::default() };
        Ok(Self {
            solver,
            training,
            options,
            working,
            idle: HashMap::new(),
            best: (zero.objective(training), zero),
            directions: Vec::new(),
            work: Work::default(),
            local_runs: 0,
            rounds: 0,
        })
    }

    /// Takes note of a network: its neurons' directions, and itself if it is the best. Returns whether it is.
    fn offer(&mut self, network: Network) -> bool {
        let largest = network.output.iter().fold(0.0f64, |m, a| m.max(a.abs()));
        for (u, a) in network.hidden.iter().zip(&network.output) {
            if a.abs() > 1e-3 * largest {
                self.directions.push(u.clone());
            }
        }
        let objective = network.objective(self.training);
        let better = objective < self.best.0;
        if better {
            self.best = (objective, network);
        }
        better
    }

    /// Local runs from several seeds and widths.
    fn pool(&mut self, run: &mut Run) -> Result<Option<Status>, Error> {
        for seed in 0..self.options.starts as u64 {
            for &width in &self.options.widths {
                let neurons = (width * self.solver.patterns).max(2);
                let seed = self.solver.seed.wrapping_mul(1_000_003).wrapping_add(seed);
                let network = local::start(self.training, neurons, seed, self.options.local_iterations, run);
                self.local_runs += 1;
                self.offer(network);
                if let Some(status) = self.record(run) {
                    return Ok(Some(status));
                }
            }
        }
        Ok(None)
    }

    /// The best objective, with no certificate yet.
    fn record(&self, run: &mut Run) -> Option<Status> {
        run.record(self.best.0, f64::NAN, &solve::EXTRA)
    }

    /// Solve, descend, price, until nothing is found.
    fn rounds(&mut self, run: &mut Run) -> Result<Option<Status>, Error> {
        // random patterns served to have a program at all: the pool's are better, and the ascent finds the others
        if !self.directions.is_empty() {
            self.working.retain(|_| false);
        }
        let mut fresh: Vec<Candidate> = Vec::new();
        for round in 0..self.options.rounds {
            self.rounds += 1;
            let (slope, network, stopped) = self.solve_round(&fresh, run)?;
            self.offer(network);
            if let Some(status) = stopped.or_else(|| self.record(run)) {
                return Ok(Some(status));
            }
            let improved = self.descend(run);
            let (candidates, program) = self.price(&slope, self.options.random_directions, round as u64)?;
            fresh = self.select(candidates, &program);
            if fresh.is_empty() && !improved {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Solves over the best network's blocks and the candidates of the last pricing, to a coarse gap. Returns a
    /// subgradient of the loss and the network.
    fn solve_round(
        &mut self,
        fresh: &[Candidate],
        run: &mut Run,
    ) -> Result<(Vec<f64>, Network, Option<Status>), Error> {
        let blocks = Blocks::of_network(&self.best.1, self.training, &mut self.working);
        let instance = Instance::new(self.training, &self.working)?;
        let mut live: Vec<usize> =
            blocks.0.iter().map(|b| 2 * b.pattern + usize::from(b.sign < 0.0)).collect();
        for candidate in fresh {
            let gate = instance.program.outward(&candidate.direction);
            if let Some(pattern) = self.working.find(self.training, &gate) {
                live.push(2 * pattern + usize::from(!candidate.positive));
            }
        }
        live.sort_unstable();
        live.dedup();
        if live.is_empty() {
            live = (0..instance.columns()).collect();
        }
        let (status, feasible) = solve::over(&instance, &live, COARSE, run, &mut self.work)?;
        let (network, _) = instance.network(&feasible.v);
        let used: Vec<usize> = instance.blocks(&feasible.v).0.iter().map(|b| b.pattern).collect();
        self.age(&used);
        let ended = matches!(status, Status::Interrupted | Status::TimeLimit | Status::IterationLimit);
        Ok((feasible.slope, network, ended.then_some(status)))
    }

    /// Counts rounds without use, and drops patterns after three.
    fn age(&mut self, used: &[usize]) {
        for i in 0..self.working.len() {
            let idle = self.idle.entry(self.working.mask(i).to_vec()).or_default();
            *idle = if used.contains(&i) { 0 } else { *idle + 1 };
        }
        let idle = &self.idle;
        let keep: Vec<bool> = (0..self.working.len())
            .map(|i| idle.get(self.working.mask(i)).is_none_or(|rounds| *rounds < 3))
            .collect();
        self.working.retain(|i| keep[i]);
    }

    /// L-BFGS from the best network; whether that lowered its objective by more than rounding.
    fn descend(&mut self, run: &Run) -> bool {
        let before = self.best.0;
        let mut weights = local::weights_of(&self.best.1);
        let neurons = self.best.1.neurons();
        if neurons == 0 {
            return false;
        }
        let iterations = self.options.local_iterations;
        let network = local::descend(self.training, &mut weights, neurons, iterations, run);
        self.local_runs += 1;
        self.offer(network);
        self.best.0 < before * (1.0 - 1e-6)
    }

    /// Searches from the neurons of all runs, the best network's, and random directions.
    fn price(
        &self,
        slope: &[f64],
        random: usize,
        seed: u64,
    ) -> Result<(Vec<Candidate>, super::training::Program), Error> {
        let program = super::training::Program::new(self.training)?;
        let known: Vec<Vec<f64>> =
            self.directions.iter().chain(&self.best.1.hidden).map(|u| program.inward(u)).collect();
        let steps = self.options.ascent_steps;
        let seed = self.solver.seed ^ 0x9E37_79B9 ^ seed;
        let candidates = pricing::search(&program, slope, &known, random, steps, seed);
        Ok((candidates, program))
    }

    /// The best candidates with distinct patterns join the working set.
    fn select(&mut self, candidates: Vec<Candidate>, program: &super::training::Program) -> Vec<Candidate> {
        let mut chosen = Vec::new();
        let mut seen: Vec<(usize, bool)> = Vec::new();
        for candidate in candidates {
            if candidate.ratio <= self.options.ratio || chosen.len() >= self.options.most_new {
                break;
            }
            let gate = program.outward(&candidate.direction);
            self.working.add(self.training, gate.clone());
            if let Some(pattern) = self.working.find(self.training, &gate)
                && !seen.contains(&(pattern, candidate.positive))
            {
                seen.push((pattern, candidate.positive));
                chosen.push(candidate);
            }
        }
        chosen
    }

    /// The final solve over the patterns that are left, to the full tolerance, and the final pricing.
    fn finish(mut self, run: Run, stopped: Option<Status>) -> Result<Solution, Error> {
        let blocks = Blocks::of_network(&self.best.1, self.training, &mut self.working);
        let (best_objective, seconds) = (self.best.0, run.seconds());
        let history = run.into_history();
        let instance = Instance::new(self.training, &self.working)?;
        let mut monitor = Monitor::none();
        // what was interrupted is certified as it is
        let ended = stopped.is_some();
        let left = self
            .solver
            .limits
            .time_limit
            .map(|limit| limit.saturating_sub(std::time::Duration::from_secs_f64(seconds)));
        let limits = Limits { time_limit: if ended { None } else { left }, ..self.solver.limits.clone() };
        let mut run = Run::start(&limits, &mut monitor, &COLUMNS);
        let start = instance.point(&blocks);
        let (mut status, mut feasible) = if ended {
            (Status::Interrupted, instance.certify_repaired(start.clone(), &mut self.work))
        } else {
            solve::solve(
                &instance,
                Method::Auto,
                (&self.solver.admm, &self.solver.rbcd),
                Some(start.clone()),
                &mut run,
                &mut self.work,
            )?
        };
        if let Some(stopped) = stopped {
            status = stopped;
        } else if feasible.gap.objective > best_objective {
            // the best network is a point of this program: never return a worse one
            let own =
                instance.certify_with(start, feasible.slope.clone(), &feasible.gap.norms, &mut self.work);
            if own.gap.objective < feasible.gap.objective {
                feasible = own;
            }
        }
        let slope = feasible.slope.clone();
        let mut solution = instance.into_solution(self.solver, status, feasible, run, self.work);
        self.best = (solution.network_objective, solution.network.clone());
        if !ended {
            let (candidates, _) = self.price(&slope, LAST_DIRECTIONS, u64::MAX)?;
            let ratio = candidates.first().map_or(0.0, |candidate| candidate.ratio);
            solution.pricing_ratio = Some(ratio);
            if solution.level == Level::OptimalForPatterns && ratio <= self.options.ratio {
                solution.level = Level::Priced;
            }
        }
        self.join(&mut solution, history, seconds);
        Ok(solution)
    }

    /// Puts the trace of the rounds before that of the last solve.
    fn join(&self, solution: &mut Solution, mut history: crate::control::History, seconds: f64) {
        let summary = &mut solution.summary;
        let before = history.records.len();
        for record in &mut summary.history.records {
            record.iteration += before;
            record.seconds += seconds;
        }
        history.records.append(&mut summary.history.records);
        summary.history = history;
        summary.iterations = summary.history.records.len().saturating_sub(1);
        summary.seconds += seconds;
        summary.method = "pattern refinement";
        summary.counts.insert("local_runs", self.local_runs);
        summary.counts.insert("rounds", self.rounds);
    }
}

/// The largest correlation over beta that a search finds at a network: above 1 + 1e-3 proves that a better one exists.
///
/// # Errors
/// A network that doesn't fit the data.
pub fn pricing_ratio(training: &Training, network: &Network, random: usize, seed: u64) -> Result<f64, Error> {
    super::network::check(network, training)?;
    let program = super::training::Program::new(training)?;
    let outputs = network.outputs(training);
    let slope: Vec<f64> =
        program.kept.iter().map(|&k| training.loss().derivative(outputs[k], training.target()[k])).collect();
    let known: Vec<Vec<f64>> =
        network.hidden.iter().filter(|u| norm(u) > 0.0).map(|u| program.inward(u)).collect();
    let candidates = pricing::search(&program, &slope, &known, random, 60, seed);
    Ok(candidates.first().map_or(0.0, |candidate| candidate.ratio))
}
