//! Safe and sparse Newton (Tang, Qiu, NeurIPS 2024): what is dropped from the Hessian is bounded row by row and column
//! by column, so that it stays definite, and its share falls with the gradient.

use super::full_dual::{Best, BlockSystem, FullDual, collect_rows};
use super::sparse_plan::SparsePlan;
use super::state::State;
use crate::control::{Run, Status};

/// delta = NU |gradient|.
const NU: f64 = 0.01;
/// Smallest factor of the regularization mu |gradient|.
const KAPPA: f64 = 1e-3;
/// Relative gains of D below this are rounding.
const ROUNDING: f64 = 1e-12;
/// Steps without a better error after which the method gives up.
const PATIENCE: usize = 2000;

/// Minimises phi = -D over f and g with the last g fixed.
pub(crate) fn solve(state: &mut State, run: &mut Run) -> Status {
    let mut dual = start(state);
    let mut best = Best::none();
    let mut mu = 1.0;
    let mut kept: Option<(SparsePlan, Vec<f64>, Vec<f64>)> = None;
    let status = loop {
        if !dual.value.is_finite() {
            break Status::Stalled;
        }
        best.note(&dual);
        let entries = kept.as_ref().map_or(0, |k| k.0.entries());
        if let Some(status) = dual.record(state, run, entries) {
            break status;
        }
        if best.age > PATIENCE {
            break Status::Stalled;
        }
        let gradient = dual.gradient();
        let last = gradient.1.len() - 1;
        let size = norm(&gradient.0, &gradient.1[..last]);
        // a rejected step keeps the matrix
        let (plan, rows, columns) = kept.get_or_insert_with(|| {
            (sparsify(&dual, NU * size), dual.rows.clone(), dual.columns[..last].to_vec())
        });
        let Some(direction) = direction(state, &gradient, plan, rows, columns, mu * size) else {
            break Status::Stalled;
        };
        let model = Model { plan, rows, columns, eps: dual.reduced.eps };
        let (start, value, error) = (dual.point(), dual.value, dual.error);
        let slope = dot(&gradient, &direction);
        let t = search(state, &mut dual, &start, &direction);
        // phi falls by value' - value; the model says t slope - t^2/2 d'H d
        let predicted = t * slope - 0.5 * t * t * model.curvature(&direction);
        let mut ratio = (dual.value - value) / predicted;
        if predicted.abs() < ROUNDING * value.abs().max(dual.reduced.eps) {
            // rounding hides what D gains: the error decides
            ratio = if dual.error < 0.9 * error { 1.0 } else { -1.0 };
        }
        if ratio > 0.0 {
            kept = None;
        } else {
            dual.move_to(&start, 0.0, &direction);
        }
        mu = if ratio < 0.25 || ratio.is_nan() {
            4.0 * mu
        } else if ratio > 0.75 {
            (0.5 * mu).max(KAPPA)
        } else {
            mu
        };
        if mu > 1e20 {
            break Status::Stalled;
        }
    };
    best.leave(state);
    status
}

/// f = 0, g its c-transform, shifted so that the last g is 0.
pub(super) fn start<'r, 'a>(state: &mut State<'r, 'a>) -> FullDual<'r, 'a> {
    let reduced = state.reduced;
    let (n, m) = (reduced.a.len(), reduced.b.len());
    let all: Vec<usize> = (0..m).collect();
    let f = vec![0.0; n];
    let mut g = super::kernel::column_transform(reduced.kernel.costs(), &f, &reduced.b, reduced.eps, &all);
    let last = g[m - 1];
    g.iter_mut().for_each(|g| *g -= last);
    state.count("evaluations", 1);
    FullDual::new(reduced, vec![last; n], g)
}

pub(super) fn norm(x: &[f64], y: &[f64]) -> f64 {
    x.iter().chain(y).map(|v| v * v).sum::<f64>().sqrt()
}

pub(super) fn dot(x: &(Vec<f64>, Vec<f64>), y: &(Vec<f64>, Vec<f64>)) -> f64 {
    x.0.iter().zip(&y.0).chain(x.1.iter().zip(&y.1)).map(|(x, y)| x * y).sum()
}

/// d of ([diag(r), S; S', diag(c)]/eps + shift I) d = gradient of D, 0 for the last g.
fn direction(
    state: &mut State,
    gradient: &(Vec<f64>, Vec<f64>),
    plan: &SparsePlan,
    rows: &[f64],
    columns: &[f64],
    shift: f64,
) -> Option<(Vec<f64>, Vec<f64>)> {
    let eps = state.reduced.eps;
    let add = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| x + eps * shift).collect() };
    let system = BlockSystem { plan, rows: add(rows), columns: add(columns) };
    let scale = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| eps * x).collect() };
    let rhs = (scale(&gradient.0), scale(&gradient.1[..columns.len()]));
    let mut counts = (0, 0);
    let solved = system.solve((&rhs.0, &rhs.1), 1e-8, &mut counts, &mut state.solvers);
    state.cg_steps += counts.0;
    state.count("cg", counts.0);
    state.count("factorizations", counts.1);
    state.count("newton", 1);
    let (f, mut g) = solved.ok()?;
    g.push(0.0);
    Some((f, g))
}

/// The first of 1, 0.5, 0.25, 0.1 that raises D, or the best of them; the dual is left there.
fn search(
    state: &mut State,
    dual: &mut FullDual,
    start: &(Vec<f64>, Vec<f64>),
    d: &(Vec<f64>, Vec<f64>),
) -> f64 {
    let (before, error) = (dual.value, dual.error);
    let mut best = (f64::NEG_INFINITY, 1.0);
    for t in [1.0, 0.5, 0.25, 0.1] {
        dual.move_to(start, t, d);
        state.count("evaluations", 1);
        state.step_size = t;
        let is_flat = (dual.value - before).abs() < ROUNDING * before.abs();
        if dual.value > before || (is_flat && dual.error < 0.9 * error) {
            return t;
        }
        if dual.value > best.0 {
            best = (dual.value, t);
        }
    }
    dual.move_to(start, best.1, d);
    state.step_size = best.1;
    best.1
}

/// The quadratic model's matrix.
struct Model<'p> {
    plan: &'p SparsePlan,
    rows: &'p [f64],
    columns: &'p [f64],
    eps: f64,
}

impl Model<'_> {
    /// d'H d.
    fn curvature(&self, d: &(Vec<f64>, Vec<f64>)) -> f64 {
        let m = self.columns.len();
        let mut product = vec![0.0; self.rows.len()];
        self.plan.multiply_rows(&d.1[..m], &mut product);
        let squares = |w: &[f64], d: &[f64]| -> f64 { w.iter().zip(d).map(|(w, d)| w * d * d).sum() };
        let cross: f64 = product.iter().zip(&d.0).map(|(p, d)| p * d).sum();
        (squares(self.rows, &d.0) + squares(self.columns, &d.1[..m]) + 2.0 * cross) / self.eps
    }
}

/// The plan without its last column and with small entries dropped: per column the smallest ones while their sum is at
/// most delta, then per row the largest dropped ones put back until the dropped sum is at most 2 delta.
pub(super) fn sparsify(dual: &FullDual, delta: f64) -> SparsePlan {
    let (n, m) = (dual.f.len(), dual.g.len());
    let columns = m - 1;
    // entries so small that a whole row or column of them is below delta are dropped without being sorted
    let tiny = delta / n.max(m) as f64;
    let mut of_column: Vec<Vec<(f64, u32)>> = vec![Vec::new(); columns];
    let mut tiny_of_column = vec![0.0; columns];
    let mut tiny_of_row = vec![0.0; n];
    for (i, row) in dual.plan.chunks_exact(m).enumerate() {
        for (j, &p) in row[..columns].iter().enumerate() {
            if p > tiny {
                of_column[j].push((p, i as u32));
            } else {
                tiny_of_column[j] += p;
                tiny_of_row[i] += p;
            }
        }
    }
    let mut kept: Vec<Vec<(u32, f64)>> = vec![Vec::new(); n];
    let mut dropped: Vec<Vec<(f64, u32)>> = vec![Vec::new(); n];
    for (j, entries) in of_column.iter_mut().enumerate() {
        // only those that fit under delta can be dropped
        let mut sum = tiny_of_column[j];
        let small: Vec<usize> = (0..entries.len()).filter(|&k| entries[k].0 <= delta).collect();
        let mut order = small;
        order.sort_unstable_by(|&k, &l| entries[k].0.total_cmp(&entries[l].0).then(k.cmp(&l)));
        let mut cut = 0;
        for &k in &order {
            if sum + entries[k].0 > delta {
                break;
            }
            sum += entries[k].0;
            cut += 1;
        }
        let mut is_dropped = vec![false; entries.len()];
        order[..cut].iter().for_each(|&k| is_dropped[k] = true);
        for (&(p, i), is_dropped) in entries.iter().zip(is_dropped) {
            if is_dropped {
                dropped[i as usize].push((p, j as u32));
            } else {
                kept[i as usize].push((j as u32, p));
            }
        }
    }
    for ((kept, dropped), tiny) in kept.iter_mut().zip(&mut dropped).zip(tiny_of_row) {
        let mut sum: f64 = tiny + dropped.iter().map(|d| d.0).sum::<f64>();
        if sum > 2.0 * delta {
            dropped.sort_unstable_by(|p, q| q.0.total_cmp(&p.0).then(p.1.cmp(&q.1)));
            for &(p, j) in dropped.iter() {
                if sum <= 2.0 * delta {
                    break;
                }
                sum -= p;
                kept.push((j, p));
            }
            kept.sort_unstable_by_key(|&(j, _)| j);
        }
    }
    collect_rows(kept.iter().map(Vec::as_slice), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::instances::instance;
    use crate::transport::reduced::Reduced;

    #[test]
    fn no_row_and_no_column_loses_more_than_two_delta() {
        for (name, eps) in [("points-60", 0.01), ("assignment-50", 0.1), ("cloud8-40", 0.003)] {
            let problem = instance(name, eps).unwrap();
            let reduced = Reduced::new(&problem, 1 << 20).unwrap();
            let dual = start(&mut State::new(&reduced, 1e-10, None));
            for delta in [1e-1, 1e-3, 1e-6] {
                let plan = sparsify(&dual, delta);
                let m = dual.g.len();
                let mut columns: Vec<f64> = dual.columns[..m - 1].to_vec();
                for (i, (indices, values)) in plan.parts[0].rows().enumerate() {
                    let whole: f64 = dual.plan[i * m..(i + 1) * m - 1].iter().sum();
                    let kept: f64 = values.iter().sum();
                    assert!(whole - kept <= 2.0 * delta + 1e-14);
                    indices.iter().zip(values).for_each(|(&j, p)| columns[j as usize] -= p);
                }
                assert!(columns.iter().all(|&lost| lost <= delta + 1e-14));
            }
            assert!(sparsify(&dual, 1e-12).entries() > sparsify(&dual, 1e-2).entries());
        }
    }
}
