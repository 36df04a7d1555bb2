//! Performance profiles: how often a solver is within a factor of the best.

use super::{Plot, Scale, Series};

/// The share of problems on which each solver's cost is at most tau times the least cost, as a function of tau (Dolan and More
/// 2002). `costs[s][p]` is the positive cost of solver s on problem p; what isn't finite or positive counts as a failure.
/// Problems that no solver solved count in the share, so that curves may end below one.
///
/// ```
/// use gradus::report::profile::performance_profile;
/// let costs = [vec![1.0, 2.0, f64::INFINITY], vec![2.0, 1.0, 5.0]];
/// let plot = performance_profile(&["first", "second"], &costs, "iterations");
/// // the first is best on one of three problems, and within a factor of two on two
/// assert_eq!(plot.series[0].points[1], (1.0, 1.0 / 3.0));
/// assert_eq!(plot.series[0].points.last(), Some(&(2.2, 2.0 / 3.0)));
/// ```
pub fn performance_profile(names: &[&str], costs: &[Vec<f64>], what: &str) -> Plot {
    let problems = costs.iter().map(Vec::len).max().unwrap_or(0);
    let valid = |cost: f64| cost > 0.0 && cost.is_finite();
    let best = |p: usize| {
        let costs = costs.iter().filter_map(|solver| solver.get(p).copied().filter(|&cost| valid(cost)));
        costs.fold(f64::INFINITY, f64::min)
    };
    let best: Vec<f64> = (0..problems).map(best).collect();
    let ratios = |solver: &Vec<f64>| {
        let solved = solver.iter().zip(&best).filter(|(cost, _)| valid(**cost));
        let mut ratios: Vec<f64> = solved.map(|(cost, best)| cost / best).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    };
    let ratios: Vec<Vec<f64>> = costs.iter().map(ratios).collect();
    let end = 1.1 * ratios.iter().flatten().copied().fold(1.0, f64::max);
    let series = names
        .iter()
        .zip(&ratios)
        .map(|(name, ratios)| Series { name: (*name).into(), points: staircase(ratios, problems, end) });
    Plot {
        x_label: format!("{what}, times the least (tau)"),
        y_label: "share of problems".into(),
        x_scale: Scale::Log,
        series: series.collect(),
        width: 480,
        height: 320,
        ..Plot::default()
    }
}

/// The corners of the step function from tau = 1 to `end`.
fn staircase(ratios: &[f64], problems: usize, end: f64) -> Vec<(f64, f64)> {
    let share = |count: usize| count as f64 / problems.max(1) as f64;
    let mut points = vec![(1.0, 0.0)];
    for (k, &ratio) in ratios.iter().enumerate() {
        let next = ratios.get(k + 1).is_some_and(|&next| next == ratio);
        if !next {
            let before = points.last().map_or(0.0, |point| point.1);
            points.push((ratio, before));
            points.push((ratio, share(k + 1)));
        }
    }
    // a jump at tau = 1 needs one corner only
    points.dedup();
    let last = points.last().map_or(0.0, |point| point.1);
    points.push((end, last));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_and_failures_never_count() {
        let costs = [
            vec![1.0, 3.0, 0.0, 10.0, f64::NAN],
            vec![2.0, 1.0, 4.0, f64::INFINITY, f64::NAN],
            vec![-1.0; 5],
        ];
        let plot = performance_profile(&["a", "b", "c"], &costs, "seconds");
        let last = |s: usize| plot.series[s].points.last().copied().unwrap_or_default().1;
        assert_eq!((last(0), last(1), last(2)), (0.6, 0.6, 0.0));
        for series in &plot.series {
            assert!(series.points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
        }
        // b is best twice and two times slower once
        let at_one = plot.series[1].points.iter().filter(|p| p.0 == 1.0).map(|p| p.1).fold(0.0, f64::max);
        assert_eq!(at_one, 0.4);
        assert!(plot.svg().is_ok());
    }
}
