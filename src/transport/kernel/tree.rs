//! Points in an order in which near ones stand together, and the boxes around runs of them.

use super::super::problem::Metric;

/// Points of a box, and rows of a block.
pub(crate) const LEAF: usize = 64;

/// An order of n points (row by row, d coordinates each) in which every aligned run of 2^k points is a cell of a k-d
/// tree: halves along the widest axis, the left one the largest power of two below the size. O(n log^2 n), no ties
/// left to chance.
pub(crate) fn order(points: &[f64], dimension: usize) -> Vec<u32> {
    let n = points.len() / dimension;
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut stack = vec![(0usize, n)];
    while let Some((start, length)) = stack.pop() {
        if length <= 1 {
            continue;
        }
        let cell = &mut order[start..start + length];
        let spread = |k: usize| {
            let values = cell.iter().map(|&i| points[i as usize * dimension + k]);
            let (low, high) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            high - low
        };
        let mut axis = 0;
        let mut widest = spread(0);
        for k in 1..dimension {
            let width = spread(k);
            if width > widest {
                (axis, widest) = (k, width);
            }
        }
        let left = length.next_power_of_two() / 2;
        let key = |i: u32| points[i as usize * dimension + axis];
        cell.select_nth_unstable_by(left, |&i, &j| key(i).total_cmp(&key(j)).then(i.cmp(&j)));
        stack.push((start, left));
        stack.push((start + left, length - left));
    }
    order
}

/// Boxes around runs of [`LEAF`] points: low and high corners, d numbers each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boxes {
    pub low: Vec<f64>,
    pub high: Vec<f64>,
    dimension: usize,
}

impl Boxes {
    /// Around points given axis by axis.
    pub fn around(axes: &[Vec<f64>]) -> Self {
        let n = axes.first().map_or(0, Vec::len);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for start in (0..n).step_by(LEAF) {
            for axis in axes {
                let run = &axis[start..n.min(start + LEAF)];
                low.push(run.iter().copied().fold(f64::INFINITY, f64::min));
                high.push(run.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            }
        }
        Self { low, high, dimension: axes.len() }
    }

    pub fn len(&self) -> usize {
        self.low.len() / self.dimension.max(1)
    }

    /// Least and largest distance of a point of box `i` and one of box `j` of the other set.
    pub fn distances(&self, i: usize, other: &Boxes, j: usize, metric: Metric) -> (f64, f64) {
        let d = self.dimension;
        let (mut least, mut most) = (0.0, 0.0);
        for k in 0..d {
            let (low, high) = (self.low[i * d + k], self.high[i * d + k]);
            let (other_low, other_high) = (other.low[j * d + k], other.high[j * d + k]);
            let gap = (other_low - high).max(low - other_high).max(0.0);
            let span = (other_high - low).max(high - other_low);
            match metric {
                Metric::Manhattan => {
                    least += gap;
                    most += span;
                }
                _ => {
                    least += gap * gap;
                    most += span * span;
                }
            }
        }
        if metric == Metric::Euclidean { (least.sqrt(), most.sqrt()) } else { (least, most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_runs_are_compact_and_nothing_is_lost() {
        let points: Vec<f64> = (0..2 * 1000).map(|k| ((k * 7919) % 1000) as f64 / 1000.0).collect();
        let mut order = order(&points, 2);
        let mean_width = |order: &[u32]| {
            let axes: Vec<Vec<f64>> =
                (0..2).map(|k| order.iter().map(|&i| points[2 * i as usize + k]).collect()).collect();
            let boxes = Boxes::around(&axes);
            boxes.low.iter().zip(&boxes.high).map(|(l, h)| h - l).sum::<f64>() / boxes.low.len() as f64
        };
        assert!(mean_width(&order) < 0.35);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(k, &i)| k == i as usize));
    }
}
