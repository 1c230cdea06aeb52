"""A deterministic held-out slice that contains the same share of every class."""

import numpy as np


def held_out(labels: np.ndarray, fraction: float, *, seed: int = 0) -> np.ndarray:
    """Chooses images to hold out.

    Every class gives the given fraction of its images, rounded, and keeps at least one image. The choice depends only
    on the labels and the seed.

    Args:
        labels: Int [N]; all equal if there are no classes.
        fraction: Fraction of images to hold out, in (0, 1).
        seed: Seed of the choice.

    Returns:
        Bool [N], true for held-out images.
    """
    chosen = np.zeros(len(labels), bool)
    generator = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return chosen
