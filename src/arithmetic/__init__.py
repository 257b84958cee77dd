"""Sizes, costs and receptive fields, and the operators as plain loops over NumPy arrays."""
