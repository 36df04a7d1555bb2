//! The cheapest can of a given volume, and how its shape changes with the price of the lids.
//!
//!     cargo run --release --example interior_point

use std::f64::consts::PI;

use gradus::constrained::{InteriorPoint, Sensitivity, certify};
use gradus::problem::closures::Closures;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // radius r, height h; lids cost twice as much as the wall: 4 pi r^2 + 2 pi r h, volume pi r^2 h >= 1, h <= 2
    let problem = Closures::new(vec![1.0, 1.0])
        .objective(
            |x| 4.0 * PI * x[0] * x[0] + 2.0 * PI * x[0] * x[1],
            |x, g| (g[0], g[1]) = (8.0 * PI * x[0] + 2.0 * PI * x[1], 2.0 * PI * x[0]),
        )
        .bounds(vec![0.0, 0.0], vec![f64::INFINITY, 2.0])
        .constraints(
            vec![1.0],
            vec![f64::INFINITY],
            &[(0, 0), (0, 1)],
            |x, c| c[0] = PI * x[0] * x[0] * x[1],
            |x, j| (j[0], j[1]) = (2.0 * PI * x[0] * x[1], PI * x[0] * x[0]),
        )
        .hessian(&[(0, 0), (1, 0)], |x, sigma, y, w| {
            w[0] = 8.0 * PI * sigma + 2.0 * PI * x[1] * y[0];
            w[1] = 2.0 * PI * sigma + 2.0 * PI * x[0] * y[0];
        })
        .build()?;
    let solution = InteriorPoint::default().solve(&problem)?;
    println!("{solution}\nradius {:.6}, height {:.6}", solution.x[0], solution.x[1]);
    println!("second order {}", certify(&problem, &solution.answer())?.second_order);
    // the gradient's derivative by the price of the lids, per unit of area: d(2 p pi r^2) / dr = 4 pi r
    let gradient = [4.0 * PI * solution.x[0], 0.0];
    let (change, _) = Sensitivity::at(&problem, &solution)?.direction(&gradient, &[0.0])?;
    println!("per unit of the lids' price: radius {:+.6}, height {:+.6}", change[0], change[1]);
    Ok(())
}
