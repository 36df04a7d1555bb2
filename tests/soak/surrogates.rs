//! Linear models by target-space surrogates and the methods beside them.

use gradus::control::Monitor;
use gradus::linalg::DesignMatrix;
use gradus::problem::loss;
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{LinearModel, MultinomialModel};
use gradus::surrogate::{
    Aggregate, Baseline, BatchSurrogate, FullBatch, Inner, Method, Order, Population, Schedule, Start,
    StepSize, Surrogate, TargetMetric, TargetSearch, Variance,
};
use std::sync::Arc;

use super::random::Random;
use super::{Answer, Trial};

fn method(random: &mut Random) -> Method {
    let rate = random.option(&[0.01, 0.5, 1e6]);
    let metric = random.choose(&[
        TargetMetric::Identity,
        TargetMetric::Scalar,
        TargetMetric::Diagonal,
        TargetMetric::Newton,
        TargetMetric::Adam,
    ]);
    let step = random.choose(&[
        StepSize::default(),
        StepSize::Search(TargetSearch::default()),
        StepSize::Fixed { eta: Some(0.1), schedule: Schedule::Sqrt },
    ]);
    let inner = random.choose(&[Inner::ConjugateGradient { steps: 5 }, Inner::Exact { damping: 1e-8 }]);
    let variance = random.choose(&[Variance::Plain, Variance::Snapshot, Variance::Table]);
    let refresh = random.chance(2);
    let memory = random.choose(&[0, 5]);
    let baseline = random.choose(&[
        Baseline::Sgd { rate, schedule: Schedule::Sqrt },
        Baseline::LineSearch { sufficient_decrease: 0.1 },
        Baseline::Adagrad { rate },
        Baseline::Adam { rate },
        Baseline::Svrg { rate },
    ]);
    random.choose(&[
        Method::Automatic,
        Method::Surrogate(BatchSurrogate { step, inner, metric }),
        Method::Population(Population { variance, refresh, ..Default::default() }),
        Method::Aggregate(Aggregate::default()),
        Method::FullBatch(FullBatch { memory, refresh }),
        Method::Baseline(baseline),
    ])
}

fn solve(
    solver: &Surrogate,
    parts: &(Result<DesignMatrix, String>, Vec<f64>, ElasticNet, bool),
    name: &str,
    monitor: &mut Monitor,
) -> Result<Answer, String> {
    let (design, target, penalty, intercept) = parts;
    let design = design.as_ref().map_err(String::clone)?.clone();
    let fit = if name == "softmax" {
        let classes = target.iter().map(|v| if *v > 0.5 { 2 } else { usize::from(*v > 0.0) }).collect();
        let model = MultinomialModel::new(design, classes, 3, penalty.clone());
        solver.solve_multinomial(&model, Start::Zero, monitor)
    } else {
        let loss = loss::by_name(name).unwrap();
        let sign = |v: &f64| if v.is_finite() { if *v > 0.0 { 1.0 } else { -1.0 } } else { *v };
        let target = match name {
            "squared" | "huber" => target.clone(),
            "poisson" => target.iter().map(|v| (2.0 * v.abs()).floor()).collect(),
            _ => target.iter().map(sign).collect(),
        };
        let model = LinearModel {
            loss,
            penalty: Arc::new(penalty.clone()),
            intercept: *intercept,
            ..LinearModel::lasso(design, target, 0.0)
        };
        solver.solve_with(&model, Start::Zero, monitor)
    }
    .map_err(|error| error.to_string())?;
    let values = fit.checkpoint.parameters().to_vec();
    let answer = Answer::new(values, &fit.summary).with_gap(&fit.summary);
    // small batches promise nothing about the last point, all samples do
    let start = fit.history.records.first().map_or(f64::NAN, |record| record.objective);
    let promised = solver.batch.is_none() && solver.method == Method::Automatic;
    let worse = promised && fit.objective > start + 1e-12 * start.abs();
    Ok(answer.require(!worse, || format!("{:e} at the end, {start:e} at the start", fit.objective)))
}

pub fn surrogate(random: &mut Random) -> Trial {
    let (n, p) = (random.size(40, 300), random.size(12, 200));
    let design = random.design(n, p);
    let target = random.numbers(n);
    let penalty = ElasticNet { l2: random.option(&[0.0, 0.01, 1.0]), ..Default::default() };
    let parts = (design, target, penalty, random.chance(2));
    let loss = random.choose(&["squared", "logistic", "squared-hinge", "huber", "poisson", "softmax"]);
    let method = method(random);
    let batch = random.choose(&[None, Some(1), Some(8), Some(1000)]);
    let solver = Surrogate {
        method,
        batch,
        epochs: random.choose(&[1, 10, 100]),
        order: random.choose(&[Order::ChaCha, Order::SplitMix]),
        seed: random.seed(),
        ..Default::default()
    };
    let name = format!("surrogate {loss} {} batch {batch:?} {:?} {n} x {p}", method.name(), random.damage);
    let data = parts.1.clone();
    let trial = Trial::new(name, 400, move |limits, monitor| {
        let most = limits.max_iterations.min(60);
        let solver = Surrogate {
            limits: gradus::control::Limits { max_iterations: most, ..limits.clone() },
            ..solver.clone()
        };
        let mut answer = solve(&solver, &parts, loss, monitor)?;
        // epochs and the limit of this trial end a run too
        if answer.iterations >= most.min(solver.epochs) {
            answer.iterations = usize::MAX;
        }
        Ok(answer)
    });
    // classes hide what is no number
    if loss == "softmax" { trial } else { trial.on(&[&data]) }
}
