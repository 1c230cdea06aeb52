"""Pretraining without labels, as a task of the engine: recipes, logging, planning."""
