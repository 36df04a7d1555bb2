//! Nonlinear programs from closures, some of them undefined in places.

use gradus::constrained::{
    Accuracy, InnerSolver, InteriorPoint, SecondDerivatives, SketchNewton, Solution, Start, certify,
};
use gradus::control::{Limits, Status};
use gradus::problem::NonlinearProgram;
use gradus::problem::closures::{Closures, ClosuresError};

use super::random::{Damage, Random};
use super::{Answer, Trial};

/// sum of w_j q(x_j - t_j) + coupling, with q a square, a quartic, a logarithm, an exponential or a sine; rows A x + s
/// (x_1^2 + ... + x_n^2) between bounds.
#[derive(Clone, Debug)]
struct Program {
    n: usize,
    m: usize,
    kind: usize,
    weights: Vec<f64>,
    centre: Vec<f64>,
    rows: Vec<f64>,
    curvature: f64,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    start: Vec<f64>,
    /// Convex, with a feasible point known to exist, and with numbers about 1.
    easy: bool,
}

fn q(kind: usize, t: f64) -> [f64; 3] {
    match kind {
        0 => [0.5 * t * t, t, 1.0],
        1 => [t.powi(4), 4.0 * t.powi(3), 12.0 * t * t],
        // not defined for t <= -2
        2 => [t - (t + 2.0).ln(), 1.0 - 1.0 / (t + 2.0), (t + 2.0).powi(-2)],
        3 => [t.exp() - t, t.exp() - 1.0, t.exp()],
        // unbounded below, not convex
        4 => [t.sin() - 0.01 * t, t.cos() - 0.01, -t.sin()],
        // not defined anywhere
        _ => [f64::NAN, f64::NAN, f64::NAN],
    }
}

impl Program {
    fn random(random: &mut Random, equations_only: bool) -> Self {
        let n = random.size(12, 60);
        let m = random.below(n.min(6) + 1) + usize::from(random.chance(10)) * 3;
        let (row_lower, row_upper) = (0..m)
            .map(|_| {
                let low = 0.5 * random.uniform();
                match if equations_only { 0 } else { random.below(3) } {
                    0 => (low, low),
                    1 => (low, f64::INFINITY),
                    _ => (low, low + random.choose(&[0.0, 1.0, -1.0, 1.0])),
                }
            })
            .unzip();
        let (lower, upper) = (0..n)
            .map(|_| match if equations_only { 0 } else { random.below(5) } {
                1 => (-1.0, f64::INFINITY),
                2 => (-1.0, 1.0),
                3 => (0.5, 0.5),
                _ => (f64::NEG_INFINITY, f64::INFINITY),
            })
            .unzip();
        let mut program = Self {
            n,
            m,
            kind: random.choose(&[0, 0, 1, 2, 3, 4, 5]),
            weights: random.positive(n),
            centre: random.numbers(n),
            rows: random.columns(m, n),
            curvature: random.choose(&[0.0, 0.0, 0.2, -0.3]),
            row_lower,
            row_upper,
            lower,
            upper,
            start: random.numbers(n),
            easy: false,
        };
        if random.chance(2) {
            program.make_feasible(random);
        }
        program
    }

    /// Moves the bounds of the rows to where a point between the bounds of the unknowns meets them.
    fn make_feasible(&mut self, random: &mut Random) {
        let point: Vec<f64> =
            self.lower.iter().zip(&self.upper).map(|(l, u)| random.uniform().clamp(*l, *u)).collect();
        let mut values = vec![0.0; self.m];
        self.rows(&point, &mut values);
        for ((low, high), value) in self.row_lower.iter_mut().zip(&mut self.row_upper).zip(values) {
            let width = (*high - *low).max(0.0);
            (*low, *high) = if width == 0.0 { (value, value) } else { (value - 0.1, value + width) };
        }
        let convex = [0, 1, 3].contains(&self.kind) && self.curvature == 0.0;
        self.easy = convex && random.damage == Damage::None && self.n > 0;
    }

    fn rows(&self, x: &[f64], c: &mut [f64]) {
        let square: f64 = x.iter().map(|x| x * x).sum();
        for (i, c) in c.iter_mut().enumerate() {
            *c = (0..self.n).map(|j| self.rows[i + j * self.m] * x[j]).sum::<f64>() + self.curvature * square;
        }
    }

    fn build(&self) -> Result<Closures<'_>, ClosuresError> {
        let positions: Vec<(usize, usize)> =
            (0..self.m).flat_map(|i| (0..self.n).map(move |j| (i, j))).collect();
        let diagonal: Vec<(usize, usize)> = (0..self.n).map(|j| (j, j)).collect();
        let piece = move |j: usize, x: f64| q(self.kind, x - self.centre[j]).map(|v| self.weights[j] * v);
        let closures = Closures::new(self.start.clone())
            .objective(
                move |x| (0..self.n).map(|j| piece(j, x[j])[0]).sum(),
                move |x, g| g.iter_mut().enumerate().for_each(|(j, g)| *g = piece(j, x[j])[1]),
            )
            .bounds(self.lower.clone(), self.upper.clone())
            .hessian(&diagonal, move |x, sigma, y, w| {
                let bend: f64 = y.iter().sum::<f64>() * 2.0 * self.curvature;
                w.iter_mut().enumerate().for_each(|(j, w)| *w = sigma * piece(j, x[j])[2] + bend);
            });
        if self.m == 0 {
            return closures.build();
        }
        closures
            .constraints(
                self.row_lower.clone(),
                self.row_upper.clone(),
                &positions,
                move |x, c| self.rows(x, c),
                move |x, values| {
                    for i in 0..self.m {
                        for j in 0..self.n {
                            values[i * self.n + j] = self.rows[i + j * self.m] + 2.0 * self.curvature * x[j];
                        }
                    }
                },
            )
            .build()
    }

    /// The answer with what it says of itself worked out anew, without the library.
    fn judge(&self, problem: &Closures, solution: Solution, tolerance: f64) -> Answer {
        let x = &solution.x;
        let values = x.iter().chain(&solution.multipliers).copied().collect();
        let mut c = vec![0.0; self.m];
        self.rows(x, &mut c);
        let outside = |v: f64, low: f64, high: f64| (low - v).max(v - high).max(0.0);
        let bounds = (0..self.n).map(|j| outside(x[j], self.lower[j], self.upper[j]));
        let rows = (0..self.m).map(|i| outside(c[i], self.row_lower[i], self.row_upper[i]));
        let violation = bounds.chain(rows).fold(0.0, f64::max);
        let objective = problem.objective(x, &mut problem.workspace());
        let said = solution.kkt.unscaled.constraint_violation;
        let scale = c.iter().chain(x).fold(1.0, |m: f64, v| m.max(v.abs()));
        let mut answer = Answer::new(values, &solution.summary);
        if objective.is_finite() && solution.objective.is_finite() {
            answer = answer.expect("the objective", solution.objective, objective, objective.abs());
        }
        if said.is_finite() {
            answer = answer.expect("the violation", said, violation, scale);
        }
        // without a point where it is defined nothing can be solved
        answer = answer.require(self.kind < 5 || self.n == 0 || answer_is_open(&solution), || {
            "solved, and defined nowhere".into()
        });
        match certify(problem, &solution.answer()) {
            Ok(certificate) => answer.certified(certificate.kkt.error, tolerance),
            Err(error) => answer.require(answer_is_open(&solution), || format!("solved, and {error}")),
        }
    }
}

fn answer_is_open(solution: &Solution) -> bool {
    solution.status != Status::Solved
}

fn name(method: &str, program: &Program, random: &Random) -> String {
    format!("{method} kind {} {:?} n {} m {}", program.kind, random.damage, program.n, program.m)
}

pub fn interior_point(random: &mut Random) -> Trial {
    let program = Program::random(random, false);
    let solver = InteriorPoint {
        scaling: random.chance(2),
        bound_relaxation: random.option(&[0.0, 0.0, 1e-8]),
        second_derivatives: random.choose(&[SecondDerivatives::Exact, SecondDerivatives::Differences]),
        ..Default::default()
    };
    let (data, easy) = (program.start.clone(), program.easy);
    let trial = Trial::new(name("interior point", &program, random), 0, move |limits, monitor| {
        let problem = program.build().map_err(|error| error.to_string())?;
        let solver = InteriorPoint { limits: limits.clone(), ..solver.clone() };
        let solution =
            solver.solve_with(&problem, Start::default(), monitor).map_err(|error| error.to_string())?;
        Ok(program.judge(&problem, solution, limits.tolerance))
    });
    trial.on(&[&data]).easy_if(easy, 1e-6, 500)
}

pub fn sketch_newton(random: &mut Random) -> Trial {
    let equations_only = !random.chance(6);
    let program = Program::random(random, equations_only);
    let solver = SketchNewton {
        scaling: random.chance(2),
        inner: random.choose(&InnerSolver::NAMES).1,
        accuracy: random.choose(&Accuracy::NAMES).1,
        inner_limit: 2000,
        constraint_penalty: random.option(&[0.1, 1.0, 1e-6]),
        safeguards: !random.chance(4),
        seed: random.seed(),
        ..Default::default()
    };
    let name = format!("{} {:?}", name("sketch-newton", &program, random), solver.inner);
    let data = program.start.clone();
    let trial = Trial::new(name, 0, move |limits, monitor| {
        let problem = program.build().map_err(|error| error.to_string())?;
        let limits = Limits { max_iterations: limits.max_iterations.min(40), ..limits.clone() };
        let solver = SketchNewton { limits: limits.clone(), ..solver.clone() };
        let solution =
            solver.solve_with(&problem, Start::default(), monitor).map_err(|error| error.to_string())?;
        let mut answer = program.judge(&problem, solution, limits.tolerance);
        // the limit of this trial is lower than the one that is checked
        if answer.iterations >= 40 && answer.status == Status::IterationLimit {
            answer.iterations = usize::MAX;
        }
        Ok(answer)
    });
    trial.on(&[&data])
}
