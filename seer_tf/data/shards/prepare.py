"""Prepares shards from any source: makes a plan, writes the shards one by one or in parallel, and joins the results.

All images are permuted by a function of the seed, and each shard holds an equal share of the permutation. Therefore any
worker can write any shard independently, and write it again. The number of shards follows from the mean size of a
sample. During the work, the entries and the rejected files of each shard lie beside it, and `plan.json` describes the
work.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.shards import audit, ledger, near_duplicates, notes
from seer_tf.data.shards import index as shard_index
from seer_tf.data.shards.audit import Audit
from seer_tf.data.shards.writer import ShardJob, ShardOptions, prepare_image, prepare_in_order, shard_path
from seer_tf.data.sources import shards
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.files import sealed_json, storage
from seer_tf.files.atomic import check_directory, remove_left_over
from seer_tf.files.lock import locked
from seer_tf.parallel import Job, Runner, host_gib, in_order, num_cores
from seer_tf.progress import Progress
from seer_tf.quantities import counted

_PLAN, _LOCK = "plan.json", ".lock"
_MOST_SHARDS = 1_000_000
_SAMPLE_IMAGES = 200
#: What is kept of each image until the shards are joined: its entry twice, its thumbnail, its place and its hash.
_BYTES_PER_IMAGE = 800
_WORDS = {"fingerprint": "names or classes of images", "sample": "content of images"}


def write_shards(
    source: Source,
    output_dir: str,
    options: ShardOptions,
    *,
    run: Runner,
    shard_bytes: int,
    seed: int = 0,
    drop_duplicates: bool = False,
) -> Audit:
    """Writes the images of a source as shards. Every image is decoded once; images that do not decode are rejected.

    After an interruption, the same call continues: finished shards are kept. The shards are a function of source,
    options, `shard_bytes`, `seed` and `drop_duplicates` alone.

    Args:
        source: Images.
        output_dir: Directory of the shards: missing, empty, or with a part of the same shards.
        options: Processing of each image.
        run: Runner that does the work.
        shard_bytes: Approximate size of a shard.
        seed: Seed of the global shuffle.
        drop_duplicates: Whether to keep only the first of several images that look alike. This decodes every image
            twice.

    Raises:
        InputError: The directory holds something else, is being written by another run or cannot be written, too many
            images cannot be read any more, no image is usable, or there are more than fit into memory.
    """
    _check_memory(source)
    with _claimed(output_dir) as begun:
        order = np.random.default_rng(seed).permutation(source.num_images)
        plan = _plan(source, seed, options, shard_bytes, drop_duplicates)
        if begun is None:
            begun = {"plan": plan, "num_shards": _num_shards(source, options, shard_bytes)}
            _save(output_dir, _PLAN, begun)
        _refuse_another(output_dir, begun["plan"], plan)
        num_shards = begun["num_shards"]
        if storage.exists(os.path.join(output_dir, shards.MANIFEST)):
            logging.info("%s: these shards were finished earlier; nothing was done.", output_dir)
        else:
            parts = np.array_split(order, num_shards)
            dropped = _find_duplicates(source, output_dir, parts, run) if drop_duplicates else {}
            job = ShardJob(source, output_dir, parts, options, dropped)
            _run_unfinished(job, parts, run, f"writing {counted(num_shards, 'shard')} to {output_dir}")
            _finish(source, output_dir, begun)
        _remove_intermediate_files(output_dir, num_shards)
        return audit.from_json(_load(output_dir, shards.MANIFEST).get("audit"))


def _check_memory(source: Source) -> None:
    """Raises an error if thumbnails and entries of all images do not fit into memory, where the shards are joined."""
    most = int(host_gib() * 2**30 / _BYTES_PER_IMAGE)
    if source.num_images > most:
        raise InputError(
            f"{counted(source.num_images, 'image')} are more than this machine can prepare at once, {most:,} for its "
            "memory, also with Beam; prepare parts of them, each in a directory of its own, and name all of them, as "
            "in shards:DIR/*"
        )


def check_output(output_dir: str) -> None:
    """Checks that shards can be written to a directory, before the headers of all images are read; makes nothing.

    Raises:
        InputError: The directory holds something else, is being written by another run, or cannot be written.
    """
    if storage.is_directory(output_dir):
        with _claimed(output_dir):
            return
    if not storage.is_remote(output_dir):
        check_directory(output_dir)


@contextlib.contextmanager
def _claimed(directory: str) -> Iterator[dict[str, Any] | None]:
    """Locks the directory; yields the plan and number of shards that were finished or begun there, or None."""
    try:
        storage.make_directory(directory)
        _begun(directory)  # Before the lock is created: the directory may hold something else.
        with _lock(directory):
            yield _begun(directory)
    except OSError as error:
        raise InputError(
            f"{directory}: the shards cannot be written ({error.strerror}); solve that and run the same again."
        ) from None


@contextlib.contextmanager
def _lock(directory: str) -> Iterator[None]:
    """Keeps other runs away. A run that died releases its lock. Remote directories have no lock."""
    if storage.is_remote(directory):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(os.path.join(directory, _LOCK)))
        except BlockingIOError:
            raise InputError(f"{directory}: another run is writing shards there; wait for it, or stop it.") from None
        remove_left_over(directory)
        yield


def _begun(directory: str) -> dict[str, Any] | None:
    for name in (shards.MANIFEST, _PLAN):
        if storage.exists(os.path.join(directory, name)):
            begun = _load(directory, name)
            number = begun.get("num_shards")
            if isinstance(begun.get("plan"), dict) and type(number) is int and 0 < number <= _MOST_SHARDS:
                return begun
            raise InputError(
                f"{directory}: {name} is of an earlier version, or of something else; give a new directory."
            )
    if not all(map(storage.is_hidden, storage.names(directory))):
        raise InputError(f"{directory}: the directory holds something else; give an empty or a new one.")
    return None


def _refuse_another(directory: str, found: dict[str, Any], plan: dict[str, Any]) -> None:
    differing = [key for key in plan if found.get(key) != plan[key]]
    if differing:
        named = ", ".join(_WORDS.get(key) or f"{key} ({found.get(key)}, now {plan[key]})" for key in differing)
        raise InputError(f"{directory}: the shards there differ in {named}; give an empty directory or a new one.")


def _num_shards(source: Source, options: ShardOptions, shard_bytes: int) -> int:
    """Estimates the number of shards from a sample; images are decoded only if they will be made smaller."""
    sample = _sample(source)

    def num_bytes(index: int) -> int:
        return prepare_image(source, index, options).num_bytes if options.longest_side_px else len(_read(source, index))

    with Progress(len(sample), "image", "estimating the number of shards") as progress:
        total = 0
        for size in in_order(num_bytes, sample, num_cores()):
            total += size
            progress.advance()
    return max(1, round(source.num_images * total / len(sample) / shard_bytes))


def _plan(source: Source, seed: int, options: ShardOptions, shard_bytes: int, drop_duplicates: bool) -> dict[str, Any]:
    """Returns all that determines the shards; a sample of the images represents the content of all."""
    digest = hashlib.sha256()
    for index in _sample(source):
        digest.update(hashlib.sha256(_read(source, index)).digest())
    return {
        "num_images": source.num_images,
        "fingerprint": source.fingerprint(),
        "sample": digest.hexdigest(),
        "seed": seed,
        "shard_bytes": shard_bytes,
        "drop_duplicates": drop_duplicates,
        **dataclasses.asdict(options),
    }


def _sample(source: Source) -> list[int]:
    """Returns the numbers of evenly spaced images."""
    return np.unique(np.linspace(0, source.num_images - 1, _SAMPLE_IMAGES).astype(int)).tolist()


def _read(source: Source, index: int) -> bytes:
    try:
        return source.read(index)
    except UnusableImageError:
        return b""


def _find_duplicates(source: Source, directory: str, parts: Sequence[np.ndarray], run: Runner) -> dict[int, int]:
    """Returns the images that look like an earlier one, each with the earlier one."""
    job = ThumbnailJob(source, directory, parts)
    _run_unfinished(job, parts, run, "looking for near-duplicates")
    thumbnails = np.zeros((source.num_images, *near_duplicates.THUMBNAIL_SHAPE), np.uint8)
    for number, part in enumerate(parts):
        thumbnails[part] = _thumbnails(job.path(number), len(part))
    groups = near_duplicates.find_groups(thumbnails)
    return {int(other): int(group[0]) for group in groups for other in group[1:]}


def _thumbnails(path: str, num_images: int) -> np.ndarray:
    """Returns the thumbnails in a file, uint8 `[num_images, 8, 9, 3]`.

    Raises:
        InputError: The file is damaged; it is removed, so that the next run writes it again.
    """
    content = np.frombuffer(storage.read(path), np.uint8)
    try:
        return content.reshape(num_images, *near_duplicates.THUMBNAIL_SHAPE)
    except ValueError:
        storage.remove(path)
        raise InputError(f"{path} is damaged; run the same again, which writes this file again.") from None


@dataclasses.dataclass(frozen=True)
class ThumbnailJob:
    """Writes the thumbnails of the images for each shard; that of an image that cannot be used is black."""

    source: Source
    directory: str
    parts: Sequence[np.ndarray]

    def path(self, number: int) -> str:
        """Returns the path of the thumbnails for shard `number`."""
        return notes.thumbnails_path(shard_path(self.directory, number, len(self.parts)))

    def __call__(self, number: int, num_threads: int = 1) -> None:
        """Writes the thumbnails for shard `number`, uint8 `[n, 8, 9, 3]`."""
        options = ShardOptions()
        indices = self.parts[number].tolist()
        prepare = functools.partial(prepare_image, self.source, options=options)
        images = prepare_in_order(self.source, indices, prepare, num_threads)
        storage.write(self.path(number), b"".join(image.thumbnail.tobytes() for image in images))


def _run_unfinished(job: Job, parts: Sequence[np.ndarray], run: Runner, label: str) -> None:
    """Runs a job for the files that do not exist yet."""
    num_images = sum(map(len, parts))
    unfinished = [number for number in range(len(parts)) if not storage.exists(job.path(number))]
    done = num_images - sum(len(parts[number]) for number in unfinished)
    with Progress(num_images, "image", label, done) as progress:
        for number in run(job, unfinished):
            progress.advance(len(parts[number]))


def _finish(source: Source, directory: str, begun: dict[str, Any]) -> None:
    """Writes index, lists of files and manifest for all shards."""
    num_shards = begun["num_shards"]
    paths = [shard_path(directory, number, num_shards) for number in range(num_shards)]
    entries, noted = zip(*(_noted(path) for path in paths), strict=True)
    rejected = sorted([*source.rejected, *(pair for of_shard in noted for pair in of_shard.rejected)])
    _write_ledger(directory, shards.REJECTED, ledger.REJECTED_HEADER, rejected)
    converted = sorted(pair for of_shard in noted for pair in of_shard.converted)
    _write_ledger(directory, shards.CONVERTED, ledger.CONVERTED_HEADER, converted)
    joined = np.concatenate(entries)
    if not joined.size:
        where = os.path.join(directory, shards.REJECTED)
        raise InputError(
            f"{directory}: not one usable image among {counted(len(rejected), 'file')}; see {where} for the reasons."
        )
    checksum = _write_index(directory, joined)
    groups = near_duplicates.find_groups(joined["thumbnail"])
    named = [(str(k), source.ids[joined["image"][place]]) for k, group in enumerate(groups, 1) for place in group]
    _write_ledger(directory, shards.DUPLICATES, ledger.DUPLICATES_HEADER, named)
    lines = [_shard(path, len(part)) for path, part in zip(paths, entries, strict=True)]
    of_files = audit.Notes(rejected, converted, [of_shard.found for of_shard in noted])
    found = audit.summarize(joined, of_files, groups, num_shards, sum(line.num_bytes for line in lines), source)
    manifest = {
        **begun,
        "classes": source.class_names,
        "shards": list(map(dataclasses.asdict, lines)),
        "audit": dataclasses.asdict(found),
        "index_crc32c": checksum,
    }
    _save(directory, shards.MANIFEST, manifest)


def _remove_intermediate_files(directory: str, num_shards: int) -> None:
    """Removes the files that were needed to continue after an interruption."""
    paths = [shard_path(directory, number, num_shards) for number in range(num_shards)]
    for path in paths:
        notes.remove(path)
    storage.remove(os.path.join(directory, _PLAN))


def _noted(path: str) -> tuple[np.ndarray, notes.Notes]:
    """Returns the entries of a shard, and the notes on its files.

    Raises:
        InputError: A file is missing or damaged; the shard is removed, so that the next run writes it again.
    """
    try:
        return notes.read(path)
    except (OSError, ValueError) as error:
        storage.remove(path)
        raise InputError(
            f"{path}: the notes on this shard are damaged ({error}); run the same again, which writes this shard again."
        ) from None


def _shard(path: str, num_images: int) -> shards.Shard:
    digest, num_bytes = hashlib.sha256(), storage.size(path)
    for offset in range(0, num_bytes, 1 << 24):
        digest.update(storage.read(path, offset, 1 << 24))
    return shards.Shard(os.path.basename(path), num_images, num_bytes, digest.hexdigest())


def _write_index(directory: str, entries: np.ndarray) -> int:
    index = np.stack([entries["offset"], entries["length"], entries["label"]], axis=1).astype(np.int64)
    return shard_index.write(os.path.join(directory, shards.INDEX), index)


def _write_ledger(directory: str, name: str, header: str, pairs: Iterable[tuple[str, str]]) -> None:
    storage.write(os.path.join(directory, name), (header + ledger.to_text(pairs)).encode())


def _save(directory: str, name: str, values: dict[str, Any]) -> None:
    storage.write(os.path.join(directory, name), json.dumps(sealed_json.sealed(values), indent=2).encode())


def _load(directory: str, name: str) -> dict[str, Any]:
    path = os.path.join(directory, name)
    try:
        return sealed_json.parse(storage.read(path))
    except sealed_json.DamagedJsonError:
        raise InputError(f"{path}: the file is broken; give another directory, or remove this one.") from None
