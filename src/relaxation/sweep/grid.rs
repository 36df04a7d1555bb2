//! Constant coefficients on a grid: the 3-, 5- and 7-point stencils, nothing stored but the coefficients.
//!
//! Unknowns are numbered along lines of `line` points; in three dimensions planes of `plane` points follow each other. Each line
//! is cut into strips.

use std::ops::Range;

use super::lanes::{Eight, LANES, load};
use super::rows::Diagonal;
use super::strips::{Pattern, STRIP};

/// Constant coefficients of a grid: a_ii, and the couplings along the line, to the next line, to the next plane.
pub struct Grid {
    n: usize,
    line: usize,
    plane: usize,
    /// Strips of a line; the last one has what doesn't go by eights, if there is any.
    strips: usize,
    /// Points of a line that do.
    whole: usize,
    diagonal: Diagonal,
    couplings: [f64; 3],
}

impl Grid {
    /// Recognises a grid: `row(i, entry)` calls `entry` for each entry of row i, columns ascending.
    ///
    /// The first row names the offsets; every row is then checked against them. One pass over the entries.
    pub fn recognise(n: usize, row: impl Fn(usize, &mut dyn FnMut(usize, f64))) -> Option<Self> {
        if n < 4 {
            return None;
        }
        let mut first = Vec::new();
        row(0, &mut |j, value| first.push((j, value)));
        let (diagonal, couplings, line, plane) = match first[..] {
            [(0, d), (1, a)] => (d, [a, 0.0, 0.0], n, n),
            [(0, d), (1, a), (m, b)] if m >= 2 && n.is_multiple_of(m) => (d, [a, b, 0.0], m, n),
            [(0, d), (1, a), (m, b), (k, c)]
                if m >= 2 && k.is_multiple_of(m) && n.is_multiple_of(k) && k < n =>
            {
                (d, [a, b, c], m, k)
            }
            _ => return None,
        };
        let whole = line / LANES * LANES;
        let strips = whole.div_ceil(STRIP) + usize::from(whole < line);
        let this = Self { n, line, plane, strips, whole, diagonal: Diagonal::new(&[diagonal]), couplings };
        let mut expected = Vec::with_capacity(7);
        for i in 0..n {
            expected.clear();
            this.row(i, &mut |j, value| expected.push((j, value)));
            let mut matched = 0;
            let mut same = true;
            row(i, &mut |j, value| {
                same &= expected.get(matched) == Some(&(j, value));
                matched += 1;
            });
            if !(same && matched == expected.len()) {
                return None;
            }
        }
        Some(this)
    }

    /// Points along a line, and the number of dimensions.
    pub fn shape(&self) -> (usize, usize) {
        let dimensions = if self.line == self.n { 1 } else { 2 + usize::from(self.plane < self.n) };
        (self.line, dimensions)
    }

    /// The line of a strip, and where on it the strip begins.
    #[inline(always)]
    fn place(&self, strip: usize) -> (usize, usize) {
        let (line, part) =
            if self.strips == 1 { (strip, 0) } else { (strip / self.strips, strip % self.strips) };
        (line, self.whole.min(part * STRIP))
    }

    /// Whether the row's line has one before it and after it in its plane.
    #[inline(always)]
    fn has_lines(&self, i: usize) -> [bool; 2] {
        if self.plane == self.line {
            return [false; 2];
        }
        let on_plane = if self.plane < self.n { i % self.plane } else { i };
        [on_plane >= self.line, on_plane + self.line < self.plane]
    }
}

#[inline(always)]
fn add_multiple(sums: Eight, coefficient: f64, x: Eight) -> Eight {
    std::array::from_fn(|k| sums[k] + coefficient * x[k])
}

impl Pattern for Grid {
    fn n(&self) -> usize {
        self.n
    }

    #[inline(always)]
    fn count(&self) -> usize {
        self.n / self.line * self.strips
    }

    #[inline(always)]
    fn rows(&self, strip: usize) -> Range<usize> {
        let (line, on_line) = self.place(strip);
        let end = if on_line < self.whole { self.whole.min(on_line + STRIP) } else { self.line };
        line * self.line + on_line..line * self.line + end
    }

    #[inline(always)]
    fn by_eights(&self, strip: usize) -> bool {
        // the very last strip has no row after it
        self.rows(strip).len().is_multiple_of(LANES) && strip + 1 < self.count()
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
        if i.is_multiple_of(self.line) { 0.0 } else { self.couplings[0] }
    }

    #[inline(always)]
    fn links(&self, i: usize) -> Eight {
        let mut links = [self.couplings[0]; LANES];
        let on_line = i % self.line;
        // the first point of a line has no link; it may be any of the eight, but is the first or the last
        if on_line == 0 {
            links[0] = 0.0;
        }
        if on_line + LANES - 1 == self.line {
            links[LANES - 1] = 0.0;
        }
        links
    }

    #[inline(always)]
    fn add_lower(&self, _: usize, i: usize, x: &[f64], mut sum: f64) -> f64 {
        if i >= self.plane {
            sum += self.couplings[2] * x[i - self.plane];
        }
        if self.has_lines(i)[0] {
            sum += self.couplings[1] * x[i - self.line];
        }
        sum
    }

    #[inline(always)]
    fn add_upper(&self, _: usize, i: usize, x: &[f64], mut sum: f64) -> f64 {
        if self.has_lines(i)[1] {
            sum += self.couplings[1] * x[i + self.line];
        }
        if i + self.plane < self.n {
            sum += self.couplings[2] * x[i + self.plane];
        }
        sum
    }

    #[inline(always)]
    fn add_lower_eight(&self, _: usize, i: usize, x: &[f64], mut sums: Eight) -> Eight {
        if i >= self.plane {
            sums = add_multiple(sums, self.couplings[2], load(x, i - self.plane));
        }
        if self.has_lines(i)[0] {
            sums = add_multiple(sums, self.couplings[1], load(x, i - self.line));
        }
        sums
    }

    #[inline(always)]
    fn add_upper_eight(&self, _: usize, i: usize, x: &[f64], mut sums: Eight) -> Eight {
        if self.has_lines(i)[1] {
            sums = add_multiple(sums, self.couplings[1], load(x, i + self.line));
        }
        if i + self.plane < self.n {
            sums = add_multiple(sums, self.couplings[2], load(x, i + self.plane));
        }
        sums
    }

    fn row(&self, i: usize, entry: &mut dyn FnMut(usize, f64)) {
        let (m, k) = (self.line, self.plane);
        let (on_line, on_plane) = (i % m, i % k);
        let [a, b, c] = self.couplings;
        if i >= k {
            entry(i - k, c);
        }
        if on_plane >= m {
            entry(i - m, b);
        }
        if on_line > 0 {
            entry(i - 1, a);
        }
        entry(i, self.diagonal.value(i));
        if on_line + 1 < m {
            entry(i + 1, a);
        }
        if on_plane + m < k {
            entry(i + m, b);
        }
        if i + k < self.n {
            entry(i + k, c);
        }
    }
}
