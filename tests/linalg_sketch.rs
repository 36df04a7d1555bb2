//! Sketches against their explicit matrices, and their promises in the mean.
#![allow(clippy::unwrap_used)]

use faer::{Mat, MatRef};
use gradus::linalg::sketch::*;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

/// Every kind of sketch of one size.
fn all(rows: usize, columns: usize, seed: u64) -> Vec<(&'static str, Box<dyn Sketch>)> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let weights: Vec<f64> = (0..columns).map(|i| 1.0 + (i % 3) as f64).collect();
    vec![
        ("gaussian", Box::new(Gaussian::new(rows, columns, rng).unwrap())),
        ("count sketch", Box::new(SparseSign::count_sketch(rows, columns, rng).unwrap())),
        ("sparse sign", Box::new(SparseSign::new(rows, columns, rows.min(4), rng).unwrap())),
        ("hadamard", Box::new(Hadamard::new(rows, columns, rng).unwrap())),
        ("uniform rows", Box::new(RowSampling::uniform(rows, columns, rng).unwrap())),
        ("weighted rows", Box::new(RowSampling::weighted(rows, &weights, rng).unwrap())),
    ]
}

fn random_sparse(rows: usize, columns: usize, p: f64, rng: &mut ChaCha8Rng) -> CsMatI<f64, u32> {
    let mut t = TriMatI::<f64, u32>::new((rows, columns));
    for i in 0..rows {
        for j in 0..columns {
            if rng.random_bool(p) {
                t.add_triplet(i, j, rng.random_range(-1.0..1.0));
            }
        }
    }
    t.to_csr()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn products_agree_with_the_explicit_matrix(n in 1usize..70, d in 0usize..9, s in 1usize..20, p in 0.0f64..1.0, seed in 0u64..1000) {
        let s = s.min(n);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let sparse = random_sparse(n, d, p, rng);
        let mut dense = Mat::<f64>::zeros(n, d);
        sparse.iter().for_each(|(&v, (i, j))| dense[(i as usize, j as usize)] = v);
        let x: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        for (name, mut sketch) in all(s, n, seed) {
            for _ in 0..2 {
                let matrix = sketch.materialize();
                prop_assert_eq!((matrix.nrows(), matrix.ncols()), (s, n));
                let expected = &matrix * &dense;
                let scale = 1e-12 * (1.0 + expected.norm_max());
                // dirty output
                let mut out = vec![f64::NAN; s * d];
                sketch.apply_dense(dense.as_ref(), &mut out).unwrap();
                prop_assert!((MatRef::from_column_major_slice(&out, s, d) - &expected).norm_max() <= scale, "{}", name);
                let row_major = dense.transpose().to_owned();
                out.fill(f64::NAN);
                sketch.apply_dense(row_major.transpose(), &mut out).unwrap();
                prop_assert!((MatRef::from_column_major_slice(&out, s, d) - &expected).norm_max() <= scale, "{}", name);
                out.fill(f64::NAN);
                sketch.apply_sparse(sparse.view(), &mut out).unwrap();
                prop_assert!((MatRef::from_column_major_slice(&out, s, d) - &expected).norm_max() <= scale, "{}", name);
                let mut y = vec![f64::NAN; s];
                sketch.apply_vector(&x, &mut y).unwrap();
                let expected = &matrix * MatRef::from_column_major_slice(&x, n, 1);
                prop_assert!((0..s).all(|i| (y[i] - expected[(i, 0)]).abs() <= 1e-12 * (1.0 + expected.norm_max())), "{}", name);
                sketch.redraw(rng);
            }
        }
    }

    #[test]
    fn columns_hold_what_they_promise(n in 1usize..60, s in 2usize..20, zeta in 1usize..8, seed in 0u64..1000) {
        let zeta = zeta.min(s);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let matrix = SparseSign::new(s, n, zeta, rng).unwrap().materialize();
        for i in 0..n {
            prop_assert_eq!((0..s).filter(|&h| matrix[(h, i)] != 0.0).count(), zeta);
            prop_assert!((matrix.col(i).squared_norm_l2() - 1.0).abs() <= 1e-14);
        }
        let s = s.min(n);
        let matrix = Hadamard::new(s, n, rng).unwrap().materialize();
        let size = 1.0 / (s as f64).sqrt();
        prop_assert!((0..n).all(|i| (0..s).all(|h| matrix[(h, i)].abs() == size)));
        // all rows kept: H D is orthogonal
        let padded = n.next_power_of_two();
        let matrix = Hadamard::new(padded, n, rng).unwrap().materialize();
        prop_assert!((matrix.transpose() * &matrix - Mat::<f64>::identity(n, n)).norm_max() <= 1e-13);
    }
}

/// The mean of S'S over many draws is I: each entry within six standard errors, those taken from the draws themselves.
#[test]
fn the_mean_of_s_transposed_s_is_the_identity() {
    let (s, n, draws) = (5, 11, 4000);
    let rng = &mut ChaCha8Rng::seed_from_u64(17);
    for (name, mut sketch) in all(s, n, 17) {
        let (mut sum, mut squares) = (Mat::<f64>::zeros(n, n), Mat::<f64>::zeros(n, n));
        for _ in 0..draws {
            sketch.redraw(rng);
            let matrix = sketch.materialize();
            let gram = matrix.transpose() * &matrix;
            squares += Mat::from_fn(n, n, |i, j| gram[(i, j)].powi(2));
            sum += gram;
        }
        for i in 0..n {
            for j in 0..n {
                let mean = sum[(i, j)] / draws as f64;
                let error = ((squares[(i, j)] / draws as f64 - mean * mean).max(0.0) / draws as f64).sqrt();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!(
                    (mean - expected).abs() <= 6.0 * error + 1e-12,
                    "{name} ({i}, {j}): {mean} +- {error}"
                );
            }
        }
    }
}

/// Singular values of S Q for a random subspace Q of dimension d lie near one.
#[test]
fn random_subspaces_are_embedded() {
    let (n, d, s) = (1000, 8, 400);
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let a = Mat::from_fn(n, d, |_, _| rng.random_range(-1.0..1.0));
    let q = gradus::linalg::factor::DenseQr::factor(a.as_ref()).unwrap().orthonormal_factor().unwrap();
    for (name, sketch) in all(s, n, 6) {
        let mut out = vec![0.0; s * d];
        sketch.apply_dense(q.as_ref(), &mut out).unwrap();
        let values = MatRef::from_column_major_slice(&out, s, d).singular_values().unwrap();
        // sqrt(d/s) = 0.14 for a Gaussian
        assert!(values.iter().all(|v| (0.7..1.3).contains(v)), "{name}: {values:?}");
    }
}

/// Sampling by norms keeps the Gram matrix of a matrix with a few heavy rows, where uniform sampling misses them.
#[test]
fn norm_weighted_sampling_finds_heavy_rows() {
    let (n, d, s) = (2000, 3, 200);
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let a = Mat::from_fn(n, d, |i, _| rng.random_range(-1.0..1.0) * if i % 1000 == 7 { 1e3 } else { 1.0 });
    let weights = squared_row_norms(a.as_ref());
    let gram = a.transpose() * &a;
    let error = |sketch: &dyn Sketch| {
        let mut out = vec![0.0; s * d];
        sketch.apply_dense(a.as_ref(), &mut out).unwrap();
        let sketched = MatRef::from_column_major_slice(&out, s, d);
        (sketched.transpose() * sketched - &gram).norm_l2() / gram.norm_l2()
    };
    assert!(error(&RowSampling::weighted(s, &weights, rng).unwrap()) < 0.2);
    assert!(error(&RowSampling::uniform(s, n, rng).unwrap()) > 0.2);
    let mut t = TriMatI::<f64, u32>::new((n, d));
    (0..n).for_each(|i| (0..d).for_each(|j| t.add_triplet(i, j, a[(i, j)])));
    let sparse: CsMatI<f64, u32> = t.to_csr();
    let close = |x: &[f64]| x.iter().zip(&weights).all(|(p, q)| (p - q).abs() <= 1e-12 * q);
    assert!(close(&squared_row_norms_sparse(sparse.view())));
    assert!(close(&squared_row_norms_sparse(sparse.to_csc().view())));
    // rows of weight zero never come up
    let mut few = vec![0.0; n];
    (few[0], few[77], few[1500]) = (0.0, 1e-300, 1e300);
    let drawn = RowSampling::weighted(50, &few, rng).unwrap();
    assert!(drawn.drawn().iter().all(|&(i, factor)| few[i] > 0.0 && factor.is_finite()));
}

#[test]
fn bad_sizes_are_refused() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    assert!(matches!(Gaussian::new(0, 3, rng), Err(SketchError::Size { .. })));
    assert!(matches!(Gaussian::new(usize::MAX, usize::MAX, rng), Err(SketchError::Size { .. })));
    assert!(matches!(SparseSign::new(3, 5, 4, rng), Err(SketchError::Size { actual: 4, largest: 3, .. })));
    assert!(matches!(SparseSign::new(3, 5, 0, rng), Err(SketchError::Size { .. })));
    assert!(matches!(Hadamard::new(9, 8, rng), Err(SketchError::Size { actual: 9, largest: 8, .. })));
    assert_eq!(RowSampling::uniform(3, 0, rng).unwrap_err(), SketchError::NoWeight);
    assert_eq!(RowSampling::weighted(3, &[0.0, 0.0], rng).unwrap_err(), SketchError::NoWeight);
    assert_eq!(
        RowSampling::weighted(3, &[1.0, -1.0], rng).unwrap_err(),
        SketchError::Weight { index: 1, value: -1.0 }
    );
    for (_, sketch) in all(2, 4, 3) {
        let mut out = vec![0.0; 6];
        assert!(sketch.apply_vector(&[0.0; 3], &mut out[..2]).is_err());
        assert!(sketch.apply_vector(&[0.0; 4], &mut out[..3]).is_err());
        assert!(sketch.apply_dense(Mat::<f64>::zeros(3, 3).as_ref(), &mut out).is_err());
        assert!(sketch.apply_dense(Mat::<f64>::zeros(4, 2).as_ref(), &mut out).is_err());
        let by_columns = random_sparse(4, 3, 0.5, &mut ChaCha8Rng::seed_from_u64(1)).to_csc();
        assert_eq!(sketch.apply_sparse(by_columns.view(), &mut out), Err(SketchError::NotByRows));
    }
    // nothing to sketch
    for sketch in [&Gaussian::new(2, 0, rng).unwrap() as &dyn Sketch, &SparseSign::new(2, 0, 2, rng).unwrap()]
    {
        let mut y = [1.0; 2];
        sketch.apply_vector(&[], &mut y).unwrap();
        assert_eq!(y, [0.0; 2]);
    }
    let mut y = [1.0];
    Hadamard::new(1, 0, rng).unwrap().apply_vector(&[], &mut y).unwrap();
    assert_eq!(y, [0.0]);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (n, d, s) = (3000, 70, 90);
    let sparse = random_sparse(n, d, 0.05, &mut ChaCha8Rng::seed_from_u64(2));
    let dense = sparse.to_dense();
    let a = Mat::from_fn(n, d, |i, j| dense[[i, j]]);
    let run = || {
        let mut bits = Vec::new();
        for (_, sketch) in all(s, n, 12) {
            let mut out = vec![0.0; s * d];
            sketch.apply_dense(a.as_ref(), &mut out).unwrap();
            bits.extend(out.iter().map(|v| v.to_bits()));
            sketch.apply_sparse(sparse.view(), &mut out).unwrap();
            bits.extend(out.iter().map(|v| v.to_bits()));
            sketch.apply_vector(a.col(0).try_as_col_major().unwrap().as_slice(), &mut out[..s]).unwrap();
            bits.extend(out[..s].iter().map(|v| v.to_bits()));
        }
        bits
    };
    let runs: Vec<_> = [1, 2, 3, 7]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run))
        .into();
    assert!(runs.iter().all(|bits| *bits == runs[0]));
}
