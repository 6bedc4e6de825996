"""Measures reloaderd beside other restarters, in one go on one machine: `python -m benchmarks`."""
