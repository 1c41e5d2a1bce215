"""Benchmarks: ours and the plain way, in turn, in one run."""
