"""Timings: what is measured and how is told in README.md."""
