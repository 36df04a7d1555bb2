//! Options that every solving command has.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gradus::control::Limits;
use gradus::report::{Plot, file};

use crate::output::Failure;

/// Options that every solving command has.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Stop once the relative certificate is at most this.
    #[arg(long, default_value_t = 1e-6, value_name = "X")]
    pub tolerance: f64,
    /// Stop after this many iterations.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub max_iterations: usize,
    /// Stop after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<f64>,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Threads to use; all cores by default, or as RAYON_NUM_THREADS says. Results do not depend on it.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Write the trace of the run as CSV.
    #[arg(long, value_name = "FILE.csv")]
    pub trace: Option<PathBuf>,
    /// Draw the certificate against the iterations.
    #[arg(long, value_name = "FILE.svg|.png")]
    pub plot: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// No progress and no notes on standard error.
    #[arg(long)]
    pub quiet: bool,
}

impl Common {
    /// Starts the thread pool, and checks the numbers and the output files before any work is done.
    pub fn prepare(&self) -> Result<Limits, Failure> {
        if self.threads == Some(0) {
            return Err(Failure::Usage("--threads is 0; at least one thread is needed".into()));
        }
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
            pool.map_err(|error| Failure::Usage(format!("--threads {threads}: {error}")))?;
        }
        let time_limit = match self.time_limit {
            None => None,
            Some(seconds) => Some(Duration::try_from_secs_f64(seconds).map_err(|_| {
                Failure::Usage(format!(
                    "--time-limit is {seconds}; it must be a number of seconds, not negative"
                ))
            })?),
        };
        let limits = Limits { tolerance: self.tolerance, max_iterations: self.max_iterations, time_limit };
        limits.check().map_err(|message| Failure::Usage(format!("--{message}")))?;
        if let Some(path) = &self.plot {
            Plot::check_ending(path).map_err(|error| Failure::Usage(format!("--plot {error}")))?;
        }
        for path in self.trace.iter().chain(&self.plot) {
            check_writable(path)?;
        }
        Ok(limits)
    }
}

/// Refuses an output file that cannot be written, before the work whose result goes there.
pub fn check_writable(path: &std::path::Path) -> Result<(), Failure> {
    file::check_writable(path).map_err(|error| Failure::Input(anyhow::anyhow!("{}: {error}", path.display())))
}
