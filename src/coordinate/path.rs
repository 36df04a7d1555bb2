//! Paths of fits over falling l1, each from the one before, and cross-validation over them.
//!
//! ```
//! use gradus::control::Monitor;
//! use gradus::coordinate::{CoordinateDescent, path};
//! use gradus::linalg::DesignMatrix;
//! use gradus::problem::LinearModel;
//!
//! let design = DesignMatrix::from_dense(4, 2, vec![1.0, 2.0, 3.0, 4.0, 1.0, -1.0, 0.5, 0.0])?;
//! let model = LinearModel::lasso(design, vec![2.1, 3.9, 6.0, 8.2], 0.0);
//! let values = path::values(model.l1_max()?, 0.01 * model.l1_max()?, 20);
//! let family = path::Linear::lasso(CoordinateDescent::default(), model);
//! let fits = path::fit(&family, &values, &mut Monitor::none())?;
//! let chosen = path::cross_validate(&family, &values, 4, 0, &Monitor::none())?;
//! assert!(fits[chosen.best].nonzeros() >= 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{CoordinateDescent, Error, Fit, MultinomialFit, MultinomialStart, Start};
use crate::control::{Monitor, Status};
use crate::problem::penalty::{ElasticNet, Penalty};
use crate::problem::{LinearModel, MultinomialModel};

/// A model whose penalty has a weight l1 that varies.
pub trait Family: Sync + Send + Sized {
    /// What a fit gives.
    type Fit: Send;

    /// Number of rows.
    fn rows(&self) -> usize;

    /// The fit at one l1, from a given one.
    ///
    /// # Errors
    /// Those of the solver.
    fn fit(&self, l1: f64, start: Option<&Self::Fit>, monitor: &mut Monitor) -> Result<Self::Fit, Error>;

    /// Why a fit ended.
    fn status(fit: &Self::Fit) -> Status;

    /// The same family on some of the rows.
    fn select_rows(&self, rows: &[usize]) -> Self;

    /// Mean loss of a fit on the rows of this family, the penalty left out.
    fn loss(&self, fit: &Self::Fit) -> f64;
}

/// n values from `first` to `last`, spaced logarithmically, ends included; `last` alone for n = 1.
pub fn values(first: f64, last: f64, n: usize) -> Vec<f64> {
    // constant targets: zero solves for every l1
    let first = if first > 0.0 { first } else { last.max(1.0) };
    let last = if last > 0.0 { last } else { 0.01 * first };
    let step = |k: usize| (last / first).powf(k as f64 / (n - 1) as f64);
    (0..n).map(|k| if k + 1 == n { last } else { first * step(k) }).collect()
}

/// Fits every l1 in turn, each from the fit before. Ends early where a run meets its time limit or is interrupted.
///
/// # Errors
/// Those of the solver.
pub fn fit<F: Family>(family: &F, values: &[f64], monitor: &mut Monitor) -> Result<Vec<F::Fit>, Error> {
    let mut fits: Vec<F::Fit> = Vec::with_capacity(values.len());
    for &l1 in values {
        fits.push(family.fit(l1, fits.last(), monitor)?);
        if fits.last().is_some_and(|fit| is_over(F::status(fit))) {
            break;
        }
    }
    Ok(fits)
}

/// Whether a status ends the path.
pub fn is_over(status: Status) -> bool {
    matches!(status, Status::TimeLimit | Status::Interrupted)
}

/// Held-out losses along a path.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    /// Mean held-out loss at each l1; shorter than the values where a fold was interrupted.
    pub mean: Vec<f64>,
    /// Its standard error over the folds.
    pub error: Vec<f64>,
    /// Index of the least mean; the largest l1 of several.
    pub best: usize,
    /// Index of the largest l1 whose mean is within one standard error of the least.
    pub sparsest: usize,
}

/// K-fold cross-validation: rows are dealt to K folds at random; each fold's rows are predicted from a path on the
/// others. Folds run in parallel; the result depends on the seed alone.
///
/// # Errors
/// Fewer than two folds or more than rows; those of the solver.
pub fn cross_validate<F: Family>(
    family: &F,
    values: &[f64],
    folds: usize,
    seed: u64,
    monitor: &Monitor,
) -> Result<CrossValidation, Error> {
    let n = family.rows();
    if !(2..=n).contains(&folds) {
        return Err(Error::Option(format!(
            "{folds} folds for {n} rows; from 2 to the number of rows will do"
        )));
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let parts = |fold: usize| -> (Vec<usize>, Vec<usize>) {
        let (mut held, mut kept) = (Vec::new(), Vec::new());
        order
            .iter()
            .enumerate()
            .for_each(|(k, &i)| if k % folds == fold { held.push(i) } else { kept.push(i) });
        held.sort_unstable();
        kept.sort_unstable();
        (held, kept)
    };
    let flag = monitor.interrupt_flag();
    let one = |fold: usize| -> Result<(f64, Vec<f64>), Error> {
        let (held, kept) = parts(fold);
        let (training, test) = (family.select_rows(&kept), family.select_rows(&held));
        let (mut losses, mut last) = (Vec::with_capacity(values.len()), None);
        let mut quiet =
            flag.iter().fold(Monitor::none(), |monitor, flag| monitor.with_interrupt(flag.clone()));
        for &l1 in values {
            let fit = training.fit(l1, last.as_ref(), &mut quiet)?;
            losses.push(test.loss(&fit));
            let over = is_over(F::status(&fit));
            last = Some(fit);
            if over {
                break;
            }
        }
        Ok((held.len() as f64, losses))
    };
    let folds: Vec<(f64, Vec<f64>)> = (0..folds).into_par_iter().map(one).collect::<Result<_, _>>()?;
    Ok(summarise(&folds))
}

fn summarise(folds: &[(f64, Vec<f64>)]) -> CrossValidation {
    let length = folds.iter().map(|fold| fold.1.len()).min().unwrap_or(0);
    let total: f64 = folds.iter().map(|fold| fold.0).sum();
    let average = |of: &dyn Fn(&Vec<f64>) -> f64| folds.iter().map(|(w, l)| w * of(l)).sum::<f64>() / total;
    let mean: Vec<f64> = (0..length).map(|k| average(&|l| l[k])).collect();
    let spread = |k: usize| average(&|l| (l[k] - mean[k]) * (l[k] - mean[k]));
    let error: Vec<f64> = (0..length).map(|k| (spread(k) / (folds.len() as f64 - 1.0)).sqrt()).collect();
    let best = (0..length).fold(0, |best, k| if mean[k] < mean[best] { k } else { best });
    let limit = mean.get(best).zip(error.get(best)).map_or(f64::INFINITY, |(mean, error)| mean + error);
    let sparsest = mean.iter().position(|&mean| mean <= limit).unwrap_or(best);
    CrossValidation { mean, error, best, sparsest }
}

/// The penalty at an l1.
pub type PenaltyAt = Arc<dyn Fn(f64) -> Arc<dyn Penalty> + Send + Sync>;

fn lasso() -> PenaltyAt {
    Arc::new(|l1| Arc::new(ElasticNet { l1, ..ElasticNet::default() }))
}

/// Linear models of any loss.
#[derive(Clone)]
pub struct Linear {
    /// The solver of each fit.
    pub solver: CoordinateDescent,
    /// Data and loss; its penalty is replaced.
    pub model: LinearModel,
    /// The penalty at an l1.
    pub penalty: PenaltyAt,
}

impl Linear {
    /// With the penalty l1 ||x||_1.
    pub fn lasso(solver: CoordinateDescent, model: LinearModel) -> Self {
        Self { solver, model, penalty: lasso() }
    }
}

impl Family for Linear {
    type Fit = Fit;

    fn rows(&self) -> usize {
        self.model.design.rows()
    }

    fn fit(&self, l1: f64, start: Option<&Fit>, monitor: &mut Monitor) -> Result<Fit, Error> {
        let model = LinearModel { penalty: (self.penalty)(l1), ..self.model.clone() };
        let start = start.map(|fit| Start { coefficients: &fit.coefficients, intercept: fit.intercept });
        self.solver.solve_with(&model, start, monitor)
    }

    fn status(fit: &Fit) -> Status {
        fit.status
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        Self { model: self.model.select_rows(rows), ..self.clone() }
    }

    fn loss(&self, fit: &Fit) -> f64 {
        let mut z = vec![0.0; self.rows()];
        self.model.predictors(&fit.coefficients, fit.intercept, &mut z);
        self.model.loss_value(&z, &self.model.row_weights())
    }
}

/// Multinomial models.
#[derive(Clone)]
pub struct Multinomial {
    /// The solver of each fit.
    pub solver: CoordinateDescent,
    /// Data and classes; its penalty is replaced.
    pub model: MultinomialModel,
    /// The penalty at an l1.
    pub penalty: PenaltyAt,
}

impl Multinomial {
    /// With the penalty l1 sum of |x|.
    pub fn lasso(solver: CoordinateDescent, model: MultinomialModel) -> Self {
        Self { solver, model, penalty: lasso() }
    }
}

impl Family for Multinomial {
    type Fit = MultinomialFit;

    fn rows(&self) -> usize {
        self.model.design.rows()
    }

    fn fit(
        &self,
        l1: f64,
        start: Option<&MultinomialFit>,
        monitor: &mut Monitor,
    ) -> Result<MultinomialFit, Error> {
        let model = MultinomialModel { penalty: (self.penalty)(l1), ..self.model.clone() };
        let start = start
            .map(|fit| MultinomialStart { coefficients: &fit.coefficients, intercepts: &fit.intercepts });
        self.solver.solve_multinomial(&model, start, monitor)
    }

    fn status(fit: &MultinomialFit) -> Status {
        fit.status
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        Self { model: self.model.select_rows(rows), ..self.clone() }
    }

    fn loss(&self, fit: &MultinomialFit) -> f64 {
        let z = fit.predictors(&self.model.design);
        self.model.mean_loss(&z, &mut vec![0.0; z.len()])
    }
}
