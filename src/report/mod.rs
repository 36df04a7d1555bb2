//! Convergence plots and the HTML report.
//!
//! - [`plot`]: line plots as SVG or PNG, no system fonts needed;
//! - [`profile`]: performance profiles of several solvers;
//! - [`trace`]: reads the CSV traces that solvers write;
//! - [`html`]: one self-contained page of figures and tables;
//! - [`mod@file`]: writes an output file whole or not at all.

pub mod file;
pub mod html;
pub mod plot;
pub mod profile;
pub mod trace;

pub use plot::{Plot, PlotError, Scale, Series};
pub use trace::Trace;
