//! The default method: Newton's method on the semi-dual along a path of falling eps.
//!
//! F(g) = <a, f(g)> + <b, g> - eps is concave; its gradient is b - c, c the column sums of the plan whose rows are
//! exact, and -Hess F = L / eps with the Laplacian L = diag(c) - P' diag(1/a) P. One pass over the kernel gives f, c
//! and the entries S of P that are at least theta min(a_i/m, c_j/n): what is dropped is at most a share theta of any
//! row or column, so S_L = diag(c) - S' diag(1/a) S stays definite, and theta falls with the error. Starting at a
//! large eps and halving it keeps Newton's method inside its region of fast convergence.

use super::coarse;
use super::kernel::Gather;
use super::sinkhorn::ScaledKernel;
use super::state::State;
use crate::control::{Run, Status};

/// How eps falls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// From one stage to the next.
    pub factor: f64,
    /// L1 error at which a stage ends, but the last.
    pub tolerance: f64,
}

/// How a stage ended.
enum Stage {
    Done,
    Failed,
    Ended(Status),
}

/// A point that was reached: eps and g.
type Reached = (f64, Vec<f64>);

/// Solves to `tolerance` (L1 error) at the problem's eps. The best point found is the current one at the end.
pub(crate) fn solve(
    state: &mut State,
    run: &mut Run,
    first: Schedule,
    tolerance: f64,
    is_warm: bool,
) -> Status {
    let eps = state.reduced.eps;
    let shortcut = if is_warm { Shortcut::Start } else { sinkhorn_shortcut(state, run, tolerance) };
    match shortcut {
        Shortcut::Ended(status) => return status,
        Shortcut::Start => {
            // so near already that no path is needed
            match stage(state, run, eps, tolerance, true) {
                Stage::Done => return Status::Solved,
                Stage::Ended(status) => return status,
                Stage::Failed => state.current.g.fill(0.0),
            }
        }
        Shortcut::Path => {}
    }
    let mut last: Option<Reached> = None;
    let mut first_eps = None;
    if let Some(lifted) = coarse::start(state, run, first) {
        state.cluster = cluster_for(state, lifted.density);
        state.current.g = lifted.g;
        first_eps = Some(lifted.eps);
    } else if let Some(status) = run.should_stop() {
        state.settle();
        return status;
    }
    let patient = [
        Schedule { factor: 0.5, tolerance: first.tolerance.min(1e-4) },
        Schedule { factor: 0.7, tolerance: first.tolerance.min(1e-3) },
        Schedule { factor: 0.85, tolerance: first.tolerance.min(1e-5) },
    ];
    let mut best: Option<(f64, Vec<f64>)> = None;
    for schedule in std::iter::once(first).chain(patient) {
        match follow(state, run, schedule, tolerance, &mut last, first_eps.take()) {
            Stage::Done => return Status::Solved,
            Stage::Ended(status) => return status,
            Stage::Failed => {
                if state.current.is_finite() && best.as_ref().is_none_or(|(e, _)| state.current.error < *e) {
                    best = Some((state.current.error, state.current.g.clone()));
                }
            }
        }
    }
    if let Some((_, g)) = best {
        state.current.g = g;
        state.evaluated = None;
    }
    state.settle();
    Status::Stalled
}

/// Follows the path from the last point reached (or from the top) down to the problem's eps.
fn follow(
    state: &mut State,
    run: &mut Run,
    schedule: Schedule,
    tolerance: f64,
    reached: &mut Option<Reached>,
    first_eps: Option<f64>,
) -> Stage {
    let target = state.reduced.eps;
    let mut eps = match reached {
        _ if first_eps.is_some() => first_eps.unwrap_or(target),
        Some((eps, g)) => {
            state.current.g.clone_from(g);
            (*eps * schedule.factor).max(target)
        }
        None => (0.25 * state.reduced.range).max(target),
    };
    let mut before: Option<Reached> = None;
    loop {
        let is_last = eps <= target;
        let goal = if is_last { tolerance } else { schedule.tolerance.max(tolerance) };
        match stage(state, run, eps, goal, is_last) {
            Stage::Done if is_last => return Stage::Done,
            Stage::Done => {}
            other => return other,
        }
        state.stage += 1;
        let next = (eps * schedule.factor).max(target);
        let here: Reached = (eps, state.current.g.clone());
        if let Some((previous_eps, previous)) = &before {
            // potentials become linear in eps
            let slope = (next - eps) / (eps - previous_eps);
            for (g, p) in state.current.g.iter_mut().zip(previous) {
                *g += slope * (*g - p);
            }
        }
        before = Some(here.clone());
        *reached = Some(here);
        eps = next;
    }
}

/// The whole path from the top; g at the end, None if it was not reached.
pub(crate) fn follow_to(
    state: &mut State,
    run: &mut Run,
    schedule: Schedule,
    tolerance: f64,
) -> Option<Vec<f64>> {
    match follow(state, run, schedule, tolerance, &mut None, None) {
        Stage::Done => Some(std::mem::take(&mut state.current.g)),
        _ => None,
    }
}

/// The smallest clusters whose pairs, as many of them as this share, may be kept.
fn cluster_for(state: &State, density: f64) -> usize {
    let pairs = density * state.reduced.a.len() as f64 * state.reduced.b.len() as f64;
    let mut cluster = 1;
    while pairs / (cluster * cluster) as f64 > MOST_ENTRIES as f64 && cluster < Gather::LARGEST {
        cluster *= 2;
    }
    cluster
}

/// Moves of a stage at most; many more where arcs are forbidden, whose first stage also has to find infeasibility.
const MOVES: usize = 40;
const MOVES_FORBIDDEN: usize = 1000;
/// Kept entries beyond which points are clustered more coarsely.
pub(crate) const MOST_ENTRIES: usize = 1 << 24;

/// One eps: Sinkhorn first and while columns starve, then Newton.
fn stage(state: &mut State, run: &mut Run, eps: f64, goal: f64, is_last: bool) -> Stage {
    let limit = if state.reduced.forbidden { MOVES_FORBIDDEN } else { MOVES };
    state.step_size = 0.0;
    state.evaluate(eps, None);
    let (mut best, mut since_best) = (f64::INFINITY, 0);
    for moves in 0.. {
        if !state.current.is_finite() {
            return Stage::Failed;
        }
        if let Some(status) = state.record(run, eps) {
            return Stage::Ended(status);
        }
        let error = state.current.error;
        if error <= goal {
            return Stage::Done;
        }
        if state.current.value > state.reduced.most {
            return Stage::Ended(Status::Infeasible);
        }
        (best, since_best) = if error < 0.7 * best { (error, 0) } else { (best, since_best + 1) };
        if is_last && best < 1e-11 && since_best >= 4 {
            return Stage::Ended(Status::Stalled);
        }
        if moves >= limit {
            return Stage::Failed;
        }
        let starved = || state.current.c.iter().zip(&state.reduced.b).any(|(c, b)| *c < 0.01 * b);
        // clusters leave an error of their own: smaller entries would not help
        let least = if state.cluster > 1 { 1e-4 } else { 1e-15 };
        let gather = Gather { theta: (0.1 * error).clamp(least, 0.01), cluster: state.cluster };
        if moves == 0 || (moves < 30 && starved()) || !state.current.plan.gathered {
            state.sinkhorn_step(eps, 1.0);
            state.evaluate(eps, Some(gather));
            continue;
        }
        let Ok(direction) = state.newton_direction(eps) else { return Stage::Failed };
        if !state.line_search(&direction, eps, Some(gather)) {
            state.sinkhorn_step(eps, 1.0);
            state.evaluate(eps, Some(gather));
        }
        adapt_clusters(state, error);
    }
    Stage::Failed
}

/// Finer clusters where the last move gained little, coarser ones where too many entries are kept.
fn adapt_clusters(state: &mut State, before: f64) {
    let entries = state.current.plan.entries();
    if entries > MOST_ENTRIES && state.cluster < Gather::LARGEST && state.reduced.kernel.points().is_some() {
        state.cluster *= 2;
    } else if state.cluster > 1 && state.current.error > 0.25 * before && 4 * entries <= MOST_ENTRIES {
        state.cluster /= 2;
    }
}

/// What the first look at the problem's own eps says.
enum Shortcut {
    /// Solved by Sinkhorn alone, or stopped.
    Ended(Status),
    /// Newton from the current point.
    Start,
    /// The whole path.
    Path,
}

/// Where eps is large against the costs Sinkhorn's iterations in kernel form cost next to nothing: fifty of them show
/// whether they will do.
fn sinkhorn_shortcut(state: &mut State, run: &mut Run, tolerance: f64) -> Shortcut {
    let reduced = state.reduced;
    let eps = reduced.eps;
    let entries = reduced.a.len() * reduced.b.len();
    if reduced.forbidden
        || reduced.range > 500.0 * eps
        || entries > 1 << 24
        || reduced.kernel.points().is_some()
    {
        return Shortcut::Path;
    }
    let mut kernel = ScaledKernel::new(reduced, state.current.g.clone(), eps);
    state.count("evaluations", 1);
    let (mut earlier, mut error) = (f64::INFINITY, f64::INFINITY);
    for k in 0..400 {
        let before = error;
        error = kernel.iterate(1.0);
        state.count("sinkhorn", 1);
        if !error.is_finite() {
            return Shortcut::Path;
        }
        state.step_size = 1.0;
        state.current.error = error;
        state.current.value = kernel.value();
        if let Some(status) = state.record(run, eps) {
            kernel.unload(&mut state.current.g);
            state.evaluated = None;
            state.evaluate(eps, None);
            return Shortcut::Ended(status);
        }
        if error <= 0.5 * tolerance {
            kernel.unload(&mut state.current.g);
            state.evaluated = None;
            state.evaluate(eps, None);
            if state.current.error <= tolerance {
                return Shortcut::Ended(Status::Solved);
            }
            return Shortcut::Start;
        }
        if k == 30 {
            earlier = error;
        }
        if k >= 50 && k % 25 == 0 {
            let rate = if k == 50 { (error / earlier).powf(1.0 / 20.0) } else { error / before };
            let left = (0.5 * tolerance / error).ln() / rate.ln();
            if !(rate < 1.0 && left < 300.0) {
                break;
            }
        }
    }
    kernel.unload(&mut state.current.g);
    state.evaluated = None;
    Shortcut::Start
}
