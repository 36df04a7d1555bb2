//! The linear support vector machine with hinge loss, by its dual.
//!
//! minimise P(x) = sum of s_r max(0, 1 - y_r a_r'x) + l2 ||x||^2 / 2. Its dual is a quadratic on a box: maximise
//! D(u) = sum of u_r - l2 ||x(u)||^2 / 2 over 0 <= u_r <= s_r, x(u) = A'(y u) / l2. With margins m_r = y_r a_r'x(u),
//!
//! P - D = sum of [s_r max(0, 1 - m_r) - u_r (1 - m_r)], every term at least zero: that is the certificate.
//!
//! With few columns an interior-point method solves it, each step one Cholesky factorisation in their number
//! (`interior.rs`), else dual coordinate descent with Newton steps (`passes.rs`).

mod interior;
mod passes;

use super::{Error, Fit};
use crate::control::{Certificate, Counts, Limits, Monitor, Run, Status, Summary};
use crate::linalg::DesignMatrix;
use crate::linalg::product::{dot, sum_chunks};
use crate::problem::ModelError;

/// Columns up to which the interior-point method is used.
const FEW_COLUMNS: usize = 1000;

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
        let mut status = Status::Stalled;
        if design.columns() <= FEW_COLUMNS {
            status = interior::solve(&mut state, &mut run);
        }
        // also where rounding has ended the interior-point method early: its point is as good a start as any
        if status == Status::Stalled {
            status = passes::solve(&mut state, &mut run, self.seed);
        }
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
    gap: f64,
    objective: f64,
    counts: Counts,
}

impl<'a> Dual<'a> {
    fn new(design: &'a DesignMatrix, y: &'a [f64], s: Vec<f64>, l2: f64) -> Self {
        let n = s.len();
        let (x, u, margins) = (vec![0.0; design.columns()], vec![0.0; n], vec![0.0; n]);
        Self { design, y, s, l2, u, x, margins, gap: 0.0, objective: 0.0, counts: Counts::new() }
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

    /// Certifies, records and says whether to stop.
    fn record(&mut self, run: &mut Run) -> Option<Status> {
        let (objective, gap) = self.certify();
        // what is this close to its bound is at it, as far as a reader cares
        let clear = |r: usize, bound: f64| (self.u[r] - bound).abs() > 1e-9 * self.s[r];
        let vectors = (0..self.u.len()).filter(|&r| clear(r, 0.0));
        let inside = vectors.clone().filter(|&r| clear(r, self.s[r])).count();
        run.record(objective, gap, &[vectors.count() as f64, inside as f64])
    }

    /// Rows strictly inside the box.
    fn inside(&self) -> Vec<usize> {
        (0..self.u.len()).filter(|&r| self.u[r] > 0.0 && self.u[r] < self.s[r]).collect()
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
