"""A deterministic slice to keep aside, with its share of every class."""

import numpy as np


def held_out(labels: np.ndarray, fraction: float, *, seed: int = 0) -> np.ndarray:
    """Chooses images to keep aside.

    Every class gives the given fraction of its images, rounded, and keeps at least one; the choice depends on the
    labels and the seed alone.

    Args:
        labels: Int [N]; all equal where there are no classes.
        fraction: Fraction in (0, 1).
        seed: Another seed chooses other images.

    Returns:
        bool [N], true for the images kept aside.
    """
    chosen = np.zeros(len(labels), bool)
    generator = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return chosen
