//! From the options to a trained network.

use anyhow::anyhow;
use gradus::control::{Limits, Monitor, Summary};
use gradus::linalg::DesignMatrix;
use gradus::problem::Classes;
use gradus::read::libsvm::LabelledData;
use gradus::relu::gated::GatedRelu;
use gradus::relu::path::{beta_max, path_values};
use gradus::relu::robust::{Attack, Budget, Norm, attack};
use gradus::relu::{
    ConvexRelu, Error, Level, Loss, Network, Patterns, Refinement, RobustRelu, SampledProgram, Solution,
    Training,
};
use serde::Serialize;

use super::{Arguments, MethodName, NormName};
use crate::dataset::{self, Preparation};
use crate::output::Failure;
use crate::watch;

/// What every way of training leaves.
pub struct Answer {
    pub network: Network,
    pub gates: Vec<Vec<f64>>,
    pub patterns: usize,
    pub network_objective: f64,
    pub convex_objective: Option<f64>,
    pub lower_bound: Option<f64>,
    pub cone_violation: Option<f64>,
    pub largest_activation: Option<f64>,
    pub level: Option<Level>,
    pub pricing_ratio: Option<f64>,
    /// Exact worst-case losses of the training rows, for robust training.
    pub worst_losses: Option<Vec<f64>>,
    pub summary: Summary,
}

/// One value of a path.
#[derive(Serialize)]
pub struct PathPoint {
    pub beta: f64,
    pub objective: f64,
    pub certificate: f64,
    pub neurons: usize,
    pub validation_accuracy: Option<f64>,
    pub validation_rmse: Option<f64>,
}

/// A path, and the beta that did best on the rows held out.
#[derive(Default)]
pub struct Path {
    pub points: Vec<PathPoint>,
    pub chosen: Option<f64>,
}

/// Accuracies under attack.
#[derive(Serialize)]
pub struct Attacks {
    pub fgsm: f64,
    pub pgd: f64,
    pub test_fgsm: Option<f64>,
    pub test_pgd: Option<f64>,
    /// Share of the training rows whose class no perturbation can change.
    pub certified: f64,
}

/// One training, from prepared rows.
pub struct Job<'a> {
    pub arguments: &'a Arguments,
    pub limits: Limits,
    pub data: &'a LabelledData,
    pub target: Vec<f64>,
    pub beta: f64,
}

impl Job<'_> {
    /// Standardised rows with their bias, and the problem.
    pub fn training(&self) -> Result<(Preparation, Training), Failure> {
        self.training_on(self.data, &self.target)
    }

    fn training_on(&self, data: &LabelledData, target: &[f64]) -> Result<(Preparation, Training), Failure> {
        let (standardize, bias) = (self.arguments.standardize, self.arguments.bias);
        let (preparation, design) = Preparation::fit(data.matrix.clone(), standardize, bias)?;
        let scale = if self.arguments.average { target.len().max(1) as f64 } else { 1.0 };
        let loss = self.arguments.loss.loss();
        let training = Training::new(&design, target.to_vec(), loss, self.beta * scale);
        Ok((preparation, training.map_err(|error| self.failure(error))?))
    }

    /// Errors with the name of the option or of the file.
    fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Option(message) => Failure::Usage(message),
            Error::Beta(_) => Failure::Usage(format!("--{error}")),
            other => Failure::Input(anyhow::Error::new(other).context(self.arguments.data.clone())),
        }
    }

    fn solver(&self) -> ConvexRelu {
        ConvexRelu {
            limits: self.limits.clone(),
            method: self.arguments.method.method(),
            patterns: self.arguments.patterns,
            seed: self.arguments.common.seed,
            ..ConvexRelu::default()
        }
    }

    fn patterns(&self, training: &Training) -> Result<Patterns, Failure> {
        let solver = self.solver();
        if !self.arguments.all_patterns {
            return Patterns::sample(training, solver.patterns, solver.seed).map_err(|e| self.failure(e));
        }
        let none = "--all-patterns needs data of rank one or two; others have too many patterns to list";
        Patterns::enumerate(training).ok_or(Failure::Usage(none.into()))
    }

    /// Trains as the options say.
    pub fn solve(&self, training: &Training) -> Result<Answer, Failure> {
        let arguments = self.arguments;
        let mut monitor = watch::monitor(&arguments.common, 1);
        let fail = |error| self.failure(error);
        if let Some(epsilon) = arguments.robust {
            return self.robust(training, epsilon, &mut monitor);
        }
        match arguments.method {
            MethodName::Sampled => {
                let (neurons, seed) = (arguments.patterns, arguments.common.seed);
                let solver = SampledProgram { limits: self.limits.clone(), neurons, seed };
                let solution = solver.solve(training, &mut monitor).map_err(fail)?;
                Ok(Answer::plain(solution.network, training, solution.summary, neurons))
            }
            MethodName::Gated => {
                let patterns = self.patterns(training)?;
                let solver = GatedRelu { limits: self.limits.clone(), ..GatedRelu::default() };
                let solution = solver.solve(training, &patterns, &mut monitor).map_err(fail)?;
                let mut answer = Answer::plain(solution.network, training, solution.summary, patterns.len());
                answer.network_objective = answer.summary.objective;
                answer.lower_bound = Some(solution.lower_bound);
                answer.gates = solution.gates;
                Ok(answer)
            }
            _ if arguments.refine => {
                let (starts, rounds) = (arguments.starts, arguments.rounds);
                let refinement = Refinement { starts, rounds, ..Refinement::default() };
                let refined = self.solver().refine(training, &refinement, None, &mut monitor);
                refined.map(Answer::from).map_err(fail)
            }
            _ => {
                let patterns = self.patterns(training)?;
                let solved = self.solver().solve_over(training, patterns, None, &mut monitor);
                solved.map(Answer::from).map_err(fail)
            }
        }
    }

    fn budget(&self, training: &Training, epsilon: f64) -> Budget {
        let norm = match self.arguments.robust_norm {
            NormName::Linf => Norm::Infinity,
            NormName::L2 => Norm::Euclidean,
        };
        Budget { norm, epsilon, perturbed: training.columns() - usize::from(self.arguments.bias) }
    }

    fn robust(&self, training: &Training, epsilon: f64, monitor: &mut Monitor) -> Result<Answer, Failure> {
        let solver = RobustRelu {
            limits: self.limits.clone(),
            patterns: self.arguments.patterns,
            seed: self.arguments.common.seed,
            ..RobustRelu::new(self.budget(training, epsilon))
        };
        let solution = solver.solve(training, monitor).map_err(|e| self.failure(e))?;
        let evaluation = solution.blocks.evaluate(training, &solution.patterns);
        let mut answer = Answer::plain(
            solution.network.clone(),
            training,
            solution.summary.clone(),
            solution.patterns.len(),
        );
        answer.convex_objective = Some(evaluation.objective);
        answer.cone_violation = Some(evaluation.violation);
        answer.largest_activation = Some(evaluation.largest);
        answer.lower_bound = Some(solution.lower_bound);
        answer.worst_losses = Some(solution.worst_losses);
        Ok(answer)
    }

    /// The regularisation path, where one is asked for.
    pub fn path(&self) -> Result<Path, Failure> {
        let Some(n) = self.arguments.path else { return Ok(Path::default()) };
        let held_out = self.arguments.validation_every;
        let (rows, targets, validation) = match held_out {
            None => (self.data.clone(), self.target.clone(), None),
            Some(k) => {
                let labelled = LabelledData { matrix: self.data.matrix.clone(), labels: self.target.clone() };
                if k > self.target.len() {
                    let message =
                        format!("{} rows: --validation-every {k} would hold out none", self.target.len());
                    return Err(Failure::Input(anyhow!(message)));
                }
                let (rest, validation) = dataset::split_every(labelled, k);
                (rest.clone(), rest.labels, Some(validation))
            }
        };
        let (preparation, training) = self.training_on(&rows, &targets)?;
        let patterns = self.patterns(&training)?;
        let largest = beta_max(&training, &patterns).map_err(|e| self.failure(e))?;
        let betas = path_values(largest, training.beta(), n);
        let mut monitor = watch::monitor(&self.arguments.common, n);
        let solved = self.solver().path(&training, &patterns, &betas, &mut monitor);
        let solutions = solved.map_err(|e| self.failure(e))?;
        let scale = training.beta() / self.beta;
        let points: Vec<PathPoint> = solutions
            .iter()
            .zip(&betas)
            .map(|(solution, beta)| {
                let score = validation.as_ref().map(|rows| self.score(solution, &preparation, rows));
                PathPoint {
                    beta: beta / scale,
                    objective: solution.objective / scale,
                    certificate: solution.certificate.relative,
                    neurons: solution.network.neurons(),
                    validation_accuracy: score.and_then(|s| s.0),
                    validation_rmse: score.map(|s| s.1),
                }
            })
            .collect();
        // the larger beta of equally good ones
        let worth = |p: &PathPoint| p.validation_accuracy.or(p.validation_rmse.map(|r| -r));
        let best =
            points.iter().filter(|p| worth(p).is_some()).fold(
                None,
                |best: Option<&PathPoint>, p| match best {
                    Some(b) if worth(b) >= worth(p) => Some(b),
                    _ => Some(p),
                },
            );
        Ok(Path { chosen: best.map(|p| p.beta), points })
    }

    /// Accuracy (for classes) and root mean squared error on rows whose labels are targets.
    fn score(
        &self,
        solution: &Solution,
        preparation: &Preparation,
        rows: &LabelledData,
    ) -> (Option<f64>, f64) {
        let loss = self.arguments.loss.loss().name();
        let file = super::file::NetworkFile::new(loss, &solution.network, &[], preparation, None, self.beta);
        let z = file.predictors(&rows.matrix);
        let two = self.target.iter().all(|y| y.abs() == 1.0) && !self.arguments.regression;
        let accuracy = two.then(|| gradus::relu::network::accuracy(&z, &rows.labels));
        let squares: f64 = z.iter().zip(&rows.labels).map(|(z, y)| (z - y) * (z - y)).sum();
        (accuracy, (squares / z.len().max(1) as f64).sqrt())
    }

    /// Attacks the network on the training rows, and on test rows where they have both classes.
    pub fn attack(
        &self,
        training: &Training,
        answer: &Answer,
        preparation: &Preparation,
        test: Option<&LabelledData>,
        classes: Option<Classes>,
    ) -> Result<Attacks, Failure> {
        let budget = self.budget(training, self.arguments.robust.unwrap_or(0.0));
        let both = |training: &Training| {
            [Attack::fast_gradient_sign(), Attack::projected_gradient(40, self.arguments.common.seed)]
                .map(|method| attack(&answer.network, training, &budget, &method).accuracy(training.target()))
        };
        let [fgsm, pgd] = both(training);
        let tested = test.and_then(|rows| {
            let target = rows.labels.iter().map(|&label| match classes {
                Some(classes) => {
                    if label == classes.positive {
                        1.0
                    } else {
                        -1.0
                    }
                }
                None => label,
            });
            let design = prepared(preparation, rows, training.columns()).ok()?;
            let loss = self.arguments.loss.loss();
            Training::new(&design, target.collect(), loss, training.beta()).ok().map(|t| both(&t))
        });
        // a row is certified where its worst loss is below that of the margin zero
        let losses = answer.worst_losses.iter().flatten().zip(training.target());
        let safe = losses.filter(|(worst, y)| **worst < Loss::value(training.loss(), 0.0, **y)).count();
        Ok(Attacks {
            fgsm,
            pgd,
            test_fgsm: tested.map(|t| t[0]),
            test_pgd: tested.map(|t| t[1]),
            certified: safe as f64 / training.rows() as f64,
        })
    }
}

/// Rows prepared as the training rows were; features that training has not seen are left out.
fn prepared(preparation: &Preparation, rows: &LabelledData, width: usize) -> Result<DesignMatrix, Failure> {
    let columns = width - usize::from(preparation.bias);
    let n = rows.labels.len();
    let mut values = vec![0.0; n * width];
    for (i, row) in rows.matrix.outer_iterator().enumerate() {
        for (j, &value) in row.iter().filter(|(j, _)| *j < columns) {
            values[j * n + i] = value;
        }
    }
    if preparation.bias {
        values[n * columns..].fill(1.0);
    }
    let design = DesignMatrix::from_dense(n, width, values)?;
    Ok(match &preparation.standardization {
        Some(standardization) => design.standardized(standardization.clone())?,
        None => design,
    })
}

impl Answer {
    /// A network with its own objective, and nothing proved.
    fn plain(network: Network, training: &Training, summary: Summary, patterns: usize) -> Self {
        Self {
            network_objective: network.objective(training),
            network,
            gates: Vec::new(),
            patterns,
            convex_objective: None,
            lower_bound: None,
            cone_violation: None,
            largest_activation: None,
            level: None,
            pricing_ratio: None,
            worst_losses: None,
            summary,
        }
    }
}

impl From<Solution> for Answer {
    fn from(solution: Solution) -> Self {
        Self {
            network: solution.network,
            gates: Vec::new(),
            patterns: solution.patterns.len(),
            network_objective: solution.network_objective,
            convex_objective: Some(solution.convex_objective),
            lower_bound: Some(solution.lower_bound),
            cone_violation: Some(solution.cone_violation),
            largest_activation: Some(solution.largest_activation),
            level: Some(solution.level),
            pricing_ratio: solution.pricing_ratio,
            worst_losses: None,
            summary: solution.summary,
        }
    }
}
