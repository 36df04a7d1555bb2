//! The loss in the interior-point method: slope, compliance, and the hinge's own slacks.
//!
//! Squared and logistic losses are smooth: slope l', compliance 1 / l''. The hinge is written with xi >= max(0, 1 - y p): slacks
//! xi and q = xi - 1 + y p, multipliers b and a with a + b = 1, slope -y a. Eliminating xi leaves
//! dp = compliance dslope - constant with compliance q/a + xi/b, which tends to zero on the kink: that is why the system is
//! solved for the slope's increment, not the outputs'.

use crate::relu::Loss;
use crate::relu::training::Program;

pub(super) struct LossSide {
    /// A subgradient of the loss at the outputs.
    pub slope: Vec<f64>,
    /// The inverse of its derivative in the Newton system.
    pub compliance: Vec<f64>,
    hinge: Option<Hinge>,
}

struct Hinge {
    y: Vec<f64>,
    xi: Vec<f64>,
    q: Vec<f64>,
    a: Vec<f64>,
}

/// Increments of the hinge's variables; empty for a smooth loss.
#[derive(Default)]
pub(super) struct Increment {
    xi: Vec<f64>,
    q: Vec<f64>,
    a: Vec<f64>,
}

impl LossSide {
    pub fn new(program: &Program) -> Self {
        let n = program.n;
        Self { slope: vec![0.0; n], compliance: vec![0.0; n], hinge: None }
    }

    /// Chooses the hinge's slacks at the starting outputs.
    pub fn open(&mut self, program: &Program, outputs: &[f64], mu: f64) {
        if program.loss == Loss::Hinge {
            let y = program.y.clone();
            let xi: Vec<f64> =
                outputs.iter().zip(&y).map(|(p, y)| (1.0 - y * p).max(0.0) + (2.0 * mu).max(0.1)).collect();
            let q = xi.iter().zip(outputs).zip(&y).map(|((xi, p), y)| xi - 1.0 + y * p).collect();
            self.hinge = Some(Hinge { xi, q, a: vec![0.5; y.len()], y });
        }
    }

    /// Slope and compliance at the outputs.
    pub fn evaluate(&mut self, program: &Program, outputs: &[f64]) {
        match &mut self.hinge {
            None => {
                for (k, (&p, &y)) in outputs.iter().zip(&program.y).enumerate() {
                    self.slope[k] = program.loss.derivative(p, y);
                    self.compliance[k] = 1.0 / program.loss.curvature(p, y).max(1e-100);
                }
            }
            Some(h) => {
                for (k, &output) in outputs.iter().enumerate() {
                    h.q[k] = (h.xi[k] - 1.0 + h.y[k] * output).max(1e-300);
                    self.slope[k] = -h.y[k] * h.a[k];
                    self.compliance[k] = h.q[k] / h.a[k] + h.xi[k] / (1.0 - h.a[k]);
                }
            }
        }
    }

    /// Sum and number of the complementary products.
    pub fn products(&self) -> (f64, usize) {
        let Some(h) = &self.hinge else { return (0.0, 0) };
        let sum = (0..h.y.len()).map(|k| h.q[k] * h.a[k] + h.xi[k] * (1.0 - h.a[k])).sum();
        (sum, 2 * h.y.len())
    }

    /// What the complementarity asks of (q, a) and (xi, b): the right-hand sides.
    fn asked(&self, h: &Hinge, k: usize, mu: f64, affine: Option<&Increment>) -> (f64, f64) {
        let (dq_da, dxi_db) = affine.map_or((0.0, 0.0), |d| (d.q[k] * d.a[k], -d.xi[k] * d.a[k]));
        (mu - h.q[k] * h.a[k] - dq_da, mu - h.xi[k] * (1.0 - h.a[k]) - dxi_db)
    }

    /// constant <- compliance dslope - dp.
    pub fn constant(&self, mu: f64, affine: Option<&Increment>, constant: &mut [f64]) {
        let Some(h) = &self.hinge else { return constant.fill(0.0) };
        for (k, constant) in constant.iter_mut().enumerate() {
            let (asked_q, asked_xi) = self.asked(h, k, mu, affine);
            *constant = -h.y[k] * (asked_q / h.a[k] - asked_xi / (1.0 - h.a[k]));
        }
    }

    /// The hinge's increments from those of slopes and outputs.
    pub fn recover(&self, mu: f64, affine: Option<&Increment>, slopes: &[f64], outputs: &[f64]) -> Increment {
        let Some(h) = &self.hinge else { return Increment::default() };
        let mut increment = Increment::default();
        for (k, (&slope, &output)) in slopes.iter().zip(outputs).enumerate() {
            let (_, asked_xi) = self.asked(h, k, mu, affine);
            let da = -h.y[k] * slope;
            let dxi = (asked_xi + h.xi[k] * da) / (1.0 - h.a[k]);
            increment.a.push(da);
            increment.xi.push(dxi);
            increment.q.push(dxi + h.y[k] * output);
        }
        increment
    }

    pub fn longest(&self, increment: &Increment) -> (f64, f64) {
        let Some(h) = &self.hinge else { return (f64::INFINITY, f64::INFINITY) };
        let (mut primal, mut dual) = (f64::INFINITY, f64::INFINITY);
        let reach = |x: f64, dx: f64| if dx < 0.0 { -x / dx } else { f64::INFINITY };
        for k in 0..h.y.len() {
            primal = primal.min(reach(h.xi[k], increment.xi[k])).min(reach(h.q[k], increment.q[k]));
            dual = dual.min(reach(h.a[k], increment.a[k])).min(reach(1.0 - h.a[k], -increment.a[k]));
        }
        (primal, dual)
    }

    pub fn take(&mut self, increment: &Increment, step: f64) {
        if let Some(h) = &mut self.hinge {
            h.xi.iter_mut().zip(&increment.xi).for_each(|(x, dx)| *x += step * dx);
            h.a.iter_mut().zip(&increment.a).for_each(|(x, dx)| *x += step * dx);
        }
    }
}
