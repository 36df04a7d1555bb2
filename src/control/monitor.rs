//! A run in progress: its clock, its history and its verdicts; who watches it and who may stop it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{History, Limits, Record, Status};

/// Sees every record of a run and may stop it.
pub type Observer<'a> = Box<dyn FnMut(&Record) -> ControlFlow<()> + 'a>;

/// Who watches a run and who may stop it. The default watches nothing and stops nothing.
///
/// One monitor serves any number of runs, one after the other.
#[derive(Default)]
pub struct Monitor<'a> {
    observer: Option<Observer<'a>>,
    interrupt: Option<Arc<AtomicBool>>,
}

impl<'a> Monitor<'a> {
    /// A monitor that does nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls `observer` with every record; the run ends as interrupted when it breaks.
    pub fn with_observer(mut self, observer: impl FnMut(&Record) -> ControlFlow<()> + 'a) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Ends the run as interrupted once the flag is set, from whatever thread or signal handler.
    pub fn with_interrupt(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = Some(flag);
        self
    }

    /// The interrupt flag, if there is one: for runs beside this one, on other threads.
    pub fn interrupt_flag(&self) -> Option<Arc<AtomicBool>> {
        self.interrupt.clone()
    }

    /// Whether the interrupt flag is set.
    pub fn interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// A run in progress.
pub struct Run<'m, 'a> {
    limits: Limits,
    monitor: &'m mut Monitor<'a>,
    started: Instant,
    history: History,
}

impl<'m, 'a> Run<'m, 'a> {
    /// Starts the clock. `columns` are the names of the method's own trace columns.
    pub fn start(limits: &Limits, monitor: &'m mut Monitor<'a>, columns: &[&'static str]) -> Self {
        let history = History { columns: columns.to_vec(), records: Vec::new() };
        Self { limits: limits.clone(), monitor, started: Instant::now(), history }
    }

    /// Records the current iterate, with the method's own columns, and says whether to stop there.
    ///
    /// The iteration number is the number of records before this one.
    pub fn record(&mut self, objective: f64, certificate: f64, extra: &[f64]) -> Option<Status> {
        debug_assert_eq!(extra.len(), self.history.columns.len());
        let record = Record {
            iteration: self.history.records.len(),
            seconds: self.seconds(),
            objective,
            certificate,
            extra: extra.to_vec(),
        };
        let asked_to_stop = self.monitor.observer.as_mut().is_some_and(|observe| observe(&record).is_break());
        let iteration = record.iteration;
        self.history.records.push(record);
        if certificate <= self.limits.tolerance {
            Some(Status::Solved)
        } else if asked_to_stop {
            Some(Status::Interrupted)
        } else if iteration >= self.limits.max_iterations {
            Some(Status::IterationLimit)
        } else {
            self.should_stop()
        }
    }

    /// Whether the clock or the interrupt flag ends the run: for the inside of long iterations.
    pub fn should_stop(&self) -> Option<Status> {
        if self.monitor.interrupted() {
            Some(Status::Interrupted)
        } else if self.limits.time_limit.is_some_and(|limit| self.started.elapsed() >= limit) {
            Some(Status::TimeLimit)
        } else {
            None
        }
    }

    /// When the time limit will be reached.
    pub fn deadline(&self) -> Option<Instant> {
        self.limits.time_limit.and_then(|limit| self.started.checked_add(limit))
    }

    /// Wall-clock time since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The limits of this run.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The history so far, taken out at the end of the run.
    pub fn into_history(self) -> History {
        self.history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_limit_that_is_met_decides() {
        let limits = Limits { tolerance: 1e-3, max_iterations: 2, time_limit: None };
        let mut monitor = Monitor::none();
        let mut run = Run::start(&limits, &mut monitor, &[]);
        assert_eq!(run.record(1.0, 1.0, &[]), None);
        assert_eq!(run.record(1.0, 1.0, &[]), None);
        assert_eq!(run.record(1.0, 1.0, &[]), Some(Status::IterationLimit));
        let mut run = Run::start(&limits, &mut monitor, &[]);
        assert_eq!(run.record(1.0, 1e-3, &[]), Some(Status::Solved));
        let limits = Limits { time_limit: Some(Duration::ZERO), ..limits };
        assert_eq!(Run::start(&limits, &mut monitor, &[]).record(1.0, 1.0, &[]), Some(Status::TimeLimit));
    }

    #[test]
    fn an_observer_and_a_flag_interrupt_any_number_of_runs() {
        let flag = Arc::new(AtomicBool::new(false));
        let mut seen = 0;
        let mut monitor = Monitor::none()
            .with_observer(|_| {
                seen += 1;
                if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .with_interrupt(flag.clone());
        let limits = Limits::default();
        let mut run = Run::start(&limits, &mut monitor, &[]);
        assert_eq!(run.record(1.0, 1.0, &[]), None);
        assert_eq!(run.record(1.0, 1.0, &[]), Some(Status::Interrupted));
        let mut run = Run::start(&limits, &mut monitor, &[]);
        assert_eq!(run.record(1.0, 1.0, &[]), None);
        flag.store(true, Ordering::Relaxed);
        assert_eq!(run.record(1.0, 1.0, &[]), Some(Status::Interrupted));
        // a NaN certificate never counts as solved
        flag.store(false, Ordering::Relaxed);
        assert_eq!(Run::start(&limits, &mut monitor, &[]).record(1.0, f64::NAN, &[]), None);
    }
}
