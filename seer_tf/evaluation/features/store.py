"""Features in files, read a few rows at a time.

`shards.py` writes these files:

    DIR/features.json                    origin and storage format of the features; written first
    DIR/res5-00000-of-00012.npy          float16 or float32 [n, D], one file for each stage, or
    DIR/features-00000-of-00012.tfrecord one tf.train.Example for each image: "image/id", "label" (any number) and for
                                         each stage "features/res5", the bytes of its D numbers, lowest byte first, or
    DIR/features-00000-of-00012.parquet  columns "image", "label" (a list) and for each stage "res5" (D numbers)
    DIR/images-00000-of-00012.json       ids, classes and fingerprints of the shard's images, the classes that they are
                                         known to lack, where the data says so, and checksums of its files; written last

A shard is finished when its `images` file exists.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import tensorflow as tf

from seer_tf.data.shards import tfrecord
from seer_tf.data.shards.index import ARRAY_DAMAGE
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import FeatureSet, Origin
from seer_tf.evaluation.features.parquet import read_parquet
from seer_tf.files import sealed_json
from seer_tf.quantities import counted
from seer_tf.training.run_directory import check_exists

FORMATS = ("npy", "tfrecord", "parquet")
DTYPES = ("float16", "float32")
MANIFEST = "features.json"
_MOST_SHARDS = 1_000_000
_PART_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class FeatureManifest:
    """Description of the features in a directory. The same command creates the same manifest.

    Attributes:
        origin: Origin of the features.
        format: One of `FORMATS`.
        dtype: One of `DTYPES`.
        num_images: Number of images in all shards.
        images_per_shard: Images per shard; the last shard may have fewer.
        class_names: Names of the classes; None without classes.
        digest_of_ids: Digest of the names of all images, in order.
    """

    origin: Origin
    format: str
    dtype: str
    num_images: int
    images_per_shard: int
    class_names: tuple[str, ...] | None
    digest_of_ids: str

    def __post_init__(self) -> None:
        """Checks values that were read from a file."""
        if self.format not in FORMATS or self.dtype not in DTYPES:
            raise ValueError(f"{self.format!r} of {self.dtype!r} is not written by this version")
        if self.num_images < 0 or self.images_per_shard < 1 or self.num_shards > _MOST_SHARDS:
            raise ValueError(f"{self.num_images} images, {self.images_per_shard} in a shard, are not possible")

    @property
    def num_shards(self) -> int:
        """Returns the number of shards."""
        return -(-self.num_images // self.images_per_shard)

    def numbers(self, shard: int) -> range:
        """Returns the numbers of the images in a shard."""
        first = shard * self.images_per_shard
        return range(first, min(first + self.images_per_shard, self.num_images))

    def file(self, directory: Path, name: str, shard: int, suffix: str) -> Path:
        """Returns the path of one of a shard's files."""
        return directory / f"{name}-{shard:05d}-of-{self.num_shards:05d}.{suffix}"

    def to_json(self) -> str:
        """Returns the content of features.json."""
        return sealed_json.text(dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class ShardImages:
    """The images of one shard, as its `images` file has them.

    Attributes:
        ids: Names of the images.
        classes: Classes of each image.
        fingerprints: Fingerprint of each file, below 2^64.
        absent: Classes that each image is known to lack; None where the data does not say.
        crc32c: CRC-32C of each file with features, by the name before the shard's number; None in files of earlier
            versions.
    """

    ids: tuple[str, ...]
    classes: tuple[tuple[int, ...], ...]
    fingerprints: tuple[int, ...]
    absent: tuple[tuple[int, ...], ...] | None = None
    crc32c: dict[str, int] | None = None

    def __post_init__(self) -> None:
        """Compares the fields with each other."""
        absent = self.ids if self.absent is None else self.absent
        if len({len(values) for values in (self.ids, self.classes, self.fingerprints, absent)}) != 1:
            raise ValueError("its lists have different lengths")
        if self.fingerprints and not 0 <= min(self.fingerprints) <= max(self.fingerprints) < 2**64:
            raise ValueError("its fingerprints are out of range")

    def check(self, num_images: int, num_classes: int) -> None:
        """Raises a `ValueError` if the number of images is another, or a class is unknown."""
        known = range(num_classes)
        named = itertools.chain.from_iterable((*self.classes, *(self.absent or ())))
        if len(self.ids) != num_images or any(number not in known for number in named):
            raise ValueError("its images or classes do not fit the features")


def open_features(directory: str | os.PathLike[str]) -> FeatureSet:
    """Opens the features that `write_features` wrote. Rows are read from the files when they are asked for.

    Raises:
        InputError: The directory has no features, or not all of them yet.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    paths = [manifest.file(directory, "images", shard, "json") for shard in range(manifest.num_shards)]
    num_missing = sum(not path.exists() for path in paths)
    if num_missing:
        raise InputError(
            f"{directory}: unfinished, {num_missing} of {counted(len(paths), 'shard')} missing; give the command that "
            "was writing the features again, and it continues where it stopped"
        )
    images = [_read_images(path, manifest, shard) for shard, path in enumerate(paths)]
    ids = [name for shard in images for name in shard.ids]
    if digest_of_ids(ids) != manifest.digest_of_ids:
        raise InputError(f"{directory}: the names of the images differ from {MANIFEST}; extract the features again")
    absent = [shard.absent for shard in images if shard.absent is not None]
    checksums = {
        manifest.file(directory, name, number, manifest.format): checksum
        for number, shard in enumerate(images)
        for name, checksum in (shard.crc32c or {}).items()
    }
    if len(absent) not in (0, len(images)):
        raise InputError(f"{directory}: some shards lack the absent classes; extract the features again")
    return FeatureSet(
        origin=manifest.origin,
        rows={stage: _StoredRows(directory, manifest, stage, checksums) for stage in manifest.origin.poolings},
        ids=ids,
        fingerprints=np.array([number for shard in images for number in shard.fingerprints], np.uint64),
        class_names=manifest.class_names,
        classes=[classes for shard in images for classes in shard.classes],
        absent=[classes for shard in absent for classes in shard] if absent else None,
    )


def digest_of_ids(ids: Sequence[str]) -> str:
    """Returns the SHA-256 of names of images in hex; names of files need not be Unicode."""
    return hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass")).hexdigest()


def _read_images(path: Path, manifest: FeatureManifest, shard: int) -> ShardImages:
    try:
        images = sealed_json.read(path.read_bytes(), ShardImages)
        images.check(len(manifest.numbers(shard)), len(manifest.class_names or ()))
        return images
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove this file and extract the features again, which makes this shard anew"
        ) from None


class _StoredRows:
    """The features of one stage, float [N, D], in files."""

    def __init__(self, directory: Path, manifest: FeatureManifest, stage: str, unchecked: dict[Path, int]) -> None:
        self._directory, self._manifest, self._stage = directory, manifest, stage
        self._unchecked = unchecked
        self.shape = (manifest.num_images, manifest.origin.poolings[stage].dim)

    def __len__(self) -> int:
        return self._manifest.num_images

    def __getitem__(self, rows: Any) -> np.ndarray:
        numbers = np.arange(len(self))[rows]
        with _damage_named(self._directory / MANIFEST):
            result = np.empty([len(numbers), self.shape[1]], self._manifest.dtype)
        shards, positions = np.divmod(numbers, self._manifest.images_per_shard)
        for shard in np.unique(shards):
            result[shards == shard] = self._of_shard(shard, positions[shards == shard])
        return result

    def _of_shard(self, shard: int, positions: np.ndarray) -> np.ndarray:
        file_format = self._manifest.format
        name = self._stage if file_format == "npy" else "features"
        path = self._manifest.file(self._directory, name, shard, file_format)
        with _damage_named(path):
            self._check(path)
            if file_format == "npy":
                return self._of_npy(path, shard, positions)
            if file_format == "tfrecord":
                return self._of_records(path, positions)
            return read_parquet(path, self._stage, positions)

    def _check(self, path: Path) -> None:
        """Compares a file with its checksum before it is read for the first time."""
        checksum = self._unchecked.get(path)
        if checksum is not None and file_crc32c(path) != checksum:
            raise ValueError("its checksum differs")
        self._unchecked.pop(path, None)

    def _of_npy(self, path: Path, shard: int, positions: np.ndarray) -> np.ndarray:
        # The file is mapped only during this call, because mapped pages would count as memory of the process.
        rows = np.load(path, mmap_mode="r")
        if rows.shape != (len(self._manifest.numbers(shard)), self.shape[1]) or rows.dtype != self._manifest.dtype:
            raise ValueError(f"its numbers are {rows.dtype} {list(rows.shape)}")
        return rows[positions]

    def _of_records(self, path: Path, positions: np.ndarray) -> np.ndarray:
        places = _places(path)[positions]
        records = (tfrecord.read_record(path, int(offset), int(length)) for offset, length in places)
        features = (tf.train.Example.FromString(record).features.feature for record in records)
        values = [feature[f"features/{self._stage}"].bytes_list.value[0] for feature in features]
        return np.frombuffer(b"".join(values), little_endian(self._manifest.dtype)).reshape(-1, self.shape[1])


def file_crc32c(path: Path) -> int:
    """Returns the CRC-32C of a file."""
    checksum = 0
    with open(path, "rb") as file:
        while part := file.read(_PART_BYTES):
            checksum = google_crc32c.extend(checksum, part)
    return checksum


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except ARRAY_DAMAGE as error:
        raise InputError(f"{path} cannot be read ({error}); extract the features again") from None


@functools.lru_cache(maxsize=4096)
def _places(path: Path) -> np.ndarray:
    return tfrecord.find_records(path)


def little_endian(dtype: str) -> np.dtype:
    """Returns the dtype in the byte order of the files, lowest byte first."""
    return np.dtype(dtype).newbyteorder("<")


def read_manifest(directory: Path) -> FeatureManifest:
    """Reads features.json.

    Raises:
        InputError: The file does not exist, or it is damaged.
    """
    try:
        return sealed_json.read((directory / MANIFEST).read_bytes(), FeatureManifest)
    except (FileNotFoundError, NotADirectoryError):
        check_exists(directory)
        raise InputError(
            f"{directory} holds no features: there is no {MANIFEST}; write them with extract_features.py"
        ) from None
    except (OSError, sealed_json.DamagedJsonError) as error:
        raise InputError(f"{directory / MANIFEST} is damaged ({error}); extract the features again") from None
