//! The minimiser of the surrogate of a linear map, by one Cholesky factorisation:
//!
//! (X'W X / b + S) D = -(eta X'g / b + eta r theta),   S = eta diag(r) + damping.
//!
//! With fewer rows than columns and S = s I, by the push-through identity with M = X X' + s b W^{-1}:
//!
//! D = -eta X'M^{-1} W^{-1} g - (eta r / s) (theta - X'M^{-1} X theta).

use super::{Scratch, Surrogate};
use crate::surrogate::model::LinearTargets;
use crate::surrogate::oracle::Work;

/// Which of the two equal systems is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// p x p.
    Columns,
    /// b x b; needs one ridge weight for all parameters.
    Rows,
}

/// Moves theta to the minimiser of its batch's surrogate.
pub(super) fn step(
    q: &Surrogate,
    linear: &LinearTargets,
    damping: f64,
    theta: &mut [f64],
    scratch: &mut Scratch,
    work: &mut Work,
) -> Result<(), String> {
    // weights that differ between the outputs of a sample would need a system for each
    let form = if has_one_ridge(q) && q.batch.len() < linear.width() { Form::Rows } else { Form::Columns };
    linear.gather(q.batch, &mut scratch.rows);
    let step = solve(q, linear.outputs, damping, form, scratch)?;
    work.products += 2;
    work.inner_steps += 1;
    work.factorizations += 1;
    theta.iter_mut().zip(&step).for_each(|(theta, step)| *theta += step);
    Ok(())
}

/// Whether all parameters have the same ridge weight.
fn has_one_ridge(q: &Surrogate) -> bool {
    (1..q.theta.len()).all(|j| q.ridge_of(j) == q.ridge_of(0))
}

/// The exact step of a surrogate of a linear map, by the form asked for. O(b p^2 + p^3/3) or O(b^2 p + b^3/3).
///
/// # Errors
/// A map that is not linear; rows asked for with ridge weights that differ; a system that is not positive definite.
pub fn exact_step(q: &Surrogate, damping: f64, form: Form) -> Result<Vec<f64>, String> {
    let Some(linear) = q.model.as_linear() else {
        return Err("exact inner solves are for linear maps".into());
    };
    if form == Form::Rows && !has_one_ridge(q) {
        return Err("the form by rows needs one ridge weight for all parameters".into());
    }
    let mut scratch = Scratch::default();
    linear.gather(q.batch, &mut scratch.rows);
    solve(q, linear.outputs, damping, form, &mut scratch)
}

fn solve(
    q: &Surrogate,
    k: usize,
    damping: f64,
    form: Form,
    scratch: &mut Scratch,
) -> Result<Vec<f64>, String> {
    if k > 1 && q.weights.is_some() {
        return Err("exact inner solves with several outputs need the plain metric".into());
    }
    let b = q.batch.len() as f64;
    let Scratch { rows, gram, cholesky, .. } = scratch;
    let p = rows.columns();
    let weight = |i: usize| q.weights.map_or(1.0, |weights| weights[i]);
    let ridge = |j: usize| q.eta * q.ridge_of(j);
    match form {
        Form::Columns => {
            let weights: Vec<f64> = (0..rows.rows()).map(|i| weight(i) / b).collect();
            rows.column_gram(&weights, gram);
            let mean = (0..p).map(|j| gram[j * p + j]).sum::<f64>() / p.max(1) as f64;
            (0..p).for_each(|j| gram[j * p + j] += ridge(j * k) + damping * mean);
            cholesky.factor_shifted(p, gram).map_err(|error| error.to_string())?;
            let mut rhs = vec![0.0; p * k];
            rows.multiply_transpose(q.g, k, &mut rhs);
            for (j, value) in rhs.iter_mut().enumerate() {
                *value = -q.eta * *value / b - ridge(j) * q.theta[j];
            }
            by_output(&mut rhs, k, |part| cholesky.solve_in_place(part).map_err(|error| error.to_string()))?;
            Ok(rhs)
        }
        Form::Rows => {
            rows.row_gram(gram);
            let m = rows.rows();
            let mean = (0..m).map(|i| weight(i) * gram[i * m + i]).sum::<f64>() / (b * p as f64).max(1.0);
            let s = ridge(0) + damping * mean;
            (0..m).for_each(|i| gram[i * m + i] += s * b / weight(i));
            cholesky.factor_shifted(m, gram).map_err(|error| error.to_string())?;
            let mut middle: Vec<f64> =
                q.g.iter().enumerate().map(|(i, g)| -q.eta * g / weight(i / k)).collect();
            let solve = |v: &mut Vec<f64>| {
                by_output(v, k, |part| cholesky.solve_in_place(part).map_err(|error| error.to_string()))
            };
            solve(&mut middle)?;
            let mut step = vec![0.0; p * k];
            rows.multiply_transpose(&middle, k, &mut step);
            if ridge(0) > 0.0 {
                let share = ridge(0) / s;
                rows.multiply(q.theta, k, &mut middle);
                solve(&mut middle)?;
                let mut inside = vec![0.0; p * k];
                rows.multiply_transpose(&middle, k, &mut inside);
                for ((step, theta), inside) in step.iter_mut().zip(q.theta).zip(&inside) {
                    *step -= share * (theta - inside);
                }
            }
            Ok(step)
        }
    }
}

/// Solves for each output's part of a row-major vector.
pub(crate) fn by_output(
    v: &mut [f64],
    k: usize,
    mut solve: impl FnMut(&mut [f64]) -> Result<(), String>,
) -> Result<(), String> {
    if k == 1 {
        return solve(v);
    }
    for c in 0..k {
        let mut part: Vec<f64> = v.iter().skip(c).step_by(k).copied().collect();
        solve(&mut part)?;
        v.iter_mut().skip(c).step_by(k).zip(part).for_each(|(v, value)| *v = value);
    }
    Ok(())
}
