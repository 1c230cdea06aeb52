"""A map of images in two dimensions: images whose features are alike lie together.

t-SNE (van der Maaten & Hinton, "Visualizing data using t-SNE", 2008), from scikit-learn. Near images are alike; large
distances and the sizes of groups mean nothing.
"""

import numpy as np
import threadpoolctl
from sklearn.manifold import TSNE

from seer_tf.errors import InputError

MIN_IMAGES = 3
_PERPLEXITY = 30.0  # scikit-learn's default


def image_map(features: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Returns the place of each image on the map, float64 `[N, 2]`, from 0 to 1: to the right, then down.

    Args:
        features: Features, float `[N, C]`; their cosine counts.
        seed: Seed of the layout.

    Raises:
        InputError: There are fewer than three images.
    """
    if len(features) < MIN_IMAGES:
        raise InputError(f"a map needs at least {MIN_IMAGES} images, and there are {len(features)}; give more")
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    perplexity = min(_PERPLEXITY, (len(units) - 1) / 3)
    with threadpoolctl.threadpool_limits(
        1
    ):  # threads that wait for each other take many times as long on cores that others use
        places = TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(units.astype(np.float64))
    places = places - places.min(axis=0)
    return places / np.maximum(places.max(axis=0), 1e-12)
