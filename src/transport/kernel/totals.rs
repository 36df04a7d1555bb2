//! Passes over the plan of given potentials: what certificates and answers are made of.

use std::ops::Range;

use rayon::prelude::*;

use super::tree::LEAF;
use super::{Bound, Costs, Margins, Masses, PARALLEL_ENTRIES, chunk_rows};
use crate::linalg::exponential::{axpy, dot, exp_in_place, largest};

/// Sums of the plan P_ij = exp((f_i + g_j - C_ij)/eps), rows and columns weighted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// r_i = sum over j of y_j P_ij.
    pub rows: Vec<f64>,
    /// c_j = sum over i of P_ij.
    pub columns: Vec<f64>,
    /// The same of rows scaled down to a_i where they hold more.
    pub capped: Vec<f64>,
    /// Cost of each row: sum over j of y_j P_ij C_ij.
    pub costs: Vec<f64>,
}

/// The potentials of a plan, and column weights y (ones if there are none).
pub(crate) struct Potentials<'a> {
    pub f: &'a [f64],
    pub g: &'a [f64],
    pub eps: f64,
    /// f_i - eps log a_i: what a row's entries are compared with before they are skipped.
    pub reach: f64,
}

impl Totals {
    /// One pass; O(live entries).
    pub fn of(costs: &dyn Costs, at: &Potentials, a: &[f64], y: Option<&[f64]>) -> Self {
        let (n, m) = (costs.rows(), costs.columns());
        let size = chunk_rows(n);
        let per_mass: Vec<f64> = at.f.iter().zip(a).map(|(f, a)| f - at.eps * a.ln()).collect();
        let margins = Margins::new(at.g, at.reach, Bound::Potentials(&per_mass));
        let run = |rows: Range<usize>| chunk(costs, at, a, y, &margins, rows);
        let ranges: Vec<Range<usize>> =
            (0..n.div_ceil(size)).map(|k| k * size..n.min((k + 1) * size)).collect();
        let chunks: Vec<Totals> = if n * m >= PARALLEL_ENTRIES {
            ranges.into_par_iter().map(run).collect()
        } else {
            ranges.into_iter().map(run).collect()
        };
        let mut totals = Totals { columns: vec![0.0; m], capped: vec![0.0; m], ..Totals::default() };
        for chunk in chunks {
            totals.rows.extend(chunk.rows);
            totals.costs.extend(chunk.costs);
            axpy(1.0, &chunk.columns, &mut totals.columns);
            axpy(1.0, &chunk.capped, &mut totals.capped);
        }
        totals
    }
}

fn chunk(
    costs: &dyn Costs,
    at: &Potentials,
    a: &[f64],
    y: Option<&[f64]>,
    margins: &Margins,
    rows: Range<usize>,
) -> Totals {
    let m = costs.columns();
    let mut totals = Totals { columns: vec![0.0; m], capped: vec![0.0; m], ..Totals::default() };
    let (mut live, mut z, mut p) = (Vec::new(), vec![0.0; m], vec![0.0; m]);
    for start in rows.clone().step_by(LEAF) {
        let block = start..rows.end.min(start + LEAF);
        costs.live(block.clone(), at.g, margins, &mut live);
        for i in block {
            let (mut sum, mut cost) = (0.0, 0.0);
            let mut filled = 0;
            for range in &live {
                let part = filled..filled + range.len();
                filled = part.end;
                costs.fill(i, range.clone(), at.g, &mut z[part.clone()]);
                let p = &mut p[part.clone()];
                p.copy_from_slice(&z[part.clone()]);
                let plain = exp_in_place(p, 1.0 / at.eps, -at.f[i]);
                axpy(1.0, p, &mut totals.columns[range.clone()]);
                sum += match y {
                    None => plain,
                    Some(y) => {
                        p.iter_mut().zip(&y[range.clone()]).for_each(|(p, y)| *p *= y);
                        p.iter().sum()
                    }
                };
                cost += dot(p, &at.g[range.clone()]) - dot(p, &z[part]);
            }
            let cap = (a[i] / sum).min(1.0);
            if cap > 0.0 {
                let mut filled = 0;
                for range in &live {
                    axpy(cap, &p[filled..filled + range.len()], &mut totals.capped[range.clone()]);
                    filled += range.len();
                }
            }
            totals.rows.push(sum);
            totals.costs.push(cost);
        }
    }
    totals
}

/// f_i = min over j of (C_ij - g_j): the dual point of unregularised transport that goes with g.
pub(crate) fn hard_transform(costs: &dyn Costs, g: &[f64]) -> Vec<f64> {
    let n = costs.rows();
    let size = chunk_rows(n);
    let margins = Margins::new(g, 0.0, Bound::Rows);
    let run = |chunk: usize| {
        let rows = chunk * size..n.min((chunk + 1) * size);
        let (mut live, mut z, mut f) = (Vec::new(), vec![0.0; costs.columns()], Vec::new());
        for start in rows.clone().step_by(LEAF) {
            let block = start..rows.end.min(start + LEAF);
            costs.live(block.clone(), g, &margins, &mut live);
            for i in block {
                let most = live.iter().fold(f64::NEG_INFINITY, |most, range| {
                    most.max(costs.fill(i, range.clone(), g, &mut z[..range.len()]))
                });
                f.push(-most);
            }
        }
        f
    };
    let chunks: Vec<Vec<f64>> = (0..n.div_ceil(size)).into_par_iter().map(run).collect();
    debug_assert!(largest(g).is_finite());
    chunks.concat()
}

/// A row of the plan of given potentials: the entries inside the ranges, one after the other; outside they are nought.
pub(crate) struct PlanRow<'a> {
    pub index: usize,
    pub ranges: &'a [Range<usize>],
    pub values: &'a mut [f64],
}

/// Hands every row of the plan to `visit`, in parallel; the results in order.
pub(crate) fn for_each_plan_row<R: Send>(
    costs: &dyn Costs,
    f: &[f64],
    g: &[f64],
    masses: &Masses,
    visit: impl Fn(PlanRow) -> R + Sync,
) -> Vec<R> {
    let (n, eps) = (costs.rows(), masses.eps);
    let size = chunk_rows(n);
    let per_mass: Vec<f64> = f.iter().zip(masses.log_a).map(|(f, log_a)| f - eps * log_a).collect();
    let margins = Margins::new(g, -eps * masses.loss.ln(), Bound::Potentials(&per_mass));
    let run = |chunk: usize| {
        let rows = chunk * size..n.min((chunk + 1) * size);
        let (mut live, mut z, mut results) = (Vec::new(), vec![0.0; costs.columns()], Vec::new());
        for start in rows.clone().step_by(LEAF) {
            let block = start..rows.end.min(start + LEAF);
            costs.live(block.clone(), g, &margins, &mut live);
            for index in block {
                let mut at = 0;
                for range in &live {
                    costs.fill(index, range.clone(), g, &mut z[at..at + range.len()]);
                    at += range.len();
                }
                exp_in_place(&mut z[..at], 1.0 / eps, -f[index]);
                results.push(visit(PlanRow { index, ranges: &live, values: &mut z[..at] }));
            }
        }
        results
    };
    let chunks: Vec<Vec<R>> = (0..n.div_ceil(size)).into_par_iter().map(run).collect();
    chunks.into_iter().flatten().collect()
}
