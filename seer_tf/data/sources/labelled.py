"""The images of a set that have a class. Where each image has one class, those without a class are unlabelled."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import Data, name_of, open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.quantities import counted


def open_labelled(data: Data) -> Source:
    """Opens data for a task with one class for each image. Unlabelled images are left out; the log counts them.

    Args:
        data: As for `open_source`.

    Raises:
        InputError: `open_source` raises it.
    """
    return labelled_part(open_source(data), name_of(data))


def labelled_part(source: Source, name: str) -> Source:
    """Returns the images of a source that have a class; all if none has, so that the task refuses them.

    Args:
        source: Images.
        name: Name of the images, for the log.
    """
    if source.class_names is None or source.labels is not None:
        return source
    numbers = labelled_numbers([source.classes_of(number) for number in range(source.num_images)], name)
    return source if len(numbers) == source.num_images else Selection(source, numbers)


def labelled_numbers(classes: Sequence[tuple[int, ...]], name: str) -> np.ndarray:
    """Returns the numbers of the images that have a class, int64 `[n]`; all if none has. The log counts the others.

    Args:
        classes: All classes of each image.
        name: Name of the images, for the log.
    """
    numbers = np.array([number for number, of_image in enumerate(classes) if of_image], np.int64)
    if not len(numbers):
        return np.arange(len(classes))
    if len(numbers) < len(classes):
        without = len(classes) - len(numbers)
        logging.warning("%s: %d of %s have no label and are left out", name, without, counted(len(classes), "image"))
    return numbers
