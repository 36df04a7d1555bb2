//! How a run is limited, watched and recorded. Every solver uses these types and no others for it.
//!
//! - [`limits`]: when a solver stops;
//! - [`status`]: why it stopped, and the certificate of its answer;
//! - [`history`]: the trace, one row per record, and its CSV form;
//! - [`monitor`]: the run in progress, its observer and its interruption.
//!
//! A solver's main loop calls [`Run::record`] once per iteration and stops when that returns a [`Status`].

pub mod history;
pub mod limits;
pub mod monitor;
pub mod status;

pub use history::{History, Record};
pub use limits::Limits;
pub use monitor::{Monitor, Run};
pub use status::{Certificate, Counts, Status, Summary};
