"""Augmentations: multi-crop with SwAV's distortions, and the mixing of labelled images."""
