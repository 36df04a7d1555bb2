//! How far a point is from optimal: a duality gap, or a relative gradient.
//!
//! With v_r = s_r phi'(z_r) and any c in [0, 1] for which c A'v is in the domain of h*, and sum of v_r = 0 where there
//! is an intercept, Fenchel's inequality bounds the distance to the optimum:
//!
//! F(x, b) - F* <= sum of s_r [phi(z_r) + phi*(c v_r / s_r) - z_r c v_r / s_r] + sum of [h_j(x_j) + h_j*(q_j) - x_j q_j],
//! q = -c A'v. Every term is computed as a number that is not negative, so the gap does not cancel near zero.

use super::Error;
use super::state::State;
use crate::control::Certificate;
use crate::linalg::product::sum_chunks;
use crate::problem::LinearModel;

/// What the tolerance is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The duality gap where every coefficient has a penalty that gives one, else the gradient.
    Auto,
    /// Duality gap, relative to the objective at x = 0.
    Gap,
    /// Largest distance of -gradient to the subdifferential of the penalty, relative to the same at x = 0.
    Gradient,
}

/// Whether scaling makes every dual point feasible.
fn has_dual(model: &LinearModel) -> bool {
    (0..model.design.columns()).all(|j| model.penalty.has_dual(j))
}

/// Refuses a gap where there is none.
pub(super) fn check(model: &LinearModel, measure: Measure) -> Result<(), Error> {
    if measure == Measure::Gap && !has_dual(model) {
        let why =
            "a duality gap needs l1 > 0, l2 > 0 or two finite bounds for every coefficient; use the gradient";
        return Err(Error::Option(why.into()));
    }
    Ok(())
}

impl Measure {
    /// The measure that [`Measure::Auto`] stands for.
    pub(super) fn resolve(self, model: &LinearModel) -> Self {
        match self {
            Measure::Auto if has_dual(model) => Measure::Gap,
            Measure::Auto => Measure::Gradient,
            other => other,
        }
    }
}

/// Objective and certificate of any point (x, b), from the model and the point alone. The intercept is taken as
/// given; a dual point is made from its residuals. O(nnz).
///
/// # Errors
/// A model that is not one; a point of the wrong length; a gap where there is none.
pub fn certify(
    model: &LinearModel,
    x: &[f64],
    intercept: f64,
    measure: Measure,
) -> Result<(f64, Certificate), Error> {
    model.check()?;
    check(model, measure)?;
    let state = State::at(model, measure, x, intercept)?;
    Ok((state.standing.objective, state.standing.certificate))
}

/// Scales the heavier of the positive and negative parts of v down until they sum to zero: a dual point that allows
/// for an unpenalised intercept. Scaling toward zero stays in the domain of every conjugate.
pub(super) fn balance(v: &mut [f64]) -> bool {
    let (mut positive, mut negative) = (0.0, 0.0);
    for &value in v.iter() {
        if value > 0.0 { positive += value } else { negative -= value }
    }
    if positive == negative {
        return false;
    }
    let heavier_is_positive = positive > negative;
    let factor = if heavier_is_positive { negative / positive } else { positive / negative };
    v.iter_mut().filter(|value| (**value > 0.0) == heavier_is_positive).for_each(|value| *value *= factor);
    true
}

/// The duality gap at predictors z and coefficients x, with v (weights included) and gradient A'v; `moved` says that
/// v is no longer the derivative at z itself.
pub(super) fn gap(state: &State, moved: bool) -> f64 {
    let model = state.model;
    let penalty = &*model.penalty;
    let scale = state.gradient.iter().enumerate().fold(1.0f64, |c, (j, &g)| c.min(penalty.dual_scale(j, -g)));
    // a hair inside, so that rounding cannot leave the domain
    let scale = if scale < 1.0 { scale * (1.0 - 4.0 * f64::EPSILON) } else { scale };
    let coefficients: f64 = state
        .x
        .iter()
        .zip(&state.gradient)
        .enumerate()
        .map(|(j, (&x, &g))| penalty.fenchel_young(j, x, -scale * g))
        .sum();
    if scale == 1.0 && !moved {
        return coefficients;
    }
    let rows = sum_chunks(state.z.len(), 8, |range| {
        range
            .filter(|&r| state.s[r] > 0.0)
            .map(|r| {
                let v = scale * state.v[r] / state.s[r];
                state.s[r] * model.loss.fenchel_young(state.z[r], model.target[r], v)
            })
            .sum()
    });
    coefficients + rows
}

/// Largest violation of the optimality conditions, coefficient by coefficient.
pub(super) fn largest_violation(model: &LinearModel, x: &[f64], gradient: &[f64]) -> f64 {
    x.iter()
        .zip(gradient)
        .enumerate()
        .fold(0.0, |largest: f64, (j, (&x, &g))| largest.max(model.penalty.violation(j, x, g)))
}
