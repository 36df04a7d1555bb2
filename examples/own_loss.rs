//! A loss and a penalty of your own, solved and certified like the built-in ones.
//!
//! `cargo run --release --example own_loss`
//!
//! Expectile regression (squares weigh tau above the fit and 1 - tau below) with a penalty that dislikes negative
//! coefficients more than positive ones.

use gradus::prelude::*;
use gradus::problem::loss::Loss;
use gradus::problem::penalty::{Penalty, Piece};

/// phi(z; y) = w (z - y)^2 / 2, w = 1 - tau where the fit is above the target, tau where it is below.
#[derive(Debug, Clone, Copy)]
struct Expectile {
    tau: f64,
}

impl Expectile {
    fn weight(&self, excess: f64) -> f64 {
        if excess > 0.0 { 1.0 - self.tau } else { self.tau }
    }
}

impl Loss for Expectile {
    fn name(&self) -> &'static str {
        "expectile"
    }

    fn check_target(&self, _: f64) -> Result<(), &'static str> {
        if 0.0 < self.tau && self.tau < 1.0 { Ok(()) } else { Err("expectile takes a tau between 0 and 1") }
    }

    fn value(&self, z: f64, y: f64) -> f64 {
        0.5 * self.weight(z - y) * (z - y) * (z - y)
    }

    fn derivative(&self, z: f64, y: f64) -> f64 {
        self.weight(z - y) * (z - y)
    }

    fn curvature(&self, z: f64, y: f64) -> f64 {
        self.weight(z - y)
    }

    fn curvature_bound(&self) -> Option<f64> {
        Some(self.tau.max(1.0 - self.tau))
    }

    fn fenchel_young(&self, z: f64, y: f64, v: f64) -> f64 {
        // with r = z - y the conjugate is v^2 / (2 w(v)) + v y; of one sign the three terms are a square
        let (r, own, other) = (z - y, self.weight(z - y), self.weight(v));
        if r * v >= 0.0 {
            (own * r - v) * (own * r - v) / (2.0 * own)
        } else {
            0.5 * own * r * r + v * v / (2.0 * other) - r * v
        }
    }
}

/// h(x) = up x for x > 0, -down x for x < 0.
#[derive(Debug, Clone, Copy)]
struct Lopsided {
    up: f64,
    down: f64,
}

impl Penalty for Lopsided {
    fn check(&self, _: usize) -> Result<(), String> {
        let fine = self.up > 0.0 && self.down > 0.0;
        if fine { Ok(()) } else { Err("both weights of a lopsided penalty must be positive".into()) }
    }

    fn value(&self, _: usize, x: f64) -> f64 {
        if x > 0.0 { self.up * x } else { -self.down * x }
    }

    fn prox(&self, _: usize, v: f64, step: f64) -> f64 {
        (v - step * self.up).max(0.0) + (v + step * self.down).min(0.0)
    }

    fn piece(&self, _: usize, x: f64) -> Option<Piece> {
        let piece = |lower, upper, slope| Some(Piece { lower, upper, slope, curvature: 0.0 });
        match x {
            x if x > 0.0 => piece(0.0, f64::INFINITY, self.up),
            x if x < 0.0 => piece(f64::NEG_INFINITY, 0.0, -self.down),
            _ => None,
        }
    }

    fn violation(&self, _: usize, x: f64, gradient: f64) -> f64 {
        match x {
            x if x > 0.0 => (gradient + self.up).abs(),
            x if x < 0.0 => (gradient - self.down).abs(),
            _ => (-gradient - self.up).max(gradient - self.down).max(0.0),
        }
    }

    fn dual_scale(&self, _: usize, q: f64) -> f64 {
        if q > self.up {
            self.up / q
        } else if q < -self.down {
            -self.down / q
        } else {
            1.0
        }
    }

    fn fenchel_young(&self, _: usize, x: f64, q: f64) -> f64 {
        if x > 0.0 { (x * (self.up - q)).max(0.0) } else { (-x * (self.down + q)).max(0.0) }
    }

    fn has_dual(&self, _: usize) -> bool {
        true
    }

    fn is_smooth(&self) -> bool {
        false
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = gradus::read::libsvm::read("data/sk-diabetes-regression", &Default::default())?;
    let design = DesignMatrix::from_sparse_or_dense(data.matrix)?;
    let solver =
        CoordinateDescent { limits: Limits { tolerance: 1e-9, ..Limits::default() }, ..Default::default() };
    for tau in [0.1, 0.5, 0.9] {
        let penalty = Lopsided { up: 0.05, down: 0.5 };
        let mut model = LinearModel::new(design.clone(), data.labels.clone(), Expectile { tau }, penalty);
        model.intercept = true;
        let fit = solver.solve(&model)?;
        let negative = fit.coefficients.iter().filter(|x| **x < 0.0).count();
        println!(
            "tau {tau}: intercept {:.2}, {} non-zeros, {negative} negative, {} {:.1e}, {}",
            fit.intercept,
            fit.nonzeros(),
            fit.certificate.kind,
            fit.certificate.relative,
            fit.status
        );
    }
    Ok(())
}
