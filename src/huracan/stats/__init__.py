"""Pure functions on arrays: kernels, ridge by Gram matrices, e-values, shrinkage, robust errors."""
