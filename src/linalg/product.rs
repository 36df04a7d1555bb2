//! Products and sums whose bits don't depend on the number of threads: fixed chunks, partial sums in index order.

use rayon::prelude::*;
use sprs::CsMatViewI;

/// Length of the chunks that sums are cut into.
const CHUNK: usize = 4096;
/// Vectors and matrices with fewer entries than this are worked on by one thread.
const PARALLEL: usize = 1 << 16;

/// x'y, summed in chunks of fixed length.
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    if x.len() < PARALLEL {
        x.chunks(CHUNK).zip(y.chunks(CHUNK)).map(|(a, b)| chunk_dot(a, b)).sum()
    } else {
        let partial: Vec<f64> =
            x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).map(|(a, b)| chunk_dot(a, b)).collect();
        partial.into_iter().sum()
    }
}

/// Eight running sums, so that the compiler may keep them in vector registers.
fn chunk_dot(x: &[f64], y: &[f64]) -> f64 {
    let (x8, x_rest) = x.as_chunks::<8>();
    let (y8, y_rest) = y.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in x8.iter().zip(y8) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// The Euclidean norm of x.
pub fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// y <- y + alpha x.
pub fn axpy(alpha: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += alpha * x;
    }
}

/// y <- A x for A in CSR. Parallel over the rows, each summed in storage order.
pub fn multiply(a: CsMatViewI<f64, u32>, x: &[f64], y: &mut [f64]) {
    let row = |i: usize| -> f64 {
        a.outer_view(i).map_or(0.0, |row| row.iter().map(|(j, &value)| value * x[j]).sum())
    };
    if a.nnz() < PARALLEL {
        y.iter_mut().enumerate().for_each(|(i, y)| *y = row(i));
    } else {
        y.par_iter_mut().with_min_len(256).enumerate().for_each(|(i, y)| *y = row(i));
    }
}
