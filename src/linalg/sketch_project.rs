//! Sketch-and-project for symmetric systems A d = b: each step projects d onto the solutions of a random small part S'A d = S'b,
//!
//! d <- d - A S (S'A^2 S)^+ S'r, r = A d - b (Gower and Richtarik 2015).
//!
//! With S a coordinate vector this is the randomised Kaczmarz method, with S a Gaussian vector the Gaussian one; blocks come
//! from any [`Sketch`]. The error contracts in expectation, by 1 - sigma_min^2 / |A|_F^2 a step for Gaussian vectors and for rows
//! drawn by their squared norms. Rows of zeros are never drawn.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::CsMatViewI;

use super::factor::DenseCholesky;
use super::product::{dot, multiply, norm};
use super::sketch::{Gaussian, RowSampling, Sketch, SketchError};

/// Which random part of the system a step looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Projection {
    /// One Gaussian combination of all rows: two products with A a step.
    Gaussian,
    /// One row: uniformly drawn, or by the squared norms of the rows. A step touches that row and the columns it meets.
    Kaczmarz {
        /// By squared norms.
        weighted: bool,
    },
    /// So many Gaussian combinations of all rows.
    BlockGaussian(usize),
    /// So many rows, drawn uniformly.
    BlockKaczmarz(usize),
}

/// Steps after which the residual is recomputed from d.
const RECOMPUTE: usize = 50;
/// Steps between two questions whether to stop.
const ASK: usize = 256;

/// A solver with its random numbers and scratch memory, for one system after the other.
pub struct SketchProject {
    projection: Projection,
    rng: ChaCha8Rng,
    residual: Vec<f64>,
    sketched: Vec<f64>,
    image: Vec<f64>,
    /// Squared norms of the rows; those that can be drawn; their sums where rows are weighted.
    squares: Vec<f64>,
    rows: Vec<u32>,
    sums: Vec<f64>,
    gram: Vec<f64>,
    cholesky: DenseCholesky,
}

impl SketchProject {
    /// A solver whose random numbers come from the seed alone.
    pub fn new(projection: Projection, seed: u64) -> Self {
        Self {
            projection,
            rng: ChaCha8Rng::seed_from_u64(seed),
            residual: Vec::new(),
            sketched: Vec::new(),
            image: Vec::new(),
            squares: Vec::new(),
            rows: Vec::new(),
            sums: Vec::new(),
            gram: Vec::new(),
            cholesky: DenseCholesky::new(),
        }
    }

    /// Steps from d until |A d - b|_2 <= target, `most` steps are done, or `stop` says so; returns the steps and the residual,
    /// recomputed from d. A is symmetric, both triangles stored, by rows.
    ///
    /// # Errors
    /// A block that is empty or doesn't fit.
    pub fn run(
        &mut self,
        a: CsMatViewI<f64, u32>,
        b: &[f64],
        d: &mut [f64],
        target: f64,
        most: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(usize, f64), SketchError> {
        self.prepare(a);
        let mut sketch = self.sketch(a.rows())?;
        let mut steps = 0;
        let mut residual = self.recompute(a, b, d);
        // a NaN ends the loop too
        while residual > target && steps < most && !self.rows.is_empty() {
            if steps % ASK == 0 && stop() {
                break;
            }
            match (&mut sketch, self.projection) {
                (Some(sketch), _) => self.block_step(a, d, &mut **sketch)?,
                (None, Projection::Kaczmarz { .. }) => self.row_step(a, d),
                _ => self.gaussian_step(a, d),
            }
            steps += 1;
            let fresh = steps % RECOMPUTE == 0;
            residual = if fresh { self.recompute(a, b, d) } else { norm(&self.residual) };
            if residual <= target && !fresh {
                residual = self.recompute(a, b, d);
            }
        }
        Ok((steps, self.recompute(a, b, d)))
    }

    fn prepare(&mut self, a: CsMatViewI<f64, u32>) {
        let n = a.rows();
        for vector in [&mut self.residual, &mut self.sketched, &mut self.image] {
            vector.clear();
            vector.resize(n, 0.0);
        }
        self.squares.clear();
        self.squares.extend(a.outer_iterator().map(|row| row.data().iter().map(|v| v * v).sum::<f64>()));
        self.rows.clear();
        self.rows.extend((0..n as u32).filter(|&i| self.squares[i as usize] > 0.0));
        self.sums.clear();
        if self.projection == (Projection::Kaczmarz { weighted: true }) {
            let mut sum = 0.0;
            self.sums.extend(self.rows.iter().map(|&i| {
                sum += self.squares[i as usize];
                sum
            }));
        }
    }

    fn sketch(&mut self, n: usize) -> Result<Option<Box<dyn Sketch>>, SketchError> {
        Ok(match self.projection {
            Projection::BlockGaussian(size) => Some(Box::new(Gaussian::new(size, n, &mut self.rng)?)),
            Projection::BlockKaczmarz(size) => Some(Box::new(RowSampling::uniform(size, n, &mut self.rng)?)),
            _ => None,
        })
    }

    /// residual <- A d - b; its norm.
    fn recompute(&mut self, a: CsMatViewI<f64, u32>, b: &[f64], d: &[f64]) -> f64 {
        multiply(a, d, &mut self.residual);
        self.residual.iter_mut().zip(b).for_each(|(r, b)| *r -= b);
        norm(&self.residual)
    }

    fn gaussian_step(&mut self, a: CsMatViewI<f64, u32>, d: &mut [f64]) {
        for value in &mut self.image {
            *value = StandardNormal.sample(&mut self.rng);
        }
        let along = dot(&self.image, &self.residual);
        multiply(a, &self.image, &mut self.sketched);
        let length = along / dot(&self.sketched, &self.sketched);
        if !length.is_finite() {
            return;
        }
        multiply(a, &self.sketched, &mut self.image);
        d.iter_mut().zip(&self.sketched).for_each(|(d, step)| *d -= length * step);
        self.residual.iter_mut().zip(&self.image).for_each(|(r, image)| *r -= length * image);
    }

    fn row_step(&mut self, a: CsMatViewI<f64, u32>, d: &mut [f64]) {
        let k = if self.sums.is_empty() {
            self.rng.random_range(0..self.rows.len())
        } else {
            let total = self.sums[self.sums.len() - 1];
            let drawn = self.rng.random::<f64>() * total;
            self.sums.partition_point(|&sum| sum <= drawn).min(self.sums.len() - 1)
        };
        let i = self.rows[k] as usize;
        let length = self.residual[i] / self.squares[i];
        let Some(row) = a.outer_view(i) else { return };
        for (j, value) in row.iter() {
            d[j] -= length * value;
            // A is symmetric: column j is row j
            let Some(column) = a.outer_view(j) else { continue };
            for (r, other) in column.iter() {
                self.residual[r] -= length * value * other;
            }
        }
    }

    /// With Y = S'A: d <- d - Y' (Y Y')^+ S'r.
    fn block_step(
        &mut self,
        a: CsMatViewI<f64, u32>,
        d: &mut [f64],
        sketch: &mut dyn Sketch,
    ) -> Result<(), SketchError> {
        let (size, n) = (sketch.rows(), d.len());
        sketch.redraw(&mut self.rng);
        self.sketched.resize(size * n, 0.0);
        sketch.apply_sparse(a, &mut self.sketched)?;
        let mut along = vec![0.0; size];
        sketch.apply_vector(&self.residual, &mut along)?;
        self.gram.clear();
        self.gram.resize(size * size, 0.0);
        for column in self.sketched.chunks_exact(size) {
            for (j, &right) in column.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                for (gram, left) in self.gram[j * size..(j + 1) * size].iter_mut().zip(column) {
                    *gram += left * right;
                }
            }
        }
        // rows drawn twice make it singular: the smallest shift that helps
        let solved = self.cholesky.factor_shifted(size, &mut self.gram).is_ok()
            && self.cholesky.solve_in_place(&mut along).is_ok();
        if !solved || along.iter().any(|value| !value.is_finite()) {
            return Ok(());
        }
        for (image, column) in self.image.iter_mut().zip(self.sketched.chunks_exact(size)) {
            *image = dot(column, &along);
        }
        d.iter_mut().zip(&self.image).for_each(|(d, step)| *d -= step);
        for (i, row) in a.outer_iterator().enumerate() {
            self.residual[i] -= row.iter().map(|(j, value)| value * self.image[j]).sum::<f64>();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sprs::TriMatI;

    /// A symmetric indefinite matrix with a row of zeros in the middle.
    fn system(n: usize) -> (sprs::CsMatI<f64, u32>, Vec<f64>, Vec<f64>) {
        let mut a = TriMatI::new((n, n));
        for i in (0..n).filter(|&i| i != n / 2) {
            a.add_triplet(i, i, if i % 3 == 0 { -2.0 } else { 3.0 });
            if i + 1 < n && i + 1 != n / 2 {
                a.add_triplet(i, i + 1, 0.5);
                a.add_triplet(i + 1, i, 0.5);
            }
        }
        let a: sprs::CsMatI<f64, u32> = a.to_csr();
        let mut x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        x[n / 2] = 0.0;
        let mut b = vec![0.0; n];
        multiply(a.view(), &x, &mut b);
        (a, b, x)
    }

    const ALL: [Projection; 5] = [
        Projection::Gaussian,
        Projection::Kaczmarz { weighted: false },
        Projection::Kaczmarz { weighted: true },
        Projection::BlockGaussian(8),
        Projection::BlockKaczmarz(8),
    ];

    #[test]
    fn every_projection_converges_and_repeats_its_bits() {
        let (a, b, x) = system(20);
        for projection in ALL {
            let solve = |seed| {
                let mut d = vec![0.0; 20];
                let mut solver = SketchProject::new(projection, seed);
                let (steps, residual) =
                    solver.run(a.view(), &b, &mut d, 1e-10, 100_000, &mut || false).unwrap();
                assert!(residual <= 1e-10 && steps > 1, "{projection:?}: {steps} steps, {residual:e}");
                (steps, d)
            };
            let (steps, d) = solve(7);
            assert_eq!(solve(7), (steps, d.clone()));
            assert_ne!(solve(8).1, d);
            // started from zero it converges to the solution of least norm
            assert!(d.iter().zip(&x).all(|(d, x)| (d - x).abs() < 1e-9), "{projection:?}");
        }
    }

    #[test]
    fn errors_never_grow_and_limits_hold() {
        let (a, b, x) = system(20);
        for projection in ALL {
            let mut d = vec![0.0; 20];
            let mut solver = SketchProject::new(projection, 3);
            let mut error = f64::INFINITY;
            for _ in 0..30 {
                let (steps, _) = solver.run(a.view(), &b, &mut d, 0.0, 1, &mut || false).unwrap();
                assert_eq!(steps, 1);
                let next = d.iter().zip(&x).map(|(d, x)| (d - x).powi(2)).sum::<f64>().sqrt();
                // every step is an orthogonal projection of the error
                assert!(next <= error + 1e-12, "{projection:?}");
                error = next;
            }
            assert_eq!(solver.run(a.view(), &b, &mut d, 0.0, 9, &mut || true).unwrap().0, 0);
        }
        let empty = SketchProject::new(Projection::BlockGaussian(0), 1).run(
            a.view(),
            &b,
            &mut [0.0; 20],
            0.0,
            1,
            &mut || false,
        );
        assert!(matches!(empty, Err(SketchError::Size { .. })));
    }
}
