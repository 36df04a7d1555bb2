//! The alternating direction method of multipliers on the convex program (Bai, Gautam and Sojoudi 2023).
//!
//! Split min l(F u) + beta sum |v_i| + indicator(s >= 0) subject to u = v, G u = s, with scaled multipliers lambda, nu:
//!
//! 1. u <- argmin l(F u) + (rho/2) (|u - v + lambda|^2 + |G u - s + nu|^2)   (`woodbury.rs`);
//! 2. v <- block soft threshold of u + lambda at beta / rho;
//! 3. s <- (G u + nu)_+;
//! 4. lambda += (step)(u - v), nu += (step)(G u - s).
//!
//! Over-relaxation replaces u by alpha u + (1 - alpha) v in 2 to 4. For losses other than the squared one a third split
//! p = F u (multiplier pi) leaves n scalar proximal maps of l, and u solves the same linear system. Only F, G and X appear
//! in products: an iteration costs 12 n d P + 2 n^2, linear in the number of patterns.

use rayon::prelude::*;

use super::rbcd::BlockSteps;
use super::training::Program;
use super::woodbury::{DENSE_ROWS, Woodbury};
use super::{Error, Loss, Patterns};
use crate::linalg::exponential::{Wide, widest};
use crate::linalg::panel;
use crate::linalg::product::norm;

/// Options of the splitting method.
#[derive(Debug, Clone, PartialEq)]
pub struct Admm {
    /// The penalty rho, positive, for data scaled to norm 10.
    pub rho: f64,
    /// The dual step as a multiple of the penalty, in (0, (1 + sqrt 5)/2).
    pub dual_step: f64,
    /// Over-relaxation alpha, in \[1, 2); 1 is the plain method.
    pub relaxation: f64,
    /// Whether rho is balanced by the residuals every 50 iterations in the first 60 % of the run.
    pub balance: bool,
}

impl Default for Admm {
    fn default() -> Self {
        Self { rho: 0.1, dual_step: 1.0, relaxation: 1.8, balance: false }
    }
}

impl Admm {
    pub(super) fn check(&self) -> Result<(), Error> {
        let golden = (1.0 + 5f64.sqrt()) / 2.0;
        let wrong = |what: &str, value: f64, range: &str| {
            Err(Error::Option(format!("{what} is {value}; it must lie in {range}")))
        };
        if !(self.rho > 0.0 && self.rho.is_finite()) {
            return wrong("rho", self.rho, "(0, infinity)");
        }
        if !(self.dual_step > 0.0 && self.dual_step < golden) {
            return wrong("dual_step", self.dual_step, "(0, 1.618)");
        }
        if !(1.0..2.0).contains(&self.relaxation) {
            return wrong("relaxation", self.relaxation, "[1, 2)");
        }
        Ok(())
    }
}

/// The iterate: matrices are column-major with 2 P columns, those of the patterns with sign + first.
pub(super) struct Splitting<'a> {
    program: &'a Program,
    signs: &'a [Vec<f64>],
    options: Admm,
    woodbury: Woodbury,
    /// Factor on X (and from weights here to weights of the program) that makes the data's norm 10.
    factor: f64,
    pub v: Vec<f64>,
    lambda: Vec<f64>,
    s: Vec<f64>,
    nu: Vec<f64>,
    /// The third split, for losses other than the squared one.
    p: Vec<f64>,
    pi: Vec<f64>,
    rho: f64,
    work: Work,
    /// (|u - v|, |G u - s|) and rho |change of (v, G's)| of the last iteration.
    pub residuals: (f64, f64),
    scaled: Program,
}

#[derive(Default)]
struct Work {
    rows: Vec<f64>,
    a: Vec<f64>,
    xa: Vec<f64>,
    e: Vec<f64>,
    masked: Vec<f64>,
    t: Vec<f64>,
    xt: Vec<f64>,
}

impl<'a> Splitting<'a> {
    /// All zero, or from blocks v (d x 2 P, in the program's variables).
    pub fn new(
        program: &'a Program,
        patterns: &Patterns,
        signs: &'a [Vec<f64>],
        options: &Admm,
    ) -> Result<Self, Error> {
        let Program { n, d, .. } = *program;
        let count = 2 * signs.len();
        // the program's rows have norm 1 on average, so that |X|_F = sqrt n; its spectral norm by power iteration
        let factor = 10.0 / spectral_norm(program).max(1e-300);
        let mut scaled = program.clone();
        scaled.x = faer::Mat::from_fn(n, d, |i, j| factor * program.x[(i, j)]);
        scaled.rows.iter_mut().for_each(|v| *v *= factor);
        scaled.beta = program.beta * factor;
        let counts = if n <= DENSE_ROWS {
            patterns.coactivation(&program.kept)
        } else {
            (0..n).map(|k| signs.iter().filter(|e| e[k] > 0.0).count() as f64).collect()
        };
        let kappa = if program.loss == Loss::Squared { options.rho } else { 1.0 };
        let woodbury = Woodbury::new(&scaled, &counts, kappa)?;
        let work = Work {
            rows: vec![0.0; n * count],
            a: vec![0.0; d * count],
            xa: vec![0.0; n * count],
            e: vec![0.0; n],
            masked: vec![0.0; n * signs.len()],
            t: vec![0.0; d * signs.len()],
            xt: vec![0.0; n * signs.len()],
        };
        Ok(Self {
            program,
            signs,
            options: options.clone(),
            rho: options.rho,
            woodbury,
            factor,
            v: vec![0.0; d * count],
            lambda: vec![0.0; d * count],
            s: vec![0.0; n * count],
            nu: vec![0.0; n * count],
            p: vec![0.0; n],
            pi: vec![0.0; n],
            work,
            residuals: (f64::INFINITY, f64::INFINITY),
            scaled,
        })
    }

    /// Starts from blocks in the program's variables.
    pub fn warm(&mut self, v: &[f64]) {
        self.v.iter_mut().zip(v).for_each(|(own, v)| *own = v / self.factor);
        let Program { n, .. } = *self.program;
        panel::multiply(self.scaled.x(), &self.v, &mut self.s);
        self.p.fill(0.0);
        for (j, s) in self.s.chunks_exact_mut(n).enumerate() {
            let count = self.signs.len();
            let sign = if j < count { 1.0 } else { -1.0 };
            for ((s, &e), p) in s.iter_mut().zip(&self.signs[j % count]).zip(&mut self.p) {
                *p += if e > 0.0 { sign * *s } else { 0.0 };
                *s = (e * *s).max(0.0);
            }
        }
    }

    /// The blocks v in the program's variables: sparse, feasible only in the limit.
    pub fn blocks(&self) -> Vec<f64> {
        self.v.iter().map(|v| v * self.factor).collect()
    }

    /// The problem in the scaling of the iteration.
    pub fn scaled(&self) -> &Program {
        &self.scaled
    }

    /// The signs E of the patterns.
    pub fn signs(&self) -> &'a [Vec<f64>] {
        self.signs
    }

    /// What step 1 draws u_j and E X u_j to: v - lambda and s - nu. Returns rho.
    pub fn targets(&self, j: usize, target: &mut [f64], s: &mut [f64]) -> f64 {
        let (d, n) = (target.len(), s.len());
        let (columns, rows) = (j * d..(j + 1) * d, j * n..(j + 1) * n);
        let pairs = self.v[columns.clone()].iter().zip(&self.lambda[columns]);
        target.iter_mut().zip(pairs).for_each(|(t, (v, l))| *t = v - l);
        let pairs = self.s[rows.clone()].iter().zip(&self.nu[rows]);
        s.iter_mut().zip(pairs).for_each(|(t, (s, nu))| *t = s - nu);
        self.rho
    }

    /// Takes u from elsewhere.
    pub fn set_u(&mut self, u: &[f64]) {
        self.work.a.copy_from_slice(u);
        panel::multiply(self.scaled.x(), u, &mut self.work.xa);
    }

    /// One iteration with the u-step done by block coordinate descent.
    pub fn step_by_blocks(&mut self, blocks: &mut BlockSteps) {
        blocks.solve(self);
        self.shrink_and_clip();
    }

    /// One iteration, steps 1 to 4.
    pub fn step(&mut self) -> Result<(), Error> {
        self.solve_for_u()?;
        if self.program.loss != Loss::Squared {
            self.split_outputs();
        }
        self.shrink_and_clip();
        Ok(())
    }

    /// Step 1: work.a <- u, work.xa <- X u, work.e <- what is missing in F u.
    fn solve_for_u(&mut self) -> Result<(), Error> {
        let Program { n, d, .. } = *self.program;
        let count = self.signs.len();
        let work = &mut self.work;
        // a = B^{-1} (v - lambda + G'(s - nu))
        work.rows.par_chunks_exact_mut(n).enumerate().for_each(|(j, rows)| {
            let signs = &self.signs[j % count];
            let (s, nu) = (&self.s[j * n..(j + 1) * n], &self.nu[j * n..(j + 1) * n]);
            rows.iter_mut().zip(signs).zip(s.iter().zip(nu)).for_each(|((r, e), (s, nu))| *r = e * (s - nu));
        });
        let mut sum = std::mem::take(&mut work.a);
        panel::multiply(self.scaled.x().transpose(), &work.rows, &mut sum);
        sum.iter_mut().zip(self.v.iter().zip(&self.lambda)).for_each(|(a, (v, l))| *a += v - l);
        let mut a = std::mem::take(&mut work.xa);
        // xa holds n x 2 P numbers, enough for the d x 2 P of a where d <= n
        let (short, _) = a.split_at_mut(d * 2 * count);
        panel::multiply(self.woodbury.inverse.as_ref(), &sum, short);
        sum.copy_from_slice(short);
        panel::multiply(self.scaled.x(), &sum, &mut a);
        (work.a, work.xa) = (sum, a);
        // K e = y - F a
        let target = |k: usize| match self.program.loss {
            Loss::Squared => self.program.y[k],
            _ => self.p[k] - self.pi[k],
        };
        (0..n).for_each(|k| work.e[k] = target(k));
        for (j, signs) in self.signs.iter().enumerate() {
            let (plus, minus) = (&work.xa[j * n..], &work.xa[(count + j) * n..]);
            for (k, &sign) in signs.iter().enumerate() {
                work.e[k] -= if sign > 0.0 { plus[k] - minus[k] } else { 0.0 };
            }
        }
        self.woodbury.solve(&self.scaled, self.signs, &mut work.e)?;
        // u = a +- B^{-1} X' D e
        work.masked.par_chunks_exact_mut(n).zip(self.signs).for_each(|(m, signs)| {
            m.iter_mut().zip(signs).zip(&work.e).for_each(|((m, s), e)| *m = if *s > 0.0 { *e } else { 0.0 });
        });
        panel::multiply(self.woodbury.hat().transpose(), &work.masked, &mut work.t);
        panel::multiply(self.scaled.x(), &work.t, &mut work.xt);
        let add = |whole: &mut [f64], part: &[f64]| {
            let (plus, minus) = whole.split_at_mut(part.len());
            plus.iter_mut().zip(part).for_each(|(a, t)| *a += t);
            minus.iter_mut().zip(part).for_each(|(a, t)| *a -= t);
        };
        add(&mut work.a, &work.t);
        add(&mut work.xa, &work.xt);
        Ok(())
    }

    /// p <- prox of the loss at F u + pi, pi <- pi + F u - p; F u is the target less kappa e.
    fn split_outputs(&mut self) {
        let alpha = self.options.relaxation;
        for k in 0..self.p.len() {
            let fu = self.p[k] - self.pi[k] - self.woodbury.kappa() * self.work.e[k];
            let relaxed = alpha * fu + (1.0 - alpha) * self.p[k];
            let next = self.program.loss.prox(relaxed + self.pi[k], self.program.y[k], self.rho);
            self.pi[k] += self.options.dual_step * (relaxed - next);
            self.p[k] = next;
        }
    }

    /// Steps 2 to 4, column by column.
    fn shrink_and_clip(&mut self) {
        let Program { n, d, .. } = *self.program;
        let (alpha, step) = (self.options.relaxation, self.options.dual_step);
        let threshold = self.scaled.beta / self.rho;
        let count = self.signs.len();
        let columns = self.v.par_chunks_exact_mut(d).zip(self.lambda.par_chunks_exact_mut(d));
        let rows = self.s.par_chunks_exact_mut(n).zip(self.nu.par_chunks_exact_mut(n));
        let solved = self.work.a.par_chunks_exact(d).zip(self.work.xa.par_chunks_exact(n));
        let parts: Vec<[f64; 2]> = columns
            .zip(rows)
            .zip(solved)
            .enumerate()
            .map(|(j, (((v, lambda), (s, nu)), (u, xu)))| {
                let (mut primal, mut dual) = (0.0, 0.0);
                let mut square = 0.0;
                for ((l, &u), &v) in lambda.iter_mut().zip(u).zip(&*v) {
                    primal += (u - v) * (u - v);
                    *l += alpha * u + (1.0 - alpha) * v;
                    square += *l * *l;
                }
                let keep = (1.0 - threshold / square.sqrt().max(1e-300)).max(0.0);
                for ((v, l), &u) in v.iter_mut().zip(lambda).zip(u) {
                    let (q, old) = (*l, *v);
                    let relaxed = alpha * u + (1.0 - alpha) * old;
                    *v = keep * q;
                    dual += (*v - old) * (*v - old);
                    *l = flush((q - relaxed) + step * (relaxed - *v));
                }
                let signs = &self.signs[j % count];
                let clipped = widest(Clip { xu, signs, alpha, step, s, nu });
                [primal + clipped[0], dual + clipped[1]]
            })
            .collect();
        let total = parts.iter().fold([0.0, 0.0], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
        self.residuals = (total[0].sqrt(), self.rho * total[1].sqrt());
    }

    /// Moves rho by the ratio of the residuals, and the scaled multipliers against it.
    pub fn balance(&mut self) -> Result<(), Error> {
        let size = norm(&self.v).max(norm(&self.s)).max(1e-300);
        let dual_size = (self.rho * norm(&self.lambda).max(norm(&self.nu))).max(1e-300);
        let ratio = ((self.residuals.0 / size) / (self.residuals.1 / dual_size)).sqrt();
        if !ratio.is_finite() || (0.5..=2.0).contains(&ratio) {
            return Ok(());
        }
        let factor = ratio.clamp(0.2, 5.0);
        self.rho *= factor;
        for dual in [&mut self.lambda, &mut self.nu, &mut self.pi] {
            dual.iter_mut().for_each(|v| *v /= factor);
        }
        if self.program.loss == Loss::Squared {
            self.woodbury.set_kappa(self.rho)?;
        }
        Ok(())
    }

    /// Whether block j is worth solving for: not zero, or its multiplier within `share` of the threshold.
    pub fn is_live(&self, j: usize, share: f64) -> bool {
        let d = self.program.d;
        let part = j * d..(j + 1) * d;
        norm(&self.v[part.clone()]) > 0.0 || self.rho * norm(&self.lambda[part]) >= share * self.scaled.beta
    }

    /// A subgradient of the loss for the dual: rho pi for split outputs; none for the smooth losses, whose derivative at
    /// the outputs serves.
    pub fn slope(&self) -> Option<Vec<f64>> {
        // -y a with a in [0, 1], but for rounding
        let own = |(pi, y): (&f64, &f64)| -y * (-y * self.rho * pi).clamp(0.0, 1.0);
        (self.program.loss == Loss::Hinge).then(|| self.pi.iter().zip(&self.program.y).map(own).collect())
    }
}

/// Steps 3 and 4 for one column of rows: s and nu from X u. Returns the squares of the residuals.
struct Clip<'a> {
    xu: &'a [f64],
    signs: &'a [f64],
    alpha: f64,
    step: f64,
    s: &'a mut [f64],
    nu: &'a mut [f64],
}

impl Wide for Clip<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self, _fused: bool) -> [f64; 2] {
        const LANES: usize = 8;
        let Self { xu, signs, alpha, step, s, nu } = self;
        let (mut primal, mut dual) = ([0.0; LANES], [0.0; LANES]);
        let mut one = |lane: usize, xu: f64, e: f64, s: &mut f64, nu: &mut f64| {
            let gu = e * xu;
            let relaxed = alpha * gu + (1.0 - alpha) * *s;
            let next = (relaxed + *nu).max(0.0);
            primal[lane] += (gu - *s) * (gu - *s);
            dual[lane] += (next - *s) * (next - *s);
            *nu = flush(*nu + step * (relaxed - next));
            *s = next;
        };
        let states = s.chunks_exact_mut(LANES).zip(nu.chunks_exact_mut(LANES));
        let (inputs, signs) = (xu.chunks_exact(LANES), signs.chunks_exact(LANES));
        let tail = inputs.remainder().iter().zip(signs.remainder());
        for ((s, nu), (xu, e)) in states.zip(inputs.zip(signs)) {
            (0..LANES).for_each(|k| one(k, xu[k], e[k], &mut s[k], &mut nu[k]));
        }
        let whole = xu.len() - xu.len() % LANES;
        for (((s, nu), (xu, e)), lane) in s[whole..].iter_mut().zip(&mut nu[whole..]).zip(tail).zip(0..) {
            one(lane, *xu, *e, s, nu);
        }
        [primal.iter().sum(), dual.iter().sum()]
    }
}

/// Multipliers that sink below this are zero: denormal numbers would slow every product down.
#[inline(always)]
fn flush(value: f64) -> f64 {
    if value.abs() < 1e-150 { 0.0 } else { value }
}

/// |X|_2 by power iteration on X'X, from a fixed start.
fn spectral_norm(program: &Program) -> f64 {
    let mut v: Vec<f64> = (0..program.d).map(|j| 1.0 + 0.1 * (j as f64).sin()).collect();
    let mut z = vec![0.0; program.n];
    let mut size = 0.0;
    for _ in 0..30 {
        let length = norm(&v).max(1e-300);
        v.iter_mut().for_each(|v| *v /= length);
        program.multiply(&v, &mut z);
        size = norm(&z);
        panel::multiply(program.x().transpose(), &z, &mut v);
    }
    size
}
