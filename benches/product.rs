//! Sparse products against the memory bandwidth of a triad in the same run, on one and two threads.
//!
//! `cargo bench --bench product`. Each line: a product, its time, the time in which the triad's rate moves the bytes that
//! the product must move (matrix once, vectors once), their ratio, and the gain of the second thread.

#![allow(clippy::expect_used)]

use std::hint::black_box;
use std::time::Instant;

use gradus::linalg::DesignMatrix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sprs::CsMatI;

/// Least seconds of twenty runs.
fn least(mut run: impl FnMut()) -> f64 {
    run();
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..20).map(once).fold(f64::INFINITY, f64::min)
}

/// Bytes a second of a <- b + s c over arrays of `n` numbers, counted as three transfers an entry.
fn triad(n: usize) -> f64 {
    let mut a = vec![0.0_f64; n];
    let (b, c) = (vec![1.0; n], vec![2.0; n]);
    let repeat = (4_000_000 / n).max(1);
    let seconds = least(|| {
        for _ in 0..repeat {
            let rows = a.par_chunks_mut(65_536).zip(b.par_chunks(65_536)).zip(c.par_chunks(65_536));
            rows.for_each(|((a, b), c)| a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 3.0 * c));
            black_box(&mut a);
        }
    });
    24.0 * (n * repeat) as f64 / seconds
}

/// A random matrix with `per_row` entries a row, columns ascending, near each other as in a banded problem or anywhere.
fn random(rows: usize, columns: usize, per_row: usize, banded: bool) -> DesignMatrix {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut starts = vec![0];
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let mut picked: Vec<u32> = (0..per_row)
            .map(|k| {
                let near = row * columns / rows + 3 * k;
                let column = if banded { near } else { random.random_range(0..columns) };
                (column % columns) as u32
            })
            .collect();
        picked.sort_unstable();
        picked.dedup();
        values.extend(picked.iter().map(|_| random.random_range(-1.0..1.0)));
        indices.extend(picked);
        starts.push(indices.len() as u32);
    }
    DesignMatrix::from_sparse(CsMatI::new((rows, columns), starts, indices, values)).expect("a valid matrix")
}

fn main() {
    let cases = [
        ("in cache, banded", 4_000, 4_000, 16, true),
        ("in cache, random", 4_000, 4_000, 16, false),
        ("in memory, banded", 400_000, 400_000, 20, true),
        ("in memory, random", 400_000, 20_000, 20, false),
    ];
    println!("| product | 1 thread | at triad rate | ratio | 2 threads | gain |\n|---|---|---|---|---|---|");
    for (name, rows, columns, per_row, banded) in cases {
        let matrix = random(rows, columns, per_row, banded);
        let bytes = 12 * matrix.stored() + 8 * (rows + columns) + 4 * rows;
        let (x, v) = (vec![1.0; columns], vec![1.0; rows]);
        let (mut ax, mut av) = (vec![0.0; rows], vec![0.0; columns]);
        let mut timed = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let rate = triad(bytes / 24);
                // several products a sample where one is short
                let repeat = (20_000_000 / bytes).clamp(1, 100);
                let forward = least(|| (0..repeat).for_each(|_| matrix.multiply(&x, black_box(&mut ax))));
                let backward =
                    least(|| (0..repeat).for_each(|_| matrix.multiply_transpose(&v, black_box(&mut av))));
                [forward / repeat as f64, backward / repeat as f64, bytes as f64 / rate]
            })
        };
        let (one, two) = (timed(1), timed(2));
        for (k, product) in ["A x", "A'v"].iter().enumerate() {
            println!(
                "| {product}, {name} | {:.1} us | {:.1} us | {:.2} | {:.1} us | {:.2} (triad {:.2}) |",
                1e6 * one[k],
                1e6 * one[2],
                one[k] / one[2],
                1e6 * two[k],
                one[k] / two[k],
                one[2] / two[2]
            );
        }
    }
}
