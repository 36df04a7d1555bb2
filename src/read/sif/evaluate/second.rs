//! The Hessian of sigma f + y'c: its values and its products with a vector.

use super::batch::Wanted;
use super::rows::RowState;
use super::{Evaluator, Part, SifWorkspace, Uses, dot};
use crate::read::sif::function::Outputs;

impl Evaluator {
    /// Second derivatives of all elements, times sum_i y_i (d1_i / s_i) w_ij with y = sigma for the objective; also q and the
    /// derivatives of the groups that the Hessian needs.
    fn evaluate_second(&self, x: &[f64], sigma: f64, multipliers: &[f64], workspace: &mut SifWorkspace) {
        workspace.second.resize(self.elements.sizes.second, [0.0; 4]);
        workspace.weights.resize(self.elements.sizes.value, [0.0; 4]);
        let functions = self.objective.has_functions() || self.constraints.has_functions();
        if functions {
            let wanted = |uses: &Uses| Wanted {
                value: uses.in_function,
                first: uses.in_curved,
                second: uses.in_function,
            };
            self.evaluate_elements(x, Part::Both, wanted, workspace);
            self.evaluate_slopes(x, Part::Both, true, workspace);
            self.evaluate_q(Part::Both, workspace);
        }
        let SifWorkspace { value, first, second, weights, registers, rows, .. } = workspace;
        weights.fill([0.0; 4]);
        self.objective.add_weights(&rows[0], |_| sigma, weights.as_flattened_mut());
        self.constraints.add_weights(&rows[1], |row| multipliers[row], weights.as_flattened_mut());
        let mut outputs = Outputs { value, first, second };
        let second_only = Wanted { value: false, first: false, second: true };
        for ((batch, uses), registers) in self.elements.batches.iter().zip(&self.elements.uses).zip(registers)
        {
            if uses.in_function {
                batch.scale_second(weights, outputs.second);
            } else if !batch.function.second.is_empty() {
                batch.evaluate(x, 0..batch.blocks(), second_only, Some(weights), &mut outputs, registers);
            }
        }
    }

    /// y_i d2_i / s_i, the factor of q q'.
    fn curvature(
        &self,
        side: usize,
        row: usize,
        rows: &[RowState; 2],
        sigma: f64,
        multipliers: &[f64],
    ) -> f64 {
        match side {
            0 => sigma * rows[0].second[row] * self.objective.inverse_scale[row],
            _ => multipliers[row] * rows[1].second[row] * self.constraints.inverse_scale[row],
        }
    }

    pub fn hessian(
        &self,
        x: &[f64],
        sigma: f64,
        multipliers: &[f64],
        values: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        let Some(hessian) = self.lagrangian() else { return };
        self.evaluate_second(x, sigma, multipliers, workspace);
        let SifWorkspace { second, rows, scratch, .. } = workspace;
        hessian.values(
            second.as_flattened(),
            [&self.objective, &self.constraints],
            [&rows[0], &rows[1]],
            |side, row| self.curvature(side, row, rows, sigma, multipliers),
            values,
            scratch,
        );
        hessian.add_quadratic(sigma, values);
    }

    pub fn hessian_product(
        &self,
        x: &[f64],
        sigma: f64,
        multipliers: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluate_second(x, sigma, multipliers, workspace);
        product.fill(0.0);
        self.add_quadratic_product(sigma, direction, product);
        let second = workspace.second.as_flattened();
        for batch in &self.elements.batches {
            for p in 0..batch.count {
                for (k, &(j, l)) in batch.function.second.iter().enumerate() {
                    let (a, b) = (batch.source(p, j as usize) as usize, batch.source(p, l as usize) as usize);
                    let h = second[batch.second_index(p, k)];
                    product[a] += h * direction[b];
                    if j != l {
                        product[b] += h * direction[a];
                    }
                }
            }
        }
        for (side, rows) in [&self.objective, &self.constraints].into_iter().enumerate() {
            let state = &workspace.rows[side];
            for &row in &rows.curved {
                let (columns, q) = rows.row(state, row as usize);
                let factor = self.curvature(side, row as usize, &workspace.rows, sigma, multipliers)
                    * dot(columns, q, direction);
                for (&column, &q) in columns.iter().zip(q) {
                    product[column as usize] += factor * q;
                }
            }
        }
    }
}
