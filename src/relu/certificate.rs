//! How far a feasible point is from the optimum over its patterns: a duality gap, from the point alone.
//!
//! The dual of the convex program is max over zeta of -sum_k l*(-zeta_k) subject to |Pi_K(+-X'D zeta)| <= beta for every
//! pattern D with cone K. A dual point is made from the derivatives of the loss at the outputs, zeta = -l'(z), and
//! scaled by min(1, beta / theta), theta the largest of those norms. Each norm is found by projection onto the cone; any
//! multipliers gamma >= 0 bound it from above by |+-X'D zeta + G'gamma|, so the bound is valid even where the projection
//! was stopped early. The gap is summed from terms that are not negative (Fenchel and Young), so it doesn't cancel.

use rayon::prelude::*;

use super::training::Program;
use crate::linalg::cone_projection::ConeProjection;
use crate::linalg::product::{dot_serial, norm};

/// A primal value, a lower bound, and what the bound rests on.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    pub objective: f64,
    /// objective - dual value, not negative.
    pub gap: f64,
    /// The norms that the bound rests on.
    pub norms: Vec<f64>,
}

/// |Pi_K(+-X'D zeta)|, zeta = -slope, for (pattern, +), (pattern, -) one after the other. `known` holds bounds that were
/// proved before, NaN where there is none. O(P n d), and a projection for every pattern whose plain norm exceeds beta.
pub(super) fn norms(program: &Program, signs: &[Vec<f64>], slope: &[f64], known: &[f64]) -> Vec<f64> {
    (0..signs.len())
        .into_par_iter()
        .flat_map_iter(|i| {
            let mut cone = ConeProjection::default();
            let mut correlation = correlation(program, &signs[i], slope);
            [2 * i, 2 * i + 1].map(|j| {
                correlation.iter_mut().for_each(|c| *c = -*c);
                match known.get(j) {
                    Some(&bound) if !bound.is_nan() => bound,
                    _ => dual_norm(program, &signs[i], &correlation, &mut cone),
                }
            })
        })
        .collect()
}

/// Whether zero weights are optimal for the patterns: no projected correlation exceeds beta at zero outputs. The pattern's
/// own weight proves most of the others wrong without a projection.
pub(super) fn zero_is_optimal(program: &Program, signs: &[Vec<f64>], inside: &[Vec<f64>]) -> bool {
    let slope: Vec<f64> = program.y.iter().map(|&y| program.loss.derivative(0.0, y)).collect();
    let correlations: Vec<Vec<f64>> = signs.par_iter().map(|e| correlation(program, e, &slope)).collect();
    let along = |(c, g): (&Vec<f64>, &Vec<f64>)| dot_serial(c, g).abs() / norm(g).max(1e-300);
    if correlations.iter().zip(inside).map(along).any(|value| value > program.beta) {
        return false;
    }
    norms(program, signs, &slope, &[]).iter().all(|&value| value <= program.beta)
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
    let mut gap = program.beta * penalty;
    for ((&z, &y), &g) in outputs.iter().zip(&program.y).zip(slope) {
        gap += program.loss.fenchel_young(z, y, shrink * g) + shrink * g * z;
    }
    let objective = program.loss_value(outputs) + program.beta * penalty;
    let gap = if shrink.is_nan() || gap.is_nan() { f64::INFINITY } else { gap.max(0.0) };
    Gap { objective, gap, norms }
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

/// |Pi_K(c)|, or |c| where that is at most beta already.
pub(super) fn dual_norm(program: &Program, signs: &[f64], c: &[f64], cone: &mut ConeProjection) -> f64 {
    let plain = norm(c);
    if plain <= program.beta {
        return plain;
    }
    cone.project(&program.rows, signs, &program.norms, c);
    norm(&cone.projection)
}
