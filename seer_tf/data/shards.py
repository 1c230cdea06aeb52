"""`shards:DIR`: TFRecord shards in globally shuffled order, a manifest, and the ledger of rejected files.

    DIR/images-00000-of-00128.tfrecord    records, see `example.py`
    DIR/images-00000-of-00128.index.npy   int64 [images, 3]: offset of the record, its length, label or -1
    DIR/manifest.json                     images, bytes and SHA-256 of each shard, classes; written last
    DIR/rejected.tsv                      file and reason, one line each below a header

Shard k holds an equal share of one permutation of all images, which is a function of the seed: so any shard can be made
for itself, again, and by any number of workers. The number of shards follows from the mean size of a sample.
"""

import bisect
import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.data import decode, example, ledger, tfrecords
from seer_tf.data.source import Source
from seer_tf.errors import InputError
from seer_tf.progress import Progress

MANIFEST, REJECTED, _PLAN = "manifest.json", "rejected.tsv", "plan.json"
_SAMPLE_IMAGES = 1000
_CHUNK_IMAGES = 256
_NO_LABEL = -1


def open_shards(directory: str) -> "ShardsSource":
    """Opens finished shards, holding the size of each against the manifest.

    Raises:
        InputError: no manifest, or a shard or its index is missing or not of the size the manifest says.
    """
    root = pathlib.Path(directory)
    try:
        manifest = json.loads((root / MANIFEST).read_text())
        shards = [_Shard(**shard) for shard in manifest["shards"]]
        classes = manifest["classes"]
    except FileNotFoundError:
        raise InputError(
            f"shards:{directory}: there is no {MANIFEST}; give a directory that prepare_shards has finished."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"shards:{directory}: {MANIFEST} cannot be read; prepare the shards again.") from None
    for shard in shards:
        path = root / shard.name
        size = path.stat().st_size if path.exists() else 0
        if size != shard.num_bytes or not index_path(path).exists():
            raise InputError(
                f"{path}: the shard or its index is missing or broken ({size} bytes, the manifest says "
                f"{shard.num_bytes}); prepare the shards again, in another directory."
            )
    return ShardsSource(root, shards, None if classes is None else tuple(classes))


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A line of the manifest."""

    name: str
    num_images: int
    num_bytes: int
    sha256: str


class ShardsSource(Source):
    """Records by number, read through the indexes; only what is asked for is read."""

    def __init__(self, root: pathlib.Path, shards: Sequence[_Shard], class_names: tuple[str, ...] | None) -> None:
        """The shards must have been checked, as `open_shards` does."""
        self._paths = [root / shard.name for shard in shards]
        self._indexes = [np.load(index_path(path), mmap_mode="r") for path in self._paths]
        self._starts = list(itertools.accumulate((len(index) for index in self._indexes), initial=0))
        self.class_names = class_names
        self.ids = _RecordIds(self)

    @property
    def num_images(self) -> int:
        """Number of records in all shards."""
        return self._starts[-1]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None without classes."""
        return None if self.class_names is None else np.concatenate([index[:, 2] for index in self._indexes])

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self.features(index)["image/encoded"].bytes_list.value[0]

    def features(self, index: int) -> Any:
        """Returns the features of record `index` by name, as in `tf.train.Example`."""
        shard = bisect.bisect_right(self._starts, index) - 1
        offset, length, _ = (int(number) for number in self._indexes[shard][index - self._starts[shard]])
        return tf.train.Example.FromString(tfrecords.read_record(self._paths[shard], offset, length)).features.feature


class _RecordIds(Sequence):
    """The ids of a `ShardsSource`, each read when asked for."""

    def __init__(self, source: ShardsSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.num_images

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        value = self._source.features(index % len(self))["image/id"].bytes_list.value[0]
        return value.decode("utf-8", "surrogateescape")


def index_path(shard: pathlib.Path) -> pathlib.Path:
    """Returns where the index of a shard lies."""
    return shard.with_suffix(".index.npy")


def ledger_path(shard: pathlib.Path) -> pathlib.Path:
    """Returns where a shard's part of the ledger lies until all shards are finished."""
    return shard.with_suffix(".rejected.tsv")


@dataclasses.dataclass(frozen=True)
class ShardsReport:
    """What `write_shards` did."""

    num_images: int
    num_shards: int
    num_bytes: int
    rejected_by_reason: dict[str, int]


def write_shards(source: Source, output_dir: str, *, shard_bytes: int, seed: int, num_workers: int) -> ShardsReport:
    """Writes the images of a source as shards; every image is decoded once, and what does not decode is rejected.

    A run that was stopped is taken up again: finished shards are kept.

    Args:
        source: the images.
        output_dir: made if need be; empty, or with the beginning of the same shards.
        shard_bytes: about how large a shard becomes.
        seed: of the global shuffle. The shards are a function of source, `shard_bytes` and seed alone.
        num_workers: threads that read and decode.

    Raises:
        InputError: the directory holds something else, cannot be written, or no image was usable.
    """
    root = pathlib.Path(output_dir)
    order = np.random.default_rng(seed).permutation(source.num_images)
    sample = order[:_SAMPLE_IMAGES]
    mean_bytes = sum(len(_read(source, int(index))[0]) for index in sample) / len(sample)
    num_shards = max(1, round(source.num_images * mean_bytes / shard_bytes))
    plan = _plan(source, num_shards, seed)
    try:
        if _claim(root, plan):
            return _report(root)
        with (
            concurrent.futures.ThreadPoolExecutor(num_workers) as pool,
            Progress(source.num_images, "image", f"writing {num_shards} shards to {root}") as progress,
        ):
            for number, indices in enumerate(np.array_split(order, num_shards)):
                path = root / f"images-{number:05d}-of-{num_shards:05d}.tfrecord"
                if not path.exists():
                    _write_shard(source, indices, path, pool)
                progress.advance(len(indices))
        _finish(root, source, plan)
        return _report(root)
    except (OSError, tf.errors.OpError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise InputError(f"{root}: the shards cannot be written ({reason}); mend that and run it again.") from None


def _plan(source: Source, num_shards: int, seed: int) -> dict[str, Any]:
    """What makes shards these and no others."""
    digest = hashlib.sha256()
    for name in source.ids:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return {"num_images": source.num_images, "ids_sha256": digest.hexdigest(), "num_shards": num_shards, "seed": seed}


def _claim(root: pathlib.Path, plan: dict[str, Any]) -> bool:
    """Makes the directory, or finds the beginning of the same shards there; returns whether they are finished."""
    root.mkdir(parents=True, exist_ok=True)
    if (root / MANIFEST).exists():
        found = _load(root / MANIFEST).get("plan")
    elif (root / _PLAN).exists():
        found = _load(root / _PLAN)
    else:
        found = None if any(root.iterdir()) else plan
    if found != plan:
        raise InputError(f"{root}: the directory holds something else; give an empty or a new one.")
    if (root / MANIFEST).exists():
        return True
    _replace(root / _PLAN, json.dumps(plan))
    return False


def _load(path: pathlib.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise InputError(f"{path}: the file is broken; give another output, or remove what is there.") from None


def _write_shard(
    source: Source, indices: np.ndarray, path: pathlib.Path, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    """Writes one shard, its index and its part of the ledger; the shard gets its name last."""
    unfinished = path.with_suffix(".unfinished")
    entries, rejected, offset = [], [], 0
    labels = source.labels
    with tf.io.TFRecordWriter(str(unfinished)) as writer:
        for start in range(0, len(indices), _CHUNK_IMAGES):
            chunk = [int(index) for index in indices[start : start + _CHUNK_IMAGES]]
            for index, (encoded, reason) in zip(chunk, pool.map(lambda i: _judged(source, i), chunk), strict=True):
                if reason is not None:
                    rejected.append((source.ids[index], reason))
                    continue
                label = None if labels is None else int(labels[index])
                record = example.serialized(encoded, source.ids[index], label)
                writer.write(record)
                entries.append((offset, len(record), _NO_LABEL if label is None else label))
                offset += tfrecords.framed_bytes(len(record))
    _replace(ledger_path(path), ledger.lines(rejected))
    temporary = path.with_suffix(".unfinished.npy")
    np.save(temporary, np.array(entries, np.int64).reshape(-1, 3))
    os.replace(temporary, index_path(path))
    os.replace(unfinished, path)


def _read(source: Source, index: int) -> tuple[bytes, str | None]:
    """Returns the bytes of an image, and why they cannot be read, or None."""
    try:
        return source.read(index), None
    except OSError as error:
        return b"", f"cannot be read: {error.strerror}"


def _judged(source: Source, index: int) -> tuple[bytes, str | None]:
    """Returns the bytes of an image, and why they are of no use, or None."""
    encoded, reason = _read(source, index)
    return encoded, reason or decode.reject_reason(encoded)


def _finish(root: pathlib.Path, source: Source, plan: dict[str, Any]) -> None:
    """Writes ledger and manifest over all shards, and removes what was needed to take the work up again."""
    paths = sorted(root.glob("images-*.tfrecord"))
    parts = [ledger_path(path) for path in paths]
    rejected = sorted([*source.rejected, *itertools.chain.from_iterable(map(ledger.read, parts))])
    shards = []
    for path in paths:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        shards.append(_Shard(path.name, len(np.load(index_path(path))), path.stat().st_size, sha256))
    _replace(root / REJECTED, ledger.HEADER + ledger.lines(rejected))
    if not any(shard.num_images for shard in shards):
        raise InputError(f"{root}: none of {len(rejected)} images was usable; see {root / REJECTED} for the reasons.")
    manifest = {"plan": plan, "classes": source.class_names, "shards": list(map(dataclasses.asdict, shards))}
    _replace(root / MANIFEST, json.dumps(manifest, indent=2))
    for path in [root / _PLAN, *parts]:
        path.unlink()


def _report(root: pathlib.Path) -> ShardsReport:
    shards = json.loads((root / MANIFEST).read_text())["shards"]
    rejected = ledger.read(root / REJECTED)
    reasons = collections.Counter(reason.partition(":")[0] for _, reason in rejected)
    return ShardsReport(
        num_images=sum(shard["num_images"] for shard in shards),
        num_shards=len(shards),
        num_bytes=sum(shard["num_bytes"] for shard in shards),
        rejected_by_reason=dict(reasons.most_common()),
    )


def _replace(path: pathlib.Path, text: str) -> None:
    temporary = path.with_name(path.name + ".unfinished")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, path)
