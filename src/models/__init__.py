"""The networks, a page each, what they are built of, and `build`."""
