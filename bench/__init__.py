"""Benchmarks: ``python -m bench compile``, from the root of the repository."""
