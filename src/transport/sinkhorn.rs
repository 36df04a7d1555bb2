//! Sinkhorn's iterations: with the kernel, stabilised, and in the log domain.

use rayon::prelude::*;

use super::kernel::chunk_rows;
use super::reduced::Reduced;
use super::state::State;
use crate::control::{Run, Status};
use crate::linalg::exponential::{axpy, dot, exp_in_place};

/// How Sinkhorn's iterations are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkhornForm {
    /// u = a / (K v), v = b / (K'u) with K = exp(-C/eps): fast; fails (stalled) where K underflows.
    Kernel,
    /// The same with potentials absorbed into K whenever u or v leave exp(-50)..exp(50) (Schmitzer 2019).
    Stabilized,
    /// Soft minima of the potentials: slowest, no matrix is held.
    Log,
}

/// K = exp((f + g - C)/eps) with scalings u, v of its rows and columns.
pub(crate) struct ScaledKernel<'r, 'a> {
    reduced: &'r Reduced<'a>,
    eps: f64,
    f: Vec<f64>,
    g: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    kernel: Vec<f64>,
    sums: Vec<Vec<f64>>,
    /// Column sums of the last iteration.
    columns: Vec<f64>,
    /// Matrices built so far.
    pub builds: u64,
}

impl<'r, 'a> ScaledKernel<'r, 'a> {
    /// The kernel at g, its rows exact.
    pub fn new(reduced: &'r Reduced<'a>, g: Vec<f64>, eps: f64) -> Self {
        let (n, m) = (reduced.a.len(), reduced.b.len());
        let mut it = Self {
            reduced,
            eps,
            f: vec![0.0; n],
            g,
            u: vec![1.0; n],
            v: vec![1.0; m],
            kernel: vec![0.0; n * m],
            sums: vec![vec![0.0; m]; n.div_ceil(chunk_rows(n))],
            columns: vec![0.0; m],
            builds: 0,
        };
        it.build(true);
        it
    }

    /// Fills K; with `soft`, f is the soft c-transform of g, else as it is.
    fn build(&mut self, soft: bool) {
        let (m, eps, g, reduced) = (self.v.len(), self.eps, &self.g, self.reduced);
        let costs = reduced.kernel.costs();
        let row = |(i, (row, f)): (usize, (&mut [f64], &mut f64))| {
            let most = costs.fill(i, 0..m, g, row);
            if soft {
                let sum = exp_in_place(row, 1.0 / eps, most);
                *f = eps * (reduced.log_a[i] - sum.ln()) - most;
                let factor = reduced.a[i] / sum;
                row.iter_mut().for_each(|k| *k *= factor);
            } else {
                exp_in_place(row, 1.0 / eps, -*f);
            }
        };
        let rows = self.kernel.par_chunks_mut(m.max(1)).zip(&mut self.f);
        rows.with_min_len(64).enumerate().for_each(row);
        self.builds += 1;
    }

    /// One iteration: u, then the error of (u, v), then v; v moves by the power `relaxation` of the ratio. Returns
    /// |b - c|_1, rows being exact.
    pub fn iterate(&mut self, relaxation: f64) -> f64 {
        let (n, m) = (self.u.len(), self.v.len());
        let (size, v, reduced) = (chunk_rows(n), &self.v, self.reduced);
        #[allow(clippy::type_complexity)]
        let work = |(((kernel, u), a), sum): (((&[f64], &mut [f64]), &[f64]), &mut Vec<f64>)| {
            sum.fill(0.0);
            for ((row, u), a) in kernel.chunks_exact(m).zip(u).zip(a) {
                *u = a / dot(row, v);
                axpy(*u, row, sum);
            }
        };
        let parts = self.kernel.par_chunks(size * m).zip(self.u.par_chunks_mut(size));
        let parts = parts.zip(reduced.a.par_chunks(size)).zip(&mut self.sums);
        if n * m >= 200_000 {
            parts.for_each(work);
        } else {
            let parts = self.kernel.chunks(size * m).zip(self.u.chunks_mut(size));
            parts.zip(reduced.a.chunks(size)).zip(&mut self.sums).for_each(work);
        }
        self.columns.fill(0.0);
        for sum in &self.sums {
            axpy(1.0, sum, &mut self.columns);
        }
        let mut error = 0.0;
        for ((v, b), c) in self.v.iter_mut().zip(&reduced.b).zip(&mut self.columns) {
            let column = *v * *c;
            error += (b - column).abs();
            *v = if relaxation == 1.0 { b / *c } else { *v * (b / column).powf(relaxation) };
            *c = column;
        }
        error
    }

    /// The dual value at the iterate whose error [`iterate`](Self::iterate) returned.
    pub fn value(&self) -> f64 {
        // v has moved on by b / c
        let (reduced, eps) = (self.reduced, self.eps);
        let rows = reduced.a.iter().zip(&self.f).zip(&self.u).map(|((a, f), u)| a * (f + eps * u.ln()));
        let columns = reduced.b.iter().zip(&self.g).zip(&self.v).zip(&self.columns);
        let columns = columns.map(|(((b, g), v), c)| b * (g + eps * (v * c / b).ln()));
        rows.sum::<f64>() + columns.sum::<f64>() - eps
    }

    /// Largest |log u|, |log v|; infinite where one is zero or not finite.
    fn strain(&self) -> f64 {
        self.u.iter().chain(&self.v).fold(0.0, |most: f64, s| {
            let log = s.ln().abs();
            if log.is_finite() { most.max(log) } else { f64::INFINITY }
        })
    }

    /// Moves u and v into the potentials.
    fn absorb(&mut self) {
        let eps = self.eps;
        self.f.iter_mut().zip(&mut self.u).for_each(|(f, u)| *f += eps * std::mem::replace(u, 1.0).ln());
        self.g.iter_mut().zip(&mut self.v).for_each(|(g, v)| *g += eps * std::mem::replace(v, 1.0).ln());
        self.build(false);
    }

    /// g at the scaling v that the last iteration left.
    pub fn unload(&self, g: &mut [f64]) {
        for ((out, g), v) in g.iter_mut().zip(&self.g).zip(&self.v) {
            *out = g + self.eps * v.ln();
        }
    }
}

/// Sinkhorn's iterations as a method of their own.
pub(crate) struct Sinkhorn {
    pub form: SinkhornForm,
    /// Halve eps from 1/4 of the range of the costs, 100 iterations or an error of 0.1 a stage.
    pub scaling: bool,
    /// Power of the column update, 1 for plain Sinkhorn.
    pub relaxation: f64,
}

impl Sinkhorn {
    pub fn solve(&self, state: &mut State, run: &mut Run, tolerance: f64) -> Status {
        let target = state.reduced.eps;
        let mut eps = if self.scaling { (0.25 * state.reduced.range).max(target) } else { target };
        loop {
            let is_last = eps <= target;
            let (goal, limit) = if is_last { (tolerance, usize::MAX) } else { (0.1, 100) };
            let ended = match self.form {
                SinkhornForm::Log => self.in_log_domain(state, run, eps, goal, limit),
                _ => self.with_kernel(state, run, eps, goal, limit),
            };
            match ended {
                Some(Status::Solved) | None if !is_last => {}
                Some(status) => return status,
                None => return Status::Stalled,
            }
            state.stage += 1;
            eps = (0.5 * eps).max(target);
        }
    }

    /// None when the iterations of the stage are used up.
    fn in_log_domain(
        &self,
        state: &mut State,
        run: &mut Run,
        eps: f64,
        goal: f64,
        limit: usize,
    ) -> Option<Status> {
        let mut best = f64::INFINITY;
        for _ in 0..limit {
            state.evaluate(eps, None);
            if let Some(status) = state.record(run, eps) {
                return Some(status);
            }
            let error = state.current.error;
            if error <= goal {
                return Some(Status::Solved);
            }
            if !state.current.is_finite() {
                return Some(Status::Stalled);
            }
            if state.current.value > state.reduced.most {
                return Some(Status::Infeasible);
            }
            let relaxation = if error < 0.1 && error <= 2.0 * best { self.relaxation } else { 1.0 };
            best = best.min(error);
            state.sinkhorn_step(eps, relaxation);
        }
        None
    }

    fn with_kernel(
        &self,
        state: &mut State,
        run: &mut Run,
        eps: f64,
        goal: f64,
        limit: usize,
    ) -> Option<Status> {
        let stabilized = self.form == SinkhornForm::Stabilized;
        let mut scaled = ScaledKernel::new(state.reduced, state.current.g.clone(), eps);
        let mut best = f64::INFINITY;
        for k in 0..limit {
            let relaxation = if best < 0.1 { self.relaxation } else { 1.0 };
            let mut error = scaled.iterate(relaxation);
            state.count("sinkhorn", 1);
            let restored = stabilized && !(scaled.strain() < 50.0);
            if restored {
                error = self.restore(state, &mut scaled, eps);
            }
            best = best.min(error);
            state.current.error = error;
            // the value costs logarithms: now and then is enough
            if !restored && (k % 10 == 0 || error <= goal) {
                state.current.value = scaled.value();
            }
            state.step_size = relaxation;
            let ended = state.record(run, eps);
            if error <= goal || ended.is_some() || !error.is_finite() {
                scaled.unload(&mut state.current.g);
                state.evaluated = None;
                state.count("evaluations", scaled.builds);
                if !state.current.g.iter().all(|g| g.is_finite()) {
                    state.current.g.fill(0.0);
                    return Some(Status::Stalled);
                }
                return Some(if error <= goal { Status::Solved } else { ended.unwrap_or(Status::Stalled) });
            }
            if state.current.value > state.reduced.most {
                return Some(Status::Infeasible);
            }
        }
        scaled.unload(&mut state.current.g);
        state.evaluated = None;
        state.count("evaluations", scaled.builds);
        None
    }

    /// Absorbs the scalings; where they are no numbers any more, one step in the log domain from the last potentials.
    fn restore(&self, state: &mut State, scaled: &mut ScaledKernel, eps: f64) -> f64 {
        if scaled.strain().is_finite() {
            scaled.absorb();
            return state.current.error.min(f64::MAX);
        }
        state.current.g.clone_from(&scaled.g);
        state.evaluate(eps, None);
        state.sinkhorn_step(eps, 1.0);
        let error = state.current.error;
        scaled.g.clone_from(&state.current.g);
        scaled.u.fill(1.0);
        scaled.v.fill(1.0);
        scaled.build(true);
        error
    }
}
