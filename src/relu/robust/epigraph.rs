//! The epigraph {(p, h) : |p| <= h} of a size in the interior-point method, with h eliminated from Newton systems.
//!
//! l-infinity budgets have sizes |p|_1 = min 1'h over -h_i <= p_i <= h_i: one h an entry, two constraints each. Euclidean ones have
//! one h and the convex constraint |p|^2 / h - h <= 0. Whatever else the objective does with h depends on 1'h and on the
//! weights: slope `slope`, curvature `sigma`, mixed derivatives `mixed`, a vector. With A the diagonal of the Hessian in h, b its
//! part mixed with p, w = b / A and S = 1'A^{-1}1, eliminating h leaves
//!
//! (pp - b^2 / A) - (w mixed' + mixed w' + S mixed mixed') / (1 + sigma S) + sigma / (1 + sigma S) w w',
//!
//! of which the term in mixed mixed' is left to the caller, who has more to add to it.

use super::prox::Norm;
use super::slacks::Slacks;
use crate::linalg::product::dot_serial;

/// The epigraph of the size of the first `m` numbers of a vector.
pub(super) struct Epigraph {
    norm: Norm,
    m: usize,
    h: Vec<f64>,
    pub dh: Vec<f64>,
    /// h_i + p_i and h_i - p_i in turn, or the one slack h - |p|^2 / h.
    pub slacks: Slacks,
    /// The gradient in h, with what else depends on it.
    gradient: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    w: Vec<f64>,
    /// 1'A^{-1}1 and sigma.
    pub total: f64,
    sigma: f64,
}

impl Epigraph {
    /// Above the size of p, every entry by `room`.
    pub fn above(norm: Norm, p: &[f64], room: f64, mu: f64) -> Self {
        let m = p.len();
        let h: Vec<f64> = match norm {
            Norm::Infinity => p.iter().map(|p| p.abs() + room).collect(),
            Norm::Euclidean => vec![dot_serial(p, p).sqrt() + room],
        };
        let zeros = vec![0.0; h.len()];
        let (dh, gradient, a) = (zeros.clone(), zeros.clone(), zeros);
        let (b, w, slacks) = (vec![0.0; m], vec![0.0; m], Slacks::default());
        let mut own = Self { norm, m, h, dh, slacks, gradient, a, b, w, total: 0.0, sigma: 0.0 };
        let s = own.slacks_at(p);
        own.slacks = Slacks::new(s, mu);
        own
    }

    fn slacks_at(&self, p: &[f64]) -> Vec<f64> {
        match self.norm {
            Norm::Infinity => self.h.iter().zip(p).flat_map(|(h, p)| [h + p, h - p]).collect(),
            Norm::Euclidean => {
                let (h, length) = (self.h[0], dot_serial(&p[..self.m], &p[..self.m]).sqrt());
                // h < 0 has the same slack as |h|
                vec![if h > 0.0 { (h - length) * (h + length) / h } else { -1.0 }]
            }
        }
    }

    /// 1'h.
    pub fn size(&self) -> f64 {
        self.h.iter().sum()
    }

    /// Renews all derivatives at p.
    pub fn renew(&mut self, p: &[f64], slope: f64, sigma: f64) {
        match self.norm {
            Norm::Infinity => {
                for i in 0..self.m {
                    let (plus, minus) = (self.slacks.weight(2 * i), self.slacks.weight(2 * i + 1));
                    self.a[i] = plus + minus;
                    self.b[i] = plus - minus;
                    self.w[i] = self.b[i] / self.a[i];
                    self.gradient[i] = slope - self.slacks.pull(2 * i) - self.slacks.pull(2 * i + 1);
                }
            }
            Norm::Euclidean => {
                let (h, q, c) = self.slopes(p);
                let (z, k) = (self.slacks.z[0], self.slacks.weight(0));
                self.a[0] = 2.0 * z * q / h + k * c * c;
                let factor = -2.0 * (z / h + k * c) / h;
                for ((b, w), p) in self.b.iter_mut().zip(&mut self.w).zip(p) {
                    *b = factor * p;
                    *w = *b / self.a[0];
                }
                self.gradient[0] = slope - self.slacks.pull(0) * c;
            }
        }
        self.sigma = sigma;
        self.total = self.a.iter().map(|a| 1.0 / a).sum();
    }

    /// h, q = |p|^2 / h^2 and the slack's derivative 1 + q in h, for the one slack of a Euclidean size.
    fn slopes(&self, p: &[f64]) -> (f64, f64, f64) {
        let h = self.h[0];
        let q = dot_serial(&p[..self.m], &p[..self.m]) / (h * h);
        (h, q, 1.0 + q)
    }

    /// What the elimination divides by: 1 + sigma S.
    pub fn divisor(&self) -> f64 {
        1.0 + self.sigma * self.total
    }

    /// z <- (A + sigma 1 1')^{-1} z.
    fn solve(&self, z: &mut [f64]) {
        z.iter_mut().zip(&self.a).for_each(|(z, a)| *z /= a);
        let shift = self.sigma / self.divisor() * z.iter().sum::<f64>();
        z.iter_mut().zip(&self.a).for_each(|(z, a)| *z -= shift / a);
    }

    /// Entry i of the mixed part times a vector in h.
    fn mixed(&self, i: usize, z: &[f64]) -> f64 {
        self.b[i] * if self.norm == Norm::Infinity { z[i] } else { z[0] }
    }

    /// Adds the reduced gradient.
    pub fn add_gradient(&self, p: &[f64], mixed: &[f64], gradient: &mut [f64]) {
        let mut z = self.gradient.clone();
        self.solve(&mut z);
        let along: f64 = z.iter().sum();
        gradient.iter_mut().zip(mixed).for_each(|(g, y)| *g -= along * y);
        for i in 0..self.m {
            let own = match self.norm {
                Norm::Infinity => self.slacks.pull(2 * i + 1) - self.slacks.pull(2 * i),
                Norm::Euclidean => 2.0 * self.slacks.pull(0) * p[i] / self.h[0],
            };
            gradient[i] += own - self.mixed(i, &z);
        }
    }

    /// Adds the reduced Hessian but for mixed mixed' to the lower triangle of a d x d matrix.
    pub fn add_hessian(&self, p: &[f64], mixed: &[f64], matrix: &mut [f64]) {
        let (d, m) = (mixed.len(), self.m);
        let (cross, square) = (1.0 / self.divisor(), self.sigma / self.divisor());
        let mut inward = 0.0;
        for i in 0..m {
            matrix[i * d + i] += match self.norm {
                Norm::Infinity => {
                    let (plus, minus) = (self.slacks.weight(2 * i), self.slacks.weight(2 * i + 1));
                    4.0 * plus * minus / (plus + minus)
                }
                Norm::Euclidean => 2.0 * self.slacks.z[0] / self.h[0],
            };
        }
        if self.norm == Norm::Euclidean {
            let (h, z, k) = (self.h[0], self.slacks.z[0], self.slacks.weight(0));
            inward = -4.0 * z / (h * h * h) * (2.0 * k + z / h) / self.a[0];
        }
        for j in 0..d {
            let (wj, pj) = if j < m { (self.w[j], inward * p[j]) } else { (0.0, 0.0) };
            for i in j..d {
                let (wi, pi) = if i < m { (self.w[i], p[i]) } else { (0.0, 0.0) };
                matrix[j * d + i] += square * wi * wj - cross * (wi * mixed[j] + mixed[i] * wj) + pi * pj;
            }
        }
    }

    /// The steps of h, slacks and multipliers from the step in p and `mixed`'dv.
    pub fn recover(&mut self, p: &[f64], dp: &[f64], mixed: f64) {
        let mut z = self.gradient.clone();
        z.iter_mut().for_each(|z| *z += mixed);
        for i in 0..self.m {
            z[if self.norm == Norm::Infinity { i } else { 0 }] += self.b[i] * dp[i];
        }
        self.solve(&mut z);
        self.dh.iter_mut().zip(&z).for_each(|(dh, z)| *dh = -z);
        match self.norm {
            Norm::Infinity => {
                for (i, (dh, dp)) in self.dh.iter().zip(dp).enumerate() {
                    self.slacks.step(2 * i, dh + dp);
                    self.slacks.step(2 * i + 1, dh - dp);
                }
            }
            Norm::Euclidean => {
                let (h, _, c) = self.slopes(p);
                let along = dot_serial(&p[..self.m], &dp[..self.m]);
                self.slacks.step(0, c * self.dh[0] - 2.0 * along / h);
            }
        }
    }

    /// The constraints' pull on p at the end of the step, to first order.
    pub fn carried(&self, p: &[f64], dp: &[f64], out: &mut [f64]) {
        for i in 0..self.m {
            out[i] = match self.norm {
                Norm::Infinity => self.slacks.carried(2 * i + 1) - self.slacks.carried(2 * i),
                Norm::Euclidean => {
                    let (h, z) = (self.h[0], self.slacks.z[0]);
                    2.0 / h * (self.slacks.carried(0) * p[i] + z * (dp[i] - p[i] * self.dh[0] / h))
                }
            };
        }
    }

    /// Moves h and the multipliers; p is where it is after the step.
    pub fn take(&mut self, p: &[f64], step: f64) {
        self.h.iter_mut().zip(&self.dh).for_each(|(h, dh)| *h += step * dh);
        self.slacks.take(step);
        self.slacks.s = self.slacks_at(p);
    }
}
