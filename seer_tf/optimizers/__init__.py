"""LARS, SGD for fine-tuning, learning-rate schedules, and the loss scale."""
