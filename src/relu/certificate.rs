//! How far a feasible point is from the optimum over its patterns: a duality gap, from the point alone.
//!
//! The dual of the convex program is max over zeta of -sum_k l*(-zeta_k) subject to |Pi_K(+-X'D zeta)| <= beta for every
//! pattern D with cone K. A dual point is made from the derivatives of the loss at the outputs, zeta = -l'(z), and
//! scaled by min(1, beta / theta), theta the largest of those norms. Each norm is found by projection onto the cone; any
//! multipliers gamma >= 0 bound it from above by |+-X'D zeta + G'gamma|, so the bound is valid even where the projection
//! was stopped early. Near the optimum the gap is summed from Fenchel and Young's terms, which don't cancel; far from it the
//! dual value is summed by itself, since an objective of 1e20 less a gap of 1e20 is rounding. Both are widened by what
//! rounding can do to their sums, and so are the norms: with outputs of 1e10 a norm near beta is left of terms of 1e16.

use rayon::prelude::*;

use super::training::Program;
use crate::linalg::cone_projection::ConeProjection;
use crate::linalg::product::{dot_serial, norm, summation_error};

/// A primal value, a lower bound, and what the bound rests on.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    pub objective: f64,
    /// objective - bound, not negative.
    pub gap: f64,
    /// The dual value: what the optimum is at least.
    pub bound: f64,
    /// The norms that the bound rests on.
    pub norms: Vec<f64>,
}

/// Upper bounds of |Pi_K(+-X'D zeta)|, zeta = -slope, for (pattern, +), (pattern, -) one after the other: the norms
/// themselves where they exceed beta. `known` holds bounds that were proved before, NaN where there is none; `active` the rows
/// active at projections nearby, which are replaced by those of these. O(P n d), and a projection for every pattern whose
/// plain norm exceeds beta.
pub(super) fn norms(
    program: &Program,
    signs: &[Vec<f64>],
    slope: &[f64],
    known: &[f64],
    active: &mut Active,
) -> Vec<f64> {
    active.resize_with(2 * signs.len(), Vec::new);
    let rounding = rounding(program, slope);
    let bounds =
        active.par_chunks_exact_mut(2).zip(signs).enumerate().flat_map_iter(|(i, (active, signs))| {
            let proved = [0, 1].map(|side| known.get(2 * i + side).copied().filter(|bound| !bound.is_nan()));
            if let [Some(plus), Some(minus)] = proved {
                return [plus, minus];
            }
            let mut cone = ConeProjection::default();
            let mut correlation = correlation(program, signs, slope);
            let mut bound = |side: usize| {
                correlation.iter_mut().for_each(|c| *c = -*c);
                let new = || dual_norm(program, signs, &correlation, &mut cone, &mut active[side]) + rounding;
                proved[side].unwrap_or_else(new)
            };
            [bound(0), bound(1)]
        });
    bounds.collect()
}

/// The active rows of a projection for every column.
pub(super) type Active = Vec<Vec<u32>>;

/// Whether zero weights are optimal for the patterns: no projected correlation exceeds beta at zero outputs. The pattern's
/// own weight proves most of the others wrong without a projection.
pub(super) fn zero_is_optimal(program: &Program, signs: &[Vec<f64>], inside: &[Vec<f64>]) -> bool {
    let slope: Vec<f64> = program.y.iter().map(|&y| program.loss.derivative(0.0, y)).collect();
    let correlations: Vec<Vec<f64>> = signs.par_iter().map(|e| correlation(program, e, &slope)).collect();
    let along = |(c, g): (&Vec<f64>, &Vec<f64>)| dot_serial(c, g).abs() / norm(g).max(1e-300);
    if correlations.iter().zip(inside).map(along).any(|value| value > program.beta) {
        return false;
    }
    norms(program, signs, &slope, &[], &mut Active::new()).iter().all(|&value| value <= program.beta)
}

/// What rounding can do to |sum_k w_k x_k|, computed in any order.
pub(super) fn rounding(program: &Program, weights: &[f64]) -> f64 {
    let size: f64 = program.norms.iter().zip(weights).map(|(x, w)| x * w.abs()).sum();
    summation_error(program.n) * size
}

/// The gap once the norms are known.
pub(super) fn from_norms(
    program: &Program,
    norms: Vec<f64>,
    outputs: &[f64],
    penalty: f64,
    slope: &[f64],
) -> Gap {
    let theta = norms.iter().fold(0.0f64, |m, v| if v.is_nan() { f64::NAN } else { m.max(*v) });
    // a hair inside, so that rounding cannot leave the dual's domain
    let shrink = if theta > program.beta { program.beta / theta * (1.0 - 4.0 * f64::EPSILON) } else { 1.0 };
    let objective = program.loss_value(outputs) + program.beta * penalty;
    // the gap as |v| beta + sum of (l + l* - z g) + z g, and the dual value as -sum of l*; both with the sum of their sizes
    let (mut gap, mut gap_size) = (program.beta * penalty, program.beta * penalty);
    let (mut dual, mut dual_size) = (program.constant, program.constant);
    for ((&z, &y), &g) in outputs.iter().zip(&program.y).zip(slope) {
        let g = shrink * g;
        let excess = program.loss.fenchel_young(z, y, g);
        gap += excess + g * z;
        gap_size += excess + (g * z).abs();
        // l*(g) = (l*(g) + l(0)) - l(0)
        let (at_zero, sum) = (program.loss.value(0.0, y), program.loss.fenchel_young(0.0, y, g));
        dual += at_zero - sum;
        dual_size += at_zero + sum;
    }
    let rounding = summation_error(program.n);
    let gap = gap.max(0.0) + rounding * gap_size;
    let dual = dual - rounding * dual_size;
    if shrink.is_nan() || gap.is_nan() || !objective.is_finite() {
        return Gap { objective, gap: f64::INFINITY, bound: f64::NEG_INFINITY, norms };
    }
    let near = objective - gap - rounding * objective;
    if dual > near {
        return Gap { objective, gap: (objective - dual).max(0.0), bound: dual, norms };
    }
    Gap { objective, gap, bound: near, norms }
}

/// X'D l' for one pattern.
fn correlation(program: &Program, signs: &[f64], slope: &[f64]) -> Vec<f64> {
    let mut c = vec![0.0; program.d];
    for ((row, &sign), &g) in program.rows.chunks_exact(program.d.max(1)).zip(signs).zip(slope) {
        if sign > 0.0 {
            c.iter_mut().zip(row).for_each(|(c, x)| *c += g * x);
        }
    }
    c
}

/// |Pi_K(c)| or a bound of it that is at most beta, with what rounding adds by the multipliers.
fn dual_norm(
    program: &Program,
    signs: &[f64],
    c: &[f64],
    cone: &mut ConeProjection,
    active: &mut Vec<u32>,
) -> f64 {
    let plain = norm(c);
    if plain <= program.beta {
        return plain;
    }
    cone.project(&program.cone(signs), c, active, program.beta);
    active.clone_from(&cone.active);
    let pairs = cone.active.iter().zip(&cone.multipliers);
    let size: f64 = pairs.map(|(&k, multiplier)| program.norms[k as usize] * multiplier).sum();
    norm(&cone.projection) + summation_error(program.n) * size
}
