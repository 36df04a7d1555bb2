//! A row's normal equations, from its Gram matrix: by Cholesky, or by coordinate descent where x >= 0.

use super::RowSolver;
use crate::completion::row_problem::{Entries, Objective, Report};
use crate::linalg::tall::Element;

impl RowSolver {
    /// The normal matrix (column-major, lower triangle and upper) and right-hand side from the Gram matrix.
    pub(super) fn complete(&mut self, objective: &Objective) {
        let (d, width) = (self.unknowns, self.width);
        for i in 0..d {
            for j in i..d {
                let mut value = self.gram[i * width + j];
                value += objective.common.map_or(0.0, |common| common.row(i)[j]);
                value += if i == j { self.ridge[i] } else { 0.0 };
                self.matrix[i * d + j] = value;
                self.matrix[j * d + i] = value;
            }
            self.sum[i] = self.gram[i * width + d];
        }
    }

    /// M x - h, and its squared norm.
    fn residual_of_normal_equations(&mut self, x: &[f64]) -> f64 {
        let d = self.unknowns;
        let mut squares = 0.0;
        for i in 0..d {
            let row = &self.matrix[i * d..(i + 1) * d];
            let value = row.iter().zip(x).map(|(m, x)| m * x).sum::<f64>() - self.sum[i];
            self.gradient[i] = value;
            squares += value * value;
        }
        squares
    }

    pub(super) fn factor<T: Element>(&mut self, entries: &Entries<T>, x: &mut [f64], report: &mut Report) {
        self.clear_gram();
        self.add_gram(entries, entries.side.entries(entries.row));
        self.solve_gram(&entries.objective, x, report);
    }

    /// Solves the row whose Gram matrix is complete.
    pub fn solve_gram(&mut self, objective: &Objective, x: &mut [f64], report: &mut Report) {
        self.complete(objective);
        self.solve_assembled(x, report);
    }

    /// Solves the row whose Gram matrix is complete with x >= 0.
    pub fn project_gram<T: Element>(&mut self, entries: &Entries<T>, x: &mut [f64], report: &mut Report) {
        self.complete(&entries.objective);
        let free = entries.fixed.offsets.map(|_| self.unknowns - 1);
        report.gradient = self.project(free, x);
        report.factored = 1;
    }

    fn solve_assembled(&mut self, x: &mut [f64], report: &mut Report) {
        let d = self.unknowns;
        report.gradient = self.residual_of_normal_equations(x);
        report.factored = 1;
        if self.cholesky.factor_shifted(d, &mut self.matrix).is_err() {
            // no direction is determined: the last x is as good as any
            return;
        }
        // as a correction of the last x, which stands where a shift was needed
        self.scaled[..d].copy_from_slice(&self.gradient[..d]);
        if self.cholesky.solve_in_place(&mut self.scaled[..d]).is_ok() {
            x.iter_mut().zip(&self.scaled).for_each(|(x, step)| *x -= step);
        }
    }

    /// Cyclic coordinate descent on the normal equations with all but the bias, `free`, at or above zero. Returns the
    /// squared norm of the projected gradient at the start.
    fn project(&mut self, free: Option<usize>, x: &mut [f64]) -> f64 {
        let d = self.unknowns;
        let mut squares = 0.0;
        self.residual_of_normal_equations(x);
        for a in 0..d {
            // at the bound only a negative gradient counts
            let g = self.gradient[a];
            let counted = if x[a] > 0.0 || free == Some(a) { g } else { g.min(0.0) };
            squares += counted * counted;
        }
        for _ in 0..20 {
            let mut largest = 0.0f64;
            for a in 0..d {
                let curvature = self.matrix[a * d + a];
                if !(curvature > 0.0) {
                    continue;
                }
                let wanted = x[a] - self.gradient[a] / curvature;
                let wanted = if free == Some(a) { wanted } else { wanted.max(0.0) };
                let step = wanted - x[a];
                if step != 0.0 {
                    x[a] = wanted;
                    let column = &self.matrix[a * d..(a + 1) * d];
                    self.gradient.iter_mut().zip(column).for_each(|(g, m)| *g += step * m);
                    largest = largest.max(curvature * step * step);
                }
            }
            if largest <= 1e-20 * squares {
                break;
            }
        }
        squares
    }
}
