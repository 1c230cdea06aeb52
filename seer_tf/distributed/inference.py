"""Runs a function of images on several devices. Each device computes a slice of every batch."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf

from seer_tf.distributed.gpus import num_gpus
from seer_tf.distributed.strategy import make_strategy, place


class InferenceDevices:
    """The devices of a strategy, or the device that TensorFlow chooses if there is no strategy.

    Models and variables that the function uses must be made in `scope()`.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        """Creates the object for a strategy over the devices of this host."""
        self._strategy = strategy or tf.distribute.get_strategy()

    @classmethod
    def of_this_host(cls, num_devices: int | None = None) -> Self:
        """Returns devices of this host.

        Args:
            num_devices: Number of devices; None for all GPUs, or one device without GPUs.

        Raises:
            InputError: There are fewer devices.
        """
        return cls(make_strategy(place("auto", num_devices, None, num_gpus=num_gpus())))

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the context in which to make a model, so that the model is on all devices."""
        return self._strategy.scope()

    def spread(self, function: Callable[[tf.Tensor], Any], images: tf.TensorSpec) -> Callable[[tf.Tensor], Any]:
        """Returns the function, compiled, for batches of any size.

        Args:
            function: Function from images [B, ...] to tensors [B, ...] in any structure. Each row of a result depends
                only on the image in that row.
            images: Shape and dtype of the images; the batch size is free.
        """
        num_devices = self._strategy.num_replicas_in_sync
        if num_devices == 1:
            compiled = tf.function(function, input_signature=[tf.TensorSpec([None, *images.shape[1:]], images.dtype)])
            # TensorFlow warns of a function that is compiled for each of several small data sets. It does not count
            # calls of the one graph.
            return lambda batch: compiled.get_concrete_function()(batch)

        @functools.partial(tf.function, reduce_retracing=True)
        def on_each(values: Any) -> Any:
            return self._strategy.run(function, args=(values,))

        def of_all(batch: tf.Tensor) -> Any:
            num_images = len(batch)
            # Convolutions fail for an empty slice. So the batch is padded to equal slices, and the padding is removed.
            filling = tf.repeat(batch[-1:], -num_images % num_devices, axis=0)
            slices = tf.split(tf.concat([batch, filling], axis=0), num_devices)
            values = self._strategy.experimental_distribute_values_from_function(
                lambda context: slices[context.replica_id_in_sync_group]
            )
            return tf.nest.map_structure(lambda result: self._joined(result)[:num_images], on_each(values))

        return of_all

    def _joined(self, result: Any) -> tf.Tensor:
        return tf.concat(self._strategy.experimental_local_results(result), axis=0)
