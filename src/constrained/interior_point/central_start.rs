//! Where predictor and corrector start: far from the bounds, with rows and multipliers next to what they have to be
//! (Mehrotra, SIAM Journal on Optimization 2, 1992, section 7).

use super::super::error::Error;
use super::phase::{Iterate, Shape};
use super::{Phase, Tools};
use crate::linalg::product::norm_inf;

/// Distance from bounds as a multiple of their size, and as a share of the room between two.
const PUSH: f64 = 1.0;
const SHARE: f64 = 0.2;
/// Multipliers of bounds there.
const FIRST_MULTIPLIER: f64 = 1.0;
/// Up to this violation such a point is good enough.
const SMALL_VIOLATION: f64 = 10.0;
/// Distance from bounds next to the point of least squares, and the least multiplier.
const LEAST_PUSH: f64 = 1e-2;
const LEAST_MULTIPLIER: f64 = 1e-8;
/// What is missing to the inside of the bounds is made up by this multiple of it.
const EXCESS: f64 = 1.5;
/// Share of the mean product of distances and multipliers by which both grow.
const BALANCE: f64 = 0.5;

impl Phase {
    /// Moves the iterate to the start; false where the functions aren't finite there.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn start_centrally(&mut self, tools: &mut Tools) -> Result<bool, Error> {
        if !self.place_centrally(tools) {
            return Ok(false);
        }
        let bounded = !(self.shape.lower_set.is_empty() && self.shape.upper_set.is_empty());
        if !bounded || norm_inf(&self.at.residual) <= SMALL_VIOLATION {
            return Ok(true);
        }
        let Phase { shape, at, step, newton, .. } = self;
        if !newton.least_norm_step(shape, &mut tools.kkt, at, &mut step.u)? {
            return Ok(true);
        }
        at.u.iter_mut().zip(&step.u).for_each(|(u, d)| *u += d);
        let missing = missing(shape, &at.u);
        move_inside(shape, &mut at.u, missing);
        if !self.evaluate_there(tools) {
            return Ok(false);
        }
        self.estimate_multipliers(tools)?;
        self.balance();
        Ok(self.evaluate_there(tools))
    }

    /// Away from the bounds, multipliers at one. False where the functions aren't finite there.
    fn place_centrally(&mut self, tools: &mut Tools) -> bool {
        let nx = self.shape.nx;
        let Phase { shape, at, .. } = self;
        let place = |shape: &Shape, at: &mut Iterate, range: std::ops::Range<usize>| {
            for k in range {
                let (lower, upper) = (shape.lower[k], shape.upper[k]);
                let room = SHARE * (upper - lower);
                let push = |bound: f64| (PUSH * bound.abs().max(1.0)).min(room);
                if lower.is_finite() {
                    at.u[k] = at.u[k].max(lower + push(lower));
                }
                if upper.is_finite() {
                    at.u[k] = at.u[k].min(upper - push(upper));
                }
            }
        };
        place(shape, at, 0..nx);
        if shape.evaluate(&mut tools.model, at).is_err() {
            return false;
        }
        for (k, &(row, _)) in shape.attached.iter().enumerate() {
            at.u[nx + k] += at.residual[row as usize];
        }
        place(shape, at, nx..shape.count());
        shape.lower_set.iter().for_each(|&k| at.zl[k as usize] = FIRST_MULTIPLIER);
        shape.upper_set.iter().for_each(|&k| at.zu[k as usize] = FIRST_MULTIPLIER);
        at.y.fill(0.0);
        self.evaluate_there(tools)
    }

    fn evaluate_there(&mut self, tools: &mut Tools) -> bool {
        let Phase { shape, at, .. } = self;
        shape.evaluate(&mut tools.model, at).is_ok() && shape.differentiate(&mut tools.model, at).is_ok()
    }

    /// y of least squares; what is left of the gradient is for the bounds, positive where there is one alone by a shift of all.
    fn estimate_multipliers(&mut self, tools: &mut Tools) -> Result<(), Error> {
        let Phase { shape, at, newton, .. } = self;
        at.zl.fill(0.0);
        at.zu.fill(0.0);
        newton.least_squares_multipliers(shape, &tools.model.form, &mut tools.kkt, at, f64::MAX)?;
        shape.set_dual(&tools.model.form, at);
        let mut least: f64 = 0.0;
        for (set, z, sign) in [(&shape.lower_set, &mut at.zl, 1.0), (&shape.upper_set, &mut at.zu, -1.0)] {
            for &k in set {
                let (k, dual) = (k as usize, sign * at.dual[k as usize]);
                // of two sides one takes all of it, whatever its sign
                z[k] = if is_one_sided(shape, k) { dual } else { dual.max(0.0) };
                least = least.min(z[k]);
            }
        }
        shape.lower_set.iter().for_each(|&k| at.zl[k as usize] -= EXCESS * least);
        shape.upper_set.iter().for_each(|&k| at.zu[k as usize] -= EXCESS * least);
        Ok(())
    }

    /// Both distances and multipliers grow by a share of the mean product over the mean of the other.
    fn balance(&mut self) {
        let Phase { shape, at, .. } = self;
        let (mut products, mut distances, mut multipliers) = (0.0, 0.0, 0.0);
        for (set, z, distance) in
            [(&shape.lower_set, &at.zl, &at.below), (&shape.upper_set, &at.zu, &at.above)]
        {
            for &k in set {
                let (z, distance) = (z[k as usize], distance[k as usize]);
                products += z * distance;
                distances += distance;
                multipliers += z;
            }
        }
        let more = (BALANCE * products / distances).max(LEAST_MULTIPLIER);
        shape.lower_set.iter().for_each(|&k| at.zl[k as usize] += more);
        shape.upper_set.iter().for_each(|&k| at.zu[k as usize] += more);
        if multipliers > 0.0 {
            move_inside(shape, &mut at.u, BALANCE * products / multipliers);
        }
    }
}

fn is_one_sided(shape: &Shape, k: usize) -> bool {
    shape.lower[k].is_finite() != shape.upper[k].is_finite()
}

/// By how much variables with one bound are to move away from it.
fn missing(shape: &Shape, u: &[f64]) -> f64 {
    let distance = |k: usize| (u[k] - shape.lower[k]).min(shape.upper[k] - u[k]);
    let least = (0..u.len()).filter(|&k| is_one_sided(shape, k)).map(distance).fold(0.0, f64::min);
    -EXCESS * least
}

/// Moves variables with one bound away from it, and all to where there is room.
fn move_inside(shape: &Shape, u: &mut [f64], distance: f64) {
    for (k, u) in u.iter_mut().enumerate() {
        let (lower, upper) = (shape.lower[k], shape.upper[k]);
        let room = SHARE * (upper - lower);
        let push = |bound: f64| distance.max(LEAST_PUSH * bound.abs().max(1.0)).min(room);
        let shift = if is_one_sided(shape, k) { distance } else { 0.0 };
        if lower.is_finite() {
            *u = (*u + shift).max(lower + push(lower));
        }
        if upper.is_finite() {
            *u = (*u - shift).min(upper - push(upper));
        }
    }
}
