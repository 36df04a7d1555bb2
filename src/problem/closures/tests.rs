use super::*;
use crate::problem::check_derivatives;

/// f = sum of x_i^4 + x_0 x_{n-1}, rows x_i x_{i+1} = 1.
fn chain(n: usize, exact: bool) -> Closures<'static> {
    let jacobian: Vec<_> = (0..n - 1).flat_map(|i| [(i, i + 1), (i, i)]).collect();
    let mut second: Vec<_> = (0..n).map(|i| (i, i)).collect();
    // one entry of the upper triangle, and one listed twice
    second.extend([(0, n - 1), (0, n - 1)]);
    second.extend((0..n - 1).map(|i| (i + 1, i)));
    let problem = Closures::new((0..n).map(|i| 1.0 + 0.1 * i as f64).collect())
        .objective(
            move |x| x.iter().map(|x| x.powi(4)).sum::<f64>() + x[0] * x[n - 1],
            move |x, g| {
                g.iter_mut().zip(x).for_each(|(g, x)| *g = 4.0 * x.powi(3));
                g[0] += x[n - 1];
                g[n - 1] += x[0];
            },
        )
        .equations(
            n - 1,
            &jacobian,
            move |x, c| (0..n - 1).for_each(|i| c[i] = x[i] * x[i + 1] - 1.0),
            move |x, j| (0..n - 1).for_each(|i| (j[2 * i], j[2 * i + 1]) = (x[i], x[i + 1])),
        );
    if !exact {
        return problem.hessian_positions(&second).build().unwrap();
    }
    let hessian = move |x: &[f64], sigma: f64, y: &[f64], w: &mut [f64]| {
        (0..n).for_each(|i| w[i] = 12.0 * sigma * x[i] * x[i]);
        (w[n], w[n + 1]) = (0.25 * sigma, 0.75 * sigma);
        w[n + 2..].copy_from_slice(y);
    };
    problem.hessian(&second, hessian).build().unwrap()
}

#[test]
fn listed_values_land_in_their_places() {
    for n in [3, 12] {
        let (exact, approximate) = (chain(n, true), chain(n, false));
        let y: Vec<f64> = (0..n - 1).map(|i| (i as f64).cos()).collect();
        let check = check_derivatives(&exact, exact.start(), &y, 1e-3);
        assert!(check.worst() < 1e-9, "{check:?}");
        assert!(approximate.has_difference_hessian() && !exact.has_difference_hessian());
        // a ring needs few colours, whatever its length
        assert!(approximate.colours.len() <= 5, "{}", approximate.colours.len());
        let values = |problem: &Closures| {
            let mut values = vec![f64::NAN; problem.second.pattern.nnz()];
            problem.hessian(problem.start(), 0.7, &y, &mut values, &mut problem.workspace());
            values
        };
        for (a, b) in values(&exact).iter().zip(values(&approximate)) {
            assert!((a - b).abs() < 1e-8 * (1.0 + a.abs()), "{a} {b}");
        }
    }
}

#[test]
fn a_hessian_that_is_too_large_lives_in_products_alone() {
    let n = 300;
    let problem = Closures::new(vec![0.5; n])
        .objective(
            |x| x.iter().map(|x| x.powi(4)).sum::<f64>() + x.iter().sum::<f64>().powi(2),
            |x, g| {
                let sum: f64 = x.iter().sum();
                g.iter_mut().zip(x).for_each(|(g, x)| *g = 4.0 * x.powi(3) + 2.0 * sum);
            },
        )
        .build()
        .unwrap();
    assert!(problem.hessian_pattern().is_none() && problem.has_difference_hessian());
    let d: Vec<f64> = (0..n).map(|k| (k as f64).sin()).collect();
    let (mut product, sum) = (vec![0.0; n], d.iter().sum::<f64>());
    problem.hessian_product(problem.start(), 1.0, &[], &d, &mut product, &mut problem.workspace());
    for (product, d) in product.iter().zip(&d) {
        assert!((product - (3.0 * d + 2.0 * sum)).abs() < 1e-5, "{product}");
    }
    // a pattern with few entries a row is stored, whatever its size
    let positions: Vec<_> = (0..n).map(|k| (k, k)).collect();
    let sparse = Closures::new(vec![0.5; n])
        .objective(|x| x[0], |_, g| g.fill(0.0))
        .hessian_positions(&positions)
        .build()
        .unwrap();
    assert!(sparse.hessian_pattern().is_some());
}

#[test]
fn bad_parts_are_named() {
    assert_eq!(Closures::new(vec![1.0]).build().err(), Some(ClosuresError::Empty));
    let outside = Closures::new(vec![1.0]).equations(1, &[(0, 1)], |_, _| {}, |_, _| {}).build().err();
    assert_eq!(
        outside.map(|e| e.to_string()).as_deref(),
        Some("position (0, 1) lies outside the 1 x 1 Jacobian")
    );
    let short =
        Closures::new(vec![1.0]).constraints(vec![0.0], vec![], &[], |_, _| {}, |_, _| {}).build().err();
    assert!(matches!(short, Some(ClosuresError::Length { expected: 1, actual: 0, .. })));
}
