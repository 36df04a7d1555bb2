//! A simulation whose every step is a linear system: omega by formula, learned, and fixed.
//!
//! `cargo run --release --example relaxation -- 25`

use gradus::relaxation::heat::Heat;
use gradus::relaxation::policy::{Auto, ChebCb, Fixed, omega_grid};
use gradus::relaxation::{Error, Method, Stream};

/// 500 steps of the heat equation; returns the iterations they took.
fn simulate(cells: usize, mut stream: Stream) -> Result<usize, Error> {
    let mut heat = Heat::new(cells)?;
    for _ in 0..500 {
        let answer = stream.solve(&heat.system()?)?;
        heat.accept(answer.x)?;
    }
    Ok(stream.totals().iterations)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cells = std::env::args().nth(1).map_or(Ok(25), |text| text.parse())?;
    let (low, high) = Heat::RANGE;

    let formula = simulate(cells, Stream::new(Method::SsorCg, || Ok(Auto::new())))?;
    println!("omega by formula   {formula} iterations");
    let learned =
        simulate(cells, Stream::new(Method::SsorCg, move || ChebCb::new(omega_grid(20), low, high, 0)))?;
    println!("omega learned      {learned}");
    for omega in [1.0, 1.5, 1.9] {
        let fixed = simulate(cells, Stream::new(Method::SsorCg, move || Fixed::new(omega)))?;
        println!("omega = {omega}          {fixed}");
    }
    Ok(())
}
