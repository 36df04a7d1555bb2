//! Two-layer networks: the convex program by every method, refined, gated, robust, sampled.

use gradus::control::Limits;
use gradus::linalg::DesignMatrix;
use gradus::relu::gated::GatedMethod;
use gradus::relu::robust::{Budget, Norm};
use gradus::relu::{
    ConvexRelu, GatedRelu, Loss, Method, Network, Patterns, Refinement, RobustRelu, SampledProgram, Training,
};

use super::random::Random;
use super::{Answer, Trial};

fn data(random: &mut Random) -> (Result<DesignMatrix, String>, Vec<f64>, Loss, f64) {
    let (n, d) = (random.size(14, 60), random.size(5, 9));
    let design = random.design(n, d);
    let loss = random.choose(&[Loss::Squared, Loss::Logistic, Loss::Hinge]);
    let raw = random.numbers(n);
    let sign = |v: &f64| if v.is_finite() { if *v > 0.0 { 1.0 } else { -1.0 } } else { *v };
    let target = if loss == Loss::Squared { raw } else { raw.iter().map(sign).collect() };
    (design, target, loss, random.option(&[0.01, 0.1, 1.0, 100.0, 0.0]))
}

fn training(parts: &(Result<DesignMatrix, String>, Vec<f64>, Loss, f64)) -> Result<Training, String> {
    let design = parts.0.as_ref().map_err(String::clone)?;
    Training::new(design, parts.1.clone(), parts.2, parts.3).map_err(|error| error.to_string())
}

fn weights(network: &Network) -> Vec<f64> {
    network.hidden.iter().flatten().chain(&network.output).copied().collect()
}

/// These runs are slow: fewer iterations, of which the check need not know.
fn shorter(limits: &Limits, most: usize) -> Limits {
    Limits { max_iterations: limits.max_iterations.min(most), ..limits.clone() }
}

fn close(mut answer: Answer, most: usize) -> Answer {
    if answer.iterations >= most {
        answer.iterations = usize::MAX;
    }
    answer
}

pub fn convex(random: &mut Random) -> Trial {
    let parts = data(random);
    let solver = ConvexRelu {
        method: random.choose(&[
            Method::Auto,
            Method::Auto,
            Method::InteriorPoint,
            Method::Admm,
            Method::Rbcd,
        ]),
        patterns: random.choose(&[1, 5, 12, 0]),
        seed: random.seed(),
        ..Default::default()
    };
    let name = format!("network {:?} {:?} {:?} beta {}", solver.method, parts.2, random.damage, parts.3);
    let target = parts.1.clone();
    let trial = Trial::new(name, 150, move |limits, monitor| {
        let training = training(&parts)?;
        let solver = ConvexRelu { limits: shorter(limits, 150), ..solver.clone() };
        let patterns =
            Patterns::sample(&training, solver.patterns, solver.seed).map_err(|error| error.to_string())?;
        let solution =
            solver.solve_over(&training, patterns, None, monitor).map_err(|error| error.to_string())?;
        let mut answer = Answer::new(weights(&solution.network), &solution.summary);
        answer.bounds = Some((solution.lower_bound, solution.convex_objective));
        answer = answer.require(solution.network_objective.is_finite(), || {
            "a network whose objective is no number".into()
        });
        Ok(close(answer, 150))
    });
    trial.on(&[&target])
}

pub fn other(random: &mut Random) -> Trial {
    let parts = data(random);
    let seed = random.seed();
    let damage = random.damage;
    let epsilon = random.option(&[0.0, 0.01, 0.1]);
    let norm = random.choose(&[Norm::Infinity, Norm::Euclidean]);
    let gated = random.choose(&[GatedMethod::ProximalGradient, GatedMethod::InteriorPoint]);
    let kind = random.choose(&["refined", "gated", "robust", "sampled"]);
    let target = parts.1.clone();
    let trial = Trial::new(
        format!("network {kind} {:?} {damage:?} beta {}", parts.2, parts.3),
        120,
        move |limits, monitor| {
            let training = training(&parts)?;
            let limits = shorter(limits, 120);
            let answer = match kind {
                "refined" => {
                    let solver = ConvexRelu { limits, patterns: 8, seed, ..Default::default() };
                    let refinement = Refinement {
                        starts: 1,
                        widths: vec![3],
                        local_iterations: 20,
                        rounds: 2,
                        ..Default::default()
                    };
                    let solution = solver
                        .refine(&training, &refinement, None, monitor)
                        .map_err(|error| error.to_string())?;
                    // other patterns with other limits: no bounds to compare
                    Answer::new(weights(&solution.network), &solution.summary)
                }
                "gated" => {
                    let patterns = Patterns::sample(&training, 8, seed).map_err(|error| error.to_string())?;
                    let solver = GatedRelu { limits, method: gated };
                    let solution =
                        solver.solve(&training, &patterns, monitor).map_err(|error| error.to_string())?;
                    Answer::new(weights(&solution.network), &solution.summary).with_gap(&solution.summary)
                }
                "robust" => {
                    let budget = Budget { norm, epsilon, perturbed: training.columns() };
                    let solver = RobustRelu { limits, patterns: 8, seed, ..RobustRelu::new(budget) };
                    let solution = solver.solve(&training, monitor).map_err(|error| error.to_string())?;
                    Answer::new(weights(&solution.network), &solution.summary).with_gap(&solution.summary)
                }
                _ => {
                    let solver = SampledProgram { limits, neurons: 15, seed };
                    let solution = solver.solve(&training, monitor).map_err(|error| error.to_string())?;
                    Answer::new(weights(&solution.network), &solution.summary).with_gap(&solution.summary)
                }
            };
            Ok(close(answer, 120))
        },
    );
    trial.on(&[&target])
}
