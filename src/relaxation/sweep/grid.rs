//! Constant coefficients on a grid: the 3-, 5- and 7-point stencils, without index arrays.
//!
//! Unknowns are numbered along lines of `line` points; in three dimensions planes of `plane` points follow each other. The same
//! sums in the same order as in `natural`. Two lines are swept side by side, the second a point behind the first: their
//! chains of dependent operations run at the same time.

use super::Sweeps;
use super::natural::chunks;

/// Constant coefficients of a grid: a_ii, and the couplings along the line, to the next line, to the next plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    n: usize,
    line: usize,
    plane: usize,
    diagonal: f64,
    couplings: [f64; 3],
    shift: f64,
    /// A line of zeros beyond the border.
    border: Vec<f64>,
}

/// The coefficients of one pass.
#[derive(Clone, Copy)]
struct Pass {
    /// omega / (d + c).
    weight: f64,
    /// s (d + c).
    scaled: f64,
    /// -a_{i,i-1} omega / (d + c): what a line hands on from point to point.
    chain: f64,
    /// Couplings to the next line and the next plane.
    line: f64,
    plane: f64,
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
        let border = vec![0.0; line];
        let this = Self { n, line, plane, diagonal, couplings, shift: 0.0, border };
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

    fn value(&self) -> f64 {
        self.diagonal + self.shift
    }

    fn pass(&self, omega: f64) -> Pass {
        let weight = omega / self.value();
        Pass {
            weight,
            scaled: (2.0 - omega) / omega * self.value(),
            chain: self.couplings[0] * weight,
            line: self.couplings[1],
            plane: self.couplings[2],
        }
    }

    /// Whether the line that starts at `start` has a line before it in its plane.
    fn has_line_before(&self, start: usize) -> bool {
        !start.is_multiple_of(self.plane)
    }

    fn has_line_after(&self, start: usize) -> bool {
        !(start + self.line).is_multiple_of(self.plane)
    }

    /// The lines before, after, a plane before and a plane after the one at `start`, zeros beyond the border.
    fn neighbours<'a>(&'a self, x: &'a [f64], start: usize) -> [&'a [f64]; 4] {
        let m = self.line;
        let part = |there: bool, from: usize| if there { &x[from..from + m] } else { &self.border[..] };
        [
            part(self.has_line_before(start), start.wrapping_sub(m)),
            part(self.has_line_after(start), start + m),
            part(start >= self.plane, start.wrapping_sub(self.plane)),
            part(start + self.plane < self.n, start + self.plane),
        ]
    }

    fn check(&self, vectors: &[&[f64]]) {
        assert!(vectors.iter().all(|v| v.len() == self.n), "a vector of another length than the matrix");
    }

    /// Sweeps a triangular solve over the lines: y of each line from `right(i)`, the line before and the plane before it,
    /// points ascending.
    #[inline(always)]
    fn forward(
        &self,
        pass: Pass,
        y: &mut [f64],
        mut right: impl FnMut(usize) -> f64,
        mut done: impl FnMut(usize, f64),
    ) {
        let m = self.line;
        let mut start = 0;
        while start < self.n {
            let (behind, ahead) = y.split_at_mut(start);
            let plane =
                if start >= self.plane { &behind[start - self.plane..][..m] } else { &self.border[..] };
            let line = if self.has_line_before(start) { &behind[start - m..] } else { &self.border[..] };
            let line = &line[..m];
            if self.has_line_after(start) && m > 1 {
                let second_plane = if start >= self.plane {
                    &behind[start + m - self.plane..][..m]
                } else {
                    &self.border[..]
                };
                let (first, rest) = ahead.split_at_mut(m);
                let second = &mut rest[..m];
                let mut solve = |i: usize, above: f64, plane: f64, before: f64| {
                    let y = (right(i) - (pass.plane * plane + pass.line * above)) * pass.weight
                        - pass.chain * before;
                    done(i, y);
                    y
                };
                let mut a = solve(start, line[0], plane[0], 0.0);
                first[0] = a;
                let mut b = 0.0;
                for i in 1..m {
                    b = solve(start + m + i - 1, a, second_plane[i - 1], b);
                    a = solve(start + i, line[i], plane[i], a);
                    first[i] = a;
                    second[i - 1] = b;
                }
                second[m - 1] = solve(start + 2 * m - 1, a, second_plane[m - 1], b);
                start += 2 * m;
            } else {
                let mut before = 0.0;
                for (k, y) in ahead[..m].iter_mut().enumerate() {
                    let rest = right(start + k) - (pass.plane * plane[k] + pass.line * line[k]);
                    before = rest * pass.weight - pass.chain * before;
                    done(start + k, before);
                    *y = before;
                }
                start += m;
            }
        }
    }

    /// The mirror image of [`forward`](Self::forward): points descending.
    #[inline(always)]
    fn backward(&self, pass: Pass, y: &mut [f64], mut right: impl FnMut(usize) -> f64) {
        let m = self.line;
        let mut end = self.n;
        while end > 0 {
            let start = end - m;
            let (ahead, behind) = y.split_at_mut(end);
            // `behind` starts at `end`: what is solved already
            let plane =
                if end + self.plane <= self.n { &behind[self.plane - m..][..m] } else { &self.border[..] };
            let line = if self.has_line_after(start) { &behind[..m] } else { &self.border[..] };
            if self.has_line_before(start) && m > 1 {
                let second_plane = if end + self.plane <= self.n {
                    &behind[self.plane - 2 * m..][..m]
                } else {
                    &self.border[..]
                };
                let (rest, first) = ahead.split_at_mut(start);
                let second = &mut rest[start - m..];
                let mut solve = |i: usize, above: f64, plane: f64, after: f64| {
                    (right(i) - (pass.line * above + pass.plane * plane)) * pass.weight - pass.chain * after
                };
                let mut a = solve(end - 1, line[m - 1], plane[m - 1], 0.0);
                first[m - 1] = a;
                let mut b = 0.0;
                for i in (0..m - 1).rev() {
                    b = solve(start - m + i + 1, a, second_plane[i + 1], b);
                    a = solve(start + i, line[i], plane[i], a);
                    first[i] = a;
                    second[i + 1] = b;
                }
                second[0] = solve(start - m, a, second_plane[0], b);
                end -= 2 * m;
            } else {
                let mut after = 0.0;
                for (k, y) in ahead[start..].iter_mut().enumerate().rev() {
                    let rest = right(start + k) - (pass.line * line[k] + pass.plane * plane[k]);
                    after = rest * pass.weight - pass.chain * after;
                    *y = after;
                }
                end -= m;
            }
        }
    }
}

impl Sweeps for Grid {
    fn set_shift(&mut self, shift: f64) {
        self.shift = shift;
    }

    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        self.check(&[x, y]);
        let [a, b, c] = self.couplings;
        let (d, m) = (self.value(), self.line);
        for (start, y) in (0..self.n).step_by(m).zip(y.chunks_exact_mut(m)) {
            let [north, south, down, up] = self.neighbours(x, start);
            let x = &x[start..start + m];
            for k in 0..m {
                y[k] = c * (down[k] + up[k]) + b * (north[k] + south[k]) + d * x[k];
            }
            for k in 1..m {
                y[k] += a * x[k - 1];
            }
            for k in 0..m - 1 {
                y[k] += a * x[k + 1];
            }
        }
    }

    fn sor_forward(&self, omega: f64, b: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        self.check(&[b, x]);
        let (pass, m, value) = (self.pass(omega), self.line, self.value());
        let mut total = 0.0;
        for start in (0..self.n).step_by(m) {
            let (behind, rest) = x.split_at_mut(start);
            let (x, ahead) = rest.split_at_mut(m);
            let north = if self.has_line_before(start) { &behind[start - m..] } else { &self.border[..] };
            let south = if self.has_line_after(start) { &ahead[..m] } else { &self.border[..] };
            let down =
                if start >= self.plane { &behind[start - self.plane..][..m] } else { &self.border[..] };
            let there = start + self.plane < self.n;
            let up = if there { &ahead[self.plane - m..][..m] } else { &self.border[..] };
            let (b, north) = (&b[start..start + m], &north[..m]);
            let (mut before, mut sum) = (0.0, 0.0);
            for k in 0..m {
                let old = x[k];
                let after = if k + 1 < m { x[k + 1] } else { 0.0 };
                let others = (pass.plane * down[k] + pass.line * north[k])
                    + (pass.line * south[k] + pass.plane * up[k]);
                let rest = b[k] - others - self.couplings[0] * after;
                let new = (rest * pass.weight + (1.0 - omega) * old) - pass.chain * before;
                x[k] = new;
                before = new;
                let residual = (new - old) * value;
                sum += residual * residual;
            }
            total += sum;
        }
        total / (omega * omega)
    }

    fn sor_backward(&self, omega: f64, b: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        self.check(&[b, x]);
        let (pass, m, value) = (self.pass(omega), self.line, self.value());
        let mut total = 0.0;
        for start in (0..self.n).step_by(m).rev() {
            let (behind, rest) = x.split_at_mut(start);
            let (x, ahead) = rest.split_at_mut(m);
            let north = if self.has_line_before(start) { &behind[start - m..] } else { &self.border[..] };
            let south = if self.has_line_after(start) { &ahead[..m] } else { &self.border[..] };
            let down =
                if start >= self.plane { &behind[start - self.plane..][..m] } else { &self.border[..] };
            let there = start + self.plane < self.n;
            let up = if there { &ahead[self.plane - m..][..m] } else { &self.border[..] };
            let (b, north) = (&b[start..start + m], &north[..m]);
            let (mut after, mut sum) = (0.0, 0.0);
            for k in (0..m).rev() {
                let old = x[k];
                let before = if k > 0 { x[k - 1] } else { 0.0 };
                let others = (pass.plane * down[k] + pass.line * north[k])
                    + (pass.line * south[k] + pass.plane * up[k]);
                let rest = b[k] - others - self.couplings[0] * before;
                let new = (rest * pass.weight + (1.0 - omega) * old) - pass.chain * after;
                x[k] = new;
                after = new;
                let residual = (new - old) * value;
                sum += residual * residual;
            }
            total += sum;
        }
        total / (omega * omega)
    }

    fn solve_lower(&self, omega: f64, r: &[f64], g: &mut [f64]) -> f64 {
        self.check(&[r, g]);
        let pass = self.pass(omega);
        let mut sum = 0.0;
        self.forward(pass, g, |i| r[i], |_, y| sum += y * y);
        sum * pass.scaled
    }

    fn solve_upper(&self, omega: f64, beta: f64, g: &[f64], p: &mut [f64], u: &mut [f64]) {
        self.check(&[g, p, u]);
        let pass = self.pass(omega);
        self.backward(pass, u, |i| {
            let right = pass.scaled * g[i] + beta * p[i];
            p[i] = right;
            right
        });
    }

    fn complete(&self, omega: f64, p: &[f64], u: &[f64], v: &mut [f64]) -> f64 {
        self.check(&[p, u, v]);
        let pass = self.pass(omega);
        let mut sums = [0.0; 2];
        self.forward(pass, v, |i| p[i] - pass.scaled * u[i], |i, y| sums[i & 1] += p[i] * (u[i] + y));
        sums[0] + sums[1]
    }

    fn step(&self, omega: f64, alpha: f64, u: &[f64], v: &[f64], x: &mut [f64], g: &mut [f64]) -> f64 {
        self.check(&[u, v, x, g]);
        let mut total = 0.0;
        for range in chunks(self.n) {
            let mut lanes = [0.0; 8];
            let mut tail = 0.0;
            let (u, v) = (u[range.clone()].chunks(8), v[range.clone()].chunks(8));
            let (x, g) = (x[range.clone()].chunks_mut(8), g[range].chunks_mut(8));
            for ((u, v), (x, g)) in u.zip(v).zip(x.zip(g)) {
                if let (Ok(u), Ok(v), Ok(x), Ok(g)) = (
                    <&[f64; 8]>::try_from(u),
                    <&[f64; 8]>::try_from(v),
                    <&mut [f64; 8]>::try_from(&mut *x),
                    <&mut [f64; 8]>::try_from(&mut *g),
                ) {
                    for k in 0..8 {
                        x[k] += alpha * u[k];
                        g[k] -= alpha * (u[k] + v[k]);
                        lanes[k] += g[k] * g[k];
                    }
                } else {
                    for k in 0..u.len() {
                        x[k] += alpha * u[k];
                        g[k] -= alpha * (u[k] + v[k]);
                        tail += g[k] * g[k];
                    }
                }
            }
            let low = (lanes[0] + lanes[4]) + (lanes[1] + lanes[5]);
            let high = (lanes[2] + lanes[6]) + (lanes[3] + lanes[7]);
            total += (low + high) + tail;
        }
        total * self.pass(omega).scaled
    }

    fn lower_norm_squared(&self, omega: f64, g: &[f64]) -> f64 {
        self.check(&[g]);
        let [a, b, c] = self.couplings;
        let (d, m) = (self.value() / omega, self.line);
        let mut total = 0.0;
        for start in (0..self.n).step_by(m) {
            let [north, _, down, _] = self.neighbours(g, start);
            let g = &g[start..start + m];
            let mut sums = [0.0; 4];
            for k in 0..m {
                let before = if k > 0 { g[k - 1] } else { 0.0 };
                let value = c * down[k] + b * north[k] + a * before + d * g[k];
                sums[k & 3] += value * value;
            }
            total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
        total
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
        entry(i, self.value());
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
