//! A built-in simulation: the heat equation on the unit square with a coefficient that changes in time.

use sprs::CsMatI;

/// The 5-point Laplacian on a grid of `lines` lines of `points` points, zero beyond the border: 4 on the diagonal, -1 beside it.
pub fn laplacian(points: usize, lines: usize) -> CsMatI<f64, u32> {
    let n = points * lines;
    let mut starts = vec![0u32];
    let (mut columns, mut values) = (Vec::with_capacity(5 * n), Vec::with_capacity(5 * n));
    for i in 0..n {
        let (line, point) = (i / points, i % points);
        let neighbours = [
            (line > 0).then(|| i - points),
            (point > 0).then(|| i - 1),
            Some(i),
            (point + 1 < points).then(|| i + 1),
            (line + 1 < lines).then(|| i + points),
        ];
        for j in neighbours.into_iter().flatten() {
            columns.push(j as u32);
            values.push(if j == i { 4.0 } else { -1.0 });
        }
        starts.push(columns.len() as u32);
    }
    CsMatI::new((n, n), starts, columns, values)
}
