//! Dense Cholesky factorisation, made for many small blocks.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};

use super::{FactorError, expect_size};

/// Columns that are finished together: the width of the register tile.
const WIDTH: usize = 4;
/// Columns that are factored between two updates by a matrix product, and the size up to which no such product pays.
const BLOCK: usize = 64;
const ONE_BLOCK: usize = 256;
/// Rows are padded to a multiple of this: two of the widest vector registers.
const ROW_PADDING: usize = 16;

/// L L' = A of a dense symmetric positive definite matrix.
///
/// Left-looking, four columns at a time, tiles of two vector registers by four columns held in registers (Golub and Van
/// Loan, Matrix Computations, section 4.2.6); above n = 256 in blocks of 64 columns, each updated by one matrix product
/// before. Storage grows to the largest n seen and is kept: factoring the same size
/// again allocates nothing. n^3/3 flops to factor, 2 n^2 to solve. One thread.
///
/// ```
/// use gradus::linalg::factor::DenseCholesky;
/// let mut cholesky = DenseCholesky::new();
/// cholesky.factor(2, &[4.0, 2.0, 2.0, 3.0])?;
/// let mut x = [8.0, 7.0];
/// cholesky.solve_in_place(&mut x)?;
/// assert!((x[0] - 1.25).abs() < 1e-15 && (x[1] - 1.5).abs() < 1e-15);
/// # Ok::<(), gradus::linalg::factor::FactorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DenseCholesky {
    arch: Arch,
    n: usize,
    /// Distance between columns of `l`.
    stride: usize,
    /// L, column-major, padded by rows of zeros and to a multiple of `WIDTH` columns with the identity.
    l: Vec<f64>,
    inverse_diagonal: Vec<f64>,
    factored: bool,
}

impl Default for DenseCholesky {
    fn default() -> Self {
        Self::new()
    }
}

impl DenseCholesky {
    /// An empty factorisation.
    pub fn new() -> Self {
        let (l, inverse_diagonal) = (Vec::new(), Vec::new());
        Self { arch: Arch::new(), n: 0, stride: 0, l, inverse_diagonal, factored: false }
    }

    /// The size of the factored matrix.
    pub fn dimension(&self) -> usize {
        self.n
    }

    /// Factors the n x n matrix A, column-major in `a`, of which only the lower triangle is read.
    ///
    /// # Errors
    /// `Dimension` unless `a` has n^2 entries; `NonFinite` with the first bad entry of the lower triangle;
    /// `NotPositiveDefinite` with the row of the first pivot that isn't positive. There is no factorisation then.
    pub fn factor(&mut self, n: usize, a: &[f64]) -> Result<(), FactorError> {
        self.factored = false;
        let entries = n.checked_mul(n).ok_or(FactorError::Backend(format!("n = {n} is too large")))?;
        expect_size("entries of a square matrix", entries, a.len())?;
        self.load(n, a);
        let failed = self.factor_blocks();
        match failed {
            None => {
                self.factored = true;
                Ok(())
            }
            // an entry that isn't finite always reaches the pivot of its row, so it is looked for only here
            Some(pivot) => Err(first_non_finite(n, a).unwrap_or(FactorError::NotPositiveDefinite { pivot })),
        }
    }

    /// Factors a positive semidefinite A as [`factor`](Self::factor) does; where a pivot fails, the diagonal of `a` is
    /// raised by 1e-14 of its mean, then by 100 times more at each of at most four further trials. Returns the shift.
    ///
    /// # Errors
    /// As [`factor`](Self::factor), for the last trial.
    pub fn factor_shifted(&mut self, n: usize, a: &mut [f64]) -> Result<f64, FactorError> {
        let mut outcome = self.factor(n, a);
        let mean = (0..n).map(|i| a[i * n + i]).sum::<f64>() / n.max(1) as f64;
        let (mut shift, mut total) = (1e-14 * mean, 0.0);
        for _ in 0..5 {
            match outcome {
                Ok(()) => return Ok(total),
                Err(FactorError::NotPositiveDefinite { .. }) if shift > 0.0 => {}
                Err(other) => return Err(other),
            }
            (0..n).for_each(|i| a[i * n + i] += shift);
            total += shift;
            shift *= 100.0;
            outcome = self.factor(n, a);
        }
        outcome.map(|()| total)
    }

    /// Factors block after block of columns; returns the first row whose pivot isn't positive.
    fn factor_blocks(&mut self) -> Option<usize> {
        let (n, stride) = (self.n, self.stride);
        let width = if n <= ONE_BLOCK { n.max(1) } else { BLOCK };
        for start in (0..n).step_by(width) {
            let end = (start + width).min(n);
            if start > 0 {
                // A(start.., start..end) -= L(start.., ..start) L(start..end, ..start)'
                let (left, panel) = self.l.split_at_mut(start * stride);
                let left = MatRef::from_column_major_slice(left, stride, start);
                let panel = &mut panel[..(end - start) * stride];
                let panel = MatMut::from_column_major_slice_mut(panel, stride, end - start);
                matmul(
                    panel.subrows_mut(start, n - start),
                    Accum::Add,
                    left.subrows(start, n - start),
                    left.subrows(start, end - start).transpose(),
                    -1.0,
                    Par::Seq,
                );
            }
            let block = &mut self.l[start * stride..];
            let inverse_diagonal = &mut self.inverse_diagonal[..];
            let failed = self.arch.dispatch(Factor { start, end, n, stride, block, inverse_diagonal });
            if failed.is_some() {
                return failed;
            }
        }
        None
    }

    /// Copies the lower triangle into the padded storage.
    fn load(&mut self, n: usize, a: &[f64]) {
        let columns = n.next_multiple_of(WIDTH);
        let mut stride = n.next_multiple_of(ROW_PADDING);
        // columns a multiple of 4096 bytes apart compete for the same cache sets
        if stride.is_multiple_of(512) {
            stride += ROW_PADDING;
        }
        self.n = n;
        self.stride = stride;
        self.l.clear();
        self.l.resize(columns * stride, 0.0);
        self.inverse_diagonal.clear();
        self.inverse_diagonal.resize(columns, 1.0);
        for j in 0..n {
            self.l[j * stride + j..j * stride + n].copy_from_slice(&a[j * n + j..(j + 1) * n]);
        }
        for j in n..columns {
            self.l[j * stride + j] = 1.0;
        }
    }

    /// x <- A^{-1} x.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension` unless x has n entries.
    pub fn solve_in_place(&self, x: &mut [f64]) -> Result<(), FactorError> {
        self.solve_lower_in_place(x)?;
        self.solve_upper_in_place(x)
    }

    /// x <- L^{-1} x.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension` unless x has n entries.
    pub fn solve_lower_in_place(&self, x: &mut [f64]) -> Result<(), FactorError> {
        self.check(x)?;
        let (l, inverse_diagonal) = (&self.l[..], &self.inverse_diagonal[..]);
        self.arch.dispatch(SolveLower { stride: self.stride, l, inverse_diagonal, x });
        Ok(())
    }

    /// x <- L^{-T} x.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension` unless x has n entries.
    pub fn solve_upper_in_place(&self, x: &mut [f64]) -> Result<(), FactorError> {
        self.check(x)?;
        let (l, inverse_diagonal) = (&self.l[..], &self.inverse_diagonal[..]);
        self.arch.dispatch(SolveUpper { stride: self.stride, l, inverse_diagonal, x });
        Ok(())
    }

    /// Column j of L from its diagonal entry downwards, or nothing without a factorisation.
    pub fn column(&self, j: usize) -> Option<&[f64]> {
        (self.factored && j < self.n).then(|| &self.l[j * self.stride + j..j * self.stride + self.n])
    }

    fn check(&self, x: &[f64]) -> Result<(), FactorError> {
        if !self.factored {
            return Err(FactorError::NotFactored);
        }
        expect_size("entries of the right-hand side", self.n, x.len())
    }
}

/// The first entry of the lower triangle that isn't finite, by columns.
fn first_non_finite(n: usize, a: &[f64]) -> Option<FactorError> {
    (0..n).flat_map(|column| (column..n).map(move |row| (row, column))).find_map(|(row, column)| {
        let value = a[column * n + row];
        (!value.is_finite()).then_some(FactorError::NonFinite { row, column, value })
    })
}

/// Factors columns start..end in place; returns the first row whose pivot isn't positive.
struct Factor<'a> {
    start: usize,
    end: usize,
    n: usize,
    stride: usize,
    /// The columns from `start` on.
    block: &'a mut [f64],
    inverse_diagonal: &'a mut [f64],
}

impl WithSimd for Factor<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<usize> {
        let Self { start, end, n, stride, block: columns, inverse_diagonal } = self;
        let tile = 2 * S::F64_LANES;
        for j in (start..end).step_by(WIDTH) {
            let (left, panel) = columns.split_at_mut((j - start) * stride);
            // rows j.. of the panel; the rows above j in the first tile belong to the unused upper triangle
            let mut i = j - j % tile;
            while i < j + WIDTH {
                let sums = updated_tile(simd, left, panel, stride, i, j);
                store_tile(simd, panel, stride, i, sums);
                i += tile;
            }
            let first_below = i;
            let mut block = [[0.0; WIDTH]; WIDTH];
            for (c, column) in block.iter_mut().enumerate() {
                column.copy_from_slice(&panel[c * stride + j..c * stride + j + WIDTH]);
            }
            let inverse = &mut inverse_diagonal[j..j + WIDTH];
            // a constant count lets the compiler unroll the block
            let failed = match n - j {
                count @ ..WIDTH => factor_block(&mut block, inverse, count),
                _ => factor_block(&mut block, inverse, WIDTH),
            };
            if let Some(c) = failed {
                return Some(j + c);
            }
            i = j - j % tile;
            while i < first_below {
                let sums = load_tile(simd, panel, stride, i);
                let solved = solve_tile(simd, sums, &block, inverse);
                store_tile(simd, panel, stride, i, solved);
                i += tile;
            }
            for (c, column) in block.iter().enumerate() {
                panel[c * stride + j..c * stride + j + WIDTH].copy_from_slice(column);
            }
            while i < n {
                let sums = updated_tile(simd, left, panel, stride, i, j);
                let solved = solve_tile(simd, sums, &block, inverse);
                store_tile(simd, panel, stride, i, solved);
                i += tile;
            }
        }
        None
    }
}

/// Two vector registers of rows by `WIDTH` columns.
type Tile<S> = [[<S as Simd>::f64s; 2]; WIDTH];

#[inline(always)]
fn load_tile<S: Simd>(simd: S, panel: &[f64], stride: usize, i: usize) -> Tile<S> {
    let lanes = S::F64_LANES;
    let mut tile = [[simd.splat_f64s(0.0); 2]; WIDTH];
    for (c, pair) in tile.iter_mut().enumerate() {
        let rows = &panel[c * stride + i..c * stride + i + 2 * lanes];
        let (vectors, _) = S::as_simd_f64s(rows);
        *pair = [vectors[0], vectors[1]];
    }
    tile
}

#[inline(always)]
fn store_tile<S: Simd>(_simd: S, panel: &mut [f64], stride: usize, i: usize, tile: Tile<S>) {
    let lanes = S::F64_LANES;
    for (c, pair) in tile.into_iter().enumerate() {
        let rows = &mut panel[c * stride + i..c * stride + i + 2 * lanes];
        let (vectors, _) = S::as_mut_simd_f64s(rows);
        vectors[0] = pair[0];
        vectors[1] = pair[1];
    }
}

/// Rows i.. of columns j..j + WIDTH, less the part of the finished columns in `left`: A_ic - sum_k L_ik L_ck.
#[inline(always)]
fn updated_tile<S: Simd>(simd: S, left: &[f64], panel: &[f64], stride: usize, i: usize, j: usize) -> Tile<S> {
    let lanes = S::F64_LANES;
    let zero = simd.splat_f64s(0.0);
    let mut sums = [[zero; 2]; WIDTH];
    for column in left.chunks_exact(stride) {
        let (rows, _) = S::as_simd_f64s(&column[i..i + 2 * lanes]);
        let (upper, lower) = (rows[0], rows[1]);
        for (pair, &factor) in sums.iter_mut().zip(&column[j..j + WIDTH]) {
            let factor = simd.splat_f64s(factor);
            pair[0] = simd.mul_add_f64s(upper, factor, pair[0]);
            pair[1] = simd.mul_add_f64s(lower, factor, pair[1]);
        }
    }
    let mut tile = load_tile(simd, panel, stride, i);
    for (pair, sum) in tile.iter_mut().zip(sums) {
        pair[0] = simd.sub_f64s(pair[0], sum[0]);
        pair[1] = simd.sub_f64s(pair[1], sum[1]);
    }
    tile
}

/// Cholesky of the first `count` columns of the diagonal block, the others are the identity; zeros above the diagonal.
/// Returns the column that failed.
#[inline(always)]
fn factor_block(block: &mut [[f64; WIDTH]; WIDTH], inverse: &mut [f64], count: usize) -> Option<usize> {
    for c in 0..count {
        let (left, right) = block.split_at_mut(c);
        for column in left {
            let factor = column[c];
            right[0][c..].iter_mut().zip(&column[c..]).for_each(|(value, other)| *value -= other * factor);
        }
        let pivot = block[c][c];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Some(c);
        }
        let root = pivot.sqrt();
        inverse[c] = 1.0 / root;
        block[c][c] = root;
        for value in &mut block[c][c + 1..] {
            *value *= inverse[c];
        }
        block[c][..c].fill(0.0);
    }
    None
}

/// Rows x with x L' = tile, L the diagonal block.
#[inline(always)]
fn solve_tile<S: Simd>(
    simd: S,
    mut tile: Tile<S>,
    block: &[[f64; WIDTH]; WIDTH],
    inverse: &[f64],
) -> Tile<S> {
    for c in 0..WIDTH {
        for k in 0..c {
            let factor = simd.splat_f64s(-block[k][c]);
            tile[c][0] = simd.mul_add_f64s(tile[k][0], factor, tile[c][0]);
            tile[c][1] = simd.mul_add_f64s(tile[k][1], factor, tile[c][1]);
        }
        let scale = simd.splat_f64s(inverse[c]);
        tile[c] = [simd.mul_f64s(tile[c][0], scale), simd.mul_f64s(tile[c][1], scale)];
    }
    tile
}

/// x <- L^{-1} x by columns of L, `WIDTH` at a time.
struct SolveLower<'a> {
    stride: usize,
    l: &'a [f64],
    inverse_diagonal: &'a [f64],
    x: &'a mut [f64],
}

impl WithSimd for SolveLower<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len();
        for j in (0..n).step_by(WIDTH) {
            let end = (j + WIDTH).min(n);
            for c in j..end {
                let value = self.x[c] * self.inverse_diagonal[c];
                self.x[c] = value;
                for r in c + 1..end {
                    self.x[r] -= self.l[c * self.stride + r] * value;
                }
            }
            if end == n {
                break;
            }
            let column =
                |c: usize| S::as_simd_f64s(&self.l[(j + c) * self.stride + end..(j + c) * self.stride + n]);
            let [(l0, t0), (l1, t1), (l2, t2), (l3, t3)] = [column(0), column(1), column(2), column(3)];
            let (done, below) = self.x.split_at_mut(end);
            let values = [done[j], done[j + 1], done[j + 2], done[j + 3]];
            let [v0, v1, v2, v3] = values.map(|value| simd.splat_f64s(-value));
            let (head, tail) = S::as_mut_simd_f64s(below);
            for ((((x, &l0), &l1), &l2), &l3) in head.iter_mut().zip(l0).zip(l1).zip(l2).zip(l3) {
                let first = simd.mul_add_f64s(l1, v1, simd.mul_add_f64s(l0, v0, *x));
                *x = simd.mul_add_f64s(l3, v3, simd.mul_add_f64s(l2, v2, first));
            }
            for (k, x) in tail.iter_mut().enumerate() {
                *x -= t0[k] * values[0] + t1[k] * values[1] + t2[k] * values[2] + t3[k] * values[3];
            }
        }
    }
}

/// x <- L^{-T} x by columns of L, `WIDTH` at a time.
struct SolveUpper<'a> {
    stride: usize,
    l: &'a [f64],
    inverse_diagonal: &'a [f64],
    x: &'a mut [f64],
}

impl WithSimd for SolveUpper<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len();
        for j in (0..n).step_by(WIDTH).rev() {
            let end = (j + WIDTH).min(n);
            if end < n {
                let column = |c: usize| {
                    S::as_simd_f64s(&self.l[(j + c) * self.stride + end..(j + c) * self.stride + n])
                };
                let [(l0, t0), (l1, t1), (l2, t2), (l3, t3)] = [column(0), column(1), column(2), column(3)];
                let (head, tail) = S::as_simd_f64s(&self.x[end..]);
                let zero = simd.splat_f64s(0.0);
                let [mut s0, mut s1, mut s2, mut s3] = [zero; 4];
                for ((((&x, &l0), &l1), &l2), &l3) in head.iter().zip(l0).zip(l1).zip(l2).zip(l3) {
                    s0 = simd.mul_add_f64s(l0, x, s0);
                    s1 = simd.mul_add_f64s(l1, x, s1);
                    s2 = simd.mul_add_f64s(l2, x, s2);
                    s3 = simd.mul_add_f64s(l3, x, s3);
                }
                let mut sums = [s0, s1, s2, s3].map(|sum| simd.reduce_sum_f64s(sum));
                for (sum, rest) in sums.iter_mut().zip([t0, t1, t2, t3]) {
                    *sum += rest.iter().zip(tail).map(|(l, x)| l * x).sum::<f64>();
                }
                self.x[j..end].iter_mut().zip(sums).for_each(|(x, sum)| *x -= sum);
            }
            for c in (j..end).rev() {
                let sum: f64 = (c + 1..end).map(|r| self.l[c * self.stride + r] * self.x[r]).sum();
                self.x[c] = (self.x[c] - sum) * self.inverse_diagonal[c];
            }
        }
    }
}
