//! A barrier problem, its iterates, and how far they are from its solution.
//!
//! minimise f(u) - mu (sum ln(u - lower) + sum ln(upper - u)) subject to r(u) = 0, where u = (x, s) or, in the elastic
//! problem of the restoration, (x, s, p, q) with rows r = c - b - s - p + q. Variables with one bound pay
//! DAMPING mu per unit of distance from it, so that the barrier function stays bounded below.

use super::super::EvaluationError;
use super::super::evaluator::add_transpose_product;
use super::filter::Pair;
use super::form::{Form, Model};
use super::newton::Step;
use crate::linalg::product::norm_inf;

/// Weight of the distance from the only bound of a variable.
const DAMPING: f64 = 1e-5;
/// Least tau of the rule that keeps iterates inside their bounds.
const LEAST_TAU: f64 = 0.99;
/// Multipliers of bounds stay within this factor of mu over the distance.
const MULTIPLIER_RANGE: f64 = 1e10;

/// What makes a problem elastic: penalty (sum p + q) + sqrt(mu)/2 |D (x - reference)|^2 in place of f.
pub(super) struct Elastic {
    pub penalty: f64,
    pub reference: Vec<f64>,
    /// D^2.
    pub weights: Vec<f64>,
}

/// The barrier problem.
pub(super) struct Shape {
    /// Number of x.
    pub nx: usize,
    /// Number of rows.
    pub m: usize,
    /// Row and sign of each variable after x: s, p, q.
    pub attached: Vec<(u32, f64)>,
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    pub lower_set: Vec<u32>,
    pub upper_set: Vec<u32>,
    /// Variables with one bound, and the sign of the distance's derivative.
    damped: Vec<(u32, f64)>,
    pub elastic: Option<Elastic>,
    pub mu: f64,
    pub tau: f64,
}

/// A point with everything evaluated there. z is zero where there is no bound.
#[derive(Clone, Default)]
pub(super) struct Iterate {
    pub u: Vec<f64>,
    pub y: Vec<f64>,
    pub zl: Vec<f64>,
    pub zu: Vec<f64>,
    /// u - lower and upper - u, infinite where there is no bound.
    pub below: Vec<f64>,
    pub above: Vec<f64>,
    pub objective: f64,
    pub residual: Vec<f64>,
    pub gradient: Vec<f64>,
    pub jacobian: Vec<f64>,
    /// gradient + A'y - zl + zu.
    pub dual: Vec<f64>,
    /// Violation |r|_1 and barrier function.
    pub pair: Pair,
}

/// The parts of the error of a barrier problem, and their scales.
#[derive(Clone, Copy, Debug)]
pub(super) struct BarrierError {
    pub dual: f64,
    pub violation: f64,
    pub complementarity: f64,
    pub dual_scale: f64,
    pub complementarity_scale: f64,
}

impl BarrierError {
    /// max(dual / s_d, violation, complementarity / s_c).
    pub fn total(&self) -> f64 {
        (self.dual / self.dual_scale)
            .max(self.violation)
            .max(self.complementarity / self.complementarity_scale)
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self { theta: 0.0, phi: 0.0 }
    }
}

impl Iterate {
    pub fn new(count: usize, m: usize, nonzeros: usize) -> Self {
        Self {
            u: vec![0.0; count],
            y: vec![0.0; m],
            zl: vec![0.0; count],
            zu: vec![0.0; count],
            below: vec![f64::INFINITY; count],
            above: vec![f64::INFINITY; count],
            objective: 0.0,
            residual: vec![0.0; m],
            gradient: vec![0.0; count],
            jacobian: vec![0.0; nonzeros],
            dual: vec![0.0; count],
            pair: Pair::default(),
        }
    }

    /// Copies without allocating where the sizes agree.
    pub fn copy_from(&mut self, other: &Self) {
        self.u.clone_from(&other.u);
        self.y.clone_from(&other.y);
        self.zl.clone_from(&other.zl);
        self.zu.clone_from(&other.zu);
        self.below.clone_from(&other.below);
        self.above.clone_from(&other.above);
        self.objective = other.objective;
        self.residual.clone_from(&other.residual);
        self.gradient.clone_from(&other.gradient);
        self.jacobian.clone_from(&other.jacobian);
        self.dual.clone_from(&other.dual);
        self.pair = other.pair;
    }
}

impl Shape {
    /// The barrier problem of a form.
    pub fn new(form: &Form, mu: f64) -> Self {
        let attached = form.slack_rows.iter().map(|&row| (row, -1.0)).collect();
        Self::with(form, attached, form.lower.clone(), form.upper.clone(), None, mu)
    }

    /// The elastic problem around `reference`.
    pub fn elastic(form: &Form, regular: &Shape, penalty: f64, reference: &[f64], mu: f64) -> Self {
        let (nx, m) = (form.variables(), form.constraints());
        let mut attached = regular.attached.clone();
        attached.extend((0..m).map(|row| (row as u32, -1.0)));
        attached.extend((0..m).map(|row| (row as u32, 1.0)));
        let (mut lower, mut upper) = (regular.lower.clone(), regular.upper.clone());
        lower.resize(lower.len() + 2 * m, 0.0);
        upper.resize(upper.len() + 2 * m, f64::INFINITY);
        let reference = reference[..nx].to_vec();
        let weights = reference.iter().map(|x| x.abs().max(1.0).powi(-2)).collect();
        Self::with(form, attached, lower, upper, Some(Elastic { penalty, reference, weights }), mu)
    }

    fn with(
        form: &Form,
        attached: Vec<(u32, f64)>,
        lower: Vec<f64>,
        upper: Vec<f64>,
        elastic: Option<Elastic>,
        mu: f64,
    ) -> Self {
        let numbers = |bounds: &[f64]| -> Vec<u32> {
            (0..bounds.len() as u32).filter(|&k| bounds[k as usize].is_finite()).collect()
        };
        let damped = (0..lower.len())
            .filter(|&k| lower[k].is_finite() != upper[k].is_finite())
            .map(|k| (k as u32, if lower[k].is_finite() { 1.0 } else { -1.0 }))
            .collect();
        let mut shape = Self {
            nx: form.variables(),
            m: form.constraints(),
            attached,
            lower_set: numbers(&lower),
            upper_set: numbers(&upper),
            lower,
            upper,
            damped,
            elastic,
            mu,
            tau: 0.0,
        };
        shape.set_mu(mu);
        shape
    }

    pub fn set_mu(&mut self, mu: f64) {
        self.mu = mu;
        self.tau = LEAST_TAU.max(1.0 - mu);
    }

    /// Number of primal variables.
    pub fn count(&self) -> usize {
        self.lower.len()
    }

    /// sqrt(mu), the weight of the distance from the reference.
    pub fn proximity(&self) -> f64 {
        self.mu.sqrt()
    }

    /// Evaluates objective, rows, distances and barrier function at `point.u`.
    pub fn evaluate(&mut self, model: &mut Model, point: &mut Iterate) -> Result<(), EvaluationError> {
        let primal = model.form.primal();
        point.objective = model.values(&point.u[..primal], &mut point.residual)?;
        for (&(row, sign), u) in self.attached.iter().zip(&point.u[self.nx..]).skip(primal - self.nx) {
            point.residual[row as usize] += sign * u;
        }
        self.set_distances(point);
        self.refresh(point);
        let finite = point.pair.phi.is_finite() && point.pair.theta.is_finite();
        let value = point.pair.phi;
        if finite { Ok(()) } else { Err(EvaluationError { what: "objective", index: 0, value }) }
    }

    /// Recomputes what depends on mu, and the pair.
    pub fn refresh(&self, point: &mut Iterate) {
        if let Some(elastic) = &self.elastic {
            let extra = 2 * self.m;
            let sum: f64 = point.u[self.count() - extra..].iter().sum();
            let distance: f64 = (point.u.iter().zip(&elastic.reference).zip(&elastic.weights))
                .map(|((u, r), w)| w * (u - r) * (u - r))
                .sum();
            point.objective = elastic.penalty * sum + 0.5 * self.proximity() * distance;
        }
        let theta = point.residual.iter().map(|r| r.abs()).sum();
        let mut logarithms = 0.0;
        for &k in &self.lower_set {
            logarithms += point.below[k as usize].ln();
        }
        for &k in &self.upper_set {
            logarithms += point.above[k as usize].ln();
        }
        let mut damping = 0.0;
        for &(k, sign) in &self.damped {
            damping += if sign > 0.0 { point.below[k as usize] } else { point.above[k as usize] };
        }
        let phi = point.objective - self.mu * logarithms + DAMPING * self.mu * damping;
        point.pair = Pair { theta, phi };
    }

    /// Distances to the bounds. One that rounding has made vanish moves its bound outwards a little.
    fn set_distances(&mut self, point: &mut Iterate) {
        let least = f64::EPSILON * self.mu.min(1.0);
        let room = f64::EPSILON.powf(0.75);
        for &k in &self.lower_set {
            let k = k as usize;
            let mut distance = point.u[k] - self.lower[k];
            if distance < least {
                let wanted = (self.mu / point.zl[k].max(1e-300)).max(least);
                distance = wanted.min(distance.max(0.0) + room * self.lower[k].abs().max(1.0));
                self.lower[k] = point.u[k] - distance;
            }
            point.below[k] = distance;
        }
        for &k in &self.upper_set {
            let k = k as usize;
            let mut distance = self.upper[k] - point.u[k];
            if distance < least {
                let wanted = (self.mu / point.zu[k].max(1e-300)).max(least);
                distance = wanted.min(distance.max(0.0) + room * self.upper[k].abs().max(1.0));
                self.upper[k] = point.u[k] + distance;
            }
            point.above[k] = distance;
        }
    }

    /// Gradient, Jacobian and the dual residual at `point.u`.
    pub fn differentiate(&self, model: &mut Model, point: &mut Iterate) -> Result<(), EvaluationError> {
        let primal = model.form.primal();
        model.derivatives(&point.u[..primal], &mut point.gradient, &mut point.jacobian)?;
        self.refresh_gradient(point);
        self.set_dual(&model.form, point);
        Ok(())
    }

    /// Recomputes the gradient where it depends on mu.
    pub fn refresh_gradient(&self, point: &mut Iterate) {
        let Some(elastic) = &self.elastic else { return };
        let split = self.count() - 2 * self.m;
        point.gradient[self.nx..split].fill(0.0);
        point.gradient[split..].fill(elastic.penalty);
        let proximity = self.proximity();
        for (j, g) in point.gradient[..self.nx].iter_mut().enumerate() {
            *g = proximity * elastic.weights[j] * (point.u[j] - elastic.reference[j]);
        }
    }

    /// out <- out + A'y.
    pub fn add_transpose(&self, form: &Form, jacobian: &[f64], y: &[f64], out: &mut [f64]) {
        add_transpose_product(&form.jacobian.pattern, jacobian, y, &mut out[..self.nx]);
        for (&(row, sign), out) in self.attached.iter().zip(&mut out[self.nx..]) {
            *out += sign * y[row as usize];
        }
    }

    /// dual <- gradient + A'y - zl + zu.
    pub fn set_dual(&self, form: &Form, point: &mut Iterate) {
        let Iterate { dual, gradient, jacobian, y, zl, zu, .. } = point;
        dual.copy_from_slice(gradient);
        self.add_transpose(form, jacobian, y, dual);
        for &k in &self.lower_set {
            dual[k as usize] -= zl[k as usize];
        }
        for &k in &self.upper_set {
            dual[k as usize] += zu[k as usize];
        }
    }

    /// out <- out + derivative of the damping.
    pub fn add_damping(&self, factor: f64, out: &mut [f64]) {
        for &(k, sign) in &self.damped {
            out[k as usize] += factor * sign * DAMPING * self.mu;
        }
    }

    /// Derivative of the barrier function along `d`.
    pub fn slope(&self, point: &Iterate, d: &[f64]) -> f64 {
        let mut slope: f64 = point.gradient.iter().zip(d).map(|(g, d)| g * d).sum();
        for &k in &self.lower_set {
            slope -= self.mu * d[k as usize] / point.below[k as usize];
        }
        for &k in &self.upper_set {
            slope += self.mu * d[k as usize] / point.above[k as usize];
        }
        for &(k, sign) in &self.damped {
            slope += sign * DAMPING * self.mu * d[k as usize];
        }
        slope
    }

    /// The error of the barrier problem with parameter `mu`; with zero that of the problem itself.
    pub fn error(&self, point: &Iterate, mu: f64) -> BarrierError {
        let mut complementarity: f64 = 0.0;
        let mut z_sum = 0.0;
        for &k in &self.lower_set {
            let k = k as usize;
            complementarity = complementarity.max((point.below[k] * point.zl[k] - mu).abs());
            z_sum += point.zl[k];
        }
        for &k in &self.upper_set {
            let k = k as usize;
            complementarity = complementarity.max((point.above[k] * point.zu[k] - mu).abs());
            z_sum += point.zu[k];
        }
        let y_sum: f64 = point.y.iter().map(|y| y.abs()).sum();
        let sides = self.lower_set.len() + self.upper_set.len();
        let mean =
            |sum: f64, count: usize| if count == 0 { 1.0 } else { (sum / count as f64).max(100.0) / 100.0 };
        BarrierError {
            dual: norm_inf(&point.dual),
            violation: norm_inf(&point.residual),
            complementarity,
            dual_scale: mean(y_sum + z_sum, self.m + sides),
            complementarity_scale: mean(z_sum, sides),
        }
    }

    /// Sum of distance times multiplier over all bounds.
    pub fn total_complementarity(&self, point: &Iterate) -> f64 {
        let lower: f64 = self.lower_set.iter().map(|&k| point.below[k as usize] * point.zl[k as usize]).sum();
        let upper: f64 = self.upper_set.iter().map(|&k| point.above[k as usize] * point.zu[k as usize]).sum();
        lower + upper
    }

    /// Mean of distance times multiplier over all bounds after a step of the given lengths; zero where there is no bound.
    pub fn mean_complementarity(&self, point: &Iterate, step: &Step, primal: f64, dual: f64) -> f64 {
        let sides = self.lower_set.len() + self.upper_set.len();
        let mut sum = 0.0;
        for &k in &self.lower_set {
            let k = k as usize;
            sum += (point.below[k] + primal * step.u[k]) * (point.zl[k] + dual * step.zl[k]);
        }
        for &k in &self.upper_set {
            let k = k as usize;
            sum += (point.above[k] - primal * step.u[k]) * (point.zu[k] + dual * step.zu[k]);
        }
        if sides == 0 { 0.0 } else { sum / sides as f64 }
    }

    /// Mean absolute residual of the primal-dual system, for the soft restoration.
    pub fn mean_error(&self, point: &Iterate) -> f64 {
        let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
        let dual = mean(point.dual.iter().map(|d| d.abs()).sum(), point.dual.len());
        let primal = mean(point.pair.theta, self.m);
        let lower: f64 = (self.lower_set.iter())
            .map(|&k| (point.below[k as usize] * point.zl[k as usize] - self.mu).abs())
            .sum();
        let upper: f64 = (self.upper_set.iter())
            .map(|&k| (point.above[k as usize] * point.zu[k as usize] - self.mu).abs())
            .sum();
        dual + primal + mean(lower + upper, self.lower_set.len() + self.upper_set.len())
    }

    /// The longest step along du that keeps the share 1 - tau of every distance, at most one.
    pub fn primal_limit(&self, point: &Iterate, du: &[f64]) -> f64 {
        let mut alpha: f64 = 1.0;
        for &k in &self.lower_set {
            let (distance, d) = (point.below[k as usize], du[k as usize]);
            if d * alpha < -self.tau * distance {
                alpha = -self.tau * distance / d;
            }
        }
        for &k in &self.upper_set {
            let (distance, d) = (point.above[k as usize], du[k as usize]);
            if d * alpha > self.tau * distance {
                alpha = self.tau * distance / d;
            }
        }
        alpha
    }

    /// The same of the bounds' multipliers.
    pub fn dual_limit(&self, point: &Iterate, dzl: &[f64], dzu: &[f64]) -> f64 {
        let mut alpha: f64 = 1.0;
        for (set, z, dz) in [(&self.lower_set, &point.zl, dzl), (&self.upper_set, &point.zu, dzu)] {
            for &k in set {
                let (z, d) = (z[k as usize], dz[k as usize]);
                if d * alpha < -self.tau * z {
                    alpha = -self.tau * z / d;
                }
            }
        }
        alpha
    }

    /// Keeps the bounds' multipliers within a wide range of mu over the distance.
    pub fn clamp_multipliers(&self, point: &mut Iterate) {
        for &k in &self.lower_set {
            let k = k as usize;
            let centre = self.mu / point.below[k];
            point.zl[k] = point.zl[k].clamp(centre / MULTIPLIER_RANGE, centre * MULTIPLIER_RANGE);
        }
        for &k in &self.upper_set {
            let k = k as usize;
            let centre = self.mu / point.above[k];
            point.zu[k] = point.zu[k].clamp(centre / MULTIPLIER_RANGE, centre * MULTIPLIER_RANGE);
        }
    }
}
