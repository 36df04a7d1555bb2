//! Rows whose entries lie on few diagonals in every strip: stencils with coefficients that vary, on domains of any shape that are numbered
//! line by line.
//!
//! Each strip has diagonals of its own, each with one value a row, 0 where the row has no entry there. No column index is stored
//! or read, and every product is one of consecutive numbers.

use std::ops::Range;

use super::lanes::{Eight, LANES, load};
use super::rows::{Diagonal, Split, Triangle};
use super::strips::{Pattern, STRIP};

/// Stored values over entries, beyond which compressed rows are better.
const FILL: f64 = 1.5;

/// A by strips, each with its diagonals.
pub struct Diagonals {
    diagonal: Diagonal,
    /// a_{i,i-1} for i in 0..=n, with 0 at both ends.
    link: Vec<f64>,
    /// The strips whose diagonals have no column before the first or after the last.
    inner: Range<usize>,
    lower: Half,
    upper: Half,
}

/// A strict triangle without the links.
#[derive(Default)]
struct Half {
    /// Strip k has `slots[starts[k]..starts[k + 1]]`.
    starts: Vec<u32>,
    /// The diagonals' distances from the main one.
    slots: Vec<u32>,
    /// [`STRIP`] values a slot.
    values: Vec<f64>,
}

impl Diagonals {
    /// The same matrix, given back where it has too many diagonals or some too close to the main one.
    pub fn new(a: Split) -> Result<Self, Box<Split>> {
        let n = a.n();
        let mut closest = LANES;
        let mut farthest = 0;
        for i in 0..n {
            // by symmetry the upper triangle has the same distances
            let columns = a.lower.columns_of(i);
            if let (Some(&first), Some(&last)) = (columns.first(), columns.last()) {
                closest = closest.min(i - last as usize);
                farthest = farthest.max(i - first as usize);
            }
        }
        if closest < LANES {
            return Err(Box::new(a));
        }
        let halves = (Half::new(&a.lower, n, true), Half::new(&a.upper, n, false));
        let (Some(lower), Some(upper)) = halves else { return Err(Box::new(a)) };
        let first = farthest.div_ceil(STRIP);
        let inner = first..(n.saturating_sub(farthest + 1) / STRIP).max(first);
        Ok(Self { diagonal: a.diagonal, link: a.link, inner, lower, upper })
    }
}

impl Half {
    /// None where the diagonals would be filled too sparsely.
    fn new(triangle: &Triangle, n: usize, is_lower: bool) -> Option<Self> {
        let mut half = Self { starts: vec![0], ..Self::default() };
        let mut entries = 0;
        let mut distances: Vec<u32> = Vec::new();
        for strip in (0..n).step_by(STRIP) {
            let strip = strip..n.min(strip + STRIP);
            let distance = |i: usize, j: u32| (i as u32).abs_diff(j);
            distances.clear();
            for i in strip.clone() {
                for &j in triangle.columns_of(i) {
                    let distance = distance(i, j);
                    if !distances.contains(&distance) {
                        distances.push(distance);
                    }
                }
                entries += triangle.columns_of(i).len();
                if (half.values.len() + distances.len() * STRIP) as f64 > FILL * entries as f64 + 4096.0 {
                    return None;
                }
            }
            // the order of the columns in each row
            distances.sort_unstable();
            if is_lower {
                distances.reverse();
            }
            let first = half.slots.len();
            half.slots.extend_from_slice(&distances);
            half.values.resize(half.slots.len() * STRIP, 0.0);
            for i in strip.clone() {
                let k = i - strip.start;
                for (j, value) in triangle.entries_of(i) {
                    let distance = distance(i, j as u32);
                    let which = distances.iter().position(|&d| d == distance)?;
                    half.values[(first + which) * STRIP + k] = value;
                }
            }
            half.starts.push(half.slots.len() as u32);
        }
        Some(half)
    }

    /// The distances of a strip's diagonals, each with its values.
    #[inline(always)]
    fn slots_of(&self, strip: usize) -> impl Iterator<Item = (usize, &[f64])> {
        let range = self.starts[strip] as usize..self.starts[strip + 1] as usize;
        let values = &self.values[range.start * STRIP..range.end * STRIP];
        self.slots[range].iter().map(|&distance| distance as usize).zip(values.chunks_exact(STRIP))
    }
}

impl Pattern for Diagonals {
    fn n(&self) -> usize {
        self.link.len() - 1
    }

    #[inline(always)]
    fn count(&self) -> usize {
        self.lower.starts.len() - 1
    }

    #[inline(always)]
    fn rows(&self, strip: usize) -> Range<usize> {
        strip * STRIP..self.n().min((strip + 1) * STRIP)
    }

    #[inline(always)]
    fn by_eights(&self, strip: usize) -> bool {
        self.inner.contains(&strip)
    }

    #[inline(always)]
    fn diagonal(&self) -> &Diagonal {
        &self.diagonal
    }

    fn diagonal_mut(&mut self) -> &mut Diagonal {
        &mut self.diagonal
    }

    #[inline(always)]
    fn link(&self, i: usize) -> f64 {
        self.link[i]
    }

    #[inline(always)]
    fn links(&self, i: usize) -> Eight {
        load(&self.link, i)
    }

    #[inline(always)]
    fn add_lower(&self, strip: usize, i: usize, x: &[f64], mut sum: f64) -> f64 {
        for (distance, values) in self.lower.slots_of(strip) {
            let value = values[i % STRIP];
            // where there is no entry there need not be a column
            if value != 0.0 {
                sum += value * x[i - distance];
            }
        }
        sum
    }

    #[inline(always)]
    fn add_upper(&self, strip: usize, i: usize, x: &[f64], mut sum: f64) -> f64 {
        for (distance, values) in self.upper.slots_of(strip) {
            let value = values[i % STRIP];
            if value != 0.0 {
                sum += value * x[i + distance];
            }
        }
        sum
    }

    #[inline(always)]
    fn add_lower_eight(&self, strip: usize, i: usize, x: &[f64], mut sums: Eight) -> Eight {
        for (distance, values) in self.lower.slots_of(strip) {
            let (values, x) = (load(values, i % STRIP), load(x, i - distance));
            for k in 0..LANES {
                sums[k] += values[k] * x[k];
            }
        }
        sums
    }

    #[inline(always)]
    fn add_upper_eight(&self, strip: usize, i: usize, x: &[f64], mut sums: Eight) -> Eight {
        for (distance, values) in self.upper.slots_of(strip) {
            let (values, x) = (load(values, i % STRIP), load(x, i + distance));
            for k in 0..LANES {
                sums[k] += values[k] * x[k];
            }
        }
        sums
    }

    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        let strip = i / STRIP;
        let present = |&(_, value): &(usize, f64)| value != 0.0;
        let of_row = |(distance, values): (usize, &[f64])| (distance, values[i % STRIP]);
        let lower = self.lower.slots_of(strip).map(of_row).filter(present);
        lower.for_each(|(distance, value)| entry(i - distance, value));
        if i > 0 && self.link[i] != 0.0 {
            entry(i - 1, self.link[i]);
        }
        entry(i, self.diagonal.value(i));
        if self.link[i + 1] != 0.0 {
            entry(i + 1, self.link[i + 1]);
        }
        let upper = self.upper.slots_of(strip).map(of_row).filter(present);
        upper.for_each(|(distance, value)| entry(i + distance, value));
    }
}
