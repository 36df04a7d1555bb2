//! Reading a LIBSVM file: seconds, megabytes a second, and peak memory against the arrays returned.
//!
//! `cargo bench --bench read -- FILE [REPEAT]`, with RAYON_NUM_THREADS=1 for one thread; one line of JSON for
//! `benches/peers/read_svmlight.py`, which runs scikit-learn's reader on the same file beside it.

use std::path::Path;
use std::time::Instant;

use gradus::read::{ReadError, libsvm};

/// Peak resident kilobytes of this process so far, where the system says so.
fn peak_kilobytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() -> Result<(), ReadError> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(path) = arguments.next() else {
        println!("usage: cargo bench --bench read -- FILE [REPEAT]");
        return Ok(());
    };
    let repeat: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let before = peak_kilobytes();
    let mut least = f64::INFINITY;
    let mut arrays = 0;
    let mut first_peak = None;
    for _ in 0..repeat {
        let start = Instant::now();
        let data = libsvm::read(Path::new(&path), &libsvm::Options::default())?;
        least = least.min(start.elapsed().as_secs_f64());
        first_peak = first_peak.or_else(peak_kilobytes);
        arrays = 12 * data.matrix.nnz() + 8 * (data.matrix.rows() + 1) + 8 * data.labels.len();
    }
    let peak = match (before, first_peak) {
        (Some(before), Some(after)) => 1024.0 * (after - before) as f64 / arrays as f64,
        _ => f64::NAN,
    };
    println!(
        "{{\"seconds\": {least}, \"megabytes\": {}, \"peak_over_arrays\": {peak}}}",
        arrays as f64 / 1e6
    );
    Ok(())
}
