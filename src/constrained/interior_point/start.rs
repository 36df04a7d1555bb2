//! The first iterate: inside its bounds, with multipliers of bounds at one and least-squares multipliers of rows.

use super::super::Error;
use super::super::evaluator::check_vector;
use super::super::solution::Start;
use super::newton::{Newton, Step};
use super::phase::{Iterate, Shape};
use super::progress::Stall;
use super::{Phase, Tools};

/// First barrier parameter.
const FIRST_MU: f64 = 0.1;
/// Distance from the bounds, relative to their size and to the room between them.
const PUSH: f64 = 1e-2;
/// The same for a start that comes with multipliers of bounds.
const WARM_PUSH: f64 = 1e-8;
/// Larger least-squares multipliers are dropped.
const LARGEST_MULTIPLIER: f64 = 1e3;
/// Tries to find a start where the functions are defined.
const TRIES: usize = 6;

/// Checks the lengths of a given start.
///
/// # Errors
/// `Length`, `NotFinite`.
pub(super) fn check(start: &Start, n: usize, m: usize) -> Result<(), Error> {
    let given = [
        ("the start", n, start.x),
        ("the starting multipliers", m, start.multipliers),
        ("the starting multipliers of lower bounds", n, start.lower_multipliers),
        ("the starting multipliers of upper bounds", n, start.upper_multipliers),
    ];
    given.iter().try_for_each(|(what, length, values)| {
        values.map_or(Ok(()), |values| check_vector(what, *length, values))
    })
}

impl Phase {
    /// The first iterate; None where the functions are not finite at the start, nor near it.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn at_start(
        tools: &mut Tools,
        start: &Start,
        given_multipliers: bool,
        tolerance: f64,
    ) -> Result<Option<Self>, Error> {
        let warm = start.lower_multipliers.is_some() && start.upper_multipliers.is_some();
        let form = &tools.model.form;
        let shape = Shape::new(form, FIRST_MU);
        let (count, m) = (shape.count(), shape.m);
        let nonzeros = form.jacobian.pattern.nnz();
        let newton = Newton::new(form, &shape);
        let (at, trial) = (Iterate::new(count, m, nonzeros), Iterate::new(count, m, nonzeros));
        let step = Step::new(count, m);
        let mut phase = Self {
            shape,
            at,
            trial,
            step,
            newton,
            search: Default::default(),
            tolerance,
            dual_is_stale: false,
            crawl: Default::default(),
            settled: 0,
            last_dual: None,
            polishing: false,
            stall: Stall::default(),
        };
        tools.model.forget_hessian();
        let x = start.x.unwrap_or(tools.model.evaluator.start());
        for (u, &j) in phase.at.u.iter_mut().zip(&tools.model.form.free) {
            *u = x[j as usize];
        }
        let defined = (0..TRIES).any(|attempt| phase.place(tools, warm, attempt));
        if !defined {
            return Ok(None);
        }
        phase.set_multipliers(tools, start, given_multipliers, warm)?;
        Ok(Some(phase))
    }

    /// Moves x inside its bounds, further with each attempt, sets the slacks, and evaluates; false where values aren't finite.
    fn place(&mut self, tools: &mut Tools, warm: bool, attempt: usize) -> bool {
        let push = match (attempt, warm) {
            (0, true) => WARM_PUSH,
            _ => (PUSH * 4f64.powi(attempt as i32)).min(0.5),
        };
        let (nx, primal) = (self.shape.nx, self.shape.count());
        if attempt > 0 {
            // a point outside the domain: leave it in directions that don't repeat
            for (j, u) in self.at.u[..nx].iter_mut().enumerate() {
                *u += 1e-3 * attempt as f64 * (1.0 + u.abs()) * (1.0 + 0.5 * ((j + attempt) as f64).sin());
            }
        }
        self.push_inside(0..nx, push);
        if tools.model.values(&self.at.u, &mut self.at.residual).is_err() {
            return false;
        }
        for (k, &(row, _)) in self.shape.attached.iter().enumerate() {
            // the residual was taken with whatever s was there
            self.at.u[nx + k] += self.at.residual[row as usize];
        }
        self.push_inside(nx..primal, push);
        self.shape.evaluate(&mut tools.model, &mut self.at).is_ok()
            && self.shape.differentiate(&mut tools.model, &mut self.at).is_ok()
    }

    fn push_inside(&mut self, range: std::ops::Range<usize>, push: f64) {
        for k in range {
            let (lower, upper) = (self.shape.lower[k], self.shape.upper[k]);
            let room = push * (upper - lower);
            let least = lower + room.min(push * lower.abs().max(1.0));
            let most = upper - room.min(push * upper.abs().max(1.0));
            let u = &mut self.at.u[k];
            if lower.is_finite() {
                *u = u.max(least);
            }
            if upper.is_finite() {
                *u = u.min(most);
            }
        }
    }

    fn set_multipliers(
        &mut self,
        tools: &mut Tools,
        start: &Start,
        given_multipliers: bool,
        warm: bool,
    ) -> Result<(), Error> {
        self.shape.lower_set.iter().for_each(|&k| self.at.zl[k as usize] = 1.0);
        self.shape.upper_set.iter().for_each(|&k| self.at.zu[k as usize] = 1.0);
        let given = start.multipliers.filter(|_| given_multipliers);
        if let Some(y) = given {
            let scaling = tools.model.evaluator.scaling();
            for (value, &i) in self.at.y.iter_mut().zip(&tools.model.form.rows) {
                *value = y[i as usize] * scaling.multiplier(i as usize);
            }
        } else {
            let Tools { model, kkt } = tools;
            let largest = LARGEST_MULTIPLIER;
            self.newton.least_squares_multipliers(&self.shape, &model.form, kkt, &mut self.at, largest)?;
        }
        if let (true, Some(lower), Some(upper)) = (warm, start.lower_multipliers, start.upper_multipliers) {
            self.set_warm_multipliers(tools, lower, upper);
        }
        self.shape.set_dual(&tools.model.form, &mut self.at);
        Ok(())
    }

    /// Multipliers of bounds from those of an earlier answer, and a mu that fits them.
    fn set_warm_multipliers(&mut self, tools: &mut Tools, lower: &[f64], upper: &[f64]) {
        let factor = tools.model.evaluator.scaling().objective;
        let nx = self.shape.nx;
        for (k, &j) in tools.model.form.free.iter().enumerate() {
            (self.at.zl[k], self.at.zu[k]) =
                (factor * lower[j as usize].max(0.0), factor * upper[j as usize].max(0.0));
        }
        for (k, &(row, _)) in self.shape.attached.iter().enumerate() {
            let y = self.at.y[row as usize];
            (self.at.zl[nx + k], self.at.zu[nx + k]) = ((-y).max(0.0), y.max(0.0));
        }
        let mut worst = 0.0f64;
        for &k in &self.shape.lower_set {
            worst = worst.max(self.at.zl[k as usize] * self.at.below[k as usize]);
        }
        for &k in &self.shape.upper_set {
            worst = worst.max(self.at.zu[k as usize] * self.at.above[k as usize]);
        }
        self.set_mu(tools, worst.clamp(self.tolerance, FIRST_MU));
        let Phase { shape, at, .. } = self;
        for &k in &shape.lower_set {
            let k = k as usize;
            at.zl[k] = at.zl[k].max(shape.mu / at.below[k].max(1e-4));
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            at.zu[k] = at.zu[k].max(shape.mu / at.above[k].max(1e-4));
        }
        for k in 0..shape.count() {
            if !shape.lower[k].is_finite() {
                at.zl[k] = 0.0;
            }
            if !shape.upper[k].is_finite() {
                at.zu[k] = 0.0;
            }
        }
    }
}
