"""Turns the kinds of images that users may give into data specs and sources."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources import places
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.memory import MemorySource
from seer_tf.data.sources.registry import Data, absolute
from seer_tf.errors import InputError
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.networks.pretrained import read_config
from seer_tf.parallel import LocalRunner
from seer_tf.training.run_directory import RunDirectory

#: A folder or another data spec; a source; uint8 `[N, h, w, 3]`, alone or with labels `[N]`; a dataset of images
#: uint8 `[h, w, 3]`, or of pairs of an image and its label.
Images: TypeAlias = str | os.PathLike[str] | Source | np.ndarray | tuple[np.ndarray, Any] | tf.data.Dataset

_SHARD_BYTES = 150_000_000


def as_data(images: Images) -> Data:
    """Returns the data spec of images, or a source for images in memory.

    Raises:
        InputError: The kind of the images is unknown, or an image has another shape or type.
    """
    if isinstance(images, (str, os.PathLike)):
        return os.path.expanduser(os.fspath(images))
    if isinstance(images, Source):
        return images
    if isinstance(images, tf.data.Dataset):
        return MemorySource.from_dataset(images)
    if isinstance(images, tuple) and len(images) == 2:
        return MemorySource(*images)
    if isinstance(images, np.ndarray):
        return MemorySource(images)
    raise InputError(
        f"`data` is a {type(images).__name__}; give a folder, a data spec, uint8 [N, h, w, 3] (a pair of these and "
        "labels where there are classes), or a tf.data.Dataset of images"
    )


@contextlib.contextmanager
def spec_of_run(images: Images, directory: RunDirectory, part: str = "") -> Iterator[str]:
    """Yields the data spec of a run's images. Images in memory are first written to shards in the run directory.

    If the run does not begin, these shards are removed.

    Args:
        images: Images.
        directory: Run directory.
        part: Name of the images among those of the run; empty if there are no others.

    Raises:
        InputError: `as_data` raises it, the directory cannot hold a run, or it holds a run on other images in memory.
    """
    data = as_data(images)
    if isinstance(data, str):
        yield data
        return
    directory.check_place()
    shards = directory.shards / part
    spec, was_there, was_written = f"shards:{shards}", directory.path.exists(), shards.exists()
    try:
        write_shards(data, str(shards), ShardOptions(), run=LocalRunner(1), shard_bytes=_SHARD_BYTES)
        yield spec
    except BaseException:
        if not was_written and not _is_source_of(directory, spec):
            shutil.rmtree(shards, ignore_errors=True)
        if not was_there:
            with contextlib.suppress(OSError):
                directory.shards.rmdir()  # fails, as the next line, if the directory holds anything else
            with contextlib.suppress(OSError):
                directory.path.rmdir()
        raise


def _is_source_of(directory: RunDirectory, spec: str) -> bool:
    if not directory.holds_a_run():
        return False
    is_tuned = directory.kind() == FinetuneConfig.kind
    config = directory.read_config_of(FinetuneConfig) if is_tuned else read_config(directory)
    return absolute(spec) in places.data(config).values()
