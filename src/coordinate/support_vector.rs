//! The linear support vector machine with hinge loss, by its dual.
//!
//! minimise P(x) = sum of s_r max(0, 1 - y_r a_r'x) + l2 ||x||^2 / 2. Its dual is a quadratic on a box: maximise
//! D(u) = sum of u_r - l2 ||x(u)||^2 / 2 over 0 <= u_r <= s_r, x(u) = A'(y u) / l2. With margins m_r = y_r a_r'x(u),
//!
//! P - D = sum of [s_r max(0, 1 - m_r) - u_r (1 - m_r)], every term at least zero: that is the certificate.
//!
//! repeat: passes over the rows in random order, each u_r to the minimum of its parabola, x kept up to date (Hsieh et
//! al. 2008), rows at a bound that they are pushed against left out; then a Newton step on the rows inside the box by
//! conjugate gradients, projected, with an exact search. The passes find the rows at the margin, the step ends the run.

use std::cell::RefCell;
use std::ops::ControlFlow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::state::Progress;
use super::{Error, Fit};
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::DesignMatrix;
use crate::linalg::krylov::{FromFn, Identity, Stopping, Workspace, conjugate_gradient};
use crate::linalg::product::{dot, sum_chunks};
use crate::problem::ModelError;

/// Passes between two Newton steps.
const PASSES: usize = 5;
/// Products of a Newton step at most.
const PRODUCTS: usize = 200;

/// Solver of linear support vector machines with hinge loss.
#[derive(Debug, Clone, Default)]
pub struct SupportVectorMachine {
    /// When to stop; the tolerance is compared with the gap over P(0) = 1.
    pub limits: Limits,
    /// Seed of the order of the rows.
    pub seed: u64,
}

impl SupportVectorMachine {
    /// Fits classes y_r in {-1, +1} with ridge l2 > 0 and row weights (their sum is taken as 1; all equal where
    /// absent). LIBLINEAR's C is 1 / (l2 n).
    ///
    /// ```
    /// use gradus::control::Monitor;
    /// use gradus::coordinate::SupportVectorMachine;
    /// use gradus::linalg::DesignMatrix;
    ///
    /// let design = DesignMatrix::from_dense(4, 1, vec![-2.0, -1.0, 1.0, 2.0])?;
    /// let solver = SupportVectorMachine::default();
    /// let fit = solver.solve(&design, &[-1.0, -1.0, 1.0, 1.0], None, 0.1, &mut Monitor::none())?;
    /// // both inner points lie on the margin
    /// assert!((fit.coefficients[0] - 1.0).abs() < 1e-4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A target that is not a class, sizes that do not fit, an l2 that is not positive.
    pub fn solve(
        &self,
        design: &DesignMatrix,
        target: &[f64],
        weights: Option<&[f64]>,
        l2: f64,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        self.limits.check().map_err(Error::Option)?;
        let s = check(design, target, weights, l2)?;
        let mut run = Run::start(&self.limits, monitor, &["support_vectors", "at_the_margin"]);
        let mut state = Dual::new(design, target, s, l2);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut progress = Progress::new(f64::INFINITY);
        let status = loop {
            let (objective, gap) = state.certify();
            let inside = state.inside().len() as f64;
            let vectors = state.u.iter().filter(|&&u| u > 0.0).count() as f64;
            if let Some(status) = run.record(objective, gap, &[vectors, inside]) {
                break status;
            }
            if progress.has_stalled(objective, gap) {
                break Status::Stalled;
            }
            for _ in 0..PASSES {
                state.pass(&mut random);
            }
            state.newton(&run);
        };
        Ok(state.into_fit(status, run))
    }
}

/// Refuses what is no problem; the row weights over their sum.
fn check(design: &DesignMatrix, target: &[f64], weights: Option<&[f64]>, l2: f64) -> Result<Vec<f64>, Error> {
    let rows = design.rows();
    if rows == 0 {
        return Err(ModelError::Empty.into());
    }
    if !(l2 > 0.0 && l2.is_finite()) {
        return Err(Error::Option(format!(
            "l2 is {l2}; the hinge loss needs one that is positive and finite"
        )));
    }
    let lengths = [("targets", Some(target)), ("weights", weights)];
    for (what, vector) in lengths {
        if let Some(given) = vector.map(<[f64]>::len).filter(|&given| given != rows) {
            return Err(ModelError::Length { what, given, rows }.into());
        }
    }
    if let Some(row) = target.iter().position(|y| y.abs() != 1.0) {
        let expected = "hinge takes the classes -1 and +1";
        return Err(ModelError::Target { row, value: target[row], expected }.into());
    }
    let Some(weights) = weights else { return Ok(vec![1.0 / rows as f64; rows]) };
    if let Some(row) = weights.iter().position(|w| !(*w >= 0.0 && w.is_finite())) {
        let (what, expected) = ("weight", "weights must be finite and not negative");
        return Err(ModelError::Row { what, row, value: weights[row], expected }.into());
    }
    let total: f64 = weights.iter().sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(ModelError::NoWeight.into());
    }
    Ok(weights.iter().map(|w| w / total).collect())
}

/// The dual point u, with x(u) and margins.
struct Dual<'a> {
    design: &'a DesignMatrix,
    y: &'a [f64],
    s: Vec<f64>,
    l2: f64,
    u: Vec<f64>,
    x: Vec<f64>,
    margins: Vec<f64>,
    /// ||a_r||^2 / l2, the curvatures of the dual.
    curvatures: Vec<f64>,
    gap: f64,
    objective: f64,
    counts: Counts,
}

impl<'a> Dual<'a> {
    fn new(design: &'a DesignMatrix, y: &'a [f64], s: Vec<f64>, l2: f64) -> Self {
        let n = s.len();
        let curvatures = design.row_squares().iter().map(|square| square / l2).collect();
        let (x, u, margins) = (vec![0.0; design.columns()], vec![0.0; n], vec![0.0; n]);
        Self { design, y, s, l2, u, x, margins, curvatures, gap: 0.0, objective: 0.0, counts: Counts::new() }
    }

    /// P at x(u) and the gap, both from u alone.
    fn certify(&mut self) -> (f64, f64) {
        let v: Vec<f64> = self.u.iter().zip(self.y).map(|(u, y)| u * y / self.l2).collect();
        self.design.multiply_transpose(&v, &mut self.x);
        self.design.multiply(&self.x, &mut self.margins);
        self.margins.iter_mut().zip(self.y).for_each(|(m, y)| *m *= y);
        let n = self.s.len();
        let slack = |r: usize| 1.0 - self.margins[r];
        let hinge = sum_chunks(n, 4, |rows| rows.map(|r| self.s[r] * slack(r).max(0.0)).sum());
        let term = |r: usize| {
            let room = if slack(r) > 0.0 { self.s[r] - self.u[r] } else { -self.u[r] };
            room * slack(r)
        };
        self.gap = sum_chunks(n, 4, |rows| rows.map(term).sum());
        self.objective = hinge + 0.5 * self.l2 * dot(&self.x, &self.x);
        *self.counts.entry("gradients").or_default() += 1;
        (self.objective, self.gap)
    }

    /// Rows strictly inside the box.
    fn inside(&self) -> Vec<usize> {
        (0..self.u.len()).filter(|&r| self.u[r] > 0.0 && self.u[r] < self.s[r]).collect()
    }

    /// Whether a row sits at a bound that its last margin pushed it against, by more than rounding or a step's error.
    fn is_settled(&self, r: usize) -> bool {
        let slack = 1.0 - self.margins[r];
        let clear = self.gap.sqrt().min(0.5);
        (self.u[r] == 0.0 && slack < -clear) || (self.u[r] == self.s[r] && slack > clear)
    }

    /// One pass over the rows that are not settled, in random order.
    fn pass(&mut self, random: &mut ChaCha8Rng) {
        let mut order: Vec<usize> = (0..self.u.len()).filter(|&r| !self.is_settled(r)).collect();
        order.shuffle(random);
        for &r in &order {
            let slack = 1.0 - self.y[r] * self.design.row_dot(r, &self.x);
            self.margins[r] = 1.0 - slack;
            let goal = if self.curvatures[r] > 0.0 {
                (self.u[r] + slack / self.curvatures[r]).clamp(0.0, self.s[r])
            } else {
                // a row of zeros: its slack is 1
                self.s[r]
            };
            if goal != self.u[r] {
                self.design.add_row(r, (goal - self.u[r]) * self.y[r] / self.l2, &mut self.x);
                self.u[r] = goal;
            }
        }
        *self.counts.entry("coordinate_updates").or_default() += order.len() as u64;
    }

    /// A Newton step on the rows inside the box, projected, by the exact search along its clipped path's chord.
    fn newton(&mut self, run: &Run) {
        self.certify();
        let inside = self.inside();
        if inside.is_empty() {
            return;
        }
        let (n, l2) = (self.u.len(), self.l2);
        let memory = RefCell::new((vec![0.0; n], vec![0.0; self.x.len()], vec![0.0; n]));
        let operator = FromFn::new(inside.len(), |d: &[f64], out: &mut [f64]| {
            let (v, w, z) = &mut *memory.borrow_mut();
            v.fill(0.0);
            inside.iter().zip(d).for_each(|(&r, d)| v[r] = d * self.y[r]);
            self.design.multiply_transpose(v, w);
            self.design.multiply(w, z);
            inside.iter().zip(out).for_each(|(&r, out)| *out = self.y[r] * z[r] / l2);
        });
        let rhs: Vec<f64> = inside.iter().map(|&r| 1.0 - self.margins[r]).collect();
        let mut d = vec![0.0; rhs.len()];
        let stopping = Stopping { tolerance: 1e-3, absolute: 0.0, max_iterations: PRODUCTS };
        let mut watch =
            |_: &_| run.should_stop().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()));
        let mut workspace = Workspace::new();
        let identity = Identity(rhs.len());
        let solved = conjugate_gradient(
            &operator,
            &identity,
            &rhs,
            &mut d,
            &stopping,
            &mut workspace,
            Some(&mut watch),
        );
        if let Ok(outcome) = solved {
            *self.counts.entry("products").or_default() += outcome.iterations as u64;
        }
        self.take(&inside, &d);
    }

    /// u <- u + t (clip(u + d) - u), t the maximiser of D in [0, 1].
    fn take(&mut self, inside: &[usize], d: &[f64]) {
        let mut step = vec![0.0; self.u.len()];
        for (&r, d) in inside.iter().zip(d) {
            step[r] = (self.u[r] + d).clamp(0.0, self.s[r]) - self.u[r];
        }
        let slope: f64 = inside.iter().map(|&r| step[r] * (1.0 - self.margins[r])).sum();
        let v: Vec<f64> = step.iter().zip(self.y).map(|(d, y)| d * y / self.l2).collect();
        let mut w = vec![0.0; self.x.len()];
        self.design.multiply_transpose(&v, &mut w);
        let curvature = self.l2 * dot(&w, &w);
        // written so that a NaN is refused too
        if !(slope > 0.0) {
            return;
        }
        let t = if curvature > slope { slope / curvature } else { 1.0 };
        for &r in inside {
            self.u[r] = (self.u[r] + t * step[r]).clamp(0.0, self.s[r]);
        }
        self.x.iter_mut().zip(&w).for_each(|(x, w)| *x += t * w);
    }

    fn into_fit(mut self, status: Status, run: Run) -> Fit {
        let (objective, gap) = self.certify();
        let (seconds, history) = (run.seconds(), run.into_history());
        let summary = Summary {
            method: "dual coordinate descent",
            status,
            objective,
            // P(0) = 1, the sum of the weights
            certificate: Certificate { kind: "duality_gap", value: gap, relative: gap },
            iterations: history.records.len().saturating_sub(1),
            counts: self.counts,
            seconds,
            history,
            notes: Vec::new(),
        };
        Fit { coefficients: self.x, intercept: 0.0, summary }
    }
}
