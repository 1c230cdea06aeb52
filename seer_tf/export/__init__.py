"""The trained backbone as files that need TensorFlow alone."""
