//! Passes over the kernel exp((f_i + g_j - C_ij)/eps), the only place where its n m entries are computed.
//!
//! - [`Costs`]: where rows of C come from: [`DenseCosts`] (a matrix), [`PointCosts`] (computed, far tiles skipped);
//! - [`GridCosts`]: costs summed axis by axis, whose soft minima need no pass over all pairs;
//! - [`Evaluation`]: the pass of the semi-dual: f from g, the column sums, and the large entries of the plan;
//! - `totals`: the pass of the certificate: row and column sums of the plan of any f and g.
//!
//! Rows are cut into chunks that depend on the problem alone, and partial sums are added in the order of the chunks.

mod dense;
mod grid;
mod points;
mod totals;
mod tree;

use std::ops::Range;

use rayon::prelude::*;

pub(crate) use dense::DenseCosts;
pub(crate) use grid::GridCosts;
pub(crate) use points::{PointCosts, axes, largest_distance};
pub(crate) use totals::{PlanRow, Potentials, Totals, for_each_plan_row, hard_transform};
pub(crate) use tree::order;

use super::sparse_plan::{Part, SparsePlan};
use crate::linalg::exponential::{exp_in_place, scale_and_add};
use tree::LEAF;

/// What a forbidden arc costs: finite, so that products with an entry 0 of the plan are 0.
pub(crate) const FORBIDDEN: f64 = 1e300;

/// Rows of C, wherever they come from. Rows and columns of mass zero are not there.
pub(crate) trait Costs: Sync {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// C_ij.
    fn cost(&self, i: usize, j: usize) -> f64;
    /// z_j = g_j - C_ij for a range of columns; returns the largest.
    fn fill(&self, i: usize, columns: Range<usize>, g: &[f64], z: &mut [f64]) -> f64;
    /// Ranges of columns outside of which no entry of the rows matters, ascending.
    fn live(&self, rows: Range<usize>, g: &[f64], margins: &Margins, live: &mut Vec<Range<usize>>);
}

/// Which entries matter: those within `reach` (cost units) of their row's largest.
pub(crate) struct Margins<'a> {
    /// Largest g of each leaf of columns.
    largest_g: Vec<f64>,
    reach: f64,
    bound: Bound<'a>,
}

/// What entries are compared with.
pub(crate) enum Bound<'a> {
    /// The largest g_j - C_ij of each row.
    Rows,
    /// -f_i, for given potentials.
    Potentials(&'a [f64]),
}

impl<'a> Margins<'a> {
    fn new(g: &[f64], reach: f64, bound: Bound<'a>) -> Self {
        let largest_g = g.chunks(LEAF).map(crate::linalg::exponential::largest).collect();
        Self { largest_g, reach, bound }
    }
}

/// Entries of a pass below which it stays on one thread.
const PARALLEL_ENTRIES: usize = 60_000;

/// Which entries of the plan a pass keeps: P_ij >= theta min(a_i / m, b_j / n), or the same of the sums over clusters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    pub theta: f64,
    /// Rows and columns of a cluster, a power of two up to [`Gather::LARGEST`]; 1 for the entries themselves.
    pub cluster: usize,
}

impl Gather {
    pub const LARGEST: usize = LEAF;
}

/// Masses and temperature of a pass.
#[derive(Clone, Copy)]
pub(crate) struct Masses<'a> {
    pub a: &'a [f64],
    pub log_a: &'a [f64],
    pub b: &'a [f64],
    pub eps: f64,
    /// Mass per row, relative to it, that skipped tiles may lose.
    pub loss: f64,
}

/// The semi-dual at g: f by the soft c-transform (rows exact), P, its column sums.
#[derive(Default)]
pub(crate) struct Evaluation {
    pub g: Vec<f64>,
    pub f: Vec<f64>,
    /// c = P'1.
    pub c: Vec<f64>,
    /// |b - c|_1.
    pub error: f64,
    /// F(g) = <a, f> + <b, g> - eps.
    pub value: f64,
    /// Large entries of P, where they were asked for.
    pub plan: SparsePlan,
    /// Entries of P that were computed.
    pub live: u64,
    pub(super) chunks: Vec<Chunk>,
}

/// Rows that are worked on by one thread.
#[derive(Default)]
pub(crate) struct Chunk {
    rows: Range<usize>,
    f: Vec<f64>,
    c: Vec<f64>,
    z: Vec<f64>,
    ranges: Vec<Range<usize>>,
    clusters: Vec<f64>,
    live: u64,
}

/// Rows of a chunk: whole blocks, at most 64 chunks.
pub(crate) fn chunk_rows(n: usize) -> usize {
    n.div_ceil(64).next_multiple_of(LEAF).max(4 * LEAF)
}

impl Evaluation {
    /// Nothing known yet but g.
    pub fn at(g: Vec<f64>) -> Self {
        Self { g, ..Self::default() }
    }

    /// Evaluates at `self.g`.
    pub fn run(&mut self, costs: &dyn Costs, masses: &Masses, gather: Option<Gather>) {
        let (n, m) = (costs.rows(), costs.columns());
        let size = chunk_rows(n);
        self.chunks.resize_with(n.div_ceil(size), Chunk::default);
        for (k, chunk) in self.chunks.iter_mut().enumerate() {
            chunk.rows = k * size..n.min((k + 1) * size);
            chunk.f.resize(chunk.rows.len(), 0.0);
            chunk.c.resize(m, 0.0);
            chunk.z.resize(m, 0.0);
        }
        let cluster = gather.map_or(1, |g| g.cluster);
        self.plan.start(self.chunks.len(), n.div_ceil(cluster), m.div_ceil(cluster), cluster);
        let margins = Margins::new(&self.g, -masses.eps * masses.loss.ln(), Bound::Rows);
        let thresholds = gather.map(|gather| Thresholds::new(gather, masses, n));
        let g = &self.g[..];
        let work = |(chunk, part): (&mut Chunk, &mut Part)| {
            chunk.run(costs, masses, g, &margins, thresholds.as_ref(), part);
        };
        let pairs = (&mut self.chunks, &mut self.plan.parts);
        if n * m >= PARALLEL_ENTRIES {
            pairs.into_par_iter().for_each(work);
        } else {
            pairs.0.iter_mut().zip(pairs.1).for_each(work);
        }
        self.plan.gathered = gather.is_some();
        self.f.clear();
        self.c.clear();
        self.c.resize(m, 0.0);
        self.live = 0;
        for chunk in &self.chunks {
            self.f.extend_from_slice(&chunk.f);
            self.c.iter_mut().zip(&chunk.c).for_each(|(sum, c)| *sum += c);
            self.live += chunk.live;
        }
        self.conclude(masses);
    }

    /// Error and value from f, g and c.
    pub(crate) fn conclude(&mut self, masses: &Masses) {
        self.error = self.c.iter().zip(masses.b).map(|(c, b)| (b - c).abs()).sum();
        let dual = |w: &[f64], f: &[f64]| -> f64 { w.iter().zip(f).map(|(w, f)| w * f).sum() };
        self.value = dual(masses.a, &self.f) + dual(masses.b, &self.g) - masses.eps;
    }

    /// Whether all numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.error.is_finite()
    }
}

/// Thresholds of the gathering.
struct Thresholds {
    cluster: usize,
    /// theta / m, to be multiplied by a_i.
    row: f64,
    /// theta b_j / n, of clusters where there are any.
    column: Vec<f64>,
}

impl Thresholds {
    fn new(gather: Gather, masses: &Masses, n: usize) -> Self {
        let (rows, columns) = (n.div_ceil(gather.cluster), masses.b.len().div_ceil(gather.cluster));
        let scale = gather.theta / rows as f64;
        let column = masses.b.chunks(gather.cluster).map(|b| scale * b.iter().sum::<f64>()).collect();
        Self { cluster: gather.cluster, row: gather.theta / columns as f64, column }
    }
}

impl Chunk {
    fn run(
        &mut self,
        costs: &dyn Costs,
        masses: &Masses,
        g: &[f64],
        margins: &Margins,
        thresholds: Option<&Thresholds>,
        part: &mut Part,
    ) {
        self.c.fill(0.0);
        self.live = 0;
        let inverse = 1.0 / masses.eps;
        for start in self.rows.clone().step_by(LEAF) {
            let block = start..self.rows.end.min(start + LEAF);
            costs.live(block.clone(), g, margins, &mut self.ranges);
            let total: usize = self.ranges.iter().map(Range::len).sum();
            self.live += (total * block.len()) as u64;
            for i in block {
                let mut most = f64::NEG_INFINITY;
                let mut at = 0;
                for range in &self.ranges {
                    let z = &mut self.z[at..at + range.len()];
                    most = most.max(costs.fill(i, range.clone(), g, z));
                    at += range.len();
                }
                let sum = exp_in_place(&mut self.z[..total], inverse, most);
                self.f[i - self.rows.start] = masses.eps * (masses.log_a[i] - sum.ln()) - most;
                let factor = masses.a[i] / sum;
                at = 0;
                for range in &self.ranges {
                    scale_and_add(factor, &mut self.z[at..at + range.len()], &mut self.c[range.clone()]);
                    at += range.len();
                }
                if let Some(thresholds) = thresholds {
                    self.gather(i, masses.a, thresholds, part);
                }
            }
        }
    }

    /// Keeps the large entries of row i, or adds the row to its cluster and keeps those once the cluster is whole.
    fn gather(&mut self, i: usize, a: &[f64], thresholds: &Thresholds, part: &mut Part) {
        let size = thresholds.cluster;
        if size == 1 {
            let mut at = 0;
            for range in &self.ranges {
                let z = &self.z[at..at + range.len()];
                part.keep(z, range.start, thresholds.row * a[i], &thresholds.column[range.clone()]);
                at += range.len();
            }
            part.end_row();
            return;
        }
        let first = i.is_multiple_of(size);
        let clusters: usize = self.ranges.iter().map(|range| range.len().div_ceil(size)).sum();
        if first {
            self.clusters.clear();
            self.clusters.resize(clusters, 0.0);
        }
        let (mut at, mut k) = (0, 0);
        for range in &self.ranges {
            for run in self.z[at..at + range.len()].chunks(size) {
                self.clusters[k] += run.iter().sum::<f64>();
                k += 1;
            }
            at += range.len();
        }
        if i % size == size - 1 || i + 1 == self.rows.end {
            let mass: f64 = a[i / size * size..=i].iter().sum();
            let mut k = 0;
            for range in &self.ranges {
                let columns = range.start / size..range.end.div_ceil(size);
                let sums = &self.clusters[k..k + columns.len()];
                part.keep(sums, columns.start, thresholds.row * mass, &thresholds.column[columns.clone()]);
                k += columns.len();
            }
            part.end_row();
        }
    }
}

/// g_j = eps (log b_j - LSE_i((f_i - C_ij)/eps)) for a few columns.
pub(crate) fn column_transform(
    costs: &dyn Costs,
    f: &[f64],
    b: &[f64],
    eps: f64,
    columns: &[usize],
) -> Vec<f64> {
    let column = |&j: &usize| {
        let most = (0..f.len()).fold(f64::NEG_INFINITY, |most, i| most.max(f[i] - costs.cost(i, j)));
        let sum: f64 = (0..f.len()).map(|i| ((f[i] - costs.cost(i, j) - most) / eps).exp()).sum();
        eps * (b[j].ln() - sum.ln()) - most
    };
    columns.par_iter().with_min_len(4).map(column).collect()
}

#[cfg(test)]
mod tests;
