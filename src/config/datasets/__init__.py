"""A section for each data set that there is."""
