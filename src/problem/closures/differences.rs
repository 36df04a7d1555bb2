//! Differences of the Lagrangian's gradient: the Hessian by sets of columns that are moved together, or a product with it.

use super::{Closures, ClosuresWorkspace};
use crate::problem::nonlinear::{Pattern, entries};

impl Closures<'_> {
    /// The gradient of sigma f + y'c.
    fn lagrangian_gradient(&self, x: &[f64], sigma: f64, y: &[f64], listed: &mut Vec<f64>, out: &mut [f64]) {
        match &self.objective {
            Some((_, gradient)) if sigma != 0.0 => gradient(x, out),
            _ => out.fill(0.0),
        }
        out.iter_mut().for_each(|g| *g *= sigma);
        if let Some((_, jacobian)) = &self.constraints {
            listed.resize(self.jacobian_positions.len(), 0.0);
            jacobian(x, listed);
            for (&(row, column), value) in self.jacobian_positions.iter().zip(listed) {
                out[column] += y[row] * *value;
            }
        }
    }

    /// The Hessian by central differences of the gradient.
    pub(super) fn differences(
        &self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        values: &mut [f64],
        workspace: &mut ClosuresWorkspace,
    ) {
        let n = x.len();
        let step = |x: f64| f64::EPSILON.cbrt() * x.abs().max(1.0);
        let ClosuresWorkspace { listed, moved, gradients: [forward, backward] } = workspace;
        forward.resize(n, 0.0);
        backward.resize(n, 0.0);
        let offsets = self.second.pattern.proper_indptr();
        let columns = self.second.pattern.indices();
        let mut colour_of = vec![u32::MAX; n];
        for (colour, together) in self.colours.iter().enumerate() {
            moved.clear();
            moved.extend_from_slice(x);
            for (sign, gradient) in [(1.0, &mut *forward), (-1.0, &mut *backward)] {
                for &j in together {
                    moved[j as usize] = x[j as usize] + sign * step(x[j as usize]);
                }
                self.lagrangian_gradient(moved, sigma, y, listed, gradient);
            }
            together.iter().for_each(|&j| colour_of[j as usize] = colour as u32);
            for (row, pair) in offsets.windows(2).enumerate() {
                for k in pair[0]..pair[1] {
                    let column = columns[k] as usize;
                    // an entry of the lower triangle serves both (row, column) and (column, row); each colour sees one of them
                    let (at, by) = match (colour_of[row] == colour as u32, colour_of[column] == colour as u32)
                    {
                        (_, true) => (row, column),
                        (true, false) => (column, row),
                        _ => continue,
                    };
                    values[k] = (forward[at] - backward[at]) / (2.0 * step(x[by]));
                }
            }
        }
    }

    /// The Hessian times a direction, by a central difference along it.
    pub(super) fn difference_along(
        &self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut ClosuresWorkspace,
    ) {
        let size = |values: &[f64]| values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let length = f64::EPSILON.cbrt() * size(x).max(1.0) / size(direction).max(f64::MIN_POSITIVE);
        let ClosuresWorkspace { listed, moved, gradients: [forward, backward] } = workspace;
        for (sign, gradient) in [(1.0, &mut *forward), (-1.0, &mut *backward)] {
            moved.clear();
            moved.extend(x.iter().zip(direction).map(|(x, d)| x + sign * length * d));
            gradient.resize(x.len(), 0.0);
            self.lagrangian_gradient(moved, sigma, y, listed, gradient);
        }
        for (product, (forward, backward)) in product.iter_mut().zip(forward.iter().zip(backward)) {
            *product = (forward - *backward) / (2.0 * length);
        }
    }
}

/// Sets of columns no two of which have a non-zero in a common row of the full symmetric matrix; greedy, in the order of the columns.
pub(crate) fn colours(lower: &Pattern) -> Vec<Vec<u32>> {
    let n = lower.rows();
    let mut rows = vec![Vec::new(); n];
    for (row, column) in entries(lower) {
        rows[row].push(column);
        if row != column {
            rows[column].push(row);
        }
    }
    let (mut colour, mut sets) = (vec![usize::MAX; n], Vec::<Vec<u32>>::new());
    let mut forbidden = vec![usize::MAX; n + 1];
    for column in 0..n {
        for &row in &rows[column] {
            for &neighbour in &rows[row] {
                if colour[neighbour] != usize::MAX {
                    forbidden[colour[neighbour]] = column;
                }
            }
        }
        let free = (0..=n).find(|&c| forbidden[c] != column).unwrap_or(n);
        colour[column] = free;
        if free == sets.len() {
            sets.push(Vec::new());
        }
        sets[free].push(column as u32);
    }
    sets
}
