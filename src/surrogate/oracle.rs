//! The costly part of a problem: the gradient of the loss at the targets, and the counters that watch over it.

use serde::{Deserialize, Serialize};

use super::{Error, TargetModel};
use crate::control::Counts;
use crate::linalg::product::sum_chunks;
use crate::problem::loss::{Loss, Softmax};

/// A costly oracle of the losses l_i at targets z_i: a simulator, an expert, a remote service, or a plain loss.
pub trait Oracle {
    /// g <- the derivatives l_i'(z_i) of the batch, laid out as z. Returns the mean loss of the batch if it comes with
    /// them at no further cost. This is what one *call* means.
    ///
    /// # Errors
    /// A sentence on why there is no gradient; it ends the run.
    fn gradient(&mut self, batch: &[u32], z: &[f64], g: &mut [f64]) -> Result<Option<f64>, String>;

    /// The mean loss of the batch at z, for line searches; none if the oracle has no values.
    fn value(&mut self, _batch: &[u32], _z: &[f64]) -> Option<f64> {
        None
    }

    /// L, a bound of the second derivatives in z, if one is known.
    fn smoothness(&self) -> Option<f64> {
        None
    }

    /// out <- l_i''(z_i). Returns false if the oracle does not know its second derivatives; to be offered only where
    /// they cost nothing beside a gradient.
    fn curvature(&mut self, _batch: &[u32], _z: &[f64], _out: &mut [f64]) -> bool {
        false
    }

    /// g <- l_i'(z_i) at no cost, for the slopes in a line search. Returns false if every gradient is costly.
    fn free_gradient(&mut self, _batch: &[u32], _z: &[f64], _g: &mut [f64]) -> bool {
        false
    }
}

/// A costly gradient given as a function of the batch and its targets.
pub struct GradientFn<F> {
    /// (batch, z) -> g, as long as z.
    pub gradient: F,
    /// L, if known; without it the caller has to give a step size.
    pub smoothness: Option<f64>,
}

impl<F: FnMut(&[u32], &[f64]) -> Vec<f64>> Oracle for GradientFn<F> {
    fn gradient(&mut self, batch: &[u32], z: &[f64], g: &mut [f64]) -> Result<Option<f64>, String> {
        let given = (self.gradient)(batch, z);
        if given.len() != g.len() {
            return Err(format!("the oracle returned {} derivatives for {} targets", given.len(), g.len()));
        }
        g.copy_from_slice(&given);
        Ok(None)
    }

    fn smoothness(&self) -> Option<f64> {
        self.smoothness
    }
}

/// A scalar loss with its targets: l_i(z) = w_i phi(z; y_i), the mean weight being 1.
pub struct LossOracle<'a> {
    loss: &'a dyn Loss,
    target: &'a [f64],
    weights: Vec<f64>,
    weighted: bool,
    batch_target: Vec<f64>,
    batch_weights: Vec<f64>,
}

impl<'a> LossOracle<'a> {
    /// `weights` are not negative and are scaled to a mean of 1.
    pub fn new(loss: &'a dyn Loss, target: &'a [f64], weights: Option<&[f64]>) -> Self {
        let n = target.len();
        let total: f64 = weights.map_or(n as f64, |weights| weights.iter().sum());
        let scaled = match weights {
            None => vec![1.0; n],
            Some(weights) => weights.iter().map(|w| w * n as f64 / total).collect(),
        };
        let weighted = weights.is_some();
        let (batch_target, batch_weights) = (Vec::new(), Vec::new());
        Self { loss, target, weights: scaled, weighted, batch_target, batch_weights }
    }

    /// Targets and weights of a batch, copied only where it is not the whole.
    fn rows(&mut self, batch: &[u32]) -> (&[f64], &[f64]) {
        if batch.len() == self.target.len() {
            return (self.target, &self.weights);
        }
        self.batch_target.clear();
        self.batch_target.extend(batch.iter().map(|&i| self.target[i as usize]));
        if !self.weighted {
            return (&self.batch_target, &self.weights[..batch.len()]);
        }
        self.batch_weights.clear();
        self.batch_weights.extend(batch.iter().map(|&i| self.weights[i as usize]));
        (&self.batch_target, &self.batch_weights)
    }
}

impl Oracle for LossOracle<'_> {
    fn gradient(&mut self, batch: &[u32], z: &[f64], g: &mut [f64]) -> Result<Option<f64>, String> {
        self.free_gradient(batch, z, g);
        Ok(None)
    }

    fn value(&mut self, batch: &[u32], z: &[f64]) -> Option<f64> {
        let loss = self.loss;
        let (y, w) = self.rows(batch);
        let sum = sum_chunks(z.len(), 8, |r| loss.sum(&z[r.clone()], &y[r.clone()], &w[r]));
        Some(sum / z.len() as f64)
    }

    fn smoothness(&self) -> Option<f64> {
        let heaviest = self.weights.iter().copied().fold(0.0, f64::max);
        self.loss.curvature_bound().map(|bound| bound * heaviest)
    }

    fn curvature(&mut self, batch: &[u32], z: &[f64], out: &mut [f64]) -> bool {
        let loss = self.loss;
        let (y, w) = self.rows(batch);
        loss.curvatures(z, y, w, out);
        true
    }

    fn free_gradient(&mut self, batch: &[u32], z: &[f64], g: &mut [f64]) -> bool {
        let loss = self.loss;
        let (y, w) = self.rows(batch);
        loss.derivatives(z, y, w, g);
        true
    }
}

/// The softmax loss of k classes: the targets of a sample are its k scores.
pub struct SoftmaxOracle<'a> {
    /// The loss, with k.
    pub loss: Softmax,
    /// The class of each sample, below k.
    pub target: &'a [usize],
}

impl SoftmaxOracle<'_> {
    fn each(&self, batch: &[u32], z: &[f64], mut visit: impl FnMut(usize, f64, &[f64], usize)) {
        let k = self.loss.classes;
        let mut probabilities = vec![0.0; k];
        for (row, (&i, z)) in batch.iter().zip(z.chunks_exact(k)).enumerate() {
            let class = self.target[i as usize];
            let value = self.loss.value(z, class, &mut probabilities);
            visit(row, value, &probabilities, class);
        }
    }
}

impl Oracle for SoftmaxOracle<'_> {
    fn gradient(&mut self, batch: &[u32], z: &[f64], g: &mut [f64]) -> Result<Option<f64>, String> {
        let k = self.loss.classes;
        let mut sum = 0.0;
        self.each(batch, z, |row, value, probabilities, class| {
            sum += value;
            g[row * k..(row + 1) * k].copy_from_slice(probabilities);
            g[row * k + class] -= 1.0;
        });
        Ok(Some(sum / batch.len() as f64))
    }

    fn value(&mut self, batch: &[u32], z: &[f64]) -> Option<f64> {
        let mut sum = 0.0;
        self.each(batch, z, |_, value, _, _| sum += value);
        Some(sum / batch.len() as f64)
    }

    fn smoothness(&self) -> Option<f64> {
        // |diag(p) - pp'| <= 1/2
        Some(0.5)
    }

    fn free_gradient(&mut self, batch: &[u32], z: &[f64], g: &mut [f64]) -> bool {
        self.gradient(batch, z, g).is_ok()
    }
}

/// What a run cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Gradients of the oracle on one batch each; those on all samples count as many as there are batches.
    pub oracle_calls: u64,
    /// Values of the loss in line searches.
    pub value_calls: u64,
    /// Descent steps on surrogates.
    pub inner_steps: u64,
    /// Products with the Jacobian of f (for linear models: with the data), one for f(theta) and one for J'u.
    pub products: u64,
    /// Evaluations on all samples that only watch the run or certify its answer.
    pub checks: u64,
    /// Batches whose target gradient was zero.
    pub skipped: u64,
    /// Line searches that found no step.
    pub failed_searches: u64,
    /// Times that a step broke the surrogate's bound and eta was halved.
    pub halvings: u64,
    /// Cholesky factorisations.
    pub factorizations: u64,
}

impl Work {
    /// The counters by name. Those that stay at zero for most methods are left out while they are zero.
    pub fn counts(&self) -> Counts {
        let always = [
            ("oracle_calls", self.oracle_calls),
            ("value_calls", self.value_calls),
            ("inner_steps", self.inner_steps),
            ("products", self.products),
            ("checks", self.checks),
        ];
        let rare = [
            ("skipped", self.skipped),
            ("failed_searches", self.failed_searches),
            ("halvings", self.halvings),
            ("factorizations", self.factorizations),
        ];
        always.into_iter().chain(rare.into_iter().filter(|(_, count)| *count > 0)).collect()
    }
}

/// Map, oracle, ridge and counters of one run. Every call of the oracle passes through here and is counted and checked.
pub(crate) struct Problem<'a> {
    pub model: &'a dyn TargetModel,
    pub oracle: &'a mut dyn Oracle,
    /// Weights r of the penalty sum of r_j theta_j^2 / 2; empty for none.
    pub ridge: Vec<f64>,
    /// L of the oracle, or what was found in its place.
    pub smoothness: Option<f64>,
    pub work: Work,
    /// Steps so far, for messages.
    pub step: u64,
    /// 0, 1, ..., n - 1.
    pub all: Vec<u32>,
}

impl<'a> Problem<'a> {
    pub fn new(model: &'a dyn TargetModel, oracle: &'a mut dyn Oracle, ridge: Vec<f64>) -> Self {
        let smoothness = oracle.smoothness();
        let all = (0..model.samples() as u32).collect();
        Self { model, oracle, ridge, smoothness, work: Work::default(), step: 0, all }
    }

    /// Targets of a batch in floating-point numbers.
    pub fn targets(&self, batch: &[u32]) -> usize {
        batch.len() * self.model.outputs()
    }

    /// z <- f_B(theta), counted.
    pub fn forward(&mut self, theta: &[f64], batch: &[u32], z: &mut Vec<f64>) {
        z.resize(self.targets(batch), 0.0);
        self.work.products += 1;
        self.model.forward(theta, batch, z);
    }

    /// out <- J'u / b + ridge theta, counted.
    pub fn pull_back(&mut self, theta: &[f64], batch: &[u32], u: &[f64], out: &mut Vec<f64>) {
        out.resize(self.model.parameters(), 0.0);
        self.work.products += 1;
        self.model.pull_back(theta, batch, u, out);
        let scale = 1.0 / batch.len() as f64;
        out.iter_mut().for_each(|value| *value *= scale);
        self.add_ridge(theta, out);
    }

    /// out <- out + ridge theta.
    pub fn add_ridge(&self, theta: &[f64], out: &mut [f64]) {
        for ((out, r), theta) in out.iter_mut().zip(&self.ridge).zip(theta) {
            *out += r * theta;
        }
    }

    /// sum of r_j theta_j^2 / 2.
    pub fn ridge_value(&self, theta: &[f64]) -> f64 {
        self.ridge.iter().zip(theta).map(|(r, theta)| 0.5 * r * theta * theta).sum()
    }

    /// g <- l'(z): one oracle call.
    pub fn call(&mut self, batch: &[u32], z: &[f64], g: &mut Vec<f64>) -> Result<Option<f64>, Error> {
        self.work.oracle_calls += 1;
        self.uncounted(batch, z, g)
    }

    /// The gradient without counting it.
    pub fn uncounted(&mut self, batch: &[u32], z: &[f64], g: &mut Vec<f64>) -> Result<Option<f64>, Error> {
        let step = self.step;
        if let Some(k) = z.iter().position(|z| !z.is_finite()) {
            let message = format!("target {k} of the batch is {} before the call: the steps diverge", z[k]);
            return Err(Error::Oracle { step, message });
        }
        g.clear();
        g.resize(z.len(), f64::NAN);
        let value = self.oracle.gradient(batch, z, g).map_err(|message| Error::Oracle { step, message })?;
        match g.iter().position(|g| !g.is_finite()) {
            None => Ok(value),
            Some(k) => {
                let message = format!("the oracle's derivative {k} of the batch is {}", g[k]);
                Err(Error::Oracle { step, message })
            }
        }
    }

    /// The mean loss at z: one value call.
    pub fn value(&mut self, batch: &[u32], z: &[f64]) -> Option<f64> {
        self.work.value_calls += 1;
        self.oracle.value(batch, z)
    }

    /// (h, z, g) and the gradient of h in `v` at theta from all samples, with no counter but `checks`. h is NaN for an
    /// oracle without values.
    pub fn check_all(&mut self, theta: &[f64], v: &mut Vec<f64>) -> Result<(f64, Vec<f64>, Vec<f64>), Error> {
        let (mut z, mut g) = (Vec::new(), Vec::new());
        let work = self.work;
        let all = std::mem::take(&mut self.all);
        self.forward(theta, &all, &mut z);
        let called = self.uncounted(&all, &z, &mut g);
        if called.is_ok() {
            self.pull_back(theta, &all, &g, v);
        }
        let value = called.map(|value| value.or_else(|| self.oracle.value(&all, &z)).unwrap_or(f64::NAN));
        self.all = all;
        self.work = Work { checks: work.checks + 1, ..work };
        Ok((value? + self.ridge_value(theta), z, g))
    }

    /// h and its gradient in `v`.
    pub fn check(&mut self, theta: &[f64], v: &mut Vec<f64>) -> Result<f64, Error> {
        self.check_all(theta, v).map(|(value, ..)| value)
    }
}
