//! Certificates of the problems that block methods solve, from the problem and a point alone.

use std::cell::RefCell;

use super::smooth::{Pairwise, Smooth};
use super::{Certify, Error, Measure};
use crate::control::Certificate;
use crate::coordinate::certificate;
use crate::coordinate::group::State as Groups;
use crate::coordinate::multinomial::State as Multinomial;
use crate::linalg::product::{dot, multiply, norm_inf};
use crate::problem::penalty::Group;
use crate::problem::{BoxQuadratic, LinearModel, MultinomialModel, PairwiseModel};

/// The objective of a point that cannot be judged.
fn undefined() -> (f64, Certificate) {
    (f64::NAN, Certificate { kind: "gradient", value: f64::NAN, relative: f64::NAN })
}

/// A linear model: the gap or the gradient at (x, b), as for every fit.
pub(super) fn linear(model: &LinearModel, measure: Measure) -> Certify<'_> {
    let p = model.design.columns();
    if model.intercept && measure.resolve(model) == Measure::Gradient {
        return with_free_intercept(model);
    }
    Box::new(move |x| {
        let intercept = x.get(p).copied().unwrap_or(0.0);
        certificate::certify(model, &x[..p], intercept, measure).unwrap_or_else(|_| undefined())
    })
}

/// The largest violation, that of the intercept included: it need not be at its best value here.
fn with_free_intercept(model: &LinearModel) -> Certify<'_> {
    let p = model.design.columns();
    let s = model.row_weights();
    let evaluate = move |x: &[f64]| {
        let (mut z, mut v, mut gradient) = (vec![0.0; s.len()], vec![0.0; s.len()], vec![0.0; p]);
        model.predictors(&x[..p], x[p], &mut z);
        model.loss_derivatives(&z, &s, &mut v);
        model.design.multiply_transpose(&v, &mut gradient);
        let largest = certificate::largest_violation(model, &x[..p], &gradient);
        let objective = model.loss_value(&z, &s) + model.penalty_value(&x[..p]);
        (objective, largest.max(v.iter().sum::<f64>().abs()))
    };
    let mut origin: Vec<f64> = (0..p).map(|j| model.penalty.prox(j, 0.0, 0.0)).collect();
    origin.push(0.0);
    let scale = evaluate(&origin).1;
    Box::new(move |x| {
        let (objective, value) = evaluate(x);
        (objective, Certificate::over("gradient", value, scale))
    })
}

/// A linear model with a penalty on groups, as for every such fit.
pub(super) fn groups<'a>(
    model: &LinearModel,
    group: &'a Group,
    measure: Measure,
) -> Result<Certify<'a>, Error> {
    let state = RefCell::new(Groups::origin(model, group, measure)?);
    let p = model.design.columns();
    Ok(Box::new(move |x| {
        let state = &mut *state.borrow_mut();
        state.move_to(&x[..p], x.get(p).copied().unwrap_or(0.0));
        (state.standing.objective, state.standing.certificate)
    }))
}

/// Softmax: as for every multinomial fit.
pub(super) fn multinomial(model: &MultinomialModel, measure: Measure) -> Result<Certify<'_>, Error> {
    Multinomial::check_measure(model, measure)?;
    let state = RefCell::new(Multinomial::origin(model, measure));
    Ok(Box::new(move |x| {
        let state = &mut *state.borrow_mut();
        state.move_to(x, &vec![0.0; model.loss.classes]);
        (state.standing.objective, state.standing.certificate)
    }))
}

/// A quadratic on a box: a gap where every bound is finite and the matrix is proved positive semidefinite, or so near that
/// what it lacks hardly widens the gap; else the largest violation of optimality. Relative to that at the start.
pub(super) fn quadratic(problem: &BoxQuadratic, measure: Measure) -> Result<Certify<'_>, Error> {
    let finite = problem.bounds.as_ref().is_some_and(|(l, u)| l.iter().chain(u).all(|b| b.is_finite()));
    let concavity = if finite && measure != Measure::Gradient { problem.concavity() } else { None };
    if measure == Measure::Gap && concavity.is_none() {
        let why = if finite {
            "a duality gap needs a matrix that can be proved positive semidefinite; use the gradient"
        } else {
            "a duality gap needs two finite bounds for every unknown; use the gradient"
        };
        return Err(Error::Option(why.into()));
    }
    let origin: Vec<f64> = match &problem.bounds {
        Some((lower, upper)) => lower.iter().zip(upper).map(|(l, u)| 0f64.clamp(*l, *u)).collect(),
        None => vec![0.0; problem.linear.len()],
    };
    let mut judge = QuadraticJudge { problem, concavity };
    let (mut objective, mut value) = judge.at(&origin);
    if measure == Measure::Auto && judge.widening() > WIDEST * objective.abs().max(value) {
        judge.concavity = None;
        (objective, value) = judge.at(&origin);
    }
    let kind = if judge.concavity.is_some() { "duality_gap" } else { "gradient" };
    let scale = if judge.concavity.is_some() { objective.abs().max(value) } else { value };
    Ok(Box::new(move |x| {
        let (objective, value) = judge.at(x);
        (objective, Certificate::over(kind, value, scale))
    }))
}

/// Where rounding of the matrix may widen the gap by more than this share of its scale, the gradient is the better measure.
const WIDEST: f64 = 1e-9;

/// With g the gradient at x, w = y - x for any y in the box, and Q + diag(e) positive semidefinite,
/// f(x) - f(y) <= -g'w - w'Qw / 2 <= sum of w_i (e_i w_i / 2 - g_i), whose terms are largest at a bound.
struct QuadraticJudge<'a> {
    problem: &'a BoxQuadratic,
    /// e, if the measure is the gap.
    concavity: Option<Vec<f64>>,
}

impl QuadraticJudge<'_> {
    /// Objective and measure at x.
    fn at(&self, x: &[f64]) -> (f64, f64) {
        let BoxQuadratic { matrix, linear, bounds } = self.problem;
        let mut gradient = vec![0.0; linear.len()];
        multiply(matrix.view(), x, &mut gradient);
        let objective = 0.5 * dot(x, &gradient) - dot(x, linear);
        gradient.iter_mut().zip(linear).for_each(|(g, c)| *g -= c);
        let interval = |i: usize| match bounds {
            Some((lower, upper)) => (lower[i], upper[i]),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let all = (0..x.len()).map(|i| (x[i], gradient[i], interval(i)));
        let Some(concavity) = &self.concavity else {
            let violation = |(x, g, (lower, upper)): (f64, f64, (f64, f64))| {
                if (x <= lower && g > 0.0) || (x >= upper && g < 0.0) { 0.0 } else { g.abs() }
            };
            return (objective, all.map(violation).fold(0.0, f64::max));
        };
        let gap = |((x, g, (lower, upper)), &e): ((f64, f64, (f64, f64)), &f64)| {
            if e > 0.0 {
                let to = |w: f64| w * (0.5 * e * w - g);
                to(lower - x).max(to(upper - x)).max(0.0)
            } else if g == 0.0 {
                0.0
            } else {
                (g * (x - if g > 0.0 { lower } else { upper })).max(0.0)
            }
        };
        (objective, all.zip(concavity).map(gap).sum())
    }

    /// What e can add to the gap at any x.
    fn widening(&self) -> f64 {
        let (Some(e), Some((lower, upper))) = (&self.concavity, &self.problem.bounds) else { return 0.0 };
        let width = lower.iter().zip(upper).map(|(lower, upper)| upper - lower);
        e.iter().zip(width).map(|(e, width)| if *e > 0.0 { 0.5 * e * width * width } else { 0.0 }).sum()
    }
}

/// A pairwise problem: the largest gradient entry, relative to that at zero.
pub(super) fn pairwise(model: &PairwiseModel, measure: Measure) -> Result<Certify<'_>, Error> {
    if measure == Measure::Gap {
        return Err(Error::Option("a pairwise problem has no duality gap here; use the gradient".into()));
    }
    let smooth = RefCell::new(Pairwise::new(model));
    let n = model.target.len();
    let evaluate = move |x: &[f64]| {
        let smooth = &mut *smooth.borrow_mut();
        smooth.rebuild(x);
        let mut gradient = vec![0.0; n];
        smooth.gradient(&mut gradient);
        (smooth.value(), norm_inf(&gradient))
    };
    let scale = evaluate(&vec![0.0; n]).1;
    Ok(Box::new(move |x| {
        let (objective, value) = evaluate(x);
        (objective, Certificate::over("gradient", value, scale))
    }))
}
