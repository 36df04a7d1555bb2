//! Linear systems, one and many.

use gradus::control::Limits;
use gradus::relaxation::policy::Named;
use gradus::relaxation::{Method, Omega, Operator, Ordering, Relaxation, Stream, StreamSystem};
use sprs::CsMatI;

use super::random::{Damage, Random, dominance};
use super::{Answer, Trial};

/// |b - A x| / |b|, summed with care for large and small numbers.
fn residual(a: &CsMatI<f64, u32>, x: &[f64], b: &[f64]) -> f64 {
    let largest = b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let (mut top, mut bottom) = (0.0, 0.0);
    for (i, row) in a.outer_iterator().enumerate() {
        let product: f64 = row.iter().map(|(j, v)| v / largest * x[j]).sum();
        top += (b[i] / largest - product).powi(2);
        bottom += (b[i] / largest).powi(2);
    }
    (top / bottom).sqrt()
}

const METHODS: [Method; 7] = [
    Method::Sor,
    Method::Ssor,
    Method::SsorCg,
    Method::Cg,
    Method::IncompleteCholeskyCg,
    Method::MultigridCg,
    Method::Direct,
];

pub fn relaxation(random: &mut Random) -> Trial {
    let n = random.size(25, 300);
    let matrix = random.symmetric(n);
    let rhs = random.numbers(n);
    let start = random.chance(3).then(|| random.numbers(n));
    let omega = random.option(&[1.0, 1.5, 0.2, 1.99, 2.0]);
    let solver = Relaxation {
        method: random.choose(&METHODS),
        omega: random.choose(&[Omega::Auto, Omega::Auto, Omega::Fixed(omega)]),
        ordering: random.choose(&[Ordering::Natural, Ordering::Levels, Ordering::Multicolour]),
        fallback: random.chance(2),
        estimate_error: random.chance(3),
        ..Default::default()
    };
    let name = format!("relaxation {:?} {:?} {:?} {n}", solver.method, solver.ordering, random.damage);
    let easy = random.damage == Damage::None && solver.omega == Omega::Auto && dominance(&matrix) > 1e-3;
    let (entries, right) = (matrix.data().to_vec(), rhs.clone());
    let given = start.clone().unwrap_or_default();
    let trial = Trial::new(name, 0, move |limits, monitor| {
        let solver = Relaxation { limits: limits.clone(), ..solver.clone() };
        let operator =
            Operator::with_ordering(matrix.view(), solver.ordering).map_err(|error| error.to_string())?;
        let solution = solver
            .solve_with(&operator, &rhs, start.as_deref(), monitor)
            .map_err(|error| error.to_string())?;
        let said = solution.relative_residual;
        let mut answer = Answer::new(solution.x, &solution.summary);
        // these have no objective
        answer.objective = 0.0;
        let found = residual(&matrix, &answer.values, &rhs);
        let size = answer.values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let norm = matrix.data().iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let largest = rhs.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        if found.is_finite() && largest > 0.0 {
            answer = answer.expect("the residual", said, found, 1e-6 * (1.0 + norm / largest * size));
        }
        Ok(answer)
    });
    trial.on(&[&entries, &right, &given]).easy_if(easy && n > 0, 1e-9, 5000)
}

pub fn stream(random: &mut Random) -> Trial {
    let n = random.size(20, 120);
    let systems: Vec<(CsMatI<f64, u32>, Vec<f64>)> =
        (0..4).map(|_| (random.symmetric(n), random.numbers(n))).collect();
    let name = random.choose(&[
        Named::Auto,
        Named::Fixed(1.3),
        Named::TsallisInf { reduced_variance: false },
        Named::TsallisInf { reduced_variance: true },
        Named::Binned(3),
        Named::ChebCb,
        Named::Hill,
        Named::Zoom,
        Named::Seeded,
    ]);
    let method = random.choose(&[Method::Sor, Method::SsorCg]);
    let seed = random.seed();
    let contexts = random.numbers(4);
    let title = format!("stream {name:?} {method:?} {:?} {n}", random.damage);
    let data: Vec<f64> =
        systems.iter().flat_map(|(matrix, rhs)| matrix.data().iter().chain(rhs)).copied().collect();
    let trial = Trial::new(title, 0, move |limits: &Limits, monitor| {
        let mut stream = Stream::named(method, &name, (-2.0, 2.0), seed);
        stream.tolerance = limits.tolerance.max(1e-12);
        stream.cap = limits.max_iterations.max(1);
        let (mut values, mut iterations, mut flaw) = (Vec::new(), 0, None);
        let mut status = gradus::control::Status::Solved;
        for ((matrix, rhs), context) in systems.iter().zip(&contexts) {
            let operator = Operator::new(matrix.view()).map_err(|error| error.to_string())?;
            let system = StreamSystem { operator: &operator, rhs, start: None, context: *context };
            let answer = stream.solve_with(&system, monitor).map_err(|error| error.to_string())?;
            let found = residual(matrix, &answer.x, rhs);
            let size = answer.x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let norm = matrix.data().iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let largest = rhs.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let scale = found.max(1e-6 * (1.0 + norm / largest * size));
            if found.is_finite()
                && largest > 0.0
                && !((answer.relative_residual - found).abs() <= 1e-8 * scale)
            {
                flaw = Some(format!(
                    "the residual is said to be {:e}, and is {found:e}",
                    answer.relative_residual
                ));
            }
            if answer.status != gradus::control::Status::Solved {
                status = answer.status;
            } else if answer.relative_residual > stream.tolerance {
                flaw = Some(format!("solved with a residual of {:e}", answer.relative_residual));
            }
            iterations += answer.iterations;
            values.extend(answer.x);
        }
        if status == gradus::control::Status::IterationLimit {
            iterations = usize::MAX;
        }
        Ok(Answer { values, status, objective: 0.0, measure: 0.0, iterations, bounds: None, flaw })
    });
    trial.on(&[&data])
}
