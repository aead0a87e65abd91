"""Benchmarks: what the product costs beside the least that the same work could cost. `make bench` runs them."""
