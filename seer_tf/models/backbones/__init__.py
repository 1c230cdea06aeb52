"""Backbones, each family in its own folder."""
