//! Options that every solving command has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use gradus::control::Limits;
use gradus::report::{Plot, file};

use crate::output::Failure;

/// Options that every solving command has.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Stop once the relative certificate is at most this.
    #[arg(long, default_value = "1e-6", value_name = "X")]
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
        start_threads(self.threads)?;
        let time_limit = match self.time_limit {
            None => None,
            Some(seconds) => Some(Duration::try_from_secs_f64(seconds).map_err(|_| {
                Failure::Usage(format!(
                    "--time-limit is {seconds}; it must be a number of seconds, neither negative nor above 1e19"
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

/// More threads than any machine of today has cores would only cost memory.
const MOST_THREADS: usize = 1024;

/// Starts the pool with the given number of threads; without one rayon chooses.
///
/// The calling thread is one of them: a method of many short products then hands none of them to another thread
/// merely to wait for it.
pub fn start_threads(threads: Option<usize>) -> Result<(), Failure> {
    if let Some(threads) = threads
        && !(1..=MOST_THREADS).contains(&threads)
    {
        return Err(Failure::Usage(format!(
            "--threads is {threads}; it must lie between 1 and {MOST_THREADS}"
        )));
    }
    // zero leaves the number to rayon
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).use_current_thread().build_global();
    pool.map_err(|error| Failure::Usage(format!("the threads did not start: {error}")))
}

/// Refuses outputs that would overwrite an input or each other; `inputs` are paths or `-`.
pub fn check_distinct(inputs: &[&str], outputs: &[(&str, &Path)]) -> Result<(), Failure> {
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    // devices such as /dev/null take any number of outputs
    let is_device = |path: &Path| path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir());
    for (k, (option, path)) in outputs.iter().enumerate() {
        if is_device(path) {
            continue;
        }
        if inputs.iter().any(|input| *input != "-" && place(Path::new(input)) == place(path)) {
            return Err(Failure::Usage(format!(
                "{option} {}: this would overwrite an input",
                path.display()
            )));
        }
        if let Some((other, _)) = outputs[..k].iter().find(|(_, earlier)| place(earlier) == place(path)) {
            return Err(Failure::Usage(format!(
                "{other} and {option} name the same file, {}",
                path.display()
            )));
        }
    }
    if inputs.iter().filter(|input| **input == "-").count() > 1 {
        return Err(Failure::Usage("standard input, -, can be read only once".into()));
    }
    Ok(())
}

/// Refuses an output file that cannot be written, before the work whose result goes there.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    file::check_writable(path).map_err(|error| Failure::Input(anyhow::anyhow!("{}: {error}", path.display())))
}
