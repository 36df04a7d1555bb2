//! The point of a fit and everything that follows from it.

use super::certificate::{balance, gap, largest_violation};
use super::standing::Standing;
use super::{Error, Measure, Start};
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
    pub standing: Standing,
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
        model.predictors(&state.x, state.intercept, &mut state.z);
        state.evaluate();
        Ok(state)
    }

    /// x = 0, or the point of the penalty's domain nearest to it. The gap's scale needs no gradient there: it is left
    /// out unless the state is to stay `here`.
    fn origin(model: &'a LinearModel, measure: Measure, here: bool) -> Self {
        let (n, p) = (model.design.rows(), model.design.columns());
        let measure = measure.resolve(model);
        let mut state = Self {
            model,
            measure,
            s: model.row_weights(),
            x: (0..p).map(|j| model.penalty.prox(j, 0.0, 0.0)).collect(),
            intercept: 0.0,
            z: vec![0.0; n],
            v: vec![0.0; n],
            gradient: vec![0.0; p],
            standing: Standing::unknown(measure == Measure::Gap),
        };
        if here || measure != Measure::Gap {
            state.refresh();
        } else {
            state.place();
        }
        let scale = if measure == Measure::Gap {
            // losses may cancel at zero (Poisson): never less than the size of the terms
            let sizes: f64 =
                (0..n).map(|r| state.s[r] * model.loss.value(state.z[r], model.target[r]).abs()).sum();
            state.standing.objective.abs().max(sizes)
        } else {
            state.standing.certificate.value
        };
        state.standing.set_scale(scale);
        state
    }

    /// Predictors, the best intercept and the objective.
    fn place(&mut self) {
        self.move_intercept();
        self.standing.objective = self.model.loss_value(&self.z, &self.s) + self.model.penalty_value(&self.x);
    }

    /// Recomputes everything from x; the intercept moves to its best value first.
    pub fn refresh(&mut self) {
        self.move_intercept();
        self.evaluate();
    }

    /// The intercept to its best value; the predictors follow.
    fn move_intercept(&mut self) {
        self.intercept =
            self.model.predictors_at_best_intercept(&self.x, self.intercept, &self.s, &mut self.z);
    }

    /// Derivatives, gradient, objective and certificate from the predictors.
    fn evaluate(&mut self) {
        self.model.loss_derivatives(&self.z, &self.s, &mut self.v);
        // a dual point has to allow for the intercept; a gradient is what it is, the intercept's part included
        let sum: f64 = if self.model.intercept { self.v.iter().sum() } else { 0.0 };
        let moved = self.model.intercept && self.measure != Measure::Gradient && balance(&mut self.v);
        self.model.design.multiply_transpose(&self.v, &mut self.gradient);
        self.standing.count("gradients", 1);
        self.standing.objective = self.model.loss_value(&self.z, &self.s) + self.model.penalty_value(&self.x);
        let value = match self.measure {
            Measure::Gradient => largest_violation(self.model, &self.x, &self.gradient).max(sum.abs()),
            _ => gap(self, moved),
        };
        self.standing.set_certificate(value);
    }

    /// Number of coefficients that are not zero.
    pub fn support_size(&self) -> usize {
        self.x.iter().filter(|&&x| x != 0.0).count()
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
