//! A split into its diagonal and triangles in compressed rows, and the arithmetic of one row.
//!
//! The entry next to the diagonal, a_{i,i-1}, is kept apart (`link`): in a solve with a triangle the unknown before it is the
//! newest one, so it is used last and from a register. The chain from one row to the next is then one fused operation
//! long; everything else overlaps with the rows before.

use std::ops::Range;

use super::lanes::{Eight, LANES, load};
use super::strips::{Pattern, STRIP};
use crate::linalg::elementary::multiply_add;

/// D + c I: one value for all rows where D is constant.
pub struct Diagonal {
    /// D, n entries or one.
    unshifted: Vec<f64>,
    value: Vec<f64>,
    inverse: Vec<f64>,
    /// Row to index: all ones where every row has its own value, 0 where all share the first.
    mask: usize,
}

impl Diagonal {
    pub fn new(diagonal: &[f64]) -> Self {
        let constant = diagonal.iter().all(|d| *d == diagonal[0]);
        let unshifted =
            if constant { vec![diagonal.first().copied().unwrap_or(1.0)] } else { diagonal.to_vec() };
        let mask = if constant { 0 } else { usize::MAX };
        let mut this = Self { value: unshifted.clone(), inverse: unshifted.clone(), unshifted, mask };
        this.set_shift(0.0);
        this
    }

    pub fn set_shift(&mut self, shift: f64) {
        for ((value, inverse), d) in self.value.iter_mut().zip(&mut self.inverse).zip(&self.unshifted) {
            *value = d + shift;
            *inverse = 1.0 / *value;
        }
    }

    #[inline(always)]
    pub fn value(&self, i: usize) -> f64 {
        self.value[i & self.mask]
    }

    #[inline(always)]
    pub fn inverse(&self, i: usize) -> f64 {
        self.inverse[i & self.mask]
    }

    /// Values of eight rows, and omega times their inverses.
    #[inline(always)]
    pub fn eight(&self, omega: f64, i: usize) -> (Eight, Eight) {
        if self.mask == 0 {
            return ([self.value[0]; LANES], [omega * self.inverse[0]; LANES]);
        }
        (load(&self.value, i), load(&self.inverse, i).map(|inverse| omega * inverse))
    }
}

/// Compressed rows of a strict triangle.
#[derive(Default)]
pub struct Triangle {
    starts: Vec<u32>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Triangle {
    fn with_capacity(rows: usize, entries: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self { starts, columns: Vec::with_capacity(entries), values: Vec::with_capacity(entries) }
    }

    fn push(&mut self, column: usize, value: f64) {
        self.columns.push(column as u32);
        self.values.push(value);
    }

    fn end_row(&mut self) {
        self.starts.push(self.columns.len() as u32);
    }

    /// `sum` and the sum of a_ij x_j over the entries of row i, in their order.
    ///
    /// # Safety
    /// i is a row, and x points to as many readable entries as there are rows, none of row i's columns written meanwhile.
    #[inline(always)]
    unsafe fn add_dot(&self, i: usize, x: *const f64, mut sum: f64) -> f64 {
        // SAFETY: `starts` has rows + 1 ascending entries up to the number of columns, each column is below the number of rows
        unsafe {
            let (start, end) = (*self.starts.get_unchecked(i), *self.starts.get_unchecked(i + 1));
            for k in start as usize..end as usize {
                sum += *self.values.get_unchecked(k) * *x.add(*self.columns.get_unchecked(k) as usize);
            }
            sum
        }
    }

    pub fn columns_of(&self, i: usize) -> &[u32] {
        &self.columns[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    pub fn entries_of(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[i] as usize..self.starts[i + 1] as usize;
        self.columns[range.clone()].iter().map(|&j| j as usize).zip(self.values[range].iter().copied())
    }
}

/// A = D + L + L', symmetric, all of D positive.
pub struct Split {
    pub diagonal: Diagonal,
    /// a_{i,i-1} for i in 0..=n, with 0 at both ends.
    pub link: Vec<f64>,
    /// L and L' without the links.
    pub lower: Triangle,
    pub upper: Triangle,
}

/// What the rows of the triangles are made from: row i's entries left of the diagonal, then those right of it.
pub struct Builder {
    split: Split,
    n: usize,
    row: usize,
}

impl Builder {
    pub fn new(diagonal: &[f64], nonzeros: usize) -> Self {
        let n = diagonal.len();
        let half = nonzeros / 2;
        let split = Split {
            diagonal: Diagonal::new(diagonal),
            link: vec![0.0; n + 1],
            lower: Triangle::with_capacity(n, half),
            upper: Triangle::with_capacity(n, half),
        };
        Self { split, n, row: 0 }
    }

    /// An entry of the current row, not on the diagonal; columns ascending.
    pub fn push(&mut self, column: usize, value: f64) {
        debug_assert!(column < self.n && column != self.row);
        if column + 1 == self.row {
            self.split.link[self.row] = value;
        } else if column < self.row {
            self.split.lower.push(column, value);
        } else if column > self.row + 1 {
            self.split.upper.push(column, value);
        }
    }

    pub fn end_row(&mut self) {
        self.split.lower.end_row();
        self.split.upper.end_row();
        self.row += 1;
    }

    pub fn finish(self) -> Split {
        debug_assert_eq!(self.row, self.n);
        self.split
    }
}

/// What the rows of one pass have in common.
#[derive(Clone, Copy)]
pub struct RowPass {
    pub omega: f64,
    /// Whether multiplication and addition are one operation on this machine.
    pub fused: bool,
}

/// Vectors that the rows of one sweep read and write, as pointers: in a sweep by levels several threads hold them.
///
/// In each function below row i must be a row of the matrix, every pointer must reach n entries, and no other thread may write
/// what row i reads: entries of the written vector at the row's columns in the triangle that the sweep has behind it.
impl Split {
    pub fn n(&self) -> usize {
        self.link.len() - 1
    }

    /// The new x_i of a forward sweep and the square of the row's residual, x_{i-1} and x_{i+1} given.
    ///
    /// # Safety
    /// See above.
    pub unsafe fn sor_forward_row(
        &self,
        i: usize,
        pass: RowPass,
        b_i: f64,
        x: *const f64,
        [before, after]: [f64; 2],
    ) -> (f64, f64) {
        // SAFETY: as the caller promises
        let (old, others) = unsafe { (*x.add(i), self.upper.add_dot(i, x, self.lower.add_dot(i, x, 0.0))) };
        let rest = b_i - (others + self.link[i + 1] * after);
        self.relaxed(i, pass, old, rest, self.link[i], before)
    }

    /// The same for a backward sweep.
    ///
    /// # Safety
    /// See above.
    pub unsafe fn sor_backward_row(
        &self,
        i: usize,
        pass: RowPass,
        b_i: f64,
        x: *const f64,
        [before, after]: [f64; 2],
    ) -> (f64, f64) {
        // SAFETY: as the caller promises
        let (old, others) = unsafe { (*x.add(i), self.upper.add_dot(i, x, self.lower.add_dot(i, x, 0.0))) };
        let rest = b_i - (others + self.link[i] * before);
        self.relaxed(i, pass, old, rest, self.link[i + 1], after)
    }

    /// The new x_i from what is left of b_i without the newest neighbour, and the square of the residual.
    fn relaxed(&self, i: usize, pass: RowPass, old: f64, rest: f64, link: f64, newest: f64) -> (f64, f64) {
        let weight = pass.omega * self.diagonal.inverse(i);
        let t = rest * weight + (1.0 - pass.omega) * old;
        let new = multiply_add(pass.fused, -(link * weight), newest, t);
        let residual = (new - old) * self.diagonal.value(i);
        (new, residual * residual)
    }

    /// Row i of E^{-1}: (right - sum of l_ij y_j) omega / d_i, y_{i-1} given.
    ///
    /// # Safety
    /// See above.
    pub unsafe fn lower_row(&self, i: usize, pass: RowPass, right: f64, y: *const f64, before: f64) -> f64 {
        let weight = pass.omega * self.diagonal.inverse(i);
        // SAFETY: as the caller promises
        let rest = right - unsafe { self.lower.add_dot(i, y, 0.0) };
        multiply_add(pass.fused, -(self.link[i] * weight), before, rest * weight)
    }

    /// Row i of E^{-T}, y_{i+1} given.
    ///
    /// # Safety
    /// See above.
    pub unsafe fn upper_row(&self, i: usize, pass: RowPass, right: f64, y: *const f64, after: f64) -> f64 {
        let weight = pass.omega * self.diagonal.inverse(i);
        // SAFETY: as the caller promises
        let rest = right - unsafe { self.upper.add_dot(i, y, 0.0) };
        multiply_add(pass.fused, -(self.link[i + 1] * weight), after, rest * weight)
    }

    /// Row i of (A + c I) x.
    pub fn product_row(&self, i: usize, x: &[f64]) -> f64 {
        assert!(x.len() == self.n() && i < x.len());
        let before = if i > 0 { x[i - 1] } else { 0.0 };
        let after = x.get(i + 1).copied().unwrap_or(0.0);
        // SAFETY: x has n entries and nobody writes them
        let others = unsafe { self.upper.add_dot(i, x.as_ptr(), self.lower.add_dot(i, x.as_ptr(), 0.0)) };
        others + self.link[i] * before + self.link[i + 1] * after + self.diagonal.value(i) * x[i]
    }

    /// Row i of E g.
    pub fn lower_product_row(&self, i: usize, omega: f64, g: &[f64]) -> f64 {
        assert!(g.len() == self.n() && i < g.len());
        let before = if i > 0 { g[i - 1] } else { 0.0 };
        // SAFETY: g has n entries and nobody writes them
        let sum = unsafe { self.lower.add_dot(i, g.as_ptr(), 0.0) };
        sum + self.link[i] * before + self.diagonal.value(i) / omega * g[i]
    }

    /// The entries of row i, columns ascending.
    pub fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        self.lower.entries_of(i).for_each(|(j, value)| entry(j, value));
        if i > 0 && self.link[i] != 0.0 {
            entry(i - 1, self.link[i]);
        }
        entry(i, self.diagonal.value(i));
        if self.link[i + 1] != 0.0 {
            entry(i + 1, self.link[i + 1]);
        }
        self.upper.entries_of(i).for_each(|(j, value)| entry(j, value));
    }
}

/// Compressed rows: for matrices of any shape.
pub struct Rows(pub Split);

impl Pattern for Rows {
    fn n(&self) -> usize {
        self.0.n()
    }

    fn count(&self) -> usize {
        self.0.n().div_ceil(STRIP)
    }

    fn rows(&self, strip: usize) -> Range<usize> {
        strip * STRIP..self.0.n().min((strip + 1) * STRIP)
    }

    #[inline(always)]
    fn by_eights(&self, _: usize) -> bool {
        false
    }

    #[inline(always)]
    fn diagonal(&self) -> &Diagonal {
        &self.0.diagonal
    }

    fn diagonal_mut(&mut self) -> &mut Diagonal {
        &mut self.0.diagonal
    }

    #[inline(always)]
    fn link(&self, i: usize) -> f64 {
        self.0.link[i]
    }

    #[inline(always)]
    fn links(&self, i: usize) -> Eight {
        load(&self.0.link, i)
    }

    #[inline(always)]
    fn add_lower(&self, _: usize, i: usize, x: &[f64], sum: f64) -> f64 {
        assert!(x.len() == self.n() && i < x.len());
        // SAFETY: i is a row, x has an entry for each, and nobody writes them
        unsafe { self.0.lower.add_dot(i, x.as_ptr(), sum) }
    }

    #[inline(always)]
    fn add_upper(&self, _: usize, i: usize, x: &[f64], sum: f64) -> f64 {
        assert!(x.len() == self.n() && i < x.len());
        // SAFETY: as above
        unsafe { self.0.upper.add_dot(i, x.as_ptr(), sum) }
    }

    #[inline(always)]
    fn add_lower_eight(&self, strip: usize, i: usize, x: &[f64], sums: Eight) -> Eight {
        std::array::from_fn(|k| self.add_lower(strip, i + k, x, sums[k]))
    }

    #[inline(always)]
    fn add_upper_eight(&self, strip: usize, i: usize, x: &[f64], sums: Eight) -> Eight {
        std::array::from_fn(|k| self.add_upper(strip, i + k, x, sums[k]))
    }

    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        self.0.row(i, entry);
    }
}
