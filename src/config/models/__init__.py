"""A section for each model that there is."""
