//! Vectorised loops over the rows of a tall matrix.
//!
//! Each entry of a result is summed over the rows in their order, whatever the width of the vector registers.

use pulp::{Arch, Simd, WithSimd};

use super::{Element, TallMatrix};

/// Rows are padded to a multiple of this many entries: the widest vector register, one cache line.
pub const LANES: usize = 8;
/// Rows of a register tile of a Gram matrix.
const TILE: usize = 4;
/// Entries that a Gram matrix takes at once: they stay in the first-level cache while all its tiles are updated.
const CACHED: usize = 3072;

/// Rows of equal padded width that are picked by number.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f64],
    width: usize,
}

impl<'a> Rows<'a> {
    /// All rows of a matrix.
    pub fn of(matrix: &'a TallMatrix) -> Self {
        Self { values: matrix.as_slice(), width: matrix.stride() }
    }
}

/// The loops, with the instruction set chosen once.
#[derive(Clone, Copy, Debug)]
pub struct RowKernels {
    arch: Arch,
}

impl Default for RowKernels {
    fn default() -> Self {
        Self::new()
    }
}

impl RowKernels {
    /// Chooses the instruction set.
    pub fn new() -> Self {
        Self { arch: Arch::new() }
    }

    /// Copies the rows of `stride` entries with the given numbers one after the other, each widened to f64 and padded with
    /// zeros to `width` entries.
    pub fn gather<T: Element>(
        &self,
        rows: &[T],
        stride: usize,
        indices: &[u32],
        width: usize,
        out: &mut [f64],
    ) {
        assert!(width.is_multiple_of(LANES) && stride.is_multiple_of(LANES) && stride <= width);
        assert_eq!(out.len(), indices.len() * width, "one row an index");
        if width > 0 {
            self.arch.dispatch(Gather { rows, stride, indices, width, out });
        }
    }

    /// G += A'A on and above the diagonal, in the first `columns` rows of G, up to the column behind them: the products of
    /// these columns with each other and with a right-hand side beside them. A is row-major with rows of `width` entries, a
    /// multiple of eight; G is `width` x `width`, row-major. columns^2 / 2 multiplications a row.
    pub fn add_gram(&self, a: &[f64], width: usize, columns: usize, gram: &mut [f64]) {
        assert!(width.is_multiple_of(LANES) && columns <= width, "rows are padded to whole vectors");
        assert!(gram.len() == width * width && (width == 0 || a.len().is_multiple_of(width)));
        if width > 0 {
            self.arch.dispatch(Gram { a, width, columns, gram });
        }
    }

    /// w <- A x and q <- q + A'(A x); returns |A x|^2. One pass over A.
    pub fn normal_product(&self, a: &[f64], width: usize, x: &[f64], w: &mut [f64], q: &mut [f64]) -> f64 {
        assert!(width.is_multiple_of(LANES) && x.len() == width && q.len() == width);
        assert_eq!(a.len(), w.len() * width, "one product a row");
        if width == 0 { 0.0 } else { self.arch.dispatch(Normal { a, width, x, w, q }) }
    }

    /// w <- A x; returns |A x|^2.
    pub fn product(&self, a: &[f64], width: usize, x: &[f64], w: &mut [f64]) -> f64 {
        assert!(width.is_multiple_of(LANES) && x.len() == width);
        assert_eq!(a.len(), w.len() * width, "one product a row");
        if width == 0 { 0.0 } else { self.arch.dispatch(Product { a, width, x, w }) }
    }

    /// sum += the sum of weights\[t\] * rows\[indices\[t\]\].
    pub fn add_rows(&self, indices: &[u32], weights: &[f64], rows: Rows, sum: &mut [f64]) {
        assert_eq!(indices.len(), weights.len(), "one weight a row");
        assert_eq!(sum.len(), rows.width, "the sum has the width of a row");
        if rows.width > 0 {
            self.arch.dispatch(AddRows { indices, weights, rows, sum });
        }
    }
}

struct Gather<'a, T> {
    rows: &'a [T],
    stride: usize,
    indices: &'a [u32],
    width: usize,
    out: &'a mut [f64],
}

impl<T: Element> WithSimd for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { rows, stride, indices, width, out } = self;
        for (to, &j) in out.chunks_exact_mut(width).zip(indices) {
            let from = &rows[j as usize * stride..][..stride];
            let (head, padding) = to.split_at_mut(stride);
            for (to, from) in head.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    to[lane] = from[lane].widen();
                }
            }
            padding.fill(0.0);
        }
    }
}

struct Gram<'a> {
    a: &'a [f64],
    width: usize,
    columns: usize,
    gram: &'a mut [f64],
}

impl WithSimd for Gram<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, width, columns, gram } = self;
        let lanes = S::F64_LANES;
        let rows = (CACHED / width).max(16);
        let end = (columns + 1).next_multiple_of(lanes).min(width);
        for block in a.chunks(rows * width) {
            for i in (0..columns).step_by(TILE) {
                // vectors from the one that holds the diagonal on
                let mut j = i - i % lanes;
                while j + 3 * lanes <= end {
                    gram_tile::<S, 3>(simd, block, width, i, j, gram);
                    j += 3 * lanes;
                }
                if j + 2 * lanes <= end {
                    gram_tile::<S, 2>(simd, block, width, i, j, gram);
                    j += 2 * lanes;
                }
                if j < end {
                    gram_tile::<S, 1>(simd, block, width, i, j, gram);
                }
            }
        }
    }
}

/// G(i..i + TILE, j..j + N lanes) += the products of those columns.
#[inline(always)]
fn gram_tile<S: Simd, const N: usize>(
    simd: S,
    block: &[f64],
    width: usize,
    i: usize,
    j: usize,
    gram: &mut [f64],
) {
    let mut sums = [[simd.splat_f64s(0.0); N]; TILE];
    for row in block.chunks_exact(width) {
        let factors = &row[i..i + TILE];
        let (vectors, _) = S::as_simd_f64s(&row[j..j + N * S::F64_LANES]);
        for (sum, &factor) in sums.iter_mut().zip(factors) {
            let factor = simd.splat_f64s(factor);
            for c in 0..N {
                sum[c] = simd.mul_add_f64s(vectors[c], factor, sum[c]);
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        let start = (i + r) * width + j;
        let (out, _) = S::as_mut_simd_f64s(&mut gram[start..start + N * S::F64_LANES]);
        for c in 0..N {
            out[c] = simd.add_f64s(out[c], sum[c]);
        }
    }
}

struct Normal<'a> {
    a: &'a [f64],
    width: usize,
    x: &'a [f64],
    w: &'a mut [f64],
    q: &'a mut [f64],
}

impl WithSimd for Normal<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { a, width, x, w, q } = self;
        let (x, _) = S::as_simd_f64s(x);
        let (q, _) = S::as_mut_simd_f64s(q);
        let mut squares = 0.0;
        let whole = w.len() - w.len() % 4;
        let (head, tail) = a.split_at(whole * width);
        let (w_head, w_tail) = w.split_at_mut(whole);
        for (rows, w) in head.chunks_exact(4 * width).zip(w_head.chunks_exact_mut(4)) {
            let (a0, rest) = rows.split_at(width);
            let (a1, rest) = rest.split_at(width);
            let (a2, a3) = rest.split_at(width);
            let [a0, a1, a2, a3] = [a0, a1, a2, a3].map(|row| S::as_simd_f64s(row).0);
            let zero = simd.splat_f64s(0.0);
            let mut sums = [zero; 4];
            for ((((&x, &a0), &a1), &a2), &a3) in x.iter().zip(a0).zip(a1).zip(a2).zip(a3) {
                sums[0] = simd.mul_add_f64s(a0, x, sums[0]);
                sums[1] = simd.mul_add_f64s(a1, x, sums[1]);
                sums[2] = simd.mul_add_f64s(a2, x, sums[2]);
                sums[3] = simd.mul_add_f64s(a3, x, sums[3]);
            }
            let sums = sums.map(|sum| simd.reduce_sum_f64s(sum));
            w.copy_from_slice(&sums);
            squares += (sums[0] * sums[0] + sums[1] * sums[1]) + (sums[2] * sums[2] + sums[3] * sums[3]);
            let [s0, s1, s2, s3] = sums.map(|sum| simd.splat_f64s(sum));
            for ((((q, &a0), &a1), &a2), &a3) in q.iter_mut().zip(a0).zip(a1).zip(a2).zip(a3) {
                let first = simd.mul_add_f64s(a1, s1, simd.mul_add_f64s(a0, s0, *q));
                *q = simd.mul_add_f64s(a3, s3, simd.mul_add_f64s(a2, s2, first));
            }
        }
        for (row, w) in tail.chunks_exact(width).zip(w_tail) {
            let (row, _) = S::as_simd_f64s(row);
            let sum = dot(simd, row, x);
            *w = sum;
            squares += sum * sum;
            let sum = simd.splat_f64s(sum);
            for (q, &a) in q.iter_mut().zip(row) {
                *q = simd.mul_add_f64s(a, sum, *q);
            }
        }
        squares
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, row: &[S::f64s], x: &[S::f64s]) -> f64 {
    let mut sum = simd.splat_f64s(0.0);
    for (&a, &x) in row.iter().zip(x) {
        sum = simd.mul_add_f64s(a, x, sum);
    }
    simd.reduce_sum_f64s(sum)
}

struct Product<'a> {
    a: &'a [f64],
    width: usize,
    x: &'a [f64],
    w: &'a mut [f64],
}

impl WithSimd for Product<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { a, width, x, w } = self;
        let (x, _) = S::as_simd_f64s(x);
        let mut squares = 0.0;
        for (row, w) in a.chunks_exact(width).zip(w) {
            let (row, _) = S::as_simd_f64s(row);
            let sum = dot(simd, row, x);
            *w = sum;
            squares += sum * sum;
        }
        squares
    }
}

struct AddRows<'a> {
    indices: &'a [u32],
    weights: &'a [f64],
    rows: Rows<'a>,
    sum: &'a mut [f64],
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { indices, weights, rows, sum } = self;
        let lanes = S::F64_LANES;
        let mut j = 0;
        while j + 4 * lanes <= rows.width {
            add_columns::<S, 4>(simd, indices, weights, rows, j, sum);
            j += 4 * lanes;
        }
        if j + 2 * lanes <= rows.width {
            add_columns::<S, 2>(simd, indices, weights, rows, j, sum);
            j += 2 * lanes;
        }
        if j < rows.width {
            add_columns::<S, 1>(simd, indices, weights, rows, j, sum);
        }
    }
}

#[inline(always)]
fn add_columns<S: Simd, const N: usize>(
    simd: S,
    indices: &[u32],
    weights: &[f64],
    rows: Rows,
    j: usize,
    sum: &mut [f64],
) {
    let (out, _) = S::as_mut_simd_f64s(&mut sum[j..j + N * S::F64_LANES]);
    let mut sums = [simd.splat_f64s(0.0); N];
    sums.copy_from_slice(&out[..N]);
    for (&index, &weight) in indices.iter().zip(weights) {
        let start = index as usize * rows.width + j;
        let (vectors, _) = S::as_simd_f64s(&rows.values[start..start + N * S::F64_LANES]);
        let weight = simd.splat_f64s(weight);
        for c in 0..N {
            sums[c] = simd.mul_add_f64s(vectors[c], weight, sums[c]);
        }
    }
    out[..N].copy_from_slice(&sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_plain_sums_for_every_remainder() {
        for (rows, width) in [(0, 8), (1, 8), (3, 16), (4, 24), (11, 40), (257, 88)] {
            let a: Vec<f64> = (0..rows * width).map(|i| (i as f64 * 0.71).cos()).collect();
            let x: Vec<f64> = (0..width).map(|i| (i as f64 * 0.3).sin()).collect();
            let (mut w, mut q) = (vec![0.0; rows], vec![1.0; width]);
            let squares = RowKernels::new().normal_product(&a, width, &x, &mut w, &mut q);
            let plain: Vec<f64> =
                a.chunks_exact(width).map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
            for (w, plain) in w.iter().zip(&plain) {
                assert!((w - plain).abs() < 1e-12);
            }
            for j in 0..width {
                let sum: f64 = 1.0 + (0..rows).map(|t| a[t * width + j] * plain[t]).sum::<f64>();
                assert!((q[j] - sum).abs() < 1e-11);
            }
            assert!((squares - plain.iter().map(|w| w * w).sum::<f64>()).abs() < 1e-10 * (1.0 + squares));
            let again = RowKernels::new().product(&a, width, &x, &mut w);
            assert!((again - squares).abs() <= 1e-12 * squares);
        }
    }
}
