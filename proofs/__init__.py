"""Chaos and benchmarks: for developers, never in the image."""
