"""`shards:DIR`: TFRecord shards in globally shuffled order, a manifest, and a list of rejected files.

`shards:DIR/*` and `shards:DIR/{0..9}` join the shards in several directories.

    DIR/images-00000-of-00128.tfrecord    records, see `shards/example.py`
    DIR/index.npy                         int64 [images, 3]: offset of the record in its shard, its length, label
    DIR/manifest.json                     images, bytes and SHA-256 of each shard, classes, audit, CRC-32C of the index;
                                          written last
    DIR/rejected.tsv                      file and reason, one line each below a header
    DIR/converted.tsv                     file and what was done to it, likewise
    DIR/duplicates.tsv                    groups of images that look alike, one file on each line

This module reads shards; `shards/prepare.py` writes them.
"""

import bisect
import collections
import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from seer_tf import parallel
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.shards import example, tfrecord
from seer_tf.data.shards import index as shard_index
from seer_tf.data.shards.example import ABSENT
from seer_tf.data.shards.index import NO_LABEL, SEVERAL_LABELS, Index, JoinedIndex
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.blocks import Blocks
from seer_tf.errors import InputError
from seer_tf.files import patterns, sealed_json, storage
from seer_tf.files.open_files import OpenFiles
from seer_tf.quantities import counted

MANIFEST, INDEX, REJECTED, DUPLICATES = "manifest.json", "index.npy", "rejected.tsv", "duplicates.tsv"
CONVERTED = "converted.tsv"
# One read of this size costs a disk or a bucket far away little more than one of a single image. A worker keeps a block
# in memory for each image of its batch.
_BLOCK_BYTES, _MOST_IN_BLOCK = 1 << 22, 64
_SIZES_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Shard:
    """The entry of one shard in the manifest."""

    name: str
    num_images: int
    num_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class ShardManifest:
    """What manifest.json says. Earlier versions wrote fewer of the entries.

    Attributes:
        shards: Entry of each shard, in order.
        classes: Names of the classes; None without classes.
        plan: What the shards were made from and how.
        num_shards: Number of shards.
        audit: Numbers for the summary.
        index_crc32c: CRC-32C of index.npy; None if the index was written without one.
    """

    shards: tuple[Shard, ...]
    classes: tuple[str, ...] | None
    plan: dict[str, Any] | None = None
    num_shards: int | None = None
    audit: dict[str, Any] | None = None
    index_crc32c: int | None = None

    def __post_init__(self) -> None:
        """Compares the entries with each other."""
        if not self.shards or self.num_shards not in (None, len(self.shards)):
            raise ValueError("the number of shards is another")
        for shard in self.shards:
            if shard.name != os.path.basename(shard.name) or not shard.name.isprintable() or shard.num_images < 0:
                raise ValueError(f"{shard.name!r} with {shard.num_images} images is no shard")

    @property
    def num_images(self) -> int:
        """Returns the number of images in all shards."""
        return sum(shard.num_images for shard in self.shards)


class ShardsSource(Source):
    """Records by number. The index tells where each record lies, so `read` reads one record only."""

    is_verified = True

    def __init__(
        self,
        place: str,
        shards: Sequence[Shard],
        paths: Sequence[str],
        index: Index | JoinedIndex,
        class_names: tuple[str, ...] | None,
    ) -> None:
        """Takes shards that were checked; use `open_shards`."""
        self._place, self._shards, self._paths, self._index = place, shards, paths, index
        self._starts = list(itertools.accumulate((shard.num_images for shard in shards), initial=0))
        self._files = OpenFiles()
        num_bytes = sum(shard.num_bytes for shard in shards)
        self.images_per_block = min(max(_BLOCK_BYTES * self.num_images // max(num_bytes, 1), 2), _MOST_IN_BLOCK)
        self.class_names = class_names
        self.ids = _RecordIds(self)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickles the place alone; the other process opens the shards again."""
        return open_shards, (self._place,)

    @property
    def num_images(self) -> int:
        """Number of records in all shards."""
        return self._starts[-1]

    def in_blocks(self, num_kept: int) -> Source:
        """Returns a view that reads images in blocks; the blocks that were used last are kept."""
        num_bytes = sum(shard.num_bytes for shard in self._shards) / self.num_images
        num_mb = num_kept * self.images_per_block * num_bytes / 1e6
        logging.info("%s: blocks of %d images, %.0f MB in memory", self._place, self.images_per_block, num_mb)
        return Blocks(self, self.records, num_kept)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None unless each image has exactly one."""
        if self.class_names is None:
            return None
        labels = self._index.labels(0, self.num_images)
        return None if labels.min() < 0 else labels

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        (label,) = self._index.labels(index, index + 1).tolist()
        if label == SEVERAL_LABELS:
            return tuple(self.features(index)["label"].int64_list.value)
        return () if label == NO_LABEL else (label,)

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` is known to lack; None for all that it does not have."""
        return tuple(self.features(index)[ABSENT].int64_list.value) if self._says_what_is_absent else None

    @functools.cached_property
    def _says_what_is_absent(self) -> bool:
        return self.class_names is not None and self.num_images > 0 and ABSENT in self.features(0)

    def fingerprint(self, *, with_classes: bool = True) -> str:
        """Returns a SHA-256 in hex that identifies the images by the checksums of the shards.

        Args:
            with_classes: Makes no difference, since the records hold the classes.
        """
        return hashlib.sha256(repr([self.class_names, self._shards]).encode()).hexdigest()

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self.features(index)["image/encoded"].bytes_list.value[0]

    def features(self, index: int) -> Any:
        """Returns the features of record `index` by name, as `tf.train.Example` holds them.

        Raises:
            UnusableImageError: The record differs from what was written.
            InputError: The shard has vanished.
        """
        (record,) = self.records(index, index + 1)
        return example.features(record.data())

    def records(self, first: int, end: int) -> list[tfrecord.Framed]:
        """Returns records `first` to `end`, without `end`, with one read for each shard that holds some of them.

        Raises:
            InputError: A shard has vanished, or the index is damaged.
        """
        found: list[tfrecord.Framed] = []
        while first < end:
            number = bisect.bisect_right(self._starts, first) - 1
            here = min(end, self._starts[number + 1])
            found += self._neighbours(number, self._index.rows(first, here))
            first = here
        return found

    def _neighbours(self, number: int, rows: np.ndarray) -> list[tfrecord.Framed]:
        path = self._paths[number]
        shard_index.check_neighbours(os.path.join(os.path.dirname(path), INDEX), rows, self._shards[number].num_bytes)
        return tfrecord.read_neighbours(path, [(row[0], row[1]) for row in rows.tolist()], self._files.read)


class _RecordIds(Sequence):
    """The ids of a `ShardsSource`; each is read on demand. The id of a broken record is its number."""

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


def directories_of(place: str) -> Sequence[str]:
    """Returns the directories that a path, or a pattern with braces and wildcards, stands for.

    Raises:
        InputError: No directory matches the pattern.
    """
    directories = patterns.paths_of(place)
    if not directories:
        raise InputError(f"shards:{place}: no directory matches this pattern; correct it.")
    return directories


def check_shards(place: str) -> None:
    """Checks that finished shards lie in a directory, or in all directories of a pattern.

    Raises:
        InputError: A manifest is missing.
    """
    for directory in directories_of(place):
        if not storage.exists(os.path.join(directory, MANIFEST)):
            raise InputError(
                f"shards:{directory}: there is no {MANIFEST}; give a directory of shards that are finished."
            )


def open_shards(place: str) -> ShardsSource:
    """Opens finished shards and compares the size of each with the manifest.

    A shard whose end is missing is opened all the same; its lost images count as bad images (`replacing.py`).

    Args:
        place: A directory, or a pattern that names several, whose images then follow each other.

    Raises:
        InputError: A manifest is missing, the files do not match it, or the classes of two directories differ.
    """
    check_shards(place)
    directories = directories_of(place)
    manifests, indexes = zip(*map(_open_directory, directories), strict=True)
    for directory, manifest in zip(directories, manifests, strict=True):
        if manifest.classes != manifests[0].classes:
            raise InputError(
                f"shards:{place}: {directories[0]} and {directory} have different classes; prepare both with the same, "
                "or give one of them."
            )
    shards = [shard for manifest in manifests for shard in manifest.shards]
    paths = [
        os.path.join(directory, shard.name)
        for directory, manifest in zip(directories, manifests, strict=True)
        for shard in manifest.shards
    ]
    _check_sizes(directories, paths, shards)
    index = indexes[0] if len(indexes) == 1 else JoinedIndex(indexes)
    return ShardsSource(place, shards, paths, index, manifests[0].classes)


def _open_directory(directory: str) -> tuple[ShardManifest, Index]:
    try:
        manifest = sealed_json.read(storage.read(os.path.join(directory, MANIFEST)), ShardManifest)
    except (OSError, ValueError) as error:
        raise InputError(
            f"shards:{directory}: {MANIFEST} cannot be read ({error}); prepare the shards again."
        ) from None
    index = Index(os.path.join(directory, INDEX), manifest.index_crc32c)
    if len(index) != manifest.num_images:
        raise InputError(
            f"shards:{directory}: {MANIFEST} lists {counted(manifest.num_images, 'image')} and {INDEX} {len(index)}; "
            "prepare the shards again, in another directory."
        )
    if manifest.index_crc32c is None:
        sizes = [(shard.num_images, shard.num_bytes) for shard in manifest.shards]
        shard_index.check(os.path.join(directory, INDEX), index, sizes, len(manifest.classes or ()))
    return manifest, index


def _check_sizes(directories: Sequence[str], paths: Sequence[str], shards: Sequence[Shard]) -> None:
    """Compares the sizes of the shards with the manifest; of those that no listing has, many at once."""
    listed = {
        os.path.join(directory, name): size
        for directory in directories
        for name, size in storage.sizes(directory).items()
    }

    def check(path_and_shard: tuple[str, Shard]) -> None:
        path, shard = path_and_shard
        _check_size(path, shard, listed.get(path))

    collections.deque(parallel.in_order(check, zip(paths, shards, strict=True), _SIZES_AT_ONCE), maxlen=0)


def _check_size(path: str, shard: Shard, size: int | None) -> None:
    try:
        size = storage.size(path) if size is None else size
    except OSError as error:
        raise InputError(
            f"{path}: the shard cannot be read ({error.strerror}); put it back or prepare it again."
        ) from None
    if size > shard.num_bytes:
        raise InputError(
            f"{path}: the shard has {size} bytes where {MANIFEST} says {shard.num_bytes}, so it is a different one; "
            "prepare the shards again, in another directory."
        )
    if size < shard.num_bytes:
        logging.warning("%s: the last %d of %d bytes are missing", path, shard.num_bytes - size, shard.num_bytes)
