//! Gauss-Newton steps on the surrogate, their systems solved by conjugate gradients with products by J and J' alone:
//!
//! (J'W J / b + eta diag(r)) P = -G,   G the gradient of q.
//!
//! For a linear map the first step is the exact one up to the residual of the solve.

use std::cell::RefCell;

use super::{Scratch, Surrogate};
use crate::linalg::krylov::{FromFn, Identity, Jacobi, LinearOperator, Stopping, conjugate_gradient};
use crate::linalg::product::dot_serial;
use crate::surrogate::oracle::Work;

/// The inner system is left once its residual is this part of the first: more would be thrown away with the batch.
const RESIDUAL: f64 = 0.1;
/// Halvings of a Gauss-Newton step.
const TRIALS: usize = 40;

/// m Gauss-Newton steps of at most `products` conjugate-gradient steps each.
pub(super) fn minimize(
    q: &Surrogate,
    steps: usize,
    products: usize,
    theta: &mut [f64],
    scratch: &mut Scratch,
    work: &mut Work,
) -> Result<(), String> {
    let (d, m) = (theta.len(), q.g.len());
    let linear = q.model.as_linear();
    if let Some(linear) = linear {
        linear.gather(q.batch, &mut scratch.rows);
    }
    scratch.prepare(d, m);
    // exact enough for one step, sharper where several are asked for
    let tolerance = if steps > 1 { 1e-10 } else { RESIDUAL };
    let stopping = Stopping { tolerance, max_iterations: products, ..Stopping::default() };
    for _ in 0..steps {
        let Scratch { rows, w, u, image, gradient, step, krylov, .. } = &mut *scratch;
        let rows = &*rows;
        let value = if linear.is_some() { f64::NAN } else { q.value(theta, w, work) };
        q.gradient(theta, w, u, gradient, work);
        if gradient.iter().all(|&v| v == 0.0) {
            break;
        }
        let cells = RefCell::new((std::mem::take(image), 0u64));
        let point: &[f64] = theta;
        let apply = |x: &[f64], y: &mut [f64]| {
            let mut cells = cells.borrow_mut();
            let (image, count) = &mut *cells;
            *count += 2;
            match linear {
                Some(model) => rows.multiply(x, model.outputs, image),
                None => {
                    let _ = q.model.push_forward(point, q.batch, x, image);
                }
            }
            if let Some(weights) = q.weights {
                image.iter_mut().zip(weights).for_each(|(v, weight)| *v *= weight);
            }
            match linear {
                Some(model) => rows.multiply_transpose(image, model.outputs, y),
                None => q.model.pull_back(point, q.batch, image, y),
            }
            q.finish_gradient(x, y);
        };
        let operator = FromFn::new(d, apply);
        let jacobi = diagonal(q, scratch_rows(linear.is_some(), rows))
            .and_then(|diagonal| Jacobi::new(&diagonal).ok());
        let identity = Identity(d);
        let preconditioner: &dyn LinearOperator = jacobi.as_ref().map_or(&identity, |jacobi| jacobi);
        step.fill(0.0);
        let rhs: Vec<f64> = gradient.iter().map(|v| -v).collect();
        let outcome = conjugate_gradient(&operator, preconditioner, &rhs, step, &stopping, krylov, None)
            .map_err(|error| error.to_string())?;
        let (buffer, count) = cells.into_inner();
        *image = buffer;
        work.products += count;
        work.inner_steps += outcome.iterations as u64;
        if linear.is_some() {
            theta.iter_mut().zip(step.iter()).for_each(|(theta, step)| *theta += step);
            q.model.push_forward(theta, q.batch, step, image);
            w.iter_mut().zip(image.iter()).for_each(|(w, x)| *w += x);
            continue;
        }
        if !backtrack(q, value, gradient, step, theta, w, work) {
            work.failed_searches += 1;
            break;
        }
    }
    Ok(())
}

fn scratch_rows(linear: bool, rows: &crate::linalg::RowBlock) -> Option<&crate::linalg::RowBlock> {
    linear.then_some(rows)
}

/// diag(X'W X) / b + eta r for the rows of a linear map with one output; columns without entries count as one.
fn diagonal(q: &Surrogate, rows: Option<&crate::linalg::RowBlock>) -> Option<Vec<f64>> {
    let rows = rows.filter(|rows| rows.columns() == q.theta.len())?;
    let b = q.batch.len() as f64;
    let mut diagonal = rows.column_squares(q.weights);
    for (j, value) in diagonal.iter_mut().enumerate() {
        *value = *value / b + q.eta * q.ridge_of(j);
        if *value <= 0.0 {
            *value = 1.0;
        }
    }
    Some(diagonal)
}

/// Halves the step until q falls enough; false if it never does.
fn backtrack(
    q: &Surrogate,
    value: f64,
    gradient: &[f64],
    step: &[f64],
    theta: &mut [f64],
    w: &mut [f64],
    work: &mut Work,
) -> bool {
    let slope = dot_serial(gradient, step);
    if !(slope < 0.0) {
        return false;
    }
    let mut a = 1.0;
    let mut moved = theta.to_vec();
    for _ in 0..TRIALS {
        for ((moved, theta), step) in moved.iter_mut().zip(theta.iter()).zip(step) {
            *moved = theta + a * step;
        }
        if q.value(&moved, w, work) <= value + 1e-4 * a * slope {
            theta.copy_from_slice(&moved);
            return true;
        }
        a *= 0.5;
    }
    false
}
