//! Krylov methods and preconditioners against dense solves and against their own promises.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};
use gradus::linalg::krylov::*;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

/// The five-point Laplacian on an m x m grid plus `shift` I.
fn grid(m: usize, shift: f64) -> CsMatI<f64, u32> {
    let mut t = TriMatI::<f64, u32>::new((m * m, m * m));
    for k in 0..m * m {
        t.add_triplet(k, k, 4.0 + shift);
        for other in
            [(k % m + 1 < m).then_some(k + 1), (k + m < m * m).then_some(k + m)].into_iter().flatten()
        {
            t.add_triplet(k, other, -1.0);
            t.add_triplet(other, k, -1.0);
        }
    }
    t.to_csr()
}

fn random(n: usize, p: f64, symmetric: bool, shift: f64, seed: u64) -> CsMatI<f64, u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut t = TriMatI::<f64, u32>::new((n, n));
    for i in 0..n {
        t.add_triplet(i, i, shift + rng.random_range(-1.0..1.0));
        for j in 0..i {
            for _ in 0..if symmetric { 1 } else { 2 } {
                if rng.random_bool(p) {
                    let value = rng.random_range(-1.0..1.0);
                    t.add_triplet(i, j, value);
                    if symmetric || rng.random_bool(0.5) {
                        t.add_triplet(j, i, value);
                    }
                }
            }
        }
    }
    t.to_csr()
}

fn dense(a: &CsMatI<f64, u32>) -> Mat<f64> {
    let mut d = Mat::zeros(a.rows(), a.cols());
    a.iter().for_each(|(&v, (i, j))| d[(i as usize, j as usize)] += v);
    d
}

/// The matrix of an operator, column after column.
fn matrix_of(a: &dyn LinearOperator) -> Mat<f64> {
    let n = a.dimension();
    let mut m = Mat::zeros(n, n);
    for j in 0..n {
        let mut e = vec![0.0; n];
        e[j] = 1.0;
        let mut y = vec![f64::NAN; n];
        a.apply(&e, &mut y);
        (0..n).for_each(|i| m[(i, j)] = y[i]);
    }
    m
}

fn vector(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn true_residual(a: &CsMatI<f64, u32>, b: &[f64], x: &[f64]) -> f64 {
    let mut r = b.to_vec();
    a.iter().for_each(|(&v, (i, j))| r[i as usize] -= v * x[j as usize]);
    norm(&r)
}

fn tight() -> Stopping {
    Stopping { tolerance: 1e-12, ..Stopping::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_methods_agree_with_a_dense_solve(n in 1usize..40, seed in 0u64..1000, warm in any::<bool>()) {
        let a = random(n, 0.2, true, 0.2 * n as f64 + 3.0, seed);
        let b = vector(n, seed + 1);
        let x0 = if warm { vector(n, seed + 2) } else { vec![0.0; n] };
        let exact = dense(&a).partial_piv_lu().solve(MatRef::from_column_major_slice(&b, n, 1));
        let (jacobi, ssor, cholesky) =
            (Jacobi::of(a.view()).unwrap(), Ssor::new(a.view(), 1.3).unwrap(), IncompleteCholesky::new(a.view()).unwrap());
        let mut workspace = Workspace::new();
        for m in [&Identity(n) as &dyn LinearOperator, &jacobi, &ssor, &cholesky] {
            for method in 0..3 {
                let mut x = x0.clone();
                let w = &mut workspace;
                let outcome = match method {
                    0 => conjugate_gradient(&a, m, &b, &mut x, &tight(), w, None),
                    1 => minres(&a, m, &b, &mut x, &tight(), w, None),
                    _ => gmres(&a, m, &b, &mut x, 10, &tight(), w, None),
                }.unwrap();
                prop_assert_eq!(outcome.status, Status::Converged);
                prop_assert!((outcome.residual - true_residual(&a, &b, &x)).abs() <= 1e-13 * norm(&b));
                prop_assert!(true_residual(&a, &b, &x) <= 1.01e-12 * norm(&b) + 1e-15);
                for i in 0..n { prop_assert!((x[i] - exact[(i, 0)]).abs() <= 1e-10); }
            }
        }
    }

    #[test]
    fn minres_solves_indefinite_systems(n in 2usize..40, seed in 0u64..1000, preconditioned in any::<bool>()) {
        let a = random(n, 0.3, true, 0.0, seed);
        let b = vector(n, seed + 1);
        let values = dense(&a).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        prop_assume!(values.iter().all(|v| v.abs() > 0.02));
        let weights: Vec<f64> = vector(n, seed + 2).iter().map(|v| 1.5 + v).collect();
        let jacobi = Jacobi::new(&weights).unwrap();
        let m: &dyn LinearOperator = if preconditioned { &jacobi } else { &Identity(n) };
        let mut x = vec![0.0; n];
        let stopping = Stopping { tolerance: 1e-10, ..Stopping::default() };
        let outcome = minres(&a, m, &b, &mut x, &stopping, &mut Workspace::new(), None).unwrap();
        prop_assert_eq!(outcome.status, Status::Converged);
        prop_assert!(true_residual(&a, &b, &x) <= 1.01e-10 * norm(&b));
        prop_assert!(outcome.iterations <= 6 * n, "{}", outcome.iterations);
    }

    #[test]
    fn unrestarted_gmres_ends_within_n_steps(n in 1usize..30, seed in 0u64..1000) {
        let a = random(n, 0.3, false, 2.0, seed);
        let b = vector(n, seed + 1);
        let smallest = dense(&a).singular_values().unwrap().last().copied().unwrap();
        prop_assume!(smallest > 0.05);
        let mut x = vec![0.0; n];
        let stopping = Stopping { tolerance: 1e-10, ..Stopping::default() };
        let jacobi = Jacobi::new(&vec![0.5; n]).unwrap();
        let mut estimates = Vec::new();
        let mut watch = |p: &Progress| { estimates.push(p.relative_residual); ControlFlow::Continue(()) };
        let outcome = gmres(&a, &jacobi, &b, &mut x, n, &stopping, &mut Workspace::new(), Some(&mut watch)).unwrap();
        prop_assert_eq!(outcome.status, Status::Converged);
        prop_assert!(outcome.iterations <= n);
        prop_assert!(estimates.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)));
        prop_assert!((estimates.last().unwrap() - outcome.relative_residual).abs() <= 1e-11);
    }

    #[test]
    fn minres_minimises_over_the_krylov_space(n in 6usize..20, k in 1usize..5, seed in 0u64..500) {
        // dense least squares over the basis b, A b, ..., A^(k-1) b
        let a = random(n, 0.4, true, 0.0, seed);
        let b = vector(n, seed + 1);
        let mut basis = Mat::zeros(n, k);
        let mut v = b.clone();
        for j in 0..k {
            let mut next = vec![0.0; n];
            a.apply(&v, &mut next);
            let scale = norm(&next).max(1e-300);
            (0..n).for_each(|i| basis[(i, j)] = next[i] / scale);
            v = next.iter().map(|v| v / scale).collect();
        }
        let qr = gradus::linalg::factor::DenseQr::factor(basis.as_ref()).unwrap();
        prop_assume!(qr.zero_pivots() == 0);
        let y = qr.solve_least_squares(&b).unwrap();
        let least = norm(&(0..n).map(|i| b[i] - (0..k).map(|j| basis[(i, j)] * y[j]).sum::<f64>()).collect::<Vec<_>>());
        let stopping = Stopping { tolerance: 0.0, absolute: 0.0, max_iterations: k };
        for method in 0..2 {
            let mut x = vec![0.0; n];
            let outcome = if method == 0 {
                minres(&a, &Identity(n), &b, &mut x, &stopping, &mut Workspace::new(), None)
            } else {
                gmres(&a, &Identity(n), &b, &mut x, n, &stopping, &mut Workspace::new(), None)
            }.unwrap();
            prop_assert_eq!((outcome.status, outcome.iterations), (Status::IterationLimit, k));
            prop_assert!((outcome.residual - least).abs() <= 1e-9 * norm(&b), "{} {}", outcome.residual, least);
        }
    }

    #[test]
    fn preconditioners_are_their_formulas(n in 1usize..25, omega in 0.1f64..1.9, seed in 0u64..1000) {
        let a = random(n, 0.3, true, 6.0, seed);
        let full = dense(&a);
        let d = Mat::from_fn(n, n, |i, j| if i == j { full[(i, i)] } else { 0.0 });
        let lower = Mat::from_fn(n, n, |i, j| if i > j { full[(i, j)] } else { 0.0 });
        let inverse_d = Mat::from_fn(n, n, |i, j| if i == j { 1.0 / full[(i, i)] } else { 0.0 });
        let left = &d + omega * &lower;
        let m = &left * &inverse_d * left.transpose() * (1.0 / (omega * (2.0 - omega)));
        let identity = Mat::<f64>::identity(n, n);
        let by_rows = Ssor::new(a.view(), omega).unwrap();
        prop_assert!((matrix_of(&by_rows) * &m - &identity).norm_max() <= 1e-11);
        let columns = a.to_csc();
        prop_assert!((matrix_of(&Ssor::new(columns.view(), omega).unwrap()) * &m - &identity).norm_max() <= 1e-11);
        prop_assert!((matrix_of(&Jacobi::of(a.view()).unwrap()) * &d - &identity).norm_max() <= 1e-14);
        // IC(0) agrees with A on the pattern of A
        let cholesky = IncompleteCholesky::new(a.view()).unwrap();
        let inverse = matrix_of(&cholesky);
        let product = inverse.partial_piv_lu().solve(&identity);
        for (&value, (i, j)) in a.iter() {
            let (i, j) = (i as usize, j as usize);
            let expected = if i == j { value * (1.0 + cholesky.shift()) } else { value };
            prop_assert!((product[(i, j)] - expected).abs() <= 1e-9, "{} {}", product[(i, j)], expected);
        }
        prop_assert!((matrix_of(&columns) - &full).norm_max() == 0.0);
    }
}

#[test]
fn incomplete_cholesky_of_a_full_pattern_is_exact_and_a_shift_rescues() {
    let n = 12;
    let a = random(n, 1.0, true, 14.0, 5);
    let cholesky = IncompleteCholesky::new(a.view()).unwrap();
    assert_eq!(cholesky.shift(), 0.0);
    assert!((matrix_of(&cholesky) * dense(&a) - Mat::<f64>::identity(n, n)).norm_max() < 1e-13);
    // positive definite, yet IC(0) breaks down on it (Kershaw 1978)
    let mut t = TriMatI::<f64, u32>::new((4, 4));
    let kershaw =
        [[3.0, -2.0, 0.0, 2.0], [-2.0, 3.0, -2.0, 0.0], [0.0, -2.0, 3.0, -2.0], [2.0, 0.0, -2.0, 3.0]];
    for (i, row) in kershaw.iter().enumerate() {
        for (j, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            t.add_triplet(i, j, v);
        }
    }
    let a: CsMatI<f64, u32> = t.to_csr();
    let cholesky = IncompleteCholesky::new(a.view()).unwrap();
    assert!(cholesky.shift() > 0.0);
    let mut x = vec![0.0; 4];
    let outcome = conjugate_gradient(
        &a,
        &cholesky,
        &[1.0, 2.0, 3.0, 4.0],
        &mut x,
        &tight(),
        &mut Workspace::new(),
        None,
    );
    assert_eq!(outcome.unwrap().status, Status::Converged);
    // no shift helps here
    let mut t = TriMatI::<f64, u32>::new((2, 2));
    [(0, 0, 1e-200), (1, 1, 1e-200), (0, 1, 1e200), (1, 0, 1e200)]
        .iter()
        .for_each(|&(i, j, v)| t.add_triplet(i, j, v));
    let hopeless: CsMatI<f64, u32> = t.to_csr();
    assert!(matches!(IncompleteCholesky::new(hopeless.view()), Err(KrylovError::Shift { .. })));
}

#[test]
fn better_preconditioners_need_fewer_iterations() {
    let a = grid(64, 0.0);
    let b = vector(64 * 64, 1);
    let count = |m: &dyn LinearOperator| {
        let mut x = vec![0.0; b.len()];
        let stopping = Stopping::default();
        let outcome = conjugate_gradient(&a, m, &b, &mut x, &stopping, &mut Workspace::new(), None).unwrap();
        assert_eq!(outcome.status, Status::Converged);
        outcome.iterations
    };
    let plain = count(&Identity(b.len()));
    let ssor = count(&Ssor::new(a.view(), 1.5).unwrap());
    let cholesky = count(&IncompleteCholesky::new(a.view()).unwrap());
    assert!(2 * ssor < plain && 2 * cholesky < plain, "{plain} {ssor} {cholesky}");
}

#[test]
fn lanczos_coefficients_carry_the_spectrum() {
    let n = 12;
    let a = random(n, 0.5, true, 8.0, 9);
    let jacobi = Jacobi::of(a.view()).unwrap();
    let full = dense(&a);
    let scaled = Mat::from_fn(n, n, |i, j| full[(i, j)] / (full[(i, i)] * full[(j, j)]).sqrt());
    let expected = scaled.self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
    for method in 0..2 {
        let (mut diagonal, mut below) = (Vec::new(), Vec::new());
        let mut watch = |p: &Progress| {
            let (t, s) = p.lanczos.unwrap();
            diagonal.push(t);
            below.push(s);
            ControlFlow::Continue(())
        };
        let (b, mut x) = (vector(n, 3), vec![0.0; n]);
        let stopping = Stopping { tolerance: 1e-13, absolute: 0.0, max_iterations: n };
        let w = &mut Workspace::new();
        if method == 0 {
            conjugate_gradient(&a, &jacobi, &b, &mut x, &stopping, w, Some(&mut watch)).unwrap();
        } else {
            minres(&a, &jacobi, &b, &mut x, &stopping, w, Some(&mut watch)).unwrap();
        }
        let k = diagonal.len();
        let t = Mat::from_fn(k, k, |i, j| match i.abs_diff(j) {
            0 => diagonal[i],
            1 => below[i.min(j)],
            _ => 0.0,
        });
        let found = t.self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        assert!((found[0] - expected[0]).abs() < 1e-8, "{method} {} {}", found[0], expected[0]);
        assert!((found[k - 1] - expected[n - 1]).abs() < 1e-8);
    }
}

#[test]
fn trouble_has_a_name() {
    let mut w = Workspace::new();
    let negative = FromFn::new(3, |x: &[f64], y: &mut [f64]| y.iter_mut().zip(x).for_each(|(y, x)| *y = -x));
    let (b, stopping) = ([1.0, 2.0, 3.0], Stopping::default());
    let mut x = [0.0; 3];
    let cg = conjugate_gradient(&negative, &Identity(3), &b, &mut x, &stopping, &mut w, None).unwrap();
    assert_eq!((cg.status, cg.iterations, cg.relative_residual), (Status::Indefinite, 0, 1.0));
    for bad in [conjugate_gradient, minres] {
        let outcome = bad(&Identity(3), &negative, &b, &mut [0.0; 3], &stopping, &mut w, None).unwrap();
        assert_eq!(outcome.status, Status::Indefinite);
    }
    let nan = FromFn::new(3, |_: &[f64], y: &mut [f64]| y.fill(f64::NAN));
    for outcome in [
        conjugate_gradient(&nan, &Identity(3), &b, &mut [0.0; 3], &stopping, &mut w, None),
        minres(&nan, &Identity(3), &b, &mut [0.0; 3], &stopping, &mut w, None),
        gmres(&nan, &Identity(3), &b, &mut [0.0; 3], 3, &stopping, &mut w, None),
    ] {
        assert_eq!(outcome.unwrap().status, Status::NotFinite);
    }
    // inconsistent: the last row is zero. The residual can't fall below |b_3|
    let singular = FromFn::new(3, |x: &[f64], y: &mut [f64]| y.copy_from_slice(&[2.0 * x[0], -x[1], 0.0]));
    let mut x = [0.0; 3];
    let outcome = minres(&singular, &Identity(3), &b, &mut x, &stopping, &mut w, None).unwrap();
    assert_eq!(outcome.status, Status::Stagnated);
    assert!(
        (outcome.residual - 3.0).abs() < 1e-12 && (x[0] - 0.5).abs() < 1e-12 && (x[1] + 2.0).abs() < 1e-12
    );
    let mut x = [0.0; 3];
    let outcome = gmres(&singular, &Identity(3), &b, &mut x, 3, &stopping, &mut w, None).unwrap();
    assert_eq!(outcome.status, Status::Stagnated);
    assert!((outcome.residual - 3.0).abs() < 1e-12, "{outcome:?}");
    // consistent and singular
    for outcome in [
        conjugate_gradient(
            &FromFn::new(2, |x: &[f64], y: &mut [f64]| y.copy_from_slice(&[x[0], 0.0])),
            &Identity(2),
            &[1.0, 0.0],
            &mut [0.0; 2],
            &stopping,
            &mut w,
            None,
        ),
        minres(&singular, &Identity(3), &[1.0, 2.0, 0.0], &mut [0.0; 3], &stopping, &mut w, None),
        gmres(&singular, &Identity(3), &[1.0, 2.0, 0.0], &mut [0.0; 3], 5, &stopping, &mut w, None),
    ] {
        assert_eq!(outcome.unwrap().status, Status::Converged);
    }
    // b at right angles to A b: no progress, but it is the limit that ends it
    let turn = FromFn::new(2, |x: &[f64], y: &mut [f64]| y.copy_from_slice(&[-x[1], x[0]]));
    let one = Stopping { max_iterations: 1, ..stopping };
    let outcome = gmres(&turn, &Identity(2), &[1.0, 0.0], &mut [0.0; 2], 2, &one, &mut w, None).unwrap();
    assert_eq!((outcome.status, outcome.iterations), (Status::IterationLimit, 1));
    // a shift of coordinates: GMRES gains nothing before the last step, and says so when restarted
    let cycle = FromFn::new(6, |x: &[f64], y: &mut [f64]| (0..6).for_each(|i| y[i] = x[(i + 5) % 6]));
    let e = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let outcome = gmres(&cycle, &Identity(6), &e, &mut [0.0; 6], 5, &stopping, &mut w, None).unwrap();
    assert_eq!(outcome.status, Status::Stagnated);
    let outcome = gmres(&cycle, &Identity(6), &e, &mut [0.0; 6], 6, &stopping, &mut w, None).unwrap();
    assert_eq!((outcome.status, outcome.iterations), (Status::Converged, 6));
}

#[test]
fn edges_and_bad_input() {
    let mut w = Workspace::new();
    let stopping = Stopping::default();
    // b = 0 and n = 0 are solved at once, and a NaN from memory left over can't get in
    for n in [0, 3] {
        let zeros = vec![0.0; n];
        for outcome in [
            conjugate_gradient(
                &Identity(n),
                &Identity(n),
                &zeros,
                &mut vec![0.0; n],
                &stopping,
                &mut w,
                None,
            ),
            minres(&Identity(n), &Identity(n), &zeros, &mut vec![0.0; n], &stopping, &mut w, None),
            gmres(&Identity(n), &Identity(n), &zeros, &mut vec![0.0; n], 4, &stopping, &mut w, None),
        ] {
            let outcome = outcome.unwrap();
            assert_eq!(
                (outcome.status, outcome.iterations, outcome.relative_residual),
                (Status::Converged, 0, 0.0)
            );
        }
    }
    let mut stop = |_: &Progress| ControlFlow::Break(());
    let a = grid(5, 0.0);
    let outcome =
        minres(&a, &Identity(25), &vector(25, 1), &mut [0.0; 25], &stopping, &mut w, Some(&mut stop));
    assert_eq!(outcome.map(|o| (o.status, o.iterations)), Ok((Status::Stopped, 1)));
    let error = minres(&a, &Identity(24), &[0.0; 25], &mut [0.0; 25], &stopping, &mut w, None).unwrap_err();
    assert!(matches!(error, KrylovError::Dimension { expected: 25, actual: 24, .. }));
    let error =
        gmres(&Identity(1), &Identity(1), &[f64::NAN], &mut [0.0], 1, &stopping, &mut w, None).unwrap_err();
    assert!(matches!(error, KrylovError::NonFinite { index: 0, .. }));
    let wide = CsMatI::<f64, u32>::zero((2, 3));
    let error = minres(&wide, &Identity(2), &[0.0; 2], &mut [0.0; 2], &stopping, &mut w, None).unwrap_err();
    assert!(matches!(error, KrylovError::Dimension { expected: 2, actual: 3, .. }));
    assert!(gmres(&Identity(1), &Identity(1), &[1.0], &mut [0.0], 0, &stopping, &mut w, None).is_err());
    assert!(matches!(Ssor::new(a.view(), 2.0), Err(KrylovError::Option { name: "omega", .. })));
    assert_eq!(Jacobi::new(&[1.0, -1.0]).unwrap_err(), KrylovError::Diagonal { row: 1, value: -1.0 });
    assert!(matches!(
        IncompleteCholesky::new(CsMatI::<f64, u32>::zero((2, 2)).view()),
        Err(KrylovError::Diagonal { row: 0, .. })
    ));
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let a = grid(300, 0.1);
    let b = vector(a.rows(), 4);
    let run = || {
        let mut bits = Vec::new();
        let jacobi = Jacobi::of(a.view()).unwrap();
        let stopping = Stopping { max_iterations: 15, ..Stopping::default() };
        let mut w = Workspace::new();
        for method in [conjugate_gradient, minres] {
            let mut x = vec![0.0; b.len()];
            method(&a, &jacobi, &b, &mut x, &stopping, &mut w, None).unwrap();
            bits.extend(x.iter().map(|v| v.to_bits()));
        }
        let mut x = vec![0.0; b.len()];
        gmres(&a, &jacobi, &b, &mut x, 8, &stopping, &mut w, None).unwrap();
        bits.extend(x.iter().map(|v| v.to_bits()));
        bits
    };
    let runs: Vec<_> = [1, 2, 3, 7]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run))
        .into();
    assert!(runs.iter().all(|bits| *bits == runs[0]));
}
