"""Trained networks, opened from runs, checkpoints, conversions and exports."""
