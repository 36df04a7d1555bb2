//! When a point counts as solved: the optimality error of a general nonlinear program.
//!
//! With Lagrangian f + y'c - zl'(x - xl) - zu'(xu - x), zl, zu >= 0, a row cl <= c <= cu that is no equation has
//! the multiplier of its lower side max(-y, 0) and of its upper side max(y, 0). In the scaled problem
//!
//! E = max( |grad f + J'y - zl + zu| / s_d, |violation|, |complementarity| / s_c ), all in the maximum norm,
//!
//! s_d = max(100, (|y|_1 + |z|_1) / (m + n_z)) / 100, s_c = max(100, |z|_1 / n_z) / 100, where z collects the
//! n_z multipliers of bounds of variables and of sides of rows (Waechter and Biegler 2006, equation 5). The violation includes
//! that of the variables' bounds. A multiplier of the wrong sign, or of a bound that isn't there, counts as dual infeasibility.

use super::evaluator::Bounds;
use super::scaling::Scaling;

/// Unscaled limits that a solved point must meet besides E.
const DUAL: f64 = 1.0;
const VIOLATION: f64 = 1e-4;
const COMPLEMENTARITY: f64 = 1e-4;

/// Limits of an acceptable point: E, then unscaled dual infeasibility, violation, complementarity.
const ACCEPTABLE: (f64, f64, f64, f64) = (1e-6, 1e10, 1e-2, 1e-2);

/// A point with what its error is computed from, all unscaled.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// x, length n.
    pub x: &'a [f64],
    /// c(x), length m.
    pub constraints: &'a [f64],
    /// grad f + J'y, without the bounds' multipliers; length n.
    pub lagrangian_gradient: &'a [f64],
    /// y, length m.
    pub multipliers: &'a [f64],
    /// zl, length n; may be empty where no variable has a bound.
    pub lower_multipliers: &'a [f64],
    /// zu, likewise.
    pub upper_multipliers: &'a [f64],
}

/// The three parts of the error in the maximum norm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// |grad f + J'y - zl + zu|, and multipliers of the wrong sign.
    pub dual_infeasibility: f64,
    /// By how much constraints and bounds are violated.
    pub constraint_violation: f64,
    /// |(x - xl) zl|, |(xu - x) zu| and the same of the rows' sides.
    pub complementarity: f64,
}

impl Parts {
    /// The largest of the three; NaN wins.
    pub fn largest(&self) -> f64 {
        larger(larger(self.dual_infeasibility, self.constraint_violation), self.complementarity)
    }
}

/// The error of a point, scaled and unscaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KktError {
    /// E.
    pub error: f64,
    /// The parts in the scaled problem, before they are divided by s_d and s_c.
    pub scaled: Parts,
    /// The parts in the problem itself.
    pub unscaled: Parts,
    /// s_d.
    pub dual_scale: f64,
    /// s_c.
    pub complementarity_scale: f64,
}

impl KktError {
    /// The error of a point; O(n + m).
    pub fn at(point: &Point, bounds: &Bounds, scaling: &Scaling) -> Self {
        let sums = Sums::collect(point, bounds, scaling);
        let objective = scaling.objective;
        let unscaled = sums.unscaled;
        let scaled = Parts {
            dual_infeasibility: objective * unscaled.dual_infeasibility,
            constraint_violation: sums.scaled_violation,
            complementarity: objective * unscaled.complementarity,
        };
        let dual_scale =
            mean_scale(sums.row_multipliers + sums.side_multipliers, point.multipliers.len() + sums.sides);
        let complementarity_scale = mean_scale(sums.side_multipliers, sums.sides);
        let relative = Parts {
            dual_infeasibility: scaled.dual_infeasibility / dual_scale,
            complementarity: scaled.complementarity / complementarity_scale,
            ..scaled
        };
        Self { error: relative.largest(), scaled, unscaled, dual_scale, complementarity_scale }
    }

    /// Whether E is at most `tolerance` and the unscaled parts are within their limits: dual infeasibility 1, violation
    /// and complementarity 1e-4.
    pub fn is_solved(&self, tolerance: f64) -> bool {
        self.error <= tolerance && self.within(DUAL, VIOLATION, COMPLEMENTARITY)
    }

    /// Whether E <= 1e-6 within wide unscaled limits: good enough to stop at where nothing better can be had, never called
    /// solved.
    pub fn is_acceptable(&self) -> bool {
        let (error, dual, violation, complementarity) = ACCEPTABLE;
        self.error <= error && self.within(dual, violation, complementarity)
    }

    /// E, lifted just above `tolerance` where the unscaled parts forbid to call the point solved.
    pub fn certificate(&self, tolerance: f64) -> f64 {
        let lifted = tolerance.next_up().max(f64::MIN_POSITIVE);
        if self.error <= tolerance && !self.is_solved(tolerance) { lifted } else { self.error }
    }

    fn within(&self, dual: f64, violation: f64, complementarity: f64) -> bool {
        self.unscaled.dual_infeasibility <= dual
            && self.unscaled.constraint_violation <= violation
            && self.unscaled.complementarity <= complementarity
    }
}

fn mean_scale(sum: f64, count: usize) -> f64 {
    if count == 0 { 1.0 } else { (sum / count as f64).max(100.0) / 100.0 }
}

/// The larger of two numbers; NaN wins.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// What the error is put together from.
#[derive(Default)]
struct Sums {
    unscaled: Parts,
    scaled_violation: f64,
    /// |y|_1 of the scaled problem.
    row_multipliers: f64,
    /// |z|_1 of the scaled problem, sides of rows included.
    side_multipliers: f64,
    /// n_z.
    sides: usize,
}

impl Sums {
    fn collect(point: &Point, bounds: &Bounds, scaling: &Scaling) -> Self {
        let mut sums = Self::default();
        for j in 0..point.x.len() {
            let (zl, zu) = (entry(point.lower_multipliers, j), entry(point.upper_multipliers, j));
            sums.dual(point.lagrangian_gradient[j] - zl + zu);
            let slacks = (point.x[j] - bounds.lower[j], bounds.upper[j] - point.x[j]);
            for (slack, z) in [(slacks.0, zl), (slacks.1, zu)] {
                sums.side(slack, z, scaling.objective);
                sums.violation(-slack, 1.0);
            }
        }
        for (i, (&c, &y)) in point.constraints.iter().zip(point.multipliers).enumerate() {
            let factor = scaling.constraints[i];
            sums.row_multipliers += (y * scaling.multiplier(i)).abs();
            if bounds.is_equation(i) {
                sums.violation((c - bounds.row_lower[i]).abs(), factor);
                continue;
            }
            for (slack, z) in
                [(c - bounds.row_lower[i], (-y).max(0.0)), (bounds.row_upper[i] - c, y.max(0.0))]
            {
                sums.side(slack, z, scaling.multiplier(i));
                sums.violation(-slack, factor);
            }
        }
        sums
    }

    /// A bound or a side of a row, with its multiplier and what scales that.
    fn side(&mut self, slack: f64, z: f64, factor: f64) {
        if slack == f64::INFINITY {
            // there is no bound, so there must be no multiplier
            self.dual(z);
            return;
        }
        self.dual(z.min(0.0));
        self.sides += 1;
        self.side_multipliers += (z * factor).abs();
        self.unscaled.complementarity = larger(self.unscaled.complementarity, (slack * z).abs());
    }

    fn dual(&mut self, value: f64) {
        self.unscaled.dual_infeasibility = larger(self.unscaled.dual_infeasibility, value.abs());
    }

    fn violation(&mut self, value: f64, factor: f64) {
        let value = if value.is_nan() { value } else { value.max(0.0) };
        self.unscaled.constraint_violation = larger(self.unscaled.constraint_violation, value);
        self.scaled_violation = larger(self.scaled_violation, factor * value);
    }
}

fn entry(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One variable in [0, 2] with the given multipliers, one row -1 <= c <= 3.
    fn error(x: f64, zl: f64, zu: f64, c: f64, y: f64, gradient: f64, scaling: &Scaling) -> KktError {
        let bounds =
            Bounds { lower: vec![0.0], upper: vec![2.0], row_lower: vec![-1.0], row_upper: vec![3.0] };
        let point = Point {
            x: &[x],
            constraints: &[c],
            lagrangian_gradient: &[gradient],
            multipliers: &[y],
            lower_multipliers: &[zl],
            upper_multipliers: &[zu],
        };
        KktError::at(&point, &bounds, scaling)
    }

    #[test]
    fn every_part_is_found() {
        let none = Scaling::none(1);
        let solved = error(0.0, 3.0, 0.0, 1.0, 0.0, 3.0, &none);
        assert_eq!((solved.error, solved.is_solved(0.0)), (0.0, true));
        // below its bound, and a row above its upper side
        assert_eq!(error(-0.5, 0.0, 0.0, 1.0, 0.0, 0.0, &none).unscaled.constraint_violation, 0.5);
        assert_eq!(error(0.0, 0.0, 0.0, 7.0, 0.0, 0.0, &none).unscaled.constraint_violation, 4.0);
        // a multiplier away from its bound, on either side of variable and row
        assert_eq!(error(1.5, 2.0, 0.0, 1.0, 0.0, 2.0, &none).unscaled.complementarity, 3.0);
        assert_eq!(error(1.5, 0.0, 2.0, 1.0, 0.0, -2.0, &none).unscaled.complementarity, 1.0);
        assert_eq!(error(1.0, 0.0, 0.0, 2.0, 4.0, 0.0, &none).unscaled.complementarity, 4.0);
        assert_eq!(error(1.0, 0.0, 0.0, 1.0, -4.0, 0.0, &none).unscaled.complementarity, 8.0);
        // of the wrong sign
        assert_eq!(error(0.0, -1.0, 0.0, 1.0, 0.0, -1.0, &none).unscaled.dual_infeasibility, 1.0);
        assert!(error(0.0, 0.0, 0.0, f64::NAN, 0.0, 0.0, &none).error.is_nan());
        assert!(error(0.0, f64::NAN, 0.0, 0.0, 0.0, 0.0, &none).error.is_nan());
    }

    #[test]
    fn scaled_parts_are_those_of_the_scaled_problem() {
        let scaling = Scaling { objective: 0.5, constraints: vec![0.1] };
        let result = error(-0.5, 2.0, 0.0, 7.0, 40.0, 6.0, &scaling);
        // x's bound is not scaled, the row is; the multiplier of the row is 40 * 0.5 / 0.1 in the scaled problem
        assert_eq!(result.scaled.constraint_violation, 0.5);
        assert_eq!(result.scaled.dual_infeasibility, 0.5 * 4.0);
        assert_eq!(result.scaled.complementarity, 0.5 * 160.0);
        let (y, z) = (200.0, 200.0 + 1.0);
        assert!((result.dual_scale - f64::max(100.0, (y + z) / 5.0) / 100.0).abs() < 1e-15);
        assert!((result.complementarity_scale - f64::max(100.0, z / 4.0) / 100.0).abs() < 1e-15);
        let large = error(0.0, 0.0, 0.0, 3.0, 4e4, 0.0, &scaling);
        assert!((large.complementarity_scale - 2e5 / 4.0 / 100.0).abs() < 1e-9);
    }

    #[test]
    fn unscaled_limits_forbid_to_call_a_point_solved() {
        let scaling = Scaling { objective: 1e-8, constraints: vec![1e-8] };
        let hidden = error(1.0, 0.0, 0.0, 3.5, 0.0, 0.0, &scaling);
        assert!(hidden.error <= 1e-8 && !hidden.is_solved(1e-8) && !hidden.is_acceptable());
        assert!(hidden.certificate(1e-8) > 1e-8 && hidden.certificate(1e-9) == hidden.error);
        let missing = Bounds {
            lower: vec![f64::NEG_INFINITY],
            upper: vec![f64::INFINITY],
            row_lower: vec![f64::NEG_INFINITY],
            row_upper: vec![0.0],
        };
        let point = Point {
            x: &[0.0],
            constraints: &[0.0],
            lagrangian_gradient: &[0.0],
            multipliers: &[-2.0],
            lower_multipliers: &[],
            upper_multipliers: &[],
        };
        // a row without a lower side must not push from there
        assert_eq!(KktError::at(&point, &missing, &Scaling::none(1)).unscaled.dual_infeasibility, 2.0);
    }
}
