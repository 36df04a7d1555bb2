//! Two-metric projection (Bertsekas 1982): Newton's step in the metric of the Hessian on the unknowns W that stay off
//! their kinks and bounds, a proximal gradient step in a diagonal metric on the others, and a search along the path
//! x_W(a) = clip(x_W + a d_W) to the smooth pieces of h. For l1 the pieces are the signs, so that a step sets unknowns
//! to exactly zero; once the support is right the step is Newton's, and the end superlinear.

use super::{Error, Move, State, Update, gradient_step, slack};
use crate::linalg::factor::DenseCholesky;
use crate::problem::penalty::Piece;

/// Unknowns this close to a kink that they move towards, in units of the largest |x|, take the gradient step.
const NEAR: f64 = 1e-4;
/// Sufficient decrease, and trials of a step.
const DECREASE: f64 = 1e-4;
const TRIALS: usize = 40;

pub(super) struct TwoMetric;

/// One unknown of the block.
struct Part {
    unknown: usize,
    x: f64,
    gradient: f64,
    bound: f64,
    /// Its piece and Newton direction, if it takes Newton's step.
    newton: Option<(Piece, f64)>,
}

impl Update for TwoMetric {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        let mut parts = classify(state, block);
        let step = if newton_directions(state, &mut parts) { search(state, block, &parts) } else { None };
        Ok(step.or_else(|| gradient_step(state, block, state.block_bound(block))))
    }
}

/// Splits the block into Newton's unknowns and the others.
fn classify(state: &State, block: &[usize]) -> Vec<Part> {
    let separable = state.separable();
    let scale = state.x().iter().fold(1.0f64, |m, x| m.max(x.abs()));
    // must shrink as x converges, or small unknowns would count as zero for ever
    let unit_step: f64 = block
        .iter()
        .map(|&i| {
            let bound = state.bounds()[i];
            let moved = separable.prox(i, state.x()[i], state.gradient()[i], bound) - state.x()[i];
            moved * moved
        })
        .sum::<f64>()
        .sqrt();
    let near = (NEAR * scale).min(unit_step);
    let part = |&unknown: &usize| {
        let (x, gradient, bound) = (state.x()[unknown], state.gradient()[unknown], state.bounds()[unknown]);
        let piece = match separable.piece(unknown, x) {
            Some(piece) => {
                let slope = gradient + piece.slope;
                let pushed =
                    (slope > 0.0 && x - piece.lower <= near) || (slope < 0.0 && piece.upper - x <= near);
                (!pushed).then_some(piece)
            }
            None => {
                // at a kink: the piece it moves into, if it moves
                let moved = separable.prox(unknown, x, gradient, bound);
                let entered = if moved == x { None } else { separable.piece(unknown, moved) };
                entered.map(|piece| Piece { slope: piece.slope - piece.curvature * (moved - x), ..piece })
            }
        };
        Part { unknown, x, gradient, bound, newton: piece.map(|piece| (piece, 0.0)) }
    };
    block.iter().map(part).collect()
}

/// Solves B_WW d_W = -(g_W + h'_W); says whether that worked.
fn newton_directions(state: &State, parts: &mut [Part]) -> bool {
    let free: Vec<usize> = parts.iter().filter(|p| p.newton.is_some()).map(|p| p.unknown).collect();
    let m = free.len();
    if m == 0 {
        return true;
    }
    let mut matrix = state.smooth().hessian(&free);
    let newton = parts.iter_mut().filter_map(|p| p.newton.as_mut().map(|newton| (newton, p.gradient)));
    let mut d = Vec::with_capacity(m);
    let mut targets = Vec::with_capacity(m);
    for (k, (newton, gradient)) in newton.enumerate() {
        matrix[k * m + k] += newton.0.curvature;
        d.push(-(gradient + newton.0.slope));
        targets.push(newton);
    }
    let mut cholesky = DenseCholesky::new();
    if cholesky.factor_shifted(m, &mut matrix).is_err() || cholesky.solve_in_place(&mut d).is_err() {
        return false;
    }
    if d.iter().any(|d| !d.is_finite()) {
        return false;
    }
    targets.into_iter().zip(d).for_each(|(newton, d)| newton.1 = d);
    true
}

/// Where the path ends at a step.
fn path(state: &State, parts: &[Part], step: f64) -> Vec<f64> {
    let one = |p: &Part| match p.newton {
        Some((piece, d)) => (p.x + step * d).clamp(piece.lower, piece.upper),
        None => state.separable().prox(p.unknown, p.x, p.gradient, p.bound / step),
    };
    parts.iter().map(one).collect()
}

/// Armijo's rule along the path: F(x(a)) <= F(x) + c (g'(x(a) - x) + h(x(a)) - h(x)).
fn search(state: &State, block: &[usize], parts: &[Part]) -> Option<Move> {
    let mut step = 1.0;
    for _ in 0..TRIALS {
        let goal = path(state, parts, step);
        let d: Vec<f64> = goal.iter().zip(parts).map(|(goal, p)| goal - p.x).collect();
        if d.iter().all(|&d| d == 0.0) {
            return None;
        }
        let one = |(p, &goal): (&Part, &f64)| state.separable().change(p.unknown, p.x, goal, p.gradient);
        let slope: f64 = parts.iter().zip(&goal).map(one).sum();
        let (change, line) = state.try_step(block, &d);
        if slope < 0.0 && change <= DECREASE * slope + slack(state) {
            return Some(Move { line, step: 1.0, goal });
        }
        let minimiser = if change > slope { -0.5 * slope * step / (change - slope) } else { 0.5 * step };
        step = if minimiser.is_finite() { minimiser.clamp(0.1 * step, 0.5 * step) } else { 0.5 * step };
    }
    None
}
