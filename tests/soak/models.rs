//! Linear models: every loss and penalty, groups, classes, support vectors, blocks, graphs.

use std::sync::Arc;

use gradus::control::Monitor;
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::graph::LabelPropagation;
use gradus::coordinate::{CoordinateDescent, Measure, Start, SupportVectorMachine, certify};
use gradus::problem::loss::{self, Huber, Loss};
use gradus::problem::penalty::{Bounded, ElasticNet, Group, Penalty};
use gradus::problem::{BoxQuadratic, LinearModel, MultinomialModel};

use super::random::{Damage, Random};
use super::{Answer, Trial};

fn refused(name: &str, error: String) -> Trial {
    Trial::new(name, 0, move |_, _| Err(error.clone()))
}

fn losses(random: &mut Random) -> Arc<dyn Loss> {
    let name = random.choose(&["squared", "logistic", "squared-hinge", "huber", "poisson"]);
    if name == "huber" {
        let delta = random.option(&[0.3, 1.0, 1e-3]);
        return Arc::new(Huber { delta });
    }
    loss::by_name(name).unwrap()
}

/// A class; what is no number stays so.
fn sign(v: f64) -> f64 {
    if v.is_finite() { if v > 0.0 { 1.0 } else { -1.0 } } else { v }
}

fn targets(random: &mut Random, loss: &dyn Loss, n: usize) -> Vec<f64> {
    let raw = random.numbers(n);
    match loss.name() {
        _ if loss.is_classification() => raw.into_iter().map(sign).collect(),
        "poisson" => raw.into_iter().map(|v| (2.0 * v.abs()).floor()).collect(),
        _ => raw,
    }
}

fn net(random: &mut Random, columns: usize) -> ElasticNet {
    let l1 = random.option(&[0.0, 0.01, 0.3, 10.0]);
    let l2 = random.option(&[0.0, 0.0, 0.01, 1.0, 1e-12]);
    let weights = random.chance(4).then(|| random.positive(columns));
    ElasticNet { l1, l2, weights }
}

fn model(random: &mut Random) -> Result<LinearModel, String> {
    let (n, p) = (random.size(30, 300), random.size(20, 250));
    let design = random.design(n, p)?;
    let loss = losses(random);
    let target = targets(random, &*loss, n);
    let inner = net(random, p);
    let penalty: Arc<dyn Penalty> = match random.below(4) {
        0 => {
            let lower = random.positive(p).into_iter().map(|v| -v).collect();
            Arc::new(Bounded { inner, lower, upper: random.positive(p) })
        }
        1 => Arc::new(Bounded::non_negative(inner, p)),
        _ => Arc::new(inner),
    };
    let weights = random.chance(4).then(|| random.positive(n));
    let offsets = random.chance(5).then(|| random.numbers(n));
    let intercept = random.chance(2);
    Ok(LinearModel { design, target, loss, penalty, weights, offsets, intercept })
}

pub fn linear(random: &mut Random) -> Trial {
    let model = match model(random) {
        Ok(model) => model,
        Err(error) => return refused("linear", error),
    };
    let p = model.design.columns();
    let start = random.chance(4).then(|| random.numbers(p));
    let solver = CoordinateDescent { working_set: random.choose(&[1, 2, 20]), ..Default::default() };
    let name = format!("linear {} {:?} {} x {p}", model.loss.name(), random.damage, model.design.rows());
    let target = model.target.clone();
    let given = start.clone().unwrap_or_default();
    let trial = Trial::new(name, 3000, move |limits, monitor| {
        let solver = CoordinateDescent { limits: limits.clone(), ..solver.clone() };
        let start = start.as_deref().map(|coefficients| Start { coefficients, intercept: 0.0 });
        let fit = solver.solve_with(&model, start, monitor).map_err(|error| error.to_string())?;
        let values = fit.coefficients.iter().copied().chain([fit.intercept]).collect();
        let (objective, certificate) = certify(&model, &fit.coefficients, fit.intercept, Measure::Auto)
            .map_err(|error| error.to_string())?;
        Ok(Answer::new(values, &fit.summary)
            .with_gap(&fit.summary)
            // the same function of the same point: the same bits
            .require(fit.objective.to_bits() == objective.to_bits(), || {
                format!("the objective is said to be {:e}, and is {objective:e}", fit.objective)
            })
            .certified(certificate.relative, limits.tolerance))
    });
    trial.on(&[&target, &given])
}

fn groups(random: &mut Random, p: usize) -> Group {
    let size = 1 + random.below(4);
    let all: Vec<usize> = (0..p).collect();
    let mut groups: Vec<Vec<usize>> = all.chunks(size).map(<[usize]>::to_vec).collect();
    if random.chance(5) {
        groups.pop();
    }
    let weights = random.chance(4).then(|| random.positive(groups.len()));
    Group { l1: random.option(&[0.0, 0.01, 0.2, 5.0]), groups, weights }
}

/// Groups of columns, several classes, the hinge.
pub fn other(random: &mut Random) -> Trial {
    let damage = random.damage;
    let (n, p) = (random.size(30, 200), random.size(15, 150));
    match random.below(3) {
        0 => {
            let model = match model(random) {
                Ok(model) => model,
                Err(error) => return refused("groups", error),
            };
            let group = groups(random, model.design.columns());
            let target = model.target.clone();
            let name = format!("groups {} {damage:?}", model.loss.name());
            let trial = Trial::new(name, 3000, move |limits, monitor| {
                let solver = CoordinateDescent { limits: limits.clone(), ..Default::default() };
                let fit =
                    solver.solve_groups(&model, &group, None, monitor).map_err(|error| error.to_string())?;
                let values = fit.coefficients.iter().copied().chain([fit.intercept]).collect();
                Ok(Answer::new(values, &fit.summary).with_gap(&fit.summary))
            });
            trial.on(&[&target])
        }
        1 => {
            let design = match random.design(n, p) {
                Ok(design) => design,
                Err(error) => return refused("multinomial", error),
            };
            let classes = 2 + random.below(3);
            let target = (0..n).map(|_| random.below(classes)).collect();
            let net = net(random, p * classes);
            let model = MultinomialModel {
                intercept: random.chance(2),
                ..MultinomialModel::new(design, target, classes, net)
            };
            Trial::new(format!("multinomial {damage:?} {n} x {p}"), 3000, move |limits, monitor| {
                let solver = CoordinateDescent { limits: limits.clone(), ..Default::default() };
                let fit =
                    solver.solve_multinomial(&model, None, monitor).map_err(|error| error.to_string())?;
                let values = fit.coefficients.iter().chain(&fit.intercepts).copied().collect();
                Ok(Answer::new(values, &fit.summary).with_gap(&fit.summary))
            })
        }
        _ => {
            let design = match random.design(n, p) {
                Ok(design) => design,
                Err(error) => return refused("hinge", error),
            };
            let raw = random.numbers(n);
            let target: Vec<f64> = raw.into_iter().map(sign).collect();
            let labels = target.clone();
            let weights = random.chance(3).then(|| random.positive(n));
            let l2 = random.option(&[1e-3, 0.1, 10.0, 0.0]);
            let seed = random.seed();
            let given = weights.clone().unwrap_or_default();
            let trial = Trial::new(format!("hinge {damage:?} {n} x {p}"), 3000, move |limits, monitor| {
                let solver = SupportVectorMachine { limits: limits.clone(), seed };
                let fit = solver
                    .solve(&design, &target, weights.as_deref(), l2, monitor)
                    .map_err(|error| error.to_string())?;
                Ok(Answer::new(fit.coefficients.clone(), &fit.summary).with_gap(&fit.summary))
            });
            trial.on(&[&labels, &given])
        }
    }
}

fn block_solver(random: &mut Random) -> BlockCoordinateDescent {
    let rule = random.choose(&Rule::NAMES).1;
    let update = random.choose(&UpdateRule::NAMES).1;
    let partition = random.choose(&[
        Partition::Variable,
        Partition::Variable,
        Partition::Order,
        Partition::Sort,
        Partition::Average,
    ]);
    BlockCoordinateDescent {
        rule,
        update,
        partition,
        block_size: random.below(6),
        check_every: random.below(4),
        seed: random.seed(),
        ..Default::default()
    }
}

pub fn blocks(random: &mut Random) -> Trial {
    let solver = block_solver(random);
    let damage = random.damage;
    let name = format!("blocks {:?} {:?} {:?} {damage:?}", solver.partition, solver.rule, solver.update);
    if random.chance(3) {
        let n = random.size(20, 60);
        let bounds = random.chance(2).then(|| {
            let lower = random.positive(n).into_iter().map(|v| -v).collect();
            (lower, random.positive(n))
        });
        let problem = BoxQuadratic { matrix: random.symmetric(n), linear: random.numbers(n), bounds };
        let (matrix, linear) = (problem.matrix.data().to_vec(), problem.linear.clone());
        let trial = Trial::new(format!("{name} quadratic"), 5000, move |limits, monitor| {
            let solver = BlockCoordinateDescent { limits: limits.clone(), ..solver.clone() };
            let solution =
                solver.solve_quadratic(&problem, None, monitor).map_err(|error| error.to_string())?;
            Ok(Answer::new(solution.x, &solution.summary).with_gap(&solution.summary))
        });
        return trial.on(&[&matrix, &linear]);
    }
    let model = match model(random) {
        Ok(model) => model,
        Err(error) => return refused("blocks", error),
    };
    let target = model.target.clone();
    let trial = Trial::new(format!("{name} {}", model.loss.name()), 5000, move |limits, monitor| {
        let solver = BlockCoordinateDescent { limits: limits.clone(), ..solver.clone() };
        let fit = solver.solve_with(&model, None, monitor).map_err(|error| error.to_string())?;
        let values = fit.coefficients.iter().copied().chain([fit.intercept]).collect();
        Ok(Answer::new(values, &fit.summary).with_gap(&fit.summary))
    });
    trial.on(&[&target])
}

pub fn graph(random: &mut Random) -> Trial {
    let n = random.size(25, 80);
    let mut weights = random.symmetric(n);
    weights.data_mut().iter_mut().for_each(|w| *w = w.abs());
    let count = 1 + random.below(n.max(1));
    let given = random.numbers(count);
    let labels: Vec<(usize, f64)> =
        given.into_iter().enumerate().map(|(k, v)| ((k * 7) % n.max(1), v)).collect();
    let rule = random.choose(&[
        (Partition::Variable, Rule::GreedyForest),
        (Partition::Forests, Rule::Cyclic),
        (Partition::Colours, Rule::Cyclic),
        (Partition::Variable, Rule::RandomForest),
    ]);
    let conjugate = random.chance(4);
    let preconditioned = random.chance(2);
    let damage = random.damage;
    let (edges, known): (_, Vec<f64>) =
        (weights.data().to_vec(), labels.iter().map(|label| label.1).collect());
    let name = format!("graph {rule:?} {damage:?} {n}");
    let trial = Trial::new(name, 5000, move |limits, monitor: &mut Monitor| {
        let problem = LabelPropagation::new(&weights, &labels).map_err(|error| error.to_string())?;
        let (values, summary) = if conjugate {
            problem.solve_by_conjugate_gradients(preconditioned, limits, monitor)
        } else {
            let solver = BlockCoordinateDescent {
                limits: limits.clone(),
                partition: rule.0.clone(),
                rule: rule.1,
                update: UpdateRule::Forest,
                ..Default::default()
            };
            problem.solve(&solver, monitor)
        }
        .map_err(|error| error.to_string())?;
        // values lie between the least and the largest label, whatever the weights
        let (low, high) =
            labels.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), l| (a.min(l.1), b.max(l.1)));
        let solved = summary.status == gradus::control::Status::Solved && limits.tolerance <= 1e-6;
        let mut answer = Answer::new(values, &summary).with_gap(&summary);
        let slack = 1e-3 * (high - low).abs().max(low.abs()).max(high.abs());
        if solved
            && damage != Damage::Graded
            && answer.values.iter().any(|v| *v < low - slack || *v > high + slack)
        {
            answer.flaw = Some("a value beyond all labels".into());
        }
        Ok(answer)
    });
    trial.on(&[&edges, &known])
}
