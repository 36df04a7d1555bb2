//! The sampled convex program: a lasso over randomly drawn hidden neurons.
//!
//! Draw N unit vectors u_j and train the output weights alone: min over a of l(H a) + beta |a|_1, H = (X u_j)_+ (n x N).
//! That is the network with its hidden layer frozen to the sample; in the dual, the constraint |zeta'(X u)_+| <= beta held at N
//! points. With N >= n / (share risk) - 1 it is violated on at most that share of the sphere, with confidence 1 - risk.
//! A cheap first stage: the neurons that are used give patterns.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::network::Network;
use super::{Error, Loss, Training};
use crate::control::{Limits, Monitor, Summary};
use crate::coordinate::CoordinateDescent;
use crate::linalg::product::norm;
use crate::linalg::{DesignMatrix, panel};
use crate::problem::LinearModel;

/// The sampled convex program.
#[derive(Debug, Clone)]
pub struct SampledProgram {
    /// When to stop; the tolerance is compared with the lasso's duality gap over its objective at zero.
    pub limits: Limits,
    /// N, the number of drawn neurons.
    pub neurons: usize,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for SampledProgram {
    fn default() -> Self {
        Self { limits: Limits::default(), neurons: 500, seed: 0 }
    }
}

/// Its answer.
#[derive(Debug, Clone)]
pub struct SampledSolution {
    /// The network of the neurons in use; its objective is the lasso's.
    pub network: Network,
    /// The run of the lasso; objective and certificate are sums over the rows, as everywhere in this module.
    pub summary: Summary,
}

impl SampledProgram {
    /// Trains by coordinate descent.
    ///
    /// # Errors
    /// No neurons; a loss that coordinate descent doesn't take.
    pub fn solve(&self, training: &Training, monitor: &mut Monitor) -> Result<SampledSolution, Error> {
        if self.neurons == 0 {
            return Err(Error::Option("at least one neuron must be drawn".into()));
        }
        let (n, d) = (training.rows(), training.columns());
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut directions = vec![0.0; d * self.neurons];
        for u in directions.chunks_exact_mut(d) {
            u.iter_mut().for_each(|u| *u = StandardNormal.sample(&mut random));
            let length = norm(u).max(1e-300);
            u.iter_mut().for_each(|u| *u /= length);
        }
        let mut hidden = vec![0.0; n * self.neurons];
        panel::multiply(training.x(), &directions, &mut hidden);
        hidden.iter_mut().for_each(|h| *h = h.max(0.0));
        let overflow = |_| Error::Option("the data are too large: activations overflow".into());
        let design = DesignMatrix::from_dense(n, self.neurons, hidden).map_err(overflow)?;
        // the lasso's loss is a mean
        let l1 = training.beta() / n as f64;
        let target = training.target().to_vec();
        let model = match training.loss() {
            Loss::Squared => LinearModel::lasso(design, target, l1),
            Loss::Logistic => LinearModel::logistic(design, target, l1, 0.0),
            other => {
                let message = format!(
                    "the sampled program takes the squared and the logistic loss, not {}",
                    other.name()
                );
                return Err(Error::Option(message));
            }
        };
        let solver = CoordinateDescent { limits: self.limits.clone(), ..CoordinateDescent::default() };
        let fit =
            solver.solve_with(&model, None, monitor).map_err(|error| Error::Option(error.to_string()))?;
        let mut network = Network { columns: d, ..Network::default() };
        for (u, &a) in directions.chunks_exact(d).zip(&fit.coefficients).filter(|(_, a)| **a != 0.0) {
            let root = a.abs().sqrt();
            network.hidden.push(u.iter().map(|u| u * root).collect());
            network.output.push(a.signum() * root);
        }
        let mut summary = fit.summary;
        let scale = n as f64;
        summary.objective *= scale;
        summary.certificate.value *= scale;
        summary.history.records.iter_mut().for_each(|record| record.objective *= scale);
        summary.method = "coordinate descent on the sampled program";
        Ok(SampledSolution { network, summary })
    }
}
