"""Augmentations: multi-crop with the distortions of SwAV, and RandAugment, MixUp and CutMix for labelled images."""
