//! Dense, streamed and separable passes against each other and against plain loops.

use super::*;
use crate::linalg::splitmix::SplitMix;
use crate::transport::problem::{Cost, Metric, TransportProblem};
use crate::transport::reduced::{Kernel, Reduced};

/// Points, and the same problem as a matrix in the order of the streamed one.
fn clouds(n: usize, m: usize, dimension: usize, metric: Metric, eps: f64) -> TransportProblem {
    let mut random = SplitMix(7);
    let source = random.uniforms(n * dimension);
    let target = random.uniforms(m * dimension);
    let (a, b) = (random.uniforms(n), random.uniforms(m));
    let share = |w: Vec<f64>| {
        let sum: f64 = w.iter().map(|w| w + 0.1).sum();
        w.into_iter().map(|w| (w + 0.1) / sum).collect::<Vec<f64>>()
    };
    let cost = Cost::Points { dimension, source, target, metric };
    TransportProblem { cost, source: share(a), target: share(b), regularization: eps }
}

fn as_matrix(points: &PointCosts) -> DenseCosts<'static> {
    let (rows, columns) = (points.rows(), points.columns());
    let values: Vec<f64> =
        (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| points.cost(i, j)).collect();
    DenseCosts { rows, columns, values: values.into() }
}

fn largest_difference(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).fold(0.0, |most: f64, (x, y)| most.max((x - y).abs()))
}

#[test]
fn streamed_passes_agree_with_dense_ones_and_skip_tiles() {
    for (dimension, metric, eps) in [
        (1, Metric::SquaredEuclidean, 1e-3),
        (2, Metric::SquaredEuclidean, 1e-3),
        (2, Metric::Euclidean, 1e-2),
        (3, Metric::SquaredEuclidean, 2e-3),
        (3, Metric::Manhattan, 1e-2),
        (5, Metric::Euclidean, 1e-2),
        (2, Metric::Manhattan, 1.0),
    ] {
        let problem = clouds(700, 530, dimension, metric, eps);
        let reduced = Reduced::new(&problem, 0).unwrap();
        let points = reduced.kernel.points().unwrap();
        let dense = as_matrix(points);
        let masses = reduced.masses(eps, 1e-15);
        let gather = Some(Gather { theta: 1e-3, cluster: 1 });
        let run = |costs: &dyn Costs| {
            let mut evaluation = Evaluation::at((0..530).map(|j| 0.02 * (j as f64).sin()).collect());
            evaluation.run(costs, &masses, gather);
            evaluation
        };
        let (streamed, whole) = (run(points), run(&dense));
        assert!(largest_difference(&streamed.f, &whole.f) <= 1e-12, "{metric:?}");
        assert!(largest_difference(&streamed.c, &whole.c) <= 1e-15, "{metric:?}");
        assert_eq!(streamed.plan.entries(), whole.plan.entries());
        assert_eq!(whole.live, 700 * 530);
        assert!(streamed.live <= whole.live);
        assert!(eps > 1e-3 || streamed.live < whole.live, "no tile was skipped");
        // the hard transform and the totals too
        assert!(
            largest_difference(&hard_transform(points, &whole.g), &hard_transform(&dense, &whole.g)) < 1e-14
        );
        let at = Potentials { f: &whole.f, g: &whole.g, eps, reach: -eps * (1e-15f64 / 530.0).ln() };
        let (p, q) = (Totals::of(points, &at, masses.a, None), Totals::of(&dense, &at, masses.a, None));
        assert!(
            largest_difference(&p.rows, &q.rows) < 1e-15
                && largest_difference(&p.columns, &q.columns) < 1e-15
        );
        assert!(largest_difference(&p.costs, &q.costs) < 1e-14);
        assert!(largest_difference(&p.rows, masses.a) < 1e-14);
    }
}

#[test]
fn an_evaluation_is_the_plain_formula() {
    let problem = clouds(40, 30, 2, Metric::SquaredEuclidean, 0.05);
    let reduced = Reduced::new(&problem, 1 << 20).unwrap();
    let Kernel::Dense(dense) = &reduced.kernel else { panic!("a small problem is a matrix") };
    let masses = reduced.masses(0.05, 1e-15);
    let mut evaluation = Evaluation::at((0..30).map(|j| 0.1 * (j as f64).cos()).collect());
    evaluation.run(dense, &masses, None);
    let mut columns = vec![0.0; 30];
    for i in 0..40 {
        let terms: Vec<f64> =
            dense.row(i).iter().zip(&evaluation.g).map(|(c, g)| ((g - c) / 0.05).exp()).collect();
        let sum: f64 = terms.iter().sum();
        let f = 0.05 * (masses.a[i] / sum).ln();
        assert!((evaluation.f[i] - f).abs() < 1e-14);
        terms.iter().zip(&mut columns).for_each(|(t, c)| *c += masses.a[i] * t / sum);
    }
    assert!(largest_difference(&evaluation.c, &columns) < 1e-15);
    // the transform of single columns makes their sums exact
    let all: Vec<usize> = (0..30).collect();
    let g = column_transform(dense, &evaluation.f, masses.b, 0.05, &all);
    let step: Vec<f64> =
        (0..30).map(|j| evaluation.g[j] + 0.05 * (masses.b[j] / evaluation.c[j]).ln()).collect();
    assert!(largest_difference(&g, &step) < 1e-14);
}

#[test]
fn separable_passes_over_images_agree_with_dense_ones() {
    for metric in [Metric::SquaredEuclidean, Metric::Manhattan] {
        let (shape, other) = ([9, 14], [12, 7]);
        let mut random = SplitMix(3);
        // some pixels are black
        let mut masses = |size: usize| -> Vec<f64> {
            let raw: Vec<f64> = random.uniforms(size).into_iter().map(|u| (u - 0.2).max(0.0)).collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(|v| v / sum).collect()
        };
        let (source, target) = (masses(9 * 14), masses(12 * 7));
        let cost = Cost::Grid { source: shape, target: other, metric };
        for eps in [0.3, 5.0] {
            let problem = TransportProblem {
                cost: cost.clone(),
                source: source.clone(),
                target: target.clone(),
                regularization: eps,
            };
            let reduced = Reduced::new(&problem, 0).unwrap();
            let masses = reduced.masses(eps, 1e-15);
            let g: Vec<f64> = (0..masses.b.len()).map(|j| (j as f64).sin()).collect();
            let (mut separable, mut whole) = (Evaluation::at(g.clone()), Evaluation::at(g));
            reduced.kernel.evaluate(&mut separable, &masses, None);
            whole.run(&as_matrix(reduced.kernel.points().unwrap()), &masses, None);
            assert!(largest_difference(&separable.f, &whole.f) <= 1e-12);
            assert!(largest_difference(&separable.c, &whole.c) <= 1e-12);
            assert!((separable.error - whole.error).abs() < 1e-12);
        }
    }
}

#[test]
fn what_is_dropped_is_a_share_theta_of_every_row_and_column() {
    let problem = clouds(300, 200, 2, Metric::SquaredEuclidean, 2e-3);
    let reduced = Reduced::new(&problem, 1 << 20).unwrap();
    let masses = reduced.masses(2e-3, 1e-15);
    let costs = reduced.kernel.costs();
    for theta in [0.01, 1e-4] {
        let mut evaluation = Evaluation::at(vec![0.0; 200]);
        for _ in 0..30 {
            evaluation.run(costs, &masses, Some(Gather { theta, cluster: 1 }));
            let (g, c) = (&mut evaluation.g, &evaluation.c);
            g.iter_mut().zip(c).zip(masses.b).for_each(|((g, c), b)| *g += 2e-3 * (b / c).ln());
        }
        evaluation.run(costs, &masses, Some(Gather { theta, cluster: 1 }));
        let (mut rows, mut columns) = (Vec::new(), vec![0.0; 200]);
        let mut laplacian = vec![0.0; 200 * 200];
        for (row, a) in evaluation.plan.parts.iter().flat_map(Part::rows).zip(masses.a) {
            rows.push(row.1.iter().sum::<f64>());
            for (&j, &p) in row.0.iter().zip(row.1) {
                columns[j as usize] += p;
                for (&k, &q) in row.0.iter().zip(row.1) {
                    laplacian[j as usize * 200 + k as usize] -= p * q / a;
                }
            }
        }
        for (a, kept) in masses.a.iter().zip(&rows) {
            assert!(a - kept <= theta * a * (1.0 + 1e-9));
        }
        for ((b, c), kept) in masses.b.iter().zip(&evaluation.c).zip(&columns) {
            assert!(c - kept <= theta * b * (1.0 + 1e-9));
        }
        // S_L: rows sum to something in [0, 2 theta max(b, c)], off-diagonal entries are not positive
        for j in 0..200 {
            laplacian[j * 200 + j] += evaluation.c[j];
            let row = &laplacian[j * 200..(j + 1) * 200];
            let sum: f64 = row.iter().sum();
            let most = 2.0 * theta * evaluation.c[j].max(masses.b[j]);
            assert!((-1e-17..=most).contains(&sum), "{sum:e} {most:e}");
            assert!(row.iter().enumerate().all(|(k, &v)| k == j || v <= 0.0));
        }
    }
}

#[test]
fn sums_over_clusters_are_the_sums_of_their_entries() {
    let problem = clouds(333, 259, 2, Metric::SquaredEuclidean, 0.01);
    let reduced = Reduced::new(&problem, 0).unwrap();
    let masses = reduced.masses(0.01, 1e-15);
    let gathered = |cluster| {
        let mut evaluation = Evaluation::at(vec![0.0; 259]);
        evaluation.run(reduced.kernel.costs(), &masses, Some(Gather { theta: 1e-14, cluster }));
        let mut sums = vec![0.0; 333usize.div_ceil(8) * 259usize.div_ceil(8)];
        for (i, (columns, values)) in evaluation.plan.parts.iter().flat_map(Part::rows).enumerate() {
            for (&j, &p) in columns.iter().zip(values) {
                let (i, j) = (i * cluster / 8, j as usize * cluster / 8);
                sums[i * 259usize.div_ceil(8) + j] += p;
            }
        }
        sums
    };
    assert!(largest_difference(&gathered(1), &gathered(8)) < 1e-12);
}
