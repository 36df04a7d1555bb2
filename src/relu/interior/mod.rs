//! A primal-dual interior-point method with the program's own structure.
//!
//! min l(sum_j s_j D_j X v_j) + beta sum_j t_j subject to |v_j| <= t_j, E_j X v_j >= 0 (blocks j, signs s_j). Iterates are
//! strictly feasible: slacks E_j X v_j > 0 with multipliers gamma_j > 0, (t_j, v_j) and (beta, z_j) inside the second-order
//! cone. Newton steps on the optimality conditions with slacks * gamma = mu and (t, v) o (beta, z) = mu e, the latter in
//! Nesterov and Todd's scaling (`soc.rs`), predicted and corrected after Mehrotra.
//!
//! One Newton system costs 2 P small Cholesky factors (d x d) and one of n x n (`newton.rs`), instead of the sparse
//! factorisation of all 2 P (n + d) rows that a general conic solver makes. Every iterate carries a valid duality gap: the
//! residual r_j + z_j bounds the projected correlation of its block. The hinge has slacks of its own (`loss_side.rs`).

mod loss_side;
mod newton;
pub(in crate::relu) mod soc;

use super::Error;
use super::certificate;
use super::training::Program;
use crate::control::{Run, Status};
use crate::linalg::panel;
use crate::linalg::product::{dot_serial, norm};
use loss_side::LossSide;
use newton::Newton;
use soc::Scaling;

/// One block of the program: a pattern's index and the sign of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relu) struct Group {
    pub pattern: usize,
    pub positive: bool,
}

impl Group {
    pub fn sign(self) -> f64 {
        if self.positive { 1.0 } else { -1.0 }
    }
}

/// A strictly feasible point and its dual.
pub(in crate::relu) struct Point {
    /// v, d numbers a group.
    pub v: Vec<f64>,
    /// A subgradient of the loss at the outputs.
    pub slope: Vec<f64>,
    /// For each group a proved upper bound of its projected correlation |Pi_K(X'D slope)|.
    pub norms: Vec<f64>,
    pub status: Status,
    pub iterations: u64,
}

/// The signs E of the rows for one pattern, and the groups that use them.
pub(in crate::relu) struct Blocks<'a> {
    pub program: &'a Program,
    /// One vector of +1 (active) and -1 per pattern.
    pub signs: &'a [Vec<f64>],
    pub groups: &'a [Group],
    /// Whether weights must stay in their patterns' cones; without, the program is that of gated units.
    pub cones: bool,
}

impl Blocks<'_> {
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn signs(&self, j: usize) -> &[f64] {
        &self.signs[self.groups[j].pattern]
    }
}

/// Steps go this far towards the boundary.
const TO_THE_BOUNDARY: f64 = 0.99;
/// Size of the starting slacks as a share of loss at zero / (beta groups).
const START: f64 = 0.1;
/// Iterations without the gap halving after which rounding is all that is left, once the gap is below a share of the
/// objective: far from the optimum the bound can be nothing for long.
const WITHOUT_HALVING: u64 = 15;
const NEARLY_SOLVED: f64 = 1e-4;
/// Iterations at most; a well-posed program takes 15 to 40.
const MOST_ITERATIONS: u64 = 200;

/// Solves over the given blocks until the gap is at most `tolerance` of the objective, or until the run stops.
/// `note` sees (objective, relative gap) of every iterate and may end the run.
pub(in crate::relu) fn solve(
    blocks: &Blocks,
    tolerance: f64,
    run: &mut Run,
    note: &mut dyn FnMut(&mut Run, f64, f64) -> Option<Status>,
) -> Result<Point, Error> {
    let mut state = State::start(blocks);
    let mut newton = Newton::new(blocks);
    let mut best = Best { relative: f64::INFINITY, ..Best::default() };
    let (mut iterations, mut stuck) = (0, 0);
    // the gap when it was last halved, and the iteration
    let mut halved = (f64::INFINITY, 0);
    loop {
        state.evaluate(blocks);
        let gap = state.gap(blocks);
        let relative = if gap.objective > 0.0 { gap.gap / gap.objective } else { gap.gap };
        if iterations == 0 || relative < best.relative {
            let (v, slope) = (state.v.clone(), state.loss.slope.clone());
            best = Best { relative, v, slope, norms: gap.norms };
        }
        if !(relative > 0.5 * halved.0) {
            halved = (relative, iterations);
        }
        let stopped = note(run, gap.objective, relative);
        let solved = (relative <= tolerance).then_some(Status::Solved);
        let at_the_end = halved.0 < NEARLY_SOLVED && iterations >= halved.1 + WITHOUT_HALVING;
        let lost = stuck >= 3 || at_the_end || relative.is_nan();
        let stalled = (lost || iterations >= MOST_ITERATIONS).then_some(Status::Stalled);
        if let Some(status) = solved.or(stopped).or(stalled) {
            let Best { v, slope, norms, .. } = best;
            return Ok(Point { v, slope, norms, status, iterations });
        }
        state.scale(blocks);
        if newton.factor(blocks, &state).is_err() {
            stuck = 3;
            continue;
        }
        let mu = state.mu(blocks.cones);
        let affine = newton.direction(blocks, &state, 0.0, None);
        let (primal, dual) = state.longest(blocks, &affine);
        let step = primal.min(dual);
        let sigma = (1.0 - step).powi(3).clamp(1e-6, 1.0);
        let combined = newton.direction(blocks, &state, sigma * mu, Some(&affine));
        let (primal, dual) = state.longest(blocks, &combined);
        let longest = (TO_THE_BOUNDARY * primal.min(dual)).min(1.0);
        state.take(blocks, &combined, longest);
        stuck = if longest < 1e-6 { stuck + 1 } else { 0 };
        iterations += 1;
    }
}

/// The iterate of the smallest gap so far.
#[derive(Default)]
struct Best {
    relative: f64,
    v: Vec<f64>,
    slope: Vec<f64>,
    norms: Vec<f64>,
}

/// Increments of all variables.
pub(super) struct Direction {
    v: Vec<f64>,
    t: Vec<f64>,
    z: Vec<f64>,
    slack: Vec<f64>,
    gamma: Vec<f64>,
    loss: loss_side::Increment,
}

/// The iterate: matrices are column-major, one column a group.
pub(super) struct State {
    v: Vec<f64>,
    /// t - |v| and beta - |z|.
    depth: Vec<f64>,
    dual_depth: Vec<f64>,
    z: Vec<f64>,
    /// E X v.
    product: Vec<f64>,
    slack: Vec<f64>,
    gamma: Vec<f64>,
    outputs: Vec<f64>,
    loss: LossSide,
    /// s X'D l' - X'E gamma - z.
    residual: Vec<f64>,
    scalings: Vec<Scaling>,
    /// n x groups.
    work: Vec<f64>,
}

impl State {
    /// Zero weights with slacks, norms and multipliers all of one size: not feasible, but central.
    fn start(blocks: &Blocks) -> Self {
        let Program { n, d, beta, .. } = *blocks.program;
        let count = blocks.len();
        let at_zero = blocks.program.loss_value(&vec![0.0; n]) - blocks.program.constant;
        let size = START * at_zero.max(1e-8) / (beta * count as f64);
        let mut state = Self {
            v: vec![0.0; d * count],
            depth: vec![size; count],
            dual_depth: vec![beta; count],
            z: vec![0.0; d * count],
            product: vec![0.0; n * count],
            slack: vec![size; n * count],
            gamma: vec![if blocks.cones { beta } else { 0.0 }; n * count],
            outputs: vec![0.0; n],
            loss: LossSide::new(blocks.program),
            residual: vec![0.0; d * count],
            scalings: (0..count).map(|_| Scaling::new(d)).collect(),
            work: vec![0.0; n * count],
        };
        state.loss.open(blocks.program, &state.outputs, size * beta);
        state
    }

    /// product <- E X v, outputs <- sum of s D X v. Once E X v is close to the slacks, it takes their place.
    fn products(&mut self, blocks: &Blocks) {
        let n = blocks.program.n.max(1);
        panel::multiply(blocks.program.x(), &self.v, &mut self.product);
        self.outputs.fill(0.0);
        let columns = self.product.chunks_exact_mut(n).zip(self.slack.chunks_exact_mut(n));
        for (j, (product, slack)) in columns.enumerate() {
            let sign = blocks.groups[j].sign();
            for ((product, &e), out) in product.iter_mut().zip(blocks.signs(j)).zip(&mut self.outputs) {
                *out += if e > 0.0 { sign * *product } else { 0.0 };
                *product *= e;
            }
            if blocks.cones && product.iter().zip(&*slack).all(|(p, s)| (p - s).abs() <= 0.1 * s) {
                slack.copy_from_slice(product);
            }
        }
    }

    /// Derivatives of the loss and the dual residual at the current point.
    fn evaluate(&mut self, blocks: &Blocks) {
        let Program { n, .. } = *blocks.program;
        self.products(blocks);
        self.loss.evaluate(blocks.program, &self.outputs);
        for (j, (work, gamma)) in
            self.work.chunks_exact_mut(n.max(1)).zip(self.gamma.chunks_exact(n.max(1))).enumerate()
        {
            let sign = blocks.groups[j].sign();
            for (((w, &g), &e), &l) in work.iter_mut().zip(gamma).zip(blocks.signs(j)).zip(&self.loss.slope) {
                *w = if e > 0.0 { sign * l - g } else { g };
            }
        }
        panel::multiply(blocks.program.x().transpose(), &self.work, &mut self.residual);
        self.residual.iter_mut().zip(&self.z).for_each(|(r, z)| *r -= z);
    }

    /// The duality gap that the multipliers prove.
    fn gap(&self, blocks: &Blocks) -> certificate::Gap {
        let d = blocks.program.d.max(1);
        let pairs = self.residual.chunks_exact(d).zip(self.z.chunks_exact(d));
        let columns = pairs.zip(self.work.chunks_exact(blocks.program.n.max(1)));
        let norms = columns.map(|((r, z), weights)| {
            let correlation: Vec<f64> = r.iter().zip(z).map(|(r, z)| r + z).collect();
            norm(&correlation) + certificate::rounding(blocks.program, weights)
        });
        let norms = norms.collect();
        let penalty = self.v.chunks_exact(d).map(norm).sum();
        certificate::from_norms(blocks.program, norms, &self.outputs, penalty, &self.loss.slope)
    }

    /// Renews the scalings of the second-order cones.
    fn scale(&mut self, blocks: &Blocks) {
        let d = blocks.program.d.max(1);
        let depths = self.depth.iter().zip(&self.dual_depth);
        let parts = self.v.chunks_exact(d).zip(self.z.chunks_exact(d)).zip(depths);
        for (scaling, ((v, z), (&depth, &dual_depth))) in self.scalings.iter_mut().zip(parts) {
            scaling.renew(depth, v, dual_depth, z);
        }
    }

    /// The mean of all complementary products.
    fn mu(&self, with_rows: bool) -> f64 {
        let cones: f64 = self.scalings.iter().map(Scaling::product).sum();
        let rows = dot_serial(&self.slack, &self.gamma);
        let (loss, count) = self.loss.products();
        let row_count = if with_rows { self.slack.len() } else { 0 };
        (cones + rows + loss) / (self.scalings.len() + row_count + count).max(1) as f64
    }

    /// The longest steps along a direction that stay inside, primal and dual.
    fn longest(&self, blocks: &Blocks, direction: &Direction) -> (f64, f64) {
        let Program { d, .. } = *blocks.program;
        let (mut primal, mut dual) = (1.0 / TO_THE_BOUNDARY, 1.0 / TO_THE_BOUNDARY);
        for (x, dx) in self.slack.iter().zip(&direction.slack) {
            if *dx < 0.0 {
                primal = f64::min(primal, -x / dx);
            }
        }
        for (x, dx) in self.gamma.iter().zip(&direction.gamma) {
            if *dx < 0.0 {
                dual = f64::min(dual, -x / dx);
            }
        }
        for (j, dt) in direction.t.iter().enumerate() {
            let part = j * d..(j + 1) * d;
            let (v, dv) = (&self.v[part.clone()], &direction.v[part.clone()]);
            primal = primal.min(soc::longest(self.depth[j], v, *dt, dv));
            let (z, dz) = (&self.z[part.clone()], &direction.z[part]);
            dual = dual.min(soc::longest(self.dual_depth[j], z, 0.0, dz));
        }
        let (own_primal, own_dual) = self.loss.longest(&direction.loss);
        (primal.min(own_primal), dual.min(own_dual))
    }

    /// Moves along a direction. The slacks are recomputed from v at the next evaluation.
    fn take(&mut self, blocks: &Blocks, direction: &Direction, step: f64) {
        let d = blocks.program.d.max(1);
        for (j, dt) in direction.t.iter().enumerate() {
            let part = j * d..(j + 1) * d;
            let (v, dv) = (&self.v[part.clone()], &direction.v[part.clone()]);
            self.depth[j] = soc::deepen(self.depth[j], v, (*dt, dv), step);
            let (z, dz) = (&self.z[part.clone()], &direction.z[part]);
            self.dual_depth[j] = soc::deepen(self.dual_depth[j], z, (0.0, dz), step);
        }
        let add = |x: &mut [f64], dx: &[f64]| x.iter_mut().zip(dx).for_each(|(x, dx)| *x += step * dx);
        add(&mut self.v, &direction.v);
        add(&mut self.z, &direction.z);
        add(&mut self.slack, &direction.slack);
        add(&mut self.gamma, &direction.gamma);
        self.loss.take(&direction.loss, step);
    }
}
