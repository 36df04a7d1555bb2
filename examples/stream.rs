//! A stream of linear systems that resemble each other: the solver learns from each how to solve the next.
//!
//! `cargo run --release --example stream`
//!
//! The systems are ridge regressions (X'X / n + c I) w = X'y / n on bundled data, c anywhere between 1e-3 and 1.

use gradus::relaxation::policy::{ChebCb, omega_grid};
use gradus::relaxation::{Method, Operator, Stream, StreamSystem};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = gradus::read::libsvm::read("data/sonar_scale", &Default::default())?;
    let (n, p) = data.matrix.shape();
    let gram = (&data.matrix.transpose_view() * &data.matrix).to_csr().map(|value| value / n as f64);
    let mut rhs = vec![0.0; p];
    for (row, y) in data.matrix.outer_iterator().zip(&data.labels) {
        row.iter().for_each(|(j, x)| rhs[j] += x * y / n as f64);
    }
    // logarithms of c that fill their range evenly; the policy may look at them
    let logarithms: Vec<f64> = (0..300).map(|k| -3.0 * (f64::from(k) * 0.618_034).fract()).collect();
    let operators = logarithms
        .iter()
        .map(|logarithm| {
            let mut operator = Operator::new(gram.view())?;
            operator.set_shift(10f64.powf(*logarithm))?;
            Ok(operator)
        })
        .collect::<Result<Vec<_>, gradus::relaxation::Error>>()?;
    let systems = operators.iter().zip(&logarithms).map(|(operator, &context)| StreamSystem {
        operator,
        rhs: &rhs,
        start: None,
        context,
    });

    let mut solver = Stream::new(Method::Sor, || ChebCb::new(omega_grid(10), -3.0, 0.0, 0));
    let mut iterations = Vec::new();
    for system in systems {
        let answer = solver.solve(&system)?;
        iterations.push(answer.iterations);
    }
    let totals = solver.totals();
    let mean = |part: &[usize]| part.iter().sum::<usize>() as f64 / part.len() as f64;
    println!("{} systems of {p} unknowns, {} unsolved", totals.systems, totals.unsolved);
    println!("largest |b - A x| / |b| {:.1e}", totals.relative_residual);
    println!("sweeps a system: {:.1} in the first third", mean(&iterations[..100]));
    println!("                 {:.1} in the last", mean(&iterations[200..]));
    Ok(())
}
