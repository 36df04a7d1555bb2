//! Progress on a terminal, and Ctrl-C.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use gradus::control::Monitor;
use indicatif::{ProgressBar, ProgressStyle};

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

/// A monitor that stops at Ctrl-C and, on a terminal, shows the certificate's way down to the tolerance.
pub fn monitor(common: &Common) -> Monitor<'static> {
    let monitor = Monitor::none().with_interrupt(interrupt_flag());
    if common.quiet || !std::io::stderr().is_terminal() {
        return monitor;
    }
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:30} {msg}") {
        bar.set_style(style);
    }
    let tolerance = common.tolerance.max(1e-16);
    let mut first = None;
    let bar = ClearedAtTheEnd(bar);
    monitor.with_observer(move |record| {
        let certificate = record.certificate.max(1e-300);
        let start = *first.get_or_insert(certificate.max(tolerance * 1.001));
        let share = (start / certificate).ln() / (start / tolerance).ln();
        bar.0.set_position((1000.0 * share.clamp(0.0, 1.0)) as u64);
        bar.0.set_message(format!(
            "iteration {}, objective {:.6e}, certificate {:.1e}",
            record.iteration, record.objective, record.certificate
        ));
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
