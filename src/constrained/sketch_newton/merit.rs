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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::constrained::{Evaluator, Start};
    use crate::problem::NonlinearProgram;
    use crate::read::sif::SifProblem;

    /// The bundled problems with equations, and the published experiment's where they lie beside the checkout.
    fn files() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bundled = "HSX6 HSX7 HSX26 HSX28 HSX39 HSX40 HSX42 HSX48 HSX50 HSX78 TRIDIEQ";
        let mut files: Vec<PathBuf> =
            bundled.split(' ').map(|name| root.join(format!("data/sif/{name}.SIF"))).collect();
        let published = "HS6 BT5 BT9 HS28 BT10 HIMMELBA BT12 HS40 BT3 BT6 BT11 HS7 GENHS28 HS51 BOOTH HS52 HS47 WAYSEA1NE HS48 HS50 \
            RSNBRNE CUBENE HS77 MWRIGHT ZANGWIL3 HS78 HS56 HELIXNE HS42 HS79 ORTHREGB HS100LNP GOTTFR WAYSEA2NE DENSCHNFNE HIMMELBC \
            PRICE4NE INTEQNE MANCINONE BT2";
        let shared = root.join("../shared/data/sif");
        files.extend(published.split_whitespace().map(|name| shared.join(format!("{name}.SIF"))));
        files.retain(|file| file.exists());
        files
    }

    #[test]
    fn the_slope_is_that_of_the_merit_function() {
        let files = files();
        assert!(files.len() >= 11);
        for file in files {
            let problem = SifProblem::read(&file, &Default::default()).unwrap();
            let (n, m) = (problem.variable_count(), problem.constraint_count());
            let wave = |count: usize, phase: f64| -> Vec<f64> {
                (0..count).map(|i| (1.7 * i as f64 + phase).sin()).collect()
            };
            let x: Vec<f64> =
                problem.start().iter().zip(wave(n, 0.3)).map(|(x, wave)| x + 0.1 * wave).collect();
            let y = wave(m, 0.8);
            let mut evaluator = Evaluator::new(&problem).unwrap();
            evaluator.scale_by_start();
            let options = SketchNewton::default();
            let mut newton = super::super::newton::Newton::new(&options, &evaluator).unwrap();
            let start = Start { x: Some(&x), multipliers: Some(&y), ..Start::default() };
            let mut state = State::new(&mut evaluator, start, &mut newton).unwrap();
            state.evaluate_hessian().unwrap();
            state.d = wave(n + m, 0.1);
            state.multiply_step();
            let penalties = Penalties { constraints: 3.0, lagrangian: 0.5 };
            let slope = Slope::along(&state).value(&penalties);
            let h = 2e-4;
            let mut at = |alpha: f64| {
                state.try_step(alpha).unwrap();
                penalties.merit(&state.trial)
            };
            let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            let error = (slope - difference).abs() / (1.0 + slope.abs());
            assert!(error <= 1e-7, "{}: {slope} {difference}", file.display());
        }
    }
}
