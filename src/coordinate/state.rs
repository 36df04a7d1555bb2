//! The point of a fit and everything that follows from it.

use super::certificate::{balance, gap, largest_violation};
use super::{Error, Measure, Start};
use crate::control::{Certificate, Counts};
use crate::problem::LinearModel;

/// A point (x, b), with predictors, derivatives, gradient, objective and certificate. [`refresh`](Self::refresh)
/// computes all of these from x and b alone.
pub(super) struct State<'a> {
    pub model: &'a LinearModel,
    measure: Measure,
    /// Row weights, summing to 1.
    pub s: Vec<f64>,
    pub x: Vec<f64>,
    pub intercept: f64,
    /// z = A x + b + o.
    pub z: Vec<f64>,
    /// v_r = s_r phi'(z_r).
    pub v: Vec<f64>,
    /// A'v, the gradient of the loss part.
    pub gradient: Vec<f64>,
    pub objective: f64,
    pub certificate: Certificate,
    /// The certificate's scale: the objective at x = 0, or the largest violation there.
    scale: f64,
    pub counts: Counts,
}

impl<'a> State<'a> {
    /// The start: zero, or the given point moved into the penalty's domain, with the best intercept.
    pub fn new(model: &'a LinearModel, measure: Measure, start: Option<Start>) -> Result<Self, Error> {
        let p = model.design.columns();
        let Some(start) = start else { return Ok(Self::origin(model, measure, true)) };
        check_point(start.coefficients, start.intercept, p)?;
        let mut state = Self::origin(model, measure, false);
        state.x =
            start.coefficients.iter().enumerate().map(|(j, &x)| model.penalty.prox(j, x, 0.0)).collect();
        state.intercept = if model.intercept { start.intercept } else { 0.0 };
        state.refresh();
        Ok(state)
    }

    /// A given point, as it is.
    pub fn at(model: &'a LinearModel, measure: Measure, x: &[f64], intercept: f64) -> Result<Self, Error> {
        check_point(x, intercept, model.design.columns())?;
        let mut state = Self::origin(model, measure, false);
        state.x = x.to_vec();
        state.intercept = intercept;
        state.predictors();
        state.evaluate();
        Ok(state)
    }

    /// x = 0, or the point of the penalty's domain nearest to it. The gap's scale needs no gradient there: it is left
    /// out unless the state is to stay `here`.
    fn origin(model: &'a LinearModel, measure: Measure, here: bool) -> Self {
        let (n, p) = (model.design.rows(), model.design.columns());
        let measure = measure.resolve(model);
        let kind = if measure == Measure::Gap { "duality_gap" } else { "gradient" };
        let mut state = Self {
            model,
            measure,
            s: model.row_weights(),
            x: (0..p).map(|j| model.penalty.prox(j, 0.0, 0.0)).collect(),
            intercept: 0.0,
            z: vec![0.0; n],
            v: vec![0.0; n],
            gradient: vec![0.0; p],
            objective: f64::NAN,
            certificate: Certificate { kind, value: f64::NAN, relative: f64::NAN },
            scale: 0.0,
            counts: Counts::new(),
        };
        if here || measure != Measure::Gap {
            state.refresh();
        } else {
            state.place();
        }
        state.scale = if measure == Measure::Gap {
            // losses may cancel at zero (Poisson): never less than the size of the terms
            let sizes: f64 =
                (0..n).map(|r| state.s[r] * model.loss.value(state.z[r], model.target[r]).abs()).sum();
            state.objective.abs().max(sizes)
        } else {
            state.certificate.value
        };
        state.set_certificate(state.certificate.value);
        state
    }

    /// Predictors, the best intercept and the objective.
    fn place(&mut self) {
        self.predictors();
        if self.model.intercept {
            self.intercept += self.model.best_intercept(&mut self.z, &self.s);
        }
        self.objective = self.model.loss_value(&self.z, &self.s) + self.model.penalty_value(&self.x);
    }

    /// Recomputes everything from x; the intercept moves to its best value first.
    pub fn refresh(&mut self) {
        self.predictors();
        if self.model.intercept {
            self.intercept += self.model.best_intercept(&mut self.z, &self.s);
        }
        self.evaluate();
    }

    fn predictors(&mut self) {
        self.model.predictors(&self.x, self.intercept, &mut self.z);
    }

    /// Derivatives, gradient, objective and certificate from the predictors.
    fn evaluate(&mut self) {
        self.model.loss_derivatives(&self.z, &self.s, &mut self.v);
        let moved = self.model.intercept && balance(&mut self.v);
        self.model.design.multiply_transpose(&self.v, &mut self.gradient);
        *self.counts.entry("gradients").or_default() += 1;
        self.objective = self.model.loss_value(&self.z, &self.s) + self.model.penalty_value(&self.x);
        let value = match self.measure {
            Measure::Gradient => largest_violation(self.model, &self.x, &self.gradient),
            _ => gap(self, moved),
        };
        self.set_certificate(value);
    }

    fn set_certificate(&mut self, value: f64) {
        self.certificate.value = value;
        self.certificate.relative = if value == 0.0 { 0.0 } else { value / self.scale };
    }

    /// Number of coefficients that are not zero.
    pub fn support_size(&self) -> usize {
        self.x.iter().filter(|&&x| x != 0.0).count()
    }

    pub fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }
}

/// Tells a run that creeps from one that has come to rest at rounding.
pub(super) struct Progress {
    objective: f64,
    certificate: f64,
    idle: usize,
}

impl Progress {
    /// Rounds without progress after which a run has stalled.
    const PATIENCE: usize = 4;

    pub fn new(objective: f64) -> Self {
        Self { objective, certificate: f64::INFINITY, idle: 0 }
    }

    /// Whether neither objective nor certificate has improved for several rounds.
    pub fn has_stalled(&mut self, objective: f64, certificate: f64) -> bool {
        let lower = objective < self.objective - 1e-15 * self.objective.abs();
        let better = certificate < 0.9 * self.certificate;
        self.idle = if lower || better { 0 } else { self.idle + 1 };
        self.objective = self.objective.min(objective);
        self.certificate = self.certificate.min(certificate);
        self.idle >= Self::PATIENCE || !objective.is_finite()
    }
}

/// Refuses a point that does not fit.
pub(super) fn check_point(x: &[f64], intercept: f64, columns: usize) -> Result<(), Error> {
    if x.len() != columns {
        return Err(Error::Start { given: x.len(), columns });
    }
    match x.iter().chain([&intercept]).position(|value| !value.is_finite()) {
        Some(index) => Err(Error::StartValue { index, value: x.get(index).copied().unwrap_or(intercept) }),
        None => Ok(()),
    }
}
