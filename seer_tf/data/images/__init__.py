"""Image files: formats, decoding, and the square that a network sees."""
