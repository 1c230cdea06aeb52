"""`tfds:NAME[/CONFIG][:VERSION]@SPLIT`: a dataset that TensorFlow Datasets has prepared on this machine.

Nothing is downloaded. Records are found by number, and images stay the encoded bytes that TFDS stores.

Where a dataset lists the classes without difficult objects beside all classes, as `voc` does, an image has the former,
and a class that only the latter names does not count for it.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder

from seer_tf.data.shards import tfrecord
from seer_tf.data.sources.base import Source, single_labels
from seer_tf.errors import InputError

_NO_DIFFICULT = "_no_difficult"


class TfdsSource(Source):
    """One split of a dataset; the lengths of the records in its TFRecord files tell where each record lies."""

    def __init__(
        self,
        split: tfds.core.SplitInfo,
        image_key: str,
        class_key: str | None,
        class_names: tuple[str, ...] | None,
        name: str,
        listed_key: str | None = None,
    ) -> None:
        """Finds the records of a split.

        Args:
            split: Split of a prepared dataset.
            image_key: Feature of the records that holds the image.
            class_key: Feature of the records that holds the class or classes; None without classes.
            class_names: Names of the classes; None without classes.
            name: Beginning of the ids.
            listed_key: Feature that holds all classes, where `class_key` holds those without difficult objects; None
                where there is no such difference.
        """
        self._listed_key = listed_key
        self._image_key, self._class_key, self.class_names = image_key, class_key, class_names
        self._paths = [instruction.filename for instruction in split.file_instructions]
        places = []
        for number, instruction in enumerate(split.file_instructions):
            found = tfrecord.find_records(instruction.filename)[instruction.skip :][: instruction.take]
            places.append(np.insert(found, 0, number, axis=1))
        self._places = np.concatenate(places)  # [num_images, 3]: file, offset, length
        self.ids = [f"{name}/{index}" for index in range(len(self._places))]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None unless each image has exactly one."""
        return None if self._class_key is None else single_labels(self._classes)

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return () if self._class_key is None else self._classes[index]

    @functools.cached_property
    def _classes(self) -> list[tuple[int, ...]]:
        """All classes of each image; the first access reads all records."""
        features = map(self._features, range(self.num_images))
        return [tuple(feature[self._class_key].int64_list.value) for feature in features]

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` lacks, without those whose objects in it are difficult."""
        if self._listed_key is None or self.class_names is None:
            return None
        listed = set(self._features(index)[self._listed_key].int64_list.value)
        return tuple(number for number in range(len(self.class_names)) if number not in listed)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self._features(index)[self._image_key].bytes_list.value[0]

    def _features(self, index: int) -> Any:
        file, offset, length = (int(number) for number in self._places[index])
        return tf.train.Example.FromString(tfrecord.read_record(self._paths[file], offset, length)).features.feature


def open_tfds(name_at_split: str) -> TfdsSource:
    """Opens one split of a prepared dataset, in `TFDS_DATA_DIR` or in the default directory of TFDS.

    Raises:
        InputError: No split is named, or the dataset is not prepared here, lacks the split or has no images.
    """
    name = name_at_split.partition("@")[0]
    info, split_info = find_split(name_at_split)
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise InputError(f"tfds:{name}: its files are {info.file_format.value}; prepare it as tfrecord.")
    image_key = _first(info.features, tfds.features.Image)
    if image_key is None:
        raise InputError(f"tfds:{name}: its records hold no image; take a dataset with an image feature.")
    # An image has one class, or a sequence of classes, as in tfds:voc.
    labels = {key: getattr(feature, "feature", feature) for key, feature in info.features.items()}
    class_key = _first(info.features, tfds.features.ClassLabel) or _first(labels, tfds.features.ClassLabel)
    if class_key is not None and class_key.removesuffix(_NO_DIFFICULT) in labels:
        class_key = class_key.removesuffix(_NO_DIFFICULT)  # TFDS gives features in any order
    class_names = None if class_key is None else tuple(labels[class_key].names)
    without_difficult = f"{class_key}{_NO_DIFFICULT}"
    if without_difficult in labels:
        return TfdsSource(split_info, image_key, without_difficult, class_names, name_at_split, class_key)
    return TfdsSource(split_info, image_key, class_key, class_names, name_at_split)


def find_split(name_at_split: str) -> tuple[Any, Any]:
    """Returns `DatasetInfo` and `SplitInfo` of a prepared dataset, without reading its records.

    Raises:
        InputError: No split is named, the dataset is not prepared here, or it has no such split.
    """
    name, _, split = name_at_split.partition("@")
    if not name or not split:
        raise InputError(f"tfds:{name_at_split}: the split is missing; write tfds:NAME@SPLIT, e.g. tfds:cifar10@train.")
    try:
        info = read_only_builder.builder_from_files(name).info
    except (tfds.core.DatasetNotFoundError, ValueError):
        raise InputError(
            f"tfds:{name}: no such dataset is prepared in {tfds.core.constants.DATA_DIR}; run `tfds build` first, or "
            "set TFDS_DATA_DIR to where it lies."
        ) from None
    try:
        return info, info.splits[split]
    except (KeyError, ValueError):
        raise InputError(f"tfds:{name}: there is no split {split!r}; it has {', '.join(info.splits)}.") from None


def _first(features: Mapping[str, Any], kind: type) -> str | None:
    return next((key for key, feature in features.items() if isinstance(feature, kind)), None)
