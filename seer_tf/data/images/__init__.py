"""Image files: formats, decoding, and the transform for evaluation."""
