//! Costs between points, computed when needed, far tiles skipped.

use std::ops::Range;

use super::super::problem::Metric;
use super::tree::{Boxes, LEAF, order};
use super::{Bound, Costs, Margins};
use crate::linalg::elementary::multiply_add;
use crate::linalg::exponential::{Wide, largest, largest_of, widest};

/// Two sets of points in tree order, axis by axis, with the boxes around their leaves.
#[derive(Clone, Debug)]
pub(crate) struct PointCosts {
    pub metric: Metric,
    pub source: Vec<Vec<f64>>,
    pub target: Vec<Vec<f64>>,
    source_boxes: Boxes,
    target_boxes: Boxes,
}

/// Points row by row in a given order, axis by axis.
pub(crate) fn axes(points: &[f64], dimension: usize, order: &[u32]) -> Vec<Vec<f64>> {
    (0..dimension).map(|k| order.iter().map(|&i| points[i as usize * dimension + k]).collect()).collect()
}

/// The largest distance of a point of one set and one of the other.
pub(crate) fn largest_distance(source: &[f64], target: &[f64], dimension: usize, metric: Metric) -> f64 {
    let sorted = |points: &[f64]| axes(points, dimension, &order(points, dimension));
    PointCosts::new(metric, sorted(source), sorted(target)).largest_cost()
}

impl PointCosts {
    pub fn new(metric: Metric, source: Vec<Vec<f64>>, target: Vec<Vec<f64>>) -> Self {
        let (source_boxes, target_boxes) = (Boxes::around(&source), Boxes::around(&target));
        Self { metric, source, target, source_boxes, target_boxes }
    }

    pub fn transposed(&self) -> Self {
        Self {
            metric: self.metric,
            source: self.target.clone(),
            target: self.source.clone(),
            source_boxes: self.target_boxes.clone(),
            target_boxes: self.source_boxes.clone(),
        }
    }

    /// The largest cost: pairs of boxes that may hold it, those with the largest bounds first.
    pub fn largest_cost(&self) -> f64 {
        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        let mut floor = 0.0f64;
        for i in 0..self.source_boxes.len() {
            for j in 0..self.target_boxes.len() {
                let (least, most) = self.source_boxes.distances(i, &self.target_boxes, j, self.metric);
                floor = floor.max(least);
                if most >= floor {
                    pairs.push((most, i, j));
                }
            }
            if pairs.len() > 1 << 20 {
                pairs.retain(|pair| pair.0 >= floor);
            }
        }
        pairs.sort_by(|p, q| q.0.total_cmp(&p.0));
        let zeros = vec![0.0; self.columns()];
        let mut z = [0.0; LEAF];
        let mut most = 0.0f64;
        for (bound, i, j) in pairs {
            if bound <= most {
                break;
            }
            let columns = j * LEAF..self.columns().min((j + 1) * LEAF);
            for row in i * LEAF..self.rows().min((i + 1) * LEAF) {
                let z = &mut z[..columns.len()];
                self.fill(row, columns.clone(), &zeros, z);
                most = z.iter().fold(most, |most, z| most.max(-z));
            }
        }
        most
    }

    /// Centroids of aligned runs of `run` points, weighted by their masses.
    pub fn coarsened(&self, run: usize, a: &[f64], b: &[f64]) -> Self {
        let centroids = |axis: &Vec<f64>, masses: &[f64]| -> Vec<f64> {
            let pairs = axis.chunks(run).zip(masses.chunks(run));
            pairs
                .map(|(x, w)| {
                    let total: f64 = w.iter().sum();
                    x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() / total
                })
                .collect()
        };
        let source = self.source.iter().map(|axis| centroids(axis, a)).collect();
        let target = self.target.iter().map(|axis| centroids(axis, b)).collect();
        Self::new(self.metric, source, target)
    }

    /// Mean over runs of `run` target points of the largest squared extent (of the extent, for metrics that are not
    /// squared): how much the cost varies in a cluster, about.
    pub fn cluster_extent(&self, run: usize) -> f64 {
        let mut sum = 0.0;
        let clusters = self.columns().div_ceil(run);
        for cluster in 0..clusters {
            let range = cluster * run..self.columns().min((cluster + 1) * run);
            let widest = self.target.iter().fold(0.0f64, |widest, axis| {
                let part = &axis[range.clone()];
                let low = part.iter().copied().fold(f64::INFINITY, f64::min);
                widest.max(largest(part) - low)
            });
            sum += if self.metric == Metric::SquaredEuclidean { widest * widest } else { widest };
        }
        sum / clusters as f64
    }
}

impl Costs for PointCosts {
    fn rows(&self) -> usize {
        self.source[0].len()
    }

    fn columns(&self) -> usize {
        self.target[0].len()
    }

    fn cost(&self, i: usize, j: usize) -> f64 {
        let differences = self.source.iter().zip(&self.target).map(|(x, y)| x[i] - y[j]);
        match self.metric {
            Metric::SquaredEuclidean => differences.map(|d| d * d).sum(),
            Metric::Euclidean => differences.map(|d| d * d).sum::<f64>().sqrt(),
            Metric::Manhattan => differences.map(f64::abs).sum(),
        }
    }

    fn fill(&self, i: usize, columns: Range<usize>, g: &[f64], z: &mut [f64]) -> f64 {
        widest(Fill { costs: self, i, columns, g, z })
    }

    fn live(&self, rows: Range<usize>, g: &[f64], margins: &Margins, live: &mut Vec<Range<usize>>) {
        live.clear();
        let (n, leaves) = (self.columns(), self.target_boxes.len());
        let columns = |j: usize| j * LEAF..n.min((j + 1) * LEAF);
        let row_boxes = rows.start / LEAF..rows.end.div_ceil(LEAF);
        let bound = |j: usize| {
            let least = row_boxes.clone().fold(f64::INFINITY, |least, i| {
                least.min(self.source_boxes.distances(i, &self.target_boxes, j, self.metric).0)
            });
            margins.largest_g[j] - least
        };
        let bounds: Vec<f64> = (0..leaves).map(bound).collect();
        // what every row is sure to reach
        let floor = match margins.bound {
            Bound::Potentials(f) => -rows.fold(f64::NEG_INFINITY, |most, i| most.max(f[i])),
            Bound::Rows => {
                let best = (0..leaves).fold(0, |best, j| if bounds[j] > bounds[best] { j } else { best });
                let mut z = [0.0; LEAF];
                let range = columns(best);
                rows.fold(f64::INFINITY, |floor, i| {
                    floor.min(self.fill(i, range.clone(), g, &mut z[..range.len()]))
                })
            }
        };
        for (j, bound) in bounds.iter().enumerate() {
            if *bound >= floor - margins.reach {
                let range = columns(j);
                match live.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => live.push(range),
                }
            }
        }
    }
}

/// z_j = g_j - C_ij over a range of columns, and the largest.
struct Fill<'a> {
    costs: &'a PointCosts,
    i: usize,
    columns: Range<usize>,
    g: &'a [f64],
    z: &'a mut [f64],
}

impl Wide for Fill<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self, fused: bool) -> f64 {
        let Fill { costs, i, columns, g, z } = self;
        let g = &g[columns.clone()];
        let axis = |k: usize| (costs.source[k][i], &costs.target[k][columns.clone()]);
        let square = |x: f64, y: f64| (x - y) * (x - y);
        match (costs.metric, costs.source.len()) {
            (Metric::SquaredEuclidean, 2) => {
                let ((p, x), (q, y)) = (axis(0), axis(1));
                for (((z, g), x), y) in z.iter_mut().zip(g).zip(x).zip(y) {
                    *z = g - multiply_add(fused, q - y, q - y, square(p, *x));
                }
            }
            (Metric::SquaredEuclidean, 3) => {
                let ((p, x), (q, y), (r, w)) = (axis(0), axis(1), axis(2));
                for ((((z, g), x), y), w) in z.iter_mut().zip(g).zip(x).zip(y).zip(w) {
                    *z = g - multiply_add(
                        fused,
                        r - w,
                        r - w,
                        multiply_add(fused, q - y, q - y, square(p, *x)),
                    );
                }
            }
            (metric, dimension) => {
                z.fill(0.0);
                for (p, x) in (0..dimension).map(axis) {
                    if metric == Metric::Manhattan {
                        z.iter_mut().zip(x).for_each(|(z, x)| *z += (p - x).abs());
                    } else {
                        z.iter_mut().zip(x).for_each(|(z, x)| *z = multiply_add(fused, p - x, p - x, *z));
                    }
                }
                if metric == Metric::Euclidean {
                    z.iter_mut().for_each(|z| *z = z.sqrt());
                }
                z.iter_mut().zip(g).for_each(|(z, g)| *z = g - *z);
            }
        }
        largest_of(z)
    }
}
