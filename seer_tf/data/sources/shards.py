"""`shards:DIR`: TFRecord shards in globally shuffled order, a manifest, and the ledger of rejected files.

    DIR/images-00000-of-00128.tfrecord    records, see `example.py`
    DIR/index.npy                         int64 [images, 3]: offset of the record in its shard, its length, label
    DIR/manifest.json                     images, bytes and SHA-256 of each shard, classes, audit; written last
    DIR/rejected.tsv                      file and reason, one line each below a header
    DIR/duplicates.tsv                    groups of images that look alike, one file on each line

Here they are read; `preparation.py` writes them.
"""

import bisect
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.shards import tfrecord
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import storage

MANIFEST, INDEX, REJECTED, DUPLICATES = "manifest.json", "index.npy", "rejected.tsv", "duplicates.tsv"
#: In the column of labels: the image has no class, or several, which are in its record.
NO_LABEL, SEVERAL_LABELS = -1, -2


@dataclasses.dataclass(frozen=True)
class Shard:
    """A line of the manifest."""

    name: str
    num_images: int
    num_bytes: int
    sha256: str


class ShardsSource(Source):
    """Records by number, read through the index; only what is asked for is read."""

    is_verified = True

    def __init__(
        self, directory: str, shards: Sequence[Shard], index: np.ndarray, class_names: tuple[str, ...] | None
    ) -> None:
        """The shards must have been checked, as `open_shards` does."""
        self._directory, self._shards, self._index = directory, shards, index
        self._paths = [os.path.join(directory, shard.name) for shard in shards]
        self._starts = list(itertools.accumulate((shard.num_images for shard in shards), initial=0))
        self.class_names = class_names
        self.ids = _RecordIds(self)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Goes to another process by its name, without the index."""
        return open_shards, (self._directory,)

    @property
    def num_images(self) -> int:
        """Number of records in all shards."""
        return self._starts[-1]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None without classes, or where an image has none or several."""
        if self.class_names is None or self._index[:, 2].min() < 0:
            return None
        return np.array(self._index[:, 2])

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns the classes of image `index`, any number of them."""
        label = int(self._index[index, 2])
        if label == SEVERAL_LABELS:
            return tuple(self.features(index)["label"].int64_list.value)
        return () if label == NO_LABEL else (label,)

    def fingerprint(self) -> str:
        """Returns what tells these images from others: SHA-256 of the checksums of the shards, in hex."""
        return hashlib.sha256(repr([self.class_names, self._shards]).encode()).hexdigest()

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self.features(index)["image/encoded"].bytes_list.value[0]

    def features(self, index: int) -> Any:
        """Returns the features of record `index` by name, as in `tf.train.Example`.

        Raises:
            UnusableImageError: the record is not what was written.
            InputError: its shard has vanished.
        """
        shard = bisect.bisect_right(self._starts, index) - 1
        offset, length, _ = (int(number) for number in self._index[index])
        return tf.train.Example.FromString(tfrecord.read_record(self._paths[shard], offset, length)).features.feature


class _RecordIds(Sequence):
    """The ids of a `ShardsSource`, each read when asked for; a broken record has its number for a name."""

    def __init__(self, source: ShardsSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.num_images

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        try:
            value = self._source.features(index % len(self))["image/id"].bytes_list.value[0]
        except UnusableImageError:
            return f"record {index % len(self)}"
        return value.decode("utf-8", "surrogateescape")


def open_shards(directory: str) -> ShardsSource:
    """Opens finished shards, holding the size of each against the manifest.

    A shard that lost its end is opened all the same: its lost images are bad ones (`replacing.py`).

    Raises:
        InputError: no manifest, or what it says and what is there do not match.
    """
    try:
        manifest = json.loads(storage.read(os.path.join(directory, MANIFEST)))
        shards = [Shard(**shard) for shard in manifest["shards"]]
        classes = manifest["classes"]
    except FileNotFoundError:
        raise InputError(
            f"shards:{directory}: there is no {MANIFEST}; give a directory that prepare_shards has finished."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"shards:{directory}: {MANIFEST} cannot be read; prepare the shards again.") from None
    index = _open_index(directory)
    num_images = sum(shard.num_images for shard in shards)
    if len(index) != num_images:
        raise InputError(
            f"shards:{directory}: {MANIFEST} tells of {num_images} images and {INDEX} of {len(index)}; prepare the "
            "shards again, in another directory."
        )
    for shard in shards:
        _check(os.path.join(directory, shard.name), shard)
    return ShardsSource(directory, shards, index, None if classes is None else tuple(classes))


def _open_index(directory: str) -> np.ndarray:
    path = os.path.join(directory, INDEX)
    try:
        if storage.is_remote(path):
            return np.load(io.BytesIO(storage.read(path)))
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        raise InputError(f"{path}: the index is missing or broken; prepare the shards again.") from None


def _check(path: str, shard: Shard) -> None:
    try:
        size = storage.size(path)
    except OSError as error:
        raise InputError(
            f"{path}: the shard cannot be read ({error.strerror}); put it back or prepare it again."
        ) from None
    if size > shard.num_bytes:
        raise InputError(
            f"{path}: the shard has {size} bytes where {MANIFEST} says {shard.num_bytes}, so it is another one; "
            "prepare the shards again, in another directory."
        )
    if size < shard.num_bytes:
        logging.warning("%s: the last %d of %d bytes are missing", path, shard.num_bytes - size, shard.num_bytes)
