//! Progress on a terminal, and Ctrl-C.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use gradus::control::Monitor;
use indicatif::{ProgressBar, ProgressStyle};

use crate::options::Common;

/// The flag that Ctrl-C raises. The handler is installed once; a second Ctrl-C ends the process at once.
pub fn interrupt_flag() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let raised = flag.clone();
        // without a handler Ctrl-C simply ends the process, which is what it would do anyway
        let _ = ctrlc::set_handler(move || {
            if raised.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        flag
    })
    .clone()
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
