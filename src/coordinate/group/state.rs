//! The point of a group lasso fit, with its certificate: with v_r = s_r phi'(z_r), q = -c A'v, c such that
//! ||q_G|| <= l1 u_G, the gap is the sum of s_r FY(z_r, c v_r / s_r) and of l1 u_G ||x_G|| - x_G'q_G.

use std::sync::Arc;

use crate::coordinate::certificate::balance;
use crate::coordinate::standing::Standing;
use crate::coordinate::{Error, Measure};
use crate::linalg::product::sum_chunks;
use crate::problem::LinearModel;
use crate::problem::penalty::{ElasticNet, Group};

/// A point (x, b), with predictors, derivatives, gradient, objective and certificate.
pub(in crate::coordinate) struct State<'a> {
    /// The model without a penalty of its own.
    pub model: LinearModel,
    group: &'a Group,
    /// All columns: the penalty's groups, then every other column by itself.
    pub groups: Vec<Vec<usize>>,
    /// l1 u_G; 0 for the others.
    pub thresholds: Vec<f64>,
    measure: Measure,
    pub s: Vec<f64>,
    pub x: Vec<f64>,
    pub intercept: f64,
    pub z: Vec<f64>,
    pub v: Vec<f64>,
    pub gradient: Vec<f64>,
    pub standing: Standing,
}

impl<'a> State<'a> {
    /// x = 0.
    pub fn origin(model: &LinearModel, group: &'a Group, measure: Measure) -> Result<Self, Error> {
        let model = LinearModel { penalty: Arc::new(ElasticNet::default()), ..model.clone() };
        model.check()?;
        let (n, p) = (model.design.rows(), model.design.columns());
        group.check(p).map_err(Error::Option)?;
        let measure = super::resolve(&model, group, measure)?;
        let mut groups: Vec<Vec<usize>> = group.groups.clone();
        let mut thresholds: Vec<f64> = (0..groups.len()).map(|g| group.threshold(g)).collect();
        let mut covered = vec![false; p];
        groups.iter().flatten().for_each(|&j| covered[j] = true);
        groups.extend((0..p).filter(|&j| !covered[j]).map(|j| vec![j]));
        thresholds.resize(groups.len(), 0.0);
        let mut state = Self {
            s: model.row_weights(),
            model,
            group,
            groups,
            thresholds,
            measure,
            x: vec![0.0; p],
            intercept: 0.0,
            z: vec![0.0; n],
            v: vec![0.0; n],
            gradient: vec![0.0; p],
            standing: Standing::unknown(measure == Measure::Gap),
        };
        state.refresh();
        let scale = if measure == Measure::Gap {
            // losses may cancel at zero (Poisson): never less than the size of the terms
            let size =
                |r: usize| state.s[r] * state.model.loss.value(state.z[r], state.model.target[r]).abs();
            state.standing.objective.abs().max((0..n).map(size).sum())
        } else {
            state.standing.certificate.value
        };
        state.standing.set_scale(scale);
        Ok(state)
    }

    /// Moves to a given point; the intercept then to its best value.
    pub fn start_from(&mut self, x: &[f64], intercept: f64) {
        self.x.copy_from_slice(x);
        self.intercept = if self.model.intercept { intercept } else { 0.0 };
        self.refresh();
    }

    /// Moves to a given point as it is.
    pub fn move_to(&mut self, x: &[f64], intercept: f64) {
        self.x.copy_from_slice(x);
        self.intercept = intercept;
        self.model.predictors(&self.x, self.intercept, &mut self.z);
        self.evaluate();
    }

    /// Recomputes everything from x; the intercept moves to its best value first.
    pub fn refresh(&mut self) {
        self.intercept =
            self.model.predictors_at_best_intercept(&self.x, self.intercept, &self.s, &mut self.z);
        self.evaluate();
    }

    fn evaluate(&mut self) {
        self.model.loss_derivatives(&self.z, &self.s, &mut self.v);
        let slope: f64 = if self.model.intercept { self.v.iter().sum() } else { 0.0 };
        let moved = self.measure == Measure::Gap && self.model.intercept && balance(&mut self.v);
        self.model.design.multiply_transpose(&self.v, &mut self.gradient);
        self.standing.count("gradients", 1);
        self.standing.objective = self.model.loss_value(&self.z, &self.s) + self.group.value(&self.x);
        let value = if self.measure == Measure::Gap {
            self.gap(moved)
        } else {
            (0..self.groups.len()).fold(slope.abs(), |m, g| m.max(self.violation(g)))
        };
        self.standing.set_certificate(value);
    }

    fn gap(&self, moved: bool) -> f64 {
        let q: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let scale = self.group.dual_scale(&q);
        // a hair inside, so that rounding cannot leave the domain
        let scale = if scale < 1.0 { scale * (1.0 - 4.0 * f64::EPSILON) } else { scale };
        let one = |g: usize| {
            let inner: f64 = self.groups[g].iter().map(|&j| self.x[j] * scale * q[j]).sum();
            (self.thresholds[g] * self.norm(g) - inner).max(0.0)
        };
        let groups: f64 = (0..self.groups.len()).map(one).sum();
        if scale == 1.0 && !moved {
            return groups;
        }
        let row = |r: usize| {
            let v = scale * self.v[r] / self.s[r];
            self.s[r] * self.model.loss.fenchel_young(self.z[r], self.model.target[r], v)
        };
        groups + sum_chunks(self.z.len(), 8, |rows| rows.filter(|&r| self.s[r] > 0.0).map(row).sum())
    }

    /// ||x_G||.
    pub fn norm(&self, g: usize) -> f64 {
        self.groups[g].iter().map(|&j| self.x[j] * self.x[j]).sum::<f64>().sqrt()
    }

    /// Distance of the group's negative gradient to the subdifferential of its norm.
    pub fn violation(&self, g: usize) -> f64 {
        let (members, t, size) = (&self.groups[g], self.thresholds[g], self.norm(g));
        let norm = |of: &dyn Fn(usize) -> f64| members.iter().map(|&j| of(j) * of(j)).sum::<f64>().sqrt();
        if size > 0.0 {
            norm(&|j| self.gradient[j] + t * self.x[j] / size)
        } else {
            (norm(&|j| self.gradient[j]) - t).max(0.0)
        }
    }
}
