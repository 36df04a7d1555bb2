//! DesignMatrix and ColumnBlock against the obvious dense formulas.

use gradus::linalg::{DesignError, DesignMatrix, Standardization};
use proptest::prelude::*;
use sprs::{CsMatI, TriMatI};

/// Dense column-major values with about two thirds zeros, and the same as CSR.
fn instance(n: usize, p: usize, seed: u64) -> (Vec<f64>, CsMatI<f64, u32>) {
    let mut dense = vec![0.0; n * p];
    let mut triplets = TriMatI::<f64, u32>::new((n, p));
    for j in 0..p {
        for i in 0..n {
            let h =
                (i as u64 * 2654435761 + j as u64 * 40503 + seed * 97).wrapping_mul(0x9E3779B97F4A7C15) >> 33;
            if h.is_multiple_of(3) {
                let value = (h % 1000) as f64 / 100.0 - 5.0;
                dense[j * n + i] = value;
                triplets.add_triplet(i, j, value);
            }
        }
    }
    (dense, triplets.to_csr())
}

fn close(a: &[f64], b: &[f64]) -> bool {
    let scale = b.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-12 * scale)
}

/// The dense matrix after centring and scaling.
fn standardize(dense: &[f64], n: usize, by: &Standardization) -> Vec<f64> {
    dense.iter().enumerate().map(|(k, v)| (v - by.means[k / n]) / by.scales[k / n]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn products_and_grams_agree_with_dense_formulas(n in 1usize..30, p in 1usize..20, seed in 0u64..1000, standard: bool, ones: bool) {
        let (mut dense, csr) = instance(n, p, seed);
        let mut sparse = DesignMatrix::from_sparse(csr).unwrap();
        let mut full = DesignMatrix::from_dense(n, p, dense.clone()).unwrap();
        if standard {
            let moments = sparse.column_moments();
            let scale = dense.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            for j in 0..p {
                let mean = dense[j * n..(j + 1) * n].iter().sum::<f64>() / n as f64;
                prop_assert!((moments.means[j] - mean).abs() <= 1e-13 * scale);
            }
            dense = standardize(&dense, n, &moments);
            sparse = sparse.standardized(moments.clone()).unwrap();
            full = full.standardized(moments).unwrap();
        }
        let x: Vec<f64> = (0..p).map(|j| (j as f64 + seed as f64).sin()).collect();
        let v: Vec<f64> = (0..n).map(|i| (i as f64 * 0.7 + seed as f64).cos()).collect();
        let ax: Vec<f64> = (0..n).map(|i| (0..p).map(|j| dense[j * n + i] * x[j]).sum()).collect();
        let atv: Vec<f64> = (0..p).map(|j| (0..n).map(|i| dense[j * n + i] * v[i]).sum()).collect();
        let weights: Vec<f64> = v.iter().map(|t| t * t + 0.1).collect();
        let squares: Vec<f64> = (0..p).map(|j| (0..n).map(|i| weights[i] * dense[j * n + i].powi(2)).sum()).collect();
        let chosen: Vec<usize> = (0..p).filter(|j| !(j * 7 + seed as usize).is_multiple_of(3)).collect();
        for design in [&sparse, &full] {
            let (mut z, mut q) = (vec![0.0; n], vec![0.0; p]);
            design.multiply(&x, &mut z);
            design.multiply_transpose(&v, &mut q);
            prop_assert!(close(&z, &ax));
            prop_assert!(close(&q, &atv));
            prop_assert!(close(&design.weighted_squares(&weights), &squares));

            let mut block = design.select(&chosen);
            if ones { block = block.with_ones(); }
            let k = block.columns();
            let entry = |i: usize, c: usize| if c < chosen.len() { dense[chosen[c] * n + i] } else { 1.0 };
            let mut gram = Vec::new();
            block.gram(&weights, &mut gram);
            let expected: Vec<f64> = (0..k * k)
                .map(|e| (0..n).map(|i| weights[i] * entry(i, e / k) * entry(i, e % k)).sum())
                .collect();
            prop_assert!(close(&gram, &expected));
            let d: Vec<f64> = (0..k).map(|c| (c as f64 + 0.5).cos()).collect();
            let mut bd = v.clone();
            block.add_product(&d, &mut bd);
            let expected: Vec<f64> = (0..n).map(|i| v[i] + (0..k).map(|c| entry(i, c) * d[c]).sum::<f64>()).collect();
            prop_assert!(close(&bd, &expected));
            let mut btv = vec![0.0; k];
            block.multiply_transpose(&v, &mut btv);
            let expected: Vec<f64> = (0..k).map(|c| (0..n).map(|i| entry(i, c) * v[i]).sum()).collect();
            prop_assert!(close(&btv, &expected));
            let mut added = v.clone();
            design.add_columns(&chosen, &d[..chosen.len()], &mut added);
            let expected: Vec<f64> =
                (0..n).map(|i| v[i] + (0..chosen.len()).map(|c| entry(i, c) * d[c]).sum::<f64>()).collect();
            prop_assert!(close(&added, &expected));
        }
    }
}

#[test]
fn rows_and_columns_are_the_same_matrix() {
    let (dense, csr) = instance(7, 5, 3);
    let sparse = DesignMatrix::from_sparse(csr).unwrap();
    let full = DesignMatrix::from_dense(7, 5, dense.clone()).unwrap();
    for i in 0..7 {
        for (j, value) in sparse.row(i).iter().chain(full.row(i).iter()) {
            assert_eq!(value, dense[j * 7 + i]);
        }
    }
    for j in 0..5 {
        for (i, value) in sparse.column(j).iter().chain(full.column(j).iter()) {
            assert_eq!(value, dense[j * 7 + i]);
        }
        assert_eq!(full.column(j).iter().count(), 7);
    }
}

#[test]
fn products_have_the_same_bits_on_every_number_of_threads() {
    let (dense, csr) = instance(3000, 80, 1);
    let weights: Vec<f64> = (0..3000).map(|i| 1.0 + (i as f64).sin().abs()).collect();
    for design in
        [DesignMatrix::from_sparse(csr).unwrap(), DesignMatrix::from_dense(3000, 80, dense).unwrap()]
    {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let x: Vec<f64> = (0..80).map(|j| (j as f64).cos()).collect();
                let (mut z, mut q, mut gram) = (vec![0.0; 3000], vec![0.0; 80], Vec::new());
                design.multiply(&x, &mut z);
                design.multiply_transpose(&weights, &mut q);
                design.select(&(0..40).collect::<Vec<_>>()).with_ones().gram(&weights, &mut gram);
                let all = z.into_iter().chain(q).chain(gram).chain(design.weighted_squares(&weights));
                all.map(f64::to_bits).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }
}

#[test]
fn bad_matrices_are_named() {
    assert_eq!(
        DesignMatrix::from_dense(2, 2, vec![0.0; 3]).unwrap_err(),
        DesignError::Shape { rows: 2, columns: 2, values: 3 }
    );
    let error = DesignMatrix::from_dense(2, 2, vec![0.0, 1.0, 2.0, f64::INFINITY]).unwrap_err();
    assert_eq!(error, DesignError::NotFinite { row: 1, column: 1, value: f64::INFINITY });
    let mut triplets = TriMatI::<f64, u32>::new((3, 4));
    triplets.add_triplet(2, 3, f64::NAN);
    let error = DesignMatrix::from_sparse(triplets.to_csr()).unwrap_err();
    assert!(error.to_string().contains("(2, 3)"));
}

#[test]
fn empty_shapes_are_matrices_too() {
    for (n, p) in [(0, 0), (0, 3), (3, 0)] {
        let sparse = DesignMatrix::from_sparse(CsMatI::zero((n, p))).unwrap();
        let dense = DesignMatrix::from_dense(n, p, vec![]).unwrap();
        for design in [sparse, dense] {
            let (mut z, mut q) = (vec![1.0; n], vec![1.0; p]);
            design.multiply(&vec![1.0; p], &mut z);
            design.multiply_transpose(&vec![1.0; n], &mut q);
            assert!(z.iter().chain(&q).all(|v| *v == 0.0 || n > 0 && p > 0));
            assert_eq!(design.column_moments().means.len(), p);
        }
    }
}

#[test]
fn rows_of_a_dense_matrix_without_columns_are_empty() {
    let design = DesignMatrix::from_dense(3, 0, Vec::new()).unwrap();
    assert!((0..3).all(|i| design.row(i).iter().count() == 0));
}
