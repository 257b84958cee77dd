"""Keras 3 networks that encode and decode images, and the program that trains them."""
