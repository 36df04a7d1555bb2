//! Certificates of the problems that block methods solve, from the problem and a point alone.

use super::{Certify, Error, Measure};
use crate::control::Certificate;
use crate::coordinate::certificate;
use crate::problem::penalty::Group;
use crate::problem::{BoxQuadratic, LinearModel, MultinomialModel};

/// A value and its ratio to a scale; zero over zero is zero.
fn certificate(kind: &'static str, value: f64, scale: f64) -> Certificate {
    Certificate { kind, value, relative: if value == 0.0 { 0.0 } else { value / scale } }
}

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
        (objective, certificate("gradient", value, scale))
    })
}

/// A linear model with a penalty on groups: with v_r = s_r phi'(z_r), q = -c A'v, c such that ||q_G|| <= l1 u_G, the
/// gap is the sum of s_r FY(z_r, c v_r / s_r) and of l1 u_G ||x_G|| - x_G'q_G. Columns outside all groups have no dual.
pub(super) fn groups<'a>(
    model: &'a LinearModel,
    group: &'a Group,
    measure: Measure,
) -> Result<Certify<'a>, Error> {
    let p = model.design.columns();
    let covered: usize = group.groups.iter().map(Vec::len).sum();
    let positive = (0..group.groups.len()).all(|g| group.threshold(g) > 0.0);
    let has_dual = covered == p && positive;
    if measure == Measure::Gap && !has_dual {
        return Err(Error::Option("a duality gap needs a penalty on every column; use the gradient".into()));
    }
    let use_gap = measure != Measure::Gradient && has_dual;
    let s = model.row_weights();
    let evaluate = move |x: &[f64]| {
        let intercept = x.get(p).copied().unwrap_or(0.0);
        let mut z = vec![0.0; s.len()];
        model.predictors(&x[..p], intercept, &mut z);
        let mut v = vec![0.0; s.len()];
        model.loss_derivatives(&z, &s, &mut v);
        let objective = model.loss_value(&z, &s) + group.value(&x[..p]);
        if use_gap && model.intercept {
            certificate::balance(&mut v);
        }
        let mut q = vec![0.0; p];
        model.design.multiply_transpose(&v, &mut q);
        q.iter_mut().for_each(|q| *q = -*q);
        let value = if use_gap {
            let scale = group.dual_scale(&q);
            let scale = if scale < 1.0 { scale * (1.0 - 4.0 * f64::EPSILON) } else { scale };
            let norm = |g: &[usize]| g.iter().map(|&j| x[j] * x[j]).sum::<f64>().sqrt();
            let one = |(k, g): (usize, &Vec<usize>)| {
                let inner: f64 = g.iter().map(|&j| x[j] * scale * q[j]).sum();
                (group.threshold(k) * norm(g) - inner).max(0.0)
            };
            let row = |r: usize| {
                if s[r] == 0.0 {
                    0.0
                } else {
                    s[r] * model.loss.fenchel_young(z[r], model.target[r], scale * v[r] / s[r])
                }
            };
            group.groups.iter().enumerate().map(one).sum::<f64>() + (0..s.len()).map(row).sum::<f64>()
        } else {
            group_violation(group, &x[..p], &q).max(if model.intercept {
                v.iter().sum::<f64>().abs()
            } else {
                0.0
            })
        };
        (objective, value)
    };
    let (objective, violation) = evaluate(&vec![0.0; p + usize::from(model.intercept)]);
    let (kind, scale) = if use_gap { ("duality_gap", objective.abs()) } else { ("gradient", violation) };
    Ok(Box::new(move |x| {
        let (objective, value) = evaluate(x);
        (objective, certificate(kind, value, scale))
    }))
}

/// Largest distance of q_G to the subdifferential of l1 u_G ||x_G||; |q_j| outside the groups.
fn group_violation(group: &Group, x: &[f64], q: &[f64]) -> f64 {
    let mut covered = vec![false; x.len()];
    let mut largest = 0.0f64;
    for (k, members) in group.groups.iter().enumerate() {
        members.iter().for_each(|&j| covered[j] = true);
        let norm = |of: &dyn Fn(usize) -> f64| members.iter().map(|&j| of(j) * of(j)).sum::<f64>().sqrt();
        let size = norm(&|j| x[j]);
        let t = group.threshold(k);
        let distance =
            if size > 0.0 { norm(&|j| q[j] - t * x[j] / size) } else { (norm(&|j| q[j]) - t).max(0.0) };
        largest = largest.max(distance);
    }
    (0..x.len()).filter(|&j| !covered[j]).fold(largest, |m, j| m.max(q[j].abs()))
}

/// Softmax: with P the softmax of z and a_r = c P_r + (1 - c) e_y, the gap is the mean of KL(a_r || P_r) and the
/// penalty's Fenchel-Young terms at q = -c A'(P - Y) / n.
pub(super) fn multinomial(model: &MultinomialModel, measure: Measure) -> Result<Certify<'_>, Error> {
    let has_dual = (0..model.unknowns()).all(|i| model.penalty.has_dual(i));
    if measure == Measure::Gap && !has_dual {
        return Err(Error::Option("a duality gap needs l1 > 0 or l2 > 0; use the gradient".into()));
    }
    let use_gap = measure != Measure::Gradient && has_dual;
    let (k, n, p) = (model.loss.classes, model.design.rows(), model.design.columns());
    let evaluate = move |x: &[f64]| {
        let mut z = vec![0.0; n * k];
        let mut column = vec![0.0; n];
        for c in 0..k {
            let coefficients: Vec<f64> = (0..p).map(|j| x[j * k + c]).collect();
            model.design.multiply(&coefficients, &mut column);
            column.iter().enumerate().for_each(|(r, &value)| z[r * k + c] = value);
        }
        let mut probabilities = vec![0.0; n * k];
        let rows = z.chunks_exact(k).zip(probabilities.chunks_exact_mut(k)).zip(&model.target);
        let loss = rows.map(|((z, p), &class)| model.loss.value(z, class, p)).sum::<f64>() / n as f64;
        let objective = loss + x.iter().enumerate().map(|(i, &x)| model.penalty.value(i, x)).sum::<f64>();
        let mut gradient = vec![0.0; p * k];
        let mut out = vec![0.0; p];
        for c in 0..k {
            let residual = |r: usize| (probabilities[r * k + c] - f64::from(model.target[r] == c)) / n as f64;
            column.iter_mut().enumerate().for_each(|(r, value)| *value = residual(r));
            model.design.multiply_transpose(&column, &mut out);
            out.iter().enumerate().for_each(|(j, &g)| gradient[j * k + c] = g);
        }
        let pairs = || x.iter().zip(&gradient).enumerate();
        let value = if use_gap {
            let scale = pairs().fold(1.0f64, |c, (i, (_, &g))| c.min(model.penalty.dual_scale(i, -g)));
            let scale = if scale < 1.0 { scale * (1.0 - 4.0 * f64::EPSILON) } else { scale };
            let penalty: f64 =
                pairs().map(|(i, (&x, &g))| model.penalty.fenchel_young(i, x, -scale * g)).sum();
            penalty + divergence(&probabilities, &model.target, k, scale) / n as f64
        } else {
            pairs().fold(0.0f64, |m, (i, (&x, &g))| m.max(model.penalty.violation(i, x, g)))
        };
        (objective, value)
    };
    let origin: Vec<f64> = (0..p * k).map(|i| model.penalty.prox(i, 0.0, 0.0)).collect();
    let (objective, violation) = evaluate(&origin);
    let (kind, scale) = if use_gap { ("duality_gap", objective.abs()) } else { ("gradient", violation) };
    Ok(Box::new(move |x| {
        let (objective, value) = evaluate(x);
        (objective, certificate(kind, value, scale))
    }))
}

/// Sum over rows of KL(c P + (1 - c) e_y || P), each term x ln(x / p) - x + p not negative.
fn divergence(probabilities: &[f64], target: &[usize], k: usize, scale: f64) -> f64 {
    if scale == 1.0 {
        return 0.0;
    }
    let term = |a: f64, p: f64| {
        if a == 0.0 {
            p
        } else if p == 0.0 {
            f64::INFINITY
        } else {
            (a * (a / p).ln() - a + p).max(0.0)
        }
    };
    let row = |(p, &class): (&[f64], &usize)| -> f64 {
        let one = |(c, &p): (usize, &f64)| term(scale * p + if c == class { 1.0 - scale } else { 0.0 }, p);
        p.iter().enumerate().map(one).sum()
    };
    probabilities.chunks_exact(k).zip(target).map(row).sum()
}

/// A quadratic on a box: where every bound is finite the gap g'x - sum of min(g_i lower_i, g_i upper_i), else the
/// largest violation of optimality relative to that at the start.
pub(super) fn quadratic(problem: &BoxQuadratic, measure: Measure) -> Result<Certify<'_>, Error> {
    let n = problem.linear.len();
    let finite = problem.bounds.as_ref().is_some_and(|(l, u)| l.iter().chain(u).all(|b| b.is_finite()));
    if measure == Measure::Gap && !finite {
        return Err(Error::Option(
            "a duality gap needs two finite bounds for every unknown; use the gradient".into(),
        ));
    }
    let use_gap = measure != Measure::Gradient && finite;
    let evaluate = move |x: &[f64]| {
        let mut gradient = vec![0.0; n];
        crate::linalg::product::multiply(problem.matrix.view(), x, &mut gradient);
        let dot = crate::linalg::product::dot;
        let objective = 0.5 * dot(x, &gradient) - dot(x, &problem.linear);
        gradient.iter_mut().zip(&problem.linear).for_each(|(g, c)| *g -= c);
        let one = |i: usize| {
            let (x, g) = (x[i], gradient[i]);
            let (lower, upper) = match &problem.bounds {
                Some((lower, upper)) => (lower[i], upper[i]),
                None => (f64::NEG_INFINITY, f64::INFINITY),
            };
            if use_gap {
                if g == 0.0 { 0.0 } else { (g * (x - if g > 0.0 { lower } else { upper })).max(0.0) }
            } else if (x <= lower && g > 0.0) || (x >= upper && g < 0.0) {
                0.0
            } else {
                g.abs()
            }
        };
        let all = (0..n).map(one);
        (objective, if use_gap { all.sum() } else { all.fold(0.0, f64::max) })
    };
    let origin: Vec<f64> = match &problem.bounds {
        Some((lower, upper)) => lower.iter().zip(upper).map(|(l, u)| 0f64.clamp(*l, *u)).collect(),
        None => vec![0.0; n],
    };
    let (objective, value) = evaluate(&origin);
    let kind = if use_gap { "duality_gap" } else { "gradient" };
    let scale = if use_gap { objective.abs().max(value) } else { value };
    Ok(Box::new(move |x| {
        let (objective, value) = evaluate(x);
        (objective, certificate(kind, value, scale))
    }))
}
