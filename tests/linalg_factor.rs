//! Factorisations against slow obvious references.
#![allow(clippy::unwrap_used)]

use faer::{Mat, MatRef};
use gradus::linalg::factor::{
    DenseCholesky, DenseIndefinite, DenseQr, FactorError, Inertia, SparseCholesky, SparseIndefinite,
    SparseLdl,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

/// Cholesky by the textbook: column-major n x n, L in the lower triangle.
fn reference_cholesky(n: usize, a: &[f64]) -> Vec<f64> {
    let mut l = vec![0.0; n * n];
    for j in 0..n {
        for i in j..n {
            let sum: f64 = (0..j).map(|k| l[k * n + i] * l[k * n + j]).sum();
            l[j * n + i] =
                if i == j { (a[j * n + j] - sum).sqrt() } else { (a[j * n + i] - sum) / l[j * n + j] };
        }
    }
    l
}

/// G G' + shift I with G uniform: positive definite.
fn positive_definite(n: usize, shift: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let g: Vec<f64> = (0..n * n).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut a = vec![0.0; n * n];
    for j in 0..n {
        for i in 0..n {
            a[j * n + i] = (0..n).map(|k| g[k * n + i] * g[k * n + j]).sum::<f64>();
        }
        a[j * n + j] += shift;
    }
    a
}

fn multiply(n: usize, a: &[f64], x: &[f64]) -> Vec<f64> {
    (0..n).map(|i| (0..n).map(|j| a[j * n + i] * x[j]).sum()).collect()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, v| if v.is_nan() { f64::NAN } else { f64::max(m, v.abs()) })
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    largest(&x.iter().zip(y).map(|(a, b)| a - b).collect::<Vec<_>>())
}

fn sparse(n: usize, dense: &[f64], by_columns: bool) -> CsMatI<f64, u32> {
    let mut t = TriMatI::<f64, u32>::new((n, n));
    for j in 0..n {
        for i in 0..n {
            if dense[j * n + i] != 0.0 {
                t.add_triplet(i, j, dense[j * n + i]);
            }
        }
    }
    if by_columns { t.to_csc() } else { t.to_csr() }
}

/// Symmetric, density p off the diagonal, column-major.
fn symmetric(n: usize, p: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut a = vec![0.0; n * n];
    for j in 0..n {
        for i in j..n {
            if rng.random_bool(p) {
                a[j * n + i] = rng.random_range(-1.0..1.0);
                a[i * n + j] = a[j * n + i];
            }
        }
    }
    a
}

/// Signs of the eigenvalues, by faer's eigenvalue solver.
fn inertia_by_eigenvalues(n: usize, a: &[f64]) -> (Inertia, f64) {
    let values =
        MatRef::from_column_major_slice(a, n, n).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
    let scale = largest(&values).max(f64::MIN_POSITIVE);
    let tiny = 1e-12 * scale;
    let count = |test: &dyn Fn(f64) -> bool| values.iter().filter(|&&v| test(v)).count();
    let inertia = Inertia {
        positive: count(&|v| v > tiny),
        negative: count(&|v| v < -tiny),
        zero: count(&|v| v.abs() <= tiny),
    };
    (inertia, values.iter().fold(f64::INFINITY, |m, v| f64::min(m, v.abs())) / scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn dense_cholesky_agrees_with_the_textbook(n in prop_oneof![8 => 0usize..90, 1 => 250usize..400], seed in 0u64..1000) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let a = positive_definite(n, 1.0, &mut rng);
        let mut cholesky = DenseCholesky::new();
        // another size before: the storage is dirty
        cholesky.factor(3, &positive_definite(3, 1.0, &mut rng)).unwrap();
        let mut lower = a.clone();
        for j in 0..n { for i in 0..j { lower[j * n + i] = f64::NAN; } }
        cholesky.factor(n, &lower).unwrap();
        let l = reference_cholesky(n, &a);
        for j in 0..n {
            prop_assert!(distance(cholesky.column(j).unwrap(), &l[j * n + j..(j + 1) * n]) <= 1e-12 * largest(&l));
        }
        let x: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut b = multiply(n, &a, &x);
        let scale = largest(&b);
        cholesky.solve_in_place(&mut b).unwrap();
        prop_assert!(distance(&multiply(n, &a, &b), &multiply(n, &a, &x)) <= 1e-12 * scale.max(1.0));
    }

    #[test]
    fn the_pivot_that_fails_is_named(n in 1usize..40, at in 0usize..40, seed in 0u64..1000) {
        let at = at % n;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut a = positive_definite(n, 1.0, &mut rng);
        // pivot `at` is a_at,at less the sum of squares before it: make it -1
        let l = reference_cholesky(n, &a);
        a[at * n + at] -= l[at * n + at].powi(2) + 1.0;
        let mut cholesky = DenseCholesky::new();
        prop_assert_eq!(cholesky.factor(n, &a), Err(FactorError::NotPositiveDefinite { pivot: at }));
        prop_assert_eq!(cholesky.solve_in_place(&mut vec![0.0; n]), Err(FactorError::NotFactored));
    }

    #[test]
    fn an_entry_that_is_not_finite_is_named(n in 1usize..30, i in 0usize..30, j in 0usize..30, nan in any::<bool>()) {
        let (i, j) = ((i % n).max(j % n), (i % n).min(j % n));
        let mut a = positive_definite(n, 1.0, &mut ChaCha8Rng::seed_from_u64(1));
        a[j * n + i] = if nan { f64::NAN } else { f64::INFINITY };
        a[i * n + j] = a[j * n + i];
        let named = |e: FactorError| matches!(e, FactorError::NonFinite { row, column, .. } if (row, column) == (i, j));
        prop_assert!(named(DenseCholesky::new().factor(n, &a).unwrap_err()));
        prop_assert!(named(DenseIndefinite::new().factor(n, &a).unwrap_err()));
        let any_triangle = |e: FactorError| matches!(e, FactorError::NonFinite { row, column, .. } if row.max(column) == i && row.min(column) == j);
        prop_assert!(any_triangle(SparseCholesky::new().factor(sparse(n, &a, true).view()).unwrap_err()));
        prop_assert!(any_triangle(SparseIndefinite::new().factor(sparse(n, &a, false).view()).unwrap_err()));
    }

    #[test]
    fn sparse_cholesky_solves_and_keeps_its_analysis(n in 1usize..60, p in 0.0f64..0.4, seed in 0u64..1000, by_columns in any::<bool>()) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut a = symmetric(n, p, &mut rng);
        for j in 0..n { a[j * n + j] = 1.0 + (0..n).map(|i| a[j * n + i].abs()).sum::<f64>(); }
        let mut cholesky = SparseCholesky::new();
        for scale in [1.0, 2.0] {
            let scaled: Vec<f64> = a.iter().map(|v| v * scale).collect();
            cholesky.factor(sparse(n, &scaled, by_columns).view()).unwrap();
            let x: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
            let mut b = multiply(n, &scaled, &x);
            cholesky.solve_in_place(&mut b).unwrap();
            prop_assert!(distance(&b, &x) <= 1e-12);
        }
        prop_assert_eq!(cholesky.analyses(), 1);
        // a new pattern is noticed
        let identity: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 2.0 } else { 0.0 }).collect();
        cholesky.factor(sparse(n, &identity, by_columns).view()).unwrap();
        let mut b = vec![1.0; n];
        cholesky.solve_in_place(&mut b).unwrap();
        prop_assert!(b.iter().all(|v| (v - 0.5).abs() < 1e-15));
    }

    #[test]
    fn inertia_agrees_with_the_eigenvalues(n in 1usize..40, p in 0.1f64..1.0, seed in 0u64..1000, by_columns in any::<bool>()) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let a = symmetric(n, p, &mut rng);
        let (expected, smallest) = inertia_by_eigenvalues(n, &a);
        prop_assume!(smallest > 1e-8);
        let x: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        let b = multiply(n, &a, &x);
        let mut dense = DenseIndefinite::new();
        prop_assert_eq!(dense.factor(n, &a).unwrap(), expected);
        let mut y = b.clone();
        dense.solve_in_place(&mut y).unwrap();
        prop_assert!(distance(&multiply(n, &a, &y), &b) <= 1e-12 * (n as f64 * largest(&y) + 1.0));
        let mut lower_only = a.clone();
        for j in 0..n { for i in 0..j { lower_only[j * n + i] = 0.0; } }
        let mut solver = SparseIndefinite::new();
        prop_assert_eq!(solver.factor(sparse(n, &lower_only, by_columns).view()).unwrap(), expected);
        let mut y = vec![0.0; n];
        let refined = solver.solve(&b, &mut y, 5).unwrap();
        prop_assert!(refined.backward_error <= 1e-15 * n as f64, "{:?}", refined);
        prop_assert!(distance(&multiply(n, &a, &y), &b) <= 1e-12 * (n as f64 * largest(&y) + 1.0));
    }

    #[test]
    fn kkt_inertia_counts_dependent_rows(n in 2usize..30, m in 1usize..10, copies in 0usize..3, seed in 0u64..500) {
        let m = m.min(n - 1);
        let copies = copies.min(m);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let size = n + m + copies;
        let mut a = vec![0.0; size * size];
        let h = positive_definite(n, 1.0, &mut rng);
        for j in 0..n { for i in 0..n { a[j * size + i] = h[j * n + i]; } }
        for r in 0..m + copies {
            for j in 0..n {
                let value = if r < m { rng.random_range(-1.0..1.0) } else { a[j * size + n + r - m] };
                a[j * size + n + r] = value;
                a[(n + r) * size + j] = value;
            }
        }
        let (expected, _) = inertia_by_eigenvalues(size, &a);
        prop_assume!(expected == Inertia { positive: n, negative: m, zero: copies });
        let mut dense = DenseIndefinite::new();
        prop_assert_eq!(dense.factor(size, &a).unwrap(), expected);
        let mut solver = SparseIndefinite::new();
        prop_assert_eq!(solver.factor(sparse(size, &a, true).view()).unwrap(), expected);
        let mut x = vec![0.0; size];
        let refused = Err(FactorError::Singular { zero: copies });
        if copies > 0 {
            prop_assert_eq!(solver.solve(&vec![1.0; size], &mut x, 3).map(|_| ()), refused.clone());
            prop_assert_eq!(dense.solve_in_place(&mut x), refused);
        }
    }

    #[test]
    fn qr_is_orthonormal_and_solves_least_squares(n in 0usize..25, extra in 0usize..40, seed in 0u64..1000) {
        let m = n + extra;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let a = Mat::from_fn(m, n, |_, _| rng.random_range(-1.0..1.0));
        let qr = DenseQr::factor(a.as_ref()).unwrap();
        let (q, r) = (qr.orthonormal_factor().unwrap(), qr.r());
        prop_assert!((q.transpose() * &q - Mat::<f64>::identity(n, n)).norm_max() <= 1e-13);
        prop_assert!((&q * &r - &a).norm_max() <= 1e-13);
        prop_assume!(n == 0 || (0..n).all(|j| r[(j, j)].abs() > 1e-3));
        let b: Vec<f64> = (0..m).map(|_| rng.random_range(-1.0..1.0)).collect();
        let x = qr.solve_least_squares(&b).unwrap();
        // the residual is orthogonal to the columns
        let residual: Vec<f64> = (0..m).map(|i| b[i] - (0..n).map(|j| a[(i, j)] * x[j]).sum::<f64>()).collect();
        for j in 0..n {
            let product: f64 = (0..m).map(|i| a[(i, j)] * residual[i]).sum();
            prop_assert!(product.abs() <= 1e-11 * (1.0 + largest(&x)), "{}", product);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn ldl_without_pivoting_factors_what_is_quasidefinite(
        n in 1usize..25, m in 0usize..15, seed in 0u64..1000, by_columns in any::<bool>(),
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let size = n + m;
        let mut ldl = SparseLdl::new();
        // a second pattern, then the same one with other values
        for (density, draws) in [(0.3, 1), (0.15, 2)] {
            let pattern = symmetric(size, density, &mut rng);
            for _ in 0..draws {
                let mut a: Vec<f64> = pattern.iter().map(|value| value * 0.7).collect();
                let scale = rng.random_range(1.0..2.0);
                for k in 0..size {
                    // dominant blocks on the diagonal are definite
                    let (lower, upper) = if k < n { (0, n) } else { (n, size) };
                    let sum: f64 = (lower..upper).filter(|&i| i != k).map(|i| a[k * size + i].abs()).sum();
                    a[k * size + k] = (sum + rng.random_range(0.1..1.0)) * if k < n { scale } else { -scale };
                }
                let (matrix, wanted) = (sparse(size, &a, by_columns), Inertia { positive: n, negative: m, zero: 0 });
                prop_assert_eq!(ldl.factor(matrix.view()), Ok(wanted));
                let b: Vec<f64> = (0..size).map(|_| rng.random_range(-1.0..1.0)).collect();
                let (mut x, mut y) = (vec![0.0; size], vec![0.0; size]);
                ldl.solve(&b, &mut x).unwrap();
                let mut pivoted = SparseIndefinite::new();
                pivoted.factor(matrix.view()).unwrap();
                pivoted.solve(&b, &mut y, 5).unwrap();
                prop_assert!(distance(&x, &y) <= 1e-9 * largest(&y).max(1.0), "{} {:?} {:?}", seed, x, y);
            }
        }
    }
}

#[test]
fn ldl_without_pivoting_of_a_band_fills_in_little_and_of_a_grid_more() {
    let n = 400;
    let mut band = TriMatI::<f64, u32>::new((n, n));
    let mut full = TriMatI::<f64, u32>::new((n, n));
    for j in 0..n {
        for i in j..n {
            full.add_triplet(i, j, if i == j { 500.0 } else { 1.0 });
            if i - j <= 2 {
                band.add_triplet(i, j, if i == j { 5.0 } else { 1.0 });
            }
        }
    }
    let mut ldl = SparseLdl::new();
    ldl.analyse(band.to_csr().view()).unwrap();
    assert!(ldl.suits() && ldl.factor_entries() <= 2 * n && ldl.flops() <= 8.0 * n as f64);
    ldl.analyse(full.to_csr().view()).unwrap();
    assert!(!ldl.suits());
    assert_eq!(ldl.factor_entries(), n * (n - 1) / 2);
    assert_eq!(ldl.factor(full.to_csr().view()), Ok(Inertia { positive: n, negative: 0, zero: 0 }));
}

#[test]
fn ldl_without_pivoting_refuses_zero_pivots_and_what_is_not_finite() {
    let mut ldl = SparseLdl::new();
    let mut x = vec![0.0; 2];
    assert_eq!(ldl.solve(&[1.0, 1.0], &mut x), Err(FactorError::NotFactored));
    let swap = sparse(2, &[0.0, 1.0, 1.0, 0.0], true);
    assert_eq!(ldl.factor(swap.view()), Err(FactorError::Singular { zero: 1 }));
    assert_eq!(ldl.solve(&[1.0, 1.0], &mut x), Err(FactorError::NotFactored));
    let bad = sparse(2, &[1.0, f64::NAN, f64::NAN, 1.0], true);
    assert!(matches!(ldl.factor(bad.view()), Err(FactorError::NonFinite { .. })));
    let fine = sparse(2, &[2.0, 1.0, 1.0, -3.0], true);
    assert_eq!(ldl.factor(fine.view()), Ok(Inertia { positive: 1, negative: 1, zero: 0 }));
    ldl.solve(&[3.0, -2.0], &mut x).unwrap();
    assert!(distance(&x, &[1.0, 1.0]) <= 1e-15);
    assert!(matches!(ldl.solve(&[1.0], &mut x), Err(FactorError::Dimension { .. })));
}

#[test]
fn sparse_cholesky_names_the_row_that_fails() {
    for n in [1, 7, 40] {
        for at in [0, n / 2, n - 1] {
            // an arrow: the bad row is its own, whatever the ordering
            let mut a = vec![0.0; n * n];
            for j in 0..n {
                a[j * n + j] = if j == at { -1.0 } else { 2.0 };
            }
            let outcome = SparseCholesky::new().factor(sparse(n, &a, true).view());
            assert_eq!(outcome, Err(FactorError::NotPositiveDefinite { pivot: at }), "n = {n}");
        }
    }
}

#[test]
fn the_row_that_fails_is_named_by_the_supernodal_method_too() {
    // a full block beside a row of its own, wherever the ordering puts that
    let n = 151;
    let block = positive_definite(n - 1, 1.0, &mut ChaCha8Rng::seed_from_u64(2));
    for at in [0, 70, n - 1] {
        let old = |i: usize| if i > at { i - 1 } else { i };
        let mut a = vec![0.0; n * n];
        for j in (0..n).filter(|&j| j != at) {
            for i in (0..n).filter(|&i| i != at) {
                a[j * n + i] = block[old(j) * (n - 1) + old(i)];
            }
        }
        a[at * n + at] = -1.0;
        let outcome = SparseCholesky::new().factor(sparse(n, &a, true).view());
        assert_eq!(outcome, Err(FactorError::NotPositiveDefinite { pivot: at }));
    }
    // inside the block any row may come first, so the pivot need not be the bad row; it is a row of the matrix all the same
    let mut a = block.clone();
    a[(n - 2) * (n - 1) + n - 2] = -1.0;
    let outcome = SparseCholesky::new().factor(sparse(n - 1, &a, true).view());
    assert!(matches!(outcome, Err(FactorError::NotPositiveDefinite { pivot }) if pivot < n - 1));
}

#[test]
fn badly_scaled_matrices_are_not_singular() {
    let a = [1e20, 0.0, 0.0, 0.0, -1e-20, 0.0, 0.0, 0.0, 1.0];
    let expected = Inertia { positive: 2, negative: 1, zero: 0 };
    assert_eq!(DenseIndefinite::new().factor(3, &a), Ok(expected));
    assert_eq!(SparseIndefinite::new().factor(sparse(3, &a, true).view()), Ok(expected));
}

#[test]
fn zero_and_empty_matrices() {
    let mut dense = DenseIndefinite::new();
    assert_eq!(dense.factor(2, &[0.0; 4]), Ok(Inertia { positive: 0, negative: 0, zero: 2 }));
    assert_eq!(dense.factor(0, &[]), Ok(Inertia::default()));
    assert_eq!(dense.solve_in_place(&mut []), Ok(()));
    let mut solver = SparseIndefinite::new();
    assert_eq!(
        solver.factor(sparse(2, &[0.0; 4], true).view()),
        Ok(Inertia { positive: 0, negative: 0, zero: 2 })
    );
    assert_eq!(solver.factor(sparse(0, &[], true).view()), Ok(Inertia::default()));
    assert!(solver.solve(&[], &mut [], 3).is_ok());
    assert_eq!(
        solver.factor(sparse(1, &[-2.0], false).view()),
        Ok(Inertia { positive: 0, negative: 1, zero: 0 })
    );
    let mut x = [0.0];
    solver.solve(&[3.0], &mut x, 3).unwrap();
    assert_eq!(x, [-1.5]);
    let mut cholesky = SparseCholesky::new();
    assert_eq!(cholesky.solve_in_place(&mut [1.0]), Err(FactorError::NotFactored));
    assert_eq!(cholesky.factor(sparse(0, &[], true).view()), Ok(()));
    assert_eq!(cholesky.solve_in_place(&mut []), Ok(()));
    assert_eq!(cholesky.factor(sparse(1, &[4.0], true).view()), Ok(()));
    assert!(matches!(cholesky.solve_in_place(&mut [1.0, 2.0]), Err(FactorError::Dimension { .. })));
    assert!(matches!(DenseCholesky::new().factor(2, &[1.0; 3]), Err(FactorError::Dimension { .. })));
    let zero_column = Mat::<f64>::zeros(3, 1);
    let qr = DenseQr::factor(zero_column.as_ref()).unwrap();
    assert_eq!(qr.solve_least_squares(&[1.0, 2.0, 3.0]), Err(FactorError::Singular { zero: 1 }));
    assert!(matches!(DenseQr::factor(Mat::<f64>::zeros(1, 2).as_ref()), Err(FactorError::Dimension { .. })));
}

#[test]
fn a_rectangular_sparse_matrix_is_refused() {
    let a = CsMatI::<f64, u32>::zero((2, 3));
    assert!(matches!(SparseCholesky::new().factor(a.view()), Err(FactorError::Dimension { .. })));
    assert!(matches!(SparseIndefinite::new().factor(a.view()), Err(FactorError::Dimension { .. })));
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let n = 300;
    let a = positive_definite(n, 1.0, &mut ChaCha8Rng::seed_from_u64(3));
    let mut kkt = symmetric(n, 0.05, &mut ChaCha8Rng::seed_from_u64(4));
    for j in 0..n {
        kkt[j * n + j] = if j < 200 { 5.0 } else { -5.0 };
    }
    let run = || {
        let b: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        let mut all = Vec::new();
        let mut dense = DenseCholesky::new();
        dense.factor(n, &a).unwrap();
        let mut x = b.clone();
        dense.solve_in_place(&mut x).unwrap();
        all.extend(x);
        let mut cholesky = SparseCholesky::new();
        cholesky.factor(sparse(n, &a, true).view()).unwrap();
        let mut x = b.clone();
        cholesky.solve_in_place(&mut x).unwrap();
        all.extend(x);
        let mut indefinite = DenseIndefinite::new();
        indefinite.factor(n, &kkt).unwrap();
        let mut x = b.clone();
        indefinite.solve_in_place(&mut x).unwrap();
        all.extend(x);
        let mut indefinite = SparseIndefinite::new();
        indefinite.factor(sparse(n, &kkt, true).view()).unwrap();
        let mut x = vec![0.0; n];
        indefinite.solve(&b, &mut x, 2).unwrap();
        all.extend(x);
        let qr = DenseQr::factor(MatRef::from_column_major_slice(&a, n, n)).unwrap();
        all.extend(qr.solve_least_squares(&b).unwrap());
        all.into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    let runs: Vec<_> = [1, 2, 3, 7]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run))
        .into();
    assert!(runs.iter().all(|bits| *bits == runs[0]));
}
