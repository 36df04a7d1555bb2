//! Convergence plots and the HTML report.
