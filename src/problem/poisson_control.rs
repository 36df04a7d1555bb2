//! A control problem with the Poisson equation as its constraints.
//!
//! On an N x N grid inside (-1, 1)^2 with h = 2 / (N + 1), unknown state W and control Z:
//!
//! minimise |W - V|^2 / 2 + 0.05 |Z|^2, subject to (sum of the four neighbours of W - 4 W) / h^2 + Z = 0, zero on the
//! boundary, with the target V_ij = sin(4 + a (i - (N+1)/2)) + cos(3 + a (j - (N+1)/2)), a = 0.1 / sqrt(15).

use super::nonlinear::{NonlinearProgram, Pattern};

/// The problem in 2 N^2 variables, W by rows and then Z; a convex quadratic program.
pub struct PoissonControl {
    size: usize,
    target: Vec<f64>,
    jacobian: Pattern,
    /// The Jacobian's values, which do not depend on the point.
    jacobian_values: Vec<f64>,
    hessian: Pattern,
    free: (Vec<f64>, Vec<f64>),
    zero: Vec<f64>,
    start: Vec<f64>,
}

/// Weight of the control.
const CONTROL: f64 = 0.05;

impl PoissonControl {
    /// The problem on an N x N grid; the start is all ones.
    pub fn new(grid: usize) -> Self {
        let size = grid * grid;
        let a = 0.1 / 15.0f64.sqrt();
        let middle = (grid as f64 + 1.0) / 2.0;
        let at = |i: usize| a * (i as f64 + 1.0 - middle);
        let target = (0..size).map(|k| (4.0 + at(k / grid)).sin() + (3.0 + at(k % grid)).cos()).collect();
        let h = 2.0 / (grid as f64 + 1.0);
        let (mut offsets, mut indices, mut jacobian_values) = (vec![0], Vec::new(), Vec::new());
        for k in 0..size {
            let (i, j) = (k / grid, k % grid);
            let neighbours = [
                (i > 0, k.wrapping_sub(grid), 1.0),
                (j > 0, k.wrapping_sub(1), 1.0),
                (true, k, -4.0),
                (j + 1 < grid, k + 1, 1.0),
                (i + 1 < grid, k + grid, 1.0),
            ];
            for (_, column, weight) in neighbours.into_iter().filter(|(inside, ..)| *inside) {
                indices.push(column as u32);
                jacobian_values.push(weight / (h * h));
            }
            indices.push((size + k) as u32);
            jacobian_values.push(1.0);
            offsets.push(indices.len());
        }
        let count = indices.len();
        let n = 2 * size;
        Self {
            size,
            target,
            jacobian: Pattern::new((size, n), offsets, indices, vec![(); count]),
            jacobian_values,
            hessian: Pattern::new((n, n), (0..=n).collect(), (0..n as u32).collect(), vec![(); n]),
            free: (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]),
            zero: vec![0.0; size],
            start: vec![1.0; n],
        }
    }
}

impl NonlinearProgram for PoissonControl {
    type Workspace = ();

    fn workspace(&self) {}

    fn variable_count(&self) -> usize {
        2 * self.size
    }

    fn constraint_count(&self) -> usize {
        self.size
    }

    fn variable_bounds(&self) -> (&[f64], &[f64]) {
        (&self.free.0, &self.free.1)
    }

    fn constraint_bounds(&self) -> (&[f64], &[f64]) {
        (&self.zero, &self.zero)
    }

    fn start(&self) -> &[f64] {
        &self.start
    }

    fn start_multipliers(&self) -> &[f64] {
        &self.zero
    }

    fn is_linear(&self, _row: usize) -> bool {
        true
    }

    fn jacobian_pattern(&self) -> &Pattern {
        &self.jacobian
    }

    fn hessian_pattern(&self) -> Option<&Pattern> {
        Some(&self.hessian)
    }

    fn objective(&self, x: &[f64], (): &mut ()) -> f64 {
        let (w, z) = x.split_at(self.size);
        let state: f64 = w.iter().zip(&self.target).map(|(w, v)| (w - v) * (w - v)).sum();
        0.5 * state + CONTROL * z.iter().map(|z| z * z).sum::<f64>()
    }

    fn constraints(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
        let (offsets, columns) = (self.jacobian.proper_indptr(), self.jacobian.indices());
        for (value, pair) in values.iter_mut().zip(offsets.windows(2)) {
            let range = pair[0]..pair[1];
            let entries = columns[range.clone()].iter().zip(&self.jacobian_values[range]);
            *value = entries.map(|(&column, j)| j * x[column as usize]).sum();
        }
    }

    fn gradient(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
        let (w, z) = x.split_at(self.size);
        let (state, control) = values.split_at_mut(self.size);
        state.iter_mut().zip(w.iter().zip(&self.target)).for_each(|(g, (w, v))| *g = w - v);
        control.iter_mut().zip(z).for_each(|(g, z)| *g = 2.0 * CONTROL * z);
    }

    fn jacobian(&self, _x: &[f64], values: &mut [f64], (): &mut ()) {
        values.copy_from_slice(&self.jacobian_values);
    }

    fn hessian(&self, _x: &[f64], sigma: f64, _multipliers: &[f64], values: &mut [f64], (): &mut ()) {
        let (state, control) = values.split_at_mut(self.size);
        state.fill(sigma);
        control.fill(2.0 * CONTROL * sigma);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::check_derivatives;

    #[test]
    fn derivatives_are_right_and_the_stencil_meets_the_boundary() {
        for grid in [1, 2, 3, 5] {
            let problem = PoissonControl::new(grid);
            let x: Vec<f64> = (0..2 * grid * grid).map(|k| (k as f64).sin()).collect();
            let y: Vec<f64> = (0..grid * grid).map(|k| (k as f64).cos()).collect();
            let check = check_derivatives(&problem, &x, &y, 1e-3);
            assert!(check.worst() < 1e-9, "{check:?}");
        }
        // ones: a corner misses two neighbours, the middle none; h = 1/2, and Z = 1
        let problem = PoissonControl::new(3);
        let mut c = vec![0.0; 9];
        problem.constraints(problem.start(), &mut c, &mut ());
        assert_eq!((c[0], c[1], c[4]), (-2.0 * 4.0 + 1.0, -4.0 + 1.0, 1.0));
    }
}
