//! When a solver stops.

use std::time::Duration;

/// Limits of a run. The first one that is met decides the [`Status`](super::Status).
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Stop as solved once the relative certificate is at most this. What the certificate is, each solver says.
    pub tolerance: f64,
    /// Iterations (the solver's own unit, one record each) after which the run ends.
    pub max_iterations: usize,
    /// Wall-clock time after which the run ends; looked at once per iteration, or more often where one is long.
    pub time_limit: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tolerance: 1e-6, max_iterations: 10_000, time_limit: None }
    }
}

impl Limits {
    /// Checks the limits' own values.
    ///
    /// # Errors
    /// The name of the field that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), String> {
        if self.tolerance.is_finite() && self.tolerance >= 0.0 {
            Ok(())
        } else {
            Err(format!("tolerance is {}; it must be finite and not negative", self.tolerance))
        }
    }
}
