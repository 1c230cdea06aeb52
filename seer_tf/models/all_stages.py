"""Features of all stages: three statistics of every channel of every stage, whitened.

A network that was pretrained for minutes has its best features in its early stages, and how much a channel varies over
the map says more than its mean (measured, docs/lab/results.md). Each channel gives its mean, its standard deviation and
its maximum over the map. These numbers are standardised and projected on their principal axes. Each axis is divided by
its spread, which is raised by the mean spread, so that axes of noise stay small.

Legend: N images, S statistics, D numbers of a feature.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

NAME = "all_stages"
"""The name of these features, beside those of the stages."""

_NUM_COMPONENTS = 256
_STATISTICS = 3
_LEAST_SPREAD = 0.01  # of a channel, as a share of all channels' spread
_LEAST_SHARE = 1e-4  # of an axis, as a share of the largest spread
_SMALL = 1e-8


@keras.saving.register_keras_serializable(package="seer_tf")
class AllStages(keras.layers.Layer):
    """Whitened statistics of the maps of all stages, float32 whatever the precision of the maps.

    Attributes:
        num_statistics: S.
        num_components: D.
    """

    def __init__(self, num_statistics: int, num_components: int, **kwargs: Any) -> None:
        """Makes the layer with a mean and a projection of zeros.

        Args:
            num_statistics: Number of statistics, S.
            num_components: Number of components, D.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**{"name": NAME, **kwargs, "dtype": "float32"})
        self.num_statistics, self.num_components = num_statistics, num_components
        shapes = {"mean": (num_statistics,), "projection": (num_statistics, num_components)}
        self._mean, self._projection = (
            self.add_weight(shape, "zeros", trainable=False, name=name) for name, shape in shapes.items()
        )
        self.built = True

    def call(self, maps: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the features, float32 [N, D], of the maps [N, h, w, C] of all stages."""
        return self.of_statistics(statistics(maps))

    def of_statistics(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the features, float32 [N, D], of `statistics` [N, S]."""
        return tf.matmul(rows - self._mean, self._projection)

    def compute_output_shape(self, shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, int]:
        """Returns the shape [N, D]."""
        return (shapes[0][0], self.num_components)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {"num_statistics": self.num_statistics, "num_components": self.num_components}
        return {**super().get_config(), **own}


def statistics(maps: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns mean, standard deviation and maximum of each channel of each map, float32 [N, S].

    Args:
        maps: Maps [N, h, w, C].
    """
    found = []
    for each in maps:
        values = tf.cast(each, tf.float32)
        mean = tf.reduce_mean(values, axis=[1, 2], keepdims=True)
        variance = tf.reduce_mean(tf.square(values - mean), axis=[1, 2])
        found += [mean[:, 0, 0], tf.sqrt(variance + _SMALL), tf.reduce_max(values, axis=[1, 2])]
    return tf.concat(found, axis=1)


def fitted(rows: np.ndarray, widths: Sequence[int]) -> AllStages:
    """Returns the layer that whitens the statistics of some images.

    Args:
        rows: `statistics` of two images or more, float32 [N, S].
        widths: Number of channels of each stage; S is three times their sum.
    """
    rows = rows.astype(np.float64)
    groups = np.repeat(np.arange(_STATISTICS * len(widths)), np.repeat(widths, _STATISTICS))  # [S]
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    sizes = np.bincount(groups)  # each kind of statistic of each stage counts alike
    typical = np.sqrt(np.bincount(groups, spread**2) / sizes)[groups]
    scale = np.maximum(np.maximum(spread, _LEAST_SPREAD * typical), _SMALL) * np.sqrt(sizes)[groups]
    axes, variances = _principal_axes((rows - mean) / scale)
    raised = variances[:_NUM_COMPONENTS] + variances.sum() / len(scale)
    projection = (axes[:_NUM_COMPONENTS] / np.sqrt(raised)[:, np.newaxis]).T / scale[:, np.newaxis]
    return of_weights({"mean": mean, "projection": projection})


def of_weights(weights: Mapping[str, np.ndarray]) -> AllStages:
    """Returns the layer with a mean [S] and a projection [S, D].

    Raises:
        ValueError: An array is missing, has another shape, or has values that are not finite.
    """
    if set(weights) != {"mean", "projection"} or weights["projection"].shape[:1] != weights["mean"].shape:
        raise ValueError("these are not the weights of such a layer")
    if weights["projection"].ndim != 2 or not all(np.isfinite(values).all() for values in weights.values()):
        raise ValueError("a weight is not finite")
    layer = AllStages(*weights["projection"].shape)
    layer.set_weights([weights["mean"], weights["projection"]])
    return layer


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns axes [n, S] and variances [n] of centred rows, the largest first, each axis with a definite sign.

    Axes along which the rows hardly differ are left out, since other images may differ along them.
    """
    _, spreads, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[spreads > _LEAST_SHARE * spreads[0]]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, np.newaxis], axis=1)
    return axes * np.where(largest < 0, -1.0, 1.0), np.square(spreads[: len(axes)]) / len(rows)
