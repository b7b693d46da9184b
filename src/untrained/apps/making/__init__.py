"""Our own benchmarks, made: which networks, how they are trained, and one row for each training."""
