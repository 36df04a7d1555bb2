//! Target-space surrogates: few calls of a costly gradient oracle.
//!
//! h(theta) = (1/n) sum of l_i(f_i(theta)) + sum of r_j theta_j^2 / 2, where the map f from parameters to *targets* is cheap
//! and the gradient g of the losses at the targets is not (a simulator, an expert, a remote service). One call of the
//! oracle at z = f_B(theta_t) gives a quadratic in target space,
//!
//! q_t(theta) = (1/b) [ g'(f_B(theta) - z) + ||f_B(theta) - z||^2 / (2 eta) ],
//!
//! on which m cheap steps are taken (Lavington, Vaswani, Babanezhad, Schmidt, Le Roux, ICML 2023). With all samples and
//! eta <= 1/L it bounds h from above, so h falls whatever the inner solver.
//!
//! - [`Oracle`] and [`TargetModel`] state a problem; [`LinearTargets`], [`LossOracle`] and [`SoftmaxOracle`] are those of
//!   linear models, [`GradientFn`] makes an oracle of a function;
//! - [`Network`] is a map that is not linear, [`imitation`] a problem whose oracle is an expert;
//! - [`BatchSurrogate`] is the published method: [`StepSize`] (constant, shrinking, searched), [`TargetMetric`], [`Inner`];
//! - [`Population`] replaces the batch's quadratic by that of all samples, one cached factorisation, with variance
//!   reduction in target space; [`Aggregate`] keeps every sample's last surrogate and adds them up; [`FullBatch`] minimises the surrogate of all samples exactly and accelerates that;
//! - [`Baseline`] holds SGD, SLS, Adagrad, Adam and SVRG, for comparison on the same batches;
//! - [`Surrogate`] runs any of them, or chooses; [`Stepper`] takes one step at a time for data that arrive over time.
//!
//! The counters tell calls of the oracle from values of the loss, inner steps and products with the model ([`Work`]).
//!
//! ```
//! use gradus::linalg::DesignMatrix;
//! use gradus::problem::LinearModel;
//! use gradus::surrogate::Surrogate;
//!
//! // four rows, two columns, column-major; least squares is solved by one call of the oracle
//! let design = DesignMatrix::from_dense(4, 2, vec![1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0])?;
//! let model = LinearModel::lasso(design, vec![3.0, 5.0, 7.0, 9.0], 0.0);
//! let fit = Surrogate::default().solve(&model)?;
//! assert!((fit.coefficients[0] - 2.0).abs() < 1e-6 && (fit.coefficients[1] - 1.0).abs() < 1e-6);
//! assert_eq!(fit.counts["oracle_calls"], 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aggregate;
mod automatic;
mod baseline;
mod batch_step;
mod batches;
mod certificate;
mod driver;
mod full_batch;
pub mod imitation;
mod inner;
mod metric;
mod model;
mod network;
mod oracle;
mod population;
mod quasi_newton;
mod solution;
mod state;
mod step_size;
mod stepper;

pub use aggregate::Aggregate;
pub use automatic::Choice;
pub use baseline::Baseline;
pub use batch_step::{BatchSurrogate, TargetMetric};
pub use batches::Order;
pub use certificate::Measure;
pub use full_batch::FullBatch;
pub use imitation::Imitation;
pub use inner::{Form, Inner, InnerSearch, Surrogate as BatchQuadratic, exact_step};
pub use model::{LinearTargets, TargetModel};
pub use network::{Activation, Network};
pub use oracle::{GradientFn, LossOracle, Oracle, SoftmaxOracle, Work};
pub use population::{Population, Variance};
pub use solution::{Fit, Solution};
pub use state::Checkpoint;
pub use step_size::{Schedule, StepSize, TargetSearch};
pub use stepper::Stepper;

use crate::control::{Limits, Monitor, Run};
use crate::problem::{LinearModel, ModelError, MultinomialModel};
use certificate::Certifier;
use oracle::Problem;

/// What keeps a run from starting, or ends it without an answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The model is not one.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An option is out of range, or two contradict each other, or the problem is not one for the method.
    #[error("{0}")]
    Option(String),
    /// The start does not fit the model.
    #[error("the start has {given} parameters, the model {parameters}")]
    Start {
        /// Parameters given.
        given: usize,
        /// Parameters of the model.
        parameters: usize,
    },
    /// An entry of the start is not finite.
    #[error("parameter {index} of the start is {value}; it must be finite")]
    StartValue {
        /// Its index.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// The oracle failed, or returned what is no gradient.
    #[error("step {step}: {message}")]
    Oracle {
        /// Steps before.
        step: u64,
        /// What happened.
        message: String,
    },
    /// A checkpoint whose vectors are not those of its run.
    #[error("the checkpoint is damaged: a vector has a wrong length or an entry that is not finite")]
    Damaged,
    /// A checkpoint of another run.
    #[error("the checkpoint belongs to another run: it says '{found}', this run is '{expected}'")]
    Checkpoint {
        /// Its options.
        found: String,
        /// Options of this run.
        expected: String,
    },
}

/// Which steps are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Method {
    /// All samples, linear map: [`FullBatch`]. All samples, another map: the surrogate with L-BFGS inside. Batches: what
    /// the first epoch says.
    #[default]
    Automatic,
    /// The published surrogate of each batch.
    Surrogate(BatchSurrogate),
    /// The metric of all samples; linear maps.
    Population(Population),
    /// Surrogates kept for every sample and added up; linear maps.
    Aggregate(Aggregate),
    /// All samples at once; linear maps.
    FullBatch(FullBatch),
    /// A method in parameter space.
    Baseline(Baseline),
}

impl Method {
    /// A name for reports.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Automatic => "automatic",
            Method::Surrogate(_) => "surrogate",
            Method::Population(Population { variance: Variance::Plain, .. }) => "population surrogate",
            Method::Population(_) => "variance-reduced surrogate",
            Method::Aggregate(_) => "aggregated surrogate",
            Method::FullBatch(FullBatch { memory: 0, .. }) => "exact surrogate",
            Method::FullBatch(_) => "accelerated surrogate",
            Method::Baseline(baseline) => baseline.name(),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Method::Surrogate(options) => options.check(),
            Method::Population(options) => options.check(),
            Method::Aggregate(options) => options.check(),
            Method::Baseline(options) => options.check(),
            Method::Automatic | Method::FullBatch(_) => Ok(()),
        }
    }
}

/// How often a run evaluates all samples beside its calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Watch {
    /// At every record: the trace has objective and certificate, and the tolerance can end the run. Counted as checks.
    #[default]
    Everything,
    /// At the end alone, for the certificate: for oracles whose every evaluation is dear.
    Nothing,
}

/// The solver.
///
/// With batches an iteration, and a record of the trace, is an epoch; with all samples it is a call.
#[derive(Debug, Clone)]
pub struct Surrogate {
    /// When to stop; the tolerance is compared with the relative certificate.
    pub limits: Limits,
    /// Which steps are taken.
    pub method: Method,
    /// b, samples in a batch; all of them where absent or not fewer.
    pub batch: Option<usize>,
    /// Epochs (all samples: calls) after which the run ends; shrinking steps reckon with it.
    pub epochs: usize,
    /// How the order of the samples is drawn.
    pub order: Order,
    /// Seed of that order.
    pub seed: u64,
    /// What is certified.
    pub measure: Measure,
    /// How much the run looks at itself.
    pub watch: Watch,
}

impl Default for Surrogate {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            method: Method::Automatic,
            batch: None,
            epochs: 100,
            order: Order::ChaCha,
            seed: 0,
            measure: Measure::Auto,
            watch: Watch::Everything,
        }
    }
}

/// Where a run starts.
#[derive(Debug, Clone, Default)]
pub enum Start<'a> {
    /// At zero.
    #[default]
    Zero,
    /// At given parameters: for linear models the coefficients and, where there is one, the intercept.
    Parameters(&'a [f64]),
    /// Where another run of the same solver on the same problem stood.
    Checkpoint(&'a Checkpoint),
}

impl Surrogate {
    /// Fits a linear model from zero. Its penalty must be a ridge or none.
    ///
    /// # Errors
    /// A model or an option that is not allowed. Not reaching the tolerance is a status.
    pub fn solve(&self, model: &LinearModel) -> Result<Fit, Error> {
        self.solve_with(model, Start::Zero, &mut Monitor::none())
    }

    /// Fits a linear model, watched by a monitor.
    ///
    /// # Errors
    /// As [`solve`](Self::solve); a start or a checkpoint that does not fit.
    pub fn solve_with(&self, model: &LinearModel, start: Start, monitor: &mut Monitor) -> Result<Fit, Error> {
        model.check()?;
        let targets = LinearTargets {
            design: &model.design,
            outputs: 1,
            intercept: model.intercept,
            offsets: model.offsets.as_deref(),
        };
        let ridge = ridge(model.design.columns(), |j| {
            model.penalty.piece(j, 0.0).map(|p| (p.slope, p.curvature, p.lower, p.upper))
        })?;
        let mut oracle = LossOracle::new(&*model.loss, &model.target, model.weights.as_deref());
        let solution = self.run(&targets, &mut oracle, ridge, Some(model), start, monitor)?;
        Ok(Fit::new(solution, model.design.columns(), 1, model.intercept))
    }

    /// Fits a multinomial model. Its penalty must be a ridge or none.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve_multinomial(
        &self,
        model: &MultinomialModel,
        start: Start,
        monitor: &mut Monitor,
    ) -> Result<Fit, Error> {
        model.check()?;
        let k = model.loss.classes;
        let targets = LinearTargets { outputs: k, ..LinearTargets::new(&model.design) };
        let ridge = ridge(model.unknowns(), |j| {
            model.penalty.piece(j, 0.0).map(|p| (p.slope, p.curvature, p.lower, p.upper))
        })?;
        let mut oracle = SoftmaxOracle { loss: model.loss, target: &model.target };
        let solution = self.run(&targets, &mut oracle, ridge, None, start, monitor)?;
        Ok(Fit::new(solution, model.design.columns(), k, false))
    }

    /// Minimises the mean loss of any map with any oracle.
    ///
    /// # Errors
    /// An option that is not allowed or not possible with this map and oracle; a start that does not fit; what the oracle
    /// reports, with the step.
    pub fn minimize(
        &self,
        model: &dyn TargetModel,
        oracle: &mut dyn Oracle,
        start: Start,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        self.run(model, oracle, Vec::new(), None, start, monitor)
    }

    fn run(
        &self,
        model: &dyn TargetModel,
        oracle: &mut dyn Oracle,
        ridge: Vec<f64>,
        linear: Option<&LinearModel>,
        start: Start,
        monitor: &mut Monitor,
    ) -> Result<Solution, Error> {
        let mut problem = Problem::new(model, oracle, ridge);
        let solver = Self { method: self.resolve(&mut problem)?, ..self.clone() };
        solver.check(&problem)?;
        let mut state = solver.start(&problem, start)?;
        problem.work = state.work;
        let origin = if state.step == 0 { state.theta.clone() } else { vec![0.0; state.theta.len()] };
        let certifier = match self.watch {
            Watch::Everything => Certifier::new(&mut problem, linear, self.measure, &origin)?,
            Watch::Nothing => Certifier::absolute(),
        };
        // iterations are epochs or calls; both limits hold
        let limits = Limits { max_iterations: self.limits.max_iterations, ..self.limits.clone() };
        let mut run = Run::start(&limits, monitor, &driver::COLUMNS);
        let (status, theta) = match solver.method {
            Method::FullBatch(options) => {
                let status = options.run(&mut problem, &mut state, &mut run, &certifier, self.epochs)?;
                (status, state.theta.clone())
            }
            _ => driver::run(&solver, &mut problem, &mut state, &mut run, &certifier)?,
        };
        let (objective, certificate) = driver::certify(&mut problem, &theta, &certifier)?;
        state.work = problem.work;
        Ok(Solution::new(&solver, theta, (status, objective, certificate), state, run))
    }

    /// What the automatic method stands for where that is clear before the first step.
    fn resolve(&self, problem: &mut Problem) -> Result<Method, Error> {
        let whole = self.batch.is_none_or(|b| b >= problem.model.samples());
        if self.method != Method::Automatic || !whole {
            return Ok(self.method);
        }
        let targets = problem.model.samples() * problem.model.outputs();
        let (point, all) = (vec![0.0; targets], problem.all.clone());
        let values = !all.is_empty() && problem.oracle.value(&all, &point).is_some();
        let curvature = !all.is_empty()
            && problem.model.outputs() == 1
            && problem.oracle.curvature(&all, &point, &mut vec![0.0; targets]);
        if problem.model.as_linear().is_some() {
            let memory = if values { FullBatch::default().memory } else { 0 };
            return Ok(Method::FullBatch(FullBatch { memory, refresh: curvature && values }));
        }
        let step = if problem.smoothness.is_none() && values {
            StepSize::Search(TargetSearch::default())
        } else {
            StepSize::default()
        };
        Ok(Method::Surrogate(BatchSurrogate {
            step,
            inner: Inner::Lbfgs { steps: 10 },
            metric: TargetMetric::Identity,
        }))
    }

    fn check(&self, problem: &Problem) -> Result<(), Error> {
        let option = |message: String| Err(Error::Option(message));
        self.limits.check().map_err(Error::Option)?;
        self.method.check().map_err(Error::Option)?;
        if problem.model.samples() == 0 {
            return Err(ModelError::Empty.into());
        }
        if problem.model.parameters() == 0 {
            return option("the model has no parameters".into());
        }
        if problem.model.samples() > u32::MAX as usize {
            return option(format!("{} samples; at most 2^32 - 1 are supported", problem.model.samples()));
        }
        if self.batch == Some(0) {
            return option("the batch has 0 samples; it needs at least 1".into());
        }
        let whole = self.batch.is_none_or(|b| b >= problem.model.samples());
        if matches!(self.method, Method::FullBatch(_)) && !whole {
            return option("the full-batch method takes all samples at once: leave the batch out".into());
        }
        let linear = problem.model.as_linear().is_some();
        let needs_linear = match self.method {
            Method::Population(_) | Method::Aggregate(_) | Method::FullBatch(_) => true,
            Method::Surrogate(options) => options.inner.needs_linear(),
            Method::Automatic | Method::Baseline(_) => false,
        };
        if needs_linear && !linear {
            return option(format!("the method '{}' is for linear maps", self.method.name()));
        }
        Ok(())
    }

    fn start(&self, problem: &Problem, start: Start) -> Result<Checkpoint, Error> {
        let d = problem.model.parameters();
        let options = format!(
            "{:?}, batch {:?}, epochs {}, order {:?}, seed {}, {} samples, {d} parameters",
            self.method,
            self.batch,
            self.epochs,
            self.order,
            self.seed,
            problem.model.samples()
        );
        let theta = match start {
            Start::Zero => vec![0.0; d],
            Start::Parameters(given) => given.to_vec(),
            Start::Checkpoint(saved) if saved.options != options => {
                return Err(Error::Checkpoint { found: saved.options.clone(), expected: options });
            }
            Start::Checkpoint(saved) => {
                let targets = problem.model.samples() * problem.model.outputs();
                if saved.fits(d, targets) {
                    return Ok(saved.clone());
                }
                return Err(Error::Damaged);
            }
        };
        if theta.len() != d {
            return Err(Error::Start { given: theta.len(), parameters: d });
        }
        if let Some(index) = theta.iter().position(|value| !value.is_finite()) {
            return Err(Error::StartValue { index, value: theta[index] });
        }
        Ok(Checkpoint { options, theta, shrunk: 1.0, ..Checkpoint::default() })
    }
}

/// Ridge weights of a penalty; empty for none. `piece` gives slope, curvature and ends of the penalty's piece at zero.
fn ridge(columns: usize, piece: impl Fn(usize) -> Option<(f64, f64, f64, f64)>) -> Result<Vec<f64>, Error> {
    let mut weights = Vec::with_capacity(columns);
    for j in 0..columns {
        match piece(j) {
            Some((0.0, curvature, f64::NEG_INFINITY, f64::INFINITY)) => weights.push(curvature),
            _ => {
                let message = "surrogates take a ridge (l2) or no penalty: neither l1 nor bounds";
                return Err(Error::Option(message.into()));
            }
        }
    }
    if weights.iter().all(|&weight| weight == 0.0) {
        weights.clear();
    }
    Ok(weights)
}
