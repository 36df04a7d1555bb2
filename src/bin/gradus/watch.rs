//! Progress on a terminal, and Ctrl-C.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use gradus::control::Monitor;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::options::Common;

/// Raised by Ctrl-C.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Whether a solver runs that looks at the flag.
static SOLVING: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C end the process with exit code 130: at once while files are read, with the best answer so far once
/// [`interrupt_flag`] was handed to a solver. A second Ctrl-C ends it at once in any case.
pub fn catch_interrupts() {
    // where no handler can be installed Ctrl-C ends the process all the same, only without an answer
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) || !SOLVING.load(Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}

/// The flag that Ctrl-C raises, for a solver that is about to start.
pub fn interrupt_flag() -> Arc<AtomicBool> {
    SOLVING.store(true, Ordering::Relaxed);
    INTERRUPTED.clone()
}

/// Shorter runs show no progress: a bar that flashes up tells nobody anything.
const PATIENCE: Duration = Duration::from_millis(300);

/// A monitor that stops at Ctrl-C and, on a terminal, shows how much of the work is done: of so many runs, and of the
/// certificate's way down to the tolerance in each.
pub fn monitor(common: &Common, runs: usize) -> Monitor<'static> {
    let monitor = Monitor::none().with_interrupt(interrupt_flag());
    if common.quiet || !std::io::stderr().is_terminal() {
        return monitor;
    }
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:30} {wide_msg}") {
        bar.set_style(style);
    }
    let tolerance = common.tolerance.max(1e-16);
    let (started, mut shown, mut run, mut first) = (Instant::now(), false, 0, f64::INFINITY);
    let bar = ClearedAtTheEnd(bar);
    monitor.with_observer(move |record| {
        let certificate = record.certificate.max(1e-300);
        if record.iteration == 0 {
            run += 1;
            first = certificate.max(tolerance * 1.001);
        }
        if !shown && started.elapsed() >= PATIENCE {
            bar.0.set_draw_target(ProgressDrawTarget::stderr());
            shown = true;
        }
        let share = ((first / certificate).ln() / (first / tolerance).ln()).clamp(0.0, 1.0);
        bar.0.set_message(format!(
            "iteration {}, objective {:.6e}, certificate {:.1e}",
            record.iteration, record.objective, record.certificate
        ));
        bar.0.set_position((1000.0 * ((run - 1) as f64 + share) / runs as f64) as u64);
        ControlFlow::Continue(())
    })
}

/// A progress bar that leaves no trace on the terminal.
struct ClearedAtTheEnd(ProgressBar);

impl Drop for ClearedAtTheEnd {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
