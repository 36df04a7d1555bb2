//! At random in proportion to L_b; variable blocks: unknowns in proportion to L_i, without replacement.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Blocks, Select, State, largest};

pub(super) struct Lipschitz {
    /// Running sums of L_b, for fixed blocks.
    sums: Vec<f64>,
}

impl Lipschitz {
    pub fn new(state: &State, blocks: &Blocks) -> Self {
        let mut total = 0.0;
        let mut add = |bound: f64| {
            total += bound;
            total
        };
        let sums = match blocks {
            Blocks::Variable(_) => Vec::new(),
            Blocks::Fixed(blocks) => blocks.iter().map(|block| add(state.block_bound(block))).collect(),
        };
        Self { sums }
    }
}

impl Select for Lipschitz {
    fn needs_gradient(&self) -> bool {
        false
    }

    fn select(&mut self, state: &State, blocks: &Blocks, random: &mut ChaCha8Rng) -> Vec<usize> {
        match blocks {
            // the K smallest of exponential clocks with rates L_i (Efraimidis and Spirakis 2006)
            Blocks::Variable(size) => {
                let clock = |&rate: &f64| {
                    let u: f64 = random.random();
                    // a flat unknown comes last, but it does come
                    (1.0 - u).ln() / rate.max(f64::MIN_POSITIVE)
                };
                let clocks: Vec<f64> = state.bounds().iter().map(clock).collect();
                largest(&clocks, *size)
            }
            Blocks::Fixed(blocks) => {
                let total = self.sums.last().copied().unwrap_or(0.0);
                let point = random.random::<f64>() * total;
                let k = self.sums.partition_point(|&sum| sum <= point);
                blocks.get(k.min(blocks.len().saturating_sub(1))).cloned().unwrap_or_default()
            }
        }
    }
}
