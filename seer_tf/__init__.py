"""SEER in TensorFlow: SwAV pretraining of RegNetY networks on uncurated images."""

__version__ = "0.1.0"
