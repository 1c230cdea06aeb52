"""From a data flag to batches: sources, decoding, shards, multi-crop, evaluation sets."""
