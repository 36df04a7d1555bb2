//! Products of dense matrices, cut into panels of columns: in parallel, with the same bits on every number of threads.
//!
//! Matrices are column-major slices; the left factor is a view, so that its transpose costs nothing. A panel is one
//! sequential product of fixed shape, so neither the number of threads nor their order shows in the result.

use faer::linalg::matmul::{matmul, triangular};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::exponential::{Wide, dot_lanes, widest};

/// Columns of a panel of a product.
const WIDTH: usize = 16;
/// Columns of a panel of a symmetric matrix.
const SQUARE: usize = 64;
/// Below so many multiplications a product stays on the calling thread.
const PARALLEL_FLOPS: usize = 200_000;

/// out <- A B for A (m x k), B (k x c), out (m x c). 2 m k c flops.
pub fn multiply(a: MatRef<f64>, b: &[f64], out: &mut [f64]) {
    let (m, k) = a.shape();
    if m == 0 || out.is_empty() {
        return;
    }
    if k == 0 {
        return out.fill(0.0);
    }
    let columns = out.len() / m;
    assert_eq!((out.len(), b.len()), (m * columns, k * columns), "A B: wrong lengths");
    let panel = |(b, out): (&[f64], &mut [f64])| {
        let width = out.len() / m;
        let b = MatRef::from_column_major_slice(b, k, width);
        matmul(MatMut::from_column_major_slice_mut(out, m, width), Accum::Replace, a, b, 1.0, Par::Seq);
    };
    let parts = b.par_chunks(k * WIDTH).zip(out.par_chunks_mut(m * WIDTH));
    if m * k * columns < PARALLEL_FLOPS {
        b.chunks(k * WIDTH).zip(out.chunks_mut(m * WIDTH)).for_each(panel);
    } else {
        parts.for_each(panel);
    }
}

/// out_k <- x_k'v for rows x_k one after the other, on the calling thread. 2 d flops a row.
pub fn multiply_rows(rows: &[f64], v: &[f64], out: &mut [f64]) {
    assert_eq!(rows.len(), v.len() * out.len(), "X v: wrong lengths");
    widest(MultiplyRows { rows, v, out });
}

struct MultiplyRows<'a> {
    rows: &'a [f64],
    v: &'a [f64],
    out: &'a mut [f64],
}

impl Wide for MultiplyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, fused: bool) {
        for (out, row) in self.out.iter_mut().zip(self.rows.chunks_exact(self.v.len().max(1))) {
            *out = dot_lanes(fused, row, self.v);
        }
    }
}

/// The lower triangle of S[R, R] <- S[R, R] + Y Y' for pairs of ascending rows R and Y (|R| x c), one pair after the other,
/// S (n x n). |R|^2 c flops a pair.
pub fn add_outer_lower(parts: &[(&[u32], &[f64])], n: usize, s: &mut [f64]) {
    assert_eq!(s.len(), n * n, "S + Y Y': wrong lengths");
    if n == 0 {
        return;
    }
    s.par_chunks_mut(n * SQUARE).enumerate().for_each_init(Vec::new, |product, (p, s)| {
        let start = (p * SQUARE) as u32;
        let end = start + (s.len() / n) as u32;
        for (rows, y) in parts {
            let (first, last) = (rows.partition_point(|r| *r < start), rows.partition_point(|r| *r < end));
            let (height, width) = (rows.len() - first, last - first);
            if width == 0 {
                continue;
            }
            product.resize(height * width, 0.0);
            let y = MatRef::from_column_major_slice(y, rows.len(), y.len() / rows.len());
            let (below, own) = (y.subrows(first, height), y.subrows(first, width));
            let out = MatMut::from_column_major_slice_mut(&mut product[..height * width], height, width);
            matmul(out, Accum::Replace, below, own.transpose(), 1.0, Par::Seq);
            for (j, column) in product.chunks_exact(height).take(width).enumerate() {
                let target = &mut s[(rows[first + j] - start) as usize * n..][..n];
                rows[first + j..].iter().zip(&column[j..]).for_each(|(&i, v)| target[i as usize] += v);
            }
        }
    });
}

/// The lower triangle of out <- X'diag(q)X for X (n x d), q not negative; `scaled` holds n d numbers. n d^2 flops.
pub fn weighted_gram(x: MatRef<f64>, q: &[f64], scaled: &mut Vec<f64>, out: &mut [f64]) {
    let (n, d) = x.shape();
    assert_eq!((q.len(), out.len()), (n, d * d), "X'QX: wrong lengths");
    scaled.clear();
    for j in 0..d {
        scaled.extend(x.col(j).iter().zip(q).map(|(x, q)| q * x));
    }
    let scaled = MatRef::from_column_major_slice(scaled, n, d);
    let (lower, full) =
        (triangular::BlockStructure::TriangularLower, triangular::BlockStructure::Rectangular);
    let out = MatMut::from_column_major_slice_mut(out, d, d);
    triangular::matmul(out, lower, Accum::Replace, scaled.transpose(), full, x, full, 1.0, Par::Seq);
}

/// Y <- Y L^{-T} for Y (n x d) and L (d x d), of which the lower triangle is read. n d^2 flops.
pub fn solve_rows(l: &[f64], d: usize, y: &mut [f64]) {
    if d == 0 || y.is_empty() {
        return;
    }
    let n = y.len() / d;
    let y = MatMut::from_column_major_slice_mut(y, n, d);
    solve_lower_triangular_in_place(MatRef::from_column_major_slice(l, d, d), y.transpose_mut(), Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i + 1) * (seed + 7)) as f64 * 0.7311).sin()).collect()
    }

    #[test]
    fn products_agree_with_the_definition_on_every_number_of_threads() {
        let (m, k, c) = (130, 37, 150);
        let (a, b) = (numbers(m * k, 1), numbers(k * c, 2));
        let view = MatRef::from_column_major_slice(&a, m, k);
        let all: Vec<u32> = (0..m as u32).collect();
        let odd: Vec<u32> = (1..m as u32).step_by(2).collect();
        let few = numbers(odd.len() * 3, 5);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut out = vec![f64::NAN; m * c];
                multiply(view, &b, &mut out);
                let mut s = vec![0.0; m * m];
                add_outer_lower(&[(&all, &a), (&odd, &few)], m, &mut s);
                (out, s)
            })
        };
        let (out, s) = run(1);
        assert_eq!((out.clone(), s.clone()), run(3));
        let mut products = vec![0.0; 150];
        multiply_rows(&b, &a[..k], &mut products);
        for (row, product) in b.chunks(k).zip(&products) {
            let plain: f64 = row.iter().zip(&a).map(|(x, v)| x * v).sum();
            assert!((product - plain).abs() < 1e-12);
        }
        for (i, j) in [(0, 0), (129, 149), (77, 31)] {
            let plain: f64 = (0..k).map(|l| a[l * m + i] * b[j * k + l]).sum();
            assert!((out[j * m + i] - plain).abs() < 1e-12);
        }
        for (i, j) in [(0, 0), (129, 3), (129, 129), (100, 64), (65, 2), (99, 97)] {
            let mut plain: f64 = (0..k).map(|l| a[l * m + i] * a[l * m + j]).sum();
            if i % 2 == 1 && j % 2 == 1 {
                plain += (0..3).map(|l| few[l * odd.len() + i / 2] * few[l * odd.len() + j / 2]).sum::<f64>();
            }
            assert!((s[j * m + i] - plain).abs() < 1e-12);
        }
    }

    #[test]
    fn grams_and_triangular_solves_agree_with_the_definition() {
        let (n, d) = (23, 5);
        let (x, q) = (numbers(n * d, 3), numbers(n, 4).iter().map(|v| v * v).collect::<Vec<_>>());
        let view = MatRef::from_column_major_slice(&x, n, d);
        let mut gram = vec![0.0; d * d];
        weighted_gram(view, &q, &mut Vec::new(), &mut gram);
        for j in 0..d {
            for i in j..d {
                let plain: f64 = (0..n).map(|k| q[k] * x[i * n + k] * x[j * n + k]).sum();
                assert!((gram[j * d + i] - plain).abs() < 1e-12);
            }
        }
        (0..d).for_each(|j| gram[j * d + j] += 3.0);
        let mut y = x.clone();
        solve_rows(&gram, d, &mut y);
        for k in 0..n {
            for i in 0..d {
                let back: f64 = (0..=i).map(|j| gram[j * d + i] * y[j * n + k]).sum();
                assert!((back - x[i * n + k]).abs() < 1e-12);
            }
        }
    }
}
