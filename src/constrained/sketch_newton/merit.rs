//! The exact augmented Lagrangian M(x, y) = f + y'c + eta1 |c|^2 / 2 + eta2 |grad L|^2 / 2, and steps along it.
//!
//! Along (dx, dy): dM = grad L'dx + c'dy + eta1 c'J dx + eta2 grad L'(W dx + J'dy), with the true Hessian W of the
//! Lagrangian.

use super::options::SketchNewton;
use super::state::{State, Values};
use crate::linalg::product::dot;

/// Sufficient decrease.
pub(super) const ARMIJO: f64 = 0.1;
/// Growth of the penalties: eta1 by the square of it, 1 / eta2 by itself.
pub(super) const GROWTH: f64 = 1.5;
/// Where the penalties end.
const LARGEST: f64 = 1e8;
const SMALLEST: f64 = 1e-8;

/// eta1 and eta2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Penalties {
    /// eta1, of |c|^2 / 2.
    pub constraints: f64,
    /// eta2, of |grad L|^2 / 2.
    pub lagrangian: f64,
}

impl Penalties {
    /// Those of a run's start.
    pub fn first(options: &SketchNewton) -> Self {
        Self { constraints: options.constraint_penalty, lagrangian: options.lagrangian_penalty }
    }

    /// eta1 up, eta2 down. False at the caps.
    pub fn sharpen(&mut self) -> bool {
        if self.constraints > LARGEST || self.lagrangian < SMALLEST {
            return false;
        }
        self.constraints *= GROWTH * GROWTH;
        self.lagrangian /= GROWTH;
        true
    }

    /// Whether M decreases enough from the iterate to the trial point, alpha along a slope.
    pub fn accepts(&self, state: &State, slope: f64, alpha: f64) -> bool {
        let merit = self.merit(&state.at);
        // near the solution the decrease drowns in rounding errors of M
        let slack = 10.0 * f64::EPSILON * merit.abs().max(state.at.f.abs());
        self.merit(&state.trial) <= merit + ARMIJO * alpha * slope + slack
    }

    /// M at a point.
    pub fn merit(&self, at: &Values) -> f64 {
        at.f + dot(&at.y, &at.c)
            + 0.5 * self.constraints * dot(&at.c, &at.c)
            + 0.5 * self.lagrangian * dot(&at.lagrangian_gradient, &at.lagrangian_gradient)
    }
}

/// The parts of dM along a step: dM = fixed + eta1 constraints + eta2 lagrangian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    fixed: f64,
    constraints: f64,
    lagrangian: f64,
    /// |(grad L; c)|^2.
    residual: f64,
}

impl Slope {
    /// Along the state's step, whose products are up to date.
    pub fn along(state: &State) -> Self {
        let n = state.at.x.len();
        let (dx, dy) = state.d.split_at(n);
        let (upper, lower) = state.product.split_at(n);
        let (gradient, c) = (&state.at.lagrangian_gradient, &state.at.c);
        Self {
            fixed: dot(gradient, dx) + dot(c, dy),
            constraints: dot(c, lower),
            lagrangian: dot(gradient, upper),
            residual: dot(gradient, gradient) + dot(c, c),
        }
    }

    pub fn value(&self, penalties: &Penalties) -> f64 {
        self.fixed + penalties.constraints * self.constraints + penalties.lagrangian * self.lagrangian
    }

    /// Whether dM <= -eta2 |(grad L; c)|^2 / 2.
    pub fn descends(&self, penalties: &Penalties) -> bool {
        self.value(penalties) <= -0.5 * penalties.lagrangian * self.residual
    }
}
