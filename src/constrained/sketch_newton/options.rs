//! The options of the solver.

use crate::constrained::error::Error;
use crate::control::Limits;
use crate::linalg::sketch_project::Projection;

/// How the linear system of a Newton step is solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InnerSolver {
    /// By the factorisation that gives the inertia.
    Direct,
    /// By the minimal residual method, as accurately as the rule asks.
    Minres,
    /// By randomised sketch-and-project, as accurately as the rule asks.
    Sketch(Projection),
}

impl InnerSolver {
    /// Every solver under the name that the command knows it by; blocks have 16 rows.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("direct", Self::Direct),
        ("minres", Self::Minres),
        ("gaussian", Self::Sketch(Projection::Gaussian)),
        ("kaczmarz", Self::Sketch(Projection::Kaczmarz { weighted: false })),
        ("weighted-kaczmarz", Self::Sketch(Projection::Kaczmarz { weighted: true })),
        ("block-gaussian", Self::Sketch(Projection::BlockGaussian(16))),
        ("block-kaczmarz", Self::Sketch(Projection::BlockKaczmarz(16))),
    ];
}

/// How accurate an iterative solver must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accuracy {
    /// |A d - b| <= omega |b|, omega = min(0.1, |b|^(1/2)), and a step that descends.
    Practical,
    /// The published bound, from the worst case: |A|_F Psi |A d - b| <= delta |b|.
    WorstCase,
}

impl Accuracy {
    /// Both rules under the names that the command knows them by.
    pub const NAMES: [(&'static str, Self); 2] =
        [("practical", Self::Practical), ("worst-case", Self::WorstCase)];
}

/// Newton on the exact augmented Lagrangian, for problems with equations alone and no more of them than variables.
///
/// Each iteration solves [W + dw I, J'; J, -dc I] d = -(grad L; c) for the step in x and multipliers together and
/// searches along it on f + y'c + eta1 |c|^2 / 2 + eta2 |grad L|^2 / 2, whose penalties adapt until d is a descent
/// direction. Cost of an iteration: one evaluation of W, one factorisation (it gives dw its inertia, and the step too with
/// [`InnerSolver::Direct`]), and one evaluation of f, c, g, J per trial step.
#[derive(Clone, Debug, PartialEq)]
pub struct SketchNewton {
    /// When to stop; the tolerance is compared with the error E, see [`KktError`](crate::constrained::KktError).
    pub limits: Limits,
    /// Whether functions are scaled by their gradients at the start.
    pub scaling: bool,
    /// How the linear systems are solved.
    pub inner: InnerSolver,
    /// How accurately, for iterative solvers.
    pub accuracy: Accuracy,
    /// Steps of the iterative solver within one iteration.
    pub inner_limit: usize,
    /// eta1 at the start. The published value is 1; with 0.1 more problems reach the lower of their minima.
    pub constraint_penalty: f64,
    /// eta2 at the start.
    pub lagrangian_penalty: f64,
    /// Whether the additions to the published method are used: second-order correction, watchdog, softened steps, restoration.
    pub safeguards: bool,
    /// Seed of the random sketches.
    pub seed: u64,
}

impl Default for SketchNewton {
    fn default() -> Self {
        Self {
            limits: Limits { tolerance: 1e-8, max_iterations: 10_000, time_limit: None },
            scaling: true,
            inner: InnerSolver::Direct,
            accuracy: Accuracy::Practical,
            inner_limit: 100_000,
            constraint_penalty: 0.1,
            lagrangian_penalty: 0.1,
            safeguards: true,
            seed: 0,
        }
    }
}

impl SketchNewton {
    /// Refuses options out of their ranges.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.limits.check().map_err(Error::Option)?;
        for (name, value) in
            [("constraint_penalty", self.constraint_penalty), ("lagrangian_penalty", self.lagrangian_penalty)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Option(format!("{name} is {value}; it must be positive and finite")));
            }
        }
        let block = match self.inner {
            InnerSolver::Sketch(Projection::BlockGaussian(size) | Projection::BlockKaczmarz(size)) => size,
            _ => 1,
        };
        if block == 0 || self.inner_limit == 0 {
            return Err(Error::Option("blocks and inner_limit must be at least 1".into()));
        }
        Ok(())
    }
}
