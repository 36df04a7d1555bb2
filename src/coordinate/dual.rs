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

/// Passes in a round for a loss with a smooth second derivative, and how many rounds: more gain less than Newton steps,
/// which converge faster near the solution.
const SMOOTH: (usize, usize) = (8, 1);
/// The same for piecewise quadratic losses: Newton's method takes a whole system for each guess of the pieces.
const PIECEWISE: (usize, usize) = (50, 40);
/// A round that lowers the certificate by less than this is the last.
const WORTHWHILE: f64 = 0.3;
/// One pass in so many goes over all rows, the others over those whose dual variable is not zero.
const FULL: usize = 10;
/// Relative accuracy of a dual variable.
const ACCURACY: f64 = 1e-2;

/// The dual variables, the point that goes with them, and the rows' order.
pub(super) struct Dual {
    v: Vec<f64>,
    x: Vec<f64>,
    /// q_r, and 1 / lambda_j.
    q: Vec<f64>,
    inverse: Vec<f64>,
    /// The predictors at x = 0.
    offsets: Vec<f64>,
    /// Rows that count, and those of them with a dual variable that is not zero.
    rows: Vec<usize>,
    active: Vec<usize>,
    random: SplitMix,
    rounds: usize,
}

impl Dual {
    /// At x = 0, where the dual is one of this kind: rows at hand, a ridge for every coefficient, no intercept (which couples
    /// the dual variables), a loss whose slope grows at a bounded rate. None elsewhere.
    pub fn start(state: &State, ridge: &[f64]) -> Option<Self> {
        let (model, design) = (state.model, &state.model.design);
        let plain = !design.is_dense() && design.standardization().is_none() && !model.intercept;
        let applies = plain
            && ridge.iter().all(|&r| r > 0.0)
            && model.loss.curvature_bound().is_some()
            && model.loss.name() != "squared"
            && state.x.iter().all(|&x| x == 0.0);
        if !applies {
            return None;
        }
        let inverse: Vec<f64> = ridge.iter().map(|ridge| 1.0 / ridge).collect();
        let square = |r: usize| design.row(r).iter().map(|(j, a)| a * a * inverse[j]).sum();
        Some(Self {
            v: vec![0.0; design.rows()],
            x: vec![0.0; ridge.len()],
            q: (0..design.rows()).map(square).collect(),
            inverse,
            offsets: state.z.clone(),
            rows: (0..design.rows()).filter(|&r| state.s[r] > 0.0).collect(),
            active: Vec::new(),
            random: SplitMix(0),
            rounds: 0,
        })
    }

    /// A round of passes; moves the state to the point reached, unless the objective is no lower there. Says whether another
    /// round is worth it.
    pub fn improve(&mut self, state: &mut State, run: &Run) -> bool {
        let (passes, rounds) = if state.model.loss.name() == "logistic" { SMOOTH } else { PIECEWISE };
        for pass in 0..passes {
            if run.should_stop().is_some() {
                break;
            }
            if pass % FULL == 0 {
                self.pass(state, true);
                self.active = self.rows.iter().copied().filter(|&r| self.v[r] != 0.0).collect();
            } else {
                self.pass(state, false);
            }
            state.standing.count("dual_passes", 1);
        }
        self.rounds += 1;
        let (before, certificate) = (state.standing.objective, state.standing.certificate.relative);
        let old = std::mem::replace(&mut state.x, self.x.clone());
        state.refresh();
        if !(state.standing.objective < before) {
            state.x = old;
            state.refresh();
            return false;
        }
        self.rounds < rounds && state.standing.certificate.relative <= WORTHWHILE * certificate
    }

    /// The exact minimiser over each of the rows, or of the active ones, one after the other in random order.
    fn pass(&mut self, state: &State, all: bool) {
        let (model, loss) = (state.model, &*state.model.loss);
        let order = if all { &mut self.rows } else { &mut self.active };
        for i in (1..order.len()).rev() {
            order.swap(i, (self.random.uniform() * (i + 1) as f64) as usize);
        }
        for &r in order.iter() {
            let VectorView::Sparse { indices, values } = model.design.row(r) else { continue };
            let z = sparse_dot(indices, values, &self.x) + self.offsets[r];
            let (centre, c) = (z + self.q[r] * self.v[r], self.q[r] * state.s[r]);
            let slope = state.s[r] * slope(loss, model.target[r], c, centre, z);
            let change = slope - self.v[r];
            if change != 0.0 && change.is_finite() {
                for (&j, a) in indices.iter().zip(values) {
                    self.x[j as usize] -= change * a * self.inverse[j as usize];
                }
                self.v[r] = slope;
            }
        }
    }
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
