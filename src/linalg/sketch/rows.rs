//! CountSketch of rows as they come, without storing S.

use rand::RngCore;
use rand_chacha::ChaCha8Rng;

/// Adds each row of A, with a random sign, to a random row of `out`: out <- out + S A, S a CountSketch.
///
/// A is row-major with rows of `width` entries, and so is `out`, which has the sketch's rows. For many small sketches
/// in a row, where [`SparseSign`](super::SparseSign) would spend its time on storing S. nnz(A) additions.
pub fn count_sketch_rows(a: &[f64], width: usize, rng: &mut ChaCha8Rng, out: &mut [f64]) {
    if width == 0 || out.len() < width {
        return;
    }
    let buckets = (out.len() / width) as u64;
    for row in a.chunks_exact(width) {
        let drawn = rng.next_u32();
        // the lowest bit is the sign, the others, scaled to the number of buckets, choose one
        let bucket = ((u64::from(drawn >> 1) * buckets) >> 31) as usize;
        let to = &mut out[bucket * width..(bucket + 1) * width];
        if drawn & 1 == 0 {
            to.iter_mut().zip(row).for_each(|(to, from)| *to += from);
        } else {
            to.iter_mut().zip(row).for_each(|(to, from)| *to -= from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn squared_lengths_are_right_on_average() {
        let a: Vec<f64> = (0..600).map(|i| (i as f64 * 0.9).sin()).collect();
        let exact: f64 = a.chunks_exact(3).map(|row| row[1] * row[1]).sum();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut mean = 0.0;
        for _ in 0..400 {
            let mut out = vec![0.0; 3 * 40];
            count_sketch_rows(&a, 3, &mut rng, &mut out);
            mean += out.chunks_exact(3).map(|row| row[1] * row[1]).sum::<f64>() / 400.0;
        }
        // the deviation of one is about sqrt(2 / 40) of the length
        assert!((mean / exact - 1.0).abs() < 5.0 * (2.0f64 / 40.0 / 400.0).sqrt());
    }
}
