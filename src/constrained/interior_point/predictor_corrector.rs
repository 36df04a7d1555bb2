//! Linear and convex quadratic programs: Mehrotra's predictor and corrector (1992) on the same system.
//!
//! The predictor is the Newton step towards mu = 0. How much of it fits between the bounds says which mu to aim at,
//! sigma mu with sigma = (mu after the predictor / mu)^3, and its products of steps, times the share that fits, correct the
//! linearised complementarity (of a step that hardly fits the full products lead to the bounds). Both take the same factors. No step is refused: the rows are linear, so that every step lowers the violation by the share that it goes.

use super::super::error::Error;
use super::super::solution::Outcome;
use super::answer::Answer;
use super::inertia::LIFT;
use super::line_search::Taken;
use super::newton::{Accuracy, FULL, Step, USELESS_RATIO};
use super::progress::{ACCURATE, Best, Log, Polish};
use super::{Phase, Tools};
use crate::control::Run;
use crate::linalg::factor::FactorError;
use crate::linalg::product::norm_inf;

/// Share of the way to the boundary that a step goes at least.
const LEAST_TAU: f64 = 0.995;
/// Steps that share factors to bring products of distances and multipliers nearer to each other (Gondzio, Computational
/// Optimization and Applications 6, 1996): how many, how much longer each wants the step to be, the share of that which makes it
/// worth while, and how far products may be from mu.
const CENTRINGS: usize = 2;
const REACH: f64 = 0.1;
const WORTHWHILE: f64 = 0.1;
const SPREAD: f64 = 10.0;
/// mu isn't aimed lower than this share of the tolerance: products that vanish leave multipliers to rounding.
const LEAST_SHARE: f64 = 1e-3;
/// Iterations without the error halved after which the general method takes over.
const PATIENCE: usize = 25;
/// A linear program is unbounded where a point of this size violates no row by more than that, and the objective falls along it by
/// this share of size times gradient.
const FAR: f64 = 1e10;
const FAR_VIOLATION: f64 = 1e-4;
const LEAST_SLOPE: f64 = 1e-3;

/// What predictor and corrector need before the step is refined: they only say where to go.
const ROUGH: Accuracy = Accuracy { ratio: 1e-6, least: 1 };

/// Lengths of a step.
#[derive(Clone, Copy)]
struct Lengths {
    primal: f64,
    dual: f64,
}

impl Lengths {
    fn increased(self, by: f64) -> Self {
        Self { primal: (self.primal + by).min(1.0), dual: (self.dual + by).min(1.0) }
    }
}

/// Right-hand side of a centring, and the step with it.
struct Centring {
    products: Step,
    longer: Step,
}

impl Phase {
    /// Solves the program if it is convex on its constraints; None where it isn't, or where progress ends.
    ///
    /// # Errors
    /// Those of the factorisation.
    pub fn solve_quadratic(
        &mut self,
        tools: &mut Tools,
        run: &mut Run,
        log: &mut Log,
        answer: &mut Answer,
        best: &mut Best,
    ) -> Result<Option<Outcome>, Error> {
        let mut polish = Polish::new();
        tools.kkt.prefer_plain(self.shape.attached.len() == self.shape.m);
        let outcome = self.predict_and_correct(tools, run, log, answer, best, &mut polish);
        tools.kkt.prefer_plain(false);
        let outcome = match outcome {
            Err(Error::Factorization(FactorError::OutOfTime { .. })) => Some(Outcome::TimeLimit),
            other => other?,
        };
        if outcome != Some(Outcome::Optimal) && polish.restore(answer) {
            return Ok(Some(Outcome::Optimal));
        }
        Ok(outcome)
    }

    fn predict_and_correct(
        &mut self,
        tools: &mut Tools,
        run: &mut Run,
        log: &mut Log,
        answer: &mut Answer,
        best: &mut Best,
        polish: &mut Polish,
    ) -> Result<Option<Outcome>, Error> {
        if !self.start_centrally(tools)? {
            return Ok(None);
        }
        let (count, m) = (self.shape.count(), self.shape.m);
        let mut centring = Centring { products: Step::new(count, m), longer: Step::new(count, m) };
        // low enough for the objective to be accurate, scaled as it is
        let sides = (self.shape.lower_set.len() + self.shape.upper_set.len()) as f64;
        let worth = 0.1 * ACCURATE * tools.model.evaluator.scaling().objective / sides;
        let floor = worth.min(LEAST_SHARE * self.tolerance);
        let (mut least, mut since) = (f64::INFINITY, 0);
        loop {
            // 1. how far from a solution?
            let error = self.judge(tools, answer);
            best.offer(answer, &error, self.objective(tools));
            let certificate = self.certificate(tools, answer, &error, polish);
            if let Some(status) = log.record(run, self, tools, certificate) {
                return Ok(Some(status.into()));
            }
            if self.follows_a_ray() {
                return Ok(Some(Outcome::Diverging));
            }
            since = if error.error < 0.5 * least { 0 } else { since + 1 };
            least = least.min(error.error);
            if since > PATIENCE || !error.error.is_finite() {
                return Ok(None);
            }
            // 2. the factors that predictor and corrector share
            if !self.factor_convex(tools)? {
                return Ok(None);
            }
            // 3. the predictor, and where it leads
            let mu = self.shape.mean_complementarity(&self.at, &self.step, 0.0, 0.0);
            self.aim_at(0.0, 0.0);
            if mu > 0.0 {
                if !self.solve(tools, &ROUGH)? {
                    return Ok(None);
                }
                self.shape.tau = 1.0;
                let Lengths { primal, dual } = self.lengths();
                let reached = self.shape.mean_complementarity(&self.at, &self.step, primal, dual);
                // 4. the corrector
                let target = ((reached / mu).powi(3).min(1.0) * mu).max(floor);
                self.aim_at(target, primal.max(dual));
                if !self.solve(tools, &ROUGH)? {
                    return Ok(None);
                }
                self.centre(tools, target, &mut centring)?;
                if !self.refine(tools, &FULL)? {
                    return Ok(None);
                }
            } else if !self.solve(tools, &FULL)? {
                return Ok(None);
            }
            // 5. the step
            self.shape.tau = LEAST_TAU.max(1.0 - mu);
            let lengths = self.lengths();
            if !self.move_by(tools, lengths, mu) {
                return Ok(None);
            }
            log.taken(Taken { primal: lengths.primal, dual: lengths.dual, trials: 0 }, self);
        }
    }

    /// Factors the system; false where it takes a shift of W.
    fn factor_convex(&mut self, tools: &mut Tools) -> Result<bool, Error> {
        let Phase { shape, at, newton, .. } = self;
        if newton.evaluate(shape, &mut tools.model, at).is_err() {
            return Ok(false);
        }
        if newton.hessian.iter().all(|w| *w == 0.0) {
            return newton.factor_linear(shape, &tools.model.form, &mut tools.kkt, at);
        }
        let found = newton.factor_at(shape, &tools.model.form, &mut tools.kkt, at)?;
        Ok(found && newton.shifts.dw <= LIFT)
    }

    /// The right-hand side of the step towards complementarity mu, with that share of the last step's products.
    fn aim_at(&mut self, mu: f64, weight: f64) {
        let Phase { shape, at, step, newton, .. } = self;
        let b = &mut newton.right_hand_side;
        b.u.iter_mut().zip(&at.dual).for_each(|(b, d)| *b = -d);
        b.y.iter_mut().zip(&at.residual).for_each(|(b, r)| *b = -r);
        for &k in &shape.lower_set {
            let k = k as usize;
            b.zl[k] = mu - at.zl[k] * at.below[k] - weight * step.zl[k] * step.u[k];
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            b.zu[k] = mu - at.zu[k] * at.above[k] + weight * step.zu[k] * step.u[k];
        }
    }

    /// Corrects the step as long as that makes it longer.
    fn centre(&mut self, tools: &mut Tools, mu: f64, centring: &mut Centring) -> Result<(), Error> {
        let Centring { products, longer } = centring;
        for _ in 0..CENTRINGS {
            let lengths = self.lengths();
            self.set_centring(lengths.increased(REACH), mu, products);
            let Phase { shape, at, newton, .. } = self;
            if newton.solve_once(shape, &mut tools.kkt, at, products, longer).is_err() {
                return Ok(());
            }
            longer.add(&self.step);
            std::mem::swap(longer, &mut self.step);
            let reached = self.lengths();
            let gain = (reached.primal - lengths.primal) + (reached.dual - lengths.dual);
            if !(gain >= 2.0 * WORTHWHILE * REACH) {
                std::mem::swap(longer, &mut self.step);
                return Ok(());
            }
            self.newton.right_hand_side.add(products);
        }
        Ok(())
    }

    /// What products would lack after a step of these lengths, or have too much.
    fn set_centring(&self, lengths: Lengths, mu: f64, products: &mut Step) {
        let Phase { shape, at, step, .. } = self;
        let correction = |product: f64| (product.clamp(mu / SPREAD, mu * SPREAD) - product).max(-mu * SPREAD);
        for &k in &shape.lower_set {
            let k = k as usize;
            let distance = at.below[k] + lengths.primal * step.u[k];
            products.zl[k] = correction(distance * (at.zl[k] + lengths.dual * step.zl[k]));
        }
        for &k in &shape.upper_set {
            let k = k as usize;
            let distance = at.above[k] - lengths.primal * step.u[k];
            products.zu[k] = correction(distance * (at.zu[k] + lengths.dual * step.zu[k]));
        }
    }

    /// Solves for the right-hand side; false where the factors are of no use.
    fn solve(&mut self, tools: &mut Tools, accuracy: &Accuracy) -> Result<bool, Error> {
        self.step.clear();
        self.refine(tools, accuracy)
    }

    fn refine(&mut self, tools: &mut Tools, accuracy: &Accuracy) -> Result<bool, Error> {
        loop {
            let Phase { shape, at, step, newton, .. } = self;
            let ratio = newton.refine(shape, &tools.model.form, &mut tools.kkt, at, step, accuracy)?;
            if ratio <= USELESS_RATIO {
                return Ok(true);
            }
            if !(tools.kkt.leave_plain() && self.factor_convex(tools)?) {
                return Ok(false);
            }
            self.step.clear();
        }
    }

    /// Whether a linear program has gone far along a feasible direction of decrease: x itself, up to its size.
    fn follows_a_ray(&self) -> bool {
        let size = norm_inf(&self.at.u);
        let linear = self.newton.hessian.iter().all(|w| *w == 0.0);
        let slope: f64 = self.at.gradient.iter().zip(&self.at.u).map(|(g, u)| g * u).sum::<f64>();
        linear
            && size >= FAR
            && norm_inf(&self.at.residual) <= FAR_VIOLATION
            && slope <= -LEAST_SLOPE * size * norm_inf(&self.at.gradient)
    }

    /// How far the step may go: with W, primal and dual variables move together.
    fn lengths(&self) -> Lengths {
        let primal = self.shape.primal_limit(&self.at, &self.step.u);
        let dual = self.shape.dual_limit(&self.at, &self.step.zl, &self.step.zu);
        let linear = self.newton.hessian.iter().all(|w| *w == 0.0);
        if linear {
            Lengths { primal, dual }
        } else {
            Lengths { primal: primal.min(dual), dual: primal.min(dual) }
        }
    }

    /// Takes the step; false where the functions aren't finite at its end.
    fn move_by(&mut self, tools: &mut Tools, lengths: Lengths, mu: f64) -> bool {
        // only for the trace and the range of multipliers
        self.shape.mu = mu.max(f64::MIN_POSITIVE.sqrt());
        if !(self.try_point(tools, lengths.primal) && self.differentiate_trial(tools)) {
            return false;
        }
        self.move_multipliers(lengths.dual, lengths.dual);
        std::mem::swap(&mut self.at, &mut self.trial);
        self.shape.set_dual(&tools.model.form, &mut self.at);
        norm_inf(&self.at.u).is_finite()
    }
}
