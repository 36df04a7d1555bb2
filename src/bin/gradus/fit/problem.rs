//! What a fit solves: a linear model, a multinomial one or a support vector machine, with a penalty whose l1 varies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gradus::control::{Monitor, Status, Summary};
use gradus::coordinate::path::Family;
use gradus::coordinate::{Error, Fit, MultinomialFit, MultinomialStart, Start, SupportVectorMachine};
use gradus::linalg::DesignMatrix;
use gradus::problem::penalty::{Bounded, ElasticNet, Group, Penalty};
use gradus::problem::{LinearModel, ModelError, MultinomialModel};

use crate::solver::Solver;

/// The answer of a fit: k coefficients for each feature, k intercepts; k = 1 but for several classes.
#[derive(Clone)]
pub struct Fitted {
    /// Feature by feature.
    pub coefficients: Vec<f64>,
    /// One per class, zeros where none were asked for.
    pub intercepts: Vec<f64>,
    /// The run.
    pub summary: Summary,
}

impl From<Fit> for Fitted {
    fn from(fit: Fit) -> Self {
        Self { coefficients: fit.coefficients, intercepts: vec![fit.intercept], summary: fit.summary }
    }
}

impl From<MultinomialFit> for Fitted {
    fn from(fit: MultinomialFit) -> Self {
        Self { coefficients: fit.coefficients, intercepts: fit.intercepts, summary: fit.summary }
    }
}

impl Fitted {
    /// Number of coefficients that are not zero.
    pub fn nonzeros(&self) -> usize {
        self.coefficients.iter().filter(|&&x| x != 0.0).count()
    }
}

/// Everything of the penalty but l1.
#[derive(Clone, Default)]
pub struct Shape {
    pub l2: f64,
    /// Factors of both parts, one per feature.
    pub weights: Option<Vec<f64>>,
    /// Bounds of every coefficient.
    pub bounds: Option<(f64, f64)>,
    /// Groups of features that are zero as a whole or not at all.
    pub groups: Option<Vec<Vec<usize>>>,
}

impl Shape {
    /// The separable penalty at an l1, for `classes` coefficients a feature.
    fn at(&self, l1: f64, features: usize, classes: usize) -> Arc<dyn Penalty> {
        let repeat = |weights: &Vec<f64>| -> Vec<f64> {
            weights.iter().flat_map(|&w| std::iter::repeat_n(w, classes)).collect()
        };
        let net = ElasticNet { l1, l2: self.l2, weights: self.weights.as_ref().map(repeat) };
        let unknowns = features * classes;
        match self.bounds {
            None => Arc::new(net),
            Some((lower, upper)) => {
                Arc::new(Bounded { inner: net, lower: vec![lower; unknowns], upper: vec![upper; unknowns] })
            }
        }
    }
}

/// Data and loss.
#[derive(Clone)]
pub enum Data {
    Linear(LinearModel),
    Softmax(MultinomialModel),
    /// Classes -1 and +1 under the hinge loss.
    Hinge {
        design: DesignMatrix,
        target: Vec<f64>,
        weights: Option<Vec<f64>>,
    },
}

/// A problem and how it is solved.
#[derive(Clone)]
pub struct Problem {
    pub data: Data,
    pub shape: Shape,
    pub solver: Solver,
    pub seed: u64,
    /// When the time limit of all fits together ends.
    pub deadline: Option<Instant>,
}

impl Problem {
    fn design(&self) -> &DesignMatrix {
        match &self.data {
            Data::Linear(model) => &model.design,
            Data::Softmax(model) => &model.design,
            Data::Hinge { design, .. } => design,
        }
    }

    /// Name of the loss.
    pub fn loss_name(&self) -> &'static str {
        match &self.data {
            Data::Linear(model) => model.loss.name(),
            Data::Softmax(_) => "softmax",
            Data::Hinge { .. } => "hinge",
        }
    }

    /// The smallest l1 for which every coefficient is zero, column weights and groups left out of account by the
    /// definition for a plain l1 penalty, with groups the like for their norms; none for the hinge loss.
    pub fn l1_max(&self) -> Result<Option<f64>, ModelError> {
        match (&self.data, &self.shape.groups) {
            (Data::Linear(model), Some(groups)) => {
                let group = Group { l1: 1.0, groups: groups.clone(), weights: None };
                model.group_l1_max(&group).map(Some)
            }
            (Data::Linear(model), None) => model.l1_max().map(Some),
            (Data::Softmax(model), _) => model.l1_max().map(Some),
            (Data::Hinge { .. }, _) => Ok(None),
        }
    }

    /// The fits share a time limit: what is left of it.
    fn limited(&self) -> Solver {
        let mut solver = self.solver.clone();
        if let Some(deadline) = self.deadline {
            *solver.time_limit() = Some(deadline.saturating_duration_since(Instant::now()));
        }
        solver
    }

    /// Lets a time limit of the solver count from now on for all fits together.
    pub fn start_clock(&mut self) {
        let limit: Option<Duration> = *self.solver.time_limit();
        self.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    }
}

impl Family for Problem {
    type Fit = Fitted;

    fn rows(&self) -> usize {
        self.design().rows()
    }

    fn fit(&self, l1: f64, start: Option<&Fitted>, monitor: &mut Monitor) -> Result<Fitted, Error> {
        let solver = self.limited();
        let features = self.design().columns();
        Ok(match &self.data {
            Data::Linear(model) => {
                let start =
                    start.map(|fit| Start { coefficients: &fit.coefficients, intercept: fit.intercepts[0] });
                if let Some(groups) = &self.shape.groups {
                    let group = Group { l1, groups: groups.clone(), weights: None };
                    return Ok(solver.solve_groups(model, &group, start, monitor)?.into());
                }
                let model = LinearModel { penalty: self.shape.at(l1, features, 1), ..model.clone() };
                solver.solve_with(&model, start, monitor)?.into()
            }
            Data::Softmax(model) => {
                let penalty = self.shape.at(l1, features, model.loss.classes);
                let model = MultinomialModel { penalty, ..model.clone() };
                let start = start.map(|fit| MultinomialStart {
                    coefficients: &fit.coefficients,
                    intercepts: &fit.intercepts,
                });
                solver.solve_multinomial(&model, start, monitor)?.into()
            }
            Data::Hinge { design, target, weights } => {
                let machine = SupportVectorMachine { limits: solver.limits().clone(), seed: self.seed };
                machine.solve(design, target, weights.as_deref(), self.shape.l2, monitor)?.into()
            }
        })
    }

    fn status(fit: &Fitted) -> Status {
        fit.summary.status
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        let pick = |values: &Vec<f64>| rows.iter().map(|&r| values[r]).collect::<Vec<f64>>();
        let data = match &self.data {
            Data::Linear(model) => Data::Linear(model.select_rows(rows)),
            Data::Softmax(model) => Data::Softmax(model.select_rows(rows)),
            Data::Hinge { design, target, weights } => Data::Hinge {
                design: design.select_rows(rows),
                target: pick(target),
                weights: weights.as_ref().map(pick),
            },
        };
        Self { data, ..self.clone() }
    }

    fn loss(&self, fit: &Fitted) -> f64 {
        match &self.data {
            Data::Linear(model) => {
                let mut z = vec![0.0; self.rows()];
                model.predictors(&fit.coefficients, fit.intercepts[0], &mut z);
                model.loss_value(&z, &model.row_weights())
            }
            Data::Softmax(model) => {
                let k = model.loss.classes;
                let (mut z, mut p) = (vec![0.0; self.rows() * k], vec![0.0; k]);
                model.design.multiply_many(k, &fit.coefficients, &mut z);
                let one = |(z, &class): (&mut [f64], &usize)| {
                    z.iter_mut().zip(&fit.intercepts).for_each(|(z, b)| *z += b);
                    model.loss.value(z, class, &mut p)
                };
                z.chunks_exact_mut(k).zip(&model.target).map(one).sum::<f64>() / self.rows() as f64
            }
            // no l1, no path
            Data::Hinge { .. } => f64::NAN,
        }
    }
}
