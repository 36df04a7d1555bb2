//! The feasible plan of an answer: as a matrix, as its large entries, as a map.

use std::ops::Range;

use rayon::prelude::*;
use sprs::CsMatI;

use super::Solution;
use super::certificate::Rounding;
use super::kernel::{PlanRow, for_each_plan_row};
use super::problem::{ProblemError, TransportProblem};
use super::reduced::Reduced;

/// The rounded plan P^ = diag(x) P diag(y) + e_a e_b'/s, its entries computed when asked for.
pub struct Plan<'a> {
    reduced: Reduced<'a>,
    f: Vec<f64>,
    g: Vec<f64>,
    rounding: Rounding,
    /// Sum of the missing masses.
    missing: f64,
    shape: (usize, usize),
}

impl Solution {
    /// The feasible plan that the answer stands for; `problem` is the one that was solved.
    ///
    /// # Errors
    /// A problem that is not one, or of another shape than the answer (`Size`).
    pub fn plan<'a>(&self, problem: &'a TransportProblem) -> Result<Plan<'a>, ProblemError> {
        let reduced = Reduced::new(problem, 0)?;
        let shape = problem.cost.shape();
        let sizes = [
            ("sources of the problem", shape.0, self.source_potential.len()),
            ("targets of the problem", shape.1, self.target_potential.len()),
        ];
        for (what, given, expected) in sizes {
            if given != expected {
                return Err(ProblemError::Size { what, given, expected });
            }
        }
        let Rounding { row_scale, column_scale, row_missing, column_missing } = &self.rounding;
        let (mut f, mut g) = (&self.source_potential, &self.target_potential);
        let (mut x, mut y) = (row_scale, column_scale);
        let (mut e, mut h) = (row_missing, column_missing);
        // the part of the potentials that goes with the sources
        let shift = reduced.offset + reduced.eps * reduced.total.ln();
        let (mut f_shift, mut g_shift) = (shift, 0.0);
        if reduced.transposed {
            std::mem::swap(&mut f, &mut g);
            std::mem::swap(&mut x, &mut y);
            std::mem::swap(&mut e, &mut h);
            std::mem::swap(&mut f_shift, &mut g_shift);
        }
        let pick = |kept: &[u32], from: &[f64], shift: f64, scale: f64| -> Vec<f64> {
            kept.iter().map(|&i| (from[i as usize] - shift) / scale).collect()
        };
        let (rows, columns, total) = (&reduced.rows, &reduced.columns, reduced.total);
        let rounding = Rounding {
            row_scale: pick(rows, x, 0.0, 1.0),
            column_scale: pick(columns, y, 0.0, 1.0),
            row_missing: pick(rows, e, 0.0, total),
            column_missing: pick(columns, h, 0.0, total),
        };
        let (f, g) = (pick(rows, f, f_shift, 1.0), pick(columns, g, g_shift, 1.0));
        let missing =
            rounding.row_missing.iter().sum::<f64>().max(rounding.column_missing.iter().sum::<f64>());
        Ok(Plan { reduced, f, g, rounding, missing, shape })
    }
}

impl Plan<'_> {
    /// Rows of diag(x) P diag(y), handed to `visit` in parallel chunks; results in order.
    fn rows<R: Send>(&self, visit: impl Fn(PlanRow) -> R + Sync) -> Vec<R> {
        let masses = self.reduced.masses(self.reduced.eps, 1e-15);
        let costs = self.reduced.kernel.costs();
        for_each_plan_row(costs, &self.f, &self.g, &masses, |row| {
            let x = self.rounding.row_scale[row.index];
            let mut at = 0;
            for range in row.ranges {
                let values = &mut row.values[at..at + range.len()];
                at += range.len();
                let y = &self.rounding.column_scale[range.clone()];
                values.iter_mut().zip(y).for_each(|(p, y)| *p *= x * y);
            }
            visit(row)
        })
    }

    /// All entries, row by row, n m of them.
    pub fn to_dense(&self) -> Vec<f64> {
        let (n, m) = self.shape;
        let total = self.reduced.total;
        let (rows, columns) = (&self.reduced.rows, &self.reduced.columns);
        let entries = self.rows(|row| {
            let mut entries = vec![0.0; columns.len()];
            let mut at = 0;
            for range in row.ranges {
                entries[range.clone()].copy_from_slice(&row.values[at..at + range.len()]);
                at += range.len();
            }
            if self.missing > 0.0 {
                let e = self.rounding.row_missing[row.index] / self.missing;
                entries.iter_mut().zip(&self.rounding.column_missing).for_each(|(p, h)| *p += e * h);
            }
            entries
        });
        let mut dense = vec![0.0; n * m];
        for (&i, entries) in rows.iter().zip(&entries) {
            for (&j, p) in columns.iter().zip(entries) {
                let (i, j) = if self.reduced.transposed { (j, i) } else { (i, j) };
                dense[i as usize * m + j as usize] = total * p;
            }
        }
        dense
    }

    /// Entries above `threshold` times the largest source mass of the sum 1, as CSR. The missing masses, which spread
    /// thinly over all entries, are left out.
    pub fn to_sparse(&self, threshold: f64) -> CsMatI<f64, u32> {
        let total = self.reduced.total;
        let columns = &self.reduced.columns;
        let bound = threshold * self.reduced.a.iter().copied().fold(0.0, f64::max);
        let kept = self.rows(|row| {
            let mut kept: Vec<(u32, f64)> = Vec::new();
            let places = row.ranges.iter().cloned().flatten();
            for (j, &p) in places.zip(row.values.iter()) {
                if p > bound {
                    kept.push((columns[j], total * p));
                }
            }
            kept
        });
        let mut triplets: Vec<(u32, u32, f64)> = Vec::new();
        for (&i, kept) in self.reduced.rows.iter().zip(&kept) {
            triplets.extend(
                kept.iter().map(|&(j, p)| if self.reduced.transposed { (j, i, p) } else { (i, j, p) }),
            );
        }
        triplets.par_sort_unstable_by_key(|&(i, j, _)| (i, j));
        let mut starts = vec![0u32; self.shape.0 + 1];
        triplets.iter().for_each(|&(i, _, _)| starts[i as usize + 1] += 1);
        for i in 0..self.shape.0 {
            starts[i + 1] += starts[i];
        }
        let indices = triplets.iter().map(|t| t.1).collect();
        let values = triplets.iter().map(|t| t.2).collect();
        CsMatI::try_new(self.shape, starts, indices, values).unwrap_or_else(|_| CsMatI::zero(self.shape))
    }

    /// The barycentric map: row i is the mean of the target's values under the plan, sum over j of P^_ij v_j / a_i.
    /// `values` holds `dimension` numbers per target; so does the result per source, NaN for sources without mass.
    pub fn map(&self, values: &[f64], dimension: usize) -> Vec<f64> {
        let (n, _) = self.shape;
        let (reduced, rounding) = (&self.reduced, &self.rounding);
        if reduced.transposed {
            return self.map_columns(values, dimension);
        }
        let value = |j: usize| {
            let place = reduced.columns[j] as usize * dimension;
            &values[place..place + dimension]
        };
        // what the missing masses move goes to the mean of the targets that miss some
        let mut spread = vec![0.0; dimension];
        for (j, h) in rounding.column_missing.iter().enumerate().filter(|(_, h)| **h > 0.0) {
            spread.iter_mut().zip(value(j)).for_each(|(s, v)| *s += h / self.missing * v);
        }
        let means = self.rows(|row| {
            let mut mean: Vec<f64> = spread.iter().map(|s| s * rounding.row_missing[row.index]).collect();
            for (j, &p) in row.ranges.iter().cloned().flatten().zip(row.values.iter()) {
                mean.iter_mut().zip(value(j)).for_each(|(mean, v)| *mean += p * v);
            }
            mean.iter_mut().for_each(|mean| *mean /= reduced.a[row.index]);
            mean
        });
        let mut mapped = vec![f64::NAN; n * dimension];
        for (&i, mean) in reduced.rows.iter().zip(&means) {
            mapped[i as usize * dimension..(i as usize + 1) * dimension].copy_from_slice(mean);
        }
        mapped
    }

    /// The same where the problem's sources are columns here: sums over rows, chunk by chunk in order.
    fn map_columns(&self, values: &[f64], dimension: usize) -> Vec<f64> {
        let (reduced, rounding) = (&self.reduced, &self.rounding);
        let mut sums = vec![0.0; reduced.b.len() * dimension];
        let mut spread = vec![0.0; dimension];
        let kept = self.rows(|row| {
            let places: Vec<Range<usize>> = row.ranges.to_vec();
            (places, row.values.to_vec())
        });
        for (i, (ranges, row)) in kept.into_iter().enumerate() {
            let place = reduced.rows[i] as usize * dimension;
            let value = &values[place..place + dimension];
            for (j, p) in ranges.into_iter().flatten().zip(row) {
                sums[j * dimension..(j + 1) * dimension].iter_mut().zip(value).for_each(|(s, v)| *s += p * v);
            }
            if self.missing > 0.0 {
                let e = rounding.row_missing[i] / self.missing;
                spread.iter_mut().zip(value).for_each(|(s, v)| *s += e * v);
            }
        }
        let mut mapped = vec![f64::NAN; self.shape.0 * dimension];
        for (j, &i) in reduced.columns.iter().enumerate() {
            for k in 0..dimension {
                let sum = sums[j * dimension + k] + rounding.column_missing[j] * spread[k];
                mapped[i as usize * dimension + k] = sum / reduced.b[j];
            }
        }
        mapped
    }
}
