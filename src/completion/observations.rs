//! The observed entries of a matrix, by rows and by columns.

use sprs::CsMatViewI;

use super::Error;

/// Row, column and value.
pub type Entry = (u32, u32, f64);

/// What is done with several values at one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// They are an error.
    #[default]
    Refuse,
    /// Their mean, with weights their weighted mean with the sum of the weights.
    Mean,
    /// The last one.
    Last,
    /// Their sum.
    Sum,
}

/// The set Omega of observed entries (i, j, v) of an m x n matrix, each with an optional weight w > 0.
///
/// 24 bytes an entry (40 with weights): once by rows for the half-steps over rows, once by columns.
#[derive(Clone, Debug)]
pub struct Observations {
    rows: usize,
    columns: usize,
    by_row: Compressed,
    by_column: Compressed,
}

/// Compressed rows, or columns, with optional weights. Indices ascend within each.
#[derive(Clone, Debug, Default)]
struct Compressed {
    offsets: Vec<u32>,
    indices: Vec<u32>,
    values: Vec<f64>,
    weights: Option<Vec<f64>>,
}

/// Compressed rows, or compressed columns, of the observations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    /// Where each row starts, and the end.
    pub offsets: &'a [u32],
    /// The columns of the entries.
    pub indices: &'a [u32],
    /// Their values.
    pub values: &'a [f64],
    /// Their weights, one each unless absent.
    pub weights: Option<&'a [f64]>,
}

impl Side<'_> {
    /// Number of rows.
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Where the entries of row i lie.
    #[inline]
    pub fn entries(&self, i: usize) -> std::ops::Range<usize> {
        self.offsets[i] as usize..self.offsets[i + 1] as usize
    }

    /// Number of entries in row i.
    pub fn length(&self, i: usize) -> usize {
        (self.offsets[i + 1] - self.offsets[i]) as usize
    }
}

impl Observations {
    /// Observations of an m x n matrix from triplets in any order. O(|Omega| log of the longest row).
    ///
    /// # Errors
    /// `Empty` without an entry; `Index` for a position outside; `Value` for one that isn't finite; `Duplicate` where
    /// a position occurs twice and that is refused; `Size` for more than 2^32 - 1 entries, rows or columns.
    pub fn new(
        rows: usize,
        columns: usize,
        entries: &[(u32, u32, f64)],
        duplicates: Duplicates,
    ) -> Result<Self, Error> {
        Self::with_weights(rows, columns, entries, None, duplicates)
    }

    /// As [`new`](Self::new), with one weight w >= 0 an entry that multiplies its loss. Weight 0 drops the entry.
    ///
    /// # Errors
    /// As [`new`](Self::new); `Weight` for one that is negative or not finite, `WeightCount` unless there is one each.
    pub fn with_weights(
        rows: usize,
        columns: usize,
        entries: &[(u32, u32, f64)],
        weights: Option<&[f64]>,
        duplicates: Duplicates,
    ) -> Result<Self, Error> {
        for (what, size) in [("entries", entries.len()), ("rows", rows), ("columns", columns)] {
            if size >= u32::MAX as usize {
                return Err(Error::Size { what, size });
            }
        }
        if weights.is_some_and(|weights| weights.len() != entries.len()) {
            return Err(Error::WeightCount {
                given: weights.map_or(0, <[f64]>::len),
                entries: entries.len(),
            });
        }
        for (index, &(row, column, value)) in entries.iter().enumerate() {
            if row as usize >= rows || column as usize >= columns {
                return Err(Error::Index { row, column, rows, columns });
            }
            if !value.is_finite() {
                return Err(Error::Value { row, column, value });
            }
            if let Some(weight) = weights.map(|weights| weights[index])
                && !(weight.is_finite() && weight >= 0.0)
            {
                return Err(Error::Weight { row, column, weight });
            }
        }
        let by_row = sort_by_row(rows, entries, weights).merge(duplicates)?;
        if by_row.values.is_empty() {
            return Err(Error::Empty);
        }
        let by_column = by_row.transposed(columns);
        Ok(Self { rows, columns, by_row, by_column })
    }

    /// m, the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// n, the number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// |Omega|, the number of observed entries.
    pub fn len(&self) -> usize {
        self.by_row.values.len()
    }

    /// Never: there is at least one entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries by rows.
    pub fn by_row(&self) -> CsMatViewI<'_, f64, u32> {
        let Compressed { offsets, indices, values, .. } = &self.by_row;
        CsMatViewI::new((self.rows, self.columns), offsets, indices, values)
    }

    /// The entries by columns.
    pub fn by_column(&self) -> CsMatViewI<'_, f64, u32> {
        let Compressed { offsets, indices, values, .. } = &self.by_column;
        CsMatViewI::new_csc((self.rows, self.columns), offsets, indices, values)
    }

    /// Whether entries have weights.
    pub fn is_weighted(&self) -> bool {
        self.by_row.weights.is_some()
    }

    /// All entries (row, column, value) in the order of the rows.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u32, f64)> + '_ {
        let side = self.row_side();
        (0..side.count())
            .flat_map(move |i| side.entries(i).map(move |t| (i as u32, side.indices[t], side.values[t])))
    }

    pub(super) fn row_side(&self) -> Side<'_> {
        self.by_row.side()
    }

    pub(super) fn column_side(&self) -> Side<'_> {
        self.by_column.side()
    }

    /// Number of connected components of the bipartite graph that the entries draw between rows and columns, without
    /// the rows and columns that have no entry. With more than one, factors are undetermined between components.
    pub fn components(&self) -> usize {
        let m = self.rows();
        let mut parents: Vec<u32> = (0..(m + self.columns()) as u32).collect();
        let side = self.row_side();
        for i in 0..m {
            for t in side.entries(i) {
                let (a, b) = (root(&mut parents, i as u32), root(&mut parents, m as u32 + side.indices[t]));
                // the smaller number becomes the root: the result does not depend on the order
                parents[a.max(b) as usize] = a.min(b);
            }
        }
        (0..m).filter(|&i| side.length(i) > 0 && root(&mut parents, i as u32) == i as u32).count()
    }

    /// Splits off about the given share of the entries: by a hash of the two keys of a position and the seed, so that
    /// the choice depends on names rather than on the order of the input. At least one entry of every row and column
    /// stays in the first part. The second part is in the order of the rows.
    ///
    /// # Errors
    /// `Option` unless 0 < share < 1 leaves something on both sides.
    pub fn split(
        &self,
        share: f64,
        seed: u64,
        keys: impl Fn(u32, u32) -> (u64, u64),
    ) -> Result<(Self, Vec<Entry>), Error> {
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::Option(format!("the held-out share is {share}; it must lie between 0 and 1")));
        }
        let side = self.row_side();
        let mut rows_left: Vec<usize> = (0..side.count()).map(|i| side.length(i)).collect();
        let columns = self.column_side();
        let mut columns_left: Vec<usize> = (0..columns.count()).map(|j| columns.length(j)).collect();
        let (mut kept, mut held_out, mut weights) = (Vec::with_capacity(self.len()), Vec::new(), Vec::new());
        for (i, row_left) in rows_left.iter_mut().enumerate() {
            for t in side.entries(i) {
                let j = side.indices[t];
                let (row_key, column_key) = keys(i as u32, j);
                let drawn = hash(hash(seed ^ 0x517c_c1b7_2722_0a95, row_key), column_key);
                let (row, column) = (&mut *row_left, &mut columns_left[j as usize]);
                if (drawn >> 11) as f64 * 2f64.powi(-53) < share && *row > 1 && *column > 1 {
                    (*row, *column) = (*row - 1, *column - 1);
                    held_out.push((i as u32, j, side.values[t]));
                } else {
                    kept.push((i as u32, j, side.values[t]));
                    weights.extend(side.weights.map(|weights| weights[t]));
                }
            }
        }
        if held_out.is_empty() {
            return Err(Error::Option(format!(
                "a held-out share of {share} of {} entries holds out none that its row and column can spare",
                self.len()
            )));
        }
        let weights = self.by_row.weights.is_some().then_some(&weights[..]);
        let kept = Self::with_weights(self.rows(), self.columns(), &kept, weights, Duplicates::Refuse)?;
        Ok((kept, held_out))
    }
}

impl Compressed {
    fn side(&self) -> Side<'_> {
        Side {
            offsets: &self.offsets,
            indices: &self.indices,
            values: &self.values,
            weights: self.weights.as_deref(),
        }
    }

    /// Joins entries at one position, which stand side by side, and drops those of weight zero.
    fn merge(self, duplicates: Duplicates) -> Result<Self, Error> {
        let rows = self.offsets.len() - 1;
        let mut merged = Self {
            offsets: vec![0; rows + 1],
            indices: Vec::with_capacity(self.indices.len()),
            values: Vec::with_capacity(self.indices.len()),
            weights: self.weights.as_ref().map(|weights| Vec::with_capacity(weights.len())),
        };
        let side = self.side();
        for row in 0..rows {
            let mut entries = side.entries(row).peekable();
            while let Some(first) = entries.next() {
                let column = side.indices[first];
                let mut last = first;
                while let Some(next) = entries.next_if(|&t| side.indices[t] == column) {
                    last = next;
                }
                if last > first && duplicates == Duplicates::Refuse {
                    return Err(Error::Duplicate { row: row as u32, column });
                }
                let weight = |t: usize| side.weights.map_or(1.0, |weights| weights[t]);
                let total: f64 = (first..=last).map(weight).sum();
                let (value, weight) = match duplicates {
                    // scaled before the sum: huge values do not overflow
                    Duplicates::Mean if last > first && total > 0.0 => {
                        ((first..=last).map(|t| side.values[t] * (weight(t) / total)).sum(), total)
                    }
                    Duplicates::Sum if last > first => {
                        ((first..=last).map(|t| side.values[t]).sum::<f64>(), total)
                    }
                    _ => (side.values[last], weight(last)),
                };
                if !value.is_finite() {
                    return Err(Error::Value { row: row as u32, column, value });
                }
                if weight > 0.0 {
                    merged.indices.push(column);
                    merged.values.push(value);
                    merged.weights.iter_mut().for_each(|weights| weights.push(weight));
                }
            }
            merged.offsets[row + 1] = merged.indices.len() as u32;
        }
        Ok(merged)
    }

    /// The same entries compressed the other way round.
    fn transposed(&self, columns: usize) -> Self {
        let mut offsets = vec![0u32; columns + 1];
        for &j in &self.indices {
            offsets[j as usize + 1] += 1;
        }
        (0..columns).for_each(|j| offsets[j + 1] += offsets[j]);
        let mut next = offsets.clone();
        let count = self.indices.len();
        let (mut indices, mut values) = (vec![0; count], vec![0.0; count]);
        let mut weights = self.weights.as_ref().map(|_| vec![0.0; count]);
        let side = self.side();
        for i in 0..side.count() {
            for t in side.entries(i) {
                let place = &mut next[side.indices[t] as usize];
                indices[*place as usize] = i as u32;
                values[*place as usize] = side.values[t];
                if let (Some(to), Some(from)) = (&mut weights, side.weights) {
                    to[*place as usize] = from[t];
                }
                *place += 1;
            }
        }
        Self { offsets, indices, values, weights }
    }
}

/// Entries sorted by row and column; those at one position keep their order.
fn sort_by_row(rows: usize, entries: &[(u32, u32, f64)], weights: Option<&[f64]>) -> Compressed {
    let mut offsets = vec![0u32; rows + 1];
    for &(row, ..) in entries {
        offsets[row as usize + 1] += 1;
    }
    (0..rows).for_each(|i| offsets[i + 1] += offsets[i]);
    let mut next = offsets.clone();
    let mut order = vec![0u32; entries.len()];
    for (t, &(row, ..)) in entries.iter().enumerate() {
        let place = &mut next[row as usize];
        order[*place as usize] = t as u32;
        *place += 1;
    }
    for pair in offsets.windows(2) {
        let row = &mut order[pair[0] as usize..pair[1] as usize];
        if !row.is_sorted_by_key(|&t| entries[t as usize].1) {
            row.sort_by_key(|&t| entries[t as usize].1);
        }
    }
    Compressed {
        offsets,
        indices: order.iter().map(|&t| entries[t as usize].1).collect(),
        values: order.iter().map(|&t| entries[t as usize].2).collect(),
        weights: weights.map(|weights| order.iter().map(|&t| weights[t as usize]).collect()),
    }
}

/// A finaliser of 64 bits with full avalanche (Steele, Lea, Flood 2014), over two words.
pub(super) fn hash(a: u64, b: u64) -> u64 {
    let mut h = a.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ b;
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

fn root(parents: &mut [u32], mut node: u32) -> u32 {
    while parents[node as usize] != node {
        let above = parents[parents[node as usize] as usize];
        parents[node as usize] = above;
        node = above;
    }
    node
}
