//! Sparse L D L' without pivoting, for symmetric matrices that need none.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::SymbolicSparseColMatRef;
use faer::sparse::linalg::amd;
use sprs::CsMatViewI;

use super::{FactorError, Inertia, Pattern, check_square, expect_size};

/// P A P' = L D L', L unit lower triangular, D diagonal, P an approximate minimum degree ordering.
///
/// It exists for every P where A is quasidefinite, [H, J'; J, -G] with H and G positive definite (Vanderbei, SIAM Journal on
/// Optimization 5, 1995), and then has the inertia of D. Other matrices may have it too, with growth that nothing bounds here: the caller
/// looks at residuals. Row by row of L along the elimination tree (Davis, ACM Transactions on Mathematical Software 31, 2005): no dense
/// blocks, so fast where there is little fill-in, up to a few dozen flops for each entry of L ([`Self::suits`]).
///
/// Ordering and pattern of L are kept as long as the pattern stays the same. One thread.
#[derive(Default)]
pub struct SparseLdl {
    pattern: Pattern,
    analysed: bool,
    factored: bool,
    /// Row of A that comes k-th.
    order: Vec<u32>,
    /// P A P', upper triangle by columns: offsets, rows, and where the values lie in the caller's storage.
    offsets: Vec<u32>,
    rows: Vec<u32>,
    source: Vec<u32>,
    /// Parents in the elimination tree; `NONE` for a root.
    parent: Vec<u32>,
    /// L without its diagonal by columns, rows ascending.
    l_offsets: Vec<usize>,
    l_rows: Vec<u32>,
    l_values: Vec<f64>,
    d: Vec<f64>,
    flops: f64,
    /// Rows of each column of L so far, the stack of a row's pattern, marks, and a dense row.
    filled: Vec<usize>,
    reach: Vec<u32>,
    path: Vec<u32>,
    mark: Vec<u32>,
    dense: Vec<f64>,
}

const NONE: u32 = u32::MAX;

/// Flops for each entry of L above which blocks pay (Chen, Davis, Hager, Rajamanickam, 2008).
const FLOPS_PER_ENTRY: f64 = 40.0;

impl SparseLdl {
    /// An empty factorisation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Orders A and finds the pattern of L, unless that was done for this pattern before; of A only the lower triangle is read, whether
    /// stored by rows or columns.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `Backend` where there is no memory or there are too many entries.
    pub fn analyse(&mut self, a: CsMatViewI<f64, u32>) -> Result<(), FactorError> {
        if self.analysed && self.pattern.matches(a) {
            return Ok(());
        }
        expect_size("columns of a square matrix", a.rows(), a.cols())?;
        (self.analysed, self.factored) = (false, false);
        self.order = minimum_degree(a)?;
        self.permute(a);
        self.find_tree();
        self.pattern = Pattern::of(a);
        self.analysed = true;
        Ok(())
    }

    /// Whether the analysed pattern fills in so little that blocks don't pay.
    pub fn suits(&self) -> bool {
        self.flops <= FLOPS_PER_ENTRY * (self.factor_entries() + self.order.len()) as f64
    }

    /// Flops of a factorisation of the analysed pattern.
    pub fn flops(&self) -> f64 {
        self.flops
    }

    /// Entries of L below its diagonal.
    pub fn factor_entries(&self) -> usize {
        self.l_offsets.last().copied().unwrap_or(0)
    }

    /// Factors A, of which only the lower triangle is read, and counts the signs of D. Cost: the sum of squares of L's columns.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `NonFinite`; `Singular` where a pivot is zero or isn't finite; `Backend`.
    pub fn factor(&mut self, a: CsMatViewI<f64, u32>) -> Result<Inertia, FactorError> {
        self.factored = false;
        check_square(a)?;
        self.analyse(a)?;
        let n = self.order.len();
        if self.d.len() != n {
            self.find_pattern()?;
        }
        let mut inertia = Inertia::default();
        self.filled.copy_from_slice(&self.l_offsets[..n]);
        self.mark.fill(NONE);
        for k in 0..n {
            let top = self.reach_of_row(k, a.data());
            let mut pivot = self.dense[k];
            self.dense[k] = 0.0;
            for &i in &self.reach[top..] {
                let i = i as usize;
                let y = self.dense[i];
                self.dense[i] = 0.0;
                let (start, end) = (self.l_offsets[i], self.filled[i]);
                for (&row, value) in self.l_rows[start..end].iter().zip(&self.l_values[start..end]) {
                    self.dense[row as usize] -= value * y;
                }
                let value = y / self.d[i];
                pivot -= value * y;
                self.l_values[end] = value;
                self.filled[i] += 1;
            }
            if pivot == 0.0 || !pivot.is_finite() {
                self.dense.fill(0.0);
                return Err(FactorError::Singular { zero: 1 });
            }
            self.d[k] = pivot;
            inertia.add(pivot, 0.0);
        }
        self.factored = true;
        Ok(inertia)
    }

    /// Scatters row k of the lower triangle of P A P' into `dense`; the columns of row k of L, each before those above it in the
    /// tree, are `reach` from the returned place on.
    fn reach_of_row(&mut self, k: usize, values: &[f64]) -> usize {
        let mut top = self.order.len();
        self.mark[k] = k as u32;
        for p in self.offsets[k] as usize..self.offsets[k + 1] as usize {
            let mut i = self.rows[p];
            self.dense[i as usize] += values[self.source[p] as usize];
            self.path.clear();
            while self.mark[i as usize] != k as u32 {
                self.path.push(i);
                self.mark[i as usize] = k as u32;
                i = self.parent[i as usize];
            }
            while let Some(i) = self.path.pop() {
                top -= 1;
                self.reach[top] = i;
            }
        }
        top
    }

    /// Lays out the upper triangle of P A P' by columns.
    fn permute(&mut self, a: CsMatViewI<f64, u32>) {
        let n = a.rows();
        let mut place = vec![0u32; n];
        self.order.iter().enumerate().for_each(|(k, &row)| place[row as usize] = k as u32);
        let pointers = a.proper_indptr();
        let columns: Vec<(u32, u32, u32)> = (0..n)
            .flat_map(|outer| {
                let range = pointers[outer] as usize..pointers[outer + 1] as usize;
                range.map(move |p| (outer, p))
            })
            .filter_map(|(outer, p)| {
                let inner = a.indices()[p] as usize;
                let (row, column) = if a.is_csc() { (inner, outer) } else { (outer, inner) };
                let (i, j) = (place[row], place[column]);
                (row >= column).then_some((i.max(j), i.min(j), p as u32))
            })
            .collect();
        self.offsets.clear();
        self.offsets.resize(n + 1, 0);
        columns.iter().for_each(|&(column, _, _)| self.offsets[column as usize + 1] += 1);
        (0..n).for_each(|k| self.offsets[k + 1] += self.offsets[k]);
        let mut next = self.offsets.clone();
        (self.rows, self.source) = (vec![0; columns.len()], vec![0; columns.len()]);
        for (column, row, p) in columns {
            let place = &mut next[column as usize];
            (self.rows[*place as usize], self.source[*place as usize]) = (row, p);
            *place += 1;
        }
    }

    /// The elimination tree, and the number of entries of each column of L.
    fn find_tree(&mut self) {
        let n = self.order.len();
        self.parent = vec![NONE; n];
        self.mark = vec![NONE; n];
        let mut counts = vec![0usize; n];
        for k in 0..n {
            self.mark[k] = k as u32;
            for &row in &self.rows[self.offsets[k] as usize..self.offsets[k + 1] as usize] {
                let mut i = row as usize;
                while self.mark[i] != k as u32 {
                    if self.parent[i] == NONE {
                        self.parent[i] = k as u32;
                    }
                    counts[i] += 1;
                    self.mark[i] = k as u32;
                    i = self.parent[i] as usize;
                }
            }
        }
        self.flops = counts.iter().map(|&count| (count * (count + 2)) as f64).sum();
        self.l_offsets.clear();
        self.l_offsets.push(0);
        let mut total = 0usize;
        for count in counts {
            total += count;
            self.l_offsets.push(total);
        }
        // memory for them is taken by the first factorisation
        self.d.clear();
    }

    /// The rows of each column of L.
    fn find_pattern(&mut self) -> Result<(), FactorError> {
        let (n, total) = (self.order.len(), self.factor_entries());
        let no_memory = |_| FactorError::Backend("out of memory".into());
        self.l_rows.clear();
        self.l_rows.try_reserve_exact(total).map_err(no_memory)?;
        self.l_rows.resize(total, 0);
        self.l_values.clear();
        self.l_values.try_reserve_exact(total).map_err(no_memory)?;
        self.l_values.resize(total, 0.0);
        self.d = vec![0.0; n];
        (self.filled, self.reach, self.dense) = (vec![0; n], vec![0; n], vec![0.0; n]);
        self.filled.copy_from_slice(&self.l_offsets[..n]);
        self.mark.fill(NONE);
        for k in 0..n {
            self.mark[k] = k as u32;
            for p in self.offsets[k] as usize..self.offsets[k + 1] as usize {
                let mut i = self.rows[p] as usize;
                while self.mark[i] != k as u32 {
                    self.l_rows[self.filled[i]] = k as u32;
                    self.filled[i] += 1;
                    self.mark[i] = k as u32;
                    i = self.parent[i] as usize;
                }
            }
        }
        Ok(())
    }

    /// x <- A^{-1} b. Cost: 4 flops for each entry of L.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension`.
    pub fn solve(&mut self, b: &[f64], x: &mut [f64]) -> Result<(), FactorError> {
        if !self.factored {
            return Err(FactorError::NotFactored);
        }
        let n = self.order.len();
        expect_size("entries of the right-hand side", n, b.len())?;
        expect_size("entries of the solution", n, x.len())?;
        let y = &mut self.dense;
        y.iter_mut().zip(&self.order).for_each(|(y, &row)| *y = b[row as usize]);
        for j in 0..n {
            let (range, value) = (self.l_offsets[j]..self.l_offsets[j + 1], y[j]);
            for (&row, l) in self.l_rows[range.clone()].iter().zip(&self.l_values[range]) {
                y[row as usize] -= l * value;
            }
        }
        for j in (0..n).rev() {
            let range = self.l_offsets[j]..self.l_offsets[j + 1];
            let mut value = y[j] / self.d[j];
            for (&row, l) in self.l_rows[range.clone()].iter().zip(&self.l_values[range]) {
                value -= l * y[row as usize];
            }
            y[j] = value;
        }
        y.iter().zip(&self.order).for_each(|(y, &row)| x[row as usize] = *y);
        y.fill(0.0);
        Ok(())
    }
}

/// An approximate minimum degree ordering (Amestoy, Davis, Duff, 1996): the row that comes k-th.
fn minimum_degree(a: CsMatViewI<f64, u32>) -> Result<Vec<u32>, FactorError> {
    let n = a.rows();
    let (mut order, mut inverse) = (vec![0u32; n], vec![0u32; n]);
    let pointers = a.proper_indptr();
    let pattern = SymbolicSparseColMatRef::new_checked(n, n, &pointers, None, a.into_raw_storage().1);
    let scratch = MemBuffer::try_new(amd::order_maybe_unsorted_scratch::<u32>(n, a.nnz()));
    let mut scratch = scratch.map_err(|_| FactorError::Backend("out of memory".into()))?;
    let stack = MemStack::new(&mut scratch);
    amd::order_maybe_unsorted(&mut order, &mut inverse, pattern, Default::default(), stack)
        .map_err(|error| FactorError::Backend(error.to_string()))?;
    Ok(order)
}
