//! Random numbers whose state can be saved.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A stream of uniform numbers: the same seed, stream and count give the same numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dice {
    seed: u64,
    stream: u64,
    /// Numbers drawn so far.
    drawn: u64,
    #[serde(skip)]
    generator: Option<ChaCha8Rng>,
}

impl Dice {
    /// At the start of a stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream, drawn: 0, generator: None }
    }

    /// The next number, uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        let (seed, stream, drawn) = (self.seed, self.stream, self.drawn);
        let generator = self.generator.get_or_insert_with(|| {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            generator.set_stream(stream);
            // two words of 32 bits a number
            generator.set_word_pos(2 * u128::from(drawn));
            generator
        });
        self.drawn += 1;
        (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An index drawn with these probabilities, which sum to one up to rounding.
    pub fn index(&mut self, probabilities: &[f64]) -> usize {
        let mut left = self.uniform();
        for (i, p) in probabilities.iter().enumerate() {
            left -= p;
            if left < 0.0 {
                return i;
            }
        }
        // rounding: the last index that can be drawn at all
        probabilities.iter().rposition(|p| *p > 0.0).unwrap_or(0)
    }
}
