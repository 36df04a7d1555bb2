//! Coordinate descent for losses with separable penalties.
