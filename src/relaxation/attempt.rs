//! What one run of one algorithm on one system is given and gives back.

use super::operator::Operator;
use crate::control::Status;

/// When an algorithm stops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// Solved at |b - A x| <= target, on the residual recomputed from x.
    pub target: f64,
    /// Iterations after which to give up.
    pub cap: usize,
}

/// Why it stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The recomputed residual meets the target.
    Solved,
    /// The cap was reached first.
    Capped,
    /// The residual grew ten thousandfold, or out of the range of numbers.
    Diverged,
    /// The residual no longer falls.
    Stagnated,
    /// A direction of curvature p'A p <= 0 was met: A is not positive definite. The Rayleigh quotient p'A p / p'p.
    Indefinite(f64),
    /// Whoever watches asked to stop.
    Stopped(Status),
}

/// The outcome; x is the caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub end: End,
    pub iterations: usize,
    /// |b - A x|, recomputed.
    pub residual: f64,
    /// Floating-point operations, additions and multiplications alike.
    pub flops: f64,
}

/// Sees the iteration number and an estimate of |b - A x| after each iteration, and may stop the run.
pub(super) type Watch<'a> = dyn FnMut(usize, f64) -> Option<Status> + 'a;

/// One system in the inner order of its operator.
#[derive(Clone, Copy)]
pub(super) struct System<'a> {
    pub operator: &'a Operator,
    pub b: &'a [f64],
}
