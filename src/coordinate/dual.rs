//! Coordinate descent on the dual of a ridge problem: cheap passes that bring Newton's method near.
//!
//! With h(x) = sum of lambda_j x_j^2 / 2 and dual variables v the point x = -Lambda^{-1} A'v goes with v, and the
//! exact minimiser of the dual in v_r alone is v_r = s_r phi'(z), where z solves the scalar equation
//! z + q_r s_r phi'(z) = a_r'x + o_r + q_r v_r,  q_r = a_r' Lambda^{-1} a_r.
//! A pass over the rows in random order costs as much as one product with the Hessian, and the first few of them get
//! further than Newton's first steps, which have an inexact system each to solve (Shalev-Shwartz and Zhang 2013; Yu,
//! Huang and Lin 2011 for the logistic loss).

use super::state::State;
use crate::control::Run;
use crate::linalg::VectorView;
use crate::linalg::product::sparse_dot;
use crate::linalg::splitmix::SplitMix;
use crate::problem::loss::Loss;

/// Passes for a loss with a smooth second derivative: more gain less than Newton steps, which converge faster near the
/// solution.
const PASSES: usize = 8;
/// Passes for piecewise quadratic losses: Newton's method takes a whole system for each guess of the pieces, the passes
/// find most of them.
const PASSES_FOR_PIECES: usize = 100;
/// Relative accuracy of a dual variable.
const ACCURACY: f64 = 1e-2;

/// Whether the dual is one of this kind: rows at hand, a ridge for every coefficient, no intercept (which couples the
/// dual variables), a loss whose slope grows at a bounded rate.
pub(super) fn applies(state: &State, ridge: &[f64]) -> bool {
    let model = state.model;
    let plain = !model.design.is_dense() && model.design.standardization().is_none() && !model.intercept;
    plain
        && ridge.iter().all(|&r| r > 0.0)
        && model.loss.curvature_bound().is_some()
        && model.loss.name() != "squared"
        && state.x.iter().all(|&x| x == 0.0)
}

/// Runs the passes from x = 0 and moves the state there, unless the objective is no lower there. Says whether it moved.
pub(super) fn improve(state: &mut State, ridge: &[f64], run: &Run) -> bool {
    let model = state.model;
    let (design, loss) = (&model.design, &*model.loss);
    let n = design.rows();
    let inverse: Vec<f64> = ridge.iter().map(|ridge| 1.0 / ridge).collect();
    let q: Vec<f64> = (0..n).map(|r| design.row(r).iter().map(|(j, a)| a * a * inverse[j]).sum()).collect();
    let mut order: Vec<usize> = (0..n).filter(|&r| state.s[r] > 0.0).collect();
    let mut random = SplitMix(0);
    let (mut v, mut x) = (vec![0.0; n], vec![0.0; ridge.len()]);
    let passes = if loss.name() == "logistic" { PASSES } else { PASSES_FOR_PIECES };
    for _ in 0..passes {
        if run.should_stop().is_some() {
            break;
        }
        shuffle(&mut order, &mut random);
        for &r in &order {
            let VectorView::Sparse { indices, values } = design.row(r) else { continue };
            // at x = 0 the predictors of the state are the offsets
            let z = sparse_dot(indices, values, &x) + state.z[r];
            let centre = z + q[r] * v[r];
            let c = q[r] * state.s[r];
            let slope = state.s[r] * slope(loss, model.target[r], c, centre, z);
            let change = slope - v[r];
            if change != 0.0 && change.is_finite() {
                for (&j, a) in indices.iter().zip(values) {
                    x[j as usize] -= change * a * inverse[j as usize];
                }
                v[r] = slope;
            }
        }
        state.standing.count("dual_passes", 1);
    }
    let before = state.standing.objective;
    let old = std::mem::replace(&mut state.x, x);
    state.refresh();
    if state.standing.objective < before && state.standing.certificate.relative.is_finite() {
        return true;
    }
    state.x = old;
    state.refresh();
    false
}

/// phi'(z; y) where z + c phi'(z; y) = centre, to a loose accuracy: Newton's method from a guess, kept inside the interval
/// between `centre` and centre - c phi'(centre), which holds z because phi' does not fall.
fn slope(loss: &dyn Loss, y: f64, c: f64, centre: f64, guess: f64) -> f64 {
    let far = centre - c * loss.derivative(centre, y);
    let (mut low, mut high) = (centre.min(far), centre.max(far));
    let mut z = if low < guess && guess < high { guess } else { 0.5 * (low + high) };
    let mut last = f64::INFINITY;
    for _ in 0..60 {
        let (first, second) = (loss.derivative(z, y), loss.curvature(z, y));
        let value = z + c * first - centre;
        if value > 0.0 {
            high = z
        } else {
            low = z
        }
        let step = -value / (1.0 + c * second);
        // phi' at the next point, by its tangent; c phi' is what z differs from the centre by
        let next = first + second * step;
        if value.abs() <= ACCURACY * (c * next).abs() || value.abs() <= 1e-15 * z.abs() {
            return next;
        }
        let newton = z + step;
        // between two flat ends Newton's steps may go back and forth: halve the interval where one did not help
        let helped = value.abs() < last;
        last = value.abs();
        z = if helped && low < newton && newton < high { newton } else { 0.5 * (low + high) };
    }
    loss.derivative(z, y)
}

/// Fisher and Yates's shuffle.
fn shuffle(order: &mut [usize], random: &mut SplitMix) {
    for i in (1..order.len()).rev() {
        order.swap(i, (random.uniform() * (i + 1) as f64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::loss::by_name;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_scalar_equation_holds(c in 1e-3f64..1e3, centre in -30.0f64..30.0, guess in -30.0f64..30.0, positive: bool) {
            let y = if positive { 1.0 } else { -1.0 };
            for name in ["logistic", "squared-hinge", "huber"] {
                let loss = by_name(name).unwrap();
                let found = slope(&*loss, y, c, centre, guess);
                let (mut low, mut high) = (-1e4f64, 1e4f64);
                for _ in 0..200 {
                    let z = 0.5 * (low + high);
                    if z + c * loss.derivative(z, y) > centre { high = z } else { low = z }
                }
                let exact = loss.derivative(low, y);
                prop_assert!((found - exact).abs() <= 3.0 * ACCURACY * exact.abs() + 1e-12, "{name}: {found} {exact}");
            }
        }
    }
}
