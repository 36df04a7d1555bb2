//! Transport plans by every method, with masses that vanish and costs that forbid.

use gradus::transport::{
    Cost, Kept, Method, Metric, SinkhornForm, Transport, TransportProblem, UnbalancedTransport,
};

use super::random::{Damage, Random};
use super::{Answer, Trial};

fn problem(random: &mut Random) -> TransportProblem {
    let (n, m) = (random.size(15, 260), random.size(15, 250));
    let metric = random.choose(&[Metric::SquaredEuclidean, Metric::Euclidean, Metric::Manhattan]);
    let cost = match random.below(3) {
        0 => {
            let mut values = random.numbers(n * m);
            if random.chance(5) {
                values.iter_mut().for_each(|v| {
                    if random.chance(4) {
                        *v = f64::INFINITY;
                    }
                });
            }
            Cost::Dense { rows: n, columns: m, values }
        }
        1 => Cost::Points {
            dimension: 2,
            source: random.numbers(2 * n),
            target: random.numbers(2 * m),
            metric,
        },
        _ => {
            let side = |k: usize| [1 + k % 4, 1 + k / 4];
            Cost::Grid { source: side(n % 16), target: side(m % 16), metric }
        }
    };
    let (n, m) = cost.shape();
    let mut masses = |count: usize| {
        let mut masses = random.positive(count);
        if random.chance(4) && count > 2 {
            masses[count / 2] = 0.0;
        }
        let sum: f64 = masses.iter().sum();
        if !random.chance(20) {
            masses.iter_mut().for_each(|v| *v /= sum);
        }
        masses
    };
    let (source, target) = (masses(n), masses(m));
    TransportProblem {
        cost,
        source,
        target,
        regularization: random.option(&[1.0, 0.1, 0.01, 1e-4, 1e3, 0.0]),
    }
}

fn finite_costs(problem: &TransportProblem) -> bool {
    let (n, m) = problem.cost.shape();
    (0..n).all(|i| (0..m).all(|j| problem.cost.at(i, j).is_finite()))
}

/// The sums of what potentials earn with their masses, less eps times the plan's mass; and the scale of its rounding.
fn dual_value(
    problem: &TransportProblem,
    (f, g): (&[f64], &[f64]),
    source: impl Fn(f64, f64) -> f64,
    target: impl Fn(f64, f64) -> f64,
) -> (f64, f64) {
    let eps = problem.regularization;
    let (mut value, mut scale) = (0.0, 0.0);
    let mut add = |term: f64| {
        value += term;
        scale += term.abs();
    };
    let held = |masses: &[f64]| -> Vec<usize> { (0..masses.len()).filter(|&k| masses[k] > 0.0).collect() };
    let (rows, columns) = (held(&problem.source), held(&problem.target));
    rows.iter().for_each(|&i| add(source(f[i], problem.source[i])));
    columns.iter().for_each(|&j| add(target(g[j], problem.target[j])));
    // the exponent's rounding is that of its terms
    let mut largest: f64 = 0.0;
    for &i in &rows {
        for &j in &columns {
            let cost = problem.cost.at(i, j);
            add(-eps * ((f[i] + g[j] - cost) / eps).exp());
            if cost.is_finite() {
                largest = largest.max((f[i].abs() + g[j].abs() + cost.abs()) / eps);
            }
        }
    }
    (value, scale * (1.0 + 1e-6 * largest))
}

pub fn balanced(random: &mut Random) -> Trial {
    let problem = problem(random);
    let method = random.choose(&[
        Method::Auto,
        Method::Auto,
        Method::Sinkhorn,
        Method::NewtonSparse,
        Method::SafeNewton,
        Method::LowRank,
    ]);
    let solver = Transport {
        method,
        sinkhorn_form: random.choose(&[SinkhornForm::Kernel, SinkhornForm::Stabilized, SinkhornForm::Log]),
        scaling: random.chance(2),
        relaxation: random.option(&[1.0, 1.0, 1.5]),
        warm_up: random.below(30),
        kept: random.choose(&[Kept::Mass, Kept::Share(0.3), Kept::Entries(5)]),
        matrix_entries: random.choose(&[1 << 20, 0]),
        ..Default::default()
    };
    let name =
        format!("transport {method:?} {:?} {:?} eps {}", random.damage, problem.cost, problem.regularization);
    let easy = random.damage == Damage::None
        && method == Method::Auto
        && problem.regularization >= 0.01
        && (problem.source.iter().sum::<f64>() - problem.target.iter().sum::<f64>()).abs() < 1e-12
        && finite_costs(&problem);
    let (source, target) = (problem.source.clone(), problem.target.clone());
    let trial = Trial::new(name, 2000, move |limits, monitor| {
        let solver = Transport { limits: limits.clone(), ..solver.clone() };
        let solution = solver.solve_with(&problem, None, monitor).map_err(|error| error.to_string())?;
        let potentials = solution.source_potential.iter().chain(&solution.target_potential);
        let masses = problem.source.iter().chain(&problem.target);
        // a point without mass whose arcs are all forbidden may have any price
        let with_mass = potentials.zip(masses).filter(|(f, mass)| **mass > 0.0 || **f != f64::INFINITY);
        let values = with_mass.map(|(f, _)| *f).collect();
        let dual = solution.dual_objective;
        let mass: f64 = problem.source.iter().sum();
        let mut answer = Answer::new(values, &solution.summary);
        let potentials = (&solution.source_potential[..], &solution.target_potential[..]);
        let (found, scale) = dual_value(&problem, potentials, |f, mass| mass * f, |g, mass| mass * g);
        answer = answer.expect("the dual value", dual, found, scale);
        answer.measure = solution.marginal_error / mass;
        if solution.certificate.kind == "duality_gap" {
            answer.bounds = Some((dual, dual + solution.certificate.value));
        } else {
            // no plan without forbidden arcs is known: the objective is infinite, and a note says so
            answer.objective = dual;
        }
        Ok(answer)
    });
    trial.on(&[&source, &target]).easy_if(easy, 1e-9, 10_000)
}

pub fn unbalanced(random: &mut Random) -> Trial {
    let problem = problem(random);
    let solver = UnbalancedTransport {
        source_penalty: random.option(&[1.0, 0.1, 100.0]),
        target_penalty: random.option(&[1.0, 0.1, 0.0]),
        ..Default::default()
    };
    let (source, target) = (problem.source.clone(), problem.target.clone());
    let name = format!("unbalanced {:?} {:?}", random.damage, problem.cost);
    let trial = Trial::new(name, 5000, move |limits, monitor| {
        let solver = UnbalancedTransport { limits: limits.clone(), ..solver.clone() };
        let solution = solver.solve(&problem, monitor).map_err(|error| error.to_string())?;
        let potentials = solution.source_potential.iter().chain(&solution.target_potential);
        let masses = problem.source.iter().chain(&problem.target);
        // where there is no mass nothing may go
        let with_mass = potentials.zip(masses).filter(|(f, mass)| **mass > 0.0 || **f != f64::NEG_INFINITY);
        let values = with_mass.map(|(f, _)| *f).collect();
        let dual = solution.dual_objective;
        let mut answer = Answer::new(values, &solution.summary);
        answer.bounds = Some((dual, dual + solution.summary.certificate.value));
        let potentials = (&solution.source_potential[..], &solution.target_potential[..]);
        let price = |tau: f64| move |f: f64, mass: f64| -tau * mass * (-f / tau).exp_m1();
        let (source, target) = (price(solver.source_penalty), price(solver.target_penalty));
        let (found, scale) = dual_value(&problem, potentials, source, target);
        Ok(answer.expect("the dual value", dual, found, scale))
    });
    trial.on(&[&source, &target])
}
