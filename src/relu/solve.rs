//! Solving over given patterns: which algorithm, in which order, and what is returned.

use rayon::prelude::*;

use super::admm::{Admm, Splitting};
use super::certificate::{self, Active};
use super::interior::{self, Group};
use super::network::{Block, Blocks, Network};
use super::rbcd::{BlockSteps, Rbcd};
use super::training::{Program, Training};
use super::woodbury::DENSE_ROWS;
use super::{Error, Method, Patterns};
use crate::control::{Run, Status};
use crate::linalg::cone_projection::ConeProjection;
use crate::linalg::product::norm;

/// The program over some patterns.
pub(super) struct Instance<'a> {
    pub training: &'a Training,
    pub patterns: &'a Patterns,
    pub program: Program,
    /// +1 and -1 for every kept row, one vector per pattern.
    pub signs: Vec<Vec<f64>>,
    /// A weight inside each pattern's cone.
    pub inside: Vec<Vec<f64>>,
}

/// A feasible point: columns (pattern, +), (pattern, -) one after the other, in the program's variables.
#[derive(Debug, Clone)]
pub(super) struct Feasible {
    /// d numbers a column.
    pub v: Vec<f64>,
    /// A dual point: minus a subgradient of the loss near the outputs.
    pub slope: Vec<f64>,
    pub gap: certificate::Gap,
}

/// What the run has cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    pub admm: u64,
    pub interior: u64,
    pub projections: u64,
    pub factorizations: u64,
}

impl<'a> Instance<'a> {
    pub fn new(training: &'a Training, patterns: &'a Patterns) -> Result<Self, Error> {
        let program = Program::new(training)?;
        let sign = |i: usize, k: usize| if patterns.is_active(i, k) { 1.0 } else { -1.0 };
        let signs = (0..patterns.len()).map(|i| program.kept.iter().map(|&k| sign(i, k)).collect()).collect();
        let inside = (0..patterns.len()).map(|i| program.inward(patterns.gate(i))).collect();
        Ok(Self { training, patterns, program, signs, inside })
    }

    /// Columns of a point: two a pattern.
    pub fn columns(&self) -> usize {
        2 * self.signs.len()
    }

    /// Outputs of a point with the patterns as they are given.
    pub fn outputs(&self, v: &[f64]) -> Vec<f64> {
        let Program { n, d, .. } = self.program;
        let mut outputs = vec![0.0; n];
        let mut z = vec![0.0; n];
        for (j, v) in v.chunks_exact(d.max(1)).enumerate() {
            if v.iter().any(|&v| v != 0.0) {
                self.program.multiply(v, &mut z);
                let sign = if j % 2 == 0 { 1.0 } else { -1.0 };
                for ((out, &z), &e) in outputs.iter_mut().zip(&z).zip(&self.signs[j / 2]) {
                    *out += if e > 0.0 { sign * z } else { 0.0 };
                }
            }
        }
        outputs
    }

    /// Every block projected onto its cone: the nearest feasible point. `active` holds the rows active at projections nearby,
    /// which are replaced by those of these.
    pub fn repair(&self, v: &mut [f64], active: &mut Active, work: &mut Work) {
        let Program { d, .. } = self.program;
        work.projections += v.chunks_exact(d).filter(|v| v.iter().any(|&v| v != 0.0)).count() as u64;
        active.resize_with(self.columns(), Vec::new);
        let columns = v.par_chunks_exact_mut(d).zip(active).enumerate();
        columns.for_each_init(ConeProjection::default, |cone, (j, (v, active))| {
            if v.iter().any(|&v| v != 0.0) {
                cone.project(&self.program.cone(&self.signs[j / 2]), v, active, 0.0);
                v.copy_from_slice(&cone.projection);
                active.clone_from(&cone.active);
            }
        });
    }

    /// The gap at a feasible point; the slope is that of the outputs unless one is given.
    pub fn certify(&self, v: Vec<f64>, slope: Option<Vec<f64>>, known: &[f64]) -> Feasible {
        self.certify_near(v, slope, known, &mut Active::new())
    }

    /// The same, with projections that start from the rows that were active before.
    fn certify_near(
        &self,
        v: Vec<f64>,
        slope: Option<Vec<f64>>,
        known: &[f64],
        active: &mut Active,
    ) -> Feasible {
        let outputs = self.outputs(&v);
        let at = |(&z, &y): (&f64, &f64)| self.program.loss.derivative(z, y);
        let slope = slope.unwrap_or_else(|| outputs.iter().zip(&self.program.y).map(at).collect());
        let norms = certificate::norms(&self.program, &self.signs, &slope, known, active);
        let penalty = v.chunks_exact(self.program.d.max(1)).map(norm).sum();
        let gap = certificate::from_norms(&self.program, norms, &outputs, penalty, &slope);
        Feasible { v, slope, gap }
    }

    /// The non-zero blocks in the data's own variables.
    pub fn blocks(&self, v: &[f64]) -> Blocks {
        let columns = v.chunks_exact(self.program.d.max(1)).enumerate();
        let nonzero = columns.filter(|(_, v)| v.iter().any(|&v| v != 0.0));
        let block = |(j, v): (usize, &[f64])| Block {
            pattern: j / 2,
            sign: if j % 2 == 0 { 1.0 } else { -1.0 },
            weights: self.program.outward(v),
        };
        Blocks(nonzero.map(block).collect())
    }

    /// A point from blocks in the data's own variables; blocks of one column are added.
    pub fn point(&self, blocks: &Blocks) -> Vec<f64> {
        let d = self.program.d;
        let mut v = vec![0.0; d * self.columns()];
        for block in &blocks.0 {
            let j = 2 * block.pattern + usize::from(block.sign < 0.0);
            let own = self.program.inward(&block.weights);
            v[j * d..(j + 1) * d].iter_mut().zip(own).for_each(|(v, w)| *v += w);
        }
        v
    }
}

/// One relative gap for all methods: over the objective, or absolute where that is zero.
pub(super) fn relative(gap: &certificate::Gap) -> f64 {
    match gap.objective {
        // beyond the range of doubles nothing is certified
        objective if !objective.is_finite() => f64::INFINITY,
        objective if objective > 0.0 => gap.gap / objective,
        _ => gap.gap,
    }
}

/// Solves over the instance's patterns.
pub(super) fn solve(
    instance: &Instance,
    method: Method,
    (admm, rbcd): (&Admm, &Rbcd),
    start: Option<Vec<f64>>,
    run: &mut Run,
    work: &mut Work,
) -> Result<(Status, Feasible), Error> {
    let columns = instance.columns();
    let zero = vec![0.0; instance.program.d * columns];
    if instance.program.n == 0
        || instance.columns() == 0
        || certificate::zero_is_optimal(&instance.program, &instance.signs, &instance.inside)
    {
        let feasible = instance.certify(zero, None, &[]);
        let status = run.record(feasible.gap.objective, relative(&feasible.gap), &EXTRA);
        // optimal but for rounding, which a tolerance may be below
        return Ok((status.unwrap_or(Status::Stalled), feasible));
    }
    match method {
        Method::Auto if instance.program.n > DENSE_ROWS => splitting(instance, admm, None, start, run, work),
        Method::Auto => {
            let live = match start {
                Some(start) => nonzero_columns(instance, &start),
                None => identify(instance, admm, run, work)?,
            };
            finish(instance, live, run, work)
        }
        Method::InteriorPoint => {
            let all: Vec<usize> = (0..columns).collect();
            finish(instance, all, run, work)
        }
        Method::Admm => splitting(instance, admm, None, start, run, work),
        Method::Rbcd => splitting(instance, admm, Some(rbcd), start, run, work),
    }
}

/// Refuses more rows than the interior-point method's n x n system may have.
pub(super) fn check_rows(program: &Program) -> Result<(), Error> {
    if program.n <= MOST_ROWS {
        return Ok(());
    }
    let n = program.n;
    Err(Error::Option(format!(
        "{n} rows are too many for the interior-point method, whose system has their square of numbers (at most {MOST_ROWS} \
         rows); choose the method admm"
    )))
}

/// Rows that the interior-point method takes at most: 3.2 GB for its system.
const MOST_ROWS: usize = 20_000;

/// The trace's own columns where there is nothing to say.
pub(super) const EXTRA: [f64; 2] = [f64::NAN, f64::NAN];

/// ADMM to the tolerance, its iterates repaired and certified at growing intervals.
fn splitting(
    instance: &Instance,
    admm: &Admm,
    rbcd: Option<&Rbcd>,
    start: Option<Vec<f64>>,
    run: &mut Run,
    work: &mut Work,
) -> Result<(Status, Feasible), Error> {
    let mut state = Splitting::new(&instance.program, instance.patterns, &instance.signs, admm)?;
    let mut checks = Checks::default();
    let zero = vec![0.0; instance.program.d * instance.columns()];
    let mut best = instance.certify_near(zero, None, &[], &mut checks.norms);
    if let Some(start) = start {
        state.warm(&by_sign(&start, instance.program.d));
        let repaired = checks.check(instance, start, None, work);
        if repaired.gap.objective < best.gap.objective {
            best = repaired;
        }
    }
    let mut block_steps = rbcd.map(|options| BlockSteps::new(options, &state)).transpose()?;
    let balanced = (run.limits().max_iterations as f64 * 0.6) as u64;
    let mut next_check = 25;
    loop {
        let extra = [state.residuals.0, state.residuals.1];
        let stopped = run.record(best.gap.objective, relative(&best.gap), &extra);
        if let Some(status) = stopped {
            if status != Status::Solved {
                let last = paired(&state.blocks(), instance);
                best = better(best, checks.check(instance, last, state.slope(), work));
            }
            let solved = relative(&best.gap) <= run.limits().tolerance;
            return Ok((if solved { Status::Solved } else { status }, best));
        }
        match &mut block_steps {
            None => state.step()?,
            Some(blocks) => state.step_by_blocks(blocks),
        }
        work.admm += 1;
        if admm.balance && work.admm.is_multiple_of(50) && work.admm <= balanced {
            state.balance()?;
        }
        if work.admm >= next_check {
            next_check = work.admm + 25.max(work.admm / 8);
            let blocks = paired(&state.blocks(), instance);
            best = better(best, checks.check(instance, blocks, state.slope(), work));
        }
    }
}

/// The rows active at the projections of the last check: most of them are those of the next.
#[derive(Default)]
struct Checks {
    repairs: Active,
    norms: Active,
}

impl Checks {
    /// A point repaired and certified.
    fn check(
        &mut self,
        instance: &Instance,
        mut v: Vec<f64>,
        slope: Option<Vec<f64>>,
        work: &mut Work,
    ) -> Feasible {
        instance.repair(&mut v, &mut self.repairs, work);
        instance.certify_near(v, slope, &[], &mut self.norms)
    }
}

/// The point of the smaller relative gap.
fn better(old: Feasible, new: Feasible) -> Feasible {
    if relative(&new.gap) < relative(&old.gap) { new } else { old }
}

/// Columns ordered (all +, all -) as (+, -) pairs.
fn paired(v: &[f64], instance: &Instance) -> Vec<f64> {
    let d = instance.program.d;
    let count = instance.signs.len();
    (0..2 * count).flat_map(|j| v[(j / 2 + (j % 2) * count) * d..][..d].iter().copied()).collect()
}

/// The reverse of [`paired`].
fn by_sign(v: &[f64], d: usize) -> Vec<f64> {
    let plus = v.chunks_exact(2 * d).flat_map(|pair| &pair[..d]);
    plus.chain(v.chunks_exact(2 * d).flat_map(|pair| &pair[d..])).copied().collect()
}

/// ADMM iterations before the interior-point method takes over.
const IDENTIFYING: usize = 120;

/// Columns that hold a block of a point; all where there is none.
fn nonzero_columns(instance: &Instance, v: &[f64]) -> Vec<usize> {
    let d = instance.program.d;
    let live: Vec<usize> =
        (0..instance.columns()).filter(|j| v[j * d..(j + 1) * d].iter().any(|&v| v != 0.0)).collect();
    if live.is_empty() { (0..instance.columns()).collect() } else { live }
}

/// Up to so many columns the interior-point method takes them all: a random sample uses nearly all of its blocks.
const FEW_COLUMNS: usize = 240;

/// A few ADMM iterations tell which blocks matter: those that are not zero, and those whose multiplier is close to the
/// threshold.
fn identify(instance: &Instance, admm: &Admm, run: &mut Run, work: &mut Work) -> Result<Vec<usize>, Error> {
    let count = instance.signs.len();
    if 2 * count <= FEW_COLUMNS {
        return Ok((0..2 * count).collect());
    }
    let mut state = Splitting::new(&instance.program, instance.patterns, &instance.signs, admm)?;
    let at_zero = instance.program.loss_value(&vec![0.0; instance.program.n]);
    for _ in 0..IDENTIFYING {
        let extra = [state.residuals.0, state.residuals.1];
        if run.record(at_zero, 1.0, &extra).is_some() {
            break;
        }
        state.step()?;
        work.admm += 1;
    }
    Ok((0..2 * count).filter(|j| state.is_live(j / 2 + (j % 2) * count, 0.95)).collect())
}

/// Solves over some of the columns only, to the given gap among those; the gap returned is that of the whole program.
pub(super) fn over(
    instance: &Instance,
    live: &[usize],
    tolerance: f64,
    run: &mut Run,
    work: &mut Work,
) -> Result<(Status, Feasible), Error> {
    let (status, feasible, _) = restricted(instance, live, tolerance, false, run, work)?;
    Ok((status, feasible))
}

/// Columns that join in one round, as a share of those there.
const JOINING: f64 = 0.5;

/// The interior-point method over some columns, joined by those that the certificate finds missing.
fn finish(
    instance: &Instance,
    mut live: Vec<usize>,
    run: &mut Run,
    work: &mut Work,
) -> Result<(Status, Feasible), Error> {
    let tolerance = run.limits().tolerance;
    let whole = live.len() == instance.columns();
    let mut best: Option<Feasible> = None;
    // while columns are missing a coarse gap tells which
    let mut goal = if whole { 0.5 * tolerance } else { (0.5 * tolerance).max(1e-4) };
    loop {
        let (status, feasible, _) = restricted(instance, &live, goal, true, run, work)?;
        let solved = relative(&feasible.gap) <= tolerance;
        let over = |j: &usize| feasible.gap.norms[*j] / instance.program.beta - 1.0;
        let mut missing: Vec<usize> = (0..instance.columns())
            .filter(|j| live.binary_search(j).is_err() && over(j) > 0.1 * goal)
            .collect();
        missing.sort_by(|a, b| over(b).total_cmp(&over(a)));
        missing.truncate(((live.len() as f64 * JOINING) as usize).max(20));
        let ended = matches!(status, Status::Interrupted | Status::TimeLimit | Status::IterationLimit);
        let finest = goal <= 0.5 * tolerance;
        let feasible = match best.take() {
            Some(old) => better(old, feasible),
            None => feasible,
        };
        if solved || ended || (missing.is_empty() && finest) {
            let status = if solved {
                Status::Solved
            } else if ended {
                status
            } else {
                Status::Stalled
            };
            run.record(feasible.gap.objective, relative(&feasible.gap), &EXTRA);
            return Ok((status, feasible));
        }
        if missing.is_empty() {
            goal = 0.5 * tolerance;
        }
        best = Some(feasible);
        live.extend(missing);
        live.sort_unstable();
    }
}

/// One interior-point solve over some columns, its answer made feasible, thinned and certified; over all columns, or over
/// the live ones alone where `all` is not asked for.
fn restricted(
    instance: &Instance,
    live: &[usize],
    goal: f64,
    all: bool,
    run: &mut Run,
    work: &mut Work,
) -> Result<(Status, Feasible, u64), Error> {
    check_rows(&instance.program)?;
    let d = instance.program.d;
    let groups: Vec<Group> = live.iter().map(|&j| Group { pattern: j / 2, positive: j % 2 == 0 }).collect();
    let blocks =
        interior::Blocks { program: &instance.program, signs: &instance.signs, groups: &groups, cones: true };
    let whole = live.len() == instance.columns();
    let unproved = run.limits().tolerance.max(1e-300) * 1.000_001;
    let mut note = |run: &mut Run, objective: f64, relative: f64| {
        // over a part of the blocks the gap proves nothing yet
        let proved = if whole { relative } else { relative.max(unproved) };
        run.record(objective, proved, &EXTRA).filter(|status| *status != Status::Solved)
    };
    let point = interior::solve(&blocks, goal, run, &mut note)?;
    work.interior += point.iterations;
    work.factorizations += point.iterations * (live.len() as u64 + 1);
    let mut v = vec![0.0; d * instance.columns()];
    let missing = if all { f64::NAN } else { 0.0 };
    let mut known = vec![missing; instance.columns()];
    for ((&j, own), bound) in live.iter().zip(point.v.chunks_exact(d)).zip(&point.norms) {
        v[j * d..(j + 1) * d].copy_from_slice(own);
        known[j] = *bound;
    }
    // iterates may miss their cones by what is left of the start
    instance.settle(&mut v, work);
    let feasible = instance.certify(v, Some(point.slope), &known);
    Ok((point.status, instance.thin(feasible, goal), point.iterations))
}

impl Instance<'_> {
    /// Sets blocks to zero that are too small to matter: the largest threshold whose gap is still within the goal. The
    /// dual point stays, so only outputs and norms are renewed.
    fn thin(&self, feasible: Feasible, goal: f64) -> Feasible {
        let d = self.program.d.max(1);
        let largest = feasible.v.chunks_exact(d).map(norm).fold(0.0, f64::max);
        for share in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8] {
            let mut v = feasible.v.clone();
            v.chunks_exact_mut(d).filter(|v| norm(v) <= share * largest).for_each(|v| v.fill(0.0));
            let thinned = self.certify(v, Some(feasible.slope.clone()), &feasible.gap.norms);
            if relative(&thinned.gap) <= (1.2 * relative(&feasible.gap)).max(goal) {
                return thinned;
            }
        }
        feasible
    }

    /// The gap of blocks that are in their cones but for rounding, at a given dual point.
    pub fn certify_with(&self, mut v: Vec<f64>, slope: Vec<f64>, known: &[f64], work: &mut Work) -> Feasible {
        self.settle(&mut v, work);
        self.certify(v, Some(slope), known)
    }

    /// The gap of blocks after their repair, at the dual point of their own outputs.
    pub fn certify_repaired(&self, v: Vec<f64>, work: &mut Work) -> Feasible {
        Checks::default().check(self, v, None, work)
    }

    /// Projects the blocks that are outside their cones.
    fn settle(&self, v: &mut [f64], work: &mut Work) {
        let Program { n, d, .. } = self.program;
        let mut z = vec![0.0; n];
        for (j, v) in v.chunks_exact_mut(d).enumerate() {
            if v.iter().all(|&v| v == 0.0) {
                continue;
            }
            self.program.multiply(v, &mut z);
            if z.iter().zip(&self.signs[j / 2]).any(|(z, e)| z * e < 0.0) {
                let mut cone = ConeProjection::default();
                cone.project(&self.program.cone(&self.signs[j / 2]), v, &[], 0.0);
                v.copy_from_slice(&cone.projection);
                work.projections += 1;
            }
        }
    }

    /// The network of a point, with the objective that it has with true activations.
    pub fn network(&self, v: &[f64]) -> (Network, f64) {
        let network = self.blocks(v).network(self.training.columns());
        let objective = network.objective(self.training);
        (network, objective)
    }
}
