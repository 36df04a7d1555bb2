//! Matrices and kernels. Knows nothing of optimisation.
