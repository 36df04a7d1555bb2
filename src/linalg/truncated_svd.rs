//! The largest singular values of a sparse matrix and their vectors.
//!
//! [`truncated_svd`] is randomised subspace iteration (Halko, Martinsson, Tropp 2011, algorithm 4.4): good for a start,
//! accurate where the values fall off behind the wanted ones. [`spectral_norm`] is Lanczos bidiagonalisation with full
//! reorthogonalisation: one number, to nearly full accuracy.

use faer::Mat;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use sprs::CsMatViewI;

use super::factor::{FactorError, dense_singular_values, dense_svd};
use super::product::{PARALLEL_ENTRIES, balanced_ranges, dot, norm, split_by_ranges};
use super::tall::{RowKernels, Rows, TallMatrix};

/// A = U diag(s) V' as far as it goes: the orthonormal columns of U and V, and s descending.
#[derive(Clone, Debug)]
pub struct TruncatedSvd {
    /// Left singular vectors, m x k.
    pub u: TallMatrix,
    /// Singular values, descending. There may be more of them than vectors: estimates of those that follow.
    pub s: Vec<f64>,
    /// Right singular vectors, n x k.
    pub v: TallMatrix,
}

/// A B for sparse A, given by its compressed rows (or A' given by its compressed columns). 2 nnz(A) l flops, parallel,
/// each row summed in storage order.
pub fn sparse_times_tall(compressed: CsMatViewI<f64, u32>, b: &TallMatrix) -> TallMatrix {
    let outer = compressed.outer_dims();
    let mut product = TallMatrix::zeros(outer, b.columns());
    let stride = product.stride();
    if stride == 0 {
        return product;
    }
    let indptr = compressed.indptr();
    let offsets = indptr.raw_storage();
    let (indices, values, rows) = (compressed.indices(), compressed.data(), Rows::of(b));
    let kernels = RowKernels::new();
    let multiply = |range: std::ops::Range<usize>, out: &mut [f64]| {
        for (i, out) in range.zip(out.chunks_exact_mut(stride)) {
            let entries = (offsets[i] - offsets[0]) as usize..(offsets[i + 1] - offsets[0]) as usize;
            kernels.add_rows(&indices[entries.clone()], &values[entries], rows, out);
        }
    };
    if values.len() * stride < PARALLEL_ENTRIES {
        multiply(0..outer, product.as_mut_slice());
        return product;
    }
    let ranges = balanced_ranges(offsets, (values.len() / 8192).clamp(1, 512));
    let scaled: Vec<_> = ranges.iter().map(|range| range.start * stride..range.end * stride).collect();
    let parts = split_by_ranges(product.as_mut_slice(), &scaled);
    ranges.into_par_iter().zip(parts).for_each(|(range, out)| multiply(range, out));
    product
}

/// The k largest singular triplets of A, given by rows (CSR) and by columns (CSC): `rank` + `oversampling` random
/// directions, `power_steps` products with A A' to sharpen them. (4 + 4 q) nnz(A) l flops and O((m + n) l^2).
///
/// # Errors
/// Those of the dense factorisations: entries that aren't finite, memory.
pub fn truncated_svd(
    by_row: CsMatViewI<f64, u32>,
    by_column: CsMatViewI<f64, u32>,
    rank: usize,
    oversampling: usize,
    power_steps: usize,
    rng: &mut ChaCha8Rng,
) -> Result<TruncatedSvd, FactorError> {
    let (m, n) = by_row.shape();
    let l = (rank + oversampling).min(m).min(n);
    let random = TallMatrix::from_fn(n, l, |_, _| StandardNormal.sample(rng));
    let mut u = sparse_times_tall(by_row, &random);
    u.orthonormalize()?;
    let mut v = sparse_times_tall(by_column, &u);
    for _ in 0..power_steps {
        v.orthonormalize()?;
        u = sparse_times_tall(by_row, &v);
        u.orthonormalize()?;
        v = sparse_times_tall(by_column, &u);
    }
    // A is about U (A'U)' = U R' Q'
    let r = v.orthonormalize()?;
    let (left, s, right) = dense_svd(Mat::from_fn(l, l, |i, j| r.row(j)[i]).as_ref())?;
    let k = rank.min(l);
    let leading = |w: &Mat<f64>| TallMatrix::from_fn(l, k, |i, j| w[(i, j)]);
    Ok(TruncatedSvd { u: u.times(&leading(&left)), s, v: v.times(&leading(&right)) })
}

/// The largest singular value of A, given by rows (CSR) and by columns (CSC): Golub-Kahan-Lanczos bidiagonalisation
/// with full reorthogonalisation until it grows by less than `tolerance` relatively over five steps, at most 300 steps.
/// A lower bound, whose error is about the square of the last relative change once it has settled.
///
/// # Errors
/// Those of the dense factorisations.
pub fn spectral_norm(
    by_row: CsMatViewI<f64, u32>,
    by_column: CsMatViewI<f64, u32>,
    tolerance: f64,
    rng: &mut ChaCha8Rng,
) -> Result<f64, FactorError> {
    let (m, n) = by_row.shape();
    let steps = m.min(n).min(300);
    let mut right: Vec<Vec<f64>> = Vec::new();
    let mut left: Vec<Vec<f64>> = Vec::new();
    let (mut alphas, mut betas) = (Vec::<f64>::new(), Vec::<f64>::new());
    let mut v: Vec<f64> = (0..n).map(|_| StandardNormal.sample(rng)).collect();
    scale(&mut v);
    let mut estimates = Vec::<f64>::new();
    let (mut product, mut back) = (vec![0.0; m], vec![0.0; n]);
    for step in 0..steps {
        super::product::multiply(by_row, &v, &mut product);
        let mut u = product.clone();
        orthogonalize(&mut u, &left);
        let alpha = scale(&mut u);
        super::product::multiply(by_column.transpose_view(), &u, &mut back);
        right.push(std::mem::replace(&mut v, back.clone()));
        left.push(u);
        alphas.push(alpha);
        orthogonalize(&mut v, &right);
        let beta = scale(&mut v);
        // B is upper bidiagonal with alphas on the diagonal and betas above it; the last beta belongs to the next step
        let bidiagonal = Mat::from_fn(step + 1, step + 1, |i, j| match j {
            _ if i == j => alphas[i],
            _ if i + 1 == j => betas[i],
            _ => 0.0,
        });
        betas.push(beta);
        let exhausted = !(beta > 1e-14 * alphas[0]) || step + 1 == steps;
        if (step + 1).is_multiple_of(5) || exhausted {
            let largest = dense_singular_values(bidiagonal.as_ref())?.first().copied().unwrap_or(0.0);
            let settled =
                estimates.last().is_some_and(|&last| largest - last <= tolerance * largest && step >= 20);
            estimates.push(largest);
            if settled || exhausted {
                break;
            }
        }
    }
    Ok(estimates.last().copied().unwrap_or(0.0))
}

/// x <- x - Q Q'x, twice, for the orthonormal vectors Q.
fn orthogonalize(x: &mut [f64], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for q in basis {
            let along = dot(q, x);
            super::product::axpy(-along, q, x);
        }
    }
}

/// x <- x / |x|; returns |x|. Zero stays zero.
fn scale(x: &mut [f64]) -> f64 {
    let length = norm(x);
    if length > 0.0 {
        x.iter_mut().for_each(|value| *value /= length);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use sprs::TriMatI;

    #[test]
    fn leading_values_agree_with_the_dense_decomposition() {
        let (m, n) = (60, 45);
        let mut triplets = TriMatI::<f64, u32>::new((m, n));
        for i in 0..m {
            for j in 0..n {
                if (i * 31 + j * 17) % 3 == 0 {
                    let signal = (0..3)
                        .map(|c| {
                            ((i * (c + 2)) as f64).sin()
                                * ((j * (c + 5)) as f64).cos()
                                * 4f64.powi(2 - c as i32)
                        })
                        .sum::<f64>();
                    triplets.add_triplet(i, j, signal);
                }
            }
        }
        let by_row: sprs::CsMatI<f64, u32> = triplets.to_csr();
        let by_column = by_row.to_csc();
        let dense = Mat::from_fn(m, n, |i, j| by_row.get(i, j).copied().unwrap_or(0.0));
        let exact = dense_singular_values(dense.as_ref()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let svd = truncated_svd(by_row.view(), by_column.view(), 3, 10, 6, &mut rng).unwrap();
        for (k, (found, exact)) in svd.s.iter().zip(&exact).take(3).enumerate() {
            assert!((found / exact - 1.0).abs() < 1e-6, "{k}: {found} {exact}");
        }
        // A v = s u
        let product = sparse_times_tall(by_row.view(), &svd.v);
        for i in 0..m {
            assert!((product.row(i)[0] - svd.s[0] * svd.u.row(i)[0]).abs() < 1e-6 * svd.s[0]);
        }
        let largest = spectral_norm(by_row.view(), by_column.view(), 1e-12, &mut rng).unwrap();
        assert!((largest / exact[0] - 1.0).abs() < 1e-12);
    }
}
