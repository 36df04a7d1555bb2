//! The rule for the barrier parameter: monotone (Fiacco and McCormick 1968).

use super::{Phase, Tools};

/// A barrier problem is solved at this multiple of mu.
const SOLVED: f64 = 10.0;
/// mu <- min(FACTOR mu, mu^POWER).
const FACTOR: f64 = 0.2;
const POWER: f64 = 1.5;
/// Share of the least mu that is left where the tolerance is met and the objective isn't settled.
const POLISHED: f64 = 1e-3;
/// Limit of the unscaled complementarity.
const COMPLEMENTARITY: f64 = 1e-4;

impl Phase {
    /// Lowers mu as long as the current point solves the barrier problem. False where mu is at its floor and no step makes
    /// progress any more.
    pub fn update_barrier(&mut self, tools: &mut Tools) -> bool {
        let objective_scale = tools.model.evaluator.scaling().objective;
        let mut floor = self.tolerance.min(COMPLEMENTARITY * objective_scale) / (SOLVED + 1.0);
        if self.polishing {
            floor *= POLISHED;
        }
        let mut exhausted = std::mem::take(&mut self.search.exhausted);
        loop {
            let mu = self.shape.mu;
            let solved = self.shape.error(&self.at, mu).total() <= SOLVED * mu;
            if !solved && !exhausted {
                return true;
            }
            let next = (FACTOR * mu).min(mu.powf(POWER)).max(floor);
            // without bounds and objective there is no barrier problem to go on to, and the filter stays what it is
            let only_rows = self.shape.elastic.is_none()
                && self.shape.lower_set.is_empty()
                && self.shape.upper_set.is_empty()
                && self.at.gradient.iter().all(|g| *g == 0.0);
            if next == mu || only_rows {
                return !exhausted;
            }
            exhausted = false;
            self.set_mu(tools, next);
        }
    }

    /// Sets mu and all that depends on it; the filter belongs to the old barrier problem.
    pub fn set_mu(&mut self, tools: &mut Tools, mu: f64) {
        self.shape.set_mu(mu);
        self.shape.refresh(&mut self.at);
        self.shape.refresh_gradient(&mut self.at);
        self.shape.set_dual(&tools.model.form, &mut self.at);
        self.search.reset();
    }
}
