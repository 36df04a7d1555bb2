//! Limited-memory BFGS in compact form, for matrices that are never stored.

use super::factor::{DenseIndefinite, FactorError, Inertia};

/// A pair counts where s'y is above this share of |s| |y|.
const LEAST_COSINE: f64 = 1.5e-8;
/// The share of s'Bs that s'y is lifted to at least (Powell 1978).
const DAMPING: f64 = 0.2;
/// sigma stays within these limits.
const SIGMA: (f64, f64) = (1e-8, 1e8);
/// So many pairs in a row that don't count empty the memory.
const SKIPS: usize = 2;

/// B = sigma I - Q M^{-1} Q', Q = [sigma S, Y], M = [sigma S'S, L; L', -D], of the last p pairs s = change of x, y = change of
/// the gradient: S'Y = L + D + (upper part), L strictly lower triangular, D diagonal (Byrd, Nocedal and Schnabel 1994).
///
/// Positive definite: pairs with too little curvature are damped, those with none skipped. sigma = s'y / s's of the newest pair.
/// Memory: 2 p vectors; a product costs 4 p n flops.
#[derive(Default)]
pub struct CompactBfgs {
    n: usize,
    memory: usize,
    /// Pairs, oldest first, n entries each.
    steps: Vec<f64>,
    changes: Vec<f64>,
    sigma: f64,
    skipped: usize,
    /// M, column-major, lower triangle.
    middle: Vec<f64>,
    factors: DenseIndefinite,
    small: Vec<f64>,
    damped: Vec<f64>,
}

impl CompactBfgs {
    /// An empty memory for `memory` pairs of n entries; B = I.
    pub fn new(n: usize, memory: usize) -> Self {
        Self { n, memory, sigma: 1.0, ..Self::default() }
    }

    /// sigma.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// p, the number of pairs.
    pub fn pairs(&self) -> usize {
        self.steps.len().checked_div(self.n).unwrap_or(0)
    }

    /// The inertia of M: as many positive as negative eigenvalues.
    pub fn middle_inertia(&self) -> Inertia {
        Inertia { positive: self.pairs(), negative: self.pairs(), zero: 0 }
    }

    /// M, its lower triangle, column-major with 2 p rows.
    pub fn middle(&self) -> &[f64] {
        &self.middle
    }

    /// Column k < 2 p of Q, into `out` of length n.
    pub fn column(&self, k: usize, out: &mut [f64]) {
        let (n, pairs) = (self.n, self.pairs());
        if k < pairs {
            let s = &self.steps[k * n..(k + 1) * n];
            out.iter_mut().zip(s).for_each(|(out, s)| *out = self.sigma * s);
        } else {
            out.copy_from_slice(&self.changes[(k - pairs) * n..(k - pairs + 1) * n]);
        }
    }

    /// Q'v, into `out` of length 2 p.
    pub fn transposed_product(&self, v: &[f64], out: &mut [f64]) {
        let (n, pairs) = (self.n, self.pairs());
        for k in 0..pairs {
            out[k] = self.sigma * dot(&self.steps[k * n..(k + 1) * n], v);
            out[pairs + k] = dot(&self.changes[k * n..(k + 1) * n], v);
        }
    }

    /// out <- out + (B - sigma I) v.
    ///
    /// # Errors
    /// `Singular` where M is, which the choice of pairs prevents up to rounding.
    pub fn add_low_rank_product(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), FactorError> {
        let (n, pairs) = (self.n, self.pairs());
        if pairs == 0 {
            return Ok(());
        }
        let mut small = std::mem::take(&mut self.small);
        small.resize(2 * pairs, 0.0);
        self.transposed_product(v, &mut small);
        let solved = self.factors.solve_in_place(&mut small);
        if solved.is_ok() {
            for k in 0..pairs {
                let (a, b) = (self.sigma * small[k], small[pairs + k]);
                let (s, y) = (&self.steps[k * n..(k + 1) * n], &self.changes[k * n..(k + 1) * n]);
                out.iter_mut().zip(s).zip(y).for_each(|((out, s), y)| *out -= a * s + b * y);
            }
        }
        self.small = small;
        solved
    }

    /// Takes a pair in, the oldest one going where the memory is full. False where it has no curvature to give; two such pairs
    /// in a row empty the memory.
    pub fn update(&mut self, step: &[f64], change: &[f64]) -> bool {
        let n = self.n;
        let size = dot(step, step);
        let mut curvature = dot(step, change);
        let usable = size > 0.0 && curvature.is_finite() && dot(change, change).is_finite();
        let mut damped = std::mem::take(&mut self.damped);
        damped.clear();
        damped.extend_from_slice(change);
        if usable {
            // y <- theta y + (1 - theta) B s, so that s'y = DAMPING s'Bs at least
            let mut image: Vec<f64> = step.iter().map(|s| self.sigma * s).collect();
            let known = self.add_low_rank_product(step, &mut image).is_ok();
            let own = dot(step, &image);
            if known && own > 0.0 && curvature < DAMPING * own && self.pairs() > 0 {
                let theta = (1.0 - DAMPING) * own / (own - curvature);
                damped.iter_mut().zip(&image).for_each(|(y, b)| *y = theta * *y + (1.0 - theta) * b);
                curvature = dot(step, &damped);
            }
        }
        let taken = usable && curvature > LEAST_COSINE * (size * dot(&damped, &damped)).sqrt();
        if taken {
            if self.pairs() == self.memory {
                self.steps.drain(..n);
                self.changes.drain(..n);
            }
            self.steps.extend_from_slice(step);
            self.changes.extend_from_slice(&damped);
            self.sigma = (curvature / size).clamp(SIGMA.0, SIGMA.1);
            self.skipped = 0;
        } else {
            self.skipped += 1;
            if self.skipped >= SKIPS {
                self.clear();
            }
        }
        self.damped = damped;
        self.factor_middle();
        taken
    }

    /// Forgets all pairs; B = sigma I.
    pub fn clear(&mut self) {
        self.steps.clear();
        self.changes.clear();
        self.middle.clear();
        self.skipped = 0;
    }

    /// Sets up and factors M; the oldest pairs go as long as its inertia is not that of a positive definite B.
    fn factor_middle(&mut self) {
        while self.pairs() > 0 {
            self.set_middle();
            let inertia = self.factors.factor(2 * self.pairs(), &self.middle);
            if inertia == Ok(self.middle_inertia()) {
                return;
            }
            self.steps.drain(..self.n);
            self.changes.drain(..self.n);
        }
        self.middle.clear();
    }

    fn set_middle(&mut self) {
        let (n, pairs) = (self.n, self.pairs());
        let rows = 2 * pairs;
        self.middle.clear();
        self.middle.resize(rows * rows, 0.0);
        let s = |i: usize| &self.steps[i * n..(i + 1) * n];
        let y = |i: usize| &self.changes[i * n..(i + 1) * n];
        for j in 0..pairs {
            for i in j..pairs {
                self.middle[j * rows + i] = self.sigma * dot(s(i), s(j));
            }
            // row p + j of the lower left block is row j of L'
            for i in j + 1..pairs {
                self.middle[i * rows + pairs + j] = dot(s(i), y(j));
            }
            self.middle[(pairs + j) * rows + pairs + j] = -dot(s(j), y(j));
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// B by the recursion B - B s s'B / s'Bs + y y' / s'y from sigma I, dense.
    fn recursion(n: usize, sigma: f64, pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<Vec<f64>> {
        let mut b: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| if i == j { sigma } else { 0.0 }).collect()).collect();
        for (s, y) in pairs {
            let image: Vec<f64> = b.iter().map(|row| dot(row, s)).collect();
            let (own, curvature) = (dot(s, &image), dot(s, y));
            for i in 0..n {
                for j in 0..n {
                    b[i][j] += y[i] * y[j] / curvature - image[i] * image[j] / own;
                }
            }
        }
        b
    }

    #[test]
    fn products_are_those_of_the_recursion() {
        let (n, memory) = (9, 4);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut random = || (0..n).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
        let mut bfgs = CompactBfgs::new(n, memory);
        let mut pairs = Vec::new();
        for round in 0..7 {
            let s = random();
            // changes of a positive definite quadratic with curvatures 1 .. n
            let y: Vec<f64> = s.iter().enumerate().map(|(i, s)| (1.0 + i as f64) * s).collect();
            assert!(bfgs.update(&s, &y), "{round}");
            pairs.push((s, y));
            let kept = &pairs[pairs.len().saturating_sub(memory)..];
            assert_eq!(bfgs.pairs(), kept.len());
            let reference = recursion(n, bfgs.sigma(), kept);
            let v = random();
            let mut product: Vec<f64> = v.iter().map(|v| bfgs.sigma() * v).collect();
            bfgs.add_low_rank_product(&v, &mut product).unwrap();
            for (row, product) in reference.iter().zip(&product) {
                assert!((dot(row, &v) - product).abs() < 1e-11, "{round}");
            }
            // the secant condition of the newest pair
            let (s, y) = &pairs[pairs.len() - 1];
            let mut image: Vec<f64> = s.iter().map(|s| bfgs.sigma() * s).collect();
            bfgs.add_low_rank_product(s, &mut image).unwrap();
            assert!(image.iter().zip(y).all(|(a, b)| (a - b).abs() < 1e-11));
        }
    }

    #[test]
    fn negative_curvature_is_damped_and_b_stays_positive_definite() {
        let mut bfgs = CompactBfgs::new(2, 6);
        assert!(!bfgs.update(&[1.0, 0.0], &[-1.0, 0.0]));
        assert!(bfgs.update(&[1.0, 0.0], &[2.0, 0.0]));
        assert!(bfgs.update(&[0.5, 1.0], &[-3.0, 1.0]));
        for v in [[1.0, 0.0], [0.0, 1.0], [0.5, 1.0], [-1.0, 2.0]] {
            let mut image = v.map(|v| bfgs.sigma() * v);
            bfgs.add_low_rank_product(&v, &mut image).unwrap();
            assert!(dot(&v, &image) > 0.0);
        }
        assert!(!bfgs.update(&[0.0, 0.0], &[0.0, 0.0]) && bfgs.pairs() == 2);
        assert!(!bfgs.update(&[0.0, 0.0], &[f64::NAN, 0.0]) && bfgs.pairs() == 0);
    }
}
