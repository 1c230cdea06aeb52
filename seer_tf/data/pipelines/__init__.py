"""Pipelines from a source to batches: pretraining, supervised training, evaluation and detection."""
