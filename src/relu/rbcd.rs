//! The u-step of the splitting method by randomised block coordinate descent, the published way for general losses.
//!
//! min over u of l(F u) + (rho/2) (|u - v + lambda|^2 + |G u - s + nu|^2): draw a block, step along its negative gradient.
//! The published step is found by backtracking; here it is one over the curvature c = l''_max |D_i X|^2 + rho (1 + |X|^2) of
//! the block, its norms estimated by power iteration with five per cent on top.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::admm::Splitting;
use super::{Error, Loss};
use crate::linalg::product::{axpy, dot_serial, norm};

/// Options of the block coordinate u-step.
#[derive(Debug, Clone, PartialEq)]
pub struct Rbcd {
    /// Block steps in one u-step, as a multiple of the number of blocks.
    pub sweeps: f64,
    /// Seed of the blocks drawn.
    pub seed: u64,
}

impl Default for Rbcd {
    fn default() -> Self {
        Self { sweeps: 5.0, seed: 0 }
    }
}

/// State of the block steps between ADMM iterations.
pub(super) struct BlockSteps {
    options: Rbcd,
    random: ChaCha8Rng,
    /// u, d x 2 P.
    u: Vec<f64>,
    /// F u.
    outputs: Vec<f64>,
    /// |D_i X|^2 for every pattern, |X|^2.
    squares: Vec<f64>,
    square: f64,
}

impl BlockSteps {
    /// Refuses the hinge, whose curvature has no bound.
    pub fn new(options: &Rbcd, state: &Splitting) -> Result<Self, Error> {
        let program = state.scaled();
        if program.loss == Loss::Hinge {
            let message = "block coordinate steps need a loss with bounded curvature; the hinge has none";
            return Err(Error::Option(message.into()));
        }
        if !(options.sweeps > 0.0 && options.sweeps.is_finite()) {
            return Err(Error::Option(format!("sweeps is {}; it must be positive", options.sweeps)));
        }
        let masked = |signs: &Vec<f64>| spectral_square(program, |k| signs[k] > 0.0);
        Ok(Self {
            random: ChaCha8Rng::seed_from_u64(options.seed),
            u: vec![0.0; state.v.len()],
            outputs: vec![0.0; program.n],
            squares: state.signs().iter().map(masked).collect(),
            square: spectral_square(program, |_| true),
            options: options.clone(),
        })
    }

    /// Some block steps from the last u; a <- u, xa <- X u.
    pub fn solve(&mut self, state: &mut Splitting) {
        let (n, d) = (state.scaled().n, state.scaled().d);
        let count = state.signs().len();
        let steps = (self.options.sweeps * 2.0 * count as f64).ceil() as usize;
        let bound = match state.scaled().loss {
            Loss::Squared | Loss::CrossEntropy => 1.0,
            _ => 0.25,
        };
        let mut z = vec![0.0; n];
        let mut weights = vec![0.0; n];
        let (mut target, mut s, mut gradient) = (vec![0.0; d], vec![0.0; n], vec![0.0; d]);
        for _ in 0..steps {
            let j = self.random.random_range(0..2 * count);
            let (i, sign) = (j % count, if j < count { 1.0 } else { -1.0 });
            let program = state.scaled();
            let signs = &state.signs()[i];
            let u = &mut self.u[j * d..(j + 1) * d];
            program.multiply(u, &mut z);
            let rho = state.targets(j, &mut target, &mut s);
            // X'(s D l'(F u) + rho E (E X u - (s - nu))) + rho (u - (v - lambda))
            for k in 0..n {
                let slope = program.loss.derivative(self.outputs[k], program.y[k]);
                let own = if signs[k] > 0.0 { sign * slope } else { 0.0 };
                weights[k] = own + rho * (z[k] - signs[k] * s[k]);
            }
            gradient.iter_mut().zip(u.iter().zip(&target)).for_each(|(g, (u, t))| *g = rho * (u - t));
            for (row, &w) in program.rows.chunks_exact(d).zip(&weights) {
                axpy(w, row, &mut gradient);
            }
            let step = -1.0 / (bound * self.squares[i] + rho * (1.0 + self.square));
            axpy(step, &gradient, u);
            program.multiply(&gradient, &mut z);
            for ((out, z), e) in self.outputs.iter_mut().zip(&z).zip(signs) {
                *out += if *e > 0.0 { sign * step * z } else { 0.0 };
            }
        }
        state.set_u(&self.u);
    }
}

/// |D X|_2^2 by power iteration, with a little room above: the rows for which `active` says so.
fn spectral_square(program: &super::training::Program, active: impl Fn(usize) -> bool) -> f64 {
    let d = program.d;
    let mut v: Vec<f64> = (0..d).map(|j| 1.0 + 0.1 * (j as f64).sin()).collect();
    let mut size = 0.0;
    for _ in 0..30 {
        let length = norm(&v).max(1e-300);
        v.iter_mut().for_each(|v| *v /= length);
        let mut next = vec![0.0; d];
        for row in program.rows.chunks_exact(d).enumerate().filter(|(k, _)| active(*k)).map(|(_, row)| row) {
            axpy(dot_serial(row, &v), row, &mut next);
        }
        size = norm(&next);
        v = next;
    }
    1.05 * size + 1e-12
}
