"""Heads that stand on a backbone during pretraining."""
