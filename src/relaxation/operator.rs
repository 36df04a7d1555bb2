//! The matrix of a system, checked once and stored for sweeps.

use std::sync::OnceLock;

use sprs::{CsMatI, CsMatViewI};

use super::Error;
use super::sweep::Sweeps;
use super::sweep::diagonals::Diagonals;
use super::sweep::grid::Grid;
use super::sweep::levels::Levels;
use super::sweep::rows::{Builder, Rows};
use super::sweep::strips::Strips;
use crate::linalg::krylov::LinearOperator;
use crate::linalg::product;

/// The order in which the rows are swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Rows in their own order, one thread; constant coefficients on a grid are recognised and need no index array.
    #[default]
    Natural,
    /// The natural order, rows that don't wait for each other on several threads: the same bits. Pays from about 1e5 rows
    /// and four threads on.
    Levels,
    /// Rows permuted by colour, so that no two of one colour are coupled; then as `Levels`. Keeps the rate of SOR on
    /// consistently ordered matrices, but costs SSOR-CG most of its gain: use omega = 1 there.
    Multicolour,
}

/// A symmetric matrix A + c I with a positive diagonal, made for sweeps. The shift c can be changed at any time.
///
/// Cost of making one: one pass over the entries of A (two for the check of a grid). Memory: 20 bytes an entry.
pub struct Operator {
    sweeps: Box<dyn Sweeps>,
    diagonal: Vec<f64>,
    /// Sum of the sizes of the off-diagonal entries, by rows.
    off_diagonal: Vec<f64>,
    constant: bool,
    /// The largest of `off_diagonal`.
    largest_off: f64,
    /// A hash of the entries.
    values: u64,
    shift: f64,
    nonzeros: usize,
    ordering: Ordering,
    /// New row to old row, for the multicolour order.
    permutation: Option<Vec<u32>>,
    grid: Option<(usize, usize)>,
    pattern: u64,
    consistent: OnceLock<bool>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (n, ordering, shift) = (self.dimension(), self.ordering, self.shift);
        write!(
            f,
            "Operator {{ n: {n}, nonzeros: {}, ordering: {ordering:?}, shift: {shift} }}",
            self.nonzeros
        )
    }
}

impl Operator {
    /// From a symmetric matrix with all its entries stored, in the natural order.
    ///
    /// # Errors
    /// A matrix that isn't square or isn't symmetric to 1e-12 of its largest entry, an entry that isn't finite, a diagonal entry
    /// that isn't positive; each named with its row.
    pub fn new(a: CsMatViewI<f64, u32>) -> Result<Self, Error> {
        Self::with_ordering(a, Ordering::Natural)
    }

    /// The same in another order of the rows.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub fn with_ordering(a: CsMatViewI<f64, u32>, ordering: Ordering) -> Result<Self, Error> {
        let diagonal = match check(a) {
            // an entry that counts for nothing and has no mirror image
            Err(Flaw::OneSided) => return Self::with_ordering(two_sided(a).view(), ordering),
            Err(Flaw::Refused(error)) => return Err(error),
            Ok(diagonal) => diagonal,
        };
        if ordering != Ordering::Multicolour {
            return Ok(Self::build(a, diagonal, ordering, None));
        }
        let permutation = by_colour(a);
        let permuted = permute(a, &permutation);
        let diagonal = permutation.iter().map(|&i| diagonal[i as usize]).collect();
        Ok(Self::build(permuted.view(), diagonal, ordering, Some(permutation)))
    }

    /// A matrix that was checked.
    fn build(
        a: CsMatViewI<f64, u32>,
        diagonal: Vec<f64>,
        ordering: Ordering,
        permutation: Option<Vec<u32>>,
    ) -> Self {
        let n = diagonal.len();
        let constant = diagonal.iter().all(|d| *d == diagonal[0]);
        let row = |i: usize, entry: &mut dyn FnMut(usize, f64)| {
            if let Some(row) = a.outer_view(i) {
                row.iter().for_each(|(j, &value)| entry(j, value));
            }
        };
        let grid = if constant && ordering == Ordering::Natural { Grid::recognise(n, row) } else { None };
        let shape = grid.as_ref().map(Grid::shape);
        let mut off_diagonal = vec![0.0; n];
        let mut builder = if grid.is_none() { Some(Builder::new(&diagonal, a.nnz())) } else { None };
        let (mut pattern, mut values) = (Hash::new(n), Hash::new(n));
        a.data().iter().for_each(|value| values.add(value.to_bits()));
        for (i, row) in a.outer_iterator().enumerate() {
            for (j, &value) in row.iter().filter(|&(j, _)| j != i) {
                off_diagonal[i] += value.abs();
                pattern.add(j as u64);
                if let Some(builder) = &mut builder {
                    builder.push(j, value);
                }
            }
            pattern.add(u64::MAX);
            if let Some(builder) = &mut builder {
                builder.end_row();
            }
        }
        let sweeps: Box<dyn Sweeps> = match (grid, builder) {
            (Some(grid), _) => Box::new(Strips(grid)),
            (None, Some(builder)) if ordering == Ordering::Natural => {
                match Diagonals::new(builder.finish()) {
                    Ok(diagonals) => Box::new(Strips(diagonals)),
                    Err(split) => Box::new(Strips(Rows(*split))),
                }
            }
            (None, builder) => {
                Box::new(Levels::new(builder.unwrap_or_else(|| Builder::new(&[], 0)).finish()))
            }
        };
        Self {
            sweeps,
            diagonal,
            largest_off: off_diagonal.iter().copied().fold(0.0, f64::max),
            values: values.0,
            off_diagonal,
            constant,
            shift: 0.0,
            nonzeros: a.nnz(),
            ordering,
            permutation,
            grid: shape,
            pattern: pattern.0,
            consistent: OnceLock::new(),
        }
    }

    /// Number of rows.
    pub fn dimension(&self) -> usize {
        self.diagonal.len()
    }

    /// Stored entries of A.
    pub fn nonzeros(&self) -> usize {
        self.nonzeros
    }

    /// The order of the rows.
    pub fn ordering(&self) -> Ordering {
        self.ordering
    }

    /// The shift c.
    pub fn shift(&self) -> f64 {
        self.shift
    }

    /// Points a line and number of dimensions, if the matrix is one stencil with constant coefficients on a grid.
    pub fn grid(&self) -> Option<(usize, usize)> {
        self.grid
    }

    /// A number that tells patterns apart: equal for matrices of equal size with entries at equal places.
    pub fn pattern(&self) -> u64 {
        self.pattern
    }

    /// A number that tells the entries of A apart.
    pub(super) fn values(&self) -> u64 {
        self.values
    }

    /// Turns the matrix into A + c I for another c. n operations, nothing is rebuilt.
    ///
    /// # Errors
    /// A shift that isn't finite or makes a diagonal entry zero or negative; the matrix then stays as it was.
    pub fn set_shift(&mut self, shift: f64) -> Result<(), Error> {
        if !shift.is_finite() {
            return Err(Error::Option(format!("the shift is {shift}; it must be finite")));
        }
        let rows = if self.constant { self.diagonal.len().min(1) } else { self.diagonal.len() };
        if let Some(row) =
            self.diagonal[..rows].iter().position(|d| !(d + shift > 0.0 && (d + shift).is_finite()))
        {
            let value = self.diagonal[row] + shift;
            return Err(Error::Diagonal { row: self.original_row(row), value });
        }
        self.shift = shift;
        self.sweeps.set_shift(shift);
        Ok(())
    }

    fn original_row(&self, row: usize) -> usize {
        self.permutation.as_ref().map_or(row, |p| p[row] as usize)
    }

    /// d if all diagonal entries of A + c I are d.
    pub fn constant_diagonal(&self) -> Option<f64> {
        (self.constant && !self.diagonal.is_empty()).then(|| self.diagonal[0] + self.shift)
    }

    /// The mean diagonal entry of A + c I: tells shifted matrices apart. NaN for an empty matrix.
    pub fn mean_diagonal(&self) -> f64 {
        self.diagonal.iter().sum::<f64>() / self.diagonal.len() as f64 + self.shift
    }

    /// min over the rows of (a_ii - sum of |a_ij|) / a_ii, a lower bound of 1 - beta by Gershgorin's theorem. Positive if and only if
    /// A + c I is strictly diagonally dominant. n operations, a few where the diagonal is constant.
    pub fn dominance(&self) -> f64 {
        if self.constant && !self.diagonal.is_empty() {
            return 1.0 - self.largest_off / (self.diagonal[0] + self.shift);
        }
        let rows = self.diagonal.iter().zip(&self.off_diagonal);
        rows.map(|(d, off)| 1.0 - off / (d + self.shift)).fold(f64::INFINITY, f64::min)
    }

    /// The largest row sum of absolute values of A + c I.
    pub fn norm_inf(&self) -> f64 {
        let rows = self.diagonal.iter().zip(&self.off_diagonal);
        rows.map(|(d, off)| d + self.shift + off).fold(0.0, f64::max)
    }

    /// Whether the order of the rows is consistent in Young's sense: numbers q_i exist with q_j = q_i + 1 for all i < j with
    /// a_ij != 0. Then Young's formulas hold. One pass over the entries, once.
    pub fn is_consistently_ordered(&self) -> bool {
        *self.consistent.get_or_init(|| self.grid.is_some() || consistent(self))
    }

    /// y <- (A + c I) x, in the caller's order of the rows.
    pub fn multiply(&self, x: &[f64], y: &mut [f64]) {
        match &self.permutation {
            None => self.sweeps.multiply(x, y),
            Some(permutation) => {
                let inner = gather(x, permutation);
                let mut product = vec![0.0; y.len()];
                self.sweeps.multiply(&inner, &mut product);
                scatter(&product, permutation, y);
            }
        }
    }

    /// The sweeps, on vectors in the order that [`enter`](Self::enter) gives.
    pub(super) fn sweeps(&self) -> &dyn Sweeps {
        &*self.sweeps
    }

    /// r <- b - (A + c I) x in the inner order; returns |r|.
    pub(super) fn residual(&self, b: &[f64], x: &[f64], r: &mut [f64]) -> f64 {
        if x.iter().all(|&x| x == 0.0) {
            r.copy_from_slice(b);
        } else {
            self.sweeps.multiply(x, r);
            r.iter_mut().zip(b).for_each(|(r, b)| *r = b - *r);
        }
        product::norm(r)
    }

    /// A vector in the inner order of the rows; None where that is the caller's.
    pub(super) fn enter(&self, vector: &[f64]) -> Option<Vec<f64>> {
        self.permutation.as_ref().map(|permutation| gather(vector, permutation))
    }

    /// Back to the caller's order.
    pub(super) fn leave(&self, inner: &[f64], vector: &mut [f64]) {
        if let Some(permutation) = &self.permutation {
            scatter(inner, permutation, vector);
        }
    }

    /// A + c I in compressed rows, in the inner order.
    pub(super) fn to_csr(&self) -> CsMatI<f64, u32> {
        let n = self.dimension();
        let mut starts = vec![0u32];
        let (mut columns, mut values) =
            (Vec::with_capacity(self.nonzeros), Vec::with_capacity(self.nonzeros));
        for i in 0..n {
            self.sweeps.row(i, &mut |j, value| {
                columns.push(j as u32);
                values.push(value);
            });
            starts.push(columns.len() as u32);
        }
        CsMatI::new((n, n), starts, columns, values)
    }

    /// D + c I in the inner order.
    pub(super) fn shifted_diagonal(&self) -> impl Iterator<Item = f64> + '_ {
        self.diagonal.iter().map(|d| d + self.shift)
    }
}

/// The operator on vectors of its inner order, for the Krylov methods.
pub(super) struct Inner<'a>(pub &'a Operator);

impl LinearOperator for Inner<'_> {
    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        self.0.sweeps.multiply(x, y);
    }
}

fn gather(x: &[f64], permutation: &[u32]) -> Vec<f64> {
    permutation.iter().map(|&i| x[i as usize]).collect()
}

fn scatter(inner: &[f64], permutation: &[u32], x: &mut [f64]) {
    permutation.iter().zip(inner).for_each(|(&i, value)| x[i as usize] = *value);
}

/// FNV-1a over 64-bit words: the same on every machine and in every version.
struct Hash(u64);

impl Hash {
    fn new(n: usize) -> Self {
        let mut this = Self(0xcbf2_9ce4_8422_2325);
        this.add(n as u64);
        this
    }

    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}

/// What [`check`] found.
enum Flaw {
    Refused(Error),
    OneSided,
}

/// Asymmetry beyond this part of the matrix's largest entry is refused.
const ASYMMETRY: f64 = 1e-12;

/// Checks that A is square, finite and symmetric with a positive diagonal, which is returned. One pass over the entries: row i
/// meets its entries right of the diagonal, and looks up their mirror images at a mark that moves along row j.
fn check(a: CsMatViewI<f64, u32>) -> Result<Vec<f64>, Flaw> {
    let n = a.rows();
    if n != a.cols() {
        return Err(Flaw::Refused(Error::NotSquare { rows: n, columns: a.cols() }));
    }
    let pointers = a.proper_indptr();
    let (columns, values) = (a.indices(), a.data());
    let mut largest = 0.0f64;
    for (k, value) in values.iter().enumerate() {
        if !value.is_finite() {
            let row = pointers.partition_point(|&start| start as usize <= k) - 1;
            let column = columns[k] as usize;
            return Err(Flaw::Refused(Error::NonFinite { row, column, value: *value }));
        }
        largest = largest.max(value.abs());
    }
    let mut diagonal = vec![0.0; n];
    let mut marks: Vec<usize> = pointers[..n].iter().map(|&start| start as usize).collect();
    for i in 0..n {
        let (start, end) = (marks[i], pointers[i + 1] as usize);
        for k in start..end {
            let j = columns[k] as usize;
            if j < i {
                // an entry left of the diagonal that no earlier row has seen
                return Err(asymmetric(i, j, values[k], 0.0, largest).unwrap_or(Flaw::OneSided));
            }
            if j == i {
                diagonal[i] = values[k];
                continue;
            }
            let mark = marks[j];
            let present = mark < pointers[j + 1] as usize && columns[mark] as usize == i;
            let mirrored = if present { values[mark] } else { 0.0 };
            if let Some(flaw) = asymmetric(i, j, values[k], mirrored, largest) {
                return Err(flaw);
            }
            if !present {
                return Err(Flaw::OneSided);
            }
            marks[j] += 1;
        }
        if !(diagonal[i] > 0.0) {
            return Err(Flaw::Refused(Error::Diagonal { row: i, value: diagonal[i] }));
        }
    }
    Ok(diagonal)
}

fn asymmetric(row: usize, column: usize, value: f64, mirrored: f64, largest: f64) -> Option<Flaw> {
    let differ = (value - mirrored).abs() > ASYMMETRY * largest;
    differ.then_some(Flaw::Refused(Error::Asymmetric { row, column, value, mirrored }))
}

/// A without the entries that have no mirror image.
fn two_sided(a: CsMatViewI<f64, u32>) -> CsMatI<f64, u32> {
    let mut starts = vec![0u32];
    let (mut columns, mut values) = (Vec::with_capacity(a.nnz()), Vec::with_capacity(a.nnz()));
    for (i, row) in a.outer_iterator().enumerate() {
        for (j, &value) in row.iter().filter(|&(j, _)| a.get(j, i).is_some()) {
            columns.push(j as u32);
            values.push(value);
        }
        starts.push(columns.len() as u32);
    }
    CsMatI::new(a.shape(), starts, columns, values)
}

/// The rows sorted by colour, each row given the first colour that none of its neighbours before it has.
fn by_colour(a: CsMatViewI<f64, u32>) -> Vec<u32> {
    let mut colours: Vec<usize> = Vec::with_capacity(a.rows());
    let mut last_seen: Vec<usize> = Vec::new();
    for (i, row) in a.outer_iterator().enumerate() {
        for (j, value) in row.iter().take_while(|&(j, _)| j < i) {
            if *value != 0.0 {
                last_seen[colours[j]] = i + 1;
            }
        }
        let colour = last_seen.iter().position(|&seen| seen != i + 1).unwrap_or(last_seen.len());
        if colour == last_seen.len() {
            last_seen.push(0);
        }
        colours.push(colour);
    }
    let mut rows: Vec<u32> = (0..a.rows() as u32).collect();
    rows.sort_by_key(|&i| colours[i as usize]);
    rows
}

/// P A P', rows and columns in the order that `permutation` (new to old) names.
fn permute(a: CsMatViewI<f64, u32>, permutation: &[u32]) -> CsMatI<f64, u32> {
    let n = a.rows();
    let mut new_of = vec![0u32; n];
    permutation.iter().enumerate().for_each(|(new, &old)| new_of[old as usize] = new as u32);
    let mut starts = vec![0u32];
    let (mut columns, mut values) = (Vec::with_capacity(a.nnz()), Vec::with_capacity(a.nnz()));
    let mut row: Vec<(u32, f64)> = Vec::new();
    for &old in permutation {
        row.clear();
        if let Some(entries) = a.outer_view(old as usize) {
            row.extend(entries.iter().map(|(j, &value)| (new_of[j], value)));
        }
        row.sort_by_key(|&(column, _)| column);
        columns.extend(row.iter().map(|&(column, _)| column));
        values.extend(row.iter().map(|&(_, value)| value));
        starts.push(columns.len() as u32);
    }
    CsMatI::new((n, n), starts, columns, values)
}

/// Numbers the rows of each connected part from 0, one more across each entry right of the diagonal, one less across each left
/// of it, and sees whether that contradicts itself.
fn consistent(operator: &Operator) -> bool {
    let n = operator.dimension();
    let mut numbers: Vec<Option<i64>> = vec![None; n];
    let mut waiting = Vec::new();
    for root in 0..n {
        if numbers[root].is_some() {
            continue;
        }
        numbers[root] = Some(0);
        waiting.push((root, 0i64));
        while let Some((i, number)) = waiting.pop() {
            let mut sound = true;
            operator.sweeps.row(i, &mut |j, value| {
                if j == i || value == 0.0 {
                    return;
                }
                let expected = if j > i { number + 1 } else { number - 1 };
                match numbers[j] {
                    None => {
                        numbers[j] = Some(expected);
                        waiting.push((j, expected));
                    }
                    Some(there) => sound &= there == expected,
                }
            });
            if !sound {
                return false;
            }
        }
    }
    true
}
