"""Writes features shard by shard, with constant memory. The same call continues where an earlier one stopped.

Several processes may write to one directory, each its own shards. `store.py` describes the files.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.data.shards.example import serialize_features
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import absolute
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import Extractor, absent_classes
from seer_tf.evaluation.features.fingerprints import FingerprintedSource
from seer_tf.evaluation.features.parquet import write_parquet
from seer_tf.evaluation.features.store import (
    MANIFEST,
    FeatureManifest,
    digest_of_ids,
    file_crc32c,
    little_endian,
    read_manifest,
)
from seer_tf.files import sealed_json, storage
from seer_tf.files.atomic import UNFINISHED, atomic_file, check_directory
from seer_tf.files.lock import locked

SHARD_BYTES = 128 * 2**20


def write_features(
    extractor: Extractor,
    source: Source,
    directory: str | os.PathLike[str],
    *,
    data: str,
    file_format: str = "npy",
    dtype: str = "float16",
    shard_bytes: int = SHARD_BYTES,
    worker: int = 0,
    num_workers: int = 1,
) -> None:
    """Writes the features of all images in a source. Finished shards are kept.

    Args:
        extractor: Extractor of the features.
        source: Source of the images.
        directory: Directory to write; either new, or left unfinished by the same call.
        data: Data spec of the source.
        file_format: One of `FORMATS`.
        dtype: One of `DTYPES`.
        shard_bytes: Approximate size of the features in a shard, in bytes. Memory holds twice as many bytes.
        worker: Index of this process, below `num_workers`. Each process writes every `num_workers`-th shard.
        num_workers: Number of processes that share the work.

    Raises:
        InputError: The directory holds something else, another process writes there, an image cannot be read, or a
            feature is not a finite number.
    """
    bytes_per_image = np.dtype(dtype).itemsize * sum(pooling.dim for pooling in extractor.poolings.values())
    manifest = FeatureManifest(
        origin=extractor.origin(data),
        format=file_format,
        dtype=dtype,
        num_images=source.num_images,
        images_per_shard=max(1, shard_bytes // bytes_per_image),
        class_names=source.class_names,
        digest_of_ids=digest_of_ids(source.ids),
    )
    directory = Path(directory)
    check_output(directory)
    with _locked(directory, worker):
        _claim(directory, manifest, worker)
        shards = [
            shard
            for shard in range(worker, manifest.num_shards, num_workers)
            if not manifest.file(directory, "images", shard, "json").exists()
        ]
        read = FingerprintedSource(source)
        numbers = [number for shard in shards for number in manifest.numbers(shard)]
        batches = extractor.batches(Selection(read, numbers)) if numbers else iter(())
        groups = _regrouped(batches, [len(manifest.numbers(shard)) for shard in shards])
        for shard, features in zip(shards, groups, strict=True):
            _write_shard(directory, manifest, shard, read, _stored(features, dtype))


def check_output(directory: str | os.PathLike[str]) -> None:
    """Raises an error if features cannot be written to a directory. Creates nothing.

    Raises:
        InputError: The directory holds something else, or cannot be written.
    """
    check_directory(directory)
    directory = Path(directory)
    # The order of the two checks matters: a worker that starts at the same time may write the manifest between them.
    # Hidden files are being written by a worker, or were left by one that died.
    is_foreign = directory.exists() and not all(map(storage.is_hidden, storage.names(directory)))
    if is_foreign and not (directory / MANIFEST).exists():
        raise InputError(f"{directory} holds files that are not features; give another directory")


def _claim(directory: Path, manifest: FeatureManifest, worker: int) -> None:
    """Claims a new directory for these features, or checks that an existing one belongs to them.

    All workers write the same manifest, each under a name of its own until it is complete, which a later process with
    the same lock removes.

    Raises:
        InputError: The directory holds other features.
    """
    own = f"-{worker}"
    (directory / f".features{own}{UNFINISHED}.json").unlink(missing_ok=True)
    if (directory / MANIFEST).exists():
        found, wanted = (_facts(one) for one in (read_manifest(directory), manifest))
        other = [name for name in wanted if found[name] != wanted[name]]
        if other:
            raise InputError(
                f"{directory} holds other features (another {', '.join(other)}); give the same flags to continue them, "
                "or give another directory"
            )
    else:
        with atomic_file(directory / MANIFEST, own) as unfinished:
            unfinished.write_text(manifest.to_json())


def _facts(manifest: FeatureManifest) -> dict[str, Any]:
    values = dataclasses.asdict(manifest)
    facts = {**values.pop("origin"), **values}
    facts.pop("step")  # the digest tells networks apart, and older manifests have no step
    # Older manifests have relative paths.
    return {**facts, "data": absolute(facts["data"]), "model": os.path.abspath(facts["model"])}


@contextlib.contextmanager
def _locked(directory: Path, worker: int) -> Iterator[None]:
    """Makes the directory, and keeps other processes from writing this worker's shards."""
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(directory / f".lock-{worker}"))
        except BlockingIOError:
            raise InputError(
                f"another process is writing features to {directory}: wait until it ends, or give another directory"
            ) from None
        yield


def _regrouped(batches: Iterator[dict[str, np.ndarray]], sizes: Sequence[int]) -> Iterator[dict[str, np.ndarray]]:
    """Yields the rows of batches in order, regrouped to the given sizes."""
    rest: dict[str, np.ndarray] = {}
    for size in sizes:
        parts, num_missing = [], size
        while num_missing:
            rest = rest if rest and len(_any(rest)) else next(batches)
            parts.append({stage: values[:num_missing] for stage, values in rest.items()})
            rest = {stage: values[num_missing:] for stage, values in rest.items()}
            num_missing -= len(_any(parts[-1]))
        yield {stage: np.concatenate([part[stage] for part in parts]) for stage in rest}
    next(batches, None)  # lets the iterator finish its checks at the end


def _any(features: Mapping[str, np.ndarray]) -> np.ndarray:
    return next(iter(features.values()))


def _stored(features: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    with np.errstate(over="ignore"):
        stored = {stage: values.astype(little_endian(dtype)) for stage, values in features.items()}
    for stage, values in stored.items():
        if not np.isfinite(values).all():
            raise InputError(f"some {stage} features are larger than {dtype} can hold; write float32")
    return stored


def _write_shard(
    directory: Path, manifest: FeatureManifest, shard: int, source: FingerprintedSource, features: dict[str, np.ndarray]
) -> None:
    numbers = manifest.numbers(shard)
    images: dict[str, Any] = {
        "ids": [source.ids[number] for number in numbers],
        "classes": [source.classes_of(number) for number in numbers],
        "fingerprints": source.fingerprints[numbers.start : numbers.stop].tolist(),
        "crc32c": {},
    }
    if (absent := absent_classes(source, numbers)) is not None:
        images["absent"] = absent
    for name, write in _files(manifest, images, features).items():
        with atomic_file(manifest.file(directory, name, shard, manifest.format)) as unfinished:
            write(unfinished)
            images["crc32c"][name] = file_crc32c(unfinished)
    with atomic_file(manifest.file(directory, "images", shard, "json")) as unfinished:
        unfinished.write_text(sealed_json.line(images))


def _files(
    manifest: FeatureManifest, images: Mapping[str, Any], features: Mapping[str, np.ndarray]
) -> dict[str, Callable[[Path], None]]:
    """Returns functions that write the files of a shard, by the names before the shard's number."""
    if manifest.format == "npy":
        return {stage: functools.partial(np.save, arr=values) for stage, values in features.items()}
    if manifest.format == "parquet":
        return {"features": lambda path: write_parquet(path, images["ids"], images["classes"], features)}
    return {"features": lambda path: _write_records(path, images, features)}


def _write_records(path: Path, images: Mapping[str, Sequence], features: Mapping[str, np.ndarray]) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row, (name, classes) in enumerate(zip(images["ids"], images["classes"], strict=True)):
            texts = {"image/id": name.encode("utf-8", "surrogateescape")}
            texts |= {f"features/{stage}": values[row].tobytes() for stage, values in features.items()}
            writer.write(serialize_features(texts, {"label": classes}))
