//! Random numbers, and the damage that is done to a problem's.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use gradus::linalg::DesignMatrix;
use sprs::{CsMatI, CsVecViewI, TriMatI};

use super::all_finite;

/// What is odd about a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    None,
    /// One number is this: NaN or an infinity.
    Poison(f64),
    /// No rows, no columns.
    Empty,
    /// Rows and columns come twice.
    Repeated,
    /// Numbers are few and equal.
    Constant,
    /// All numbers are multiplied by this.
    Scale(f64),
    /// Each number has a scale of its own, over sixteen powers of ten.
    Graded,
}

pub struct Random {
    rng: ChaCha8Rng,
    pub damage: Damage,
    poisoned: bool,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut this = Self { rng: ChaCha8Rng::seed_from_u64(seed), damage: Damage::None, poisoned: false };
        let poison = this.choose(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        let scale = this.choose(&[1e-300, 1e-160, 1e-30, 1e-8, 1e8, 1e30, 1e160, 1e300]);
        this.damage = match this.below(16) {
            0 | 1 => Damage::Poison(poison),
            2 => Damage::Empty,
            3 | 4 => Damage::Repeated,
            5 => Damage::Constant,
            6 | 7 => Damage::Scale(scale),
            8 => Damage::Graded,
            _ => Damage::None,
        };
        this
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound.max(1))
    }

    pub fn choose<T: Clone>(&mut self, list: &[T]) -> T {
        let k = self.below(list.len());
        list[k].clone()
    }

    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// Uniform in [-1, 1).
    pub fn uniform(&mut self) -> f64 {
        2.0 * self.rng.random::<f64>() - 1.0
    }

    /// A size; now and then 0 for the damage of that name, now and then as large as `large`, so that threads have work.
    pub fn size(&mut self, most: usize, large: usize) -> usize {
        if self.damage == Damage::Empty && self.chance(2) {
            return 0;
        }
        if self.chance(25) { large } else { 1 + self.below(most) }
    }

    /// Numbers about 1, with the damage done to them.
    pub fn numbers(&mut self, count: usize) -> Vec<f64> {
        let mut numbers: Vec<f64> = (0..count).map(|_| 2.0 * self.uniform()).collect();
        let damage = self.damage;
        match damage {
            Damage::Scale(scale) => numbers.iter_mut().for_each(|v| *v *= scale),
            Damage::Constant => {
                let value = self.choose(&[0.0, 1.0, -3.5]);
                numbers.fill(value);
            }
            Damage::Graded => numbers.iter_mut().for_each(|v| *v *= 10f64.powi(self.rng.random_range(-8..8))),
            Damage::Poison(value) if !self.poisoned && count > 0 && self.chance(2) => {
                self.poisoned = true;
                let k = self.below(count);
                numbers[k] = value;
            }
            _ => {}
        }
        numbers
    }

    /// Numbers above 0.
    pub fn positive(&mut self, count: usize) -> Vec<f64> {
        self.numbers(count).into_iter().map(|v| v.abs() + if v == 0.0 { 1.0 } else { 0.0 }).collect()
    }

    /// Values of an option, most often one of a list.
    pub fn option(&mut self, list: &[f64]) -> f64 {
        let damage = self.damage;
        match damage {
            Damage::Poison(value) if !self.poisoned && self.chance(3) => {
                self.poisoned = true;
                value
            }
            _ => self.choose(list),
        }
    }

    /// n x p by columns, about half of it zero if asked for, with some columns repeated or zero.
    pub fn columns(&mut self, n: usize, p: usize) -> Vec<f64> {
        let sparse = self.chance(2);
        self.columns_of(n, p, sparse)
    }

    fn columns_of(&mut self, n: usize, p: usize, sparse: bool) -> Vec<f64> {
        let mut values = self.numbers(n * p);
        if sparse {
            values.iter_mut().for_each(|v| {
                if self.rng.random::<bool>() && v.is_finite() {
                    *v = 0.0;
                }
            });
        }
        if self.damage == Damage::Repeated && n * p > 0 {
            for _ in 0..1 + p / 3 {
                let (from, to) = (self.below(p), self.below(p));
                let column = values[from * n..(from + 1) * n].to_vec();
                values[to * n..(to + 1) * n].copy_from_slice(&column);
            }
            let (from, to, zero) = (self.below(n), self.below(n), self.below(p));
            (0..p).for_each(|j| values[to + j * n] = values[from + j * n]);
            if self.chance(2) {
                values[zero * n..(zero + 1) * n].fill(0.0);
            }
        }
        values
    }

    /// A data matrix, dense or sparse; one with a NaN or an infinity is refused for it.
    pub fn design(&mut self, n: usize, p: usize) -> Result<DesignMatrix, String> {
        let sparse = self.chance(2);
        let values = self.columns_of(n, p, sparse);
        let finite = all_finite(&values);
        let design = if sparse {
            let mut triplets = TriMatI::<f64, u32>::new((n, p));
            for (k, &value) in values.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                triplets.add_triplet(k % n, k / n, value);
            }
            DesignMatrix::from_sparse(triplets.to_csr())
        } else {
            DesignMatrix::from_dense(n, p, values)
        };
        let design = design.map_err(|error| error.to_string());
        match &design {
            Ok(_) => assert!(finite, "a data matrix that is none is taken"),
            Err(error) => assert!(finite || error.contains("finite"), "{error}"),
        }
        design
    }

    /// A symmetric matrix with a dominant diagonal, most often.
    pub fn symmetric(&mut self, n: usize) -> CsMatI<f64, u32> {
        let mut dense = vec![0.0; n * n];
        let numbers = self.numbers(n * n);
        let weak = self.chance(8);
        for i in 0..n {
            for j in 0..i {
                if self.chance(3) {
                    dense[i * n + j] = numbers[i * n + j];
                    dense[j * n + i] = numbers[i * n + j];
                }
            }
        }
        for i in 0..n {
            let sum: f64 = (0..n).map(|j| dense[i * n + j].abs()).sum();
            let slack = numbers[i * n + i].abs();
            dense[i * n + i] = if weak { 0.4 * sum + slack } else { sum + 0.05 * slack };
        }
        let (mut offsets, mut indices, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for i in 0..n {
            for j in 0..n {
                if dense[i * n + j] != 0.0 || i == j {
                    indices.push(j as u32);
                    values.push(dense[i * n + j]);
                }
            }
            offsets.push(indices.len() as u32);
        }
        CsMatI::new((n, n), offsets, indices, values)
    }

    pub fn seed(&mut self) -> u64 {
        self.rng.random()
    }
}

/// The least share of a diagonal entry by which it exceeds the sum of the others of its row.
pub fn dominance(a: &CsMatI<f64, u32>) -> f64 {
    let row = |(i, row): (usize, CsVecViewI<f64, u32>)| {
        let sum: f64 = row.iter().map(|(j, v)| if i == j { 0.0 } else { v.abs() }).sum();
        row.get(i).map_or(0.0, |diagonal| (diagonal - sum) / diagonal)
    };
    a.outer_iterator().enumerate().map(row).fold(1.0, f64::min)
}
