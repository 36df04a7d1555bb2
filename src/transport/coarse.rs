//! A start for many points: the problem of their clusters, solved along the path, put back on the points.
//!
//! As long as eps is above the squared width of the clusters their centroids see the same potentials as the points, at
//! a small part of the work.

use super::kernel::{Evaluation, Masses, PointCosts};
use super::path::{Schedule, follow_to};
use super::reduced::{Kernel, Reduced};
use super::state::State;
use crate::control::Run;

/// Pairs of clusters at most.
const PAIRS: usize = 1 << 24;
/// eps of the clusters' problem at least, over the mean of their squared widths (widths, for costs that are not squared).
const RESOLUTION: f64 = 0.25;
/// L1 error at which the clusters' problem is left.
const TOLERANCE: f64 = 1e-3;

/// Where the clusters' problem ended.
pub(crate) struct Lifted {
    pub eps: f64,
    /// g of the points.
    pub g: Vec<f64>,
    /// Share of the pairs of clusters that its last Newton matrix kept, about that of the points to come.
    pub density: f64,
}

/// Runs the path on clusters; None if there is nothing to gain or it failed.
pub(crate) fn start(state: &mut State, run: &mut Run, schedule: Schedule) -> Option<Lifted> {
    let fine = state.reduced;
    let points = fine.kernel.points()?;
    let (n, m) = (fine.a.len(), fine.b.len());
    let mut size = 1;
    while n.div_ceil(size) * m.div_ceil(size) > PAIRS {
        size *= 2;
    }
    if size == 1 {
        return None;
    }
    let add = |x: &[f64]| -> Vec<f64> { x.chunks(size).map(|run| run.iter().sum()).collect() };
    let log = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| x.ln()).collect() };
    let (a, b) = (add(&fine.a), add(&fine.b));
    let clusters = points.coarsened(size, &fine.a, &fine.b);
    let eps = fine.eps.max(RESOLUTION * points.cluster_extent(size));
    let coarse = Reduced {
        kernel: Kernel::Points(clusters.clone()),
        log_a: log(&a),
        log_b: log(&b),
        a,
        b,
        eps,
        range: fine.range,
        most: fine.most,
        forbidden: false,
        rows: Vec::new(),
        columns: Vec::new(),
        transposed: false,
        sizes: (0, 0),
        offset: 0.0,
        total: fine.total,
    };
    let mut below = State::new(&coarse, TOLERANCE, None);
    let reached = follow_to(&mut below, run, schedule, TOLERANCE);
    state.stage = below.stage;
    let evaluations = below.counts.get("evaluations").copied().unwrap_or_default();
    state.count("coarse_evaluations", evaluations);
    let kept = match below.current.plan.gathered {
        true => below.current.plan.entries() as f64,
        false => 0.1 * (coarse.a.len() * coarse.b.len()) as f64,
    };
    let density = kept / (coarse.a.len() * coarse.b.len()) as f64;
    below.current.g = reached?;
    below.evaluate(eps, None);
    // g_j = eps (log b_j - LSE over clusters (f_I - C_Ij)/eps): a pass with targets as rows, clusters as columns
    let across = PointCosts::new(points.metric, points.target.clone(), clusters.source);
    let masses = Masses { a: &fine.b, log_a: &fine.log_b, b: &coarse.a, eps, loss: state.loss / n as f64 };
    let mut lifted = Evaluation::at(below.current.f);
    lifted.run(&across, &masses, None);
    Some(Lifted { eps, g: lifted.f, density })
}
