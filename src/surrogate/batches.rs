//! The order in which samples are visited: one schedule for all methods that are compared.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::linalg::splitmix::SplitMix;

/// How an epoch's order is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// A permutation from its own ChaCha stream for each epoch.
    #[default]
    ChaCha,
    /// For i = n - 1, ..., 1: swap i with next() mod (i + 1), next() being one splitmix64 stream over all epochs: the
    /// schedule of published reference figures.
    SplitMix,
}

/// Batches drawn without replacement; what is left of an epoch after the last whole batch is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Batches {
    size: usize,
    seed: u64,
    order: Order,
    /// The stream of [`Order::SplitMix`], and the next epoch.
    splitmix: SplitMix,
    epoch: u64,
    permutation: Vec<u32>,
}

impl Batches {
    /// Batches of b of n samples; of all n in order where b >= n.
    pub fn new(n: usize, b: usize, order: Order, seed: u64) -> Self {
        Self {
            size: b.min(n),
            seed,
            order,
            splitmix: SplitMix(seed),
            epoch: 0,
            permutation: (0..n as u32).collect(),
        }
    }

    /// Batches of an epoch.
    pub fn per_epoch(&self) -> usize {
        (self.permutation.len() / self.size.max(1)).max(1)
    }

    /// Skips epochs, as when a run is resumed.
    pub fn skip(&mut self, epochs: u64) {
        (0..epochs).for_each(|_| self.advance());
    }

    /// Draws the next epoch's order.
    pub fn advance(&mut self) {
        let n = self.permutation.len();
        if self.size < n {
            self.permutation.iter_mut().zip(0..).for_each(|(slot, i)| *slot = i);
            match self.order {
                Order::ChaCha => {
                    let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                    rng.set_stream(self.epoch);
                    self.permutation.shuffle(&mut rng);
                }
                Order::SplitMix => {
                    for i in (1..n).rev() {
                        let j = self.splitmix.bits() % (i as u64 + 1);
                        self.permutation.swap(i, j as usize);
                    }
                }
            }
        }
        self.epoch += 1;
    }

    /// Batch k of the current epoch.
    pub fn batch(&self, k: usize) -> &[u32] {
        &self.permutation[k * self.size..(k + 1) * self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_no_sample_twice_and_depends_on_seed_and_epoch_alone() {
        for order in [Order::ChaCha, Order::SplitMix] {
            let mut batches = Batches::new(23, 5, order, 7);
            assert_eq!(batches.per_epoch(), 4);
            let mut epochs = Vec::new();
            for _ in 0..3 {
                batches.advance();
                let visited: Vec<u32> = (0..4).flat_map(|k| batches.batch(k).to_vec()).collect();
                let mut sorted = visited.clone();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), 20);
                epochs.push(visited);
            }
            assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
            let mut late = Batches::new(23, 5, order, 7);
            late.skip(2);
            late.advance();
            assert_eq!((0..4).flat_map(|k| late.batch(k).to_vec()).collect::<Vec<_>>(), epochs[2]);
        }
    }

    #[test]
    fn all_samples_stay_in_order() {
        let mut batches = Batches::new(4, 9, Order::ChaCha, 1);
        batches.advance();
        assert_eq!((batches.per_epoch(), batches.batch(0)), (1, &[0, 1, 2, 3][..]));
    }
}
