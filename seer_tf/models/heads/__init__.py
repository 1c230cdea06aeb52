"""Heads that sit on a backbone during pretraining."""
