"""Evaluation of features: protocols, results, and published numbers to compare with."""
