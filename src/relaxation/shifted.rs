//! A built-in sequence: shifted Laplacians with random right-hand sides.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, StandardNormal};

use super::heat::laplacian;
use super::{Error, Operator, StreamSystem};

/// How the shifts are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shifts {
    /// -0.15 + 0.6 Beta(1/2, 3/2): often close to the end where A + c I is nearly singular.
    High,
    /// -0.15 + 0.6 Beta(2, 6): less spread.
    Low,
}

/// Systems (L + c I) x = b with L the 5-point Laplacian of a 10 x 10 grid, random c, and b a Gaussian vector conditioned on |b| <= 10
/// (Khodak, Chow, Balcan, Talwalkar 2024). The context is c; they start from zero.
pub struct Shifted {
    operator: Operator,
    shifts: Beta<f64>,
    rng: ChaCha8Rng,
    rhs: Vec<f64>,
}

impl Shifted {
    /// The systems that belong to a seed.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(shifts: Shifts, seed: u64) -> Result<Self, Error> {
        let (alpha, beta) = match shifts {
            Shifts::High => (0.5, 1.5),
            Shifts::Low => (2.0, 6.0),
        };
        let shifts = Beta::new(alpha, beta).map_err(|error| Error::Option(error.to_string()))?;
        let operator = Operator::new(laplacian(10, 10).view())?;
        Ok(Self { operator, shifts, rng: ChaCha8Rng::seed_from_u64(seed), rhs: vec![0.0; 100] })
    }

    /// The range of contexts that the published learners were given.
    pub const RANGE: (f64, f64) = (-0.15, 0.65);

    /// The next system.
    ///
    /// # Errors
    /// None in practice: the matrix stays positive definite.
    pub fn system(&mut self) -> Result<StreamSystem<'_>, Error> {
        let shift = -0.15 + 0.6 * self.shifts.sample(&mut self.rng);
        loop {
            self.rhs.iter_mut().for_each(|b| *b = StandardNormal.sample(&mut self.rng));
            if self.rhs.iter().map(|b| b * b).sum::<f64>() <= self.rhs.len() as f64 {
                break;
            }
        }
        self.operator.set_shift(shift)?;
        Ok(StreamSystem { operator: &self.operator, rhs: &self.rhs, start: None, context: shift })
    }
}
