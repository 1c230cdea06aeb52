"""From a data spec to batches: sources, decoding, shards, multi-crop, evaluation sets."""
