//! Sinkhorn-Newton-Sparse (Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao, Ying, ICLR 2024).
//!
//! A few Sinkhorn iterations, then Newton steps on both potentials whose Hessian keeps the full sums on its diagonal
//! and the k largest entries of P beside it. Fast where the plan is nearly sparse; where it is not, or where k misses
//! it, the method stalls, and says so.

use super::full_dual::{Best, FullDual, collect_rows};
use super::sparse_plan::{BlockOperator, SparsePlan};
use super::state::State;
use crate::control::{Run, Status};

/// How many entries of the plan a Newton step keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    /// At least five per row or column, and as many as hold all but a thousandth of the mass.
    Mass,
    /// So many.
    Entries(usize),
    /// This share of the n m entries.
    Share(f64),
}

/// The method's own options.
pub(crate) struct NewtonSparse {
    /// Sinkhorn iterations at least; more until the error is below 0.1.
    pub warm_up: usize,
    pub kept: Kept,
}

/// Newton steps without a better error after which the method gives up.
const PATIENCE: usize = 40;

impl NewtonSparse {
    pub fn solve(&self, state: &mut State, run: &mut Run, tolerance: f64) -> Status {
        if let Some(status) = self.warm_up(state, run, tolerance) {
            return status;
        }
        let mut dual = FullDual::new(state.reduced, state.current.f.clone(), state.current.g.clone());
        let mut best = Best::none();
        let status = loop {
            if !dual.value.is_finite() {
                break Status::Stalled;
            }
            best.note(&dual);
            let plan = self.sparsify(&dual);
            if let Some(status) = dual.record(state, run, plan.entries()) {
                break status;
            }
            if best.age > PATIENCE {
                break Status::Stalled;
            }
            if !newton_step(state, &mut dual, &plan) {
                dual.sinkhorn_step();
                state.count("sinkhorn", 1);
            }
        };
        best.leave(state);
        status
    }

    /// The first stage; some status when the run ends in it.
    fn warm_up(&self, state: &mut State, run: &mut Run, tolerance: f64) -> Option<Status> {
        let eps = state.reduced.eps;
        let mut done = 0;
        loop {
            state.evaluate(eps, None);
            if let Some(status) = state.record(run, eps) {
                return Some(status);
            }
            if state.current.error <= tolerance {
                return Some(Status::Solved);
            }
            if !state.current.is_finite() {
                return Some(Status::Stalled);
            }
            if done >= self.warm_up && state.current.error <= 0.1 {
                return None;
            }
            state.sinkhorn_step(eps, 1.0);
            done += 1;
        }
    }

    /// The k largest entries of the plan, the first ones of equal size.
    fn sparsify(&self, dual: &FullDual) -> SparsePlan {
        let (n, m) = (dual.f.len(), dual.g.len());
        let k = match self.kept {
            Kept::Entries(k) => k,
            Kept::Share(share) => (share * (n * m) as f64).ceil() as usize,
            Kept::Mass => mass_count(&dual.plan, 1e-3).max(5 * n.max(m)),
        };
        let k = k.clamp(1, n * m);
        let mut sorted = dual.plan.clone();
        let (_, &mut threshold, _) = sorted.select_nth_unstable_by(n * m - k, f64::total_cmp);
        let above = dual.plan.iter().filter(|&&p| p > threshold).count();
        let mut ties = k - above;
        let mut kept: Vec<Vec<(u32, f64)>> = vec![Vec::new(); n];
        for (row, entries) in kept.iter_mut().zip(dual.plan.chunks_exact(m)) {
            for (j, &p) in entries.iter().enumerate().filter(|(_, p)| **p >= threshold && **p > 0.0) {
                if p > threshold || ties > 0 {
                    ties -= usize::from(p == threshold);
                    row.push((j as u32, p));
                }
            }
        }
        collect_rows(kept.iter().map(Vec::as_slice), m)
    }
}

/// How many of the largest entries hold all of the mass but a share: by counts and sums of entries whose leading 16 bits
/// agree, which order positive numbers; an upper bound within one such bucket.
fn mass_count(plan: &[f64], share: f64) -> usize {
    let mut buckets = vec![(0usize, 0.0f64); 1 << 15];
    for &p in plan.iter().filter(|p| **p > 0.0) {
        let bucket = &mut buckets[(p.to_bits() >> 48) as usize];
        *bucket = (bucket.0 + 1, bucket.1 + p);
    }
    let total: f64 = buckets.iter().map(|b| b.1).sum();
    let (mut count, mut dropped) = (plan.len(), 0.0);
    count -= plan.len() - buckets.iter().map(|b| b.0).sum::<usize>();
    for (entries, mass) in buckets {
        if dropped + mass > share * total {
            break;
        }
        dropped += mass;
        count -= entries;
    }
    count
}

/// One Newton step with backtracking; false if no step from 1 down to 1e-8 raises the dual enough.
fn newton_step(state: &mut State, dual: &mut FullDual, plan: &SparsePlan) -> bool {
    let gradient = dual.gradient();
    let eps = dual.reduced.eps;
    let operator = BlockOperator { plan, rows: &dual.rows, columns: &dual.columns };
    let rhs: Vec<f64> = gradient.0.iter().chain(&gradient.1).map(|g| eps * g).collect();
    let tolerance = dual.error.min(0.1);
    let Ok((d, steps)) = operator.solve(&rhs, tolerance, 2 * rhs.len(), &mut state.solvers) else {
        return false;
    };
    state.cg_steps += steps as u64;
    state.count("cg", steps as u64);
    state.count("newton", 1);
    let n = dual.f.len();
    let direction = (d[..n].to_vec(), d[n..].to_vec());
    let slope: f64 = gradient.0.iter().chain(&gradient.1).zip(&d).map(|(g, d)| g * d).sum();
    let (start, value, error) = (dual.point(), dual.value, dual.error);
    let mut t = 1.0;
    while t >= 1e-8 {
        dual.move_to(&start, t, &direction);
        state.count("evaluations", 1);
        let rounding = 1e-15 * value.abs();
        if dual.value >= value + 1e-4 * t * slope - rounding || dual.error < 0.9 * error {
            state.step_size = t;
            return true;
        }
        t *= 0.5;
    }
    dual.move_to(&start, 0.0, &direction);
    false
}
