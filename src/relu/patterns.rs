//! Activation patterns: which rows a neuron is active on.

use std::collections::HashMap;

use super::Error;
use super::training::Training;
use crate::linalg::product::norm;
use crate::linalg::splitmix::SplitMix;

/// Distinct patterns 1\[X g >= 0\], each with a weight g inside its cone.
///
/// Bits are packed, n / 8 bytes a pattern; the order is that of the weights they came from, of equal ones the first is
/// kept, and the pattern without an active row is left out, since it contributes nothing.
#[derive(Debug, Clone)]
pub struct Patterns {
    rows: usize,
    masks: Vec<Vec<u64>>,
    gates: Vec<Vec<f64>>,
    origins: Vec<usize>,
    index: HashMap<Vec<u64>, usize>,
    offered: usize,
    exhaustive: bool,
}

impl Patterns {
    /// No patterns, for data with so many rows.
    pub fn new(rows: usize) -> Self {
        let (masks, gates, origins) = (Vec::new(), Vec::new(), Vec::new());
        Self { rows, masks, gates, origins, index: HashMap::new(), offered: 0, exhaustive: false }
    }

    /// The patterns of `count` weights with independent standard normal entries.
    ///
    /// The generator is fixed so that other programs can draw the same: splitmix64 from the seed, Box and Muller's
    /// transform of two draws a, b with u = ((a >> 11) + 1) / 2^53, w = (b >> 11) / 2^53, r = sqrt(-2 ln u): r cos 2 pi w,
    /// r sin 2 pi w; d consecutive numbers a weight.
    ///
    /// # Errors
    /// A count of zero, or one too large for the memory of any machine.
    pub fn sample(training: &Training, count: usize, seed: u64) -> Result<Self, Error> {
        if count == 0 {
            return Err(Error::Option("patterns is 0; at least one pattern is needed".into()));
        }
        if count > 10_000_000 {
            return Err(Error::Option(format!("patterns is {count}; at most 10 million can be sampled")));
        }
        let mut normals = Normals::new(seed);
        let mut patterns = Self::new(training.rows());
        for _ in 0..count {
            let gate = (0..training.columns()).map(|_| normals.draw()).collect();
            patterns.add(training, gate);
        }
        Ok(patterns)
    }

    /// Every pattern of data of rank one or two: one for each cell into which the rows' lines cut the plane. None for
    /// higher ranks. Lines that are parallel to within 1e-13 count as one. O(n log n + n P).
    pub fn enumerate(training: &Training) -> Option<Self> {
        let x = training.x();
        let row = |k: usize| (0..training.columns()).map(|j| x[(k, j)]).collect::<Vec<f64>>();
        let rows: Vec<Vec<f64>> = (0..training.rows()).map(row).filter(|r| norm(r) > 0.0).collect();
        // an orthonormal basis of the rows by Gram and Schmidt, largest row first
        let mut basis: Vec<Vec<f64>> = Vec::new();
        loop {
            let rest = |r: &Vec<f64>| {
                let mut rest = r.clone();
                for b in basis.iter().chain(&basis) {
                    let along: f64 = b.iter().zip(&rest).map(|(b, r)| b * r).sum();
                    rest.iter_mut().zip(b).for_each(|(r, b)| *r -= along * b);
                }
                rest
            };
            let share = |r: &Vec<f64>| norm(&rest(r)) / norm(r);
            let largest =
                rows.iter().map(|r| (share(r), r)).fold(None, |best: Option<(f64, _)>, new| match best {
                    Some(best) if best.0 >= new.0 => Some(best),
                    _ => Some(new),
                });
            let Some((share, largest)) = largest.filter(|(share, _)| *share > 1e-12) else { break };
            debug_assert!(share.is_finite());
            if basis.len() == 2 {
                return None;
            }
            let mut new = rest(largest);
            let length = norm(&new);
            new.iter_mut().for_each(|v| *v /= length);
            basis.push(new);
        }
        let mut patterns = Self::new(training.rows());
        let directions: Vec<(f64, f64)> = match basis.len() {
            0 => Vec::new(),
            1 => vec![(1.0, 0.0), (-1.0, 0.0)],
            _ => cells(&rows, &basis),
        };
        for (c, s) in directions {
            let mut gate = vec![0.0; training.columns()];
            for (weight, b) in [c, s].iter().zip(&basis) {
                gate.iter_mut().zip(b).for_each(|(g, b)| *g += weight * b);
            }
            patterns.add(training, gate);
        }
        patterns.exhaustive = true;
        Some(patterns)
    }

    /// Adds the pattern of a weight; returns its index if it is new. Not finite or all-inactive ones are passed over.
    pub fn add(&mut self, training: &Training, gate: Vec<f64>) -> Option<usize> {
        self.offered += 1;
        let mask = mask_of(training, &gate)?;
        self.add_mask(mask, gate)
    }

    /// Adds the pattern that a weight has on other rows than the data's, for patterns that hold on perturbed rows.
    pub(super) fn add_mask_of(&mut self, rows: &Training, gate: Vec<f64>) -> Option<usize> {
        self.add(rows, gate)
    }

    fn add_mask(&mut self, mask: Vec<u64>, gate: Vec<f64>) -> Option<usize> {
        if mask.iter().all(|&word| word == 0) || self.index.contains_key(&mask) {
            return None;
        }
        let new = self.masks.len();
        self.index.insert(mask.clone(), new);
        self.masks.push(mask);
        self.gates.push(gate);
        self.origins.push(self.offered - 1);
        Some(new)
    }

    /// The index of the pattern of a weight, if it is here.
    pub fn find(&self, training: &Training, gate: &[f64]) -> Option<usize> {
        self.index.get(&mask_of(training, gate)?).copied()
    }

    /// Keeps the patterns for which `keep` says so, in their order.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let old = std::mem::replace(self, Self::new(self.rows));
        self.offered = old.offered;
        let parts = old.masks.into_iter().zip(old.gates).zip(old.origins).enumerate();
        for (_, ((mask, gate), origin)) in parts.filter(|(i, _)| keep(*i)) {
            if self.add_mask(mask, gate).is_some()
                && let Some(last) = self.origins.last_mut()
            {
                *last = origin;
            }
        }
    }

    /// P, the number of patterns.
    pub fn len(&self) -> usize {
        self.masks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }

    /// n, the rows that a pattern covers.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights offered so far, duplicates included.
    pub fn offered(&self) -> usize {
        self.offered
    }

    /// Whether these are all patterns that the data have.
    pub fn is_exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// Whether pattern i is active on row k.
    pub fn is_active(&self, i: usize, k: usize) -> bool {
        self.masks[i][k / 64] >> (k % 64) & 1 == 1
    }

    /// The packed bits of pattern i.
    pub fn mask(&self, i: usize) -> &[u64] {
        &self.masks[i]
    }

    /// A weight with pattern i.
    pub fn gate(&self, i: usize) -> &[f64] {
        &self.gates[i]
    }

    /// Which of the offered weights pattern i came from.
    pub fn origin(&self, i: usize) -> usize {
        self.origins[i]
    }

    /// N_kl, the number of patterns active on both rows k and l, for the rows given; lower triangle, column-major.
    pub(super) fn coactivation(&self, rows: &[usize]) -> Vec<f64> {
        let words = self.len().div_ceil(64);
        let mut by_row = vec![0u64; rows.len() * words];
        for i in 0..self.len() {
            for (k, &row) in rows.iter().enumerate() {
                by_row[k * words + i / 64] |= u64::from(self.is_active(i, row)) << (i % 64);
            }
        }
        let n = rows.len();
        let mut counts = vec![0.0; n * n];
        for l in 0..n {
            let left = &by_row[l * words..(l + 1) * words];
            for k in l..n {
                let right = &by_row[k * words..(k + 1) * words];
                let count: u32 = left.iter().zip(right).map(|(a, b)| (a & b).count_ones()).sum();
                counts[l * n + k] = f64::from(count);
            }
        }
        counts
    }

    /// How many patterns make it likely that one more changes little: with P at least this, the chance that another
    /// sampled pattern lowers the optimum is at most `share`, with confidence `1 - risk` (n rows). Says nothing of how much.
    pub fn enough(rows: usize, share: f64, risk: f64) -> f64 {
        let n = rows as f64;
        ((n + 1.0) / (share * risk) - 1.0).min(2.0 / risk * (n + 1.0 - share.ln()))
    }
}

/// The packed pattern of a weight; none where a product isn't finite.
fn mask_of(training: &Training, gate: &[f64]) -> Option<Vec<u64>> {
    let mut mask = vec![0u64; training.rows().div_ceil(64)];
    let mut z = vec![0.0; training.rows()];
    let x = training.x();
    for (j, &g) in gate.iter().enumerate() {
        z.iter_mut().zip(x.col(j).iter()).for_each(|(z, x)| *z += x * g);
    }
    for (k, z) in z.iter().enumerate() {
        if !z.is_finite() {
            return None;
        }
        mask[k / 64] |= u64::from(*z >= 0.0) << (k % 64);
    }
    Some(mask)
}

/// Directions (cosine, sine) in the middle of every cell of the plane.
fn cells(rows: &[Vec<f64>], basis: &[Vec<f64>]) -> Vec<(f64, f64)> {
    use std::f64::consts::{FRAC_PI_2, PI};
    let along = |row: &[f64], b: &[f64]| row.iter().zip(b).map(|(r, b)| r * b).sum::<f64>();
    let mut angles: Vec<f64> = rows
        .iter()
        .map(|row| (along(row, &basis[1]).atan2(along(row, &basis[0])) + FRAC_PI_2).rem_euclid(PI))
        .collect();
    angles.sort_by(f64::total_cmp);
    angles.dedup_by(|a, b| *a - *b < 1e-13);
    if angles.len() > 1 && angles[0] + PI - angles[angles.len() - 1] < 1e-13 {
        angles.pop();
    }
    let next = |k: usize| angles.get(k + 1).copied().unwrap_or(angles[0] + PI);
    let middle: Vec<f64> = (0..angles.len()).map(|k| 0.5 * (angles[k] + next(k))).collect();
    middle
        .iter()
        .chain(middle.iter().map(|a| a + PI).collect::<Vec<_>>().iter())
        .map(|a| (a.cos(), a.sin()))
        .collect()
}

/// Standard normal numbers from splitmix64 and Box and Muller's transform, one at a time.
#[derive(Debug, Clone)]
pub struct Normals {
    stream: SplitMix,
    spare: Option<f64>,
}

impl Normals {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self { stream: SplitMix(seed), spare: None }
    }

    /// The next number.
    pub fn draw(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let [first, second] = self.stream.normal_pair();
        self.spare = Some(second);
        first
    }
}

/// A note where sampling mostly found what it had.
pub(super) fn sampling_note(patterns: &Patterns) -> Option<String> {
    let (offered, kept) = (patterns.offered(), patterns.len());
    (offered >= 10 && kept * 10 < offered && !patterns.is_exhaustive()).then(|| {
        format!("of {offered} sampled patterns only {kept} are distinct: a column may dwarf the others; standardise")
    })
}
