"""Faster forms of the same mathematics, each with a plain twin and a test that compares them."""
