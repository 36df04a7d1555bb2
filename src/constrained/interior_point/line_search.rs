//! The filter line search (Waechter and Biegler 2006, section 2.3) with second-order corrections, a watchdog, tiny steps and
//! the soft restoration.

use super::super::Error;
use super::filter::{Filter, GAMMA_PHI, GAMMA_THETA, Pair, at_most};
use super::newton::{Newton, Step};
use super::phase::Iterate;
use super::{Phase, Tools};
use crate::linalg::product::norm_inf;

/// Largest and smallest violation of interest, relative to that at the first line search.
const THETA_MAX: f64 = 1e4;
const THETA_MAX_ELASTIC: f64 = 1e8;
const THETA_MIN: f64 = 1e-4;
/// A step is of type F where alpha (-slope)^S_PHI > theta^S_THETA.
const S_PHI: f64 = 2.3;
const S_THETA: f64 = 1.1;
/// Share of the linear decrease that a step of type F must reach.
const ETA_PHI: f64 = 1e-8;
/// The barrier function may grow by at most this power of ten, beyond its own size.
const LARGEST_GROWTH: f64 = 5.0;
const SHORTEST: f64 = 0.05;
/// Second-order corrections, and the decrease of the violation that each must bring.
const CORRECTIONS: usize = 4;
const CORRECTION_DECREASE: f64 = 0.99;
/// Shortened steps in a row that start the watchdog, and its trials.
const WATCHDOG_TRIGGER: usize = 10;
const WATCHDOG_TRIALS: usize = 3;
/// Iterations in a row that the filter blocks before it is cleared, and how often that may happen.
const FILTER_TRIGGER: usize = 5;
const FILTER_RESETS: usize = 5;
/// A step is tiny relative to x at this size where the violation is small.
const TINY: f64 = 10.0 * f64::EPSILON;
const TINY_VIOLATION: f64 = 1e-4;
const TINY_DUAL: f64 = 1e-2;
/// Soft restoration: iterations, and the decrease of the primal-dual error that each must bring.
const SOFT_ITERATIONS: usize = 10;
const SOFT_DECREASE: f64 = 0.9999;

/// What an accepted step was like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub primal: f64,
    pub dual: f64,
    pub trials: usize,
}

/// The point from which decrease is measured.
#[derive(Clone, Copy, Debug, Default)]
struct Reference {
    pair: Pair,
    slope: f64,
}

/// The point and the direction to which the watchdog returns.
struct Watchdog {
    at: Iterate,
    step: Step,
    alpha: f64,
    trials: usize,
}

/// The state of the line search between iterations.
#[derive(Default)]
pub(super) struct LineSearch {
    pub filter: Filter,
    /// Largest and smallest violation of interest; set at the first search.
    theta: Option<(f64, f64)>,
    reference: Reference,
    shortened: usize,
    watchdog: Option<Box<Watchdog>>,
    last_mu: f64,
    blocked: usize,
    resets: usize,
    blocked_by_filter: bool,
    /// Iterations of the soft restoration so far.
    soft: Option<usize>,
    last_tiny: bool,
    /// Two tiny steps in a row with hardly a change of y: the barrier problem is solved as well as can be.
    pub exhausted: bool,
    evaluation_failed: bool,
}

impl LineSearch {
    /// Forgets the filter, after a change of mu.
    pub fn reset(&mut self) {
        self.filter.clear();
        self.soft = None;
        self.blocked = 0;
        self.blocked_by_filter = false;
    }

    /// Notes that the current point needs a restoration: no later point may be as bad.
    pub fn block_reference(&mut self) {
        self.filter.add(self.reference.pair);
    }

    /// Whether a point found by the restoration is better than the one that it started from.
    pub fn accepts_restored(&self, pair: Pair) -> bool {
        self.improves(pair, true) && self.filter.accepts(pair)
    }

    fn improves(&self, trial: Pair, restored: bool) -> bool {
        let reference = self.reference.pair;
        let growth = trial.phi - reference.phi;
        if !restored && growth > 0.0 {
            let size = reference.phi.abs();
            let allowed = LARGEST_GROWTH + if size > 10.0 { size.log10() } else { 1.0 };
            if growth.log10() > allowed {
                return false;
            }
        }
        at_most(trial.theta, (1.0 - GAMMA_THETA) * reference.theta, reference.theta)
            || at_most(growth, -GAMMA_PHI * reference.theta, reference.phi)
    }

    fn is_f_type(&self, alpha: f64) -> bool {
        let Reference { pair, slope } = self.reference;
        slope < 0.0 && alpha * (-slope).powf(S_PHI) > pair.theta.powf(S_THETA)
    }

    fn armijo(&self, alpha: f64, trial: Pair) -> bool {
        let Reference { pair, slope } = self.reference;
        at_most(trial.phi - pair.phi, ETA_PHI * alpha * slope, pair.phi)
    }

    /// Whether a trial point is acceptable to the current iterate and to the filter.
    fn accepts(&mut self, alpha: f64, trial: Pair, elastic: bool) -> bool {
        let first = self.reference.pair.theta.max(1.0);
        let (largest, smallest) = *self
            .theta
            .get_or_insert((first * if elastic { THETA_MAX_ELASTIC } else { THETA_MAX }, first * THETA_MIN));
        if !(trial.theta <= largest) {
            return false;
        }
        let progress = if self.is_f_type(alpha) && self.reference.pair.theta <= smallest {
            self.armijo(alpha, trial)
        } else {
            self.improves(trial, false)
        };
        if !progress {
            self.blocked_by_filter = false;
            return false;
        }
        if !self.filter.accepts(trial) {
            self.blocked_by_filter = true;
            return false;
        }
        true
    }

    /// Bookkeeping after an accepted step.
    fn conclude(&mut self, alpha: f64, trial: Pair) {
        if self.resets < FILTER_RESETS {
            self.blocked = if self.blocked_by_filter { self.blocked + 1 } else { 0 };
            if self.blocked >= FILTER_TRIGGER {
                self.filter.clear();
                self.blocked = 0;
                self.resets += 1;
            }
        }
        self.blocked_by_filter = false;
        if !self.is_f_type(alpha) || !self.armijo(alpha, trial) {
            self.filter.add(self.reference.pair);
        }
    }

    /// The step length below which only a restoration can help.
    fn least_alpha(&self) -> f64 {
        let Reference { pair: Pair { theta, .. }, slope } = self.reference;
        let mut least = GAMMA_THETA;
        if slope < 0.0 {
            least = least.min(GAMMA_PHI * theta / -slope);
            if self.theta.is_none_or(|(_, smallest)| theta <= smallest) {
                least = least.min(theta.powf(S_THETA) / (-slope).powf(S_PHI));
            }
        }
        SHORTEST * least
    }
}

impl Phase {
    /// Searches along the step, if one was found; on success the iterate has moved. None asks for a restoration.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn search(&mut self, tools: &mut Tools, found: bool) -> Result<Option<Taken>, Error> {
        if self.search.last_mu != self.shape.mu {
            self.search.last_mu = self.shape.mu;
            self.search.watchdog = None;
            self.search.shortened = 0;
        }
        let mut tiny = found && self.step_is_tiny();
        let mut skip_first = false;
        if (tiny || !found) && self.search.watchdog.is_some() {
            self.stop_watchdog();
            (tiny, skip_first) = (false, true);
        } else if !found {
            self.search.reference = Reference { pair: self.at.pair, slope: 0.0 };
            self.search.block_reference();
            return Ok(None);
        }
        if self.search.watchdog.is_none() {
            let slope = self.shape.slope(&self.at, &self.step.u);
            self.search.reference = Reference { pair: self.at.pair, slope };
        }
        if tiny && let Some(taken) = self.take_tiny(tools)? {
            return Ok(Some(taken));
        }
        self.search.last_tiny = false;
        if let Some(count) = self.search.soft {
            return self.soft_step(tools, count);
        }
        if self.search.watchdog.is_none() && self.search.shortened >= WATCHDOG_TRIGGER {
            let alpha = self.shape.primal_limit(&self.at, &self.step.u);
            let (at, step) = (self.at.clone(), self.step.clone());
            self.search.watchdog = Some(Box::new(Watchdog { at, step, alpha, trials: 0 }));
        }
        loop {
            let found = self.backtrack(tools, skip_first)?;
            let Some(watchdog) = &mut self.search.watchdog else {
                return match found {
                    Some(taken) => {
                        self.search.shortened = if taken.trials > 0 { self.search.shortened + 1 } else { 0 };
                        Ok(Some(taken))
                    }
                    None => {
                        self.search.block_reference();
                        if self.shape.elastic.is_some() { Ok(None) } else { self.soft_step(tools, 0) }
                    }
                };
            };
            if let Some(taken) = found {
                self.search.watchdog = None;
                self.search.shortened = 0;
                return Ok(Some(taken));
            }
            watchdog.trials += 1;
            if watchdog.trials <= WATCHDOG_TRIALS && !self.search.evaluation_failed {
                let alpha = self.shape.primal_limit(&self.at, &self.step.u);
                // the full step, whatever it does
                if self.move_to(tools, alpha)? {
                    return Ok(Some(self.accept(alpha, 0)));
                }
            }
            self.stop_watchdog();
            skip_first = true;
        }
    }

    /// Back to the point where the watchdog started.
    fn stop_watchdog(&mut self) {
        if let Some(watchdog) = self.search.watchdog.take() {
            (self.at, self.step) = (watchdog.at, watchdog.step);
            self.search.shortened = 0;
        }
    }

    fn step_is_tiny(&self) -> bool {
        self.at.pair.theta <= TINY_VIOLATION
            && self.at.u.iter().zip(&self.step.u).all(|(u, d)| d.abs() <= TINY * (1.0 + u.abs()))
    }

    fn take_tiny(&mut self, tools: &mut Tools) -> Result<Option<Taken>, Error> {
        let alpha = self.shape.primal_limit(&self.at, &self.step.u);
        if !self.move_to(tools, alpha)? {
            return Ok(None);
        }
        self.search.exhausted = self.search.last_tiny && norm_inf(&self.step.y) < TINY_DUAL;
        self.search.last_tiny = true;
        Ok(Some(self.accept(alpha, 0)))
    }

    /// Halves the step until a point is acceptable; after the first trial corrects for the curvature of the rows.
    fn backtrack(&mut self, tools: &mut Tools, skip_first: bool) -> Result<Option<Taken>, Error> {
        let elastic = self.shape.elastic.is_some();
        let longest = self.shape.primal_limit(&self.at, &self.step.u);
        let watching = self.search.watchdog.as_ref().map(|watchdog| watchdog.alpha);
        let least = if watching.is_some() { longest } else { self.search.least_alpha() };
        let mut alpha = if skip_first { 0.5 * longest } else { longest };
        let mut trials = 0;
        self.search.evaluation_failed = false;
        while alpha > least || trials == 0 {
            let test = watching.unwrap_or(alpha);
            let evaluated = self.try_point(tools, alpha);
            if evaluated
                && self.search.accepts(test, self.trial.pair, elastic)
                && self.differentiate_trial(tools)
            {
                self.search.conclude(test, self.trial.pair);
                return Ok(Some(self.accept(alpha, trials)));
            }
            self.search.evaluation_failed |= !evaluated;
            if watching.is_some() {
                return Ok(None);
            }
            let first = trials == 0 && !skip_first;
            if evaluated
                && first
                && self.trial.pair.theta >= self.at.pair.theta
                && let Some(taken) = self.correct(tools, alpha)?
            {
                return Ok(Some(taken));
            }
            alpha *= 0.5;
            trials += 1;
        }
        Ok(None)
    }

    /// Second-order corrections: the step is computed again for the rows' values at the trial point.
    fn correct(&mut self, tools: &mut Tools, alpha: f64) -> Result<Option<Taken>, Error> {
        let elastic = self.shape.elastic.is_some();
        let mut target = self.at.residual.clone();
        let (mut corrected, mut length) = (Step::new(self.step.u.len(), self.step.y.len()), alpha);
        let mut last_theta = f64::INFINITY;
        for round in 0..CORRECTIONS {
            if round > 0 && !(self.trial.pair.theta <= CORRECTION_DECREASE * last_theta) {
                break;
            }
            last_theta = self.trial.pair.theta;
            for (target, residual) in target.iter_mut().zip(&self.trial.residual) {
                *target = length * *target + residual;
            }
            let Newton { right_hand_side, .. } = &mut self.newton;
            right_hand_side.y.iter_mut().zip(&target).for_each(|(b, c)| *b = -c);
            let Tools { model, kkt } = tools;
            let ratio = self.newton.solve(&self.shape, &model.form, kkt, &self.at, &mut corrected)?;
            if !(ratio <= 1e-5) {
                break;
            }
            length = self.shape.primal_limit(&self.at, &corrected.u);
            std::mem::swap(&mut self.step, &mut corrected);
            let evaluated = self.try_point(tools, length);
            if evaluated
                && self.search.accepts(alpha, self.trial.pair, elastic)
                && self.differentiate_trial(tools)
            {
                self.search.conclude(alpha, self.trial.pair);
                return Ok(Some(self.accept(length, 0)));
            }
            std::mem::swap(&mut self.step, &mut corrected);
            if !evaluated {
                break;
            }
        }
        Ok(None)
    }

    /// A full primal-dual step that lowers the error of the whole system, where the filter accepts nothing.
    fn soft_step(&mut self, tools: &mut Tools, count: usize) -> Result<Option<Taken>, Error> {
        self.search.soft = None;
        if count >= SOFT_ITERATIONS {
            return Ok(None);
        }
        let primal = self.shape.primal_limit(&self.at, &self.step.u);
        let dual = self.shape.dual_limit(&self.at, &self.step.zl, &self.step.zu);
        let alpha = primal.min(dual);
        if !self.try_point(tools, alpha) || !self.differentiate_trial(tools) {
            return Ok(None);
        }
        self.move_multipliers(alpha, alpha);
        self.shape.set_dual(&tools.model.form, &mut self.trial);
        if !self.search.accepts(0.0, self.trial.pair, false) {
            let (before, after) = (self.shape.mean_error(&self.at), self.shape.mean_error(&self.trial));
            if !(after <= SOFT_DECREASE * before) {
                return Ok(None);
            }
            self.search.soft = Some(count + 1);
        }
        std::mem::swap(&mut self.at, &mut self.trial);
        Ok(Some(Taken { primal: alpha, dual: alpha, trials: 0 }))
    }

    /// Evaluates values at the point of the given step length; false where they aren't finite.
    pub fn try_point(&mut self, tools: &mut Tools, alpha: f64) -> bool {
        let Phase { shape, at, trial, step, .. } = self;
        for ((trial, u), d) in trial.u.iter_mut().zip(&at.u).zip(&step.u) {
            *trial = u + alpha * d;
        }
        trial.zl.copy_from_slice(&at.zl);
        trial.zu.copy_from_slice(&at.zu);
        shape.evaluate(&mut tools.model, trial).is_ok()
    }

    pub fn differentiate_trial(&mut self, tools: &mut Tools) -> bool {
        let finite = self.shape.differentiate(&mut tools.model, &mut self.trial).is_ok();
        self.search.evaluation_failed |= !finite;
        finite
    }

    /// Goes to a point without asking whether it is acceptable; false where it cannot be evaluated.
    fn move_to(&mut self, tools: &mut Tools, alpha: f64) -> Result<bool, Error> {
        Ok(self.try_point(tools, alpha) && self.differentiate_trial(tools))
    }

    pub fn move_multipliers(&mut self, primal: f64, dual: f64) {
        let Phase { at, trial, step, shape, .. } = self;
        for ((trial, y), d) in trial.y.iter_mut().zip(&at.y).zip(&step.y) {
            *trial = y + primal * d;
        }
        for &k in &shape.lower_set {
            trial.zl[k as usize] = at.zl[k as usize] + dual * step.zl[k as usize];
        }
        for &k in &shape.upper_set {
            trial.zu[k as usize] = at.zu[k as usize] + dual * step.zu[k as usize];
        }
        shape.clamp_multipliers(trial);
    }

    /// The trial point, evaluated and differentiated, becomes the iterate.
    fn accept(&mut self, alpha: f64, trials: usize) -> Taken {
        let dual = self.shape.dual_limit(&self.at, &self.step.zl, &self.step.zu);
        self.move_multipliers(alpha, dual);
        std::mem::swap(&mut self.at, &mut self.trial);
        self.dual_is_stale = true;
        Taken { primal: alpha, dual, trials }
    }
}
