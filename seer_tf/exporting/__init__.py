"""Trained networks as files that need TensorFlow alone."""
