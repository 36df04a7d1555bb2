//! Vector and matrix-vector kernels, parallel with a fixed reduction order.
//!
//! Sums over rows are cut into chunks whose size depends on the problem alone; the partial sums are added in index
//! order. The result therefore has the same bits for every number of threads. All sums over rows of a data matrix
//! meet here, so that the rows could live on several machines without touching a method.

use rayon::prelude::*;
use sprs::CsMatViewI;

/// Entries per partial sum of a reduction.
pub const CHUNK: usize = 4096;

/// Below this many touched entries a kernel stays on the calling thread: waking the pool costs about 10 us.
pub const PARALLEL_ENTRIES: usize = 50_000;

/// Sum of `partial(range)` over consecutive chunks of `0..n`, added in index order. `cost` is the number of
/// entries touched per index and decides whether the pool is used; it never changes the result.
pub fn sum_chunks<F>(n: usize, cost: usize, partial: F) -> f64
where
    F: Fn(std::ops::Range<usize>) -> f64 + Sync,
{
    let chunks = n.div_ceil(CHUNK);
    let range = |c: usize| c * CHUNK..n.min((c + 1) * CHUNK);
    if chunks > 1 && n.saturating_mul(cost) >= PARALLEL_ENTRIES {
        let parts: Vec<f64> = (0..chunks).into_par_iter().map(|c| partial(range(c))).collect();
        parts.into_iter().sum()
    } else {
        (0..chunks).map(|c| partial(range(c))).sum()
    }
}

/// out <- the sum over `pieces` consecutive ranges of `0..n` of what `add(range, sums)` adds to zeros, in index order. The
/// number of pieces must depend on the problem alone: it decides the order of the additions, and so the bits. Each piece
/// but the first has sums of its own, as long as `out`: worth it where filling and adding those is a small part of the work.
pub fn sum_pieces<F>(n: usize, pieces: usize, out: &mut [f64], add: F)
where
    F: Fn(std::ops::Range<usize>, &mut [f64]) + Sync,
{
    out.fill(0.0);
    let step = n.div_ceil(pieces.max(1));
    let pieces = n.div_ceil(step.max(1));
    if pieces <= 1 {
        return add(0..n, out);
    }
    let (range, length) = (|piece: usize| piece * step..n.min((piece + 1) * step), out.len());
    let others = || {
        let sums = |piece: usize| {
            let mut sums = vec![0.0; length];
            add(range(piece), &mut sums);
            sums
        };
        (1..pieces).into_par_iter().map(sums).collect::<Vec<_>>()
    };
    let ((), others) = rayon::join(|| add(range(0), out), others);
    for sums in others {
        axpy(1.0, &sums, out);
    }
}

/// Pieces for [`sum_pieces`] over sums of `length` numbers that take so many multiplications: one, unless the work is much
/// more than filling and adding the pieces' own sums.
pub fn piece_count(multiplications: usize, length: usize) -> usize {
    if multiplications < PARALLEL_ENTRIES { 1 } else { (multiplications / (8 * length + 1)).clamp(1, 8) }
}

/// What rounding can add to a sum of n products, as a share of the sum of their sizes, in whatever order they are added.
pub fn summation_error(n: usize) -> f64 {
    (n as f64 + 8.0) * f64::EPSILON
}

/// x'y. Four accumulators per chunk: fast, and more accurate than one.
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "dot needs vectors of one length");
    sum_chunks(x.len(), 1, |range| dot_serial(&x[range.clone()], &y[range]))
}

/// x'y on the calling thread. Eight accumulators: two vector registers of four, or one of eight.
pub fn dot_serial(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let tail: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in xs.zip(ys) {
        for k in 0..8 {
            lanes[k] += a[k] * b[k];
        }
    }
    let low = (lanes[0] + lanes[4]) + (lanes[1] + lanes[5]);
    let high = (lanes[2] + lanes[6]) + (lanes[3] + lanes[7]);
    (low + high) + tail
}

/// Euclidean norm. Scaled only when the plain sum of squares leaves the safe range of f64.
pub fn norm(x: &[f64]) -> f64 {
    let squares = dot(x, x);
    if squares.is_normal() && squares < 1e300 && squares > 1e-280 {
        return squares.sqrt();
    }
    let scale = norm_inf(x);
    if scale == 0.0 || !scale.is_finite() {
        return scale;
    }
    scale * x.iter().map(|v| (v / scale) * (v / scale)).sum::<f64>().sqrt()
}

/// Largest absolute entry; NaN if there is one; 0 for an empty vector.
///
/// Absolute values are ordered like their bits, NaN above infinity; four maxima side by side don't wait for each other.
pub fn norm_inf(x: &[f64]) -> f64 {
    let bits = |v: &f64| v.abs().to_bits();
    let mut largest = [0u64; 4];
    let (fours, rest) = x.as_chunks::<4>();
    for four in fours {
        for (largest, v) in largest.iter_mut().zip(four) {
            *largest = (*largest).max(bits(v));
        }
    }
    let largest = rest.iter().map(bits).chain(largest).fold(0, u64::max);
    f64::from_bits(largest)
}

/// y <- y + alpha x.
pub fn axpy(alpha: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "axpy needs vectors of one length");
    for (target, value) in y.iter_mut().zip(x) {
        *target += alpha * value;
    }
}

/// Sum of `values[k] * dense[indices[k]]`: a compressed row or column times a dense vector.
///
/// The indices ascend, as in every row of an sprs matrix; the last one is checked, once per call.
#[inline(always)]
pub(crate) fn sparse_dot(indices: &[u32], values: &[f64], dense: &[f64]) -> f64 {
    assert_eq!(indices.len(), values.len());
    assert!(indices.last().is_none_or(|&last| (last as usize) < dense.len()));
    debug_assert!(indices.iter().all(|&i| (i as usize) < dense.len()));
    let (index_quads, value_quads) = (indices.chunks_exact(4), values.chunks_exact(4));
    let (index_tail, value_tail) = (index_quads.remainder(), value_quads.remainder());
    let mut lanes = [0.0f64; 4];
    for (i, v) in index_quads.zip(value_quads) {
        for k in 0..4 {
            // SAFETY: the indices are those of a row or column of an sprs matrix, which ascend; the last was checked.
            lanes[k] += v[k] * unsafe { *dense.get_unchecked(i[k] as usize) };
        }
    }
    let mut tail = 0.0;
    for (&i, &v) in index_tail.iter().zip(value_tail) {
        tail += v * dense[i as usize];
    }
    ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + tail
}

/// out <- the outer vectors `range` of a compressed matrix (rows of CSR, columns of CSC) times `dense`, each as
/// [`sparse_dot`] does it. Bound by memory where `dense` stays in the nearest cache; vector gathers and prefetching
/// were tried and gain nothing there.
pub(crate) fn multiply_outer(
    matrix: CsMatViewI<f64, u32>,
    range: std::ops::Range<usize>,
    dense: &[f64],
    out: &mut [f64],
) {
    let offsets = matrix.indptr();
    let offsets = &offsets.raw_storage()[range.start..=range.end];
    let (indices, values) = (matrix.indices(), matrix.data());
    for (out, ends) in out.iter_mut().zip(offsets.windows(2)) {
        let entries = ends[0] as usize..ends[1] as usize;
        *out = sparse_dot(&indices[entries.clone()], &values[entries], dense);
    }
}

/// Adds A' W (A x + shift 1) over the rows `range` of a CSR matrix to `sums`, each row read once; returns the sum of
/// W (A x + shift 1) over them.
pub(crate) fn normal_rows(
    matrix: CsMatViewI<f64, u32>,
    range: std::ops::Range<usize>,
    weights: &[f64],
    x: &[f64],
    shift: f64,
    sums: &mut [f64],
) -> f64 {
    let offsets = matrix.indptr();
    let offsets = &offsets.raw_storage()[range.start..=range.end];
    let (indices, values) = (matrix.indices(), matrix.data());
    let mut total = 0.0;
    for (weight, ends) in weights[range].iter().zip(offsets.windows(2)) {
        let entries = ends[0] as usize..ends[1] as usize;
        let (indices, values) = (&indices[entries.clone()], &values[entries]);
        let z = weight * (sparse_dot(indices, values, x) + shift);
        sparse_axpy(z, indices, values, sums);
        total += z;
    }
    total
}

/// `dense[indices[k]] += alpha * values[k]`; the indices ascend.
#[inline(always)]
pub(crate) fn sparse_axpy(alpha: f64, indices: &[u32], values: &[f64], dense: &mut [f64]) {
    assert!(indices.last().is_none_or(|&last| (last as usize) < dense.len()));
    debug_assert!(indices.iter().all(|&i| (i as usize) < dense.len()));
    for (&i, &v) in indices.iter().zip(values) {
        // SAFETY: as in `gathered_dot`: indices ascend and the last was checked.
        unsafe { *dense.get_unchecked_mut(i as usize) += alpha * v };
    }
}

/// y <- A x for A in CSR. Parallel over the rows.
pub fn multiply(a: CsMatViewI<f64, u32>, x: &[f64], y: &mut [f64]) {
    assert_eq!((x.len(), y.len()), (a.cols(), a.rows()), "A x: wrong lengths");
    if a.nnz() < PARALLEL_ENTRIES {
        multiply_outer(a, 0..a.rows(), x, y);
    } else {
        const ROWS: usize = 1024;
        let parts = y.par_chunks_mut(ROWS).enumerate();
        parts.for_each(|(k, part)| multiply_outer(a, k * ROWS..k * ROWS + part.len(), x, part));
    }
}

/// Cuts `0..offsets.len() - 1` compressed rows (or columns) into at most `pieces` ranges of about equal numbers of
/// stored entries. Depends on the matrix alone, never on the number of threads.
pub fn balanced_ranges(offsets: &[u32], pieces: usize) -> Vec<std::ops::Range<usize>> {
    let outer = offsets.len().saturating_sub(1);
    let weight = |i: usize| offsets[i] as usize - offsets[0] as usize + i;
    let total = weight(outer.min(offsets.len().saturating_sub(1)));
    let mut ranges = Vec::with_capacity(pieces);
    let mut start = 0;
    for piece in 1..=pieces {
        let target = total * piece / pieces;
        let mut end = start;
        while end < outer && (weight(end + 1) <= target || piece == pieces) {
            end += 1;
        }
        if end > start {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}

/// Splits `out` into the parts that the ranges cover; the ranges are consecutive and cover it all.
pub fn split_by_ranges<'a, T>(mut out: &'a mut [T], ranges: &[std::ops::Range<usize>]) -> Vec<&'a mut [T]> {
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (part, rest) = out.split_at_mut(range.len());
        parts.push(part);
        out = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reductions_have_the_same_bits_on_every_number_of_threads() {
        let x: Vec<f64> = (0..300_007).map(|i| (i as f64 * 0.37).cos()).collect();
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (dot(&x, &x).to_bits(), norm(&x).to_bits()))
        };
        let one = bits(1);
        for threads in [2, 3, 7] {
            assert_eq!(bits(threads), one);
        }
    }

    #[test]
    fn sums_by_pieces_cover_every_index_once() {
        for (n, pieces) in [(0, 3), (1, 4), (10, 1), (10, 3), (7, 7), (9, 100)] {
            let mut out = vec![f64::NAN; 10];
            sum_pieces(n, pieces, &mut out, |range, sums| range.for_each(|i| sums[i] += 1.0));
            let expected: Vec<f64> = (0..10).map(|i| f64::from(i < n)).collect();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn norms_survive_the_ends_of_the_exponent_range() {
        assert!((norm(&[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e-200, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert_eq!(norm(&[]), 0.0);
        assert!(norm(&[f64::NAN, 1.0]).is_nan());
        assert!(norm_inf(&[1.0, f64::NAN, 2.0]).is_nan());
    }

    proptest! {
        #[test]
        fn dot_agrees_with_the_plain_sum(x in prop::collection::vec(-1e3f64..1e3, 0..200)) {
            let plain: f64 = x.iter().map(|v| v * (v + 1.0)).sum();
            let y: Vec<f64> = x.iter().map(|v| v + 1.0).collect();
            let scale: f64 = x.iter().map(|v| (v * (v + 1.0)).abs()).sum::<f64>() + 1.0;
            prop_assert!((dot(&x, &y) - plain).abs() <= 1e-13 * scale);
        }

        #[test]
        fn balanced_ranges_cover_everything_once(lengths in prop::collection::vec(0u32..50, 0..60), pieces in 1usize..9) {
            let mut offsets = vec![0u32];
            for l in &lengths { offsets.push(offsets[offsets.len() - 1] + l); }
            let covered: Vec<usize> = balanced_ranges(&offsets, pieces).into_iter().flatten().collect();
            prop_assert_eq!(covered, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
