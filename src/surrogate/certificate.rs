//! How far an answer is from optimal, from the answer alone.
//!
//! `duality_gap`, for one target a sample and a ridge on every feature: with V the gradient of h at theta,
//!
//! h(theta) - h* <= sum of V_j^2 / (2 r_j),
//!
//! which is Fenchel's bound at the dual point g = l'(z). An intercept has no ridge; there the heavier of the positive and
//! negative parts of g is scaled down until they balance, which costs the loss its own Fenchel-Young terms. Relative to h
//! at theta = 0.
//!
//! `gradient`, for all else: ||V||_2, relative to the same at theta = 0. For f that is not linear, or a loss that is not
//! convex, it certifies a stationary point, no more.

use super::Error;
use super::oracle::Problem;
use crate::control::Certificate;
use crate::linalg::product::norm;
use crate::problem::LinearModel;

/// What the tolerance is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Measure {
    /// The gap where there is one, else the gradient.
    #[default]
    Auto,
    /// Duality gap over h(0).
    Gap,
    /// Gradient norm over that at 0.
    Gradient,
}

/// The measure of one problem.
pub(crate) struct Certifier<'a> {
    /// The model behind a gap.
    gap: Option<&'a LinearModel>,
    /// h(0) or the gradient's norm there.
    scale: f64,
}

/// Targets, their gradient and the parameters' gradient at one point.
pub(crate) struct Point<'a> {
    pub theta: &'a [f64],
    pub z: &'a [f64],
    pub g: &'a [f64],
    pub gradient: &'a [f64],
}

impl<'a> Certifier<'a> {
    /// Takes the scale at theta = 0 (for nonlinear maps: at `start`); one check.
    pub fn new(
        problem: &mut Problem,
        model: Option<&'a LinearModel>,
        measure: Measure,
        start: &[f64],
    ) -> Result<Self, Error> {
        let features = model.map_or(0, |model| model.design.columns());
        let possible = model.is_some()
            && problem.ridge.len() >= features
            && problem.ridge[..features].iter().all(|&r| r > 0.0);
        if measure == Measure::Gap && !possible {
            return Err(Error::Option(
                "a duality gap needs l2 > 0 and one target a sample; use the gradient".into(),
            ));
        }
        let origin =
            if problem.model.as_linear().is_some() { vec![0.0; start.len()] } else { start.to_vec() };
        let mut gradient = Vec::new();
        let value = problem.check(&origin, &mut gradient)?;
        let gap = model.filter(|_| possible && measure != Measure::Gradient);
        let scale = if gap.is_some() { value } else { norm(&gradient) };
        Ok(Self { gap, scale })
    }

    /// A measure without scale, for runs that are not to spend an evaluation on it.
    pub fn absolute() -> Self {
        Self { gap: None, scale: 1.0 }
    }

    /// The certificate at a point with this objective.
    pub fn at(&self, problem: &Problem, objective: f64, point: &Point) -> Certificate {
        let (kind, value) = match self.gap {
            // no finite gap leads from beyond the range of doubles to a bound
            Some(_) if objective.is_infinite() => ("duality_gap", f64::INFINITY),
            Some(model) => ("duality_gap", gap(problem, model, point)),
            None => ("gradient", norm(point.gradient)),
        };
        Certificate::over(kind, value, self.scale)
    }
}

fn gap(problem: &Problem, model: &LinearModel, point: &Point) -> f64 {
    let features = model.design.columns();
    let part = |gradient: &[f64]| -> f64 {
        gradient[..features].iter().zip(&problem.ridge).map(|(v, r)| v * v / (2.0 * r)).sum()
    };
    if !model.intercept {
        return part(point.gradient);
    }
    let s = model.row_weights();
    let mut v: Vec<f64> = point.g.iter().map(|g| g / point.g.len() as f64).collect();
    let (mut positive, mut negative) = (0.0, 0.0);
    for &value in &v {
        if value > 0.0 { positive += value } else { negative -= value }
    }
    let (heavier, factor) =
        if positive > negative { (1.0, negative / positive) } else { (-1.0, positive / negative) };
    if positive == negative {
        return part(point.gradient);
    }
    v.iter_mut().filter(|value| **value * heavier > 0.0).for_each(|value| *value *= factor);
    let mut gradient = vec![0.0; features];
    model.design.multiply_transpose(&v, &mut gradient);
    problem.add_ridge(point.theta, &mut gradient);
    let rows: f64 = (0..v.len())
        .filter(|&i| s[i] > 0.0)
        .map(|i| s[i] * model.loss.fenchel_young(point.z[i], model.target[i], v[i] / s[i]))
        .sum();
    rows + part(&gradient)
}

/// q(theta') / q(z - eta g), for targets that moved by `moved`, at most 1: how much of the decrease that the targets could make under one
/// surrogate step the map f can follow. Small: the model class, not the solver, is the limit.
pub(crate) fn realised_share(eta: f64, g: &[f64], moved: &[f64]) -> Option<f64> {
    let best = 0.5 * eta * g.iter().map(|g| g * g).sum::<f64>();
    let made: f64 = -g.iter().zip(moved).map(|(g, w)| g * w + w * w / (2.0 * eta)).sum::<f64>();
    (best > 0.0).then_some(made / best)
}
