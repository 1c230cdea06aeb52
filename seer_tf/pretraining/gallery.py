"""The gallery: a few training images, which the network sees again and again during a run.

The network sees the images as in evaluation: uncropped, with batch norm in inference mode. The network does not change.

Legend: G images, C feature channels, K prototypes.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from seer_tf.config import PretrainingConfig
from seer_tf.data.images.pixel_features import color_histogram
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.methods.swav.model import SwavModel
from seer_tf.models import embeddings
from seer_tf.models.encoder import Encoder
from seer_tf.training.metrics import FEATURE_STD, RANK_ME

_NUM_IMAGES = 256
_BATCH_SIZE = 64
_NUM_PROTOTYPES = 12
_NUM_QUERIES = 8
_NUM_NEIGHBOURS = 7
_NUM_COMPARED = 10
_GAP_PX = 2
_MAX_TILE_PX = 96


@dataclasses.dataclass(frozen=True)
class GalleryOutputs:
    """The network's outputs for the gallery.

    Attributes:
        features: Pooled features, float32 [G, C].
        scores: Scores of the prototypes, float32 [G, K]; K is 0 without prototypes.
    """

    features: np.ndarray
    scores: np.ndarray

    def numbers(self) -> dict[str, float]:
        """Returns the signs of collapse that need many images, by their names in the log.

        RankMe is at most min(G, C). The scaled standard deviation is 1 if features of unit norm point in all directions
        equally.
        """
        features = tf.constant(self.features)
        std = embeddings.feature_std(features) * self.features.shape[1] ** 0.5
        return {RANK_ME: float(embeddings.rank_me(features)), FEATURE_STD: float(std)}


class Gallery:
    """Up to 256 images, evenly spaced in a source, in memory.

    Attributes:
        images: Uint8 [G, side, side, 3].
        chance: Expected result of `neighbours_by_colour` for features that have nothing to do with colour.
    """

    def __init__(self, source: Source, config: PretrainingConfig, model: Encoder) -> None:
        """Reads the images; images that cannot be read are left out.

        Args:
            source: Images of the run.
            config: Config of the run. The gallery's images get the side of its largest crops.
            model: Model that looks at the images.
        """
        num_images = min(_NUM_IMAGES, source.num_images)
        some = Selection(source, np.linspace(0, source.num_images - 1, num_images).astype(int))
        side_px = config.crops.sizes_px[0]
        readable = images_dataset(some, Transform(side_px), batch_size=1).ignore_errors()
        self.images = np.concatenate([image.numpy() for image in readable])
        colours = np.concatenate([color_histogram(tf.constant(batch)).numpy() for batch in self._batches()])
        self._by_colour = _nearest(colours, _NUM_COMPARED)
        self.chance = self._by_colour.shape[1] / max(len(self.images) - 1, 1)

        @tf.function(input_signature=[tf.TensorSpec([None, side_px, side_px, 3], tf.uint8)])
        def look(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features = model.features(model.normalize(images), training=False)  # [g, C]
            scores = model.head(features, training=False)[1] if isinstance(model, SwavModel) else features[:, :0]
            return tf.cast(features, tf.float32), tf.cast(scores, tf.float32)  # [g, C], [g, K]

        self._look = look

    def outputs(self) -> GalleryOutputs:
        """Returns the network's current outputs for the images."""
        parts = [self._look(batch) for batch in self._batches()]
        features, scores = (np.concatenate([part[index].numpy() for part in parts]) for index in (0, 1))
        return GalleryOutputs(features, scores)

    def prototype_sheet(self, outputs: GalleryOutputs) -> np.ndarray:
        """Returns a picture, uint8 [height, width, 3]. Each row has the best images of a much used prototype."""
        uses = np.bincount(outputs.scores.argmax(axis=1), minlength=outputs.scores.shape[1])  # [K]
        most_used = np.argsort(-uses, kind="stable")[:_NUM_PROTOTYPES]
        best = np.argsort(-outputs.scores[:, most_used], axis=0, kind="stable")[: _NUM_NEIGHBOURS + 1]
        return self._sheet(best.T)

    def neighbour_sheet(self, outputs: GalleryOutputs) -> np.ndarray:
        """Returns a picture, uint8 [height, width, 3]. Each row has an image and then the images nearest to it."""
        queries = np.linspace(0, len(self.images) - 1, min(_NUM_QUERIES, len(self.images))).astype(int)
        nearest = _nearest(outputs.features, _NUM_NEIGHBOURS)[queries]
        return self._sheet(np.concatenate([queries[:, np.newaxis], nearest], axis=1))

    def neighbours_by_colour(self, outputs: GalleryOutputs) -> float:
        """Returns the share of an image's ten nearest images that are also among its ten nearest by colour histogram.

        Without labels, this shows whether the features say more than colours do; 0 if there is only one image.
        """
        shared = (_nearest(outputs.features, _NUM_COMPARED)[:, :, np.newaxis] == self._by_colour[:, np.newaxis]).any(2)
        return float(shared.mean()) if shared.size else 0.0

    def _batches(self) -> list[np.ndarray]:
        return [self.images[start : start + _BATCH_SIZE] for start in range(0, len(self.images), _BATCH_SIZE)]

    def _sheet(self, numbers: np.ndarray) -> np.ndarray:
        """Returns a picture of the images with these numbers, int [rows, columns]."""
        stride = math.ceil(self.images.shape[1] / _MAX_TILE_PX)
        gaps = [(0, 0), (0, _GAP_PX), (0, _GAP_PX), (0, 0)]
        tiles = [np.pad(self.images[row, ::stride, ::stride], gaps, constant_values=255) for row in numbers]
        return np.concatenate([np.concatenate(list(row), axis=1) for row in tiles], axis=0)


def _nearest(features: np.ndarray, number: int) -> np.ndarray:
    """Returns the numbers of the images nearest to each image by cosine, nearest first, int [G, at most number]."""
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarities = units @ units.T  # [G, G]
    np.fill_diagonal(similarities, -np.inf)
    return np.argsort(-similarities, axis=1, kind="stable")[:, : min(number, len(units) - 1)]
