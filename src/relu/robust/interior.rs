//! A primal-dual interior-point method on the robust program.
//!
//! min sum_k f_k(p_k) + beta sum_j |v_j|, p_k = sum_j s_j D_jk v_j, with sizes in epigraphs (`epigraph.rs`), the losses' kinks too
//! (`row_loss.rs`), and norms in second-order cones (`interior/soc.rs`); E X v_j >= eps size(v_j). The weights that keep their patterns on all boxes, known from the
//! sampling, make a strictly feasible start, and slacks are those of the weights at every iterate, so that every iterate is a
//! network. Newton steps drive all products of slacks and multipliers to one number mu (`newton.rs`), predicted and corrected
//! after Mehrotra; their multipliers, at the end of the whole step, prove a bound (`scaled.rs`).

use faer::MatRef;
use rayon::prelude::*;

use super::epigraph::Epigraph;
use super::newton::Newton;
use super::prox::{Norm, RowDual, worst_loss};
use super::row_loss::RowLoss;
use super::scaled::{Multipliers, Scaled};
use super::slacks::Slacks;
use crate::control::{Run, Status};
use crate::linalg::factor::FactorError;
use crate::linalg::panel;
use crate::linalg::product::{axpy, dot_serial, norm};
use crate::relu::interior::soc::{self, Scaling};

/// Steps go this far towards the boundary.
const TO_THE_BOUNDARY: f64 = 0.99;
/// Shorter steps, three times in a row, end the method.
const SHORTEST: f64 = 1e-6;

/// What the method found: strictly feasible weights, and a proved lower bound.
pub(super) struct Found {
    pub v: Vec<f64>,
    pub bound: f64,
    pub status: Status,
    pub steps: u64,
}

/// A column of weights: its norm, its size, and the slacks of its robust cone.
pub(super) struct Column {
    norm: Length,
    size: Epigraph,
    cone: Slacks,
}

/// The norm of a column: |v| <= t with the multiplier (beta, z), in Nesterov and Todd's scaling.
struct Length {
    t: f64,
    z: Vec<f64>,
    scaling: Scaling,
    /// What the linearised complementarity asks for, and the steps.
    target: (f64, Vec<f64>),
    dt: f64,
    dz: Vec<f64>,
}

/// A row: the size of the weights active on it, and its loss.
pub(super) struct Row {
    size: Epigraph,
    loss: RowLoss,
}

/// The iterate and a step.
pub(super) struct State<'a> {
    pub data: &'a Scaled,
    /// d x columns.
    v: Vec<f64>,
    pub dv: Vec<f64>,
    /// E X v, n x columns, and p, d x n, and their steps.
    product: Vec<f64>,
    p: Vec<f64>,
    d_product: Vec<f64>,
    dp: Vec<f64>,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

/// Minimises until the gap is at most the run's tolerance, or until the run stops. `interior` are weights inside the robust
/// cones of the patterns.
pub(super) fn solve(data: &Scaled, interior: &[Vec<f64>], run: &mut Run) -> Found {
    let mut state = State::start(data, interior);
    let mut newton = Newton::new(data);
    let mut best = (f64::INFINITY, state.v.clone());
    let (mut bound, mut steps, mut stuck) = (0.0f64, 0, 0);
    loop {
        let objective = state.objective();
        if objective < best.0 {
            best = (objective, state.v.clone());
        }
        let gap = (best.0 - bound).max(0.0);
        let relative = if best.0 > 0.0 { gap / best.0 } else { gap };
        let stopped = run.record(best.0, relative, &[f64::NAN, f64::NAN]);
        let stalled = (stuck >= 3 || !objective.is_finite()).then_some(Status::Stalled);
        if let Some(status) = stopped.or(stalled) {
            return Found { v: best.1, bound, status, steps };
        }
        match state.advance(&mut newton) {
            Ok((length, proved)) => {
                bound = bound.max(proved);
                stuck = if length < SHORTEST { stuck + 1 } else { 0 };
            }
            Err(_) => stuck = 3,
        }
        steps += 1;
    }
}

impl<'a> State<'a> {
    /// One predicted and corrected step: its length, and the bound that its end proves.
    fn advance(&mut self, newton: &mut Newton) -> Result<(f64, f64), FactorError> {
        self.scale();
        let mu = self.mu();
        self.aim(0.0, false);
        newton.factor(self)?;
        newton.step(self)?;
        let affine = self.longest().min(1.0);
        let sigma = (1.0 - affine).powi(3).clamp(1e-6, 1.0);
        self.aim(sigma * mu, true);
        newton.renew(self);
        newton.step(self)?;
        let bound = self.bound();
        let length = (TO_THE_BOUNDARY * self.longest()).min(1.0);
        Ok((self.take(length), bound))
    }

    /// Small weights inside their cones, the same for both signs, so that all outputs are zero.
    fn start(data: &'a Scaled, interior: &[Vec<f64>]) -> Self {
        let Scaled { n, d, .. } = *data;
        let (budget, eps) = (&data.budget, data.budget.epsilon);
        let (m, count) = (budget.perturbed, data.columns());
        let heights = if budget.norm == Norm::Infinity { m as f64 } else { 1.0 };
        let at_zero: f64 = data.y.iter().map(|&y| data.loss.value(0.0, y)).sum();
        let length = 0.1 * at_zero.max(1e-8) / (data.beta * count as f64);
        let mu = at_zero.max(1e-8) / ((n * count) as f64 + heights * (n + count) as f64);
        let mut v = Vec::with_capacity(d * count);
        let mut columns = Vec::with_capacity(count);
        for j in 0..count {
            let inside = &interior[j % interior.len()];
            let scale = length / norm(inside).max(1e-300);
            let own: Vec<f64> = inside.iter().map(|g| scale * g).collect();
            let values: Vec<f64> = data
                .rows
                .chunks_exact(d)
                .zip(data.signs(j))
                .map(|(row, e)| e * dot_serial(row, &own))
                .collect();
            let least = values.iter().fold(f64::INFINITY, |a, b| a.min(*b)) - eps * budget.size(&own);
            let room = (0.5 * least / (eps * heights)).min(length);
            let size = Epigraph::above(budget.norm, &own[..m], room, mu);
            let cone = Slacks::new(values.iter().map(|z| z - eps * size.size()).collect(), mu);
            let t = norm(&own) + length;
            let z = own.iter().map(|v| -data.beta * v / t).collect();
            let (scaling, zero) = (Scaling::new(d), vec![0.0; d]);
            let norm = Length { t, z, scaling, target: (0.0, zero.clone()), dt: 0.0, dz: zero };
            columns.push(Column { norm, size, cone });
            v.extend(own);
        }
        let zero = vec![0.0; m];
        let row = |y: &f64| {
            let size = Epigraph::above(budget.norm, &zero, 0.5 / (eps * heights), mu);
            let loss = RowLoss::above(data.loss, *y, (0.0, eps * size.size()), mu);
            Row { size, loss }
        };
        let rows = data.y.iter().map(row).collect();
        let (dv, dp, d_product) = (vec![0.0; v.len()], vec![0.0; d * n], vec![0.0; n * count]);
        let (product, p) = (d_product.clone(), dp.clone());
        let mut state = Self { data, v, dv, product, p, d_product, dp, columns, rows };
        data.products(&state.v, &mut state.product, &mut state.p);
        state
    }

    fn slacks_mut(&mut self) -> impl Iterator<Item = &mut Slacks> {
        let columns = self.columns.iter_mut().flat_map(|c| [&mut c.size.slacks, &mut c.cone]);
        columns.chain(self.rows.iter_mut().flat_map(|r| [&mut r.size.slacks, &mut r.loss.slacks]))
    }

    fn slacks(&self) -> impl Iterator<Item = &Slacks> {
        let columns = self.columns.iter().flat_map(|c| [&c.size.slacks, &c.cone]);
        columns.chain(self.rows.iter().flat_map(|r| [&r.size.slacks, &r.loss.slacks]))
    }

    /// The mean of all products.
    fn mu(&self) -> f64 {
        let (sum, count) =
            self.slacks().map(Slacks::products).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        let norms: f64 = self.columns.iter().map(|c| c.norm.scaling.product()).sum();
        (sum + norms) / (count + self.columns.len() as f64)
    }

    /// Renews the scalings of the norms.
    fn scale(&mut self) {
        let Scaled { d, beta, .. } = *self.data;
        for (column, v) in self.columns.iter_mut().zip(self.v.chunks_exact(d)) {
            let Length { t, z, scaling, .. } = &mut column.norm;
            scaling.renew(*t - norm(v), v, beta - norm(z), z);
        }
    }

    fn aim(&mut self, mu: f64, corrected: bool) {
        self.slacks_mut().for_each(|slacks| slacks.aim(mu, corrected));
        for (column, dv) in self.columns.iter_mut().zip(self.dv.chunks_exact(self.data.d)) {
            let Length { scaling, target, dt, dz, .. } = &mut column.norm;
            target.0 = scaling.target(mu, corrected.then_some((*dt, dv, dz)), &mut target.1);
        }
    }

    fn longest(&self) -> f64 {
        let Scaled { d, beta, .. } = *self.data;
        let reach = |(column, (v, dv)): (&Column, (&[f64], &[f64]))| {
            let Length { t, z, dt, dz, .. } = &column.norm;
            soc::longest(t - norm(v), v, *dt, dv).min(soc::longest(beta - norm(z), z, 0.0, dz))
        };
        let pairs = self.v.chunks_exact(d).zip(self.dv.chunks_exact(d));
        let norms = self.columns.iter().zip(pairs).map(reach).fold(f64::INFINITY, f64::min);
        self.slacks().map(Slacks::longest).fold(norms, f64::min)
    }

    /// The program's objective at v.
    fn objective(&self) -> f64 {
        let Scaled { d, loss, ref budget, .. } = *self.data;
        let rows = self.p.chunks_exact(d).zip(self.data.rows.chunks_exact(d)).zip(&self.data.y);
        let worst: f64 = rows
            .map(|((p, x), &y)| worst_loss(loss, dot_serial(x, p), y, budget.epsilon * budget.size(p)))
            .sum();
        worst + self.data.beta * self.v.chunks_exact(d).map(norm).sum::<f64>()
    }

    /// Renews row k: the reduced gradient in p_k, and the Hessian (lower triangle of d x d) where it is asked for.
    pub fn reduce_row(&self, k: usize, row: &mut Row, matrix: Option<&mut [f64]>, gradient: &mut [f64]) {
        let Scaled { d, ref budget, .. } = *self.data;
        let (x, p) = (&self.data.rows[k * d..(k + 1) * d], &self.p[k * d..(k + 1) * d]);
        let eps = budget.epsilon;
        row.loss.renew((dot_serial(x, p), eps * row.size.size()));
        let own = row.loss.at;
        row.size.renew(p, eps * own.reach, eps * eps * own.curvature[2]);
        let mixed: Vec<f64> = x.iter().map(|x| eps * own.curvature[1] * x).collect();
        gradient.iter_mut().zip(x).for_each(|(g, x)| *g = own.output * x);
        row.size.add_gradient(p, &mixed, gradient);
        if let Some(matrix) = matrix {
            let part = own.curvature[0] + row.size.total * eps * eps * own.determinant;
            let along = part / row.size.divisor();
            for j in 0..d {
                for i in j..d {
                    matrix[j * d + i] = along * x[i] * x[j];
                }
            }
            row.size.add_hessian(p, &mixed, matrix);
        }
    }

    /// The same for column j: what its own norm, size and cone contribute.
    pub fn reduce_column(
        &self,
        j: usize,
        column: &mut Column,
        matrix: Option<&mut [f64]>,
        gradient: &mut [f64],
    ) {
        let Scaled { n, d, ref budget, .. } = *self.data;
        let v = &self.v[j * d..(j + 1) * d];
        let eps = budget.epsilon;
        let weights: Vec<f64> = (0..n).map(|k| column.cone.weight(k)).collect();
        let mixed = self.mixed(j, &column.cone);
        gradient.fill(0.0);
        let mut pull = 0.0;
        for (k, (x, e)) in self.data.rows.chunks_exact(d).zip(self.data.signs(j)).enumerate() {
            axpy(-e * column.cone.pull(k), x, gradient);
            pull += column.cone.pull(k);
        }
        column.size.renew(v, eps * pull, eps * eps * weights.iter().sum::<f64>());
        column.size.add_gradient(v, &mixed, gradient);
        let Length { z, scaling, target, .. } = &column.norm;
        let mut asked = z.clone();
        scaling.add_reduced(target.0, &target.1, &mut asked);
        gradient.iter_mut().zip(&asked).for_each(|(g, a)| *g -= a);
        if let Some(matrix) = matrix {
            panel::weighted_gram(self.data.x.as_ref(), &weights, &mut Vec::new(), matrix);
            let square = column.size.total / column.size.divisor();
            for b in 0..d {
                for a in b..d {
                    matrix[b * d + a] -= square * mixed[a] * mixed[b];
                }
            }
            column.size.add_hessian(v, &mixed, matrix);
            column.norm.scaling.add_curvature(matrix);
        }
    }

    /// The mixed derivatives of the robust cone in v_j and its size's epigraph.
    fn mixed(&self, j: usize, cone: &Slacks) -> Vec<f64> {
        let Scaled { d, ref budget, .. } = *self.data;
        let mut mixed = vec![0.0; d];
        for (k, (x, e)) in self.data.rows.chunks_exact(d).zip(self.data.signs(j)).enumerate() {
            axpy(-budget.epsilon * e * cone.weight(k), x, &mut mixed);
        }
        mixed
    }

    /// All other steps from dv.
    pub fn recover(&mut self) {
        let Scaled { n, d, ref budget, .. } = *self.data;
        let eps = budget.epsilon;
        self.data.products(&self.dv, &mut self.d_product, &mut self.dp);
        let mixed: Vec<Vec<f64>> =
            (0..self.columns.len()).into_par_iter().map(|j| self.mixed(j, &self.columns[j].cone)).collect();
        for (j, (column, mixed)) in self.columns.iter_mut().zip(&mixed).enumerate() {
            let part = j * d..(j + 1) * d;
            let (v, dv) = (&self.v[part.clone()], &self.dv[part]);
            column.size.recover(v, dv, dot_serial(mixed, dv));
            let Length { scaling, target, dt, dz, .. } = &mut column.norm;
            dz.copy_from_slice(&target.1);
            *dt = scaling.recover(target.0, dz, dv);
            let reach = eps * column.size.dh.iter().sum::<f64>();
            for (k, dz) in self.d_product[j * n..(j + 1) * n].iter().enumerate() {
                column.cone.step(k, dz - reach);
            }
        }
        for (k, row) in self.rows.iter_mut().enumerate() {
            let part = k * d..(k + 1) * d;
            let (p, dp, x) = (&self.p[part.clone()], &self.dp[part.clone()], &self.data.rows[part]);
            let d_output = dot_serial(x, dp);
            row.size.recover(p, dp, eps * row.loss.at.curvature[1] * d_output);
            row.loss.recover(d_output, eps * row.size.dh.iter().sum::<f64>());
        }
    }

    /// The bound that the multipliers at the end of the whole step prove.
    fn bound(&self) -> f64 {
        let Scaled { n, d, ref budget, .. } = *self.data;
        let mut ball = vec![0.0; d * n];
        let mut duals = vec![RowDual::default(); n];
        for (k, (ball, dual)) in ball.chunks_exact_mut(d).zip(&mut duals).enumerate() {
            let part = k * d..(k + 1) * d;
            let row = &self.rows[k];
            row.size.carried(&self.p[part.clone()], &self.dp[part.clone()], ball);
            let d_output = dot_serial(&self.data.rows[part.clone()], &self.dp[part]);
            *dual = row.loss.carried((d_output, budget.epsilon * row.size.dh.iter().sum::<f64>()));
        }
        let mut omega = vec![0.0; self.v.len()];
        for (j, omega) in omega.chunks_exact_mut(d).enumerate() {
            let part = j * d..(j + 1) * d;
            self.columns[j].size.carried(&self.v[part.clone()], &self.dv[part], omega);
        }
        let gamma = self.columns.iter().flat_map(|c| (0..n).map(|k| c.cone.carried(k))).collect();
        self.data.lower_bound(Multipliers { duals: &duals, ball, gamma, omega })
    }

    /// Moves along the step, shortened until the slacks of the curved constraints are positive too; returns its length.
    fn take(&mut self, mut step: f64) -> f64 {
        let mut moved = step;
        self.shift(step);
        while !self.slacks().all(Slacks::inside) && step > 1e-12 {
            step *= 0.7;
            self.shift(step - moved);
            moved = step;
        }
        step
    }

    fn shift(&mut self, step: f64) {
        let Scaled { d, n, ref budget, .. } = *self.data;
        let eps = budget.epsilon;
        self.v.iter_mut().zip(&self.dv).for_each(|(v, dv)| *v += step * dv);
        self.data.products(&self.v, &mut self.product, &mut self.p);
        for (j, column) in self.columns.iter_mut().enumerate() {
            let v = &self.v[j * d..(j + 1) * d];
            column.norm.t += step * column.norm.dt;
            axpy(step, &column.norm.dz, &mut column.norm.z);
            column.size.take(v, step);
            column.cone.take(step);
            let reach = eps * column.size.size();
            let products = &self.product[j * n..(j + 1) * n];
            column.cone.s.iter_mut().zip(products).for_each(|(s, z)| *s = z - reach);
        }
        for (k, row) in self.rows.iter_mut().enumerate() {
            let part = k * d..(k + 1) * d;
            let output = dot_serial(&self.data.rows[part.clone()], &self.p[part.clone()]);
            row.size.take(&self.p[part], step);
            row.loss.take((output, eps * row.size.size()), step);
        }
    }
}

impl Scaled {
    /// E X v, n x columns, and the sums p of the weights active on each row, d x n.
    fn products(&self, v: &[f64], product: &mut [f64], p: &mut [f64]) {
        panel::multiply(self.x.as_ref(), v, product);
        for (j, product) in product.chunks_exact_mut(self.n).enumerate() {
            product.iter_mut().zip(self.signs(j)).for_each(|(z, e)| *z *= e);
        }
        let v = MatRef::from_column_major_slice(v, self.d, self.columns());
        panel::multiply(v, &self.active_transposed, p);
    }
}
