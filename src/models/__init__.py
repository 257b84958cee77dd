"""The networks, their layers, and the arithmetic of both."""
