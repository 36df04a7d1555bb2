//! Sparse plus low rank (Wang, Qiu, ICML 2025): a Hessian of few entries, corrected by one BFGS pair, for plans that are
//! not sparse.

use super::full_dual::{Best, BlockSystem, FullDual, collect_rows};
use super::safe_newton::{dot, norm, start};
use super::sparse_plan::SparsePlan;
use super::state::State;
use crate::control::{Run, Status};
use crate::linalg::line_search::{LineSearchError, StrongWolfe};

/// Largest share of the entries that is kept; the share starts at a tenth of it.
const LARGEST_SHARE: f64 = 0.01;
/// Steps without a better error after which the method gives up.
const PATIENCE: usize = 500;

type Pair = (Vec<f64>, Vec<f64>);

/// Minimises phi = -D over f and g with the last g fixed.
pub(crate) fn solve(state: &mut State, run: &mut Run) -> Status {
    let mut dual = start(state);
    let mut best = Best::none();
    let mut share = 0.1 * LARGEST_SHARE;
    let (mut step, mut first_size, mut previous_size) = (1.0f64, f64::NAN, f64::NAN);
    let mut memory: Option<(Pair, Pair)> = None;
    let status = loop {
        if !dual.value.is_finite() {
            break Status::Stalled;
        }
        best.note(&dual);
        let gradient = fixed_last(dual.gradient());
        let size = norm(&gradient.0, &gradient.1);
        if first_size.is_nan() {
            (first_size, previous_size) = (size, size);
        } else {
            let rose = size > previous_size && previous_size < first_size;
            share = (share * if rose { 1.1 } else { 0.99 }).clamp(0.01 * LARGEST_SHARE, LARGEST_SHARE);
            previous_size = size;
        }
        let plan = sparsify(&dual, share);
        if let Some(status) = dual.record(state, run, plan.entries()) {
            break status;
        }
        if best.age > PATIENCE {
            break Status::Stalled;
        }
        let pair = memory.take();
        let Some(direction) = direction(state, &dual, &gradient, &plan, size.min(1e-3), pair.as_ref()) else {
            break Status::Stalled;
        };
        let from = dual.point();
        let Some(t) = search(state, &mut dual, &from, &direction, &gradient, (1.5 * step).min(1.0)) else {
            dual.move_to(&from, 0.0, &direction);
            break Status::Stalled;
        };
        step = t;
        let after = fixed_last(dual.gradient());
        // s = t d; y = gradient of phi there less here
        let scale = |x: &Pair, t: f64| (by(&x.0, t), by(&x.1, t));
        let y = (less(&gradient.0, &after.0), less(&gradient.1, &after.1));
        memory = Some((scale(&direction, t), y));
    };
    best.leave(state);
    status
}

fn by(x: &[f64], t: f64) -> Vec<f64> {
    x.iter().map(|x| t * x).collect()
}

fn less(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x - y).collect()
}

/// The gradient of D with the last g held.
fn fixed_last((f, mut g): Pair) -> Pair {
    if let Some(last) = g.last_mut() {
        *last = 0.0;
    }
    (f, g)
}

/// The largest entries, a share of all, and the whole first row and first column; the last column left out.
fn sparsify(dual: &FullDual, share: f64) -> SparsePlan {
    let (n, m) = (dual.f.len(), dual.g.len());
    let columns = m - 1;
    let k = ((share * (n * m) as f64) as usize).clamp(1, n * m);
    let mut sorted = dual.plan.clone();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(n * m - k, f64::total_cmp);
    let mut kept: Vec<Vec<(u32, f64)>> = Vec::with_capacity(n);
    for (i, row) in dual.plan.chunks_exact(m).enumerate() {
        let large = row[..columns].iter().enumerate().filter(|&(j, &p)| p >= threshold || i == 0 || j == 0);
        kept.push(large.map(|(j, &p)| (j as u32, p)).collect());
    }
    collect_rows(kept.iter().map(Vec::as_slice), columns)
}

/// d = p + ((1 + y'q/y's) s'r/y's - y'p/y's) s - (s'r/y's) q with p = B^-1 r, q = B^-1 y, r the gradient of D: the inverse
/// BFGS update of B by the pair (s, y), left out where y's is not safely positive.
fn direction(
    state: &mut State,
    dual: &FullDual,
    gradient: &Pair,
    plan: &SparsePlan,
    shift: f64,
    pair: Option<&(Pair, Pair)>,
) -> Option<Pair> {
    let eps = dual.reduced.eps;
    let last = dual.g.len() - 1;
    let add = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| x + eps * shift).collect() };
    let system = BlockSystem { plan, rows: add(&dual.rows), columns: add(&dual.columns[..last]) };
    let mut counts = (0, 0);
    let mut solve = |x: &Pair, state: &mut State| -> Option<Pair> {
        let rhs = (by(&x.0, eps), by(&x.1[..last], eps));
        let (f, mut g) = system.solve((&rhs.0, &rhs.1), 1e-8, &mut counts, &mut state.solvers).ok()?;
        g.push(0.0);
        Some((f, g))
    };
    let mut d = solve(gradient, state)?;
    if let Some((s, y)) = pair {
        let (ys, yy) = (dot(y, s), dot(y, y));
        if ys > 1e-6 * yy {
            let q = solve(y, state)?;
            let (sr, yp, yq) = (dot(s, gradient), dot(y, &d), dot(y, &q));
            let (along_s, along_q) = ((1.0 + yq / ys) * sr / ys - yp / ys, -sr / ys);
            let combine = |d: &mut [f64], s: &[f64], q: &[f64]| {
                d.iter_mut().zip(s).zip(q).for_each(|((d, s), q)| *d += along_s * s + along_q * q);
            };
            combine(&mut d.0, &s.0, &q.0);
            combine(&mut d.1, &s.1, &q.1);
        }
    }
    state.cg_steps += counts.0;
    state.count("cg", counts.0);
    state.count("factorizations", counts.1);
    state.count("newton", 1);
    Some(d)
}

/// A strong Wolfe step along d; the dual is left there. None where rounding hides the descent.
fn search(
    state: &mut State,
    dual: &mut FullDual,
    from: &Pair,
    d: &Pair,
    gradient: &Pair,
    first: f64,
) -> Option<f64> {
    let wolfe = StrongWolfe {
        initial_step: first,
        largest_step: 1e3,
        max_evaluations: 25,
        rounding: 4.0,
        ..StrongWolfe::default()
    };
    let mut evaluations = 0;
    let found = wolfe.search(-dual.value, -dot(gradient, d), |t| {
        dual.move_to(from, t, d);
        evaluations += 1;
        (-dual.value, -dot(&fixed_last(dual.gradient()), d))
    });
    let step = match found {
        Ok(accepted) => Some(accepted.step),
        Err(LineSearchError::TooShort { best, .. } | LineSearchError::Evaluations { best, .. }) => {
            best.map(|b| b.step)
        }
        Err(LineSearchError::Unbounded { best }) => Some(best.step),
        Err(_) => None,
    };
    state.count("evaluations", evaluations);
    if let Some(step) = step {
        dual.move_to(from, step, d);
        state.step_size = step;
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::factor::DenseCholesky;
    use crate::transport::instances::instance;
    use crate::transport::reduced::Reduced;

    #[test]
    fn the_direction_is_that_of_dense_inverse_bfgs() {
        let problem = instance("points-12", 0.05).unwrap();
        let reduced = Reduced::new(&problem, 1 << 20).unwrap();
        let mut state = State::new(&reduced, 1e-10, None);
        let dual = start(&mut state);
        let (n, m) = (12, 12);
        let size = n + m - 1;
        let eps = reduced.eps;
        let gradient = fixed_last(dual.gradient());
        let plan = sparsify(&dual, 0.2);
        let shift = 1e-3;
        let wave = |k: usize, w: f64| (k as f64 * w).sin();
        let s: Pair = ((0..n).map(|k| wave(k, 0.7)).collect(), (0..m).map(|k| wave(k, 1.1)).collect());
        let s = fixed_last(s);
        let y = fixed_last((
            (0..n).map(|k| 2.0 * s.0[k] + 0.1 * wave(k, 2.3)).collect(),
            (0..m).map(|k| 2.0 * s.1[k] + 0.1 * wave(k, 1.9)).collect(),
        ));
        let d = direction(&mut state, &dual, &gradient, &plan, shift, Some(&(s.clone(), y.clone()))).unwrap();
        // B, inverted column by column; then H = (I - s y'/ys) B^-1 (I - y s'/ys) + s s'/ys
        let mut b = vec![0.0; size * size];
        for i in 0..n {
            b[i * size + i] = dual.rows[i] / eps + shift;
        }
        for j in 0..m - 1 {
            b[(n + j) * size + n + j] = dual.columns[j] / eps + shift;
        }
        for (i, (columns, values)) in plan.parts[0].rows().enumerate() {
            for (&j, &p) in columns.iter().zip(values) {
                b[(n + j as usize) * size + i] = p / eps;
                b[i * size + n + j as usize] = p / eps;
            }
        }
        let mut factor = DenseCholesky::new();
        factor.factor(size, &b).unwrap();
        let flat = |x: &Pair| -> Vec<f64> { x.0.iter().chain(&x.1[..m - 1]).copied().collect() };
        let (s, y, r) = (flat(&s), flat(&y), flat(&gradient));
        let inner = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let ys = inner(&y, &s);
        let mut v: Vec<f64> = r.iter().zip(&y).map(|(p, y)| p - y * inner(&s, &r) / ys).collect();
        factor.solve_in_place(&mut v).unwrap();
        let yv = inner(&y, &v);
        let sr = inner(&r, &s);
        let expected: Vec<f64> = v.iter().zip(&s).map(|(v, s)| v - s * yv / ys + s * sr / ys).collect();
        let got = flat(&d);
        let scale = expected.iter().fold(0.0f64, |m, e| m.max(e.abs()));
        for (e, g) in expected.iter().zip(&got) {
            assert!((e - g).abs() <= 1e-10 * scale, "{e} {g}");
        }
    }
}
