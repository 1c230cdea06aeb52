"""How well colour alone tells the classes of labelled images apart, which decides how strongly a run may distort it."""

import dataclasses

import numpy as np

from seer_tf.data.images.pixel_features import color_histogram
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.usable import usable
from seer_tf.evaluation.held_out import held_out
from seer_tf.evaluation.protocols.knn import knn_accuracy
from seer_tf.progress import silent

_NUM_IMAGES = 1000
_LEAST_IMAGES = 50
_QUERY_FRACTION = 0.3
_NUM_NEIGHBOURS = 20
_SIDE_PX, _BATCH_SIZE = 32, 64


@dataclasses.dataclass(frozen=True)
class ColourAccuracy:
    """The accuracy of k-NN with colour histograms.

    Attributes:
        knn: Share of the queries that are classified correctly.
        chance: Share of the queries that are in the largest class.
    """

    knn: float
    chance: float

    @property
    def share(self) -> float:
        """Returns the accuracy on a scale from 0 (chance) to 1."""
        return max(0.0, (self.knn - self.chance) / (1 - self.chance)) if self.chance < 1 else 0.0


def colour_accuracy(source: Source) -> ColourAccuracy | None:
    """Measures how well colour histograms classify a thousand images, evenly spaced in the source.

    Args:
        source: Images.

    Returns:
        The accuracy; None if the images have no labels, or if there are too few of them.

    Raises:
        InputError: The images cannot be read.
    """
    if source.labels is None or source.num_images < _LEAST_IMAGES:
        return None
    numbers = np.linspace(0, source.num_images - 1, min(_NUM_IMAGES, source.num_images)).astype(int)
    chosen = usable(Selection(source, numbers))
    labels = np.unique(np.asarray(chosen.labels), return_inverse=True)[1]
    with unreadable_images_named():
        images = images_dataset(chosen, Transform(_SIDE_PX), batch_size=_BATCH_SIZE)
        features = np.concatenate([color_histogram(batch).numpy() for batch in images])
    query = held_out(labels, _QUERY_FRACTION)
    if not query.any():
        return None
    k, num_classes = min(_NUM_NEIGHBOURS, int((~query).sum())), int(labels.max()) + 1
    with silent():
        of_k = knn_accuracy(
            features[~query], labels[~query], features[query], labels[query], num_classes=num_classes, ks=[k]
        )
    return ColourAccuracy(of_k[k], float(np.bincount(labels[query]).max() / query.sum()))
