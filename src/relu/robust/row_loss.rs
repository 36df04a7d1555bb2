//! Worst-case losses as functions of (o, R), o = x'p the output and R the reach. Losses with kinks have an epigraph of their
//! own, whose variable q is eliminated: q^2 / 2 over q >= |o - y| + R, and q over q >= 0, q >= 1 - y o + R.

use super::prox::RowDual;
use super::slacks::Slacks;
use crate::relu::Loss;

/// First and second derivatives in (o, R) once q is eliminated.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Derivatives {
    pub output: f64,
    pub reach: f64,
    /// Curvatures oo, oR, RR, and their determinant, which is not a difference.
    pub curvature: [f64; 3],
    pub determinant: f64,
    /// dq = -(offset + with_o do + with_R dR).
    q: [f64; 3],
}

/// The loss of one row.
pub(super) struct RowLoss {
    loss: Loss,
    y: f64,
    q: f64,
    dq: f64,
    pub slacks: Slacks,
    pub at: Derivatives,
}

impl RowLoss {
    /// q inside its epigraph.
    pub fn above(loss: Loss, y: f64, at: (f64, f64), mu: f64) -> Self {
        let q = match loss {
            Loss::Squared => (at.0 - y).abs() + at.1 + 0.5,
            _ => (1.0 - y * at.0 + at.1).max(0.0) + 0.5,
        };
        let slacks = Slacks::default();
        let mut own = Self { loss, y, q, dq: 0.0, slacks, at: Derivatives::default() };
        own.slacks = Slacks::new(own.slacks_at(at), mu);
        own
    }

    fn slacks_at(&self, (o, reach): (f64, f64)) -> Vec<f64> {
        match self.loss {
            Loss::Squared => vec![self.q - (o - self.y) - reach, self.q + (o - self.y) - reach],
            Loss::Hinge => vec![self.q, self.q - 1.0 + self.y * o - reach],
            _ => Vec::new(),
        }
    }

    /// Renews the derivatives at (o, R).
    pub fn renew(&mut self, at: (f64, f64)) {
        let y = self.y;
        self.at = match self.loss {
            Loss::Squared => {
                let (i1, i2) = (self.slacks.weight(0), self.slacks.weight(1));
                let (p1, p2) = (self.slacks.pull(0), self.slacks.pull(1));
                let gradient = self.q - p1 - p2;
                let whole = 1.0 + i1 + i2;
                let (with_o, with_r) = ((i2 - i1) / whole, -(i1 + i2) / whole);
                Derivatives {
                    output: p1 - p2 - with_o * gradient,
                    reach: p1 + p2 - with_r * gradient,
                    curvature: [(4.0 * i1 * i2 + i1 + i2) / whole, (i1 - i2) / whole, (i1 + i2) / whole],
                    determinant: 4.0 * i1 * i2 / whole,
                    q: [gradient / whole, with_o, with_r],
                }
            }
            Loss::Hinge => {
                let (i1, i2) = (self.slacks.weight(0), self.slacks.weight(1));
                let (p1, p2) = (self.slacks.pull(0), self.slacks.pull(1));
                let (whole, share) = (i1 + i2, i2 / (i1 + i2));
                let gradient = 1.0 - p1 - p2;
                let slope = -p2 - share * gradient;
                let curvature = i1 * share;
                Derivatives {
                    output: y * slope,
                    reach: -slope,
                    curvature: [curvature, -y * curvature, curvature],
                    determinant: 0.0,
                    q: [gradient / whole, y * share, -share],
                }
            }
            loss => {
                let margin = at.0 - y * at.1;
                let (slope, curvature) = (loss.derivative(margin, y), loss.curvature(margin, y));
                Derivatives {
                    output: slope,
                    reach: -y * slope,
                    curvature: [curvature, -y * curvature, curvature],
                    ..Derivatives::default()
                }
            }
        };
    }

    /// The steps of q, slacks and multipliers from those in o and R.
    pub fn recover(&mut self, d_output: f64, d_reach: f64) {
        let [offset, with_o, with_r] = self.at.q;
        self.dq = -(offset + with_o * d_output + with_r * d_reach);
        match self.loss {
            Loss::Squared => {
                self.slacks.step(0, self.dq - d_output - d_reach);
                self.slacks.step(1, self.dq + d_output - d_reach);
            }
            Loss::Hinge => {
                self.slacks.step(0, self.dq);
                self.slacks.step(1, self.dq + self.y * d_output - d_reach);
            }
            _ => {}
        }
    }

    /// The slopes at the end of the step, to first order.
    pub fn carried(&self, (d_output, d_reach): (f64, f64)) -> RowDual {
        match self.loss {
            Loss::Squared => {
                let (first, second) = (self.slacks.carried(0), self.slacks.carried(1));
                RowDual { alpha: first + second, along: first - second }
            }
            Loss::Hinge => {
                let alpha = self.slacks.carried(1).min(1.0);
                RowDual { alpha, along: -self.y * alpha }
            }
            loss => {
                let most = if loss == Loss::CrossEntropy { 2.0 } else { 1.0 };
                let slope = self.at.output + self.at.curvature[0] * (d_output - self.y * d_reach);
                let alpha = (-self.y * slope).clamp(0.0, most);
                RowDual { alpha, along: -self.y * alpha }
            }
        }
    }

    /// Moves q and the multipliers; (o, R) are where they are after the step.
    pub fn take(&mut self, at: (f64, f64), step: f64) {
        self.q += step * self.dq;
        self.slacks.take(step);
        self.slacks.s = self.slacks_at(at);
    }
}
