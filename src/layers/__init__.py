"""Layers for networks of one's own, where Keras has none."""
