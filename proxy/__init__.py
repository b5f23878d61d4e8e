"""polyarch: one image name, every CPU."""
