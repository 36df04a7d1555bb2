//! Pricing: the search for activation patterns that would lower the optimum.
//!
//! A neuron outside the program helps exactly if some unit vector q has |zeta'(X q)_+| > beta. Finding the largest value
//! is NP-hard, so this is a search: q <- normalise(q +- normalise(X'(1\[X q >= 0\] o zeta))) from many starts. A value above
//! beta is a proof that the program isn't optimal among all networks, and hands over the pattern; none found proves
//! nothing.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::training::Program;
use crate::linalg::panel;
use crate::linalg::product::norm;

/// A direction with its value |zeta'(X q)_+| / beta, and the sign of zeta'(X q)_+.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub ratio: f64,
    pub positive: bool,
    /// q, a unit vector in the program's variables.
    pub direction: Vec<f64>,
}

/// Directions taken at a time.
const BATCH: usize = 256;

/// Ascends from the given directions and from `random` ones, each for both signs; the candidates, best first. `slope` is
/// a subgradient of the loss, zeta = -slope. 4 n d flops a start and step.
pub(super) fn search(
    program: &Program,
    slope: &[f64],
    known: &[Vec<f64>],
    random: usize,
    steps: usize,
    seed: u64,
) -> Vec<Candidate> {
    let d = program.d;
    if program.n == 0 || d == 0 {
        return Vec::new();
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let drawn =
        (0..random).map(|_| (0..d).map(|_| StandardNormal.sample(&mut generator)).collect::<Vec<f64>>());
    let starts: Vec<Vec<f64>> = known.iter().cloned().chain(drawn).filter(|q| norm(q) > 0.0).collect();
    let mut candidates = Vec::with_capacity(2 * starts.len());
    for batch in starts.chunks(BATCH) {
        for positive in [true, false] {
            candidates.extend(ascend(program, slope, batch, positive, steps));
        }
    }
    candidates.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    candidates
}

/// Ascent of +-zeta'(X q)_+ from a batch of directions; the best point of each path.
fn ascend(
    program: &Program,
    slope: &[f64],
    starts: &[Vec<f64>],
    positive: bool,
    steps: usize,
) -> Vec<Candidate> {
    let Program { n, d, .. } = *program;
    let sign = if positive { -1.0 } else { 1.0 };
    let mut q: Vec<f64> = starts.iter().flatten().copied().collect();
    let normalise = |q: &mut [f64]| {
        let length = norm(q);
        if length > 0.0 {
            q.iter_mut().for_each(|q| *q /= length);
        }
    };
    q.chunks_exact_mut(d).for_each(normalise);
    let mut z = vec![0.0; n * starts.len()];
    let mut uphill = vec![0.0; d * starts.len()];
    let mut best: Vec<Candidate> = q
        .chunks_exact(d)
        .map(|q| Candidate { ratio: f64::NEG_INFINITY, positive, direction: q.to_vec() })
        .collect();
    for step in 0..=steps {
        panel::multiply(program.x(), &q, &mut z);
        for ((z, q), best) in z.chunks_exact_mut(n).zip(q.chunks_exact(d)).zip(&mut best) {
            let mut value = 0.0;
            for (z, g) in z.iter_mut().zip(slope) {
                value += sign * g * z.max(0.0);
                *z = if *z >= 0.0 { sign * g } else { 0.0 };
            }
            if value > best.ratio {
                best.ratio = value;
                best.direction.copy_from_slice(q);
            }
        }
        if step < steps {
            panel::multiply(program.x().transpose(), &z, &mut uphill);
            for (q, up) in q.chunks_exact_mut(d).zip(uphill.chunks_exact_mut(d)) {
                normalise(up);
                q.iter_mut().zip(up).for_each(|(q, up)| *q += *up);
                normalise(q);
            }
        }
    }
    best.iter_mut().for_each(|candidate| candidate.ratio /= program.beta);
    best
}
